/* Frames and signaling messages of RFC 8323; see copse/frame.h. Every byte is read through the cursor; the options of
 * signaling messages have numbers of their own for each code (§5.2), so that the registry of options has no say.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "wire.h"

#include <copse/frame.h>

/* RFC 8323 §3.2: where the forms of Len begin. */
#define LEN_8  13u
#define LEN_16 269u
#define LEN_32 65805u

#define OPT_MAX_MESSAGE 2u /* CSM, §5.3.1 */
#define OPT_BLOCK_WISE  4u /* CSM, §5.3.2 */
#define OPT_CUSTODY     2u /* Ping and Pong, §5.4.1 */
#define OPT_ALTERNATIVE 2u /* Release, §5.5 */
#define OPT_HOLD_OFF    4u /* Release, §5.5 */
#define OPT_BAD_CSM     2u /* Abort, §5.6 */

/* ---- frames ---- */

/* Options and payload by the nibble Len and what follows it. */
static uint64_t read_len(struct wire *w, unsigned nibble)
{
	if (nibble < 13)
		return nibble;
	if (nibble == 13)
		return (uint64_t)wire_u8(w) + LEN_8;
	if (nibble == 14)
		return (uint64_t)wire_u16(w) + LEN_16;
	uint64_t high = wire_u16(w);
	return (high << 16 | wire_u16(w)) + LEN_32;
}

int copse_frame_parse(struct copse_frame *f, const void *bytes, size_t len, size_t max)
{
	static const uint8_t extended[16] = {[13] = 1, [14] = 2, [15] = 4};
	struct wire w = {bytes, (const uint8_t *)bytes + len, false};
	*f = (struct copse_frame){.need = 2};
	if (len == 0)
		return 0;
	const unsigned first = wire_u8(&w), tkl = first & 15;
	if (tkl > COPSE_TOKEN_MAX) /* §3.2, RFC 7252 §3: lengths 9 to 15 are reserved */
		return COPSE_ERR_MALFORMED;
	f->need = 2u + extended[first >> 4] + tkl;
	const uint64_t rest_len = read_len(&w, first >> 4);
	if (w.bad)
		return 0;
	if (rest_len > max || rest_len + f->need > max)
		return COPSE_ERR_NOROOM;
	f->need += (size_t)rest_len;
	f->len = f->need;
	f->code = (uint8_t)wire_u8(&w);
	f->token_len = (uint8_t)tkl;
	f->token = wire_skip(&w, tkl);
	f->rest_len = (size_t)rest_len;
	f->rest = wire_skip(&w, f->rest_len);
	return w.bad ? 0 : 1;
}

static size_t head_len(size_t rest_len)
{
	return 2u + (rest_len < LEN_8 ? 0 : rest_len < LEN_16 ? 1 : rest_len < LEN_32 ? 2 : 4);
}

size_t copse_frame_len(size_t token_len, size_t rest_len)
{
	return head_len(rest_len) + token_len + rest_len;
}

size_t copse_frame_head(uint8_t head[COPSE_FRAME_HEAD_MAX], uint8_t code, const void *token, size_t token_len,
			size_t rest_len)
{
	static const uint8_t nibble[] = {0, 13, 14, 0, 15};
	const size_t extended = head_len(rest_len) - 2;
	const size_t over = rest_len - (extended == 0   ? 0
					: extended == 1 ? LEN_8
					: extended == 2 ? LEN_16
							: LEN_32);
	size_t n = 0;
	COPSE_ASSERT(token_len <= COPSE_TOKEN_MAX);
	head[n++] = (uint8_t)((extended ? nibble[extended] : rest_len) << 4 | token_len);
	for (size_t i = extended; i-- > 0;)
		head[n++] = (uint8_t)(over >> 8 * i);
	head[n++] = code;
	if (token_len)
		memcpy(head + n, token, token_len);
	return n + token_len;
}

