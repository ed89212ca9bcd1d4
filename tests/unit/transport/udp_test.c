/* UDP on loopback, with the system as it is.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the suite, over each way to open a socket ---- */

static struct copse_transport *open_v4(uint16_t id)
{
	return open_at("127.0.0.1:0", id);
}

static struct copse_transport *open_v6(uint16_t id)
{
	return open_at("[::1]:0", id);
}

static struct copse_transport *open_both(uint16_t id)
{
	return open_with(&(struct copse_udp_config){0}, id);
}

static struct copse_transport *open_only_v6(uint16_t id)
{
	return open_with(&(struct copse_udp_config){.only_v6 = true}, id);
}

static struct copse_transport *open_in_runs(uint16_t id)
{
	return open_with(&(struct copse_udp_config){.segment = true}, id);
}

static void reach_v4(const struct copse_transport *t, struct copse_address *out)
{
	*out = address("127.0.0.1", local_port(t));
}

static void reach_v6(const struct copse_transport *t, struct copse_address *out)
{
	*out = address("::1", local_port(t));
}

/* ---- answers leave from the address that was asked ---- */

static void answers_from(const char *bound, const char *client, const char *const *asked, size_t n)
{
	struct copse_transport *server = open_at(bound, 1);
	int fd = raw_socket(client);
	struct batch in = batch_new(n, 100);

	/* All are asked before the first is answered: each keeps its own. */
	for (size_t i = 0; i < n; i++) {
		struct copse_address to = address(asked[i], local_port(server));

		raw_send(fd, &to, &i, sizeof i);
	}
	receive_n(server, &in, n);
	for (size_t i = 0; i < n; i++) {
		struct copse_address local;

		copse_transport_local(server, &in.d[i].peer, &local);
		send_one(server, &in.d[i].peer, in.d[i].data, in.d[i].len);
		assert_int_equal(copse_address_port(&local), local_port(server));
		assert_true(copse_peer_equal(&in.d[i].peer, &in.d[0].peer));
	}
	for (size_t i = 0; i < n; i++) {
		struct copse_address from, expected;
		size_t which;

		assert_int_equal(raw_receive(fd, &from, &which, sizeof which), sizeof which);
		assert_true(which < n);
		expected = address(asked[which], local_port(server));
		assert_true(copse_address_equal(&from, &expected));
	}
	close(fd);
	batch_free(&in);
	copse_transport_close(server);
}

static void test_answers_from_asked_v4(void **state)
{
	static const char *const asked[] = {"127.0.0.5", "127.0.0.1", "127.1.2.3", "127.0.0.5",
					    "127.255.0.9"};

	(void)state;
	answers_from("0.0.0.0:0", "127.0.0.1:0", asked, 5);
}

static void test_answers_from_asked_both(void **state)
{
	static const char *const v4[] = {"127.0.0.5", "127.0.0.1", "127.1.2.3", "127.0.0.5", "127.255.0.9"};
	static const char *const v6[] = {"::1"};

	(void)state;
	answers_from("[::]:0", "127.0.0.1:0", v4, 5);
	answers_from("[::]:0", "[::1]:0", v6, 1);
}

/* More local addresses than the table holds: those beyond are still answered, from the system's choice. */
static void test_path_bound(void **state)
{
	struct copse_transport *server =
	    open_with(&(struct copse_udp_config){.bind = address("0.0.0.0", 0), .paths = 3}, 1);
	int fd = raw_socket("127.0.0.1:0");
	struct batch in = batch_new(8, 100);

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 8; i++) {
			char text[32];
			struct copse_address to;

			snprintf(text, sizeof text, "127.0.1.%u", i + 1);
			to = address(text, local_port(server));
			raw_send(fd, &to, text, 1);
		}
		receive_n(server, &in, 8);
		for (size_t i = 0; i < 8; i++) {
			struct copse_address from;
			char c;

			assert_int_equal(in.d[i].peer.path, i < 3 ? i + 1 : 0);
			send_one(server, &in.d[i].peer, "a", 1);
			raw_receive(fd, &from, &c, 1);
			assert_int_equal(copse_address_port(&from), local_port(server));
		}
		assert_int_equal(server->counters.paths_full, 5u * (unsigned)(round + 1));
	}
	close(fd);
	batch_free(&in);
	copse_transport_close(server);
}

