/* SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include <stdlib.h>

#define MANY 100 /* more than one system call takes */

static const struct suite *suite;

/* ---- what is sent ---- */

/* A NON response, whose ID the transport may change; it stands in front of all that is sent. */
static const uint8_t head[] = {0x50, 0x45, 0, 0};

static uint32_t head_len(void)
{
	return suite->coap ? sizeof head : 0;
}

static void send_text(struct copse_transport *t, const struct copse_peer *to, const char *text)
{
	uint8_t buf[64];
	size_t n = strlen(text);

	memcpy(buf, head, head_len());
	memcpy(buf + head_len(), text, n);
	send_one(t, to, buf, head_len() + n);
}

static void assert_text(const struct copse_datagram *d, const char *text)
{
	assert_int_equal(d->len, head_len() + strlen(text));
	assert_memory_equal(d->data + head_len(), text, strlen(text));
}

/* All but the ID. */
static void assert_same(const struct copse_datagram *d, const uint8_t *bytes, size_t len)
{
	assert_int_equal(d->len, len);
	assert_memory_equal(d->data + head_len(), bytes + head_len(), len - head_len());
}

/* Two transports, and the peer that each is to the other. */
struct pair {
	struct copse_transport *a, *b;
	struct copse_peer to_b, to_a;
};

static struct copse_peer reach(struct copse_transport *from, const struct copse_transport *to)
{
	struct copse_address at;
	struct copse_peer peer;

	suite->reach(to, &at);
	assert_int_equal(copse_transport_peer(from, &at, &peer), COPSE_OK);
	return peer;
}

static int set_up(void **state)
{
	struct pair *p = calloc(1, sizeof *p);

	p->a = suite->open(1);
	p->b = (suite->open_other ? suite->open_other : suite->open)(2);
	p->to_b = reach(p->a, p->b);
	p->to_a = reach(p->b, p->a);
	if (suite->join)
		suite->join(p->a, p->b);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *p = *state;

	copse_transport_close(p->a);
	copse_transport_close(p->b);
	free(p);
	return 0;
}

/* Whether `peer` is the one that `b` knows `a` by: where nobody asks `a`, its address says so, and no
 * more. */
static void assert_is_a(const struct pair *p, const struct copse_peer *peer)
{
	struct copse_address at, expected;

	if (!suite->open_other)
		assert_true(copse_peer_equal(peer, &p->to_a));
	assert_int_equal(copse_peer_address(peer, &at), COPSE_OK);
	suite->reach(p->a, &expected);
	assert_true(copse_address_equal(&at, &expected));
}

/* The answer to what was received reaches who sent it, and comes from who was asked. */
static void test_there_and_back(void **state)
{
	struct pair *p = *state;
	struct batch b = batch_new(4, 2000);

	send_text(p->a, &p->to_b, "question");
	receive_n(p->b, &b, 1);
	assert_text(&b.d[0], "question");
	assert_is_a(p, &b.d[0].peer);
	assert_int_equal(b.d[0].peer.flags & COPSE_PEER_MULTICAST, 0);

	send_text(p->b, &b.d[0].peer, "answer");
	receive_n(p->a, &b, 1);
	assert_text(&b.d[0], "answer");
	assert_true(copse_peer_equal(&b.d[0].peer, &p->to_b));
	batch_free(&b);
}

static void test_nothing_to_receive(void **state)
{
	struct pair *p = *state;
	struct batch b = batch_new(4, 100);
	struct copse_peer peer;

	assert_int_equal(copse_transport_receive(p->a, b.d, b.n, 0), 0);
	assert_int_equal(p->a->counters.received, 0);
	assert_int_equal(p->a->counters.receive_errors, 0);
	assert_false(copse_transport_failure(p->a, &peer));
	assert_false(p->a->failed);
	assert_int_equal(copse_transport_send(p->a, NULL, 0, 0), 0);
	batch_free(&b);
}