int copse_frame_datagram(const struct copse_frame *f, enum copse_type type, uint16_t id, void *buf,
			 size_t cap)
{
	uint8_t *out = buf;
	const size_t head = COPSE_HEADER_LEN + (size_t)f->token_len;
	if (f->rest_len > COPSE_DATAGRAM_MAX || head + f->rest_len > cap)
		return COPSE_ERR_NOROOM;
	out[0] = (uint8_t)(COPSE_VERSION << 6 | (unsigned)type << 4 | f->token_len);
	out[1] = f->code;
	out[2] = (uint8_t)(id >> 8);
	out[3] = (uint8_t)id;
	if (f->token_len)
		memcpy(out + COPSE_HEADER_LEN, f->token, f->token_len);
	if (f->rest_len)
		memcpy(out + head, f->rest, f->rest_len);
	return (int)(head + f->rest_len);
}

int copse_frame_of_datagram(struct copse_frame *f, const void *datagram, size_t len, uint8_t *type,
			    uint16_t *id)
{
	struct wire w = {datagram, (const uint8_t *)datagram + len, false};
	const unsigned first = wire_u8(&w);
	*type = first >> 4 & 3;
	f->code = (uint8_t)wire_u8(&w);
	*id = (uint16_t)wire_u16(&w);
	f->token_len = first & 15;
	f->token = wire_skip(&w, f->token_len);
	if (w.bad || first >> 6 != COPSE_VERSION || f->token_len > COPSE_TOKEN_MAX)
		return COPSE_ERR_MALFORMED;
	f->rest = w.at;
	f->rest_len = wire_left(&w);
	f->len = f->need = copse_frame_len(f->token_len, f->rest_len);
	return COPSE_OK;
}

/* ---- signaling ---- */

struct field {
	uint32_t number;
	const uint8_t *value;
	size_t len;
};

/* RFC 7252 §3.1: a delta or a length; 15 is reserved. */
static uint32_t read_extended(struct wire *w, unsigned nibble)
{
	if (nibble == 13)
		return wire_u8(w) + 13u;
	if (nibble == 14)
		return wire_u16(w) + 269u;
	if (nibble == 15)
		wire_fail(w);
	return nibble;
}

/* The next option. Returns false at the marker and at the end. */
static bool next_field(struct wire *w, struct field *o)
{
	if (wire_left(w) == 0 || *w->at == COPSE_PAYLOAD_MARK)
		return false;
	const unsigned first = wire_u8(w);
	o->number += read_extended(w, first >> 4);
	o->len = read_extended(w, first & 15);
	o->value = wire_skip(w, o->len);
	if (o->number > UINT16_MAX)
		wire_fail(w);
	return !w->bad;
}

static uint32_t uint_of(const struct field *o)
{
	uint32_t v = 0;
	for (size_t i = 0; i < o->len; i++)
		v = v << 8 | o->value[i];
	return v;
}

/* Take an option into `s`. False when it is not understood. One that is repeated, or longer than its kind may be, is as
 * one that is not known (RFC 7252 §5.4.3, §5.4.5). */
static bool take_field(struct copse_signal *s, const struct field *o, bool again)
{
	if (o->number > OPT_HOLD_OFF)
		return false;
	switch (COPSE_CODE(s->code & 31, 0) | o->number) {
	case COPSE_CODE(COPSE_CODE_CSM & 31, 0) | OPT_MAX_MESSAGE:
		if (o->len > 4) /* §5.3.1: the last of several counts */
			return false;
		s->has_max_message = true;
		s->max_message = uint_of(o);
		return true;
	case COPSE_CODE(COPSE_CODE_CSM & 31, 0) | OPT_BLOCK_WISE:
		s->block_wise = s->block_wise || o->len == 0;
		return o->len == 0;
	case COPSE_CODE(COPSE_CODE_PING & 31, 0) | OPT_CUSTODY:
	case COPSE_CODE(COPSE_CODE_PONG & 31, 0) | OPT_CUSTODY:
		s->custody = s->custody || (o->len == 0 && !again);
		return o->len == 0 && !again;
	case COPSE_CODE(COPSE_CODE_RELEASE & 31, 0) | OPT_ALTERNATIVE: /* repeatable */
		if (o->len == 0 || o->len > 255)
			return false;
		if (s->address_n < COPSE_SIGNAL_ADDRESSES)
			s->address[s->address_n++] = (struct copse_signal_address){o->value, o->len};
		return true;
	case COPSE_CODE(COPSE_CODE_RELEASE & 31, 0) | OPT_HOLD_OFF:
		if (o->len > 3 || again)
			return false;
		s->hold_off = uint_of(o);
		return true;
	case COPSE_CODE(COPSE_CODE_ABORT & 31, 0) | OPT_BAD_CSM:
		if (o->len > 2 || again)
			return false;
		s->bad_csm_option = uint_of(o);
		return true;
	default: return false;
	}
}

