/* See worker.h: what a worker is made of, and where events go.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "group.h"
#include "proxy_mail.h"
#include "proxy_pass.h"
#include "worker_cross.h"

#include <copse/host.h>
#include <copse/mem.h>

#include <string.h>

bool gw_bucket_take(struct gw_bucket *bucket, uint32_t rate, copse_ms now)
{
	uint64_t full = (uint64_t)rate * 1000, left = bucket->left;

	left += (now - bucket->at < 1000 ? now - bucket->at : 1000) * rate;
	if (left > full)
		left = full;
	bucket->at = now;
	bucket->left = (uint32_t)left;
	if (left < 1000)
		return false;
	bucket->left -= 1000;
	return true;
}

#define REMEMBERED_MAX (UINT32_C(1) << 28) /* messages; an endpoint numbers its records by thirty bits */

/* Confirmable notifications under way: more of them wait. */
static uint32_t notifying_max(const struct gw_config *config, unsigned workers)
{
	return gw_cross_share(workers, config->observers_max < 8192 ? config->observers_max : 8192);
}

/* Each request has at most one exchange of ours under way, and as many bytes as the largest message: so what has been
 * accepted never finds the endpoint full. Messages of clients are remembered for longer than requests take. */
void gw_worker_endpoint_config(const struct gw_config *config, unsigned workers, unsigned worker,
			       struct copse_config *out)
{
	const uint32_t requests = gw_cross_share(workers, config->requests_max);
	uint32_t pieces = (config->max_message + COPSE_HEADER_LEN + COPSE_TOKEN_MAX) / COPSE_CHUNK + 1;
	/* for answers of the local server that are messages of their own, and for notifications */
	uint32_t spare = 1024 + notifying_max(config, workers);

	while (workers > out->id_mask + 1u)
		out->id_mask = (uint16_t)(out->id_mask * 2 + 1);
	out->id_tag = (uint16_t)worker;

	out->group[GW_GROUP_CLIENTS] = config->clients;
	out->group[GW_GROUP_MESH] = config->mesh;
	out->group_n = config->group_n;
	for (unsigned i = GW_GROUP_CLASSES; i < config->group_n; i++)
		out->group[i] = config->groups[i];
	/* an observation keeps its exchange with the device open */
	out->exchange_cap = requests + gw_cross_share(workers, config->observations_max) + spare;
	/* Clients that all come at once each have a session opened by POST, which is not forgotten before its time. */
	out->incoming_cap =
	    gw_cross_share(workers, 65536 > config->sessions_max ? 65536 : config->sessions_max) +
	    4 * requests;
	const size_t wanted = config->remembered_bytes / workers / copse_endpoint_incoming_bytes();
	if (wanted > out->incoming_cap)
		out->incoming_cap = wanted > REMEMBERED_MAX ? REMEMBERED_MAX : (uint32_t)wanted;
	out->peer_cap = out->exchange_cap;
	out->chunk_cap = (requests + spare) * pieces + 65536;
	out->reply_cap = 4096;
}

static bool make_requests(struct gw_worker *w)
{
	w->requests_max = gw_cross_share(w->workers, w->config->requests_max);
	w->requests = copse_mem_new(w->requests_max, sizeof(*w->requests));
	if (!w->requests)
		return false;
	for (uint32_t i = w->requests_max; i > 0; i--) {
		w->requests[i - 1].magic = GW_REQUEST_MAGIC;
		w->requests[i - 1].next_free = w->requests_free;
		w->requests_free = i;
	}
	return true;
}

static bool make_buffers(struct gw_worker *w)
{
	w->rest_cap = w->config->max_message;
	w->out_cap = COPSE_HEADER_LEN + w->rest_cap;
	w->out = copse_mem_new(w->out_cap, 1);
	w->stored = copse_mem_new(w->out_cap, 1);
	w->keys.scratch_cap = w->out_cap + GW_KEY_SCRATCH;
	w->scratch = copse_mem_new(w->keys.scratch_cap, 1);
	w->keys.scratch = w->scratch;
	copse_host_random(w->keys.secret, sizeof(w->keys.secret));
	if (w->cross)
		memcpy(w->keys.secret, gw_crossing_secret(w->cross), sizeof(w->keys.secret));
	return w->out && w->stored && w->scratch;
}

