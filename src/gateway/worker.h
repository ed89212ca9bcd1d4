/* A worker: everything that one thread of the gateway owns. Its endpoint, its sessions, the requests under
 * way, its server of local resources, its counters. It shares nothing but the log and the configuration,
 * which never changes.
 *
 * Like the endpoint it is driven from outside, with the time as an argument, and nothing in it blocks:
 *
 *	for each event of the endpoint: gw_worker_event
 *	when gw_worker_deadline has come: gw_worker_expire
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include "config.h"
#include "log.h"

#include <copse/dtls.h>
#include <copse/tcp.h>
#include <copse/endpoint.h>

struct copse_transport;
struct copse_host_counters;
struct copse_datagram;
struct gw_crossing;

/* What a worker has from its surroundings. All of it must live as long as the worker. */
struct gw_surroundings {
	struct gw_log *log; /* may be NULL */
	void *self;         /* for the functions below */

	/* The peer of the mesh at `address`: by UDP or, with `stream`, TCP; by DTLS, or TLS, or in the clear.  Returns 0,
	 * or COPSE_ERR_ARGUMENT for one that cannot be reached. */
	int (*mesh_peer)(void *self, const struct copse_address *address, bool secure, bool stream,
			 struct copse_peer *peer);

	/* Why this peer of the mesh, which could not be reached just now, did not become a secure one: a
	 * sentence; NULL: for another reason. May be NULL. */
	const char *(*mesh_why)(void *self, const struct copse_peer *peer);

	/* The address that `peer` sent to. */
	void (*local)(void *self, const struct copse_peer *peer, struct copse_address *address);

	/* Whether `peer` has an address that cannot be forged: a secure one. May be NULL: none has. */
	bool (*proved)(void *self, const struct copse_peer *peer);

	/* Counters and usage of DTLS, of all sockets towards clients, or of the one towards the mesh. May
	 * be NULL. */
	/* The sums over all connections of clients; NULL: there are none. */
	void (*tcp)(void *self, struct copse_tcp_counters *counters, struct copse_tcp_usage *usage);
	void (*dtls)(void *self, bool mesh, struct copse_dtls_counters *counters,
		     struct copse_dtls_usage *usage);

	/* Seconds since 1970: what tokens are judged by. */
	int64_t (*wall)(void *self);

	/* The same in microseconds, for readings; may be NULL. */
	int64_t (*wall_us)(void *self); /* the collector's store asks in its thread */

	/* Called in another thread: gw_worker_woken has something to do. Needed where the configuration
	 * has a collector. */
	void (*wake)(void *self);

	/* The i-th socket, or NULL behind the last; and what the host counts. For /metrics; may be NULL. */
	const struct copse_transport *(*transport)(void *self, size_t i);
	const struct copse_host_counters *(*host_counters)(void *self);

	/* One of several workers: what they share, and which one it is. NULL: the only one; then the rest may be, too. */
	struct gw_crossing *cross;
	unsigned worker;

	/* Give a datagram, or the news that a peer cannot be reached, to the endpoint; send one past it. */
	void (*take)(void *self, const struct copse_peer *peer, const void *bytes, size_t len, copse_ms now);
	void (*unreachable)(void *self, const struct copse_peer *peer, copse_ms now);
	bool (*pass)(void *self, struct copse_datagram *datagram, copse_ms now);

	/* Whether all workers have a socket at the address that `peer` speaks to, under the same id; and let `peer`, from
	 * whom another worker had something at `local` (len 0: not known), be answered from there by this worker's. */
	bool (*is_common)(void *self, const struct copse_peer *peer);
	void (*set_path)(void *self, const struct copse_address *local, struct copse_peer *peer);
};

struct gw_worker;

/* Fill what `config` says about the endpoint of worker `worker` of `workers`: groups, its share of the bounds, which
 * message IDs are its own. `seed` stays as it is. */
void gw_worker_endpoint_config(const struct gw_config *config, unsigned workers, unsigned worker,
			       struct copse_config *out);

/* Make a worker on `ep`, which was made with gw_worker_endpoint_config and is used by nobody else.
 * `config` is lent until another is adopted or the worker freed. Returns NULL without memory. */
