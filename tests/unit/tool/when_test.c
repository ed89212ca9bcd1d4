/* Tests of times and spans as people give them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define NOW    (INT64_C(1782907200) * SECOND) /* 2026-07-01T12:00:00Z */

static void is_time(const char *text, int64_t expected)
{
	int64_t found = -1;
	size_t fault = 99;

	if (when_parse(text, NOW, &found, &fault) != 0)
		fail_msg("%s: refused at %zu", text, fault);
	if (found != expected)
		fail_msg("%s: %lld is not %lld", text, (long long)found, (long long)expected);
}

static void is_refused(const char *text, size_t at)
{
	int64_t found;
	size_t fault = 99;

	if (when_parse(text, NOW, &found, &fault) == 0)
		fail_msg("%s: taken for a time", text);
	if (fault != at)
		fail_msg("%s: refused at %zu, not at %zu", text, fault, at);
}

static int zone(void **state)
{
	(void)state;
	setenv("TZ", "XST-2", 1); /* two hours before UTC */
	tzset();
	return 0;
}

static void test_rfc3339(void **state)
{
	(void)state;
	is_time("2026-07-01T12:00:00Z", NOW);
	is_time("2026-07-01t12:00:00z", NOW);
	is_time("2026-07-01T14:30:00+02:30", NOW);
	is_time("2026-07-01T10:00:00-0200", NOW);
	is_time("2026-07-01 12:00:00.25Z", NOW + SECOND / 4);
	is_time("2026-07-01T12:00:00.0000019Z", NOW + 1);
	is_time("2024-02-29T00:00:00Z", INT64_C(1709164800) * SECOND);
	is_time("2016-12-31T23:59:60Z", INT64_C(1483228800) * SECOND); /* a leap second */
}

static void test_local(void **state)
{
	(void)state;
	is_time("2026-07-01T14:00:00", NOW);
	is_time("2026-07-01 14:00", NOW);
	is_time("2026-07-01", NOW - 14 * 3600 * SECOND);
	is_time("today", NOW - 14 * 3600 * SECOND);
	is_time("yesterday", NOW - 38 * 3600 * SECOND);
}

static void test_relative(void **state)
{
	(void)state;
	is_time("now", NOW);
	is_time("-0", NOW);
	is_time("-90", NOW - 90 * SECOND);
	is_time("-1.5h", NOW - 5400 * SECOND);
	is_time("-1h30m", NOW - 5400 * SECOND);
	is_time("-1w", NOW - 7 * 86400 * SECOND);
	is_time("@1782907200", NOW);
	is_time("@1.5", SECOND * 3 / 2);
}

static void test_refusals(void **state)
{
	(void)state;
	is_refused("", 0);
	is_refused("noon", 0);
	is_refused("-", 1);
	is_refused("--1h", 1);
	is_refused("-1y", 2);
	is_refused("-1h30", 5);
	is_refused("-inf", 1);
	is_refused("-99999999999999w", 1);
	is_refused("2026-13-01", 5);
	is_refused("2026-02-29", 8);
	is_refused("2026-07-01X", 10);
	is_refused("2026-07-01T25:00Z", 11);
	is_refused("2026-07-01T12:60Z", 14);
	is_refused("2026-07-01T12:00:00+25:00", 20);
	is_refused("2026-07-01T12:00:00Zz", 20);
	is_refused("@", 1);
	is_refused("@12x", 3);
	is_refused("@-1", 1);
	is_refused("@999999999999999999999", 1);
}

static void test_spans(void **state)
{
	int64_t span;
	size_t fault;

	(void)state;
	assert_int_equal(when_parse_span("15m", &span, &fault), 0);
	assert_int_equal(span, 900 * SECOND);
	assert_int_equal(when_parse_span("0.5", &span, &fault), 0);
	assert_int_equal(span, SECOND / 2);
	assert_int_equal(when_parse_span("1d12h", &span, &fault), 0);
	assert_int_equal(span, 129600 * SECOND);
	assert_int_equal(when_parse_span("0x10", &span, &fault), -1);
	assert_int_equal(when_parse_span("", &span, &fault), -1);
}

static void test_printing(void **state)
{
	char out[WHEN_TEXT];

	(void)state;
	assert_string_equal(when_rfc3339(NOW, out), "2026-07-01T12:00:00Z");
	assert_string_equal(when_rfc3339(NOW + 250000, out), "2026-07-01T12:00:00.25Z");
	assert_string_equal(when_rfc3339(-1, out), "1969-12-31T23:59:59.999999Z");
	assert_string_equal(when_local(NOW + 999999, out), "2026-07-01 14:00:00");
	assert_string_equal(when_age(-5, out), "0 s");
	assert_string_equal(when_age(119 * SECOND, out), "119 s");
	assert_string_equal(when_age(120 * SECOND, out), "2 min");
	assert_string_equal(when_age(86400 * SECOND, out), "24 h");
	assert_string_equal(when_age(INT64_C(172800) * SECOND, out), "2 d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rfc3339),  cmocka_unit_test(test_local), cmocka_unit_test(test_relative),
	    cmocka_unit_test(test_refusals), cmocka_unit_test(test_spans), cmocka_unit_test(test_printing),
	};

	return cmocka_run_group_tests(tests, zone, NULL);
}
