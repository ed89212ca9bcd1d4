/* A thermostat: the room loses heat to the outside and is heated towards the set point, which the schedule moves.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETPOINT_MIN 5
#define SETPOINT_MAX 30

/* The difference to the outside falls to 1/e in 40 hours; the heating raises the room by 3 K an hour. */
#define LOSS_PER_HOUR (1.0 / 40)
#define HEAT_PER_HOUR 3.0
#define HYSTERESIS    0.2

static double outside(double hour)
{
	return 7 + 5 * sin((hour - 9) / 24 * 6.283185307);
}

/* The entry in force at this time of day: the last one before it, yesterday's last before the first. -1 without any. */
static int entry_now(const struct sim_device *device)
{
	const struct sim_thermostat *t = &device->thermostat;
	double minute = sim_hour(device) * 60;
	int found = (int)t->entry_n - 1;

	for (unsigned i = 0; i < t->entry_n && t->entry[i].minute <= minute; i++)
		found = (int)i;
	return found;
}

static void follow_schedule(struct sim_device *device)
{
	struct sim_thermostat *t = &device->thermostat;
	int entry = entry_now(device);

	if (entry != t->current && entry >= 0)
		t->setpoint = t->entry[entry].setpoint;
	t->current = entry;
}

static void begin(struct sim_device *device)
{
	struct sim_thermostat *t = &device->thermostat;

	t->entry[0] = (struct sim_entry){6 * 60 + 30, 21};
	t->entry[1] = (struct sim_entry){22 * 60, 17};
	t->entry_n = 2;
	t->current = -1;
	follow_schedule(device);
	t->room = t->setpoint - 1 + 2 * sim_random(device);
}

static void step(struct sim_device *device)
{
	struct sim_thermostat *t = &device->thermostat;
	double hours = (double)device->kind->step_ms / SIM_HOUR_MS;

	follow_schedule(device);
	if (t->room < t->setpoint - HYSTERESIS)
		t->heating = true;
	if (t->room > t->setpoint + HYSTERESIS)
		t->heating = false;
	t->room += (outside(sim_hour(device)) - t->room) * LOSS_PER_HOUR * hours;
	t->room += (t->heating ? HEAT_PER_HOUR * hours : 0) + 0.004 * sim_noise(device);
}

static void temperature_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_number(reading, "temperature", device->thermostat.room, 1, "Cel", 1);
	sim_number(reading, "heating", device->thermostat.heating, 0, NULL, 1);
}

static void setpoint_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_number(reading, "setpoint", device->thermostat.setpoint, 1, "Cel", 1);
}

static bool setpoint_good(double value)
{
	return value >= SETPOINT_MIN && value <= SETPOINT_MAX;
}

static const char *setpoint_write(struct sim_device *device, const struct sim_input *input, bool post)
{
	(void)post;
	if (!input->is_number || !setpoint_good(input->number))
		return "the set point is a temperature from 5 to 30";
	device->thermostat.setpoint = round(input->number * 10) / 10;
	return NULL;
}

static void schedule_read(const struct sim_device *device, struct sim_reading *reading)
{
	const struct sim_thermostat *t = &device->thermostat;
	char text[SIM_TEXT_MAX];
	size_t len = 0;

	text[0] = 0;
	for (unsigned i = 0; i < t->entry_n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%02u:%02u %g", i ? "," : "",
					t->entry[i].minute / 60u, t->entry[i].minute % 60u,
					t->entry[i].setpoint);
	}
	sim_text(reading, "schedule", text);
}

/* Two digits, at most `max`. Returns the value or -1. */
static int two_digits(const char *p, int max)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	int value = (p[0] - '0') * 10 + p[1] - '0';
	return value <= max ? value : -1;
}

/* Take "HH:MM TEMPERATURE" from `*p` on. Returns whether it is one; `*p` stands behind it then. */
static bool entry_parse(const char **p, struct sim_entry *entry)
{
	if (strnlen(*p, 6) < 6)
		return false;
	int hour = two_digits(*p, 23), minute = two_digits(*p + 3, 59);
	const char *number = *p + 6;
	size_t digits = strspn(number, "0123456789.");
	char *end;

	if (hour < 0 || minute < 0 || (*p)[2] != ':' || (*p)[5] != ' ' || digits == 0)
		return false;
	entry->minute = (uint16_t)(hour * 60 + minute);
	entry->setpoint = round(strtod(number, &end) * 10) / 10;
	*p = end;
	return end == number + digits && setpoint_good(entry->setpoint);
}

static const char *schedule_write(struct sim_device *device, const struct sim_input *input, bool post)
{
	struct sim_entry entry[SIM_SCHEDULE_MAX];
	const char *p = input->text;
	unsigned n = 0;

	(void)post;
	do {
		if (n == SIM_SCHEDULE_MAX)
			return "a schedule has at most 8 entries";
		p += n > 0;
		p += strspn(p, " ");
		if (!entry_parse(&p, &entry[n]))
			return "an entry is HH:MM and a temperature from 5 to 30, as in 06:30 21,22:00 17";
		if (n > 0 && entry[n].minute <= entry[n - 1].minute)
			return "the entries must be in the order of the day";
		n++;
	} while (*p == ',');
	if (*p)
		return "entries are separated by commas";
	memcpy(device->thermostat.entry, entry, sizeof(entry[0]) * n);
	device->thermostat.entry_n = n;
	device->thermostat.current = -1;
	follow_schedule(device);
	return NULL;
}

static const struct sim_point points[] = {
    {"temperature", "Room temperature", "temperature", "core.s", 0.1, false, temperature_read, NULL},
    {"setpoint", "Wanted temperature", "setpoint", "core.p", 0, false, setpoint_read, setpoint_write},
    {"schedule", "Set points of the day", "schedule", "core.p", 0, false, schedule_read, schedule_write},
};

const struct sim_kind sim_thermostat = {"thermostat", 30000, points, sizeof(points) / sizeof(points[0]), begin, step};
