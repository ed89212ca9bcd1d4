/* Block-wise transfer on the server's side (RFC 7959), message by message.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/core/server_bench.h"

#define BODY_LEN 1280u

/* Byte `i` of every test body. */
static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

static void expect_pattern(const struct srv *b, uint32_t offset, uint32_t len)
{
	assert_int_equal(b->rs.payload_len, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(copse_message_payload(&b->rs)[i], pattern(offset + i));
}

/* ---- answers ---- */

static unsigned reads, releases, gets;

static int read_pattern(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const uint32_t total = *(const uint32_t *)user;
	const uint32_t left = offset < total ? total - offset : 0;
	const uint32_t n = left < cap ? left : (uint32_t)cap;
	reads++;
	for (uint32_t i = 0; i < n; i++)
		buf[i] = pattern(offset + i);
	return (int)n;
}

static int read_fails(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	(void)user;
	(void)buf;
	(void)cap;
	return offset == 0 ? 5 : -1; /* less than asked for though more was promised */
}

static void release_pattern(void *user)
{
	(void)user;
	releases++;
}

static uint32_t total = BODY_LEN;

static void get_known(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	gets++;
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, total, read_pattern, NULL, &total);
	copse_response_etag(rs, "e1", 2);
}

static void get_unknown(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	gets++;
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, COPSE_BODY_UNKNOWN, read_pattern, NULL, &total);
}

static void get_kept(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	gets++;
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, total, read_pattern, release_pattern, &total);
	rs->max_age = 5;
}

static void get_broken(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, total, read_fails, release_pattern, &total);
}

static void get_copy(const struct copse_request *rq, struct copse_response *rs)
{
	static uint8_t bytes[200];
	(void)rq;
	gets++;
	for (uint32_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(pattern(i) + (gets > 100));
	copse_response_copy(rs, COPSE_FORMAT_OCTETS, bytes, sizeof bytes);
}

static void get_refused(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "no room for any block of this");
}

static const struct copse_resource sources[] = {
    {.path = "known", .get = get_known},
    {.path = "unknown", .get = get_unknown},
    {.path = "kept", .get = get_kept, .fetch = get_kept, .post = get_known},
    {.path = "broken", .get = get_broken},
    {.path = "copy", .get = get_copy, .post = get_copy},
    {.path = "refused", .get = get_refused},
};

static struct srv *with_sources(const struct copse_server_config *c)
{
	struct srv *b = srv_new(c);
	assert_int_equal(copse_server_add_all(b->server, sources, sizeof sources / sizeof *sources), 0);
	reads = releases = gets = 0;
	total = BODY_LEN;
	return b;
}

static bool get_block(struct srv *b, const char *path, uint32_t num, uint32_t size)
{
	const struct copse_block two = block(num, false, size);
	ask(b, COPSE_CODE_GET, path);
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
	return go(b);
}

/* Fetch a whole body in blocks of `size`; returns how many there were. */
static uint32_t fetch_all(struct srv *b, const char *path, uint32_t size)
{
	for (uint32_t num = 0;; num++) {
		assert_true(get_block(b, path, num, size));
		expect_code(b, CONTENT);
		const uint32_t left = total - num * size;
		expect_block(b, COPSE_OPTION_BLOCK2, num, left > size, size);
		expect_pattern(b, num * size, left > size ? size : left);
		expect_uint(b, CONTENT_FORMAT, COPSE_FORMAT_OCTETS);
		if (left <= size)
			return num + 1;
	}
}

static void sizes(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	static const uint32_t totals[] = {1, 15, 16, 17, 1023, 1024, 1025, BODY_LEN};
	for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
		for (uint32_t size = 16; size <= 1024; size *= 2) {
			struct srv *b = with_sources(&c);
			total = totals[i];
			const uint32_t blocks = (total + size - 1) / size;
			assert_int_equal(fetch_all(b, "known", size), blocks);
			assert_int_equal(fetch_all(b, "unknown", size), blocks);
			assert_int_equal(fetch_all(b, "kept", size), blocks);
			assert_int_equal(releases, 1);
			srv_done(b);
		}
	}
}

