/* The memory of messages when it is full: who gives way, who is refused, and that nothing runs twice that must not.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/endpoint.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAP 64 /* messages */

enum { QUIET = 1, LOUD, OTHER, CROWD };

static struct {
	struct copse_endpoint *ep;
	void *memory;
	copse_ms now;
	uint8_t in[64], out[256];
	struct copse_message sent;
	struct copse_peer to;
	bool protect; /* requests have an OSCORE option */
} e;

static void start(void)
{
	const struct copse_config c = {.group = {COPSE_PARAMS_DEFAULT},
				       .group_n = 1,
				       .exchange_cap = 8,
				       .incoming_cap = CAP,
				       .peer_cap = 8,
				       .chunk_cap = 1024,
				       .reply_cap = 4,
				       .seed = {1, 2}};
	const size_t len = copse_endpoint_bytes(&c);

	e.now = 5000;
	e.protect = false;
	e.memory = malloc(len);
	assert_non_null(e.memory);
	e.ep = copse_endpoint_init(e.memory, len, &c, e.now);
}

static void end(void)
{
	free(e.memory);
}

static struct copse_peer peer(unsigned n)
{
	return (struct copse_peer){.len = 2, .key = {(uint8_t)n, (uint8_t)(n >> 8)}};
}

static bool transmit(void)
{
	const int n = copse_endpoint_transmit(e.ep, e.out, sizeof e.out, &e.to, e.now);

	if (n > 0)
		assert_int_equal(copse_message_parse(&e.sent, e.out, (size_t)n), 0);
	return n > 0;
}

static const struct copse_out changed = {.code = COPSE_CODE_CHANGED};

/* What came of a message: it ran, and was answered; a copy was recognized; it was refused; it was dropped. */
enum outcome { RAN, COPY, REFUSED, DROPPED };

static enum outcome hand_in(unsigned from, enum copse_type type, uint8_t code, uint16_t id, bool repeatable)
{
	const struct copse_peer p = peer(from);
	struct copse_builder b;
	struct copse_event event;

