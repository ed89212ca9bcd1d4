/* A smart meter: the load follows the day, energy adds up, the tariff and the load switch are set from afar.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "device.h"

#include <math.h>
#include <string.h>

#define TARIFF_N 4

/* Price of a kilowatt-hour, by tariff. */
static const double prices[TARIFF_N] = {0.31, 0.24, 0.18, 0.42};

static double hump(double hour, double at, double width)
{
	double x = (hour - at) / width;

	return exp(-x * x);
}

/* How much a household draws, in units of its base load. */
static double day_course(double hour)
{
	return 0.5 + 1.6 * hump(hour, 7.5, 1.2) + 0.8 * hump(hour, 12.5, 1.5) + 2.6 * hump(hour, 19.5, 2.2);
}

static void set_power(struct sim_device *device)
{
	struct sim_meter *meter = &device->meter;

	meter->power_w = 0;
	if (meter->on)
		meter->power_w =
		    meter->base_w * day_course(sim_hour(device)) * meter->noise + (meter->kettle ? 2000 : 0);
}

static void begin(struct sim_device *device)
{
	struct sim_meter *meter = &device->meter;

	meter->energy_kwh = 1000 + 20000 * sim_random(device);
	meter->base_w = 100 + 200 * sim_random(device);
	meter->noise = 1;
	meter->tariff = 1;
	meter->on = true;
	set_power(device);
}

static void step(struct sim_device *device)
{
	struct sim_meter *meter = &device->meter;

	meter->energy_kwh += meter->power_w * (double)device->kind->step_ms / SIM_HOUR_MS / 1000;
	meter->noise = fmin(fmax(1 + 0.95 * (meter->noise - 1) + 0.05 * sim_noise(device), 0.6), 1.6);
	if (meter->kettle > 0)
		meter->kettle--;
	else if (sim_random(device) < 0.004 * day_course(sim_hour(device)))
		meter->kettle = 6 + (unsigned)(12 * sim_random(device));
	set_power(device);
}

static void consumption_read(const struct sim_device *device, struct sim_reading *reading)
{
	/* SenML has no kilowatt-hour among its units: joules. */
	sim_number(reading, "consumption", device->meter.energy_kwh, 3, "J", 3.6e6);
	sim_number(reading, "power", device->meter.power_w, 0, "W", 1);
}

static void tariff_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_number(reading, "tariff", device->meter.tariff, 0, NULL, 1);
	sim_number(reading, "price", prices[device->meter.tariff - 1], 2, NULL, 1);
}

static const char *tariff_write(struct sim_device *device, const struct sim_input *input, bool post)
{
	(void)post;
	if (!input->is_number || input->number != floor(input->number) || input->number < 1 ||
	    input->number > TARIFF_N)
		return "the tariff is a whole number from 1 to 4";
	device->meter.tariff = (unsigned)input->number;
	return NULL;
}

static void switch_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_text(reading, "switch", device->meter.on ? "on" : "off");
}

static const char *switch_write(struct sim_device *device, const struct sim_input *input, bool post)
{
	struct sim_meter *meter = &device->meter;

	if (strcmp(input->text, "on") == 0 || strcmp(input->text, "1") == 0)
		meter->on = true;
	else if (strcmp(input->text, "off") == 0 || strcmp(input->text, "0") == 0)
		meter->on = false;
	else if (post && strcmp(input->text, "toggle") == 0)
		meter->on = !meter->on;
	else
		return post ? "the switch takes on, off or toggle" : "the switch takes on or off";
	set_power(device);
	return NULL;
}

static const struct sim_point points[] = {
    {"consumption", "Energy", "consumption", "core.s", 0, false, consumption_read, NULL},
    {"tariff", "Tariff in force", "tariff", "core.p", 0, false, tariff_read, tariff_write},
    {"switch", "Load switch", "switch", "core.a", 0, true, switch_read, switch_write},
};

const struct sim_kind sim_meter = {"meter", 10000, points, sizeof(points) / sizeof(points[0]), begin, step};
