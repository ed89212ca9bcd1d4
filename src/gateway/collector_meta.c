/* What is known about a device: /devices/ID/meta, a JSON object. The keys label, location, type, group and unit
 * are texts with a meaning, "sleeping" a boolean; all others are free.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_state.h"

#include "store/identity.h"
#include "store/senml.h"

#include <copse/mem.h>

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_id(const struct copse_request *rq, struct copse_response *rs, char id[STORE_DEVICE_MAX + 1])
{
	size_t len;
	const char *text = copse_request_segment(rq, 1, &len);

	if (text && store_identity(text, len, id) == 0 && senml_is_name(id) && gw_collector_sees(rq, id))
		return true;
	copse_response_error(rs, COPSE_CODE_NOT_FOUND, "no such device");
	return false;
}

void gw_collector_get_meta(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_collector *c = gw_collector_of(rq);
	char id[STORE_DEVICE_MAX + 1];

	if (!gw_collector_admit(rq, rs) || !take_id(rq, rs, id))
		return;
	struct gw_heard *d = gw_heard_find(c, id);
	if (!d)
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, "no such device");
	else
		copse_response_copy(rs, COPSE_FORMAT_JSON, d->meta ? d->meta : "{}",
				    d->meta ? strlen(d->meta) : 2);
}

/* RFC 7396 §2; the depth is that of the patch, which jansson bounds. */
static void merge(json_t *target, json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach(patch, key, value)
	{
		json_t *old = json_object_get(target, key);
		if (json_is_null(value)) {
			json_object_del(target, key);
		} else if (json_is_object(value)) {
			if (!json_is_object(old)) {
				json_object_set_new(target, key, json_object());
				old = json_object_get(target, key);
			}
			merge(old, value);
		} else {
			json_object_set(target, key, value);
		}
	}
}

/* A text of at most `max` bytes, or none. */
static bool is_text(const json_t *meta, const char *key, size_t max)
{
	const json_t *value = json_object_get(meta, key);

	return !value || (json_is_string(value) && json_string_length(value) <= max);
}

/* The same of the characters of a name: it stands in links and lists. */
static bool is_word(const json_t *meta, const char *key)
{
	const char *value = json_string_value(json_object_get(meta, key));

	return is_text(meta, key, STORE_UNIT_MAX) && (!value || senml_is_name(value));
}

static bool is_meta(const json_t *meta)
{
	const json_t *sleeping = json_object_get(meta, "sleeping");

	return json_is_object(meta) && is_text(meta, "label", STORE_TEXT_MAX) &&
	       is_text(meta, "location", STORE_TEXT_MAX) && is_word(meta, "type") && is_word(meta, "group") &&
	       is_text(meta, "unit", STORE_UNIT_MAX) && (!sleeping || json_is_boolean(sleeping));
}

/* What is to be known from now on, or NULL. */
static json_t *new_meta(const struct copse_request *rq, const struct gw_heard *d)
{
	json_t *body = json_loadb((const char *)rq->body, rq->body_len, JSON_REJECT_DUPLICATES, NULL), *meta;

	if (!json_is_object(body)) {
		json_decref(body);
		return NULL;
	}
	if (rq->method == COPSE_CODE_PUT)
		return body;
	meta = d && d->meta ? json_loads(d->meta, 0, NULL) : json_object();
	merge(meta, body);
	json_decref(body);
	return meta;
}

static const char *keep(uint8_t **at, const char *text)
{
	size_t len = text ? strlen(text) + 1 : 1;
	uint8_t *begin = *at;

	memcpy(begin, text ? text : "", len);
	*at += len;
	return (const char *)begin;
}

static const char *keep_key(uint8_t **at, const json_t *meta, const char *key)
{
	return keep(at, json_string_value(json_object_get(meta, key)));
}

static struct store_job *make_job(const char *id, const json_t *meta, const char *text)
{
	struct store_job *job =
	    store_job_new(sizeof(struct store_device) + 7 * (STORE_TEXT_MAX + 1) + strlen(text) + 1);

	if (!job)
		return NULL;
	struct store_device *d = (struct store_device *)job->room;
	uint8_t *at = (uint8_t *)job->room + sizeof(*d);
	d->name = keep(&at, id);
	d->label = keep_key(&at, meta, "label");
	d->location = keep_key(&at, meta, "location");
	d->type = keep_key(&at, meta, "type");
	d->group = keep_key(&at, meta, "group");
	d->unit = keep_key(&at, meta, "unit");
	d->extra = keep(&at, text);
	d->sleeping = json_is_true(json_object_get(meta, "sleeping"));
	job->batch.device = d;
	job->batch.device_n = 1;
	return job;
}

static void store_meta(const struct copse_request *rq, struct copse_response *rs, struct gw_heard *d,
		       const json_t *meta, const char *text)
{
	struct gw_collector *c = gw_collector_of(rq);
	struct store_job *job = make_job(d->id, meta, text);

	if (!job || !store_service_has_room(c->service, job->bytes)) {
		c->counters.refused_busy++;
		store_job_free(job);
		gw_collector_unavailable(rs, STORE_FULL);
		return;
	}
	job->user = c;
	job->tag = copse_request_defer(rq);
	if (job->tag == COPSE_NO_HANDLE) { /* 5.03 by the server */
		c->counters.refused_busy++;
		store_job_free(job);
		return;
	}
	gw_heard_describe(c, d, text, strlen(text));
	gw_collector_described(c, rq->now);
	store_service_put(c->service, job);
}

void gw_collector_set_meta(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_collector *c = gw_collector_of(rq);
	char id[STORE_DEVICE_MAX + 1];

	if (!gw_collector_admit(rq, rs) || !take_id(rq, rs, id))
		return;
	if (!c->around.may_describe(c->around.self, rq->peer, rq->now, id, rq->method)) {
		copse_response_error(rs, COPSE_CODE_FORBIDDEN, "not allowed for this device");
		return;
	}
	if (!c->service) {
		gw_collector_unavailable(rs, STORE_STOPPED);
		return;
	}
	json_t *meta = new_meta(rq, gw_heard_find(c, id));
	char *text = is_meta(meta) ? json_dumps(meta, JSON_COMPACT) : NULL;
	struct gw_heard *d = NULL;
	if (!text || strlen(text) > STORE_EXTRA_MAX) {
		copse_response_problem(
		    rs, COPSE_CODE_BAD_REQUEST, "Not a description",
		    "a JSON object of at most 4096 bytes; label, location and unit are texts, "
		    "type and group names, sleeping is a boolean");
	} else if (!(d = gw_heard_announce(c, id, rq->peer))) {
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, gw_collector_refuse_device(c));
	} else {
		store_meta(rq, rs, d, meta, text);
	}
	free(text);
	json_decref(meta);
}
