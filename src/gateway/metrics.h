/* Everything that the workers count, as OpenMetrics text: counters of the gateway, its cache, its endpoint, its server of
 * local resources, its collector and the store behind, its host and sockets, and how much of each table is in use.
 *
 * Each worker takes a report of what it has; reports are added up and printed.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "cache.h"
#include "worker.h"

#include <copse/host.h>
#include <copse/server.h>

#define GW_REPORT_GAUGES     32
#define GW_REPORT_TRANSPORTS 64

struct gw_report {
	struct gw_counters gateway;
	struct gw_cache_counters cache;
	struct copse_endpoint_counters endpoint;
	struct copse_server_counters server;
	struct copse_host_counters host;
	struct copse_dtls_counters dtls[2]; /* of clients, of the mesh */
	struct copse_dtls_usage dtls_usage[2];
	struct copse_tcp_counters tcp;
	struct copse_tcp_usage tcp_usage;
	uint64_t gauge[GW_REPORT_GAUGES];
	size_t transport_n;
	struct gw_report_transport {
		const char *scheme;
		char address[COPSE_ADDRESS_TEXT];
		struct copse_transport_counters counters;
	} transport[GW_REPORT_TRANSPORTS];
};

/* What `worker` has now, by its own thread. */
void gw_report_take(const struct gw_worker *worker, struct gw_report *report);

/* Add `part` to `sum`, which begins with zeros. Sockets of one address are one. */
void gw_report_add(struct gw_report *sum, const struct gw_report *part);

/* Write the text to `buf`, cut off at `cap` bytes, a terminating NUL included when `cap` > 0. What there is only once,
 * collector and directory, is that of `worker`.
 * Returns the length of the whole. */
size_t gw_metrics_text(const struct gw_worker *worker, const struct gw_report *report, char *buf, size_t cap);

#endif
