/* The endpoint, datagram by datagram: what leaves in answer to what arrives, the bounds of every pool, and what an
 * attacker or a confused peer may try.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/endpoint.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_DATAGRAM 4096

struct bench {
	struct copse_endpoint *ep;
	void *memory;
	copse_ms now;
	/* the datagram last transmitted */
	uint8_t out[MAX_DATAGRAM];
	int out_len;
	struct copse_peer out_peer;
	struct copse_message sent;
};

static struct copse_peer peer(uint8_t n)
{
	return (struct copse_peer){.len = 3, .key = {'p', 'q', n}};
}

static struct copse_config config(void)
{
	return (struct copse_config){.group = {COPSE_PARAMS_DEFAULT},
				     .group_n = 1,
				     .exchange_cap = 8,
				     .incoming_cap = 8,
				     .peer_cap = 8,
				     .chunk_cap = 64,
				     .reply_cap = 4,
				     .seed = {1, 2}};
}

static struct bench bench_with(const struct copse_config *c)
{
	struct bench b = {.now = 5000};
	const size_t len = copse_endpoint_bytes(c);
	b.memory = malloc(len);
	assert_non_null(b.memory);
	memset(b.memory, 0x5a, len);
	b.ep = copse_endpoint_init(b.memory, len, c, b.now);
	return b;
}

static struct bench bench(void)
{
	const struct copse_config c = config();
	return bench_with(&c);
}

static void done(struct bench *b)
{
	free(b->memory);
}

/* Build and hand in; returns what receive returned. */
static int receive(struct bench *b, const struct copse_peer *from, enum copse_type type, uint8_t code,
		   uint16_t id, const char *token, const char *path)
{
	uint8_t buf[128];
	struct copse_builder m;
	copse_build_message(&m, buf, sizeof buf, type, code, id, token, strlen(token));
	if (path)
		copse_build_option(&m, COPSE_OPTION_URI_PATH, path, strlen(path));
	const int n = copse_build_finish(&m);
	assert_true(n > 0);
	/* Exactly as long as the message, so that a sanitizer sees reads beyond it; kept until its event is drained. */
	static uint8_t *datagram;
	free(datagram);
	datagram = malloc((size_t)n);
	memcpy(datagram, buf, (size_t)n);
	return copse_endpoint_receive(b->ep, from, datagram, (size_t)n, b->now);
}

static bool transmit(struct bench *b)
{
	b->out_len = copse_endpoint_transmit(b->ep, b->out, sizeof b->out, &b->out_peer, b->now);
	if (b->out_len == 0)
		return false;
	assert_int_equal(copse_message_parse(&b->sent, b->out, (size_t)b->out_len), 0);
	return true;
}

static struct copse_event next_event(struct bench *b, enum copse_event_kind kind)
{
	struct copse_event e;
	assert_true(copse_endpoint_next_event(b->ep, &e));
	assert_int_equal(e.kind, kind);
	return e;
}

static void no_event(struct bench *b)
{
	struct copse_event e;
	assert_false(copse_endpoint_next_event(b->ep, &e));
}

static void at(struct bench *b, copse_ms now)
{
	b->now = now;
	copse_endpoint_expire(b->ep, now);
}

/* What is next to be sent is an empty message of `type` with `id`. */
static void assert_empty_sent(struct bench *b, enum copse_type type, uint16_t id)
{
	assert_true(transmit(b));
	assert_int_equal(b->out_len, 4);
	assert_int_equal(b->sent.type, type);
	assert_int_equal(b->sent.code, 0);
	assert_int_equal(b->sent.id, id);
}

static const struct copse_out content = {
    .code = COPSE_CODE_CONTENT, .rest = (const uint8_t *)"\xffhi", .rest_len = 3};
static const struct copse_out get = {.code = COPSE_CODE_GET,
				     .con = true,
				     .rest = (const uint8_t *)"\xb1"
							      "a",
				     .rest_len = 2};
static const struct copse_out get_non = {.code = COPSE_CODE_GET,
					 .rest = (const uint8_t *)"\xb1"
								  "a",
					 .rest_len = 2};

static copse_handle request(struct bench *b, const struct copse_peer *to, const struct copse_out *out,
			    unsigned flags)
{
	copse_handle h;
	assert_int_equal(copse_endpoint_request(b->ep, to, out, flags, b, b->now, &h), 0);
	assert_true(h != COPSE_NO_HANDLE);
	return h;
}

static int reply_with(struct bench *b, const struct copse_peer *from, enum copse_type type, uint8_t code,
		      uint16_t id, const char *observe)
{
	uint8_t buf[64];
	struct copse_builder m;
	copse_build_message(&m, buf, sizeof buf, type, code, id, copse_message_token(&b->sent),
			    code ? b->sent.token_len : 0);
	if (observe)
		copse_build_option(&m, COPSE_OPTION_OBSERVE, observe, strlen(observe));
	const int n = copse_build_finish(&m);
	static uint8_t keep[64];
	memcpy(keep, buf, (size_t)n);
	return copse_endpoint_receive(b->ep, from, keep, (size_t)n, b->now);
}

static int reply_to_sent(struct bench *b, const struct copse_peer *from, enum copse_type type, uint8_t code,
			 uint16_t id)
{
	return reply_with(b, from, type, code, id, NULL);
}

/* ---- server ---- */

static void piggybacked(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 7, "tok", "a"), 1);
	const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
	no_event(&b);
	assert_true(copse_peer_equal(e.peer, &p));
	assert_false(transmit(&b)); /* nothing before the application has answered */
	assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), 0);
	assert_true(transmit(&b));
	assert_true(copse_peer_equal(&b.out_peer, &p));
	const uint8_t expected[] = {0x63, 0x45, 0x00, 0x07, 't',
				    'o',  'k',  0xff, 'h',  'i'}; /* ACK, token 3, 2.05, ID 7 */
	assert_int_equal(b.out_len, sizeof expected);
	assert_memory_equal(b.out, expected, sizeof expected);
	assert_false(transmit(&b));
	/* answered is answered */
	assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), COPSE_ERR_GONE);
	/* the duplicate gets the same bytes and no event */
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 7, "tok", "a"), 0);
	no_event(&b);
	assert_true(transmit(&b));
	assert_memory_equal(b.out, expected, sizeof expected);
	/* the same ID of another peer is another message */
	const struct copse_peer q = peer(2);
	assert_int_equal(receive(&b, &q, COPSE_CON, COPSE_CODE_GET, 7, "tok", "a"), 1);
	done(&b);
}

static void separate_response(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	receive(&b, &p, COPSE_CON, COPSE_CODE_POST, 9, "t", "a");
	const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
	assert_int_equal(copse_endpoint_deadline(b.ep), b.now + 500);
	at(&b, b.now + 499);
	assert_false(transmit(&b));
	at(&b, b.now + 1);
	assert_empty_sent(&b, COPSE_ACK, 9);
	/* a duplicate before the answer: acknowledged again, not run */
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_POST, 9, "t", "a"), 0);
	assert_empty_sent(&b, COPSE_ACK, 9);
	at(&b, b.now + 10000);
	copse_endpoint_tag(b.ep, e.exchange, &b);
	assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), 0);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.type, COPSE_CON);
	assert_int_equal(b.sent.token_len, 1);
	const uint16_t id = b.sent.id;
	/* not acknowledged: sent again after 2 to 3 seconds, the same */
	assert_true(copse_endpoint_deadline(b.ep) >= b.now + 2000 &&
		    copse_endpoint_deadline(b.ep) <= b.now + 3000);
	at(&b, b.now + 3000);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.id, id);
	assert_int_equal(receive(&b, &p, COPSE_ACK, 0, id, "", NULL), 1);
	const struct copse_event acked = next_event(&b, COPSE_EVENT_ACKED);
	assert_ptr_equal(acked.user, &b);
	at(&b, b.now + 100000);
	assert_false(transmit(&b));
	done(&b);
}

