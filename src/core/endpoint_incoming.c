/* Messages received: remembered for EXCHANGE_LIFETIME or NON_LIFETIME, so that a duplicate gets the same reply and no
 * request runs twice (RFC 7252 §4.2, §4.3, §4.5); acknowledgements, piggybacked and separate responses (§5.2).
 *
 * What waits, waits equally long with its like: queues in order of arrival take the place of timers. When there is no
 * room left, the oldest message goes whose repetition does no harm, of those who take most of the room first.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "endpoint_state.h"
#include "wire.h"

#include <string.h>

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

/* ---- queues ---- */

static struct incoming *first_of(const struct core_node *queue)
{
	return core_node_alone(queue) ? NULL : CORE_OF(queue->next, struct incoming, queue);
}

static void wait_in(struct copse_endpoint *ep, struct incoming *in, enum ep_queue which)
{
	core_node_remove(&in->queue);
	in->at = ep->now;
	core_node_insert(&ep->group[in->peer.group].queue[which], &in->queue);
}

/* Of a NON the reply is given up as soon as it is sent (in_transmitted): it counts as nobody's. */
static bool keep_reply(struct copse_endpoint *ep, struct incoming *in, uint16_t id, const uint8_t *token,
		       const struct copse_out *out)
{
	const bool con = in->type == COPSE_CON;
	if (!ep_keep(ep, &in->reply, con ? COPSE_ACK : COPSE_NON, id, token, in->token_len, out))
		return false;
	if (con)
		ep_share_reply(ep, in, core_store_pieces(in->reply.len));
	return true;
}

static void drop_reply(struct copse_endpoint *ep, struct incoming *in)
{
	if (in->type == COPSE_CON && in->reply.len)
		ep_share_no_reply(ep, in, core_store_pieces(in->reply.len));
	core_store_release(&ep->store, &in->reply);
}

void in_forget(struct copse_endpoint *ep, struct incoming *in)
{
	core_table_remove(&ep->table, in->hash, EP_VALUE(EP_INCOMING, in - ep->incoming));
	drop_reply(ep, in);
	ep_share_give(ep, in);
	if (in->token_len > COPSE_TOKEN_MAX)
		core_store_release(&ep->store, &in->long_token);
	core_node_remove(&in->node);
	core_node_remove(&in->queue);
	in->state = IN_FREE;
	in->generation++;
	core_node_insert(&ep->free_incoming, &in->queue);
	ep->usage.incoming--;
}

/* The oldest message in the queues from `first` to `last` of all groups, or NULL. */
static struct incoming *oldest_of(struct copse_endpoint *ep, enum ep_queue first, enum ep_queue last)
{
	struct incoming *oldest = NULL;
	for (unsigned g = 0; g < ep->config.group_n; g++) {
		for (unsigned q = first; q <= last; q++) {
			struct incoming *in = first_of(&ep->group[g].queue[q]);
			if (in && core_node_alone(&in->node) && (!oldest || in->at < oldest->at))
				oldest = in;
		}
	}
	return oldest;
}

/* So many of peers with a small share are passed over at a time. */
#define SPARED 16

/* The oldest whose repetition does no harm (§4.5), of a peer with a large share: the others' go to the end of their queue,
 * where they are forgotten late rather than early. NULL: none is left. */
static struct incoming *oldest_harmless(struct copse_endpoint *ep)
{
	for (int spared = 0;; spared++) {
		struct incoming *in = oldest_of(ep, EP_QUEUE_NON, EP_QUEUE_CON);
		if (!in || spared == SPARED || ep_share_is_large(ep, in))
			return in;
		core_node_remove(&in->queue);
		core_node_insert(&ep->group[in->peer.group].queue[EP_QUEUE_NON + (in->type == COPSE_CON)],
				 &in->queue);
	}
}

/* What must not run twice stays: whoever is turned away because of it can come again. */
bool in_forget_oldest(struct copse_endpoint *ep)
{
	struct incoming *oldest = oldest_harmless(ep);
	const bool harmless = oldest != NULL;
	if (EP_FORGETS_ONCE && !harmless)
		oldest = oldest_of(ep, EP_QUEUE_NON_ONCE, EP_QUEUE_NON_ONCE);
	if (!oldest)
		return false;
	in_forget(ep, oldest);
	if (harmless)
		EP_COUNT(ep, forgotten);
	else
		EP_COUNT(ep, forgotten_once);
	return true;
}

