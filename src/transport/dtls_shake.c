/* How associations of a DTLS transport begin and end; drawn in doc/states/dtls.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "dtls_internal.h"

#include "core/siphash.h"

#include <copse/host.h>
#include <copse/mem.h>

#define COOKIE_LIFE COPSE_SECONDS(600)
#define RANDOM_AT                                                                                            \
	27u /* of a ClientHello's random bytes, behind the headers of record and message and the version */
#define RANDOM_LEN    32u
#define SERIAL_MASK   ADDRESS_SCOPE_MAX
#define TIMEOUT_FLOOR 5u

/* ---- out ---- */

/* dtls_link.out: a datagram of `a`. */
static void out(struct copse_dtls *d, const struct copse_peer *to, const void *bytes, size_t len)
{
	struct copse_datagram *o;

	if (d->out_n == DTLS_OUT && !dtls_flush(d, 0)) {
		d->count.flights_lost++;
		return;
	}
	COPSE_ASSERT(len <= DTLS_BYTES_MAX);
	o = &d->out[d->out_n++];
	o->peer = *to;
	o->peer.flags = 0;
	o->len = (uint32_t)len;
	memcpy(o->data, bytes, len);
}

static void assoc_out(struct dtls_link *link, const void *bytes, size_t len)
{
	struct dtls_assoc *a = (struct dtls_assoc *)((char *)link - offsetof(struct dtls_assoc, link));

	out(a->owner, &a->below, bytes, len);
}

struct stranger {
	struct dtls_link link;
	struct copse_dtls *owner;
	const struct copse_peer *below;
};

static void stranger_out(struct dtls_link *link, const void *bytes, size_t len)
{
	const struct stranger *s = (const struct stranger *)link;

	out(s->owner, s->below, bytes, len);
}

int dtls_write(struct copse_dtls *d, struct dtls_assoc *a, const void *bytes, uint32_t len, copse_ms now)
{
	int err = dtls_record_write(a->record, bytes, len);

	if (err)
		return err;
	if (a->asked == COPSE_NEVER)
		a->asked = now;
	dtls_touch(d, a, now);
	return COPSE_OK;
}

void dtls_push_failure(struct copse_dtls *d, const struct copse_peer *peer, const char *why)
{
	d->base.failed = true;
	if (d->failure_n == DTLS_FAILURES) {
		d->base.counters.failures_lost++;
		return;
	}
	d->failures[d->failure_n++] = (struct dtls_failure){*peer, why};
}

/* ---- the end ---- */

static void tell_end(struct copse_dtls *d, const struct copse_peer *peer)
{
	dtls_push_failure(d, peer, NULL);
	if (d->config.ended)
		d->config.ended(d->config.self, peer);
}

void dtls_end(struct copse_dtls *d, struct dtls_assoc *a, bool tell)
{
	struct dtls_assoc *successor = dtls_at(d, a->successor), *predecessor = dtls_at(d, a->predecessor);
	struct copse_peer peer = a->peer;

	if (predecessor)
		predecessor->successor = 0;
	dtls_give_back(d, a);
	if (successor) {
		/* datagrams of the address are the handshake's now */
		successor->predecessor = 0;
		dtls_set_address(d, successor, true);
		if (!d->server)
			dtls_set_peer(d, successor, true);
	}
	if (tell)
		tell_end(d, &peer);
}

/* A handshake is over without success. Messages that wait are lost with it: those above learn that. */
static void fail(struct copse_dtls *d, struct dtls_assoc *a)
{
	d->count.handshakes_failed++;
	if (a->errand && a->errand->away) {
		d->why = "the handshake took too long";
		d->why_silent = false;
	} else {
		d->why = dtls_record_why(a->record, &d->why_silent);
	}
	/* beside an open association nobody knows of it; a server's is nobody's peer before it is complete */
	if (!d->server && !a->predecessor)
		dtls_push_failure(d, &a->peer, d->why_silent ? NULL : d->why);
	if (!d->server && d->config.refused && !d->why_silent)
		d->config.refused(d->config.self, &a->peer, d->why);
	dtls_end(d, a, false);
}

/* Room for one more open association: the least recently used one goes. */
static void make_room(struct copse_dtls *d)
{
	struct dtls_assoc *oldest;

	if (d->open.n < d->config.associations)
		return;
	oldest = dtls_at(d, d->open.last);
	d->count.associations_evicted++;
	dtls_record_close(oldest->record);
	dtls_end(d, oldest, true);
}

/* ---- the beginning ---- */

