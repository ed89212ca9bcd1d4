/* Messages protected and taken apart: which option goes where, what is refused, the window, numbers, restarts, and that
 * no byte of a message can be changed unnoticed.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "oscore_bench.h"

struct pair {
	struct copse_oscore_context client, server;
	struct copse_oscore_binding asked, answered;
};

static struct pair pair(int aead)
{
	struct pair p;
	memset(&p, 0, sizeof p);
	assert_int_equal(make(&p.client, SALT, "37cbf3210017a2d3", "01", "02", aead), 0);
	assert_int_equal(make(&p.server, SALT, "37cbf3210017a2d3", "02", "01", aead), 0);
	return p;
}

static void begin(struct copse_builder *b, uint8_t *buf, size_t cap, uint8_t code)
{
	copse_build_message(b, buf, cap, COPSE_CON, code, 7, "tok", 3);
}

/* A request with a little of everything, sealed into `out`. */
static size_t sealed_request(struct pair *p, uint8_t *out, size_t cap, uint8_t method, int observe)
{
	uint8_t plain[256];
	struct copse_builder b;
	begin(&b, plain, sizeof plain, method);
	copse_build_option(&b, COPSE_OPTION_URI_HOST, "device", 6);
	if (observe >= 0)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, (uint32_t)observe);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "secret", 6);
	copse_build_uint(&b, COPSE_OPTION_HOP_LIMIT, 5);
	copse_build_uint(&b, COPSE_OPTION_BLOCK2, 6);
	copse_build_option(&b, COPSE_OPTION_PROXY_SCHEME, "coap", 4);
	copse_build_payload(&b, "body", 4);
	const struct copse_message m = parse(plain, (size_t)copse_build_finish(&b));
	const int n = protect(&p->client, &m, COPSE_OSCORE_REQUEST, &p->asked, out, cap);
	assert_true(n > 0);
	return (size_t)n;
}

static int take(struct pair *p, const uint8_t *bytes, size_t len, uint8_t *out, size_t cap)
{
	const struct copse_message m = parse(bytes, len);
	return copse_oscore_unprotect_request(&p->server, &m, &p->answered, out, cap);
}

static void only_what_proxies_need_stands_outside(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t out[256], plain[544];
	const size_t n = sealed_request(&p, out, sizeof out, COPSE_CODE_PUT, -1);
	const struct copse_message m = parse(out, n);
	assert_int_equal(m.code, COPSE_CODE_POST);
	assert_int_equal(m.option_n, 4);
	assert_non_null(copse_message_option(&m, COPSE_OPTION_URI_HOST));
	assert_non_null(copse_message_option(&m, COPSE_OPTION_HOP_LIMIT));
	assert_non_null(copse_message_option(&m, COPSE_OPTION_PROXY_SCHEME));
	for (size_t i = 0; i + 6 <= n; i++)
		assert_memory_not_equal(out + i, "secret", 6);
	const int len = take(&p, out, n, plain, sizeof plain);
	assert_true(len > 0);
	const struct copse_message got = parse(plain, (size_t)len);
	assert_int_equal(got.code, COPSE_CODE_PUT);
	assert_int_equal(got.id, 7);
	assert_int_equal(got.option_n, 5);
	assert_null(copse_message_option(&got, COPSE_OPTION_OSCORE));
	assert_int_equal(copse_message_uint(&got, COPSE_OPTION_BLOCK2, 0), 6);
	assert_int_equal(got.payload_len, 4);
}

/* RFC 8613 §4.1.3.5.1 */
static void observe_stands_inside_and_outside(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t out[256], plain[544];
	const size_t n = sealed_request(&p, out, sizeof out, COPSE_CODE_GET, 0);
	struct copse_message m = parse(out, n);
	assert_int_equal(m.code, COPSE_CODE_FETCH);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_OBSERVE, 9), 0);
	int len = take(&p, out, n, plain, sizeof plain);
	assert_true(len > 0 && p.answered.observe);
	m = parse(plain, (size_t)len);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_OBSERVE, 9), 0);
	/* A proxy that does not observe takes the outer one away. */
	uint8_t cut[256];
	struct copse_builder b;
	const size_t again = sealed_request(&p, out, sizeof out, COPSE_CODE_GET, 0);
	m = parse(out, again);
	begin(&b, cut, sizeof cut, COPSE_CODE_FETCH);
	const struct copse_option *o = copse_message_option(&m, COPSE_OPTION_OSCORE);
	copse_build_raw(&b, o->number, copse_option_value(&m, o), o->len);
	copse_build_payload(&b, copse_message_payload(&m), m.payload_len);
	len = take(&p, cut, (size_t)copse_build_finish(&b), plain, sizeof plain);
	assert_true(len > 0 && !p.answered.observe);
	m = parse(plain, (size_t)len);
	assert_null(copse_message_option(&m, COPSE_OPTION_OBSERVE));
}

