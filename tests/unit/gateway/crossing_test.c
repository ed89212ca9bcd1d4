/* What workers share: rings with room to spare, waking, the board, the rates of accounts; by one thread and by two.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gateway/crossing.h"

#include <copse/mem.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SESSIONS 10

static unsigned woken;

static void wake(void *self)
{
	(void)self;
	woken++;
}

static bool put(struct gw_crossing *c, unsigned from, unsigned to, bool spare, uint32_t len)
{
	struct gw_cross_message *m = gw_crossing_reserve(c, from, to, spare);

	if (!m)
		return false;
	assert_null(m->large);
	m->kind = GW_CROSS_REPLY;
	m->len = len;
	gw_crossing_commit(c, from, to);
	return true;
}

static void full_with_spare(void **state)
{
	struct gw_crossing *c = gw_crossing_new(2, SESSIONS, true);
	uint32_t n = 0;

	(void)state;
	while (put(c, 0, 1, false, n))
		n++;
	assert_int_equal(n, GW_CROSS_SLOTS - GW_CROSS_SPARE);
	assert_true(gw_crossing_has_room(c, 0));
	while (put(c, 0, 1, true, n))
		n++;
	assert_int_equal(n, GW_CROSS_SLOTS);
	assert_false(gw_crossing_has_room(c, 0));
	assert_true(gw_crossing_has_room(c, 1)); /* the other way is another ring */
	assert_null(gw_crossing_first(c, 1, 0));
	for (uint32_t i = 0; i < n; i++) {
		struct gw_cross_message *m = gw_crossing_first(c, 0, 1);
		assert_non_null(m);
		assert_int_equal(m->len, i);
		assert_int_equal(m->from, 0);
		gw_crossing_release(c, 0, 1);
	}
	assert_null(gw_crossing_first(c, 0, 1));
	gw_crossing_free(c);
}

/* Memory that a message brings is freed with it, also when nobody takes it any more. */
static void memory(void **state)
{
	struct gw_crossing *c = gw_crossing_new(3, SESSIONS, true);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct gw_cross_message *m = gw_crossing_reserve(c, 2, 1, true);
		m->kind = i & 1 ? GW_CROSS_OPENED : GW_CROSS_DATAGRAM;
		if (i & 1)
			m->session.grant = copse_mem_new(1, sizeof(*m->session.grant));
		else
			m->large = copse_mem_new(5000, 1);
		gw_crossing_commit(c, 2, 1);
	}
	gw_crossing_release(c, 2, 1);
	gw_crossing_release(c, 2, 1);
	gw_crossing_free(c);
}

static void waking(void **state)
{
	struct gw_crossing *c = gw_crossing_new(2, SESSIONS, true);

	(void)state;
	woken = 0;
	gw_crossing_on_wake(c, 1, wake, NULL);
	put(c, 0, 1, false, 1);
	gw_crossing_wake(c, 0);
	assert_int_equal(woken, 0); /* it is awake */
	assert_false(gw_crossing_sleep(c, 1));
	gw_crossing_release(c, 0, 1);
	assert_true(gw_crossing_sleep(c, 1));
	gw_crossing_wake(c, 0);
	assert_int_equal(woken, 0); /* for nothing new */
	put(c, 0, 1, false, 2);
	put(c, 0, 1, false, 3);
	gw_crossing_wake(c, 0);
	gw_crossing_wake(c, 0);
	assert_int_equal(woken, 1);
	gw_crossing_free(c);
}

/* Names as a target has them find the name that the collector knows; a mark that is taken off is forgotten. */
static void asleep(void **state)
{
	struct gw_crossing *c = gw_crossing_new(2, SESSIONS, true);

	(void)state;
	assert_false(gw_crossing_may_sleep(c, "lamp", ""));
	gw_crossing_set_asleep(c, "device:lamp", true);
	gw_crossing_set_asleep(c, "0011223344556677", true);
	assert_true(gw_crossing_may_sleep(c, "lamp", ""));
	assert_false(gw_crossing_may_sleep(c, "device:lamb", ""));
	assert_true(gw_crossing_may_sleep(c, "001122445566", "0011223344556677"));
	assert_true(gw_crossing_may_sleep(c, "0011223344556677", ""));
	gw_crossing_set_asleep(c, "device:lamp", false);
	assert_false(gw_crossing_may_sleep(c, "lamp", ""));
	assert_true(gw_crossing_may_sleep(c, "0011223344556677", ""));
	/* so many that they cannot be told apart by a place: one that was marked is never missed */
	for (unsigned i = 0; i < 70000; i++)
		gw_crossing_set_asleep(c, "many", true);
	for (unsigned i = 0; i < 70000; i++)
		gw_crossing_set_asleep(c, "many", false);
	assert_true(gw_crossing_may_sleep(c, "many", ""));
	gw_crossing_free(c);
}

