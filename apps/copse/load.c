/* See load.h. A place is free (in a ring, first in first out, so that clients take turns), or in a wheel by the time
 * at which something has to be done about it. The wheel turns in steps of 8 ms; a place whose time is a turn or more
 * away stays in its slot and is passed over until then.
 *
 * The token of a request is its place and how often that was used: an answer is found without a search.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load.h"

#include <copse/mem.h>

#include <signal.h>
#include <string.h>
#include <time.h>

#define WHEEL    1024u
#define STEP     8000000u /* ns */
#define NONE     UINT32_MAX
#define BURST    256u /* requests begun before it is looked again what has come */
#define TOKEN    8u
#define ID_LIFE  (247ull * LOAD_SECOND) /* EXCHANGE_LIFETIME, RFC 7252 §4.8.2 */
#define ECHO_MAX 40u                    /* RFC 9175 §2.2.1 */
#define BREATH   (LOAD_SECOND / 4)      /* after a connection has ended, before the next one is tried */

/* RFC 7252 §4.8 */
#define ACK_TIMEOUT    (2ull * LOAD_SECOND)
#define MAX_RETRANSMIT 4u

enum place_state {
	FREE,
	RESTING,  /* its connection has ended: until the next one is tried */
	DELAYED,  /* until it may ask again: LOAD_EACH; LOAD_OBSERVE, when its connection has ended */
	SENT,     /* not acknowledged, if confirmable */
	WAITING,  /* for the answer, or acknowledged */
	OBSERVING /* registered */
};

struct place {
	uint64_t intended; /* when it should have begun */
	uint64_t until;    /* when it is given up */
	uint64_t due;
	uint64_t pause;      /* until the next retransmission */
	uint32_t next, prev; /* in the wheel */
	uint32_t slot;       /* of the wheel */
	uint32_t use;        /* how many requests it has carried */
	uint32_t template;
	uint16_t id;
	uint8_t state;
	uint8_t tries;
	bool cancelling;
};

struct client {
	uint64_t first; /* when the present 65536 message IDs were begun */
	uint32_t ids;   /* of them used */
	uint16_t id;
	bool success;
	uint32_t turn; /* of its own templates, which is next */
	uint8_t echo_len;
	uint8_t echo[ECHO_MAX];
};

struct load {
	struct load_wire *wire;
	uint32_t clients, window, places;
	struct client *client;
	struct place *place;
	uint32_t *ring; /* of free places; `places` long */
	uint32_t ring_head, ring_n;
	uint32_t wheel[WHEEL];
	uint64_t turned; /* steps of the wheel that are done */
	uint32_t under_way;
	uint64_t random;
	uint64_t now, begin, end; /* of the run */
	uint64_t scheduled;       /* requests begun, at a constant rate */
	uint64_t told;            /* when progress was shown */
	bool ending;
	bool stream;      /* nothing is repeated */
	bool confirmable; /* of the work, if it means anything */
	const struct load_work *work;
	struct load_result *result;
};

static volatile sig_atomic_t interrupted;

void load_interrupt(void)
{
	interrupted = interrupted ? 2 : 1;
}

bool load_interrupted(void)
{
	return interrupted != 0;
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * LOAD_SECOND + (uint64_t)t.tv_nsec;
}

/* xorshift64*: to spread retransmissions, and where message IDs begin */
static uint32_t random_of(struct load *l)
{
	l->random ^= l->random >> 12;
	l->random ^= l->random << 25;
	l->random ^= l->random >> 27;
	return (uint32_t)((l->random * 0x2545f4914f6cdd1dull) >> 32);
}

struct load *load_new(struct load_wire *wire, uint32_t clients, uint32_t window, uint64_t seed)
{
	struct load *l = copse_mem_new(1, sizeof(*l));

