/* Bodies by Q-Block1 and Q-Block2 (RFC 9177), the client's side: sets of MAX_PAYLOADS messages in a row without waiting
 * for each, and repair of what got lost by naming it.
 *
 * Q-Block1: each payload is a request of its own; the server answers once a set (2.31), names what it misses (4.08 with
 * application/missing-blocks+cbor-seq), and answers the whole in the end, under the token of any of them.
 * Q-Block2: one request brings a set of responses; when all have come the next set is asked for, what has not come in
 * time is asked for by number. Both are drawn in doc/states/client-block.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_call.h"

#include <copse/format.h>

/* How long an answer is waited for after everything has been sent and asked for: as for any other request. */
#define ANSWER_MS 93000u

void qblock_drop(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	for (unsigned i = 0; i < CALL_QROW; i++) {
		if (slot->q.row[i] != COPSE_NO_HANDLE)
			copse_endpoint_cancel(client->ep, slot->q.row[i], now);
		slot->q.row[i] = COPSE_NO_HANDLE;
	}
}

/* Put an exchange into the row; the oldest is given up. */
static void keep(struct copse_client *client, struct call_slot *slot, copse_handle exchange, copse_ms now)
{
	copse_handle *place = &slot->q.row[slot->q.made++ & (CALL_QROW - 1)];

	if (*place != COPSE_NO_HANDLE)
		copse_endpoint_cancel(client->ep, *place, now);
	*place = exchange;
}

/* Forget an exchange that is over. Returns false when it was none of the row. */
static bool forget(struct call_slot *slot, copse_handle exchange)
{
	for (unsigned i = 0; i < CALL_QROW; i++) {
		if (slot->q.row[i] == exchange) {
			slot->q.row[i] = COPSE_NO_HANDLE;
			return true;
		}
	}
	return false;
}

static bool row_is_empty(const struct call_slot *slot)
{
	for (unsigned i = 0; i < CALL_QROW; i++) {
		if (slot->q.row[i] != COPSE_NO_HANDLE)
			return false;
	}
	return true;
}

static void set_timer(struct copse_client *client, struct call_slot *slot, uint32_t ms, copse_ms now)
{
	/* NON_TIMEOUT_RANDOM of RFC 9177 §7.2: up to one and a half times */
	call_timer_set(client, slot, now + ms + call_random(client, (ms >> 1) + 1));
}

/* ---- Q-Block1 ---- */

static int send_one(struct copse_client *client, struct call_slot *slot, uint32_t number, copse_ms now)
{
	copse_handle exchange;

	int len = call_build(client, slot, CALL_NO_OBSERVE, number);
	if (len < 0)
		return len;
	/* It stays open: the server may say more than once what it misses, under any of the tokens. */
	int err = call_request(client, slot, len, COPSE_REQUEST_MANY, now, &exchange);
	if (err < 0)
		return err;
	keep(client, slot, exchange, now);
	return 0;
}

/* Send what is left of the set. Want of room: later. */
static int send_set(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	struct call_q *q = &slot->q;

	slot->postponed = false;
	while (q->next < q->end) {
		int err = send_one(client, slot, q->next, now);
		if (copse_err_is_transient(err)) {
			call_postpone(client, slot, now);
			return 0;
		}
		if (err < 0)
			return err;
		q->next++;
	}
	set_timer(client, slot,
		  q->end > q->last ? client->config.non_receive_ms : client->config.non_timeout_ms, now);
	return 0;
}

/* Begin the set at block `base`: finds where it, or the body, ends. */
static int begin_set(struct copse_client *client, struct call_slot *slot, uint32_t base, copse_ms now)
{
	struct call_q *q = &slot->q;
	const uint32_t size = copse_block_size(slot->out_szx);

	q->base = q->next = q->end = base;
	while (q->end < base + client->config.max_payloads) {
		q->end++;
		int more = call_body_beyond(slot, q->end * size);
		if (more < 0)
			return more;
		if (more == 0) {
			q->last = q->end - 1;
			break;
		}
	}
	return send_set(client, slot, now);
}

int qblock_begin_send(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	slot->block = BLOCK_QSEND;
	slot->q.last = COPSE_BODY_UNKNOWN;
	return begin_set(client, slot, 0, now);
}

