/* See gather.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gather.h"

#include <copse/mem.h>

struct gw_gathers {
	struct gw_gather *gather;
	uint8_t *bytes;
	uint32_t cap, count, spare;
};

struct gw_gathers *gw_gathers_new(uint32_t cap, size_t message_len)
{
	struct gw_gathers *gs = copse_mem_new(1, sizeof(*gs));
	const size_t each = 2 * message_len + GW_GATHER_BYTES;

	if (!gs)
		return NULL;
	gs->cap = cap;
	gs->gather = copse_mem_new(cap, sizeof(*gs->gather));
	gs->bytes = copse_mem_new(cap, each);
	if (!gs->gather || !gs->bytes) {
		gw_gathers_free(gs);
		return NULL;
	}
	for (uint32_t i = cap; i > 0; i--) {
		struct gw_gather *g = &gs->gather[i - 1];
		g->request = gs->bytes + (i - 1) * each;
		g->options = g->request + message_len;
		g->bytes = g->options + message_len;
		g->next_free = gs->spare;
		gs->spare = i;
	}
	return gs;
}

void gw_gathers_free(struct gw_gathers *gs)
{
	if (!gs)
		return;
	copse_mem_free(gs->gather);
	copse_mem_free(gs->bytes);
	copse_mem_free(gs);
}

uint32_t gw_gather_take(struct gw_gathers *gs)
{
	const uint32_t number = gs->spare;

	if (!number)
		return 0;
	struct gw_gather *g = &gs->gather[number - 1];
	gs->spare = g->next_free;
	gs->count++;
	*g = (struct gw_gather){.request = g->request, .options = g->options, .bytes = g->bytes, .used = true};
	return number;
}

struct gw_gather *gw_gather_at(struct gw_gathers *gs, uint32_t number)
{
	COPSE_ASSERT(number > 0 && number <= gs->cap && gs->gather[number - 1].used);
	return &gs->gather[number - 1];
}

void gw_gather_free(struct gw_gathers *gs, uint32_t number)
{
	struct gw_gather *g = gw_gather_at(gs, number);

	g->used = false;
	g->next_free = gs->spare;
	gs->spare = number;
	gs->count--;
}

uint32_t gw_gathers_count(const struct gw_gathers *gs)
{
	return gs->count;
}
