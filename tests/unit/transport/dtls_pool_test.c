/* Handshakes that other threads make: that they end as others do, what happens at each bound, and that nobody else waits for
 * them. Threads are held where their order matters; nothing is measured.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "keys.h"
#include "net.h"

#include <copse/dtls.h>
#include <copse/loop.h>
#include <copse/mem.h>

#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define KEY      "sixteen byte key"
#define CROWD    1000u
#define PATIENCE 600000u /* ms */

/* ---- both sides ---- */

static struct copse_transport *open_side(struct copse_dtls_config c, struct copse_secure *s, uint16_t id)
{
	struct copse_transport *t = NULL;
	char why[COPSE_SECURE_WHY] = "";

	if (copse_secure_finish(s, why))
		fail_msg("%s", why);
	c.secure = s;
	c.udp.bind = address("127.0.0.1", 0);
	c.retransmit_ms = c.retransmit_ms ? c.retransmit_ms : 200;
	if (copse_dtls_open(&c, &t, why, sizeof why))
		fail_msg("%s", why);
	copse_secure_unref(s);
	t->id = id;
	return t;
}

/* With a certificate and a pre-shared key, and a client's certificate is looked at. */
static struct copse_transport *server(struct copse_dtls_config c)
{
	const struct keys *k = keys_of(KEYS_SERVER, false), *client = keys_of(KEYS_CLIENT, false);
	struct copse_secure *s = copse_secure_new(true);
	char why[COPSE_SECURE_WHY];

	assert_int_equal(copse_secure_psk(s, NULL, "alice", 5, KEY, strlen(KEY)), COPSE_OK);
	assert_int_equal(copse_secure_certificate(s, k->cert, strlen(k->cert), k->key, strlen(k->key), why),
			 0);
	assert_int_equal(copse_secure_trust(s, client->ca, strlen(client->ca), why), 0);
	c.rate = 100000;
	return open_side(c, s, 2);
}

static struct copse_transport *client(struct copse_handshake_pool *pool, bool foreign)
{
	const struct keys *k = keys_of(KEYS_CLIENT, foreign), *theirs = keys_of(KEYS_SERVER, false);
	struct copse_secure *s = copse_secure_new(false);
	char why[COPSE_SECURE_WHY];

	assert_int_equal(copse_secure_certificate(s, k->cert, strlen(k->cert), k->key, strlen(k->key), why),
			 0);
	assert_int_equal(copse_secure_trust(s, theirs->ca, strlen(theirs->ca), why), 0);
	assert_int_equal(copse_secure_server_name(s, "gateway.example", 15), 0);
	return open_side((struct copse_dtls_config){.pool = pool}, s, 1);
}

static struct copse_transport *psk_client(void)
{
	struct copse_secure *s = copse_secure_new(false);

	assert_int_equal(copse_secure_psk(s, NULL, "alice", 5, KEY, strlen(KEY)), COPSE_OK);
	return open_side((struct copse_dtls_config){.associations = 4}, s, 3);
}

static size_t move(struct copse_transport *t, struct copse_datagram *in, copse_ms now)
{
	size_t n = copse_transport_receive(t, in, 1, now);

	t->ops->tick(t, now);
	return n;
}

/* Move both on until `a` or `b` has something to read, or for a moment. Returns what came to b, then to a. */
static size_t turn(struct copse_transport *a, struct copse_transport *b, struct copse_datagram *in)
{
	copse_ms now = copse_clock_ms();
	size_t n = move(b, in, now);

	if (!n && a)
		n = move(a, in, now);
	if (!n) {
		struct pollfd fds[4] = {{b->fd, POLLIN, 0},
					{b->has_wake ? b->wake_fd : -1, POLLIN, 0},
					{a ? a->fd : -1, POLLIN, 0},
					{a && a->has_wake ? a->wake_fd : -1, POLLIN, 0}};

		poll(fds, 4, 10);
	}
	return n;
}

