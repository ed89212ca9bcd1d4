/* See suite.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

#include <copse/format.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define HOUR ((int64_t)3600 * 1000000)

static void (*open_store)(struct store *out, uint64_t max_bytes);

struct store_reading suite_number(const char *device, const char *name, int64_t time, double number)
{
	return (struct store_reading){.device = device,
				      .name = name,
				      .unit = "Cel",
				      .time = time,
				      .received = time + 1,
				      .expires = STORE_NEVER,
				      .kind = STORE_NUMBER,
				      .number = number};
}

int suite_put(struct store *store, struct store_reading reading, uint64_t origin)
{
	struct store_batch batch = {
	    .reading = &reading, .reading_n = 1, .origin = origin, .received = reading.received};
	struct store_batch *list[] = {&batch};

	store_write(store, list, 1);
	return batch.result;
}

static char text[65536];
static size_t text_len;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_len += (size_t)vsnprintf(text + text_len, sizeof(text) - text_len, format, args);
	va_end(args);
	assert_true(text_len < sizeof(text));
}

static void say_reading(const struct store_reading *r)
{
	static const char *const kinds[] = {"none", "number", "bool", "text", "data"};

	say("%s %s %lld %s", r->device, r->name, (long long)r->time, kinds[r->kind]);
	if (r->kind == STORE_NUMBER || r->kind == STORE_BOOL)
		say(" %g", r->number);
	if (r->kind == STORE_TEXT)
		say(" '%.*s'", (int)r->len, (const char *)r->bytes);
	for (uint32_t i = 0; r->kind == STORE_DATA && i < r->len; i++)
		say(" %02x", r->bytes[i]);
	if (r->has_sum)
		say(" sum %g", r->sum);
	if (r->expires != STORE_NEVER)
		say(" until %lld", (long long)r->expires);
	say(" %s\n", r->unit);
}

static int say_row(void *user, const struct store_row *row)
{
	(void)user;
	if (row->reading)
		say_reading(row->reading);
	if (row->document)
		say("%s %lld %u: %u '%.*s'\n", row->document->path, (long long)row->document->received,
		    row->document->format, row->document->len,
		    row->document->bytes ? (int)row->document->len : 0, (const char *)row->document->bytes);
	if (row->device)
		say("%s label=%s location=%s type=%s group=%s unit=%s extra=%s sleeping=%d\n",
		    row->device->name, row->device->label, row->device->location, row->device->type,
		    row->device->group, row->device->unit, row->device->extra, row->device->sleeping);
	return 0;
}

const char *suite_read(struct store *store, const struct store_query *query)
{
	text_len = 0;
	text[0] = 0;
	assert_int_equal(store_read(store, query, say_row, NULL), STORE_OK);
	return text;
}

static const struct store_query everything = {.subject = STORE_READINGS, .from = INT64_MIN, .to = INT64_MAX};

static int set_up(void **state)
{
	static struct store store;

	open_store(&store, 0);
	*state = &store;
	return 0;
}

static int tear_down(void **state)
{
	store_close(*state);
	return 0;
}

/* --- the tests --- */

static void every_kind_of_value_comes_back(void **state)
{
	struct store_reading r[] = {
	    suite_number("d", "number", 10, -0.25), suite_number("d", "whole", 10, 21),
	    suite_number("d", "yes", 10, 1),        suite_number("d", "text", 10, 0),
	    suite_number("d", "empty", 10, 0),      suite_number("d", "data", 10, 0),
	    suite_number("d", "nothing", 10, 0),    suite_number("d", "sum", 10, 0),
	};
	struct store_batch batch = {.reading = r, .reading_n = 8}, *list[] = {&batch};

	r[2].kind = STORE_BOOL;
	r[3].kind = r[4].kind = STORE_TEXT;
	r[3].bytes = (const uint8_t *)"Fu\xc3\x9f";
	r[3].len = 4;
	r[5].kind = r[6].kind = STORE_DATA;
	r[5].bytes = (const uint8_t *)"\x00\xff";
	r[5].len = 2;
	r[7].kind = STORE_NONE;
	r[7].has_sum = r[0].has_sum = true;
	r[7].sum = r[0].sum = 77.5;
	r[0].expires = 99;
	assert_int_equal(store_write(*state, list, 1), STORE_OK);
	assert_int_equal(batch.result, STORE_OK);
	assert_string_equal(suite_read(*state, &everything),
			    "d data 10 data 00 ff Cel\n"
			    "d empty 10 text '' Cel\n"
			    "d nothing 10 data Cel\n"
			    "d number 10 number -0.25 sum 77.5 until 99 Cel\n"
			    "d sum 10 none sum 77.5 Cel\n"
			    "d text 10 text 'Fu\xc3\x9f' Cel\n"
			    "d whole 10 number 21 Cel\n"
			    "d yes 10 bool 1 Cel\n");
}

