/* Q-Block1 and Q-Block2 on the server's side (RFC 9177), message by message.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/core/server_bench.h"

#include "core/server_state.h"

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

static struct {
	uint32_t len;
	unsigned calls, abandons;
	uint8_t refuse_at;
	bool defer;
	copse_handle deferred;
} sink;

static void take(const struct copse_request *rq, struct copse_response *rs)
{
	sink.calls++;
	assert_int_equal(rq->body_offset, sink.len);
	for (size_t i = 0; i < rq->body_len; i++)
		assert_int_equal(rq->body[i], pattern(rq->body_offset + (uint32_t)i));
	sink.len += (uint32_t)rq->body_len;
	if (sink.calls == sink.refuse_at)
		rs->code = COPSE_CODE_FORBIDDEN;
	if (sink.defer)
		sink.deferred = copse_request_defer(rq);
	if (!rq->body_more)
		copse_response_text(rs, "done");
}

static void abandon(const struct copse_request *rq)
{
	(void)rq;
	sink.abandons++;
}

static unsigned gets, releases;
static uint32_t total = 1000;

static int read_pattern(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	uint32_t n = 0;
	(void)user;
	for (; n < cap && offset + n < total; n++)
		buf[n] = pattern(offset + n);
	return (int)n;
}

static void release(void *user)
{
	(void)user;
	releases++;
}

static void give(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	gets++;
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, total, read_pattern, release, &total);
}

static const struct copse_resource resources[] = {
    {.path = "sink", .put = take, .abandon = abandon, .body_max = 8000},
    {.path = "whole", .put = take, .flags = COPSE_RESOURCE_WHOLE},
    {.path = "source", .get = give, .flags = COPSE_RESOURCE_OBSERVABLE},
};

static struct srv *queued(void)
{
	struct copse_server_config c = srv_config();
	c.max_payloads = 4;
	c.collect_len = 1024;
	c.transfer_cap = 2;
	struct srv *b = srv_new(&c);
	assert_int_equal(copse_server_add_all(b->server, resources, 3), 0);
	memset(&sink, 0, sizeof sink);
	gets = releases = 0;
	total = 1000;
	b->type = COPSE_NON;
	return b;
}

/* Block `num` of an upload of `len` bytes in blocks of 64, under a token of its own. */
static bool put(struct srv *b, const char *path, uint32_t num, uint32_t len)
{
	uint8_t piece[64];
	const uint32_t left = len - num * 64, n = left > 64 ? 64 : left;
	const struct copse_block one = block(num, left > 64, 64);
	for (uint32_t i = 0; i < n; i++)
		piece[i] = pattern(num * 64 + i);
	b->token[0] = (char)('a' + num);
	ask(b, COPSE_CODE_PUT, path);
	copse_build_block(&b->rq, COPSE_OPTION_Q_BLOCK1, &one);
	copse_build_option(&b->rq, COPSE_OPTION_REQUEST_TAG, "t", 1);
	copse_build_payload(&b->rq, piece, n);
	return go(b);
}

