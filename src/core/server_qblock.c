/* Q-Block1 and Q-Block2, the server's side (RFC 9177): bodies in sets of MAX_PAYLOADS messages that do not wait for each
 * other; what got lost is named and sent again.
 *
 * Q-Block1: pieces come in any order; each is kept until those before it have come. A set is acknowledged by 2.31, gaps
 * are named by 4.08, and the piece that fills the last gap is the request that is answered.
 * Q-Block2: the answer is the first block; the others follow by themselves under the same token, a set at a time.
 * Drawn in doc/states/block.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

/* NON_MAX_RETRANSMIT (RFC 9177 §7.2): how often missing blocks are named before the body is given up. */
#define ROUNDS_MAX 4u

/* Blocks named in one message at most, and bytes of each number. */
#define NAMED_MAX  32u
#define NUMBER_LEN 5u
#define WINDOW     32u /* bits of transfer.have */
#define RETRY_MS   20u /* when the endpoint has no room */

/* ---- reading the options ---- */

/* RFC 9177 §4.4: several Q-Block2 name the blocks that are missing; with M the rest of the body is wanted. */
static bool read_wanted(const struct copse_server *s, struct server_work *w)
{
	const struct copse_message *m = w->rq.message;
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_Q_BLOCK2);
	struct copse_block *first = &w->ask.block2, b;
	if (!o)
		return true;
	if (w->ask.has_block2 || copse_block_decode(copse_option_uint(m, o), first) != 0)
		return false;
	w->ask.has_block2 = w->ask.q2 = true;
	w->ask.q2_rest = first->more;
	w->ask.q2_mask = first->more ? ((uint32_t)2 << (s->config.max_payloads - 1)) - 1 : 1;
	while ((o = copse_message_option_next(m, o)) != NULL) {
		if (copse_block_decode(copse_option_uint(m, o), &b) != 0 || b.szx != first->szx ||
		    b.num <= first->num)
			return false;
		if (b.num - first->num < 32)
			w->ask.q2_mask |= (uint32_t)1 << (b.num - first->num);
	}
	return true;
}

uint8_t srv_qblock_read(const struct copse_server *s, struct server_work *w)
{
	struct copse_block b;
	const int one = copse_block_read(w->rq.message, COPSE_OPTION_Q_BLOCK1, &b);
	if (one < 0 || (one > 0 && w->ask.has_block1) ||
	    !read_wanted(s, w)) /* §4.1: not both kinds at once */
		return COPSE_CODE_BAD_REQUEST;
	if (one > 0) {
		w->ask.q1 = true;
		w->ask.block1 = b;
	}
	if (w->ask.q1 || w->ask.q2)
		memcpy(w->ask.token, copse_message_token(w->rq.message), w->ask.token_len);
	return 0;
}

static void keep_token(struct transfer *t, const struct server_ask *ask)
{
	t->exchange = ask->exchange;
	t->token_len = ask->token_len;
	memcpy(t->token, ask->token, ask->token_len);
}

/* A message to the peer of a transfer, under the token of its last request; the `len` bytes are in server->out. */
static int say(struct copse_server *s, const struct transfer *t, uint8_t code, int len)
{
	const struct copse_out out = {.code = code, .rest = s->out, .rest_len = (size_t)len};
	return copse_endpoint_notify(s->ep, &t->peer, t->token, t->token_len, &out, NULL, s->now, NULL, NULL);
}

static void set_timer(struct copse_server *s, struct transfer *t, copse_ms at)
{
	core_node_remove(&t->node);
	core_heap_set(&s->timers, &t->timer, at);
}

/* ---- Q-Block1: what came ---- */

static bool is_collected(const struct transfer *t)
{
	return t->resource->flags & COPSE_RESOURCE_WHOLE;
}

/* How many blocks from the first missing one on there is room for: a power of two. */
static uint32_t window_of(const struct copse_server *s, const struct transfer *t)
{
	uint32_t window = WINDOW;
	while (!is_collected(t) && window > 0 && window << (t->szx + 4u) > s->config.collect_len)
		window >>= 1;
	return window;
}