struct gw_worker *gw_worker_new(const struct gw_config *config, const struct gw_surroundings *surroundings,
				struct copse_endpoint *ep, copse_ms now);

/* Requests under way end unanswered. NULL is taken. */
void gw_worker_free(struct gw_worker *worker);

/* The gateway is about to end. Whoever wants something of a device from now on is refused: 5.03 with Max-Age. What is under
 * way goes on, for at most as long as the configuration says (proxy.drain); what needs no device is still answered. */
void gw_worker_end(struct gw_worker *worker, copse_ms now);

/* Since then: whether nothing is under way any more, or the time is over. */
bool gw_worker_has_ended(const struct gw_worker *worker);

/* The gateway ends: tell all who wait that there will be no answer. What is to be sent then is sent by the caller. */
void gw_worker_close(struct gw_worker *worker, copse_ms now);

/* Use `config` from now on. Returns the one used so far, of which nothing is referred to any more. */
const struct gw_config *gw_worker_adopt(struct gw_worker *worker, const struct gw_config *config,
					copse_ms now);

/* A datagram that the endpoint has not seen: answered, if it is a GET that came before in the same words, and its answer is
 * in the cache. Nothing is remembered of it: a copy of it is answered again (RFC 7252 §4.5: it may be). Returns the length
 * of the message in `answer`, which has `cap` bytes, to be sent to `peer`; or 0: it is for the endpoint. A `cap` of 0 is
 * taken: then it is only looked at. Who shows one datagram shows all that are read into the same memory: what was seen is
 * used when the endpoint makes an event of them. */
size_t gw_worker_at_once(struct gw_worker *worker, const struct copse_peer *peer, const uint8_t *bytes,
			 size_t len, uint8_t *answer, size_t cap, copse_ms now);

/* Whether the socket that the next datagrams come from has more waiting than it should. While it has, gw_worker_at_once
 * refuses one in GW_SHED_EACH of the GETs and FETCHes that it does not answer: 5.03 with Max-Age 1, without asking
 * anybody. Nothing else is refused like that: neither what observes or ends that, nor further blocks of a body. */
#define GW_SHED_EACH 3

/* The longest message of the resources of the gateway itself: as many units of BERT (RFC 8323 §6) as a page of the
 * collector's has to spare, for clients that take that much. */
#define GW_LOCAL_MESSAGE (16u * 1024 + 128)
void gw_worker_behind(struct gw_worker *worker, bool behind);

void gw_worker_event(struct gw_worker *worker, const struct copse_event *event, copse_ms now);

/* The association of `peer` has ended, and its session with it: whoever comes from there next is somebody
 * else. Not from within another of these functions. */
void gw_worker_gone(struct gw_worker *worker, const struct copse_peer *peer, copse_ms now);

/* Do what `wake` was called for. */
void gw_worker_woken(struct gw_worker *worker, copse_ms now);

/* One of several workers. A datagram has come to one of its sockets: true when it belongs to another worker, which
 * has it now. Messages of others are taken, each time and by gw_worker_drain. */
bool gw_worker_divert(struct gw_worker *worker, const struct copse_datagram *datagram, copse_ms now);
void gw_worker_drain(struct gw_worker *worker, copse_ms now);

/* Let worker `to` send a datagram by a socket of its own. Returns false when its ring is full: lost. */
bool gw_worker_reply(struct gw_worker *worker, unsigned to, const struct copse_datagram *datagram);

/* The system says that `peer`, met by a socket that all workers have, cannot be reached. */
void gw_worker_unreachable(struct gw_worker *worker, const struct copse_peer *peer);

copse_ms gw_worker_deadline(const struct gw_worker *worker);
void gw_worker_expire(struct gw_worker *worker, copse_ms now);

/* Counters since the beginning, one for each row of registry/gateway_counters.def. Never decreasing. */
struct gw_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/gateway_counters.def>
#undef COUNTER
};

const struct gw_counters *gw_worker_counters(const struct gw_worker *worker);

/* What is in use now. */
struct gw_usage {
	uint32_t sessions, requests;
};

void gw_worker_usage(const struct gw_worker *worker, struct gw_usage *usage);

#endif
