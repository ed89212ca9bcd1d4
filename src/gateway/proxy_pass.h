/* One run of a proxy request through the steps, for the files that hold the steps. The table is in proxy.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_PROXY_PASS_H
#define GATEWAY_PROXY_PASS_H

#include "proxy_options.h"
#include "resolver.h"
#include "worker_state.h"

#include <copse/block.h>

/* From an event until the request rests or is over. */
struct gw_pass {
	struct gw_worker *w;
	const struct copse_event *event;
	const struct copse_message *m; /* the client's request, or the device's answer; NULL without one */
	copse_ms now;
	const struct gw_glance *glance; /* what was found out about the datagram already; NULL: nothing */
	struct gw_session *session;     /* NULL: none */
	struct gw_request *r;           /* NULL before CACHE */
	copse_handle client;
	uint8_t no_response;
	struct gw_refusal refusal;
	uint32_t max_age;                  /* of the refusal; 0: none is sent */
	const struct gw_memo_entry *known; /* what was found out before about the same bytes; NULL: nothing */
	bool by_directory;                 /* the directory knew the device, not the configuration */
	struct copse_peer device;          /* what it is known by to lanes and cache: its peer in the clear */
	struct copse_peer to;              /* the peer that it is asked at: the same, or a secure one */
	struct gw_target target;
	struct gw_lane_rule rule; /* of the device's lane, for this request */

	/* the request for the device: w->upstream, a view over w->out, until an answer is built there */
	size_t message_len;
	bool sharable;                 /* its answer may be another's too */
	bool storable;                 /* and may be stored */
	struct gw_cache_key key, join; /* `join`: with Block2 and ETags */
	struct gw_cache_key observed;  /* with Block2, of an observation that begins */
	struct gw_cache_entry *entry;  /* stale, to be validated; NULL: none */
	bool own_etag;                 /* its ETag is ours, the client has not named it */
	bool observe;                  /* the client wants to observe, and will be able to */
	bool leads;                    /* the request goes to the device for an observation: */
	uint32_t observation; /* this one; 0: one that is still to be made, with what is in w->stored */
	uint16_t options_len, body_len;     /* of that */
	uint64_t operation, operation_base; /* of a request that is not safe, or has blocks */
	bool has_b2;                        /* the client names a block of the answer: this one */
	struct copse_block b2;
	struct gw_asked asked;
};

/* proxy_block.c: the steps and parts of steps that know transfers. */

/* Whether the request, whose keys are made, is a part of a transfer or must wait for one. */
bool gw_block_wants(struct gw_pass *p);

/* The step: find or begin the transfer, and go on to the lane with the piece to be sent; or hold it. */
enum gw_step gw_proxy_block(struct gw_pass *p);

/* The device's answer `p->m` has come: is the client's block to be sent in further pieces? Then the next one is
 * in w->out. */
bool gw_block_goes_on(struct gw_pass *p);

/* The answer goes to the client: which option of the device's is not passed on (0: none)? In its place what the client
 * sent is appended to `b`. */
uint16_t gw_block_answer(struct gw_pass *p, struct copse_builder *b);

/* `p->r` has no more to do with its device. */
void gw_block_left(struct gw_pass *p);

/* No answer has come to `p->r`. */
void gw_block_failed(struct gw_pass *p);

/* What was held may go on, and what is overdue ends. After each event, and when gw_block_deadline has come. */
void gw_block_expire(struct gw_worker *w, copse_ms now);
copse_ms gw_block_deadline(const struct gw_worker *w);

/* proxy_memo.c: what needs no second look. */

/* A new configuration: nothing is known. */
void gw_memory_begin(struct gw_worker *w);

/* Of several workers: which one the datagram that gw_worker_at_once was shown last belongs to, if that is known; and keep
 * that it is `to`. */
bool gw_memory_routes(const struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes,
		      size_t len, unsigned *to);
void gw_memory_keep_route(struct gw_worker *w, const uint8_t *bytes, const struct gw_asked *asked,
			  unsigned to);

/* What gw_worker_at_once has seen of the datagram of this event, or NULL. */
const struct gw_glance *gw_memory_glance(const struct gw_pass *p);

/* Whether the request of `p->session` is known: then in `p->known`. */
bool gw_memory_has(struct gw_pass *p);

/* Go on with what is known as the steps up to CACHE would have left it; not w->upstream. */
void gw_memory_recall(struct gw_pass *p);

/* The steps up to CACHE have been gone through: to be known from now on, if it is such a request. */
void gw_memory_keep(struct gw_pass *p);

/* proxy_gather.c: parts of steps that know which block of an answer a client wants. */

/* What block the request names, if its answer may come in other ones; and in which size the device is asked: the message in
 * w->out is to be built anew where p->asked.reblock is set then. */
void gw_gather_size(struct gw_pass *p);

/* `p->r` is on its way: what is needed to ask for further pieces is kept. */
void gw_gather_depart(struct gw_pass *p);

/* The device's answer `p->m` has come: is it a part of what the client wants? Then the request for the next one is in
 * w->out. */
bool gw_gather_goes_on(struct gw_pass *p);

