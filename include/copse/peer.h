/* The other side of a conversation, as the core sees it: opaque bytes that a transport made and understands.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_PEER_H
#define COPSE_PEER_H

#include <copse/types.h>

#include <string.h>

/* Enough for an IPv6 address, port, interface and the socket it was met on. */
#define COPSE_PEER_KEY_MAX 23

enum copse_peer_flag {
	COPSE_PEER_MULTICAST =
	    1,                  /* received: the datagram was sent to a group; sending: the peer is a group */
	COPSE_PEER_RELIABLE = 2 /* the transport delivers in order and without loss (RFC 8323) */
};

/* Copied by value wherever it is kept. Identity is `key` alone: two peers with equal keys are one endpoint in the
 * sense of RFC 7252 §4.1; `path`, `flags` and `group` say how to reach and treat it. A transport puts into the key
 * whatever tells endpoints apart, its own kind and socket included, so that the same address over a secure and over
 * a clear transport are two peers. */
struct copse_peer {
	uint8_t len;   /* bytes of `key` in use, 1 to COPSE_PEER_KEY_MAX */
	uint8_t group; /* which of the endpoint's parameter groups applies: index into copse_config.groups */
	uint16_t path; /* transport's own: the local address to answer from; 0 lets the system choose */
	uint8_t flags; /* enum copse_peer_flag */
	uint8_t key[COPSE_PEER_KEY_MAX];
};

static inline bool copse_peer_equal(const struct copse_peer *a, const struct copse_peer *b)
{
	return a->len == b->len && memcmp(a->key, b->key, a->len) == 0;
}

#endif
