/* The gateway's own resources: /sessions, /devices, /metrics, /echo, /help; /.well-known/core is the server's.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "documents.h"
#include "kept.h"
#include "metrics.h"
#include "proxy_mail.h"
#include "resolver.h"
#include "visible.h"
#include "worker_cross.h"

#include <copse/host.h>
#include <copse/mem.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char help_text[] =
    "Copse gateway: a CoAP proxy for the devices of a mesh.\n"
    "\n"
    "1. Open a session: POST a JSON Web Token to /sessions.\n"
    "     ?sticky=true    the account has one session, which follows it to a new address\n"
    "     ?security=none  between gateway and devices in the clear\n"
    "   The session belongs to the address and port that you send from: keep using them\n"
    "   (coap-client: -p PORT). With coaps it belongs to the association.\n"
    "2. Send requests for devices with Proxy-Uri: coap://MACID/path, or with Proxy-Scheme\n"
    "   and Uri-Host. A confirmable request is acknowledged at once; the answer follows when\n"
    "   the device has given it, which may take minutes.\n"
    "3. GET /sessions shows your session, GET /devices the devices; DELETE /sessions ends it.\n";

static struct gw_worker *worker_of(const struct copse_request *rq)
{
	return rq->resource->user;
}

/* --- /sessions --- */

static void time_text(char out[32], const struct gw_worker *w, copse_ms at, copse_ms now)
{
	time_t second = (time_t)(w->around.wall(w->around.self) + (int64_t)((at - now + 500) / 1000));
	struct tm tm;

	if (at == COPSE_NEVER || !gmtime_r(&second, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		memcpy(out, "never", sizeof("never"));
}

static void show_session(const struct copse_request *rq, struct copse_response *rs,
			 const struct gw_session *s)
{
	const struct gw_worker *w = worker_of(rq);
	char ends[32], text[256];

	time_text(ends, w, s->ends, rq->now);
	snprintf(text, sizeof(text), "account: %s\nends: %s\nidle: %llu\nsecurity: %s\npending: %u\n",
		 s->account, ends, (unsigned long long)(w->config->session_idle_ms / 1000),
		 s->secure ? "secure" : "none", (unsigned)gw_cross_pending_of(w, s));
	copse_response_text(rs, text);
	rs->max_age = 0;
}

static void no_session(const struct copse_request *rq, struct copse_response *rs)
{
	worker_of(rq)->counters.refused_anonymous++;
	copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, "no session for this address and port");
}

static void sessions_get(const struct copse_request *rq, struct copse_response *rs)
{
	const struct gw_session *s = gw_sessions_find(worker_of(rq)->sessions, rq->peer, rq->now);

	if (s)
		show_session(rq, rs, s);
	else
		no_session(rq, rs);
}

/* A change that not all workers can be told of does not happen. */
static bool refuse_behind(struct gw_worker *w, struct copse_response *rs)
{
	if (gw_cross_has_room(w))
		return false;
	w->counters.refused_crossing++;
	copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "the gateway is behind");
	rs->max_age = 1;
	return true;
}

static void sessions_delete(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	struct gw_session *s = gw_sessions_find(w->sessions, rq->peer, rq->now);
	char peer[GW_PEER_TEXT];

	if (s && refuse_behind(w, rs))
		return;
	if (s) {
		gw_log(w->around.log, GW_LOG_INFO, "sessions", "closed", {"account", s->account},
		       {"peer", copse_peer_text(rq->peer, peer, sizeof(peer))});
		gw_sessions_close(w->sessions, s);
		gw_cross_closed(w, rq->peer);
		w->counters.sessions_closed++;
	}
	rs->code = COPSE_CODE_DELETED;
}

/* What the query asks for. */
struct wish {
	bool sticky, secure;
};

static bool is(const char *value, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(value, text, len) == 0;
}

static bool take_parameter(const char *text, size_t len, struct wish *wish)
{
	if (is(text, len, "sticky=true") || is(text, len, "sticky=false"))
		wish->sticky = len == strlen("sticky=true");
	else if (is(text, len, "security=none") || is(text, len, "security=secure"))
		wish->secure = len == strlen("security=secure");
	else
		return false;
	return true;
}