	if (!l)
		return NULL;
	l->wire = wire;
	l->stream = load_wire_is_stream(wire);
	l->clients = clients;
	l->window = window;
	l->places = clients * window;
	l->random = seed | 1;
	l->client = copse_mem_new(clients, sizeof(*l->client));
	l->place = copse_mem_new(l->places, sizeof(*l->place));
	l->ring = copse_mem_new(l->places, sizeof(*l->ring));
	if (!l->client || !l->place || !l->ring) {
		load_free(l);
		return NULL;
	}
	memset(l->wheel, 0xff, sizeof(l->wheel));
	for (uint32_t i = 0; i < clients; i++)
		l->client[i].id = (uint16_t)random_of(l);
	for (uint32_t i = 0; i < l->places; i++)
		l->place[i].use = random_of(l); /* what is left of an earlier run means nobody here */
	l->now = clock_ns();
	l->turned = l->now / STEP;
	return l;
}

void load_free(struct load *l)
{
	if (!l)
		return;
	copse_mem_free(l->client);
	copse_mem_free(l->place);
	copse_mem_free(l->ring);
	copse_mem_free(l);
}

uint32_t load_successes(const struct load *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->clients; i++)
		n += l->client[i].success;
	return n;
}

static uint32_t number_of(const struct load *l, const struct place *p)
{
	return (uint32_t)(p - l->place);
}

static struct client *client_of(struct load *l, const struct place *p)
{
	return &l->client[number_of(l, p) / l->window];
}

/* --- the wheel --- */

static void wheel_set(struct load *l, struct place *p, uint64_t due)
{
	uint32_t self = number_of(l, p);
	uint64_t step = due / STEP;

	/* seen when the step that it falls into is over */
	p->slot = (uint32_t)((step < l->turned ? l->turned + 1 : step + 1) % WHEEL);
	p->due = due;
	p->prev = NONE;
	p->next = l->wheel[p->slot];
	if (p->next != NONE)
		l->place[p->next].prev = self;
	l->wheel[p->slot] = self;
}

static void wheel_clear(struct load *l, struct place *p)
{
	if (p->next != NONE)
		l->place[p->next].prev = p->prev;
	if (p->prev != NONE)
		l->place[p->prev].next = p->next;
	else
		l->wheel[p->slot] = p->next;
}

/* --- places --- */

static void put_free(struct load *l, struct place *p)
{
	p->state = FREE;
	p->cancelling = false;
	l->ring[(l->ring_head + l->ring_n++) % l->places] = number_of(l, p);
}

static void finish(struct load *l, struct place *p)
{
	wheel_clear(l, p);
	l->under_way--;
	put_free(l, p);
}

/* --- sending --- */

/* The options of a request with Observe or Echo among them: not the usual way. */
static size_t write_rest(struct load *l, const struct place *p, uint8_t *out, size_t cap)
{
	const struct load_template *t = &l->work->templates[p->template];
	const struct client *c = client_of(l, p);
	struct copse_builder b;

	copse_build_rest(&b, out, cap);
	copse_build_options(&b, t->options, t->len);
	if (l->work->kind == LOAD_OBSERVE)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, p->cancelling);
	if (c->echo_len)
		copse_build_option(&b, COPSE_OPTION_ECHO, c->echo, c->echo_len);
	copse_build_payload(&b, l->work->payload, l->work->payload_len);
	int len = copse_build_finish(&b);
	return len < 0 ? 0 : (size_t)len; /* command_load.c has tried that all fits */
}

static void send_request(struct load *l, struct place *p)
{
	const struct load_template *t = &l->work->templates[p->template];
	const struct client *c = client_of(l, p);
	uint32_t self = number_of(l, p);
	uint8_t *out = load_wire_room(l->wire);
	size_t len = 4 + TOKEN;

	out[0] = (uint8_t)(COPSE_VERSION << 6 | (l->confirmable ? COPSE_CON : COPSE_NON) << 4 | TOKEN);
	out[1] = l->work->code;
	out[2] = (uint8_t)(p->id >> 8);
	out[3] = (uint8_t)p->id;
	memcpy(out + 4, &self, 4);
	memcpy(out + 8, &p->use, 4);
	if (l->work->kind == LOAD_OBSERVE || c->echo_len) {
		len += write_rest(l, p, out + len, LOAD_DATAGRAM - len);
	} else {
		memcpy(out + len, t->options, t->len);
		len += t->len;
		if (l->work->payload_len) {
			out[len++] = COPSE_PAYLOAD_MARK;
			memcpy(out + len, l->work->payload, l->work->payload_len);
			len += l->work->payload_len;
		}
	}
	load_wire_commit(l->wire, self / l->window, len);
}

