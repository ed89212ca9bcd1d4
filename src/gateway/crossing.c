/* See crossing.h. Counters of the board are written by one worker each and read by all, relaxed: a sum may be a moment old.
 * Rates are written by all, by compare-and-set: of a bucket is kept when it will be full (the generic cell rate
 * algorithm), which is one word.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "crossing.h"

#include "collector.h"

#include <copse/host.h>
#include <copse/mem.h>

#include "core/siphash.h"

#include <string.h>

#define RATES      16384u /* a power of two */
#define RATES_NEAR 8u     /* places that an account may be found at */
#define NS         1000000u
#define ASLEEP     65536u /* counters; a power of two */

struct bell {
	_Atomic bool sleeping;
	void (*wake)(void *self);
	void *self;
	uint8_t apart[RING_LINE];
	bool to_wake[GW_WORKERS_MAX]; /* the worker's own: whom it has sent something */
	uint8_t apart_end[RING_LINE];
};

/* Of one account. */
struct cell {
	_Atomic uint64_t name;
	_Atomic uint64_t full_at; /* nanoseconds on the workers' clock */
};

struct gw_crossing {
	/* never written once made */
	unsigned workers;
	uint32_t sessions;
	uint64_t key[2], secret[4];
	struct gw_owners *owners;
	/* shared */
	struct ring ring[GW_WORKERS_MAX][GW_WORKERS_MAX]; /* from, to */
	struct bell bell[GW_WORKERS_MAX];
	_Atomic uint64_t *used;      /* [sessions] */
	_Atomic uint32_t *pending;   /* [workers][sessions] */
	_Atomic uint32_t *observers; /* the same */
	_Atomic uint32_t sequence;
	struct cell *cell; /* [RATES] */
	_Atomic uint64_t rated_at;
	_Atomic uint32_t asleep_n; /* devices */
	_Atomic uint16_t *asleep;  /* [ASLEEP], by the hashes of their names */
};

static bool make_rings(struct gw_crossing *c)
{
	for (unsigned from = 0; from < c->workers; from++)
		for (unsigned to = 0; to < c->workers; to++)
			if (from != to &&
			    !ring_init(&c->ring[from][to], GW_CROSS_SLOTS, sizeof(struct gw_cross_message)))
				return false;
	return true;
}

struct gw_crossing *gw_crossing_new(unsigned workers, uint32_t sessions, bool claims)
{
	struct gw_crossing *c = copse_mem_new(1, sizeof(*c));

	COPSE_ASSERT(workers >= 2 && workers <= GW_WORKERS_MAX);
	if (!c)
		return NULL;
	c->workers = workers;
	c->sessions = sessions;
	copse_host_random(c->key, sizeof(c->key));
	copse_host_random(c->secret, sizeof(c->secret));
	c->used = copse_mem_new(sessions, sizeof(*c->used));
	c->pending = copse_mem_new((size_t)workers * sessions, sizeof(*c->pending));
	c->observers = copse_mem_new((size_t)workers * sessions, sizeof(*c->observers));
	c->cell = copse_mem_new(RATES, sizeof(*c->cell));
	c->owners = gw_owners_new(workers, claims);
	c->asleep = copse_mem_new(ASLEEP, sizeof(*c->asleep));
	if (c->owners && c->asleep && c->used && c->pending && c->observers && c->cell && make_rings(c))
		return c;
	gw_crossing_free(c);
	return NULL;
}

static void drop_message(struct gw_cross_message *m)
{
	copse_mem_free(m->large);
	m->large = NULL;
	if (m->kind == GW_CROSS_OPENED)
		copse_mem_free(m->session.grant);
}

void gw_crossing_free(struct gw_crossing *c)
{
	if (!c)
		return;
	for (unsigned from = 0; from < c->workers; from++) {
		for (unsigned to = 0; to < c->workers; to++) {
			while (c->ring[from][to].slots && gw_crossing_first(c, from, to))
				gw_crossing_release(c, from, to);
			ring_free(&c->ring[from][to]);
		}
	}
	copse_mem_free(c->used);
	copse_mem_free(c->pending);
	copse_mem_free(c->observers);
	copse_mem_free(c->cell);
	gw_owners_free(c->owners);
	copse_mem_free(c->asleep);
	copse_mem_free(c);
}

