/* See worker_cross.h.
 *
 * What is routed is the datagram: the worker that it belongs to takes it as if the system had given it there, answers by
 * its own socket of the same address, and numbers its messages so that acknowledgements find it. So the steps of a
 * request know nothing of other workers. Routing looks at the configuration alone: a datagram that is repeated goes the
 * same way.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "worker_cross.h"

#include "metrics.h"
#include "proxy_pass.h"

#include <copse/mem.h>

#include <string.h>

/* ---- where to ---- */

struct route {
	unsigned from; /* whom its client comes to: a device that is nobody's becomes this worker's */
	unsigned to;
	bool registered; /* `target` is known to the directory only */
	struct gw_target target;
};

static unsigned owner_of(const struct gw_worker *w, const struct route *route)
{
	return gw_owners_of(gw_crossing_owners(w->cross), &route->target.address, route->from);
}

/* The first worker asks groups, and has the collector, which answers for devices that sleep. */
static bool is_firsts(const struct gw_worker *w, const struct gw_target *target)
{
	return target->group || target->sleeping ||
	       gw_crossing_may_sleep(w->cross, target->name, target->alias);
}

/* Devices of the directory are known to the first worker only, which finds out whose they are. */
static void route_registered(struct gw_worker *w, const struct gw_asked *a, bool secure, struct route *route)
{
	uint16_t own = copse_scheme_port(a->scheme);

	if (w->config->directory.registrations == 0)
		return;
	route->to = GW_FIRST;
	if (w->rd && gw_resolve_registered(w->config, gw_rd_directory(w->rd), a->host, a->host_len, a->port,
					   own, secure, &route->target) == GW_RESOLVED) {
		route->to = is_firsts(w, &route->target) ? GW_FIRST : owner_of(w, route);
		route->registered = route->to != w->number;
	}
}

/* What is refused is refused here: nobody without a session makes other workers work. */
static void route_proxied(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes,
			  copse_ms now, struct route *route)
{
	const struct copse_message *m = &w->routed;
	struct gw_asked asked;

	if (gw_options_asked(peer, m, w->config->hop_limit, &asked).code)
		return;
	if (gw_proxy_is_here(w, peer, &asked)) {
		route->to = GW_FIRST;
		return;
	}
	const struct gw_session *s = gw_sessions_find(w->sessions, peer, now);
	if (!s)
		return;
	enum gw_resolution found = gw_resolve(w->config, asked.host, asked.host_len, asked.port,
					      copse_scheme_port(asked.scheme), &route->target);
	if (found == GW_RESOLVED && is_firsts(w, &route->target)) {
		route->to = GW_FIRST;
	} else if (found == GW_RESOLVED) {
		route->to = owner_of(w, route);
		if (route->to != w->number) /* what comes here is kept when it is carried out */
			gw_memory_keep_route(w, bytes, &asked, route->to);
	} else if (found == GW_RESOLVE_UNKNOWN) {
		route_registered(w, &asked, s->secure, route);
	}
}

static unsigned id_mask(unsigned workers)
{
	unsigned mask = 1;

	while (mask + 1 < workers)
		mask = mask * 2 + 1;
	return mask;
}

/* Where what came to worker `from` goes. */
static void find_route(struct gw_worker *w, unsigned from, const struct copse_peer *peer,
		       const uint8_t *bytes, size_t len, copse_ms now, struct route *route)
{
	unsigned workers = gw_crossing_workers(w->cross);

	route->from = from;
	route->to = w->number;
	route->registered = false;
	if (len < COPSE_HEADER_LEN || bytes[0] >> 6 != 1)
		return;
	const unsigned type = bytes[0] >> 4 & 3;
	if (type == COPSE_ACK || type == COPSE_RST) {
		unsigned tag = bytes[3] & id_mask(workers);
		route->to = tag < workers ? tag : w->number;
	} else if (bytes[1] >= 64) {
		/* towards clients only the first worker asks: of its directory, and for the collector */
		if (w->around.is_common(w->around.self, peer))
			route->to = GW_FIRST;
	} else if (!gw_crossing_any_asleep(w->cross) && gw_memory_routes(w, peer, bytes, len, &route->to)) {
		return;
	} else if (bytes[1] && bytes[1] < 32 && !(peer->flags & COPSE_PEER_MULTICAST) &&
		   copse_message_parse(&w->routed, bytes, len) == 0) {
		if (gw_proxy_is_for(&w->routed))
			route_proxied(w, peer, bytes, now, route);
		else
			route->to = GW_FIRST;
	}
}