static void send_empty(struct load *l, uint32_t client, enum copse_type type, uint16_t id)
{
	uint8_t *out = load_wire_room(l->wire);

	if (l->stream) /* RFC 8323 §3 */
		return;
	out[0] = (uint8_t)(COPSE_VERSION << 6 | (unsigned)type << 4);
	out[1] = 0;
	out[2] = (uint8_t)(id >> 8);
	out[3] = (uint8_t)id;
	load_wire_commit(l->wire, client, 4);
}

/* A message ID must not be used again within EXCHANGE_LIFETIME (RFC 7252 §4.4). Returns false when `c` has none left; it
 * becomes somebody else then, where it may. */
static bool take_id(struct load *l, uint32_t number, uint16_t *id)
{
	struct client *c = &l->client[number];

	if (l->stream) {
		*id = c->id++;
		return true;
	}
	if (c->ids == 65536 && l->now - c->first < ID_LIFE) {
		if (l->work->keep_addresses || !load_wire_renew(l->wire, number))
			return false;
		c->ids = 0;
	}
	if (c->ids == 65536)
		c->ids = 0;
	if (c->ids == 0)
		c->first = l->now;
	c->ids++;
	*id = c->id++;
	return true;
}

/* The first pause is between ACK_TIMEOUT and 1.5 times that. */
static void set_timer(struct load *l, struct place *p)
{
	if (!l->confirmable || p->state != SENT || p->tries > MAX_RETRANSMIT) {
		wheel_set(l, p, p->until);
		return;
	}
	p->pause = p->tries == 1 ? ACK_TIMEOUT + random_of(l) % (ACK_TIMEOUT / 2) : p->pause * 2;
	wheel_set(l, p, l->now + p->pause < p->until ? l->now + p->pause : p->until);
}

/* Send a new message for a request that has begun. Returns false when its client has no message ID left. */
static bool launch(struct load *l, struct place *p)
{
	if (!take_id(l, number_of(l, p) / l->window, &p->id))
		return false;
	p->state = SENT;
	p->tries = 1;
	send_request(l, p);
	set_timer(l, p);
	return true;
}

static uint32_t own_template(struct load *l, const struct place *p)
{
	const uint32_t n = l->work->template_n, share = n > l->clients ? n / l->clients : 1;
	struct client *c = client_of(l, p);

	return (uint32_t)(((uint64_t)(c->turn++ % share) * l->clients + (uint32_t)(c - l->client)) % n);
}

static uint32_t next_template(struct load *l, const struct place *p)
{
	if (l->work->own)
		return own_template(l, p);
	return (uint32_t)((l->work->kind == LOAD_RUN ? l->result->begun : number_of(l, p)) %
			  l->work->template_n);
}

/* Begin a request on the first free place. Returns false when its client has to rest. */
static bool begin_one(struct load *l, uint64_t intended)
{
	struct place *p = &l->place[l->ring[l->ring_head]];

	l->ring_head = (l->ring_head + 1) % l->places;
	l->ring_n--;
	p->use++;
	p->intended = intended;
	p->until = l->now + l->work->timeout;
	p->template = next_template(l, p);
	if (!launch(l, p)) {
		l->result->resting = true;
		put_free(l, p);
		return false;
	}
	l->under_way++;
	l->result->begun++;
	return true;
}

/* --- what comes --- */

static void again(struct load *l, struct place *p, uint64_t when)
{
	wheel_clear(l, p);
	p->state = DELAYED;
	p->until = when + l->work->timeout;
	wheel_set(l, p, when);
}

