/* Block-wise transfer through the proxy, in virtual time: clients that send what the test says, and a device that puts
 * blocks together by endpoint and path alone, as most do; or by Request-Tag as well.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <copse/block.h>

#include "world.h"

#define BODY 1000

/* --- the device --- */

struct body {
	uint8_t bytes[4096];
	uint32_t len, tag;
	bool used;
};

static struct {
	bool knows_tags, refuses_large, answers_long;
	uint8_t szx;
	struct body body[4]; /* by tag; the first one for all where it knows none */
	struct body done[8];
	unsigned done_n, pieces;
	char answer[4096];
	uint32_t answer_len, answer_tag;
	uint32_t last_tag;
	int last_b2; /* Block2 of the last request; -1 without one */
	copse_handle waiting;
	unsigned waiting_n;
	bool later;
} dev;

static struct body *body_of(uint32_t tag)
{
	if (!dev.knows_tags)
		return &dev.body[0];
	for (unsigned i = 0; i < 4; i++)
		if (dev.body[i].used && dev.body[i].tag == tag)
			return &dev.body[i];
	for (unsigned i = 0; i < 4; i++)
		if (!dev.body[i].used) {
			dev.body[i] = (struct body){.tag = tag, .used = true};
			return &dev.body[i];
		}
	fail();
	return NULL;
}

static void say(struct sim_node *node, copse_handle exchange, uint8_t code, const struct copse_block *b1,
		const struct copse_block *b2)
{
	uint8_t buf[1400];
	struct copse_builder b;

	copse_build_rest(&b, buf, sizeof(buf));
	if (b1)
		copse_build_block(&b, COPSE_OPTION_BLOCK1, b1);
	if (b2) {
		uint32_t at = copse_block_offset(b2), size = copse_block_size(b2->szx);
		uint32_t n = dev.answer_len - at < size ? dev.answer_len - at : size;
		copse_build_block(&b, COPSE_OPTION_BLOCK2, b2);
		copse_build_payload(&b, dev.answer + at, n);
	}
	int n = copse_build_finish(&b);
	assert_true(n >= 0);
	const struct copse_out out = {.code = code, .rest = buf, .rest_len = (size_t)n};
	assert_int_equal(copse_endpoint_respond(node->ep, exchange, &out, node->sim->now), 0);
}

static void answer_piece(struct sim_node *node, copse_handle exchange, uint8_t code, uint32_t num,
			 const struct copse_block *b1)
{
	struct copse_block b2 = {.num = num, .more = (num + 1) * 64 < dev.answer_len, .szx = 2};

	say(node, exchange, code, b1, &b2);
}

static void finish(struct sim_node *node, copse_handle exchange, const struct copse_message *m,
		   struct body *body, const struct copse_block *b1)
{
	assert_true(dev.done_n < 8);
	dev.done[dev.done_n++] = *body;
	body->used = false;
	if (m->code != COPSE_CODE_POST || !dev.answers_long) {
		say(node, exchange, COPSE_CODE_CHANGED, b1, NULL);
		return;
	}
	dev.answer_len = body->len;
	dev.answer_tag = copse_message_uint(m, COPSE_OPTION_REQUEST_TAG, 0);
	for (uint32_t i = 0; i < body->len; i++)
		dev.answer[i] = (char)toupper(body->bytes[i]);
	answer_piece(node, exchange, COPSE_CODE_CHANGED, 0, b1);
}

