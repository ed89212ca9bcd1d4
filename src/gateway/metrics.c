/* See metrics.h. The registries name each counter and say what one count means: nothing is written twice.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "metrics.h"

#include "group.h"
#include "worker_cross.h"

#include "store/service.h"

#include <copse/host.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

static void put_gateway(struct text *t, const struct gw_report *r)
{
#define COUNTER(name, help) put_counter(t, "gateway", #name, help, r->gateway.name);
#include <copse/registry/gateway_counters.def>
#undef COUNTER
}

static void put_cache(struct text *t, const struct gw_report *r)
{
#define COUNTER(name, help) put_counter(t, "cache", #name, help, r->cache.name);
#include <copse/registry/cache_counters.def>
#undef COUNTER
}

static void put_endpoint(struct text *t, const struct gw_report *r)
{
#define COUNTER(name, help) put_counter(t, "endpoint", #name, help, r->endpoint.name);
#include <copse/registry/endpoint_counters.def>
#undef COUNTER
}

static void put_server(struct text *t, const struct gw_report *r)
{
#define COUNTER(name, help) put_counter(t, "server", #name, help, r->server.name);
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

/* Name, help, and where the number comes from. What is the same at all workers is told by the first. */
#define GAUGES(GAUGE)                                                                                        \
	GAUGE(gateway_sessions, "sessions that are open", first ? gw_sessions_count(w->sessions) : 0)        \
	GAUGE(gateway_requests, "proxy requests under way, unacknowledged answers included",                 \
	      w->requests_used)                                                                              \
	GAUGE(gateway_lanes, "devices that have a request under way", lanes.lanes)                           \
	GAUGE(gateway_waiting, "requests that wait in queues of lanes", lanes.waiting)                       \
	GAUGE(gateway_observations, "registrations at devices, shared by observers", observe.observations)   \
	GAUGE(gateway_observers, "clients that observe", observe.observers)                                  \
	GAUGE(gateway_notifying, "confirmable notifications under way", w->notifying)                        \
	GAUGE(gateway_groups, "requests to groups under way", gw_groups_count(w->groups))                    \
	GAUGE(gateway_mail, "requests in the mailbox of devices that sleep",                                 \
	      w->mailbox ? gw_mailbox_count(w->mailbox) : 0)                                                 \
	GAUGE(gateway_mail_devices, "devices that requests in the mailbox are for",                          \
	      w->mailbox ? gw_mailbox_devices(w->mailbox) : 0)                                               \
	GAUGE(gateway_gathers_open, "blocks being put together of a device's smaller ones",                  \
	      gw_gathers_count(w->gathers))                                                                  \
	GAUGE(gateway_transfers_open, "bodies on their way in several blocks",                               \
	      gw_transfers_count(w->transfers))                                                              \
	GAUGE(gateway_grants, "distinct rules of tokens", first ? gw_grants_count(w->grants) : 0)            \
	GAUGE(gateway_account_rates, "accounts whose rate is watched", account_rates(w))                     \
	GAUGE(gateway_device_rates, "devices whose rate is watched", gw_rates_count(w->device_rates))        \
	GAUGE(cache_entries, "answers in the cache", cache.entries)                                          \
	GAUGE(cache_bytes, "bytes of the cache in use", cache.bytes)                                         \
	GAUGE(endpoint_exchanges, "requests and confirmable messages of ours under way", u.exchanges)        \
	GAUGE(endpoint_incoming, "messages remembered for duplicate detection", u.incoming)                  \
	GAUGE(endpoint_peers, "peers that requests are sent to", u.peers)                                    \
	GAUGE(endpoint_chunks, "pieces of messages that may have to be sent again", u.chunks)                \
	GAUGE(endpoint_replies, "acknowledgements and resets not yet sent", u.replies)

enum gauge {
#define GAUGE(name, help, value) GAUGE_##name,
	GAUGES(GAUGE)
#undef GAUGE
	    GAUGE_N
};
static_assert(GAUGE_N <= GW_REPORT_GAUGES, "a report has room for each");