/* A socket that plays many devices: one client is as many peers as it asks devices. */
static void test_split_local(void **state)
{
	struct copse_transport *server =
	    open_with(&(struct copse_udp_config){.bind = address("0.0.0.0", 0), .split_local = true}, 1);
	int fd = raw_socket("127.0.0.1:0");
	struct copse_address client = raw_address(fd), local = address("127.0.0.7", 0), from;
	struct copse_address a = address("127.0.0.7", local_port(server)),
			     b = address("127.0.0.8", local_port(server));
	struct batch in = batch_new(3, 100);
	struct copse_peer to;
	char c;

	(void)state;
	raw_send(fd, &a, "a", 1);
	raw_send(fd, &b, "b", 1);
	raw_send(fd, &a, "c", 1);
	receive_n(server, &in, 3);
	assert_false(copse_peer_equal(&in.d[0].peer, &in.d[1].peer));
	assert_true(copse_peer_equal(&in.d[0].peer, &in.d[2].peer));
	assert_int_equal(copse_peer_address(&in.d[1].peer, &from), COPSE_OK);
	assert_true(copse_address_equal(&from, &client));
	send_one(server, &in.d[1].peer, "B", 1);
	raw_receive(fd, &from, &c, 1);
	assert_true(copse_address_equal(&from, &b));

	/* Asking from a device: the answer comes from the same peer that the request went to. */
	assert_int_equal(copse_udp_peer_from(server, &client, &local, &to), COPSE_OK);
	assert_true(copse_peer_equal(&to, &in.d[0].peer));
	send_one(server, &to, "q", 1);
	raw_receive(fd, &from, &c, 1);
	assert_true(copse_address_equal(&from, &a));
	close(fd);
	batch_free(&in);
	copse_transport_close(server);
}

static void test_peer_from(void **state)
{
	struct copse_transport *t =
	    open_with(&(struct copse_udp_config){.bind = address("0.0.0.0", 0), .paths = 1}, 1);
	int fd = raw_socket("127.0.0.1:0");
	struct copse_address to = raw_address(fd), local = address("127.0.9.9", 0), from;
	struct copse_address other = address("127.0.9.8", 0), v6 = address("::1", 0),
			     group = address("224.0.0.9", 0);
	struct copse_peer peer, plain;
	char c;

	(void)state;
	assert_int_equal(copse_udp_peer_from(t, &to, &local, &peer), COPSE_OK);
	assert_int_equal(copse_transport_peer(t, &to, &plain), COPSE_OK);
	assert_true(copse_peer_equal(&peer, &plain));
	send_one(t, &peer, "x", 1);
	raw_receive(fd, &from, &c, 1);
	copse_address_set_port(&local, local_port(t));
	assert_true(copse_address_equal(&from, &local));
	assert_int_equal(copse_udp_peer_from(t, &to, &other, &peer), COPSE_ERR_NOROOM);
	assert_int_equal(copse_udp_peer_from(t, &to, &v6, &peer), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_udp_peer_from(t, &to, &group, &peer), COPSE_ERR_ARGUMENT);
	close(fd);
	copse_transport_close(t);
}

/* ---- many sockets, sizes ---- */

static void test_many_sockets(void **state)
{
	enum { N = 200 };
	static struct copse_transport *t[N];
	struct copse_transport *client = open_at("127.0.0.1:0", 999);
	struct batch in = batch_new(N, 16);

	(void)state;
	for (int i = 0; i < N; i++) {
		struct copse_peer peer;

		t[i] = open_at("127.0.0.1:0", (uint16_t)(i + 1));
		peer = peer_at(client, "127.0.0.1", t[i]);
		send_one(client, &peer, &i, sizeof i);
	}
	for (int i = 0; i < N; i++) {
		receive_n(t[i], &in, 1);
		assert_memory_equal(in.d[0].data, &i, sizeof i);
		assert_int_equal(copse_peer_transport(&in.d[0].peer), i + 1);
		copse_transport_close(t[i]);
	}
	batch_free(&in);
	copse_transport_close(client);
}