static void take(struct sim_node *node, copse_handle exchange, const struct copse_message *m)
{
	struct copse_block b1 = {0}, b2 = {0};
	struct body whole = {0};
	bool has = copse_block_read(m, COPSE_OPTION_BLOCK1, &b1) > 0;

	dev.last_tag = copse_message_uint(m, COPSE_OPTION_REQUEST_TAG, 0);
	dev.last_b2 = copse_message_option(m, COPSE_OPTION_BLOCK2)
			  ? (int)copse_message_uint(m, COPSE_OPTION_BLOCK2, 0)
			  : -1;
	if (copse_block_read(m, COPSE_OPTION_BLOCK2, &b2) > 0 && b2.num && m->code == COPSE_CODE_POST) {
		assert_int_equal(dev.last_tag, dev.answer_tag);
		answer_piece(node, exchange, COPSE_CODE_CHANGED, b2.num, NULL);
		return;
	}
	if (!has) {
		memcpy(whole.bytes, copse_message_payload(m), m->payload_len);
		whole.len = (uint32_t)m->payload_len;
		finish(node, exchange, m, &whole, NULL);
		return;
	}
	assert_true(copse_block_fits(&b1, m->payload_len));
	if (b1.szx > dev.szx && dev.refuses_large) {
		b1.szx = dev.szx;
		say(node, exchange, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE, &b1, NULL);
		return;
	}
	struct body *body = body_of(dev.last_tag);
	if (!b1.num)
		body->len = 0;
	if (copse_block_offset(&b1) != body->len) {
		body->len = 0;
		say(node, exchange, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE, NULL, NULL);
		return;
	}
	dev.pieces++;
	memcpy(body->bytes + body->len, copse_message_payload(m), m->payload_len);
	body->len += (uint32_t)m->payload_len;
	if (b1.szx > dev.szx)
		b1.szx = dev.szx;
	if (b1.more)
		say(node, exchange, COPSE_CODE_CONTINUE, &b1, NULL);
	else
		finish(node, exchange, m, body, &b1);
}

static struct copse_message late;
static uint8_t late_bytes[2048];

static void device_takes(struct sim_node *node, const struct copse_event *event)
{
	const struct copse_message *m = event->message;

	if (event->kind != COPSE_EVENT_REQUEST)
		return;
	if (dev.later) {
		dev.waiting = event->exchange;
		memcpy(late_bytes, m->bytes, m->len);
		copse_message_parse(&late, late_bytes, m->len);
		dev.waiting_n++;
		copse_endpoint_acknowledge(node->ep, event->exchange, node->sim->now);
		return;
	}
	if (m->code == COPSE_CODE_GET)
		say(node, event->exchange, COPSE_CODE_CONTENT, NULL, NULL);
	else
		take(node, event->exchange, m);
}

static void device_says(void)
{
	struct sim_node *node = &sim.node[DEVICE1];

	assert_int_not_equal(dev.waiting_n, 0);
	dev.waiting_n--;
	if (late.code == COPSE_CODE_GET)
		say(node, dev.waiting, COPSE_CODE_CONTENT, NULL, NULL);
	else
		take(node, dev.waiting, &late);
	run_for(100);
}

/* --- clients --- */

static struct reply {
	unsigned n; /* with a code, repetitions included */
	uint8_t code;
	int num1, size1, more1, num2, more2;
	char text[200], token[9];
	size_t len;
} reply[NODES];

static bool (*world_tap)(struct sim *, const struct sim_node *, const struct copse_peer *, const uint8_t *,
			 size_t);

static bool look(struct sim *s, const struct sim_node *from, const struct copse_peer *to,
		 const uint8_t *bytes, size_t len)
{
	unsigned number = to->key[1];
	struct copse_message m;
	struct copse_block b1 = {0}, b2 = {0};

	if (number != ALICE && number != BOB)
		return world_tap(s, from, to, bytes, len);
	if (client[number].n == SEEN)
		client[number].n = 0;
	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	if (m.code) {
		struct reply *r = &reply[number];
		r->n++;
		r->code = m.code;
		r->num1 = r->num2 = -1;
		if (copse_block_read(&m, COPSE_OPTION_BLOCK1, &b1) > 0)
			r->num1 = (int)b1.num, r->size1 = (int)copse_block_size(b1.szx), r->more1 = b1.more;
		if (copse_block_read(&m, COPSE_OPTION_BLOCK2, &b2) > 0)
			r->num2 = (int)b2.num, r->more2 = b2.more;
		r->len = m.payload_len;
		snprintf(r->text, sizeof(r->text), "%.*s", (int)m.payload_len,
			 (const char *)copse_message_payload(&m));
		snprintf(r->token, sizeof(r->token), "%.*s", m.token_len,
			 (const char *)copse_message_token(&m));
	}
	return world_tap(s, from, to, bytes, len);
}

