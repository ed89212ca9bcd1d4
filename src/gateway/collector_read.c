/* What is asked: devices, their newest readings, history and aggregates, documents.
 *
 * The newest readings are answered at once, from memory, and can be observed; whatever needs the store is
 * deferred. The body of an answer lives in a job until it has been sent, block by block; histories, which have no
 * bound, are read as they are fetched: collector_history.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_body.h"
#include "collector_query.h"
#include "collector_state.h"
#include "documents.h"
#include "log.h"

#include "store/identity.h"

#include <copse/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LATEST_MAX (1u << 20) /* bytes of the longest answer made at once */

/* --- answers made at once, or collected whole --- */

static int read_job(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const struct store_job *job = user;
	size_t n = offset < job->out.len ? job->out.len - offset : 0;

	n = n < cap ? n : cap;
	if (n)
		memcpy(buf, job->out.at + offset, n);
	return (int)n;
}

static void release_job(void *user)
{
	store_job_free(user);
}

/* Answer with what a job holds; the response has it from now on. */
static void give_job(struct copse_response *rs, uint32_t format, struct store_job *job)
{
	copse_response_reader(rs, format, (uint32_t)job->out.len, read_job, release_job, job);
}

/* --- which devices --- */

static bool is_query(const struct copse_request *rq, const char *name, const char *value)
{
	size_t len;
	const char *wanted = copse_request_query(rq, name, &len);

	return !wanted || (len == strlen(value) && memcmp(wanted, value, len) == 0);
}

static bool is_segment(const struct copse_request *rq, unsigned i, const char *text)
{
	size_t len;
	const char *segment = copse_request_segment(rq, i, &len);

	return segment && len == strlen(text) && memcmp(segment, text, len) == 0;
}

