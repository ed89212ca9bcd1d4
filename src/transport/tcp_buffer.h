/* Bytes that wait in a connection.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TCP_BUFFER_H
#define COPSE_TCP_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* [at, len) of `bytes`, which is NULL while there are none. */
struct tcp_buffer {
	uint8_t *bytes;
	uint32_t at, len, cap;
};

static inline uint32_t tcp_waiting(const struct tcp_buffer *b)
{
	return b->len - b->at;
}

/* Forget what it has, and its memory. */
void tcp_buffer_clear(struct tcp_buffer *b);

/* Room for `n` more bytes behind those that are there. False without memory: nothing has changed. */
bool tcp_buffer_room(struct tcp_buffer *b, size_t n);

/* Append what there is room for. */
void tcp_buffer_append(struct tcp_buffer *b, const void *bytes, size_t n);

#endif
