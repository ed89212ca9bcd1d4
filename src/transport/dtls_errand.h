/* What a DTLS association sends to other threads (handshake_pool.h): its record layer, with the datagrams that have come for
 * it, and back with those that are to be sent.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_DTLS_ERRAND_H
#define COPSE_DTLS_ERRAND_H

#include "dtls_record.h"
#include "handshake_pool.h"

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
	struct handshake_errand base;
	struct dtls_link link; /* of the record, with a copy of the peer's address */
	uint8_t address[18];
	struct dtls_record *record;
	struct dtls_queue in, out;
	enum dtls_progress progress;

	/* of the transport's thread, wherever the errand is */
	uint32_t assoc; /* number */
	bool away;
	struct dtls_queue later; /* datagrams that came while it was away */
};

/* For the peer at `address` (18 bytes). Returns NULL without memory. Freeing it frees its record. */
struct dtls_errand *dtls_errand_new(struct handshake_home *home, uint32_t assoc, const uint8_t *address);
void dtls_errand_free(struct dtls_errand *e);

#endif
