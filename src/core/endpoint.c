/* The endpoint: memory, receiving, events, transmitting, time. What happens to exchanges of ours stands in
 * endpoint_exchange.c, what happens to messages received in endpoint_incoming.c; see endpoint.h for the contract.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "carve.h"
#include "endpoint_state.h"
#include "params.h"
#include "siphash.h"
#include "wire.h"

#include <string.h>

/* ---- memory ---- */

/* Counters of message IDs: enough that none comes around within EXCHANGE_LIFETIME at 1,000,000 messages a second. */
static uint32_t id_counters(const struct copse_config *c)
{
	uint32_t n = 1;
	while (n < 4096 && n < c->peer_cap)
		n += n;
	return n;
}

static uint32_t table_slots(const struct copse_config *c)
{
	return core_table_slots(2u * c->exchange_cap + c->incoming_cap + c->peer_cap);
}

/* Where everything begins. */
struct areas {
	struct copse_endpoint *ep;
	struct exchange *exchange;
	struct incoming *incoming;
	struct remote *remote;
	struct core_chunk *chunk;
	struct core_timer **timer;
	struct short_reply *short_reply;
	struct core_slot *slot;
	uint16_t *next_id;
};

static void lay_out(struct areas *a, const struct copse_config *c, struct core_carver *cut)
{
	a->ep = core_carve(cut, 1, sizeof *a->ep);
	a->exchange = core_carve(cut, c->exchange_cap, sizeof *a->exchange);
	a->incoming = core_carve(cut, c->incoming_cap, sizeof *a->incoming);
	a->remote = core_carve(cut, c->peer_cap, sizeof *a->remote);
	a->chunk = core_carve(cut, c->chunk_cap, sizeof *a->chunk);
	a->timer = core_carve(cut, c->exchange_cap + 1u, sizeof *a->timer);
	a->short_reply = core_carve(cut, c->reply_cap, sizeof *a->short_reply);
	a->next_id = core_carve(cut, id_counters(c), sizeof *a->next_id);
	a->slot = core_carve(cut, table_slots(c), sizeof *a->slot);
}

size_t copse_endpoint_bytes(const struct copse_config *config)
{
	struct areas unused;
	struct core_carver cut = {NULL, 0};
	lay_out(&unused, config, &cut);
	return cut.used;
}

static void place(struct copse_endpoint *ep, const struct areas *a, const struct copse_config *c)
{
	ep->exchange = a->exchange;
	ep->incoming = a->incoming;
	ep->remote = a->remote;
	ep->timers.timer = a->timer;
	ep->timers.cap = c->exchange_cap;
	ep->short_reply = a->short_reply;
	ep->next_id = a->next_id;
	core_store_init(&ep->store, a->chunk, c->chunk_cap);
	core_table_init(&ep->table, a->slot, table_slots(c));
}

static void init_pools(struct copse_endpoint *ep, const struct copse_config *c)
{
	/* ready, replies, over and the four pools stand one behind the other */
	for (struct core_node *head = &ep->ready; head <= &ep->idle; head++)
		core_node_init(head);
	for (uint32_t i = 0; i < c->exchange_cap; i++) {
		core_node_init(&ep->exchange[i].remote_node);
		core_node_insert(&ep->free_exchanges, &ep->exchange[i].node);
	}
	for (uint32_t i = 0; i < c->incoming_cap; i++) {
		core_node_init(&ep->incoming[i].node);
		core_node_insert(&ep->free_incoming, &ep->incoming[i].queue);
	}
	for (uint32_t i = 0; i < c->peer_cap; i++)
		core_node_insert(&ep->free_remotes, &ep->remote[i].node);
}

static void init_groups(struct copse_endpoint *ep)
{
	for (unsigned g = 0; g < ep->config.group_n; g++) {
		const struct copse_params *p = &ep->config.group[g];
		COPSE_ASSERT(core_params_ok(p));
		for (unsigned q = 0; q < EP_QUEUES; q++)
			core_node_init(&ep->group[g].queue[q]);
		copse_ms *span = ep->group[g].span;
		span[EP_QUEUE_ACK] = p->ack_delay_ms;
		span[EP_QUEUE_NON] = span[EP_QUEUE_NON_ONCE] = copse_params_non_lifetime(p);
		span[EP_QUEUE_CON] = span[EP_QUEUE_CON_ONCE] = copse_params_exchange_lifetime(p);
		ep->group[g].jitter_ms = core_params_first_timeout_max(p) - p->ack_timeout_ms;
	}
}

