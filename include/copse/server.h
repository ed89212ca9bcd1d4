/* A server: a tree of resources on an endpoint. It takes the endpoint's events of requests and answers them: finds the
 * resource (or 4.04, 4.05), checks what the request asks for, moves bodies block by block (RFC 7959, RFC 9177), keeps
 * observers (RFC 7641), answers /.well-known/core (RFC 6690).
 *
 * Bytes and the time go in, bytes and the next deadline come out, as with the endpoint that it sits on:
 *
 *	copse_endpoint_receive(ep, ...)  or  copse_endpoint_expire(ep, now)
 *	while (copse_endpoint_next_event(ep, &event))
 *		if (copse_server_take(server, &event, now) == COPSE_ERR_UNMATCHED)
 *			the event is for somebody else: a client on the same endpoint, a proxy
 *	when copse_server_deadline(server) has come: copse_server_expire(server, now)
 *	transmit; sleep until the earlier of copse_endpoint_deadline and copse_server_deadline
 *
 * With an operating system copse/serve.h does all that.
 *
 * The states are drawn in doc/states/observe.md and doc/states/block.md.
 * Not thread-safe: the thread that owns the endpoint owns the server.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SERVER_H
#define COPSE_SERVER_H

#include <copse/resource.h>

/* How much a server may hold, and the times it keeps. Begin with COPSE_SERVER_DEFAULT. */
struct copse_server_config {
	uint64_t seed[2]; /* secret and random: keys of hash tables, and of Echo values */

	/* Longest message to build, 64 or more; blocks are made small enough to fit. */
	uint16_t message_len;
	uint16_t scratch_len; /* longest body that copse_response_copy can take */
	/* Distinct path segments of all resources ("a/b" and "a/c" have three); beyond: copse_server_add is refused. */
	uint16_t node_cap;
	uint16_t deferred_cap; /* requests to be answered later; beyond: copse_request_defer is refused */
	uint8_t szx;           /* largest block sent or asked for: 0 to 6 for 16 to 1024 bytes */

	/* Block-wise transfers: uploads under way, and answers whose further blocks are still to be fetched;
	 * beyond: 5.03. */
	uint16_t transfer_cap;
	/* Bytes of buffer for each: the longest body for COPSE_RESOURCE_WHOLE, the window for Q-Block1, and the
	 * longest copied answer that can be kept. */
	uint32_t collect_len;
	uint32_t transfer_ms; /* a transfer that nobody continues is forgotten after this */

	/* Observation. Beyond these bounds a request is answered as if Observe had not been there (RFC 7641 §4.1). */
	uint32_t observer_cap;
	uint16_t view_cap; /* different things observed: path, query, Accept and block size */
	uint16_t view_len; /* longest options of a request that registers */
	/* Notifications handed to the endpoint at a time, and confirmable ones not yet acknowledged, 1 or more;
	 * further ones wait. */
	uint32_t notify_cap;
	/* Telemetry: least time between two notifications of one view (RFC 7641 §4.5.1), and when it is confirmable. */
	uint32_t non_interval_ms;
	struct copse_traffic_policy traffic;

	/* Echo (RFC 9175 §2.4): an address that has not shown that it receives what it asks for gets at most
	 * `amplification` times the bytes that it sent; an answer that is longer becomes 4.01 with an Echo, an error
	 * loses its text. 0: no limit. See COPSE_RESOURCE_UNPROVEN and COPSE_RESOURCE_PROVEN. */
	uint8_t amplification;
	uint32_t verified_cap; /* verified addresses remembered; beyond: the longest unused is asked again */
	uint32_t fresh_ms;     /* how long an Echo value is good for */

	/* Q-Block (RFC 9177 §7.2). */
	uint8_t max_payloads;    /* MAX_PAYLOADS, 1 to 32 */
	uint32_t non_timeout_ms; /* NON_TIMEOUT */
	uint32_t non_receive_ms; /* NON_RECEIVE_TIMEOUT */
};

#define COPSE_SERVER_DEFAULT                                                                                 \
	{                                                                                                    \
		.message_len = COPSE_MESSAGE_LEN, .scratch_len = 1024, .node_cap = 64, .deferred_cap = 16,   \
		.szx = 6, .transfer_cap = 16, .collect_len = 4096, .transfer_ms = 247000,                    \
		.observer_cap = 64, .view_cap = 16, .view_len = 128, .notify_cap = 256,                      \
		.non_interval_ms = 3000, .traffic = COPSE_TRAFFIC_DEFAULT, .verified_cap = 64,               \
		.fresh_ms = 60000, .max_payloads = 10, .non_timeout_ms = 2000, .non_receive_ms = 4000,       \
	}

