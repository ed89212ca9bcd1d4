/* The message layer of CoAP over UDP (RFC 7252 §4) and the matching of requests and responses (§5.2, §5.3).
 *
 * Bytes and the time go in; bytes, events and the next deadline come out. Nothing is called back, nothing is
 * allocated, no clock is read. One endpoint serves any number of peers in both roles; no cost grows with the number
 * of peers, exchanges or remembered messages.
 *
 * The caller's loop, for every datagram that arrives and whenever copse_endpoint_deadline has come:
 *
 *	copse_endpoint_receive(ep, &peer, datagram, len, now)     or     copse_endpoint_expire(ep, now)
 *	while (copse_endpoint_next_event(ep, &event))             react: request, respond, cancel ...
 *	while ((n = copse_endpoint_transmit(ep, buf, cap, &peer, now)) > 0)      send n bytes to peer
 *	sleep until copse_endpoint_deadline(ep) or the next datagram
 *
 * Events must be drained before the next datagram is handed in: the message of an event is a view over the datagram.
 * Transmit may be left until a whole batch has been received.
 *
 * An exchange is named by a copse_handle. A handle that is no longer valid is recognized: functions answer
 * COPSE_ERR_GONE. The states and their transitions are drawn in doc/states/exchange.md.
 *
 * Not thread-safe: one thread owns an endpoint.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_ENDPOINT_H
#define COPSE_ENDPOINT_H

#include <copse/message.h>
#include <copse/peer.h>
#include <copse/types.h>

struct copse_endpoint;

/* Names an exchange of an endpoint; never 0, and not used again for a long time after the exchange is over. */
typedef uint64_t copse_handle;
#define COPSE_NO_HANDLE ((copse_handle)0)

/* The transmission parameters of RFC 7252 §4.8, for one group of peers. Zero is not "default": begin with
 * COPSE_PARAMS_DEFAULT and change what differs. */
struct copse_params {
	uint32_t ack_timeout_ms;     /* ACK_TIMEOUT, 1 to 600,000 */
	uint16_t ack_random_percent; /* ACK_RANDOM_FACTOR in hundredths, 100 to 400 */
	uint8_t max_retransmit;      /* MAX_RETRANSMIT, 0 to 20 */
	uint8_t token_len; /* length of the tokens we make, 1 to 8; 8 cannot be guessed (RFC 7252 §5.3.1) */
	uint16_t nstart;   /* NSTART: requests at a time to one peer, 1 or more */
	/* DEFAULT_LEISURE: a multicast request is answered after up to this (§8.2); at most 4,000,000. */
	uint32_t default_leisure_ms;
	/* PROBING_RATE: bytes a second of NON to a peer that stays silent (0: no limit), and what may precede it. */
	uint32_t probing_rate;
	uint32_t probing_burst;
	uint32_t max_latency_ms;      /* MAX_LATENCY (§4.8.2), at most a day */
	uint32_t processing_delay_ms; /* PROCESSING_DELAY (§4.8.2), at most a day */
	/* A CON request unanswered for this long gets its empty ACK (§5.2.2). */
	uint32_t ack_delay_ms;
	/* How long a response may take once the request is acknowledged or was NON. */
	uint32_t response_timeout_ms;
};

#define COPSE_PARAMS_DEFAULT                                                                                 \
	{                                                                                                    \
		.ack_timeout_ms = 2000, .ack_random_percent = 150, .max_retransmit = 4, .token_len = 8,      \
		.nstart = 1, .default_leisure_ms = 5000, .probing_rate = 1, .probing_burst = 16384,          \
		.max_latency_ms = 100000, .processing_delay_ms = 2000, .ack_delay_ms = 500,                  \
		.response_timeout_ms = 93000,                                                                \
	}

/* The times that follow from the parameters (RFC 7252 §4.8.2), in milliseconds. */
copse_ms copse_params_max_transmit_span(const struct copse_params *p);
copse_ms copse_params_max_transmit_wait(const struct copse_params *p);
copse_ms copse_params_exchange_lifetime(const struct copse_params *p);
copse_ms copse_params_non_lifetime(const struct copse_params *p);

