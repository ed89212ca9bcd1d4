/* The store in SQLite: the suite, and what only a file can suffer: restarts, SIGKILL, a full disk, no permission, damage.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include "store/store_sqlite.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static unsigned files;

static const char *new_path(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%u.db", folder, files++);
	return path;
}

static int open_at(const char *path, uint64_t max_bytes, struct store *out, char *why, size_t cap)
{
	const struct store_sqlite_config config = {.path = path, .max_bytes = max_bytes};

	return store_sqlite_open(&config, out, why, cap);
}

static void open_sqlite(struct store *out, uint64_t max_bytes)
{
	char why[256];

	assert_int_equal(open_at(new_path(), max_bytes, out, why, sizeof(why)), STORE_OK);
}

static const struct store_query everything = {.subject = STORE_READINGS, .from = INT64_MIN, .to = INT64_MAX};

static void a_restart_finds_everything(void **state)
{
	const char *path = new_path();
	struct store store;
	(void)state;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
		assert_int_equal(suite_put(&store, suite_number("d", "n", 2 - i, i), 5),
				 i ? STORE_DUPLICATE : STORE_OK);
		assert_int_equal(suite_put(&store, suite_number("d", "n", 20 - i, i), (uint64_t)i + 6),
				 STORE_OK);
		if (i == 1)
			assert_int_equal(store_trim(&store, 0, 0),
					 STORE_OK); /* arrivals change their place */
		store_close(&store);
	}
	assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
	assert_string_equal(suite_read(&store, &everything), "d n 2 number 0 Cel\nd n 18 number 2 Cel\n"
							     "d n 19 number 1 Cel\nd n 20 number 0 Cel\n");
	store_close(&store);
}

/* What `sqlite3 file 'SELECT ...'` gives. */
static void the_views_are_for_people(void **state)
{
	const char *path = new_path();
	struct store store;
	sqlite3 *db;
	sqlite3_stmt *st;
	(void)state;

	assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
	suite_put(&store, suite_number("urn:dev:ow:1", "temp", (int64_t)1320067464 * 1000000 + 250000, 21.5),
		  0);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT device, name, time, value, unit FROM readings", -1, &st, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(st, 0), "urn:dev:ow:1");
	assert_string_equal(sqlite3_column_text(st, 1), "temp");
	assert_string_equal(sqlite3_column_text(st, 2), "2011-10-31T13:24:24.250Z");
	assert_string_equal(sqlite3_column_text(st, 3), "21.5");
	assert_string_equal(sqlite3_column_text(st, 4), "Cel");
	sqlite3_finalize(st);
	sqlite3_close(db);
	store_close(&store);
}

/* --- SIGKILL --- */

/* Store without end; each reading that is safe is told as one number. */
static _Noreturn void store_until_killed(const char *path, int out, uint32_t first)
{
	struct store store;

	if (open_at(path, 0, &store, NULL, 0) != STORE_OK)
		_exit(1);
	for (uint32_t i = first;; i++) {
		struct store_reading r[2];
		struct store_batch batch = {.reading = r, .reading_n = 2, .origin = i + 1},
				   *list[] = {&batch};
		r[0] = suite_number("d", "a", i, i);
		r[1] = suite_number("d", "b", i, i);
		if (store_write(&store, list, 1) != STORE_OK || batch.result != STORE_OK ||
		    write(out, &i, sizeof(i)) != sizeof(i))
			_exit(1);
		if (i % 64 == 63)
			store_trim(&store, INT64_MIN,
				   -STORE_ORIGIN_US); /* merge often, to be killed while at it */
	}
}

/* Returns the last reading that was told to be safe. */
static uint32_t kill_once(const char *path, uint32_t first, unsigned after)
{
	uint32_t last = first - 1, told;
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0)
		store_until_killed(path, ends[1], first);
	close(ends[1]);
	while (read(ends[0], &told, sizeof(told)) == sizeof(told)) {
		assert_int_equal(told, last + 1);
		last = told;
		if (told == first + after)
			kill(pid, SIGKILL);
	}
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return last;
}

static void count_once(const struct store_row *row, uint32_t *next)
{
	assert_int_equal(row->reading->time, *next);
	++*next;
}

struct seen {
	uint32_t a, b;
};

