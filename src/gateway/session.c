/* See session.h. A record is free, or in both tables, in the list of its account and in the heap.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <copse/mem.h>

#include "core/siphash.h"
#include "core/table.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

/* Each of the two tables has less than four slots a session. */
#define BYTES_EACH (sizeof(struct gw_session) + sizeof(struct core_timer *) + 8 * sizeof(struct core_slot))
static_assert(BYTES_EACH <= 256, "at most 256 bytes a session");

struct gw_sessions {
	struct gw_session *record;
	uint32_t max, count;
	uint32_t free;  /* number + 1 of the first record that was given back, 0 for none */
	uint32_t fresh; /* records from here on have never been used: their memory is not touched before */
	copse_ms idle_ms;
	uint64_t key[2];
	struct core_table peers;    /* number + 1 by peer */
	struct core_table accounts; /* number + 1 of the first of an account's list */
	struct core_heap heap;
	struct copse_endpoint *hasher; /* of peers; may be NULL */
	struct gw_grants *grants;      /* may be NULL */
	_Atomic uint64_t *used;        /* may be NULL: there are no other tables */
};

size_t gw_sessions_bytes_each(void)
{
	return BYTES_EACH;
}

struct gw_sessions *gw_sessions_new(uint32_t max, copse_ms idle_ms, const uint64_t key[2])
{
	struct gw_sessions *t = copse_mem_new(1, sizeof(*t));
	uint32_t slots = core_table_slots(max);

	if (!t)
		return NULL;
	t->max = max;
	t->idle_ms = idle_ms;
	t->record = copse_mem_new(max, sizeof(*t->record));
	t->peers.slot = copse_mem_new(slots, sizeof(struct core_slot));
	t->accounts.slot = copse_mem_new(slots, sizeof(struct core_slot));
	t->heap.timer = copse_mem_new(max + 1, sizeof(*t->heap.timer));
	t->heap.cap = max;
	if (!t->record || !t->peers.slot || !t->accounts.slot || !t->heap.timer) {
		gw_sessions_free(t);
		return NULL;
	}
	core_table_init(&t->peers, t->peers.slot, slots);
	core_table_init(&t->accounts, t->accounts.slot, slots);
	memcpy(t->key, key, sizeof(t->key));
	return t;
}

void gw_sessions_hash_by(struct gw_sessions *t, struct copse_endpoint *ep)
{
	COPSE_ASSERT(t->fresh == 0);
	t->hasher = ep;
}

void gw_sessions_set_grants(struct gw_sessions *t, struct gw_grants *grants)
{
	t->grants = grants;
}

void gw_sessions_share(struct gw_sessions *t, _Atomic uint64_t *used)
{
	t->used = used;
}

static void set_grant(struct gw_sessions *t, struct gw_session *s, uint32_t grant)
{
	COPSE_ASSERT(!grant || t->grants);
	if (s->grant)
		gw_grants_release(t->grants, s->grant);
	s->grant = grant;
}

void gw_sessions_set_idle(struct gw_sessions *t, copse_ms idle_ms)
{
	t->idle_ms = idle_ms;
}

void gw_sessions_free(struct gw_sessions *t)
{
	if (!t)
		return;
	copse_mem_free(t->record);
	copse_mem_free(t->peers.slot);
	copse_mem_free(t->accounts.slot);
	copse_mem_free(t->heap.timer);
	copse_mem_free(t);
}

uint32_t gw_sessions_number(const struct gw_sessions *t, const struct gw_session *s)
{
	return (uint32_t)(s - t->record);
}

struct gw_session *gw_sessions_at(struct gw_sessions *t, uint32_t number, uint32_t generation)
{
	struct gw_session *s = &t->record[number];

	COPSE_ASSERT(number < t->max);
	return s->open && s->generation == generation ? s : NULL;
}

uint32_t gw_sessions_count(const struct gw_sessions *t)
{
	return t->count;
}

static uint32_t peer_hash(const struct gw_sessions *t, const struct copse_peer *peer)
{
	return t->hasher ? copse_endpoint_peer_hash(t->hasher, peer)
			 : (uint32_t)core_siphash(t->key, peer->key, peer->len, 1, 3);
}

static uint32_t account_hash(const struct gw_sessions *t, const char *account)
{
	return (uint32_t)core_siphash(t->key, account, strlen(account), 1, 3);
}

