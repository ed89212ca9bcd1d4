/* Who may ask what, and how often: rates, access sections and rules of tokens, in the whole gateway.
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

#include "world.h"

static const char start_of_configuration[] =
    "name = \"gw\"\n"
    "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
    "mesh {\n prefix = \"fd00::/64\"\n}\n"
    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
    "device \"d2\" {\n address = \"127.0.0.4\"\n class = slow\n}\n"
    "device \"001350030a1b\" {\n address = \"127.0.0.3\"\n deny = true\n}\n";

static void start(const char *more)
{
	char text[2000];

	snprintf(text, sizeof(text), "%s%s", start_of_configuration, more);
	start_world(text, (struct sim_link){.delay_ms = 10});
}

static uint16_t next_id = 1;

static uint8_t code_of(unsigned number, uint8_t method, const char *uri)
{
	client[number].n = 0;
	ask(number, COPSE_CON, method, next_id++, "t", uri);
	run_for(100);
	acknowledge(number);
	return last(number)->code;
}

static uint8_t get_it(unsigned number, const char *uri)
{
	return code_of(number, COPSE_CODE_GET, uri);
}

/* Of all sessions of an account together, whether answered from the cache or not. */
static void test_account_rate(void **state)
{
	(void)state;
	start("sessions {\n rate = 0.5\n burst = 2\n}\n");
	open_session(ALICE, "a");
	open_session(BOB, "a");
	assert_int_equal(get_it(ALICE, "coap://d1/a"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(BOB, "coap://d1/a"), COPSE_CODE_CONTENT);
	get(ALICE, COPSE_CON, next_id++, "t", "coap://d1/a");
	assert_int_equal(last(ALICE)->type, COPSE_ACK);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_TOO_MANY_REQUESTS);
	assert_int_equal(last(ALICE)->max_age, 2); /* 1.8 s, rounded up */
	assert_int_equal(world_counters()->refused_account_rate, 1);
	run_for(1000);
	assert_int_equal(get_it(BOB, "coap://d1/a"), COPSE_CODE_TOO_MANY_REQUESTS);
	assert_int_equal(last(BOB)->max_age, 1);
	run_for(last(BOB)->max_age * 1000); /* who waits as long as told is let through */
	assert_int_equal(get_it(BOB, "coap://d1/a"), COPSE_CODE_CONTENT);
	open_session(BOB, "b"); /* another account is another bucket */
	assert_int_equal(get_it(BOB, "coap://d1/a"), COPSE_CODE_CONTENT);
	assert_int_equal(requests_used(), 0);
	end_test(NULL);
}

