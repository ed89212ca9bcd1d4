/* Requests for devices that sleep, other than GET: they wait in the mailbox, in the whole gateway.
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

#define COMMON                                                                                               \
	"name = \"gw\"\n"                                                                                    \
	"key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"                                     \
	"sessions {\n idle = 100\n}\n"                                                                       \
	"mesh {\n ack_timeout = 2\n ack_random_factor = 1\n max_retransmit = 1\n response_timeout = 20\n}\n" \
	"class \"default\" {\n concurrent = 1\n}\n"                                                          \
	"class \"drowsy\" {\n sleeping = true\n}\n"                                                          \
	"device \"d1\" {\n address = \"127.0.0.3\"\n class = drowsy\n}\n"                                    \
	"device \"d2\" {\n address = \"127.0.0.4\"\n sleeping = true\n}\n"                                   \
	"device \"d3\" {\n address = \"127.0.0.4\"\n port = 5690\n}\n"

static const char configuration[] =
    COMMON "mailbox {\n requests = 5\n per_device = 3\n per_account = 4\n limit = 600\n}\n";
static const char denying[] = COMMON "access \"no\" {\n action = deny\n account = {\"alice\"}\n request = "
				     "{\"put d1 /led\"}\n}\nmailbox {\n requests = 5\n limit = 600\n}\n";
static const char without[] = COMMON "mailbox {\n requests = 0\n}\n";

static uint16_t next_id = 1;

static int set_up_with(const char *text)
{
	start_world(text, (struct sim_link){.delay_ms = 10});
	open_session(ALICE, "alice");
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_with(configuration);
}

static int set_up_without(void **state)
{
	(void)state;
	return set_up_with(without);
}

static unsigned waiting(void)
{
	return gw_mailbox_count(worker->mailbox);
}

static void send_to(unsigned number, enum copse_type type, uint8_t code, const char *token, const char *uri)
{
	ask(number, type, code, next_id++, token, uri);
	run_for(50);
}

/* A request that is kept: a confirmable one has its acknowledgement, and nothing more. */
static void keep(unsigned number, uint8_t code, const char *token, const char *uri)
{
	const unsigned before = waiting();

	forget_seen();
	send_to(number, COPSE_CON, code, token, uri);
	assert_int_equal(client[number].n, 1);
	assert_int_equal(last(number)->type, COPSE_ACK);
	assert_int_equal(last(number)->code, 0);
	assert_int_equal(waiting(), before + 1);
	forget_seen();
}

/* The device says something, whatever it is. */
static void wake(unsigned number)
{
	begin(COPSE_NON, COPSE_CODE_GET, next_id++, "w");
	add(COPSE_OPTION_URI_PATH, "help");
	send_it(number);
}

static void check_over(void)
{
	acknowledge(ALICE);
	acknowledge(BOB);
	run_for(100);
	assert_int_equal(waiting(), 0);
	assert_int_equal(requests_used(), 0);
}

static bool has_token(const struct seen *s, const char *token)
{
	return s->token_len == strlen(token) && memcmp(s->token, token, s->token_len) == 0;
}

static void test_waits_until_heard(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "tok", "coap://d1/led?x=1");
	run_for(300000);
	assert_int_equal(to_devices, 0);
	assert_int_equal(client[ALICE].n, 0);
	device[DEVICE1].code = COPSE_CODE_CHANGED;
	wake(DEVICE2); /* another one */
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, 0);
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(device[DEVICE1].last.code, COPSE_CODE_PUT);
	const struct seen *s = last(ALICE);
	assert_int_equal(client[ALICE].n, 1);
	assert_int_equal(s->type, COPSE_CON);
	assert_int_equal(s->code, COPSE_CODE_CHANGED);
	assert_true(has_token(s, "tok"));
	check_over();
	assert_int_equal(world_counters()->mail_kept, 1);
	assert_int_equal(world_counters()->mail_attempts, 1);
	assert_int_equal(world_counters()->mail_answered, 1);
	assert_int_equal(world_counters()->answers_delivered, 1);
	run_for(100000);
	assert_int_equal(client[ALICE].n, 1);
}

/* The client may repeat its request as long as it has no acknowledgement (RFC 7252 §4.2): it is one all the same. */
static void test_repeated_request(void **state)
{
	(void)state;
	const uint16_t id = next_id++;
	ask(ALICE, COPSE_CON, COPSE_CODE_POST, id, "t", "coap://d1/a");
	ask(ALICE, COPSE_CON, COPSE_CODE_POST, id, "t", "coap://d1/a");
	run_for(50);
	assert_int_equal(waiting(), 1);
	assert_int_equal(client[ALICE].n, 2);
	assert_int_equal(last(ALICE)->type, COPSE_ACK);
	wake(DEVICE1);
	run_for(100);
	check_over();
	assert_int_equal(device[DEVICE1].runs, 1);
}

