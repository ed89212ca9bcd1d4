/* Messages that may have to be sent again, kept in chains of small pieces: no fragmentation, no size classes.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_CHUNK_H
#define CORE_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <copse/endpoint.h>

struct core_chunk {
	uint32_t next; /* number of the next piece, 0 for none */
	uint8_t bytes[COPSE_CHUNK];
};

struct core_store {
	struct core_chunk *chunk; /* numbered from 1 */
	uint32_t free;            /* the first free piece, 0 for none */
	uint32_t free_n;
	uint32_t cap;
};

/* A kept message: nothing when len is 0. */
struct core_kept {
	uint32_t first;
	uint16_t len;
};

void core_store_init(struct core_store *s, struct core_chunk *chunk, uint32_t cap);

/* How many pieces a message of `len` bytes takes. */
uint32_t core_store_pieces(size_t len);

/* Keep `head` followed by `rest`; the caller has seen that free_n suffices (asserted), and the sum is at most 65535. */
struct core_kept core_store_keep(struct core_store *s, const void *head, size_t head_len, const void *rest,
				 size_t rest_len);

/* Copy a kept message to `out`, which has room for its length. */
void core_store_copy(const struct core_store *s, const struct core_kept *k, uint8_t *out);

/* Write `id` into the header of a kept message. */
void core_store_set_id(struct core_store *s, const struct core_kept *k, uint16_t id);

/* Give the pieces back; `k` keeps nothing afterwards. */
void core_store_release(struct core_store *s, struct core_kept *k);

#endif
