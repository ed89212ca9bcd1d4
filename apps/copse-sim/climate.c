/* A sensor of temperature and humidity: both follow the day and drift slowly.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "device.h"

#include <math.h>

static double limit(double value, double low, double high)
{
	return fmin(fmax(value, low), high);
}

/* Warm air takes up more water: relative humidity falls when the temperature rises. */
static void settle(struct sim_device *device)
{
	struct sim_climate *c = &device->climate;

	c->temperature = 20.5 + 1.5 * sin((sim_hour(device) - 9) / 24 * 6.283185307) + c->drift;
	c->humidity = limit(48 - 2.5 * (c->temperature - 20.5) + c->damp, 15, 95);
}

static void begin(struct sim_device *device)
{
	device->climate.drift = sim_noise(device);
	device->climate.damp = 4 * sim_noise(device);
	settle(device);
}

static void step(struct sim_device *device)
{
	struct sim_climate *c = &device->climate;

	c->drift = limit(c->drift + 0.02 * sim_noise(device) - 0.001 * c->drift, -4, 4);
	c->damp = limit(c->damp + 0.1 * sim_noise(device) - 0.002 * c->damp, -20, 20);
	settle(device);
}

static void temperature_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_number(reading, "temperature", device->climate.temperature, 1, "Cel", 1);
}

static void humidity_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_number(reading, "humidity", device->climate.humidity, 0, "%RH", 1);
}

static const struct sim_point points[] = {
    {"temperature", "Temperature", "temperature", "core.s", 0.1, false, temperature_read, NULL},
    {"humidity", "Relative humidity", "humidity", "core.s", 1, false, humidity_read, NULL},
};

const struct sim_kind sim_climate = {"climate", 30000, points, sizeof(points) / sizeof(points[0]), begin, step};