/* Evenly below the multicast IDs: any other rule would let a share of all processes begin with the same one. */
static uint16_t random_id(struct copse_endpoint *ep)
{
	return (uint16_t)(((uint32_t)ep_random(ep) & 0xffff) * EP_MULTICAST_ID >> 16);
}

struct copse_endpoint *copse_endpoint_init(void *memory, size_t len, const struct copse_config *config,
					   copse_ms now)
{
	const size_t needed = copse_endpoint_bytes(config);
	COPSE_ASSERT(len >= needed && ((uintptr_t)memory & 7) == 0);
	COPSE_ASSERT(config->group_n >= 1 && config->group_n <= COPSE_GROUPS_MAX);
	COPSE_ASSERT(!EP_SHARES_IDS || (config->id_tag & ~config->id_mask) == 0);
	COPSE_ASSERT(config->exchange_cap > 0 && config->incoming_cap > 0 && config->peer_cap > 0 &&
		     config->chunk_cap > 0 && (!EP_NAMES_TOKENS || config->exchange_cap <= 0x1000000) &&
		     config->reply_cap > 0 && config->token_max <= COPSE_TOKEN_LONG);
	struct copse_endpoint *ep = memory;
	memset(memory, 0, needed);
	struct core_carver cut = {memory, 0};
	struct areas areas;
	lay_out(&areas, config, &cut);
	place(ep, &areas, config);
	ep->config = *config;
	ep->now = now;
	init_pools(ep, config);
	init_groups(ep);
	ep->id_mask = id_counters(config) - 1;
	for (uint32_t i = 0; i <= ep->id_mask; i++)
		ep->next_id[i] = config->first_id ? config->first_id : random_id(ep);
	ep->next_multicast_id = (uint16_t)ep_random(ep);
	/* What any server must understand (RFC 7252 §5.10.1, §5.10.4). */
	ep->understood[0] = 1u << COPSE_OPTION_URI_HOST | 1u << COPSE_OPTION_URI_PORT |
			    1u << COPSE_OPTION_URI_PATH | 1u << COPSE_OPTION_URI_QUERY |
			    1u << COPSE_OPTION_ACCEPT;
	return ep;
}

/* ---- what the parts share ---- */

uint64_t ep_random(struct copse_endpoint *ep)
{
	ep->random_counter++;
	return core_siphash(ep->config.seed, &ep->random_counter, sizeof ep->random_counter, 2, 4);
}

uint32_t ep_random_up_to(struct copse_endpoint *ep, uint32_t max)
{
	/* Sixteen random bits times a number of twenty-two, in two steps to stay within thirty-two. */
	const uint32_t random = (uint32_t)ep_random(ep) & 0xffff;
	return ((random * (max >> 10)) >> 6) + ((random * (max & 1023)) >> 16);
}

void *ep_find(const struct copse_endpoint *ep, enum ep_kind kind, const struct copse_peer *peer,
	      uint32_t peer_hash, uint16_t id)
{
	const uint32_t hash = ep_id_hash(peer_hash, id);
	uint32_t pos = hash & ep->table.mask, n;
	while ((n = core_table_next(&ep->table, hash, &pos)) != 0) {
		if (n >> 30 != (uint32_t)kind)
			continue;
		const uint32_t i = (n & 0x3fffffff) - 1;
		void *record = &ep->remote[i];
		const struct copse_peer *of = &ep->remote[i].peer;
		uint16_t record_id = 0;
		if (kind == EP_ID) {
			record = &ep->exchange[i];
			of = &ep->exchange[i].remote->peer;
			record_id = ep->exchange[i].id;
		} else if (kind == EP_INCOMING) {
			record = &ep->incoming[i];
			of = &ep->incoming[i].peer;
			record_id = ep->incoming[i].id;
		}
		if (record_id == id && copse_peer_equal(of, peer))
			return record;
	}
	return NULL;
}

