/* Everything that a worker counts, as OpenMetrics text: counters of the gateway, its cache, its endpoint, its server of
 * local resources, its collector and the store behind, its host and sockets, and how much of each table is in use.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "worker.h"

/* Write the text to `buf`, cut off at `cap` bytes, a terminating NUL included when `cap` > 0.
 * Returns the length of the whole. */
size_t gw_metrics_text(const struct gw_worker *worker, char *buf, size_t cap);

#endif
