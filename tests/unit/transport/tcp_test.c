/* TCP and TLS over loopback: the suite that every transport passes, then what is particular, against sockets of the system
 * that say each byte. Time is given, so that nothing here waits for it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "keys.h"
#include "suite.h"

#include <copse/frame.h>
#include <copse/resolve.h>
#include <copse/tcp.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE 30000 /* ms until a condition that must come is given up */
#define KEY      "sixteen byte key"

/* ---- transports ---- */

static struct copse_transport *open_tcp(const struct copse_tcp_config *config, uint16_t id)
{
	struct copse_tcp_config c = *config;
	struct copse_transport *t = NULL;
	char why[256] = "";

	if (c.server && !c.bind.len)
		c.bind = address("127.0.0.1", 0);
	if (copse_tcp_open(&c, &t, why, sizeof why))
		fail_msg("%s", why);
	t->id = id;
	return t;
}

static struct copse_transport *server_of(struct copse_tcp_config c)
{
	c.server = true;
	return open_tcp(&c, 2);
}

static struct copse_transport *client_of(struct copse_tcp_config c)
{
	return open_tcp(&c, 1);
}

static struct copse_peer to(struct copse_transport *from, const struct copse_transport *at)
{
	return peer_at(from, "127.0.0.1", at);
}

static const struct copse_tcp_counters *count_of(const struct copse_transport *t)
{
	return copse_tcp_counters(t);
}

/* Move transports on, at `now`. Messages of `a` go to `in`. Returns how many. */
static size_t turn(struct copse_transport *a, struct copse_transport *b, struct batch *in, copse_ms now)
{
	struct batch none = batch_new(1, 65536);
	size_t n = copse_transport_receive(a, in ? in->d : none.d, in ? in->n : 1, now);

	a->ops->tick(a, now);
	if (b) {
		copse_transport_receive(b, none.d, 1, now);
		b->ops->tick(b, now);
	}
	if (n == 0 && !a->more && !(b && b->more)) {
		struct pollfd fds[2] = {{a->fd, POLLIN, 0}, {b ? b->fd : -1, POLLIN, 0}};

		poll(fds, 2, 10);
	}
	batch_free(&none);
	return n;
}

/* Until the condition holds. */
#define UNTIL(a, b, in, now, condition)                                                                      \
	do {                                                                                                 \
		for (int left_ = PATIENCE / 10; !(condition); left_--) {                                     \
			if (left_ == 0)                                                                      \
				fail_msg("never: %s", #condition);                                           \
			turn(a, b, in, now);                                                                 \
		}                                                                                            \
	} while (0)

/* ---- credentials ---- */

static struct copse_secure *finished(struct copse_secure *s)
{
	char why[COPSE_SECURE_WHY];

	if (copse_secure_finish(s, why))
		fail_msg("%s", why);
	return s;
}

static struct copse_secure *psk_side(bool is_server, const char *key)
{
	struct copse_secure *s = copse_secure_new(is_server);

	assert_int_equal(copse_secure_psk(s, NULL, "alice", 5, key, strlen(key)), COPSE_OK);
	return finished(s);
}

static struct copse_secure *certificate_side(bool is_server, bool raw, bool foreign)
{
	const struct keys *own = keys_of(is_server ? KEYS_SERVER : KEYS_CLIENT, foreign);
	const struct keys *other = keys_of(is_server ? KEYS_CLIENT : KEYS_SERVER, false);
	struct copse_secure *s = copse_secure_new(is_server);
	char why[COPSE_SECURE_WHY];

	if (raw) {
		assert_int_equal(copse_secure_raw_key(s, own->key, strlen(own->key), why), 0);
		assert_int_equal(copse_secure_trust_raw(s, other->public_key, strlen(other->public_key), why),
				 0);
	} else {
		assert_int_equal(copse_secure_certificate(s, own->cert, strlen(own->cert), own->key,
							  strlen(own->key), why),
				 0);
		assert_int_equal(copse_secure_trust(s, other->ca, strlen(other->ca), why), 0);
	}
	if (is_server)
		copse_secure_require_peer(s);
	else
		copse_secure_server_name(s, "gateway.example", 15);
	return finished(s);
}

/* ---- the suite ---- */

static struct copse_address joined[4]; /* where the client with this id is */

static struct copse_transport *suite_client(uint16_t id)
{
	joined[id] = address("127.0.0.1", 9);
	return open_tcp(&(const struct copse_tcp_config){.max_message = COPSE_TCP_MESSAGE_MAX}, id);
}

static struct copse_transport *suite_server(uint16_t id)
{
	return open_tcp(
	    &(const struct copse_tcp_config){.server = true, .max_message = COPSE_TCP_MESSAGE_MAX}, id);
}

static struct copse_transport *suite_secure(bool is_server, bool websocket, uint16_t id)
{
	struct copse_secure *secure = psk_side(is_server, KEY);
	struct copse_transport *t =
	    open_tcp(&(const struct copse_tcp_config){.server = is_server,
						      .websocket = websocket,
						      .secure = secure,
						      .max_message = COPSE_TCP_MESSAGE_MAX},
		     id);

	copse_secure_unref(secure);
	if (!is_server)
		joined[id] = address("127.0.0.1", 9);
	return t;
}

static struct copse_transport *suite_secure_client(uint16_t id)
{
	return suite_secure(false, false, id);
}

static struct copse_transport *suite_secure_server(uint16_t id)
{
	return suite_secure(true, false, id);
}

static struct copse_transport *suite_ws_client(uint16_t id)
{
	joined[id] = address("127.0.0.1", 9);
	return open_tcp(
	    &(const struct copse_tcp_config){.websocket = true, .max_message = COPSE_TCP_MESSAGE_MAX}, id);
}

static struct copse_transport *suite_ws_server(uint16_t id)
{
	return open_tcp(&(const struct copse_tcp_config){.server = true,
							 .websocket = true,
							 .max_message = COPSE_TCP_MESSAGE_MAX},
			id);
}

static struct copse_transport *suite_wss_client(uint16_t id)
{
	return suite_secure(false, true, id);
}

static struct copse_transport *suite_wss_server(uint16_t id)
{
	return suite_secure(true, true, id);
}

/* Send a message that nobody counts, and wait until the connection is there. */
static void join(struct copse_transport *a, struct copse_transport *b)
{
	struct copse_peer peer = to(a, b);
	static uint8_t ping[] = {0x40, 0, 0, 1};
	struct copse_datagram d = {.peer = peer, .data = ping, .len = sizeof ping}, *list = &d;

	assert_int_equal(copse_transport_send(a, &list, 1, 0), 1);
	/* the answer to the ping says that both sides have greeted, and that nothing is on its way any more */
	for (int left = PATIENCE / 10; turn(a, b, NULL, 0) == 0; left--)
		assert_true(left > 0);
	assert_true(copse_tcp_is_open(a, &peer));
	copse_transport_local(a, &peer, &joined[a->id]);
	memset(&a->counters, 0, sizeof a->counters);
	memset(&b->counters, 0, sizeof b->counters);
}

static void suite_reach(const struct copse_transport *t, struct copse_address *out)
{
	copse_transport_local(t, NULL, out);
	if (copse_address_port(out) == 0)
		*out = joined[t->id];
}

/* ---- a peer that says each byte ---- */

static int raw_connect(const struct copse_transport *t)
{
	struct copse_address at;
	int fd;

	copse_transport_local(t, NULL, &at);
	fd = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_true(connect(fd, &at.sa, at.len) == 0 || errno == EINPROGRESS);
	return fd;
}

static void raw_say(int fd, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const uint8_t *)bytes + at, len - at, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			wait_for(fd, POLLOUT);
		else
			assert_true(n > 0);
		at += n > 0 ? (size_t)n : 0;
	}
}