static struct dtls_assoc *take(struct copse_dtls *d, const struct copse_peer *below,
			       const struct copse_peer *peer, const struct dtls_verified *verified, bool dear,
			       copse_ms now)
{
	const struct dtls_resume *resume = dtls_resume_find(d, below);
	const struct dtls_record_config config = {
	    .secure = d->secure,
	    .mtu = d->config.mtu,
	    .retransmit_ms = (uint32_t)d->config.retransmit_ms,
	    .handshake_ms = (uint32_t)d->config.handshake_ms,
	    .resumption = resume ? resume->bytes : NULL,
	    .resumption_len = resume ? resume->len : 0,
	};
	struct dtls_assoc *a;

	if (d->shaking.n == d->config.handshakes) {
		struct dtls_assoc *oldest = dtls_at(d, d->shaking.last);

		d->count.handshakes_displaced++;
		if (!d->server && !oldest->predecessor)
			dtls_push_failure(d, &oldest->peer, NULL);
		dtls_end(d, oldest, false);
	}
	a = dtls_take(d, below, peer);
	COPSE_ASSERT(a); /* the lists are bounded so that one is free */
	a->began = now;
	a->link = (struct dtls_link){assoc_out, address_key_ip(&a->below)};
	if (dear && d->home)
		a->errand = dtls_errand_new(d->home, dtls_number(d, a), a->link.address);
	a->record = dtls_record_new(&config, a->errand ? &a->errand->link : &a->link, verified);
	if (a->errand)
		a->errand->record = a->record;
	if (!a->record) {
		dtls_give_back(d, a);
		return NULL;
	}
	d->count.handshakes_begun++;
	return a;
}

static void set_beside(struct copse_dtls *d, struct dtls_assoc *a, struct dtls_assoc *old)
{
	if (!old) {
		dtls_set_address(d, a, true);
		return;
	}
	a->predecessor = dtls_number(d, old);
	old->successor = dtls_number(d, a);
}

struct dtls_assoc *dtls_begin(struct copse_dtls *d, const struct copse_peer *below, struct dtls_assoc *old,
			      copse_ms now)
{
	const bool dear = dtls_record_is_dear(d->secure, address_key_ip(below), NULL, 0);
	uint32_t number = dtls_number(d, old);
	struct dtls_assoc *a = take(d, below, below, NULL, dear, now);

	if (!a)
		return NULL;
	old = dtls_at(d, number);
	set_beside(d, a, old);
	if (!old)
		dtls_set_peer(d, a, true);
	number = dtls_number(d, a);
	dtls_step(d, a, NULL, 0, now);
	return dtls_at(d, number)->state == DTLS_FREE ? NULL : dtls_at(d, number);
}

/* One of `rate` a second, a second's worth at once. */
static bool may_begin(struct copse_dtls *d, copse_ms now)
{
	uint64_t full = (uint64_t)d->config.rate * 1000, passed = now > d->rate_at ? now - d->rate_at : 0,
		 left = d->rate_left + (passed < 1000 ? passed : 1000) * d->config.rate;

	d->rate_at = now;
	left = left > full ? full : left;
	d->rate_left = (uint32_t)(left < 1000 ? left : left - 1000);
	return left >= 1000;
}

static void turn_cookies(struct copse_dtls *d, copse_ms now)
{
	if (now < d->cookie_at)
		return;
	d->cookie_at = now + COOKIE_LIFE;
	memcpy(d->cookie[1], d->cookie[0], sizeof d->cookie[1]);
	copse_host_random(d->cookie[0], sizeof d->cookie[0]);
}

uint64_t dtls_hello_random(const struct copse_dtls *d, const struct copse_datagram *in)
{
	if (in->len < RANDOM_AT + RANDOM_LEN)
		return 0;
	return core_siphash(d->key, in->data + RANDOM_AT, RANDOM_LEN, 1, 3);
}

/* A server's peer is the association: its serial number is in the key, where others have the interface. */
static struct copse_peer make_peer(struct copse_dtls *d, const struct copse_peer *below)
{
	struct copse_peer peer = *below;

	address_key_set_scope(&peer, ADDRESS_SCOPE_SPLIT | (d->serial++ & SERIAL_MASK));
	return peer;
}

