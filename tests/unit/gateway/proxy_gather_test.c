/* Bodies that clients read block by block through the proxy, in virtual time: each hop with blocks of its own size.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <copse/block.h>

#include "world.h"

#define BODY 3000
#define NONE 9 /* no Block2 in the request */

/* --- the device --- */

static struct {
	uint8_t szx;	/* of its blocks, at most */
	bool stubborn;	/* it sends that size whatever is asked for */
	bool no_etag;
	char etag[3];
	uint8_t body[BODY];
	uint32_t len;
	int max_age;
	unsigned gets, change_at; /* at the so-manieth request it has another body */
	unsigned fail_at;
	bool ever_new; /* another body with each request */
	bool silent;
	unsigned named; /* requests with an ETag */
	uint8_t asked_szx;
} dev;

static void set_body(char name)
{
	snprintf(dev.etag, sizeof(dev.etag), "%c!", name);
	for (uint32_t i = 0; i < BODY; i++)
		dev.body[i] = (uint8_t)(name + (i / 16 * 7 + i) % 13);
}

static void say(struct sim_node *node, copse_handle exchange, uint8_t code, struct copse_builder *b,
		uint8_t *buf)
{
	const struct copse_out out = {.code = code, .rest = buf, .rest_len = (size_t)copse_build_finish(b)};

	assert_int_equal(copse_endpoint_respond(node->ep, exchange, &out, node->sim->now), 0);
}

static bool names(const struct copse_message *m)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ETAG);

	dev.named += o != NULL;
	for (; o; o = copse_message_option_next(m, o))
		if (copse_option_is(m, o, dev.etag, 2))
			return true;
	return false;
}

static void device_gives(struct sim_node *node, const struct copse_event *event)
{
	const struct copse_message *m = event->message;
	struct copse_block b2 = {.szx = dev.szx};
	uint8_t buf[1400];
	struct copse_builder b;

	if (event->kind != COPSE_EVENT_REQUEST)
		return;
	dev.gets++;
	if (dev.silent) {
		copse_endpoint_ignore(node->ep, event->exchange, node->sim->now);
		return;
	}
	if (dev.gets == dev.change_at || dev.ever_new)
		set_body((char)('A' + dev.gets % 26));
	bool has = copse_block_read(m, COPSE_OPTION_BLOCK2, &b2) > 0;
	uint32_t at = copse_block_offset(&b2);
	dev.asked_szx = has ? b2.szx : NONE;
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, (uint32_t)dev.max_age);
	if (!dev.no_etag)
		copse_build_option(&b, COPSE_OPTION_ETAG, dev.etag, 2);
	if (m->code != COPSE_CODE_GET) {
		set_body('w');
		say(node, event->exchange, COPSE_CODE_CHANGED, &b, buf);
		return;
	}
	if (dev.gets == dev.fail_at || at > dev.len) {
		say(node, event->exchange, COPSE_CODE_INTERNAL_SERVER_ERROR, &b, buf);
		return;
	}
	if (!at && names(m)) {
		say(node, event->exchange, COPSE_CODE_VALID, &b, buf);
		return;
	}
	if (dev.stubborn || b2.szx > dev.szx)
		b2.szx = dev.szx;
	b2.num = at / copse_block_size(b2.szx);
	at = copse_block_offset(&b2);
	uint32_t n = dev.len - at < copse_block_size(b2.szx) ? dev.len - at : copse_block_size(b2.szx);
	b2.more = at + n < dev.len;
	if (copse_message_uint(m, COPSE_OPTION_OBSERVE, 1) == 0) {
		device[DEVICE1].token_len = m->token_len;
		memcpy(device[DEVICE1].token, copse_message_token(m), m->token_len);
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, 1);
	}
	if (has || b2.more)
		copse_build_block(&b, COPSE_OPTION_BLOCK2, &b2);
	if (copse_message_option(m, COPSE_OPTION_SIZE2))
		copse_build_uint(&b, COPSE_OPTION_SIZE2, dev.len);
	copse_build_raw(&b, EXTRA, "x", 1);
	copse_build_payload(&b, dev.body + at, n);
	say(node, event->exchange, COPSE_CODE_CONTENT, &b, buf);
}

/* --- clients --- */

static struct reply {
	unsigned n;
	uint8_t code;
	bool has, more, extra;
	uint32_t num, size, size2, max_age;
	char etag[9];
	uint8_t bytes[1400];
	size_t len;
} reply[NODES];

static bool (*world_tap)(struct sim *, const struct sim_node *, const struct copse_peer *, const uint8_t *,
			 size_t);

