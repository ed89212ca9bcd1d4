/* See directory_serve.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "directory_serve.h"
#include "kept.h"

#include "core/siphash.h"

#include <copse/client.h>
#include <copse/host.h>
#include <copse/mem.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RD_MAGIC       0x72642020u
#define PARAMETERS_MAX 32
#define TEXT_MAX       1024 /* bytes of the parameters of a simple registration */

/* A simple registration whose links are on their way. */
struct fetch {
	struct gw_rd *rd;
	copse_handle asked; /* the request that waits for its answer */
	struct copse_address from;
	bool secure;
	struct copse_text parameter[PARAMETERS_MAX]; /* in `text` */
	size_t parameter_n;
	char text[TEXT_MAX];
	char links[GW_DIRECTORY_BODY];
	uint32_t len;
};

enum { RD, REGISTRATION, SIMPLE, ENDPOINTS, RESOURCES, N };

struct gw_rd {
	uint32_t magic;
	const struct gw_config *config;
	struct gw_rd_surroundings around;
	struct gw_directory *dir;
	char *answer; /* GW_DIRECTORY_ANSWER bytes: a lookup while it is made */
	struct copse_client *client;
	void *client_memory;
	struct fetch *fetches[GW_DIRECTORY_FETCHES];
	uint8_t options[32]; /* of GET /.well-known/core */
	size_t options_len;
	struct copse_resource resource[N]; /* with this directory as `user` */
};

static struct gw_rd *rd_of(const struct copse_request *rq)
{
	return rq->resource->user;
}

/* --- what is said --- */

/* Returns false when there are too many. */
static bool take_parameters(const struct copse_request *rq, struct copse_text out[PARAMETERS_MAX], size_t *n)
{
	const struct copse_option *o = copse_message_option(rq->message, COPSE_OPTION_URI_QUERY);

	for (*n = 0; o; o = copse_message_option_next(rq->message, o)) {
		if (*n == PARAMETERS_MAX)
			return false;
		out[(*n)++] = (struct copse_text){(const char *)copse_option_value(rq->message, o), o->len};
	}
	return true;
}

static bool take_enrolment(const struct copse_request *rq, struct copse_response *rs, struct gw_enrolment *e,
			   struct copse_text parameter[PARAMETERS_MAX], struct copse_address *from)
{
	struct gw_rd *rd = rd_of(rq);

	*e = (struct gw_enrolment){
	    .parameter = parameter, .links = (const char *)rq->body, .links_len = rq->body_len, .from = from};
	e->secure = rd->around.is_secure(rd->around.self, rq->peer);
	if (copse_peer_address(rq->peer, from) != 0) {
		copse_response_error(rs, COPSE_CODE_FORBIDDEN, "you have no address");
		return false;
	}
	if (!rd->config->directory.open && !rd->around.has_session(rd->around.self, rq->peer, rq->now) &&
	    !(rd->config->has_mesh_prefix && gw_prefix_has(&rd->config->mesh_prefix, from))) {
		gw_directory_counters(rd->dir)->refused_registrant++;
		copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, "no session for this address and port");
		return false;
	}
	if (take_parameters(rq, parameter, &e->parameter_n))
		return true;
	gw_directory_counters(rd->dir)->refused_malformed++;
	copse_response_problem(rs, COPSE_CODE_BAD_REQUEST, "Malformed query",
			       "there are too many parameters");
	return false;
}

static void refuse(struct copse_response *rs, enum gw_directory_result result, const char *why)
{
	switch (result) {
	case GW_DIRECTORY_MALFORMED:
		copse_response_problem(rs, COPSE_CODE_BAD_REQUEST, "Malformed registration", why);
		break;
	case GW_DIRECTORY_FOREIGN:
		copse_response_error(rs, COPSE_CODE_FORBIDDEN, "another address has this registration");
		break;
	case GW_DIRECTORY_GONE: copse_response_error(rs, COPSE_CODE_NOT_FOUND, "no such registration"); break;
	default:
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "the directory is full");
		rs->max_age = 60;
		break;
	}
}