static struct gw_session *find_peer(struct gw_sessions *t, const struct copse_peer *peer)
{
	uint32_t hash = peer_hash(t, peer), pos = hash & t->peers.mask, found;

	while ((found = core_table_next(&t->peers, hash, &pos)) != 0)
		if (copse_peer_equal(&t->record[found - 1].peer, peer))
			return &t->record[found - 1];
	return NULL;
}

/* The first of the account's list: the one that was opened last. */
static struct gw_session *find_account(struct gw_sessions *t, const char *account)
{
	uint32_t hash = account_hash(t, account), pos = hash & t->accounts.mask, found;

	while ((found = core_table_next(&t->accounts, hash, &pos)) != 0)
		if (strcmp(t->record[found - 1].account, account) == 0)
			return &t->record[found - 1];
	return NULL;
}

/* In `prev` of an account's first session: beside it, how many the account has. */
#define FIRST 0x80000000u

/* Whether the account of `first` has `limit` sessions or more. */
static bool has_many(const struct gw_session *first, uint32_t limit)
{
	return (first ? first->prev & ~FIRST : 0) >= limit;
}

static copse_ms when_due(const struct gw_sessions *t, const struct gw_session *s)
{
	copse_ms used = t->used ? atomic_load_explicit(&t->used[s - t->record], memory_order_relaxed) : 0;
	copse_ms idle = (used > s->used ? used : s->used) + t->idle_ms;

	return idle < s->ends ? idle : s->ends;
}

/* The timer goes off early and is set anew then: no heap operation for each request. */
static void use(struct gw_sessions *t, struct gw_session *s, copse_ms now)
{
	s->used = now;
	if (t->used && atomic_load_explicit(&t->used[s - t->record], memory_order_relaxed) < now)
		atomic_store_explicit(&t->used[s - t->record], now, memory_order_relaxed);
}

static void set_peer(struct gw_sessions *t, struct gw_session *s, const struct copse_peer *peer)
{
	s->peer = *peer;
	s->peer_hash = peer_hash(t, peer);
	core_table_insert(&t->peers, s->peer_hash, gw_sessions_number(t, s) + 1);
}

static void unset_peer(struct gw_sessions *t, struct gw_session *s)
{
	core_table_remove(&t->peers, s->peer_hash, gw_sessions_number(t, s) + 1);
}

/* Put `s` in front of its account's list. */
static void set_account(struct gw_sessions *t, struct gw_session *s, const char *account)
{
	struct gw_session *first = find_account(t, account);
	uint32_t self = gw_sessions_number(t, s) + 1;

	memcpy(s->account, account, strlen(account) + 1);
	s->account_hash = account_hash(t, account);
	s->prev = FIRST | 1;
	s->next = 0;
	if (first) {
		s->prev = first->prev + 1;
		s->next = gw_sessions_number(t, first) + 1;
		first->prev = self;
		core_table_remove(&t->accounts, s->account_hash, s->next);
	}
	core_table_insert(&t->accounts, s->account_hash, self);
}

static void unset_account(struct gw_sessions *t, struct gw_session *s)
{
	uint32_t self = gw_sessions_number(t, s) + 1;

	if (!(s->prev & FIRST)) {
		find_account(t, s->account)->prev--;
		t->record[s->prev - 1].next = s->next;
		if (s->next)
			t->record[s->next - 1].prev = s->prev;
		return;
	}
	core_table_remove(&t->accounts, s->account_hash, self);
	if (!s->next)
		return;
	t->record[s->next - 1].prev = s->prev - 1;
	core_table_insert(&t->accounts, s->account_hash, s->next);
}

static struct gw_session *take_record(struct gw_sessions *t)
{
	struct gw_session *s = NULL;

	if (t->free) {
		s = &t->record[t->free - 1];
		t->free = s->next;
	} else if (t->fresh < t->max) {
		s = &t->record[t->fresh++];
	}
	if (s) {
		s->open = true;
		s->generation++;
		s->pending = 0;
		t->count++;
	}
	return s;
}

static void apply(struct gw_sessions *t, struct gw_session *s, const struct gw_session_wish *wish,
		  copse_ms now)
{
	s->ends = wish->ends;
	use(t, s, now);
	s->secure = wish->secure;
	set_grant(t, s, wish->grant);
	core_heap_set(&t->heap, &s->timer, when_due(t, s));
}

