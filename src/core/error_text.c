/* What errors are called, from registry/errors.def.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/error.h>

static const struct row {
	int err;
	uint8_t code;
	const char *name;
	const char *text;
} rows[] = {
    {COPSE_OK, 0, "OK", "no error"},
#define ERROR(name, value, code, text) {value, code, #name, text},
#include <copse/registry/errors.def>
#undef ERROR
};

static const struct row *row_of(int err)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == err)
			return &rows[i];
	return NULL;
}

const char *copse_err_text(int err)
{
	const struct row *row = row_of(err);
	return row ? row->text : "unknown error";
}

const char *copse_err_name(int err)
{
	const struct row *row = row_of(err);
	return row ? row->name : "UNKNOWN";
}

uint8_t copse_err_code(int err)
{
	const struct row *row = row_of(err);
	return row ? row->code : 0;
}
