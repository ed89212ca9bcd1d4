/* What a proxy does with each class of option, in requests and in answers.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <copse/block.h>

#include "gateway/proxy_options.h"

#define UNKNOWN_ELECTIVE_SAFE   65000 /* 0xfde8: even; bit 1 clear */
#define UNKNOWN_ELECTIVE_UNSAFE 65002
#define UNKNOWN_CRITICAL_SAFE   65001
#define UNKNOWN_CRITICAL_UNSAFE 65003

static uint8_t bytes[2048], out[2048];
static struct copse_builder in;
static struct copse_message m, sent;
static struct gw_asked asked;

static void begin(uint8_t code)
{
	copse_build_message(&in, bytes, sizeof(bytes), COPSE_CON, code, 7, "tok", 3);
}

static void text(uint16_t number, const char *value)
{
	copse_build_raw(&in, number, value, strlen(value));
}

static void number(uint16_t number, uint32_t value)
{
	copse_build_uint(&in, number, value);
}

static struct copse_peer from;

static void parse(void)
{
	int n = copse_build_finish(&in);

	assert_true(n > 0);
	assert_int_equal(copse_message_parse(&m, bytes, (size_t)n), 0);
}

/* What is refused, or 0. */
static uint8_t ask(void)
{
	parse();
	return gw_options_asked(&from, &m, 16, &asked).code;
}

/* A GET for device d's /a by Proxy-Uri, to which an option is added. */
static void get_a(void)
{
	begin(COPSE_CODE_GET);
	text(COPSE_OPTION_PROXY_URI, "coap://d/a");
}

/* Forward; the result is in `sent`. */
static void forward(const char *uri_host)
{
	struct copse_builder b;

	assert_int_equal(ask(), 0);
	copse_build_message(&b, out, sizeof(out), COPSE_CON, m.code, 1, "", 0);
	gw_options_request(&m, &asked, uri_host, &b);
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	assert_int_equal(copse_message_parse(&sent, out, (size_t)n), 0);
}

static uint8_t backward(void)
{
	struct copse_builder b;

	parse();
	copse_build_message(&b, out, sizeof(out), COPSE_CON, m.code, 1, "", 0);
	struct gw_refusal refusal = gw_options_response(&m, "gw", &b);
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	if (!refusal.code)
		assert_int_equal(copse_message_parse(&sent, out, (size_t)n), 0);
	return refusal.code;
}

static bool has(uint16_t number, const char *value)
{
	for (unsigned i = 0; i < sent.option_n; i++)
		if (sent.option[i].number == number &&
		    copse_option_is(&sent, &sent.option[i], value, strlen(value)))
			return true;
	return false;
}

static unsigned count(uint16_t number)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sent.option_n; i++)
		n += sent.option[i].number == number;
	return n;
}

static void test_proxy_uri(void **state)
{
	(void)state;
	begin(COPSE_CODE_PUT);
	text(COPSE_OPTION_PROXY_URI, "coap://DEV%31:5700/a%20b//c/?x=1&y=%2f");
	text(COPSE_OPTION_URI_HOST, "ignored");
	text(COPSE_OPTION_URI_PATH, "ignored");
	text(COPSE_OPTION_URI_QUERY, "ignored");
	number(COPSE_OPTION_URI_PORT, 1);
	copse_build_payload(&in, "body", 4);
	forward("");
	assert_int_equal(asked.host_len, 4);
	assert_memory_equal(asked.host, "dev1", 4);
	assert_int_equal(asked.port, 5700);
	assert_int_equal(count(COPSE_OPTION_URI_PATH), 4); /* "a b", "", "c", "" */
	assert_true(has(COPSE_OPTION_URI_PATH, "a b"));
	assert_true(has(COPSE_OPTION_URI_PATH, "c"));
	assert_int_equal(count(COPSE_OPTION_URI_QUERY), 2);
	assert_true(has(COPSE_OPTION_URI_QUERY, "x=1"));
	assert_true(has(COPSE_OPTION_URI_QUERY, "y=/"));
	assert_int_equal(
	    count(COPSE_OPTION_URI_HOST) + count(COPSE_OPTION_URI_PORT) + count(COPSE_OPTION_PROXY_URI), 0);
	assert_int_equal(sent.payload_len, 4);
	assert_memory_equal(copse_message_payload(&sent), "body", 4);
}