static void server_chooses_blocks(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	struct srv *b = with_sources(&c);
	assert_true(get(b, "known"));
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 1024);
	expect_uint(b, SIZE2, BODY_LEN);
	expect_pattern(b, 0, 1024);
	assert_true(get_block(b, "known", 1, 1024));
	expect_no(b, SIZE2);
	assert_true(get(b, "unknown"));
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 1024);
	expect_no(b, SIZE2);
	total = 1024; /* exactly one block: none is needed */
	assert_true(get(b, "unknown"));
	expect_no(b, BLOCK2);
	expect_pattern(b, 0, 1024);
	assert_true(get(b, "known"));
	expect_no(b, BLOCK2);
	total = 0;
	assert_true(get(b, "known"));
	expect_no(b, BLOCK2);
	assert_int_equal(b->rs.payload_len, 0);
	srv_done(b);
	/* a server with small messages */
	c.message_len = 128;
	b = with_sources(&c);
	assert_true(get(b, "known"));
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 64);
	assert_true(b->out_len <= 128);
	srv_done(b);
	/* one that wants small blocks, and a peer that wants larger ones: the offset counts */
	c = srv_config();
	c.szx = 2;
	b = with_sources(&c);
	assert_true(get_block(b, "known", 1, 256));
	expect_block(b, COPSE_OPTION_BLOCK2, 4, true, 64);
	expect_pattern(b, 256, 64);
	srv_done(b);
}

static void smallest_message(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.message_len = 64;
	struct srv *b = with_sources(&c);
	snprintf(b->token, sizeof b->token, "%s", "12345678");
	assert_true(get(b, "known"));
	expect_code(b, CONTENT);
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 16);
	assert_true(b->out_len <= 64);
	srv_done(b);
}

static void bad_blocks(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sources(&c);
	assert_true(get_block(b, "known", BODY_LEN / 64, 64)); /* just behind the end */
	expect_code(b, BAD_REQUEST);
	assert_true(get_block(b, "known", COPSE_BLOCK_NUM_MAX, 1024));
	expect_code(b, BAD_REQUEST);
	assert_true(get_block(b, "unknown", 500, 64));
	expect_code(b, BAD_REQUEST);
	ask(b, COPSE_CODE_GET, "known"); /* SZX 7 is reserved */
	copse_build_uint(&b->rq, COPSE_OPTION_BLOCK2, 7);
	assert_true(go(b));
	expect_code(b, BAD_REQUEST);
	assert_true(get(b, "broken"));
	expect_code(b, INTERNAL_SERVER_ERROR);
	assert_int_equal(releases, 1);
	srv_done(b);
}

/* An error is told whichever block was asked for; where its own text has that block, it is given. */
static void errors_are_no_bad_blocks(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sources(&c);
	const uint32_t nums[] = {2, 3, 500, COPSE_BLOCK_NUM_MAX};
	for (size_t i = 0; i < sizeof nums / sizeof *nums; i++) {
		assert_true(get_block(b, "refused", nums[i], 16));
		expect_code(b, SERVICE_UNAVAILABLE);
		expect_no(b, BLOCK2);
		expect_body(b, "no room for any block of this");
	}
	assert_true(get_block(b, "refused", 1, 16));
	expect_code(b, SERVICE_UNAVAILABLE);
	expect_block(b, COPSE_OPTION_BLOCK2, 1, false, 16);
	expect_body(b, "block of this");
	srv_done(b);
}

