/* Which messages are confirmable, and which go first.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <copse/priority.h>

static bool con(struct copse_traffic *t, const struct copse_traffic_policy *p, enum copse_worth worth,
		copse_ms now)
{
	bool is_con;
	uint8_t priority;

	copse_traffic_pick(t, p, worth, now, &is_con, &priority);
	assert_int_equal(priority, worth);
	return is_con;
}

static void commands_and_alarms_are(void **state)
{
	struct copse_traffic t = {0};
	const struct copse_traffic_policy p = {0};
	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_true(con(&t, &p, COPSE_COMMAND, 0));
		assert_true(con(&t, &p, COPSE_ALARM, 0));
	}
	assert_true(COPSE_ALARM > COPSE_COMMAND && COPSE_COMMAND > COPSE_TELEMETRY);
}

static void telemetry_is_now_and_then(void **state)
{
	struct copse_traffic t = {0};
	const struct copse_traffic_policy p = {.con_every = 5};
	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(con(&t, &p, COPSE_TELEMETRY, 0), i % 5 == 0);
	/* A command says as well that the peer is there: the count begins anew. */
	t = (struct copse_traffic){0};
	con(&t, &p, COPSE_TELEMETRY, 0);
	con(&t, &p, COPSE_TELEMETRY, 0);
	con(&t, &p, COPSE_COMMAND, 0);
	for (int i = 0; i < 4; i++)
		assert_false(con(&t, &p, COPSE_TELEMETRY, 0));
	assert_true(con(&t, &p, COPSE_TELEMETRY, 0));
}

static void rare_telemetry_is_by_its_age(void **state)
{
	struct copse_traffic t = {0};
	const struct copse_traffic_policy p = {.con_after_ms = 1000};
	(void)state;
	assert_true(con(&t, &p, COPSE_TELEMETRY, 50));
	assert_false(con(&t, &p, COPSE_TELEMETRY, 1049));
	assert_true(con(&t, &p, COPSE_TELEMETRY, 1050));
	assert_false(con(&t, &p, COPSE_TELEMETRY, 2049));
}

static void never(void **state)
{
	struct copse_traffic t = {0};
	const struct copse_traffic_policy p = {0};
	(void)state;
	for (int i = 0; i < 70000; i++) /* beyond what the count holds */
		assert_false(con(&t, &p, COPSE_TELEMETRY, (copse_ms)i * 100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(commands_and_alarms_are),
	    cmocka_unit_test(telemetry_is_now_and_then),
	    cmocka_unit_test(rare_telemetry_is_by_its_age),
	    cmocka_unit_test(never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
