/* Shared observations (RFC 7641 §5): one registration at a device for all clients that observe the same.
 *
 * Every client that begins to observe lets the registration be sent again, under the gateway's own token, so that
 * it gets a fresh answer and the device is known to know; clients that come while that is under way share its
 * answer. What the device says goes to all observers, each under its own token. A state that has become stale is
 * asked for by registering anew. The last observer to leave cancels the registration; when the device's lane is
 * busy then, that waits for it.
 *
 * What OSCORE protects is one client's: nobody joins, and nothing of it is ever said again in its name, for that would be a
 * replay. Registering anew and cancelling are the client's own messages, under the token of the registration (RFC 8613
 * §4.1.3.5); where it leaves without a word the device is told by a Reset when it next notifies.
 *
 * An observation is about the device it was made for; a session that ended, or has moved to another address, has no
 * observers any more: that is noticed when they are next told something. The states are drawn in
 * doc/states/proxy-observe.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "access.h"
#include "proxy_pass.h"
#include "visible.h"
#include "worker_cross.h"

#include <copse/block.h>

#include <string.h>

#define REGISTER 0u
#define CANCEL   1u

#define RETRY_MS       500 /* until the lane of a device is tried again */
#define ROOM_MS        20  /* until there may be room for more notifications */
#define LATE_MS        1000
#define LATE_SPREAD_MS 3000
#define FRESH_MS       128000 /* RFC 7641 §3.4: after that long every notification is newer */
#define CONFIRM_S      86400  /* RFC 7641 §4.5: each observer is told confirmably once a day at least */
#define SEQUENCE_MASK  0xffffffu

static uint32_t number_of(const struct gw_worker *w, const struct gw_request *r)
{
	return (uint32_t)(r - w->requests) + 1;
}

static struct gw_request *leader_of(const struct gw_worker *w, const struct gw_observation *ob)
{
	return ob->leader ? &w->requests[ob->leader - 1] : NULL;
}

/* ---- ends ---- */

static void settle(struct gw_worker *w, struct gw_observation *ob, copse_ms now);

static void forget_notification(struct gw_worker *w, struct gw_observer *o)
{
	w->notifying -= o->notified != COPSE_NO_HANDLE;
	o->notified = COPSE_NO_HANDLE;
}

static void free_observer(struct gw_worker *w, struct gw_observer *o, copse_ms now)
{
	if (o->notified != COPSE_NO_HANDLE)
		copse_endpoint_cancel(w->ep, o->notified, now);
	forget_notification(w, o);
	if (o->request)
		w->requests[o->request - 1].observer = 0;
	const struct gw_session *s = gw_sessions_at(w->sessions, o->session, o->generation);
	gw_observer_free(w->observations, o);
	gw_cross_observers(w, s);
}

/* One client less. */
static void leave(struct gw_worker *w, struct gw_observer *o, uint64_t *counter, copse_ms now)
{
	struct gw_observation *ob = gw_observer_observation(w->observations, o);

	++*counter;
	free_observer(w, o, now);
	settle(w, ob, now);
}

static void drop(struct gw_worker *w, struct gw_observation *ob, copse_ms now)
{
	copse_endpoint_cancel(w->ep, ob->device, now);
	gw_observation_free(w->observations, ob);
}

/* After a change: what is the observation's next occasion? Without observers the device is to be told. */
static void settle(struct gw_worker *w, struct gw_observation *ob, copse_ms now)
{
	if (ob->leader)
		return; /* its answer is the next occasion */
	if (gw_observation_observers(ob)) {
		gw_observation_set(w->observations, ob,
				   gw_observation_behind(ob) ? now + ROOM_MS : ob->expires);
	} else if (ob->device == COPSE_NO_HANDLE) {
		gw_observation_free(w->observations, ob);
	} else if (ob->sealed) {
		drop(w, ob, now);
	} else {
		ob->leaving = true;
		gw_observation_hide(w->observations, ob);
		gw_observation_set(w->observations, ob, now);
	}
}

/* ---- telling observers ---- */

static bool is_confirmable(const struct gw_observer *o, copse_ms now)
{
	return o->con || (uint32_t)(now / 1000) - o->con_at >= CONFIRM_S;
}

