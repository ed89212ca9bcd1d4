/* A bad link as a transport.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "../log/log.h"
#include "random.h"
#include "weather.h"

#include <copse/address.h>

#include <copse/mem.h>

#include <string.h>

struct held {
	struct held *next;
	copse_ms at;
	struct copse_datagram datagram;
	uint8_t bytes[];
};

struct weather {
	struct copse_transport base; /* first: the host sees this */
	struct copse_transport *inner;
	struct weather_config config;
	struct weather_counters counters;
	uint64_t random;
	copse_ms awake_until;
	struct held *held; /* the earliest first */
	unsigned held_n;
};

static struct weather *weather_of(const struct copse_transport *t)
{
	return (struct weather *)(uintptr_t)t;
}

static uint32_t draw(struct weather *w)
{
	return (uint32_t)(sim_next(&w->random) >> 32);
}

static void tell(const struct weather *w, const char *what, const struct copse_datagram *d)
{
	struct copse_address local;
	char here[COPSE_ADDRESS_TEXT], there[COPSE_ADDRESS_TEXT];

	if (!log_wants(LOG_DEBUG))
		return;
	copse_transport_local(w->inner, NULL, &local);
	log_line(LOG_DEBUG, "msg=%s device=%s peer=%s bytes=%u", what,
		 copse_address_text(&local, here, sizeof(here)),
		 copse_peer_text(&d->peer, there, sizeof(there)), d->len);
}

static bool is_lost(struct weather *w)
{
	return w->config.loss > 0 && draw(w) < w->config.loss * 4294967296.0;
}

static void wake(struct weather *w, copse_ms now)
{
	copse_ms until = now + w->config.sleep_awake_ms;

	if (until > w->awake_until)
		w->awake_until = until;
}

/* How far into its period the device is. */
static copse_ms phase(const struct weather_config *config, copse_ms now)
{
	return (now + config->seed % config->sleep_period_ms) % config->sleep_period_ms;
}

copse_ms weather_wakes(const struct weather_config *config, copse_ms now)
{
	return now + config->sleep_period_ms - phase(config, now);
}

static bool is_asleep(const struct weather *w, copse_ms now)
{
	uint32_t period = w->config.sleep_period_ms;

	if (!period || now < w->awake_until)
		return false;
	return phase(&w->config, now) >= w->config.sleep_awake_ms;
}

/* What both sides of the table share: the host numbers and reads the outer one. */
static void mirror_in(struct weather *w)
{
	w->inner->id = w->base.id;
}

static void mirror_out(struct weather *w)
{
	w->base.blocked = w->inner->blocked;
	w->base.failed = w->inner->failed;
	w->base.counters = w->inner->counters;
}

static bool arrives(struct weather *w, const struct copse_datagram *d, copse_ms now)
{
	if (is_asleep(w, now)) {
		w->counters.slept++;
		tell(w, "\"slept through\"", d);
		return false;
	}
	if (is_lost(w)) {
		w->counters.lost_in++;
		tell(w, "\"lost on the way in\"", d);
		return false;
	}
	wake(w, now);
	return true;
}

/* Those that arrive move to the front; each keeps a buffer of its own. */
static size_t weather_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct weather *w = weather_of(t);
	size_t kept = 0, got;

	do {
		mirror_in(w);
		got = copse_transport_receive(w->inner, batch, n, now);
		for (size_t i = 0; i < got; i++) {
			struct copse_datagram d = batch[i];
			if (!arrives(w, &d, now))
				continue;
			batch[i] = batch[kept];
			batch[kept++] = d;
		}
		/* "Fewer than asked for" means to the caller that there is no more. */
	} while (kept == 0 && got == n && n > 0);
	mirror_out(w);
	return kept;
}