#define SAY(fd, ...) raw_say(fd, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* What `t` sends to `fd` while it is moved on: exactly `len` bytes. */
static void raw_hear(struct copse_transport *t, int fd, void *buf, size_t len, copse_ms now)
{
	size_t at = 0;

	for (int left = PATIENCE / 10; at < len; left--) {
		ssize_t n = recv(fd, (uint8_t *)buf + at, len - at, 0);

		assert_true(left > 0);
		assert_true(n > 0 || (n < 0 && (errno == EAGAIN || errno == ENOTCONN)));
		at += n > 0 ? (size_t)n : 0;
		if (n < 0)
			turn(t, NULL, NULL, now);
	}
}

#define HEAR(t, fd, now, ...)                                                                                \
	do {                                                                                                 \
		const uint8_t expected_[] = {__VA_ARGS__};                                                   \
		uint8_t heard_[sizeof expected_];                                                            \
		raw_hear(t, fd, heard_, sizeof heard_, now);                                                 \
		assert_memory_equal(heard_, expected_, sizeof expected_);                                    \
	} while (0)

/* Until the other side has closed it; what comes before is in `buf`. Returns how much that was. */
static size_t raw_hear_end(struct copse_transport *t, int fd, uint8_t *buf, size_t cap, copse_ms now)
{
	size_t at = 0;

	for (int left = PATIENCE / 10;; left--) {
		ssize_t n = recv(fd, buf + at, cap - at, 0);

		assert_true(left > 0 && at < cap);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != ENOTCONN))
			return at;
		at += n > 0 ? (size_t)n : 0;
		if (n < 0)
			turn(t, NULL, NULL, now);
	}
}

/* Len 4; 7.01; Max-Message-Size (2): 1152; Block-Wise-Transfer (4) */
#define CSM 0x40, 0xe1, 0x22, 0x04, 0x80, 0x20

/* A connection that has been greeted. */
static int raw_open(struct copse_transport *t, copse_ms now)
{
	const uint64_t before = count_of(t)->opened;
	int fd = raw_connect(t);

	SAY(fd, CSM);
	HEAR(t, fd, now, CSM);
	UNTIL(t, NULL, NULL, now, count_of(t)->opened > before);
	return fd;
}

/* One message from the raw peers, into the first of `in`. */
static void receive_one(struct copse_transport *t, struct batch *in, copse_ms now)
{
	size_t n = 0;

	for (int left = PATIENCE / 10; n == 0; left--) {
		assert_true(left > 0);
		n = turn(t, NULL, in, now);
	}
	assert_int_equal(n, 1);
}

/* Whatever `fd` says, the connection is aborted (7.05), and why is what `counter` counts. */
static void assert_aborted(struct copse_transport *t, int fd, copse_ms now, const uint64_t *counter)
{
	uint8_t buf[512];
	uint64_t before = *counter;
	size_t n = raw_hear_end(t, fd, buf, sizeof buf, now);
	bool found = false;

	for (size_t i = 0; i < n; i++)
		found |= buf[i] == COPSE_CODE_ABORT;
	assert_true(found);
	assert_int_equal(*counter, before + 1);
	close(fd);
}

/* Send what does not leave. */
static void send_nothing(struct copse_transport *t, const struct copse_peer *peer, uint8_t *bytes,
			 uint32_t len)
{
	struct copse_datagram d = {.peer = *peer, .data = bytes, .len = len}, *list = &d;

	assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	assert_true(d.flags & COPSE_DATAGRAM_DROPPED);
}

/* ---- the tests ---- */

static void requests_and_answers(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0});
	struct batch in = batch_new(4, 2000);
	struct copse_peer peer;
	int fd = raw_open(t, 0);

	(void)state;
	/* Len 0, TKL 1; 0.01 GET; token 7: a confirmable request with an ID of ours */
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 0);
	assert_int_equal(in.d[0].len, 5);
	assert_int_equal(in.d[0].data[0], 0x41);
	assert_int_equal(in.d[0].data[1], COPSE_CODE_GET);
	assert_int_equal(in.d[0].data[4], 7);
	peer = in.d[0].peer;
	assert_true(peer.flags & COPSE_PEER_RELIABLE);

	/* an empty acknowledgement and a Reset are not sent; what is piggybacked is */
	uint8_t ack[] = {0x60, 0, in.d[0].data[2], in.d[0].data[3]}, rst[] = {0x70, 0, 0, 1};
	uint8_t answer[] = {0x61, 0x45, in.d[0].data[2], in.d[0].data[3], 7, 0xff, 'h', 'i'};
	send_nothing(t, &peer, ack, sizeof ack);
	send_nothing(t, &peer, rst, sizeof rst);
	send_one(t, &peer, answer, sizeof answer);
	HEAR(t, fd, 0, 0x31, 0x45, 0x07, 0xff, 'h', 'i');
	assert_int_equal(t->counters.sent, 1);
	assert_false(t->more);

	/* what is confirmable is acknowledged at once, under its own ID */
	uint8_t apart[] = {0x51 & 0x4f, 0x45, 0xab, 0xcd, 7};
	send_one(t, &peer, apart, sizeof apart);
	assert_true(t->more);
	receive_one(t, &in, 0);
	const uint8_t acknowledged[] = {0x60, 0, 0xab, 0xcd};
	assert_int_equal(in.d[0].len, 4);
	assert_memory_equal(in.d[0].data, acknowledged, 4);
	assert_true(copse_peer_equal(&in.d[0].peer, &peer));
	HEAR(t, fd, 0, 0x01, 0x45, 0x07);

	/* a response from there is non-confirmable */
	SAY(fd, 0x01, 0x45, 0x09);
	receive_one(t, &in, 0);
	assert_int_equal(in.d[0].data[0], 0x51);
	batch_free(&in);
	close(fd);
	copse_transport_close(t);
}

