/* The cache and the lanes in the whole gateway, in virtual time: what goes to devices, and what clients get.
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

#define BUSY                                                                                                 \
	"Request blocked by device serialization requirements, another request is enqueued or in process "   \
	"for this device."

static const char start_of_configuration[] = "name = \"gw\"\n"
					     "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
					     "proxy {\n requests = 8\n max_message = 400\n waiting = 2\n}\n"
					     "cache {\n entries = 4\n bytes = 4096\n waiters = 2\n}\n"
					     "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
					     "device \"d2\" {\n address = \"127.0.0.4\"\n class = other\n}\n";

static void start(const char *more)
{
	char text[2000];

	snprintf(text, sizeof(text), "%s%s", start_of_configuration, more);
	start_world(text, (struct sim_link){.delay_ms = 10});
	open_session(ALICE, "a");
	open_session(BOB, "b");
}

static int set_up(void **state)
{
	(void)state;
	start("");
	return 0;
}

static uint16_t next_id = 100;

/* One exchange to its end; what the client got last is its answer. */
static const struct seen *whole(unsigned number, uint8_t code, const char *uri)
{
	client[number].n = 0;
	ask(number, COPSE_CON, code, next_id++, "tok", uri);
	run_for(100);
	acknowledge(number);
	return last(number);
}

static const struct seen *fetch_it(unsigned number, const char *uri)
{
	return whole(number, COPSE_CODE_GET, uri);
}

/* --- the cache --- */

static void test_fresh(void **state)
{
	(void)state;
	device[DEVICE1].max_age = 10;
	assert_int_equal(fetch_it(ALICE, "coap://d1/a")->max_age, 10);
	run_for(3000);
	device[DEVICE1].text = "newer";
	unsigned n = client[BOB].n;
	get(BOB, COPSE_CON, 1, "bob", "coap://d1/a");
	assert_int_equal(client[BOB].n, n + 1); /* at once, in the acknowledgement, under its own token */
	assert_int_equal(last(BOB)->type, COPSE_ACK);
	assert_int_equal(last(BOB)->code, COPSE_CODE_CONTENT);
	assert_int_equal(last(BOB)->token_len, 3);
	assert_memory_equal(last(BOB)->token, "bob", 3);
	assert_string_equal(last(BOB)->payload, "node 3 a");
	assert_string_equal(last(BOB)->etag, "et");
	assert_int_equal(last(BOB)->max_age, 6);           /* what is left, never more */
	get(BOB, COPSE_NON, 2, "non", "coap://D1:5683/a"); /* the same URI, written otherwise */
	assert_int_equal(last(BOB)->type, COPSE_NON);
	assert_string_equal(last(BOB)->payload, "node 3 a");
	begin(COPSE_CON, COPSE_CODE_GET, 3, "s");
	add(COPSE_OPTION_PROXY_SCHEME, "coap");
	add(COPSE_OPTION_URI_HOST, "d1");
	add(COPSE_OPTION_URI_PATH, "a");
	send_it(BOB);
	assert_string_equal(last(BOB)->payload, "node 3 a");
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(world_counters()->cache_hits, 3);
	assert_int_equal(requests_used(), 0);
	assert_string_equal(fetch_it(BOB, "coap://d1/b")->payload, "newer"); /* another resource */
	run_for(7000);
	device[DEVICE1].etag = "e2";
	assert_string_equal(fetch_it(BOB, "coap://d1/a")->payload, "newer"); /* stale */
	assert_int_equal(device[DEVICE1].runs, 3);
}

static void test_default_max_age(void **state)
{
	(void)state;
	device[DEVICE1].max_age = -1;
	assert_int_equal(fetch_it(ALICE, "coap://d1/a")->max_age, 60);
	run_for(59000);
	get(BOB, COPSE_CON, 1, "t", "coap://d1/a");
	assert_int_equal(last(BOB)->code, COPSE_CODE_CONTENT);
	assert_int_equal(last(BOB)->max_age, 0);
	run_for(1000);
	fetch_it(BOB, "coap://d1/a");
	assert_int_equal(device[DEVICE1].runs, 2);
}

