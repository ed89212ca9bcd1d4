/* The event loop: epoll for descriptors and poll for hot ones, a pairing heap for deadlines, eventfd and signalfd for
 * the rest.
 *
 * Invariants: an active watch is in the epoll set and may be in `ready` while events are handed out, or it is hot and
 * has a place in `hot` and, one further, in `polled`; copse_loop_remove takes it out of all. An active timer is in
 * the heap, which links the caller's objects: no bound, no allocation.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/error.h>
#include <copse/loop.h>
#include <copse/mem.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define READY_MAX 64 /* descriptors handed out a round; the others come next round */

struct copse_loop {
	int epoll;
	copse_ms now;
	struct epoll_event ready[READY_MAX];
	int ready_n, ready_i; /* handed out: those below ready_i */
	struct pollfd
	    polled[1 + COPSE_LOOP_HOT_MAX]; /* the epoll set, and the hot ones; fd -1: a free place */
	struct copse_watch *hot[COPSE_LOOP_HOT_MAX];
	unsigned hot_n; /* places in use, free ones among them */
	struct copse_timer *top;
	size_t timer_n;
	struct copse_prepare *prepares;
	struct copse_prepare *prepare_next; /* while they are called */
	struct copse_watch wake, signals;
	void (*woken)(void *self, copse_ms now);
	void *woken_self;
	void (*caught)(void *self, int signal);
	void *caught_self;
	atomic_bool stop; /* any thread */
};

static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "copse_loop_stop may be called from a signal handler");

copse_ms copse_clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (copse_ms)t.tv_sec * 1000 + (copse_ms)(t.tv_nsec / 1000000);
}

/* ---- deadlines: a pairing heap. `prev` is the parent of a first child, else the sibling before. ---- */

static struct copse_timer *merge(struct copse_timer *a, struct copse_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->at < a->at) {
		struct copse_timer *swap = a;

		a = b;
		b = swap;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	return a;
}

/* Make one heap of a list of siblings: in pairs from the left, then all from the right. */
static struct copse_timer *merge_siblings(struct copse_timer *first)
{
	struct copse_timer *pairs = NULL, *heap = NULL;

	while (first) {
		struct copse_timer *a = first, *b = first->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = merge(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct copse_timer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		heap = merge(heap, a);
	}
	return heap;
}

static void unlink_timer(struct copse_loop *loop, struct copse_timer *t)
{
	struct copse_timer *below = merge_siblings(t->child);

	if (t == loop->top) {
		loop->top = below;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		loop->top = merge(loop->top, below);
	}
	t->child = t->next = t->prev = NULL;
	t->active = false;
	loop->timer_n--;
}

void copse_loop_set(struct copse_loop *loop, struct copse_timer *timer, copse_ms at)
{
	if (timer->active && timer->at == at)
		return;
	copse_loop_clear(loop, timer);
	if (at == COPSE_NEVER)
		return;
	timer->at = at;
	timer->active = true;
	timer->child = timer->next = timer->prev = NULL;
	loop->timer_n++;
	loop->top = merge(loop->top, timer);
}

void copse_loop_clear(struct copse_loop *loop, struct copse_timer *timer)
{
	if (timer->active)
		unlink_timer(loop, timer);
}

/* Handlers take their time, and may have given others a later one than their own: what they call is given a time that
 * never goes back. */
copse_ms copse_loop_refresh(struct copse_loop *loop)
{
	return loop->now = copse_clock_ms();
}

/* At most as many as there are now: one that sets itself to the past waits for the next round like everybody. */
static int run_timers(struct copse_loop *loop)
{
	int called = 0;

	for (size_t n = loop->timer_n; n > 0 && loop->top && loop->top->at <= loop->now; n--) {
		struct copse_timer *t = loop->top;

		unlink_timer(loop, t);
		t->due(t->self, copse_loop_refresh(loop));
		called++;
	}
	return called;
}

/* ---- descriptors ---- */

static uint32_t to_epoll(unsigned events)
{
	return (events & COPSE_LOOP_IN ? (uint32_t)EPOLLIN : 0) |
	       (events & COPSE_LOOP_OUT ? (uint32_t)EPOLLOUT : 0);
}

static unsigned from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? (unsigned)COPSE_LOOP_IN : 0) |
	       (events & EPOLLOUT ? (unsigned)COPSE_LOOP_OUT : 0) |
	       (events & (EPOLLERR | EPOLLHUP) ? (unsigned)COPSE_LOOP_ERROR : 0);
}

static short to_poll(unsigned events)
{
	return (short)((events & COPSE_LOOP_IN ? POLLIN : 0) | (events & COPSE_LOOP_OUT ? POLLOUT : 0));
}