static bool take_query(const struct copse_request *rq, struct wish *wish)
{
	const struct copse_option *o = copse_message_option(rq->message, COPSE_OPTION_URI_QUERY);

	wish->sticky = false;
	wish->secure = !worker_of(rq)->config->mesh_clear;
	for (; o; o = copse_message_option_next(rq->message, o))
		if (!take_parameter((const char *)copse_option_value(rq->message, o), o->len, wish))
			return false;
	return true;
}

static void refuse_token(const struct copse_request *rq, struct copse_response *rs, enum gw_token_fault fault)
{
	struct gw_worker *w = worker_of(rq);
	char peer[GW_PEER_TEXT];

	w->counters.refused_token++;
	gw_log_stranger(w->around.log, GW_LOG_WARN, "sessions", "token refused",
			{"reason", gw_token_fault_text(fault)},
			{"peer", copse_peer_text(rq->peer, peer, sizeof(peer))});
	copse_response_error(rs, COPSE_CODE_UNAUTHORIZED, "the token is not valid here");
}

static void log_opened(const struct gw_worker *w, const struct gw_session *s, enum gw_session_result result)
{
	static const char *const what[] = {
	    [GW_SESSION_OPENED] = "opened", [GW_SESSION_RENEWED] = "renewed", [GW_SESSION_MOVED] = "moved"};
	char peer[GW_PEER_TEXT];

	gw_log(w->around.log, GW_LOG_INFO, "sessions", what[result], {"account", s->account},
	       {"peer", copse_peer_text(&s->peer, peer, sizeof(peer))},
	       {"security", s->secure ? "secure" : "none"});
}

/* The token's rules, held for a session. False when there is no room for them. */
static bool take_grant(struct gw_worker *w, const struct gw_claims *claims, uint32_t *grant)
{
	*grant = gw_grant_is_empty(&claims->grant) ? 0 : gw_grants_take(w->grants, &claims->grant);
	return *grant || gw_grant_is_empty(&claims->grant);
}

static void open_session(const struct copse_request *rq, struct copse_response *rs, const struct wish *wish,
			 const struct gw_claims *claims)
{
	struct gw_worker *w = worker_of(rq);
	int64_t left = claims->expires == GW_NO_EXPIRY ? 0 : claims->expires - w->around.wall(w->around.self);
	struct gw_session_wish asked = {
	    .peer = rq->peer,
	    .account = claims->account,
	    .ends = claims->expires == GW_NO_EXPIRY ? COPSE_NEVER : rq->now + (copse_ms)left * 1000,
	    .per_account = w->config->sessions_per_account,
	    .sticky = wish->sticky,
	    .secure = wish->secure,
	};
	struct gw_session *s = NULL;

	if (refuse_behind(w, rs))
		return;
	if (!take_grant(w, claims, &asked.grant)) {
		w->counters.refused_grants++;
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE,
				     "the gateway holds as many different rules of tokens as it can");
		return;
	}
	enum gw_session_result result = gw_sessions_open(w->sessions, &asked, rq->now, &s);
	if (result >= GW_SESSION_LIMIT)
		gw_grants_release(w->grants, asked.grant);

	if (result == GW_SESSION_LIMIT) {
		w->counters.refused_account++;
		copse_response_error(rs, COPSE_CODE_FORBIDDEN,
				     "the account has as many sessions as it may: close one");
		return;
	}
	if (result == GW_SESSION_FULL) {
		w->counters.refused_sessions++;
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE,
				     "the gateway holds as many sessions as it can");
		return;
	}
	w->counters.sessions_opened += result == GW_SESSION_OPENED;
	w->counters.sessions_renewed += result == GW_SESSION_RENEWED;
	w->counters.sessions_moved += result == GW_SESSION_MOVED;
	gw_cross_opened(w, &asked, asked.grant ? &claims->grant : NULL);
	gw_cross_pending(w, s, 0);
	gw_cross_observers(w, s);
	log_opened(w, s, result);
	copse_server_verified(w->server, rq->peer, rq->now);
	rs->code = COPSE_CODE_CREATED;
	show_session(rq, rs, s);
}

