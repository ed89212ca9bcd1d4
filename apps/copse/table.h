/* A table of text: columns as wide as their widest cell.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_TABLE_H
#define COPSE_TOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS 8

struct table {
	size_t column_n;
	const char *const *heads;
	char **cell; /* copies, row by row */
	size_t cell_n, cell_cap;
	bool failed;                 /* no memory: rows are missing */
	bool begun;                  /* table_flow has printed the heads, */
	size_t width[TABLE_COLUMNS]; /* and this is how wide the columns are by now */
};

/* `heads` must live as long as the table; `n` at most TABLE_COLUMNS. */
void table_begin(struct table *t, const char *const *heads, size_t n);

/* Add a row of as many cells as there are heads; they are copied. */
void table_add(struct table *t, const char *const *cells);

/* Print with heads (in bold on a terminal). Control characters in cells are shown as escapes. */
void table_print(const struct table *t, FILE *out);

/* The same of a table that goes on: what has been added is printed and forgotten, the heads are printed once. Columns become
 * wider where they have to, and stay so. */
void table_flow(struct table *t, FILE *out);

void table_free(struct table *t);

#endif
