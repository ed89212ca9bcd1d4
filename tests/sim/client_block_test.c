/* The client's block-wise transfers (RFC 7959) against a peer that does everything a peer may do, over good and bad links.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_world.h"

#define HUNDRED_K 100000u

static void ok(struct world *w, uint8_t code)
{
	assert_int_equal(w->responses, 1);
	assert_int_equal(w->failures, 0);
	assert_int_equal(w->code, code);
}

static void failed(struct world *w, int error)
{
	assert_int_equal(w->failures, 1);
	assert_int_equal(w->error, error);
}

static void is_stored(struct world *w)
{
	assert_int_equal(w->stored_len, w->body_len);
	assert_memory_equal(w->stored, w->body, w->body_len);
}

static void is_got(struct world *w)
{
	assert_int_equal(w->got_len, w->stored_len);
	assert_memory_equal(w->got, w->stored, w->stored_len);
	assert_false(w->partial);
}

static void every_length_goes_both_ways(void **state)
{
	static const uint32_t lengths[] = {0,    1,    15,   16,   17,   31,   32,   33,
					   1023, 1024, 1025, 2047, 2048, 2049, 5000, 16384};
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (uint8_t szx = 0; szx <= 6; szx += 3) {
			struct world *w = world_new(i * 7 + szx, PERFECT, NULL);
			world_call(w, COPSE_CODE_PUT, lengths[i])->szx = szx;
			world_do(w);
			ok(w, COPSE_CODE_CHANGED);
			is_stored(w);
			assert_int_equal(w->event_sent, lengths[i] > copse_block_size(szx) ? lengths[i] : 0);
			world_reset(w);
			world_call(w, COPSE_CODE_GET, 0)->szx = szx;
			world_do(w);
			ok(w, COPSE_CODE_CONTENT);
			is_got(w);
			world_free(w);
		}
	}
}

/* RFC 7959 §2.4: asked for in the first request, the size is kept throughout. */
static void early_negotiation(void **state)
{
	struct world *w = world_new(1, PERFECT, NULL);
	(void)state;
	w->stored_len = 1280;
	world_call(w, COPSE_CODE_GET, 0)->szx = 2;
	w->call.early = true;
	world_do(w);
	ok(w, COPSE_CODE_CONTENT);
	is_got(w);
	assert_true(w->early_seen);
	assert_int_equal(w->requests, 20);
	assert_int_equal(w->progress, 19);
	assert_int_equal(w->event_size, 1280);
	world_free(w);
}

static void peer_wants_smaller_answers(void **state)
{
	struct world *w = world_new(2, PERFECT, NULL);
	(void)state;
	w->stored_len = 3000;
	w->knobs.szx = 3;
	world_call(w, COPSE_CODE_GET, 0);
	world_do(w);
	ok(w, COPSE_CODE_CONTENT);
	is_got(w);
	assert_int_equal(w->requests, 24);
	world_free(w);
}

/* A client that wants smaller blocks than the first piece had says so by asking for them. */
static void client_wants_smaller_answers(void **state)
{
	struct world *w = world_new(3, PERFECT, NULL);
	(void)state;
	w->stored_len = 3000;
	world_call(w, COPSE_CODE_GET, 0)->szx = 4;
	world_do(w);
	ok(w, COPSE_CODE_CONTENT);
	is_got(w);
	assert_int_equal(w->szx_seen, 4);
	assert_int_equal(w->requests, 1 + 8);
	world_free(w);
}

/* RFC 7959 §2.3: the answer to the first block names a smaller size; the second begins where the first ended. */
static void peer_wants_smaller_requests(void **state)
{
	struct world *w = world_new(4, PERFECT, NULL);
	(void)state;
	w->knobs.szx = 2;
	world_call(w, COPSE_CODE_PUT, 5000);
	world_do(w);
	ok(w, COPSE_CODE_CHANGED);
	is_stored(w);
	assert_int_equal(w->requests, 1 + (5000 - 1024 + 63) / 64);
	assert_int_equal(copse_client_counters(w->client)->shrunk, 1);
	world_free(w);
}

/* RFC 7959 §2.9.3, with blocks and with a body that had been sent whole */
static void too_large_with_a_hint(void **state)
{
	static const uint32_t lengths[] = {5000, 700};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world *w = world_new(5, PERFECT, NULL);
		w->knobs.szx = 4;
		w->knobs.hint_413 = true;
		world_call(w, COPSE_CODE_PUT, lengths[i]);
		world_do(w);
		ok(w, COPSE_CODE_CHANGED);
		is_stored(w);
		world_free(w);
	}
}

static void too_large_for_good(void **state)
{
	struct world *w = world_new(6, PERFECT, NULL);
	(void)state;
	w->knobs.refuse_413 = true;
	world_call(w, COPSE_CODE_PUT, 5000);
	world_do(w);
	ok(w, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE);
	assert_int_equal(w->requests, 1);
	world_free(w);
}

