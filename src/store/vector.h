/* A growing array of things of one size, for the store's thread.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_VECTOR_H
#define STORE_VECTOR_H

#include <copse/types.h>

struct store_vector {
	void *at;
	size_t n, cap, size; /* things, room for them, bytes of one */
};

/* Make room for one more thing at place `i`, of zeros. Returns it, or NULL without memory: nothing has changed. */
void *store_vector_insert(struct store_vector *v, size_t i);

/* The thing at place `i`. */
static inline void *store_vector_at(const struct store_vector *v, size_t i)
{
	return (uint8_t *)v->at + i * v->size;
}

/* Remove `n` things from place `i` on. */
void store_vector_remove(struct store_vector *v, size_t i, size_t n);

void store_vector_free(struct store_vector *v);

#endif
