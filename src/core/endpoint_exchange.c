/* Exchanges of ours: requests, confirmable responses and notifications, pings. Retransmission with back-off (RFC 7252
 * §4.2), congestion control (§4.7), matching of acknowledgements by message ID and of responses by token (§5.3.2).
 *
 * Every change of state passes enter(), which asserts that it is legal; the table is drawn in doc/states/exchange.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "endpoint_state.h"
#include "siphash.h"
#include "wire.h"

#include <string.h>

#define MAY(state) (1u << (state))

/* For each state those that may follow. */
static const uint8_t next_states[X_STATES] = {
    [X_FREE] = MAY(X_QUEUED) | MAY(X_DELAYED) | MAY(X_READY),
    [X_QUEUED] = MAY(X_READY) | MAY(X_QUEUED) | MAY(X_OPEN) | MAY(X_OVER) | MAY(X_FREE),
    [X_DELAYED] = MAY(X_READY) | MAY(X_OVER) | MAY(X_FREE),
    [X_READY] =
	MAY(X_SENT) | MAY(X_WAITING) | MAY(X_READY) | MAY(X_QUEUED) | MAY(X_OPEN) | MAY(X_OVER) | MAY(X_FREE),
    [X_SENT] = MAY(X_READY) | MAY(X_QUEUED) | MAY(X_WAITING) | MAY(X_OPEN) | MAY(X_OVER) | MAY(X_FREE),
    [X_WAITING] = MAY(X_READY) | MAY(X_QUEUED) | MAY(X_OPEN) | MAY(X_OVER) | MAY(X_FREE),
    [X_OPEN] = MAY(X_READY) | MAY(X_QUEUED) | MAY(X_OPEN) | MAY(X_OVER) | MAY(X_FREE),
    [X_OVER] = MAY(X_FREE),
};

static void enter(struct exchange *x, enum exchange_state state)
{
	COPSE_ASSERT(next_states[x->state] & MAY(state));
	core_node_remove(&x->node);
	x->state = (uint8_t)state;
}

copse_handle x_handle(const struct copse_endpoint *ep, const struct exchange *x)
{
	return (copse_handle)x->generation << 32 | (uint32_t)((x - ep->exchange) + 1) << 1;
}

/* The exchange of a handle, also one whose event is still to be delivered; NULL when it is over. */
static struct exchange *x_named(const struct copse_endpoint *ep, copse_handle h)
{
	const uint32_t n = (uint32_t)h >> 1;
	if ((h & 1) || n == 0 || n > ep->config.exchange_cap)
		return NULL;
	struct exchange *x = &ep->exchange[n - 1];
	return x->state != X_FREE && x->generation == (uint32_t)(h >> 32) ? x : NULL;
}

struct exchange *x_get(const struct copse_endpoint *ep, copse_handle h)
{
	struct exchange *x = x_named(ep, h);
	return x && x->state != X_OVER ? x : NULL;
}

/* ---- remotes ---- */

/* The remote of `peer`, made if need be at the cost of the longest idle one. NULL when all have exchanges. */
static struct remote *remote_of(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	const uint32_t hash = ep_peer_hash(ep, peer);
	struct remote *r = ep_find(ep, EP_REMOTE, peer, hash, 0);
	if (r)
		return r;
	struct core_node *n = core_list_pop(&ep->free_remotes);
	ep->usage.peers++;
	if (!n) {
		n = core_list_pop(&ep->idle);
		ep->usage.peers--;
		if (!n)
			return NULL;
		r = CORE_OF(n, struct remote, node);
		core_table_remove(&ep->table, r->hash, EP_VALUE(EP_REMOTE, r - ep->remote));
		EP_COUNT(ep, peers_forgotten);
	}
	r = CORE_OF(n, struct remote, node);
	memset(r, 0, sizeof *r);
	r->peer = *peer;
	r->hash = hash;
	core_node_init(&r->exchanges);
	core_node_init(&r->queue);
	core_node_init(&r->node);
	core_table_insert(&ep->table, hash, EP_VALUE(EP_REMOTE, r - ep->remote));
	core_node_insert(&ep->idle, &r->node);
	return r;
}