static uint16_t next_id = 100;
static char next_token[9];

static void begin_block(uint8_t code, const char *uri, const char *tag)
{
	snprintf(next_token, sizeof(next_token), "t%u", next_id);
	begin(COPSE_CON, code, next_id++, next_token);
	add(COPSE_OPTION_PROXY_URI, uri);
	if (tag)
		add(COPSE_OPTION_REQUEST_TAG, tag);
}

static void run_and_ack(unsigned number)
{
	run_for(300);
	acknowledge(number);
	client[number].n = 0;
	run_for(10);
}

/* One block of `text`; the reply is in reply[number]. */
static void send_block(unsigned number, uint8_t code, const char *uri, const char *tag, const uint8_t *body,
		       uint32_t len, uint32_t num, uint8_t szx)
{
	uint32_t size = copse_block_size(szx), at = num * size, n = len - at < size ? len - at : size;
	const struct copse_block b1 = {.num = num, .more = at + n < len, .szx = szx};

	reply[number].n = 0;
	begin_block(code, uri, tag);
	copse_build_block(&request, COPSE_OPTION_BLOCK1, &b1);
	copse_build_payload(&request, body + at, n);
	send_it(number);
	run_and_ack(number);
}

static uint8_t alices[BODY], bobs[BODY];
static const char d1[] = "coap://d1/fw";

static void expect_block(unsigned number, uint8_t code, int num, int size, bool more)
{
	const struct reply *r = &reply[number];

	assert_int_equal(r->n, 1);
	assert_int_equal(r->code, code);
	assert_int_equal(r->num1, num);
	assert_int_equal(r->size1, size);
	assert_int_equal(r->more1, more);
	assert_string_equal(r->token, next_token);
}

static void upload(unsigned number, uint8_t code, const char *tag, const uint8_t *body, uint32_t from,
		   uint32_t to, uint8_t szx)
{
	uint32_t size = copse_block_size(szx), blocks = (BODY + size - 1) / size;

	for (uint32_t num = from; num < to && num < blocks; num++) {
		bool more = num + 1 < blocks;
		send_block(number, code, d1, tag, body, BODY, num, szx);
		expect_block(number, more ? COPSE_CODE_CONTINUE : COPSE_CODE_CHANGED, (int)num, (int)size,
			     more);
	}
}

#define ALL 1000

static void expect_done(unsigned n, const uint8_t *body)
{
	assert_true(n < dev.done_n);
	assert_int_equal(dev.done[n].len, BODY);
	assert_memory_equal(dev.done[n].bytes, body, BODY);
}

static const struct gw_counters *counted(void)
{
	return gw_worker_counters(worker);
}

static void start(const char *class_text, const char *proxy_text)
{
	static const uint16_t blocks[] = {COPSE_OPTION_BLOCK1, COPSE_OPTION_BLOCK2};
	char text[2048];

	snprintf(text, sizeof(text),
		 "name = \"gw\"\nkey \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
		 "sessions {\n max = 4\n}\nmesh {\n ack_timeout = 2\n max_retransmit = 2\n response_timeout "
		 "= 30\n}\n"
		 "proxy {\n requests = 8\n max_message = 1400\n %s\n}\n"
		 "class \"default\" {\n %s\n}\n"
		 "device \"d1\" {\n address = \"127.0.0.3\"\n}\n",
		 proxy_text, class_text);
	memset(&dev, 0, sizeof(dev));
	memset(reply, 0, sizeof(reply));
	dev.szx = 6;
	start_world(text, (struct sim_link){.delay_ms = 5});
	open_session(ALICE, "a");
	open_session(BOB, "b");
	world_tap = sim.tap;
	sim.tap = look;
	sim.node[DEVICE1].handler = device_takes;
	copse_endpoint_understands(sim.node[DEVICE1].ep, blocks, sizeof(blocks) / sizeof(*blocks));
	for (unsigned i = 0; i < BODY; i++) {
		alices[i] = (uint8_t)('a' + i % 26);
		bobs[i] = (uint8_t)('0' + i % 10);
	}
}

