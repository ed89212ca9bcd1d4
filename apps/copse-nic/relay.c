/* See relay.h. A pass is one request on its way, or one observation; its states:
 *
 *	FREE   -> ASKED      a request went to the sensor, the client waits
 *	ASKED  -> ASKED      the next piece of a body that was cut
 *	ASKED  -> OBSERVED   the sensor has registered the observation
 *	OBSERVED -> LEAVING  the client has left, the sensor is told so
 *	any    -> FREE       answered, failed, or the line is down
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "relay.h"

#include <copse/block.h>
#include <copse/mem.h>

#include <string.h>

enum state { FREE, ASKED, OBSERVED, LEAVING };

#define MAY(state) (1u << (state))

static const uint8_t next_states[] = {
    [FREE] = MAY(ASKED),
    [ASKED] = MAY(ASKED) | MAY(OBSERVED) | MAY(FREE),
    [OBSERVED] = MAY(LEAVING) | MAY(FREE),
    [LEAVING] = MAY(FREE),
};

#define TAG_LEN 8

/* Options that are added to a request, at most: Observe, Block1, Block2, Request-Tag, Size1. */
#define ADDED 40

struct pass {
	enum state state;
	uint8_t code;
	bool con;              /* how the client asked, and so how the sensor is asked */
	bool register_;        /* it asks for an observation */
	uint8_t no_response;   /* RFC 7967: classes that the client does not want to hear of */
	copse_handle down;     /* the client's request; COPSE_NO_HANDLE: answered */
	copse_handle up;       /* ours */
	copse_handle notified; /* a confirmable notification not yet acknowledged */
	uint16_t notified_id;  /* of the last one that was not confirmable */
	struct copse_peer client;
	uint8_t token[COPSE_TOKEN_MAX];
	uint8_t token_len;

	/* What is asked: options as they go to the sensor (without blocks), then the payload. */
	uint16_t options_len, payload_len;
	uint8_t tag[TAG_LEN];
	bool has_block1, has_block2;
	struct copse_block block1, block2; /* as the client sent them */
	uint8_t szx;                       /* of the blocks on the line */
	uint16_t at;                       /* bytes of payload that the sensor has */
	uint16_t piece;                    /* bytes under way */
	uint8_t bytes[RELAY_MESSAGE_MAX];

	/* The newest notification: sent again when an older one is acknowledged. */
	uint8_t latest_code;
	uint16_t latest_len;
	uint8_t *latest; /* [relay.latest_cap] */
};

struct relay {
	struct copse_endpoint *ep;
	struct relay_config config;
	struct relay_counters counters;
	struct copse_peer sensor;
	bool up;
	uint16_t observers, used;
	struct pass *pass; /* [config.passes_max] */
	size_t latest_cap;
	uint8_t *latest; /* of all passes */
	uint8_t rest[RELAY_MESSAGE_MAX + ADDED];
};

static void enter(struct relay *r, struct pass *p, enum state state)
{
	COPSE_ASSERT(next_states[p->state] & MAY(state));
	r->observers = (uint16_t)(r->observers + (state == OBSERVED) - (p->state == OBSERVED));
	r->used = (uint16_t)(r->used + (p->state == FREE) - (state == FREE));
	p->state = state;
}

/* ---- towards the client ---- */

static void respond(struct relay *r, struct pass *p, const struct copse_out *out, copse_ms now)
{
	const copse_handle down = p->down;
	const unsigned class = copse_code_class(out->code);

	p->down = COPSE_NO_HANDLE;
	if (down == COPSE_NO_HANDLE)
		return;
	/* RFC 7967 §2: bit 1 stands for class 2, bit 3 for class 4, bit 4 for class 5 */
	if (class >= 1 && p->no_response & 1u << (class - 1))
		copse_endpoint_ignore(r->ep, down, now);
	else
		copse_endpoint_respond(r->ep, down, out, now); /* without room: the client asks again */
}

