/* Devices that the collector has heard: bounds, the newest reading, what is known, the learnt rhythm, and clocks that jump.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gateway/collector_state.h"

#include <copse/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND ((int64_t)1000000)
#define START  (1700000000 * SECOND)

static struct gw_collector collector;

static void start(uint32_t cap)
{
	uint32_t slots = core_table_slots(cap);
	struct core_slot *slot = copse_mem_new(slots, sizeof(*slot));

	memset(&collector, 0, sizeof(collector));
	collector.device_cap = cap;
	collector.device = copse_mem_new(cap, sizeof(struct gw_heard *));
	assert_non_null(slot);
	assert_non_null(collector.device);
	core_table_init(&collector.index, slot, slots);
}

static struct store_reading reading(const char *name, int64_t time, double number)
{
	return (struct store_reading){.device = "d",
				      .name = name,
				      .unit = "Cel",
				      .time = time,
				      .expires = STORE_NEVER,
				      .number = number,
				      .kind = STORE_NUMBER};
}

/* One hostile sender announces 100,000 devices: so many are made as there may be, and those that there are stay. */
static void devices_are_bounded(void **state)
{
	char id[32];
	unsigned refused = 0;

	(void)state;
	start(1000);
	struct gw_heard *mine = gw_heard_get(&collector, "mine");
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(id, sizeof(id), "hostile%u", i);
		refused += gw_heard_get(&collector, id) == NULL;
	}
	assert_int_equal(refused, 100000 - 999);
	assert_int_equal(collector.device_n, 1000);
	assert_ptr_equal(gw_heard_get(&collector, "mine"), mine);
	assert_ptr_equal(gw_heard_find(&collector, "hostile998"), gw_heard_get(&collector, "hostile998"));
	assert_null(gw_heard_find(&collector, "hostile999"));
	gw_heard_free_all(&collector);
}

static void names_of_a_device_are_bounded(void **state)
{
	char name[32];
	struct store_reading r;

	(void)state;
	start(4);
	struct gw_heard *d = gw_heard_get(&collector, "d");
	for (unsigned i = 0; i < GW_COLLECTOR_SERIES; i++) {
		snprintf(name, sizeof(name), "n%02u", GW_COLLECTOR_SERIES - 1 - i);
		r = reading(name, START, i);
		assert_true(gw_latest_take(d, &r));
	}
	r = reading("more", START, 1);
	assert_false(gw_latest_take(d, &r));
	assert_null(gw_series_find(d, "more"));
	const struct gw_series *s = d->series;
	for (unsigned n = 1; s->next; s = s->next, n++)
		assert_true(strcmp(s->name, s->next->name) < 0 && n < GW_COLLECTOR_SERIES);
	gw_heard_free_all(&collector);
}

static void the_newest_is_of_the_greatest_time(void **state)
{
	struct store_reading r = reading("t", START, 1);

	(void)state;
	start(4);
	struct gw_heard *d = gw_heard_get(&collector, "d");
	assert_true(gw_latest_take(d, &r));
	r = reading("t", START - 1, 2);
	assert_false(gw_latest_take(d, &r));
	r = reading("t", START, 3); /* of the same time: the one that came later */
	assert_true(gw_latest_take(d, &r));
	assert_true(gw_series_find(d, "t")->latest.number == 3);
	gw_heard_free_all(&collector);
}

static void descriptions_are_checked(void **state)
{
	(void)state;
	start(4);
	struct gw_heard *d = gw_heard_get(&collector, "d");
	d->type = 1;
	assert_string_equal(gw_heard_type(d), "temperature");
	assert_true(gw_heard_describe(&collector, d, "{\"type\":\"power\",\"group\":\"cellar\"}", 33));
	assert_string_equal(gw_heard_type(d), "power");
	assert_string_equal(d->group, "cellar");
	assert_false(gw_heard_describe(&collector, d, "[]", 2));
	assert_false(gw_heard_describe(&collector, d, "{\"type\":", 8));
	assert_string_equal(d->group, "cellar"); /* what is refused changes nothing */
	gw_heard_free_all(&collector);
}