#define UNTIL(a, b, condition)                                                                               \
	do {                                                                                                 \
		copse_ms end_ = copse_clock_ms() + 120000;                                                   \
		struct copse_datagram none_ = {.cap = 0};                                                    \
		while (!(condition)) {                                                                       \
			if (copse_clock_ms() > end_)                                                         \
				fail_msg("never: %s", #condition);                                           \
			turn(a, b, &none_);                                                                  \
		}                                                                                            \
	} while (0)

/* Send, and receive it at the other side: returns who it came from. */
static struct copse_peer pass(struct copse_transport *a, struct copse_transport *b, struct copse_peer peer,
			      const char *text)
{
	uint8_t out[64], in[64];
	struct copse_datagram d = {.peer = peer, .data = out, .len = (uint32_t)strlen(text)}, *list = &d;
	struct copse_datagram got = {.data = in, .cap = sizeof in};
	copse_ms end = copse_clock_ms() + 120000;

	memcpy(out, text, d.len);
	assert_int_equal(copse_transport_send(a, &list, 1, copse_clock_ms()), 1);
	while (turn(a, b, &got) == 0)
		assert_true(copse_clock_ms() < end);
	assert_int_equal(got.len, strlen(text));
	assert_memory_equal(in, text, got.len);
	return got.peer;
}

static struct copse_peer reach(struct copse_transport *a, const struct copse_transport *b)
{
	return peer_at(a, "127.0.0.1", b);
}

/* ---- tests ---- */

/* What waits for the handshake goes out behind it; who is who is known; later messages need no thread. */
static void test_both_sides(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(2, 64);
	struct copse_transport *b = server((struct copse_dtls_config){.pool = pool}),
			       *a = client(pool, false);
	struct copse_peer peer = reach(a, b), from;
	uint64_t steps;
	char who[64];

	(void)state;
	from = pass(a, b, peer, "question");
	assert_string_equal(copse_dtls_identity(b, &from, who, sizeof who), "x509:CN=client.example");
	assert_string_equal(copse_dtls_identity(a, &peer, who, sizeof who), "x509:CN=gateway.example");
	assert_true(copse_dtls_counters(a)->handshakes_away > 0);
	steps = copse_dtls_counters(b)->handshakes_away;
	assert_true(steps > 0);
	from = pass(b, a, from, "answer");
	assert_true(copse_peer_equal(&from, &peer));
	pass(a, b, peer, "again");
	assert_int_equal(copse_dtls_counters(b)->handshakes_away, steps);
	assert_int_equal(copse_dtls_counters(b)->handshakes_done, 1);
	copse_transport_close(a);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

static void test_refused(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_dtls_config){.pool = pool}), *a = client(pool, true);
	struct copse_peer peer = reach(a, b);

	(void)state;
	copse_dtls_connect(a, &peer, copse_clock_ms());
	UNTIL(a, b, copse_dtls_counters(b)->handshakes_failed == 1);
	copse_transport_close(a);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

/* With pre-shared keys alone there is nothing to hand over, though the server has a certificate too. */
static void test_psk_stays(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_dtls_config){.pool = pool}), *a = psk_client();

	(void)state;
	copse_handshake_pool_hold(pool, true);
	pass(a, b, reach(a, b), "question");
	assert_int_equal(copse_dtls_counters(b)->handshakes_away, 0);
	copse_transport_close(a);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

/* The queue has one place: the other's hello is dropped, and comes again when there is room. */
static void test_queue_bound(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 1);
	struct copse_transport *b = server((struct copse_dtls_config){.pool = pool});
	struct copse_transport *one = client(NULL, false), *two = client(NULL, false);
	struct copse_peer peer = reach(one, b), other = reach(two, b);

	(void)state;
	copse_handshake_pool_hold(pool, true);
	copse_dtls_connect(one, &peer, copse_clock_ms());
	UNTIL(one, b, copse_dtls_counters(b)->handshakes_away == 1);
	copse_dtls_connect(two, &other, copse_clock_ms());
	UNTIL(two, b, copse_dtls_counters(b)->handshakes_crowded > 0);
	assert_int_equal(copse_dtls_counters(b)->handshakes_away, 1);
	copse_handshake_pool_hold(pool, false);
	UNTIL(one, b, copse_dtls_is_open(one, &peer));
	UNTIL(two, b, copse_dtls_is_open(two, &other));
	copse_transport_close(one);
	copse_transport_close(two);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

/* An association ends while its errand is away: displaced by another one, and with the transport. */
static void test_end_while_away(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_dtls_config){.pool = pool, .handshakes = 1});
	struct copse_transport *one = client(NULL, false), *two = client(NULL, false);
	struct copse_peer peer = reach(one, b), other = reach(two, b);

	(void)state;
	copse_handshake_pool_hold(pool, true);
	copse_dtls_connect(one, &peer, copse_clock_ms());
	UNTIL(one, b, copse_dtls_counters(b)->handshakes_away == 1);
	copse_dtls_connect(two, &other, copse_clock_ms());
	UNTIL(two, b, copse_dtls_counters(b)->handshakes_away == 2);
	assert_int_equal(copse_dtls_counters(b)->handshakes_displaced, 1);
	copse_handshake_pool_hold(pool, false);
	UNTIL(two, b, copse_dtls_is_open(two, &other));
	copse_transport_close(two);
	copse_handshake_pool_hold(pool, true);
	two = client(pool, false);
	other = reach(two, b);
	copse_dtls_connect(two, &other, copse_clock_ms());
	assert_int_equal(copse_dtls_counters(two)->handshakes_away, 1);
	copse_transport_close(one);
	copse_transport_close(two);
	copse_transport_close(b);
	copse_handshake_pool_free(pool); /* what is still there comes to nobody */
}