/* An empty datagram is one all the same. */
static void test_empty_datagram(void **state)
{
	struct copse_transport *a = open_v4(1), *b = open_v4(2);
	struct copse_peer to = peer_at(a, "127.0.0.1", b);
	struct batch in = batch_new(1, 10);

	(void)state;
	send_one(a, &to, "", 0);
	receive_n(b, &in, 1);
	assert_int_equal(in.d[0].len, 0);
	batch_free(&in);
	copse_transport_close(a);
	copse_transport_close(b);
}

static void test_too_big_to_send(void **state)
{
	struct copse_transport *a = open_v4(1), *b = open_v4(2);
	struct copse_peer to = peer_at(a, "127.0.0.1", b);
	struct batch out = batch_new(3, 65535), in = batch_new(3, 65535);
	struct copse_datagram *list[3] = {&out.d[0], &out.d[1], &out.d[2]};
	static const uint32_t len[3] = {10, 65508, 65507};
	struct copse_peer peer;

	(void)state;
	for (int i = 0; i < 3; i++) {
		out.d[i].peer = to;
		out.d[i].len = len[i];
	}
	assert_int_equal(copse_transport_send(a, list, 3, 0), 3);
	assert_int_equal(out.d[0].flags, 0);
	assert_int_equal(out.d[1].flags, COPSE_DATAGRAM_DROPPED);
	assert_int_equal(out.d[2].flags, 0);
	assert_int_equal(a->counters.send_toobig, 1);
	assert_int_equal(a->counters.sent, 2);
	assert_int_equal(a->counters.sent_bytes, 65517);
	assert_false(copse_transport_failure(a, &peer));
	receive_n(b, &in, 2);
	assert_int_equal(in.d[1].len, 65507);
	batch_free(&out);
	batch_free(&in);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* ---- losses and errors ---- */

/* A call that takes all it can tells of what has been dropped up to then. */
static void test_kernel_drops_at_once(void **state)
{
	enum { SENT = 1000 };
	struct copse_transport *t =
	    open_with(&(struct copse_udp_config){.bind = address("127.0.0.1", 0), .receive_buffer = 8192}, 1);
	struct copse_address to = local_address(t);
	int fd = raw_socket("127.0.0.1:0");
	struct batch in = batch_new(1, 1000);
	uint8_t data[1000] = {0};

	(void)state;
	for (int i = 0; i < SENT; i++)
		raw_send(fd, &to, data, sizeof data);
	assert_int_equal(copse_transport_receive(t, in.d, 1, 0), 1);
	assert_true(t->counters.kernel_drops > 0);
	const uint64_t drops = t->counters.kernel_drops;
	assert_int_equal(copse_transport_receive(t, in.d, 1, 0), 1);
	assert_int_equal(t->counters.kernel_drops, drops);
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

/* Everything sent is either received or counted as dropped by the system, to the datagram. */
static void test_kernel_drops(void **state)
{
	enum { SENT = 1000 };
	struct copse_transport *t =
	    open_with(&(struct copse_udp_config){.bind = address("127.0.0.1", 0), .receive_buffer = 8192}, 1);
	struct copse_address to = local_address(t);
	int fd = raw_socket("127.0.0.1:0");
	struct batch in = batch_new(SENT, 1000);
	uint8_t data[1000] = {0};
	size_t got;

	(void)state;
	for (int i = 0; i < SENT; i++)
		raw_send(fd, &to, data, sizeof data);
	got = copse_transport_receive(t, in.d, SENT, 0);
	assert_true(got > 0 && got < SENT);
	assert_int_equal(t->counters.received, got);
	assert_int_equal(t->counters.kernel_drops, 0);
	/* The next one to get through, a second later, tells how many did not. */
	raw_send(fd, &to, data, sizeof data);
	wait_for(t->fd, POLLIN);
	assert_int_equal(copse_transport_receive(t, in.d, SENT, 1000), 1);
	assert_int_equal(t->counters.received + t->counters.kernel_drops, SENT + 1);
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

/* The address of a port that nobody has any more. */
static struct copse_address dead_end(const char *text)
{
	int fd = raw_socket(text);
	struct copse_address a = raw_address(fd);

	close(fd);
	return a;
}

static void expect_failure(struct copse_transport *t, const struct copse_peer *expected)
{
	struct copse_peer peer;

	while (!copse_transport_failure(t, &peer))
		wait_for(t->fd, POLLERR);
	assert_true(copse_peer_equal(&peer, expected));
}

static void unreachable(struct copse_transport *t, const char *text)
{
	struct copse_address dead = dead_end(text);
	struct copse_peer to, peer;

	assert_int_equal(copse_transport_peer(t, &dead, &to), COPSE_OK);
	send_one(t, &to, "anybody?", 8);
	expect_failure(t, &to);
	assert_false(copse_transport_failure(t, &peer));
	assert_false(t->failed);
}

static void test_unreachable(void **state)
{
	struct copse_transport *v4 = open_v4(1), *v6 = open_v6(2), *both = open_both(3);

	(void)state;
	unreachable(v4, "127.0.0.1:0");
	unreachable(v6, "[::1]:0");
	unreachable(both, "127.0.0.1:0");
	unreachable(both, "[::1]:0");
	assert_int_equal(v4->counters.unreachable, 1);
	assert_int_equal(v6->counters.unreachable, 1);
	assert_int_equal(both->counters.unreachable, 2);
	copse_transport_close(v4);
	copse_transport_close(v6);
	copse_transport_close(both);
}

/* Errors of dead peers come back while others are sent to: each live peer gets all of its datagrams, and no datagram
 * is sent twice. */
static void unreachable_among_others(const char *text, struct copse_transport *(*open)(uint16_t))
{
	enum { N = 120 };
	struct copse_transport *t = open(1), *live = open_at(text, 2);
	struct copse_address dead = dead_end(text), there = local_address(live);
	struct batch out = batch_new(N, 16), in = batch_new(N, 16);
	struct copse_datagram *list[N];
	struct copse_peer peer;
	size_t failures = 0;

	for (size_t i = 0; i < N; i++) {
		const struct copse_address *to = i % 3 ? &there : &dead;

		assert_int_equal(copse_transport_peer(t, to, &out.d[i].peer), COPSE_OK);
		memcpy(out.d[i].data, &i, sizeof i);
		out.d[i].len = sizeof i;
		list[i] = &out.d[i];
	}
	assert_int_equal(copse_transport_send(t, list, N, 0), N);
	assert_int_equal(t->counters.sent, N);
	assert_int_equal(t->counters.send_refused, 0);
	receive_n(live, &in, N - N / 3);
	for (size_t i = 0, expected = 0; i < N - N / 3; i++, expected++) {
		expected += expected % 3 == 0;
		assert_memory_equal(in.d[i].data, &expected, sizeof expected);
	}
	assert_int_equal(copse_transport_receive(live, in.d, N, 0), 0);
	while (copse_transport_failure(t, &peer)) {
		assert_true(copse_peer_equal(&peer, &out.d[0].peer));
		failures++;
	}
	assert_true(failures >= 1);
	assert_int_equal(t->counters.unreachable, failures + t->counters.failures_lost);
	/* What was waiting as an error does not hurt receiving either. */
	assert_int_equal(copse_transport_receive(t, in.d, N, 0), 0);
	assert_false(copse_transport_failure(t, &peer));
	batch_free(&out);
	batch_free(&in);
	copse_transport_close(t);
	copse_transport_close(live);
}

static void test_unreachable_among_others(void **state)
{
	(void)state;
	unreachable_among_others("127.0.0.1:0", open_v4);
	unreachable_among_others("[::1]:0", open_v6);
	unreachable_among_others("127.0.0.1:0", open_both);
	unreachable_among_others("[::1]:0", open_both);
}

/* A pending error is told by receiving too. */
static void test_receive_through_error(void **state)
{
	struct copse_transport *t = open_v4(1);
	struct copse_address dead = dead_end("127.0.0.1:0"), here = local_address(t);
	int fd = raw_socket("127.0.0.1:0");
	struct copse_peer to;
	struct batch in = batch_new(2, 10);

	(void)state;
	assert_int_equal(copse_transport_peer(t, &dead, &to), COPSE_OK);
	send_one(t, &to, "x", 1);
	wait_for(t->fd, POLLERR);
	raw_send(fd, &here, "y", 1);
	receive_n(t, &in, 1);
	assert_int_equal(in.d[0].data[0], 'y');
	expect_failure(t, &to);
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

/* The system refuses at once: nobody may broadcast. The others of the batch go. */
static void test_refused(void **state)
{
	struct copse_transport *a = open_at("0.0.0.0:0", 1), *b = open_v4(2);
	struct batch out = batch_new(3, 10), in = batch_new(3, 10);
	struct copse_datagram *list[3] = {&out.d[0], &out.d[1], &out.d[2]};
	struct copse_address broadcast = address("255.255.255.255", 5683);

	(void)state;
	out.d[0].peer = out.d[2].peer = peer_at(a, "127.0.0.1", b);
	assert_int_equal(copse_transport_peer(a, &broadcast, &out.d[1].peer), COPSE_OK);
	for (int i = 0; i < 3; i++)
		out.d[i].len = 1;
	assert_int_equal(copse_transport_send(a, list, 3, 0), 3);
	assert_int_equal(out.d[1].flags, COPSE_DATAGRAM_DROPPED);
	assert_int_equal(a->counters.send_refused, 1);
	assert_int_equal(a->counters.sent, 2);
	assert_true(a->failed);
	expect_failure(a, &out.d[1].peer);
	receive_n(b, &in, 2);
	batch_free(&out);
	batch_free(&in);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* ---- opening ---- */

static void test_bind_in_use(void **state)
{
	struct copse_transport *t = open_v4(1), *other = NULL;
	struct copse_udp_config again = {.bind = local_address(t)};
	char why[160] = "", shown[COPSE_ADDRESS_TEXT], expected[160];

	(void)state;
	assert_int_equal(copse_udp_open(&again, &other, why, sizeof why), COPSE_ERR_ARGUMENT);
	snprintf(expected, sizeof expected, "cannot bind %s: Address already in use",
		 copse_address_text(&again.bind, shown, sizeof shown));
	assert_string_equal(why, expected);
	assert_null(other);
	again.bind = address("192.0.2.77:0", 0); /* TEST-NET-1: nobody's */
	assert_int_equal(copse_udp_open(&again, &other, NULL, 0), COPSE_ERR_ARGUMENT);
	copse_transport_close(t);
}

static void test_fixed_port(void **state)
{
	struct copse_address a = dead_end("127.0.0.1:0");
	struct copse_transport *t = open_with(&(struct copse_udp_config){.bind = a}, 1);
	struct copse_address bound = local_address(t);

	(void)state;
	assert_true(copse_address_equal(&a, &bound));
	copse_transport_close(t);
}

/* Two sockets share a port; each datagram reaches one of them. */
static void test_reuse_port(void **state)
{
	struct copse_transport *a =
	    open_with(&(struct copse_udp_config){.bind = address("127.0.0.1", 0), .reuse_port = true}, 1);
	struct copse_transport *b =
	    open_with(&(struct copse_udp_config){.bind = local_address(a), .reuse_port = true}, 2);
	struct copse_address to = local_address(a);
	struct batch in = batch_new(64, 10);
	size_t got = 0, at_a, at_b;

	(void)state;
	for (int i = 0; i < 64; i++) {
		int fd = raw_socket("127.0.0.1:0");

		raw_send(fd, &to, "x", 1);
		close(fd);
	}
	while (got < 64) {
		got += copse_transport_receive(a, in.d, 64, 0);
		got += copse_transport_receive(b, in.d, 64, 0);
	}
	at_a = a->counters.received;
	at_b = b->counters.received;
	assert_int_equal(at_a + at_b, 64);
	assert_true(at_a > 0 && at_b > 0);
	batch_free(&in);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* Two sockets of one port that get what comes by the address that it comes from. */
static struct copse_address open_spread(struct copse_transport *t[2], const char *at)
{
	t[0] = open_with(&(struct copse_udp_config){.bind = address(at, 0), .share_port = true}, 1);
	const struct copse_address to = local_address(t[0]);
	t[1] = open_with(&(struct copse_udp_config){.bind = to, .reuse_port = true, .spread = 2}, 2);
	return to;
}

/* `n` datagrams from sockets at `from`, each at a port of its own, come to one of the two. Returns which. */
static unsigned where_all_come(struct copse_transport *t[2], const char *from, const struct copse_address *to,
			       size_t n)
{
	struct batch in = batch_new(64, 10);
	size_t got[2] = {0};

	for (size_t i = 0; i < n; i++) {
		int fd = raw_socket(from);

		raw_send(fd, to, "x", 1);
		close(fd);
	}
	while (got[0] + got[1] < n)
		for (int k = 0; k < 2; k++)
			got[k] += copse_transport_receive(t[k], in.d, 64, 0);
	batch_free(&in);
	assert_true(got[0] == 0 || got[1] == 0);
	return got[1] != 0;
}

/* Two sockets share a port: what one address sends, from whatever port, comes to the same of them; addresses to both. */
static void test_spread(void **state)
{
	struct copse_transport *t[2];
	const struct copse_address to = open_spread(t, "127.0.0.1");
	unsigned addresses[2] = {0};

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		char from[32];

		snprintf(from, sizeof from, "127.1.2.%u:0", 1 + i);
		addresses[where_all_come(t, from, &to, 5)]++;
	}
	assert_true(addresses[0] > 0 && addresses[1] > 0);
	copse_transport_close(t[0]);
	copse_transport_close(t[1]);
}

static void test_spread_v6(void **state)
{
	struct copse_transport *t[2];
	const struct copse_address to = open_spread(t, "::1");

	(void)state;
	where_all_come(t, "[::1]:0", &to, 64);
	copse_transport_close(t[0]);
	copse_transport_close(t[1]);
}

static void test_buffers(void **state)
{
	struct copse_transport *t =
	    open_with(&(struct copse_udp_config){.receive_buffer = 100000, .send_buffer = 50000}, 1);

	(void)state;
	assert_null(copse_udp_warning(t));
	assert_true(copse_udp_receive_buffer(t) >= 100000);
	copse_transport_close(t);
}

/* Without privilege the system's maximum counts, and the log is told. In a child, which gives up being root. */
static void test_buffer_warning(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		struct copse_udp_config c = {.receive_buffer = 1u << 30};
		struct copse_transport *t;
		const char *warning;

		if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			_exit(2);
		if (copse_udp_open(&c, &t, NULL, 0) != COPSE_OK)
			_exit(3);
		warning = copse_udp_warning(t);
		if (!warning || !strstr(warning, "net.core.rmem_max") || !strstr(warning, "1073741824"))
			_exit(4);
		_exit(copse_udp_receive_buffer(t) < 1u << 30 ? 0 : 5);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_families(void **state)
{
	struct copse_transport *both = open_both(1), *v6 = open_only_v6(2), *one = open_v6(3),
			       *v4 = open_v4(4);
	struct copse_peer peer;

	(void)state;
	assert_int_equal(copse_transport_peer_text(both, "127.0.0.1", 1, &peer), COPSE_OK);
	assert_int_equal(copse_transport_peer_text(both, "::1", 1, &peer), COPSE_OK);
	assert_int_equal(copse_transport_peer_text(v6, "127.0.0.1", 1, &peer), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_transport_peer_text(one, "127.0.0.1", 1, &peer), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_transport_peer_text(v4, "::1", 1, &peer), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_transport_peer_text(v4, "127.0.0.1", 1, &peer), COPSE_OK);
	copse_transport_close(both);
	copse_transport_close(v6);
	copse_transport_close(one);
	copse_transport_close(v4);
}

/* Peers bear the parameter group of their socket. */
static void test_group_of_parameters(void **state)
{
	struct copse_transport *t =
	    open_with(&(struct copse_udp_config){.bind = address("127.0.0.1", 0), .group = 3}, 1);
	struct copse_address here = local_address(t);
	int fd = raw_socket("127.0.0.1:0");
	struct batch in = batch_new(1, 10);
	struct copse_peer peer;

	(void)state;
	raw_send(fd, &here, "x", 1);
	receive_n(t, &in, 1);
	assert_int_equal(in.d[0].peer.group, 3);
	assert_int_equal(copse_transport_peer_text(t, "127.0.0.1", 1, &peer), COPSE_OK);
	assert_int_equal(peer.group, 3);
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

/* More waits than is read: the socket is behind until it has been read. */
static void test_behind(void **state)
{
	static const char large[1000];
	const struct copse_udp_config small = {.bind = address("127.0.0.1", 0), .receive_buffer = 65536};
	struct copse_transport *server = open_with(&small, 1);
	const struct copse_address to = local_address(server);
	int fd = raw_socket("127.0.0.1:0");
	struct batch in = batch_new(8, sizeof large);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		raw_send(fd, &to, large, sizeof large);
	for (unsigned i = 0; i < 3; i++) {
		wait_for(server->fd, POLLIN);
		assert_true(copse_transport_receive(server, in.d, 1, 0) == 1);
		assert_false(server->behind); /* a full batch, and little behind it */
	}
	for (unsigned tries = 0; !server->behind; tries++) {
		assert_true(tries < 1000);
		for (unsigned i = 0; i < 100; i++)
			raw_send(fd, &to, large, sizeof large);
		wait_for(server->fd, POLLIN);
		copse_transport_receive(server, in.d, 1, 0);
	}
	while (copse_transport_receive(server, in.d, 8, 0) == 8)
		;
	assert_false(server->behind);
	close(fd);
	batch_free(&in);
	copse_transport_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers_from_asked_v4),
	    cmocka_unit_test(test_answers_from_asked_both),
	    cmocka_unit_test(test_path_bound),
	    cmocka_unit_test(test_split_local),
	    cmocka_unit_test(test_peer_from),
	    cmocka_unit_test(test_many_sockets),
	    cmocka_unit_test(test_empty_datagram),
	    cmocka_unit_test(test_too_big_to_send),
	    cmocka_unit_test(test_kernel_drops),
	    cmocka_unit_test(test_kernel_drops_at_once),
	    cmocka_unit_test(test_unreachable),
	    cmocka_unit_test(test_unreachable_among_others),
	    cmocka_unit_test(test_receive_through_error),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_bind_in_use),
	    cmocka_unit_test(test_fixed_port),
	    cmocka_unit_test(test_reuse_port),
	    cmocka_unit_test(test_spread),
	    cmocka_unit_test(test_spread_v6),
	    cmocka_unit_test(test_buffers),
	    cmocka_unit_test(test_buffer_warning),
	    cmocka_unit_test(test_families),
	    cmocka_unit_test(test_behind),
	    cmocka_unit_test(test_group_of_parameters),
	};
	const struct suite v4 = {
	    .name = "UDP, IPv4", .open = open_v4, .reach = reach_v4, .foreign = "::1", .max = 65507};
	const struct suite v6 = {
	    .name = "UDP, IPv6", .open = open_v6, .reach = reach_v6, .foreign = "127.0.0.1", .max = 65527};
	const struct suite both_v4 = {.name = "UDP, both families, IPv4",
				      .open = open_both,
				      .reach = reach_v4,
				      .foreign = NULL,
				      .max = 65507};
	const struct suite both_v6 = {.name = "UDP, both families, IPv6",
				      .open = open_both,
				      .reach = reach_v6,
				      .foreign = NULL,
				      .max = 65527};
	const struct suite only_v6 = {.name = "UDP, every IPv6 address",
				      .open = open_only_v6,
				      .reach = reach_v6,
				      .foreign = "127.0.0.1",
				      .max = 65527};
	const struct suite runs_v4 = {
	    .name = "UDP in runs, IPv4", .open = open_in_runs, .reach = reach_v4, .max = 65507};
	const struct suite runs_v6 = {
	    .name = "UDP in runs, IPv6", .open = open_in_runs, .reach = reach_v6, .max = 65527};

	return cmocka_run_group_tests(tests, NULL, NULL) + suite_run(&v4) + suite_run(&v6) +
	       suite_run(&both_v4) + suite_run(&both_v6) + suite_run(&only_v6) + suite_run(&runs_v4) +
	       suite_run(&runs_v6);
}