/* Those who observe lookups learn it. */
static void changed(struct gw_rd *rd, copse_ms now)
{
	copse_server_changed(rd->around.server, &rd->resource[ENDPOINTS], NULL, now);
	copse_server_changed(rd->around.server, &rd->resource[RESOURCES], NULL, now);
}

/* --- /rd --- */

static void post_registration(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_rd *rd = rd_of(rq);
	struct copse_text parameter[PARAMETERS_MAX];
	struct copse_address from;
	struct gw_enrolment e;
	const char *why = NULL;
	char location[32];
	uint64_t id;

	if (!take_enrolment(rq, rs, &e, parameter, &from))
		return;
	enum gw_directory_result result = gw_directory_register(rd->dir, &e, rq->now, &id, &why);
	if (result != GW_DIRECTORY_OK) {
		refuse(rs, result, why);
		return;
	}
	changed(rd, rq->now);
	snprintf(location, sizeof(location), "%llu", (unsigned long long)id);
	rs->code = COPSE_CODE_CREATED;
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "rd");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, location);
}

/* The number of the registration that the path names; 0, which none has, for anything else. */
static uint64_t id_of(const struct copse_request *rq)
{
	uint64_t id = 0;
	size_t len;
	const char *text = copse_request_segment(rq, 1, &len);

	if (!text || len == 0 || len > 19 || text[0] == '0')
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		id = 10 * id + (uint64_t)(text[i] - '0');
	}
	return id;
}

static void post_update(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_rd *rd = rd_of(rq);
	struct copse_text parameter[PARAMETERS_MAX];
	struct copse_address from;
	struct gw_enrolment e;
	const char *why = NULL;

	if (!take_enrolment(rq, rs, &e, parameter, &from))
		return;
	enum gw_directory_result result = gw_directory_update(rd->dir, id_of(rq), &e, rq->now, &why);
	if (result == GW_DIRECTORY_OK)
		changed(rd, rq->now);
	else
		refuse(rs, result, why);
}

static void delete_registration(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_rd *rd = rd_of(rq);
	struct copse_text parameter[PARAMETERS_MAX];
	struct copse_address from;
	struct gw_enrolment e;

	if (!take_enrolment(rq, rs, &e, parameter, &from))
		return;
	enum gw_directory_result result = gw_directory_remove(rd->dir, id_of(rq), &from);
	if (result == GW_DIRECTORY_OK)
		changed(rd, rq->now);
	else
		refuse(rs, result, NULL);
}

/* --- /.well-known/rd --- */

static int take_links(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	struct fetch *f = user;

	if (offset > sizeof(f->links) || len > sizeof(f->links) - offset)
		return COPSE_ERR_NOROOM;
	if (len)
		memcpy(f->links + offset, bytes, len);
	f->len = offset + (uint32_t)len;
	return 0;
}

/* Keep what is needed when the links have come. */
static bool keep(struct fetch *f, const struct gw_enrolment *e)
{
	size_t used = 0;

	for (size_t i = 0; i < e->parameter_n; i++) {
		struct copse_text p = e->parameter[i];
		if (p.len > sizeof(f->text) - used)
			return false;
		memcpy(f->text + used, p.at, p.len);
		f->parameter[f->parameter_n++] = (struct copse_text){f->text + used, p.len};
		used += p.len;
	}
	f->from = *e->from;
	f->secure = e->secure;
	return true;
}

/* Ask for the links. Returns false when that cannot be. */
static bool fetch(struct gw_rd *rd, struct fetch **place, const struct copse_request *rq,
		  const struct gw_enrolment *e)
{
	struct fetch *f = copse_mem_new(1, sizeof(*f));
	const struct copse_call call = {.peer = rq->peer,
					.code = COPSE_CODE_GET,
					.flags = COPSE_CALL_CON,
					.szx = 6,
					.options = rd->options,
					.options_len = rd->options_len,
					.write = take_links,
					.user = f};

	if (!f || !keep(f, e) || copse_client_start(rd->client, &call, rq->now, NULL) != 0) {
		copse_mem_free(f);
		return false;
	}
	f->rd = rd;
	f->asked =
	    copse_request_defer(rq); /* without a place the server says 5.03; the links come all the same */
	*place = f;
	return true;
}

