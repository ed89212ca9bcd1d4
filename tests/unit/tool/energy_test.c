/* Tests of the energy calculations: with the standard inputs they come to what the documents say.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "args.h"
#include "energy.h"
#include "report.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void near(double found, double expected, double within)
{
	if (fabs(found - expected) > within)
		fail_msg("%.10g is not %.10g within %g", found, expected, within);
}

static struct energy standard(void)
{
	struct energy e;

	energy_standard(&e);
	return e;
}

/* 100 us to send, 100 us to make; 300,000; with 800 us to power up 60,000. */
static void test_time_awake(void **state)
{
	struct energy e = standard();
	struct energy_awake a = energy_awake(&e);

	(void)state;
	near(a.transmit, 100e-6, 1e-12);
	near(a.compute, 100e-6, 1e-12);
	near(a.bare_ratio, 300000, 1e-6);
	near(a.awake, 1000e-6, 1e-12);
	near(a.ratio, 60000, 1e-6);
}

static struct energy_model model(const char *name)
{
	struct energy e = standard();
	struct energy_model models[ENERGY_MODEL_N];

	energy_models(&e, models);
	for (int i = 0; i < ENERGY_MODEL_N; i++) {
		if (strcmp(models[i].name, name) == 0)
			return models[i];
	}
	fail_msg("no model %s", name);
	return models[0];
}

/* Always on: 60,000 times, or 60 times where listening takes 1,000 times less power. */
static void test_always_on(void **state)
{
	(void)state;
	near(model("server").alike, 60000, 1e-6);
	near(model("server").cheap, 60, 1e-9);
	near(model("observed").alike, 60000, 1e-6);
	near(model("send-only").alike, 1, 0);
	near(model("send-only").cheap, 1, 0);
}

/* A second each minute: 1,000 times more, or twice as much. */
static void test_listening_window(void **state)
{
	(void)state;
	near(model("listening window").alike - 1, 1000, 1e-6);
	near(model("listening window").cheap, 2, 1e-9);
}

/* Waiting 2 ms for a response: two times more, or 0.2 % more. By HTTP roughly twice that. */
static void test_confirmed(void **state)
{
	double con = model("send and confirm").alike, http = model("the same by HTTP").alike;

	(void)state;
	near(con - 1, 2, 1e-9);
	near(model("send and confirm").cheap - 1, 0.002, 1e-12);
	assert_true(http / con > 1.5 && http / con < 2.5);
}

/* Discovery once a day: in the order of 0.1 %. Thirty registrations. */
static void test_discovery_and_registration(void **state)
{
	struct energy e = standard();
	double more = model("daily discovery").alike - 1;

	(void)state;
	near(more, 1 / 1440.0, 1e-12);
	near(round(more * 1000) / 1000, 0.001, 1e-12);
	near(energy_registrations(&e), 30, 1e-12);
}

/* 24, 220 and 22 octets; 16.7, 90.9 and 9.1 %; 2,880 readings a day; 441, 547 and 469 J; 24 and 7 % more. */
static void test_protocols(void **state)
{
	static const double octets[] = {24, 220, 22}, overhead[] = {16.7, 90.9, 9.1},
			    joule[] = {441, 547, 469}, more[] = {0, 0.24, 0.065};
	struct energy e = standard();
	struct energy_protocol p[ENERGY_PROTOCOL_N];

	(void)state;
	energy_protocols(&e, p);
	for (int i = 0; i < ENERGY_PROTOCOL_N; i++) {
		near(p[i].octets, octets[i], 0);
		near(p[i].overhead * 100, overhead[i], 0.05);
		near(p[i].a_day, 2880, 0);
		near(p[i].joule, joule[i], 0.5);
		near(p[i].mwh, p[i].joule / 3.6, 1e-9);
		near(p[i].more, more[i], 0.005);
		near((1 + p[i].more) * (1 + p[i].life), 1, 1e-12);
	}
	near(p[0].days, 9000 / 122.4, 1e-9);
}

/* Without loss one transmission, and five times the energy; the span of all retransmissions is 45 s. */
static void test_confirmable_without_loss(void **state)
{
	struct energy e = standard();
	struct energy_loss r = energy_loss(&e, 0);

	(void)state;
	near(r.con_sent, 1, 0);
	near(r.con_energy, 5, 1e-9);
	near(r.con_delivered, 1, 0);
	near(r.con_confirmed, 1, 0);
	near(r.non_delivered, 1, 0);
	near(energy_transmit_span(&e), 45, 1e-12);
}

/* Against the sums written out: five tries, each lost with 1 - 0.7^2. */
static void test_confirmable_under_loss(void **state)
{
	struct energy e = standard();
	struct energy_loss r = energy_loss(&e, 0.3);
	double miss = 0.51, sent = 1 + miss + miss * miss + pow(miss, 3) + pow(miss, 4);
	double waiting = 0.49 * 0.05 * sent +
			 miss * (2.5 + 5 * miss + 10 * miss * miss + 20 * pow(miss, 3) + 40 * pow(miss, 4));

	(void)state;
	near(r.con_sent, sent, 1e-12);
	near(r.con_confirmed, 1 - pow(miss, 5), 1e-12);
	near(r.con_delivered, 1 - pow(0.3, 5), 1e-12);
	near(r.con_energy, sent + waiting / 12.5 / 1e-3, 1e-9);
	near(r.non_delivered, 0.7, 1e-12);
	r = energy_loss(&e, 1);
	near(r.con_sent, 5, 1e-12);
	near(r.con_delivered, 0, 0);
	near(r.con_confirmed, 0, 0);
}