static void each_block_for_itself(void **state)
{
	struct world *w = world_new(7, PERFECT, NULL);
	(void)state;
	w->knobs.each_alone = true;
	world_call(w, COPSE_CODE_PUT, 4096);
	world_do(w);
	ok(w, COPSE_CODE_CHANGED);
	is_stored(w);
	world_free(w);
}

/* RFC 7959 §2.9.2: begun anew, under another Request-Tag (RFC 9175 §3.3) */
static void the_peer_loses_the_beginning(void **state)
{
	struct world *w = world_new(8, PERFECT, NULL);
	(void)state;
	w->knobs.forget_at = 3;
	w->knobs.times = 2;
	world_call(w, COPSE_CODE_PUT, 5000);
	world_do(w);
	ok(w, COPSE_CODE_CHANGED);
	is_stored(w);
	assert_int_equal(w->tags_seen, 3);
	assert_int_equal(copse_client_counters(w->client)->restarted, 2);
	world_free(w);
}

static void the_peer_loses_it_for_ever(void **state)
{
	struct world *w = world_new(9, PERFECT, NULL);
	(void)state;
	w->knobs.forget_at = 4;
	w->knobs.times = 1000;
	world_call(w, COPSE_CODE_POST, 5000);
	world_do(w);
	failed(w, COPSE_ERR_INCOMPLETE);
	assert_int_equal(w->uploads, 0);
	world_free(w);
}

/* RFC 7959 §2.4: blocks of two representations are never mixed. */
static void changes_while_it_is_fetched(void **state)
{
	struct world *w = world_new(10, PERFECT, NULL);
	(void)state;
	w->stored_len = 9000;
	w->knobs.change_at = 4;
	w->knobs.times = 2;
	world_call(w, COPSE_CODE_GET, 0);
	world_do(w);
	ok(w, COPSE_CODE_CONTENT);
	is_got(w);
	assert_int_equal(w->begun, 3);
	world_free(w);
}

static void changes_all_the_time(void **state)
{
	struct world *w = world_new(11, PERFECT, NULL);
	(void)state;
	w->stored_len = 9000;
	w->knobs.change_at = 4;
	w->knobs.times = 1000;
	world_call(w, COPSE_CODE_GET, 0);
	world_do(w);
	failed(w, COPSE_ERR_CHANGED);
	world_free(w);
}

/* What a POST brought cannot be had again by asking again. */
static void an_answer_that_changes_is_not_posted_for_again(void **state)
{
	struct world *w = world_new(12, PERFECT, NULL);
	(void)state;
	w->knobs.to_upper = true;
	w->knobs.change_at = 2;
	w->knobs.times = 1;
	world_call(w, COPSE_CODE_POST, 4000);
	world_do(w);
	failed(w, COPSE_ERR_CHANGED);
	assert_int_equal(w->uploads, 1);
	world_free(w);
}

static void both_ways_in_one_call(void **state)
{
	struct world *w = world_new(13, PERFECT, NULL);
	(void)state;
	w->knobs.to_upper = true;
	for (uint8_t szx = 1; szx <= 6; szx++) {
		world_reset(w);
		w->uploads = 0;
		world_call(w, COPSE_CODE_POST, 5000)->szx = szx;
		w->call.early = szx & 1;
		world_do(w);
		ok(w, COPSE_CODE_CHANGED);
		is_got(w);
		assert_int_equal(w->got[0], w->body[0] - 32);
		assert_int_equal(w->uploads, 1);
		assert_int_equal(w->event_sent, 5000);
	}
	world_free(w);
}

/* RFC 9175 §2.3: the same request once more with the value; later blocks bear it at once. */
static void echo(void **state)
{
	struct world *w = world_new(14, PERFECT, NULL);
	(void)state;
	w->knobs.challenge = true;
	world_call(w, COPSE_CODE_PUT, 5000);
	world_do(w);
	ok(w, COPSE_CODE_CHANGED);
	is_stored(w);
	assert_int_equal(w->challenges, 1);
	assert_int_equal(copse_client_counters(w->client)->echoed, 1);
	world_free(w);
}

static void a_body_of_unknown_length(void **state)
{
	struct world *w = world_new(15, PERFECT, NULL);
	(void)state;
	for (uint32_t len = 1022; len <= 2050; len += 2) {
		world_reset(w);
		world_call(w, COPSE_CODE_PUT, len)->body_len = COPSE_BODY_UNKNOWN;
		world_do(w);
		ok(w, COPSE_CODE_CHANGED);
		is_stored(w);
	}
	world_free(w);
}

