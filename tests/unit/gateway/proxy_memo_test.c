/* Requests that were understood before, in the whole gateway: what may have changed since then is always seen.
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

static const char start_of_configuration[] = "name = \"gw\"\n"
					     "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
					     "proxy {\n outside = {\"127.0.0.0/8\"}\n}\n";
static const char devices[] = "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
			      "device \"d2\" {\n address = \"127.0.0.4\"\n class = other\n}\n";

static char text[4000];

static const char *configuration(const char *more, const char *which)
{
	snprintf(text, sizeof(text), "%s%s%s", start_of_configuration, more, which);
	return text;
}

static void start(const char *more)
{
	start_world(configuration(more, devices), (struct sim_link){.delay_ms = 10});
	open_session(ALICE, "a");
	open_session(BOB, "b");
}

static void adopt(const char *more, const char *which)
{
	struct gw_config *next = read_config(configuration(more, which));

	gw_worker_adopt(worker, next, sim.now);
	gw_config_free(config);
	config = next;
}

static uint16_t next_id = 1;

static const struct seen *get_it(unsigned number, const char *uri)
{
	client[number].n = 0;
	ask(number, COPSE_CON, COPSE_CODE_GET, next_id++, "tok", uri);
	run_for(100);
	acknowledge(number);
	return last(number);
}

/* What comes for the second time is known from then on. */
static const struct seen *learn(unsigned number, const char *uri)
{
	get_it(number, uri);
	return get_it(number, uri);
}

/* What comes out of the memory is what comes the long way, to the device and back. */
static void test_same(void **state)
{
	uint8_t first[64];
	size_t len;

	(void)state;
	start("class \"default\" {\n cache = off\n}\n");
	assert_string_equal(learn(ALICE, "coap://d1/a/b?c=d")->payload, "node 3 a");
	assert_int_equal(world_counters()->recalled, 0);
	const struct copse_message *m = &device[DEVICE1].last;
	len = m->len - m->token_off - m->token_len;
	assert_in_range(len, 1, sizeof(first));
	memcpy(first, m->bytes + m->token_off + m->token_len, len);
	assert_string_equal(get_it(ALICE, "coap://d1/a/b?c=d")->payload, "node 3 a");
	assert_int_equal(world_counters()->recalled, 1);
	assert_int_equal(m->len - m->token_off - m->token_len, len);
	assert_memory_equal(m->bytes + m->token_off + m->token_len, first, len);
	assert_int_equal(device[DEVICE1].runs, 3);
	assert_int_equal(requests_used(), 0);
	end_world();
}

static void test_cached(void **state)
{
	(void)state;
	start("");
	device[DEVICE1].max_age = 10;
	device[DEVICE1].etag = "et";
	learn(ALICE, "coap://d1/a");
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(get_it(BOB, "coap://d1/a")->payload, "node 3 a");
	assert_int_equal(world_counters()->recalled, 3); /* clients with the same rights share it */
	assert_int_equal(world_counters()->cache_hits, 4);
	assert_int_equal(device[DEVICE1].runs, 1);
	run_for(10000);
	assert_string_equal(get_it(BOB, "coap://d1/a")->payload, "node 3 a"); /* validated: the long way */
	assert_int_equal(world_counters()->cache_validated, 1);
	assert_int_equal(world_counters()->recalled, 3);
	get_it(BOB, "coap://d1/a");
	assert_int_equal(world_counters()->recalled, 4);
	/* the same URI with the ETag of what is stored is another request */
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "e");
	add(COPSE_OPTION_ETAG, "et");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	send_it(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_VALID);
	assert_int_equal(world_counters()->recalled, 4);
	/* and nobody gets what has become stale by a change */
	device[DEVICE1].text = "changed";
	ask(ALICE, COPSE_CON, COPSE_CODE_PUT, next_id++, "p", "coap://d1/a");
	run_for(100);
	device[DEVICE1].etag = "e2";
	assert_string_equal(get_it(BOB, "coap://d1/a")->payload, "changed");
	end_world();
}