/* ---- out ---- */

static bool put_bytes(struct gw_cross_message *m, const uint8_t *bytes, size_t len)
{
	m->len = (uint32_t)len;
	if (len > sizeof(m->bytes)) {
		m->large = copse_mem_new(len, 1);
		if (!m->large)
			return false;
	}
	memcpy(m->large ? m->large : m->bytes, bytes, len);
	return true;
}

static bool send_datagram(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes,
			  size_t len, bool spare, const struct route *route)
{
	struct gw_cross_message *m = gw_crossing_reserve(w->cross, w->number, route->to, spare);

	if (!m || !put_bytes(m, bytes, len))
		return false;
	m->kind = GW_CROSS_DATAGRAM;
	m->peer = *peer;
	/* what goes to the first may be for the gateway itself, under the name that it was asked by */
	if (route->to == GW_FIRST || w->around.is_common(w->around.self, peer))
		w->around.local(w->around.self, peer, &m->local);
	m->registered = route->registered;
	if (route->registered)
		m->target = route->target;
	gw_crossing_commit(w->cross, w->number, route->to);
	w->counters.crossed++;
	return true;
}

/* The other worker is behind. Whoever asks for something is told so; an answer "later" to a request that must not run
 * twice could be wrong, since a copy of it may lie in the ring already: its sender repeats it (RFC 7252 §4.2). By a
 * connection there are no copies. */
static void refuse_datagram(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes,
			    size_t len, copse_ms now)
{
	const unsigned type = bytes[0] >> 4 & 3;
	bool request = type <= COPSE_NON && bytes[1] < 32;

	if (!request || (type == COPSE_CON && !copse_code_is_safe(bytes[1]) &&
			 !(peer->flags & COPSE_PEER_RELIABLE))) {
		w->counters.crossing_dropped++;
		return;
	}
	w->ring_full = true;
	w->around.take(w->around.self, peer, bytes, len, now);
	w->ring_full = false;
}

bool gw_worker_divert(struct gw_worker *w, const struct copse_datagram *d, copse_ms now)
{
	struct route route;

	/* whoever was told by another worker that it has a session now has it here */
	gw_worker_drain(w, now);
	find_route(w, w->number, &d->peer, d->data, d->len, now, &route);
	if (route.to == w->number)
		return false;
	if (!send_datagram(w, &d->peer, d->data, d->len, d->data[1] >= 32 || d->data[1] == 0, &route))
		refuse_datagram(w, &d->peer, d->data, d->len, now);
	return true;
}

/* By a connection nobody repeats a request: its answer may use the room that is kept, unless we would repeat it. */
bool gw_worker_reply(struct gw_worker *w, unsigned to, const struct copse_datagram *d)
{
	const bool spare = (d->peer.flags & COPSE_PEER_RELIABLE) && (d->data[0] >> 4 & 3) != COPSE_CON;
	struct gw_cross_message *m = gw_crossing_reserve(w->cross, w->number, to, spare);

	if (!m || !put_bytes(m, d->data, d->len)) {
		w->counters.crossing_dropped++;
		return false;
	}
	m->kind = GW_CROSS_REPLY;
	m->peer = d->peer;
	gw_crossing_commit(w->cross, w->number, to);
	w->counters.crossed_back++;
	return true;
}

/* The same message to each other worker; `make` fills it. What does not fit is lost: none of it but sessions, for which
 * there is room, is more than a hint. */