static void test_order(void **state)
{
	(void)state;
	static const char *const uri[] = {"coap://d1/a", "coap://d1/b", "coap://d1/c"};
	static const char *const token[] = {"1", "2", "3"};
	for (unsigned i = 0; i < 3; i++)
		keep(ALICE, COPSE_CODE_POST, token[i], uri[i]);
	device[DEVICE1].behaviour = LATER;
	wake(DEVICE1);
	for (unsigned i = 0; i < 3; i++) {
		run_for(100);
		assert_int_equal(device[DEVICE1].runs, i + 1); /* one at a time */
		device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
		run_for(100);
		assert_true(has_token(last(ALICE), token[i]));
		acknowledge(ALICE);
	}
	check_over();
	assert_int_equal(world_counters()->mail_answered, 3);
}

static void test_what_is_not_confirmable(void **state)
{
	(void)state;
	send_to(ALICE, COPSE_NON, COPSE_CODE_DELETE, "n", "coap://d1/a");
	assert_int_equal(client[ALICE].n, 0);
	assert_int_equal(waiting(), 1);
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(last(ALICE)->type, COPSE_NON);
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	check_over();
}

/* RFC 7967: who does not want to know is not told, neither how it went nor that it did not. */
static void test_no_response(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		begin(COPSE_NON, COPSE_CODE_POST, next_id++, "n");
		add(COPSE_OPTION_PROXY_URI, i == 0 ? "coap://d1/a" : "coap://d2/a");
		copse_build_uint(&request, COPSE_OPTION_NO_RESPONSE, 26);
		send_it(ALICE);
	}
	run_for(50);
	assert_int_equal(waiting(), 2);
	wake(DEVICE1);
	run_for(700000);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(client[ALICE].n, 0);
	assert_int_equal(world_counters()->answers_unwanted, 2);
	check_over();
}

static void test_limit(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	run_for(599000);
	assert_int_equal(client[ALICE].n, 0);
	run_for(2000);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_string_equal(last(ALICE)->payload, "the device sleeps, and was not heard in time");
	check_over();
	assert_int_equal(to_devices, 0);
	assert_int_equal(world_counters()->mail_expired, 1);
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, 0);
}

static void check_full(unsigned number, const char *uri, const char *text, uint32_t max_age)
{
	const uint64_t before = world_counters()->refused_mail;

	forget_seen();
	send_to(number, COPSE_CON, COPSE_CODE_PUT, "t", uri);
	assert_int_equal(last(number)->type, COPSE_ACK);
	assert_int_equal(last(number)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_string_equal(last(number)->payload, text);
	assert_int_equal(last(number)->max_age, max_age);
	assert_int_equal(world_counters()->refused_mail, before + 1);
}

static void test_bounds(void **state)
{
	(void)state;
	open_session(BOB, "bob");
	for (unsigned i = 0; i < 3; i++)
		keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	check_full(ALICE, "coap://d1/a", "the device sleeps, and its mailbox is full", 60);
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d2/a");
	check_full(ALICE, "coap://d2/a",
		   "the device sleeps, and the account has as many requests in the mailbox as it may", 60);
	keep(BOB, COPSE_CODE_PUT, "t", "coap://d2/a");
	run_for(570000);
	check_full(BOB, "coap://d2/a", "the device sleeps, and the mailbox is full", 30);
	run_for(60000);
	assert_int_equal(waiting(), 0);
	keep(BOB, COPSE_CODE_PUT, "t", "coap://d1/a");
	wake(DEVICE1);
	run_for(100);
	check_over();
}

/* The device was heard, but sleeps again before the request is there. */
static void test_missed(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	keep(ALICE, COPSE_CODE_POST, "u", "coap://d1/b");
	wake(DEVICE1);
	sim.node[DEVICE1].dead = true;
	run_for(30000);
	assert_int_equal(client[ALICE].n, 0);
	assert_int_equal(waiting(),
			 2); /* the first may be repeated: it waits again, and is still the first */
	assert_int_equal(world_counters()->mail_back, 1);
	sim.node[DEVICE1].dead = false;
	wake(DEVICE1);
	run_for(15);
	sim.node[DEVICE1].dead = true; /* it has both of them, but answers only the first */
	run_for(100);
	sim.node[DEVICE1].dead = false;
	run_for(5000);
	assert_true(has_token(&client[ALICE].seen[0], "t"));
	acknowledge(ALICE);
	check_over();
}

/* It is heard again while the request is on its way: the same message goes out at once, so that even a POST does no harm. */
static void test_heard_again(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_POST, "t", "coap://d1/a");
	sim.node[DEVICE1].dead = true;
	wake(DEVICE1);
	run_for(1500);
	assert_int_equal(client[ALICE].n, 0);
	sim.node[DEVICE1].dead = false;
	wake(DEVICE1);
	run_for(50);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(world_counters()->mail_hastened, 1);
	assert_int_equal(world_counters()->mail_attempts, 1);
	check_over();
}

