/* The transfer of bodies, block by block (RFC 7959): a table of what each kind of answer leads to in each state, drawn in
 * doc/states/client-block.md. One request is under way at a time.
 *
 * Invariants: `sent` is where the request block under way begins; `received` is where the next piece of the answer's
 * body belongs, and everything before it has been written.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_call.h"

#include <string.h>

/* What an answer means to a transfer. */
enum block_symbol {
	SYM_CONTINUE, /* 2.31, or a 2.xx to one block of a server that takes each for itself */
	SYM_MORE,     /* 2.xx with a piece of a body that goes on */
	SYM_WHOLE,    /* 2.xx with the last piece, or all there is */
	SYM_LOST,     /* 4.08: the server does not have the blocks before this one */
	SYM_LARGE,    /* 4.13 */
	SYM_ECHO,     /* 4.01 with an Echo value to repeat */
	SYM_ERROR,    /* another 4.xx or 5.xx */
	SYM_TIMEOUT,
	SYM_DEAD, /* rejected, unreachable, or not to be understood */
	SYMBOLS
};

typedef int block_action(struct call_turn *turn);

/* Enter `state` and send its request. Returns 0, or 1 with the event of the call's failure. */
static int go(struct call_turn *turn, enum block_state state)
{
	turn->slot->block = (uint8_t)state;
	int err = block_send(turn->client, turn->slot, turn->now);
	return err < 0 ? block_failed(turn, err) : 0;
}

/* The same after a step forward: attempts begin anew, and the application sees how far it is. */
static int advance(struct call_turn *turn, enum block_state state)
{
	turn->slot->attempts = turn->client->config.attempts;
	return go(turn, state) ? 1 : call_event(turn, COPSE_CLIENT_PROGRESS, 0);
}

static int read_block(const struct call_turn *turn, uint16_t number, struct copse_block *block)
{
	return copse_block_read_from(turn->in->peer, turn->message, number, block);
}

static bool use_attempt(uint8_t *left)
{
	if (*left == 0)
		return false;
	--*left;
	return true;
}

/* Where to begin with a body of a request. Returns a state, or what `read` returned. */
static int first_state(struct copse_client *client, struct call_slot *slot)
{
	if (slot->call.body_len == 0)
		return BLOCK_ASK;
	int more = call_body_beyond(slot, call_out_len(client, slot));
	if (more <= 0)
		return more < 0 ? more : BLOCK_ASK;
	return BLOCK_SEND;
}

/* Begin the request from its first byte. */
static int begin_anew(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	int state = first_state(turn->client, slot);

	if (state < 0)
		return block_failed(turn, state);
	slot->sent = slot->received = 0;
	slot->etag_len = 0;
	slot->in_szx = slot->call.szx;
	slot->tagged = state == BLOCK_SEND;
	/* RFC 9175 §3.3: blocks of an operation that was given up must not mix with those of the next. */
	slot->tag = turn->client->next_tag++;
	return go(turn, (enum block_state)state);
}

/* RFC 7959 §2.9.2: the server lost the beginning; or what is fetched has changed. Only a request that changes nothing,
 * or that the server says it has not carried out, may be made again. */
static int act_restart(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	if (!use_attempt(&slot->restarts))
		return block_failed(turn,
				    slot->block == BLOCK_FETCH ? COPSE_ERR_CHANGED : COPSE_ERR_INCOMPLETE);
	turn->client->counters.restarted++;
	if (slot->block != BLOCK_FETCH)
		return begin_anew(turn);
	if (!copse_code_is_safe(slot->call.code))
		return block_failed(turn, COPSE_ERR_CHANGED);
	if (slot->tagged)
		return begin_anew(turn);
	slot->received = 0;
	slot->etag_len = 0;
	return go(turn, BLOCK_FETCH);
}

/* The body is not whole and nothing else is to be had: an answer of 4.08 or 4.00 to a piece means that the server keeps
 * nothing of it any more (RFC 7959 §2.4, §2.9.2). */
static int act_refetch(struct call_turn *turn)
{
	uint8_t code = turn->message->code;

	if (code == COPSE_CODE_REQUEST_ENTITY_INCOMPLETE || code == COPSE_CODE_BAD_REQUEST)
		return act_restart(turn);
	return block_done(turn);
}

/* The next block of the request's body, in the size that the server asks for (RFC 7959 §2.3). */
static int act_next(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	struct copse_block block;
	int got = read_block(turn, COPSE_OPTION_BLOCK1, &block);

	if (got <= 0 || block.num != copse_block_number(slot->sent, slot->out_szx))
		return block_failed(turn, COPSE_ERR_BLOCK);
	slot->sent += slot->out_len;
	if (block.szx < slot->out_szx) {
		slot->out_szx = block.szx;
		turn->client->counters.shrunk++;
	}
	int more = call_body_beyond(slot, slot->sent + call_out_len(turn->client, slot));
	if (more < 0)
		return block_failed(turn, more);
	return advance(turn, more ? BLOCK_SEND : BLOCK_LAST);
}

