/* Tests of the load's engine against a server in a thread that behaves as each test wants: it answers at once, later, twice,
 * after an Echo, or not to the first transmission. No assertion depends on how fast the machine is.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum habit { AT_ONCE, SEPARATE, TWICE, SECOND_TIME, WITH_ECHO, STALL, BUSY, OBSERVABLE, RESETS, SILENT };

struct server {
	int fd;
	enum habit habit;
	pthread_t thread;
	atomic_bool end;
	atomic_uint requests, acknowledged, resets, clients, cancelled;
	struct sockaddr_in seen[64];
	uint16_t id;
};

static struct server server;
static struct load_wire *wire;
static struct load *load;

static void reply(const struct copse_message *q, const struct sockaddr_in *to, enum copse_type type,
		  uint8_t code, int observe)
{
	uint8_t out[100];
	struct copse_builder b;
	uint16_t id = type == COPSE_ACK || type == COPSE_RST ? q->id : ++server.id;
	bool empty = code == COPSE_CODE_EMPTY;

	copse_build_message(&b, out, sizeof(out), type, code, id, copse_message_token(q),
			    empty ? 0 : q->token_len);
	if (observe)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, (uint32_t)observe);
	if (code == COPSE_CODE_UNAUTHORIZED)
		copse_build_option(&b, COPSE_OPTION_ECHO, "echo", 4);
	if (code == COPSE_CODE_SERVICE_UNAVAILABLE)
		copse_build_uint(&b, COPSE_OPTION_MAX_AGE, 0);
	if (code == COPSE_CODE_CONTENT)
		copse_build_payload(&b, "hello", 5);
	int len = copse_build_finish(&b);

	sendto(server.fd, out, len > 0 ? (size_t)len : 0, 0, (const struct sockaddr *)to, sizeof(*to));
}

static unsigned meet(const struct sockaddr_in *from)
{
	for (unsigned i = 0; i < server.clients; i++)
		if (memcmp(&server.seen[i], from, sizeof(*from)) == 0)
			return i;
	if (server.clients < 64)
		server.seen[server.clients++] = *from;
	return server.clients - 1;
}

static void observe(const struct copse_message *q, const struct sockaddr_in *from)
{
	if (copse_message_uint(q, COPSE_OPTION_OBSERVE, 1) == 1) {
		server.cancelled++;
		reply(q, from, COPSE_ACK, COPSE_CODE_CONTENT, 0);
		return;
	}
	reply(q, from, COPSE_ACK, COPSE_CODE_CONTENT, 1);
	reply(q, from, COPSE_NON, COPSE_CODE_CONTENT, 2);
	reply(q, from, COPSE_CON, COPSE_CODE_CONTENT, 3);
}

static void answer(const struct copse_message *q, const struct sockaddr_in *from, unsigned number)
{
	enum copse_type type = q->type == COPSE_CON ? COPSE_ACK : COPSE_NON;
	struct timespec second = {.tv_sec = 1};

	switch (server.habit) {
	case AT_ONCE: reply(q, from, type, COPSE_CODE_CONTENT, 0); break;
	case TWICE:
		reply(q, from, type, COPSE_CODE_CONTENT, 0);
		reply(q, from, type, COPSE_CODE_CONTENT, 0);
		break;
	case SEPARATE:
		reply(q, from, COPSE_ACK, COPSE_CODE_EMPTY, 0);
		reply(q, from, COPSE_CON, COPSE_CODE_CONTENT, 0);
		break;
	case SECOND_TIME:
		if (number >= 3)
			reply(q, from, type, COPSE_CODE_CONTENT, 0);
		break;
	case WITH_ECHO:
		reply(q, from, type,
		      copse_message_option(q, COPSE_OPTION_ECHO) ? COPSE_CODE_CONTENT
								 : COPSE_CODE_UNAUTHORIZED,
		      0);
		break;
	case STALL:
		if (number == 0)
			nanosleep(&second, NULL);
		reply(q, from, type, COPSE_CODE_CONTENT, 0);
		break;
	case BUSY:
		reply(q, from, type, number == 0 ? COPSE_CODE_SERVICE_UNAVAILABLE : COPSE_CODE_CREATED, 0);
		break;
	case OBSERVABLE: observe(q, from); break;
	case RESETS: reply(q, from, COPSE_RST, COPSE_CODE_EMPTY, 0); break;
	case SILENT: break;
	}
}

static void *serve(void *unused)
{
	uint8_t bytes[2000];
	struct sockaddr_in from;
	struct pollfd p = {.fd = server.fd, .events = POLLIN};

	(void)unused;
	while (!server.end) {
		socklen_t len = sizeof(from);
		struct copse_message m;
		if (poll(&p, 1, 10) <= 0)
			continue;
		ssize_t n = recvfrom(server.fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);
		if (n < 0 || copse_message_parse(&m, bytes, (size_t)n))
			continue;
		if (m.code == COPSE_CODE_EMPTY) {
			server.acknowledged += m.type == COPSE_ACK;
			server.resets += m.type == COPSE_RST;
			continue;
		}
		meet(&from);
		answer(&m, &from, server.requests++);
	}
	return NULL;
}

static struct sockaddr_in start(enum habit habit)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	memset(&server, 0, sizeof(server));
	server.habit = habit;
	server.fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(server.fd >= 0 && bind(server.fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	return a;
}

static void begin(enum habit habit, uint32_t clients, uint32_t window, const char *local)
{
	struct sockaddr_in a = start(habit);
	struct load_wire_config config = {.clients = clients, .local_address = local};
	int code;

	assert_int_equal(copse_address_from((struct sockaddr *)&a, sizeof(a), &config.to), 0);
	wire = load_wire_open(&config, &code);
	assert_non_null(wire);
	load = load_new(wire, clients, window, 7);
	assert_non_null(load);
}

static void end(void)
{
	server.end = true;
	pthread_join(server.thread, NULL);
	close(server.fd);
	load_free(load);
	load_wire_close(wire);
}

static uint8_t path[] = {0xb1, 'x'}; /* Uri-Path "x" */
static const struct load_template template = {path, sizeof(path)};
static struct load_result result;

