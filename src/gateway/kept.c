/* Texts that are read block by block.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "kept.h"

#include <copse/mem.h>

#include <string.h>

struct gw_kept *gw_kept_new(struct copse_response *rs, size_t cap)
{
	struct gw_kept *kept = copse_mem_new(sizeof(*kept) + cap, 1);

	if (!kept)
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "out of memory");
	else
		kept->len = 0;
	return kept;
}

static int read_kept(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const struct gw_kept *kept = user;
	size_t n = offset < kept->len ? kept->len - offset : 0;

	n = n < cap ? n : cap;
	if (n)
		memcpy(buf, kept->text + offset, n);
	return (int)n;
}

void gw_kept_give(struct gw_kept *kept, struct copse_response *rs, uint32_t format)
{
	copse_response_reader(rs, format, kept->len, read_kept, copse_mem_free, kept);
}
