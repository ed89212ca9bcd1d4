/* Types of sensors by their names.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sensor_type.h"

#include <stdlib.h>
#include <string.h>

uint32_t store_sensor_type(const char *text)
{
	static const struct {
		const char *name;
		uint32_t number;
	} rows[] = {
#define SENSOR_TYPE(number, name, unit) {name, number},
#include <copse/registry/sensor_types.def>
#undef SENSOR_TYPE
	};
	char *end;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(rows[i].name, text) == 0)
			return rows[i].number;
	unsigned long number = strtoul(text, &end, 16);
	return end != text && !*end && number <= 0xffffff ? (uint32_t)number : 0;
}
