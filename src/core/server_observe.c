/* Observers (RFC 7641, the server's side): who is told what has changed, and when. The states of an observer are drawn in
 * doc/states/observe.md.
 *
 * A view has its observers in three lists: those who know its newest state (idle), those who do not (behind), and those
 * whose confirmable notification is not acknowledged (flight). A change moves all of `idle` behind at once; who is behind
 * is served as the endpoint has room, and gets whatever is the newest state then: between two states that it saw, an
 * observer may miss others, never the last.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"
#include "siphash.h"

#include <string.h>

/* How long to wait when the endpoint has no room and nothing of ours waits to be transmitted. With notifications in
 * flight the next acknowledgement or time-out is the time; the wait is for the case that others took the room. */
#define RETRY_MS           20u
#define RETRY_IN_FLIGHT_MS 1000u

/* Row: from; bit: to. */
static const uint8_t legal[OBS_STATES] = {
    [OBS_FREE] = 1 << OBS_PENDING,
    [OBS_PENDING] = 1 << OBS_ACTIVE | 1 << OBS_FREE,
    [OBS_ACTIVE] = 1 << OBS_FLIGHT | 1 << OBS_FREE,
    [OBS_FLIGHT] = 1 << OBS_ACTIVE | 1 << OBS_FREE,
};

/* A server's worth of memory for one observer, hash chains of up to two buckets each included. */
_Static_assert(sizeof(void *) > 8 || sizeof(struct server_observer) + 4 * sizeof(uint32_t) <= 128,
	       "an observer takes at most 128 bytes");

static void enter(struct copse_server *s, struct server_observer *o, enum observer_state state)
{
	COPSE_ASSERT(legal[o->state] >> state & 1);
	s->in_flight += (state == OBS_FLIGHT) - (o->state == OBS_FLIGHT);
	o->state = (uint8_t)state;
	core_node_remove(&o->node);
}

/* ---- finding ---- */

static uint32_t number_of(const struct copse_server *s, const struct server_observer *o)
{
	return (uint32_t)(o - s->observer) + 1;
}

static struct server_observer *get(const struct copse_server *s, uint32_t number)
{
	return &s->observer[number - 1];
}

static struct server_view *view_of(struct copse_server *s, const struct server_observer *o)
{
	return srv_view_get(s, o->view);
}

static uint32_t peer_hash(const struct copse_server *s, const struct copse_peer *peer)
{
	return (uint32_t)core_siphash(s->config.seed, peer->key, peer->len, 1, 3);
}

static uint32_t token_hash(const struct copse_server *s, uint32_t peer, const uint8_t *token, size_t len)
{
	return (uint32_t)core_siphash(s->config.seed, token, len, 1, 3) + peer;
}

static uint32_t id_hash(uint32_t peer, uint16_t id)
{
	return peer + id * 0x9e3779b1u;
}

static uint32_t *token_bucket(const struct copse_server *s, uint32_t hash)
{
	return &s->tokens.bucket[hash & s->tokens.mask];
}

static uint32_t *id_bucket(const struct copse_server *s, const struct server_observer *o)
{
	return &s->ids.bucket[id_hash(o->peer_hash, o->id) & s->ids.mask];
}

static struct server_observer *find_token(const struct copse_server *s, const struct copse_peer *peer,
					  uint32_t hash, const uint8_t *token, size_t len)
{
	for (uint32_t n = *token_bucket(s, hash); n != 0; n = get(s, n)->token_next) {
		struct server_observer *o = get(s, n);
		if (o->hash == hash && o->token_len == len && memcmp(o->token, token, len) == 0 &&
		    copse_peer_equal(&o->peer, peer))
			return o;
	}
	return NULL;
}

static struct server_observer *find_id(const struct copse_server *s, const struct copse_peer *peer,
				       uint16_t id)
{
	uint32_t n = s->ids.bucket[id_hash(peer_hash(s, peer), id) & s->ids.mask];
	for (; n != 0; n = get(s, n)->id_next) {
		struct server_observer *o = get(s, n);
		if (o->id == id && copse_peer_equal(&o->peer, peer))
			return o;
	}
	return NULL;
}

static void forget_id(struct copse_server *s, struct server_observer *o)
{
	if (!o->has_id)
		return;
	uint32_t *at = id_bucket(s, o);
	while (*at != number_of(s, o))
		at = &get(s, *at)->id_next;
	*at = o->id_next;
	o->has_id = false;
}

