/* DTLS over loopback: the suite that every transport passes, then what is particular.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "keys.h"
#include "suite.h"

#include <copse/dtls.h>
#include <copse/loop.h>

#include <poll.h>
#include <unistd.h>

#define KEY "sixteen byte key"

/* ---- credentials ---- */

static struct copse_secure *finished(struct copse_secure *s)
{
	char why[COPSE_SECURE_WHY];

	if (copse_secure_finish(s, why))
		fail_msg("%s", why);
	return s;
}

static struct copse_secure *psk_side(bool server, const char *identity, const char *key)
{
	struct copse_secure *s = copse_secure_new(server);

	assert_int_equal(copse_secure_psk(s, NULL, identity, strlen(identity), key, strlen(key)), COPSE_OK);
	return s;
}

/* ---- transports ---- */

static struct copse_transport *open_side(struct copse_dtls_config *c, struct copse_secure *secure,
					 uint16_t id)
{
	struct copse_transport *t = NULL;
	char why[256] = "";

	if (!c->udp.bind.len)
		c->udp.bind = address("127.0.0.1", 0);
	c->secure = finished(secure);
	if (copse_dtls_open(c, &t, why, sizeof why))
		fail_msg("%s", why);
	copse_secure_unref(secure);
	t->id = id;
	return t;
}

static struct copse_transport *server_with(struct copse_dtls_config c)
{
	struct copse_secure *s = psk_side(true, "alice", KEY);

	assert_int_equal(copse_secure_psk(s, NULL, "bob", 3, "another good key", 16), COPSE_OK);
	return open_side(&c, s, 2);
}

static struct copse_transport *client_with(struct copse_dtls_config c, const char *identity, const char *key)
{
	return open_side(&c, psk_side(false, identity, key), 1);
}

static struct copse_transport *server(void)
{
	return server_with((struct copse_dtls_config){.retransmit_ms = 200});
}

static struct copse_transport *client(void)
{
	return client_with((struct copse_dtls_config){.retransmit_ms = 200}, "alice", KEY);
}

static struct copse_peer to(struct copse_transport *from, const struct copse_transport *at)
{
	return peer_at(from, "127.0.0.1", at);
}

/* Move both on, in real time: GnuTLS has a clock of its own. Messages that come to either are put into
 * `in`, those of b first. Returns how many. */
static size_t turn(struct copse_transport *a, struct copse_transport *b, struct batch *in)
{
	copse_ms now = copse_clock_ms();
	struct copse_datagram none = {.cap = 0};
	size_t n = copse_transport_receive(b, in ? in->d : &none, in ? in->n : 1, now);

	if (a)
		n += copse_transport_receive(a, in && n < in->n ? in->d + n : &none,
					     in && n < in->n ? in->n - n : 1, now);
	b->ops->tick(b, now);
	if (a)
		a->ops->tick(a, now);
	if (n == 0) {
		struct pollfd fds[2] = {{b->fd, POLLIN, 0}, {a ? a->fd : -1, POLLIN, 0}};

		poll(fds, 2, 10);
	}
	return n;
}