static bool look(struct sim *s, const struct sim_node *from, const struct copse_peer *to,
		 const uint8_t *bytes, size_t len)
{
	const unsigned number = to->key[1];
	struct copse_message m;
	struct copse_block b2 = {0};

	if (number != ALICE && number != BOB)
		return world_tap(s, from, to, bytes, len);
	if (client[number].n == SEEN)
		client[number].n = 0;
	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	if (m.code) {
		struct reply *r = &reply[number];
		const struct copse_option *etag = copse_message_option(&m, COPSE_OPTION_ETAG);
		*r = (struct reply){.n = r->n + 1, .code = m.code};
		r->has = copse_block_read(&m, COPSE_OPTION_BLOCK2, &b2) > 0;
		r->num = b2.num;
		r->size = copse_block_size(b2.szx);
		r->more = b2.more;
		r->size2 = copse_message_uint(&m, COPSE_OPTION_SIZE2, 0);
		r->max_age = copse_message_uint(&m, COPSE_OPTION_MAX_AGE, 60);
		r->extra = copse_message_option(&m, EXTRA) != NULL;
		if (etag)
			memcpy(r->etag, copse_option_value(&m, etag), etag->len);
		r->len = m.payload_len;
		memcpy(r->bytes, copse_message_payload(&m), m.payload_len);
	}
	return world_tap(s, from, to, bytes, len);
}

static uint16_t next_id = 100;
static const char thing[] = "coap://d1/thing";

static void run_and_ack(unsigned number)
{
	for (unsigned i = 0; i < 600 && !reply[number].n; i++)
		run_for(100);
	acknowledge(number);
	client[number].n = 0;
	run_for(10);
}

static void ask_block(unsigned number, uint32_t num, uint8_t szx)
{
	const struct copse_block b2 = {.num = num, .szx = szx};

	reply[number].n = 0;
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "t");
	add(COPSE_OPTION_PROXY_URI, thing);
	if (szx != NONE)
		copse_build_block(&request, COPSE_OPTION_BLOCK2, &b2);
}

static const struct reply *get_block(unsigned number, uint32_t num, uint8_t szx)
{
	ask_block(number, num, szx);
	send_it(number);
	run_and_ack(number);
	return &reply[number];
}

/* Block `num` of the body in this size, as it has to be. */
static void expect(const struct reply *r, uint32_t num, uint8_t szx)
{
	const uint32_t size = copse_block_size(szx), at = num * size,
		       n = dev.len - at < size ? dev.len - at : size;

	assert_int_equal(r->n, 1);
	assert_int_equal(r->code, COPSE_CODE_CONTENT);
	assert_true(r->has);
	assert_int_equal(r->num, num);
	assert_int_equal(r->size, size);
	assert_int_equal(r->len, n);
	assert_memory_equal(r->bytes, dev.body + at, n);
	assert_int_equal(r->more, at + n < dev.len);
	assert_true(r->extra);
	if (!dev.no_etag)
		assert_string_equal(r->etag, dev.etag);
}

static void read_all(unsigned number, uint8_t szx)
{
	for (uint32_t num = 0; num * copse_block_size(szx) < dev.len; num++)
		expect(get_block(number, num, szx), num, szx);
}

static const struct gw_counters *counted(void)
{
	return gw_worker_counters(worker);
}

static void start(const char *class_text, const char *proxy_text)
{
	static const uint16_t blocks[] = {COPSE_OPTION_BLOCK2};
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
	dev.szx = COPSE_BLOCK_SZX_MAX;
	dev.len = BODY;
	dev.max_age = 30;
	set_body('a');
	start_world(text, (struct sim_link){.delay_ms = 5});
	open_session(ALICE, "a");
	open_session(BOB, "b");
	world_tap = sim.tap;
	sim.tap = look;
	sim.node[DEVICE1].handler = device_gives;
	copse_endpoint_understands(sim.node[DEVICE1].ep, blocks, sizeof(blocks) / sizeof(*blocks));
}

static void end(void)
{
	assert_int_equal(requests_used(), 0);
	end_world();
}

/* --- each hop with its own size --- */

/* Every pair of sizes: what the client gets is what it asked for. */
static void test_sizes(void **state)
{
	(void)state;
	for (uint8_t device_szx = 0; device_szx <= COPSE_BLOCK_SZX_MAX; device_szx += 2)
		for (uint8_t szx = 1; szx <= COPSE_BLOCK_SZX_MAX; szx++) {
			start("cache = off", "");
			dev.szx = device_szx;
			dev.len = 1100 + device_szx;
			read_all(ALICE, szx);
			if (device_szx >= szx)
				assert_int_equal(counted()->blocks_gathered, 0);
			end();
		}
}

