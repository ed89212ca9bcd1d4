/* The inside of the SQLite back end, for the files that make it up.
 *
 * Invariant: what `series` and `pending` hold agrees with the database. A transaction that fails makes them stale,
 * and they are read again before the next use.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_STORE_SQLITE_H
#define STORE_STORE_SQLITE_H

#include "core/table.h"
#include "store.h"
#include "vector.h"

#include <sqlite3.h>

enum statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_ADD_ORIGIN,
	SQL_ADD_DEVICE,
	SQL_FIND_DEVICE,
	SQL_ADD_SERIES,
	SQL_ADD_FIRST,
	SQL_ADD_NEXT,
	SQL_ADD_NEXT_PLAIN,
	SQL_ADD_DOCUMENT,
	SQL_SET_DEVICE,
	SQL_FORGET_DEVICE,
	SQL_MERGE,
	SQL_MERGE_KNOWN,
	SQL_MERGED,
	SQL_MERGED_NEXT,
	SQL_CLEAR_ARRIVAL,
	SQL_GET_ARRIVAL,
	SQL_READ_RANGE,
	SQL_READ_LATEST,
	SQL_READ_LAST,
	SQL_COUNT_RANGE,
	SQL_READ_DOCUMENTS,
	SQL_READ_PATHS,
	SQL_READ_DEVICES,
	SQL_TRIM_ARRIVAL,
	SQL_TRIM_SERIES,
	SQL_TRIM_DOCUMENTS,
	SQL_TRIM_ORIGINS,
	SQL_N
};

struct sqlite_series {
	int64_t id;
	char *device; /* ours, in one piece with the two below */
	const char *name, *unit;
	uint32_t hash;
	uint32_t pending_n;
	uint32_t newest; /* of its arrivals: place in `pending` + 1 */
};

/* An arrival. What it refers to is there until its transaction ends. */
struct sqlite_pending {
	int64_t id, time, received, expires;
	union {
		double number;        /* STORE_NUMBER, STORE_BOOL */
		const uint8_t *bytes; /* STORE_TEXT, STORE_DATA; or NULL */
	} value;
	double sum;
	const char *unit; /* NULL: that of its series */
	uint32_t len;     /* of the bytes */
	uint32_t series;  /* place */
	uint32_t older;   /* of the same series: place + 1 */
	uint8_t kind;     /* enum store_kind */
	bool has_sum;
};

/* Columns of a reading, in the order of all statements. */
enum sqlite_column { COL_SERIES, COL_TIME, COL_ID, COL_UNIT, COL_VALUE, COL_SUM, COL_RECEIVED, COL_EXPIRES };

/* The rows that stand in the table `coming`: `n` of them, in the order of `row`, or in `order` if that is not NULL. */
struct sqlite_feed {
	const struct sqlite_series *series;
	const struct sqlite_pending *row;
	const uint32_t *order;
	size_t n;
};

struct sqlite_store {
	sqlite3 *db;
	sqlite3_stmt *statement[SQL_N]; /* made when first used */
	struct store_vector series;     /* of struct sqlite_series, in the order in which they were met */
	struct store_vector pending;    /* of struct sqlite_pending, in the order of their ids */
	struct sqlite_feed feed;
	struct core_table index;        /* of series, by hash: place + 1 */
	const struct sqlite_series *
	    *order; /* ascending in device and name; of order_n series: else to be made anew */
	size_t order_n;
	uint32_t index_cap;
	uint64_t key[2];
	int64_t next; /* id of the next arrival */
	struct sqlite_file {
		uint64_t device, inode; /* 0: not known yet */
		int64_t size;
	} file, log;       /* as they were when they were looked at last */
	bool gone;         /* one of them is another one, or none */
	size_t merge_from; /* nothing is merged with fewer arrivals: the last time it failed */
	bool fresh;        /* series and pending agree with the database */
	bool crowded;      /* a series has SQLITE_MERGE_SERIES arrivals */
	bool wide;         /* something pending has a unit of its own, a sum or a term */
	bool partial;      /* `pending` lacks texts or units of some: only the database knows all of them */
};

/* Arrivals are merged when there are so many, or so many of one series: a query never has to sort more than that. */
#define SQLITE_MERGE_ALL    262144u
#define SQLITE_MERGE_SERIES 4096u

/* Bytes of the log that are left on the disk, once what it has is in the database: a transaction may need more meanwhile,
 * up to what it changes. */
#define SQLITE_WAL_KEPT 16777216u

/* The statement, ready to be bound and stepped; NULL without memory or when the database is damaged. */
sqlite3_stmt *sqlite_statement(struct sqlite_store *s, enum statement which);

/* Step a statement that gives no rows, and reset it. Returns a store_result. */
int sqlite_do(struct sqlite_store *s, sqlite3_stmt *statement);

/* The store_result of what the database said last. */
int sqlite_result(struct sqlite_store *s);

/* Read series and arrivals again, if a failed transaction has made them stale. Returns a store_result. */
int sqlite_refresh(struct sqlite_store *s);

/* store_sqlite_rows.c */

/* Make the table `coming` of what `feed` says whenever a statement reads it. Returns an SQLite result. */
int sqlite_feed_offer(sqlite3 *db, const struct sqlite_feed *feed);

/* The places of all that is pending, in the order of series, time and id; to be freed. NULL without memory. */
uint32_t *sqlite_feed_order(const struct store_vector *series, const struct store_vector *pending);

/* store_sqlite_read.c */
int sqlite_read(void *self, const struct store_query *query, store_row_fn *row, void *user);

#endif