/* Where a block lies in the buffer: a body that is collected at its place, else in a ring of the window's size. */
static uint8_t *place_of(const struct copse_server *s, const struct transfer *t, uint32_t num)
{
	const uint32_t at = is_collected(t) ? num : num & (window_of(s, t) - 1);
	return t->buffer + ((size_t)at << (t->szx + 4u));
}

/* Put a block into the buffer. False when it is there already, or too far ahead to be kept. */
static bool store(const struct copse_server *s, struct transfer *t, const struct server_work *w)
{
	const struct copse_block *b = &w->ask.block1;
	if (!b->more) {
		t->total = b->num + 1;
		t->size = copse_block_offset(b) + (uint32_t)w->rq.body_len;
	}
	if (b->num >= t->highest)
		t->highest = b->num + 1;
	if (b->num < t->next || b->num - t->next >= window_of(s, t))
		return false;
	const uint32_t bit = (uint32_t)1 << (b->num - t->next);
	if (t->have & bit)
		return false;
	t->have |= bit;
	memcpy(place_of(s, t, b->num), w->rq.body, w->rq.body_len);
	return true;
}

static void fill_request(struct copse_server *s, struct server_work *w, struct transfer *t, uint32_t num,
			 bool more)
{
	const uint32_t offset = num << (t->szx + 4u);
	const bool collected = is_collected(t);
	w->rq.body = collected ? t->buffer : place_of(s, t, num);
	w->rq.body_offset = collected ? 0 : offset;
	w->rq.body_len = more ? copse_block_size(t->szx) : t->size - w->rq.body_offset;
	w->rq.body_more = more;
	w->rq.body_size = t->total ? t->size : w->rq.body_size;
	w->rq.transfer = &t->kept;
	t->seen = true;
	t->whole = !more;
	t->offset = offset + (more ? copse_block_size(t->szx) : 0);
}

/* Hand on a piece that is not the last. Returns false when the handler ended the upload, and that has been answered. */
static bool hand_on(struct copse_server *s, struct server_work *w, struct transfer *t, uint32_t num)
{
	struct copse_response rs;
	fill_request(s, w, t, num, true);
	w->piece = true;
	srv_response_init(s, &rs);
	w->method(&w->rq, &rs);
	w->piece = false;
	if (w->refused && rs.code == 0)
		copse_response_error(&rs, COPSE_CODE_SERVICE_UNAVAILABLE, NULL);
	if (!copse_code_is_error(rs.code)) {
		srv_response_release(&rs);
		return true;
	}
	srv_transfer_end(s, t);
	if (srv_answer(s, &w->ask, &rs) == COPSE_ERR_NOROOM)
		srv_answer_last(s, &w->ask, &rs);
	return false;
}

/* Move on over what has come without a gap, the last block excepted. False when the handler ended the upload. */
static bool advance(struct copse_server *s, struct server_work *w, struct transfer *t)
{
	while ((t->have & 1) && t->next + 1 != t->total) {
		if (!is_collected(t) && !hand_on(s, w, t, t->next))
			return false;
		t->have >>= 1;
		t->next++;
	}
	return true;
}

static size_t put_number(uint8_t *at, uint32_t n)
{
	const unsigned extra = n < 24 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : 4;
	at[0] = (uint8_t)(extra == 0 ? n : 23 + (extra == 4 ? 3 : extra));
	for (unsigned i = 0; i < extra; i++)
		at[1 + i] = (uint8_t)(n >> (8 * (extra - 1 - i)));
	return 1 + extra;
}

/* RFC 9177 §5: a CBOR sequence of the numbers. Without a gap the next one is what is missing. */
static void name_missing(struct copse_server *s, const struct transfer *t)
{
	struct copse_builder b;
	size_t cap, len = 0;
	unsigned named = 0;
	copse_build_rest(&b, s->out, SRV_REST_LEN(s));
	copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_MISSING_BLOCKS);
	uint8_t *room = copse_build_payload_room(&b, &cap);
	const uint32_t window = window_of(s, t);
	const uint32_t end = t->highest > t->next ? t->highest : t->next + 1;
	for (uint32_t n = t->next; n < end && named < NAMED_MAX && len + NUMBER_LEN <= cap; n++) {
		if (n - t->next >= window)
			break; /* it could not be kept yet */
		if (t->have >> (n - t->next) & 1)
			continue;
		len += put_number(room + len, n);
		named++;
	}
	copse_build_payload_commit(&b, len);
	(void)say(s, t, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE, copse_build_finish(&b));
}

