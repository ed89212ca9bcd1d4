/* UDP when the system's calls fail: sendmmsg and recvmmsg of this program fail on order, else they are the system's.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the next calls do, one row a call; behind the last row they work. */
struct fault {
	int error;     /* fail with this errno; 0: work, but */
	unsigned most; /* take no more than so many datagrams; 0: any number */
};

static const struct fault *faults;
static size_t fault_n;
static size_t calls;

static const struct fault *next_fault(void)
{
	calls++;
	if (fault_n == 0)
		return NULL;
	fault_n--;
	return faults++;
}

static void order(const struct fault *rows, size_t n)
{
	faults = rows;
	fault_n = n;
	calls = 0;
}

int sendmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags)
{
	const struct fault *f = next_fault();

	if (f && f->error) {
		errno = f->error;
		return -1;
	}
	if (f && f->most && f->most < n)
		n = f->most;
	return (int)syscall(SYS_sendmmsg, fd, msg, n, flags);
}

int recvmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags, struct timespec *timeout)
{
	const struct fault *f = next_fault();

	if (f && f->error) {
		errno = f->error;
		return -1;
	}
	return (int)syscall(SYS_recvmmsg, fd, msg, n, flags, timeout);
}

#define N 80

struct fixture {
	struct copse_transport *a, *b;
	struct batch out, in;
	struct copse_datagram *list[N];
};

static void set_up_with(struct fixture *f, bool segment)
{
	const struct copse_udp_config config = {.bind = address("127.0.0.1", 0), .segment = segment};

	order(NULL, 0);
	f->a = open_with(&config, 1);
	f->b = open_at("127.0.0.1:0", 2);
	f->out = batch_new(N, 8);
	f->in = batch_new(N, 8);
	for (size_t i = 0; i < N; i++) {
		f->out.d[i].peer = peer_at(f->a, "127.0.0.1", f->b);
		f->out.d[i].len = 1;
		f->out.d[i].data[0] = (uint8_t)i;
		f->list[i] = &f->out.d[i];
	}
}

static void set_up(struct fixture *f)
{
	set_up_with(f, false);
}

static void tear_down(struct fixture *f)
{
	copse_transport_close(f->a);
	copse_transport_close(f->b);
	batch_free(&f->out);
	batch_free(&f->in);
}

/* b gets the datagrams `first` to `last` (not included) but `without`, in order, once each, and nothing else. */
static void expect(struct fixture *f, size_t first, size_t last, size_t without)
{
	size_t n = last - first - (without >= first && without < last);

	order(NULL, 0);
	receive_n(f->b, &f->in, n);
	for (size_t i = 0, number = first; i < n; i++, number++) {
		number += number == without;
		assert_int_equal(f->in.d[i].data[0], number);
	}
	assert_int_equal(copse_transport_receive(f->b, f->in.d, N, 0), 0);
}

static void test_partial(void **state)
{
	static const struct fault rows[] = {{0, 1}, {0, 7}, {0, 1}, {0, 3}};
	struct fixture f;

	(void)state;
	set_up(&f);
	order(rows, 4);
	assert_int_equal(copse_transport_send(f.a, f.list, N, 0), N);
	assert_int_equal(f.a->counters.sent, N);
	assert_false(f.a->blocked);
	expect(&f, 0, N, SIZE_MAX);
	tear_down(&f);
}

/* Blocked in the middle: the caller keeps the rest, offers it again, and nothing is lost or sent twice. */
static void test_blocked(void **state)
{
	static const struct fault rows[] = {{0, 32}, {0, 5}, {EAGAIN, 0}};
	static const struct fault again[] = {{EAGAIN, 0}};
	struct fixture f;

	(void)state;
	set_up(&f);
	order(rows, 3);
	assert_int_equal(copse_transport_send(f.a, f.list, N, 0), 37);
	assert_true(f.a->blocked);
	assert_int_equal(f.a->counters.send_blocked, 1);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(f.out.d[i].flags, 0);
	order(again, 1);
	assert_int_equal(copse_transport_send(f.a, f.list + 37, N - 37, 0), 0);
	assert_true(f.a->blocked);
	assert_int_equal(copse_transport_send(f.a, f.list + 37, N - 37, 0), N - 37);
	assert_false(f.a->blocked);
	assert_int_equal(f.a->counters.sent, N);
	assert_int_equal(f.a->counters.send_blocked, 2);
	expect(&f, 0, N, SIZE_MAX);
	tear_down(&f);
}