/* Returns NULL, or a sentence that names the first parameter out of its range. */
const char *copse_params_check(const struct copse_params *p);

/* Most parameter groups; a microcontroller does with one for the near and one for the far. */
#ifdef COPSE_SMALL
#define COPSE_GROUPS_MAX 2
#else
#define COPSE_GROUPS_MAX 8
#endif

/* How much an endpoint may hold. The bounds are reached, not exceeded: see each. */
struct copse_config {
	struct copse_params group[COPSE_GROUPS_MAX];
	uint8_t group_n; /* groups in use, 1 or more */
	/* Requests and confirmable messages of ours under way, at most 2^24; beyond: COPSE_ERR_NOROOM. */
	uint32_t exchange_cap;
	/* Messages remembered for duplicate detection, answered requests included; beyond: the oldest that may run twice
	 * is forgotten (RFC 7252 §4.5) of a peer that has at least half of its fair share of the memory, else the oldest
	 * that may, else the new message is dropped. Requests that must not run twice (POST, PATCH) are never forgotten
	 * before their lifetime; a peer gets 5.03 for a new one when it has as many remembered as there would be places
	 * left for all. A microcontroller's build has no shares, and forgets the oldest non-confirmable POST at last. */
	uint32_t incoming_cap;
	/* Peers that we send requests to at a time; beyond: the longest idle is forgotten. */
	uint32_t peer_cap;
	/* Pieces of COPSE_CHUNK bytes for messages that may have to be sent again; beyond: COPSE_ERR_NOROOM. */
	uint32_t chunk_cap;
	/* Acknowledgements and resets not yet transmitted; beyond: dropped, the peer repeats. */
	uint16_t reply_cap;
	/* The longest token taken in a request: 0 for 8, up to COPSE_TOKEN_LONG (RFC 8974). */
	uint16_t token_max;
	/* Message IDs begin here; 0: at random. A program that comes back by the same port within EXCHANGE_LIFETIME goes
	 * on where it left: an ID used again would be taken for a duplicate (RFC 7252 §4.4). */
	uint16_t first_id;
	/* Of several endpoints that speak from one address and port each takes message IDs of its own: those whose bits
	 * in `id_mask` (its low ones) are `id_tag`. Whoever receives for all of them tells by these bits whom an
	 * acknowledgement is for. 0: all are ours. */
	uint16_t id_mask, id_tag;
	/* Secret and random: tokens, message IDs, jitter and hash keys come from it. */
	uint64_t seed[2];
};

/* The longest token that an endpoint can be told to take in requests (RFC 8974); answers and acknowledgements bear it
 * again. Ours are never longer than 8. */
#ifdef COPSE_SMALL
#define COPSE_TOKEN_LONG COPSE_TOKEN_MAX
#else
#define COPSE_TOKEN_LONG 256
#endif

#define COPSE_CHUNK 60 /* bytes of message in a chunk: with its link 64 */

/* Bytes of memory for copse_endpoint_init, for `config`. */
size_t copse_endpoint_bytes(const struct copse_config *config);

/* Bytes of copse_endpoint_bytes for each message of `incoming_cap`, without its reply; the table of all records, which has
 * a power of two of places, may need up to twice its part of that. Not in a microcontroller's build. */
size_t copse_endpoint_incoming_bytes(void);

/* Make an endpoint in `memory`, which has copse_endpoint_bytes(config) bytes, is aligned for uint64_t and stays the
 * endpoint's until it is no longer used; there is nothing to close. `config` is copied.
 * Returns the endpoint (at the beginning of `memory`); asserts that the bounds and parameters are in range. */
struct copse_endpoint *copse_endpoint_init(void *memory, size_t len, const struct copse_config *config,
					   copse_ms now);

/* A message to send, without what the message layer adds (type of the message layer, ID, token): `rest` is options,
 * payload marker and payload as copse_build_rest makes them, copied before the call returns. */
