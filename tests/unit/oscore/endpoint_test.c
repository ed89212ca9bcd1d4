/* OSCORE on two endpoints in virtual time: a client and a server that know nothing of it, a wire that can be looked at,
 * lose and repeat.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "oscore_bench.h"

#include <copse/client.h>
#include <copse/oscore_endpoint.h>
#include <copse/server.h>

#include <stdio.h>

#define BODY 3000u

struct end {
	struct copse_endpoint *ep;
	struct copse_oscore *oscore;
	struct copse_oscore_context context;
	void *memory[3];
	struct copse_peer peer; /* how the other one sees it */
};

struct world {
	struct end c, s;
	struct copse_client *client;
	struct copse_server *server;
	copse_ms now;
	uint32_t value;
	uint8_t upload[BODY];
	size_t upload_len;
	/* what the call has brought */
	int events, notifications, error;
	uint8_t code;
	uint8_t body[BODY];
	size_t body_len;
	/* the wire */
	unsigned datagrams, clear;
	bool lose;          /* the next datagram */
	uint8_t last[2048]; /* what the client sent last */
	size_t last_len;
	uint8_t reply_code; /* outer, of what the server sent last */
	const char *secret; /* is not to be seen */
};

static struct world *w;

static void value_get(const struct copse_request *rq, struct copse_response *rs)
{
	char text[32];
	const int n = snprintf(text, sizeof text, "value %u", (unsigned)w->value);
	(void)rq;
	copse_response_copy(rs, COPSE_FORMAT_TEXT, text, (size_t)n);
}

static void large_get(const struct copse_request *rq, struct copse_response *rs)
{
	static uint8_t body[BODY];
	(void)rq;
	for (unsigned i = 0; i < BODY; i++)
		body[i] = (uint8_t)(i * 7);
	copse_response_view(rs, COPSE_FORMAT_OCTETS, body, BODY);
}

static void put(const struct copse_request *rq, struct copse_response *rs)
{
	assert_true(rq->body_len <= BODY);
	memcpy(w->upload, rq->body, rq->body_len);
	w->upload_len = rq->body_len;
	rs->code = COPSE_CODE_CHANGED;
}

static const struct copse_resource resources[] = {
    {.path = "value", .get = value_get, .flags = COPSE_RESOURCE_OBSERVABLE, .worth = COPSE_COMMAND},
    {.path = "large", .get = large_get, .put = put, .flags = COPSE_RESOURCE_WHOLE},
};

static void end_make(struct end *e, uint8_t n, bool required, const char *us, const char *them)
{
	struct copse_config config = {.group = {COPSE_PARAMS_DEFAULT},
				      .group_n = 1,
				      .exchange_cap = 16,
				      .incoming_cap = 64,
				      .peer_cap = 8,
				      .chunk_cap = 1024,
				      .reply_cap = 16,
				      .seed = {n, 2}};
	struct copse_oscore_config oscore = COPSE_OSCORE_DEFAULT;
	config.group[0].probing_rate = 0;
	oscore.binding_cap = 4;
	oscore.required = required;
	oscore.seed[0] = n;
	e->memory[0] = malloc(copse_endpoint_bytes(&config));
	e->ep = copse_endpoint_init(e->memory[0], copse_endpoint_bytes(&config), &config, w->now);
	e->memory[1] = malloc(copse_oscore_bytes(&oscore));
	e->oscore = copse_oscore_attach(e->memory[1], copse_oscore_bytes(&oscore), &oscore, e->ep);
	e->peer = (struct copse_peer){.len = 1, .key = {n}};
	assert_int_equal(make(&e->context, SALT, NULL, us, them, 0), 0);
}

static int setup(void **state)
{
	struct copse_client_config client = COPSE_CLIENT_DEFAULT;
	struct copse_server_config server = COPSE_SERVER_DEFAULT;
	client.message_len = server.message_len = 8192; /* longer than what is protected may be */
	*state = w = calloc(1, sizeof *w);
	w->now = 1000;
	end_make(&w->c, 1, false, "01", "02");
	end_make(&w->s, 2, true, "02", "01");
	copse_oscore_ask(w->c.oscore, &w->c.context);
	assert_int_equal(copse_oscore_add(w->s.oscore, &w->s.context), 0);
	w->c.memory[2] = malloc(copse_client_bytes(&client));
	w->client = copse_client_init(w->c.memory[2], copse_client_bytes(&client), &client, w->c.ep);
	w->s.memory[2] = malloc(copse_server_bytes(&server));
	w->server = copse_server_init(w->s.memory[2], copse_server_bytes(&server), &server, w->s.ep, w->now);
	assert_int_equal(copse_server_add_all(w->server, resources, 2), 0);
	w->secret = "value";
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	copse_server_end(w->server);
	for (unsigned i = 0; i < 3; i++) {
		free(w->c.memory[i]);
		free(w->s.memory[i]);
	}
	free(w);
	return 0;
}