/* Of all clients to a device together; what the cache answers does not count. */
static void test_device_rate(void **state)
{
	(void)state;
	start("class \"slow\" {\n rate = 0.1\n burst = 1\n}\n");
	open_session(ALICE, "a");
	open_session(BOB, "b");
	assert_int_equal(get_it(ALICE, "coap://d2/a"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(BOB, "coap://d2/a"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(BOB, "coap://d2/b"), COPSE_CODE_TOO_MANY_REQUESTS);
	assert_int_equal(last(BOB)->max_age, 10);
	assert_int_equal(world_counters()->refused_device_rate, 1);
	assert_int_equal(device[DEVICE2].runs, 1);
	assert_int_equal(get_it(BOB, "coap://d1/b"), COPSE_CODE_CONTENT); /* of another class */
	run_for(10000);
	assert_int_equal(get_it(BOB, "coap://d2/b"), COPSE_CODE_CONTENT);
	assert_int_equal(requests_used(), 0);
	end_test(NULL);
}

/* One that waited in a lane and finds no token when it is its turn. */
static void test_device_rate_queued(void **state)
{
	(void)state;
	start("class \"slow\" {\n rate = 0.01\n burst = 1\n queue = 4\n}\n");
	open_session(ALICE, "a");
	open_session(BOB, "b");
	get(ALICE, COPSE_CON, next_id++, "t", "coap://d2/a");
	get(BOB, COPSE_CON, next_id++, "t1", "coap://d2/b");
	get(BOB, COPSE_CON, next_id++, "t2", "coap://d2/b"); /* joined it */
	get(BOB, COPSE_CON, next_id++, "t3", "coap://d2/c");
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	acknowledge(ALICE);
	for (int i = 0; i < 3; i++) {
		run_for(100);
		acknowledge(BOB);
	}
	assert_int_equal(client[BOB].n, 6); /* three acknowledgements and three refusals */
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(client[BOB].seen[i].type, COPSE_CON);
		assert_int_equal(client[BOB].seen[i].code, COPSE_CODE_TOO_MANY_REQUESTS);
	}
	assert_int_equal(device[DEVICE2].runs, 1);
	assert_int_equal(requests_used(), 0);
	end_test(NULL);
}

static void test_access(void **state)
{
	(void)state;
	start("access \"1\" {\n action = allow\n account = {\"admin\"}\n}\n"
	      "access \"2\" {\n action = deny\n request = {\"put,post d1 /fw\", \"* d2 /secret\"}\n}\n"
	      "access \"3\" {\n action = deny\n account = {\"guest*\"}\n request = {\"put * /\"}\n}\n");
	open_session(ALICE, "admin");
	open_session(BOB, "guest7");
	assert_int_equal(code_of(ALICE, COPSE_CODE_PUT, "coap://d1/fw"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(ALICE, "coap://d2/secret"), COPSE_CODE_CONTENT);
	unsigned sent = to_devices;
	assert_int_equal(get_it(BOB, "coap://d2/secret"), COPSE_CODE_FORBIDDEN); /* nor from the cache */
	assert_int_equal(get_it(BOB, "coap://d2/secret/deep?x"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(BOB, "coap://D2:5683/%73ecret"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(BOB, "coap://d2//secret"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(code_of(BOB, COPSE_CODE_POST, "coap://d1/fw"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(code_of(BOB, COPSE_CODE_PUT, "coap://d1/else"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(world_counters()->refused_rule, 6);
	assert_int_equal(to_devices, sent);
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "t");
	add(COPSE_OPTION_PROXY_SCHEME, "coap");
	add(COPSE_OPTION_URI_HOST, "d2");
	add(COPSE_OPTION_URI_PATH, "open");
	add(COPSE_OPTION_URI_PATH, "..");
	add(COPSE_OPTION_URI_PATH, "secret");
	send_it(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_BAD_REQUEST);
	assert_int_equal(to_devices, sent);
	assert_int_equal(get_it(BOB, "coap://d2/secrets"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(BOB, "coap://d1/fw"), COPSE_CODE_CONTENT);
	assert_int_equal(requests_used(), 0);
	end_test(NULL);
}

/* A device that is denied is denied by its other name too: the one of 16 digits leads to the same address. */
static void test_alias(void **state)
{
	(void)state;
	start("access \"1\" {\n action = deny\n request = {\"* aabbcc*\"}\n}\n");
	open_session(ALICE, "a");
	assert_int_equal(get_it(ALICE, "coap://001350030a1b/"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(ALICE, "coap://001350fffe030a1b/"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(world_counters()->refused_denied, 2);
	assert_int_equal(get_it(ALICE, "coap://001350fffe030a1c/"),
			 COPSE_CODE_BAD_GATEWAY); /* IPv6: not here */
	end_test(NULL);
}

static void open_with(unsigned number, const char *claims, uint8_t expected)
{
	post_session(number, claims, "security=none");
	assert_int_equal(last(number)->code, expected);
	forget_seen();
}

static void test_claims(void **state)
{
	(void)state;
	start("sessions {\n grants = 2\n}\n");
	open_with(
	    ALICE,
	    "{\"sub\":\"a\",\"copse_allow\":[\"get,fetch d1 /a\",\"put d2\"],\"copse_deny\":[\"* * /a/x\"]}",
	    COPSE_CODE_CREATED);
	assert_int_equal(get_it(ALICE, "coap://d1/a"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(ALICE, "coap://d1/a/b"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(ALICE, "coap://d1/a/x"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(ALICE, "coap://d1/b"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(code_of(ALICE, COPSE_CODE_PUT, "coap://d1/a"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(code_of(ALICE, COPSE_CODE_PUT, "coap://d2/z"), COPSE_CODE_CONTENT);
	assert_int_equal(world_counters()->refused_claim, 3);
	open_with(ALICE, "{\"sub\":\"a\"}", COPSE_CODE_CREATED); /* renewed by a token without rules */
	assert_int_equal(get_it(ALICE, "coap://d1/b"), COPSE_CODE_CONTENT);
	open_with(ALICE, "{\"sub\":\"a\",\"copse_allow\":[]}", COPSE_CODE_CREATED); /* may do nothing */
	assert_int_equal(get_it(ALICE, "coap://d1/b"), COPSE_CODE_FORBIDDEN);
	open_with(BOB, "{\"sub\":\"a\",\"copse_allow\":[]}", COPSE_CODE_CREATED);
	/* what cannot be read is refused as a whole: nobody gets more than was meant */
	open_with(BOB, "{\"sub\":\"a\",\"copse_allow\":\"get\"}", COPSE_CODE_UNAUTHORIZED);
	open_with(BOB, "{\"sub\":\"a\",\"copse_deny\":[7]}", COPSE_CODE_UNAUTHORIZED);
	open_with(BOB, "{\"sub\":\"a\",\"copse_deny\":[\"gett *\"]}", COPSE_CODE_UNAUTHORIZED);
	open_with(BOB,
		  "{\"sub\":\"a\",\"copse_deny\":[\"*\",\"*\",\"*\",\"*\",\"*\",\"*\",\"*\",\"*\",\"*\",\"*"
		  "\",\"*\","
		  "\"*\",\"*\",\"*\",\"*\",\"*\",\"*\"]}",
		  COPSE_CODE_UNAUTHORIZED); /* 17 */
	end_test(NULL);
}

/* As many sets of rules as the table holds: a session more is refused, and none is opened without its rules. */
static void test_grants_bound(void **state)
{
	struct gw_usage usage;

	(void)state;
	start("sessions {\n grants = 1\n}\n");
	open_with(ALICE, "{\"sub\":\"a\",\"copse_deny\":[\"put\"]}", COPSE_CODE_CREATED);
	open_with(BOB, "{\"sub\":\"b\",\"copse_deny\":[\"put\"]}", COPSE_CODE_CREATED); /* the same ones */
	open_with(BOB, "{\"sub\":\"c\",\"copse_deny\":[\"get\"]}", COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(world_counters()->refused_grants, 1);
	gw_worker_usage(worker, &usage);
	assert_int_equal(usage.sessions, 2);
	for (int i = ALICE; i <= BOB; i++) {
		begin(COPSE_CON, COPSE_CODE_DELETE, next_id++, "s");
		add(COPSE_OPTION_URI_PATH, "sessions");
		send_it((unsigned)i);
	}
	open_with(BOB, "{\"sub\":\"c\",\"copse_deny\":[\"get\"]}", COPSE_CODE_CREATED); /* room again */
	end_test(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_account_rate),
	    cmocka_unit_test(test_device_rate),
	    cmocka_unit_test(test_device_rate_queued),
	    cmocka_unit_test(test_access),
	    cmocka_unit_test(test_alias),
	    cmocka_unit_test(test_claims),
	    cmocka_unit_test(test_grants_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
