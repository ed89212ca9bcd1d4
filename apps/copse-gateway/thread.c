/* See thread.h. Two threads meet here: the one that owns the worker and its loop, and the one that reads
 * signals and configurations. A new configuration crosses in one atomic slot, of which the newest wins;
 * what workers share is crossing.h's.
 *
 * The sockets towards clients have the same ids in every worker: a client is the same peer to all of them. Each of the
 * others has its place in every worker too; where it is another's, a stand-in (far.h) sends by the ring.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "thread.h"
#include "stream.h"

#include "far.h"

#include "gateway/worker.h"

#include <copse/dtls.h>
#include <copse/host.h>
#include <copse/mem.h>

#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct gw_snapshot *gw_snapshot_new(struct gw_config *config, unsigned holders)
{
	struct gw_snapshot *snapshot = copse_mem_new(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->config = config;
	atomic_init(&snapshot->holders, holders);
	return snapshot;
}

void gw_snapshot_let_go(struct gw_snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub(&snapshot->holders, 1) > 1)
		return;
	gw_config_free(snapshot->config);
	copse_mem_free(snapshot);
}

struct gw_thread {
	/* shared */
	_Atomic(struct gw_snapshot *) next; /* to be adopted; NULL: nothing new */
	_Atomic bool end;                   /* it is to end, and to say `ended` */
	/* the starter's, and the thread's once `end` is set */
	void (*ended)(void *self);
	void *ended_self;
	/* the starter's */
	pthread_t thread;
	bool started;
	/* the worker's thread's, once started */
	struct gw_snapshot *snapshot;
	const struct gw_config *config; /* of `snapshot` */
	struct gw_log *log;
	struct gw_crossing *cross; /* NULL: it is the only one */
	unsigned number, workers;
	const struct gw_thread *first; /* NULL: it is the first */
	struct copse_transport *common[GW_LISTEN_MAX];
	size_t common_n;
	struct copse_prepare before, last, ending;
	bool is_ending, has_ended;
	struct copse_loop *loop;
	struct copse_host *host;
	struct copse_transport *mesh, *secure_mesh;    /* secure_mesh: NULL without keys */
	struct copse_transport *stream_mesh[2];        /* to devices by TCP, and TLS: NULL without keys */
	struct copse_transport *secure[GW_LISTEN_MAX]; /* towards clients, by DTLS */
	size_t secure_n;
	struct copse_transport *stream[2 * GW_LISTEN_MAX]; /* and by connections, in the order of opening */
	size_t stream_n;
	struct copse_handshake_pool *pool; /* of handshakes; NULL: none */
	struct gw_worker *worker;
};

/* --- what the worker asks of its surroundings --- */

static int mesh_peer(void *self, const struct copse_address *address, bool secure, bool stream,
		     struct copse_peer *peer)
{
	const struct gw_thread *t = self;
	struct copse_transport *way = stream ? t->stream_mesh[secure] : secure ? t->secure_mesh : t->mesh;

	/* keys that came with a reload: there is no socket before the next start */
	return way ? copse_transport_peer(way, address, peer) : COPSE_ERR_ARGUMENT;
}

/* A device that is not the one it should be, or that takes us for somebody else: the operator has to know. */
static void refused(void *self, const struct copse_peer *peer, const char *why)
{
	const struct gw_thread *t = self;
	char text[COPSE_ADDRESS_TEXT + 16];

	gw_log(t->log, GW_LOG_WARN, "mesh", "no secure association with a device",
	       {"address", copse_peer_text(peer, text, sizeof(text))}, {"why", why});
}

static const char *mesh_why(void *self, const struct copse_peer *peer)
{
	const struct gw_thread *t = self;

	const struct copse_transport *by = copse_host_transport(t->host, peer);
	bool network = true;
	const char *why = NULL;

	if (by && by == t->stream_mesh[1])
		why = copse_tcp_failure(by, &network);
	else if (by && by == t->secure_mesh)
		return copse_dtls_why(t->secure_mesh, peer);
	if (network)
		return NULL;
	refused(self, peer, why);
	return why;
}