static void end(void)
{
	assert_int_equal(requests_used(), 0);
	end_world();
}

/* --- tests --- */

static void test_upload(void **state)
{
	(void)state;
	start("", "");
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 3, 2);
	uint32_t tag = dev.last_tag;
	assert_int_not_equal(tag, 0);
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 3, ALL, 2);
	assert_int_equal(dev.last_tag, tag);
	expect_done(0, alices);
	assert_int_equal(dev.pieces, 16);
	/* and again: another operation, another tag; the client's own is not the device's */
	upload(ALICE, COPSE_CODE_PUT, "mine", bobs, 0, ALL, 6);
	expect_done(1, bobs);
	assert_int_not_equal(dev.last_tag, tag);
	assert_int_equal(counted()->transfers, 1); /* a body in one block is none */
	end();
}

/* The device knows no Request-Tags: the second one waits, with its first block, until the first one is through. */
static void test_two_clients_one_after_the_other(void **state)
{
	(void)state;
	start("", "");
	upload(ALICE, COPSE_CODE_PUT, "same", alices, 0, 5, 2);
	send_block(BOB, COPSE_CODE_PUT, d1, "same", bobs, BODY, 0, 2);
	assert_int_equal(reply[BOB].n, 0); /* acknowledged, not answered */
	assert_int_equal(dev.pieces, 5);
	char bobs_token[9];
	snprintf(bobs_token, sizeof(bobs_token), "%s", next_token);
	/* who does not wait for it gets no further */
	upload(ALICE, COPSE_CODE_PUT, "same", alices, 5, ALL, 2);
	run_and_ack(BOB);
	expect_done(0, alices);
	assert_int_equal(reply[BOB].n, 1);
	assert_int_equal(reply[BOB].code, COPSE_CODE_CONTINUE);
	assert_string_equal(reply[BOB].token, bobs_token);
	upload(BOB, COPSE_CODE_PUT, "same", bobs, 1, ALL, 2);
	expect_done(1, bobs);
	assert_int_equal(counted()->transfers_held, 1);
	end();
}

/* It does: both go on at a time, block by block, whatever the clients call them. */
static void test_two_clients_at_a_time(void **state)
{
	(void)state;
	start("request_tag = true", "");
	dev.knows_tags = true;
	for (unsigned i = 0; i < 16; i++) {
		upload(ALICE, COPSE_CODE_PUT, "same", alices, i, i + 1, 2);
		uint32_t tag = dev.last_tag;
		upload(BOB, COPSE_CODE_PUT, "same", bobs, i, i + 1, 2);
		assert_int_not_equal(dev.last_tag, tag);
	}
	expect_done(0, alices);
	expect_done(1, bobs);
	assert_int_equal(counted()->transfers_held, 0);
	end();
}

/* One client's own two bodies are told apart by its Request-Tags. */
static void test_two_bodies_of_one_client(void **state)
{
	(void)state;
	start("request_tag = true", "");
	dev.knows_tags = true;
	for (unsigned i = 0; i < 16; i++) {
		upload(ALICE, COPSE_CODE_PUT, "one", alices, i, i + 1, 2);
		upload(ALICE, COPSE_CODE_PUT, "two", bobs, i, i + 1, 2);
	}
	expect_done(0, alices);
	expect_done(1, bobs);
	end();
}

