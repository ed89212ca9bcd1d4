/* Times, spans and queries of histories: what is taken, what is refused, and with which words.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gateway/collector_query.h"

#include <copse/message.h>
#include <copse/server.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define NOW    (1700000000 * SECOND)

static void spans(void **state)
{
	static const struct {
		const char *text;
		int64_t span; /* 0: refused */
	} row[] = {
	    {"15m", 900 * SECOND},
	    {"1s", SECOND},
	    {"90", 90 * SECOND},
	    {"2h", 7200 * SECOND},
	    {"1d", 86400 * SECOND},
	    {"0.5s", SECOND / 2},
	    {"1y", 0},
	    {"", 0},
	    {"m", 0},
	    {"0", 0},
	    {"-1m", 0},
	    {"1mm", 0},
	    {"1e13", 0},
	    {"inf", 0},
	    {"nan", 0},
	    {"0x10", 0},
	    {" 1", 0},
	    {"1111111111111111111111111111111111111111", 0},
	};
	int64_t span;

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		bool taken = gw_span_parse(row[i].text, strlen(row[i].text), &span);
		assert_int_equal(taken, row[i].span != 0);
		if (taken)
			assert_true(span == row[i].span);
	}
	assert_true(gw_span_parse("15mh", 3, &span) &&
		    span == 900 * SECOND); /* the length counts, not a NUL */
}

static void times(void **state)
{
	static const struct {
		const char *text;
		bool taken;
		int64_t time;
	} row[] = {
	    {"1700000060", true, NOW + 60 * SECOND},
	    {"2023-11-14T22:13:20Z", true, NOW},
	    {"-1h", true, NOW - 3600 * SECOND},
	    {"0", true, 0},
	    {"1700000000.5", true, NOW + SECOND / 2},
	    {"never", false, 0},
	    {"", false, 0},
	    {"-", false, 0},
	    {"-1y", false, 0},
	    {"1e12", false, 0},
	    {"2023-13-14T22:13:20Z", false, 0},
	    {"2023-11-14T22:13:20Zx", false, 0},
	    {"2023-11-14", false, 0},
	};
	int64_t time;

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		assert_int_equal(gw_time_parse(row[i].text, strlen(row[i].text), NOW, &time), row[i].taken);
		if (row[i].taken)
			assert_true(time == row[i].time);
	}
}

/* Parse the queries, which are separated by '&'. */
static const char *parse(const char *text, struct gw_readings_query *out)
{
	static uint8_t bytes[300];
	static struct copse_message m;
	struct copse_builder b;

	copse_build_message(&b, bytes, sizeof(bytes), COPSE_CON, COPSE_CODE_GET, 1, "", 0);
	while (*text) {
		size_t len = strcspn(text, "&");
		copse_build_raw(&b, COPSE_OPTION_URI_QUERY, text, len);
		text += len + (text[len] == '&');
	}
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	assert_int_equal(copse_message_parse(&m, bytes, (size_t)n), 0);
	const struct copse_request rq = {.message = &m};
	return gw_readings_query_parse(&rq, NOW, out);
}

static void queries(void **state)
{
	struct gw_readings_query q;

	(void)state;
	assert_null(parse("", &q));
	assert_false(q.history);
	assert_null(parse("from=-1d&to=1700000000&last=7&every=15m&agg=max&as=csv", &q));
	assert_true(q.history && q.csv && q.from == NOW - 86400 * SECOND && q.to == NOW);
	assert_true(q.last == 7 && q.every == 900 * SECOND && q.agg == STORE_AGG_MAX);
	assert_null(parse("every=1h", &q));
	assert_int_equal(q.agg, STORE_AGG_MEAN);
	static const char *const wrong[][2] = {
	    {"from=never", "from is no time"},
	    {"to=", "to is no time"},
	    {"last=0", "last is no number of readings"},
	    {"last=-1", "last is no number of readings"},
	    {"last=1x", "last is no number of readings"},
	    {"last=9999999999", "last is no number of readings"},
	    {"every=1y", "every is no span of time"},
	    {"agg=mean", "agg needs every"},
	    {"every=1m&agg=mode", "agg is none of mean, min, max, sum, count"},
	    {"as=pdf", "as may be csv"},
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_string_equal(parse(wrong[i][0], &q), wrong[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(spans),
	    cmocka_unit_test(times),
	    cmocka_unit_test(queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
