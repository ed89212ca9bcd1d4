/* See group.h. The states are drawn in doc/states/group.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "group.h"

#include "access.h"
#include "worker_cross.h"

#include <copse/mem.h>
#include <copse/udp.h>

#include <string.h>

enum group_state {
	GROUP_FREE,
	GROUP_OPEN,   /* answers are passed on */
	GROUP_CLOSING /* no more of them; some have not been acknowledged yet */
};

struct group_request {
	enum group_state state;
	uint32_t next_free;    /* number + 1 */
	copse_handle upstream; /* our request to the group */
	copse_ms ends;
	uint32_t left;    /* answers that may still be passed on */
	uint32_t passed;  /* that were */
	uint32_t unacked; /* confirmable ones that the client has not acknowledged */
	uint32_t session, generation;
	bool con, wanted;
	uint8_t no_response, token_len;
	uint8_t token[COPSE_TOKEN_MAX];
	struct copse_peer client;
	size_t message_len;
	uint8_t *message; /* the request as it went to the group, with a header */
};

struct gw_groups {
	uint32_t message_cap, used, free;
	copse_ms next; /* no request ends before */
	uint8_t *bytes;
	struct group_request request[GW_GROUPS_MAX];
};

struct gw_groups *gw_groups_new(uint32_t message_len)
{
	struct gw_groups *t = copse_mem_new(1, sizeof(*t));

	if (!t)
		return NULL;
	t->message_cap = COPSE_HEADER_LEN + message_len;
	t->bytes = copse_mem_new(GW_GROUPS_MAX, t->message_cap);
	t->next = COPSE_NEVER;
	for (uint32_t i = GW_GROUPS_MAX; i > 0; i--) {
		t->request[i - 1].next_free = t->free;
		t->request[i - 1].message = t->bytes ? t->bytes + (size_t)(i - 1) * t->message_cap : NULL;
		t->free = i;
	}
	if (t->bytes)
		return t;
	copse_mem_free(t);
	return NULL;
}

void gw_groups_free(struct gw_groups *t)
{
	if (!t)
		return;
	copse_mem_free(t->bytes);
	copse_mem_free(t);
}

uint32_t gw_groups_count(const struct gw_groups *t)
{
	return t->used;
}

copse_ms gw_groups_deadline(const struct gw_groups *t)
{
	return t->next;
}

/* --- the life of a record --- */

static struct group_request *take(struct gw_groups *t)
{
	struct group_request *g = t->free ? &t->request[t->free - 1] : NULL;

	if (!g)
		return NULL;
	t->free = g->next_free;
	t->used++;
	*g = (struct group_request){.state = GROUP_OPEN, .message = g->message};
	return g;
}

static void give_back(struct gw_worker *w, struct group_request *g)
{
	struct gw_groups *t = w->groups;
	struct gw_session *s = gw_sessions_at(w->sessions, g->session, g->generation);

	if (s)
		gw_cross_pending(w, s, -1);
	g->state = GROUP_FREE;
	g->next_free = t->free;
	t->free = (uint32_t)(g - t->request) + 1;
	t->used--;
}

/* No more answers. */
static void close_request(struct gw_worker *w, struct group_request *g, copse_ms now)
{
	if (g->upstream)
		copse_endpoint_cancel(w->ep, g->upstream, now);
	g->upstream = COPSE_NO_HANDLE;
	g->state = GROUP_CLOSING;
	if (g->unacked == 0)
		give_back(w, g);
}

/* --- answers --- */

static size_t put_uint(uint8_t *out, uint8_t major, uint32_t value)
{
	size_t n = 0;

	if (value < 24) {
		out[n++] = (uint8_t)(major | value);
	} else if (value < 256) {
		out[n++] = (uint8_t)(major | 24);
		out[n++] = (uint8_t)value;
	} else {
		out[n++] = (uint8_t)(major | 25);
		out[n++] = (uint8_t)(value >> 8);
		out[n++] = (uint8_t)value;
	}
	return n;
}

#define CBOR_BYTES 0x40
#define CBOR_TEXT  0x60
#define CBOR_ARRAY 0x80

/* A host name as its labels (draft-ietf-core-href); `*items` is how many. */
static size_t put_labels(uint8_t *out, const char *name, uint32_t *items)
{
	size_t n = 0;

	for (*items = 0; *name; ++*items) {
		size_t len = strcspn(name, ".");
		n += put_uint(out + n, CBOR_TEXT, (uint32_t)len);
		memcpy(out + n, name, len);
		n += len;
		name += len + (name[len] == '.');
	}
	return n;
}

static size_t put_ip(uint8_t *out, const struct copse_address *a)
{
	size_t len = a->sa.sa_family == AF_INET ? 4 : 16;
	size_t n = put_uint(out, CBOR_BYTES, (uint32_t)len);

	if (len == 4)
		memcpy(out + n, &a->in.sin_addr, len);
	else
		memcpy(out + n, &a->in6.sin6_addr, len);
	return n + len;
}