static void notify(struct relay *r, struct pass *p, const struct copse_out *out, copse_ms now)
{
	if (out->rest_len <= r->latest_cap) {
		p->latest_code = out->code;
		p->latest_len = (uint16_t)out->rest_len;
		memmove(p->latest, out->rest, out->rest_len);
	}
	if (p->notified != COPSE_NO_HANDLE &&
	    copse_endpoint_replace(r->ep, p->notified, out, now) == COPSE_OK) {
		r->counters.replaced++;
		return;
	}
	p->notified = COPSE_NO_HANDLE;
	if (copse_endpoint_notify(r->ep, &p->client, p->token, p->token_len, out, p, now,
				  out->con ? &p->notified : NULL, &p->notified_id) == COPSE_OK)
		r->counters.notifications++;
}

/* Build an answer of the relay's own into `rest`. */
static struct copse_out say(struct relay *r, uint8_t code, uint32_t max_age, const char *text)
{
	struct copse_out out = {.code = code, .rest = r->rest};
	struct copse_builder b;

	copse_build_rest(&b, r->rest, sizeof(r->rest));
	if (max_age)
		copse_build_uint(&b, COPSE_OPTION_MAX_AGE, max_age);
	copse_build_payload(&b, text, strlen(text));
	out.rest_len = (size_t)copse_build_finish(&b);
	return out;
}

static void fail(struct relay *r, struct pass *p, uint8_t code, const char *text, copse_ms now)
{
	const struct copse_out out = say(r, code, 0, text);

	respond(r, p, &out, now);
	enter(r, p, FREE);
}

/* A request that never got a pass. */
static void turn_away(struct relay *r, const struct copse_event *event, uint64_t *counter, uint8_t code,
		      uint32_t max_age, const char *text, copse_ms now)
{
	const struct copse_out out = say(r, code, max_age, text);

	++*counter;
	copse_endpoint_respond(r->ep, event->exchange, &out, now);
}

/* ---- towards the sensor ---- */

/* The largest blocks of a body that fit into a frame behind the options; < 0: not even the smallest. */
static int line_szx(const struct relay *r, const struct pass *p)
{
	const size_t around = COPSE_HEADER_LEN + COPSE_TOKEN_MAX + p->options_len + ADDED + 1;

	if (around + 16 > r->config.frame_max)
		return -1;
	return copse_block_szx(r->config.frame_max - around);
}

static uint32_t left_of(const struct pass *p)
{
	return (uint32_t)p->payload_len - p->at;
}

/* A piece of a body that is sent by blocks, by the client or by us. */
static void put_upload(struct relay *r, struct pass *p, struct copse_builder *b)
{
	const uint32_t size = copse_block_size(p->szx), offset = copse_block_offset(&p->block1) + p->at;
	const bool rest = left_of(p) > size;
	const struct copse_block block = {
	    .num = offset / size, .more = rest || p->block1.more, .szx = p->szx};

	p->piece = (uint16_t)(rest ? size : left_of(p));
	copse_build_option(b, COPSE_OPTION_REQUEST_TAG, p->tag, TAG_LEN);
	copse_build_block(b, COPSE_OPTION_BLOCK1, &block);
	r->counters.pieces += rest;
}

/* How much of the answer the client wants, in blocks that a frame holds: the same place in smaller blocks (RFC
 * 7959 §2.4). The answer to a piece that is not the last is short. */
static void put_wanted(const struct pass *p, struct copse_builder *b)
{
	struct copse_block block = p->has_block2 ? p->block2 : (struct copse_block){.szx = p->szx};

	if (p->block1.more || left_of(p) > p->piece)
		return;
	if (block.szx > p->szx && copse_block_resize(&block, p->szx) < 0)
		return;
	copse_build_block(b, COPSE_OPTION_BLOCK2, &block);
}

static int build(struct relay *r, struct pass *p, int observe, struct copse_out *out)
{
	struct copse_builder b;
	int n;

	copse_build_rest(&b, r->rest, sizeof(r->rest));
	copse_build_options(&b, p->bytes, p->options_len);
	p->piece = p->payload_len;
	if (p->has_block1 || p->payload_len > copse_block_size(p->szx))
		put_upload(r, p, &b);
	if (observe >= 0)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, (uint32_t)observe);
	put_wanted(p, &b);
	copse_build_payload(&b, p->bytes + p->options_len + p->at, p->piece);
	n = copse_build_finish(&b);
	*out = (struct copse_out){.code = p->code, .con = p->con, .rest = r->rest, .rest_len = (size_t)n};
	return n;
}

