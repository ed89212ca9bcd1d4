/* Hash table; see table.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "table.h"

#include <copse/types.h>

#include <string.h>

uint32_t core_table_slots(uint32_t cap)
{
	uint32_t n = 4;
	while (n < 2 * cap)
		n += n;
	return n;
}

void core_table_init(struct core_table *t, struct core_slot *slot, uint32_t slots)
{
	COPSE_ASSERT((slots & (slots - 1)) == 0);
	t->slot = slot;
	t->mask = slots - 1;
	memset(slot, 0, slots * sizeof *slot);
}

void core_table_insert(struct core_table *t, uint32_t hash, uint32_t value)
{
	uint32_t i = hash & t->mask;
	while (t->slot[i].value != 0)
		i = (i + 1) & t->mask;
	t->slot[i] = (struct core_slot){hash, value};
}

void core_table_remove(struct core_table *t, uint32_t hash, uint32_t value)
{
	uint32_t hole = hash & t->mask;
	while (t->slot[hole].value != value) {
		COPSE_ASSERT(t->slot[hole].value != 0);
		hole = (hole + 1) & t->mask;
	}
	/* Move back every follower whose own place is not behind the hole. */
	for (uint32_t i = (hole + 1) & t->mask; t->slot[i].value != 0; i = (i + 1) & t->mask) {
		const uint32_t distance = (i - t->slot[i].hash) & t->mask;
		if (distance >= ((i - hole) & t->mask)) {
			t->slot[hole] = t->slot[i];
			hole = i;
		}
	}
	t->slot[hole].value = 0;
}
