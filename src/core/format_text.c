/* The rows of registry/formats.def as people read them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/error.h>
#include <copse/format.h>

#include "names.h"

#include <string.h>

/* The short name is what the program's symbol is called; names_equal takes "_" for "-". */
const struct copse_format_row copse_format_rows[] = {
#define FORMAT(number, name, media_type, coding, reference) {number, #name, media_type, coding, reference},
#include <copse/registry/formats.def>
#undef FORMAT
};

const size_t copse_format_row_n = sizeof(copse_format_rows) / sizeof(copse_format_rows[0]);

const struct copse_format_row *copse_format_row(uint32_t number)
{
	for (size_t i = 0; i < copse_format_row_n; i++)
		if (copse_format_rows[i].number == number)
			return &copse_format_rows[i];
	return NULL;
}

const char *copse_format_media(uint32_t number)
{
	const struct copse_format_row *row = copse_format_row(number);
	return row ? row->media : NULL;
}

/* The next character of a media type that counts: no blanks, lower case. 0 at the end. */
static char next_char(const char *text, size_t len, size_t *i)
{
	while (*i < len && (text[*i] == ' ' || text[*i] == '\t'))
		++*i;
	if (*i == len)
		return 0;
	char c = text[(*i)++];
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether `text` is the media type of a row or, with `bare`, that type without its parameters. */
static bool is_media(const char *media, const char *text, size_t len, bool bare)
{
	size_t media_len = strlen(media), i = 0, j = 0;
	for (;;) {
		char a = next_char(media, media_len, &i), b = next_char(text, len, &j);
		if (b == 0)
			return a == 0 || (bare && a == ';');
		if (a != b)
			return false;
	}
}

int copse_format_from_text(const char *text, size_t len)
{
	int number = names_number(text, len, UINT16_MAX);
	if (number >= 0)
		return number;
	for (size_t i = 0; i < copse_format_row_n; i++)
		if (names_equal(copse_format_rows[i].name, text, len))
			return copse_format_rows[i].number;
	for (int bare = 0; bare < 2 && len > 0; bare++)
		for (size_t i = 0; i < copse_format_row_n; i++)
			if (!copse_format_rows[i].coding[0] &&
			    is_media(copse_format_rows[i].media, text, len, bare))
				return copse_format_rows[i].number;
	return COPSE_ERR_ARGUMENT;
}

/* Whether the type, without its parameters, ends with `suffix`. */
static bool ends_with(const struct copse_format_row *row, const char *suffix)
{
	size_t len = strcspn(row->media, ";"), n = strlen(suffix);
	return !row->coding[0] && len >= n && memcmp(row->media + len - n, suffix, n) == 0;
}

bool copse_format_is_json(uint32_t number)
{
	const struct copse_format_row *row = copse_format_row(number);
	return row && (ends_with(row, "/json") || ends_with(row, "+json"));
}

bool copse_format_is_cbor(uint32_t number)
{
	const struct copse_format_row *row = copse_format_row(number);
	return row && (ends_with(row, "/cbor") || ends_with(row, "+cbor"));
}

bool copse_format_is_text(uint32_t number)
{
	const struct copse_format_row *row = copse_format_row(number);
	if (!row || row->coding[0])
		return false;
	return strncmp(row->media, "text/", 5) == 0 || copse_format_is_json(number) || ends_with(row, "/xml") ||
	       ends_with(row, "+xml") || ends_with(row, "/link-format") || ends_with(row, "/javascript");
}
