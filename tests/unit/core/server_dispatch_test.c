/* The tree of resources, dispatch, answers at once and later, checks of what a request asks for.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/core/server_bench.h"

static void say_path(const struct copse_request *rq, struct copse_response *rs)
{
	char text[100];
	const size_t len = copse_request_path(rq, text, sizeof text);
	snprintf(text + len, sizeof text - len, " %s", (const char *)rq->resource->user);
	copse_response_text(rs, text);
}

#define SAYS(p, name)                                                                                        \
	{                                                                                                    \
		.path = (p), .get = say_path, .user = (void *)(uintptr_t)(name)                              \
	}

static const struct copse_resource tree[] = {
    SAYS("", "root"),
    SAYS("a", "a"),
    SAYS("a/b", "ab"),
    SAYS("a/*/c", "star"),
    SAYS("a/b/c/d", "abcd"),
    SAYS("store/**", "store"),
    SAYS("store/*/x", "storex"),
};

static void paths(void **state)
{
	(void)state;
	static const struct {
		const char *path, *body;
	} cases[] = {
	    {"", " root"},
	    {"a", "/a a"},
	    {"a/b", "/a/b ab"},
	    {"a/b/c", "/a/b/c star"}, /* literal as far as it goes, then back */
	    {"a/b/c/d", "/a/b/c/d abcd"},
	    {"a/x/c", "/a/x/c star"},
	    {"store", "/store store"},
	    {"store/1/x", "/store/1/x storex"},
	    {"store/1/y", "/store/1/y store"},
	    {"store/1/x/z", "/store/1/x/z store"},
	    {"a/c", NULL},
	    {"a/b/c/d/e", NULL},
	    {"A", NULL},
	    {"*", NULL},
	    {"a/b/", NULL}, /* an empty segment is a segment */
	};
	struct srv *b = srv_default();
	assert_int_equal(copse_server_add_all(b->server, tree, sizeof tree / sizeof *tree), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ask(b, COPSE_CODE_GET, cases[i].path);
		if (i == sizeof cases / sizeof *cases - 1)
			copse_build_raw(&b->rq, COPSE_OPTION_URI_PATH, "", 0);
		assert_true(go(b));
		if (cases[i].body) {
			expect_code(b, CONTENT);
			expect_body(b, cases[i].body);
		} else {
			expect_code(b, NOT_FOUND);
		}
		assert_int_equal(b->rs.type, COPSE_ACK);
		assert_memory_equal(copse_message_token(&b->rs), "t", 1);
	}
	assert_int_equal(copse_server_counters(b->server)->not_found, 5);
	srv_done(b);
}

static void bad_paths(void **state)
{
	(void)state;
	static const char *const bad[] = {"/a", "a/", "a//b", "**/a", "/"};
	struct srv *b = srv_default();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const struct copse_resource r = {.path = bad[i]};
		assert_int_equal(copse_server_add(b->server, &r), COPSE_ERR_ARGUMENT);
	}
	const struct copse_resource none = {.path = NULL};
	assert_int_equal(copse_server_add(b->server, &none), COPSE_ERR_ARGUMENT);
	offer(b, &tree[1]);
	assert_int_equal(copse_server_add(b->server, &tree[1]), COPSE_ERR_ARGUMENT); /* taken */
	srv_done(b);
}

static void nodes_run_out_and_come_back(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.node_cap = 4;
	struct srv *b = srv_new(&c);
	static const struct copse_resource deep = SAYS("a/b/c/d", "deep"), wide = SAYS("a/x", "wide"),
					   other = SAYS("q/r", "other");
	char path[] = "a/b/c/d";
	struct copse_resource copy = deep;
	copy.path = path;
	offer(b, &copy);
	assert_int_equal(copse_server_add(b->server, &wide), COPSE_ERR_NOROOM);
	assert_int_equal(copse_server_add(b->server, &other), COPSE_ERR_NOROOM);
	assert_true(get(b, "a/b/c/d"));
	expect_code(b, CONTENT);
	copse_server_remove(b->server, &copy, b->now);
	assert_true(get(b, "a/b/c/d"));
	expect_code(b, NOT_FOUND);
	/* the path of what is gone is used no more, though another shares its segments */
	offer(b, &copy);
	copse_server_remove(b->server, &copy, b->now);
	offer(b, &wide);
	offer(b, &other);
	memset(path, '?', sizeof path - 1);
	assert_true(get(b, "a/x"));
	expect_code(b, CONTENT);
	copse_server_remove(b->server, &copy, b->now); /* is not offered: no effect */
	srv_done(b);
}