/* [scheme -1 (coap), [host, port]]; a device that has a name is met on its own port. */
size_t gw_reply_to(const struct gw_target *device, uint8_t out[GW_REPLY_TO_MAX])
{
	uint8_t host[GW_REPLY_TO_MAX];
	uint16_t port = copse_address_port(&device->address);
	bool named = device->known;
	uint32_t items = 1;
	size_t len = named ? put_labels(host, device->name, &items) : put_ip(host, &device->address), n = 0;
	bool says_port = !named && port != COPSE_PORT;

	out[n++] = CBOR_ARRAY | 2;
	out[n++] = 0x20;
	n += put_uint(out + n, CBOR_ARRAY, items + says_port);
	memcpy(out + n, host, len);
	n += len;
	if (says_port)
		n += put_uint(out + n, 0, port);
	return n;
}

/* A message to the client, under its token. */
static void tell(struct gw_worker *w, struct group_request *g, uint8_t code, size_t len, copse_ms now)
{
	const struct copse_out out = {.code = code, .con = g->con, .rest = w->out, .rest_len = len};
	copse_handle exchange;

	if (g->no_response & 1u << (copse_code_class(code) - 1)) { /* RFC 7967 §2.1 */
		w->counters.answers_unwanted++;
		return;
	}
	if (copse_endpoint_notify(w->ep, &g->client, g->token, g->token_len, &out, g, now, &exchange, NULL) !=
	    0) {
		w->counters.answers_lost++;
		return;
	}
	g->unacked += g->con;
}

/* A client that may not ask the device gets no answer of it by way of the group either. */
static bool may_hear(struct gw_worker *w, const struct gw_session *s, const struct gw_target *device)
{
	return !device->denied &&
	       !gw_access_denies(w->config, s->account, &w->upstream, device->name, device->alias) &&
	       gw_grant_allows(gw_grants_at(w->grants, s->grant), &w->upstream, device->name, device->alias);
}

/* RFC 7252 §5.9.1: as if the device had been asked by itself. */
static void forget_stored(struct gw_worker *w, const struct gw_session *s, const struct copse_event *event,
			  copse_ms now)
{
	const struct gw_key_scope scope = {.device = event->peer, .account = NULL, .secure = s->secure};
	struct gw_cache_key key;

	if (copse_code_is_safe(w->upstream.code) || !copse_code_is_success(event->message->code))
		return;
	gw_cache_key_make(&w->keys, &w->upstream, &scope, &key);
	gw_proxy_invalidate(w, key.uri, now);
	gw_cross_invalidate(w, key.uri);
}

/* Into w->out: the answer with its origin. Returns its length, or < 0. */
static int build(struct gw_worker *w, const struct copse_message *m, const struct gw_target *device)
{
	uint8_t cri[GW_REPLY_TO_MAX];
	struct copse_builder b;

	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_raw(&b, COPSE_OPTION_REPLY_TO, cri, gw_reply_to(device, cri));
	if (gw_options_response(m, w->name, &b).code)
		return -1;
	return copse_build_finish(&b);
}

static void pass_on(struct gw_worker *w, struct group_request *g, const struct copse_event *event,
		    copse_ms now)
{
	const struct gw_session *s = gw_sessions_at(w->sessions, g->session, g->generation);
	struct gw_target device;

	if (!s) { /* nobody knows any more what its client may hear */
		close_request(w, g, now);
		return;
	}
	gw_resolve_peer(w->config, event->peer, &device);
	if (copse_message_parse(&w->upstream, g->message, g->message_len) != 0)
		return;
	forget_stored(w, s, event, now);
	if (!may_hear(w, s, &device)) {
		w->counters.group_denied++;
		return;
	}
	int n = build(w, event->message, &device);
	if (n < 0 || g->left == 0) {
		w->counters.group_unfit += g->wanted;
		return;
	}
	g->left--;
	g->passed++;
	w->counters.group_answers++;
	tell(w, g, event->message->code, (size_t)n, now);
}

/* The time is over. Who waits for an answer and got none is told so. */
static void end(struct gw_worker *w, struct group_request *g, copse_ms now)
{
	static const char text[] = "no device of the group answered";
	struct copse_builder b;

	if (g->passed == 0 && g->wanted && gw_sessions_at(w->sessions, g->session, g->generation)) {
		w->counters.group_silent++;
		copse_build_rest(&b, w->out, w->rest_cap);
		copse_build_payload(&b, text, sizeof(text) - 1);
		tell(w, g, COPSE_CODE_GATEWAY_TIMEOUT, (size_t)copse_build_finish(&b), now);
	}
	close_request(w, g, now);
}

