/* The whole gateway in virtual time: sessions, forwarding, answers, refusals, bounds.
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

static int set_up(void **state)
{
	(void)state;
	start_world(world_default, (struct sim_link){.delay_ms = 10});
	return 0;
}

/* --- the tests --- */

static void test_without_session(void **state)
{
	(void)state;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	assert_int_equal(client[ALICE].n, 1);
	assert_int_equal(last(ALICE)->type, COPSE_ACK); /* refused at once, in the acknowledgement */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	run_for(1000);
	assert_int_equal(to_devices, 0);
	get(ALICE, COPSE_NON, 2, "t", "coap://d1/a");
	assert_int_equal(last(ALICE)->type, COPSE_NON);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	get(ALICE, COPSE_CON, 3, "t", "http://d1/a"); /* nothing is said about what it could have been */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(gw_worker_counters(worker)->refused_anonymous, 3);
	open_session(ALICE, "a");
	get(BOB, COPSE_CON, 4, "t", "coap://d1/a"); /* another address is another client */
	assert_int_equal(last(BOB)->code, COPSE_CODE_UNAUTHORIZED);
}

/* The empty acknowledgement at once, the answer later, confirmable, and repeated until it is acknowledged. */
static void test_con(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	get(ALICE, COPSE_CON, 0x1234, "tok", "coap://d1/a");
	assert_int_equal(client[ALICE].n, 1);
	assert_int_equal(last(ALICE)->type, COPSE_ACK);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_EMPTY);
	assert_int_equal(last(ALICE)->id, 0x1234);
	run_for(100);
	assert_int_equal(client[ALICE].n, 2);
	assert_int_equal(last(ALICE)->type, COPSE_CON);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(last(ALICE)->token_len, 3);
	assert_memory_equal(last(ALICE)->token, "tok", 3);
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_int_equal(last(ALICE)->max_age, 7);
	uint16_t id = last(ALICE)->id;
	run_for(3100); /* RFC 7252's time-out is 2 to 3 seconds */
	assert_int_equal(client[ALICE].n, 3);
	assert_int_equal(last(ALICE)->id, id);
	assert_int_equal(requests_used(), 1);
	acknowledge(ALICE);
	assert_int_equal(requests_used(), 0);
	run_for(100000);
	assert_int_equal(client[ALICE].n, 3);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(gw_worker_counters(worker)->answers_delivered, 1);
	assert_int_equal(device[DEVICE1].last.type, COPSE_CON);
	assert_null(copse_message_option(&device[DEVICE1].last, COPSE_OPTION_URI_HOST));
	assert_int_equal(copse_message_uint(&device[DEVICE1].last, COPSE_OPTION_HOP_LIMIT, 0), 16);
}

static void test_non(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	get(ALICE, COPSE_NON, 9, "tok", "coap://d2/b");
	assert_int_equal(client[ALICE].n, 0);
	run_for(100);
	assert_int_equal(client[ALICE].n, 1);
	assert_int_equal(last(ALICE)->type, COPSE_NON);
	assert_string_equal(last(ALICE)->payload, "node 4 b");
	assert_int_equal(device[DEVICE2].last.type, COPSE_NON);
	assert_true(copse_option_is(&device[DEVICE2].last,
				    copse_message_option(&device[DEVICE2].last, COPSE_OPTION_URI_HOST),
				    "second", 6));
	assert_int_equal(requests_used(), 0);
}

/* The same datagram again: the same answers, and the device is not asked twice. */
static void test_duplicates(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	for (int i = 0; i < 3; i++)
		get(ALICE, COPSE_CON, 1, "tok", "coap://d1/a");
	assert_int_equal(client[ALICE].n, 3); /* each is acknowledged */
	run_for(100);
	acknowledge(ALICE);
	unsigned n = client[ALICE].n;
	get(ALICE, COPSE_CON, 1, "tok", "coap://d1/a"); /* after the answer, too */
	assert_int_equal(client[ALICE].n, n + 1);
	assert_int_equal(last(ALICE)->type, COPSE_ACK);
	run_for(10000);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(gw_worker_counters(worker)->forwarded, 1);
}