static void remember_id(struct copse_server *s, struct server_observer *o, uint16_t id)
{
	forget_id(s, o);
	o->id = id;
	uint32_t *at = id_bucket(s, o);
	o->id_next = *at;
	*at = number_of(s, o);
	o->has_id = true;
}

void srv_observe_init(struct copse_server *s)
{
	core_node_init(&s->free_observers);
	for (uint32_t i = 0; i < s->config.observer_cap; i++) {
		memset(&s->observer[i], 0, sizeof s->observer[i]);
		core_node_insert(&s->free_observers, &s->observer[i].node);
	}
	memset(s->tokens.bucket, 0, (s->tokens.mask + 1) * sizeof *s->tokens.bucket);
	memset(s->ids.bucket, 0, (s->ids.mask + 1) * sizeof *s->ids.bucket);
}

/* ---- coming and going ---- */

static void forget(struct copse_server *s, struct server_observer *o)
{
	struct server_view *v = view_of(s, o);
	forget_id(s, o);
	uint32_t *at = token_bucket(s, o->hash);
	while (*at != number_of(s, o))
		at = &get(s, *at)->token_next;
	*at = o->token_next;
	enter(s, o, OBS_FREE);
	core_node_insert(&s->free_observers, &o->node);
	s->observer_n--;
	v->observer_n--;
	srv_view_unused(s, v);
}

/* The same when a notification may be under way that nobody waits for any more. */
void srv_observe_drop(struct copse_server *s, struct server_observer *o)
{
	if (o->state == OBS_FLIGHT)
		copse_endpoint_cancel(s->ep, o->exchange, s->now);
	forget(s, o);
}

static struct server_observer *make(struct copse_server *s, const struct server_work *w,
				    struct server_view *v, uint32_t peer, uint32_t hash)
{
	const struct copse_message *m = w->rq.message;
	struct core_node *n = core_list_pop(&s->free_observers);
	if (!n)
		return NULL;
	struct server_observer *o = CORE_OF(n, struct server_observer, node);
	o->peer = w->ask.peer;
	o->exchange = w->ask.exchange;
	o->hash = hash;
	o->peer_hash = peer;
	o->view = (uint16_t)srv_view_number(s, v);
	o->non_run = 0;
	o->con_at = srv_seconds(s);
	o->has_id = false;
	o->stale = false;
	o->token_len = (uint8_t)m->token_len;
	memcpy(o->token, copse_message_token(m), m->token_len);
	o->token_next = *token_bucket(s, hash);
	*token_bucket(s, hash) = number_of(s, o);
	enter(s, o, OBS_PENDING);
	core_node_insert(&v->pending, &o->node);
	s->observer_n++;
	v->observer_n++;
	return o;
}

static bool may_observe(const struct server_work *w)
{
	return (w->rq.resource->flags & COPSE_RESOURCE_OBSERVABLE) && copse_code_is_safe(w->rq.method) &&
	       !w->rq.multicast && !w->ask.q2 && w->rq.message->token_len <= COPSE_TOKEN_MAX &&
	       w->rq.body_offset == 0 && !w->rq.body_more && !(w->ask.has_block2 && w->ask.block2.num > 0);
}

static void register_observer(struct copse_server *s, struct server_work *w, struct server_observer *o,
			      uint32_t peer, uint32_t hash)
{
	struct server_view *v = srv_view_for(s, w);
	/* RFC 7641 §4.1: a known endpoint and token updates its entry, and never adds one. */
	if (o && v != view_of(s, o)) {
		srv_observe_drop(s, o);
		o = NULL;
	}
	if (!o && v)
		o = make(s, w, v, peer, hash);
	if (!o) {
		if (v)
			srv_view_unused(s, v);
		s->counters.refused_observer++;
		return;
	}
	w->ask.observer = number_of(s, o);
	w->ask.observer_hash = hash;
}

void srv_observe_request(struct copse_server *s, struct server_work *w)
{
	const struct copse_message *m = w->rq.message;
	const uint32_t observe = copse_message_uint(m, COPSE_OPTION_OBSERVE, UINT32_MAX);
	if (observe > 1 || !may_observe(w))
		return;
	const uint32_t peer = peer_hash(s, &w->ask.peer);
	const uint32_t hash = token_hash(s, peer, copse_message_token(m), m->token_len);
	struct server_observer *o = find_token(s, &w->ask.peer, hash, copse_message_token(m), m->token_len);
	if (observe == 0) {
		register_observer(s, w, o, peer, hash);
	} else if (o) {
		s->counters.cancelled++;
		srv_observe_drop(s, o);
	}
}