/* Heard each minute: live, then late, then silent; one long pause does not become the rhythm. */
static void a_rhythm_is_learnt(void **state)
{
	int64_t now = START;

	(void)state;
	start(4);
	struct gw_heard *d = gw_heard_get(&collector, "d");
	assert_string_equal(gw_heard_state(d, now), "silent"); /* never heard */
	gw_heard_note(d, now);
	assert_string_equal(gw_heard_state(d, now + 100000 * SECOND), "live"); /* heard once: who knows? */
	for (unsigned i = 0; i < 20; i++)
		gw_heard_note(d, now += 60 * SECOND);
	assert_true(d->rhythm == 60 * SECOND);
	assert_string_equal(gw_heard_state(d, now + 90 * SECOND), "live");
	assert_string_equal(gw_heard_state(d, now + 91 * SECOND), "late");
	assert_string_equal(gw_heard_state(d, now + 240 * SECOND), "late");
	assert_string_equal(gw_heard_state(d, now + 241 * SECOND), "silent");
	gw_heard_note(d, now += 86400 * SECOND);
	assert_true(d->rhythm < 2 * 60 * SECOND);
	for (unsigned i = 0; i < 40; i++) /* a burst is no rhythm */
		gw_heard_note(d, now += SECOND / 1000);
	assert_string_equal(gw_heard_state(d, now + 15 * SECOND), "live");
	gw_heard_free_all(&collector);
}

/* A clock that was a year ahead and is set right: whoever was heard in between does not stay live for that year. */
static void clocks_jump(void **state)
{
	const int64_t year = 365 * 86400 * SECOND;
	int64_t now = START;

	(void)state;
	start(4);
	struct gw_heard *d = gw_heard_get(&collector, "d");
	for (unsigned i = 0; i < 5; i++)
		gw_heard_note(d, now += 60 * SECOND);
	gw_heard_note(d, now + year);
	gw_heard_note(d, now += 60 * SECOND);
	assert_true(d->last == now);
	assert_true(d->rhythm >= 60 * SECOND && d->rhythm <= 4 * 60 * SECOND);
	assert_string_equal(gw_heard_state(d, now + 3600 * SECOND), "silent");
	/* and back beyond the first time that it was heard */
	gw_heard_note(d, START - year);
	assert_true(d->last == START - year && d->first <= d->last);
	assert_string_equal(gw_heard_state(d, START - year), "live");
	gw_heard_free_all(&collector);
}

/* The clock is set a year forth and back: what is remembered is as old, as fresh and as expected as before, and a reading of
 * a year that was not does not stand in the way of those that come. */
static void what_is_remembered_moves_with_the_clock(void **state)
{
	const int64_t year = 365 * 86400 * SECOND;
	int64_t now = START;

	(void)state;
	start(4);
	struct gw_heard *d = gw_heard_get(&collector, "d"), *never = gw_heard_get(&collector, "never");
	for (unsigned i = 0; i < 5; i++)
		gw_heard_note(d, now += 60 * SECOND);
	struct store_reading r = reading("brief", now, 1), lasting = reading("lasting", now, 1);
	r.received = lasting.received = now;
	r.expires = now + 30 * SECOND;
	assert_true(gw_latest_take(d, &r) && gw_latest_take(d, &lasting));
	gw_heard_move(&collector, year, now + year);
	assert_true(gw_series_find(d, "brief")->latest.expires == now + year + 30 * SECOND);
	assert_true(gw_series_find(d, "brief")->latest.received == now + year);
	assert_true(gw_series_find(d, "lasting")->latest.expires == STORE_NEVER);
	assert_true(gw_series_find(d, "lasting")->latest.time == now); /* as it is stored */
	assert_string_equal(gw_heard_state(d, now + year + 90 * SECOND), "live");
	assert_string_equal(gw_heard_state(d, now + year + 91 * SECOND), "late");
	assert_true(never->last == 0 && never->first == 0);
	now += year + 60 * SECOND;
	gw_heard_note(d, now);
	assert_true(d->rhythm == 60 * SECOND); /* the jump was no interval */
	lasting = reading("lasting", now, 2);
	assert_true(gw_latest_take(d, &lasting));
	gw_heard_move(&collector, -year, now - year);
	now -= year;
	assert_string_equal(gw_heard_state(d, now + 90 * SECOND), "live");
	lasting = reading("lasting", now, 3);
	assert_true(gw_latest_take(d, &lasting)); /* newer, though of an earlier time */
	assert_true(gw_series_find(d, "lasting")->latest.number == 3);
	lasting = reading("lasting", now - 1, 4);
	assert_false(gw_latest_take(d, &lasting)); /* but this once */
	lasting = reading("brief", now - 100 * SECOND, 5);
	assert_false(gw_latest_take(d, &lasting)); /* nor where the newest is of the past */
	gw_heard_free_all(&collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(devices_are_bounded),
	    cmocka_unit_test(names_of_a_device_are_bounded),
	    cmocka_unit_test(the_newest_is_of_the_greatest_time),
	    cmocka_unit_test(descriptions_are_checked),
	    cmocka_unit_test(a_rhythm_is_learnt),
	    cmocka_unit_test(clocks_jump),
	    cmocka_unit_test(what_is_remembered_moves_with_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
