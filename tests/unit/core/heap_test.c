/* Timers against a plain search for the earliest.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "core/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAP 64

static void against_a_search(void **state)
{
	(void)state;
	struct core_timer *place[CAP + 1];
	struct core_timer timer[CAP] = {{0}};
	struct core_heap heap = {.timer = place, .cap = CAP};
	srand(1);
	for (int step = 0; step < 20000; step++) {
		struct core_timer *t = &timer[rand() % CAP];
		if (rand() % 3)
			core_heap_set(&heap, t, (copse_ms)(rand() % 50));
		else
			core_heap_clear(&heap, t);
		copse_ms earliest = COPSE_NEVER;
		uint32_t n = 0;
		for (int i = 0; i < CAP; i++) {
			if (timer[i].pos == 0)
				continue;
			n++;
			assert_ptr_equal(place[timer[i].pos], &timer[i]);
			earliest = timer[i].at < earliest ? timer[i].at : earliest;
		}
		assert_int_equal(heap.n, n);
		if (n == 0)
			assert_null(core_heap_first(&heap));
		else
			assert_true(core_heap_first(&heap)->at == earliest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(against_a_search)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