/* Send the piece at `p->at`. Returns whether it is on its way; if not the client has been told. */
static bool ask(struct relay *r, struct pass *p, copse_ms now)
{
	struct copse_out out;
	const unsigned flags = p->register_ ? COPSE_REQUEST_MANY : 0;
	int err = build(r, p, p->register_ ? 0 : -1, &out);

	if (err >= 0)
		err = copse_endpoint_request(r->ep, &r->sensor, &out, flags, p, now, &p->up);
	if (err >= 0)
		return true;
	r->counters.busy++;
	fail(r, p, COPSE_CODE_SERVICE_UNAVAILABLE, "the sensor's line is busy", now);
	return false;
}

/* Give up what is asked of the sensor, without a word. */
static void drop(struct relay *r, struct pass *p, copse_ms now)
{
	copse_endpoint_cancel(r->ep, p->up, now);
	if (p->notified != COPSE_NO_HANDLE)
		copse_endpoint_cancel(r->ep, p->notified, now);
	enter(r, p, FREE);
}

/* The client has left: the sensor is told under the token of the registration (RFC 7641 §3.6). */
static void leave(struct relay *r, struct pass *p, copse_ms now)
{
	struct copse_out out;

	r->counters.left++;
	p->notified = COPSE_NO_HANDLE;
	out.con = true;
	if (build(r, p, 1, &out) < 0 || copse_endpoint_request_again(r->ep, p->up, &out, now) != COPSE_OK) {
		drop(r, p, now);
		return;
	}
	enter(r, p, LEAVING);
}

/* ---- what a client asks ---- */

/* Whether option `number` of a request goes to the sensor as it stands. Those of the way to here are spent, those of
 * blocks and observation are made anew. */
static bool passes_on(uint16_t number)
{
	switch (number) {
	case COPSE_OPTION_URI_HOST:
	case COPSE_OPTION_URI_PORT:
	case COPSE_OPTION_HOP_LIMIT:
	case COPSE_OPTION_NO_RESPONSE:
	case COPSE_OPTION_OBSERVE:
	case COPSE_OPTION_BLOCK1:
	case COPSE_OPTION_BLOCK2:
	case COPSE_OPTION_REQUEST_TAG: return false;
	case COPSE_OPTION_URI_PATH:
	case COPSE_OPTION_URI_QUERY: return true;
	default: return !copse_option_is_unsafe(number);
	}
}

/* RFC 7252 §5.7.1: what is critical, unsafe to forward and not understood ends here. The proxy's own options ask for
 * something that this is not; Q-Block goes no further than one hop and is not spoken on the line. */
static const char *objection(const struct copse_message *m, uint8_t *code)
{
	*code = COPSE_CODE_BAD_OPTION;
	for (unsigned i = 0; i < m->option_n; i++) {
		const uint16_t number = m->option[i].number;
		if (number == COPSE_OPTION_PROXY_URI || number == COPSE_OPTION_PROXY_SCHEME) {
			*code = COPSE_CODE_PROXYING_NOT_SUPPORTED;
			return "this is no forward proxy";
		}
		if (!copse_option_is_critical(number) || !copse_option_is_unsafe(number))
			continue;
		if (m->option[i].mark & COPSE_OPTION_BAD || number == COPSE_OPTION_Q_BLOCK1 ||
		    number == COPSE_OPTION_Q_BLOCK2)
			return "an option that cannot be passed on";
	}
	return NULL;
}

/* All clients of the card are one endpoint to the sensor: uploads are told apart by a tag of ours, made of the
 * client's address and its own tags (RFC 9175 §3.5). A hash with a secret key (FNV-1a with a twist) is enough: it
 * need only differ. */
