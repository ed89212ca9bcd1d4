/* See cache.h. An entry is free; or linked: found by its key and in the list of its URI, and in the order of use while it
 * is not pinned; or pinned and no longer linked: gone with its last pin. Numbers are + 1, 0 for none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "cache.h"

#include <copse/mem.h>

#include "core/table.h"

#include <assert.h>
#include <string.h>

struct chunk {
	uint32_t next;
	uint8_t bytes[GW_CACHE_CHUNK];
};
static_assert(sizeof(struct chunk) == 128, "as gateway.conf(5) says");

struct gw_cache {
	struct gw_cache_entry *entry;
	struct chunk *chunk;
	uint32_t entry_n, entry_free, entries;
	uint32_t entry_used,
	    chunk_used; /* those from here on have never been taken: they cost no memory yet */
	uint32_t chunk_n, chunk_free, chunks;
	uint32_t held, held_chunks; /* of pinned entries */
	uint32_t oldest, newest;    /* in the order of use */
	uint64_t secret[2];
	struct core_table keys; /* entries by key */
	struct core_table uris; /* the first entry of each URI */
	struct gw_cache_counters counters;
};

/* --- making it --- */

struct gw_cache *gw_cache_new(uint32_t entries, uint64_t bytes, const uint64_t key[2])
{
	struct gw_cache *c = copse_mem_new(1, sizeof(*c));
	uint32_t slots = core_table_slots(entries);
	uint64_t chunks = bytes / sizeof(struct chunk);

	COPSE_ASSERT(entries > 0 && chunks < UINT32_MAX);
	if (!c)
		return NULL;
	c->entry_n = entries;
	c->chunk_n = (uint32_t)chunks;
	c->entry = copse_mem_new(entries, sizeof(*c->entry));
	c->chunk = copse_mem_new(chunks, sizeof(*c->chunk));
	c->keys.slot = copse_mem_new(slots, sizeof(struct core_slot));
	c->uris.slot = copse_mem_new(slots, sizeof(struct core_slot));
	if (!c->entry || !c->chunk || !c->keys.slot || !c->uris.slot) {
		gw_cache_free(c);
		return NULL;
	}
	core_table_init(&c->keys, c->keys.slot, slots);
	core_table_init(&c->uris, c->uris.slot, slots);
	memcpy(c->secret, key, sizeof(c->secret));
	return c;
}

void gw_cache_free(struct gw_cache *c)
{
	if (!c)
		return;
	copse_mem_free(c->entry);
	copse_mem_free(c->chunk);
	copse_mem_free(c->keys.slot);
	copse_mem_free(c->uris.slot);
	copse_mem_free(c);
}

/* --- numbers, hashes, lists --- */

static uint32_t number(const struct gw_cache *c, const struct gw_cache_entry *e)
{
	return (uint32_t)(e - c->entry) + 1;
}

static uint32_t key_hash(const struct gw_cache *c, const struct gw_cache_key *key)
{
	return gw_cache_key_slot(key->id[0], c->secret[0]);
}

static uint32_t uri_hash(const struct gw_cache *c, uint64_t uri)
{
	return gw_cache_key_slot(uri, c->secret[0]);
}

static struct gw_cache_entry *lookup(const struct gw_cache *c, const struct gw_cache_key *key)
{
	uint32_t hash = key_hash(c, key), pos = hash & c->keys.mask, found;

	while ((found = core_table_next(&c->keys, hash, &pos)) != 0)
		if (gw_cache_key_equal(&c->entry[found - 1].key, key))
			return &c->entry[found - 1];
	return NULL;
}

static struct gw_cache_entry *first_of_uri(const struct gw_cache *c, uint64_t uri)
{
	uint32_t hash = uri_hash(c, uri), pos = hash & c->uris.mask, found;

	while ((found = core_table_next(&c->uris, hash, &pos)) != 0)
		if (c->entry[found - 1].key.uri == uri)
			return &c->entry[found - 1];
	return NULL;
}

static void use(struct gw_cache *c, struct gw_cache_entry *e)
{
	e->older = c->newest;
	e->newer = 0;
	*(c->newest ? &c->entry[c->newest - 1].newer : &c->oldest) = number(c, e);
	c->newest = number(c, e);
}

static void unuse(struct gw_cache *c, struct gw_cache_entry *e)
{
	*(e->older ? &c->entry[e->older - 1].newer : &c->oldest) = e->newer;
	*(e->newer ? &c->entry[e->newer - 1].older : &c->newest) = e->older;
}

