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
#include <copse/shield.h>

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

/* What is found in ep->table: the kind of record in the upper two bits of a value, its number from 1 in the rest. */
enum ep_kind { EP_ID, EP_TOKEN, EP_INCOMING, EP_REMOTE };

#define EP_VALUE(kind, index) ((uint32_t)(kind) << 30 | ((uint32_t)(index) + 1))

/* In each record the smallest fields stand first: those are what a Cortex-M0 reaches only from near. */

struct remote {
	uint16_t outstanding;  /* requests that count towards NSTART (§4.7) */
	struct core_node node; /* idle: in ep->idle, longest idle first; free: in ep->free_remotes */
	struct core_node exchanges;
	struct core_node queue; /* exchanges in X_QUEUED, by priority, then by age */
	uint32_t hash;
	uint32_t exchange_n;
	uint32_t unanswered_bytes; /* NON bytes since the peer was last heard (§4.7) */
	copse_ms silent_since;     /* when the first of them left */
	struct copse_peer peer;
};

struct exchange {
	uint8_t kind, state, type;
	uint8_t flags; /* enum copse_request_flag */
	uint8_t priority;
	uint8_t sent; /* how often it was transmitted */
	uint8_t token_len;
	bool has_id;      /* in ep->table */
	bool has_token;   /* found by it, in ep->table or by what it says */
	bool outstanding; /* counted in remote->outstanding */
	bool wants_event;
	bool outdated; /* acknowledged was an older state than the newest: for the event */
	uint16_t id;
	uint32_t id_hash;
	struct remote *remote;
	struct core_node node;        /* by state: see enum exchange_state */
	struct core_node remote_node; /* in remote->exchanges */
	struct core_timer timer;
	struct core_kept kept;
	struct core_kept newer; /* what takes its place when it is sent again (RFC 7641 §4.5.2) */
	void *user;
	uint32_t generation;
	uint32_t timeout_ms; /* the next time-out of retransmission */
	int error;
	uint8_t token[COPSE_TOKEN_MAX];
	uint32_t kept_at, newer_at; /* since when what they say is true, modulo 2^32 */
};

enum incoming_state {
	IN_FREE,
	IN_PENDING, /* a CON request at the application, not acknowledged; in the group's EP_QUEUE_ACK */
	IN_OPEN, /* a request at the application, acknowledged or NON; in no queue: the answer has no deadline */
	IN_DONE /* nothing is expected of the application; remembered for duplicates in one of the last queues */
};

/* Messages of a group wait in these for something that comes equally late for all of them, so that each queue is in
 * order and needs no timer. */
enum ep_queue {
	EP_QUEUE_ACK, /* for their empty acknowledgement */
	EP_QUEUE_NON, /* to be forgotten: NON_LIFETIME */
	EP_QUEUE_CON, /* EXCHANGE_LIFETIME */
	/* the same for requests that must not run twice (RFC 7252 §4.5): never forgotten early */
	EP_QUEUE_NON_ONCE,
	EP_QUEUE_CON_ONCE,
	EP_QUEUES
};

struct incoming {
	uint8_t state, type, code;
	bool once; /* must not run twice */
	uint16_t id;
	uint16_t len; /* of the datagram: see in_superseded */
	uint16_t token_len;
	uint32_t hash;
	struct core_node node;  /* with something to send: in ep->replies */
	struct core_node queue; /* in a queue of its group; free: in ep->free_incoming */
	struct core_kept reply; /* what was answered in the acknowledgement; nothing: an empty one */
	copse_ms at;            /* since when it is in its queue */
	void *user;
	uint32_t generation;
	union {
		uint8_t token[COPSE_TOKEN_MAX];
		struct core_kept long_token; /* when token_len is more (RFC 8974) */
	};
	struct copse_peer peer;
};

/* An empty message to send: an acknowledgement or a Reset for something that is not remembered. */
struct short_reply {
	struct copse_peer peer;
	uint16_t id;
	uint8_t type;
};

/* A hosted endpoint knows the hashes of peers that it met lately, each in a place that its key chooses; those that
 * were never used have a length of 0, which no peer has. */
#define EP_HASHED_BITS 7
#define EP_HASHED      (1u << EP_HASHED_BITS)
struct ep_hashed {
	struct copse_peer peer;
	uint32_t hash;
};

/* What peers hold of the memory of messages, by the last bits of their hashes: those who meet in a place share one share.
 * A record counts as much as EP_RECORD_PIECES pieces of a reply. */