#define RATES_MAX 65536 /* buckets of accounts, and of devices; beyond, see rate.h */

static bool make_policy(struct gw_worker *w)
{
	uint32_t sessions = w->config->sessions_max;
	uint64_t key[2];

	copse_host_random(key, sizeof(key));
	w->grants = gw_grants_new(w->config->grants_max, key);
	w->account_rates = gw_rates_new(sessions < RATES_MAX ? sessions : RATES_MAX, key);
	w->device_rates = gw_rates_new(RATES_MAX, key);
	if (!w->grants || !w->account_rates || !w->device_rates)
		return false;
	gw_sessions_hash_by(w->sessions, w->ep);
	gw_sessions_set_grants(w->sessions, w->grants);
	if (w->cross)
		gw_sessions_share(w->sessions, gw_crossing_used(w->cross));
	return true;
}

static bool make_cache(struct gw_worker *w)
{
	const struct gw_lane_bounds bounds = {.requests = w->requests_max,
					      .waiting = gw_cross_share(w->workers, w->config->waiting_max),
					      .steps = gw_cross_share(w->workers, w->config->transfers_max),
					      .message_len = w->config->max_message};
	const struct gw_observe_bounds observe = {
	    .observations = gw_cross_share(w->workers, w->config->observations_max),
	    .observers = gw_cross_share(w->workers, w->config->observers_max),
	    .message_len = w->config->max_message};
	uint64_t key[2];

	copse_host_random(key, sizeof(key));
	w->cache = gw_cache_new(gw_cross_share(w->workers, w->config->cache_entries),
				(w->config->cache_bytes + w->workers - 1) / w->workers, key);
	w->memo = gw_memo_new(2 * gw_cross_share(w->workers, w->config->cache_entries), key);
	w->flights = gw_flights_new(w->requests_max, key);
	w->lanes = gw_lanes_new(&bounds, key);
	if (w->lanes)
		gw_lanes_hash_by(w->lanes, w->ep);
	w->observations = gw_observations_new(&observe, key);
	w->notifying_max = notifying_max(w->config, w->workers);
	/* Who registers again under the same token, with another observation or after a restart of ours, may compare:
	 * what comes then has to be newer. A clock (RFC 7641 §4.4), sixteen times a second to be ahead of what was sent. */
	w->observe_sequence = (uint32_t)(w->around.wall(w->around.self) * 16) & 0xffffffu;
	if (w->cross && w->number == GW_FIRST)
		gw_crossing_begin_sequence(w->cross, w->observe_sequence);
	w->groups = gw_groups_new(w->config->max_message);
	copse_host_random(&w->next_tag, sizeof(w->next_tag));
	w->transfers =
	    gw_transfers_new(gw_cross_share(w->workers, w->config->transfers_max), w->out_cap, key);
	if (w->memo)
		gw_memory_begin(w);
	w->gathers = gw_gathers_new(gw_cross_share(w->workers, w->config->transfers_max), w->out_cap);
	return w->memo && w->cache && w->flights && w->lanes && w->observations && w->groups &&
	       w->transfers && w->gathers;
}

struct gw_worker *gw_worker_new(const struct gw_config *config, const struct gw_surroundings *surroundings,
				struct copse_endpoint *ep, copse_ms now)
{
	struct gw_worker *w = copse_mem_new(1, sizeof(*w));
	uint64_t key[2];

	if (!w)
		return NULL;
	w->magic = GW_WORKER_MAGIC;
	w->config = config;
	w->around = *surroundings;
	w->ep = ep;
	w->cross = surroundings->cross;
	w->number = surroundings->worker;
	w->workers = w->cross ? gw_crossing_workers(w->cross) : 1;
	w->verifications.at = now;
	w->verifications.left = config->token.rate * 1000;
	memcpy(w->name, config->name, sizeof(w->name));
	w->ends_at = COPSE_NEVER;
	w->group_n = config->group_n;
	copse_host_random(key, sizeof(key));
	w->sessions = gw_sessions_new(config->sessions_max, config->session_idle_ms, key);
	if (!w->sessions || !make_policy(w) || !make_requests(w) || !make_buffers(w) || !make_cache(w) ||
	    !gw_local_new(w, now)) {
		gw_worker_free(w);
		return NULL;
	}
	copse_endpoint_forwards(ep, true);
	return w;
}