/* Smaller blocks of the device are put together, each a request in its lane. */
static void test_smaller(void **state)
{
	(void)state;
	start("cache = off", "");
	dev.szx = 2;
	expect(get_block(ALICE, 0, 5), 0, 5);
	assert_int_equal(dev.gets, 8);
	assert_int_equal(counted()->blocks_gathered, 7);
	assert_int_equal(reply[ALICE].max_age, 29); /* of the first piece, which is not the newest */
	expect(get_block(ALICE, 5, 5), 5, 5); /* the last one, 440 bytes in 7 pieces */
	assert_int_equal(dev.gets, 15);
	/* a client that names no size has the device's */
	const struct reply *r = get_block(ALICE, 0, NONE);
	assert_int_equal(r->size, 64);
	assert_true(r->more);
	end();
}

/* A device that sends larger blocks than it was asked for: the client has its part. */
static void test_stubborn(void **state)
{
	(void)state;
	start("cache = off", "");
	dev.szx = 6;
	dev.stubborn = true;
	dev.len = 2500;
	for (uint32_t num = 0; num * 64 < dev.len; num++)
		expect(get_block(BOB, num, 2), num, 2);
	assert_true(counted()->blocks_parted > 0);
	end();
}

/* The class says what its devices are asked for at most. */
static void test_configured(void **state)
{
	(void)state;
	start("cache = off\n block_size = 64", "");
	expect(get_block(ALICE, 1, 6), 1, 6);
	assert_int_equal(dev.asked_szx, 2);
	assert_int_equal(dev.gets, 16);
	expect(get_block(ALICE, 3, 0), 3, 0); /* smaller ones are the client's own wish */
	assert_int_equal(dev.asked_szx, 0);
	end();
}

/* The body changes between two pieces: the block is begun anew, its parts are of one body. */
static void test_changes(void **state)
{
	(void)state;
	start("cache = off", "");
	dev.szx = 2;
	dev.change_at = 4;
	expect(get_block(ALICE, 1, 5), 1, 5);
	assert_int_equal(counted()->gathers_anew, 1);
	dev.ever_new = true;
	assert_int_equal(get_block(ALICE, 1, 5)->code, COPSE_CODE_BAD_GATEWAY);
	assert_int_equal(counted()->gathers_anew, 4);
	assert_int_equal(counted()->device_unfit, 1);
	end();
}

static void test_fails(void **state)
{
	(void)state;
	start("cache = off", "");
	dev.szx = 2;
	dev.fail_at = 3;
	assert_int_equal(get_block(ALICE, 0, 5)->code, COPSE_CODE_INTERNAL_SERVER_ERROR);
	assert_int_equal(reply[ALICE].len, 0);
	dev.silent = true;
	assert_int_equal(get_block(ALICE, 0, 5)->code, COPSE_CODE_GATEWAY_TIMEOUT);
	dev.silent = false;
	expect(get_block(ALICE, 0, 5), 0, 5);
	assert_int_equal(get_block(ALICE, 100, 5)->code, COPSE_CODE_INTERNAL_SERVER_ERROR); /* beyond */
	end();
}

/* Two clients read at a time, in sizes of their own; and more than there are places: who finds none has the device's
 * size. */
static void test_many(void **state)
{
	(void)state;
	start("cache = off\n concurrent = 4", "transfers = 1");
	dev.szx = 2;
	ask_block(ALICE, 0, 6);
	send_it(ALICE);
	ask_block(BOB, 0, 5);
	send_it(BOB);
	run_and_ack(BOB);
	run_and_ack(ALICE);
	expect(&reply[ALICE], 0, 6);
	assert_int_equal(reply[BOB].size, 64);
	assert_int_equal(reply[BOB].len, 64);
	assert_true(reply[BOB].more);
	assert_int_equal(counted()->gathers_full, 1);
	expect(get_block(BOB, 0, 5), 0, 5);
	end();
}

/* In a lane of one, another request goes between two pieces. */
static void test_lane(void **state)
{
	(void)state;
	start("cache = off", "");
	dev.szx = 0;
	ask_block(ALICE, 0, 6);
	send_it(ALICE);
	run_for(50);
	ask_block(BOB, 0, 0);
	send_it(BOB);
	run_and_ack(BOB);
	const unsigned before = dev.gets;
	expect(&reply[BOB], 0, 0);
	run_and_ack(ALICE);
	expect(&reply[ALICE], 0, 6);
	assert_true(dev.gets > before);
	end();
}