/* Two clients in flight to two devices, with equal tokens and IDs. */
static void test_equal_tokens(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	open_session(BOB, "b");
	get(ALICE, COPSE_CON, 7, "same", "coap://d1/x");
	get(BOB, COPSE_CON, 7, "same", "coap://d2/y");
	get(ALICE, COPSE_CON, 8, "same2", "coap://d2/z");
	run_for(100);
	acknowledge(ALICE); /* NSTART: one confirmable answer at a time */
	run_for(100);
	acknowledge(ALICE);
	acknowledge(BOB);
	assert_int_equal(client[BOB].n, 2);
	assert_string_equal(last(BOB)->payload, "node 4 y");
	assert_memory_equal(last(BOB)->token, "same", 4);
	assert_int_equal(client[ALICE].n, 4);
	for (unsigned i = 2; i < 4; i++) {
		const struct seen *s = &client[ALICE].seen[i];
		assert_string_equal(s->payload, s->token_len == 4 ? "node 3 x" : "node 4 z");
	}
	assert_int_equal(requests_used(), 0);
}

/* RFC 7252's retransmissions with a base of 20 s: the first try and four more, then 5.04. */
static void test_dead_device(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	sim.node[DEVICE1].dead = true;
	copse_ms begun = sim.now;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(19900);
	assert_int_equal(to_devices, 1);
	run_for(600000 - 19900);
	assert_int_equal(to_devices, 5);
	assert_int_equal(client[ALICE].n, 1); /* the acknowledgement */
	run_for(400000);
	assert_int_equal(to_devices, 5);
	assert_int_equal(client[ALICE].seen[1].code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_int_equal(client[ALICE].seen[1].type, COPSE_CON);
	copse_ms took = client[ALICE].seen[1].at - begun;
	assert_true(took >= 31 * 20000 && took <= 31 * 30000); /* MAX_TRANSMIT_WAIT */
	assert_int_equal(gw_worker_counters(worker)->device_timeouts, 1);
	assert_int_equal(gw_worker_counters(worker)->device_repeats, 4);
}

/* A dead device holds up nobody else's. */
static void test_dead_device_alone(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	open_session(BOB, "b");
	sim.node[DEVICE1].dead = true;
	for (uint16_t i = 0; i < 3; i++)
		get(ALICE, COPSE_CON, i, "t", "coap://d1/a");
	get(BOB, COPSE_CON, 1, "t", "coap://d2/b");
	run_for(100);
	assert_string_equal(last(BOB)->payload, "node 4 b");
	get(ALICE, COPSE_CON, 9, "u", "coap://d2/c"); /* but for the bound of its own session */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(last(ALICE)->max_age, 1);
	assert_int_equal(gw_worker_counters(worker)->refused_busy, 1);
}

/* The device acknowledges first and answers long after; the client has been forgotten by no one. */
static void test_late_answer(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(55000);
	assert_int_equal(to_devices, 1);
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100);
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_int_equal(to_devices, 2); /* the gateway acknowledged it */
	acknowledge(ALICE);
	assert_int_equal(requests_used(), 0);
}

/* The device acknowledges and never answers. */
static void test_no_answer(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	device[DEVICE1].behaviour = SILENT;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(59000);
	assert_int_equal(client[ALICE].n, 1);
	run_for(2000);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	get(ALICE, COPSE_NON, 2, "u", "coap://d1/a"); /* not confirmable: the same */
	acknowledge(ALICE);
	run_for(61000);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_int_equal(last(ALICE)->type, COPSE_NON);
}

static void test_unreachable(void **state)
{
	struct copse_peer peer = sim_peer(DEVICE1);

	(void)state;
	open_session(ALICE, "a");
	sim.node[DEVICE1].dead = true;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	copse_endpoint_unreachable(sim.node[GATEWAY].ep, &peer, sim.now); /* as after an ICMP message */
	run_for(1);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_GATEWAY);
	assert_string_equal(last(ALICE)->payload, "the device cannot be reached");
	assert_int_equal(gw_worker_counters(worker)->device_unreachable, 1);
}