struct copse_out {
	uint8_t code;
	bool con;         /* requests and notifications: confirmable; responses: see copse_endpoint_respond */
	uint8_t priority; /* behind NSTART a higher one goes first; equals in order of arrival */
	/* Confirmable responses and notifications: for how many seconds what it says has been true; 255: for ever.
	 * These, and those that pass until it is sent and sent again, are taken from its Max-Age, where one is named (RFC
	 * 7252 §5.10.5). A microcontroller's build leaves it as it is. */
	uint8_t age_s;
	const uint8_t *rest;
	size_t rest_len;
};

enum copse_request_flag {
	COPSE_REQUEST_MANY =
	    1 /* stays open after a response: an observation (RFC 7641) or a multicast request (§8),
				  until copse_endpoint_cancel or, for multicast, the response time-out */
};

enum copse_event_kind {
	COPSE_EVENT_REQUEST =
	    1, /* a new request: respond to, or ignore, `exchange`; its message has no bad_option unless
				    the endpoint was told to forward (copse_endpoint_forwards) */
	COPSE_EVENT_RESPONSE, /* a response to our request `exchange`, which is over unless it was MANY */
	COPSE_EVENT_ACKED,    /* our confirmable response or notification `exchange` was acknowledged: over */
	COPSE_EVENT_FAILED, /* `exchange` of ours is over: `error` is TIMEOUT, RESET or TRANSPORT; or BADOPTION or
				    MALFORMED when a response came that cannot be accepted */
	COPSE_EVENT_PONG, /* the peer rejected our ping: it is alive; `exchange` is over */
	COPSE_EVENT_UNASKED, /* a non-confirmable response that nobody here has asked for; see copse_endpoint_unasked */
	COPSE_EVENT_RESET /* the peer rejected a non-confirmable message of ours with ID `message->id` */
};

struct copse_event {
	enum copse_event_kind kind;
	copse_handle exchange;
	int error;    /* COPSE_EVENT_FAILED: a copse_err */
	uint8_t sent; /* FAILED, RESPONSE: how often the request was sent, to count retransmissions by */
	bool
	    outdated; /* ACKED: of a notification that was replaced since, and the newer one has not been sent */
	void *
	    user; /* as given with the request or the notification; NULL for incoming requests until copse_endpoint_tag */
	const struct copse_peer *peer; /* until the next call on the endpoint */
	const struct copse_message
	    *message; /* a view over the datagram just received; NULL for FAILED by time-out */
};

/* Take one datagram from `peer`. `datagram` is borrowed until its event has been drained, and is not written.
 * Accepts any bytes: malformed input changes nothing but counters and at most one pending Reset.
 * `now` is not less than in any earlier call (asserted).
 * Returns  1  an event is queued: drain with copse_endpoint_next_event before the next receive
 *          0  consumed: a duplicate, an empty message, or one that was only to be rejected
 *  COPSE_ERR_VERSION, COPSE_ERR_MALFORMED, COPSE_ERR_OPTIONS, COPSE_ERR_BADOPTION  rejected as the RFC asks
 *  COPSE_ERR_UNMATCHED  belongs to no exchange; a Reset is queued where the RFC asks for one
 *  COPSE_ERR_NOROOM     no record free; dropped before it had any effect: the peer will repeat it
 * In each case an exchange of ours may have failed and left an event, a reply may have become ready to transmit,
 * and the deadline may have changed. */
int copse_endpoint_receive(struct copse_endpoint *ep, const struct copse_peer *peer, const void *datagram,
			   size_t len, copse_ms now);

/* Copy out the next event. Returns true with `*event` filled, or false when there is none. */
bool copse_endpoint_next_event(struct copse_endpoint *ep, struct copse_event *event);

/* Write the next datagram to send into `buf`, and whom to send it to into `*peer`.
 * Returns its length, or 0 when nothing is to be sent. One that does not fit into `cap` is dropped and counted: give
 * as much room as the largest message that you ever hand in, COPSE_MESSAGE_LEN by default. */
