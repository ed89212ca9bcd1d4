/* Observation on the server's side (RFC 7641), message by message.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/core/server_bench.h"

static int value;
static uint8_t error_code; /* what the handler answers instead */
static unsigned calls;

static void get_value(const struct copse_request *rq, struct copse_response *rs)
{
	char text[80];
	size_t len = 0;
	const char *q = copse_request_query(rq, "unit", &len);
	calls++;
	if (error_code) {
		rs->code = error_code;
		return;
	}
	snprintf(text, sizeof text, "%d%.*s", value, (int)len, q ? q : "");
	copse_response_text(rs, text);
	if (rq->purpose == COPSE_PURPOSE_NOTIFY) {
		assert_null(rq->peer);
		assert_true(rq->exchange == COPSE_NO_HANDLE);
	}
}

static void get_long(const struct copse_request *rq, struct copse_response *rs)
{
	char text[300];
	(void)rq;
	memset(text, 'a' + value % 26, sizeof text);
	copse_response_copy(rs, 0, text, sizeof text);
}

static void fetch_value(const struct copse_request *rq, struct copse_response *rs)
{
	char text[40];
	snprintf(text, sizeof text, "%.*s=%d", (int)rq->body_len, (const char *)rq->body, value);
	copse_response_text(rs, text);
}

static copse_handle deferred, last_exchange;

static void get_later(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	deferred = copse_request_defer(rq);
	last_exchange = rq->exchange;
}

#define SEEN COPSE_RESOURCE_OBSERVABLE

static const struct copse_resource obs = {.path = "obs",
					  .get = get_value,
					  .put = get_value,
					  .fetch = fetch_value,
					  .flags = SEEN,
					  .worth = COPSE_COMMAND};
static const struct copse_resource telemetry = {.path = "temp", .get = get_value, .flags = SEEN};
static const struct copse_resource siren = {
    .path = "alarm", .get = get_value, .flags = SEEN, .worth = COPSE_ALARM};
static const struct copse_resource wild = {
    .path = "dev/*", .get = get_value, .flags = SEEN, .worth = COPSE_COMMAND};
static const struct copse_resource longer = {
    .path = "long", .get = get_long, .flags = SEEN, .worth = COPSE_COMMAND};
static const struct copse_resource later = {
    .path = "later", .get = get_later, .flags = SEEN, .worth = COPSE_COMMAND};
static const struct copse_resource blind = {.path = "blind", .get = get_value};

static struct srv *observed(const struct copse_server_config *c)
{
	static const struct copse_resource *const all[] = {&obs,    &telemetry, &siren, &wild,
							   &longer, &later,     &blind};
	struct srv *b = srv_new(c);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		offer(b, all[i]);
	value = 1;
	error_code = 0;
	calls = 0;
	return b;
}

static struct srv *observed_default(void)
{
	const struct copse_server_config c = srv_config();
	return observed(&c);
}

static bool observe(struct srv *b, const char *path, uint32_t how)
{
	ask(b, COPSE_CODE_GET, path);
	copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, how);
	return go(b);
}

static uint32_t sequence_of(const struct srv *b)
{
	return copse_message_uint(&b->rs, COPSE_OPTION_OBSERVE, UINT32_MAX);
}

static unsigned change(struct srv *b, const struct copse_resource *r)
{
	value++;
	return copse_server_changed(b->server, r, NULL, b->now);
}

