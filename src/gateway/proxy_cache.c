/* What the cache means for a proxy request (RFC 7252 §5.6, §5.7.1, §5.9.1): answer from it, validate what is stale, join a
 * request that is under way; and learn from what devices answer.
 *
 * An answer is stored only if nothing that may have changed its resource went through the gateway while it was under way:
 * see flight.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_pass.h"

#include <copse/block.h>

#include <string.h>

#define MAX_AGE_LEN 8 /* bytes of the option at most, and of what it may add to the head of the next one */

static bool names_etag(const struct copse_message *m, const struct gw_cache_entry *e)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ETAG);

	for (; o; o = copse_message_option_next(m, o))
		if (copse_option_is(m, o, e->etag, e->etag_len))
			return true;
	return false;
}

/* Which requests can be answered by the answer to another one. A registration or cancellation of an observation changes
 * something at the device; OSCORE binds an answer to its request (RFC 8613 §8.4); a block of an upload is a step of it. */
static bool is_sharable(const struct gw_pass *p)
{
	const struct copse_message *up = &p->w->upstream;

	return copse_code_is_safe(p->m->code) && !copse_message_option(p->m, COPSE_OPTION_OBSERVE) &&
	       !copse_message_option(up, COPSE_OPTION_OSCORE) &&
	       !copse_message_option(up, COPSE_OPTION_BLOCK1);
}

/* --- answering --- */

static size_t finish(struct copse_builder *b)
{
	int n = copse_build_finish(b);

	COPSE_ASSERT(n >=
		     0); /* what was stored fitted when it came, and Max-Age takes no more than it did then */
	return (size_t)n;
}

/* 2.03: the client has it (RFC 7252 §5.9.1.3). */
static size_t build_valid(struct gw_worker *w, const struct gw_cache_entry *e, copse_ms now)
{
	struct copse_builder b;

	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_option(&b, COPSE_OPTION_ETAG, e->etag, e->etag_len);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, gw_cache_left(e, now));
	return finish(&b);
}

/* 2.05 with what is stored, and the Max-Age that is left of it (§5.10.5). */
static size_t build_content(struct gw_worker *w, const struct gw_cache_entry *e, copse_ms now)
{
	struct copse_builder b;

	gw_cache_read(w->cache, e, w->stored);
	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_options(&b, w->stored, e->options_len);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, gw_cache_left(e, now));
	copse_build_payload(&b, w->stored + e->options_len, e->payload_len);
	return finish(&b);
}

enum gw_step gw_proxy_answer_from(struct gw_pass *p, const struct gw_cache_entry *e)
{
	struct gw_worker *w = p->w;

	w->counters.cache_hits++;
	if (e->etag_len && names_etag(p->m, e)) {
		w->counters.cache_valid++;
		return gw_proxy_respond(p, COPSE_CODE_VALID, build_valid(w, e, p->now));
	}
	return gw_proxy_respond(p, COPSE_CODE_CONTENT, build_content(w, e, p->now));
}

enum gw_step gw_proxy_join(struct gw_pass *p, struct gw_request *first, bool bounded)
{
	struct gw_worker *w = p->w;

	if (bounded && first->joined_n >= w->config->cache_waiters) {
		p->max_age = 1;
		return gw_proxy_refuse(p, &w->counters.refused_joins, COPSE_CODE_SERVICE_UNAVAILABLE,
				       "too many requests wait for this answer");
	}
	p->storable = false; /* the first one sees to that */
	struct gw_request *r = gw_proxy_take_request(p);
	if (!r)
		return gw_proxy_refuse_busy(p, "too many requests are under way");
	p->r = r;
	r->next_joined = first->joined;
	first->joined = (uint32_t)(r - w->requests) + 1;
	first->joined_n++;
	w->counters.joined++;
	gw_proxy_acknowledge(p);
	return GW_STEP_JOINED;
}

static void make_keys(struct gw_pass *p)
{
	const struct gw_worker *w = p->w;
	const struct gw_key_scope scope = {
	    .device = &p->device,
	    .account = p->target.class->cache != GW_SHARE_ALL ? p->session->account : NULL,
	    .secure = p->session->secure};

	gw_cache_key_make(&w->keys, &w->upstream, &scope, &p->key);
	gw_join_key_make(&w->keys, &w->upstream, &p->key, &p->join);
}

enum gw_step gw_proxy_cache(struct gw_pass *p)
{
	struct gw_worker *w = p->w;

