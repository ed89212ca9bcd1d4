/* Kept messages; see chunk.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "chunk.h"

#include <string.h>

static struct core_chunk *piece(const struct core_store *s, uint32_t number)
{
	return &s->chunk[number - 1];
}

void core_store_init(struct core_store *s, struct core_chunk *chunk, uint32_t cap)
{
	s->chunk = chunk;
	s->cap = s->free_n = cap;
	s->free = cap ? 1 : 0;
	for (uint32_t i = 1; i <= cap; i++)
		piece(s, i)->next = i < cap ? i + 1 : 0;
}

uint32_t core_store_pieces(size_t len)
{
	uint32_t n = 0;
	for (; len > COPSE_CHUNK; len -= COPSE_CHUNK)
		n++;
	return n + (len > 0);
}

/* A place to write to in a chain that grows. */
struct pen {
	struct core_store *store;
	uint32_t *link; /* where the number of the next piece goes */
	uint8_t *at;
	size_t room;
};

static void pen_write(struct pen *p, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		if (p->room == 0) {
			const uint32_t n = p->store->free;
			COPSE_ASSERT(n != 0);
			struct core_chunk *c = piece(p->store, n);
			p->store->free = c->next;
			p->store->free_n--;
			c->next = 0;
			*p->link = n;
			p->link = &c->next;
			p->at = c->bytes;
			p->room = COPSE_CHUNK;
		}
		const size_t n = len < p->room ? len : p->room;
		memcpy(p->at, bytes, n);
		p->at += n;
		p->room -= n;
		bytes += n;
		len -= n;
	}
}

struct core_kept core_store_keep(struct core_store *s, const void *head, size_t head_len, const void *rest,
				 size_t rest_len)
{
	struct core_kept k = {0, (uint16_t)(head_len + rest_len)};
	struct pen p = {s, &k.first, NULL, 0};
	pen_write(&p, head, head_len);
	pen_write(&p, rest, rest_len);
	return k;
}

void core_store_copy(const struct core_store *s, const struct core_kept *k, uint8_t *out)
{
	size_t left = k->len;
	for (uint32_t i = k->first; left > 0; i = piece(s, i)->next) {
		const size_t n = left < COPSE_CHUNK ? left : COPSE_CHUNK;
		memcpy(out, piece(s, i)->bytes, n);
		out += n;
		left -= n;
	}
}

void core_store_set_id(struct core_store *s, const struct core_kept *k, uint16_t id)
{
	uint8_t *header = piece(s, k->first)->bytes; /* a piece holds more than a header */
	header[2] = (uint8_t)(id >> 8);
	header[3] = (uint8_t)id;
}

void core_store_release(struct core_store *s, struct core_kept *k)
{
	while (k->first != 0) {
		const uint32_t i = k->first;
		k->first = piece(s, i)->next;
		piece(s, i)->next = s->free;
		s->free = i;
		s->free_n++;
	}
	k->len = 0;
}