static void a_reading_never_replaces_another(void **state)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(suite_put(*state, suite_number("d", "n", 5, i), 0), STORE_OK);
	assert_string_equal(suite_read(*state, &everything),
			    "d n 5 number 0 Cel\nd n 5 number 1 Cel\nd n 5 number 2 Cel\n");
}

static void readings_come_in_the_order_of_their_times(void **state)
{
	static const int64_t times[] = {30, -10, 20, 0, 10};
	struct store_query q = everything;

	for (size_t i = 0; i < 5; i++)
		suite_put(*state, suite_number("d", "n", times[i], (double)i), 0);
	assert_string_equal(suite_read(*state, &q),
			    "d n -10 number 1 Cel\nd n 0 number 3 Cel\nd n 10 number 4 Cel\n"
			    "d n 20 number 2 Cel\nd n 30 number 0 Cel\n");
	q.from = 0; /* counts */
	q.to = 30;  /* does not */
	assert_string_equal(suite_read(*state, &q),
			    "d n 0 number 3 Cel\nd n 10 number 4 Cel\nd n 20 number 2 Cel\n");
	q.last = 2;
	assert_string_equal(suite_read(*state, &q), "d n 10 number 4 Cel\nd n 20 number 2 Cel\n");
	q.last = 3;
	assert_string_equal(suite_read(*state, &q),
			    "d n 0 number 3 Cel\nd n 10 number 4 Cel\nd n 20 number 2 Cel\n");
	q.last = 4000000000u;
	assert_string_equal(suite_read(*state, &q),
			    "d n 0 number 3 Cel\nd n 10 number 4 Cel\nd n 20 number 2 Cel\n");
	q.last = 0;
	q.to = -5;
	assert_string_equal(suite_read(*state, &q), "");
}

static void queries_name_devices_and_series(void **state)
{
	static const char *const two[] = {"a", "c"}, *const none[] = {"aa"};
	struct store_query q = everything;

	suite_put(*state, suite_number("c", "y", 1, 1), 0);
	suite_put(*state, suite_number("b", "x", 1, 2), 0);
	suite_put(*state, suite_number("a", "x", 1, 3), 0);
	suite_put(*state, suite_number("a", "x", 2, 4), 0);
	suite_put(*state, suite_number("a", "w", 2, 5), 0);
	q.device = two;
	q.device_n = 2;
	assert_string_equal(suite_read(*state, &q), "a w 2 number 5 Cel\na x 1 number 3 Cel\n"
						    "a x 2 number 4 Cel\nc y 1 number 1 Cel\n");
	q.name = "x";
	assert_string_equal(suite_read(*state, &q), "a x 1 number 3 Cel\na x 2 number 4 Cel\n");
	q.subject = STORE_LATEST;
	assert_string_equal(suite_read(*state, &q), "a x 2 number 4 Cel\n");
	q.name = NULL;
	assert_string_equal(suite_read(*state, &q),
			    "a w 2 number 5 Cel\na x 2 number 4 Cel\nc y 1 number 1 Cel\n");
	q.device = none;
	q.device_n = 1;
	assert_string_equal(suite_read(*state, &q), "");
}

