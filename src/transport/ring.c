/* See ring.h. Each side looks at the other's counter only when what it saw last does not do: the line with it goes back and
 * forth as seldom as it can.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ring.h"

#include <copse/error.h>
#include <copse/mem.h>

bool ring_init(struct ring *r, uint32_t slots, size_t slot_size)
{
	uint32_t n = 1;

	COPSE_ASSERT(slots > 0 && slots <= 1u << 24 && slot_size > 0);
	while (n < slots)
		n *= 2;
	r->slots = copse_mem_new(n, slot_size);
	r->slot_size = slot_size;
	r->mask = n - 1;
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	r->seen_head = r->seen_tail = 0;
	return r->slots != NULL;
}

void ring_free(struct ring *r)
{
	copse_mem_free(r->slots);
	r->slots = NULL;
}

static void *slot_at(const struct ring *r, uint32_t position)
{
	return r->slots + (size_t)(position & r->mask) * r->slot_size;
}

void *ring_reserve(struct ring *r, uint32_t spare)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - r->seen_tail + spare > r->mask) {
		r->seen_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head - r->seen_tail + spare > r->mask)
			return NULL;
	}
	return slot_at(r, head);
}

void ring_commit(struct ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store(&r->head, head + 1); /* ordered before the look at `sleeping` */
}

void *ring_first(struct ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == r->seen_head) {
		r->seen_head = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail == r->seen_head)
			return NULL;
	}
	return slot_at(r, tail);
}

void ring_release(struct ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

uint32_t ring_used(const struct ring *r)
{
	uint32_t tail = atomic_load(&r->tail); /* first: so the difference is never negative */

	return atomic_load(&r->head) - tail;
}
