/* The builder of messages (RFC 7252 §3): bounded as the parser is, and with an error that sticks.
 *
 * Invariant: what stands before `at` is the beginning of a well-formed message or rest; `at` is at most `end`, which is
 * at most the size of a datagram behind `buf`; `options` is where the first option stands and `last` the number of the
 * last one, or CLOSED.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/message.h>

#include "short_rules.h"
#include "wire.h"

#include <string.h>

#define CLOSED 0x10000u /* as `last`: no option may follow, because of the payload or of an error */

static void fail(struct copse_builder *b, int err)
{
	if (b->err == 0)
		b->err = err;
	b->last = CLOSED;
}

/* Write what stands behind a nibble for `n`, and return the nibble (RFC 7252 §3.1, RFC 8974 §2.1). */
static unsigned put_extended(uint8_t **p, size_t n)
{
	if (n < 13)
		return (unsigned)n;
	if (n < 269) {
		*(*p)++ = (uint8_t)(n - 13);
		return 13;
	}
	*(*p)++ = (uint8_t)((n - 269) >> 8);
	*(*p)++ = (uint8_t)(n - 269);
	return 14;
}

#define HEAD_MAX 5

/* Make what stands before an option's value. Returns its length. */
static size_t make_head(uint8_t *head, size_t delta, size_t len)
{
	uint8_t *p = head + 1;
	unsigned high = put_extended(&p, delta) << 4;
	head[0] = (uint8_t)(high | put_extended(&p, len));
	return (size_t)(p - head);
}

void copse_build_rest(struct copse_builder *b, void *buf, size_t cap)
{
	b->buf = b->at = b->options = buf;
	b->end = b->buf + (cap < COPSE_DATAGRAM_MAX ? cap : COPSE_DATAGRAM_MAX);
	b->last = 0;
	b->err = 0;
}

static inline void put_header(uint8_t *p, enum copse_type type, uint8_t code, uint16_t id, unsigned nibble)
{
	p[0] = (uint8_t)(COPSE_VERSION << 6 | (unsigned)type << 4 | nibble);
	p[1] = code;
	FULL_WIDTH(p); /* else gcc makes one word of the four bytes, by many shifts */
	p[2] = (uint8_t)(id >> 8);
	p[3] = (uint8_t)id;
}

/* A message with no token, a long one, or no room for it. */
static COLD void begin_message(struct copse_builder *b, void *buf, size_t cap, enum copse_type type,
			       uint8_t code, uint16_t id, const void *token, size_t token_len)
{
	size_t n = COPSE_HEADER_LEN + (token_len >= 13) + (token_len >= 269) + token_len;
	COPSE_ASSERT(token_len <= 269 + UINT16_MAX);
	copse_build_rest(b, buf, cap);
	if (n > (size_t)(b->end - b->buf)) {
		fail(b, COPSE_ERR_NOROOM);
		return;
	}
	b->at += COPSE_HEADER_LEN;
	put_header(b->buf, type, code, id, put_extended(&b->at, token_len));
	if (token_len > 0)
		memcpy(b->at, token, token_len);
	b->options = b->at += token_len;
}

void copse_build_message(struct copse_builder *b, void *buf, size_t cap, enum copse_type type, uint8_t code,
			 uint16_t id, const void *token, size_t token_len)
{
	const size_t least = COPSE_HEADER_LEN + COPSE_TOKEN_MAX;
	uint8_t *p = buf;
	if (SHORT_WAY && token_len - 1 < COPSE_TOKEN_MAX && cap - least <= COPSE_DATAGRAM_MAX - least) {
		b->buf = p;
		b->at = b->options = p + COPSE_HEADER_LEN + token_len;
		b->end = p + cap;
		b->last = 0;
		b->err = 0;
		put_header(p, type, code, id, (unsigned)token_len);
		copy_short(p + COPSE_HEADER_LEN, token, token_len);
		return;
	}
	begin_message(b, buf, cap, type, code, id, token, token_len);
}

/* The option that begins at `p` of what we wrote ourselves, and so is well formed: its delta, the length of its value,
 * and (returned) where the value begins. */
static uint8_t *read_head(uint8_t *p, size_t *delta, size_t *len)
{
	size_t n[2] = {*p >> 4, *p & 15};
	p++;
	for (int i = 0; i < 2; i++) {
		if (n[i] == 13) {
			n[i] += *p++;
		} else if (n[i] == 14) {
			n[i] = 269u + (unsigned)(p[0] << 8 | p[1]);
			p += 2;
		}
	}
	*delta = n[0];
	*len = n[1];
	return p;
}

/* Append an option, or put one with a number below the last between its neighbours: behind its equals, and the delta
 * of the one that follows shrinks. */
static int add(struct copse_builder *b, unsigned number, const void *value, size_t len, bool once)
{
	uint8_t *at = b->at, *tail = b->at; /* where it goes, and what moves */
	uint8_t head[HEAD_MAX], next_head[HEAD_MAX];
	size_t next_n = 0;
	unsigned prev = b->last;
	if (number < prev) {
		size_t delta, next_len = 0;
		prev = 0;
		at = tail = b->options;
		do {
			at = tail + next_len;
			tail = read_head(at, &delta, &next_len);
			prev += (unsigned)delta;
		} while (prev <= number);
		next_n = make_head(next_head, prev - number, next_len);
		prev -= (unsigned)delta;
	}
	if (once && prev == number && at > b->options)
		return COPSE_ERR_ARGUMENT;
	size_t n = make_head(head, number - prev, len), room = (size_t)(b->end - at);
	size_t moved = (size_t)(b->at - tail);
	if (len > room || n + len + next_n + moved > room)
		return COPSE_ERR_NOROOM;
	memmove(at + n + len + next_n, tail, moved);
	memcpy(at, head, n);
	at += n;
	if (len > 0)
		memcpy(at, value, len);
	at += len;
	memcpy(at, next_head, next_n);
	b->at = at + next_n + moved;
	if (number > b->last)
		b->last = number;
	return 0;
}

