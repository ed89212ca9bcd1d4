/* What only hosts ask of an endpoint, and what they have memory to spare for.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "endpoint_state.h"
#include "siphash.h"

#include <string.h>

/* RFC 7252 §5.10.5: "intended to be current at the time of transmission". In as many bytes as it had, so that a copy is
 * as long as the first one. */
void ep_age(uint8_t *bytes, size_t len, uint32_t seconds)
{
	struct copse_message m;

	if (copse_message_parse_extended(&m, bytes, len, COPSE_TOKEN_LONG) || copse_code_class(m.code) < 2)
		return;
	const struct copse_option *o = copse_message_option(&m, COPSE_OPTION_MAX_AGE);
	if (!o)
		return;
	uint8_t *value = bytes + (copse_option_value(&m, o) - bytes);
	uint32_t left = copse_option_uint(&m, o);
	left = left > seconds ? left - seconds : 0;
	for (size_t i = o->len; i-- > 0; left >>= 8)
		value[i] = (uint8_t)left;
}

void copse_endpoint_shield(struct copse_endpoint *ep, const struct copse_shield *shield, void *self)
{
	ep->shield = shield;
	ep->shield_self = self;
}

uint16_t copse_endpoint_lacks(const struct copse_endpoint *ep, const struct copse_message *m)
{
	return ep_lacks(ep, m);
}

uint16_t copse_endpoint_new_id(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	return ep_new_id(ep, peer, ep_peer_hash(ep, peer));
}

/* A peer is looked up several times for a datagram, in several tables, and some come again and again. Whoever chooses
 * addresses that meet here gains nothing but that their hashes are made anew. */
static struct ep_hashed *hashed_place(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	uint64_t end = 0;
	const size_t len = peer->len < sizeof end ? peer->len : sizeof end;

	memcpy(&end, peer->key + peer->len - len, len);
	return &ep->hashed[end * 0x9e3779b97f4a7c15u >> (64 - EP_HASHED_BITS)];
}

uint32_t ep_peer_hash(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	struct ep_hashed *h = hashed_place(ep, peer);

	if (copse_peer_equal(&h->peer, peer))
		return h->hash;
	h->peer = *peer;
	h->hash = (uint32_t)core_siphash(ep->config.seed, peer->key, peer->len, 1, 3);
	return h->hash;
}

uint32_t copse_endpoint_peer_hash(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	return ep_peer_hash(ep, peer);
}

#define HASTE_MS 1000 /* not sooner behind the time before: who listens may say several things at once */

bool copse_endpoint_hasten(struct copse_endpoint *ep, copse_handle exchange, copse_ms now)
{
	ep_advance(ep, now);
	struct exchange *x = x_get(ep, exchange);

	if (!x || x->state != X_SENT || x->sent > ep_params(ep, &x->remote->peer)->max_retransmit ||
	    x->timer.at - x->timeout_ms + HASTE_MS > ep->now)
		return false;
	x->timeout_ms /= 2; /* which is doubled with each time: this one was the peer's wish */
	core_heap_set(&ep->timers, &x->timer, ep->now);
	return true;
}

/* ---- shares of the memory of messages ---- */

static struct ep_share *share_of(struct copse_endpoint *ep, const struct incoming *in)
{
	return &ep->share[in_peer_hash(in) % EP_SHARES];
}

/* `by` modulo 2^32, as what is given back was taken before. */
static void change(struct copse_endpoint *ep, struct ep_share *s, uint32_t by)
{
	ep->sharers -= s->pieces != 0;
	s->pieces += by;
	ep->shared += by;
	ep->sharers += s->pieces != 0;
}

void ep_share_take(struct copse_endpoint *ep, const struct incoming *in)
{
	struct ep_share *s = share_of(ep, in);

	change(ep, s, EP_RECORD_PIECES);
	s->once += in->once;
	ep->once_n += in->once;
}

void ep_share_give(struct copse_endpoint *ep, const struct incoming *in)
{
	struct ep_share *s = share_of(ep, in);

	change(ep, s, 0u - EP_RECORD_PIECES);
	s->once -= in->once;
	ep->once_n -= in->once;
}

void ep_share_reply(struct copse_endpoint *ep, const struct incoming *in, uint32_t pieces)
{
	change(ep, share_of(ep, in), pieces);
}

void ep_share_no_reply(struct copse_endpoint *ep, const struct incoming *in, uint32_t pieces)
{
	change(ep, share_of(ep, in), 0u - pieces);
}

bool ep_share_is_large(struct copse_endpoint *ep, const struct incoming *in)
{
	return (uint64_t)share_of(ep, in)->pieces * ep->sharers * 2 >= ep->shared;
}

bool ep_share_allows(struct copse_endpoint *ep, const struct incoming *in)
{
	return share_of(ep, in)->once <= ep->config.incoming_cap - ep->once_n + 1;
}

void ep_share_repeatable(struct copse_endpoint *ep, struct incoming *in)
{
	share_of(ep, in)->once -= in->once;
	ep->once_n -= in->once;
	in->once = false;
}

size_t copse_endpoint_incoming_bytes(void)
{
	return sizeof(struct incoming) + 2 * sizeof(struct core_slot);
}

int copse_endpoint_repeatable(struct copse_endpoint *ep, copse_handle exchange)
{
	struct incoming *in = in_get(ep, exchange);

	if (!in)
		return COPSE_ERR_GONE;
	ep_share_repeatable(ep, in);
	return 0;
}
