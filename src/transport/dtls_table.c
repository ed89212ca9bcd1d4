/* The associations of a DTLS transport: records, lists, tables. See dtls_internal.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "dtls_internal.h"

#include "core/siphash.h"

#include <copse/host.h>
#include <copse/mem.h>

#include <gnutls/gnutls.h>

#define RESUME_MAX 4096u /* sessions kept to be resumed */

/* ---- hashes: without the id of the transport, which a host gives later ---- */

static uint32_t hash_key(const struct copse_dtls *d, const struct copse_peer *peer)
{
	return (uint32_t)core_siphash(d->key, peer->key + 2, COPSE_PEER_KEY_MAX - 2, 1, 3);
}

static bool same_key(const struct copse_peer *a, const struct copse_peer *b)
{
	return memcmp(a->key + 2, b->key + 2, COPSE_PEER_KEY_MAX - 2) == 0;
}

struct dtls_assoc *dtls_find_address(struct copse_dtls *d, const struct copse_peer *below)
{
	uint32_t hash = hash_key(d, below), pos = hash & d->by_address.mask, found;

	while ((found = core_table_next(&d->by_address, hash, &pos)) != 0)
		if (same_key(&d->assoc[found - 1].below, below))
			return &d->assoc[found - 1];
	return NULL;
}

struct dtls_assoc *dtls_find_peer(struct copse_dtls *d, const struct copse_peer *peer)
{
	uint32_t hash = hash_key(d, peer), pos = hash & d->by_peer.mask, found;

	while ((found = core_table_next(&d->by_peer, hash, &pos)) != 0)
		if (same_key(&d->assoc[found - 1].peer, peer))
			return &d->assoc[found - 1];
	return NULL;
}

struct dtls_assoc *dtls_find_lineage(struct copse_dtls *d, uint64_t lineage)
{
	uint32_t hash = (uint32_t)lineage, pos = hash & d->by_lineage.mask, found;

	while ((found = core_table_next(&d->by_lineage, hash, &pos)) != 0)
		if (d->assoc[found - 1].lineage == lineage)
			return &d->assoc[found - 1];
	return NULL;
}

void dtls_set_address(struct copse_dtls *d, struct dtls_assoc *a, bool in)
{
	if (a->by_address == in)
		return;
	a->by_address = in;
	if (in) {
		a->address_hash = hash_key(d, &a->below);
		core_table_insert(&d->by_address, a->address_hash, dtls_number(d, a));
	} else {
		core_table_remove(&d->by_address, a->address_hash, dtls_number(d, a));
	}
}

void dtls_set_peer(struct copse_dtls *d, struct dtls_assoc *a, bool in)
{
	if (a->by_peer == in)
		return;
	a->by_peer = in;
	if (in) {
		a->peer_hash = hash_key(d, &a->peer);
		core_table_insert(&d->by_peer, a->peer_hash, dtls_number(d, a));
	} else {
		core_table_remove(&d->by_peer, a->peer_hash, dtls_number(d, a));
	}
}

/* ---- lists ---- */

static void link_in(struct copse_dtls *d, struct dtls_list *list, struct dtls_assoc *a)
{
	a->prev = 0;
	a->next = list->first;
	if (list->first)
		dtls_at(d, list->first)->prev = dtls_number(d, a);
	else
		list->last = dtls_number(d, a);
	list->first = dtls_number(d, a);
	list->n++;
}

static void link_out(struct copse_dtls *d, struct dtls_list *list, struct dtls_assoc *a)
{
	if (a->prev)
		dtls_at(d, a->prev)->next = a->next;
	else
		list->first = a->next;
	if (a->next)
		dtls_at(d, a->next)->prev = a->prev;
	else
		list->last = a->prev;
	list->n--;
}

void dtls_touch(struct copse_dtls *d, struct dtls_assoc *a, copse_ms now)
{
	a->used = now;
	if (a->state != DTLS_OPEN || d->open.first == dtls_number(d, a))
		return;
	link_out(d, &d->open, a);
	link_in(d, &d->open, a);
}

void dtls_set_open(struct copse_dtls *d, struct dtls_assoc *a)
{
	link_out(d, &d->shaking, a);
	core_heap_clear(&d->heap, &a->timer);
	a->state = DTLS_OPEN;
	link_in(d, &d->open, a);
	if (d->server)
		core_table_insert(&d->by_lineage, (uint32_t)a->lineage, dtls_number(d, a));
}

/* ---- records ---- */