static void functions_may_give_up(void **state)
{
	struct world *w = world_new(16, PERFECT, NULL);
	(void)state;
	w->stored_len = 5000;
	w->write_error = -4711;
	world_call(w, COPSE_CODE_GET, 0);
	world_do(w);
	failed(w, -4711);
	world_reset(w);
	w->read_error = -4712;
	world_call(w, COPSE_CODE_PUT, 5000);
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, NULL), -4712);
	assert_int_equal(copse_client_calls(w->client), 0);
	world_free(w);
}

static void blocks_that_were_not_asked_for(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = world_new(17, PERFECT, NULL);
		w->stored_len = 5000;
		w->knobs.wrong_block = i == 0;
		w->knobs.short_block = i == 1;
		world_call(w, COPSE_CODE_GET, 0);
		world_do(w);
		failed(w, COPSE_ERR_BLOCK);
		world_free(w);
	}
}

static void errors_are_answers(void **state)
{
	static const uint8_t codes[] = {COPSE_CODE_BAD_REQUEST, COPSE_CODE_NOT_FOUND,
					COPSE_CODE_REQUEST_ENTITY_INCOMPLETE, COPSE_CODE_UNAUTHORIZED,
					COPSE_CODE_SERVICE_UNAVAILABLE};
	(void)state;
	for (size_t i = 0; i < sizeof(codes); i++) {
		struct world *w = world_new(18, PERFECT, NULL);
		w->knobs.error = codes[i];
		world_call(w, COPSE_CODE_GET, 0);
		world_do(w);
		ok(w, codes[i]);
		assert_int_equal(w->begun, 0);
		world_free(w);
	}
}

static void one_block_is_enough(void **state)
{
	struct world *w = world_new(19, PERFECT, NULL);
	(void)state;
	w->stored_len = 5000;
	world_call(w, COPSE_CODE_GET, 0)->flags |= COPSE_CALL_ONE_BLOCK;
	world_do(w);
	ok(w, COPSE_CODE_CONTENT);
	assert_int_equal(w->got_len, 1024);
	assert_true(w->partial);
	world_free(w);
}

/* Options that leave little room make blocks smaller; those that leave none are refused. */
static void blocks_fit_into_messages(void **state)
{
	struct copse_client_config c = COPSE_CLIENT_DEFAULT;
	(void)state;
	c.message_len = 200;
	struct world *w = world_new(20, PERFECT, &c);
	world_call(w, COPSE_CODE_PUT, 5000);
	world_do(w);
	ok(w, COPSE_CODE_CHANGED);
	is_stored(w);
	world_free(w);
	c.message_len = 64;
	w = world_new(20, PERFECT, &c);
	world_call(w, COPSE_CODE_PUT, 5000);
	world_do(w);
	ok(w, COPSE_CODE_CHANGED); /* blocks of 16 just fit */
	is_stored(w);
	world_call(w, COPSE_CODE_PUT, 5000);
	memcpy(w->options + w->call.options_len++, "\0", 1); /* an empty Uri-Path more, and they do not */
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, NULL), COPSE_ERR_ARGUMENT);
	world_free(w);
}

static void calls_are_bounded(void **state)
{
	struct copse_client_config c = COPSE_CLIENT_DEFAULT;
	(void)state;
	c.call_cap = 3;
	struct world *w = world_new(21, PERFECT, &c);
	w->knobs.silent = true;
	world_call(w, COPSE_CODE_GET, 0);
	for (int i = 0; i < 3; i++)
		world_start(w);
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, NULL), COPSE_ERR_NOROOM);
	assert_int_equal(copse_client_counters(w->client)->refused, 1);
	copse_handle old = w->handle;
	copse_client_abort(w->client, old, w->sim.now);
	world_start(w);
	assert_true(w->handle != old);
	copse_client_abort(w->client, old, w->sim.now); /* over already: nobody else's call is hit */
	assert_int_equal(copse_client_calls(w->client), 3);
	assert_int_equal(copse_client_stop(w->client, old, w->sim.now), COPSE_ERR_GONE);
	world_free(w);
}

/* A request that is never answered leaves nothing behind; the peer gets it all the same (RFC 7967). */
static void silent_requests(void **state)
{
	struct world *w = world_new(22, PERFECT, NULL);
	struct copse_endpoint_usage usage;
	(void)state;
	w->knobs.silent = true;
	world_call(w, COPSE_CODE_POST, 100)->flags = COPSE_CALL_SILENT;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, NULL), 0);
		assert_int_equal(copse_client_calls(w->client), 0);
		world_run(w, w->sim.now + 20);
	}
	assert_int_equal(w->requests, 50);
	copse_endpoint_usage(w->node->ep, &usage);
	assert_int_equal(usage.exchanges, 0);
	world_call(w, COPSE_CODE_POST, 5000)->flags = COPSE_CALL_SILENT;
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, NULL), COPSE_ERR_ARGUMENT);
	world_free(w);
}

