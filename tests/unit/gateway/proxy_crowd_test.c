/* Three thousand observers of one device, in virtual time: each ends up with the newest state, though the endpoint has room
 * for fewer messages at a time; the device is asked by one registration; and who wants something else meanwhile gets it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/worker_state.h"
#include "world.h"

#define OBSERVERS 3000
#define BATCH	  300 /* as many requests as the endpoint of the test remembers */
#define OTHER	  "o"

static char told[OBSERVERS][16]; /* what each knows */
static int sequence[OBSERVERS];
static unsigned other_answers;
static bool (*world_tap)(struct sim *, const struct sim_node *, const struct copse_peer *, const uint8_t *,
			 size_t);

static unsigned how_many_know(const char *text)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OBSERVERS; i++)
		n += strcmp(told[i], text) == 0;
	return n;
}

static bool look(struct sim *s, const struct sim_node *from, const struct copse_peer *to,
		 const uint8_t *bytes, size_t len)
{
	struct copse_message m;
	unsigned i = 0;

	if (to->key[1] != ALICE && to->key[1] != BOB)
		return world_tap(s, from, to, bytes, len);
	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	other_answers += m.code && m.token_len == 1;
	if (!m.code || m.token_len != 2)
		return false;
	memcpy(&i, copse_message_token(&m), 2);
	assert_true(i < OBSERVERS && (to->key[1] == ALICE) == (i % 2 == 0));
	assert_int_equal(m.code, COPSE_CODE_CONTENT);
	const int observe = (int)copse_message_uint(&m, COPSE_OPTION_OBSERVE, 0);
	assert_true(observe >= sequence[i]); /* never back to an older state */
	sequence[i] = observe;
	snprintf(told[i], sizeof(told[i]), "%.*s", (int)m.payload_len, (const char *)copse_message_payload(&m));
	return false;
}

static void register_one(unsigned i)
{
	static uint16_t id[NODES];
	const unsigned number = i % 2 ? BOB : ALICE;
	char token[2];

	memcpy(token, &i, 2);
	id[number]++;
	uint8_t bytes[100] = {0x52, COPSE_CODE_GET, (uint8_t)(id[number] >> 8), (uint8_t)id[number]};
	memcpy(bytes + 4, token, 2);
	struct copse_builder b;
	copse_build_rest(&b, bytes + 6, sizeof(bytes) - 6);
	copse_build_uint(&b, COPSE_OPTION_OBSERVE, 0);
	copse_build_option(&b, COPSE_OPTION_PROXY_URI, "coap://d1/state", 15);
	const int n = copse_build_finish(&b);
	assert_true(n > 0);
	send_raw(number, bytes, 6 + (size_t)n);
}

static void start(void)
{
	static const char text[] =
	    "name = \"gw\"\nkey \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
	    "sessions {\n max = 4\n requests = 1000\n idle = 100000\n}\n"
	    "proxy {\n requests = 1000\n max_message = 400\n}\n"
	    "observe {\n observations = 4\n observers = 3000\n per_session = 1500\n}\n"
	    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
	    "device \"d2\" {\n address = \"127.0.0.4\"\n}\n";

	memset(told, 0, sizeof(told));
	memset(sequence, 0, sizeof(sequence));
	other_answers = 0;
	start_world(text, (struct sim_link){.delay_ms = 5});
	device[DEVICE1].observe = 1;
	device[DEVICE1].max_age = 80000; /* nothing becomes stale meanwhile */
	device[DEVICE1].text = "zero";
	open_session(ALICE, "a");
	open_session(BOB, "b");
	world_tap = sim.tap;
	sim.tap = look;
}

static void test_crowd(void **state)
{
	static const char *const states[] = {"one", "two", "three"};
	struct gw_observe_usage usage;

	(void)state;
	start();
	for (unsigned i = 0; i < OBSERVERS; i += BATCH) {
		for (unsigned k = i; k < i + BATCH; k++)
			register_one(k);
		run_for(250000); /* until the endpoint has forgotten these requests */
	}
	assert_int_equal(how_many_know("zero"), OBSERVERS);
	gw_observations_usage(worker->observations, &usage);
	assert_int_equal(usage.observers, OBSERVERS);
	assert_int_equal(usage.observations, 1);
	const unsigned registrations = device[DEVICE1].runs;
	/* three states in quick succession: some are skipped, the last one never */
	for (unsigned i = 0; i < 3; i++) {
		device_notify(DEVICE1, COPSE_NON, COPSE_CODE_CONTENT, (int)(OBSERVERS + i), states[i]);
		run_for(10);
	}
	get(BOB, COPSE_CON, 60000, OTHER, "coap://d2/other");
	for (unsigned i = 0; i < 6000 && how_many_know("three") < OBSERVERS; i++)
		run_for(10);
	assert_int_equal(how_many_know("three"), OBSERVERS);
	assert_true(other_answers > 0);
	assert_true(gw_worker_counters(worker)->notifications_waited > 0); /* the bound was met */
	assert_int_equal(device[DEVICE1].runs, registrations);
	gw_observations_usage(worker->observations, &usage);
	assert_int_equal(usage.observers, OBSERVERS);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
