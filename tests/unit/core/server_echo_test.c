/* Echo (RFC 9175): unverified addresses get little, what is to be fresh is.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/core/server_bench.h"

static unsigned calls;
static size_t answer_len;
static copse_handle waiting;

static void answer(const struct copse_request *rq, struct copse_response *rs)
{
	static const uint8_t bytes[1000] = {'x'};
	(void)rq;
	calls++;
	copse_response_copy(rs, COPSE_FORMAT_OCTETS, bytes, answer_len);
}

static void later(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	waiting = copse_request_defer(rq);
}

static void refuse(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	calls++;
	copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE,
			     "a sentence that is longer than what may be said");
	rs->max_age = 9;
}

static void log_in(const struct copse_request *rq, struct copse_response *rs)
{
	answer(rq, rs);
	rs->code = COPSE_CODE_CREATED;
	copse_server_verified(rq->server, rq->peer, rq->now);
}

static const struct copse_resource resources[] = {
    {.path = "r", .get = answer, .put = answer, .post = answer, .flags = COPSE_RESOURCE_OBSERVABLE},
    {.path = "lock", .get = answer, .put = answer, .flags = COPSE_RESOURCE_FRESH},
    {.path = "later", .get = later},
    {.path = "sensor", .get = answer, .put = answer, .post = refuse, .flags = COPSE_RESOURCE_UNPROVEN},
    {.path = "store", .get = answer, .flags = COPSE_RESOURCE_PROVEN},
    {.path = "login", .post = log_in, .flags = COPSE_RESOURCE_UNPROVEN},
};

static struct srv *guarded(uint8_t amplification)
{
	struct copse_server_config c = srv_config();
	c.amplification = amplification;
	c.verified_cap = 2;
	struct srv *b = srv_new(&c);
	assert_int_equal(copse_server_add_all(b->server, resources, 6), 0);
	calls = 0;
	answer_len = 0;
	return b;
}

static uint8_t echo[40];
static size_t echo_len;

static void keep_echo(const struct srv *b)
{
	const struct copse_option *o = copse_message_option(&b->rs, COPSE_OPTION_ECHO);
	assert_int_equal(b->rs.code, COPSE_CODE_UNAUTHORIZED);
	assert_non_null(o);
	echo_len = o->len;
	memcpy(echo, copse_option_value(&b->rs, o), o->len);
}

static bool ask_echo(struct srv *b, uint8_t code, const char *path)
{
	ask(b, code, path);
	copse_build_option(&b->rq, COPSE_OPTION_ECHO, echo, echo_len);
	return go(b);
}

static void three_times_and_no_more(void **state)
{
	(void)state;
	for (answer_len = 0; answer_len < 60; answer_len++) {
		const size_t len = answer_len;
		struct srv *b = guarded(3);
		answer_len = len;
		assert_true(get(b, "r"));
		const size_t asked = 4 + 1 + 2; /* header, token, Uri-Path "r" */
		assert_true(b->out_len <= 3 * asked);
		if (b->rs.code == COPSE_CODE_CONTENT) {
			assert_int_equal(b->rs.payload_len, len);
			assert_true(len < 20);
		} else {
			keep_echo(b);
			assert_true(len > 5);
			assert_true(ask_echo(b, COPSE_CODE_GET, "r"));
			expect_code(b, CONTENT);
			assert_int_equal(b->rs.payload_len, len);
			assert_true(get(b, "r")); /* once is enough */
			expect_code(b, CONTENT);
			assert_int_equal(copse_server_counters(b->server)->challenged, 1);
			assert_int_equal(copse_server_counters(b->server)->verified, 1);
		}
		srv_done(b);
	}
}

static void no_limit_without(void **state)
{
	(void)state;
	struct srv *b = guarded(0);
	answer_len = 1000;
	assert_true(get(b, "r"));
	expect_code(b, CONTENT);
	srv_done(b);
}

