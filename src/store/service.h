/* The thread that owns a store, behind a bounded queue: so that nothing in a worker ever waits for a disk.
 *
 * One thread, the client, hands in jobs and takes them back when they are done; it is woken for that. The queue
 * says no when it is full. Batches that lie in the queue are stored in one transaction, as many as there are.
 *
 *	store_service_put
 *	... `wake` is called, in the store's thread ...
 *	while ((job = store_service_done(service)))
 *		use it; store_job_free(job)
 *
 * The bound: `jobs` jobs handed in and not yet taken back (or freed), and `bytes` bytes of all of these. Beyond:
 * the job stays the caller's, and `refused` counts.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_SERVICE_H
#define STORE_SERVICE_H

#include "buffer.h"
#include "store.h"

struct store_service;

/* Write an answer: called in the store's thread, with the job's `user`, for each row, then once with NULL at the
 * end, of a page where there are pages. Returns 0, < 0 to give up, > 0: the page is full. A job may be handed in again
 * for its next page, which is appended to `out`. */
typedef int store_render_fn(void *user, struct store_buffer *out, const struct store_row *row);

struct store_job {
	/* the client's */
	void *user;
	uint64_t tag;
	bool quiet;               /* a batch that is freed when it is done, and not handed back */
	uint32_t bytes;           /* that the job takes up in memory: set by store_job_new */
	struct store_batch batch; /* to be stored, if it has any parts; or */
	struct store_query query; /* with `render` */
	store_render_fn *render;
	/* the answer */
	int result; /* enum store_result; of a query STORE_FULL: the answer was longer than allowed */
	struct store_buffer out; /* of a query */
	/* private */
	struct store_job *next;
	max_align_t room[];
};

/* A job with `bytes` bytes of memory behind it at `room`, zeroed. NULL without memory. */
struct store_job *store_job_new(size_t bytes);
void store_job_free(struct store_job *job);

struct store_service_config {
	uint32_t jobs;       /* 1 or more */
	uint64_t bytes;      /* of all jobs */
	uint32_t answer_max; /* bytes of the longest answer to a query */
	uint32_t linger_us;  /* how long to wait for more before a transaction begins; 0: not at all */

	/* Retention: readings and documents older than so many microseconds go, 0: none; and the oldest, when the store
	 * takes up more than `store_max` bytes, 0: no bound. That is looked after every ten minutes, and when the store is
	 * full: it should have some more room than `store_max`, which is used meanwhile. What does not fit even then is
	 * STORE_FULL. */
	int64_t keep_us;
	uint64_t store_max;

	/* Open the store again, in its thread: its file is gone (STORE_GONE) and has been closed. Returns a store_result.
	 * Called at most once a second, and only when something is to be stored. May be NULL. */
	int (*reopen)(void *self, struct store *out);

	int64_t (*wall)(void *self); /* microseconds since 1970 */
	void (*wake)(void *self);    /* called in the store's thread: something is done */
	void *self;
};

/* Start the thread. `store` is taken, and closed with the service. NULL without memory or threads: the store stays the
 * caller's. */
struct store_service *store_service_new(const struct store_service_config *config, struct store *store);

/* Store everything that is queued, end the thread, close the store and free. Jobs not taken back are freed. NULL
 * is taken. */
void store_service_free(struct store_service *service);

/* Hand in a job. Returns true, or false: the queue is full, the job stays the caller's. */
bool store_service_put(struct store_service *service, struct store_job *job);

/* Whether a job of `bytes` bytes would be taken now: what is true stays true until the client hands in another one. A
 * refusal counts. */
bool store_service_has_room(struct store_service *service, uint32_t bytes);

/* The next job that is done, or NULL. */
struct store_job *store_service_done(struct store_service *service);

struct store_service_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/store_counters.def>
#undef COUNTER
};

/* A copy of the counters; jobs that are under way may or may not have been counted. */
void store_service_counters(struct store_service *service, struct store_service_counters *out);

/* The last error of a transaction, or STORE_OK: for a log. */
int store_service_state(struct store_service *service);

#endif
