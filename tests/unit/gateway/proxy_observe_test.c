/* Shared observations in the whole gateway, in virtual time: what goes to the device, and what each observer gets.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/worker_state.h"
#include "world.h"

static const char configuration[] = "name = \"gw\"\n"
				    "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
				    "sessions {\n idle = 1000000\n}\n"
				    "mesh {\n response_timeout = 60\n}\n"
				    "proxy {\n requests = 8\n max_message = 400\n}\n"
				    "observe {\n observations = 2\n observers = 4\n per_session = 3\n}\n"
				    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
				    "device \"d2\" {\n address = \"127.0.0.4\"\n}\n";

static int set_up(void **state)
{
	(void)state;
	start_world(configuration, (struct sim_link){.delay_ms = 10});
	open_session(ALICE, "a");
	open_session(BOB, "b");
	device[DEVICE1].observe = 5;
	device[DEVICE1].max_age = 30;
	device[DEVICE1].etag = "";
	device[DEVICE1].text = "first";
	copse_endpoint_understands(sim.node[DEVICE1].ep, (const uint16_t[]){COPSE_OPTION_OSCORE}, 1);
	return 0;
}

static struct gw_observe_usage usage(void)
{
	struct gw_observe_usage u;

	gw_observations_usage(worker->observations, &u);
	return u;
}

static uint16_t next_id = 100;

static void observe(unsigned number, enum copse_type type, const char *token, const char *uri, uint32_t value)
{
	begin(type, COPSE_CODE_GET, next_id++, token);
	add(COPSE_OPTION_PROXY_URI, uri);
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, value);
	send_it(number);
}

static const struct seen *registered(unsigned number, enum copse_type type, const char *token)
{
	observe(number, type, token, "coap://d1/a", 0);
	run_for(100);
	acknowledge(number);
	assert_int_equal(last(number)->code, COPSE_CODE_CONTENT);
	return last(number);
}

static void notify(int sequence, const char *text)
{
	device_notify(DEVICE1, COPSE_NON, COPSE_CODE_CONTENT, sequence, text);
	run_for(50);
}

static void reset(unsigned number)
{
	const struct seen *s = last(number);
	const uint8_t rst[4] = {0x70, 0, (uint8_t)(s->id >> 8), (uint8_t)s->id};

	send_raw(number, rst, sizeof(rst));
}

static uint32_t device_was_asked(void)
{
	return copse_message_uint(&device[DEVICE1].last, COPSE_OPTION_OBSERVE, 99);
}

/* ---- beginning ---- */

static void test_first(void **state)
{
	const struct seen *s = registered(ALICE, COPSE_CON, "al");

	(void)state;
	assert_int_equal(s->type, COPSE_CON); /* acknowledged at once, answered later */
	assert_true(s->observe >= 0);
	assert_int_equal(s->max_age, 30);
	assert_string_equal(s->payload, "first");
	assert_memory_equal(s->token, "al", 2);
	assert_int_equal(device_was_asked(), 0);
	assert_int_not_equal(device[DEVICE1].last.token_len, 2); /* under a token of the gateway's own */
	assert_int_equal(usage().observations, 1);
	assert_int_equal(usage().observers, 1);
	notify(6, "second");
	assert_int_equal(last(ALICE)->type, COPSE_CON); /* as it asked */
	assert_string_equal(last(ALICE)->payload, "second");
	assert_memory_equal(last(ALICE)->token, "al", 2);
	assert_true(last(ALICE)->observe > 0);
	acknowledge(ALICE);
	run_for(1000);
	assert_int_equal(requests_used(), 0);
	assert_int_equal(device[DEVICE1].runs, 1);
}

/* Each new observer lets the gateway register again, gets a fresh answer, and so do those before it. */
static void test_second(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	run_for(20000);
	device[DEVICE1].text = "fresh";
	device[DEVICE1].observe = 6;
	const int before = last(ALICE)->observe;
	assert_string_equal(registered(BOB, COPSE_NON, "bo")->payload, "fresh");
	assert_int_equal(last(BOB)->type, COPSE_NON);
	assert_int_equal(last(BOB)->max_age, 30); /* not what is left of the older state */
	assert_int_equal(device[DEVICE1].runs, 2);
	assert_int_equal(device_was_asked(), 0);
	assert_string_equal(last(ALICE)->payload, "fresh");
	assert_true(last(ALICE)->observe > before);
	acknowledge(ALICE);
	assert_int_equal(usage().observations, 1);
	assert_int_equal(usage().observers, 2);
	notify(7, "both");
	assert_string_equal(last(ALICE)->payload, "both");
	assert_int_equal(last(ALICE)->type, COPSE_CON);
	assert_string_equal(last(BOB)->payload, "both");
	assert_int_equal(last(BOB)->type, COPSE_NON);
	assert_memory_equal(last(BOB)->token, "bo", 2);
	assert_int_equal(world_counters()->observe_shared, 1);
}

