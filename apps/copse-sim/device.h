/* A simulated device: its kind, its MAC ID, and values that change with time.
 *
 * A device is a model and nothing else: no socket, no clock. Time is given, in milliseconds since 1970 of the device's own
 * world, and may run faster than the clock. The same seed and the same times give the same values, however often
 * they were asked for in between: models move in steps of a fixed length.
 *
 * Owned by one thread.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_DEVICE_H
#define COPSE_SIM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_FIELDS_MAX   4
#define SIM_POINTS_MAX   3
#define SIM_TEXT_MAX     96
#define SIM_SCHEDULE_MAX 8

#define SIM_HOUR_MS 3600000
#define SIM_DAY_MS  86400000

/* Longest course that is computed step by step when nobody has asked for long; what is older is skipped. */
#define SIM_STEPS_MAX 100000

/* One value with its name and unit. */
struct sim_field {
	const char *name;
	const char *unit; /* of SenML (RFC 8428 §12.1); NULL: none */
	double scale;     /* from the value shown to that unit */
	bool is_text;
	uint8_t decimals;
	double number;
	char text[SIM_TEXT_MAX];
};

/* What a resource says. As plain text the first `text_n` fields stand, separated by commas. */
struct sim_reading {
	unsigned field_n, text_n;
	struct sim_field field[SIM_FIELDS_MAX];
};

/* What a client wrote: always as text, and as a number when it is one. */
struct sim_input {
	bool is_number;
	double number;
	char text[SIM_TEXT_MAX];
};

struct sim_device;

/* A resource. */
struct sim_point {
	const char *name, *title, *rt, *interface;
	double deadband; /* observers hear of a number when it has moved by this much; 0: of every change */
	bool posts;      /* takes POST as well as PUT */

	void (*read)(const struct sim_device *device, struct sim_reading *reading);

	/* Returns NULL, or why the value cannot be taken: then nothing has changed. NULL for what can only be read. */
	const char *(*write)(struct sim_device *device, const struct sim_input *input, bool post);
};

struct sim_kind {
	const char *name;
	int64_t step_ms;
	const struct sim_point *point;
	unsigned point_n;
	void (*begin)(struct sim_device *device);
	void (*step)(struct sim_device *device); /* from `at_ms` by step_ms */
};

struct sim_meter {
	double energy_kwh, power_w, base_w, noise;
	unsigned tariff;
	bool on;
	unsigned kettle; /* steps that something strong is still running for */
};

struct sim_entry {
	uint16_t minute; /* of the day */
	double setpoint;
};

struct sim_thermostat {
	double room, setpoint;
	bool heating;
	struct sim_entry entry[SIM_SCHEDULE_MAX];
	unsigned entry_n;
	int current; /* the entry in force, -1 before the first */
};

struct sim_light {
	unsigned percent;
	int64_t held_until_ms; /* somebody has set it: the inhabitants leave it alone */
};

struct sim_climate {
	double temperature, humidity, drift, damp;
};

struct sim_tracker {
	double lat, lon, home_lat, home_lon, goal_lat, goal_lon, speed, battery;
	int64_t parked_until_ms;
	bool moving;
};

struct sim_device {
	const struct sim_kind *kind;
	uint64_t mac;    /* EUI-64 */
	uint64_t random; /* state of its own generator */
	int64_t at_ms;   /* the model has come to this time */
	union {
		struct sim_meter meter;
		struct sim_thermostat thermostat;
		struct sim_light light;
		struct sim_climate climate;
		struct sim_tracker tracker;
	};
};

extern const struct sim_kind sim_meter, sim_thermostat, sim_light, sim_climate, sim_tracker;

/* The kind of that name (`len` bytes), or NULL; the i-th kind, from 0, or NULL behind the last. */
const struct sim_kind *sim_kind_find(const char *name, size_t len);
const struct sim_kind *sim_kind_at(size_t i);

/* Device number `index` of the neighbourhood that `seed` makes, at `now_ms`. */
void sim_device_init(struct sim_device *device, const struct sim_kind *kind, uint64_t seed, uint32_t index,
		     int64_t now_ms);

/* Let the model come to `now_ms`; earlier than it has come already: no effect. */
void sim_device_advance(struct sim_device *device, int64_t now_ms);

/* Whether observers are to be told of `now`, having been told of `before`. */
bool sim_point_changed(const struct sim_point *point, const struct sim_reading *before,
		       const struct sim_reading *now);

/* Evenly distributed over [0, 1); roughly normal with mean 0 and deviation 1. */
double sim_random(struct sim_device *device);
double sim_noise(struct sim_device *device);

/* The hour of the device's day, [0, 24). */
double sim_hour(const struct sim_device *device);

/* Append a field. */
struct sim_field *sim_number(struct sim_reading *reading, const char *name, double value, unsigned decimals,
			     const char *unit, double scale);
struct sim_field *sim_text(struct sim_reading *reading, const char *name, const char *text);

#endif