static void post_simple(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_rd *rd = rd_of(rq);
	struct copse_text parameter[PARAMETERS_MAX];
	struct copse_address from;
	struct gw_enrolment e;
	const char *why = NULL;
	size_t i = 0;

	if (!take_enrolment(rq, rs, &e, parameter, &from))
		return;
	e.simple = true;
	e.links_len = 0;
	enum gw_directory_result result = gw_directory_check(rd->dir, &e, &why);
	if (result == GW_DIRECTORY_OK && rq->body_len) {
		result = GW_DIRECTORY_MALFORMED;
		why = "a simple registration has no payload";
	}
	if (result != GW_DIRECTORY_OK) {
		refuse(rs, result, why);
		return;
	}
	while (i < GW_DIRECTORY_FETCHES && rd->fetches[i])
		i++;
	if (i < GW_DIRECTORY_FETCHES && fetch(rd, &rd->fetches[i], rq, &e))
		return;
	gw_directory_counters(rd->dir)->refused_fetches++;
	copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE,
			     "the links of enough others are being fetched");
	rs->max_age = 5;
}

/* What the answer to a simple registration is. */
static void conclude(struct fetch *f, const struct copse_client_event *event, struct copse_response *rs,
		     copse_ms now)
{
	struct gw_directory *dir = f->rd->dir;
	struct gw_enrolment e = {.parameter = f->parameter,
				 .parameter_n = f->parameter_n,
				 .links = f->links,
				 .links_len = f->len,
				 .from = &f->from,
				 .secure = f->secure,
				 .simple = true};
	const char *why = NULL;
	uint64_t id;
	bool timeout = event->kind == COPSE_CLIENT_FAILED && event->error == COPSE_ERR_TIMEOUT;

	if (event->kind == COPSE_CLIENT_FAILED || event->message->code != COPSE_CODE_CONTENT ||
	    copse_message_uint(event->message, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_NONE) !=
		COPSE_FORMAT_LINK) {
		gw_directory_counters(dir)->refused_fetches++;
		copse_response_error(rs, timeout ? COPSE_CODE_GATEWAY_TIMEOUT : COPSE_CODE_BAD_GATEWAY,
				     "no links came from your /.well-known/core");
		return;
	}
	enum gw_directory_result result = gw_directory_register(dir, &e, now, &id, &why);
	if (result == GW_DIRECTORY_OK) {
		rs->code = COPSE_CODE_CHANGED;
		changed(f->rd, now);
	} else {
		refuse(rs, result, why);
	}
}

static void fetched(struct gw_rd *rd, const struct copse_client_event *event, copse_ms now)
{
	struct fetch *f = event->user;
	struct copse_response rs;

	if (event->kind != COPSE_CLIENT_RESPONSE && event->kind != COPSE_CLIENT_FAILED)
		return;
	if (copse_server_reply(rd->around.server, f->asked, &rs) == 0) {
		conclude(f, event, &rs, now);
		if (copse_server_reply_send(rd->around.server, f->asked, &rs, now) == COPSE_ERR_NOROOM)
			copse_server_reply_drop(rd->around.server, f->asked, now);
	}
	for (size_t i = 0; i < GW_DIRECTORY_FETCHES; i++)
		if (rd->fetches[i] == f)
			rd->fetches[i] = NULL;
	copse_mem_free(f);
}

/* --- lookups --- */

static void give(struct copse_response *rs, const struct gw_rd *rd, size_t len)
{
	static const uint64_t key[2];
	uint64_t etag = core_siphash(key, rd->answer, len, 2, 4);
	struct gw_kept *a = gw_kept_new(rs, len);

	if (!a)
		return;
	a->len = (uint32_t)len;
	memcpy(a->text, rd->answer, len);
	copse_response_etag(rs, &etag, sizeof(etag));
	gw_kept_give(a, rs, COPSE_FORMAT_LINK);
}

