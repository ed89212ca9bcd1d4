/* DTLS, the path of each datagram. What comes from below is given to the association of its address; what
 * it holds goes on with the association's peer. What is sent is encrypted into the queue `out`, which a
 * blocked socket fills.
 *
 * Invariants: a message is taken by send only when there is room for it in `out`, waits in an association,
 * or is dropped, marked and counted. At most one association is being read (`backlog`): its record layer
 * borrows a datagram of `in`.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "dtls_internal.h"

#include <copse/mem.h>

#define OUT_SPARE 4u /* places of `out` that messages leave to handshakes */
#define RETRY_MS  5u /* while the socket is blocked and nobody but us has something to send */

bool dtls_flush(struct copse_dtls *d, copse_ms now)
{
	struct copse_datagram *list[DTLS_OUT];
	size_t done;

	for (size_t i = 0; i < d->out_n; i++)
		list[i] = &d->out[i];
	if (d->out_n == 0)
		return true;
	d->below->id = d->base.id;
	for (size_t i = 0; i < d->out_n; i++) {
		d->out[i].peer.key[0] = (uint8_t)(d->base.id >> 8);
		d->out[i].peer.key[1] = (uint8_t)d->base.id;
	}
	done = copse_transport_send(d->below, list, d->out_n, now);
	d->base.failed |= d->below->failed;
	d->base.counters.send_calls++;
	/* those that are left take the first places, with their bytes */
	for (size_t i = 0; done > 0 && i + done < d->out_n; i++) {
		struct copse_datagram hole = d->out[i];

		d->out[i] = d->out[i + done];
		d->out[i + done] = hole;
	}
	d->out_n = (uint16_t)(d->out_n - done);
	return d->out_n == 0;
}

/* ---- receiving ---- */

/* The identity of the transport may have been given after the association began. */
static void hand_on(struct copse_dtls *d, const struct dtls_assoc *a, struct copse_datagram *out, size_t len)
{
	out->peer = a->peer;
	out->peer.key[0] = (uint8_t)(d->base.id >> 8);
	out->peer.key[1] = (uint8_t)d->base.id;
	out->peer.group = d->config.udp.group;
	out->flags = 0;
	out->len = (uint32_t)len;
	memcpy(out->data, d->plain, len);
	d->base.counters.received++;
	d->base.counters.received_bytes += len;
}

size_t dtls_read_messages(struct copse_dtls *d, struct dtls_assoc *a, struct copse_datagram *batch, size_t n,
			  copse_ms now)
{
	size_t kept = 0;

	d->backlog = 0;
	while (kept < n) {
		int got = dtls_record_read(a->record, d->plain);

		if (got == DTLS_READ_NOTHING)
			return kept;
		if (got == DTLS_READ_REFUSED) {
			d->count.renegotiations++;
			continue;
		}
		if (got < 0) {
			*(got == DTLS_READ_CLOSED ? &d->count.associations_closed
						  : &d->count.associations_broken) += 1;
			dtls_end(d, a, true);
			return kept;
		}
		dtls_touch(d, a, now);
		a->asked = COPSE_NEVER;
		if ((uint32_t)got > batch[kept].cap)
			d->base.counters.truncated++;
		else
			hand_on(d, a, &batch[kept++], (size_t)got);
	}
	d->backlog = dtls_number(d, a);
	return kept;
}

static bool is_hello(const struct copse_datagram *in)
{
	/* RFC 6347 §4.1, §4.2.2: handshake, epoch 0, ClientHello */
	return in->len > 13 && in->data[0] == 22 && in->data[3] == 0 && in->data[4] == 0 && in->data[13] == 1;
}

static bool is_protected(const struct copse_datagram *in)
{
	return in->len > 4 && (in->data[3] || in->data[4]); /* epoch 1 and later */
}

/* Feed a handshake; when that completes it, read on. Returns messages as read_messages. */
static size_t feed_handshake(struct copse_dtls *d, struct dtls_assoc *a, const struct copse_datagram *in,
			     struct copse_datagram *batch, size_t n, copse_ms now)
{
	a = dtls_step(d, a, in->data, in->len, now);
	return a ? dtls_read_messages(d, a, batch, n, now) : 0;
}

