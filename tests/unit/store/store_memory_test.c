/* The store in memory.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "suite.h"

static void open_memory(struct store *out, uint64_t max_bytes)
{
	assert_int_equal(store_memory_open(max_bytes, out), STORE_OK);
}

int main(void)
{
	return suite_run("memory", open_memory);
}
