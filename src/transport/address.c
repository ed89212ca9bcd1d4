/* Addresses as text, sockaddr and peer key. Everything compares and classifies the IPv6 form, IPv4 being mapped, so
 * that there is one rule for both families.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"

#include <copse/error.h>

#include <arpa/inet.h>
#include <assert.h>
#include <net/if.h>
#include <stdio.h>

#define KEY_LEN 23

static_assert(KEY_LEN == COPSE_PEER_KEY_MAX, "the key of an IP peer fills a peer's key");

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_is_mapped(const uint8_t ip[16])
{
	return memcmp(ip, mapped_prefix, 12) == 0;
}

bool address_is_group(const uint8_t ip[16])
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (address_is_mapped(ip))
		return (ip[12] & 0xf0) == 0xe0 || memcmp(ip + 12, broadcast, 4) == 0;
	return ip[0] == 0xff;
}

bool address_is_link_local(const uint8_t ip[16])
{
	return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

/* Addresses whose meaning depends on the interface (RFC 4007): link-local ones and groups. */
static bool is_scoped(const uint8_t ip[16])
{
	return address_is_group(ip) || address_is_link_local(ip);
}

static bool is_any(const uint8_t ip[16])
{
	static const uint8_t zero[16];

	return memcmp(ip, zero, 16) == 0 || (address_is_mapped(ip) && memcmp(ip + 12, zero, 4) == 0);
}

void address_to_ip(const struct copse_address *a, uint8_t ip[16])
{
	if (a->sa.sa_family == AF_INET6) {
		memcpy(ip, &a->in6.sin6_addr, 16);
		return;
	}
	memcpy(ip, mapped_prefix, 12);
	memcpy(ip + 12, &a->in.sin_addr, 4);
}

static uint32_t scope_of(const struct copse_address *a)
{
	return a->sa.sa_family == AF_INET6 ? a->in6.sin6_scope_id : 0;
}

void address_from_ip(const uint8_t ip[16], uint16_t port, uint32_t scope, struct copse_address *out)
{
	memset(out, 0, sizeof *out);
	if (address_is_mapped(ip) && !scope) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		memcpy(&out->in.sin_addr, ip + 12, 4);
		out->len = sizeof out->in;
		return;
	}
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons(port);
	memcpy(&out->in6.sin6_addr, ip, 16);
	out->in6.sin6_scope_id = scope;
	out->len = sizeof out->in6;
}

/* Decimal digits up to the end of `text`, at most `max`. */
static bool number(const char *text, uint32_t max, uint32_t *out)
{
	uint32_t n = 0;

	if (!*text || strlen(text) > 9)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint32_t)(*text - '0');
	}
	*out = n;
	return n <= max;
}

static bool zone_index(const char *zone, uint32_t *index)
{
	char name[IF_NAMESIZE];

	if (number(zone, ADDRESS_SCOPE_MAX, index))
		return *index != 0 && if_indextoname(*index, name) != NULL;
	*index = if_nametoindex(zone);
	return *index != 0 && *index <= ADDRESS_SCOPE_MAX;
}

/* "192.0.2.1", "fe80::1%eth0", "*" or nothing. `host` is written to. */
static bool parse_host(char *host, uint8_t ip[16], uint32_t *scope)
{
	char *zone = strchr(host, '%');

	*scope = 0;
	if (!*host || strcmp(host, "*") == 0) {
		memset(ip, 0, 16);
		return true;
	}
	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, host, ip) != 1) {
		memcpy(ip, mapped_prefix, 12);
		if (inet_pton(AF_INET, host, ip + 12) != 1)
			return false;
	}
	return !zone || (is_scoped(ip) && zone_index(zone, scope));
}

/* Divide the copy in `text` into host and port; `*port` is NULL where it has none. */
static bool split(char *text, char **host, char **port)
{
	char *colon;

	*port = NULL;
	if (*text == '[') {
		char *end = strchr(text, ']');

		if (!end || end == text + 1 || (end[1] && end[1] != ':'))
			return false;
		*port = end[1] ? end + 2 : NULL;
		*end = '\0';
		*host = text + 1;
		return strchr(*host, ':') != NULL;
	}
	*host = text;
	colon = strchr(text, ':');
	if (colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
		*port = colon + 1;
	}
	return *text || *port;
}

