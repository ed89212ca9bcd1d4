/* A tracker on a vehicle: it drives from place to place, parks, and comes home to be charged.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "device.h"

#include <math.h>

#define METRES_PER_DEGREE 111320.0
#define BATTERY_LOW       20.0 /* percent: it turns home */
#define BATTERY_ALERT     15.0

static double east_metres(const struct sim_tracker *t, double lon)
{
	return (lon - t->lon) * METRES_PER_DEGREE * cos(t->lat * 0.017453293);
}

static double north_metres(const struct sim_tracker *t, double lat)
{
	return (lat - t->lat) * METRES_PER_DEGREE;
}

static bool at_home(const struct sim_tracker *t)
{
	return hypot(east_metres(t, t->home_lon), north_metres(t, t->home_lat)) < 1;
}

static void begin(struct sim_device *device)
{
	struct sim_tracker *t = &device->tracker;

	t->home_lat = t->lat = 47.37 + 0.08 * (sim_random(device) - 0.5);
	t->home_lon = t->lon = 8.54 + 0.12 * (sim_random(device) - 0.5);
	t->battery = 60 + 40 * sim_random(device);
	t->parked_until_ms = device->at_ms + (int64_t)(1200000 * sim_random(device));
}

static void leave(struct sim_device *device)
{
	struct sim_tracker *t = &device->tracker;
	double north = sim_random(device) - 0.5, east = sim_random(device) - 0.5;
	bool home = t->battery < BATTERY_LOW || sim_random(device) < 0.3;

	t->goal_lat = home ? t->home_lat : t->home_lat + 0.06 * north;
	t->goal_lon = home ? t->home_lon : t->home_lon + 0.09 * east;
	t->moving = true;
}

static void arrive(struct sim_device *device)
{
	struct sim_tracker *t = &device->tracker;

	t->lat = t->goal_lat;
	t->lon = t->goal_lon;
	t->speed = 0;
	t->moving = false;
	t->parked_until_ms = device->at_ms + 300000 + (int64_t)(2400000 * sim_random(device));
}

static void drive(struct sim_device *device)
{
	struct sim_tracker *t = &device->tracker;
	double seconds = (double)device->kind->step_ms / 1000;
	double east = east_metres(t, t->goal_lon), north = north_metres(t, t->goal_lat);
	double rest = hypot(east, north);

	t->speed = 8 + 6 * sim_random(device);
	t->battery = fmax(t->battery - 0.003 * seconds, 1);
	if (rest <= t->speed * seconds) {
		arrive(device);
		return;
	}
	t->lat += (t->goal_lat - t->lat) * t->speed * seconds / rest;
	t->lon += (t->goal_lon - t->lon) * t->speed * seconds / rest;
}

static void step(struct sim_device *device)
{
	struct sim_tracker *t = &device->tracker;

	if (t->moving) {
		drive(device);
		return;
	}
	if (at_home(t))
		t->battery = fmin(t->battery + 0.01 * (double)device->kind->step_ms / 1000, 100);
	if (device->at_ms >= t->parked_until_ms && t->battery > 5)
		leave(device);
}

static void location_read(const struct sim_device *device, struct sim_reading *reading)
{
	sim_number(reading, "lat", device->tracker.lat, 6, "lat", 1);
	sim_number(reading, "lon", device->tracker.lon, 6, "lon", 1);
	reading->text_n = 2;
}

static void status_read(const struct sim_device *device, struct sim_reading *reading)
{
	const struct sim_tracker *t = &device->tracker;
	const char *status = t->moving ? "moving" : "parked";

	if (t->battery < BATTERY_ALERT)
		status = "alert";
	sim_text(reading, "status", status);
	sim_number(reading, "battery", t->battery, 0, "%EL", 1);
	sim_number(reading, "speed", t->speed, 1, "m/s", 1);
}

static const struct sim_point points[] = {
    {"location", "Position", "location", "core.s", 0.0001, false, location_read, NULL},
    {"status", "Status", "status", "core.s", 0, false, status_read, NULL},
};

const struct sim_kind sim_tracker = {"tracker", 5000, points, sizeof(points) / sizeof(points[0]), begin, step};