/* Clients that come while a registration is under way share its answer. */
static void test_at_once(void **state)
{
	(void)state;
	observe(ALICE, COPSE_CON, "al", "coap://d1/a", 0);
	observe(BOB, COPSE_CON, "bo", "coap://d1/a", 0);
	run_for(100);
	acknowledge(ALICE);
	acknowledge(BOB);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_string_equal(last(ALICE)->payload, "first");
	assert_string_equal(last(BOB)->payload, "first");
	assert_true(last(BOB)->observe >= 0);
	assert_int_equal(usage().observers, 2);
	run_for(1000);
	assert_int_equal(requests_used(), 0);
}

/* A device without observation: a plain answer, and nothing is kept. */
static void test_not_observable(void **state)
{
	(void)state;
	device[DEVICE1].observe = -1;
	assert_int_equal(registered(ALICE, COPSE_CON, "al")->observe, -1);
	device[DEVICE1].observe = 5;
	device[DEVICE1].code = COPSE_CODE_NOT_FOUND;
	observe(ALICE, COPSE_CON, "a2", "coap://d1/b", 0);
	run_for(100);
	acknowledge(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_FOUND);
	assert_int_equal(usage().observations + usage().observers, 0);
	assert_int_equal(world_counters()->observe_plain, 2);
	run_for(100);
	assert_int_equal(requests_used(), 0);
}

/* The same client asks again under the same token: one observer, refreshed. */
static void test_again(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	device[DEVICE1].text = "refreshed";
	device[DEVICE1].observe = 6;
	assert_string_equal(registered(ALICE, COPSE_CON, "al")->payload, "refreshed");
	assert_int_equal(usage().observers, 1);
	const unsigned n = client[ALICE].n;
	run_for(200);
	assert_int_equal(client[ALICE].n, n);                  /* the answer is all it gets */
	observe(ALICE, COPSE_CON, "al", "coap://d1/other", 0); /* another resource under that token */
	run_for(100);
	acknowledge(ALICE);
	run_for(1000);
	assert_int_equal(usage().observers, 1);
	assert_int_equal(usage().observations, 1);
	assert_int_equal(world_counters()->observe_cancelled, 1);
}

/* Beyond the bounds the answer is a plain one. */
static void test_bounds(void **state)
{
	static const char *const tokens[] = {"a", "b", "c", "d"};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const int told = registered(ALICE, COPSE_CON, tokens[i])->observe;
		assert_int_equal(told >= 0, i < 3); /* per_session */
	}
	assert_true(registered(BOB, COPSE_CON, "b")->observe >= 0);
	assert_int_equal(registered(BOB, COPSE_CON, "c")->observe, -1); /* observers */
	assert_int_equal(world_counters()->observe_full, 2);
	assert_int_equal(usage().observers, 4);
	assert_int_equal(worker->observers_reserved, 0);
}

static void test_observations_bound(void **state)
{
	static const char *const uris[] = {"coap://d1/a", "coap://d1/b", "coap://d1/c"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		observe(ALICE, COPSE_CON, i == 0 ? "x" : i == 1 ? "y" : "z", uris[i], 0);
		run_for(100);
		acknowledge(ALICE);
		assert_int_equal(last(ALICE)->observe >= 0, i < 2);
	}
	assert_int_equal(usage().observations, 2);
}

/* Secure and clear, one Accept and another, and what only one account may share, are different observations. */
static void test_never_shared(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "bo");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	copse_build_uint(&request, COPSE_OPTION_ACCEPT, 50);
	send_it(BOB);
	run_for(100);
	assert_int_equal(usage().observations, 2);
}

/* ---- what the device says ---- */

