/* The life of a proxy request, step by step. Each step looks at one thing and names the next; the table says which ones
 * it may name. Steps that rest (WAIT, DELIVER) go on when an event of the endpoint comes. The drawing is
 * doc/states/proxy.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "access.h"
#include "group.h"
#include "proxy_mail.h"
#include "proxy_pass.h"
#include "visible.h"
#include "worker_cross.h"

#include <stdio.h>
#include <string.h>

typedef enum gw_step step_run(struct gw_pass *p);
static step_run session, recall, target, policy, resolve, prepare, permit, lane, forward, answer, refuse,
    local;

#define MAY(step) (1u << GW_STEP_##step)

static const struct {
	const char *name;
	step_run *run;    /* NULL: the request rests, or is over */
	unsigned allowed; /* which steps may follow */
} steps[GW_STEP_N] = {
    [GW_STEP_FREE] = {"free", NULL, MAY(SESSION)},
    [GW_STEP_SESSION] = {"session", session, MAY(TARGET) | MAY(RECALL)},
    [GW_STEP_RECALL] = {"recall", recall, MAY(TARGET) | MAY(CACHE) | MAY(FREE) | MAY(REFUSE)},
    [GW_STEP_TARGET] = {"target", target, MAY(POLICY) | MAY(LOCAL) | MAY(REFUSE)},
    [GW_STEP_POLICY] = {"policy", policy, MAY(RESOLVE) | MAY(REFUSE)},
    [GW_STEP_RESOLVE] = {"resolve", resolve, MAY(PREPARE) | MAY(REFUSE)},
    [GW_STEP_PREPARE] = {"prepare", prepare, MAY(PERMIT) | MAY(REFUSE)},
    [GW_STEP_PERMIT] = {"permit", permit, MAY(ASLEEP) | MAY(GROUP) | MAY(REFUSE)},
    [GW_STEP_ASLEEP] = {"asleep", gw_proxy_asleep, MAY(CACHE) | MAY(FREE) | MAY(REFUSE)},
    [GW_STEP_MAIL] = {"mail", NULL, MAY(LANE)},
    [GW_STEP_GROUP] = {"group", gw_group_forward, MAY(FREE) | MAY(REFUSE)},
    [GW_STEP_CACHE] = {"cache", gw_proxy_cache,
		       MAY(LANE) | MAY(BLOCK) | MAY(JOINED) | MAY(FREE) | MAY(REFUSE)},
    [GW_STEP_BLOCK] = {"block", gw_proxy_block, MAY(LANE) | MAY(HELD) | MAY(FREE) | MAY(REFUSE)},
    [GW_STEP_HELD] = {"held", NULL, MAY(LANE) | MAY(REFUSE)},
    [GW_STEP_LANE] = {"lane", lane, MAY(FORWARD) | MAY(QUEUE) | MAY(REFUSE) | MAY(FREE)},
    [GW_STEP_QUEUE] = {"queue", NULL, MAY(FORWARD)},
    [GW_STEP_JOINED] = {"joined", NULL, MAY(DELIVER) | MAY(FREE)},
    [GW_STEP_FORWARD] = {"forward", forward, MAY(WAIT) | MAY(REFUSE)},
    [GW_STEP_WAIT] = {"wait", NULL, MAY(ANSWER) | MAY(REFUSE)},
    [GW_STEP_ANSWER] = {"answer", answer, MAY(LANE) | MAY(DELIVER) | MAY(FREE) | MAY(REFUSE)},
    [GW_STEP_DELIVER] = {"deliver", NULL, MAY(FREE)},
    [GW_STEP_REFUSE] = {"refuse", refuse, MAY(DELIVER) | MAY(FREE)},
    [GW_STEP_LOCAL] = {"local", local, MAY(FREE) | MAY(REFUSE)},
};

static void release(struct gw_worker *w, struct gw_request *r)
{
	struct gw_session *s =
	    r->session == UINT32_MAX ? NULL : gw_sessions_at(w->sessions, r->session, r->generation);

	if (s)
		gw_cross_pending(w, s, -1);
	if (r->observe)
		w->observers_reserved--;
	r->observe = false;
	r->next_free = w->requests_free;
	w->requests_free = (uint32_t)(r - w->requests) + 1;
	w->requests_used--;
}