/* PROBING_RATE (§4.7): may `len` more bytes of NON go to a peer that has not been heard since the ones before? */
static bool remote_may_probe(const struct copse_endpoint *ep, const struct remote *r, size_t len)
{
	const struct copse_params *p = ep_params(ep, &r->peer);
	if (p->probing_rate == 0 || r->unanswered_bytes == 0 || (r->peer.flags & COPSE_PEER_MULTICAST))
		return true;
	/* Seconds of 1024 ms: the division would need a helper on a Cortex-M0. Both factors are held to 16 bits. */
	const uint64_t seconds = (ep->now - r->silent_since) >> 10;
	const uint32_t elapsed = seconds > 0xffff ? 0xffff : (uint32_t)seconds;
	const uint32_t rate = p->probing_rate > 0xffff ? 0xffff : p->probing_rate;
	const uint32_t used = r->unanswered_bytes + (uint32_t)len;
	return used <= p->probing_burst || used - p->probing_burst <= elapsed * rate;
}

static void remote_probed(struct copse_endpoint *ep, struct remote *r, size_t len)
{
	if (r->unanswered_bytes == 0)
		r->silent_since = ep->now;
	r->unanswered_bytes += (uint32_t)len;
}

/* ---- allocation ---- */

static struct exchange *x_alloc(struct copse_endpoint *ep, enum exchange_kind kind,
				const struct copse_peer *peer, void *user)
{
	struct core_node *n = ep->free_exchanges.next;
	struct remote *r = n == &ep->free_exchanges ? NULL : remote_of(ep, peer);
	if (!r) {
		EP_COUNT(ep, refused_exchange);
		return NULL;
	}
	core_node_remove(n);
	struct exchange *x = CORE_OF(n, struct exchange, node);
	x->remote = r;
	x->kind = (uint8_t)kind;
	x->error = 0;
	x->flags = 0;
	x->sent = 0;
	x->user = user;
	x->wants_event = true;
	x->outdated = false;
	core_node_remove(&r->node); /* no longer idle */
	r->exchange_n++;
	core_node_insert(&r->exchanges, &x->remote_node);
	ep->usage.exchanges++;
	return x;
}

static void drop_id(struct copse_endpoint *ep, struct exchange *x)
{
	if (!x->has_id)
		return;
	core_table_remove(&ep->table, x->id_hash, EP_VALUE(EP_ID, x - ep->exchange));
	ep_count_id(ep, x->id_hash, UINT32_MAX);
	x->has_id = false;
}

static uint32_t token_hash(const uint8_t *token, size_t len)
{
	uint32_t h = 0;
	for (size_t i = 0; i < len && i < 4; i++)
		h = h << 8 | token[i];
	return h * 0x9e3779b1u;
}

/* A token of full length names its exchange in its last bytes, and needs no place in the table. What is left of it to
 * chance is more than the 32 bits that RFC 7252 §5.3.1 asks for. */
static bool is_named(size_t token_len)
{
	return EP_NAMES_TOKENS && token_len == COPSE_TOKEN_MAX;
}

static size_t name_len(const struct copse_endpoint *ep)
{
	return ep->config.exchange_cap > 0x10000 ? 3 : 2;
}

static void put_name(const struct copse_endpoint *ep, struct exchange *x)
{
	uint32_t n = (uint32_t)(x - ep->exchange);
	for (size_t i = 0; i < name_len(ep); i++, n >>= 8)
		x->token[COPSE_TOKEN_MAX - 1 - i] = (uint8_t)n;
}

static struct exchange *named_by(const struct copse_endpoint *ep, const uint8_t *token)
{
	uint32_t n = 0;
	for (size_t i = COPSE_TOKEN_MAX - name_len(ep); i < COPSE_TOKEN_MAX; i++)
		n = n << 8 | token[i];
	struct exchange *x = n < ep->config.exchange_cap ? &ep->exchange[n] : NULL;
	return x && x->has_token && x->token_len == COPSE_TOKEN_MAX &&
		       memcmp(x->token, token, COPSE_TOKEN_MAX) == 0
		   ? x
		   : NULL;
}

static void drop_token(struct copse_endpoint *ep, struct exchange *x)
{
	if (x->has_token && !is_named(x->token_len))
		core_table_remove(&ep->table, token_hash(x->token, x->token_len),
				  EP_VALUE(EP_TOKEN, x - ep->exchange));
	x->has_token = false;
}