static void another_unit_is_kept(void **state)
{
	struct store_reading r = suite_number("d", "n", 2, 300);

	suite_put(*state, suite_number("d", "n", 1, 27), 0);
	r.unit = "K";
	suite_put(*state, r, 0);
	assert_string_equal(suite_read(*state, &everything), "d n 1 number 27 Cel\nd n 2 number 300 K\n");
}

static void an_origin_is_stored_once(void **state)
{
	assert_int_equal(suite_put(*state, suite_number("d", "n", 1, 1), 7), STORE_OK);
	assert_int_equal(suite_put(*state, suite_number("d", "n", 1, 1), 7), STORE_DUPLICATE);
	assert_int_equal(suite_put(*state, suite_number("d", "n", 1, 1), UINT64_MAX), STORE_OK);
	assert_int_equal(suite_put(*state, suite_number("d", "n", 1, 1), UINT64_MAX), STORE_DUPLICATE);
	assert_string_equal(suite_read(*state, &everything), "d n 1 number 1 Cel\nd n 1 number 1 Cel\n");
	/* forgotten after its time, and not before */
	assert_int_equal(store_trim(*state, INT64_MIN, 2), STORE_OK);
	assert_int_equal(suite_put(*state, suite_number("d", "n", 1, 1), 7), STORE_DUPLICATE);
	assert_int_equal(store_trim(*state, INT64_MIN, 3), STORE_OK);
	assert_int_equal(suite_put(*state, suite_number("d", "n", 1, 1), 7), STORE_OK);
}

/* Message IDs come round: what was sent once is known for STORE_ORIGIN_US and no longer, whenever the store was last trimmed
 * and whichever way the clock was set. */
static void an_origin_is_known_for_its_time(void **state)
{
	struct store store;
	(void)state;

	open_store(&store, 0);
	struct store_reading r = suite_number("d", "n", 1, 1);
	struct store_batch b = {
	    .reading = &r, .reading_n = 1, .origin = 7, .received = 100 * STORE_ORIGIN_US};
	struct store_batch *batch = &b;
	const struct {
		int64_t received;
		int result;
	} step[] = {
	    {100 * STORE_ORIGIN_US, STORE_OK},
	    {101 * STORE_ORIGIN_US, STORE_DUPLICATE},
	    {99 * STORE_ORIGIN_US, STORE_DUPLICATE},
	    {101 * STORE_ORIGIN_US + 1, STORE_OK},
	    {101 * STORE_ORIGIN_US + 2, STORE_DUPLICATE},
	    {3 * STORE_ORIGIN_US, STORE_OK}, /* set back */
	    {3 * STORE_ORIGIN_US + 1, STORE_DUPLICATE},
	};
	for (size_t i = 0; i < sizeof(step) / sizeof(*step); i++) {
		b.received = step[i].received;
		assert_int_equal(store_write(&store, &batch, 1), STORE_OK);
		assert_int_equal(b.result, step[i].result);
	}
	assert_int_equal(store_trim(&store, 0, 2 * STORE_ORIGIN_US), STORE_OK); /* known: it is of now */
	assert_int_equal(store_write(&store, &batch, 1), STORE_OK);
	assert_int_equal(b.result, STORE_DUPLICATE);
	b.received = 0; /* neither the past nor the future is kept for ever */
	assert_int_equal(store_trim(&store, 0, 0), STORE_OK);
	assert_int_equal(store_write(&store, &batch, 1), STORE_OK);
	assert_int_equal(b.result, STORE_OK);
	store_close(&store);
}

static void one_wrong_batch_does_not_lose_the_others(void **state)
{
	char long_name[STORE_NAME_MAX + 2];
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	struct store_reading good = suite_number("d", "good", 1, 1), bad[] = {good, good},
			     worse = suite_number("d", "nan", 1, (double)NAN);
	struct store_batch a = {.reading = &good, .reading_n = 1}, b = {.reading = bad, .reading_n = 2},
			   c = {.reading = &worse, .reading_n = 1}, d = a;
	struct store_batch *list[] = {&a, &b, &c, &d};

	bad[1].name = long_name;
	assert_int_equal(store_write(*state, list, 4), STORE_OK);
	assert_int_equal(a.result, STORE_OK);
	assert_int_equal(b.result, STORE_INVALID);
	assert_int_equal(c.result, STORE_INVALID);
	assert_int_equal(d.result, STORE_OK);
	assert_string_equal(suite_read(*state, &everything),
			    "d good 1 number 1 Cel\nd good 1 number 1 Cel\n");
}