static void a_stream_is_cut_anywhere(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0});
	/* a GET of /test, an empty message, a PUT with 13 bytes of payload and token */
	static const uint8_t stream[] = {CSM,  0x50, 0x01, 0xb4, 't',  'e', 's', 't', 0x00, 0x00,
					 0xd1, 1,    0x03, 0x55, 0xff, '0', '1', '2', '3',  '4',
					 '5',  '6',  '7',  '8',  '9',  'a', 'b', 'c'};
	(void)state;
	for (size_t piece = 1; piece <= sizeof stream; piece += piece < 4 ? 1 : 9) {
		struct batch in = batch_new(8, 2000);
		int fd = raw_connect(t);
		size_t got = 0;

		for (size_t at = 0; at < sizeof stream; at += piece) {
			size_t n = sizeof stream - at < piece ? sizeof stream - at : piece;

			raw_say(fd, stream + at, n);
			got += copse_transport_receive(t, in.d + got, in.n - got, 0);
		}
		for (int left = PATIENCE / 10; got < 2; left--) {
			struct batch rest = {.d = in.d + got, .n = in.n - got};

			assert_true(left > 0);
			got += turn(t, NULL, &rest, 0);
		}
		assert_int_equal(got, 2);
		assert_int_equal(in.d[0].len, 9);
		assert_int_equal(in.d[1].len, 4 + 1 + 14);
		assert_memory_equal(in.d[1].data + in.d[1].len - 13, "0123456789abc", 13);
		close(fd);
		batch_free(&in);
	}
	assert_true(count_of(t)->empty > 0);
	copse_transport_close(t);
}

static void signals(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0});
	struct copse_peer peer;
	struct batch in = batch_new(4, 2000);
	int fd = raw_open(t, 0);

	(void)state;
	SAY(fd, 0x03, 0xe2, 1, 2, 3); /* 7.02 Ping with a token */
	HEAR(t, fd, 0, 0x03, 0xe3, 1, 2, 3);
	assert_int_equal(count_of(t)->pings, 1);
	SAY(fd, 0x10, 0xe1, 0x60); /* another CSM, with an elective option that nobody knows */
	SAY(fd, 0x00, 0xe6);       /* a signal that nobody knows */
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 0);
	peer = in.d[0].peer;

	/* our own ping, and its Pong */
	uint8_t ping[] = {0x40, 0, 0x12, 0x34};
	send_one(t, &peer, ping, sizeof ping);
	HEAR(t, fd, 0, 0x02, 0xe2, 0x12, 0x34);
	SAY(fd, 0x02, 0xe3, 0x12, 0x34);
	receive_one(t, &in, 0);
	const uint8_t rst[] = {0x70, 0, 0x12, 0x34};
	assert_memory_equal(in.d[0].data, rst, 4);

	/* an Abort is not answered */
	SAY(fd, 0x00, 0xe5);
	UNTIL(t, NULL, NULL, 0, count_of(t)->aborted_in == 1);
	assert_true(copse_transport_failure(t, &peer));
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

static void what_aborts(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0});
	const uint64_t *aborted = &count_of(t)->aborted_out;
	int fd;

	(void)state;
	fd = raw_connect(t);
	SAY(fd, 0x01, 0x01, 0x07); /* a request before the CSM */
	assert_aborted(t, fd, 0, aborted);
	fd = raw_connect(t);
	SAY(fd, 0x10, 0xe1, 0x30); /* a critical option in the CSM: Bad-CSM-Option */
	HEAR(t, fd, 0, CSM);
	{
		uint8_t buf[300];
		size_t n = raw_hear_end(t, fd, buf, sizeof buf, 0);
		struct copse_frame f;
		struct copse_signal s;

		assert_int_equal(copse_frame_parse(&f, buf, n, 300), 1);
		assert_int_equal(copse_signal_parse(&s, &f), 0);
		assert_int_equal(s.code, COPSE_CODE_ABORT);
		assert_int_equal(s.bad_csm_option, 3);
		close(fd);
	}
	fd = raw_open(t, 0);
	SAY(fd, 0x10, 0xe2, 0x30); /* one in a Ping */
	assert_aborted(t, fd, 0, aborted);
	fd = raw_open(t, 0);
	SAY(fd, 0x10, 0xe2, 0xf0); /* options that are none */
	assert_aborted(t, fd, 0, aborted);
	fd = raw_open(t, 0);
	SAY(fd, 0x09); /* TKL 9 */
	assert_aborted(t, fd, 0, aborted);
	fd = raw_open(t, 0);
	SAY(fd, 0xf0, 0xff, 0xff, 0xff, 0xff); /* 4 GB are announced */
	assert_aborted(t, fd, 0, aborted);
	fd = raw_open(t, 0);
	SAY(fd, 0xe0, 0x03, 0x70); /* 269 + 880 + 4 = 1153 */
	assert_aborted(t, fd, 0, aborted);
	assert_int_equal(*aborted, 7);
	copse_transport_close(t);
}

static void what_may_not_take_long(void **state)
{
	struct copse_transport *t =
	    server_of((struct copse_tcp_config){.handshake_ms = 100, .frame_ms = 50, .idle_ms = 5000});
	struct copse_tcp_usage usage;
	uint8_t buf[300];
	int fd;

	(void)state;
	fd = raw_connect(t);
	HEAR(t, fd, 1000, CSM);
	assert_int_equal(t->ops->tick(t, 1050), 1100);
	turn(t, NULL, NULL, 1100);
	assert_int_equal(count_of(t)->late, 1);
	raw_hear_end(t, fd, buf, sizeof buf, 1100);
	close(fd);

	fd = raw_open(t, 2000);
	SAY(fd, 0x50, 0x01, 0xb4, 't'); /* half a frame */
	UNTIL(t, NULL, NULL, 2001, t->ops->tick(t, 2001) == 2051);
	SAY(fd, 'e'); /* a little more does not help */
	turn(t, NULL, NULL, 2030);
	turn(t, NULL, NULL, 2051);
	assert_int_equal(count_of(t)->slow, 1);
	raw_hear_end(t, fd, buf, sizeof buf, 2051);
	close(fd);

	fd = raw_open(t, 3000);
	assert_int_equal(t->ops->tick(t, 3001), 8000);
	turn(t, NULL, NULL, 8000);
	assert_int_equal(count_of(t)->idle, 1);
	copse_tcp_usage(t, &usage);
	assert_int_equal(usage.connections + usage.beginning, 0);
	close(fd);
	copse_transport_close(t);
}