static int compare_ids(const void *a, const void *b)
{
	const struct gw_heard *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

/* The devices that the path is about, in `*out` for copse_mem_free, ascending in id. Returns how many. */
static uint32_t select_devices(const struct copse_request *rq, struct gw_heard ***out)
{
	struct gw_collector *c = gw_collector_of(rq);
	char id[STORE_DEVICE_MAX + 1];
	uint32_t n = 0;
	size_t len;
	const char *which = copse_request_segment(rq, 1, &len);
	bool types = is_segment(rq, 0, "types"), groups = is_segment(rq, 0, "groups");

	*out = copse_mem_new(types || groups ? c->device_n : 1, sizeof(**out));
	if (!*out || !which)
		return 0;
	if (!types && !groups) {
		struct gw_heard *d = store_identity(which, len, id) == 0 ? gw_heard_find(c, id) : NULL;
		(*out)[0] = d;
		return d != NULL && gw_collector_sees(rq, id);
	}
	for (uint32_t i = 0; i < c->device_n; i++) {
		if (!is_segment(rq, 1, types ? gw_heard_type(c->device[i]) : c->device[i]->group))
			continue;
		if (gw_collector_sees(rq, c->device[i]->id))
			(*out)[n++] = c->device[i];
		else
			copse_request_once(rq); /* notifications are of all of them */
	}
	qsort(*out, n, sizeof(**out), compare_ids);
	return n;
}

bool gw_series_name(const struct copse_request *rq, char name[STORE_NAME_MAX + 1])
{
	size_t used = 0, len;
	const char *segment;

	name[0] = 0;
	for (unsigned i = 2; (segment = copse_request_segment(rq, i, &len)); i++) {
		int n = snprintf(name + used, STORE_NAME_MAX + 1 - used, "%s%.*s", i > 2 ? "/" : "", (int)len,
				 segment);
		used += (size_t)n < STORE_NAME_MAX + 1 - used ? (size_t)n : 0;
	}
	return name[0] != 0;
}

/* --- newest readings --- */

/* For how many seconds an answer with `r` is fresh. */
static uint32_t max_age(const struct gw_heard *d, const struct store_reading *r, int64_t now, uint32_t before)
{
	int64_t until = d->rhythm && d->last + d->rhythm > now ? d->last + d->rhythm : now;
	uint32_t seconds;

	if (r->expires < until)
		until = r->expires;
	seconds = until > now
		      ? (uint32_t)((until - now + 999999) / 1000000 < 3600 ? (until - now) / 1000000 : 3600)
		      : 0;
	return seconds < before ? seconds : before;
}

/* One notification serves all observers. */
struct audience {
	const struct gw_collector *c;
	struct gw_heard *const *device;
	uint32_t n;
	copse_ms now;
};

static bool may_follow(void *user, const struct copse_peer *peer)
{
	const struct audience *a = user;
	const struct gw_collector_surroundings *around = &a->c->around;
	bool may = a->c->config->collector.open || around->may_read(around->self, peer, a->now);

	for (uint32_t i = 0; may && i < a->n; i++)
		may = around->sees(around->self, peer, a->now, a->device[i]->id);
	return may;
}

/* End the observations of those who may not see what they are about to be told any more. */
static void review(const struct copse_request *rq, struct gw_heard *const *device, uint32_t n)
{
	struct audience a = {gw_collector_of(rq), device, n, rq->now};

	copse_request_review(rq, COPSE_CODE_UNAUTHORIZED, may_follow, &a);
}

static void give_latest(const struct copse_request *rq, struct copse_response *rs,
			struct gw_heard *const *device, uint32_t n, bool csv)
{
	int64_t now = gw_collector_now(gw_collector_of(rq));
	struct store_job *job = store_job_new(0);
	char name[STORE_NAME_MAX + 1];
	bool one = gw_series_name(rq, name);
	struct gw_body body;
	uint32_t age = COPSE_MAX_AGE_DEFAULT;

	if (!job) {
		gw_collector_unavailable(rs, STORE_NOMEM);
		return;
	}
	review(rq, device, n);
	job->out.max = LATEST_MAX;
	gw_body_begin(&body, rq->accept, csv, &job->out);
	for (uint32_t i = 0; i < n; i++)
		for (const struct gw_series *s = device[i]->series; s; s = s->next) {
			if (!s->has_latest || s->latest.expires <= now || (one && strcmp(s->name, name) != 0))
				continue;
			gw_body_put(&body, &s->latest, one && n == 1);
			age = max_age(device[i], &s->latest, now, age);
		}
	gw_body_end(&body);
	if (job->out.failed || (one && body.rows == 0)) {
		if (job->out.failed)
			gw_collector_unavailable(rs, STORE_NOMEM);
		else
			copse_response_error(rs, COPSE_CODE_NOT_FOUND, "no reading that is current");
		store_job_free(job);
		return;
	}
	rs->max_age = age;
	give_job(rs, body.format, job);
}

/* --- documents --- */

/* In the memory of a job: who asks, and what for. */
struct asking {
	struct gw_collector *c;
	uint32_t rows;
	bool paths; /* which documents there are */
	int64_t now;
	uint32_t found; /* format of the document */
	char name[STORE_PATH_MAX + 1];
	struct gw_documents *may; /* behind this; NULL: all of them */
};

static void put_path(struct store_buffer *out, const struct store_document *d, bool first)
{
	store_buffer_text(out, first ? "<" : ",<");
	for (const char *at = d->path; *at; at++)
		if (strchr("<>\"%", *at) || (unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f)
			store_buffer_format(out, "%%%02X", (unsigned char)*at);
		else
			store_buffer_put(out, at, 1);
	store_buffer_text(out, ">");
	if (d->format != COPSE_FORMAT_NONE)
		store_buffer_format(out, ";ct=%u", d->format);
	store_buffer_format(out, ";sz=%u", d->len);
}

static int render_document(void *user, struct store_buffer *out, const struct store_row *row)
{
	struct asking *a = user;

	if (row && !a->paths && row->document->expires > a->now) {
		store_buffer_put(out, row->document->bytes, row->document->len);
		a->found = row->document->format;
		a->rows++;
	} else if (row && a->paths &&
		   (!a->may || gw_documents_allow(a->may, row->document->path + strlen("/store")))) {
		put_path(out, row->document, a->rows++ == 0);
	}
	return 0;
}

/* Hand a query over; the answer is given by gw_collector_asked. */
static void ask(const struct copse_request *rq, struct copse_response *rs, struct store_job *job)
{
	struct gw_collector *c = gw_collector_of(rq);

	if (!job || !c->service || !store_service_has_room(c->service, job->bytes)) {
		c->counters.refused_busy++;
		gw_collector_unavailable(rs, c->service ? STORE_FULL : STORE_STOPPED);
		store_job_free(job);
		return;
	}
	job->tag = copse_request_defer(rq);
	if (job->tag == COPSE_NO_HANDLE) { /* 5.03 by the server; also for a notification */
		c->counters.refused_busy++;
		store_job_free(job);
		return;
	}
	c->counters.queries++;
	store_service_put(c->service, job);
}

/* A history has no newest state to follow. */
static void begin_history(const struct copse_request *rq, struct copse_response *rs,
			  struct gw_heard *const *device, uint32_t n, const struct gw_readings_query *q)
{
	copse_request_once(rq);
	gw_history_begin(rq, rs, device, n, q);
}

void gw_collector_get_readings(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_collector *c = gw_collector_of(rq);
	struct gw_readings_query q;
	struct gw_heard **device = NULL;

	if (gw_history_continue(rq, rs) || !gw_collector_admit(rq, rs))
		return;
	const char *why = gw_readings_query_parse(rq, gw_collector_now(c), &q);
	if (why) {
		copse_response_problem(rs, COPSE_CODE_BAD_REQUEST, "Malformed query", why);
		return;
	}
	uint32_t n = select_devices(rq, &device);
	if (n == 0)
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, "no such device, type or group");
	else if (q.history)
		begin_history(rq, rs, device, n, &q);
	else
		give_latest(rq, rs, device, n, q.csv);
	copse_mem_free(device);
}

static struct store_job *make_asking(const struct copse_request *rq, bool paths)
{
	struct gw_collector *c = gw_collector_of(rq);
	size_t bytes = paths ? c->around.documents(c->around.self, rq->peer, rq->now, rq->method, NULL) : 0;
	struct store_job *job = store_job_new(sizeof(struct asking) + bytes);

	if (!job)
		return NULL;
	struct asking *a = (struct asking *)job->room;
	a->now = gw_collector_now(c);
	a->paths = paths;
	if (bytes) {
		a->may = (struct gw_documents *)(a + 1);
		c->around.documents(c->around.self, rq->peer, rq->now, rq->method, a->may);
	}
	job->user = a;
	job->query = (struct store_query){
	    .subject = paths ? STORE_PATHS : STORE_DOCUMENTS, .path = paths ? "/store/" : a->name, .last = 1};
	job->render = render_document;
	return job;
}

void gw_collector_store_get(const struct copse_request *rq, struct copse_response *rs)
{
	char path[STORE_PATH_MAX + 1];
	size_t len;
	bool paths = !copse_request_segment(rq, 1, &len);

	if (!gw_collector_admit(rq, rs))
		return;
	if (copse_request_path(rq, path, sizeof(path)) > STORE_PATH_MAX) {
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, NULL);
		return;
	}
	if (!paths && !gw_collector_may(rq, rs, path))
		return;
	struct store_job *job = make_asking(rq, paths);
	if (job)
		memcpy(((struct asking *)job->user)->name, path, sizeof(path));
	ask(rq, rs, job);
}