/* RFC 9175 §2.3: the same request with the Echo of the answer. */
static bool take_echo(struct load *l, struct place *p, const struct copse_message *m)
{
	const struct copse_option *echo = copse_message_option(m, COPSE_OPTION_ECHO);
	struct client *c = client_of(l, p);

	if (m->code != COPSE_CODE_UNAUTHORIZED || !echo || echo->len == 0 || echo->len > ECHO_MAX)
		return false;
	if (c->echo_len == echo->len && memcmp(c->echo, copse_option_value(m, echo), echo->len) == 0)
		return false; /* it was asked for, and did not help */
	c->echo_len = (uint8_t)echo->len;
	memcpy(c->echo, copse_option_value(m, echo), echo->len);
	l->result->challenged++;
	p->use++;
	wheel_clear(l, p);
	if (!launch(l, p)) {
		wheel_set(l, p, l->now);
		l->result->timed_out++;
		finish(l, p);
	}
	return true;
}

static void count_answer(struct load *l, struct place *p, const struct copse_message *m)
{
	l->result->answered++;
	l->result->in_time += !l->ending;
	l->result->code[m->code]++;
	load_count_add(&l->result->latency, l->now - p->intended);
}

/* It observes, and no longer has to. */
static void cancel(struct load *l, struct place *p)
{
	l->result->observing++;
	p->cancelling = true;
	p->until = l->now + l->work->timeout;
	wheel_clear(l, p);
	if (!launch(l, p)) {
		wheel_set(l, p, l->now);
		finish(l, p);
	}
}

static void take_notification(struct load *l, struct place *p, const struct copse_message *m)
{
	bool goes_on = copse_message_option(m, COPSE_OPTION_OBSERVE) && copse_code_is_success(m->code);

	if (p->state == OBSERVING || p->cancelling) {
		l->result->notifications += goes_on && !p->cancelling;
		if (!goes_on)
			finish(l, p);
		return;
	}
	count_answer(l, p, m);
	if (!goes_on) {
		finish(l, p);
		return;
	}
	wheel_clear(l, p);
	p->state = OBSERVING;
	p->until = UINT64_MAX;
	wheel_set(l, p, UINT64_MAX);
	if (l->ending) /* it was still being registered then */
		cancel(l, p);
}

static void take_answer(struct load *l, struct place *p, const struct copse_message *m)
{
	if (take_echo(l, p, m))
		return;
	if (l->work->kind == LOAD_OBSERVE) {
		take_notification(l, p, m);
		return;
	}
	if (l->work->kind == LOAD_EACH && m->code == COPSE_CODE_SERVICE_UNAVAILABLE && !l->ending) {
		uint64_t pause = copse_message_uint(m, COPSE_OPTION_MAX_AGE, 1);
		again(l, p, l->now + (pause < 60 ? pause : 60) * LOAD_SECOND);
		return;
	}
	client_of(l, p)->success = copse_code_is_success(m->code);
	count_answer(l, p, m);
	finish(l, p);
}

/* Who the message is for: by its token. NULL, with `*known` when the place has moved on since. */
static struct place *find(struct load *l, uint32_t client, const struct copse_message *m, bool *known)
{
	uint32_t number, use;

	*known = false;
	if (m->token_len != TOKEN)
		return NULL;
	memcpy(&number, copse_message_token(m), 4);
	memcpy(&use, copse_message_token(m) + 4, 4);
	if (number >= l->places || number / l->window != client)
		return NULL;
	struct place *p = &l->place[number];
	*known = use != p->use || p->state == FREE;
	return !*known && p->state >= SENT ? p : NULL;
}

static void take_response(struct load *l, uint32_t client, const struct copse_message *m)
{
	bool known;
	struct place *p = find(l, client, m, &known);

	/* An answer that came before is acknowledged once more; what was never asked for is rejected (RFC 7252 §4.2). */
	if (m->type == COPSE_CON)
		send_empty(l, client,
			   p || (known && !copse_message_option(m, COPSE_OPTION_OBSERVE)) ? COPSE_ACK
											  : COPSE_RST,
			   m->id);
	else if (!p && m->type == COPSE_NON && copse_message_option(m, COPSE_OPTION_OBSERVE))
		send_empty(l, client, COPSE_RST, m->id); /* RFC 7641 §3.6 */
	if (p)
		take_answer(l, p, m);
	else
		l->result->strays++;
}

