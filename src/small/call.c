/* The client: one request at a time in a slot, its body by Block1, the answer's by Block2 (RFC 7959).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

enum {
	UP,
	LAST,
	DOWN
}; /* slot->code of a call: a piece of our body is under way, the last one, a piece of theirs */

int copse_small_ask(struct copse_small *s, const struct copse_small_peer *peer,
		    const struct copse_small_call *call, copse_small_ms now)
{
	uint32_t token[2];
	small_draw(s, token);
	struct copse_small_slot *slot = small_take(s, CALL, peer, (const uint8_t *)token, sizeof(token));
	if (!slot)
		return COPSE_ERR_NOROOM;
	slot->what = call;
	slot->confirm = call->flags & COPSE_SMALL_CON;
	slot->szx = COPSE_SMALL_SZX;
	slot->state = READY;
	slot->due = now;
	return 0;
}

size_t small_request(struct copse_small_slot *slot, uint8_t *out)
{
	const struct copse_small_call *call = slot->what;
	struct copse_small_out o;
	uint32_t block = slot->place >> slot->szx | slot->szx;
	memset(&o, 0, sizeof(o));
	o.bytes = out;
	o.room = (uint16_t)(16u << slot->szx);
	o.path = call->path;
	o.set = 1u << COPSE_SMALL_URI_PATH | 1u << COPSE_SMALL_URI_QUERY;
	if (slot->code != DOWN && call->body) {
		o.offset = slot->place;
		call->body(call, &o);
		copse_small_set(&o, COPSE_SMALL_FORMAT, call->format);
		slot->code = o.total > o.offset + o.room ? UP : LAST;
		if (o.total > o.room)
			copse_small_set(&o, COPSE_SMALL_BLOCK1, block | (slot->code == UP ? 8 : 0));
	} else {
		copse_small_set(&o, COPSE_SMALL_BLOCK2, block); /* §2.4: we say at once what fits */
	}
	return small_encode(&o, slot->confirm ? CON : NON, call->code, slot->mid, slot->token,
			    slot->token_len);
}

static void end(struct copse_small_slot *slot, int code, const struct copse_small_message *m, uint32_t offset)
{
	const struct copse_small_call *call = slot->what;
	slot->kind = FREE;
	if (call->answer)
		call->answer(call, code, m, offset, false);
}

void small_fail(struct copse_small_slot *slot, int err)
{
	if (slot->kind == CALL)
		end(slot, err, NULL, 0);
	else
		slot->kind = FREE;
}

/* Sum up the ETag, to find that it is another one. */
static uint16_t digest(const struct copse_small_message *m)
{
	struct copse_small_value etag = {NULL, 0};
	uint32_t sum = 1;
	if (copse_small_walk(m, COPSE_OPTION_ETAG, &etag))
		while (etag.len-- > 0)
			sum = sum * 31 + *etag.at++;
	return (uint16_t)(sum ^ sum >> 16);
}

/* The answer to a piece of our body. Returns whether the call goes on with another. */
static bool up(struct copse_small_slot *slot, const struct copse_small_message *m)
{
	uint32_t block = copse_small_uint(m, COPSE_OPTION_BLOCK1, 0);
	unsigned szx = block & 7;
	if (!copse_small_has(m, COPSE_OPTION_BLOCK1))
		return false;
	if (m->code == COPSE_CODE_CONTINUE && slot->code == UP) {
		slot->place += 16u << slot->szx;
	} else if (m->code == COPSE_CODE_REQUEST_ENTITY_TOO_LARGE && szx < slot->szx) {
		slot->place = 0; /* §2.9.3: again, in smaller pieces */
	} else {
		return false;
	}
	if (szx < slot->szx)
		slot->szx = (uint8_t)szx;
	return true;
}

/* A block of the answer's body, or all of it. Returns whether the call goes on. */
static bool down(struct copse_small_slot *slot, const struct copse_small_message *m)
{
	const struct copse_small_call *call = slot->what;
	uint32_t block = copse_small_uint(m, COPSE_OPTION_BLOCK2, 0);
	unsigned szx = block & 7;
	uint32_t offset = (block >> 4) << (szx + 4), wanted = slot->code == DOWN ? slot->place : 0;
	uint16_t etag = digest(m);
	if (szx > COPSE_SMALL_SZX || m->cut || (m->code >> 5 == 2 && offset != wanted)) {
		end(slot, COPSE_ERR_BLOCK, NULL, 0); /* larger than asked for, or another one */
		return false;
	}
	if (m->code >> 5 == 2 && wanted > 0 && etag != slot->accept) {
		end(slot, COPSE_ERR_CHANGED, NULL,
		    0); /* §2.4: blocks of different representations make no body */
		return false;
	}
	slot->accept = etag;
	if (!(block & 8)) {
		end(slot, m->code, m, offset);
		return false;
	}
	if (call->answer)
		call->answer(call, m->code, m, offset, true);
	slot->code = DOWN;
	slot->place = offset + m->payload_len;
	slot->szx = (uint8_t)szx;
	return true;
}

unsigned small_response(struct copse_small *s, const struct copse_small_peer *peer,
			const struct copse_small_message *m, copse_small_ms now)
{
	struct copse_small_slot *slot = small_slot(s, CALL, peer, m->bytes + 4, m->token_len);
	/* A piggybacked response bears the request's ID too (RFC 7252 §5.3.2). */
	if (!slot || slot->state == READY || (m->type == ACK && slot->mid != m->id))
		return m->type == CON ? RST : NON;
	if ((slot->code != DOWN && up(slot, m)) || (slot->kind == CALL && down(slot, m))) {
		slot->state = READY;
		slot->due = now;
	}
	return m->type == CON ? ACK : NON;
}