static void registration(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_true(observe(b, "obs", 0));
	expect_code(b, CONTENT);
	assert_int_equal(b->rs.type, COPSE_ACK);
	uint32_t last = sequence_of(b);
	assert_true(last <= 0xffffff);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(change(b, &obs), 1);
		assert_false(next(b)); /* nothing before the server is asked to work */
		assert_true(next_due(b));
		assert_int_equal(b->rs.type, COPSE_CON);
		expect_code(b, CONTENT);
		expect_uint(b, CONTENT_FORMAT, 0);
		assert_memory_equal(copse_message_token(&b->rs), "t", 1);
		assert_true(sequence_of(b) > last);
		last = sequence_of(b);
		char text[4];
		snprintf(text, sizeof text, "%d", value);
		expect_body(b, text);
		reply_empty(b, COPSE_ACK);
	}
	assert_int_equal(copse_server_observers(b->server, &obs), 1);
	/* a plain GET changes nothing, also with the same token */
	assert_true(get(b, "obs"));
	expect_no(b, OBSERVE);
	assert_int_equal(copse_server_observers(b->server, NULL), 1);
	/* the end, by the same token */
	assert_true(observe(b, "obs", 1));
	expect_code(b, CONTENT);
	expect_no(b, OBSERVE);
	assert_int_equal(change(b, &obs), 0);
	assert_false(next_due(b));
	const struct copse_server_counters *n = copse_server_counters(b->server);
	assert_int_equal(n->registered, 1);
	assert_int_equal(n->cancelled, 1);
	assert_int_equal(n->notified, 3);
	assert_int_equal(n->encoded, 3);
	srv_done(b);
}

static void not_observed(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_true(observe(b, "blind", 0));
	expect_code(b, CONTENT);
	expect_no(b, OBSERVE);
	assert_true(observe(b, "nothing", 0));
	expect_code(b, NOT_FOUND);
	error_code = COPSE_CODE_FORBIDDEN;
	assert_true(observe(b, "obs", 0));
	expect_code(b, FORBIDDEN);
	expect_no(b, OBSERVE);
	error_code = 0;
	assert_true(observe(b, "obs", 2)); /* no such value */
	expect_no(b, OBSERVE);
	assert_true(observe(b, "obs", 1)); /* nothing to cancel */
	expect_no(b, OBSERVE);
	ask(b, COPSE_CODE_PUT, "obs"); /* means nothing for other methods */
	copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, 0);
	assert_true(go(b));
	expect_no(b, OBSERVE);
	ask(b, COPSE_CODE_GET, "long"); /* a further block is no registration */
	copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, 0);
	const struct copse_block two = block(1, false, 64);
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
	assert_true(go(b));
	expect_no(b, OBSERVE);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	srv_done(b);
}

static void registered_again(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	uint32_t last = 0;
	for (int i = 0; i < 3; i++) {
		assert_true(observe(b, "obs", 0));
		assert_true(sequence_of(b) > last);
		last = sequence_of(b);
	}
	assert_int_equal(copse_server_observers(b->server, NULL), 1);
	/* the same token for something else takes its place */
	assert_true(observe(b, "temp", 0));
	assert_int_equal(copse_server_observers(b->server, &obs), 0);
	assert_int_equal(copse_server_observers(b->server, &telemetry), 1);
	/* another token, or another peer, is another observer */
	b->token[0] = 'u';
	assert_true(observe(b, "temp", 0));
	b->from = srv_peer(2);
	assert_true(observe(b, "temp", 0));
	assert_int_equal(copse_server_observers(b->server, &telemetry), 3);
	/* an error when registered again ends it (RFC 7641 §4.1) */
	error_code = COPSE_CODE_FORBIDDEN;
	assert_true(observe(b, "temp", 0));
	assert_int_equal(copse_server_observers(b->server, &telemetry), 2);
	srv_done(b);
}

static void rejected(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	/* a CON */
	assert_true(observe(b, "obs", 0));
	change(b, &obs);
	assert_true(next_due(b));
	reply_empty(b, COPSE_RST);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	/* a NON: of several, the one that is named */
	for (uint8_t p = 1; p <= 3; p++) {
		b->from = srv_peer(p);
		assert_true(observe(b, "temp", 0));
	}
	change(b, &telemetry);
	for (uint8_t p = 1; p <= 3; p++) {
		assert_true(next_due(b));
		assert_int_equal(b->rs.type, COPSE_NON);
		if (b->to.key[2] == 2)
			reply_empty(b, COPSE_RST);
	}
	assert_int_equal(copse_server_observers(b->server, NULL), 2);
	assert_int_equal(copse_server_counters(b->server)->reset, 2);
	at(b, b->now + 3000);
	change(b, &telemetry);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(next_due(b));
		assert_int_not_equal(b->to.key[2], 2);
	}
	assert_false(next_due(b));
	srv_done(b);
}