int copse_signal_parse(struct copse_signal *s, const struct copse_frame *f)
{
	struct wire w = {f->rest, f->rest + f->rest_len, false};
	struct field o = {0, NULL, 0};
	uint32_t before = 0;
	*s = (struct copse_signal){.code = f->code, .token_len = f->token_len, .token = f->token};
	while (next_field(&w, &o)) {
		const bool understood = take_field(s, &o, o.number == before);
		before = o.number;
		if (!understood && (o.number & 1) && !s->bad_option) /* RFC 7252 §5.4.6: odd is critical */
			s->bad_option = o.number;
	}
	if (!w.bad && wire_left(&w) > 0) {
		wire_u8(&w);
		s->text = w.at;
		s->text_len = wire_left(&w);
		if (s->text_len == 0) /* RFC 7252 §3: a marker, and nothing behind it */
			return COPSE_ERR_MALFORMED;
	}
	if (w.bad)
		return COPSE_ERR_MALFORMED;
	return s->bad_option ? COPSE_ERR_BADOPTION : COPSE_OK;
}

/* An option of at most 4 bytes; `*last` is the number of the one before. */
static size_t put_field(uint8_t *to, uint32_t *last, uint32_t number, uint32_t value)
{
	size_t n = 0;
	for (uint32_t v = value; v; v >>= 8)
		n++;
	to[0] = (uint8_t)((number - *last) << 4 | n);
	*last = number;
	for (size_t i = 0; i < n; i++)
		to[1 + i] = (uint8_t)(value >> 8 * (n - 1 - i));
	return 1 + n;
}

int copse_signal_write(const struct copse_signal *s, void *buf, size_t cap)
{
	uint8_t rest[COPSE_SIGNAL_TEXT + 24], head[COPSE_FRAME_HEAD_MAX];
	uint8_t *out = buf;
	uint32_t last = 0;
	size_t n = 0;
	if (s->has_max_message)
		n += put_field(rest + n, &last, OPT_MAX_MESSAGE, s->max_message);
	if (s->block_wise)
		n += put_field(rest + n, &last, OPT_BLOCK_WISE, 0);
	if (s->custody)
		n += put_field(rest + n, &last, OPT_CUSTODY, 0);
	if (s->hold_off)
		n += put_field(rest + n, &last, OPT_HOLD_OFF, s->hold_off);
	if (s->bad_csm_option)
		n += put_field(rest + n, &last, OPT_BAD_CSM, s->bad_csm_option);
	if (s->text_len) {
		const size_t text = s->text_len < COPSE_SIGNAL_TEXT ? s->text_len : COPSE_SIGNAL_TEXT;
		rest[n++] = COPSE_PAYLOAD_MARK;
		memcpy(rest + n, s->text, text);
		n += text;
	}
	const size_t front = copse_frame_head(head, s->code, s->token, s->token_len, n);
	if (front + n > cap)
		return COPSE_ERR_NOROOM;
	memcpy(out, head, front);
	memcpy(out + front, rest, n);
	return (int)(front + n);
}