static void shared_segments_survive(void **state)
{
	(void)state;
	struct srv *b = srv_default();
	char path[] = "a/b";
	const struct copse_resource first = SAYS(path, "first");
	static const struct copse_resource second = SAYS("a/b/c", "second");
	offer(b, &first);
	offer(b, &second);
	copse_server_remove(b->server, &first, b->now);
	memset(path, '?', sizeof path - 1);
	assert_true(get(b, "a/b/c"));
	expect_body(b, "/a/b/c second");
	assert_true(get(b, "a/b"));
	expect_code(b, NOT_FOUND);
	srv_done(b);
}

/* ---- methods ---- */

static void say_method(const struct copse_request *rq, struct copse_response *rs)
{
	char text[4];
	snprintf(text, sizeof text, "%u", rq->method);
	copse_response_text(rs, text);
}

static void methods(void **state)
{
	(void)state;
	static const struct copse_resource all = {.path = "all",
						  .get = say_method,
						  .post = say_method,
						  .put = say_method,
						  .delete = say_method,
						  .fetch = say_method,
						  .patch = say_method,
						  .ipatch = say_method};
	static const struct copse_resource one = {.path = "one", .put = say_method};
	static const uint8_t usual[] = {0,
					COPSE_CODE_CONTENT,
					COPSE_CODE_CHANGED,
					COPSE_CODE_CHANGED,
					COPSE_CODE_DELETED,
					COPSE_CODE_CONTENT,
					COPSE_CODE_CHANGED,
					COPSE_CODE_CHANGED};
	struct srv *b = srv_default();
	offer(b, &all);
	offer(b, &one);
	for (uint8_t method = 1; method <= 31; method++) {
		ask(b, method, "all");
		assert_true(go(b));
		assert_int_equal(b->rs.code, method < 8 ? usual[method] : COPSE_CODE_METHOD_NOT_ALLOWED);
		ask(b, method, "one");
		assert_true(go(b));
		assert_int_equal(b->rs.code, method == COPSE_CODE_PUT ? COPSE_CODE_CHANGED
								      : COPSE_CODE_METHOD_NOT_ALLOWED);
	}
	srv_done(b);
}

static void queries(const struct copse_request *rq, struct copse_response *rs)
{
	size_t len;
	const char *v = copse_request_query(rq, "second", &len);
	const char *bare = copse_request_query(rq, "bare", &(size_t){0});
	char text[40];
	size_t seg_len = 0;
	const char *seg = copse_request_segment(rq, 1, &seg_len);
	snprintf(text, sizeof text, "%.*s %s %.*s", v ? (int)len : 4, v ? v : "none", bare ? "bare" : "-",
		 (int)seg_len, seg ? seg : "");
	assert_null(copse_request_segment(rq, 2, &len));
	copse_response_text(rs, text);
}

static void query_parameters(void **state)
{
	(void)state;
	static const struct copse_resource r = {.path = "q/*", .get = queries};
	struct srv *b = srv_default();
	offer(b, &r);
	assert_true(get(b, "q/seg?first=1&second=2&third"));
	expect_body(b, "2 - seg");
	assert_true(get(b, "q/z?secondary=1&bare"));
	expect_body(b, "none bare z");
	assert_true(get(b, "q/x?second=&second=3"));
	expect_body(b, " - x");
	srv_done(b);
}