static int notify(struct gw_worker *w, struct gw_observer *o, const struct copse_out *out, copse_ms now)
{
	int err = COPSE_ERR_GONE;
	uint16_t id;

	if (o->notified != COPSE_NO_HANDLE)
		err = copse_endpoint_replace(w->ep, o->notified, out, now);
	if (err != COPSE_ERR_GONE) {
		w->counters.notifications_replaced += err == 0;
		return err;
	}
	forget_notification(w, o);
	if (out->con && w->notifying >= w->notifying_max)
		return COPSE_ERR_NOROOM;
	err = copse_endpoint_notify(w->ep, &o->peer, o->token, o->token_len, out, o, now,
				    out->con ? &o->notified : NULL, &id);
	if (err)
		return err;
	w->counters.notifications++;
	w->notifying += out->con;
	if (out->con)
		o->con_at = (uint32_t)(now / 1000);
	else
		gw_observer_tell(o, id);
	return 0;
}

/* Whether the client that began to observe still has its session at the same address. */
static bool is_at_home(struct gw_worker *w, const struct gw_observer *o)
{
	const struct gw_session *s = gw_sessions_at(w->sessions, o->session, o->generation);

	return s && copse_peer_equal(&s->peer, &o->peer);
}

/* Whether its session may still ask for what it observes: another token has come since, or another configuration. */
static bool may_hear(struct gw_worker *w, const struct gw_observation *ob, struct gw_observer *o)
{
	const struct gw_session *s = gw_sessions_at(w->sessions, o->session, o->generation);
	const uint32_t rights = (uint32_t)gw_rights(w, s);
	struct gw_target target;
	struct copse_message m;
	struct copse_builder b;

	if (o->rights == rights)
		return true;
	copse_build_message(&b, w->scratch, w->out_cap, COPSE_CON, ob->method, 0, "", 0);
	copse_build_options(&b, ob->request, ob->options_len);
	const int n = copse_build_finish(&b);
	COPSE_ASSERT(n > 0 && copse_message_parse(&m, w->scratch, (size_t)n) == 0); /* it was built before */
	gw_resolve_peer(w->config, &ob->peer, &target);
	if (target.denied || gw_access_denies(w->config, s->account, &m, ob->name, ob->alias) ||
	    !gw_grant_allows(gw_grants_at(w->grants, s->grant), &m, ob->name, ob->alias))
		return false;
	o->rights = rights;
	return true;
}

/* RFC 7252 §5.9.2.2 in a last notification: to the address that had the session. */
static void send_away(struct gw_worker *w, struct gw_observer *o, uint8_t code, copse_ms now)
{
	static const char home[] = "\xff"
				   "the session has ended or moved: observe again";
	static const char rule[] = "\xff"
				   "this request is no longer allowed";
	const bool denied = code == COPSE_CODE_FORBIDDEN;
	const struct copse_out out = {.code = code,
				      .con = o->con,
				      .rest = (const uint8_t *)(denied ? rule : home),
				      .rest_len = (denied ? sizeof(rule) : sizeof(home)) - 1};
	char peer[GW_PEER_TEXT];

	gw_log(w->around.log, GW_LOG_INFO, "observe",
	       denied ? "no longer allowed" : "not carried over to another session or address",
	       {"peer", copse_peer_text(&o->peer, peer, sizeof(peer))});
	if (notify(w, o, &out, now))
		w->counters.notifications_lost++;
	w->counters.observers_homeless++;
	w->notifying -= o->notified != COPSE_NO_HANDLE; /* it goes on without us */
	o->notified = COPSE_NO_HANDLE;
	free_observer(w, o, now);
}

/* For how long the state has been true already, in seconds, rounded up: no observer is to take it for fresh any longer
 * than the device has said. */
static uint8_t age_of(const struct gw_observation *ob, copse_ms now)
{
	copse_ms s = (now - ob->heard + 999) / 1000;

	return s < UINT8_MAX ? (uint8_t)s : UINT8_MAX;
}