void ep_advance(struct copse_endpoint *ep, copse_ms now)
{
	COPSE_ASSERT(now >= ep->now);
	ep->now = now;
}

uint16_t ep_new_id(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash)
{
	if (peer->flags & COPSE_PEER_MULTICAST)
		return (uint16_t)(EP_MULTICAST_ID | ep->next_multicast_id++);
	uint16_t *next = &ep->next_id[peer_hash & ep->id_mask];
	uint16_t id;
	do {
		id = (*next)++;
		/* RFC 7252 §4.4: not one that this peer may still connect with a message of ours. */
	} while (id >= EP_MULTICAST_ID || (EP_SHARES_IDS && (id & ep->config.id_mask) != ep->config.id_tag) ||
		 (ep_may_have_id(ep, ep_id_hash(peer_hash, id)) && ep_find(ep, EP_ID, peer, peer_hash, id)));
	return id;
}

void ep_short_reply(struct copse_endpoint *ep, const struct copse_peer *peer, uint8_t type, uint16_t id)
{
	if (ep->short_n == ep->config.reply_cap) {
		EP_COUNT(ep, dropped_reply);
		return;
	}
	if (type == COPSE_RST)
		EP_COUNT(ep, resets_out);
	uint32_t at = (uint32_t)ep->short_first + ep->short_n++;
	if (at >= ep->config.reply_cap)
		at -= ep->config.reply_cap;
	ep->short_reply[at] = (struct short_reply){*peer, id, type};
}

bool ep_make_room(struct copse_endpoint *ep, size_t len)
{
	const uint32_t pieces = core_store_pieces(len);
	if (len > COPSE_DATAGRAM_MAX)
		return false;
	while (ep->store.free_n < pieces) {
		if (!in_forget_oldest(ep))
			return false;
	}
	return true;
}

static size_t put_header(uint8_t head[COPSE_HEADER_LEN + 2], uint8_t type, uint8_t code, uint16_t id,
			 size_t token_len)
{
	size_t n = COPSE_HEADER_LEN;
	uint8_t tkl = (uint8_t)token_len;
	if (COPSE_TOKEN_LONG > COPSE_TOKEN_MAX && token_len >= 13) { /* RFC 8974 §2.1 */
		tkl = token_len < 269 ? 13 : 14;
		const size_t extended = token_len - (tkl == 13 ? 13 : 269);
		if (tkl == 14)
			head[n++] = (uint8_t)(extended >> 8);
		head[n++] = (uint8_t)extended;
	}
	head[0] = (uint8_t)(COPSE_VERSION << 6 | type << 4 | tkl);
	head[1] = code;
	head[2] = (uint8_t)(id >> 8);
	head[3] = (uint8_t)id;
	return n;
}

bool ep_keep(struct copse_endpoint *ep, struct core_kept *k, uint8_t type, uint16_t id, const uint8_t *token,
	     size_t token_len, const struct copse_out *out)
{
	uint8_t head[EP_HEAD_MAX];
	const size_t n = put_header(head, type, out->code, id, token_len);
	if (token_len)
		memcpy(head + n, token, token_len);
	if (!ep_make_room(ep, n + token_len + out->rest_len)) {
		EP_COUNT(ep, refused_exchange);
		return false;
	}
	*k = core_store_keep(&ep->store, head, n + token_len, out->rest, out->rest_len);
	return true;
}

/* ---- receiving ---- */

static int event(struct copse_endpoint *ep, enum copse_event_kind kind, copse_handle exchange, void *user)
{
	ep->event = (struct copse_event){.kind = kind,
					 .exchange = exchange,
					 .user = user,
					 .peer = &ep->event_peer,
					 .message = &ep->message};
	return 1;
}

/* Reject what arrived as RFC 7252 §4.2 and §4.3 say; nothing is ever sent in answer to what came by multicast (§8.1). */
static int reject(struct copse_endpoint *ep, int err)
{
	const bool reset = copse_message_reaction(&ep->message, err) == COPSE_REACT_RST;
	if (err == COPSE_ERR_VERSION)
		EP_COUNT(ep, rejected_version);
	else
		EP_COUNT(ep, rejected_malformed);
	if (reset && !(ep->event_peer.flags & COPSE_PEER_MULTICAST))
		ep_short_reply(ep, &ep->event_peer, COPSE_RST, ep->message.id);
	return err;
}