/* Until the condition holds; the loop is bounded. */
#define UNTIL(a, b, in, condition)                                                                           \
	do {                                                                                                 \
		copse_ms end_ = copse_clock_ms() + 120000;                                                   \
		while (!(condition)) {                                                                       \
			if (copse_clock_ms() > end_)                                                         \
				fail_msg("never: %s", #condition);                                           \
			turn(a, b, in);                                                                      \
		}                                                                                            \
	} while (0)

static void connect_to(struct copse_transport *a, struct copse_transport *b)
{
	struct copse_peer peer = to(a, b);
	struct copse_dtls_usage before, after;

	copse_dtls_usage(b, &before);
	copse_dtls_connect(a, &peer, copse_clock_ms());
	UNTIL(a, b, NULL, copse_dtls_is_open(a, &peer));
	copse_dtls_usage(b, &after);
	assert_true(after.associations >= before.associations);
}

static void say(struct copse_transport *from, struct copse_peer peer, const char *text)
{
	struct copse_datagram d = {.peer = peer, .len = (uint32_t)strlen(text)}, *list = &d;
	uint8_t bytes[64];

	memcpy(bytes, text, d.len);
	d.data = bytes;
	assert_int_equal(copse_transport_send(from, &list, 1, copse_clock_ms()), 1);
}

/* Send, and receive it at the other side: returns who it came from. */
static struct copse_peer pass(struct copse_transport *a, struct copse_transport *b, struct copse_peer peer,
			      const char *text)
{
	struct batch in = batch_new(2, 100);
	size_t n = 0;
	struct copse_peer from;
	copse_ms end = copse_clock_ms() + 120000;

	say(a, peer, text);
	while ((n = turn(a, b, &in)) == 0)
		assert_true(copse_clock_ms() < end);
	assert_int_equal(n, 1);
	assert_int_equal(in.d[0].len, strlen(text));
	assert_memory_equal(in.d[0].data, text, in.d[0].len);
	from = in.d[0].peer;
	batch_free(&in);
	return from;
}

/* ---- the suite ---- */

static struct copse_transport *suite_client(uint16_t id)
{
	struct copse_transport *t = client();

	t->id = id;
	return t;
}

static struct copse_transport *suite_server(uint16_t id)
{
	struct copse_transport *t = server();

	t->id = id;
	return t;
}

static void reach_v4(const struct copse_transport *t, struct copse_address *out)
{
	*out = address("127.0.0.1", local_port(t));
}

/* ---- particular ---- */

/* What is sent before the handshake goes out behind it; the answer goes to the association that asked. */
static void test_first_message_waits(void **state)
{
	struct copse_transport *a = client(), *b = server();
	struct copse_peer peer = to(a, b), from;
	char who[64];

	(void)state;
	from = pass(a, b, peer, "question");
	assert_string_equal(copse_dtls_identity(b, &from, who, sizeof who), "psk:alice");
	assert_string_equal(copse_dtls_identity(a, &peer, who, sizeof who), "psk:alice");
	assert_string_equal(copse_dtls_identity(a, &from, who, sizeof who), "");
	from = pass(b, a, from, "answer");
	assert_true(copse_peer_equal(&from, &peer));
	assert_int_equal(copse_dtls_counters(b)->handshakes_done, 1);
	assert_int_equal(copse_dtls_counters(b)->hellos, 1);
	assert_int_equal(b->counters.received, 1);
	assert_int_equal(a->counters.sent, 1);
	copse_transport_close(a);
	copse_transport_close(b);
}

static void test_waiting_bound(void **state)
{
	struct copse_transport *a = client_with((struct copse_dtls_config){.waiting = 2}, "alice", KEY),
			       *b = server();
	struct copse_peer peer = to(a, b);

	(void)state;
	say(a, peer, "1");
	say(a, peer, "2");
	say(a, peer, "3");
	assert_int_equal(copse_dtls_counters(a)->waiting_full, 1);
	UNTIL(a, b, NULL, b->counters.received + b->counters.truncated == 2);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* A hello without a cookie costs no memory, whoever sends how many. */
static void test_no_state_before_cookie(void **state)
{
	struct copse_transport *b = server();
	struct copse_address at = address("127.0.0.1", local_port(b));
	struct copse_dtls_usage usage;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		/* each from a port of its own, and gone before the answer */
		struct copse_transport *a = client();
		struct copse_peer peer;

		assert_int_equal(copse_transport_peer(a, &at, &peer), COPSE_OK);
		copse_dtls_connect(a, &peer, 0);
		copse_dtls_leave_open(a);
		copse_transport_close(a);
	}
	UNTIL(NULL, b, NULL, copse_dtls_counters(b)->hellos >= 50);
	copse_dtls_usage(b, &usage);
	assert_int_equal(usage.handshakes, 0);
	assert_int_equal(usage.associations, 0);
	assert_int_equal(copse_dtls_counters(b)->handshakes_begun, 0);
	copse_transport_close(b);
}

static void test_noise(void **state)
{
	struct copse_transport *a = client(), *b = server();
	struct copse_address at = address("127.0.0.1", local_port(b));
	int fd = raw_socket("127.0.0.1:0");
	uint8_t hello[80] = {22, 0xfe, 0xfd, [12] = 67, [13] = 1};

	(void)state;
	raw_send(fd, &at, "not DTLS at all", 15);
	raw_send(fd, &at, "", 0);
	for (size_t len = 1; len < sizeof hello; len++)
		raw_send(fd, &at, hello, len);
	pass(a, b, to(a, b), "still here");
	assert_true(copse_dtls_counters(b)->strays >= 20);
	assert_int_equal(copse_dtls_counters(b)->handshakes_begun, 1);
	close(fd);
	copse_transport_close(a);
	copse_transport_close(b);
}

static void test_wrong_key(void **state)
{
	struct copse_dtls_config c = {.handshake_ms = 1500, .retransmit_ms = 100};
	const char *const identity[] = {"alice", "mallory"};
	struct copse_transport *b = server_with(c);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct copse_transport *a = client_with(c, identity[i], "the wrong secret");
		struct copse_peer peer = to(a, b), failed;
		bool silent;

		copse_dtls_connect(a, &peer, copse_clock_ms());
		UNTIL(a, b, NULL, a->failed);
		assert_true(copse_transport_failure(a, &failed));
		assert_true(copse_peer_equal(&failed, &peer));
		assert_false(copse_dtls_is_open(a, &peer));
		assert_non_null(copse_dtls_failure(a, &silent));
		assert_false(silent);
		copse_transport_close(a);
	}
	UNTIL(NULL, b, NULL, copse_dtls_counters(b)->handshakes_failed == 2);
	assert_int_equal(copse_dtls_counters(b)->handshakes_done, 0);
	assert_false(b->failed);
	copse_transport_close(b);
}