/* Each hop has its own size: a block is cut for the device; the client never notices. */
static void test_cut_as_configured(void **state)
{
	(void)state;
	start("block_size = 64", "");
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, ALL, 4);
	expect_done(0, alices);
	assert_int_equal(dev.pieces, 16);
	assert_int_equal(counted()->blocks_cut, 12);
	/* smaller ones of the client's pass as they are */
	upload(BOB, COPSE_CODE_PUT, NULL, bobs, 0, ALL, 0);
	expect_done(1, bobs);
	assert_int_equal(dev.pieces, 16 + 63);
	end();
}

static void test_cut_as_the_device_asks(void **state)
{
	(void)state;
	start("", "");
	dev.szx = 1; /* from the second block on (RFC 7959 §2.3) */
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, ALL, 5);
	expect_done(0, alices);
	assert_int_equal(dev.pieces, 1 + 16);
	dev.refuses_large = true; /* or at once, with 4.13 (§2.9.3) */
	dev.pieces = 0;
	upload(BOB, COPSE_CODE_PUT, NULL, bobs, 0, ALL, 5);
	expect_done(1, bobs);
	assert_int_equal(dev.pieces, 32);
	end();
}

static void test_blocks_that_do_not_fit(void **state)
{
	(void)state;
	start("", "");
	/* from the middle of nowhere: the device is not even asked */
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 3, 2);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	assert_int_equal(dev.pieces, 0);
	/* the same block once more, under another token and ID: the device has it */
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 2, 2);
	unsigned asked = to_devices;
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 1, 2, 2);
	assert_int_equal(to_devices, asked);
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 2, 4, 2);
	/* a gap ends it */
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 6, 2);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 4, 2);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	assert_int_equal(counted()->refused_blocks, 3);
	/* begun anew it passes, and begun anew in the middle too */
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 7, 2);
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, ALL, 2);
	expect_done(0, alices);
	assert_int_equal(counted()->transfers_restarted, 1);
	/* a payload of another length than its block */
	begin_block(COPSE_CODE_PUT, d1, NULL);
	copse_build_uint(&request, COPSE_OPTION_BLOCK1, 0 << 4 | 8 | 2);
	copse_build_payload(&request, "short", 5);
	send_it(ALICE);
	run_and_ack(ALICE);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_BAD_REQUEST);
	end();
}

static void fetch_rest(unsigned number, const char *tag, uint32_t from, uint32_t to, const uint8_t *body)
{
	for (uint32_t num = from; num < to; num++) {
		begin_block(COPSE_CODE_POST, d1, tag);
		copse_build_uint(&request, COPSE_OPTION_BLOCK2, num << 4 | 2);
		reply[number].n = 0;
		send_it(number);
		run_and_ack(number);
		assert_int_equal(reply[number].n, 1);
		assert_int_equal(reply[number].code, COPSE_CODE_CHANGED);
		assert_int_equal(reply[number].num2, (int)num);
		assert_int_equal(reply[number].more2, num < 15);
		for (uint32_t i = 0; i < reply[number].len; i++)
			assert_int_equal(reply[number].text[i], toupper(body[64 * num + i]));
	}
}

/* Block1, and its answer in Block2: under the same Request-Tag to the device, whether the client repeats its own or not. */
static void test_answer_in_blocks(void **state)
{
	(void)state;
	start("", "");
	dev.answers_long = true;
	upload(ALICE, COPSE_CODE_POST, "x", alices, 0, ALL, 2);
	assert_int_equal(reply[ALICE].num2, 0);
	/* another one must not come between: the device keeps one answer for all of the gateway's */
	send_block(BOB, COPSE_CODE_POST, d1, NULL, bobs, BODY, 0, 2);
	assert_int_equal(reply[BOB].n, 0);
	fetch_rest(ALICE, "x", 1, 9, alices);
	fetch_rest(ALICE, NULL, 9, 16, alices);
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].code, COPSE_CODE_CONTINUE);
	upload(BOB, COPSE_CODE_POST, NULL, bobs, 1, ALL, 2);
	fetch_rest(BOB, NULL, 1, 16, bobs);
	/* it is over: nobody can ask for more of it */
	begin_block(COPSE_CODE_POST, d1, NULL);
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, 3 << 4 | 2);
	send_it(BOB);
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	end();
}