static int unmatched(struct copse_endpoint *ep, bool reset)
{
	EP_COUNT(ep, unmatched);
	if (reset && !(ep->event_peer.flags & COPSE_PEER_MULTICAST))
		ep_short_reply(ep, &ep->event_peer, COPSE_RST, ep->message.id);
	return COPSE_ERR_UNMATCHED;
}

/* A response for exchange `x`, in an acknowledgement or apart. */
static int take_response(struct copse_endpoint *ep, struct exchange *x)
{
	const copse_handle handle = x_handle(ep, x);
	void *user = x->user;
	const uint8_t sent = x->sent;
	if (!ep->forwards && ep_lacks(ep, &ep->message) != 0) {
		/* §5.4.1: such a response is rejected; waiting on would not bring a better one. */
		EP_COUNT(ep, rejected_options);
		x_fail(ep, x, COPSE_ERR_BADOPTION);
		return COPSE_ERR_BADOPTION;
	}
	x_responded(ep, x);
	EP_COUNT(ep, responses_in);
	event(ep, COPSE_EVENT_RESPONSE, handle, user);
	ep->event.sent = sent;
	return 1;
}

static int receive_ack(struct copse_endpoint *ep, uint32_t peer_hash)
{
	const struct copse_message *m = &ep->message;
	struct exchange *x = ep_find(ep, EP_ID, &ep->event_peer, peer_hash, m->id);
	if (!x || x->kind == X_PING)
		return unmatched(ep, false);
	if (m->code == COPSE_CODE_EMPTY || x->kind != X_REQUEST) {
		const bool event_due = x->kind != X_REQUEST && x->wants_event;
		x_acknowledged(ep, x);
		return event_due;
	}
	/* §5.3.2: a piggybacked response must match in both, message ID and token. */
	if (x->token_len != m->token_len || memcmp(x->token, copse_message_token(m), m->token_len) != 0)
		return unmatched(ep, false);
	return take_response(ep, x);
}

static int receive_rst(struct copse_endpoint *ep, uint32_t peer_hash)
{
	struct exchange *x = ep_find(ep, EP_ID, &ep->event_peer, peer_hash, ep->message.id);
	if (!x) {
		/* It may reject a NON of ours, of which no exchange is kept: the application knows (RFC 7641 §3.6). */
		EP_COUNT(ep, unmatched);
		return event(ep, COPSE_EVENT_RESET, COPSE_NO_HANDLE, NULL);
	}
	EP_COUNT(ep, resets_in);
	if (copse_peer_is_reliable(&ep->event_peer)) /* it has greeted by now: copse_peer_units */
		x->remote->peer.flags = ep->event_peer.flags;
	const bool event_due = x->wants_event;
	x_fail(ep, x, COPSE_ERR_RESET);
	return event_due;
}

/* Remembered, so that a copy of it is recognized; without room the next one will come. */
static int receive_unasked(struct copse_endpoint *ep, uint32_t peer_hash)
{
	struct incoming *in = in_remember(ep, &ep->event_peer, peer_hash, &ep->message);
	if (!in) {
		EP_COUNT(ep, refused_incoming);
		return COPSE_ERR_NOROOM;
	}
	in_done(ep, in);
	return event(ep, COPSE_EVENT_UNASKED, COPSE_NO_HANDLE, NULL);
}

/* §4.2, §4.3: context is missing. A non-confirmable response may be a copy of one that ended its exchange: who sent it
 * expects nothing more, unless it sends others (RFC 7641 §3.6). */
static bool wants_reset(const struct copse_message *m)
{
	return !EP_FORGETS_ENDED || m->type == COPSE_CON || copse_message_option(m, COPSE_OPTION_OBSERVE);
}

/* A non-confirmable response that ends `x`: a copy of it will find no exchange, so that it need not be remembered. */
static bool ends(const struct copse_message *m, const struct exchange *x)
{
	return EP_FORGETS_ENDED && m->type == COPSE_NON && x && x->kind == X_REQUEST &&
	       !(x->flags & COPSE_REQUEST_MANY);
}