static void separate_response_is_given_up(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 9, "t", "a");
	const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
	copse_endpoint_tag(b.ep, e.exchange, &b);
	copse_endpoint_acknowledge(b.ep, e.exchange, b.now);
	assert_empty_sent(&b, COPSE_ACK, 9);
	copse_endpoint_respond(b.ep, e.exchange, &content, b.now);
	const copse_ms begin = b.now;
	unsigned n = 0;
	while (transmit(&b)) {
		n++;
		at(&b, copse_endpoint_deadline(b.ep));
	}
	assert_int_equal(n, 5); /* 1 + MAX_RETRANSMIT */
	assert_true(b.now - begin >= 62000 && b.now - begin <= 93000);
	const struct copse_event failed = next_event(&b, COPSE_EVENT_FAILED);
	assert_int_equal(failed.error, COPSE_ERR_TIMEOUT);
	assert_int_equal(failed.sent, 5);
	done(&b);
}

static void non_request(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	receive(&b, &p, COPSE_NON, COPSE_CODE_GET, 9, "t", "a");
	const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
	at(&b, b.now + 20000);
	assert_false(transmit(&b)); /* a NON is never acknowledged */
	copse_endpoint_respond(b.ep, e.exchange, &content, b.now);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.type, COPSE_NON);
	assert_int_equal(receive(&b, &p, COPSE_NON, COPSE_CODE_GET, 9, "t", "a"), 0);
	no_event(&b);
	assert_false(transmit(&b));
	done(&b);
}

/* A new process on an old port draws an ID that was used lately: its request is no copy, its token says so. */
static void another_token_is_another_message(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 7, "old", "a");
	struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
	/* while the first is not answered, the ID is its own (RFC 7252 §4.5) */
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 7, "new", "a"), 0);
	no_event(&b);
	assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), 0);
	while (transmit(&b))
		;
	/* a copy stays a copy */
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 7, "old", "a"), 0);
	no_event(&b);
	while (transmit(&b))
		;
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 7, "new", "a"), 1);
	e = next_event(&b, COPSE_EVENT_REQUEST);
	assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), 0);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.token_len, 3);
	assert_memory_equal(copse_message_token(&b.sent), "new", 3);
	/* a shorter token that begins alike is another one; so is another method or length under the same token */
	const struct {
		uint8_t code;
		const char *token, *path;
	} others[] = {{COPSE_CODE_GET, "ne", "a"},
		      {COPSE_CODE_DELETE, "ne", "a"},
		      {COPSE_CODE_DELETE, "ne", "ab"},
		      {COPSE_CODE_DELETE, "new", "a"}};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		assert_int_equal(
		    receive(&b, &p, COPSE_CON, others[i].code, 7, others[i].token, others[i].path), 1);
		e = next_event(&b, COPSE_EVENT_REQUEST);
		assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), 0);
		while (transmit(&b))
			;
		assert_int_equal(
		    receive(&b, &p, COPSE_CON, others[i].code, 7, others[i].token, others[i].path), 0);
		while (transmit(&b))
			;
	}
	done(&b);
}

/* No share of all endpoints begins with the same message ID: a gateway would take their requests for copies. */
static void first_ids_are_spread_evenly(void **state)
{
	enum { N = 4096, SHARES = 15 };
	unsigned share[SHARES] = {0}, zeros = 0;
	(void)state;
	for (unsigned i = 0; i < N; i++) {
		struct copse_config c = config();
		const struct copse_peer p = peer(1);
		c.seed[0] = 1000 + i;
		struct bench b = bench_with(&c);
		request(&b, &p, &get, 0);
		assert_true(transmit(&b));
		assert_true(b.sent.id < 0xf000);
		share[b.sent.id >> 12]++;
		zeros += b.sent.id == 0;
		done(&b);
	}
	assert_true(zeros < 5);
	for (unsigned i = 0; i < SHARES; i++) /* six standard deviations about N / SHARES */
		assert_in_range(share[i], 273 - 96, 273 + 96);
}

static void duplicates_are_remembered_for_their_lifetime(void **state)
{
	(void)state;
	const struct copse_params params = COPSE_PARAMS_DEFAULT;
	assert_int_equal(copse_params_max_transmit_span(&params), 45000); /* the values of RFC 7252 §4.8.2 */
	assert_int_equal(copse_params_max_transmit_wait(&params), 93000);
	assert_int_equal(copse_params_exchange_lifetime(&params), 247000);
	assert_int_equal(copse_params_non_lifetime(&params), 145000);
	for (int con = 0; con < 2; con++) {
		struct bench b = bench();
		const struct copse_peer p = peer(1);
		const enum copse_type type = con ? COPSE_CON : COPSE_NON;
		const copse_ms lifetime = con ? 247000 : 145000;
		receive(&b, &p, type, COPSE_CODE_POST, 9, "t", "a");
		const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
		copse_endpoint_respond(b.ep, e.exchange, &content, b.now);
		transmit(&b);
		const copse_ms begin = b.now;
		at(&b, begin + lifetime - 1);
		assert_int_equal(receive(&b, &p, type, COPSE_CODE_POST, 9, "t", "a"), 0);
		while (transmit(&b)) {
		}
		at(&b, begin + lifetime + 2000);
		assert_int_equal(receive(&b, &p, type, COPSE_CODE_POST, 9, "t", "a"), 1);
		done(&b);
	}
}

static void deferred_longer_than_a_lifetime(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 9, "t", "a");
	const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
	for (int i = 0; i < 1000; i++)
		at(&b, b.now + 1000);
	assert_empty_sent(&b, COPSE_ACK, 9);
	assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), 0);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.type, COPSE_CON);
	done(&b);
}

static void ignored_request_is_acknowledged_only(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	receive(&b, &p, COPSE_CON, COPSE_CODE_PUT, 9, "t", "a");
	const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
	assert_int_equal(copse_endpoint_ignore(b.ep, e.exchange, b.now), 0);
	assert_empty_sent(&b, COPSE_ACK, 9);
	assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), COPSE_ERR_GONE);
	receive(&b, &p, COPSE_NON, COPSE_CODE_PUT, 10, "t", "a");
	copse_endpoint_ignore(b.ep, next_event(&b, COPSE_EVENT_REQUEST).exchange, b.now);
	assert_false(transmit(&b));
	done(&b);
}

static void ping_and_nonsense(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	assert_int_equal(receive(&b, &p, COPSE_CON, 0, 77, "", NULL), 0);
	assert_empty_sent(&b, COPSE_RST, 77);
	receive(&b, &p, COPSE_NON, 0, 78, "", NULL); /* §4.3: an empty NON is rejected in silence */
	receive(&b, &p, COPSE_ACK, 0, 79, "", NULL); /* no such exchange: ignored */
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_CONTENT, 80, "nobody's", NULL),
			 COPSE_ERR_UNMATCHED);
	assert_empty_sent(&b, COPSE_RST, 80); /* §4.2: context is missing */
	assert_false(transmit(&b));
	no_event(&b);
	done(&b);
}

/* A request by `type` with one option; returns what is transmitted as its code, 0 for an empty message, -1 for none. */
static int code_for_option(bool forwards, enum copse_type type, uint16_t number, const char *value)
{
	struct bench b = bench();
	copse_endpoint_forwards(b.ep, forwards);
	const struct copse_peer p = peer(1);
	uint8_t buf[64];
	struct copse_builder m;
	copse_build_message(&m, buf, sizeof buf, type, COPSE_CODE_GET, 3, "x", 1);
	copse_build_raw(&m, number, value, strlen(value));
	const int n = copse_build_finish(&m);
	const int err = copse_endpoint_receive(b.ep, &p, buf, (size_t)n, b.now);
	struct copse_event e;
	const bool event = copse_endpoint_next_event(b.ep, &e);
	assert_int_equal(err == 1, event);
	int code = -1;
	if (event)
		code = 1000; /* handed to the application */
	else if (transmit(&b))
		code = b.sent.code;
	done(&b);
	return code;
}

