/* The smart meter: energy adds up, the load follows the day, tariff and switch take what they should.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

static double energy(const struct sim_device *device)
{
	return number_of(device, "consumption", 0);
}

static void a_household_needs_plausible_energy(void **state)
{
	struct sim_device device;
	(void)state;

	for (uint32_t i = 0; i < 20; i++) {
		sim_device_init(&device, &sim_meter, 1, i, MIDNIGHT);
		double before = energy(&device);
		for (int hour = 1; hour <= 24; hour++) {
			double last = energy(&device);
			sim_device_advance(&device, MIDNIGHT + hour * (int64_t)SIM_HOUR_MS);
			assert_true(energy(&device) > last);
			assert_true(number_of(&device, "consumption", 1) > 10);
			assert_true(number_of(&device, "consumption", 1) < 5000);
		}
		double day = energy(&device) - before;
		assert_true(day > 2 && day < 25);
	}
}

static void evening_needs_more_than_night(void **state)
{
	double night = 0, evening = 0;
	struct sim_device device;
	(void)state;

	for (uint32_t i = 0; i < 30; i++) {
		sim_device_init(&device, &sim_meter, 9, i, MIDNIGHT);
		sim_device_advance(&device, MIDNIGHT + 2 * (int64_t)SIM_HOUR_MS);
		double at2 = energy(&device);
		sim_device_advance(&device, MIDNIGHT + 4 * (int64_t)SIM_HOUR_MS);
		night += energy(&device) - at2;
		sim_device_advance(&device, MIDNIGHT + 18 * (int64_t)SIM_HOUR_MS);
		double at18 = energy(&device);
		sim_device_advance(&device, MIDNIGHT + 20 * (int64_t)SIM_HOUR_MS);
		evening += energy(&device) - at18;
	}
	assert_true(evening > 2 * night);
}

static void switched_off_needs_nothing(void **state)
{
	struct sim_device device;
	(void)state;

	sim_device_init(&device, &sim_meter, 1, 0, MIDNIGHT);
	assert_text(&device, "switch", "on");
	assert_takes(&device, "switch", "off");
	assert_text(&device, "switch", "off");
	double before = energy(&device);
	sim_device_advance(&device, MIDNIGHT + SIM_DAY_MS);
	assert_true(energy(&device) == before);
	assert_true(number_of(&device, "consumption", 1) == 0);
	assert_takes(&device, "switch", "on");
	assert_true(number_of(&device, "consumption", 1) > 0);
	assert_null(write_point(&device, "switch", "toggle", true));
	assert_text(&device, "switch", "off");
	assert_null(write_point(&device, "switch", "toggle", true));
	assert_text(&device, "switch", "on");
	/* toggling is not idempotent: no PUT */
	assert_refuses(&device, "switch", "toggle");
	assert_refuses(&device, "switch", "ON");
	assert_refuses(&device, "switch", "2");
	assert_refuses(&device, "switch", "");
}

static void tariff_takes_whole_numbers_in_range(void **state)
{
	static const char *const bad[] = {"0", "5", "-1", "1.5", "two", "", "1e9", "2 "};
	struct sim_device device;
	(void)state;

	sim_device_init(&device, &sim_meter, 1, 0, MIDNIGHT);
	for (unsigned i = 1; i <= 4; i++) {
		char text[4];
		snprintf(text, sizeof(text), "%u", i);
		assert_takes(&device, "tariff", text);
		assert_true(number_of(&device, "tariff", 0) == i);
	}
	double price = number_of(&device, "tariff", 1);
	assert_takes(&device, "tariff", "3");
	assert_true(number_of(&device, "tariff", 1) < price);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refuses(&device, "tariff", bad[i]);
}

static void consumption_cannot_be_written(void **state)
{
	struct sim_device device;
	(void)state;

	sim_device_init(&device, &sim_meter, 1, 0, MIDNIGHT);
	assert_null(point_of(&device, "consumption")->write);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_household_needs_plausible_energy),
	    cmocka_unit_test(evening_needs_more_than_night),
	    cmocka_unit_test(switched_off_needs_nothing),
	    cmocka_unit_test(tariff_takes_whole_numbers_in_range),
	    cmocka_unit_test(consumption_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
