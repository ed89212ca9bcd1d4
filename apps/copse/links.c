/* See links.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "links.h"
#include "pretty.h"
#include "table.h"

#include <string.h>

struct copse_link_reader links_of(const uint8_t *bytes, size_t len)
{
	return (struct copse_link_reader){.text = (const char *)bytes, .len = len};
}

bool links_are_good(const uint8_t *bytes, size_t len)
{
	struct copse_link_reader reader = links_of(bytes, len);
	struct copse_link link;
	int n;

	while ((n = copse_link_next(&reader, &link)) > 0)
		;
	return n == 0;
}

static const char *cut(struct copse_text text, char *buf, size_t cap)
{
	size_t n = text.len < cap - 1 ? text.len : cap - 1;

	if (n)
		memcpy(buf, text.at, n);
	buf[n] = '\0';
	return buf;
}

static const char *value_of(const struct copse_link_attribute *a, char *buf, size_t cap)
{
	return copse_link_value(a, buf, cap) < 0 ? cut(a->value, buf, cap) : buf;
}

const char *link_attribute(const struct copse_link *link, const char *name, char *buf, size_t cap)
{
	struct copse_link_attribute a;

	buf[0] = '\0';
	return copse_link_attribute(link, name, &a) ? value_of(&a, buf, cap) : buf;
}

const char *link_target(const struct copse_link *link, char *buf, size_t cap)
{
	return cut(link->target, buf, cap);
}

json_t *link_json(const struct copse_link *link)
{
	json_t *o = json_object();
	struct copse_link_attribute a;
	size_t pos = 0;

	while (o && copse_link_attribute_next(link, &pos, &a)) {
		char name[128], value[1024];
		cut(a.name, name, sizeof(name));
		if (json_object_get(o, name)) /* RFC 6690 §2.2: a later one of the same name does not count */
			continue;
		json_t *text = a.has_value ? json_string(value_of(&a, value, sizeof(value))) : json_true();
		json_object_set_new(o, name, text ? text : json_null());
	}
	return o;
}

bool pretty_links(FILE *out, const uint8_t *bytes, size_t len)
{
	static const char *const heads[] = {"RESOURCE", "RT", "IF", "CT", "SZ", "TITLE"};
	struct copse_link_reader reader = links_of(bytes, len);
	struct copse_link link;
	struct table t;

	if (!links_are_good(bytes, len))
		return false;
	table_begin(&t, heads, 6);
	while (copse_link_next(&reader, &link) > 0) {
		char target[512], rt[256], interface[256], ct[64], sz[32], title[256];
		table_add(&t, (const char *const[]){link_target(&link, target, sizeof(target)),
						    link_attribute(&link, "rt", rt, sizeof(rt)),
						    link_attribute(&link, "if", interface, sizeof(interface)),
						    link_attribute(&link, "ct", ct, sizeof(ct)),
						    link_attribute(&link, "sz", sz, sizeof(sz)),
						    link_attribute(&link, "title", title, sizeof(title))});
	}
	table_print(&t, out);
	table_free(&t);
	return true;
}