static void critical_options(void **state)
{
	(void)state;
	const int bad = COPSE_CODE_BAD_OPTION, event = 1000, none = -1;
	assert_int_equal(code_for_option(false, COPSE_CON, 9999, "?"), bad);   /* unknown, odd: critical */
	assert_int_equal(code_for_option(false, COPSE_NON, 9999, "?"), none);  /* §5.4.1: NON is rejected */
	assert_int_equal(code_for_option(false, COPSE_CON, 9998, "?"), event); /* elective */
	assert_int_equal(code_for_option(true, COPSE_CON, 9999, "?"), event);  /* a proxy decides itself */
	assert_int_equal(code_for_option(false, COPSE_CON, COPSE_OPTION_IF_MATCH, "e"),
			 bad); /* known, not understood */
	assert_int_equal(code_for_option(false, COPSE_CON, COPSE_OPTION_OSCORE, "o"), bad);
	assert_int_equal(code_for_option(false, COPSE_CON, COPSE_OPTION_OCF_ACCEPT_VERSION, "o"), bad);
	assert_int_equal(code_for_option(false, COPSE_CON, COPSE_OPTION_ACCEPT, "1"), event);
	assert_int_equal(code_for_option(false, COPSE_CON, COPSE_OPTION_ACCEPT, "123"),
			 bad); /* too long (§5.4.3) */
	assert_int_equal(code_for_option(false, COPSE_CON, COPSE_OPTION_PROXY_URI, "coap://a"),
			 COPSE_CODE_PROXYING_NOT_SUPPORTED);
	assert_int_equal(code_for_option(false, COPSE_CON, COPSE_OPTION_PROXY_SCHEME, "coap"),
			 COPSE_CODE_PROXYING_NOT_SUPPORTED);
	assert_int_equal(code_for_option(true, COPSE_CON, COPSE_OPTION_PROXY_URI, "coap://a"), event);
}

static void understood_options_pass(void **state)
{
	(void)state;
	struct bench b = bench();
	const uint16_t numbers[] = {COPSE_OPTION_IF_MATCH, COPSE_OPTION_OCF_ACCEPT_VERSION};
	copse_endpoint_understands(b.ep, numbers, 2);
	const struct copse_peer p = peer(1);
	uint8_t buf[64];
	struct copse_builder m;
	copse_build_message(&m, buf, sizeof buf, COPSE_CON, COPSE_CODE_GET, 3, "x", 1);
	copse_build_option(&m, COPSE_OPTION_IF_MATCH, "e", 1);
	copse_build_option(&m, COPSE_OPTION_URI_PATH, "e", 1);
	copse_build_option(&m, COPSE_OPTION_OCF_ACCEPT_VERSION, "e", 1);
	assert_int_equal(copse_endpoint_receive(b.ep, &p, buf, (size_t)copse_build_finish(&m), b.now), 1);
	done(&b);
}

static void multicast_requests(void **state)
{
	(void)state;
	struct bench b = bench();
	struct copse_peer p = peer(1);
	p.flags = COPSE_PEER_MULTICAST;
	assert_true(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 1, "t", "a") < 0); /* §8.1 */
	assert_true(receive(&b, &p, COPSE_CON, 0, 2, "", NULL) <= 0); /* no Reset to a group's asker */
	assert_true(receive(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 3, "t", NULL) < 0);
	assert_false(transmit(&b));
	assert_int_equal(receive(&b, &p, COPSE_NON, COPSE_CODE_GET, 4, "t", "a"), 1);
	copse_endpoint_respond(b.ep, next_event(&b, COPSE_EVENT_REQUEST).exchange, &content, b.now);
	assert_false(transmit(&b)); /* §8.2: leisure */
	const copse_ms leisure = copse_endpoint_deadline(b.ep) - b.now;
	assert_true(leisure >= 1 && leisure <= 5001);
	at(&b, b.now + leisure);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.type, COPSE_NON);
	assert_int_equal(b.out_peer.flags & COPSE_PEER_MULTICAST, 0);
	done(&b);
}

static void leisure_is_random(void **state)
{
	(void)state;
	struct copse_config c = config();
	c.exchange_cap = 512;
	c.incoming_cap = 512;
	c.peer_cap = 512;
	c.chunk_cap = 1024;
	struct bench b = bench_with(&c);
	for (uint16_t i = 0; i < 256; i++) {
		struct copse_peer p = peer((uint8_t)i);
		p.flags = COPSE_PEER_MULTICAST;
		receive(&b, &p, COPSE_NON, COPSE_CODE_GET, i, "t", "a");
		copse_endpoint_respond(b.ep, next_event(&b, COPSE_EVENT_REQUEST).exchange, &content, b.now);
	}
	unsigned quarter[4] = {0};
	const copse_ms begin = b.now;
	while (copse_endpoint_deadline(b.ep) < begin + 6000) {
		at(&b, copse_endpoint_deadline(b.ep));
		while (transmit(&b))
			quarter[(b.now - begin - 1) * 4 / 5001]++;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(quarter[i], 35, 93); /* 64 expected; four standard deviations */
	done(&b);
}

/* ---- client ---- */

static void request_and_response(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	const copse_handle h = request(&b, &p, &get, 0);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.type, COPSE_CON);
	assert_int_equal(b.sent.token_len, 8);
	assert_int_equal(reply_to_sent(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, b.sent.id), 1);
	const struct copse_event e = next_event(&b, COPSE_EVENT_RESPONSE);
	assert_true(e.exchange == h);
	assert_ptr_equal(e.user, &b);
	assert_int_equal(e.sent, 1);
	/* the token is free again: a second response is nobody's */
	assert_int_equal(reply_to_sent(&b, &p, COPSE_CON, COPSE_CODE_CONTENT, 1), COPSE_ERR_UNMATCHED);
	done(&b);
}

static void separate_response_is_acknowledged(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	request(&b, &p, &get, 0);
	assert_true(transmit(&b));
	assert_int_equal(reply_to_sent(&b, &p, COPSE_ACK, 0, b.sent.id), 0);
	no_event(&b);
	at(&b, b.now + 60000);
	assert_int_equal(reply_to_sent(&b, &p, COPSE_CON, COPSE_CODE_CONTENT, 4711), 1);
	next_event(&b, COPSE_EVENT_RESPONSE);
	uint8_t token[8];
	memcpy(token, copse_message_token(&b.sent), 8);
	assert_empty_sent(&b, COPSE_ACK, 4711);
	/* our acknowledgement was lost, it comes again: acknowledged again, no second event, no Reset */
	uint8_t buf[64];
	struct copse_builder m;
	copse_build_message(&m, buf, sizeof buf, COPSE_CON, COPSE_CODE_CONTENT, 4711, token, 8);
	assert_int_equal(copse_endpoint_receive(b.ep, &p, buf, (size_t)copse_build_finish(&m), b.now), 0);
	no_event(&b);
	assert_empty_sent(&b, COPSE_ACK, 4711);
	done(&b);
}

static void response_before_acknowledgement(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	request(&b, &p, &get, 0);
	assert_true(transmit(&b));
	const uint16_t id = b.sent.id;
	assert_int_equal(reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 1), 1); /* §5.2.2 */
	next_event(&b, COPSE_EVENT_RESPONSE);
	receive(&b, &p, COPSE_ACK, 0, id, "", NULL);
	at(&b, b.now + 100000);
	assert_false(transmit(&b));
	no_event(&b);
	done(&b);
}