static void post(unsigned number, const uint8_t *body)
{
	begin_block(COPSE_CODE_POST, d1, NULL);
	copse_build_payload(&request, body, BODY);
	reply[number].n = 0;
	send_it(number);
	run_and_ack(number);
}

/* The class says what its devices can: of an answer that is made once, no larger blocks are asked for either. */
static void test_answer_as_configured(void **state)
{
	(void)state;
	start("block_size = 64", "");
	dev.answers_long = true;
	begin_block(COPSE_CODE_POST, d1, NULL);
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, 6); /* 0/0/1024 */
	copse_build_payload(&request, alices, BODY);
	reply[ALICE].n = 0;
	send_it(ALICE);
	run_and_ack(ALICE);
	assert_int_equal(dev.last_b2, 2); /* 0/0/64 */
	assert_int_equal(reply[ALICE].code, COPSE_CODE_CHANGED);
	assert_int_equal(reply[ALICE].num2, 0);
	fetch_rest(ALICE, NULL, 1, 8, alices);
	begin_block(COPSE_CODE_POST, d1, NULL);
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, 1 << 4 | 5); /* 1/0/512 */
	reply[ALICE].n = 0;
	send_it(ALICE);
	run_and_ack(ALICE);
	assert_int_equal(dev.last_b2, 8 << 4 | 2); /* the same place */
	assert_int_equal(reply[ALICE].num2, 8);
	fetch_rest(ALICE, NULL, 9, 16, alices);
	end();
}

/* A request in one message whose answer is not. */
static void test_long_answer_to_a_short_request(void **state)
{
	(void)state;
	start("", "");
	dev.answers_long = true;
	post(ALICE, alices);
	assert_int_equal(reply[ALICE].num2, 0);
	post(BOB, bobs);
	assert_int_equal(reply[BOB].n, 0);
	fetch_rest(ALICE, NULL, 1, 16, alices);
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].n, 1);
	assert_int_equal(reply[BOB].num2, 0);
	dev.answer_tag = dev.last_tag;
	fetch_rest(BOB, NULL, 1, 16, bobs);
	/* without anybody in the way nothing is held, and no tag is spent */
	dev.answers_long = false;
	post(BOB, bobs);
	assert_int_equal(reply[BOB].code, COPSE_CODE_CHANGED);
	assert_int_equal(dev.last_tag, 0);
	assert_int_equal(counted()->transfers_held, 1);
	end();
}

/* A client vanishes in the middle: the one that waits gets its turn, and what is left is a count. */
static void test_client_vanishes(void **state)
{
	(void)state;
	start("", "transfer_idle = 20");
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 5, 2);
	run_for(10000);
	send_block(BOB, COPSE_CODE_PUT, d1, NULL, bobs, BODY, 0, 2);
	assert_int_equal(reply[BOB].n, 0);
	assert_true(gw_worker_deadline(worker) <= sim.now + 10000);
	run_for(9000);
	gw_worker_expire(worker, sim.now);
	assert_int_equal(counted()->transfers_expired, 0);
	run_for(1000);
	gw_worker_expire(worker, sim.now);
	assert_int_equal(counted()->transfers_expired, 1);
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].code, COPSE_CODE_CONTINUE);
	upload(BOB, COPSE_CODE_PUT, NULL, bobs, 1, ALL, 2);
	expect_done(0, bobs);
	/* the one that comes back finds nothing */
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 5, 2);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	end();
}