static void test_reload(void **state)
{
	(void)state;
	start("");
	learn(ALICE, "coap://d1/a");
	get_it(ALICE, "coap://d1/a");
	assert_int_equal(world_counters()->recalled, 1);
	adopt("", "device \"d1\" {\n address = \"127.0.0.4\"\n}\n"); /* the name means another device now */
	assert_string_equal(get_it(ALICE, "coap://d1/a")->payload, "node 4 a");
	assert_string_equal(get_it(ALICE, "coap://d1/b")->payload, "node 4 b");
	assert_int_equal(world_counters()->recalled, 1);
	adopt("", "device \"d1\" {\n address = \"127.0.0.4\"\n deny = true\n}\n");
	assert_int_equal(get_it(ALICE, "coap://d1/a")->code, COPSE_CODE_FORBIDDEN);
	adopt("", "");
	assert_int_equal(get_it(ALICE, "coap://d1/a")->code, COPSE_CODE_NOT_FOUND);
	adopt("access \"1\" {\n action = deny\n account = {\"a\"}\n}\n", devices);
	assert_int_equal(get_it(ALICE, "coap://d1/a")->code, COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(BOB, "coap://d1/a")->code, COPSE_CODE_CONTENT);
	/* a class whose answers are stored no longer: not even those that are */
	adopt("class \"default\" {\n cache = off\n}\n", devices);
	unsigned runs = device[DEVICE1].runs;
	get_it(BOB, "coap://d1/a");
	get_it(BOB, "coap://d1/a");
	assert_int_equal(device[DEVICE1].runs, runs + 2);
	end_world();
}

/* What one account may serves no other, in either order. */
static void test_accounts(void **state)
{
	(void)state;
	start("access \"1\" {\n action = deny\n account = {\"b\"}\n request = {\"* d1 /secret\"}\n}\n");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(get_it(ALICE, "coap://d1/secret")->code, COPSE_CODE_CONTENT);
		assert_int_equal(get_it(BOB, "coap://d1/secret")->code, COPSE_CODE_FORBIDDEN);
	}
	assert_int_equal(world_counters()->recalled, 1);
	open_session(ALICE, "b"); /* the same client, with a token of the other account */
	assert_int_equal(get_it(ALICE, "coap://d1/secret")->code, COPSE_CODE_FORBIDDEN);
	open_session(BOB, "a");
	assert_int_equal(get_it(BOB, "coap://d1/secret")->code, COPSE_CODE_CONTENT);
	end_world();
}

/* Answers that an account shares with nobody. */
static void test_own_answers(void **state)
{
	(void)state;
	start("class \"default\" {\n cache = account\n}\n");
	assert_string_equal(learn(ALICE, "coap://d1/a")->payload, "node 3 a");
	device[DEVICE1].text = "for b";
	assert_string_equal(learn(BOB, "coap://d1/a")->payload, "for b");
	assert_string_equal(get_it(ALICE, "coap://d1/a")->payload, "node 3 a");
	assert_string_equal(get_it(BOB, "coap://d1/a")->payload, "for b");
	assert_int_equal(world_counters()->recalled, 2);
	end_world();
}

static void open_with(unsigned number, const char *json)
{
	post_session(number, json, "security=none");
	assert_int_equal(last(number)->code, COPSE_CODE_CREATED);
	forget_seen();
}

/* Tokens bring rules; a record of rules that was given back is another's with the next token. */
static void test_grants(void **state)
{
	(void)state;
	start("sessions {\n grants = 1\n}\n");
	open_with(ALICE, "{\"sub\":\"a\",\"copse_allow\":[\"get d1 /a\"]}");
	learn(ALICE, "coap://d1/a");
	get_it(ALICE, "coap://d1/a");
	assert_int_equal(world_counters()->recalled, 1);
	learn(BOB, "coap://d1/a");
	assert_int_equal(get_it(BOB, "coap://d1/a")->code, COPSE_CODE_CONTENT);
	open_with(ALICE, "{\"sub\":\"a\"}");
	open_with(ALICE, "{\"sub\":\"a\",\"copse_allow\":[\"get d1 /b\"]}");
	assert_int_equal(get_it(ALICE, "coap://d1/a")->code, COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(BOB, "coap://d1/a")->code, COPSE_CODE_CONTENT);
	assert_int_equal(world_counters()->recalled, 3);
	end_world();
}

