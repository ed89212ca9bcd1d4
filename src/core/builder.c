/* The builder of messages (RFC 7252 §3): bounded as the parser is, and with an error that sticks.
 *
 * Invariant: `len` bytes of `buf` are the beginning of a well-formed message, `len` is at most `cap`, `cap`
 * at most the size of a datagram; `options` is where the first option stands and `last` the number of the
 * last one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/message.h>

#include <string.h>

/* The nibble for a delta, length or token length, and how many bytes follow for it (RFC 7252 §3.1, RFC 8974
 * §2.1). */
static inline unsigned nibble(size_t n)
{
	return n < 13 ? (unsigned)n : n < 269 ? 13 : 14;
}

static inline unsigned extra(size_t n)
{
	return n < 13 ? 0 : n < 269 ? 1 : 2;
}

static uint8_t *put_extra(uint8_t *p, size_t n)
{
	if (n >= 269) {
		*p++ = (uint8_t)((n - 269) >> 8);
		*p++ = (uint8_t)(n - 269);
	} else if (n >= 13) {
		*p++ = (uint8_t)(n - 13);
	}
	return p;
}

/* Write an option's first bytes at `p`; returns where the value goes. */
static uint8_t *put_head(uint8_t *p, size_t delta, size_t len)
{
	*p++ = (uint8_t)(nibble(delta) << 4 | nibble(len));
	if ((delta | len) < 13) /* the common case */
		return p;
	return put_extra(put_extra(p, delta), len);
}

static inline size_t head_len(size_t delta, size_t len)
{
	return 1u + extra(delta) + extra(len);
}

static void begin(struct copse_builder *b, void *buf, size_t cap)
{
	b->buf = buf;
	b->cap = cap < COPSE_DATAGRAM_MAX ? cap : COPSE_DATAGRAM_MAX;
	b->len = 0;
	b->options = 0;
	b->last = 0;
	b->payload = false;
	b->err = 0;
}

void copse_build_rest(struct copse_builder *b, void *buf, size_t cap)
{
	begin(b, buf, cap);
}

void copse_build_message(struct copse_builder *b, void *buf, size_t cap, enum copse_type type, uint8_t code,
			 uint16_t id, const void *token, size_t token_len)
{
	begin(b, buf, cap);
	COPSE_ASSERT(token_len <= 269 + UINT16_MAX);
	size_t options = COPSE_HEADER_LEN + extra(token_len) + token_len;
	if (options > b->cap) {
		b->err = COPSE_ERR_NOROOM;
		return;
	}
	uint8_t *p = b->buf;
	p[0] = (uint8_t)(COPSE_VERSION << 6 | (unsigned)type << 4 | nibble(token_len));
	p[1] = code;
	p[2] = (uint8_t)(id >> 8);
	p[3] = (uint8_t)id;
	if (token_len > 0)
		memcpy(put_extra(p + COPSE_HEADER_LEN, token_len), token, token_len);
	b->len = b->options = options;
}

/* An option that stands in the buffer. */
struct placed {
	size_t off; /* of its first byte */
	size_t delta;
	size_t len;   /* of its value */
	size_t value; /* where that begins */
};

/* Read the option at `off` of what we wrote ourselves: it is well formed. */
static struct placed placed_at(const struct copse_builder *b, size_t off)
{
	const uint8_t *p = b->buf + off;
	unsigned head = *p++;
	struct placed o = {off, head >> 4, head & 15, 0};
	for (size_t *n = &o.delta;; n = &o.len) {
		if (*n == 13) {
			*n += *p++;
		} else if (*n == 14) {
			*n = 269u + (unsigned)(p[0] << 8 | p[1]);
			p += 2;
		}
		if (n == &o.len)
			break;
	}
	o.value = (size_t)(p - b->buf);
	return o;
}

/* Where `number` belongs: behind all options of a number that is not higher. `*prev` is the number before it.
 */
static struct placed place_for(const struct copse_builder *b, uint16_t number, unsigned *prev)
{
	struct placed o = placed_at(b, b->options);
	*prev = 0;
	while (*prev + o.delta <= number) {
		*prev += (unsigned)o.delta;
		o = placed_at(b, o.value + o.len);
	}
	return o;
}