static void enter(struct gw_pass *p, enum gw_step from, enum gw_step to)
{
	COPSE_ASSERT(steps[from].allowed & 1u << to);
	if (!p->r)
		return;
	p->r->step = (uint8_t)to;
	if (to == GW_STEP_FREE)
		release(p->w, p->r);
}

void gw_proxy_run(struct gw_pass *p, enum gw_step from, enum gw_step step)
{
	enter(p, from, step);
	while (steps[step].run) {
		enum gw_step next = steps[step].run(p);
		enter(p, step, next);
		step = next;
	}
}

enum gw_step gw_proxy_refuse(struct gw_pass *p, uint64_t *counter, uint8_t code, const char *text)
{
	if (counter)
		++*counter;
	p->refusal = (struct gw_refusal){code, text};
	return GW_STEP_REFUSE;
}

enum gw_step gw_proxy_refuse_busy(struct gw_pass *p, const char *text)
{
	p->max_age = 1;
	return gw_proxy_refuse(p, &p->w->counters.refused_busy, COPSE_CODE_SERVICE_UNAVAILABLE, text);
}

#define ENDING_MAX_AGE 5 /* seconds in which another process may be there */

enum gw_step gw_proxy_refuse_ending(struct gw_pass *p)
{
	p->max_age = ENDING_MAX_AGE;
	return gw_proxy_refuse(p, &p->w->counters.refused_ending, COPSE_CODE_SERVICE_UNAVAILABLE,
			       "the gateway is about to end");
}

/* RFC 8516 §3: Max-Age is the wait. */
enum gw_step gw_proxy_refuse_rate(struct gw_pass *p, uint64_t *counter, copse_ms wait, const char *text)
{
	p->max_age = wait > 3600000000 ? 3600000 : (uint32_t)((wait + 999) / 1000);
	return gw_proxy_refuse(p, counter, COPSE_CODE_TOO_MANY_REQUESTS, text);
}

/* --- the steps --- */

/* Whose request is it? That nobody is known there matters in the next step. */
static enum gw_step session(struct gw_pass *p)
{
	p->glance = gw_memory_glance(p);
	p->session =
	    p->glance ? p->glance->session : gw_sessions_find(p->w->sessions, p->event->peer, p->now);
	return p->session && !p->w->ring_full && gw_memory_has(p) ? GW_STEP_RECALL : GW_STEP_TARGET;
}

static enum gw_step refuse_anonymous(struct gw_pass *p)
{
	char peer[GW_PEER_TEXT], msg[GW_PEER_TEXT + 128];

	/* the wording is what operators of such gateways look for */
	snprintf(msg, sizeof(msg),
		 "Could not retrieve session for: /%s. Anonymous sessions are not allowed, please supply "
		 "account Id",
		 copse_peer_text(p->event->peer, peer, sizeof(peer)));
	gw_log_stranger(p->w->around.log, GW_LOG_WARN, "SessionAwareHandler", msg);
	return gw_proxy_refuse(p, &p->w->counters.refused_anonymous, COPSE_CODE_UNAUTHORIZED,
			       "no session for this address and port: POST a token to /sessions");
}

/* RFC 7252 §5.7.2: a host that is the proxy itself makes the request a local one. */
bool gw_proxy_is_here(const struct gw_worker *w, const struct copse_peer *peer, const struct gw_asked *asked)
{
	struct copse_address local;
	struct copse_ip literal, own;

	if (asked->here)
		return true;
	w->around.local(w->around.self, peer, &local);
	if (asked->port != copse_address_port(&local))
		return false;
	if (!copse_ip_parse(&literal, asked->host, asked->host_len, NULL))
		return copse_host_equal(asked->host, asked->host_len, w->name, strlen(w->name));
	own.family = local.sa.sa_family == AF_INET ? 4 : 6;
	if (own.family == 4)
		memcpy(own.bytes, &local.in.sin_addr, 4);
	else
		memcpy(own.bytes, &local.in6.sin6_addr, 16);
	return copse_ip_equal(&literal, &own);
}

