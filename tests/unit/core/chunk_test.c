/* Kept messages of every length around the size of a piece; nothing is lost when they come and go.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "core/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CAP 16

static void every_length(void **state)
{
	(void)state;
	struct core_chunk chunk[CAP];
	struct core_store s;
	uint8_t bytes[CAP * COPSE_CHUNK], copy[CAP * COPSE_CHUNK];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7);
	core_store_init(&s, chunk, CAP);
	for (size_t len = 0; len <= sizeof bytes; len++) {
		const size_t head = len < 12 ? len : 12;
		const uint32_t pieces = (uint32_t)((len + COPSE_CHUNK - 1) / COPSE_CHUNK);
		assert_int_equal(core_store_pieces(len), pieces);
		struct core_kept k = core_store_keep(&s, bytes, head, bytes + head, len - head);
		assert_int_equal(k.len, len);
		assert_int_equal(s.free_n, CAP - pieces);
		memset(copy, 0, sizeof copy);
		core_store_copy(&s, &k, copy);
		assert_memory_equal(copy, bytes, len);
		core_store_release(&s, &k);
		assert_int_equal(k.len, 0);
		assert_int_equal(s.free_n, CAP);
		core_store_release(&s, &k); /* twice does no harm */
		assert_int_equal(s.free_n, CAP);
	}
}

static void many_at_a_time(void **state)
{
	(void)state;
	struct core_chunk chunk[CAP];
	struct core_store s;
	struct core_kept kept[CAP] = {{0}};
	uint8_t fill[CAP];
	core_store_init(&s, chunk, CAP);
	srand(3);
	for (int step = 0; step < 10000; step++) {
		const int i = rand() % CAP;
		uint8_t bytes[3 * COPSE_CHUNK], copy[3 * COPSE_CHUNK];
		if (kept[i].len) {
			core_store_copy(&s, &kept[i], copy);
			for (size_t b = 0; b < kept[i].len; b++)
				assert_int_equal(copy[b], fill[i]);
			core_store_release(&s, &kept[i]);
			continue;
		}
		const size_t len = 1 + (size_t)rand() % sizeof bytes;
		if (core_store_pieces(len) > s.free_n)
			continue;
		fill[i] = (uint8_t)step;
		memset(bytes, fill[i], len);
		kept[i] = core_store_keep(&s, bytes, 0, bytes, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_length), cmocka_unit_test(many_at_a_time)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
