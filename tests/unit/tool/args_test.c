/* The command line: commands, options in every form, and what is refused.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "args.h"
#include "report.h"

static struct args args;

/* Parse words; what the parser says is of no interest here. */
static int parse_v(const char *first, ...)
{
	static char words[32][64];
	char *argv[33];
	int argc = 1;
	va_list list;

	snprintf(words[0], 64, "copse");
	va_start(list, first);
	for (const char *word = first; word; word = va_arg(list, const char *))
		snprintf(words[argc++], 64, "%s", word);
	va_end(list);
	for (int i = 0; i < argc; i++)
		argv[i] = words[i];
	argv[argc] = NULL;
	int err = dup(STDERR_FILENO);
	freopen("/dev/null", "w", stderr);
	int code = args_parse(&args, argc, argv);
	fflush(stderr);
	dup2(err, STDERR_FILENO);
	close(err);
	return code;
}

#define parse(...) parse_v(__VA_ARGS__, (const char *)NULL)

static void every_command_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < command_n; i++) {
		assert_int_equal(parse(commands[i].name, "--help"), -1);
		const char *operand = strcmp(commands[i].name, "session") == 0 ? "status" : "coap://h/";
		if (commands[i].most == 0)
			assert_int_equal(parse(commands[i].name), 0);
		else if (commands[i].least == 2)
			assert_int_equal(parse(commands[i].name, "get", operand), 0);
		else
			assert_int_equal(parse(commands[i].name, operand), 0);
		assert_ptr_equal(args.command, &commands[i]);
		assert_int_equal(args.code, commands[i].code);
	}
	assert_int_equal(parse("gett", "coap://h/"), EXIT_OTHER);
	assert_int_equal(parse("help"), -1);
	assert_int_equal(parse("help", "get"), -1);
	assert_int_equal(parse("help", "gett"), EXIT_OTHER);
	assert_int_equal(parse("--version"), -1);
}

static void options_in_every_form(void **state)
{
	(void)state;
	assert_int_equal(parse("get", "-A", "json", "coap://h/"), 0);
	assert_string_equal(args_value(&args, ARG_ACCEPT), "json");
	assert_int_equal(parse("get", "-Ajson", "coap://h/"), 0);
	assert_string_equal(args_value(&args, ARG_ACCEPT), "json");
	assert_int_equal(parse("get", "coap://h/", "--accept", "json"), 0);
	assert_string_equal(args_value(&args, ARG_ACCEPT), "json");
	assert_int_equal(parse("get", "coap://h/", "--accept=json"), 0);
	assert_string_equal(args_value(&args, ARG_ACCEPT), "json");
	assert_int_equal(parse("get", "coap://h/", "--acc=json"), 0);
	assert_string_equal(args_value(&args, ARG_ACCEPT), "json");
	assert_int_equal(parse("get", "-ivvN", "coap://h/"), 0);
	assert_int_equal(args_count(&args, ARG_VERBOSE), 2);
	assert_int_equal(args_count(&args, ARG_INCLUDE), 1);
	assert_int_equal(args_count(&args, ARG_NON), 1);
	assert_int_equal(parse("get", "-iAjson", "coap://h/"), 0);
	assert_string_equal(args_value(&args, ARG_ACCEPT), "json");
	assert_int_equal(parse("put", "coap://h/", "--", "-v"), 0);
	assert_string_equal(args.operand[1], "-v");
	assert_int_equal(parse("put", "coap://h/", "-"), 0);
	assert_string_equal(args.operand[1], "-");
}

static void the_last_one_counts_and_lists_grow(void **state)
{
	(void)state;
	assert_int_equal(parse("get", "-A", "0", "-A", "50", "coap://h/", "-O", "1=a", "-O", "2=b"), 0);
	assert_string_equal(args_value(&args, ARG_ACCEPT), "50");
	assert_int_equal(args_count(&args, ARG_OPTION), 2);
	assert_int_equal(args.given[2].name, ARG_OPTION);
	assert_string_equal(args.given[2].value, "1=a");
}

