/* Memory of hosted systems: calloc, and nowhere else.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/mem.h>

#include <stdlib.h>

void *copse_mem_new(size_t n, size_t size)
{
	return calloc(n ? n : 1, size ? size : 1);
}

void copse_mem_free(void *memory)
{
	free(memory);
}