static void test_order(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	notify(8, "eight");
	notify(7, "seven"); /* overtaken on the way */
	assert_string_equal(last(ALICE)->payload, "eight");
	assert_int_equal(world_counters()->notified_old, 1);
	run_for(10000);
	device[DEVICE1].max_age = 1000;
	notify(9, "nine");
	run_for(129000);
	notify(2, "after a long time"); /* RFC 7641 §3.4: any number is newer */
	assert_string_equal(last(ALICE)->payload, "after a long time");
	int sequence = -1;
	for (unsigned i = 0; i < client[ALICE].n; i++) {
		if (client[ALICE].seen[i].observe < 0)
			continue;
		assert_true(client[ALICE].seen[i].observe > sequence);
		sequence = client[ALICE].seen[i].observe;
	}
}

/* A state without Max-Age is good for 60 seconds, and says so. */
static void test_default_max_age(void **state)
{
	(void)state;
	device[DEVICE1].max_age = -1;
	assert_int_equal(registered(ALICE, COPSE_NON, "al")->max_age, 60);
	run_for(60500); /* a notification may be late */
	assert_int_equal(device[DEVICE1].runs, 1);
	run_for(4000);
	assert_int_equal(device[DEVICE1].runs, 2); /* stale: registered anew */
}

/* What is stale is asked for again, and the answer goes to all. */
static void test_stale(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	registered(BOB, COPSE_NON, "bo");
	acknowledge(ALICE);
	device[DEVICE1].text = "renewed";
	device[DEVICE1].observe = 0; /* it has restarted, and counts from the beginning */
	const unsigned runs = device[DEVICE1].runs;
	run_for(35000);
	acknowledge(ALICE);
	assert_int_equal(device[DEVICE1].runs, runs + 1);
	assert_int_equal(device_was_asked(), 0);
	assert_string_equal(last(ALICE)->payload, "renewed");
	assert_string_equal(last(BOB)->payload, "renewed");
	assert_int_equal(world_counters()->observe_stale, 1);
	notify(1, "goes on");
	assert_string_equal(last(BOB)->payload, "goes on");
	acknowledge(ALICE);
	run_for(1000);
	assert_int_equal(requests_used(), 0);
}

/* The device is gone when it is asked again: an error ends the observation for all. */
static void test_dead_device(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	registered(BOB, COPSE_NON, "bo");
	device[DEVICE1].behaviour = SILENT;
	run_for(120000);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_int_equal(last(ALICE)->observe, -1);
	assert_int_equal(last(BOB)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_memory_equal(last(BOB)->token, "bo", 2);
	assert_int_equal(usage().observations + usage().observers, 0);
	assert_int_equal(requests_used(), 0);
	assert_int_equal(world_counters()->observe_ended, 1);
	device[DEVICE1].behaviour = ANSWER;
	assert_true(registered(ALICE, COPSE_NON, "al")->observe >= 0); /* and it can begin anew */
}

static void test_error_ends(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	registered(BOB, COPSE_NON, "bo");
	device_notify(DEVICE1, COPSE_CON, COPSE_CODE_NOT_FOUND, -1, "deleted");
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_FOUND);
	assert_string_equal(last(ALICE)->payload, "deleted");
	assert_int_equal(last(BOB)->code, COPSE_CODE_NOT_FOUND);
	assert_int_equal(usage().observations + usage().observers, 0);
}

/* A notification that cannot be passed on ends it too: nobody may believe that nothing has changed. */
static void test_too_large(void **state)
{
	static char large[500];

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	registered(ALICE, COPSE_NON, "al");
	notify(6, large);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_GATEWAY);
	assert_int_equal(usage().observations + usage().observers, 0);
}

/* ---- leaving ---- */

