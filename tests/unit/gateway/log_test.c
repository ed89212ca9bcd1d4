/* The log: lines stay lines, whatever is in them, and floods stay bounded.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/log.h"

#define AT 1700000000123

static char line[GW_LOG_LINE + 1];

static const char *format(const char *msg, const char *key, const char *value)
{
	const struct gw_field field = {key, value};
	size_t n = gw_log_format(line, GW_LOG_LINE, AT, GW_LOG_WARN, "t", msg, &field, 1);

	assert_true(n <= GW_LOG_LINE);
	assert_int_equal(line[n - 1], '\n');
	line[n] = 0;
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
	return line;
}

#define HEAD "ts=2023-11-14T22:13:20.123Z level=warn logger=t msg="

static void test_format(void **state)
{
	(void)state;
	assert_string_equal(format("hello", "k", "v"), HEAD "hello k=v\n");
	assert_string_equal(format("hello there", "k", "a b"), HEAD "\"hello there\" k=\"a b\"\n");
	assert_string_equal(format("m", "k", ""), HEAD "m k=\"\"\n");
	assert_string_equal(format("m", "k", NULL), HEAD "m\n");
	assert_string_equal(format("m", "k", "a\"b\\c"), HEAD "m k=\"a\\\"b\\\\c\"\n");
	assert_string_equal(format("m", "k", "a\nlevel=error\x1b[2J\x9b"),
			    HEAD "m k=\"a\\x0alevel=error\\x1b[2J\\x9b\"\n");
	assert_string_equal(format("m", "k", "x=1"), HEAD "m k=\"x=1\"\n");
}

static void test_long(void **state)
{
	char value[2000];

	(void)state;
	for (size_t n = 380; n < sizeof(value); n++) {
		memset(value, n % 2 ? 'a' : '\x01', n);
		value[n] = 0;
		format("m", "k", value);
		if (strlen(line) == GW_LOG_LINE)
			break;
	}
	memset(value, '\x01', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	format("m", "k", value);
	assert_true(strlen(line) > GW_LOG_LINE - 12);
	assert_string_equal(line + strlen(line) - 6, "\\x01\"\n"); /* no escape is cut, the quote is closed */
}

static void test_levels(void **state)
{
	(void)state;
	assert_int_equal(gw_log_level_from_text("error"), GW_LOG_ERROR);
	assert_int_equal(gw_log_level_from_text("debug"), GW_LOG_DEBUG);
	assert_int_equal(gw_log_level_from_text("Debug"), -1);
	assert_int_equal(gw_log_level_from_text(""), -1);
}

/* What a log with its own thread has written when it is freed. */
static size_t slurp(FILE *file, char **text)
{
	*text = calloc(1, 1 << 20);
	rewind(file);
	size_t n = fread(*text, 1, (1 << 20) - 1, file);
	fclose(file);
	return n;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}

static void test_writes(void **state)
{
	FILE *file = tmpfile();
	struct gw_log *log = gw_log_new(fileno(file), GW_LOG_INFO);
	char *text, number[GW_LOG_NUMBER];

	(void)state;
	gw_log(log, GW_LOG_INFO, "a", "one", {"n", gw_log_number(number, -7)}, {"x", "y"});
	gw_log(log, GW_LOG_DEBUG, "a", "two", {NULL, NULL});
	gw_log_set_level(log, GW_LOG_DEBUG);
	gw_log(log, GW_LOG_DEBUG, "a", "three");
	gw_log(NULL, GW_LOG_ERROR, "a", "nobody listens");
	gw_log_free(log);
	gw_log_free(NULL);
	slurp(file, &text);
	assert_int_equal(count(text, "\n"), 2);
	assert_non_null(strstr(text, "level=info logger=a msg=one n=-7 x=y\n"));
	assert_non_null(strstr(text, "level=debug logger=a msg=three\n"));
	free(text);
}

static void test_strangers(void **state)
{
	FILE *file = tmpfile();
	struct gw_log *log = gw_log_new(fileno(file), GW_LOG_INFO);
	char *text;

	(void)state;
	for (int i = 0; i < 5000; i++)
		gw_log_stranger(log, GW_LOG_WARN, "s", "who");
	gw_log(log, GW_LOG_WARN, "s", "known"); /* not limited */
	gw_log_free(log);
	slurp(file, &text);
	unsigned n = count(text, "msg=who\n");
	assert_true(n >= GW_LOG_STRANGER &&
		    n <= 4 * GW_LOG_STRANGER); /* should the loop run into further seconds */
	assert_non_null(strstr(text, "msg=\"lines about strangers left out\" count="));
	assert_non_null(strstr(text, "msg=known"));
	free(text);
}

/* A reader that does not read: lines beyond the ring are dropped, the caller is never held up, and it is told how many
 * when the reader goes on. */
static void *read_all(void *self)
{
	static char text[4 << 20];
	ssize_t n;

	for (size_t len = 0; len < sizeof(text) - 1; len += (size_t)n) {
		n = read(*(int *)self, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			break;
	}
	return text;
}

static void test_full(void **state)
{
	pthread_t reader;
	void *text;
	int fds[2];
	const unsigned n = 10 * GW_LOG_RING;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	struct gw_log *log = gw_log_new(fds[1], GW_LOG_INFO);
	for (unsigned i = 0; i < n; i++)
		gw_log(log, GW_LOG_INFO, "full",
		       "a line that fills the pipe and then the ring, until nothing more goes in");
	assert_int_equal(pthread_create(&reader, NULL, read_all, &fds[0]), 0);
	gw_log_free(log);
	close(fds[1]);
	pthread_join(reader, &text);
	close(fds[0]);
	unsigned written = count(text, "logger=full"), dropped = 0;
	for (const char *at = text; (at = strstr(at, "queue was full\" count=")) != NULL; at++)
		dropped += (unsigned)strtoul(at + strlen("queue was full\" count="), NULL, 10);
	assert_true(dropped > 0);
	assert_int_equal(written + dropped, n);
}

static void *producer(void *self)
{
	for (int i = 0; i < 200; i++)
		gw_log(self, GW_LOG_INFO, "p", "0123456789");
	return NULL;
}

static void test_threads(void **state)
{
	FILE *file = tmpfile();
	struct gw_log *log = gw_log_new(fileno(file), GW_LOG_INFO);
	pthread_t thread[4];
	char *text;

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, producer, log);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	gw_log_free(log);
	slurp(file, &text);
	assert_int_equal(count(text, " level=info logger=p msg=0123456789\n"),
			 800); /* all fit, none is torn */
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_format),  cmocka_unit_test(test_long),      cmocka_unit_test(test_levels),
	    cmocka_unit_test(test_writes),  cmocka_unit_test(test_strangers), cmocka_unit_test(test_full),
	    cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