static void given_up(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	unsigned sent = 0;
	assert_true(observe(b, "obs", 0));
	change(b, &obs);
	while (copse_server_observers(b->server, NULL) > 0) {
		while (next_due(b))
			sent++;
		at(b, copse_endpoint_deadline(b->ep));
	}
	assert_int_equal(sent, 5);
	assert_int_equal(copse_server_counters(b->server)->failed, 1);
	assert_false(next_due(b));
	srv_done(b);
}

/* RFC 7641 §4.5.1, §4.5.2 */
static void one_in_flight(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_true(observe(b, "obs", 0));
	change(b, &obs);
	assert_true(next_due(b));
	expect_body(b, "2");
	change(b, &obs);
	change(b, &obs);
	assert_false(next_due(b)); /* not before the last is acknowledged */
	reply_empty(b, COPSE_ACK);
	assert_true(next_due(b)); /* and then the newest */
	expect_body(b, "4");
	const uint16_t id = b->rs.id;
	/* not acknowledged in time: what is sent again is the newest */
	change(b, &obs);
	assert_false(next_due(b));
	at(b, b->now + 3000);
	assert_true(next_due(b));
	expect_body(b, "5");
	assert_int_not_equal(b->rs.id, id);
	reply_empty(b, COPSE_ACK);
	assert_false(next_due(b)); /* it knows the newest: no more */
	assert_int_equal(copse_server_counters(b->server)->replaced, 2);
	/* unchanged: the very same is sent again */
	change(b, &obs);
	assert_true(next_due(b));
	const uint16_t same = b->rs.id;
	at(b, b->now + 3000);
	assert_true(next_due(b));
	assert_int_equal(b->rs.id, same);
	srv_done(b);
}

static void faster_than_the_link(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_true(observe(b, "obs", 0));
	for (int i = 0; i < 1000; i++) { /* a change every 10 ms, 50 ms to the acknowledgement */
		change(b, &obs);
		(void)next_due(b);
		at(b, b->now + 10);
		if (i % 5 == 4)
			reply_empty(b, COPSE_ACK);
	}
	assert_int_equal(copse_server_observers(b->server, NULL), 1);
	assert_int_equal(copse_endpoint_counters(b->ep)->retransmissions, 0);
	assert_in_range(copse_server_counters(b->server)->notified, 198, 202);
	assert_true(next_due(b));
	expect_body(b, "1001");
	srv_done(b);
}

static void telemetry_is_spaced(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_true(observe(b, "temp", 0));
	change(b, &telemetry);
	assert_true(next_due(b));
	assert_int_equal(b->rs.type, COPSE_NON);
	change(b, &telemetry);
	change(b, &telemetry);
	assert_false(next_due(b));
	assert_int_equal(copse_server_deadline(b->server), b->now + 3000);
	at(b, b->now + 3000);
	assert_true(next_due(b));
	expect_body(b, "4");
	/* an alarm is not held back */
	assert_true(observe(b, "alarm", 0));
	for (int i = 0; i < 3; i++) {
		change(b, &siren);
		assert_true(next_due(b));
		assert_int_equal(b->rs.type, COPSE_CON);
		reply_empty(b, COPSE_ACK);
	}
	srv_done(b);
}

static void a_con_now_and_then(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.non_interval_ms = 0;
	c.traffic = (struct copse_traffic_policy){.con_every = 4, .con_after_ms = 86400000};
	struct srv *b = observed(&c);
	assert_true(observe(b, "temp", 0));
	for (int i = 1; i <= 12; i++) {
		at(b, b->now + 1000);
		change(b, &telemetry);
		assert_true(next_due(b));
		assert_int_equal(b->rs.type, i % 4 == 0 ? COPSE_CON : COPSE_NON);
		if (b->rs.type == COPSE_CON)
			reply_empty(b, COPSE_ACK);
	}
	srv_done(b);
	/* RFC 7641 §4.5: within 24 hours, however rare */
	c.traffic.con_every = 0;
	b = observed(&c);
	assert_true(observe(b, "temp", 0));
	copse_ms last = b->now;
	unsigned confirmed = 0;
	for (int i = 0; i < 200; i++) {
		at(b, b->now + COPSE_SECONDS(1800));
		change(b, &telemetry);
		assert_true(next_due(b));
		if (b->rs.type == COPSE_CON) {
			reply_empty(b, COPSE_ACK);
			last = b->now;
			confirmed++;
		}
		assert_true(b->now - last <= COPSE_SECONDS(86400));
	}
	assert_int_equal(confirmed, 4);
	srv_done(b);
}

