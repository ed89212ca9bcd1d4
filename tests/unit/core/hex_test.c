/* Hexadecimal digits.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/error.h>
#include <copse/hex.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Of all 256 characters just the 22 are digits. */
static void digits(void **state)
{
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	unsigned n = 0;

	(void)state;
	for (int i = 0; i < 16; i++) {
		assert_int_equal(copse_hex_digit(lower[i]), i);
		assert_int_equal(copse_hex_digit(upper[i]), i);
	}
	for (int c = -128; c < 128; c++)
		n += copse_hex_digit((char)c) >= 0;
	assert_int_equal(n, 22);
}

static void decode(void **state)
{
	uint8_t out[5] = {0, 0, 0, 0, 0xee};

	(void)state;
	assert_int_equal(copse_hex_decode("00aBfF", 6, out, 4), 3);
	assert_memory_equal(out, "\x00\xab\xff", 3);
	assert_int_equal(copse_hex_decode("01020304", 8, out, 4), 4);
	assert_memory_equal(out, "\x01\x02\x03\x04\xee", 5);
	assert_int_equal(copse_hex_decode("", 0, out, 4), 0);
	assert_int_equal(copse_hex_decode("", 0, NULL, 0), 0);
}

static void refused(void **state)
{
	uint8_t out[5] = {0, 0, 0, 0, 0xee};

	(void)state;
	assert_int_equal(copse_hex_decode("abc", 3, out, 4), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_hex_decode("0g", 2, out, 4), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_hex_decode("g0", 2, out, 4), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_hex_decode("0 1 ", 4, out, 4), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_hex_decode("0102030405", 10, out, 4), COPSE_ERR_ARGUMENT);
	assert_int_equal(out[4], 0xee);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(digits), cmocka_unit_test(decode),
					   cmocka_unit_test(refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
