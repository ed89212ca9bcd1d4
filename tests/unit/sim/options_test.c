/* The command line of copse-sim: what it takes, what it refuses and how it says so, and the addresses it deals out.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

#include "copse-sim/options.h"

static struct sim_options options;
static char why[160];

/* The arguments are one text, separated by blanks. */
static int parse(const char *line)
{
	static char copy[256];
	static char name[] = "copse-sim";
	char *argv[32] = {name}, *rest = copy, *word;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " "))) {
		if (*word)
			argv[argc++] = word;
	}
	why[0] = 0;
	return sim_options_parse(&options, argc, argv, why, sizeof(why));
}

static void assert_address(uint32_t index, uint64_t mac, const char *expected)
{
	struct copse_address address;
	char text[COPSE_ADDRESS_TEXT];

	sim_options_address(&options, index, mac, &address);
	assert_string_equal(copse_address_text(&address, text, sizeof(text)), expected);
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(options.action, SIM_RUN);
	assert_int_equal(options.count, 20);
	assert_true(options.speed == 1 && !options.started && options.weather.loss == 0);
	assert_string_equal(sim_options_kind(&options, 0)->name, "meter");
	assert_string_equal(sim_options_kind(&options, 9)->name, "tracker");
	assert_address(0, 0, "127.1.0.1:5683");
	assert_address(19, 0, "127.1.0.20:5683");
	assert_address(299, 0, "127.1.1.44:5683");
}

static void security_contexts(void **state)
{
	(void)state;
	assert_int_equal(parse("--oscore a --oscore b,c"), 0);
	assert_int_equal(options.oscore_n, 2);
	assert_string_equal(options.oscore[1], "b,c");
	assert_int_equal(
	    parse("--oscore 1 --oscore 2 --oscore 3 --oscore 4 --oscore 5 --oscore 6 --oscore 7 --oscore 8"),
	    0);
	assert_int_equal(options.oscore_n, SIM_OSCORE_MAX);
	assert_int_equal(
	    parse("--oscore 1 --oscore 2 --oscore 3 --oscore 4 --oscore 5 --oscore 6 --oscore 7 --oscore 8 "
		  "--oscore 9"),
	    -1);
	assert_non_null(strstr(why, "more than 8"));
}

static void everything_at_once(void **state)
{
	(void)state;
	assert_int_equal(parse("-n 7 --kinds meter:2,light --seed 99 --speed 60 --start 1780272000 --loss "
			       "12.5 --delay 50-400 "
			       "--sleep 30/2.5 --conf out -v"),
			 0);
	assert_int_equal(options.count, 7);
	assert_int_equal(options.kind_n, 3);
	assert_string_equal(sim_options_kind(&options, 4)->name, "meter");
	assert_string_equal(sim_options_kind(&options, 5)->name, "light");
	assert_int_equal(options.seed, 99);
	assert_true(options.speed == 60);
	assert_true(options.started && options.start_ms == 1780272000000);
	assert_true(options.weather.loss == 0.125);
	assert_int_equal(options.weather.delay_min_ms, 50);
	assert_int_equal(options.weather.delay_max_ms, 400);
	assert_int_equal(options.weather.sleep_period_ms, 30000);
	assert_int_equal(options.weather.sleep_awake_ms, 2500);
	assert_string_equal(options.conf, "out");
	assert_int_equal(options.verbose, 1);
	assert_int_equal(parse("--delay 70 --sleep 5"), 0);
	assert_int_equal(options.weather.delay_min_ms, 70);
	assert_int_equal(options.weather.delay_max_ms, 70);
	assert_int_equal(options.weather.sleep_awake_ms, 1000);
}

static void publishing(void **state)
{
	char text[COPSE_ADDRESS_TEXT];

	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(options.publish.len, 0);
	assert_int_equal(parse("--publish 192.0.2.1"), 0);
	assert_string_equal(copse_address_text(&options.publish, text, sizeof(text)), "192.0.2.1:5683");
	assert_int_equal(options.publish_ms, 60000);
	assert_int_equal(parse("--publish [2001:db8::1]:5690/2.5 --sleep 10"), 0);
	assert_string_equal(copse_address_text(&options.publish, text, sizeof(text)), "[2001:db8::1]:5690");
	assert_int_equal(options.publish_ms, 2500);
	assert_int_equal(parse("--publish 192.0.2.1 --sleep 10"), 0);
	assert_int_equal(options.publish_ms, 0); /* when it wakes up */
}

