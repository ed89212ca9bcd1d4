/* A message that begins with options encoded before is the same as one that had them appended.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <copse/message.h>

static const uint16_t numbers[] = {COPSE_OPTION_URI_PATH,
				   COPSE_OPTION_URI_QUERY,
				   COPSE_OPTION_REQUEST_TAG,
				   COPSE_OPTION_IF_MATCH,
				   2056,
				   65000};
static const size_t lengths[] = {0, 1, 8, 12, 13, 255, 268, 269, 300};

static void append(struct copse_builder *b, uint32_t random)
{
	uint8_t value[300];

	memset(value, (int)(random >> 24), sizeof(value));
	copse_build_raw(b, numbers[(random >> 8) % 6], value, lengths[(random >> 16) % 9]);
}

static void the_same_as_appended(void **state)
{
	uint32_t random = 7;
	(void)state;
	for (int round = 0; round < 2000; round++) {
		static uint8_t first[8192], whole[8192], again[8192];
		struct copse_builder b, w, a;
		copse_build_rest(&b, first, sizeof(first));
		copse_build_rest(&w, whole, sizeof(whole));
		for (int i = 0; i < round % 7; i++) {
			random = random * 1664525u + 1013904223u;
			append(&b, random);
			append(&w, random);
		}
		int n = copse_build_finish(&b);
		assert_true(n >= 0);
		copse_build_rest(&a, again, sizeof(again));
		copse_build_options(&a, first, (size_t)n);
		for (int i = 0; i < 4; i++) {
			random = random * 1664525u + 1013904223u;
			append(&a, random);
			append(&w, random);
		}
		n = copse_build_finish(&a);
		assert_int_equal(n, copse_build_finish(&w));
		assert_memory_equal(again, whole, n);
	}
}

static void want_of_room_sticks(void **state)
{
	uint8_t buf[8];
	struct copse_builder b;
	(void)state;
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_options(&b,
			    "\xb8"
			    "12345678",
			    9);
	copse_build_uint(&b, COPSE_OPTION_BLOCK1, 1);
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_NOROOM);
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_options(&b,
			    "\xb7"
			    "1234567",
			    8);
	assert_int_equal(copse_build_finish(&b), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_as_appended),
	    cmocka_unit_test(want_of_room_sticks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