static struct server_observer *observer_of(const struct copse_server *s, const struct server_ask *ask)
{
	if (ask->observer == 0)
		return NULL;
	struct server_observer *o = get(s, ask->observer);
	return o->state != OBS_FREE && o->hash == ask->observer_hash ? o : NULL;
}

bool srv_observe_stays(const struct copse_server *s, const struct server_ask *ask)
{
	return observer_of(s, ask) != NULL;
}

void srv_observe_answered(struct copse_server *s, const struct server_ask *ask, bool success)
{
	struct server_observer *o = observer_of(s, ask);
	if (!o)
		return;
	if (!success) { /* RFC 7641 §4.1 */
		s->counters.ended++;
		srv_observe_drop(s, o);
	} else if (o->state == OBS_PENDING) {
		s->counters.registered++;
		enter(s, o, OBS_ACTIVE);
		core_node_insert(&view_of(s, o)->idle, &o->node);
	}
}

uint32_t srv_observe_sequence(struct copse_server *s)
{
	/* RFC 7641 §4.4: what an observer sees increases, whatever it observes. */
	s->sequence = (s->sequence + 1) & 0xffffffu;
	return s->sequence;
}

/* ---- changes ---- */

static void move_all(struct core_node *from, struct core_node *to)
{
	if (core_node_alone(from))
		return;
	struct core_node *first = from->next, *last = from->prev;
	first->prev = to->prev;
	to->prev->next = first;
	last->next = to;
	to->prev = last;
	core_node_init(from);
}

static bool is_telemetry(const struct copse_server *s, const struct server_view *v)
{
	return s->node[v->place - 1].resource->worth == COPSE_TELEMETRY;
}

/* Notify it, now or when it may be. */
static void schedule(struct copse_server *s, struct server_view *v)
{
	if (!core_node_alone(&v->queue) || v->timer.pos != 0)
		return;
	const copse_ms due = is_telemetry(s, v) && v->notified ? v->last + s->config.non_interval_ms : s->now;
	if (due <= s->now) {
		core_node_insert(&s->queue, &v->queue);
		s->retry = s->now;
	} else {
		core_heap_set(&s->timers, &v->timer, due);
	}
}

static void changed(struct copse_server *s, struct server_view *v)
{
	v->fresh = false;
	move_all(&v->idle, &v->behind);
	for (struct core_node *n = v->flight.next; n != &v->flight; n = n->next)
		CORE_OF(n, struct server_observer, node)->stale = true;
	if (!core_node_alone(&v->behind) || !core_node_alone(&v->flight))
		schedule(s, v);
}

unsigned copse_server_changed(struct copse_server *server, const struct copse_resource *resource,
			      const char *path, copse_ms now)
{
	unsigned n = 0;
	srv_advance(server, now);
	struct server_node *place = srv_tree_of(server, resource);
	for (struct core_node *v = place ? place->views.next : NULL; v && v != &place->views; v = v->next) {
		struct server_view *view = CORE_OF(v, struct server_view, node);
		if (srv_view_has_path(view, path)) {
			changed(server, view);
			n++;
		}
	}
	return n;
}

void srv_observe_timer(struct copse_server *s, struct core_timer *t)
{
	struct server_view *v = CORE_OF(t, struct server_view, timer);
	core_heap_clear(&s->timers, t);
	schedule(s, v);
}

/* ---- notifying ---- */

/* How this observer is told: RFC 7641 §4.5 wants a CON at least once in 24 hours. */
static void pick(struct copse_server *s, const struct server_view *v, struct server_observer *o,
		 struct copse_out *out)
{
	struct copse_traffic traffic = {
	    .non_run = o->non_run, .con_at = srv_time_of(s, o->con_at), .begun = true};
	copse_traffic_pick(&traffic, &s->config.traffic, s->node[v->place - 1].resource->worth, s->now,
			   &out->con, &out->priority);
	o->non_run = traffic.non_run;
	if (out->con)
		o->con_at = srv_seconds(s);
}

