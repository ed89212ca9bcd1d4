/* GET of devices that sleep: answered by their newest readings, in the whole gateway.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "gateway/collector.h"
#include "gateway/worker_state.h"
#include "world.h"

static const char configuration[] =
    "name = \"gw\"\n"
    "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
    "class \"default\" {\n concurrent = 16\n cache = off\n}\n"
    "class \"drowsy\" {\n sleeping = true\n cache = off\n}\n"
    "collector {\n store = \":memory:\"\n}\n"
    "access \"secret\" {\n action = deny\n account = {\"bob\"}\n request = {\"* d1 /secret\"}\n}\n"
    "device \"d1\" {\n address = \"127.0.0.3\"\n class = drowsy\n}\n"
    "device \"d2\" {\n address = \"127.0.0.4\"\n}\n"
    "device \"d3\" {\n address = \"127.0.0.4\"\n port = 5690\n sleeping = true\n}\n";

static uint16_t next_id = 1;

static int set_up(void **state)
{
	(void)state;
	start_world(configuration, (struct sim_link){.delay_ms = 10});
	open_session(ALICE, "alice");
	return 0;
}

/* The store has a thread of its own: wait until it has done one more. */
static void wait_stored(uint64_t readings)
{
	while (gw_collector_counters(worker->collector)->readings < readings) {
		sched_yield();
		gw_worker_woken(worker, sim.now);
	}
}

/* A device publishes: `max_age` < 0 for none. */
static void publish(const char *senml, int max_age)
{
	uint64_t before = gw_collector_counters(worker->collector)->readings;

	begin(COPSE_NON, COPSE_CODE_POST, next_id++, "p");
	add(COPSE_OPTION_URI_PATH, "publish");
	copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_SENML_JSON);
	if (max_age >= 0)
		copse_build_uint(&request, COPSE_OPTION_MAX_AGE, (uint32_t)max_age);
	copse_build_payload(&request, senml, strlen(senml));
	send_it(BOB);
	wait_stored(before + 1);
}

static const struct seen *get_it(unsigned number, const char *uri, int accept)
{
	client[number].n = 0;
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "t");
	add(COPSE_OPTION_PROXY_URI, uri);
	if (accept >= 0)
		copse_build_uint(&request, COPSE_OPTION_ACCEPT, (uint32_t)accept);
	send_it(number);
	run_for(100);
	acknowledge(number);
	return last(number);
}

static void test_newest_value_answers(void **state)
{
	(void)state;
	publish("[{\"n\":\"device:d1:temp\",\"v\":20.5}]", 100);
	publish("[{\"n\":\"device:d1:temp\",\"v\":21.5}]", 100);
	const struct seen *s = get_it(ALICE, "coap://d1/temp", -1);
	assert_int_equal(s->type, COPSE_ACK);
	assert_int_equal(s->code, COPSE_CODE_CONTENT);
	assert_string_equal(s->payload, "21.5");
	assert_int_equal(device[DEVICE1].runs, 0);
	assert_int_equal(world_counters()->asleep_answers, 1);
	s = get_it(ALICE, "coap://d1/temp", COPSE_FORMAT_SENML_JSON);
	assert_non_null(strstr(s->payload, "\"v\":21.5"));
	assert_non_null(strstr(s->payload, "temp"));
	assert_int_equal(world_counters()->asleep_answers, 2);
	assert_int_equal(requests_used(), 0);
}

