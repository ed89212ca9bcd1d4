/* See thread.h. Two threads meet here: the one that owns the worker and its loop, and the one that reads
 * signals and configurations. A new configuration crosses in one atomic slot, of which the newest wins;
 * nothing else is shared.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "thread.h"

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

struct gw_thread {
	/* shared */
	_Atomic(struct gw_config *) next; /* to be adopted; NULL: nothing new */
	/* the starter's */
	pthread_t thread;
	bool started;
	/* the worker's thread's, once started */
	struct gw_config *config;
	struct gw_log *log;
	struct copse_loop *loop;
	struct copse_host *host;
	struct copse_transport *mesh, *secure_mesh;    /* secure_mesh: NULL without keys */
	struct copse_transport *secure[GW_LISTEN_MAX]; /* towards clients */
	size_t secure_n;
	struct gw_worker *worker;
};

/* --- what the worker asks of its surroundings --- */

static int mesh_peer(void *self, const struct copse_address *address, bool secure, struct copse_peer *peer)
{
	const struct gw_thread *t = self;

	if (secure &&
	    !t->secure_mesh) /* keys that came with a reload: there is no socket before the next start */
		return COPSE_ERR_ARGUMENT;
	return copse_transport_peer(secure ? t->secure_mesh : t->mesh, address, peer);
}