static void start_queued(struct copse_endpoint *ep, struct remote *r);

/* The exchange no longer counts towards NSTART: the next in the queue may go. */
static void drop_outstanding(struct copse_endpoint *ep, struct exchange *x)
{
	if (!x->outstanding)
		return;
	x->outstanding = false;
	x->remote->outstanding--;
	start_queued(ep, x->remote);
}

/* Stop sending: no timer, no bytes, no message ID. */
static void quiet(struct copse_endpoint *ep, struct exchange *x)
{
	core_heap_clear(&ep->timers, &x->timer);
	core_store_release(&ep->store, &x->kept);
	core_store_release(&ep->store, &x->newer);
	drop_id(ep, x);
}

void x_release(struct copse_endpoint *ep, struct exchange *x)
{
	struct remote *r = x->remote;
	quiet(ep, x);
	drop_token(ep, x);
	enter(x, X_FREE);
	drop_outstanding(ep, x);
	x->generation++;
	core_node_remove(&x->remote_node);
	core_list_push(&ep->free_exchanges, &x->node); /* the next one finds it in the processor's cache */
	ep->usage.exchanges--;
	if (--r->exchange_n == 0)
		core_node_insert(&ep->idle, &r->node);
}

/* ---- tokens and IDs ---- */

static struct exchange *token_walk(const struct copse_endpoint *ep, const uint8_t *token, size_t len,
				   uint32_t *pos)
{
	const uint32_t hash = token_hash(token, len);
	uint32_t n;
	while ((n = core_table_next(&ep->table, hash, pos)) != 0) {
		struct exchange *x = &ep->exchange[(n & 0x3fffffff) - 1];
		if (n >> 30 == EP_TOKEN && x->token_len == len && memcmp(x->token, token, len) == 0)
			return x;
	}
	return NULL;
}

/* RFC 7252 §5.3.2: the endpoint must be the one that was asked; §8.2: any, when a group was asked. */
static bool may_answer(const struct exchange *x, const struct copse_peer *peer)
{
	return (x->remote->peer.flags & COPSE_PEER_MULTICAST) || copse_peer_equal(&x->remote->peer, peer);
}

struct exchange *x_find_token(struct copse_endpoint *ep, const struct copse_peer *peer, const uint8_t *token,
			      size_t token_len)
{
	struct exchange *x;
	if (is_named(token_len)) {
		x = named_by(ep, token);
		return x && may_answer(x, peer) ? x : NULL;
	}
	uint32_t pos = token_hash(token, token_len) & ep->table.mask;
	while ((x = token_walk(ep, token, token_len, &pos)) != NULL) {
		if (may_answer(x, peer))
			return x;
	}
	return NULL;
}

/* A token that nobody can guess and none of our open requests has. A short one may run out: false then. */
static bool new_token(struct copse_endpoint *ep, struct exchange *x)
{
	x->token_len = ep_params(ep, &x->remote->peer)->token_len;
	if (is_named(x->token_len)) {
		const uint64_t random = ep_random(ep);
		memcpy(x->token, &random, COPSE_TOKEN_MAX);
		put_name(ep, x);
		x->has_token = true;
		return true;
	}
	for (int tries = 0; tries < 256; tries++) {
		const uint64_t random = ep_random(ep);
		memcpy(x->token, &random, x->token_len);
		uint32_t pos = token_hash(x->token, x->token_len) & ep->table.mask;
		if (!token_walk(ep, x->token, x->token_len, &pos)) {
			core_table_insert(&ep->table, token_hash(x->token, x->token_len),
					  EP_VALUE(EP_TOKEN, x - ep->exchange));
			x->has_token = true;
			return true;
		}
	}
	return false;
}

static void new_id(struct copse_endpoint *ep, struct exchange *x)
{
	const struct remote *r = x->remote;
	x->id = ep_new_id(ep, &r->peer, r->hash);
	x->id_hash = ep_id_hash(r->hash, x->id);
	if (x->type == COPSE_CON) {
		core_table_insert(&ep->table, x->id_hash, EP_VALUE(EP_ID, x - ep->exchange));
		ep_count_id(ep, x->id_hash, 1);
		x->has_id = true;
	}
}

/* ---- sending ---- */

/* Give the exchange the message to send under an ID of its own, in place of the one that it had. False, and nothing has
 * changed, when there is no room for it. */