	if (!p->known)
		make_keys(p);
	if (gw_block_wants(p))
		return GW_STEP_BLOCK;
	p->sharable = is_sharable(p);
	p->storable = p->sharable && p->target.class->cache != GW_SHARE_NOTHING;
	if (gw_observe_wants(p))
		return gw_observe_begin(p);
	if (!p->sharable)
		return GW_STEP_LANE;
	if (!p->known)
		gw_memory_keep(p);
	gw_gather_size(p);
	struct gw_cache_entry *e = p->storable ? gw_cache_find(w->cache, &p->key, p->now) : NULL;
	if (e && gw_cache_is_fresh(e, p->now))
		return gw_proxy_answer_from(p, e);
	uint32_t under_way = gw_flights_find(w->flights, &p->join);
	if (under_way)
		return gw_proxy_join(p, &w->requests[under_way - 1], true);
	w->counters.cache_misses += p->storable;
	p->entry = e;
	if (p->asked.reblock && !gw_proxy_build(p))
		return gw_proxy_refuse(p, &w->counters.refused_large, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
				       "the request is too large to be forwarded");
	return GW_STEP_LANE;
}

/* --- asking --- */

/* RFC 7252 §5.6.2: one more ETag for a stale answer, beside those of the client. */
void gw_proxy_validate(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;

	if (!p->entry || names_etag(p->m, p->entry))
		return;
	copse_build_message(&b, w->stored, w->out_cap, COPSE_CON, p->m->code, 0, "", 0);
	copse_build_option(&b, COPSE_OPTION_ETAG, p->entry->etag, p->entry->etag_len);
	gw_options_request(p->m, &p->asked, p->target.uri_host, &b);
	int n = copse_build_finish(&b);
	if (n < 0) { /* no room: it is asked for anew */
		p->entry = NULL;
		return;
	}
	memcpy(w->out, w->stored, (size_t)n);
	p->message_len = (size_t)n;
	p->own_etag = true;
}

void gw_proxy_depart(struct gw_pass *p)
{
	struct gw_worker *w = p->w;

	if (p->leads)
		gw_observe_depart(p);
	else
		gw_gather_depart(p);
	if (p->sharable)
		gw_flights_begin(w->flights, (uint32_t)(p->r - w->requests) + 1, &p->join);
	if (!p->entry)
		return;
	gw_cache_pin(w->cache, p->entry);
	p->r->entry = p->entry;
	p->r->own_etag = p->own_etag;
	w->counters.cache_validations++;
}

/* --- learning --- */

/* A part of a body is of no use without the rest, which may be another's; Echo is for the one that asked
 * (RFC 9175 §2.3). */
static bool is_whole(const struct copse_message *m)
{
	struct copse_block b2 = {0};

	return copse_block_read(m, COPSE_OPTION_BLOCK2, &b2) >= 0 && !b2.num && !b2.more &&
	       !copse_message_option(m, COPSE_OPTION_BLOCK1) && !copse_message_option(m, COPSE_OPTION_ECHO);
}

const struct copse_message *gw_proxy_passed_on(struct gw_worker *w, const struct copse_message *m)
{
	struct copse_builder b;

	copse_build_message(&b, w->stored, w->out_cap, COPSE_ACK, m->code, 0, "", 0);
	if (gw_options_response(m, w->name, &b).code)
		return NULL;
	int n = copse_build_finish(&b);
	return n > 0 && copse_message_parse(&w->upstream, w->stored, (size_t)n) == 0 ? &w->upstream : NULL;
}

/* Begin `out` with the options of `m` that are kept; with `but`, those of a kind that it has are left out. */
static void keep_options(struct copse_builder *b, const struct copse_message *m,
			 const struct copse_message *but)
{
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (o->number != COPSE_OPTION_MAX_AGE && !(but && copse_message_option(but, o->number)))
			copse_build_raw(b, o->number, copse_option_value(m, o), o->len);
	}
}

/* Store what `b`, over `out`, has of options, with the payload: if there is room for a Max-Age in it. */
static void store(struct gw_pass *p, const struct gw_cache_key *key, struct copse_builder *b,
		  const struct gw_cache_answer *rest)
{
	struct gw_worker *w = p->w;
	struct gw_cache_answer answer = *rest;
	int n = copse_build_finish(b);

	if (n < 0 || (size_t)n + 1 + answer.payload_len + MAX_AGE_LEN > w->rest_cap)
		return;
	answer.options = w->out;
	answer.options_len = (size_t)n;
	gw_cache_store(w->cache, key, &answer, p->now);
}

void gw_proxy_remember(struct gw_pass *p, const struct gw_cache_key *key)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;

	if (p->m->code != COPSE_CODE_CONTENT || !is_whole(p->m))
		return;
	const struct copse_message *m = gw_proxy_passed_on(w, p->m);
	if (!m)
		return;
	const struct copse_option *etag = copse_message_option(m, COPSE_OPTION_ETAG);
	copse_build_rest(&b, w->out, w->rest_cap);
	keep_options(&b, m, NULL);
	const struct gw_cache_answer answer = {
	    .payload = copse_message_payload(m),
	    .payload_len = m->payload_len,
	    .etag = etag ? copse_option_value(m, etag) : NULL,
	    .etag_len = etag ? etag->len : 0,
	    .max_age = copse_message_uint(m, COPSE_OPTION_MAX_AGE, COPSE_MAX_AGE_DEFAULT),
	};
	store(p, key, &b, &answer);
}

