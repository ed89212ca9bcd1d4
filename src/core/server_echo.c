/* Echo (RFC 9175): proof that a peer receives what is sent to its address, and that a request is fresh. The server keeps
 * nothing for an address that has not answered: the value is the time and a digest of time and address under a key of
 * its own.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"
#include "siphash.h"

#include <string.h>

#define TIME_LEN  4u
#define VALUE_LEN (TIME_LEN + 8u)

/* How often a separate response may leave for one request (RFC 7252 §4.8), and the empty acknowledgement before it. */
#define COPIES_APART 5u

static void put_value(const struct copse_server *s, const struct copse_peer *peer, uint32_t seconds,
		      uint8_t value[VALUE_LEN])
{
	const uint64_t key[2] = {~s->config.seed[0] ^ seconds, ~s->config.seed[1]};
	const uint64_t digest = core_siphash(key, peer->key, peer->len, 2, 4);
	for (unsigned i = 0; i < TIME_LEN; i++)
		value[i] = (uint8_t)(seconds >> (24 - 8 * i));
	memcpy(value + TIME_LEN, &digest, sizeof digest);
}

/* Whether the request bears a value that we gave to this very address not long ago. */
static bool has_fresh_value(const struct copse_server *s, const struct server_work *w)
{
	const struct copse_message *m = w->rq.message;
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ECHO);
	uint8_t expected[VALUE_LEN];
	if (!o || o->len != VALUE_LEN)
		return false;
	const uint8_t *v = copse_option_value(m, o);
	const uint32_t seconds = (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3];
	put_value(s, &w->ask.peer, seconds, expected);
	uint8_t different = 0; /* in constant time: the digest is a secret until it is sent */
	for (unsigned i = 0; i < VALUE_LEN; i++)
		different |= (uint8_t)(expected[i] ^ v[i]);
	return different == 0 && srv_time_of(s, seconds) + s->config.fresh_ms + 1024 > s->now;
}

/* ---- who is verified ---- */

void srv_echo_init(struct copse_server *s)
{
	core_node_init(&s->free_visitors);
	core_node_init(&s->visitors);
	for (uint32_t i = 0; i < s->config.verified_cap; i++) {
		memset(&s->visitor[i], 0, sizeof s->visitor[i]);
		core_node_insert(&s->free_visitors, &s->visitor[i].node);
	}
}

static struct visitor *find(const struct copse_server *s, const struct copse_peer *peer, uint32_t hash)
{
	uint32_t pos = hash & s->visitor_keys.mask;
	uint32_t number;
	while ((number = core_table_next(&s->visitor_keys, hash, &pos)) != 0) {
		if (copse_peer_equal(&s->visitor[number - 1].peer, peer))
			return &s->visitor[number - 1];
	}
	return NULL;
}

static void remember(struct copse_server *s, const struct copse_peer *peer)
{
	if (s->config.verified_cap == 0)
		return;
	const uint32_t hash = (uint32_t)core_siphash(s->config.seed, peer->key, peer->len, 1, 3);
	struct visitor *v = find(s, peer, hash);
	if (!v) {
		if (core_node_alone(&s->free_visitors)) {
			v = CORE_OF(s->visitors.next, struct visitor, node);
			core_table_remove(&s->visitor_keys, v->hash, (uint32_t)(v - s->visitor) + 1);
			s->counters.verified_forgotten++;
		} else {
			v = CORE_OF(s->free_visitors.next, struct visitor, node);
		}
		v->peer = *peer;
		v->hash = hash;
		core_table_insert(&s->visitor_keys, hash, (uint32_t)(v - s->visitor) + 1);
	}
	core_node_remove(&v->node);
	core_node_insert(&s->visitors, &v->node);
}

static bool is_verified(struct copse_server *s, const struct copse_peer *peer)
{
	const uint32_t hash = (uint32_t)core_siphash(s->config.seed, peer->key, peer->len, 1, 3);
	struct visitor *v = find(s, peer, hash);
	if (!v)
		return false;
	core_node_remove(&v->node);
	core_node_insert(&s->visitors, &v->node);
	return true;
}

void copse_server_verified(struct copse_server *server, const struct copse_peer *peer, copse_ms now)
{
	srv_advance(server, now);
	remember(server, peer);
}

/* ---- what follows ---- */

void srv_echo_challenge(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs)
{
	uint8_t value[VALUE_LEN];
	s->counters.challenged++;
	put_value(s, &ask->peer, srv_seconds(s), value);
	copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, NULL); /* RFC 9175 §2.4 */
	copse_response_option(rs, COPSE_OPTION_ECHO, value, sizeof value);
}

static bool challenge_now(struct copse_server *s, struct server_work *w)
{
	struct copse_response rs;
	srv_response_init(s, &rs);
	srv_echo_challenge(s, &w->ask, &rs);
	w->ask.has_block1 = w->ask.has_block2 = false;
	if (srv_answer(s, &w->ask, &rs) == COPSE_ERR_NOROOM)
		srv_answer_last(s, &w->ask, &rs);
	return false;
}

bool srv_echo_admit(struct copse_server *s, struct server_work *w)
{
	const bool safe = copse_code_is_safe(w->rq.method);
	const bool must_be_fresh = !safe && (w->rq.resource->flags & COPSE_RESOURCE_FRESH);
	if (s->config.amplification == 0 && !must_be_fresh)
		return true;
	const bool fresh = has_fresh_value(s, w);
	if (fresh) {
		s->counters.verified++;
		remember(s, &w->ask.peer);
	}
	if (must_be_fresh && !fresh)
		return challenge_now(s, w);
	if (s->config.amplification == 0 || fresh || is_verified(s, &w->ask.peer))
		return true;
	/* What changes something, and what would be told more than once, waits for the proof, unless the resource has it
	 * otherwise; of the rest only an answer that turns out too long does. */
	w->ask.limited = true;
	const uint16_t flags = w->rq.resource->flags;
	const bool waits = safe ? (flags & COPSE_RESOURCE_PROVEN) ||
				      copse_message_option(w->rq.message, COPSE_OPTION_OBSERVE)
				: !(flags & COPSE_RESOURCE_UNPROVEN);
	return waits ? challenge_now(s, w) : true;
}

/* What has been done cannot be asked to be done again, and an error is worth more than a challenge: these lose their
 * text. A 4.01 and a body that was asked for become the challenge. */
void srv_echo_shorten(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs)
{
	const bool error = copse_code_class(rs->code) >= 4 && rs->code != COPSE_CODE_UNAUTHORIZED;
	const uint32_t max_age = rs->max_age;
	if (!error && copse_code_is_safe(ask->method)) {
		srv_echo_challenge(s, ask, rs);
		return;
	}
	s->counters.shortened++;
	copse_response_error(rs, rs->code, NULL);
	rs->max_age = max_age;
}

bool srv_echo_may_send(struct copse_server *s, const struct server_ask *ask, size_t rest_len)
{
	if (!ask->limited || is_verified(s, &ask->peer)) /* the request itself may have been the proof */
		return true;
	size_t len = COPSE_HEADER_LEN + ask->token_len + rest_len;
	if (ask->apart)
		len = len * COPIES_APART + COPSE_HEADER_LEN;
	return len <= (size_t)s->config.amplification * ask->request_len;
}
