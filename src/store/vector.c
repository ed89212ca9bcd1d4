/* See vector.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector.h"

#include <copse/mem.h>

#include <string.h>

static bool grow(struct store_vector *v)
{
	size_t cap = v->cap ? v->cap * 2 : 8;
	void *at = copse_mem_new(cap, v->size);

	if (!at)
		return false;
	if (v->n)
		memcpy(at, v->at, v->n * v->size);
	copse_mem_free(v->at);
	v->at = at;
	v->cap = cap;
	return true;
}

void *store_vector_insert(struct store_vector *v, size_t i)
{
	COPSE_ASSERT(i <= v->n);
	if (v->n == v->cap && !grow(v))
		return NULL;
	uint8_t *place = store_vector_at(v, i);
	memmove(place + v->size, place, (v->n - i) * v->size);
	memset(place, 0, v->size);
	v->n++;
	return place;
}

void store_vector_remove(struct store_vector *v, size_t i, size_t n)
{
	COPSE_ASSERT(i <= v->n && n <= v->n - i);
	if (n == 0)
		return;
	uint8_t *place = store_vector_at(v, i);
	memmove(place, place + n * v->size, (v->n - i - n) * v->size);
	v->n -= n;
}

void store_vector_free(struct store_vector *v)
{
	copse_mem_free(v->at);
	v->at = NULL;
	v->n = v->cap = 0;
}