static void errors_end_it(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_true(observe(b, "obs", 0));
	b->from = srv_peer(2);
	assert_true(observe(b, "temp", 0));
	error_code = COPSE_CODE_NOT_FOUND;
	change(b, &obs);
	change(b, &telemetry);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(next_due(b));
		expect_code(b, NOT_FOUND);
		expect_no(b, OBSERVE);
		if (b->rs.type == COPSE_CON)
			reply_empty(b, COPSE_ACK);
	}
	error_code = 0;
	assert_int_equal(change(b, &obs), 0);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	assert_int_equal(copse_server_counters(b->server)->ended, 2);
	/* while one is in flight */
	assert_true(observe(b, "obs", 0));
	change(b, &obs);
	assert_true(next_due(b));
	error_code = COPSE_CODE_FORBIDDEN;
	change(b, &obs);
	assert_false(next_due(b));
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	at(b, b->now + 3000);
	assert_true(next_due(b));
	expect_code(b, FORBIDDEN);
	reply_empty(b, COPSE_ACK);
	assert_false(next_due(b));
	srv_done(b);
}

static void removed_resource(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	unsigned told = 0;
	for (uint8_t p = 1; p <= 3; p++) {
		b->from = srv_peer(p);
		assert_true(observe(b, "obs", 0));
	}
	change(b, &obs);
	copse_server_remove(b->server, &obs, b->now); /* before anybody was told of the change */
	while (next_due(b)) {
		expect_code(b, NOT_FOUND);
		told |= 1u << b->to.key[2];
	}
	assert_int_equal(told, 0xe);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	assert_true(get(b, "obs"));
	expect_code(b, NOT_FOUND);
	offer(b, &obs);
	assert_true(observe(b, "obs", 0));
	change(b, &obs);
	assert_true(next_due(b)); /* in flight */
	copse_server_remove(b->server, &obs, b->now);
	assert_false(next_due(b));
	at(b, b->now + 3000);
	assert_true(next_due(b));
	expect_code(b, NOT_FOUND);
	srv_done(b);
}

static void dropped_silently(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	for (uint8_t p = 1; p <= 3; p++) {
		b->from = srv_peer(p);
		assert_true(observe(b, p == 1 ? "obs?unit=x" : "obs", 0));
	}
	change(b, &obs);
	assert_true(next_due(b)); /* some in flight */
	while (next(b))
		;
	copse_server_drop_observers(b->server, &obs, b->now);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	at(b, b->now + 100000);
	assert_false(next_due(b)); /* not even again what was not acknowledged */
	assert_int_equal(change(b, &obs), 0);
	assert_true(observe(b, "obs", 0));
	assert_int_equal(copse_server_observers(b->server, &obs), 1);
	srv_done(b);
}

static void views(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	static const char *const paths[] = {"obs", "obs?unit=C", "obs?unit=F", "obs", "obs?unit=C"};
	static const char *const bodies[] = {"2", "2C", "2F", "2", "2C"};
	for (uint8_t p = 0; p < 5; p++) {
		b->from = srv_peer(p);
		assert_true(observe(b, paths[p], 0));
	}
	calls = 0;
	assert_int_equal(change(b, &obs), 3);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(next_due(b));
		expect_body(b, bodies[b->to.key[2]]);
		reply_empty(b, COPSE_ACK);
	}
	assert_int_equal(calls, 3); /* one encoding a view */
	assert_int_equal(copse_server_counters(b->server)->encoded, 3);
	/* options that are no part of the cache-key make no view */
	b->from = srv_peer(7);
	ask(b, COPSE_CODE_GET, "obs");
	copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, 0);
	copse_build_uint(&b->rq, COPSE_OPTION_SIZE2, 0);
	copse_build_option(&b->rq, COPSE_OPTION_ETAG, "e", 1);
	assert_true(go(b));
	assert_int_equal(change(b, &obs), 3);
	srv_done(b);
}

