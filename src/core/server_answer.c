/* From a response to a message: the options that the server adds, the block of the body that leaves, what is not sent at
 * all, and what is kept for the blocks that follow.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"
#include "siphash.h"

#include <string.h>

/* ---- the body ---- */

/* A block of a body, as it stands in the builder's buffer behind room for the options that describe it. */
struct piece {
	uint8_t *at;
	uint32_t len;
	bool more;
};

static bool total_known(const struct copse_response *rs)
{
	return rs->body_len != COPSE_BODY_UNKNOWN;
}

/* Read `size` bytes from `offset`. False when the body's source fails. */
static bool read_piece(const struct copse_response *rs, uint32_t offset, uint32_t size, struct piece *p)
{
	uint8_t beyond;
	const uint32_t left = total_known(rs) ? (offset < rs->body_len ? rs->body_len - offset : 0) : size;
	const uint32_t want = left < size ? left : size;
	p->len = want;
	p->more = total_known(rs) && left > size;
	if (!rs->read) {
		if (want > 0)
			memcpy(p->at, rs->bytes + offset, want);
		return true;
	}
	const int n = want > 0 ? rs->read(rs->user, offset, p->at, want) : 0;
	if (n < 0 || (uint32_t)n > want || (total_known(rs) && (uint32_t)n != want))
		return false;
	p->len = (uint32_t)n;
	if (!total_known(rs) && (uint32_t)n == size)
		p->more = rs->read(rs->user, offset + size, &beyond, 1) > 0;
	return true;
}

/* RFC 8323 §6: how many bytes of the body may leave in one message with `room` for them, in whole units; 0: no more than
 * one block. */
static uint32_t bert_size(const struct copse_server *s, const struct server_ask *ask, size_t room)
{
	const uint32_t unit = copse_block_size(COPSE_BLOCK_SZX_BERT);
	uint32_t n = copse_peer_units(&ask->peer) * unit, beside = s->config.message_len - (uint32_t)room;

	if (s->config.szx < COPSE_BLOCK_SZX_MAX ||
	    (ask->has_block2 && ask->block2.szx < COPSE_BLOCK_SZX_BERT))
		return 0;
	/* what does not fit beside the units that the peer takes is at their expense */
	beside = beside > COPSE_PEER_UNITS_BESIDE ? beside - COPSE_PEER_UNITS_BESIDE : 0;
	n = n > beside ? n - beside : 0;
	n = (n < room ? n : (uint32_t)room) / unit * unit;
	return n > unit ? n : 0;
}

/* The largest block that the server, the peer and the room left in the message allow. */
static int choose_size(const struct copse_server *s, const struct server_ask *ask, size_t room, uint8_t *szx,
		       uint32_t *size)
{
	*szx = COPSE_BLOCK_SZX_BERT;
	*size = bert_size(s, ask, room);
	if (*size > 0)
		return 0;
	*szx = s->config.szx;
	if (ask->has_block2 && ask->block2.szx < *szx)
		*szx = ask->block2.szx;
	while (*szx > 0 && copse_block_size(*szx) > room)
		(*szx)--;
	*size = copse_block_size(*szx);
	return *size <= room ? 0 : COPSE_ERR_NOROOM;
}

static bool fits_whole(const struct copse_server *s, const struct server_ask *ask,
		       const struct copse_response *rs, size_t room)
{
	return !ask->has_block2 && total_known(rs) && rs->body_len <= room &&
	       (rs->body_len <= copse_block_size(s->config.szx) || rs->body_len <= bert_size(s, ask, room));
}

uint32_t copse_request_piece(const struct copse_request *rq)
{
	const struct server_work *w = (const struct server_work *)(const void *)rq;
	const uint32_t most = bert_size(rq->server, &w->ask, rq->server->config.message_len);

	if (most > 0)
		return most;
	return copse_block_size(w->ask.has_block2 && w->ask.block2.szx < rq->server->config.szx
				    ? w->ask.block2.szx
				    : rq->server->config.szx);
}

