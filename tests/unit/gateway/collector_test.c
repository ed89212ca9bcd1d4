/* The collector in the whole gateway: who follows the list of devices hears of those that are no longer heard; and one
 * sender cannot take every place that devices have.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <copse/address.h>

#include "gateway/collector_state.h"
#include "gateway/worker_state.h"
#include "world.h"

static uint16_t next_id = 1;

static void start(const char *more)
{
	char text[400];

	snprintf(text, sizeof(text), "open = true\n %s", more);
	start_collector(text);
	open_session(ALICE, "alice");
}

/* A confirmable message with one reading of a device. Returns the answer. */
static const struct seen *publish(unsigned number, const char *id)
{
	char text[80];

	client[number].n = 0;
	begin(COPSE_CON, COPSE_CODE_POST, next_id++, "p");
	add(COPSE_OPTION_URI_PATH, "publish");
	copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_SENML_JSON);
	snprintf(text, sizeof(text), "[{\"n\":\"device:%s:n\",\"v\":1}]", id);
	copse_build_payload(&request, text, strlen(text));
	send_it(number);
	while (client[number].n == 0 || last(number)->code == 0)
		let_store_pass();
	acknowledge(number);
	return last(number);
}

/* --- the list of devices --- */

static void follow(unsigned number, const char *query)
{
	client[number].n = 0;
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "l");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	add(COPSE_OPTION_URI_PATH, "devices");
	if (query)
		add(COPSE_OPTION_URI_QUERY, query);
	send_it(number);
	while (client[number].n == 0 || last(number)->code == 0)
		let_store_pass();
	acknowledge(number);
	assert_int_equal(last(number)->code, COPSE_CODE_CONTENT);
	assert_true(last(number)->observe >= 0);
	forget_seen();
}

/* Let `seconds` pass, and acknowledge what comes. */
static void wait_seconds(unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		run_for(1000);
		acknowledge(ALICE);
	}
}

/* A device that is heard each minute; the last time just now. */
static void make_rhythm(void)
{
	for (unsigned i = 0; i < 6; i++) {
		if (i)
			wait_seconds(60);
		assert_int_equal(publish(BOB, "d1")->code, COPSE_CODE_CHANGED);
	}
	forget_seen();
}

static void who_follows_the_list_hears_of_silence(void **state)
{
	(void)state;
	start("");
	make_rhythm();
	assert_true(gw_collector_deadline(worker->collector) == COPSE_NEVER);
	follow(ALICE, NULL);
	assert_true(gw_collector_deadline(worker->collector) != COPSE_NEVER);
	wait_seconds(10); /* the first look may tell what has been told: the list was not observed before */
	forget_seen();
	wait_seconds(70);
	assert_int_equal(client[ALICE].n, 0);
	wait_seconds(25);
	assert_int_equal(client[ALICE].n, 1);
	assert_true(last(ALICE)->observe >= 0);
	assert_non_null(strstr(last(ALICE)->payload, "state=late"));
	forget_seen();
	wait_seconds(120);
	assert_int_equal(client[ALICE].n, 0);
	wait_seconds(60);
	assert_int_equal(client[ALICE].n, 1);
	assert_non_null(strstr(last(ALICE)->payload, "state=silent"));
	forget_seen();
	wait_seconds(1000);
	assert_int_equal(client[ALICE].n, 0);
	assert_int_equal(publish(BOB, "d1")->code, COPSE_CODE_CHANGED);
	wait_seconds(20); /* the message that brings it back tells, and nothing else */
	assert_int_equal(client[ALICE].n, 1);
	assert_non_null(strstr(last(ALICE)->payload, "state=live"));
	end_world();
}

/* More devices than are looked at in one go: each has its turn. */
static void all_devices_have_their_turn(void **state)
{
	char id[32];

	(void)state;
	start("devices = 20000");
	make_rhythm();
	struct gw_collector *c = worker->collector;
	for (unsigned i = 0; i < 3 * GW_COLLECTOR_LOOKED_AT; i++) {
		snprintf(id, sizeof(id), "never%u", i);
		assert_non_null(gw_heard_get(c, id));
	}
	struct gw_heard *d = gw_heard_get(c, "last");
	gw_heard_note(d, gw_collector_now(c) - INT64_C(100000000));
	gw_heard_note(d, gw_collector_now(c) - INT64_C(80000000)); /* each 20 s: it is late until now */
	d->told = GW_LATE;
	follow(ALICE, "state=silent");
	wait_seconds(5);
	assert_int_equal(gw_heard_liveness(d, gw_collector_now(c)), GW_SILENT);
	assert_int_equal(d->told, GW_SILENT);
	assert_int_equal(gw_heard_find(c, "device:d1")->told, GW_LIVE);
	end_world();
}

/* --- one sender's share --- */

static void one_sender_leaves_places_for_others(void **state)
{
	char id[16];

	(void)state;
	start("devices = 8");
	for (unsigned i = 0; i < 6; i++) {
		snprintf(id, sizeof(id), "bob%u", i);
		assert_int_equal(publish(BOB, id)->code, COPSE_CODE_CHANGED);
	}
	const struct seen *s = publish(BOB, "bob6");
	assert_int_equal(s->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_string_equal(s->payload, "this sender has announced its share of devices");
	assert_int_equal(collector_counters()->refused_share, 1);
	assert_int_equal(collector_counters()->refused_devices, 0);
	assert_int_equal(publish(BOB, "bob0")->code, COPSE_CODE_CHANGED); /* those that it has it keeps */
	assert_int_equal(publish(ALICE, "one")->code, COPSE_CODE_CHANGED);
	assert_int_equal(publish(ALICE, "alice")->code, COPSE_CODE_CHANGED);
	s = publish(ALICE, "two");
	assert_int_equal(s->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_string_equal(s->payload, "there are enough devices");
	assert_int_equal(collector_counters()->refused_share, 1);
	assert_int_equal(collector_counters()->refused_devices, 1);
	end_world();
}

/* Another port is no other sender, another address is. */
static void shares_are_of_addresses(void **state)
{
	struct copse_address a;
	struct copse_peer peer;
	char id[32], text[40];
	unsigned made = 0;

	(void)state;
	start("devices = 1000");
	struct gw_collector *c = worker->collector;
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(id, sizeof(id), "hostile%u", i);
		assert_int_equal(copse_address_parse("10.0.0.1", (uint16_t)(1 + i % 65535), &a), 0);
		assert_int_equal(copse_peer_from_address(3, &a, &peer), 0);
		made += gw_heard_announce(c, id, &peer) != NULL;
	}
	assert_int_equal(made, 750);
	for (unsigned i = 0; i < 150; i++) {
		snprintf(id, sizeof(id), "honest%u", i);
		snprintf(text, sizeof(text), "2001:db8::%x", i + 1);
		assert_int_equal(copse_address_parse(text, 5683, &a), 0);
		assert_int_equal(copse_peer_from_address(3, &a, &peer), 0);
		assert_non_null(gw_heard_announce(c, id, &peer));
		assert_non_null(gw_heard_announce(c, id, &peer)); /* known by now */
	}
	assert_int_equal(c->device_n, 900);
	assert_int_equal(c->sender_n, 151);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_follows_the_list_hears_of_silence),
	    cmocka_unit_test(all_devices_have_their_turn),
	    cmocka_unit_test(one_sender_leaves_places_for_others),
	    cmocka_unit_test(shares_are_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
