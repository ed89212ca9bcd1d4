/* How a message of a given worth travels: the policy of copse/priority.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/priority.h>

static bool telemetry_is_confirmable(const struct copse_traffic *traffic,
				     const struct copse_traffic_policy *policy, copse_ms now)
{
	/* The first one is: a sender that talks to nobody should learn so at once. */
	if (!traffic->begun)
		return policy->con_every != 0 || policy->con_after_ms != 0;
	if (policy->con_every != 0 && traffic->non_run + 1u >= policy->con_every)
		return true;
	return policy->con_after_ms != 0 && now - traffic->con_at >= policy->con_after_ms;
}

void copse_traffic_pick(struct copse_traffic *traffic, const struct copse_traffic_policy *policy,
			enum copse_worth worth, copse_ms now, bool *con, uint8_t *priority)
{
	*priority = (uint8_t)worth;
	*con = worth != COPSE_TELEMETRY || telemetry_is_confirmable(traffic, policy, now);
	if (*con) {
		traffic->non_run = 0;
		traffic->con_at = now;
	} else if (traffic->non_run < UINT16_MAX) {
		traffic->non_run++;
	}
	traffic->begun = true;
}