static void tell_all(struct gw_worker *w, void (*make)(struct gw_cross_message *m, const void *what),
		     const void *what)
{
	for (unsigned to = 0; w->cross && to < gw_crossing_workers(w->cross); to++) {
		if (to == w->number)
			continue;
		struct gw_cross_message *m = gw_crossing_reserve(w->cross, w->number, to, true);
		if (!m) {
			w->counters.crossing_dropped++;
			continue;
		}
		make(m, what);
		gw_crossing_commit(w->cross, w->number, to);
	}
}

static void make_unreachable(struct gw_cross_message *m, const void *what)
{
	m->kind = GW_CROSS_UNREACHABLE;
	m->peer = *(const struct copse_peer *)what;
}

void gw_worker_unreachable(struct gw_worker *w, const struct copse_peer *peer)
{
	if (w->cross &&
	    (peer->group == GW_GROUP_CLIENTS || w->around.is_common(w->around.self, peer)))
		tell_all(w, make_unreachable, peer);
}

static void make_invalidate(struct gw_cross_message *m, const void *what)
{
	m->kind = GW_CROSS_INVALIDATE;
	m->uri = *(const uint64_t *)what;
}

void gw_cross_invalidate(struct gw_worker *w, uint64_t uri)
{
	tell_all(w, make_invalidate, &uri);
}

struct observer_name {
	const struct copse_peer *peer;
	const uint8_t *token;
	size_t token_len;
};

static void make_observes(struct gw_cross_message *m, const void *what)
{
	const struct observer_name *name = what;

	m->kind = GW_CROSS_OBSERVES;
	m->peer = *name->peer;
	m->token_len = (uint8_t)name->token_len;
	memcpy(m->token, name->token, name->token_len);
}

void gw_cross_observes(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *token,
		       size_t token_len)
{
	const struct observer_name name = {peer, token, token_len};

	tell_all(w, make_observes, &name);
}

/* ---- sessions ---- */

bool gw_cross_has_room(const struct gw_worker *w)
{
	return !w->cross || gw_crossing_has_room(w->cross, w->number);
}

struct opened {
	const struct gw_session_wish *wish;
	const struct gw_grant *grant;
};

static void make_opened(struct gw_cross_message *m, const void *what)
{
	const struct opened *o = what;

	m->kind = GW_CROSS_OPENED;
	m->peer = *o->wish->peer;
	m->session.ends = o->wish->ends;
	m->session.per_account = o->wish->per_account;
	m->session.sticky = o->wish->sticky;
	m->session.secure = o->wish->secure;
	memcpy(m->session.account, o->wish->account, strlen(o->wish->account) + 1);
	if (!o->grant)
		return;
	m->session.grant = copse_mem_new(1, sizeof(*o->grant));
	COPSE_ASSERT(m->session.grant); /* without its rules the session could do more than it may */
	*m->session.grant = *o->grant;
}

void gw_cross_opened(struct gw_worker *w, const struct gw_session_wish *wish, const struct gw_grant *grant)
{
	const struct opened what = {wish, grant};

	tell_all(w, make_opened, &what);
}

static void make_closed(struct gw_cross_message *m, const void *what)
{
	m->kind = GW_CROSS_CLOSED;
	m->peer = *(const struct copse_peer *)what;
}

void gw_cross_closed(struct gw_worker *w, const struct copse_peer *peer)
{
	tell_all(w, make_closed, peer);
}

/* Should there be no room, the session ends when it has been idle: nobody else can be this peer. */
void gw_cross_gone(struct gw_worker *w, const struct copse_peer *peer)
{
	struct gw_cross_message *m = gw_crossing_reserve(w->cross, w->number, GW_FIRST, true);

	if (!m) {
		w->counters.crossing_dropped++;
		return;
	}
	m->kind = GW_CROSS_GONE;
	m->peer = *peer;
	gw_crossing_commit(w->cross, w->number, GW_FIRST);
}

