/* Schemes, address literals and host names (RFC 7252 §6.1, RFC 3986 §3.2.2, RFC 6874).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/hex.h>
#include <copse/uri.h>

#include "uri_chars.h"

#include <string.h>

#define SCHEME_LEN 10 /* longest name, and its terminator */

static const struct scheme {
	char name[SCHEME_LEN];
	uint16_t port;
} schemes[] = {
    [COPSE_SCHEME_COAP] = {"coap", COPSE_PORT_COAP},
    [COPSE_SCHEME_COAPS] = {"coaps", COPSE_PORT_COAPS},
    [COPSE_SCHEME_COAP_TCP] = {"coap+tcp", COPSE_PORT_COAP},
    [COPSE_SCHEME_COAPS_TCP] = {"coaps+tcp", COPSE_PORT_COAPS},
    [COPSE_SCHEME_COAP_WS] = {"coap+ws", 80},
    [COPSE_SCHEME_COAPS_WS] = {"coaps+ws", 443},
    [COPSE_SCHEME_OTHER] = {"", 0},
};

const char *copse_scheme_name(enum copse_scheme scheme)
{
	return schemes[scheme].name;
}

uint16_t copse_scheme_port(enum copse_scheme scheme)
{
	return schemes[scheme].port;
}

bool uri_is_plain(char c)
{
	return uri_is_alpha(c) || uri_is_digit(c) || (c != 0 && uri_is_one_of(c, "-._~!$&'()*+,;="));
}

const char *uri_find(const char *text, size_t len, char c)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == c)
			return text + i;
	return NULL;
}

bool uri_equal_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t i = 0;
	while (i < a_len && i < b_len && uri_lower(a[i]) == uri_lower(b[i]))
		i++;
	return i == a_len && i == b_len;
}

enum copse_scheme copse_scheme_from_text(const char *text, size_t len)
{
	unsigned scheme = COPSE_SCHEME_COAP;
	for (; scheme < COPSE_SCHEME_OTHER; scheme++) {
		const char *name = schemes[scheme].name;
		size_t n = (size_t)((const char *)uri_find(name, SCHEME_LEN, 0) - name);
		if (uri_equal_text(name, n, text, len))
			break;
	}
	return (enum copse_scheme)scheme;
}

/* Four numbers of at most 255 without leading zeros, from `at` to `end`. */
static bool parse_ipv4(uint8_t bytes[4], const char *at, const char *end)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned n = 0, digits = 0;
		if (i > 0 && (at == end || *at++ != '.'))
			return false;
		for (; at < end && uri_is_digit(*at); at++, digits++) {
			if (digits > 0 && n == 0)
				return false;
			n = n * 10 + (unsigned)(*at - '0');
			if (n > UINT8_MAX)
				return false;
		}
		if (digits == 0)
			return false;
		bytes[i] = (uint8_t)n;
	}
	return at == end;
}

/* One to four hexadecimal digits. Returns where they end, or NULL. */
static const char *parse_group(uint8_t bytes[2], const char *at, const char *end)
{
	unsigned n = 0, digits = 0;
	for (; at < end && copse_hex_digit(*at) >= 0; at++, digits++)
		n = n << 4 | (unsigned)copse_hex_digit(*at);
	bytes[0] = (uint8_t)(n >> 8);
	bytes[1] = (uint8_t)n;
	return digits >= 1 && digits <= 4 ? at : NULL;
}

#define NO_GAP 17

/* RFC 3986 §3.2.2, RFC 4291 §2.2: eight groups, of which one run may be written "::", the last two as IPv4. */
static bool parse_ipv6(uint8_t bytes[16], const char *at, const char *end)
{
	unsigned n = 0, gap = NO_GAP; /* bytes so far, and at which of them "::" stands */
	memset(bytes, 0, 16);
	if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
		gap = 0;
		at += 2;
	}
	while (at < end) {
		if (n == 16)
			return false;
		const char *stop = parse_group(bytes + n, at, end);
		if (!stop)
			return false;
		if (stop < end && *stop == '.') {
			if (n > 12 || !parse_ipv4(bytes + n, at, end))
				return false;
			n += 4;
			break;
		}
		n += 2;
		at = stop;
		if (at == end)
			break;
		if (*at++ != ':' || at == end)
			return false;
		if (*at == ':') {
			if (gap != NO_GAP)
				return false;
			gap = n;
			at++;
		}
	}
	if (gap == NO_GAP)
		return n == 16;
	memmove(bytes + 16 - (n - gap), bytes + gap, n - gap);
	memset(bytes + gap, 0, 16 - n);
	return n < 16;
}

bool copse_ip_parse(struct copse_ip *ip, const char *text, size_t len, struct copse_text *zone)
{
	const char *end = text + len;
	struct copse_text none;
	if (!zone)
		zone = &none;
	*zone = (struct copse_text){end, 0};
	memset(ip, 0, sizeof(*ip));
	if (parse_ipv4(ip->bytes, text, end)) {
		ip->family = 4;
		return true;
	}
	if (len > 0 && *text == '[') {
		text++;
		if (text == end || *--end != ']')
			return false;
	}
	const char *stop = uri_find(text, (size_t)(end - text), '%');
	if (stop) {
		const char *at = stop + 1;
		if (end - at > 2 && at[0] == '2' && at[1] == '5') /* "%" as a URI writes it (RFC 6874 §2) */
			at += 2;
		*zone = (struct copse_text){at, (size_t)(end - at)};
		if (at == end)
			return false;
		end = stop;
	}
	if (!parse_ipv6(ip->bytes, text, end))
		return false;
	ip->family = 6;
	return true;
}

/* The four bytes of an IPv4 address, be it mapped into IPv6 (RFC 4291 §2.5.5.2); NULL for another. */
static const uint8_t *ipv4_of(const struct copse_ip *ip)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	if (ip->family == 4)
		return ip->bytes;
	return ip->family == 6 && memcmp(ip->bytes, mapped, sizeof(mapped)) == 0 ? ip->bytes + 12 : NULL;
}

bool copse_ip_equal(const struct copse_ip *a, const struct copse_ip *b)
{
	const uint8_t *a4 = ipv4_of(a), *b4 = ipv4_of(b);
	if (a4 && b4)
		return memcmp(a4, b4, 4) == 0;
	return a->family == b->family && a->family != 0 && memcmp(a->bytes, b->bytes, 16) == 0;
}

bool copse_host_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct copse_ip a_ip, b_ip;
	struct copse_text a_zone, b_zone;
	bool a_literal = copse_ip_parse(&a_ip, a, a_len, &a_zone);
	bool b_literal = copse_ip_parse(&b_ip, b, b_len, &b_zone);
	if (a_literal != b_literal)
		return false;
	if (!a_literal)
		return uri_equal_text(a, a_len, b, b_len);
	return copse_ip_equal(&a_ip, &b_ip) && a_zone.len == b_zone.len &&
	       memcmp(a_zone.at, b_zone.at, a_zone.len) == 0;
}