static void test_proxy_scheme(void **state)
{
	(void)state;
	begin(COPSE_CODE_GET);
	text(COPSE_OPTION_PROXY_SCHEME, "CoAP");
	text(COPSE_OPTION_URI_HOST, "[fd00::1]");
	number(COPSE_OPTION_URI_PORT, 9);
	text(COPSE_OPTION_URI_PATH, "p");
	text(COPSE_OPTION_URI_QUERY, "q");
	forward("me");
	assert_memory_equal(asked.host, "[fd00::1]", 9);
	assert_int_equal(asked.port, 9);
	assert_false(asked.here);
	assert_true(has(COPSE_OPTION_URI_HOST, "me")); /* rewritten */
	assert_int_equal(count(COPSE_OPTION_URI_HOST), 1);
	assert_int_equal(count(COPSE_OPTION_URI_PORT), 0);
	assert_true(has(COPSE_OPTION_URI_PATH, "p"));
	assert_true(has(COPSE_OPTION_URI_QUERY, "q"));
	assert_int_equal(count(COPSE_OPTION_PROXY_SCHEME), 0);
	begin(COPSE_CODE_GET);
	text(COPSE_OPTION_PROXY_SCHEME, "coap");
	text(COPSE_OPTION_URI_PATH, "help");
	assert_int_equal(ask(), 0);
	assert_true(asked.here);
}

static void test_schemes(void **state)
{
	static const char *const uris[] = {"http://d/", "coaps+ws://d/", "coap+ws://d/", "ftp://d/a",
					   "mailto:a"};
	static const char *const schemes[] = {"http", "coaps+ws", "coap+ws", "x"};

	(void)state;
	for (size_t i = 0; i < sizeof(uris) / sizeof(*uris); i++) {
		begin(COPSE_CODE_GET);
		text(COPSE_OPTION_PROXY_URI, uris[i]);
		assert_int_equal(ask(), COPSE_CODE_PROXYING_NOT_SUPPORTED);
	}
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		begin(COPSE_CODE_GET);
		text(COPSE_OPTION_PROXY_SCHEME, schemes[i]);
		text(COPSE_OPTION_URI_HOST, "d");
		assert_int_equal(ask(), COPSE_CODE_PROXYING_NOT_SUPPORTED);
	}
}

static void test_bad_uris(void **state)
{
	static const char *const uris[] = {"coap:",
					   "coap://",
					   "coap:///a",
					   "/a",
					   "a",
					   "coap://d#f",
					   "coap://u@d/",
					   "coap://d:0/",
					   "coap://d:99999/",
					   "coap://[::1",
					   "coap://d/%",
					   "coap://d/a b",
					   "coap://[fe80::1%25eth0]/"};

	(void)state;
	for (size_t i = 0; i < sizeof(uris) / sizeof(*uris); i++) {
		begin(COPSE_CODE_GET);
		text(COPSE_OPTION_PROXY_URI, uris[i]);
		if (ask() != COPSE_CODE_BAD_REQUEST)
			fail_msg("%s", uris[i]);
	}
}

static void test_request_classes(void **state)
{
	(void)state;
	get_a();
	text(UNKNOWN_ELECTIVE_SAFE, "es");
	text(UNKNOWN_CRITICAL_SAFE, "cs");
	text(COPSE_OPTION_IF_MATCH, "123456789"); /* longer than 8: not ours to judge */
	text(COPSE_OPTION_ETAG, "e");
	text(COPSE_OPTION_OSCORE, "o");
	number(COPSE_OPTION_ACCEPT, 60);
	number(COPSE_OPTION_CONTENT_FORMAT, 0);
	text(COPSE_OPTION_ECHO, "echo");
	text(COPSE_OPTION_REQUEST_TAG, "tag");
	forward("");
	assert_true(has(UNKNOWN_ELECTIVE_SAFE, "es"));
	assert_true(has(UNKNOWN_CRITICAL_SAFE, "cs"));
	assert_true(has(COPSE_OPTION_IF_MATCH, "123456789"));
	assert_true(has(COPSE_OPTION_ETAG, "e"));
	assert_true(has(COPSE_OPTION_OSCORE, "o"));
	assert_true(has(COPSE_OPTION_ACCEPT, "\x3c"));
	assert_true(has(COPSE_OPTION_CONTENT_FORMAT, ""));
	assert_true(has(COPSE_OPTION_ECHO, "echo"));
	assert_true(has(COPSE_OPTION_REQUEST_TAG, "tag"));

	static const uint16_t refused[] = {UNKNOWN_ELECTIVE_UNSAFE, UNKNOWN_CRITICAL_UNSAFE,
					   COPSE_OPTION_Q_BLOCK1,   COPSE_OPTION_Q_BLOCK2,
					   COPSE_OPTION_PROXY_CRI,  COPSE_OPTION_PROXY_SCHEME_NUMBER};
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		get_a();
		text(refused[i], "\x01");
		assert_int_equal(ask(), COPSE_CODE_BAD_OPTION);
	}
}

