/* See collector.h: its life, and its resources.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_state.h"

#include "documents.h"

#include <copse/host.h>
#include <copse/mem.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_JOBS  262143 /* batches and queries under way: while arrivals are merged none is done */
#define QUEUE_BYTES ((uint64_t)256 << 20) /* and the memory of all of them */
#define ANSWER_MAX  (16u << 20)           /* bytes of the longest answer; beyond: 4.00 asks for less */
#define LINGER_US   2000

int64_t gw_collector_now(const struct gw_collector *c)
{
	return c->around.wall(c->around.self);
}

void gw_collector_look(struct gw_collector *c, copse_ms now)
{
	const int64_t wall_now = gw_collector_now(c);
	const int64_t by = wall_now - c->wall - (int64_t)(now - c->at) * 1000;

	if (c->at != COPSE_NEVER && (by > GW_COLLECTOR_JUMP_US || by < -GW_COLLECTOR_JUMP_US)) {
		char text[32];
		snprintf(text, sizeof(text), "%lld", (long long)(by / 1000000));
		gw_log(c->around.log, GW_LOG_WARN, "collector", "the clock has jumped", {"seconds", text});
		c->counters.jumps++;
		gw_heard_move(c, by, wall_now);
	}
	c->wall = wall_now;
	c->at = now;
}

bool gw_collector_sees(const struct copse_request *rq, const char *device)
{
	struct gw_collector *c = gw_collector_of(rq);

	return !rq->peer || c->around.sees(c->around.self, rq->peer, rq->now, device);
}

static bool is_allowed(const struct copse_request *rq, const char *path)
{
	struct gw_collector *c = gw_collector_of(rq);
	size_t bytes = c->around.documents(c->around.self, rq->peer, rq->now, rq->method, NULL);
	struct gw_documents *d = bytes ? copse_mem_new(1, bytes) : NULL;
	bool may = bytes == 0;

	if (d) {
		c->around.documents(c->around.self, rq->peer, rq->now, rq->method, d);
		may = gw_documents_allow(d, path + strlen("/store"));
		copse_mem_free(d);
	}
	return may;
}

bool gw_collector_may(const struct copse_request *rq, struct copse_response *rs, const char *path)
{
	struct gw_collector *c = gw_collector_of(rq);

	if (is_allowed(rq, path))
		return true;
	c->counters.refused_document++;
	if (c->around.may_read(c->around.self, rq->peer, rq->now))
		copse_response_error(rs, COPSE_CODE_FORBIDDEN, "not allowed for this document");
	else
		copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, "no session for this address and port");
	return false;
}

bool gw_collector_in_time(const struct copse_request *rq, struct copse_response *rs, bool publishes)
{
	struct gw_collector *c = gw_collector_of(rq);
	copse_ms wait = c->around.wait_for(c->around.self, rq->peer, rq->now, publishes);

	if (wait == 0)
		return true;
	c->counters.refused_rate++;
	if (rs)
		copse_response_too_many(rs, wait > 3600000 ? 3600 : (uint32_t)((wait + 999) / 1000));
	return false;
}

bool gw_collector_admit(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_collector *c = gw_collector_of(rq);

	gw_collector_look(c, rq->now);
	if (!rq->peer) /* a notification goes to somebody who was admitted when he registered */
		return true;
	if (c->config->collector.open || c->around.may_read(c->around.self, rq->peer, rq->now))
		return gw_collector_in_time(rq, rs, false);
	c->counters.refused_anonymous++;
	copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, "no session for this address and port");
	return false;
}

void gw_collector_unavailable(struct copse_response *rs, int result)
{
	copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, store_result_text(result));
	rs->max_age = 5;
}

/* --- starting --- */

/* In the store's thread. */
static int64_t wall(void *self)
{
	return gw_collector_now(self);
}

static void wake_worker(void *self)
{
	const struct gw_collector *c = self;

	c->wake(c->wake_self);
}

