/* See memo.h. Places 2n and 2n + 1 are for the hashes whose upper half ends in n. Marks, small and close together, say
 * where it is worth to look: what is not known costs one line of the processor's cache.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "memo.h"

#include <copse/mem.h>

#include "core/siphash.h"

#include <string.h>

struct pair {
	uint32_t mark[2]; /* of the hashes of both places; 0: free */
	uint32_t seen;    /* of what came once */
	uint32_t last;    /* which place was used last */
};

struct gw_memo {
	struct gw_memo_entry *entry;
	struct pair *pair;
	uint32_t mask;  /* pairs - 1 */
	uint64_t epoch; /* of valid entries; those that were never used have 0 */
	uint64_t key[2];
};

struct gw_memo *gw_memo_new(uint32_t entries, const uint64_t key[2])
{
	struct gw_memo *t = copse_mem_new(1, sizeof(*t));
	uint32_t pairs = 1;

	COPSE_ASSERT(entries >= 2 && entries <= 1u << 30);
	if (!t)
		return NULL;
	while (2 * pairs < entries)
		pairs += pairs;
	t->entry = copse_mem_new(2 * (size_t)pairs, sizeof(*t->entry));
	t->pair = copse_mem_new(pairs, sizeof(*t->pair));
	if (!t->entry || !t->pair) {
		gw_memo_free(t);
		return NULL;
	}
	t->mask = pairs - 1;
	t->epoch = 1;
	memcpy(t->key, key, sizeof(t->key));
	return t;
}

void gw_memo_free(struct gw_memo *t)
{
	if (!t)
		return;
	copse_mem_free(t->entry);
	copse_mem_free(t->pair);
	copse_mem_free(t);
}

void gw_memo_forget(struct gw_memo *t)
{
	t->epoch++;
}

uint64_t gw_memo_hash(const struct gw_memo *t, const struct gw_memo_question *q)
{
	return core_siphash(t->key, q->bytes, q->len, 1, 3) ^ (q->grant * 0x9e3779b97f4a7c15u);
}

static uint64_t hash_of(const struct gw_memo *t, const struct gw_memo_question *q)
{
	return q->hash ? q->hash : gw_memo_hash(t, q);
}

static uint32_t mark_of(uint64_t hash)
{
	return (uint32_t)hash | 1;
}

static uint32_t number_of(const struct gw_memo *t, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & t->mask;
}

static bool answers(const struct gw_memo *t, const struct gw_memo_entry *e, const struct gw_memo_question *q,
		    uint64_t hash)
{
	return e->hash == hash && e->epoch == t->epoch && e->grant == q->grant && e->code == q->code &&
	       e->by_account == q->by_account && e->len == q->len &&
	       memcmp(e->bytes, q->bytes, q->len) == 0 && (!e->by_directory || e->directory == q->directory);
}

const struct gw_memo_entry *gw_memo_find(struct gw_memo *t, const struct gw_memo_question *q)
{
	uint64_t hash = hash_of(t, q);
	uint32_t number = number_of(t, hash);
	struct pair *pair = &t->pair[number];

	for (unsigned i = 0; i < 2; i++) {
		const struct gw_memo_entry *e = &t->entry[2 * (size_t)number + i];

		if (pair->mark[i] == mark_of(hash) && answers(t, e, q, hash)) {
			pair->last = i;
			return e;
		}
	}
	return NULL;
}

/* What was known about the same question, and is not valid any more, gives way before anything else. */
static unsigned place_for(const struct pair *pair, uint64_t hash)
{
	if (pair->mark[0] == mark_of(hash) || pair->mark[1] == mark_of(hash))
		return pair->mark[1] == mark_of(hash);
	return 1 - pair->last;
}

struct gw_memo_entry *gw_memo_put(struct gw_memo *t, const struct gw_memo_question *q)
{
	uint64_t hash = hash_of(t, q);
	uint32_t number = number_of(t, hash);
	struct pair *pair = &t->pair[number];
	unsigned i = place_for(pair, hash);
	struct gw_memo_entry *e = &t->entry[2 * (size_t)number + i];

	COPSE_ASSERT(q->len <= GW_MEMO_KEY);
	if (pair->seen != mark_of(hash) && pair->mark[i] != mark_of(hash)) {
		pair->seen = mark_of(hash);
		return NULL;
	}
	pair->seen = 0;
	pair->mark[i] = mark_of(hash);
	pair->last = i;
	e->hash = hash;
	e->epoch = t->epoch;
	e->grant = q->grant;
	e->directory = q->directory;
	e->code = q->code;
	e->len = (uint8_t)q->len;
	e->by_account = q->by_account;
	memcpy(e->bytes, q->bytes, q->len);
	return e;
}