#define EP_SHARES        4096u
#define EP_RECORD_PIECES 3u
struct ep_share {
	uint32_t pieces; /* records and the replies kept with them */
	uint32_t once;   /* records of requests that must not run twice */
};

/* And it counts the message IDs of exchanges, by the last bits of their hashes: where there are none, none need be
 * looked for. */
#define EP_ID_COUNTS 2048u
#ifdef COPSE_SMALL
#define EP_HASHED_FIELDS
#define EP_SHIELD_FIELDS
#define EP_SHIELD(ep) ((const struct copse_shield *)0)
#define EP_SELF(ep)   ((void *)0)
#else
#define EP_SHIELD_FIELDS                                                                                     \
	const struct copse_shield *shield;                                                                   \
	void *shield_self;
#define EP_SHIELD(ep) ((ep)->shield)
#define EP_SELF(ep)   ((ep)->shield_self)
#define EP_HASHED_FIELDS                                                                                     \
	struct ep_hashed hashed[EP_HASHED];                                                                  \
	uint32_t id_count[EP_ID_COUNTS];                                                                     \
	struct ep_share share[EP_SHARES];                                                                    \
	uint32_t shared;  /* pieces in all places of `share` */                                              \
	uint32_t sharers; /* those places that hold anything */                                              \
	uint32_t once_n;  /* records of requests that must not run twice */
#endif

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
	struct core_table
	    table; /* of exchanges by ID and by short token, of incoming by ID, of remotes: see enum ep_kind */
	struct core_heap timers;
	struct core_store store;
	bool forwards, unasked;
	struct copse_endpoint_usage usage;
	struct copse_endpoint_counters counters;

	struct short_reply *short_reply; /* a ring of config.reply_cap */
	uint16_t short_first, short_n;
	uint16_t *next_id; /* id_mask + 1 counters, for peers by hash */
	uint32_t id_mask;
	uint16_t next_multicast_id;
	uint64_t random_counter;
	uint32_t understood[3]; /* critical options, by slot */

	struct {
		struct core_node queue[EP_QUEUES];
		copse_ms span[EP_QUEUES]; /* how long a message stays in each */
		uint32_t jitter_ms;       /* ACK_TIMEOUT * (ACK_RANDOM_FACTOR - 1) */
	} group[COPSE_GROUPS_MAX];
	struct copse_config config;

	EP_HASHED_FIELDS
	EP_SHIELD_FIELDS
	struct copse_event event; /* the one of the datagram last received; kind 0: delivered */
	struct copse_peer event_peer;
	struct copse_message message;
};

/* A microcontroller's build counts nothing. */
#ifdef COPSE_SMALL
#define EP_COUNT(ep, counter) ((void)(ep))
#else
#define EP_COUNT(ep, counter) ((void)(ep)->counters.counter++)
#endif

/* Header, extended length and longest token (RFC 8974 §2.1). */
#define EP_HEAD_MAX (COPSE_HEADER_LEN + 2 + COPSE_TOKEN_LONG)

static inline size_t ep_head_len(size_t token_len)
{
	return COPSE_HEADER_LEN + token_len + (token_len >= 13) + (token_len >= 269);
}

/* endpoint.c */
uint64_t ep_random(struct copse_endpoint *ep);
/* Uniform in 0 to `max`, which is below 2^22. */
uint32_t ep_random_up_to(struct copse_endpoint *ep, uint32_t max);
/* The record of `kind` that belongs to `peer` and, but for remotes, has message ID `id`; NULL when there is none. */
void *ep_find(const struct copse_endpoint *ep, enum ep_kind kind, const struct copse_peer *peer,
	      uint32_t peer_hash, uint16_t id);
uint32_t ep_peer_hash(struct copse_endpoint *ep, const struct copse_peer *peer);
void ep_advance(struct copse_endpoint *ep, copse_ms now);
uint16_t ep_new_id(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash);
void ep_short_reply(struct copse_endpoint *ep, const struct copse_peer *peer, uint8_t type, uint16_t id);
/* Make sure that a message of `len` bytes can be kept. */
bool ep_make_room(struct copse_endpoint *ep, size_t len);
/* Encode a message and keep it in `*k`, forgetting remembered replies where that makes room. False, and `*k` is as it
 * was, when there is none. */
bool ep_keep(struct copse_endpoint *ep, struct core_kept *k, uint8_t type, uint16_t id, const uint8_t *token,
	     size_t token_len, const struct copse_out *out);

