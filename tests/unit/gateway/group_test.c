/* Requests to groups in virtual time: answers of several devices, bounds, what is not heard; and the CRI of a device.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/access.h"
#include "gateway/group.h"
#include "world.h"

static char text[2000];

static void start(const char *more)
{
	snprintf(text, sizeof(text),
		 "name = \"gw\"\nkey \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
		 "sessions {\n requests = 100\n}\n"
		 "class \"default\" {\n concurrent = 16\n}\n"
		 "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
		 "group \"all\" {\n address = \"224.0.1.187\"\n rate = 0\n timeout = 20\n %s }\n",
		 more);
	start_world(text, (struct sim_link){.delay_ms = 10});
	device[ALICE].behaviour = device[BOB].behaviour = SILENT; /* the simulated group is everybody */
	open_session(ALICE, "a");
}

static void ask_group(enum copse_type type, uint8_t code, uint16_t id, const char *uri, int seconds)
{
	begin(type, code, id, "t");
	add(COPSE_OPTION_PROXY_URI, uri);
	if (seconds >= 0)
		copse_build_uint(&request, COPSE_OPTION_MULTICAST_TIMEOUT, (uint32_t)seconds);
	send_it(ALICE);
}

/* Answers with this code that the client got, repetitions not counted. */
static unsigned answers(uint8_t code)
{
	unsigned n = 0;

	for (unsigned i = 0; i < client[ALICE].n; i++) {
		bool again = false;
		for (unsigned k = 0; k < i; k++)
			again |= client[ALICE].seen[k].id == client[ALICE].seen[i].id &&
				 client[ALICE].seen[k].type == client[ALICE].seen[i].type;
		n += client[ALICE].seen[i].code == code && !again;
	}
	return n;
}

static const struct gw_counters *counted(void)
{
	return gw_worker_counters(worker);
}

static void test_answers(void **state)
{
	(void)state;
	start("");
	ask_group(COPSE_CON, COPSE_CODE_GET, 1, "coap://all/a", 10);
	assert_int_equal(client[ALICE].n, 1);
	assert_int_equal(last(ALICE)->type, COPSE_ACK); /* at once, and empty */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_EMPTY);
	for (unsigned i = 0; i < 60; i++) {
		run_for(100);
		acknowledge(ALICE);
	}
	assert_int_equal(answers(COPSE_CODE_CONTENT), 2);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(device[DEVICE2].runs, 1);
	assert_int_equal(counted()->group_answers, 2);
	run_for(10000); /* answers came: nothing is said at the end */
	assert_int_equal(answers(COPSE_CODE_GATEWAY_TIMEOUT), 0);
	end_world();
}

static void test_by_address_and_non(void **state)
{
	(void)state;
	start("");
	ask_group(COPSE_NON, COPSE_CODE_GET, 1, "coap://224.0.1.187/a", 10);
	run_for(20000);
	assert_int_equal(answers(COPSE_CODE_CONTENT), 2);
	for (unsigned i = 0; i < client[ALICE].n; i++)
		assert_int_equal(client[ALICE].seen[i].type, COPSE_NON);
	ask_group(COPSE_CON, COPSE_CODE_GET, 2, "coap://224.0.1.188/a", 10);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_FORBIDDEN);
	ask_group(COPSE_CON, COPSE_CODE_GET, 3, "coap://all:99/a", 10);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_FOUND);
	end_world();
}

static void test_timeout_is_asked_for(void **state)
{
	(void)state;
	start("");
	ask_group(COPSE_CON, COPSE_CODE_GET, 1, "coap://all/a", -1);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_REQUEST);
	run_for(10000);
	assert_int_equal(device[DEVICE1].runs, 0);
	assert_int_equal(counted()->refused_group, 1);
	/* to a single device it means nothing */
	ask_group(COPSE_CON, COPSE_CODE_GET, 2, "coap://d1/a", 3);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_null(copse_message_option(&device[DEVICE1].last, COPSE_OPTION_MULTICAST_TIMEOUT));
	end_world();
}

