/* The store's thread: order, grouping, the bounds of its queue, and faults that come back to whom they concern.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include "store/service.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static sem_t woken, gate;
static _Atomic int64_t clock_us = 1000;

static void wake(void *self)
{
	(void)self;
	sem_post(&woken);
}

static int64_t wall(void *self)
{
	(void)self;
	return clock_us;
}

static struct store_service *start(uint32_t jobs, uint64_t bytes, uint64_t store_bytes)
{
	struct store_service_config config = {
	    .jobs = jobs, .bytes = bytes, .answer_max = 100, .wall = wall, .wake = wake};
	struct store store;

	sem_init(&woken, 0, 0);
	sem_init(&gate, 0, 0);
	assert_int_equal(store_memory_open(store_bytes, &store), STORE_OK);
	struct store_service *s = store_service_new(&config, &store);
	assert_non_null(s);
	return s;
}

static struct store_job *reading_job(int64_t time)
{
	struct store_job *job = store_job_new(sizeof(struct store_reading));
	struct store_reading *r = (struct store_reading *)job->room;

	*r = suite_number("d", "n", time, 1);
	job->batch.reading = r;
	job->batch.reading_n = 1;
	return job;
}

/* Blocks the store's thread until the gate is opened. */
static int blocking_render(void *user, struct store_buffer *out, const struct store_row *row)
{
	(void)user;
	if (!row)
		sem_wait(&gate);
	else
		store_buffer_format(out, "%lld ", (long long)row->reading->time);
	return 0;
}

static int plain_render(void *user, struct store_buffer *out, const struct store_row *row)
{
	(void)user;
	if (row)
		store_buffer_format(out, "%lld ", (long long)row->reading->time);
	return 0;
}

static struct store_job *query_job(store_render_fn *render)
{
	struct store_job *job = store_job_new(0);

	job->query = (struct store_query){.subject = STORE_READINGS, .from = INT64_MIN, .to = INT64_MAX};
	job->render = render;
	return job;
}

static struct store_job *wait_for(struct store_service *s)
{
	struct store_job *job;

	while (!(job = store_service_done(s)))
		sem_wait(&woken);
	return job;
}

static void jobs_are_done_in_their_order(void **state)
{
	struct store_service *s = start(100, 1000000, 0);
	struct store_job *job;
	(void)state;

	for (int i = 0; i < 3; i++) {
		job = reading_job(i);
		job->tag = (uint64_t)i;
		assert_true(store_service_put(s, job));
	}
	assert_true(store_service_put(s, query_job(plain_render)));
	job = reading_job(9);
	job->quiet = true;
	assert_true(store_service_put(s, job));
	assert_true(store_service_put(s, query_job(plain_render)));
	for (uint64_t i = 0; i < 3; i++) {
		job = wait_for(s);
		assert_int_equal(job->tag, i);
		assert_int_equal(job->result, STORE_OK);
		store_job_free(job);
	}
	job = wait_for(s);
	assert_memory_equal(job->out.at, "0 1 2 ", job->out.len);
	store_job_free(job);
	job = wait_for(s); /* the quiet one did not come back */
	assert_memory_equal(job->out.at, "0 1 2 9 ", job->out.len);
	store_job_free(job);
	struct store_service_counters c;
	store_service_counters(s, &c);
	assert_int_equal(c.readings, 4);
	assert_int_equal(c.queries, 2);
	store_service_free(s);
}

/* Nobody has to wait for those who come after him. */
static void what_is_done_comes_back_while_more_is_queued(void **state)
{
	struct store_service *s = start(100, 1000000, 0);
	struct store_job *job;
	(void)state;

	assert_true(store_service_put(s, reading_job(1)));
	assert_true(store_service_put(s, query_job(plain_render)));
	assert_true(store_service_put(s, query_job(blocking_render)));
	for (int i = 0; i < 2; i++)
		store_job_free(wait_for(s));
	sem_post(&gate);
	job = wait_for(s);
	assert_memory_equal(job->out.at, "1 ", job->out.len);
	store_job_free(job);
	store_service_free(s);
}

static void a_full_queue_says_no(void **state)
{
	struct store_service *s = start(3, 1000000, 0);
	struct store_service_counters c;
	struct store_job *extra = reading_job(1);
	(void)state;

	assert_true(store_service_put(s, query_job(blocking_render)));
	assert_true(store_service_put(s, reading_job(1)));
	assert_true(store_service_put(s, reading_job(1)));
	assert_false(store_service_put(s, extra));
	sem_post(&gate);
	for (int i = 0; i < 3; i++)
		store_job_free(wait_for(s));
	assert_true(store_service_put(s, extra)); /* there is room again */
	store_job_free(wait_for(s));
	store_service_counters(s, &c);
	assert_int_equal(c.refused, 1);
	store_service_free(s);
}

