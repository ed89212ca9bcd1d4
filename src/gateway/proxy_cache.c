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

#define BLOCK_LEN   6
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

/* Where a block lies in the cache: in so many entries, of which the first is used from `skip` on. */
struct found {
	const struct gw_cache_entry *entry[1024 / 16];
	unsigned n;
	uint32_t skip, len;
	bool more;
};

/* Piece `num` of the body that begins with `e`. */
static struct gw_cache_entry *find_piece(struct gw_worker *w, struct gw_cache_entry *e, uint32_t num,
					 copse_ms now)
{
	const struct gw_piece piece = {.etag = e->etag, .etag_len = e->etag_len, .szx = e->szx, .num = num};
	struct gw_cache_key key;

	if (!num)
		return e;
	gw_piece_key_make(&w->keys, &e->key, &piece, &key);
	return gw_cache_find(w->cache, &key, now);
}

/* Block `b2` of what begins with `e`, if all of it is stored. Parts are worth something only with an ETag by which the
 * client can tell that they belong together. */
static bool find_block(struct gw_worker *w, struct gw_cache_entry *e, const struct copse_block *b2,
		       copse_ms now, struct found *f)
{
	const uint32_t begin = copse_block_offset(b2), size = copse_block_size(b2->szx);
	const uint32_t unit = e->more ? copse_block_size(e->szx) : UINT32_MAX;
	uint32_t num = begin / unit;

	*f = (struct found){.skip = begin % unit, .more = true};
	if (!e->etag_len && (begin || e->more || e->payload_len > size))
		return false;
	for (; f->len < size && f->more; num++) {
		const struct gw_cache_entry *piece = find_piece(w, e, num, now);
		const uint32_t skip = f->n ? 0 : f->skip;
		if (!piece || piece->payload_len < skip || (piece->payload_len == skip && begin))
			return false;
		f->entry[f->n++] = piece;
		f->len += piece->payload_len - skip;
		f->more = piece->more;
	}
	f->more |= f->len > size;
	f->len = f->len < size ? f->len : size;
	return true;
}

/* 2.05 with what is stored, the block `b2` of it or, with NULL, as it came; and the Max-Age that is left (§5.10.5).
 * Returns 0 when there is no such message. */
static size_t build_found(struct gw_worker *w, const struct gw_cache_entry *e, const struct copse_block *b2,
			  const struct found *f, copse_ms now)
{
	struct copse_builder b;
	uint32_t left = f->len;

	copse_build_rest(&b, w->out, w->rest_cap);
	for (unsigned i = 0; i < f->n; i++) {
		const uint32_t skip = i ? 0 : f->skip, there = f->entry[i]->payload_len - skip;
		const uint32_t n = left < there ? left : there;
		gw_cache_read(w->cache, f->entry[i], w->stored);
		if (i == 0) {
			copse_build_options(&b, w->stored, f->entry[i]->options_len);
			if (b2)
				copse_build_block(
				    &b, COPSE_OPTION_BLOCK2,
				    &(struct copse_block){.num = b2->num, .more = f->more, .szx = b2->szx});
			copse_build_uint(&b, COPSE_OPTION_MAX_AGE, gw_cache_left(e, now));
		}
		copse_build_payload(&b, w->stored + f->entry[i]->options_len + skip, n);
		left -= n;
	}
	int n = copse_build_finish(&b);
	return n > 0 ? (size_t)n : 0;
}

/* What came with the entry, as it came. */
static size_t build_entry(struct gw_worker *w, const struct gw_cache_entry *e, copse_ms now)
{
	const struct found f = {.entry = {e}, .n = 1, .len = e->payload_len, .more = e->more};

	return build_found(w, e, e->more ? &(struct copse_block){.szx = e->szx} : NULL, &f, now);
}

/* What is stored for a request that wants the block `b2`; NULL: names none. Returns 0 when that is not stored. */
static size_t build_content(struct gw_worker *w, struct gw_cache_entry *e, const struct copse_block *b2,
			    copse_ms now)
{
	struct found f;

	if (!b2)
		return build_entry(w, e, now);
	return find_block(w, e, b2, now, &f) ? build_found(w, e, b2, &f, now) : 0;
}

/* 2.05 with an entry that is a whole body. */
size_t gw_proxy_build_whole(struct gw_worker *w, const struct gw_cache_entry *e, copse_ms now, uint8_t *to)
{
	struct copse_builder b;

	COPSE_ASSERT(!e->more);
	gw_cache_read(w->cache, e, w->stored);
	copse_build_rest(&b, to, w->rest_cap);
	copse_build_options(&b, w->stored, e->options_len);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, gw_cache_left(e, now));
	copse_build_payload(&b, w->stored + e->options_len, e->payload_len);
	return finish(&b);
}

