/* See collector_query.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_query.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX 40

static bool number(const char *text, double *out, const char **end)
{
	char *stop;

	*out = strtod(text, &stop);
	*end = stop;
	/* strtod also takes hexadecimal numbers and words */
	return stop != text && (size_t)(stop - text) <= strspn(text, "+-0123456789.eE") && isfinite(*out) &&
	       fabs(*out) < 1e12;
}

bool gw_span_parse(const char *text, size_t len, int64_t *out)
{
	static const char units[] = "smhd";
	static const double seconds[] = {1, 60, 3600, 86400};
	char copy[TEXT_MAX];
	const char *end;
	double value, unit = 1;

	if (len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (!number(copy, &value, &end))
		return false;
	if (*end) {
		const char *which = strchr(units, *end);
		if (!which || end[1])
			return false;
		unit = seconds[which - units];
	}
	value *= unit * 1e6;
	*out = (int64_t)value;
	return value >= 1 && value < 1e18;
}

bool gw_time_parse(const char *text, size_t len, int64_t now, int64_t *out)
{
	char copy[TEXT_MAX];
	const char *end;
	double value;
	struct tm tm = {0};

	if (len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	end = strptime(copy, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (end && !*end) {
		*out = (int64_t)timegm(&tm) * 1000000;
		return true;
	}
	if (copy[0] == '-') {
		int64_t span;
		if (!gw_span_parse(copy + 1, strlen(copy + 1), &span))
			return false;
		*out = now - span;
		return true;
	}
	if (!number(copy, &value, &end) || *end)
		return false;
	*out = (int64_t)(value * 1e6);
	return true;
}

static bool take_last(const char *text, size_t len, uint32_t *out)
{
	char copy[TEXT_MAX], *end;

	if (len == 0 || len >= 10 || strspn(text, "0123456789") < len)
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	*out = (uint32_t)strtoul(copy, &end, 10);
	return *out > 0;
}

static bool take_agg(const char *text, size_t len, enum store_aggregate *out)
{
	static const char *const names[] = {"", "mean", "min", "max", "sum", "count"};

	for (unsigned i = 1; i < sizeof(names) / sizeof(*names); i++)
		if (len == strlen(names[i]) && memcmp(text, names[i], len) == 0) {
			*out = (enum store_aggregate)i;
			return true;
		}
	return false;
}

const char *gw_readings_query_parse(const struct copse_request *rq, int64_t now,
				    struct gw_readings_query *out)
{
	const char *text;
	size_t len;

	*out = (struct gw_readings_query){.from = INT64_MIN, .to = INT64_MAX};
	text = copse_request_query(rq, "from", &len);
	if (text && !gw_time_parse(text, len, now, &out->from))
		return "from is no time";
	out->history = text != NULL;
	text = copse_request_query(rq, "to", &len);
	if (text && !gw_time_parse(text, len, now, &out->to))
		return "to is no time";
	out->history |= text != NULL;
	text = copse_request_query(rq, "last", &len);
	if (text && !take_last(text, len, &out->last))
		return "last is no number of readings";
	out->history |= text != NULL;
	text = copse_request_query(rq, "every", &len);
	if (text && !gw_span_parse(text, len, &out->every))
		return "every is no span of time";
	out->history |= text != NULL;
	text = copse_request_query(rq, "agg", &len);
	if (text && !take_agg(text, len, &out->agg))
		return "agg is none of mean, min, max, sum, count";
	if (out->every && !out->agg)
		out->agg = STORE_AGG_MEAN;
	if (out->agg && !out->every)
		return "agg needs every";
	text = copse_request_query(rq, "as", &len);
	if (text && (len != 3 || memcmp(text, "csv", 3) != 0))
		return "as may be csv";
	out->csv = text != NULL;
	return NULL;
}
