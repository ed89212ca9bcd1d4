/* See load_count.h. Values below 64 have classes of their own; above, the six bits behind the highest one tell the class.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_count.h"

static size_t class_of(uint64_t value)
{
	unsigned shift;

	if (value < (1u << LOAD_COUNT_BITS))
		return (size_t)value;
	shift = 63u - (unsigned)__builtin_clzll(value) - LOAD_COUNT_BITS;
	/* (value >> shift) is 64 to 127 */
	return (((size_t)shift + 1) << LOAD_COUNT_BITS) + (size_t)(value >> shift) - (1u << LOAD_COUNT_BITS);
}

static uint64_t end_of(size_t class)
{
	size_t shift = class >> LOAD_COUNT_BITS;
	uint64_t low = class & ((1u << LOAD_COUNT_BITS) - 1);

	if (shift == 0)
		return low;
	shift--;
	low += 1u << LOAD_COUNT_BITS;
	return (low << shift) + (((uint64_t)1 << shift) - 1);
}

void load_count_add(struct load_count *c, uint64_t value)
{
	if (c->n == 0 || value < c->least)
		c->least = value;
	if (value > c->most)
		c->most = value;
	c->n++;
	c->sum += value;
	c->class[class_of(value)]++;
}

/* parts * n / of, rounded up, without leaving 64 bits. */
static uint64_t rank(uint64_t n, uint64_t parts, uint64_t of)
{
	uint64_t r = n / of * parts + (n % of * parts + of - 1) / of;

	return r ? r : 1;
}

uint64_t load_count_at(const struct load_count *c, uint64_t parts, uint64_t of)
{
	uint64_t seen = 0, wanted = rank(c->n, parts, of);

	for (size_t i = 0; i < LOAD_COUNT_CLASSES; i++) {
		seen += c->class[i];
		if (c->n && seen >= wanted)
			return end_of(i) < c->most ? end_of(i) : c->most;
	}
	return 0;
}

uint64_t load_count_mean(const struct load_count *c)
{
	return c->n ? c->sum / c->n : 0;
}
