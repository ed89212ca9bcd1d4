/* More requests than the gateway has time for: what is refused, and that enough of the others are answered, in virtual time.
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

static const char configuration[] = "name = \"gw\"\n"
				    "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
				    "proxy {\n outside = {\"127.0.0.0/8\"}\n}\n"
				    "sessions {\n requests = 1000\n}\n"
				    "class \"default\" {\n cache = off\n concurrent = 1000\n}\n"
				    "class \"cached\" {\n cache = shared\n}\n"
				    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
				    "device \"d2\" {\n address = \"127.0.0.4\"\n class = \"cached\"\n}\n";

static uint8_t reply[70000];

/* The request that is being built, to the gateway's short way; what comes back is taken apart. */
static size_t show(unsigned number, size_t cap, struct copse_message *m)
{
	const struct copse_peer from = sim_peer((uint8_t)number);
	const int n = copse_build_finish(&request);

	assert_true(n > 0);
	const size_t len =
	    gw_worker_at_once(worker, &from, request.buf, (size_t)n, cap ? reply : NULL, cap, sim.now);
	if (len)
		assert_int_equal(copse_message_parse(m, reply, len), 0);
	return len;
}

static void build(enum copse_type type, uint8_t code, uint16_t id, const char *uri)
{
	begin(type, code, id, "tok");
	add(COPSE_OPTION_PROXY_URI, uri);
}