static void sessions_post(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	struct gw_claims claims;
	struct wish wish;

	if (!take_query(rq, &wish)) {
		copse_response_error(rs, COPSE_CODE_BAD_REQUEST,
				     "the query may have sticky=true|false and security=none|secure");
		return;
	}
	if (!gw_bucket_take(&w->verifications, w->config->token.rate, rq->now)) {
		w->counters.refused_rate++;
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "too many tokens are being checked");
		rs->max_age = 1;
		return;
	}
	enum gw_token_fault fault =
	    gw_token_check(w->config, rq->body, rq->body_len, w->around.wall(w->around.self), &claims);
	if (fault) {
		refuse_token(rq, rs, fault);
		return;
	}
	if (wish.secure && !w->config->mesh_keys) {
		w->counters.refused_secure++;
		gw_log(w->around.log, GW_LOG_INFO, "sessions", "refused, secure",
		       {"account", claims.account});
		copse_response_error(
		    rs, COPSE_CODE_NOT_IMPLEMENTED,
		    "secure sessions are not available: the mesh is in the clear, ask for ?security=none");
		return;
	}
	open_session(rq, rs, &wish, &claims);
}

/* --- /devices, /metrics, /echo, /help --- */

static int read_devices(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const struct gw_worker *w = user;
	size_t len = w->config->device_list_len, n = offset < len ? len - offset : 0;

	n = n < cap ? n : cap;
	memcpy(buf, w->config->device_list + (offset < len ? offset : 0), n);
	return (int)n;
}

/* The devices that the caller may see; `s` NULL: it has no session, and need not have one. */
static void list_some(const struct copse_request *rq, struct copse_response *rs, const struct gw_session *s)
{
	struct gw_worker *w = worker_of(rq);
	struct gw_kept *list;
	size_t len = 0;
	char *text = gw_visible_list(w, s, &len);

	if (!text) {
		copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "out of memory");
	} else if (w->collector) {
		gw_collector_list(w->collector, rq, rs, text);
	} else if ((list = gw_kept_new(rs, len)) != NULL) {
		list->len = (uint32_t)len;
		memcpy(list->text, text, len);
		gw_kept_give(list, rs, COPSE_FORMAT_LINK);
	}
	copse_mem_free(text);
}

/* All configured devices: their list was made with the configuration, so that its blocks cost nothing. */
static void list_configured(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);

	copse_response_etag(rs, w->config->device_list_etag, sizeof(w->config->device_list_etag));
	copse_response_reader(rs, COPSE_FORMAT_LINK, (uint32_t)w->config->device_list_len, read_devices, NULL,
			      w);
}

/* What is asked for by properties that only those have that were heard. */
static bool is_about_heard(const struct copse_request *rq)
{
	size_t len;

	return copse_request_query(rq, "type", &len) || copse_request_query(rq, "group", &len) ||
	       copse_request_query(rq, "state", &len);
}

struct audience {
	struct gw_worker *w;
	copse_ms now;
};

/* One notification serves all observers: it is for those who see everything. */
static bool may_follow_devices(void *user, const struct copse_peer *peer)
{
	const struct audience *a = user;
	const struct gw_session *s = gw_sessions_find(a->w->sessions, peer, a->now);

	return a->w->collector && (s || a->w->config->collector.open) && gw_visible_all(a->w, s);
}

static void devices_get(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	struct audience audience = {w, rq->now};
	const struct gw_session *s = rq->peer ? gw_sessions_find(w->sessions, rq->peer, rq->now) : NULL;

	if (!rq->peer)
		copse_request_review(rq, COPSE_CODE_UNAUTHORIZED, may_follow_devices, &audience);
	else if (!may_follow_devices(&audience, rq->peer))
		copse_request_once(rq);
	if (rq->peer && !s && !(w->collector && w->config->collector.open))
		no_session(rq, rs);
	else if (!w->collector && rq->accept != COPSE_FORMAT_LINK) /* JSON is the collector's */
		copse_response_error(rs, COPSE_CODE_NOT_ACCEPTABLE, NULL);
	else if (w->collector && is_about_heard(rq))
		gw_collector_list(w->collector, rq, rs, "");
	else if (gw_visible_all(w, s) && !w->collector && !w->rd)
		list_configured(rq, rs);
	else
		list_some(rq, rs, s);
}

