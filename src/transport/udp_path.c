/* The table of local addresses that a socket was asked at. Only addresses of this host and joined groups get in, so
 * that no peer can fill it at will, except where the host takes a whole prefix for its own (127.0.0.0/8): then the
 * bound holds.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "udp_internal.h"

#include <copse/mem.h>

static uint32_t hash(const struct udp_path *p)
{
	uint32_t h = 2166136261u ^ p->interface;

	for (size_t i = 0; i < sizeof p->ip; i++)
		h = (h ^ p->ip[i]) * 16777619u;
	return h ^ h >> 15;
}

static bool same(const struct udp_path *a, const struct udp_path *b)
{
	return a->interface == b->interface && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool udp_paths_init(struct udp_paths *paths, uint16_t cap)
{
	uint32_t slots = 4;

	COPSE_ASSERT(cap > 0 && cap <= UDP_PATHS_MAX);
	while (slots < 2u * cap)
		slots *= 2;
	paths->path = copse_mem_new(cap, sizeof *paths->path);
	paths->slot = copse_mem_new(slots, sizeof *paths->slot);
	paths->mask = slots - 1;
	paths->cap = cap;
	return paths->path && paths->slot;
}

void udp_paths_free(struct udp_paths *paths)
{
	copse_mem_free(paths->path);
	copse_mem_free(paths->slot);
}

/* The slot that `path` is in, or the free one where it belongs. */
static uint32_t slot_of(const struct udp_paths *paths, const struct udp_path *path)
{
	uint32_t i = hash(path) & paths->mask;

	while (paths->slot[i] && !same(&paths->path[paths->slot[i] - 1], path))
		i = (i + 1) & paths->mask;
	return i;
}

uint16_t udp_paths_find(struct udp_paths *paths, const struct udp_path *path)
{
	uint16_t number;

	if (paths->last && same(&paths->path[paths->last - 1], path))
		return paths->last;
	number = paths->slot[slot_of(paths, path)];
	if (number)
		paths->last = number;
	return number;
}

uint16_t udp_paths_number(struct udp_paths *paths, const struct udp_path *path)
{
	uint16_t number = udp_paths_find(paths, path);

	if (number || paths->n == paths->cap)
		return number;
	paths->path[paths->n++] = *path;
	paths->slot[slot_of(paths, path)] = paths->n;
	return paths->last = paths->n;
}

const struct udp_path *udp_paths_get(const struct udp_paths *paths, uint16_t number)
{
	return number > 0 && number <= paths->n ? &paths->path[number - 1] : NULL;
}
