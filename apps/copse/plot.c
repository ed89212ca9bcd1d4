/* See plot.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "plot.h"
#include "report.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define LABEL_MAX 24

/* The area of dots. Braille has 2 x 4 of them in a character, plain text one. */
struct area {
	unsigned columns, rows; /* characters */
	unsigned wide, high;    /* dots in a character */
	uint8_t *cell;          /* bits of the dots, row by row */
};

struct axis {
	double low, high, step;
	int decimals;
};

unsigned plot_columns(FILE *out)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");

	unsigned long given = columns ? strtoul(columns, NULL, 10) : 0;
	if (given > 0 && given < 10000)
		return (unsigned)given;
	if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

bool plot_has_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (int i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);
		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

/* Steps of 1, 2 or 5 times a power of ten, about `n` of them. */
static struct axis axis_of(double low, double high, unsigned n)
{
	struct axis a = {.low = low, .high = high};

	if (!(high > low)) {
		double room = low != 0 ? fabs(low) * 0.05 : 1;
		a.low -= room;
		a.high += room;
	}
	double raw = (a.high - a.low) / n, power = pow(10, floor(log10(raw)));
	a.step = raw / power <= 1   ? power
		 : raw / power <= 2 ? 2 * power
		 : raw / power <= 5 ? 5 * power
				    : 10 * power;
	a.low = floor(a.low / a.step) * a.step;
	a.high = ceil(a.high / a.step) * a.step;
	int decimals = (int)-floor(log10(a.step) + 1e-9);
	a.decimals = decimals > 0 ? decimals < 9 ? decimals : 9 : 0;
	return a;
}

