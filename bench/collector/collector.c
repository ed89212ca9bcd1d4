/* What the collector does under load, and with much in its store, beside a bare sink for datagrams in the same run:
 *
 *	bench-collector [--short] [--readings N] [--stored N] [--answered] [PART...]    PART: ingest, read, memory
 *
 * ingest   NON POST /publish of one SenML record from 10,000 devices, until all are committed; in turn, a process
 *          that takes as many of the same datagrams by recvmmsg and throws them away. Wall time, since that is what
 *          a sensor sees; CPU time of each thread says how far it could go.
 * read     the newest reading of a device, and one day of one device, by CoAP from the gateway, with ten thousand and
 *          with ten million readings stored. CPU time of the gateway: wall time is the neighbours' on a shared machine.
 * memory   resident memory while an hour's worth of load goes in: from each device a reading every ten seconds.
 *
 * --short     little of everything, and asserts: each reading is stored once, answers are what was stored, memory
 *             stays within its bounds.
 * --answered  senders that want an answer; without it they say No-Response (RFC 7967), as those do who never listen.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include "store/store.h"

#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MINUTE     ((int64_t)60 * 1000000)
#define BEGIN      ((int64_t)1700000000 / 86400 * 86400 * 1000000)
#define DAY_ROWS   1440
#define ROUNDS     5
#define GROWTH_KIB (160L << 10)
#define UNDER_WAY  65536 /* readings sent and not yet committed */

struct bench {
	char folder[64];
	uint64_t readings, stored, hour;
	uint32_t devices;
	bool is_short, answered;
};

/* --- the store --- */

/* A reader beside the gateway. */
struct look {
	sqlite3 *db;
	sqlite3_stmt *st;
};