static int take_row(void *user, const struct store_row *row)
{
	struct seen *seen = user;

	count_once(row, row->reading->name[0] == 'a' ? &seen->a : &seen->b);
	return 0;
}

static void what_was_told_to_be_safe_survives_sigkill_once(void **state)
{
	const char *path = new_path();
	uint32_t first = 0;
	(void)state;

	for (unsigned round = 0; round < 12; round++) {
		uint32_t last = kill_once(path, first, 1 + round * 17);
		struct store store;
		struct seen seen = {0, 0};
		assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
		assert_int_equal(store_read(&store, &everything, take_row, &seen), STORE_OK);
		assert_int_equal(seen.a, seen.b); /* no half batch */
		assert_true(seen.a == last + 1 || seen.a == last + 2);
		/* its sender, who was not told, sends the last one again */
		int again = suite_put(&store, suite_number("d", "a", last, 0), last + 1);
		assert_int_equal(again, STORE_DUPLICATE);
		store_close(&store);
		first = seen.a;
	}
}

/* --- faults of the system --- */

static void a_folder_that_cannot_be_written_is_told(void **state)
{
	struct store store;
	char why[256], path[128];
	(void)state;

	snprintf(path, sizeof(path), "%s/none/x.db", folder);
	assert_int_equal(open_at(path, 0, &store, why, sizeof(why)), STORE_READONLY);
	assert_non_null(strstr(why, path));
	assert_null(store.ops);
	/* root may write anywhere, but not below a file */
	assert_int_equal(open_at("/dev/null/x.db", 0, &store, why, sizeof(why)), STORE_READONLY);
}

static void a_file_that_is_none_of_ours_is_left_alone(void **state)
{
	static const char junk[] =
	    "This is a text, and a long one: longer than the head of a database, which has "
	    "a hundred bytes and begins in another way.\n";
	const char *path = new_path();
	struct store store;
	char why[256], found[sizeof(junk)] = "";
	(void)state;

	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(junk, file);
	fclose(file);
	assert_int_equal(open_at(path, 0, &store, why, sizeof(why)), STORE_DAMAGED);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(found, 1, sizeof(found), file), sizeof(junk) - 1);
	fclose(file);
	assert_string_equal(found, junk);

	sqlite3 *db; /* a database, but of another program */
	path = new_path();
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE mine (x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(open_at(path, 0, &store, why, sizeof(why)), STORE_DAMAGED);
}

static void damage_is_told_and_does_no_harm(void **state)
{
	const char *path = new_path();
	struct store store;
	struct stat status;
	int damaged = 0;
	(void)state;

	assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
	for (int i = 0; i < 5000; i++) {
		struct store_reading r[64];
		struct store_batch batch = {.reading = r, .reading_n = 64}, *list[] = {&batch};
		for (int j = 0; j < 64; j++)
			r[j] = suite_number("d", "n", i + j, i);
		store_write(&store, list, 1);
	}
	store_trim(&store, INT64_MIN, -STORE_ORIGIN_US);
	store_close(&store);
	assert_int_equal(stat(path, &status), 0);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	for (off_t at = 4096; at < status.st_size; at += 4096) /* all pages but the first */
		assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, at), 8);
	close(fd);
	int result = open_at(path, 0, &store, NULL, 0);
	if (result == STORE_OK) {
		struct seen seen = {0, 0};
		damaged += store_read(&store, &everything, take_row, &seen) == STORE_DAMAGED;
		damaged += suite_put(&store, suite_number("d", "n", 1, 1), 0) == STORE_DAMAGED;
		store_close(&store);
	} else {
		damaged = result == STORE_DAMAGED;
	}
	assert_true(damaged > 0);
}

static void rename_to(const char *path, const char *suffix, const char *to)
{
	char from[200], into[200];

	snprintf(from, sizeof(from), "%s%s", path, suffix);
	snprintf(into, sizeof(into), "%s%s", path, to);
	assert_int_equal(rename(from, into), 0);
}