/* RFC 7959 §2.9.3: 4.13 may say with a Block1 option that smaller blocks would do. */
static int act_shrink(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	struct copse_block block;
	int got = read_block(turn, COPSE_OPTION_BLOCK1, &block);

	if (got <= 0 || block.szx >= slot->out_szx || slot->call.body_len == 0)
		return block_done(turn);
	slot->out_szx = block.szx;
	turn->client->counters.shrunk++;
	return begin_anew(turn);
}

/* RFC 9175 §2.3 */
static int act_echo(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	const struct copse_option *o = copse_message_option(turn->message, COPSE_OPTION_ECHO);

	if (!use_attempt(&slot->attempts))
		return block_done(turn);
	slot->echo_len = (uint8_t)o->len;
	memcpy(slot->echo, copse_option_value(turn->message, o), o->len);
	turn->client->counters.echoed++;
	return go(turn, (enum block_state)slot->block);
}

static int act_repeat(struct call_turn *turn)
{
	/* Without a transfer the endpoint's tries were what RFC 7252 grants; within one a lost block is no reason
	 * to throw away what has been moved already. */
	if (!use_attempt(&turn->slot->attempts))
		return block_failed(turn, COPSE_ERR_TIMEOUT);
	turn->client->counters.repeated++;
	return go(turn, (enum block_state)turn->slot->block);
}

/* The last block starts what the request is about: once more only if that does no harm (RFC 7252 §5.1). */
static int act_repeat_last(struct call_turn *turn)
{
	uint8_t code = turn->slot->call.code;

	if (code == COPSE_CODE_POST || code == COPSE_CODE_PATCH)
		return block_failed(turn, COPSE_ERR_TIMEOUT);
	return act_repeat(turn);
}

static int act_fail(struct call_turn *turn)
{
	return block_failed(turn, turn->in->error);
}

static int act_confused(struct call_turn *turn)
{
	return block_failed(turn, COPSE_ERR_BLOCK);
}

bool block_same_etag(const struct call_slot *slot, const struct copse_message *m)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ETAG);

	if (!o)
		return slot->etag_len == 0;
	return copse_option_is(m, o, slot->etag, slot->etag_len);
}

void block_keep_etag(struct call_slot *slot, const struct copse_message *m)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ETAG);

	slot->etag_len = o ? (uint8_t)o->len : 0;
	if (o)
		memcpy(slot->etag, copse_option_value(m, o), o->len);
}

int block_write(struct call_slot *slot, const struct copse_message *m, uint32_t offset)
{
	if (!slot->call.write || !copse_code_is_success(m->code))
		return 0;
	int err = slot->call.write(slot->call.user, offset, copse_message_payload(m), m->payload_len);
	return err < 0 ? err : 0;
}

/* The first piece of a body, and maybe the only one. */
int block_body(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	const struct copse_message *m = turn->message;
	struct copse_block block = {.num = 0, .more = false, .szx = slot->in_szx};
	int got = read_block(turn, COPSE_OPTION_BLOCK2, &block);

	/* RFC 7959 §2.2: a response bears the block asked for: the first, or with ONE_BLOCK whatever the options said. */
	bool first = block.num == 0 || slot->call.flags & COPSE_CALL_ONE_BLOCK;
	if (got < 0 || (got > 0 && (!first || !copse_block_fits(&block, m->payload_len))))
		return block_failed(turn, COPSE_ERR_BLOCK);
	block_keep_etag(slot, m);
	slot->size = copse_message_uint(m, COPSE_OPTION_SIZE2, COPSE_BODY_UNKNOWN);
	int err = block_write(slot, m, 0);
	if (err)
		return block_failed(turn, err);
	turn->client->counters.blocks_in++;
	slot->received = m->payload_len;
	if (!block.more || !slot->call.write || slot->call.flags & COPSE_CALL_ONE_BLOCK)
		return block_done(turn);
	if (block.szx < slot->in_szx)
		slot->in_szx = block.szx;
	return advance(turn, BLOCK_FETCH);
}

/* The answer to the whole request. */
static int act_body(struct call_turn *turn)
{
	if (turn->slot->block != BLOCK_ASK)
		turn->slot->sent = turn->slot->call.body_len;
	return block_body(turn);
}