static void say_metrics(struct gw_worker *w, const struct gw_report *report, struct copse_response *rs)
{
	/* the store's thread goes on counting meanwhile: numbers may become longer */
	size_t cap = gw_metrics_text(w, report, NULL, 0) + 256;
	struct gw_kept *metrics = gw_kept_new(rs, cap);

	if (!metrics)
		return;
	size_t len = gw_metrics_text(w, report, metrics->text, cap);
	metrics->len = (uint32_t)(len < cap ? len : cap - 1);
	rs->max_age = 0;
	gw_kept_give(metrics, rs, COPSE_FORMAT_TEXT);
}

void gw_local_metrics(struct gw_worker *w, copse_handle asker, const struct gw_report *report, copse_ms now)
{
	struct copse_response rs;

	if (copse_server_reply(w->server, asker, &rs) != COPSE_OK)
		return;
	say_metrics(w, report, &rs);
	if (copse_server_reply_send(w->server, asker, &rs, now) == COPSE_ERR_NOROOM)
		copse_server_reply_drop(w->server, asker, now);
}

/* The others are asked what they have counted; the answer follows when all have said it. */
static void ask_all(struct gw_worker *w, const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_round *round = gw_round_begin(w);

	if (round) {
		gw_round_set_asker(round, copse_request_defer(rq));
		return;
	}
	w->counters.refused_crossing++;
	copse_response_error(rs, COPSE_CODE_SERVICE_UNAVAILABLE, "the gateway is behind");
	rs->max_age = 1;
}

static void metrics_get(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_worker *w = worker_of(rq);
	struct gw_report report = {0};

	if (!gw_sessions_find(w->sessions, rq->peer, rq->now)) {
		no_session(rq, rs);
	} else if (w->cross) {
		ask_all(w, rq, rs);
	} else {
		gw_report_take(w, &report);
		say_metrics(w, &report, rs);
	}
}

/* GET has no body by its definition, but who sends one to be echoed means it. */
static void echo(const struct copse_request *rq, struct copse_response *rs)
{
	if (rq->method == COPSE_CODE_GET)
		copse_response_copy(rs, rq->format, copse_message_payload(rq->message),
				    rq->message->payload_len);
	else
		copse_response_copy(rs, rq->format, rq->body, rq->body_len);
}

static void help_get(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_view(rs, COPSE_FORMAT_TEXT, help_text, sizeof(help_text) - 1);
}

/* --- the collector --- */

static int64_t wall_us(void *self)
{
	const struct gw_worker *w = self;

	return w->around.wall_us ? w->around.wall_us(w->around.self)
				 : w->around.wall(w->around.self) * 1000000;
}

static bool may_read(void *self, const struct copse_peer *peer, copse_ms now)
{
	const struct gw_worker *w = self;

	return gw_sessions_find(w->sessions, peer, now) != NULL;
}

static bool sees(void *self, const struct copse_peer *peer, copse_ms now, const char *device)
{
	const struct gw_worker *w = self;

	return gw_visible(w, gw_sessions_find(w->sessions, peer, now), device);
}

static bool may_describe(void *self, const struct copse_peer *peer, copse_ms now, const char *device,
			 uint8_t method)
{
	const struct gw_worker *w = self;

	return gw_may_describe(w, gw_sessions_find(w->sessions, peer, now), device, method);
}

static uint64_t rights(void *self, const struct copse_peer *peer, copse_ms now)
{
	const struct gw_worker *w = self;

	return gw_rights(w, gw_sessions_find(w->sessions, peer, now));
}

static size_t documents(void *self, const struct copse_peer *peer, copse_ms now, uint8_t method,
			struct gw_documents *out)
{
	const struct gw_worker *w = self;
	const struct gw_session *s = gw_sessions_find(w->sessions, peer, now);
	const struct gw_document_question q = {w->config, s ? s->account : "",
					       gw_grants_at(w->grants, s ? s->grant : 0), method};

	if (out)
		gw_documents_take(out, &q);
	return gw_documents_bytes(&q);
}

static copse_ms wait_for(void *self, const struct copse_peer *peer, copse_ms now, bool publishes)
{
	const struct gw_worker *w = self;
	const struct gw_session *s = publishes ? NULL : gw_sessions_find(w->sessions, peer, now);

	if (publishes)
		return gw_rates_take(w->device_rates, peer->key, peer->len, &w->config->collector.rate, now);
	return s ? gw_cross_rate(w, s->account, now) : 0;
}

static void heard(void *self, const char *device)
{
	struct gw_worker *w = self;

	memcpy(w->published_as, device, strlen(device) + 1); /* STORE_DEVICE_MAX at most */
}