static void bounds_of_connections(void **state)
{
	struct copse_transport *t =
	    server_of((struct copse_tcp_config){.connections = 3, .per_address = 8, .rate = 100});
	struct copse_tcp_usage usage;
	uint8_t buf[300];
	int open[3], stranger[3];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		open[i] = raw_open(t, i);
	/* strangers take one another's place, and nobody else's */
	for (unsigned i = 0; i < 3; i++) {
		stranger[i] = raw_connect(t);
		HEAR(t, stranger[i], 10, CSM);
	}
	assert_int_equal(count_of(t)->displaced, 2);
	assert_int_equal(count_of(t)->evicted, 0);
	raw_hear_end(t, stranger[0], buf, sizeof buf, 10);
	SAY(stranger[2], CSM);
	UNTIL(t, NULL, NULL, 10, count_of(t)->opened == 3);
	/* among those that have greeted the one goes that was used least recently */
	SAY(open[0], 0x00, 0xe2);
	HEAR(t, open[0], 11, 0x00, 0xe3);
	open[2] = raw_open(t, 12);
	assert_int_equal(count_of(t)->evicted, 1);
	assert_int_equal(raw_hear_end(t, open[1], buf, sizeof buf, 12), 0);
	copse_tcp_usage(t, &usage);
	assert_int_equal(usage.connections, 3);
	for (unsigned i = 0; i < 3; i++) {
		close(open[i]);
		close(stranger[i]);
	}
	copse_transport_close(t);
}

static void bounds_of_an_address(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){.per_address = 2, .rate = 3});
	uint8_t buf[10];
	int fd[4];

	(void)state;
	fd[0] = raw_open(t, 1000);
	fd[1] = raw_open(t, 1000);
	fd[2] = raw_connect(t);
	assert_int_equal(raw_hear_end(t, fd[2], buf, sizeof buf, 1000), 0);
	assert_int_equal(count_of(t)->refused_address, 1);
	close(fd[0]);
	UNTIL(t, NULL, NULL, 1000, count_of(t)->closed == 1);
	/* three in a second: the fourth waits for its turn */
	fd[3] = raw_connect(t);
	UNTIL(t, NULL, NULL, 1000, count_of(t)->deferred >= 1);
	assert_int_equal(count_of(t)->accepted, 2);
	SAY(fd[3], CSM);
	HEAR(t, fd[3], 2500, CSM);
	for (unsigned i = 1; i < 4; i++)
		close(fd[i]);
	copse_transport_close(t);
}

/* Answers of `type` as long as the connection takes them, until `*counter` moves. */
static void send_many(struct copse_transport *t, const struct copse_peer *peer, uint8_t type,
		      const uint64_t *counter)
{
	uint8_t answer[1000] = {0x40, 0x45, 0, 1, 0xff};
	struct copse_datagram d = {.peer = *peer, .data = answer, .len = sizeof answer}, *list = &d;
	struct batch in = batch_new(8, 2000);
	const uint64_t before = *counter;

	answer[0] = (uint8_t)(0x40 | type << 4);
	for (int left = 100000; *counter == before; left--) {
		assert_true(left > 0);
		assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
		while (t->more)
			copse_transport_receive(t, in.d, in.n, 0);
	}
	assert_true(d.flags & COPSE_DATAGRAM_DROPPED);
	batch_free(&in);
}

static void a_peer_that_never_reads(void **state)
{
	/* the system counts this time, too, and its clock is not ours */
	struct copse_transport *t =
	    server_of((struct copse_tcp_config){.out_max = 20000, .stall_ms = 600000});
	struct batch in = batch_new(1, 2000);
	struct copse_tcp_usage usage;
	struct copse_peer peer;
	int fd = raw_open(t, 0);

	(void)state;
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 0);
	peer = in.d[0].peer;
	/* what is confirmable is refused when too much waits, and can be offered again */
	send_many(t, &peer, COPSE_CON, &count_of(t)->postponed);
	copse_tcp_usage(t, &usage);
	assert_true(usage.waiting > 15000 && usage.waiting <= 20000);
	/* and nothing more is read from who does not read */
	assert_int_equal(count_of(t)->paused, 1);
	SAY(fd, 0x01, 0x01, 0x08);
	for (int i = 0; i < 3; i++)
		assert_int_equal(copse_transport_receive(t, in.d, 1, 100), 0);
	/* until something is taken again */
	static uint8_t sink[1 << 22];
	size_t n = 0;
	for (int left = PATIENCE / 10; n == 0; left--) {
		assert_true(left > 0);
		(void)!recv(fd, sink, sizeof sink, 0);
		n = turn(t, NULL, &in, 100);
	}
	assert_int_equal(in.d[0].data[4], 8);
	/* what is not confirmable cannot wait for another time */
	send_many(t, &peer, COPSE_NON, &count_of(t)->overrun);
	assert_true(copse_transport_failure(t, &peer));
	close(fd);

	/* nothing is taken for too long */
	fd = raw_open(t, 1000);
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 1000);
	send_many(t, &in.d[0].peer, COPSE_CON, &count_of(t)->postponed);
	turn(t, NULL, NULL, 1000000);
	assert_int_equal(count_of(t)->stalled, 1);
	copse_tcp_usage(t, &usage);
	assert_int_equal(usage.waiting, 0);
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

struct gone {
	unsigned n;
	struct copse_peer peer;
};

static void note_end(void *self, const struct copse_peer *peer)
{
	struct gone *gone = self;

	gone->n++;
	gone->peer = *peer;
}