static uint32_t scope_of(const struct copse_peer *peer)
{
	struct copse_address a;

	return peer && copse_peer_address(peer, &a) == 0 && a.sa.sa_family == AF_INET6 ? a.in6.sin6_scope_id
										       : 0;
}

/* Who asks. */
struct asker {
	struct gw_rd *rd;
	const struct copse_peer *peer;
	copse_ms now;
};

static bool sees(void *self, const char *device)
{
	const struct asker *a = self;

	return a->rd->around.sees(a->rd->around.self, a->peer, a->now, device);
}

/* One notification serves all observers: it is for those who see everything. */
static bool may_follow(void *self, const struct copse_peer *peer)
{
	const struct asker *a = self;
	const struct gw_rd_surroundings *around = &a->rd->around;

	return (a->rd->config->directory.open || around->has_session(around->self, peer, a->now)) &&
	       around->sees_all(around->self, peer, a->now);
}

static void get_lookup(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_rd *rd = rd_of(rq);
	struct copse_text criteria[PARAMETERS_MAX];
	struct gw_lookup lookup = {.endpoints = rq->resource == &rd->resource[ENDPOINTS],
				   .criteria = criteria,
				   .scope = scope_of(rq->peer),
				   .config = rd->config};
	struct asker asker = {rd, rq->peer, rq->now};
	const char *why = "there are too many criteria";
	size_t len;

	if (!rq->peer) {
		copse_request_review(rq, COPSE_CODE_UNAUTHORIZED, may_follow, &asker);
	} else if (!may_follow(&asker, rq->peer)) {
		copse_request_once(rq);
		lookup.sees = sees;
		lookup.self = &asker;
	}
	if (!rd->config->directory.open && rq->peer &&
	    !rd->around.has_session(rd->around.self, rq->peer, rq->now)) {
		copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, "no session for this address and port");
		return;
	}
	if (!take_parameters(rq, criteria, &lookup.criteria_n)) {
		copse_response_problem(rs, COPSE_CODE_BAD_REQUEST, "Malformed query", why);
		return;
	}
	enum gw_directory_result result = gw_directory_lookup(rd->dir, &lookup, rd->answer, &len, &why);
	if (result == GW_DIRECTORY_OK)
		give(rs, rd, len);
	else if (result == GW_DIRECTORY_FULL)
		copse_response_problem(rs, COPSE_CODE_BAD_REQUEST, "Answer too long",
				       "ask for less: count, page");
	else
		copse_response_problem(rs, COPSE_CODE_BAD_REQUEST, "Malformed query", why);
}

/* --- life --- */

static const struct copse_resource resources[] = {
    /* Who registers may know no Echo: what it gets is short, and its address is all that it says. */
    [RD] = {.path = "rd",
	    .post = post_registration,
	    .takes = COPSE_FORMATS(COPSE_FORMAT_LINK),
	    .rt = "core.rd",
	    .title = "Resource directory: POST links",
	    .body_max = GW_DIRECTORY_BODY,
	    .flags = COPSE_RESOURCE_WHOLE | COPSE_RESOURCE_UNPROVEN},
    [REGISTRATION] = {.path = "rd/*",
		      .post = post_update,
		      .delete = delete_registration,
		      .body_max = GW_DIRECTORY_BODY,
		      .flags = COPSE_RESOURCE_WHOLE | COPSE_RESOURCE_HIDDEN},
    /* RFC 9176 §5.1: whoever is asked for its links has shown by an Echo that it asked for that */
    [SIMPLE] = {.path = ".well-known/rd",
		.post = post_simple,
		.flags = COPSE_RESOURCE_WHOLE | COPSE_RESOURCE_HIDDEN},
    [ENDPOINTS] = {.path = "rd-lookup/ep",
		   .get = get_lookup,
		   .formats = COPSE_FORMATS(COPSE_FORMAT_LINK),
		   .rt = "core.rd-lookup-ep",
		   .title = "Endpoints of the directory",
		   .flags = COPSE_RESOURCE_OBSERVABLE},
    [RESOURCES] = {.path = "rd-lookup/res",
		   .get = get_lookup,
		   .formats = COPSE_FORMATS(COPSE_FORMAT_LINK),
		   .rt = "core.rd-lookup-res",
		   .title = "Resources of the directory",
		   .flags = COPSE_RESOURCE_OBSERVABLE},
};
static_assert(sizeof(resources) / sizeof(*resources) == N, "each directory has its copy of each");