static void test_cancel(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	registered(BOB, COPSE_CON, "bo");
	acknowledge(ALICE);
	observe(ALICE, COPSE_CON, "al", "coap://d1/a", 1);
	run_for(100);
	acknowledge(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(last(ALICE)->observe, -1);
	assert_int_equal(device_was_asked(), 99); /* BOB is still there: a plain GET */
	assert_int_equal(usage().observers, 1);
	notify(9, "bob's");
	assert_string_equal(last(BOB)->payload, "bob's");
	assert_string_not_equal(last(ALICE)->payload, "bob's");
	acknowledge(BOB);
	observe(BOB, COPSE_CON, "bo", "coap://d1/a", 1);
	run_for(100);
	acknowledge(BOB);
	assert_int_equal(device_was_asked(), 1); /* the last one's request cancels */
	assert_int_equal(last(BOB)->code, COPSE_CODE_CONTENT);
	assert_int_equal(usage().observations + usage().observers, 0);
	assert_int_equal(world_counters()->observe_cancelled, 1);
	run_for(1000);
	assert_int_equal(requests_used(), 0);
}

/* A Reset of a notification cancels, of a confirmable one and of another; the device is told. */
static void test_reset(void **state)
{
	(void)state;
	for (int type = COPSE_CON; type <= COPSE_NON; type++) {
		registered(ALICE, (enum copse_type)type, "al");
		notify(6 + type, "unwanted");
		reset(ALICE);
		run_for(1000);
		assert_int_equal(usage().observations + usage().observers, 0);
		assert_int_equal(device_was_asked(), 1);
		assert_int_equal(requests_used(), 0);
	}
	assert_int_equal(world_counters()->observers_left, 2);
}

/* A Reset from elsewhere, and one with another ID, mean nothing. */
static void test_forged_reset(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	notify(6, "wanted");
	const struct seen *s = last(ALICE);
	const uint8_t forged[4] = {0x70, 0, (uint8_t)(s->id >> 8), (uint8_t)s->id};
	const uint8_t other[4] = {0x70, 0, (uint8_t)((s->id + 1) >> 8), (uint8_t)(s->id + 1)};
	send_raw(BOB, forged, sizeof(forged));
	send_raw(ALICE, other, sizeof(other));
	run_for(1000);
	assert_int_equal(usage().observers, 1);
}

/* Two notifications in a breath: the Reset of the first one cancels, though the second has gone. */
static void test_reset_of_the_older(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	notify(6, "one");
	const uint16_t id = last(ALICE)->id;
	notify(7, "two");
	const uint8_t rst[4] = {0x70, 0, (uint8_t)(id >> 8), (uint8_t)id};
	send_raw(ALICE, rst, sizeof(rst));
	run_for(1000);
	assert_int_equal(usage().observers, 0);
	assert_int_equal(world_counters()->observers_left, 1);
}

/* RFC 7641 §4.5: who registered by NON is told confirmably once a day, and after that not for another day. */
static void test_once_a_day(void **state)
{
	(void)state;
	device[DEVICE1].max_age = 1000000;
	registered(ALICE, COPSE_NON, "al");
	run_for(86300 * (copse_ms)1000);
	notify(6, "before");
	assert_int_equal(last(ALICE)->type, COPSE_NON);
	run_for(200 * (copse_ms)1000);
	notify(7, "a day later");
	assert_int_equal(last(ALICE)->type, COPSE_CON);
	assert_string_equal(last(ALICE)->payload, "a day later");
	acknowledge(ALICE);
	run_for(1000);
	notify(8, "after");
	assert_int_equal(last(ALICE)->type, COPSE_NON);
	assert_int_equal(worker->notifying, 0);
}

/* Numbers go on when an observation ends and another one begins: an observer that compares takes the new one for newer. */
static void test_sequence_goes_on(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	for (int i = 6; i < 20; i++)
		notify(i, "state");
	const int before = last(ALICE)->observe;
	reset(ALICE);
	run_for(1000);
	assert_int_equal(usage().observations, 0);
	assert_true(registered(ALICE, COPSE_NON, "al")->observe > before);
}

/* The Reset of the very first answer cancels too. */
static void test_reset_of_the_answer(void **state)
{
	(void)state;
	observe(ALICE, COPSE_CON, "al", "coap://d1/a", 0);
	run_for(100);
	assert_int_equal(last(ALICE)->type, COPSE_CON);
	assert_int_equal(usage().observers, 1);
	reset(ALICE);
	run_for(1000);
	assert_int_equal(usage().observations + usage().observers, 0);
	assert_int_equal(requests_used(), 0);
}

/* Who never acknowledges is dropped after the failed CON; others stay. */
static void test_silent_observer(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	registered(BOB, COPSE_NON, "bo");
	acknowledge(ALICE);
	device[DEVICE1].max_age = 1000;
	notify(7, "unheard");
	client[ALICE].n = 0;
	run_for(200000);
	assert_int_equal(usage().observers, 1);
	assert_int_equal(world_counters()->observers_dead, 1);
	assert_int_equal(worker->notifying, 0);
}

/* While one confirmable notification is under way the newest state waits, and replaces what is sent again. */
static void test_newest_wins(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	client[ALICE].n = 0;
	notify(6, "one");
	notify(7, "two");
	notify(8, "three");
	assert_int_equal(client[ALICE].n, 1);
	assert_int_equal(worker->notifying, 1);
	acknowledge(ALICE); /* of the first: what it missed follows */
	run_for(100);
	assert_int_equal(client[ALICE].n, 2);
	assert_string_equal(last(ALICE)->payload, "three");
	acknowledge(ALICE);
	run_for(200);
	assert_int_equal(client[ALICE].n, 2);
	assert_int_equal(worker->notifying, 0);
}

/* The device is busy when the last observer leaves: the client gets the 5.03 of the lane, the cancellation is not lost. */
static void test_cancel_while_busy(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	device[DEVICE1].behaviour = LATER;
	get(BOB, COPSE_CON, next_id++, "slow", "coap://d1/slow");
	run_for(50);
	struct sim_node *node = &sim.node[DEVICE1];
	const copse_handle waiting = device[DEVICE1].waiting;
	observe(ALICE, COPSE_CON, "al", "coap://d1/a", 1);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_non_null(strstr(last(ALICE)->payload, "device serialization requirements"));
	assert_int_equal(usage().observers, 0);
	assert_int_equal(usage().observations, 1); /* the device is still to be told */
	run_for(3000);
	assert_int_not_equal(device_was_asked(), 1);
	device[DEVICE1].behaviour = ANSWER;
	device_answer(node, waiting, &device[DEVICE1].last);
	run_for(2000);
	acknowledge(BOB);
	assert_int_equal(device_was_asked(), 1);
	assert_int_equal(usage().observations, 0);
	run_for(100);
	assert_int_equal(requests_used(), 0);
}

/* A session that has moved, or ended, has no observers any more; its old address is told. */
static void test_moved_session(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	post_session(ALICE, "{\"sub\":\"b\"}", NULL); /* another token: the same session, still at home */
	notify(6, "still");
	begin(COPSE_CON, COPSE_CODE_DELETE, next_id++, "d");
	add(COPSE_OPTION_URI_PATH, "sessions");
	send_it(ALICE);
	notify(7, "gone");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	assert_memory_equal(last(ALICE)->token, "al", 2);
	assert_int_equal(world_counters()->observers_homeless, 1);
	run_for(1000);
	assert_int_equal(usage().observations + usage().observers, 0);
}

/* A notification is as good as an answer: a GET is served from it. */
static void test_feeds_the_cache(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	notify(6, "told");
	const unsigned runs = device[DEVICE1].runs;
	get(BOB, COPSE_CON, next_id++, "g", "coap://d1/a");
	assert_string_equal(last(BOB)->payload, "told");
	assert_int_equal(last(BOB)->observe, -1);
	assert_int_equal(device[DEVICE1].runs, runs);
}

/* Of a state in several blocks observers get the first, and fetch the others with GET: not those of another state. */
static void test_first_block(void **state)
{
	static const uint16_t block2 = COPSE_OPTION_BLOCK2;

	(void)state;
	copse_endpoint_understands(sim.node[DEVICE1].ep, &block2, 1);
	device[DEVICE1].extra_number = COPSE_OPTION_BLOCK2;
	device[DEVICE1].extra = "\x08"; /* block 0 of 16 bytes, more follow */
	device[DEVICE1].text = "0123456789abcdef";
	assert_int_equal(registered(ALICE, COPSE_NON, "al")->block2, 8);
	notify(6, "fedcba9876543210");
	assert_string_equal(last(ALICE)->payload, "fedcba9876543210");
	assert_int_equal(last(ALICE)->block2, 8);
	const unsigned runs = device[DEVICE1].runs;
	device[DEVICE1].extra = "\x10"; /* block 1, the last */
	device[DEVICE1].text = "the rest";
	begin(COPSE_NON, COPSE_CODE_GET, next_id++, "g");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, 0x10);
	send_it(ALICE);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, runs + 1);
	assert_int_equal(copse_message_uint(&device[DEVICE1].last, COPSE_OPTION_BLOCK2, 99), 0x10);
	assert_string_equal(last(ALICE)->payload, "the rest");
	assert_int_equal(last(ALICE)->block2, 0x10);
	assert_int_equal(usage().observers, 1);
	get(BOB, COPSE_NON, next_id++, "b", "coap://d1/a"); /* a part is of no use to anybody else */
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, runs + 2);
}