/* A response with the token of `x`; NULL: of no exchange. */
static int receive_response(struct copse_endpoint *ep, uint32_t peer_hash, struct exchange *x)
{
	const struct copse_message *m = &ep->message;
	if (EP_TAKES_UNASKED && !x && ep->unasked && m->type == COPSE_NON && copse_code_is_success(m->code))
		return receive_unasked(ep, peer_hash);
	if (!x || x->kind != X_REQUEST)
		return unmatched(ep, wants_reset(m));
	struct incoming *in = in_remember(ep, &ep->event_peer, peer_hash, m);
	const bool con = m->type == COPSE_CON && !copse_peer_is_reliable(&ep->event_peer);
	const int n = take_response(ep, x);
	if (n < 0) {
		if (in)
			in_forget(ep, in);
		if (con)
			ep_short_reply(ep, &ep->event_peer, COPSE_RST, m->id);
		return n;
	}
	if (in) {
		in_done(ep, in);
		if (con)
			in_queue(ep, in);
	} else if (con) {
		ep_short_reply(ep, &ep->event_peer, COPSE_ACK, m->id);
	}
	return n;
}

/* Answer with `code` and a diagnostic payload (§5.5.2): `rest` is the marker and the text, ended by a NUL. */
static int answer_error(struct copse_endpoint *ep, struct incoming *in, uint8_t code, const char *rest,
			size_t size)
{
	const struct copse_out out = {.code = code, .rest = (const uint8_t *)rest, .rest_len = size - 1};
	if (in_respond(ep, in, &out) != 0)
		in_forget(ep, in); /* the peer repeats, and may find room then */
	return COPSE_ERR_BADOPTION;
}

/* It was not run, so that a copy of it may come as if it were the first: 5.03, or silence to a group's sender. */
static int refuse_share(struct copse_endpoint *ep, struct incoming *in)
{
	static const char busy[] = "\xd1\x01\x0a" /* Max-Age (14): 10 */
				   "\xff"
				   "too many requests of yours are remembered";
	EP_COUNT(ep, refused_share);
	ep_share_repeatable(ep, in);
	if (ep->event_peer.flags & COPSE_PEER_MULTICAST)
		in_forget(ep, in);
	else
		answer_error(ep, in, COPSE_CODE_SERVICE_UNAVAILABLE, busy, sizeof busy);
	return COPSE_ERR_NOROOM;
}

static int receive_request(struct copse_endpoint *ep, uint32_t peer_hash)
{
	const struct copse_message *m = &ep->message;
	const bool multicast = ep->event_peer.flags & COPSE_PEER_MULTICAST;
	if (multicast && m->type == COPSE_CON) /* §8.1: such a request is non-confirmable */
		return COPSE_ERR_MALFORMED;
	const uint16_t bad = ep->forwards ? 0 : ep_lacks(ep, &ep->message);
	if (bad && m->type == COPSE_NON) { /* §5.4.1 */
		EP_COUNT(ep, rejected_options);
		return COPSE_ERR_BADOPTION;
	}
	struct incoming *in = in_remember(ep, &ep->event_peer, peer_hash, m);
	if (!in) {
		EP_COUNT(ep, refused_incoming);
		return COPSE_ERR_NOROOM;
	}
	if (in->once && !copse_peer_is_reliable(&in->peer) && !ep_share_allows(ep, in))
		return refuse_share(ep, in);
	if (bad) {
		EP_COUNT(ep, rejected_options);
		static const char proxy[] = "\xffnot a proxy", option[] = "\xff"
									  "critical option not understood";
		if (bad == COPSE_OPTION_PROXY_URI || bad == COPSE_OPTION_PROXY_SCHEME) /* §5.10.2 */
			return answer_error(ep, in, COPSE_CODE_PROXYING_NOT_SUPPORTED, proxy, sizeof proxy);
		return answer_error(ep, in, COPSE_CODE_BAD_OPTION, option, sizeof option);
	}
	EP_COUNT(ep, requests_in);
	return event(ep, COPSE_EVENT_REQUEST, in_handle(ep, in), NULL);
}