static void kept_answers(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.transfer_cap = 2;
	struct srv *b = with_sources(&c);
	/* two peers at once, one handler call each */
	for (uint32_t num = 0; num < 2; num++) {
		for (uint8_t p = 1; p <= 2; p++) {
			b->from = srv_peer(p);
			assert_true(get_block(b, "kept", num, 512));
			expect_block(b, COPSE_OPTION_BLOCK2, num, true, 512);
			expect_uint(b, MAX_AGE, 5);
		}
	}
	assert_int_equal(gets, 2);
	/* a third has to wait */
	b->from = srv_peer(3);
	assert_true(get_block(b, "kept", 0, 512));
	expect_code(b, SERVICE_UNAVAILABLE);
	assert_int_equal(releases, 1); /* what its answer had brought */
	assert_int_equal(copse_server_counters(b->server)->refused_transfer, 1);
	/* the second ends its transfer: smaller blocks for the rest, as it may */
	b->from = srv_peer(2);
	assert_true(get_block(b, "kept", 4, 256));
	expect_block(b, COPSE_OPTION_BLOCK2, 4, false, 256);
	assert_int_equal(releases, 2);
	/* the first goes away */
	assert_int_equal(copse_server_deadline(b->server), b->now + c.transfer_ms);
	at(b, b->now + c.transfer_ms);
	assert_int_equal(releases, 3);
	assert_int_equal(copse_server_deadline(b->server), COPSE_NEVER);
	b->from = srv_peer(1);
	assert_true(get_block(b, "kept", 2, 512)); /* a GET finds its block all the same */
	expect_pattern(b, 1024, 256);
	/* begun anew: the old one goes */
	assert_true(get_block(b, "kept", 0, 512));
	assert_true(get_block(b, "kept", 0, 512));
	assert_true(get(b, "kept"));
	assert_int_equal(releases, 6);
	srv_done(b);
}

static void versions(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.szx = 2;
	struct srv *b = with_sources(&c);
	uint8_t first[4];
	for (uint32_t num = 0; num < 2; num++) {
		assert_true(get_block(b, "copy", num, 64));
		const struct copse_option *o = copse_message_option(&b->rs, COPSE_OPTION_ETAG);
		assert_true(o && o->len == 4);
		if (num == 0)
			memcpy(first, copse_option_value(&b->rs, o), 4);
		else
			assert_memory_equal(first, copse_option_value(&b->rs, o), 4);
	}
	gets = 200; /* the body changes */
	assert_true(get_block(b, "copy", 2, 64));
	const struct copse_option *o = copse_message_option(&b->rs, COPSE_OPTION_ETAG);
	assert_memory_not_equal(first, copse_option_value(&b->rs, o), 4);
	/* and who has the first block's ETag is told that it is still good */
	ask(b, COPSE_CODE_GET, "copy");
	copse_build_option(&b->rq, COPSE_OPTION_ETAG, copse_option_value(&b->rs, o), 4);
	assert_true(go(b));
	expect_code(b, VALID);
	srv_done(b);
}

/* ---- uploads ---- */

static struct {
	uint32_t len;
	unsigned calls, pieces, abandons;
	uint32_t abandoned_at;
	uint32_t size;
	uint8_t refuse_at; /* piece to answer 4.03 to, from 1 */
	bool defer;
	copse_handle deferred;
	uint8_t first;
} sink;

static void take(const struct copse_request *rq, struct copse_response *rs)
{
	sink.calls++;
	if (rq->body_offset == 0) {
		assert_null(*rq->transfer);
		sink.len = 0;
		sink.pieces = 0;
		sink.first = rq->body_len ? rq->body[0] : 0;
		*rq->transfer = &sink;
	}
	assert_ptr_equal(*rq->transfer, &sink);
	assert_int_equal(rq->body_offset, sink.len);
	for (size_t i = 0; i < rq->body_len; i++)
		assert_int_equal(rq->body[i], pattern(rq->body_offset + (uint32_t)i));
	sink.len += (uint32_t)rq->body_len;
	sink.pieces++;
	sink.size = rq->body_size;
	if (sink.pieces == sink.refuse_at)
		rs->code = COPSE_CODE_FORBIDDEN;
	if (sink.defer)
		sink.deferred = copse_request_defer(rq);
	if (!rq->body_more)
		copse_response_text(rs, "done");
}

static void abandon(const struct copse_request *rq)
{
	assert_ptr_equal(*rq->transfer, &sink);
	sink.abandons++;
	sink.abandoned_at = rq->body_offset;
}

static void echo_body(const struct copse_request *rq, struct copse_response *rs)
{
	sink.calls++;
	assert_int_equal(rq->body_offset, 0);
	assert_false(rq->body_more);
	copse_response_copy(rs, rq->format, rq->body, rq->body_len);
}