/* A request that is known obeys every bound that others obey. */
static void test_bounds(void **state)
{
	(void)state;
	start("sessions {\n requests = 1\n rate = 1\n burst = 5\n}\nclass \"other\" {\n concurrent = 1\n "
	      "cache = off\n}\n");
	get_it(ALICE, "coap://d2/a");
	learn(BOB, "coap://d2/a");
	device[DEVICE2].behaviour = SILENT;
	get(ALICE, COPSE_CON, next_id++, "x", "coap://d2/a");
	run_for(50);
	get(ALICE, COPSE_CON, next_id++, "y", "coap://d2/a"); /* two of this session */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(world_counters()->refused_busy, 1);
	get(BOB, COPSE_CON, next_id++, "z", "coap://d2/b"); /* two to this device */
	run_for(50);
	assert_int_equal(last(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(world_counters()->refused_lane, 1);
	for (unsigned i = 0; i < 4; i++)
		get(BOB, COPSE_NON, next_id++, "w", "coap://d2/b");
	run_for(50);
	assert_int_equal(last(BOB)->code, COPSE_CODE_TOO_MANY_REQUESTS);
	end_world();
}

/* As if an endpoint had registered, with this base. */
static void enrol(const char *base)
{
	struct copse_text parameter[] = {{"ep=node", 7}, {"lt=100", 6}, {base, strlen(base)}};
	struct copse_address from;
	struct gw_enrolment e = {.parameter = parameter, .parameter_n = 3, .links = "", .from = &from};
	struct gw_directory *dir = gw_rd_directory(worker->rd);
	const char *why = NULL;
	uint64_t id;

	assert_int_equal(copse_address_parse("127.0.0.2:5683", 0, &from), 0);
	assert_int_equal(gw_directory_register(dir, &e, sim.now, &id, &why), GW_DIRECTORY_OK);
}

static void test_directory(void **state)
{
	(void)state;
	start("directory {\n registrations = 4\n open = true\n}\n");
	assert_int_equal(get_it(BOB, "coap://node/a")->code, COPSE_CODE_NOT_FOUND);
	enrol("base=coap://127.0.0.3");
	assert_string_equal(learn(BOB, "coap://node/a")->payload, "node 3 a");
	assert_string_equal(get_it(BOB, "coap://node/a")->payload, "node 3 a");
	assert_int_equal(world_counters()->recalled, 1);
	enrol("base=coap://127.0.0.4"); /* it has moved */
	assert_string_equal(get_it(BOB, "coap://node/a")->payload, "node 4 a");
	assert_string_equal(get_it(BOB, "coap://node/a")->payload, "node 4 a");
	assert_int_equal(world_counters()->recalled, 2);
	run_for(110000); /* it has gone */
	open_session(BOB, "b");
	assert_int_equal(get_it(BOB, "coap://node/a")->code, COPSE_CODE_NOT_FOUND);
	end_world();
}

/* What may mean the gateway itself, or needs more than bytes to be understood, is not kept. */
static void test_not_kept(void **state)
{
	(void)state;
	start("");
	learn(ALICE, "coap://127.0.0.3/a");
	get_it(ALICE, "coap://127.0.0.3/a");
	for (unsigned i = 0; i < 3; i++) {
		begin(COPSE_NON, COPSE_CODE_GET, next_id++, "n");
		add(COPSE_OPTION_PROXY_URI, "coap://d1/n");
		add(COPSE_OPTION_NO_RESPONSE, "\x02");
		send_it(ALICE);
		run_for(100);
	}
	for (unsigned i = 0; i < 3; i++) {
		begin(COPSE_CON, COPSE_CODE_FETCH, next_id++, "f");
		add(COPSE_OPTION_PROXY_URI, "coap://d1/f");
		send_it(ALICE);
		run_for(100);
	}
	assert_int_equal(world_counters()->recalled, 0);
	assert_int_equal(world_counters()->answers_unwanted, 3);
	end_world();
}

/* --- without the endpoint --- */

static uint8_t reply[70000];

/* The request that is being built, as the gateway's host shows it; what came back is taken apart. */
static size_t at_once(unsigned number, struct copse_message *m)
{
	const struct copse_peer from = sim_peer((uint8_t)number);
	int n = copse_build_finish(&request);

	assert_true(n > 0);
	size_t len = gw_worker_at_once(worker, &from, request.buf, (size_t)n, reply, sizeof(reply), sim.now);
	if (len)
		assert_int_equal(copse_message_parse(m, reply, len), 0);
	return len;
}

static void ask_d1(enum copse_type type, uint8_t code, const char *token)
{
	begin(type, code, next_id++, token);
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
}

static void test_at_once(void **state)
{
	struct copse_message m;

	(void)state;
	start("sessions {\n rate = 1\n burst = 8\n}\n");
	device[DEVICE1].max_age = 10;
	ask_d1(COPSE_CON, COPSE_CODE_GET, "tok");
	assert_int_equal(at_once(ALICE, &m), 0); /* not known */
	learn(ALICE, "coap://d1/a");
	run_for(3000);
	ask_d1(COPSE_CON, COPSE_CODE_GET, "toktok");
	assert_true(at_once(ALICE, &m) > 0);
	assert_int_equal(m.type, COPSE_ACK);
	assert_int_equal(m.code, COPSE_CODE_CONTENT);
	assert_int_equal(m.id, next_id - 1);
	assert_int_equal(m.token_len, 6);
	assert_memory_equal(copse_message_token(&m), "toktok", 6);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_MAX_AGE, 60), 6);
	assert_memory_equal(copse_message_payload(&m), "node 3 a", 8);
	ask_d1(COPSE_NON, COPSE_CODE_GET, "");
	assert_true(at_once(BOB, &m) > 0);
	assert_int_equal(m.type, COPSE_NON);
	assert_int_equal(m.token_len, 0);
	uint16_t id = m.id;
	assert_true(at_once(BOB, &m) > 0);
	assert_int_not_equal(m.id, id);
	assert_int_equal(world_counters()->answered_at_once, 3);
	assert_int_equal(world_counters()->cache_hits, 1 + 3);
	assert_int_equal(device[DEVICE1].runs, 1);
	for (unsigned i = 0; i < 6; i++)
		assert_true(at_once(BOB, &m) > 0);
	assert_int_equal(at_once(BOB, &m), 0); /* the account's rate: refused the long way */
	run_for(7000);
	assert_int_equal(at_once(BOB, &m), 0); /* stale */
	end_world();
}

