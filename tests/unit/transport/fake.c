/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <stdlib.h>

struct fake_queued {
	struct fake_queued *next;
	struct copse_address from;
	uint32_t len;
	uint8_t data[];
};

#define NET_MAX 64

static struct fake *net[NET_MAX]; /* all that are open */

static struct fake *find(const struct copse_address *at)
{
	for (size_t i = 0; i < NET_MAX; i++) {
		if (net[i] && copse_address_equal(&net[i]->at, at))
			return net[i];
	}
	return NULL;
}

static size_t fake_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct fake *f = (struct fake *)t;
	size_t got = 0;

	(void)now;
	while (got < n && f->first) {
		struct fake_queued *q = f->first;
		struct copse_datagram *d = &batch[got];

		f->first = q->next;
		if (q->len > d->cap) {
			t->counters.truncated++;
		} else {
			copse_peer_from_address(t->id, &q->from, &d->peer);
			memcpy(d->data, q->data, q->len);
			d->len = q->len;
			d->flags = 0;
			t->counters.received++;
			t->counters.received_bytes += q->len;
			got++;
		}
		free(q);
	}
	return got;
}

static void deliver(struct fake *from, struct fake *to, const struct copse_datagram *d)
{
	struct fake_queued *q = malloc(sizeof *q + d->len), **at = &to->first;

	q->next = NULL;
	q->from = from->at;
	q->len = d->len;
	memcpy(q->data, d->data, d->len);
	while (*at)
		at = &(*at)->next;
	*at = q;
}

static size_t fake_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
			copse_ms now)
{
	struct fake *f = (struct fake *)t;
	struct copse_address to;

	(void)now;
	f->offered += n;
	t->counters.send_calls += n > 0;
	for (size_t i = 0; i < n; i++) {
		struct fake *other;

		COPSE_ASSERT(copse_peer_transport(&batch[i]->peer) == t->id);
		batch[i]->flags = 0;
		if (f->room == 0) {
			t->blocked = true;
			t->counters.send_blocked++;
			return i;
		}
		f->room -= f->room != SIZE_MAX;
		t->blocked = false;
		copse_peer_address(&batch[i]->peer, &to);
		other = find(&to);
		if (other)
			deliver(f, other, batch[i]);
		t->counters.sent++;
		t->counters.sent_bytes += batch[i]->len;
	}
	return n;
}

static bool fake_failure(struct copse_transport *t, struct copse_peer *peer)
{
	struct fake *f = (struct fake *)t;

	t->failed = f->dead_n > 0;
	if (f->dead_n == 0)
		return false;
	*peer = f->dead[--f->dead_n];
	return true;
}

static int fake_peer(struct copse_transport *t, const struct copse_address *a, struct copse_peer *peer)
{
	return copse_peer_from_address(t->id, a, peer);
}

static void fake_local(const struct copse_transport *t, const struct copse_peer *peer,
		       struct copse_address *out)
{
	(void)peer;
	*out = ((const struct fake *)t)->at;
}

static copse_ms fake_tick(struct copse_transport *t, copse_ms now)
{
	struct fake *f = (struct fake *)t;

	if (f->tick_at <= now) {
		f->ticks++;
		f->tick_at = COPSE_NEVER;
	}
	return f->tick_at;
}

static void fake_close(struct copse_transport *t)
{
	struct fake *f = (struct fake *)t;

	f->closed = true;
	while (f->first) {
		struct fake_queued *q = f->first;

		f->first = q->next;
		free(q);
	}
	for (size_t i = 0; i < NET_MAX; i++) {
		if (net[i] == f)
			net[i] = NULL;
	}
}

static const struct copse_transport_ops ops = {
    .receive = fake_receive,
    .send = fake_send,
    .failure = fake_failure,
    .peer = fake_peer,
    .local = fake_local,
    .tick = fake_tick,
    .close = fake_close,
};

void fake_open(struct fake *f, const char *text, uint16_t id)
{
	*f = (struct fake){.base = {.ops = &ops, .scheme = "coap", .fd = -1, .id = id},
			   .room = SIZE_MAX,
			   .tick_at = COPSE_NEVER};
	COPSE_ASSERT(copse_address_parse(text, 5683, &f->at) == COPSE_OK);
	for (size_t i = 0; i < NET_MAX; i++) {
		if (!net[i]) {
			net[i] = f;
			return;
		}
	}
	COPSE_ASSERT(false); /* too many at a time: raise NET_MAX */
}