/* Bytes of memory for copse_server_init, for `config`. */
size_t copse_server_bytes(const struct copse_server_config *config);

/* Make a server on `ep` in `memory`: copse_server_bytes(config) bytes, aligned for uint64_t, the server's until it is no
 * longer used: see copse_server_end. `config` is copied; asserts that it is in range. Tells the endpoint which
 * critical options it understands. */
struct copse_server *copse_server_init(void *memory, size_t len, const struct copse_server_config *config,
				       struct copse_endpoint *ep, copse_ms now);

/* The server will not be used any more. What handlers keep for transfers under way comes back to them, by `abandon` of the
 * resource and `release` of the body; nothing is sent. Not needed where handlers keep nothing. */
void copse_server_end(struct copse_server *server);

/* Offer `resource`, which stays the caller's and must live until it is removed.
 * Returns 0; COPSE_ERR_NOROOM, nothing has changed; COPSE_ERR_ARGUMENT: the path is not well formed or taken. */
int copse_server_add(struct copse_server *server, const struct copse_resource *resource);

/* The same for `n` of them. Returns 0, or the first error, with the resources before it added. */
int copse_server_add_all(struct copse_server *server, const struct copse_resource *resource, size_t n);

/* No longer offer `resource`: its observers get 4.04, its transfers are abandoned. Not from one of its handlers.
 * Deferred requests stay to be answered. No effect on one that is not offered. */
void copse_server_remove(struct copse_server *server, const struct copse_resource *resource, copse_ms now);

/* Take an event of the endpoint.
 * Returns 0, or COPSE_ERR_UNMATCHED: it is not about this server. */
int copse_server_take(struct copse_server *server, const struct copse_event *event, copse_ms now);

/* When copse_server_expire must next be called, or COPSE_NEVER. In the past when there is work that waited for room in
 * the endpoint: transmit what is ready, then call it. */
copse_ms copse_server_deadline(const struct copse_server *server);

/* Do what is due at `now`: notifications, the ends of transfers. */
void copse_server_expire(struct copse_server *server, copse_ms now);

/* The state of `resource` has changed: its observers will be told the newest. For a resource with a wildcard `path`
 * says which one, in the form of copse_resource.path; NULL: all of them. Cheap: handlers are called later, once for
 * each view, and several changes may become one notification.
 * Returns how many views are to be notified. */
unsigned copse_server_changed(struct copse_server *server, const struct copse_resource *resource,
			      const char *path, copse_ms now);

/* Forget the observers of `resource` without telling them: as a device that restarts does. */
void copse_server_drop_observers(struct copse_server *server, const struct copse_resource *resource,
				 copse_ms now);

/* Observers of `resource` now; NULL: of all. The former costs a look at each of its views. */
uint32_t copse_server_observers(const struct copse_server *server, const struct copse_resource *resource);

/* Begin the answer to a deferred request: `rs` may be filled as in a handler.
 * Returns 0, or COPSE_ERR_GONE: answered or forgotten already, `rs` is not to be used. */
int copse_server_reply(struct copse_server *server, copse_handle deferred, struct copse_response *rs);

/* Send it. For a piece of an upload that is not the last one, a code of 0 lets the upload go on.
 * Nothing else may be called on the server between the two.
 * Returns 0; COPSE_ERR_NOROOM: the endpoint could not take it: begin again later; COPSE_ERR_GONE: the endpoint has
 * forgotten the request, `deferred` is over. */
int copse_server_reply_send(struct copse_server *server, copse_handle deferred, struct copse_response *rs,
			    copse_ms now);

/* Leave a deferred request unanswered. */
void copse_server_reply_drop(struct copse_server *server, copse_handle deferred, copse_ms now);

/* `peer` has shown in another way that it receives what it asks for: by a handshake, by a session. */
void copse_server_verified(struct copse_server *server, const struct copse_peer *peer, copse_ms now);

/* Deferred requests that have not been answered. */
uint32_t copse_server_deferred(const struct copse_server *server);

struct copse_endpoint *copse_server_endpoint(const struct copse_server *server);

/* Counters since the beginning, one for each row of registry/server_counters.def. Never decreasing. */
struct copse_server_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/server_counters.def>
#undef COUNTER
};

const struct copse_server_counters *copse_server_counters(const struct copse_server *server);

#endif