	copse_build_message(&b, e.in, sizeof e.in, type, code, id, "t", 1);
	if (e.protect)
		copse_build_option(&b, COPSE_OPTION_OSCORE, "", 0);
	const int len = copse_build_finish(&b);
	const int result = copse_endpoint_receive(e.ep, &p, e.in, (size_t)len, e.now);
	if (result == 1) {
		assert_true(copse_endpoint_next_event(e.ep, &event));
		if (repeatable)
			assert_int_equal(copse_endpoint_repeatable(e.ep, event.exchange), 0);
		assert_int_equal(copse_endpoint_respond(e.ep, event.exchange, &changed, e.now), 0);
		assert_true(transmit());
		assert_int_equal(e.sent.code, COPSE_CODE_CHANGED);
		assert_int_equal(copse_endpoint_repeatable(e.ep, event.exchange), COPSE_ERR_GONE);
		return RAN;
	}
	assert_false(copse_endpoint_next_event(e.ep, &event));
	const bool answered = transmit();
	assert_false(transmit());
	if (result == 0) {
		assert_int_equal(answered, type == COPSE_CON);
		return answered && e.sent.code == COPSE_CODE_SERVICE_UNAVAILABLE ? REFUSED : COPY;
	}
	assert_int_equal(result, COPSE_ERR_NOROOM);
	if (!answered)
		return DROPPED;
	assert_int_equal(e.sent.code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(e.sent.type, type == COPSE_CON ? COPSE_ACK : COPSE_NON);
	assert_int_equal(copse_message_uint(&e.sent, COPSE_OPTION_MAX_AGE, 60), 10);
	return REFUSED;
}

static uint32_t remembered(void)
{
	struct copse_endpoint_usage usage;

	copse_endpoint_usage(e.ep, &usage);
	return usage.incoming;
}

/* One peer may have half of the places for what must not run twice; the next half of the rest. None of them is forgotten
 * before its time, whatever comes. */
static void posts_get_their_share(enum copse_type type, uint8_t code, copse_ms lifetime)
{
	start();
	for (uint16_t id = 0; id < CAP / 2; id++)
		assert_int_equal(hand_in(LOUD, type, code, id, false), RAN);
	assert_int_equal(hand_in(LOUD, type, code, CAP, false), REFUSED);
	if (type == COPSE_CON) /* a copy of what did not run is refused alike */
		assert_int_equal(hand_in(LOUD, type, code, CAP, false), REFUSED);
	for (uint16_t id = 0; id < CAP / 4; id++)
		assert_int_equal(hand_in(OTHER, type, code, id, false), RAN);
	assert_int_equal(hand_in(OTHER, type, code, CAP, false), REFUSED);
	assert_int_equal(copse_endpoint_counters(e.ep)->refused_share, 2);
	for (uint16_t id = 0; id < 1000; id++) /* what may run twice goes on */
		assert_int_equal(hand_in(QUIET, type, COPSE_CODE_GET, id, false), RAN);
	for (uint16_t id = 0; id < CAP / 2; id++)
		assert_int_equal(hand_in(LOUD, type, code, id, false), COPY);
	for (uint16_t id = 0; id < CAP / 4; id++)
		assert_int_equal(hand_in(OTHER, type, code, id, false), COPY);
	assert_int_equal(remembered(), CAP);
	e.now += lifetime + 2000;
	copse_endpoint_expire(e.ep, e.now);
	assert_int_equal(remembered(), 0);
	for (uint16_t id = 0; id < CAP / 2; id++) /* all of it has been given back */
		assert_int_equal(hand_in(OTHER, type, code, id, false), RAN);
	assert_int_equal(copse_endpoint_counters(e.ep)->forgotten_once, 0);
	end();
}

static void non_posts(void **state)
{
	(void)state;
	posts_get_their_share(COPSE_NON, COPSE_CODE_POST, 145000);
}

static void con_posts(void **state)
{
	(void)state;
	posts_get_their_share(COPSE_CON, COPSE_CODE_POST, 247000);
}

static void con_patches(void **state)
{
	(void)state;
	posts_get_their_share(COPSE_CON, COPSE_CODE_PATCH, 247000);
}

/* Many peers with a few each fill the memory to the last place; then who comes is turned away, and nobody forgotten. */
static void many_share_it_all(void **state)
{
	unsigned n = 0;

	(void)state;
	start();
	while (hand_in(CROWD + n, COPSE_CON, COPSE_CODE_POST, 7, false) == RAN)
		n++;
	assert_int_equal(n, CAP);
	assert_int_equal(hand_in(QUIET, COPSE_CON, COPSE_CODE_GET, 7, false), DROPPED);
	for (unsigned i = 0; i < CAP; i++)
		assert_int_equal(hand_in(CROWD + i, COPSE_CON, COPSE_CODE_POST, 7, false), COPY);
	end();
}

/* What the sender of very much did gives way before what others did. */
static void a_flood_forgets_its_own(void **state)
{
	static const enum copse_type types[] = {COPSE_CON, COPSE_NON};

	(void)state;
	start();
	for (uint16_t id = 0; id < 4; id++)
		assert_int_equal(hand_in(QUIET, COPSE_CON, COPSE_CODE_PUT, id, false), RAN);
	for (uint16_t id = 0; id < 4; id++)
		assert_int_equal(hand_in(OTHER, COPSE_NON, COPSE_CODE_GET, id, false), RAN);
	for (uint16_t id = 0; id < 5000; id++) {
		e.now += 10;
		assert_int_equal(hand_in(LOUD, types[id % 2], COPSE_CODE_GET, id, false), RAN);
	}
	for (uint16_t id = 0; id < 4; id++)
		assert_int_equal(hand_in(QUIET, COPSE_CON, COPSE_CODE_PUT, id, false), COPY);
	for (uint16_t id = 0; id < 4; id++)
		assert_int_equal(hand_in(OTHER, COPSE_NON, COPSE_CODE_GET, id, false), COPY);
	/* of its own the newest are there, the oldest are not */
	assert_int_equal(hand_in(LOUD, types[4999 % 2], COPSE_CODE_GET, 4999, false), COPY);
	assert_int_equal(hand_in(LOUD, types[0], COPSE_CODE_GET, 0, false), RAN);
	/* and what was passed over is forgotten in its time all the same */
	e.now += 300000;
	copse_endpoint_expire(e.ep, e.now);
	assert_int_equal(remembered(), 0);
	assert_int_equal(copse_endpoint_deadline(e.ep), COPSE_NEVER);
	end();
}

/* Where all have about as much, the oldest goes, and finding it takes no search. */
static void among_equals_the_oldest_goes(void **state)
{
	(void)state;
	start();
	for (unsigned i = 0; i < CAP; i++)
		assert_int_equal(hand_in(CROWD + i % 8, COPSE_NON, COPSE_CODE_GET, (uint16_t)i, false), RAN);
	assert_int_equal(hand_in(CROWD, COPSE_NON, COPSE_CODE_GET, CAP, false), RAN);
	assert_int_equal(copse_endpoint_counters(e.ep)->forgotten, 1);
	for (unsigned i = 1; i <= CAP; i++)
		assert_int_equal(hand_in(CROWD + i % 8, COPSE_NON, COPSE_CODE_GET, (uint16_t)i, false), COPY);
	end();
}

/* What the application says may run twice takes nobody's share, and gives way. */
static void repeatable_posts(void **state)
{
	(void)state;
	start();
	for (uint16_t id = 0; id < 1000; id++)
		assert_int_equal(hand_in(LOUD, COPSE_NON, COPSE_CODE_POST, id, true), RAN);
	assert_int_equal(copse_endpoint_counters(e.ep)->refused_share, 0);
	assert_int_equal(copse_endpoint_counters(e.ep)->forgotten, 1000 - CAP);
	assert_int_equal(hand_in(LOUD, COPSE_NON, COPSE_CODE_POST, 999, true), COPY);
	assert_int_equal(hand_in(LOUD, COPSE_NON, COPSE_CODE_POST, 0, true), RAN);
	for (uint16_t id = 0; id < CAP / 2; id++)
		assert_int_equal(hand_in(OTHER, COPSE_NON, COPSE_CODE_POST, id, false), RAN);
	end();
}

/* What OSCORE protects is a POST to look at, and guarded against running twice by its own window (RFC 8613 §7.4). */
static void protected_requests(void **state)
{
	(void)state;
	start();
	e.protect = true;
	copse_endpoint_forwards(e.ep, true);
	for (uint16_t id = 0; id < 1000; id++)
		assert_int_equal(hand_in(LOUD, COPSE_CON, COPSE_CODE_POST, id, false), RAN);
	assert_int_equal(copse_endpoint_counters(e.ep)->refused_share, 0);
	assert_int_equal(hand_in(LOUD, COPSE_CON, COPSE_CODE_POST, 999, false), COPY);
	end();
}

/* Nothing is said to who asked a group (RFC 7252 §8.2). */
static void a_group_is_refused_in_silence(void **state)
{
	struct copse_peer p = peer(LOUD);
	struct copse_builder b;

	(void)state;
	start();
	for (uint16_t id = 0; id < CAP / 2; id++)
		assert_int_equal(hand_in(LOUD, COPSE_NON, COPSE_CODE_POST, id, false), RAN);
	p.flags = COPSE_PEER_MULTICAST;
	copse_build_message(&b, e.in, sizeof e.in, COPSE_NON, COPSE_CODE_POST, 9999, "t", 1);
	assert_int_equal(copse_endpoint_receive(e.ep, &p, e.in, (size_t)copse_build_finish(&b), e.now),
			 COPSE_ERR_NOROOM);
	e.now += 10000;
	copse_endpoint_expire(e.ep, e.now);
	assert_false(transmit());
	assert_int_equal(remembered(), CAP / 2);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(non_posts),
	    cmocka_unit_test(con_posts),
	    cmocka_unit_test(con_patches),
	    cmocka_unit_test(many_share_it_all),
	    cmocka_unit_test(a_flood_forgets_its_own),
	    cmocka_unit_test(among_equals_the_oldest_goes),
	    cmocka_unit_test(repeatable_posts),
	    cmocka_unit_test(protected_requests),
	    cmocka_unit_test(a_group_is_refused_in_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