/* A POST may have been run: it is not sent again by itself. */
static void test_missed_post(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_POST, "u", "coap://d1/b");
	wake(DEVICE1);
	sim.node[DEVICE1].dead = true;
	run_for(30000);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_string_equal(last(ALICE)->payload, "the device did not answer");
	assert_int_equal(world_counters()->mail_failed, 1);
	sim.node[DEVICE1].dead = false;
	wake(DEVICE1);
	check_over();
	assert_int_equal(device[DEVICE1].runs, 0);
}

/* The gateway's own host cannot be reached for a moment: nothing has been sent twice, so even a POST waits. */
static void test_unreachable(void **state)
{
	(void)state;
	const struct copse_peer d1 = sim_peer(DEVICE1);
	keep(ALICE, COPSE_CODE_POST, "u", "coap://d1/b");
	sim.node[DEVICE1].dead = true;
	wake(DEVICE1);
	run_for(1);
	copse_endpoint_unreachable(sim.node[GATEWAY].ep, &d1, sim.now);
	run_for(100);
	assert_int_equal(client[ALICE].n, 0);
	assert_int_equal(waiting(), 1);
	sim.node[DEVICE1].dead = false;
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	check_over();
}

/* The answer of the device is passed on whatever it says. */
static void test_error_of_the_device(void **state)
{
	(void)state;
	device[DEVICE1].code = COPSE_CODE_NOT_FOUND;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_FOUND);
	assert_int_equal(world_counters()->mail_answered, 1);
	check_over();
}

/* Its class takes one at a time. */
static void test_busy_lane(void **state)
{
	(void)state;
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_CON, next_id++, "g", "coap://d1/slow");
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, 1);
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(waiting(), 1);
	assert_true(world_counters()->mail_back > 0);
	device[DEVICE1].behaviour = ANSWER;
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100); /* which shows that it is awake */
	assert_int_equal(device[DEVICE1].runs, 2);
	assert_true(has_token(last(ALICE), "t"));
	check_over();
}

/* --- rights --- */

static void test_no_longer_allowed(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/led");
	keep(ALICE, COPSE_CODE_PUT, "u", "coap://d1/other");
	struct gw_config *next = read_config(denying);
	gw_worker_adopt(worker, next, sim.now);
	gw_config_free(config);
	config = next;
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(client[ALICE].seen[0].code, COPSE_CODE_FORBIDDEN);
	assert_true(has_token(&client[ALICE].seen[0], "t"));
	assert_true(has_token(last(ALICE), "u"));
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(world_counters()->mail_denied, 1);
	check_over();
}

static void test_not_allowed_at_all(void **state)
{
	(void)state;
	struct gw_config *next = read_config(denying);
	gw_worker_adopt(worker, next, sim.now);
	gw_config_free(config);
	config = next;
	send_to(ALICE, COPSE_CON, COPSE_CODE_PUT, "t", "coap://d1/led");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_FORBIDDEN);
	assert_int_equal(waiting(), 0);
}

/* The rules of the token that the session has now. */
static void test_claims(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/led");
	post_session(ALICE, "{\"sub\":\"alice\",\"copse_allow\":[\"get d1\"]}", "security=none");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CREATED);
	forget_seen();
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_FORBIDDEN);
	assert_int_equal(device[DEVICE1].runs, 0);
	check_over();
}

static void test_session_closed(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	begin(COPSE_CON, COPSE_CODE_DELETE, next_id++, "d");
	add(COPSE_OPTION_URI_PATH, "sessions");
	send_it(ALICE);
	forget_seen();
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(device[DEVICE1].runs, 0);
	assert_int_equal(world_counters()->mail_homeless, 1);
	check_over();
}

/* Another account's session at the same address has nothing to do with it. */
static void test_session_of_another(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	open_session(ALICE, "carol");
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(device[DEVICE1].runs, 0);
	check_over();
}

