/* Timer heap; see heap.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "heap.h"

static void place(struct core_heap *h, struct core_timer *t, uint32_t pos)
{
	h->timer[pos] = t;
	t->pos = pos;
}

/* Move `t` from the free place `pos` towards the root, then towards the leaves, to where it belongs. */
static void sift(struct core_heap *h, struct core_timer *t, uint32_t pos)
{
	for (; pos > 1 && t->at < h->timer[pos / 2]->at; pos /= 2)
		place(h, h->timer[pos / 2], pos);
	for (uint32_t child; (child = 2 * pos) <= h->n; pos = child) {
		if (child < h->n && h->timer[child + 1]->at < h->timer[child]->at)
			child++;
		if (t->at <= h->timer[child]->at)
			break;
		place(h, h->timer[child], pos);
	}
	place(h, t, pos);
}

void core_heap_set(struct core_heap *h, struct core_timer *t, copse_ms at)
{
	t->at = at;
	if (t->pos == 0) {
		COPSE_ASSERT(h->n < h->cap);
		t->pos = ++h->n;
	}
	sift(h, t, t->pos);
}

void core_heap_clear(struct core_heap *h, struct core_timer *t)
{
	const uint32_t pos = t->pos;
	if (pos == 0)
		return;
	t->pos = 0;
	struct core_timer *last = h->timer[h->n--];
	if (last != t)
		sift(h, last, pos);
}
