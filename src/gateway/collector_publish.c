/* What comes in: /publish and everything below /store.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_state.h"

#include "core/siphash.h"
#include "log.h"
#include "store/identity.h"
#include "store/senml.h"

#include <copse/address.h>
#include <copse/mem.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a record belongs. */
struct place {
	char id[STORE_DEVICE_MAX + 1];
	char name[STORE_NAME_MAX + 1];
	struct gw_heard *device; /* lives as long as the collector */
};

/* A message on its way into the store. */
struct incoming {
	struct gw_collector *c;
	const struct copse_request *rq;
	struct copse_response *rs; /* NULL: nobody waits for one */
	int64_t now, expires;
	char sender[STORE_DEVICE_MAX + 1]; /* from the address, "": it says nothing */
	uint32_t type;                     /* from the group that it was sent to; 0: none */
	struct senml_pack pack;
	struct place *place; /* of each record */
	struct place one;    /* where there is one, as in most messages */
};

static int64_t expiry(const struct copse_request *rq, int64_t now)
{
	uint32_t seconds = copse_message_uint(rq->message, COPSE_OPTION_MAX_AGE, UINT32_MAX);

	/* Max-Age in a request: how long the reading may be served as current; without it, for ever. */
	return copse_message_option(rq->message, COPSE_OPTION_MAX_AGE) ? now + (int64_t)seconds * 1000000
								       : STORE_NEVER;
}

/* Tells this message from all others: its sender, message ID and content. Only confirmable ones are sent again when they
 * were not acknowledged; the others are recognized by the endpoint. */
static uint64_t origin_of(const struct copse_request *rq)
{
	static const uint64_t key[2] = {0x636f707365, 0x6f726967696e};
	uint64_t hash;

	if (rq->message->type != COPSE_CON || !rq->peer)
		return 0;
	/* the transport's id is left out: it may be another one after a restart */
	hash = core_siphash(key, rq->peer->key + 2, rq->peer->len - 2u, 2, 4);
	const uint64_t second[2] = {hash, (uint64_t)rq->message->id << 32 | rq->body_len};
	hash = core_siphash(second, copse_message_token(rq->message), rq->message->token_len, 2, 4);
	const uint64_t third[2] = {hash, 0};
	hash = core_siphash(third, rq->body_len ? rq->body : (const uint8_t *)"", rq->body_len, 2, 4);
	return hash ? hash : 1;
}

static void refuse(struct incoming *in, uint8_t code, const char *title, const char *detail)
{
	if (in->rs)
		copse_response_problem(in->rs, code, title, detail);
}

static void unavailable(struct incoming *in, int result)
{
	if (in->rs)
		gw_collector_unavailable(in->rs, result);
}

static bool begin(struct incoming *in, const struct copse_request *rq, struct copse_response *rs)
{
	struct copse_address a;

	*in = (struct incoming){.c = gw_collector_of(rq), .rq = rq, .rs = rs};
	gw_collector_look(in->c, rq->now);
	in->now = in->c->wall;
	in->expires = expiry(rq, in->now);
	in->c->counters.messages++;
	in->c->counters.multicast += rq->multicast;
	if (copse_peer_address(rq->peer, &a) == 0 && a.sa.sa_family == AF_INET6)
		store_identity_of_address(a.in6.sin6_addr.s6_addr, in->sender);
	if (rs)
		rs->silent = rq->multicast; /* who sends to a group does not listen */
	if (!gw_collector_in_time(rq, rs, true))
		return false;
	if (in->c->service)
		return true;
	in->c->counters.failed++;
	unavailable(in, STORE_STOPPED);
	return false;
}

static void finish(struct incoming *in)
{
	senml_pack_free(&in->pack);
	if (in->place != &in->one)
		copse_mem_free(in->place);
}