/* ---- formats, preconditions ---- */

static void say_accept(const struct copse_request *rq, struct copse_response *rs)
{
	char text[12];
	snprintf(text, sizeof text, "%u", (unsigned)rq->accept);
	copse_response_copy(rs, rq->accept, text, strlen(text));
}

static void formats(void **state)
{
	(void)state;
	static const uint16_t offered[] = {COPSE_FORMAT_JSON, COPSE_FORMAT_TEXT, COPSE_FORMATS_END};
	static const uint16_t taken[] = {COPSE_FORMAT_CBOR, COPSE_FORMATS_END};
	static const struct copse_resource r = {
	    .path = "f", .get = say_accept, .put = say_accept, .formats = offered, .takes = taken};
	struct srv *b = srv_default();
	offer(b, &r);
	assert_true(get(b, "f"));
	expect_uint(b, CONTENT_FORMAT, 50);
	ask(b, COPSE_CODE_GET, "f");
	copse_build_uint(&b->rq, COPSE_OPTION_ACCEPT, 0);
	assert_true(go(b));
	expect_uint(b, CONTENT_FORMAT, 0);
	ask(b, COPSE_CODE_GET, "f");
	copse_build_uint(&b->rq, COPSE_OPTION_ACCEPT, 60);
	assert_true(go(b));
	expect_code(b, NOT_ACCEPTABLE);
	for (unsigned format = 0; format < 2; format++) {
		ask(b, COPSE_CODE_PUT, "f");
		copse_build_uint(&b->rq, COPSE_OPTION_CONTENT_FORMAT, format ? 60 : 0);
		assert_true(go_with(b, "x"));
		assert_int_equal(b->rs.code,
				 format ? COPSE_CODE_CHANGED : COPSE_CODE_UNSUPPORTED_CONTENT_FORMAT);
	}
	assert_int_equal(copse_server_counters(b->server)->not_acceptable, 1);
	assert_int_equal(copse_server_counters(b->server)->unsupported_format, 1);
	srv_done(b);
}

/* A thing with a version, which may not exist. */
static struct {
	int version; /* 0: does not exist */
	unsigned calls;
} thing;

static int thing_state(const struct copse_request *rq, uint8_t *etag)
{
	(void)rq;
	etag[0] = 'v';
	etag[1] = (uint8_t)thing.version;
	return thing.version ? 2 : -1;
}

static void thing_get(const struct copse_request *rq, struct copse_response *rs)
{
	uint8_t etag[COPSE_ETAG_MAX];
	const int len = thing_state(rq, etag);
	copse_response_text(rs, "thing");
	copse_response_etag(rs, etag, (size_t)len);
	rs->max_age = 7;
}

static void thing_put(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	rs->code = thing.version ? COPSE_CODE_CHANGED : COPSE_CODE_CREATED;
	thing.version++;
	thing.calls++;
}

static const struct copse_resource thing_resource = {
    .path = "thing", .get = thing_get, .put = thing_put, .post = thing_put, .state = thing_state};

static void put_if(struct srv *b, uint16_t option, const char *etag, uint8_t code)
{
	ask(b, COPSE_CODE_PUT, "thing");
	copse_build_option(&b->rq, option, etag, strlen(etag));
	assert_true(go_with(b, "new"));
	assert_int_equal(b->rs.code, code);
}

