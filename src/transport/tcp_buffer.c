/* See tcp_buffer.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "tcp_buffer.h"

#include <copse/mem.h>

#include <string.h>

#define BUFFER_MIN 1024u

void tcp_buffer_clear(struct tcp_buffer *b)
{
	copse_mem_free(b->bytes);
	*b = (struct tcp_buffer){0};
}

bool tcp_buffer_room(struct tcp_buffer *b, size_t n)
{
	const size_t used = tcp_waiting(b);
	size_t cap = b->cap < BUFFER_MIN ? BUFFER_MIN : b->cap;
	uint8_t *bytes;

	if (b->bytes && b->len + n <= b->cap)
		return true;
	while (cap < used + n)
		cap *= 2;
	bytes = cap > b->cap ? copse_mem_new(1, cap) : b->bytes;
	if (!bytes)
		return false;
	if (used)
		memmove(bytes, b->bytes + b->at, used);
	if (bytes != b->bytes)
		copse_mem_free(b->bytes);
	*b = (struct tcp_buffer){bytes, 0, (uint32_t)used, (uint32_t)cap};
	return true;
}

void tcp_buffer_append(struct tcp_buffer *b, const void *bytes, size_t n)
{
	if (n)
		memcpy(b->bytes + b->len, bytes, n);
	b->len += (uint32_t)n;
}
