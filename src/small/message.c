/* The parser (RFC 7252 §3, §5.4): one pass, an index over the options that this profile understands.
 *
 * Invariant of a parsed message: off[n] + value_len[n] lies within the datagram wherever `has` has bit n.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

/* The options that we understand; any other is ignored or refused by its number. What is known of them is
 * in the registry. */
#define BIT(number) (1u << (number))
#define UNDERSTOOD                                                                                           \
	(BIT(COPSE_OPTION_IF_MATCH) | BIT(COPSE_OPTION_URI_HOST) | BIT(COPSE_OPTION_ETAG) |                  \
	 BIT(COPSE_OPTION_IF_NONE_MATCH) | BIT(COPSE_OPTION_OBSERVE) | BIT(COPSE_OPTION_URI_PORT) |          \
	 BIT(COPSE_OPTION_LOCATION_PATH) | BIT(COPSE_OPTION_URI_PATH) | BIT(COPSE_OPTION_CONTENT_FORMAT) |   \
	 BIT(COPSE_OPTION_MAX_AGE) | BIT(COPSE_OPTION_URI_QUERY) | BIT(COPSE_OPTION_ACCEPT) |                \
	 BIT(COPSE_OPTION_LOCATION_QUERY) | BIT(COPSE_OPTION_BLOCK2) | BIT(COPSE_OPTION_BLOCK1))

enum { ONCE, MANY_IN_REQUEST, MANY };

#define LOW(number)  ((number) < COPSE_SMALL_NUMBERS)
#define MASK(number) (LOW(number) ? 1u << ((number)&31) : 0u)

#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                             \
	| ((min) == 0 ? MASK(number) : 0u)
enum {
	MAY_BE_EMPTY = 0u
#include <copse/registry/options.def>
};
#undef OPTION

#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                             \
	| ((repeat) != ONCE ? MASK(number) : 0u)
enum {
	MAY_REPEAT = 0u
#include <copse/registry/options.def>
};
#undef OPTION

#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc) LONGEST_##name = (max),
enum {
#include <copse/registry/options.def>
};
#undef OPTION

#define ROW(name) [COPSE_OPTION_##name] = LONGEST_##name
static const uint8_t longest[COPSE_SMALL_NUMBERS] = {
    ROW(IF_MATCH),      ROW(URI_HOST), ROW(ETAG),           ROW(OBSERVE),        ROW(URI_PORT),
    ROW(LOCATION_PATH), ROW(URI_PATH), ROW(MAX_AGE),        ROW(CONTENT_FORMAT), ROW(BLOCK2),
    ROW(URI_QUERY),     ROW(ACCEPT),   ROW(LOCATION_QUERY), ROW(BLOCK1),
};

/* What stands behind a nibble of 13 or more, in `nibble` - 12 bytes (RFC 7252 §3.1); -1 when it is not
 * there. */
static __attribute__((noinline)) int extended(unsigned nibble, const uint8_t *p, const uint8_t *end)
{
	if (nibble == 15 || (size_t)(end - p) < nibble - 12)
		return -1;
	return nibble == 13 ? p[0] + 13 : (p[0] << 8 | p[1]) + 269;
}

/* An option that is not to be entered into the index, with bit `bit` if its number is below
 * COPSE_SMALL_NUMBERS: an instance more of one that is, or found bad (§5.4.1 to §5.4.5). */
static inline void judge(struct copse_small_message *m, unsigned number, uint32_t bit)
{
	if (MAY_REPEAT & bit)
		return;
	if (number == COPSE_OPTION_PROXY_URI || number == COPSE_OPTION_PROXY_SCHEME)
		m->proxy = true;
	else if (number & 1)
		m->bad = true;
}

