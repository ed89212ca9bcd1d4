/* Retention by size, over each back end: whatever comes is taken, the oldest make room, the file stays within its bound; and
 * where nothing can make room nothing is removed.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include "store/service.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND ((int64_t)1000000)
#define NOW    (1700000000 * SECOND) /* the clock stands still: nothing is looked after by itself */
#define BOUND  1000000u
#define TEXT   1000u

static char folder[] = "/tmp/copse-size-XXXXXX", path[64];
static sem_t woken;
static bool in_memory;

static void wake(void *self)
{
	(void)self;
	sem_post(&woken);
}

static int64_t wall(void *self)
{
	(void)self;
	return NOW;
}

static struct store_service *start(uint64_t store_max, uint64_t room)
{
	static unsigned files;
	struct store_service_config config = {.jobs = 100,
					      .bytes = 100000000,
					      .answer_max = 100000,
					      .store_max = store_max,
					      .wall = wall,
					      .wake = wake};
	struct store store;
	char why[200];

	sem_init(&woken, 0, 0);
	snprintf(path, sizeof(path), "%s/%u.db", folder, files++);
	const struct store_sqlite_config sqlite = {.path = path, .max_bytes = room};
	assert_int_equal(in_memory ? store_memory_open(room, &store)
				   : store_sqlite_open(&sqlite, &store, why, sizeof(why)),
			 STORE_OK);
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

static int wait_for(struct store_service *s)
{
	struct store_job *job;

	while (!(job = store_service_done(s)))
		sem_wait(&woken);
	int result = job->result;
	store_job_free(job);
	return result;
}

/* A batch of `n` readings of one series, a text of TEXT bytes each, of the times from `time` on. */
static int put(struct store_service *s, const char *name, int64_t time, uint32_t n)
{
	struct store_job *job = store_job_new(n * sizeof(struct store_reading) + TEXT);
	struct store_reading *r = (struct store_reading *)job->room;
	uint8_t *bytes = memset(r + n, 'x', TEXT);

	for (uint32_t i = 0; i < n; i++) {
		r[i] = suite_number("d", name, time + i * SECOND, 0);
		r[i].kind = STORE_TEXT;
		r[i].bytes = bytes;
		r[i].len = TEXT;
	}
	job->batch.reading = r;
	job->batch.reading_n = n;
	assert_true(store_service_put(s, job));
	return wait_for(s);
}

static int put_document(struct store_service *s, int64_t received)
{
	struct store_job *job = store_job_new(sizeof(struct store_document) + TEXT);
	struct store_document *d = (struct store_document *)job->room;

	*d = (struct store_document){.path = "/store/x",
				     .received = received,
				     .expires = STORE_NEVER,
				     .bytes = (const uint8_t *)(d + 1),
				     .len = TEXT};
	job->batch.document = d;
	job->batch.document_n = 1;
	assert_true(store_service_put(s, job));
	return wait_for(s);
}

/* --- what is there --- */

struct found {
	uint32_t n;
	int64_t first, last;
};

static int note(void *user, struct store_buffer *out, const struct store_row *row)
{
	struct found *f = user;

	(void)out;
	if (!row)
		return 0;
	const int64_t time = row->reading ? row->reading->time : row->document->received;
	if (f->n++ == 0)
		f->first = time;
	else
		assert_true(time == f->last + SECOND); /* none between them is missing */
	f->last = time;
	return 0;
}

static struct found find(struct store_service *s, const char *name)
{
	struct store_job *job = store_job_new(0);
	struct found f = {0};