static void fetch_is_observed(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	for (uint8_t p = 0; p < 2; p++) {
		b->from = srv_peer(p);
		ask(b, COPSE_CODE_FETCH, "obs");
		copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, 0);
		assert_true(go_with(b, p == 0 ? "zero" : "one"));
		assert_true(sequence_of(b) < UINT32_MAX);
	}
	assert_int_equal(change(b, &obs), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(next_due(b));
		expect_body(b, b->to.key[2] == 0 ? "zero=2" : "one=2");
	}
	srv_done(b);
}

static void wildcards(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_true(observe(b, "dev/a", 0));
	b->token[0] = 'u';
	assert_true(observe(b, "dev/b", 0));
	assert_int_equal(copse_server_changed(b->server, &wild, "dev/b", b->now), 1);
	assert_true(next_due(b));
	assert_memory_equal(copse_message_token(&b->rs), "u", 1);
	reply_empty(b, COPSE_ACK);
	assert_false(next_due(b));
	assert_int_equal(copse_server_changed(b->server, &wild, "dev", b->now), 0);
	assert_int_equal(copse_server_changed(b->server, &wild, "dev/b/c", b->now), 0);
	assert_int_equal(copse_server_changed(b->server, &wild, NULL, b->now), 2);
	srv_done(b);
}

static void with_blocks(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	ask(b, COPSE_CODE_GET, "long");
	copse_build_uint(&b->rq, COPSE_OPTION_OBSERVE, 0);
	const struct copse_block first = block(0, false, 64);
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &first);
	assert_true(go(b));
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 64);
	assert_true(sequence_of(b) < UINT32_MAX);
	change(b, &longer);
	assert_true(next_due(b));
	expect_block(b, COPSE_OPTION_BLOCK2, 0, true, 64); /* in the size that was asked for */
	assert_true(sequence_of(b) < UINT32_MAX);
	const struct copse_option *o = copse_message_option(&b->rs, COPSE_OPTION_ETAG);
	assert_true(o && o->len == 4);
	uint8_t etag[4];
	memcpy(etag, copse_option_value(&b->rs, o), 4);
	const uint8_t letter = copse_message_payload(&b->rs)[0];
	reply_empty(b, COPSE_ACK);
	/* the rest, by plain requests (RFC 7959 §2.6) */
	const struct copse_block second = block(1, false, 64);
	b->token[0] = 'v';
	ask(b, COPSE_CODE_GET, "long");
	copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &second);
	assert_true(go(b));
	expect_no(b, OBSERVE);
	o = copse_message_option(&b->rs, COPSE_OPTION_ETAG);
	assert_true(o && copse_option_is(&b->rs, o, etag, 4));
	assert_int_equal(copse_message_payload(&b->rs)[0], letter);
	assert_int_equal(copse_server_observers(b->server, NULL), 1);
	srv_done(b);
}

static void reply_now(struct srv *b, copse_handle h, const char *text)
{
	struct copse_response rs;
	assert_int_equal(copse_server_reply(b->server, h, &rs), 0);
	copse_response_text(&rs, text);
	assert_int_equal(copse_server_reply_send(b->server, h, &rs, b->now), 0);
}

static void deferred_registration(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	assert_false(observe(b, "later", 0));
	assert_int_equal(change(b, &later), 1);
	assert_false(next_due(b)); /* nothing is told before the answer */
	at(b, b->now + 1000);
	while (next(b))
		;
	reply_now(b, deferred, "now");
	assert_true(next(b));
	assert_true(sequence_of(b) < UINT32_MAX);
	expect_body(b, "now");
	reply_empty(b, COPSE_ACK);
	/* a notification cannot be deferred: 5.03, and the observation is over */
	change(b, &later);
	assert_true(next_due(b));
	expect_code(b, SERVICE_UNAVAILABLE);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	reply_empty(b, COPSE_ACK);
	/* cancelled while it waits: the answer is no registration */
	assert_false(observe(b, "later", 0));
	const copse_handle first = deferred;
	assert_false(observe(b, "later", 1));
	reply_now(b, first, "late");
	assert_true(next(b));
	expect_no(b, OBSERVE);
	/* its resource goes while it waits */
	b->from = srv_peer(5);
	assert_false(observe(b, "later", 0));
	copse_server_remove(b->server, &later, b->now);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	reply_now(b, deferred, "gone");
	srv_done(b);
}