static const uint16_t octets[] = {COPSE_FORMAT_OCTETS, COPSE_FORMATS_END};

static bool sink_exists;

static int sink_state(const struct copse_request *rq, uint8_t *etag)
{
	(void)rq;
	(void)etag;
	return sink_exists ? 0 : -1;
}

static const struct copse_resource sinks[] = {
    {.path = "sink",
     .put = take,
     .post = take,
     .abandon = abandon,
     .takes = octets,
     .state = sink_state,
     .body_max = 4096},
    {.path = "whole", .put = echo_body, .fetch = echo_body, .flags = COPSE_RESOURCE_WHOLE},
};

static struct srv *with_sinks(const struct copse_server_config *c)
{
	struct srv *b = srv_new(c);
	assert_int_equal(copse_server_add_all(b->server, sinks, 2), 0);
	memset(&sink, 0, sizeof sink);
	sink_exists = true;
	return b;
}

/* Begin the request of one block of an upload of `len` bytes; go_block sends it. */
static void ask_block(struct srv *b, const char *path, uint32_t num, uint32_t size, uint32_t len)
{
	const uint32_t left = len - num * size;
	const struct copse_block one = block(num, left > size, size);
	ask(b, COPSE_CODE_PUT, path);
	copse_build_uint(&b->rq, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_OCTETS);
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK1, &one);
}

static bool go_block(struct srv *b, uint32_t num, uint32_t size, uint32_t len)
{
	uint8_t piece[1024];
	const uint32_t left = len - num * size, n = left > size ? size : left;
	for (uint32_t i = 0; i < n; i++)
		piece[i] = pattern(num * size + i);
	copse_build_payload(&b->rq, piece, n);
	return go(b);
}

static bool put_block(struct srv *b, const char *path, uint32_t num, uint32_t size, uint32_t len)
{
	ask_block(b, path, num, size, len);
	return go_block(b, num, size, len);
}

static void uploads(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	static const uint32_t totals[] = {1, 16, 17, 1024, 1025, BODY_LEN, 4096};
	for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
		for (uint32_t size = 16; size <= 1024; size *= 4) {
			struct srv *b = with_sinks(&c);
			const uint32_t blocks = (totals[i] + size - 1) / size;
			for (uint32_t num = 0; num < blocks; num++) {
				b->token[0]++; /* never matched by the token */
				assert_true(put_block(b, "sink", num, size, totals[i]));
				const bool more = num + 1 < blocks;
				assert_int_equal(b->rs.code, more ? COPSE_CODE_CONTINUE : COPSE_CODE_CHANGED);
				expect_block(b, COPSE_OPTION_BLOCK1, num, more, size);
			}
			expect_body(b, "done");
			assert_int_equal(sink.len, totals[i]);
			assert_int_equal(sink.pieces, blocks);
			assert_int_equal(sink.abandons, 0);
			const struct copse_server_counters *n = copse_server_counters(b->server);
			assert_int_equal(n->transfers, n->transfers_done);
			assert_int_equal(n->transfers, blocks > 1);
			srv_done(b);
		}
	}
}

static void gaps_and_repeats(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sinks(&c);
	assert_true(put_block(b, "sink", 1, 64, BODY_LEN)); /* no beginning */
	expect_code(b, REQUEST_ENTITY_INCOMPLETE);
	expect_no(b, BLOCK1);
	assert_true(put_block(b, "sink", 0, 64, BODY_LEN));
	assert_true(put_block(b, "sink", 1, 64, BODY_LEN));
	assert_true(put_block(b, "sink", 1, 64, BODY_LEN)); /* its answer was lost */
	expect_code(b, CONTINUE);
	assert_int_equal(sink.pieces, 2);
	assert_true(put_block(b, "sink", 3, 64, BODY_LEN)); /* a gap */
	expect_code(b, REQUEST_ENTITY_INCOMPLETE);
	assert_int_equal(sink.abandons, 1);
	assert_int_equal(sink.abandoned_at, 128);
	assert_true(put_block(b, "sink", 2, 64, BODY_LEN)); /* gone for good */
	expect_code(b, REQUEST_ENTITY_INCOMPLETE);
	/* begun anew in the middle */
	assert_true(put_block(b, "sink", 0, 64, BODY_LEN));
	assert_true(put_block(b, "sink", 0, 64, BODY_LEN));
	assert_int_equal(sink.abandons, 2);
	/* another format */
	ask(b, COPSE_CODE_PUT, "sink");
	const struct copse_block one = block(1, true, 64);
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK1, &one);
	assert_true(go_block(b, 1, 64, BODY_LEN));
	expect_code(b, REQUEST_ENTITY_INCOMPLETE);
	assert_int_equal(sink.abandons, 3);
	assert_int_equal(copse_server_counters(b->server)->incomplete, 4);
	/* a size that says one thing and a payload that is another */
	ask_block(b, "sink", 0, 64, BODY_LEN);
	assert_true(go_with(b, "short"));
	expect_code(b, BAD_REQUEST);
	srv_done(b);
}