/* A server's peer is a connection; what is sent to one that is gone comes back. */
static void peers_end_with_their_connection(void **state)
{
	struct gone gone = {0};
	struct copse_transport *t = server_of((struct copse_tcp_config){.ended = note_end, .self = &gone});
	struct copse_address at;
	struct batch in = batch_new(1, 2000);
	struct copse_peer first, second, failed;
	int fd = raw_open(t, 0);

	(void)state;
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 0);
	first = in.d[0].peer;
	close(fd);
	UNTIL(t, NULL, NULL, 0, gone.n == 1);
	assert_true(copse_peer_equal(&gone.peer, &first));
	assert_true(t->failed && copse_transport_failure(t, &failed));
	assert_true(copse_peer_equal(&failed, &first));
	assert_false(t->failed || copse_transport_failure(t, &failed));
	for (unsigned type = COPSE_CON; type <= COPSE_ACK; type++) {
		uint8_t answer[] = {(uint8_t)(0x40 | type << 4), 0x45, 0, 9};
		struct copse_datagram d = {.peer = first, .data = answer, .len = 4}, *list = &d;

		assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
		assert_true(d.flags & COPSE_DATAGRAM_DROPPED);
		assert_int_equal(copse_transport_receive(t, in.d, 1, 0), type == COPSE_ACK ? 0 : 1);
		assert_int_equal(in.d[0].data[0], 0x70);
		assert_int_equal(in.d[0].data[3], 9);
	}
	assert_int_equal(count_of(t)->no_connection, 3);
	/* the next one from the same port is somebody else */
	copse_peer_address(&first, &at);
	fd = raw_open(t, 0);
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 0);
	second = in.d[0].peer;
	memcpy(second.key + 18, first.key + 18, 2); /* as if the port were the same */
	assert_false(copse_peer_equal(&first, &second));
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
	assert_int_equal(gone.n, 1);
}

/* ---- a client's side ---- */

static int raw_listen(struct copse_address *at)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*at = address("127.0.0.1", 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert_int_equal(bind(fd, &at->sa, at->len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, &at->sa, &at->len), 0);
	return fd;
}

static int raw_accept(int listener)
{
	int fd;

	wait_for(listener, POLLIN);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

static void a_client_waits_for_the_greeting(void **state)
{
	struct copse_transport *t = client_of((struct copse_tcp_config){0});
	struct batch in = batch_new(4, 2000);
	struct copse_address at;
	struct copse_peer peer, failed;
	int listener = raw_listen(&at), fd;
	uint8_t get[] = {0x41, 0x01, 0, 1, 7}, large[1300] = {0x40, 0x03, 0, 2, 0xff}, buf[1500];

	(void)state;
	assert_int_equal(copse_transport_peer(t, &at, &peer), 0);
	send_one(t, &peer, get, sizeof get);
	fd = raw_accept(listener);
	HEAR(t, fd, 0, CSM);
	assert_int_equal(recv(fd, buf, 1, 0), -1); /* and nothing else before the server's */
	SAY(fd, 0x30, 0xe1, 0x22, 0x04, 0xb0);     /* Max-Message-Size 1200 */
	HEAR(t, fd, 0, 0x01, 0x01, 0x07);
	UNTIL(t, NULL, &in, 0, copse_tcp_is_open(t, &peer));
	/* larger than the server takes: it comes back */
	struct copse_datagram d = {.peer = peer, .data = large, .len = sizeof large}, *list = &d;
	assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	assert_int_equal(count_of(t)->oversize, 1);
	receive_one(t, &in, 0);
	assert_int_equal(in.d[0].data[0], 0x70);
	/* an answer that goes nowhere else is replaced: 5.00 */
	large[0] = 0x60;
	assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	HEAR(t, fd, 0, 0x00, 0xa0);
	close(fd);
	UNTIL(t, NULL, &in, 0, t->failed);
	assert_true(copse_transport_failure(t, &failed) && copse_peer_equal(&failed, &peer));

	/* the next message begins anew; one that waits and turns out to be too large ends it */
	large[0] = 0x40;
	d.flags = 0;
	assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	fd = raw_accept(listener);
	SAY(fd, 0x00, 0xe1);
	UNTIL(t, NULL, &in, 0, t->failed);
	assert_int_equal(count_of(t)->oversize, 2);
	close(fd);
	close(listener);
	batch_free(&in);
	copse_transport_close(t);
}

static void a_client_that_cannot_connect(void **state)
{
	struct copse_transport *t = client_of((struct copse_tcp_config){.handshake_ms = 100});
	struct copse_address at;
	struct copse_peer peer, failed;
	int listener = raw_listen(&at), fd;
	uint8_t get[] = {0x41, 0x01, 0, 1, 7};
	bool network;

	(void)state;
	assert_null(copse_tcp_failure(t, &network));
	assert_int_equal(copse_transport_peer(t, &at, &peer), 0);
	send_one(t, &peer, get, sizeof get);
	fd = raw_accept(listener);
	UNTIL(t, NULL, NULL, 0, t->ops->tick(t, 0) == 100);
	turn(t, NULL, NULL, 100);
	assert_int_equal(count_of(t)->late, 1);
	assert_true(copse_transport_failure(t, &failed) && copse_peer_equal(&failed, &peer));
	assert_non_null(copse_tcp_failure(t, &network));
	close(fd);
	close(listener);
	send_one(t, &peer, get, sizeof get); /* nobody listens */
	UNTIL(t, NULL, NULL, 200, t->failed);
	assert_true(copse_transport_failure(t, &failed) && copse_peer_equal(&failed, &peer));
	assert_non_null(copse_tcp_failure(t, &network));
	assert_true(network);
	copse_transport_close(t);
}

/* RFC 8323 §5.5: the server answers what came before a client's Release, and then closes. */
static void a_client_that_releases(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0});
	struct batch in = batch_new(4, 2000);
	uint8_t ack[] = {0x61, 0x45, 0, 0, 7}, empty[] = {0x60, 0, 0, 0}, separate[] = {0x51, 0x45, 1, 2, 8};
	struct copse_peer peer;
	uint8_t byte;
	int fd = raw_open(t, 0);

	(void)state;
	/* two requests under way, one to be answered at once, the other later */
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 0);
	memcpy(ack + 2, in.d[0].data + 2, 2);
	peer = in.d[0].peer;
	SAY(fd, 0x01, 0x01, 0x08);
	receive_one(t, &in, 0);
	memcpy(empty + 2, in.d[0].data + 2, 2);
	SAY(fd, 0x00, 0xe4, 0x02, 0xe2, 1, 2); /* Release, Ping */
	HEAR(t, fd, 0, 0x02, 0xe3, 1, 2);
	assert_true(copse_tcp_is_open(t, &peer));
	send_nothing(t, &peer, empty, sizeof empty);
	send_one(t, &peer, ack, sizeof ack);
	HEAR(t, fd, 0, 0x01, 0x45, 0x07);
	assert_true(copse_tcp_is_open(t, &peer));
	send_one(t, &peer, separate, sizeof separate);
	HEAR(t, fd, 0, 0x01, 0x45, 0x08);
	assert_false(copse_tcp_is_open(t, &peer));
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	assert_int_equal(count_of(t)->closed, 1);
	assert_true(copse_transport_failure(t, &in.d[0].peer));
	assert_true(copse_peer_equal(&in.d[0].peer, &peer));
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