static inline const struct copse_params *ep_params(const struct copse_endpoint *ep,
						   const struct copse_peer *peer)
{
	return &ep->config.group[peer->group];
}

/* A sensor subscribes nobody to itself: a microcontroller's build has no use for what comes unasked. */
#ifdef COPSE_SMALL
#define EP_TAKES_UNASKED false
#else
#define EP_TAKES_UNASKED true
#endif

/* And it has one endpoint for an address and port. */
#ifdef COPSE_SMALL
#define EP_SHARES_IDS false
#else
#define EP_SHARES_IDS true
#endif

/* A microcontroller's tokens are short, and its table is small. */
#ifdef COPSE_SMALL
#define EP_NAMES_TOKENS false
#else
#define EP_NAMES_TOKENS true
#endif

/* And it asks so little that it can remember all answers alike. */
#ifdef COPSE_SMALL
#define EP_FORGETS_ENDED false
#else
#define EP_FORGETS_ENDED true
#endif

/* What it must not run twice it does forget in the end, when nothing else is left: with a handful of records it would else
 * be deaf for NON_LIFETIME. */
#ifdef COPSE_SMALL
#define EP_FORGETS_ONCE true
#else
#define EP_FORGETS_ONCE false
#endif

/* A microcontroller says anew what it has to say, or repeats it as it was. */
#ifdef COPSE_SMALL
#define EP_AGES false
#else
#define EP_AGES true
#endif

/* Since when what `out` says has been true. */
static inline uint32_t ep_since(const struct copse_endpoint *ep, const struct copse_out *out)
{
	return (uint32_t)ep->now - (out->age_s == 255 ? UINT32_C(1) << 31 : out->age_s * UINT32_C(1000));
}

/* The first critical option of `m` that nobody here understands (RFC 7252 §5.4.1); 0 when there is none. */
static inline uint16_t ep_lacks(const struct copse_endpoint *ep, const struct copse_message *m)
{
	if (m->bad_option)
		return m->bad_option;
	for (unsigned i = 0; i < m->option_n; i++) {
		const uint16_t number = m->option[i].number;
		const unsigned slot = copse_option_slot(number);
		if (copse_option_is_critical(number) && slot < COPSE_OPTION_SLOTS &&
		    !(ep->understood[slot >> 5] >> (slot & 31) & 1))
			return number;
	}
	return 0;
}

/* RFC 7252 §5.1, RFC 8132 §2 and §3: POST and PATCH alone are not idempotent. What OSCORE protects bears POST whatever it
 * is, and runs once by the window of whoever unprotects it (RFC 8613 §7.4). */
static inline bool in_is_once(const struct copse_message *m)
{
	return (m->code == COPSE_CODE_POST || m->code == COPSE_CODE_PATCH) &&
	       !copse_message_option(m, COPSE_OPTION_OSCORE);
}

/* endpoint_hosted.c: take `seconds` from the Max-Age of an encoded response. */
void ep_age(uint8_t *bytes, size_t len, uint32_t seconds);

/* Odd, so that different IDs of a peer have different hashes. */
#define EP_ID_STEP 0x9e3779b1u

/* The hash under which message `id` of a peer is found. The peer's own is keyed; a peer can only choose among its own
 * 65536 places. */
static inline uint32_t ep_id_hash(uint32_t peer_hash, uint16_t id)
{
	return peer_hash + id * EP_ID_STEP;
}

/* The hash of the peer that sent it, as ep_peer_hash gives it: from what its message is found under. */
static inline uint32_t in_peer_hash(const struct incoming *in)
{
	return in->hash - in->id * EP_ID_STEP;
}

/* endpoint_hosted.c: who holds how much of the memory of messages.
 * ep_share_take: a record has been taken, all of its fields but the queues are set; ep_share_give: it is given back. Its
 * reply, of so many pieces, is kept or is kept no longer: ep_share_reply, ep_share_no_reply.
 * ep_share_is_large: its peer holds at least half of what would be everybody's share of what is held: what it did goes
 * before what others did.
 * ep_share_allows: the record, of a request that must not run twice, may stay: a peer may hold as many of them as there
 * would be places left. One alone gets half of all, two a third each, and whoever comes finds some.
 * ep_share_repeatable: the record's request may run twice after all. */