static void test_inputs_are_taken(void **state)
{
	struct energy e = standard();

	(void)state;
	assert_null(energy_set(&e, "period=3600"));
	near(energy_awake(&e).ratio, 3600 / 1000e-6, 1e-6);
	assert_null(energy_set(&e, "coap-mj=1.5e2"));
	near(e.in[ENERGY_COAP_MJ], 150, 0);
	assert_null(energy_set(&e, "retransmit=0"));
	near(energy_loss(&e, 0.5).con_sent, 1, 0);
	near(energy_transmit_span(&e), 0, 0);
}

static void test_inputs_are_refused(void **state)
{
	static const char *const bad[] = {
	    "",           "period",        "period=",   "period=x",   "period=1x", "perio=1",     "periodd=1",
	    "=1",         "period=0",      "period=-1", "period=nan", "rate=0",    "period=1e10", "listen=0",
	    "ack-rtt=-1", "retransmit=21", "period=inf"};
	struct energy e = standard(), before = e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (!energy_set(&e, bad[i]))
			fail_msg("%s is taken", bad[i]);
	}
	assert_memory_equal(&e, &before, sizeof(e));
}

/* Each input, at its least and at its most, leaves every result a number. */
static void test_results_are_numbers(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * ENERGY_INPUT_N; i++) {
		struct energy e = standard();
		struct energy_model models[ENERGY_MODEL_N];
		struct energy_protocol p[ENERGY_PROTOCOL_N];
		e.in[i / 2] = i & 1 ? energy_rows[i / 2].most : energy_rows[i / 2].least;
		energy_models(&e, models);
		energy_protocols(&e, p);
		for (int m = 0; m < ENERGY_MODEL_N; m++)
			assert_true(isfinite(models[m].alike) && isfinite(models[m].cheap) &&
				    models[m].cheap > 0);
		for (int n = 0; n < ENERGY_PROTOCOL_N; n++)
			assert_true(isfinite(p[n].days) && isfinite(p[n].overhead) && p[n].joule > 0);
		assert_true(isfinite(energy_loss(&e, 0.5).con_energy) && isfinite(energy_registrations(&e)) &&
			    isfinite(energy_transmit_span(&e)));
		assert_true(energy_rows[i / 2].standard >= energy_rows[i / 2].least &&
			    energy_rows[i / 2].standard <= energy_rows[i / 2].most);
	}
}

/* Cut a line into words at its blanks. Returns how many. */
static int split(char *line, char **words, int most)
{
	int n = 0;

	while (n < most && line) {
		words[n++] = line;
		line = strchr(line, ' ');
		if (line)
			*line++ = '\0';
	}
	return n;
}

/* What this command line prints; its exit code goes to *code. */
static const char *output_of(int *code, const char *line)
{
	static char text[20000];
	char copy[128], *words[8];
	snprintf(copy, sizeof(copy), "%s", line);
	int n = split(copy, words, 8);
	struct args args;
	FILE *to = tmpfile();
	int keep = dup(1);
	size_t len;

	assert_true(to && keep >= 0);
	fflush(stdout);
	dup2(fileno(to), 1);
	*code = args_parse(&args, n, words);
	if (!*code)
		*code = command_energy(&args);
	fflush(stdout);
	dup2(keep, 1);
	close(keep);
	rewind(to);
	len = fread(text, 1, sizeof(text) - 1, to);
	text[len] = '\0';
	fclose(to);
	return text;
}

static void test_command_prints_json(void **state)
{
	int code;
	json_t *o = json_loads(output_of(&code, "copse energy --json --set period=120"), 0, NULL);

	(void)state;
	assert_int_equal(code, EXIT_OK);
	assert_non_null(o);
	near(json_number_value(json_object_get(json_object_get(o, "awake"), "ratio")), 120000, 1e-6);
	assert_int_equal(json_array_size(json_object_get(o, "protocols")), ENERGY_PROTOCOL_N);
	json_t *loss = json_array_get(json_object_get(o, "loss"), 0);
	near(json_number_value(json_object_get(loss, "con_energy")), 5, 1e-9);
	json_decref(o);
}

static void test_command_prints_tables_and_plots(void **state)
{
	int code;

	(void)state;
	assert_non_null(strstr(output_of(&code, "copse energy awake"), "1 of 60000"));
	assert_null(strstr(output_of(&code, "copse energy awake"), "PROTOCOL"));
	assert_non_null(strstr(output_of(&code, "copse energy protocols --plot"),
			       "HTTP               ################################################ 547"));
	for (int i = 0; i < ENERGY_INPUT_N; i++)
		assert_non_null(strstr(output_of(&code, "copse energy --inputs"), energy_rows[i].name));
	assert_int_equal(code, EXIT_OK);
}

static void test_command_refuses(void **state)
{
	int code;

	(void)state;
	output_of(&code, "copse energy -q --set nothing=1");
	assert_int_equal(code, EXIT_OTHER);
	output_of(&code, "copse energy -q everything");
	assert_int_equal(code, EXIT_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_time_awake),
	    cmocka_unit_test(test_always_on),
	    cmocka_unit_test(test_listening_window),
	    cmocka_unit_test(test_confirmed),
	    cmocka_unit_test(test_discovery_and_registration),
	    cmocka_unit_test(test_protocols),
	    cmocka_unit_test(test_confirmable_without_loss),
	    cmocka_unit_test(test_confirmable_under_loss),
	    cmocka_unit_test(test_inputs_are_taken),
	    cmocka_unit_test(test_inputs_are_refused),
	    cmocka_unit_test(test_results_are_numbers),
	    cmocka_unit_test(test_command_prints_json),
	    cmocka_unit_test(test_command_prints_tables_and_plots),
	    cmocka_unit_test(test_command_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