static void test_consumed(void **state)
{
	(void)state;
	get_a();
	number(COPSE_OPTION_OBSERVE, 0);
	number(COPSE_OPTION_NO_RESPONSE, 26);
	number(COPSE_OPTION_MAX_AGE, 5);
	forward("");
	assert_int_equal(asked.no_response, 26);
	assert_int_equal(
	    count(COPSE_OPTION_OBSERVE) + count(COPSE_OPTION_NO_RESPONSE) + count(COPSE_OPTION_MAX_AGE), 0);
}

/* Critical, unsafe and with a value that nobody may send. */
static void test_bad_values(void **state)
{
	char long_text[300];

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	begin(COPSE_CODE_GET);
	text(COPSE_OPTION_PROXY_SCHEME, "coap");
	text(COPSE_OPTION_URI_HOST, "d");
	text(COPSE_OPTION_URI_PATH, long_text);
	assert_int_equal(ask(), COPSE_CODE_BAD_OPTION);
	begin(COPSE_CODE_GET);
	text(COPSE_OPTION_PROXY_SCHEME, "coap");
	text(COPSE_OPTION_URI_HOST, long_text);
	assert_int_equal(ask(), COPSE_CODE_BAD_OPTION);
	begin(COPSE_CODE_GET);
	text(COPSE_OPTION_PROXY_SCHEME, "coap");
	text(COPSE_OPTION_URI_HOST, "d");
	text(COPSE_OPTION_URI_HOST, "e"); /* twice */
	assert_int_equal(ask(), COPSE_CODE_BAD_OPTION);
	get_a();
	text(COPSE_OPTION_BLOCK2, "1234");
	assert_int_equal(ask(), COPSE_CODE_BAD_OPTION);
	get_a();
	text(COPSE_OPTION_PROXY_URI, "coap://e/b");
	assert_int_equal(ask(), COPSE_CODE_BAD_OPTION);
}

static void test_hop_limit(void **state)
{
	(void)state;
	get_a();
	forward("");
	assert_true(has(COPSE_OPTION_HOP_LIMIT, "\x10")); /* added */
	get_a();
	number(COPSE_OPTION_HOP_LIMIT, 255);
	forward("");
	assert_true(has(COPSE_OPTION_HOP_LIMIT, "\xfe"));
	assert_int_equal(count(COPSE_OPTION_HOP_LIMIT), 1);
	get_a();
	number(COPSE_OPTION_HOP_LIMIT, 2);
	forward("");
	assert_true(has(COPSE_OPTION_HOP_LIMIT, "\x01"));
	get_a();
	number(COPSE_OPTION_HOP_LIMIT, 1);
	assert_int_equal(ask(), COPSE_CODE_HOP_LIMIT_REACHED);
	static const char *const wrong[] = {"", "\x01\x01"};
	for (int i = 0; i < 2; i++) {
		get_a();
		text(COPSE_OPTION_HOP_LIMIT, wrong[i]);
		assert_int_equal(ask(), COPSE_CODE_BAD_REQUEST);
	}
	get_a();
	copse_build_raw(&in, COPSE_OPTION_HOP_LIMIT, "\0", 1);
	assert_int_equal(ask(), COPSE_CODE_BAD_REQUEST);
	get_a();
	parse();
	assert_int_equal(gw_options_asked(&from, &m, 0, &asked).code, 0);
	assert_int_equal(asked.hop_limit, 0); /* none is added */
}

static uint8_t ask_block(uint8_t code, uint16_t option, uint32_t num, bool more, uint8_t szx)
{
	begin(code);
	text(COPSE_OPTION_PROXY_URI, "coap://d/a");
	number(option, num << 4 | (more ? 8u : 0) | szx);
	return ask();
}