/* On to the next set. Returns as copse_client_take. */
static int next_set(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	if (slot->q.end > slot->q.last) /* it was the last one: the answer follows */
		return 0;
	slot->sent = slot->q.end << (slot->out_szx + 4u);
	int err = begin_set(turn->client, slot, slot->q.end, turn->now);
	return err < 0 ? block_failed(turn, err) : call_event(turn, COPSE_CLIENT_PROGRESS, 0);
}

/* The next unsigned integer of a CBOR sequence (RFC 8742). Returns false at its end, or at what is none. */
static bool next_number(const uint8_t **at, const uint8_t *end, uint32_t *number)
{
	if (*at == end || **at > 0x1a)
		return false;
	unsigned extra = **at < 24 ? 0 : 1u << (**at - 24);
	if ((size_t)(end - *at) < extra + 1)
		return false;
	*number = extra ? 0 : **at;
	for (unsigned i = 1; i <= extra; i++)
		*number = *number << 8 | (*at)[i];
	*at += extra + 1;
	return true;
}

/* RFC 9177 §5: the server names the blocks that it misses. */
static int send_missing(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	const uint8_t *at = copse_message_payload(turn->message), *end = at + turn->message->payload_len;
	uint32_t number;
	const uint8_t *first = at;

	/* Where the gaps begin, and how many there are, tells whether it gets on. */
	if (next_number(&first, end, &number) &&
	    (slot->q.last_n == 0 || number > slot->q.got || turn->message->payload_len < slot->q.last_n)) {
		slot->q.got = number;
		slot->attempts = turn->client->config.attempts;
	}
	slot->q.last_n = turn->message->payload_len;
	if (slot->attempts == 0)
		return block_failed(turn, COPSE_ERR_INCOMPLETE);
	slot->attempts--;
	for (unsigned n = 0; n < CALL_QROW && next_number(&at, end, &number); n++) {
		if (number >= slot->q.next)
			continue;
		int err = send_one(turn->client, slot, number, turn->now);
		if (copse_err_is_transient(err))
			break; /* it will name them again */
		if (err < 0)
			return block_failed(turn, err);
		turn->client->counters.repeated++;
	}
	if (slot->q.next == slot->q.end)
		set_timer(turn->client, slot, turn->client->config.non_receive_ms, turn->now);
	return 0;
}

/* The answer to the whole: as after Block1. */
static int answered(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	call_drop(turn->client, slot, turn->now);
	call_timer_set(turn->client, slot, COPSE_NEVER);
	if (copse_code_is_success(turn->message->code))
		slot->sent = slot->call.body_len;
	slot->block = BLOCK_ASK;
	return copse_code_is_success(turn->message->code) ? block_body(turn) : block_done(turn);
}

/* RFC 9177 §4.1: a peer that does not know the option gets the body by Block1 and Block2. */
static int fall_back(struct call_turn *turn)
{
	turn->slot->call.flags &= (uint8_t)~COPSE_CALL_QBLOCK;
	call_timer_set(turn->client, turn->slot, COPSE_NEVER);
	return block_again(turn);
}

static int start_over(struct call_turn *turn, int error)
{
	if (turn->slot->restarts == 0)
		return block_failed(turn, error);
	turn->slot->restarts--;
	turn->client->counters.restarted++;
	return block_again(turn);
}

/* What both have in common. Returns 2 when the message is none of these. */
#define NOT_COMMON 2
static int take_common(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	const struct copse_option *o;

	if (!turn->message) {
		if (turn->in->error != COPSE_ERR_TIMEOUT)
			return block_failed(turn, turn->in->error);
		return row_is_empty(slot) ? block_failed(turn, COPSE_ERR_TIMEOUT) : 0;
	}
	if (turn->message->code == COPSE_CODE_BAD_OPTION)
		return fall_back(turn);
	o = copse_message_option(turn->message, COPSE_OPTION_ECHO);
	if (turn->message->code == COPSE_CODE_UNAUTHORIZED && o) {
		slot->echo_len = (uint8_t)o->len;
		for (unsigned i = 0; i < o->len; i++)
			slot->echo[i] = copse_option_value(turn->message, o)[i];
		turn->client->counters.echoed++;
		return start_over(turn, COPSE_ERR_INCOMPLETE);
	}
	return NOT_COMMON;
}