static void forged_responses(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1), other = peer(2);
	request(&b, &p, &get, 0);
	assert_true(transmit(&b));
	struct copse_message sent = b.sent;
	uint8_t bytes[64];
	memcpy(bytes, b.out, (size_t)b.out_len);
	/* right token and ID, wrong peer */
	assert_int_equal(reply_to_sent(&b, &other, COPSE_ACK, COPSE_CODE_CONTENT, sent.id),
			 COPSE_ERR_UNMATCHED);
	assert_int_equal(reply_to_sent(&b, &other, COPSE_NON, COPSE_CODE_CONTENT, 5), COPSE_ERR_UNMATCHED);
	/* right peer and ID, wrong token */
	assert_int_equal(receive(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, sent.id, "guess..8", NULL),
			 COPSE_ERR_UNMATCHED);
	/* right peer and token, wrong ID in an acknowledgement */
	assert_int_equal(reply_to_sent(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, (uint16_t)(sent.id + 1)),
			 COPSE_ERR_UNMATCHED);
	/* another's Reset and acknowledgement */
	receive(&b, &other, COPSE_RST, 0, sent.id, "", NULL);
	next_event(&b, COPSE_EVENT_RESET);
	receive(&b, &other, COPSE_ACK, 0, sent.id, "", NULL);
	no_event(&b);
	/* and the right one still comes through */
	assert_int_equal(reply_to_sent(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, sent.id), 1);
	next_event(&b, COPSE_EVENT_RESPONSE);
	done(&b);
}

static void reset_ends_a_request(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	request(&b, &p, &get, 0);
	transmit(&b);
	assert_int_equal(receive(&b, &p, COPSE_RST, 0, b.sent.id, "", NULL), 1);
	const struct copse_event e = next_event(&b, COPSE_EVENT_FAILED);
	assert_int_equal(e.error, COPSE_ERR_RESET);
	done(&b);
}

static void pinging(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	copse_handle h;
	assert_int_equal(copse_endpoint_ping(b.ep, &p, &b, b.now, &h), 0);
	assert_true(transmit(&b));
	assert_int_equal(b.out_len, 4);
	assert_int_equal(b.sent.type, COPSE_CON);
	receive(&b, &p, COPSE_ACK, 0, b.sent.id, "", NULL); /* not an answer to a ping */
	no_event(&b);
	receive(&b, &p, COPSE_RST, 0, b.sent.id, "", NULL);
	assert_true(next_event(&b, COPSE_EVENT_PONG).exchange == h);
	done(&b);
}

static void bad_response_is_rejected(void **state)
{
	(void)state;
	for (int type = COPSE_CON; type <= COPSE_ACK; type++) {
		struct bench b = bench();
		const struct copse_peer p = peer(1);
		request(&b, &p, &get, 0);
		assert_true(transmit(&b));
		uint8_t buf[64];
		struct copse_builder m;
		copse_build_message(&m, buf, sizeof buf, (enum copse_type)type, COPSE_CODE_CONTENT, b.sent.id,
				    copse_message_token(&b.sent), 8);
		copse_build_raw(&m, 9999, "?", 1);
		assert_int_equal(copse_endpoint_receive(b.ep, &p, buf, (size_t)copse_build_finish(&m), b.now),
				 COPSE_ERR_BADOPTION);
		assert_int_equal(next_event(&b, COPSE_EVENT_FAILED).error, COPSE_ERR_BADOPTION);
		if (type == COPSE_CON) {
			const uint16_t id = b.sent.id;
			assert_empty_sent(&b, COPSE_RST, id);
			at(&b, b.now + 1000); /* past the delay of acknowledgements: nothing more is owed */
			assert_false(transmit(&b));
			copse_endpoint_receive(b.ep, &p, buf, (size_t)copse_build_finish(&m), b.now);
			assert_empty_sent(&b, COPSE_RST, id); /* a copy is rejected alike */
		}
		assert_false(transmit(&b));
		done(&b);
	}
}

static void observation_stays_open(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	const copse_handle h = request(&b, &p, &get, COPSE_REQUEST_MANY);
	assert_true(transmit(&b));
	const struct copse_message first = b.sent;
	uint8_t first_bytes[64];
	memcpy(first_bytes, b.out, (size_t)b.out_len);
	reply_to_sent(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, b.sent.id);
	next_event(&b, COPSE_EVENT_RESPONSE);
	assert_true(copse_endpoint_deadline(b.ep) == COPSE_NEVER ||
		    copse_endpoint_deadline(b.ep) > b.now + 100000);
	for (uint16_t id = 100; id < 105; id++) {
		assert_int_equal(reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, id), 1);
		assert_true(next_event(&b, COPSE_EVENT_RESPONSE).exchange == h);
		assert_int_equal(reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, id),
				 0); /* a duplicate */
	}
	/* registered anew under the same token */
	assert_int_equal(copse_endpoint_request_again(b.ep, h, &get, b.now), 0);
	assert_true(transmit(&b));
	assert_memory_equal(copse_message_token(&b.sent), first_bytes + 4, 8);
	assert_int_not_equal(b.sent.id, first.id);
	reply_to_sent(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, b.sent.id);
	next_event(&b, COPSE_EVENT_RESPONSE);
	copse_endpoint_cancel(b.ep, h, b.now);
	assert_int_equal(copse_endpoint_request_again(b.ep, h, &get, b.now), COPSE_ERR_GONE);
	assert_int_equal(reply_with(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 200, "\x07"), COPSE_ERR_UNMATCHED);
	assert_empty_sent(&b, COPSE_RST,
			  200); /* RFC 7641 §3.6: the notification of a forgotten observation */
	done(&b);
}

/* What ends an exchange leaves nothing behind: a copy of it finds no exchange, and is passed over in silence. */
static void copy_of_a_non_response(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	struct copse_endpoint_usage usage;
	for (int con = 0; con < 2; con++) {
		const copse_handle h = request(&b, &p, con ? &get : &get_non, 0);
		assert_true(transmit(&b));
		assert_int_equal(reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 700), 1);
		assert_true(next_event(&b, COPSE_EVENT_RESPONSE).exchange == h);
		copse_endpoint_usage(b.ep, &usage);
		assert_int_equal(usage.incoming, 0);
		assert_int_equal(usage.exchanges, 0);
		assert_int_equal(reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 700),
				 COPSE_ERR_UNMATCHED);
		no_event(&b);
		at(&b, b.now + 100000);
		assert_false(transmit(&b));
	}
	/* of a confirmable one the copy is acknowledged, so that one is remembered */
	request(&b, &p, &get, 0);
	assert_true(transmit(&b));
	assert_int_equal(reply_to_sent(&b, &p, COPSE_CON, COPSE_CODE_CONTENT, 701), 1);
	next_event(&b, COPSE_EVENT_RESPONSE);
	copse_endpoint_usage(b.ep, &usage);
	assert_int_equal(usage.incoming, 1);
	done(&b);
}

/* A token says which exchange it belongs to: it must be that one's to the last bit, and the exchange under way. */
static void a_token_of_another_exchange(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1), q = peer(2);
	request(&b, &p, &get_non, 0);
	assert_true(transmit(&b));
	const copse_handle h = request(&b, &q, &get_non, 0);
	assert_true(transmit(&b));
	uint8_t *token = b.out + 4;
	b.sent.token_len = 8;
	for (unsigned bit = 0; bit < 64;
	     bit++) { /* also those that name exchanges that are free, or out of range */
		token[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(reply_to_sent(&b, &q, COPSE_NON, COPSE_CODE_CONTENT, (uint16_t)(900 + bit)),
				 COPSE_ERR_UNMATCHED);
		token[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 890),
			 COPSE_ERR_UNMATCHED); /* RFC 7252 §5.3.2: from another endpoint */
	assert_int_equal(reply_to_sent(&b, &q, COPSE_NON, COPSE_CODE_CONTENT, 891), 1);
	assert_true(next_event(&b, COPSE_EVENT_RESPONSE).exchange == h);
	assert_false(transmit(&b));
	done(&b);
}

