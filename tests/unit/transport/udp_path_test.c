/* The table of local addresses.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <transport/udp_internal.h>

static struct udp_path path(uint32_t n, uint32_t interface)
{
	struct udp_path p = {.interface = interface};

	memcpy(p.ip + 12, &n, sizeof n);
	return p;
}

/* Every capacity that matters to the hash: each address keeps its number, and one too many gets 0. */
static void fill(uint16_t cap)
{
	struct udp_paths paths = {0};

	assert_true(udp_paths_init(&paths, cap));
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < cap; i++) {
			struct udp_path p = path(i * 2654435761u, 0);

			assert_int_equal(udp_paths_number(&paths, &p), i + 1);
		}
	}
	for (uint32_t i = cap; i < cap + 10u; i++) {
		struct udp_path p = path(i * 2654435761u, 0);

		assert_int_equal(udp_paths_number(&paths, &p), 0);
	}
	assert_memory_equal(udp_paths_get(&paths, 1)->ip, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_non_null(udp_paths_get(&paths, cap));
	assert_null(udp_paths_get(&paths, 0));
	assert_null(udp_paths_get(&paths, (uint16_t)(cap + 1)));
	udp_paths_free(&paths);
}

static void test_fill(void **state)
{
	(void)state;
	fill(1);
	fill(2);
	fill(63);
	fill(64);
	fill(1000);
	fill(UDP_PATHS_MAX);
}

static void test_interface_matters(void **state)
{
	struct udp_paths paths = {0};
	struct udp_path a = path(1, 1), b = path(1, 2);

	(void)state;
	assert_true(udp_paths_init(&paths, 4));
	assert_int_equal(udp_paths_number(&paths, &a), 1);
	assert_int_equal(udp_paths_number(&paths, &b), 2);
	assert_int_equal(udp_paths_number(&paths, &a), 1);
	udp_paths_free(&paths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fill),
					   cmocka_unit_test(test_interface_matters)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