copse_ms in_deadline(const struct copse_endpoint *ep)
{
	copse_ms deadline = COPSE_NEVER;
	for (unsigned g = 0; g < ep->config.group_n; g++) {
		for (unsigned q = 0; q < EP_QUEUES; q++) {
			const struct incoming *in = first_of(&ep->group[g].queue[q]);
			if (!in)
				continue;
			/* Forgetting is not urgent: a step of a second lets one round do it for many. */
			const copse_ms at =
			    in->at + ep->group[g].span[q] + (q == EP_QUEUE_ACK ? 0 : EP_FORGET_STEP_MS);
			deadline = at < deadline ? at : deadline;
		}
	}
	return deadline;
}

static void acknowledge(struct copse_endpoint *ep, struct incoming *in)
{
	if (in->state != IN_PENDING)
		return;
	in->state = IN_OPEN;
	core_node_remove(&in->queue);
	EP_COUNT(ep, empty_acks_out);
	in_queue(ep, in);
}

void in_expire(struct copse_endpoint *ep)
{
	for (unsigned g = 0; g < ep->config.group_n; g++) {
		for (unsigned q = 0; q < EP_QUEUES; q++) {
			struct incoming *in;
			while ((in = first_of(&ep->group[g].queue[q])) != NULL &&
			       in->at + ep->group[g].span[q] <= ep->now) {
				if (q == EP_QUEUE_ACK)
					acknowledge(ep, in);
				else
					in_forget(ep, in);
			}
		}
	}
}

/* ---- life of a message ---- */

/* False when the token is a long one for which there is no room. */
static bool remember_token(struct copse_endpoint *ep, struct incoming *in, const struct copse_message *m)
{
	in->token_len = m->token_len;
	if (m->token_len <= COPSE_TOKEN_MAX) {
		memcpy(in->token, copse_message_token(m), m->token_len);
		return true;
	}
	if (COPSE_TOKEN_LONG > COPSE_TOKEN_MAX && ep_make_room(ep, m->token_len)) {
		in->long_token = core_store_keep(&ep->store, copse_message_token(m), m->token_len, NULL, 0);
		return true;
	}
	return false;
}

/* The token of a request, in place or copied to `buf`. */
static const uint8_t *token_of(const struct copse_endpoint *ep, const struct incoming *in,
			       uint8_t buf[COPSE_TOKEN_LONG])
{
	if (in->token_len <= COPSE_TOKEN_MAX)
		return in->token;
	core_store_copy(&ep->store, &in->long_token, buf);
	return buf;
}

struct incoming *in_remember(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash,
			     const struct copse_message *m)
{
	if (core_node_alone(&ep->free_incoming) && !in_forget_oldest(ep))
		return NULL;
	struct incoming *in = CORE_OF(core_list_pop(&ep->free_incoming), struct incoming, queue);
	if (!remember_token(ep, in, m)) {
		core_node_insert(&ep->free_incoming, &in->queue);
		return NULL;
	}
	in->peer = *peer;
	in->user = NULL;
	in->hash = ep_id_hash(peer_hash, m->id);
	in->id = m->id;
	in->len = m->len;
	in->code = m->code;
	in->type = m->type;
	in->state = IN_OPEN;
	in->once = in_is_once(m);
	core_table_insert(&ep->table, in->hash, EP_VALUE(EP_INCOMING, in - ep->incoming));
	ep_share_take(ep, in);
	if (m->type == COPSE_CON) {
		in->state = IN_PENDING;
		wait_in(ep, in, EP_QUEUE_ACK);
	}
	ep->usage.incoming++;
	return in;
}

void in_done(struct copse_endpoint *ep, struct incoming *in)
{
	in->state = IN_DONE;
	if (copse_peer_is_reliable(&in->peer)) {
		core_node_remove(&in->queue);
		if (core_node_alone(&in->node))
			in_forget(ep, in);
		return; /* else when the reply has been handed out */
	}
	wait_in(ep, in, (in->once ? EP_QUEUE_NON_ONCE : EP_QUEUE_NON) + (in->type == COPSE_CON));
}

/* Send what the record has as its reply; an empty acknowledgement when that is nothing. */
void in_queue(struct copse_endpoint *ep, struct incoming *in)
{
	core_node_remove(&in->node);
	core_node_insert(&ep->replies, &in->node);
}