static void one_dropped(int error, uint64_t struct_offset)
{
	const struct fault rows[] = {{0, 10}, {error, 0}};
	struct fixture f;
	uint64_t count;
	struct copse_peer peer;

	set_up(&f);
	order(rows, 2);
	assert_int_equal(copse_transport_send(f.a, f.list, N, 0), N);
	memcpy(&count, (const char *)&f.a->counters + struct_offset, sizeof count);
	assert_int_equal(count, 1);
	assert_int_equal(f.a->counters.sent, N - 1);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(f.out.d[i].flags, i == 10 ? COPSE_DATAGRAM_DROPPED : 0);
	assert_false(copse_transport_failure(f.a, &peer));
	expect(&f, 0, N, 10);
	tear_down(&f);
}

static void test_no_buffers(void **state)
{
	(void)state;
	one_dropped(ENOBUFS, offsetof(struct copse_transport_counters, send_noroom));
	one_dropped(ENOMEM, offsetof(struct copse_transport_counters, send_noroom));
	one_dropped(EMSGSIZE, offsetof(struct copse_transport_counters, send_toobig));
}

/* The error of an earlier datagram is told once: this one is tried again, and goes. */
static void test_error_of_another(void **state)
{
	static const struct fault rows[] = {{0, 3}, {ECONNREFUSED, 0}, {0, 3}, {EHOSTUNREACH, 0}, {EINTR, 0}};
	struct fixture f;
	struct copse_peer peer;

	(void)state;
	set_up(&f);
	order(rows, 5);
	assert_int_equal(copse_transport_send(f.a, f.list, N, 0), N);
	assert_int_equal(f.a->counters.sent, N);
	assert_int_equal(f.a->counters.send_refused, 0);
	assert_false(copse_transport_failure(f.a, &peer));
	expect(&f, 0, N, SIZE_MAX);
	tear_down(&f);
}

/* Told again and again, it is this one's own: dropped, counted, and its peer reported. */
static void test_refused(void **state)
{
	static const int errors[] = {ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, EPERM,
				     EACCES,      EINVAL,       EADDRNOTAVAIL};

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		const struct fault rows[] = {{0, 3}, {errors[i], 0}, {errors[i], 0}};
		struct fixture f;
		struct copse_peer peer;

		set_up(&f);
		order(rows, 3);
		assert_int_equal(copse_transport_send(f.a, f.list, N, 0), N);
		assert_int_equal(f.a->counters.send_refused, 1);
		assert_int_equal(f.out.d[3].flags, COPSE_DATAGRAM_DROPPED);
		assert_true(f.a->failed);
		assert_true(copse_transport_failure(f.a, &peer));
		assert_true(copse_peer_equal(&peer, &f.out.d[3].peer));
		assert_false(copse_transport_failure(f.a, &peer));
		assert_false(f.a->failed);
		expect(&f, 0, N, 3);
		tear_down(&f);
	}
}

/* Nothing goes at all: every datagram is accounted for, and as many failures are told as there is room for. */
static void test_all_refused(void **state)
{
	static struct fault rows[2 * N];
	struct fixture f;
	struct copse_peer peer;
	size_t told = 0;

	(void)state;
	set_up(&f);
	for (size_t i = 0; i < 2 * N; i++)
		rows[i].error = ENETDOWN;
	order(rows, 2 * N);
	assert_int_equal(copse_transport_send(f.a, f.list, N, 0), N);
	assert_int_equal(calls, 2 * N);
	assert_int_equal(f.a->counters.send_refused, N);
	assert_int_equal(f.a->counters.sent, 0);
	while (copse_transport_failure(f.a, &peer))
		told++;
	assert_int_equal(told, 32);
	assert_int_equal(f.a->counters.failures_lost, N - 32);
	tear_down(&f);
}

/* ---- runs: all that is sent is one, as far as a call takes it ---- */

#define RUNS 2 /* 64 datagrams, and the others */

static void send_all(struct fixture *f)
{
	assert_int_equal(copse_transport_send(f->a, f->list, N, 0), N);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(f->out.d[i].flags, 0);
	expect(f, 0, N, SIZE_MAX);
}

static void test_run_blocked(void **state)
{
	static const struct fault rows[] = {{0, 1}, {EAGAIN, 0}};
	struct fixture f;

	(void)state;
	set_up_with(&f, true);
	order(rows, 2);
	assert_int_equal(copse_transport_send(f.a, f.list, N, 0), 64);
	assert_true(f.a->blocked);
	assert_int_equal(copse_transport_send(f.a, f.list + 64, N - 64, 0), N - 64);
	assert_false(f.a->blocked);
	assert_int_equal(f.a->counters.sent_runs, RUNS);
	assert_int_equal(f.a->counters.sent, N);
	assert_int_equal(f.a->counters.sent_bytes, N);
	expect(&f, 0, N, SIZE_MAX);
	tear_down(&f);
}

