/* What the query of a request for readings says.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_COLLECTOR_QUERY_H
#define GATEWAY_COLLECTOR_QUERY_H

#include "store/store.h"

#include <copse/resource.h>

struct gw_readings_query {
	int64_t from, to, every;
	uint32_t last;
	enum store_aggregate agg;
	bool history; /* false: the newest ones are asked for */
	bool csv;
};

/* Read ?from= ?to= ?last= ?every= ?agg= ?as=csv; `now` in microseconds since 1970. Times are seconds since 1970,
 * or with a minus before now, or as 2011-10-31T13:24:24Z; spans a number with s, m, h or d. Returns NULL, or what
 * is wrong. */
const char *gw_readings_query_parse(const struct copse_request *rq, int64_t now,
				    struct gw_readings_query *out);

/* For tests: one time, and one span. Return false when they are none. */
bool gw_time_parse(const char *text, size_t len, int64_t now, int64_t *out);
bool gw_span_parse(const char *text, size_t len, int64_t *out);

#endif