/* Nobody answers: not a matter of keys. */
static void test_nobody_there(void **state)
{
	struct copse_transport *a =
	    client_with((struct copse_dtls_config){.handshake_ms = 300, .retransmit_ms = 100}, "alice", KEY);
	int fd = raw_socket("127.0.0.1:0");
	struct copse_address at = raw_address(fd);
	struct copse_peer peer, failed;
	bool silent = false;

	(void)state;
	assert_int_equal(copse_transport_peer(a, &at, &peer), COPSE_OK);
	copse_dtls_connect(a, &peer, copse_clock_ms());
	UNTIL(NULL, a, NULL, a->failed);
	assert_true(copse_transport_failure(a, &failed));
	assert_non_null(copse_dtls_failure(a, &silent));
	assert_true(silent);
	assert_false(copse_transport_failure(a, &failed));
	close(fd);
	/* and with the port closed the system tells at once */
	copse_dtls_connect(a, &peer, copse_clock_ms());
	UNTIL(NULL, a, NULL, copse_transport_failure(a, &failed));
	assert_true(copse_peer_equal(&failed, &peer));
	copse_transport_close(a);
}

static void test_close_is_told(void **state)
{
	struct copse_transport *a = client(), *b = server();
	struct copse_peer from = pass(a, b, to(a, b), "x"), failed;

	(void)state;
	copse_transport_close(a);
	UNTIL(NULL, b, NULL, copse_dtls_counters(b)->associations_closed == 1);
	assert_true(copse_transport_failure(b, &failed));
	assert_true(copse_peer_equal(&failed, &from));
	assert_false(copse_dtls_is_open(b, &from));
	/* and what is sent to it is dropped */
	say(b, from, "x");
	assert_int_equal(copse_dtls_counters(b)->no_association, 1);
	copse_transport_close(b);
}

/* A client starts anew from the same port: another peer, and the old one is gone; but not before the new
 * one has proved itself. */
