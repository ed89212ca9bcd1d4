/* /.well-known/core (RFC 6690), with the filter of §4.1 for the first argument of a query.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

/* Whether `len` bytes at `text` are what is asked for: `wanted`, with a prefix when it ends with "*". */
static bool fits(const char *text, size_t len, const char *wanted, size_t wanted_len)
{
	if (wanted_len > 0 && wanted[wanted_len - 1] == '*')
		return len >= --wanted_len && memcmp(text, wanted, wanted_len) == 0;
	return len == wanted_len && memcmp(text, wanted, len) == 0;
}

/* Whether the attribute `name` is in `link`, with that value or, of several between blanks, one that is. */
static bool attribute_fits(const char *link, const char *name, size_t name_len, const char *wanted,
			   size_t wanted_len)
{
	while (*link) {
		bool here = strncmp(link + 1, name, name_len) == 0 && link[1 + name_len] == '=';
		const char *from = link + 1;
		for (bool quoted = false; *++link && (quoted || *link != ';');) {
			if (*link == '"')
				quoted = !quoted;
			bool ends = link[1] == 0 || link[1] == '"' || link[1] == ';' || link[1] == ' ';
			if (*link == '=' || *link == '"' || *link == ' ')
				from = link + 1;
			else if (here && ends && fits(from, (size_t)(link + 1 - from), wanted, wanted_len))
				return true;
		}
	}
	return false;
}

static bool listed(const struct copse_small_resource *r, const char *query, size_t len)
{
	size_t name = 0;
	if (!r->link)
		return false;
	while (name < len && query[name] != '=')
		name++;
	if (name == len)
		return true;
	const char *wanted = query + name + 1;
	len -= name + 1;
	if (name == 4 && memcmp(query, "href", 4) == 0)
		return len > 0 && *wanted == '/' && fits(r->path, strlen(r->path), wanted + 1, len - 1);
	return attribute_fits(r->link, query, name, wanted, len);
}

unsigned copse_small_links(struct copse_small_turn *turn)
{
	struct copse_small_value query = {NULL, 0};
	bool any = false;
	copse_small_walk(turn->in, COPSE_OPTION_URI_QUERY, &query);
	for (const struct copse_small_resource *r = turn->resources; r->handle; r++) {
		if (!listed(r, (const char *)query.at, query.len))
			continue;
		copse_small_text(&turn->out, any ? ",</" : "</");
		copse_small_text(&turn->out, r->path);
		copse_small_text(&turn->out, ">");
		copse_small_text(&turn->out, r->link);
		any = true;
	}
	copse_small_set(&turn->out, COPSE_SMALL_FORMAT, 40);
	return COPSE_CODE_CONTENT;
}
