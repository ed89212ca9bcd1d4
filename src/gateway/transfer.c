/* See transfer.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "transfer.h"

#include <copse/mem.h>

#include "core/table.h"

#include <string.h>

/* Row: from; bit: to. */
static const uint8_t legal[] = {
    [GW_TRANSFER_FREE] = 1 << GW_TRANSFER_HELD | 1 << GW_TRANSFER_SEND | 1 << GW_TRANSFER_RECEIVE,
    [GW_TRANSFER_HELD] = 1 << GW_TRANSFER_SEND | 1 << GW_TRANSFER_FREE,
    [GW_TRANSFER_SEND] = 1 << GW_TRANSFER_RECEIVE | 1 << GW_TRANSFER_FREE,
    [GW_TRANSFER_RECEIVE] = 1 << GW_TRANSFER_FREE,
};

struct gw_transfers {
	struct gw_transfer *transfer;
	uint8_t *bytes;
	uint32_t cap, count;
	uint64_t serial;
	struct core_table ids, bases, uris;
	struct core_node spare;
	struct core_node idle;  /* by last use: those without a request under way, and those held */
	struct core_node ready; /* held, with nothing in the way any more */
	uint64_t key;
};

static bool make_table(struct core_table *t, uint32_t cap)
{
	uint32_t slots = core_table_slots(cap);
	struct core_slot *slot = copse_mem_new(slots, sizeof(*slot));

	if (slot)
		core_table_init(t, slot, slots);
	return slot;
}

struct gw_transfers *gw_transfers_new(uint32_t cap, size_t message_len, const uint64_t key[2])
{
	struct gw_transfers *ts = copse_mem_new(1, sizeof(*ts));

	if (!ts)
		return NULL;
	ts->cap = cap;
	ts->key = key[0];
	ts->transfer = copse_mem_new(cap, sizeof(*ts->transfer));
	ts->bytes = copse_mem_new(cap, message_len);
	if (!ts->transfer || !ts->bytes || !make_table(&ts->ids, cap) || !make_table(&ts->bases, cap) ||
	    !make_table(&ts->uris, cap)) {
		gw_transfers_free(ts);
		return NULL;
	}
	core_node_init(&ts->spare);
	core_node_init(&ts->idle);
	core_node_init(&ts->ready);
	for (uint32_t i = 0; i < cap; i++) {
		ts->transfer[i].bytes = ts->bytes + i * message_len;
		core_node_init(&ts->transfer[i].node);
		core_node_insert(&ts->spare, &ts->transfer[i].node);
	}
	return ts;
}

void gw_transfers_free(struct gw_transfers *ts)
{
	if (!ts)
		return;
	copse_mem_free(ts->transfer);
	copse_mem_free(ts->bytes);
	copse_mem_free(ts->ids.slot);
	copse_mem_free(ts->bases.slot);
	copse_mem_free(ts->uris.slot);
	copse_mem_free(ts);
}

/* The names are keyed hashes already: any of their bits will do. */
static uint32_t hash(const struct gw_transfers *ts, uint64_t name)
{
	return (uint32_t)(name ^ ts->key);
}

uint32_t gw_transfer_number(const struct gw_transfers *ts, const struct gw_transfer *t)
{
	return (uint32_t)(t - ts->transfer) + 1;
}

struct gw_transfer *gw_transfer_at(struct gw_transfers *ts, uint32_t number)
{
	COPSE_ASSERT(number > 0 && number <= ts->cap);
	return &ts->transfer[number - 1];
}

uint32_t gw_transfers_count(const struct gw_transfers *ts)
{
	return ts->count;
}

static void change(struct gw_transfer *t, enum gw_transfer_state state)
{
	COPSE_ASSERT(legal[t->state] >> state & 1);
	t->state = (uint8_t)state;
}

struct gw_transfer *gw_transfer_begin(struct gw_transfers *ts, const struct gw_transfer *names,
				      enum gw_transfer_state state, copse_ms now)
{
	struct core_node *n = core_list_pop(&ts->spare);

	if (!n)
		return NULL;
	struct gw_transfer *t = CORE_OF(n, struct gw_transfer, node);
	uint32_t number = gw_transfer_number(ts, t);
	uint8_t *bytes = t->bytes;
	*t = *names;
	t->bytes = bytes;
	t->state = GW_TRANSFER_FREE;
	t->ready = false;
	t->request = 0;
	t->serial = ++ts->serial;
	t->used = now;
	change(t, state);
	core_node_init(&t->node);
	core_node_insert(&ts->idle, &t->node);
	core_table_insert(&ts->ids, hash(ts, t->id), number);
	core_table_insert(&ts->bases, hash(ts, t->base), number);
	core_table_insert(&ts->uris, hash(ts, t->uri), number);
	ts->count++;
	return t;
}