/* Loss on both sides: in the end every observer has the newest state. */
static void test_loss(void **state)
{
	(void)state;
	sim.link.loss = 0.3;
	for (unsigned i = 0; i < 20 && usage().observers < 1; i++) {
		observe(ALICE, COPSE_CON, "al", "coap://d1/a", 0);
		for (unsigned j = 0; j < 100; j++) {
			run_for(1000);
			client[ALICE].n = client[ALICE].n > 20 ? 0 : client[ALICE].n;
			acknowledge(ALICE);
		}
	}
	assert_int_equal(usage().observers, 1);
	for (int i = 10; i < 30; i++) {
		char text[16];
		snprintf(text, sizeof(text), "state %d", i);
		device[DEVICE1].text = text;
		device[DEVICE1].observe = i;
		client[ALICE].n = 0;
		device_notify(DEVICE1, COPSE_CON, COPSE_CODE_CONTENT, i, text);
		for (unsigned j = 0; j < 100 && !(client[ALICE].n && strcmp(last(ALICE)->payload, text) == 0);
		     j++) {
			run_for(1000);
			acknowledge(ALICE);
			client[ALICE].n = client[ALICE].n > 20 ? 0 : client[ALICE].n;
		}
		assert_string_equal(last(ALICE)->payload, text);
	}
}