/* The client has acknowledged an answer, or never will. */
static void delivered(struct gw_worker *w, struct group_request *g, const struct copse_event *event,
		      copse_ms now)
{
	if (event->kind == COPSE_EVENT_ACKED)
		w->counters.answers_delivered++;
	else
		w->counters.answers_undelivered++;
	g->unacked--;
	if (g->state == GROUP_CLOSING && g->unacked == 0)
		give_back(w, g);
	else if (g->state == GROUP_OPEN && event->kind == COPSE_EVENT_FAILED)
		close_request(w, g, now);
}

bool gw_group_event(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	uintptr_t at = (uintptr_t)event->user, first = (uintptr_t)w->groups->request;

	if (at < first || at >= (uintptr_t)(w->groups->request + GW_GROUPS_MAX))
		return false;
	struct group_request *g = event->user;
	if (event->kind == COPSE_EVENT_RESPONSE) {
		pass_on(w, g, event, now);
	} else if (g->upstream && event->exchange == g->upstream) {
		g->upstream = COPSE_NO_HANDLE;
		end(w, g, now);
	} else if (g->con && g->unacked > 0) {
		delivered(w, g, event, now);
	}
	return true;
}

void gw_groups_expire(struct gw_worker *w, copse_ms now)
{
	struct gw_groups *t = w->groups;

	if (t->next > now)
		return;
	t->next = COPSE_NEVER;
	for (unsigned i = 0; i < GW_GROUPS_MAX; i++) {
		struct group_request *g = &t->request[i];
		if (g->state == GROUP_OPEN && g->ends <= now)
			end(w, g, now);
		else if (g->state == GROUP_OPEN && g->ends < t->next)
			t->next = g->ends;
	}
}

void gw_groups_close(struct gw_worker *w, copse_ms now)
{
	for (unsigned i = 0; i < GW_GROUPS_MAX; i++)
		if (w->groups->request[i].state == GROUP_OPEN)
			end(w, &w->groups->request[i], now);
}

/* --- asking --- */

/* The draft's §5.2.1: the client must say that it can take several answers, and is told how. */
static enum gw_step want_timeout(struct gw_pass *p)
{
	static const char text[] =
	    "a request to a group needs Multicast-Timeout, the seconds to wait for answers";
	struct gw_worker *w = p->w;
	struct copse_builder b;

	w->counters.refused_group++;
	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_uint(&b, COPSE_OPTION_MULTICAST_TIMEOUT, 0);
	copse_build_payload(&b, text, sizeof(text) - 1);
	return gw_proxy_respond(p, COPSE_CODE_BAD_REQUEST, (size_t)copse_build_finish(&b));
}

static void fill(struct gw_pass *p, struct group_request *g, uint32_t seconds)
{
	struct gw_worker *w = p->w;
	const struct gw_group *group = p->target.group;
	size_t token_len = sizeof(g->token);

	copse_endpoint_exchange_info(w->ep, p->client, &g->client, g->token, &token_len, NULL);
	g->token_len = (uint8_t)token_len;
	g->con = p->m->type == COPSE_CON;
	g->no_response = p->no_response;
	g->session = gw_sessions_number(w->sessions, p->session);
	g->generation = p->session->generation;
	g->wanted = seconds > 0;
	g->left = seconds > 0 ? group->answers : 0;
	/* where nobody waits, what the devices say is still of use: it tells what has changed */
	g->ends =
	    p->now + 1000 * (copse_ms)(seconds == 0 || seconds > group->timeout ? group->timeout : seconds);
	g->message_len = p->message_len;
	memcpy(g->message, w->out, p->message_len);
	gw_cross_pending(w, p->session, 1);
	if (g->ends < w->groups->next)
		w->groups->next = g->ends;
}

enum gw_step gw_group_forward(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	const struct copse_option *o = copse_message_option(p->m, COPSE_OPTION_MULTICAST_TIMEOUT);
	const struct copse_out out = {.code = p->m->code,
				      .rest = w->out + COPSE_HEADER_LEN,
				      .rest_len = p->message_len - COPSE_HEADER_LEN};

	if (!o)
		return want_timeout(p);
	if (w->ending)
		return gw_proxy_refuse_ending(p);
	copse_ms wait =
	    gw_rates_take(w->device_rates, p->device.key, p->device.len, &p->target.group->rate, p->now);
	if (wait)
		return gw_proxy_refuse_rate(p, &w->counters.refused_device_rate, wait,
					    "too many requests for this group");
	struct group_request *g = take(w->groups);
	if (!g)
		return gw_proxy_refuse_busy(p, "too many requests to groups are under way");
	fill(p, g, copse_option_uint(p->m, o));
	/* RFC 7252 §8.1: never confirmable */
	if (copse_endpoint_request(w->ep, &p->to, &out, COPSE_REQUEST_MANY, g, p->now, &g->upstream) != 0) {
		give_back(w, g);
		return gw_proxy_refuse_busy(p, "too many requests are under way");
	}
	w->counters.group_requests++;
	copse_endpoint_ignore(w->ep, p->client, p->now); /* acknowledged: answers are messages of their own */
	return GW_STEP_FREE;
}
