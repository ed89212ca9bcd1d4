/* Tests of the load's connections against a server of frames (RFC 8323) in a thread, which greets, answers each request, and
 * may hang up after some of them. No assertion depends on how fast the machine is.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load.h"
#include "load_link.h"
#include "report.h"

#include <copse/frame.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNECTIONS 32

struct connection {
	int fd;
	size_t len;
	unsigned answered;
	uint8_t bytes[4000];
};

static struct {
	int fd;
	unsigned hang_up; /* after so many answers; 0: never */
	unsigned observe; /* notifications of each registration */
	bool deaf;        /* takes connections and says nothing */
	pthread_t thread;
	atomic_bool end;
	atomic_uint accepted, requests, cancelled;
	unsigned n;
	struct connection conn[CONNECTIONS];
} server;

static struct load_wire *wire;
static struct load *load;
static struct load_result result;

static void put(int fd, uint8_t code, const struct copse_frame *q, int observe)
{
	uint8_t head[COPSE_FRAME_HEAD_MAX], rest[2] = {0x61, (uint8_t)observe}; /* Observe, one byte */
	const size_t n = observe ? sizeof(rest) : 0;
	const size_t len = copse_frame_head(head, code, q ? q->token : NULL, q ? q->token_len : 0, n);

	if (send(fd, head, len, MSG_NOSIGNAL) == (ssize_t)len && n)
		(void)!send(fd, rest, n, MSG_NOSIGNAL);
}

/* Returns whether the connection goes on. */
static bool answer(struct connection *c, const struct copse_frame *q)
{
	if (q->code == COPSE_CODE_PING)
		put(c->fd, COPSE_CODE_PONG, q, 0);
	if (!copse_code_is_request(q->code))
		return true;
	server.requests++;
	if (server.hang_up && c->answered == server.hang_up)
		return false; /* unanswered */
	c->answered++;
	if (server.observe && q->rest_len && q->rest[0] == 0x60) { /* Observe: 0 */
		for (unsigned i = 0; i <= server.observe; i++)
			put(c->fd, COPSE_CODE_CONTENT, q, (int)i + 1);
		return true;
	}
	server.cancelled += server.observe > 0;
	put(c->fd, COPSE_CODE_CONTENT, q, 0);
	return true;
}

static bool take(struct connection *c)
{
	struct copse_frame f;
	const ssize_t n = recv(c->fd, c->bytes + c->len, sizeof(c->bytes) - c->len, 0);

	if (n <= 0)
		return false;
	c->len += (size_t)n;
	while (copse_frame_parse(&f, c->bytes, c->len, sizeof(c->bytes)) > 0) {
		if (!answer(c, &f))
			return false;
		c->len -= f.len;
		memmove(c->bytes, c->bytes + f.len, c->len);
	}
	return true;
}

static void accept_one(void)
{
	const int fd = accept(server.fd, NULL, NULL);

	assert_true(fd >= 0 && server.n < CONNECTIONS);
	server.conn[server.n++] = (struct connection){.fd = fd};
	server.accepted++;
	if (!server.deaf)
		put(fd, COPSE_CODE_CSM, NULL, 0);
}

static void *serve(void *unused)
{
	struct pollfd p[CONNECTIONS + 1];

	(void)unused;
	while (!server.end) {
		p[0] = (struct pollfd){.fd = server.fd, .events = POLLIN};
		for (unsigned i = 0; i < server.n; i++)
			p[i + 1] = (struct pollfd){.fd = server.conn[i].fd, .events = POLLIN};
		const unsigned n = server.n;
		if (poll(p, n + 1, 10) <= 0)
			continue;
		for (unsigned i = n; i > 0; i--) {
			if (!p[i].revents || take(&server.conn[i - 1]))
				continue;
			close(server.conn[i - 1].fd);
			server.conn[i - 1] = server.conn[--server.n];
		}
		if (p[0].revents)
			accept_one();
	}
	return NULL;
}

