/* The generator of everything that looks random here: seeded, the same on every machine, not for secrets.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_RANDOM_H
#define COPSE_SIM_RANDOM_H

#include <stdint.h>

/* Splitmix64: neighbouring numbers become unlike ones. */
static inline uint64_t sim_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Xorshift64*: `*state` is not 0. The upper bits are the good ones. */
static inline uint64_t sim_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

#endif
