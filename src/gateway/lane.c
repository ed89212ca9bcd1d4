/* See lane.h. Numbers of lanes, requests and places are + 1, 0 for none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "lane.h"

#include <copse/mem.h>

#include "core/siphash.h"
#include "core/table.h"

#include <string.h>

struct lane {
	struct copse_peer device;
	uint32_t hash;
	uint32_t active, waiting, steps; /* `waiting`: steps of transfers not among them */
	bool on_step;                    /* what went last was one */
	uint32_t first, last;            /* places of those that wait */
	uint32_t next_free;
};

/* A message that waits; the bytes are at the same number of `bytes`. */
struct place {
	uint32_t number, next;
	bool step;
	size_t len;
};

struct gw_lanes {
	struct gw_lane_bounds bounds;
	struct lane *lane;
	struct place *place;
	uint8_t *bytes;
	uint32_t lane_free, lanes, place_free, waiting, steps;
	struct core_table devices;
	uint64_t key[2];
	struct copse_endpoint *hasher; /* may be NULL */
};

static uint32_t places(const struct gw_lane_bounds *bounds)
{
	return bounds->waiting + bounds->steps;
}

static void free_all(struct gw_lanes *l)
{
	for (uint32_t i = l->bounds.requests; i > 0; i--) {
		l->lane[i - 1].next_free = l->lane_free;
		l->lane_free = i;
	}
	for (uint32_t i = places(&l->bounds); i > 0; i--) {
		l->place[i - 1].next = l->place_free;
		l->place_free = i;
	}
}

struct gw_lanes *gw_lanes_new(const struct gw_lane_bounds *bounds, const uint64_t key[2])
{
	struct gw_lanes *l = copse_mem_new(1, sizeof(*l));
	uint32_t slots = core_table_slots(bounds->requests);

	if (!l)
		return NULL;
	l->bounds = *bounds;
	l->lane = copse_mem_new(bounds->requests, sizeof(*l->lane));
	l->place = copse_mem_new(places(bounds), sizeof(*l->place));
	l->bytes = copse_mem_new(places(bounds), bounds->message_len);
	l->devices.slot = copse_mem_new(slots, sizeof(struct core_slot));
	if (!l->lane || !l->place || !l->bytes || !l->devices.slot) {
		gw_lanes_free(l);
		return NULL;
	}
	core_table_init(&l->devices, l->devices.slot, slots);
	memcpy(l->key, key, sizeof(l->key));
	free_all(l);
	return l;
}

void gw_lanes_hash_by(struct gw_lanes *l, struct copse_endpoint *ep)
{
	COPSE_ASSERT(l->lanes == 0);
	l->hasher = ep;
}

void gw_lanes_free(struct gw_lanes *l)
{
	if (!l)
		return;
	copse_mem_free(l->lane);
	copse_mem_free(l->place);
	copse_mem_free(l->bytes);
	copse_mem_free(l->devices.slot);
	copse_mem_free(l);
}

static uint32_t find(const struct gw_lanes *l, const struct copse_peer *device, uint32_t hash)
{
	uint32_t pos = hash & l->devices.mask, found;

	while ((found = core_table_next(&l->devices, hash, &pos)) != 0)
		if (copse_peer_equal(&l->lane[found - 1].device, device))
			return found;
	return 0;
}

static uint32_t make(struct gw_lanes *l, const struct copse_peer *device, uint32_t hash)
{
	uint32_t n = l->lane_free;

	COPSE_ASSERT(n); /* there are as many as requests, and this one is in none */
	struct lane *lane = &l->lane[n - 1];
	l->lane_free = lane->next_free;
	l->lanes++;
	*lane = (struct lane){.device = *device, .hash = hash};
	core_table_insert(&l->devices, hash, n);
	return n;
}

static bool may_wait(const struct gw_lanes *l, const struct lane *lane, const struct gw_lane_rule *rule)
{
	if (rule->step)
		return lane->steps < GW_LANE_STEPS && l->steps < l->bounds.steps;
	return l->waiting < l->bounds.waiting &&
	       lane->waiting < (lane->on_step && !rule->queue ? 1 : rule->queue);
}

static bool wait_in(struct gw_lanes *l, struct lane *lane, bool step, uint32_t number, const void *bytes,
		    size_t len)
{
	uint32_t n = l->place_free;

	if (!n || len > l->bounds.message_len)
		return false;
	struct place *place = &l->place[n - 1];
	l->place_free = place->next;
	*place = (struct place){.number = number, .step = step, .len = len};
	memcpy(l->bytes + (size_t)(n - 1) * l->bounds.message_len, bytes, len);
	*(lane->last ? &l->place[lane->last - 1].next : &lane->first) = n;
	lane->last = n;
	++*(step ? &lane->steps : &lane->waiting);
	++*(step ? &l->steps : &l->waiting);
	return true;
}

enum gw_lane_result gw_lanes_enter(struct gw_lanes *l, const struct copse_peer *device,
				   const struct gw_lane_rule *rule, uint32_t number, const void *bytes,
				   size_t len, uint32_t *out)
{
	uint32_t hash = l->hasher ? copse_endpoint_peer_hash(l->hasher, device)
				  : (uint32_t)core_siphash(l->key, device->key, device->len, 1, 3);
	uint32_t n = find(l, device, hash);

	COPSE_ASSERT(number > 0 && number <= l->bounds.requests && rule->concurrent > 0);
	if (!n)
		n = make(l, device, hash);
	struct lane *lane = &l->lane[n - 1];
	*out = n;
	if (lane->active < rule->concurrent) {
		lane->active++;
		lane->on_step = rule->step;
		return GW_LANE_GO;
	}
	if (may_wait(l, lane, rule) && wait_in(l, lane, rule->step, number, bytes, len))
		return GW_LANE_WAIT;
	return GW_LANE_BUSY;
}

static uint32_t take_first(struct gw_lanes *l, struct lane *lane, uint8_t *buf, size_t *len)
{
	uint32_t n = lane->first;
	struct place *place = &l->place[n - 1];

	lane->first = place->next;
	if (!lane->first)
		lane->last = 0;
	--*(place->step ? &lane->steps : &lane->waiting);
	--*(place->step ? &l->steps : &l->waiting);
	lane->on_step = place->step;
	*len = place->len;
	memcpy(buf, l->bytes + (size_t)(n - 1) * l->bounds.message_len, place->len);
	place->next = l->place_free;
	l->place_free = n;
	return place->number;
}

uint32_t gw_lanes_leave(struct gw_lanes *l, uint32_t n, uint8_t *buf, size_t *len)
{
	struct lane *lane = &l->lane[n - 1];

	COPSE_ASSERT(n > 0 && lane->active > 0);
	if (lane->first) /* its turn passes to the next one */
		return take_first(l, lane, buf, len);
	if (--lane->active == 0) {
		core_table_remove(&l->devices, lane->hash, n);
		lane->next_free = l->lane_free;
		l->lane_free = n;
		l->lanes--;
	}
	return 0;
}

const struct copse_peer *gw_lanes_device(const struct gw_lanes *l, uint32_t n)
{
	return &l->lane[n - 1].device;
}

void gw_lanes_usage(const struct gw_lanes *l, struct gw_lanes_usage *u)
{
	u->lanes = l->lanes;
	u->waiting = l->waiting + l->steps;
}