static bool proved(void *self, const struct copse_peer *peer)
{
	const struct gw_thread *t = self;
	const struct copse_transport *from = copse_host_transport(t->host, peer);

	return from && (copse_transport_is_dtls(from) || copse_transport_is_tls(from) || far_is_secure(from));
}

static void add_counters(const struct copse_transport *from, struct copse_dtls_counters *sum,
			 struct copse_dtls_usage *usage)
{
	const struct copse_dtls_counters *c = copse_dtls_counters(from);
	struct copse_dtls_usage u;

#define COUNTER(name, text) sum->name += c->name;
#include <copse/registry/dtls_counters.def>
#undef COUNTER
	copse_dtls_usage(from, &u);
	usage->associations += u.associations;
	usage->handshakes += u.handshakes;
}

static void dtls(void *self, bool mesh, struct copse_dtls_counters *sum, struct copse_dtls_usage *usage)
{
	const struct gw_thread *t = self;

	if (mesh && t->secure_mesh)
		add_counters(t->secure_mesh, sum, usage);
	for (size_t i = 0; !mesh && i < t->secure_n; i++)
		add_counters(t->secure[i], sum, usage);
}

static void tcp(void *self, struct copse_tcp_counters *sum, struct copse_tcp_usage *usage)
{
	const struct gw_thread *t = self;

	gw_stream_counters(t->host, sum, usage);
}

static void local(void *self, const struct copse_peer *peer, struct copse_address *address)
{
	const struct gw_thread *t = self;

	copse_transport_local(copse_host_transport(t->host, peer), peer, address);
}

