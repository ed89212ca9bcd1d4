/* Messages received: remembered for EXCHANGE_LIFETIME or NON_LIFETIME, so that a duplicate gets the same reply and no
 * request runs twice (RFC 7252 §4.2, §4.3, §4.5); acknowledgements, piggybacked and separate responses (§5.2).
 *
 * Within a group of peers all confirmable messages live equally long, and all others too: the lists of what is
 * remembered are in order of expiry, and no timer is needed. When there is no room left, the oldest message goes whose
 * repetition does no harm.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "endpoint_state.h"

#include <string.h>

/* How far into a list of remembered messages the search for one that may be forgotten goes. */
#define FORGET_SEARCH 8

copse_handle in_handle(const struct copse_endpoint *ep, const struct incoming *in)
{
	return (copse_handle)in->generation << 32 | (uint32_t)((in - ep->incoming) + 1) << 1 | 1;
}

struct incoming *in_get(const struct copse_endpoint *ep, copse_handle h)
{
	const uint32_t n = (uint32_t)h >> 1;
	if (!(h & 1) || n == 0 || n > ep->config.incoming_cap)
		return NULL;
	struct incoming *in = &ep->incoming[n - 1];
	const bool open = in->state == IN_PENDING || in->state == IN_OPEN;
	return open && in->generation == (uint32_t)(h >> 32) ? in : NULL;
}

struct incoming *in_find(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash,
			 uint16_t id)
{
	const uint32_t hash = ep_id_hash(peer_hash, id);
	uint32_t pos = hash & ep->incoming_ids.mask, n;
	while ((n = core_table_next(&ep->incoming_ids, hash, &pos)) != 0) {
		struct incoming *in = &ep->incoming[n - 1];
		if (in->id == id && copse_peer_equal(&in->peer, peer))
			return in;
	}
	return NULL;
}

static uint32_t in_number(const struct copse_endpoint *ep, const struct incoming *in)
{
	return (uint32_t)(in - ep->incoming) + 1;
}

void in_forget(struct copse_endpoint *ep, struct incoming *in)
{
	core_table_remove(&ep->incoming_ids, in->hash, in_number(ep, in));
	core_store_release(&ep->store, &in->reply);
	core_node_remove(&in->node);
	core_node_remove(&in->life);
	in->state = IN_FREE;
	in->queued = false;
	in->generation++;
	core_node_insert(&ep->free_incoming, &in->life);
	ep->usage.incoming--;
}

/* The oldest in one list that may be forgotten: answered, nothing to send, and harmless to run again. */
static struct incoming *oldest_forgettable(const struct core_node *list)
{
	const struct core_node *n = list->next;
	for (int i = 0; i < FORGET_SEARCH && n != list; i++, n = n->next) {
		struct incoming *in = CORE_OF((uintptr_t)n, struct incoming, life);
		if (in->state == IN_DONE && !in->queued && in->repeatable)
			return in;
	}
	return NULL;
}

bool in_forget_oldest(struct copse_endpoint *ep)
{
	struct incoming *oldest = NULL;
	for (unsigned g = 0; g < ep->config.group_n; g++) {
		for (unsigned con = 0; con < 2; con++) {
			struct incoming *in = oldest_forgettable(&ep->remembered[g][con]);
			if (in && (!oldest || in->at < oldest->at))
				oldest = in;
		}
	}
	if (!oldest)
		return false;
	in_forget(ep, oldest);
	ep->counters.forgotten++;
	return true;
}

/* RFC 7252 §5.1, RFC 8132 §2 and §3: POST and PATCH alone are not idempotent. A response may be received twice. */
static bool is_repeatable(uint8_t code)
{
	return code != COPSE_CODE_POST && code != COPSE_CODE_PATCH;
}