static void test_client_reboots(void **state)
{
	struct copse_transport *a = client(), *b = server(), *thief;
	struct copse_dtls_config c = {.udp.bind = address("127.0.0.1", local_port(a)), .retransmit_ms = 100};
	struct copse_peer first = pass(a, b, to(a, b), "before"), second, failed;

	(void)state;
	copse_dtls_leave_open(a);
	copse_transport_close(a);
	/* somebody else at the same port, without the key: the association stays */
	thief = client_with(c, "alice", "the wrong secret");
	copse_dtls_connect(thief, &(struct copse_peer[]){to(thief, b)}[0], copse_clock_ms());
	UNTIL(thief, b, NULL, copse_dtls_counters(b)->handshakes_begun == 2);
	assert_true(copse_dtls_is_open(b, &first));
	copse_transport_close(thief);
	assert_true(copse_dtls_is_open(b, &first));
	a = client_with(c, "alice", KEY);
	second = pass(a, b, to(a, b), "after");
	assert_false(copse_peer_equal(&first, &second));
	assert_true(copse_dtls_is_open(b, &second));
	assert_false(copse_dtls_is_open(b, &first));
	assert_true(copse_transport_failure(b, &failed));
	assert_true(copse_peer_equal(&failed, &first));
	assert_int_equal(copse_dtls_counters(b)->associations_replaced, 1);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* The server has forgotten: what goes unanswered for too long is asked again in a new association. */
static void test_server_reboots(void **state)
{
	struct copse_transport *a =
	    client_with((struct copse_dtls_config){.retransmit_ms = 100, .stale_ms = 50}, "alice", KEY);
	struct copse_transport *b = server();
	struct copse_dtls_config c = {.udp.bind = address("127.0.0.1", local_port(b)), .retransmit_ms = 100};
	struct copse_peer peer = to(a, b), failed;
	struct batch in = batch_new(4, 100);
	copse_ms end;

	(void)state;
	pass(b, a, pass(a, b, peer, "question"), "answer");
	copse_dtls_leave_open(b);
	copse_transport_close(b);
	b = server_with(c);
	say(a, peer, "lost");
	end = copse_clock_ms() + 60; /* more than stale_ms */
	UNTIL(a, b, &in, copse_clock_ms() > end && copse_dtls_counters(b)->strays >= 1);
	say(a, peer, "again"); /* lost too, but a handshake begins */
	UNTIL(a, b, &in, copse_dtls_counters(a)->associations_replaced == 1);
	/* exchanges of the old association end */
	assert_true(copse_transport_failure(a, &failed));
	assert_true(copse_peer_equal(&failed, &peer));
	pass(a, b, peer, "once more");
	batch_free(&in);
	copse_transport_close(a);
	copse_transport_close(b);
}

static void gone(void *self, const struct copse_peer *peer)
{
	struct copse_peer *last = self;

	*last = *peer;
}

/* The least recently used one gives way, and learns it. */
static void test_eviction(void **state)
{
	struct copse_peer last = {0}, from[3];
	struct copse_transport *a[3],
	    *b = server_with((struct copse_dtls_config){.associations = 2, .ended = gone, .self = &last});
	struct copse_dtls_usage usage;

	(void)state;
	for (int i = 0; i < 3; i++) {
		a[i] = client();
		from[i] = pass(a[i], b, to(a[i], b), "x");
		if (i == 1)
			pass(a[0], b, to(a[0], b), "used again");
	}
	assert_int_equal(copse_dtls_counters(b)->associations_evicted, 1);
	assert_true(copse_peer_equal(&last, &from[1]));
	assert_true(copse_dtls_is_open(b, &from[0]));
	assert_false(copse_dtls_is_open(b, &from[1]));
	assert_true(copse_dtls_is_open(b, &from[2]));
	copse_dtls_usage(b, &usage);
	assert_int_equal(usage.associations, 2);
	UNTIL(NULL, a[1], NULL, copse_dtls_counters(a[1])->associations_closed == 1);
	for (int i = 0; i < 3; i++)
		copse_transport_close(a[i]);
	copse_transport_close(b);
}

static void test_idle(void **state)
{
	struct copse_transport *a = client(),
			       *b = server_with((struct copse_dtls_config){.idle_ms = COPSE_SECONDS(600)});
	struct copse_peer from = pass(a, b, to(a, b), "x");
	copse_ms now = copse_clock_ms(), at = b->ops->tick(b, now);

	(void)state;
	assert_true(at > now && at <= now + COPSE_SECONDS(600));
	b->ops->tick(b, at - 1);
	assert_true(copse_dtls_is_open(b, &from));
	b->ops->tick(b, at);
	assert_false(copse_dtls_is_open(b, &from));
	assert_int_equal(copse_dtls_counters(b)->associations_idle, 1);
	copse_transport_close(a);
	copse_transport_close(b);
}

/* Of handshakes that are not completed the oldest gives way; beyond the rate none begins. */
static void test_handshake_bounds(void **state)
{
	struct copse_transport *a[4],
	    *b = server_with((struct copse_dtls_config){.handshakes = 2, .rate = 3, .retransmit_ms = 20000});
	struct copse_dtls_usage usage;
	copse_ms then = copse_clock_ms();

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct copse_peer peer;

		a[i] =
		    client_with((struct copse_dtls_config){.retransmit_ms = 20000}, "alice", "a wrong key");
		peer = to(a[i], b);
		copse_dtls_connect(a[i], &peer, then);
		/* b lives in one instant: its rate does not recover */
		for (copse_ms end = copse_clock_ms() + 120000;
		     copse_dtls_counters(b)->handshakes_begun + copse_dtls_counters(b)->handshakes_limited <
		     (unsigned)i + 1;) {
			struct copse_datagram none = {.cap = 0};

			assert_true(copse_clock_ms() < end);
			copse_transport_receive(b, &none, 1, then);
			copse_transport_receive(a[i], &none, 1, then);
		}
	}
	copse_dtls_usage(b, &usage);
	assert_int_equal(usage.handshakes, 2);
	assert_int_equal(copse_dtls_counters(b)->handshakes_begun, 3);
	assert_int_equal(copse_dtls_counters(b)->handshakes_displaced, 1);
	assert_int_equal(copse_dtls_counters(b)->handshakes_limited, 1);
	for (int i = 0; i < 4; i++)
		copse_transport_close(a[i]);
	copse_transport_close(b);
}

