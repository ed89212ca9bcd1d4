/* What all simulated devices have in common.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "device.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The first three bytes of every MAC ID. The others are a permutation of the index: no two devices share one. */
#define MAC_OUI 0x001350ull

static const struct sim_kind *const kinds[] = {&sim_meter, &sim_thermostat, &sim_light, &sim_climate,
					       &sim_tracker};

const struct sim_kind *sim_kind_at(size_t i)
{
	return i < sizeof(kinds) / sizeof(kinds[0]) ? kinds[i] : NULL;
}

const struct sim_kind *sim_kind_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i]->name) == len && memcmp(kinds[i]->name, name, len) == 0)
			return kinds[i];
	}
	return NULL;
}

/* Multiplying by an odd number and adding are permutations of 40 bits. */
static uint64_t mac_of(uint64_t seed, uint32_t index)
{
	return MAC_OUI << 40 | ((index * 0x9e3779b97full + sim_mix(seed)) & 0xffffffffffull);
}

void sim_device_init(struct sim_device *device, const struct sim_kind *kind, uint64_t seed, uint32_t index,
		     int64_t now_ms)
{
	memset(device, 0, sizeof(*device));
	device->kind = kind;
	device->mac = mac_of(seed, index);
	device->random = sim_mix(sim_mix(seed) ^ index) | 1;
	device->at_ms = now_ms - now_ms % kind->step_ms;
	kind->begin(device);
}

void sim_device_advance(struct sim_device *device, int64_t now_ms)
{
	int64_t step = device->kind->step_ms;
	int64_t skip = (now_ms - device->at_ms) / step - SIM_STEPS_MAX;

	if (skip > 0)
		device->at_ms += skip * step;
	while (device->at_ms + step <= now_ms) {
		device->kind->step(device);
		device->at_ms += step;
	}
}

bool sim_point_changed(const struct sim_point *point, const struct sim_reading *before,
		       const struct sim_reading *now)
{
	if (before->field_n != now->field_n)
		return true;
	for (unsigned i = 0; i < now->text_n; i++) {
		const struct sim_field *a = &before->field[i], *b = &now->field[i];
		double deadband = point->deadband > 0 ? point->deadband : 0.5 * pow(10, -(double)b->decimals);
		if (b->is_text ? strcmp(a->text, b->text) != 0 : fabs(a->number - b->number) >= deadband)
			return true;
	}
	return false;
}

double sim_random(struct sim_device *device)
{
	return (double)(sim_next(&device->random) >> 11) / 9007199254740992.0;
}

/* Irwin-Hall with n = 3, of deviation 0.5 before it is doubled: near enough to normal for weather. */
double sim_noise(struct sim_device *device)
{
	return 2 * (sim_random(device) + sim_random(device) + sim_random(device) - 1.5);
}

double sim_hour(const struct sim_device *device)
{
	int64_t of_day = device->at_ms % SIM_DAY_MS;

	return (double)(of_day < 0 ? of_day + SIM_DAY_MS : of_day) / SIM_HOUR_MS;
}

static struct sim_field *append(struct sim_reading *reading, const char *name)
{
	struct sim_field *field = &reading->field[reading->field_n++];

	*field = (struct sim_field){.name = name, .scale = 1};
	if (reading->text_n == 0)
		reading->text_n = 1;
	return field;
}

struct sim_field *sim_number(struct sim_reading *reading, const char *name, double value, unsigned decimals,
			     const char *unit, double scale)
{
	struct sim_field *field = append(reading, name);
	double grain = pow(10, decimals);

	field->decimals = (uint8_t)decimals;
	field->number = round(value * grain) / grain;
	field->unit = unit;
	field->scale = scale;
	return field;
}

struct sim_field *sim_text(struct sim_reading *reading, const char *name, const char *text)
{
	struct sim_field *field = append(reading, name);

	field->is_text = true;
	snprintf(field->text, sizeof(field->text), "%s", text);
	return field;
}
