/* See memo.h. Places 2n and 2n + 1 are for the hashes whose upper half ends in n.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "memo.h"

#include <copse/mem.h>

#include "core/siphash.h"

#include <string.h>

struct gw_memo {
	struct gw_memo_entry *entry;
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
	if (!t->entry) {
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
	copse_mem_free(t);
}

void gw_memo_forget(struct gw_memo *t)
{
	t->epoch++;
}

static uint64_t hash_of(const struct gw_memo *t, const struct gw_memo_question *q)
{
	return core_siphash(t->key, q->bytes, q->len, 1, 3) ^ (q->grant * 0x9e3779b97f4a7c15u);
}

static struct gw_memo_entry *pair_of(const struct gw_memo *t, uint64_t hash)
{
	return &t->entry[2 * (size_t)((uint32_t)(hash >> 32) & t->mask)];
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
	struct gw_memo_entry *pair = pair_of(t, hash);

	for (unsigned i = 0; i < 2; i++)
		if (answers(t, &pair[i], q, hash)) {
			pair[i].used_last = true;
			pair[1 - i].used_last = false;
			return &pair[i];
		}
	return NULL;
}

struct gw_memo_entry *gw_memo_put(struct gw_memo *t, const struct gw_memo_question *q)
{
	uint64_t hash = hash_of(t, q);
	struct gw_memo_entry *pair = pair_of(t, hash);
	unsigned i = pair[0].used_last;

	COPSE_ASSERT(q->len <= GW_MEMO_KEY);
	pair[1 - i].used_last = false;
	pair[i] = (struct gw_memo_entry){.hash = hash,
					 .epoch = t->epoch,
					 .grant = q->grant,
					 .directory = q->directory,
					 .code = q->code,
					 .len = (uint8_t)q->len,
					 .by_account = q->by_account,
					 .used_last = true};
	memcpy(pair[i].bytes, q->bytes, q->len);
	return &pair[i];
}
