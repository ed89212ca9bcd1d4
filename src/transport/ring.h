/* A ring between two threads: one puts, one takes, in order, without lock. Slots of a fixed size; what is put is written
 * where it stays, and read there.
 *
 * The putting thread:	slot = ring_reserve(r, 0); write it; ring_commit(r)
 * The taking thread:	slot = ring_first(r); read it; ring_release(r)
 *
 * What was written before ring_commit is seen after ring_first. A ring does not wake anybody. Who takes may go to sleep
 * like this, and nothing is missed:
 *
 *	the taking thread:	store `sleeping` = true; if (!ring_is_empty(r)) stay awake
 *	the putting thread:	ring_commit(r); if (exchange `sleeping` by false) wake the other
 *
 * with `sleeping` an atomic of sequential order, as the ring's own are.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TRANSPORT_RING_H
#define TRANSPORT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_LINE 64 /* of the cache: what one thread writes lies apart from what the other writes */

/* All members are private. C11 atomics rather than a library whose fences ThreadSanitizer cannot see. */
struct ring {
	/* neither's */
	uint8_t *slots;
	size_t slot_size;
	uint32_t mask;
	/* the putting thread's; both count on and wrap */
	uint8_t apart_head[RING_LINE];
	_Atomic uint32_t head;
	uint32_t seen_tail; /* not later than `tail` */
	/* the taking thread's */
	uint8_t apart_tail[RING_LINE];
	_Atomic uint32_t tail;
	uint32_t seen_head;
	uint8_t apart_end[RING_LINE];
};

/* Make a ring of `slots` slots or more, 1 to 2^24, of `slot_size` bytes each, aligned for any object of that size.
 * Returns false without memory; then ring_free is still allowed, as it is for a ring of zeros. */
bool ring_init(struct ring *r, uint32_t slots, size_t slot_size);
void ring_free(struct ring *r);

/* A slot to be written, when more than `spare` are free; else NULL. Without commit the next call returns the same. */
void *ring_reserve(struct ring *r, uint32_t spare);
void ring_commit(struct ring *r);

/* The oldest slot, or NULL. Without release the next call returns the same. */
void *ring_first(struct ring *r);
void ring_release(struct ring *r);

/* By any thread: a moment ago. */
uint32_t ring_used(const struct ring *r);

static inline bool ring_is_empty(const struct ring *r)
{
	return ring_used(r) == 0;
}

static inline uint32_t ring_capacity(const struct ring *r)
{
	return r->mask + 1;
}

#endif
