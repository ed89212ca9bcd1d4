/* Whose path is it, and where values come from; the command line.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "copse-nic/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool owns(const char *const *path)
{
	struct copse_builder b;
	struct copse_message m;
	uint8_t buf[128];
	int n;

	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
	for (; *path; path++)
		copse_build_option(&b, COPSE_OPTION_URI_PATH, *path, strlen(*path));
	n = copse_build_finish(&b);
	assert_int_equal(copse_message_parse(&m, buf, (size_t)n), 0);
	return card_owns(&m);
}

#define PATH(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_owns(void **state)
{
	(void)state;
	assert_true(owns(PATH("time")));
	assert_true(owns(PATH("info")));
	assert_true(owns(PATH("battery", "more"))); /* the card answers 4.04 */
	assert_true(owns(PATH(".well-known", "core")));
	assert_false(owns(PATH("times")));
	assert_false(owns(PATH("temp")));
	assert_false(owns(PATH("temp", "time")));
	assert_false(owns((const char *const[]){NULL}));
}

/* The words of `line` as a command line; they stay in `words`. */
static int parse(struct nic_options *o, char *why, const char *line)
{
	static char words[256]; /* ends with two zeros */
	char *argv[16] = {0};
	int n = 0;

	memset(words, 0, sizeof(words));
	snprintf(words, sizeof(words) - 1, "copse-nic %s", line);
	for (char *at = words; *at; at += strlen(at) + 1) {
		argv[n++] = at;
		at[strcspn(at, " ")] = 0;
	}
	return nic_options_parse(o, n, argv, why, 256);
}

static void test_options(void **state)
{
	struct nic_options o;
	char why[256];

	(void)state;
	assert_int_equal(parse(&o, why, "--line /dev/ttyS1"), 0);
	assert_int_equal(o.listen_n, 1);
	assert_int_equal(copse_address_port(&o.listen[0]), 5683);
	assert_int_equal(o.line.frame_max, 256);
	assert_int_equal(parse(&o, why, "-l x -b [::1]:1 -b 127.0.0.1:2 -f 512 --timeout 0.5 -B 9600"), 0);
	assert_int_equal(o.listen_n, 2);
	assert_int_equal(o.timeout_ms, 500);
	assert_int_equal(o.line.baud, 9600);
	assert_int_equal(parse(&o, why, "-V"), 0);
	assert_int_equal(o.action, NIC_VERSION);
}

static void test_bad_options(void **state)
{
	static const struct {
		const char *line, *why;
	} bad[] = {
	    {"", "--line DEVICE is missing: where is the sensor?"},
	    {"-l x -f 63", "--frame takes a number from 64 to 2048, not \"63\""},
	    {"-l x -f 70.5", "--frame takes a whole number, not \"70.5\""},
	    {"-l x -b here", "--bind: \"here\" is no address"},
	    {"-l x --timeout -1", "--timeout takes a number from 0.01 to 60, not \"-1\""},
	    {"-l x y", "unexpected argument \"y\""},
	    {"--wrong", "unknown option, or one without its value; see copse-nic --help"},
	    {"-l x --requests 8", "--observers 16 are more than --requests 8"},
	};
	struct nic_options o;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(&o, why, bad[i].line), -1);
		assert_string_equal(why, bad[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_owns), cmocka_unit_test(test_options),
					   cmocka_unit_test(test_bad_options)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
