/* Why transmission parameters cannot be taken, in words.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "params.h"

const char *copse_params_check(const struct copse_params *p)
{
	static const struct {
		uint32_t min, max;
		const char *text;
	} rows[] = {
#define PARAM(field, min, max) {min, max, #field " must be " #min " to " #max},
#include "params.def"
#undef PARAM
	};
	const uint32_t values[] = {
#define PARAM(field, min, max) p->field,
#include "params.def"
#undef PARAM
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (values[i] < rows[i].min || values[i] > rows[i].max)
			return rows[i].text;
	}
	return NULL;
}