/* What would be written into a file that is not there any more is refused; what was stored is in it, wherever it is. */
static void a_file_that_goes_is_noticed(void **state)
{
	enum { MOVED, LOG_MOVED, REPLACED, CUT, REMOVED, HOW };
	char moved[200];
	struct store store;
	(void)state;

	for (int how = MOVED; how < HOW; how++) {
		const char *path = new_path();
		assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
		for (int i = 0; i < 3; i++)
			assert_int_equal(suite_put(&store, suite_number("d", "n", i, i), 0), STORE_OK);
		snprintf(moved, sizeof(moved), "%s.moved", path);
		switch (how) {
		case MOVED: rename_to(path, "", ".moved"); break;
		case LOG_MOVED: rename_to(path, "-wal", ".lost"); break;
		case REPLACED:
			assert_int_equal(link(path, moved), 0);
			rename_to(path, "", ".old"); /* so that the new one is another one */
			assert_int_equal(close(open(path, O_CREAT | O_EXCL | O_RDWR, 0600)), 0);
			break;
		case CUT: assert_int_equal(truncate(path, 0), 0); break;
		default: assert_int_equal(unlink(path), 0); break;
		}
		assert_int_equal(suite_put(&store, suite_number("d", "n", 9, 9), 0), STORE_GONE);
		assert_int_equal(suite_put(&store, suite_number("d", "n", 9, 9), 0), STORE_GONE);
		store_close(&store);
		if (how == CUT || how == REMOVED)
			continue;
		assert_int_equal(open_at(how == LOG_MOVED ? path : moved, 0, &store, NULL, 0), STORE_OK);
		assert_string_equal(suite_read(&store, &everything),
				    "d n 0 number 0 Cel\nd n 1 number 1 Cel\nd n 2 number 2 Cel\n");
		store_close(&store);
	}
}

/* A disk without room: files may not grow any more. The one that wants to write is told, and recovers. */
static void a_full_disk_is_survived(void **state)
{
	const char *path = new_path();
	struct rlimit old, small = {200000, 0};
	static uint8_t big[20000];
	struct store store;
	int result = STORE_OK, stored = 0;
	(void)state;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	while (result == STORE_OK && stored < 100) {
		struct store_reading r = suite_number("d", "n", stored, 0);
		r.kind = STORE_DATA;
		r.bytes = big;
		r.len = sizeof(big);
		result = suite_put(&store, r, (uint64_t)stored + 1);
		stored += result == STORE_OK;
	}
	assert_true(result == STORE_FULL || result == STORE_IO);
	struct store_query q = everything;
	q.every = 1000;
	q.agg = STORE_AGG_COUNT;
	char line[64];
	snprintf(line, sizeof(line), "d n 0 number %d \n", stored);
	assert_string_equal(suite_read(&store, &q), line); /* can be read while it cannot be written */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(suite_put(&store, suite_number("d", "n", 1, 1), (uint64_t)stored + 1), STORE_OK);
	store_close(&store);
	assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
	snprintf(line, sizeof(line), "d n 0 number %d \n", stored + 1);
	assert_string_equal(suite_read(&store, &q), line);
	store_close(&store);
}

/* What an export reads is what was there when it began, whatever is written and merged meanwhile. */
static void a_reader_beside_a_writer_sees_one_state(void **state)
{
	const char *path = new_path();
	struct store_sqlite_config config = {.path = path, .read_only = true};
	struct store writer, reader;
	char why[256];
	(void)state;

	assert_int_equal(store_sqlite_open(&config, &reader, why, sizeof(why)), STORE_READONLY);
	assert_int_equal(access(path, F_OK), -1); /* it is not made */
	assert_int_equal(open_at(path, 0, &writer, NULL, 0), STORE_OK);
	suite_put(&writer, suite_number("d", "n", 1, 1), 0);
	assert_int_equal(store_sqlite_open(&config, &reader, why, sizeof(why)), STORE_OK);
	suite_put(&writer, suite_number("d", "n", 2, 2), 0);
	assert_int_equal(store_trim(&writer, 2, 0), STORE_OK); /* and merges */
	assert_string_equal(suite_read(&reader, &everything), "d n 1 number 1 Cel\n");
	assert_true(suite_put(&reader, suite_number("d", "n", 3, 3), 0) < 0);
	store_close(&reader);
	assert_string_equal(suite_read(&writer, &everything), "d n 2 number 2 Cel\n");
	store_close(&writer);
}

/* --- memory --- */

