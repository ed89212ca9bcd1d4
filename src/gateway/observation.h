/* Shared observations: what the gateway observes at devices on behalf of its clients, and who these are (RFC 7641
 * §5).
 *
 * An observation is one registration at one device, found by its cache-key. Its observers are in one of two lists:
 * those who know its newest state, and those who are behind. A new state moves all of the first into the second at
 * once; who is behind is served as the endpoint has room, and gets whatever is the newest state then: it may miss
 * one between two, never the last.
 *
 * Two fixed tables and their memory, taken once. No message and no clock in here: what is sent, and when, is
 * proxy_observe.c's. One worker owns them. Numbers are + 1, 0 stands for none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_OBSERVATION_H
#define GATEWAY_OBSERVATION_H

#include "cache_key.h"
#include "config.h"
#include "lane.h"
#include "rate.h"

#include <copse/endpoint.h>

#include "core/heap.h"
#include "core/list.h"

#define GW_OBSERVE_REQUEST_MAX                                                                               \
	512u /* bytes of a registration: options, and the body of a FETCH; longer ones are not shared */

/* A Reset may come for one of so many messages: two in a breath are common, as when a client joins. */
#define GW_OBSERVER_IDS 2

struct gw_observations;

/* What a device is asked for, and what it said last. The members above `private` are the user's to read and write. */
struct gw_observation {
	struct core_timer timer; /* when the newest state becomes stale, or something is to be tried again */
	struct core_node idle, behind;
	copse_handle device; /* the exchange with the device, which stays open; COPSE_NO_HANDLE: none */
	copse_ms heard;      /* when the newest state came */
	copse_ms expires;    /* and when it is asked for again, unless a newer one comes */
	struct copse_peer peer, to; /* the device for lanes, and where it is asked */
	char name[GW_NAME_MAX + 1], alias[GW_NAME_MAX + 1]; /* of the device, for rules */
	struct gw_lane_rule lane;   /* of the device's class */
	struct gw_rate rate;
	struct gw_cache_key key;
	struct gw_cache_key body; /* what its states are stored under */
	uint32_t leader;   /* the request that is under way to the device for it: number + 1 */
	uint32_t sequence; /* of the device's newest notification, 24 bits */
	uint8_t method;
	bool registered;                /* the device has said so */
	bool leaving;                   /* it has no observers any more: the device is still to be told */
	bool storable;                  /* its states may be kept by the cache */
	bool sealed;                    /* by OSCORE: one client's, and not to be said again by us */
	uint16_t options_len, body_len; /* of `request` */
	uint16_t state_len;
	uint8_t code; /* of the newest state; 0: there is none yet */
	uint8_t *
	    request; /* as it goes to the device, without Observe: options, then body; GW_OBSERVE_REQUEST_MAX bytes */
	uint8_t
	    *state; /* the newest state as it goes to observers, with Observe: as long as a message may be */

	/* private */
	uint32_t observers;
	bool linked; /* found by its key */
	uint32_t next_free;
};

/* A client that observes: under 128 bytes, its share of the tables included. */
struct gw_observer {
	struct core_node node;
	copse_handle notified; /* a confirmable notification under way */
	struct copse_peer peer;
	uint8_t token[COPSE_TOKEN_MAX];
	uint32_t session : 24; /* there are at most 4,000,000 */
	uint32_t token_len : 4;
	uint32_t con : 1; /* as the client registered */
	/* how many of `id` are known: messages that told it something and were not confirmable, the newest first */
	uint32_t ids : 2;
	uint16_t id[GW_OBSERVER_IDS];
	uint32_t con_at; /* the worker's second in which it was last told confirmably */
	uint32_t generation; /* of the session */
	uint32_t rights;     /* of the session when it was last seen that it may (gw_rights) */
	uint32_t request; /* its registration, while the answer is not acknowledged: number + 1 */

	/* private */
	uint32_t observation;
	uint32_t token_hash, peer_hash;
};

struct gw_observe_bounds {
	uint32_t observations, observers; /* beyond: requests are answered without registering anything */
	uint32_t message_len;             /* of a state */
};

