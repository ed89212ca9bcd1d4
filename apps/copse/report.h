/* What the tool says about itself: errors, notes and colours, and what its exit codes mean.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_REPORT_H
#define COPSE_TOOL_REPORT_H

#include <copse/types.h>

#include <stdio.h>

enum exit_code {
	EXIT_OK = 0,
	EXIT_OTHER = 1, /* usage, or whatever has no code of its own */
	EXIT_4XX = 4,
	EXIT_5XX = 5,
	EXIT_NAME = 6,
	EXIT_UNREACHABLE = 7,
	EXIT_TIMEOUT = 28,
	EXIT_SECURITY = 35,
	EXIT_SIGNAL = 128 /* and the number of the signal by which the program is to end */
};

enum report_color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

enum report_style { STYLE_NONE, STYLE_ERROR, STYLE_GOOD, STYLE_DIM, STYLE_BOLD, STYLE_KEY };

/* How to speak from now on. With `json` an error is an object on standard output; with `quiet` none is
 * shown. */
void report_setup(enum report_color color, bool quiet, bool json);

bool report_is_quiet(void);

/* The escape sequence of a style, or "" where colour is not wanted on `out`; report_end ends it. */
const char *report_style(FILE *out, enum report_style style);
const char *report_end(FILE *out);

/* Say what went wrong, one sentence without "copse:" and newline. Returns `code`. */
int report_error(enum exit_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same about a place in a text, which is shown with a caret under the fault. Returns EXIT_OTHER. */
int report_fault(const char *what, const char *text, size_t offset);

/* What may help: a line behind an error, on a terminal or not, unless quiet. */
void report_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A note about what goes on. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The exit code of a response code, and of an error of the library. */
enum exit_code report_code_of_response(uint8_t code);
enum exit_code report_code_of_error(int err);

#endif