#define MANY   4000 /* series, each with a page of its own before long */
#define CROWD  4096 /* arrivals of one series: those of all move to their places */
#define MERGED ((sqlite3_int64)8 << 20)

/* Write, and tell what SQLite took meanwhile beside what it keeps. */
static sqlite3_int64 taken_by(struct store *store, struct store_reading *reading, uint32_t n)
{
	struct store_batch batch = {.reading = reading, .reading_n = n}, *list[] = {&batch};
	sqlite3_int64 now, highest;

	sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &now, &highest, 1);
	assert_int_equal(store_write(store, list, 1), STORE_OK);
	sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &now, &highest, 0);
	return highest - now;
}

/* What moving arrivals to their places takes does not grow with what is there: no page is kept as it was. */
static void a_merge_takes_no_more_the_more_is_stored(void **state)
{
	static struct store_reading reading[CROWD];
	static char device[MANY][16];
	static const uint8_t bytes[1000];
	struct store store;
	(void)state;

	open_sqlite(&store, 0);
	for (int64_t round = 0; round < 6; round++) {
		for (uint32_t i = 0; i < MANY; i++) {
			snprintf(device[i], sizeof(device[i]), "d%u", i);
			reading[i] = suite_number(device[i], "n", round, 0);
			reading[i].kind = STORE_DATA;
			reading[i].bytes = bytes;
			reading[i].len = sizeof(bytes);
		}
		taken_by(&store, reading, MANY);
		for (uint32_t i = 0; i < CROWD; i++)
			reading[i] = suite_number("crowd", "n", round * CROWD + i, i);
		assert_in_range(taken_by(&store, reading, CROWD), 0, MERGED);
		/* and numbers alone, which are sorted before SQLite gets them */
		for (uint32_t i = 0; i < MANY; i++)
			reading[i] = suite_number(device[i], "n", round, 1);
		taken_by(&store, reading, MANY);
		for (uint32_t i = 0; i < CROWD; i++)
			reading[i] = suite_number("crowd", "n", round * CROWD + i, i);
		assert_in_range(taken_by(&store, reading, CROWD), 0, MERGED);
	}
	store_close(&store);
}

/* --- how readings get to their places --- */

/* Numbers, booleans, sums and terms of six series, with times that go back and times that are the same. */
static void put_numbers(struct store *store)
{
	static struct store_reading reading[600];
	static char device[6][8];
	struct store_batch batch[3] = {{.reading = reading, .reading_n = 1},
				       {.reading = reading + 1, .reading_n = 299},
				       {.reading = reading + 300, .reading_n = 300}};
	struct store_batch *first[] = {&batch[0], &batch[1]}, *second[] = {&batch[2]};

	for (int i = 0; i < 600; i++) {
		struct store_reading *r = &reading[i];
		snprintf(device[i % 6], sizeof(device[0]), "d%d", i % 6);
		*r = suite_number(device[i % 6], "n", i % 50 < 25 ? i / 3 : 1000 - i, i / 8.0);
		r->received = 5000 + i;
		r->has_sum = i % 7 == 0;
		r->sum = r->has_sum ? i : 0;
		r->expires = i % 11 == 0 ? 9000 + i : STORE_NEVER;
		if (i % 5 == 0) {
			r->kind = STORE_BOOL;
			r->number = i % 2;
		} else if (r->has_sum) {
			r->kind = STORE_NONE;
			r->number = 0;
		}
	}
	assert_int_equal(store_write(store, first, 2), STORE_OK);
	assert_int_equal(store_write(store, second, 1), STORE_OK);
}

