/* The climate sensor: values of a lived-in room, that move but do not jump.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

#include <math.h>

static void a_month_stays_plausible(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		struct sim_device device;
		unsigned moved = 0;
		sim_device_init(&device, &sim_climate, 1, i, MIDNIGHT);
		double t = number_of(&device, "temperature", 0);
		for (int step = 1; step <= 30 * 24 * 4; step++) {
			sim_device_advance(&device, MIDNIGHT + step * 15 * MINUTE);
			double now = number_of(&device, "temperature", 0);
			double humidity = number_of(&device, "humidity", 0);
			assert_true(now > 10 && now < 32);
			assert_true(humidity >= 15 && humidity <= 95);
			assert_true(fabs(now - t) < 1.5);
			moved += now != t;
			t = now;
		}
		assert_true(moved > 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_month_stays_plausible)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