/* RFC 7252 §5.10.5: Max-Age is what is left when a notification leaves, be it once more, in place of another, or after
 * another one's acknowledgement. */
static void test_max_age_is_true(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	run_for(5000);
	client[ALICE].n = 0;
	const copse_ms first = sim.now + 10; /* when it reaches the gateway */
	notify(6, "one");
	run_for(15000);
	assert_in_range(client[ALICE].n, 3, 4);
	for (unsigned i = 0; i < client[ALICE].n; i++) {
		const struct seen *s = &client[ALICE].seen[i];
		assert_string_equal(s->payload, "one");
		assert_int_equal(s->max_age, 30 - (s->at - first) / 1000);
	}
	const uint8_t ack[4] = {0x60, 0, (uint8_t)(last(ALICE)->id >> 8), (uint8_t)last(ALICE)->id};
	client[ALICE].n = 0;
	const copse_ms second = sim.now + 10;
	notify(7, "two");
	run_for(1200);
	assert_int_equal(client[ALICE].n, 0); /* it waits for the time of the next repetition, or for */
	send_raw(ALICE, ack, sizeof(ack));    /* the acknowledgement of the older one */
	run_for(100);
	assert_string_equal(last(ALICE)->payload, "two");
	assert_int_equal(last(ALICE)->max_age, 30 - (last(ALICE)->at - second + 999) / 1000);
	client[ALICE].n = 0;
	run_for(1000);
	const copse_ms third = sim.now + 10;
	notify(8, "three");
	run_for(10000);
	assert_string_equal(client[ALICE].seen[0].payload, "three"); /* in place of a repetition of "two" */
	assert_in_range(client[ALICE].seen[0].at, third + 1000, third + 3000);
	assert_int_equal(client[ALICE].seen[0].max_age, 30 - (client[ALICE].seen[0].at - third) / 1000);
	acknowledge(ALICE);
}

/* It is over before the observer has it: said, and not hidden. */
static void test_max_age_ends(void **state)
{
	(void)state;
	registered(ALICE, COPSE_CON, "al");
	run_for(5000);
	client[ALICE].n = 0;
	device[DEVICE1].max_age = 3;
	device[DEVICE1].behaviour = SILENT; /* when it is registered anew */
	notify(6, "brief");
	run_for(40000);
	assert_string_equal(client[ALICE].seen[0].payload, "brief");
	assert_int_equal(client[ALICE].seen[0].max_age, 3);
	assert_int_equal(last(ALICE)->max_age, 0);
}

/* An older notification that arrives in place of the answer to a new registration cannot be told from a device that has
 * restarted: it is taken, and the device soon asked again. */