/* Sessions end after 100 s of idleness here: whoever waits is not idle. And with the token, whoever waits. */
static void test_waiting_is_not_idle(void **state)
{
	(void)state;
	char json[64];
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	snprintf(json, sizeof(json), "{\"sub\":\"bob\",\"exp\":%lld}", (long long)wall(NULL) + 200);
	post_session(BOB, json, "security=none");
	assert_int_equal(last(BOB)->code, COPSE_CODE_CREATED);
	keep(BOB, COPSE_CODE_PUT, "b", "coap://d1/b");
	run_for(190000);
	assert_int_equal(client[BOB].n, 0);
	run_for(100000); /* some seconds are allowed for clocks that differ */
	assert_int_equal(last(BOB)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	run_for(220000);
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	check_over();
	run_for(200000); /* and afterwards it is idle again */
	assert_int_equal(world_counters()->sessions_expired, 2);
}

/* --- the list --- */

static const struct seen *local(unsigned number, uint8_t code, const char *second, const char *query)
{
	forget_seen();
	begin(COPSE_CON, code, next_id++, "l");
	add(COPSE_OPTION_URI_PATH, "mailbox");
	if (second)
		add(COPSE_OPTION_URI_PATH, second);
	if (query)
		add(COPSE_OPTION_URI_QUERY, query);
	send_it(number);
	return last(number);
}

static void test_list(void **state)
{
	(void)state;
	assert_string_equal(local(ALICE, COPSE_CODE_GET, NULL, NULL)->payload, "[]");
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a/b%20c?x=1");
	run_for(2000);
	const struct seen *s = local(ALICE, COPSE_CODE_GET, "1", NULL);
	assert_int_equal(s->code, COPSE_CODE_CONTENT);
	assert_int_equal(s->max_age, 0);
	assert_string_equal(
	    s->payload, "{\"id\":1,\"device\":\"d1\",\"method\":\"PUT\",\"uri\":\"coap://d1/a/b%20c?x=1\","
			"\"bytes\":0,\"age\":2,\"left\":597,\"attempts\":0,\"state\":\"waiting\"}");
	keep(ALICE, COPSE_CODE_POST, "u", "coap://d2/");
	s = local(ALICE, COPSE_CODE_GET, NULL, "device=d2");
	assert_non_null(strstr(s->payload, "[{\"id\":2,\"device\":\"d2\",\"method\":\"POST\""));
	assert_null(strstr(s->payload, "\"id\":1"));
	assert_string_equal(local(ALICE, COPSE_CODE_GET, NULL, "device=d3")->payload, "[]");
	assert_string_equal(local(ALICE, COPSE_CODE_GET, NULL, "device=_!")->payload, "[]");
	/* others have lists of their own */
	assert_int_equal(local(BOB, COPSE_CODE_GET, NULL, NULL)->code, COPSE_CODE_UNAUTHORIZED);
	open_session(BOB, "bob");
	assert_string_equal(local(BOB, COPSE_CODE_GET, NULL, NULL)->payload, "[]");
	assert_int_equal(local(BOB, COPSE_CODE_GET, "1", NULL)->code, COPSE_CODE_NOT_FOUND);
	assert_int_equal(local(BOB, COPSE_CODE_DELETE, "1", NULL)->code, COPSE_CODE_NOT_FOUND);
	wake(DEVICE1);
	wake(DEVICE2);
	run_for(100);
	check_over();
}

static void test_withdraw(void **state)
{
	(void)state;
	static const char *const none[] = {"0", "2", "01", "-1", "1x", "4294967297", "99999999999", ""};
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	for (unsigned i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(local(ALICE, COPSE_CODE_DELETE, none[i], NULL)->code, COPSE_CODE_NOT_FOUND);
	local(ALICE, COPSE_CODE_DELETE, "1", NULL);
	run_for(50);
	bool told = false, done = false;
	for (unsigned i = 0; i < client[ALICE].n; i++) {
		const struct seen *s = &client[ALICE].seen[i];
		told |= has_token(s, "t") && s->code == COPSE_CODE_SERVICE_UNAVAILABLE &&
			strcmp(s->payload, "the request was withdrawn") == 0;
		done |= has_token(s, "l") && s->code == COPSE_CODE_DELETED;
	}
	assert_true(told && done);
	assert_int_equal(world_counters()->mail_withdrawn, 1);
	check_over();
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, 0);
}

static void test_withdraw_too_late(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	device[DEVICE1].behaviour = LATER;
	wake(DEVICE1);
	run_for(100);
	assert_non_null(strstr(local(ALICE, COPSE_CODE_GET, "1", NULL)->payload, "\"sending\""));
	assert_int_equal(local(ALICE, COPSE_CODE_DELETE, "1", NULL)->code, COPSE_CODE_CONFLICT);
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	check_over();
}

/* --- what does not wait --- */

static void test_the_rest_goes_to_the_device(void **state)
{
	(void)state;
	unsigned runs = 0;
	get(ALICE, COPSE_CON, next_id++, "g", "coap://d1/a");
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, ++runs);
	begin(COPSE_CON, COPSE_CODE_FETCH, next_id++, "o");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/f");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	send_it(ALICE);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, ++runs);
	begin(COPSE_CON, COPSE_CODE_PUT, next_id++, "b");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/b");
	copse_build_uint(&request, COPSE_OPTION_BLOCK1, 8); /* block 0 of several */
	copse_build_payload(&request, "0123456789abcdef", 16);
	send_it(ALICE);
	run_for(100);
	assert_int_equal(to_devices, runs + 1);                             /* which does not take blocks */
	send_to(ALICE, COPSE_CON, COPSE_CODE_PUT, "a", "coap://d3:5690/a"); /* always on */
	assert_int_equal(device[DEVICE2].runs, 1);
	assert_int_equal(waiting(), 0);
	assert_int_equal(world_counters()->mail_kept, 0);
}