static uint64_t *counter_of(struct gw_counters *c, uint8_t code)
{
	switch (code) {
	case COPSE_CODE_BAD_OPTION: return &c->refused_option;
	case COPSE_CODE_HOP_LIMIT_REACHED: return &c->refused_hops;
	default: return &c->refused_target;
	}
}

/* Where does it want to go, and can it be forwarded as it is? */
static enum gw_step target(struct gw_pass *p)
{
	struct gw_refusal refusal =
	    gw_options_asked(p->event->peer, p->m, p->w->config->hop_limit, &p->asked);

	p->no_response = p->asked.no_response;
	if (p->w->ring_full) {
		p->w->counters.refused_crossing++;
		return gw_proxy_refuse_busy(p, "the gateway is behind");
	}
	if (!refusal.code && gw_proxy_is_here(p->w, p->event->peer, &p->asked))
		return GW_STEP_LOCAL;
	if (!p->session)
		return refuse_anonymous(p);
	if (refusal.code == COPSE_CODE_HOP_LIMIT_REACHED)
		refusal.text = p->w->name; /* RFC 8768 §4: who found the loop */
	if (refusal.code)
		return gw_proxy_refuse(p, counter_of(&p->w->counters, refusal.code), refusal.code,
				       refusal.text);
	/* who asks for coaps does not mean to be served in the clear */
	if (copse_scheme_is_secure(p->asked.scheme) && !p->session->secure)
		return gw_proxy_refuse(p, &p->w->counters.refused_target, COPSE_CODE_PROXYING_NOT_SUPPORTED,
				       "this session is in the clear: only coap can be proxied");
	if (p->m->code > COPSE_CODE_IPATCH)
		return gw_proxy_refuse(p, &p->w->counters.refused_target, COPSE_CODE_METHOD_NOT_ALLOWED,
				       "unknown method");
	return GW_STEP_POLICY;
}

/* May it now? `next` if it may. */
static enum gw_step admit(struct gw_pass *p, enum gw_step next)
{
	if (gw_cross_pending_of(p->w, p->session) >= p->w->config->session_requests)
		return gw_proxy_refuse_busy(p, "too many requests of this session are under way");
	copse_ms wait = gw_cross_rate(p->w, p->session->account, p->now);
	if (wait)
		return gw_proxy_refuse_rate(p, &p->w->counters.refused_account_rate, wait,
					    "too many requests of this account");
	return next;
}

static enum gw_step policy(struct gw_pass *p)
{
	return admit(p, GW_STEP_RESOLVE);
}

/* The same request, with the same rights, came before: everything up to the cache is known. What is stale is validated
 * the long way, which is shorter than the way to the device. */
static enum gw_step recall(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_cache_entry *e = NULL;

	if (w->config->classes[p->known->class].cache != GW_SHARE_NOTHING)
		e = gw_cache_find(w->cache, &p->known->key, p->now);
	if (e && !gw_cache_is_fresh(e, p->now)) {
		p->known = NULL;
		return GW_STEP_TARGET;
	}
	enum gw_step next = admit(p, GW_STEP_CACHE);
	if (next != GW_STEP_CACHE)
		return next;
	w->counters.recalled++;
	if (e)
		return gw_proxy_answer_from(p, e);
	gw_memory_recall(p);
	return GW_STEP_CACHE;
}

/* By the configuration; what it does not know, by the resource directory. */
static enum gw_resolution find_device(struct gw_pass *p)
{
	const struct gw_asked *a = &p->asked;
	const struct gw_config *config = p->w->config;
	uint16_t own = copse_scheme_port(a->scheme);

	p->target.name[0] = p->target.alias[0] = 0; /* of what is no name at all */
	if (p->w->given) {
		p->target = *p->w->given;
		return GW_RESOLVED;
	}
	enum gw_resolution found = gw_resolve(config, a->host, a->host_len, a->port, own, &p->target);

	p->by_directory = found == GW_RESOLVE_UNKNOWN && p->w->rd;
	return p->by_directory
		   ? gw_resolve_registered(config, gw_rd_directory(p->w->rd), a->host, a->host_len, a->port,
					   own, p->session->secure, &p->target)
		   : found;
}

