/* The event loop. Time is the system's, but no test asserts how long anything takes.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <copse/loop.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- deadlines ---- */

struct alarm {
	struct copse_timer timer;
	struct copse_loop *loop;
	unsigned number;
	unsigned calls;
	copse_ms called_at;
	struct alarm *other; /* what `due` does something to */
	copse_ms again;
};

static unsigned order_n;
static copse_ms last_due;

static void note(void *self, copse_ms now)
{
	struct alarm *a = self;

	assert_true(a->timer.at <= now);
	assert_true(a->timer.at >= last_due);
	assert_false(a->timer.active);
	last_due = a->timer.at;
	a->calls++;
	a->called_at = now;
	order_n++;
}

/* Many deadlines, set, changed and cleared in a seeded shuffle: each is called once, in order, and none early. */
static void test_timers_in_order(void **state)
{
	enum { N = 2000 };
	static struct alarm alarms[N];
	struct copse_loop *loop = copse_loop_new();
	copse_ms base = copse_loop_now(loop) - 10000; /* all in the past: one round calls them */
	unsigned seed = 7, expected = 0;

	(void)state;
	order_n = 0;
	last_due = 0;
	for (unsigned i = 0; i < N; i++) {
		alarms[i] = (struct alarm){.timer = {.due = note, .self = &alarms[i]}, .number = i};
		copse_loop_set(loop, &alarms[i].timer, base + (copse_ms)(rand_r(&seed) % 9000));
	}
	for (unsigned i = 0; i < N; i++) {
		struct alarm *a = &alarms[rand_r(&seed) % N];

		if (i % 3)
			copse_loop_set(loop, &a->timer, base + (copse_ms)(rand_r(&seed) % 9000));
		else
			copse_loop_clear(loop, &a->timer);
	}
	for (unsigned i = 0; i < N; i++)
		expected += alarms[i].timer.active;
	assert_true(expected > N / 2 && expected < N);
	assert_int_equal(copse_loop_step(loop, 0), expected);
	assert_int_equal(order_n, expected);
	for (unsigned i = 0; i < N; i++)
		assert_true(alarms[i].calls <= 1);
	assert_int_equal(copse_loop_step(loop, 0), 0);
	copse_loop_free(loop);
}

static void test_timer_not_early(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct alarm a = {.timer = {.due = note, .self = &a}};
	copse_ms at = copse_clock_ms() + 30;

	(void)state;
	last_due = 0;
	copse_loop_set(loop, &a.timer, at);
	while (!a.calls)
		copse_loop_step(loop, COPSE_NEVER);
	assert_true(a.called_at >= at);
	assert_true(copse_clock_ms() >= at);
	copse_loop_free(loop);
}

static void test_timer_never(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct alarm a = {.timer = {.due = note, .self = &a}};

	(void)state;
	copse_loop_set(loop, &a.timer, COPSE_NEVER);
	assert_false(a.timer.active);
	copse_loop_set(loop, &a.timer, 0);
	copse_loop_set(loop, &a.timer, COPSE_NEVER);
	assert_false(a.timer.active);
	copse_loop_clear(loop, &a.timer);
	assert_int_equal(copse_loop_step(loop, 0), 0);
	copse_loop_free(loop);
}

static void set_again(void *self, copse_ms now)
{
	struct alarm *a = self;

	a->calls++;
	copse_loop_set(a->loop, &a->timer, a->again ? a->again : now);
}

static void clear_other(void *self, copse_ms now)
{
	struct alarm *a = self;

	(void)now;
	a->calls++;
	copse_loop_clear(a->loop, &a->other->timer);
}

/* A handler that sets its timer to the past is called again in the next round, not for ever in this one; one that
 * clears another's timer is obeyed. */
static void test_timer_handlers(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct alarm past = {.timer = {.due = set_again, .self = &past}, .loop = loop};
	struct alarm killer = {.timer = {.due = clear_other, .self = &killer}, .loop = loop};
	struct alarm victim = {.timer = {.due = note, .self = &victim}};

	(void)state;
	killer.other = &victim;
	copse_loop_set(loop, &past.timer, 1);
	assert_int_equal(copse_loop_step(loop, 0), 1);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	assert_int_equal(past.calls, 2);
	copse_loop_clear(loop, &past.timer);
	copse_loop_set(loop, &victim.timer, 2);
	copse_loop_set(loop, &killer.timer, 1);
	assert_int_equal(copse_loop_step(loop, 0), 1);
	assert_int_equal(killer.calls, 1);
	assert_int_equal(victim.calls, 0);
	copse_loop_free(loop);
}

