/* See report.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "report.h"

#include <copse/code.h>
#include <copse/error.h>

#include <jansson.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One program, one voice: set once before the command runs. */
static struct {
	enum report_color color;
	bool quiet;
	bool json;
} voice;

void report_setup(enum report_color color, bool quiet, bool json)
{
	voice.color = color;
	voice.quiet = quiet;
	voice.json = json;
}

bool report_is_quiet(void)
{
	return voice.quiet;
}

static bool colorful(FILE *out)
{
	const char *no = getenv("NO_COLOR");

	if (voice.color != COLOR_AUTO)
		return voice.color == COLOR_ALWAYS;
	return isatty(fileno(out)) && !(no && *no);
}

const char *report_style(FILE *out, enum report_style style)
{
	static const char *const sequences[] = {
	    [STYLE_NONE] = "",       [STYLE_ERROR] = "\033[1;31m", [STYLE_GOOD] = "\033[32m",
	    [STYLE_DIM] = "\033[2m", [STYLE_BOLD] = "\033[1m",     [STYLE_KEY] = "\033[36m",
	};

	return colorful(out) ? sequences[style] : "";
}

const char *report_end(FILE *out)
{
	return colorful(out) ? "\033[0m" : "";
}

static void print_json_error(enum exit_code code, const char *text)
{
	json_t *o = json_pack("{s:s, s:i}", "error", text, "exit", (int)code);

	if (!o)
		return;
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

int report_error(enum exit_code code, const char *format, ...)
{
	char text[1024];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (voice.json)
		print_json_error(code, text);
	else if (!voice.quiet)
		fprintf(stderr, "%scopse:%s %s\n", report_style(stderr, STYLE_ERROR), report_end(stderr),
			text);
	return (int)code;
}

/* Columns that `len` bytes of UTF-8 take, taking each character for one. */
static size_t columns(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && text[i]; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

int report_fault(const char *what, const char *text, size_t offset)
{
	int code = report_error(EXIT_OTHER, "%s", what);

	if (voice.quiet || voice.json)
		return code;
	fprintf(stderr, "  %s\n  ", text);
	for (size_t n = columns(text, offset); n > 0; n--)
		fputc(' ', stderr);
	fprintf(stderr, "%s^%s\n", report_style(stderr, STYLE_ERROR), report_end(stderr));
	return code;
}

void report_hint(const char *format, ...)
{
	va_list list;

	if (voice.quiet || voice.json)
		return;
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

void report_note(const char *format, ...)
{
	va_list list;

	if (voice.quiet)
		return;
	fputs("copse: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

enum exit_code report_code_of_response(uint8_t code)
{
	switch (copse_code_class(code)) {
	case 2: return EXIT_OK;
	case 4: return EXIT_4XX;
	case 5: return EXIT_5XX;
	default: return EXIT_OTHER;
	}
}

enum exit_code report_code_of_error(int err)
{
	switch (err) {
	case COPSE_ERR_TIMEOUT: return EXIT_TIMEOUT;
	case COPSE_ERR_RESET:
	case COPSE_ERR_TRANSPORT: return EXIT_UNREACHABLE;
	case COPSE_ERR_SEALED: /* what came under OSCORE was not what the server had sent, or is too old */
	case COPSE_ERR_CONTEXT:
	case COPSE_ERR_REPLAY:
	case COPSE_ERR_EXHAUSTED: return EXIT_SECURITY;
	default: return EXIT_OTHER;
	}
}
