/* What only hosts ask of an endpoint.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "endpoint_state.h"

uint16_t copse_endpoint_new_id(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	return ep_new_id(ep, peer, ep_peer_hash(ep, peer));
}
