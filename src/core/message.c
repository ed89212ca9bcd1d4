/* The parser of messages (RFC 7252 §3, §5.4): one pass from the header to the payload.
 *
 * Invariant of a parsed message: every `off` and `len` of it lies within the datagram, and `first[slot]` is
 * below `option_n` wherever `present` has the slot's bit.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/message.h>

#include "wire.h"

_Static_assert(COPSE_MESSAGE_OPTIONS > 0 && COPSE_MESSAGE_OPTIONS <= 255, "an index entry is one byte");
_Static_assert(COPSE_OPTION_SLOTS <= 96, "as many slots as `present` has bits");

/* An option's delta or length from its half of the first byte (RFC 7252 §3.1). */
static inline unsigned extended(struct wire *w, unsigned nibble)
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

/* Enter option `at` into the index, unless an instance before it is there. */
static inline void index_option(struct copse_message *m, unsigned slot, unsigned at)
{
	uint32_t *present = &m->present[slot / 32];
	uint32_t bit = (uint32_t)1 << slot % 32;
	if (*present & bit)
		return;
	*present |= bit;
	m->first[slot] = (uint8_t)at;
}

/* Option `at` is not as its row in the registry asks, or has no row: RFC 7252 §5.4.1, §5.4.3, §5.4.5. */
static void mark_option(struct copse_message *m, unsigned at, unsigned slot, unsigned rule)
{
	struct copse_option *o = &m->option[at];
	/* §5.10.7: a reserved Location-* beside those that we know must not be overlooked */
	bool location =
	    copse_option_is_reserved_location(o->number) &&
	    (m->present[0] & (1u << COPSE_OPTION_LOCATION_PATH | 1u << COPSE_OPTION_LOCATION_QUERY));
	if (rule == 0) {
		o->mark = COPSE_OPTION_UNKNOWN;
		if (slot < COPSE_OPTION_SLOTS)
			index_option(m, slot, at);
	}
	if (copse_option_is_critical(o->number) || location) {
		o->mark |= COPSE_OPTION_BAD;
		if (m->bad_option == 0)
			m->bad_option = o->number;
	} else if (rule) {
		o->mark = COPSE_OPTION_IGNORED;
	}
}

/* Whether a value of `n` bytes, in the first or a later instance, is what the registry allows. Never without
 * a row. */
static inline bool allowed(unsigned rule, unsigned n, bool again, unsigned many)
{
	return n <= (rule & COPSE_RULE_MAX) && (n || (rule & COPSE_RULE_EMPTY)) && (!again || (rule & many));
}

/* From behind the token to the payload marker or the end. */
static int parse_options(struct copse_message *m, struct wire *w)
{
	unsigned many = copse_code_is_request(m->code) ? COPSE_RULE_MANY : COPSE_RULE_MANY_RESP;
	unsigned number = 0, at = 0;
	for (; w->at < w->end && *w->at != COPSE_PAYLOAD_MARK; at++) {
		unsigned head = wire_u8(w);
		unsigned delta = extended(w, head >> 4);
		unsigned n = extended(w, head & 15);
		const uint8_t *value = wire_skip(w, n);
		number += delta;
		if (w->bad || number > UINT16_MAX)
			return COPSE_ERR_MALFORMED;
		if (at == COPSE_MESSAGE_OPTIONS)
			return COPSE_ERR_OPTIONS;
		m->option[at] =
		    (struct copse_option){(uint16_t)number, (uint16_t)(value - m->bytes), (uint16_t)n, 0};
		unsigned slot = copse_option_slot((uint16_t)number);
		unsigned rule = slot < COPSE_OPTION_SLOTS ? copse_option_rules[slot] : 0;
		if (allowed(rule, n, delta == 0, many))
			index_option(m, slot, at);
		else
			mark_option(m, at, slot, rule);
	}
	m->option_n = (uint16_t)at;
	return 0;
}

/* What the first four bytes alone forbid (RFC 7252 §3, §4.1, §4.2). */
static int check_header(const struct copse_message *m, size_t len)
{
	if (m->code == COPSE_CODE_EMPTY)
		return len == COPSE_HEADER_LEN ? 0 : COPSE_ERR_MALFORMED; /* §4.1: nothing behind it */
	if (m->type == COPSE_RST || (m->type == COPSE_ACK && copse_code_is_request(m->code)))
		return COPSE_ERR_MALFORMED; /* §4.2, §4.3 */
	if (copse_code_is_reserved(m->code) || copse_code_is_signal(m->code))
		return COPSE_ERR_MALFORMED; /* §4.2, §12.1; class 7 belongs to reliable transports (RFC 8323
					       §5) */
	return 0;
}

int copse_message_parse_extended(struct copse_message *m, const void *datagram, size_t len, size_t token_max)
{
	const uint8_t *bytes = datagram;
	m->type = COPSE_NON;
	m->code = COPSE_CODE_EMPTY;
	m->id = 0;
	if (len < COPSE_HEADER_LEN)
		return COPSE_ERR_MALFORMED;
	m->bytes = bytes;
	m->type = bytes[0] >> 4 & 3;
	m->code = bytes[1];
	m->id = (uint16_t)(bytes[2] << 8 | bytes[3]);
	if (bytes[0] >> 6 != COPSE_VERSION)
		return COPSE_ERR_VERSION;
	if (len > COPSE_DATAGRAM_MAX || check_header(m, len) < 0)
		return COPSE_ERR_MALFORMED;

	struct wire w = {bytes + COPSE_HEADER_LEN, bytes + len, false};
	size_t token_len = extended(&w, bytes[0] & 15);
	const uint8_t *token = wire_skip(&w, token_len);
	if (w.bad || token_len > token_max)
		return COPSE_ERR_MALFORMED;
	m->len = (uint16_t)len;
	m->token_off = (uint16_t)(token - bytes);
	m->token_len = (uint16_t)token_len;
	m->bad_option = 0;
	m->present[0] = m->present[1] = m->present[2] = 0;
	int err = parse_options(m, &w);
	if (err < 0)
		return err;
	if (w.at < w.end) { /* at the payload marker: behind it there must be something (§3) */
		w.at++;
		if (w.at == w.end)
			return COPSE_ERR_MALFORMED;
	}
	m->payload_off = (uint16_t)(w.at - bytes);
	m->payload_len = (uint16_t)(w.end - w.at);
	return 0;
}

int copse_message_parse(struct copse_message *m, const void *datagram, size_t len)
{
	return copse_message_parse_extended(m, datagram, len, COPSE_TOKEN_MAX);
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