static void multicast_collects(void **state)
{
	(void)state;
	struct bench b = bench();
	struct copse_peer group = peer(200);
	group.flags = COPSE_PEER_MULTICAST;
	const copse_handle h = request(&b, &group, &get_non, COPSE_REQUEST_MANY);
	assert_true(transmit(&b));
	assert_true(b.sent.id >= 0xf000);
	for (uint8_t i = 1; i < 6; i++) {
		const struct copse_peer p = peer(i);
		assert_int_equal(reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, i), 1);
		const struct copse_event e = next_event(&b, COPSE_EVENT_RESPONSE);
		assert_true(e.exchange == h && copse_peer_equal(e.peer, &p));
	}
	at(&b, b.now + 93000);
	assert_int_equal(next_event(&b, COPSE_EVENT_FAILED).error, COPSE_ERR_TIMEOUT);
	done(&b);
}

static void priority_behind_nstart(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	const uint8_t priority[] = {0, 1, 2, 1, 2};
	const uint8_t order[] = {0, 2, 4, 1, 3}; /* the first is under way before the others come */
	copse_handle h[5];
	for (int i = 0; i < 5; i++) {
		struct copse_out out = get;
		out.priority = priority[i];
		h[i] = request(&b, &p, &out, 0);
	}
	for (int i = 0; i < 5; i++) {
		assert_true(transmit(&b));
		const struct copse_message sent = b.sent;
		assert_false(transmit(&b));
		b.sent = sent;
		assert_int_equal(reply_to_sent(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, sent.id), 1);
		assert_true(next_event(&b, COPSE_EVENT_RESPONSE).exchange == h[order[i]]);
	}
	done(&b);
}

static void cancelling_frees_the_queue(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	const copse_handle first = request(&b, &p, &get, 0), second = request(&b, &p, &get, 0);
	const copse_handle third = request(&b, &p, &get, 0);
	assert_true(transmit(&b));
	assert_false(transmit(&b));
	copse_endpoint_cancel(b.ep, second, b.now); /* one that waits */
	copse_endpoint_cancel(b.ep, first, b.now);  /* the one under way */
	copse_endpoint_cancel(b.ep, first, b.now);  /* twice does no harm */
	assert_true(transmit(&b));
	reply_to_sent(&b, &p, COPSE_ACK, COPSE_CODE_CONTENT, b.sent.id);
	assert_true(next_event(&b, COPSE_EVENT_RESPONSE).exchange == third);
	no_event(&b);
	done(&b);
}

/* The peer shows that it listens now: what it has not acknowledged goes out at once, the same message, and not
 * more often than it would have gone out anyway. */
static void hastening(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	const copse_handle h = request(&b, &p, &get, 0), behind = request(&b, &p, &get, 0);
	assert_false(copse_endpoint_hasten(b.ep, h, b.now)); /* it has not been sent yet */
	assert_true(transmit(&b));
	const uint16_t id = b.sent.id;
	assert_false(copse_endpoint_hasten(b.ep, behind, b.now)); /* it waits behind the first */
	at(&b, b.now + 999);
	assert_false(copse_endpoint_hasten(b.ep, h, b.now)); /* it may still be on its way */
	at(&b, b.now + 1);
	assert_true(copse_endpoint_hasten(b.ep, h, b.now));
	assert_int_equal(copse_endpoint_deadline(b.ep), b.now);
	at(&b, b.now);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.id, id);
	assert_false(copse_endpoint_hasten(b.ep, h, b.now));
	for (unsigned sent = 2; sent < 5; sent++) { /* MAX_RETRANSMIT is 4 */
		at(&b, b.now + 1000);
		assert_true(copse_endpoint_hasten(b.ep, h, b.now));
		at(&b, b.now);
		assert_true(transmit(&b));
	}
	at(&b, b.now + 1000);
	assert_false(copse_endpoint_hasten(b.ep, h, b.now));
	reply_to_sent(&b, &p, COPSE_ACK, 0, id);
	assert_false(copse_endpoint_hasten(b.ep, h, b.now + 5000)); /* it is there */
	copse_endpoint_cancel(b.ep, h, b.now + 5000);
	assert_false(copse_endpoint_hasten(b.ep, h, b.now + 5000));
	assert_false(copse_endpoint_hasten(b.ep, COPSE_NO_HANDLE, b.now + 5000));
	done(&b);
}

static void unreachable(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1), q = peer(2);
	request(&b, &p, &get, 0);
	request(&b, &p, &get, 0);
	const copse_handle other = request(&b, &q, &get, 0);
	transmit(&b);
	copse_endpoint_unreachable(b.ep, &p, b.now);
	copse_endpoint_unreachable(b.ep, &(struct copse_peer){.len = 1, .key = {9}},
				   b.now); /* never heard of */
	for (int i = 0; i < 2; i++)
		assert_int_equal(next_event(&b, COPSE_EVENT_FAILED).error, COPSE_ERR_TRANSPORT);
	no_event(&b);
	copse_endpoint_cancel(b.ep, other, b.now);
	done(&b);
}

static void probing_rate(void **state)
{
	(void)state;
	struct copse_config c = config();
	c.group[0].probing_burst = 100;
	c.group[0].probing_rate = 2;
	c.exchange_cap = 64;
	struct bench b = bench_with(&c);
	const struct copse_peer p = peer(1);
	copse_handle h;
	int n = 0;
	while (copse_endpoint_request(b.ep, &p, &get_non, 0, NULL, b.now, &h) == 0) {
		n++;
		transmit(&b);
	}
	assert_in_range(n, 5, 8); /* messages of 14 bytes */
	assert_int_equal(copse_endpoint_counters(b.ep)->refused_rate, 1);
	at(&b, b.now + 10000); /* twenty bytes later */
	assert_int_equal(copse_endpoint_request(b.ep, &p, &get_non, 0, NULL, b.now, &h), 0);
	assert_int_equal(copse_endpoint_request(b.ep, &p, &get_non, 0, NULL, b.now, &h), COPSE_ERR_RATE);
	assert_true(transmit(&b));
	/* the peer is heard: no limit any more */
	reply_to_sent(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 77);
	next_event(&b, COPSE_EVENT_RESPONSE);
	assert_int_equal(copse_endpoint_request(b.ep, &p, &get_non, 0, NULL, b.now, &h), 0);
	done(&b);
}

