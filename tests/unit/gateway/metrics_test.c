/* /metrics: OpenMetrics text that a reader of it can take, over CoAP, block by block, of one moment.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/metrics.h"
#include "world.h"

static int set_up(void **state)
{
	(void)state;
	start_world(world_default, (struct sim_link){.delay_ms = 10});
	return 0;
}

static bool is_name(const char *text, size_t len)
{
	return len > 6 && strncmp(text, "copse_", 6) == 0 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") >= len;
}

/* Three lines a metric: TYPE, HELP and the value, all of one name; each name once; EOF at the end and nowhere else. */
static unsigned check_text(const char *text)
{
	static char names[300][80];
	unsigned n = 0;

	while (strcmp(text, "# EOF\n") != 0) {
		char type[16];
		int used = 0;
		assert_true(n < 300);
		assert_int_equal(sscanf(text, "# TYPE %79s %15s%n", names[n], type, &used), 2);
		assert_true(is_name(names[n], strlen(names[n])));
		for (unsigned i = 0; i < n; i++)
			assert_string_not_equal(names[i], names[n]);
		bool counter = strcmp(type, "counter") == 0;
		assert_true(counter || strcmp(type, "gauge") == 0);
		text += used;
		char line[200];
		int len = snprintf(line, sizeof(line), "\n# HELP %s ", names[n]);
		assert_int_equal(strncmp(text, line, (size_t)len), 0);
		text += len;
		size_t help = strcspn(text, "\n");
		assert_true(help > 3 && !memchr(text, '\\', help));
		text += help;
		len = snprintf(line, sizeof(line), "\n%s%s ", names[n], counter ? "_total" : "");
		assert_int_equal(strncmp(text, line, (size_t)len), 0);
		text += len;
		size_t digits = strspn(text, "0123456789");
		assert_true(digits > 0 && text[digits] == '\n');
		text += digits + 1;
		n++;
	}
	return n;
}

static unsigned long long value_of(const char *text, const char *name)
{
	char line[100];

	snprintf(line, sizeof(line), "\n%s ", name);
	const char *at = strstr(text, line);
	assert_non_null(at);
	return strtoull(at + strlen(line), NULL, 10);
}

static void test_text(void **state)
{
	static char text[100000], cut[100];

	(void)state;
	open_session(ALICE, "a");
	get(ALICE, COPSE_NON, 1, "t", "coap://d1/a");
	run_for(100);
	static struct gw_report report;

	gw_report_take(worker, &report);
	size_t len = gw_metrics_text(worker, &report, text, sizeof(text));
	assert_int_equal(strlen(text), len);
	assert_true(check_text(text) > 60);
	assert_int_equal(value_of(text, "copse_gateway_forwarded_total"), 1);
	assert_int_equal(value_of(text, "copse_gateway_sessions"), 1);
	assert_int_equal(value_of(text, "copse_gateway_requests"), 0);
	assert_int_equal(gw_metrics_text(worker, &report, NULL, 0), len);
	for (size_t cap = 1; cap <= sizeof(cut); cap++) { /* cut off, never beyond */
		memset(cut, 'x', sizeof(cut));
		assert_int_equal(gw_metrics_text(worker, &report, cut, cap), len);
		assert_int_equal(strlen(cut), cap - 1);
		assert_memory_equal(cut, text, cap - 1);
		if (cap < sizeof(cut))
			assert_int_equal(cut[cap], 'x');
	}
}

/* The world keeps the beginning of payloads; blocks of 64 bytes are kept whole. */
static void test_blocks(void **state)
{
	static char text[100000];
	size_t len = 0;
	uint16_t id = 100;

	(void)state;
	begin(COPSE_CON, COPSE_CODE_GET, id++, "m");
	add(COPSE_OPTION_URI_PATH, "metrics");
	send_it(ALICE);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
	open_session(ALICE, "a");
	for (uint32_t num = 0;; num++) {
		client[ALICE].n = 0;
		begin(COPSE_CON, COPSE_CODE_GET, id++, "m");
		add(COPSE_OPTION_URI_PATH, "metrics");
		copse_build_uint(&request, COPSE_OPTION_BLOCK2, num << 4 | 2);
		send_it(ALICE);
		assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
		size_t n = strlen(last(ALICE)->payload);
		assert_true(n <= 64 && len + n < sizeof(text));
		memcpy(text + len, last(ALICE)->payload, n);
		len += n;
		if (n < 64)
			break;
		if (num == 3) /* what is counted meanwhile does not show, nor move what follows */
			for (uint16_t i = 0; i < 20; i++)
				get(BOB, COPSE_NON, i, "t", "coap://d1/a");
	}
	assert_true(check_text(text) > 60);
	assert_int_equal(value_of(text, "copse_gateway_refused_anonymous_total"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, end_test)
	const struct CMUnitTest tests[] = {TEST(test_text), TEST(test_blocks)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