/* What was stored while the clock was ahead has come now, as far as anybody knows. */
static void load_reading(struct gw_heard *d, struct store_reading r, int64_t now)
{
	const int64_t ahead = r.received > now ? r.received - now : 0;

	r.received -= ahead;
	if (r.expires != STORE_NEVER)
		r.expires -= ahead;
	if (gw_latest_take(d, &r))
		gw_series_find(d, r.name)->ahead = ahead > 0 && r.time > now;
	d->last = r.received > d->last ? r.received : d->last;
	d->first = d->last;
	d->told = GW_LIVE;
}

static int load_row(void *user, const struct store_row *row)
{
	struct gw_collector *c = user;
	struct gw_heard *d = gw_heard_get(c, row->reading ? row->reading->device : row->device->name);

	if (!d)
		return 0; /* there are enough: the bound was made smaller */
	if (row->device) {
		gw_heard_describe(c, d, row->device->extra, strlen(row->device->extra));
	} else {
		load_reading(d, *row->reading, gw_collector_now(c));
	}
	return 0;
}

static int load(struct gw_collector *c, struct store *store)
{
	const struct store_query latest = {.subject = STORE_LATEST}, devices = {.subject = STORE_DEVICES};
	int result = store_read(store, &latest, load_row, c);

	return result < 0 ? result : store_read(store, &devices, load_row, c);
}

static int open_store(struct gw_collector *c, struct store *store, char *why, size_t cap)
{
	const struct gw_collector_config *config = &c->opened;
	/* room to work in, until the oldest readings are removed */
	const uint64_t max_bytes = config->max_bytes + config->max_bytes / 4;
	const struct store_sqlite_config sqlite = {
	    .path = config->path, .sync = config->sync, .max_bytes = max_bytes};

	if (strcmp(config->path, ":memory:") == 0)
		return store_memory_open(max_bytes, store);
	return store_sqlite_open(&sqlite, store, why, cap);
}

/* In the store's thread. What its file knew is in memory, as far as it is newest; the rest is where the file is. */
static int reopen(void *self, struct store *store)
{
	struct gw_collector *c = self;
	char why[300] = "";

	if (!c->missing)
		gw_log(c->around.log, GW_LOG_ERROR, "collector", store_result_text(STORE_GONE),
		       {"store", c->opened.path});
	int result = open_store(c, store, why, sizeof(why));
	if (result == STORE_OK)
		gw_log(c->around.log, GW_LOG_WARN, "collector", "the store has been opened again",
		       {"store", c->opened.path});
	else if (!c->missing)
		gw_log(c->around.log, GW_LOG_ERROR, "collector", why, {"store", c->opened.path});
	c->missing = result != STORE_OK;
	return result;
}

static void start(struct gw_collector *c)
{
	const struct store_service_config config = {.jobs = QUEUE_JOBS,
						    .bytes = QUEUE_BYTES,
						    .answer_max = ANSWER_MAX,
						    .linger_us = LINGER_US,
						    .keep_us = c->opened.keep_us,
						    .store_max = c->opened.max_bytes,
						    .wall = wall,
						    .reopen = reopen,
						    .wake = wake_worker,
						    .self = c};
	struct store store;
	char why[300] = "";
	int result = open_store(c, &store, why, sizeof(why));

	if (result == STORE_OK)
		result = load(c, &store);
	if (result == STORE_OK) {
		c->service = store_service_new(&config, &store);
		result = c->service ? STORE_OK : STORE_NOMEM;
	}
	if (result == STORE_OK)
		return;
	store_close(&store);
	gw_log(c->around.log, GW_LOG_ERROR, "collector", why[0] ? why : store_result_text(result),
	       {"store", c->opened.path});
}

