/* A call of the client: what it is to do, how far it is, and which exchanges of the endpoint carry it.
 *
 * One slot of the client's pool is one call. At most one request of a transfer is under way (`exchange`); an
 * observation's registration (`registration`) lives beside it, so that blocks can be fetched while notifications come;
 * Q-Block has a row of exchanges of its own. Every exchange's `user` in the endpoint is the slot.
 *
 * The states are drawn in doc/states/client-block.md and doc/states/client-observe.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CORE_CLIENT_CALL_H
#define COPSE_CORE_CLIENT_CALL_H

#include <copse/block.h>
#include <copse/client.h>

#define CALL_ECHO_MAX 40  /* RFC 9175 §2.2.1 */
#define CALL_ETAG_MAX 8   /* RFC 7252 §5.10.6 */
#define CALL_QROW     16  /* most Q-Block payloads in a row */
#define CALL_QWINDOW  32u /* Q-Block2 payloads behind the first missing one that are taken */

/* Where the transfer of a body stands. */
enum block_state {
	BLOCK_IDLE,   /* nothing under way */
	BLOCK_ASK,    /* a request that fits into one message is under way */
	BLOCK_SEND,   /* a Block1 request is under way that is not the last */
	BLOCK_LAST,   /* the last Block1 request is under way */
	BLOCK_FETCH,  /* a Block2 request for another piece of the answer is under way */
	BLOCK_QSEND,  /* a set of Q-Block1 requests is under way */
	BLOCK_QFETCH, /* a set of Q-Block2 responses is expected */
	BLOCK_MANY,   /* a multicast request: answers are collected */
	BLOCK_GREET,  /* a ping is under way: how much the peer takes is not known yet */
	BLOCK_STATES
};

/* Where an observation stands. */
enum observe_state {
	OBSERVE_NONE,        /* the call is no observation, or not any more */
	OBSERVE_REGISTERING, /* the first request is under way */
	OBSERVE_ACTIVE,      /* the server notifies us */
	OBSERVE_RENEWING,    /* the state was stale: the registration is under way again */
	OBSERVE_STOPPING,    /* the cancellation is under way */
	OBSERVE_STATES
};

/* The part that only Q-Block needs. */
struct call_q {
	copse_handle row[CALL_QROW]; /* the latest requests: answers may come to any of them */
	uint32_t made;               /* requests made */
	uint32_t last;               /* number of the last block, COPSE_BODY_UNKNOWN while it is not known */

	/* Q-Block1: the set is base ... end - 1, of which `next` is to be sent next; `got` is the first block that
	 * the server missed last, `last_n` the length of its list. Q-Block2: `base` is the first block that has not
	 * been written, `end` the one that the server waits at; bit i of `got`: block base + i has been written. */
	uint32_t base, next, end;
	uint32_t got;
	uint16_t last_n;
	uint8_t silent; /* Q-Block1: sets sent since the peer last said anything */
	bool waited;    /* Q-Block1: there is nothing left to do but to wait for the answer */
	bool begun;     /* Q-Block2: a payload has come */
};

struct call_slot {
	struct copse_call call; /* as given; `peer` points to the copy below */
	struct copse_peer peer;
	copse_handle handle; /* COPSE_NO_HANDLE: the slot is free */
	uint32_t generation;
	uint16_t heap; /* place in the heap of timers plus one; 0: no timer is set */
	copse_ms due;

	copse_handle exchange;
	copse_handle registration;
	uint8_t block;    /* enum block_state */
	uint8_t observe;  /* enum observe_state */
	bool postponed;   /* the endpoint had no room for the request of this state: try again when due */
	uint8_t attempts; /* left; renewed by each block that gets through */
	uint8_t restarts; /* left; renewed by each whole body */

	uint8_t out_szx;   /* size of request blocks; smaller than asked when the peer or the room wants it */
	uint32_t out_len;  /* bytes of the block under way, unless it is the last */
	uint8_t in_szx;    /* size of response blocks */
	uint32_t sent;     /* bytes of the request's body acknowledged: where the block under way begins */
	uint32_t received; /* bytes of the response's body written */
	uint32_t size;     /* Size2, or COPSE_BODY_UNKNOWN */
	uint32_t tag;      /* Request-Tag */
	bool tagged;       /* the body goes in blocks: each request bears the tag */
	bool greeted;      /* BLOCK_GREET is behind it, or not needed */

	uint8_t etag_len; /* of the representation being fetched; 0: it has none */
	uint8_t etag[CALL_ETAG_MAX];
	uint8_t echo_len; /* RFC 9175: to be sent along until the server asks for another one */
	uint8_t echo[CALL_ECHO_MAX];

	uint32_t sequence;    /* Observe value of the newest notification */
	copse_ms notified_at; /* when it came */
	copse_ms stale_at;    /* when it is to be registered anew */
	bool notified;

	struct call_q q;
};

struct copse_client {
	struct copse_endpoint *ep;
	struct copse_client_config config;
	struct copse_client_counters counters;
	struct call_slot *slot; /* call_cap of them */
	uint16_t *heap;         /* slots with a timer: a binary heap, the earliest first */
	uint16_t *free;         /* stack of free slots */
	uint8_t *scratch;       /* message_len bytes */
	uint16_t heap_n, free_n;
	uint32_t random;
	uint32_t next_tag;
};

