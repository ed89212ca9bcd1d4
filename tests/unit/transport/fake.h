/* A transport within the process, for tests above the transport: datagrams wait in the receiver's queue. What the
 * system does to others, a test does to this one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include <copse/transport.h>

struct fake_queued;

struct fake {
	struct copse_transport base;
	struct copse_address at;
	struct fake_queued *first;
	size_t room;               /* datagrams it takes before it is blocked; SIZE_MAX: any number */
	size_t offered;            /* datagrams given to send, repeated ones included */
	struct copse_peer dead[4]; /* told by failure() */
	size_t dead_n;
	copse_ms tick_at; /* what tick returns while it is in the future */
	size_t ticks;     /* calls of tick with a time not before tick_at */
	bool closed;      /* closing frees nothing but the queue: the test owns the object */
};

/* `text` is the address that other fakes reach it at. */
void fake_open(struct fake *f, const char *text, uint16_t id);

#endif
