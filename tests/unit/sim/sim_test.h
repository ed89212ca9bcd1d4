/* What the tests of simulated devices share: cmocka, and devices by hand.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef SIM_TEST_H
#define SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "copse-sim/device.h"

/* 2026-06-01 00:00 UTC */
#define MIDNIGHT 1780272000000ll
#define MINUTE   60000ll

static inline const struct sim_point *point_of(const struct sim_device *device, const char *name)
{
	for (unsigned i = 0; i < device->kind->point_n; i++) {
		if (strcmp(device->kind->point[i].name, name) == 0)
			return &device->kind->point[i];
	}
	fail_msg("no resource %s", name);
	return NULL;
}

static inline struct sim_reading read_point(const struct sim_device *device, const char *name)
{
	struct sim_reading reading = {0};

	point_of(device, name)->read(device, &reading);
	return reading;
}

/* Field `i` of a resource, as a number. */
static inline double number_of(const struct sim_device *device, const char *name, unsigned i)
{
	struct sim_reading reading = read_point(device, name);

	assert_true(i < reading.field_n && !reading.field[i].is_text);
	return reading.field[i].number;
}

static inline void assert_text(const struct sim_device *device, const char *name, const char *expected)
{
	struct sim_reading reading = read_point(device, name);

	assert_true(reading.field[0].is_text);
	assert_string_equal(reading.field[0].text, expected);
}

/* Write as a client would; a number where the text is one. */
static inline const char *write_point(struct sim_device *device, const char *name, const char *text, bool post)
{
	struct sim_input input = {0};
	char *end;

	assert_true(strlen(text) < sizeof(input.text));
	memcpy(input.text, text, strlen(text));
	input.number = strtod(text, &end);
	input.is_number = *text && !*end;
	return point_of(device, name)->write(device, &input, post);
}

static inline void assert_takes(struct sim_device *device, const char *name, const char *text)
{
	const char *why = write_point(device, name, text, false);

	if (why)
		fail_msg("%s refuses \"%s\": %s", name, text, why);
}

/* A refused value leaves the device as it was, to the last bit. */
static inline void assert_refuses(struct sim_device *device, const char *name, const char *text)
{
	struct sim_device before = *device;

	if (!write_point(device, name, text, false))
		fail_msg("%s takes \"%s\"", name, text);
	assert_memory_equal(device, &before, sizeof(before));
}

#endif
