/* The light: takes what it should, is left alone for an hour, and is used in the evening.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

static double brightness(const struct sim_device *device)
{
	return number_of(device, "brightness", 0);
}

static void brightness_is_checked(void **state)
{
	static const char *const bad[] = {"-1", "101", "50.5", "bright", "", "ON", "1e2e"};
	struct sim_device device;
	(void)state;

	sim_device_init(&device, &sim_light, 1, 0, MIDNIGHT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refuses(&device, "brightness", bad[i]);
	assert_takes(&device, "brightness", "0");
	assert_true(brightness(&device) == 0);
	assert_takes(&device, "brightness", "100");
	assert_true(brightness(&device) == 100);
	assert_takes(&device, "brightness", "off");
	assert_true(brightness(&device) == 0);
	assert_takes(&device, "brightness", "on");
	assert_true(brightness(&device) == 100);
}

static void what_was_set_stays_for_an_hour(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 50; i++) {
		struct sim_device device;
		sim_device_init(&device, &sim_light, 1, i, MIDNIGHT + 21 * (int64_t)SIM_HOUR_MS);
		assert_takes(&device, "brightness", "37");
		sim_device_advance(&device, MIDNIGHT + 22 * (int64_t)SIM_HOUR_MS - MINUTE);
		assert_true(brightness(&device) == 37);
	}
}

static void evenings_are_brighter_than_nights(void **state)
{
	unsigned evening = 0, night = 0;
	(void)state;

	for (uint32_t i = 0; i < 100; i++) {
		struct sim_device device;
		sim_device_init(&device, &sim_light, 3, i, MIDNIGHT + 12 * (int64_t)SIM_HOUR_MS);
		sim_device_advance(&device, MIDNIGHT + 21 * (int64_t)SIM_HOUR_MS);
		evening += brightness(&device) > 0;
		sim_device_advance(&device, MIDNIGHT + 28 * (int64_t)SIM_HOUR_MS);
		night += brightness(&device) > 0;
		assert_true(brightness(&device) <= 100);
	}
	assert_true(evening > 40);
	assert_true(night < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(brightness_is_checked),
	    cmocka_unit_test(what_was_set_stays_for_an_hour),
	    cmocka_unit_test(evenings_are_brighter_than_nights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
