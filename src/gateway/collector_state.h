/* The inside of the collector, for the files that make it up.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_COLLECTOR_STATE_H
#define GATEWAY_COLLECTOR_STATE_H

#include "collector.h"
#include "collector_query.h"

#include "core/table.h"

#define GW_COLLECTOR_MAGIC 0x636f6c6cu

/* How many devices are looked at in one go, and how long a round takes where it is enough. */
#define GW_COLLECTOR_LOOKED_AT 4096
#define GW_COLLECTOR_ROUND_MS  1000

enum gw_liveness { GW_SILENT, GW_LATE, GW_LIVE };

/* One series of a device, with its newest reading. */
struct gw_series {
	struct gw_series *next; /* of the same device, ascending in name */
	char name[STORE_NAME_MAX + 1];
	char unit[STORE_UNIT_MAX + 1];
	struct store_reading latest; /* `bytes` are ours */
	int64_t
	    outdated; /* the device was told at that time to change it: what was received before is old; 0: never */
	bool has_latest;
	bool ahead; /* the clock has been set back behind its time: the next one is newer whatever its time */
};

struct gw_heard {
	char id[STORE_DEVICE_MAX + 1];
	uint32_t hash, series_n;
	struct gw_series *series;
	int64_t first, last; /* heard, microseconds since 1970; 0: never */
	int64_t rhythm;      /* expected time between two messages, 0: not known yet */
	uint32_t messages;
	uint32_t type;   /* from the group it sent to; 0: none */
	bool mismatched; /* its address said another identity */
	bool sleeping;   /* it does not listen: meta says so */
	uint8_t told;    /* enum gw_liveness that observers of the list know of it */
	bool known;      /* the following mean something */
	char *meta;      /* what is known, a JSON object, ours; NULL: nothing */
	char meta_type[STORE_UNIT_MAX + 1], group[STORE_UNIT_MAX + 1];
};

/* Who has announced devices: an address, as a keyed hash. */
struct gw_sender {
	uint64_t address;
	uint32_t devices;
};

struct gw_collector {
	uint32_t magic;
	const struct gw_config *config;
	struct gw_collector_surroundings around;
	void (*wake)(void *self);
	void *wake_self;
	struct gw_collector_counters counters;
	struct store_service *service;     /* NULL: there is no store */
	struct gw_collector_config opened; /* by which it was opened: a newer one changes nothing of it */

	struct gw_heard **device; /* device_n of them, in the order in which they were met */
	uint32_t device_n, device_cap;
	struct core_table index;  /* by id: number in `device` + 1 */
	struct gw_sender *sender; /* sender_n of them, with a device each at least: never more than devices */
	uint32_t sender_n;
	struct core_table senders; /* by address: number in `sender` + 1 */
	uint64_t key[2];

	bool missing; /* the store's thread's: its file is gone, and that has been told */
	int trouble;  /* what the store said last, if it could not take something; else STORE_OK */
	int unread;   /* the same, if it could not be read; until it takes something again */

	struct store_job *spare; /* spare_n jobs of one short message, to be used again */
	uint32_t spare_n;

	int64_t wall; /* what the clock showed, microseconds since 1970, */
	copse_ms at;  /* and when that was; COPSE_NEVER: not yet */

	struct copse_resource resources[GW_COLLECTOR_RESOURCES]; /* with this collector as `user` */
	const struct copse_resource *series_resource, *device_resource, *type_resource, *group_resource;
	const struct copse_resource *list_resource; /* /devices, the worker's */
	uint32_t looked_at; /* the device that is looked at next: has it become late, or silent? */
	copse_ms look_due;  /* when that is, as long as anybody observes anything */

	struct gw_history *history[GW_COLLECTOR_HISTORIES]; /* being fetched; NULL: none */
	uint64_t histories;                                 /* since the beginning */
};

/* collector_devices.c */

/* The device with identity `id`, or NULL. */
struct gw_heard *gw_heard_find(const struct gw_collector *c, const char *id);

/* The same, made when it is new. NULL: there are enough, or no memory. */
struct gw_heard *gw_heard_get(struct gw_collector *c, const char *id);

/* The same for a device that `from` announces: a new one is made only as long as `from`, whatever its port, has announced
 * fewer than GW_COLLECTOR_SHARE times as many as are free. So one alone gets three quarters of all places, and whoever
 * comes next three quarters of the rest: the last places are for those who have announced few. NULL: see gw_heard_get;
 * or, with places that are free, `from` has had its share. */
#define GW_COLLECTOR_SHARE 3
struct gw_heard *gw_heard_announce(struct gw_collector *c, const char *id, const struct copse_peer *from);

