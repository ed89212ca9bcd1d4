/* Block-wise transfer through the proxy (RFC 7959, RFC 9175 §3): bodies that clients send in several
 * blocks, and answers in several blocks to requests that must not be made twice.
 *
 * Each block of a client is a request of its own, with a lane, rates and rules like others; what the blocks
 * of one body have in common is a transfer (transfer.h). The device gets the body in blocks of its own
 * size: what a client sends in larger ones is cut, and the client has its answer when the device has the
 * whole of its block. So a block is all that is ever kept of a body.
 *
 * Blocks of GET and of FETCH with its body need none of this: each stands for itself.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_pass.h"

#include <copse/block.h>

#include <string.h>

static struct gw_transfer *transfer_of(const struct gw_worker *w, const struct gw_request *r)
{
	return r && r->transfer ? gw_transfer_at(w->transfers, r->transfer) : NULL;
}

/* Whether the request is a block of a body, and which. By a reliable transport it may be larger than any block for a device:
 * then it is a body of one block, of BERT's (RFC 8323 §6), whether it says so or not. */
static bool is_part(const struct gw_pass *p, struct copse_block *b1)
{
	const struct copse_peer *from = p->event->peer;
	const int got = copse_block_read_from(from, p->m, COPSE_OPTION_BLOCK1, b1);

	if (got > 0 && b1->szx != COPSE_BLOCK_SZX_BERT)
		return b1->num || b1->more;
	if (got == 0)
		*b1 = (struct copse_block){.szx = COPSE_BLOCK_SZX_BERT};
	return got > 0 || (from->flags & COPSE_PEER_RELIABLE &&
			   p->m->payload_len > copse_block_size(COPSE_BLOCK_SZX_MAX));
}

/* Whether `m` asks for a further piece of an answer that only a transfer knows. */
static bool asks_further(const struct copse_message *m)
{
	struct copse_block b2 = {0};

	if (gw_options_wanted(m, &b2) <= 0 || !b2.num)
		return false;
	return !copse_code_is_safe(m->code) || (m->code == COPSE_CODE_FETCH && !m->payload_len);
}

bool gw_block_wants(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct copse_block b1, b2 = {0};
	bool part = is_part(p, &b1) || asks_further(p->m);

	/* a block of GET stands for itself, but it too goes on with something */
	p->rule.step = gw_options_wanted(p->m, &b2) > 0 && b2.num;

	if (!part && copse_code_is_safe(p->m->code))
		return false;
	gw_operation_key(&w->keys, &w->upstream, &p->device, &p->operation_base, &p->operation);
	return part || gw_transfers_about(w->transfers, p->key.uri);
}

/* ---- the message for the device ---- */

/* What the device has of the client's block already was taken before something went wrong. */
static void cut(struct gw_transfer *t, size_t payload_len, struct copse_block *b1)
{
	uint8_t szx = t->szx < t->client_szx ? t->szx : t->client_szx;
	uint32_t from = t->taken - t->begin, left = (uint32_t)payload_len - from;

	t->piece = left < copse_block_size(szx) ? left : copse_block_size(szx);
	t->last = !t->more && left == t->piece;
	*b1 = (struct copse_block){.num = t->taken / copse_block_size(szx), .more = !t->last, .szx = szx};
}

static void append(struct copse_builder *b, const struct copse_message *m, uint32_t tag, bool block1)
{
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (o->number != COPSE_OPTION_REQUEST_TAG && !(block1 && o->number == COPSE_OPTION_BLOCK1))
			copse_build_raw(b, o->number, copse_option_value(m, o), o->len);
	}
	if (tag)
		copse_build_uint(b, COPSE_OPTION_REQUEST_TAG, tag);
}

/* The next piece of the client's block, or the request as it came but for its Request-Tag. */
static bool build(struct gw_pass *p, struct gw_transfer *t)
{
	struct gw_worker *w = p->w;
	const struct copse_message *m = &w->upstream;
	bool piece = t->state == GW_TRANSFER_SEND && !t->plain;
	struct copse_block b1;
	struct copse_builder b;

	if (copse_message_parse(&w->upstream, t->bytes, t->len) != 0)
		return false;
	copse_build_message(&b, w->out, w->out_cap, COPSE_CON, m->code, 0, "", 0);
	append(&b, m, t->tag, piece);
	if (piece) {
		cut(t, m->payload_len, &b1);
		copse_build_block(&b, COPSE_OPTION_BLOCK1, &b1);
		copse_build_payload(&b, copse_message_payload(m) + (t->taken - t->begin), t->piece);
	} else {
		copse_build_payload(&b, copse_message_payload(m), m->payload_len);
	}
	int n = copse_build_finish(&b);
	if (n < 0)
		return false;
	p->message_len = (size_t)n;
	p->device = t->device;
	p->rule = t->rule;
	/* once begun it is not to be broken off by others */
	p->rule.step = t->state == GW_TRANSFER_RECEIVE || t->taken > 0;
	return true;
}

