/* Handshakes of TLS that other threads make: that they end as others do, what happens at each bound, and that nobody else
 * waits for them. Threads are held where their order matters; nothing is measured.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "keys.h"
#include "net.h"

#include <copse/loop.h>
#include <copse/mem.h>
#include <copse/message.h>
#include <copse/tcp.h>

#include <gnutls/gnutls.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CROWD    300u
#define PATIENCE 120000u /* ms until something that must come is given up */

/* ---- both sides ---- */

static struct copse_transport *open_side(struct copse_tcp_config c, struct copse_secure *s, uint16_t id)
{
	struct copse_transport *t = NULL;
	char why[COPSE_SECURE_WHY] = "";

	if (s && copse_secure_finish(s, why))
		fail_msg("%s", why);
	c.secure = s;
	c.bind = address("127.0.0.1", 0);
	if (copse_tcp_open(&c, &t, why, sizeof why))
		fail_msg("%s", why);
	copse_secure_unref(s);
	t->id = id;
	return t;
}

/* With a certificate, and a client's certificate is looked at. */
static struct copse_transport *server(struct copse_tcp_config c)
{
	const struct keys *k = keys_of(KEYS_SERVER, false), *client = keys_of(KEYS_CLIENT, false);
	struct copse_secure *s = copse_secure_new(true);
	char why[COPSE_SECURE_WHY];

	assert_int_equal(copse_secure_certificate(s, k->cert, strlen(k->cert), k->key, strlen(k->key), why),
			 0);
	assert_int_equal(copse_secure_trust(s, client->ca, strlen(client->ca), why), 0);
	c.server = true;
	c.rate = 100000;
	c.per_address = 2 * CROWD;
	return open_side(c, s, 2);
}

static struct copse_transport *client_with(struct copse_tcp_config c, bool foreign)
{
	const struct keys *k = keys_of(KEYS_CLIENT, foreign), *theirs = keys_of(KEYS_SERVER, false);
	struct copse_secure *s = copse_secure_new(false);
	char why[COPSE_SECURE_WHY];

	assert_int_equal(copse_secure_certificate(s, k->cert, strlen(k->cert), k->key, strlen(k->key), why),
			 0);
	assert_int_equal(copse_secure_trust(s, theirs->ca, strlen(theirs->ca), why), 0);
	assert_int_equal(copse_secure_server_name(s, "gateway.example", 15), 0);
	return open_side(c, s, 1);
}

static struct copse_transport *client(struct copse_handshake_pool *pool)
{
	return client_with((struct copse_tcp_config){.pool = pool}, false);
}

static const struct copse_tcp_counters *count_of(const struct copse_transport *t)
{
	return copse_tcp_counters(t);
}

/* ---- moving them on ---- */

static size_t move(struct copse_transport *t, struct copse_datagram *in)
{
	const copse_ms now = copse_clock_ms();
	const size_t n = copse_transport_receive(t, in, 1, now);

	t->ops->tick(t, now);
	return n;
}

/* Move both on until `b`, or else `a` (may be NULL) has something to read, or for a moment. */
static size_t turn(struct copse_transport *a, struct copse_transport *b, struct copse_datagram *in)
{
	size_t n = move(b, in);

	if (!n && a)
		n = move(a, in);
	if (!n && !b->more && !(a && a->more)) {
		struct pollfd fds[2] = {{b->fd, POLLIN, 0}, {a ? a->fd : -1, POLLIN, 0}};

		poll(fds, 2, 10);
	}
	return n;
}

#define UNTIL(a, b, condition)                                                                               \
	do {                                                                                                 \
		const copse_ms end_ = copse_clock_ms() + PATIENCE;                                           \
		uint8_t bytes_[256];                                                                         \
		struct copse_datagram in_ = {.data = bytes_, .cap = sizeof bytes_};                          \
		while (!(condition)) {                                                                       \
			if (copse_clock_ms() > end_)                                                         \
				fail_msg("never: %s", #condition);                                           \
			turn(a, b, &in_);                                                                    \
		}                                                                                            \
	} while (0)

static void send_get(struct copse_transport *a, const struct copse_peer *peer, uint8_t token)
{
	uint8_t bytes[] = {0x41, COPSE_CODE_GET, 0, token, token};
	struct copse_datagram d = {.peer = *peer, .data = bytes, .len = sizeof bytes}, *list = &d;

	assert_int_equal(copse_transport_send(a, &list, 1, copse_clock_ms()), 1);
}

/* Send, and receive it at the other side: returns who it came from. */
static struct copse_peer pass(struct copse_transport *a, struct copse_transport *b,
			      const struct copse_peer *peer, uint8_t token)
{
	uint8_t in[64];
	struct copse_datagram got = {.data = in, .cap = sizeof in};
	const copse_ms end = copse_clock_ms() + PATIENCE;

	send_get(a, peer, token);
	do {
		assert_true(copse_clock_ms() < end);
		got.len = 0;
	} while (turn(a, b, &got) == 0 || got.flags & COPSE_DATAGRAM_LOCAL);
	assert_int_equal(got.len, 5);
	assert_int_equal(in[4], token);
	return got.peer;
}

static struct copse_peer reach(struct copse_transport *a, const struct copse_transport *b)
{
	return peer_at(a, "127.0.0.1", b);
}

/* ---- tests ---- */

/* What waits for the handshake goes out behind it; who is who is known; later messages need no thread. */
static void both_sides(bool websocket)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(2, 64);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool, .websocket = websocket});
	struct copse_transport *a =
	    client_with((struct copse_tcp_config){.pool = pool, .websocket = websocket}, false);
	struct copse_peer peer = reach(a, b), from;
	char who[64];

	from = pass(a, b, &peer, 1);
	assert_string_equal(copse_tcp_identity(b, &from, who, sizeof who), "x509:CN=client.example");
	assert_string_equal(copse_tcp_identity(a, &peer, who, sizeof who), "x509:CN=gateway.example");
	assert_true(count_of(a)->handshakes_away > 0);
	const uint64_t steps = count_of(b)->handshakes_away;
	assert_true(steps > 0);
	pass(a, b, &peer, 2);
	assert_int_equal(count_of(b)->handshakes_away, steps);
	assert_int_equal(count_of(b)->opened, 1);
	copse_transport_close(a);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