/* The answer for the client, where it is another block than the device's. Returns true with `*len` bytes in w->out; or
 * with 0 when the device's answer is not what it was asked for. */
bool gw_gather_answer(struct gw_pass *p, size_t *len);

/* `p->r` has no more to do with its device. */
void gw_gather_left(struct gw_pass *p);

/* proxy_asleep.c: the step: answer for a device that sleeps, from what the collector has of it. */
enum gw_step gw_proxy_asleep(struct gw_pass *p);

/* proxy_cache.c: the steps and parts of steps that know the cache. */

/* The answer from the entry, which is fresh: the next step. */
enum gw_step gw_proxy_answer_from(struct gw_pass *p, struct gw_cache_entry *e);

/* Options and payload of that answer, of an entry that is a whole body, into `to`, which has room for w->rest_cap bytes.
 * Uses w->stored. */
size_t gw_proxy_build_whole(struct gw_worker *w, const struct gw_cache_entry *e, copse_ms now, uint8_t *to);

/* The step: answer from the cache, join a request under way, or go on. */
enum gw_step gw_proxy_cache(struct gw_pass *p);

/* Append the ETag of the entry that is to be validated to the request for the device, if it fits. */
void gw_proxy_validate(struct gw_pass *p);

/* `p->r` is on its way: others may join it, and the entry that it validates is kept. */
void gw_proxy_depart(struct gw_pass *p);

/* The device's answer `p->m` to `p->r` has come: what it means for the cache. Returns true when the answer to the
 * client is not the device's but the one that the cache holds: it is in w->out then, `*len` bytes of `*code`. */
bool gw_proxy_learn(struct gw_pass *p, uint8_t *code, size_t *len);

/* The same for a piece of an answer that others are to follow. */
void gw_proxy_learn_piece(struct gw_pass *p);

/* The device's answer as a message of ours, without what is not passed on, over w->stored; or NULL. */
const struct copse_message *gw_proxy_passed_on(struct gw_worker *w, const struct copse_message *m);

/* No answer has come to `p->r`, which may have changed something. */
void gw_proxy_unknown(struct gw_pass *p);

/* Store the device's answer `p->m`, if it is one that can be, under `key`. Uses w->out and w->stored. */
void gw_proxy_remember(struct gw_pass *p, const struct gw_cache_key *key);

/* Let `p` wait for the answer to `first`: the next step. `bounded`: as many may as the configuration says. */
enum gw_step gw_proxy_join(struct gw_pass *p, struct gw_request *first, bool bounded);

/* proxy_observe.c: parts of steps that know observations. */

/* Whether the request `p->m` begins or ends an observation (RFC 7641 §2). */
bool gw_observe_wants(const struct gw_pass *p);

/* Part of the step CACHE for such a request, which has its key: the next step. */
enum gw_step gw_observe_begin(struct gw_pass *p);

/* `p->r` is on its way for an observation. */
void gw_observe_depart(struct gw_pass *p);

/* Send it to the device.  Returns as copse_endpoint_request. */
int gw_observe_ask(struct gw_pass *p, const struct copse_peer *device, const struct copse_out *out);

/* The step ANSWER for it. */
enum gw_step gw_observe_answer(struct gw_pass *p);

/* It has left its device without an answer. */
void gw_observe_left(struct gw_pass *p);

/* The client of `p->r` did not take the first state that it asked for. */
void gw_observe_rejected(struct gw_pass *p);

/* What is stored of the resource `uri` (struct gw_cache_key) may have been changed. */
void gw_proxy_invalidate(struct gw_worker *w, uint64_t uri, copse_ms now);

/* proxy.c */
/* From step `from`, in which `p->r` is, on to `to`, and as far as that leads. */
void gw_proxy_run(struct gw_pass *p, enum gw_step from, enum gw_step to);
/* The request for the device, from the client's: in w->out, with w->upstream over it. False: it is too large. */
bool gw_proxy_build(struct gw_pass *p);
/* Leave the device's lane before the request is over: the next one may go. */
void gw_proxy_leave_lane(struct gw_pass *p);
struct gw_request *gw_proxy_take_request(struct gw_pass *p);
/* A record for a request of the gateway's own, in step LANE; NULL: there is none. */
struct gw_request *gw_proxy_take_own(struct gw_worker *w, uint8_t method, const struct gw_rate *rate);
/* The client learns that its request has arrived, if it has not yet. */
void gw_proxy_acknowledge(struct gw_pass *p);
/* Refuse: the next step. `counter` may be NULL. */
enum gw_step gw_proxy_refuse(struct gw_pass *p, uint64_t *counter, uint8_t code, const char *text);
enum gw_step gw_proxy_refuse_busy(struct gw_pass *p, const char *text);
/* The gateway is about to end. */
enum gw_step gw_proxy_refuse_ending(struct gw_pass *p);
/* 4.29: not before `wait` milliseconds have passed. */
enum gw_step gw_proxy_refuse_rate(struct gw_pass *p, uint64_t *counter, copse_ms wait, const char *text);
/* Send `len` bytes of w->out to the client, and to those that joined it, as their answer. */
enum gw_step gw_proxy_respond(struct gw_pass *p, uint8_t code, size_t len);

#endif