/* Put an option with a number below the last one between its neighbours: the following one's delta shrinks.
 */
static int insert(struct copse_builder *b, uint16_t number, const void *value, size_t len, bool once)
{
	unsigned prev;
	struct placed next = place_for(b, number, &prev);
	if (once && prev == number)
		return COPSE_ERR_ARGUMENT;
	size_t next_delta = prev + next.delta - number;
	size_t front = head_len(number - prev, len) + len + head_len(next_delta, next.len);
	size_t tail = b->len - next.value;
	if (front > b->cap - next.off || tail > b->cap - next.off - front)
		return COPSE_ERR_NOROOM;
	memmove(b->buf + next.off + front, b->buf + next.value, tail);
	uint8_t *p = put_head(b->buf + next.off, number - prev, len);
	if (len > 0)
		memcpy(p, value, len);
	put_head(p + len, next_delta, next.len);
	b->len = next.off + front + tail;
	return 0;
}

static int append(struct copse_builder *b, uint16_t number, const void *value, size_t len, bool once)
{
	if (b->payload)
		return COPSE_ERR_ARGUMENT;
	if (len > b->cap)
		return COPSE_ERR_NOROOM;
	if (number < b->last)
		return insert(b, number, value, len, once);
	size_t delta = (size_t)(number - b->last);
	if (once && delta == 0 && b->len > b->options)
		return COPSE_ERR_ARGUMENT;
	if (head_len(delta, len) + len > b->cap - b->len)
		return COPSE_ERR_NOROOM;
	uint8_t *p = put_head(b->buf + b->len, delta, len);
	if (len > 0)
		memcpy(p, value, len);
	b->len = (size_t)(p - b->buf) + len;
	b->last = number;
	return 0;
}

void copse_build_raw(struct copse_builder *b, uint16_t number, const void *value, size_t len)
{
	if (b->err == 0)
		b->err = append(b, number, value, len, false);
}

void copse_build_option(struct copse_builder *b, uint16_t number, const void *value, size_t len)
{
	if (b->err != 0)
		return;
	unsigned rule = copse_option_rule(number);
	if (rule != 0 && (len > (rule & COPSE_RULE_MAX) || (len == 0 && !(rule & COPSE_RULE_EMPTY))))
		b->err = COPSE_ERR_ARGUMENT;
	else
		b->err = append(b, number, value, len, rule != 0 && !(rule & COPSE_RULE_MANY));
}

void copse_build_uint(struct copse_builder *b, uint16_t number, uint32_t value)
{
	uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
			    (uint8_t)value};
	size_t skip = 0;
	while (skip < 4 && bytes[skip] == 0)
		skip++;
	copse_build_option(b, number, bytes + skip, 4 - skip);
}

uint8_t *copse_build_payload_room(struct copse_builder *b, size_t *cap)
{
	size_t at = b->len + !b->payload; /* the marker comes first */
	if (b->err != 0 || at >= b->cap) {
		*cap = 0;
		return NULL;
	}
	*cap = b->cap - at;
	return b->buf + at;
}

void copse_build_payload_commit(struct copse_builder *b, size_t len)
{
	if (b->err != 0 || len == 0)
		return;
	COPSE_ASSERT(b->len + !b->payload <= b->cap && len <= b->cap - b->len - !b->payload);
	if (!b->payload)
		b->buf[b->len++] = COPSE_PAYLOAD_MARK;
	b->payload = true;
	b->len += len;
}

void copse_build_payload(struct copse_builder *b, const void *payload, size_t len)
{
	size_t room;
	if (b->err != 0 || len == 0)
		return;
	uint8_t *p = copse_build_payload_room(b, &room);
	if (len > room) {
		b->err = COPSE_ERR_NOROOM;
		return;
	}
	memcpy(p, payload, len);
	copse_build_payload_commit(b, len);
}

int copse_build_finish(struct copse_builder *b)
{
	/* RFC 7252 §4.1: an Empty message is its header */
	if (b->err == 0 && b->options != 0 && b->buf[1] == COPSE_CODE_EMPTY && b->len != COPSE_HEADER_LEN)
		b->err = COPSE_ERR_ARGUMENT;
	return b->err != 0 ? b->err : (int)b->len;
}
