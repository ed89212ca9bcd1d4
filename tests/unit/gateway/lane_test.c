/* Lanes: their order, their bounds, and that nothing is left behind.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/lane.h"

static const uint64_t key[2] = {5, 6};
static const struct gw_lane_bounds bounds = {.requests = 8, .waiting = 3, .steps = 2, .message_len = 16};
static struct gw_lanes *lanes;
static uint32_t lane;

static int set_up(void **state)
{
	(void)state;
	lanes = gw_lanes_new(&bounds, key);
	return lanes ? 0 : -1;
}

static int tear_down(void **state)
{
	struct gw_lanes_usage u;

	(void)state;
	gw_lanes_usage(lanes, &u); /* every test leaves them as it found them */
	assert_int_equal(u.lanes, 0);
	assert_int_equal(u.waiting, 0);
	gw_lanes_free(lanes);
	gw_lanes_free(NULL);
	return 0;
}

static enum gw_lane_result enter(uint8_t device, uint16_t concurrent, uint16_t queue, uint32_t number,
				 const char *text)
{
	const struct copse_peer peer = {.len = 2, .group = number & 7, .key = {9, device}};
	const struct gw_lane_rule rule = {.concurrent = concurrent, .queue = queue};

	return gw_lanes_enter(lanes, &peer, &rule, number, text, strlen(text), &lane);
}

static uint32_t leave(uint32_t which, const char *expected)
{
	uint8_t buf[16];
	size_t len = 99;
	uint32_t n = gw_lanes_leave(lanes, which, buf, &len);

	if (n) {
		assert_int_equal(len, strlen(expected));
		assert_memory_equal(buf, expected, len);
	}
	return n;
}

static void test_serialized(void **state)
{
	(void)state;
	assert_int_equal(enter(1, 1, 0, 1, "a"), GW_LANE_GO);
	uint32_t one = lane;
	assert_int_equal(gw_lanes_device(lanes, one)->key[1], 1);
	assert_int_equal(enter(1, 1, 0, 2, "b"), GW_LANE_BUSY);
	assert_int_equal(enter(2, 1, 0, 2, "b"), GW_LANE_GO); /* another device is another lane */
	uint32_t two = lane;
	assert_int_not_equal(one, two);
	assert_int_equal(leave(one, ""), 0);
	assert_int_equal(enter(1, 1, 0, 1, "a"), GW_LANE_GO);
	assert_int_equal(leave(lane, ""), 0);
	assert_int_equal(leave(two, ""), 0);
}

static void test_concurrent(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(enter(1, 3, 0, i, "x"), GW_LANE_GO);
	assert_int_equal(enter(1, 3, 0, 4, "x"), GW_LANE_BUSY);
	leave(lane, "");
	assert_int_equal(enter(1, 3, 0, 4, "x"), GW_LANE_GO);
	for (int i = 0; i < 3; i++)
		leave(lane, "");
}

static void test_queue(void **state)
{
	(void)state;
	assert_int_equal(enter(1, 1, 2, 1, "one"), GW_LANE_GO);
	assert_int_equal(enter(1, 1, 2, 2, "two"), GW_LANE_WAIT);
	assert_int_equal(enter(1, 1, 2, 3, "three"), GW_LANE_WAIT);
	assert_int_equal(enter(1, 1, 2, 4, "four"), GW_LANE_BUSY); /* as deep as it may be */
	assert_int_equal(leave(lane, "two"), 2);
	assert_int_equal(enter(1, 1, 2, 4, "four"), GW_LANE_WAIT);
	assert_int_equal(leave(lane, "three"), 3);
	assert_int_equal(leave(lane, "four"), 4);
	assert_int_equal(leave(lane, ""), 0);
	/* a class that was made wider lets those that come go beside it, and those that wait keep their order */
	assert_int_equal(enter(1, 1, 2, 1, "one"), GW_LANE_GO);
	assert_int_equal(enter(1, 1, 2, 2, "two"), GW_LANE_WAIT);
	assert_int_equal(enter(1, 2, 2, 3, "three"), GW_LANE_GO);
	assert_int_equal(leave(lane, "two"), 2);
	leave(lane, "");
	leave(lane, "");
}