/* Serve who is behind, as far as there is room. */
static void pump(struct gw_worker *w, struct gw_observation *ob, copse_ms now)
{
	struct gw_observer *o;

	while ((o = gw_observation_behind(ob)) != NULL) {
		const struct copse_out out = {.code = ob->code,
					      .con = is_confirmable(o, now),
					      .age_s = age_of(ob, now),
					      .rest = ob->state,
					      .rest_len = ob->state_len};
		if (!is_at_home(w, o) || !may_hear(w, ob, o)) {
			send_away(w, o, is_at_home(w, o) ? COPSE_CODE_FORBIDDEN : COPSE_CODE_UNAUTHORIZED,
				  now);
			continue;
		}
		if (notify(w, o, &out, now)) {
			w->counters.notifications_waited++;
			break;
		}
		gw_observer_idle(w->observations, o);
	}
	settle(w, ob, now);
}

/* The state is the last one: everybody is told, and nobody observes any more. */
static void end_all(struct gw_worker *w, struct gw_observation *ob, copse_ms now)
{
	struct gw_observer *o;

	w->counters.observe_ended += gw_observation_observers(ob) > 0;
	while ((o = gw_observation_any(ob)) != NULL) {
		const struct copse_out out = {
		    .code = ob->code, .con = o->con, .rest = ob->state, .rest_len = ob->state_len};
		if (notify(w, o, &out, now))
			w->counters.notifications_lost++;
		w->notifying -= o->notified != COPSE_NO_HANDLE; /* it goes on without us */
		o->notified = COPSE_NO_HANDLE;
		free_observer(w, o, now);
	}
}

/* An error of the gateway's own as the last state. */
static void end_by_error(struct gw_worker *w, struct gw_observation *ob, uint8_t code, const char *text,
			 copse_ms now)
{
	struct copse_builder b;

	copse_build_rest(&b, ob->state, w->rest_cap);
	copse_build_payload(&b, text, strlen(text));
	ob->state_len = (uint16_t)copse_build_finish(&b);
	ob->code = code;
	end_all(w, ob, now);
}

/* ---- what the device says ---- */

static bool says_observed(const struct copse_message *m)
{
	return copse_code_is_success(m->code) && copse_message_option(m, COPSE_OPTION_OBSERVE);
}

/* RFC 7641 §3.4 */
static bool is_newer(const struct gw_observation *ob, uint32_t sequence, copse_ms now)
{
	const uint32_t ahead = (sequence - ob->sequence) & SEQUENCE_MASK;

	return (ahead > 0 && ahead < 1u << 23) || now > ob->heard + FRESH_MS;
}

/* How long after Max-Age a state is asked for again. Devices that notify once in every Max-Age are always a little late:
 * they need not be asked. RFC 7641 §3.3.1 recommends 5 to 15 s at random; observers may wait no longer than that
 * themselves, so that we are earlier, each observation by another time. */
static copse_ms late_ms(const struct gw_observation *ob)
{
	return LATE_MS + (copse_ms)(ob->key.id[0] % LATE_SPREAD_MS);
}

/* Make the device's word `p->m` the observation's state, as it goes to observers. Returns what is wrong with it. */
static struct gw_refusal take_state(struct gw_pass *p, struct gw_observation *ob)
{
	const bool observed = says_observed(p->m);
	const uint32_t max_age = copse_message_uint(p->m, COPSE_OPTION_MAX_AGE, COPSE_MAX_AGE_DEFAULT);
	struct gw_refusal refusal;
	struct copse_builder b;
	int n;

	copse_build_rest(&b, ob->state, p->w->rest_cap);
	if (observed) {
		p->w->observe_sequence = p->w->cross ? gw_crossing_next_sequence(p->w->cross)
						     : (p->w->observe_sequence + 1) & SEQUENCE_MASK;
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, p->w->observe_sequence);
		if (!copse_message_option(p->m, COPSE_OPTION_MAX_AGE))
			copse_build_uint(&b, COPSE_OPTION_MAX_AGE, max_age);
	}
	refusal = gw_options_response(p->m, p->w->name, &b);
	n = copse_build_finish(&b);
	if (refusal.code)
		return refusal;
	if (n < 0)
		return (struct gw_refusal){COPSE_CODE_BAD_GATEWAY,
					   "the device's answer is too large to be passed on"};
	ob->state_len = (uint16_t)n;
	ob->code = p->m->code;
	ob->registered = observed;
	ob->sequence = copse_message_uint(p->m, COPSE_OPTION_OBSERVE, 0) & SEQUENCE_MASK;
	ob->heard = p->now;
	ob->expires = ob->sealed ? COPSE_NEVER : p->now + COPSE_SECONDS(max_age) + late_ms(ob);
	if (ob->storable)
		gw_proxy_remember(p, &ob->body);
	return refusal;
}