static int64_t wall(void *self)
{
	struct timespec now;

	(void)self;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static int64_t wall_us(void *self)
{
	struct timespec now;

	(void)self;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* From the store's thread. */
static void wake(void *self)
{
	const struct gw_thread *t = self;

	copse_loop_wake(t->loop);
}

/* Of connections towards devices, as long as there are none. */
static bool is_unused(const struct gw_thread *t, const struct copse_transport *at)
{
	return (at == t->stream_mesh[0] || at == t->stream_mesh[1]) && at->counters.sent == 0;
}

static const struct copse_transport *transport_at(void *self, size_t i)
{
	const struct gw_thread *t = self;
	const struct copse_transport *found = copse_host_transport_at(t->host, 0);

	for (size_t at = 0; found; found = copse_host_transport_at(t->host, ++at))
		if (!far_is(found) && !is_unused(t, found) && i-- == 0)
			return found;
	return NULL;
}

static const struct copse_host_counters *host_counters(void *self)
{
	const struct gw_thread *t = self;

	return copse_host_counters(t->host);
}

/* --- of one among several --- */

static void take(void *self, const struct copse_peer *peer, const void *bytes, size_t len, copse_ms now)
{
	const struct gw_thread *t = self;

	copse_host_take(t->host, peer, bytes, len, now);
}

static void unreachable(void *self, const struct copse_peer *peer, copse_ms now)
{
	const struct gw_thread *t = self;

	copse_host_unreachable(t->host, peer, now);
}

static bool pass(void *self, struct copse_datagram *datagram, copse_ms now)
{
	const struct gw_thread *t = self;

	return copse_host_pass(t->host, datagram, now);
}

static bool is_common(void *self, const struct copse_peer *peer)
{
	const struct gw_thread *t = self;
	uint16_t id = copse_peer_transport(peer);

	return id >= 1 && id <= t->common_n;
}

static void set_path(void *self, const struct copse_address *from, struct copse_peer *peer)
{
	const struct gw_thread *t = self;
	struct copse_address address;
	struct copse_peer found;

	if (!is_common(self, peer)) {
		struct copse_transport *at = copse_host_transport(t->host, peer);

		if (at && far_is(at))
			far_set_asked(at, from);
		return;
	}
	peer->path = 0;
	if (from->len && !copse_address_is_any(from) && copse_peer_address(peer, &address) == COPSE_OK &&
	    copse_udp_peer_from(copse_host_transport(t->host, peer), &address, from, &found) == COPSE_OK)
		peer->path = found.path;
}

static bool divert(void *self, const struct copse_datagram *datagram, copse_ms now)
{
	const struct gw_thread *t = self;

	return gw_worker_divert(t->worker, datagram, now);
}

static void told_unreachable(void *self, const struct copse_peer *peer, copse_ms now)
{
	const struct gw_thread *t = self;

	(void)now;
	gw_worker_unreachable(t->worker, peer);
}

static bool reply(void *self, unsigned to, const struct copse_datagram *datagram)
{
	const struct gw_thread *t = self;

	return gw_worker_reply(t->worker, to, datagram);
}

/* Before everything else that is done before the loop sleeps: what has come by the rings. */
static void before_all(void *self, copse_ms now)
{
	const struct gw_thread *t = self;

	gw_crossing_awake(t->cross, t->number);
	gw_worker_drain(t->worker, now);
}

/* And behind everything else: let others know what has been sent to them, and sleep if there is nothing new. */
static void after_all(void *self, copse_ms now)
{
	const struct gw_thread *t = self;

	(void)now;
	gw_crossing_wake(t->cross, t->number);
	if (!gw_crossing_sleep(t->cross, t->number))
		copse_loop_wake(t->loop);
}

/* --- what the host asks of the worker --- */

static void event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	const struct gw_thread *t = self;

	(void)ep;
	gw_worker_event(t->worker, event, now);
}

static size_t at_once(void *self, const struct copse_peer *peer, const uint8_t *bytes, size_t len,
		      uint8_t *answer, size_t cap, copse_ms now)
{
	const struct gw_thread *t = self;

	if (t->cross) /* what has been changed by way of another worker is not answered as it was */
		gw_worker_drain(t->worker, now);
	return gw_worker_at_once(t->worker, peer, bytes, len, answer, cap, now);
}

static void behind(void *self, bool is)
{
	const struct gw_thread *t = self;

	gw_worker_behind(t->worker, is);
}

static copse_ms deadline(void *self)
{
	const struct gw_thread *t = self;

	return gw_worker_deadline(t->worker);
}

static void expire(void *self, copse_ms now)
{
	const struct gw_thread *t = self;

	gw_worker_expire(t->worker, now);
}

/* --- making it --- */

/* The one that says where clients are listened to: while sockets are still added to a port, the system spreads clients
 * otherwise than it will. */
static bool is_last(const struct gw_thread *t)
{
	return t->number + 1 == t->workers;
}

static struct copse_transport *listen_at(struct gw_thread *t, const struct copse_address *bind, uint8_t group,
					 const char *what)
{
	const bool clients = group == GW_GROUP_CLIENTS;
	const struct copse_udp_config udp = {.bind = *bind,
					     .group = group,
					     .share_port = clients && t->cross && !t->first,
					     .reuse_port = clients && t->first,
					     .spread = gw_cross_spread(t->config, t->workers),
					     .segment = t->config->segmentation,
					     .hop_limit = clients ? 0 : t->config->mesh_hops};
	char why[256], text[COPSE_ADDRESS_TEXT];
	struct copse_address local;
	struct copse_transport *transport = copse_host_listen(t->host, &udp, why, sizeof(why));

	if (!transport) {
		gw_log(t->log, GW_LOG_ERROR, "gateway", why, {"for", what});
		return NULL;
	}
	if (copse_udp_warning(transport))
		gw_log(t->log, GW_LOG_WARN, "gateway", copse_udp_warning(transport), {"for", what});
	copse_transport_local(transport, NULL, &local);
	copse_address_text(&local, text, sizeof(text));
	if (clients && !is_last(t))
		return transport;
	if (clients)
		gw_log(t->log, GW_LOG_INFO, "gateway", "listening", {"address", text});
	else
		gw_log(t->log, GW_LOG_INFO, "gateway", "towards the mesh", {"address", text});
	return transport;
}

/* From within a transport: the worker is not at work then. */
static void ended(void *self, const struct copse_peer *peer)
{
	const struct gw_thread *t = self;

	gw_worker_gone(t->worker, peer, copse_loop_now(t->loop));
}

static struct copse_transport *open_secure(struct gw_thread *t, const struct copse_dtls_config *config,
					   const char *what)
{
	char why[256], text[COPSE_ADDRESS_TEXT];
	struct copse_transport *transport;
	struct copse_address local;

	if (copse_dtls_open(config, &transport, why, sizeof(why)) != COPSE_OK) {
		gw_log(t->log, GW_LOG_ERROR, "gateway", why, {"for", what});
		return NULL;
	}
	if (copse_host_attach(t->host, transport) != COPSE_OK) {
		copse_transport_close(transport);
		return NULL;
	}
	if (copse_udp_warning(copse_dtls_below(transport)))
		gw_log(t->log, GW_LOG_WARN, "gateway", copse_udp_warning(copse_dtls_below(transport)),
		       {"for", what});
	copse_transport_local(transport, NULL, &local);
	copse_address_text(&local, text, sizeof(text));
	if (config->ended && !is_last(t))
		return transport;
	gw_log(t->log, GW_LOG_INFO, "gateway",
	       config->ended ? "listening, secure" : "towards the mesh, secure", {"address", text});
	return transport;
}

/* Flights towards the mesh are as slow as messages are: RFC 6347 §4.2.4.1 leaves the timer to who knows
 * the network. */
static bool open_secure_mesh(struct gw_thread *t)
{
	const struct gw_config *c = t->config;
	struct copse_dtls_config dtls = {
	    .udp = {.bind = c->mesh_bind, .group = GW_GROUP_MESH, .segment = c->segmentation},
	    .secure = c->mesh_keys,
	    .associations = gw_cross_share(t->workers, c->associations),
	    .handshakes = c->handshakes,
	    .pool = t->pool,
	    .idle_ms = c->association_idle_ms,
	    .retransmit_ms = c->mesh.ack_timeout_ms / 4 + 100,
	    .handshake_ms = 6 * (copse_ms)c->mesh.ack_timeout_ms + 2000,
	    .stale_ms = 2 * (copse_ms)c->mesh.ack_timeout_ms,
	    .refused = refused,
	    .self = t};

	copse_address_set_port(&dtls.udp.bind, 0); /* the other socket may have a port of its own */
	t->secure_mesh = open_secure(t, &dtls, "mesh.bind");
	return t->secure_mesh != NULL;
}

/* A connection is the worker's that the system gives it to. */
static bool listen_stream(struct gw_thread *t, const struct copse_address *bind, uint8_t kind,
			  struct copse_secure *keys)
{
	const struct gw_stream_ended told = {ended, t};
	const struct gw_stream_place place = {.kind = (enum gw_stream)kind,
					      .workers = t->workers,
					      .follows = t->first != NULL,
					      .pool = t->pool,
					      .tells = is_last(t)};
	struct copse_address at = *bind;

	if (t->first) /* where the system chose the port, it is the same one */
		copse_transport_local(t->first->stream[t->stream_n], NULL, &at);
	t->stream[t->stream_n] = gw_stream_open(t->host, t->config, t->log, &at, keys, &place, &told);
	return t->stream[t->stream_n++] != NULL;
}

/* By address and port the system gives all datagrams of a client to the same worker, as long as no socket comes or goes:
 * an association lives where its first datagram came. */
static bool open_secure_clients(struct gw_thread *t)
{
	const struct gw_config *c = t->config;
	const unsigned n = t->workers;

	for (size_t i = 0; c->client_keys && i < c->secure_listen_n; i++) {
		if (c->secure_listen_stream[i]) {
			if (!listen_stream(t, &c->secure_listen[i], c->secure_listen_stream[i],
					   c->client_keys))
				return false;
			continue;
		}
		struct copse_dtls_config dtls = {.udp = {.bind = c->secure_listen[i],
							 .group = GW_GROUP_CLIENTS,
							 .share_port = t->cross && !t->first,
							 .reuse_port = t->first != NULL,
							 .spread = gw_cross_spread(t->config, t->workers),
							 .segment = c->segmentation},
						 .secure = c->client_keys,
						 .associations = gw_cross_share(n, c->associations),
						 .handshakes = gw_cross_share(n, c->handshakes),
						 .pool = t->pool,
						 .rate = gw_cross_share(n, c->handshake_rate),
						 .idle_ms = c->association_idle_ms,
						 .ended = ended,
						 .self = t};

		if (t->first)
			copse_transport_local(t->first->secure[t->secure_n], NULL, &dtls.udp.bind);
		t->secure[t->secure_n] = open_secure(t, &dtls, "secure.listen");
		if (!t->secure[t->secure_n])
			return false;
		t->secure_n++;
	}
	return true;
}

/* Keys of a new configuration, for handshakes from now on. */
static void adopt_keys(struct gw_thread *t, const struct gw_config *next)
{
	for (size_t i = 0; next->client_keys && i < t->secure_n; i++)
		copse_dtls_adopt(t->secure[i], next->client_keys);
	gw_stream_adopt(t->host, next->client_keys);
	if (next->mesh_keys && t->secure_mesh)
		copse_dtls_adopt(t->secure_mesh, next->mesh_keys);
	if (next->mesh_keys && t->stream_mesh[1])
		copse_tcp_adopt(t->stream_mesh[1], next->mesh_keys);
}

static bool make_host(struct gw_thread *t)
{
	struct copse_host_config config = COPSE_HOST_DEFAULT;
	const struct copse_handler handler = {.event = event,
					      .self = t,
					      .deadline = deadline,
					      .expire = expire,
					      .at_once = at_once,
					      .behind = behind,
					      .divert = t->cross ? divert : NULL,
					      .unreachable = t->cross ? told_unreachable : NULL};

	gw_worker_endpoint_config(t->config, t->workers, t->number, &config.endpoint);
	config.transports = (uint16_t)(GW_LISTEN_MAX + t->workers * (2 * GW_LISTEN_MAX + 4));
	config.send_size = t->config->max_message + COPSE_HEADER_LEN + COPSE_TOKEN_MAX;
	if (config.send_size < GW_LOCAL_MESSAGE)
		config.send_size = GW_LOCAL_MESSAGE;
	t->host = copse_host_new(&config, &handler, t->loop, copse_clock_ms());
	return t->host != NULL;
}

static bool make_worker(struct gw_thread *t)
{
	const struct gw_surroundings around = {.log = t->log,
					       .self = t,
					       .mesh_peer = mesh_peer,
					       .mesh_why = mesh_why,
					       .local = local,
					       .proved = proved,
					       .dtls = dtls,
					       .tcp = tcp,
					       .wall = wall,
					       .wall_us = wall_us,
					       .wake = wake,
					       .transport = transport_at,
					       .host_counters = host_counters,
					       .cross = t->cross,
					       .worker = t->number,
					       .take = take,
					       .unreachable = unreachable,
					       .pass = pass,
					       .is_common = is_common,
					       .set_path = set_path};

	t->worker = gw_worker_new(t->config, &around, copse_host_endpoint(t->host), copse_clock_ms());
	return t->worker != NULL;
}

/* Join a group on the interfaces that the collector listens on; without any, on all that there are. */
static void join(struct gw_thread *t, struct copse_transport *transport, const char *group)
{
	const struct gw_collector_config *c = &t->config->collector;
	struct copse_address address;
	char text[COPSE_ADDRESS_TEXT];
	int joined = 0;

	if (copse_address_parse(group, COPSE_PORT, &address) != 0)
		return;
	if (c->interface_n == 0)
		joined = copse_udp_join(transport, &address, 0);
	for (size_t i = 0; i < c->interface_n; i++)
		joined |= copse_udp_join(transport, &address, if_nametoindex(c->interface[i])) > 0;
	copse_address_text(&address, text, sizeof(text));
	if (joined > 0)
		gw_log(t->log, GW_LOG_INFO, "collector", "joined", {"group", text});
	else
		gw_log(t->log, GW_LOG_WARN, "collector", "cannot join", {"group", text});
}

/* The groups of interest: ff02::1:feXX:XXXX for each sensor type, and all CoAP nodes. Only a socket on
 * every address takes what is sent to a group. */
static void join_groups(struct gw_thread *t, struct copse_transport *transport,
			const struct copse_address *bind)
{
	const struct gw_collector_config *c = &t->config->collector;
	char group[40];

	if (!c->path[0] || bind->sa.sa_family != AF_INET6 || !copse_address_is_any(bind))
		return;
	join(t, transport, COPSE_GROUP_LINK);
	for (size_t i = 0; i < c->type_n; i++) {
		snprintf(group, sizeof(group), "ff02::1:fe%02x:%04x", c->type[i] >> 16, c->type[i] & 0xffff);
		join(t, transport, group);
	}
}

static bool open_common(struct gw_thread *t)
{
	struct copse_address bind;

	for (size_t i = 0; i < t->config->listen_n; i++) {
		const size_t at = t->common_n;

		if (t->config->listen_stream[i])
			continue;
		bind = t->config->listen[i];
		if (t->first) /* where the system chose the port, it is the same one */
			copse_transport_local(t->first->common[at], NULL, &bind);
		t->common[at] = listen_at(t, &bind, GW_GROUP_CLIENTS, "listen");
		if (!t->common[at])
			return false;
		t->common_n++;
		if (!t->first)
			join_groups(t, t->common[at], &t->config->listen[i]);
	}
	return true;
}

/* Nothing is connected before a device is asked. */
static bool open_stream_mesh(struct gw_thread *t)
{
	struct copse_secure *const keys[2] = {NULL, t->config->mesh_keys};

	for (size_t i = 0; i < 2; i++) {
		if (i && !keys[i])
			continue;
		t->stream_mesh[i] = gw_stream_to_mesh(t->host, t->config, t->log, keys[i], t->pool);
		if (!t->stream_mesh[i])
			return false;
	}
	return true;
}

/* A port of the configuration's is the first worker's; the others take those behind it. */
static bool open_mesh(struct gw_thread *t)
{
	struct copse_address bind = t->config->mesh_bind;

	if (copse_address_port(&bind))
		copse_address_set_port(&bind, (uint16_t)(copse_address_port(&bind) + t->number));
	t->mesh = listen_at(t, &bind, GW_GROUP_MESH, "mesh.bind");
	return t->mesh && (!t->config->mesh_keys || open_secure_mesh(t)) && open_stream_mesh(t);
}

static bool stand_in(struct gw_thread *t, unsigned of, bool secure)
{
	struct copse_transport *far = far_open(of, secure, reply, t);

	if (far && copse_host_attach(t->host, far) == COPSE_OK)
		return true;
	copse_transport_close(far);
	return false;
}

/* In the place of each socket that worker `of` has for itself, as open_sockets opens them there. */
static bool open_far(struct gw_thread *t, unsigned of)
{
	const struct gw_config *c = t->config;
	const size_t mesh = c->mesh_keys ? 1 : 0, clients = c->client_keys ? c->secure_listen_n : 0;
	bool ok = stand_in(t, of, false) && (!mesh || stand_in(t, of, true));

	ok = ok && stand_in(t, of, false) && (!mesh || stand_in(t, of, true)); /* open_stream_mesh */
	for (size_t i = 0; i < clients; i++)
		ok = ok && stand_in(t, of, true);
	for (size_t i = 0; i < c->listen_n; i++)
		ok = ok && (!c->listen_stream[i] || stand_in(t, of, false));
	return ok;
}

static bool open_streams(struct gw_thread *t)
{
	const struct gw_config *c = t->config;

	for (size_t i = 0; i < c->listen_n; i++)
		if (c->listen_stream[i] && !listen_stream(t, &c->listen[i], c->listen_stream[i], NULL))
			return false;
	return true;
}

/* In the same order at each worker: so a socket has the same id everywhere. */
static bool open_sockets(struct gw_thread *t)
{
	if (!open_common(t))
		return false;
	for (unsigned of = 0; of < t->workers; of++) {
		if (of != t->number) {
			if (!open_far(t, of))
				return false;
			continue;
		}
		if (!open_mesh(t) || !open_secure_clients(t) || !open_streams(t))
			return false;
	}
	return true;
}

/* The very last: what has come by the rings, and what was sent, may have ended the last request. It does not stop by itself,
 * since answers of other workers may leave by its sockets. */
static void look_for_end(void *self, copse_ms now)
{
	struct gw_thread *t = self;

	(void)now;
	if (!t->is_ending || t->has_ended || !gw_worker_has_ended(t->worker))
		return;
	t->has_ended = true;
	t->ended(t->ended_self);
}

static void begin_end(struct gw_thread *t, copse_ms now)
{
	t->is_ending = true;
	gw_worker_end(t->worker, now);
}

static void woken(void *self, copse_ms now)
{
	struct gw_thread *t = self;
	struct gw_snapshot *next = atomic_exchange(&t->next, NULL);

	gw_worker_woken(t->worker, now);
	if (!t->is_ending && atomic_load(&t->end))
		begin_end(t, now);
	if (!next)
		return;
	gw_worker_adopt(t->worker, next->config, now);
	adopt_keys(t, next->config);
	gw_snapshot_let_go(t->snapshot); /* lent to nobody any more */
	t->snapshot = next;
	t->config = next->config;
}

static void wake_loop(void *self)
{
	const struct gw_thread *t = self;

	copse_loop_wake(t->loop);
}

/* The loop calls first what was prepared last. */
static bool make(struct gw_thread *t)
{
	t->loop = copse_loop_new();
	if (!t->loop)
		return false;
	t->ending = (struct copse_prepare){.before = look_for_end, .self = t};
	copse_loop_prepare(t->loop, &t->ending);
	t->last = (struct copse_prepare){.before = after_all, .self = t};
	if (t->cross)
		copse_loop_prepare(t->loop, &t->last);
	if (!make_host(t) || !make_worker(t))
		return false;
	t->before = (struct copse_prepare){.before = before_all, .self = t};
	if (!t->cross)
		return true;
	copse_loop_prepare(t->loop, &t->before);
	gw_crossing_on_wake(t->cross, t->number, wake_loop, t);
	return true;
}

struct gw_thread *gw_thread_new(struct gw_snapshot *snapshot, struct gw_log *log, struct gw_crossing *cross,
				struct copse_handshake_pool *pool, unsigned number,
				const struct gw_thread *first)
{
	struct gw_thread *t = copse_mem_new(1, sizeof(*t));

	if (!t)
		return NULL;
	t->config = snapshot->config;
	t->log = log;
	t->cross = cross;
	t->pool = pool;
	t->number = number;
	t->workers = cross ? gw_crossing_workers(cross) : 1;
	t->first = first;
	if (!make(t)) {
		gw_log(log, GW_LOG_ERROR, "gateway", "out of memory");
	} else if (open_sockets(t)) {
		copse_loop_on_wake(t->loop, woken, t);
		t->snapshot = snapshot;
		return t;
	}
	gw_thread_free(t);
	return NULL;
}

static void *run(void *self)
{
	struct gw_thread *t = self;
	char name[16];

	snprintf(name, sizeof(name), "worker-%u", t->number);
	pthread_setname_np(pthread_self(), name);
	copse_loop_run(t->loop);
	gw_worker_close(t->worker, copse_loop_refresh(t->loop));
	copse_loop_stop(t->loop);
	copse_loop_run(t->loop); /* what is to be sent leaves, nothing is taken any more */
	return NULL;
}

int gw_thread_start(struct gw_thread *t)
{
	sigset_t all, old;

	sigfillset(&all); /* signals are for the thread that starts this one */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	t->started = err == 0;
	return err;
}

void gw_thread_adopt(struct gw_thread *t, struct gw_snapshot *snapshot)
{
	gw_snapshot_let_go(atomic_exchange(&t->next, snapshot));
	copse_loop_wake(t->loop);
}

void gw_thread_end(struct gw_thread *t, void (*told)(void *self), void *self)
{
	t->ended = told;
	t->ended_self = self;
	atomic_store(&t->end, true);
	copse_loop_wake(t->loop);
}

void gw_thread_halt(struct gw_thread *t)
{
	copse_loop_stop(t->loop);
}

void gw_thread_wait(struct gw_thread *t)
{
	if (t->started)
		pthread_join(t->thread, NULL);
	t->started = false;
}

void gw_thread_pass_on(struct gw_thread *t)
{
	COPSE_ASSERT(!t->started);
	copse_loop_refresh(t->loop);
	copse_loop_stop(t->loop);
	copse_loop_run(t->loop);
}

void gw_thread_free(struct gw_thread *t)
{
	if (!t)
		return;
	if (t->started)
		gw_thread_halt(t);
	gw_thread_wait(t);
	copse_host_free(t->host);
	gw_worker_free(t->worker);
	copse_loop_free(t->loop);
	gw_snapshot_let_go(atomic_exchange(&t->next, NULL));
	gw_snapshot_let_go(t->snapshot);
	copse_mem_free(t);
}