static int receive_new(struct copse_endpoint *ep, uint32_t peer_hash)
{
	const struct copse_message *m = &ep->message;
	if (m->code == COPSE_CODE_EMPTY) { /* §4.3: a ping; an empty NON has no meaning */
		if (m->type == COPSE_NON || (ep->event_peer.flags & COPSE_PEER_MULTICAST))
			return COPSE_ERR_MALFORMED;
		EP_COUNT(ep, pings_in);
		ep_short_reply(ep, &ep->event_peer, COPSE_RST, m->id);
		return 0;
	}
	struct exchange *x = copse_code_is_request(m->code)
				 ? NULL
				 : x_find_token(ep, &ep->event_peer, copse_message_token(m), m->token_len);
	if (ends(m, x))
		return take_response(ep, x);
	struct incoming *in = copse_peer_is_reliable(&ep->event_peer)
				  ? NULL
				  : ep_find(ep, EP_INCOMING, &ep->event_peer, peer_hash, m->id);
	if (in && in_superseded(in, m)) {
		in_forget(ep, in);
		in = NULL;
	}
	if (in) {
		in_duplicate(ep, in);
		return 0;
	}
	return copse_code_is_request(m->code) ? receive_request(ep, peer_hash)
					      : receive_response(ep, peer_hash, x);
}

int copse_endpoint_receive(struct copse_endpoint *ep, const struct copse_peer *peer, const void *datagram,
			   size_t len, copse_ms now)
{
	ep_advance(ep, now);
	COPSE_ASSERT(ep->event.kind == 0); /* the caller drains events before the next datagram */
	COPSE_ASSERT(peer->group < ep->config.group_n && peer->len >= 1 && peer->len <= COPSE_PEER_KEY_MAX);
	EP_COUNT(ep, received);
	ep->event_peer = *peer;
	const int err = ep->config.token_max > COPSE_TOKEN_MAX
			    ? copse_message_parse_extended(&ep->message, datagram, len, ep->config.token_max)
			    : copse_message_parse(&ep->message, datagram, len);
	if (err)
		return reject(ep, err);
	const uint32_t peer_hash = ep_peer_hash(ep, peer);
	switch (ep->message.type) {
	case COPSE_ACK: return receive_ack(ep, peer_hash);
	case COPSE_RST: return receive_rst(ep, peer_hash);
	default: return receive_new(ep, peer_hash);
	}
}

/* ---- events ---- */

/* An exchange that ended without a message for its event to show. */
static void take_over(struct copse_endpoint *ep, struct exchange *x, struct copse_event *e)
{
	ep->event_peer = x->remote->peer;
	*e = (struct copse_event){.kind = COPSE_EVENT_FAILED,
				  .exchange = x_handle(ep, x),
				  .error = x->error,
				  .sent = x->sent,
				  .outdated = x->outdated,
				  .user = x->user,
				  .peer = &ep->event_peer};
	if (x->error == COPSE_OK)
		e->kind = COPSE_EVENT_ACKED;
	else if (x->kind == X_PING && x->error == COPSE_ERR_RESET)
		e->kind = COPSE_EVENT_PONG;
	x_release(ep, x);
}

static inline bool next_event(struct copse_endpoint *ep, struct copse_event *event)
{
	if (ep->event.kind != 0) {
		*event = ep->event;
		ep->event.kind = 0;
		return true;
	}
	if (core_node_alone(&ep->over))
		return false;
	take_over(ep, CORE_OF(ep->over.next, struct exchange, node), event);
	return true;
}

bool copse_endpoint_next_event(struct copse_endpoint *ep, struct copse_event *event)
{
	bool is_one = next_event(ep, event);
	while (unlikely(EP_SHIELD(ep) != NULL) && is_one &&
	       !EP_SHIELD(ep)->event(EP_SELF(ep), ep, event, ep->now))
		is_one = next_event(ep, event);
	return is_one;
}

/* ---- transmitting ---- */

static int transmit_short(struct copse_endpoint *ep, uint8_t *buf, struct copse_peer *peer)
{
	const struct short_reply *r = &ep->short_reply[ep->short_first];
	*peer = r->peer;
	const size_t n = put_header(buf, r->type, COPSE_CODE_EMPTY, r->id, 0);
	ep->short_n--;
	if (++ep->short_first == ep->config.reply_cap)
		ep->short_first = 0;
	return (int)n;
}

