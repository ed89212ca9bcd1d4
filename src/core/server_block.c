/* Block-wise transfer, the server's side (RFC 7959): uploads by Block1 piece by piece, and the further blocks of answers
 * that were kept. Where an answer need not be kept, the block is cut out of it in server_answer.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

uint64_t srv_block_key(const struct copse_server *s, struct server_ask *ask)
{
	if (ask->message) {
		ask->key = srv_request_key(s, &ask->peer, ask->message);
		ask->message = NULL;
	}
	return ask->key;
}

bool srv_block_refuse(struct copse_server *s, struct server_work *w, uint8_t code)
{
	s->counters.incomplete += code == COPSE_CODE_REQUEST_ENTITY_INCOMPLETE;
	s->counters.too_large += code == COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
	w->ask.has_block2 = false;
	srv_answer_code(s, &w->ask, code);
	return true;
}

/* ---- uploads ---- */

uint32_t srv_body_max(const struct copse_server *s, const struct copse_resource *r, bool pieces)
{
	uint32_t max = r->body_max ? r->body_max : COPSE_BLOCK_BODY_MAX;
	if (pieces && (r->flags & COPSE_RESOURCE_WHOLE) && s->config.collect_len < max)
		max = s->config.collect_len;
	return max;
}

bool srv_block_too_large(struct copse_server *s, struct server_work *w, uint32_t end)
{
	const uint32_t max = srv_body_max(s, w->rq.resource, true);
	const bool announced = w->rq.body_size != COPSE_BODY_UNKNOWN && w->rq.body_size > max;
	w->ask.body_max = max;
	return end > max || announced;
}

/* The first of several pieces: is the upload welcome at all?  NULL when it is not, and that has been answered. */
static struct transfer *begin_upload(struct copse_server *s, struct server_work *w)
{
	const uint8_t code = srv_check_first(s, w);
	if (code != 0) {
		srv_block_refuse(s, w, code);
		return NULL;
	}
	struct transfer *t = srv_transfer_begin(s, &w->ask, srv_block_key(s, &w->ask));
	if (!t) {
		srv_block_refuse(s, w, COPSE_CODE_SERVICE_UNAVAILABLE);
		return NULL;
	}
	t->size = w->rq.body_size;
	t->format = w->rq.format;
	srv_transfer_enter(s, t, T_RECEIVING);
	/* RFC 7959 §2.3: the server may ask for smaller blocks from the next one on. */
	if (copse_block_unit(w->ask.block1.szx) > s->config.szx)
		w->ask.block1.szx = s->config.szx;
	return t;
}

/* A further piece, or the last one once more because its answer was lost.
 * NULL when it does not belong to an upload that waits for it, and that has been answered. */