static int take_options(struct copse_small_message *m, const uint8_t *p, const uint8_t *end)
{
	unsigned number = 0;
	uint32_t has =
	    ~UNDERSTOOD; /* what we do not understand counts as if it had been there: no option of it is entered */
	while (p < end) {
		unsigned first = *p++, delta = first >> 4, len = first & 15;
		if (delta >= 13) {
			if (first == 0xff) {
				if (p == end && !m->cut) /* §3: behind the marker there must be something */
					return COPSE_ERR_MALFORMED;
				break;
			}
			int n = extended(delta, p, end);
			if (n < 0)
				return COPSE_ERR_MALFORMED;
			p += delta - 12;
			delta = (unsigned)n;
		}
		if (len >= 13) {
			int n = extended(len, p, end);
			if (n < 0)
				return COPSE_ERR_MALFORMED;
			p += len - 12;
			len = (unsigned)n;
		}
		number += delta;
		if (len > (size_t)(end - p) || number > UINT16_MAX)
			return COPSE_ERR_MALFORMED;
		uint32_t bit = number < COPSE_SMALL_NUMBERS ? 1u << number : 0;
		if ((bit & ~has) && len <= longest[number] && (len > 0 || (MAY_BE_EMPTY & bit))) {
			has |= bit;
			m->off[number] = (uint16_t)(p - m->bytes);
			m->value_len[number] = (uint8_t)len;
		} else {
			judge(m, number, bit & has & UNDERSTOOD);
		}
		p += len;
	}
	m->has = has & UNDERSTOOD;
	m->payload = p;
	m->payload_len = (uint16_t)(end - p);
	return 0;
}

/* Classes of codes that each type may have, as in the general parser: 1, 6 and 7 are reserved, an ACK bears
 * no request. */
#define CLASSES ((uint32_t)0x3d | (uint32_t)0x3d << 8 | (uint32_t)0x3c << 16)

int copse_small_parse(struct copse_small_message *m, const uint8_t *datagram, size_t len)
{
	m->bytes = datagram;
	m->has = 0;
	m->bad = m->proxy = m->cut = false;
	if (len < 4 || datagram[0] >> 6 != 1) /* §3: silence; what is too short is no message */
		return COPSE_ERR_VERSION;
	if (len > COPSE_SMALL_RECEIVE) {
		m->cut = true;
		len = COPSE_SMALL_RECEIVE;
	}
	m->len = (uint16_t)len;
	m->type = datagram[0] >> 4 & 3;
	m->code = datagram[1];
	m->id = (uint16_t)(datagram[2] << 8 | datagram[3]);
	unsigned token_len = m->token_len = datagram[0] & 15;
	if (m->code == COPSE_CODE_EMPTY)
		return len > 4 || token_len ? COPSE_ERR_MALFORMED : 0; /* §4.1 */
	if (token_len > 8 || len < 4 + token_len || !(CLASSES >> (m->type * 8 + (m->code >> 5)) & 1))
		return COPSE_ERR_MALFORMED;
	return take_options(m, datagram + 4 + token_len, datagram + len);
}

uint32_t copse_small_uint(const struct copse_small_message *m, unsigned number, uint32_t absent)
{
	if (!copse_small_has(m, number))
		return absent;
	return small_uint(m->bytes + m->off[number], m->value_len[number]);
}

uint32_t small_uint(const uint8_t *p, unsigned len)
{
	uint32_t value = 0;
	while (len-- > 0)
		value = value << 8 | *p++;
	return value;
}

bool copse_small_walk(const struct copse_small_message *m, unsigned number, struct copse_small_value *value)
{
	const uint8_t *p = value->at, *end = m->bytes + m->len;
	if (!copse_small_has(m, number))
		return false;
	if (!p) {
		value->at = m->bytes + m->off[number];
		value->len = m->value_len[number];
		return true;
	}
	p += value->len;
	if (p == end || *p >> 4 != 0) /* another delta, or the payload marker */
		return false;
	value->len = *p++ & 15;
	if (value->len >= 13) {
		unsigned nibble = value->len;
		value->len =
		    (unsigned)extended(nibble, p, end); /* it was there when the message was parsed */
		p += nibble - 12;
	}
	value->at = p;
	return true;
}