/* The first of those that were held because of a transfer about `uri`. */
static void wake(struct gw_transfers *ts, uint64_t uri)
{
	uint32_t h = hash(ts, uri), pos = h & ts->uris.mask, found;
	struct gw_transfer *first = NULL;

	while ((found = core_table_next(&ts->uris, h, &pos)) != 0) {
		struct gw_transfer *t = &ts->transfer[found - 1];
		if (t->uri == uri && t->state == GW_TRANSFER_HELD && (!first || t->serial < first->serial))
			first = t;
	}
	if (!first || first->ready)
		return;
	first->ready = true;
	core_node_remove(&first->node);
	core_node_insert(&ts->ready, &first->node);
}

void gw_transfer_end(struct gw_transfers *ts, struct gw_transfer *t)
{
	uint32_t number = gw_transfer_number(ts, t);

	change(t, GW_TRANSFER_FREE);
	core_table_remove(&ts->ids, hash(ts, t->id), number);
	core_table_remove(&ts->bases, hash(ts, t->base), number);
	core_table_remove(&ts->uris, hash(ts, t->uri), number);
	core_node_remove(&t->node);
	core_node_insert(&ts->spare, &t->node);
	ts->count--;
	wake(ts, t->uri);
}

void gw_transfer_enter(struct gw_transfers *ts, struct gw_transfer *t, enum gw_transfer_state state)
{
	(void)ts;
	change(t, state);
}

void gw_transfer_set_request(struct gw_transfers *ts, struct gw_transfer *t, uint32_t request, copse_ms now)
{
	t->request = request;
	t->used = now;
	core_node_remove(&t->node);
	if (!request || t->state == GW_TRANSFER_HELD)
		core_node_insert(&ts->idle, &t->node);
}

struct gw_transfer *gw_transfer_find(struct gw_transfers *ts, const struct copse_peer *client, uint64_t id)
{
	uint32_t h = hash(ts, id), pos = h & ts->ids.mask, found;

	while ((found = core_table_next(&ts->ids, h, &pos)) != 0) {
		struct gw_transfer *t = &ts->transfer[found - 1];
		if (t->id == id && !t->over && copse_peer_equal(&t->client, client))
			return t;
	}
	return NULL;
}

struct gw_transfer *gw_transfer_find_answer(struct gw_transfers *ts, const struct copse_peer *client,
					    uint64_t base)
{
	uint32_t h = hash(ts, base), pos = h & ts->bases.mask, found;

	while ((found = core_table_next(&ts->bases, h, &pos)) != 0) {
		struct gw_transfer *t = &ts->transfer[found - 1];
		if (t->base == base && t->state == GW_TRANSFER_RECEIVE && !t->over &&
		    copse_peer_equal(&t->client, client))
			return t;
	}
	return NULL;
}

static bool in_the_way(const struct gw_transfer *t, const struct gw_transfer *names, bool behind)
{
	if (t->state == GW_TRANSFER_HELD && !behind)
		return false;
	if (!copse_peer_equal(&t->client, &names->client))
		return true;
	/* the client's own: what it gave up must be over at the device; and two of its bodies must not mix either */
	return !names->plain && (t->over || t->id != names->id);
}

bool gw_transfers_conflict(const struct gw_transfers *ts, const struct gw_transfer *names, bool behind)
{
	uint32_t h = hash(ts, names->uri), pos = h & ts->uris.mask, found;

	while ((found = core_table_next(&ts->uris, h, &pos)) != 0) {
		const struct gw_transfer *t = &ts->transfer[found - 1];
		if (t->uri == names->uri && t != names && in_the_way(t, names, behind))
			return true;
	}
	return false;
}

bool gw_transfers_about(const struct gw_transfers *ts, uint64_t uri)
{
	uint32_t h = hash(ts, uri), pos = h & ts->uris.mask, found;

	while ((found = core_table_next(&ts->uris, h, &pos)) != 0)
		if (ts->transfer[found - 1].uri == uri)
			return true;
	return false;
}

struct gw_transfer *gw_transfers_ready(struct gw_transfers *ts)
{
	struct core_node *n = core_list_pop(&ts->ready);

	if (!n)
		return NULL;
	struct gw_transfer *t = CORE_OF(n, struct gw_transfer, node);
	t->ready = false;
	return t;
}

copse_ms gw_transfers_deadline(const struct gw_transfers *ts, copse_ms idle_ms)
{
	if (core_node_alone(&ts->idle))
		return COPSE_NEVER;
	return CORE_OF((uintptr_t)ts->idle.next, struct gw_transfer, node)->used + idle_ms;
}

struct gw_transfer *gw_transfers_overdue(struct gw_transfers *ts, copse_ms idle_ms, copse_ms now)
{
	if (gw_transfers_deadline(ts, idle_ms) > now)
		return NULL;
	return CORE_OF(ts->idle.next, struct gw_transfer, node);
}
