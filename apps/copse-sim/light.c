/* A light: the inhabitants switch it in the evening; what was set from afar they leave alone for an hour.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "device.h"

#include <math.h>
#include <string.h>

static void begin(struct sim_device *device)
{
	double hour = sim_hour(device);
	bool evening = hour >= 18 && hour < 23;

	device->light.percent = evening && sim_random(device) < 0.7 ? 80 : 0;
}

/* How likely somebody switches it on, and off, in a minute. */
static double wish_on(double hour)
{
	if (hour >= 17 && hour < 22.5)
		return 0.03;
	return hour >= 6 && hour < 8 ? 0.02 : 0.001;
}

static double wish_off(double hour)
{
	return hour >= 22 || hour < 6 ? 0.05 : 0.01;
}

static void step(struct sim_device *device)
{
	struct sim_light *light = &device->light;
	double hour = sim_hour(device), chance = sim_random(device), level = sim_random(device);

	if (device->at_ms < light->held_until_ms)
		return;
	if (light->percent == 0 && chance < wish_on(hour))
		light->percent = 10 * (1 + (unsigned)(level * 10));
	else if (light->percent > 0 && chance < wish_off(hour))
		light->percent = 0;
}

static void brightness_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_number(reading, "brightness", device->light.percent, 0, "/", 0.01);
}

static const char *brightness_write(struct sim_device *device, const struct sim_input *input, bool post)
{
	struct sim_light *light = &device->light;
	double percent = input->number;

	(void)post;
	if (strcmp(input->text, "on") == 0)
		percent = 100;
	else if (strcmp(input->text, "off") == 0)
		percent = 0;
	else if (!input->is_number || percent != floor(percent) || percent < 0 || percent > 100)
		return "the brightness is a whole number from 0 to 100, on or off";
	light->percent = (unsigned)percent;
	light->held_until_ms = device->at_ms + SIM_HOUR_MS;
	return NULL;
}

static const struct sim_point points[] = {
    {"brightness", "Brightness in percent", "brightness", "core.a", 0, false, brightness_read,
     brightness_write},
};

const struct sim_kind sim_light = {"light", 60000, points, sizeof(points) / sizeof(points[0]), begin, step};
