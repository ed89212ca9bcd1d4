/* Flights: requests that are under way to a device, by cache-key, for others to join, and by resource, so that one that
 * changes the resource keeps the answers of those before it out of the cache.
 *
 * A flight has the number of its request, 1 to `max`. Memory is taken once.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_FLIGHT_H
#define GATEWAY_FLIGHT_H

#include "cache_key.h"

struct gw_flights;

/* `key` is random and secret. Returns NULL without memory. */
struct gw_flights *gw_flights_new(uint32_t max, const uint64_t key[2]);

/* NULL is taken. */
void gw_flights_free(struct gw_flights *flights);

/* The flight with this key that may be joined, or 0. */
uint32_t gw_flights_find(const struct gw_flights *flights, const struct gw_cache_key *key);

/* Flight `number`, which there is not, begins. There is none with its key (asserted). */
void gw_flights_begin(struct gw_flights *flights, uint32_t number, const struct gw_cache_key *key);

/* Whether it would be open if it ended now. */
bool gw_flights_is_open(const struct gw_flights *flights, uint32_t number);

/* Flight `number` ends; no effect when there is none. Returns whether it was open to the end: what it brings is no
 * older than any change of its resource that this gateway knows of. */
bool gw_flights_end(struct gw_flights *flights, uint32_t number);

/* The resource has changed: its flights are joined by nobody any more. */
void gw_flights_close(struct gw_flights *flights, uint64_t uri);

#endif
