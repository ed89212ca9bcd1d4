/* Rates: token buckets, one for each name (an account, a device), in a fixed table.
 *
 * A bucket that is full is as good as none: when the table is full, the bucket that was used least recently goes. Names are
 * kept as keyed hashes of 64 bits. Memory is taken once; one worker owns a table.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_RATE_H
#define GATEWAY_RATE_H

#include <copse/types.h>

struct gw_rates;

struct gw_rate {
	uint32_t thousandths; /* a second, up to 1,000,000,000; 0: no limit */
	uint32_t burst;       /* at once, 1 to 1,000,000 */
};

/* A table for `max` names, 1 or more; `key` is random and secret. Returns NULL without memory. */
struct gw_rates *gw_rates_new(uint32_t max, const uint64_t key[2]);

/* NULL is taken. */
void gw_rates_free(struct gw_rates *rates);

/* Take one from the bucket of the `len` bytes at `name`.
 * Returns 0; or, when it is empty and nothing was taken, after how many milliseconds there will be one. */
copse_ms gw_rates_take(struct gw_rates *rates, const void *name, size_t len, const struct gw_rate *rate,
		       copse_ms now);

uint32_t gw_rates_count(const struct gw_rates *rates);

#endif