struct gw_collector *gw_collector_new(const struct gw_config *config,
				      const struct gw_collector_surroundings *around,
				      void (*wake)(void *self), void *wake_self)
{
	struct gw_collector *c = copse_mem_new(1, sizeof(*c));
	uint32_t slots = core_table_slots(config->collector.devices);

	if (!c)
		return NULL;
	c->magic = GW_COLLECTOR_MAGIC;
	c->at = COPSE_NEVER;
	c->config = config;
	c->opened = config->collector;
	c->around = *around;
	c->device_cap = config->collector.devices;
	copse_host_random(c->key, sizeof(c->key));
	c->device = copse_mem_new(c->device_cap, sizeof(struct gw_heard *));
	c->sender = copse_mem_new(c->device_cap, sizeof(struct gw_sender));
	struct core_slot *slot = copse_mem_new(slots, sizeof(*slot));
	struct core_slot *senders = copse_mem_new(slots, sizeof(*senders));
	if (!c->device || !c->sender || !slot || !senders) {
		copse_mem_free(c->device);
		copse_mem_free(c->sender);
		copse_mem_free(slot);
		copse_mem_free(senders);
		copse_mem_free(c);
		return NULL;
	}
	core_table_init(&c->index, slot, slots);
	core_table_init(&c->senders, senders, slots);
	c->wake = wake;
	c->wake_self = wake_self;
	start(c);
	return c;
}

void gw_collector_free(struct gw_collector *c)
{
	if (!c)
		return;
	COPSE_ASSERT(c->magic == GW_COLLECTOR_MAGIC);
	store_service_free(c->service);
	gw_collector_spare_free(c);
	gw_history_free_all(c);
	gw_heard_free_all(c);
	c->magic = 0;
	copse_mem_free(c);
}

void gw_collector_adopt(struct gw_collector *c, const struct gw_config *config)
{
	c->config = config;
}

const struct gw_collector_counters *gw_collector_counters(const struct gw_collector *c)
{
	return &c->counters;
}

/* --- resources --- */

#define FORMATS_READINGS                                                                                     \
	COPSE_FORMATS(COPSE_FORMAT_SENML_JSON, COPSE_FORMAT_SENML_CBOR, COPSE_FORMAT_SENML_XML,              \
		      COPSE_FORMAT_TEXT)
/* Who sends readings may know no Echo, and may not even listen. */
#define WHOLE (COPSE_RESOURCE_WHOLE | COPSE_RESOURCE_MULTICAST | COPSE_RESOURCE_UNPROVEN)
/* More come within NON_LIFETIME than any memory of messages holds. Of confirmable ones the store knows the origin; of the
 * others a copy that comes late is a reading more. */
#define READINGS (WHOLE | COPSE_RESOURCE_REPEATABLE)
/* Answers from the store come later, and may have to be repeated. */
#define READ COPSE_RESOURCE_PROVEN

enum { DEVICE = 1, SERIES, TYPE = 4, GROUP }; /* places in the table */