/* ---- finding and beginning ---- */

static enum gw_step refuse_lost(struct gw_pass *p)
{
	return gw_proxy_refuse(p, &p->w->counters.refused_blocks, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE,
			       "the gateway does not have the blocks before this one");
}

/* The request `p` is the transfer's next step: to the lane. */
static enum gw_step set_out(struct gw_pass *p, struct gw_transfer *t)
{
	struct gw_worker *w = p->w;

	p->r->transfer = gw_transfer_number(w->transfers, t);
	gw_transfer_set_request(w->transfers, t, (uint32_t)(p->r - w->requests) + 1, p->now);
	if (t->state == GW_TRANSFER_HELD) {
		w->counters.transfers_held++;
		gw_proxy_acknowledge(p);
		return GW_STEP_HELD;
	}
	if (build(p, t))
		return GW_STEP_LANE;
	return gw_proxy_refuse(p, &w->counters.refused_large, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
			       "the request is too large to be forwarded");
}

/* The client's message is kept as long as it takes to send it. */
static void keep(struct gw_pass *p, struct gw_transfer *t, const struct copse_block *b1)
{
	t->device = p->device;
	t->rule = p->rule;
	memcpy(t->bytes, p->w->out, p->message_len);
	t->len = p->message_len;
	t->begin = copse_block_offset(b1);
	t->end = t->begin + (uint32_t)p->w->upstream.payload_len;
	t->more = b1->more;
	t->client_szx = b1->szx;
	t->bare = !copse_message_option(p->m, COPSE_OPTION_BLOCK1);
}

static void names_of(const struct gw_pass *p, struct gw_transfer *names)
{
	*names = (struct gw_transfer){.client = *p->event->peer,
				      .id = p->operation,
				      .base = p->operation_base,
				      .uri = p->key.uri,
				      .exclusive = !p->target.class->request_tag,
				      .szx = p->target.class->szx};
}

static uint32_t next_tag(struct gw_worker *w)
{
	if (!++w->next_tag)
		++w->next_tag;
	return w->next_tag;
}

/* A body from its first block, or a request without blocks beside the transfers of others. */
static enum gw_step start(struct gw_pass *p, bool plain, const struct copse_block *b1)
{
	struct gw_worker *w = p->w;
	struct gw_transfer names, *t = gw_transfer_find(w->transfers, p->event->peer, p->operation);

	if (t && t->request) /* its step must be over before another body may come to the same place */
		t->over = true;
	else if (t)
		gw_transfer_end(w->transfers, t);
	w->counters.transfers_restarted += t != NULL;
	names_of(p, &names);
	names.plain = plain;
	bool conflict = gw_transfers_conflict(w->transfers, &names, true);
	if (plain && !conflict)
		return GW_STEP_LANE;
	bool hold = conflict && names.exclusive;
	names.tag = next_tag(w);
	t = gw_transfer_begin(w->transfers, &names, hold ? GW_TRANSFER_HELD : GW_TRANSFER_SEND, p->now);
	if (!t) {
		w->counters.refused_transfers++;
		return gw_proxy_refuse_busy(p, "too many transfers are under way");
	}
	w->counters.transfers += !plain;
	keep(p, t, b1);
	return set_out(p, t);
}

/* 2.31 for a block that the device has: its answer did not reach the client. */
static enum gw_step say_again(struct gw_pass *p, const struct copse_block *b1)
{
	struct copse_builder b;

	copse_build_rest(&b, p->w->out, p->w->rest_cap);
	copse_build_block(&b, COPSE_OPTION_BLOCK1, b1);
	return gw_proxy_respond(p, COPSE_CODE_CONTINUE, (size_t)copse_build_finish(&b));
}

static enum gw_step go_on(struct gw_pass *p, const struct copse_block *b1)
{
	struct gw_worker *w = p->w;
	struct gw_transfer *t = gw_transfer_find(w->transfers, p->event->peer, p->operation);
	uint32_t begin = copse_block_offset(b1), end = begin + (uint32_t)w->upstream.payload_len;