/* A transfer that takes long enough: who waits for it is told so. */
static void test_held_too_long(void **state)
{
	(void)state;
	start("", "transfer_idle = 20");
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 1, 2);
	send_block(BOB, COPSE_CODE_PUT, d1, NULL, bobs, BODY, 0, 2);
	for (unsigned i = 1; i < 5; i++) {
		run_for(5000);
		upload(ALICE, COPSE_CODE_PUT, NULL, alices, i, i + 1, 2);
		gw_worker_expire(worker, sim.now);
	}
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].n, 1);
	assert_int_equal(reply[BOB].code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(counted()->refused_transfers, 1);
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 5, ALL, 2);
	expect_done(0, alices);
	end();
}

static void test_device_dies(void **state)
{
	(void)state;
	start("", "");
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 5, 2);
	sim.node[DEVICE1].dead = true;
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 5, 2);
	assert_int_equal(reply[ALICE].n, 0);
	send_block(BOB, COPSE_CODE_PUT, d1, NULL, bobs, BODY, 0, 2); /* waits for the same */
	for (unsigned i = 0; i < 100 && !reply[ALICE].n; i++)
		run_for(500);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_GATEWAY_TIMEOUT);
	run_and_ack(ALICE);
	sim.node[DEVICE1].dead = false; /* restarted: it knows nothing */
	memset(dev.body, 0, sizeof(dev.body));
	run_for(20000);
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].code, COPSE_CODE_CONTINUE);
	upload(BOB, COPSE_CODE_PUT, NULL, bobs, 1, 5, 2);
	memset(dev.body, 0, sizeof(dev.body)); /* in the time between two blocks: its 4.08 is passed on */
	send_block(BOB, COPSE_CODE_PUT, d1, NULL, bobs, BODY, 5, 2);
	assert_int_equal(reply[BOB].code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	assert_int_equal(counted()->refused_blocks, 0);
	upload(BOB, COPSE_CODE_PUT, NULL, bobs, 0, ALL, 2);
	expect_done(0, bobs);
	end();
}

static void get_thing(unsigned number, const char *uri)
{
	begin_block(COPSE_CODE_GET, uri, NULL);
	reply[number].n = 0;
	send_it(number);
	run_for(100);
}

/* Each block is a request. Another one waits for a block, one; and a block waits for another request: so neither is kept out
 * for long, and more than that get the text as ever. */
static void test_lane(void **state)
{
	static const char text[] = "Request blocked by device serialization requirements, another request is "
				   "enqueued or in process for this device.";

	(void)state;
	start("cache = off", "");
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 2, 2);
	dev.later = true;
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 2, 2); /* on its way */
	get_thing(BOB, "coap://d1/one");
	assert_int_equal(reply[BOB].n, 0); /* waits */
	assert_int_equal(dev.waiting_n, 1);
	get_thing(BOB, "coap://d1/two");
	assert_int_equal(reply[BOB].code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_string_equal(reply[BOB].text, text);
	device_says(); /* the block; now the GET is on its way */
	assert_int_equal(reply[ALICE].code, COPSE_CODE_CONTINUE);
	acknowledge(ALICE);
	assert_int_equal(dev.waiting_n, 1);
	assert_int_equal(late.code, COPSE_CODE_GET);
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 3, 2);
	assert_int_equal(reply[ALICE].n, 0); /* waits: it is not broken off */
	get_thing(BOB, "coap://d1/three");   /* behind a request it is as ever */
	assert_string_equal(reply[BOB].text, text);
	/* nor does a first block wait: nothing is lost with it */
	send_block(BOB, COPSE_CODE_PUT, "coap://d1/other", NULL, bobs, BODY, 0, 2);
	assert_string_equal(reply[BOB].text, text);
	device_says();
	acknowledge(BOB);
	device_says();
	run_and_ack(ALICE);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_CONTINUE);
	dev.later = false;
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 4, ALL, 2);
	expect_done(0, alices);
	assert_int_equal(counted()->refused_lane, 3);
	run_and_ack(BOB);
	end();
}