static void blocks_shrink(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.szx = 2;
	struct srv *b = with_sinks(&c);
	assert_true(put_block(b, "sink", 0, 256, 512));
	expect_code(b, CONTINUE);
	expect_block(b, COPSE_OPTION_BLOCK1, 0, true, 64); /* smaller ones, please */
	for (uint32_t num = 4; num < 8; num++)
		assert_true(put_block(b, "sink", num, 64, 512));
	expect_code(b, CHANGED);
	assert_int_equal(sink.len, 512);
	srv_done(b);
}

static void too_large(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sinks(&c);
	ask_block(b, "sink", 0, 1024, 5000); /* said beforehand */
	copse_build_uint(&b->rq, COPSE_OPTION_SIZE1, 4097);
	assert_true(go_block(b, 0, 1024, 5000));
	expect_code(b, REQUEST_ENTITY_TOO_LARGE);
	expect_uint(b, SIZE1, 4096);
	assert_int_equal(sink.calls, 0);
	for (uint32_t num = 0; num < 4; num++) /* or found out */
		assert_true(put_block(b, "sink", num, 1024, 4097));
	expect_code(b, CONTINUE);
	assert_true(put_block(b, "sink", 4, 1024, 4097));
	expect_code(b, REQUEST_ENTITY_TOO_LARGE);
	assert_int_equal(sink.abandons, 1);
	/* collected ones are bound by the buffer */
	for (uint32_t num = 0; num < 4; num++)
		assert_true(put_block(b, "whole", num, 1024, 4097));
	assert_true(put_block(b, "whole", 4, 1024, 4097));
	expect_code(b, REQUEST_ENTITY_TOO_LARGE);
	expect_uint(b, SIZE1, 4096);
	/* in one piece */
	const struct copse_resource small = {.path = "small", .put = take, .body_max = 4};
	offer(b, &small);
	ask(b, COPSE_CODE_PUT, "small");
	assert_true(go_with(b, "12345"));
	expect_code(b, REQUEST_ENTITY_TOO_LARGE);
	expect_uint(b, SIZE1, 4);
	assert_int_equal(copse_server_counters(b->server)->too_large, 4);
	srv_done(b);
}

static void first_piece_decides(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sinks(&c);
	const struct copse_block one = block(0, true, 64);
	ask(b, COPSE_CODE_PUT, "sink");
	copse_build_uint(&b->rq, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_TEXT);
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK1, &one);
	assert_true(go_block(b, 0, 64, 128));
	expect_code(b, UNSUPPORTED_CONTENT_FORMAT);
	ask_block(b, "sink", 0, 64, 128);
	copse_build_option(&b->rq, COPSE_OPTION_IF_NONE_MATCH, "", 0);
	assert_true(go_block(b, 0, 64, 128));
	expect_code(b, PRECONDITION_FAILED);
	assert_int_equal(sink.calls, 0);
	/* a condition that the upload itself makes untrue holds to its end */
	sink_exists = false;
	for (uint32_t num = 0; num < 2; num++) {
		ask_block(b, "sink", num, 64, 128);
		copse_build_option(&b->rq, COPSE_OPTION_IF_NONE_MATCH, "", 0);
		assert_true(go_block(b, num, 64, 128));
		sink_exists = true;
	}
	expect_code(b, CHANGED);
	/* refused by the handler in the middle: it knows, so it is not told */
	sink.refuse_at = 2;
	assert_true(put_block(b, "sink", 0, 64, BODY_LEN));
	assert_true(put_block(b, "sink", 1, 64, BODY_LEN));
	expect_code(b, FORBIDDEN);
	assert_int_equal(sink.abandons, 0);
	assert_true(put_block(b, "sink", 2, 64, BODY_LEN));
	expect_code(b, REQUEST_ENTITY_INCOMPLETE);
	srv_done(b);
}