static void test_bounds(void **state)
{
	(void)state;
	start("answers = 1\n");
	ask_group(COPSE_NON, COPSE_CODE_GET, 1, "coap://all/a", 10);
	run_for(11000);
	assert_int_equal(answers(COPSE_CODE_CONTENT), 1);
	assert_int_equal(counted()->group_unfit, 1);
	device[DEVICE1].behaviour = device[DEVICE2].behaviour = SILENT;
	forget_seen();
	for (uint16_t i = 0; i <= GW_GROUPS_MAX; i++)
		ask_group(COPSE_NON, COPSE_CODE_GET, (uint16_t)(10 + i), "coap://all/a", i < 16 ? 5 : 100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(answers(COPSE_CODE_SERVICE_UNAVAILABLE), 1);
	forget_seen();
	run_for(6000);
	assert_int_equal(counted()->group_silent, 16);
	forget_seen();
	run_for(15000); /* the group's time-out, not the 100 seconds that were asked for */
	assert_int_equal(counted()->group_silent, GW_GROUPS_MAX);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	ask_group(COPSE_NON, COPSE_CODE_GET, 99, "coap://all/a", 1); /* all records are free again */
	run_for(1500);
	assert_int_equal(counted()->group_silent, GW_GROUPS_MAX + 1);
	end_world();
}

/* A client that acknowledges nothing: no more answers, and the record is free when the last one is given up. */
static void test_mute_client(void **state)
{
	(void)state;
	start("");
	ask_group(COPSE_CON, COPSE_CODE_GET, 1, "coap://all/a", 20);
	run_for(200000);
	assert_int_equal(counted()->answers_undelivered, 2);
	assert_int_equal(counted()->answers_delivered, 0);
	ask_group(COPSE_NON, COPSE_CODE_GET, 2, "coap://all/a", 10);
	run_for(20000);
	assert_int_equal(counted()->group_answers, 4);
	end_world();
}

/* Whoever closes the session hears no more. */
static void test_session_ends(void **state)
{
	(void)state;
	start("");
	ask_group(COPSE_NON, COPSE_CODE_GET, 1, "coap://all/a", 20);
	begin(COPSE_CON, COPSE_CODE_DELETE, 2, "d");
	add(COPSE_OPTION_URI_PATH, "sessions");
	send_it(ALICE);
	run_for(30000);
	assert_int_equal(counted()->group_answers, 0);
	assert_int_equal(answers(COPSE_CODE_CONTENT), 0);
	end_world();
}

static void test_not_allowed(void **state)
{
	(void)state;
	start("}\naccess \"x\" {\n action = deny\n request = {\"put all /\"}\n");
	ask_group(COPSE_CON, COPSE_CODE_PUT, 1, "coap://all/a", 10);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_FORBIDDEN);
	ask_group(COPSE_NON, COPSE_CODE_GET, 2, "coap://all/a", 10);
	run_for(10000);
	assert_int_equal(counted()->group_answers, 2);
	end_world();
}

static void check_reply_to(const char *name, const char *address, const void *bytes, size_t len)
{
	struct gw_target t = {.known = name != NULL};
	uint8_t out[GW_REPLY_TO_MAX];

	assert_int_equal(copse_address_parse(address, 5683, &t.address), 0);
	if (name)
		memcpy(t.name, name, strlen(name) + 1);
	assert_int_equal(gw_reply_to(&t, out), len);
	assert_memory_equal(out, bytes, len);
}