/* The device's word ends the observation: an error, or an answer without Observe. */
static void end_by_device(struct gw_worker *w, struct gw_observation *ob, copse_ms now)
{
	end_all(w, ob, now);
	drop(w, ob, now);
}

static void take_notification(struct gw_worker *w, struct gw_observation *ob, const struct copse_event *event,
			      copse_ms now)
{
	struct gw_pass p;
	struct gw_refusal refusal;

	memset(&p, 0, offsetof(struct gw_pass, asked));
	p.w = w;
	p.event = event;
	p.m = event->message;
	p.now = now;
	w->counters.notified++;
	if (says_observed(p.m) &&
	    !is_newer(ob, copse_message_uint(p.m, COPSE_OPTION_OBSERVE, 0) & SEQUENCE_MASK, now)) {
		w->counters.notified_old++;
		return;
	}
	refusal = take_state(&p, ob);
	if (refusal.code) {
		w->counters.device_unfit++;
		end_by_error(w, ob, refusal.code, refusal.text, now);
		drop(w, ob, now);
	} else if (!ob->registered) {
		end_by_device(w, ob, now);
	} else {
		gw_observation_changed(ob);
		pump(w, ob, now);
	}
}

/* The exchange has ended though nobody has asked for it: the device has gone, or forgotten. It is asked once more. */
static void lost(struct gw_worker *w, struct gw_observation *ob, copse_ms now)
{
	if (ob->leaving) {
		gw_observation_free(w->observations, ob);
		return;
	}
	if (ob->sealed && !ob->leader) { /* only the client can */
		end_by_error(w, ob, COPSE_CODE_SERVICE_UNAVAILABLE, "the device notifies no more", now);
		drop(w, ob, now);
		return;
	}
	ob->expires = ob->sealed ? COPSE_NEVER : now;
	settle(w, ob, now);
}

void gw_observe_event(struct gw_worker *w, struct gw_observation *ob, const struct copse_event *event,
		      copse_ms now)
{
	struct gw_request *r = leader_of(w, ob);

	if (event->exchange != ob->device)
		return;
	if (event->kind == COPSE_EVENT_FAILED)
		ob->device = COPSE_NO_HANDLE;
	if (ob->leaving && event->kind == COPSE_EVENT_RESPONSE && event->message->type != COPSE_ACK &&
	    says_observed(event->message))
		return; /* a notification that was under way when we left */
	if (r && r->step == GW_STEP_WAIT)
		gw_proxy_event(w, r, event, now);
	else if (event->kind == COPSE_EVENT_FAILED)
		lost(w, ob, now);
	else if (!ob->leaving)
		take_notification(w, ob, event, now);
}

/* ---- clients that begin ---- */

/* The client of `r` observes from now on. */
static void promote(struct gw_worker *w, struct gw_observation *ob, struct gw_request *r, copse_ms now)
{
	uint8_t token[COPSE_TOKEN_MAX];
	struct copse_peer peer;
	struct gw_observer *o;
	size_t token_len;

	if (!r->observe)
		return;
	r->observe = false;
	w->observers_reserved--;
	if (copse_endpoint_exchange_info(w->ep, r->client, &peer, token, &token_len, NULL))
		return;
	o = gw_observer_find(w->observations, &peer, token, token_len);
	if (o && gw_observer_observation(w->observations, o) != ob) {
		leave(w, o, &w->counters.observers_left, now);
		o = NULL;
	}
	if (!o) {
		o = gw_observer_new(w->observations, ob, &peer, token, token_len);
		gw_cross_observes(w, &peer, token, token_len);
	}
	if (!o)
		return;
	gw_observer_idle(w->observations, o);
	o->con = r->con;
	o->con_at = (uint32_t)(now / 1000);
	o->session = r->session & 0xffffff;
	o->generation = r->generation;
	o->rights = r->rights;
	gw_cross_observers(w, gw_sessions_at(w->sessions, o->session, o->generation));
	if (o->request)
		w->requests[o->request - 1].observer = 0;
	o->request = r->acknowledged ? number_of(w, r) : 0;
	r->observer = r->acknowledged ? gw_observer_number(w->observations, o) : 0;
}