/* `key` is random and secret. Returns NULL without memory. */
struct gw_observations *gw_observations_new(const struct gw_observe_bounds *bounds, const uint64_t key[2]);

/* NULL is taken. */
void gw_observations_free(struct gw_observations *all);

/* ---- observations ---- */

struct gw_observation *gw_observation_find(struct gw_observations *all, const struct gw_cache_key *key);

/* A new one, found by `key` from now on; there is none with that key (asserted). Returns NULL when the table is
 * full. */
struct gw_observation *gw_observation_new(struct gw_observations *all, const struct gw_cache_key *key);

/* It is no longer found by its key: what comes next makes a new one. */
void gw_observation_hide(struct gw_observations *all, struct gw_observation *ob);

/* It has no observers (asserted); its timer is cleared. */
void gw_observation_free(struct gw_observations *all, struct gw_observation *ob);

uint32_t gw_observation_number(const struct gw_observations *all, const struct gw_observation *ob);
struct gw_observation *gw_observation_at(struct gw_observations *all, uint32_t number);

/* The observation that `user` of an event points to, or NULL. */
struct gw_observation *gw_observation_of(struct gw_observations *all, const void *user);

/* Set or clear (COPSE_NEVER) its timer; the earliest one, which has come by `now`, or NULL; the earliest time. */
void gw_observation_set(struct gw_observations *all, struct gw_observation *ob, copse_ms at);
struct gw_observation *gw_observation_due(struct gw_observations *all, copse_ms now);
copse_ms gw_observations_deadline(const struct gw_observations *all);

/* All its observers are behind from now on. */
void gw_observation_changed(struct gw_observation *ob);

/* The first observer that is behind, or any; NULL: none. */
struct gw_observer *gw_observation_behind(struct gw_observation *ob);
struct gw_observer *gw_observation_any(struct gw_observation *ob);

static inline uint32_t gw_observation_observers(const struct gw_observation *ob)
{
	return ob->observers;
}

/* ---- observers ---- */

/* Whether one more observation fits. */
bool gw_observations_room(const struct gw_observations *all);

/* Whether one more observer fits beside `reserved` that are to come. */
bool gw_observers_room(const struct gw_observations *all, uint32_t reserved);

/* A new one of `ob`, which knows its newest state; there is none with this peer and token (asserted). Returns NULL
 * when the table is full, or the token is longer than COPSE_TOKEN_MAX. */
struct gw_observer *gw_observer_new(struct gw_observations *all, struct gw_observation *ob,
				    const struct copse_peer *peer, const void *token, size_t token_len);
void gw_observer_free(struct gw_observations *all, struct gw_observer *o);

struct gw_observer *gw_observer_find(struct gw_observations *all, const struct copse_peer *peer,
				     const void *token, size_t token_len);

/* It was told something by message `id`, not confirmably. */
void gw_observer_tell(struct gw_observer *o, uint16_t id);

/* The one that was told by message `id`, one of its newest. */
struct gw_observer *gw_observer_told(struct gw_observations *all, const struct copse_peer *peer, uint16_t id);

/* How many this peer has, counted up to `most`. */
uint32_t gw_observers_of(const struct gw_observations *all, const struct copse_peer *peer, uint32_t most);

struct gw_observer *gw_observer_of(struct gw_observations *all, const void *user);
uint32_t gw_observer_number(const struct gw_observations *all, const struct gw_observer *o);
struct gw_observer *gw_observer_at(struct gw_observations *all, uint32_t number);
struct gw_observation *gw_observer_observation(struct gw_observations *all, const struct gw_observer *o);

/* It knows the newest state, or it is behind. */
void gw_observer_idle(struct gw_observations *all, struct gw_observer *o);
void gw_observer_behind(struct gw_observations *all, struct gw_observer *o);

struct gw_observe_usage {
	uint32_t observations, observers;
};

void gw_observations_usage(const struct gw_observations *all, struct gw_observe_usage *usage);

#endif
