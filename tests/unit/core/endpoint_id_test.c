/* Where message IDs begin: at random below those kept for multicast, or where the program says.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <copse/endpoint.h>

static uint64_t memory[32768];

/* The ID of the first request of a new endpoint. */
static uint16_t first_of(uint64_t seed, uint16_t first_id)
{
	struct copse_config config = {.group = {COPSE_PARAMS_DEFAULT},
				      .group_n = 1,
				      .exchange_cap = 4,
				      .incoming_cap = 4,
				      .peer_cap = 4,
				      .chunk_cap = 16,
				      .reply_cap = 4,
				      .first_id = first_id,
				      .seed = {seed, ~seed}};
	struct copse_peer peer = {.len = 1, .key = {1}}, to;
	const struct copse_out out = {.code = COPSE_CODE_GET, .con = true};
	uint8_t buf[64];
	copse_handle exchange;

	assert_true(copse_endpoint_bytes(&config) <= sizeof(memory));
	struct copse_endpoint *ep = copse_endpoint_init(memory, sizeof(memory), &config, 0);
	assert_int_equal(copse_endpoint_request(ep, &peer, &out, 0, NULL, 0, &exchange), 0);
	assert_true(copse_endpoint_transmit(ep, buf, sizeof(buf), &to, 0) > 4);
	return (uint16_t)(buf[2] << 8 | buf[3]);
}

/* A program that starts often by the same port must not begin with the same ID more often than chance has it. */
static void random_ones_are_spread(void **state)
{
	static uint8_t seen[65536];
	(void)state;
	for (uint64_t seed = 1; seed <= 4000; seed++) {
		uint16_t id = first_of(seed, 0);
		assert_true(id < 0xf000);
		assert_true(++seen[id] < 5);
	}
}

static void it_may_be_chosen(void **state)
{
	(void)state;
	for (uint16_t id = 1; id < 0xf000; id = (uint16_t)(id + 997))
		assert_int_equal(first_of(id, id), id);
	assert_true(first_of(1, 0xffff) < 0xf000); /* those are for multicast */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_ones_are_spread),
	    cmocka_unit_test(it_may_be_chosen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
