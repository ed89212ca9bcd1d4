/* Threads that make handshakes which cost much, for any number of transports.
 *
 * Such a handshake has an errand: it goes to the queue of the pool, a thread does what there is to do, and it comes home.
 * It is in one place at a time, and whoever has it touches alone what belongs to it. What it is about may end meanwhile.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_HANDSHAKE_POOL_H
#define COPSE_HANDSHAKE_POOL_H

#include <copse/secure.h>

#include <stdatomic.h>

struct handshake_home;

/* The first member of what a transport sends away. */
struct handshake_errand {
	struct handshake_errand *next; /* in a queue */
	struct handshake_home *home;
	void (*run)(struct handshake_errand *self);     /* by a thread: what there is to do now */
	void (*release)(struct handshake_errand *self); /* free it, with what belongs to it */
	_Atomic bool
	    dropped; /* what it is about has ended: nothing is to be done, and its home releases it */
};

/* Hand an errand to the threads. Returns false when the queue is full; the errand stays here. */
bool handshake_pool_send(struct copse_handshake_pool *pool, struct handshake_errand *e);

/* Where errands come home to: `fd` shows input while there are some. Returns NULL without memory or descriptor. take returns
 * those that have come, in order, as a list. What comes home after close is released. */
struct handshake_home *handshake_home_new(void);
int handshake_home_fd(const struct handshake_home *home);
struct handshake_errand *handshake_home_take(struct handshake_home *home);
void handshake_home_close(struct handshake_home *home);

#endif