unsigned gw_crossing_workers(const struct gw_crossing *c)
{
	return c->workers;
}

const uint64_t *gw_crossing_secret(const struct gw_crossing *c)
{
	return c->secret;
}

struct gw_owners *gw_crossing_owners(const struct gw_crossing *c)
{
	return c->owners;
}

/* ---- rings ---- */

struct gw_cross_message *gw_crossing_reserve(struct gw_crossing *c, unsigned from, unsigned to, bool spare)
{
	struct gw_cross_message *m = ring_reserve(&c->ring[from][to], spare ? 0 : GW_CROSS_SPARE);

	if (m) {
		memset(m, 0, offsetof(struct gw_cross_message, bytes));
		m->from = (uint8_t)from;
	}
	return m;
}

void gw_crossing_commit(struct gw_crossing *c, unsigned from, unsigned to)
{
	ring_commit(&c->ring[from][to]);
	c->bell[from].to_wake[to] = true;
}

bool gw_crossing_has_room(struct gw_crossing *c, unsigned from)
{
	for (unsigned to = 0; to < c->workers; to++)
		if (to != from && !ring_reserve(&c->ring[from][to], 0))
			return false;
	return true;
}

struct gw_cross_message *gw_crossing_first(struct gw_crossing *c, unsigned from, unsigned to)
{
	return ring_first(&c->ring[from][to]);
}

void gw_crossing_release(struct gw_crossing *c, unsigned from, unsigned to)
{
	drop_message(ring_first(&c->ring[from][to]));
	ring_release(&c->ring[from][to]);
}

void gw_crossing_on_wake(struct gw_crossing *c, unsigned worker, void (*wake)(void *self), void *self)
{
	c->bell[worker].wake = wake;
	c->bell[worker].self = self;
}

void gw_crossing_wake(struct gw_crossing *c, unsigned from)
{
	for (unsigned to = 0; to < c->workers; to++) {
		struct bell *b = &c->bell[to];
		if (!c->bell[from].to_wake[to])
			continue;
		c->bell[from].to_wake[to] = false;
		if (atomic_load(&b->sleeping) && atomic_exchange(&b->sleeping, false))
			b->wake(b->self);
	}
}

bool gw_crossing_sleep(struct gw_crossing *c, unsigned worker)
{
	atomic_store(&c->bell[worker].sleeping, true);
	for (unsigned from = 0; from < c->workers; from++) {
		if (from != worker && !ring_is_empty(&c->ring[from][worker])) {
			gw_crossing_awake(c, worker);
			return false;
		}
	}
	return true;
}

void gw_crossing_awake(struct gw_crossing *c, unsigned worker)
{
	if (atomic_load_explicit(&c->bell[worker].sleeping, memory_order_relaxed))
		atomic_store_explicit(&c->bell[worker].sleeping, false, memory_order_relaxed);
}

/* ---- the board ---- */

_Atomic uint64_t *gw_crossing_used(struct gw_crossing *c)
{
	return c->used;
}

static void set(const struct gw_crossing *c, _Atomic uint32_t *of, unsigned worker, uint32_t number,
		uint32_t n)
{
	COPSE_ASSERT(number < c->sessions);
	atomic_store_explicit(&of[(size_t)worker * c->sessions + number], n, memory_order_relaxed);
}

static uint32_t sum(const struct gw_crossing *c, _Atomic uint32_t *of, uint32_t number)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < c->workers; i++)
		n += atomic_load_explicit(&of[(size_t)i * c->sessions + number], memory_order_relaxed);
	return n;
}

void gw_crossing_set_pending(struct gw_crossing *c, unsigned worker, uint32_t number, uint32_t n)
{
	set(c, c->pending, worker, number, n);
}

uint32_t gw_crossing_pending(const struct gw_crossing *c, uint32_t number)
{
	return sum(c, c->pending, number);
}

void gw_crossing_set_observers(struct gw_crossing *c, unsigned worker, uint32_t number, uint32_t n)
{
	set(c, c->observers, worker, number, n);
}

uint32_t gw_crossing_observers(const struct gw_crossing *c, uint32_t number)
{
	return sum(c, c->observers, number);
}