/* How a device is reached the configuration knows, whatever the URI says; but who names TCP means it. A host without a name
 * is reached as the URI says. */
static bool takes_scheme(struct gw_pass *p)
{
	const bool stream =
	    p->asked.scheme == COPSE_SCHEME_COAP_TCP || p->asked.scheme == COPSE_SCHEME_COAPS_TCP;

	if (p->target.literal)
		p->target.stream = stream;
	return p->target.stream || !stream;
}

bool gw_proxy_build(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;

	copse_build_message(&b, w->out, w->out_cap, COPSE_CON, p->m->code, 0, "", 0);
	gw_options_request(p->m, &p->asked, p->target.uri_host, &b);
	int n = copse_build_finish(&b);
	if (n < 0 || copse_message_parse(&w->upstream, w->out, (size_t)n) != 0)
		return false;
	p->message_len = (size_t)n;
	return true;
}

/* Do the configuration and the session's token forbid it? Then the refusal is set. */
static bool is_forbidden(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	const struct gw_target *t = &p->target;

	if (gw_access_denies(w->config, p->session->account, &w->upstream, t->name, t->alias))
		gw_proxy_refuse(p, &w->counters.refused_rule, COPSE_CODE_FORBIDDEN,
				"this request is not allowed");
	else if (!gw_grant_allows(gw_grants_at(w->grants, p->session->grant), &w->upstream, t->name,
				  t->alias))
		gw_proxy_refuse(p, &w->counters.refused_claim, COPSE_CODE_FORBIDDEN,
				"the session's token does not allow this request");
	else
		return false;
	return true;
}

/* It cannot be asked. Who may not ask it does not learn why: nor, thereby, whether there is such a device. */
static enum gw_step refuse_target(struct gw_pass *p, uint64_t *counter, uint8_t code, const char *text)
{
	p->target.uri_host = "";
	return gw_proxy_build(p) && is_forbidden(p) ? GW_STEP_REFUSE
						    : gw_proxy_refuse(p, counter, code, text);
}

/* Which device is it, and where? */
static enum gw_step resolve(struct gw_pass *p)
{
	struct gw_worker *w = p->w;

	switch (find_device(p)) {
	case GW_RESOLVE_UNKNOWN:
		return refuse_target(p, &w->counters.refused_unknown, COPSE_CODE_NOT_FOUND,
				     "no device has this name");
	case GW_RESOLVE_DENIED:
		return refuse_target(p, &w->counters.refused_denied, COPSE_CODE_FORBIDDEN,
				     "this device may not be reached");
	case GW_RESOLVE_OUTSIDE:
		return refuse_target(p, &w->counters.refused_denied, COPSE_CODE_FORBIDDEN,
				     "hosts outside of the mesh may not be reached");
	case GW_RESOLVED: break;
	}
	if (p->target.group && p->session->secure)
		return refuse_target(
		    p, &w->counters.refused_group, COPSE_CODE_NOT_IMPLEMENTED,
		    "a group can be asked in the clear only: open a session with ?security=none");
	if (!takes_scheme(p))
		return refuse_target(p, &w->counters.refused_target, COPSE_CODE_PROXYING_NOT_SUPPORTED,
				     "this device is asked by coap, not by coap+tcp");
	if (w->around.mesh_peer(w->around.self, &p->target.address, false, p->target.stream, &p->device) !=
		0 ||
	    w->around.mesh_peer(w->around.self, p->session->secure ? &p->target.secure : &p->target.address,
				p->session->secure, p->target.stream, &p->to) != 0)
		return refuse_target(p, &w->counters.device_unreachable, COPSE_CODE_BAD_GATEWAY,
				     "the device's address cannot be reached from here");
	/* a class that a new configuration has brought has no group of the endpoint before the next start */
	p->to.group = p->target.class->group < w->group_n ? p->target.class->group : GW_GROUP_MESH;
	p->rule = p->target.class->lane;
	return GW_STEP_PREPARE;
}

/* The request as it goes to the device: with a header, so that its options can be looked up. */
static enum gw_step prepare(struct gw_pass *p)
{
	return gw_proxy_build(p)
		   ? GW_STEP_PERMIT
		   : gw_proxy_refuse(p, &p->w->counters.refused_large, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
				     "the request is too large to be forwarded");
}