static void make_tag(const struct relay *r, const struct copse_event *event, uint8_t tag[TAG_LEN])
{
	const struct copse_message *m = event->message;
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_REQUEST_TAG);
	uint64_t h = r->config.seed[0];

	for (unsigned i = 0; i < event->peer->len; i++)
		h = (h ^ event->peer->key[i]) * 0x100000001b3u;
	for (; o; o = copse_message_option_next(m, o)) {
		h = (h ^ (0x100u | o->len)) * 0x100000001b3u;
		for (unsigned i = 0; i < o->len; i++)
			h = (h ^ copse_option_value(m, o)[i]) * 0x100000001b3u;
	}
	h ^= r->config.seed[1];
	for (unsigned i = 0; i < TAG_LEN; i++)
		tag[i] = (uint8_t)(h >> 8 * i);
}

/* Copy what goes on. Returns NULL, or what is wrong with the request. */
static const char *keep(struct relay *r, struct pass *p, const struct copse_event *event, uint8_t *code)
{
	const struct copse_message *m = event->message;
	struct copse_builder b;
	int n, szx, b1, b2;

	*code = COPSE_CODE_BAD_REQUEST;
	b1 = copse_block_read(m, COPSE_OPTION_BLOCK1, &p->block1);
	b2 = copse_block_read(m, COPSE_OPTION_BLOCK2, &p->block2);
	if (b1 < 0 || b2 < 0)
		return "reserved block size";
	p->has_block1 = b1 > 0;
	p->has_block2 = b2 > 0;
	if (p->has_block1 && !copse_block_fits(&p->block1, m->payload_len))
		return "the payload is not one block long";
	*code = COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
	copse_build_rest(&b, p->bytes, sizeof(p->bytes));
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (passes_on(o->number))
			copse_build_raw(&b, o->number, copse_option_value(m, o), o->len);
	}
	n = copse_build_finish(&b);
	if (n < 0 || (size_t)n + m->payload_len > sizeof(p->bytes))
		return "longer than the card can hold";
	p->options_len = (uint16_t)n;
	p->payload_len = (uint16_t)m->payload_len;
	memcpy(p->bytes + n, copse_message_payload(m), m->payload_len);
	szx = line_szx(r, p);
	if (szx < 0)
		return "the options are too long for the sensor's line";
	p->szx = (uint8_t)szx;
	if (p->has_block1 && p->block1.szx < p->szx)
		p->szx = p->block1.szx;
	make_tag(r, event, p->tag);
	return NULL;
}

static struct pass *free_pass(struct relay *r)
{
	for (unsigned i = 0; i < r->config.passes_max; i++) {
		if (r->pass[i].state == FREE)
			return &r->pass[i];
	}
	return NULL;
}

static struct pass *find_observed(struct relay *r, const struct copse_event *event)
{
	const struct copse_message *m = event->message;

	for (unsigned i = 0; i < r->config.passes_max; i++) {
		struct pass *p = &r->pass[i];
		if (p->state == OBSERVED && p->token_len == m->token_len &&
		    memcmp(p->token, copse_message_token(m), m->token_len) == 0 &&
		    copse_peer_equal(&p->client, event->peer))
			return p;
	}
	return NULL;
}

/* The client asks again under the token of its observation: to refresh it, or to end it. The observation's own
 * exchange is used, and its answer answers both. */
static bool again(struct relay *r, struct pass *p, const struct copse_event *event, uint32_t observe,
		  copse_ms now)
{
	struct copse_out out;

	if (p->down != COPSE_NO_HANDLE || build(r, p, (int)observe, &out) < 0)
		return false;
	out.con = true;
	if (copse_endpoint_request_again(r->ep, p->up, &out, now) != COPSE_OK)
		return false;
	p->down = event->exchange;
	if (observe) {
		r->counters.left++;
		enter(r, p, LEAVING);
	}
	return true;
}

static void begin(struct relay *r, struct pass *p, const struct copse_event *event, uint32_t observe,
		  copse_ms now)
{
	const struct copse_message *m = event->message;
	const char *wrong;
	uint8_t code;

	memset(p, 0, offsetof(struct pass, bytes));
	p->latest_len = 0;
	wrong = keep(r, p, event, &code);
	if (wrong) {
		turn_away(r, event, &r->counters.refused, code, 0, wrong, now);
		return;
	}
	p->code = m->code;
	p->con = m->type == COPSE_CON;
	p->no_response = (uint8_t)copse_message_uint(m, COPSE_OPTION_NO_RESPONSE, 0);
	p->down = event->exchange;
	p->client = *event->peer;
	p->token_len = (uint8_t)m->token_len;
	memcpy(p->token, copse_message_token(m), m->token_len);
	/* what is observed must be asked in one message: FETCH with a body of several is answered once */
	p->register_ = observe == 0 && copse_code_is_safe(m->code) && !p->has_block1 &&
		       p->payload_len <= copse_block_size(p->szx);
	if (p->register_ && r->observers >= r->config.observers_max) {
		r->counters.observations_full++;
		p->register_ = false;
	}
	enter(r, p, ASKED);
	ask(r, p, now);
}

