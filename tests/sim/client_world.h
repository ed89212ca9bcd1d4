/* A client of copse/client.h and a peer of its own in a simulated network. The peer keeps one representation, takes and
 * gives it by blocks, and has knobs for everything that a server may do to a client: smaller blocks, a lost beginning, a
 * change between two blocks, a challenge.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLIENT_WORLD_H
#define CLIENT_WORLD_H

#include "sim.h"

#include <copse/block.h>
#include <copse/client.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BODY_CAP 200000
#define NEVER    UINT32_MAX

/* What the peer does besides what it must. */
struct knobs {
	uint8_t szx;        /* largest block that it takes and gives */
	bool each_alone;    /* answers each Block1 with 2.04 (RFC 7959 §2.3) */
	uint32_t forget_at; /* answers 4.08 to this block, `times` */
	uint32_t change_at; /* changes the representation before this block is given, `times` */
	uint32_t times;
	bool hint_413;   /* refuses blocks larger than `szx` with 4.13 and a hint */
	bool refuse_413; /* 4.13 without a hint */
	bool challenge;  /* wants an Echo with everything */
	bool no_etag;
	bool wrong_block; /* gives a block that was not asked for */
	bool short_block; /* gives too few bytes in a block that is not the last */
	uint8_t error;    /* answers this code */
	bool to_upper;    /* a POST is answered with the body in upper case */
	bool silent;
};

struct world {
	struct sim sim;
	struct sim_node *node, *peer;
	struct copse_client *client;
	void *memory;
	struct copse_call call;
	uint8_t options[64];
	copse_handle handle;

	/* what the client was told */
	unsigned responses, failures, progress, notifications;
	int error;
	uint8_t code;
	bool partial;
	uint32_t event_sent, event_size;
	uint8_t got[BODY_CAP];
	uint32_t got_len;
	unsigned begun; /* how often a body began */

	/* what it sends */
	uint8_t body[BODY_CAP];
	uint32_t body_len;
	int read_error, write_error;

	/* the peer */
	struct knobs knobs;
	uint8_t stored[BODY_CAP];
	uint32_t stored_len;
	uint8_t incoming[BODY_CAP];
	uint32_t incoming_len;
	uint32_t tag, tag_len;
	uint8_t version;
	unsigned requests, uploads, challenges, tags_seen;
	uint32_t last_tag;
	bool early_seen;
	unsigned szx_seen;
};

static inline int world_read(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	struct world *w = user;
	size_t n = offset < w->body_len ? w->body_len - offset : 0;

	if (w->read_error)
		return w->read_error;
	n = n < cap ? n : cap;
	memcpy(buf, w->body + offset, n);
	return (int)n;
}

static inline int world_write(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	struct world *w = user;

	if (w->write_error)
		return w->write_error;
	if (offset == 0)
		w->begun++;
	if (offset == 0 && !(w->call.flags & COPSE_CALL_QBLOCK))
		w->got_len = 0;
	if (!(w->call.flags & COPSE_CALL_QBLOCK))
		assert_int_equal(offset, w->got_len);
	assert_true(offset + len <= BODY_CAP);
	memcpy(w->got + offset, bytes, len);
	w->got_len += (uint32_t)len;
	return 0;
}

/* ---- the peer ---- */

static inline int64_t tag_of(const struct copse_message *m)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_REQUEST_TAG);
	return o ? (int64_t)copse_option_uint(m, o) : -1;
}

static inline void reply(struct world *w, const struct copse_event *e, uint8_t code, struct copse_builder *b)
{
	int n = copse_build_finish(b);
	assert_true(n >= 0);
	struct copse_out out = {.code = code, .rest = b->buf, .rest_len = (size_t)n};
	assert_int_equal(copse_endpoint_respond(w->peer->ep, e->exchange, &out, w->sim.now), 0);
}

static inline void add_etag(struct world *w, struct copse_builder *b)
{
	if (!w->knobs.no_etag)
		copse_build_option(b, COPSE_OPTION_ETAG, &w->version, 1);
}

