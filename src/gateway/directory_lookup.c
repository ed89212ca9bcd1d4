/* Lookups (RFC 9176 §6): endpoints and resources that match, as link format.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "directory_state.h"
#include "resolver.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct search {
	struct gw_directory *dir;
	struct copse_link_filter filter[GW_DIRECTORY_CRITERIA];
	size_t filter_n;
	bool endpoints;
	uint64_t skip, left; /* links of the answer: before the page, and on it */
	struct copse_link_writer out;
};

/* --- criteria --- */

static bool take_number(struct copse_text value, uint64_t *out)
{
	uint64_t n = 0;

	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9' || n > UINT32_MAX)
			return false;
		n = 10 * n + (uint64_t)(value.at[i] - '0');
	}
	*out = n;
	return value.len > 0 && n <= UINT32_MAX;
}

static bool is_number(struct copse_text criterion, const char *name, struct copse_text *value)
{
	size_t len = strlen(name);

	if (criterion.len < len || memcmp(criterion.at, name, len) != 0)
		return false;
	*value = (struct copse_text){criterion.at + len, criterion.len - len};
	return true;
}

static const char *take_criteria(struct search *s, const struct gw_lookup *lookup)
{
	uint64_t page = 0, count = UINT64_MAX;
	bool paged = false;
	struct copse_text value;

	for (size_t i = 0; i < lookup->criteria_n; i++) {
		struct copse_text c = lookup->criteria[i];
		if (is_number(c, "page=", &value)) {
			paged = true;
			if (!take_number(value, &page))
				return "page is no number";
		} else if (is_number(c, "count=", &value)) {
			if (!take_number(value, &count) || count == 0)
				return "count is no number of 1 or more";
		} else if (s->filter_n == GW_DIRECTORY_CRITERIA) {
			return "there are too many criteria";
		} else {
			copse_link_filter_parse(&s->filter[s->filter_n++], c.at, c.len);
		}
	}
	if (paged && count == UINT64_MAX)
		return "page needs count";
	s->left = count;
	s->skip = paged ? page * count : 0; /* both below 2^32 */
	return NULL;
}

/* --- links as they are answered --- */

/* The link to an endpoint (§6.4). */
static void write_endpoint(struct copse_link_writer *w, const struct gw_registration *r)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "/rd/%llu", (unsigned long long)r->id);

	copse_link_write(w, text, (size_t)n);
	copse_link_write_text(w, "ep", r->ep, strlen(r->ep));
	if (r->d[0])
		copse_link_write_text(w, "d", r->d, strlen(r->d));
	copse_link_write_text(w, "base", r->base, strlen(r->base));
	for (size_t at = 0; at < r->extra_len; at += strlen(r->extra + at) + 1) {
		char name[GW_DIRECTORY_EXTRA];
		size_t len = strcspn(r->extra + at, "=");
		memcpy(name, r->extra + at, len);
		name[len] = 0;
		if (r->extra[at + len])
			copse_link_write_text(w, name, r->extra + at + len + 1,
					      strlen(r->extra + at + len + 1));
		else
			copse_link_write_flag(w, name);
	}
	copse_link_write_text(w, "rt", "core.rd-ep", 10);
}

/* A reference against the base: into `out`, which has room. Returns its length. */
static size_t resolve(const struct gw_registration *r, const char *reference, size_t len, char *out)
{
	size_t base = gw_reference_is_uri(reference, len) ? 0 : strlen(r->base);

	memcpy(out, r->base, base);
	memcpy(out + base, reference, len);
	return base + len;
}

static bool is_digits(const char *text, size_t len)
{
	return len > 0 && len < 10 && (text[0] != '0' || len == 1) && strspn(text, "0123456789") == len;
}

static void write_attribute(struct copse_link_writer *w, const struct copse_link_attribute *a)
{
	char name[GW_DIRECTORY_LINK + 1], value[GW_DIRECTORY_LINK + 1];
	int n = copse_link_value(a, value, sizeof(value));

	memcpy(name, a->name.at, a->name.len);
	name[a->name.len] = 0;
	if (!a->has_value) {
		copse_link_write_flag(w, name);
	} else if (!a->quoted && is_digits(value, (size_t)n)) {
		uint32_t number = 0;
		for (int i = 0; i < n; i++)
			number = 10 * number + (uint32_t)(value[i] - '0');
		copse_link_write_number(w, name, number);
	} else {
		copse_link_write_text(w, name, value, (size_t)n);
	}
}

/* A link of the endpoint, with target and anchor resolved (§6.1). */
static void write_resource(struct copse_link_writer *w, const struct gw_registration *r,
			   const struct copse_link *link)
{
	char text[GW_DIRECTORY_LINK + 1], uri[GW_DIRECTORY_LINK + GW_DIRECTORY_BASE + 1];
	struct copse_link_attribute a;
	size_t n = resolve(r, link->target.at, link->target.len, uri);

	copse_link_write(w, uri, n);
	for (size_t pos = 0; copse_link_attribute_next(link, &pos, &a);)
		if (a.name.len != 6 || strncasecmp(a.name.at, "anchor", 6) != 0)
			write_attribute(w, &a);
	int len = copse_link_attribute(link, "anchor", &a) ? copse_link_value(&a, text, sizeof(text)) : 0;
	n = resolve(r, text, (size_t)len, uri);
	copse_link_write_text(w, "anchor", uri, n);
}