static void a_dead_peer(void **state)
{
	struct world *w = world_new(23, PERFECT, NULL);
	(void)state;
	w->peer->dead = true;
	world_call(w, COPSE_CODE_GET, 0);
	world_do(w);
	failed(w, COPSE_ERR_TIMEOUT);
	world_reset(w);
	world_call(w, COPSE_CODE_PUT, 5000);
	world_do(w);
	failed(w, COPSE_ERR_TIMEOUT);
	assert_int_equal(copse_client_counters(w->client)->repeated, 4);
	world_free(w);
}

/* The endpoint has no room for a while: a transfer that has begun goes on when it has again. */
static void want_of_room_waits(void **state)
{
	struct world *w = world_new(24, PERFECT, NULL);
	struct copse_peer peer = sim_peer(7); /* nobody */
	struct copse_out out = {.code = COPSE_CODE_GET, .con = true};
	copse_handle hog[4096];
	unsigned n = 0;
	(void)state;
	w->stored_len = 3000;
	world_call(w, COPSE_CODE_GET, 0);
	world_start(w);
	world_run(w, 5); /* the request is on its way */
	while (n < 4096 &&
	       copse_endpoint_request(w->node->ep, &peer, &out, 0, NULL, w->sim.now, &hog[n]) == 0)
		n++;
	assert_true(n > 0 && n < 4096);
	world_run(w, 40);
	/* The first exchange ended and freed a place; take it before the next block asks for it. */
	while (copse_endpoint_request(w->node->ep, &peer, &out, 0, NULL, w->sim.now, &hog[n]) == 0)
		n++;
	world_run(w, 1000);
	for (unsigned i = 0; i < n; i++)
		copse_endpoint_cancel(w->node->ep, hog[i], w->sim.now);
	world_run(w, 10000);
	ok(w, COPSE_CODE_CONTENT);
	is_got(w);
	world_free(w);
}

/* 100 kB each way by blocks of 1024 over a link that loses one datagram in ten: two hundred times intact. */
static void a_lossy_link(void **state)
{
	struct sim_link link = {.loss = 0.1, .duplicate = 0.02, .reorder = 0.05, .delay_ms = 20};
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct world *w = world_new(seed, link, NULL);
		world_call(w, COPSE_CODE_PUT, HUNDRED_K);
		world_do(w);
		ok(w, COPSE_CODE_CHANGED);
		is_stored(w);
		world_reset(w);
		world_call(w, COPSE_CODE_GET, 0);
		world_do(w);
		ok(w, COPSE_CODE_CONTENT);
		is_got(w);
		assert_true(w->sim.lost > 0);
		world_free(w);
	}
}

/* As bad as a link may be: what ends well is intact, what does not ends by a time-out. */
static void a_terrible_link(void **state)
{
	struct sim_link link = {.loss = 0.45, .duplicate = 0.1, .reorder = 0.3, .delay_ms = 200};
	unsigned good = 0;
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct world *w = world_new(seed, link, NULL);
		w->stored_len = 3000;
		w->knobs.szx = 4;
		world_call(w, COPSE_CODE_GET, 0);
		world_do(w);
		if (w->responses) {
			is_got(w);
			good++;
		} else {
			failed(w, COPSE_ERR_TIMEOUT);
		}
		world_free(w);
	}
	assert_true(good >= 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_length_goes_both_ways),
	    cmocka_unit_test(early_negotiation),
	    cmocka_unit_test(peer_wants_smaller_answers),
	    cmocka_unit_test(client_wants_smaller_answers),
	    cmocka_unit_test(peer_wants_smaller_requests),
	    cmocka_unit_test(too_large_with_a_hint),
	    cmocka_unit_test(too_large_for_good),
	    cmocka_unit_test(each_block_for_itself),
	    cmocka_unit_test(the_peer_loses_the_beginning),
	    cmocka_unit_test(the_peer_loses_it_for_ever),
	    cmocka_unit_test(changes_while_it_is_fetched),
	    cmocka_unit_test(changes_all_the_time),
	    cmocka_unit_test(an_answer_that_changes_is_not_posted_for_again),
	    cmocka_unit_test(both_ways_in_one_call),
	    cmocka_unit_test(echo),
	    cmocka_unit_test(a_body_of_unknown_length),
	    cmocka_unit_test(functions_may_give_up),
	    cmocka_unit_test(blocks_that_were_not_asked_for),
	    cmocka_unit_test(errors_are_answers),
	    cmocka_unit_test(one_block_is_enough),
	    cmocka_unit_test(blocks_fit_into_messages),
	    cmocka_unit_test(calls_are_bounded),
	    cmocka_unit_test(silent_requests),
	    cmocka_unit_test(a_dead_peer),
	    cmocka_unit_test(want_of_room_waits),
	    cmocka_unit_test(a_lossy_link),
	    cmocka_unit_test(a_terrible_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