static void notifications(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	uint16_t id;
	copse_handle h;
	struct copse_out out = content;
	assert_int_equal(copse_endpoint_notify(b.ep, &p, "tok", 3, &out, &b, b.now, &h, &id), 0);
	assert_true(h == COPSE_NO_HANDLE);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.type, COPSE_NON);
	assert_int_equal(b.sent.id, id);
	receive(&b, &p, COPSE_RST, 0, id, "", NULL);
	const struct copse_event reset = next_event(&b, COPSE_EVENT_RESET);
	assert_int_equal(reset.message->id, id);
	assert_true(copse_peer_equal(reset.peer, &p));
	/* confirmable, superseded while unacknowledged: a new message, the count goes on */
	out.con = true;
	assert_int_equal(copse_endpoint_notify(b.ep, &p, "tok", 3, &out, &b, b.now, &h, &id), 0);
	assert_true(transmit(&b));
	const struct copse_out newer = {
	    .code = COPSE_CODE_CONTENT, .con = true, .rest = (const uint8_t *)"\xffnew", .rest_len = 4};
	assert_int_equal(copse_endpoint_replace(b.ep, h, &newer, b.now), 0);
	assert_false(transmit(&b)); /* not before its time */
	at(&b, b.now + 3000);
	assert_true(transmit(&b));
	assert_int_not_equal(b.sent.id, id);
	assert_memory_equal(b.out + b.out_len - 3, "new", 3);
	receive(&b, &p, COPSE_ACK, 0, id, "", NULL); /* of the old one: too late */
	no_event(&b);
	receive(&b, &p, COPSE_ACK, 0, b.sent.id, "", NULL);
	struct copse_event acked = next_event(&b, COPSE_EVENT_ACKED);
	assert_ptr_equal(acked.user, &b);
	assert_false(acked.outdated);
	/* acknowledged before the newer one had to be sent: the application hears that it was not */
	assert_int_equal(copse_endpoint_notify(b.ep, &p, "tok", 3, &out, &b, b.now, &h, &id), 0);
	assert_true(transmit(&b));
	assert_int_equal(copse_endpoint_replace(b.ep, h, &newer, b.now), 0);
	assert_int_equal(copse_endpoint_replace(b.ep, h, &newer, b.now),
			 0); /* once more: the newest counts */
	receive(&b, &p, COPSE_ACK, 0, id, "", NULL);
	acked = next_event(&b, COPSE_EVENT_ACKED);
	assert_true(acked.outdated);
	assert_int_equal(copse_endpoint_replace(b.ep, h, &newer, b.now), COPSE_ERR_GONE);
	/* replaced before it was sent at all: only the newer one leaves */
	assert_int_equal(copse_endpoint_notify(b.ep, &p, "tok", 3, &out, &b, b.now, &h, &id), 0);
	assert_int_equal(copse_endpoint_replace(b.ep, h, &newer, b.now), 0);
	assert_true(transmit(&b));
	assert_memory_equal(b.out + b.out_len - 3, "new", 3);
	receive(&b, &p, COPSE_ACK, 0, b.sent.id, "", NULL);
	assert_false(next_event(&b, COPSE_EVENT_ACKED).outdated);
	done(&b);
}

/* ---- bounds ---- */

static uint32_t sent_max_age(const struct bench *b)
{
	return copse_message_uint(&b->sent, COPSE_OPTION_MAX_AGE, 60);
}

/* RFC 7252 §5.10.5: each time a response is sent it says what is left of Max-Age; a copy is as long as the first one. */
static void max_age_is_what_is_left(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	copse_handle h;
	/* Max-Age 257 in two bytes, between an ETag and an option of a later number */
	struct copse_out out = {.code = COPSE_CODE_CONTENT,
				.con = true,
				.rest = (const uint8_t *)"\x41\x65\xa2\x01\x01\x30\xffhi",
				.rest_len = 9};
	assert_int_equal(copse_endpoint_notify(b.ep, &p, "tok", 3, &out, &b, b.now, &h, NULL), 0);
	assert_true(transmit(&b));
	assert_int_equal(sent_max_age(&b), 257);
	const copse_ms first = b.now;
	const int len = b.out_len;
	for (unsigned i = 0; i < 4; i++) {
		at(&b, copse_endpoint_deadline(b.ep));
		assert_true(transmit(&b));
		assert_int_equal(sent_max_age(&b), 257 - (b.now - first) / 1000);
		assert_int_equal(b.out_len, len);
		assert_memory_equal(b.out + len - 3, "\xffhi", 3);
	}
	assert_true(sent_max_age(&b) < 256); /* which would fit into one byte */
	/* it had been true before; what replaces it has an age of its own */
	copse_endpoint_cancel(b.ep, h, b.now);
	out.age_s = 100;
	assert_int_equal(copse_endpoint_notify(b.ep, &p, "tok", 3, &out, &b, b.now, &h, NULL), 0);
	assert_true(transmit(&b));
	assert_int_equal(sent_max_age(&b), 157);
	out.age_s = 7;
	assert_int_equal(copse_endpoint_replace(b.ep, h, &out, b.now), 0);
	const copse_ms replaced = b.now;
	at(&b, copse_endpoint_deadline(b.ep));
	assert_true(transmit(&b));
	assert_int_equal(sent_max_age(&b), 250 - (b.now - replaced) / 1000);
	copse_endpoint_cancel(b.ep, h, b.now);
	out.age_s = 255;
	out.con = false;
	assert_int_equal(copse_endpoint_notify(b.ep, &p, "tok", 3, &out, &b, b.now, NULL, NULL), 0);
	assert_true(transmit(&b));
	assert_int_equal(sent_max_age(&b), 0);
	/* in an acknowledgement that is sent again for a copy of the request */
	out.age_s = 0;
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 9, "t", NULL), 1);
	const struct copse_event asked = next_event(&b, COPSE_EVENT_REQUEST);
	assert_int_equal(copse_endpoint_respond(b.ep, asked.exchange, &out, b.now), 0);
	assert_true(transmit(&b));
	assert_int_equal(sent_max_age(&b), 257);
	at(&b, b.now + 42000);
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 9, "t", NULL), 0);
	assert_true(transmit(&b));
	assert_int_equal(b.sent.type, COPSE_ACK);
	assert_int_equal(sent_max_age(&b), 257 - 42);
	/* a request's Max-Age is the application's, and an answer without any stays as it is */
	out.code = COPSE_CODE_PUT;
	out.con = true;
	request(&b, &p, &out, 0);
	at(&b, copse_endpoint_deadline(b.ep));
	assert_true(transmit(&b));
	assert_int_equal(sent_max_age(&b), 257);
	done(&b);
}

static void exchanges_run_out(void **state)
{
	(void)state;
	struct bench b = bench();
	copse_handle h;
	for (uint8_t i = 0; i < 8; i++) {
		const struct copse_peer p = peer(i);
		request(&b, &p, &get, 0);
	}
	const struct copse_peer p = peer(9);
	assert_int_equal(copse_endpoint_request(b.ep, &p, &get, 0, NULL, b.now, &h), COPSE_ERR_NOROOM);
	assert_int_equal(copse_endpoint_counters(b.ep)->refused_exchange, 1);
	assert_true(transmit(&b));
	reply_to_sent(&b, &b.out_peer, COPSE_ACK, COPSE_CODE_CONTENT, b.sent.id);
	next_event(&b, COPSE_EVENT_RESPONSE);
	assert_int_equal(copse_endpoint_request(b.ep, &p, &get, 0, NULL, b.now, &h),
			 0); /* and the idle peer made way */
	assert_int_equal(copse_endpoint_counters(b.ep)->peers_forgotten, 1);
	done(&b);
}

static void chunks_run_out(void **state)
{
	(void)state;
	struct copse_config c = config();
	c.chunk_cap = 10;
	struct bench b = bench_with(&c);
	const struct copse_peer p = peer(1);
	uint8_t big[10 * COPSE_CHUNK];
	memset(big, 'x', sizeof big);
	big[0] = 0xff;
	copse_handle h;
	struct copse_out out = {
	    .code = COPSE_CODE_POST, .con = true, .rest = big, .rest_len = sizeof big - 12};
	assert_int_equal(copse_endpoint_request(b.ep, &p, &out, 0, NULL, b.now, &h),
			 0); /* exactly ten pieces */
	assert_true(transmit(&b));
	assert_int_equal(b.out_len, sizeof big);
	assert_memory_equal(b.out + 12, big, sizeof big - 12);
	const copse_handle first = h;
	assert_int_equal(copse_endpoint_request(b.ep, &p, &get, 0, NULL, b.now, &h), COPSE_ERR_NOROOM);
	copse_endpoint_cancel(b.ep, first, b.now);
	out.rest_len++;
	assert_int_equal(copse_endpoint_request(b.ep, &p, &out, 0, NULL, b.now, &h),
			 COPSE_ERR_NOROOM); /* eleven */
	struct copse_endpoint_usage u;
	copse_endpoint_usage(b.ep, &u);
	assert_int_equal(u.chunks, 0);
	assert_int_equal(u.exchanges, 0);
	done(&b);
}