static void acknowledge_set(struct copse_server *s, const struct transfer *t)
{
	struct copse_builder b;
	const struct copse_block last = {t->next - 1, true, t->szx};
	copse_build_rest(&b, s->out, SRV_REST_LEN(s));
	copse_build_block(&b, COPSE_OPTION_Q_BLOCK1, &last);
	(void)say(s, t, COPSE_CODE_CONTINUE,
		  copse_build_finish(&b)); /* when it is lost, the peer waits NON_TIMEOUT */
}

/* Whether a set has been completed since the last time. */
static bool is_end_of_set(const struct copse_server *s, struct transfer *t)
{
	if (t->next < t->set_end)
		return false;
	while (t->next >= t->set_end)
		t->set_end += s->config.max_payloads;
	return true;
}

/* RFC 9177 §4.3: a block of the next set tells that the peer is done with this one, so what is missing of it is lost.
 * True once a set. */
static bool has_begun_next_set(struct transfer *t, uint32_t num)
{
	if (num < t->set_end || t->named == t->set_end)
		return false;
	t->named = t->set_end;
	return true;
}

static struct transfer *begin(struct copse_server *s, struct server_work *w)
{
	const uint8_t code = srv_check_first(s, w);
	struct transfer *t = NULL;
	if (code == 0)
		t = srv_transfer_begin(s, &w->ask, srv_block_key(s, &w->ask));
	if (!t) {
		srv_block_refuse(s, w, code ? code : COPSE_CODE_SERVICE_UNAVAILABLE);
		return NULL;
	}
	t->size = w->rq.body_size;
	t->format = w->rq.format;
	t->szx = w->ask.block1.szx;
	t->set_end = s->config.max_payloads;
	srv_transfer_enter(s, t, T_GATHERING);
	if (window_of(s, t) == 0) { /* there is no room for even one block that came too early */
		w->ask.body_max = s->config.collect_len;
		srv_transfer_abandon(s, t);
		srv_block_refuse(s, w, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE);
		return NULL;
	}
	return t;
}