static void link_uri(struct gw_cache *c, struct gw_cache_entry *e)
{
	struct gw_cache_entry *first = first_of_uri(c, e->key.uri);
	uint32_t hash = uri_hash(c, e->key.uri);

	e->of_uri_prev = 0;
	e->of_uri_next = first ? number(c, first) : 0;
	if (first) {
		first->of_uri_prev = number(c, e);
		core_table_remove(&c->uris, hash, e->of_uri_next);
	}
	core_table_insert(&c->uris, hash, number(c, e));
}

static void unlink_uri(struct gw_cache *c, struct gw_cache_entry *e)
{
	uint32_t hash = uri_hash(c, e->key.uri);

	if (e->of_uri_next)
		c->entry[e->of_uri_next - 1].of_uri_prev = e->of_uri_prev;
	if (e->of_uri_prev) {
		c->entry[e->of_uri_prev - 1].of_uri_next = e->of_uri_next;
		return;
	}
	core_table_remove(&c->uris, hash, number(c, e));
	if (e->of_uri_next)
		core_table_insert(&c->uris, hash, e->of_uri_next);
}

/* --- coming and going --- */

static uint32_t take_entry(struct gw_cache *c)
{
	uint32_t n = c->entry_free;

	COPSE_ASSERT(n || c->entry_used < c->entry_n);
	if (n)
		c->entry_free = c->entry[n - 1].newer;
	else
		n = ++c->entry_used;
	c->entries++;
	return n;
}

static uint32_t take_chunk(struct gw_cache *c)
{
	uint32_t n = c->chunk_free;

	COPSE_ASSERT(n || c->chunk_used < c->chunk_n);
	if (n)
		c->chunk_free = c->chunk[n - 1].next;
	else
		n = ++c->chunk_used;
	c->chunks++;
	return n;
}

static uint32_t chunks_of(size_t len)
{
	return (uint32_t)((len + GW_CACHE_CHUNK - 1) / GW_CACHE_CHUNK);
}

static void give_back(struct gw_cache *c, struct gw_cache_entry *e)
{
	while (e->chunk) {
		struct chunk *chunk = &c->chunk[e->chunk - 1];
		uint32_t next = chunk->next;
		chunk->next = c->chunk_free;
		c->chunk_free = e->chunk;
		c->chunks--;
		e->chunk = next;
	}
	e->newer = c->entry_free;
	c->entry_free = number(c, e);
	c->entries--;
}

/* No longer found; gone, unless somebody still holds it. */
static void drop(struct gw_cache *c, struct gw_cache_entry *e)
{
	COPSE_ASSERT(e->linked);
	core_table_remove(&c->keys, key_hash(c, &e->key), number(c, e));
	if (!e->piece)
		unlink_uri(c, e);
	e->linked = false;
	if (e->pins)
		return;
	unuse(c, e);
	give_back(c, e);
}

/* Make room for `chunks` chunks and an entry. False when what may be evicted does not suffice: then nothing has been. */
static bool make_room(struct gw_cache *c, uint32_t chunks)
{
	if (chunks > c->chunk_n - c->held_chunks || c->held == c->entry_n)
		return false;
	while (c->entries == c->entry_n || c->chunk_n - c->chunks < chunks) {
		drop(c, &c->entry[c->oldest - 1]);
		c->counters.evicted++;
	}
	return true;
}

/* Append `len` bytes to the chain whose last chunk is filled up to `*fill`; `*tail` is where the next number goes. */
static void append(struct gw_cache *c, uint32_t **tail, struct chunk **last, size_t *fill,
		   const uint8_t *bytes, size_t len)
{
	while (len) {
		if (*fill == GW_CACHE_CHUNK) {
			uint32_t n = take_chunk(c);
			*last = &c->chunk[n - 1];
			**tail = n;
			*tail = &(*last)->next;
			(*last)->next = 0;
			*fill = 0;
		}
		size_t part = len < GW_CACHE_CHUNK - *fill ? len : GW_CACHE_CHUNK - *fill;
		memcpy((*last)->bytes + *fill, bytes, part);
		*fill += part;
		bytes += part;
		len -= part;
	}
}

static void fill(struct gw_cache *c, struct gw_cache_entry *e, const struct gw_cache_answer *a, copse_ms now)
{
	uint32_t *tail = &e->chunk;
	struct chunk *last = NULL;
	size_t filled = GW_CACHE_CHUNK;

	e->chunk = 0;
	append(c, &tail, &last, &filled, a->options, a->options_len);
	append(c, &tail, &last, &filled, a->payload, a->payload_len);
	e->options_len = (uint32_t)a->options_len;
	e->payload_len = (uint32_t)a->payload_len;
	e->more = a->more;
	e->piece = a->piece;
	e->szx = a->szx;
	e->etag_len = (uint8_t)a->etag_len;
	if (a->etag_len)
		memcpy(e->etag, a->etag, a->etag_len);
	e->expires = now + COPSE_SECONDS(a->max_age);
	e->pins = 0;
}

