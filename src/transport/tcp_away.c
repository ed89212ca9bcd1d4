/* Handshakes of TLS that other threads make. A connection whose turn it is goes away with its session and its descriptor: a
 * thread reads, reckons and writes as far as the descriptor lets it, and it comes back. Nobody else touches either
 * meanwhile, and the descriptor is not watched. A connection that ends while it is away leaves both to the errand.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "handshake_pool.h"
#include "tcp_internal.h"

#include <copse/mem.h>

#include <sys/epoll.h>
#include <unistd.h>

#define RETRY_MS 250u /* when the threads had no room */

struct tcp_errand {
	struct handshake_errand base;
	struct tcp_tls *tls;
	int fd; /* to be closed with it; -1: the connection's */
	uint32_t conn;
	int done; /* as tcp_tls_shake says it */
	const char *why;
};

/* The pool's is the first member. */
static struct tcp_errand *of(struct handshake_errand *self)
{
	return (struct tcp_errand *)self;
}

static void run(struct handshake_errand *self)
{
	struct tcp_errand *e = of(self);

	e->done = tcp_tls_shake(e->tls, &e->why);
}

/* Of a connection that has ended, or of a transport that is closed. */
static void release(struct handshake_errand *self)
{
	struct tcp_errand *e = of(self);

	tcp_tls_free(e->tls);
	if (e->fd >= 0)
		close(e->fd);
	copse_mem_free(e);
}

bool tcp_away_open(struct copse_tcp *t)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = TCP_HOME};

	if (!t->secure || !t->config.pool)
		return true;
	t->home = handshake_home_new();
	return t->home && epoll_ctl(t->base.fd, EPOLL_CTL_ADD, handshake_home_fd(t->home), &e) == 0;
}

void tcp_away_close(struct copse_tcp *t)
{
	handshake_home_close(t->home); /* which takes NULL */
}

bool tcp_away_begin(struct tcp_conn *c)
{
	struct copse_tcp *t = c->owner;
	struct tcp_errand *e = t->home ? copse_mem_new(1, sizeof(*e)) : NULL;

	if (!e)
		return !t->home;
	*e = (struct tcp_errand){.base = {.home = t->home, .run = run, .release = release},
				 .tls = c->tls,
				 .fd = -1,
				 .conn = tcp_number(t, c)};
	c->errand = e;
	return true;
}

void tcp_away_step(struct tcp_conn *c, copse_ms now)
{
	struct copse_tcp *t = c->owner;

	if (c->away)
		return;
	if (!c->unwatched) /* an error would be told again and again, which is the session's to meet */
		epoll_ctl(t->base.fd, EPOLL_CTL_DEL, c->fd, NULL);
	c->unwatched = true;
	c->away = handshake_pool_send(t->config.pool, &c->errand->base);
	c->retry_at = c->away ? COPSE_NEVER : now + RETRY_MS;
	t->count.handshakes_away += c->away;
	t->count.handshakes_crowded += !c->away;
	tcp_settle(c);
}

bool tcp_away_drop(struct tcp_conn *c)
{
	struct tcp_errand *e = c->errand;

	if (!e)
		return false;
	c->errand = NULL;
	if (!c->away) {
		copse_mem_free(e);
		return false;
	}
	e->fd = c->fd;
	atomic_store(&e->base.dropped, true);
	return true;
}

static void come_back(struct copse_tcp *t, struct tcp_errand *e, copse_ms now)
{
	struct tcp_conn *c = tcp_at(t, e->conn);
	struct epoll_event watched = {.events = EPOLLIN, .data.u32 = e->conn};
	const char *why = e->why;
	const int done = e->done;

	c->away = c->unwatched = false;
	c->watched = EPOLLIN;
	if (done != TCP_AGAIN)
		tcp_away_drop(c);
	if (epoll_ctl(t->base.fd, EPOLL_CTL_ADD, c->fd, &watched) != 0)
		tcp_end(c, &t->count.failed, "out of memory", false);
	else if (tcp_shaken(c, done, why, now) && c->state >= TCP_GREETING)
		tcp_make_ready(c); /* what came behind the handshake may have been read already */
}

void tcp_away_back(struct copse_tcp *t, copse_ms now)
{
	struct handshake_errand *e = handshake_home_take(t->home), *next;

	for (; e; e = next) {
		next = e->next;
		if (atomic_load(&e->dropped))
			e->release(e);
		else
			come_back(t, of(e), now);
	}
}