static unsigned from_poll(short events)
{
	return (events & POLLIN ? (unsigned)COPSE_LOOP_IN : 0) |
	       (events & POLLOUT ? (unsigned)COPSE_LOOP_OUT : 0) |
	       (events & (POLLERR | POLLHUP) ? (unsigned)COPSE_LOOP_ERROR : 0);
}

/* Returns false when there is no place left, and the epoll set has to do. */
static bool add_hot(struct copse_loop *loop, struct copse_watch *watch)
{
	unsigned i = 0;

	while (i < loop->hot_n && loop->hot[i])
		i++;
	if (i == COPSE_LOOP_HOT_MAX)
		return false;
	loop->hot_n += i == loop->hot_n;
	loop->hot[i] = watch;
	loop->polled[i + 1] = (struct pollfd){watch->fd, to_poll(watch->events), 0};
	watch->hot_at = (uint8_t)(i + 1);
	watch->active = true;
	return true;
}

static void remove_hot(struct copse_loop *loop, struct copse_watch *watch)
{
	loop->hot[watch->hot_at - 1] = NULL;
	loop->polled[watch->hot_at] = (struct pollfd){.fd = -1};
	watch->hot_at = 0;
	while (loop->hot_n > 0 && !loop->hot[loop->hot_n - 1])
		loop->hot_n--;
}

int copse_loop_add(struct copse_loop *loop, struct copse_watch *watch)
{
	for (unsigned i = 0; i < loop->hot_n; i++) {
		if (loop->polled[i + 1].fd == watch->fd && watch->fd >= 0)
			return COPSE_ERR_ARGUMENT;
	}
	watch->hot_at = 0;
	if (watch->hot && fcntl(watch->fd, F_GETFD) >= 0 && add_hot(loop, watch))
		return COPSE_OK;
	struct epoll_event e = {.events = to_epoll(watch->events), .data.ptr = watch};

	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &e) != 0)
		return errno == ENOMEM || errno == ENOSPC ? COPSE_ERR_NOROOM : COPSE_ERR_ARGUMENT;
	watch->active = true;
	return COPSE_OK;
}

void copse_loop_change(struct copse_loop *loop, struct copse_watch *watch, unsigned events)
{
	struct epoll_event e = {.events = to_epoll(events), .data.ptr = watch};

	if (!watch->active || watch->events == events)
		return;
	watch->events = events;
	if (watch->hot_at) {
		loop->polled[watch->hot_at].events = to_poll(events);
		return;
	}
	COPSE_ASSERT(epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &e) == 0);
}

void copse_loop_remove(struct copse_loop *loop, struct copse_watch *watch)
{
	if (!watch->active)
		return;
	watch->active = false;
	if (watch->hot_at) {
		remove_hot(loop, watch);
		return;
	}
	COPSE_ASSERT(epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL) == 0);
	for (int i = loop->ready_i; i < loop->ready_n; i++) {
		if (loop->ready[i].data.ptr == watch)
			loop->ready[i].data.ptr = NULL;
	}
}

/* One that is added meanwhile, maybe in the place of another, has no events yet. */
static int run_hot(struct copse_loop *loop)
{
	int called = 0;

	for (unsigned i = 0; i < loop->hot_n; i++) {
		const unsigned events = from_poll(loop->polled[i + 1].revents);

		loop->polled[i + 1].revents = 0;
		if (!events || !loop->hot[i])
			continue;
		loop->hot[i]->ready(loop->hot[i]->self, events, copse_loop_refresh(loop));
		called++;
	}
	return called;
}

static int run_watches(struct copse_loop *loop)
{
	int called = 0;

	while (loop->ready_i < loop->ready_n) {
		const struct epoll_event *e = &loop->ready[loop->ready_i++];
		struct copse_watch *watch = e->data.ptr;

		if (!watch)
			continue;
		watch->ready(watch->self, from_epoll(e->events), copse_loop_refresh(loop));
		called++;
	}
	return called;
}

/* ---- signals and other threads ---- */

static void wake_ready(void *self, unsigned events, copse_ms now)
{
	struct copse_loop *loop = self;
	uint64_t count;

	(void)events;
	while (read(loop->wake.fd, &count, sizeof count) < 0 && errno == EINTR)
		;
	if (loop->woken)
		loop->woken(loop->woken_self, now);
}

static void signals_ready(void *self, unsigned events, copse_ms now)
{
	struct copse_loop *loop = self;
	struct signalfd_siginfo info;

	(void)events;
	(void)now;
	while (loop->signals.active && read(loop->signals.fd, &info, sizeof info) == (ssize_t)sizeof info)
		loop->caught(loop->caught_self, (int)info.ssi_signo);
}

