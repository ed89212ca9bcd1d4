/* The serial line: over a terminal pair and over a Unix socket; damage, bounds, loss and coming back.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/serial.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* One end of a pair of terminals, and the path of the other. */
static int open_master(char *path, size_t cap)
{
	const int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);

	assert_true(fd >= 0);
	assert_int_equal(grantpt(fd), 0);
	assert_int_equal(unlockpt(fd), 0);
	assert_int_equal(ptsname_r(fd, path, cap), 0);
	return fd;
}

static struct copse_transport *open_serial(const char *path, uint32_t frame_max)
{
	const struct copse_serial_config config = {.path = path, .frame_max = frame_max};
	struct copse_transport *t = NULL;
	char why[256] = "";

	if (copse_serial_open(&config, &t, why, sizeof(why)) != COPSE_OK)
		fail_msg("%s", why);
	t->id = 7;
	return t;
}

static void put_frame(int fd, const void *message, size_t len)
{
	uint8_t line[COPSE_HDLC_BYTES(COPSE_SERIAL_FRAME_MAX)];
	const size_t n = copse_hdlc_put(line, sizeof(line), message, len);

	assert_true(n > 0);
	assert_int_equal(write(fd, line, n), n);
}

struct inbox {
	struct copse_datagram d[4];
	uint8_t bytes[4][512];
};

static size_t receive(struct copse_transport *t, struct inbox *in)
{
	for (unsigned i = 0; i < 4; i++)
		in->d[i] = (struct copse_datagram){.data = in->bytes[i], .cap = sizeof(in->bytes[i])};
	return copse_transport_receive(t, in->d, 4, 0);
}

static size_t send_one(struct copse_transport *t, void *bytes, size_t len, uint32_t *flags)
{
	struct copse_datagram d = {.data = bytes, .len = (uint32_t)len};
	struct copse_datagram *batch[] = {&d};
	size_t n;

	copse_serial_peer(t, &d.peer);
	n = copse_transport_send(t, batch, 1, 0);
	if (flags)
		*flags = d.flags;
	return n;
}

/* What the far end of the line gets, up to one frame. */
static size_t read_frame(int fd, struct copse_hdlc *h)
{
	uint8_t byte;
	size_t len = 0;

	while (!len && read(fd, &byte, 1) == 1)
		copse_hdlc_take(h, &byte, 1, &len);
	return len;
}

static void test_both_ways(void **state)
{
	static char message[] =
	    "all bytes: \x00\x03\x04\x0a\x0d\x11\x13\x7d\x7e\x7f\xff"; /* a terminal's own favourites */
	char path[128];
	const int far = open_master(path, sizeof(path));
	struct copse_transport *t = open_serial(path, 0);
	struct copse_peer peer;
	uint8_t buf[600];
	struct copse_hdlc h;
	struct inbox in;

	(void)state;
	copse_serial_peer(t, &peer);
	put_frame(far, message, sizeof(message));
	put_frame(far, "two", 3);
	assert_int_equal(receive(t, &in), 2);
	assert_int_equal(in.d[0].len, sizeof(message));
	assert_memory_equal(in.bytes[0], message, sizeof(message));
	assert_memory_equal(in.bytes[1], "two", 3);
	assert_true(copse_peer_equal(&in.d[0].peer, &peer));
	assert_int_equal(copse_peer_transport(&peer), 7);
	assert_int_equal(receive(t, &in), 0);
	assert_int_equal(send_one(t, message, sizeof(message), NULL), 1);
	copse_hdlc_init(&h, buf, sizeof(buf));
	assert_int_equal(read_frame(far, &h), sizeof(message));
	assert_memory_equal(buf, message, sizeof(message));
	assert_int_equal(t->counters.received, 2);
	assert_int_equal(t->counters.sent, 1);
	copse_transport_close(t);
	close(far);
}

static void test_bounds(void **state)
{
	static uint8_t long_one[COPSE_SERIAL_FRAME_MAX];
	char path[128];
	const int far = open_master(path, sizeof(path));
	struct copse_transport *t = open_serial(path, 64);
	struct copse_address address;
	struct copse_peer peer;
	struct inbox in;
	uint32_t flags;

	(void)state;
	put_frame(far, long_one, 65);
	put_frame(far, long_one, 64);
	assert_int_equal(write(far, "noise\x7e", 6), 6);
	assert_int_equal(receive(t, &in), 1);
	assert_int_equal(in.d[0].len, 64);
	assert_int_equal(copse_serial_frames(t)->too_long, 1);
	assert_int_equal(copse_serial_frames(t)->damaged, 1);
	assert_int_equal(send_one(t, long_one, 65, &flags), 1);
	assert_int_equal(flags, COPSE_DATAGRAM_DROPPED);
	assert_int_equal(t->counters.send_toobig, 1);
	assert_int_equal(copse_address_parse("127.0.0.1:5683", 0, &address), 0);
	assert_int_equal(copse_transport_peer(t, &address, &peer), COPSE_ERR_ARGUMENT);
	copse_transport_close(t);
	close(far);
}

