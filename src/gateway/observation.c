/* See observation.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "observation.h"

#include <copse/mem.h>

#include "core/siphash.h"
#include "core/table.h"

#include <assert.h>
#include <string.h>

struct gw_observations {
	struct gw_observe_bounds bounds;
	struct gw_observation *observation;
	struct gw_observer *observer;
	uint8_t *requests, *states;
	uint32_t observation_free, observations;
	struct core_node observer_free;
	uint32_t observers;
	struct core_table keys;   /* observations, by cache-key */
	struct core_table tokens; /* observers, by peer and token */
	struct core_table peers;  /* observers, by peer: several of each */
	struct core_heap timers;
	uint64_t secret[2];
};

/* Two tables with two slots an observer, where their number is a power of two. */
static_assert(COPSE_TOKEN_MAX <= 15 && GW_OBSERVER_IDS <= 3, "they fit");
static_assert(sizeof(void *) > 8 || sizeof(struct gw_observer) + 4 * sizeof(struct core_slot) <= 128,
	      "an observer takes at most 128 bytes");

static bool make_tables(struct gw_observations *all)
{
	const uint32_t key_slots = core_table_slots(all->bounds.observations);
	const uint32_t slots = core_table_slots(all->bounds.observers);

	all->keys.slot = copse_mem_new(key_slots, sizeof(struct core_slot));
	all->tokens.slot = copse_mem_new(slots, sizeof(struct core_slot));
	all->peers.slot = copse_mem_new(slots, sizeof(struct core_slot));
	all->timers.timer = copse_mem_new(all->bounds.observations + 1, sizeof(struct core_timer *));
	if (!all->keys.slot || !all->tokens.slot || !all->peers.slot || !all->timers.timer)
		return false;
	core_table_init(&all->keys, all->keys.slot, key_slots);
	core_table_init(&all->tokens, all->tokens.slot, slots);
	core_table_init(&all->peers, all->peers.slot, slots);
	all->timers.cap = all->bounds.observations;
	return true;
}

static void free_all(struct gw_observations *all)
{
	for (uint32_t i = all->bounds.observations; i > 0; i--) {
		struct gw_observation *ob = &all->observation[i - 1];
		ob->next_free = all->observation_free;
		all->observation_free = i;
		ob->request = all->requests + (size_t)(i - 1) * GW_OBSERVE_REQUEST_MAX;
		ob->state = all->states + (size_t)(i - 1) * all->bounds.message_len;
	}
	core_node_init(&all->observer_free);
	for (uint32_t i = 0; i < all->bounds.observers; i++) {
		core_node_init(&all->observer[i].node);
		core_node_insert(&all->observer_free, &all->observer[i].node);
	}
}

struct gw_observations *gw_observations_new(const struct gw_observe_bounds *bounds, const uint64_t key[2])
{
	struct gw_observations *all = copse_mem_new(1, sizeof(*all));

	if (!all)
		return NULL;
	all->bounds = *bounds;
	memcpy(all->secret, key, sizeof(all->secret));
	all->observation = copse_mem_new(bounds->observations, sizeof(*all->observation));
	all->observer = copse_mem_new(bounds->observers, sizeof(*all->observer));
	all->requests = copse_mem_new(bounds->observations, GW_OBSERVE_REQUEST_MAX);
	all->states = copse_mem_new(bounds->observations, bounds->message_len);
	if (!all->observation || !all->observer || !all->requests || !all->states || !make_tables(all)) {
		gw_observations_free(all);
		return NULL;
	}
	free_all(all);
	return all;
}

void gw_observations_free(struct gw_observations *all)
{
	if (!all)
		return;
	copse_mem_free(all->observation);
	copse_mem_free(all->observer);
	copse_mem_free(all->requests);
	copse_mem_free(all->states);
	copse_mem_free(all->keys.slot);
	copse_mem_free(all->tokens.slot);
	copse_mem_free(all->peers.slot);
	copse_mem_free(all->timers.timer);
	copse_mem_free(all);
}

/* ---- observations ---- */

static uint32_t key_hash(const struct gw_observations *all, const struct gw_cache_key *key)
{
	return (uint32_t)core_siphash(all->secret, key->id, sizeof(key->id), 1, 3);
}

struct gw_observation *gw_observation_find(struct gw_observations *all, const struct gw_cache_key *key)
{
	uint32_t hash = key_hash(all, key), pos = hash & all->keys.mask, found;

	while ((found = core_table_next(&all->keys, hash, &pos)) != 0)
		if (gw_cache_key_equal(&all->observation[found - 1].key, key))
			return &all->observation[found - 1];
	return NULL;
}

struct gw_observation *gw_observation_new(struct gw_observations *all, const struct gw_cache_key *key)
{
	const uint32_t n = all->observation_free;
	struct gw_observation *ob;
	uint8_t *request, *state;