struct incoming *in_remember(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash,
			     const struct copse_message *m)
{
	if (core_node_alone(&ep->free_incoming) && !in_forget_oldest(ep))
		return NULL;
	struct incoming *in = CORE_OF(core_list_pop(&ep->free_incoming), struct incoming, life);
	const bool con = m->type == COPSE_CON;
	in->peer = *peer;
	in->at = ep->now;
	in->user = NULL;
	in->hash = ep_id_hash(peer_hash, m->id);
	in->id = m->id;
	in->type = m->type;
	in->state = IN_OPEN;
	in->queued = false;
	in->repeatable = is_repeatable(m->code);
	in->token_len = (uint8_t)m->token_len;
	memcpy(in->token, copse_message_token(m), m->token_len);
	core_table_insert(&ep->incoming_ids, in->hash, in_number(ep, in));
	core_node_insert(&ep->remembered[peer->group][con], &in->life);
	if (con) {
		in->state = IN_PENDING;
		core_node_insert(&ep->pending[peer->group], &in->node);
	}
	ep->usage.incoming++;
	return in;
}

/* Send what the record has as its reply; an empty acknowledgement when that is nothing. */
void in_queue(struct copse_endpoint *ep, struct incoming *in)
{
	if (in->queued)
		return;
	in->queued = true;
	core_node_remove(&in->node);
	core_node_insert(&ep->replies, &in->node);
}

void in_done(struct incoming *in)
{
	if (!in->queued)
		core_node_remove(&in->node);
	in->state = IN_DONE;
}

void in_transmitted(struct copse_endpoint *ep, struct incoming *in)
{
	core_node_remove(&in->node);
	in->queued = false;
	if (in->type == COPSE_NON)
		core_store_release(&ep->store, &in->reply); /* §4.3: a duplicate NON is not answered again */
}

static void acknowledge(struct copse_endpoint *ep, struct incoming *in)
{
	if (in->state != IN_PENDING)
		return;
	in->state = IN_OPEN;
	ep->counters.empty_acks_out++;
	in_queue(ep, in);
}

void in_duplicate(struct copse_endpoint *ep, struct incoming *in)
{
	ep->counters.duplicates++;
	if (in->type != COPSE_CON)
		return;
	/* §4.2: each copy is acknowledged, with the same bytes, and none is processed again. */
	ep->counters.duplicates_answered++;
	if (in->state == IN_PENDING)
		acknowledge(ep, in);
	else
		in_queue(ep, in);
}

/* ---- time ---- */

copse_ms in_deadline(const struct copse_endpoint *ep)
{
	copse_ms deadline = COPSE_NEVER;
	for (unsigned g = 0; g < ep->config.group_n; g++) {
		const struct core_node *head = &ep->pending[g];
		if (!core_node_alone(head)) {
			const struct incoming *in = CORE_OF((uintptr_t)head->next, struct incoming, node);
			const copse_ms at = in->at + ep->config.group[g].ack_delay_ms;
			deadline = at < deadline ? at : deadline;
		}
		for (unsigned con = 0; con < 2; con++) {
			head = &ep->remembered[g][con];
			if (core_node_alone(head))
				continue;
			const struct incoming *in = CORE_OF((uintptr_t)head->next, struct incoming, life);
			const copse_ms at = in->at + ep->derived[g].lifetime[con] + EP_FORGET_STEP_MS;
			deadline = at < deadline ? at : deadline;
		}
	}
	return deadline;
}

static void expire_remembered(struct copse_endpoint *ep, struct core_node *list, copse_ms lifetime)
{
	while (!core_node_alone(list)) {
		struct incoming *in = CORE_OF(list->next, struct incoming, life);
		if (in->at + lifetime > ep->now)
			break;
		if (in->state == IN_DONE && !in->queued) {
			in_forget(ep, in);
		} else {
			/* The application still owes an answer: for a proxy with a slow network behind it this may take
			 * longer than a lifetime. */
			core_node_remove(&in->life);
			in->at = ep->now;
			core_node_insert(list, &in->life);
		}
	}
}