static bool proved(void *self, const struct copse_peer *peer)
{
	const struct gw_thread *t = self;
	const struct copse_transport *from = copse_host_transport(t->host, peer);

	return from && copse_transport_is_dtls(from);
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

static const struct copse_transport *transport_at(void *self, size_t i)
{
	const struct gw_thread *t = self;

	return copse_host_transport_at(t->host, i);
}

static const struct copse_host_counters *host_counters(void *self)
{
	const struct gw_thread *t = self;

	return copse_host_counters(t->host);
}

/* --- what the host asks of the worker --- */

static void event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	const struct gw_thread *t = self;

	(void)ep;
	gw_worker_event(t->worker, event, now);
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

static struct copse_transport *listen_at(struct gw_thread *t, const struct copse_address *bind, uint8_t group,
					 const char *what)
{
	const struct copse_udp_config udp = {
	    .bind = *bind, .group = group, .hop_limit = group == GW_GROUP_MESH ? t->config->mesh_hops : 0};
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
	if (group == GW_GROUP_CLIENTS)
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
	gw_log(t->log, GW_LOG_INFO, "gateway",
	       config->ended ? "listening, secure" : "towards the mesh, secure", {"address", text});
	return transport;
}

/* Flights towards the mesh are as slow as messages are: RFC 6347 §4.2.4.1 leaves the timer to who knows
 * the network. */
static bool open_secure_mesh(struct gw_thread *t)
{
	const struct gw_config *c = t->config;
	struct copse_dtls_config dtls = {.udp = {.bind = c->mesh_bind, .group = GW_GROUP_MESH},
					 .secure = c->mesh_keys,
					 .associations = c->associations,
					 .handshakes = c->handshakes,
					 .idle_ms = c->association_idle_ms,
					 .retransmit_ms = c->mesh.ack_timeout_ms / 4 + 100,
					 .handshake_ms = 6 * (copse_ms)c->mesh.ack_timeout_ms + 2000,
					 .stale_ms = 2 * (copse_ms)c->mesh.ack_timeout_ms};

	if (!c->mesh_keys)
		return true;
	copse_address_set_port(&dtls.udp.bind, 0); /* the other socket may have a port of its own */
	t->secure_mesh = open_secure(t, &dtls, "mesh.bind");
	return t->secure_mesh != NULL;
}

static bool open_secure_clients(struct gw_thread *t)
{
	const struct gw_config *c = t->config;

	for (size_t i = 0; c->client_keys && i < c->secure_listen_n; i++) {
		const struct copse_dtls_config dtls = {
		    .udp = {.bind = c->secure_listen[i], .group = GW_GROUP_CLIENTS},
		    .secure = c->client_keys,
		    .associations = c->associations,
		    .handshakes = c->handshakes,
		    .rate = c->handshake_rate,
		    .idle_ms = c->association_idle_ms,
		    .ended = ended,
		    .self = t};

		t->secure[i] = open_secure(t, &dtls, "secure.listen");
		if (!t->secure[i])
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
	if (next->mesh_keys && t->secure_mesh)
		copse_dtls_adopt(t->secure_mesh, next->mesh_keys);
}

static bool make_host(struct gw_thread *t)
{
	struct copse_host_config config = COPSE_HOST_DEFAULT;
	const struct copse_handler handler = {event, t, deadline, expire};

	gw_worker_endpoint_config(t->config, &config.endpoint);
	config.transports = 2 * GW_LISTEN_MAX + 2;
	config.send_size = t->config->max_message + COPSE_HEADER_LEN + COPSE_TOKEN_MAX;
	if (config.send_size < COPSE_MESSAGE_LEN) /* of the local resources */
		config.send_size = COPSE_MESSAGE_LEN;
	t->host = copse_host_new(&config, &handler, t->loop, copse_clock_ms());
	return t->host != NULL;
}

static bool make_worker(struct gw_thread *t)
{
	const struct gw_surroundings around = {.log = t->log,
					       .self = t,
					       .mesh_peer = mesh_peer,
					       .local = local,
					       .proved = proved,
					       .dtls = dtls,
					       .wall = wall,
					       .wall_us = wall_us,
					       .wake = wake,
					       .transport = transport_at,
					       .host_counters = host_counters};

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

static bool open_sockets(struct gw_thread *t)
{
	t->mesh = listen_at(t, &t->config->mesh_bind, GW_GROUP_MESH, "mesh.bind");
	if (!t->mesh)
		return false;
	for (size_t i = 0; i < t->config->listen_n; i++) {
		struct copse_transport *transport =
		    listen_at(t, &t->config->listen[i], GW_GROUP_CLIENTS, "listen");
		if (!transport)
			return false;
		join_groups(t, transport, &t->config->listen[i]);
	}
	return open_secure_mesh(t) && open_secure_clients(t);
}

static void woken(void *self, copse_ms now)
{
	struct gw_thread *t = self;
	struct gw_config *next = atomic_exchange(&t->next, NULL);

	gw_worker_woken(t->worker, now);
	if (!next)
		return;
	gw_worker_adopt(t->worker, next, now);
	adopt_keys(t, next);
	gw_config_free(t->config); /* lent to nobody any more */
	t->config = next;
}

struct gw_thread *gw_thread_new(struct gw_config *config, struct gw_log *log)
{
	struct gw_thread *t = copse_mem_new(1, sizeof(*t));

	if (!t)
		return NULL;
	t->config = config;
	t->log = log;
	t->loop = copse_loop_new();
	if (!t->loop || !make_host(t) || !make_worker(t)) {
		gw_log(log, GW_LOG_ERROR, "gateway", "out of memory");
	} else if (open_sockets(t)) {
		copse_loop_on_wake(t->loop, woken, t);
		return t;
	}
	t->config = NULL;
	gw_thread_free(t);
	return NULL;
}

static void *run(void *self)
{
	struct gw_thread *t = self;

	copse_loop_run(t->loop);
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

void gw_thread_adopt(struct gw_thread *t, struct gw_config *config)
{
	gw_config_free(atomic_exchange(&t->next, config));
	copse_loop_wake(t->loop);
}

void gw_thread_free(struct gw_thread *t)
{
	if (!t)
		return;
	if (t->started) {
		copse_loop_stop(t->loop);
		pthread_join(t->thread, NULL);
	}
	copse_host_free(t->host);
	gw_worker_free(t->worker);
	copse_loop_free(t->loop);
	gw_config_free(atomic_exchange(&t->next, NULL));
	gw_config_free(t->config);
	copse_mem_free(t);
}