static struct load_wire_config start(uint32_t clients, uint32_t window)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct load_wire_config config = {.clients = clients, .window = window, .stream = true};
	socklen_t len = sizeof(a);

	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(server.fd >= 0 && bind(server.fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	assert_int_equal(listen(server.fd, CONNECTIONS), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(copse_address_from((struct sockaddr *)&a, sizeof(a), &config.to), 0);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	return config;
}

static void begin(uint32_t clients, uint32_t window)
{
	const struct load_wire_config config = start(clients, window);
	int code;

	wire = load_wire_open(&config, &code);
	assert_non_null(wire);
	load = load_new(wire, clients, window, 7);
	assert_non_null(load);
}

static void stop_server(void)
{
	server.end = true;
	pthread_join(server.thread, NULL);
	for (unsigned i = 0; i < server.n; i++)
		close(server.conn[i].fd);
	close(server.fd);
}

static void end(void)
{
	stop_server();
	load_free(load);
	load_wire_close(wire);
}

static int fresh(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	return 0;
}

static uint8_t path[] = {0xb1, 'x'}; /* Uri-Path "x" */
static const struct load_template template = {path, sizeof(path)};

static struct load_work work(enum load_kind kind, uint64_t requests, uint32_t window)
{
	return (struct load_work){.kind = kind,
				  .code = COPSE_CODE_GET,
				  .confirmable = true,
				  .templates = &template,
				  .template_n = 1,
				  .window = window,
				  .at_once = 4,
				  .requests = requests,
				  .timeout = 60ull * LOAD_SECOND};
}

static void test_closed_loop(void **state)
{
	(void)state;
	begin(5, 3);
	const struct load_work w = work(LOAD_RUN, 100, 3);
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.begun, 100);
	assert_int_equal(result.answered, 100);
	assert_int_equal(result.retransmitted + result.timed_out + result.reset + result.lost + result.strays,
			 0);
	assert_int_equal(result.wire.sent, 100);
	assert_int_equal(result.wire.connections, 5);
	assert_int_equal(result.wire.reconnections + result.wire.ended, 0);
	assert_int_equal(server.accepted, 5);
	assert_int_equal(server.requests, 100);
}

/* More under way than a connection may have waiting at its beginning, and than fit into one read. */
static void test_wide_window(void **state)
{
	(void)state;
	begin(1, 600);
	struct load_work w = work(LOAD_RUN, 3000, 600);
	w.payload = (const uint8_t *)"a payload that fills the connection's buffers a little sooner";
	w.payload_len = strlen((const char *)w.payload);
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.answered, 3000);
	assert_int_equal(server.requests, 3000);
}

static void test_constant_rate(void **state)
{
	(void)state;
	begin(3, 2);
	struct load_work w = work(LOAD_RUN, 60, 2);
	w.rate = 2000;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.answered, 60);
	assert_int_equal(server.accepted, 3);
}

/* What was under way is lost and counted, and the client goes on with another connection. */
static void test_reconnects(void **state)
{
	(void)state;
	server.hang_up = 4;
	begin(2, 1);
	const struct load_work w = work(LOAD_RUN, 22, 1);
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.begun, 22);
	assert_int_equal(result.answered + result.lost, 22);
	assert_true(result.lost >= 3 &&
		    result.lost <= 4); /* each 5th of a client; how the 22 are shared is open */
	assert_int_equal(result.wire.ended, result.lost);
	assert_int_equal(result.wire.connections, 2 + result.wire.reconnections);
	assert_true(result.wire.reconnections >= 2 && result.wire.reconnections <= result.lost);
	assert_int_equal(result.timed_out, 0);
}

/* The server goes for good: nothing waits for its answers, and the load ends. */
static void test_server_gone(void **state)
{
	(void)state;
	begin(2, 2);
	stop_server();
	const struct load_work w = work(LOAD_RUN, 6, 2);
	load_run(load, &w, &result);
	load_free(load);
	load_wire_close(wire);
	assert_int_equal(result.begun, 6);
	assert_int_equal(result.lost, 6);
	assert_int_equal(result.answered + result.timed_out, 0);
}

static void test_observations(void **state)
{
	(void)state;
	server.observe = 3;
	begin(4, 1);
	const struct load_work w = work(LOAD_OBSERVE, 12, 1);
	load_run(load, &w, &result);
	while (server.cancelled < 4)
		poll(NULL, 0, 5);
	end();
	assert_int_equal(result.observing, 4);
	assert_int_equal(result.answered, 4);
	assert_int_equal(result.notifications, 12);
}

/* A connection that ends with its observation is made again, and so is the observation. */
static void test_observes_again(void **state)
{
	struct load_work w;

	(void)state;
	server.observe = 2;
	server.hang_up = 1; /* the second request of a connection ends it: that of the window's other place */
	begin(1, 2);
	w = work(LOAD_OBSERVE, 6, 2);
	load_run(load, &w, &result);
	end();
	assert_true(result.notifications >= 6);
	assert_true(result.wire.ended >= 2);
	assert_true(result.lost >= 2);
	assert_true(result.begun >=
		    5); /* two, and two more for each connection that has ended before the end */
}

/* Not a single connection: an error, and no run. */
static void test_nobody_there(void **state)
{
	struct load_wire_config config = start(3, 1);
	int code = 0;

	(void)state;
	report_setup(COLOR_NEVER, true, false);
	stop_server();
	assert_null(load_wire_open(&config, &code));
	assert_int_equal(code, EXIT_UNREACHABLE);
}

static void test_never_greets(void **state)
{
	struct load_wire_config config;
	int code = 0;

	(void)state;
	report_setup(COLOR_NEVER, true, false);
	server.deaf = true;
	config = start(3, 1);
	config.handshake_ms = 200;
	assert_null(load_wire_open(&config, &code));
	stop_server();
	assert_int_not_equal(code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_closed_loop, fresh),
	    cmocka_unit_test_setup(test_wide_window, fresh),
	    cmocka_unit_test_setup(test_constant_rate, fresh),
	    cmocka_unit_test_setup(test_reconnects, fresh),
	    cmocka_unit_test_setup(test_server_gone, fresh),
	    cmocka_unit_test_setup(test_observations, fresh),
	    cmocka_unit_test_setup(test_observes_again, fresh),
	    cmocka_unit_test_setup(test_nobody_there, fresh),
	    cmocka_unit_test_setup(test_never_greets, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
