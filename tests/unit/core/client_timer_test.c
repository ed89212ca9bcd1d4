/* The heap of a client's timers against a plain search.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/client_call.h"

#define N 50

static struct call_slot slot[N];
static uint16_t heap[N];
static struct copse_client client;

static copse_ms earliest(void)
{
	copse_ms first = COPSE_NEVER;

	for (int i = 0; i < N; i++) {
		if (slot[i].due < first)
			first = slot[i].due;
	}
	return first;
}

static void the_first_is_always_known(void **state)
{
	uint32_t random = 1;
	(void)state;
	client = (struct copse_client){.slot = slot, .heap = heap, .config = {.call_cap = N}};
	for (int i = 0; i < N; i++)
		slot[i] = (struct call_slot){.due = COPSE_NEVER};
	for (int i = 0; i < 20000; i++) {
		random = random * 1664525u + 1013904223u;
		struct call_slot *s = &slot[(random >> 8) % N];
		call_timer_set(&client, s, (random & 0x30) ? random >> 16 : COPSE_NEVER);
		struct call_slot *first = call_timer_first(&client);
		if (earliest() == COPSE_NEVER)
			assert_null(first);
		else
			assert_int_equal(first->due, earliest());
	}
	for (int i = 0; i < N; i++)
		call_timer_set(&client, &slot[i], COPSE_NEVER);
	assert_null(call_timer_first(&client));
	assert_int_equal(client.heap_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_is_always_known)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