/* Count that it made none, and say why. */
const char *gw_collector_refuse_device(struct gw_collector *c);

/* The series of a device, or NULL. */
struct gw_series *gw_series_find(const struct gw_heard *d, const char *name);

/* Note that `d` was heard at `now`, and learn its rhythm. */
void gw_heard_note(struct gw_heard *d, int64_t now);

/* live: within 1.5 times its rhythm, which is taken as 10 s at least; late: within 4 times; silent: beyond, or
 * never heard. */
enum gw_liveness gw_heard_liveness(const struct gw_heard *d, int64_t now);
const char *gw_heard_state(const struct gw_heard *d, int64_t now); /* as text */

/* Keep a stored reading if it is the newest of its series. Returns whether it is. */
bool gw_latest_take(struct gw_heard *d, const struct store_reading *r);

/* Set what is known about a device from a JSON object of `len` bytes. Returns false if it is none, or too long. */
bool gw_heard_describe(struct gw_collector *c, struct gw_heard *d, const char *json, size_t len);

/* Move all that is remembered of times with the clock, which has jumped by `by` to `now`. */
void gw_heard_move(struct gw_collector *c, int64_t by, int64_t now);

/* The type of a device as text, "" for none: what was configured, else the group that it sends to. */
const char *gw_heard_type(const struct gw_heard *d);

void gw_heard_free_all(struct gw_collector *c);

/* collector_publish.c */
void gw_collector_publish(const struct copse_request *rq, struct copse_response *rs);
void gw_collector_store_put(const struct copse_request *rq, struct copse_response *rs);
void gw_collector_stored(struct gw_collector *c, struct store_job *job, copse_ms now);
/* Free a job of readings, or keep it for another message: at most GW_COLLECTOR_SPARE, beyond it is freed. */
#define GW_COLLECTOR_SPARE      4096
#define GW_COLLECTOR_SPARE_ROOM 384 /* bytes behind a job that is used again: what most sensors send fits */
void gw_collector_spare(struct gw_collector *c, struct store_job *job);
void gw_collector_spare_free(struct gw_collector *c);

/* collector_read.c; _meta: collector_meta.c */
void gw_collector_get_readings(const struct copse_request *rq, struct copse_response *rs);
void gw_collector_get_meta(const struct copse_request *rq, struct copse_response *rs);
void gw_collector_set_meta(const struct copse_request *rq, struct copse_response *rs);
/* What is known about a device has changed: lists may have it that had it not. */
void gw_collector_described(struct gw_collector *c, copse_ms now);
void gw_collector_store_get(const struct copse_request *rq, struct copse_response *rs);
/* The name of the series that the path is about: what stands behind the device. Returns false for all of them. */
bool gw_series_name(const struct copse_request *rq, char name[STORE_NAME_MAX + 1]);

/* collector_history.c */

/* Begin to answer with the readings that `q` asks for, of `n` devices ascending in id. */
void gw_history_begin(const struct copse_request *rq, struct copse_response *rs,
		      struct gw_heard *const *device, uint32_t n, const struct gw_readings_query *q);

/* Answer a request for a further block of a history that is being fetched. Returns whether it is one. */
bool gw_history_continue(const struct copse_request *rq, struct copse_response *rs);

/* Take a page that the store has read. Returns whether `job` is one. */
bool gw_history_read(struct gw_collector *c, struct store_job *job, copse_ms now);

/* When nothing is in the store's thread any more. */
void gw_history_free_all(struct gw_collector *c);

/* Takes the job. */
void gw_collector_asked(struct gw_collector *c, struct store_job *job, copse_ms now);

/* collector.c */
static inline struct gw_collector *gw_collector_of(const struct copse_request *rq)
{
	return rq->resource->user;
}

int64_t gw_collector_now(const struct gw_collector *c);

/* Whether the peer may read; if not, the answer is set. */
bool gw_collector_admit(const struct copse_request *rq, struct copse_response *rs);

/* Whether who asks may see this device. */
bool gw_collector_sees(const struct copse_request *rq, const char *device);

/* Whether who asks may do so with the document at `path`, "/store/..."; if not, `rs` is set. */
bool gw_collector_may(const struct copse_request *rq, struct copse_response *rs, const char *path);

/* Whether it is not too soon for one more; else `rs`, which may be NULL, is 4.29. */
bool gw_collector_in_time(const struct copse_request *rq, struct copse_response *rs, bool publishes);

/* Answer 5.03 because of `result` of the store. */
void gw_collector_unavailable(struct copse_response *rs, int result);

#endif