/* A client that names the ETag gets 2.03; one that names another gets it all. */
static void test_client_validates(void **state)
{
	(void)state;
	fetch_it(ALICE, "coap://d1/a");
	begin(COPSE_CON, COPSE_CODE_GET, 1, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	add(COPSE_OPTION_ETAG, "xx");
	add(COPSE_OPTION_ETAG, "et");
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_VALID);
	assert_string_equal(last(ALICE)->etag, "et");
	assert_string_equal(last(ALICE)->payload, "");
	assert_int_equal(last(ALICE)->max_age, 6);
	begin(COPSE_CON, COPSE_CODE_GET, 2, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	add(COPSE_OPTION_ETAG, "e"); /* a beginning is not the whole */
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(world_counters()->cache_valid, 1);
}

/* Stale: the device is asked whether it is still good, and its 2.03 makes it fresh again. */
static void test_revalidates(void **state)
{
	(void)state;
	fetch_it(ALICE, "coap://d1/a");
	run_for(8000);
	device[DEVICE1].max_age = 20;
	const struct seen *s = fetch_it(BOB, "coap://d1/a");
	assert_int_equal(s->code, COPSE_CODE_CONTENT); /* BOB has not named it */
	assert_string_equal(s->payload, "node 3 a");
	assert_int_equal(s->max_age, 20);
	assert_int_equal(device[DEVICE1].runs, 2);
	assert_true(copse_option_is(&device[DEVICE1].last,
				    copse_message_option(&device[DEVICE1].last, COPSE_OPTION_ETAG), "et", 2));
	assert_int_equal(world_counters()->cache_validations, 1);
	assert_int_equal(world_counters()->cache_validated, 1);
	run_for(15000);
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(last(ALICE)->max_age, 4);
	assert_int_equal(device[DEVICE1].runs, 2);

	run_for(8000); /* stale, and changed */
	device[DEVICE1].etag = "e2";
	device[DEVICE1].text = "changed";
	assert_string_equal(fetch_it(ALICE, "coap://d1/a")->payload, "changed");
	run_for(1000);
	get(BOB, COPSE_CON, 1, "t", "coap://d1/a");
	assert_string_equal(last(BOB)->payload, "changed");
	assert_string_equal(last(BOB)->etag, "e2");

	run_for(30000); /* stale, and the client names it too: its 2.03 is passed on, and refreshes */
	begin(COPSE_CON, COPSE_CODE_GET, 50, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	add(COPSE_OPTION_ETAG, "e2");
	send_it(BOB);
	run_for(100);
	acknowledge(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_VALID);
	unsigned runs = device[DEVICE1].runs;
	get(ALICE, COPSE_CON, 60, "t", "coap://d1/a");
	assert_string_equal(last(ALICE)->payload, "changed");
	assert_int_equal(device[DEVICE1].runs, runs);

	run_for(30000); /* stale; the client has an older one, which the device has gone back to */
	device[DEVICE1].etag = "et";
	begin(COPSE_CON, COPSE_CODE_GET, 51, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	add(COPSE_OPTION_ETAG, "et");
	send_it(BOB);
	run_for(100);
	acknowledge(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_VALID);
	assert_string_equal(last(BOB)->etag, "et");
	device[DEVICE1].text = "old again";
	assert_string_equal(fetch_it(ALICE, "coap://d1/a")->payload, "old again"); /* not "changed" */
}

/* Options of a 2.03 take the place of those that are stored (RFC 7252 §5.9.1.3). */
static void test_renewed_options(void **state)
{
	(void)state;
	device[DEVICE1].extra = "v1";
	assert_string_equal(fetch_it(ALICE, "coap://d1/a")->extra, "v1");
	run_for(8000);
	device[DEVICE1].extra = "version 2";
	assert_string_equal(fetch_it(BOB, "coap://d1/a")->payload, "node 3 a");
	assert_string_equal(last(BOB)->extra, "version 2");
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_string_equal(last(ALICE)->extra, "version 2");
	assert_string_equal(last(ALICE)->etag, "et");
	assert_int_equal(last(ALICE)->max_age, 6);
	assert_int_equal(device[DEVICE1].runs, 2);
	run_for(8000); /* one that says nothing of it leaves it as it is */
	device[DEVICE1].extra = NULL;
	fetch_it(BOB, "coap://d1/a");
	get(ALICE, COPSE_CON, 2, "t", "coap://d1/a");
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_string_equal(last(ALICE)->extra, "version 2");
	assert_int_equal(device[DEVICE1].runs, 3);
}

/* Only 2.05 to GET and FETCH. */
static void test_what_is_stored(void **state)
{
	static const uint8_t codes[] = {COPSE_CODE_NOT_FOUND, COPSE_CODE_INTERNAL_SERVER_ERROR,
					COPSE_CODE_CHANGED};

	(void)state;
	for (size_t i = 0; i < sizeof(codes); i++) {
		device[DEVICE1].code = codes[i];
		assert_int_equal(fetch_it(ALICE, "coap://d1/a")->code, codes[i]);
		assert_int_equal(fetch_it(BOB, "coap://d1/a")->code, codes[i]);
		assert_int_equal(device[DEVICE1].runs, 2 * (i + 1));
	}
	device[DEVICE1].code = COPSE_CODE_CONTENT;
	device[DEVICE1].runs = 0;
	for (int i = 0; i < 2; i++)
		whole(ALICE, COPSE_CODE_POST, "coap://d1/a"); /* a POST is never answered from the cache */
	assert_int_equal(device[DEVICE1].runs, 2);
	device[DEVICE1].max_age = 0; /* not fresh for a moment */
	device[DEVICE1].etag = "";
	for (int i = 0; i < 2; i++)
		fetch_it(ALICE, "coap://d1/z");
	assert_int_equal(device[DEVICE1].runs, 4);
	device[DEVICE1].max_age = 60;
	for (int i = 0; i < 2; i++) { /* Observe is never answered from it; what it brings is stored */
		for (uint32_t observe = 0; observe < 2; observe++) {
			begin(COPSE_CON, COPSE_CODE_GET, next_id++, "t");
			add(COPSE_OPTION_PROXY_URI, "coap://d1/o");
			copse_build_uint(&request, COPSE_OPTION_OBSERVE, observe);
			send_it(ALICE);
			run_for(100);
			acknowledge(ALICE);
		}
	}
	assert_int_equal(device[DEVICE1].runs, 8);
	fetch_it(ALICE, "coap://d1/o");
	assert_int_equal(device[DEVICE1].runs, 8);
	assert_int_equal(world_counters()->cache_hits, 1);
}

static void fetch_with(unsigned number, const char *body)
{
	begin(COPSE_CON, COPSE_CODE_FETCH, next_id++, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_payload(&request, body, strlen(body));
	send_it(number);
	run_for(100);
	acknowledge(number);
}

static void test_fetch(void **state)
{
	(void)state;
	fetch_with(ALICE, "one");
	fetch_with(BOB, "one");
	assert_int_equal(device[DEVICE1].runs, 1);
	fetch_with(BOB, "two");
	assert_int_equal(device[DEVICE1].runs, 2);
	fetch_it(BOB, "coap://d1/a");
	assert_int_equal(device[DEVICE1].runs, 3);
}

static void test_accept(void **state)
{
	(void)state;
	for (uint32_t format = 0; format < 2; format++) {
		begin(COPSE_CON, COPSE_CODE_GET, next_id++, "t");
		add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
		copse_build_uint(&request, COPSE_OPTION_ACCEPT, 40 + format);
		send_it(ALICE);
		run_for(100);
		acknowledge(ALICE);
	}
	assert_int_equal(device[DEVICE1].runs, 2);
}

/* What changes a resource makes stale what is stored of it: with every query and Accept, and for nobody else. */
static void test_invalidation(void **state)
{
	static const struct {
		uint8_t method, code;
		bool invalidates;
	} rows[] = {
	    {COPSE_CODE_PUT, COPSE_CODE_CHANGED, true},
	    {COPSE_CODE_POST, COPSE_CODE_CREATED, true},
	    {COPSE_CODE_POST, COPSE_CODE_CONTENT, true},
	    {COPSE_CODE_DELETE, COPSE_CODE_DELETED, true},
	    {COPSE_CODE_PATCH, COPSE_CODE_CHANGED, true},
	    {COPSE_CODE_IPATCH, COPSE_CODE_CHANGED, true},
	    {COPSE_CODE_PUT, COPSE_CODE_BAD_REQUEST, false},
	    {COPSE_CODE_PUT, COPSE_CODE_PRECONDITION_FAILED, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct device *d = &device[DEVICE1];
		d->code = COPSE_CODE_CONTENT;
		d->max_age = 60;
		d->etag = "";
		fetch_it(ALICE, "coap://d1/a");
		fetch_it(ALICE, "coap://d1/a?q");
		fetch_it(ALICE, "coap://d1/b");
		d->code = rows[i].code;
		assert_int_equal(whole(BOB, rows[i].method, "coap://d1/a")->code, rows[i].code);
		d->code = COPSE_CODE_CONTENT;
		d->runs = 0;
		fetch_it(ALICE, "coap://d1/a");
		fetch_it(ALICE, "coap://d1/a?q");
		fetch_it(ALICE, "coap://d1/b");
		assert_int_equal(d->runs, rows[i].invalidates ? 2 : 0);
	}
	/* one that creates another resource */
	fetch_it(ALICE, "coap://d1/b");
	device[DEVICE1].code = COPSE_CODE_CREATED;
	device[DEVICE1].location = "b";
	whole(BOB, COPSE_CODE_POST, "coap://d1/a");
	device[DEVICE1].code = COPSE_CODE_CONTENT;
	device[DEVICE1].location = NULL;
	device[DEVICE1].runs = 0;
	fetch_it(ALICE, "coap://d1/b");
	assert_int_equal(device[DEVICE1].runs, 1);
	/* one that may or may not have been carried out */
	device[DEVICE1].max_age = 1000;
	fetch_it(ALICE, "coap://d1/c");
	device[DEVICE1].behaviour = SILENT;
	ask(BOB, COPSE_CON, COPSE_CODE_PUT, next_id++, "t", "coap://d1/c");
	run_for(200000);
	acknowledge(BOB);
	device[DEVICE1].behaviour = ANSWER;
	device[DEVICE1].runs = 0;
	fetch_it(ALICE, "coap://d1/c");
	assert_int_equal(device[DEVICE1].runs, 1);
	/* a GET that fails changes nothing */
	device[DEVICE1].behaviour = SILENT;
	get(BOB, COPSE_CON, next_id++, "t", "coap://d1/c?other");
	run_for(200000);
	acknowledge(BOB);
	fetch_it(ALICE, "coap://d1/c");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
}

/* A block of a body, or an Echo, is for the one that asked. */
static void test_parts(void **state)
{
	static const struct {
		uint16_t number;
		const char *value;
		unsigned runs;
	} rows[] = {
	    {COPSE_OPTION_BLOCK2, "\x0a", 2}, /* 0/1/64 */
	    {COPSE_OPTION_BLOCK2, "\x12", 2}, /* 1/0/64 */
	    {COPSE_OPTION_BLOCK2, "\x02", 1}, /* 0/0/64: the whole */
	    {COPSE_OPTION_ECHO, "\x02", 2},   {COPSE_OPTION_CONTENT_FORMAT, "\x02", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char uri[40];
		snprintf(uri, sizeof(uri), "coap://d1/%zu", i);
		device[DEVICE1].runs = 0;
		device[DEVICE1].extra_number = rows[i].number;
		device[DEVICE1].extra = rows[i].value;
		fetch_it(ALICE, uri);
		assert_int_equal(fetch_it(BOB, uri)->code, COPSE_CODE_CONTENT);
		assert_int_equal(device[DEVICE1].runs, rows[i].runs);
	}
}

/* An answer that a change overtook is passed on, but neither stored nor shared. */
static void test_overtaken(void **state)
{
	(void)state;
	end_test(NULL);
	start("class \"default\" {\n concurrent = 4\n}\n");
	device[DEVICE1].etag = "";
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(100);
	copse_handle waiting = device[DEVICE1].waiting;
	struct copse_message old = device[DEVICE1].last;
	device[DEVICE1].behaviour = ANSWER;
	device[DEVICE1].code = COPSE_CODE_CHANGED;
	assert_int_equal(whole(BOB, COPSE_CODE_PUT, "coap://d1/a")->code, COPSE_CODE_CHANGED);
	device[DEVICE1].code = COPSE_CODE_CONTENT;
	device[DEVICE1].text = "new";
	assert_string_equal(fetch_it(BOB, "coap://d1/a")->payload, "new"); /* does not join the old one */
	device[DEVICE1].text = "old";
	device_answer(&sim.node[DEVICE1], waiting, &old);
	run_for(100);
	acknowledge(ALICE);
	assert_string_equal(last(ALICE)->payload, "old");
	get(ALICE, COPSE_CON, 9, "t", "coap://d1/a");
	assert_string_equal(last(ALICE)->payload, "new");
	assert_int_equal(requests_used(), 0);
}

static void test_accounts(void **state)
{
	(void)state;
	end_test(NULL);
	start("class \"other\" {\n cache = account\n}\n");
	fetch_it(ALICE, "coap://d2/a");
	fetch_it(BOB, "coap://d2/a");
	assert_int_equal(device[DEVICE2].runs, 2);
	fetch_it(ALICE, "coap://d2/a");
	assert_int_equal(device[DEVICE2].runs, 2);
	whole(BOB, COPSE_CODE_PUT, "coap://d2/a"); /* it is one resource for all */
	fetch_it(ALICE, "coap://d2/a");
	assert_int_equal(device[DEVICE2].runs, 4);
	device[DEVICE2].behaviour = LATER; /* nor do accounts join each other */
	device[DEVICE2].max_age = 0;
	get(ALICE, COPSE_CON, 1, "t", "coap://d2/b");
	run_for(100);
	get(BOB, COPSE_CON, 2, "t", "coap://d2/b");
	assert_string_equal(last(BOB)->payload, BUSY);
}

static void test_off(void **state)
{
	(void)state;
	end_test(NULL);
	start("class \"other\" {\n cache = off\n}\n");
	fetch_it(ALICE, "coap://d2/a");
	fetch_it(ALICE, "coap://d2/a");
	assert_int_equal(device[DEVICE2].runs, 2);
}

/* An answer that only just fits is passed on without room for a Max-Age: it is not stored. */
static void test_tight(void **state)
{
	static char text[400];

	(void)state;
	device[DEVICE1].etag = "";
	device[DEVICE1].max_age = -1;
	device[DEVICE1].text = text;
	for (size_t len = 385; len <= 400; len++) {
		memset(text, 'x', len - 1);
		text[len - 1] = 0;
		char uri[40];
		snprintf(uri, sizeof(uri), "coap://d1/%zu", len);
		uint8_t code = fetch_it(ALICE, uri)->code;
		assert_int_equal(code, len - 1 + 1 <= 400 ? COPSE_CODE_CONTENT : COPSE_CODE_BAD_GATEWAY);
		assert_int_equal(fetch_it(ALICE, uri)->code, code); /* whether from the cache or not */
	}
	assert_true(world_counters()->cache_hits > 3);
}

/* --- joining --- */

static void test_join(void **state)
{
	(void)state;
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_CON, 1, "alice", "coap://d1/a");
	run_for(100);
	get(BOB, COPSE_CON, 2, "bob", "coap://d1/a");
	assert_int_equal(last(BOB)->type, COPSE_ACK);
	assert_int_equal(last(BOB)->code, COPSE_CODE_EMPTY);
	get(BOB, COPSE_NON, 3, "non", "coap://d1/a");
	get(BOB, COPSE_CON, 4, "more", "coap://d1/a"); /* the bound */
	assert_int_equal(last(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(world_counters()->refused_joins, 1);
	assert_int_equal(requests_used(), 3);
	assert_int_equal(to_devices, 1);
	forget_seen();
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100);
	assert_int_equal(client[ALICE].n, 1);
	assert_memory_equal(last(ALICE)->token, "alice", 5);
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_int_equal(client[BOB].n, 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct seen *s = &client[BOB].seen[i];
		assert_string_equal(s->payload, "node 3 a");
		assert_int_equal(s->type, s->token_len == 3 && memcmp(s->token, "non", 3) == 0 ? COPSE_NON
											       : COPSE_CON);
	}
	acknowledge(ALICE);
	acknowledge(BOB);
	assert_int_equal(requests_used(), 0);
	assert_int_equal(world_counters()->joined, 2);
	assert_int_equal(device[DEVICE1].runs, 1);
	get(BOB, COPSE_CON, 5, "t", "coap://d1/a"); /* and it was stored, once */
	assert_string_equal(last(BOB)->payload, "node 3 a");
	assert_int_equal(device[DEVICE1].runs, 1);
}

/* A failure is everybody's. */
static void test_join_fails(void **state)
{
	(void)state;
	sim.node[DEVICE1].dead = true;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	get(BOB, COPSE_CON, 2, "t", "coap://d1/a");
	run_for(1000000);
	assert_int_equal(client[ALICE].seen[1].code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_int_equal(client[BOB].seen[1].code, COPSE_CODE_GATEWAY_TIMEOUT);
	run_for(300000);
	assert_int_equal(requests_used(), 0);
	sim.node[DEVICE1].dead = false; /* and not remembered */
	assert_int_equal(fetch_it(ALICE, "coap://d1/a")->code, COPSE_CODE_CONTENT);
}

/* Those that join while an answer is validated get it all, from the cache, in the same breath. */
static void test_join_validation(void **state)
{
	(void)state;
	fetch_it(ALICE, "coap://d1/a");
	run_for(10000);
	device[DEVICE1].behaviour = LATER;
	forget_seen();
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(100);
	get(BOB, COPSE_CON, 2, "t", "coap://d1/a");
	/* one that names an ETag asks something else; the device is busy with the first */
	begin(COPSE_CON, COPSE_CODE_GET, 3, "u");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	add(COPSE_OPTION_ETAG, "xx");
	send_it(BOB);
	assert_string_equal(last(BOB)->payload, BUSY);
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_int_equal(last(BOB)->code, COPSE_CODE_CONTENT);
	assert_string_equal(last(BOB)->payload, "node 3 a");
	acknowledge(ALICE);
	acknowledge(BOB);
	assert_int_equal(requests_used(), 0);
}

static void test_join_no_response(void **state)
{
	(void)state;
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(100);
	begin(COPSE_NON, COPSE_CODE_GET, 2, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_NO_RESPONSE, 2);
	send_it(BOB);
	assert_int_equal(world_counters()->joined, 1);
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100);
	assert_int_equal(client[BOB].n, 0);
	acknowledge(ALICE);
	assert_int_equal(requests_used(), 0);
}

/* --- lanes --- */

static void test_serialized(void **state)
{
	(void)state;
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(100);
	get(BOB, COPSE_CON, 2, "t", "coap://d1/b");
	assert_int_equal(last(BOB)->type, COPSE_ACK); /* refused at once */
	assert_int_equal(last(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_string_equal(last(BOB)->payload, BUSY);
	ask(BOB, COPSE_NON, COPSE_CODE_PUT, 3, "t", "coap://d1/a");
	assert_int_equal(last(BOB)->type, COPSE_NON);
	assert_string_equal(last(BOB)->payload, BUSY);
	assert_int_equal(world_counters()->refused_lane, 2);
	assert_string_equal(fetch_it(BOB, "coap://d2/b")->payload, "node 4 b"); /* another device is free */
	assert_int_equal(to_devices, 2 + 0);
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100); /* not yet acknowledged by ALICE: the device is free all the same */
	device[DEVICE1].behaviour = ANSWER;
	assert_string_equal(fetch_it(BOB, "coap://d1/b")->payload, "node 3 b");
	acknowledge(ALICE);
	assert_int_equal(requests_used(), 0);
}

/* After a failure of any kind the device takes requests again. */
static void test_lane_after_failure(void **state)
{
	struct copse_peer peer = sim_peer(DEVICE1);

	(void)state;
	sim.node[DEVICE1].dead = true;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	copse_endpoint_unreachable(sim.node[GATEWAY].ep, &peer, sim.now);
	run_for(100);
	acknowledge(ALICE);
	get(ALICE, COPSE_CON, 2, "t", "coap://d1/b");
	run_for(1000000);
	assert_int_equal(world_counters()->device_timeouts, 1);
	sim.node[DEVICE1].dead = false;
	device[DEVICE1].behaviour = UNFIT;
	forget_seen();
	assert_int_equal(fetch_it(BOB, "coap://d1/c")->code, COPSE_CODE_BAD_GATEWAY);
	device[DEVICE1].behaviour = ANSWER;
	assert_int_equal(fetch_it(BOB, "coap://d1/d")->code, COPSE_CODE_CONTENT);
}

static void test_queue(void **state)
{
	(void)state;
	end_test(NULL);
	start("class \"other\" {\n queue = 8\n}\n");
	device[DEVICE2].behaviour = LATER;
	get(ALICE, COPSE_CON, 1, "t1", "coap://d2/a");
	run_for(100);
	get(BOB, COPSE_CON, 2, "t2", "coap://d2/b");
	assert_int_equal(last(BOB)->code, COPSE_CODE_EMPTY); /* accepted */
	get(ALICE, COPSE_CON, 3, "t3", "coap://d2/c");
	get(BOB, COPSE_CON, 4, "t4", "coap://d2/b"); /* joins the one that waits */
	assert_int_equal(world_counters()->joined, 1);
	get(BOB, COPSE_CON, 5, "t5", "coap://d2/d"); /* no place for a message is left: proxy.waiting */
	assert_string_equal(last(BOB)->payload, BUSY);
	assert_int_equal(to_devices, 1);
	forget_seen();
	device[DEVICE2].behaviour = ANSWER;
	device_answer(&sim.node[DEVICE2], device[DEVICE2].waiting, &device[DEVICE2].last);
	for (int i = 0; i < 5; i++) {
		run_for(100);
		acknowledge(ALICE);
		acknowledge(BOB);
	}
	assert_int_equal(client[ALICE].n, 2);
	assert_string_equal(client[ALICE].seen[0].payload, "node 4 a");
	assert_string_equal(client[ALICE].seen[1].payload, "node 4 c");
	assert_int_equal(client[BOB].n, 2);
	assert_string_equal(client[BOB].seen[0].payload, "node 4 b");
	assert_string_equal(client[BOB].seen[1].payload, "node 4 b");
	assert_int_equal(device[DEVICE2].runs, 3);
	assert_int_equal(world_counters()->queued, 2);
	assert_int_equal(requests_used(), 0);
}

/* Those that wait behind a device that is dead each have their time. */
static void test_queue_behind_dead(void **state)
{
	struct copse_peer peer = sim_peer(DEVICE2);

	(void)state;
	end_test(NULL);
	start("class \"other\" {\n queue = 8\n}\n");
	sim.node[DEVICE2].dead = true;
	get(ALICE, COPSE_CON, 1, "t1", "coap://d2/a");
	get(BOB, COPSE_CON, 2, "t2", "coap://d2/b");
	forget_seen();
	copse_endpoint_unreachable(sim.node[GATEWAY].ep, &peer, sim.now);
	run_for(1);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_GATEWAY);
	assert_int_equal(client[BOB].n, 0);
	sim.node[DEVICE2].dead = false;
	run_for(60000); /* the retransmission reaches it */
	assert_string_equal(last(BOB)->payload, "node 4 b");
	acknowledge(ALICE);
	acknowledge(BOB);
	assert_int_equal(requests_used(), 0);
}

static void test_concurrent(void **state)
{
	(void)state;
	end_test(NULL);
	start("class \"other\" {\n concurrent = 2\n}\n");
	device[DEVICE2].behaviour = SILENT;
	get(ALICE, COPSE_CON, 1, "t1", "coap://d2/a");
	get(ALICE, COPSE_CON, 2, "t2", "coap://d2/b");
	get(ALICE, COPSE_CON, 3, "t3", "coap://d2/c");
	assert_string_equal(last(ALICE)->payload, BUSY);
	run_for(100);
	assert_int_equal(device[DEVICE2].runs, 2); /* both at once, without waiting for NSTART */
}

static void test_class_timing(void **state)
{
	(void)state;
	end_test(NULL);
	start("class \"other\" {\n ack_timeout = 1\n max_retransmit = 1\n}\n");
	sim.node[DEVICE1].dead = sim.node[DEVICE2].dead = true;
	get(ALICE, COPSE_CON, 1, "t1", "coap://d2/a");
	get(BOB, COPSE_CON, 2, "t2", "coap://d1/a");
	run_for(5000);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_int_equal(last(BOB)->code, COPSE_CODE_EMPTY);
}

/* Everything at once, on bad links, with changes in between: each client gets its own answers, and no answer that is older
 * than a change that it knows of. */
static void test_lossy(void **state)
{
	char text[20];
	unsigned version = 0;

	(void)state;
	end_test(NULL);
	start("class \"other\" {\n queue = 4\n ack_timeout = 0.5\n}\n");
	sim.link = (struct sim_link){.delay_ms = 20, .loss = 0.15, .duplicate = 0.1, .reorder = 0.2};
	device[DEVICE2].etag = "";
	device[DEVICE2].max_age = 30;
	device[DEVICE2].text = text;
	for (unsigned round = 0; round < 60; round++) {
		snprintf(text, sizeof(text), "v%u", version);
		forget_seen();
		get(ALICE, COPSE_CON, next_id++, "ta", "coap://d2/v");
		get(BOB, COPSE_CON, next_id++, "tb", "coap://d2/v");
		for (int i = 0; i < 400 && (client[ALICE].n == 0 || client[BOB].n == 0 ||
					    last(ALICE)->code == 0 || last(BOB)->code == 0);
		     i++)
			run_for(500);
		assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
		assert_string_equal(last(ALICE)->payload, text);
		assert_memory_equal(last(ALICE)->token, "ta", 2);
		assert_string_equal(last(BOB)->payload, text);
		assert_memory_equal(last(BOB)->token, "tb", 2);
		acknowledge(ALICE);
		acknowledge(BOB);
		run_for(1000);
		if (round % 3 != 2)
			continue;
		version++; /* changed by a PUT, whose answer says so */
		device[DEVICE2].code = COPSE_CODE_CHANGED;
		forget_seen();
		ask(ALICE, COPSE_CON, COPSE_CODE_PUT, next_id++, "tp", "coap://d2/v");
		for (int i = 0; i < 400 && (client[ALICE].n == 0 || last(ALICE)->code == 0); i++)
			run_for(500);
		assert_int_equal(last(ALICE)->code, COPSE_CODE_CHANGED);
		acknowledge(ALICE);
		device[DEVICE2].code = COPSE_CODE_CONTENT;
		run_for(1000);
	}
	run_for(400000);
	assert_int_equal(requests_used(), 0);
	assert_true(world_counters()->cache_hits > 10);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, end_test)
	const struct CMUnitTest tests[] = {
	    TEST(test_fresh),
	    TEST(test_default_max_age),
	    TEST(test_client_validates),
	    TEST(test_revalidates),
	    TEST(test_renewed_options),
	    TEST(test_what_is_stored),
	    TEST(test_fetch),
	    TEST(test_accept),
	    TEST(test_invalidation),
	    TEST(test_parts),
	    TEST(test_overtaken),
	    TEST(test_accounts),
	    TEST(test_off),
	    TEST(test_tight),
	    TEST(test_join),
	    TEST(test_join_fails),
	    TEST(test_join_validation),
	    TEST(test_join_no_response),
	    TEST(test_serialized),
	    TEST(test_lane_after_failure),
	    TEST(test_queue),
	    TEST(test_queue_behind_dead),
	    TEST(test_concurrent),
	    TEST(test_class_timing),
	    TEST(test_lossy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