static void promote_all(struct gw_worker *w, struct gw_observation *ob, struct gw_request *r, copse_ms now)
{
	uint32_t number = r->joined;

	promote(w, ob, r, now);
	while (number) {
		promote(w, ob, &w->requests[number - 1], now);
		number = w->requests[number - 1].next_joined;
	}
}

/* The answer to the request that cancels: the client's who asked for it, or our own. */
static enum gw_step answer_farewell(struct gw_pass *p, struct gw_observation *ob)
{
	struct gw_worker *w = p->w;
	struct gw_refusal refusal;
	struct copse_builder b;
	int n;

	w->counters.observe_cancelled++;
	drop(w, ob, p->now);
	copse_build_rest(&b, w->out, w->rest_cap);
	refusal = gw_options_response(p->m, w->name, &b);
	n = copse_build_finish(&b);
	if (refusal.code || n < 0)
		return gw_proxy_refuse(p, &w->counters.device_unfit, COPSE_CODE_BAD_GATEWAY,
				       "the device's answer cannot be passed on");
	w->counters.device_answers++;
	return gw_proxy_respond(p, p->m->code, (size_t)n);
}

/* A message of its own that is older than the state: a notification that was overtaken, and now stands for the answer, or
 * the answer of a device that has restarted? It is asked again soon. */
static bool is_doubtful(const struct gw_observation *ob, const struct copse_message *m, copse_ms now)
{
	const uint32_t sequence = copse_message_uint(m, COPSE_OPTION_OBSERVE, 0) & SEQUENCE_MASK;

	return ob->registered && m->type != COPSE_ACK && says_observed(m) && sequence != ob->sequence &&
	       !is_newer(ob, sequence, now);
}

enum gw_step gw_observe_answer(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_observation *ob = gw_observation_at(w->observations, p->r->observation);
	struct gw_refusal refusal;
	enum gw_step next;

	ob->leader = 0;
	p->r->observation = 0;
	if (ob->leaving)
		return answer_farewell(p, ob);
	const bool doubtful = is_doubtful(ob, p->m, p->now);
	refusal = take_state(p, ob);
	if (doubtful && !ob->sealed)
		ob->expires = p->now + late_ms(ob);
	if (refusal.code) {
		end_by_error(w, ob, refusal.code, refusal.text, p->now);
		drop(w, ob, p->now);
		return gw_proxy_refuse(p, &w->counters.device_unfit, refusal.code, refusal.text);
	}
	w->counters.device_answers++;
	memcpy(w->out, ob->state, ob->state_len);
	const uint16_t len = ob->state_len;
	const uint8_t code = ob->code;
	if (ob->registered) {
		w->counters.observe_registered++;
		gw_observation_changed(ob);
		promote_all(w, ob, p->r, p->now);
		next = gw_proxy_respond(p, code, len);
		pump(w, ob, p->now);
		return next;
	}
	w->counters.observe_plain++;
	end_by_device(w, ob, p->now);
	return gw_proxy_respond(p, code, len);
}

void gw_observe_left(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_observation *ob = gw_observation_at(w->observations, p->r->observation);
	const bool asked = p->event && (p->event->kind == COPSE_EVENT_FAILED);

	p->r->observation = 0;
	ob->leader = 0;
	if (asked && !ob->leaving) /* silence or rejection: an error for all (RFC 7641 §3.2) */
		end_by_error(w, ob, p->refusal.code, p->refusal.text, p->now);
	if (!asked && ob->expires < p->now + RETRY_MS) /* not even sent: beyond a rate, or for want of room */
		ob->expires = p->now + RETRY_MS;
	if (ob->leaving && !asked && !ob->sealed) /* the device is still to be told */
		gw_observation_set(w->observations, ob, p->now + RETRY_MS);
	else if (ob->leaving)
		drop(w, ob, p->now);
	else
		settle(w, ob, p->now);
}