static inline void change(struct world *w)
{
	w->version++;
	for (uint32_t i = 0; i < w->stored_len; i++)
		w->stored[i] ^= 0x20;
}

static inline bool use_knob(struct world *w, uint32_t at, uint32_t num)
{
	if (at != num || w->knobs.times == 0)
		return false;
	w->knobs.times--;
	return true;
}

/* Add the piece of the representation that was asked for. */
static inline void add_piece(struct world *w, const struct copse_message *m, struct copse_builder *b)
{
	struct copse_block block = {.szx = w->knobs.szx};
	bool asked = copse_block_read(m, COPSE_OPTION_BLOCK2, &block) > 0;

	if (asked && block.num == 0)
		w->early_seen = true;
	if (asked)
		w->szx_seen = block.szx;
	if (block.szx > w->knobs.szx)
		assert_int_equal(copse_block_resize(&block, w->knobs.szx), 0);
	if (use_knob(w, w->knobs.change_at, block.num))
		change(w);
	uint32_t offset = copse_block_offset(&block), size = copse_block_size(block.szx);
	uint32_t left = offset < w->stored_len ? w->stored_len - offset : 0;
	block.more = left > size;
	if (block.num == 0)
		copse_build_uint(b, COPSE_OPTION_SIZE2, w->stored_len);
	if (w->knobs.wrong_block && block.num == 1)
		block.num = 2;
	if (asked || block.more)
		copse_build_block(b, COPSE_OPTION_BLOCK2, &block);
	uint32_t n = left < size ? left : size;
	copse_build_payload(b, w->stored + offset, w->knobs.short_block && block.more ? n - 1 : n);
}

static inline void give(struct world *w, const struct copse_event *e, uint8_t code)
{
	uint8_t buf[1200];
	struct copse_builder b;

	copse_build_rest(&b, buf, sizeof(buf));
	add_etag(w, &b);
	add_piece(w, e->message, &b);
	reply(w, e, code, &b);
}

static inline void answer(struct world *w, const struct copse_event *e, uint8_t code,
			  const struct copse_block *block)
{
	uint8_t buf[64];
	struct copse_builder b;

	copse_build_rest(&b, buf, sizeof(buf));
	if (block)
		copse_build_block(&b, COPSE_OPTION_BLOCK1, block);
	reply(w, e, code, &b);
}

static inline void store(struct world *w, const struct copse_event *e, const struct copse_block *block)
{
	w->uploads++;
	w->version++;
	memcpy(w->stored, w->incoming, w->incoming_len);
	w->stored_len = w->incoming_len;
	if (!w->knobs.to_upper) {
		answer(w, e, COPSE_CODE_CHANGED, block);
		return;
	}
	for (uint32_t i = 0; i < w->stored_len; i++)
		w->stored[i] =
		    w->stored[i] >= 'a' && w->stored[i] <= 'z' ? (uint8_t)(w->stored[i] - 32) : w->stored[i];
	uint8_t buf[1200];
	struct copse_builder b;
	copse_build_rest(&b, buf, sizeof(buf));
	if (block)
		copse_build_block(&b, COPSE_OPTION_BLOCK1, block);
	add_etag(w, &b);
	add_piece(w, e->message, &b);
	reply(w, e, COPSE_CODE_CHANGED, &b);
}

