/* DTLS: opening, and what is asked of an open one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "dtls_internal.h"
#include "secure_internal.h"

#include <copse/mem.h>

#include <stdio.h>

/* What is not set, by default. */
static void fill_in(struct copse_dtls_config *c)
{
	c->associations = c->associations ? c->associations : 1024;
	c->handshakes = c->handshakes ? c->handshakes : 256;
	c->rate = c->rate ? c->rate : 200;
	c->waiting = c->waiting ? c->waiting : 8;
	c->mtu = c->mtu ? c->mtu : 1232; /* of IPv6 without headers, as everybody takes it */
	c->handshake_ms = c->handshake_ms ? c->handshake_ms : COPSE_SECONDS(30);
	c->retransmit_ms = c->retransmit_ms ? c->retransmit_ms : COPSE_SECONDS(1);
	c->idle_ms = c->idle_ms ? c->idle_ms : COPSE_SECONDS(86400);
	c->stale_ms = c->stale_ms ? c->stale_ms : COPSE_SECONDS(30);
}

static uint8_t *make_datagrams(struct copse_datagram *d, size_t n)
{
	uint8_t *bytes = copse_mem_new(n, DTLS_BYTES_MAX);

	for (size_t i = 0; bytes && i < n; i++) {
		d[i].data = bytes + i * DTLS_BYTES_MAX;
		d[i].cap = DTLS_BYTES_MAX;
	}
	return bytes;
}

static bool make(struct copse_dtls *d, const struct copse_dtls_config *config)
{
	d->base.ops = &dtls_ops;
	d->base.scheme = "coaps";
	d->base.fd = -1;
	d->config = *config;
	fill_in(&d->config);
	d->secure = copse_secure_ref(config->secure);
	d->server = d->secure->server;
	d->rate_left = d->config.rate * 1000;
	d->in_bytes = make_datagrams(d->in, DTLS_IN);
	d->out_bytes = make_datagrams(d->out, DTLS_OUT);
	d->plain = copse_mem_new(1, DTLS_PLAIN_MAX);
	if (config->pool) {
		d->home = handshake_home_new();
		if (!d->home)
			return false;
		d->base.wake_fd = handshake_home_fd(d->home);
		d->base.has_wake = true;
	}
	return d->in_bytes && d->out_bytes && d->plain && dtls_table_new(d);
}

int copse_dtls_open(const struct copse_dtls_config *config, struct copse_transport **out, char *why,
		    size_t why_cap)
{
	struct copse_dtls *d = copse_mem_new(1, sizeof *d);
	int err = COPSE_ERR_NOROOM;

	COPSE_ASSERT(config->secure && config->secure->finished && !config->udp.split_local);
	if (!d)
		return COPSE_ERR_NOROOM;
	if (!make(d, config)) {
		if (why_cap > 0)
			snprintf(why, why_cap, "no memory for a secure socket");
	} else {
		err = copse_udp_open(&config->udp, &d->below, why, why_cap);
	}
	if (err) {
		copse_transport_close(&d->base);
		return err;
	}
	d->base.fd = d->below->fd;
	*out = &d->base;
	return COPSE_OK;
}

bool copse_transport_is_dtls(const struct copse_transport *t)
{
	return t->ops == &dtls_ops;
}

static const struct copse_dtls *dtls_in(const struct copse_transport *t)
{
	COPSE_ASSERT(t->ops == &dtls_ops);
	return (const struct copse_dtls *)t;
}

void copse_dtls_adopt(struct copse_transport *t, struct copse_secure *secure)
{
	struct copse_dtls *d = dtls_of(t);
	struct copse_secure *old = d->secure;

	COPSE_ASSERT(t->ops == &dtls_ops && secure->finished && secure->server == d->server);
	d->secure = copse_secure_ref(secure);
	copse_secure_unref(old);
	dtls_resume_forget(d);
}

void copse_dtls_connect(struct copse_transport *t, const struct copse_peer *peer, copse_ms now)
{
	struct copse_dtls *d = dtls_of(t);

	COPSE_ASSERT(t->ops == &dtls_ops && !d->server);
	if (!dtls_find_peer(d, peer))
		dtls_begin(d, peer, NULL, now);
	dtls_flush(d, now);
}

static const struct dtls_assoc *open_one(const struct copse_transport *t, const struct copse_peer *peer)
{
	union {
		const struct copse_transport *in;
		struct copse_dtls *out;
	} d = {t}; /* a look-up changes nothing */
	const struct dtls_assoc *a;

	COPSE_ASSERT(t->ops == &dtls_ops);
	a = dtls_find_peer(d.out, peer);
	return a && a->state == DTLS_OPEN ? a : NULL;
}

bool copse_dtls_is_open(const struct copse_transport *t, const struct copse_peer *peer)
{
	return open_one(t, peer) != NULL;
}

const char *copse_dtls_identity(const struct copse_transport *t, const struct copse_peer *peer, char *buf,
				size_t cap)
{
	const struct dtls_assoc *a = open_one(t, peer);

	buf[0] = '\0';
	if (a)
		dtls_record_identity(a->record, buf, cap);
	return buf;
}

const char *copse_dtls_failure(const struct copse_transport *t, bool *silent)
{
	const struct copse_dtls *d = dtls_in(t);

	*silent = d->why_silent;
	return d->why;
}

const char *copse_dtls_why(const struct copse_transport *t, const struct copse_peer *peer)
{
	const struct dtls_failure *told = &dtls_in(t)->told;

	return told->why && memcmp(told->peer.key + 2, peer->key + 2, COPSE_PEER_KEY_MAX - 2) == 0 ? told->why
												   : NULL;
}

size_t copse_dtls_resumption_take(struct copse_transport *t, const struct copse_peer *peer, void *buf,
				  size_t cap)
{
	const struct dtls_assoc *a = open_one(t, peer);

	return a && !dtls_of(t)->server ? dtls_record_resumption(a->record, buf, cap) : 0;
}

void copse_dtls_resumption_give(struct copse_transport *t, const struct copse_peer *peer, const void *bytes,
				size_t len)
{
	COPSE_ASSERT(t->ops == &dtls_ops);
	dtls_resume_put(dtls_of(t), peer, bytes, len);
}

void copse_dtls_leave_open(struct copse_transport *t)
{
	COPSE_ASSERT(t->ops == &dtls_ops);
	dtls_of(t)->leave_open = true;
}

struct copse_transport *copse_dtls_below(const struct copse_transport *t)
{
	return dtls_in(t)->below;
}

void copse_dtls_usage(const struct copse_transport *t, struct copse_dtls_usage *usage)
{
	const struct copse_dtls *d = dtls_in(t);

	*usage = (struct copse_dtls_usage){d->open.n, d->shaking.n};
}

const struct copse_dtls_counters *copse_dtls_counters(const struct copse_transport *t)
{
	return &dtls_in(t)->count;
}