static bool make_client(struct gw_rd *rd)
{
	struct copse_client_config config = COPSE_CLIENT_DEFAULT;
	struct copse_builder b;

	config.call_cap = GW_DIRECTORY_FETCHES;
	copse_host_random(&config.seed, sizeof(config.seed));
	size_t len = copse_client_bytes(&config);
	rd->client_memory = copse_mem_new(len, 1);
	if (!rd->client_memory)
		return false;
	rd->client =
	    copse_client_init(rd->client_memory, len, &config, copse_server_endpoint(rd->around.server));
	copse_build_rest(&b, rd->options, sizeof(rd->options));
	copse_build_option(&b, COPSE_OPTION_URI_PATH, ".well-known", 11);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "core", 4);
	copse_build_uint(&b, COPSE_OPTION_ACCEPT, COPSE_FORMAT_LINK);
	int n = copse_build_finish(&b);
	rd->options_len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

struct gw_rd *gw_rd_new(const struct gw_config *config, const struct gw_rd_surroundings *around)
{
	struct gw_rd *rd = copse_mem_new(1, sizeof(*rd));
	uint64_t key[2];

	if (!rd)
		return NULL;
	rd->magic = RD_MAGIC;
	rd->config = config;
	rd->around = *around;
	copse_host_random(key, sizeof(key));
	rd->dir = gw_directory_new(config->directory.registrations, key);
	rd->answer = copse_mem_new(GW_DIRECTORY_ANSWER, 1);
	memcpy(rd->resource, resources, sizeof(resources));
	for (size_t i = 0; i < N; i++)
		rd->resource[i].user = rd;
	if (rd->dir && rd->answer && make_client(rd) &&
	    copse_server_add_all(around->server, rd->resource, N) == 0)
		return rd;
	gw_rd_free(rd);
	return NULL;
}

void gw_rd_adopt(struct gw_rd *rd, const struct gw_config *config)
{
	rd->config = config;
}

void gw_rd_free(struct gw_rd *rd)
{
	if (!rd)
		return;
	COPSE_ASSERT(rd->magic == RD_MAGIC);
	rd->magic = 0;
	for (size_t i = 0; i < GW_DIRECTORY_FETCHES; i++)
		copse_mem_free(rd->fetches[i]);
	gw_directory_free(rd->dir);
	copse_mem_free(rd->answer);
	copse_mem_free(rd->client_memory);
	copse_mem_free(rd);
}

bool gw_rd_event(struct gw_rd *rd, const struct copse_event *event, copse_ms now)
{
	struct copse_client_event told;
	int taken = copse_client_take(rd->client, event, now, &told);

	COPSE_ASSERT(rd->magic == RD_MAGIC);
	if (taken > 0)
		fetched(rd, &told, now);
	return taken >= 0;
}

copse_ms gw_rd_deadline(const struct gw_rd *rd)
{
	copse_ms client = copse_client_deadline(rd->client), end = gw_directory_deadline(rd->dir);

	return client < end ? client : end;
}

void gw_rd_expire(struct gw_rd *rd, copse_ms now)
{
	struct copse_client_event told;

	while (copse_client_expire(rd->client, now, &told))
		fetched(rd, &told, now);
	if (gw_directory_expire(rd->dir, now) > 0)
		changed(rd, now);
}

struct gw_directory *gw_rd_directory(struct gw_rd *rd)
{
	return rd->dir;
}
