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

/* A microcontroller's build knows no such transports. */
#ifdef COPSE_SMALL
#define COPSE_PEER_MAY_BE_RELIABLE false
#else
#define COPSE_PEER_MAY_BE_RELIABLE true
#endif

#define COPSE_PEER_UNITS_SHIFT  2 /* the other bits of `flags`: copse_peer_units */
#define COPSE_PEER_UNITS_MAX    63u
#define COPSE_PEER_UNITS_BESIDE 128u /* bytes of a message beside them */

/* Copied by value wherever it is kept. Identity is `key` alone: two peers with equal keys are one endpoint in the
 * sense of RFC 7252 §4.1; `path`, `flags` and `group` say how to reach and treat it. A transport puts into the key
 * whatever tells endpoints apart, its own kind and socket included, so that the same address over a secure and over
 * a clear transport are two peers. */
struct copse_peer {
	uint8_t len;   /* bytes of `key` in use, 1 to COPSE_PEER_KEY_MAX */
	uint8_t group; /* which of the endpoint's parameter groups applies: index into copse_config.groups */
	uint16_t path; /* transport's own: the local address to answer from; 0 lets the system choose */
	uint8_t flags; /* enum copse_peer_flag, and copse_peer_units */
	uint8_t key[COPSE_PEER_KEY_MAX];
};

static inline bool copse_peer_equal(const struct copse_peer *a, const struct copse_peer *b)
{
	return a->len == b->len && memcmp(a->key, b->key, a->len) == 0;
}

/* By a reliable transport: how many units of 1024 bytes of a body `peer` takes in one message, which has at most
 * COPSE_PEER_UNITS_BESIDE bytes beside them. 1: it does not take BERT (RFC 8323 §6). 0: not known yet, it has not
 * greeted; or not a reliable one. */
static inline unsigned copse_peer_units(const struct copse_peer *peer)
{
	return COPSE_PEER_MAY_BE_RELIABLE ? (unsigned)peer->flags >> COPSE_PEER_UNITS_SHIFT : 0;
}

/* Over a reliable transport nothing comes twice and nothing is repeated (RFC 8323 §2). */
static inline bool copse_peer_is_reliable(const struct copse_peer *peer)
{
	return COPSE_PEER_MAY_BE_RELIABLE && (peer->flags & COPSE_PEER_RELIABLE);
}

#endif
