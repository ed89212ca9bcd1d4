/* The collector: what devices publish is stored, and served while they sleep.
 *
 * A part of a worker, with resources on the worker's server: /publish, /store, /devices, /types, /groups. The
 * newest reading of each series is kept in memory, so that asking for it costs the same however many there are,
 * and so that it can be observed; history is asked of the store's thread, and its answer deferred. Newest means:
 * of the greatest time among those stored.
 *
 * The store is the thread's behind store/service.h: gw_collector_done takes back what it has finished.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_COLLECTOR_H
#define GATEWAY_COLLECTOR_H

#include "config.h"

#include "store/service.h"

#include <copse/server.h>

#define GW_COLLECTOR_RESOURCES 10
#define GW_COLLECTOR_BODY      65536            /* longest body taken */
#define GW_COLLECTOR_SERIES    64               /* names of one device; beyond: refused */
#define GW_COLLECTOR_JUMP_US   INT64_C(2000000) /* less is a clock that is slow or fast */

/* Histories that are being fetched: of all, and of one peer. Beyond, a peer's own longest unused one makes way, or
 * another's that is unused for GW_HISTORY_IDLE_MS; else 5.03. A block of one that made way begins it anew, under
 * another ETag. Each holds at most two pages and what one reading adds to them. */
#define GW_COLLECTOR_HISTORIES 64
#define GW_HISTORY_PEER        8
#define GW_HISTORY_PAGE        32768  /* bytes */
#define GW_HISTORY_IDLE_MS     10000  /* unused for so long: others may take its place */
#define GW_HISTORY_MS          247000 /* unused for so long: forgotten */

struct gw_collector;
struct gw_documents;

/* What the collector has from its worker. All of it must live as long as the collector. */
struct gw_collector_surroundings {
	struct copse_server *server;
	struct gw_log *log;          /* may be NULL */
	int64_t (*wall)(void *self); /* microseconds since 1970; asked by the store's thread, too */
	/* the address that a peer sent to */
	void (*local)(void *self, const struct copse_peer *peer, struct copse_address *address);
	bool (*may_read)(void *self, const struct copse_peer *peer, copse_ms now); /* has it a session? */
	/* whether it may see this device */
	bool (*sees)(void *self, const struct copse_peer *peer, copse_ms now, const char *device);
	/* whether it may say by `method` what is known about this device */
	bool (*may_describe)(void *self, const struct copse_peer *peer, copse_ms now, const char *device,
			     uint8_t method);
	/* another number when it may do something else than before */
	uint64_t (*rights)(void *self, const struct copse_peer *peer, copse_ms now);
	/* what it may ask of documents; without `out` just the bytes that takes, 0: everything (gw_documents_bytes) */
	size_t (*documents)(void *self, const struct copse_peer *peer, copse_ms now, uint8_t method,
			    struct gw_documents *out);
	/* how long it must wait before its next reading or question is taken; 0: it is, and counts */
	copse_ms (*wait_for)(void *self, const struct copse_peer *peer, copse_ms now, bool publishes);
	void (*heard)(void *self, const char *device); /* it has sent the message being taken; may be NULL */
	/* it is marked as sleeping, or not any more; may be NULL */
	void (*sleeps)(void *self, const char *device, bool sleeps);
	void *self;
};

/* Open the store that `config` names, read what it knows, start its thread: this blocks. `wake` is called in that
 * thread when gw_collector_done has something to do. A store that cannot be opened is logged, and what it would be
 * asked for answered 5.03. Returns NULL without memory. */
struct gw_collector *gw_collector_new(const struct gw_config *config,
				      const struct gw_collector_surroundings *around,
				      void (*wake)(void *self), void *wake_self);

/* Stores what is queued. NULL is taken. */
void gw_collector_free(struct gw_collector *collector);

/* Use `config` from now on: what it says about the collector itself has no effect before a restart. */
void gw_collector_adopt(struct gw_collector *collector, const struct gw_config *config);

/* Add the resources to the server. Returns 0 or an error of copse_server_add. */
int gw_collector_add(struct gw_collector *collector);

/* Which resource gw_collector_list answers for: its observers are told when a device is heard or described. */
void gw_collector_set_list(struct gw_collector *collector, const struct copse_resource *resource);

/* The answer to /devices: every device heard or described, in link format or JSON by Accept, with ?type= ?group=
 * ?state=; in link format behind `before`, the links of configured devices. The caller has admitted the peer. */
void gw_collector_list(struct gw_collector *collector, const struct copse_request *rq,
		       struct copse_response *rs, const char *before);

/* Take a notification that came unasked: a reading, if an implicit subscription is agreed for its token. */
void gw_collector_unasked(struct gw_collector *collector, const struct copse_event *event, copse_ms now);

/* Look whether the clock has jumped since the last look, more than GW_COLLECTOR_JUMP_US; then devices and newest readings
 * are moved with it, so that they are as old, as fresh and as expected as they were. */
void gw_collector_look(struct gw_collector *collector, copse_ms now);

/* The names that a device of the proxy may be heard under: its own, the other one of 12 or 16 digits, and one that is no
 * MAC ID as "device:NAME" (store/identity.h). Returns false when it has no i-th of them. */
#define GW_HEARD_NAMES 3
bool gw_heard_name(const char *name, const char *alias, unsigned i, char out[STORE_DEVICE_MAX + 1]);

/* Whether /devices/ID/meta says that the device of this name and alias ("" for none) sleeps. */
bool gw_collector_is_asleep(const struct gw_collector *collector, const char *name, const char *alias);

struct gw_asleep_question {
	const char *name, *alias; /* of the device */
	const char *series;       /* of the reading */
	uint32_t format;          /* COPSE_FORMAT_TEXT: its value alone; or SenML in JSON, CBOR, XML */
};

enum gw_asleep {
	GW_ASLEEP_UNKNOWN, /* there is no such reading, or `out` is too small: `out` is to be freed all the same */
	GW_ASLEEP_STALE, /* the newest one has expired */
	GW_ASLEEP_OLD,   /* the device has been told to change it (gw_collector_outdate), and has not said anything since */
	GW_ASLEEP_FRESH  /* it is in `out`, and fresh for `*fresh` seconds */
};

/* The newest reading of one name. */
enum gw_asleep gw_collector_newest(const struct gw_collector *collector, const struct gw_asleep_question *q,
				   struct store_buffer *out, uint32_t *fresh);

/* The device has carried out a request that may have changed what this reading is about: what was received until now says
 * no longer how things are (RFC 7252 §5.9.1). Not remembered beyond a restart. `format` of `q` means nothing. */
void gw_collector_outdate(struct gw_collector *collector, const struct gw_asleep_question *q);

/* Answer those whose batches and queries are done. */
void gw_collector_done(struct gw_collector *collector, copse_ms now);

/* When it is looked next whether a device has become late or silent, of which nobody sends a word: while anybody observes
 * anything, each device about once a second, some thousands in one go; else COPSE_NEVER. And do so: observers of the list
 * are told. */
copse_ms gw_collector_deadline(const struct gw_collector *collector);
void gw_collector_expire(struct gw_collector *collector, copse_ms now);

/* Counters, one for each row of registry/collector_counters.def. */
struct gw_collector_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/collector_counters.def>
#undef COUNTER
};

const struct gw_collector_counters *gw_collector_counters(const struct gw_collector *collector);

/* A copy of what the store's thread counts. Returns false when there is no store. */
struct store_service_counters;
bool gw_collector_store_counters(const struct gw_collector *collector, struct store_service_counters *out);

#endif
