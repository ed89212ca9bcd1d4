/* Crowds at one device, in virtual time.
 *
 * Three thousand observers: each ends up with the newest state, though the endpoint has room for fewer messages at a
 * time; the device is asked by one registration. And whoever wants something of another device gets it as if there
 * were no crowd: the same answers in the same millisecond, whether the crowd's device is slow, dead, or tells three
 * thousand something.
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
#define BATCH     300 /* as many requests as the endpoint of the test remembers */
#define OTHER     "o"

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
	snprintf(told[i], sizeof(told[i]), "%.*s", (int)m.payload_len,
		 (const char *)copse_message_payload(&m));
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

/* ---- the others ---- */

#define OTHERS 400 /* requests of BOB to another device, one each 7 ms */
#define STEP   7

enum crowd { NOBODY, AT_A_DEAD_DEVICE, AT_A_SLOW_DEVICE, OBSERVING, CROWDS };

static struct answer {
	copse_ms at; /* since the beginning */
	uint8_t type, code;
	uint8_t token[8];
	size_t token_len;
	char payload[24];
} answers[CROWDS][2 * OTHERS + 64];

static unsigned answer_n[CROWDS];
static enum crowd crowd;
static copse_ms begun;
static unsigned crowd_heard; /* messages to the crowd */

/* What BOB gets; message IDs are no part of it. He acknowledges at once. */
static bool look_at_others(struct sim *s, const struct sim_node *from, const struct copse_peer *to,
			   const uint8_t *bytes, size_t len)
{
	struct copse_message m;

	if (to->key[1] != ALICE && to->key[1] != BOB)
		return world_tap(s, from, to, bytes, len);
	crowd_heard += to->key[1] == ALICE;
	if (to->key[1] == ALICE)
		return false;
	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	assert_true(answer_n[crowd] < sizeof(answers[0]) / sizeof(answers[0][0]));
	struct answer *a = &answers[crowd][answer_n[crowd]++];
	memset(a, 0, sizeof(*a));
	a->at = sim.now - begun;
	a->type = m.type;
	a->code = m.code;
	a->token_len = m.token_len;
	memcpy(a->token, copse_message_token(&m), m.token_len);
	snprintf(a->payload, sizeof(a->payload), "%.*s", (int)m.payload_len,
		 (const char *)copse_message_payload(&m));
	if (m.type == COPSE_CON) {
		const uint8_t ack[4] = {0x60, 0, (uint8_t)(m.id >> 8), (uint8_t)m.id};
		send_raw(BOB, ack, sizeof(ack));
	}
	return false;
}

static void start_others(void)
{
	static const char text[] =
	    "name = \"gw\"\nkey \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
	    "sessions {\n max = 4\n requests = 300\n idle = 100000\n}\n"
	    "proxy {\n requests = 1000\n max_message = 400\n}\n"
	    "observe {\n observations = 4\n observers = 3001\n per_session = 3000\n}\n"
	    "class \"default\" {\n concurrent = 4\n queue = 64\n}\n"
	    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
	    "device \"d2\" {\n address = \"127.0.0.4\"\n}\n";

	memset(told, 0, sizeof(told));
	memset(sequence, 0, sizeof(sequence));
	start_world(text, (struct sim_link){.delay_ms = 5});
	device[DEVICE1].observe = device[DEVICE2].observe = 1;
	device[DEVICE1].max_age = device[DEVICE2].max_age = 80000;
	open_session(ALICE, "a");
	open_session(BOB, "b");
	world_tap = sim.tap;
	sim.tap = look_at_others;
	crowd_heard = 0;
}