/* The upload that a block belongs to. NULL when it belongs to none, and that has been answered. */
static struct transfer *transfer_for(struct copse_server *s, struct server_work *w)
{
	const struct copse_block *b = &w->ask.block1;
	struct transfer *t = srv_transfer_find(s, &w->ask.peer, srv_block_key(s, &w->ask));
	if (t && t->state == T_HANDLING) { /* the body is complete: one block too many */
		(void)copse_endpoint_ignore(s->ep, w->ask.exchange, s->now);
		return NULL;
	}
	if (t && t->finished &&
	    b->num > 0) { /* its answer got lost: to begin anew would undo what was done */
		srv_block_refuse(s, w, t->code);
		return NULL;
	}
	if (t && t->state != T_GATHERING) {
		srv_transfer_abandon(s, t);
		t = NULL;
	}
	if (t && (t->szx != b->szx || t->format != w->rq.format)) {
		srv_transfer_abandon(s, t);
		srv_block_refuse(s, w, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
		return NULL;
	}
	return t ? t : begin(s, w);
}

void srv_qblock_finish(struct copse_server *s, struct transfer *t, uint8_t code)
{
	t->code = code;
	t->finished = true;
	t->sent = true;
	srv_transfer_enter(s, t, T_SERVING);
}

bool srv_qblock_upload(struct copse_server *s, struct server_work *w)
{
	const struct copse_block *b = &w->ask.block1;
	const uint32_t end = copse_block_offset(b) + (uint32_t)w->rq.body_len;
	if (!copse_block_fits(b, w->rq.body_len))
		return srv_block_refuse(s, w, COPSE_CODE_BAD_REQUEST);
	if (srv_block_too_large(s, w, end))
		return srv_block_refuse(s, w, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE);
	if (b->num == 0 && !b->more)
		return false;
	struct transfer *t = transfer_for(s, w);
	if (!t)
		return true;
	keep_token(t, &w->ask);
	w->checked = true;
	t->rounds = 0; /* the peer is there */
	(void)store(s, t, w);
	if (!advance(s, w, t))
		return true;
	if ((t->have & 1) && t->next + 1 == t->total) {
		fill_request(s, w, t, t->next, false);
		w->ask.transfer = srv_transfer_number(s, t);
		srv_transfer_enter(s, t, T_HANDLING);
		return false;
	}
	(void)copse_endpoint_ignore(s->ep, w->ask.exchange, s->now);
	if (is_end_of_set(s, t))
		acknowledge_set(s, t);
	else if (has_begun_next_set(t, b->num))
		name_missing(s, t);
	srv_transfer_touch(s, t);
	set_timer(s, t, s->now + s->config.non_receive_ms);
	return true;
}

/* ---- Q-Block1: what did not come ---- */

static void gathering_due(struct copse_server *s, struct transfer *t)
{
	if (s->now >= t->used_at + s->config.transfer_ms) {
		srv_transfer_abandon(s, t);
		return;
	}
	copse_ms at = t->used_at + s->config.transfer_ms;
	if (t->rounds < ROUNDS_MAX) {
		name_missing(s, t);
		t->rounds++;
		const copse_ms next = s->now + (s->config.non_receive_ms << t->rounds);
		at = next < at ? next : at;
	}
	set_timer(s, t, at);
}

/* ---- Q-Block2 ---- */

bool srv_qblock_is_sent(const struct transfer *t)
{
	return t->mask == 0 && !t->rest;
}

/* Send block `next` of a kept answer. Returns COPSE_ERR_NOROOM, or 0; the stream ends at the last block. */
static int send_block(struct copse_server *s, struct transfer *t)
{
	struct server_ask ask = {.resource = t->resource,
				 .method = t->method,
				 .has_block2 = true,
				 .q2 = true,
				 .serving = true,
				 .block2 = {t->next, false, t->szx}};
	struct copse_response rs;
	srv_block_response(s, t, &rs);
	const int len = srv_encode(s, &ask, &rs);
	if (copse_code_class(rs.code) != 2) { /* behind the end, or the body's source has failed */
		t->rest = false;
		t->mask = 0;
		return 0;
	}
	const int err = say(s, t, rs.code, len);
	if (!err && !ask.block2.more) {
		t->rest = false;
		t->mask = 1; /* what is asked for beyond does not exist */
	}
	return err;
}

/* Send what is to be sent now. */
static void pump(struct copse_server *s, struct transfer *t)
{
	while (t->mask != 0) {
		if ((t->mask & 1) && send_block(s, t) == COPSE_ERR_NOROOM) {
			set_timer(s, t, s->now + RETRY_MS);
			return;
		}
		t->mask >>= 1;
		t->next++;
	}
	if (t->rest) {
		set_timer(s, t,
			  s->now + s->config.non_timeout_ms); /* §7.2: or the peer says "continue" before */
	} else {
		core_heap_clear(&s->timers, &t->timer);
		srv_transfer_touch(s, t);
	}
}

void srv_qblock_stream(struct copse_server *s, struct transfer *t, const struct server_ask *ask)
{
	keep_token(t, ask);
	t->szx = ask->block2.szx;
	t->next = ask->block2.num + 1; /* that one was the answer itself */
	t->mask = ask->q2_mask >> 1;
	t->rest = ask->q2_rest;
	if (!ask->block2.more) {
		t->mask = 0;
		t->rest = false;
	}
	pump(s, t);
}

static void streaming_due(struct copse_server *s, struct transfer *t)
{
	if (t->mask == 0)
		t->mask = ((uint32_t)2 << (s->config.max_payloads - 1)) - 1;
	pump(s, t);
}

void srv_qblock_due(struct copse_server *s, struct transfer *t)
{
	core_heap_clear(&s->timers, &t->timer);
	if (t->state == T_GATHERING)
		gathering_due(s, t);
	else
		streaming_due(s, t);
}