void in_expire(struct copse_endpoint *ep)
{
	for (unsigned g = 0; g < ep->config.group_n; g++) {
		struct core_node *head = &ep->pending[g];
		while (!core_node_alone(head)) {
			struct incoming *in = CORE_OF(head->next, struct incoming, node);
			if (in->at + ep->config.group[g].ack_delay_ms > ep->now)
				break;
			acknowledge(ep, in);
		}
		for (unsigned con = 0; con < 2; con++)
			expire_remembered(ep, &ep->remembered[g][con], ep->derived[g].lifetime[con]);
	}
}

/* ---- answers ---- */

/* The answer travels in the acknowledgement, or as a NON under an ID of its own. */
static int respond_in_place(struct copse_endpoint *ep, struct incoming *in, const struct copse_out *out)
{
	uint8_t head[COPSE_HEADER_LEN + COPSE_TOKEN_MAX];
	uint8_t type = COPSE_ACK;
	uint16_t id = in->id;
	if (in->type == COPSE_NON) {
		type = COPSE_NON;
		id = ep_new_id(ep, &in->peer, ep_peer_hash(ep, &in->peer));
	}
	const size_t n = ep_head(head, type, out->code, id, in->token, in->token_len);
	if (!ep_keep(ep, &in->reply, head, n, out)) {
		ep->counters.refused_exchange++;
		return COPSE_ERR_NOROOM;
	}
	in_done(in);
	in_queue(ep, in);
	return 0;
}

/* RFC 7252 §5.2.2 and, for a group, §8.2: leisure, and never confirmable. */
static int respond_apart(struct copse_endpoint *ep, struct incoming *in, const struct copse_out *out)
{
	struct copse_out copy = *out;
	struct copse_peer peer = in->peer;
	uint32_t leisure = 0;
	copy.con = in->type == COPSE_CON || out->con;
	if (peer.flags & COPSE_PEER_MULTICAST) {
		const uint32_t max = ep_params(ep, &peer)->default_leisure_ms;
		const uint32_t random = (uint32_t)ep_random(ep) & 0xffff;
		leisure = 1 + ((random * (max >> 10)) >> 6) + ((random * (max & 1023)) >> 16);
		peer.flags &= (uint8_t)~COPSE_PEER_MULTICAST;
		copy.con = false;
	}
	struct exchange *x;
	const int err = x_send(ep, X_RESPONSE, &peer, in->token, in->token_len, &copy, in->user, leisure, &x);
	if (err)
		return err;
	x->wants_event = in->user != NULL;
	in_done(in);
	return 0;
}

int in_respond(struct copse_endpoint *ep, struct incoming *in, const struct copse_out *out)
{
	const bool apart = in->type == COPSE_CON ? in->state == IN_OPEN
						 : out->con || (in->peer.flags & COPSE_PEER_MULTICAST);
	return apart ? respond_apart(ep, in, out) : respond_in_place(ep, in, out);
}

int copse_endpoint_respond(struct copse_endpoint *ep, copse_handle exchange, const struct copse_out *out,
			   copse_ms now)
{
	ep_advance(ep, now);
	struct incoming *in = in_get(ep, exchange);
	return in ? in_respond(ep, in, out) : COPSE_ERR_GONE;
}

int copse_endpoint_acknowledge(struct copse_endpoint *ep, copse_handle exchange, copse_ms now)
{
	ep_advance(ep, now);
	struct incoming *in = in_get(ep, exchange);
	if (!in)
		return COPSE_ERR_GONE;
	acknowledge(ep, in);
	return 0;
}

int copse_endpoint_ignore(struct copse_endpoint *ep, copse_handle exchange, copse_ms now)
{
	ep_advance(ep, now);
	struct incoming *in = in_get(ep, exchange);
	if (!in)
		return COPSE_ERR_GONE;
	acknowledge(ep, in);
	in_done(in);
	return 0;
}

int copse_endpoint_tag(struct copse_endpoint *ep, copse_handle exchange, void *user)
{
	struct incoming *in = in_get(ep, exchange);
	if (!in)
		return COPSE_ERR_GONE;
	in->user = user;
	return 0;
}