int copse_loop_signals(struct copse_loop *loop, const int *signals, void (*caught)(void *self, int signal),
		       void *self)
{
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	for (; *signals; signals++) {
		if (sigaddset(&mask, *signals) != 0)
			return COPSE_ERR_ARGUMENT;
	}
	fd = signalfd(loop->signals.fd, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return COPSE_ERR_NOROOM;
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	loop->caught = caught;
	loop->caught_self = self;
	if (loop->signals.active)
		return COPSE_OK;
	loop->signals =
	    (struct copse_watch){.fd = fd, .events = COPSE_LOOP_IN, .ready = signals_ready, .self = loop};
	return copse_loop_add(loop, &loop->signals);
}

void copse_loop_on_wake(struct copse_loop *loop, void (*woken)(void *self, copse_ms now), void *self)
{
	loop->woken = woken;
	loop->woken_self = self;
}

/* The counter of an eventfd is full after 2^64 - 2 wakes that nobody has read: then the loop is awake anyway. errno is
 * kept, since this may run in a signal handler. */
void copse_loop_wake(struct copse_loop *loop)
{
	uint64_t one = 1;
	int kept = errno;

	while (write(loop->wake.fd, &one, sizeof one) < 0 && errno == EINTR)
		;
	errno = kept;
}

void copse_loop_stop(struct copse_loop *loop)
{
	atomic_store(&loop->stop, true);
	copse_loop_wake(loop);
}

/* ---- rounds ---- */

struct copse_loop *copse_loop_new(void)
{
	struct copse_loop *loop = copse_mem_new(1, sizeof *loop);

	if (!loop)
		return NULL;
	loop->signals.fd = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->polled[0] = (struct pollfd){.fd = loop->epoll, .events = POLLIN};
	loop->wake = (struct copse_watch){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					  .events = COPSE_LOOP_IN,
					  .ready = wake_ready,
					  .self = loop};
	if (loop->epoll < 0 || loop->wake.fd < 0 || copse_loop_add(loop, &loop->wake) != COPSE_OK) {
		copse_loop_free(loop);
		return NULL;
	}
	loop->now = copse_clock_ms();
	return loop;
}

void copse_loop_free(struct copse_loop *loop)
{
	if (!loop)
		return;
	if (loop->signals.fd >= 0)
		close(loop->signals.fd);
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	if (loop->epoll >= 0)
		close(loop->epoll);
	copse_mem_free(loop);
}

void copse_loop_prepare(struct copse_loop *loop, struct copse_prepare *prepare)
{
	prepare->next = loop->prepares;
	loop->prepares = prepare;
}

void copse_loop_unprepare(struct copse_loop *loop, struct copse_prepare *prepare)
{
	struct copse_prepare **p = &loop->prepares;

	while (*p && *p != prepare)
		p = &(*p)->next;
	if (!*p)
		return;
	*p = prepare->next;
	if (loop->prepare_next == prepare)
		loop->prepare_next = prepare->next;
}

copse_ms copse_loop_now(const struct copse_loop *loop)
{
	return loop->now;
}

static void run_prepares(struct copse_loop *loop)
{
	for (struct copse_prepare *p = loop->prepares; p; p = loop->prepare_next) {
		loop->prepare_next = p->next;
		p->before(p->self, copse_loop_refresh(loop));
	}
}

static int timeout(const struct copse_loop *loop, copse_ms wait_ms)
{
	copse_ms wait = wait_ms;

	if (loop->top) {
		copse_ms left = loop->top->at > loop->now ? loop->top->at - loop->now : 0;

		wait = left < wait ? left : wait;
	}
	if (wait == COPSE_NEVER)
		return -1;
	return wait < INT_MAX ? (int)wait : INT_MAX;
}

static void wait_for_events(struct copse_loop *loop, int wait_ms)
{
	int n = 0;

	if (loop->hot_n > 0) {
		n = poll(loop->polled, loop->hot_n + 1, wait_ms);
		COPSE_ASSERT(n >= 0 || errno == EINTR || errno == ENOMEM);
		wait_ms = 0;
	}
	if (loop->hot_n == 0 || (n > 0 && loop->polled[0].revents)) {
		n = epoll_wait(loop->epoll, loop->ready, READY_MAX, wait_ms);
		COPSE_ASSERT(n >= 0 || errno == EINTR);
	} else {
		n = 0;
	}
	loop->ready_n = n > 0 ? n : 0;
	loop->ready_i = 0;
}

int copse_loop_step(struct copse_loop *loop, copse_ms wait_ms)
{
	int called;

	run_prepares(loop);
	copse_loop_refresh(loop);
	wait_for_events(loop, timeout(loop, wait_ms));
	copse_loop_refresh(loop);
	called = run_hot(loop);
	called += run_watches(loop);
	return called + run_timers(loop);
}

void copse_loop_run(struct copse_loop *loop)
{
	while (!atomic_load(&loop->stop))
		copse_loop_step(loop, COPSE_NEVER);
	atomic_store(&loop->stop, false);
	run_prepares(loop);
}