/* A notification of the server's, sealed into `out`. */
static size_t notification(struct pair *p, uint8_t *out, size_t cap)
{
	uint8_t plain[64];
	struct copse_builder b;
	begin(&b, plain, sizeof plain, COPSE_CODE_CONTENT);
	copse_build_uint(&b, COPSE_OPTION_OBSERVE, 77);
	copse_build_payload(&b, "21.5", 4);
	const struct copse_message m = parse(plain, (size_t)copse_build_finish(&b));
	const int n = protect(&p->server, &m, COPSE_OSCORE_RESPONSE, &p->answered, out, cap);
	assert_true(n > 0);
	assert_int_equal(out[1], COPSE_CODE_CONTENT);
	return (size_t)n;
}

static int notified(struct pair *p, const uint8_t *bytes, size_t len, uint32_t *sequence)
{
	uint8_t plain[256];
	const struct copse_message m = parse(bytes, len);
	const int n = copse_oscore_unprotect_response(&p->client, &m, &p->asked, plain, sizeof plain);
	if (n > 0) {
		const struct copse_message got = parse(plain, (size_t)n);
		*sequence = copse_message_uint(&got, COPSE_OPTION_OBSERVE, UINT32_MAX);
	}
	return n;
}

/* RFC 8613 §4.1.3.5.2: what tells the order is the Partial IV, whatever stands outside. */
static void of_notifications_only_newer_ones_count(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t out[256], plain[544], first[128], second[128];
	uint32_t sequence = 0;
	take(&p, out, sealed_request(&p, out, sizeof out, COPSE_CODE_GET, 0), plain, sizeof plain);
	const size_t n1 = notification(&p, first, sizeof first), n2 = notification(&p, second, sizeof second);
	assert_true(notified(&p, second, n2, &sequence) > 0);
	assert_int_equal(sequence, 1);
	assert_int_equal(notified(&p, first, n1, &sequence), COPSE_ERR_REPLAY);
	assert_int_equal(notified(&p, second, n2, &sequence), COPSE_ERR_REPLAY);
}

static void nothing_can_be_changed(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t out[256], plain[544], changed[256];
	const size_t n = sealed_request(&p, out, sizeof out, COPSE_CODE_GET, -1);
	const struct copse_message m = parse(out, n);
	for (size_t i = m.payload_off; i < n; i++) {
		memcpy(changed, out, n);
		changed[i] ^= 0x10;
		assert_int_equal(take(&p, changed, n, plain, sizeof plain), COPSE_ERR_SEALED);
	}
	for (size_t len = m.payload_off + 1u; len < n; len++)
		assert_int_equal(take(&p, out, len, plain, sizeof plain), COPSE_ERR_SEALED);
	assert_true(take(&p, out, n, plain, sizeof plain) > 0); /* none of that has moved the window */
}

static void a_response_answers_its_own_request(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t out[256], plain[544];
	take(&p, out, sealed_request(&p, out, sizeof out, COPSE_CODE_GET, -1), plain, sizeof plain);
	struct copse_builder b;
	begin(&b, plain, sizeof plain, COPSE_CODE_CONTENT);
	const struct copse_message m = parse(plain, (size_t)copse_build_finish(&b));
	const int n = protect(&p.server, &m, COPSE_OSCORE_RESPONSE, &p.answered, out, sizeof out);
	const struct copse_message sealed = parse(out, (size_t)n);
	struct copse_oscore_binding other = p.asked;
	other.piv[0]++;
	assert_int_equal(copse_oscore_unprotect_response(&p.client, &sealed, &other, plain, sizeof plain),
			 COPSE_ERR_SEALED);
	assert_true(copse_oscore_unprotect_response(&p.client, &sealed, &p.asked, plain, sizeof plain) > 0);
	/* A second answer to the same request takes a number: a nonce is used once. */
	const uint64_t before = p.server.sequence;
	begin(&b, plain, sizeof plain, COPSE_CODE_CONTENT);
	const struct copse_message twice = parse(plain, (size_t)copse_build_finish(&b));
	assert_true(protect(&p.server, &twice, COPSE_OSCORE_RESPONSE, &p.answered, out, sizeof out) > 0);
	assert_int_equal(p.server.sequence, before + 1);
}