static void test_reply_to(void **state)
{
	(void)state;
	/* 82: array of 2; 20: -1, coap; 81: array of 1; 62: text of 2 */
	check_reply_to("d1", "192.0.2.1:99",
		       "\x82\x20\x81\x62"
		       "d1",
		       6);
	check_reply_to("a.bc", "192.0.2.1",
		       "\x82\x20\x82\x61"
		       "a"
		       "\x62"
		       "bc",
		       8);
	check_reply_to("001350030a1b2c3d001350030a1b2c3d", "192.0.2.1",
		       "\x82\x20\x81\x78\x20"
		       "001350030a1b2c3d001350030a1b2c3d",
		       37);
	/* 44: 4 bytes; 19: number of two bytes */
	check_reply_to(NULL, "192.0.2.1", "\x82\x20\x81\x44\xc0\x00\x02\x01", 8);
	check_reply_to(NULL, "192.0.2.1:61616", "\x82\x20\x82\x44\xc0\x00\x02\x01\x19\xf0\xb0", 11);
	check_reply_to(NULL, "[2001:db8::1]", "\x82\x20\x81\x50\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
		       20);
	/* the longest names that a device may have */
	struct gw_target t = {.known = true};
	uint8_t out[GW_REPLY_TO_MAX];
	for (unsigned i = 0; i < GW_NAME_MAX; i++)
		t.name[i] = i % 2 ? '.' : 'x';
	assert_true(gw_reply_to(&t, out) <= GW_REPLY_TO_MAX);
	memset(t.name, 'x', GW_NAME_MAX);
	assert_true(gw_reply_to(&t, out) <= GW_REPLY_TO_MAX);
}

static void test_resolve_back(void **state)
{
	static const struct {
		const char *address, *name;
		bool known, denied;
	} rows[] = {
	    {"127.0.0.3:5683", "d1", true, false},
	    {"127.0.0.3:5684", "127.0.0.3", false, false},
	    {"127.0.0.4:5683", "gone", true, true},
	    {"[fd00::213:5003:a1b:2c3d]:5683", "001350030a1b2c3d", true, false},
	    {"[fd00::213:50ff:fe00:1]:5683", "001350fffe000001", true, true}, /* denied by its other name */
	    {"[fd00:0:0:1::1]:5683", "fd00:0:0:1::1", false, false},
	};
	struct gw_config *c = read_config("key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
					  "mesh {\n prefix = \"fd00::/64\"\n}\n"
					  "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
					  "device \"gone\" {\n address = \"127.0.0.4\"\n deny = true\n}\n"
					  "device \"001350000001\" {\n deny = true\n}\n");
	struct copse_address a;
	struct copse_peer peer;
	struct gw_target t;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(copse_address_parse(rows[i].address, 1, &a), 0);
		assert_int_equal(copse_peer_from_address(1, &a, &peer), 0);
		gw_resolve_peer(c, &peer, &t);
		assert_string_equal(t.name, rows[i].name);
		assert_int_equal(t.known, rows[i].known);
		assert_int_equal(t.denied, rows[i].denied);
	}
	gw_config_free(c);
}

static void test_hidden(void **state)
{
	struct gw_config *c = read_config(
	    "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
	    "access \"a\" {\n action = deny\n account = {\"guest*\"}\n request = {\"put,post d1 /\", \"* d2 "
	    "/\"}\n}\n"
	    "access \"b\" {\n action = allow\n account = {\"one\"}\n request = {\"get d1 /x\"}\n}\n"
	    "access \"c\" {\n action = deny\n account = {\"one\"}\n}\n");

	(void)state;
	assert_false(gw_access_hides(c, "guest1", "d1", "")); /* it may be read */
	assert_true(gw_access_hides(c, "guest1", "d2", ""));
	assert_true(gw_access_hides(c, "guest1", "other", "d2"));
	assert_false(gw_access_hides(c, "one", "d1", ""));
	assert_true(gw_access_hides(c, "one", "d2", ""));
	assert_false(gw_access_hides(c, "two", "d2", ""));
	gw_config_free(c);
	struct gw_grant g = {.allow_n = 1, .deny_n = 1, .limited = true};
	assert_null(gw_rule_parse("get d* /a", 9, &g.rule[0]));
	assert_null(gw_rule_parse("* d9", 4, &g.rule[1]));
	assert_false(gw_grant_hides(&g, "d1", ""));
	assert_true(gw_grant_hides(&g, "d9", ""));
	assert_true(gw_grant_hides(&g, "x", ""));
	assert_false(gw_grant_hides(NULL, "x", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_by_address_and_non),
	    cmocka_unit_test(test_timeout_is_asked_for),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_mute_client),
	    cmocka_unit_test(test_session_ends),
	    cmocka_unit_test(test_not_allowed),
	    cmocka_unit_test(test_reply_to),
	    cmocka_unit_test(test_resolve_back),
	    cmocka_unit_test(test_hidden),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