static void remembered_messages_run_out(void **state)
{
	(void)state;
	struct bench b = bench();
	/* eight answered GETs fill the memory; the ninth pushes the first out */
	for (uint16_t i = 0; i < 9; i++) {
		const struct copse_peer p = peer((uint8_t)i);
		assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, i, "t", "a"), 1);
		copse_endpoint_respond(b.ep, next_event(&b, COPSE_EVENT_REQUEST).exchange, &content, b.now);
		transmit(&b);
	}
	assert_int_equal(copse_endpoint_counters(b.ep)->forgotten, 1);
	const struct copse_peer p1 = peer(1), p0 = peer(0);
	assert_int_equal(receive(&b, &p1, COPSE_CON, COPSE_CODE_GET, 1, "t", "a"), 0);
	transmit(&b);
	assert_int_equal(receive(&b, &p0, COPSE_CON, COPSE_CODE_GET, 0, "t", "a"),
			 1); /* may run again: idempotent */
	done(&b);
}

static void what_must_not_run_twice_is_not_forgotten(void **state)
{
	(void)state;
	struct bench b = bench();
	for (uint16_t i = 0; i < 8; i++) {
		const struct copse_peer p = peer((uint8_t)i);
		assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_POST, i, "t", "a"), 1);
		copse_endpoint_respond(b.ep, next_event(&b, COPSE_EVENT_REQUEST).exchange, &content, b.now);
		transmit(&b);
	}
	const struct copse_peer p = peer(9);
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 9, "t", "a"), COPSE_ERR_NOROOM);
	assert_false(transmit(&b)); /* dropped before it had an effect */
	assert_int_equal(copse_endpoint_counters(b.ep)->refused_incoming, 1);
	for (uint16_t i = 0; i < 8; i++) {
		const struct copse_peer q = peer((uint8_t)i);
		assert_int_equal(receive(&b, &q, COPSE_CON, COPSE_CODE_POST, i, "t", "a"), 0);
		transmit(&b);
	}
	at(&b, b.now + 250000);
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_GET, 9, "t", "a"), 1);
	done(&b);
}

static void short_replies_run_out(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	for (uint16_t i = 0; i < 6; i++)
		receive(&b, &p, COPSE_CON, 0, i, "", NULL);
	for (uint16_t i = 0; i < 4; i++)
		assert_empty_sent(&b, COPSE_RST, i);
	assert_false(transmit(&b));
	assert_int_equal(copse_endpoint_counters(b.ep)->dropped_reply, 2);
	for (uint16_t i = 10; i < 13; i++) /* the ring goes round */
		receive(&b, &p, COPSE_CON, 0, i, "", NULL);
	for (uint16_t i = 10; i < 13; i++)
		assert_empty_sent(&b, COPSE_RST, i);
	done(&b);
}

static void too_large_for_the_buffer(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	uint8_t big[300] = {0xff, 1};
	const struct copse_out out = {
	    .code = COPSE_CODE_POST, .con = true, .rest = big, .rest_len = sizeof big};
	request(&b, &p, &out, 0);
	uint8_t small[100];
	struct copse_peer to;
	assert_int_equal(copse_endpoint_transmit(b.ep, small, sizeof small, &to, b.now), 0);
	assert_int_equal(next_event(&b, COPSE_EVENT_FAILED).error, COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_endpoint_counters(b.ep)->dropped_size, 1);
	done(&b);
}

static void an_error_answer_without_room_is_given_later(void **state)
{
	(void)state;
	struct copse_config c = config();
	c.chunk_cap = 1;
	struct bench b = bench_with(&c);
	const struct copse_peer p = peer(1), q = peer(2);
	const copse_handle h = request(&b, &q, &get, 0); /* has the only piece */
	assert_true(transmit(&b));
	uint8_t buf[64];
	struct copse_builder m;
	copse_build_message(&m, buf, sizeof buf, COPSE_CON, COPSE_CODE_GET, 3, "x", 1);
	copse_build_raw(&m, 9999, "?", 1);
	const size_t len = (size_t)copse_build_finish(&m);
	assert_true(copse_endpoint_receive(b.ep, &p, buf, len, b.now) < 0);
	assert_false(transmit(&b));
	copse_endpoint_cancel(b.ep, h, b.now);
	assert_true(copse_endpoint_receive(b.ep, &p, buf, len, b.now) < 0); /* the peer repeats */
	assert_true(transmit(&b));
	assert_int_equal(b.sent.code, COPSE_CODE_BAD_OPTION);
	done(&b);
}

/* RFC 8974: the answer bears a token of any length that was agreed on; in the acknowledgement and apart. */
static void extended_tokens(void **state)
{
	(void)state;
	static const size_t lens[] = {0, 8, 9, 12, 13, 14, 200, 256};
	for (size_t i = 0; i < 2 * sizeof lens / sizeof *lens; i++) {
		const size_t len = lens[i / 2];
		struct copse_config c = config();
		c.token_max = 256;
		struct bench b = bench_with(&c);
		const struct copse_peer p = peer(1);
		uint8_t token[256], buf[300];
		memset(token, 'T', sizeof token);
		token[0] = (uint8_t)i;
		/* CON GET, ID 5; token length 13: one byte more, less 13 */
		size_t n = 0;
		buf[n++] = (uint8_t)(0x40 | (len < 13 ? len : 13));
		buf[n++] = COPSE_CODE_GET;
		buf[n++] = 0;
		buf[n++] = 5;
		if (len >= 13)
			buf[n++] = (uint8_t)(len - 13);
		memcpy(buf + n, token, len);
		assert_int_equal(copse_endpoint_receive(b.ep, &p, buf, n + len, b.now), 1);
		const struct copse_event e = next_event(&b, COPSE_EVENT_REQUEST);
		uint8_t told[COPSE_TOKEN_MAX];
		size_t told_len;
		assert_int_equal(copse_endpoint_exchange_info(b.ep, e.exchange, NULL, told, &told_len, NULL),
				 0);
		assert_int_equal(told_len, len);
		if (i & 1) {
			copse_endpoint_acknowledge(b.ep, e.exchange, b.now);
			assert_int_equal(
			    copse_endpoint_transmit(b.ep, b.out, sizeof b.out, &b.out_peer, b.now), 4);
		}
		assert_int_equal(copse_endpoint_respond(b.ep, e.exchange, &content, b.now), 0);
		b.out_len = copse_endpoint_transmit(b.ep, b.out, sizeof b.out, &b.out_peer, b.now);
		assert_int_equal(copse_message_parse_extended(&b.sent, b.out, (size_t)b.out_len, 256), 0);
		assert_int_equal(b.sent.token_len, len);
		assert_memory_equal(copse_message_token(&b.sent), token, len);
		assert_int_equal(b.sent.payload_len, 2);
		at(&b, b.now + 300000);
		struct copse_endpoint_usage u;
		while (copse_endpoint_next_event(b.ep, &(struct copse_event){0})) {
		}
		copse_endpoint_usage(b.ep, &u);
		assert_int_equal(u.incoming, 0);
		done(&b);
	}
}

