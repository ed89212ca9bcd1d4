/* The thermostat: the room follows the set point, the set point follows the schedule.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

#include <math.h>

static struct sim_device at(int64_t of_day)
{
	struct sim_device device;

	sim_device_init(&device, &sim_thermostat, 1, 1, MIDNIGHT + of_day);
	return device;
}

static void room_comes_to_the_set_point(void **state)
{
	struct sim_device device = at(10 * SIM_HOUR_MS);
	(void)state;

	assert_takes(&device, "setpoint", "24.5");
	sim_device_advance(&device, MIDNIGHT + 15 * (int64_t)SIM_HOUR_MS);
	assert_true(number_of(&device, "setpoint", 0) == 24.5);
	assert_true(fabs(number_of(&device, "temperature", 0) - 24.5) < 0.6);
	assert_takes(&device, "setpoint", "15");
	sim_device_advance(&device, MIDNIGHT + 16 * (int64_t)SIM_HOUR_MS);
	assert_true(number_of(&device, "temperature", 1) == 0);
	assert_true(number_of(&device, "temperature", 0) < 24.5);
	/* it cools slowly */
	assert_true(number_of(&device, "temperature", 0) > 22);
}

static void schedule_moves_the_set_point(void **state)
{
	struct sim_device device = at(12 * SIM_HOUR_MS);
	(void)state;

	assert_text(&device, "schedule", "06:30 21,22:00 17");
	assert_true(number_of(&device, "setpoint", 0) == 21);
	assert_takes(&device, "setpoint", "18");
	sim_device_advance(&device, MIDNIGHT + 22 * (int64_t)SIM_HOUR_MS - MINUTE);
	assert_true(number_of(&device, "setpoint", 0) == 18);
	sim_device_advance(&device, MIDNIGHT + 22 * (int64_t)SIM_HOUR_MS + MINUTE);
	assert_true(number_of(&device, "setpoint", 0) == 17);
	/* before the first entry yesterday's last is in force */
	device = at(3 * SIM_HOUR_MS);
	assert_true(number_of(&device, "setpoint", 0) == 17);
	sim_device_advance(&device, MIDNIGHT + 6 * (int64_t)SIM_HOUR_MS + 31 * MINUTE);
	assert_true(number_of(&device, "setpoint", 0) == 21);
}

static void a_new_schedule_is_in_force_at_once(void **state)
{
	struct sim_device device = at(12 * SIM_HOUR_MS);
	(void)state;

	assert_takes(&device, "schedule", "00:00 16, 11:59 19.5,23:59 5");
	assert_text(&device, "schedule", "00:00 16,11:59 19.5,23:59 5");
	assert_true(number_of(&device, "setpoint", 0) == 19.5);
}

static void bad_schedules_are_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "6:30 21",
	    "24:00 21",
	    "12:60 21",
	    "12:00",
	    "12:00 ",
	    "12:00 4.9",
	    "12:00 30.1",
	    "12:00 abc",
	    "12:00 21,",
	    "12:00 21,11:00 20",
	    "12:00 21,12:00 20",
	    "12:00 21;13:00 20",
	    "12:00 2.1.1",
	    "12:00 21 13:00 20",
	    "12-00 21",
	    "12:00 1e1",
	    ",12:00 21",
	    "01:00 9,02:00 9,03:00 9,04:00 9,05:00 9,06:00 9,07:00 9,08:00 9,09:00 9",
	};
	struct sim_device device = at(12 * SIM_HOUR_MS);
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refuses(&device, "schedule", bad[i]);
	assert_takes(&device, "schedule", "01:00 9,02:00 9,03:00 9,04:00 9,05:00 9,06:00 9,07:00 9,08:00 9");
}

/* The longest schedule can be read back. */
static void the_longest_schedule_fits(void **state)
{
	struct sim_device device = at(12 * SIM_HOUR_MS);
	char text[SIM_TEXT_MAX + 16] = "";
	(void)state;

	for (unsigned i = 0; i < SIM_SCHEDULE_MAX; i++) {
		size_t len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s%02u:00 10.5", i ? "," : "", i);
	}
	assert_true(strlen(text) < SIM_TEXT_MAX);
	assert_takes(&device, "schedule", text);
	assert_text(&device, "schedule", text);
}

static void set_points_out_of_range_are_refused(void **state)
{
	static const char *const bad[] = {"4.99", "30.01", "-20", "warm", "", "1e3"};
	struct sim_device device = at(12 * SIM_HOUR_MS);
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refuses(&device, "setpoint", bad[i]);
	assert_takes(&device, "setpoint", "5");
	assert_takes(&device, "setpoint", "30");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(room_comes_to_the_set_point),
	    cmocka_unit_test(schedule_moves_the_set_point),
	    cmocka_unit_test(a_new_schedule_is_in_force_at_once),
	    cmocka_unit_test(bad_schedules_are_refused),
	    cmocka_unit_test(the_longest_schedule_fits),
	    cmocka_unit_test(set_points_out_of_range_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
