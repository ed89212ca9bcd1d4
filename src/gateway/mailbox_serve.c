/* /mailbox: the requests of one's own account that wait for devices that sleep, as far as one's own session might ask
 * them. GET lists them, with ?device=NAME those for one device; /mailbox/ID shows one, and DELETE of it withdraws it:
 * whoever waits for its answer is told.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "kept.h"
#include "proxy_mail.h"

#include <copse/code.h>
#include <copse/mem.h>
#include <copse/uri.h>

#include <jansson.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gw_worker *worker_of(const struct copse_request *rq)
{
	return rq->resource->user;
}

static const struct gw_session *session_of(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	const struct gw_session *s = gw_sessions_find(w->sessions, rq->peer, rq->now);

	if (s)
		return s;
	w->counters.refused_anonymous++;
	copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, "no session for this address and port");
	return NULL;
}

/* --- showing --- */

/* What the message for the device asks for, as a URI: by the device's name, which the message itself may not bear. */
static json_t *uri_of(const struct gw_mail *mail, const struct gw_mail_device *d)
{
	struct copse_message m;
	char path[1024], uri[1024 + GW_NAME_MAX + 8];
	const bool literal = strchr(d->name, ':') != NULL;

	if (copse_message_parse(&m, mail->message, mail->wish.len) != 0 ||
	    copse_uri_compose_path(&m, false, path, sizeof(path)) < 0)
		path[0] = 0; /* longer than anybody reads */
	snprintf(uri, sizeof(uri), literal ? "coap://[%s]%s" : "coap://%s%s", d->name, path);
	return json_string(uri);
}

static json_t *show(struct gw_worker *w, const struct gw_mail *mail, copse_ms now)
{
	const struct gw_mail_device *d = gw_mail_device_of(w->mailbox, mail);
	const struct gw_mail_wish *wish = &mail->wish;
	struct copse_message m;
	const bool parsed = copse_message_parse(&m, mail->message, wish->len) == 0;
	const copse_ms left = wish->ends > now ? wish->ends - now : 0;

	return json_pack("{s:I,s:s,s:s,s:o,s:I,s:I,s:I,s:i,s:s}", "id", (json_int_t)mail->id, "device",
			 d->name, "method", copse_code_name(wish->method), "uri", uri_of(mail, d), "bytes",
			 (json_int_t)(parsed ? m.payload_len : 0), "age",
			 (json_int_t)((now - wish->since) / 1000), "left", (json_int_t)(left / 1000),
			 "attempts", (int)mail->attempts, "state",
			 mail->state == GW_MAIL_SENDING ? "sending" : "waiting");
}

/* Takes `json`. */
static void give(struct copse_response *rs, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	const size_t len = text ? strlen(text) : 0;
	struct gw_kept *kept = gw_kept_new(rs, len);

	rs->max_age = 0;
	if (text && kept) {
		memcpy(kept->text, text, len);
		kept->len = (uint32_t)len;
		gw_kept_give(kept, rs, COPSE_FORMAT_JSON);
	} else if (kept) {
		copse_mem_free(kept);
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "out of memory");
	}
	free(text);
	json_decref(json);
}

/* The device that ?device= names. Returns false when no device can have such a name. */
static bool take_filter(const struct copse_request *rq, char name[GW_NAME_MAX + 1])
{
	size_t len = 0;
	const char *text = copse_request_query(rq, "device", &len);

	name[0] = 0;
	return !text || gw_name_normalize(text, len, name) > 0;
}

static bool is_for(const struct gw_mail_device *d, const char *name)
{
	return !name[0] || strcmp(d->name, name) == 0 || strcmp(d->alias, name) == 0;
}

static bool is_of(const struct gw_worker *w, const struct gw_mail *mail, const struct gw_session *s)
{
	return strcmp(mail->wish.account, s->account) == 0 && gw_mail_is_allowed(w, s, mail);
}

static void list(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	const struct gw_session *s = session_of(rq, rs);
	char name[GW_NAME_MAX + 1];

	if (!s)
		return;
	json_t *all = json_array();
	const bool named = take_filter(rq, name);
	const struct gw_mail *mail = named ? gw_mailbox_first(w->mailbox) : NULL;
	for (; mail; mail = gw_mailbox_after(w->mailbox, mail))
		if (is_of(w, mail, s) && is_for(gw_mail_device_of(w->mailbox, mail), name))
			json_array_append_new(all, show(w, mail, rq->now));
	give(rs, all);
}

/* The mail that the path names, if it is the account's own; else the answer is set. */
static struct gw_mail *find(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	const struct gw_session *s = session_of(rq, rs);
	struct gw_mail *mail = NULL;
	size_t len;
	const char *text = copse_request_segment(rq, 1, &len);
	uint64_t id = 0;

	if (!s)
		return NULL;
	if (text && len > 0 && len <= 10 && text[0] != '0') {
		for (size_t i = 0; i < len && id != UINT64_MAX; i++)
			id = text[i] >= '0' && text[i] <= '9' ? id * 10 + (uint64_t)(text[i] - '0')
							      : UINT64_MAX;
		mail = id <= UINT32_MAX ? gw_mailbox_find(w->mailbox, (uint32_t)id) : NULL;
	}
	if (mail && is_of(w, mail, s))
		return mail;
	copse_response_error(rs, COPSE_CODE_NOT_FOUND, "the account has no such request in the mailbox");
	return NULL;
}

static void get(const struct copse_request *rq, struct copse_response *rs)
{
	const struct gw_mail *mail = find(rq, rs);

	if (mail)
		give(rs, show(worker_of(rq), mail, rq->now));
}

static void withdraw(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	struct gw_mail *mail = find(rq, rs);

	if (!mail)
		return;
	if (mail->state == GW_MAIL_SENDING) {
		copse_response_error(rs, COPSE_CODE_CONFLICT, "the request is on its way to the device");
		return;
	}
	w->counters.mail_withdrawn++;
	gw_mail_refuse(w, mail, COPSE_CODE_SERVICE_UNAVAILABLE, "the request was withdrawn", rq->now);
	rs->code = COPSE_CODE_DELETED;
}

static const struct copse_resource resources[] = {
    {.path = "mailbox",
     .get = list,
     .formats = COPSE_FORMATS(COPSE_FORMAT_JSON),
     .title = "Requests that wait for devices that sleep",
     .flags = COPSE_RESOURCE_PROVEN},
    {.path = "mailbox/*",
     .get = get,
     .delete = withdraw,
     .formats = COPSE_FORMATS(COPSE_FORMAT_JSON),
     .flags = COPSE_RESOURCE_PROVEN | COPSE_RESOURCE_HIDDEN},
};

#define RESOURCES (sizeof(resources) / sizeof(*resources))
static_assert(RESOURCES == GW_MAIL_RESOURCES, "each worker has its copy of each");

int gw_mail_serve(struct gw_worker *w)
{
	memcpy(w->mail_resources, resources, sizeof(resources));
	for (size_t i = 0; i < RESOURCES; i++)
		w->mail_resources[i].user = w;
	return copse_server_add_all(w->server, w->mail_resources, RESOURCES);
}