static void test_late_instead_of_the_answer(void **state)
{
	(void)state;
	registered(ALICE, COPSE_NON, "al");
	notify(20, "newest");
	device[DEVICE1].behaviour = LATER;
	const unsigned runs = device[DEVICE1].runs;
	observe(BOB, COPSE_NON, "bo", "coap://d1/a", 0);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, runs + 1);
	notify(19, "older");
	assert_string_equal(last(BOB)->payload, "older");
	device[DEVICE1].behaviour = ANSWER; /* and what it answered then is lost */
	device[DEVICE1].observe = 20;
	device[DEVICE1].text = "newest";
	run_for(4200);
	assert_int_equal(device[DEVICE1].runs, runs + 2);
	assert_string_equal(last(ALICE)->payload, "newest");
	assert_string_equal(last(BOB)->payload, "newest");
	run_for(20000);
	assert_int_equal(device[DEVICE1].runs, runs + 2); /* once is enough */
}

/* The device may not be asked again yet: it is tried in half a second, and nobody is turned away meanwhile. */
static void test_stale_beyond_the_rate(void **state)
{
	(void)state;
	start_world("name = \"gw\"\nkey \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
		    "class \"default\" {\n rate = 0.02\n burst = 1\n}\n"
		    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n",
		    (struct sim_link){.delay_ms = 10});
	open_session(ALICE, "a");
	device[DEVICE1].observe = 5;
	device[DEVICE1].max_age = 10;
	registered(ALICE, COPSE_NON, "al");
	run_for(40000);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(usage().observers, 1);
	assert_in_range(world_counters()->refused_device_rate, 10, 100);
	run_for(11000);
	assert_int_equal(device[DEVICE1].runs, 2);
	assert_int_equal(usage().observers, 1);
	assert_int_equal(requests_used(), 0);
	end_world();
}

/* No larger blocks than the class allows are asked for in a registration either. */
static void test_block_as_configured(void **state)
{
	static const uint16_t block2 = COPSE_OPTION_BLOCK2;

	(void)state;
	start_world("name = \"gw\"\nkey \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
		    "class \"default\" {\n block_size = 32\n}\n"
		    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n",
		    (struct sim_link){.delay_ms = 10});
	copse_endpoint_understands(sim.node[DEVICE1].ep, &block2, 1);
	open_session(ALICE, "a");
	device[DEVICE1].observe = 5;
	begin(COPSE_NON, COPSE_CODE_GET, next_id++, "al");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, 6);
	send_it(ALICE);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_true(last(ALICE)->observe >= 0);
	assert_int_equal(copse_message_uint(&device[DEVICE1].last, COPSE_OPTION_BLOCK2, 99), 1);
	end_world();
}

/* ---- what OSCORE protects ---- */

/* To observe, under a number that tells messages apart as their Partial IVs do. */
static void observe_sealed(unsigned number, const char *token, const char *piv, uint32_t value)
{
	begin(COPSE_CON, COPSE_CODE_FETCH, next_id++, token);
	add(COPSE_OPTION_PROXY_URI, "coap://d1");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, value);
	add(COPSE_OPTION_OSCORE, piv);
	copse_build_payload(&request, "sealed", 6);
	send_it(number);
	run_for(100);
	acknowledge(number);
}

static void assert_device_got(const char *piv, uint32_t observe, const uint8_t *token)
{
	const struct copse_message *m = &device[DEVICE1].last;
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_OSCORE);

	assert_non_null(o);
	assert_int_equal(o->len, strlen(piv));
	assert_memory_equal(copse_option_value(m, o), piv, o->len);
	assert_int_equal(device_was_asked(), observe);
	assert_int_equal(m->code, COPSE_CODE_FETCH);
	assert_int_equal(m->payload_len, 6);
	if (token)
		assert_memory_equal(copse_message_token(m), token, m->token_len);
}

/* Registering anew and cancelling are the client's own words, under the same token of the gateway's; that a state is old
 * is the client's affair. */
static void test_sealed(void **state)
{
	uint8_t token[8];

	(void)state;
	observe_sealed(ALICE, "al", "1", 0);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_true(last(ALICE)->observe >= 0);
	assert_device_got("1", 0, NULL);
	memcpy(token, device[DEVICE1].token, sizeof(token));
	notify(6, "second");
	acknowledge(ALICE);
	assert_string_equal(last(ALICE)->payload, "second");
	run_for(200000);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(world_counters()->observe_stale, 0);
	device[DEVICE1].text = "renewed";
	device[DEVICE1].observe = 7;
	observe_sealed(ALICE, "al", "2", 0);
	assert_string_equal(last(ALICE)->payload, "renewed");
	assert_device_got("2", 0, token);
	notify(8, "third");
	acknowledge(ALICE);
	assert_string_equal(last(ALICE)->payload, "third");
	assert_int_equal(usage().observations, 1);
	assert_int_equal(usage().observers, 1);
	observe_sealed(ALICE, "al", "3", 1);
	assert_device_got("3", 1, token);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(usage().observations + usage().observers, 0);
	assert_int_equal(world_counters()->observe_cancelled, 1);
	assert_int_equal(device[DEVICE1].runs, 3);
	run_for(1000);
	assert_int_equal(requests_used(), 0);
}

