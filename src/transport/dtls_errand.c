/* See dtls_errand.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "dtls_errand.h"

#include <copse/mem.h>

#include <string.h>

#define OUT_MAX 32u /* datagrams of one step: flights are smaller */

/* ---- queues of datagrams ---- */

void dtls_queue_init(struct dtls_queue *q)
{
	*q = (struct dtls_queue){.last = &q->first};
}

bool dtls_queue_put(struct dtls_queue *q, const void *bytes, size_t len, uint32_t max)
{
	struct dtls_waiting *w = q->n < max ? copse_mem_new(1, sizeof *w + len) : NULL;

	if (!w)
		return false;
	w->len = (uint32_t)len;
	memcpy(w->bytes, bytes, len);
	*q->last = w;
	q->last = &w->next;
	q->n++;
	return true;
}

struct dtls_waiting *dtls_queue_take(struct dtls_queue *q)
{
	struct dtls_waiting *w = q->first;

	if (!w)
		return NULL;
	q->first = w->next;
	if (!q->first)
		q->last = &q->first;
	q->n--;
	return w;
}

void dtls_queue_drop(struct dtls_queue *q)
{
	struct dtls_waiting *w;

	while ((w = dtls_queue_take(q)) != NULL)
		copse_mem_free(w);
}

/* ---- errands ---- */

static void errand_out(struct dtls_link *link, const void *bytes, size_t len)
{
	struct dtls_errand *e = (struct dtls_errand *)((char *)link - offsetof(struct dtls_errand, link));

	dtls_queue_put(&e->out, bytes, len, OUT_MAX); /* what is lost is sent again, as on the way */
}

/* The pool's is the first member. */
static struct dtls_errand *of(struct handshake_errand *self)
{
	return (struct dtls_errand *)self;
}

/* Without a datagram, the time has come to say the last things again. */
static void run(struct handshake_errand *self)
{
	struct dtls_errand *e = of(self);
	bool once = e->in.n == 0;

	e->progress = DTLS_WAITS;
	while (!atomic_load(&self->dropped) && e->progress == DTLS_WAITS && (once || e->in.n > 0)) {
		struct dtls_waiting *w = dtls_queue_take(&e->in);

		once = false;
		dtls_record_feed(e->record, w ? w->bytes : NULL, w ? w->len : 0);
		e->progress = dtls_record_handshake(e->record);
		dtls_record_feed(e->record, NULL, 0);
		copse_mem_free(w);
	}
}

static void release(struct handshake_errand *self)
{
	dtls_errand_free(of(self));
}

struct dtls_errand *dtls_errand_new(struct handshake_home *home, uint32_t assoc, const uint8_t *address)
{
	struct dtls_errand *e = copse_mem_new(1, sizeof *e);

	if (!e)
		return NULL;
	e->base = (struct handshake_errand){.home = home, .run = run, .release = release};
	e->assoc = assoc;
	memcpy(e->address, address, sizeof e->address);
	e->link = (struct dtls_link){errand_out, e->address};
	dtls_queue_init(&e->in);
	dtls_queue_init(&e->out);
	dtls_queue_init(&e->later);
	return e;
}

void dtls_errand_free(struct dtls_errand *e)
{
	dtls_record_free(e->record);
	dtls_queue_drop(&e->in);
	dtls_queue_drop(&e->out);
	dtls_queue_drop(&e->later);
	copse_mem_free(e);
}