#ifdef COPSE_SMALL
#define ep_share_take(ep, in)             ((void)(ep), (void)(in))
#define ep_share_give(ep, in)             ((void)(ep), (void)(in))
#define ep_share_reply(ep, in, pieces)    ((void)0)
#define ep_share_no_reply(ep, in, pieces) ((void)0)
#define ep_share_is_large(ep, in)         ((void)(ep), (void)(in), true)
#define ep_share_allows(ep, in)           ((void)(ep), (void)(in), true)
#define ep_share_repeatable(ep, in)       ((void)(ep), (in)->once = false)
#else
void ep_share_take(struct copse_endpoint *ep, const struct incoming *in);
void ep_share_give(struct copse_endpoint *ep, const struct incoming *in);
void ep_share_reply(struct copse_endpoint *ep, const struct incoming *in, uint32_t pieces);
void ep_share_no_reply(struct copse_endpoint *ep, const struct incoming *in, uint32_t pieces);
bool ep_share_is_large(struct copse_endpoint *ep, const struct incoming *in);
bool ep_share_allows(struct copse_endpoint *ep, const struct incoming *in);
void ep_share_repeatable(struct copse_endpoint *ep, struct incoming *in);
#endif

/* ep_count_id: an exchange has got, or given up, its message ID. ep_may_have_id: false when no exchange has one under this
 * hash. */
#ifdef COPSE_SMALL
static inline void ep_count_id(struct copse_endpoint *ep, uint32_t id_hash, uint32_t by)
{
	(void)ep, (void)id_hash, (void)by;
}

static inline bool ep_may_have_id(const struct copse_endpoint *ep, uint32_t id_hash)
{
	(void)ep, (void)id_hash;
	return true;
}
#else
static inline void ep_count_id(struct copse_endpoint *ep, uint32_t id_hash, uint32_t by)
{
	ep->id_count[id_hash % EP_ID_COUNTS] += by;
}

static inline bool ep_may_have_id(const struct copse_endpoint *ep, uint32_t id_hash)
{
	return ep->id_count[id_hash % EP_ID_COUNTS] > 0;
}
#endif

/* endpoint_exchange.c */
struct exchange *x_get(const struct copse_endpoint *ep, copse_handle h);
struct exchange *x_find_token(struct copse_endpoint *ep, const struct copse_peer *peer, const uint8_t *token,
			      size_t token_len);
copse_handle x_handle(const struct copse_endpoint *ep, const struct exchange *x);
/* A message to a peer outside of a request of ours: allocates, encodes and submits. `delay_ms` of leisure goes first.
 * NULL when there is no room. */
struct exchange *x_send(struct copse_endpoint *ep, enum exchange_kind kind, const struct copse_peer *peer,
			const uint8_t *token, size_t token_len, const struct copse_out *out, void *user,
			uint32_t delay_ms);
void x_acknowledged(struct copse_endpoint *ep, struct exchange *x);
void x_responded(struct copse_endpoint *ep, struct exchange *x);
void x_fail(struct copse_endpoint *ep, struct exchange *x, int error);
void x_release(struct copse_endpoint *ep, struct exchange *x);
void x_transmitted(struct copse_endpoint *ep, struct exchange *x);
void x_expire(struct copse_endpoint *ep, struct exchange *x);

/* endpoint_incoming.c */
struct incoming *in_get(const struct copse_endpoint *ep, copse_handle h);
struct incoming *in_remember(struct copse_endpoint *ep, const struct copse_peer *peer, uint32_t peer_hash,
			     const struct copse_message *m);
copse_handle in_handle(const struct copse_endpoint *ep, const struct incoming *in);
void in_queue(struct copse_endpoint *ep, struct incoming *in);
/* Nothing more is expected of the application. */
void in_done(struct copse_endpoint *ep, struct incoming *in);
/* As if it had never been received: a copy of it is a new message. */
void in_forget(struct copse_endpoint *ep, struct incoming *in);
void in_transmitted(struct copse_endpoint *ep, struct incoming *in);
/* Whether `m`, though under the ID of `in`, is another message: then `in` is to be forgotten. */
bool in_superseded(const struct incoming *in, const struct copse_message *m);
void in_duplicate(struct copse_endpoint *ep, struct incoming *in);
bool in_forget_oldest(struct copse_endpoint *ep);
copse_ms in_deadline(const struct copse_endpoint *ep);
void in_expire(struct copse_endpoint *ep);
int in_respond(struct copse_endpoint *ep, struct incoming *in, const struct copse_out *out);

#endif