	job->query = name ? (struct store_query){.subject = STORE_READINGS,
						 .name = name,
						 .from = INT64_MIN,
						 .to = INT64_MAX}
			  : (struct store_query){.subject = STORE_DOCUMENTS, .path = "/store/x"};
	job->render = note;
	job->user = &f;
	assert_true(store_service_put(s, job));
	assert_int_equal(wait_for(s), STORE_OK);
	return f;
}

/* The file with its log, which has at most what one transaction changes. */
static void file_is_within_bounds(uint64_t room)
{
	struct stat status;
	char wal[80];

	if (in_memory)
		return;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_int_equal(stat(path, &status), 0);
	assert_true((uint64_t)status.st_size <= room + 4096);
	assert_int_equal(stat(wal, &status), 0);
	assert_true((uint64_t)status.st_size <= 2 * room + 5000000);
}

/* --- tests --- */

static void whatever_comes_is_taken(void **state)
{
	(void)state;
	struct store_service *s = start(BOUND, BOUND + BOUND / 4);
	for (int64_t i = 0; i < 5000; i += 10) {
		assert_int_equal(put(s, "n", NOW - 5000 * SECOND + i * SECOND, 10), STORE_OK);
		if (i % 500 == 0)
			file_is_within_bounds(BOUND + BOUND / 4);
	}
	file_is_within_bounds(BOUND + BOUND / 4);
	struct found f = find(s, "n");
	assert_true(f.last == NOW - SECOND);
	assert_in_range(f.n, BOUND / TEXT / 2, BOUND / TEXT * 5 / 4);
	assert_int_equal(counters_of(s).failed, 0);
	assert_in_range(counters_of(s).trimmed_size, 3, 100);
	assert_int_equal(counters_of(s).readings, 5000);
	store_service_free(s);
}

/* Documents go, too, also where there are no readings. */
static void documents_make_room(void **state)
{
	(void)state;
	struct store_service *s = start(BOUND, BOUND + BOUND / 4);
	for (int64_t i = 0; i < 3000; i++)
		assert_int_equal(put_document(s, NOW - 3000 * SECOND + i * SECOND), STORE_OK);
	struct found f = find(s, NULL);
	assert_true(f.last == NOW - SECOND);
	assert_in_range(f.n, 100, BOUND / TEXT * 5 / 4);
	file_is_within_bounds(BOUND + BOUND / 4);
	store_service_free(s);
}

/* One that is ages old does not make all between it and now go; those of clocks that are ahead do not stay for ever. */
static void wrong_times_do_no_harm(void **state)
{
	(void)state;
	struct store_service *s = start(BOUND, BOUND + BOUND / 4);
	assert_int_equal(put(s, "old", 0, 1), STORE_OK);
	for (int64_t i = 0; i < 3000; i += 10)
		assert_int_equal(put(s, "n", NOW - 3000 * SECOND + i * SECOND, 10), STORE_OK);
	struct found f = find(s, "n");
	assert_int_equal(find(s, "old").n, 0);
	assert_true(f.last == NOW - SECOND);
	assert_in_range(f.n, BOUND / TEXT / 2, BOUND / TEXT * 5 / 4);
	for (int64_t i = 0; i < 3000; i += 10)
		assert_int_equal(put(s, "ahead", NOW + (1000000000 + i) * SECOND, 10), STORE_OK);
	f = find(s, "ahead");
	assert_true(f.n > 0 && f.last == NOW + (1000002999) * SECOND);
	for (int64_t i = 0; i < 10; i++) /* the last of all times */
		assert_int_equal(put(s, "never", INT64_MAX - 200 * SECOND, 100), STORE_OK);
	assert_int_equal(put(s, "n", NOW, 1), STORE_OK);
	assert_int_equal(find(s, "n").n, 1);
	assert_int_equal(counters_of(s).failed, 0);
	store_service_free(s);
}

/* What has no place even in an empty store is refused, and costs at most what was there; what comes then is taken. */
static void what_is_larger_than_the_bound_is_refused(void **state)
{
	(void)state;
	struct store_service *s = start(BOUND, BOUND + BOUND / 4);
	assert_int_equal(put(s, "n", NOW - 10 * SECOND, 10), STORE_OK);
	assert_int_equal(put(s, "n", NOW, 2000), STORE_FULL);
	assert_int_equal(counters_of(s).failed, 1);
	assert_int_equal(counters_of(s).trimmed_size, 0); /* below the bound nothing goes */
	assert_int_equal(store_service_state(s), STORE_FULL);
	assert_int_equal(find(s, "n").n, 10);
	assert_int_equal(put(s, "n", NOW, 1), STORE_OK);
	assert_int_equal(store_service_state(s), STORE_OK);
	store_service_free(s);
}

/* No room, and the store is not what takes it up: as on a disk that others have filled. Nothing goes, each is refused. */
static void nothing_goes_for_want_of_room_elsewhere(void **state)
{
	int stored = 0;

	(void)state;
	struct store_service *s = start(100 * BOUND, BOUND);
	while (put(s, "n", NOW + stored * SECOND, 1) == STORE_OK)
		stored++;
	for (int i = 0; i < 5; i++)
		assert_int_equal(put(s, "n", NOW + (stored + 1000) * SECOND, 100), STORE_FULL);
	assert_int_equal(find(s, "n").n, stored);
	assert_int_equal(counters_of(s).trimmed_size, 0);
	assert_int_equal(counters_of(s).failed, 6);
	store_service_free(s);
}

static int memory(void **state)
{
	(void)state;
	in_memory = true;
	return 0;
}

static int sqlite(void **state)
{
	(void)state;
	in_memory = false;
	return 0;
}

int main(void)
{
#define EACH(f) cmocka_unit_test_setup(f, memory), cmocka_unit_test_setup(f, sqlite)
	const struct CMUnitTest tests[] = {
	    EACH(whatever_comes_is_taken),
	    EACH(documents_make_room),
	    EACH(wrong_times_do_no_harm),
	    EACH(what_is_larger_than_the_bound_is_refused),
	    EACH(nothing_goes_for_want_of_room_elsewhere),
	};
	char command[80];

	if (!mkdtemp(folder))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) ? 1 : failed;
}