int copse_endpoint_transmit(struct copse_endpoint *ep, void *buf, size_t cap, struct copse_peer *peer,
			    copse_ms now);

/* When copse_endpoint_expire must next be called, or COPSE_NEVER. Early or spurious calls do no harm. */
copse_ms copse_endpoint_deadline(const struct copse_endpoint *ep);

/* Handle everything that is due at `now`: retransmissions, time-outs, late acknowledgements, forgetting. */
void copse_endpoint_expire(struct copse_endpoint *ep, copse_ms now);

/* Send a request to `peer`; behind others when NSTART of them are under way. `flags`: enum copse_request_flag.
 * Returns 0 with `*exchange`; the exchange ends with one RESPONSE or FAILED event that bears `user`
 *  COPSE_ERR_NOROOM  no exchange or no chunk is free: nothing has changed
 *  COPSE_ERR_RATE    a NON to a peer that has not answered the ones before: PROBING_RATE (§4.7) */
int copse_endpoint_request(struct copse_endpoint *ep, const struct copse_peer *peer,
			   const struct copse_out *out, unsigned flags, void *user, copse_ms now,
			   copse_handle *exchange);

/* Send a request under the token of `exchange`, an open request of ours with COPSE_REQUEST_MANY: to register an
 * observation anew or to cancel it (RFC 7641 §3.3.1, §3.6).  Errors as copse_endpoint_request, and COPSE_ERR_GONE. */
int copse_endpoint_request_again(struct copse_endpoint *ep, copse_handle exchange,
				 const struct copse_out *out, copse_ms now);

/* Answer a request. In the acknowledgement when that has not left yet, else as a message of its own: confirmable when
 * the request was, or when `out->con` (§5.2.2). To a multicast request the answer leaves after a random part of the
 * leisure. The exchange ends with an ACKED or FAILED event if the answer is confirmable and `user` was set by
 * copse_endpoint_tag; else without one.
 * Returns 0, or  COPSE_ERR_GONE  answered before, or no longer remembered
 *                COPSE_ERR_NOROOM  nothing has changed */
int copse_endpoint_respond(struct copse_endpoint *ep, copse_handle exchange, const struct copse_out *out,
			   copse_ms now);

/* Acknowledge a CON request at once; the answer follows later as a message of its own. No effect on others. */
int copse_endpoint_acknowledge(struct copse_endpoint *ep, copse_handle exchange, copse_ms now);

/* Leave a request unanswered (No-Response, multicast errors): a CON is acknowledged, nothing else is sent. */
int copse_endpoint_ignore(struct copse_endpoint *ep, copse_handle exchange, copse_ms now);

/* The request may run twice though its method is not idempotent: because what it does is the same the second time, or
 * because a copy is recognized elsewhere. To be said before it is answered: then it may be forgotten when room is needed,
 * and does not count as one that must not. Not in a microcontroller's build.
 * Returns 0, or  COPSE_ERR_GONE  answered before, or no longer remembered */
int copse_endpoint_repeatable(struct copse_endpoint *ep, copse_handle exchange);

/* Attach `user` to an incoming request: the events of its answer bear it. */
int copse_endpoint_tag(struct copse_endpoint *ep, copse_handle exchange, void *user);

/* A message ID for a message to `peer` that the caller makes and sends by itself; not in a microcontroller's build. */
uint16_t copse_endpoint_new_id(struct copse_endpoint *ep, const struct copse_peer *peer);

/* Only hosts have this: the keyed hash that the endpoint finds a peer by, for tables of whoever sits on it, so that it is
 * made once for all of them. The key is the seed: the values are as secret, and as hard to aim at. */
uint32_t copse_endpoint_peer_hash(struct copse_endpoint *ep, const struct copse_peer *peer);

/* The peer of `exchange`, a confirmable message of ours that is not acknowledged, shows that it listens now: send
 * it once more at once, as one of the MAX_RETRANSMIT times (§4.2), if the last time is a second ago. The deadline is
 * `now` then. Not in a microcontroller's build. Returns whether it will be. */
bool copse_endpoint_hasten(struct copse_endpoint *ep, copse_handle exchange, copse_ms now);

