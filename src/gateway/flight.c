/* See flight.h. A flight is absent, or open: in both tables; or closed: in none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "flight.h"

#include <copse/mem.h>

#include "core/table.h"

#include <string.h>

struct flight {
	struct gw_cache_key key;
	bool open;
};

struct gw_flights {
	struct flight *flight; /* by number - 1 */
	uint32_t max;
	struct core_table keys, uris; /* numbers; of a URI there may be several */
	uint64_t secret[2];
};

struct gw_flights *gw_flights_new(uint32_t max, const uint64_t key[2])
{
	struct gw_flights *f = copse_mem_new(1, sizeof(*f));
	uint32_t slots = core_table_slots(max);

	if (!f)
		return NULL;
	f->max = max;
	f->flight = copse_mem_new(max, sizeof(*f->flight));
	f->keys.slot = copse_mem_new(slots, sizeof(struct core_slot));
	f->uris.slot = copse_mem_new(slots, sizeof(struct core_slot));
	if (!f->flight || !f->keys.slot || !f->uris.slot) {
		gw_flights_free(f);
		return NULL;
	}
	core_table_init(&f->keys, f->keys.slot, slots);
	core_table_init(&f->uris, f->uris.slot, slots);
	memcpy(f->secret, key, sizeof(f->secret));
	return f;
}

void gw_flights_free(struct gw_flights *f)
{
	if (!f)
		return;
	copse_mem_free(f->flight);
	copse_mem_free(f->keys.slot);
	copse_mem_free(f->uris.slot);
	copse_mem_free(f);
}

static uint32_t key_hash(const struct gw_flights *f, const struct gw_cache_key *key)
{
	return gw_cache_key_slot(key->id[0], f->secret[0]);
}

static uint32_t uri_hash(const struct gw_flights *f, uint64_t uri)
{
	return gw_cache_key_slot(uri, f->secret[0]);
}

uint32_t gw_flights_find(const struct gw_flights *f, const struct gw_cache_key *key)
{
	uint32_t hash = key_hash(f, key), pos = hash & f->keys.mask, found;

	while ((found = core_table_next(&f->keys, hash, &pos)) != 0)
		if (gw_cache_key_equal(&f->flight[found - 1].key, key))
			return found;
	return 0;
}

void gw_flights_begin(struct gw_flights *f, uint32_t number, const struct gw_cache_key *key)
{
	struct flight *flight = &f->flight[number - 1];

	COPSE_ASSERT(number > 0 && number <= f->max && !flight->open && !gw_flights_find(f, key));
	flight->key = *key;
	flight->open = true;
	core_table_insert(&f->keys, key_hash(f, key), number);
	core_table_insert(&f->uris, uri_hash(f, key->uri), number);
}

bool gw_flights_end(struct gw_flights *f, uint32_t number)
{
	struct flight *flight = &f->flight[number - 1];

	COPSE_ASSERT(number > 0 && number <= f->max);
	if (!flight->open)
		return false;
	flight->open = false;
	core_table_remove(&f->keys, key_hash(f, &flight->key), number);
	core_table_remove(&f->uris, uri_hash(f, flight->key.uri), number);
	return true;
}

bool gw_flights_is_open(const struct gw_flights *f, uint32_t number)
{
	return f->flight[number - 1].open;
}

static uint32_t find_uri(const struct gw_flights *f, uint64_t uri)
{
	uint32_t hash = uri_hash(f, uri), pos = hash & f->uris.mask, found;

	while ((found = core_table_next(&f->uris, hash, &pos)) != 0)
		if (f->flight[found - 1].key.uri == uri)
			return found;
	return 0;
}

void gw_flights_close(struct gw_flights *f, uint64_t uri)
{
	uint32_t number;

	while ((number = find_uri(f, uri)) != 0) /* removal moves others: begin anew */
		gw_flights_end(f, number);
}