/* The device rejects the request with a Reset. */
static void test_rejected(void **state)
{
	const uint8_t *sent;

	(void)state;
	open_session(ALICE, "a");
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_NON, 1, "t", "coap://d1/a");
	(void)sent;
	get(ALICE, COPSE_CON, 2, "u", "coap://d1/b");
	sim.node[DEVICE1].dead = true;
	run_for(1);
	/* node 3 never sees it: answer in its place, with the ID that the gateway would have used; tried for all */
	struct copse_peer from = sim_peer(DEVICE1);
	for (unsigned id = 0; id < 65536 && last(ALICE)->code == 0; id++) {
		const uint8_t rst[4] = {0x70, 0, (uint8_t)(id >> 8), (uint8_t)id};
		sim_inject(&sim.node[GATEWAY], &from, rst, 4);
	}
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_GATEWAY);
	assert_string_equal(last(ALICE)->payload, "the device rejected the message");
}

static void test_unfit_answers(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	device[DEVICE1].behaviour = UNFIT;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_GATEWAY);
	acknowledge(ALICE);
	device[DEVICE1].behaviour = LARGE;
	get(ALICE, COPSE_CON, 2, "t", "coap://d1/a");
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_GATEWAY);
	assert_int_equal(gw_worker_counters(worker)->device_unfit, 2);
}

static const struct {
	uint8_t code;
	const char *uri;
	uint8_t expected;
} refusals[] = {
    {COPSE_CODE_GET, "coap://nobody/", COPSE_CODE_NOT_FOUND},
    {COPSE_CODE_GET, "coap://d1:9/", COPSE_CODE_NOT_FOUND},
    {COPSE_CODE_GET, "coap://denied/", COPSE_CODE_FORBIDDEN},
    {COPSE_CODE_GET, "coap://127.0.0.3/", COPSE_CODE_FORBIDDEN},
    {COPSE_CODE_GET, "coap://[::1]/", COPSE_CODE_FORBIDDEN},
    {COPSE_CODE_GET, "coaps://d1/", COPSE_CODE_PROXYING_NOT_SUPPORTED},
    {COPSE_CODE_GET, "http://d1/", COPSE_CODE_PROXYING_NOT_SUPPORTED},
    {COPSE_CODE_GET, "coap://", COPSE_CODE_BAD_REQUEST},
    {30, "coap://d1/", COPSE_CODE_METHOD_NOT_ALLOWED},
};

static void test_refusals(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		begin(COPSE_CON, refusals[i].code, (uint16_t)i, "t");
		add(COPSE_OPTION_PROXY_URI, refusals[i].uri);
		send_it(ALICE);
		assert_int_equal(client[ALICE].n, i + 1);
		assert_int_equal(last(ALICE)->type, COPSE_ACK);
		assert_int_equal(last(ALICE)->code, refusals[i].expected);
		size_t len = strlen(last(ALICE)->payload);
		assert_true(len > 3 && len < 80); /* a short text */
	}
	run_for(1000);
	assert_int_equal(to_devices, 0);
	assert_int_equal(requests_used(), 0);
}

static void test_outside(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	get(ALICE, COPSE_CON, 1, "t", "coap://127.9.0.3:5683/o"); /* the test's mesh takes the last byte */
	run_for(100);
	assert_string_equal(last(ALICE)->payload, "node 3 o");
}

static void test_hop_limit(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	begin(COPSE_CON, COPSE_CODE_GET, 1, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_HOP_LIMIT, 1);
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_HOP_LIMIT_REACHED);
	assert_string_equal(last(ALICE)->payload, "gw"); /* RFC 8768 §4 */
	begin(COPSE_CON, COPSE_CODE_GET, 2, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_HOP_LIMIT, 2);
	send_it(ALICE);
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(copse_message_uint(&device[DEVICE1].last, COPSE_OPTION_HOP_LIMIT, 0), 1);
}