/* RFC 8613 §7.4: 32 numbers, out of order and each once. */
static void the_window_takes_each_number_once(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t out[80][256], plain[544];
	size_t n[80];
	for (unsigned i = 0; i < 80; i++)
		n[i] = sealed_request(&p, out[i], sizeof out[i], COPSE_CODE_GET, -1);
	assert_true(take(&p, out[40], n[40], plain, sizeof plain) > 0);
	assert_int_equal(take(&p, out[8], n[8], plain, sizeof plain), COPSE_ERR_REPLAY); /* 32 behind */
	for (unsigned i = 9; i < 40; i++) {
		assert_true(take(&p, out[i], n[i], plain, sizeof plain) > 0);
		assert_int_equal(take(&p, out[i], n[i], plain, sizeof plain), COPSE_ERR_REPLAY);
	}
	assert_int_equal(take(&p, out[40], n[40], plain, sizeof plain), COPSE_ERR_REPLAY);
	assert_true(take(&p, out[79], n[79], plain, sizeof plain) > 0);
	assert_int_equal(take(&p, out[47], n[47], plain, sizeof plain), COPSE_ERR_REPLAY);
	assert_true(take(&p, out[48], n[48], plain, sizeof plain) > 0);
}

/* Appendix B.1.2 */
static void after_a_restart_an_echo_restores_the_window(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t old[256], out[256], plain[544], buf[128];
	const size_t old_n = sealed_request(&p, old, sizeof old, COPSE_CODE_GET, -1);
	assert_true(take(&p, old, old_n, plain, sizeof plain) > 0);
	copse_oscore_lost_window(&p.server);
	assert_int_equal(take(&p, old, old_n, plain, sizeof plain), COPSE_ERR_STALE);
	assert_true(p.answered.answered); /* the challenge has a number of its own */
	const uint8_t *echo = copse_oscore_echo(&p.server);
	assert_non_null(echo);
	struct copse_builder b;
	begin(&b, buf, sizeof buf, COPSE_CODE_GET);
	copse_build_option(&b, COPSE_OPTION_ECHO, echo, COPSE_OSCORE_ECHO_LEN);
	const struct copse_message m = parse(buf, (size_t)copse_build_finish(&b));
	const int n = protect(&p.client, &m, COPSE_OSCORE_REQUEST, &p.asked, out, sizeof out);
	assert_true(take(&p, out, (size_t)n, plain, sizeof plain) > 0);
	assert_int_equal(take(&p, out, (size_t)n, plain, sizeof plain), COPSE_ERR_REPLAY);
	assert_int_equal(take(&p, old, old_n, plain, sizeof plain), COPSE_ERR_REPLAY);
}

static bool step(void *self, uint64_t from, uint64_t *upto)
{
	unsigned *left = self;
	*upto = from + 2;
	return (*left)-- > 0;
}

static void numbers_are_kept_safe_before_they_are_used(void **state)
{
	(void)state;
	struct pair p = pair(0);
	uint8_t out[256], plain[64];
	unsigned left = 1;
	struct copse_builder b;
	copse_oscore_sequence(&p.client, 100, step, &left);
	sealed_request(&p, out, sizeof out, COPSE_CODE_GET, -1);
	sealed_request(&p, out, sizeof out, COPSE_CODE_GET, -1);
	begin(&b, plain, sizeof plain, COPSE_CODE_GET);
	const struct copse_message m = parse(plain, (size_t)copse_build_finish(&b));
	assert_int_equal(protect(&p.client, &m, COPSE_OSCORE_REQUEST, &p.asked, out, sizeof out),
			 COPSE_ERR_EXHAUSTED);
	copse_oscore_sequence(&p.client, COPSE_OSCORE_SEQUENCE_MAX, NULL, NULL);
	assert_true(protect(&p.client, &m, COPSE_OSCORE_REQUEST, &p.asked, out, sizeof out) > 0);
	assert_int_equal(p.asked.piv_len, 5);
	assert_int_equal(protect(&p.client, &m, COPSE_OSCORE_REQUEST, &p.asked, out, sizeof out),
			 COPSE_ERR_EXHAUSTED);
}

static void every_algorithm_gives_back_what_it_took(void **state)
{
	(void)state;
	static const int all[] = {1, 3, 10, 11, 24, 30, 31};
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		struct pair p = pair(all[i]);
		uint8_t out[256], plain[544];
		const size_t n = sealed_request(&p, out, sizeof out, COPSE_CODE_PUT, -1);
		assert_true(take(&p, out, n, plain, sizeof plain) > 0);
	}
}

