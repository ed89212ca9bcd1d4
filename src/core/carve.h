/* Cutting the one block of memory that a caller supplies into arrays.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_CARVE_H
#define CORE_CARVE_H

#include <stddef.h>
#include <stdint.h>

/* With `base` NULL it only measures: `used` is the size of the block then. */
struct core_carver {
	uint8_t *base;
	size_t used;
};

/* The next `n` pieces of `size` bytes, aligned for uint64_t; NULL when only measuring. */
static inline void *core_carve(struct core_carver *c, size_t n, size_t size)
{
	const size_t at = c->used;
	c->used += (n * size + 7) & ~(size_t)7;
	return c->base ? c->base + at : NULL;
}

#endif