/* Hand a job over; a CON is answered when it is stored, everything else now. */
static void hand_over(struct incoming *in, struct store_job *job)
{
	struct gw_collector *c = in->c;
	bool con = in->rq->message->type == COPSE_CON;

	job->batch.origin = origin_of(in->rq);
	job->batch.received = in->now;
	job->user = c;
	job->tag = COPSE_NO_HANDLE;
	if (!store_service_has_room(c->service, job->bytes)) {
		c->counters.refused_busy++;
		unavailable(in, STORE_FULL);
		gw_collector_spare(c, job);
		return;
	}
	if (con && (job->tag = copse_request_defer(in->rq)) == COPSE_NO_HANDLE) { /* 5.03 by the server */
		c->counters.refused_busy++;
		gw_collector_spare(c, job);
		return;
	}
	if (in->rs)
		in->rs->code = COPSE_CODE_CHANGED;
	store_service_put(c->service, job);
}

/* --- readings --- */

static void note_type(struct incoming *in)
{
	struct copse_address local;

	if (!in->rq->multicast)
		return;
	in->c->around.local(in->c->around.self, in->rq->peer, &local);
	const uint8_t *a = local.in6.sin6_addr.s6_addr;
	static const uint8_t group[13] = {0xff, 0x02, [11] = 0x01, [12] = 0xfe};
	if (local.sa.sa_family == AF_INET6 && memcmp(a, group, sizeof(group)) == 0)
		in->type = (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 | a[15];
}

/* Whose record it is: its name says so, or else the address. */
static bool take_identity(struct incoming *in, uint32_t i)
{
	char *id = in->place[i].id;
	char detail[260];

	if (store_identity_cut(in->pack.record[i].name, id, in->place[i].name) != 0) {
		snprintf(detail, sizeof(detail), "record %u: the name is too long", i);
		refuse(in, COPSE_CODE_BAD_REQUEST, "Malformed SenML", detail);
		in->c->counters.refused_format++;
		return false;
	}
	if (!id[0] && !in->sender[0]) {
		snprintf(detail, sizeof(detail),
			 "record %u: neither its name nor the sender's address names a device", i);
		refuse(in, COPSE_CODE_BAD_REQUEST, "Unknown device", detail);
		in->c->counters.refused_identity++;
		return false;
	}
	if (!id[0])
		memcpy(id, in->sender, sizeof(in->sender));
	if (!in->sender[0] || !store_identity_is_eui64(id) || strcmp(id, in->sender) == 0)
		return true;
	in->c->counters.mismatched++;
	if (!in->c->config->collector.refuse_mismatch)
		return true;
	snprintf(detail, sizeof(detail), "record %u is of %s, but was sent by %s", i, id, in->sender);
	refuse(in, COPSE_CODE_FORBIDDEN, "Identities differ", detail);
	in->c->counters.refused_identity++;
	return false;
}

/* Whether the device and series of a record exist, or can be made: so that nobody takes all memory by making up names. */
static bool has_place(struct incoming *in, uint32_t i)
{
	struct place *place = &in->place[i];
	struct gw_heard *d = gw_heard_announce(in->c, place->id, in->rq->peer);

	place->device = d;
	if (d && (gw_series_find(d, place->name) || d->series_n < GW_COLLECTOR_SERIES))
		return true;
	const char *why = d ? "this device has enough names" : gw_collector_refuse_device(in->c);
	if (d)
		in->c->counters.refused_devices++;
	if (in->rs)
		copse_response_error(in->rs, COPSE_CODE_SERVICE_UNAVAILABLE, why);
	return false;
}

static size_t text_bytes(const struct incoming *in)
{
	size_t n = 0;

	for (uint32_t i = 0; i < in->pack.n; i++)
		n += strlen(in->place[i].id) + strlen(in->place[i].name) + STORE_UNIT_MAX +
		     in->pack.record[i].len + 4;
	return n;
}

static const char *put_bytes(uint8_t **at, const void *bytes, size_t len)
{
	uint8_t *begin = *at;

	if (len)
		memcpy(begin, bytes, len);
	begin[len] = 0;
	*at += len + 1;
	return (const char *)begin;
}

static const char *unit_of(const struct incoming *in, const struct senml_record *r)
{
	switch (r->unit[0] || r->kind != STORE_NUMBER ? 0 : in->type) {
#define SENSOR_TYPE(number, name, unit)                                                                      \
	case number:                                                                                         \
		return unit;
#include <copse/registry/sensor_types.def>
#undef SENSOR_TYPE
	default: return r->unit;
	}
}

/* A job with `bytes` bytes behind it, which may be those of an earlier message. */
static struct store_job *new_job(struct gw_collector *c, size_t bytes)
{
	struct store_job *job = bytes <= GW_COLLECTOR_SPARE_ROOM ? c->spare : NULL;

	if (!job)
		return store_job_new(bytes <= GW_COLLECTOR_SPARE_ROOM ? GW_COLLECTOR_SPARE_ROOM : bytes);
	c->spare = job->next;
	c->spare_n--;
	*job = (struct store_job){.bytes = job->bytes};
	return job;
}

void gw_collector_spare(struct gw_collector *c, struct store_job *job)
{
	if (job->bytes != sizeof(*job) + GW_COLLECTOR_SPARE_ROOM || job->out.at ||
	    c->spare_n == GW_COLLECTOR_SPARE) {
		store_job_free(job);
		return;
	}
	job->next = c->spare;
	c->spare = job;
	c->spare_n++;
}

void gw_collector_spare_free(struct gw_collector *c)
{
	for (struct store_job *job = c->spare, *next; job; job = next) {
		next = job->next;
		store_job_free(job);
	}
	c->spare = NULL;
	c->spare_n = 0;
}

/* A job with the pack's readings and all that they refer to. */
static struct store_job *make_job(struct incoming *in)
{
	size_t readings = in->pack.n * sizeof(struct store_reading);
	size_t devices = in->pack.n * sizeof(struct gw_heard *);
	struct store_job *job = new_job(in->c, readings + devices + text_bytes(in));

	if (!job)
		return NULL;
	struct store_reading *out = (struct store_reading *)job->room;
	struct gw_heard **device = (struct gw_heard **)(out + in->pack.n); /* devices_of */
	uint8_t *at = (uint8_t *)job->room + readings + devices;
	for (uint32_t i = 0; i < in->pack.n; i++) {
		const struct senml_record *r = &in->pack.record[i];
		const char *unit = unit_of(in, r);
		out[i] = (struct store_reading){.time = r->time,
						.received = in->now,
						.expires = in->expires,
						.number = r->number,
						.sum = r->sum,
						.len = r->len,
						.kind = r->kind,
						.has_sum = r->has_sum};
		device[i] = in->place[i].device;
		out[i].device = put_bytes(&at, in->place[i].id, strlen(in->place[i].id));
		out[i].name = put_bytes(&at, in->place[i].name, strlen(in->place[i].name));
		out[i].unit = put_bytes(&at, unit, strlen(unit));
		out[i].bytes = (const uint8_t *)put_bytes(&at, r->bytes, r->len);
	}
	job->batch.reading = out;
	job->batch.reading_n = in->pack.n;
	return job;
}

static void store_pack(struct incoming *in)
{
	in->place = in->pack.n == 1 ? &in->one : copse_mem_new(in->pack.n, sizeof(*in->place));
	if (!in->place) {
		unavailable(in, STORE_NOMEM);
		return;
	}
	for (uint32_t i = 0; i < in->pack.n; i++)
		if (!take_identity(in, i) || !has_place(in, i))
			return;
	for (uint32_t i = 0; i < in->pack.n; i++) {
		struct gw_heard *d = in->place[i].device;
		if (in->type)
			d->type = in->type;
		d->mismatched =
		    in->sender[0] && store_identity_is_eui64(d->id) && strcmp(d->id, in->sender) != 0;
		if (i == 0 || d != in->place[i - 1].device)
			gw_heard_note(d, in->now);
		if (i == 0 && in->c->around.heard)
			in->c->around.heard(in->c->around.self, d->id);
	}
	struct store_job *job = make_job(in);
	if (job)
		hand_over(in, job);
	else
		unavailable(in, STORE_NOMEM);
}

/* What a content that is no SenML is called: ?n= and ?u=, else by the type of the sensor. */
static bool name_record(struct incoming *in, struct senml_record *r, char name[STORE_NAME_MAX + 1],
			char unit[STORE_UNIT_MAX + 1])
{
	size_t n_len = 0, u_len = 0;
	const char *n = copse_request_query(in->rq, "n", &n_len),
		   *u = copse_request_query(in->rq, "u", &u_len);

	if (n_len > STORE_NAME_MAX || u_len > STORE_UNIT_MAX || (n && memchr(n, 0, n_len)) ||
	    (u && memchr(u, 0, u_len))) {
		refuse(in, COPSE_CODE_BAD_REQUEST, "Malformed query", "n or u is too long");
		return false;
	}
	snprintf(name, STORE_NAME_MAX + 1, "%.*s", (int)n_len, n ? n : "");
	snprintf(unit, STORE_UNIT_MAX + 1, "%.*s", (int)u_len, u ? u : "");
	r->name = name;
	r->unit = unit;
	if (!senml_is_name(name)) {
		refuse(in, COPSE_CODE_BAD_REQUEST, "Malformed query",
		       "n has other characters than letters, digits and -:./_");
		return false;
	}
	if (name[0])
		return true;
	switch (in->type) {
#define SENSOR_TYPE(number, text, unit_)                                                                     \
	case number:                                                                                         \
		r->name = text;                                                                              \
		break;
#include <copse/registry/sensor_types.def>
#undef SENSOR_TYPE
	default: r->name = "value"; break;
	}
	return true;
}

/* One number as text, or whatever it is as bytes. */
static void take_plain(struct incoming *in)
{
	char name[STORE_NAME_MAX + 1], unit[STORE_UNIT_MAX + 1], text[64], *end = text;
	struct senml_record *r = copse_mem_new(1, sizeof(*r));
	bool is_text = in->rq->format == COPSE_FORMAT_TEXT || in->rq->format == COPSE_FORMAT_NONE;

	if (!r) {
		unavailable(in, STORE_NOMEM);
		return;
	}
	in->pack.record = r;
	in->pack.n = 1;
	r->time = in->now;
	if (is_text && in->rq->body_len < sizeof(text)) {
		snprintf(text, sizeof(text), "%.*s", (int)in->rq->body_len, (const char *)in->rq->body);
		r->number = strtod(text, &end);
		while (*end == ' ' || *end == '\n' || *end == '\r')
			end++;
	}
	if (end != text && (size_t)(end - text) == in->rq->body_len && isfinite(r->number)) {
		r->kind = STORE_NUMBER;
	} else {
		r->number = 0;
		r->kind = STORE_DATA;
		r->bytes = in->rq->body;
		r->len = (uint32_t)in->rq->body_len;
	}
	if (name_record(in, r, name, unit))
		store_pack(in);
}

/* The SenML that a content may be: of its format, or of a general one that it looks like. */
static uint32_t senml_format(const struct copse_request *rq)
{
	switch (rq->format) {
	case COPSE_FORMAT_JSON: return COPSE_FORMAT_SENML_JSON;
	case COPSE_FORMAT_CBOR: return COPSE_FORMAT_SENML_CBOR;
	case COPSE_FORMAT_XML: return COPSE_FORMAT_SENML_XML;
	case COPSE_FORMAT_TEXT:
	case COPSE_FORMAT_NONE:
		if (rq->body_len && rq->body[0] == '<')
			return COPSE_FORMAT_SENML_XML;
		return rq->body_len && rq->body[0] == '[' ? COPSE_FORMAT_SENML_JSON : COPSE_FORMAT_NONE;
	default: return senml_is_format(rq->format) ? rq->format : COPSE_FORMAT_NONE;
	}
}

static void take_readings(struct incoming *in)
{
	const struct copse_request *rq = in->rq;
	struct senml_fault fault;
	char detail[200];
	uint32_t format = senml_format(rq);

	if (format != COPSE_FORMAT_NONE &&
	    senml_decode(format, rq->body, rq->body_len, in->now, &in->pack, &fault) == 0) {
		store_pack(in);
	} else if (senml_is_format(rq->format)) {
		if (fault.record == SENML_NO_RECORD)
			snprintf(detail, sizeof(detail), "%s", fault.text);
		else
			snprintf(detail, sizeof(detail), "record %u: %s", fault.record, fault.text);
		in->c->counters.refused_format++;
		refuse(in, COPSE_CODE_BAD_REQUEST, "Malformed SenML", detail);
	} else {
		take_plain(in);
	}
}

void gw_collector_publish(const struct copse_request *rq, struct copse_response *rs)
{
	struct incoming in;

	if (!begin(&in, rq, rs))
		return;
	note_type(&in);
	take_readings(&in);
	finish(&in);
}

/* --- notifications that nobody has asked for --- */

static uint32_t agreed_type(const struct gw_collector *c, const struct copse_message *m)
{
	const struct gw_collector_config *config = &c->config->collector;

	for (size_t i = 0; i < config->implicit_n; i++) {
		const struct gw_implicit *implicit = &config->implicit[i];
		if (implicit->token_len == m->token_len &&
		    memcmp(implicit->token, copse_message_token(m), m->token_len) == 0)
			return implicit->type;
	}
	return 0;
}

void gw_collector_unasked(struct gw_collector *c, const struct copse_event *event, copse_ms now)
{
	const struct copse_message *m = event->message;
	const struct copse_resource resource = {.user = c};
	const struct copse_request rq = {
	    .resource = &resource,
	    .message = m,
	    .peer = event->peer,
	    .now = now,
	    .multicast = event->peer->flags & COPSE_PEER_MULTICAST,
	    .format = copse_message_uint(m, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_NONE),
	    .body = copse_message_payload(m),
	    .body_len = m->payload_len};
	const uint32_t type = agreed_type(c, m);
	struct incoming in;

	if (!begin(&in, &rq, NULL))
		return;
	note_type(&in);
	if (!type || m->code != COPSE_CODE_CONTENT || !m->payload_len || (in.type && in.type != type)) {
		c->counters.implicit_strange++;
		return;
	}
	c->counters.implicit++;
	in.type = type;
	if (in.expires == STORE_NEVER) /* RFC 7252 §5.10.5 */
		in.expires = in.now + COPSE_MAX_AGE_DEFAULT * INT64_C(1000000);
	take_readings(&in);
	finish(&in);
}

/* --- documents --- */

void gw_collector_store_put(const struct copse_request *rq, struct copse_response *rs)
{
	struct incoming in;
	char path[STORE_PATH_MAX + 1];
	size_t path_len = copse_request_path(rq, path, sizeof(path));

	if (!begin(&in, rq, rs))
		return;
	if (path_len > STORE_PATH_MAX) {
		refuse(&in, COPSE_CODE_BAD_REQUEST, "Path too long", NULL);
		return;
	}
	if (!gw_collector_may(rq, rs, path))
		return;
	struct store_job *job =
	    store_job_new(sizeof(struct store_document) + path_len + 1 + rq->body_len + 1);
	if (!job) {
		gw_collector_unavailable(rs, STORE_NOMEM);
		return;
	}
	struct store_document *d = (struct store_document *)job->room;
	uint8_t *at = (uint8_t *)job->room + sizeof(*d);
	d->path = put_bytes(&at, path, path_len);
	d->bytes = (const uint8_t *)put_bytes(&at, rq->body, rq->body_len);
	d->len = (uint32_t)rq->body_len;
	d->format = rq->format;
	d->received = in.now;
	d->expires = in.expires;
	job->batch.document = d;
	job->batch.document_n = 1;
	hand_over(&in, job);
	finish(&in);
}

/* --- what the store said --- */

static void tell_observers(struct gw_collector *c, struct gw_heard *d, const struct store_reading *r,
			   copse_ms now)
{
	char path[STORE_DEVICE_MAX + STORE_NAME_MAX + 16];

	snprintf(path, sizeof(path), "devices/%s/%s", r->device, r->name);
	copse_server_changed(c->around.server, c->series_resource, path, now);
	snprintf(path, sizeof(path), "devices/%s", r->device);
	copse_server_changed(c->around.server, c->device_resource, path, now);
	snprintf(path, sizeof(path), "types/%s", gw_heard_type(d));
	copse_server_changed(c->around.server, c->type_resource, path, now);
	snprintf(path, sizeof(path), "groups/%s", d->group);
	copse_server_changed(c->around.server, c->group_resource, path, now);
	if (c->list_resource)
		copse_server_changed(c->around.server, c->list_resource, NULL, now);
	d->told = GW_LIVE;
}

/* The devices of a job's readings, behind these. */
static struct gw_heard *const *devices_of(const struct store_job *job)
{
	return (struct gw_heard *const *)(job->batch.reading + job->batch.reading_n);
}

static void take_stored(struct gw_collector *c, const struct store_job *job, copse_ms now)
{
	struct gw_heard *const *device = devices_of(job);

	for (uint32_t i = 0; i < job->batch.reading_n; i++) {
		const struct store_reading *r = &job->batch.reading[i];
		struct gw_heard *d = device[i];
		if (gw_latest_take(d, r) && copse_server_observers(c->around.server, NULL) > 0)
			tell_observers(c, d, r, now);
	}
	c->counters.readings += job->batch.reading_n;
	c->counters.documents += job->batch.document_n;
}

/* Once at the beginning and once at the end of it: a disk that is full stays so for many messages. */
static void note_trouble(struct gw_collector *c, int result)
{
	const int trouble = result < 0 ? result : STORE_OK;

	if (trouble == c->trouble || result == STORE_INVALID)
		return;
	if (trouble)
		gw_log(c->around.log, GW_LOG_ERROR, "collector", store_result_text(trouble),
		       {"store", c->opened.path});
	else
		gw_log(c->around.log, GW_LOG_INFO, "collector", "the store takes readings again",
		       {"store", c->opened.path});
	c->trouble = trouble;
	if (!trouble)
		c->unread = STORE_OK;
}

void gw_collector_stored(struct gw_collector *c, struct store_job *job, copse_ms now)
{
	struct copse_response rs;

	note_trouble(c, job->result);
	if (job->result == STORE_OK)
		take_stored(c, job, now);
	else if (job->result == STORE_DUPLICATE)
		c->counters.duplicates++;
	else
		c->counters.failed++;
	if (job->tag == COPSE_NO_HANDLE || copse_server_reply(c->around.server, job->tag, &rs) != 0)
		return;
	rs.code = COPSE_CODE_CHANGED;
	if (job->result == STORE_INVALID)
		copse_response_problem(&rs, COPSE_CODE_BAD_REQUEST, "Not storable",
				       store_result_text(job->result));
	else if (job->result < 0)
		gw_collector_unavailable(&rs, job->result);
	if (copse_server_reply_send(c->around.server, job->tag, &rs, now) == COPSE_ERR_NOROOM)
		copse_server_reply_drop(c->around.server, job->tag,
					now); /* the sender will repeat: its origin is known */
}