/* ---- descriptors ---- */

/* Every test of descriptors is done twice: with such as are in the epoll set, and with hot ones. */
static bool hot;

static int heat(void **state)
{
	(void)state;
	hot = true;
	return 0;
}

static int cool(void **state)
{
	(void)state;
	hot = false;
	return 0;
}

struct seen {
	struct copse_watch watch;
	struct copse_loop *loop;
	struct seen *victim;
	unsigned calls, events;
};

static void drain(void *self, unsigned events, copse_ms now)
{
	struct seen *s = self;
	char buf[64];

	assert_true(now > 0);
	s->calls++;
	s->events = events;
	if (events & COPSE_LOOP_IN)
		assert_true(read(s->watch.fd, buf, sizeof buf) >= 0);
}

static struct seen seen_on(struct copse_loop *loop, int fd, unsigned events,
			   void (*ready)(void *self, unsigned events, copse_ms now))
{
	return (struct seen){.watch = {.fd = fd, .events = events, .ready = ready, .hot = hot}, .loop = loop};
}

static void watch(struct seen *s)
{
	s->watch.self = s;
	assert_int_equal(copse_loop_add(s->loop, &s->watch), COPSE_OK);
}

static void test_descriptors(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct seen s;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	s = seen_on(loop, fd[0], COPSE_LOOP_IN, drain);
	watch(&s);
	assert_int_equal(copse_loop_add(loop, &s.watch), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_loop_step(loop, 0), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	assert_int_equal(s.events, COPSE_LOOP_IN);
	/* Not asked for: not told. */
	copse_loop_change(loop, &s.watch, 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(copse_loop_step(loop, 0), 0);
	copse_loop_change(loop, &s.watch, COPSE_LOOP_IN);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	/* The other end goes away. */
	close(fd[1]);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	assert_true(s.events & COPSE_LOOP_ERROR);
	copse_loop_remove(loop, &s.watch);
	copse_loop_remove(loop, &s.watch);
	assert_int_equal(copse_loop_step(loop, 0), 0);
	close(fd[0]);
	copse_loop_free(loop);
}

static void test_output(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct seen s;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	s = seen_on(loop, fd[1], COPSE_LOOP_OUT, drain);
	watch(&s);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	assert_int_equal(s.events, COPSE_LOOP_OUT);
	copse_loop_remove(loop, &s.watch);
	close(fd[0]);
	close(fd[1]);
	copse_loop_free(loop);
}

static void test_not_pollable(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct seen s = seen_on(loop, -1, COPSE_LOOP_IN, drain);

	(void)state;
	assert_int_equal(copse_loop_add(loop, &s.watch), COPSE_ERR_ARGUMENT);
	assert_false(s.watch.active);
	copse_loop_free(loop);
}

static void remove_other(void *self, unsigned events, copse_ms now)
{
	struct seen *s = self;

	drain(self, events, now);
	copse_loop_remove(s->loop, &s->victim->watch);
}

/* Both are ready in one round; whichever comes first removes the other, which is not called any more. */
static void test_removed_while_ready(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct seen a, b;
	int fa[2], fb[2];

	(void)state;
	assert_int_equal(pipe(fa), 0);
	assert_int_equal(pipe(fb), 0);
	a = seen_on(loop, fa[0], COPSE_LOOP_IN, remove_other);
	b = seen_on(loop, fb[0], COPSE_LOOP_IN, remove_other);
	a.victim = &b;
	b.victim = &a;
	watch(&a);
	watch(&b);
	assert_int_equal(write(fa[1], "x", 1), 1);
	assert_int_equal(write(fb[1], "x", 1), 1);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal(copse_loop_step(loop, 0), 0);
	copse_loop_free(loop);
	for (int i = 0; i < 2; i++) {
		close(fa[i]);
		close(fb[i]);
	}
}

static void add_other(void *self, unsigned events, copse_ms now)
{
	struct seen *s = self;

	drain(self, events, now);
	copse_loop_remove(s->loop, &s->watch);
	if (!s->victim->watch.active)
		watch(s->victim);
}

/* What is added while others are called, in the place of one of them, is called when something has happened to it. */
static void test_added_while_ready(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct seen a, b;
	int fa[2], fb[2];

	(void)state;
	assert_int_equal(pipe(fa), 0);
	assert_int_equal(pipe(fb), 0);
	a = seen_on(loop, fa[0], COPSE_LOOP_IN, add_other);
	b = seen_on(loop, fb[0], COPSE_LOOP_IN, drain);
	a.victim = &b;
	watch(&a);
	assert_int_equal(write(fa[1], "x", 1), 1);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	assert_int_equal(copse_loop_step(loop, 0), 0);
	assert_int_equal(b.calls, 0);
	assert_int_equal(write(fb[1], "x", 1), 1);
	assert_int_equal(copse_loop_step(loop, COPSE_NEVER), 1);
	assert_int_equal(b.calls, 1);
	assert_int_equal(a.calls, 1);
	copse_loop_free(loop);
	for (int i = 0; i < 2; i++) {
		close(fa[i]);
		close(fb[i]);
	}
}

/* More ready at once than a round hands out: all get their turn. */
static void test_many_descriptors(void **state)
{
	enum { N = 300 };
	static struct seen s[N];
	struct copse_loop *loop = copse_loop_new();
	int fd[N][2];
	unsigned total = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		assert_int_equal(pipe(fd[i]), 0);
		s[i] = seen_on(loop, fd[i][0], COPSE_LOOP_IN, drain);
		watch(&s[i]);
		assert_int_equal(write(fd[i][1], "x", 1), 1);
	}
	while (total < N) {
		int n = copse_loop_step(loop, 0);

		assert_true(n > 0);
		total += (unsigned)n;
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(s[i].calls, 1);
		copse_loop_remove(loop, &s[i].watch);
		close(fd[i][0]);
		close(fd[i][1]);
	}
	copse_loop_free(loop);
}

/* ---- before sleeping ---- */

struct hook {
	struct copse_prepare prepare;
	struct copse_loop *loop;
	struct hook *remove;
	unsigned calls;
};

static void before(void *self, copse_ms now)
{
	struct hook *h = self;

	assert_int_equal(now, copse_loop_now(h->loop));
	h->calls++;
	if (h->remove)
		copse_loop_unprepare(h->loop, &h->remove->prepare);
}

static void test_prepare(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct hook a = {.prepare = {.before = before, .self = &a}, .loop = loop};
	struct hook b = {.prepare = {.before = before, .self = &b}, .loop = loop};
	struct hook c = {.prepare = {.before = before, .self = &c}, .loop = loop};

	(void)state;
	copse_loop_prepare(loop, &a.prepare);
	copse_loop_prepare(loop, &b.prepare);
	copse_loop_prepare(loop, &c.prepare);
	copse_loop_step(loop, 0);
	assert_int_equal(a.calls + b.calls + c.calls, 3);
	c.remove = &b; /* c is called first: the next in the list goes away meanwhile */
	copse_loop_step(loop, 0);
	assert_int_equal(a.calls, 2);
	assert_int_equal(b.calls, 1);
	c.remove = &c;
	copse_loop_step(loop, 0);
	copse_loop_step(loop, 0);
	assert_int_equal(c.calls, 3);
	assert_int_equal(a.calls, 4);
	copse_loop_unprepare(loop, &b.prepare);
	copse_loop_stop(loop);
	copse_loop_run(loop);
	assert_int_equal(a.calls, 5); /* what handlers left behind is not forgotten at the end */
	copse_loop_free(loop);
}

/* ---- signals and threads ---- */

struct caught {
	struct copse_loop *loop;
	int n, last;
};

static void catch (void *self, int signal)
{
	struct caught *c = self;

	c->n++;
	c->last = signal;
	if (signal == SIGUSR2)
		copse_loop_stop(c->loop);
}

static void test_signals(void **state)
{
	static const int first[] = {SIGUSR1, 0}, both[] = {SIGUSR1, SIGUSR2, 0}, bad[] = {9999, 0};
	struct copse_loop *loop = copse_loop_new();
	struct caught c = {.loop = loop};

	(void)state;
	assert_int_equal(copse_loop_signals(loop, bad, catch, &c), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_loop_signals(loop, first, catch, &c), COPSE_OK);
	assert_int_equal(raise(SIGUSR1), 0);
	copse_loop_step(loop, COPSE_NEVER);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.last, SIGUSR1);
	assert_int_equal(copse_loop_signals(loop, both, catch, &c), COPSE_OK);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(raise(SIGUSR2), 0);
	copse_loop_run(loop);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.last, SIGUSR2);
	copse_loop_free(loop);
}