static void too_small_to_be_answered(void **state)
{
	(void)state;
	struct srv *b = guarded(1);
	answer_len = 100;
	assert_true(get(b, "r")); /* not even the challenge fits: acknowledged, no more */
	assert_int_equal(b->rs.code, 0);
	assert_int_equal(b->out_len, 4);
	srv_done(b);
}

static void changes_wait_for_the_proof(void **state)
{
	(void)state;
	struct srv *b = guarded(3);
	ask(b, COPSE_CODE_PUT, "r");
	assert_true(go_with(b, "new"));
	keep_echo(b);
	assert_int_equal(calls, 0);
	ask(b, COPSE_CODE_GET, "r"); /* so does an observation */
	copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, 0);
	assert_true(go(b));
	keep_echo(b);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	ask(b, COPSE_CODE_PUT, "r");
	copse_build_option(&b->rq, COPSE_OPTION_ECHO, echo, echo_len);
	assert_true(go_with(b, "new"));
	expect_code(b, CHANGED);
	assert_int_equal(calls, 1);
	ask(b, COPSE_CODE_GET, "r");
	copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, 0);
	assert_true(go(b));
	assert_int_equal(copse_server_observers(b->server, NULL), 1);
	srv_done(b);
}

static void only_our_fresh_values(void **state)
{
	(void)state;
	struct srv *b = guarded(3);
	answer_len = 100;
	assert_true(get(b, "r"));
	keep_echo(b);
	for (size_t i = 0; i < echo_len; i++) { /* each byte counts */
		echo[i] ^= 1;
		assert_true(ask_echo(b, COPSE_CODE_GET, "r"));
		assert_int_equal(b->rs.code, COPSE_CODE_UNAUTHORIZED);
		echo[i] ^= 1;
	}
	echo_len--;
	assert_true(ask_echo(b, COPSE_CODE_GET, "r"));
	assert_int_equal(b->rs.code, COPSE_CODE_UNAUTHORIZED);
	echo_len++;
	b->from = srv_peer(2); /* another address */
	assert_true(ask_echo(b, COPSE_CODE_GET, "r"));
	assert_int_equal(b->rs.code, COPSE_CODE_UNAUTHORIZED);
	b->from = srv_peer(1);
	at(b, b->now + 60000 + 2048); /* too old */
	assert_true(ask_echo(b, COPSE_CODE_GET, "r"));
	keep_echo(b);
	at(b, b->now + 59000);
	assert_true(ask_echo(b, COPSE_CODE_GET, "r"));
	expect_code(b, CONTENT);
	srv_done(b);
}

