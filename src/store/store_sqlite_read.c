/* Reading from the SQLite back end. A series stands in two places: merged rows in order, and the arrivals since then,
 * of which there are few: these are sorted, and both are walked side by side.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "store_sqlite.h"

#include <copse/format.h>
#include <copse/mem.h>

#include <stdlib.h>
#include <string.h>

struct place {
	int64_t time, id;
};

static int64_t expiry(sqlite3_stmt *st, int column)
{
	return sqlite3_column_type(st, column) == SQLITE_NULL ? STORE_NEVER
							      : sqlite3_column_int64(st, column);
}

static uint32_t format_of(sqlite3_stmt *st, int column)
{
	if (sqlite3_column_type(st, column) == SQLITE_NULL)
		return COPSE_FORMAT_NONE;
	return (uint32_t)sqlite3_column_int64(st, column);
}

static void take_value(sqlite3_stmt *st, struct store_reading *r)
{
	switch (sqlite3_column_type(st, COL_VALUE)) {
	case SQLITE_FLOAT: r->kind = STORE_NUMBER; break;
	case SQLITE_INTEGER: r->kind = STORE_BOOL; break;
	case SQLITE_TEXT: r->kind = STORE_TEXT; break;
	case SQLITE_BLOB: r->kind = STORE_DATA; break;
	default: r->kind = STORE_NONE; break;
	}
	if (r->kind == STORE_NUMBER || r->kind == STORE_BOOL)
		r->number = sqlite3_column_double(st, COL_VALUE);
	if (r->kind == STORE_TEXT || r->kind == STORE_DATA) {
		r->bytes = r->kind == STORE_TEXT ? sqlite3_column_text(st, COL_VALUE)
						 : sqlite3_column_blob(st, COL_VALUE);
		r->len = (uint32_t)sqlite3_column_bytes(st, COL_VALUE);
	}
}

/* Hand on the reading that `st` stands at. */
static int give(sqlite3_stmt *st, const struct sqlite_series *series, store_row_fn *row, void *user)
{
	const char *unit = (const char *)sqlite3_column_text(st, COL_UNIT);
	struct store_reading r = {
	    .device = series->device,
	    .name = series->name,
	    .unit = unit ? unit : series->unit,
	    .time = sqlite3_column_int64(st, COL_TIME),
	    .received = sqlite3_column_int64(st, COL_RECEIVED),
	    .expires = expiry(st, COL_EXPIRES),
	    .has_sum = sqlite3_column_type(st, COL_SUM) != SQLITE_NULL,
	    .sum = sqlite3_column_double(st, COL_SUM),
	    .id = sqlite3_column_int64(st, COL_ID),
	};

	take_value(st, &r);
	return row(user, &(struct store_row){.reading = &r});
}

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* What is asked of a series: readings behind `after` with a time below `to` and an id below `ceiling`. */
struct range {
	struct place after;
	int64_t to, ceiling;
};

/* The arrivals of a series in a range, sorted. Returns how many, or a result < 0. */
static int arrivals(struct sqlite_store *s, const struct sqlite_series *series, const struct range *range,
		    struct place **out)
{
	struct place *p = copse_mem_new(series->pending_n, sizeof(*p));
	int n = 0;

	*out = p;
	if (!p)
		return STORE_NOMEM;
	for (uint32_t i = series->newest; i;) {
		const struct sqlite_pending *pending = store_vector_at(&s->pending, i - 1);
		p[n] = (struct place){pending->time, pending->id};
		n += compare_places(&p[n], &range->after) > 0 && p[n].time < range->to &&
		     p[n].id < range->ceiling;
		i = pending->older;
	}
	qsort(p, (size_t)n, sizeof(*p), compare_places);
	return n;
}

static int give_arrival(struct sqlite_store *s, const struct sqlite_series *series, int64_t id,
			store_row_fn *row, void *user)
{
	sqlite3_stmt *st = sqlite_statement(s, SQL_GET_ARRIVAL);
	int err;

	if (!st)
		return sqlite_result(s);
	sqlite3_bind_int64(st, 1, id);
	err = sqlite3_step(st) == SQLITE_ROW ? give(st, series, row, user) : STORE_DAMAGED;
	sqlite3_reset(st);
	return err;
}

static sqlite3_stmt *bound(struct sqlite_store *s, enum statement which, const struct sqlite_series *series,
			   const struct range *range)
{
	sqlite3_stmt *st = sqlite_statement(s, which);

	if (st) {
		sqlite3_bind_int64(st, 1, series->id);
		sqlite3_bind_int64(st, 2, range->after.time);
		sqlite3_bind_int64(st, 3, range->to);
		sqlite3_bind_int64(st, 4, range->after.id);
		sqlite3_bind_int64(st, 5, range->ceiling);
	}
	return st;
}