/* Fill `b` with datagrams of lengths 1, 2, 3 ... whose bytes tell their number. */
static void fill(struct batch *b, struct copse_datagram **list, const struct copse_peer *to)
{
	for (size_t i = 0; i < b->n; i++) {
		b->d[i].peer = *to;
		b->d[i].len = head_len() + (uint32_t)i + 1;
		memcpy(b->d[i].data, head, head_len());
		memset(b->d[i].data + head_len(), (int)i, i + 1);
		list[i] = &b->d[i];
	}
}

static void test_large_batch(void **state)
{
	struct pair *p = *state;
	struct batch out = batch_new(MANY, 256), in = batch_new(MANY, 256);
	struct copse_datagram *list[MANY];
	bool seen[MANY] = {false};
	uint64_t bytes = 0;

	fill(&out, list, &p->to_b);
	assert_int_equal(copse_transport_send(p->a, list, MANY, 0), MANY);
	receive_n(p->b, &in, MANY);
	for (size_t i = 0; i < MANY; i++) {
		size_t len = in.d[i].len - head_len();

		assert_true(len >= 1 && len <= MANY && !seen[len - 1]);
		seen[len - 1] = true;
		assert_same(&in.d[i], out.d[len - 1].data, in.d[i].len);
		assert_int_equal(in.d[i].data[head_len()], len - 1);
		assert_is_a(p, &in.d[i].peer);
		assert_true(copse_peer_equal(&in.d[i].peer, &in.d[0].peer));
		bytes += in.d[i].len;
	}
	assert_int_equal(p->a->counters.sent, MANY);
	assert_int_equal(p->a->counters.sent_bytes, bytes);
	assert_int_equal(p->b->counters.received, MANY);
	assert_int_equal(p->b->counters.received_bytes, bytes);
	assert_true(p->a->counters.send_calls >= 1 && p->a->counters.send_calls < MANY);
	batch_free(&out);
	batch_free(&in);
}

/* A batch smaller than what has come leaves the rest for the next call. */
static void test_small_batch(void **state)
{
	struct pair *p = *state;
	struct batch in = batch_new(2, 64);
	size_t got = 0;

	for (int i = 0; i < 5; i++)
		send_text(p->a, &p->to_b, "x");
	while (got < 5) {
		size_t n = copse_transport_receive(p->b, in.d, in.n, 0);

		assert_true(n <= 2);
		got += n;
		if (n == 0)
			wait_for(p->b->fd, 1);
	}
	assert_int_equal(copse_transport_receive(p->b, in.d, in.n, 0), 0);
	batch_free(&in);
}

static void test_largest(void **state)
{
	struct pair *p = *state;
	struct batch in = batch_new(1, 65536);
	uint8_t *out = malloc(suite->max);

	for (uint32_t i = 0; i < suite->max; i++)
		out[i] = (uint8_t)(i * 7 + (i >> 8));
	memcpy(out, head, head_len());
	send_one(p->a, &p->to_b, out, suite->max);
	receive_n(p->b, &in, 1);
	assert_same(&in.d[0], out, suite->max);
	assert_int_equal(p->b->counters.truncated, 0);
	free(out);
	batch_free(&in);
}

/* One that does not fit is dropped and counted; those around it arrive, each in a buffer of its own. */
static void test_truncated(void **state)
{
	struct pair *p = *state;
	struct batch in = batch_new(4, 100);
	uint8_t large[101] = {0}, fits[100];

	memset(fits, 'f', sizeof fits);
	memcpy(fits, head, head_len());
	memcpy(large, head, head_len());
	send_text(p->a, &p->to_b, "first");
	send_one(p->a, &p->to_b, large, sizeof large);
	send_one(p->a, &p->to_b, fits, sizeof fits);
	send_one(p->a, &p->to_b, large, sizeof large);
	send_text(p->a, &p->to_b, "third");
	receive_n(p->b, &in, 3);
	assert_text(&in.d[0], "first");
	assert_same(&in.d[1], fits, 100);
	assert_text(&in.d[2], "third");
	assert_int_equal(p->b->counters.truncated, 2);
	assert_int_equal(p->b->counters.received, 3);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(in.d[i].cap, 100);
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(in.d[i].data, in.d[j].data);
	}
	batch_free(&in);
}