static const struct copse_resource resources[] = {
    {.path = "publish",
     .post = gw_collector_publish,
     .title = "Readings: POST SenML, a number or bytes",
     .body_max = GW_COLLECTOR_BODY,
     .flags = READINGS},
    [DEVICE] = {.path = "devices/*",
		.get = gw_collector_get_readings,
		.formats = FORMATS_READINGS,
		.flags = READ | COPSE_RESOURCE_OBSERVABLE | COPSE_RESOURCE_HIDDEN},
    [SERIES] = {.path = "devices/*/**",
		.get = gw_collector_get_readings,
		.formats = FORMATS_READINGS,
		.flags = READ | COPSE_RESOURCE_OBSERVABLE | COPSE_RESOURCE_HIDDEN},
    {.path = "devices/*/meta",
     .get = gw_collector_get_meta,
     .put = gw_collector_set_meta,
     .patch = gw_collector_set_meta,
     .ipatch = gw_collector_set_meta,
     .formats = COPSE_FORMATS(COPSE_FORMAT_JSON),
     .takes = COPSE_FORMATS(COPSE_FORMAT_JSON, COPSE_FORMAT_MERGE_PATCH),
     .body_max = STORE_EXTRA_MAX,
     .flags = READ | COPSE_RESOURCE_WHOLE | COPSE_RESOURCE_HIDDEN},
    [TYPE] = {.path = "types/*",
	      .get = gw_collector_get_readings,
	      .formats = FORMATS_READINGS,
	      .flags = READ | COPSE_RESOURCE_OBSERVABLE | COPSE_RESOURCE_HIDDEN},
    [GROUP] = {.path = "groups/*",
	       .get = gw_collector_get_readings,
	       .formats = FORMATS_READINGS,
	       .flags = READ | COPSE_RESOURCE_OBSERVABLE | COPSE_RESOURCE_HIDDEN},
    {.path = "store",
     .get = gw_collector_store_get,
     .formats = COPSE_FORMATS(COPSE_FORMAT_LINK),
     .title = "Documents: POST and PUT to any path below",
     .flags = READ},
    {.path = "store/*/**",
     .get = gw_collector_store_get,
     .post = gw_collector_store_put,
     .put = gw_collector_store_put,
     .body_max = GW_COLLECTOR_BODY,
     .flags = READ | READINGS | COPSE_RESOURCE_HIDDEN},
};

#define RESOURCES (sizeof(resources) / sizeof(*resources))
static_assert(RESOURCES <= GW_COLLECTOR_RESOURCES, "each collector has its copy of each");

void gw_collector_set_list(struct gw_collector *c, const struct copse_resource *resource)
{
	c->list_resource = resource;
}

int gw_collector_add(struct gw_collector *c)
{
	memcpy(c->resources, resources, sizeof(resources));
	for (size_t i = 0; i < RESOURCES; i++)
		c->resources[i].user = c;
	c->device_resource = &c->resources[DEVICE];
	c->series_resource = &c->resources[SERIES];
	c->type_resource = &c->resources[TYPE];
	c->group_resource = &c->resources[GROUP];
	return copse_server_add_all(c->around.server, c->resources, RESOURCES);
}

void gw_collector_done(struct gw_collector *c, copse_ms now)
{
	struct store_job *job;

	COPSE_ASSERT(c->magic == GW_COLLECTOR_MAGIC);
	gw_collector_look(c, now);
	while (c->service && (job = store_service_done(c->service))) {
		if (job->render) {
			gw_collector_asked(c, job, now);
		} else {
			gw_collector_stored(c, job, now);
			gw_collector_spare(c, job);
		}
	}
}

/* --- what happens when nothing comes --- */

copse_ms gw_collector_deadline(const struct gw_collector *c)
{
	return c->list_resource && c->device_n > 0 && copse_server_observers(c->around.server, NULL) > 0
		   ? c->look_due
		   : COPSE_NEVER;
}

void gw_collector_expire(struct gw_collector *c, copse_ms now)
{
	const uint32_t n = c->device_n < GW_COLLECTOR_LOOKED_AT ? c->device_n : GW_COLLECTOR_LOOKED_AT;
	bool changed = false;

	if (gw_collector_deadline(c) > now)
		return;
	gw_collector_look(c, now);
	for (uint32_t i = 0; i < n; i++) {
		struct gw_heard *d = c->device[c->looked_at++ % c->device_n];
		const enum gw_liveness is = gw_heard_liveness(d, c->wall);
		changed |= is != d->told;
		d->told = (uint8_t)is;
	}
	c->looked_at %= c->device_n;
	c->look_due = now + GW_COLLECTOR_ROUND_MS / (1 + (c->device_n - 1) / GW_COLLECTOR_LOOKED_AT) + 1;
	if (changed)
		copse_server_changed(c->around.server, c->list_resource, NULL, now);
}

bool gw_collector_store_counters(const struct gw_collector *c, struct store_service_counters *out)
{
	if (!c->service)
		return false;
	store_service_counters(c->service, out);
	return true;
}
