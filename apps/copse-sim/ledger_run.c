/* One device and its intermediary in virtual time. See ledger.h.
 *
 * Time is in microseconds; the endpoints are given milliseconds. Whatever happens is a datagram's arrival, the wish of
 * a side to be called, or an endpoint's deadline; the earliest is next. A datagram that reaches a device that does not
 * listen is lost.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ledger.h"
#include "random.h"

#include <copse/endpoint.h>
#include <copse/mem.h>

#include <math.h>
#include <string.h>

#define NEVER_US    UINT64_MAX
#define FLIGHT_MAX  32 /* datagrams on the way; beyond, the newest is lost */
#define FRAME_MAX   128
#define SECOND_US   1000000u
#define DAY_US      (86400ull * SECOND_US)
#define DISCOVER_US (6 * SECOND_US) /* DEFAULT_LEISURE and a little: how long an answer may take */
#define SILENCE     3 /* periods without a notification until an observation is registered anew */

enum side { DEVICE, GATEWAY, SIDE_N };

struct flight {
	uint64_t at;
	enum side to;
	bool group;
	uint16_t len;
	uint8_t bytes[FRAME_MAX];
};

struct world {
	const struct ledger_config *config;
	enum ledger_model model;
	struct ledger_account *account;
	uint64_t now, end, random;
	struct copse_endpoint *ep[SIDE_N];
	void *memory[SIDE_N];
	struct flight flight[FLIGHT_MAX];
	unsigned flight_n;
	uint8_t *known; /* by the intermediary: a byte a reading */
	uint32_t known_cap;

	/* device */
	uint64_t wake,
	    sleep;         /* when it means to wake up, and to stop listening; NEVER_US: not by the clock */
	uint64_t discover; /* when it looks for its intermediary again */
	bool listening;
	uint64_t listening_since;
	double send_us, listen_us, think_us;
	copse_handle asked; /* its own request under way */
	bool observed;
	uint8_t token[COPSE_TOKEN_MAX];
	size_t token_len;

	/* intermediary */
	uint64_t act, heard; /* when it means to ask; when it last got a reading */
	copse_handle observing;
	bool registered;
};

static const uint8_t agreed_token[] = {'l', 'e', 'd', 'g'};

static copse_ms ms(const struct world *w)
{
	return w->now / 1000;
}

static double chance(struct world *w)
{
	return (double)(sim_next(&w->random) >> 11) / 9007199254740992.0;
}

static struct copse_peer peer(enum side side, bool group)
{
	struct copse_peer p = {.len = 1, .key = {(uint8_t)(side + 1)}};

	p.flags = group ? COPSE_PEER_MULTICAST : 0;
	return p;
}

/* ---- the link ---- */

static double air_us(const struct world *w, size_t len)
{
	return ((double)len + w->config->radio->overhead) * 8e6 / w->config->radio->rate;
}

static void fly(struct world *w, enum side from, const struct copse_peer *to, const uint8_t *bytes,
		size_t len)
{
	double air = air_us(w, len);

	if (from == DEVICE) {
		w->send_us += air;
		w->think_us += w->config->radio->make_us;
		w->account->sent += (double)len + w->config->radio->overhead;
	}
	if (chance(w) < w->config->loss || w->flight_n == FLIGHT_MAX)
		return;
	struct flight *f = &w->flight[w->flight_n++];
	f->at = w->now + (uint64_t)(air + w->config->radio->latency_us) + 1;
	f->to = from == DEVICE ? GATEWAY : DEVICE;
	f->group = (to->flags & COPSE_PEER_MULTICAST) != 0;
	f->len = (uint16_t)len;
	memcpy(f->bytes, bytes, len);
}

static void pump(struct world *w, enum side side)
{
	uint8_t bytes[FRAME_MAX];
	struct copse_peer to;
	int len;

	while ((len = copse_endpoint_transmit(w->ep[side], bytes, sizeof(bytes), &to, ms(w))) > 0)
		fly(w, side, &to, bytes, (size_t)len);
}

/* ---- messages ---- */

/* Options and payload: a reading by its number, or none for UINT32_MAX. */
static size_t fill(uint8_t *rest, const char *path, int observe, uint32_t reading)
{
	struct copse_builder b;
	uint8_t value[4] = {(uint8_t)(reading >> 24), (uint8_t)(reading >> 16), (uint8_t)(reading >> 8),
			    (uint8_t)reading};

	copse_build_rest(&b, rest, FRAME_MAX / 2);
	if (observe >= 0)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, (uint32_t)observe);
	if (path)
		copse_build_option(&b, COPSE_OPTION_URI_PATH, path, strlen(path));
	if (reading != UINT32_MAX)
		copse_build_payload(&b, value, sizeof(value));
	return (size_t)copse_build_finish(&b);
}

