/* Names to addresses. Only what every machine knows without a network is asked.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <copse/resolve.h>

static void test_literals(void **state)
{
	struct copse_address a[2];

	(void)state;
	assert_int_equal(copse_resolve("192.0.2.1", 7, AF_UNSPEC, a, 2, NULL), 1);
	assert_address(&a[0], "192.0.2.1:7");
	assert_int_equal(copse_resolve("2001:db8::1", 7, AF_UNSPEC, a, 2, NULL), 1);
	assert_address(&a[0], "[2001:db8::1]:7");
	assert_int_equal(copse_resolve("[2001:db8::1]", 7, AF_INET6, a, 1, NULL), 1);
	assert_address(&a[0], "[2001:db8::1]:7");
	assert_int_equal(copse_resolve("fe80::1%lo", 7, AF_INET6, a, 1, NULL), 1);
	assert_address(&a[0], "[fe80::1%lo]:7");
}

static void test_localhost(void **state)
{
	struct copse_address a[4];

	(void)state;
	assert_true(copse_resolve("localhost", 5683, AF_INET, a, 4, NULL) >= 1);
	assert_address(&a[0], "127.0.0.1:5683");
	assert_int_equal(copse_resolve("localhost", 5683, AF_UNSPEC, a, 1, NULL), 1);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {"",     "[::1]:99",       "1.2.3.4:5", "*", "no such name",
					  "[::1", "fe80::1%nosuch0"};
	struct copse_address a;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *why = NULL;
		int err = copse_resolve(bad[i], 1, AF_UNSPEC, &a, 1, &why);

		if (err >= 0)
			fail_msg("\"%s\" was found", bad[i]);
		assert_non_null(why);
	}
	assert_true(copse_resolve("127.0.0.1", 1, AF_INET6, &a, 1, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_literals), cmocka_unit_test(test_localhost),
					   cmocka_unit_test(test_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