void gw_worker_free(struct gw_worker *w)
{
	if (!w)
		return;
	COPSE_ASSERT(w->magic == GW_WORKER_MAGIC);
	w->magic = 0;
	if (w->server)
		copse_server_end(w->server);
	gw_rounds_free(w);
	gw_collector_free(w->collector);
	gw_rd_free(w->rd);
	gw_sessions_free(w->sessions);
	copse_mem_free(w->requests);
	copse_mem_free(w->out);
	copse_mem_free(w->stored);
	copse_mem_free(w->scratch);
	gw_grants_free(w->grants);
	gw_rates_free(w->account_rates);
	gw_rates_free(w->device_rates);
	gw_memo_free(w->memo);
	gw_cache_free(w->cache);
	gw_flights_free(w->flights);
	gw_lanes_free(w->lanes);
	gw_observations_free(w->observations);
	gw_groups_free(w->groups);
	gw_mail_free(w);
	gw_transfers_free(w->transfers);
	gw_gathers_free(w->gathers);
	copse_mem_free(w->server_memory);
	copse_mem_free(w);
}

const struct gw_config *gw_worker_adopt(struct gw_worker *w, const struct gw_config *config, copse_ms now)
{
	const struct gw_config *old = w->config;

	w->config = config;
	w->glance.bytes = NULL;
	gw_memory_begin(w);
	if (w->collector)
		gw_collector_adopt(w->collector, config);
	if (w->rd)
		gw_rd_adopt(w->rd, config);
	w->verifications.at = now;
	gw_sessions_set_idle(w->sessions, config->session_idle_ms);
	return old;
}

static struct gw_request *request_of(struct gw_worker *w, void *user)
{
	uintptr_t at = (uintptr_t)user, first = (uintptr_t)w->requests;

	return at >= first && at < (uintptr_t)(w->requests + w->requests_max) ? user : NULL;
}

static void take_event(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	struct gw_request *r = request_of(w, event->user);
	struct gw_observation *ob = gw_observation_of(w->observations, event->user);
	struct gw_observer *o = gw_observer_of(w->observations, event->user);

	if (r)
		gw_proxy_event(w, r, event, now);
	else if (ob)
		gw_observe_event(w, ob, event, now);
	else if (o)
		gw_observer_event(w, o, event, now);
	else if (gw_mail_event(w, event))
		return;
	else if (event->kind == COPSE_EVENT_UNASKED)
		gw_collector_unasked(w->collector, event, now);
	else if (gw_group_event(w, event, now))
		return;
	else if (event->kind == COPSE_EVENT_RESET && gw_observe_reset(w, event, now))
		return;
	else if (event->kind == COPSE_EVENT_REQUEST && gw_proxy_is_for(event->message))
		gw_proxy_request(w, event, now);
	else if (event->kind == COPSE_EVENT_REQUEST)
		gw_local_request(w, event, now);
	else if (copse_server_take(w->server, event, now) == COPSE_ERR_UNMATCHED && w->rd)
		gw_rd_event(w->rd, event, now);
}

/* Whether it shows that its peer sends. */
static bool is_sign_of_life(const struct copse_event *event)
{
	return event->kind != COPSE_EVENT_FAILED || event->error == COPSE_ERR_RESET;
}

void gw_worker_event(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	COPSE_ASSERT(w->magic == GW_WORKER_MAGIC);
	const bool heard = w->mailbox && gw_mailbox_count(w->mailbox) > 0 && is_sign_of_life(event);
	const struct copse_peer from = heard ? *event->peer : (struct copse_peer){0};

	w->published_as[0] = 0;
	take_event(w, event, now);
	if (heard)
		gw_mail_heard(w, &from, w->published_as, now);
	gw_block_expire(w, now);
	w->glance.bytes = NULL;
}

