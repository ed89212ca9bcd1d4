/* The store: what devices sent, and what is known about them, kept where it survives a restart.
 *
 * One interface, several back ends (store_memory.c, store_sqlite.c), one suite that each of them passes
 * (tests/unit/store/suite.c). Everything here blocks and allocates: a store belongs to one thread, which is never a
 * worker's. service.h is that thread.
 *
 * Invariants:
 *   - What store_write has taken without error is there after any crash of the process, each batch whole or not at all.
 *   - A reading never replaces another one, not even with the same device, name and time.
 *   - A batch with an origin that is known already is not stored again. An origin is known for STORE_ORIGIN_US before and
 *     behind the time at which it came: a clock that is set back makes nobody look like somebody of next year.
 *
 * Times are microseconds since 1970 (UTC).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <copse/types.h>

/* Longest texts, without the NUL; longer ones are refused by store_write (STORE_INVALID). */
#define STORE_DEVICE_MAX 95
#define STORE_NAME_MAX   127
#define STORE_UNIT_MAX   63
#define STORE_PATH_MAX   255
#define STORE_TEXT_MAX   255   /* of each field about a device */
#define STORE_EXTRA_MAX  4096  /* of its free keys, as JSON */
#define STORE_BYTES_MAX  65536 /* of a value, or a document */

#define STORE_NEVER INT64_MAX /* "does not expire" */

enum store_result {
	STORE_OK = 0,
	STORE_DUPLICATE = 1, /* of a batch: its origin was known, it has not been stored again */
	STORE_INVALID = -1,  /* of a batch: a text is too long, or a number is none */
	STORE_FULL = -2,     /* no space left on the device, or the configured bound */
	STORE_READONLY = -3,
	STORE_DAMAGED = -4, /* the file is none of ours, or broken */
	STORE_NOMEM = -5,
	STORE_IO = -6,      /* any other fault of the system below */
	STORE_STOPPED = -7, /* the service was closed, or has no store */
	STORE_GONE =
	    -8 /* the file is not any more where it was opened, or has been cut: nothing can be kept in it */
};

/* A sentence about a result, static storage. */
const char *store_result_text(int result);

enum store_kind { STORE_NONE, STORE_NUMBER, STORE_BOOL, STORE_TEXT, STORE_DATA };

/* One measured value. Texts end with a NUL; they are the caller's, or, in a row, valid until the row function returns. */
struct store_reading {
	const char *device, *name, *unit; /* `unit` may be "" */
	int64_t time;
	int64_t received;
	int64_t expires; /* until when it may be served as current, or STORE_NEVER */
	double number;   /* STORE_NUMBER; STORE_BOOL: 0 or 1 */
	double sum;
	const uint8_t *bytes; /* STORE_TEXT (UTF-8), STORE_DATA */
	uint32_t len;
	uint8_t kind; /* enum store_kind; STORE_NONE: a sum alone */
	bool has_sum;
	int64_t id; /* in a row: the later a reading was stored, the greater */
};

/* What was sent to a path: kept byte for byte, each one. */
struct store_document {
	const char *path;
	int64_t received, expires;
	const uint8_t *bytes;
	uint32_t len;
	uint32_t format; /* Content-Format, or COPSE_FORMAT_NONE */
};

/* What is known about a device beside its readings. Texts may be "". */
struct store_device {
	const char *name, *label, *location, *type, *group, *unit;
	const char *extra; /* free keys: a JSON object, or "" */
	bool sleeping;
	bool gone; /* forget what is known, keep the readings */
};

/* Everything that one message brought: stored whole or not at all. */
struct store_batch {
	const struct store_reading *reading;
	const struct store_document *document;
	const struct store_device *device; /* replaces what was known */
	uint32_t reading_n, document_n, device_n;
	uint64_t origin;  /* tells this message from every other one; 0: none is remembered */
	int64_t received; /* when: origins are remembered for STORE_ORIGIN_US */
	int result;       /* enum store_result, set by store_write */
};

/* How long an origin is remembered: longer than EXCHANGE_LIFETIME of any sender (RFC 7252 §4.8.2). */
#define STORE_ORIGIN_US ((int64_t)600 * 1000000)

/* Whether an origin that came at `received` is known at `now`. */
static inline bool store_is_origin_fresh(int64_t received, int64_t now)
{
	return received >= now - STORE_ORIGIN_US && received <= now + STORE_ORIGIN_US;
}

enum store_aggregate {
	STORE_AGG_NONE,
	STORE_AGG_MEAN,
	STORE_AGG_MIN,
	STORE_AGG_MAX,
	STORE_AGG_SUM,
	STORE_AGG_COUNT
};

enum store_subject {
	STORE_READINGS, /* rows are readings: each series by itself, ascending in time; series ascending in name */
	STORE_LATEST,    /* rows are readings: the newest one of each series */
	STORE_DOCUMENTS, /* rows are documents: the newest `last` at `path`, ascending in time of arrival */
	STORE_PATHS,     /* rows are documents without bytes: the newest at each path below `path` */
	STORE_DEVICES    /* rows are devices about which something is known */
};

/* Readings asked for in pages: where the next one begins. Begin with zeros and use the same query for every page. All
 * pages together are one state of the store: what arrives after the first page is in none of them. What retention
 * removes meanwhile is missing. */