/* ---- what clients ask ---- */

bool gw_observe_wants(const struct gw_pass *p)
{
	return copse_code_is_safe(p->m->code) && copse_message_uint(p->m, COPSE_OPTION_OBSERVE, 2) <= CANCEL;
}

static bool is_sealed(const struct gw_pass *p)
{
	return copse_message_option(&p->w->upstream, COPSE_OPTION_OSCORE) != NULL;
}

/* What cannot be shared is answered without registering: parts of a body, and long requests. */
static bool is_observable(const struct gw_pass *p)
{
	const struct copse_message *up = &p->w->upstream;
	struct copse_block b2 = {0};
	size_t len;

	copse_message_rest(up, &len);
	return copse_block_read(up, COPSE_OPTION_BLOCK2, &b2) >= 0 && b2.num == 0 &&
	       !copse_message_option(up, COPSE_OPTION_BLOCK1) && p->m->token_len <= COPSE_TOKEN_MAX &&
	       len <= GW_OBSERVE_REQUEST_MAX;
}

/* Put the request of the observation, with `observe`, into w->out: the message for the device. Returns false when
 * it does not fit. */
static bool make_request(struct gw_pass *p, uint8_t method, const uint8_t *request, size_t options_len,
			 size_t body_len, uint32_t observe)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;
	int n;

	copse_build_message(&b, w->out, COPSE_HEADER_LEN, COPSE_CON, method, 0, "", 0);
	copse_build_rest(&b, w->out + COPSE_HEADER_LEN, w->rest_cap);
	copse_build_options(&b, request, options_len);
	copse_build_uint(&b, COPSE_OPTION_OBSERVE, observe);
	copse_build_payload(&b, request + options_len, body_len);
	n = copse_build_finish(&b);
	p->message_len = COPSE_HEADER_LEN + (size_t)(n > 0 ? n : 0);
	return n >= 0;
}

/* What the observation will ask for, in w->stored: the client's request, without the ETags that it alone knows. */
static bool keep_request(struct gw_pass *p, uint32_t observe)
{
	struct gw_worker *w = p->w;
	const struct copse_message *up = &w->upstream;
	struct copse_builder b;
	int n;

	copse_build_rest(&b, w->stored, w->rest_cap);
	for (unsigned i = 0; i < up->option_n; i++) {
		const struct copse_option *o = &up->option[i];
		if (o->number != COPSE_OPTION_ETAG)
			copse_build_raw(&b, o->number, copse_option_value(up, o), o->len);
	}
	n = copse_build_finish(&b);
	if (n < 0 || (size_t)n + up->payload_len > GW_OBSERVE_REQUEST_MAX)
		return false;
	p->options_len = (uint16_t)n;
	p->body_len = (uint16_t)up->payload_len;
	if (up->payload_len)
		memcpy(w->stored + n, copse_message_payload(up), up->payload_len);
	return make_request(p, p->m->code, w->stored, p->options_len, p->body_len, observe);
}

static enum gw_step answer_plainly(uint64_t *counter)
{
	++*counter;
	return GW_STEP_LANE;
}

/* The observation that the request of its only observer registers anew; NULL: none, it is another one. */
static struct gw_observation *renewable(struct gw_pass *p, struct gw_observer *o)
{
	struct gw_observation *ob = gw_observer_observation(p->w->observations, o);

	return ob->sealed && !ob->leader && copse_peer_equal(&ob->to, &p->to) ? ob : NULL;
}

static enum gw_step begin(struct gw_pass *p, struct gw_observer *o)
{
	struct gw_worker *w = p->w;
	gw_observe_key_make(&w->keys, &w->upstream, &p->key, &p->observed);
	struct gw_observation *ob = gw_observation_find(w->observations, &p->observed);
	struct gw_request *leader = ob ? leader_of(w, ob) : NULL;