/* An empty acknowledgement or a Reset: by its message ID. */
static void take_empty(struct load *l, uint32_t client, const struct copse_message *m)
{
	for (uint32_t i = 0; i < l->window; i++) {
		struct place *p = &l->place[client * l->window + i];
		if (p->state != SENT || p->id != m->id)
			continue;
		if (m->type == COPSE_RST) {
			l->result->reset++;
			finish(l, p);
		} else {
			p->state = WAITING;
			wheel_clear(l, p);
			wheel_set(l, p, p->until);
		}
		return;
	}
	l->result->strays++;
}

/* A place whose connection has ended. An observation is registered anew, and so counts as another request. */
static void lose(struct load *l, struct place *p)
{
	const bool observed = p->state == OBSERVING || p->cancelling;
	const bool again_later = l->work->kind == LOAD_OBSERVE && !l->ending;

	l->result->lost += !observed;
	if (again_later) {
		l->result->begun++;
		again(l, p, l->now + BREATH);
		return;
	}
	wheel_clear(l, p);
	p->state = RESTING;
	wheel_set(l, p, l->now + (l->ending ? 0 : BREATH));
}

static void take_end(struct load *l, uint32_t client)
{
	for (uint32_t i = 0; i < l->window; i++) {
		struct place *p = &l->place[client * l->window + i];
		if (p->state >= SENT)
			lose(l, p);
	}
}

static void take(struct load *l, const struct load_packet *packet)
{
	struct copse_message m;

	if (!packet->bytes) {
		take_end(l, packet->client);
		return;
	}
	if (copse_message_parse(&m, packet->bytes, packet->len)) {
		l->result->malformed++;
		return;
	}
	if (m.code == COPSE_CODE_EMPTY && (m.type == COPSE_ACK || m.type == COPSE_RST))
		take_empty(l, packet->client, &m);
	else if (copse_code_is_response(m.code))
		take_response(l, packet->client, &m);
	else if (m.type == COPSE_CON)
		send_empty(l, packet->client, COPSE_RST, m.id); /* a ping, or a request: we are no server */
}

/* --- time --- */

static void expire(struct load *l, struct place *p)
{
	if (p->state == RESTING) {
		finish(l, p);
		return;
	}
	wheel_clear(l, p);
	if (p->state == DELAYED) {
		p->use++;
		if (launch(l, p))
			return;
		p->until = l->now;
	}
	if (l->now >= p->until) {
		wheel_set(l, p, l->now);
		l->result->timed_out += !p->cancelling;
		finish(l, p);
		return;
	}
	p->tries++;
	l->result->retransmitted++;
	send_request(l, p);
	set_timer(l, p);
}

static void turn(struct load *l)
{
	uint64_t step = l->now / STEP;

	if (step - l->turned > WHEEL)
		l->turned = step - WHEEL;
	while (l->turned < step) {
		l->turned++;
		uint32_t next, i = l->wheel[l->turned % WHEEL];
		for (; i != NONE; i = next) {
			next = l->place[i].next;
			if (l->place[i].due <= l->now)
				expire(l, &l->place[i]);
		}
	}
}

/* --- what is to be begun --- */

static bool is_over(const struct load *l)
{
	const struct load_work *work = l->work;

	if (interrupted || l->now >= l->end)
		return true;
	if (work->kind == LOAD_RUN)
		return work->requests && l->result->begun >= work->requests && l->under_way == 0;
	if (work->kind == LOAD_OBSERVE)
		return work->requests && l->result->notifications >= work->requests;
	return l->result->begun >= l->clients && l->under_way == 0;
}

static uint64_t unanswered(const struct load *l)
{
	const struct load_result *r = l->result;

	return r->begun - r->answered - r->timed_out - r->reset - r->lost;
}

static void begin_due(struct load *l)
{
	const struct load_work *work = l->work;
	uint64_t limit = work->requests && work->kind == LOAD_RUN ? work->requests : UINT64_MAX;
	bool once = work->kind != LOAD_RUN;

	for (uint32_t i = 0; i < BURST && l->ring_n && l->result->begun < limit; i++) {
		uint64_t intended = l->now;
		if (once && l->scheduled >= (work->kind == LOAD_EACH ? l->clients : l->places))
			return;
		if (once && unanswered(l) >= work->at_once)
			return;
		if (work->rate > 0)
			intended = l->begin + (uint64_t)((double)l->scheduled / work->rate * LOAD_SECOND);
		if (intended > l->now)
			return;
		if (!begin_one(l, intended))
			return;
		l->scheduled++;
	}
}