struct dtls_assoc *dtls_take(struct copse_dtls *d, const struct copse_peer *below,
			     const struct copse_peer *peer)
{
	struct dtls_assoc *a = NULL;

	if (d->free) {
		a = dtls_at(d, d->free);
		d->free = a->next;
	} else if (d->fresh < d->config.associations + d->config.handshakes) {
		a = &d->assoc[d->fresh++];
	}
	if (!a)
		return NULL;
	*a = (struct dtls_assoc){
	    .owner = d, .below = *below, .peer = *peer, .asked = COPSE_NEVER, .state = DTLS_HANDSHAKE};
	dtls_queue_init(&a->waiting);
	link_in(d, &d->shaking, a);
	return a;
}

void dtls_give_back(struct copse_dtls *d, struct dtls_assoc *a)
{
	COPSE_ASSERT(a->state != DTLS_FREE);
	dtls_set_address(d, a, false);
	dtls_set_peer(d, a, false);
	if (a->state == DTLS_OPEN && d->server)
		core_table_remove(&d->by_lineage, (uint32_t)a->lineage, dtls_number(d, a));
	link_out(d, a->state == DTLS_OPEN ? &d->open : &d->shaking, a);
	core_heap_clear(&d->heap, &a->timer);
	if (a->errand)
		dtls_away_drop(a);
	dtls_record_free(a->record);
	dtls_queue_drop(&a->waiting);
	if (d->backlog == dtls_number(d, a))
		d->backlog = 0;
	a->record = NULL;
	a->state = DTLS_FREE;
	a->next = d->free;
	d->free = dtls_number(d, a);
}

/* ---- sessions to be resumed: one place for each hash, the newer one takes it ---- */

static struct dtls_resume *resume_place(const struct copse_dtls *d, const struct copse_peer *below)
{
	return d->resume ? &d->resume[hash_key(d, below) & d->resume_mask] : NULL;
}

const struct dtls_resume *dtls_resume_find(const struct copse_dtls *d, const struct copse_peer *below)
{
	const struct dtls_resume *r = resume_place(d, below);

	return r && r->len && memcmp(r->address, below->key + 2, sizeof r->address) == 0 ? r : NULL;
}

void dtls_resume_put(struct copse_dtls *d, const struct copse_peer *below, const void *bytes, size_t len)
{
	struct dtls_resume *r = resume_place(d, below);

	if (!r || len > sizeof r->bytes)
		return;
	memcpy(r->address, below->key + 2, sizeof r->address);
	memcpy(r->bytes, bytes, len);
	r->len = (uint16_t)len;
}

void dtls_resume_keep(struct copse_dtls *d, const struct copse_peer *below, const struct dtls_record *record)
{
	struct dtls_resume *r = resume_place(d, below);

	if (!r)
		return;
	memcpy(r->address, below->key + 2, sizeof r->address);
	r->len = (uint16_t)dtls_record_resumption(record, r->bytes, sizeof r->bytes);
}

void dtls_resume_forget(struct copse_dtls *d)
{
	for (uint32_t i = 0; d->resume && i <= d->resume_mask; i++)
		if (d->resume[i].len) {
			gnutls_memset(d->resume[i].bytes, 0, d->resume[i].len);
			d->resume[i].len = 0;
		}
}

/* ---- making ---- */

static bool make_table(struct core_table *t, uint32_t cap)
{
	uint32_t slots = core_table_slots(cap);

	t->slot = copse_mem_new(slots, sizeof *t->slot);
	if (t->slot)
		core_table_init(t, t->slot, slots);
	return t->slot != NULL;
}

static bool make_resume(struct copse_dtls *d)
{
	uint32_t n = 16;

	while (n < RESUME_MAX && n < d->config.associations)
		n *= 2;
	d->resume_mask = n - 1;
	d->resume = copse_mem_new(n, sizeof *d->resume);
	return d->resume != NULL;
}

bool dtls_table_new(struct copse_dtls *d)
{
	uint32_t cap = d->config.associations + d->config.handshakes;

	copse_host_random(d->key, sizeof d->key);
	copse_host_random(d->cookie, sizeof d->cookie);
	d->assoc = copse_mem_new(cap, sizeof *d->assoc);
	d->heap.timer = copse_mem_new(d->config.handshakes + 1, sizeof *d->heap.timer);
	d->heap.cap = d->config.handshakes;
	return d->assoc && d->heap.timer && make_table(&d->by_address, cap) && make_table(&d->by_peer, cap) &&
	       make_table(&d->by_lineage, cap) && (d->server || make_resume(d));
}

void dtls_table_free(struct copse_dtls *d)
{
	while (d->assoc && d->shaking.first)
		dtls_give_back(d, dtls_at(d, d->shaking.first));
	while (d->assoc && d->open.first)
		dtls_give_back(d, dtls_at(d, d->open.first));
	dtls_resume_forget(d);
	copse_mem_free(d->assoc);
	copse_mem_free(d->heap.timer);
	copse_mem_free(d->by_address.slot);
	copse_mem_free(d->by_peer.slot);
	copse_mem_free(d->by_lineage.slot);
	copse_mem_free(d->resume);
}
