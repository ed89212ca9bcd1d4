/* The parser of messages (RFC 7252 §3, §5.4): one pass from the header to the payload.
 *
 * Invariant of a parsed message: every `off` and `len` of it lies within the datagram, and `first[slot]` is
 * below `option_n` wherever `present` has the slot's bit.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/message.h>

#include "short_rules.h"
#include "wire.h"

_Static_assert(COPSE_MESSAGE_OPTIONS > 0 && COPSE_MESSAGE_OPTIONS <= 255, "an index entry is one byte");

/* An option's delta or length, or a token's length, by its nibble (RFC 7252 §3.1, RFC 8974 §2.1). */
static unsigned extended(struct wire *w, unsigned nibble)
{
	if (nibble < 13)
		return nibble;
	if (nibble == 13)
		return wire_u8(w) + 13;
	if (nibble == 14)
		return wire_u16(w) + 269;
	wire_fail(w); /* 15 is for the payload marker alone */
	return 0;
}

/* Enter option `o` into the index, or mark it as RFC 7252 §5.4.1, §5.4.3 and §5.4.5 say. */
static void judge_option(struct copse_message *m, struct copse_option *o)
{
	unsigned slot = copse_option_slot(o->number);
	unsigned rule = slot < COPSE_OPTION_SLOTS ? copse_option_rules[slot] : 0;
	unsigned many = copse_code_is_request(m->code) ? COPSE_RULE_MANY : COPSE_RULE_MANY_RESP;
	bool critical = copse_option_is_critical(o->number);
	o->mark = 0;
	if (rule == 0)
		o->mark = COPSE_OPTION_UNKNOWN;
	else if (o->len > (rule & COPSE_RULE_MAX) || (o->len == 0 && !(rule & COPSE_RULE_EMPTY)) ||
		 (!(rule & many) && o > m->option && o[-1].number == o->number))
		o->mark = critical ? 0 : COPSE_OPTION_IGNORED;
	else
		critical = false;
	if (slot < COPSE_OPTION_SLOTS && m->first[slot] == 0 && (rule == 0 || !(critical || o->mark)))
		m->first[slot] = (uint8_t)(o - m->option + 1);
	/* §5.10.7: a reserved Location-* beside those that we know must not be overlooked */
	if (copse_option_is_reserved_location(o->number))
		critical = m->first[COPSE_OPTION_LOCATION_PATH] | m->first[COPSE_OPTION_LOCATION_QUERY];
	if (!critical)
		return;
	o->mark |= COPSE_OPTION_BAD;
	if (m->bad_option == 0)
		m->bad_option = o->number;
}

/* Take any option, the one at offset `i`. Returns the offset behind it, or an error. */
static APART int take_option(struct copse_message *m, unsigned i, unsigned at)
{
	struct wire w = {m->bytes + i, m->bytes + m->len, false};
	struct copse_option *o = &m->option[at];
	unsigned first = wire_u8(&w);
	unsigned number = extended(&w, first >> 4) + (at > 0 ? o[-1].number : 0);
	unsigned n = extended(&w, first & 15);
	if (w.bad || n > wire_left(&w) || number > UINT16_MAX)
		return COPSE_ERR_MALFORMED;
	if (at == COPSE_MESSAGE_OPTIONS)
		return COPSE_ERR_OPTIONS;
	o->number = (uint16_t)number;
	o->off = (uint16_t)(w.at - m->bytes);
	o->len = (uint16_t)n;
	judge_option(m, o);
	return (int)(o->off + n);
}

/* Takes options from offset `off` on for as long as they are of the common kind: number below 64, valid, with a value,
 * delta and length in one byte; a few instructions each. Stops at another one, and behind so many bytes that there may
 * be too many options. `*taken` options are in the index. Returns the offset where it stopped. */
static inline HOT size_t take_short(struct copse_message *m, const uint8_t *bytes, size_t off, size_t len,
				    size_t number, size_t *taken)
{
	size_t n = *taken + 1;
	size_t end = off + 2 * (COPSE_MESSAGE_OPTIONS - *taken); /* each takes two bytes or more */
	for (end = len < end ? len : end; off < end; n++) {
		size_t first = bytes[off];
		size_t value_len = first & 15;
		FULL_WIDTH(value_len);
		number += first >> 4; /* below 64 + 16 */
		if ((uint8_t)(value_len - 1) >= short_rules[number] || off + value_len >= end)
			break;
		first -= 1 << 4;
		if (first < SHORT << 4) /* a delta of 1 to SHORT */
			m->first[number] = (uint8_t)n;
		else if (first <= UINT8_MAX || !m->first[number] || !short_rules[SHORT_MANY + number])
			break;
		struct copse_option *o = &m->option[n - 1];
		off++;
		o->number = (uint16_t)number;
		o->off = (uint16_t)off;
		o->len = (uint16_t)value_len;
		o->mark = 0;
		off += value_len;
	}
	*taken = n - 1;
	return off;
}

/* The options from offset `off` on, of which `at` are known, and the payload. */
static APART int parse_rest(struct copse_message *m, size_t off, size_t at)
{
	while (off < m->len && m->bytes[off] != COPSE_PAYLOAD_MARK) {
		int next = take_option(m, (unsigned)off, (unsigned)at);
		if (next < 0)
			return next;
		off = (size_t)next;
		at++;
		if (SHORT_WAY && m->option[at - 1].number < COPSE_OPTION_LOW)
			off = take_short(m, m->bytes, off, m->len, m->option[at - 1].number, &at);
	}
	if (off < m->len && ++off == m->len) /* behind the payload marker there must be something (§3) */
		return COPSE_ERR_MALFORMED;
	m->option_n = (uint16_t)at;
	m->payload_off = (uint16_t)off;
	m->payload_len = (uint16_t)(m->len - off);
	return 0;
}