/* `list`: a CBOR sequence of small numbers, as it stands in the message. */
static void expect_missing(struct srv *b, const char *list, size_t len)
{
	assert_int_equal(b->rs.code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	expect_uint(b, CONTENT_FORMAT, 272);
	assert_int_equal(b->rs.payload_len, len);
	assert_memory_equal(copse_message_payload(&b->rs), list, len);
}

static void in_order(void **state)
{
	(void)state;
	static const char *const paths[] = {"sink", "whole"};
	for (unsigned i = 0; i < 2; i++) {
		struct srv *b = queued();
		for (uint32_t num = 0; num < 10; num++) {
			const bool answered = put(b, paths[i], num, 600);
			assert_int_equal(answered, num == 3 || num == 7 || num == 9);
			if (num < 9 && answered) { /* a set is complete */
				expect_code(b, CONTINUE);
				expect_block(b, COPSE_OPTION_Q_BLOCK1, num, true, 64);
				assert_int_equal(copse_message_token(&b->rs)[0], 'a' + num);
			}
		}
		expect_code(b, CHANGED);
		expect_body(b, "done");
		assert_int_equal(sink.len, 600);
		assert_int_equal(sink.calls, i == 0 ? 10 : 1);
		/* the answer may get lost: the last payload again is answered again, and not taken for a new body */
		assert_true(put(b, paths[i], 9, 600));
		expect_code(b, CHANGED);
		assert_int_equal(sink.calls, i == 0 ? 10 : 1);
		sink.len = 0;
		assert_false(put(b, paths[i], 0, 600)); /* but the first begins anew */
		assert_int_equal(sink.calls, i == 0 ? 11 : 1);
		at(b, b->now + 300000);
		at(b, b->now + 300000);
		assert_int_equal(b->server->transfer_n, 0);
		srv_done(b);
	}
}

static void any_order(void **state)
{
	(void)state;
	static const uint8_t orders[][8] = {
	    {7, 6, 5, 4, 3, 2, 1, 0}, {3, 0, 2, 1, 7, 4, 6, 5}, {0, 0, 7, 1, 1, 2, 6, 5}};
	for (unsigned i = 0; i < 3; i++) {
		struct srv *b = queued();
		bool done = false;
		for (unsigned k = 0; k < 8; k++)
			done |= put(b, "sink", orders[i][k], 500) && b->rs.code == COPSE_CODE_CHANGED;
		for (uint32_t num = 3; i == 2 && num < 5; num++)
			done |= put(b, "sink", num, 500) && b->rs.code == COPSE_CODE_CHANGED;
		while (next(b))
			done |= b->rs.code == COPSE_CODE_CHANGED;
		assert_true(done);
		assert_int_equal(sink.len, 500);
		srv_done(b);
	}
}

static void gaps_are_named(void **state)
{
	(void)state;
	struct srv *b = queued();
	assert_false(put(b, "sink", 0, 600));
	assert_false(put(b, "sink", 2, 600));
	assert_true(put(b, "sink", 4, 600)); /* the next set begins: what is missing of this one is lost */
	expect_missing(b, "\x01\x03", 2);
	assert_false(put(b, "sink", 5, 600)); /* once a set */
	assert_false(put(b, "sink", 1, 600));
	assert_true(put(b, "sink", 3, 600));
	expect_code(b, CONTINUE);
	assert_false(put(b, "sink", 6, 600));
	const copse_ms begun = b->now;
	for (unsigned round = 0; round < 4;
	     round++) { /* nothing more comes: what is next is named, ever later */
		at(b, copse_server_deadline(b->server));
		assert_true(next(b));
		expect_missing(b, "\x07", 1);
		assert_int_equal(copse_message_token(&b->rs)[0], 'a' + 6);
	}
	while (copse_server_deadline(b->server) != COPSE_NEVER) {
		at(b, copse_server_deadline(b->server));
		assert_false(next(b));
	}
	assert_int_equal(b->now - begun, 247000);
	assert_int_equal(sink.abandons, 1);
	assert_int_equal(b->server->transfer_n, 0);
	assert_int_equal(copse_server_deadline(b->server), COPSE_NEVER);
	srv_done(b);
}

static void too_far_ahead(void **state)
{
	(void)state;
	struct srv *b = queued();
	assert_false(put(b, "sink", 1, 8000));
	assert_true(put(b, "sink", 40, 8000)); /* the ring has room for 16 */
	expect_missing(b, "\x00\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", 15);
	srv_done(b);
}

static void refusals(void **state)
{
	(void)state;
	struct srv *b = queued();
	assert_true(put(b, "sink", 0, 60)); /* one block is no transfer */
	expect_code(b, CHANGED);
	assert_true(put(b, "whole", 16, 1088)); /* longer than can be collected */
	expect_code(b, REQUEST_ENTITY_TOO_LARGE);
	ask(b, COPSE_CODE_PUT, "sink"); /* both kinds at once */
	const struct copse_block one = block(0, false, 64);
	copse_build_block(&b->rq, COPSE_OPTION_Q_BLOCK1, &one);
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK1, &one);
	assert_true(go_with(b, "x"));
	expect_code(b, BAD_REQUEST);
	memset(&sink, 0, sizeof sink);
	sink.refuse_at = 2;
	assert_false(put(b, "sink", 0, 600));
	assert_true(put(b, "sink", 1, 600));
	expect_code(b, FORBIDDEN);
	assert_int_equal(sink.abandons, 0);
	assert_int_equal(b->server->transfer_n, 0);
	/* the last piece may be deferred, the others not */
	memset(&sink, 0, sizeof sink);
	sink.defer = true;
	assert_true(put(b, "sink", 0, 100));
	expect_code(b, SERVICE_UNAVAILABLE);
	memset(&sink, 0, sizeof sink);
	assert_false(put(b, "sink", 0, 100));
	sink.defer = true;
	assert_false(put(b, "sink", 1, 100));
	assert_false(put(b, "sink", 1, 100)); /* again while the handler thinks */
	struct copse_response rs;
	assert_int_equal(copse_server_reply(b->server, sink.deferred, &rs), 0);
	assert_int_equal(copse_server_reply_send(b->server, sink.deferred, &rs, b->now), 0);
	assert_true(next(b));
	expect_code(b, CHANGED);
	at(b, b->now + 300000);
	assert_int_equal(b->server->transfer_n, 0);
	srv_done(b);
}