static void transfers_do_not_mix(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sinks(&c);
	/* one peer, one path: four uploads told apart by Request-Tag (none, empty, two) and two by the query, all mixed */
	static const char *const tags[] = {NULL, "", "a", "b"};
	for (uint32_t num = 0; num < 3; num++) {
		for (unsigned i = 0; i < 6; i++) {
			const char *path = i < 4 ? "whole" : i == 4 ? "whole?q=1" : "whole?q=2";
			ask_block(b, path, num, 16, 40 + i);
			if (i < 4 && tags[i])
				copse_build_option(&b->rq, COPSE_OPTION_REQUEST_TAG, tags[i],
						   strlen(tags[i]));
			assert_true(go_block(b, num, 16, 40 + i));
			assert_int_equal(b->rs.code, num < 2 ? COPSE_CODE_CONTINUE : COPSE_CODE_CHANGED);
			if (num == 2)
				expect_pattern(b, 0, 40 + i);
		}
	}
	assert_int_equal(sink.calls, 6);
	srv_done(b);
}

static void uploads_time_out(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.transfer_cap = 2;
	struct srv *b = with_sinks(&c);
	assert_true(put_block(b, "sink", 0, 64, 128));
	b->from = srv_peer(2);
	assert_true(put_block(b, "whole", 0, 64, 128));
	b->from = srv_peer(3);
	assert_true(put_block(b, "whole", 0, 64, 128));
	expect_code(b, SERVICE_UNAVAILABLE);
	at(b, b->now + c.transfer_ms - 1);
	b->from = srv_peer(2);
	assert_true(put_block(b, "whole", 1, 64, 192)); /* alive */
	at(b, b->now + 1);
	assert_int_equal(sink.abandons, 1);
	b->from = srv_peer(3);
	assert_true(put_block(b, "whole", 0, 64, 128));
	expect_code(b, CONTINUE);
	assert_int_equal(copse_server_counters(b->server)->transfers_abandoned, 1);
	copse_server_remove(b->server, &sinks[1], b->now);
	assert_int_equal(copse_server_counters(b->server)->transfers_abandoned, 3);
	assert_int_equal(copse_server_deadline(b->server), COPSE_NEVER);
	srv_done(b);
}

static void deferred_pieces(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sinks(&c);
	sink.defer = true;
	for (uint32_t num = 0; num < 3; num++) {
		struct copse_response rs;
		assert_false(put_block(b, "sink", num, 64, 192));
		at(b, b->now + c.transfer_ms * 2); /* the application may take its time */
		while (next(b))
			;
		assert_int_equal(copse_server_reply(b->server, sink.deferred, &rs), 0);
		assert_int_equal(copse_server_reply_send(b->server, sink.deferred, &rs, b->now), 0);
		assert_true(next(b));
		assert_int_equal(b->rs.type, COPSE_CON);
		assert_int_equal(b->rs.code, num < 2 ? COPSE_CODE_CONTINUE : COPSE_CODE_CHANGED);
		expect_block(b, COPSE_OPTION_BLOCK1, num, num < 2, 64);
		reply_empty(b, COPSE_ACK);
	}
	assert_int_equal(sink.len, 192);
	/* begun anew while the handler thinks: the answer to the old piece is still sent, and changes nothing */
	struct copse_response rs;
	assert_false(put_block(b, "sink", 0, 64, 192));
	const copse_handle old = sink.deferred;
	assert_false(put_block(b, "sink", 0, 64, 192));
	assert_int_equal(sink.abandons, 1);
	for (unsigned i = 0; i < 2; i++) {
		const copse_handle h = i == 0 ? old : sink.deferred;
		assert_int_equal(copse_server_reply(b->server, h, &rs), 0);
		assert_int_equal(copse_server_reply_send(b->server, h, &rs, b->now), 0);
		assert_true(next(b));
		expect_code(b, CONTINUE);
	}
	sink.defer = false;
	assert_true(put_block(b, "sink", 1, 64, 192));
	assert_true(put_block(b, "sink", 2, 64, 192));
	expect_code(b, CHANGED);
	srv_done(b);
}