/* What parse_rest does, where nothing is known yet and most probably nothing uncommon follows. */
static inline HOT int parse_short(struct copse_message *m, const uint8_t *bytes, size_t off, size_t len)
{
	size_t taken = 0;
	off = take_short(m, bytes, off, len, 0, &taken);
	if (off < m->len)
		return parse_rest(m, off, taken);
	m->option_n = (uint16_t)taken;
	m->payload_off = (uint16_t)off;
	m->payload_len = 0;
	return 0;
}

/* Which classes of codes a message of a type may have, Empty apart; eight bits a type. Classes 1 and 6 are reserved,
 * and 7 belongs to reliable transports (RFC 7252 §12.1, RFC 8323 §5); an ACK bears no request and a RST nothing (§4.2,
 * §4.3). */
#define CLASSES_CON 0x3du
#define CLASSES_ACK 0x3cu
#define CLASSES     (CLASSES_CON << 8 * COPSE_CON | CLASSES_CON << 8 * COPSE_NON | CLASSES_ACK << 8 * COPSE_ACK)

/* The first four bytes (RFC 7252 §3); `*token` is what they say of the length of the token. */
static inline HOT int parse_header(struct copse_message *m, const uint8_t *bytes, size_t len, size_t *token)
{
	if (len - COPSE_HEADER_LEN > COPSE_DATAGRAM_MAX - COPSE_HEADER_LEN) {
		m->type = COPSE_NON; /* too short or too long for anything to be said of it */
		m->code = COPSE_CODE_EMPTY;
		m->id = 0;
		return COPSE_ERR_MALFORMED;
	}
	size_t first = bytes[0], code = bytes[1], type = first >> 4 & 3;
	m->id = (uint16_t)(bytes[2] << 8 | bytes[3]);
	m->bytes = bytes;
	m->len = (uint16_t)len;
	m->code = (uint8_t)code;
	m->type = (uint8_t)type;
	*token = first & 15;
	if (first >> 6 != COPSE_VERSION)
		return COPSE_ERR_VERSION;
	if (__builtin_expect(code == COPSE_CODE_EMPTY, 0)) {
		if (len > COPSE_HEADER_LEN) /* §4.1: behind an Empty message there is nothing */
			return COPSE_ERR_MALFORMED;
	} else if (!(CLASSES >> (type << 3 | code >> 5) & 1)) {
		return COPSE_ERR_MALFORMED;
	}
	m->bad_option = 0;
	memset(m->first, 0, sizeof(m->first));
	return 0;
}

int copse_message_parse_extended(struct copse_message *m, const void *datagram, size_t len, size_t token_max)
{
	const uint8_t *bytes = datagram;
	size_t nibble;
	int err = parse_header(m, bytes, len, &nibble);
	if (err < 0)
		return err;
	struct wire w = {bytes + COPSE_HEADER_LEN, bytes + len, false};
	unsigned token_len = extended(&w, (unsigned)nibble);
	const uint8_t *token = wire_skip(&w, token_len);
	if (w.bad || token_len > token_max)
		return COPSE_ERR_MALFORMED;
	m->token_off = (uint16_t)(token - bytes);
	m->token_len = (uint16_t)token_len;
	return parse_rest(m, m->token_off + token_len, 0);
}

int copse_message_parse(struct copse_message *m, const void *datagram, size_t len)
{
	if (!SHORT_WAY)
		return copse_message_parse_extended(m, datagram, len, COPSE_TOKEN_MAX);
	const uint8_t *bytes = datagram;
	size_t token_len;
	int err = parse_header(m, bytes, len, &token_len);
	if (err < 0)
		return err;
	size_t off = COPSE_HEADER_LEN + token_len;
	if (token_len > COPSE_TOKEN_MAX || off > len)
		return COPSE_ERR_MALFORMED;
	m->token_off = COPSE_HEADER_LEN;
	m->token_len = (uint16_t)token_len;
	return parse_short(m, bytes, off, len);
}

enum copse_reaction copse_message_reaction(const struct copse_message *m, int err)
{
	if (err == 0 && m->bad_option == 0)
		return COPSE_REACT_NONE;
	/* §3: another version. §4.2: an ACK or RST is rejected by ignoring it. §4.3: a NON may be as well,
	 * and silence is what does no harm when it was sent to a group (§8.1) or from a forged address. */
	if (err == COPSE_ERR_VERSION || m->type != COPSE_CON)
		return COPSE_REACT_SILENCE;
	if (err == 0 && copse_code_is_request(m->code))
		return COPSE_REACT_BAD_OPTION; /* §5.4.1 */
	return COPSE_REACT_RST;                /* §4.2 */
}

const struct copse_option *copse_message_option_unknown(const struct copse_message *m, uint16_t number)
{
	for (unsigned i = 0; i < m->option_n; i++)
		if (m->option[i].number == number)
			return &m->option[i];
	return NULL;
}

uint32_t copse_option_uint_long(const uint8_t *value, size_t len)
{
	uint32_t n = 0;
	while (len-- > 0)
		n = n << 8 | *value++;
	return n;
}