static void test_no_mailbox(void **state)
{
	(void)state;
	send_to(ALICE, COPSE_CON, COPSE_CODE_PUT, "a", "coap://d1/a");
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(local(ALICE, COPSE_CODE_GET, NULL, NULL)->code, COPSE_CODE_NOT_FOUND);
}

/* A change that waited changes what the cache has (RFC 7252 §5.9.1). */
static void test_cache(void **state)
{
	(void)state;
	device[DEVICE1].text = "old";
	device[DEVICE1].max_age = 1000;
	device[DEVICE1].etag = "";
	get(ALICE, COPSE_CON, next_id++, "g", "coap://d1/a");
	run_for(100);
	acknowledge(ALICE);
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	get(ALICE, COPSE_CON, next_id++, "g", "coap://d1/a");
	assert_string_equal(last(ALICE)->payload, "old");
	assert_int_equal(device[DEVICE1].runs, 1);
	wake(DEVICE1);
	run_for(100);
	assert_int_equal(device[DEVICE1].runs, 2);
	device[DEVICE1].text = "new";
	get(ALICE, COPSE_CON, next_id++, "g", "coap://d1/a");
	run_for(100);
	assert_string_equal(last(ALICE)->payload, "new");
	check_over();
}

/* --- the end --- */

static void test_close(void **state)
{
	(void)state;
	keep(ALICE, COPSE_CODE_PUT, "t", "coap://d1/a");
	keep(ALICE, COPSE_CODE_PUT, "u", "coap://d2/a");
	device[DEVICE2].behaviour = LATER;
	wake(DEVICE2);
	run_for(100);
	assert_int_equal(device[DEVICE2].runs, 1);
	gw_worker_close(worker, sim.now);
	run_for(20);
	assert_int_equal(client[ALICE].n, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(client[ALICE].seen[i].code, COPSE_CODE_SERVICE_UNAVAILABLE);
	/* an answer that still comes has nobody to go to */
	device_answer(&sim.node[DEVICE2], device[DEVICE2].waiting, &device[DEVICE2].last);
	run_for(100);
	assert_int_equal(client[ALICE].n, 2);
	gw_worker_close(worker, sim.now);
	check_over();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, end_test)
	const struct CMUnitTest tests[] = {
	    TEST(test_waits_until_heard),
	    TEST(test_repeated_request),
	    TEST(test_order),
	    TEST(test_what_is_not_confirmable),
	    TEST(test_no_response),
	    TEST(test_limit),
	    TEST(test_bounds),
	    TEST(test_missed),
	    TEST(test_heard_again),
	    TEST(test_missed_post),
	    TEST(test_unreachable),
	    TEST(test_error_of_the_device),
	    TEST(test_busy_lane),
	    TEST(test_no_longer_allowed),
	    TEST(test_not_allowed_at_all),
	    TEST(test_claims),
	    TEST(test_session_closed),
	    TEST(test_session_of_another),
	    TEST(test_waiting_is_not_idle),
	    TEST(test_list),
	    TEST(test_withdraw),
	    TEST(test_withdraw_too_late),
	    TEST(test_the_rest_goes_to_the_device),
	    TEST(test_cache),
	    TEST(test_close),
	    cmocka_unit_test_setup_teardown(test_no_mailbox, set_up_without, end_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