/* Requests whose time has come and that nobody has sent. */
static uint64_t count_behind(const struct load *l)
{
	uint64_t until = l->now < l->end ? l->now : l->end;
	double due = l->work->rate * (double)(until - l->begin) / LOAD_SECOND;

	if (l->work->requests && due > (double)l->work->requests)
		due = (double)l->work->requests;
	return due > (double)l->scheduled ? (uint64_t)(due - (double)l->scheduled) : 0;
}

static uint64_t pause_of(const struct load *l)
{
	uint64_t pause = l->turned * STEP + STEP, next;

	pause = pause > l->now ? pause - l->now : 0;
	const bool all_begun = l->work->requests && l->result->begun >= l->work->requests;
	if (l->ending || l->ring_n == 0 || l->result->resting || all_begun)
		return pause;
	if (l->work->rate > 0) {
		next = l->begin + (uint64_t)((double)l->scheduled / l->work->rate * LOAD_SECOND);
		return next > l->now ? (next - l->now < pause ? next - l->now : pause) : 0;
	}
	return l->work->kind == LOAD_RUN ? 0 : pause;
}

static void note_end(struct load *l)
{
	l->ending = true;
	l->result->elapsed = l->now - l->begin;
	l->result->behind = count_behind(l);
	for (uint32_t i = 0; i < l->places; i++) {
		struct place *p = &l->place[i];
		if (p->state == DELAYED || p->state == RESTING)
			finish(l, p);
		if (p->state == OBSERVING)
			cancel(l, p);
	}
}

static void tell(struct load *l)
{
	if (!l->work->progress || l->now - l->told < LOAD_SECOND)
		return;
	l->told = l->now;
	l->result->elapsed = l->now - l->begin;
	l->work->progress(l->work->user, l->result);
}

static void reset(struct load *l, const struct load_work *work, struct load_result *result)
{
	memset(result, 0, sizeof(*result));
	l->work = work;
	l->result = result;
	l->ring_head = 0;
	l->ring_n = 0;
	l->under_way = 0;
	l->scheduled = 0;
	l->ending = false;
	l->confirmable = work->confirmable && !l->stream;
	/* In turn by client; where only a part of the window is in use the rest is never free. */
	for (uint32_t k = 0; k < work->window; k++)
		for (uint32_t i = 0; i < l->clients; i++)
			put_free(l, &l->place[i * l->window + k]);
	if (work->kind == LOAD_EACH)
		for (uint32_t i = 0; i < l->clients; i++)
			l->client[i].success = false;
	l->now = l->begin = l->told = clock_ns();
	l->turned = l->now / STEP;
	l->end = work->duration ? l->begin + work->duration : UINT64_MAX;
}

void load_run(struct load *l, const struct load_work *work, struct load_result *result)
{
	const struct load_packet *packet;
	const struct load_wire_counters before = *load_wire_counters(l->wire), *after;
	bool forced = false;
	size_t n;

	reset(l, work, result);
	while (!(l->ending && l->under_way == 0) && !forced) {
		n = load_wire_receive(l->wire, &packet);
		l->now = clock_ns();
		for (size_t i = 0; i < n; i++)
			take(l, &packet[i]);
		turn(l);
		if (!l->ending && is_over(l))
			note_end(l);
		if (!l->ending)
			begin_due(l);
		load_wire_flush(l->wire);
		tell(l);
		forced = interrupted > 1;
		if (n == 0)
			load_wire_wait(l->wire, pause_of(l));
	}
	after = load_wire_counters(l->wire);
	result->wire = (struct load_wire_counters){.sent = after->sent - before.sent,
						   .received = after->received - before.received,
						   .unreachable = after->unreachable - before.unreachable,
						   .unsent = after->unsent - before.unsent,
						   .connections = after->connections,
						   .reconnections = after->reconnections,
						   .ended = after->ended};
}