	COPSE_ASSERT(!gw_observation_find(all, key));
	if (!n)
		return NULL;
	ob = &all->observation[n - 1];
	request = ob->request;
	state = ob->state;
	all->observation_free = ob->next_free;
	all->observations++;
	*ob = (struct gw_observation){
	    .key = *key, .request = request, .state = state, .linked = true, .expires = COPSE_NEVER};
	core_node_init(&ob->idle);
	core_node_init(&ob->behind);
	core_table_insert(&all->keys, key_hash(all, key), n);
	return ob;
}

void gw_observation_hide(struct gw_observations *all, struct gw_observation *ob)
{
	if (ob->linked)
		core_table_remove(&all->keys, key_hash(all, &ob->key), gw_observation_number(all, ob));
	ob->linked = false;
}

void gw_observation_free(struct gw_observations *all, struct gw_observation *ob)
{
	COPSE_ASSERT(ob->observers == 0);
	gw_observation_hide(all, ob);
	core_heap_clear(&all->timers, &ob->timer);
	ob->device = COPSE_NO_HANDLE;
	ob->next_free = all->observation_free;
	all->observation_free = gw_observation_number(all, ob);
	all->observations--;
}

uint32_t gw_observation_number(const struct gw_observations *all, const struct gw_observation *ob)
{
	return (uint32_t)(ob - all->observation) + 1;
}

struct gw_observation *gw_observation_at(struct gw_observations *all, uint32_t number)
{
	return number ? &all->observation[number - 1] : NULL;
}

struct gw_observation *gw_observation_of(struct gw_observations *all, const void *user)
{
	const uintptr_t at = (uintptr_t)user, first = (uintptr_t)all->observation;

	if (at < first || at >= (uintptr_t)(all->observation + all->bounds.observations))
		return NULL;
	return &all->observation[(at - first) / sizeof(*all->observation)];
}

void gw_observation_set(struct gw_observations *all, struct gw_observation *ob, copse_ms at)
{
	if (at == COPSE_NEVER)
		core_heap_clear(&all->timers, &ob->timer);
	else
		core_heap_set(&all->timers, &ob->timer, at);
}

static struct gw_observation *first(const struct gw_observations *all)
{
	struct core_timer *t = core_heap_first(&all->timers);

	return t ? (struct gw_observation *)((char *)t - offsetof(struct gw_observation, timer)) : NULL;
}

struct gw_observation *gw_observation_due(struct gw_observations *all, copse_ms now)
{
	struct gw_observation *ob = first(all);

	return ob && ob->timer.at <= now ? ob : NULL;
}

copse_ms gw_observations_deadline(const struct gw_observations *all)
{
	const struct gw_observation *ob = first(all);

	return ob ? ob->timer.at : COPSE_NEVER;
}

void gw_observation_changed(struct gw_observation *ob)
{
	struct core_node *head = &ob->idle, *to = &ob->behind;

	if (core_node_alone(head))
		return;
	head->next->prev = to->prev; /* the whole list, in its order, to the end of the other */
	to->prev->next = head->next;
	head->prev->next = to;
	to->prev = head->prev;
	core_node_init(head);
}

static struct gw_observer *observer_at(struct core_node *head)
{
	if (core_node_alone(head))
		return NULL;
	return (struct gw_observer *)((char *)head->next - offsetof(struct gw_observer, node));
}

struct gw_observer *gw_observation_behind(struct gw_observation *ob)
{
	return observer_at(&ob->behind);
}

struct gw_observer *gw_observation_any(struct gw_observation *ob)
{
	struct gw_observer *o = observer_at(&ob->behind);

	return o ? o : observer_at(&ob->idle);
}

/* ---- observers ---- */

bool gw_observations_room(const struct gw_observations *all)
{
	return all->observation_free != 0;
}

bool gw_observers_room(const struct gw_observations *all, uint32_t reserved)
{
	return all->bounds.observers - all->observers > reserved;
}

static uint32_t peer_hash(const struct gw_observations *all, const struct copse_peer *peer)
{
	return (uint32_t)core_siphash(all->secret, peer->key, peer->len, 1, 3);
}

static uint32_t token_hash(const struct gw_observations *all, const struct copse_peer *peer,
			   const void *token, size_t len)
{
	uint8_t bytes[COPSE_PEER_KEY_MAX + COPSE_TOKEN_MAX];

	memcpy(bytes, peer->key, peer->len);
	if (len)
		memcpy(bytes + peer->len, token, len);
	return (uint32_t)core_siphash(all->secret, bytes, peer->len + len, 1, 3);
}