static void test_blocks(void **state)
{
	(void)state;
	assert_int_equal(ask_block(COPSE_CODE_GET, COPSE_OPTION_BLOCK2, 0, false, 2), 0);
	assert_int_equal(ask_block(COPSE_CODE_GET, COPSE_OPTION_BLOCK2, 5, false, 6), 0);
	assert_int_equal(ask_block(COPSE_CODE_FETCH, COPSE_OPTION_BLOCK2, 5, false, 6), 0);
	assert_int_equal(ask_block(COPSE_CODE_POST, COPSE_OPTION_BLOCK2, 0, false, 6), 0);
	assert_int_equal(ask_block(COPSE_CODE_POST, COPSE_OPTION_BLOCK2, 1, false, 6), 0);
	assert_int_equal(ask_block(COPSE_CODE_PUT, COPSE_OPTION_BLOCK1, 0, false, 6), 0);
	assert_int_equal(ask_block(COPSE_CODE_PUT, COPSE_OPTION_BLOCK1, 0, true, 6),
			 COPSE_CODE_BAD_REQUEST); /* empty */
	assert_int_equal(ask_block(COPSE_CODE_PUT, COPSE_OPTION_BLOCK1, 1, false, 6), 0);
	assert_int_equal(ask_block(COPSE_CODE_GET, COPSE_OPTION_BLOCK2, 0, false, 7), COPSE_CODE_BAD_REQUEST);
	assert_int_equal(ask_block(COPSE_CODE_PUT, COPSE_OPTION_BLOCK1, 0, false, 7), COPSE_CODE_BAD_REQUEST);
	get_a();
	number(COPSE_OPTION_BLOCK2, 5 << 4 | 6);
	forward("");
	assert_true(has(COPSE_OPTION_BLOCK2, "\x56"));
}

static void test_response(void **state)
{
	(void)state;
	begin(COPSE_CODE_CONTENT);
	text(COPSE_OPTION_ETAG, "e1");
	number(COPSE_OPTION_MAX_AGE, 5);
	number(COPSE_OPTION_CONTENT_FORMAT, 50);
	text(COPSE_OPTION_LOCATION_PATH, "l1");
	text(COPSE_OPTION_LOCATION_PATH, "l2");
	text(COPSE_OPTION_LOCATION_QUERY, "lq");
	number(COPSE_OPTION_BLOCK2, 5 << 4 | 8 | 6);
	number(COPSE_OPTION_SIZE2, 4000);
	number(COPSE_OPTION_OBSERVE, 9);
	text(UNKNOWN_ELECTIVE_SAFE, "es");
	text(UNKNOWN_CRITICAL_SAFE, "cs");
	copse_build_payload(&in, "{}", 2);
	assert_int_equal(backward(), 0);
	assert_int_equal(sent.code, COPSE_CODE_CONTENT);
	assert_true(has(COPSE_OPTION_ETAG, "e1"));
	assert_true(has(COPSE_OPTION_MAX_AGE, "\x05"));
	assert_true(has(COPSE_OPTION_CONTENT_FORMAT, "2"));
	assert_true(has(COPSE_OPTION_LOCATION_PATH, "l1") && has(COPSE_OPTION_LOCATION_PATH, "l2"));
	assert_true(has(COPSE_OPTION_LOCATION_QUERY, "lq"));
	assert_true(has(COPSE_OPTION_BLOCK2, "\x5e"));
	assert_true(has(COPSE_OPTION_SIZE2, "\x0f\xa0"));
	assert_int_equal(count(COPSE_OPTION_OBSERVE), 0); /* nobody observes */
	assert_true(has(UNKNOWN_ELECTIVE_SAFE, "es"));
	assert_true(has(UNKNOWN_CRITICAL_SAFE, "cs"));
	assert_memory_equal(copse_message_payload(&sent), "{}", 2);
	static const uint16_t refused[] = {UNKNOWN_ELECTIVE_UNSAFE, UNKNOWN_CRITICAL_UNSAFE,
					   COPSE_OPTION_URI_PATH, COPSE_OPTION_PROXY_URI};
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		begin(COPSE_CODE_CONTENT);
		text(refused[i], "x");
		assert_int_equal(backward(), COPSE_CODE_BAD_GATEWAY);
	}
}

/* RFC 8768 §4: each proxy on the way back puts its name in front. */
static void test_hop_limit_response(void **state)
{
	(void)state;
	begin(COPSE_CODE_HOP_LIMIT_REACHED);
	copse_build_payload(&in, "far", 3);
	assert_int_equal(backward(), 0);
	assert_int_equal(sent.payload_len, 6);
	assert_memory_equal(copse_message_payload(&sent), "gw far", 6);
	begin(COPSE_CODE_HOP_LIMIT_REACHED);
	assert_int_equal(backward(), 0);
	assert_int_equal(sent.payload_len, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_proxy_uri),
	    cmocka_unit_test(test_proxy_scheme),
	    cmocka_unit_test(test_schemes),
	    cmocka_unit_test(test_bad_uris),
	    cmocka_unit_test(test_request_classes),
	    cmocka_unit_test(test_consumed),
	    cmocka_unit_test(test_bad_values),
	    cmocka_unit_test(test_hop_limit),
	    cmocka_unit_test(test_blocks),
	    cmocka_unit_test(test_response),
	    cmocka_unit_test(test_hop_limit_response),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