static int write_body(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	(void)user;
	assert_true(offset + len <= BODY);
	if (len > 0)
		memcpy(w->body + offset, bytes, len);
	w->body_len = offset + len;
	return 0;
}

static int read_body(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	(void)user;
	const size_t n = BODY - offset < cap ? BODY - offset : cap;
	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)((offset + i) * 3);
	return (int)n;
}

static void told(const struct copse_client_event *e)
{
	if (e->kind == COPSE_CLIENT_PROGRESS)
		return;
	w->events++;
	w->notifications += e->kind == COPSE_CLIENT_NOTIFICATION;
	w->error = e->error;
	w->code = e->message ? e->message->code : 0;
}

static void drain_server(void)
{
	struct copse_event e;
	while (copse_endpoint_next_event(w->s.ep, &e))
		copse_server_take(w->server, &e, w->now);
}

static void drain_client(void)
{
	struct copse_event e;
	struct copse_client_event ce;
	while (copse_endpoint_next_event(w->c.ep, &e)) {
		if (copse_client_take(w->client, &e, w->now, &ce) > 0)
			told(&ce);
	}
	while (copse_client_expire(w->client, w->now, &ce))
		told(&ce);
}

static void look_at(const uint8_t *bytes, size_t len)
{
	const size_t n = strlen(w->secret);
	w->datagrams++;
	for (size_t i = 0; i + n <= len; i++)
		w->clear += memcmp(bytes + i, w->secret, n) == 0;
}

/* Pass on what waits on either side; returns whether anything did. */
static bool pass(void)
{
	uint8_t buf[2048];
	struct copse_peer to;
	bool any = false;
	int n;
	copse_server_expire(w->server, w->now);
	while ((n = copse_endpoint_transmit(w->c.ep, buf, sizeof buf, &to, w->now)) > 0) {
		any = true;
		look_at(buf, (size_t)n);
		memcpy(w->last, buf, (size_t)n);
		w->last_len = (size_t)n;
		if (!w->lose)
			copse_endpoint_receive(w->s.ep, &w->c.peer, buf, (size_t)n, w->now);
		w->lose = false;
		drain_server();
	}
	while ((n = copse_endpoint_transmit(w->s.ep, buf, sizeof buf, &to, w->now)) > 0) {
		any = true;
		look_at(buf, (size_t)n);
		if (buf[1])
			w->reply_code = buf[1];
		copse_endpoint_receive(w->c.ep, &w->s.peer, buf, (size_t)n, w->now);
		drain_client();
	}
	return any;
}

static void run(copse_ms span)
{
	const copse_ms end = w->now + span;
	for (;;) {
		while (pass())
			;
		if (w->now >= end)
			return;
		w->now += 100;
		copse_endpoint_expire(w->c.ep, w->now);
		copse_endpoint_expire(w->s.ep, w->now);
		copse_server_expire(w->server, w->now);
		drain_client();
		drain_server();
	}
}

static copse_handle call(uint8_t code, const char *path, unsigned flags, uint32_t body_len)
{
	static uint8_t options[64];
	struct copse_builder b;
	copse_handle handle;
	copse_build_rest(&b, options, sizeof options);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, path, strlen(path));
	const struct copse_call c = {.peer = &w->s.peer,
				     .code = code,
				     .flags = (uint8_t)flags,
				     .szx = 6,
				     .options = options,
				     .options_len = (size_t)copse_build_finish(&b),
				     .body_len = body_len,
				     .read = body_len ? read_body : NULL,
				     .write = write_body};
	w->events = 0;
	assert_int_equal(copse_client_start(w->client, &c, w->now, &handle), 0);
	return handle;
}

static void body_is(const char *text)
{
	assert_int_equal(w->body_len, strlen(text));
	assert_memory_equal(w->body, text, w->body_len);
}

