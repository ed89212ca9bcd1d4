/* Handshakes whose record layer goes to other threads, from the transport's side: sending it away, and what happens when it
 * comes back. Drawn in doc/states/dtls.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "dtls_internal.h"

#include <copse/mem.h>

#define LATER_MAX 16u  /* datagrams that wait for an errand to come back */
#define RETRY_MS  250u /* when the threads had no room */

static void depart(struct copse_dtls *d, struct dtls_assoc *a, copse_ms now)
{
	struct dtls_errand *e = a->errand;
	copse_ms end = a->began + d->config.handshake_ms;
	struct dtls_waiting *w;

	while ((w = dtls_queue_take(&e->later)) != NULL) {
		if (!dtls_queue_put(&e->in, w->bytes, w->len, LATER_MAX))
			d->count.handshakes_crowded++;
		copse_mem_free(w);
	}
	e->away = true;
	if (handshake_pool_send(d->config.pool, &e->base)) {
		d->count.handshakes_away++;
		core_heap_set(&d->heap, &a->timer, end);
		return;
	}
	e->away = false;
	dtls_queue_drop(&e->in); /* they come again */
	d->count.handshakes_crowded++;
	core_heap_set(&d->heap, &a->timer, now + RETRY_MS < end ? now + RETRY_MS : end);
}

void dtls_away_step(struct copse_dtls *d, struct dtls_assoc *a, const void *bytes, size_t len, copse_ms now)
{
	struct dtls_errand *e = a->errand;

	if (len > 0 && !dtls_queue_put(&e->later, bytes, len, LATER_MAX))
		d->count.handshakes_crowded++;
	if (!e->away)
		depart(d, a, now);
}

/* It is a handshake as any other one was, and complete. What came behind it is read as far as there is room. */
static size_t finish(struct copse_dtls *d, struct dtls_assoc *a, struct copse_datagram *batch, size_t n,
		     copse_ms now)
{
	struct dtls_errand *e = a->errand;
	uint32_t number = dtls_number(d, a);
	struct dtls_waiting *w;
	size_t kept;

	a->errand = NULL;
	e->record = NULL; /* the association's alone */
	dtls_record_set_link(a->record, &a->link);
	dtls_shaken(d, a, DTLS_DONE, now);
	kept = dtls_read_messages(d, a, batch, n, now);
	while ((w = dtls_queue_take(&e->in)) != NULL || (w = dtls_queue_take(&e->later)) != NULL) {
		if (d->backlog || kept == n || dtls_at(d, number)->state != DTLS_OPEN) {
			d->count.no_room++;
		} else {
			dtls_record_feed(a->record, w->bytes, w->len);
			kept += dtls_read_messages(d, a, batch + kept, n - kept, now);
		}
		copse_mem_free(w);
	}
	dtls_errand_free(e);
	return kept;
}

static size_t come_back(struct copse_dtls *d, struct dtls_errand *e, struct copse_datagram *batch, size_t n,
			copse_ms now)
{
	struct dtls_assoc *a;
	struct dtls_waiting *w;

	if (atomic_load(&e->base.dropped)) {
		dtls_errand_free(e);
		return 0;
	}
	a = dtls_at(d, e->assoc);
	e->away = false;
	while ((w = dtls_queue_take(&e->out)) != NULL) {
		a->link.out(&a->link, w->bytes, w->len);
		copse_mem_free(w);
	}
	if (e->progress == DTLS_DONE)
		return finish(d, a, batch, n, now);
	if (e->progress == DTLS_WAITS && e->later.n > 0)
		depart(d, a, now);
	else
		dtls_shaken(d, a, e->progress, now);
	return 0;
}

size_t dtls_away_back(struct copse_dtls *d, struct copse_datagram *batch, size_t n, copse_ms now)
{
	size_t kept = 0;

	if (!d->home)
		return 0;
	while (kept < n && !d->backlog) {
		struct handshake_errand *e = d->back ? d->back : handshake_home_take(d->home);

		if (!e)
			break;
		d->back = e->next;
		kept += come_back(d, (struct dtls_errand *)e, batch + kept, n - kept, now);
	}
	return kept;
}

void dtls_away_drop(struct dtls_assoc *a)
{
	struct dtls_errand *e = a->errand;

	a->errand = NULL;
	a->record = NULL; /* the errand's */
	if (e->away)
		atomic_store(&e->base.dropped, true); /* it is freed when it comes back */
	else
		dtls_errand_free(e);
}

void dtls_away_close(struct copse_dtls *d)
{
	while (d->back) {
		struct handshake_errand *e = d->back;

		d->back = e->next;
		e->release(e);
	}
	handshake_home_close(d->home);
}
