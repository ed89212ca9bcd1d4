/* Transmission parameters and the times that follow from them (RFC 7252 §4.8).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "params.h"

/* ACK_TIMEOUT * ACK_RANDOM_FACTOR: the longest first time-out. Long division, since a Cortex-M0 has none and the core
 * does without a helper library. */
uint32_t core_params_first_timeout_max(const struct copse_params *p)
{
	uint32_t left = p->ack_timeout_ms * p->ack_random_percent;
	uint32_t quotient = 0;
	for (int shift = 25; shift >= 0; shift--) {
		if (left >> shift >= 100) {
			left -= (uint32_t)100 << shift;
			quotient |= (uint32_t)1 << shift;
		}
	}
	return quotient;
}

/* The sum of `n` time-outs that begin with the longest first one and double. */
static copse_ms sum_of_timeouts(const struct copse_params *p, unsigned n)
{
	copse_ms t = core_params_first_timeout_max(p), sum = 0;
	for (; n > 0; n--) {
		sum += t;
		t += t;
	}
	return sum;
}

copse_ms copse_params_max_transmit_span(const struct copse_params *p)
{
	return sum_of_timeouts(p, p->max_retransmit);
}

copse_ms copse_params_max_transmit_wait(const struct copse_params *p)
{
	return sum_of_timeouts(p, p->max_retransmit + 1u);
}

/* RFC 7252 §4.8.2: MAX_TRANSMIT_SPAN + (2 * MAX_LATENCY) + PROCESSING_DELAY */
copse_ms copse_params_exchange_lifetime(const struct copse_params *p)
{
	return copse_params_max_transmit_span(p) + p->max_latency_ms + p->max_latency_ms +
	       p->processing_delay_ms;
}

/* RFC 7252 §4.8.2: MAX_TRANSMIT_SPAN + MAX_LATENCY */
copse_ms copse_params_non_lifetime(const struct copse_params *p)
{
	return copse_params_max_transmit_span(p) + p->max_latency_ms;
}

const char *copse_params_check(const struct copse_params *p)
{
	if (p->ack_timeout_ms < 1 || p->ack_timeout_ms > 600000)
		return "ack_timeout_ms must be 1 to 600000";
	if (p->ack_random_percent < 100 || p->ack_random_percent > 400)
		return "ack_random_percent must be 100 to 400";
	if (p->max_retransmit > 20)
		return "max_retransmit must be 0 to 20";
	if (p->token_len < 1 || p->token_len > COPSE_TOKEN_MAX)
		return "token_len must be 1 to 8";
	if (p->nstart < 1)
		return "nstart must be 1 or more";
	if (p->max_latency_ms > 86400000 || p->processing_delay_ms > 86400000)
		return "max_latency_ms and processing_delay_ms must be at most a day";
	return NULL;
}
