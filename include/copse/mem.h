/* The one place that memory comes from on a hosted system: at start-up, and in caches and stores. The core never
 * calls it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_MEM_H
#define COPSE_MEM_H

#include <stddef.h>

/* Zeroed memory for `n` objects of `size` bytes, aligned for every type. Large pieces cost no pages until written.
 * Returns it, or NULL when there is none or when n * size overflows. Give it back with copse_mem_free. */
void *copse_mem_new(size_t n, size_t size);

/* Give back what copse_mem_new returned; NULL is taken. */
void copse_mem_free(void *memory);

#endif
