/* Readings as a table that SQLite can select from: `coming`, which exists in the writing connection alone and in no file.
 *
 * One statement, INSERT INTO ... SELECT ... FROM coming, takes as many rows as there are. One statement for each row costs
 * three times as much, most of it to begin and to end it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "store_sqlite.h"

#include <copse/mem.h>

#include <stdlib.h>

struct cursor {
	sqlite3_vtab_cursor base;
	size_t at;
};

struct table {
	sqlite3_vtab base;
	const struct sqlite_feed *feed;
};

static int connect_table(sqlite3 *db, void *user, int argc, const char *const *argv, sqlite3_vtab **out,
			 char **why)
{
	struct table *t = sqlite3_malloc(sizeof(*t));
	(void)argc;
	(void)argv;
	(void)why;

	if (!t)
		return SQLITE_NOMEM;
	*t = (struct table){.feed = user};
	*out = &t->base;
	return sqlite3_declare_vtab(
	    db, "CREATE TABLE coming (series, time, id, unit, value, sum, received, expires)");
}

static int disconnect_table(sqlite3_vtab *table)
{
	sqlite3_free(table);
	return SQLITE_OK;
}

/* There is one way: all of it, in its order. */
static int best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	info->estimatedCost = 1e6;
	return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
	struct cursor *c = sqlite3_malloc(sizeof(*c));
	(void)table;

	if (!c)
		return SQLITE_NOMEM;
	*c = (struct cursor){0};
	*out = &c->base;
	return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
	sqlite3_free(cursor);
	return SQLITE_OK;
}

static int rewind_cursor(sqlite3_vtab_cursor *cursor, int which, const char *name, int argc,
			 sqlite3_value **argv)
{
	(void)which;
	(void)name;
	(void)argc;
	(void)argv;
	((struct cursor *)cursor)->at = 0;
	return SQLITE_OK;
}

static int next_row(sqlite3_vtab_cursor *cursor)
{
	((struct cursor *)cursor)->at++;
	return SQLITE_OK;
}

static const struct sqlite_feed *feed_of(const sqlite3_vtab_cursor *cursor)
{
	return ((const struct table *)cursor->pVtab)->feed;
}

static int is_end(sqlite3_vtab_cursor *cursor)
{
	return ((struct cursor *)cursor)->at >= feed_of(cursor)->n;
}

static int row_id(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)((struct cursor *)cursor)->at;
	return SQLITE_OK;
}

static void give_value(sqlite3_context *out, const struct sqlite_pending *p)
{
	switch (p->kind) {
	case STORE_NUMBER: sqlite3_result_double(out, p->value.number); break;
	case STORE_BOOL: sqlite3_result_int(out, p->value.number != 0); break;
	case STORE_TEXT:
		sqlite3_result_text(out, p->len ? (const char *)p->value.bytes : "", (int)p->len,
				    SQLITE_STATIC);
		break;
	case STORE_DATA:
		if (p->len)
			sqlite3_result_blob(out, p->value.bytes, (int)p->len, SQLITE_STATIC);
		else
			sqlite3_result_zeroblob(out, 0);
		break;
	default: break; /* NULL */
	}
}

static int give_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
	const struct sqlite_feed *feed = feed_of(cursor);
	const size_t at = ((struct cursor *)cursor)->at;
	const struct sqlite_pending *p = &feed->row[feed->order ? feed->order[at] : at];

	switch ((enum sqlite_column)column) {
	case COL_SERIES: sqlite3_result_int64(out, feed->series[p->series].id); break;
	case COL_TIME: sqlite3_result_int64(out, p->time); break;
	case COL_ID: sqlite3_result_int64(out, p->id); break;
	case COL_UNIT:
		if (p->unit)
			sqlite3_result_text(out, p->unit, -1, SQLITE_STATIC);
		break;
	case COL_VALUE: give_value(out, p); break;
	case COL_SUM:
		if (p->has_sum)
			sqlite3_result_double(out, p->sum);
		break;
	case COL_RECEIVED: sqlite3_result_int64(out, p->received); break;
	case COL_EXPIRES:
		if (p->expires != STORE_NEVER)
			sqlite3_result_int64(out, p->expires);
		break;
	}
	return SQLITE_OK;
}

int sqlite_feed_offer(sqlite3 *db, const struct sqlite_feed *feed)
{
	static const sqlite3_module module = {.xConnect = connect_table,
					      .xBestIndex = best_index,
					      .xDisconnect = disconnect_table,
					      .xOpen = open_cursor,
					      .xClose = close_cursor,
					      .xFilter = rewind_cursor,
					      .xNext = next_row,
					      .xEof = is_end,
					      .xColumn = give_column,
					      .xRowid = row_id};

	return sqlite3_create_module(db, "coming", &module, (void *)(uintptr_t)feed);
}

/* --- the order of a merge --- */

static int compare(const struct sqlite_pending *a, const struct sqlite_pending *b)
{
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static int compare_places(const void *a, const void *b, void *rows)
{
	const struct sqlite_pending *row = rows;

	return compare(&row[*(const uint32_t *)a], &row[*(const uint32_t *)b]);
}

/* Readings of one series, in the order in which they came: that is nearly always the order of their times. */
static void sort_series(struct sqlite_pending *row, uint32_t *order, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		if (compare(&row[order[i - 1]], &row[order[i]]) > 0) {
			qsort_r(order, n, sizeof(*order), compare_places, row);
			return;
		}
}

uint32_t *sqlite_feed_order(const struct store_vector *series, const struct store_vector *pending)
{
	struct sqlite_pending *row = pending->at;
	uint32_t *order = copse_mem_new(pending->n + series->n + 1, sizeof(*order));
	uint32_t *begin = order ? order + pending->n : NULL, at = 0;

	if (!order)
		return NULL;
	for (size_t i = 0; i < series->n; i++) {
		begin[i] = at;
		at += ((const struct sqlite_series *)store_vector_at(series, i))->pending_n;
	}
	COPSE_ASSERT(at == pending->n);
	for (size_t i = 0; i < pending->n; i++)
		order[begin[row[i].series]++] = (uint32_t)i;
	for (size_t i = 0; i < series->n; i++) { /* begin: now the end of each */
		uint32_t n = ((const struct sqlite_series *)store_vector_at(series, i))->pending_n;
		sort_series(row, order + begin[i] - n, n);
	}
	return order;
}