static void test_table_full(void **state)
{
	char uri[30];

	(void)state;
	start("", "transfers = 2");
	for (unsigned i = 0; i < 3; i++) {
		snprintf(uri, sizeof(uri), "coap://d1/%u", i);
		send_block(ALICE, COPSE_CODE_PUT, uri, NULL, alices, BODY, 0, 2);
		assert_int_equal(reply[ALICE].code,
				 i < 2 ? COPSE_CODE_CONTINUE : COPSE_CODE_SERVICE_UNAVAILABLE);
	}
	assert_int_equal(counted()->refused_transfers, 1);
	gw_worker_expire(worker, sim.now + 60000);
	assert_int_equal(counted()->transfers_expired, 2);
	end();
}

/* Two blocks of one body at a time are one too many; and a body begun anew while a block is under way waits for that. */
static void test_overtaking(void **state)
{
	(void)state;
	start("", "");
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 0, 2, 2);
	dev.later = true;
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 2, 2);
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 3, 2);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_SERVICE_UNAVAILABLE);
	send_block(ALICE, COPSE_CODE_PUT, d1, NULL, alices, BODY, 0, 2);
	assert_int_equal(reply[ALICE].n, 0);
	dev.later = false;
	device_says(); /* of the old one */
	run_and_ack(ALICE);
	run_and_ack(ALICE);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_CONTINUE);
	upload(ALICE, COPSE_CODE_PUT, NULL, alices, 1, ALL, 2);
	expect_done(0, alices);
	end();
}

/* The gateway's own resources in the smallest blocks. */
static void test_local(void **state)
{
	char whole[8192] = "";
	size_t len = 0;
	bool more = true;

	(void)state;
	start("", "");
	for (uint32_t num = 0; more; num++) {
		begin(COPSE_CON, COPSE_CODE_GET, next_id++, "l");
		add(COPSE_OPTION_URI_PATH, "help");
		copse_build_uint(&request, COPSE_OPTION_BLOCK2, num << 4);
		reply[ALICE].n = 0;
		send_it(ALICE);
		run_and_ack(ALICE);
		assert_int_equal(reply[ALICE].code, COPSE_CODE_CONTENT);
		assert_int_equal(reply[ALICE].num2, (int)num);
		assert_in_range(reply[ALICE].len, 1, 16);
		assert_true(len + 17 < sizeof(whole));
		memcpy(whole + len, reply[ALICE].text, reply[ALICE].len);
		len += reply[ALICE].len;
		more = reply[ALICE].more2;
	}
	assert_non_null(strstr(whole, "/sessions"));
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "l");
	add(COPSE_OPTION_URI_PATH, "sessions");
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, 0);
	send_it(ALICE);
	run_and_ack(ALICE);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_CONTENT);
	assert_int_equal(reply[ALICE].len, 16);
	assert_int_equal(reply[ALICE].more2, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_upload),
	    cmocka_unit_test(test_two_clients_one_after_the_other),
	    cmocka_unit_test(test_two_clients_at_a_time),
	    cmocka_unit_test(test_two_bodies_of_one_client),
	    cmocka_unit_test(test_cut_as_configured),
	    cmocka_unit_test(test_cut_as_the_device_asks),
	    cmocka_unit_test(test_blocks_that_do_not_fit),
	    cmocka_unit_test(test_answer_in_blocks),
	    cmocka_unit_test(test_answer_as_configured),
	    cmocka_unit_test(test_long_answer_to_a_short_request),
	    cmocka_unit_test(test_client_vanishes),
	    cmocka_unit_test(test_held_too_long),
	    cmocka_unit_test(test_device_dies),
	    cmocka_unit_test(test_lane),
	    cmocka_unit_test(test_table_full),
	    cmocka_unit_test(test_overtaking),
	    cmocka_unit_test(test_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