/* Do the configuration and the session's token allow this request? Before the cache: who may not ask gets no copy. */
static enum gw_step permit(struct gw_pass *p)
{
	struct gw_worker *w = p->w;

	if (gw_rule_has_dots(&w->upstream))
		return gw_proxy_refuse(p, &w->counters.refused_target, COPSE_CODE_BAD_REQUEST,
				       "the path has a segment of dots");
	if (is_forbidden(p))
		return GW_STEP_REFUSE;
	return p->target.group ? GW_STEP_GROUP : GW_STEP_ASLEEP;
}

static struct gw_request *take(struct gw_worker *w)
{
	struct gw_request *r = w->requests_free ? &w->requests[w->requests_free - 1] : NULL;

	if (!r)
		return NULL;
	w->requests_free = r->next_free;
	w->requests_used++;
	return r;
}

struct gw_request *gw_proxy_take_own(struct gw_worker *w, uint8_t method, const struct gw_rate *rate)
{
	struct gw_request *r = take(w);

	if (r)
		*r = (struct gw_request){.magic = GW_REQUEST_MAGIC,
					 .step = GW_STEP_LANE,
					 .method = method,
					 .session = UINT32_MAX, /* nobody's */
					 .rate = *rate};
	return r;
}

struct gw_request *gw_proxy_take_request(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_request *r = take(w);

	if (!r)
		return NULL;
	*r = (struct gw_request){
	    .magic = GW_REQUEST_MAGIC,
	    .method = p->m->code,
	    .con = p->m->type == COPSE_CON,
	    .observe = p->observe,
	    .no_response = p->no_response,
	    .client = p->client,
	    .session = gw_sessions_number(w->sessions, p->session),
	    .generation = p->session->generation,
	    .rights = p->observe ? (uint32_t)gw_rights(w, p->session) : 0,
	    .key = p->key,
	    .operation = p->operation,
	    .operation_base = p->operation_base,
	    .storable = p->storable,
	    .has_b2 = p->has_b2,
	    .b2 = p->b2,
	    .rate = p->target.class->rate,
	    .to = p->to,
	};
	gw_cross_pending(w, p->session, 1);
	w->observers_reserved += p->observe;
	return r;
}

static uint32_t number_of(const struct gw_worker *w, const struct gw_request *r)
{
	return (uint32_t)(r - w->requests) + 1;
}

/* One request at a time to a device that is serialized; or as its class has it. */
static enum gw_step lane(struct gw_pass *p)
{
	struct gw_worker *w = p->w;

	if (!p->r && w->ending)
		return gw_proxy_refuse_ending(p);
	if (!p->r)
		p->r = gw_proxy_take_request(p);
	if (!p->r)
		return gw_proxy_refuse_busy(p, "too many requests are under way");
	p->r->step = GW_STEP_LANE;
	gw_proxy_validate(p);
	switch (gw_lanes_enter(w->lanes, &p->device, &p->rule, number_of(w, p->r), w->out + COPSE_HEADER_LEN,
			       p->message_len - COPSE_HEADER_LEN, &p->r->lane)) {
	case GW_LANE_GO: break;
	case GW_LANE_WAIT:
		w->counters.queued++;
		gw_proxy_acknowledge(p);
		gw_proxy_depart(p);
		return GW_STEP_QUEUE;
	case GW_LANE_BUSY:
		p->r->lane = 0;
		p->max_age = 1;
		/* the wording is what clients of such gateways look for */
		return gw_proxy_refuse(
		    p, &w->counters.refused_lane, COPSE_CODE_SERVICE_UNAVAILABLE,
		    "Request blocked by device serialization requirements, another request is "
		    "enqueued or in process for this device.");
	}
	gw_proxy_depart(p);
	return GW_STEP_FORWARD;
}

static enum gw_step refuse_forward(struct gw_pass *p, int err)
{
	if (err == COPSE_ERR_RATE)
		return gw_proxy_refuse_busy(p, "the device has left too many messages unanswered");
	return gw_proxy_refuse_busy(p, "too many requests are under way");
}