void gw_worker_gone(struct gw_worker *w, const struct copse_peer *peer, copse_ms now)
{
	struct gw_session *s = gw_sessions_find(w->sessions, peer, now);
	char text[GW_PEER_TEXT];

	w->glance.bytes = NULL;
	if (!gw_cross_is_first(w))
		gw_cross_gone(w, peer);
	if (!s || !gw_cross_is_first(w))
		return;
	w->counters.sessions_gone++;
	gw_log(w->around.log, GW_LOG_INFO, "sessions", "ended with its association", {"account", s->account},
	       {"peer", copse_peer_text(peer, text, sizeof(text))});
	if (!gw_cross_has_room(w)) {
		gw_sessions_end(w->sessions, s, now);
		return;
	}
	gw_sessions_close(w->sessions, s);
	gw_cross_closed(w, peer);
}

void gw_worker_woken(struct gw_worker *w, copse_ms now)
{
	if (w->collector)
		gw_collector_done(w->collector, now);
}

/* The first worker ends sessions for all. */
static copse_ms sessions_deadline(const struct gw_worker *w)
{
	copse_ms at = gw_cross_is_first(w) ? gw_sessions_deadline(w->sessions) : COPSE_NEVER;

	return at < w->close_again ? w->close_again : at;
}

#define CLOSE_AGAIN_MS 100 /* until there may be room to tell the others */

static void expire_sessions(struct gw_worker *w, copse_ms now)
{
	struct gw_session ended;
	char peer[GW_PEER_TEXT];

	if (sessions_deadline(w) > now)
		return;
	while (gw_cross_has_room(w)) {
		if (!gw_sessions_expire(w->sessions, now, &ended))
			return;
		w->counters.sessions_expired++;
		gw_log(w->around.log, GW_LOG_INFO, "sessions", "expired", {"account", ended.account},
		       {"peer", copse_peer_text(&ended.peer, peer, sizeof(peer))});
		gw_cross_closed(w, &ended.peer);
	}
	w->close_again = now + CLOSE_AGAIN_MS;
}

copse_ms gw_worker_deadline(const struct gw_worker *w)
{
	const copse_ms at[] = {sessions_deadline(w),
			       copse_server_deadline(w->server),
			       gw_observations_deadline(w->observations),
			       gw_block_deadline(w),
			       gw_groups_deadline(w->groups),
			       gw_mail_deadline(w),
			       w->ends_at,
			       w->rd ? gw_rd_deadline(w->rd) : COPSE_NEVER,
			       w->collector ? gw_collector_deadline(w->collector) : COPSE_NEVER};
	copse_ms first = COPSE_NEVER;

	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++)
		first = at[i] < first ? at[i] : first;
	return first;
}

void gw_worker_expire(struct gw_worker *w, copse_ms now)
{
	expire_sessions(w, now);
	gw_observe_expire(w, now);
	gw_groups_expire(w, now);
	gw_mail_expire(w, now);
	if (w->rd)
		gw_rd_expire(w->rd, now);
	if (w->collector)
		gw_collector_expire(w->collector, now);
	gw_block_expire(w, now);
	if (copse_server_deadline(w->server) <= now)
		copse_server_expire(w->server, now);
	if (w->ends_at > now)
		return;
	w->ends_at = COPSE_NEVER;
	w->overdue = true;
}

void gw_worker_end(struct gw_worker *w, copse_ms now)
{
	COPSE_ASSERT(w->magic == GW_WORKER_MAGIC);
	w->ending = true;
	w->ends_at = now + w->config->drain_ms;
}

bool gw_worker_has_ended(const struct gw_worker *w)
{
	return w->overdue || (w->requests_used == 0 && gw_groups_count(w->groups) == 0 &&
			      copse_server_deferred(w->server) == 0);
}

void gw_worker_close(struct gw_worker *w, copse_ms now)
{
	COPSE_ASSERT(w->magic == GW_WORKER_MAGIC);
	gw_mail_close(w, now);
	gw_groups_close(w, now);
	gw_proxy_close(w, now);
}

const struct gw_counters *gw_worker_counters(const struct gw_worker *w)
{
	return &w->counters;
}

void gw_worker_usage(const struct gw_worker *w, struct gw_usage *usage)
{
	usage->sessions = gw_cross_is_first(w) ? gw_sessions_count(w->sessions) : 0;
	usage->requests = w->requests_used;
}
