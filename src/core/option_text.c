/* The rows of registry/options.def as people read them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/error.h>
#include <copse/option.h>

#include "names.h"

enum { NONE = COPSE_OPTION_NO_DEFAULT };

const struct copse_option_row copse_option_rows[] = {
#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                             \
	{number, min, max, COPSE_FORM_##format, COPSE_REPEAT_##repeat, absent, text, rfc},
#include <copse/registry/options.def>
#undef OPTION
};

const size_t copse_option_row_n = sizeof(copse_option_rows) / sizeof(copse_option_rows[0]);

const struct copse_option_row *copse_option_row(uint16_t number)
{
	for (size_t i = 0; i < copse_option_row_n; i++)
		if (copse_option_rows[i].number == number)
			return &copse_option_rows[i];
	return NULL;
}

const char *copse_option_name(uint16_t number)
{
	const struct copse_option_row *row = copse_option_row(number);
	return row ? row->name : NULL;
}

int copse_option_from_text(const char *text, size_t len)
{
	int number = names_number(text, len, UINT16_MAX);
	if (number >= 0)
		return number;
	for (size_t i = 0; i < copse_option_row_n; i++)
		if (names_equal(copse_option_rows[i].name, text, len))
			return copse_option_rows[i].number;
	return COPSE_ERR_ARGUMENT;
}