/* An ETag for a body that leaves in blocks, so that the peer notices when it gets parts of two (RFC 7959 §2.4). What is
 * constant needs none. */
static void mark_version(const struct copse_server *s, const struct server_ask *ask,
			 struct copse_response *rs)
{
	const uint8_t szx =
	    ask->has_block2 && ask->block2.szx < s->config.szx ? ask->block2.szx : s->config.szx;
	if (rs->etag_len > 0 || !rs->bytes || rs->kept || !copse_code_is_safe(ask->method) ||
	    rs->body_len <= copse_block_size(szx))
		return;
	const uint64_t digest = core_siphash(s->config.seed, rs->bytes, rs->body_len, 1, 3);
	copse_response_etag(rs, &digest, 4);
}

/* Which bytes are due, and the block that they are. `room`: bytes that the message has left for them.
 * Returns 0, or COPSE_ERR_NOROOM or COPSE_ERR_ARGUMENT (no such block). */
static int choose_block(const struct copse_server *s, const struct server_ask *ask,
			const struct copse_response *rs, size_t room, struct copse_block *block,
			uint32_t *size)
{
	*block = ask->has_block2 ? ask->block2 : (struct copse_block){0, false, COPSE_BLOCK_SZX_BERT};
	*size = rs->body_len;
	if (fits_whole(s, ask, rs, room))
		return 0;
	uint8_t szx;
	if (choose_size(s, ask, room, &szx, size) != 0)
		return COPSE_ERR_NOROOM;
	return copse_block_resize(block, szx);
}

static void put_block(struct server_ask *ask, struct copse_response *rs, const struct copse_block *block)
{
	copse_build_block(&rs->options, ask->q2 ? COPSE_OPTION_Q_BLOCK2 : COPSE_OPTION_BLOCK2, block);
	if (total_known(rs) && block->num == 0) /* RFC 7959 §4 */
		copse_build_uint(&rs->options, COPSE_OPTION_SIZE2, rs->body_len);
	ask->has_block2 = true;
	ask->block2 = *block;
}

/* Append the body or the block of it that is due. Leaves in ask->block2 which one it was. */
static int put_body(struct copse_server *s, struct server_ask *ask, struct copse_response *rs)
{
	struct copse_builder *b = &rs->options;
	struct copse_block block;
	struct piece p;
	uint32_t size;
	size_t room = (size_t)(b->end - b->at);
	if (rs->body_len == 0 && !ask->has_block2)
		return 0;
	if (room <= 1 + SRV_BLOCK_OPTIONS)
		return COPSE_ERR_NOROOM;
	room -= 1 + SRV_BLOCK_OPTIONS;
	p.at = b->at + 1 + SRV_BLOCK_OPTIONS;
	const int err = choose_block(s, ask, rs, room, &block, &size);
	if (err)
		return err;
	const uint32_t offset = copse_block_offset(&block);
	if (!read_piece(rs, offset, size, &p))
		return COPSE_ERR_GONE;
	if (offset > 0 && p.len == 0)
		return COPSE_ERR_ARGUMENT;
	block.more = p.more;
	if (ask->has_block2 || p.more)
		put_block(ask, rs, &block);
	uint8_t *to = copse_build_payload_room(b, &room);
	if (p.len > 0 && to)
		memmove(to, p.at, p.len);
	copse_build_payload_commit(b, p.len);
	return 0;
}

/* ---- the message ---- */

static bool is_success(uint8_t code)
{
	return copse_code_class(code) == 2;
}