/* The client learns that its request has arrived. */
void gw_proxy_acknowledge(struct gw_pass *p)
{
	if (p->r->con && !p->r->acknowledged) {
		p->r->acknowledged = true;
		copse_endpoint_acknowledge(p->w->ep, p->client, p->now);
	}
}

/* Out to the device. The client learns at once that its request has arrived. */
static enum gw_step forward(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	const struct copse_out out = {.code = p->r->method,
				      .con = p->r->con,
				      .rest = w->out + COPSE_HEADER_LEN,
				      .rest_len = p->message_len - COPSE_HEADER_LEN};
	const struct copse_peer *device = gw_lanes_device(w->lanes, p->r->lane), *to = &p->r->to;
	copse_ms wait = gw_rates_take(w->device_rates, device->key, device->len, &p->r->rate, p->now);

	if (wait)
		return gw_proxy_refuse_rate(p, &w->counters.refused_device_rate, wait,
					    "too many requests for this device");
	int err = p->r->observation ? gw_observe_ask(p, to, &out)
				    : copse_endpoint_request(w->ep, to, &out, 0, p->r, p->now, &p->r->device);
	if (err)
		return refuse_forward(p, err);
	gw_proxy_acknowledge(p);
	w->counters.forwarded++;
	return GW_STEP_WAIT;
}

/* What one client is told. `r` is NULL for a request without a record. */
static enum gw_step tell(struct gw_pass *p, struct gw_request *r, uint8_t no_response, copse_handle client,
			 const struct copse_out *out)
{
	struct gw_worker *w = p->w;

	if (client == COPSE_NO_HANDLE) { /* the gateway's own request, or one that waited */
		if (r->mail)
			gw_mail_told(p, out);
		return GW_STEP_FREE;
	}
	if (no_response & 1u << (copse_code_class(out->code) - 1)) { /* RFC 7967 §2.1 */
		w->counters.answers_unwanted++;
		copse_endpoint_ignore(w->ep, client, p->now);
		return GW_STEP_FREE;
	}
	if (r)
		copse_endpoint_tag(w->ep, client, r);
	int err = copse_endpoint_respond(w->ep, client, out, p->now);
	if (err) {
		w->counters.answers_lost++;
		copse_endpoint_ignore(w->ep, client, p->now);
		return GW_STEP_FREE;
	}
	/* the answer to a request that was acknowledged is a message of its own. One that was refused in the same breath
	 * was not: then the answer is the acknowledgement */
	return r && r->acknowledged ? GW_STEP_DELIVER : GW_STEP_FREE;
}

/* Those that joined `p->r` get the same answer, each under its own token. */
static void tell_joined(struct gw_pass *p, const struct copse_out *out)
{
	struct gw_worker *w = p->w;
	uint32_t number = p->r->joined;

	p->r->joined = 0;
	p->r->joined_n = 0;
	while (number) {
		struct gw_request *r = &w->requests[number - 1];
		struct gw_pass other = {.w = w, .r = r, .now = p->now};
		number = r->next_joined;
		enter(&other, GW_STEP_JOINED, tell(p, r, r->no_response, r->client, out));
	}
}

static void resume(struct gw_worker *w, uint32_t number, size_t len, copse_ms now);

void gw_proxy_leave_lane(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	uint32_t from = p->r->lane;
	size_t len;

	p->r->lane = 0;
	if (!from)
		return;
	uint32_t next = gw_lanes_leave(w->lanes, from, w->out + COPSE_HEADER_LEN, &len);
	if (next)
		resume(w, next, len, p->now);
}

/* The request has no more to do with its device: the next one may go. */
static void leave_device(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_request *r = p->r;

	gw_flights_end(w->flights, number_of(w, r));
	if (r->entry)
		gw_cache_unpin(w->cache, r->entry);
	r->entry = NULL;
	if (r->observation)
		gw_observe_left(p);
	if (r->transfer)
		gw_block_left(p);
	if (r->gather)
		gw_gather_left(p);
	gw_proxy_leave_lane(p);
}