static bool encode(struct copse_endpoint *ep, struct exchange *x, const uint8_t *token, size_t token_len,
		   const struct copse_out *out)
{
	if (!ep_make_room(ep, ep_head_len(token_len) + out->rest_len)) {
		EP_COUNT(ep, refused_exchange);
		return false;
	}
	core_store_release(&ep->store, &x->kept);
	drop_id(ep, x);
	x->type = out->con ? COPSE_CON : COPSE_NON;
	x->priority = out->priority;
	new_id(ep, x);
	ep_keep(ep, &x->kept, x->type, x->id, token, token_len, out);
	if (EP_AGES)
		x->kept_at = ep_since(ep, out);
	return true;
}

static void make_ready(struct copse_endpoint *ep, struct exchange *x)
{
	enter(x, X_READY);
	core_node_insert(&ep->ready, &x->node);
}

static void make_outstanding(struct copse_endpoint *ep, struct exchange *x)
{
	x->outstanding = true;
	x->remote->outstanding++;
	make_ready(ep, x);
}

static void start_queued(struct copse_endpoint *ep, struct remote *r)
{
	while (r->outstanding < ep_params(ep, &r->peer)->nstart && !core_node_alone(&r->queue))
		make_outstanding(ep, CORE_OF(r->queue.next, struct exchange, node));
}

/* Behind all of at least its priority. */
static void enqueue(struct remote *r, struct exchange *x)
{
	enter(x, X_QUEUED);
	struct core_node *at = &r->queue;
	while (at->prev != &r->queue && CORE_OF(at->prev, struct exchange, node)->priority < x->priority)
		at = at->prev;
	core_node_insert(at, &x->node);
}

/* Send it now, or when NSTART allows: requests alone are limited (§4.7), and of them the confirmable ones, whose end is
 * certain; those without are held by PROBING_RATE. */
static void submit(struct copse_endpoint *ep, struct exchange *x)
{
	struct remote *r = x->remote;
	if (x->kind != X_REQUEST || x->type != COPSE_CON)
		make_ready(ep, x);
	else if (r->outstanding < ep_params(ep, &r->peer)->nstart)
		make_outstanding(ep, x);
	else
		enqueue(r, x);
}

/* The place back to the free ones of an exchange that never came to be sent. */
static void undo(struct copse_endpoint *ep, struct exchange *x)
{
	enter(x, X_READY);
	x_release(ep, x);
}

struct exchange *x_send(struct copse_endpoint *ep, enum exchange_kind kind, const struct copse_peer *peer,
			const uint8_t *token, size_t token_len, const struct copse_out *out, void *user,
			uint32_t delay_ms)
{
	struct exchange *x = x_alloc(ep, kind, peer, user);
	if (!x)
		return NULL;
	x->token_len = token_len <= COPSE_TOKEN_MAX ? (uint8_t)token_len : 0; /* a response is encoded once */
	if (token_len == 0)
		token = x->token; /* the caller may have none at all */
	memmove(x->token, token, x->token_len);
	if (!encode(ep, x, token, token_len, out)) {
		undo(ep, x);
		return NULL;
	}
	if (delay_ms > 0) {
		enter(x, X_DELAYED);
		core_heap_set(&ep->timers, &x->timer, ep->now + delay_ms);
	} else {
		submit(ep, x);
	}
	return x;
}

int copse_endpoint_request(struct copse_endpoint *ep, const struct copse_peer *peer,
			   const struct copse_out *out, unsigned flags, void *user, copse_ms now,
			   copse_handle *exchange)
{
	if (unlikely(EP_SHIELD(ep) != NULL))
		return EP_SHIELD(ep)->request(EP_SELF(ep), ep, peer, out, flags, user, now, exchange);
	ep_advance(ep, now);
	/* RFC 7252 §8.1: a request to a group is non-confirmable. */
	COPSE_ASSERT(!(out->con && (peer->flags & COPSE_PEER_MULTICAST)));
	struct exchange *x = x_alloc(ep, X_REQUEST, peer, user);
	if (!x)
		return COPSE_ERR_NOROOM;
	x->flags = (uint8_t)flags;
	int err = COPSE_ERR_NOROOM;
	if (!out->con &&
	    !remote_may_probe(ep, x->remote, COPSE_HEADER_LEN + COPSE_TOKEN_MAX + out->rest_len)) {
		EP_COUNT(ep, refused_rate);
		err = COPSE_ERR_RATE;
	} else if (new_token(ep, x) && encode(ep, x, x->token, x->token_len, out)) {
		if (!out->con)
			remote_probed(ep, x->remote, x->kept.len);
		EP_COUNT(ep, requests_out);
		submit(ep, x);
		*exchange = x_handle(ep, x);
		return 0;
	}
	undo(ep, x);
	return err;
}

