/* The response cache: answers of devices, found by cache-key, until they are stale, and after that to be validated.
 *
 * A fixed table of entries and a fixed pool of chunks for their bytes, both taken once. When either is used up the entry
 * that was used least recently goes. An entry never changes its bytes: a newer answer is a new entry. One that is held (its
 * ETag is on the way to the device) is not evicted and stays readable after it was replaced.
 *
 * An answer that is the first block of several is an entry like others, and says so; the other blocks are pieces: entries
 * under keys of their own, made of the representation's ETag, which are found only through the first one, and are as
 * fresh as that. So they never mix with another representation's, and when the first one is invalidated they are, too.
 *
 * The cache knows nothing of messages: keys are made by cache_key.c, answers are two runs of bytes. One worker owns it;
 * nothing in it blocks or allocates after gw_cache_new.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_CACHE_H
#define GATEWAY_CACHE_H

#include "cache_key.h"

#include <copse/types.h>

#define GW_CACHE_CHUNK 124u /* bytes of an answer in a chunk: with its link 128 */
#define GW_ETAG_MAX    8    /* RFC 7252 §5.10.6 */

struct gw_cache;

/* Readable by all; written by the cache alone. */
struct gw_cache_entry {
	struct gw_cache_key key;
	copse_ms expires; /* when it becomes stale */
	uint32_t options_len, payload_len;
	bool more;	  /* others follow, of the same size: */
	bool piece;	  /* it is one of those that follow */
	uint8_t szx;	  /* meaningful with either of them */
	uint8_t etag_len; /* 0: it has none, and is of no use once it is stale */
	uint8_t etag[GW_ETAG_MAX];

	/* private */
	bool linked;   /* found by its key; else it lives only as long as it is pinned */
	uint16_t pins; /* in the order of use only while 0 */
	uint32_t chunk;
	uint32_t older, newer; /* in the order of use: number + 1; of free ones `newer` is the next */
	uint32_t of_uri_next, of_uri_prev; /* entries of one URI */
};

/* An answer to be stored: options without Max-Age and payload, as copse_build_rest would write them. */
struct gw_cache_answer {
	const void *options, *payload;
	size_t options_len, payload_len;
	const void *etag;
	size_t etag_len;  /* 0: none */
	uint32_t max_age; /* seconds */
	bool more, piece;
	uint8_t szx;
};

/* Counters since the beginning, one for each row of registry/cache_counters.def. */
struct gw_cache_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/cache_counters.def>
#undef COUNTER
};

struct gw_cache_usage {
	uint32_t entries, entries_max;
	uint64_t bytes, bytes_max; /* of chunks */
};

/* A cache of up to `entries` entries (1 or more) and `bytes` bytes, rounded down to chunks. `key` is random and secret.
 * Returns NULL without memory. */
struct gw_cache *gw_cache_new(uint32_t entries, uint64_t bytes, const uint64_t key[2]);

/* NULL is taken. */
void gw_cache_free(struct gw_cache *cache);

/* The entry of `key`, which becomes the most recently used; or NULL. A stale one is found only if it has an ETag to be
 * validated by: one without is dropped. Valid until the next call of gw_cache_store, unless it is pinned. */
struct gw_cache_entry *gw_cache_find(struct gw_cache *cache, const struct gw_cache_key *key, copse_ms now);

/* Seconds that the entry is fresh for from now on, rounded down. Meaningful while it is fresh. */
static inline bool gw_cache_is_fresh(const struct gw_cache_entry *e, copse_ms now)
{
	return now < e->expires;
}

static inline uint32_t gw_cache_left(const struct gw_cache_entry *e, copse_ms now)
{
	return now < e->expires ? (uint32_t)((e->expires - now) / 1000) : 0;
}

/* Store `answer` under `key`, in place of what was there; received at `now`. Evicts as many others as it takes.
 * Returns true; or false when it is not stored: it can never be of use (stale from the beginning and without ETag), is
 * larger than the cache, or what is pinned leaves no room. What was there is gone in each case. */
bool gw_cache_store(struct gw_cache *cache, const struct gw_cache_key *key,
		    const struct gw_cache_answer *answer, copse_ms now);

/* The device says that the entry is still good (2.03): it is fresh for `max_age` seconds more. No effect on one that was
 * replaced. */
void gw_cache_refresh(struct gw_cache *cache, struct gw_cache_entry *entry, uint32_t max_age, copse_ms now);

/* It is fresh for `max_age` seconds from now on at most. */
void gw_cache_shorten(struct gw_cache_entry *entry, uint32_t max_age, copse_ms now);

/* What is stored under `key` is gone. */
void gw_cache_forget(struct gw_cache *cache, const struct gw_cache_key *key);

/* Whatever is stored of the resource `uri` is stale from now on, for all accounts, secure and clear. */
void gw_cache_invalidate(struct gw_cache *cache, uint64_t uri, copse_ms now);

/* Keep the entry, and let it go. Each pin is undone by one unpin; at most 65,535 at a time (asserted). */
void gw_cache_pin(struct gw_cache *cache, struct gw_cache_entry *entry);
void gw_cache_unpin(struct gw_cache *cache, struct gw_cache_entry *entry);

/* Whether the entry is still the one of its key. */
static inline bool gw_cache_is_current(const struct gw_cache_entry *e)
{
	return e->linked;
}

/* Copy the answer into `buf`, which has room for options_len + payload_len bytes: options, then payload. */
void gw_cache_read(const struct gw_cache *cache, const struct gw_cache_entry *entry, uint8_t *buf);

const struct gw_cache_counters *gw_cache_counters(const struct gw_cache *cache);
void gw_cache_usage(const struct gw_cache *cache, struct gw_cache_usage *usage);

#endif
