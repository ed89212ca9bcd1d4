/* The hash table against a plain list, under collisions and at its capacity.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "core/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAP 100

static bool has(const struct core_table *t, uint32_t hash, uint32_t value)
{
	uint32_t pos = hash & t->mask, v;
	while ((v = core_table_next(t, hash, &pos)) != 0) {
		if (v == value)
			return true;
	}
	return false;
}

static void slots_suffice(void **state)
{
	(void)state;
	assert_int_equal(core_table_slots(1), 4);
	assert_int_equal(core_table_slots(2), 4);
	assert_int_equal(core_table_slots(3), 8);
	assert_int_equal(core_table_slots(1024), 2048);
}

/* Random insertions and removals; `hashes` few enough to collide, also around the end of the slots. */
static void against_a_list(void **state)
{
	(void)state;
	for (unsigned hashes = 1; hashes < 1000; hashes *= 3) {
		struct core_slot slot[256];
		struct core_table t;
		uint32_t hash_of[CAP + 1];
		bool in[CAP + 1] = {false};
		core_table_init(&t, slot, core_table_slots(CAP));
		srand(hashes);
		for (int step = 0; step < 5000; step++) {
			const uint32_t v = 1 + (uint32_t)rand() % CAP;
			if (in[v]) {
				core_table_remove(&t, hash_of[v], v);
			} else {
				hash_of[v] = 250 + (uint32_t)rand() % hashes;
				core_table_insert(&t, hash_of[v], v);
			}
			in[v] = !in[v];
			for (uint32_t i = 1; i <= CAP; i++) {
				if (in[i])
					assert_true(has(&t, hash_of[i], i));
				else
					assert_false(has(&t, 250 + i % hashes, i));
			}
		}
		for (uint32_t i = 1; i <= CAP; i++) {
			if (in[i])
				core_table_remove(&t, hash_of[i], i);
		}
		for (size_t i = 0; i < 256; i++)
			assert_int_equal(slot[i].value, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(slots_suffice), cmocka_unit_test(against_a_list)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
