/* What an endpoint is made of; shared by the files endpoint*.c and by tests that look inside.
 *
 * Four kinds of records, each in a pool that the caller sized:
 *   exchange   a request, confirmable message or ping of ours, until it is over       endpoint_exchange.c
 *   incoming   a message received, remembered to recognize duplicates, with its reply  endpoint_incoming.c
 *   remote     a peer with whom exchanges of ours are or were lately under way         endpoint_exchange.c
 *   chunk      60 bytes of a message that may have to be sent again                    chunk.c
 * A record is in one list at a time through its node; which one follows from its state.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_ENDPOINT_STATE_H
#define CORE_ENDPOINT_STATE_H

#include "chunk.h"
#include "heap.h"
#include "list.h"
#include "table.h"

#include <copse/endpoint.h>

/* Message IDs from here on are for multicast: none of them is in use with a member of the group (RFC 7252 §8.1). */
#define EP_MULTICAST_ID 0xf000u

/* Forgetting is done at most once in this time, for all that is due. */
#define EP_FORGET_STEP_MS 1000u

enum exchange_kind { X_REQUEST, X_RESPONSE, X_NOTIFICATION, X_PING };

/* Drawn in doc/states/exchange.md; the legal transitions stand in endpoint_exchange.c. */
enum exchange_state {
	X_FREE,
	X_QUEUED,  /* behind NSTART; in the remote's queue */
	X_DELAYED, /* an answer to a multicast request, until its leisure is over */
	X_READY,   /* to be transmitted; in ep->ready */
	X_SENT,    /* confirmable and transmitted: acknowledgement outstanding */
	X_WAITING, /* acknowledged, or non-confirmable: response outstanding */
	X_OPEN,    /* a response came, more may: an observation */
	X_OVER,    /* has an event to deliver; in ep->over */
	X_STATES
};

struct remote {
	struct core_node node; /* idle: in ep->idle, longest idle first; free: in ep->free_remotes */
	struct core_node exchanges;
	struct core_node queue; /* exchanges in X_QUEUED, by priority, then by age */
	struct copse_peer peer;
	uint32_t hash;
	uint32_t exchange_n;
	uint16_t outstanding;      /* requests that count towards NSTART (§4.7) */
	uint32_t unanswered_bytes; /* NON bytes since the peer was last heard (§4.7) */
	copse_ms silent_since;     /* when the first of them left */
};

struct exchange {
	struct core_node node;        /* by state: see enum exchange_state */
	struct core_node remote_node; /* in remote->exchanges */
	struct remote *remote;
	struct core_timer timer;
	struct core_kept kept;
	void *user;
	uint32_t generation;
	uint32_t timeout_ms; /* the next time-out of retransmission */
	uint32_t id_hash;
	int error;
	uint16_t id;
	uint8_t kind, state, type;
	uint8_t flags; /* enum copse_request_flag */
	uint8_t priority;
	uint8_t sent; /* how often it was transmitted */
	uint8_t token_len;
	bool has_id;      /* in ep->ids */
	bool has_token;   /* in ep->tokens */
	bool outstanding; /* counted in remote->outstanding */
	bool wants_event;
	uint8_t token[COPSE_TOKEN_MAX];
};

enum incoming_state {
	IN_FREE,
	IN_PENDING, /* a CON request at the application, not acknowledged; in ep->pending[group] */
	IN_OPEN,    /* a request at the application, acknowledged or NON */
	IN_DONE     /* nothing is expected of the application; remembered for duplicates */
};

struct incoming {
	struct core_node node; /* IN_PENDING: in ep->pending; with something to send: in ep->replies */
	struct core_node
	    life; /* in ep->remembered[group][con] by time of arrival; free: in ep->free_incoming */
	struct copse_peer peer;
	struct core_kept reply; /* what was answered in the acknowledgement; nothing: an empty one */
	copse_ms at;            /* when it arrived */
	void *user;
	uint32_t generation;
	uint32_t hash;
	uint16_t id;
	uint8_t state, type;
	bool queued;     /* in ep->replies */
	bool repeatable; /* running it twice does no harm (RFC 7252 §4.5): may be forgotten early */
	uint8_t token_len;
	uint8_t token[COPSE_TOKEN_MAX];
};

/* An empty message to send: an acknowledgement or a Reset for something that is not remembered. */
struct short_reply {
	struct copse_peer peer;
	uint16_t id;
	uint8_t type;
};

/* What each datagram touches comes first: a Cortex-M0 reaches 124 bytes from a pointer with a short instruction, and a
 * server finds it in two lines of its cache. */
struct copse_endpoint {
	copse_ms now;
	struct core_node ready;   /* exchanges to transmit */
	struct core_node replies; /* incoming with something to transmit */
	struct core_node over;    /* exchanges with an event */
	struct core_node free_exchanges, free_incoming, free_remotes, idle;
	struct exchange *exchange;
	struct incoming *incoming;
	struct remote *remote;
	struct core_table ids, tokens, incoming_ids, remotes;
	bool forwards;
	struct core_heap timers;
	struct core_store store;
	struct copse_endpoint_usage usage;
	struct copse_endpoint_counters counters;