/* A registration that nobody is told of is none. */
static void unanswered_registration(void **state)
{
	(void)state;
	struct srv *b = observed_default();
	struct copse_response rs;
	assert_false(observe(b, "later", 0));
	assert_int_equal(copse_server_observers(b->server, NULL), 1);
	copse_server_reply_drop(b->server, deferred, b->now);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	assert_true(next(b)); /* acknowledged, no more */
	assert_int_equal(b->rs.code, 0);
	assert_false(observe(b, "later", 0));
	assert_int_equal(copse_endpoint_ignore(b->ep, last_exchange, b->now), 0); /* past the server */
	assert_int_equal(copse_server_reply(b->server, deferred, &rs), 0);
	copse_response_text(&rs, "too late");
	assert_int_equal(copse_server_reply_send(b->server, deferred, &rs, b->now), COPSE_ERR_GONE);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	srv_done(b);
}

static void bounds(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.observer_cap = 2;
	c.view_cap = 1;
	c.view_len = 20;
	struct srv *b = observed(&c);
	assert_true(observe(b, "obs", 0));
	b->token[0]++;
	assert_true(observe(b, "temp", 0)); /* a second view */
	expect_code(b, CONTENT);
	expect_no(b, OBSERVE);
	assert_true(observe(b, "obs?unit=a_very_long_unit", 0)); /* longer than a view may be */
	expect_no(b, OBSERVE);
	assert_true(observe(b, "obs", 0));
	assert_true(sequence_of(b) < UINT32_MAX);
	b->token[0]++;
	assert_true(observe(b, "obs", 0)); /* a third observer */
	expect_code(b, CONTENT);
	expect_no(b, OBSERVE);
	assert_int_equal(copse_server_counters(b->server)->refused_observer, 3);
	b->token[0]--;
	assert_true(observe(b, "obs", 1));
	b->token[0]--;
	assert_true(observe(b, "obs", 1));
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	assert_true(observe(b, "temp", 0)); /* there is room again */
	assert_true(sequence_of(b) < UINT32_MAX);
	srv_done(b);
}

/* More observers than the endpoint has exchanges: they wait their turn, and none is forgotten. */
static void crowd(const struct copse_resource *r, bool con)
{
	struct copse_server_config c = srv_config();
	struct copse_config below = srv_endpoint_config();
	below.exchange_cap = 8;
	c.observer_cap = 100;
	c.non_interval_ms = 0;
	c.traffic.con_every = 0;
	struct srv *b = srv_new_on(&c, &below);
	bool told[100] = {false};
	unsigned n = 0;
	offer(b, r);
	for (uint8_t p = 0; p < 100; p++) {
		b->from = srv_peer(p);
		assert_true(observe(b, r->path, 0));
	}
	change(b, r);
	for (int round = 0; round < 2000; round++) {
		while (next_due(b)) {
			n += !told[b->to.key[2]];
			told[b->to.key[2]] = true;
			if (con && b->to.key[2] % 4 == 0)
				reply_empty(b, COPSE_ACK); /* one in four is there */
		}
		if (n == 100)
			break;
		const copse_ms ep = copse_endpoint_deadline(b->ep), srv = copse_server_deadline(b->server);
		at(b, ep < srv ? ep : srv);
	}
	assert_int_equal(n, 100);
	assert_true(copse_server_counters(b->server)->waited > 0);
	assert_int_equal(copse_server_counters(b->server)->encoded, 1);
	srv_done(b);
}

static void more_than_there_is_room_for(void **state)
{
	(void)state;
	error_code = 0;
	crowd(&telemetry, false);
	crowd(&obs, true);
}