/* Notifications answer nothing that keeps a released connection open; with nothing to be answered it is closed at once. */
static void a_client_that_observes_and_releases(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0});
	struct batch in = batch_new(4, 2000);
	uint8_t first[] = {0x61, 0x45, 0, 0, 7, 0x61, 5}, next[] = {0x51, 0x45, 1, 1, 7, 0x61, 6};
	uint8_t refused[] = {0x70, 0, 0, 0}, byte;
	struct copse_peer peer;
	int fd = raw_open(t, 0);

	(void)state;
	SAY(fd, 0x11, 0x01, 0x07, 0x60); /* Observe: 0 */
	receive_one(t, &in, 0);
	peer = in.d[0].peer;
	memcpy(first + 2, in.d[0].data + 2, 2);
	send_one(t, &peer, first, sizeof first);
	HEAR(t, fd, 0, 0x21, 0x45, 0x07, 0x61, 5);
	/* another request, which the endpoint rejects in the end, and a notification in between */
	SAY(fd, 0x01, 0x01, 0x09);
	receive_one(t, &in, 0);
	memcpy(refused + 2, in.d[0].data + 2, 2);
	send_one(t, &peer, next, sizeof next);
	HEAR(t, fd, 0, 0x21, 0x45, 0x07, 0x61, 6);
	SAY(fd, 0x00, 0xe4, 0x02, 0xe2, 1, 2);
	HEAR(t, fd, 0, 0x02, 0xe3, 1, 2);
	send_one(t, &peer, next, sizeof next);
	HEAR(t, fd, 0, 0x21, 0x45, 0x07, 0x61, 6);
	assert_true(copse_tcp_is_open(t, &peer));
	send_nothing(t, &peer, refused, sizeof refused);
	assert_false(copse_tcp_is_open(t, &peer));
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);

	fd = raw_open(t, 0);
	SAY(fd, 0x00, 0xe4);
	UNTIL(t, NULL, &in, 0, count_of(t)->closed == 2);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

/* Who releases and never gets an answer is not kept for ever. */
static void a_client_that_releases_in_vain(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0});
	struct batch in = batch_new(4, 2000);
	int fd = raw_open(t, 0);

	(void)state;
	SAY(fd, 0x01, 0x01, 0x07);
	receive_one(t, &in, 0);
	SAY(fd, 0x00, 0xe4, 0x02, 0xe2, 1, 2);
	HEAR(t, fd, 0, 0x02, 0xe3, 1, 2);
	t->ops->tick(t, COPSE_SECONDS(60) - 1);
	assert_true(copse_tcp_is_open(t, &in.d[0].peer));
	t->ops->tick(t, COPSE_SECONDS(60));
	assert_false(copse_tcp_is_open(t, &in.d[0].peer));
	close(fd);
	batch_free(&in);
	copse_transport_close(t);
}

/* What was asked is still answered by the connection that the server has released; the next request has another. */
static void a_server_that_releases(void **state)
{
	struct copse_transport *t = client_of((struct copse_tcp_config){0});
	struct batch in = batch_new(4, 2000);
	struct copse_address at;
	struct copse_peer peer;
	int listener = raw_listen(&at), fd, other;
	uint8_t get[] = {0x51, 0x01, 0, 1, 7};

	(void)state;
	assert_int_equal(copse_transport_peer(t, &at, &peer), 0);
	send_one(t, &peer, get, sizeof get);
	fd = raw_accept(listener);
	SAY(fd, CSM);
	HEAR(t, fd, 0, CSM, 0x01, 0x01, 0x07);
	SAY(fd, 0x00, 0xe4);
	UNTIL(t, NULL, &in, 0, !copse_tcp_is_open(t, &peer));
	get[4] = 8;
	send_one(t, &peer, get, sizeof get);
	other = raw_accept(listener);
	SAY(other, CSM);
	HEAR(t, other, 0, CSM, 0x01, 0x01, 0x08);
	SAY(fd, 0x01, 0x45, 0x07);
	receive_one(t, &in, 0);
	assert_int_equal(in.d[0].data[4], 7);
	assert_true(copse_peer_equal(&in.d[0].peer, &peer));
	/* its end is no failure */
	close(fd);
	UNTIL(t, NULL, &in, 0, count_of(t)->closed == 1);
	assert_false(t->failed);
	close(other);
	close(listener);
	batch_free(&in);
	copse_transport_close(t);
}

/* Greet as a server that lets go at once, with a Release of these bytes. */
static void release_with(struct copse_transport *t, int listener, const struct copse_peer *peer,
			 const uint8_t *release, size_t len)
{
	static uint8_t get[] = {0x51, 0x01, 0, 1, 7};
	uint8_t heard[9];
	int fd;

	send_one(t, peer, get, sizeof get);
	fd = raw_accept(listener);
	SAY(fd, CSM);
	raw_hear(t, fd, heard, sizeof heard, 0);
	raw_say(fd, release, len);
	UNTIL(t, NULL, NULL, 0, !copse_tcp_is_open(t, peer));
	close(fd);
	UNTIL(t, NULL, NULL, 0, t->ops->tick(t, 0) == COPSE_NEVER);
}

