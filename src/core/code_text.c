/* What codes are called, from registry/codes.def.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/code.h>
#include <copse/error.h>

#include "names.h"

#include <string.h>

static const struct row {
	uint8_t code;
	const char *name;
} rows[] = {
#define CODE(class, detail, name, text, rfc) {COPSE_CODE(class, detail), text},
#include <copse/registry/codes.def>
#undef CODE
};

const char *copse_code_name(uint8_t code)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code)
			return rows[i].name;
	return NULL;
}

char *copse_code_print(uint8_t code, char *buf, size_t cap)
{
	const char text[] = {(char)('0' + copse_code_class(code)), '.',
			     (char)('0' + copse_code_detail(code) / 10),
			     (char)('0' + copse_code_detail(code) % 10), 0};
	COPSE_ASSERT(cap > 0);
	names_append(buf, cap, 0, text);
	return buf;
}

char *copse_code_describe(uint8_t code, char *buf, size_t cap)
{
	const char *name = copse_code_name(code);
	copse_code_print(code, buf, cap);
	if (name) {
		names_append(buf, cap, strlen(buf), " ");
		names_append(buf, cap, strlen(buf), name);
	}
	return buf;
}

/* "c.dd" or "c.d"; -1 for anything else. */
static int parse_dotted(const char *text, size_t len)
{
	if (len < 3 || len > 4 || text[0] < '0' || text[0] > '7' || text[1] != '.')
		return -1;
	int detail = names_number(text + 2, len - 2, 31);
	return detail < 0 ? -1 : COPSE_CODE(text[0] - '0', detail);
}

int copse_code_from_text(const char *text, size_t len)
{
	int code = parse_dotted(text, len);
	if (code >= 0)
		return code;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (names_equal(rows[i].name, text, len))
			return rows[i].code;
	return COPSE_ERR_ARGUMENT;
}