static uint64_t account_rates(const struct gw_worker *w)
{
	if (!w->cross)
		return gw_rates_count(w->account_rates);
	return gw_cross_is_first(w) ? gw_crossing_rates(w->cross) : 0;
}

static void take_gauges(const struct gw_worker *w, uint64_t gauge[GAUGE_N])
{
	const bool first = gw_cross_is_first(w);
	struct copse_endpoint_usage u;
	struct gw_cache_usage cache;
	struct gw_lanes_usage lanes;
	struct gw_observe_usage observe;

	copse_endpoint_usage(w->ep, &u);
	gw_observations_usage(w->observations, &observe);
	gw_cache_usage(w->cache, &cache);
	gw_lanes_usage(w->lanes, &lanes);
#define GAUGE(name, help, value) gauge[GAUGE_##name] = (value);
	GAUGES(GAUGE)
#undef GAUGE
}

static void put_gauges(struct text *t, const struct gw_report *r)
{
#define GAUGE(name, help, value) put_gauge(t, #name, help, r->gauge[GAUGE_##name]);
	GAUGES(GAUGE)
#undef GAUGE
}

static void put_dtls(struct text *t, const struct gw_report *r, bool mesh)
{
	const char *of = mesh ? "dtls_mesh" : "dtls_clients";
	const struct copse_dtls_counters *c = &r->dtls[mesh];
	const struct copse_dtls_usage *usage = &r->dtls_usage[mesh];

#define COUNTER(name, help) put_counter(t, of, #name, help, c->name);
#include <copse/registry/dtls_counters.def>
#undef COUNTER
	put_gauge(t, mesh ? "dtls_mesh_open" : "dtls_clients_open", "associations that are open",
		  usage->associations);
	put_gauge(t, mesh ? "dtls_mesh_shaking" : "dtls_clients_shaking", "handshakes under way",
		  usage->handshakes);
}

