/* A hash table of numbers under 32-bit hashes: open addressing, linear probing, removal by shifting back, so that
 * no tombstone ever lengthens a search. The caller supplies slots and keyed hashes, and compares the records.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct core_slot {
	uint32_t hash;
	uint32_t value; /* 0: the slot is free */
};

struct core_table {
	struct core_slot *slot;
	uint32_t mask; /* slots - 1; slots are a power of two */
};

/* How many slots a table for `cap` values has: at most half of them are ever in use. */
uint32_t core_table_slots(uint32_t cap);

void core_table_init(struct core_table *t, struct core_slot *slot, uint32_t slots);

/* Insert `value`, not 0. The caller keeps the count within the capacity that the slots were sized for. */
void core_table_insert(struct core_table *t, uint32_t hash, uint32_t value);

/* Remove `value` from under `hash`, where it must be (asserted). */
void core_table_remove(struct core_table *t, uint32_t hash, uint32_t value);

/* Walk the values under `hash`: begin with `*pos` = hash & t->mask; 0 at the end. */
static inline uint32_t core_table_next(const struct core_table *t, uint32_t hash, uint32_t *pos)
{
	for (;;) {
		const struct core_slot *s = &t->slot[*pos];
		*pos = (*pos + 1) & t->mask;
		if (s->value == 0 || s->hash == hash)
			return s->value;
	}
}

#endif