static void wishes_with_a_release(void **state)
{
	static const uint8_t hold[] = {0x20, 0xe4, 0x41, 60}; /* Hold-Off (4): 60 s */
	struct copse_transport *t = client_of((struct copse_tcp_config){0});
	struct copse_address at, other_at;
	struct copse_peer peer, failed;
	int listener = raw_listen(&at), other = raw_listen(&other_at), fd;
	uint8_t get[] = {0x51, 0x01, 0, 1, 7}, release[64];
	char text[COPSE_ADDRESS_TEXT];
	bool network;

	(void)state;
	assert_int_equal(copse_transport_peer(t, &at, &peer), 0);
	release_with(t, listener, &peer, hold, sizeof hold);
	send_nothing(t, &peer, get, sizeof get);
	assert_int_equal(count_of(t)->held, 1);
	assert_true(copse_transport_failure(t, &failed) && copse_peer_equal(&failed, &peer));
	assert_non_null(strstr(copse_tcp_failure(t, &network), "for a while"));

	/* when that time is over it is elsewhere: Alternative-Address (2), another port of the same host */
	struct copse_datagram d = {.peer = peer, .data = get, .len = sizeof get}, *list = &d;

	assert_int_equal(copse_transport_send(t, &list, 1, 59999), 1);
	assert_int_equal(count_of(t)->held, 2);
	assert_int_equal(copse_transport_send(t, &list, 1, 60000), 1);
	fd = raw_accept(listener);
	SAY(fd, CSM);
	copse_address_text(&other_at, text, sizeof text);
	assert_in_range(strlen(text), 13, 200);
	const size_t n = strlen(text);

	release[0] = 0xd0;
	release[1] = (uint8_t)(n + 2 - 13);
	release[2] = 0xe4;
	release[3] = 0x2d;
	release[4] = (uint8_t)(n - 13);
	memcpy(release + 5, text, n);
	raw_say(fd, release, 5 + n);
	UNTIL(t, NULL, NULL, 60000, count_of(t)->opened == 2 && !copse_tcp_is_open(t, &peer));
	close(fd);
	assert_int_equal(copse_transport_send(t, &list, 1, 60000), 1);
	fd = raw_accept(other);
	close(fd);
	/* which failed: where it was again */
	UNTIL(t, NULL, NULL, 60000, count_of(t)->failed == 1);
	assert_int_equal(copse_transport_send(t, &list, 1, 60000), 1);
	fd = raw_accept(listener);
	SAY(fd, CSM);
	/* another host is not believed in the clear */
	raw_say(fd,
		(const uint8_t[]){0xc0, 0xe4, 0x2b, '1', '2', '7', '.', '0', '.', '0', '.', '9', ':', '7'},
		14);
	UNTIL(t, NULL, NULL, 60000, count_of(t)->opened == 3 && !copse_tcp_is_open(t, &peer));
	close(fd);
	assert_int_equal(copse_transport_send(t, &list, 1, 60000), 1);
	fd = raw_accept(listener);
	close(fd);
	close(listener);
	close(other);
	copse_transport_close(t);
}

/* A Release whose Alternative-Addresses (2) are `to`, each of 13 to 250 bytes. Returns its length. */
static size_t alternatives(uint8_t *frame, const char *const *to, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		const size_t text = strlen(to[i]);

		assert_in_range(text, 13, 250);
		frame[4 + len++] = i == 0 ? 0x2d : 0x0d;
		frame[4 + len++] = (uint8_t)(text - 13);
		memcpy(frame + 4 + len, to[i], text);
		len += text;
	}
	assert_in_range(len, 269, 1000);
	frame[0] = 0xe0;
	frame[1] = (uint8_t)((len - 269) >> 8);
	frame[2] = (uint8_t)(len - 269);
	frame[3] = 0xe4;
	return 4 + len;
}

/* One after the other, without those that are not to be believed, and home again. */
static void release_to_several(struct copse_tcp_config config, const char *name)
{
	struct copse_transport *t = client_of(config);
	struct copse_address at, first_at, named_at;
	struct copse_peer peer;
	int listener = raw_listen(&at), first = raw_listen(&first_at), named = raw_listen(&named_at), fd;
	uint8_t get[] = {0x51, 0x01, 0, 1, 7}, release[1024];
	char one[COPSE_ADDRESS_TEXT], two[300], long_one[230];
	struct copse_datagram d = {.data = get, .len = sizeof get}, *list = &d;

	memset(long_one, '!', sizeof long_one - 1);
	long_one[sizeof long_one - 1] = '\0';
	copse_address_text(&first_at, one, sizeof one);
	snprintf(two, sizeof two, "%s:%05u", name, copse_address_port(&named_at));
	assert_int_equal(copse_transport_peer(t, &at, &peer), 0);
	d.peer = peer;
	release_with(t, listener, &peer, release,
		     alternatives(release, (const char *const[]){long_one, one, "127.0.0.9:5683", two}, 4));
	assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	fd = raw_accept(first);
	close(fd);
	UNTIL(t, NULL, NULL, 0, count_of(t)->failed == 1);
	assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	if (config.look_up) {
		fd = raw_accept(named);
		close(fd);
		UNTIL(t, NULL, NULL, 0, count_of(t)->failed == 2);
		assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	}
	fd = raw_accept(listener);
	close(fd);
	close(listener);
	close(first);
	close(named);
	copse_transport_close(t);
}

static void a_release_to_several_places(void **state)
{
	struct copse_address a;
	(void)state;
	release_to_several((struct copse_tcp_config){0}, "localhost");
	/* a name that is one everywhere; if not, an address stands for it */
	const bool known = copse_resolve("localhost", 1, AF_INET, &a, 1, NULL) == 1;
	release_to_several((struct copse_tcp_config){.look_up = true}, known ? "localhost" : "127.0.0.1");
}

/* What the peer says when it aborts is told, on one line and without its control characters. */
static void an_abort_has_reasons(void **state)
{
	struct copse_transport *t = client_of((struct copse_tcp_config){0});
	struct copse_address at;
	struct copse_peer peer;
	int listener = raw_listen(&at), fd;
	uint8_t get[] = {0x51, 0x01, 0, 1, 7};
	bool network;

	(void)state;
	assert_int_equal(copse_transport_peer(t, &at, &peer), 0);
	send_one(t, &peer, get, sizeof get);
	fd = raw_accept(listener);
	/* Bad-CSM-Option (2): 2; "no\33!" */
	SAY(fd, 0x70, 0xe5, 0x21, 0x02, 0xff, 'n', 'o', 0x1b, '!');
	UNTIL(t, NULL, NULL, 0, count_of(t)->aborted_in == 1);
	assert_string_equal(copse_tcp_failure(t, &network),
			    "the peer aborted the connection, for option 2 of our greeting: no?!");
	assert_false(network);
	close(fd);
	close(listener);
	copse_transport_close(t);
}

/* ---- TLS ---- */

static void meet(struct copse_secure *server, struct copse_secure *client, const char *at_server)
{
	struct copse_transport *b = server_of((struct copse_tcp_config){.secure = server});
	struct copse_transport *a = client_of((struct copse_tcp_config){.secure = client});
	struct batch in = batch_new(1, 2000);
	struct copse_peer peer = to(a, b);
	uint8_t get[] = {0x51, 0x01, 0, 1, 7};
	char text[200];
	bool network;

	copse_secure_unref(server);
	copse_secure_unref(client);
	assert_string_equal(a->scheme, "coaps+tcp");
	send_one(a, &peer, get, sizeof get);
	if (!at_server) {
		UNTIL(b, a, &in, 0, a->failed && count_of(b)->failed == 1);
		assert_non_null(copse_tcp_failure(a, &network));
		assert_false(network);
		assert_int_equal(count_of(a)->opened + count_of(b)->opened, 0);
	} else {
		for (int left = PATIENCE / 10; turn(b, a, &in, 0) == 0; left--)
			assert_true(left > 0);
		assert_int_equal(in.d[0].data[4], 7);
		assert_string_equal(copse_tcp_identity(b, &in.d[0].peer, text, sizeof text), at_server);
		assert_true(copse_transport_is_tls(a) && copse_transport_is_tls(b));
	}
	batch_free(&in);
	copse_transport_close(a);
	copse_transport_close(b);
}

