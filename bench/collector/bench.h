/* The parts of bench-collector: processes under measurement, and the sender.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_COLLECTOR_BENCH_H
#define BENCH_COLLECTOR_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* --- gateway.c: a process that is measured --- */

struct process {
	pid_t pid;
	int output; /* what it says */
	uint16_t port;
};

/* CPU time of a process, in seconds: of all its threads, and of the busiest two. */
struct cpu {
	double all, first, second;
};

void die(const char *what) __attribute__((noreturn));
double wall_seconds(void);

/* copse-gateway with its store at `db`. Returns when it listens. */
struct process gateway_start(const char *folder, const char *db);

/* A process that takes datagrams by recvmmsg, 64 at a time, and throws them away. */
struct process sink_start(void);

/* By SIGTERM; must end with 0 (the gateway), or by the signal (the sink). */
void process_stop(struct process *p);

struct cpu process_cpu(const struct process *p);

/* Resident memory in KiB. */
long process_rss(const struct process *p);

/* --- sender.c --- */

#define SENDER_DEVICES 10000

struct sender {
	int fd, queue; /* socket, /proc/net/udp */
	uint16_t port;
	uint32_t devices;
	uint64_t sent;
	bool silent; /* No-Response: no answer wanted (RFC 7967) */
};

void sender_open(struct sender *s, uint16_t port, uint32_t devices);
void sender_close(struct sender *s);

/* Send `n` readings in turn from all devices, NON POST /publish of one SenML record each, never more at a time than the
 * receiver's socket has room for. */
void sender_send(struct sender *s, uint64_t n);

/* Datagrams that the kernel dropped for want of room in the receiver's socket; whether all others were taken out. */
uint64_t sender_dropped(const struct sender *s);
bool sender_drained(const struct sender *s);

/* The identity of device `i`, 16 hexadecimal digits. */
void sender_device(uint32_t i, char out[17]);

/* GET `path` of the gateway with all its blocks. Returns the body's length. */
uint32_t sender_get(struct sender *s, const char *const *segments, const char *query, char *body,
		    uint32_t cap);

#endif