/* --- matching --- */

/* What was written into `room`, as a link to be asked. */
static bool read_back(const struct copse_link_writer *w, struct copse_link *link)
{
	struct copse_link_reader reader = {.text = w->buf, .len = copse_link_write_end(w)};

	return w->total <= w->cap && copse_link_next(&reader, link) == 1;
}

static bool make_endpoint(struct gw_directory *dir, const struct gw_registration *r, struct copse_link *link)
{
	struct copse_link_writer w;

	copse_link_write_begin(&w, dir->link[0], GW_LINK_ROOM, 0);
	write_endpoint(&w, r);
	return read_back(&w, link);
}

static bool make_resource(struct gw_directory *dir, const struct gw_registration *r,
			  const struct copse_link *stored, struct copse_link *link)
{
	struct copse_link_writer w;

	copse_link_write_begin(&w, dir->link[1], GW_LINK_ROOM, 0);
	write_resource(&w, r, stored);
	return read_back(&w, link);
}

static void answer(struct search *s, const struct copse_link *link)
{
	if (s->skip > 0) {
		s->skip--;
	} else if (s->left > 0) {
		s->left--;
		copse_link_write_copy(&s->out, link);
	}
}

/* §6.2: an endpoint has what one of its links has. */
static bool one_link_matches(struct search *s, const struct gw_registration *r,
			     const struct copse_link_filter *f)
{
	struct copse_link_reader reader = {.text = r->links, .len = r->links_len};
	struct copse_link stored, link;

	while (copse_link_next(&reader, &stored) > 0)
		if (make_resource(s->dir, r, &stored, &link) && copse_link_matches(&link, f))
			return true;
	return false;
}

static void search_endpoint(struct search *s, const struct gw_registration *r)
{
	struct copse_link ep;

	if (!make_endpoint(s->dir, r, &ep))
		return;
	for (size_t i = 0; i < s->filter_n; i++)
		if (!copse_link_matches(&ep, &s->filter[i]) && !one_link_matches(s, r, &s->filter[i]))
			return;
	answer(s, &ep);
}

static void search_resources(struct search *s, const struct gw_registration *r)
{
	struct copse_link_reader reader = {.text = r->links, .len = r->links_len};
	struct copse_link ep, stored, link;
	bool has[GW_DIRECTORY_CRITERIA], all;

	if (!make_endpoint(s->dir, r, &ep))
		return;
	for (size_t i = 0; i < s->filter_n; i++)
		has[i] = copse_link_matches(&ep, &s->filter[i]);
	while (copse_link_next(&reader, &stored) > 0 && s->left > 0) {
		if (!make_resource(s->dir, r, &stored, &link))
			continue;
		all = true;
		for (size_t i = 0; all && i < s->filter_n; i++)
			all = has[i] || copse_link_matches(&link, &s->filter[i]);
		if (all)
			answer(s, &link);
	}
}

/* As rules know it: what the configuration says of its address comes before what it calls itself. */
static bool is_seen(const struct gw_lookup *lookup, const struct gw_registration *r)
{
	const struct copse_address *a = r->target.len ? &r->target : &r->from;
	struct gw_target target;

	if (!lookup->sees)
		return true;
	gw_resolve_address(lookup->config, a, &target);
	return lookup->sees(lookup->self, target.configured || !r->host[0] ? target.name : r->host);
}

enum gw_directory_result gw_directory_lookup(struct gw_directory *dir, const struct gw_lookup *lookup,
					     char *buf, size_t *len, const char **why)
{
	struct search s = {.dir = dir, .endpoints = lookup->endpoints};

	*len = 0;
	*why = take_criteria(&s, lookup);
	if (*why) {
		dir->counters.refused_malformed++;
		return GW_DIRECTORY_MALFORMED;
	}
	copse_link_write_begin(&s.out, buf, GW_DIRECTORY_ANSWER, 0);
	for (uint32_t i = 0; i < dir->top && s.left > 0 && s.out.total <= GW_DIRECTORY_ANSWER; i++) {
		const struct gw_registration *r = dir->at[i];
		uint32_t scope = r ? gw_address_scope(&r->target) : 0;
		if (!r || (scope && scope != lookup->scope)) /* §6.1: link-local means nothing elsewhere */
			continue;
		if (!is_seen(lookup, r))
			continue;
		if (lookup->endpoints)
			search_endpoint(&s, r);
		else
			search_resources(&s, r);
	}
	if (s.out.total > GW_DIRECTORY_ANSWER)
		return GW_DIRECTORY_FULL;
	dir->counters.lookups++;
	*len = copse_link_write_end(&s.out);
	return GW_DIRECTORY_OK;
}
