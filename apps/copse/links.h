/* Lists of links (RFC 6690) as the tool shows them: tables and JSON.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LINKS_H
#define COPSE_TOOL_LINKS_H

#include <copse/link.h>

#include <jansson.h>

/* Begin to read the list of links in `len` bytes. */
struct copse_link_reader links_of(const uint8_t *bytes, size_t len);

/* Whether the whole of it is a list of links. */
bool links_are_good(const uint8_t *bytes, size_t len);

/* The value of an attribute as text in `buf`, "" when the link does not have it, cut when it is too long.
 * Returns `buf`. */
const char *link_attribute(const struct copse_link *link, const char *name, char *buf, size_t cap);

/* The target as text, cut when it is too long. Returns `buf`. */
const char *link_target(const struct copse_link *link, char *buf, size_t cap);

/* {"rt": "temperature", "obs": true ...} */
json_t *link_json(const struct copse_link *link);

#endif