static void actions(void **state)
{
	(void)state;
	assert_int_equal(parse("--list"), 0);
	assert_int_equal(options.action, SIM_LIST);
	assert_int_equal(parse("-h"), 0);
	assert_int_equal(options.action, SIM_HELP);
	assert_int_equal(parse("--version"), 0);
	assert_int_equal(options.action, SIM_VERSION);
}

static void addresses(void **state)
{
	(void)state;
	assert_int_equal(parse("--bind 127.9.8.0/24 -p 7000"), 0);
	assert_address(5, 0, "127.9.8.6:7000");
	assert_int_equal(parse("--bind 127.0.0.1 -p 7000"), 0);
	assert_address(5, 0, "127.0.0.1:7005");
	assert_int_equal(parse("--bind 127.0.0.1 -p 0"), 0);
	assert_address(5, 0, "127.0.0.1:0");
	assert_int_equal(parse("--bind ::1 -p 7000"), 0);
	assert_address(1, 0, "[::1]:7001");
	/* RFC 4291 Appendix A: the universal/local bit is inverted */
	assert_int_equal(parse("--bind fd00:1:2:3::/64"), 0);
	assert_address(0, 0x001350030a1b2c3d, "[fd00:1:2:3:213:5003:a1b:2c3d]:5683");
	/* bits of the prefix beyond its length do not count */
	assert_int_equal(parse("--bind 127.1.2.3/16"), 0);
	assert_address(0, 0, "127.1.0.1:5683");
}

static void bad_command_lines(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
	    {"-n 0", "--count"},
	    {"-n 60001", "--count"},
	    {"-n 1.5", "--count"},
	    {"-n x", "--count"},
	    {"-n", "without its value"},
	    {"--kinds fridge", "there is no kind \"fridge\""},
	    {"--kinds meter,", "there is no kind \"\""},
	    {"--kinds meter:0", "--kinds"},
	    {"--kinds meter:65", "--kinds"},
	    {"--kinds meter:60,light:5", "more than 64"},
	    {"--kinds meter;light", "no kind"},
	    {"--bind 127.1.0.0/33", "--bind"},
	    {"--bind 127.1/16", "--bind"},
	    {"--bind fd00::/96", "at most 64 bits"},
	    {"--bind host", "--bind"},
	    {"--bind 127.1.2.0/28 -n 15", "do not fit"},
	    {"--bind 127.0.0.1 -p 65530", "do not fit"},
	    {"-p 65536", "--port"},
	    {"-p -1", "--port"},
	    {"--seed -1", "--seed"},
	    {"--seed 99999999999999999999", "--seed"},
	    {"--speed 0", "--speed"},
	    {"--speed nan", "--speed"},
	    {"--speed inf", "--speed"},
	    {"--loss 101", "--loss"},
	    {"--loss 5%", "--loss"},
	    {"--delay 5-", "--delay"},
	    {"--delay 5-4", "--delay"},
	    {"--delay 5x", "--delay"},
	    {"--sleep 0", "--sleep"},
	    {"--sleep 5/6", "--sleep"},
	    {"--sleep 5/1/1", "--sleep"},
	    {"--publish nowhere", "--publish"},
	    {"--publish 192.0.2.1/", "--publish"},
	    {"--publish 192.0.2.1/0", "--publish"},
	    {"--publish 192.0.2.1/5x", "--publish"},
	    {"--line /dev/null -n 1 --publish 192.0.2.1", "on a line"},
	    {"--start -5", "--start"},
	    {"--list -p 0", "--conf"},
	    {"--nonsense", "unknown option"},
	    {"extra", "unexpected argument \"extra\""},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i].line) == 0)
			fail_msg("\"%s\" is taken", bad[i].line);
		if (!strstr(why, bad[i].says))
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i].line, why, bad[i].says);
	}
	assert_int_equal(parse("--bind 127.1.2.0/28 -n 14"), 0);
	assert_int_equal(parse("--bind 127.0.0.1 -p 65516"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(security_contexts),
	    cmocka_unit_test(everything_at_once),
	    cmocka_unit_test(publishing),
	    cmocka_unit_test(actions),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(bad_command_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
