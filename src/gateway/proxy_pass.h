/* One run of a proxy request through the steps, for the files that hold the steps. The table is in proxy.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_PROXY_PASS_H
#define GATEWAY_PROXY_PASS_H

#include "proxy_options.h"
#include "resolver.h"
#include "worker_state.h"

/* From an event until the request rests or is over. */
struct gw_pass {
	struct gw_worker *w;
	const struct copse_event *event;
	const struct copse_message *m; /* the client's request, or the device's answer; NULL without one */
	copse_ms now;
	struct gw_session *session; /* NULL: none */
	struct gw_request *r;       /* NULL before CACHE */
	copse_handle client;
	uint8_t no_response;
	struct gw_refusal refusal;
	uint32_t max_age; /* of the refusal; 0: none is sent */
	struct copse_peer device;
	struct gw_target target;

	/* the request for the device: w->upstream, a view over w->out, until an answer is built there */
	size_t message_len;
	bool sharable;                 /* its answer may be another's too */
	bool storable;                 /* and may be stored */
	struct gw_cache_key key, join; /* `join`: ETags included */
	struct gw_cache_entry *entry;  /* stale, to be validated; NULL: none */
	bool own_etag;                 /* its ETag is ours, the client has not named it */
	struct gw_asked asked;
};

/* proxy_cache.c: the steps and parts of steps that know the cache. */

/* The step: answer from the cache, join a request under way, or go on. */
enum gw_step gw_proxy_cache(struct gw_pass *p);

/* Append the ETag of the entry that is to be validated to the request for the device, if it fits. */
void gw_proxy_validate(struct gw_pass *p);

/* `p->r` is on its way: others may join it, and the entry that it validates is kept. */
void gw_proxy_depart(struct gw_pass *p);

/* The device's answer `p->m` to `p->r` has come: what it means for the cache. Returns true when the answer to the client
 * is not the device's but the one that the cache holds: it is in w->out then, `*len` bytes of `*code`. */
bool gw_proxy_learn(struct gw_pass *p, uint8_t *code, size_t *len);

/* No answer has come to `p->r`, which may have changed something. */
void gw_proxy_unknown(struct gw_pass *p);

/* proxy.c */
struct gw_request *gw_proxy_take_request(struct gw_pass *p);
/* The client learns that its request has arrived, if it has not yet. */
void gw_proxy_acknowledge(struct gw_pass *p);
/* Refuse: the next step. `counter` may be NULL. */
enum gw_step gw_proxy_refuse(struct gw_pass *p, uint64_t *counter, uint8_t code, const char *text);
enum gw_step gw_proxy_refuse_busy(struct gw_pass *p, const char *text);
/* Send `len` bytes of w->out to the client, and to those that joined it, as their answer. */
enum gw_step gw_proxy_respond(struct gw_pass *p, uint8_t code, size_t len);

#endif