int copse_endpoint_request_again(struct copse_endpoint *ep, copse_handle exchange,
				 const struct copse_out *out, copse_ms now)
{
	if (unlikely(EP_SHIELD(ep) != NULL))
		return EP_SHIELD(ep)->request_again(EP_SELF(ep), ep, exchange, out, now);
	ep_advance(ep, now);
	struct exchange *x = x_get(ep, exchange);
	if (!x || x->kind != X_REQUEST)
		return COPSE_ERR_GONE;
	if (!encode(ep, x, x->token, x->token_len, out))
		return COPSE_ERR_NOROOM;
	core_heap_clear(&ep->timers, &x->timer);
	x->sent = 0;
	if (x->outstanding)
		x->remote->outstanding--;
	x->outstanding = false;
	submit(ep, x);
	start_queued(ep, x->remote);
	EP_COUNT(ep, requests_out);
	return 0;
}

int copse_endpoint_notify(struct copse_endpoint *ep, const struct copse_peer *peer, const void *token,
			  size_t token_len, const struct copse_out *out, void *user, copse_ms now,
			  copse_handle *exchange, uint16_t *id)
{
	if (unlikely(EP_SHIELD(ep) != NULL))
		return EP_SHIELD(ep)->notify(EP_SELF(ep), ep, peer, token, token_len, out, user, now,
					     exchange, id);
	ep_advance(ep, now);
	COPSE_ASSERT(token_len <= COPSE_TOKEN_MAX);
	const struct exchange *x = x_send(ep, X_NOTIFICATION, peer, token, token_len, out, user, 0);
	if (!x)
		return COPSE_ERR_NOROOM;
	if (exchange)
		*exchange = out->con ? x_handle(ep, x) : COPSE_NO_HANDLE;
	if (id)
		*id = x->id;
	return 0;
}

/* RFC 7641 §4.5.2: the newer state takes the place of the older one in what is sent next, as a new message that inherits
 * the count of attempts and the time-out. */
static void supersede(struct copse_endpoint *ep, struct exchange *x)
{
	if (x->newer.len == 0)
		return;
	core_store_release(&ep->store, &x->kept);
	drop_id(ep, x);
	x->kept = x->newer;
	if (EP_AGES)
		x->kept_at = x->newer_at;
	x->newer = (struct core_kept){0, 0};
	new_id(ep, x);
	core_store_set_id(&ep->store, &x->kept, x->id);
}

int copse_endpoint_replace(struct copse_endpoint *ep, copse_handle exchange, const struct copse_out *out,
			   copse_ms now)
{
	if (unlikely(EP_SHIELD(ep) != NULL))
		return EP_SHIELD(ep)->replace(EP_SELF(ep), ep, exchange, out, now);
	ep_advance(ep, now);
	struct exchange *x = x_get(ep, exchange);
	if (!x || x->kind != X_NOTIFICATION)
		return COPSE_ERR_GONE;
	struct core_kept newer;
	if (!ep_keep(ep, &newer, COPSE_CON, 0, x->token, x->token_len, out))
		return COPSE_ERR_NOROOM;
	core_store_release(&ep->store, &x->newer);
	x->newer = newer;
	if (EP_AGES)
		x->newer_at = ep_since(ep, out);
	if (x->state == X_READY)
		supersede(ep, x);
	return 0;
}

int copse_endpoint_ping(struct copse_endpoint *ep, const struct copse_peer *peer, void *user, copse_ms now,
			copse_handle *exchange)
{
	ep_advance(ep, now);
	const struct copse_out out = {.code = COPSE_CODE_EMPTY, .con = true};
	const struct exchange *x = x_send(ep, X_PING, peer, NULL, 0, &out, user, 0);
	if (!x)
		return COPSE_ERR_NOROOM;
	*exchange = x_handle(ep, x);
	return 0;
}