void relay_request(struct relay *r, const struct copse_event *event, copse_ms now)
{
	const struct copse_message *m = event->message;
	const uint32_t observe = copse_message_uint(m, COPSE_OPTION_OBSERVE, 2);
	struct pass *p = observe < 2 ? find_observed(r, event) : NULL;
	const char *wrong;
	uint8_t code;

	r->counters.requests++;
	if (event->peer->flags & COPSE_PEER_MULTICAST) { /* RFC 7252 §8.2: what we have to say is our own */
		copse_endpoint_ignore(r->ep, event->exchange, now);
		return;
	}
	wrong = objection(m, &code);
	if (wrong) {
		turn_away(r, event, &r->counters.refused, code, 0, wrong, now);
		return;
	}
	if (!r->up) {
		turn_away(r, event, &r->counters.down, COPSE_CODE_SERVICE_UNAVAILABLE, 5,
			  "the sensor's line is down", now);
		return;
	}
	if (p && again(r, p, event, observe, now))
		return;
	if (p)
		leave(r, p, now);
	p = m->token_len > COPSE_TOKEN_MAX ? NULL : free_pass(r);
	if (p)
		begin(r, p, event, observe, now);
	else
		turn_away(r, event, &r->counters.busy, COPSE_CODE_SERVICE_UNAVAILABLE, 2,
			  "too many requests for the sensor are under way", now);
}

/* ---- what the sensor answers ---- */

/* RFC 7959 §2.3: the answer to a block names the client's block; with a smaller size it asks for that from here
 * on, which a client understands in the answer to its first block. */
static void put_acknowledged(const struct pass *p, struct copse_builder *b)
{
	struct copse_block block = p->block1;

	if (block.num == 0 && p->szx < block.szx)
		block.szx = p->szx;
	copse_build_block(b, COPSE_OPTION_BLOCK1, &block);
}

/* The sensor's answer as the client gets it. Returns its length, or < 0 when it cannot be passed on. */
static int copy_answer(struct relay *r, const struct pass *p, const struct copse_message *m, bool observed,
		       struct copse_out *out)
{
	struct copse_builder b;
	int n;

	copse_build_rest(&b, r->rest, sizeof(r->rest));
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		const bool known = o->number == COPSE_OPTION_MAX_AGE || o->number == COPSE_OPTION_BLOCK2;
		if (o->number == COPSE_OPTION_BLOCK1 || (o->number == COPSE_OPTION_OBSERVE && !observed))
			continue;
		if (o->number != COPSE_OPTION_OBSERVE && !known && copse_option_is_unsafe(o->number)) {
			if (copse_option_is_critical(o->number))
				return COPSE_ERR_BADOPTION;
			continue;
		}
		copse_build_raw(&b, o->number, copse_option_value(m, o), o->len);
	}
	if (p->has_block1)
		put_acknowledged(p, &b);
	copse_build_payload(&b, copse_message_payload(m), m->payload_len);
	n = copse_build_finish(&b);
	*out = (struct copse_out){.code = m->code, .rest = r->rest, .rest_len = (size_t)n};
	return n;
}

/* One piece of a body has arrived, and there are more. Returns whether the next one is on its way: when the sensor
 * has taken this one, and did not end the transfer by its answer. */
static bool go_on(struct relay *r, struct pass *p, const struct copse_message *m, copse_ms now)
{
	struct copse_block taken;

	if (left_of(p) <= p->piece || !copse_code_is_success(m->code))
		return false;
	if (copse_block_read(m, COPSE_OPTION_BLOCK1, &taken) <= 0)
		return false;
	p->at = (uint16_t)(p->at + p->piece);
	if (taken.szx < p->szx)
		p->szx = taken.szx;
	ask(r, p, now);
	return true;
}

