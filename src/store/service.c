/* See service.h. Two lock-free rings of one producer and one consumer each join the threads; none can overflow,
 * since the jobs under way are counted. The store's thread sleeps on a semaphore, which is only posted when it
 * said that it goes to sleep.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "service.h"

#include <copse/mem.h>

#include "transport/ring.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define GROUP_MAX     8192 /* batches in one transaction */
#define TRIM_EVERY_US ((int64_t)10 * 60 * 1000000)
#define ROOM_ROUNDS   64 /* by which room is made at once, */
#define REOPEN_US     ((int64_t)1000000)
#define FULL_US       ((int64_t)10 * 1000000)   /* and how long to wait when that was of no use */
#define JUMP_US       ((int64_t)3600 * 1000000) /* six times as long: the clock has jumped */
#define MAGIC         0x73746f72u

/* The rings carry pointers to jobs. */
static bool put_job(struct ring *r, struct store_job *job)
{
	struct store_job **slot = ring_reserve(r, 0);

	if (!slot)
		return false;
	*slot = job;
	ring_commit(r);
	return true;
}

static struct store_job *take_job(struct ring *r)
{
	struct store_job **slot = ring_first(r), *job = slot ? *slot : NULL;

	if (slot)
		ring_release(r);
	return job;
}

struct store_service {
	uint32_t magic;
	struct store_service_config config;
	/* shared */
	struct ring in, out;
	sem_t wake;
	_Atomic bool sleeping, stopping;
	_Atomic uint32_t jobs; /* handed in, and not yet taken back or freed */
	_Atomic uint64_t bytes;
	_Atomic int state;
#define COUNTER(name, text) _Atomic uint64_t name;
#include <copse/registry/store_counters.def>
#undef COUNTER
	/* the client's */
	pthread_t thread;
	/* the store's thread's, once it runs */
	struct store store; /* none: it is gone, and could not be opened again because of `missing` */
	int missing;
	struct store_job *group[GROUP_MAX];
	struct store_batch *batch[GROUP_MAX];
	int64_t last_trim, spare_until, full_at, reopened_at;
};

struct store_job *store_job_new(size_t bytes)
{
	struct store_job *job = copse_mem_new(1, sizeof(*job) + bytes);

	if (job)
		job->bytes = (uint32_t)(sizeof(*job) + bytes);
	return job;
}

void store_job_free(struct store_job *job)
{
	if (!job)
		return;
	store_buffer_free(&job->out);
	copse_mem_free(job);
}

static void forget(struct store_service *s, const struct store_job *job)
{
	atomic_fetch_sub(&s->bytes, job->bytes);
	atomic_fetch_sub(&s->jobs, 1);
}

/* --- the store's thread --- */

static void finish(struct store_service *s, struct store_job *job)
{
	if (job->quiet) {
		forget(s, job);
		store_job_free(job);
	} else {
		bool room = put_job(&s->out, job);
		COPSE_ASSERT(room);
	}
}

static void count_batch(struct store_service *s, const struct store_batch *b)
{
	switch (b->result) {
	case STORE_OK:
		s->batches++;
		s->readings += b->reading_n;
		s->documents += b->document_n;
		break;
	case STORE_DUPLICATE: s->duplicates++; break;
	case STORE_INVALID: s->invalid++; break;
	default: s->failed++; break;
	}
}

static bool make_room(struct store_service *s, int64_t now);

/* Whether less than `span` has passed since `before`; 0: never. */
static bool is_recent(int64_t before, int64_t now, int64_t span)
{
	return before && now >= before && now - before < span;
}

static int fail_all(struct store_service *s, size_t n, int result)
{
	for (size_t i = 0; i < n; i++)
		s->batch[i]->result = result;
	return result;
}

/* Write into the store, if there is one; when its file is gone, into one that is opened anew, at once or when it has been
 * tried lately. */
static int write_here(struct store_service *s, size_t n)
{
	const int64_t now = s->config.wall(s->config.self);
	int result = s->store.ops ? store_write(&s->store, s->batch, n) : fail_all(s, n, s->missing);

	if ((s->store.ops && result != STORE_GONE) || !s->config.reopen ||
	    is_recent(s->reopened_at, now, REOPEN_US))
		return result;
	s->reopened_at = now;
	store_close(&s->store);
	s->missing = s->config.reopen(s->config.self, &s->store);
	if (s->missing < 0)
		return fail_all(s, n, s->missing);
	s->reopened++;
	return store_write(&s->store, s->batch, n);
}