static void a_value_may_be_left_out_where_it_may(void **state)
{
	uint32_t mask;
	(void)state;
	assert_int_equal(parse("post", "--no-response", "coap://h/"), 0);
	assert_int_equal(args_number(&args, ARG_NO_RESPONSE, 0, 127, 26, &mask), 0);
	assert_int_equal(mask, 26);
	assert_int_equal(parse("post", "--no-response=2", "coap://h/"), 0);
	assert_int_equal(args_number(&args, ARG_NO_RESPONSE, 0, 127, 26, &mask), 0);
	assert_int_equal(mask, 2);
	assert_string_equal(args.operand[0], "coap://h/");
}

static void what_is_refused(void **state)
{
	(void)state;
	assert_int_equal(parse("get"), EXIT_OTHER);
	assert_int_equal(parse("get", "coap://h/", "more"), EXIT_OTHER);
	assert_int_equal(parse("get", "--nothing", "coap://h/"), EXIT_OTHER);
	assert_int_equal(parse("get", "-X", "coap://h/"), EXIT_OTHER);
	assert_int_equal(parse("get", "coap://h/", "-A"), EXIT_OTHER);
	assert_int_equal(parse("get", "coap://h/", "--accept"), EXIT_OTHER);
	assert_int_equal(parse("get", "coap://h/", "--non=1"), EXIT_OTHER);
	assert_int_equal(parse("get", "coap://h/", "--content-format=0"),
			 EXIT_OTHER); /* of put, not of get */
	assert_int_equal(parse("get", "coap://h/", "--count=3"), EXIT_OTHER);
	assert_int_equal(parse("get", "coap://h/", "--ver"), EXIT_OTHER); /* verbose or version */
	assert_int_equal(parse("get", "coap://h/", "--color=blue"), EXIT_OTHER);
	assert_int_equal(parse("-m", "take", "coap://h/"), EXIT_OTHER);
}

static void options_are_bounded(void **state)
{
	char *argv[ARGS_GIVEN_MAX + 5];
	static char name[] = "copse", get[] = "get", uri[] = "coap://h/", v[] = "-v";
	(void)state;
	argv[0] = name;
	argv[1] = get;
	argv[2] = uri;
	for (int i = 3; i < ARGS_GIVEN_MAX + 4; i++)
		argv[i] = v;
	assert_int_equal(args_parse(&args, ARGS_GIVEN_MAX + 3, argv), 0);
	report_setup(COLOR_NEVER, true, false);
	assert_int_equal(args_parse(&args, ARGS_GIVEN_MAX + 4, argv), EXIT_OTHER);
}

static void coap_clients_habits(void **state)
{
	(void)state;
	assert_int_equal(parse("-m", "put", "-e", "text", "-t", "0", "-p", "7000", "-B", "5", "-N", "-v", "6",
			       "coap://h/"),
			 0);
	assert_true(args.alias);
	assert_int_equal(args.code, COPSE_CODE_PUT);
	assert_int_equal(args_count(&args, ARG_VERBOSE), 1);
	assert_string_equal(args.operand[0], "coap://h/");
	assert_int_equal(parse("coap://h/"), 0);
	assert_int_equal(args.code, COPSE_CODE_GET);
	assert_int_equal(parse("-v9", "coap://h/"), 0);
	assert_int_equal(args_count(&args, ARG_VERBOSE), 2);
	assert_int_equal(parse("-v", "3", "coap://h/"), 0);
	assert_int_equal(args_count(&args, ARG_VERBOSE), 0);
	assert_int_equal(parse("-v", "coap://h/"), 0);
	assert_int_equal(args_count(&args, ARG_VERBOSE), 1);
	assert_int_equal(parse("-s", "60", "-m", "get", "coap://h/"), 0);
	assert_string_equal(args_value(&args, ARG_FOR), "60");
	assert_int_equal(parse("-O", "35,coap://x/", "-P", "coap://g", "-f", "x", "-o", "y", "-A", "40", "-U",
			       "-b", "2,64", "-H", "3", "-w", "-a", "::1", "coap://h/"),
			 0);
}