static void sleeps(void *self, const char *device, bool is)
{
	const struct gw_worker *w = self;

	if (w->cross)
		gw_crossing_set_asleep(w->cross, device, is);
}

static void local_address(void *self, const struct copse_peer *peer, struct copse_address *address)
{
	const struct gw_worker *w = self;

	w->around.local(w->around.self, peer, address);
}

enum { DEVICES = 1 }; /* place in the table of resources */

static bool add_collector(struct gw_worker *w)
{
	const struct gw_collector_surroundings around = {.server = w->server,
							 .log = w->around.log,
							 .wall = wall_us,
							 .local = local_address,
							 .may_read = may_read,
							 .sees = sees,
							 .may_describe = may_describe,
							 .rights = rights,
							 .documents = documents,
							 .wait_for = wait_for,
							 .heard = heard,
							 .sleeps = sleeps,
							 .self = w};

	if (!w->config->collector.path[0])
		return true;
	copse_endpoint_unasked(w->ep, w->config->collector.implicit_n > 0);
	w->collector = gw_collector_new(w->config, &around, w->around.wake, w->around.self);
	if (!w->collector || gw_collector_add(w->collector) != 0)
		return false;
	gw_collector_set_list(w->collector, &w->resources[DEVICES]);
	return true;
}

static bool is_secure(void *self, const struct copse_peer *peer)
{
	const struct gw_worker *w = self;

	return w->around.proved && w->around.proved(w->around.self, peer);
}

static bool sees_all(void *self, const struct copse_peer *peer, copse_ms now)
{
	const struct gw_worker *w = self;

	return gw_visible_all(w, gw_sessions_find(w->sessions, peer, now));
}

static bool add_directory(struct gw_worker *w)
{
	const struct gw_rd_surroundings around = {.server = w->server,
						  .has_session = may_read,
						  .sees = sees,
						  .sees_all = sees_all,
						  .is_secure = is_secure,
						  .self = w};

	if (w->config->directory.registrations == 0)
		return true;
	w->rd = gw_rd_new(w->config, &around);
	return w->rd != NULL;
}

/* --- the server --- */

static const struct copse_resource resources[] = {
    {.path = "sessions",
     .get = sessions_get,
     .post = sessions_post,
     .delete = sessions_delete,
     .title = "Sessions: POST a token",
     .body_max = GW_TOKEN_MAX,
     .flags = COPSE_RESOURCE_WHOLE | COPSE_RESOURCE_UNPROVEN}, /* else who knows no Echo could open none */
    [DEVICES] = {.path = "devices",
		 .get = devices_get,
		 .title = "Devices of the mesh, and those that were heard",
		 .formats = COPSE_FORMATS(COPSE_FORMAT_LINK, COPSE_FORMAT_JSON),
		 .flags = COPSE_RESOURCE_OBSERVABLE},
    {.path = "echo",
     .get = echo,
     .post = echo,
     .put = echo,
     .fetch = echo,
     .title = "Answers what it is sent",
     .flags = COPSE_RESOURCE_WHOLE | COPSE_RESOURCE_UNPROVEN},
    {.path = "metrics",
     .get = metrics_get,
     .title = "Counters, as OpenMetrics text",
     .formats = COPSE_FORMATS(COPSE_FORMAT_TEXT)},
    {.path = "help",
     .get = help_get,
     .title = "How to use the proxy",
     .formats = COPSE_FORMATS(COPSE_FORMAT_TEXT)},
};

#define RESOURCES (sizeof(resources) / sizeof(*resources))
static_assert(RESOURCES == GW_LOCAL_RESOURCES, "each worker has its copy of each");