static void what_cannot_be_a_context_is_refused(void **state)
{
	(void)state;
	struct copse_oscore_context c;
	assert_int_equal(make(&c, SALT, NULL, "01", "01", 0), COPSE_ERR_ARGUMENT);
	assert_int_equal(make(&c, SALT, NULL, "", "", 0), COPSE_ERR_ARGUMENT);
	assert_int_equal(make(&c, SALT, NULL, "0102030405060708", "", 0), COPSE_ERR_ARGUMENT);
	assert_int_equal(make(&c, SALT, NULL, "01020304050607", "", 0), 0);
	assert_int_equal(make(&c, SALT, NULL, "01020304050607", "", COPSE_OSCORE_AES_GCM_128),
			 COPSE_ERR_ARGUMENT); /* its nonce is a byte shorter */
	assert_int_equal(make(&c, SALT, NULL, "01", "02", 99), COPSE_ERR_ARGUMENT);
}

static void options_that_are_none_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		int err;
	} all[] = {
	    {"", 0},
	    {"00", COPSE_ERR_MALFORMED},
	    {"0901", 0},
	    {"09", COPSE_ERR_MALFORMED},
	    {"0e010203040506", COPSE_ERR_MALFORMED},
	    {"8901", COPSE_ERR_MALFORMED},
	    {"19", COPSE_ERR_MALFORMED},
	    {"1901", COPSE_ERR_MALFORMED},
	    {"190102", COPSE_ERR_MALFORMED},
	    {"190101aa", 0},
	    {"0101ff", COPSE_ERR_MALFORMED},
	    {"08", 0},
	};
	for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct copse_oscore_option o;
		const struct bytes b = hex(all[i].bytes);
		assert_int_equal(copse_oscore_option_parse(&o, b.at, b.len), all[i].err);
	}
}

static void strangers_and_cripples_are_told_apart(void **state)
{
	(void)state;
	struct pair p = pair(0), q = pair(0);
	uint8_t out[256], plain[544], buf[64];
	struct copse_builder b;
	assert_int_equal(make(&q.server, SALT, "37cbf3210017a2d4", "02", "01", 0), 0);
	const size_t n = sealed_request(&p, out, sizeof out, COPSE_CODE_GET, -1);
	assert_int_equal(take(&q, out, n, plain, sizeof plain), COPSE_ERR_CONTEXT);
	begin(&b, buf, sizeof buf, COPSE_CODE_POST);
	copse_build_option(&b, COPSE_OPTION_OSCORE, "\x09\x01\x01", 3);
	const int none = copse_build_finish(&b);
	assert_int_equal(take(&p, buf, (size_t)none, plain, sizeof plain), COPSE_ERR_BADOPTION);
	begin(&b, buf, sizeof buf, COPSE_CODE_POST);
	copse_build_option(&b, COPSE_OPTION_OSCORE, "\x01\x01", 2);
	copse_build_payload(&b, "0123456789", 10);
	const int nobody = copse_build_finish(&b);
	assert_int_equal(take(&p, buf, (size_t)nobody, plain, sizeof plain), COPSE_ERR_BADOPTION);
	assert_int_equal(take(&p, out, n, plain, COPSE_OSCORE_ROOM(n) - 1), COPSE_ERR_NOROOM);
	assert_true(take(&p, out, n, plain, COPSE_OSCORE_ROOM(n)) > 0);
	/* §4.1.3.3 */
	begin(&b, buf, sizeof buf, COPSE_CODE_GET);
	copse_build_option(&b, COPSE_OPTION_PROXY_URI, "coap://a/b", 10);
	const struct copse_message m = parse(buf, (size_t)copse_build_finish(&b));
	assert_int_equal(protect(&p.client, &m, COPSE_OSCORE_REQUEST, &p.asked, out, sizeof out),
			 COPSE_ERR_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_proxies_need_stands_outside),
	    cmocka_unit_test(observe_stands_inside_and_outside),
	    cmocka_unit_test(of_notifications_only_newer_ones_count),
	    cmocka_unit_test(nothing_can_be_changed),
	    cmocka_unit_test(a_response_answers_its_own_request),
	    cmocka_unit_test(the_window_takes_each_number_once),
	    cmocka_unit_test(after_a_restart_an_echo_restores_the_window),
	    cmocka_unit_test(numbers_are_kept_safe_before_they_are_used),
	    cmocka_unit_test(every_algorithm_gives_back_what_it_took),
	    cmocka_unit_test(what_cannot_be_a_context_is_refused),
	    cmocka_unit_test(options_that_are_none_are_refused),
	    cmocka_unit_test(strangers_and_cripples_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
