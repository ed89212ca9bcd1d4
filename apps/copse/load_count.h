/* A histogram of times whose error is bounded and whose memory is not a matter of how many there are: 64 classes for each
 * power of two, so that a value is known within 1.6 %.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LOAD_COUNT_H
#define COPSE_TOOL_LOAD_COUNT_H

#include <stddef.h>
#include <stdint.h>

#define LOAD_COUNT_BITS    6
#define LOAD_COUNT_CLASSES ((64 - LOAD_COUNT_BITS + 1) << LOAD_COUNT_BITS)

/* Zeros are an empty one. */
struct load_count {
	uint64_t n, sum, least, most;
	uint64_t class[LOAD_COUNT_CLASSES];
};

void load_count_add(struct load_count *c, uint64_t value);

/* The least value that at least `parts` of `of` values do not exceed: 99 of 100 for p99. It is the upper end of its
 * class, and never more than the greatest value. 0 when there are none. */
uint64_t load_count_at(const struct load_count *c, uint64_t parts, uint64_t of);

/* The arithmetic mean; 0 when there are none. */
uint64_t load_count_mean(const struct load_count *c);

#endif