/* Once more those for which there was no room, if the oldest readings can make some. Returns what the store says. */
static int write_again(struct store_service *s, size_t n)
{
	const int64_t now = s->config.wall(s->config.self);
	size_t left = 0;

	if (is_recent(s->full_at, now, FULL_US))
		return STORE_FULL;
	s->full_at = now;
	if (!make_room(s, now))
		return STORE_FULL;
	for (size_t i = 0; i < n; i++)
		if (s->batch[i]->result == STORE_FULL)
			s->batch[left++] = s->batch[i];
	int result = store_write(&s->store, s->batch, left);
	s->full_at = result == STORE_FULL ? now : 0;
	return result;
}

static void write_group(struct store_service *s, size_t n)
{
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		s->batch[i] = &s->group[i]->batch;
	int result = write_here(s, n);
	if (result == STORE_FULL)
		result = write_again(s, n);
	atomic_store(&s->state, result);
	s->transactions += result == STORE_OK;
	for (size_t i = 0; i < n; i++) {
		s->group[i]->result = s->group[i]->batch.result;
		count_batch(s, &s->group[i]->batch);
		finish(s, s->group[i]);
	}
	/* not only when all is done: where more comes in all the time that is never */
	s->config.wake(s->config.self);
}

static int take_row(void *user, const struct store_row *row)
{
	struct store_job *job = user;
	int err = job->render(job->user, &job->out, row);

	return err < 0 ? err : job->out.failed ? STORE_FULL : err;
}

static void answer(struct store_service *s, struct store_job *job)
{
	job->out.max = s->config.answer_max;
	job->result = s->store.ops ? store_read(&s->store, &job->query, take_row, job) : s->missing;
	if (job->result == STORE_OK)
		job->result = take_row(job, NULL) < 0 ? STORE_FULL : STORE_OK;
	s->queries++;
	s->queries_long += job->out.failed;
	s->queries_failed += job->result < 0 && !job->out.failed;
	finish(s, job);
	s->config.wake(s->config.self);
}

static bool is_query(const struct store_job *job)
{
	return job->render != NULL;
}

static bool is_larger(struct store_service *s, uint64_t bytes, struct store_usage *usage)
{
	*usage = (struct store_usage){0};
	return s->config.store_max && store_usage(&s->store, usage) == STORE_OK && usage->bytes > bytes &&
	       usage->oldest != STORE_NEVER;
}

/* The time before which the oldest go: a part of all the time that there are readings of. Those of the future, by a clock
 * that was wrong, go last, each time those of a longer span. */
static int64_t next_oldest(int64_t oldest, int64_t now, int64_t part, unsigned round)
{
	if (oldest < now)
		return oldest + (now - oldest) / part + 1;
	const int64_t span = INT64_C(1000000) << (round < 40 ? round : 40);
	return oldest < INT64_MAX - span ? oldest + span : INT64_MAX;
}

/* When the store is larger than its bound its oldest go, by time, until it takes up nine tenths of that: a twentieth of the
 * time at once, more where little goes by that. Returns whether something went. */
static bool make_room(struct store_service *s, int64_t now)
{
	const uint64_t wanted = s->config.store_max - s->config.store_max / 10;
	struct store_usage usage;
	uint64_t before = UINT64_MAX;
	int64_t part = 20;
	bool went = false;

	if (!is_larger(s, s->config.store_max, &usage))
		return false;
	for (unsigned round = 0; round < ROOM_ROUNDS && is_larger(s, wanted, &usage); round++) {
		const bool little = before < usage.bytes + s->config.store_max / 200;
		part = !little ? 20 : part > 2 ? part / 2 : 2;
		before = usage.bytes;
		if (store_trim(&s->store, next_oldest(usage.oldest, now, part, round),
			       now - STORE_ORIGIN_US) != STORE_OK)
			break;
		went = true;
	}
	s->trimmed_size += went;
	return went;
}

/* The time before which readings are too old. A clock that leaps ahead makes everything old at once, and what is removed
 * is gone: after a leap nothing is too old for JUMP_US more, in which the clock may be set right. */
static int64_t too_old(struct store_service *s, int64_t now)
{
	if (s->last_trim && now - s->last_trim > JUMP_US) {
		s->spare_until = now + JUMP_US;
		s->leaps++;
	}
	if (s->spare_until - now > JUMP_US) /* set right meanwhile */
		s->spare_until = 0;
	return s->config.keep_us && now >= s->spare_until ? now - s->config.keep_us : INT64_MIN;
}

/* Remove what is too old, and what is too much. */
static void trim(struct store_service *s)
{
	int64_t now = s->config.wall(s->config.self), before;

	if (s->last_trim && now - s->last_trim < TRIM_EVERY_US && now >= s->last_trim)
		return;
	before = too_old(s, now);
	s->last_trim = now;
	if (!s->store.ops)
		return;
	s->trimmed += store_trim(&s->store, before, now - STORE_ORIGIN_US) == STORE_OK;
	make_room(s, now);
}