/* Do what the first worker did. It succeeded there, and so it does here: the tables are equal. */
static void take_opened(struct gw_worker *w, const struct gw_cross_message *m, copse_ms now)
{
	struct gw_session_wish wish = {.peer = &m->peer,
				       .account = m->session.account,
				       .ends = m->session.ends,
				       .per_account = m->session.per_account,
				       .sticky = m->session.sticky,
				       .secure = m->session.secure};
	struct gw_session *s = NULL;

	if (m->session.grant)
		wish.grant = gw_grants_take(w->grants, m->session.grant);
	COPSE_ASSERT(!m->session.grant == !wish.grant);
	enum gw_session_result result = gw_sessions_open(w->sessions, &wish, now, &s);
	COPSE_ASSERT(result < GW_SESSION_LIMIT);
	gw_cross_pending(w, s, 0);
	gw_cross_observers(w, s);
}

void gw_cross_pending(struct gw_worker *w, struct gw_session *s, int by)
{
	s->pending = (uint16_t)(s->pending + by);
	if (w->cross)
		gw_crossing_set_pending(w->cross, w->number, gw_sessions_number(w->sessions, s), s->pending);
}

uint32_t gw_cross_pending_of(const struct gw_worker *w, const struct gw_session *s)
{
	return w->cross ? gw_crossing_pending(w->cross, gw_sessions_number(w->sessions, s)) : s->pending;
}

void gw_cross_observers(struct gw_worker *w, const struct gw_session *s)
{
	if (w->cross && s)
		gw_crossing_set_observers(
		    w->cross, w->number, gw_sessions_number(w->sessions, s),
		    gw_observers_of(w->observations, &s->peer, w->config->session_observers));
}

uint32_t gw_cross_observers_of(const struct gw_worker *w, const struct gw_session *s, uint32_t most)
{
	return w->cross ? gw_crossing_observers(w->cross, gw_sessions_number(w->sessions, s))
			: gw_observers_of(w->observations, &s->peer, most);
}

copse_ms gw_cross_rate(const struct gw_worker *w, const char *account, copse_ms now)
{
	const struct gw_rate *rate = &w->config->account_rate;

	return w->cross ? gw_crossing_rate(w->cross, account, rate, now)
			: gw_rates_take(w->account_rates, account, strlen(account), rate, now);
}

/* ---- what the others count ---- */

#define ROUNDS_MAX 8 /* at a time */

struct gw_round {
	struct gw_round *next;
	copse_handle asker;
	unsigned left;
	struct gw_report sum;
	struct gw_report part[GW_WORKERS_MAX]; /* each its worker's, until REPORTED */
};

static void make_report(struct gw_cross_message *m, const void *what)
{
	m->kind = GW_CROSS_REPORT;
	memcpy(&m->round, what, sizeof(m->round));
}

struct gw_round *gw_round_begin(struct gw_worker *w)
{
	struct gw_round *round = w->rounds;
	unsigned n = 0;

	for (; round; round = round->next)
		n++;
	round = n < ROUNDS_MAX && gw_cross_has_room(w) ? copse_mem_new(1, sizeof(*round)) : NULL;
	if (!round)
		return NULL;
	round->left = gw_crossing_workers(w->cross) - 1;
	round->next = w->rounds;
	w->rounds = round;
	tell_all(w, make_report, &round);
	return round;
}

void gw_round_set_asker(struct gw_round *round, copse_handle asker)
{
	round->asker = asker;
}

void gw_rounds_free(struct gw_worker *w)
{
	while (w->rounds) {
		struct gw_round *round = w->rounds;
		w->rounds = round->next;
		copse_mem_free(round);
	}
}

static bool fill_report(struct gw_worker *w, const struct gw_cross_message *asked)
{
	struct gw_cross_message *m = gw_crossing_reserve(w->cross, w->number, asked->from, true);

	if (!m) /* the question stays where it is until there is room for the answer */
		return false;
	gw_report_take(w, &asked->round->part[w->number]);
	m->kind = GW_CROSS_REPORTED;
	m->round = asked->round;
	gw_crossing_commit(w->cross, w->number, asked->from);
	return true;
}

static void take_report(struct gw_worker *w, const struct gw_cross_message *m, copse_ms now)
{
	struct gw_round *round = m->round, **at = &w->rounds;

	gw_report_add(&round->sum, &round->part[m->from]);
	if (--round->left)
		return;
	gw_report_take(w, &round->part[w->number]);
	gw_report_add(&round->sum, &round->part[w->number]);
	gw_local_metrics(w, round->asker, &round->sum, now);
	while (*at != round)
		at = &(*at)->next;
	*at = round->next;
	copse_mem_free(round);
}

