/* Bytes that end at a page which cannot be touched: whoever reads or writes past them ends the test.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_GUARD_H
#define TESTS_GUARD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_MAX (128u * 1024u)

struct guard {
	uint8_t *map;
	uint8_t *end; /* the first byte that cannot be touched */
};

static inline struct guard guard_make(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct guard g = {NULL, NULL};
	void *map = mmap(NULL, GUARD_MAX + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		abort();
	g.map = map;
	g.end = g.map + GUARD_MAX;
	if (mprotect(g.end, page, PROT_NONE) != 0)
		abort();
	return g;
}

/* The last `len` bytes before the forbidden page. */
static inline uint8_t *guard_room(const struct guard *g, size_t len)
{
	if (len > GUARD_MAX)
		abort();
	return g->end - len;
}

/* A copy of the `len` bytes at `data` that ends at the forbidden page. */
static inline uint8_t *guard_put(const struct guard *g, const void *data, size_t len)
{
	uint8_t *at = guard_room(g, len);
	if (len > 0)
		memmove(at, data, len);
	return at;
}

static inline void guard_free(struct guard *g)
{
	munmap(g->map, GUARD_MAX + (size_t)sysconf(_SC_PAGESIZE));
}

#endif