static void the_bytes_of_jobs_are_bounded(void **state)
{
	struct store_job *first = reading_job(1), *second = reading_job(2);
	struct store_service *s = start(100, first->bytes + second->bytes - 1, 0);
	(void)state;

	assert_true(store_service_put(s, first));
	assert_false(store_service_put(s, second)); /* `first` counts until it is taken back */
	store_job_free(wait_for(s));
	assert_true(store_service_put(s, second));
	store_service_free(s);
}

static void an_answer_that_is_too_long_is_given_up(void **state)
{
	struct store_service *s = start(1000, 1000000, 0);
	struct store_service_counters c;
	(void)state;

	for (int i = 0; i < 100; i++) {
		struct store_job *job = reading_job(i);
		job->quiet = true;
		assert_true(store_service_put(s, job));
	}
	assert_true(store_service_put(s, query_job(plain_render)));
	struct store_job *job = wait_for(s);
	assert_int_equal(job->result, STORE_FULL);
	assert_true(job->out.len <= 100);
	store_job_free(job);
	store_service_counters(s, &c);
	assert_int_equal(c.queries_long, 1);
	assert_int_equal(c.queries_failed, 0);
	store_service_free(s);
}

static void a_store_that_fails_is_told(void **state)
{
	struct store_service *s = start(100, 1000000, 10);
	struct store_service_counters c;
	(void)state;

	assert_true(store_service_put(s, reading_job(1)));
	struct store_job *job = wait_for(s);
	assert_int_equal(job->result, STORE_FULL);
	store_job_free(job);
	assert_int_equal(store_service_state(s), STORE_FULL);
	store_service_counters(s, &c);
	assert_int_equal(c.failed, 1);
	assert_int_equal(c.transactions, 0);
	store_service_free(s);
}

static void what_is_queued_at_the_end_is_stored(void **state)
{
	struct store_service *s = start(1000, 1000000, 0);
	(void)state;

	for (int i = 0; i < 500; i++)
		assert_true(store_service_put(s, reading_job(i)));
	store_service_free(s); /* the jobs too: AddressSanitizer would tell */
}

/* --- retention, in virtual time --- */

#define MINUTE ((int64_t)60 * 1000000)
#define DAY    (24 * 60 * MINUTE)

static struct store_service *start_keeping(int64_t keep_us, uint64_t store_max)
{
	struct store_service_config config = {.jobs = 1000,
					      .bytes = 1000000,
					      .answer_max = 100000,
					      .keep_us = keep_us,
					      .store_max = store_max,
					      .wall = wall,
					      .wake = wake};
	struct store store;

	sem_init(&woken, 0, 0);
	assert_int_equal(store_memory_open(0, &store), STORE_OK);
	struct store_service *s = store_service_new(&config, &store);
	assert_non_null(s);
	return s;
}

static struct store_service_counters counters_of(struct store_service *s)
{
	struct store_service_counters c;

	store_service_counters(s, &c);
	return c;
}

static struct store_job *ask(struct store_service *s)
{
	assert_true(store_service_put(s, query_job(plain_render)));
	struct store_job *job = wait_for(s);
	assert_int_equal(job->result, STORE_OK);
	return job;
}

/* Let the clock show `time`, at least 10 minutes later or earlier, and the thread trim. */
static void turn_to(struct store_service *s, int64_t time)
{
	const uint64_t before = counters_of(s).trimmed;

	clock_us = time;
	do
		store_job_free(ask(s)); /* wakes it: what is asked is answered before it trims */
	while (counters_of(s).trimmed == before);
	store_job_free(ask(s)); /* and behind it */
}

static void put_at(struct store_service *s, int64_t time)
{
	assert_true(store_service_put(s, reading_job(time)));
	struct store_job *job = wait_for(s);
	assert_int_equal(job->result, STORE_OK);
	store_job_free(job);
}

static void stored_are(struct store_service *s, unsigned n, int64_t first)
{
	struct store_job *job = ask(s);
	char begin[40];
	unsigned found = 0;

	for (size_t i = 0; i < job->out.len; i++)
		found += job->out.at[i] == ' ';
	assert_int_equal(found, n);
	snprintf(begin, sizeof(begin), "%lld ", (long long)first);
	if (n)
		assert_memory_equal(job->out.at, begin, strlen(begin));
	store_job_free(job);
}

