/* Lists of links (RFC 6690) as the tool shows them: tables and JSON.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LINKS_H
#define COPSE_TOOL_LINKS_H

#include "table.h"

#include <jansson.h>
#include <stdint.h>

#define LINKS_ATTRIBUTES 16

struct link_text {
	const char *at;
	size_t len;
};

struct link {
	struct link_text target;
	size_t attribute_n; /* beyond LINKS_ATTRIBUTES the rest is left out */
	struct {
		struct link_text name, value; /* the value without quotes, escapes as they stand */
	} attribute[LINKS_ATTRIBUTES];
};

/* The next link of the list at `*at`, which moves on.
 * Returns 1 with `link`, 0 at the end, -1 for what is no link. */
int links_next(const char **at, const char *end, struct link *link);

/* Whether the whole of it is a list of links. */
bool links_are_good(const uint8_t *bytes, size_t len);

/* The value of an attribute as text in `buf`, unescaped, "" when the link does not have it. Returns `buf`. */
const char *link_attribute(const struct link *link, const char *name, char *buf, size_t cap);

/* The target as text. Returns `buf`. */
const char *link_target(const struct link *link, char *buf, size_t cap);

/* {"rt": "temperature", "obs": true ...} */
json_t *link_json(const struct link *link);

#endif