static struct load_work work(enum load_kind kind, uint64_t requests)
{
	return (struct load_work){.kind = kind,
				  .code = COPSE_CODE_GET,
				  .confirmable = true,
				  .templates = &template,
				  .template_n = 1,
				  .window = 1,
				  .at_once = 4,
				  .requests = requests,
				  .timeout = 60ull * LOAD_SECOND};
}

static void test_closed_loop(void **state)
{
	(void)state;
	begin(AT_ONCE, 5, 3, NULL);
	struct load_work w = work(LOAD_RUN, 100);
	w.window = 3;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.begun, 100);
	assert_int_equal(result.answered, 100);
	assert_int_equal(result.code[COPSE_CODE_CONTENT], 100);
	assert_int_equal(result.latency.n, 100);
	assert_int_equal(server.clients, 5); /* each with an address of its own */
	assert_int_not_equal(server.seen[0].sin_addr.s_addr, server.seen[1].sin_addr.s_addr);
}

static void test_sockets_of_their_own(void **state)
{
	(void)state;
	begin(AT_ONCE, 5, 1, "127.0.0.1");
	struct load_work w = work(LOAD_RUN, 50);
	w.confirmable = false;
	w.payload = (const uint8_t *)"payload";
	w.payload_len = 7;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.answered, 50);
	assert_int_equal(server.clients, 5);
	assert_int_equal(server.seen[0].sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

/* A confirmable answer is acknowledged. */
static void test_separate(void **state)
{
	(void)state;
	begin(SEPARATE, 2, 1, NULL);
	struct load_work w = work(LOAD_RUN, 20);
	load_run(load, &w, &result);
	while (server.acknowledged < 20)
		poll(NULL, 0, 5);
	end();
	assert_int_equal(result.answered, 20);
	if (result.retransmitted == 0) /* otherwise there are answers that nobody waits for any more */
		assert_int_equal(server.resets, 0);
}

static void test_duplicates_are_counted_apart(void **state)
{
	(void)state;
	begin(TWICE, 1, 1, NULL);
	struct load_work w = work(LOAD_RUN, 20);
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.answered, 20);
	assert_true(result.strays >= 19); /* the last one may come too late */
}

static void test_retransmission(void **state)
{
	(void)state;
	begin(SECOND_TIME, 3, 1, NULL);
	struct load_work w = work(LOAD_EACH, 0);
	load_run(load, &w, &result);
	assert_int_equal(load_successes(load), 3);
	end();
	assert_int_equal(result.answered, 3);
	assert_true(result.retransmitted >= 3);
	assert_true(result.latency.least >= 2ull * LOAD_SECOND); /* RFC 7252: not before ACK_TIMEOUT */
}

static void test_time_out(void **state)
{
	(void)state;
	begin(SILENT, 4, 1, NULL);
	struct load_work w = work(LOAD_RUN, 4);
	w.confirmable = false;
	w.timeout = LOAD_SECOND / 10;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.begun, 4);
	assert_int_equal(result.timed_out, 4);
	assert_int_equal(result.answered, 0);
	assert_int_equal(result.retransmitted, 0);
}

