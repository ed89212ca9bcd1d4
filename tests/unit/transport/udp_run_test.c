/* UDP: datagrams that leave as one message for the system to cut. What arrives is what was sent, each by itself.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <stdlib.h>
#include <unistd.h>

#define MANY 200

/* ---- which are a run ---- */

static struct copse_transport *open_sender(const char *at)
{
	return open_with(&(struct copse_udp_config){.bind = address(at, 0), .segment = true}, 1);
}

/* Send datagrams of the lengths in `len` from `a` to `b`; they must arrive so, and `runs` of them have left as such. */
static void pass(struct copse_transport *a, struct copse_transport *b, const char *host, const uint32_t *len,
		 size_t n, uint64_t runs)
{
	const struct copse_peer to = peer_at(a, host, b);
	struct batch out = batch_new(n, 1500), in = batch_new(n, 1500);
	struct copse_datagram **list = calloc(n, sizeof *list);
	const uint64_t sent = a->counters.sent, before = a->counters.sent_runs;

	for (size_t i = 0; i < n; i++) {
		out.d[i].peer = to;
		out.d[i].len = len[i];
		for (size_t j = 0; j < len[i]; j++)
			out.d[i].data[j] = (uint8_t)(i * 31 + j);
		list[i] = &out.d[i];
	}
	assert_int_equal(copse_transport_send(a, list, n, 0), n);
	assert_int_equal(a->counters.sent_runs - before, runs);
	assert_int_equal(a->counters.sent - sent, n);
	receive_n(b, &in, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(in.d[i].len, len[i]);
		assert_memory_equal(in.d[i].data, out.d[i].data, len[i]);
	}
	free(list);
	batch_free(&out);
	batch_free(&in);
}

static void test_what_is_a_run(void **state)
{
	static const struct {
		size_t n;
		uint64_t runs;
		uint32_t len[12];
	} rows[] = {
	    {4, 1, {5, 5, 5, 5}},
	    {3, 0, {5, 5, 5}},
	    {4, 1, {5, 5, 5, 3}}, /* the last may be shorter */
	    {4, 0, {5, 5, 5, 6}}, /* but not longer */
	    {4, 0, {5, 5, 3, 5}}, /* and is the last then */
	    {9, 2, {5, 5, 5, 5, 3, 7, 7, 7, 7}},
	    {10, 1, {1, 2, 3, 4, 9, 9, 9, 9, 1, 2}},
	    {8, 0, {5, 6, 5, 6, 5, 6, 5, 6}},
	    {6, 0, {0, 0, 0, 0, 0, 0}},
	    {5, 1, {5, 5, 5, 5, 0}}, /* an empty one is no part of it */
	    {5, 1, {1232, 1232, 1232, 1232, 1}},
	    {5, 0, {1233, 1233, 1233, 1233, 1}}, /* more than every path takes */
	};
	static const char *const hosts[] = {"127.0.0.1", "::1"};

	(void)state;
	for (size_t h = 0; h < 2; h++) {
		struct copse_transport *a = open_sender(hosts[h]);
		struct copse_transport *b =
		    open_with(&(struct copse_udp_config){.bind = address(hosts[h], 0)}, 2);

		for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
			pass(a, b, hosts[h], rows[i].len, rows[i].n, rows[i].runs);
		copse_transport_close(a);
		copse_transport_close(b);
	}
}

static void test_long_runs(void **state)
{
	struct copse_transport *a = open_sender("127.0.0.1"), *b = open_at("127.0.0.1:0", 2);
	uint32_t len[MANY];

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		len[i] = 30;
	pass(a, b, "127.0.0.1", len, MANY, 4); /* 64 a call */
	for (size_t i = 0; i < MANY; i++)
		len[i] = 1000;
	pass(a, b, "127.0.0.1", len, 64, 2); /* 60,000 bytes a run */
	assert_int_equal(a->counters.send_calls, 4 + 1);
	copse_transport_close(a);
	copse_transport_close(b);
}

static void test_off(void **state)
{
	struct copse_transport *a = open_at("127.0.0.1:0", 1), *b = open_at("127.0.0.1:0", 2);
	static const uint32_t len[6] = {5, 5, 5, 5, 5, 5};

	(void)state;
	pass(a, b, "127.0.0.1", len, 6, 0);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* ---- whose they are ---- */

#define EACH 6

/* Each peer gets its own, whether they come in turn or one peer's behind the other's. */
static void among(bool in_turn, uint64_t runs)
{
	struct copse_transport *a = open_sender("127.0.0.1");
	struct copse_transport *to[2] = {open_at("127.0.0.1:0", 2), open_at("127.0.0.1:0", 3)};
	struct batch out = batch_new(2 * EACH, 8), in = batch_new(EACH, 8);
	struct copse_datagram *list[2 * EACH];

	for (uint8_t i = 0; i < 2 * EACH; i++) {
		const size_t whose = in_turn ? i % 2 : i / EACH;

		out.d[i].peer = peer_at(a, "127.0.0.1", to[whose]);
		out.d[i].len = 2;
		out.d[i].data[0] = (uint8_t)whose;
		out.d[i].data[1] = i;
		list[i] = &out.d[i];
	}
	assert_int_equal(copse_transport_send(a, list, 2 * EACH, 0), 2 * EACH);
	assert_int_equal(a->counters.sent_runs, runs);
	for (uint8_t whose = 0; whose < 2; whose++) {
		receive_n(to[whose], &in, EACH);
		for (size_t i = 0; i < EACH; i++)
			assert_int_equal(in.d[i].data[0], whose);
		assert_int_equal(copse_transport_receive(to[whose], in.d, EACH, 0), 0);
		copse_transport_close(to[whose]);
	}
	batch_free(&out);
	batch_free(&in);
	copse_transport_close(a);
}

static void test_peers(void **state)
{
	(void)state;
	among(true, 0);
	among(false, 2);
}

/* Answers leave from the address that was asked, a run of them as well; answers from two addresses are no run. */
static void test_answers_from_asked(void **state)
{
	struct copse_transport *server = open_sender("0.0.0.0");
	struct copse_address to[2] = {address("127.0.0.2", local_port(server)),
				      address("127.0.0.3", local_port(server))};
	int client = raw_socket("127.0.0.1:0");
	struct batch in = batch_new(2, 8), out = batch_new(2 * EACH, 8);
	struct copse_datagram *list[2 * EACH];

	(void)state;
	raw_send(client, &to[0], "2", 1);
	raw_send(client, &to[1], "3", 1);
	receive_n(server, &in, 2);
	for (size_t i = 0; i < 2 * EACH; i++) {
		out.d[i].peer = in.d[i / EACH].peer;
		out.d[i].len = 1;
		out.d[i].data[0] = in.d[i / EACH].data[0];
		list[i] = &out.d[i];
	}
	assert_int_equal(copse_transport_send(server, list, 2 * EACH, 0), 2 * EACH);
	assert_int_equal(server->counters.sent_runs, 2);
	for (size_t i = 0; i < 2 * EACH; i++) {
		struct copse_address from;
		uint8_t data[8];

		assert_int_equal(raw_receive(client, &from, data, sizeof data), 1);
		copse_address_set_port(&from, 0);
		assert_address(&from, data[0] == '2' ? "127.0.0.2:0" : "127.0.0.3:0");
	}
	batch_free(&in);
	batch_free(&out);
	copse_transport_close(server);
	close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_a_run),
	    cmocka_unit_test(test_long_runs),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_peers),
	    cmocka_unit_test(test_answers_from_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