static copse_handle put_off;

static void post_later(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	put_off = copse_request_defer(rq);
}

/* What was reserved for the further blocks of an answer that the endpoint could not take is there for the next try. */
static void answer_finds_no_room(void **state)
{
	(void)state;
	static const struct copse_resource r = {.path = "later", .post = post_later};
	struct copse_server_config c = srv_config();
	struct copse_config below = srv_endpoint_config();
	below.chunk_cap = 4;
	c.szx = 4;
	c.transfer_cap = 1;
	struct srv *b = srv_new_on(&c, &below);
	struct copse_response rs;
	offer(b, &r);
	ask(b, COPSE_CODE_POST, "later");
	assert_false(go(b));
	const uint8_t body[600] = {0};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(copse_server_reply(b->server, put_off, &rs), 0);
		copse_response_copy(&rs, COPSE_FORMAT_OCTETS, body, sizeof body);
		assert_int_equal(copse_server_reply_send(b->server, put_off, &rs, b->now), COPSE_ERR_NOROOM);
	}
	assert_int_equal(copse_server_reply(b->server, put_off, &rs), 0);
	copse_response_text(&rs, "short");
	assert_int_equal(copse_server_reply_send(b->server, put_off, &rs, b->now), 0);
	const struct copse_server_counters *n = copse_server_counters(b->server);
	assert_int_equal(n->transfers, 1);
	assert_int_equal(n->transfers_done, 1);
	srv_done(b);
}

/* ---- both ways ---- */

static void both_ways(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = with_sinks(&c);
	const uint32_t len = 500;
	for (uint32_t num = 0; num < 8; num++) {
		ask_block(b, "whole", num, 64, len);
		const struct copse_block two = block(0, false, 64);
		copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
		assert_true(go_block(b, num, 64, len));
	}
	expect_code(b, CHANGED);
	expect_block(b, COPSE_OPTION_BLOCK1, 7, false, 64);
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 64);
	expect_pattern(b, 0, 64);
	for (uint32_t num = 1; num < 8; num++) { /* RFC 7959 §2.7: without Block1 and body */
		const struct copse_block two = block(num, false, 64);
		ask(b, COPSE_CODE_PUT, "whole");
		copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
		assert_true(go(b));
		expect_code(b, CHANGED);
		expect_block(b, COPSE_OPTION_BLOCK2, num, num < 7, 64);
		expect_pattern(b, num * 64, num < 7 ? 64 : len - 7 * 64);
	}
	assert_int_equal(sink.calls, 1);
	/* nothing is kept any more: an answer to a method that is not safe cannot be had again */
	const struct copse_block two = block(1, false, 64);
	ask(b, COPSE_CODE_PUT, "whole");
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
	assert_true(go(b));
	expect_code(b, REQUEST_ENTITY_INCOMPLETE);
	srv_done(b);
}

static void answer_of_post(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.szx = 2;
	c.collect_len = 199;
	struct srv *b = with_sources(&c);
	ask(b, COPSE_CODE_POST, "copy"); /* 200 bytes that nobody could keep */
	assert_true(go(b));
	expect_code(b, SERVICE_UNAVAILABLE);
	srv_done(b);
	c.collect_len = 200;
	b = with_sources(&c);
	for (uint32_t num = 0; num < 4; num++) {
		const struct copse_block two = block(num, false, 64);
		ask(b, COPSE_CODE_POST, "copy");
		if (num > 0)
			copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
		assert_true(go(b));
		expect_code(b, CHANGED);
		expect_block(b, COPSE_OPTION_BLOCK2, num, num < 3, 64);
		expect_pattern(b, num * 64, num < 3 ? 64 : 8);
	}
	assert_int_equal(gets, 1);
	srv_done(b);
}

