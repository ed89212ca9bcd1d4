/* Block2 through the proxy, each hop with its own size (RFC 7959 §2.4): a client that wants larger blocks than its device
 * sends has them put together; one that wants smaller ones than the device sends all the same has its part cut out.
 *
 * Each piece is a request of its own in the device's lane. A client that names no size has the device's blocks as they are.
 * Pieces of two representations are never put together: when the ETag changes the block is begun anew.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_pass.h"

#include <copse/block.h>

#include <string.h>

#define ANEW_MAX  3  /* so often a block is begun anew */
#define EXTRA_LEN 16 /* bytes that Block2 and Max-Age add to a message, and the payload's marker */

static struct gw_gather *gather_of(const struct gw_pass *p)
{
	return p->r->gather ? gw_gather_at(p->w->gathers, p->r->gather) : NULL;
}

/* ---- the request ---- */

void gw_gather_size(struct gw_pass *p)
{
	struct copse_block b2;

	p->has_b2 = p->sharable && gw_options_wanted(p->m, &p->b2) > 0;
	if (!p->has_b2)
		return;
	b2 = p->b2;
	if (p->target.class->szx < b2.szx && copse_block_resize(&b2, p->target.class->szx) == 0) {
		p->asked.reblock = true;
		p->asked.block2 = copse_block_value(&b2);
	}
}

void gw_gather_depart(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_gather *g;

	if (!p->has_b2 || p->b2.szx == 0)
		return; /* nothing can be smaller */
	p->r->gather = gw_gather_take(w->gathers);
	if (!p->r->gather) {
		w->counters.gathers_full++; /* the client will have to do with what the device sends */
		return;
	}
	g = gather_of(p);
	g->device = p->device;
	g->rule = p->rule;
	g->rule.step = true; /* of what goes on: it is not to be broken off by others */
	memcpy(g->request, w->out, p->message_len);
	g->request_len = p->message_len;
	g->begin = copse_block_offset(&p->b2);
	g->szx = p->b2.szx;
	g->piece = p->asked.reblock ? (uint8_t)(p->asked.block2 & 7) : g->szx;
}

void gw_gather_left(struct gw_pass *p)
{
	gw_gather_free(p->w->gathers, p->r->gather);
	p->r->gather = 0;
}

/* The request for the next piece, in w->out. ETags are for the first one alone: 2.03 would say nothing here. */
static bool ask_next(struct gw_pass *p, struct gw_gather *g)
{
	struct gw_worker *w = p->w;
	const struct copse_message *m = &w->upstream;
	const struct copse_block b2 = {.num = (g->begin + g->len) / copse_block_size(g->piece),
				       .szx = g->piece};
	struct copse_builder b;

	if (copse_message_parse(&w->upstream, g->request, g->request_len) != 0 ||
	    b2.num > COPSE_BLOCK_NUM_MAX)
		return false;
	copse_build_message(&b, w->out, w->out_cap, COPSE_CON, m->code, 0, "", 0);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (o->number != COPSE_OPTION_ETAG && o->number != COPSE_OPTION_BLOCK2 &&
		    o->number != COPSE_OPTION_SIZE2)
			copse_build_raw(&b, o->number, copse_option_value(m, o), o->len);
	}
	copse_build_block(&b, COPSE_OPTION_BLOCK2, &b2);
	copse_build_payload(&b, copse_message_payload(m), m->payload_len);
	int n = copse_build_finish(&b);
	if (n < 0)
		return false;
	p->message_len = (size_t)n;
	p->device = g->device;
	p->rule = g->rule;
	return true;
}

/* ---- the device's answers ---- */

static bool same_etag(const struct gw_gather *g, const struct copse_message *m)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ETAG);

	return o ? copse_option_is(m, o, g->etag, g->etag_len) : g->etag_len == 0;
}

/* The first piece: what the client is told beside the bytes. False: it cannot be passed on in one message. */
static bool take_options(struct gw_pass *p, struct gw_gather *g)
{
	struct gw_worker *w = p->w;
	const struct copse_option *etag = copse_message_option(p->m, COPSE_OPTION_ETAG);
	const struct copse_message *m = gw_proxy_passed_on(w, p->m);
	struct copse_builder b;

	if (!m)
		return false;
	copse_build_rest(&b, g->options, w->rest_cap);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (o->number != COPSE_OPTION_MAX_AGE && o->number != COPSE_OPTION_BLOCK2)
			copse_build_raw(&b, o->number, copse_option_value(m, o), o->len);
	}
	int n = copse_build_finish(&b);
	if (n < 0 || (size_t)n + EXTRA_LEN + copse_block_size(g->szx) > w->rest_cap)
		return false;
	g->options_len = (size_t)n;
	g->expires = COPSE_NEVER;
	g->etag_len = etag ? (uint8_t)etag->len : 0;
	if (etag)
		memcpy(g->etag, copse_option_value(p->m, etag), etag->len);
	return true;
}