static struct transfer *continue_upload(struct copse_server *s, struct server_work *w, struct transfer *t,
					uint32_t offset)
{
	if (!t || t->state != T_RECEIVING) {
		srv_block_refuse(s, w, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
		return NULL;
	}
	if (w->ask.block1.more && offset == t->last_offset && offset + w->rq.body_len == t->offset) {
		srv_transfer_touch(s, t);
		srv_block_refuse(s, w, COPSE_CODE_CONTINUE);
		return NULL;
	}
	/* §2.3, §2.9.2: a gap, or another format than before */
	if (offset != t->offset || w->rq.format != t->format) {
		srv_transfer_abandon(s, t);
		srv_block_refuse(s, w, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
		return NULL;
	}
	return t;
}

/* Hand the piece, or what has been collected, to the handler that dispatch is about to call. */
static void present(struct copse_server *s, struct server_work *w, struct transfer *t, uint32_t offset)
{
	const bool collect = w->rq.resource->flags & COPSE_RESOURCE_WHOLE;
	w->rq.body_offset = collect ? 0 : offset;
	w->rq.body_more = w->ask.block1.more;
	w->rq.body_size = t->size;
	if (collect) {
		w->rq.body = t->buffer;
		w->rq.body_len = t->offset;
	}
	w->rq.transfer = &t->kept;
	w->ask.transfer = srv_transfer_number(s, t);
	t->exchange = w->ask.exchange;
	t->seen = true;
	t->whole = !w->ask.block1.more;
	srv_transfer_enter(s, t, T_HANDLING);
}

static bool upload(struct copse_server *s, struct server_work *w)
{
	const struct copse_block *b = &w->ask.block1;
	const uint32_t offset = copse_block_offset(b);
	const uint32_t len = (uint32_t)w->rq.body_len;
	if (!copse_block_fits(b, len))
		return srv_block_refuse(s, w, COPSE_CODE_BAD_REQUEST);
	struct transfer *t = srv_transfer_find(s, &w->ask.peer, srv_block_key(s, &w->ask));
	if (offset == 0 && t)
		srv_transfer_abandon(s, t);
	if (srv_block_too_large(s, w, offset + len)) {
		if (offset > 0 && t)
			srv_transfer_abandon(s, t);
		return srv_block_refuse(s, w, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE);
	}
	if (offset == 0 && !b->more)
		return false;
	t = offset == 0 ? begin_upload(s, w) : continue_upload(s, w, t, offset);
	if (!t)
		return true;
	if (w->rq.resource->flags & COPSE_RESOURCE_WHOLE)
		memcpy(t->buffer + offset, w->rq.body, len);
	t->last_offset = offset;
	t->offset = offset + len;
	w->checked = true;
	if (b->more && (w->rq.resource->flags & COPSE_RESOURCE_WHOLE)) {
		srv_transfer_touch(s, t);
		return srv_block_refuse(s, w, COPSE_CODE_CONTINUE);
	}
	present(s, w, t, offset);
	return false;
}

/* ---- answers that were kept ---- */

void srv_block_response(struct copse_server *s, const struct transfer *t, struct copse_response *rs)
{
	srv_response_init(s, rs);
	rs->code = t->code;
	rs->format = t->format;
	rs->max_age = t->max_age;
	rs->etag_len = t->etag.len;
	memcpy(rs->etag, t->etag.bytes, t->etag.len);
	rs->bytes = t->bytes;
	rs->read = t->read;
	rs->user = t->user;
	rs->body_len = t->body_len;
	rs->kept = true;
}

static bool serve(struct copse_server *s, struct server_work *w, struct transfer *t)
{
	struct copse_response rs;
	srv_block_response(s, t, &rs);
	t->exchange = w->ask.exchange;
	w->ask.transfer = srv_transfer_number(s, t);
	w->ask.serving = true;
	w->ask.etag_n = 0;
	if (srv_answer(s, &w->ask, &rs) == COPSE_ERR_NOROOM)
		srv_answer_last(s, &w->ask, &rs);
	return true;
}

static bool continue_answer(struct copse_server *s, struct server_work *w)
{
	struct transfer *t = srv_transfer_find(s, &w->ask.peer, srv_block_key(s, &w->ask));
	if (t && !t->finished && t->state == (w->ask.q2 ? T_STREAMING : T_SERVING))
		return serve(s, w, t);
	/* A safe method can be asked again for any block; the body of a FETCH must be there for that. */
	if (w->rq.method == COPSE_CODE_GET || (w->rq.method == COPSE_CODE_FETCH && w->rq.body_len > 0) ||
	    w->ask.block2.num == 0)
		return false;
	return srv_block_refuse(s, w, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
}

bool srv_block_request(struct copse_server *s, struct server_work *w)
{
	if (w->ask.q1)
		return srv_qblock_upload(s, w);
	if (w->ask.has_block1)
		return upload(s, w);
	/* Q-Block2 without M asks for blocks that got lost, the first one maybe. */
	if (w->ask.has_block2 && (w->ask.block2.num > 0 || (w->ask.q2 && !w->ask.q2_rest)))
		return continue_answer(s, w);
	if (s->transfer_n > 0) { /* begun anew, without blocks */
		struct transfer *t = srv_transfer_find(s, &w->ask.peer, srv_block_key(s, &w->ask));
		if (t && t->state != T_HANDLING)
			srv_transfer_abandon(s, t);
	}
	return false;
}

void srv_block_handled(struct server_ask *ask, struct copse_response *rs)
{
	/* A piece that is not the last and was not refused: go on (RFC 7959 §2.9.1). */
	if (ask->transfer && ask->has_block1 && ask->block1.more && !copse_code_is_error(rs->code)) {
		srv_response_clear(rs);
		rs->code = COPSE_CODE_CONTINUE;
	}
}

bool srv_block_reserve(struct copse_server *s, struct server_ask *ask, const struct copse_response *rs)
{
	if (rs->bytes && !rs->kept && rs->body_len > s->config.collect_len)
		return false;
	if (srv_transfer_of(s, ask))
		return true;
	const uint64_t key = srv_block_key(s, ask);
	struct transfer *t = srv_transfer_find(s, &ask->peer, key);
	if (t)
		srv_transfer_abandon(s, t);
	t = srv_transfer_begin(s, ask, key);
	if (!t)
		return false;
	srv_transfer_enter(s, t, T_HANDLING);
	ask->transfer = srv_transfer_number(s, t);
	return true;
}

void srv_block_keep(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs)
{
	struct transfer *t = srv_transfer_of(s, ask);
	if (t->state == T_STREAMING)
		srv_qblock_stream(s, t, ask);
	if (t->state == T_SERVING) {
		t->sent = !ask->block2.more;
		srv_transfer_touch(s, t);
	}
	if (ask->serving)
		return;
	t->code = rs->code;
	t->format = rs->format;
	t->max_age = rs->max_age;
	t->etag.len = rs->etag_len;
	memcpy(t->etag.bytes, rs->etag, rs->etag_len);
	t->body_len = rs->body_len;
	t->bytes = rs->bytes;
	if (rs->bytes && !rs->kept) {
		memmove(t->buffer, rs->bytes,
			rs->body_len); /* it may be an upload that stands there already */
		t->bytes = t->buffer;
	}
	t->read = rs->read;
	t->user = rs->user;
	t->release = rs->release;
	rs->release = NULL; /* the transfer's from here on */
	srv_transfer_enter(s, t, ask->q2 ? T_STREAMING : T_SERVING);
	if (ask->q2)
		srv_qblock_stream(s, t, ask);
}
