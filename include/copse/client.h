/* The client above the message layer: one call is one request with everything that belongs to it. Bodies of any size
 * go block by block (RFC 7959, and RFC 9177 where asked for), observations keep themselves alive (RFC 7641), an Echo
 * challenge is answered (RFC 9175), a multicast request collects the answers of many (RFC 7252 §8).
 *
 * Bytes and the time go in, events and the next deadline come out, as with the endpoint that the client sits on:
 *
 *	copse_endpoint_receive(ep, ...)  or  copse_endpoint_expire(ep, now)
 *	while (copse_endpoint_next_event(ep, &ee))
 *		if (copse_client_take(client, &ee, now, &ce) > 0)
 *			react to ce
 *	while (copse_client_expire(client, now, &ce))
 *		react to ce
 *	transmit; sleep until the earlier of copse_endpoint_deadline and copse_client_deadline
 *
 * Bodies stream: the client asks for the piece it is about to send and hands on each piece that arrives, by the
 * functions of the call; neither is ever held whole. These functions must not call the client.
 *
 * The states are drawn in doc/states/client-block.md and doc/states/client-observe.md.
 * Not thread-safe: the thread that owns the endpoint owns the client.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CLIENT_H
#define COPSE_CLIENT_H

#include <copse/body.h>
#include <copse/endpoint.h>

struct copse_client;

/* How much a client may hold, and the times it keeps. Begin with COPSE_CLIENT_DEFAULT. */
struct copse_client_config {
	uint16_t call_cap; /* calls under way, observations included, 1 to 65535; beyond: COPSE_ERR_NOROOM */
	uint16_t message_len; /* longest message to build, 64 or more; a block that would not fit is halved */
	uint8_t attempts;     /* how often a body is begun anew, a block repeated after a time-out, or an Echo
					 answered, before the call fails; 1 or more */
	uint32_t
	    stale_min_ms; /* an observation is registered anew this long after its Max-Age has passed at the */
	uint32_t stale_max_ms; /* earliest and the latest: RFC 7641 §3.3.1 asks for 5 to 15 s */
	uint32_t
	    non_timeout_ms; /* NON_TIMEOUT of RFC 9177 §7.2: the pause between two sets of Q-Block payloads */
	uint32_t non_receive_ms; /* NON_RECEIVE_TIMEOUT: what is missing then is asked for */
	uint8_t max_payloads;    /* MAX_PAYLOADS: Q-Block payloads in a row, 1 to 16 */
	uint64_t seed;           /* random: Request-Tags and jitter come from it */
};

#define COPSE_CLIENT_DEFAULT                                                                                 \
	{                                                                                                    \
		.call_cap = 16, .message_len = COPSE_MESSAGE_LEN, .attempts = 4, .stale_min_ms = 5000,       \
		.stale_max_ms = 15000, .non_timeout_ms = 2000, .non_receive_ms = 4000, .max_payloads = 10,   \
	}

enum copse_call_flag {
	COPSE_CALL_CON = 1, /* confirmable */
	COPSE_CALL_OBSERVE =
	    2, /* GET or FETCH, with a body of one block at most: register, and keep the observation
				     until copse_client_stop */
	COPSE_CALL_MANY =
	    4, /* multicast: a RESPONSE event for each answer, with its body in the message; ends with
				     FAILED, COPSE_ERR_TIMEOUT, at the endpoint's response time-out */
	COPSE_CALL_QBLOCK =
	    8, /* bodies by Q-Block1 and Q-Block2 (RFC 9177), if more than one block long. The peer
				     must be known to understand them; its group needs an nstart of at least
				     `max_payloads` and a probing_rate that does not stop them */
	COPSE_CALL_ONE_BLOCK =
	    16, /* do not fetch the blocks that follow: what came is the answer. The options may
				     have a Block2 of their own */
	COPSE_CALL_SILENT =
	    32 /* nobody waits for an answer: the options have a No-Response for all classes (RFC 7967);
				     not confirmable, one block. The call is over when it has begun, without event and
				     without handle */
};

/* What to ask. Copied by copse_client_start, but `options` and what `user` points to stay the caller's and must
 * live until the call is over. */
