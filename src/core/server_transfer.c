/* Transfers of bodies in more than one message: bounded in number (config.transfer_cap), size (config.collect_len, body_max)
 * and time (config.transfer_ms). Found by endpoint and cache-key, never by token (RFC 7959 §2.5, RFC 9175 §3.3).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

/* Row: from; bit: to. Drawn in doc/states/block.md. */
static const uint8_t legal[T_STATES] = {
    [T_FREE] = 1 << T_RECEIVING | 1 << T_GATHERING | 1 << T_HANDLING,
    [T_RECEIVING] = 1 << T_HANDLING | 1 << T_FREE,
    [T_GATHERING] = 1 << T_HANDLING | 1 << T_FREE,
    [T_HANDLING] = 1 << T_RECEIVING | 1 << T_SERVING | 1 << T_STREAMING | 1 << T_FREE,
    [T_SERVING] = 1 << T_FREE,
    [T_STREAMING] = 1 << T_FREE,
};

void srv_transfer_init(struct copse_server *s, uint8_t *buffers)
{
	core_node_init(&s->free_transfers);
	core_node_init(&s->waiting);
	for (uint32_t i = 0; i < s->config.transfer_cap; i++) {
		struct transfer *t = &s->transfer[i];
		memset(t, 0, sizeof *t);
		t->buffer = buffers + (size_t)i * s->config.collect_len;
		core_node_insert(&s->free_transfers, &t->node);
	}
}

uint32_t srv_transfer_number(const struct copse_server *s, const struct transfer *t)
{
	return (uint32_t)(t - s->transfer) + 1;
}

struct transfer *srv_transfer_of(struct copse_server *s, const struct server_ask *ask)
{
	if (ask->transfer == 0)
		return NULL;
	struct transfer *t = &s->transfer[ask->transfer - 1];
	/* A request may be answered after its transfer was begun anew. */
	return t->state != T_FREE && t->exchange == ask->exchange ? t : NULL;
}

struct transfer *srv_transfer_find(struct copse_server *s, const struct copse_peer *peer, uint64_t key)
{
	const uint32_t hash = (uint32_t)key;
	uint32_t pos = hash & s->transfer_keys.mask;
	uint32_t number;
	while ((number = core_table_next(&s->transfer_keys, hash, &pos)) != 0) {
		struct transfer *t = &s->transfer[number - 1];
		if (t->key == key && copse_peer_equal(&t->peer, peer))
			return t;
	}
	return NULL;
}

void srv_transfer_enter(struct copse_server *s, struct transfer *t, enum transfer_state state)
{
	COPSE_ASSERT(legal[t->state] >> state & 1);
	t->state = (uint8_t)state;
	core_node_remove(&t->node);
	core_heap_clear(&s->timers, &t->timer);
	srv_transfer_touch(s, t);
}

void srv_transfer_touch(struct copse_server *s, struct transfer *t)
{
	/* In order of their last use, so that the first is the first to be forgotten. What has a timer of its own, or a
	 * handler at work, is not. */
	t->used_at = s->now;
	core_node_remove(&t->node);
	if (t->state == T_FREE || t->state == T_GATHERING || t->state == T_HANDLING || t->timer.pos != 0)
		return;
	core_node_insert(&s->waiting, &t->node);
}

static void release(struct copse_server *s, struct transfer *t)
{
	if (t->release)
		t->release(t->user);
	t->release = NULL;
	core_table_remove(&s->transfer_keys, (uint32_t)t->key, srv_transfer_number(s, t));
	if (t->state != T_FREE)
		srv_transfer_enter(s, t, T_FREE);
	core_node_insert(&s->free_transfers, &t->node);
	s->transfer_n--;
}

/* An answer that has been sent to the end is kept only in case that something of it got lost: it makes way. */
static void forget_sent(struct copse_server *s)
{
	for (struct core_node *n = s->waiting.next; n != &s->waiting; n = n->next) {
		struct transfer *t = CORE_OF(n, struct transfer, node);
		if (t->sent || (t->state == T_STREAMING && srv_qblock_is_sent(t))) {
			srv_transfer_end(s, t);
			return;
		}
	}
}

struct transfer *srv_transfer_begin(struct copse_server *s, const struct server_ask *ask, uint64_t key)
{
	if (core_node_alone(&s->free_transfers))
		forget_sent(s);
	struct core_node *n = core_list_pop(&s->free_transfers);
	if (!n) {
		s->counters.refused_transfer++;
		return NULL;
	}
	struct transfer *t = CORE_OF(n, struct transfer, node);
	uint8_t *buffer = t->buffer;
	memset(t, 0, sizeof *t);
	core_node_init(&t->node);
	t->buffer = buffer;
	t->peer = ask->peer;
	t->resource = ask->resource;
	t->exchange = ask->exchange;
	t->key = key;
	t->method = ask->method;
	t->state = T_FREE;
	core_table_insert(&s->transfer_keys, (uint32_t)key, srv_transfer_number(s, t));
	s->transfer_n++;
	s->counters.transfers++;
	return t;
}

void srv_transfer_end(struct copse_server *s, struct transfer *t)
{
	s->counters.transfers_done++;
	release(s, t);
}

void srv_transfer_abandon(struct copse_server *s, struct transfer *t)
{
	const bool upload = t->state == T_RECEIVING || t->state == T_GATHERING || t->state == T_HANDLING;
	if (upload && t->seen && !t->whole && t->resource->abandon) {
		const struct copse_request rq = {.server = s,
						 .resource = t->resource,
						 .peer = &t->peer,
						 .method = t->method,
						 .now = s->now,
						 .body_offset = t->offset,
						 .body_size = t->size,
						 .transfer = &t->kept};
		t->resource->abandon(&rq);
	}
	s->counters.transfers_abandoned++;
	release(s, t);
}

void srv_transfer_remove_resource(struct copse_server *s, const struct copse_resource *resource)
{
	for (uint32_t i = 0; i < s->config.transfer_cap; i++) {
		struct transfer *t = &s->transfer[i];
		if (t->state != T_FREE && (!resource || t->resource == resource))
			srv_transfer_abandon(s, t);
	}
}

copse_ms srv_transfer_deadline(const struct copse_server *s)
{
	if (core_node_alone(&s->waiting))
		return COPSE_NEVER;
	return CORE_OF((uintptr_t)s->waiting.next, struct transfer, node)->used_at + s->config.transfer_ms;
}

void srv_transfer_expire(struct copse_server *s)
{
	while (srv_transfer_deadline(s) <= s->now) {
		struct transfer *t = CORE_OF(s->waiting.next, struct transfer, node);
		if (t->sent || t->state == T_STREAMING)
			srv_transfer_end(s, t);
		else
			srv_transfer_abandon(s, t);
	}
}