/* A session that is resumed from another port is the same peer; without the old association it is a new
 * one. */
static void test_resumption(void **state)
{
	struct copse_transport *a = client(), *b = server();
	struct copse_peer peer = to(a, b), first = pass(a, b, peer, "x"), second, third;
	uint8_t blob[4096];
	size_t len;

	(void)state;
	len = copse_dtls_resumption_take(a, &peer, blob, sizeof blob);
	assert_true(len > 0);
	copse_dtls_leave_open(a);
	copse_transport_close(a);
	a = client();
	peer = to(a, b);
	copse_dtls_resumption_give(a, &peer, blob, len);
	second = pass(a, b, peer, "from elsewhere");
	assert_int_equal(copse_dtls_counters(b)->handshakes_resumed, 1);
	assert_int_equal(copse_dtls_counters(b)->associations_moved, 1);
	assert_true(copse_peer_equal(&first, &second));
	assert_false(b->failed);
	third = pass(b, a, second, "answers go there");
	assert_true(copse_peer_equal(&third, &peer));
	copse_transport_close(a);
	UNTIL(NULL, b, NULL, copse_dtls_counters(b)->associations_closed == 1);
	a = client();
	peer = to(a, b);
	copse_dtls_resumption_give(a, &peer, blob, len);
	third = pass(a, b, peer, "again");
	assert_int_equal(copse_dtls_counters(b)->handshakes_resumed, 2);
	assert_false(copse_peer_equal(&first, &third));
	copse_transport_close(a);
	copse_transport_close(b);
}