static void a_request_is_answered_and_nobody_sees_it(void **state)
{
	(void)state;
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->events, 1);
	assert_int_equal(w->code, COPSE_CODE_CONTENT);
	body_is("value 0");
	assert_int_equal(w->clear, 0);
	assert_int_equal(w->reply_code, COPSE_CODE_CHANGED);
	call(COPSE_CODE_GET, "nothing", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_NOT_FOUND);
	assert_int_equal(w->reply_code, COPSE_CODE_CHANGED); /* an error, too, is inside */
}

/* What is sent again is the same message: it is a duplicate, and no replay. */
static void what_is_lost_is_sent_again(void **state)
{
	(void)state;
	w->lose = true;
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(4000);
	assert_int_equal(w->events, 1);
	body_is("value 0");
	assert_int_equal(copse_endpoint_receive(w->s.ep, &w->c.peer, w->last, w->last_len, w->now), 0);
	assert_int_equal(copse_oscore_counters(w->s.oscore)->replayed, 0);
	/* The same under another ID is one, as it is from another address. */
	w->last[3] ^= 0x55;
	copse_endpoint_receive(w->s.ep, &w->c.peer, w->last, w->last_len, w->now);
	drain_server();
	assert_int_equal(copse_oscore_counters(w->s.oscore)->replayed, 1);
	run(0);
	assert_int_equal(w->reply_code, COPSE_CODE_UNAUTHORIZED);
}

static void bodies_go_block_by_block_inside(void **state)
{
	(void)state;
	call(COPSE_CODE_GET, "large", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_CONTENT);
	assert_int_equal(w->body_len, BODY);
	for (unsigned i = 0; i < BODY; i++)
		assert_int_equal(w->body[i], (uint8_t)(i * 7));
	call(COPSE_CODE_PUT, "large", COPSE_CALL_CON, BODY);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_CHANGED);
	assert_int_equal(w->upload_len, BODY);
	for (unsigned i = 0; i < BODY; i++)
		assert_int_equal(w->upload[i], (uint8_t)(i * 3));
	assert_int_equal(w->clear, 0);
}

/* By a transport that takes BERT (RFC 8323 §6), of which nothing is left inside. */
static void no_bert_inside(void **state)
{
	w->c.peer.flags = w->s.peer.flags = COPSE_PEER_RELIABLE | 16u << COPSE_PEER_UNITS_SHIFT;
	bodies_go_block_by_block_inside(state);
}

/* Blocks that follow an answer by themselves are protected as it is, and take the place of no observer: there are four. */
static void blocks_follow_by_themselves(void **state)
{
	(void)state;
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON | COPSE_CALL_OBSERVE, 0);
	run(0);
	for (unsigned i = 0; i < 6; i++) {
		w->body_len = 0;
		call(COPSE_CODE_GET, "large", COPSE_CALL_CON | COPSE_CALL_QBLOCK, 0);
		run(0);
		assert_int_equal(w->code, COPSE_CODE_CONTENT);
		assert_int_equal(w->body_len, BODY);
		for (unsigned k = 0; k < BODY; k++)
			assert_int_equal(w->body[k], (uint8_t)(k * 7));
	}
	assert_int_equal(copse_oscore_counters(w->s.oscore)->forgotten, 0);
	w->value = 9;
	copse_server_changed(w->server, &resources[0], NULL, w->now);
	run(0);
	body_is("value 9");
	assert_int_equal(w->clear, 0);
}

static void observations_begin_go_on_and_end(void **state)
{
	(void)state;
	const copse_handle h = call(COPSE_CODE_GET, "value", COPSE_CALL_CON | COPSE_CALL_OBSERVE, 0);
	run(0);
	assert_int_equal(w->notifications, 1);
	body_is("value 0");
	for (unsigned i = 1; i <= 20; i++) {
		w->value = i;
		copse_server_changed(w->server, &resources[0], NULL, w->now);
		run(4000);
		assert_int_equal(w->notifications, i + 1);
	}
	body_is("value 20");
	assert_int_equal(w->reply_code, COPSE_CODE_CONTENT);
	run(200000); /* it is registered anew when it is stale */
	w->value = 21;
	copse_server_changed(w->server, &resources[0], NULL, w->now);
	run(4000);
	body_is("value 21");
	assert_int_equal(copse_client_stop(w->client, h, w->now), 0);
	run(1000);
	assert_int_equal(copse_server_observers(w->server, NULL), 0);
	assert_int_equal(copse_client_calls(w->client), 0);
	assert_int_equal(w->clear, 0);
	/* Neither side has a binding left: four more calls find room. */
	for (unsigned i = 0; i < 8; i++) {
		call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
		run(0);
		assert_int_equal(w->code, COPSE_CODE_CONTENT);
	}
	assert_int_equal(copse_oscore_counters(w->s.oscore)->full, 0);
	assert_int_equal(copse_oscore_counters(w->s.oscore)->forgotten, 0);
}