enum gw_step gw_proxy_respond(struct gw_pass *p, uint8_t code, size_t len)
{
	const struct copse_out out = {.code = code, .rest = p->w->out, .rest_len = len};
	enum gw_step next = tell(p, p->r, p->no_response, p->client, &out);

	if (p->r) {
		tell_joined(p, &out);
		leave_device(p);
	}
	return next;
}

/* The device's answer, to the client. */
static enum gw_step answer(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;

	if (p->r->observation)
		return gw_observe_answer(p);
	uint8_t code = p->m->code;
	size_t len = 0;

	if (gw_block_goes_on(p) || gw_gather_goes_on(p))
		return GW_STEP_LANE;
	if (gw_proxy_learn(p, &code, &len) || gw_gather_answer(p, &len)) {
		if (!len)
			return gw_proxy_refuse(p, &w->counters.device_unfit, COPSE_CODE_BAD_GATEWAY,
					       "the device's blocks do not fit together");
		w->counters.device_answers++;
		return gw_proxy_respond(p, code, len);
	}
	copse_build_rest(&b, w->out, w->rest_cap);
	struct gw_refusal refusal = gw_options_response_less(p->m, w->name, gw_block_answer(p, &b), &b);
	int n = copse_build_finish(&b);
	if (refusal.code)
		return gw_proxy_refuse(p, &w->counters.device_unfit, refusal.code, refusal.text);
	if (n < 0)
		return gw_proxy_refuse(p, &w->counters.device_unfit, COPSE_CODE_BAD_GATEWAY,
				       "the device's answer is too large to be passed on");
	w->counters.device_answers++;
	return gw_proxy_respond(p, code, (size_t)n);
}

/* An answer of our own. */
static enum gw_step refuse(struct gw_pass *p)
{
	struct copse_builder b;

	copse_build_rest(&b, p->w->out, p->w->rest_cap);
	if (p->max_age)
		copse_build_uint(&b, COPSE_OPTION_MAX_AGE, p->max_age);
	copse_build_payload(&b, p->refusal.text, strlen(p->refusal.text));
	int n = copse_build_finish(&b);
	if (!p->r && !p->session && !gw_local_may_say(p->w, p->m, n > 0 ? (size_t)n : 0))
		n = 0;
	return gw_proxy_respond(p, p->refusal.code, n > 0 ? (size_t)n : 0);
}

/* The same request as the local server would have got it: without Proxy-Uri, with what that names. */
static const struct copse_message *rewrite(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;

	copse_build_message(&b, w->out, w->out_cap, p->m->type, p->m->code, p->m->id,
			    copse_message_token(p->m), p->m->token_len);
	gw_options_request(p->m, &p->asked, "", &b);
	int n = copse_build_finish(&b);
	return n > 0 && copse_message_parse(&w->local_message, w->out, (size_t)n) == 0 ? &w->local_message
										       : NULL;
}

static enum gw_step local(struct gw_pass *p)
{
	struct copse_event event = *p->event;

	event.message = p->asked.by_uri ? rewrite(p) : p->m;
	if (!event.message)
		return gw_proxy_refuse(p, &p->w->counters.refused_large, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
				       "the request is too large");
	gw_local_request(p->w, &event, p->now);
	return GW_STEP_FREE;
}

/* --- what comes in --- */

bool gw_proxy_is_for(const struct copse_message *m)
{
	return copse_message_option(m, COPSE_OPTION_PROXY_URI) ||
	       copse_message_option(m, COPSE_OPTION_PROXY_SCHEME);
}

void gw_proxy_request(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	struct gw_pass p;

	if (event->peer->flags & COPSE_PEER_MULTICAST) { /* nobody asks a group to be its proxy */
		copse_endpoint_ignore(w->ep, event->exchange, now);
		return;
	}
	memset(&p, 0, offsetof(struct gw_pass, asked));
	p.w = w;
	p.event = event;
	p.m = event->message;
	p.now = now;
	p.client = event->exchange;
	w->counters.proxied++;
	gw_proxy_run(&p, GW_STEP_FREE, GW_STEP_SESSION);
}

static enum gw_step failed(struct gw_pass *p, int error)
{
	const struct gw_surroundings *a = &p->w->around;
	struct gw_counters *c = &p->w->counters;
	const char *why;