static void answer(struct relay *r, struct pass *p, const struct copse_event *event, copse_ms now)
{
	const struct copse_message *m = event->message;
	const bool observed =
	    p->register_ && copse_code_is_success(m->code) && copse_message_option(m, COPSE_OPTION_OBSERVE);
	struct copse_out out;

	if (go_on(r, p, m, now))
		return;
	if (p->register_ && !observed)
		copse_endpoint_cancel(r->ep, p->up,
				      now); /* it stays open for notifications that will not come */
	if (copy_answer(r, p, m, observed, &out) < 0) {
		if (observed)
			copse_endpoint_cancel(r->ep, p->up, now);
		r->counters.bad_answers++;
		fail(r, p, COPSE_CODE_BAD_GATEWAY, "the sensor's answer cannot be passed on", now);
		return;
	}
	r->counters.answered++;
	respond(r, p, &out, now);
	if (observed)
		r->counters.observations++;
	enter(r, p, observed ? OBSERVED : FREE);
}

static void pass_notification(struct relay *r, struct pass *p, const struct copse_event *event, copse_ms now)
{
	const struct copse_message *m = event->message;
	const bool goes_on = copse_code_is_success(m->code) && copse_message_option(m, COPSE_OPTION_OBSERVE);
	struct copse_out out;

	if (copy_answer(r, p, m, true, &out) < 0) {
		r->counters.bad_answers++;
		out = say(r, COPSE_CODE_BAD_GATEWAY, 0, "the sensor's notification cannot be passed on");
	}
	out.con = m->type == COPSE_CON || !goes_on;
	if (p->down != COPSE_NO_HANDLE) { /* it answers a registration that was refreshed */
		r->counters.answered++;
		respond(r, p, &out, now);
	} else {
		notify(r, p, &out, now);
	}
	if (!goes_on) { /* an error, or no Observe: that was the last one (RFC 7641 §4.2) */
		copse_endpoint_cancel(r->ep, p->up, now);
		p->notified = COPSE_NO_HANDLE;
		enter(r, p, FREE);
	}
}

/* The sensor knows that the client has left; if the client asked for that it gets the answer. */
static void farewell(struct relay *r, struct pass *p, const struct copse_event *event, copse_ms now)
{
	struct copse_out out;

	if (copse_message_option(event->message, COPSE_OPTION_OBSERVE))
		return; /* a notification that was under way */
	if (p->down != COPSE_NO_HANDLE && copy_answer(r, p, event->message, false, &out) >= 0) {
		r->counters.answered++;
		respond(r, p, &out, now);
	}
	drop(r, p, now);
}

/* ---- the ends of things ---- */

static void upstream_failed(struct relay *r, struct pass *p, const struct copse_event *event, copse_ms now)
{
	const bool silent = event->error == COPSE_ERR_TIMEOUT || event->error == COPSE_ERR_TRANSPORT;
	struct copse_out out;

	p->up = COPSE_NO_HANDLE;
	r->counters.timeouts += silent;
	r->counters.bad_answers += !silent;
	if (p->state == OBSERVED && p->down == COPSE_NO_HANDLE) {
		out = say(r, COPSE_CODE_SERVICE_UNAVAILABLE, 5, "the sensor does not answer");
		out.con = true;
		notify(r, p, &out, now);
		p->notified = COPSE_NO_HANDLE;
		enter(r, p, FREE);
		return;
	}
	if (silent)
		fail(r, p, COPSE_CODE_GATEWAY_TIMEOUT, "the sensor does not answer", now);
	else
		fail(r, p, COPSE_CODE_BAD_GATEWAY, "the sensor's answer cannot be passed on", now);
}

