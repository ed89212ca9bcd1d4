/* What the workers of one gateway share: a ring for each ordered pair of them, and a board of atomics. Nothing here locks.
 *
 * A device belongs to one worker (owners.h), and what a client sends goes there as the datagram that it is, by a ring.
 * A session is opened and closed by worker 0 (GW_FIRST), which keeps the others' tables equal to its own by messages: since
 * all do the same in the same order, a session has the same number everywhere, and so a place on the board for what all of
 * them change: when it was last used, and what it has under way.
 *
 * A ring that is full says no to datagrams while there is still room for messages that keep tables equal.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_CROSSING_H
#define GATEWAY_CROSSING_H

#include "grant.h"
#include "owners.h"
#include "rate.h"
#include "resolver.h"
#include "session.h"

#include "transport/ring.h"

#define GW_FIRST                                                                                             \
	0 /* the worker that has sessions, collector, directory and all resources of the gateway's own */

#define GW_CROSS_SLOTS 512  /* of a ring */
#define GW_CROSS_SPARE 128  /* of them for what is no datagram */
#define GW_CROSS_BYTES 1280 /* of a datagram; a longer one is copied to memory of its own */

enum gw_cross_kind {
	GW_CROSS_DATAGRAM,    /* of a client, to be taken as if it had come here */
	GW_CROSS_REPLY,       /* to be sent by a socket that only the receiver has */
	GW_CROSS_OPENED,      /* a session was opened, renewed or moved: do the same */
	GW_CROSS_CLOSED,      /* or closed */
	GW_CROSS_GONE,        /* to the first: the association or connection of this peer has ended */
	GW_CROSS_UNREACHABLE, /* the system says so of this peer */
	GW_CROSS_INVALIDATE,  /* what is stored of a resource has been changed by a group's device */
	GW_CROSS_OBSERVES,    /* a client observes elsewhere under this token */
	GW_CROSS_REPORT,      /* fill in what you count */
	GW_CROSS_REPORTED
};

struct gw_round;

struct gw_cross_message {
	enum gw_cross_kind kind;
	bool registered; /* DATAGRAM: `target` is the device, which only worker 0 knows */
	uint8_t from, token_len;
	uint32_t len;
	struct copse_peer peer;
	struct copse_address
	    local;      /* DATAGRAM: the address that was asked; len 0: unknown, or nobody asks for it */
	uint8_t *large; /* the bytes, where they are too many; the receiver's to free */
	union {
		struct gw_target target;
		struct {
			copse_ms ends;
			uint32_t per_account;
			bool sticky, secure;
			char account[GW_ACCOUNT_MAX + 1];
			struct gw_grant *grant; /* the receiver's to free; NULL: none */
		} session;
		uint64_t uri;
		uint8_t token[COPSE_TOKEN_MAX];
		struct gw_round *round;
	};
	uint8_t bytes[GW_CROSS_BYTES];
};

struct gw_crossing;

/* Over how many sockets of one port clients are spread by their addresses; 0: the system spreads them. */
static inline uint8_t gw_cross_spread(const struct gw_config *config, unsigned workers)
{
	return config->spread == GW_SPREAD_ADDRESS ? (uint8_t)workers : 0;
}

/* A worker's part of a bound that holds for all of them together. */
static inline uint32_t gw_cross_share(unsigned workers, uint32_t bound)
{
	return workers > 1 ? (bound + workers - 1) / workers : bound;
}

/* For `workers` workers, 2 to GW_WORKERS_MAX, and tables of `sessions` sessions; `claims` as of gw_owners_new. Returns NULL
 * without memory. */
struct gw_crossing *gw_crossing_new(unsigned workers, uint32_t sessions, bool claims);

/* When no worker uses it any more. NULL is taken. */
void gw_crossing_free(struct gw_crossing *c);

unsigned gw_crossing_workers(const struct gw_crossing *c);

/* Random bytes that all workers make keys of the cache with. */
const uint64_t *gw_crossing_secret(const struct gw_crossing *c);

/* Which worker a device belongs to. */
struct gw_owners *gw_crossing_owners(const struct gw_crossing *c);

/* ---- rings ---- */

/* A slot of the ring from one worker to another, or NULL: it is full. `spare`: it may use the room that is kept for what
 * cannot wait. Then commit. */
struct gw_cross_message *gw_crossing_reserve(struct gw_crossing *c, unsigned from, unsigned to, bool spare);
void gw_crossing_commit(struct gw_crossing *c, unsigned from, unsigned to);

/* Whether each ring from `from` has room for one more message that cannot wait. */
bool gw_crossing_has_room(struct gw_crossing *c, unsigned from);

/* The oldest message from `from` to `to`, or NULL; and that it has been dealt with: its memory is freed. */
struct gw_cross_message *gw_crossing_first(struct gw_crossing *c, unsigned from, unsigned to);
void gw_crossing_release(struct gw_crossing *c, unsigned from, unsigned to);

/* How `worker` is woken: `wake` is called by any thread. Before it runs. */
void gw_crossing_on_wake(struct gw_crossing *c, unsigned worker, void (*wake)(void *self), void *self);

/* Wake those to whom `from` has committed something since it last did this, if they sleep. */
void gw_crossing_wake(struct gw_crossing *c, unsigned from);

/* `worker` goes to sleep. Returns false when there is something for it: it must not. */
bool gw_crossing_sleep(struct gw_crossing *c, unsigned worker);
void gw_crossing_awake(struct gw_crossing *c, unsigned worker);

/* ---- the board ---- */

/* When each session was last used, for gw_sessions_share. */
_Atomic uint64_t *gw_crossing_used(struct gw_crossing *c);

/* What `worker` has under way of session `number`, and the sum over all workers; the same for its observers. */
void gw_crossing_set_pending(struct gw_crossing *c, unsigned worker, uint32_t number, uint32_t n);
uint32_t gw_crossing_pending(const struct gw_crossing *c, uint32_t number);
void gw_crossing_set_observers(struct gw_crossing *c, unsigned worker, uint32_t number, uint32_t n);
uint32_t gw_crossing_observers(const struct gw_crossing *c, uint32_t number);

/* The next number of RFC 7641 §4.4, 24 bits; `gw_crossing_begin_sequence` once, before there are threads. */
uint32_t gw_crossing_next_sequence(struct gw_crossing *c);
void gw_crossing_begin_sequence(struct gw_crossing *c, uint32_t first);

/* As gw_rates_take, for an account. Two workers that take at the same moment are both counted. Should 8 accounts whose
 * buckets are not full meet in one place of the table, the fullest is forgotten. */
copse_ms gw_crossing_rate(struct gw_crossing *c, const char *account, const struct gw_rate *rate,
			  copse_ms now);

/* Accounts whose bucket was not full when one was last taken from, of any account. */
uint32_t gw_crossing_rates(const struct gw_crossing *c);

/* Devices whose description says that they sleep (collector.h): by the first worker, which answers for them, and so has
 * to get what is asked of them. `device` is the name that the collector knows; `name` and `alias` are a target's. With many
 * that sleep others seem to: they are asked by the first worker then, until those do not sleep any more. */
void gw_crossing_set_asleep(struct gw_crossing *c, const char *device, bool asleep);
bool gw_crossing_any_asleep(const struct gw_crossing *c);
bool gw_crossing_may_sleep(const struct gw_crossing *c, const char *name, const char *alias);

#endif