void copse_endpoint_cancel(struct copse_endpoint *ep, copse_handle exchange, copse_ms now)
{
	if (unlikely(EP_SHIELD(ep) != NULL)) {
		EP_SHIELD(ep)->cancel(EP_SELF(ep), ep, exchange, now);
		return;
	}
	ep_advance(ep, now);
	struct exchange *x = x_named(ep, exchange);
	if (x)
		x_release(ep, x);
}

/* ---- what happens to an exchange ---- */

static void await_response(struct copse_endpoint *ep, struct exchange *x)
{
	enter(x, X_WAITING);
	core_heap_set(&ep->timers, &x->timer, ep->now + ep_params(ep, &x->remote->peer)->response_timeout_ms);
}

void x_transmitted(struct copse_endpoint *ep, struct exchange *x)
{
	if (x->type == COPSE_CON) {
		/* RFC 7252 §4.2: a random time between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR. */
		const struct copse_peer *peer = &x->remote->peer;
		if (x->sent == 0)
			x->timeout_ms = ep_params(ep, peer)->ack_timeout_ms +
					ep_random_up_to(ep, ep->group[peer->group].jitter_ms);
		else
			EP_COUNT(ep, retransmissions);
		x->sent++;
		enter(x, X_SENT);
		core_heap_set(&ep->timers, &x->timer, ep->now + x->timeout_ms);
		return;
	}
	x->sent = 1;
	if (x->kind == X_REQUEST) {
		quiet(ep, x);
		await_response(ep, x);
	} else {
		x_release(ep, x);
	}
}

static void over(struct copse_endpoint *ep, struct exchange *x, int error)
{
	quiet(ep, x);
	drop_token(ep, x);
	enter(x, X_OVER);
	drop_outstanding(ep, x);
	x->error = error;
	core_node_insert(&ep->over, &x->node);
}

void x_fail(struct copse_endpoint *ep, struct exchange *x, int error)
{
	if (x->wants_event)
		over(ep, x, error);
	else
		x_release(ep, x);
}

static void heard(struct exchange *x)
{
	x->remote->unanswered_bytes = 0;
}

void x_acknowledged(struct copse_endpoint *ep, struct exchange *x)
{
	heard(x);
	if (x->kind == X_REQUEST) {
		quiet(ep, x);
		await_response(ep, x);
		drop_outstanding(ep, x);
	} else {
		x->outdated = x->newer.len > 0;
		x_fail(ep, x, COPSE_OK);
	}
}

void x_responded(struct copse_endpoint *ep, struct exchange *x)
{
	heard(x);
	if (!(x->flags & COPSE_REQUEST_MANY)) {
		x_release(ep, x);
	} else if (!(x->remote->peer.flags & COPSE_PEER_MULTICAST)) {
		quiet(ep, x);
		enter(x, X_OPEN);
		drop_outstanding(ep, x);
	}
}

void x_expire(struct copse_endpoint *ep, struct exchange *x)
{
	core_heap_clear(&ep->timers, &x->timer);
	if (x->state == X_DELAYED) {
		submit(ep, x);
	} else if (x->state == X_SENT && x->sent <= ep_params(ep, &x->remote->peer)->max_retransmit) {
		x->timeout_ms += x->timeout_ms;
		supersede(ep, x);
		make_ready(ep, x);
	} else {
		EP_COUNT(ep, timeouts);
		x_fail(ep, x, COPSE_ERR_TIMEOUT);
	}
}

void copse_endpoint_unreachable(struct copse_endpoint *ep, const struct copse_peer *peer, copse_ms now)
{
	ep_advance(ep, now);
	struct remote *r = ep_find(ep, EP_REMOTE, peer, ep_peer_hash(ep, peer), 0);
	if (!r)
		return;
	for (struct core_node *n = r->exchanges.next, *next; n != &r->exchanges; n = next) {
		next = n->next;
		struct exchange *x = CORE_OF(n, struct exchange, remote_node);
		/* What is observed over a connection ends with it (RFC 8323 §7.4); datagrams may get through again. */
		if (x->state != X_OVER && (x->state != X_OPEN || copse_peer_is_reliable(peer)))
			x_fail(ep, x, COPSE_ERR_TRANSPORT);
	}
}