static void look_open(struct look *l, const char *path)
{
	/* ids count on, wherever the readings are */
	static const char sql[] =
	    "SELECT max((SELECT next FROM merged), coalesce((SELECT max(id) + 1 FROM arrival), 1)) - 1";

	if (sqlite3_open_v2(path, &l->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		die(path);
	sqlite3_busy_timeout(l->db, 10000);
	if (sqlite3_prepare_v2(l->db, sql, -1, &l->st, NULL) != SQLITE_OK)
		die(path);
}

static void look_close(struct look *l)
{
	sqlite3_finalize(l->st);
	sqlite3_close(l->db);
}

/* Readings that have come in so far, since the file was made. */
static uint64_t committed(struct look *l)
{
	uint64_t n = sqlite3_step(l->st) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(l->st, 0) : 0;

	sqlite3_reset(l->st);
	return n;
}

/* Wait until `n` are there, or nothing has come for a while. */
static uint64_t wait_committed(struct look *l, uint64_t n)
{
	const struct timespec pause = {0, 5000000};
	double since = wall_seconds();
	uint64_t now = committed(l), before = 0;

	while (now < n && wall_seconds() - since < 10) {
		if (now != before)
			since = wall_seconds();
		before = now;
		nanosleep(&pause, NULL);
		now = committed(l);
	}
	return now;
}

/* `n` readings of devices that each report once a minute for a week or as long as it takes, in the order of time. */
static void fill(const char *path, uint64_t n, uint32_t devices)
{
	enum { GROUP = 4096 };
	static struct store_reading reading[GROUP];
	static char id[GROUP][17];
	const struct store_sqlite_config config = {.path = path};
	struct store store;
	char why[300];

	if (store_sqlite_open(&config, &store, why, sizeof(why)) != STORE_OK) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	for (uint64_t at = 0; at < n;) {
		uint32_t k = 0;
		for (; k < GROUP && at < n; k++, at++) {
			int64_t time = BEGIN + (int64_t)(at / devices) * MINUTE;
			sender_device((uint32_t)(at % devices), id[k]);
			reading[k] = (struct store_reading){.device = id[k],
							    .name = "temp",
							    .unit = "Cel",
							    .time = time,
							    .received = time,
							    .expires = STORE_NEVER,
							    .number = (double)(at / devices % 400) / 10,
							    .kind = STORE_NUMBER};
		}
		struct store_batch batch = {.reading = reading, .reading_n = k}, *one = &batch;
		if (store_write(&store, &one, 1) != STORE_OK)
			die("filling the store");
	}
	store_close(&store);
}

/* --- what comes in --- */

struct taken {
	double rate;    /* a second */
	struct cpu cpu; /* seconds a reading */
};

static struct cpu per(struct cpu after, struct cpu before, uint64_t n)
{
	double count = (double)(n ? n : 1);

	return (struct cpu){(after.all - before.all) / count, (after.first - before.first) / count,
			    (after.second - before.second) / count};
}

static struct taken sink_round(const struct bench *b, uint64_t n)
{
	const struct timespec pause = {0, 1000000};
	struct process p = sink_start();
	struct sender s;

	sender_open(&s, p.port, b->devices);
	s.silent = !b->answered;
	double begin = wall_seconds();
	sender_send(&s, n);
	while (!sender_drained(&s))
		nanosleep(&pause, NULL);
	double seconds = wall_seconds() - begin;
	struct taken t = {(double)(n - sender_dropped(&s)) / seconds,
			  per(process_cpu(&p), (struct cpu){0}, n)};
	sender_close(&s);
	process_stop(&p);
	return t;
}

/* What is on its way and not yet committed is bounded, so that the rate is one that can be kept up. */
static void send_paced(struct sender *s, struct look *l, uint64_t there, uint64_t n)
{
	const struct timespec pause = {0, 1000000};

	for (uint64_t sent = 0; sent < n;) {
		uint64_t part = n - sent < 4096 ? n - sent : 4096;
		sender_send(s, part);
		sent += part;
		double since = wall_seconds();
		while (there + sent > committed(l) + UNDER_WAY && wall_seconds() - since < 10)
			nanosleep(&pause, NULL);
	}
}

static struct taken gateway_round(const struct bench *b, const struct process *p, struct sender *s,
				  const char *db, uint64_t n)
{
	struct look look;
	struct cpu before = process_cpu(p);

	look_open(&look, db);
	uint64_t there = committed(&look), dropped = sender_dropped(s);
	double begin = wall_seconds();
	send_paced(s, &look, there, n);
	uint64_t now = wait_committed(&look, there + n - (sender_dropped(s) - dropped));
	double seconds = wall_seconds() - begin;
	look_close(&look);
	if (b->is_short && now != there + n) {
		fprintf(stderr, "%llu readings sent, %llu stored\n", (unsigned long long)n,
			(unsigned long long)(now - there));
		exit(1);
	}
	if (now < there + n)
		printf("  lost: %llu of %llu\n", (unsigned long long)(there + n - now),
		       (unsigned long long)n);
	return (struct taken){(double)(now - there) / seconds, per(process_cpu(p), before, now - there)};
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median(double *value, int n)
{
	qsort(value, (size_t)n, sizeof(*value), compare);
	return value[n / 2];
}

static void ingest(const struct bench *b)
{
	int rounds = b->is_short ? 1 : ROUNDS;
	double ratio[ROUNDS], rate[ROUNDS], alone[ROUNDS], sink_alone[ROUNDS];
	char db[128];

	snprintf(db, sizeof(db), "%s/ingest.db", b->folder);
	struct process p = gateway_start(b->folder, db);
	struct sender s;
	sender_open(&s, p.port, b->devices);
	s.silent = !b->answered;
	gateway_round(b, &p, &s, db, b->devices); /* each device becomes known */
	printf("ingest, %u devices, %llu readings a round\n", b->devices, (unsigned long long)b->readings);
	for (int i = 0; i < rounds; i++) {
		struct taken sink = sink_round(b, b->readings),
			     taken = gateway_round(b, &p, &s, db, b->readings);
		rate[i] = taken.rate;
		ratio[i] = taken.rate / sink.rate;
		alone[i] = 1 / taken.cpu.first;
		sink_alone[i] = 1 / sink.cpu.all;
		printf("  sink %.0f/s, %.2f us CPU; gateway %.0f/s, %.2f us CPU (busiest threads %.2f and "
		       "%.2f us); ratio %.2f\n",
		       sink.rate, sink.cpu.all * 1e6, taken.rate, taken.cpu.all * 1e6, taken.cpu.first * 1e6,
		       taken.cpu.second * 1e6, ratio[i]);
	}
	printf("  median: %.0f readings/s committed, %.2f of the sink\n", median(rate, rounds),
	       median(ratio, rounds));
	/* with the senders elsewhere: its two threads on a core each, the one of the sink on one */
	printf("  by CPU time alone: %.0f/s, sink %.0f/s\n", median(alone, rounds),
	       median(sink_alone, rounds));
	sender_close(&s);
	process_stop(&p);
}

/* --- what is asked --- */

static double cost(const struct process *p, struct sender *s, const char *const *path, const char *query,
		   unsigned times, const char *expected, unsigned count)
{
	static char body[1 << 20];
	struct cpu before = process_cpu(p);
	unsigned found = 0;

	for (unsigned i = 0; i < times; i++)
		sender_get(s, path, query, body, sizeof(body));
	double seconds = per(process_cpu(p), before, times).all;
	for (const char *at = body; (at = strstr(at, expected)); at++)
		found++;
	if (found != count) {
		fprintf(stderr, "%s: \"%s\" %u times in the answer, not %u\n", query ? query : "latest",
			expected, found, count);
		exit(1);
	}
	return seconds;
}

struct asked {
	double latest, day;
};

/* Wait until what a start brings with it (the store is merged and trimmed) is over. */
static void settle(const struct process *p)
{
	const struct timespec pause = {0, 300000000};
	double before = -1, now = process_cpu(p).all;

	while (now - before > 0.001) {
		nanosleep(&pause, NULL);
		before = now;
		now = process_cpu(p).all;
	}
}

static struct asked ask(const struct bench *b, uint64_t n, uint32_t devices)
{
	char db[128], device[17], query[80];
	const char *const path[] = {"devices", device, "temp", NULL};

	snprintf(db, sizeof(db), "%s/%llu.db", b->folder, (unsigned long long)n);
	fill(db, n, devices);
	sender_device(devices / 2, device);
	struct process p = gateway_start(b->folder, db);
	struct sender s;
	sender_open(&s, p.port, devices);
	unsigned rows = n / devices < DAY_ROWS ? (unsigned)(n / devices) : DAY_ROWS;
	int64_t day = n / devices >= 4 * DAY_ROWS ? 3 : 0;
	snprintf(query, sizeof(query), "from=%lld&to=%lld", (long long)(BEGIN / 1000000 + day * 86400),
		 (long long)(BEGIN / 1000000 + (day + 1) * 86400));
	settle(&p);
	cost(&p, &s, path, NULL, 100, "\"v\":", 1);
	struct asked a = {cost(&p, &s, path, NULL, b->is_short ? 10 : 20000, "\"v\":", 1),
			  cost(&p, &s, path, query, b->is_short ? 2 : 400, "\"v\":", rows)};
	printf("  %llu stored: newest %.2f us, one day (%u readings) %.2f ms; CPU of the gateway\n",
	       (unsigned long long)n, a.latest * 1e6, rows, a.day * 1e3);
	sender_close(&s);
	process_stop(&p);
	unlink(db);
	return a;
}

static void read_back(const struct bench *b)
{
	uint32_t devices = b->is_short ? 10 : 1000;

	printf("read\n");
	struct asked few = ask(b, b->is_short ? 100 : 10000, devices), many = ask(b, b->stored, devices);
	printf("  newest: %.2f times\n", many.latest / few.latest);
}

/* --- memory --- */

static void memory(const struct bench *b)
{
	char db[128];
	long rss[13];

	snprintf(db, sizeof(db), "%s/memory.db", b->folder);
	struct process p = gateway_start(b->folder, db);
	struct sender s;
	sender_open(&s, p.port, b->devices);
	s.silent = !b->answered;
	printf("memory, %u devices, %llu readings; KiB resident after each twelfth:\n ", b->devices,
	       (unsigned long long)b->hour);
	rss[0] = process_rss(&p);
	for (int i = 1; i <= 12; i++) {
		gateway_round(b, &p, &s, db, b->hour / 12);
		rss[i] = process_rss(&p);
		printf(" %ld", rss[i]);
		fflush(stdout);
	}
	printf("\n  from the half to the end: %+.1f %%\n",
	       100.0 * (double)(rss[12] - rss[6]) / (double)rss[6]);
	/* SQLite's cache fills up, a merge sorts its arrivals, and what is under way lies in the queue: no more than that */
	if (b->is_short && rss[12] > rss[0] + GROWTH_KIB) {
		fprintf(stderr, "memory grows\n");
		exit(1);
	}
	sender_close(&s);
	process_stop(&p);
}

/* --- */

static uint64_t number(const char *text)
{
	uint64_t n = text ? strtoull(text, NULL, 10) : 0;

	if (n)
		return n;
	fprintf(stderr, "usage: bench-collector [--short] [--readings N] [--stored N] [--answered] [ingest] "
			"[read] [memory]\n");
	exit(1);
}

int main(int argc, char **argv)
{
	struct bench b = {
	    .readings = 1000000, .stored = 10000000, .hour = 3600000, .devices = SENDER_DEVICES};
	bool all = true, wanted[3] = {false};
	static const char *const parts[] = {"ingest", "read", "memory"};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--short") == 0)
			b = (struct bench){.readings = 20000,
					   .stored = 20000,
					   .hour = 300000,
					   .devices = 1000,
					   .is_short = true};
		else if (strcmp(argv[i], "--readings") == 0)
			b.readings = number(argv[++i]);
		else if (strcmp(argv[i], "--stored") == 0)
			b.stored = number(argv[++i]);
		else if (strcmp(argv[i], "--answered") == 0)
			b.answered = true;
		else
			for (int part = 0; part < 3; part++)
				if (strcmp(argv[i], parts[part]) == 0)
					all = !(wanted[part] = true);
	}
	snprintf(b.folder, sizeof(b.folder), "/tmp/copse-collector-XXXXXX");
	if (!mkdtemp(b.folder))
		die(b.folder);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (all || wanted[0])
		ingest(&b);
	if (all || wanted[1])
		read_back(&b);
	if (all || wanted[2])
		memory(&b);
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", b.folder);
	return system(command) == 0 ? 0 : 1;
}