static void test_option_classes(void **state)
{
	static const uint16_t unsafe[] = {65002, 65003, COPSE_OPTION_Q_BLOCK1};

	(void)state;
	open_session(ALICE, "a");
	for (uint16_t i = 0; i < 3; i++) {
		for (int type = COPSE_CON; type <= COPSE_NON; type++) {
			begin((enum copse_type)type, COPSE_CODE_GET, (uint16_t)(10 * i + type), "t");
			add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
			add(unsafe[i], "\x01");
			send_it(ALICE);
			assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_OPTION);
		}
	}
	begin(COPSE_CON, COPSE_CODE_GET, 99, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	add(65000, "elective");
	add(65001, "critical");
	send_it(ALICE);
	run_for(100);
	/* the device does not know the critical one and says so: end to end, not the proxy's business */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_OPTION);
	assert_int_equal(device[DEVICE1].runs, 0);
	assert_int_equal(gw_worker_counters(worker)->forwarded, 1);
}

static void test_too_large(void **state)
{
	static const uint8_t body[65000];

	(void)state;
	open_session(ALICE, "a");
	begin(COPSE_CON, COPSE_CODE_PUT, 1, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_payload(&request, body, sizeof(body));
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE);
	assert_int_equal(requests_used(), 0);
}

static void test_no_response(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	begin(COPSE_NON, COPSE_CODE_GET, 1, "t");
	add(COPSE_OPTION_PROXY_URI, "coap://d1/a");
	copse_build_uint(&request, COPSE_OPTION_NO_RESPONSE, 2);
	send_it(ALICE);
	run_for(100);
	assert_int_equal(client[ALICE].n, 0);
	assert_int_equal(device[DEVICE1].runs, 1);
	assert_int_equal(requests_used(), 0);
	begin(COPSE_NON, COPSE_CODE_GET, 2, "t"); /* refusals too, if they are of an unwanted class */
	add(COPSE_OPTION_PROXY_URI, "coap://nobody/a");
	copse_build_uint(&request, COPSE_OPTION_NO_RESPONSE, 2);
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_FOUND);
	assert_int_equal(gw_worker_counters(worker)->answers_unwanted, 1);
}

/* A client that never acknowledges: its requests count against it until the gateway gives up. */
static void test_mute_client(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	open_session(BOB, "b");
	for (uint16_t i = 0; i < 3; i++)
		get(ALICE, COPSE_CON, i, "t", "coap://d1/a");
	run_for(1000);
	assert_int_equal(requests_used(), 3);
	get(ALICE, COPSE_CON, 9, "t", "coap://d1/a");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	get(BOB, COPSE_CON, 9, "t", "coap://d1/b");
	run_for(100);
	assert_string_equal(last(BOB)->payload, "node 3 b");
	acknowledge(BOB);
	run_for(300000);
	assert_int_equal(requests_used(), 0);
	assert_int_equal(gw_worker_counters(worker)->answers_undelivered, 3);
}