/* Merge, and tell what stands in the database about d0 to d5. */
static char *merged(struct store *store, const char *path)
{
	static const char sql[] =
	    "SELECT group_concat(x, char(10)), (SELECT count(*) FROM arrival) FROM (SELECT series || ' ' || "
	    "time || ' ' "
	    "|| id || ' ' || quote(unit) || ' ' || quote(value) || typeof(value) || ' ' || quote(sum) || ' ' "
	    "|| received "
	    "|| ' ' || quote(expires) AS x FROM reading WHERE series <= 6 ORDER BY series, time, id)";
	sqlite3 *db;
	sqlite3_stmt *st;

	assert_int_equal(store_trim(store, INT64_MIN, 0), STORE_OK);
	store_close(store);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(st, 1), 0);
	assert_non_null(sqlite3_column_text(st, 0));
	char *text = strdup((const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return text;
}

/* Sorted by us, sorted by SQLite because a text is among them, and sorted after a restart. */
static void readings_are_merged_alike(void **state)
{
	char *text[4];
	(void)state;

	for (int way = 0; way < 4; way++) {
		char path[128];
		struct store store;
		struct store_reading other = suite_number("other", "n", 1, 0);
		snprintf(path, sizeof(path), "%s", new_path());
		assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
		put_numbers(&store);
		if (way & 1) {
			other.kind = STORE_TEXT;
			other.bytes = (const uint8_t *)"Fu\xc3\x9f";
			other.len = 4;
		}
		assert_int_equal(suite_put(&store, other, 0), STORE_OK);
		other.unit = way & 1 ? "K" : "Cel";
		assert_int_equal(suite_put(&store, other, 0), STORE_OK);
		if (way & 2) {
			store_close(&store);
			assert_int_equal(open_at(path, 0, &store, NULL, 0), STORE_OK);
		}
		text[way] = merged(&store, path);
		assert_string_equal(text[way], text[0]);
	}
	for (int way = 0; way < 4; way++)
		free(text[way]);
}

/* One statement for all readings of a transaction but the first, and few steps of it for each. */
static void a_reading_takes_few_steps(void **state)
{
	enum { N = 1000, STEPS = 26 };
	static struct store_reading reading[N];
	struct store_batch batch[N], *list[N];
	struct store store;
	(void)state;

	open_sqlite(&store, 0);
	for (int i = 0; i < N; i++) {
		reading[i] = suite_number("d", "n", i, i);
		batch[i] = (struct store_batch){.reading = &reading[i], .reading_n = 1};
		list[i] = &batch[i];
	}
	assert_int_equal(store_write(&store, list, N), STORE_OK);
	assert_int_equal(store_write(&store, list, N), STORE_OK);
	sqlite3_stmt *st = ((struct sqlite_store *)store.self)->statement[SQL_ADD_NEXT_PLAIN];
	assert_int_equal(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_RUN, 0), 2);
	assert_in_range(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0), N, 2 * N * STEPS);
	/* one that has more than others in the middle of a transaction: nothing of it is left out */
	reading[N / 2].has_sum = true;
	reading[N / 2].sum = 7.5;
	reading[N / 2].expires = 99;
	assert_int_equal(store_write(&store, list, N), STORE_OK);
	assert_int_equal(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_RUN, 0), 2);
	struct store_query q = everything;
	q.from = N / 2;
	q.to = N / 2 + 2;
	assert_string_equal(suite_read(&store, &q),
			    "d n 500 number 500 Cel\nd n 500 number 500 Cel\n"
			    "d n 500 number 500 sum 7.5 until 99 Cel\nd n 501 number 501 Cel\n"
			    "d n 501 number 501 Cel\nd n 501 number 501 Cel\n");
	store_close(&store);
}

static void remove_folder(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	if (system(command) != 0)
		perror(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_restart_finds_everything),
	    cmocka_unit_test(the_views_are_for_people),
	    cmocka_unit_test(what_was_told_to_be_safe_survives_sigkill_once),
	    cmocka_unit_test(a_folder_that_cannot_be_written_is_told),
	    cmocka_unit_test(a_file_that_is_none_of_ours_is_left_alone),
	    cmocka_unit_test(damage_is_told_and_does_no_harm),
	    cmocka_unit_test(a_file_that_goes_is_noticed),
	    cmocka_unit_test(a_full_disk_is_survived),
	    cmocka_unit_test(a_reader_beside_a_writer_sees_one_state),
	    cmocka_unit_test(a_merge_takes_no_more_the_more_is_stored),
	    cmocka_unit_test(readings_are_merged_alike),
	    cmocka_unit_test(a_reading_takes_few_steps),
	};

	snprintf(folder, sizeof(folder), "/tmp/copse-store-XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	int failed = suite_run("sqlite", open_sqlite);
	failed += cmocka_run_group_tests_name("sqlite, the file", tests, NULL, NULL);
	remove_folder();
	return failed;
}