static inline void take(struct world *w, const struct copse_event *e)
{
	const struct copse_message *m = e->message;
	struct copse_block block = {.num = 0};
	int64_t tag = tag_of(m);
	bool by_blocks = copse_block_read(m, COPSE_OPTION_BLOCK1, &block) > 0;
	uint32_t offset = copse_block_offset(&block);

	if (by_blocks && (block.num == 0 || tag != (int64_t)w->last_tag)) {
		assert_true(tag >= 0);
		w->tags_seen += tag != (int64_t)w->last_tag;
		w->last_tag = (uint32_t)tag;
	}
	if (w->knobs.refuse_413) {
		answer(w, e, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE, NULL);
		return;
	}
	if (w->knobs.hint_413 &&
	    (by_blocks ? block.szx > w->knobs.szx : m->payload_len > copse_block_size(w->knobs.szx))) {
		block.szx = w->knobs.szx;
		answer(w, e, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE, &block);
		return;
	}
	/* A block seen before is taken once more: its answer may have been lost (RFC 7959 §2.5). */
	if (use_knob(w, w->knobs.forget_at, block.num) || (block.num > 0 && offset > w->incoming_len)) {
		w->incoming_len = 0;
		answer(w, e, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE, by_blocks ? &block : NULL);
		return;
	}
	if (by_blocks)
		assert_true(copse_block_fits(&block, m->payload_len));
	assert_true(offset + m->payload_len <= BODY_CAP);
	memcpy(w->incoming + offset, copse_message_payload(m), m->payload_len);
	w->incoming_len = offset + m->payload_len;
	if (!block.more) {
		store(w, e, by_blocks ? &block : NULL);
		return;
	}
	if (block.num == 0 && block.szx > w->knobs.szx)
		block.szx = w->knobs.szx; /* "smaller ones from now on" */
	if (w->knobs.each_alone)
		block.more = false;
	answer(w, e, w->knobs.each_alone ? COPSE_CODE_CHANGED : COPSE_CODE_CONTINUE, &block);
}

static inline bool challenge(struct world *w, const struct copse_event *e)
{
	uint8_t buf[64];
	struct copse_builder b;
	const struct copse_option *o = copse_message_option(e->message, COPSE_OPTION_ECHO);

	if (!w->knobs.challenge || (o && copse_option_is(e->message, o, "fresh", 5)))
		return false;
	w->challenges++;
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_option(&b, COPSE_OPTION_ECHO, "fresh", 5);
	reply(w, e, COPSE_CODE_UNAUTHORIZED, &b);
	return true;
}

static inline void on_peer(struct sim_node *node, const struct copse_event *e)
{
	struct world *w = node->user;

	if (e->kind != COPSE_EVENT_REQUEST)
		return;
	w->requests++;
	if (w->knobs.silent || challenge(w, e))
		return;
	if (w->knobs.error) {
		answer(w, e, w->knobs.error, NULL);
		return;
	}
	switch (e->message->code) {
	case COPSE_CODE_GET: give(w, e, COPSE_CODE_CONTENT); break;
	case COPSE_CODE_PUT: take(w, e); break;
	default:
		/* The rest of an answer is asked for without a body (RFC 7959 §3.3). */
		if (w->uploads && e->message->payload_len == 0)
			give(w, e, COPSE_CODE_CHANGED);
		else
			take(w, e);
	}
}

/* ---- the client ---- */

static inline void told(struct world *w, const struct copse_client_event *e)
{
	assert_ptr_equal(e->user, w);
	switch (e->kind) {
	case COPSE_CLIENT_RESPONSE: w->responses++; break;
	case COPSE_CLIENT_NOTIFICATION: w->notifications++; break;
	case COPSE_CLIENT_PROGRESS: w->progress++; break;
	case COPSE_CLIENT_FAILED: w->failures++; break;
	}
	w->error = e->error;
	w->partial = e->partial;
	w->event_sent = e->sent;
	w->event_size = e->size;
	if (w->call.flags & COPSE_CALL_QBLOCK)
		w->got_len = e->received; /* pieces come in any order */
	if (e->message)
		w->code = e->message->code;
}

static inline void on_client(struct sim_node *node, const struct copse_event *in)
{
	struct world *w = node->user;
	struct copse_client_event out;

	if (copse_client_take(w->client, in, w->sim.now, &out) > 0)
		told(w, &out);
}

static inline copse_ms sooner(copse_ms a, copse_ms b)
{
	return a < b ? a : b;
}

