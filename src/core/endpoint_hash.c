/* The hash of a peer, made anew each time: for a microcontroller. Hosts have endpoint_hosted.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "endpoint_state.h"
#include "siphash.h"

uint32_t ep_peer_hash(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	return (uint32_t)core_siphash(ep->config.seed, peer->key, peer->len, 1, 3);
}
