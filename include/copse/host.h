/* An endpoint with its memory, its transports and the time: the base of every hosted program.
 *
 * A host allocates when it is made and never again. With a loop it runs by itself: a batch of datagrams is received and
 * handed to the endpoint one by one, each event to the application, then everything that became ready is sent in
 * batches. Before the loop sleeps, whatever the application asked of the endpoint from elsewhere (a timer, another
 * descriptor) is sent too: nobody needs to flush. Without a loop copse_host_step does one such round, with the time
 * given by the caller.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_HOST_H
#define COPSE_HOST_H

#include <copse/endpoint.h>
#include <copse/loop.h>
#include <copse/udp.h>

struct copse_host;

/* The application's side. `event` is called for every event of the endpoint; it may call anything of the endpoint
 * except receive, next_event, transmit and expire, which are the host's.
 * `deadline` and `expire` (both or neither) are for what sits on the endpoint and has deadlines of its own, as
 * copse_server and copse_client have: `deadline` says when the next one is, or COPSE_NEVER, and is asked before each
 * sleep; `expire` is called when it has come, and must move it.
 * `at_once` (may be NULL) is shown each datagram before the endpoint, as it came: unchecked bytes of anybody. What can be
 * answered without the endpoint, because to do so twice harms nobody (RFC 7252 §4.5), is answered by as many bytes in
 * `answer`, which has `cap`; 0: it is for the endpoint. With a `cap` of 0 nothing can be answered now: it is shown
 * nonetheless, so that what has been seen of one datagram is not taken for another. A new message ID is had from
 * copse_endpoint_new_id. */
struct copse_handler {
	void (*event)(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now);
	void *self;
	copse_ms (*deadline)(void *self);
	void (*expire)(void *self, copse_ms now);
	size_t (*at_once)(void *self, const struct copse_peer *peer, const uint8_t *bytes, size_t len,
			  uint8_t *answer, size_t cap, copse_ms now);

	/* For hosts that share their work with others; each may be NULL. `divert` is shown each datagram before the
	 * endpoint: it returns true when somebody else has taken it; it may call copse_host_take for others.
	 * `unreachable` is told what the endpoint is: that a peer cannot be reached. */
	bool (*divert)(void *self, const struct copse_datagram *datagram, copse_ms now);
	void (*unreachable)(void *self, const struct copse_peer *peer, copse_ms now);

	/* Told before the datagrams of a batch whenever it is no longer as it was: whether their transport is behind
	 * (copse_transport.behind), so that something should be refused. May be NULL. */
	void (*behind)(void *self, bool behind);
};

/* Begin with COPSE_HOST_DEFAULT. */
struct copse_host_config {
	struct copse_config endpoint; /* seed {0, 0}: taken from the system */
	uint16_t transports;          /* most transports at a time, 1 or more */
	uint16_t receive_batch;       /* datagrams received at a time */
	uint16_t send_batch;          /* datagrams waiting to be sent; beyond: the endpoint keeps them */
	uint32_t receive_size;        /* largest datagram received; larger ones are dropped and counted */
	uint32_t send_size;           /* largest message that the application ever sends */
};

#define COPSE_HOST_DEFAULT                                                                                   \
	{                                                                                                    \
		.endpoint = {.group = {COPSE_PARAMS_DEFAULT},                                                \
			     .group_n = 1,                                                                   \
			     .exchange_cap = 1024,                                                           \
			     .incoming_cap = 4096,                                                           \
			     .peer_cap = 1024,                                                               \
			     .chunk_cap = 16384,                                                             \
			     .reply_cap = 1024},                                                             \
		.transports = 8, .receive_batch = 32, .send_batch = 64, .receive_size = COPSE_DATAGRAM_MAX,  \
		.send_size = 2048,                                                                           \
	}

/* Make a host. `loop` may be NULL: then drive it with copse_host_step, and `now` is that clock's; with a loop it is
 * copse_clock_ms's. `handler` is copied.
 * Returns it, or NULL without memory; asserts that the configuration is in range. */
struct copse_host *copse_host_new(const struct copse_host_config *config, const struct copse_handler *handler,
				  struct copse_loop *loop, copse_ms now);

/* Close its transports and free. Exchanges end without events. What the endpoint still has to send is not sent:
 * copse_loop_run sees to that before it returns, and copse_host_flush without it. NULL is taken. */
void copse_host_free(struct copse_host *host);

struct copse_endpoint *copse_host_endpoint(struct copse_host *host);

/* Add a transport, which is the host's from now on: it gets its id and is closed with the host.
 * Returns 0, or COPSE_ERR_NOROOM (transport stays the caller's). */
int copse_host_attach(struct copse_host *host, struct copse_transport *transport);

/* Remove and close a transport. Exchanges with its peers run into their time-outs. */
void copse_host_detach(struct copse_host *host, struct copse_transport *transport);

/* Open a UDP socket and attach it: copse_udp_open and copse_host_attach in one.
 * Returns the transport, or NULL with `why`. */
struct copse_transport *copse_host_listen(struct copse_host *host, const struct copse_udp_config *config,
					  char *why, size_t why_cap);

/* The transport that a peer belongs to, or NULL. */
struct copse_transport *copse_host_transport(struct copse_host *host, const struct copse_peer *peer);

/* The i-th transport, from 0, or NULL behind the last: for lists of counters. */
struct copse_transport *copse_host_transport_at(struct copse_host *host, size_t i);

/* One round without a loop: receive a batch from every transport, handle what is due at `now`, send.
 * Returns how many datagrams were received, sent or found undeliverable; 0: nothing to do before
 * copse_host_deadline. */
int copse_host_step(struct copse_host *host, copse_ms now);

/* Send what the endpoint has ready; called by step and by the loop, harmless at any time but inside a handler. With a
 * loop `now` is the loop's, refreshed. */
void copse_host_flush(struct copse_host *host, copse_ms now);

/* Hand a datagram to the endpoint that came another way, and its events to the application. Not from within an
 * event. */
void copse_host_take(struct copse_host *host, const struct copse_peer *peer, const void *bytes, size_t len,
		     copse_ms now);

/* The same for the news that a peer cannot be reached. */
void copse_host_unreachable(struct copse_host *host, const struct copse_peer *peer, copse_ms now);

/* Send a datagram by the transport of its peer, past the endpoint. Returns false when it was not sent: it may be lost
 * like any other. */
bool copse_host_pass(struct copse_host *host, struct copse_datagram *datagram, copse_ms now);

/* When copse_host_step must next be called though nothing is received, or COPSE_NEVER. */
copse_ms copse_host_deadline(const struct copse_host *host);

/* Random bytes of the system; asserts that there are some. */
void copse_host_random(void *buf, size_t len);

/* Counters, one for each row of registry/host_counters.def. */
struct copse_host_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/host_counters.def>
#undef COUNTER
};

const struct copse_host_counters *copse_host_counters(const struct copse_host *host);

#endif