static void numbers(void **state)
{
	uint32_t n;
	(void)state;
	assert_int_equal(parse("get", "--local-port=65535", "coap://h/"), 0);
	assert_int_equal(args_number(&args, ARG_LOCAL_PORT, 1, 65535, 0, &n), 0);
	assert_int_equal(n, 65535);
	static const char *const bad[] = {"0", "65536", "-1", "", "12x", "99999999999999999999999", " "};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char word[64];
		snprintf(word, sizeof(word), "--local-port=%s", bad[i]);
		assert_int_equal(parse("get", word, "coap://h/"), 0);
		report_setup(COLOR_NEVER, true, false);
		assert_int_equal(args_number(&args, ARG_LOCAL_PORT, 1, 65535, 0, &n), EXIT_OTHER);
	}
}

static void spans(void **state)
{
	static const struct {
		const char *text;
		copse_ms ms;
	} good[] = {{"0", 0},       {"90", 90000},   {"1.5", 1500},   {"90s", 90000},
		    {"250ms", 250}, {"15m", 900000}, {"2h", 7200000}, {"1d", 86400000}};
	static const char *const bad[] = {"", "x", "-1", "1w", "nan", "inf", "1e300"};
	copse_ms ms;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(parse("get", "-B", good[i].text, "coap://h/"), 0);
		assert_int_equal(args_span(&args, ARG_TIMEOUT, 7, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(parse("get", "-B", bad[i], "coap://h/"), 0);
		report_setup(COLOR_NEVER, true, false);
		assert_int_equal(args_span(&args, ARG_TIMEOUT, 7, &ms), EXIT_OTHER);
	}
	assert_int_equal(parse("get", "coap://h/"), 0);
	assert_int_equal(args_span(&args, ARG_TIMEOUT, 7, &ms), 0);
	assert_int_equal(ms, 7);
}

/* Each option stands in the help and the completion of each command that takes it, and in the manual page. */
static void everything_is_documented(void **state)
{
	static char page[100000], help[20000], completion[20000];
	FILE *file = fopen(COPSE_SOURCE_DIR "/doc/man/copse.1.md", "r");
	(void)state;
	assert_non_null(file);
	size_t n = fread(page, 1, sizeof(page) - 1, file);
	fclose(file);
	page[n] = '\0';
	file = fmemopen(completion, sizeof(completion), "w");
	args_print_completion(file);
	fclose(file);
	for (int i = 0; i < ARG_N; i++) {
		char option[64];
		snprintf(option, sizeof(option), "**--%s**", arg_rows[i].text);
		if (i != ARG_METHOD && i != ARG_HELP && i != ARG_VERSION)
			assert_non_null(strstr(page, option));
	}
	for (size_t c = 0; c < command_n; c++) {
		char title[64];
		file = fmemopen(help, sizeof(help), "w");
		args_print_help(file, &commands[c]);
		fclose(file);
		for (int i = 0; i < ARG_N; i++) {
			char option[64];
			snprintf(option, sizeof(option), "--%s", arg_rows[i].text);
			if (arg_rows[i].groups == ALL || arg_rows[i].groups & commands[c].groups)
				assert_non_null(strstr(help, option));
		}
		snprintf(title, sizeof(title), "**%s", commands[c].name);
		assert_non_null(strstr(page, title));
		assert_non_null(strstr(completion, commands[c].name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_command_is_known),
	    cmocka_unit_test(options_in_every_form),
	    cmocka_unit_test(the_last_one_counts_and_lists_grow),
	    cmocka_unit_test(a_value_may_be_left_out_where_it_may),
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(options_are_bounded),
	    cmocka_unit_test(coap_clients_habits),
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(spans),
	    cmocka_unit_test(everything_is_documented),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
