/* Tests of the requests of a load: ranges in URIs, and templates.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_plan.h"
#include "report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char uri[200];

static void test_without_range(void **state)
{
	(void)state;
	assert_int_equal(load_plan_uri("coap://host/a", 0, uri, sizeof(uri)), 1);
	assert_string_equal(uri, "coap://host/a");
}

static void test_range(void **state)
{
	(void)state;
	assert_int_equal(load_plan_uri("coap://dev{8-12}/t", 0, uri, sizeof(uri)), 5);
	assert_string_equal(uri, "coap://dev8/t");
	load_plan_uri("coap://dev{8-12}/t", 4, uri, sizeof(uri));
	assert_string_equal(uri, "coap://dev12/t");
	load_plan_uri("coap://dev{008-012}/t", 1, uri, sizeof(uri));
	assert_string_equal(uri, "coap://dev009/t");
	assert_int_equal(load_plan_uri("coap://dev{0-99999}/", 99999, uri, sizeof(uri)), 100000);
	assert_string_equal(uri, "coap://dev99999/");
}

static void test_bad_ranges(void **state)
{
	static const char *const bad[] = {"coap://{/",
					  "coap://{}/",
					  "coap://{1}/",
					  "coap://{1-}/",
					  "coap://{1-2/",
					  "coap://{2-1}/",
					  "coap://{-1-2}/",
					  "coap://{a-b}/",
					  "coap://{0-100000}/",
					  "coap://{1-2}{3-4}/",
					  "coap://{1-99999999999999999999}/"};
	(void)state;
	report_setup(COLOR_NEVER, true, false);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(load_plan_uri(bad[i], 0, uri, sizeof(uri)), 0);
	assert_int_equal(load_plan_uri("coap://host/a", 0, uri, 13), 0); /* no room for the NUL */
	assert_int_equal(load_plan_uri("coap://host/a", 0, uri, 14), 1);
}

static struct args parse(int n, const char *const *words)
{
	char *copy[8] = {NULL};
	struct args args;

	memcpy(copy, words, (size_t)n * sizeof(*copy));
	assert_int_equal(args_parse(&args, n, copy), 0);
	return args;
}

static void test_direct(void **state)
{
	const char *const words[] = {"copse", "load", "get", "coap://127.0.0.1:7/x{1-3}"};
	/* Uri-Path (11) of 2 bytes; a literal address and its port are not sent (RFC 7252 §6.4) */
	static const uint8_t second[] = {0xb2, 'x', '2'};
	const struct args args = parse(4, words);
	struct load_plan plan;

	(void)state;
	assert_int_equal(load_plan_make(&plan, &args, words[3], 0), 0);
	assert_int_equal(plan.n, 3);
	assert_int_equal(copse_address_port(&plan.to), 7);
	assert_int_equal(plan.templates[1].len, sizeof(second));
	assert_memory_equal(plan.templates[1].options, second, sizeof(second));
	load_plan_free(&plan);
}

static void test_by_proxy(void **state)
{
	const char *const words[] = {"copse",          "load",    "get",
				     "coap://d{1-2}/", "--proxy", "coap://127.0.0.1:8"};
	/* Proxy-Uri: 35 is 13 + 22, 10 bytes */
	static const uint8_t second[] = {0xda, 22, 'c', 'o', 'a', 'p', ':', '/', '/', 'd', '2', '/'};
	const struct args args = parse(6, words);
	struct load_plan plan;

	(void)state;
	assert_int_equal(load_plan_make(&plan, &args, words[3], 0), 0);
	assert_int_equal(copse_address_port(&plan.to), 8);
	assert_int_equal(plan.templates[1].len, sizeof(second));
	assert_memory_equal(plan.templates[1].options, second, sizeof(second));
	load_plan_free(&plan);
}

/* What does not fit into a datagram is said beforehand. */
static void test_too_long(void **state)
{
	const char *const words[] = {"copse", "load", "put", "coap://127.0.0.1/"};
	const struct args args = parse(4, words);
	struct load_plan plan;

	(void)state;
	report_setup(COLOR_NEVER, true, false);
	assert_int_equal(load_plan_make(&plan, &args, words[3], LOAD_DATAGRAM - 63), 0);
	load_plan_free(&plan);
	assert_int_equal(load_plan_make(&plan, &args, words[3], LOAD_DATAGRAM - 62), EXIT_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_range), cmocka_unit_test(test_range),
	    cmocka_unit_test(test_bad_ranges),    cmocka_unit_test(test_direct),
	    cmocka_unit_test(test_by_proxy),      cmocka_unit_test(test_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
