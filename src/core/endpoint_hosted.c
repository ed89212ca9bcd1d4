/* What only hosts ask of an endpoint.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "endpoint_state.h"

/* RFC 7252 §5.10.5: "intended to be current at the time of transmission". In as many bytes as it had, so that a copy is
 * as long as the first one. */
void ep_age(uint8_t *bytes, size_t len, uint32_t seconds)
{
	struct copse_message m;

	if (copse_message_parse_extended(&m, bytes, len, COPSE_TOKEN_LONG) || copse_code_class(m.code) < 2)
		return;
	const struct copse_option *o = copse_message_option(&m, COPSE_OPTION_MAX_AGE);
	if (!o)
		return;
	uint8_t *value = bytes + (copse_option_value(&m, o) - bytes);
	uint32_t left = copse_option_uint(&m, o);
	left = left > seconds ? left - seconds : 0;
	for (size_t i = o->len; i-- > 0; left >>= 8)
		value[i] = (uint8_t)left;
}

uint16_t copse_endpoint_new_id(struct copse_endpoint *ep, const struct copse_peer *peer)
{
	return ep_new_id(ep, peer, ep_peer_hash(ep, peer));
}
