/* The ring between two threads: empty, full, around the end, with a spare; and two threads that go as fast as they can.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "transport/ring.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct item {
	uint32_t number;
	uint8_t bytes[44];
};

static bool put(struct ring *r, uint32_t number, uint32_t spare)
{
	struct item *item = ring_reserve(r, spare);

	if (!item)
		return false;
	item->number = number;
	memset(item->bytes, (int)(number & 255), sizeof(item->bytes));
	ring_commit(r);
	return true;
}

static bool is_whole(const struct item *item, uint32_t number)
{
	for (size_t i = 0; i < sizeof(item->bytes); i++)
		if (item->bytes[i] != (number & 255))
			return false;
	return item->number == number;
}

static void empty_and_full(void **state)
{
	struct ring r = {0};

	(void)state;
	assert_true(ring_init(&r, 5, sizeof(struct item)));
	assert_int_equal(ring_capacity(&r), 8);
	assert_null(ring_first(&r));
	assert_true(ring_is_empty(&r));
	for (uint32_t i = 0; i < 8; i++)
		assert_true(put(&r, i, 0));
	assert_false(put(&r, 8, 0));
	assert_int_equal(ring_used(&r), 8);
	assert_true(is_whole(ring_first(&r), 0));
	assert_true(is_whole(ring_first(&r), 0)); /* until it is released */
	ring_release(&r);
	assert_true(put(&r, 8, 0));
	assert_false(put(&r, 9, 0));
	for (uint32_t i = 1; i < 9; i++) {
		assert_true(is_whole(ring_first(&r), i));
		ring_release(&r);
	}
	assert_null(ring_first(&r));
	ring_free(&r);
}

/* What may wait leaves room for what may not. */
static void spare(void **state)
{
	struct ring r = {0};

	(void)state;
	assert_true(ring_init(&r, 8, sizeof(struct item)));
	for (uint32_t i = 0; i < 6; i++)
		assert_true(put(&r, i, 2));
	assert_false(put(&r, 6, 2));
	assert_true(put(&r, 6, 0));
	assert_true(put(&r, 7, 0));
	assert_false(put(&r, 8, 0));
	ring_release(&r);
	assert_false(put(&r, 8, 2));
	ring_release(&r);
	ring_release(&r);
	assert_true(put(&r, 8, 2));
	ring_free(&r);
}

static void around_the_end(void **state)
{
	struct ring r = {0};

	(void)state;
	assert_true(ring_init(&r, 4, sizeof(struct item)));
	/* as if four thousand million had passed */
	atomic_store(&r.head, UINT32_MAX - 5);
	atomic_store(&r.tail, UINT32_MAX - 5);
	r.seen_head = r.seen_tail = UINT32_MAX - 5;
	for (uint32_t i = 0; i < 40; i += 4) {
		for (uint32_t k = 0; k < 4; k++)
			assert_true(put(&r, i + k, 0));
		assert_false(put(&r, 99, 0));
		assert_int_equal(ring_used(&r), 4);
		for (uint32_t k = 0; k < 4; k++) {
			assert_true(is_whole(ring_first(&r), i + k));
			ring_release(&r);
		}
		assert_null(ring_first(&r));
	}
	ring_free(&r);
}

/* --- two threads --- */

#define ITEMS 200000u

struct pair {
	struct ring ring;
	_Atomic bool sleeping;
	sem_t wake;
	uint32_t wakes, full;
};

static void *put_all(void *self)
{
	struct pair *p = self;

	for (uint32_t i = 0; i < ITEMS; i++) {
		while (!put(&p->ring, i, 0)) {
			p->full++;
			sched_yield();
		}
		if (atomic_load(&p->sleeping) && atomic_exchange(&p->sleeping, false)) {
			p->wakes++;
			sem_post(&p->wake);
		}
	}
	return NULL;
}

/* Everything arrives, whole and in order, and a sleeper is always woken: else this never ends. */
static void two_threads(void **state)
{
	static struct pair p;
	pthread_t thread;
	uint32_t expected = 0;

	(void)state;
	memset(&p, 0, sizeof(p));
	assert_true(ring_init(&p.ring, 16, sizeof(struct item)));
	assert_int_equal(sem_init(&p.wake, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, put_all, &p), 0);
	while (expected < ITEMS) {
		const struct item *item = ring_first(&p.ring);
		if (item) {
			assert_true(is_whole(item, expected));
			expected++;
			ring_release(&p.ring);
			continue;
		}
		atomic_store(&p.sleeping, true);
		if (ring_is_empty(&p.ring))
			while (atomic_load(&p.sleeping))
				sem_wait(&p.wake);
		else if (!atomic_exchange(&p.sleeping, false))
			sem_wait(&p.wake); /* it is being woken: take the post, so that none is left over */
	}
	pthread_join(thread, NULL);
	assert_true(ring_is_empty(&p.ring));
	ring_free(&p.ring);
	sem_destroy(&p.wake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(empty_and_full),
	    cmocka_unit_test(spare),
	    cmocka_unit_test(around_the_end),
	    cmocka_unit_test(two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