/* It is about to end: what is under way is answered, what comes is refused, and what needs no device is not. */
static void test_ending(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	open_session(BOB, "b");
	device[DEVICE1].behaviour = LATER;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	run_for(1000);
	gw_worker_end(worker, sim.now);
	get(BOB, COPSE_CON, 2, "v", "coap://d2/b");
	assert_int_equal(last(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(last(BOB)->type, COPSE_ACK);
	assert_int_equal(last(BOB)->max_age, 5);
	assert_int_equal(world_counters()->refused_ending, 1);
	begin(COPSE_CON, COPSE_CODE_GET, 3, "w");
	add(COPSE_OPTION_URI_PATH, "metrics");
	send_it(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_CONTENT);
	assert_false(gw_worker_has_ended(worker));
	device_answer(&sim.node[DEVICE1], device[DEVICE1].waiting, &device[DEVICE1].last);
	run_for(100);
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_false(gw_worker_has_ended(worker)); /* the answer may have to be repeated */
	acknowledge(ALICE);
	assert_true(gw_worker_has_ended(worker));
	assert_int_equal(world_counters()->refused_ending, 1);
}

/* The same, and the devices are slower than there is time for. */
static void test_ending_unanswered(void **state)
{
	unsigned asked;

	(void)state;
	open_session(ALICE, "a");
	open_session(BOB, "b");
	device[DEVICE1].behaviour = SILENT;
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	get(ALICE, COPSE_NON, 2, "u", "coap://d1/a");
	get(BOB, COPSE_CON, 1, "v", "coap://d2/b");
	run_for(100);
	assert_string_equal(last(BOB)->payload, "node 4 b"); /* and is not acknowledged */
	gw_worker_end(worker, sim.now);
	run_for(config->drain_ms - 1);
	assert_false(gw_worker_has_ended(worker));
	run_for(1);
	assert_true(gw_worker_has_ended(worker));
	assert_true(gw_worker_deadline(worker) > sim.now); /* once */
	forget_seen();
	asked = to_devices;
	gw_worker_close(worker, sim.now);
	run_for(10);
	assert_int_equal(client[ALICE].n, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(client[ALICE].seen[i].code, COPSE_CODE_SERVICE_UNAVAILABLE);
		assert_int_equal(client[ALICE].seen[i].max_age, 5);
		assert_string_equal(client[ALICE].seen[i].payload,
				    "the gateway ended before the device answered");
	}
	assert_int_equal(client[BOB].n, 0); /* it has had its answer */
	assert_int_equal(to_devices, asked);
	assert_int_equal(world_counters()->refused_ending, 2);
}

/* The gateway itself, named by Proxy-Uri or not at all, is no proxy's business (RFC 7252 §5.7.2). */
static void test_for_itself(void **state)
{
	static const char *const uris[] = {"coap://gw/echo?x", "coap://GW:5683/echo",
					   "coap://127.0.0.200/echo",
					   "coap://[::ffff:127.0.0.200]:5683/echo"};

	(void)state;
	for (uint16_t i = 0; i < 4; i++) {
		begin(COPSE_CON, COPSE_CODE_POST, i, "t");
		add(COPSE_OPTION_PROXY_URI, uris[i]);
		copse_build_payload(&request, "hello", 5);
		send_it(ALICE); /* without a session */
		assert_int_equal(copse_code_class(last(ALICE)->code), 2);
		assert_string_equal(last(ALICE)->payload, "hello");
	}
	open_session(BOB, "b");
	begin(COPSE_CON, COPSE_CODE_GET, 50, "t");
	add(COPSE_OPTION_PROXY_SCHEME, "coap");
	add(COPSE_OPTION_URI_PATH, "help");
	send_it(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_CONTENT);
	get(ALICE, COPSE_CON, 51, "t", "coap://gw:9/echo"); /* another port is somebody else */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
}

static void test_local(void **state)
{
	(void)state;
	open_session(BOB, "b");
	begin(COPSE_CON, COPSE_CODE_GET, 1, "t");
	add(COPSE_OPTION_URI_PATH, ".well-known");
	add(COPSE_OPTION_URI_PATH, "core");
	send_it(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_CONTENT);
	assert_non_null(strstr(last(BOB)->payload, "</sessions>"));
	begin(COPSE_CON, COPSE_CODE_GET, 1, "t"); /* an address that may be forged gets an Echo instead */
	add(COPSE_OPTION_URI_PATH, ".well-known");
	add(COPSE_OPTION_URI_PATH, "core");
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	assert_string_equal(last(ALICE)->payload, "");
	begin(COPSE_CON, COPSE_CODE_GET, 2, "t");
	add(COPSE_OPTION_URI_PATH, "devices");
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	open_session(ALICE, "a");
	begin(COPSE_CON, COPSE_CODE_GET, 3, "t");
	add(COPSE_OPTION_URI_PATH, "devices");
	send_it(ALICE);
	assert_string_equal(last(ALICE)->payload,
			    "<coap://d1>;ep=\"d1\",<coap://d2>;ep=\"d2\",<coap://gone>;ep=\"gone\"");
	/* options that nobody understands: 4.02, and silence for NON (RFC 7252 §5.4.1) */
	static const uint16_t strange[] = {65001, COPSE_OPTION_OSCORE, COPSE_OPTION_PROXY_CRI};
	for (uint16_t i = 0; i < 3; i++) {
		begin(COPSE_CON, COPSE_CODE_GET, (uint16_t)(20 + i), "t");
		add(COPSE_OPTION_URI_PATH, "help");
		add(strange[i], "\x01");
		send_it(ALICE);
		assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_OPTION);
	}
	unsigned n = client[ALICE].n;
	begin(COPSE_NON, COPSE_CODE_GET, 30, "t");
	add(COPSE_OPTION_URI_PATH, "help");
	add(65001, "x");
	send_it(ALICE);
	assert_int_equal(client[ALICE].n, n);
}

static void test_sessions(void **state)
{
	(void)state;
	post_session(ALICE, "{\"sub\":\"a\"}", NULL); /* secure is the default, and is not there yet */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_IMPLEMENTED);
	assert_non_null(strstr(last(ALICE)->payload, "security=none"));
	post_session(ALICE, "{\"sub\":\"a\"}", "security=secure");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_IMPLEMENTED);
	post_session(ALICE, "{\"sub\":\"a\"}", "security=maybe");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_BAD_REQUEST);
	post_session(ALICE, "{\"sub\":\"a\",\"exp\":5}", "security=none");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	char expired[160];
	memcpy(expired, last(ALICE)->payload, sizeof(expired));
	post_session(ALICE, "{\"nobody\":\"a\"}", "security=none");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	assert_string_equal(last(ALICE)->payload, expired); /* the answer says nothing about the reason */
	begin(COPSE_CON, COPSE_CODE_POST, 1, "s");
	add(COPSE_OPTION_URI_PATH, "sessions");
	copse_build_payload(&request, "no token", 8);
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	begin(COPSE_CON, COPSE_CODE_POST, 2, "s"); /* an empty one */
	add(COPSE_OPTION_URI_PATH, "sessions");
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	forget_seen();
	open_session(ALICE, "a");
	begin(COPSE_CON, COPSE_CODE_GET, 3, "s");
	add(COPSE_OPTION_URI_PATH, "sessions");
	send_it(ALICE);
	assert_string_equal(last(ALICE)->payload,
			    "account: a\nends: never\nidle: 2000\nsecurity: none\npending: 0\n");
	begin(COPSE_CON, COPSE_CODE_GET, 3, "s");
	add(COPSE_OPTION_URI_PATH, "sessions");
	send_it(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_UNAUTHORIZED);
	for (uint16_t i = 4; i < 6; i++) { /* closing twice is no error */
		begin(COPSE_CON, COPSE_CODE_DELETE, i, "s");
		add(COPSE_OPTION_URI_PATH, "sessions");
		send_it(ALICE);
		assert_int_equal(last(ALICE)->code, COPSE_CODE_DELETED);
	}
	get(ALICE, COPSE_CON, 7, "t", "coap://d1/a");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
}

