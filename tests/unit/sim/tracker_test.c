/* The tracker: drives at the speed of a car, parks, comes home to be charged, says when its battery is low.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

#include <math.h>

static double metres(double lat, double lon, double lat2, double lon2)
{
	return hypot((lat2 - lat) * 111320, (lon2 - lon) * 111320 * cos(lat * 0.017453293));
}

static void a_week_on_the_road(void **state)
{
	struct sim_device device;
	unsigned moving = 0, parked = 0;
	(void)state;

	sim_device_init(&device, &sim_tracker, 4, 2, MIDNIGHT);
	for (int64_t t = 5000; t <= 7ll * SIM_DAY_MS; t += 5000) {
		double lat = number_of(&device, "location", 0), lon = number_of(&device, "location", 1);
		sim_device_advance(&device, MIDNIGHT + t);
		double went = metres(lat, lon, number_of(&device, "location", 0), number_of(&device, "location", 1));
		struct sim_reading status = read_point(&device, "status");
		double battery = status.field[1].number;
		assert_true(went < 5 * 14.5);
		assert_true(battery >= 0 && battery <= 100);
		assert_true(number_of(&device, "location", 0) > 47 && number_of(&device, "location", 0) < 48);
		/* the text shows the rounded battery, the model decides by the exact one */
		if (battery < 14)
			assert_string_equal(status.field[0].text, "alert");
		if (battery > 16)
			assert_string_not_equal(status.field[0].text, "alert");
		moving += device.tracker.moving;
		parked += !device.tracker.moving;
	}
	assert_true(moving > 5000);
	assert_true(parked > 5000);
}

static void location_is_two_numbers(void **state)
{
	struct sim_device device;
	struct sim_reading reading;
	(void)state;

	sim_device_init(&device, &sim_tracker, 4, 2, MIDNIGHT);
	reading = read_point(&device, "location");
	assert_int_equal(reading.field_n, 2);
	assert_int_equal(reading.text_n, 2);
	assert_null(point_of(&device, "location")->write);
	assert_null(point_of(&device, "status")->write);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_week_on_the_road),
	    cmocka_unit_test(location_is_two_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