static void test_both_sides(void **state)
{
	(void)state;
	both_sides(false);
}

static void test_websocket(void **state)
{
	(void)state;
	both_sides(true);
}

static void test_refused(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool});
	struct copse_transport *a = client_with((struct copse_tcp_config){.pool = pool}, true);
	struct copse_peer peer = reach(a, b);
	bool network;

	(void)state;
	send_get(a, &peer, 1);
	UNTIL(a, b, count_of(b)->failed == 1);
	assert_string_equal(copse_tcp_failure(b, &network),
			    "the certificate of the peer is not signed by an authority that is believed");
	assert_false(network);
	copse_transport_close(a);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

/* The queue has one place: the other waits a little, and is tried again. */
static void test_queue_bound(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 1);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool});
	struct copse_transport *one = client(NULL), *two = client(NULL);
	struct copse_peer peer = reach(one, b), other = reach(two, b);

	(void)state;
	copse_handshake_pool_hold(pool, true);
	send_get(one, &peer, 1);
	UNTIL(one, b, count_of(b)->handshakes_away == 1);
	send_get(two, &other, 2);
	UNTIL(two, b, count_of(b)->handshakes_crowded > 0);
	assert_int_equal(count_of(b)->handshakes_away, 1);
	copse_handshake_pool_hold(pool, false);
	UNTIL(one, b, copse_tcp_is_open(one, &peer));
	UNTIL(two, b, copse_tcp_is_open(two, &other));
	copse_transport_close(one);
	copse_transport_close(two);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

/* A connection ends while its errand is away: displaced by another one, and with the transport. Its descriptor is closed
 * when that is back, and the client learns of it. */
static void test_end_while_away(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool, .connections = 1});
	struct copse_transport *one = client(NULL), *two = client(NULL);
	struct copse_peer peer = reach(one, b), other = reach(two, b);

	(void)state;
	copse_handshake_pool_hold(pool, true);
	send_get(one, &peer, 1);
	UNTIL(one, b, count_of(b)->handshakes_away == 1);
	send_get(two, &other, 2);
	UNTIL(two, b, count_of(b)->displaced == 1);
	UNTIL(two, b, count_of(b)->handshakes_away == 2);
	assert_int_equal(count_of(one)->failed, 0);
	copse_handshake_pool_hold(pool, false);
	UNTIL(two, b, copse_tcp_is_open(two, &other));
	UNTIL(one, b, count_of(one)->failed + count_of(one)->broken + count_of(one)->closed == 1);
	copse_transport_close(two);
	copse_handshake_pool_hold(pool, true);
	two = client(pool);
	other = reach(two, b);
	send_get(two, &other, 3);
	UNTIL(two, b, count_of(two)->handshakes_away == 1);
	copse_transport_close(one);
	copse_transport_close(two);
	copse_transport_close(b);
	copse_handshake_pool_free(pool); /* what is still there comes to nobody */
}

/* The client is gone before a thread has time: that is found out by it, and told once. */
static void test_peer_gone_while_away(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool}), *a = client(NULL);
	struct copse_peer peer = reach(a, b);

	(void)state;
	copse_handshake_pool_hold(pool, true);
	send_get(a, &peer, 1);
	UNTIL(a, b, count_of(b)->handshakes_away == 1);
	copse_transport_close(a);
	for (unsigned i = 0; i < 20; i++) { /* nothing is told of the descriptor */
		struct copse_datagram none = {.cap = 0};
		struct pollfd fd = {b->fd, POLLIN, 0};

		move(b, &none);
		assert_int_equal(poll(&fd, 1, 0), 0);
	}
	copse_handshake_pool_hold(pool, false);
	UNTIL(NULL, b, count_of(b)->failed == 1);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