/* One address met on two transports is two peers. */
static void test_identity(void **state)
{
	struct pair *p = *state;
	struct copse_transport *c = suite->open(3);
	struct copse_peer to_b = reach(c, p->b);

	assert_false(copse_peer_equal(&to_b, &p->to_b));
	assert_int_equal(copse_peer_transport(&to_b), 3);
	assert_int_equal(copse_peer_transport(&p->to_b), 1);
	to_b = reach(p->a, p->b);
	assert_true(copse_peer_equal(&to_b, &p->to_b));
	to_b = reach(p->a, c);
	assert_false(copse_peer_equal(&to_b, &p->to_b));
	copse_transport_close(c);
}

static void test_local(void **state)
{
	struct pair *p = *state;
	struct batch in = batch_new(1, 100);
	struct copse_address asked, local;

	suite->reach(p->b, &asked);
	send_text(p->a, &p->to_b, "x");
	receive_n(p->b, &in, 1);
	copse_transport_local(p->b, &in.d[0].peer, &local);
	assert_true(copse_address_equal(&asked, &local));
	batch_free(&in);
}

static void test_peer_refused(void **state)
{
	struct pair *p = *state;
	struct copse_peer peer;

	assert_int_equal(copse_transport_peer_text(p->a, "0.0.0.0", 5683, &peer), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_transport_peer_text(p->a, "::", 5683, &peer), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_transport_peer_text(p->a, "127.0.0.1", 0, &peer), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_transport_peer_text(p->a, "no address", 5683, &peer), COPSE_ERR_ARGUMENT);
	if (suite->foreign)
		assert_int_equal(copse_transport_peer_text(p->a, suite->foreign, 5683, &peer),
				 COPSE_ERR_ARGUMENT);
}

struct counting_tap {
	struct copse_tap tap;
	size_t sent, received, bytes;
};

static void count(struct copse_tap *self, const struct copse_transport *t, const struct copse_datagram *d,
		  bool sent)
{
	struct counting_tap *c = (struct counting_tap *)self;

	assert_non_null(t->scheme);
	*(sent ? &c->sent : &c->received) += 1;
	c->bytes += d->len;
}

static void test_tap(void **state)
{
	struct pair *p = *state;
	struct batch in = batch_new(4, 100);
	struct counting_tap a = {.tap = {count}}, b = {.tap = {count}};

	p->a->tap = &a.tap;
	p->b->tap = &b.tap;
	send_text(p->a, &p->to_b, "four");
	send_text(p->a, &p->to_b, "sixsix");
	receive_n(p->b, &in, 2);
	assert_int_equal(a.sent, 2);
	assert_int_equal(a.received, 0);
	assert_int_equal(b.sent, 0);
	assert_int_equal(b.received, 2);
	assert_int_equal(a.bytes, 10 + 2 * head_len());
	assert_int_equal(b.bytes, 10 + 2 * head_len());
	batch_free(&in);
}

static void test_tick(void **state)
{
	struct pair *p = *state;

	assert_true(p->a->ops->tick(p->a, 1000) > 1000);
}

/* A new id is in the next key: a host gives it after opening. */
static void test_id_changes(void **state)
{
	struct pair *p = *state;
	struct batch in = batch_new(1, 100);

	p->b->id = 0xabcd;
	send_text(p->a, &p->to_b, "x");
	receive_n(p->b, &in, 1);
	assert_int_equal(copse_peer_transport(&in.d[0].peer), 0xabcd);
	batch_free(&in);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int suite_run(const struct suite *s)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_there_and_back), TEST(test_nothing_to_receive),
	    TEST(test_large_batch),    TEST(test_small_batch),
	    TEST(test_largest),        TEST(test_truncated),
	    TEST(test_identity),       TEST(test_local),
	    TEST(test_peer_refused),   TEST(test_tap),
	    TEST(test_tick),           TEST(test_id_changes),
	};

	suite = s;
	print_message("suite: %s\n", s->name);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