	struct short_reply *short_reply; /* a ring of config.reply_cap */
	uint16_t short_first, short_n;
	uint16_t *next_id; /* id_mask + 1 counters, for peers by hash */
	uint32_t id_mask;
	uint16_t next_multicast_id;
	uint64_t random_counter;
	uint32_t understood[3]; /* critical options, by slot */

	struct core_node pending[COPSE_GROUPS_MAX];
	struct core_node remembered[COPSE_GROUPS_MAX][2];
	struct {
		copse_ms lifetime[2]; /* NON_LIFETIME, EXCHANGE_LIFETIME */
		uint32_t jitter_ms;   /* ACK_TIMEOUT * (ACK_RANDOM_FACTOR - 1) */
	} derived[COPSE_GROUPS_MAX];
	struct copse_config config;

	struct copse_event event; /* the one of the datagram last received; kind 0: delivered */
	struct copse_peer event_peer;
	struct copse_message message;
};

/* endpoint.c */
uint64_t ep_random(struct copse_endpoint *ep);
uint32_t ep_peer_hash(const struct copse_endpoint *ep, const struct copse_peer *peer);
void ep_advance(struct copse_endpoint *ep, copse_ms now);
uint16_t ep_new_id(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash);
void ep_short_reply(struct copse_endpoint *ep, const struct copse_peer *peer, uint8_t type, uint16_t id);
/* Make sure that a message of `len` bytes can be kept. */
bool ep_make_room(struct copse_endpoint *ep, size_t len);
/* Keep a message; forgets remembered replies where that makes room. Returns false, and nothing has changed but
 * replies forgotten, when there is none. */
bool ep_keep(struct copse_endpoint *ep, struct core_kept *k, const uint8_t *head, size_t head_len,
	     const struct copse_out *out);
size_t ep_head(uint8_t head[COPSE_HEADER_LEN + COPSE_TOKEN_MAX], uint8_t type, uint8_t code, uint16_t id,
	       const uint8_t *token, size_t token_len);

static inline const struct copse_params *ep_params(const struct copse_endpoint *ep,
						   const struct copse_peer *peer)
{
	return &ep->config.group[peer->group];
}

/* The hash under which message `id` of a peer is found. The peer's own is keyed; a peer can only choose among its own
 * 65536 places. */
static inline uint32_t ep_id_hash(uint32_t peer_hash, uint16_t id)
{
	return peer_hash + id * 0x9e3779b1u;
}

/* endpoint_exchange.c */
struct exchange *x_get(const struct copse_endpoint *ep, copse_handle h);
struct exchange *x_find_id(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash,
			   uint16_t id);
struct exchange *x_find_token(struct copse_endpoint *ep, const struct copse_peer *peer, const uint8_t *token,
			      size_t token_len);
copse_handle x_handle(const struct copse_endpoint *ep, const struct exchange *x);
/* A message to a peer that has no exchange yet: allocates, encodes and submits. `delay_ms` of leisure goes first. */
int x_send(struct copse_endpoint *ep, enum exchange_kind kind, const struct copse_peer *peer,
	   const uint8_t *token, size_t token_len, const struct copse_out *out, void *user, uint32_t delay_ms,
	   struct exchange **made);
void x_acknowledged(struct copse_endpoint *ep, struct exchange *x);
void x_responded(struct copse_endpoint *ep, struct exchange *x);
void x_fail(struct copse_endpoint *ep, struct exchange *x, int error);
void x_release(struct copse_endpoint *ep, struct exchange *x);
void x_transmitted(struct copse_endpoint *ep, struct exchange *x);
void x_expire(struct copse_endpoint *ep, struct exchange *x);

/* endpoint_incoming.c */
struct incoming *in_get(const struct copse_endpoint *ep, copse_handle h);
struct incoming *in_find(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash,
			 uint16_t id);
struct incoming *in_remember(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash,
			     const struct copse_message *m);
copse_handle in_handle(const struct copse_endpoint *ep, const struct incoming *in);
void in_queue(struct copse_endpoint *ep, struct incoming *in);
/* Nothing more is expected of the application. */
void in_done(struct incoming *in);
/* As if it had never been received: a copy of it is a new message. */
void in_forget(struct copse_endpoint *ep, struct incoming *in);
void in_transmitted(struct copse_endpoint *ep, struct incoming *in);
void in_duplicate(struct copse_endpoint *ep, struct incoming *in);
bool in_forget_oldest(struct copse_endpoint *ep);
copse_ms in_deadline(const struct copse_endpoint *ep);
void in_expire(struct copse_endpoint *ep);
int in_respond(struct copse_endpoint *ep, struct incoming *in, const struct copse_out *out);

#endif