/* Other keys: associations stay, handshakes need the new ones, and nothing is resumed. */
static void test_adopt(void **state)
{
	struct copse_transport *a = client(), *b = server(), *old, *new;
	struct copse_secure *next = finished(psk_side(true, "carol", "keys come and go"));
	struct copse_peer peer = to(a, b), first = pass(a, b, peer, "x"), other;
	uint8_t blob[4096];
	size_t len = copse_dtls_resumption_take(a, &peer, blob, sizeof blob);

	(void)state;
	copse_dtls_adopt(b, next);
	copse_secure_unref(next);
	other = pass(a, b, peer, "still open");
	assert_true(copse_peer_equal(&first, &other));
	new = client_with((struct copse_dtls_config){0}, "carol", "keys come and go");
	pass(new, b, to(new, b), "with the new key");
	old =
	    client_with((struct copse_dtls_config){.handshake_ms = 300, .retransmit_ms = 100}, "alice", KEY);
	peer = to(old, b);
	copse_dtls_resumption_give(old, &peer, blob, len);
	copse_dtls_connect(old, &peer, copse_clock_ms());
	UNTIL(old, b, NULL, old->failed);
	assert_int_equal(copse_dtls_counters(b)->handshakes_resumed, 0);
	copse_transport_close(a);
	copse_transport_close(old);
	copse_transport_close(new);
	copse_transport_close(b);
}

/* Many associations over one socket, each found by its own key. */
static void test_many(void **state)
{
	enum { N = 60 };
	static struct copse_transport *a[N];
	static struct copse_peer from[N];
	struct copse_transport *b = server_with((struct copse_dtls_config){.rate = 10000});

	(void)state;
	for (int i = 0; i < N; i++) {
		a[i] = client();
		from[i] = pass(a[i], b, to(a[i], b), "hello");
	}
	for (int i = 0; i < N; i++) {
		struct copse_peer again = pass(a[i], b, to(a[i], b), "again");

		assert_true(copse_peer_equal(&again, &from[i]));
		pass(b, a[i], from[i], "answer");
		copse_transport_close(a[i]);
	}
	copse_transport_close(b);
}

static void test_groups_refused(void **state)
{
	struct copse_transport *a = client();
	struct copse_address at = address("224.0.1.187", 5684);
	struct copse_peer peer;

	(void)state;
	assert_int_equal(copse_transport_peer(a, &at, &peer), COPSE_ERR_ARGUMENT);
	copse_transport_close(a);
}

/* ---- certificates and raw keys ---- */

struct side {
	bool cert, raw, trust, trust_raw, require;
	const char *name;
	bool foreign; /* everything of another authority */
};

static struct copse_secure *side(bool is_server, const struct side *s)
{
	const struct keys *mine = keys_of(is_server ? KEYS_SERVER : KEYS_CLIENT, s->foreign),
			  *theirs = keys_of(is_server ? KEYS_CLIENT : KEYS_SERVER, false);
	struct copse_secure *c = copse_secure_new(is_server);
	char why[COPSE_SECURE_WHY] = "";

	if (s->cert &&
	    copse_secure_certificate(c, mine->cert, strlen(mine->cert), mine->key, strlen(mine->key), why))
		fail_msg("%s", why);
	if (s->raw && copse_secure_raw_key(c, mine->key, strlen(mine->key), why))
		fail_msg("%s", why);
	if (s->trust && copse_secure_trust(c, theirs->ca, strlen(theirs->ca), why))
		fail_msg("%s", why);
	if (s->trust_raw && copse_secure_trust_raw(c, theirs->public_key, strlen(theirs->public_key), why))
		fail_msg("%s", why);
	if (s->require)
		copse_secure_require_peer(c);
	if (s->name)
		assert_int_equal(copse_secure_server_name(c, s->name, strlen(s->name)), COPSE_OK);
	return c;
}