static void aggregates_are_made_of_buckets(void **state)
{
	static const struct {
		enum store_aggregate agg;
		const char *expected;
	} rows[] = {
	    {STORE_AGG_MEAN, "d n -100 number -2 Cel\nd n 0 number 2 Cel\nd n 200 number 8 Cel\n"},
	    {STORE_AGG_MIN, "d n -100 number -2 Cel\nd n 0 number 1 Cel\nd n 200 number 8 Cel\n"},
	    {STORE_AGG_MAX, "d n -100 number -2 Cel\nd n 0 number 3 Cel\nd n 200 number 8 Cel\n"},
	    {STORE_AGG_SUM, "d n -100 number -2 Cel\nd n 0 number 4 Cel\nd n 200 number 8 Cel\n"},
	    {STORE_AGG_COUNT, "d n -100 number 1 \nd n 0 number 2 \nd n 200 number 2 \n"},
	};
	struct store_query q = everything;
	struct store_reading word = suite_number("d", "n", 250, 0);

	word.kind = STORE_TEXT;
	suite_put(*state, suite_number("d", "n", -1, -2), 0);
	suite_put(*state, suite_number("d", "n", 0, 1), 0);
	suite_put(*state, suite_number("d", "n", 99, 3), 0);
	suite_put(*state, suite_number("d", "n", 200, 8), 0);
	suite_put(*state, word, 0); /* counts, but has no mean */
	q.every = 100;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		q.agg = rows[i].agg;
		assert_string_equal(suite_read(*state, &q), rows[i].expected);
	}
}

static void documents_are_kept_byte_for_byte(void **state)
{
	struct store_document d[] = {
	    {"/store/a", 1, STORE_NEVER, (const uint8_t *)"one", 3, 0},
	    {"/store/a/b", 2, STORE_NEVER, (const uint8_t *)"", 0, COPSE_FORMAT_NONE},
	    {"/store/a", 3, STORE_NEVER, (const uint8_t *)"\xff two", 5, 42},
	    {"/stork", 4, STORE_NEVER, (const uint8_t *)"no", 2, 0},
	};
	struct store_batch batch = {.document = d, .document_n = 4}, *list[] = {&batch};
	struct store_query q = {.subject = STORE_DOCUMENTS, .path = "/store/a", .last = 1};

	assert_int_equal(store_write(*state, list, 1), STORE_OK);
	assert_string_equal(suite_read(*state, &q), "/store/a 3 42: 5 '\xff two'\n");
	q.last = 0;
	assert_string_equal(suite_read(*state, &q), "/store/a 1 0: 3 'one'\n/store/a 3 42: 5 '\xff two'\n");
	q.path = "/store/a/b";
	assert_string_equal(suite_read(*state, &q), "/store/a/b 2 65536: 0 ''\n");
	q.path = "/store/none";
	assert_string_equal(suite_read(*state, &q), "");
	q.subject = STORE_PATHS;
	q.path = "/store/";
	assert_string_equal(suite_read(*state, &q), "/store/a 3 42: 5 ''\n/store/a/b 2 65536: 0 ''\n");
}