static void tls_with_pre_shared_keys(void **state)
{
	(void)state;
	meet(psk_side(true, KEY), psk_side(false, KEY), "psk:alice");
	meet(psk_side(true, KEY), psk_side(false, "another good key"), NULL);
}

static void tls_with_certificates(void **state)
{
	(void)state;
	meet(certificate_side(true, false, false), certificate_side(false, false, false),
	     "x509:CN=client.example");
	meet(certificate_side(true, false, true), certificate_side(false, false, false), NULL);
}

static void tls_with_raw_keys(void **state)
{
	struct copse_secure *server = certificate_side(true, true, false),
			    *client = certificate_side(false, true, false);
	struct copse_transport *b = server_of((struct copse_tcp_config){.secure = server});
	struct copse_transport *a = client_of((struct copse_tcp_config){.secure = client});
	struct batch in = batch_new(1, 2000);
	struct copse_peer peer = to(a, b);
	uint8_t get[] = {0x51, 0x01, 0, 1, 7};
	char text[200];

	(void)state;
	copse_secure_unref(server);
	copse_secure_unref(client);
	send_one(a, &peer, get, sizeof get);
	for (int left = PATIENCE / 10; turn(b, a, &in, 0) == 0; left--)
		assert_true(left > 0);
	assert_memory_equal(copse_tcp_identity(b, &in.d[0].peer, text, sizeof text), "rpk:", 4);
	batch_free(&in);
	copse_transport_close(a);
	copse_transport_close(b);
	meet(certificate_side(true, true, true), certificate_side(false, true, false), NULL);
}

/* Who speaks no TLS, and who only begins. */
static void tls_and_strangers(void **state)
{
	struct copse_secure *secure = psk_side(true, KEY);
	struct copse_transport *t =
	    server_of((struct copse_tcp_config){.secure = secure, .handshake_ms = 100});
	uint8_t buf[300];
	int fd;

	(void)state;
	copse_tcp_adopt(t, secure);
	copse_secure_unref(secure);
	fd = raw_connect(t);
	SAY(fd, CSM, 0x01, 0x01, 0x07, 0, 0, 0, 0, 0);
	raw_hear_end(t, fd, buf, sizeof buf, 0);
	assert_int_equal(count_of(t)->failed, 1);
	close(fd);
	fd = raw_connect(t);
	SAY(fd, 22, 3, 1, 0); /* the head of a record, without its end */
	UNTIL(t, NULL, NULL, 1000, count_of(t)->accepted == 2);
	turn(t, NULL, NULL, 1100);
	assert_int_equal(count_of(t)->late, 1);
	raw_hear_end(t, fd, buf, sizeof buf, 1100);
	close(fd);
	copse_transport_close(t);
}

static void opening_fails(void **state)
{
	struct copse_transport *t = server_of((struct copse_tcp_config){0}), *other = NULL;
	struct copse_tcp_config config = {.server = true};
	char why[200];

	(void)state;
	copse_transport_local(t, NULL, &config.bind);
	assert_int_equal(copse_tcp_open(&config, &other, why, sizeof why), COPSE_ERR_ARGUMENT);
	assert_non_null(strstr(why, "cannot listen at 127.0.0.1:"));
	assert_null(other);
	assert_true(copse_transport_is_tcp(t) && !copse_transport_is_tls(t));
	copse_transport_close(t);
}

int main(void)
{
	const struct suite suites[] = {
	    {.name = "TCP",
	     .open = suite_client,
	     .open_other = suite_server,
	     .join = join,
	     .reach = suite_reach,
	     .foreign = "224.0.1.187",
	     .max = COPSE_TCP_MESSAGE_MAX,
	     .coap = true},
	    {.name = "WebSocket",
	     .open = suite_ws_client,
	     .open_other = suite_ws_server,
	     .join = join,
	     .reach = suite_reach,
	     .foreign = "224.0.1.187",
	     .max = COPSE_TCP_MESSAGE_MAX,
	     .coap = true},
	    {.name = "WebSocket by TLS",
	     .open = suite_wss_client,
	     .open_other = suite_wss_server,
	     .join = join,
	     .reach = suite_reach,
	     .foreign = "ff02::fd%lo",
	     .max = COPSE_TCP_MESSAGE_MAX,
	     .coap = true},
	    {.name = "TLS",
	     .open = suite_secure_client,
	     .open_other = suite_secure_server,
	     .join = join,
	     .reach = suite_reach,
	     .foreign = "ff02::fd%lo",
	     .max = COPSE_TCP_MESSAGE_MAX,
	     .coap = true},
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_and_answers),
	    cmocka_unit_test(a_stream_is_cut_anywhere),
	    cmocka_unit_test(signals),
	    cmocka_unit_test(what_aborts),
	    cmocka_unit_test(what_may_not_take_long),
	    cmocka_unit_test(bounds_of_connections),
	    cmocka_unit_test(bounds_of_an_address),
	    cmocka_unit_test(a_peer_that_never_reads),
	    cmocka_unit_test(peers_end_with_their_connection),
	    cmocka_unit_test(a_client_waits_for_the_greeting),
	    cmocka_unit_test(a_client_that_cannot_connect),
	    cmocka_unit_test(a_client_that_releases),
	    cmocka_unit_test(a_client_that_observes_and_releases),
	    cmocka_unit_test(a_client_that_releases_in_vain),
	    cmocka_unit_test(a_server_that_releases),
	    cmocka_unit_test(wishes_with_a_release),
	    cmocka_unit_test(a_release_to_several_places),
	    cmocka_unit_test(an_abort_has_reasons),
	    cmocka_unit_test(tls_with_pre_shared_keys),
	    cmocka_unit_test(tls_with_certificates),
	    cmocka_unit_test(tls_with_raw_keys),
	    cmocka_unit_test(tls_and_strangers),
	    cmocka_unit_test(opening_fails),
	};
	int failed = 0;

	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
		failed += suite_run(&suites[i]);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