int copse_address_parse(const char *text, uint16_t port, struct copse_address *out)
{
	char copy[COPSE_ADDRESS_TEXT];
	char *host, *port_text;
	size_t len = strlen(text);
	uint32_t number_of_port = port, scope;
	uint8_t ip[16];

	if (len >= sizeof copy)
		return COPSE_ERR_ARGUMENT;
	memcpy(copy, text, len + 1);
	if (!split(copy, &host, &port_text) || (port_text && !number(port_text, 65535, &number_of_port)) ||
	    !parse_host(host, ip, &scope))
		return COPSE_ERR_ARGUMENT;
	address_from_ip(ip, (uint16_t)number_of_port, scope, out);
	return COPSE_OK;
}

const char *copse_address_text(const struct copse_address *a, char *buf, size_t cap)
{
	char ip_text[INET6_ADDRSTRLEN], name[IF_NAMESIZE + 1] = "";
	uint8_t ip[16];
	uint32_t scope = scope_of(a);
	bool v4;

	address_to_ip(a, ip);
	v4 = address_is_mapped(ip);
	if (scope && is_scoped(ip)) {
		name[0] = '%';
		if (!if_indextoname(scope, name + 1))
			snprintf(name + 1, sizeof name - 1, "%u", (unsigned)scope);
	}
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip + 12 : ip, ip_text, sizeof ip_text);
	snprintf(buf, cap, v4 ? "%s%s:%u" : "[%s%s]:%u", ip_text, name, (unsigned)copse_address_port(a));
	return buf;
}

int copse_address_from(const struct sockaddr *sa, socklen_t len, struct copse_address *out)
{
	if (sa->sa_family == AF_INET && len >= sizeof out->in) {
		memcpy(&out->in, sa, sizeof out->in);
		out->len = sizeof out->in;
		return COPSE_OK;
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof out->in6) {
		memcpy(&out->in6, sa, sizeof out->in6);
		out->len = sizeof out->in6;
		return COPSE_OK;
	}
	return COPSE_ERR_ARGUMENT;
}

uint16_t copse_address_port(const struct copse_address *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

void copse_address_set_port(struct copse_address *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
	else
		a->in.sin_port = htons(port);
}

bool copse_address_is_group(const struct copse_address *a)
{
	uint8_t ip[16];

	address_to_ip(a, ip);
	return address_is_group(ip);
}

bool copse_address_is_any(const struct copse_address *a)
{
	uint8_t ip[16];

	address_to_ip(a, ip);
	return is_any(ip);
}

bool copse_address_equal(const struct copse_address *a, const struct copse_address *b)
{
	uint8_t ip_a[16], ip_b[16];

	address_to_ip(a, ip_a);
	address_to_ip(b, ip_b);
	return memcmp(ip_a, ip_b, 16) == 0 && copse_address_port(a) == copse_address_port(b) &&
	       (!is_scoped(ip_a) || scope_of(a) == scope_of(b));
}

int copse_peer_from_address(uint16_t id, const struct copse_address *a, struct copse_peer *peer)
{
	uint16_t port = copse_address_port(a);
	uint8_t *key = peer->key;
	uint8_t ip[16];
	uint32_t scope;

	address_to_ip(a, ip);
	scope = is_scoped(ip) ? scope_of(a) : 0;
	if (port == 0 || scope > ADDRESS_SCOPE_MAX || is_any(ip))
		return COPSE_ERR_ARGUMENT;
	memset(peer, 0, sizeof *peer);
	peer->len = KEY_LEN;
	peer->flags = address_is_group(ip) ? COPSE_PEER_MULTICAST : 0;
	key[0] = (uint8_t)(id >> 8);
	key[1] = (uint8_t)id;
	memcpy(key + 2, ip, 16);
	key[18] = (uint8_t)(port >> 8);
	key[19] = (uint8_t)port;
	address_key_set_scope(peer, scope);
	return COPSE_OK;
}

int copse_peer_address(const struct copse_peer *peer, struct copse_address *out)
{
	const uint8_t *key = peer->key;
	uint32_t scope = address_key_scope(peer);

	if (peer->len != KEY_LEN)
		return COPSE_ERR_ARGUMENT;
	address_from_ip(address_key_ip(peer), (uint16_t)(key[18] << 8 | key[19]),
			scope & ADDRESS_SCOPE_SPLIT ? 0 : scope, out);
	return COPSE_OK;
}

const char *copse_peer_text(const struct copse_peer *peer, char *buf, size_t cap)
{
	struct copse_address a;

	if (copse_peer_address(peer, &a) != COPSE_OK) {
		snprintf(buf, cap, "?");
		return buf;
	}
	return copse_address_text(&a, buf, cap);
}

void address_ip_text(const uint8_t ip[16], char buf[COPSE_ADDRESS_TEXT])
{
	bool mapped = address_is_mapped(ip);

	buf[0] = '\0';
	inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? ip + 12 : ip, buf, COPSE_ADDRESS_TEXT);
}
