/* Devices heard or described, with the newest reading of each series.
 *
 * Bounds: `collector.devices` devices, GW_COLLECTOR_SERIES series each; beyond, a reading is refused and counted,
 * so that a hostile sender that makes up identities cannot take memory without end; nor all places (gw_heard_announce).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_state.h"

#include "core/siphash.h"

#include <copse/address.h>
#include <copse/mem.h>

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const struct gw_collector *c, const char *id)
{
	return (uint32_t)core_siphash(c->key, id, strlen(id), 1, 3);
}

struct gw_heard *gw_heard_find(const struct gw_collector *c, const char *id)
{
	uint32_t hash = hash_of(c, id), pos = hash & c->index.mask, found;

	while ((found = core_table_next(&c->index, hash, &pos)) != 0)
		if (strcmp(c->device[found - 1]->id, id) == 0)
			return c->device[found - 1];
	return NULL;
}

struct gw_heard *gw_heard_get(struct gw_collector *c, const char *id)
{
	struct gw_heard *d = gw_heard_find(c, id);

	if (d || c->device_n == c->device_cap)
		return d;
	d = copse_mem_new(1, sizeof(*d));
	if (!d)
		return NULL;
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->hash = hash_of(c, id);
	c->device[c->device_n++] = d;
	core_table_insert(&c->index, d->hash, c->device_n);
	return d;
}

static uint64_t address_of(const struct gw_collector *c, const struct copse_peer *from)
{
	struct copse_address a;

	if (copse_peer_address(from, &a) != 0)
		return core_siphash(c->key, from->key, from->len, 2, 4);
	if (a.sa.sa_family == AF_INET)
		return core_siphash(c->key, &a.in.sin_addr, sizeof(a.in.sin_addr), 2, 4);
	return core_siphash(c->key, &a.in6.sin6_addr, sizeof(a.in6.sin6_addr), 2, 4);
}

static struct gw_sender *find_sender(const struct gw_collector *c, uint64_t address)
{
	uint32_t pos = (uint32_t)address & c->senders.mask, found;

	while ((found = core_table_next(&c->senders, (uint32_t)address, &pos)) != 0)
		if (c->sender[found - 1].address == address)
			return &c->sender[found - 1];
	return NULL;
}

struct gw_heard *gw_heard_announce(struct gw_collector *c, const char *id, const struct copse_peer *from)
{
	struct gw_heard *d = gw_heard_find(c, id);

	if (d || c->device_n == c->device_cap)
		return d;
	const uint64_t address = address_of(c, from);
	struct gw_sender *s = find_sender(c, address);
	if (s && s->devices / GW_COLLECTOR_SHARE >= c->device_cap - c->device_n)
		return NULL;
	d = gw_heard_get(c, id);
	if (d && !s) {
		s = &c->sender[c->sender_n++];
		s->address = address;
		core_table_insert(&c->senders, (uint32_t)address, c->sender_n);
	}
	if (d)
		s->devices++;
	return d;
}

const char *gw_collector_refuse_device(struct gw_collector *c)
{
	const bool full = c->device_n == c->device_cap;

	c->counters.refused_devices += full;
	c->counters.refused_share += !full;
	return full ? "there are enough devices" : "this sender has announced its share of devices";
}

struct gw_series *gw_series_find(const struct gw_heard *d, const char *name)
{
	struct gw_series *s = d->series;

	while (s && strcmp(s->name, name) < 0)
		s = s->next;
	return s && strcmp(s->name, name) == 0 ? s : NULL;
}

static struct gw_series *make_series(struct gw_heard *d, const char *name)
{
	struct gw_series **at = &d->series, *s;

	if (d->series_n == GW_COLLECTOR_SERIES)
		return NULL;
	s = copse_mem_new(1, sizeof(*s));
	if (!s)
		return NULL;
	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->next = *at;
	*at = s;
	d->series_n++;
	return s;
}

/* The mean of the last few intervals: one that is far too long, as after an outage, moves it only a little. */
void gw_heard_note(struct gw_heard *d, int64_t now)
{
	int64_t interval = now - d->last;

	if (d->messages == 0)
		d->first = now;
	else if (interval > 0 && d->rhythm == 0)
		d->rhythm = interval;
	else if (interval > 0)
		d->rhythm += ((interval < 4 * d->rhythm ? interval : 4 * d->rhythm) - d->rhythm) / 4;
	if (now < d->first)
		d->first = now;
	d->last = now; /* also when that is earlier: a clock that was ahead has been set right */
	d->messages++;
}

/* A burst of messages is no rhythm. */
#define RHYTHM_MIN ((int64_t)10 * 1000000)

