/* See rate.h. What is left is counted in millionths, so that it grows by `thousandths` in each millisecond.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "rate.h"

#include <copse/mem.h>

#include "core/siphash.h"
#include "core/table.h"

#include <string.h>

#define ONE 1000000u

struct bucket {
	uint64_t name, left;
	copse_ms at;           /* when `left` was right */
	uint32_t older, newer; /* in the order of use: number + 1 */
};

struct gw_rates {
	struct bucket *bucket;
	uint32_t max, count; /* the first `count` are in use */
	uint32_t oldest, newest;
	struct core_table names;
	uint64_t key[2];
};

struct gw_rates *gw_rates_new(uint32_t max, const uint64_t key[2])
{
	struct gw_rates *t = copse_mem_new(1, sizeof(*t));
	uint32_t slots = core_table_slots(max);

	COPSE_ASSERT(max > 0);
	if (!t)
		return NULL;
	t->max = max;
	t->bucket = copse_mem_new(max, sizeof(*t->bucket));
	t->names.slot = copse_mem_new(slots, sizeof(struct core_slot));
	if (!t->bucket || !t->names.slot) {
		gw_rates_free(t);
		return NULL;
	}
	core_table_init(&t->names, t->names.slot, slots);
	memcpy(t->key, key, sizeof(t->key));
	return t;
}

void gw_rates_free(struct gw_rates *t)
{
	if (!t)
		return;
	copse_mem_free(t->bucket);
	copse_mem_free(t->names.slot);
	copse_mem_free(t);
}

static struct bucket *find(const struct gw_rates *t, uint64_t name)
{
	uint32_t hash = (uint32_t)name, pos = hash & t->names.mask, found;

	while ((found = core_table_next(&t->names, hash, &pos)) != 0)
		if (t->bucket[found - 1].name == name)
			return &t->bucket[found - 1];
	return NULL;
}

static uint32_t number(const struct gw_rates *t, const struct bucket *b)
{
	return (uint32_t)(b - t->bucket) + 1;
}

static void unuse(struct gw_rates *t, struct bucket *b)
{
	*(b->older ? &t->bucket[b->older - 1].newer : &t->oldest) = b->newer;
	*(b->newer ? &t->bucket[b->newer - 1].older : &t->newest) = b->older;
}

static void use(struct gw_rates *t, struct bucket *b)
{
	b->older = t->newest;
	b->newer = 0;
	*(t->newest ? &t->bucket[t->newest - 1].newer : &t->oldest) = number(t, b);
	t->newest = number(t, b);
}

/* A bucket that is not in the table, not yet in the order of use. */
static struct bucket *make(struct gw_rates *t, uint64_t name)
{
	struct bucket *b;

	if (t->count < t->max) {
		b = &t->bucket[t->count++];
	} else {
		b = &t->bucket[t->oldest - 1];
		unuse(t, b);
		core_table_remove(&t->names, (uint32_t)b->name, number(t, b));
	}
	b->name = name;
	core_table_insert(&t->names, (uint32_t)name, number(t, b));
	return b;
}

copse_ms gw_rates_take(struct gw_rates *t, const void *name, size_t len, const struct gw_rate *rate,
		       copse_ms now)
{
	uint64_t full = (uint64_t)rate->burst * ONE, hash;
	struct bucket *b;

	if (rate->thousandths == 0)
		return 0;
	hash = core_siphash(t->key, name, len, 2, 4);
	b = find(t, hash);
	if (b) {
		copse_ms span = now - b->at;
		/* what fills any bucket, so that the product does not overflow */
		b->left = span > full / rate->thousandths ? full : b->left + span * rate->thousandths;
		unuse(t, b);
	} else {
		b = make(t, hash);
		b->left = full;
	}
	b->at = now;
	if (b->left > full)
		b->left = full;
	use(t, b);
	if (b->left < ONE)
		return (ONE - b->left + rate->thousandths - 1) / rate->thousandths;
	b->left -= ONE;
	return 0;
}

uint32_t gw_rates_count(const struct gw_rates *t)
{
	return t->count;
}