/* Let time pass until nothing is due, or until `end`; in steps so small that what the client has set since is seen. */
static inline void world_run(struct world *w, copse_ms end)
{
	struct copse_client_event out;
	copse_ms due;

	do {
		sim_run(&w->sim, w->sim.now);
		while (copse_client_expire(w->client, w->sim.now, &out))
			told(w, &out);
		sim_run(&w->sim, w->sim.now);
		due = sooner(copse_endpoint_deadline(w->node->ep), copse_endpoint_deadline(w->peer->ep));
		due = sooner(due, copse_client_deadline(w->client));
		if (w->sim.flights)
			due = sooner(due, w->sim.now + 5);
		due = sooner(due, end);
		if (due != COPSE_NEVER)
			sim_run(&w->sim, due);
	} while (due < end);
}

static inline struct world *world_new(uint64_t seed, struct sim_link link,
				      const struct copse_client_config *config)
{
	struct world *w = calloc(1, sizeof(*w));
	struct copse_client_config c = COPSE_CLIENT_DEFAULT;
	struct copse_config ec = sim_config(seed);

	assert_non_null(w);
	if (config)
		c = *config;
	c.seed = seed * 0x9e3779b97f4a7c15u + 1;
	sim_init(&w->sim, seed, link);
	ec.group[0].probing_rate = 0;
	w->node = sim_add(&w->sim, &ec, on_client, w);
	ec.seed[0] ^= 0x1234567;
	w->peer = sim_add(&w->sim, &ec, on_peer, w);
	static const uint16_t blocks[] = {COPSE_OPTION_BLOCK1, COPSE_OPTION_BLOCK2, COPSE_OPTION_Q_BLOCK1,
					  COPSE_OPTION_Q_BLOCK2};
	copse_endpoint_understands(w->peer->ep, blocks, 4);
	w->memory = malloc(copse_client_bytes(&c));
	assert_non_null(w->memory);
	w->client = copse_client_init(w->memory, copse_client_bytes(&c), &c, w->node->ep);
	w->knobs = (struct knobs){.szx = 6, .forget_at = NEVER, .change_at = NEVER};
	for (uint32_t i = 0; i < BODY_CAP; i++) {
		w->body[i] = (uint8_t)('a' + (i * 7 + i / 26) % 26);
		w->stored[i] = (uint8_t)('a' + (i * 11 + i / 31) % 26);
	}
	return w;
}

static inline void world_free(struct world *w)
{
	sim_free(&w->sim);
	free(w->memory);
	free(w);
}

/* Prepare a call of `code` to the peer with a body of `len` bytes. */
static inline struct copse_call *world_call(struct world *w, uint8_t code, uint32_t len)
{
	static struct copse_peer peer;
	struct copse_builder b;

	peer = sim_peer(w->peer->number);
	copse_build_rest(&b, w->options, sizeof(w->options));
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "data", 4);
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	w->body_len = len;
	w->call = (struct copse_call){.peer = &peer,
				      .code = code,
				      .flags = COPSE_CALL_CON,
				      .szx = 6,
				      .options = w->options,
				      .options_len = (size_t)n,
				      .body_len = len,
				      .read = world_read,
				      .write = world_write,
				      .user = w};
	return &w->call;
}

static inline void world_start(struct world *w)
{
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, &w->handle), 0);
}

/* Carry out what world_call prepared; everything must be given back afterwards. */
static inline void world_do(struct world *w)
{
	struct copse_endpoint_usage usage;

	world_start(w);
	world_run(w, w->sim.now + COPSE_SECONDS(100000));
	assert_int_equal(w->responses + w->failures, 1);
	assert_int_equal(copse_client_calls(w->client), 0);
	copse_endpoint_usage(w->node->ep, &usage);
	assert_int_equal(usage.exchanges, 0);
}

static inline void world_reset(struct world *w)
{
	w->responses = w->failures = w->progress = w->notifications = w->begun = 0;
	w->error = 0;
	w->got_len = 0;
}

#define PERFECT ((struct sim_link){.delay_ms = 10})

#endif