static void devices_are_described(void **state)
{
	struct store_device d[] = {
	    {"b", "Boiler", "cellar", "temperature", "heat", "Cel", "{\"a\":1}", true, false},
	    {"a", "", "", "", "", "", "", false, false},
	};
	struct store_batch batch = {.device = d, .device_n = 2}, *list[] = {&batch};
	const struct store_query q = {.subject = STORE_DEVICES};

	suite_put(*state, suite_number("z", "n", 1, 1), 0); /* heard, but nothing is known */
	suite_put(*state, suite_number("b", "n", 1, 1), 0);
	assert_int_equal(store_write(*state, list, 1), STORE_OK);
	assert_string_equal(
	    suite_read(*state, &q),
	    "a label= location= type= group= unit= extra= sleeping=0\n"
	    "b label=Boiler location=cellar type=temperature group=heat unit=Cel extra={\"a\":1} "
	    "sleeping=1\n");
	d[0].label = "Heater";
	d[1].gone = true;
	assert_int_equal(store_write(*state, list, 1), STORE_OK);
	assert_string_equal(
	    suite_read(*state, &q),
	    "b label=Heater location=cellar type=temperature group=heat unit=Cel extra={\"a\":1} "
	    "sleeping=1\n");
	assert_string_equal(suite_read(*state, &everything), "b n 1 number 1 Cel\nz n 1 number 1 Cel\n");
}

static void what_is_old_goes(void **state)
{
	struct store_document d = {"/store/a", 50, STORE_NEVER, (const uint8_t *)"x", 1, 0};
	struct store_batch batch = {.document = &d, .document_n = 1}, *list[] = {&batch};
	struct store_usage usage = {.count = true};

	for (int i = 0; i < 10; i++)
		suite_put(*state, suite_number("d", i % 2 ? "odd" : "even", i * 10, i), 0);
	store_write(*state, list, 1);
	assert_int_equal(store_usage(*state, &usage), STORE_OK);
	assert_int_equal(usage.readings, 10);
	assert_int_equal(usage.documents, 1);
	assert_int_equal(usage.series, 2);
	assert_int_equal(usage.oldest, 0);
	assert_true(usage.bytes > 0);
	assert_int_equal(store_trim(*state, 70, 0), STORE_OK);
	assert_string_equal(suite_read(*state, &everything),
			    "d even 80 number 8 Cel\nd odd 70 number 7 Cel\nd odd 90 number 9 Cel\n");
	assert_int_equal(store_usage(*state, &usage), STORE_OK);
	assert_int_equal(usage.readings, 3);
	assert_int_equal(usage.oldest, 70);
	assert_int_equal(usage.documents, 0);
}

/* Enough of one series that it changes places, with times that go back and forth. */
static void many_readings_stay_in_order(void **state)
{
	enum { N = 10000, PACK = 500 };
	static struct store_reading r[PACK];
	struct store_query q = everything;
	int64_t last = INT64_MIN;
	char line[64];

	for (int i = 0; i < N; i += PACK) {
		struct store_batch batch = {.reading = r, .reading_n = PACK}, *list[] = {&batch};
		for (int j = 0; j < PACK; j++)
			r[j] = suite_number("d", "n", (i + j) % 3 ? i + j : -(i + j), i + j);
		assert_int_equal(store_write(*state, list, 1), STORE_OK);
	}
	q.every = HOUR;
	q.agg = STORE_AGG_COUNT;
	suite_read(*state, &q);
	snprintf(line, sizeof(line), "d n %lld number 3333 \nd n 0 number 6667 \n", (long long)-HOUR);
	assert_string_equal(text, line);
	q.agg = STORE_AGG_NONE;
	q.last = 1000;
	suite_read(*state, &q);
	unsigned n = 0;
	for (const char *at = text; *at; at = strchr(at, '\n') + 1, n++) {
		long long time;
		assert_int_equal(sscanf(at, "d n %lld", &time), 1);
		assert_true(time > last);
		last = time;
	}
	assert_int_equal(n, 1000);
	assert_int_equal(last, N - 2); /* 9999 is divisible by 3 */
	q.last = 1;
	assert_string_equal(suite_read(*state, &q), "d n 9998 number 9998 Cel\n");
	q.subject = STORE_LATEST;
	assert_string_equal(suite_read(*state, &q), "d n 9998 number 9998 Cel\n");
}