static void test_session_bounds(void **state)
{
	(void)state;
	post_session(DEVICE1, "{\"sub\":\"a\"}", "security=none"); /* any address will do */
	post_session(DEVICE2, "{\"sub\":\"a\"}", "security=none");
	post_session(ALICE, "{\"sub\":\"a\"}", "security=none");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_FORBIDDEN);
	post_session(ALICE, "{\"sub\":\"a\"}", "sticky=true"); /* secure: refused before */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_IMPLEMENTED);
	struct gw_usage usage;
	gw_worker_usage(worker, &usage);
	assert_int_equal(usage.sessions, 2);
	assert_int_equal(gw_worker_counters(worker)->refused_account, 1);
}

/* A sticky session follows its account; answers to what was asked before still go to the old address. */
static void test_sticky(void **state)
{
	(void)state;
	open_session(ALICE, "a");
	get(ALICE, COPSE_CON, 1, "t", "coap://d1/a");
	static char token[TOKEN_MAX];
	begin(COPSE_CON, COPSE_CODE_POST, 2, "s");
	add(COPSE_OPTION_URI_PATH, "sessions");
	add(COPSE_OPTION_URI_QUERY, "sticky=true");
	add(COPSE_OPTION_URI_QUERY, "security=none");
	make_token("HS256", SECRET, NULL, NULL, "{\"sub\":\"a\"}", token);
	copse_build_payload(&request, token, strlen(token));
	send_it(BOB);
	assert_int_equal(last(BOB)->code, COPSE_CODE_CREATED);
	get(ALICE, COPSE_CON, 2, "u", "coap://d1/b");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	get(BOB, COPSE_CON, 3, "u", "coap://d2/c");
	run_for(100);
	assert_string_equal(last(ALICE)->payload, "node 3 a");
	assert_string_equal(last(BOB)->payload, "node 4 c");
	acknowledge(ALICE);
	acknowledge(BOB);
	assert_int_equal(requests_used(), 0);
	assert_int_equal(gw_worker_counters(worker)->sessions_moved, 1);
}

