/* Token buckets: how much they let through, how long one has to wait, and what the bound of the table means.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/rate.h"

static const uint64_t key[2] = {1, 2};

static copse_ms take(struct gw_rates *t, const char *name, uint32_t thousandths, uint32_t burst, copse_ms now)
{
	const struct gw_rate rate = {thousandths, burst};

	return gw_rates_take(t, name, strlen(name), &rate, now);
}

static void test_burst_and_wait(void **state)
{
	struct gw_rates *t = gw_rates_new(8, key);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(t, "a", 2000, 3, 1000), 0);
	assert_int_equal(take(t, "a", 2000, 3, 1000), 500);
	assert_int_equal(take(t, "a", 2000, 3, 1499), 1); /* asking takes nothing */
	assert_int_equal(take(t, "a", 2000, 3, 1500), 0);
	assert_int_equal(take(t, "a", 2000, 3, 1500), 500);
	assert_int_equal(take(t, "b", 2000, 3, 1500), 0); /* each has its own */
	for (int i = 0; i < 3; i++)                       /* never more than the burst, however long it was */
		assert_int_equal(take(t, "a", 2000, 3, 1ull << 60), 0);
	assert_int_equal(take(t, "a", 2000, 3, 1ull << 60), 500);
	gw_rates_free(t);
	gw_rates_free(NULL);
}

static void test_slow_and_fast(void **state)
{
	struct gw_rates *t = gw_rates_new(8, key);

	(void)state;
	assert_int_equal(take(t, "a", 1, 1, 0), 0); /* one in 1000 seconds */
	assert_int_equal(take(t, "a", 1, 1, 0), 1000000);
	assert_int_equal(take(t, "a", 1, 1, 999999), 1);
	assert_int_equal(take(t, "a", 1, 1, 1000000), 0);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(take(t, "b", 1000000000, 1000, 5), 0);
	assert_int_equal(take(t, "b", 1000000000, 1000, 5), 1);
	assert_int_equal(take(t, "b", 1000000000, 1000, 6), 0);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(take(t, "none", 0, 1, 5), 0);
	assert_int_equal(gw_rates_count(t), 2); /* what has no limit has no bucket */
	/* a burst that a new configuration made smaller */
	assert_int_equal(take(t, "c", 1000, 100, 0), 0);
	assert_int_equal(take(t, "c", 1000, 1, 0), 0);
	assert_int_equal(take(t, "c", 1000, 1, 0), 1000);
	gw_rates_free(t);
}

/* A year of one a second, taken at odd moments, is a year of seconds. */
static void test_exact(void **state)
{
	struct gw_rates *t = gw_rates_new(1, key);
	copse_ms now = 0;
	unsigned taken = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		taken += take(t, "a", 1500, 2, now) == 0;
		now += 333;
	}
	assert_in_range(taken, now * 3 / 2000 - 2, now * 3 / 2000 + 3);
	gw_rates_free(t);
}

static void test_bound(void **state)
{
	struct gw_rates *t = gw_rates_new(2, key);

	(void)state;
	take(t, "a", 1000, 1, 0);
	take(t, "b", 1000, 1, 0);
	assert_int_equal(take(t, "a", 1000, 1, 0), 1000); /* used: b is the older one now */
	assert_int_equal(take(t, "c", 1000, 1, 0), 0);
	assert_int_equal(gw_rates_count(t), 2);
	assert_int_equal(take(t, "a", 1000, 1, 0), 1000);
	assert_int_equal(take(t, "b", 1000, 1, 0), 0); /* forgotten */
	for (int i = 0; i < 1000; i++) {
		char name[2] = {(char)(1 + i % 100), 0};
		take(t, name, 1000, 1, (copse_ms)i);
		assert_int_equal(gw_rates_count(t), 2);
	}
	gw_rates_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_burst_and_wait),
					   cmocka_unit_test(test_slow_and_fast), cmocka_unit_test(test_exact),
					   cmocka_unit_test(test_bound)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