/* A datagram of an address with an open association. */
static size_t feed_open(struct copse_dtls *d, struct dtls_assoc *a, const struct copse_datagram *in,
			struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct dtls_assoc *successor = dtls_at(d, a->successor);
	uint32_t number = dtls_number(d, a), next = a->successor;
	size_t kept = 0;

	a->below.path = in->peer.path;
	if (successor && !is_protected(in))
		return feed_handshake(d, successor, in, batch, n, now);
	dtls_record_feed(a->record, in->data, in->len);
	kept = dtls_read_messages(d, a, batch, n, now);
	/* not the old association's, it seems: the end of the new one's handshake bears the same epoch */
	a = dtls_at(d, number);
	if (kept || !next || a->state != DTLS_OPEN || a->successor != next)
		return kept;
	return feed_handshake(d, dtls_at(d, next), in, batch, n, now);
}

/* Take one datagram from below. Returns how many messages it brought. */
static size_t take_datagram(struct copse_dtls *d, const struct copse_datagram *in,
			    struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct dtls_assoc *a = dtls_find_address(d, &in->peer);
	const struct dtls_assoc *shaking;

	if (d->server && is_hello(in)) {
		shaking = a && a->state == DTLS_OPEN && a->successor ? dtls_at(d, a->successor) : a;
		/* the same hello again, late or repeated, belongs to the handshake that it began */
		if (!shaking || shaking->hello != dtls_hello_random(d, in)) {
			if (!dtls_hello(d, in, a, now))
				d->count.strays++;
			return 0;
		}
	}
	if (!a) {
		d->count.strays++;
		return 0;
	}
	if (a->state == DTLS_HANDSHAKE)
		return feed_handshake(d, a, in, batch, n, now);
	return feed_open(d, a, in, batch, n, now);
}

static size_t dtls_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct copse_dtls *d = dtls_of(t);
	size_t kept = 0, got, at = 0;

	d->below->id = t->id;
	if (d->backlog)
		kept = dtls_read_messages(d, dtls_at(d, d->backlog), batch, n, now);
	kept += dtls_away_back(d, batch + kept, n - kept, now);
	got = n - kept < DTLS_IN ? n - kept : DTLS_IN;
	got = got ? copse_transport_receive(d->below, d->in, got, now) : 0;
	t->counters.receive_calls += got > 0;
	for (; at < got; at++) {
		if (d->backlog) {
			/* it has taken the room of others: rare, and they come again */
			d->count.no_room += got - at;
			break;
		}
		kept += take_datagram(d, &d->in[at], batch + kept, n - kept, now);
	}
	t->more = d->backlog != 0 || d->back;
	dtls_flush(d, now);
	t->failed |= d->below->failed;
	t->behind = d->below->behind;
	return kept;
}

/* ---- sending ---- */

static void drop(struct copse_datagram *m, uint64_t *counter)
{
	m->flags |= COPSE_DATAGRAM_DROPPED;
	++*counter;
}

static void wait_for(struct copse_dtls *d, struct dtls_assoc *a, struct copse_datagram *m)
{
	if (!dtls_queue_put(&a->waiting, m->data, m->len, d->config.waiting))
		drop(m, &d->count.waiting_full);
}

static void encrypt(struct copse_dtls *d, struct dtls_assoc *a, struct copse_datagram *m, copse_ms now)
{
	int err = dtls_write(d, a, m->data, m->len, now);

	if (!err) {
		d->base.counters.sent++;
		d->base.counters.sent_bytes += m->len;
	} else if (err == COPSE_ERR_ARGUMENT) {
		drop(m, &d->base.counters.send_toobig);
	} else {
		d->count.associations_broken++;
		dtls_end(d, a, true);
		drop(m, &d->count.no_association);
	}
}

/* A client's: an association that has been silent for too long gets another beside it, which the message
 * waits for. */
static void send_open(struct copse_dtls *d, struct dtls_assoc *a, struct copse_datagram *m, copse_ms now)
{
	bool stale = !d->server && a->asked != COPSE_NEVER && now - a->asked >= d->config.stale_ms;
	struct copse_peer below = a->below;

	if (stale && !a->successor)
		dtls_begin(d, &below, a, now);
	encrypt(d, a, m, now);
}

/* Returns false when there is no room now. */
static bool send_one(struct copse_dtls *d, struct copse_datagram *m, copse_ms now)
{
	struct dtls_assoc *a;

	COPSE_ASSERT(copse_peer_transport(&m->peer) == d->base.id);
	m->flags = 0;
	if (d->out_n + OUT_SPARE > DTLS_OUT && !dtls_flush(d, now) && d->out_n + OUT_SPARE > DTLS_OUT)
		return false;
	a = dtls_find_peer(d, &m->peer);
	if (!a && !d->server)
		a = dtls_begin(d, &m->peer, NULL, now);
	if (!a) {
		drop(m, &d->count.no_association);
		if (d->server) /* a client's failure has been told */
			dtls_push_failure(d, &m->peer, NULL);
	} else if (a->state == DTLS_HANDSHAKE) {
		wait_for(d, a, m);
	} else {
		send_open(d, a, m, now);
	}
	return true;
}

