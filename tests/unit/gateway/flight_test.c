/* Flights: what may be joined, and what a change of the resource does to it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/flight.h"

static const uint64_t secret[2] = {5, 6};

static struct gw_cache_key key_of(uint64_t n, uint64_t uri)
{
	return (struct gw_cache_key){{n, ~n}, uri};
}

static void test_join(void **state)
{
	struct gw_flights *f = gw_flights_new(4, secret);
	struct gw_cache_key one = key_of(1, 7), two = key_of(2, 7), half = {{1, 1}, 7};

	(void)state;
	assert_int_equal(gw_flights_find(f, &one), 0);
	gw_flights_begin(f, 3, &one);
	assert_int_equal(gw_flights_find(f, &one), 3);
	assert_int_equal(gw_flights_find(f, &two), 0);
	assert_int_equal(gw_flights_find(f, &half), 0);
	assert_true(gw_flights_end(f, 3));
	assert_int_equal(gw_flights_find(f, &one), 0);
	assert_false(gw_flights_end(f, 3));
	assert_false(gw_flights_end(f, 1));
	gw_flights_free(f);
	gw_flights_free(NULL);
}

static void test_close(void **state)
{
	struct gw_flights *f = gw_flights_new(4, secret);
	struct gw_cache_key one = key_of(1, 7), two = key_of(2, 7), other = key_of(3, 8);

	(void)state;
	gw_flights_begin(f, 1, &one);
	gw_flights_begin(f, 2, &two);
	gw_flights_begin(f, 3, &other);
	gw_flights_close(f, 7);
	assert_int_equal(gw_flights_find(f, &one), 0);
	assert_int_equal(gw_flights_find(f, &two), 0);
	assert_int_equal(gw_flights_find(f, &other), 3);
	gw_flights_begin(f, 4, &one); /* a new one beside the one that was closed */
	assert_int_equal(gw_flights_find(f, &one), 4);
	assert_false(gw_flights_end(f, 1)); /* which takes nothing away from it */
	assert_false(gw_flights_end(f, 2));
	assert_int_equal(gw_flights_find(f, &one), 4);
	assert_true(gw_flights_end(f, 4));
	assert_true(gw_flights_end(f, 3));
	gw_flights_close(f, 7);
	gw_flights_free(f);
}

/* As many as there may be, of one resource and of many, over and over. */
static void test_full(void **state)
{
	enum { N = 100 };
	struct gw_flights *f = gw_flights_new(N, secret);

	(void)state;
	for (uint64_t round = 0; round < 20; round++) {
		for (uint32_t i = 1; i <= N; i++) {
			struct gw_cache_key key = key_of(round * N + i, round & 1 ? 7 : i % 10);
			gw_flights_begin(f, i, &key);
		}
		if (round & 1)
			gw_flights_close(f, 7);
		else
			gw_flights_close(f, 3);
		for (uint32_t i = 1; i <= N; i++)
			assert_int_equal(gw_flights_end(f, i), !(round & 1) && i % 10 != 3);
	}
	gw_flights_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_join), cmocka_unit_test(test_close),
					   cmocka_unit_test(test_full)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