static void assert_refused(const struct copse_message *m, enum copse_type type)
{
	assert_int_equal(m->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(m->type, type);
	assert_int_equal(m->token_len, 3);
	assert_memory_equal(copse_message_token(m), "tok", 3);
	assert_int_equal(copse_message_uint(m, COPSE_OPTION_MAX_AGE, 60), 1);
	assert_int_equal(m->option_n, 1);
	assert_int_equal(m->payload_len, 0);
}

static void begin_world(void)
{
	start_world(configuration, (struct sim_link){.delay_ms = 10});
	open_session(ALICE, "a");
}

/* One in three, of what may be asked again, as long as the gateway is behind. */
static void test_refused(void **state)
{
	struct copse_message m;

	(void)state;
	begin_world();
	gw_worker_behind(worker, true);
	for (uint16_t i = 1; i <= 4 * GW_SHED_EACH; i++) {
		const bool con = i > 2 * GW_SHED_EACH;
		build(con ? COPSE_CON : COPSE_NON, i % 2 ? COPSE_CODE_GET : COPSE_CODE_FETCH, i,
		      "coap://d1/a");
		const size_t len =
		    show(i % 2 ? ALICE : BOB, sizeof(reply), &m); /* with a session or without */
		assert_int_equal(len > 0, i % GW_SHED_EACH == 0);
		if (!len)
			continue;
		assert_refused(&m, con ? COPSE_ACK : COPSE_NON);
		if (con)
			assert_int_equal(m.id, i);
	}
	assert_int_equal(gw_worker_counters(worker)->shed, 4);
	gw_worker_behind(worker, false);
	for (uint16_t i = 100; i < 110; i++) {
		build(COPSE_CON, COPSE_CODE_GET, i, "coap://d1/a");
		assert_int_equal(show(ALICE, sizeof(reply), &m), 0);
	}
	assert_int_equal(gw_worker_counters(worker)->shed, 4);
	end_world();
}

/* What changes something, what is no request, what is broken: none of it is refused unseen. */
static void test_not_refused(void **state)
{
	static const uint8_t methods[] = {COPSE_CODE_POST,  COPSE_CODE_PUT,    COPSE_CODE_DELETE,
					  COPSE_CODE_PATCH, COPSE_CODE_IPATCH, COPSE_CODE_CONTENT};
	const struct copse_peer from = sim_peer(ALICE);
	struct copse_peer group = from;
	struct copse_message m;
	uint8_t bytes[100];

	(void)state;
	begin_world();
	gw_worker_behind(worker, true);
	for (unsigned i = 0; i < 10 * sizeof(methods); i++) {
		build(i % 2 ? COPSE_CON : COPSE_NON, methods[i % sizeof(methods)], (uint16_t)i,
		      "coap://d1/a");
		assert_int_equal(show(ALICE, sizeof(reply), &m), 0);
	}
	for (unsigned i = 0; i < 10; i++) {
		build(i % 2 ? COPSE_ACK : COPSE_RST, COPSE_CODE_GET, (uint16_t)i, "coap://d1/a");
		assert_int_equal(show(ALICE, sizeof(reply), &m), 0);
		build(COPSE_CON, COPSE_CODE_GET, (uint16_t)i, "coap://d1/a");
		assert_int_equal(show(ALICE, 0, &m), 0); /* there is no room for an answer */
		group.flags = COPSE_PEER_MULTICAST;
		assert_int_equal(
		    gw_worker_at_once(worker, &group, request.buf, 20, reply, sizeof(reply), sim.now), 0);
		for (size_t cut = 0; cut <= COPSE_HEADER_LEN + 3; cut++) { /* up to the options */
			memcpy(bytes, request.buf, cut);
			assert_int_equal(
			    gw_worker_at_once(worker, &from, bytes, cut, reply, sizeof(reply), sim.now), 0);
		}
	}
	assert_int_equal(gw_worker_counters(worker)->shed, 0);
	end_world();
}

static void build_with(uint16_t id, uint16_t number, const char *value)
{
	build(COPSE_CON, COPSE_CODE_GET, id, "coap://d1/a");
	add(number, value);
}

/* To observe and to stop it are never lost by it, and what has been begun comes to its end: the next other one is
 * refused. */
static void test_begun(void **state)
{
	struct copse_message m;

	(void)state;
	begin_world();
	gw_worker_behind(worker, true);
	for (uint16_t i = 0; i < 4 * GW_SHED_EACH; i++) {
		build_with(i, COPSE_OPTION_OBSERVE, i % 2 ? "" : "\x01");
		assert_int_equal(show(ALICE, sizeof(reply), &m), 0);
		build_with(i, COPSE_OPTION_BLOCK2, "\x12"); /* the second of 64 bytes */
		assert_int_equal(show(ALICE, sizeof(reply), &m), 0);
		build_with(i, COPSE_OPTION_BLOCK2, "\x17"); /* no such size */
		assert_int_equal(show(ALICE, sizeof(reply), &m), 0);
		build_with(i, COPSE_OPTION_BLOCK1, "\x1a");
		assert_int_equal(show(ALICE, sizeof(reply), &m), 0);
	}
	build_with(100, COPSE_OPTION_BLOCK2, "\x02"); /* the first */
	assert_true(show(ALICE, sizeof(reply), &m) > 0);
	assert_refused(&m, COPSE_ACK);
	assert_int_equal(gw_worker_counters(worker)->shed, 1);
	end_world();
}

/* What the cache has costs no more than a refusal. */
static void test_cached(void **state)
{
	struct copse_message m;

	(void)state;
	begin_world();
	for (uint16_t i = 1; i <= 2; i++) {
		get(ALICE, COPSE_CON, i, "tok", "coap://d2/a");
		run_for(100);
		acknowledge(ALICE);
	}
	gw_worker_behind(worker, true);
	for (uint16_t i = 10; i < 30; i++) {
		build(COPSE_CON, COPSE_CODE_GET, i, "coap://d2/a");
		assert_true(show(ALICE, sizeof(reply), &m) > 0);
		assert_int_equal(m.code, COPSE_CODE_CONTENT);
	}
	assert_int_equal(gw_worker_counters(worker)->shed, 0);
	end_world();
}

/* --- a gateway with so much time and no more --- */

/* Units of time that requests take, as measured: to ask the device five times as much as to refuse. */
#define SERVE  10
#define REFUSE 2
#define UNITS  (6 * SERVE) /* in a millisecond: six requests at the peak */
#define PLACES 256         /* in the socket's queue; what comes when it is full is lost */
#define BATCH  32

static struct {
	uint16_t id[PLACES];
	unsigned first, n, lost, left, units;
	unsigned answered, refused;
	uint16_t next_id;
} queue;

static void arrive(unsigned n)
{
	for (; n > 0; n--) {
		const uint16_t id = ++queue.next_id;
		if (queue.n == PLACES)
			queue.lost++;
		else
			queue.id[(queue.first + queue.n++) % PLACES] = id;
	}
}

static void serve(void)
{
	const struct copse_peer from = sim_peer(ALICE);
	struct copse_endpoint *ep = sim.node[GATEWAY].ep;
	struct copse_event event;

	assert_int_equal(
	    copse_endpoint_receive(ep, &from, request.buf, (size_t)copse_build_finish(&request), sim.now), 1);
	while (copse_endpoint_next_event(ep, &event))
		gw_worker_event(worker, &event, sim.now);
}

static void work(void)
{
	struct copse_message m;
	char uri[32];

	for (queue.units += UNITS; queue.units >= SERVE && queue.n > 0; queue.left--) {
		if (!queue.left) { /* a new batch */
			gw_worker_behind(worker, queue.n > PLACES / 2);
			queue.left = queue.n < BATCH ? queue.n : BATCH;
		}
		/* different ones: equal ones would be joined to one */
		snprintf(uri, sizeof(uri), "coap://d1/%u", queue.id[queue.first]);
		build(COPSE_NON, COPSE_CODE_GET, queue.id[queue.first], uri);
		queue.first = (queue.first + 1) % PLACES;
		queue.n--;
		if (show(ALICE, sizeof(reply), &m)) {
			assert_refused(&m, COPSE_NON);
			queue.refused++;
			queue.units -= REFUSE;
			continue;
		}
		serve();
		queue.units -= SERVE;
	}
	queue.units = queue.n > 0 ? queue.units : 0; /* idle time is not kept */
}

static void load(unsigned each_ms, unsigned ms)
{
	queue.answered = queue.refused = queue.lost = 0;
	for (; ms > 0; ms--) {
		arrive(each_ms);
		work();
		run_for(1);
		for (unsigned i = 0; i < client[ALICE].n; i++) {
			assert_int_equal(client[ALICE].seen[i].code, COPSE_CODE_CONTENT);
			queue.answered++;
		}
		client[ALICE].n = 0;
	}
}

/* At three times the peak nine tenths of it are answered, and at once everything when it is over. */
static void test_overload(void **state)
{
	(void)state;
	memset(&queue, 0, sizeof(queue));
	begin_world();
	load(6, 100); /* until answers come as fast as requests */
	load(6, 500);
	const unsigned peak = queue.answered;
	assert_int_equal(peak, 6 * 500);
	assert_int_equal(queue.refused + queue.lost, 0);
	load(18, 200);
	load(18, 500);
	assert_true(10 * queue.answered >= 9 * peak);
	assert_true(queue.refused * (GW_SHED_EACH - 1) >= queue.answered - PLACES);
	assert_true(queue.refused > 0 && queue.lost > 0);
	assert_true(requests_used() < 1000);
	load(3, 100); /* what had been waiting */
	load(3, 500);
	assert_int_equal(queue.answered, 3 * 500);
	assert_int_equal(queue.refused + queue.lost, 0);
	end_world();
}

static uint8_t code_of(unsigned number, uint8_t method, uint16_t id)
{
	client[number].n = 0;
	ask(number, COPSE_NON, method, id, "t", "coap://d1/a");
	run_for(100);
	return last(number)->code;
}

/* What one client asks that must not run twice fills half of the memory of messages at most: it is told so, and others go
 * on. */
static void test_shares(void **state)
{
	uint16_t id = 1;

	(void)state;
	begin_world();
	open_session(BOB, "b");
	while (code_of(ALICE, COPSE_CODE_POST, id) == COPSE_CODE_CONTENT && id < 1000)
		id++;
	assert_in_range(id, 250, 256); /* of 512 */
	assert_int_equal(last(ALICE)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(last(ALICE)->max_age, 10);
	assert_int_equal(copse_endpoint_counters(worker->ep)->refused_share, 1);
	assert_int_equal(device[DEVICE1].runs, id - 1);
	assert_int_equal(code_of(BOB, COPSE_CODE_POST, 1), COPSE_CODE_CONTENT);
	assert_int_equal(code_of(ALICE, COPSE_CODE_PUT, 2000), COPSE_CODE_CONTENT);
	client[ALICE].n = 0;
	ask(ALICE, COPSE_NON, COPSE_CODE_POST, 1, "t", "coap://d1/a"); /* the first one, again */
	run_for(100);
	assert_int_equal(client[ALICE].n, 0);
	assert_int_equal(device[DEVICE1].runs, id + 1);
	run_for(250000);
	assert_int_equal(code_of(ALICE, COPSE_CODE_POST, 3000), COPSE_CODE_CONTENT);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refused), cmocka_unit_test(test_not_refused), cmocka_unit_test(test_begun),
	    cmocka_unit_test(test_cached),  cmocka_unit_test(test_overload),    cmocka_unit_test(test_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