static void test_size2(void **state)
{
	(void)state;
	start("cache = off", "");
	dev.szx = 2;
	for (uint8_t szx = 1; szx < 6; szx++) {
		ask_block(ALICE, 0, szx);
		add(COPSE_OPTION_SIZE2, "");
		send_it(ALICE);
		run_and_ack(ALICE);
		expect(&reply[ALICE], 0, szx);
		assert_int_equal(reply[ALICE].size2, BODY);
	}
	end();
}

/* --- the cache --- */

/* What one client has read block by block another one gets without the device, in blocks of any size. */
static void test_cached(void **state)
{
	(void)state;
	for (uint8_t szx = 0; szx <= COPSE_BLOCK_SZX_MAX; szx++) {
		start("", "");
		dev.szx = 3;
		read_all(ALICE, 3);
		const unsigned gets = dev.gets;
		run_for(5000);
		read_all(BOB, szx);
		assert_int_equal(dev.gets, gets);
		assert_in_range(reply[BOB].max_age, 1, 25); /* of what came first */
		end();
	}
}

/* Gathered blocks are stored piece by piece. */
static void test_gathered_is_cached(void **state)
{
	(void)state;
	start("", "");
	dev.szx = 1;
	read_all(ALICE, 6);
	const unsigned gets = dev.gets;
	read_all(BOB, 2);
	const struct reply *r = get_block(BOB, 0, NONE); /* without a size: as the device has it */
	assert_int_equal(r->size, 32);
	assert_true(r->more);
	assert_memory_equal(r->bytes, dev.body, 32);
	assert_int_equal(dev.gets, gets);
	end();
}

/* A whole answer is there for who wants it in blocks. */
static void test_whole_in_parts(void **state)
{
	(void)state;
	start("", "");
	dev.len = 1000;
	assert_int_equal(get_block(ALICE, 0, NONE)->len, 1000);
	assert_false(reply[ALICE].has);
	read_all(BOB, 2);
	read_all(BOB, 6);
	assert_int_equal(dev.gets, 1);
	assert_int_equal(get_block(BOB, 100, 2)->code,
			 COPSE_CODE_INTERNAL_SERVER_ERROR); /* the device's to say */
	assert_int_equal(dev.gets, 2);
	end();
}

/* A part that is not there is asked for as the others are stored: then it serves its neighbours too. */
static void test_asked_as_stored(void **state)
{
	(void)state;
	start("", "");
	dev.szx = 5;
	expect(get_block(ALICE, 0, 5), 0, 5);
	expect(get_block(BOB, 16, 1), 16, 1); /* the beginning of block 1 */
	assert_int_equal(dev.asked_szx, 5);
	for (uint32_t num = 17; num < 32; num++)
		expect(get_block(BOB, num, 1), num, 1);
	assert_int_equal(dev.gets, 2);
	expect(get_block(ALICE, 1, 5), 1, 5);
	assert_int_equal(dev.gets, 2);
	end();
}

/* A part of another representation ends what is stored: whoever begins anew has the new one, all of it. */
static void test_never_mixed(void **state)
{
	(void)state;
	start("", "");
	expect(get_block(ALICE, 0, 4), 0, 4);
	expect(get_block(ALICE, 1, 4), 1, 4);
	set_body('n');
	assert_string_equal(get_block(ALICE, 1, 4)->etag, "a!"); /* fresh, and old */
	expect(get_block(ALICE, 2, 4), 2, 4);			 /* new: the client notices, and begins anew */
	assert_int_equal(counted()->cache_changed, 1);
	read_all(ALICE, 4);
	read_all(BOB, 4);
	set_body('a'); /* the old one comes back: what is left of it may be used, it is the same */
	run_for(31000);
	read_all(ALICE, 4);
	end();
}

/* Without ETags nobody could tell what belongs together: nothing is stored. */
static void test_no_etag(void **state)
{
	(void)state;
	start("", "");
	dev.no_etag = true;
	read_all(ALICE, 4);
	const unsigned gets = dev.gets;
	read_all(BOB, 4);
	assert_int_equal(dev.gets, 2 * gets);
	end();
}

/* When it is stale the first block is asked whether it is still good, and speaks for all. */
static void test_validated(void **state)
{
	(void)state;
	start("", "");
	read_all(ALICE, 4);
	const unsigned gets = dev.gets;
	run_for(31000);
	read_all(BOB, 4);
	assert_int_equal(dev.gets, gets + 1);
	assert_int_equal(dev.named, 1);
	run_for(31000);
	set_body('n');
	read_all(BOB, 4);
	assert_int_equal(dev.gets, 2 * gets + 1);
	end();
}

