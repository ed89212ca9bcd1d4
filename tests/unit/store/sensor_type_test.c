/* Types of sensors by name and by number.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "store/sensor_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void by_name(void **state)
{
	(void)state;
	assert_int_equal(store_sensor_type("temperature"), 1);
	assert_int_equal(store_sensor_type("battery"), 15);
	assert_int_equal(store_sensor_type("Temperature"), 0);
	assert_int_equal(store_sensor_type("temperature "), 0);
}

static void by_number(void **state)
{
	(void)state;
	assert_int_equal(store_sensor_type("1"), 1);
	assert_int_equal(store_sensor_type("00beef"), 0xbeef);
	assert_int_equal(store_sensor_type("ffffff"), 0xffffff);
	assert_int_equal(store_sensor_type("1000000"), 0);
	assert_int_equal(store_sensor_type("12x"), 0);
	assert_int_equal(store_sensor_type(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_name),
	    cmocka_unit_test(by_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
