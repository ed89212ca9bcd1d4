/* A bad link as a transport: stands in front of another one and loses, delays and sleeps through datagrams.
 *
 * What comes is lost with the given chance, and while the device sleeps. What goes is lost with the
 * same chance, or leaves later. At most WEATHER_HELD_MAX datagrams wait at a time; beyond, the newest is lost and counted.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_WEATHER_H
#define COPSE_SIM_WEATHER_H

#include <copse/transport.h>

#define WEATHER_HELD_MAX 64

struct weather_config {
	double loss; /* chance, 0 to 1 */
	uint32_t delay_min_ms, delay_max_ms;
	uint32_t sleep_period_ms; /* 0: never asleep */
	uint32_t sleep_awake_ms;  /* out of each period, and after all traffic */
	uint64_t seed;            /* of losses, delays and the phase of the sleep */
};

struct weather_counters {
	uint64_t lost_in, lost_out, delayed, slept, overflow;
};

/* Put weather in front of `inner`, which belongs to it from now on.
 * Returns the transport, or NULL without memory: `inner` is still the caller's then. */
struct copse_transport *weather_new(struct copse_transport *inner, const struct weather_config *config);

/* When a device with this weather wakes up next, later than `now`. It has to sleep at times. */
copse_ms weather_wakes(const struct weather_config *config, copse_ms now);

/* What happened so far on a transport made by weather_new. */
const struct weather_counters *weather_counters(const struct copse_transport *t);

/* The transport behind it. */
struct copse_transport *weather_inner(const struct copse_transport *t);

#endif