/* One event of the endpoint, or one timer, and what it leads to. */
struct call_turn {
	struct copse_client *client;
	struct call_slot *slot;
	const struct copse_event *in;        /* NULL for a timer */
	const struct copse_message *message; /* the response; NULL for failures and timers */
	copse_ms now;
	struct copse_client_event *out;
};

/* client_timer.c: set or clear (COPSE_NEVER) the timer of a slot; the slot whose timer is first, or NULL. */
void call_timer_set(struct copse_client *client, struct call_slot *slot, copse_ms due);
struct call_slot *call_timer_first(const struct copse_client *client);

/* client.c: a random number below `span`, which is at most 65535 */
uint32_t call_random(struct copse_client *client, uint32_t span);
/* Fill `out`. Returns 1. */
int call_event(struct call_turn *turn, enum copse_client_event_kind kind, int error);
/* The same for what ends the call, which is freed. Returns 1. */
int call_over(struct call_turn *turn, enum copse_client_event_kind kind, int error);
/* Give up the exchange of the transfer, if any. */
void call_drop(struct copse_client *client, struct call_slot *slot, copse_ms now);
/* The pause before a request that found no room is tried again. */
#define CALL_POSTPONE_MS 100u
void call_postpone(struct copse_client *client, struct call_slot *slot, copse_ms now);

/* client_build.c: the request of the present state into the scratch buffer, as copse_endpoint_request takes it.
 * `observe` is the value of the Observe option, or CALL_NO_OBSERVE. Q-Block: `number` is the block, else unused.
 * Returns its length, or an error. May make blocks smaller so that they fit. */
#define CALL_NO_OBSERVE UINT32_MAX
int call_build(struct copse_client *client, struct call_slot *slot, uint32_t observe, uint32_t number);
/* Q-Block2: a request for the `n` blocks `number`; with `more` for each that follows it in its set, too. */
int call_build_missing(struct copse_client *client, struct call_slot *slot, const uint32_t *number, size_t n,
		       bool more);
/* Hand the message of `len` bytes in the scratch buffer to the endpoint. Returns as copse_endpoint_request. */
int call_request(struct copse_client *client, struct call_slot *slot, int len, unsigned flags, copse_ms now,
		 copse_handle *exchange);
/* Bytes of a request block as things are: of BERT as many units as the message, and the peer, have room for. */
uint32_t call_out_len(const struct copse_client *client, const struct call_slot *slot);
/* Whether the body of the request has bytes behind `offset`; < 0: what `read` returned. */
int call_body_beyond(const struct call_slot *slot, uint32_t offset);
/* client_block.c: begin the transfer; send the request of the present state (again). Errors: only those that end the
 * call; want of room postpones, except for `block_begin`. */
int block_begin(struct copse_client *client, struct call_slot *slot, copse_ms now);
int block_send(struct copse_client *client, struct call_slot *slot, copse_ms now);
/* The request in one message, built but not sent. Returns its length, or COPSE_ERR_ARGUMENT when it needs more. */
int block_plain(struct copse_client *client, struct call_slot *slot);
/* Give up what is under way and begin the whole request anew. Returns as copse_client_take. */
int block_again(struct call_turn *turn);
/* An event of `exchange`. Returns as copse_client_take. */
int block_take(struct call_turn *turn);
/* A new body arrives with the message of `turn` (a response, or a notification): write it, fetch what follows. */
int block_body(struct call_turn *turn);
/* The transfer came to its end, good or not: what that means to the call. */
int block_done(struct call_turn *turn);
int block_failed(struct call_turn *turn, int error);
/* The response's body, in the message of `turn`, belongs to the representation that is being fetched. */
bool block_same_etag(const struct call_slot *slot, const struct copse_message *m);
void block_keep_etag(struct call_slot *slot, const struct copse_message *m);
int block_write(struct call_slot *slot, const struct copse_message *m, uint32_t offset);

/* client_observe.c */
int observe_begin(struct copse_client *client, struct call_slot *slot, copse_ms now);
int observe_take(struct call_turn *turn);
int observe_stop(struct copse_client *client, struct call_slot *slot, copse_ms now);
int observe_due(struct call_turn *turn);
/* The transfer of a notification's body has ended: wait for the next one. */
void observe_settle(struct copse_client *client, struct call_slot *slot, copse_ms now, bool whole);
/* RFC 7641 §3.4: whether a notification with `sequence` at `now` is newer than the one before. */
bool observe_is_newer(uint32_t before, copse_ms before_at, uint32_t sequence, copse_ms now);

/* client_qblock.c */
int qblock_begin_send(struct copse_client *client, struct call_slot *slot, copse_ms now);
int qblock_begin_fetch(struct copse_client *client, struct call_slot *slot, copse_ms now);
int qblock_take(struct call_turn *turn);
int qblock_due(struct call_turn *turn);
void qblock_drop(struct copse_client *client, struct call_slot *slot, copse_ms now);

#endif