/* One thing whose observers do not answer does not keep another's from being told. */
static void the_deaf_do_not_block_others(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.notify_cap = 4;
	struct srv *b = observed(&c);
	for (uint8_t p = 0; p < 8; p++) {
		b->from = srv_peer(p);
		assert_true(observe(b, "obs", 0));
	}
	b->from = srv_peer(20);
	assert_true(observe(b, "temp", 0));
	change(b, &obs);
	unsigned n = 0;
	while (next_due(b))
		n++;
	assert_int_equal(n, 4);
	change(b, &telemetry);
	assert_true(next_due(b));
	assert_int_equal(b->to.key[2], 20);
	assert_false(next_due(b));
	srv_done(b);
}

/* The handler of a thing changes it while it is asked. */
static struct copse_server *changed_in_handler;

static void get_and_change(const struct copse_request *rq, struct copse_response *rs)
{
	get_value(rq, rs);
	if (rq->purpose == COPSE_PURPOSE_NOTIFY && value < 5) {
		value++;
		copse_server_changed(changed_in_handler, rq->resource, "self", rq->now);
	}
}

static void changes_while_notified(void **state)
{
	(void)state;
	static const struct copse_resource self = {
	    .path = "self", .get = get_and_change, .flags = SEEN, .worth = COPSE_COMMAND};
	struct srv *b = observed_default();
	changed_in_handler = b->server;
	offer(b, &self);
	assert_true(observe(b, "self", 0));
	change(b, &self);
	for (int i = 0; i < 10 && next_due(b); i++)
		reply_empty(b, COPSE_ACK);
	expect_body(b, "5");
	assert_false(next_due(b));
	srv_done(b);
}

/* The handler of a thing drops its observers while it is asked what to tell them: nobody is told, and what they had is
 * free for others. */
static void get_and_drop(const struct copse_request *rq, struct copse_response *rs)
{
	get_value(rq, rs);
	if (rq->purpose == COPSE_PURPOSE_NOTIFY)
		copse_server_drop_observers(changed_in_handler, rq->resource, rq->now);
}

static void drops_while_notified(void **state)
{
	(void)state;
	static const struct copse_resource self = {
	    .path = "self", .get = get_and_drop, .flags = SEEN, .worth = COPSE_COMMAND};
	struct srv *b = observed_default();
	changed_in_handler = b->server;
	offer(b, &self);
	for (int round = 0; round < 3; round++) {
		for (uint8_t p = 1; p <= 3; p++) {
			b->from = srv_peer(p);
			assert_true(observe(b, p == 1 ? "self?unit=x" : "self", 0));
		}
		assert_int_equal(copse_server_observers(b->server, &self), 3);
		assert_int_equal(change(b, &self), 2);
		assert_false(next_due(b));
		assert_int_equal(copse_server_observers(b->server, NULL), 0);
		assert_int_equal(change(b, &self), 0);
	}
	b->from = srv_peer(1);
	assert_true(observe(b, "obs", 0)); /* another thing finds the views in order */
	change(b, &obs);
	assert_true(next_due(b));
	expect_code(b, CONTENT);
	srv_done(b);
}

/* --- what a handler decides --- */

static uint8_t banned; /* number of the peer that may not go on; 0: all may */
static unsigned ended;
static bool once;

static bool may(void *user, const struct copse_peer *peer)
{
	assert_ptr_equal(user, &banned);
	return peer->key[2] != banned;
}

static void get_reviewed(const struct copse_request *rq, struct copse_response *rs)
{
	ended += copse_request_review(rq, COPSE_CODE_UNAUTHORIZED, may, &banned);
	if (once)
		copse_request_once(rq);
	get_value(rq, rs);
}

