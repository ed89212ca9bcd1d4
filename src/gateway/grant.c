/* See grant.h. Numbers are + 1, 0 for none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "grant.h"

#include <copse/mem.h>

#include "core/siphash.h"
#include "core/table.h"

#include <string.h>

struct record {
	struct gw_grant grant;
	uint32_t hash, holders, next_free;
	uint64_t serial;
};

struct gw_grants {
	struct record *record;
	uint32_t max, used; /* records from `used` on have never been taken */
	uint32_t free, count;
	struct core_table table;
	uint64_t key[2], serial;
};

struct gw_grants *gw_grants_new(uint32_t max, const uint64_t key[2])
{
	struct gw_grants *t = copse_mem_new(1, sizeof(*t));
	uint32_t slots = core_table_slots(max);

	if (!t)
		return NULL;
	t->max = max;
	t->record = copse_mem_new(max, sizeof(*t->record));
	t->table.slot = copse_mem_new(slots, sizeof(struct core_slot));
	if (!t->record || !t->table.slot) {
		gw_grants_free(t);
		return NULL;
	}
	core_table_init(&t->table, t->table.slot, slots);
	memcpy(t->key, key, sizeof(t->key));
	return t;
}

void gw_grants_free(struct gw_grants *t)
{
	if (!t)
		return;
	copse_mem_free(t->record);
	copse_mem_free(t->table.slot);
	copse_mem_free(t);
}

static uint32_t find(const struct gw_grants *t, const struct gw_grant *grant, uint32_t hash)
{
	uint32_t pos = hash & t->table.mask, found;

	while ((found = core_table_next(&t->table, hash, &pos)) != 0)
		if (memcmp(&t->record[found - 1].grant, grant, sizeof(*grant)) == 0)
			return found;
	return 0;
}

static uint32_t make(struct gw_grants *t, const struct gw_grant *grant, uint32_t hash)
{
	uint32_t n = t->free;

	if (n)
		t->free = t->record[n - 1].next_free;
	else if (t->used < t->max)
		n = ++t->used;
	else
		return 0;
	t->count++;
	t->record[n - 1].hash = hash;
	t->record[n - 1].holders = 0;
	t->record[n - 1].serial = ++t->serial;
	memcpy(&t->record[n - 1].grant, grant,
	       sizeof(*grant)); /* with its padding: it is compared by bytes */
	core_table_insert(&t->table, hash, n);
	return n;
}

uint32_t gw_grants_take(struct gw_grants *t, const struct gw_grant *grant)
{
	uint32_t hash = (uint32_t)core_siphash(t->key, grant, sizeof(*grant), 1, 3);
	uint32_t n = find(t, grant, hash);

	if (!n)
		n = make(t, grant, hash);
	if (n)
		t->record[n - 1].holders++;
	return n;
}

void gw_grants_release(struct gw_grants *t, uint32_t n)
{
	struct record *r = n ? &t->record[n - 1] : NULL;

	if (!r)
		return;
	COPSE_ASSERT(n <= t->used && r->holders > 0);
	if (--r->holders > 0)
		return;
	core_table_remove(&t->table, r->hash, n);
	r->next_free = t->free;
	t->free = n;
	t->count--;
}

const struct gw_grant *gw_grants_at(const struct gw_grants *t, uint32_t n)
{
	return n ? &t->record[n - 1].grant : NULL;
}

uint64_t gw_grants_serial(const struct gw_grants *t, uint32_t n)
{
	return n ? t->record[n - 1].serial : 0;
}

bool gw_grant_allows(const struct gw_grant *g, const struct copse_message *m, const char *name,
		     const char *alias)
{
	if (!g)
		return true;
	for (unsigned i = g->allow_n; i < g->allow_n + (unsigned)g->deny_n; i++)
		if (gw_rule_touches(&g->rule[i], m, name, alias))
			return false;
	for (unsigned i = 0; i < g->allow_n; i++)
		if (gw_rule_matches(&g->rule[i], m, name, alias))
			return true;
	return !g->limited;
}

bool gw_grant_hides(const struct gw_grant *g, const char *name, const char *alias)
{
	if (!g)
		return false;
	for (unsigned i = g->allow_n; i < g->allow_n + (unsigned)g->deny_n; i++)
		if (gw_rule_reach(&g->rule[i], name, alias) == GW_RULE_ALL)
			return true;
	for (unsigned i = 0; i < g->allow_n; i++)
		if (gw_rule_reach(&g->rule[i], name, alias) != GW_RULE_NOTHING)
			return false;
	return g->limited;
}

uint32_t gw_grants_count(const struct gw_grants *t)
{
	return t->count;
}