bool gw_local_new(struct gw_worker *w, copse_ms now)
{
	struct copse_server_config config = COPSE_SERVER_DEFAULT;
	size_t len;

	config.message_len = GW_LOCAL_MESSAGE;
	config.collect_len = GW_TOKEN_MAX;
	config.scratch_len = GW_TOKEN_MAX;
	config.transfer_cap = 256;
	config.transfer_ms = 30000; /* a token in blocks is sent at once, or never */
	config.amplification = w->config->amplification;
	config.verified_cap = GW_VERIFIED_MAX;
	if (w->config->collector.path[0]) {
		config.collect_len = GW_COLLECTOR_BODY;
		config.deferred_cap = 4096;
		config.observer_cap = 4096;
		config.view_cap = 1024;
		config.view_len = 256;
	}
	if (w->config->directory.registrations) {
		config.collect_len =
		    config.collect_len < GW_DIRECTORY_BODY ? GW_DIRECTORY_BODY : config.collect_len;
		config.deferred_cap += GW_DIRECTORY_FETCHES;
		config.observer_cap += 1024;
		config.view_cap += 256;
		config.view_len = 256;
	}
	copse_host_random(config.seed, sizeof(config.seed));
	len = copse_server_bytes(&config);
	w->server_memory = copse_mem_new(len, 1);
	if (!w->server_memory)
		return false;
	w->server = copse_server_init(w->server_memory, len, &config, w->ep, now);
	memcpy(w->resources, resources, sizeof(resources));
	for (size_t i = 0; i < RESOURCES; i++)
		w->resources[i].user = w;
	return copse_server_add_all(w->server, w->resources, RESOURCES) == 0 &&
	       (!gw_cross_is_first(w) || (add_collector(w) && add_directory(w) && gw_mail_new(w)));
}

/* The critical options that the server and we understand in a request. */
static bool understands(uint16_t number)
{
	switch (number) {
	case COPSE_OPTION_IF_MATCH:
	case COPSE_OPTION_URI_HOST:
	case COPSE_OPTION_IF_NONE_MATCH:
	case COPSE_OPTION_URI_PORT:
	case COPSE_OPTION_URI_PATH:
	case COPSE_OPTION_URI_QUERY:
	case COPSE_OPTION_ACCEPT:
	case COPSE_OPTION_Q_BLOCK1:
	case COPSE_OPTION_BLOCK2:
	case COPSE_OPTION_BLOCK1:
	case COPSE_OPTION_Q_BLOCK2:
	case COPSE_OPTION_PROXY_SCHEME: return true; /* which has been found to name the gateway */
	default: return false;
	}
}

static bool is_understood(const struct copse_message *m)
{
	if (m->bad_option)
		return false;
	for (unsigned i = 0; i < m->option_n; i++)
		if (copse_option_is_critical(m->option[i].number) && !understands(m->option[i].number))
			return false;
	return true;
}

bool gw_local_may_say(const struct gw_worker *w, const struct copse_message *m, size_t rest_len)
{
	return w->config->amplification == 0 ||
	       COPSE_HEADER_LEN + m->token_len + rest_len <= (size_t)w->config->amplification * m->len;
}

/* An address with a session, an association or a connection has shown that it receives what it asks for. */
static void take_understood(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	if (w->config->amplification &&
	    ((event->peer->flags & COPSE_PEER_RELIABLE) || gw_sessions_find(w->sessions, event->peer, now) ||
	     (w->around.proved && w->around.proved(w->around.self, event->peer))))
		copse_server_verified(w->server, event->peer, now);
	copse_server_take(w->server, event, now);
}

static void refuse_late(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	static const uint8_t soon[] = {0xd1, COPSE_OPTION_MAX_AGE - 13, 1}; /* Max-Age: 1 */
	const struct copse_out out = {
	    .code = COPSE_CODE_SERVICE_UNAVAILABLE, .rest = soon, .rest_len = sizeof(soon)};

	w->counters.refused_crossing++;
	if (copse_endpoint_respond(w->ep, event->exchange, &out, now) != 0)
		copse_endpoint_ignore(w->ep, event->exchange, now);
}

void gw_local_request(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	static const uint8_t text[] = "\xff"
				      "critical option not understood";
	struct copse_out out = {.code = COPSE_CODE_BAD_OPTION, .rest = text, .rest_len = sizeof(text) - 1};

	if (!gw_cross_is_first(w)) { /* there was no room for it in the first one's ring */
		refuse_late(w, event, now);
		return;
	}
	if (!gw_local_may_say(w, event->message, out.rest_len))
		out.rest_len = 0;
	if (is_understood(event->message))
		take_understood(w, event, now);
	else if (event->message->type == COPSE_NON) /* RFC 7252 §5.4.1 */
		copse_endpoint_ignore(w->ep, event->exchange, now);
	else
		copse_endpoint_respond(w->ep, event->exchange, &out, now);
}