bool gw_cache_store(struct gw_cache *c, const struct gw_cache_key *key, const struct gw_cache_answer *a,
		    copse_ms now)
{
	struct gw_cache_entry *e = lookup(c, key);
	size_t len = a->options_len + a->payload_len;

	COPSE_ASSERT(a->etag_len <= GW_ETAG_MAX && len <= UINT32_MAX);
	if (e)
		drop(c, e);
	if (a->max_age == 0 && a->etag_len == 0)
		return false;
	if (!make_room(c, chunks_of(len))) {
		c->counters.unfit++;
		return false;
	}
	e = &c->entry[take_entry(c) - 1];
	fill(c, e, a, now);
	e->key = *key;
	e->linked = true;
	core_table_insert(&c->keys, key_hash(c, key), number(c, e));
	if (!e->piece)
		link_uri(c, e);
	use(c, e);
	c->counters.stored++;
	return true;
}

struct gw_cache_entry *gw_cache_find(struct gw_cache *c, const struct gw_cache_key *key, copse_ms now)
{
	struct gw_cache_entry *e = lookup(c, key);

	if (!e)
		return NULL;
	if (!gw_cache_is_fresh(e, now) && e->etag_len == 0) {
		drop(c, e);
		return NULL;
	}
	if (!e->pins) {
		unuse(c, e);
		use(c, e);
	}
	return e;
}

void gw_cache_refresh(struct gw_cache *c, struct gw_cache_entry *e, uint32_t max_age, copse_ms now)
{
	if (!e->linked)
		return;
	e->expires = now + COPSE_SECONDS(max_age);
	c->counters.refreshed++;
}

void gw_cache_shorten(struct gw_cache_entry *e, uint32_t max_age, copse_ms now)
{
	if (e->expires > now + COPSE_SECONDS(max_age))
		e->expires = now + COPSE_SECONDS(max_age);
}

void gw_cache_forget(struct gw_cache *c, const struct gw_cache_key *key)
{
	struct gw_cache_entry *e = lookup(c, key);

	if (e)
		drop(c, e);
}

void gw_cache_invalidate(struct gw_cache *c, uint64_t uri, copse_ms now)
{
	struct gw_cache_entry *e = first_of_uri(c, uri), *next;

	for (; e; e = next) {
		next = e->of_uri_next ? &c->entry[e->of_uri_next - 1] : NULL;
		c->counters.invalidated += gw_cache_is_fresh(e, now);
		if (e->expires > now)
			e->expires = now;
		if (!e->etag_len)
			drop(c, e);
	}
}

void gw_cache_pin(struct gw_cache *c, struct gw_cache_entry *e)
{
	COPSE_ASSERT(e->linked && e->pins < UINT16_MAX);
	if (e->pins++ > 0)
		return;
	unuse(c, e);
	c->held++;
	c->held_chunks += chunks_of((size_t)e->options_len + e->payload_len);
}

void gw_cache_unpin(struct gw_cache *c, struct gw_cache_entry *e)
{
	COPSE_ASSERT(e->pins > 0);
	if (--e->pins > 0)
		return;
	c->held--;
	c->held_chunks -= chunks_of((size_t)e->options_len + e->payload_len);
	if (e->linked)
		use(c, e);
	else
		give_back(c, e);
}

void gw_cache_read(const struct gw_cache *c, const struct gw_cache_entry *e, uint8_t *buf)
{
	size_t left = (size_t)e->options_len + e->payload_len;

	for (uint32_t n = e->chunk; left; n = c->chunk[n - 1].next) {
		size_t part = left < GW_CACHE_CHUNK ? left : GW_CACHE_CHUNK;
		memcpy(buf, c->chunk[n - 1].bytes, part);
		buf += part;
		left -= part;
	}
}

const struct gw_cache_counters *gw_cache_counters(const struct gw_cache *c)
{
	return &c->counters;
}

void gw_cache_usage(const struct gw_cache *c, struct gw_cache_usage *u)
{
	u->entries = c->entries;
	u->entries_max = c->entry_n;
	u->bytes = (uint64_t)c->chunks * sizeof(struct chunk);
	u->bytes_max = (uint64_t)c->chunk_n * sizeof(struct chunk);
}