enum gw_liveness gw_heard_liveness(const struct gw_heard *d, int64_t now)
{
	int64_t since = now > d->last ? now - d->last : 0;
	int64_t rhythm = d->rhythm < RHYTHM_MIN ? RHYTHM_MIN : d->rhythm;

	if (d->last == 0)
		return GW_SILENT;
	if (d->rhythm == 0) /* heard once: nothing is known about its rhythm */
		return GW_LIVE;
	return since <= rhythm + rhythm / 2 ? GW_LIVE : since <= 4 * rhythm ? GW_LATE : GW_SILENT;
}

const char *gw_heard_state(const struct gw_heard *d, int64_t now)
{
	static const char *const text[] = {[GW_SILENT] = "silent", [GW_LATE] = "late", [GW_LIVE] = "live"};

	return text[gw_heard_liveness(d, now)];
}

bool gw_latest_take(struct gw_heard *d, const struct store_reading *r)
{
	struct gw_series *s = gw_series_find(d, r->name);
	uint8_t *bytes = NULL;

	if (!s)
		s = make_series(d, r->name);
	if (!s || (s->has_latest && r->time < s->latest.time && !s->ahead))
		return false;
	if (r->len) {
		bytes = copse_mem_new(r->len, 1);
		if (!bytes)
			return false;
		memcpy(bytes, r->bytes, r->len);
	}
	copse_mem_free((void *)(uintptr_t)s->latest.bytes);
	if (strcmp(s->unit, r->unit) != 0)
		snprintf(s->unit, sizeof(s->unit), "%s", r->unit);
	s->latest = *r;
	s->latest.device = d->id;
	s->latest.name = s->name;
	s->latest.unit = s->unit;
	s->latest.bytes = bytes;
	s->has_latest = true;
	s->ahead = false;
	return true;
}

static int64_t moved(int64_t time, int64_t by)
{
	return time == 0 || time == STORE_NEVER ? time : time + by;
}

void gw_heard_move(struct gw_collector *c, int64_t by, int64_t now)
{
	for (uint32_t i = 0; i < c->device_n; i++) {
		struct gw_heard *d = c->device[i];
		d->first = moved(d->first, by);
		d->last = moved(d->last, by);
		for (struct gw_series *s = d->series; s; s = s->next) {
			s->latest.expires = moved(s->latest.expires, by);
			s->latest.received = moved(s->latest.received, by);
			s->outdated = moved(s->outdated, by);
			s->ahead = s->has_latest && s->latest.time > now;
		}
	}
}

static void take_text(json_t *meta, const char *key, char *out, size_t cap)
{
	const char *value = json_string_value(json_object_get(meta, key));

	snprintf(out, cap, "%s", value && strlen(value) < cap ? value : "");
}

bool gw_heard_describe(struct gw_collector *c, struct gw_heard *d, const char *json, size_t len)
{
	json_t *meta = len <= STORE_EXTRA_MAX ? json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	char *text = json_is_object(meta) ? json_dumps(meta, JSON_COMPACT) : NULL;
	char *own = text && strlen(text) <= STORE_EXTRA_MAX ? copse_mem_new(strlen(text) + 1, 1) : NULL;

	if (own) {
		memcpy(own, text, strlen(text) + 1);
		copse_mem_free(d->meta);
		d->meta = own;
		d->known = true;
		take_text(meta, "type", d->meta_type, sizeof(d->meta_type));
		take_text(meta, "group", d->group, sizeof(d->group));
		bool sleeps = json_is_true(json_object_get(meta, "sleeping"));
		if (sleeps != d->sleeping && c->around.sleeps)
			c->around.sleeps(c->around.self, d->id, sleeps);
		d->sleeping = sleeps;
	}
	free(text);
	json_decref(meta);
	return own != NULL;
}

const char *gw_heard_type(const struct gw_heard *d)
{
	switch (d->meta_type[0] ? 0 : d->type) {
#define SENSOR_TYPE(number, name, unit)                                                                      \
	case number:                                                                                         \
		return name;
#include <copse/registry/sensor_types.def>
#undef SENSOR_TYPE
	default: return d->meta_type;
	}
}

void gw_heard_free_all(struct gw_collector *c)
{
	for (uint32_t i = 0; i < c->device_n; i++) {
		for (struct gw_series *s = c->device[i]->series, *next; s; s = next) {
			next = s->next;
			copse_mem_free((void *)(uintptr_t)s->latest.bytes);
			copse_mem_free(s);
		}
		copse_mem_free(c->device[i]->meta);
		copse_mem_free(c->device[i]);
	}
	copse_mem_free(c->device);
	copse_mem_free(c->index.slot);
	copse_mem_free(c->sender);
	copse_mem_free(c->senders.slot);
}