/* Three thousand tokens of ALICE's, a few at a time. All crowds take the time. */
static void register_crowd(void)
{
	for (unsigned i = 0; i < OBSERVERS; i += BATCH) {
		for (unsigned k = i; crowd == OBSERVING && k < i + BATCH; k++) {
			uint8_t bytes[100] = {0x52,       COPSE_CODE_GET,    (uint8_t)(k >> 8),
					      (uint8_t)k, (uint8_t)(k >> 8), (uint8_t)k};
			struct copse_builder b;
			copse_build_rest(&b, bytes + 6, sizeof(bytes) - 6);
			copse_build_uint(&b, COPSE_OPTION_OBSERVE, 0);
			copse_build_option(&b, COPSE_OPTION_PROXY_URI, "coap://d1/state", 15);
			const int n = copse_build_finish(&b);
			assert_true(n > 0);
			send_raw(ALICE, bytes, 6 + (size_t)n);
		}
		run_for(250000);
	}
}

/* What the crowd does at step `i`. */
static void crowd_step(unsigned i)
{
	char uri[40];

	if (crowd == OBSERVING && i % 3 == 0)
		device_notify(DEVICE1, COPSE_NON, COPSE_CODE_CONTENT, (int)(2 + i),
			      "something for everybody");
	if ((crowd == AT_A_DEAD_DEVICE || crowd == AT_A_SLOW_DEVICE) && i < 60) {
		snprintf(uri, sizeof(uri), "coap://d1/crowd%u", i);
		get(ALICE, COPSE_CON, (uint16_t)(5000 + 2 * i), "a", uri);
		get(ALICE, COPSE_NON, (uint16_t)(5001 + 2 * i), "b",
		    uri); /* the same waits for the same answer */
	}
}

static void run_others(enum crowd which)
{
	char uri[40], token[8];

	crowd = which;
	start_others();
	device[DEVICE1].behaviour = which == AT_A_DEAD_DEVICE   ? SILENT
				    : which == AT_A_SLOW_DEVICE ? LATER
								: ANSWER;
	register_crowd();
	begun = sim.now;
	crowd_heard = answer_n[which] = 0;
	begin(COPSE_CON, COPSE_CODE_GET, 999, "watch");
	add(COPSE_OPTION_PROXY_URI, "coap://d2/watched");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	send_it(BOB);
	run_for(3);
	for (unsigned i = 0; i < OTHERS; i++) {
		crowd_step(i);
		snprintf(uri, sizeof(uri), "coap://d2/other%u",
			 i % 100); /* the later ones are in the cache */
		snprintf(token, sizeof(token), "%u", i);
		get(BOB, i % 2 ? COPSE_CON : COPSE_NON, (uint16_t)(1000 + i), token, uri);
		if (i % 20 == 7)
			device_notify(DEVICE2, i % 40 == 7 ? COPSE_CON : COPSE_NON, COPSE_CODE_CONTENT,
				      (int)(2 + i), token);
		run_for(STEP);
	}
	run_for(60000); /* the crowd's device keeps silent, and answers are waited for */
	end_world();
}

static void test_others_notice_nothing(void **state)
{
	(void)state;
	run_others(NOBODY);
	assert_true(answer_n[NOBODY] > OTHERS + 20); /* all were answered, and told of what they observe */
	for (enum crowd which = NOBODY + 1; which < CROWDS; which++) {
		run_others(which);
		assert_true(crowd_heard >= (which == OBSERVING ? OBSERVERS : 60)); /* there was one */
		for (unsigned i = 0; i < answer_n[NOBODY] && i < answer_n[which]; i++) {
			const struct answer *a = &answers[NOBODY][i], *b = &answers[which][i];
			if (memcmp(a, b, sizeof(*a)) != 0)
				print_error("crowd %d, message %u: %u of code %u at %u ms, without it %u of "
					    "code %u at %u ms\n",
					    which, i, b->type, b->code, (unsigned)b->at, a->type, a->code,
					    (unsigned)a->at);
			assert_memory_equal(a, b, sizeof(*a));
		}
		assert_int_equal(answer_n[which], answer_n[NOBODY]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_crowd),
	    cmocka_unit_test(test_others_notice_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