/* Nobody joins, nothing is stored; the same bytes from somebody else are the device's to refuse, and disturb nobody. */
static void test_sealed_alone(void **state)
{
	(void)state;
	observe_sealed(ALICE, "al", "1", 0);
	observe_sealed(BOB, "bo", "1", 0);
	assert_int_equal(device[DEVICE1].runs, 2);
	assert_int_equal(device_was_asked(), 99); /* plainly */
	assert_int_equal(last(BOB)->observe, -1);
	assert_int_equal(usage().observers, 1);
	observe_sealed(BOB, "bo", "2", 0);
	assert_true(last(BOB)->observe >= 0);
	assert_int_equal(usage().observations, 2);
	assert_int_equal(world_counters()->observe_shared, 0);
	assert_int_equal(world_counters()->cache_hits, 0);
	device[DEVICE1].code = COPSE_CODE_UNAUTHORIZED; /* an error ends one, and not the other */
	device[DEVICE1].observe = -1;
	observe_sealed(BOB, "bo", "3", 0);
	assert_int_equal(last(BOB)->code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(usage().observations, 1);
	assert_int_equal(usage().observers, 1);
}

/* An observer that leaves without a word: nothing is said in its name; the device learns it by a Reset. */
static void test_sealed_left(void **state)
{
	(void)state;
	observe_sealed(ALICE, "al", "1", 0);
	notify(6, "second");
	reset(ALICE);
	run_for(5000);
	assert_int_equal(usage().observations + usage().observers, 0);
	assert_int_equal(device[DEVICE1].runs, 1);
	const unsigned n = to_devices;
	device_notify(DEVICE1, COPSE_CON, COPSE_CODE_CONTENT, 7, "third");
	run_for(100);
	assert_int_equal(to_devices, n + 1);
	assert_string_equal(last(ALICE)->payload, "second");
	/* A cancellation that comes too late to be one is a request like any other. */
	observe_sealed(ALICE, "al", "2", 1);
	assert_device_got("2", 99, NULL);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
}

/* The device is silent, or has forgotten: the observer is told, and asks itself. */
static void test_sealed_lost(void **state)
{
	(void)state;
	observe_sealed(ALICE, "al", "1", 0);
	device[DEVICE1].behaviour = SILENT;
	observe_sealed(ALICE, "al", "2", 0);
	run_for(400000);
	acknowledge(ALICE);
	assert_int_equal(copse_code_class(last(ALICE)->code), 5);
	assert_int_equal(usage().observations + usage().observers, 0);
	run_for(1000);
	assert_int_equal(requests_used(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, end_test)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_first),
	    TEST(test_second),
	    TEST(test_at_once),
	    TEST(test_not_observable),
	    TEST(test_again),
	    TEST(test_bounds),
	    TEST(test_observations_bound),
	    TEST(test_never_shared),
	    TEST(test_order),
	    TEST(test_default_max_age),
	    TEST(test_stale),
	    TEST(test_dead_device),
	    TEST(test_error_ends),
	    TEST(test_too_large),
	    TEST(test_cancel),
	    TEST(test_reset),
	    TEST(test_forged_reset),
	    TEST(test_reset_of_the_older),
	    TEST(test_once_a_day),
	    TEST(test_sequence_goes_on),
	    TEST(test_reset_of_the_answer),
	    TEST(test_silent_observer),
	    TEST(test_newest_wins),
	    TEST(test_cancel_while_busy),
	    TEST(test_moved_session),
	    TEST(test_feeds_the_cache),
	    TEST(test_first_block),
	    TEST(test_loss),
	    TEST(test_max_age_is_true),
	    TEST(test_max_age_ends),
	    TEST(test_late_instead_of_the_answer),
	    TEST(test_sealed),
	    TEST(test_sealed_alone),
	    TEST(test_sealed_left),
	    TEST(test_sealed_lost),
	    cmocka_unit_test(test_stale_beyond_the_rate),
	    cmocka_unit_test(test_block_as_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