struct copse_call {
	const struct copse_peer *peer;
	uint8_t code;     /* the method */
	uint8_t priority; /* as in struct copse_out */
	uint8_t flags;    /* enum copse_call_flag */
	uint8_t szx;      /* the largest block to send or ask for, 0 to 6 for 16 to 1024 bytes; or
			   * COPSE_BLOCK_SZX_BERT: by a reliable transport as much as both sides take, at most
			   * `message_len`, else 1024 (RFC 8323 §6) */
	bool early;       /* ask for blocks of that size in the first request already (RFC 7959 §2.4) */
	const uint8_t *
	    options; /* as copse_build_rest makes them, without payload. Block1, Block2, Q-Block1, Q-Block2, */
	size_t options_len;    /* Size1, Observe, Echo and Request-Tag are the client's to add */
	uint32_t body_len;     /* bytes of body, 0 for none, or COPSE_BODY_UNKNOWN */
	copse_body_read *read; /* where they come from; may be NULL when there is no body */
	copse_body_write
	    *write; /* where the answer's body goes, an empty one too; NULL: only what stands in the event's
				    message, as it is with errors. With QBLOCK pieces come in any order, each once, and
				    `received` of the event says how long the body is */
	void *user; /* given to both, and in each event */
};

enum copse_client_event_kind {
	COPSE_CLIENT_RESPONSE =
	    1, /* the answer, whole: the call is over, unless it is MANY. An observation that ends, by
				      an error, by copse_client_stop, or because the server would not register it, ends
				      with this one */
	COPSE_CLIENT_NOTIFICATION, /* the newest state of what is observed, whole; the call goes on */
	COPSE_CLIENT_PROGRESS,     /* a block has been sent or received; the call goes on */
	COPSE_CLIENT_FAILED        /* the call is over: `error` */
};

struct copse_client_event {
	enum copse_client_event_kind kind;
	copse_handle call;
	void *user;
	int error;         /* FAILED: a copse_err of the endpoint, what a body function returned, or
				   COPSE_ERR_CHANGED, COPSE_ERR_INCOMPLETE, COPSE_ERR_BLOCK */
	uint32_t sent;     /* bytes of the request's body that the peer has acknowledged */
	uint32_t received; /* bytes of the answer's body that have been written */
	uint32_t
	    size; /* how long the peer says the answer's body is (Size2), COPSE_BODY_UNKNOWN if it does not */
	bool partial;                  /* there is more than came: ONE_BLOCK or MANY */
	const struct copse_peer *peer; /* who answered */
	const struct copse_message
	    *message; /* its last message, a view as in the endpoint's event; NULL for FAILED and for
						events of copse_client_expire */
};

/* Bytes of memory for copse_client_init. */
size_t copse_client_bytes(const struct copse_client_config *config);

/* Make a client of `ep` in `memory`, and let the endpoint understand the block options.
 * `memory`: copse_client_bytes(config) bytes, aligned for uint64_t, the client's until it is
 * no longer used; there is nothing to close. `config` is copied; asserts that it is in range. */
struct copse_client *copse_client_init(void *memory, size_t len, const struct copse_client_config *config,
				       struct copse_endpoint *ep);

/* Begin a call. It ends with one RESPONSE or FAILED event, or silently by copse_client_abort.
 * Returns 0 with `*handle` (may be NULL)
 *  COPSE_ERR_NOROOM    no call, or nothing in the endpoint, is free: nothing has changed
 *  COPSE_ERR_RATE      as copse_endpoint_request: nothing has changed
 *  COPSE_ERR_ARGUMENT  the options leave no room for a block of 16 bytes; or what `read` returned, if < 0 */
int copse_client_start(struct copse_client *client, const struct copse_call *call, copse_ms now,
		       copse_handle *handle);

/* Take an event of the endpoint.
 * Returns  1  `*out` says what it means to the application
 *          0  it was the client's and needs nobody's attention
 *  COPSE_ERR_UNMATCHED  it is not about a call of this client: the caller's to deal with */
int copse_client_take(struct copse_client *client, const struct copse_event *in, copse_ms now,
		      struct copse_client_event *out);

/* When copse_client_expire must next be called, or COPSE_NEVER. */
copse_ms copse_client_deadline(const struct copse_client *client);

/* Do one thing that is due at `now`. Returns true with an event, or false when nothing is left: call until then. */
bool copse_client_expire(struct copse_client *client, copse_ms now, struct copse_client_event *out);

/* End an observation as RFC 7641 §3.6 recommends: by a request with Observe 1 and the registration's token; the
 * answer, or that none came, is the call's last event. Every other call is aborted.
 * Returns 0, COPSE_ERR_GONE; COPSE_ERR_NOROOM: aborted, a notification that follows will be rejected. */
int copse_client_stop(struct copse_client *client, copse_handle call, copse_ms now);

/* Forget a call without an event. A handle that is over is let pass. */
void copse_client_abort(struct copse_client *client, copse_handle call, copse_ms now);

/* Counters since the beginning, one for each row of registry/client_counters.def. */
struct copse_client_counters {
#define COUNTER(name, text) uint32_t name;
#include <copse/registry/client_counters.def>
#undef COUNTER
};

const struct copse_client_counters *copse_client_counters(const struct copse_client *client);

/* Calls under way. */
unsigned copse_client_calls(const struct copse_client *client);

#endif