/* The answer to a NON may get lost: the last block can be asked for again, for a while. */
static void last_block_again(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.szx = 2;
	c.transfer_cap = 1;
	struct srv *b = with_sources(&c);
	b->type = COPSE_NON;
	ask(b, COPSE_CODE_POST, "copy");
	assert_true(go(b));
	for (uint32_t i = 0; i < 5; i++) {
		const uint32_t num = i < 3 ? i + 1 : 3;
		const struct copse_block two = block(num, false, 64);
		ask(b, COPSE_CODE_POST, "copy");
		copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
		assert_true(go(b));
		expect_code(b, CHANGED);
		expect_block(b, COPSE_OPTION_BLOCK2, num, num < 3, 64);
		at(b, b->now + 93000);
	}
	assert_int_equal(gets, 1);
	/* who needs the room gets it */
	b->from = srv_peer(2);
	assert_true(get(b, "kept"));
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 64);
	at(b, b->now + c.transfer_ms);
	assert_int_equal(releases, 1);
	srv_done(b);
}

/* A server that ends gives back what handlers keep for transfers under way. */
static void end_gives_back(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	struct srv *b = with_sources(&c);
	for (uint8_t p = 1; p <= 2; p++) {
		b->from = srv_peer(p);
		assert_true(get_block(b, "kept", 0, 512));
	}
	assert_int_equal(releases, 0);
	copse_server_end(b->server);
	assert_int_equal(releases, 2);
	copse_server_end(b->server);
	assert_int_equal(releases, 2);
	srv_done(b);
}

static void fetch_in_blocks(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.szx = 0;
	struct srv *b = with_sinks(&c);
	static const char question[] = "a question of forty bytes, give or take";
	for (uint32_t num = 0; num < 3; num++) { /* a FETCH that repeats its body may ask for any block */
		const struct copse_block two = block(num, false, 16);
		ask(b, COPSE_CODE_FETCH, "whole");
		copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
		assert_true(go_with(b, question));
		expect_code(b, CONTENT);
		assert_memory_equal(copse_message_payload(&b->rs), question + num * 16, b->rs.payload_len);
	}
	const struct copse_block two = block(1, false, 16);
	ask(b, COPSE_CODE_FETCH, "whole"); /* without, nothing is known of the question */
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
	assert_true(go(b));
	expect_code(b, REQUEST_ENTITY_INCOMPLETE);
	srv_done(b);
}

static void nothing_to_keep_with(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.transfer_cap = 0;
	struct srv *b = with_sinks(&c);
	assert_true(put_block(b, "sink", 0, 64, 128));
	expect_code(b, SERVICE_UNAVAILABLE);
	assert_true(put_block(b, "sink", 0, 64, 64)); /* one block is no transfer */
	expect_code(b, CHANGED);
	expect_block(b, COPSE_OPTION_BLOCK1, 0, false, 64);
	srv_done(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(server_chooses_blocks),
	    cmocka_unit_test(smallest_message),
	    cmocka_unit_test(bad_blocks),
	    cmocka_unit_test(errors_are_no_bad_blocks),
	    cmocka_unit_test(kept_answers),
	    cmocka_unit_test(end_gives_back),
	    cmocka_unit_test(versions),
	    cmocka_unit_test(uploads),
	    cmocka_unit_test(gaps_and_repeats),
	    cmocka_unit_test(blocks_shrink),
	    cmocka_unit_test(too_large),
	    cmocka_unit_test(first_piece_decides),
	    cmocka_unit_test(transfers_do_not_mix),
	    cmocka_unit_test(uploads_time_out),
	    cmocka_unit_test(deferred_pieces),
	    cmocka_unit_test(both_ways),
	    cmocka_unit_test(answer_finds_no_room),
	    cmocka_unit_test(answer_of_post),
	    cmocka_unit_test(last_block_again),
	    cmocka_unit_test(fetch_in_blocks),
	    cmocka_unit_test(nothing_to_keep_with),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
