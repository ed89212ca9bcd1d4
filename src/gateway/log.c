/* The ring between those who log and the thread that writes: many producers, one consumer, no lock.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"

#include <copse/mem.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A slot is free for position p while seq == p, and readable while seq == p + 1 (D. Vyukov's bounded queue). */
struct slot {
	atomic_size_t seq;
	size_t len;
	char line[GW_LOG_LINE];
};

struct gw_log {
	/* shared */
	atomic_int level;
	atomic_size_t head;       /* next position to write */
	atomic_ullong dropped;    /* lines that found no slot */
	atomic_llong second;      /* which second the strangers' lines are counted in */
	atomic_uint strangers;    /* their number in that second */
	atomic_ullong suppressed; /* theirs beyond the limit */
	atomic_bool ending;
	sem_t filled;
	/* the writer's */
	int fd;
	size_t tail;
	unsigned long long told_dropped;
	pthread_t writer;
	struct slot slot[GW_LOG_RING];
};

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nowhere to complain */
		bytes += n;
		len -= (size_t)n;
	}
}

static void tell(struct gw_log *log, const char *what, unsigned long long now, unsigned long long *told)
{
	char line[GW_LOG_LINE], count[GW_LOG_NUMBER];
	const struct gw_field field = {"count", gw_log_number(count, (long long)(now - *told))};

	if (now == *told)
		return;
	*told = now;
	write_all(log->fd, line,
		  gw_log_format(line, sizeof(line), wall_ms(), GW_LOG_WARN, "log", what, &field, 1));
}

static bool write_one(struct gw_log *log)
{
	struct slot *slot = &log->slot[log->tail % GW_LOG_RING];

	if (atomic_load_explicit(&slot->seq, memory_order_acquire) != log->tail + 1)
		return false;
	write_all(log->fd, slot->line, slot->len);
	atomic_store_explicit(&slot->seq, log->tail + GW_LOG_RING, memory_order_release);
	log->tail++;
	return true;
}

/* The semaphore counts lines, and one for the end; what was left out is told as soon as the ring is empty, and at the
 * end. */
static void *writer(void *self)
{
	struct gw_log *log = self;

	for (;;) {
		while (sem_wait(&log->filled) != 0)
			;
		while (write_one(log))
			;
		tell(log, "lines dropped, the log's queue was full", atomic_load(&log->dropped),
		     &log->told_dropped);
		if (atomic_load(&log->ending))
			break;
	}
	tell(log, "lines about strangers left out", atomic_load(&log->suppressed), &(unsigned long long){0});
	return NULL;
}

static int start_writer(struct gw_log *log)
{
	sigset_t all, old;

	/* signals are for other threads */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&log->writer, NULL, writer, log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

struct gw_log *gw_log_new(int fd, enum gw_log_level level)
{
	struct gw_log *log = copse_mem_new(1, sizeof(*log));

	if (!log)
		return NULL;
	log->fd = fd;
	atomic_store(&log->level, (int)level);
	for (size_t i = 0; i < GW_LOG_RING; i++)
		atomic_store(&log->slot[i].seq, i);
	if (sem_init(&log->filled, 0, 0) != 0 || start_writer(log) != 0) {
		copse_mem_free(log);
		return NULL;
	}
	return log;
}

void gw_log_free(struct gw_log *log)
{
	if (!log)
		return;
	atomic_store(&log->ending, true);
	sem_post(&log->filled);
	pthread_join(log->writer, NULL);
	sem_destroy(&log->filled);
	copse_mem_free(log);
}

void gw_log_set_level(struct gw_log *log, enum gw_log_level level)
{
	atomic_store(&log->level, (int)level);
}

/* Whether a stranger's line may be written in the second of `at_ms`. Approximate at the turn of the second when two
 * threads meet there. When a second begins after one that left lines out, `*left_out` is how many. */
static bool stranger_may(struct gw_log *log, int64_t at_ms, unsigned long long *left_out)
{
	long long second = at_ms / 1000, old = atomic_load(&log->second);

	*left_out = 0;
	if (second != old && atomic_compare_exchange_strong(&log->second, &old, second)) {
		atomic_store(&log->strangers, 0);
		*left_out = atomic_exchange(&log->suppressed, 0);
	}
	if (atomic_fetch_add(&log->strangers, 1) < GW_LOG_STRANGER)
		return true;
	atomic_fetch_add(&log->suppressed, 1);
	return false;
}

static struct slot *claim(struct gw_log *log, size_t *position)
{
	size_t head = atomic_load(&log->head);

	for (;;) {
		struct slot *slot = &log->slot[head % GW_LOG_RING];
		size_t seq = atomic_load_explicit(&slot->seq, memory_order_acquire);
		if (seq == head) {
			if (atomic_compare_exchange_weak(&log->head, &head, head + 1)) {
				*position = head;
				return slot;
			}
		} else if (seq < head) {
			return NULL; /* the writer has not emptied it yet: full */
		} else {
			head = atomic_load(&log->head);
		}
	}
}

static void put(struct gw_log *log, int64_t at_ms, enum gw_log_level level, const char *logger,
		const char *msg, const struct gw_field *fields, size_t n)
{
	size_t position;
	struct slot *slot = claim(log, &position);

	if (!slot) {
		atomic_fetch_add(&log->dropped, 1);
		return;
	}
	slot->len = gw_log_format(slot->line, sizeof(slot->line), at_ms, level, logger, msg, fields, n);
	atomic_store_explicit(&slot->seq, position + 1, memory_order_release);
	sem_post(&log->filled);
}

void gw_log_fields(struct gw_log *log, enum gw_log_level level, bool stranger, const char *logger,
		   const char *msg, const struct gw_field *fields, size_t n)
{
	if (!log || (int)level > atomic_load_explicit(&log->level, memory_order_relaxed))
		return;
	int64_t at_ms = wall_ms();
	if (stranger) {
		unsigned long long left_out;
		char count[GW_LOG_NUMBER];
		bool may = stranger_may(log, at_ms, &left_out);
		if (left_out) {
			const struct gw_field field = {"count", gw_log_number(count, (long long)left_out)};
			put(log, at_ms, GW_LOG_WARN, "log", "lines about strangers left out", &field, 1);
		}
		if (!may)
			return;
	}
	put(log, at_ms, level, logger, msg, fields, n);
}