/* RFC 7252 §5.7.1: what is left of Max-Age, and nothing when none is left. */
static void test_age(void **state)
{
	(void)state;
	publish("[{\"n\":\"device:d1:temp\",\"v\":1}]", 100);
	run_for(40000);
	const struct seen *s = get_it(ALICE, "coap://d1/temp", -1);
	assert_int_equal(s->code, COPSE_CODE_CONTENT);
	assert_in_range(s->max_age, 59, 60);
	run_for(61000);
	s = get_it(ALICE, "coap://d1/temp", -1);
	assert_int_equal(s->code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_string_equal(s->payload, "the device sleeps, and its newest reading has expired");
	assert_int_equal(device[DEVICE1].runs, 0);
	assert_int_equal(world_counters()->asleep_stale, 1);
}

/* How often a device comes is not known yet: nobody may keep the answer. */
static void test_without_end(void **state)
{
	(void)state;
	publish("[{\"n\":\"device:d1:temp\",\"v\":1}]", -1);
	run_for(3600000 / 2);
	const struct seen *s = get_it(ALICE, "coap://d1/temp", -1);
	assert_int_equal(s->code, COPSE_CODE_CONTENT);
	assert_int_equal(s->max_age, 0);
}

static void test_the_rest_goes_to_the_device(void **state)
{
	(void)state;
	unsigned runs = 0;
	publish("[{\"n\":\"device:d1:temp\",\"v\":1}]", 100);
	get_it(ALICE, "coap://d1/other", -1); /* never published */
	assert_int_equal(device[DEVICE1].runs, ++runs);
	get_it(ALICE, "coap://d1/temp?unit=F", -1);
	assert_int_equal(device[DEVICE1].runs, ++runs);
	get_it(ALICE, "coap://d1/temp", COPSE_FORMAT_CBOR);
	assert_int_equal(device[DEVICE1].runs, ++runs);
	get_it(ALICE, "coap://d1/", -1);
	assert_int_equal(device[DEVICE1].runs, ++runs);
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "o");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/temp");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	send_it(ALICE);
	run_for(100);
	acknowledge(ALICE);
	assert_int_equal(device[DEVICE1].runs, ++runs);
	assert_int_equal(world_counters()->asleep_answers, 0);
}

static void test_who_is_awake_is_asked(void **state)
{
	(void)state;
	publish("[{\"n\":\"device:d2:temp\",\"v\":1}]", 100);
	const struct seen *s = get_it(ALICE, "coap://d2/temp", -1);
	assert_string_equal(s->payload, "node 4 temp");
	publish("[{\"n\":\"device:d3:temp\",\"v\":33}]", 100);
	s = get_it(ALICE, "coap://d3:5690/temp", -1);
	assert_string_equal(s->payload, "33");
	assert_int_equal(device[DEVICE2].runs, 1);
}

/* What is known about a device may say it, and may take it back. */
static void test_meta(void **state)
{
	(void)state;
	static const char *const bodies[] = {"{\"sleeping\":true}", "{\"sleeping\":false}"};
	publish("[{\"n\":\"device:d2:temp\",\"v\":22}]", 100);
	for (unsigned i = 0; i < 2; i++) {
		begin(COPSE_CON, COPSE_CODE_PUT, next_id++, "m");
		add(COPSE_OPTION_URI_PATH, "devices");
		add(COPSE_OPTION_URI_PATH, "d2");
		add(COPSE_OPTION_URI_PATH, "meta");
		copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_JSON);
		copse_build_payload(&request, bodies[i], strlen(bodies[i]));
		send_it(ALICE);
		const struct seen *s = get_it(ALICE, "coap://d2/temp", -1);
		assert_string_equal(s->payload, i == 0 ? "22" : "node 4 temp");
	}
}

/* Who may not ask the device gets no reading of it by this way either. */
/* The device says something, whatever it is. */
static void wake(void)
{
	begin(COPSE_NON, COPSE_CODE_GET, next_id++, "w");
	add(COPSE_OPTION_URI_PATH, "help");
	send_it(DEVICE1);
	run_for(100);
	acknowledge(ALICE);
}

static const struct seen *put_it(const char *uri)
{
	forget_seen();
	ask(ALICE, COPSE_CON, COPSE_CODE_PUT, next_id++, "u", uri);
	run_for(50);
	assert_int_equal(last(ALICE)->code, 0); /* it waits */
	forget_seen();
	wake();
	return last(ALICE);
}

