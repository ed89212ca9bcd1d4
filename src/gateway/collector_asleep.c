/* What the collector says in place of a device that sleeps: the newest reading of one name, for the proxy.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_state.h"

#include "store/csv.h"
#include "store/senml.h"

#include <stdio.h>

bool gw_heard_name(const char *name, const char *alias, unsigned i, char out[STORE_DEVICE_MAX + 1])
{
	if (i == 1 && !alias[0])
		return false;
	snprintf(out, STORE_DEVICE_MAX + 1, "%s%s", i == 2 ? "device:" : "", i == 1 ? alias : name);
	return true;
}

/* By the i-th of its names, if it is known. */
static const struct gw_heard *find(const struct gw_collector *c, const char *name, const char *alias,
				   unsigned i)
{
	char text[STORE_DEVICE_MAX + 1];

	return gw_heard_name(name, alias, i, text) ? gw_heard_find(c, text) : NULL;
}

bool gw_collector_is_asleep(const struct gw_collector *c, const char *name, const char *alias)
{
	for (unsigned i = 0; i < GW_HEARD_NAMES; i++) {
		const struct gw_heard *d = find(c, name, alias, i);
		if (d && d->sleeping)
			return true;
	}
	return false;
}

/* What is left of the reading's Max-Age (RFC 7252 §5.7.1); one that does not expire is fresh until the next is expected,
 * for COPSE_MAX_AGE_DEFAULT at most. */
static uint32_t max_age(const struct gw_heard *d, const struct store_reading *r, int64_t now)
{
	const int64_t next = d->rhythm ? d->last + d->rhythm : now;
	const int64_t left = ((r->expires != STORE_NEVER ? r->expires : next) - now) / 1000000;
	const int64_t most = r->expires != STORE_NEVER ? UINT32_MAX : COPSE_MAX_AGE_DEFAULT;

	return left < 0 ? 0 : (uint32_t)(left < most ? left : most);
}

static void put(struct store_buffer *out, const struct store_reading *r, uint32_t format)
{
	struct senml_writer writer = {.format = format, .out = out};

	if (format == COPSE_FORMAT_TEXT) {
		store_csv_value(out, r, false);
		return;
	}
	senml_encode_reading(&writer, r);
	senml_encode_end(&writer);
}

/* The series that is asked for, and the device that it is found under. NULL: there is none. */
static struct gw_series *find_series(const struct gw_collector *c, const struct gw_asleep_question *q,
				     const struct gw_heard **d)
{
	struct gw_series *s = NULL;

	for (unsigned i = 0; i < GW_HEARD_NAMES && !s; i++) {
		*d = find(c, q->name, q->alias, i);
		s = *d ? gw_series_find(*d, q->series) : NULL;
	}
	return s;
}

void gw_collector_outdate(struct gw_collector *c, const struct gw_asleep_question *q)
{
	const struct gw_heard *d = NULL;
	struct gw_series *s = find_series(c, q, &d);

	if (s)
		s->outdated = gw_collector_now(c);
}

enum gw_asleep gw_collector_newest(const struct gw_collector *c, const struct gw_asleep_question *q,
				   struct store_buffer *out, uint32_t *fresh)
{
	const int64_t now = gw_collector_now(c);
	const struct gw_heard *d = NULL;
	const struct gw_series *s = find_series(c, q, &d);

	if (!s || !s->has_latest)
		return GW_ASLEEP_UNKNOWN;
	if (s->latest.received < s->outdated)
		return GW_ASLEEP_OLD;
	if (s->latest.expires <= now)
		return GW_ASLEEP_STALE;
	put(out, &s->latest, q->format);
	if (out->failed)
		return GW_ASLEEP_UNKNOWN;
	*fresh = max_age(d, &s->latest, now);
	return GW_ASLEEP_FRESH;
}