static void some_may_not_go_on(void **state)
{
	(void)state;
	static const struct copse_resource reviewed = {
	    .path = "reviewed", .get = get_reviewed, .flags = SEEN, .worth = COPSE_COMMAND};
	struct srv *b = observed_default();
	unsigned told = 0, refused = 0;
	offer(b, &reviewed);
	banned = 2; /* has no effect on requests */
	once = false;
	ended = 0;
	for (uint8_t p = 1; p <= 3; p++) {
		b->from = srv_peer(p);
		assert_true(observe(b, "reviewed", 0));
		expect_code(b, CONTENT);
	}
	assert_int_equal(ended, 0);
	change(b, &reviewed);
	while (next_due(b)) {
		if (b->rs.code == COPSE_CODE_UNAUTHORIZED) {
			expect_no(b, OBSERVE);
			assert_int_equal(b->rs.payload_len, 0);
			refused |= 1u << b->to.key[2];
		} else {
			told |= 1u << b->to.key[2];
		}
	}
	assert_int_equal(told, 1 << 1 | 1 << 3);
	assert_int_equal(refused, 1 << 2);
	assert_int_equal(ended, 1);
	assert_int_equal(copse_server_counters(b->server)->ended, 1);
	assert_int_equal(copse_server_observers(b->server, &reviewed), 2);
	/* one whose notification is not acknowledged yet: it is not sent again */
	banned = 3;
	change(b, &reviewed);
	refused = 0;
	while (next_due(b))
		refused |= b->rs.code == COPSE_CODE_UNAUTHORIZED ? 1u << b->to.key[2] : 0;
	assert_int_equal(refused, 1 << 3);
	/* the last one too: the view goes */
	banned = 1;
	change(b, &reviewed);
	while (next_due(b))
		assert_int_equal(b->rs.code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	assert_int_equal(change(b, &reviewed), 0);
	srv_done(b);
}

static void answered_once(void **state)
{
	(void)state;
	static const struct copse_resource reviewed = {
	    .path = "reviewed", .get = get_reviewed, .flags = SEEN, .worth = COPSE_COMMAND};
	struct srv *b = observed_default();
	offer(b, &reviewed);
	banned = 0;
	once = true;
	assert_true(observe(b, "reviewed", 0));
	expect_code(b, CONTENT);
	expect_no(b, OBSERVE);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	assert_int_equal(copse_server_counters(b->server)->refused_observer, 1);
	assert_true(get(b, "reviewed")); /* without Observe: no effect */
	expect_code(b, CONTENT);
	assert_int_equal(copse_server_counters(b->server)->refused_observer, 1);
	/* it ends what there was under the same token */
	once = false;
	assert_true(observe(b, "reviewed", 0));
	assert_int_equal(copse_server_observers(b->server, NULL), 1);
	once = true;
	assert_true(observe(b, "reviewed", 0));
	expect_code(b, CONTENT);
	expect_no(b, OBSERVE);
	assert_int_equal(copse_server_observers(b->server, NULL), 0);
	assert_int_equal(change(b, &reviewed), 0);
	srv_done(b);
}

static void memory_of_an_observer(void **state)
{
	(void)state;
	struct copse_server_config c = srv_config();
	c.observer_cap = 0;
	const size_t none = copse_server_bytes(&c);
	static const uint32_t caps[] = {1, 100, 1000, 1025, 10000, 16385, 100000};
	for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
		c.observer_cap = caps[i];
		assert_true((copse_server_bytes(&c) - none) / caps[i] <= 128);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(registration),
	    cmocka_unit_test(not_observed),
	    cmocka_unit_test(registered_again),
	    cmocka_unit_test(rejected),
	    cmocka_unit_test(given_up),
	    cmocka_unit_test(one_in_flight),
	    cmocka_unit_test(faster_than_the_link),
	    cmocka_unit_test(telemetry_is_spaced),
	    cmocka_unit_test(a_con_now_and_then),
	    cmocka_unit_test(errors_end_it),
	    cmocka_unit_test(removed_resource),
	    cmocka_unit_test(dropped_silently),
	    cmocka_unit_test(views),
	    cmocka_unit_test(fetch_is_observed),
	    cmocka_unit_test(wildcards),
	    cmocka_unit_test(with_blocks),
	    cmocka_unit_test(deferred_registration),
	    cmocka_unit_test(unanswered_registration),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(more_than_there_is_room_for),
	    cmocka_unit_test(the_deaf_do_not_block_others),
	    cmocka_unit_test(changes_while_notified),
	    cmocka_unit_test(drops_while_notified),
	    cmocka_unit_test(some_may_not_go_on),
	    cmocka_unit_test(answered_once),
	    cmocka_unit_test(memory_of_an_observer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