/* RFC 7252 §5.9.1: once a change has reached the device, what it published before is not how things are. */
static void test_what_was_changed_is_not_served(void **state)
{
	(void)state;
	publish("[{\"n\":\"device:d1:temp\",\"v\":1}]", 1000);
	publish("[{\"n\":\"device:d1:other\",\"v\":5}]", 1000);
	run_for(1000);
	device[DEVICE1].code = COPSE_CODE_BAD_REQUEST; /* it refuses: nothing has changed */
	assert_int_equal(put_it("coap://d1/temp")->code, COPSE_CODE_BAD_REQUEST);
	assert_string_equal(get_it(ALICE, "coap://d1/temp", -1)->payload, "1");
	device[DEVICE1].code = COPSE_CODE_CHANGED;
	assert_int_equal(put_it("coap://d1/temp")->code, COPSE_CODE_CHANGED);
	assert_int_equal(device[DEVICE1].runs, 2);
	assert_string_equal(get_it(ALICE, "coap://d1/other", -1)->payload, "5"); /* another resource */
	/* the next GET waits for the device, which says how things are */
	assert_int_equal(get_it(ALICE, "coap://d1/temp", -1)->code, 0);
	assert_int_equal(world_counters()->asleep_outdated, 1);
	assert_int_equal(gw_mailbox_count(worker->mailbox), 1);
	forget_seen();
	device[DEVICE1].code = COPSE_CODE_CONTENT;
	device[DEVICE1].text = "2";
	wake();
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_string_equal(last(ALICE)->payload, "2");
	assert_int_equal(device[DEVICE1].runs, 3);
	/* until it publishes again */
	run_for(1000);
	publish("[{\"n\":\"device:d1:temp\",\"v\":3}]", 1000);
	assert_string_equal(get_it(ALICE, "coap://d1/temp", -1)->payload, "3");
	assert_int_equal(device[DEVICE1].runs, 3);
}

static void test_access(void **state)
{
	(void)state;
	publish("[{\"n\":\"device:d1:secret\",\"v\":7}]", 100);
	assert_string_equal(get_it(ALICE, "coap://d1/secret", -1)->payload, "7");
	open_session(BOB, "bob");
	assert_int_equal(get_it(BOB, "coap://d1/secret", -1)->code, COPSE_CODE_FORBIDDEN);
	assert_int_equal(world_counters()->asleep_answers, 1);
}

/* A reading that does not fit into one block of the size asked for is the device's to give. */
static void test_long_readings(void **state)
{
	(void)state;
	char senml[2100], text[2000];
	memset(text, 'x', sizeof(text));
	text[1024] = 0;
	snprintf(senml, sizeof(senml), "[{\"n\":\"device:d1:text\",\"vs\":\"%s\"}]", text);
	publish(senml, 100);
	get_it(ALICE, "coap://d1/text", -1);
	assert_int_equal(world_counters()->forwarded, 0);
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "b");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/text");
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, 5);
	send_it(ALICE);
	run_for(100);
	acknowledge(ALICE);
	assert_int_equal(world_counters()->forwarded, 1);
	memset(text, 'x', sizeof(text));
	text[1025] = 0;
	snprintf(senml, sizeof(senml), "[{\"n\":\"device:d1:text\",\"vs\":\"%s\"}]", text);
	publish(senml, 100);
	get_it(ALICE, "coap://d1/text", -1);
	assert_int_equal(world_counters()->forwarded, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, end_test)
	const struct CMUnitTest tests[] = {
	    TEST(test_newest_value_answers),
	    TEST(test_age),
	    TEST(test_without_end),
	    TEST(test_the_rest_goes_to_the_device),
	    TEST(test_who_is_awake_is_asked),
	    TEST(test_meta),
	    TEST(test_what_was_changed_is_not_served),
	    TEST(test_access),
	    TEST(test_long_readings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
