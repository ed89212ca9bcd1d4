/* SipHash-2-4 against the vectors of its paper (key 00 to 0f, message 00 01 02 ...); they hold on little-endian machines,
 * which is where tests run.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "core/siphash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static void vectors(void **state)
{
	(void)state;
	uint8_t message[16];
	for (uint8_t i = 0; i < sizeof message; i++)
		message[i] = i;
	assert_true(core_siphash(key, message, 0, 2, 4) == 0x726fdb47dd0e0e31u);
	assert_true(core_siphash(key, message, 1, 2, 4) == 0x74f839c593dc67fdu);
	assert_true(core_siphash(key, message, 8, 2, 4) == 0x93f5f5799a932462u);
	assert_true(core_siphash(key, message, 15, 2, 4) == 0xa129ca6149be45e5u);
}

static void length_counts(void **state)
{
	(void)state;
	const uint8_t zeros[9] = {0};
	for (unsigned i = 0; i < 9; i++)
		assert_true(core_siphash(key, zeros, i, 1, 3) != core_siphash(key, zeros, i + 1, 1, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(length_counts)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