/* Appendix B.1.2: the client answers the challenge by itself. */
static void a_server_that_starts_again_challenges_once(void **state)
{
	(void)state;
	copse_oscore_lost_window(&w->s.context);
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_CONTENT);
	assert_int_equal(copse_oscore_counters(w->s.oscore)->challenged, 1);
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_CONTENT);
	assert_int_equal(copse_oscore_counters(w->s.oscore)->challenged, 1);
}

static void who_has_other_keys_is_told_so(void **state)
{
	(void)state;
	w->c.context.sender_key[0] ^= 1;
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_BAD_REQUEST);
	w->c.context.sender_id[0] = 9;
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_UNAUTHORIZED);
	copse_oscore_ask(w->c.oscore, NULL); /* in the clear */
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(copse_oscore_counters(w->s.oscore)->refused, 3);
}

/* A server that the answer cannot be verified of is not believed. */
static void an_answer_of_somebody_else_is_none(void **state)
{
	(void)state;
	w->s.context.sender_key[0] ^= 1;
	call(COPSE_CODE_GET, "value", COPSE_CALL_CON, 0);
	run(0);
	assert_int_equal(w->events, 1);
	assert_int_equal(w->error, COPSE_ERR_SEALED);
	assert_int_equal(copse_oscore_counters(w->c.oscore)->dropped, 1);
}

static void without_numbers_nothing_is_sent(void **state)
{
	(void)state;
	static const uint8_t options[] = {0xb5, 'v', 'a', 'l', 'u', 'e'};
	const struct copse_call c = {.peer = &w->s.peer,
				     .code = COPSE_CODE_GET,
				     .flags = COPSE_CALL_CON,
				     .options = options,
				     .options_len = sizeof options};
	copse_oscore_sequence(&w->c.context, COPSE_OSCORE_SEQUENCE_MAX + 1, NULL, NULL);
	assert_int_equal(copse_client_start(w->client, &c, w->now, NULL), COPSE_ERR_EXHAUSTED);
	run(0);
	assert_int_equal(w->datagrams, 0);
}

/* The bound: four bindings at the server. The fifth observer takes the place of the first, who is never told anything in
 * the clear. */
static void beyond_the_bound_the_first_observer_is_forgotten(void **state)
{
	(void)state;
	static const uint8_t options[] = {0x60, 0x55, 'v', 'a', 'l', 'u', 'e'};
	for (unsigned i = 0; i < 6; i++) {
		struct copse_oscore_binding b;
		uint8_t plain[64] = {0x41, COPSE_CODE_GET, 0, (uint8_t)i, (uint8_t)i}, out[256];
		memcpy(plain + 5, options, sizeof options);
		const struct copse_message m = parse(plain, 5 + sizeof options);
		const int n = protect(&w->c.context, &m, COPSE_OSCORE_REQUEST, &b, out, sizeof out);
		copse_endpoint_receive(w->s.ep, &w->c.peer, out, (size_t)n, w->now);
		drain_server();
	}
	assert_int_equal(copse_server_observers(w->server, NULL), 6);
	assert_int_equal(copse_oscore_counters(w->s.oscore)->forgotten, 2);
	w->value = 5;
	copse_server_changed(w->server, &resources[0], NULL, w->now);
	run(0);
	assert_int_equal(w->clear, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_request_is_answered_and_nobody_sees_it),
	    TEST(what_is_lost_is_sent_again),
	    TEST(bodies_go_block_by_block_inside),
	    TEST(no_bert_inside),
	    TEST(blocks_follow_by_themselves),
	    TEST(observations_begin_go_on_and_end),
	    TEST(a_server_that_starts_again_challenges_once),
	    TEST(who_has_other_keys_is_told_so),
	    TEST(an_answer_of_somebody_else_is_none),
	    TEST(without_numbers_nothing_is_sent),
	    TEST(beyond_the_bound_the_first_observer_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