static size_t dtls_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
			copse_ms now)
{
	struct copse_dtls *d = dtls_of(t);
	size_t done = 0;

	while (done < n && send_one(d, batch[done], now))
		done++;
	dtls_flush(d, now);
	t->blocked = done < n;
	t->counters.send_blocked += t->blocked;
	return done;
}

/* ---- the rest of the table ---- */

/* What the network says is not proved: exchanges end by it, handshakes too, an open association does not. */
static bool from_below(struct copse_dtls *d, struct copse_peer *peer)
{
	struct copse_peer below;

	while (copse_transport_failure(d->below, &below)) {
		struct dtls_assoc *a = dtls_find_address(d, &below);

		if (!a || (d->server && a->state != DTLS_OPEN))
			continue;
		*peer = a->peer;
		if (a->state == DTLS_HANDSHAKE) {
			d->why = "the peer cannot be reached";
			d->why_silent = true;
			dtls_end(d, a, false);
		}
		return true;
	}
	return false;
}

static bool dtls_failure(struct copse_transport *t, struct copse_peer *peer)
{
	struct copse_dtls *d = dtls_of(t);
	bool any = true;

	d->told.why = NULL;
	if (d->failure_n > 0) {
		d->told = d->failures[--d->failure_n];
		*peer = d->told.peer;
	} else {
		any = from_below(d, peer);
	}
	t->failed = d->failure_n > 0 || d->below->failed;
	if (!any)
		return false;
	peer->key[0] = (uint8_t)(t->id >> 8);
	peer->key[1] = (uint8_t)t->id;
	return true;
}

static int dtls_peer(struct copse_transport *t, const struct copse_address *a, struct copse_peer *peer)
{
	struct copse_dtls *d = dtls_of(t);
	int err;

	d->below->id = t->id;
	err = copse_transport_peer(d->below, a, peer);
	/* a group cannot be asked: nobody shares a key with all of it */
	return !err && (peer->flags & COPSE_PEER_MULTICAST) ? COPSE_ERR_ARGUMENT : err;
}

static void dtls_local(const struct copse_transport *t, const struct copse_peer *peer,
		       struct copse_address *out)
{
	copse_transport_local(((const struct copse_dtls *)t)->below, peer, out);
}

static struct dtls_assoc *shaking_of(struct core_timer *timer)
{
	return (struct dtls_assoc *)((char *)timer - offsetof(struct dtls_assoc, timer));
}

static copse_ms dtls_tick(struct copse_transport *t, copse_ms now)
{
	struct copse_dtls *d = dtls_of(t);
	const struct dtls_assoc *oldest;
	const struct core_timer *first;
	copse_ms next;

	while ((first = core_heap_first(&d->heap)) != NULL && first->at <= now) {
		struct dtls_assoc *a = shaking_of(d->heap.timer[1]);

		if (now - a->began >= d->config.handshake_ms)
			dtls_expire(d, a);
		else
			dtls_step(d, a, NULL, 0, now);
	}
	while (d->open.last && now - dtls_at(d, d->open.last)->used >= d->config.idle_ms) {
		struct dtls_assoc *a = dtls_at(d, d->open.last);

		d->count.associations_idle++;
		dtls_record_close(a->record);
		dtls_end(d, a, true);
	}
	next = dtls_flush(d, now) ? COPSE_NEVER : now + RETRY_MS;
	oldest = dtls_at(d, d->open.last);
	if (first && first->at < next)
		next = first->at;
	if (oldest && oldest->used + d->config.idle_ms < next)
		next = oldest->used + d->config.idle_ms;
	return next;
}

static void dtls_close(struct copse_transport *t)
{
	struct copse_dtls *d = dtls_of(t);

	for (uint32_t i = d->open.first; d->below && i && !d->leave_open; i = dtls_at(d, i)->next)
		dtls_record_close(dtls_at(d, i)->record);
	if (d->below)
		dtls_flush(d, 0);
	dtls_table_free(d);
	dtls_away_close(d);
	copse_secure_unref(d->secure);
	copse_transport_close(d->below);
	copse_mem_free(d->in_bytes);
	copse_mem_free(d->out_bytes);
	copse_mem_free(d->plain);
	copse_mem_free(d);
}

const struct copse_transport_ops dtls_ops = {
    .receive = dtls_receive,
    .send = dtls_send,
    .failure = dtls_failure,
    .peer = dtls_peer,
    .local = dtls_local,
    .tick = dtls_tick,
    .close = dtls_close,
};