static void preconditions(void **state)
{
	(void)state;
	struct srv *b = srv_default();
	offer(b, &thing_resource);
	thing.version = 0;
	thing.calls = 0;
	put_if(b, COPSE_OPTION_IF_MATCH, "", COPSE_CODE_PRECONDITION_FAILED); /* does not exist */
	put_if(b, COPSE_OPTION_IF_NONE_MATCH, "", COPSE_CODE_CREATED);
	put_if(b, COPSE_OPTION_IF_NONE_MATCH, "", COPSE_CODE_PRECONDITION_FAILED);
	put_if(b, COPSE_OPTION_IF_MATCH, "", COPSE_CODE_CHANGED);
	put_if(b, COPSE_OPTION_IF_MATCH, "v\1", COPSE_CODE_PRECONDITION_FAILED);
	put_if(b, COPSE_OPTION_IF_MATCH, "v\2", COPSE_CODE_CHANGED);
	ask(b, COPSE_CODE_PUT, "thing"); /* any of several */
	copse_build_option(&b->rq, COPSE_OPTION_IF_MATCH, "v\1", 2);
	copse_build_option(&b->rq, COPSE_OPTION_IF_MATCH, "v\3", 2);
	assert_true(go(b));
	expect_code(b, CHANGED);
	assert_int_equal(thing.calls, 4); /* none of the failed ones came to the handler */
	assert_int_equal(copse_server_counters(b->server)->precondition_failed, 3);
	srv_done(b);
}

static void resource_without_state_exists(void **state)
{
	(void)state;
	static const struct copse_resource plain = {.path = "thing", .put = thing_put};
	struct srv *b = srv_default();
	offer(b, &plain);
	thing.version = 1;
	put_if(b, COPSE_OPTION_IF_MATCH, "", COPSE_CODE_CHANGED);
	put_if(b, COPSE_OPTION_IF_MATCH, "v", COPSE_CODE_PRECONDITION_FAILED);
	put_if(b, COPSE_OPTION_IF_NONE_MATCH, "", COPSE_CODE_PRECONDITION_FAILED);
	srv_done(b);
}

static void validation(void **state)
{
	(void)state;
	struct srv *b = srv_default();
	offer(b, &thing_resource);
	thing.version = 5;
	for (unsigned i = 0; i < 6; i++) {
		ask(b, COPSE_CODE_GET, "thing");
		for (unsigned k = 0; k < i; k++)
			copse_build_option(&b->rq, COPSE_OPTION_ETAG, k == i - 1 ? "v\5" : "v\1", 2);
		assert_true(go(b));
		/* the first four of them are compared */
		if (i >= 1 && i <= 4) {
			expect_code(b, VALID);
			assert_int_equal(b->rs.payload_len, 0);
			expect_no(b, CONTENT_FORMAT);
		} else {
			expect_code(b, CONTENT);
			expect_body(b, "thing");
		}
		expect_uint(b, MAX_AGE, 7);
		const struct copse_option *o = copse_message_option(&b->rs, COPSE_OPTION_ETAG);
		assert_non_null(o);
		assert_true(copse_option_is(&b->rs, o, "v\5", 2));
	}
	assert_int_equal(copse_server_counters(b->server)->valid, 4);
	srv_done(b);
}

/* ---- responses ---- */

static void locate(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	rs->code = COPSE_CODE_CREATED;
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_QUERY, "first=1");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "location1");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "location2");
	copse_response_text(rs, "made");
	copse_response_etag(rs, "e", 1);
}

static void too_much(const struct copse_request *rq, struct copse_response *rs)
{
	static const char big[2000];
	(void)rq;
	copse_response_copy(rs, COPSE_FORMAT_OCTETS, big, sizeof big);
}

static void bad_option(const struct copse_request *rq, struct copse_response *rs)
{
	static const char long_segment[300];
	(void)rq;
	copse_response_option(rs, COPSE_OPTION_LOCATION_PATH, long_segment, sizeof long_segment);
	copse_response_text(rs, "never seen");
}

static void problem(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_text(rs, "dropped");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "dropped");
	copse_response_problem(rs, COPSE_CODE_CONFLICT, "Busy", "the valve is moving");
}

static void slow_down(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_too_many(rs, 30);
}

static const struct copse_resource talkers[] = {
    {.path = "locate", .post = locate},    {.path = "too-much", .get = too_much},
    {.path = "option", .get = bad_option}, {.path = "problem", .get = problem},
    {.path = "slow", .get = slow_down},
};