	gw_proxy_unknown(p);
	gw_block_failed(p);
	switch (error) {
	case COPSE_ERR_TIMEOUT:
		return gw_proxy_refuse(p, &c->device_timeouts, COPSE_CODE_GATEWAY_TIMEOUT,
				       "the device did not answer");
	case COPSE_ERR_TRANSPORT:
		why = a->mesh_why ? a->mesh_why(a->self, &p->r->to) : NULL;
		if (why)
			return gw_proxy_refuse(p, &c->device_unproved, COPSE_CODE_BAD_GATEWAY, why);
		return gw_proxy_refuse(p, &c->device_unreachable, COPSE_CODE_BAD_GATEWAY,
				       "the device cannot be reached");
	case COPSE_ERR_RESET:
		return gw_proxy_refuse(p, &c->device_unreachable, COPSE_CODE_BAD_GATEWAY,
				       "the device rejected the message");
	default:
		return gw_proxy_refuse(p, &c->device_unfit, COPSE_CODE_BAD_GATEWAY,
				       "the device's answer cannot be understood");
	}
}

/* Request `number` has waited in its lane for long enough; its message is in `out`. */
static void resume(struct gw_worker *w, uint32_t number, size_t len, copse_ms now)
{
	struct gw_pass p;

	memset(&p, 0, offsetof(struct gw_pass, asked));
	p.w = w;
	p.now = now;
	p.r = &w->requests[number - 1];
	p.client = p.r->client;
	p.no_response = p.r->no_response;
	p.message_len = COPSE_HEADER_LEN + len;
	gw_proxy_run(&p, GW_STEP_QUEUE, GW_STEP_FORWARD);
}

/* The exchange with the client has ended: the answer was acknowledged, or never will be. */
static void delivered(struct gw_pass *p)
{
	if (p->event->kind == COPSE_EVENT_ACKED)
		p->w->counters.answers_delivered++;
	else
		p->w->counters.answers_undelivered++;
	if (p->r->observer)
		gw_observe_rejected(p);
	gw_proxy_run(p, GW_STEP_DELIVER, GW_STEP_FREE);
}

void gw_proxy_event(struct gw_worker *w, struct gw_request *r, const struct copse_event *event, copse_ms now)
{
	struct gw_pass p;

	COPSE_ASSERT(r->magic == GW_REQUEST_MAGIC);
	memset(&p, 0, offsetof(struct gw_pass, asked));
	p.w = w;
	p.event = event;
	p.m = event->message;
	p.now = now;
	p.r = r;
	p.client = r->client;
	p.no_response = r->no_response;
	if (r->step == GW_STEP_DELIVER) {
		delivered(&p);
		return;
	}
	if (event->sent > 1)
		w->counters.device_repeats += event->sent - 1u;
	gw_proxy_run(&p, GW_STEP_WAIT,
		     event->kind == COPSE_EVENT_RESPONSE ? GW_STEP_ANSWER : failed(&p, event->error));
}

static bool waits(const struct gw_request *r)
{
	return r->step != GW_STEP_FREE && r->step != GW_STEP_DELIVER && r->client != COPSE_NO_HANDLE;
}

/* Not by the steps: they would let the next one go to the device. */
void gw_proxy_close(struct gw_worker *w, copse_ms now)
{
	static const char text[] = "the gateway ended before the device answered";
	struct copse_builder b;

	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, ENDING_MAX_AGE);
	copse_build_payload(&b, text, sizeof(text) - 1);
	const int n = copse_build_finish(&b);
	const struct copse_out out = {
	    .code = COPSE_CODE_SERVICE_UNAVAILABLE, .rest = w->out, .rest_len = n > 0 ? (size_t)n : 0};

	for (uint32_t i = 0; i < w->requests_max; i++) {
		struct gw_request *r = &w->requests[i];
		struct gw_pass p = {.w = w, .r = r, .now = now};
		if (!waits(r))
			continue;
		w->counters.refused_ending++;
		copse_endpoint_tag(w->ep, r->client, NULL);
		tell(&p, NULL, r->no_response, r->client, &out);
	}
}
