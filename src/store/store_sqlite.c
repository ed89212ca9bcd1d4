/* The store in SQLite: WAL, prepared statements, one transaction for each group of batches. Reading is in
 * store_sqlite_read.c, the tables in schema.sql.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "store_sqlite.h"

#include "core/siphash.h"
#include "schema.sql.h"

#include <copse/format.h>
#include <copse/host.h>
#include <copse/mem.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* clang-format off */
#define READING "series, time, id, unit, value, sum, received, expires"
static const char *const text[SQL_N] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_ADD_ORIGIN] = "INSERT INTO origin VALUES (?1, ?2) ON CONFLICT (origin) DO UPDATE SET received = ?2 "
		"WHERE received NOT BETWEEN ?2 - ?3 AND ?2 + ?3",
	[SQL_ADD_DEVICE] = "INSERT OR IGNORE INTO device (name) VALUES (?)",
	[SQL_FIND_DEVICE] = "SELECT id FROM device WHERE name = ?",
	[SQL_ADD_SERIES] = "INSERT INTO series (device, name, unit) VALUES (?, ?, ?)",
	/* where no id is told it is the last one and 1, which costs no search */
	[SQL_ADD_FIRST] = "INSERT INTO arrival (" READING ") SELECT " READING " FROM coming",
	[SQL_ADD_NEXT] = "INSERT INTO arrival (series, time, unit, value, sum, received, expires) "
		"SELECT series, time, unit, value, sum, received, expires FROM coming",
	/* and what is nearly always NULL is not asked for where it always is */
	[SQL_ADD_NEXT_PLAIN] = "INSERT INTO arrival (series, time, value, received) "
		"SELECT series, time, value, received FROM coming",
	[SQL_ADD_DOCUMENT] = "INSERT INTO document (path, received, expires, format, body) VALUES (?, ?, ?, ?, ?)",
	[SQL_SET_DEVICE] = "INSERT INTO device (name, known, label, location, type, \"group\", unit, extra, sleeping) "
		"VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO UPDATE SET known = 1, label = ?2, "
		"location = ?3, type = ?4, \"group\" = ?5, unit = ?6, extra = ?7, sleeping = ?8",
	[SQL_FORGET_DEVICE] = "UPDATE device SET known = 0, label = '', location = '', type = '', \"group\" = '', "
		"unit = '', extra = '', sleeping = 0 WHERE name = ?",
	/* OR ROLLBACK: else the pages of all series, as they were, lie in memory until the end of the statement */
	[SQL_MERGE] = "INSERT OR ROLLBACK INTO reading (" READING ") SELECT " READING " FROM arrival "
		"ORDER BY series, time, id",
	[SQL_MERGE_KNOWN] = "INSERT OR ROLLBACK INTO reading (" READING ") SELECT " READING " FROM coming",
	[SQL_MERGED] = "UPDATE merged SET next = ?",
	[SQL_MERGED_NEXT] = "SELECT max((SELECT next FROM merged), coalesce((SELECT max(id) + 1 FROM arrival), 1))",
	[SQL_CLEAR_ARRIVAL] = "DELETE FROM arrival",
	[SQL_GET_ARRIVAL] = "SELECT " READING " FROM arrival WHERE id = ?",
	[SQL_READ_RANGE] = "SELECT " READING " FROM reading WHERE series = ?1 AND (time, id) > (?2, ?4) AND time < ?3 "
		"AND id < ?5 ORDER BY time, id",
	[SQL_READ_LATEST] = "SELECT " READING " FROM reading WHERE series = ? ORDER BY time DESC, id DESC LIMIT 1",
	[SQL_READ_LAST] = "SELECT min(time) FROM (SELECT time FROM reading WHERE series = ?1 AND (time, id) > (?2, ?4) "
		"AND time < ?3 AND id < ?5 ORDER BY time DESC LIMIT ?6)",
	[SQL_COUNT_RANGE] = "SELECT count(*) FROM reading WHERE series = ?1 AND (time, id) > (?2, ?4) AND time < ?3 "
		"AND id < ?5",
	[SQL_READ_DOCUMENTS] = "SELECT path, received, expires, format, body FROM (SELECT * FROM document WHERE path = ?1 "
		"ORDER BY id DESC LIMIT ?2) ORDER BY id",
	[SQL_READ_PATHS] = "SELECT d.path, received, expires, format, length(body) FROM document AS d JOIN (SELECT max(id) "
		"AS newest FROM document WHERE substr(path, 1, length(?1)) = ?1 GROUP BY path) ON d.id = newest "
		"ORDER BY d.path",
	[SQL_READ_DEVICES] = "SELECT name, label, location, type, \"group\", unit, extra, sleeping FROM device "
		"WHERE known ORDER BY name",
	[SQL_TRIM_ARRIVAL] = "DELETE FROM arrival WHERE time < ?",
	[SQL_TRIM_SERIES] = "DELETE FROM reading WHERE series = ? AND time < ?",
	[SQL_TRIM_DOCUMENTS] = "DELETE FROM document WHERE received < ?",
	[SQL_TRIM_ORIGINS] = "DELETE FROM origin WHERE received NOT BETWEEN ?1 AND ?1 + 2 * ?2",
};
/* clang-format on */