/* ---- in ---- */

/* What another worker's directory said, as gw_resolve_registered leaves it, of our own snapshot. */
static void readopt(struct gw_worker *w, struct gw_target *target)
{
	const uint16_t port = copse_address_port(&target->address);
	struct gw_target own;

	target->class = &w->config->classes[GW_CLASS_DEFAULT];
	target->uri_host = "";
	target->group = NULL;
	/* the endpoint is a device of the configuration, which is known by its name */
	if (gw_resolve_has(w->config, target->name) &&
	    gw_resolve(w->config, target->name, strlen(target->name), port, port, &own) == GW_RESOLVED)
		*target = own;
}

/* As if it had come to a socket of this worker. */
static void take_datagram(struct gw_worker *w, struct gw_cross_message *m, copse_ms now)
{
	const uint8_t *bytes = m->large ? m->large : m->bytes;
	struct route route;

	w->around.set_path(w->around.self, &m->local, &m->peer);
	if (w->rd && !m->registered) {
		find_route(w, m->from, &m->peer, bytes, m->len, now, &route);
		if (route.registered) {
			if (!send_datagram(w, &m->peer, bytes, m->len, false, &route))
				refuse_datagram(w, &m->peer, bytes, m->len, now);
			return;
		}
	}
	if (m->registered) {
		readopt(w, &m->target);
		w->given = &m->target;
	}
	w->around.take(w->around.self, &m->peer, bytes, m->len, now);
	w->given = NULL;
}

static void take_closed(struct gw_worker *w, const struct copse_peer *peer, copse_ms now)
{
	struct gw_session *s = gw_sessions_any(w->sessions, peer);

	(void)now;
	if (s)
		gw_sessions_close(w->sessions, s);
}

/* Returns false when it cannot be dealt with yet. */
static bool take_message(struct gw_worker *w, struct gw_cross_message *m, copse_ms now)
{
	struct copse_datagram reply = {
	    .peer = m->peer, .data = m->large ? m->large : m->bytes, .len = m->len};

	switch (m->kind) {
	case GW_CROSS_DATAGRAM: take_datagram(w, m, now); break;
	case GW_CROSS_REPLY: w->around.pass(w->around.self, &reply, now); break;
	case GW_CROSS_OPENED: take_opened(w, m, now); break;
	case GW_CROSS_CLOSED: take_closed(w, &m->peer, now); break;
	case GW_CROSS_GONE: gw_worker_gone(w, &m->peer, now); break;
	case GW_CROSS_UNREACHABLE: w->around.unreachable(w->around.self, &m->peer, now); break;
	case GW_CROSS_INVALIDATE: gw_proxy_invalidate(w, m->uri, now); break;
	case GW_CROSS_OBSERVES: gw_observe_elsewhere(w, &m->peer, m->token, m->token_len, now); break;
	case GW_CROSS_REPORT: return fill_report(w, m);
	case GW_CROSS_REPORTED: take_report(w, m, now); break;
	}
	return true;
}

/* Not more than a ring holds: sockets and timers want their turn. */
static void drain_from(struct gw_worker *w, unsigned from, copse_ms now)
{
	for (unsigned n = 0; n < GW_CROSS_SLOTS; n++) {
		struct gw_cross_message *m = gw_crossing_first(w->cross, from, w->number);

		if (!m)
			return;
		w->glance.bytes = NULL;
		/* who sends by others, too, has its session here before that is taken */
		if (from != GW_FIRST && w->number != GW_FIRST)
			drain_from(w, GW_FIRST, now);
		if (!take_message(w, m, now))
			return;
		gw_crossing_release(w->cross, from, w->number);
	}
}

void gw_worker_drain(struct gw_worker *w, copse_ms now)
{
	for (unsigned from = 0; from < gw_crossing_workers(w->cross); from++)
		if (from != w->number)
			drain_from(w, from, now);
}