void in_transmitted(struct copse_endpoint *ep, struct incoming *in)
{
	core_node_remove(&in->node);
	if (copse_peer_is_reliable(&in->peer) && in->state == IN_DONE)
		in_forget(ep, in);
	else if (in->type == COPSE_NON)
		drop_reply(ep, in); /* §4.3: a duplicate NON is not answered again */
}

/* A copy has the same bytes. A client that is started anew for each request and keeps its port (the habit with a gateway
 * that knows sessions by address and port) draws its message IDs anew too, and may meet one of the last minutes (RFC
 * 7252 §4.4 forbids it, and cannot prevent it): what differs in token, code or length is another message, if the first
 * is over. libcoap's client begins with the same token each time, so the token alone would not do. */
bool in_superseded(const struct incoming *in, const struct copse_message *m)
{
	if (in->state != IN_DONE)
		return false;
	if (in->code != m->code || in->len != m->len || in->token_len != m->token_len)
		return true;
	return in->token_len <= COPSE_TOKEN_MAX &&
	       memcmp(in->token, copse_message_token(m), m->token_len) != 0;
}

void in_duplicate(struct copse_endpoint *ep, struct incoming *in)
{
	EP_COUNT(ep, duplicates);
	if (in->type != COPSE_CON)
		return;
	/* §4.2: each copy is acknowledged, with the same bytes, and none is processed again. */
	EP_COUNT(ep, duplicates_answered);
	acknowledge(ep, in);
	in_queue(ep, in);
}

/* ---- answers ---- */

/* The answer travels in the acknowledgement, or as a NON under an ID of its own. */
static int respond_in_place(struct copse_endpoint *ep, struct incoming *in, const struct copse_out *out)
{
	const bool con = in->type == COPSE_CON;
	const uint16_t id = con ? in->id : ep_new_id(ep, &in->peer, in_peer_hash(in));
	uint8_t buf[COPSE_TOKEN_LONG];
	const uint8_t *token = token_of(ep, in, buf);
	if (!keep_reply(ep, in, id, token, out))
		return COPSE_ERR_NOROOM;
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
		leisure = 1 + ep_random_up_to(ep, ep_params(ep, &peer)->default_leisure_ms);
		peer.flags &= (uint8_t)~COPSE_PEER_MULTICAST;
		copy.con = false;
	}
	uint8_t buf[COPSE_TOKEN_LONG];
	struct exchange *x =
	    x_send(ep, X_RESPONSE, &peer, token_of(ep, in, buf), in->token_len, &copy, in->user, leisure);
	if (!x)
		return COPSE_ERR_NOROOM;
	x->wants_event = in->user != NULL;
	return 0;
}

int in_respond(struct copse_endpoint *ep, struct incoming *in, const struct copse_out *out)
{
	const bool apart = in->type == COPSE_CON ? in->state == IN_OPEN
						 : out->con || (in->peer.flags & COPSE_PEER_MULTICAST);
	const int err = apart ? respond_apart(ep, in, out) : respond_in_place(ep, in, out);
	if (err == 0)
		in_done(ep, in);
	return err;
}

int copse_endpoint_respond(struct copse_endpoint *ep, copse_handle exchange, const struct copse_out *out,
			   copse_ms now)
{
	if (unlikely(EP_SHIELD(ep) != NULL))
		return EP_SHIELD(ep)->respond(EP_SELF(ep), ep, exchange, out, now);
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
	const int err = copse_endpoint_acknowledge(ep, exchange, now);
	if (!err)
		in_done(ep, in_get(ep, exchange));
	return err;
}

int copse_endpoint_tag(struct copse_endpoint *ep, copse_handle exchange, void *user)
{
	struct incoming *in = in_get(ep, exchange);
	if (!in)
		return COPSE_ERR_GONE;
	in->user = user;
	return 0;
}

int copse_endpoint_exchange_info(const struct copse_endpoint *ep, copse_handle exchange,
				 struct copse_peer *peer, uint8_t *token, size_t *token_len, bool *con)
{
	const struct incoming *in = in_get(ep, exchange);
	if (!in)
		return COPSE_ERR_GONE;
	if (peer)
		*peer = in->peer;
	if (token && in->token_len <= COPSE_TOKEN_MAX)
		memcpy(token, in->token, in->token_len);
	if (token_len)
		*token_len = in->token_len;
	if (con)
		*con = in->type == COPSE_CON;
	return 0;
}