static void board(void **state)
{
	struct gw_crossing *c = gw_crossing_new(3, SESSIONS, true);

	(void)state;
	gw_crossing_set_pending(c, 0, 9, 2);
	gw_crossing_set_pending(c, 2, 9, 3);
	gw_crossing_set_pending(c, 2, 8, 7);
	assert_int_equal(gw_crossing_pending(c, 9), 5);
	gw_crossing_set_pending(c, 2, 9, 0);
	assert_int_equal(gw_crossing_pending(c, 9), 2);
	gw_crossing_set_observers(c, 1, 0, 4);
	assert_int_equal(gw_crossing_observers(c, 0), 4);
	assert_int_equal(gw_crossing_pending(c, 0), 0);
	gw_crossing_begin_sequence(c, 0xfffffe);
	assert_int_equal(gw_crossing_next_sequence(c), 0xffffff);
	assert_int_equal(gw_crossing_next_sequence(c), 0);
	gw_crossing_free(c);
}

static void rates(void **state)
{
	const struct gw_rate slow = {.thousandths = 2000, .burst = 3}, none = {0};
	struct gw_crossing *c = gw_crossing_new(2, SESSIONS, true);
	copse_ms now = 1000000;
	char name[20];

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(gw_crossing_rate(c, "free", &none, now), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(gw_crossing_rate(c, "a", &slow, now), 0);
	assert_int_equal(gw_crossing_rate(c, "a", &slow, now), 500);
	assert_int_equal(gw_crossing_rate(c, "b", &slow, now), 0);
	assert_int_equal(gw_crossing_rate(c, "a", &slow, now + 499), 1);
	assert_int_equal(gw_crossing_rate(c, "a", &slow, now + 500), 0);
	assert_int_equal(gw_crossing_rate(c, "a", &slow, now + 500), 500);
	assert_int_equal(gw_crossing_rates(c), 1); /* the other is full again */
	/* full again after a while, and not fuller than that */
	now += 100000;
	for (int i = 0; i < 3; i++)
		assert_int_equal(gw_crossing_rate(c, "a", &slow, now), 0);
	assert_int_not_equal(gw_crossing_rate(c, "a", &slow, now), 0);
	/* more accounts than places: whoever asks gets an answer */
	for (int i = 0; i < 40000; i++) {
		snprintf(name, sizeof(name), "account-%d", i);
		assert_true(gw_crossing_rate(c, name, &slow, now) <= 500);
	}
	gw_crossing_free(c);
}

/* --- two threads --- */

#define TAKES    20000
#define MESSAGES 100000u

static void *take_many(void *self)
{
	const struct gw_rate rate = {.thousandths = 1, .burst = TAKES};
	uintptr_t n = 0;

	for (int i = 0; i < TAKES; i++)
		n += gw_crossing_rate(self, "shared", &rate, 5000) == 0;
	return (void *)n;
}

/* Together they get what the bucket holds, neither more nor less. */
static void rates_by_two(void **state)
{
	struct gw_crossing *c = gw_crossing_new(2, SESSIONS, true);
	pthread_t thread;
	void *other;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, take_many, c), 0);
	uintptr_t mine = (uintptr_t)take_many(c);
	pthread_join(thread, &other);
	assert_int_equal(mine + (uintptr_t)other, TAKES);
	gw_crossing_free(c);
}

static void *send_many(void *self)
{
	struct gw_crossing *c = self;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		while (!put(c, 1, 0, i & 1, i))
			sched_yield();
		gw_crossing_set_pending(c, 1, i % SESSIONS, i);
		gw_crossing_wake(c, 1);
	}
	return NULL;
}

static void messages_by_two(void **state)
{
	struct gw_crossing *c = gw_crossing_new(2, SESSIONS, true);
	uint32_t expected = 0;
	pthread_t thread;

	(void)state;
	gw_crossing_on_wake(c, 0, wake, NULL);
	assert_int_equal(pthread_create(&thread, NULL, send_many, c), 0);
	while (expected < MESSAGES) {
		const struct gw_cross_message *m = gw_crossing_first(c, 1, 0);
		if (!m) {
			if (gw_crossing_sleep(c, 0))
				sched_yield();
			gw_crossing_awake(c, 0);
			continue;
		}
		assert_int_equal(m->len, expected);
		expected++;
		gw_crossing_release(c, 1, 0);
		assert_true(gw_crossing_pending(c, 0) < MESSAGES);
	}
	pthread_join(thread, NULL);
	gw_crossing_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(full_with_spare), cmocka_unit_test(memory),          cmocka_unit_test(waking),
	    cmocka_unit_test(asleep),          cmocka_unit_test(board),           cmocka_unit_test(rates),
	    cmocka_unit_test(rates_by_two),    cmocka_unit_test(messages_by_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