	if (is_sealed(p) && o && !ob)
		ob = renewable(p, o);
	else if (is_sealed(p) && ob) /* the same bytes once more, which the device will refuse */
		return answer_plainly(&w->counters.observe_plain);
	if (!is_observable(p))
		return answer_plainly(&w->counters.observe_plain);
	if (!o && (!gw_observers_room(w->observations, w->observers_reserved) ||
		   gw_cross_observers_of(w, p->session, w->config->session_observers) >=
		       w->config->session_observers))
		return answer_plainly(&w->counters.observe_full);
	if (!ob && !gw_observations_room(w->observations))
		return answer_plainly(&w->counters.observe_full);
	p->observe = true;
	w->counters.observe_shared += ob != NULL;
	if (leader)
		return gw_proxy_join(p, leader, false);
	if (!keep_request(p, REGISTER)) {
		p->observe = false;
		return gw_proxy_refuse(p, &w->counters.refused_large, COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
				       "the request is too large to be forwarded");
	}
	p->leads = true;
	p->observation = ob ? gw_observation_number(w->observations, ob) : 0;
	return GW_STEP_LANE;
}

/* The last observer's own request is what cancels at the device. */
static enum gw_step end(struct gw_pass *p, struct gw_observer *o)
{
	struct gw_worker *w = p->w;
	struct gw_observation *ob = gw_observer_observation(w->observations, o);

	w->counters.observers_left++;
	free_observer(w, o, p->now);
	if (gw_observation_observers(ob) || ob->leader || ob->device == COPSE_NO_HANDLE) {
		settle(w, ob, p->now);
		return GW_STEP_LANE;
	}
	ob->leaving = true;
	gw_observation_hide(w->observations, ob);
	gw_observation_set(w->observations, ob, p->now + RETRY_MS);
	if (ob->sealed ? copse_peer_equal(&ob->to, &p->to) && keep_request(p, CANCEL)
		       : make_request(p, ob->method, ob->request, ob->options_len, ob->body_len, CANCEL)) {
		p->leads = true;
		p->observation = gw_observation_number(w->observations, ob);
	}
	return GW_STEP_LANE;
}

enum gw_step gw_observe_begin(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_observer *o =
	    gw_observer_find(w->observations, p->event->peer, copse_message_token(p->m), p->m->token_len);

	if (copse_message_uint(p->m, COPSE_OPTION_OBSERVE, REGISTER) == CANCEL)
		return o ? end(p, o) : GW_STEP_LANE;
	return begin(p, o);
}

/* ---- on the way to the device ---- */

static struct gw_observation *make(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_observation *ob = gw_observation_new(w->observations, &p->observed);

	COPSE_ASSERT(ob); /* there was room when the request came, in the same breath */
	ob->body = p->key;
	ob->peer = p->device;
	ob->to = p->to;
	memcpy(ob->name, p->target.name, sizeof(ob->name));
	memcpy(ob->alias, p->target.alias, sizeof(ob->alias));
	ob->lane = p->target.class->lane;
	ob->rate = p->target.class->rate;
	ob->method = p->m->code;
	ob->sealed = is_sealed(p);
	ob->storable = p->target.class->cache != GW_SHARE_NOTHING && !ob->sealed;
	ob->options_len = p->options_len;
	ob->body_len = p->body_len;
	memcpy(ob->request, w->stored, (size_t)p->options_len + p->body_len);
	return ob;
}

void gw_observe_depart(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_observation *ob =
	    p->observation ? gw_observation_at(w->observations, p->observation) : make(p);

	p->r->observation = gw_observation_number(w->observations, ob);
	ob->leader = number_of(w, p->r);
	gw_observation_set(w->observations, ob, COPSE_NEVER);
}

int gw_observe_ask(struct gw_pass *p, const struct copse_peer *device, const struct copse_out *out)
{
	struct gw_worker *w = p->w;
	struct gw_observation *ob = gw_observation_at(w->observations, p->r->observation);
	struct copse_out con = *out;
	int err = COPSE_ERR_GONE;

	con.con = true;
	if (ob->device != COPSE_NO_HANDLE)
		err = copse_endpoint_request_again(w->ep, ob->device, &con, p->now);
	if (err == COPSE_ERR_GONE)
		err =
		    copse_endpoint_request(w->ep, device, &con, COPSE_REQUEST_MANY, ob, p->now, &ob->device);
	return err;
}