static void responses(void **state)
{
	(void)state;
	struct srv *b = srv_default();
	assert_int_equal(copse_server_add_all(b->server, talkers, 5), 0);
	ask(b, COPSE_CODE_POST, "locate");
	assert_true(go(b));
	expect_code(b, CREATED);
	expect_body(b, "made");
	expect_uint(b, CONTENT_FORMAT, 0);
	const struct copse_option *o = copse_message_option(&b->rs, COPSE_OPTION_LOCATION_PATH);
	assert_true(o && copse_option_is(&b->rs, o, "location1", 9));
	o = copse_message_option_next(&b->rs, o);
	assert_true(o && copse_option_is(&b->rs, o, "location2", 9));
	assert_non_null(copse_message_option(&b->rs, COPSE_OPTION_ETAG));
	assert_true(get(b, "too-much"));
	expect_code(b, INTERNAL_SERVER_ERROR);
	assert_true(get(b, "option"));
	expect_code(b, INTERNAL_SERVER_ERROR);
	assert_int_equal(copse_server_counters(b->server)->overflowed, 2);
	assert_true(get(b, "slow"));
	assert_int_equal(b->rs.code, COPSE_CODE(4, 29));
	expect_uint(b, MAX_AGE, 30);
	srv_done(b);
}

static void problem_details(void **state)
{
	(void)state;
	/* {-1: "Busy", -2: "the valve is moving"}, RFC 9290 §2 */
	static const uint8_t cbor[] = "\xa2"
				      "\x20"
				      "\x64"
				      "Busy"
				      "\x21"
				      "\x73"
				      "the valve is moving";
	struct srv *b = srv_default();
	assert_int_equal(copse_server_add_all(b->server, talkers, 5), 0);
	assert_true(get(b, "problem"));
	expect_code(b, CONFLICT);
	expect_uint(b, CONTENT_FORMAT, 257);
	expect_no(b, LOCATION_PATH);
	assert_int_equal(b->rs.payload_len, sizeof cbor - 1);
	assert_memory_equal(copse_message_payload(&b->rs), cbor, sizeof cbor - 1);
	srv_done(b);
}

/* ---- deferred ---- */

static copse_handle waiting[20], last_exchange;
static unsigned waiting_n;

static void later(const struct copse_request *rq, struct copse_response *rs)
{
	copse_response_text(rs, "never seen");
	const copse_handle h = copse_request_defer(rq);
	last_exchange = rq->exchange;
	assert_true(h == copse_request_defer(rq)); /* twice is once */
	if (h)
		waiting[waiting_n++] = h;
	else
		copse_response_error(rs, 0, NULL);
}

static const struct copse_resource later_resource = {.path = "later", .get = later, .post = later};

static void reply_text(struct srv *b, copse_handle h, const char *text, int result)
{
	struct copse_response rs;
	assert_int_equal(copse_server_reply(b->server, h, &rs), 0);
	copse_response_text(&rs, text);
	assert_int_equal(copse_server_reply_send(b->server, h, &rs, b->now), result);
}

static void deferred(void **state)
{
	(void)state;
	struct srv *b = srv_default();
	struct copse_response rs;
	offer(b, &later_resource);
	waiting_n = 0;
	assert_false(get(b, "later"));
	at(b, b->now + 600);
	assert_true(next(b)); /* the empty acknowledgement */
	assert_int_equal(b->rs.code, 0);
	assert_int_equal(b->rs.type, COPSE_ACK);
	at(b, b->now + 60000);
	reply_text(b, waiting[0], "at last", 0);
	assert_true(next(b));
	assert_int_equal(b->rs.type, COPSE_CON);
	expect_code(b, CONTENT);
	expect_body(b, "at last");
	assert_memory_equal(copse_message_token(&b->rs), "t", 1);
	reply_empty(b, COPSE_ACK);
	assert_int_equal(copse_server_reply(b->server, waiting[0], &rs), COPSE_ERR_GONE);
	/* soon enough to travel in the acknowledgement; NON */
	assert_false(get(b, "later"));
	reply_text(b, waiting[1], "soon", 0);
	assert_true(next(b));
	assert_int_equal(b->rs.type, COPSE_ACK);
	b->type = COPSE_NON;
	assert_false(get(b, "later"));
	reply_text(b, waiting[2], "non", 0);
	assert_true(next(b));
	assert_int_equal(b->rs.type, COPSE_NON);
	/* never */
	assert_false(get(b, "later"));
	copse_server_reply_drop(b->server, waiting[3], b->now);
	assert_int_equal(copse_server_reply(b->server, waiting[3], &rs), COPSE_ERR_GONE);
	copse_server_reply_drop(b->server, waiting[3], b->now);
	assert_false(next(b));
	srv_done(b);
}