/* Whether `st` stands at a row now; an error goes to `*result`, which it does not overwrite. */
static bool step(struct sqlite_store *s, sqlite3_stmt *st, int *result)
{
	int code = sqlite3_step(st);

	if (code != SQLITE_ROW && code != SQLITE_DONE && *result >= 0)
		*result = sqlite_result(s);
	return code == SQLITE_ROW;
}

/* Both sources side by side; the first `skip` rows are left out. */
static int walk(struct sqlite_store *s, const struct sqlite_series *series, sqlite3_stmt *st,
		const struct place *p, int n, int64_t skip, store_row_fn *row, void *user)
{
	int i = 0, err = 0;
	bool more = step(s, st, &err);

	while (err >= 0 && (more || i < n)) {
		struct place merged = {more ? sqlite3_column_int64(st, COL_TIME) : 0,
				       more ? sqlite3_column_int64(st, COL_ID) : 0};
		bool from_arrivals = !more || (i < n && compare_places(&p[i], &merged) < 0);
		if (skip-- > 0)
			err = 0;
		else if (from_arrivals)
			err = give_arrival(s, series, p[i].id, row, user);
		else
			err = give(st, series, row, user);
		if (from_arrivals)
			i++;
		else if (err >= 0)
			more = step(s, st, &err);
	}
	return err < 0 ? err : STORE_OK;
}