static void a_full_store_says_so_and_keeps_what_it_has(void **state)
{
	static uint8_t big[60000];
	struct store store;
	int result = STORE_OK, stored = 0;
	(void)state;

	open_store(&store, 1000000);
	while (result == STORE_OK && stored < 100) {
		struct store_reading r[] = {suite_number("d", "n", stored, stored),
					    suite_number("d", "n", stored, stored)};
		struct store_batch batch = {.reading = r, .reading_n = 2, .origin = (uint64_t)stored + 1},
				   *list[] = {&batch};
		r[1].kind = STORE_DATA;
		r[1].bytes = big;
		r[1].len = sizeof(big);
		store_write(&store, list, 1);
		result = batch.result;
		stored += result == STORE_OK;
	}
	assert_int_equal(result, STORE_FULL);
	assert_true(stored >= 5 && stored < 20);
	struct store_query q = everything;
	q.every = HOUR;
	q.agg = STORE_AGG_COUNT;
	char line[64];
	snprintf(line, sizeof(line), "d n 0 number %d \n", 2 * stored); /* no half batch */
	assert_string_equal(suite_read(&store, &q), line);
	/* the batch that failed was not remembered: it may come again once there is room */
	assert_int_equal(store_trim(&store, stored / 2, 0), STORE_OK);
	assert_int_equal(suite_put(&store, suite_number("d", "n", stored, 0), (uint64_t)stored + 1),
			 STORE_OK);
	store_close(&store);
}

/* --- pages --- */

/* Each page ends after `rows` rows, or after `looked` readings. */
struct paging {
	uint32_t rows, n;
};

static int say_some(void *user, const struct store_row *row)
{
	struct paging *p = user;

	say_row(NULL, row);
	return p->rows && ++p->n == p->rows;
}

/* What all pages say together; between each two of them `meanwhile` happens. Returns how many there were. */
static unsigned read_pages(struct store *store, const struct store_query *query, uint32_t rows,
			   uint32_t looked, void (*meanwhile)(struct store *store))
{
	struct store_cursor cursor = {0};
	struct store_query q = *query;
	unsigned pages = 0;

	q.cursor = &cursor;
	q.page = looked;
	text_len = 0;
	text[0] = 0;
	while (!cursor.done) {
		struct paging p = {rows, 0};
		assert_int_equal(store_read(store, &q, say_some, &p), STORE_OK);
		assert_true(++pages < 10000);
		if (meanwhile)
			meanwhile(store);
	}
	return pages;
}

/* Three devices with two series each, several readings at one time, times in no order. */
static void put_many(struct store *store)
{
	static const char *const devices[] = {"a", "b", "c"};

	for (int i = 0; i < 20; i++)
		for (int d = 0; d < 3; d++)
			for (int n = 0; n < 2; n++) {
				int64_t time = (i * 7 % 20) / 3 * 10;
				assert_int_equal(
				    suite_put(store, suite_number(devices[d], n ? "x" : "y", time, i), 0),
				    STORE_OK);
			}
}

static void pages_make_up_the_whole(void **state)
{
	static const char *const two[] = {"a", "c"};
	const struct store_query queries[] = {
	    {.from = INT64_MIN, .to = INT64_MAX},
	    {.from = 10, .to = 50},
	    {.from = INT64_MIN, .to = INT64_MAX, .last = 7},
	    {.from = INT64_MIN, .to = INT64_MAX, .last = 1000},
	    {.from = INT64_MIN, .to = INT64_MAX, .device = two, .device_n = 2, .name = "x"},
	    {.from = INT64_MIN, .to = INT64_MAX, .every = 20, .agg = STORE_AGG_SUM},
	    {.from = INT64_MIN, .to = INT64_MAX, .every = HOUR, .agg = STORE_AGG_MAX},
	    {.from = 1000, .to = INT64_MAX},
	};
	static char whole[sizeof(text)];

	put_many(*state);
	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
		struct store_query q = queries[i];
		q.subject = STORE_READINGS;
		snprintf(whole, sizeof(whole), "%s", suite_read(*state, &q));
		for (uint32_t size = 1; size < 30; size++) {
			read_pages(*state, &q, size, 0, NULL);
			assert_string_equal(text, whole);
			read_pages(*state, &q, 0, size, NULL);
			assert_string_equal(text, whole);
		}
		assert_int_equal(read_pages(*state, &q, 0, 0, NULL), 1);
		assert_string_equal(text, whole);
	}
}