static void dot(struct area *a, long x, long y)
{
	static const uint8_t braille[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
	long column = x / a->wide, row = y / a->high;

	if (x < 0 || y < 0 || column >= (long)a->columns || row >= (long)a->rows)
		return;
	a->cell[row * a->columns + column] |= a->wide == 1 ? 1 : braille[y % 4][x % 2];
}

static void line(struct area *a, long x0, long y0, long x1, long y1)
{
	long dx = labs(x1 - x0), dy = labs(y1 - y0), n = dx > dy ? dx : dy;

	for (long i = 0; i <= n; i++)
		dot(a, n ? x0 + (x1 - x0) * i / n : x0, n ? y0 + (y1 - y0) * i / n : y0);
}

/* Where a value stands, in dots from above. */
static long dot_of(const struct area *a, const struct axis *y, double value)
{
	return lround((y->high - value) / (y->high - y->low) * (double)(a->rows * a->high - 1));
}

static void draw(struct area *a, const struct plot *p, const struct axis *y)
{
	int64_t from = p->point[0].time, span = p->point[p->n - 1].time - from;
	double width = (double)(a->columns * a->wide - 1);
	long last_x = 0, last_y = 0;

	for (size_t i = 0; i < p->n; i++) {
		double part = span > 0 ? (double)(p->point[i].time - from) / (double)span : 0.5;
		long at_x = lround(part * width);
		long at_y = dot_of(a, y, p->point[i].value);
		bool joined = i > 0 && (!p->gap || p->point[i].time - p->point[i - 1].time <= p->gap);
		if (joined && a->wide > 1) /* a line of asterisks shows less than the points do */
			line(a, last_x, last_y, at_x, at_y);
		else
			dot(a, at_x, at_y);
		last_x = at_x;
		last_y = at_y;
	}
}

static void put_cell(FILE *out, const struct area *a, uint8_t bits)
{
	if (a->wide == 1)
		fputc(bits ? '*' : ' ', out);
	else if (!bits)
		fputc(' ', out);
	else /* U+2800 and the bits, as UTF-8 */
		fprintf(out, "\xe2%c%c", 0xa0 | bits >> 6, 0x80 | (bits & 0x3f));
}

/* The label of a row, or "": it stands where a point of that value does. */
static void label_of(char out[LABEL_MAX], const struct area *a, const struct axis *y, unsigned row)
{
	unsigned n = (unsigned)lround((y->high - y->low) / y->step);

	out[0] = '\0';
	for (unsigned i = 0; i <= n; i++) {
		double mark = y->low + i * y->step;
		if (dot_of(a, y, mark) / a->high == (long)row)
			snprintf(out, LABEL_MAX, "%.*f", y->decimals, fabs(mark) < y->step * 1e-6 ? 0 : mark);
	}
}

static unsigned label_width(const struct area *a, const struct axis *y)
{
	unsigned width = 0;

	for (unsigned i = 0; i < a->rows; i++) {
		char label[LABEL_MAX];
		label_of(label, a, y, i);
		width = strlen(label) > width ? (unsigned)strlen(label) : width;
	}
	return width;
}

/* A moment as short as the span of the axis allows, local time. */
static void moment(char out[LABEL_MAX], int64_t time, int64_t span)
{
	time_t second = (time_t)(time / 1000000);
	struct tm tm;
	size_t n;

	if (!localtime_r(&second, &tm))
		n = 0;
	else if (span < (int64_t)600 * 1000000)
		n = strftime(out, LABEL_MAX, "%H:%M:%S", &tm);
	else if (span < (int64_t)86400 * 1000000)
		n = strftime(out, LABEL_MAX, "%H:%M", &tm);
	else if (span < (int64_t)864000 * 1000000)
		n = strftime(out, LABEL_MAX, "%m-%d %H:%M", &tm);
	else
		n = strftime(out, LABEL_MAX, "%Y-%m-%d", &tm);
	out[n] = '\0';
}

static void print_times(FILE *out, const struct plot *p, unsigned left, unsigned columns)
{
	int64_t from = p->point[0].time, span = p->point[p->n - 1].time - from;
	unsigned at = 0, n = columns >= 60 ? 4 : 2;

	fprintf(out, "%*s", (int)left, "");
	for (unsigned i = 0; i <= n && (span > 0 || i == 0); i++) {
		char text[LABEL_MAX];
		moment(text, from + span / n * i, span);
		unsigned len = (unsigned)strlen(text), want = columns * i / n;
		want = i == 0 ? 0 : i == n ? columns - len : want - len / 2;
		fprintf(out, "%*s%s", want > at ? (int)(want - at) : 0, "", text);
		at = (want > at ? want : at) + len;
	}
	fputc('\n', out);
}

static void print_area(FILE *out, const struct plot *p, const struct area *a, const struct axis *y)
{
	unsigned width = label_width(a, y);

	for (unsigned row = 0; row < a->rows; row++) {
		char label[LABEL_MAX];
		label_of(label, a, y, row);
		fprintf(out, "%*s %s%s", (int)width, label,
			p->ascii ? *label ? "+" : "|"
			: *label ? "\u2524"
				 : "\u2502",
			report_style(out, STYLE_KEY));
		unsigned end = a->columns;
		while (end && !a->cell[row * a->columns + end - 1])
			end--;
		for (unsigned i = 0; i < end; i++)
			put_cell(out, a, a->cell[row * a->columns + i]);
		fprintf(out, "%s\n", report_end(out));
	}
	fprintf(out, "%*s %s", (int)width, "", p->ascii ? "+" : "\u2514");
	for (unsigned i = 0; i < a->columns; i++)
		fputs(p->ascii ? "-" : "\u2500", out);
	fputc('\n', out);
	print_times(out, p, width + 2, a->columns);
}

void plot_print(FILE *out, const struct plot *p)
{
	struct area a = {.wide = p->ascii ? 1 : 2, .high = p->ascii ? 1 : 4};
	double low = INFINITY, high = -INFINITY;

	if (p->title)
		text_print(out, (const uint8_t *)p->title, strlen(p->title), true);
	fputc('\n', out);
	for (size_t i = 0; i < p->n; i++) {
		low = fmin(low, p->point[i].value);
		high = fmax(high, p->point[i].value);
	}
	if (!p->n)
		return;
	a.rows = p->rows < 5 ? 3 : p->rows - 2;
	struct axis y = axis_of(low, high, a.rows / 3 ? a.rows / 3 : 1);
	unsigned left = label_width(&a, &y) + 2, columns = p->columns < 40 ? 40 : p->columns;
	a.columns = columns > left + 10 ? columns - left - 1 : 10;
	a.cell = calloc(a.columns, a.rows);
	if (!a.cell)
		return;
	draw(&a, p, &y);
	print_area(out, p, &a, &y);
	free(a.cell);
}