static void deferred_out_of_order_and_full(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.deferred_cap = 3;
	struct srv *b = srv_new(&c);
	offer(b, &later_resource);
	waiting_n = 0;
	for (uint8_t i = 0; i < 3; i++) {
		b->from = srv_peer(i);
		assert_false(get(b, "later"));
	}
	b->from = srv_peer(9);
	assert_true(get(b, "later")); /* no room: 5.03, the server's own */
	expect_code(b, SERVICE_UNAVAILABLE);
	assert_int_equal(copse_server_counters(b->server)->refused_deferred, 2); /* the handler asks twice */
	static const uint8_t order[] = {1, 2, 0};
	for (unsigned i = 0; i < 3; i++) {
		char text[2] = {(char)('0' + order[i]), 0};
		reply_text(b, waiting[order[i]], text, 0);
		assert_true(next(b));
		expect_body(b, text);
		assert_int_equal(b->to.key[2], order[i]);
	}
	assert_false(get(b, "later"));
	assert_int_equal(waiting_n, 4);
	srv_done(b);
}

static void no_room_for_an_answer(void **state)
{
	(void)state;
	struct copse_config below = srv_endpoint_config();
	below.chunk_cap = 4;
	const struct copse_server_config c = srv_config();
	struct srv *b = srv_new_on(&c, &below);
	offer(b, &later_resource);
	waiting_n = 0;
	assert_false(get(b, "later"));
	char big[400];
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	reply_text(b, waiting[0], big, COPSE_ERR_NOROOM);
	reply_text(b, waiting[0], "small", 0); /* nothing is lost: again */
	assert_true(next(b));
	expect_body(b, "small");
	assert_int_equal(copse_server_counters(b->server)->unsent, 1);
	srv_done(b);
}

static void forgotten_by_the_endpoint(void **state)
{
	(void)state;
	struct srv *b = srv_default();
	struct copse_response rs;
	offer(b, &later_resource);
	waiting_n = 0;
	assert_false(get(b, "later"));
	/* somebody answered past the server */
	assert_int_equal(copse_endpoint_ignore(b->ep, last_exchange, b->now), 0);
	assert_true(next(b));
	reply_text(b, waiting[0], "x", COPSE_ERR_GONE);
	assert_false(next(b));
	assert_int_equal(copse_server_reply(b->server, waiting[0], &rs), COPSE_ERR_GONE);
	assert_int_equal(copse_server_reply(b->server, waiting[0] + 1, &rs), COPSE_ERR_GONE);
	assert_int_equal(copse_server_reply(b->server, 0, &rs), COPSE_ERR_GONE);
	srv_done(b);
}

/* ---- who is not answered ---- */