/* It goes all the same, and is not tried again. Blocked before, it is not any more. */
static void test_run_turned_down(void **state)
{
	static const int errors[] = {EIO, EINVAL, EOPNOTSUPP};

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		const struct fault rows[] = {{EAGAIN, 0}, {errors[i], 0}};
		struct fixture f;

		set_up_with(&f, true);
		order(rows, 2);
		assert_int_equal(copse_transport_send(f.a, f.list, N, 0), 0);
		send_all(&f);
		send_all(&f);
		assert_false(f.a->blocked);
		assert_int_equal(f.a->counters.sent_runs, 0);
		assert_int_equal(f.a->counters.sent, 2 * N);
		assert_int_equal(f.a->counters.send_calls, 2 * 2);
		tear_down(&f);
	}
}

/* What may be another time is tried another time. */
static void test_run_split(void **state)
{
	static const int errors[] = {ENOBUFS, ENOMEM, EMSGSIZE, ENETUNREACH};

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		const struct fault rows[] = {{EINTR, 0}, {errors[i], 0}};
		struct fixture f;
		struct copse_peer peer;

		set_up_with(&f, true);
		order(rows, 2);
		send_all(&f);
		assert_int_equal(f.a->counters.sent_runs, 0);
		send_all(&f);
		assert_int_equal(f.a->counters.sent_runs, RUNS);
		assert_int_equal(f.a->counters.send_noroom + f.a->counters.send_toobig, 0);
		assert_false(copse_transport_failure(f.a, &peer));
		tear_down(&f);
	}
}

/* An error that an earlier datagram met does not cost the run its being one. */
static void test_run_error_of_another(void **state)
{
	struct fixture f;
	struct copse_peer gone, peer;

	(void)state;
	set_up_with(&f, true);
	gone = peer_at(f.a, "127.0.0.1", f.b);
	copse_transport_close(f.b);
	f.b = open_at("127.0.0.1:0", 2);
	for (size_t i = 0; i < N; i++)
		f.out.d[i].peer = peer_at(f.a, "127.0.0.1", f.b);
	send_one(f.a, &gone, "x", 1);
	wait_for(f.a->fd, POLLERR);
	send_all(&f);
	assert_int_equal(f.a->counters.sent_runs, RUNS);
	assert_true(copse_transport_failure(f.a, &peer));
	assert_true(copse_peer_equal(&peer, &gone));
	tear_down(&f);
}

/* Each of its datagrams is refused, and accounted for. */
static void test_run_refused(void **state)
{
	static struct fault rows[1 + 2 * N];
	struct fixture f;

	(void)state;
	set_up_with(&f, true);
	for (size_t i = 0; i < 1 + 2 * N; i++)
		rows[i].error = ENETDOWN;
	order(rows, 1 + 2 * N);
	assert_int_equal(copse_transport_send(f.a, f.list, N, 0), N);
	assert_int_equal(calls, 1 + 2 * N);
	assert_int_equal(f.a->counters.send_refused, N);
	assert_int_equal(f.a->counters.sent, 0);
	tear_down(&f);
}

static void test_receive_errors(void **state)
{
	static const struct fault rows[] = {{EINTR, 0}, {ECONNREFUSED, 0}, {ENOMEM, 0}};
	static struct fault many[100];
	struct fixture f;

	(void)state;
	set_up(&f);
	assert_int_equal(copse_transport_send(f.a, f.list, 1, 0), 1);
	wait_for(f.b->fd, POLLIN);
	order(rows, 3);
	assert_int_equal(copse_transport_receive(f.b, f.in.d, N, 0), 1);
	assert_int_equal(f.b->counters.receive_errors, 2);
	assert_true(f.b->failed);
	/* An error that never ends does not keep the caller. */
	for (size_t i = 0; i < 100; i++)
		many[i].error = ENOMEM;
	order(many, 100);
	assert_int_equal(copse_transport_receive(f.b, f.in.d, N, 0), 0);
	assert_true(calls < 100);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_partial),
	    cmocka_unit_test(test_blocked),
	    cmocka_unit_test(test_no_buffers),
	    cmocka_unit_test(test_error_of_another),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_all_refused),
	    cmocka_unit_test(test_receive_errors),
	    cmocka_unit_test(test_run_blocked),
	    cmocka_unit_test(test_run_turned_down),
	    cmocka_unit_test(test_run_split),
	    cmocka_unit_test(test_run_error_of_another),
	    cmocka_unit_test(test_run_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