/* Whether they agree; `who` is what the server knows of the client then. */
static bool agree(const struct side *of_server, const struct side *of_client, char *who, size_t cap)
{
	struct copse_dtls_config c = {.handshake_ms = 10000, .retransmit_ms = 100};
	struct copse_transport *b = open_side(&c, side(true, of_server), 2),
			       *a = open_side(&c, side(false, of_client), 1);
	struct copse_peer peer = to(a, b), from;
	bool open;

	copse_dtls_connect(a, &peer, copse_clock_ms());
	UNTIL(a, b, NULL, a->failed || copse_dtls_is_open(a, &peer));
	open = copse_dtls_is_open(a, &peer);
	/* a server may refuse when the client is done already */
	if (open && !of_client->foreign) {
		from = pass(a, b, peer, "x");
		copse_dtls_identity(b, &from, who, cap);
	} else {
		open = false;
		UNTIL(a, b, NULL,
		      copse_dtls_counters(b)->handshakes_failed + copse_dtls_counters(a)->handshakes_failed >
			  0);
	}
	copse_transport_close(a);
	copse_transport_close(b);
	return open;
}

static void test_certificates(void **state)
{
	const struct side plain = {.cert = true}, asks = {.cert = true, .trust = true, .require = true};
	const struct side knows = {.trust = true, .name = "gateway.example"};
	const struct side other_name = {.trust = true, .name = "other.example"};
	const struct side no_trust = {.trust = true, .name = "gateway.example", .foreign = true};
	const struct side shows = {.cert = true, .trust = true, .name = "gateway.example"};
	const struct side shows_foreign = {
	    .cert = true, .trust = true, .name = "gateway.example", .foreign = true};
	const struct side foreign = {.cert = true, .foreign = true};
	char who[128];

	(void)state;
	(void)no_trust;
	assert_true(agree(&plain, &knows, who, sizeof who));
	assert_string_equal(who, "");
	assert_false(agree(&plain, &other_name, who, sizeof who));
	assert_false(agree(&foreign, &knows, who, sizeof who));
	assert_true(agree(&asks, &shows, who, sizeof who));
	assert_string_equal(who, "x509:CN=client.example");
	assert_false(agree(&asks, &shows_foreign, who, sizeof who));
}

static void test_raw_keys(void **state)
{
	const struct side plain = {.raw = true}, asks = {.raw = true, .trust_raw = true, .require = true};
	const struct side knows = {.trust_raw = true}, shows = {.raw = true, .trust_raw = true};
	const struct side foreign = {.raw = true, .foreign = true};
	const struct side shows_foreign = {.raw = true, .trust_raw = true, .foreign = true};
	char who[128];

	(void)state;
	assert_true(agree(&plain, &knows, who, sizeof who));
	assert_false(agree(&foreign, &knows, who, sizeof who));
	assert_true(agree(&asks, &shows, who, sizeof who));
	assert_memory_equal(who, "rpk:", 4);
	assert_int_equal(strlen(who), 4 + 64);
	assert_false(agree(&asks, &shows_foreign, who, sizeof who));
}

/* A client that knows by what each peer proves itself. `expect` adds to its set what that is for `at`. */
static const char *told(const struct side *of_server,
			void (*expect)(struct copse_secure *s, const struct copse_address *at))
{
	struct copse_dtls_config c = {.handshake_ms = 10000, .retransmit_ms = 100}, d = c;
	const struct side of_client = {.trust = true};
	struct copse_transport *b = open_side(&c, side(true, of_server), 2), *a;
	struct copse_secure *s = side(false, &of_client);
	struct copse_address at;
	struct copse_peer peer, failed;
	const char *why = NULL;

	copse_transport_local(b, NULL, &at);
	expect(s, &at);
	a = open_side(&d, s, 1);
	peer = to(a, b);
	copse_dtls_connect(a, &peer, copse_clock_ms());
	UNTIL(a, b, NULL, a->failed || copse_dtls_is_open(a, &peer));
	if (!copse_dtls_is_open(a, &peer)) {
		assert_true(copse_transport_failure(a, &failed));
		assert_true(copse_peer_equal(&failed, &peer));
		why = copse_dtls_why(a, &peer);
		assert_non_null(why);
	}
	copse_transport_close(a);
	copse_transport_close(b);
	return why;
}

static void expect_right_name(struct copse_secure *s, const struct copse_address *at)
{
	assert_int_equal(copse_secure_expect_name(s, at, "gateway.example", 15), COPSE_OK);
	assert_int_equal(copse_secure_expect_name(s, at, "other.example", 13), COPSE_ERR_ARGUMENT);
	copse_secure_expect_address(s);
}