struct work {
	struct copse_loop *loop;
	unsigned woken;
	bool done; /* written by the thread before it wakes us */
};

static void woken(void *self, copse_ms now)
{
	struct work *w = self;

	(void)now;
	w->woken++;
	if (__atomic_load_n(&w->done, __ATOMIC_ACQUIRE))
		copse_loop_stop(w->loop);
}

static void *worker(void *self)
{
	struct work *w = self;

	for (int i = 0; i < 1000; i++)
		copse_loop_wake(w->loop);
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	copse_loop_wake(w->loop);
	return NULL;
}

static void test_wake(void **state)
{
	struct work w = {.loop = copse_loop_new()};
	pthread_t thread;

	(void)state;
	copse_loop_on_wake(w.loop, woken, &w);
	assert_int_equal(pthread_create(&thread, NULL, worker, &w), 0);
	copse_loop_run(w.loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(w.woken >= 1 && w.woken <= 1001);
	copse_loop_free(w.loop);
}

static void *stopper(void *self)
{
	copse_loop_stop(self);
	return NULL;
}

/* A stop is honoured whether it comes before or while the loop sleeps, and only once. */
static void test_stop(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	pthread_t thread;

	(void)state;
	copse_loop_stop(loop);
	copse_loop_run(loop);
	assert_int_equal(pthread_create(&thread, NULL, stopper, loop), 0);
	copse_loop_run(loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	copse_loop_free(loop);
	copse_loop_free(NULL);
}

static struct copse_loop *for_handler;

static void stop_it(int signal)
{
	(void)signal;
	copse_loop_stop(for_handler);
}

static void test_stop_from_handler(void **state)
{
	struct sigaction action = {.sa_handler = stop_it};
	sigset_t set;

	(void)state;
	for_handler = copse_loop_new();
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	ualarm(1000, 0);
	copse_loop_run(for_handler);
	copse_loop_free(for_handler);
}

static copse_ms given[2];

static void slow(void *self, copse_ms now)
{
	*(copse_ms *)self = now;
	while (copse_clock_ms() < now + 2)
		;
}

/* A slow handler does not make the next one's time a past one. */
static void test_time_goes_on(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct copse_timer a = {.due = slow, .self = &given[0]}, b = {.due = slow, .self = &given[1]};
	copse_ms seen;

	(void)state;
	copse_loop_set(loop, &a, 1);
	copse_loop_set(loop, &b, 2);
	assert_int_equal(copse_loop_step(loop, 0), 2);
	assert_true(given[1] >= given[0] + 2);
	seen = copse_clock_ms();
	assert_true(copse_loop_refresh(loop) >= seen);
	assert_true(copse_loop_now(loop) >= seen);
	copse_loop_free(loop);
}

static void test_clock(void **state)
{
	copse_ms a = copse_clock_ms(), b;

	(void)state;
	do
		b = copse_clock_ms();
	while (b == a);
	assert_true(b > a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_timers_in_order),
	    cmocka_unit_test(test_timer_not_early),
	    cmocka_unit_test(test_timer_never),
	    cmocka_unit_test(test_timer_handlers),
	    cmocka_unit_test(test_descriptors),
	    cmocka_unit_test(test_output),
	    cmocka_unit_test(test_not_pollable),
	    cmocka_unit_test(test_removed_while_ready),
	    cmocka_unit_test(test_many_descriptors),
	    cmocka_unit_test(test_added_while_ready),
	    cmocka_unit_test_setup_teardown(test_descriptors, heat, cool),
	    cmocka_unit_test_setup_teardown(test_output, heat, cool),
	    cmocka_unit_test_setup_teardown(test_not_pollable, heat, cool),
	    cmocka_unit_test_setup_teardown(test_removed_while_ready, heat, cool),
	    cmocka_unit_test_setup_teardown(test_many_descriptors, heat, cool),
	    cmocka_unit_test_setup_teardown(test_added_while_ready, heat, cool),
	    cmocka_unit_test(test_prepare),
	    cmocka_unit_test(test_signals),
	    cmocka_unit_test(test_wake),
	    cmocka_unit_test(test_stop),
	    cmocka_unit_test(test_stop_from_handler),
	    cmocka_unit_test(test_time_goes_on),
	    cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