uint32_t gw_crossing_next_sequence(struct gw_crossing *c)
{
	return (atomic_fetch_add_explicit(&c->sequence, 1, memory_order_relaxed) + 1) & 0xffffff;
}

void gw_crossing_begin_sequence(struct gw_crossing *c, uint32_t first)
{
	atomic_store(&c->sequence, first);
}

/* ---- rates ---- */

/* The account's cell, or the one that it takes: an empty one or one whose bucket is full, else the fullest. Should another
 * worker take it at the same moment for another account, the two share a bucket this once. */
static struct cell *cell_of(struct gw_crossing *c, uint64_t name, uint64_t now)
{
	struct cell *best = NULL;
	uint64_t best_full = UINT64_MAX;

	for (uint32_t i = 0; i < RATES_NEAR; i++) {
		struct cell *cell = &c->cell[((uint32_t)name + i) & (RATES - 1)];
		uint64_t full = atomic_load_explicit(&cell->full_at, memory_order_relaxed);
		if (atomic_load_explicit(&cell->name, memory_order_relaxed) == name)
			return cell;
		if (full < best_full) {
			best_full = full;
			best = cell;
		}
	}
	uint64_t old = atomic_load_explicit(&best->name, memory_order_relaxed);
	if (atomic_compare_exchange_strong(&best->name, &old, name) && best_full > now)
		atomic_compare_exchange_strong(&best->full_at, &best_full, now);
	return best;
}

copse_ms gw_crossing_rate(struct gw_crossing *c, const char *account, const struct gw_rate *rate,
			  copse_ms now_ms)
{
	if (rate->thousandths == 0)
		return 0;
	const uint64_t each = (uint64_t)NS * NS / rate->thousandths, now = now_ms * NS;
	const uint64_t name = core_siphash(c->key, account, strlen(account), 2, 4);
	struct cell *cell = cell_of(c, name, now);
	atomic_store_explicit(&c->rated_at, now, memory_order_relaxed);
	uint64_t full = atomic_load_explicit(&cell->full_at, memory_order_relaxed), from;

	do {
		from = full > now ? full : now;
		if (from - now > (uint64_t)(rate->burst - 1) * each)
			return (from - now - (uint64_t)(rate->burst - 1) * each + NS - 1) / NS;
	} while (!atomic_compare_exchange_weak(&cell->full_at, &full, from + each));
	return 0;
}

uint32_t gw_crossing_rates(const struct gw_crossing *c)
{
	const uint64_t now = atomic_load_explicit(&c->rated_at, memory_order_relaxed);
	uint32_t n = 0;

	for (uint32_t i = 0; i < RATES; i++)
		n += atomic_load_explicit(&c->cell[i].full_at, memory_order_relaxed) > now;
	return n;
}

/* ---- devices that sleep ---- */

static _Atomic uint16_t *asleep_at(const struct gw_crossing *c, const char *device)
{
	return &c->asleep[core_siphash(c->key, device, strlen(device), 2, 4) & (ASLEEP - 1)];
}

void gw_crossing_set_asleep(struct gw_crossing *c, const char *device, bool asleep)
{
	_Atomic uint16_t *at = asleep_at(c, device);
	uint16_t n = atomic_load_explicit(at, memory_order_relaxed);

	/* what is full stays full: who cannot be counted must not be counted off */
	if (n != UINT16_MAX)
		atomic_store_explicit(at, (uint16_t)(asleep ? n + 1 : n - 1), memory_order_relaxed);
	atomic_fetch_add_explicit(&c->asleep_n, asleep ? 1 : UINT32_MAX, memory_order_relaxed);
}

bool gw_crossing_any_asleep(const struct gw_crossing *c)
{
	return atomic_load_explicit(&c->asleep_n, memory_order_relaxed) != 0;
}

bool gw_crossing_may_sleep(const struct gw_crossing *c, const char *name, const char *alias)
{
	char text[STORE_DEVICE_MAX + 1];

	if (!gw_crossing_any_asleep(c))
		return false;
	for (unsigned i = 0; i < GW_HEARD_NAMES; i++)
		if (gw_heard_name(name, alias, i, text) &&
		    atomic_load_explicit(asleep_at(c, text), memory_order_relaxed))
			return true;
	return false;
}