static void take_bytes(struct gw_pass *p, struct gw_gather *g)
{
	const uint32_t max_age = copse_message_uint(p->m, COPSE_OPTION_MAX_AGE, COPSE_MAX_AGE_DEFAULT);
	const uint32_t room = copse_block_size(g->szx) - g->len;
	const uint32_t n = p->m->payload_len < room ? (uint32_t)p->m->payload_len : room;
	const copse_ms expires = p->now + COPSE_SECONDS(max_age);

	memcpy(g->bytes + g->len, copse_message_payload(p->m), n);
	g->len += n;
	if (expires < g->expires)
		g->expires = expires;
}

/* Whether `m` is the piece that was asked for. */
static bool is_next(const struct gw_gather *g, const struct copse_message *m, struct copse_block *b2)
{
	return m->code == COPSE_CODE_CONTENT && copse_block_read(m, COPSE_OPTION_BLOCK2, b2) > 0 &&
	       copse_block_fits(b2, m->payload_len) && copse_block_offset(b2) == g->begin + g->len;
}

/* Another representation than that of the pieces before (RFC 7959 §2.4). */
static bool begin_anew(struct gw_pass *p, struct gw_gather *g)
{
	if (++g->begun > ANEW_MAX)
		return false;
	p->w->counters.gathers_anew++;
	g->len = 0;
	gw_proxy_leave_lane(p);
	return ask_next(p, g);
}

bool gw_gather_goes_on(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_gather *g = gather_of(p);
	struct copse_block b2;

	if (!g || !is_next(g, p->m, &b2))
		return false;
	if (g->len && !same_etag(g, p->m))
		return begin_anew(p, g);
	if (!b2.more || g->len + p->m->payload_len >= copse_block_size(g->szx))
		return false; /* it is the last one */
	if (!g->len && !take_options(p, g))
		return false;
	gw_proxy_learn_piece(p);
	take_bytes(p, g);
	if (b2.szx < g->piece)
		g->piece = b2.szx;
	w->counters.blocks_gathered++;
	gw_proxy_leave_lane(p);
	return ask_next(p, g);
}

/* Everything is there. */
static size_t build_whole(struct gw_pass *p, struct gw_gather *g, bool more)
{
	struct gw_worker *w = p->w;
	const struct copse_block b2 = {
	    .num = g->begin / copse_block_size(g->szx), .more = more, .szx = g->szx};
	struct copse_builder b;

	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_options(&b, g->options, g->options_len);
	copse_build_block(&b, COPSE_OPTION_BLOCK2, &b2);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE,
			 g->expires > p->now ? (uint32_t)((g->expires - p->now) / 1000) : 0);
	copse_build_payload(&b, g->bytes, g->len);
	int n = copse_build_finish(&b);
	return n > 0 ? (size_t)n : 0;
}

/* The device's block is larger than the client's: its part of that. Or smaller, and the last one. Returns 0 when it goes on
 * as it is. */
static size_t build_part(struct gw_pass *p, const struct copse_block *b2)
{
	struct gw_worker *w = p->w;
	const struct copse_block *asked = &p->r->b2;
	const uint32_t size = copse_block_size(asked->szx), begin = copse_block_offset(asked),
		       from = copse_block_offset(b2);
	const struct copse_message *m;
	struct copse_builder b;

	if (begin < from || begin - from >= p->m->payload_len || b2->szx == asked->szx ||
	    (b2->szx < asked->szx && b2->more))
		return 0;
	const uint32_t left = (uint32_t)p->m->payload_len - (begin - from), n = left < size ? left : size;
	m = gw_proxy_passed_on(w, p->m);
	if (!m)
		return 0;
	copse_build_rest(&b, w->out, w->rest_cap);
	for (unsigned i = 0; i < m->option_n; i++)
		if (m->option[i].number != COPSE_OPTION_BLOCK2)
			copse_build_raw(&b, m->option[i].number, copse_option_value(m, &m->option[i]),
					m->option[i].len);
	copse_build_block(
	    &b, COPSE_OPTION_BLOCK2,
	    &(struct copse_block){.num = asked->num, .more = b2->more || n < left, .szx = asked->szx});
	copse_build_payload(&b, copse_message_payload(m) + (begin - from), n);
	int len = copse_build_finish(&b);
	w->counters.blocks_parted += b2->szx > asked->szx;
	return len > 0 ? (size_t)len : 0;
}

bool gw_gather_answer(struct gw_pass *p, size_t *len)
{
	struct gw_gather *g = gather_of(p);
	struct copse_block b2;

	*len = 0;
	if (!p->r->has_b2 || p->m->code != COPSE_CODE_CONTENT)
		return false;
	if (g && g->len) { /* the last piece; what is none is no answer to what was asked */
		if (!is_next(g, p->m, &b2) || !same_etag(g, p->m))
			return true;
		take_bytes(p, g);
		*len = build_whole(p, g,
				   b2.more || copse_block_offset(&b2) + p->m->payload_len > g->begin + g->len);
		return true;
	}
	if (copse_block_read(p->m, COPSE_OPTION_BLOCK2, &b2) <= 0)
		return false;
	*len = build_part(p, &b2);
	return *len > 0;
}