static void sent(struct copse_server *s, struct server_view *v, struct server_observer *o, bool con,
		 copse_handle exchange, uint16_t id)
{
	s->counters.notified++;
	if (copse_code_class(s->note_code) != 2) { /* RFC 7641 §4.2 */
		s->counters.ended++;
		forget(s, o);
	} else if (con) {
		o->exchange = exchange;
		o->stale = false;
		enter(s, o, OBS_FLIGHT);
		core_node_insert(&v->flight, &o->node);
	} else {
		core_node_remove(&o->node);
		core_node_insert(&v->idle, &o->node);
		remember_id(s, o, id);
	}
}

/* The outcome of a try to send. */
enum outcome { SENT, NO_ROOM, TOO_MANY };

static enum outcome notify(struct copse_server *s, struct server_view *v, struct server_observer *o)
{
	struct copse_out out = {.code = s->note_code, .rest = s->note, .rest_len = s->note_len};
	copse_handle exchange;
	uint16_t id;
	const uint16_t non_run = o->non_run;
	const uint32_t con_at = o->con_at;
	pick(s, v, o, &out);
	if (out.con && s->in_flight >= s->config.notify_cap) {
		o->non_run = non_run;
		o->con_at = con_at;
		return TOO_MANY;
	}
	if (copse_endpoint_notify(s->ep, &o->peer, o->token, o->token_len, &out, o, s->now, &exchange, &id) !=
	    0) {
		o->non_run = non_run;
		o->con_at = con_at;
		return NO_ROOM;
	}
	sent(s, v, o, out.con, exchange, id);
	return SENT;
}

/* RFC 7641 §4.5.2: what is not acknowledged yet will say the newest state, should it have to be sent again. */
static enum outcome replace(struct copse_server *s, struct server_observer *o)
{
	const struct copse_out out = {
	    .code = s->note_code, .con = true, .rest = s->note, .rest_len = s->note_len};
	if (copse_endpoint_replace(s->ep, o->exchange, &out, s->now) == COPSE_ERR_NOROOM)
		return NO_ROOM;
	s->counters.replaced++;
	o->stale = false;
	if (copse_code_class(s->note_code) != 2) {
		s->counters.ended++;
		forget(s, o);
	}
	return SENT;
}

static enum outcome replace_all(struct copse_server *s, struct server_view *v)
{
	for (struct core_node *n = v->flight.next, *next; n != &v->flight; n = next) {
		next = n->next;
		struct server_observer *o = CORE_OF(n, struct server_observer, node);
		if (o->stale && replace(s, o) != SENT)
			return NO_ROOM;
	}
	return SENT;
}

/* Tell up to `*budget` of a view's observers. The view may be gone afterwards: an error ends its observations. */
static enum outcome notify_all(struct copse_server *s, struct server_view *v, uint32_t *budget)
{
	enum outcome outcome = SENT;
	v->observer_n++; /* holds the view */
	if (!core_node_alone(&v->flight))
		outcome = replace_all(s, v);
	while (outcome == SENT && !core_node_alone(&v->behind)) {
		outcome = *budget > 0 ? notify(s, v, CORE_OF(v->behind.next, struct server_observer, node))
				      : NO_ROOM;
		*budget -= outcome == SENT;
	}
	if (outcome == SENT) {
		core_node_remove(&v->queue);
		if (!v->fresh) /* changed by its own handler while that was asked */
			changed(s, v);
	}
	v->observer_n--;
	srv_view_unused(s, v);
	return outcome;
}

/* When to try again after the endpoint had no room. */
static copse_ms next_try(const struct copse_server *s, bool progress)
{
	if (progress)
		return s->now; /* transmitting makes room */
	return s->now + (s->in_flight > 0 ? RETRY_IN_FLIGHT_MS : RETRY_MS);
}