/* A line that takes nothing: sending waits, nothing is lost, and every frame arrives whole and in order afterwards. */
static void test_blocked(void **state)
{
	char path[128];
	const int far = open_master(path, sizeof(path));
	struct copse_transport *t = open_serial(path, 256);
	uint8_t buf[600], message[256] = {0};
	struct copse_hdlc h;
	unsigned sent = 0, got = 0;

	(void)state;
	copse_hdlc_init(&h, buf, sizeof(buf));
	while (send_one(t, message, sizeof(message), NULL) == 1) {
		message[0] = (uint8_t)++sent;
		assert_true(sent < 100000);
	}
	assert_true(t->blocked);
	for (unsigned i = 0; got < sent; i++) {
		assert_true(i < 100000);
		if (read_frame(far, &h) != sizeof(message)) {
			t->ops->tick(t, 0);
			continue;
		}
		assert_int_equal(buf[0], (uint8_t)got);
		got++;
	}
	assert_int_equal(t->ops->tick(t, 0), COPSE_NEVER);
	assert_int_equal(send_one(t, message, sizeof(message), NULL), 1);
	assert_false(t->blocked);
	copse_transport_close(t);
	close(far);
}

static void test_lost(void **state)
{
	char path[128];
	const int far = open_master(path, sizeof(path));
	struct copse_transport *t = open_serial(path, 0);
	struct copse_peer peer;
	struct inbox in;
	char late[] = "x";
	uint32_t flags;

	(void)state;
	assert_false(copse_serial_lost(t));
	assert_false(copse_transport_failure(t, &peer));
	close(far);
	assert_int_equal(receive(t, &in), 0);
	assert_true(copse_serial_lost(t));
	assert_true(t->failed);
	assert_true(copse_transport_failure(t, &peer));
	assert_int_equal(copse_peer_transport(&peer), 7);
	assert_false(copse_transport_failure(t, &peer));
	assert_int_equal(send_one(t, late, 1, &flags), 1);
	assert_int_equal(flags, COPSE_DATAGRAM_DROPPED);
	copse_transport_close(t);
}

static void test_cannot_open(void **state)
{
	static const struct {
		struct copse_serial_config config;
		const char *why;
	} bad[] = {
	    {{.path = "/nowhere/tty"}, "cannot open /nowhere/tty: No such file or directory"},
	    {{.path = "/dev/null"}, "cannot open /dev/null: Inappropriate ioctl for device"},
	    {{.path = "/dev/null", .baud = 12345}, "12345 baud is none of the usual rates"},
	    {{.path = "/dev/null", .frame_max = 63}, "a frame has 64 to 2048 bytes, not 63"},
	    {{.path = "/dev/null", .frame_max = 2049}, "a frame has 64 to 2048 bytes, not 2049"},
	};
	struct copse_transport *t;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(copse_serial_open(&bad[i].config, &t, why, sizeof(why)), COPSE_ERR_ARGUMENT);
		assert_string_equal(why, bad[i].why);
	}
	assert_int_equal(copse_serial_open(&bad[0].config, &t, NULL, 0), COPSE_ERR_ARGUMENT);
}

/* ---- the line that comes back ---- */

struct watcher {
	struct copse_loop *loop;
	struct copse_line line;
	unsigned ups, downs;
	bool up;
};

static void changed(void *self, bool up, const char *why, copse_ms now)
{
	struct watcher *w = self;

	(void)now;
	assert_int_equal(why == NULL, up);
	w->ups += up;
	w->downs += !up;
	w->up = up;
}

static void no_event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	(void)self;
	(void)ep;
	(void)event;
	(void)now;
}

static int listen_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void until(const struct watcher *w, bool up)
{
	for (unsigned i = 0; w->up != up; i++) {
		assert_true(i < 10000);
		copse_loop_step(w->loop, 100);
	}
}

static void test_comes_back(void **state)
{
	const struct copse_handler handler = {.event = no_event};
	const struct copse_host_config config = COPSE_HOST_DEFAULT;
	struct watcher w = {.loop = copse_loop_new()};
	struct copse_host *host = copse_host_new(&config, &handler, w.loop, copse_clock_ms());
	char folder[] = "/tmp/copse-line-XXXXXX", path[64];
	struct copse_serial_config serial = {.path = path};
	struct copse_hdlc_counters frames;
	struct copse_peer peer;
	int listener, far;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/line", folder);
	copse_line_start(&w.line, host, w.loop, &serial, changed, &w);
	assert_int_equal(w.downs, 1); /* told once, however often it is tried */
	assert_false(copse_line_peer(&w.line, &peer));
	for (unsigned round = 1; round <= 2; round++) {
		listener = listen_at(path);
		until(&w, true);
		assert_int_equal(w.ups, round);
		assert_true(copse_line_peer(&w.line, &peer));
		far = accept(listener, NULL, NULL);
		put_frame(far, "\x40\x00\x12\x34", 4);
		for (unsigned i = 0; copse_line_frames(&w.line, &frames), frames.frames < round; i++) {
			assert_true(i < 1000);
			copse_loop_step(w.loop, 100);
		}
		close(far);
		close(listener);
		unlink(path);
		until(&w, false);
		assert_int_equal(w.downs, round + 1);
		copse_line_frames(&w.line, &frames);
		assert_int_equal(frames.frames, round);
	}
	copse_line_stop(&w.line);
	copse_host_free(host);
	copse_loop_free(w.loop);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),   cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_blocked),     cmocka_unit_test(test_lost),
	    cmocka_unit_test(test_cannot_open), cmocka_unit_test(test_comes_back)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