/* A request of the gateway's own: to register anew, or to cancel. */
static void ask_again(struct gw_worker *w, struct gw_observation *ob, uint32_t observe, copse_ms now)
{
	struct gw_pass p;
	enum gw_lane_result entered;

	memset(&p, 0, offsetof(struct gw_pass, asked));
	p.w = w;
	p.now = now;
	gw_observation_set(w->observations, ob, now + RETRY_MS);
	if (!make_request(&p, ob->method, ob->request, ob->options_len, ob->body_len, observe))
		return;
	p.r = gw_proxy_take_own(w, ob->method, &ob->rate);
	if (!p.r)
		return;
	p.r->to = ob->to;
	entered = gw_lanes_enter(w->lanes, &ob->peer, &ob->lane, number_of(w, p.r), w->out + COPSE_HEADER_LEN,
				 p.message_len - COPSE_HEADER_LEN, &p.r->lane);
	if (entered == GW_LANE_BUSY) {
		p.r->lane = 0;
		gw_proxy_run(&p, GW_STEP_LANE, GW_STEP_FREE);
		return;
	}
	p.observation = gw_observation_number(w->observations, ob);
	gw_observe_depart(&p);
	gw_proxy_run(&p, GW_STEP_LANE, entered == GW_LANE_GO ? GW_STEP_FORWARD : GW_STEP_QUEUE);
}

void gw_observe_expire(struct gw_worker *w, copse_ms now)
{
	struct gw_observation *ob;

	while ((ob = gw_observation_due(w->observations, now)) != NULL) {
		gw_observation_set(w->observations, ob, COPSE_NEVER);
		if (ob->leaving && ob->sealed) {
			drop(w, ob, now);
		} else if (ob->leaving) {
			ask_again(w, ob, CANCEL, now);
		} else if (gw_observation_behind(ob)) {
			pump(w, ob, now);
		} else if (now < ob->expires) {
			settle(w, ob, now);
		} else if (!ob->leader) { /* RFC 7641 §3.3.1 */
			w->counters.observe_stale++;
			ask_again(w, ob, REGISTER, now);
		}
	}
}

/* ---- what observers answer ---- */

void gw_observer_event(struct gw_worker *w, struct gw_observer *o, const struct copse_event *event,
		       copse_ms now)
{
	struct gw_observation *ob;

	if (event->exchange != o->notified || o->notified == COPSE_NO_HANDLE)
		return; /* the last word to one that observes no more */
	forget_notification(w, o);
	if (event->kind == COPSE_EVENT_ACKED) {
		gw_sessions_find(w->sessions, &o->peer, now); /* whoever listens is not idle */
		if (event->outdated)
			gw_observer_behind(w->observations, o);
		ob = gw_observer_observation(w->observations, o);
		if (gw_observation_behind(ob))
			pump(w, ob, now);
		return;
	}
	leave(w, o,
	      event->error == COPSE_ERR_RESET ? &w->counters.observers_left : &w->counters.observers_dead,
	      now);
}

void gw_observe_elsewhere(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *token,
			  size_t token_len, copse_ms now)
{
	struct gw_observer *o = gw_observer_find(w->observations, peer, token, token_len);

	if (o)
		leave(w, o, &w->counters.observers_left, now);
}

bool gw_observe_reset(struct gw_worker *w, const struct copse_event *event, copse_ms now)
{
	struct gw_observer *o = gw_observer_told(w->observations, event->peer, event->message->id);

	if (o)
		leave(w, o, &w->counters.observers_left, now);
	return o != NULL;
}

void gw_observe_rejected(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_observer *o = gw_observer_at(w->observations, p->r->observer);

	p->r->observer = 0;
	o->request = 0;
	if (p->event->kind == COPSE_EVENT_FAILED)
		leave(w, o,
		      p->event->error == COPSE_ERR_RESET ? &w->counters.observers_left
							 : &w->counters.observers_dead,
		      p->now);
}