static void answer(struct copse_response *rs, struct store_job *job)
{
	const struct asking *a = (const struct asking *)job->room;

	if (job->result < 0)
		gw_collector_unavailable(rs, job->out.failed ? STORE_NOMEM : job->result);
	else if (!a->paths && a->rows == 0)
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, "nothing that is current was stored here");
	else {
		rs->max_age = 0;
		give_job(rs, a->paths ? COPSE_FORMAT_LINK : a->found, job);
		return;
	}
	store_job_free(job);
}

/* Once for each kind: what is damaged may be in the way of some questions and not of others. */
static void note_unread(struct gw_collector *c, const struct store_job *job)
{
	if (job->result >= 0 || job->out.failed || job->result == c->unread)
		return;
	gw_log(c->around.log, GW_LOG_ERROR, "collector", store_result_text(job->result),
	       {"store", c->opened.path}, {"what", "reading"});
	c->unread = job->result;
}

void gw_collector_asked(struct gw_collector *c, struct store_job *job, copse_ms now)
{
	struct copse_response rs;
	copse_handle tag = job->tag;

	note_unread(c, job);
	if (gw_history_read(c, job, now))
		return;
	if (copse_server_reply(c->around.server, tag, &rs) != 0) {
		store_job_free(job);
		return;
	}
	rs.code = COPSE_CODE_CONTENT;
	answer(&rs, job);
	if (copse_server_reply_send(c->around.server, tag, &rs, now) == COPSE_ERR_NOROOM)
		copse_server_reply_drop(c->around.server, tag, now);
}