/* The peer has a session: give it the new token's account. */
static enum gw_session_result renew(struct gw_sessions *t, struct gw_session *s,
				    const struct gw_session_wish *wish, copse_ms now)
{
	if (strcmp(s->account, wish->account) != 0) {
		if (has_many(find_account(t, wish->account), wish->per_account))
			return GW_SESSION_LIMIT;
		unset_account(t, s);
		set_account(t, s, wish->account);
		s->generation++; /* what is under way belongs to the other account */
		s->pending = 0;
	}
	apply(t, s, wish, now);
	return GW_SESSION_RENEWED;
}

/* The account has a session elsewhere: it follows its client. Requests under way are bound to the old address, and
 * no longer to this session. */
static enum gw_session_result move(struct gw_sessions *t, struct gw_session *s,
				   const struct gw_session_wish *wish, copse_ms now)
{
	unset_peer(t, s);
	set_peer(t, s, wish->peer);
	s->generation++;
	s->pending = 0;
	apply(t, s, wish, now);
	return GW_SESSION_MOVED;
}

static enum gw_session_result open_new(struct gw_sessions *t, const struct gw_session *first,
				       const struct gw_session_wish *wish, copse_ms now,
				       struct gw_session **out)
{
	if (has_many(first, wish->per_account))
		return GW_SESSION_LIMIT;
	struct gw_session *s = take_record(t);
	if (!s)
		return GW_SESSION_FULL;
	set_peer(t, s, wish->peer);
	set_account(t, s, wish->account);
	apply(t, s, wish, now);
	*out = s;
	return GW_SESSION_OPENED;
}

enum gw_session_result gw_sessions_open(struct gw_sessions *t, const struct gw_session_wish *wish,
					copse_ms now, struct gw_session **out)
{
	struct gw_session *s = find_peer(t, wish->peer), *first = find_account(t, wish->account);
	enum gw_session_result result;

	COPSE_ASSERT(strlen(wish->account) <= GW_ACCOUNT_MAX);
	if (s && wish->sticky && first && strcmp(s->account, wish->account) != 0) {
		gw_sessions_close(t, s);
		s = NULL;
	}
	if (s) {
		result = renew(t, s, wish, now);
	} else if (wish->sticky && first) {
		s = first;
		result = move(t, s, wish, now);
	} else {
		result = open_new(t, first, wish, now, &s);
	}
	if (out && result < GW_SESSION_LIMIT)
		*out = s;
	return result;
}

struct gw_session *gw_sessions_find(struct gw_sessions *t, const struct copse_peer *peer, copse_ms now)
{
	struct gw_session *s = find_peer(t, peer);

	if (!s || now >= when_due(t, s)) /* due, but not yet swept */
		return NULL;
	use(t, s, now);
	return s;
}

struct gw_session *gw_sessions_any(struct gw_sessions *t, const struct copse_peer *peer)
{
	return find_peer(t, peer);
}

void gw_sessions_close(struct gw_sessions *t, struct gw_session *s)
{
	COPSE_ASSERT(s->open);
	unset_peer(t, s);
	unset_account(t, s);
	core_heap_clear(&t->heap, &s->timer);
	set_grant(t, s, 0);
	s->open = false;
	s->next = t->free;
	t->free = gw_sessions_number(t, s) + 1;
	t->count--;
}

void gw_sessions_end(struct gw_sessions *t, struct gw_session *s, copse_ms now)
{
	s->ends = now;
	core_heap_set(&t->heap, &s->timer, now);
}

copse_ms gw_sessions_deadline(const struct gw_sessions *t)
{
	const struct core_timer *first = core_heap_first(&t->heap);

	return first ? first->at : COPSE_NEVER;
}

bool gw_sessions_expire(struct gw_sessions *t, copse_ms now, struct gw_session *ended)
{
	struct core_timer *first;

	while ((first = core_heap_first(&t->heap)) != NULL && first->at <= now) {
		struct gw_session *s =
		    (struct gw_session *)((char *)first - offsetof(struct gw_session, timer));
		if (when_due(t, s) <= now) {
			*ended = *s;
			gw_sessions_close(t, s);
			return true;
		}
		core_heap_set(&t->heap, first, when_due(t, s));
	}
	return false;
}
