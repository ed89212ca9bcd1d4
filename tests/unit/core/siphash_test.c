/* SipHash-2-4 against the vectors of its paper (key 00 to 0f, message 00 01 02 ...); they hold on little-endian machines,
 * which is where tests run.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "core/siphash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The one that microcontrollers have, beside the one of this build. */
uint64_t small_siphash(const uint64_t key[2], const void *bytes, size_t len, unsigned c, unsigned d);
#define core_siphash small_siphash
#include "core/siphash.c"
#undef core_siphash

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

/* The first vector of the authors for 128 bits: a3817f04ba25a8e6 6df67214c7550293. */
static void of_128_bits(void **state)
{
	(void)state;
	uint64_t out[2], other[2];
	core_siphash128(key, "", 0, out);
	assert_true(out[0] == 0xe6a825ba047f81a3u);
	assert_true(out[1] == 0x930255c71472f66du);
	core_siphash128(key, "\0", 1, other);
	assert_true(out[0] != other[0] && out[1] != other[1]);
}

/* Both give the same at every length and place (values of the two variants in use; another one as well). */
static void both_are_alike(void **state)
{
	(void)state;
	static const unsigned variants[][2] = {{1, 3}, {2, 4}, {4, 8}};
	uint8_t bytes[8 + 300];
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 167 + (i >> 3));
	for (unsigned v = 0; v < 3; v++)
		for (unsigned at = 0; at < 8; at++)
			for (unsigned len = 0; len <= 300; len++)
				assert_true(
				    core_siphash(key, bytes + at, len, variants[v][0], variants[v][1]) ==
				    small_siphash(key, bytes + at, len, variants[v][0], variants[v][1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(length_counts),
					   cmocka_unit_test(of_128_bits), cmocka_unit_test(both_are_alike)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