static bool want(struct srv *b, uint32_t num, bool rest)
{
	const struct copse_block two = block(num, rest, 64);
	ask(b, COPSE_CODE_GET, "source");
	copse_build_block(&b->rq, COPSE_OPTION_Q_BLOCK2, &two);
	return go(b);
}

static void expect_q2(struct srv *b, uint32_t num)
{
	const uint32_t left = total - num * 64, n = left > 64 ? 64 : left;
	expect_code(b, CONTENT);
	expect_block(b, COPSE_OPTION_Q_BLOCK2, num, left > 64, 64);
	expect_no(b, BLOCK2);
	expect_no(b, OBSERVE);
	assert_non_null(copse_message_option(&b->rs, COPSE_OPTION_ETAG)); /* RFC 9177 §4.5 */
	assert_int_equal(b->rs.payload_len, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(copse_message_payload(&b->rs)[i], pattern(num * 64 + i));
}

static void sets_of_blocks(void **state)
{
	(void)state;
	struct srv *b = queued();
	total = 600;
	b->token[0] = 'x';
	assert_true(want(b, 0, true));
	for (uint32_t num = 0; num < 4; num++) {
		expect_q2(b, num);
		assert_int_equal(copse_message_token(&b->rs)[0], 'x');
		assert_int_equal(next(b), num < 3);
	}
	/* "continue" brings the next set at once, under its own token */
	b->token[0] = 'y';
	assert_true(want(b, 4, true));
	for (uint32_t num = 4; num < 8; num++) {
		expect_q2(b, num);
		assert_int_equal(copse_message_token(&b->rs)[0], 'y');
		assert_int_equal(next(b), num < 7);
	}
	/* without it the rest comes after NON_TIMEOUT */
	at(b, b->now + 2000);
	assert_true(next(b));
	expect_q2(b, 8);
	assert_true(next(b));
	expect_q2(b, 9);
	assert_false(next(b));
	assert_int_equal(gets, 1);
	/* what got lost is sent again: the first block, and two others */
	ask(b, COPSE_CODE_GET, "source");
	static const uint32_t lost[] = {0, 3, 9};
	for (unsigned i = 0; i < 3; i++) {
		const struct copse_block two = block(lost[i], false, 64);
		copse_build_raw(&b->rq, COPSE_OPTION_Q_BLOCK2, &(uint8_t){(uint8_t)copse_block_value(&two)},
				1);
	}
	assert_true(go(b));
	for (unsigned i = 0; i < 3; i++) {
		expect_q2(b, lost[i]);
		assert_int_equal(next(b), i < 2);
	}
	assert_int_equal(gets, 1);
	assert_int_equal(releases, 0);
	at(b, b->now + 247000);
	assert_int_equal(releases, 1);
	assert_int_equal(copse_server_deadline(b->server), COPSE_NEVER);
	srv_done(b);
}

static void short_and_single(void **state)
{
	(void)state;
	struct srv *b = queued();
	total = 30;
	assert_true(want(b, 0, true));
	expect_q2(b, 0);
	assert_false(next(b));
	assert_int_equal(releases, 1);
	total = 600;
	assert_true(want(b, 5, false)); /* nothing is kept: the block alone */
	expect_q2(b, 5);
	assert_false(next(b));
	assert_int_equal(b->server->transfer_n, 0);
	ask(b, COPSE_CODE_GET, "source"); /* out of order, or of another size */
	copse_build_raw(&b->rq, COPSE_OPTION_Q_BLOCK2, "\x42", 1);
	copse_build_raw(&b->rq, COPSE_OPTION_Q_BLOCK2, "\x32", 1);
	assert_true(go(b));
	expect_code(b, BAD_REQUEST);
	ask(b, COPSE_CODE_GET, "source");
	copse_build_raw(&b->rq, COPSE_OPTION_Q_BLOCK2, "\x32", 1);
	copse_build_raw(&b->rq, COPSE_OPTION_Q_BLOCK2, "\x43", 1);
	assert_true(go(b));
	expect_code(b, BAD_REQUEST);
	srv_done(b);
}

static void what_is_sent_makes_way(void **state)
{
	(void)state;
	struct srv *b = queued();
	total = 100;
	for (uint8_t p = 1; p <= 5; p++) { /* more peers than transfers */
		b->from = srv_peer(p);
		assert_true(want(b, 0, true));
		expect_q2(b, 0);
		assert_true(next(b));
		expect_q2(b, 1);
	}
	assert_int_equal(releases, 3);
	srv_done(b);
}

/* Each transfer may have a timer, and each view: there is room for all of them. */
static void timers_of_all(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.view_cap = 1;
	c.transfer_cap = 4;
	c.collect_len = 1024;
	struct srv *b = srv_new(&c);
	assert_int_equal(copse_server_add_all(b->server, resources, 3), 0);
	b->type = COPSE_NON;
	for (uint8_t p = 0; p < 4; p++) {
		b->from = srv_peer(p);
		sink.len = 0;
		assert_false(put(b, "whole", 0, 600));
	}
	total = 10;
	for (uint32_t i = 0; i < 6; i++) { /* the one view is taken and given back */
		b->token[0] = 'o';
		ask(b, COPSE_CODE_GET, "source");
		copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, i & 1);
		assert_true(go(b));
		assert_int_equal(copse_server_observers(b->server, NULL), !(i & 1));
		copse_server_changed(b->server, &resources[2], NULL, b->now);
		copse_server_changed(b->server, &resources[2], NULL, b->now);
		while (next_due(b))
			;
	}
	assert_int_equal(b->server->transfer_n, 4);
	at(b, b->now + 300000);
	at(b, b->now + 300000);
	assert_int_equal(b->server->transfer_n, 0);
	srv_done(b);
}

static void unverified_get_one_block(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.amplification = 20;
	struct srv *b = srv_new(&c);
	assert_int_equal(copse_server_add_all(b->server, resources, 3), 0);
	total = 1000;
	b->type = COPSE_NON;
	assert_true(want(b, 0, true));
	expect_q2(b, 0);
	assert_false(next(b));
	at(b, b->now + 10000);
	assert_false(next(b));
	srv_done(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order),         cmocka_unit_test(any_order),
	    cmocka_unit_test(gaps_are_named),   cmocka_unit_test(too_far_ahead),
	    cmocka_unit_test(refusals),         cmocka_unit_test(sets_of_blocks),
	    cmocka_unit_test(short_and_single), cmocka_unit_test(what_is_sent_makes_way),
	    cmocka_unit_test(timers_of_all),    cmocka_unit_test(unverified_get_one_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