/* From the entry that is fresh: the number of bytes and the code; 0: it cannot be. */
static size_t build_answer(struct gw_pass *p, struct gw_cache_entry *e, uint8_t *code)
{
	struct gw_worker *w = p->w;

	*code = COPSE_CODE_CONTENT;
	if (p->b2.num && copse_message_option(p->m, COPSE_OPTION_ETAG))
		return 0; /* what that would mean is the device's to say */
	if (e->etag_len && names_etag(p->m, e)) {
		w->counters.cache_valid++;
		*code = COPSE_CODE_VALID;
		return build_valid(w, e, p->now);
	}
	return build_content(w, e, p->has_b2 ? &p->b2 : NULL, p->now);
}

enum gw_step gw_proxy_answer_from(struct gw_pass *p, struct gw_cache_entry *e)
{
	uint8_t code;
	const size_t len = build_answer(p, e, &code);

	COPSE_ASSERT(len); /* what is asked for without Block2 is there */
	p->w->counters.cache_hits++;
	return gw_proxy_respond(p, code, len);
}

/* The block is not there, but what it is a part of may be: the device is asked for pieces as they are stored. */
static void ask_as_stored(struct gw_pass *p, const struct gw_cache_entry *e)
{
	const uint8_t szx = e->szx;

	if (!p->has_b2 || !e->more || szx <= p->b2.szx || szx > p->target.class->szx)
		return;
	p->asked.reblock = true;
	p->asked.block2 = copse_block_value(
	    &(struct copse_block){.num = copse_block_offset(&p->b2) / copse_block_size(szx), .szx = szx});
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

/* No larger blocks of an answer than the device's class allows, whatever the client asks for: it goes on in the smaller
 * ones (RFC 7959 §2.4). Where each block stands for itself gw_gather_size sees to it, and the client has its own size. */
static bool cap_answer(struct gw_pass *p)
{
	struct copse_block b2;

	if ((copse_code_is_safe(p->m->code) && !gw_observe_wants(p)) ||
	    gw_options_wanted(p->m, &b2) <= 0 || b2.szx <= p->target.class->szx ||
	    copse_block_resize(&b2, p->target.class->szx) != 0)
		return true;
	p->asked.reblock = true;
	p->asked.block2 = copse_block_value(&b2);
	return gw_proxy_build(p);
}

static enum gw_step refuse_large(struct gw_pass *p)
{
	return gw_proxy_refuse(p, &p->w->counters.refused_large, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
			       "the request is too large to be forwarded");
}

enum gw_step gw_proxy_cache(struct gw_pass *p)
{
	struct gw_worker *w = p->w;

	if (!p->known)
		make_keys(p);
	if (!cap_answer(p))
		return refuse_large(p);
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
	if (e && gw_cache_is_fresh(e, p->now)) {
		uint8_t code;
		const size_t len = build_answer(p, e, &code);
		w->counters.cache_hits += len > 0;
		if (len)
			return gw_proxy_respond(p, code, len);
		ask_as_stored(p, e);
	}
	uint32_t under_way = gw_flights_find(w->flights, &p->join);
	if (under_way)
		return gw_proxy_join(p, &w->requests[under_way - 1], true);
	w->counters.cache_misses += p->storable;
	/* a further block with an ETag would not be asked whether it is still good */
	p->entry = e && !gw_cache_is_fresh(e, p->now) && !p->b2.num ? e : NULL;
	if (p->asked.reblock && !gw_proxy_build(p))
		return refuse_large(p);
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

/* Whether it may be stored, and which block of a body it is: all of it, with a `b2` of zeros. Echo is for the one that asked
 * (RFC 9175 §2.3). */
static bool is_of_body(const struct copse_message *m, struct copse_block *b2)
{
	*b2 = (struct copse_block){0};
	return copse_block_read(m, COPSE_OPTION_BLOCK2, b2) >= 0 &&
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
		if (o->number != COPSE_OPTION_MAX_AGE && o->number != COPSE_OPTION_BLOCK2 &&
		    !(but && copse_message_option(but, o->number)))
			copse_build_raw(b, o->number, copse_option_value(m, o), o->len);
	}
}

/* Store what `b`, over `out`, has of options, with the payload: if there is room for Max-Age, and for Block2 where others
 * follow. */
static void store(struct gw_pass *p, const struct gw_cache_key *key, struct copse_builder *b,
		  const struct gw_cache_answer *rest)
{
	struct gw_worker *w = p->w;
	struct gw_cache_answer answer = *rest;
	int n = copse_build_finish(b);

	const size_t extra = MAX_AGE_LEN + (answer.more || answer.piece ? BLOCK_LEN : 0);

	if (n < 0 || (size_t)n + 1 + answer.payload_len + extra > w->rest_cap)
		return;
	answer.options = w->out;
	answer.options_len = (size_t)n;
	gw_cache_store(w->cache, key, &answer, p->now);
}

/* A further block of the body that begins with `e`: in pieces of the size of that. */
static void remember_pieces(struct gw_pass *p, struct gw_cache_entry *e, const struct copse_message *m,
			    const struct copse_block *b2)
{
	struct gw_worker *w = p->w;
	const uint32_t unit = copse_block_size(e->szx),
		       max_age = copse_message_uint(m, COPSE_OPTION_MAX_AGE, COPSE_MAX_AGE_DEFAULT);
	struct gw_piece piece = {.etag = e->etag, .etag_len = e->etag_len, .szx = e->szx};
	struct gw_cache_key key;
	struct copse_builder b;

	gw_cache_shorten(e, max_age, p->now); /* the newest word is how long all of it is fresh */
	gw_cache_pin(w->cache, e);
	for (uint32_t at = 0; at < m->payload_len; at += unit) {
		const uint32_t left = (uint32_t)m->payload_len - at;
		const struct gw_cache_answer answer = {
		    .payload = copse_message_payload(m) + at,
		    .payload_len = left < unit ? left : unit,
		    .etag = e->etag,
		    .etag_len = e->etag_len,
		    .max_age = max_age,
		    .more = b2->more || left > unit,
		    .piece = true,
		    .szx = e->szx,
		};
		piece.num = (copse_block_offset(b2) + at) / unit;
		gw_piece_key_make(&w->keys, &e->key, &piece, &key);
		copse_build_rest(&b, w->out, w->rest_cap);
		keep_options(&b, m, NULL);
		store(p, &key, &b, &answer);
	}
	gw_cache_unpin(w->cache, e);
}

/* A block other than the first of the body under `key`. One that has another ETag says that what is stored is no more. */
static void remember_block(struct gw_pass *p, const struct gw_cache_key *key, const struct copse_block *b2)
{
	struct gw_worker *w = p->w;
	const struct copse_option *etag = copse_message_option(p->m, COPSE_OPTION_ETAG);
	struct gw_cache_entry *e = gw_cache_find(w->cache, key, p->now);

	if (!e)
		return;
	if (!etag || !copse_option_is(p->m, etag, e->etag, e->etag_len)) {
		w->counters.cache_changed++;
		gw_cache_forget(w->cache, key);
		return;
	}
	if (!e->more || b2->szx < e->szx || !copse_block_fits(b2, p->m->payload_len))
		return;
	const struct copse_message *m = gw_proxy_passed_on(w, p->m);
	if (m)
		remember_pieces(p, e, m, b2);
}

void gw_proxy_remember(struct gw_pass *p, const struct gw_cache_key *key)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;
	struct copse_block b2;

	if (p->m->code != COPSE_CODE_CONTENT || !is_of_body(p->m, &b2))
		return;
	if (b2.num) {
		remember_block(p, key, &b2);
		return;
	}
	const struct copse_message *m = gw_proxy_passed_on(w, p->m);
	const struct copse_option *etag = m ? copse_message_option(m, COPSE_OPTION_ETAG) : NULL;
	if (!m || (b2.more && (!etag || !copse_block_fits(&b2, m->payload_len)))) {
		gw_cache_forget(w->cache, key); /* what the others are a part of could not be told */
		return;
	}
	copse_build_rest(&b, w->out, w->rest_cap);
	keep_options(&b, m, NULL);
	const struct gw_cache_answer answer = {
	    .payload = copse_message_payload(m),
	    .payload_len = m->payload_len,
	    .etag = etag ? copse_option_value(m, etag) : NULL,
	    .etag_len = etag ? etag->len : 0,
	    .max_age = copse_message_uint(m, COPSE_OPTION_MAX_AGE, COPSE_MAX_AGE_DEFAULT),
	    .more = b2.more,
	    .szx = b2.szx,
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
					       .max_age = max_age,
					       .more = e->more,
					       .szx = e->szx};
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
	if (renewed)
		e = renewed;
	*len = build_content(w, e, p->r->has_b2 ? &p->r->b2 : NULL, p->now);
	if (!*len) /* not all of so large a block: the first one as it is stored will do (RFC 7959 §2.4) */
		*len = build_entry(w, e, p->now);
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
	const uint32_t number = (uint32_t)(p->r - p->w->requests) + 1;

	if (p->r->storable && gw_flights_is_open(p->w->flights, number))
		gw_proxy_remember(p, &p->r->key);
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