static copse_handle request(struct world *w, enum side side, uint8_t code, bool con, bool group, bool many,
			    const uint8_t *rest, size_t len)
{
	struct copse_out out = {.code = code, .con = con, .rest = rest, .rest_len = len};
	struct copse_peer to = peer(side == DEVICE ? GATEWAY : DEVICE, group);
	copse_handle handle = COPSE_NO_HANDLE;

	if (copse_endpoint_request(w->ep[side], &to, &out, many ? COPSE_REQUEST_MANY : 0, NULL, ms(w),
				   &handle))
		return COPSE_NO_HANDLE;
	return handle;
}

static void respond(struct world *w, enum side side, copse_handle exchange, uint8_t code, const uint8_t *rest,
		    size_t len)
{
	struct copse_out out = {.code = code, .rest = rest, .rest_len = len};

	copse_endpoint_respond(w->ep[side], exchange, &out, ms(w));
}

/* ---- the device ---- */

static void listen(struct world *w)
{
	if (!w->listening)
		w->listening_since = w->now;
	w->listening = true;
}

static void stop_listening(struct world *w)
{
	if (w->listening)
		w->listen_us += (double)(w->now - w->listening_since);
	w->listening = false;
	w->sleep = NEVER_US;
}

static bool always_on(const struct world *w)
{
	return w->model == LEDGER_SERVER || w->model == LEDGER_OBSERVED;
}

static void notify(struct world *w, uint32_t reading)
{
	uint8_t rest[FRAME_MAX];
	struct copse_out out = {.code = COPSE_CODE_CONTENT, .rest = rest};
	struct copse_peer to = peer(GATEWAY, false);

	out.rest_len = fill(rest, NULL, (int)(reading & 0xffffff), reading);
	copse_endpoint_notify(w->ep[DEVICE], &to, w->token, w->token_len, &out, NULL, ms(w), NULL, NULL);
}

static void discover(struct world *w)
{
	uint8_t rest[FRAME_MAX];

	w->discover += DAY_US;
	w->asked =
	    request(w, DEVICE, COPSE_CODE_GET, false, true, true, rest, fill(rest, "core", -1, UINT32_MAX));
	listen(w);
	w->sleep = w->now + DISCOVER_US;
}

/* A new reading: what is done with it is the model. */
static void read_sensor(struct world *w)
{
	uint32_t reading = w->account->readings++;
	uint8_t rest[FRAME_MAX];

	switch (w->model) {
	case LEDGER_SEND_ONLY:
	case LEDGER_DISCOVERY:
		request(w, DEVICE, COPSE_CODE_POST, false, false, false, rest,
			fill(rest, "publish", -1, reading));
		break;
	case LEDGER_CONFIRMED:
		copse_endpoint_cancel(w->ep[DEVICE], w->asked, ms(w)); /* a newer reading is worth more */
		w->asked = request(w, DEVICE, COPSE_CODE_POST, true, false, false, rest,
				   fill(rest, "publish", -1, reading));
		listen(w);
		break;
	case LEDGER_OBSERVED:
	case LEDGER_WINDOW:
	case LEDGER_IMPLICIT:
		if (w->observed)
			notify(w, reading);
		break;
	default: break; /* a server waits to be asked */
	}
}

static void wake_up(struct world *w)
{
	double period = w->config->period_s * 1e6;

	if (!always_on(w))
		w->think_us += w->config->radio->wake_us;
	if (w->model == LEDGER_DISCOVERY && w->now >= w->discover)
		discover(w);
	read_sensor(w);
	if (w->model == LEDGER_WINDOW) {
		listen(w);
		w->sleep = w->now + w->config->window_ms * 1000ull;
	}
	w->wake = w->now + (uint64_t)(period * (0.5 + chance(w)));
}

/* The observation asked for, or the latest reading. */
static void device_request(struct world *w, const struct copse_event *e)
{
	uint8_t rest[FRAME_MAX];
	bool observe = copse_message_uint(e->message, COPSE_OPTION_OBSERVE, 1) == 0;
	uint32_t latest = w->account->readings ? w->account->readings - 1 : UINT32_MAX;

	if (observe) {
		w->observed = true;
		w->token_len = e->message->token_len;
		memcpy(w->token, copse_message_token(e->message), w->token_len);
	}
	respond(w, DEVICE, e->exchange, COPSE_CODE_CONTENT, rest,
		fill(rest, NULL, observe ? (int)(latest & 0xffffff) : -1, latest));
}

