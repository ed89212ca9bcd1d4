/* A plot of series over time, in characters: braille dots, eight to a character, where the terminal has
 * UTF-8; else asterisks.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_PLOT_H
#define COPSE_TOOL_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct plot_point {
	int64_t time; /* microseconds since 1970 */
	double value;
};

struct plot {
	const char *title;              /* a line above it; may have any characters */
	const struct plot_point *point; /* ascending in time */
	size_t n;
	int64_t gap;            /* points further apart are not joined; 0: all are */
	unsigned columns, rows; /* of the whole, axes included; at least 40 and 5 */
	bool ascii;
};

/* Print it. No points: nothing but the title. */
void plot_print(FILE *out, const struct plot *plot);

/* Columns of the terminal that `out` is, by COLUMNS, or 80. */
unsigned plot_columns(FILE *out);

/* Whether text in the locale is UTF-8. */
bool plot_has_utf8(void);

#endif