/* A notification was acknowledged, rejected, or never heard. Returns whether it was one of this pass. */
static bool downstream(struct relay *r, struct pass *p, const struct copse_event *event, copse_ms now)
{
	if (event->exchange != p->notified || p->notified == COPSE_NO_HANDLE)
		return false;
	p->notified = COPSE_NO_HANDLE;
	if (p->state != OBSERVED)
		return true;
	if (event->kind == COPSE_EVENT_FAILED) { /* RFC 7641 §4.5: rejected, or not heard by anybody */
		leave(r, p, now);
	} else if (event->outdated) {
		const struct copse_out out = {
		    .code = p->latest_code, .con = true, .rest = p->latest, .rest_len = p->latest_len};
		notify(r, p, &out, now);
	}
	return true;
}

static void upstream(struct relay *r, struct pass *p, const struct copse_event *event, copse_ms now)
{
	if (event->kind == COPSE_EVENT_FAILED)
		upstream_failed(r, p, event, now);
	else if (p->state == ASKED)
		answer(r, p, event, now);
	else if (p->state == OBSERVED)
		pass_notification(r, p, event, now);
	else
		farewell(r, p, event, now);
}

/* A Reset of a notification that was not confirmable (RFC 7641 §3.6). */
static bool rejected(struct relay *r, const struct copse_event *event, copse_ms now)
{
	for (unsigned i = 0; i < r->config.passes_max; i++) {
		struct pass *p = &r->pass[i];
		if (p->state == OBSERVED && p->notified_id == event->message->id &&
		    copse_peer_equal(&p->client, event->peer)) {
			leave(r, p, now);
			return true;
		}
	}
	return false;
}

static struct pass *pass_of(const struct relay *r, const void *user)
{
	const uintptr_t at = (uintptr_t)user, first = (uintptr_t)r->pass;

	if (!user || at < first || at >= first + r->config.passes_max * sizeof(*r->pass))
		return NULL;
	return &r->pass[(at - first) / sizeof(*r->pass)];
}

bool relay_take(struct relay *r, const struct copse_event *event, copse_ms now)
{
	struct pass *p;

	if (event->kind == COPSE_EVENT_RESET)
		return rejected(r, event, now);
	p = pass_of(r, event->user);
	if (!p)
		return false;
	if (!downstream(r, p, event, now) && p->state != FREE && event->exchange == p->up)
		upstream(r, p, event, now);
	return true;
}

static void line_lost(struct relay *r, copse_ms now)
{
	for (unsigned i = 0; i < r->config.passes_max; i++) {
		struct pass *p = &r->pass[i];
		struct copse_event end = {.kind = COPSE_EVENT_FAILED, .error = COPSE_ERR_TRANSPORT};
		if (p->state == FREE)
			continue;
		copse_endpoint_cancel(r->ep, p->up, now);
		upstream_failed(r, p, &end, now);
	}
}

void relay_line(struct relay *r, const struct copse_peer *sensor, copse_ms now)
{
	if (r->up)
		line_lost(r, now);
	r->up = sensor != NULL;
	if (sensor)
		r->sensor = *sensor;
}

/* ---- making ---- */

struct relay *relay_new(const struct relay_config *config, struct copse_endpoint *ep)
{
	static const uint16_t understood[] = {COPSE_OPTION_BLOCK1, COPSE_OPTION_BLOCK2};
	struct relay *r = copse_mem_new(1, sizeof(*r));

	COPSE_ASSERT(config->passes_max > 0 && config->frame_max >= 64);
	if (!r)
		return NULL;
	r->latest_cap = config->frame_max;
	r->pass = copse_mem_new(config->passes_max, sizeof(*r->pass));
	r->latest = copse_mem_new(config->passes_max, r->latest_cap);
	if (!r->pass || !r->latest) {
		relay_free(r);
		return NULL;
	}
	for (unsigned i = 0; i < config->passes_max; i++)
		r->pass[i].latest = r->latest + i * r->latest_cap;
	r->config = *config;
	r->ep = ep;
	copse_endpoint_understands(ep, understood, sizeof(understood) / sizeof(understood[0]));
	copse_endpoint_forwards(ep, true);
	return r;
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	copse_mem_free(r->pass);
	copse_mem_free(r->latest);
	copse_mem_free(r);
}

const struct relay_counters *relay_counters(const struct relay *r)
{
	return &r->counters;
}

unsigned relay_pending(const struct relay *r)
{
	return (unsigned)(r->used - r->observers);
}

unsigned relay_observers(const struct relay *r)
{
	return r->observers;
}
