/* Threads that make handshakes which cost much, for any number of DTLS transports.
 *
 * A handshake that is dear has an errand: its record layer, with the datagrams that have come for it, goes to
 * the queue of the pool, a thread does what there is to do, and the errand comes home with the datagrams that
 * are to be sent. It is in one place at a time, and whoever has it touches it alone; an association whose
 * errand is away does nothing but wait, and may end meanwhile.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_DTLS_POOL_H
#define COPSE_DTLS_POOL_H

#include "dtls_record.h"

#include <stdatomic.h>

struct copse_dtls_pool;
struct dtls_home;

/* A datagram or message that waits. */
struct dtls_waiting {
	struct dtls_waiting *next;
	uint32_t len;
	uint8_t bytes[];
};

struct dtls_queue {
	struct dtls_waiting *first, **last;
	uint32_t n;
};

/* An empty one; append (false without memory, or with `max` in it); take the first out (free it with copse_mem_free);
 * free all. */
void dtls_queue_init(struct dtls_queue *q);
bool dtls_queue_put(struct dtls_queue *q, const void *bytes, size_t len, uint32_t max);
struct dtls_waiting *dtls_queue_take(struct dtls_queue *q);
void dtls_queue_drop(struct dtls_queue *q);

struct dtls_errand {
	struct dtls_errand *next; /* in a queue */
	struct dtls_home *home;
	struct dtls_link link; /* of the record, with a copy of the peer's address */
	uint8_t address[18];
	struct dtls_record *record;
	struct dtls_queue in, out;
	enum dtls_progress progress;
	_Atomic bool dropped; /* the association has ended: nothing is to be done */

	/* of the transport's thread, wherever the errand is */
	uint32_t assoc; /* number */
	bool away;
	struct dtls_queue later; /* datagrams that came while it was away */
};

/* For the peer at `address` (18 bytes). Returns NULL without memory. Freeing it frees its record. */
struct dtls_errand *dtls_errand_new(struct dtls_home *home, uint32_t assoc, const uint8_t *address);
void dtls_errand_free(struct dtls_errand *e);

/* Hand an errand to the threads. Returns false when the queue is full; the errand stays here. */
bool dtls_pool_send(struct copse_dtls_pool *pool, struct dtls_errand *e);

/* Where errands come home to: `fd` shows input while there are some. Returns NULL without memory or descriptor. take returns
 * those that have come, in order, as a list. What comes home after close is freed. */
struct dtls_home *dtls_home_new(void);
int dtls_home_fd(const struct dtls_home *home);
struct dtls_errand *dtls_home_take(struct dtls_home *home);
void dtls_home_close(struct dtls_home *home);

#endif