static void extended_tokens_are_refused_by_default(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	const uint8_t request_13[] = {0x4d, 1, 0, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
	assert_int_equal(copse_endpoint_receive(b.ep, &p, request_13, sizeof request_13, b.now),
			 COPSE_ERR_MALFORMED);
	assert_empty_sent(&b, COPSE_RST, 5); /* RFC 7252 §3: lengths 9 to 15 are a message format error */
	done(&b);
}

static void long_tokens_without_room_are_dropped(void **state)
{
	(void)state;
	struct copse_config c = config();
	c.token_max = 256;
	c.chunk_cap = 1;
	struct bench b = bench_with(&c);
	const struct copse_peer p = peer(1);
	uint8_t buf[5 + 100] = {0x4d, COPSE_CODE_GET, 0, 5, 87};
	assert_int_equal(copse_endpoint_receive(b.ep, &p, buf, sizeof buf, b.now), COPSE_ERR_NOROOM);
	struct copse_endpoint_usage u;
	copse_endpoint_usage(b.ep, &u);
	assert_int_equal(u.incoming, 0);
	assert_int_equal(u.chunks, 0);
	done(&b);
}

static void stale_handles(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	const copse_handle old = request(&b, &p, &get, 0);
	copse_endpoint_cancel(b.ep, old, b.now);
	for (int i = 0; i < 20; i++) {
		const copse_handle h = request(&b, &p, &get, 0);
		assert_true(h != old);
		copse_endpoint_cancel(b.ep, old, b.now); /* must not hit another */
		assert_true(transmit(&b));
		copse_endpoint_cancel(b.ep, h, b.now);
	}
	const copse_handle nonsense[] = {0, 1, 2, 0xffffffff, ~(copse_handle)0, 99 << 1};
	for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
		copse_endpoint_cancel(b.ep, nonsense[i], b.now);
		assert_int_equal(copse_endpoint_respond(b.ep, nonsense[i], &content, b.now), COPSE_ERR_GONE);
		assert_int_equal(copse_endpoint_tag(b.ep, nonsense[i], NULL), COPSE_ERR_GONE);
	}
	done(&b);
}

static void message_ids_of_one_peer_do_not_repeat(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	static uint8_t seen[65536];
	for (int i = 0; i < 0xf000; i++) {
		const copse_handle h = request(&b, &p, &get, 0);
		assert_true(transmit(&b));
		assert_int_equal(seen[b.sent.id], 0);
		assert_true(b.sent.id < 0xf000); /* the rest is for multicast */
		seen[b.sent.id] = 1;
		copse_endpoint_cancel(b.ep, h, b.now);
	}
	done(&b);
}

static void tokens_differ_and_look_random(void **state)
{
	(void)state;
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	uint64_t tokens[1000], drawn;
	unsigned ones = 0;
	memcpy(&drawn, "\xff\xff\xff\xff\xff\xff\0", 8); /* the last two bytes name the exchange */
	for (int i = 0; i < 1000; i++) {
		const copse_handle h = request(&b, &p, &get, 0);
		assert_true(transmit(&b));
		memcpy(&tokens[i], copse_message_token(&b.sent), 8);
		ones += (unsigned)__builtin_popcountll(tokens[i] & drawn);
		for (int k = 0; k < i; k++)
			assert_true(tokens[k] != tokens[i]);
		copse_endpoint_cancel(b.ep, h, b.now);
	}
	assert_in_range(ones, 23500, 24500); /* 24000 expected, sigma 110 */
	done(&b);
}

static void short_tokens_run_out_cleanly(void **state)
{
	(void)state;
	struct copse_config c = config();
	c.group[0].token_len = 1;
	c.group[0].nstart = 1000;
	c.exchange_cap = 400;
	c.chunk_cap = 400;
	struct bench b = bench_with(&c);
	const struct copse_peer p = peer(1);
	copse_handle h;
	int n = 0;
	while (copse_endpoint_request(b.ep, &p, &get, 0, NULL, b.now, &h) == 0)
		n++;
	assert_in_range(n, 150, 256);
	done(&b);
}

/* A response that nobody has asked for is an event where the application wants it: once, non-confirmable, a success. */
static void test_unasked(void **state)
{
	struct bench b = bench();
	const struct copse_peer p = peer(1);
	struct copse_peer group = peer(2);
	struct copse_event event;

	(void)state;
	assert_int_equal(receive(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 1, "temp", NULL),
			 COPSE_ERR_UNMATCHED);
	copse_endpoint_unasked(b.ep, true);
	assert_int_equal(receive(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 2, "temp", NULL), 1);
	assert_true(copse_endpoint_next_event(b.ep, &event));
	assert_int_equal(event.kind, COPSE_EVENT_UNASKED);
	assert_int_equal(event.message->token_len, 4);
	assert_true(copse_peer_equal(event.peer, &p));
	assert_int_equal(receive(&b, &p, COPSE_NON, COPSE_CODE_CONTENT, 2, "temp", NULL), 0); /* a copy */
	group.flags = COPSE_PEER_MULTICAST;
	assert_int_equal(receive(&b, &group, COPSE_NON, COPSE_CODE_CONTENT, 3, "temp", NULL), 1);
	assert_true(copse_endpoint_next_event(b.ep, &event));
	assert_int_equal(receive(&b, &p, COPSE_CON, COPSE_CODE_CONTENT, 4, "temp", NULL),
			 COPSE_ERR_UNMATCHED);
	assert_int_equal(receive(&b, &p, COPSE_NON, COPSE_CODE_NOT_FOUND, 5, "temp", NULL),
			 COPSE_ERR_UNMATCHED);
	assert_false(copse_endpoint_next_event(b.ep, &event));
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unasked),
	    cmocka_unit_test(piggybacked),
	    cmocka_unit_test(separate_response),
	    cmocka_unit_test(separate_response_is_given_up),
	    cmocka_unit_test(non_request),
	    cmocka_unit_test(another_token_is_another_message),
	    cmocka_unit_test(first_ids_are_spread_evenly),
	    cmocka_unit_test(duplicates_are_remembered_for_their_lifetime),
	    cmocka_unit_test(deferred_longer_than_a_lifetime),
	    cmocka_unit_test(ignored_request_is_acknowledged_only),
	    cmocka_unit_test(ping_and_nonsense),
	    cmocka_unit_test(critical_options),
	    cmocka_unit_test(understood_options_pass),
	    cmocka_unit_test(multicast_requests),
	    cmocka_unit_test(leisure_is_random),
	    cmocka_unit_test(request_and_response),
	    cmocka_unit_test(separate_response_is_acknowledged),
	    cmocka_unit_test(response_before_acknowledgement),
	    cmocka_unit_test(forged_responses),
	    cmocka_unit_test(reset_ends_a_request),
	    cmocka_unit_test(pinging),
	    cmocka_unit_test(bad_response_is_rejected),
	    cmocka_unit_test(observation_stays_open),
	    cmocka_unit_test(copy_of_a_non_response),
	    cmocka_unit_test(a_token_of_another_exchange),
	    cmocka_unit_test(multicast_collects),
	    cmocka_unit_test(priority_behind_nstart),
	    cmocka_unit_test(cancelling_frees_the_queue),
	    cmocka_unit_test(hastening),
	    cmocka_unit_test(unreachable),
	    cmocka_unit_test(probing_rate),
	    cmocka_unit_test(notifications),
	    cmocka_unit_test(max_age_is_what_is_left),
	    cmocka_unit_test(exchanges_run_out),
	    cmocka_unit_test(chunks_run_out),
	    cmocka_unit_test(remembered_messages_run_out),
	    cmocka_unit_test(what_must_not_run_twice_is_not_forgotten),
	    cmocka_unit_test(short_replies_run_out),
	    cmocka_unit_test(too_large_for_the_buffer),
	    cmocka_unit_test(an_error_answer_without_room_is_given_later),
	    cmocka_unit_test(extended_tokens),
	    cmocka_unit_test(extended_tokens_are_refused_by_default),
	    cmocka_unit_test(long_tokens_without_room_are_dropped),
	    cmocka_unit_test(stale_handles),
	    cmocka_unit_test(message_ids_of_one_peer_do_not_repeat),
	    cmocka_unit_test(tokens_differ_and_look_random),
	    cmocka_unit_test(short_tokens_run_out_cleanly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