static void test_out_of_time(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool, .handshake_ms = 50});
	struct copse_transport *a = client(NULL);
	struct copse_peer peer = reach(a, b);

	(void)state;
	copse_handshake_pool_hold(pool, true);
	send_get(a, &peer, 1);
	UNTIL(a, b, count_of(b)->late == 1);
	copse_handshake_pool_hold(pool, false);
	UNTIL(a, b, count_of(a)->failed == 1);
	copse_transport_close(a);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

/* Other keys come while one is away: it goes on with those that it began with, the next one has the new ones. */
static void test_new_keys_while_away(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool});
	struct copse_transport *one = client(NULL), *two = client(NULL);
	struct copse_peer peer = reach(one, b), other = reach(two, b);
	struct copse_secure *s = copse_secure_new(true);
	char why[COPSE_SECURE_WHY];

	(void)state;
	assert_int_equal(copse_secure_psk(s, NULL, "alice", 5, "sixteen byte key", 16), COPSE_OK);
	assert_int_equal(copse_secure_finish(s, why), 0);
	copse_handshake_pool_hold(pool, true);
	send_get(one, &peer, 1);
	UNTIL(one, b, count_of(b)->handshakes_away == 1);
	copse_tcp_adopt(b, s);
	copse_secure_unref(s);
	copse_handshake_pool_hold(pool, false);
	UNTIL(one, b, copse_tcp_is_open(one, &peer));
	send_get(two, &other, 2);
	UNTIL(two, b, count_of(b)->failed == 1); /* there is no certificate any more */
	copse_transport_close(one);
	copse_transport_close(two);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

/* ---- a crowd ---- */

struct stranger {
	int fd;
	gnutls_session_t session;
};

static struct stranger begin(gnutls_certificate_credentials_t nothing, const struct copse_transport *at)
{
	static const gnutls_datum_t coap = {(unsigned char *)(uintptr_t) "coap", 4};
	struct stranger s = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	struct copse_address to;

	copse_transport_local(at, NULL, &to);
	assert_true(s.fd >= 0);
	assert_int_equal(connect(s.fd, &to.sa, to.len), 0);
	assert_int_equal(fcntl(s.fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(gnutls_init(&s.session, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_set_default_priority(s.session), 0);
	assert_int_equal(gnutls_alpn_set_protocols(s.session, &coap, 1, 0), 0);
	assert_int_equal(gnutls_credentials_set(s.session, GNUTLS_CRD_CERTIFICATE, nothing), 0);
	gnutls_transport_set_int(s.session, s.fd);
	gnutls_handshake_set_timeout(s.session, GNUTLS_INDEFINITE_TIMEOUT);
	return s;
}

static void end(struct stranger *s)
{
	gnutls_deinit(s->session);
	close(s->fd);
}

/* Hundreds begin handshakes, and no thread finds the time for one: whoever has a connection is served as ever. When they
 * find it, all go through. */
static void test_nobody_waits(void **state)
{
	struct rlimit files;
	struct copse_handshake_pool *pool = copse_handshake_pool_new(2, 100);
	struct copse_transport *b = server((struct copse_tcp_config){.pool = pool, .handshake_ms = PATIENCE});
	struct copse_transport *a = client(NULL);
	struct stranger *crowd = calloc(CROWD, sizeof *crowd);
	gnutls_certificate_credentials_t nothing;
	struct copse_peer peer = reach(a, b);
	unsigned done = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max < 2 * CROWD + 200 ? files.rlim_max : 2 * CROWD + 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_non_null(crowd);
	assert_int_equal(gnutls_certificate_allocate_credentials(&nothing), 0);
	pass(a, b, &peer, 1);
	const uint64_t before = count_of(b)->handshakes_away;
	copse_handshake_pool_hold(pool, true);
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = begin(nothing, b);
		gnutls_handshake(crowd[i].session);
		if (i % 20 == 0)
			pass(a, b, &peer, (uint8_t)i);
	}
	UNTIL(a, b, count_of(b)->handshakes_crowded >= CROWD - 100);
	assert_int_equal(count_of(b)->handshakes_away, before + 100);
	pass(a, b, &peer, 2);
	assert_int_equal(count_of(b)->opened, 1);
	copse_handshake_pool_hold(pool, false);
	const copse_ms by = copse_clock_ms() + PATIENCE;
	while (done < CROWD) {
		uint8_t bytes[256];
		struct copse_datagram in = {.data = bytes, .cap = sizeof bytes};

		assert_true(copse_clock_ms() < by);
		turn(a, b, &in);
		done = 0;
		for (unsigned i = 0; i < CROWD; i++)
			done += gnutls_handshake(crowd[i].session) == 0;
	}
	for (unsigned i = 0; i < CROWD; i++)
		end(&crowd[i]);
	free(crowd);
	gnutls_certificate_free_credentials(nothing);
	copse_transport_close(a);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_sides),     cmocka_unit_test(test_websocket),
	    cmocka_unit_test(test_refused),        cmocka_unit_test(test_queue_bound),
	    cmocka_unit_test(test_end_while_away), cmocka_unit_test(test_peer_gone_while_away),
	    cmocka_unit_test(test_out_of_time),    cmocka_unit_test(test_new_keys_while_away),
	    cmocka_unit_test(test_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