/* --- /devices --- */

static void put_link(struct store_buffer *out, const struct gw_heard *d, int64_t now, bool first)
{
	store_buffer_format(out, "%s</devices/%s>;ep=\"%s\"", first ? "" : ",", d->id, d->id);
	if (gw_heard_type(d)[0])
		store_buffer_format(out, ";et=\"%s\"", gw_heard_type(d));
	store_buffer_format(out, ";state=%s", gw_heard_state(d, now));
}

static void put_json(struct store_buffer *out, const struct gw_heard *d, int64_t now, bool first)
{
	store_buffer_format(out, "%s{\"id\":\"%s\",\"state\":\"%s\"", first ? "[" : ",", d->id,
			    gw_heard_state(d, now));
	if (gw_heard_type(d)[0])
		store_buffer_format(out, ",\"type\":\"%s\"", gw_heard_type(d));
	if (d->last)
		store_buffer_format(out, ",\"heard\":%lld.%06lld", (long long)(d->last / 1000000),
				    (long long)(d->last % 1000000));
	if (d->rhythm)
		store_buffer_format(out, ",\"rhythm\":%lld", (long long)((d->rhythm + 500000) / 1000000));
	if (d->mismatched)
		store_buffer_text(out, ",\"mismatched\":true");
	if (d->meta) {
		store_buffer_text(out, ",\"meta\":");
		store_buffer_text(out, d->meta);
	}
	store_buffer_text(out, "}");
}

void gw_collector_described(struct gw_collector *c, copse_ms now)
{
	copse_server_changed(c->around.server, c->type_resource, NULL, now);
	copse_server_changed(c->around.server, c->group_resource, NULL, now);
	if (c->list_resource)
		copse_server_changed(c->around.server, c->list_resource, NULL, now);
}

void gw_collector_list(struct gw_collector *c, const struct copse_request *rq, struct copse_response *rs,
		       const char *before)
{
	gw_collector_look(c, rq->now);
	int64_t now = gw_collector_now(c);
	struct store_job *job = store_job_new(0);
	bool json = rq->accept == COPSE_FORMAT_JSON, first = true;

	if (!job) {
		gw_collector_unavailable(rs, STORE_NOMEM);
		return;
	}
	job->out.max = 16 * LATEST_MAX;
	if (!json && before[0]) {
		store_buffer_text(&job->out, before);
		first = false;
	}
	for (uint32_t i = 0; i < c->device_n; i++) {
		const struct gw_heard *d = c->device[i];
		if (!is_query(rq, "type", gw_heard_type(d)) || !is_query(rq, "group", d->group) ||
		    !is_query(rq, "state", gw_heard_state(d, now)) ||
		    (rq->peer && !c->around.sees(c->around.self, rq->peer, rq->now, d->id)))
			continue;
		if (json)
			put_json(&job->out, d, now, first);
		else
			put_link(&job->out, d, now, first);
		first = false;
	}
	if (json)
		store_buffer_text(&job->out, first ? "[]" : "]");
	rs->max_age = 5;
	give_job(rs, json ? COPSE_FORMAT_JSON : COPSE_FORMAT_LINK, job);
}