/* The same for a number that is not below the last, with nothing to move. */
static int append(struct copse_builder *b, unsigned number, const void *value, size_t len, bool once)
{
	size_t delta = number - b->last, room = (size_t)(b->end - b->at);
	if (once && delta == 0 && b->at > b->options)
		return COPSE_ERR_ARGUMENT;
	if (len > room || len + 1 + (delta >= 13) + (delta >= 269) + (len >= 13) + (len >= 269) > room)
		return COPSE_ERR_NOROOM;
	b->at += make_head(b->at, delta, len);
	if (len > 0)
		memcpy(b->at, value, len);
	b->at += len;
	b->last = number;
	return 0;
}

/* Any option; `rule` 0 allows all. */
static void add_by_rule(struct copse_builder *b, uint16_t number, const void *value, size_t len,
			unsigned rule)
{
	int err = COPSE_ERR_ARGUMENT;
	bool allowed =
	    rule == 0 || (len <= (rule & COPSE_RULE_MAX) && (len > 0 || (rule & COPSE_RULE_EMPTY)));
	if (b->last != CLOSED && allowed)
		err = (SHORT_WAY && number >= b->last ? append : add)(b, number, value, len,
								      rule != 0 && !(rule & COPSE_RULE_MANY));
	if (err < 0)
		fail(b, err);
}

void copse_build_raw(struct copse_builder *b, uint16_t number, const void *value, size_t len)
{
	add_by_rule(b, number, value, len, 0);
}

static APART void add_any(struct copse_builder *b, uint16_t number, const void *value, size_t len)
{
	add_by_rule(b, number, value, len, copse_option_rule(number));
}

/* Append an option of the common kind: number below 64 and not below the last one, a value that the registry allows,
 * delta and length in one byte. Returns false, with nothing done, when it is another or there is no room. */
static inline HOT bool append_short(struct copse_builder *b, size_t number, const uint8_t *value, size_t len)
{
	size_t head = (number - b->last) << 4 | len; /* large when `number` is below or the builder closed */
	uint8_t *p = b->at;
	if (number >= COPSE_OPTION_LOW || (uint8_t)(len - 1) >= short_rules[number] ||
	    (size_t)(b->end - p) <= len)
		return false;
	if (unlikely(head - (1 << 4) >= SHORT << 4) && (head > SHORT || !short_rules[SHORT_MANY + number]))
		return false;
	b->last = (uint32_t)number;
	b->at = p + 1 + len;
	*p = (uint8_t)head;
	copy_short(p + 1, value, len);
	return true;
}

void copse_build_option(struct copse_builder *b, uint16_t number, const void *value, size_t len)
{
	size_t n = number;
	FULL_WIDTH(n);
	if (!SHORT_WAY || unlikely(!append_short(b, n, value, len)))
		add_any(b, number, value, len);
}

void copse_build_uint(struct copse_builder *b, uint16_t number, uint32_t value)
{
	uint8_t bytes[4] = {(uint8_t)value};
	if (SHORT_WAY && likely(value - 1 < UINT8_MAX) && likely(append_short(b, number, bytes, 1)))
		return;
	size_t n = 4;
	for (; value != 0; value >>= 8)
		bytes[--n] = (uint8_t)value;
	add_any(b, number, bytes + n, 4 - n);
}

void copse_build_options(struct copse_builder *b, const void *options, size_t len)
{
	uint8_t *end = b->at + len;
	COPSE_ASSERT(b->err != 0 || (b->at == b->options && b->last == 0));
	if (len > (size_t)(b->end - b->at))
		fail(b, COPSE_ERR_NOROOM);
	if (b->err != 0 || len == 0)
		return;
	memcpy(b->at, options, len);
	while (b->at < end) {
		size_t delta, value_len;
		b->at = read_head(b->at, &delta, &value_len) + value_len;
		b->last += (uint32_t)delta;
	}
	COPSE_ASSERT(b->at == end && b->last <= UINT16_MAX);
}

uint8_t *copse_build_payload_room(struct copse_builder *b, size_t *cap)
{
	size_t marker = b->last != CLOSED; /* it must still be written */
	size_t room = (size_t)(b->end - b->at);
	*cap = b->err == 0 && room > marker ? room - marker : 0;
	return *cap > 0 ? b->at + marker : NULL;
}

void copse_build_payload_commit(struct copse_builder *b, size_t len)
{
	size_t cap;
	uint8_t *p = copse_build_payload_room(b, &cap);
	if (b->err != 0 || len == 0)
		return;
	COPSE_ASSERT(len <= cap);
	if (b->last != CLOSED)
		*b->at = COPSE_PAYLOAD_MARK;
	b->last = CLOSED;
	b->at = p + len;
}

void copse_build_payload(struct copse_builder *b, const void *payload, size_t len)
{
	size_t cap;
	uint8_t *p = copse_build_payload_room(b, &cap);
	if (b->err != 0 || len == 0)
		return;
	if (len > cap) {
		fail(b, COPSE_ERR_NOROOM);
		return;
	}
	memcpy(p, payload, len);
	copse_build_payload_commit(b, len);
}

int copse_build_finish(struct copse_builder *b)
{
	/* RFC 7252 §4.1: an Empty message is its header */
	if (b->options != b->buf && b->buf[1] == COPSE_CODE_EMPTY && b->at - b->buf != COPSE_HEADER_LEN)
		fail(b, COPSE_ERR_ARGUMENT);
	return b->err != 0 ? b->err : (int)(b->at - b->buf);
}