static void put_options(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs)
{
	struct copse_builder *b = &rs->options;
	if (rs->etag_len > 0)
		copse_build_option(b, COPSE_OPTION_ETAG, rs->etag, rs->etag_len);
	if (is_success(rs->code) &&
	    (ask->notification || srv_observe_stays(s, ask))) /* RFC 7641 §4.1, §4.2 */
		copse_build_uint(b, COPSE_OPTION_OBSERVE, srv_observe_sequence(s));
	if (rs->format != COPSE_FORMAT_NONE)
		copse_build_uint(b, COPSE_OPTION_CONTENT_FORMAT, rs->format);
	if (rs->max_age != COPSE_MAX_AGE_DEFAULT)
		copse_build_uint(b, COPSE_OPTION_MAX_AGE, rs->max_age);
	if (ask->has_block1 && (is_success(rs->code) || rs->code == COPSE_CODE_REQUEST_ENTITY_TOO_LARGE))
		copse_build_block(b, COPSE_OPTION_BLOCK1, &ask->block1);
	if (rs->code == COPSE_CODE_REQUEST_ENTITY_TOO_LARGE && ask->body_max > 0) /* RFC 7959 §2.9.3 */
		copse_build_uint(b, COPSE_OPTION_SIZE1, ask->body_max);
}

/* RFC 7252 §5.9.1.3: the peer has what it would be sent. */
static void validate(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs)
{
	if (rs->code != COPSE_CODE_CONTENT || !srv_etag_matches(ask, rs))
		return;
	s->counters.valid++;
	srv_response_drop_body(rs);
	rs->code = COPSE_CODE_VALID;
}

/* An ETag for what nobody knows the content of beforehand: when it was begun. */
static void stamp(const struct copse_server *s, struct copse_response *rs)
{
	const uint64_t digest = core_siphash(s->config.seed, &s->now, sizeof s->now, 1, 3);
	copse_response_etag(rs, &digest, 4);
}

static int encode(struct copse_server *s, struct server_ask *ask, struct copse_response *rs)
{
	struct copse_builder *b = &rs->options;
	b->end = b->buf + SRV_REST_LEN(s);
	if (!rs->read && !rs->bytes)
		rs->body_len = 0;
	mark_version(s, ask, rs);
	if (ask->q2 && rs->etag_len == 0 && is_success(rs->code)) /* RFC 9177 §4.5: without exception */
		stamp(s, rs);
	validate(s, ask, rs);
	/* why there is no block is told to whoever asks for one, whatever its number */
	if (rs->code == COPSE_CODE_VALID || (copse_code_is_error(rs->code) && ask->block2.num > 0 &&
					     copse_block_offset(&ask->block2) >= rs->body_len))
		ask->has_block2 = false;
	put_options(s, ask, rs);
	const int err = b->err ? b->err : put_body(s, ask, rs);
	return err ? err : copse_build_finish(b);
}

int srv_encode(struct copse_server *s, struct server_ask *ask, struct copse_response *rs)
{
	if (rs->code == 0)
		rs->code = srv_usual_code(ask->method);
	int len = rs->options.err ? rs->options.err : encode(s, ask, rs);
	if (len >= 0)
		return len;
	if (len == COPSE_ERR_ARGUMENT && rs->options.err == 0) {
		copse_response_error(rs, COPSE_CODE_BAD_REQUEST, "no such block");
	} else {
		s->counters.overflowed++;
		copse_response_error(rs, COPSE_CODE_INTERNAL_SERVER_ERROR, NULL);
	}
	ask->has_block2 = false;
	len = encode(s, ask, rs);
	COPSE_ASSERT(len >= 0); /* a message has room for so little */
	return len;
}

/* ---- sending ---- */

/* Whether the blocks that follow are read from what this response brought. */
static bool must_keep(const struct server_ask *ask, const struct copse_response *rs)
{
	if (!ask->has_block2 || copse_code_class(rs->code) != 2)
		return false;
	if (ask->q2)
		return ask->serving || (ask->block2.more && (ask->q2_rest || ask->q2_mask > 1));
	if (ask->serving &&
	    !ask->block2.more) /* a NON's answer may get lost, and the last block be asked for again */
		return !ask->con;
	return ask->block2.more && (ask->serving || rs->release != NULL || !copse_code_is_safe(ask->method));
}