static void readings_go_by_age(void **state)
{
	(void)state;
	clock_us = 100 * DAY;
	struct store_service *s = start_keeping(30 * DAY, 0);
	turn_to(s, 100 * DAY + 10 * MINUTE);
	for (int64_t day = 69; day <= 100; day++)
		put_at(s, day * DAY);
	turn_to(s, 100 * DAY + 20 * MINUTE);
	stored_are(s, 30, 71 * DAY); /* 70 is older by the 20 minutes */
	for (int64_t t = 1; t <= 48; t++)
		turn_to(s, 100 * DAY + 20 * MINUTE + t * 30 * MINUTE);
	stored_are(s, 29, 72 * DAY);
	assert_int_equal(counters_of(s).leaps, 0);
	store_service_free(s);
}

/* A clock that leaps a year ahead would make all too old: what is stored is spared until it has stayed there for an hour. */
static void a_clock_that_leaps_ahead_removes_nothing(void **state)
{
	(void)state;
	clock_us = 100 * DAY;
	struct store_service *s = start_keeping(30 * DAY, 0);
	turn_to(s, 100 * DAY + 10 * MINUTE);
	put_at(s, 100 * DAY);
	turn_to(s, 465 * DAY);
	stored_are(s, 1, 100 * DAY);
	turn_to(s, 465 * DAY + 50 * MINUTE);
	stored_are(s, 1, 100 * DAY);
	turn_to(s, 100 * DAY + 70 * MINUTE); /* set right */
	stored_are(s, 1, 100 * DAY);
	assert_int_equal(counters_of(s).leaps, 1);
	put_at(s, 60 * DAY);
	turn_to(s, 100 * DAY + 80 * MINUTE); /* and works again */
	stored_are(s, 1, 100 * DAY);
	turn_to(s, 465 * DAY);
	for (int64_t t = 1; t <= 4; t++)
		turn_to(s, 465 * DAY + t * 20 * MINUTE); /* it is no mistake */
	stored_are(s, 0, 0);
	assert_int_equal(counters_of(s).leaps, 2);
	store_service_free(s);
}

static void a_clock_that_is_set_back_removes_nothing(void **state)
{
	(void)state;
	clock_us = 100 * DAY;
	struct store_service *s = start_keeping(30 * DAY, 0);
	turn_to(s, 100 * DAY + 10 * MINUTE);
	put_at(s, 100 * DAY);
	turn_to(s, DAY);
	put_at(s, DAY);
	turn_to(s, DAY + 10 * MINUTE);
	stored_are(s, 2, DAY);
	store_service_free(s);
}

/* The oldest go, by twentieths of the time, until the rest is small enough; the newest stay. */
static void the_oldest_go_when_there_is_too_much(void **state)
{
	(void)state;
	clock_us = 100 * DAY;
	struct store_service *s = start_keeping(0, 6000);
	turn_to(s, 100 * DAY + 10 * MINUTE);
	for (int64_t day = 1; day <= 100; day++)
		put_at(s, day * DAY);
	turn_to(s, 100 * DAY + 20 * MINUTE);
	struct store_job *job = ask(s);
	unsigned n = 0;
	for (size_t i = 0; i < job->out.len; i++)
		n += job->out.at[i] == ' ';
	store_job_free(job);
	assert_in_range(n, 20, 99);
	stored_are(s, n, (101 - (int64_t)n) * DAY);
	turn_to(s, 100 * DAY + 30 * MINUTE); /* small enough: nothing more goes */
	stored_are(s, n, (101 - (int64_t)n) * DAY);
	store_service_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(jobs_are_done_in_their_order),
	    cmocka_unit_test(what_is_done_comes_back_while_more_is_queued),
	    cmocka_unit_test(a_full_queue_says_no),
	    cmocka_unit_test(the_bytes_of_jobs_are_bounded),
	    cmocka_unit_test(an_answer_that_is_too_long_is_given_up),
	    cmocka_unit_test(a_store_that_fails_is_told),
	    cmocka_unit_test(what_is_queued_at_the_end_is_stored),
	    cmocka_unit_test(readings_go_by_age),
	    cmocka_unit_test(a_clock_that_leaps_ahead_removes_nothing),
	    cmocka_unit_test(a_clock_that_is_set_back_removes_nothing),
	    cmocka_unit_test(the_oldest_go_when_there_is_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