/* A further piece. Returns 0 when it is good, a negative error for `read` and `write`, or 1: begin anew. */
static int check_piece(const struct call_turn *turn, struct copse_block *block)
{
	const struct call_slot *slot = turn->slot;
	const struct copse_message *m = turn->message;
	int got = read_block(turn, COPSE_OPTION_BLOCK2, block);

	if (got < 0 || (got > 0 && !copse_block_fits(block, m->payload_len)))
		return COPSE_ERR_BLOCK;
	if (got > 0 && copse_block_offset(block) != slot->received)
		return COPSE_ERR_BLOCK;
	/* RFC 7959 §2.4: another ETag is another representation; and one that fits into a message is a new one. */
	return got == 0 || !block_same_etag(slot, m);
}

static int act_piece(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	struct copse_block block;
	int bad = check_piece(turn, &block);

	if (bad < 0)
		return block_failed(turn, bad);
	/* A piece that begins the body is welcome whatever its ETag; it is only asked for to begin anew. */
	if (slot->received == 0)
		return block_body(turn);
	if (bad)
		return act_restart(turn);
	int err = block_write(slot, turn->message, slot->received);
	if (err)
		return block_failed(turn, err);
	turn->client->counters.blocks_in++;
	slot->received += turn->message->payload_len;
	if (!block.more)
		return block_done(turn);
	if (block.szx < slot->in_szx) {
		slot->in_szx = block.szx;
		turn->client->counters.shrunk++;
	}
	return advance(turn, BLOCK_FETCH);
}

static block_action *const actions[BLOCK_STATES][SYMBOLS] = {
    [BLOCK_ASK] = {act_confused, act_body, act_body, block_done, act_shrink, act_echo, block_done, act_fail,
		   act_fail},
    [BLOCK_SEND] = {act_next, act_confused, act_confused, act_restart, act_shrink, act_echo, block_done,
		    act_repeat, act_fail},
    [BLOCK_LAST] = {act_confused, act_body, act_body, act_restart, act_shrink, act_echo, block_done,
		    act_repeat_last, act_fail},
    [BLOCK_FETCH] = {act_confused, act_piece, act_piece, act_refetch, act_refetch, act_echo, act_refetch,
		     act_repeat, act_fail},
};

static enum block_symbol success(const struct call_turn *turn)
{
	const struct copse_message *m = turn->message;
	struct copse_block block;

	/* RFC 7959 §2.3: to a block that is not the last, a server that treats each for itself answers as to a
	 * request of its own. */
	if (m->code == COPSE_CODE_CONTINUE)
		return SYM_CONTINUE;
	if (turn->slot->block == BLOCK_SEND && copse_message_option(m, COPSE_OPTION_BLOCK1))
		return SYM_CONTINUE;
	return read_block(turn, COPSE_OPTION_BLOCK2, &block) > 0 && block.more ? SYM_MORE : SYM_WHOLE;
}

static enum block_symbol classify(const struct call_turn *turn)
{
	const struct copse_message *m = turn->message;

	if (!m)
		return turn->in->error == COPSE_ERR_TIMEOUT ? SYM_TIMEOUT : SYM_DEAD;
	if (copse_code_is_success(m->code))
		return success(turn);
	if (m->code == COPSE_CODE_UNAUTHORIZED && copse_message_option(m, COPSE_OPTION_ECHO))
		return SYM_ECHO;
	if (m->code == COPSE_CODE_REQUEST_ENTITY_INCOMPLETE)
		return SYM_LOST;
	return m->code == COPSE_CODE_REQUEST_ENTITY_TOO_LARGE ? SYM_LARGE : SYM_ERROR;
}

/* RFC 7252 §8.2: every server of the group answers for itself; the collection ends with the endpoint's time-out. */
static int take_many(struct call_turn *turn)
{
	struct copse_block block;

	if (!turn->message)
		return call_over(turn, COPSE_CLIENT_FAILED, turn->in->error);
	turn->slot->received = turn->message->payload_len;
	call_event(turn, COPSE_CLIENT_RESPONSE, 0);
	turn->out->partial = read_block(turn, COPSE_OPTION_BLOCK2, &block) > 0 && block.more;
	return 1;
}

/* What the peer takes is known with its greeting (RFC 8323 §5.3), which has come before this. */
static int take_pong(struct call_turn *turn)
{
	struct copse_client *client = turn->client;
	struct call_slot *slot = turn->slot;

	if (turn->in->kind != COPSE_EVENT_PONG)
		return block_failed(turn, turn->in->error);
	int err = block_begin(client, slot, turn->now);
	if (copse_err_is_transient(err))
		call_postpone(client, slot, turn->now);
	else if (err < 0)
		return block_failed(turn, err);
	return 0;
}