/* Everything that lies in the queue, in its order: batches between two queries are one transaction. Returns whether there
 * was something. */
static bool work(struct store_service *s)
{
	struct store_job *job;
	size_t n = 0, done = 0;

	while ((job = take_job(&s->in))) {
		done++;
		if (is_query(job)) {
			write_group(s, n);
			n = 0;
			answer(s, job);
			continue;
		}
		s->group[n++] = job;
		if (n == GROUP_MAX) {
			write_group(s, n);
			n = 0;
		}
	}
	write_group(s, n);
	return done > 0;
}

/* Wait until something is queued, `wait_us` have passed, or the service is to end. */
static void sleep_for(struct store_service *s, int64_t wait_us)
{
	struct timespec at;

	atomic_store(&s->sleeping, true);
	if (ring_used(&s->in) > 0 || atomic_load(&s->stopping)) {
		atomic_store(&s->sleeping, false);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += (time_t)(wait_us / 1000000);
	at.tv_nsec += (long)(wait_us % 1000000) * 1000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	while (sem_timedwait(&s->wake, &at) != 0 && errno == EINTR)
		continue;
	atomic_store(&s->sleeping, false);
}

static void linger(struct store_service *s)
{
	const struct timespec span = {0, (long)s->config.linger_us * 1000};

	if (s->config.linger_us && ring_used(&s->in) < GROUP_MAX)
		nanosleep(&span, NULL);
}

static void *run(void *self)
{
	struct store_service *s = self;

	for (;;) {
		bool last = atomic_load(&s->stopping);
		if (ring_used(&s->in) > 0 && !last)
			linger(s);
		bool worked = work(s);
		if (!worked && last)
			return NULL;
		if (!worked)
			sleep_for(s, TRIM_EVERY_US);
		trim(s);
	}
}

/* --- the client --- */

static bool make(struct store_service *s)
{
	sigset_t all, old;

	if (!ring_init(&s->in, s->config.jobs, sizeof(struct store_job *)) ||
	    !ring_init(&s->out, s->config.jobs, sizeof(struct store_job *)) || sem_init(&s->wake, 0, 0) != 0)
		return false;
	sigfillset(&all); /* signals are for others */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err == 0;
}

struct store_service *store_service_new(const struct store_service_config *config, struct store *store)
{
	struct store_service *s = copse_mem_new(1, sizeof(*s));

	COPSE_ASSERT(config->jobs > 0 && config->linger_us < 1000000);
	if (!s)
		return NULL;
	s->magic = MAGIC;
	s->config = *config;
	s->store = *store;
	if (make(s))
		return s;
	ring_free(&s->in);
	ring_free(&s->out);
	copse_mem_free(s);
	return NULL;
}

void store_service_free(struct store_service *s)
{
	struct store_job *job;

	if (!s)
		return;
	COPSE_ASSERT(s->magic == MAGIC);
	atomic_store(&s->stopping, true);
	sem_post(&s->wake);
	pthread_join(s->thread, NULL);
	while ((job = store_service_done(s)))
		store_job_free(job);
	store_close(&s->store);
	sem_destroy(&s->wake);
	ring_free(&s->in);
	ring_free(&s->out);
	s->magic = 0;
	copse_mem_free(s);
}

bool store_service_has_room(struct store_service *s, uint32_t bytes)
{
	COPSE_ASSERT(s->magic == MAGIC);
	if (atomic_load(&s->jobs) < s->config.jobs && atomic_load(&s->bytes) + bytes <= s->config.bytes)
		return true;
	s->refused++;
	return false;
}

bool store_service_put(struct store_service *s, struct store_job *job)
{
	if (!store_service_has_room(s, job->bytes))
		return false;
	atomic_fetch_add(&s->jobs, 1);
	atomic_fetch_add(&s->bytes, job->bytes);
	bool room = put_job(&s->in, job);
	COPSE_ASSERT(room);
	if (atomic_load(&s->sleeping) && atomic_exchange(&s->sleeping, false))
		sem_post(&s->wake);
	return true;
}

struct store_job *store_service_done(struct store_service *s)
{
	struct store_job *job;

	COPSE_ASSERT(s->magic == MAGIC);
	job = take_job(&s->out);
	if (!job)
		return NULL;
	forget(s, job);
	return job;
}

void store_service_counters(struct store_service *s, struct store_service_counters *out)
{
#define COUNTER(name, text) out->name = atomic_load(&s->name);
#include <copse/registry/store_counters.def>
#undef COUNTER
}

int store_service_state(struct store_service *s)
{
	return atomic_load(&s->state);
}
