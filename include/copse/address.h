/* Addresses of IP peers as text, as sockaddr and as the key of a copse_peer.
 *
 * Every transport over IP uses the same key, so that whoever logs, hashes or compares peers need not know which
 * transport they came by:
 *
 *	bytes 0-1    the transport's id, big-endian: one address on two sockets is two peers
 *	bytes 2-17   the IPv6 address; IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2)
 *	bytes 18-19  the port, big-endian
 *	bytes 20-22  the scope, big-endian: the interface of a link-local or multicast address, else 0; or, on a socket
 *	             where each local address is an endpoint of its own, 0x800000 plus the path
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_ADDRESS_H
#define COPSE_ADDRESS_H

#include <copse/peer.h>

#include <netinet/in.h>
#include <sys/socket.h>

/* Room for the longest text, its NUL included: "[" address "%" interface "]:" port. */
#define COPSE_ADDRESS_TEXT 80

/* An address of either family; `len` is what system calls take. */
struct copse_address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

/* Parse "192.0.2.1", "192.0.2.1:5683", "2001:db8::1", "[2001:db8::1]:5683", "[fe80::1%eth0]:5683", "224.0.1.187%eth0"
 * (the interface to send to a group by), "*:5683" and ":5683" (every address, both families: "[::]:5683").
 * Zones are interface names or numbers. Names of hosts are not looked up: see copse/resolve.h.
 * `port` is taken where the text has none.
 * Returns 0, or COPSE_ERR_ARGUMENT with `*out` unchanged: no such form, no such interface, a port above 65535. */
int copse_address_parse(const char *text, uint16_t port, struct copse_address *out);

/* Write `a` as "192.0.2.1:5683" or "[fe80::1%eth0]:5683". IPv4-mapped addresses are written as IPv4; an interface that
 * has no name any more is written as its number. `cap` of COPSE_ADDRESS_TEXT always suffices; less truncates.
 * Returns `buf`, which always ends with a NUL when `cap` > 0. */
const char *copse_address_text(const struct copse_address *a, char *buf, size_t cap);

/* From and to what system calls give and take. Returns 0, or COPSE_ERR_ARGUMENT for another family or a short `len`. */
int copse_address_from(const struct sockaddr *sa, socklen_t len, struct copse_address *out);

uint16_t copse_address_port(const struct copse_address *a);
void copse_address_set_port(struct copse_address *a, uint16_t port);

/* Whether `a` is a multicast group or the IPv4 broadcast address; the unspecified address. IPv4-mapped ones count. */
bool copse_address_is_group(const struct copse_address *a);
bool copse_address_is_any(const struct copse_address *a);

/* Same family-independent address, port and scope. */
bool copse_address_equal(const struct copse_address *a, const struct copse_address *b);

/* Make the peer at `a` on the transport with `id`. flags has COPSE_PEER_MULTICAST for a group; group and path are 0.
 * Returns 0, or COPSE_ERR_ARGUMENT for port 0, the unspecified address, and an interface number above 2^23 - 1. */
int copse_peer_from_address(uint16_t id, const struct copse_address *a, struct copse_peer *peer);

/* The address of a peer made by a transport over IP; IPv4 as AF_INET.
 * Returns 0, or COPSE_ERR_ARGUMENT when the key is none of an IP transport. */
int copse_peer_address(const struct copse_peer *peer, struct copse_address *out);

/* The id of the transport that a peer belongs to. */
static inline uint16_t copse_peer_transport(const struct copse_peer *peer)
{
	return (uint16_t)(peer->key[0] << 8 | peer->key[1]);
}

/* copse_peer_address and copse_address_text in one; "?" for a key that is none of an IP transport. */
const char *copse_peer_text(const struct copse_peer *peer, char *buf, size_t cap);

#endif