/* A 2.31 may be late: of a set that was given up waiting for. Its Q-Block1, if it has one, says up to which block. */
static bool is_about_this_set(const struct call_turn *turn)
{
	struct copse_block block;

	return copse_block_read(turn->message, COPSE_OPTION_Q_BLOCK1, &block) <= 0 ||
	       block.num >= turn->slot->q.base;
}

static int take_qsend(struct call_turn *turn)
{
	const struct copse_message *m = turn->message;

	turn->slot->q.waited = false;
	turn->slot->q.silent = 0;
	if (m->code == COPSE_CODE_CONTINUE) {
		turn->slot->attempts = turn->client->config.attempts;
		return is_about_this_set(turn) ? next_set(turn) : 0;
	}
	if (m->code != COPSE_CODE_REQUEST_ENTITY_INCOMPLETE)
		return answered(turn);
	if (copse_message_uint(m, COPSE_OPTION_CONTENT_FORMAT, 0) == COPSE_FORMAT_MISSING_BLOCKS)
		return send_missing(turn);
	return start_over(turn, COPSE_ERR_INCOMPLETE);
}

/* Nothing was heard for long: the last payload once more makes a server that got anything name what it misses. One that
 * has answered the whole would take its end for a new request, so not where that does harm; and in the end all there is
 * to do is to wait for the answer. Returns as copse_client_take. */
static int nudge(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	bool harmless = slot->q.end <= slot->q.last ||
			(slot->call.code != COPSE_CODE_POST && slot->call.code != COPSE_CODE_PATCH);

	if (slot->q.silent < turn->client->config.attempts && harmless) {
		slot->q.silent++;
		turn->client->counters.repeated++;
		int err = send_one(turn->client, slot, slot->q.end - 1, turn->now);
		if (err < 0 && !copse_err_is_transient(err))
			return block_failed(turn, err);
		set_timer(turn->client, slot, turn->client->config.non_receive_ms << 1, turn->now);
		return 0;
	}
	if (slot->q.waited)
		return block_failed(turn, COPSE_ERR_TIMEOUT);
	slot->q.waited = true;
	set_timer(turn->client, slot, ANSWER_MS, turn->now);
	return 0;
}

/* Nothing was heard of the set in time. */
static int due_qsend(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	if (slot->q.next < slot->q.end) {
		int err = send_set(turn->client, slot, turn->now);
		return err < 0 ? block_failed(turn, err) : 0;
	}
	/* RFC 9177 §7.2: after NON_TIMEOUT the next set may go; but not all of the body into nowhere. */
	if (slot->q.end <= slot->q.last && slot->q.silent + 1 < turn->client->config.attempts) {
		slot->q.silent++;
		return next_set(turn);
	}
	return nudge(turn);
}

/* ---- Q-Block2 ---- */

/* Ask for `n` blocks; with `more` for the rest of the set, too. */
static int ask(struct copse_client *client, struct call_slot *slot, const uint32_t *number, size_t n,
	       bool more, copse_ms now)
{
	copse_handle exchange;

	slot->postponed = false;
	int len = call_build_missing(client, slot, number, n, more);
	if (len < 0)
		return len;
	int err = call_request(client, slot, len, COPSE_REQUEST_MANY, now, &exchange);
	if (err < 0)
		return err;
	keep(client, slot, exchange, now);
	set_timer(client, slot, client->config.non_receive_ms, now);
	return 0;
}

/* The same when the call is under way: want of room waits. Returns as copse_client_take. */
static int ask_later(struct call_turn *turn, const uint32_t *number, size_t n, bool more)
{
	int err = ask(turn->client, turn->slot, number, n, more, turn->now);

	if (copse_err_is_transient(err)) {
		call_postpone(turn->client, turn->slot, turn->now);
		return 0;
	}
	return err < 0 ? block_failed(turn, err) : 0;
}

int qblock_begin_fetch(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	const uint32_t first = 0;

	slot->block = BLOCK_QFETCH;
	slot->q = (struct call_q){.end = client->config.max_payloads, .last = COPSE_BODY_UNKNOWN};
	return ask(client, slot, &first, 1, true, now);
}