/* A client that has it gets 2.03; a further block is not asked about. */
static void test_valid(void **state)
{
	(void)state;
	start("", "");
	read_all(ALICE, 4);
	ask_block(BOB, 0, 4);
	add(COPSE_OPTION_ETAG, "a!");
	send_it(BOB);
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].code, COPSE_CODE_VALID);
	const unsigned gets = dev.gets;
	ask_block(BOB, 1, 4);
	add(COPSE_OPTION_ETAG, "a!");
	send_it(BOB);
	run_and_ack(BOB);
	expect(&reply[BOB], 1, 4);
	assert_int_equal(dev.gets, gets + 1);
	end();
}

/* A change through the gateway makes all of it stale. */
static void test_changed(void **state)
{
	(void)state;
	start("", "");
	read_all(ALICE, 4);
	const unsigned gets = dev.gets;
	begin(COPSE_CON, COPSE_CODE_PUT, next_id++, "p");
	add(COPSE_OPTION_PROXY_URI, thing);
	send_it(ALICE);
	reply[ALICE].n = 0;
	run_and_ack(ALICE);
	assert_int_equal(reply[ALICE].code, COPSE_CODE_CHANGED);
	read_all(BOB, 4); /* of the new body: every block is asked for */
	assert_int_equal(dev.gets, 2 * gets + 1);
	assert_int_equal(counted()->cache_validations, 1);
	end();
}

/* The newest word on how long it is fresh holds, for all of it. */
static void test_shortest_max_age(void **state)
{
	(void)state;
	start("", "");
	expect(get_block(ALICE, 0, 4), 0, 4);
	dev.max_age = 5;
	expect(get_block(ALICE, 1, 4), 1, 4);
	assert_in_range(get_block(BOB, 0, 4)->max_age, 4, 5);
	run_for(5000);
	dev.max_age = 30;
	expect(get_block(BOB, 0, 4), 0, 4);
	assert_int_equal(counted()->cache_validated, 1);
	assert_in_range(get_block(BOB, 1, 4)->max_age, 28, 30);
	assert_int_equal(dev.gets, 3);
	end();
}

/* The cache is full of pieces: the oldest go, the answers stay right. */
static void test_small_cache(void **state)
{
	(void)state;
	start("", "}\ncache {\n entries = 5\n bytes = 4096");
	for (unsigned i = 0; i < 3; i++) {
		read_all(ALICE, 3);
		read_all(BOB, 5);
	}
	end();
}

/* A notification is the first block of a new body: the others are never of the one before. */
static void test_observed(void **state)
{
	(void)state;
	start("", "");
	read_all(ALICE, 4);
	reply[BOB].n = 0;
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, "o");
	add(COPSE_OPTION_OBSERVE, "");
	add(COPSE_OPTION_PROXY_URI, thing);
	copse_build_block(&request, COPSE_OPTION_BLOCK2, &(struct copse_block){.szx = 4});
	send_it(BOB);
	run_and_ack(BOB);
	expect(&reply[BOB], 0, 4);
	unsigned gets = dev.gets;
	expect(get_block(BOB, 1, 4), 1, 4); /* of the same: from the cache */
	assert_int_equal(dev.gets, gets);
	set_body('n');
	char text[257] = "";
	memcpy(text, dev.body, 256);
	device[DEVICE1].max_age = 30;
	device[DEVICE1].extra_number = COPSE_OPTION_BLOCK2;
	device[DEVICE1].extra = "\x0c";
	reply[BOB].n = 0;
	device_notify(DEVICE1, COPSE_NON, COPSE_CODE_CONTENT, 2, text); /* it names no ETag */
	run_and_ack(BOB);
	assert_int_equal(reply[BOB].n, 1);
	assert_memory_equal(reply[BOB].bytes, dev.body, 256);
	gets = dev.gets;
	expect(get_block(BOB, 1, 4), 1, 4); /* of the new one */
	assert_int_equal(dev.gets, gets + 1);
	read_all(ALICE, 4);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_smaller),
	    cmocka_unit_test(test_stubborn),
	    cmocka_unit_test(test_configured),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_fails),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_lane),
	    cmocka_unit_test(test_size2),
	    cmocka_unit_test(test_cached),
	    cmocka_unit_test(test_gathered_is_cached),
	    cmocka_unit_test(test_whole_in_parts),
	    cmocka_unit_test(test_asked_as_stored),
	    cmocka_unit_test(test_never_mixed),
	    cmocka_unit_test(test_no_etag),
	    cmocka_unit_test(test_validated),
	    cmocka_unit_test(test_valid),
	    cmocka_unit_test(test_changed),
	    cmocka_unit_test(test_shortest_max_age),
	    cmocka_unit_test(test_small_cache),
	    cmocka_unit_test(test_observed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
