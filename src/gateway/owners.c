/* See owners.h. A word is 0, or the hash of an address with OWNED set and the worker in the bits below. Words are never
 * cleared, and a device takes the first free one of its places: two workers that enter the same device at once try the
 * same word, and the one that comes second finds it there. Should two devices have the same hash, they have the same owner.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "owners.h"

#include "config.h"

#include <copse/host.h>
#include <copse/mem.h>

#include "core/siphash.h"

#include <stdatomic.h>
#include <string.h>

#define PLACES 16u
#define WORKER 7u
#define OWNED  8u
#define FEW    8u

_Static_assert(GW_WORKERS_MAX <= WORKER + 1, "a worker's number fits into its bits");

struct gw_owners {
	unsigned workers;
	uint32_t places; /* that a device may be found at; 0: devices are not entered */
	uint64_t key[2];
	_Atomic uint32_t count[GW_WORKERS_MAX];
	_Atomic uint64_t word[GW_OWNERS_MAX];
};

struct gw_owners *gw_owners_new(unsigned workers, bool claims)
{
	struct gw_owners *o = copse_mem_new(1, sizeof(*o));

	COPSE_ASSERT(workers >= 2 && workers <= GW_WORKERS_MAX);
	if (!o)
		return NULL;
	o->workers = workers;
	o->places = claims ? PLACES : 0;
	copse_host_random(o->key, sizeof(o->key));
	return o;
}

void gw_owners_free(struct gw_owners *o)
{
	copse_mem_free(o);
}

/* With the port: devices behind one address are several. */
static uint64_t hash_of(const struct gw_owners *o, const struct copse_address *device)
{
	uint8_t name[18];
	uint16_t port = copse_address_port(device);
	size_t len = device->sa.sa_family == AF_INET ? 4 : 16;

	memcpy(name, len == 4 ? (const void *)&device->in.sin_addr : &device->in6.sin6_addr, len);
	name[len] = (uint8_t)(port >> 8);
	name[len + 1] = (uint8_t)port;
	return core_siphash(o->key, name, len + 2, 2, 4);
}

/* Who gets the next device. Counts may be a moment old: the shares are rough. */
static unsigned give(const struct gw_owners *o, unsigned wanting)
{
	uint32_t total = 0, least = UINT32_MAX;
	unsigned found = wanting;

	for (unsigned i = 0; i < o->workers; i++) {
		uint32_t n = gw_owners_count(o, i);
		total += n;
		if (n < least) {
			least = n;
			found = i;
		}
	}
	uint32_t share = total / o->workers;
	return gw_owners_count(o, wanting) > share + share / 4 + FEW ? found : wanting;
}

unsigned gw_owners_of(struct gw_owners *o, const struct copse_address *device, unsigned wanting)
{
	const uint64_t hash = hash_of(o, device), name = hash & ~(uint64_t)(WORKER | OWNED);

	for (uint32_t i = 0; i < o->places; i++) {
		_Atomic uint64_t *word = &o->word[((uint32_t)(hash >> 32) + i) & (GW_OWNERS_MAX - 1)];
		uint64_t found = atomic_load_explicit(word, memory_order_relaxed);
		if (found == 0) {
			unsigned owner = give(o, wanting);
			if (atomic_compare_exchange_strong(word, &found, name | OWNED | owner)) {
				atomic_fetch_add_explicit(&o->count[owner], 1, memory_order_relaxed);
				return owner;
			}
		}
		if ((found & ~(uint64_t)(WORKER | OWNED)) == name)
			return (unsigned)(found & WORKER);
	}
	return (unsigned)((hash >> 4) % o->workers);
}

uint32_t gw_owners_count(const struct gw_owners *o, unsigned worker)
{
	return atomic_load_explicit(&o->count[worker], memory_order_relaxed);
}