static void device_events(struct world *w)
{
	struct copse_event e;

	while (copse_endpoint_next_event(w->ep[DEVICE], &e)) {
		if (e.kind == COPSE_EVENT_REQUEST) {
			device_request(w, &e);
		} else if ((e.kind == COPSE_EVENT_RESPONSE || e.kind == COPSE_EVENT_FAILED) &&
			   e.exchange == w->asked) {
			if (w->model == LEDGER_DISCOVERY && e.kind == COPSE_EVENT_RESPONSE)
				copse_endpoint_cancel(w->ep[DEVICE], w->asked, ms(w));
			w->asked = COPSE_NO_HANDLE;
			stop_listening(w);
		}
	}
}

/* ---- the intermediary ---- */

static void learn(struct world *w, const struct copse_message *m)
{
	const uint8_t *p = copse_message_payload(m);
	uint32_t reading;

	if (m->payload_len != 4)
		return;
	reading = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	w->heard = w->now;
	if (reading < w->known_cap && !w->known[reading]) {
		w->known[reading] = 1;
		w->account->delivered++;
	}
}

static void gateway_ask(struct world *w)
{
	uint8_t rest[FRAME_MAX];
	uint64_t period = w->config->period_s * (uint64_t)SECOND_US;

	if (w->model == LEDGER_SERVER) {
		request(w, GATEWAY, COPSE_CODE_GET, true, false, false, rest,
			fill(rest, "reading", -1, UINT32_MAX));
		w->act += period;
		return;
	}
	if (w->registered && w->now - w->heard < SILENCE * period) {
		w->act = w->now + period;
		return;
	}
	/* Observation: of one that is always on as confirmable request, of one that sleeps again and again. */
	w->registered = false;
	if (w->observing)
		copse_endpoint_cancel(w->ep[GATEWAY], w->observing, ms(w));
	w->account->registrations++;
	w->observing = request(w, GATEWAY, COPSE_CODE_GET, w->model == LEDGER_OBSERVED, false, true, rest,
			       fill(rest, "reading", 0, UINT32_MAX));
	w->act = w->now + (w->model == LEDGER_OBSERVED ? 2 * period : w->config->window_ms * 1000ull);
}

static void gateway_events(struct world *w)
{
	struct copse_event e;

	while (copse_endpoint_next_event(w->ep[GATEWAY], &e)) {
		if (e.kind == COPSE_EVENT_REQUEST && e.message->code == COPSE_CODE_POST) {
			learn(w, e.message);
			if (e.message->type == COPSE_CON)
				respond(w, GATEWAY, e.exchange, COPSE_CODE_CHANGED, NULL, 0);
			else
				copse_endpoint_ignore(w->ep[GATEWAY], e.exchange, ms(w));
		} else if (e.kind == COPSE_EVENT_REQUEST) {
			respond(w, GATEWAY, e.exchange, COPSE_CODE_CONTENT, NULL, 0);
		} else if (e.kind == COPSE_EVENT_RESPONSE) {
			learn(w, e.message);
			w->registered |= e.exchange == w->observing;
			w->heard = w->now;
		} else if (e.kind == COPSE_EVENT_FAILED && e.exchange == w->observing) {
			w->observing = COPSE_NO_HANDLE;
		}
	}
}

/* A response that nothing asked for: taken by its agreed token before the endpoint would reject it. */
static bool is_agreed(struct world *w, const struct flight *f)
{
	struct copse_message m;

	if (w->model != LEDGER_IMPLICIT || copse_message_parse(&m, f->bytes, f->len) != 0 ||
	    m.code != COPSE_CODE_CONTENT || m.token_len != sizeof(agreed_token) ||
	    memcmp(copse_message_token(&m), agreed_token, sizeof(agreed_token)) != 0)
		return false;
	learn(w, &m);
	return true;
}

/* ---- the course of events ---- */