static void test_session_expires(void **state)
{
	char json[100];

	(void)state;
	snprintf(json, sizeof(json), "{\"sub\":\"a\",\"exp\":%lld}", (long long)wall(NULL) + 100);
	post_session(ALICE, json, "security=none");
	assert_non_null(
	    strstr(last(ALICE)->payload, "ends: 2023-11-14T22:15:31Z\n")); /* with the skew of 30 */
	forget_seen();
	run_for(129000);
	get(ALICE, COPSE_NON, 1, "t", "coap://d1/a");
	run_for(1000);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	assert_int_equal(gw_worker_counters(worker)->sessions_expired, 1);
	get(ALICE, COPSE_NON, 2, "t", "coap://d1/a");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
}

static void test_token_rate(void **state)
{
	(void)state;
	gw_config_free(config);
	config = read_config("key \"k\" {\n algorithm = HS256\n secret = \"" SECRET
			     "\"\n}\ntoken {\n rate = 2\n}\n");
	gw_worker_adopt(worker, config, sim.now);
	for (int i = 0; i < 3; i++)
		post_session(ALICE, "{\"sub\":\"a\"}", "security=none");
	assert_int_equal(client[ALICE].seen[1].code, COPSE_CODE_CREATED);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(last(ALICE)->max_age, 1);
	run_for(500);
	post_session(ALICE, "{\"sub\":\"a\"}", "security=none");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CREATED);
}

/* A new configuration: devices and keys of it count, and sessions stay. */
static void test_adopt(void **state)
{
	struct gw_config *next =
	    read_config("device \"new\" {\n address = \"127.0.0.4\"\n}\nsessions {\n idle = 100000\n}\n");

	(void)state;
	open_session(ALICE, "a");
	assert_ptr_equal(gw_worker_adopt(worker, next, sim.now), config);
	gw_config_free(config);
	config = next;
	get(ALICE, COPSE_NON, 1, "t", "coap://new/n");
	run_for(100);
	assert_string_equal(last(ALICE)->payload, "node 4 n");
	get(ALICE, COPSE_NON, 2, "t", "coap://d1/n");
	assert_int_equal(last(ALICE)->code, COPSE_CODE_NOT_FOUND);
	post_session(BOB, "{\"sub\":\"b\"}", "security=none"); /* no key is left */
	assert_int_equal(last(BOB)->code, COPSE_CODE_UNAUTHORIZED);
}

/* The pool of requests in all. */
static void test_pool(void **state)
{
	unsigned busy = 0;

	(void)state;
	gw_config_free(config);
	config = read_config("key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
			     "device \"d1\" {\n address = \"127.0.0.3\"\n}\nsessions {\n requests = 20\n}\n");
	gw_worker_adopt(worker, config, sim.now);
	open_session(ALICE, "a");
	for (uint16_t i = 0; i < 10; i++) {
		get(ALICE, COPSE_CON, i, "t", "coap://d1/a");
		busy += last(ALICE)->code == COPSE_CODE_SERVICE_UNAVAILABLE;
	}
	assert_int_equal(busy, 2);
	assert_int_equal(requests_used(), 8);
}