/* The request is answered: what hung on it becomes what it was for, or goes. */
static void conclude(struct copse_server *s, struct server_ask *ask, struct copse_response *rs, bool keep)
{
	struct transfer *t = srv_transfer_of(s, ask);
	srv_observe_answered(s, ask, is_success(rs->code));
	if (keep) {
		srv_block_keep(s, ask, rs);
		return;
	}
	if (t && rs->code == COPSE_CODE_CONTINUE)
		srv_transfer_enter(s, t, T_RECEIVING);
	else if (t && ask->q1 && is_success(rs->code))
		srv_qblock_finish(s, t, rs->code);
	else if (t)
		srv_transfer_end(s, t);
	srv_response_release(rs);
}

static void stay_silent(struct copse_server *s, struct server_ask *ask, struct copse_response *rs)
{
	s->counters.suppressed++;
	(void)copse_endpoint_ignore(s->ep, ask->exchange, s->now);
	conclude(s, ask, rs, false);
}

/* Encode, unless the answer cannot be kept or must not be sent: then what is sent instead.
 * Returns the length, 0 with `*keep`, or < 0 when nothing may be sent at all. */
static int prepare(struct copse_server *s, struct server_ask *ask, struct copse_response *rs, bool *keep)
{
	if (ask->limited) { /* one block at a time is all that it may get */
		ask->q2_rest = false;
		ask->q2_mask &= 1;
	}
	int len = srv_encode(s, ask, rs);
	*keep = must_keep(ask, rs);
	if (*keep && !srv_block_reserve(s, ask, rs)) {
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, NULL);
		ask->has_block2 = *keep = false;
		len = srv_encode(s, ask, rs);
	}
	if (srv_echo_may_send(s, ask, (size_t)len))
		return len;
	srv_echo_shorten(s, ask, rs);
	ask->has_block1 = ask->has_block2 = *keep = false;
	len = srv_encode(s, ask, rs);
	return srv_echo_may_send(s, ask, (size_t)len) ? len : COPSE_ERR_RATE;
}

int srv_answer(struct copse_server *s, struct server_ask *ask, struct copse_response *rs)
{
	bool keep;
	if (rs->code == 0)
		rs->code = srv_usual_code(ask->method);
	if (rs->silent || srv_is_suppressed(ask, rs->code)) {
		stay_silent(s, ask, rs);
		return 0;
	}
	const int len = prepare(s, ask, rs, &keep);
	if (len < 0) {
		stay_silent(s, ask, rs);
		return 0;
	}
	const struct copse_out out = {.code = rs->code,
				      .con = rs->con,
				      .priority = rs->priority,
				      .rest = s->out,
				      .rest_len = (size_t)len};
	const int err = copse_endpoint_respond(s->ep, ask->exchange, &out, s->now);
	if (err == COPSE_ERR_NOROOM) {
		srv_response_release(rs);
		return err;
	}
	if (err) /* nobody will get it: nothing comes of the request */
		rs->code = COPSE_CODE_SERVICE_UNAVAILABLE;
	conclude(s, ask, rs, keep && !err);
	return err;
}

void srv_answer_last(struct copse_server *s, struct server_ask *ask, struct copse_response *rs)
{
	/* The peer should not wait in vain: a small answer may still find room. */
	s->counters.unsent++;
	ask->has_block1 = ask->has_block2 = false;
	copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, NULL);
	if (srv_answer(s, ask, rs) == COPSE_ERR_NOROOM)
		stay_silent(s, ask, rs);
}

void srv_answer_code(struct copse_server *s, struct server_ask *ask, uint8_t code)
{
	struct copse_response rs;
	srv_response_init(s, &rs);
	rs.code = code;
	if (srv_answer(s, ask, &rs) == COPSE_ERR_NOROOM)
		srv_answer_last(s, ask, &rs);
}