/* What is no GET of a client with a session, alone and in the clear, is the endpoint's. */
static void test_not_at_once(void **state)
{
	struct copse_message m;
	struct copse_peer from = sim_peer(ALICE);

	(void)state;
	start("");
	learn(ALICE, "coap://d1/a");
	ask_d1(COPSE_CON, COPSE_CODE_PUT, "t");
	assert_int_equal(at_once(ALICE, &m), 0);
	ask_d1(COPSE_ACK, COPSE_CODE_GET, "t");
	assert_int_equal(at_once(ALICE, &m), 0);
	ask_d1(COPSE_RST, COPSE_CODE_GET, "t");
	assert_int_equal(at_once(ALICE, &m), 0);
	ask_d1(COPSE_CON, COPSE_CODE_GET, "t");
	assert_int_equal(at_once(DEVICE1, &m), 0); /* no session */
	assert_true(at_once(ALICE, &m) > 0);
	size_t len = (size_t)copse_build_finish(&request);
	uint8_t bytes[200];
	memcpy(bytes, request.buf, len);
	from.flags = COPSE_PEER_MULTICAST;
	assert_int_equal(gw_worker_at_once(worker, &from, bytes, len, reply, sizeof(reply), sim.now), 0);
	from.flags = 0;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(gw_worker_at_once(worker, &from, bytes, cut, reply, sizeof(reply), sim.now),
				 0);
	for (unsigned i = 0; i < 8 * len; i++) { /* any bit but those of the message ID and the token */
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		size_t n = gw_worker_at_once(worker, &from, bytes, len, reply, sizeof(reply), sim.now);
		if (i / 8 >= 2 && i / 8 < 5)
			assert_true(n > 0);
		else if (i != 4) /* CON to NON */
			assert_int_equal(n, 0);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	bytes[len] = 0xff; /* a payload */
	bytes[len + 1] = 'x';
	assert_int_equal(gw_worker_at_once(worker, &from, bytes, len + 2, reply, sizeof(reply), sim.now), 0);
	end_world();
}

/* --- what was seen of a datagram before the endpoint --- */

/* The request that is being built, on its way through the endpoint. */
static void take(unsigned number)
{
	const struct copse_peer from = sim_peer((uint8_t)number);
	struct copse_endpoint *ep = sim.node[GATEWAY].ep;
	const int n = copse_build_finish(&request);
	struct copse_event event;

	assert_true(n > 0);
	copse_endpoint_receive(ep, &from, request.buf, (size_t)n, sim.now);
	while (copse_endpoint_next_event(ep, &event))
		gw_worker_event(worker, &event, sim.now);
	run_for(100);
	acknowledge(number);
}

static void expect(unsigned number, uint8_t code, const char *payload)
{
	assert_int_equal(last(number)->code, code);
	assert_string_equal(last(number)->payload, payload);
	forget_seen();
}

/* It is used once, and leads to the same answers, whether the request is known or not. */
static void test_glance(void **state)
{
	struct copse_message m;

	(void)state;
	start("class \"default\" {\n cache = off\n}\n");
	for (unsigned i = 0; i < 4; i++) {
		ask_d1(COPSE_CON, COPSE_CODE_GET, "tok");
		assert_int_equal(at_once(ALICE, &m), 0);
		assert_ptr_equal(worker->glance.bytes, request.buf);
		assert_ptr_equal(worker->glance.session,
				 gw_sessions_any(worker->sessions, &worker->glance.peer));
		assert_int_equal(worker->glance.known != NULL, i >= 2);
		take(ALICE);
		assert_null(worker->glance.bytes);
		expect(ALICE, COPSE_CODE_CONTENT, "node 3 a");
	}
	assert_int_equal(world_counters()->recalled, 2);
	assert_int_equal(device[DEVICE1].runs, 4);
	end_world();
}

/* It is of that datagram alone, though others are read into the same memory, which is looked at even if nothing can be
 * answered; and what has changed meanwhile is seen. */
static void test_glance_ends(void **state)
{
	const struct copse_peer alice = sim_peer(ALICE);
	struct copse_message m;

	(void)state;
	start("class \"default\" {\n cache = off\n}\n");
	learn(ALICE, "coap://d1/a");
	ask_d1(COPSE_CON, COPSE_CODE_GET, "tok");
	assert_int_equal(at_once(ALICE, &m), 0);
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "tok"); /* of the same length */
	add(COPSE_OPTION_PROXY_URI, "coap://d2/a");
	assert_int_equal(gw_worker_at_once(worker, &alice, request.buf, (size_t)copse_build_finish(&request),
					   NULL, 0, sim.now),
			 0);
	take(ALICE);
	expect(ALICE, COPSE_CODE_CONTENT, "node 4 a");
	ask_d1(COPSE_CON, COPSE_CODE_GET, "tok");
	assert_int_equal(at_once(ALICE, &m), 0);
	take(DEVICE2); /* the same bytes at the same place, of somebody without a session */
	assert_int_equal(device[DEVICE1].runs, 2);
	ask_d1(COPSE_CON, COPSE_CODE_GET, "tok");
	assert_int_equal(at_once(ALICE, &m), 0);
	gw_worker_gone(worker, &alice, sim.now);
	forget_seen();
	take(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	open_session(ALICE, "a");
	ask_d1(COPSE_CON, COPSE_CODE_GET, "tok");
	assert_int_equal(at_once(ALICE, &m), 0);
	adopt("class \"default\" {\n cache = off\n}\n", "device \"d1\" {\n address = \"127.0.0.4\"\n}\n");
	take(ALICE);
	expect(ALICE, COPSE_CODE_CONTENT, "node 4 a");
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same),        cmocka_unit_test(test_cached),
	    cmocka_unit_test(test_reload),      cmocka_unit_test(test_accounts),
	    cmocka_unit_test(test_own_answers), cmocka_unit_test(test_grants),
	    cmocka_unit_test(test_bounds),      cmocka_unit_test(test_directory),
	    cmocka_unit_test(test_not_kept),    cmocka_unit_test(test_at_once),
	    cmocka_unit_test(test_not_at_once), cmocka_unit_test(test_glance),
	    cmocka_unit_test(test_glance_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