/* Clients that all come back at once open sessions, each by a POST that is remembered for EXCHANGE_LIFETIME: there is room
 * for those of all sessions beside what else may be under way. */
static void test_room_for_openings(void **state)
{
	struct copse_config few = {.seed = {1, 2}}, many = few;
	struct gw_config *c = read_config("sessions {\n max = 100000\n}\n");

	(void)state;
	gw_worker_endpoint_config(config, 1, 0, &few);
	gw_worker_endpoint_config(c, 1, 0, &many);
	assert_true(many.incoming_cap > c->sessions_max);
	assert_int_equal(many.incoming_cap - few.incoming_cap,
			 c->sessions_max - 65536 + 4 * (c->requests_max - config->requests_max));
	gw_config_free(c);
	c = read_config("proxy {\n remembered = 1000000000\n}\n");
	gw_worker_endpoint_config(c, 2, 0, &many);
	assert_int_equal(many.incoming_cap, 500000000 / copse_endpoint_incoming_bytes());
	gw_config_free(c);
	c = read_config("proxy {\n remembered = 1000\n}\n"); /* no less than the other bounds need */
	gw_worker_endpoint_config(c, 1, 0, &many);
	assert_int_equal(many.incoming_cap, c->sessions_max + 4 * c->requests_max);
	gw_config_free(c);
}

/* Lossy links, both sides: every request ends with one answer, its own, and no device runs one twice. */
static void test_lossy(void **state)
{
	unsigned answered = 0;

	(void)state;
	end_test(NULL);
	start_world(world_default,
		    (struct sim_link){.delay_ms = 20, .loss = 0.2, .duplicate = 0.1, .reorder = 0.2});
	open_session(ALICE, "a");
	for (uint16_t i = 0; i < 100; i++) {
		char uri[32], expected[32];
		snprintf(uri, sizeof(uri), "coap://d%u/%u", 1 + i % 2, i);
		snprintf(expected, sizeof(expected), "node %u %u", 3 + i % 2, i);
		client[ALICE].n = 0;
		get(ALICE, COPSE_CON, i, "t", uri);
		for (int s = 0; s < 1000 && client[ALICE].n < 2; s++)
			run_for(1000);
		acknowledge(ALICE);
		assert_int_equal(client[ALICE].n, 2);
		if (last(ALICE)->code == COPSE_CODE_CONTENT) {
			assert_string_equal(last(ALICE)->payload, expected);
			answered++;
		} else {
			assert_int_equal(last(ALICE)->code, COPSE_CODE_GATEWAY_TIMEOUT);
		}
		assert_int_equal(requests_used(), 0);
	}
	assert_true(answered >= 98); /* a try fails with 0.36; five in a row with 0.006 */
	assert_int_equal(device[DEVICE1].runs + device[DEVICE2].runs, 100);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, end_test)
	const struct CMUnitTest tests[] = {
	    TEST(test_without_session),
	    TEST(test_con),
	    TEST(test_non),
	    TEST(test_duplicates),
	    TEST(test_equal_tokens),
	    TEST(test_dead_device),
	    TEST(test_dead_device_alone),
	    TEST(test_late_answer),
	    TEST(test_no_answer),
	    TEST(test_unreachable),
	    TEST(test_rejected),
	    TEST(test_unfit_answers),
	    TEST(test_refusals),
	    TEST(test_outside),
	    TEST(test_hop_limit),
	    TEST(test_option_classes),
	    TEST(test_too_large),
	    TEST(test_no_response),
	    TEST(test_mute_client),
	    TEST(test_ending),
	    TEST(test_ending_unanswered),
	    TEST(test_for_itself),
	    TEST(test_local),
	    TEST(test_sessions),
	    TEST(test_session_bounds),
	    TEST(test_sticky),
	    TEST(test_session_expires),
	    TEST(test_token_rate),
	    TEST(test_adopt),
	    TEST(test_pool),
	    TEST(test_room_for_openings),
	    TEST(test_lossy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