/* One number that `st` gives, or `absent` for NULL. */
static int64_t one_number(sqlite3_stmt *st, int64_t absent)
{
	int64_t value = absent;

	if (st && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
		value = sqlite3_column_int64(st, 0);
	if (st)
		sqlite3_reset(st);
	return value;
}

static int read_range(struct sqlite_store *s, const struct store_query *q, const struct sqlite_series *series,
		      store_row_fn *row, void *user)
{
	bool inside = store_query_place(q, series->device, series->name) == 0;
	struct range range = {{q->from, 0}, q->to, store_query_ceiling(q)}; /* ids begin at 1 */
	int64_t skip = 0;
	struct place *p = NULL;
	sqlite3_stmt *st;

	if (inside)
		range.after = (struct place){q->cursor->time, q->cursor->id};
	int n = arrivals(s, series, &range, &p), err = n;
	if (n >= 0 && q->last && !inside) {
		st = bound(s, SQL_READ_LAST, series, &range);
		if (st)
			sqlite3_bind_int64(st, 6, q->last);
		range.after.time = one_number(st, q->to > q->from ? q->to - 1 : q->from);
		skip = one_number(bound(s, SQL_COUNT_RANGE, series, &range), 0) + n - (int64_t)q->last;
	}
	if (n >= 0) {
		st = bound(s, SQL_READ_RANGE, series, &range);
		err = st ? walk(s, series, st, p, n, skip, row, user) : sqlite_result(s);
		if (st)
			sqlite3_reset(st);
	}
	copse_mem_free(p);
	return err;
}

static const struct range everything = {{INT64_MIN, 0}, INT64_MAX, INT64_MAX};

static int read_latest(struct sqlite_store *s, const struct sqlite_series *series, store_row_fn *row,
		       void *user)
{
	struct place *p = NULL;
	int n = arrivals(s, series, &everything, &p), err = n;
	sqlite3_stmt *st = sqlite_statement(s, SQL_READ_LATEST);

	if (n >= 0 && st) {
		sqlite3_bind_int64(st, 1, series->id);
		bool more = step(s, st, &err);
		struct place merged = {more ? sqlite3_column_int64(st, COL_TIME) : 0,
				       more ? sqlite3_column_int64(st, COL_ID) : 0};
		if (n && (!more || compare_places(&p[n - 1], &merged) > 0))
			err = give_arrival(s, series, p[n - 1].id, row, user);
		else if (more)
			err = give(st, series, row, user);
		sqlite3_reset(st);
	}
	copse_mem_free(p);
	return st ? err : sqlite_result(s);
}

/* --- in which order --- */

static int compare_series(const void *a, const void *b)
{
	const struct sqlite_series *x = *(const struct sqlite_series *const *)a,
				   *y = *(const struct sqlite_series *const *)b;
	int order = strcmp(x->device, y->device);

	return order ? order : strcmp(x->name, y->name);
}

/* Series in their order. It is kept until a series comes, since a page of a long answer must not cost a sort. */
static bool make_order(struct sqlite_store *s)
{
	if (s->order_n == s->series.n)
		return true;
	s->order_n = 0;
	copse_mem_free(s->order);
	s->order = copse_mem_new(s->series.n, sizeof(*s->order));
	if (!s->order)
		return false;
	for (size_t i = 0; i < s->series.n; i++)
		s->order[i] = store_vector_at(&s->series, i);
	qsort(s->order, s->series.n, sizeof(*s->order), compare_series);
	s->order_n = s->series.n;
	return true;
}

/* The place of the first series from (device, name) on. */
static size_t order_place(const struct sqlite_store *s, const char *device, const char *name)
{
	const struct sqlite_series wanted = {.device = (char *)(uintptr_t)device, .name = name},
				   *key = &wanted;
	size_t low = 0, high = s->order_n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (compare_series(&s->order[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t first_asked(const struct sqlite_store *s, const struct store_query *q)
{
	if (q->cursor && q->cursor->inside)
		return order_place(s, q->cursor->device, q->cursor->name);
	return q->device_n ? order_place(s, q->device[0], "") : 0;
}

static int read_readings(struct sqlite_store *s, const struct store_query *q, store_row_fn *row, void *user)
{
	int err = make_order(s) ? 0 : STORE_NOMEM;

	if (q->cursor && !q->cursor->begun)
		q->cursor->ceiling = s->next;
	for (size_t i = err < 0 ? s->order_n : first_asked(s, q); err >= 0 && i < s->order_n; i++) {
		const struct sqlite_series *series = s->order[i];
		if (q->device_n && strcmp(series->device, q->device[q->device_n - 1]) > 0)
			break;
		if (!store_query_asks(q, series->device, series->name))
			continue;
		err = q->subject == STORE_LATEST ? read_latest(s, series, row, user)
						 : read_range(s, q, series, row, user);
	}
	return err < 0 ? err : STORE_OK;
}

static int read_documents(struct sqlite_store *s, const struct store_query *q, store_row_fn *row, void *user)
{
	bool bodies = q->subject == STORE_DOCUMENTS;
	sqlite3_stmt *st = sqlite_statement(s, bodies ? SQL_READ_DOCUMENTS : SQL_READ_PATHS);
	int err = 0;

	if (!st)
		return sqlite_result(s);
	sqlite3_bind_text(st, 1, q->path, -1, SQLITE_STATIC);
	if (bodies)
		sqlite3_bind_int64(st, 2, q->last ? (int64_t)q->last : -1);
	while (err >= 0 && step(s, st, &err)) {
		const struct store_document d = {
		    .path = (const char *)sqlite3_column_text(st, 0),
		    .received = sqlite3_column_int64(st, 1),
		    .expires = expiry(st, 2),
		    .format = format_of(st, 3),
		    .bytes = bodies ? sqlite3_column_blob(st, 4) : NULL,
		    .len = (uint32_t)(bodies ? sqlite3_column_bytes(st, 4) : sqlite3_column_int(st, 4)),
		};
		err = d.path ? row(user, &(struct store_row){.document = &d}) : STORE_NOMEM;
	}
	sqlite3_reset(st);
	return err < 0 ? err : STORE_OK;
}

static int read_devices(struct sqlite_store *s, store_row_fn *row, void *user)
{
	sqlite3_stmt *st = sqlite_statement(s, SQL_READ_DEVICES);
	int err = 0;

	if (!st)
		return sqlite_result(s);
	while (err >= 0 && step(s, st, &err)) {
		const char *text[7];
		bool whole = true;
		for (int i = 0; i < 7; i++)
			whole = (text[i] = (const char *)sqlite3_column_text(st, i)) != NULL && whole;
		const struct store_device d = {.name = text[0],
					       .label = text[1],
					       .location = text[2],
					       .type = text[3],
					       .group = text[4],
					       .unit = text[5],
					       .extra = text[6],
					       .sleeping = sqlite3_column_int(st, 7) != 0};
		err = whole ? row(user, &(struct store_row){.device = &d}) : STORE_NOMEM;
	}
	sqlite3_reset(st);
	return err < 0 ? err : STORE_OK;
}

int sqlite_read(void *self, const struct store_query *q, store_row_fn *row, void *user)
{
	struct sqlite_store *s = self;
	int result = sqlite_refresh(s);

	if (result < 0)
		return result;
	switch ((enum store_subject)q->subject) {
	case STORE_DOCUMENTS:
	case STORE_PATHS: return read_documents(s, q, row, user);
	case STORE_DEVICES: return read_devices(s, row, user);
	case STORE_READINGS:
	case STORE_LATEST: break;
	}
	return read_readings(s, q, row, user);
}
