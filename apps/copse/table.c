/* See table.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "table.h"
#include "report.h"
#include "text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void table_begin(struct table *t, const char *const *heads, size_t n)
{
	*t = (struct table){.column_n = n, .heads = heads};
}

static bool grow(struct table *t)
{
	size_t cap = t->cell_cap ? t->cell_cap * 2 : 64;
	char **cell;

	if (t->cell_n + t->column_n <= t->cell_cap)
		return true;
	cell = realloc(t->cell, cap * sizeof(*cell));
	if (!cell)
		return false;
	t->cell = cell;
	t->cell_cap = cap;
	return true;
}

/* A copy in which control characters are escapes: what is measured is what is printed. */
static char *safe_copy(const char *text)
{
	char *copy = NULL;
	size_t len;
	FILE *out = open_memstream(&copy, &len);

	if (!out)
		return NULL;
	text_print(out, (const uint8_t *)text, strlen(text), true);
	return fclose(out) == 0 ? copy : NULL;
}

void table_add(struct table *t, const char *const *cells)
{
	if (!grow(t)) {
		t->failed = true;
		return;
	}
	for (size_t i = 0; i < t->column_n; i++) {
		char *copy = safe_copy(cells[i]);
		t->failed |= copy == NULL;
		t->cell[t->cell_n++] = copy;
	}
}

/* Columns on the screen, a character each. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; text && *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_cell(FILE *out, const char *text, size_t width, bool last)
{
	size_t n = width_of(text);

	fputs(text ? text : "", out);
	for (; !last && n < width + 2; n++)
		fputc(' ', out);
}

static void measure(const struct table *t, size_t *width)
{
	for (size_t i = 0; i < t->column_n; i++) {
		size_t n = width_of(t->heads[i]);
		width[i] = n > width[i] ? n : width[i];
	}
	for (size_t i = 0; i < t->cell_n; i++) {
		size_t n = width_of(t->cell[i]);
		if (n > width[i % t->column_n])
			width[i % t->column_n] = n;
	}
}

static void print_heads(const struct table *t, const size_t *width, FILE *out)
{
	fputs(report_style(out, STYLE_BOLD), out);
	for (size_t i = 0; i < t->column_n; i++)
		print_cell(out, t->heads[i], width[i], i + 1 == t->column_n);
	fprintf(out, "%s\n", report_end(out));
}

static void print_rows(const struct table *t, const size_t *width, FILE *out)
{
	for (size_t i = 0; i < t->cell_n; i++) {
		bool last = (i + 1) % t->column_n == 0;
		print_cell(out, t->cell[i], width[i % t->column_n], last);
		if (last)
			fputc('\n', out);
	}
}

static void drop_cells(struct table *t)
{
	for (size_t i = 0; i < t->cell_n; i++)
		free(t->cell[i]);
	t->cell_n = 0;
}

void table_print(const struct table *t, FILE *out)
{
	size_t width[TABLE_COLUMNS] = {0};

	measure(t, width);
	print_heads(t, width, out);
	print_rows(t, width, out);
}

void table_flow(struct table *t, FILE *out)
{
	if (t->cell_n == 0)
		return;
	measure(t, t->width);
	if (!t->begun)
		print_heads(t, t->width, out);
	t->begun = true;
	print_rows(t, t->width, out);
	drop_cells(t);
}

void table_free(struct table *t)
{
	drop_cells(t);
	free(t->cell);
	t->cell = NULL;
}
