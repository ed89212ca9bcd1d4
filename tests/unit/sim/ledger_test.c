/* Tests of the ledger: without loss it agrees with the arithmetic of `copse energy`; with loss, with chance.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "copse-sim/ledger.h"
#include "copse-sim/options.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ledger_config ethernet(double loss, uint64_t seed)
{
	return (struct ledger_config){.radio = ledger_radio_find("ethernet"),
				      .loss = loss,
				      .seed = seed,
				      .hours = 24,
				      .period_s = 60,
				      .window_ms = 1000};
}

static struct ledger_account run(const struct ledger_config *config, enum ledger_model model)
{
	struct ledger_account account;

	assert_int_equal(ledger_run(config, model, &account), 0);
	return account;
}

static void between(double low, double value, double high)
{
	if (!(value >= low && value <= high))
		fail_msg("%g is not from %g to %g", value, low, high);
}

/* What the calculation says: 3 times awake, 60 times the energy, twice the energy. */
static void agrees_with_the_arithmetic(void **state)
{
	struct ledger_config config = ethernet(0, 5);
	struct ledger_account alone = run(&config, LEDGER_SEND_ONLY);

	(void)state;
	between(1380, alone.readings, 1500);
	between(0.95e-3, alone.awake_s / alone.readings, 1.05e-3);
	between(2.9, run(&config, LEDGER_CONFIRMED).awake_s / alone.awake_s, 3.2);
	between(0.99, run(&config, LEDGER_CONFIRMED).mj / alone.mj, 1.06);
	between(58, run(&config, LEDGER_SERVER).mj / alone.mj, 64);
	between(58, run(&config, LEDGER_OBSERVED).mj / alone.mj, 64);
	between(1.9, run(&config, LEDGER_WINDOW).mj / alone.mj, 2.1);
	between(0.93, run(&config, LEDGER_IMPLICIT).mj / alone.mj, 1.05);
	between(0.95, run(&config, LEDGER_DISCOVERY).mj / alone.mj, 1.07);
}

static void delivers_everything_without_loss(void **state)
{
	static const enum ledger_model models[] = {LEDGER_SEND_ONLY, LEDGER_CONFIRMED, LEDGER_IMPLICIT,
						   LEDGER_DISCOVERY};

	(void)state;
	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
		struct ledger_config config = ethernet(0, 7 + i);
		struct ledger_account a = run(&config, models[i]);
		between(a.readings - 1, a.delivered, a.readings); /* the last may be on its way */
	}
}

static void loses_what_chance_says(void **state)
{
	struct ledger_config config = ethernet(0.2, 11);
	struct ledger_account alone = run(&config, LEDGER_SEND_ONLY), con = run(&config, LEDGER_CONFIRMED);

	(void)state;
	between(0.76, (double)alone.delivered / alone.readings, 0.84);
	between(0.99, (double)con.delivered / con.readings, 1);
	assert_true(con.sent > 1.3 * alone.sent);
	assert_true(con.awake_s > 100 * alone.awake_s); /* it listens until the time-out */
	config = ethernet(1, 11);
	assert_int_equal(run(&config, LEDGER_SEND_ONLY).delivered, 0);
	assert_int_equal(run(&config, LEDGER_CONFIRMED).delivered, 0);
	assert_int_equal(run(&config, LEDGER_WINDOW).delivered, 0);
	assert_int_equal(run(&config, LEDGER_CONFIRMED).received, 0);
}

/* On average it takes thirty registrations to hit one second of each minute. */
static void takes_thirty_registrations(void **state)
{
	double sum = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct ledger_config config = ethernet(0, seed * 1000003);
		config.hours = 3;
		sum += run(&config, LEDGER_WINDOW).registrations;
	}
	between(22, sum / 60, 38);
}

static void is_the_same_for_the_same_seed(void **state)
{
	(void)state;
	for (int m = 0; m < LEDGER_MODEL_N; m++) {
		struct ledger_config config = ethernet(0.3, 99);
		struct ledger_account one, two;
		memset(&one, 0, sizeof(one));
		memset(&two, 0, sizeof(two));
		one = run(&config, (enum ledger_model)m);
		two = run(&config, (enum ledger_model)m);
		assert_true(one.mj == two.mj && one.sent == two.sent && one.delivered == two.delivered);
		config.seed++;
		two = run(&config, (enum ledger_model)m);
		assert_true(one.mj != two.mj || one.delivered != two.delivered);
	}
}

/* Whatever the radio and the loss: nothing is delivered that was not read, and nobody is awake longer than it lives. */
static void keeps_within_reason(void **state)
{
	static const char *const names[] = {"ethernet", "802.15.4", "ble"};

	(void)state;
	for (int m = 0; m < LEDGER_MODEL_N; m++) {
		for (size_t r = 0; r < 3; r++) {
			struct ledger_config config = ethernet(0.1 * (double)r, 3);
			config.radio = ledger_radio_find(names[r]);
			config.hours = 6;
			struct ledger_account a = run(&config, (enum ledger_model)m);
			assert_true(a.delivered <= a.readings && a.readings > 300 && a.mj > 0);
			between(0.1, a.awake_s, 6 * 3600 + 10);
			assert_true(a.sent > 0);
		}
	}
	assert_null(ledger_radio_find("smoke"));
}

static void prints_a_row_a_model(void **state)
{
	struct ledger_config config = ethernet(0, 1);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	config.hours = 2;
	assert_int_equal(ledger_print(&config, 2, out), 0);
	fclose(out);
	for (int m = 0; m < LEDGER_MODEL_N; m++) {
		char row[64];
		snprintf(row, sizeof(row), "\n| %s | ", ledger_model_names[m]);
		assert_non_null(strstr(text, row));
	}
	assert_non_null(strstr(text, "ethernet, loss 0 % each way"));
	free(text);
}

static int parse(struct sim_options *options, int n, const char *a, const char *b, const char *c)
{
	char name[] = "copse-sim", words[3][32], why[160];
	char *argv[] = {name, words[0], words[1], words[2], NULL};

	snprintf(words[0], 32, "%s", a);
	snprintf(words[1], 32, "%s", b);
	snprintf(words[2], 32, "%s", c);
	argv[n + 1] = NULL;
	return sim_options_parse(options, n + 1, argv, why, sizeof(why));
}

static void options_are_taken(void **state)
{
	struct sim_options o;

	(void)state;
	assert_int_equal(parse(&o, 3, "--ledger", "--radio=ble", "--hours=48"), 0);
	assert_int_equal(o.action, SIM_LEDGER);
	assert_ptr_equal(o.radio, ledger_radio_find("ble"));
	assert_int_equal(o.hours, 48);
	assert_int_equal(parse(&o, 1, "--ledger", "", ""), 0);
	assert_ptr_equal(o.radio, ledger_radio_find("ethernet"));
	assert_int_equal(o.hours, 24);
	assert_int_equal(parse(&o, 2, "--ledger", "--radio=smoke", ""), -1);
	assert_int_equal(parse(&o, 2, "--ledger", "--hours=0", ""), -1);
	assert_int_equal(parse(&o, 2, "--ledger", "--hours=24001", ""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_the_arithmetic),
	    cmocka_unit_test(delivers_everything_without_loss),
	    cmocka_unit_test(loses_what_chance_says),
	    cmocka_unit_test(takes_thirty_registrations),
	    cmocka_unit_test(is_the_same_for_the_same_seed),
	    cmocka_unit_test(keeps_within_reason),
	    cmocka_unit_test(prints_a_row_a_model),
	    cmocka_unit_test(options_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