static void hold(struct weather *w, const struct copse_datagram *d, copse_ms at)
{
	struct held **place = &w->held, *held;

	if (w->held_n >= WEATHER_HELD_MAX || !(held = copse_mem_new(1, sizeof(*held) + d->len))) {
		w->counters.overflow++;
		tell(w, "\"lost: too many wait\"", d);
		return;
	}
	held->at = at;
	held->datagram = *d;
	held->datagram.data = held->bytes;
	held->datagram.cap = d->len;
	memcpy(held->bytes, d->data, d->len);
	while (*place && (*place)->at <= at)
		place = &(*place)->next;
	held->next = *place;
	*place = held;
	w->held_n++;
	w->counters.delayed++;
	tell(w, "delayed", d);
}

static copse_ms draw_delay(struct weather *w)
{
	uint32_t min = w->config.delay_min_ms, spread = w->config.delay_max_ms - min;

	return min + (spread ? draw(w) % (spread + 1) : 0);
}

/* Send at once, hold back or lose. Returns false when the transport behind is blocked. */
static bool send_one(struct weather *w, struct copse_datagram *d, copse_ms now)
{
	if (is_lost(w)) {
		w->counters.lost_out++;
		tell(w, "\"lost on the way out\"", d);
		return true;
	}
	wake(w, now);
	if (w->config.delay_max_ms > 0) {
		hold(w, d, now + draw_delay(w));
		return true;
	}
	return copse_transport_send(w->inner, &d, 1, now) == 1;
}

static size_t weather_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
			   copse_ms now)
{
	struct weather *w = weather_of(t);
	size_t done = 0;

	mirror_in(w);
	while (done < n && send_one(w, batch[done], now))
		done++;
	mirror_out(w);
	return done;
}

static void release_first(struct weather *w)
{
	struct held *first = w->held;

	w->held = first->next;
	w->held_n--;
	copse_mem_free(first);
}

/* Send what is due. What the transport behind cannot take now is tried again a little later. */
static copse_ms weather_tick(struct copse_transport *t, copse_ms now)
{
	struct weather *w = weather_of(t);
	copse_ms inner;

	mirror_in(w);
	while (w->held && w->held->at <= now) {
		struct copse_datagram *d = &w->held->datagram;
		if (copse_transport_send(w->inner, &d, 1, now) == 0) {
			w->held->at = now + 1;
			break;
		}
		release_first(w);
	}
	inner = w->inner->ops->tick(w->inner, now);
	mirror_out(w);
	return w->held && w->held->at < inner ? w->held->at : inner;
}

static bool weather_failure(struct copse_transport *t, struct copse_peer *peer)
{
	struct weather *w = weather_of(t);

	mirror_in(w);
	bool found = copse_transport_failure(w->inner, peer);
	mirror_out(w);
	return found;
}

static int weather_peer(struct copse_transport *t, const struct copse_address *a, struct copse_peer *peer)
{
	mirror_in(weather_of(t));
	return copse_transport_peer(weather_of(t)->inner, a, peer);
}

static void weather_local(const struct copse_transport *t, const struct copse_peer *peer,
			  struct copse_address *out)
{
	copse_transport_local(weather_of(t)->inner, peer, out);
}

static void weather_close(struct copse_transport *t)
{
	struct weather *w = weather_of(t);

	while (w->held)
		release_first(w);
	copse_transport_close(w->inner);
	copse_mem_free(w);
}

static const struct copse_transport_ops weather_ops = {
    .receive = weather_receive,
    .send = weather_send,
    .failure = weather_failure,
    .peer = weather_peer,
    .local = weather_local,
    .tick = weather_tick,
    .close = weather_close,
};

struct copse_transport *weather_new(struct copse_transport *inner, const struct weather_config *config)
{
	struct weather *w = copse_mem_new(1, sizeof(*w));

	if (!w)
		return NULL;
	w->base.ops = &weather_ops;
	w->base.scheme = inner->scheme;
	w->base.fd = inner->fd;
	w->inner = inner;
	w->config = *config;
	w->random = sim_mix(config->seed) | 1;
	return &w->base;
}

const struct weather_counters *weather_counters(const struct copse_transport *t)
{
	return &weather_of(t)->counters;
}

struct copse_transport *weather_inner(const struct copse_transport *t)
{
	return weather_of(t)->inner;
}
