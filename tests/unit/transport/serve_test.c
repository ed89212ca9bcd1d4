/* A server with an operating system: over real sockets on loopback, driven by hand and by its own loop.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <copse/serve.h>

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

static int value;

static void get_value(const struct copse_request *rq, struct copse_response *rs)
{
	char text[12];
	(void)rq;
	snprintf(text, sizeof text, "%d", value);
	copse_response_text(rs, text);
}

static const struct copse_resource resources[] = {
    {.path = "value", .get = get_value, .flags = COPSE_RESOURCE_OBSERVABLE, .worth = COPSE_COMMAND}};

static int open_socket(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void connect_to(int fd, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
}

static void send_get(int fd, const char *path, uint16_t id, bool observe)
{
	uint8_t buf[64];
	struct copse_builder b;
	copse_build_message(&b, buf, sizeof buf, COPSE_CON, COPSE_CODE_GET, id, "tok", 3);
	if (observe)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, 0);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, path, strlen(path));
	(void)send(fd, buf, (size_t)copse_build_finish(&b), 0); /* nobody may be there yet */
}

/* What has come within `ms`; false when nothing has. */
static bool receive(int fd, struct copse_message *m, uint8_t *buf, size_t cap, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	if (poll(&p, 1, ms) <= 0)
		return false;
	const ssize_t n = recv(fd, buf, cap, 0);
	return n > 0 && copse_message_parse(m, buf, (size_t)n) == 0;
}

static struct copse_service *new_service(struct copse_loop *loop, const struct copse_handler *other,
					 uint16_t *port)
{
	struct copse_service_config config = COPSE_SERVICE_DEFAULT;
	struct copse_udp_config udp = {0};
	struct copse_address local;
	char why[160] = "";
	if (other)
		config.other = *other;
	struct copse_service *s = copse_service_new(&config, loop, copse_clock_ms());
	assert_non_null(s);
	assert_int_equal(copse_server_add_all(copse_service_server(s), resources, 1), 0);
	assert_int_equal(copse_address_parse("127.0.0.1:0", 0, &udp.bind), 0);
	struct copse_transport *t = copse_host_listen(copse_service_host(s), &udp, why, sizeof why);
	assert_non_null(t);
	copse_transport_local(t, NULL, &local);
	*port = copse_address_port(&local);
	return s;
}

/* Steps until something has come to `fd`. */
static void step_until(struct copse_service *s, int fd, struct copse_message *m, uint8_t *buf, size_t cap)
{
	const copse_ms end = copse_clock_ms() + PATIENCE_MS;
	while (copse_clock_ms() < end) {
		copse_service_step(s, copse_clock_ms());
		if (receive(fd, m, buf, cap, 5))
			return;
	}
	fail_msg("waited in vain");
}

static void by_hand(void **state)
{
	(void)state;
	uint16_t mine, port;
	uint8_t buf[200];
	struct copse_message m;
	struct copse_service *s = new_service(NULL, NULL, &port);
	const int fd = open_socket(&mine);
	connect_to(fd, port);
	value = 1;
	send_get(fd, "value", 1, true);
	step_until(s, fd, &m, buf, sizeof buf);
	assert_int_equal(m.code, COPSE_CODE_CONTENT);
	assert_int_equal(m.type, COPSE_ACK);
	/* a change on its own, without a datagram: the deadline says that there is work */
	value = 2;
	assert_int_equal(copse_server_changed(copse_service_server(s), &resources[0], NULL, copse_clock_ms()),
			 1);
	assert_true(copse_service_deadline(s) <= copse_clock_ms());
	step_until(s, fd, &m, buf, sizeof buf);
	assert_int_equal(m.type, COPSE_CON);
	assert_int_equal(m.payload_len, 1);
	assert_int_equal(copse_message_payload(&m)[0], '2');
	close(fd);
	copse_service_free(s);
	copse_service_free(NULL);
}

/* The other user of the endpoint: a request of its own, and a deadline of its own. */
struct other {
	unsigned responses;
	bool due;
	unsigned expired;
};

static void other_event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	struct other *o = self;
	(void)ep;
	(void)now;
	o->responses += event->kind == COPSE_EVENT_RESPONSE;
}

static copse_ms other_deadline(void *self)
{
	const struct other *o = self;
	return o->due ? 0 : COPSE_NEVER;
}

static void other_expire(void *self, copse_ms now)
{
	struct other *o = self;
	(void)now;
	if (o->due) {
		o->expired++;
		o->due = false;
	}
}

static void shared_endpoint(void **state)
{
	(void)state;
	struct other o = {0};
	const struct copse_handler handler = {
	    .event = other_event, .self = &o, .deadline = other_deadline, .expire = other_expire};
	uint16_t port;
	struct copse_peer peer;
	copse_handle h;
	char to[40];
	struct copse_service *s = new_service(NULL, &handler, &port);
	struct copse_transport *t = copse_host_transport_at(copse_service_host(s), 0);
	snprintf(to, sizeof to, "127.0.0.1:%u", port);
	assert_int_equal(copse_transport_peer_text(t, to, 0, &peer), 0);
	/* the server asks itself: the request is the server's, the response the other's */
	const struct copse_out out = {
	    .code = COPSE_CODE_GET, .con = true, .rest = (const uint8_t *)"\xb5value", .rest_len = 6};
	assert_int_equal(copse_endpoint_request(copse_host_endpoint(copse_service_host(s)), &peer, &out, 0,
						NULL, copse_clock_ms(), &h),
			 0);
	o.due = true;
	const copse_ms end = copse_clock_ms() + PATIENCE_MS;
	while (o.responses == 0 && copse_clock_ms() < end)
		copse_service_step(s, copse_clock_ms());
	assert_int_equal(o.responses, 1);
	assert_int_equal(o.expired, 1);
	copse_service_free(s);
}

static void whole_program(void **state)
{
	(void)state;
	uint16_t mine, port;
	uint8_t buf[200];
	struct copse_message m;
	char address[40];
	const int fd = open_socket(&mine);
	close(open_socket(&port)); /* free, a moment ago */
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	const pid_t child = fork();
	if (child == 0)
		_exit(copse_serve(address, resources, 1));
	assert_true(child > 0);
	connect_to(fd, port);
	bool answered = false;
	for (uint16_t id = 1; !answered && id < PATIENCE_MS / 50; id++) {
		send_get(fd, "value", id, false);
		answered = receive(fd, &m, buf, sizeof buf, 50);
		if (!answered) /* a refused port answers at once */
			nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	int status = -1;
	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(answered);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(fd);
}

static void cannot_start(void **state)
{
	(void)state;
	static const struct copse_resource bad[] = {{.path = "/bad"}};
	uint16_t port;
	char address[40];
	assert_int_equal(copse_serve("nowhere at all", resources, 1), 1);
	assert_int_equal(copse_serve("127.0.0.1:0", bad, 1), 1);
	const int fd = open_socket(&port);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	assert_int_equal(copse_serve(address, resources, 1), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_hand),
	    cmocka_unit_test(shared_endpoint),
	    cmocka_unit_test(whole_program),
	    cmocka_unit_test(cannot_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