int sqlite_result(struct sqlite_store *s)
{
	switch (sqlite3_errcode(s->db) & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return STORE_OK;
	case SQLITE_FULL: return STORE_FULL;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN: return STORE_READONLY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table is missing: the statements themselves are tested */
	case SQLITE_SCHEMA: return STORE_DAMAGED;
	case SQLITE_NOMEM: return STORE_NOMEM;
	default: return STORE_IO;
	}
}

sqlite3_stmt *sqlite_statement(struct sqlite_store *s, enum statement which)
{
	sqlite3_stmt **st = &s->statement[which];

	if (*st)
		sqlite3_reset(*st);
	else
		sqlite3_prepare_v3(s->db, text[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
	return *st;
}

int sqlite_do(struct sqlite_store *s, sqlite3_stmt *statement)
{
	if (!statement)
		return sqlite_result(s);
	sqlite3_step(statement);
	int result = sqlite_result(s);
	sqlite3_reset(statement);
	return result;
}

static void bind_text(sqlite3_stmt *st, int i, const char *value)
{
	sqlite3_bind_text(st, i, value, -1, SQLITE_STATIC);
}

static int64_t column_time(sqlite3_stmt *st, int i)
{
	return sqlite3_column_type(st, i) == SQLITE_NULL ? STORE_NEVER : sqlite3_column_int64(st, i);
}

static void bind_time(sqlite3_stmt *st, int i, int64_t time)
{
	if (time == STORE_NEVER)
		sqlite3_bind_null(st, i);
	else
		sqlite3_bind_int64(st, i, time);
}

/* --- what is kept in memory --- */

static void forget(struct sqlite_store *s)
{
	for (size_t i = 0; i < s->series.n; i++)
		copse_mem_free(((struct sqlite_series *)store_vector_at(&s->series, i))->device);
	s->series.n = 0;
	s->pending.n = 0;
	s->order_n = 0;
	s->crowded = s->wide = s->partial = false;
	if (s->index.slot)
		memset(s->index.slot, 0, ((size_t)s->index.mask + 1) * sizeof(*s->index.slot));
	s->fresh = false;
}

static uint32_t hash_of(const struct sqlite_store *s, const char *device, const char *name)
{
	uint64_t first = core_siphash(s->key, device, strlen(device), 1, 3);
	const uint64_t key[2] = {first, s->key[1]};

	return (uint32_t)core_siphash(key, name, strlen(name), 1, 3);
}

static bool make_index(struct sqlite_store *s, uint32_t cap)
{
	uint32_t slots = core_table_slots(cap);
	struct core_slot *slot = copse_mem_new(slots, sizeof(*slot));

	if (!slot)
		return false;
	copse_mem_free(s->index.slot);
	core_table_init(&s->index, slot, slots);
	s->index_cap = cap;
	for (size_t i = 0; i < s->series.n; i++)
		core_table_insert(&s->index, ((struct sqlite_series *)store_vector_at(&s->series, i))->hash,
				  (uint32_t)i + 1);
	return true;
}

/* Keep a series in mind. */
static struct sqlite_series *remember(struct sqlite_store *s, int64_t id, const char *device,
				      const char *name, const char *unit)
{
	size_t device_len = strlen(device) + 1, name_len = strlen(name) + 1, unit_len = strlen(unit) + 1;
	struct sqlite_series *series;

	if (s->series.n >= s->index_cap && !make_index(s, s->index_cap ? s->index_cap * 2 : 1024))
		return NULL;
	char *texts = copse_mem_new(device_len + name_len + unit_len, 1);
	series = texts ? store_vector_insert(&s->series, s->series.n) : NULL;
	if (!series) {
		copse_mem_free(texts);
		return NULL;
	}
	memcpy(texts, device, device_len);
	memcpy(texts + device_len, name, name_len);
	memcpy(texts + device_len + name_len, unit, unit_len);
	*series = (struct sqlite_series){.id = id,
					 .device = texts,
					 .name = texts + device_len,
					 .unit = texts + device_len + name_len,
					 .hash = hash_of(s, device, name)};
	core_table_insert(&s->index, series->hash, (uint32_t)s->series.n);
	return series;
}

static struct sqlite_series *recall(struct sqlite_store *s, const char *device, const char *name)
{
	if (!s->index.slot)
		return NULL;
	uint32_t hash = hash_of(s, device, name), pos = hash & s->index.mask, found;

	while ((found = core_table_next(&s->index, hash, &pos)) != 0) {
		struct sqlite_series *series = store_vector_at(&s->series, found - 1);
		if (strcmp(series->device, device) == 0 && strcmp(series->name, name) == 0)
			return series;
	}
	return NULL;
}

/* Note what arrives. Returns NULL without memory. */
static struct sqlite_pending *note_arrival(struct sqlite_store *s, struct sqlite_series *series)
{
	struct sqlite_pending *p = store_vector_insert(&s->pending, s->pending.n);

	if (!p)
		return NULL;
	p->series = (uint32_t)(series - (const struct sqlite_series *)s->series.at);
	p->older = series->newest;
	series->newest = (uint32_t)s->pending.n;
	s->crowded |= ++series->pending_n >= SQLITE_MERGE_SERIES;
	return p;
}

static int read_series(struct sqlite_store *s)
{
	static const char sql[] =
	    "SELECT s.id, d.name, s.name, s.unit FROM series AS s JOIN device AS d ON d.id = s.device "
	    "ORDER BY s.id";
	sqlite3_stmt *st;
	int result = STORE_OK;

	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
		return sqlite_result(s);
	while (result == STORE_OK && sqlite3_step(st) == SQLITE_ROW) {
		const char *device = (const char *)sqlite3_column_text(st, 1);
		const char *name = (const char *)sqlite3_column_text(st, 2);
		const char *unit = (const char *)sqlite3_column_text(st, 3);
		if (!device || !name || !unit ||
		    !remember(s, sqlite3_column_int64(st, 0), device, name, unit))
			result = STORE_NOMEM;
	}
	if (result == STORE_OK)
		result = sqlite_result(s);
	sqlite3_finalize(st);
	return result;
}

/* An arrival that stands in the database, without its texts. */
static void take_arrival(struct sqlite_store *s, sqlite3_stmt *st, struct sqlite_pending *p)
{
	p->id = sqlite3_column_int64(st, COL_ID);
	p->time = sqlite3_column_int64(st, COL_TIME);
	p->received = sqlite3_column_int64(st, COL_RECEIVED);
	p->expires = column_time(st, COL_EXPIRES);
	p->has_sum = sqlite3_column_type(st, COL_SUM) != SQLITE_NULL;
	p->sum = sqlite3_column_double(st, COL_SUM);
	switch (sqlite3_column_type(st, COL_VALUE)) {
	case SQLITE_FLOAT: p->kind = STORE_NUMBER; break;
	case SQLITE_INTEGER: p->kind = STORE_BOOL; break;
	case SQLITE_NULL: p->kind = STORE_NONE; break;
	default: s->partial = true; break;
	}
	p->value.number = sqlite3_column_double(st, COL_VALUE);
	s->partial |= sqlite3_column_type(st, COL_UNIT) != SQLITE_NULL;
	s->wide |= s->partial || p->has_sum || p->expires != STORE_NEVER;
}

static int read_arrivals(struct sqlite_store *s)
{
	static const char sql[] =
	    "SELECT a.series, a.time, a.id, a.unit, a.value, a.sum, a.received, a.expires, d.name, s.name "
	    "FROM arrival AS a JOIN series AS s ON s.id = a.series JOIN device AS d ON d.id = s.device ORDER "
	    "BY a.id";
	enum { COL_DEVICE = COL_EXPIRES + 1, COL_NAME };
	sqlite3_stmt *st;
	int result = STORE_OK;

	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
		return sqlite_result(s);
	while (result == STORE_OK && sqlite3_step(st) == SQLITE_ROW) {
		const char *device = (const char *)sqlite3_column_text(st, COL_DEVICE);
		const char *name = (const char *)sqlite3_column_text(st, COL_NAME);
		struct sqlite_series *series = device && name ? recall(s, device, name) : NULL;
		struct sqlite_pending *p = series ? note_arrival(s, series) : NULL;
		if (p)
			take_arrival(s, st, p);
		else
			result = STORE_NOMEM;
	}
	if (result == STORE_OK)
		result = sqlite_result(s);
	sqlite3_finalize(st);
	return result;
}

int sqlite_refresh(struct sqlite_store *s)
{
	if (s->fresh)
		return STORE_OK;
	forget(s);
	sqlite3_stmt *next = sqlite_statement(s, SQL_MERGED_NEXT);
	if (!next)
		return sqlite_result(s);
	if (sqlite3_step(next) == SQLITE_ROW)
		s->next = sqlite3_column_int64(next, 0);
	int result = sqlite_result(s);
	sqlite3_reset(next);
	if (result == STORE_OK)
		result = read_series(s);
	if (result == STORE_OK)
		result = read_arrivals(s);
	s->fresh = result == STORE_OK;
	return result;
}

/* --- writing --- */

/* The id of a device, which is made if need be; < 0: a store_result. */
static int64_t device_id(struct sqlite_store *s, const char *name)
{
	sqlite3_stmt *st = sqlite_statement(s, SQL_ADD_DEVICE);
	int64_t id;

	if (!st)
		return sqlite_result(s);
	bind_text(st, 1, name);
	int result = sqlite_do(s, st);
	if (result < 0)
		return result;
	st = sqlite_statement(s, SQL_FIND_DEVICE);
	if (!st)
		return sqlite_result(s);
	bind_text(st, 1, name);
	id = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : sqlite_result(s);
	sqlite3_reset(st);
	return id;
}

static int make_series(struct sqlite_store *s, const struct store_reading *r, struct sqlite_series **out)
{
	int64_t device = device_id(s, r->device);

	if (device < 0)
		return (int)device;
	sqlite3_stmt *st = sqlite_statement(s, SQL_ADD_SERIES);
	if (!st)
		return sqlite_result(s);
	sqlite3_bind_int64(st, 1, device);
	bind_text(st, 2, r->name);
	bind_text(st, 3, r->unit);
	int result = sqlite_do(s, st);
	if (result < 0)
		return result;
	*out = remember(s, sqlite3_last_insert_rowid(s->db), r->device, r->name, r->unit);
	return *out ? STORE_OK : STORE_NOMEM;
}

/* It is written together with all others of its transaction (put_arrivals). */
static int put_reading(struct sqlite_store *s, const struct store_reading *r)
{
	struct sqlite_series *series = recall(s, r->device, r->name);
	int result = series ? STORE_OK : make_series(s, r, &series);

	if (result < 0)
		return result;
	struct sqlite_pending *p = note_arrival(s, series);
	if (!p)
		return STORE_NOMEM;
	p->id = s->next++;
	p->time = r->time;
	p->received = r->received;
	p->expires = r->expires;
	p->kind = r->kind;
	p->has_sum = r->has_sum;
	p->sum = r->sum;
	if (r->kind == STORE_TEXT || r->kind == STORE_DATA) {
		p->value.bytes = r->bytes;
		p->len = r->len;
		s->partial = true;
	} else {
		p->value.number = r->number;
	}
	if (strcmp(series->unit, r->unit) != 0) {
		p->unit = r->unit;
		s->partial = true;
	}
	s->wide |= p->unit || r->has_sum || r->expires != STORE_NEVER;
	return STORE_OK;
}

/* Run a statement that reads from `coming`: `n` of what is pending, from place `from` on or in `order`. */
static int feed(struct sqlite_store *s, enum statement which, size_t from, size_t n, const uint32_t *order)
{
	s->feed = (struct sqlite_feed){.series = s->series.at,
				       .row = (const struct sqlite_pending *)s->pending.at + from,
				       .order = order,
				       .n = n};
	int result = sqlite_do(s, sqlite_statement(s, which));
	s->feed = (struct sqlite_feed){0};
	return result;
}

/* Write what is pending from place `from` on. What it refers to is not needed any more then. */
static int put_arrivals(struct sqlite_store *s, size_t from)
{
	if (from == s->pending.n)
		return STORE_OK;
	const size_t n = s->pending.n - from;
	int result = feed(s, SQL_ADD_FIRST, from, 1, NULL);
	if (result == STORE_OK && n > 1)
		result = feed(s, s->wide ? SQL_ADD_NEXT : SQL_ADD_NEXT_PLAIN, from + 1, n - 1, NULL);
	if (result == STORE_OK && sqlite3_last_insert_rowid(s->db) != s->next - 1)
		result = STORE_DAMAGED; /* its ids are none of ours */
	for (size_t i = s->partial ? from : s->pending.n; i < s->pending.n; i++) {
		struct sqlite_pending *p = store_vector_at(&s->pending, i);
		p->unit = NULL;
		if (p->kind == STORE_TEXT || p->kind == STORE_DATA)
			p->value.bytes = NULL;
	}
	return result;
}

static int put_document(struct sqlite_store *s, const struct store_document *d)
{
	sqlite3_stmt *st = sqlite_statement(s, SQL_ADD_DOCUMENT);

	if (!st)
		return sqlite_result(s);
	bind_text(st, 1, d->path);
	sqlite3_bind_int64(st, 2, d->received);
	bind_time(st, 3, d->expires);
	if (d->format == COPSE_FORMAT_NONE)
		sqlite3_bind_null(st, 4);
	else
		sqlite3_bind_int64(st, 4, d->format);
	if (d->len)
		sqlite3_bind_blob(st, 5, d->bytes, (int)d->len, SQLITE_STATIC);
	else
		sqlite3_bind_zeroblob(st, 5, 0);
	return sqlite_do(s, st);
}

static int put_device(struct sqlite_store *s, const struct store_device *d)
{
	sqlite3_stmt *st = sqlite_statement(s, d->gone ? SQL_FORGET_DEVICE : SQL_SET_DEVICE);

	if (!st)
		return sqlite_result(s);
	bind_text(st, 1, d->name);
	if (!d->gone) {
		bind_text(st, 2, d->label);
		bind_text(st, 3, d->location);
		bind_text(st, 4, d->type);
		bind_text(st, 5, d->group);
		bind_text(st, 6, d->unit);
		bind_text(st, 7, d->extra);
		sqlite3_bind_int(st, 8, d->sleeping);
	}
	return sqlite_do(s, st);
}

/* Returns STORE_OK when it is new, or there is none. */
static int put_origin(struct sqlite_store *s, const struct store_batch *b)
{
	if (!b->origin)
		return STORE_OK;
	sqlite3_stmt *st = sqlite_statement(s, SQL_ADD_ORIGIN);
	if (!st)
		return sqlite_result(s);
	sqlite3_bind_int64(st, 1, (int64_t)b->origin);
	sqlite3_bind_int64(st, 2, b->received);
	sqlite3_bind_int64(st, 3, STORE_ORIGIN_US);
	int result = sqlite_do(s, st);
	return result == STORE_OK && sqlite3_changes(s->db) == 0 ? STORE_DUPLICATE : result;
}

static int put_batch(struct sqlite_store *s, struct store_batch *b)
{
	int result = put_origin(s, b);

	for (uint32_t i = 0; result == STORE_OK && i < b->reading_n; i++)
		result = put_reading(s, &b->reading[i]);
	for (uint32_t i = 0; result == STORE_OK && i < b->document_n; i++)
		result = put_document(s, &b->document[i]);
	for (uint32_t i = 0; result == STORE_OK && i < b->device_n; i++)
		result = put_device(s, &b->device[i]);
	b->result = result;
	return result;
}

static int begin(struct sqlite_store *s)
{
	return sqlite_do(s, sqlite_statement(s, SQL_BEGIN));
}

/* End a transaction: commit when `result` is no error, else undo it. Returns the first error. */
static int end(struct sqlite_store *s, int result)
{
	if (result >= 0)
		result = sqlite_do(s, sqlite_statement(s, SQL_COMMIT));
	if (result < 0) {
		if (!sqlite3_get_autocommit(s->db))
			sqlite_do(s, sqlite_statement(s, SQL_ROLLBACK));
		s->fresh = false;
	}
	return result;
}

/* In one transaction move what has arrived to its place. */
static int merge(struct sqlite_store *s)
{
	uint32_t *order = s->partial ? NULL : sqlite_feed_order(&s->series, &s->pending);
	int result = begin(s);

	if (result < 0) {
		copse_mem_free(order);
		return result;
	}
	result = order ? feed(s, SQL_MERGE_KNOWN, 0, s->pending.n, order)
		       : sqlite_do(s, sqlite_statement(s, SQL_MERGE));
	copse_mem_free(order);
	if (result == STORE_OK)
		result = sqlite_do(s, sqlite_statement(s, SQL_CLEAR_ARRIVAL));
	sqlite3_stmt *st = result == STORE_OK ? sqlite_statement(s, SQL_MERGED) : NULL;
	if (st) {
		sqlite3_bind_int64(st, 1, s->next);
		result = sqlite_do(s, st);
	}
	result = end(s, result);
	if (result < 0)
		return result;
	for (size_t i = 0; i < s->series.n; i++) {
		struct sqlite_series *series = store_vector_at(&s->series, i);
		series->pending_n = series->newest = 0;
	}
	s->pending.n = 0;
	s->crowded = s->wide = s->partial = false;
	return STORE_OK;
}

/* Whether the file is the one that it was, and not shorter than it was. */
static bool is_same(const char *path, struct sqlite_file *file, bool may_shrink)
{
	struct stat now;

	if (!path || stat(path, &now) != 0)
		return file->inode == 0;
	const struct sqlite_file is = {now.st_dev, now.st_ino, now.st_size};
	bool same = file->inode == 0 || (is.device == file->device && is.inode == file->inode &&
					 (may_shrink || is.size >= file->size));
	if (same)
		*file = is;
	return same;
}

/* What is written into a file that has been removed, or into its log, is gone with the process: SQLite itself does not mind.
 * What is in the log goes into the file, wherever that is now. */
static int check_files(struct sqlite_store *s)
{
	if (s->gone)
		return STORE_GONE;
	if (is_same(sqlite3_db_filename(s->db, "main"), &s->file, false) &&
	    is_same(sqlite3_filename_wal(sqlite3_db_filename(s->db, "main")), &s->log, true))
		return STORE_OK;
	sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	s->gone = true;
	return STORE_GONE;
}

static int sqlite_write(void *self, struct store_batch *const *batch, size_t n)
{
	struct sqlite_store *s = self;
	int result = check_files(s);

	if (result == STORE_OK)
		result = sqlite_refresh(s);
	if (result == STORE_OK)
		result = begin(s);
	if (result < 0)
		return result;
	const size_t from = s->pending.n;
	for (size_t i = 0; result >= 0 && i < n; i++)
		result = put_batch(s, batch[i]);
	if (result >= 0)
		result = put_arrivals(s, from);
	result = end(s, result);
	const size_t arrivals = s->pending.n;
	/* What could not be merged, as for want of room, stays where it is, safe and readable, until a quarter more came. */
	if (result == STORE_OK && s->pending.n >= s->merge_from &&
	    (s->crowded || s->pending.n >= SQLITE_MERGE_ALL))
		s->merge_from = merge(s) == STORE_OK ? 0 : arrivals + arrivals / 4;
	return result;
}

static int trim_rows(struct sqlite_store *s, enum statement which, int64_t before)
{
	sqlite3_stmt *st = sqlite_statement(s, which);

	if (!st)
		return sqlite_result(s);
	sqlite3_bind_int64(st, 1, before);
	if (which == SQL_TRIM_ORIGINS)
		sqlite3_bind_int64(st, 2, STORE_ORIGIN_US);
	return sqlite_do(s, st);
}

static int trim_series(struct sqlite_store *s, int64_t before)
{
	int result = STORE_OK;

	for (size_t i = 0; result == STORE_OK && i < s->series.n; i++) {
		sqlite3_stmt *st = sqlite_statement(s, SQL_TRIM_SERIES);
		if (!st)
			return sqlite_result(s);
		sqlite3_bind_int64(st, 1, ((struct sqlite_series *)store_vector_at(&s->series, i))->id);
		sqlite3_bind_int64(st, 2, before);
		result = sqlite_do(s, st);
	}
	return result;
}

/* Nothing here needs room, so that a full store can be made to have some. */
static int sqlite_trim(void *self, int64_t before, int64_t origins)
{
	struct sqlite_store *s = self;
	int result = sqlite_refresh(s);

	if (result == STORE_OK)
		result = begin(s);
	if (result < 0)
		return result;
	result = trim_rows(s, SQL_TRIM_ARRIVAL, before);
	if (result == STORE_OK && sqlite3_changes(s->db) > 0)
		s->fresh = false;
	if (result == STORE_OK)
		result = trim_series(s, before);
	if (result == STORE_OK)
		result = trim_rows(s, SQL_TRIM_DOCUMENTS, before);
	if (result == STORE_OK)
		result = trim_rows(s, SQL_TRIM_ORIGINS, origins);
	result = end(s, result);
	/* as in sqlite_write: what cannot be merged may stay */
	if (result == STORE_OK && sqlite_refresh(s) == STORE_OK)
		merge(s);
	return result;
}

static int64_t number(struct sqlite_store *s, const char *sql, int *result)
{
	sqlite3_stmt *st;
	int64_t value = 0;

	if (*result < 0)
		return 0;
	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		value = sqlite3_column_int64(st, 0);
	*result = sqlite_result(s);
	sqlite3_finalize(st);
	return value;
}

static int sqlite_usage(void *self, struct store_usage *usage)
{
	struct sqlite_store *s = self;
	int result = STORE_OK;

	usage->readings = usage->documents = 0;
	if (usage->count) {
		usage->readings = (uint64_t)number(
		    s, "SELECT (SELECT count(*) FROM reading) + (SELECT count(*) FROM arrival)", &result);
		usage->documents = (uint64_t)number(s, "SELECT count(*) FROM document", &result);
	}
	usage->oldest =
	    number(s,
		   "SELECT coalesce(min((SELECT coalesce(min((SELECT min(time) FROM reading WHERE series = "
		   "series.id)), "
		   "9223372036854775807) FROM series), (SELECT coalesce(min(time), 9223372036854775807) FROM "
		   "arrival)), 9223372036854775807)",
		   &result);
	/* the first document is the oldest one, but for a clock that was set back */
	const int64_t document = number(
	    s, "SELECT coalesce((SELECT received FROM document ORDER BY id LIMIT 1), 9223372036854775807)",
	    &result);
	usage->oldest = document < usage->oldest ? document : usage->oldest;
	usage->series = (uint64_t)number(s, "SELECT count(*) FROM series", &result);
	int64_t pages = number(s, "PRAGMA page_count", &result) - number(s, "PRAGMA freelist_count", &result);
	usage->bytes = (uint64_t)(pages * number(s, "PRAGMA page_size", &result));
	return result;
}

static void sqlite_close(void *self)
{
	struct sqlite_store *s = self;

	for (int i = 0; i < SQL_N; i++)
		sqlite3_finalize(s->statement[i]);
	forget(s);
	copse_mem_free(s->index.slot);
	copse_mem_free(s->order);
	store_vector_free(&s->series);
	store_vector_free(&s->pending);
	sqlite3_close(s->db);
	copse_mem_free(s);
}

static const struct store_ops ops = {"sqlite",    sqlite_write, sqlite_read,
				     sqlite_trim, sqlite_usage, sqlite_close};

/* --- opening --- */

/* Make the tables of a new database; of an old one see that they are ours. */
static int check_schema(struct sqlite_store *s)
{
	int result = STORE_OK;
	int64_t tables = number(s, "SELECT count(*) FROM sqlite_master", &result);
	int64_t id = number(s, "PRAGMA application_id", &result);
	int64_t version = number(s, "PRAGMA user_version", &result);
	char expected[64];

	if (result < 0)
		return result;
	snprintf(expected, sizeof(expected), "%lld/%lld", (long long)id, (long long)version);
	if (tables)
		return strcmp(expected, STORE_SCHEMA_ID "/" STORE_SCHEMA_VERSION) == 0 ? STORE_OK
										       : STORE_DAMAGED;
	sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	sqlite3_exec(s->db, store_schema_sql, NULL, NULL, NULL);
	result = sqlite_result(s);
	return end(s, result);
}

static int set_up(struct sqlite_store *s, const struct store_sqlite_config *config)
{
	char pragmas[256];
	uint64_t pages = config->max_bytes ? (config->max_bytes + 4095) / 4096 : UINT32_MAX - 1;

	sqlite3_busy_timeout(s->db, 5000);
	if (sqlite_feed_offer(s->db, &s->feed) != SQLITE_OK)
		return sqlite_result(s);
	snprintf(pragmas, sizeof(pragmas),
		 "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA temp_store = MEMORY;"
		 "PRAGMA cache_size = -65536; PRAGMA max_page_count = %llu; PRAGMA journal_size_limit = %u;",
		 config->sync ? "FULL" : "NORMAL", (unsigned long long)pages, SQLITE_WAL_KEPT);
	sqlite3_exec(s->db, pragmas, NULL, NULL, NULL);
	int result = sqlite_result(s);
	if (result == STORE_OK)
		result = check_schema(s);
	return result == STORE_OK ? sqlite_refresh(s) : result;
}

/* One transaction from the beginning to the end: arrivals that are merged meanwhile would be read twice, or never. */
static int set_up_reading(struct sqlite_store *s)
{
	sqlite3_busy_timeout(s->db, 5000);
	sqlite3_exec(s->db, "BEGIN", NULL, NULL, NULL);
	int result = sqlite_result(s);
	if (result == STORE_OK)
		result = check_schema(s);
	return result == STORE_OK ? sqlite_refresh(s) : result;
}

int store_sqlite_open(const struct store_sqlite_config *config, struct store *out, char *why, size_t why_cap)
{
	struct sqlite_store *s = copse_mem_new(1, sizeof(*s));

	*out = (struct store){0};
	if (why_cap)
		why[0] = 0;
	if (!s)
		return STORE_NOMEM;
	s->series.size = sizeof(struct sqlite_series);
	s->pending.size = sizeof(struct sqlite_pending);
	copse_host_random(s->key, sizeof(s->key));
	/* A store belongs to one thread at a time: SQLite need not lock. */
	int flags = SQLITE_OPEN_NOMUTEX |
		    (config->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	int result = sqlite3_open_v2(config->path, &s->db, flags, NULL) ? sqlite_result(s)
		     : config->read_only                                ? set_up_reading(s)
									: set_up(s, config);
	if (result < 0) {
		snprintf(why, why_cap, "%s: %s (%s)", config->path, store_result_text(result),
			 sqlite3_errmsg(s->db));
		sqlite_close(s);
		return result;
	}
	*out = (struct store){&ops, s};
	return STORE_OK;
}