/* Take note of block `number`. Returns whether it is new and within the window. */
static bool mark(struct call_q *q, const struct copse_block *block)
{
	if (block->num < q->base || block->num - q->base >= CALL_QWINDOW)
		return false;
	uint32_t bit = (uint32_t)1 << (block->num - q->base);
	if (q->got & bit)
		return false;
	q->got |= bit;
	if (!block->more)
		q->last = block->num;
	return true;
}

static void move_base(struct call_q *q)
{
	while (q->got & 1) {
		q->got >>= 1;
		q->base++;
	}
}

/* Returns 1 when the payload was new and is written, 0 when there is no more to do about it; an event may have been
 * made then (turn->out->kind). */
static int take_payload(struct call_turn *turn, const struct copse_block *block)
{
	struct call_slot *slot = turn->slot;
	struct call_q *q = &slot->q;

	if (!q->begun) {
		q->begun = true;
		slot->in_szx = block->szx;
		slot->size = copse_message_uint(turn->message, COPSE_OPTION_SIZE2, COPSE_BODY_UNKNOWN);
		block_keep_etag(slot, turn->message);
	}
	if (!block_same_etag(slot, turn->message))
		return start_over(turn, COPSE_ERR_CHANGED), 0;
	if (block->szx != slot->in_szx || !copse_block_fits(block, turn->message->payload_len))
		return block_failed(turn, COPSE_ERR_BLOCK), 0;
	if (!mark(q, block))
		return 0;
	int err = block_write(slot, turn->message, copse_block_offset(block));
	if (err)
		return block_failed(turn, err), 0;
	turn->client->counters.blocks_in++;
	slot->received += turn->message->payload_len;
	slot->attempts = turn->client->config.attempts;
	move_base(q);
	return 1;
}

static int take_qfetch(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	struct call_q *q = &slot->q;
	struct copse_block block;
	int got = copse_block_read(turn->message, COPSE_OPTION_Q_BLOCK2, &block);

	if (got < 0)
		return block_failed(turn, COPSE_ERR_BLOCK);
	if (got == 0)
		return answered(turn);
	if (!take_payload(turn, &block))
		return turn->out->kind != 0;
	if (q->base > q->last) {
		call_timer_set(turn->client, slot, COPSE_NEVER);
		return block_done(turn);
	}
	set_timer(turn->client, slot, turn->client->config.non_receive_ms, turn->now);
	if (q->base >= q->end) { /* RFC 9177 §4.4: the whole set is here; "continue" */
		q->end = q->base + turn->client->config.max_payloads;
		if (ask_later(turn, &q->base, 1, true))
			return 1;
	}
	return call_event(turn, COPSE_CLIENT_PROGRESS, 0);
}

/* What should have come has not: name it, or say "continue" again. */
static int due_qfetch(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	struct call_q *q = &slot->q;
	uint32_t missing[CALL_QROW];
	size_t n = 0;

	if (!slot->postponed) {
		if (slot->attempts-- == 0)
			return block_failed(turn, COPSE_ERR_TIMEOUT);
		turn->client->counters.repeated++;
	}
	bool whole_set = q->got == 0 && q->base + turn->client->config.max_payloads == q->end;
	if (whole_set)
		return ask_later(turn, &q->base, 1, true);
	for (uint32_t i = q->base; i < q->end && i <= q->last && n < CALL_QROW; i++) {
		if (!(q->got >> (i - q->base) & 1))
			missing[n++] = i;
	}
	return ask_later(turn, missing, n, false);
}

int qblock_take(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	if (slot->block != BLOCK_QSEND && slot->block != BLOCK_QFETCH)
		return 0;
	turn->out->kind = 0;
	if (!turn->message && !forget(slot, turn->in->exchange))
		return 0;
	int n = take_common(turn);
	if (n != NOT_COMMON)
		return n;
	return slot->block == BLOCK_QSEND ? take_qsend(turn) : take_qfetch(turn);
}

int qblock_due(struct call_turn *turn)
{
	return turn->slot->block == BLOCK_QSEND ? due_qsend(turn) : due_qfetch(turn);
}