	if (!t || t->state != GW_TRANSFER_SEND)
		return refuse_lost(p);
	if (t->request)
		return gw_proxy_refuse_busy(p, "the block before is still under way");
	if (b1->more && begin == t->begin && end == t->taken)
		return say_again(p, b1);
	if (begin > t->taken || (begin < t->taken && begin != t->begin) || (end < t->taken)) {
		gw_transfer_end(w->transfers, t);
		return refuse_lost(p);
	}
	keep(p, t, b1);
	return set_out(p, t);
}

static enum gw_step fetch_on(struct gw_pass *p)
{
	static const struct copse_block none = {0};
	struct gw_worker *w = p->w;
	struct gw_transfer *t = gw_transfer_find(w->transfers, p->event->peer, p->operation);

	if ((!t || t->state != GW_TRANSFER_RECEIVE) && p->operation == p->operation_base)
		t = NULL;
	if (!t) /* the Request-Tag may be left out where the body has been sent */
		t = gw_transfer_find_answer(w->transfers, p->event->peer, p->operation_base);
	if (!t || t->state != GW_TRANSFER_RECEIVE)
		return refuse_lost(p);
	if (t->request)
		return gw_proxy_refuse_busy(p, "the block before is still under way");
	keep(p, t, &none);
	return set_out(p, t);
}

enum gw_step gw_proxy_block(struct gw_pass *p)
{
	struct copse_block b1 = {0};

	p->r = gw_proxy_take_request(p);
	if (!p->r)
		return gw_proxy_refuse_busy(p, "too many requests are under way");
	p->r->step = GW_STEP_BLOCK;
	if (asks_further(p->m))
		return fetch_on(p);
	if (!is_part(p, &b1))
		return start(p, true, &b1);
	return b1.num ? go_on(p, &b1) : start(p, false, &b1);
}

/* ---- the device's answer ---- */

/* RFC 7959 §2.9.3: smaller blocks would do, and nothing has been sent that could not be sent again. */
static bool shrinks(struct gw_transfer *t, const struct copse_message *m, const struct copse_block *b1)
{
	uint8_t szx = t->szx < t->client_szx ? t->szx : t->client_szx;

	if (m->code != COPSE_CODE_REQUEST_ENTITY_TOO_LARGE || t->taken || b1->szx >= szx)
		return false;
	t->szx = b1->szx;
	return true;
}

bool gw_block_goes_on(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_transfer *t = transfer_of(w, p->r);
	struct copse_block b1 = {.szx = COPSE_BLOCK_SZX_MAX};

	if (!t || t->state != GW_TRANSFER_SEND || t->plain || t->over ||
	    copse_block_read(p->m, COPSE_OPTION_BLOCK1, &b1) < 0)
		return false;
	if (copse_code_is_success(p->m->code)) {
		t->taken += t->piece;
		if (b1.szx < t->szx) /* §2.3: from the next one on */
			t->szx = b1.szx;
		if (t->last || t->taken == t->end)
			return false;
	} else if (!shrinks(t, p->m, &b1)) {
		return false;
	}
	w->counters.blocks_cut++;
	gw_proxy_leave_lane(p);
	return build(p, t);
}

static bool has_more(const struct copse_message *m)
{
	struct copse_block b2 = {0};

	return copse_code_is_success(m->code) && copse_block_read(m, COPSE_OPTION_BLOCK2, &b2) > 0 && b2.more;
}

/* The answer to a request without blocks is one of several: the others can only be asked for under the same
 * names. */
static void begin_answer(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_request *r = p->r;
	struct gw_transfer names = {
	    .id = r->operation, .base = r->operation_base, .uri = r->key.uri, .exclusive = true};

	if (r->mail)
		names.client = gw_mail_of(w->mailbox, r->mail)->wish.client;
	else if (copse_endpoint_exchange_info(w->ep, r->client, &names.client, NULL, NULL, NULL) != 0)
		return;
	struct gw_transfer *t = gw_transfer_begin(w->transfers, &names, GW_TRANSFER_RECEIVE, p->now);
	w->counters.refused_transfers += !t;
	w->counters.transfers += t != NULL;
	if (t)
		gw_transfer_set_request(w->transfers, t, 0, p->now);
}

