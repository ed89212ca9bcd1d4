/* Tests of the histogram: what it says of a value is at most 1.6 % too much, and the percentiles are those of the
 * sorted list.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct load_count count;

static void begin(void)
{
	memset(&count, 0, sizeof(count));
}

static void test_nothing(void **state)
{
	(void)state;
	begin();
	assert_int_equal(load_count_at(&count, 50, 100), 0);
	assert_int_equal(load_count_mean(&count), 0);
}

static void test_one_value(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 64; shift++) {
		uint64_t value = (uint64_t)1 << shift | (uint64_t)1 << (shift / 2);
		begin();
		load_count_add(&count, value);
		assert_true(load_count_at(&count, 1, 10000) == value);
		assert_true(load_count_at(&count, 1, 1) == value);
		assert_true(count.least == value && count.most == value && load_count_mean(&count) == value);
	}
}

/* The greatest value must not hide what a class says of the others. */
static void test_error_is_bounded(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 60; shift++) {
		for (uint64_t part = 0; part < 130; part++) {
			uint64_t value = ((uint64_t)1 << shift) + (((uint64_t)1 << shift) * part) / 130;
			begin();
			load_count_add(&count, value);
			load_count_add(&count, UINT64_MAX);
			uint64_t said = load_count_at(&count, 1, 2);
			assert_true(said >= value);
			assert_true(said - value <= value / 64);
		}
	}
}

static void test_percentiles(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 10000; i > 0; i--)
		load_count_add(&count, i);
	const struct {
		uint64_t parts, of, exact;
	} rows[] = {{50, 100, 5000},   {90, 100, 9000},     {99, 100, 9900},
		    {999, 1000, 9990}, {9999, 10000, 9999}, {1, 1, 10000}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t said = load_count_at(&count, rows[i].parts, rows[i].of);
		assert_true(said >= rows[i].exact && said <= rows[i].exact + rows[i].exact / 64);
	}
	assert_int_equal(load_count_mean(&count), 5000);
}

/* One of a hundred is p99.99, none of them p99. */
static void test_the_slow_one_is_seen(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 99; i++)
		load_count_add(&count, 10);
	load_count_add(&count, 1000000);
	assert_int_equal(load_count_at(&count, 99, 100), 10);
	assert_int_equal(load_count_at(&count, 9999, 10000), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing),
	    cmocka_unit_test(test_one_value),
	    cmocka_unit_test(test_error_is_bounded),
	    cmocka_unit_test(test_percentiles),
	    cmocka_unit_test(test_the_slow_one_is_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
