/* Addresses in their IPv6 form, for the transports.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_ADDRESS_INTERNAL_H
#define COPSE_ADDRESS_INTERNAL_H

#include <copse/address.h>

/* In the scope of a key: the rest is the path. */
#define ADDRESS_SCOPE_SPLIT 0x800000u
#define ADDRESS_SCOPE_MAX   0x7fffffu

/* ::ffff:a.b.c.d (RFC 4291 §2.5.5.2): the last four bytes are an IPv4 address. */
bool address_is_mapped(const uint8_t ip[16]);
bool address_is_link_local(const uint8_t ip[16]);
bool address_is_group(const uint8_t ip[16]);

void address_to_ip(const struct copse_address *a, uint8_t ip[16]);

/* AF_INET for mapped ones; AF_INET6 also for mapped ones with a scope, which sockaddr_in cannot hold. */
void address_from_ip(const uint8_t ip[16], uint16_t port, uint32_t scope, struct copse_address *out);

/* An address without port and scope, `ip` as in a key. */
void address_ip_text(const uint8_t ip[16], char buf[COPSE_ADDRESS_TEXT]);

/* The parts of the key of a peer. */
static inline const uint8_t *address_key_ip(const struct copse_peer *peer)
{
	return peer->key + 2;
}

static inline uint32_t address_key_scope(const struct copse_peer *peer)
{
	return (uint32_t)peer->key[20] << 16 | (uint32_t)peer->key[21] << 8 | peer->key[22];
}

static inline void address_key_set_scope(struct copse_peer *peer, uint32_t scope)
{
	peer->key[20] = (uint8_t)(scope >> 16);
	peer->key[21] = (uint8_t)(scope >> 8);
	peer->key[22] = (uint8_t)scope;
}

#endif