static void fresh_resources(void **state)
{
	(void)state;
	struct srv *b = guarded(0);
	ask(b, COPSE_CODE_PUT, "lock");
	assert_true(go(b));
	keep_echo(b);
	assert_int_equal(calls, 0);
	assert_true(get(b, "lock")); /* reading is harmless */
	expect_code(b, CONTENT);
	assert_true(ask_echo(b, COPSE_CODE_PUT, "lock"));
	expect_code(b, CHANGED);
	ask(b, COPSE_CODE_PUT, "lock"); /* each request for itself: a replay later is refused */
	assert_true(go(b));
	assert_int_equal(b->rs.code, COPSE_CODE_UNAUTHORIZED);
	at(b, b->now + 63000);
	assert_true(ask_echo(b, COPSE_CODE_PUT, "lock"));
	assert_int_equal(b->rs.code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(calls, 2);
	srv_done(b);
}

static void the_longest_unused_is_forgotten(void **state)
{
	(void)state;
	struct srv *b = guarded(3);
	answer_len = 100;
	for (uint8_t p = 1; p <= 2; p++) {
		const struct copse_peer peer = srv_peer(p);
		copse_server_verified(b->server, &peer, b->now);
		copse_server_verified(b->server, &peer, b->now);
	}
	b->from = srv_peer(1);
	assert_true(get(b, "r")); /* used */
	expect_code(b, CONTENT);
	const struct copse_peer third = srv_peer(3);
	copse_server_verified(b->server, &third, b->now);
	assert_int_equal(copse_server_counters(b->server)->verified_forgotten, 1);
	static const bool known[] = {true, false, true};
	for (uint8_t p = 1; p <= 3; p++) {
		b->from = srv_peer(p);
		assert_true(get(b, "r"));
		assert_int_equal(b->rs.code, known[p - 1] ? COPSE_CODE_CONTENT : COPSE_CODE_UNAUTHORIZED);
	}
	srv_done(b);
}

/* A separate response may leave five times, after an empty acknowledgement: all of that together counts. */
static void separate_responses(void **state)
{
	(void)state;
	struct srv *b = guarded(3);
	const size_t asked = 4 + 1 + 6;
	size_t sent = 0;
	assert_false(get(b, "later"));
	at(b, b->now + 1000);
	struct copse_response rs;
	assert_int_equal(copse_server_reply(b->server, waiting, &rs), 0);
	copse_response_text(&rs, "ten bytes!");
	assert_int_equal(copse_server_reply_send(b->server, waiting, &rs, b->now), 0);
	for (int i = 0; i < 10; i++) {
		while (next(b))
			sent += b->out_len;
		at(b, b->now + 60000);
	}
	assert_true(sent <= 3 * asked);
	srv_done(b);
}

/* Peers that know no Echo: what they ask for is done, and only the text of the answer is cut. */
static void without_a_proof(void **state)
{
	(void)state;
	struct srv *b = guarded(3);
	answer_len = 100;
	ask(b, COPSE_CODE_PUT, "sensor");
	assert_true(go_with(b, "7"));
	expect_code(b, CHANGED);
	assert_int_equal(calls, 1);
	assert_int_equal(b->rs.payload_len, 0);
	ask(b, COPSE_CODE_POST, "sensor");
	assert_true(go_with(b, "7"));
	expect_code(b, SERVICE_UNAVAILABLE);
	assert_int_equal(b->rs.payload_len, 0);
	assert_int_equal(copse_message_uint(&b->rs, COPSE_OPTION_MAX_AGE, 60), 9);
	assert_int_equal(copse_server_counters(b->server)->shortened, 2);
	assert_true(get(b, "sensor"));
	keep_echo(b);
	assert_int_equal(calls, 3); /* the body was asked for, and turned out too long */
	srv_done(b);
}

static void nothing_without_a_proof(void **state)
{
	(void)state;
	struct srv *b = guarded(3);
	answer_len = 1;
	assert_true(get(b, "store"));
	keep_echo(b);
	assert_int_equal(calls, 0);
	assert_true(ask_echo(b, COPSE_CODE_GET, "store"));
	expect_code(b, CONTENT);
	assert_int_equal(calls, 1);
	srv_done(b);
}

/* A request that is itself the proof gets its whole answer. */
static void proven_by_the_request(void **state)
{
	(void)state;
	struct srv *b = guarded(3);
	answer_len = 100;
	ask(b, COPSE_CODE_POST, "login");
	assert_true(go_with(b, "token"));
	expect_code(b, CREATED);
	assert_int_equal(b->rs.payload_len, 100);
	srv_done(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_proof),
	    cmocka_unit_test(nothing_without_a_proof),
	    cmocka_unit_test(proven_by_the_request),
	    cmocka_unit_test(three_times_and_no_more),
	    cmocka_unit_test(no_limit_without),
	    cmocka_unit_test(too_small_to_be_answered),
	    cmocka_unit_test(changes_wait_for_the_proof),
	    cmocka_unit_test(only_our_fresh_values),
	    cmocka_unit_test(fresh_resources),
	    cmocka_unit_test(the_longest_unused_is_forgotten),
	    cmocka_unit_test(separate_responses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