static void no_response(void **state)
{
	(void)state;
	static const struct {
		uint8_t value;
		bool ok, missing; /* answered */
	} cases[] = {
	    {0, true, true}, {2, false, true}, {8, true, false}, {16, true, true}, {26, false, false}};
	struct srv *b = srv_default();
	offer(b, &tree[1]);
	b->type = COPSE_NON;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (unsigned missing = 0; missing < 2; missing++) {
			ask(b, COPSE_CODE_GET, missing ? "nothing" : "a");
			copse_build_uint(&b->rq, COPSE_OPTION_NO_RESPONSE, cases[i].value);
			assert_int_equal(go(b), missing ? cases[i].missing : cases[i].ok);
		}
	}
	b->type = COPSE_CON; /* acknowledged all the same */
	ask(b, COPSE_CODE_GET, "a");
	copse_build_uint(&b->rq, COPSE_OPTION_NO_RESPONSE, 26);
	assert_true(go(b));
	assert_int_equal(b->rs.code, 0);
	assert_int_equal(b->rs.type, COPSE_ACK);
	assert_int_equal(copse_server_counters(b->server)->suppressed, 5);
	srv_done(b);
}

static void multicast(void **state)
{
	(void)state;
	static const struct copse_resource open = {.path = "open",
						   .get = say_path,
						   .user = (void *)(uintptr_t) "open",
						   .flags = COPSE_RESOURCE_MULTICAST};
	static const char *const silent[] = {"nothing", "a", ".well-known/core?rt=nothing"};
	struct srv *b = srv_default();
	offer(b, &open);
	offer(b, &tree[1]);
	b->type = COPSE_NON;
	b->from.flags = COPSE_PEER_MULTICAST;
	for (size_t i = 0; i < 3; i++) {
		assert_false(get(b, silent[i]));
		at(b, b->now + 6000);
		assert_false(next(b));
	}
	ask(b, COPSE_CODE_PUT, "open"); /* 4.05 to nobody */
	assert_false(go(b));
	at(b, b->now + 6000);
	assert_false(next(b));
	ask(b, COPSE_CODE_PUT, "open"); /* but whoever asks for errors gets them */
	copse_build_uint(&b->rq, COPSE_OPTION_NO_RESPONSE, 0);
	assert_false(go(b));
	at(b, b->now + 6000);
	assert_true(next(b));
	expect_code(b, METHOD_NOT_ALLOWED);
	assert_false(get(b, "open"));
	at(b, b->now + 6000); /* the leisure is over */
	assert_true(next(b));
	assert_int_equal(b->rs.type, COPSE_NON);
	expect_body(b, "/open open");
	srv_done(b);
}

static void not_mine(void **state)
{
	(void)state;
	struct srv *b = srv_default();
	int user;
	const struct copse_peer p = srv_peer(1);
	struct copse_event e = {.kind = COPSE_EVENT_ACKED, .user = &user, .peer = &p};
	assert_int_equal(copse_server_take(b->server, &e, b->now), COPSE_ERR_UNMATCHED);
	e.kind = COPSE_EVENT_RESPONSE;
	assert_int_equal(copse_server_take(b->server, &e, b->now), COPSE_ERR_UNMATCHED);
	const uint8_t rst[] = {0x70, 0, 1, 2};
	assert_int_equal(copse_message_parse(&b->rs, rst, sizeof rst), 0);
	e = (struct copse_event){.kind = COPSE_EVENT_RESET, .peer = &p, .message = &b->rs};
	assert_int_equal(copse_server_take(b->server, &e, b->now), COPSE_ERR_UNMATCHED);
	srv_done(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths),
	    cmocka_unit_test(bad_paths),
	    cmocka_unit_test(nodes_run_out_and_come_back),
	    cmocka_unit_test(shared_segments_survive),
	    cmocka_unit_test(methods),
	    cmocka_unit_test(query_parameters),
	    cmocka_unit_test(formats),
	    cmocka_unit_test(preconditions),
	    cmocka_unit_test(resource_without_state_exists),
	    cmocka_unit_test(validation),
	    cmocka_unit_test(responses),
	    cmocka_unit_test(problem_details),
	    cmocka_unit_test(deferred),
	    cmocka_unit_test(deferred_out_of_order_and_full),
	    cmocka_unit_test(no_room_for_an_answer),
	    cmocka_unit_test(forgotten_by_the_endpoint),
	    cmocka_unit_test(no_response),
	    cmocka_unit_test(multicast),
	    cmocka_unit_test(not_mine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