/* RFC 7252 §5.9.3.4, RFC 6585 §4: later, the same block. */
static bool is_passing(uint8_t code)
{
	return code == COPSE_CODE_SERVICE_UNAVAILABLE || code == COPSE_CODE_TOO_MANY_REQUESTS;
}

uint16_t gw_block_answer(struct gw_pass *p, struct copse_builder *b)
{
	struct gw_worker *w = p->w;
	struct gw_transfer *t = transfer_of(w, p->r);
	bool success = copse_code_is_success(p->m->code);

	if (!t) {
		if (has_more(p->m) && !copse_code_is_safe(p->r->method))
			begin_answer(p);
		return 0;
	}
	bool blocks = t->state == GW_TRANSFER_SEND && !t->plain;
	bool sent = t->state == GW_TRANSFER_SEND && (t->plain || t->last);
	if (!success)
		t->over |= !is_passing(p->m->code);
	else if (sent && has_more(p->m) && !t->over)
		gw_transfer_enter(w->transfers, t, GW_TRANSFER_RECEIVE);
	else if (sent || (t->state == GW_TRANSFER_RECEIVE && !has_more(p->m)))
		t->over = true;
	if (!blocks || (!success && !copse_message_option(p->m, COPSE_OPTION_BLOCK1)))
		return 0;
	if (t->bare)
		return COPSE_OPTION_BLOCK1;
	/* the client is told of its own block: with 4.13 that smaller ones than the device's would not help
	 * */
	const struct copse_block b1 = {
	    .num = t->begin / copse_block_size(t->client_szx), .more = t->more, .szx = t->client_szx};
	copse_build_block(b, COPSE_OPTION_BLOCK1, &b1);
	return COPSE_OPTION_BLOCK1;
}

void gw_block_failed(struct gw_pass *p)
{
	struct gw_transfer *t = transfer_of(p->w, p->r);

	if (t)
		t->over = true;
}

void gw_block_left(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_transfer *t = transfer_of(w, p->r);
	bool begun = t->state == GW_TRANSFER_RECEIVE || t->taken > 0;

	p->r->transfer = 0;
	if (t->over || !begun || (t->plain && t->state == GW_TRANSFER_SEND))
		gw_transfer_end(w->transfers, t);
	else
		gw_transfer_set_request(w->transfers, t, 0, p->now);
}

/* ---- time ---- */

static void pass_of(struct gw_worker *w, struct gw_transfer *t, copse_ms now, struct gw_pass *p)
{
	memset(p, 0, offsetof(struct gw_pass, asked));
	p->w = w;
	p->now = now;
	p->r = &w->requests[t->request - 1];
	p->client = p->r->client;
	p->no_response = p->r->no_response;
}

static void release(struct gw_worker *w, struct gw_transfer *t, copse_ms now)
{
	struct gw_pass p;

	pass_of(w, t, now, &p);
	gw_transfer_enter(w->transfers, t, GW_TRANSFER_SEND);
	gw_transfer_set_request(w->transfers, t, t->request, now);
	enum gw_step next = build(&p, t) ? GW_STEP_LANE
					 : gw_proxy_refuse(&p, &w->counters.refused_large,
							   COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
							   "the request is too large to be forwarded");
	gw_proxy_run(&p, GW_STEP_HELD, next);
}

static void give_up(struct gw_worker *w, struct gw_transfer *t, copse_ms now)
{
	struct gw_pass p;

	if (t->state != GW_TRANSFER_HELD) {
		w->counters.transfers_expired++;
		gw_transfer_end(w->transfers, t);
		return;
	}
	pass_of(w, t, now, &p);
	w->counters.refused_transfers++;
	gw_proxy_run(&p, GW_STEP_HELD,
		     gw_proxy_refuse_busy(&p, "another transfer to this resource is under way"));
}

void gw_block_expire(struct gw_worker *w, copse_ms now)
{
	struct gw_transfer *t;

	for (;;) {
		if ((t = gw_transfers_ready(w->transfers)) != NULL) {
			if (gw_transfers_conflict(w->transfers, t, false))
				gw_transfer_set_request(w->transfers, t, t->request, now);
			else
				release(w, t, now);
		} else if ((t = gw_transfers_overdue(w->transfers, w->config->transfer_idle_ms, now)) !=
			   NULL) {
			give_up(w, t, now);
		} else {
			return;
		}
	}
}

copse_ms gw_block_deadline(const struct gw_worker *w)
{
	return gw_transfers_deadline(w->transfers, w->config->transfer_idle_ms);
}
