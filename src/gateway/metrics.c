/* See metrics.h. The registries name each counter and say what one count means: nothing is written twice.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "metrics.h"

#include "group.h"
#include "worker_state.h"

#include "store/service.h"

#include <copse/host.h>

#include <stdarg.h>
#include <stdio.h>

struct text {
	char *buf;
	size_t cap, len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
	size_t left = t->len < t->cap ? t->cap - t->len : 0;
	va_list args;

	va_start(args, fmt);
	t->len += (size_t)vsnprintf(left ? t->buf + t->len : NULL, left, fmt, args);
	va_end(args);
}

static void put_counter(struct text *t, const char *of, const char *name, const char *help, uint64_t value)
{
	put(t, "# TYPE copse_%s_%s counter\n# HELP copse_%s_%s %s\ncopse_%s_%s_total %llu\n", of, name, of,
	    name, help, of, name, (unsigned long long)value);
}

static void put_gauge(struct text *t, const char *name, const char *help, uint64_t value)
{
	put(t, "# TYPE copse_%s gauge\n# HELP copse_%s %s\ncopse_%s %llu\n", name, name, help, name,
	    (unsigned long long)value);
}

static void put_gateway(struct text *t, const struct gw_worker *w)
{
	const struct gw_counters *c = &w->counters;

#define COUNTER(name, help) put_counter(t, "gateway", #name, help, c->name);
#include <copse/registry/gateway_counters.def>
#undef COUNTER
}

static void put_cache(struct text *t, const struct gw_worker *w)
{
	const struct gw_cache_counters *c = gw_cache_counters(w->cache);

#define COUNTER(name, help) put_counter(t, "cache", #name, help, c->name);
#include <copse/registry/cache_counters.def>
#undef COUNTER
}

static void put_endpoint(struct text *t, const struct gw_worker *w)
{
	const struct copse_endpoint_counters *c = copse_endpoint_counters(w->ep);

#define COUNTER(name, help) put_counter(t, "endpoint", #name, help, c->name);
#include <copse/registry/endpoint_counters.def>
#undef COUNTER
}

static void put_server(struct text *t, const struct gw_worker *w)
{
	const struct copse_server_counters *c = copse_server_counters(w->server);

#define COUNTER(name, help) put_counter(t, "server", #name, help, c->name);
#include <copse/registry/server_counters.def>
#undef COUNTER
}

static void put_directory(struct text *t, const struct gw_worker *w)
{
	const struct gw_directory_counters *c = gw_directory_counters(gw_rd_directory(w->rd));

#define COUNTER(name, help) put_counter(t, "directory", #name, help, c->name);
#include <copse/registry/directory_counters.def>
#undef COUNTER
	put_gauge(t, "directory_endpoints", "endpoints that are registered",
		  gw_directory_count(gw_rd_directory(w->rd)));
}

static void put_usage(struct text *t, const struct gw_worker *w)
{
	struct gw_cache_usage cache;
	struct gw_lanes_usage lanes;
	struct gw_observe_usage observe;

	gw_observations_usage(w->observations, &observe);
	gw_cache_usage(w->cache, &cache);
	gw_lanes_usage(w->lanes, &lanes);
	put_gauge(t, "gateway_sessions", "sessions that are open", gw_sessions_count(w->sessions));
	put_gauge(t, "gateway_requests", "proxy requests under way, unacknowledged answers included",
		  w->requests_used);
	put_gauge(t, "gateway_lanes", "devices that have a request under way", lanes.lanes);
	put_gauge(t, "gateway_waiting", "requests that wait in queues of lanes", lanes.waiting);
	put_gauge(t, "gateway_observations", "registrations at devices, shared by observers",
		  observe.observations);
	put_gauge(t, "gateway_observers", "clients that observe", observe.observers);
	put_gauge(t, "gateway_notifying", "confirmable notifications under way", w->notifying);
	put_gauge(t, "gateway_groups", "requests to groups under way", gw_groups_count(w->groups));
	put_gauge(t, "gateway_gathers_open", "blocks being put together of a device's smaller ones",
		  gw_gathers_count(w->gathers));
	put_gauge(t, "gateway_transfers_open", "bodies on their way in several blocks",
		  gw_transfers_count(w->transfers));
	put_gauge(t, "gateway_grants", "distinct rules of tokens", gw_grants_count(w->grants));
	put_gauge(t, "gateway_account_rates", "accounts whose rate is watched",
		  gw_rates_count(w->account_rates));
	put_gauge(t, "gateway_device_rates", "devices whose rate is watched",
		  gw_rates_count(w->device_rates));
	put_gauge(t, "cache_entries", "answers in the cache", cache.entries);
	put_gauge(t, "cache_bytes", "bytes of the cache in use", cache.bytes);
}

static void put_endpoint_usage(struct text *t, const struct gw_worker *w)
{
	struct copse_endpoint_usage u;

	copse_endpoint_usage(w->ep, &u);
	put_gauge(t, "endpoint_exchanges", "requests and confirmable messages of ours under way",
		  u.exchanges);
	put_gauge(t, "endpoint_incoming", "messages remembered for duplicate detection", u.incoming);
	put_gauge(t, "endpoint_peers", "peers that requests are sent to", u.peers);
	put_gauge(t, "endpoint_chunks", "pieces of messages that may have to be sent again", u.chunks);
	put_gauge(t, "endpoint_replies", "acknowledgements and resets not yet sent", u.replies);
}

static void put_dtls(struct text *t, const struct gw_worker *w, bool mesh)
{
	const char *of = mesh ? "dtls_mesh" : "dtls_clients";
	struct copse_dtls_counters count = {0}, *c = &count;
	struct copse_dtls_usage usage = {0};

	if (w->around.dtls)
		w->around.dtls(w->around.self, mesh, c, &usage);
#define COUNTER(name, help) put_counter(t, of, #name, help, c->name);
#include <copse/registry/dtls_counters.def>
#undef COUNTER
	put_gauge(t, mesh ? "dtls_mesh_open" : "dtls_clients_open", "associations that are open",
		  usage.associations);
	put_gauge(t, mesh ? "dtls_mesh_shaking" : "dtls_clients_shaking", "handshakes under way",
		  usage.handshakes);
}

static void put_collector(struct text *t, const struct gw_worker *w)
{
	struct store_service_counters store;

	if (!w->collector)
		return;
	const struct gw_collector_counters *c = gw_collector_counters(w->collector);
#define COUNTER(name, help) put_counter(t, "collector", #name, help, c->name);
#include <copse/registry/collector_counters.def>
#undef COUNTER
	if (!gw_collector_store_counters(w->collector, &store))
		return;
#define COUNTER(name, help) put_counter(t, "store", #name, help, store.name);
#include <copse/registry/store_counters.def>
#undef COUNTER
}

#define TRANSPORTS_MAX 64

/* One family for each counter, with a line for each socket: what belongs together must stand together. */
static void put_transports(struct text *t, const struct gw_worker *w)
{
	const struct copse_transport *transport[TRANSPORTS_MAX];
	char address[TRANSPORTS_MAX][COPSE_ADDRESS_TEXT];
	struct copse_address local;
	size_t n = 0;

	while (w->around.transport && n < TRANSPORTS_MAX &&
	       (transport[n] = w->around.transport(w->around.self, n)) != NULL) {
		copse_transport_local(transport[n], NULL, &local);
		copse_address_text(&local, address[n], sizeof(address[n]));
		n++;
	}
	for (size_t i = 0; n > 0 && i < copse_transport_counter_n(); i++) {
		const char *name = copse_transport_counter_name(i);
		put(t, "# TYPE copse_transport_%s counter\n# HELP copse_transport_%s %s\n", name, name,
		    copse_transport_counter_text(i));
		for (size_t k = 0; k < n; k++)
			put(t, "copse_transport_%s_total{scheme=\"%s\",address=\"%s\"} %llu\n", name,
			    transport[k]->scheme, address[k],
			    (unsigned long long)copse_transport_counter(transport[k], i));
	}
}

static void put_host(struct text *t, const struct gw_worker *w)
{
	const struct copse_host_counters *c =
	    w->around.host_counters ? w->around.host_counters(w->around.self) : NULL;

	if (!c)
		return;
#define COUNTER(name, help) put_counter(t, "host", #name, help, c->name);
#include <copse/registry/host_counters.def>
#undef COUNTER
}

size_t gw_metrics_text(const struct gw_worker *w, char *buf, size_t cap)
{
	struct text t = {buf, cap, 0};

	put_gateway(&t, w);
	put_cache(&t, w);
	put_endpoint(&t, w);
	put_server(&t, w);
	if (w->rd)
		put_directory(&t, w);
	put_usage(&t, w);
	put_endpoint_usage(&t, w);
	put_dtls(&t, w, false);
	put_dtls(&t, w, true);
	put_collector(&t, w);
	put_host(&t, w);
	put_transports(&t, w);
	put(&t, "# EOF\n");
	return t.len;
}
