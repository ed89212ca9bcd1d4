/* Timers in a binary heap: the earliest is known at once, setting and clearing one costs the depth of the heap.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_HEAP_H
#define CORE_HEAP_H

#include <copse/types.h>

struct core_timer {
	copse_ms at;
	uint32_t pos; /* place in the heap, from 1; 0: not set */
};

struct core_heap {
	struct core_timer **timer; /* from 1: `cap + 1` pointers, the caller's */
	uint32_t n;
	uint32_t cap;
};

/* Set `t` to go off at `at`, whether or not it was set before. The caller has no more than `cap` timers. */
void core_heap_set(struct core_heap *h, struct core_timer *t, copse_ms at);

/* Clear `t`; no effect when it is not set. */
void core_heap_clear(struct core_heap *h, struct core_timer *t);

/* The earliest timer, or NULL. */
static inline struct core_timer *core_heap_first(const struct core_heap *h)
{
	return h->n ? h->timer[1] : NULL;
}

#endif