static enum gw_lane_result enter_step(uint32_t number)
{
	const struct copse_peer peer = {.len = 2, .key = {9, 1}};
	const struct gw_lane_rule rule = {.concurrent = 1, .step = true};

	return gw_lanes_enter(lanes, &peer, &rule, number, "step", 4, &lane);
}

/* A step of a transfer waits though there is no queue, and one request waits for a step. */
static void test_steps(void **state)
{
	(void)state;
	assert_int_equal(enter(1, 1, 0, 1, "a"), GW_LANE_GO);
	assert_int_equal(enter_step(2), GW_LANE_WAIT);
	assert_int_equal(enter_step(3), GW_LANE_WAIT);
	assert_int_equal(enter_step(4), GW_LANE_BUSY);          /* as many as there are places */
	assert_int_equal(enter(1, 1, 0, 4, "b"), GW_LANE_BUSY); /* it is no step that is on its way */
	assert_int_equal(leave(lane, "step"), 2);
	assert_int_equal(enter(1, 1, 0, 4, "b"), GW_LANE_WAIT);
	assert_int_equal(enter(1, 1, 0, 5, "c"), GW_LANE_BUSY); /* one */
	assert_int_equal(leave(lane, "step"), 3);
	assert_int_equal(enter_step(2), GW_LANE_WAIT);
	assert_int_equal(leave(lane, "b"), 4); /* in the order in which they came */
	assert_int_equal(enter(1, 1, 0, 5, "c"), GW_LANE_BUSY);
	assert_int_equal(leave(lane, "step"), 2);
	assert_int_equal(leave(lane, ""), 0);
	/* a step that found nobody in its way is one too */
	assert_int_equal(enter_step(2), GW_LANE_GO);
	assert_int_equal(enter(1, 1, 0, 4, "b"), GW_LANE_WAIT);
	/* where the class has a queue that is as deep as it says */
	assert_int_equal(enter(1, 1, 1, 5, "c"), GW_LANE_BUSY);
	assert_int_equal(leave(lane, "b"), 4);
	assert_int_equal(leave(lane, ""), 0);
}

/* Places for messages are of all lanes; so is their size. */
static void test_bounds(void **state)
{
	uint32_t of[5];

	(void)state;
	for (uint8_t d = 1; d <= 4; d++) {
		assert_int_equal(enter(d, 1, 9, d, "go"), GW_LANE_GO);
		of[d] = lane;
	}
	for (uint8_t d = 1; d <= 3; d++)
		assert_int_equal(enter(d, 1, 9, 4u + d, "wait"), GW_LANE_WAIT);
	assert_int_equal(enter(4, 1, 9, 8, "wait"), GW_LANE_BUSY);
	assert_int_equal(leave(of[1], "wait"), 5);
	assert_int_equal(enter(4, 1, 9, 8, "16 bytes, no les"), GW_LANE_WAIT);
	assert_int_equal(leave(of[4], "16 bytes, no les"), 8);
	assert_int_equal(enter(4, 1, 9, 4, "17 bytes are more"), GW_LANE_BUSY);
	for (uint8_t d = 2; d <= 3; d++)
		assert_int_equal(leave(of[d], "wait"), 4u + d);
	for (uint8_t d = 1; d <= 4; d++)
		assert_int_equal(leave(of[d], ""), 0);
}

/* As many lanes as requests, many times over. */
static void test_all_lanes(void **state)
{
	uint32_t of[9];

	(void)state;
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 1; i <= 8; i++) {
			assert_int_equal(enter((uint8_t)(round + (int)i), 1, 0, i, "x"), GW_LANE_GO);
			of[i] = lane;
		}
		for (uint32_t i = 1; i <= 8; i++)
			leave(of[i], "");
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_serialized), TEST(test_concurrent), TEST(test_queue),
	    TEST(test_steps),      TEST(test_bounds),     TEST(test_all_lanes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