void srv_observe_pump(struct copse_server *s)
{
	uint32_t budget = s->config.notify_cap;
	struct core_node stuck; /* views that wait for acknowledgements: the others need not */
	core_node_init(&stuck);
	s->retry = COPSE_NEVER;
	while (!core_node_alone(&s->queue)) {
		struct server_view *v = CORE_OF(s->queue.next, struct server_view, queue);
		enum outcome outcome = NO_ROOM;
		bool encoded = v->fresh && s->note_view == v;
		v->observer_n++; /* holds the view: its handler may drop the observers */
		if (!encoded && budget > 0) {
			srv_view_encode(s, v);
			budget--; /* so that a handler that changes what it tells does not keep us here */
			encoded = true;
		}
		if (encoded)
			outcome = notify_all(s, v, &budget);
		s->counters.waited += outcome != SENT;
		if (outcome == TOO_MANY) {
			core_node_remove(&v->queue);
			core_node_insert(&stuck, &v->queue);
		}
		v->observer_n--;
		srv_view_unused(s, v);
		if (outcome == NO_ROOM) {
			s->retry = next_try(s, budget < s->config.notify_cap);
			break;
		}
	}
	move_all(&stuck, &s->queue);
}

copse_ms srv_observe_deadline(const struct copse_server *s)
{
	if (core_node_alone(&s->queue))
		return COPSE_NEVER;
	return s->retry;
}

/* ---- what becomes of notifications ---- */

bool srv_observe_ended(struct copse_server *s, const struct copse_event *event)
{
	const uintptr_t first = (uintptr_t)s->observer, at = (uintptr_t)event->user;
	if (at < first || at >= first + s->config.observer_cap * sizeof *s->observer)
		return false;
	struct server_observer *o = event->user;
	if (o->state != OBS_FLIGHT || o->exchange != event->exchange)
		return true;                    /* ended meanwhile */
	if (event->kind != COPSE_EVENT_ACKED) { /* §4.5: no longer interested, or not there */
		s->counters.reset += event->error == COPSE_ERR_RESET;
		s->counters.failed += event->error != COPSE_ERR_RESET;
		forget(s, o);
		return true;
	}
	struct server_view *v = view_of(s, o);
	const bool behind = o->stale || event->outdated;
	enter(s, o, OBS_ACTIVE);
	core_node_insert(behind ? &v->behind : &v->idle, &o->node);
	if (behind)
		schedule(s, v);
	return true;
}

bool srv_observe_reset(struct copse_server *s, const struct copse_event *event)
{
	struct server_observer *o = find_id(s, event->peer, event->message->id);
	if (!o)
		return false;
	s->counters.reset++; /* RFC 7641 §3.6 */
	srv_observe_drop(s, o);
	return true;
}

static void drop_view(struct copse_server *s, struct server_view *v)
{
	struct core_node *lists[] = {&v->pending, &v->idle, &v->behind, &v->flight};
	v->observer_n++;
	for (unsigned i = 0; i < 4; i++) {
		while (!core_node_alone(lists[i]))
			srv_observe_drop(s, CORE_OF(lists[i]->next, struct server_observer, node));
	}
	v->observer_n--;
	srv_view_unused(s, v);
}

void copse_server_drop_observers(struct copse_server *server, const struct copse_resource *resource,
				 copse_ms now)
{
	struct server_node *place = srv_tree_of(server, resource);
	srv_advance(server, now);
	for (struct core_node *n = place ? place->views.next : NULL, *next; n && n != &place->views;
	     n = next) {
		next = n->next;
		drop_view(server, CORE_OF(n, struct server_view, node));
	}
}

/* Tell everybody once that the resource is gone, as far as the endpoint has room. */
void srv_observe_remove(struct copse_server *s, struct server_node *place)
{
	for (struct core_node *n = place->views.next, *next; n != &place->views; n = next) {
		next = n->next;
		struct server_view *v = CORE_OF(n, struct server_view, node);
		struct server_ask ask = {.notification = true, .method = COPSE_CODE_GET};
		struct copse_response rs;
		uint32_t budget = UINT32_MAX;
		v->observer_n++;
		changed(s, v);
		srv_response_init(s, &rs);
		rs.code = COPSE_CODE_NOT_FOUND;
		srv_view_note(s, v, &ask, &rs);
		(void)notify_all(s, v, &budget);
		v->observer_n--;
		drop_view(s, v);
	}
}

uint32_t copse_server_observers(const struct copse_server *server, const struct copse_resource *resource)
{
	if (!resource)
		return server->observer_n;
	uint32_t n = 0;
	/* Looking changes nothing. */
	const struct server_node *place = srv_tree_of((struct copse_server *)(uintptr_t)server, resource);
	for (const struct core_node *v = place ? place->views.next : NULL; v && v != &place->views;
	     v = v->next)
		n += CORE_OF((uintptr_t)v, struct server_view, node)->observer_n;
	return n;
}