struct gw_observer *gw_observer_find(struct gw_observations *all, const struct copse_peer *peer,
				     const void *token, size_t token_len)
{
	uint32_t hash, pos, found;

	if (token_len > COPSE_TOKEN_MAX)
		return NULL;
	hash = token_hash(all, peer, token, token_len);
	pos = hash & all->tokens.mask;
	while ((found = core_table_next(&all->tokens, hash, &pos)) != 0) {
		struct gw_observer *o = &all->observer[found - 1];
		if (o->token_len == token_len && memcmp(o->token, token, token_len) == 0 &&
		    copse_peer_equal(&o->peer, peer))
			return o;
	}
	return NULL;
}

struct gw_observer *gw_observer_new(struct gw_observations *all, struct gw_observation *ob,
				    const struct copse_peer *peer, const void *token, size_t token_len)
{
	struct core_node *node;
	struct gw_observer *o;
	uint32_t n;

	COPSE_ASSERT(!gw_observer_find(all, peer, token, token_len));
	if (token_len > COPSE_TOKEN_MAX)
		return NULL;
	node = core_list_pop(&all->observer_free);
	if (!node)
		return NULL;
	o = (struct gw_observer *)((char *)node - offsetof(struct gw_observer, node));
	n = gw_observer_number(all, o);
	*o = (struct gw_observer){.peer = *peer,
				  .token_len = token_len & 15,
				  .observation = gw_observation_number(all, ob),
				  .token_hash = token_hash(all, peer, token, token_len),
				  .peer_hash = peer_hash(all, peer)};
	memcpy(o->token, token, token_len);
	core_node_init(&o->node);
	core_node_insert(&ob->idle, &o->node);
	core_table_insert(&all->tokens, o->token_hash, n);
	core_table_insert(&all->peers, o->peer_hash, n);
	all->observers++;
	ob->observers++;
	return o;
}

void gw_observer_free(struct gw_observations *all, struct gw_observer *o)
{
	const uint32_t n = gw_observer_number(all, o);

	core_table_remove(&all->tokens, o->token_hash, n);
	core_table_remove(&all->peers, o->peer_hash, n);
	core_node_remove(&o->node);
	gw_observer_observation(all, o)->observers--;
	o->observation = 0;
	all->observers--;
	core_node_insert(&all->observer_free, &o->node);
}

void gw_observer_tell(struct gw_observer *o, uint16_t id)
{
	memmove(o->id + 1, o->id, sizeof(o->id) - sizeof(o->id[0]));
	o->id[0] = id;
	if (o->ids < GW_OBSERVER_IDS)
		o->ids++;
}

static bool was_told_by(const struct gw_observer *o, uint16_t id)
{
	for (unsigned i = 0; i < o->ids; i++)
		if (o->id[i] == id)
			return true;
	return false;
}

struct gw_observer *gw_observer_told(struct gw_observations *all, const struct copse_peer *peer, uint16_t id)
{
	const uint32_t hash = peer_hash(all, peer);
	uint32_t pos = hash & all->peers.mask, found;

	while ((found = core_table_next(&all->peers, hash, &pos)) != 0) {
		struct gw_observer *o = &all->observer[found - 1];
		if (was_told_by(o, id) && copse_peer_equal(&o->peer, peer))
			return o;
	}
	return NULL;
}

uint32_t gw_observers_of(const struct gw_observations *all, const struct copse_peer *peer, uint32_t most)
{
	const uint32_t hash = peer_hash(all, peer);
	uint32_t pos = hash & all->peers.mask, n = 0, found;

	while (n < most && (found = core_table_next(&all->peers, hash, &pos)) != 0)
		n += copse_peer_equal(&all->observer[found - 1].peer, peer);
	return n;
}

struct gw_observer *gw_observer_of(struct gw_observations *all, const void *user)
{
	const uintptr_t at = (uintptr_t)user, begin = (uintptr_t)all->observer;

	if (at < begin || at >= (uintptr_t)(all->observer + all->bounds.observers))
		return NULL;
	return &all->observer[(at - begin) / sizeof(*all->observer)];
}

uint32_t gw_observer_number(const struct gw_observations *all, const struct gw_observer *o)
{
	return (uint32_t)(o - all->observer) + 1;
}

struct gw_observer *gw_observer_at(struct gw_observations *all, uint32_t number)
{
	return number ? &all->observer[number - 1] : NULL;
}

struct gw_observation *gw_observer_observation(struct gw_observations *all, const struct gw_observer *o)
{
	return gw_observation_at(all, o->observation);
}

void gw_observer_idle(struct gw_observations *all, struct gw_observer *o)
{
	core_node_remove(&o->node);
	core_node_insert(&gw_observer_observation(all, o)->idle, &o->node);
}

void gw_observer_behind(struct gw_observations *all, struct gw_observer *o)
{
	core_node_remove(&o->node);
	core_node_insert(&gw_observer_observation(all, o)->behind, &o->node);
}

void gw_observations_usage(const struct gw_observations *all, struct gw_observe_usage *usage)
{
	usage->observations = all->observations;
	usage->observers = all->observers;
}
