/* The text of an answer as it was when its first block was asked for. So many may be kept as the server has transfers.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_KEPT_H
#define GATEWAY_KEPT_H

#include <copse/resource.h>

struct gw_kept {
	uint32_t len;
	char text[];
};

/* Room for `cap` bytes, `len` 0. Returns NULL without memory: then the answer is 5.03, and says so. */
struct gw_kept *gw_kept_new(struct copse_response *rs, size_t cap);

/* Answer with it; it is freed with the transfer. */
void gw_kept_give(struct gw_kept *kept, struct copse_response *rs, uint32_t format);

#endif