bool dtls_hello(struct copse_dtls *d, const struct copse_datagram *in, struct dtls_assoc *old, copse_ms now)
{
	struct stranger s = {{stranger_out, address_key_ip(&in->peer)}, d, &in->peer};
	struct dtls_verified verified;
	struct copse_peer peer;
	struct dtls_assoc *a;

	turn_cookies(d, now);
	switch (dtls_record_verify(&s.link, (const uint8_t(*)[DTLS_COOKIE_KEY])d->cookie, in->data, in->len,
				   &verified)) {
	case DTLS_HELLO_NONE: return false;
	case DTLS_HELLO_ASKED: d->count.hellos++; return true;
	case DTLS_HELLO_GOOD: break;
	}
	if (!may_begin(d, now)) {
		d->count.handshakes_limited++;
		return true;
	}
	/* the client has given up the handshake that it had begun */
	if (old && old->state == DTLS_OPEN && old->successor)
		dtls_end(d, dtls_at(d, old->successor), false);
	if (old && old->state == DTLS_HANDSHAKE) {
		dtls_end(d, old, false);
		old = NULL;
	}
	peer = make_peer(d, &in->peer);
	a = take(d, &in->peer, &peer, &verified,
		 dtls_record_is_dear(d->secure, s.link.address, in->data, in->len), now);
	if (!a)
		return true;
	a->hello = dtls_hello_random(d, in);
	/* what was displaced by `take` is a handshake, never `old` */
	set_beside(d, a, old);
	dtls_step(d, a, in->data, in->len, now);
	return true;
}

/* ---- complete ---- */

/* The same client as in an association that is open still, by its session: it is the same peer, wherever
 * it is now. */
static void take_over(struct copse_dtls *d, struct dtls_assoc *a)
{
	struct dtls_assoc *old = dtls_find_lineage(d, a->lineage);
	struct copse_peer peer;

	if (!old)
		return;
	peer = old->peer;
	if (dtls_at(d, a->predecessor) != old)
		d->count.associations_moved++;
	if (dtls_at(d, old->successor) == a) {
		old->successor = 0;
		a->predecessor = 0;
	}
	dtls_end(d, old, false);
	a->peer = peer;
	a->peer.path = a->below.path;
}

static void replace(struct copse_dtls *d, struct dtls_assoc *a)
{
	struct dtls_assoc *old = dtls_at(d, a->predecessor);

	if (!old)
		return;
	old->successor = 0;
	a->predecessor = 0;
	d->count.associations_replaced++;
	dtls_end(d, old, true);
}

static void send_waiting(struct copse_dtls *d, struct dtls_assoc *a, copse_ms now)
{
	struct dtls_waiting *w;

	while ((w = dtls_queue_take(&a->waiting)) != NULL) {
		if (dtls_write(d, a, w->bytes, w->len, now) == COPSE_OK) {
			d->base.counters.sent++;
			d->base.counters.sent_bytes += w->len;
		}
		copse_mem_free(w);
	}
}

static struct dtls_assoc *complete(struct copse_dtls *d, struct dtls_assoc *a, copse_ms now)
{
	d->count.handshakes_done++;
	d->count.handshakes_resumed += dtls_record_resumed(a->record);
	if (d->server) {
		a->lineage = dtls_record_lineage(a->record, d->key);
		take_over(d, a);
	}
	replace(d, a);
	make_room(d);
	dtls_set_open(d, a);
	a->used = now;
	dtls_set_address(d, a, true);
	dtls_set_peer(d, a, true);
	if (!d->server)
		dtls_resume_keep(d, &a->below, a->record);
	send_waiting(d, a, now);
	return a;
}

void dtls_expire(struct copse_dtls *d, struct dtls_assoc *a)
{
	if (!a->errand || !a->errand->away)
		dtls_record_give_up(a->record);
	fail(d, a);
}

struct dtls_assoc *dtls_shaken(struct copse_dtls *d, struct dtls_assoc *a, enum dtls_progress progress,
			       copse_ms now)
{
	copse_ms end = a->began + d->config.handshake_ms, at;
	uint32_t wait;

	switch (progress) {
	case DTLS_DONE: return complete(d, a, now);
	case DTLS_BROKEN: fail(d, a); return NULL;
	case DTLS_WAITS: break;
	}
	if (now >= end) {
		dtls_expire(d, a);
		return NULL;
	}
	wait = dtls_record_timeout(a->record);
	at = now + (wait < TIMEOUT_FLOOR ? TIMEOUT_FLOOR : wait);
	core_heap_set(&d->heap, &a->timer, at < end ? at : end);
	return NULL;
}

struct dtls_assoc *dtls_step(struct copse_dtls *d, struct dtls_assoc *a, const void *bytes, size_t len,
			     copse_ms now)
{
	if (a->errand) {
		dtls_away_step(d, a, bytes, len, now);
		return NULL;
	}
	dtls_record_feed(a->record, bytes, len);
	return dtls_shaken(d, a, dtls_record_handshake(a->record), now);
}
