/* What all devices have in common: MAC IDs, kinds, time, determinism.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

static void mac_ids_differ(void **state)
{
	enum { N = 20000 };
	static uint64_t macs[2 * N];
	struct sim_device device;
	(void)state;

	for (uint32_t i = 0; i < N; i++) {
		sim_device_init(&device, &sim_light, 1, i, MIDNIGHT);
		macs[i] = device.mac;
		sim_device_init(&device, &sim_light, 2, i, MIDNIGHT);
		macs[N + i] = device.mac;
		assert_int_equal(device.mac >> 40, 0x001350);
	}
	for (uint32_t i = 1; i < N; i++) {
		/* a permutation: neighbours differ, and so does the same index of another seed */
		assert_true(macs[i] != macs[i - 1]);
		assert_true(macs[i] != macs[N + i]);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void no_two_devices_share_a_mac(void **state)
{
	enum { N = 60000 };
	static uint64_t macs[N];
	struct sim_device device;
	(void)state;

	for (uint32_t i = 0; i < N; i++) {
		sim_device_init(&device, &sim_light, 77, i, MIDNIGHT);
		macs[i] = device.mac;
	}
	qsort(macs, N, sizeof(macs[0]), compare);
	for (uint32_t i = 1; i < N; i++)
		assert_true(macs[i] != macs[i - 1]);
}

static void kinds_have_names(void **state)
{
	const struct sim_kind *kind;
	size_t n = 0;
	(void)state;

	for (; (kind = sim_kind_at(n)); n++) {
		assert_ptr_equal(sim_kind_find(kind->name, strlen(kind->name)), kind);
		assert_true(kind->point_n >= 1 && kind->point_n <= SIM_POINTS_MAX);
	}
	assert_int_equal(n, 5);
	assert_null(sim_kind_find("mete", 4));
	assert_null(sim_kind_find("meters", 6));
	assert_ptr_equal(sim_kind_find("meters", 5), &sim_meter);
}

/* The course of values depends on the seed and the time, not on how often somebody looked. */
static void looking_changes_nothing(void **state)
{
	(void)state;
	for (size_t k = 0; sim_kind_at(k); k++) {
		struct sim_device often, once, other;
		sim_device_init(&often, sim_kind_at(k), 5, 3, MIDNIGHT + 12345);
		sim_device_init(&once, sim_kind_at(k), 5, 3, MIDNIGHT + 12345);
		sim_device_init(&other, sim_kind_at(k), 6, 3, MIDNIGHT + 12345);
		for (int64_t t = 0; t <= SIM_DAY_MS; t += 7777)
			sim_device_advance(&often, MIDNIGHT + 12345 + t);
		sim_device_advance(&often, MIDNIGHT + 12345 + SIM_DAY_MS);
		sim_device_advance(&once, MIDNIGHT + 12345 + SIM_DAY_MS);
		sim_device_advance(&other, MIDNIGHT + 12345 + SIM_DAY_MS);
		assert_memory_equal(&often, &once, sizeof(once));
		assert_memory_not_equal(&other, &once, sizeof(once));
	}
}

static void time_never_goes_back(void **state)
{
	struct sim_device device, before;
	(void)state;

	sim_device_init(&device, &sim_meter, 1, 1, MIDNIGHT);
	sim_device_advance(&device, MIDNIGHT + SIM_HOUR_MS);
	before = device;
	sim_device_advance(&device, MIDNIGHT);
	assert_memory_equal(&device, &before, sizeof(before));
}

/* A device that nobody asked for years comes to the present in a bounded number of steps. */
static void long_absence_is_skipped(void **state)
{
	struct sim_device device;
	int64_t now = MIDNIGHT + 3650ll * SIM_DAY_MS;
	(void)state;

	sim_device_init(&device, &sim_tracker, 1, 1, MIDNIGHT);
	sim_device_advance(&device, now);
	assert_true(now - device.at_ms < device.kind->step_ms);
}

static void deadband_holds_back_small_changes(void **state)
{
	struct sim_point point = {.deadband = 0.5};
	struct sim_reading before = {0}, now = {0};
	(void)state;

	sim_number(&before, "x", 20.0, 1, NULL, 1);
	sim_number(&now, "x", 20.4, 1, NULL, 1);
	assert_false(sim_point_changed(&point, &before, &now));
	now.field[0].number = 20.5;
	assert_true(sim_point_changed(&point, &before, &now));
	point.deadband = 0;
	now.field[0].number = 20.1;
	assert_true(sim_point_changed(&point, &before, &now));
	now.field[0].number = 20.0;
	assert_false(sim_point_changed(&point, &before, &now));
	before.field_n = 0;
	assert_true(sim_point_changed(&point, &before, &now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mac_ids_differ),
	    cmocka_unit_test(no_two_devices_share_a_mac),
	    cmocka_unit_test(kinds_have_names),
	    cmocka_unit_test(looking_changes_nothing),
	    cmocka_unit_test(time_never_goes_back),
	    cmocka_unit_test(long_absence_is_skipped),
	    cmocka_unit_test(deadband_holds_back_small_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