static void put_tcp(struct text *t, const struct gw_report *r)
{
	const struct copse_tcp_counters *c = &r->tcp;
	const struct copse_tcp_usage usage = r->tcp_usage;

#define COUNTER(name, help) put_counter(t, "tcp_clients", #name, help, c->name);
#include <copse/registry/tcp_counters.def>
#undef COUNTER
	put_gauge(t, "tcp_clients_connections", "connections that are open", usage.connections);
	put_gauge(t, "tcp_clients_beginning", "connections that have not greeted yet", usage.beginning);
	put_gauge(t, "tcp_clients_waiting", "bytes that wait for peers to take them", usage.waiting);
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

/* One family for each counter, with a line for each socket: what belongs together must stand together. */
static void put_transports(struct text *t, const struct gw_report *r)
{
	for (size_t i = 0; r->transport_n > 0 && i < copse_transport_counter_n(); i++) {
		const char *name = copse_transport_counter_name(i);
		put(t, "# TYPE copse_transport_%s counter\n# HELP copse_transport_%s %s\n", name, name,
		    copse_transport_counter_text(i));
		for (size_t k = 0; k < r->transport_n; k++) {
			const struct copse_transport one = {.counters = r->transport[k].counters};
			put(t, "copse_transport_%s_total{scheme=\"%s\",address=\"%s\"} %llu\n", name,
			    r->transport[k].scheme, r->transport[k].address,
			    (unsigned long long)copse_transport_counter(&one, i));
		}
	}
}

static void put_host(struct text *t, const struct gw_report *r)
{
#define COUNTER(name, help) put_counter(t, "host", #name, help, r->host.name);
#include <copse/registry/host_counters.def>
#undef COUNTER
}

/* --- reports --- */

static void take_transports(const struct gw_worker *w, struct gw_report *r)
{
	const struct copse_transport *transport;
	struct copse_address local;

	for (size_t i = 0; w->around.transport && r->transport_n < GW_REPORT_TRANSPORTS &&
			   (transport = w->around.transport(w->around.self, i)) != NULL;
	     i++) {
		struct gw_report_transport *to = &r->transport[r->transport_n++];
		copse_transport_local(transport, NULL, &local);
		copse_address_text(&local, to->address, sizeof(to->address));
		to->scheme = transport->scheme;
		to->counters = transport->counters;
	}
}

void gw_report_take(const struct gw_worker *w, struct gw_report *r)
{
	*r = (struct gw_report){.gateway = w->counters,
				.cache = *gw_cache_counters(w->cache),
				.endpoint = *copse_endpoint_counters(w->ep),
				.server = *copse_server_counters(w->server)};
	if (w->around.host_counters)
		r->host = *w->around.host_counters(w->around.self);
	for (unsigned mesh = 0; w->around.dtls && mesh < 2; mesh++)
		w->around.dtls(w->around.self, mesh, &r->dtls[mesh], &r->dtls_usage[mesh]);
	if (w->around.tcp)
		w->around.tcp(w->around.self, &r->tcp, &r->tcp_usage);
	take_gauges(w, r->gauge);
	take_transports(w, r);
}

static void add_transport(struct gw_report *sum, const struct gw_report_transport *part)
{
	struct gw_report_transport *to = sum->transport;

	while (to < sum->transport + sum->transport_n &&
	       (strcmp(to->scheme, part->scheme) != 0 || strcmp(to->address, part->address) != 0))
		to++;
	if (to == sum->transport + GW_REPORT_TRANSPORTS)
		return;
	if (to == sum->transport + sum->transport_n) {
		sum->transport_n++;
		*to = *part;
		return;
	}
#define COUNTER(name, help) to->counters.name += part->counters.name;
#include <copse/registry/transport_counters.def>
#undef COUNTER
}

void gw_report_add(struct gw_report *sum, const struct gw_report *part)
{
#define COUNTER(name, help) sum->gateway.name += part->gateway.name;
#include <copse/registry/gateway_counters.def>
#undef COUNTER
#define COUNTER(name, help) sum->cache.name += part->cache.name;
#include <copse/registry/cache_counters.def>
#undef COUNTER
#define COUNTER(name, help) sum->endpoint.name += part->endpoint.name;
#include <copse/registry/endpoint_counters.def>
#undef COUNTER
#define COUNTER(name, help) sum->server.name += part->server.name;
#include <copse/registry/server_counters.def>
#undef COUNTER
#define COUNTER(name, help) sum->host.name += part->host.name;
#include <copse/registry/host_counters.def>
#undef COUNTER
	for (unsigned k = 0; k < 2; k++) {
#define COUNTER(name, help) sum->dtls[k].name += part->dtls[k].name;
#include <copse/registry/dtls_counters.def>
#undef COUNTER
		sum->dtls_usage[k].associations += part->dtls_usage[k].associations;
		sum->dtls_usage[k].handshakes += part->dtls_usage[k].handshakes;
	}
#define COUNTER(name, help) sum->tcp.name += part->tcp.name;
#include <copse/registry/tcp_counters.def>
#undef COUNTER
	sum->tcp_usage.connections += part->tcp_usage.connections;
	sum->tcp_usage.beginning += part->tcp_usage.beginning;
	sum->tcp_usage.waiting += part->tcp_usage.waiting;
	for (unsigned i = 0; i < GAUGE_N; i++)
		sum->gauge[i] += part->gauge[i];
	for (size_t i = 0; i < part->transport_n; i++)
		add_transport(sum, &part->transport[i]);
}

size_t gw_metrics_text(const struct gw_worker *w, const struct gw_report *r, char *buf, size_t cap)
{
	struct text t = {buf, cap, 0};

	put_gateway(&t, r);
	put_cache(&t, r);
	put_endpoint(&t, r);
	put_server(&t, r);
	if (w->rd)
		put_directory(&t, w);
	put_gauges(&t, r);
	put_dtls(&t, r, false);
	put_dtls(&t, r, true);
	put_tcp(&t, r);
	put_collector(&t, w);
	put_host(&t, r);
	put_transports(&t, r);
	put(&t, "# EOF\n");
	return t.len;
}