struct store_cursor {
	bool begun, done; /* done: that was the last page */
	/* private */
	bool inside;     /* of the series below, behind the reading of `time` and `id` */
	int64_t ceiling; /* readings from this id on have come later */
	int64_t time, id;
	char device[STORE_DEVICE_MAX + 1], name[STORE_NAME_MAX + 1];
	struct store_bucket {
		char device[STORE_DEVICE_MAX + 1], name[STORE_NAME_MAX + 1], unit[STORE_UNIT_MAX + 1];
		int64_t begin, received;
		uint64_t n;
		double sum, min, max;
	} bucket; /* that a page ended in */
};

struct store_query {
	uint8_t subject;           /* enum store_subject */
	const char *const *device; /* READINGS, LATEST: which devices, ascending by strcmp, */
	uint32_t device_n;         /* and how many; 0: all of them */
	const char *name;          /* and which of their series; NULL: all */
	const char *path;          /* DOCUMENTS, PATHS */
	int64_t from, to;          /* READINGS: from <= time < to */
	uint32_t last;             /* READINGS: the newest so many of each series; 0: all */
	int64_t every;             /* READINGS: width of a bucket, > 0 with an aggregate */
	enum store_aggregate agg;  /* of numbers; buckets begin at multiples of `every` since 1970 */

	struct store_cursor *cursor; /* READINGS: in pages; or NULL */
	uint32_t page;               /* readings looked at for one page, 0: no bound but what the rows say */
};

struct store_row {
	const struct store_reading *reading;   /* or */
	const struct store_document *document; /* or */
	const struct store_device *device;
};

/* Take a row. Returns 0 to go on, < 0 to end the query with it, or, where there is a cursor, > 0: the page is full. */
typedef int store_row_fn(void *user, const struct store_row *row);

struct store_usage {
	bool count;                   /* the caller's: count what costs time where there is much of it */
	uint64_t readings, documents; /* 0 unless counted */
	uint64_t series, bytes;       /* bytes: that the store takes up */
	int64_t
	    oldest; /* time of the oldest reading, or when the oldest document came; STORE_NEVER: there is neither */
};

/* What a back end provides. All return STORE_OK or a result < 0. */
struct store_ops {
	const char *name;

	/* Store `n` batches in one transaction. Sets the result of each; when it returns an error nothing was stored. */
	int (*write)(void *self, struct store_batch *const *batch, size_t n);

	/* Rows without aggregates, in the order of the subject. With a cursor: those behind it and below its
	 * ceiling, which is set when it has not begun; the caller keeps it up to date and ends the page. */
	int (*read)(void *self, const struct store_query *query, store_row_fn *row, void *user);

	/* Remove the readings and documents that are older than `before`, and forget origins older than `origins`, or later
	 * than two times STORE_ORIGIN_US behind it. */
	int (*trim)(void *self, int64_t before, int64_t origins);

	int (*usage)(void *self, struct store_usage *usage);

	void (*close)(void *self);
};

struct store {
	const struct store_ops *ops;
	void *self;
};

/* Readings in memory alone: for tests, and for a gateway that need not remember. At most `max_bytes` (0: no
 * bound), beyond: STORE_FULL. Returns STORE_OK or STORE_NOMEM. */
int store_memory_open(uint64_t max_bytes, struct store *out);

struct store_sqlite_config {
	const char *path;
	uint64_t max_bytes; /* of the database's file, rounded to pages; 0: no bound. Beyond: STORE_FULL */
	bool sync; /* each transaction survives a loss of power too, not just the end of the process */
	bool
	    read_only; /* the file must be there; what stands in it when it is opened is what is read, whoever writes */
};

/* Open or make a database. `why` gets a sentence when it fails. Returns STORE_OK, or an error with nothing open. */
int store_sqlite_open(const struct store_sqlite_config *config, struct store *out, char *why, size_t why_cap);

/* As the members of struct store_ops, with these differences. Batches are checked first: STORE_INVALID for that
 * one alone. Many are written in several transactions, so that with an error the result of each batch says whether
 * it is stored. A query with an aggregate gives one reading for each bucket that is not empty, with its beginning
 * as time. */
int store_write(struct store *store, struct store_batch *const *batch, size_t n);
int store_read(struct store *store, const struct store_query *query, store_row_fn *row, void *user);
int store_trim(struct store *store, int64_t before, int64_t origins);
int store_usage(struct store *store, struct store_usage *usage);
void store_close(struct store *store);

/* Whether the parts of a batch keep to the bounds above. */
bool store_batch_is_valid(const struct store_batch *batch);

/* For back ends: whether `query` is about the series `name` of `device`. */
bool store_query_asks(const struct store_query *query, const char *device, const char *name);

/* For back ends: where this series stands to the cursor of `query`: < 0: it has been read; 0: in the middle of it;
 * > 0: it is still to be read. Without a cursor > 0. */
int store_query_place(const struct store_query *query, const char *device, const char *name);

/* For back ends: ids from this one on are not asked for. */
static inline int64_t store_query_ceiling(const struct store_query *query)
{
	return query->cursor ? query->cursor->ceiling : INT64_MAX;
}

#endif
