/* See handshake_pool.h. Two locks, never both at once: the pool's, of its queue, and each home's, of what has come back.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "handshake_pool.h"

#include <copse/mem.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX 16u

struct copse_handshake_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct handshake_errand *first, **last;
	unsigned queued, queue_max, threads;
	bool stop, held;
	pthread_t thread[THREADS_MAX];
};

struct handshake_home {
	pthread_mutex_t lock;
	struct handshake_errand *first, **last;
	_Atomic bool any;
	unsigned away; /* errands that are in a pool's hands */
	bool closed;
	int fd;
};

/* ---- homes ---- */

struct handshake_home *handshake_home_new(void)
{
	struct handshake_home *h = copse_mem_new(1, sizeof *h);

	if (!h)
		return NULL;
	h->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->fd < 0 || pthread_mutex_init(&h->lock, NULL) != 0) {
		if (h->fd >= 0)
			close(h->fd);
		copse_mem_free(h);
		return NULL;
	}
	h->last = &h->first;
	return h;
}

int handshake_home_fd(const struct handshake_home *home)
{
	return home->fd;
}

static void free_list(struct handshake_errand *e)
{
	while (e) {
		struct handshake_errand *next = e->next;

		e->release(e);
		e = next;
	}
}

static void home_free(struct handshake_home *h)
{
	pthread_mutex_destroy(&h->lock);
	close(h->fd);
	copse_mem_free(h);
}

struct handshake_errand *handshake_home_take(struct handshake_home *h)
{
	struct handshake_errand *list;
	uint64_t n;

	if (!atomic_load_explicit(&h->any, memory_order_acquire))
		return NULL;
	pthread_mutex_lock(&h->lock);
	atomic_store_explicit(&h->any, false, memory_order_relaxed);
	list = h->first;
	h->first = NULL;
	h->last = &h->first;
	while (read(h->fd, &n, sizeof n) > 0)
		;
	pthread_mutex_unlock(&h->lock);
	return list;
}

void handshake_home_close(struct handshake_home *h)
{
	struct handshake_errand *list;
	bool last;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->closed = true;
	list = h->first;
	h->first = NULL;
	last = h->away == 0;
	pthread_mutex_unlock(&h->lock);
	free_list(list);
	if (last)
		home_free(h);
}

/* One more away, or one less. */
static void count_away(struct handshake_home *h, int change)
{
	pthread_mutex_lock(&h->lock);
	h->away = (unsigned)((int)h->away + change);
	pthread_mutex_unlock(&h->lock);
}

static void come_home(struct handshake_errand *e)
{
	static const uint64_t one = 1;
	struct handshake_home *h = e->home;
	bool closed, last;

	pthread_mutex_lock(&h->lock);
	closed = h->closed;
	last = --h->away == 0;
	if (!closed) {
		e->next = NULL;
		*h->last = e;
		h->last = &e->next;
		atomic_store_explicit(&h->any, true, memory_order_release);
		if (write(h->fd, &one, sizeof one) < 0) {
			/* the count is full: it shows input already */
		}
	}
	pthread_mutex_unlock(&h->lock);
	if (!closed)
		return;
	e->release(e);
	if (last)
		home_free(h);
}

/* ---- the pool ---- */

bool handshake_pool_send(struct copse_handshake_pool *p, struct handshake_errand *e)
{
	bool taken;

	count_away(e->home, 1);
	pthread_mutex_lock(&p->lock);
	taken = p->queued < p->queue_max;
	if (taken) {
		e->next = NULL;
		*p->last = e;
		p->last = &e->next;
		p->queued++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	if (!taken)
		count_away(e->home, -1);
	return taken;
}

/* The next errand, or NULL when all is over. */
static struct handshake_errand *next(struct copse_handshake_pool *p)
{
	struct handshake_errand *e;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && (p->held || !p->first))
		pthread_cond_wait(&p->work, &p->lock);
	e = p->first;
	if (e) {
		p->first = e->next;
		if (!p->first)
			p->last = &p->first;
		p->queued--;
	}
	pthread_mutex_unlock(&p->lock);
	return e;
}

static void *work(void *self)
{
	struct copse_handshake_pool *p = self;
	struct handshake_errand *e;

	pthread_setname_np(pthread_self(), "handshakes");
	while ((e = next(p)) != NULL) {
		if (!atomic_load(&e->dropped))
			e->run(e);
		come_home(e);
	}
	return NULL;
}

static bool start(struct copse_handshake_pool *p, unsigned threads)
{
	sigset_t all, old;

	sigfillset(&all); /* signals are for others */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->threads < threads && pthread_create(&p->thread[p->threads], NULL, work, p) == 0)
		p->threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return p->threads == threads;
}

struct copse_handshake_pool *copse_handshake_pool_new(unsigned threads, unsigned queue)
{
	struct copse_handshake_pool *p = copse_mem_new(1, sizeof *p);

	COPSE_ASSERT(threads > 0 && queue > 0);
	if (!p)
		return NULL;
	p->last = &p->first;
	p->queue_max = queue;
	if (pthread_mutex_init(&p->lock, NULL) != 0 || pthread_cond_init(&p->work, NULL) != 0) {
		copse_mem_free(p);
		return NULL;
	}
	if (start(p, threads < THREADS_MAX ? threads : THREADS_MAX))
		return p;
	copse_handshake_pool_free(p);
	return NULL;
}

void copse_handshake_pool_free(struct copse_handshake_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	while (p->first) { /* no thread was there to take it */
		struct handshake_errand *e = next(p);

		come_home(e);
	}
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	copse_mem_free(p);
}

void copse_handshake_pool_hold(struct copse_handshake_pool *p, bool hold)
{
	pthread_mutex_lock(&p->lock);
	p->held = hold;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
}