static void arrive(struct world *w, const struct flight *f)
{
	struct copse_peer from = peer(f->to == DEVICE ? GATEWAY : DEVICE, false);

	if (f->to == DEVICE) {
		if (!w->listening)
			return;
		w->account->received += f->len + w->config->radio->overhead;
	} else if (is_agreed(w, f)) {
		return;
	}
	if (f->group)
		from.flags = COPSE_PEER_MULTICAST;
	copse_endpoint_receive(w->ep[f->to], &from, f->bytes, f->len, ms(w));
	if (f->to == DEVICE)
		device_events(w);
	else
		gateway_events(w);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t deadline(const struct world *w, enum side side)
{
	copse_ms at = copse_endpoint_deadline(w->ep[side]);

	return at == COPSE_NEVER ? NEVER_US : at * 1000;
}

static uint64_t next_time(const struct world *w)
{
	uint64_t at = least(least(w->wake, w->sleep), w->act);

	at = least(at, least(deadline(w, DEVICE), deadline(w, GATEWAY)));
	for (unsigned i = 0; i < w->flight_n; i++)
		at = least(at, w->flight[i].at);
	return at > w->now ? at : w->now;
}

static void step(struct world *w)
{
	for (unsigned i = 0; i < w->flight_n;) {
		if (w->flight[i].at > w->now) {
			i++;
			continue;
		}
		struct flight f = w->flight[i];
		w->flight[i] = w->flight[--w->flight_n];
		arrive(w, &f);
	}
	for (enum side side = DEVICE; side < SIDE_N; side++) {
		if (deadline(w, side) <= w->now)
			copse_endpoint_expire(w->ep[side], ms(w));
	}
	device_events(w);
	gateway_events(w);
	if (w->sleep <= w->now)
		stop_listening(w);
	if (w->wake <= w->now)
		wake_up(w);
	if (w->act <= w->now)
		gateway_ask(w);
	pump(w, DEVICE);
	pump(w, GATEWAY);
}

/* ---- beginning and end ---- */

static int set_up(struct world *w)
{
	uint64_t period = w->config->period_s * (uint64_t)SECOND_US;

	w->random = sim_mix(w->config->seed) | 1;
	w->now = SECOND_US;
	w->end = w->now + w->config->hours * 3600ull * SECOND_US;
	w->known_cap = (uint32_t)((w->end - w->now) / (period / 2)) + 2;
	w->known = copse_mem_new(w->known_cap, 1);
	for (enum side side = DEVICE; side < SIDE_N; side++) {
		struct copse_config config = {.group = {COPSE_PARAMS_DEFAULT},
					      .group_n = 1,
					      .exchange_cap = 16,
					      .incoming_cap = 512,
					      .peer_cap = 4,
					      .chunk_cap = 1024,
					      .reply_cap = 16,
					      .seed = {sim_next(&w->random), sim_next(&w->random)}};
		size_t len = copse_endpoint_bytes(&config);
		w->memory[side] = copse_mem_new(len, 1);
		if (!w->memory[side] || !w->known)
			return -1;
		w->ep[side] = copse_endpoint_init(w->memory[side], len, &config, ms(w));
	}
	w->sleep = w->act = NEVER_US;
	w->wake = w->now + (uint64_t)((double)period * chance(w));
	if (w->model == LEDGER_SERVER || w->model == LEDGER_OBSERVED || w->model == LEDGER_WINDOW)
		w->act = w->now + (uint64_t)((double)period * chance(w));
	if (always_on(w))
		listen(w);
	if (w->model == LEDGER_IMPLICIT) {
		w->observed = true;
		w->token_len = sizeof(agreed_token);
		memcpy(w->token, agreed_token, sizeof(agreed_token));
	}
	return 0;
}

static void settle(struct world *w)
{
	const struct ledger_radio *r = w->config->radio;
	double life_us = (double)(w->end - SECOND_US), awake_us;

	stop_listening(w);
	awake_us = w->send_us + w->listen_us + w->think_us;
	w->account->awake_s = awake_us / 1e6;
	/* mW times us is nJ. */
	w->account->mj = (w->send_us * r->send_mw + w->listen_us * r->listen_mw + w->think_us * r->think_mw +
			  fmax(0, life_us - awake_us) * r->sleep_mw) /
			 1e6;
}

int ledger_run(const struct ledger_config *config, enum ledger_model model, struct ledger_account *account)
{
	struct world w = {.config = config, .model = model, .account = account};
	int err;

	*account = (struct ledger_account){0};
	err = set_up(&w);
	while (!err && (w.now = next_time(&w)) < w.end)
		step(&w);
	w.now = w.end;
	if (!err)
		settle(&w);
	copse_mem_free(w.known);
	copse_mem_free(w.memory[DEVICE]);
	copse_mem_free(w.memory[GATEWAY]);
	return err;
}