int block_take(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	enum block_symbol symbol;

	if (slot->block == BLOCK_MANY)
		return take_many(turn);
	slot->exchange = COPSE_NO_HANDLE; /* it is over with this event */
	if (slot->block == BLOCK_GREET)
		return take_pong(turn);
	symbol = classify(turn);
	block_action *act = actions[slot->block][symbol];
	COPSE_ASSERT(act);
	return act(turn);
}

int block_send(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	unsigned flags = slot->block == BLOCK_MANY ? COPSE_REQUEST_MANY : 0;

	slot->postponed = false;
	int len = call_build(client, slot, CALL_NO_OBSERVE, 0);
	if (len < 0)
		return len;
	int err = call_request(client, slot, len, flags, now, &slot->exchange);
	if (!copse_err_is_transient(err))
		return err;
	call_postpone(client, slot, now);
	return 0;
}

/* Whether to wait for the peer's greeting: a body of several blocks goes to a peer of which it is not known how much it
 * takes at once. Asked once: who says nothing of it does not. */
static bool waits_for_greeting(struct call_slot *slot)
{
	if (!copse_peer_is_reliable(&slot->peer) || slot->greeted || slot->out_szx != COPSE_BLOCK_SZX_BERT)
		return false;
	slot->greeted = true;
	return copse_peer_units(&slot->peer) == 0 &&
	       call_body_beyond(slot, copse_block_size(COPSE_BLOCK_SZX_MAX)) > 0;
}

int block_begin(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	if (slot->call.body_len > 0 && waits_for_greeting(slot)) {
		slot->block = BLOCK_GREET;
		return copse_endpoint_ping(client->ep, &slot->peer, slot, now, &slot->exchange);
	}
	int state = first_state(client, slot);

	if (state < 0)
		return state;
	if (slot->call.flags & COPSE_CALL_MANY) {
		if (state != BLOCK_ASK)
			return COPSE_ERR_ARGUMENT; /* RFC 7959 §2.8: no Block1 by multicast */
		state = BLOCK_MANY;
	}
	slot->tagged = state == BLOCK_SEND;
	slot->block = (uint8_t)state;
	if (slot->call.flags & COPSE_CALL_QBLOCK && state == BLOCK_SEND)
		return qblock_begin_send(client, slot, now);
	if (slot->call.flags & COPSE_CALL_QBLOCK && state == BLOCK_ASK && copse_code_is_safe(slot->call.code))
		return qblock_begin_fetch(client, slot, now);
	/* Want of room is the caller's to know as long as nothing has begun. */
	int len = call_build(client, slot, CALL_NO_OBSERVE, 0);
	if (len < 0)
		return len;
	return call_request(client, slot, len, state == BLOCK_MANY ? COPSE_REQUEST_MANY : 0, now,
			    &slot->exchange);
}

int block_plain(struct copse_client *client, struct call_slot *slot)
{
	int state = first_state(client, slot);

	if (state != BLOCK_ASK)
		return state < 0 ? state : COPSE_ERR_ARGUMENT;
	slot->block = BLOCK_ASK;
	return call_build(client, slot, CALL_NO_OBSERVE, 0);
}

int block_again(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	call_drop(turn->client, slot, turn->now);
	slot->sent = slot->received = 0;
	slot->tag = turn->client->next_tag++;
	int err = block_begin(turn->client, slot, turn->now);
	if (copse_err_is_transient(err)) {
		call_postpone(turn->client, slot, turn->now);
		return 0;
	}
	return err < 0 ? block_failed(turn, err) : 0;
}

int block_done(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	struct copse_block block;

	if (slot->observe != OBSERVE_NONE) {
		bool whole = copse_code_is_success(turn->message->code);
		if (whole)
			call_event(turn, COPSE_CLIENT_NOTIFICATION, 0);
		observe_settle(turn->client, slot, turn->now, whole);
		return whole;
	}
	call_over(turn, COPSE_CLIENT_RESPONSE, 0);
	turn->out->partial = read_block(turn, COPSE_OPTION_BLOCK2, &block) > 0 && block.more;
	return 1;
}

/* Whether a notification's body could not be had though nothing is wrong with the observation: the next one may do. */
static bool is_passing(int error)
{
	return error == COPSE_ERR_CHANGED || error == COPSE_ERR_BLOCK || error == COPSE_ERR_TIMEOUT;
}

int block_failed(struct call_turn *turn, int error)
{
	turn->message = NULL;
	if (turn->slot->observe != OBSERVE_NONE && is_passing(error)) {
		observe_settle(turn->client, turn->slot, turn->now, false);
		return 0;
	}
	return call_over(turn, COPSE_CLIENT_FAILED, error);
}