/* What an exchange is about, for one that was deferred: its peer and token stay readable until it is answered.
 * Returns 0 or COPSE_ERR_GONE. Pointers may be NULL; `token` has room for COPSE_TOKEN_MAX bytes, and is left alone
 * when
 * `*token_len` says that it is longer (RFC 8974). */
int copse_endpoint_exchange_info(const struct copse_endpoint *ep, copse_handle exchange,
				 struct copse_peer *peer, uint8_t *token, size_t *token_len, bool *con);

/* Send a response that no request is waiting for: a notification (RFC 7641 §4.2) under the observer's token.
 * A confirmable one ends with ACKED or FAILED bearing `user`; a NON has no exchange, and `*id` (may be NULL) is the
 * message ID by which a RESET event names it.  Returns 0 or COPSE_ERR_NOROOM. */
int copse_endpoint_notify(struct copse_endpoint *ep, const struct copse_peer *peer, const void *token,
			  size_t token_len, const struct copse_out *out, void *user, copse_ms now,
			  copse_handle *exchange, uint16_t *id);

/* Replace what a confirmable notification says that is not yet acknowledged: should it have to be sent again, that
 * will be a new message with the same count of attempts (RFC 7641 §4.5.2). When what was sent before is
 * acknowledged first, the event is ACKED and `outdated`.  Returns 0, COPSE_ERR_GONE or COPSE_ERR_NOROOM. */
int copse_endpoint_replace(struct copse_endpoint *ep, copse_handle exchange, const struct copse_out *out,
			   copse_ms now);

/* Send a CoAP ping (§4.3): ends with PONG or FAILED.  Returns 0 or COPSE_ERR_NOROOM. */
int copse_endpoint_ping(struct copse_endpoint *ep, const struct copse_peer *peer, void *user, copse_ms now,
			copse_handle *exchange);

/* Give up an exchange of ours without an event; a response that still comes is rejected with a Reset. */
void copse_endpoint_cancel(struct copse_endpoint *ep, copse_handle exchange, copse_ms now);

/* The transport learnt that `peer` cannot be reached (ICMP): requests and confirmable messages under way to it end
 * with FAILED, COPSE_ERR_TRANSPORT; over a reliable transport what is open (COPSE_REQUEST_MANY) does too, since it has
 * ended with the connection.  Costs as much as there are exchanges with that peer. */
void copse_endpoint_unreachable(struct copse_endpoint *ep, const struct copse_peer *peer, copse_ms now);

/* Which critical options the application understands, beyond those that any server must (Uri-*, Accept) and those
 * named before: a request with another one is answered 4.02 (§5.4.1), a response rejected. Those that are not in
 * the registry are never understood. */
void copse_endpoint_understands(struct copse_endpoint *ep, const uint16_t *numbers, size_t n);

/* Hand requests with a bad option, and with Proxy-Uri or Proxy-Scheme, to the application: it forwards and decides
 * itself (§5.7.1).  Default off: 4.02, and 5.05 for a proxy's options. */
void copse_endpoint_forwards(struct copse_endpoint *ep, bool on);

/* Hand over non-confirmable responses of class 2 that belong to no exchange, a copy only once, in place of
 * rejecting them: for implicit subscriptions, where a sensor notifies an agreed address or group under an agreed
 * token. Default off. */
void copse_endpoint_unasked(struct copse_endpoint *ep, bool on);

/* Counters, one for each row of registry/endpoint_counters.def, since the beginning. Never reset. */
struct copse_endpoint_counters {
#define COUNTER(name, text) copse_count name;
#include <copse/registry/endpoint_counters.def>
#undef COUNTER
};

const struct copse_endpoint_counters *copse_endpoint_counters(const struct copse_endpoint *ep);

/* How many records are in use now. */
struct copse_endpoint_usage {
	uint32_t exchanges, incoming, peers, chunks, replies;
};

void copse_endpoint_usage(const struct copse_endpoint *ep, struct copse_endpoint_usage *usage);

#endif
