/* See text.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "text.h"

static bool is_continued(const uint8_t *bytes, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return false;
	}
	return true;
}

size_t text_character(const uint8_t *b, size_t len)
{
	size_t n;

	if (len == 0)
		return 0;
	if (b[0] < 0x80)
		return 1;
	n = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
	if (b[0] < 0xc2 || b[0] > 0xf4 || n > len || !is_continued(b, n))
		return 0;
	/* overlong forms, surrogates, and what lies beyond U+10FFFF (RFC 3629 §4) */
	if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f))
		return 0;
	if ((b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
		return 0;
	return n;
}

/* Control characters, the second set of them (U+0080 to U+009F), and those that turn the direction of writing. */
static bool is_control(const uint8_t *b, size_t n)
{
	if (n == 1)
		return b[0] < 0x20 || b[0] == 0x7f;
	if (n == 2)
		return b[0] == 0xc2 && b[1] < 0xa0;
	return n == 3 && b[0] == 0xe2 &&
	       ((b[1] == 0x80 && b[2] >= 0xaa && b[2] <= 0xae) ||
		(b[1] == 0x81 && b[2] >= 0xa6 && b[2] <= 0xa9));
}

static bool is_layout(uint8_t c)
{
	return c == '\t' || c == '\n' || c == '\r';
}

bool text_is_text(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = text_character(bytes + i, len - i);
		if (n == 0 || (is_control(bytes + i, n) && !is_layout(bytes[i])))
			return false;
		i += n;
	}
	return true;
}

static void print_escaped(FILE *out, const uint8_t *bytes, size_t n)
{
	static const char letters[] = {['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};

	if (n == 1 && is_layout(*bytes)) {
		fprintf(out, "\\%c", letters[*bytes]);
		return;
	}
	for (size_t i = 0; i < n; i++)
		fprintf(out, "\\x%02x", bytes[i]);
}

void text_print(FILE *out, const uint8_t *bytes, size_t len, bool line)
{
	for (size_t i = 0; i < len;) {
		size_t n = text_character(bytes + i, len - i);
		bool bad = n == 0 || (is_control(bytes + i, n) && (line || !is_layout(bytes[i])));
		if (n == 0)
			n = 1;
		if (bad)
			print_escaped(out, bytes + i, n);
		else
			fwrite(bytes + i, 1, n, out);
		i += n;
	}
}

void text_print_hex(FILE *out, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", bytes[i]);
}

void text_print_dump(FILE *out, const uint8_t *bytes, size_t len, const char *indent)
{
	for (size_t at = 0; at < len; at += 16) {
		fprintf(out, "%s%06zx ", indent, at);
		for (size_t i = at; i < at + 16; i++) {
			if (i < len)
				fprintf(out, "%s%02x", i % 8 ? " " : "  ", bytes[i]);
			else
				fputs(i % 8 ? "   " : "    ", out);
		}
		fputs("  |", out);
		for (size_t i = at; i < at + 16 && i < len; i++)
			fputc(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.', out);
		fputs("|\n", out);
	}
}

void text_base64(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t group = (uint32_t)bytes[i] << 16;
		if (i + 1 < len)
			group |= (uint32_t)bytes[i + 1] << 8;
		if (i + 2 < len)
			group |= bytes[i + 2];
		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < len ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[group & 63] : '=';
	}
	*out = '\0';
}
