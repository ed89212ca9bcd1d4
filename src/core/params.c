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

bool core_params_ok(const struct copse_params *p)
{
#define PARAM(field, min, max) &&(uint32_t)(p->field - (min)) <= (max) - (min) + 0u
	return true
#include "params.def"
	    ;
#undef PARAM
}