/* What was kept, if it fits; else nothing, counted. */
static int transmit_kept(struct copse_endpoint *ep, const struct core_kept *k, uint32_t since, uint8_t *buf,
			 size_t cap)
{
	if (k->len > cap) {
		EP_COUNT(ep, dropped_size);
		return 0;
	}
	core_store_copy(&ep->store, k, buf);
	if (EP_AGES && (uint32_t)ep->now - since >= 1000)
		ep_age(buf, k->len, ((uint32_t)ep->now - since) / 1000);
	return k->len;
}

static int transmit_reply(struct copse_endpoint *ep, struct incoming *in, uint8_t *buf, size_t cap,
			  struct copse_peer *peer)
{
	*peer = in->peer;
	const int n = in->reply.len ? transmit_kept(ep, &in->reply, EP_AGES ? (uint32_t)in->at : 0, buf, cap)
				    : (int)put_header(buf, COPSE_ACK, COPSE_CODE_EMPTY, in->id, 0);
	in_transmitted(ep, in);
	return n;
}

static int transmit_exchange(struct copse_endpoint *ep, struct exchange *x, uint8_t *buf, size_t cap,
			     struct copse_peer *peer)
{
	*peer = x->remote->peer;
	const int n = transmit_kept(ep, &x->kept, EP_AGES ? x->kept_at : 0, buf, cap);
	if (n > 0)
		x_transmitted(ep, x);
	else
		x_fail(ep, x, COPSE_ERR_ARGUMENT);
	return n;
}

int copse_endpoint_transmit(struct copse_endpoint *ep, void *buf, size_t cap, struct copse_peer *peer,
			    copse_ms now)
{
	ep_advance(ep, now);
	COPSE_ASSERT(cap >= COPSE_HEADER_LEN);
	for (int n = 0;;) {
		if (ep->short_n > 0)
			n = transmit_short(ep, buf, peer);
		else if (!core_node_alone(&ep->replies))
			n = transmit_reply(ep, CORE_OF(ep->replies.next, struct incoming, node), buf, cap,
					   peer);
		else if (!core_node_alone(&ep->ready))
			n = transmit_exchange(ep, CORE_OF(ep->ready.next, struct exchange, node), buf, cap,
					      peer);
		else
			return 0;
		if (n > 0) {
			EP_COUNT(ep, transmitted);
			return n;
		}
	}
}

/* ---- time ---- */

copse_ms copse_endpoint_deadline(const struct copse_endpoint *ep)
{
	const struct core_timer *t = core_heap_first(&ep->timers);
	const copse_ms of_incoming = in_deadline(ep);
	return t && t->at < of_incoming ? t->at : of_incoming;
}

void copse_endpoint_expire(struct copse_endpoint *ep, copse_ms now)
{
	ep_advance(ep, now);
	struct core_timer *t;
	while ((t = core_heap_first(&ep->timers)) != NULL && t->at <= now)
		x_expire(ep, CORE_OF(t, struct exchange, timer));
	in_expire(ep);
}

/* ---- settings and figures ---- */

static void understand(struct copse_endpoint *ep, uint16_t number)
{
	const unsigned slot = copse_option_slot(number);
	if (slot < COPSE_OPTION_SLOTS)
		ep->understood[slot >> 5] |= (uint32_t)1 << (slot & 31);
}

void copse_endpoint_understands(struct copse_endpoint *ep, const uint16_t *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		understand(ep, numbers[i]);
}

void copse_endpoint_unasked(struct copse_endpoint *ep, bool on)
{
	if (EP_TAKES_UNASKED)
		ep->unasked = on;
}

void copse_endpoint_forwards(struct copse_endpoint *ep, bool on)
{
	ep->forwards = on;
}

const struct copse_endpoint_counters *copse_endpoint_counters(const struct copse_endpoint *ep)
{
	return &ep->counters;
}

void copse_endpoint_usage(const struct copse_endpoint *ep, struct copse_endpoint_usage *usage)
{
	*usage = ep->usage;
	usage->chunks = ep->store.cap - ep->store.free_n;
	usage->replies = ep->short_n;
}