/* Whether a 2.03 says anything that the entry does not. */
static bool says_more(const struct copse_message *m)
{
	for (unsigned i = 0; i < m->option_n; i++)
		if (m->option[i].number != COPSE_OPTION_ETAG && m->option[i].number != COPSE_OPTION_MAX_AGE &&
		    !copse_option_is_unsafe(m->option[i].number))
			return true;
	return false;
}

/* RFC 7252 §5.9.1.3: options of the 2.03 take the place of those of the same kind. The entry is replaced by a new one; the
 * old one is pinned, and stays as it was. */
static void renew(struct gw_pass *p, const struct gw_cache_entry *e, uint32_t max_age)
{
	struct gw_worker *w = p->w;
	uint8_t *at = w->scratch; /* a message made of the entry */
	static const uint8_t header[COPSE_HEADER_LEN] = {0x60, COPSE_CODE_CONTENT, 0, 0};
	struct copse_builder b;

	memcpy(at, header, sizeof(header));
	gw_cache_read(w->cache, e, at + sizeof(header));
	if (copse_message_parse(&w->upstream, at, sizeof(header) + e->options_len) != 0)
		return;
	copse_build_rest(&b, w->out, w->rest_cap);
	keep_options(&b, &w->upstream, p->m);
	for (unsigned i = 0; i < p->m->option_n; i++) {
		const struct copse_option *o = &p->m->option[i];
		if (!copse_option_is_unsafe(o->number)) /* its ETag is the entry's */
			copse_build_raw(&b, o->number, copse_option_value(p->m, o), o->len);
	}
	const struct gw_cache_answer answer = {.payload = at + sizeof(header) + e->options_len,
					       .payload_len = e->payload_len,
					       .etag = e->etag,
					       .etag_len = e->etag_len,
					       .max_age = max_age};
	store(p, &p->r->key, &b, &answer);
}

/* 2.03: does it confirm the entry? Without an ETag it can only mean the one that was sent. */
static bool confirms(const struct gw_pass *p, const struct gw_cache_entry *e)
{
	return names_etag(p->m, e) || !copse_message_option(p->m, COPSE_OPTION_ETAG);
}

static bool learn_valid(struct gw_pass *p, bool current, uint8_t *code, size_t *len)
{
	struct gw_worker *w = p->w;
	struct gw_cache_entry *e = p->r->entry, *renewed = NULL;
	uint32_t max_age = copse_message_uint(p->m, COPSE_OPTION_MAX_AGE, COPSE_MAX_AGE_DEFAULT);

	if (!e || !confirms(p, e))
		return false;
	w->counters.cache_validated++;
	if (current && gw_cache_is_current(e)) {
		gw_cache_refresh(w->cache, e, max_age, p->now);
		if (says_more(p->m)) {
			renew(p, e, max_age);
			renewed = gw_cache_find(w->cache, &p->r->key, p->now);
		}
	}
	if (!p->r->own_etag) /* the client asked whether it is still good: it is */
		return false;
	*code = COPSE_CODE_CONTENT;
	*len = build_content(w, renewed ? renewed : e, p->now);
	return true;
}

/* RFC 7252 §5.9.1: what is stored of a resource that a request has changed is no longer fresh. */
void gw_proxy_invalidate(struct gw_worker *w, uint64_t uri, copse_ms now)
{
	gw_cache_invalidate(w->cache, uri, now);
	gw_flights_close(w->flights, uri);
}

void gw_proxy_unknown(struct gw_pass *p)
{
	if (!copse_code_is_safe(p->r->method))
		gw_proxy_invalidate(p->w, p->r->key.uri, p->now);
}

void gw_proxy_learn_piece(struct gw_pass *p)
{
	(void)p;
}

bool gw_proxy_learn(struct gw_pass *p, uint8_t *code, size_t *len)
{
	struct gw_worker *w = p->w;
	bool current = gw_flights_end(w->flights, (uint32_t)(p->r - w->requests) + 1);
	uint64_t uri;

	if (!copse_code_is_safe(p->r->method)) {
		if (copse_code_is_success(p->m->code))
			gw_proxy_invalidate(w, p->r->key.uri, p->now);
		if (copse_code_is_success(p->m->code) &&
		    gw_location_uri(&w->keys, p->m, gw_lanes_device(w->lanes, p->r->lane), &uri))
			gw_proxy_invalidate(w, uri, p->now);
		return false;
	}
	/* stored, if its request was one whose answer may be, and was not overtaken by a change */
	if (current && p->r->storable)
		gw_proxy_remember(p, &p->r->key);
	return p->m->code == COPSE_CODE_VALID && learn_valid(p, current, code, len);
}