/* Older, newer, of the same time, and of new series before and behind all others. */
static void more_comes(struct store *store)
{
	static int round;
	char early[16];

	snprintf(early, sizeof(early), "A%d", round++);
	suite_put(store, suite_number(early, "x", 20, -1), 0);
	for (int64_t time = -10; time < 100; time += 10)
		suite_put(store, suite_number("b", "x", time, -1), 0);
	suite_put(store, suite_number("z", "x", 20, -1), 0);
}

static void pages_are_of_one_state(void **state)
{
	static char whole[sizeof(text)];
	struct store_query q = everything;

	put_many(*state);
	snprintf(whole, sizeof(whole), "%s", suite_read(*state, &q));
	assert_true(read_pages(*state, &q, 3, 0, more_comes) > 20);
	assert_string_equal(text, whole);
	q.last = 4;
	q.to = 100;
	snprintf(whole, sizeof(whole), "%s", suite_read(*state, &q));
	read_pages(*state, &q, 1, 0, more_comes);
	assert_string_equal(text, whole);
}

/* So many that the back end may put them elsewhere between two pages. */
static void a_burst_comes(struct store *store)
{
	for (int i = 0; i < 1000; i++)
		suite_put(store, suite_number("b", "x", i % 50, -2), 0);
}

static void pages_hold_while_much_comes(void **state)
{
	static char whole[sizeof(text)];

	put_many(*state);
	snprintf(whole, sizeof(whole), "%s", suite_read(*state, &everything));
	read_pages(*state, &everything, 20, 0, a_burst_comes);
	assert_string_equal(text, whole);
}

/* What is trimmed between two pages is missing, and nothing else is. */
static void trimmed(struct store *store)
{
	assert_int_equal(store_trim(store, 30, 0), STORE_OK);
}

static void pages_go_on_behind_what_was_trimmed(void **state)
{
	struct store_query q = everything;
	static char first[100];

	for (int i = 0; i < 10; i++)
		assert_int_equal(suite_put(*state, suite_number("d", "n", i * 10, i), 0), STORE_OK);
	read_pages(*state, &q, 1, 0, trimmed);
	snprintf(first, sizeof(first), "%.60s", text);
	assert_ptr_equal(strstr(text, "d n 0 "), text); /* the first page, before */
	assert_null(strstr(text, "d n 10 "));
	assert_non_null(strstr(first, "d n 30 number 3"));
	assert_non_null(strstr(text, "d n 90 number 9"));
}

static int fail_at_second(void *user, const struct store_row *row)
{
	(void)row;
	return ++*(int *)user == 2 ? STORE_IO : 0;
}

static void a_row_function_ends_a_query(void **state)
{
	struct store_cursor cursor = {0};
	struct store_query q = everything;
	int n = 0;

	put_many(*state);
	assert_int_equal(store_read(*state, &q, fail_at_second, &n), STORE_IO);
	n = 0;
	q.cursor = &cursor;
	assert_int_equal(store_read(*state, &q, fail_at_second, &n), STORE_IO);
	assert_false(cursor.done);
}

int suite_run(const char *name, void (*open)(struct store *out, uint64_t max_bytes))
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    T(every_kind_of_value_comes_back),
	    T(a_reading_never_replaces_another),
	    T(readings_come_in_the_order_of_their_times),
	    T(queries_name_devices_and_series),
	    T(another_unit_is_kept),
	    T(an_origin_is_stored_once),
	    T(an_origin_is_known_for_its_time),
	    T(one_wrong_batch_does_not_lose_the_others),
	    T(aggregates_are_made_of_buckets),
	    T(documents_are_kept_byte_for_byte),
	    T(devices_are_described),
	    T(what_is_old_goes),
	    T(many_readings_stay_in_order),
	    T(pages_make_up_the_whole),
	    T(pages_are_of_one_state),
	    T(pages_hold_while_much_comes),
	    T(pages_go_on_behind_what_was_trimmed),
	    T(a_row_function_ends_a_query),
	    cmocka_unit_test(a_full_store_says_so_and_keeps_what_it_has),
	};

	open_store = open;
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
