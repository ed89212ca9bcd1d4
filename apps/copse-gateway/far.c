/* See far.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "far.h"

#include <copse/mem.h>
#include <copse/message.h>

struct far {
	struct copse_transport base;
	unsigned of;
	bool secure;
	struct copse_address asked; /* of the datagram taken last; port 0: nothing for the gateway itself */
	bool (*reply)(void *self, unsigned to, const struct copse_datagram *datagram);
	void *self;
};

static size_t far_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	(void)t;
	(void)batch;
	(void)n;
	(void)now;
	return 0;
}

/* Empty acknowledgements and Resets end at a connection (RFC 8323 has neither): they need not go there. */
static bool says_nothing(const struct copse_datagram *d)
{
	return (d->peer.flags & COPSE_PEER_RELIABLE) && d->len >= COPSE_HEADER_LEN && d->data[1] == 0 &&
	       (d->data[0] >> 4 & 3) >= COPSE_ACK;
}

static size_t far_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n, copse_ms now)
{
	struct far *far = (struct far *)t;

	(void)now;
	for (size_t i = 0; i < n; i++)
		if (says_nothing(batch[i]) || !far->reply(far->self, far->of, batch[i]))
			batch[i]->flags |= COPSE_DATAGRAM_DROPPED;
	return n;
}

static bool far_failure(struct copse_transport *t, struct copse_peer *peer)
{
	(void)t;
	(void)peer;
	return false;
}

static int far_peer(struct copse_transport *t, const struct copse_address *a, struct copse_peer *peer)
{
	(void)t;
	(void)a;
	(void)peer;
	return COPSE_ERR_ARGUMENT;
}

static void far_local(const struct copse_transport *t, const struct copse_peer *peer,
		      struct copse_address *out)
{
	(void)peer;
	*out = ((const struct far *)t)->asked;
}

void far_set_asked(struct copse_transport *t, const struct copse_address *asked)
{
	struct far *far = (struct far *)t;

	COPSE_ASSERT(far_is(t));
	far->asked = *asked;
	if (asked->len)
		return;
	far->asked.len = sizeof(far->asked.in);
	far->asked.in.sin_family = AF_INET;
}

static copse_ms far_tick(struct copse_transport *t, copse_ms now)
{
	(void)t;
	(void)now;
	return COPSE_NEVER;
}

static void far_close(struct copse_transport *t)
{
	copse_mem_free(t);
}

static const struct copse_transport_ops far_ops = {.receive = far_receive,
						   .send = far_send,
						   .failure = far_failure,
						   .peer = far_peer,
						   .local = far_local,
						   .tick = far_tick,
						   .close = far_close};

struct copse_transport *
far_open(unsigned of, bool secure,
	 bool (*reply)(void *self, unsigned to, const struct copse_datagram *datagram), void *self)
{
	struct far *far = copse_mem_new(1, sizeof(*far));

	if (!far)
		return NULL;
	far->base.ops = &far_ops;
	far->base.scheme = secure ? "coaps" : "coap";
	far->base.fd = -1;
	far->of = of;
	far->secure = secure;
	far->reply = reply;
	far->self = self;
	far_set_asked(&far->base, &(struct copse_address){0});
	return &far->base;
}

bool far_is(const struct copse_transport *t)
{
	return t->ops == &far_ops;
}

bool far_is_secure(const struct copse_transport *t)
{
	return far_is(t) && ((const struct far *)t)->secure;
}