static void expect_other_name(struct copse_secure *s, const struct copse_address *at)
{
	assert_int_equal(copse_secure_expect_name(s, at, "client.example", 14), COPSE_OK);
}

static void expect_address(struct copse_secure *s, const struct copse_address *at)
{
	(void)at;
	copse_secure_expect_address(s);
}

static void expect_key(struct copse_secure *s, const struct copse_address *at, enum keys_who who)
{
	const struct keys *k = keys_of(who, false);
	char why[COPSE_SECURE_WHY];

	for (uint16_t port = 1; port < 100; port++) {
		struct copse_address other = address("127.0.0.9", port);

		assert_int_equal(copse_secure_expect_name(s, &other, "x", 1), COPSE_OK);
	}
	if (copse_secure_expect_raw(s, at, k->public_key, strlen(k->public_key), why))
		fail_msg("%s", why);
	assert_int_equal(copse_secure_expect_raw(s, at, k->public_key, strlen(k->public_key), why),
			 COPSE_ERR_ARGUMENT);
}

static void expect_right_key(struct copse_secure *s, const struct copse_address *at)
{
	expect_key(s, at, KEYS_SERVER);
}

static void expect_other_key(struct copse_secure *s, const struct copse_address *at)
{
	expect_key(s, at, KEYS_CLIENT);
}

static void expect_psk(struct copse_secure *s, const struct copse_address *at)
{
	assert_int_equal(copse_secure_psk(s, at, "alice", 5, KEY, strlen(KEY)), COPSE_OK);
}

static void test_expected(void **state)
{
	const struct side cert = {.cert = true}, raw = {.raw = true}, both = {.cert = true, .raw = true};

	(void)state;
	assert_null(told(&cert, expect_right_name));
	assert_non_null(strstr(told(&cert, expect_other_name), "another name"));
	assert_non_null(strstr(told(&cert, expect_address), "another name"));
	assert_null(told(&raw, expect_right_key));
	assert_null(told(&both, expect_right_key));
	assert_non_null(told(&raw, expect_other_key));
	/* a good certificate is not what is asked for; nor is it from who shares a key with us */
	assert_non_null(told(&cert, expect_right_key));
	assert_non_null(told(&cert, expect_psk));
}

/* A server that asks for a certificate does not take a client without one. */
static void test_nothing_shown(void **state)
{
	const struct side asks = {.cert = true, .trust = true, .require = true};
	struct side knows = {.trust = true, .name = "gateway.example"};
	char who[128];

	(void)state;
	knows.foreign = true; /* has nothing to show; only tells `agree` that it will be refused late */
	assert_false(agree(&asks, &knows, who, sizeof who));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_message_waits),
	    cmocka_unit_test(test_waiting_bound),
	    cmocka_unit_test(test_no_state_before_cookie),
	    cmocka_unit_test(test_noise),
	    cmocka_unit_test(test_wrong_key),
	    cmocka_unit_test(test_nobody_there),
	    cmocka_unit_test(test_close_is_told),
	    cmocka_unit_test(test_client_reboots),
	    cmocka_unit_test(test_server_reboots),
	    cmocka_unit_test(test_eviction),
	    cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_handshake_bounds),
	    cmocka_unit_test(test_resumption),
	    cmocka_unit_test(test_adopt),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_groups_refused),
	    cmocka_unit_test(test_certificates),
	    cmocka_unit_test(test_raw_keys),
	    cmocka_unit_test(test_expected),
	    cmocka_unit_test(test_nothing_shown),
	};
	const struct suite suite = {.name = "DTLS",
				    .open = suite_client,
				    .open_other = suite_server,
				    .join = connect_to,
				    .reach = reach_v4,
				    .foreign = "::1",
				    .max = COPSE_DTLS_MESSAGE_MAX};
	int failed = suite_run(&suite);

	return cmocka_run_group_tests(tests, NULL, NULL) + failed;
}