static void test_out_of_time(void **state)
{
	struct copse_handshake_pool *pool = copse_handshake_pool_new(1, 64);
	struct copse_transport *b = server((struct copse_dtls_config){.pool = pool, .handshake_ms = 50});
	struct copse_transport *a = client(NULL, false);
	struct copse_peer peer = reach(a, b);
	struct copse_dtls_usage usage;

	(void)state;
	copse_handshake_pool_hold(pool, true);
	copse_dtls_connect(a, &peer, copse_clock_ms());
	UNTIL(a, b, copse_dtls_counters(b)->handshakes_failed > 0);
	copse_transport_close(a);
	a = NULL;
	UNTIL(a, b, (copse_dtls_usage(b, &usage), usage.handshakes == 0));
	copse_handshake_pool_hold(pool, false);
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
	struct stranger s = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
	struct copse_address to;

	copse_transport_local(at, NULL, &to);
	assert_true(s.fd >= 0);
	assert_int_equal(connect(s.fd, &to.sa, to.len), 0);
	assert_int_equal(gnutls_init(&s.session, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(s.session, "NORMAL:-VERS-ALL:+VERS-DTLS1.2", NULL), 0);
	assert_int_equal(gnutls_credentials_set(s.session, GNUTLS_CRD_CERTIFICATE, nothing), 0);
	gnutls_transport_set_int(s.session, s.fd);
	gnutls_dtls_set_timeouts(s.session, 1000, PATIENCE);
	return s;
}

/* Until it has returned the cookie, and the server has begun a handshake with it. */
static void greet(struct copse_transport *b, const struct stranger *s)
{
	const uint64_t begun = copse_dtls_counters(b)->handshakes_begun;
	struct copse_datagram none = {.cap = 0};
	const copse_ms end = copse_clock_ms() + 120000;

	while (copse_dtls_counters(b)->handshakes_begun == begun) {
		assert_true(copse_clock_ms() < end);
		gnutls_handshake(s->session);
		move(b, &none, copse_clock_ms());
	}
}

static void end(struct stranger *s)
{
	gnutls_deinit(s->session);
	close(s->fd);
}

/* A thousand begin handshakes with certificates, and no thread finds the time for one: whoever has an
 * association, and whoever wants one by a pre-shared key, is served as ever. */
static void test_nobody_waits(void **state)
{
	struct rlimit files;
	struct copse_handshake_pool *pool = copse_handshake_pool_new(2, 100);
	struct copse_transport *b =
	    server((struct copse_dtls_config){.pool = pool, .handshakes = CROWD, .handshake_ms = PATIENCE});
	struct copse_transport *a = psk_client(), *late = psk_client();
	struct stranger *crowd = calloc(CROWD, sizeof *crowd);
	gnutls_certificate_credentials_t nothing;
	struct copse_peer peer = reach(a, b), from;
	struct copse_dtls_usage usage;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max < CROWD + 200 ? files.rlim_max : CROWD + 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_non_null(crowd);
	assert_int_equal(gnutls_certificate_allocate_credentials(&nothing), 0);
	from = pass(a, b, peer, "first");
	copse_handshake_pool_hold(pool, true);
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = begin(nothing, b);
		greet(b, &crowd[i]);
		if (i % 50 == 0) {
			pass(a, b, peer, "question");
			pass(b, a, from, "answer");
		}
	}
	copse_dtls_usage(b, &usage);
	assert_int_equal(usage.handshakes, CROWD);
	assert_int_equal(copse_dtls_counters(b)->handshakes_away, 100);
	assert_true(copse_dtls_counters(b)->handshakes_crowded >= CROWD - 100);
	pass(late, b, reach(late, b), "late");
	assert_int_equal(copse_dtls_counters(b)->handshakes_done, 2);
	/* the threads have time again: one of the crowd goes through with it */
	copse_handshake_pool_hold(pool, false);
	UNTIL(NULL, b, gnutls_handshake(crowd[0].session) == 0);
	assert_true(copse_dtls_counters(b)->handshakes_done >= 2);
	for (unsigned i = 0; i < CROWD; i++)
		end(&crowd[i]);
	free(crowd);
	gnutls_certificate_free_credentials(nothing);
	copse_transport_close(a);
	copse_transport_close(late);
	copse_transport_close(b);
	copse_handshake_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_sides),     cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_psk_stays),      cmocka_unit_test(test_queue_bound),
	    cmocka_unit_test(test_end_while_away), cmocka_unit_test(test_out_of_time),
	    cmocka_unit_test(test_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