static void test_reset(void **state)
{
	(void)state;
	begin(RESETS, 1, 1, NULL);
	struct load_work w = work(LOAD_RUN, 3);
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.reset, 3);
}

/* The request comes again with the Echo, and further ones have it from the beginning. */
static void test_echo(void **state)
{
	(void)state;
	begin(WITH_ECHO, 1, 1, NULL);
	struct load_work w = work(LOAD_RUN, 5);
	w.payload = (const uint8_t *)"p";
	w.payload_len = 1;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.challenged, 1);
	assert_int_equal(result.answered, 5);
	assert_int_equal(result.code[COPSE_CODE_UNAUTHORIZED], 0);
	assert_true(server.requests >= 6); /* more if they were repeated */
}

static void test_busy(void **state)
{
	(void)state;
	begin(BUSY, 2, 1, NULL);
	struct load_work w = work(LOAD_EACH, 0);
	load_run(load, &w, &result);
	assert_int_equal(load_successes(load), 2);
	end();
	assert_int_equal(result.code[COPSE_CODE_CREATED], 2);
	assert_true(server.requests >= 3);
}

/* Fifty requests should have begun within half a second; the first one takes a second, and with one place the others wait
 * for it: each is charged at least half a second, however fast its own answer came. */
static void test_no_coordinated_omission(void **state)
{
	(void)state;
	begin(STALL, 1, 1, NULL);
	struct load_work w = work(LOAD_RUN, 50);
	w.rate = 100;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.answered, 50);
	assert_true(result.latency.least >= LOAD_SECOND / 2);
}

/* What was never sent is told as well. */
static void test_behind(void **state)
{
	(void)state;
	begin(SILENT, 1, 2, NULL);
	struct load_work w = work(LOAD_RUN, 0);
	w.window = 2;
	w.rate = 1000;
	w.confirmable = false;
	w.duration = LOAD_SECOND / 5;
	w.timeout = 3 * LOAD_SECOND;
	load_run(load, &w, &result);
	end();
	assert_in_range(result.begun, 1, 2); /* as many as there are places */
	assert_true(result.behind >= 190);
	assert_true(result.elapsed >= LOAD_SECOND / 5);
}

static void test_observe(void **state)
{
	(void)state;
	begin(OBSERVABLE, 5, 2, NULL);
	struct load_work w = work(LOAD_OBSERVE, 20);
	w.window = 2;
	load_run(load, &w, &result);
	while (server.acknowledged < 10)
		poll(NULL, 0, 5);
	end();
	assert_int_equal(result.begun, 10);
	assert_int_equal(result.observing, 10);
	assert_true(result.notifications >= 20);
	assert_int_equal(result.answered, 10);
	assert_true(server.cancelled >= 10);
}

/* A client that has used up its message IDs becomes another one. */
static void test_message_ids(void **state)
{
	(void)state;
	begin(AT_ONCE, 1, 8, NULL);
	struct load_work w = work(LOAD_RUN, 66000);
	w.window = 8;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.begun, 66000);
	assert_int_equal(server.clients, 2);
}

static void stop_when_resting(void *user, const struct load_result *so_far)
{
	(void)user;
	if (so_far->resting)
		load_interrupt();
}

/* With a session it must not: it rests. The last test, since the interruption stays. */
static void test_message_ids_of_a_session(void **state)
{
	(void)state;
	begin(AT_ONCE, 1, 8, NULL);
	struct load_work w = work(LOAD_RUN, 66000);
	w.window = 8;
	w.keep_addresses = true;
	w.progress = stop_when_resting;
	load_run(load, &w, &result);
	end();
	assert_int_equal(result.begun, 65536);
	assert_true(result.resting);
	assert_int_equal(server.clients, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_closed_loop),    cmocka_unit_test(test_sockets_of_their_own),
	    cmocka_unit_test(test_separate),       cmocka_unit_test(test_duplicates_are_counted_apart),
	    cmocka_unit_test(test_retransmission), cmocka_unit_test(test_time_out),
	    cmocka_unit_test(test_reset),          cmocka_unit_test(test_echo),
	    cmocka_unit_test(test_busy),           cmocka_unit_test(test_no_coordinated_omission),
	    cmocka_unit_test(test_behind),         cmocka_unit_test(test_observe),
	    cmocka_unit_test(test_message_ids),    cmocka_unit_test(test_message_ids_of_a_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
