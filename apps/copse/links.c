/* See links.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "links.h"
#include "pretty.h"

#include <string.h>

static void skip_blanks(const char **at, const char *end)
{
	while (*at < end && (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r'))
		++*at;
}

static bool is_name_char(char c)
{
	return c > ' ' && !strchr(";,=\"<>", c) && c != 0x7f;
}

static struct link_text take_name(const char **at, const char *end)
{
	struct link_text name = {.at = *at};

	while (*at < end && is_name_char(**at))
		++*at;
	name.len = (size_t)(*at - name.at);
	return name;
}

static bool take_quoted(const char **at, const char *end, struct link_text *value)
{
	value->at = ++*at;
	while (*at < end && **at != '"')
		*at += **at == '\\' && *at + 1 < end ? 2 : 1;
	if (*at >= end)
		return false;
	value->len = (size_t)(*at - value->at);
	++*at;
	return true;
}

static bool take_attribute(const char **at, const char *end, struct link *link)
{
	struct link_text value = {.at = "", .len = 0};

	skip_blanks(at, end);
	struct link_text name = take_name(at, end);
	if (name.len == 0)
		return false;
	if (*at < end && **at == '=') {
		++*at;
		if (*at < end && **at == '"') {
			if (!take_quoted(at, end, &value))
				return false;
		} else {
			value = take_name(at, end);
		}
	}
	if (link->attribute_n < LINKS_ATTRIBUTES) {
		link->attribute[link->attribute_n].name = name;
		link->attribute[link->attribute_n++].value = value;
	}
	return true;
}

int links_next(const char **at, const char *end, struct link *link)
{
	*link = (struct link){.attribute_n = 0};
	skip_blanks(at, end);
	if (*at == end)
		return 0;
	if (**at != '<')
		return -1;
	const char *close = memchr(*at, '>', (size_t)(end - *at));
	if (!close)
		return -1;
	link->target = (struct link_text){*at + 1, (size_t)(close - *at - 1)};
	*at = close + 1;
	for (skip_blanks(at, end); *at < end && **at == ';'; skip_blanks(at, end)) {
		++*at;
		if (!take_attribute(at, end, link))
			return -1;
	}
	if (*at == end)
		return 1;
	if (**at != ',')
		return -1;
	++*at;
	return 1;
}

bool links_are_good(const uint8_t *bytes, size_t len)
{
	const char *at = (const char *)bytes, *end = at + len;
	struct link link;
	int n;

	while ((n = links_next(&at, end, &link)) > 0)
		;
	return n == 0;
}

static const char *copy(struct link_text text, char *buf, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len && n + 1 < cap; i++) {
		if (text.at[i] == '\\' && i + 1 < text.len)
			i++;
		buf[n++] = text.at[i];
	}
	buf[n] = '\0';
	return buf;
}

static bool is_named(struct link_text text, const char *name)
{
	return text.len == strlen(name) && memcmp(text.at, name, text.len) == 0;
}

const char *link_attribute(const struct link *link, const char *name, char *buf, size_t cap)
{
	for (size_t i = 0; i < link->attribute_n; i++) {
		if (is_named(link->attribute[i].name, name))
			return copy(link->attribute[i].value, buf, cap);
	}
	buf[0] = '\0';
	return buf;
}

const char *link_target(const struct link *link, char *buf, size_t cap)
{
	return copy(link->target, buf, cap);
}

json_t *link_json(const struct link *link)
{
	json_t *o = json_object();

	for (size_t i = 0; o && i < link->attribute_n; i++) {
		char name[128], value[1024];
		copy(link->attribute[i].name, name, sizeof(name));
		copy(link->attribute[i].value, value, sizeof(value));
		json_t *text = link->attribute[i].value.len ? json_string(value) : json_true();
		json_object_set_new(o, name, text ? text : json_null());
	}
	return o;
}

bool pretty_links(FILE *out, const uint8_t *bytes, size_t len)
{
	static const char *const heads[] = {"RESOURCE", "RT", "IF", "CT", "SZ", "TITLE"};
	const char *at = (const char *)bytes, *end = at + len;
	struct link link;
	struct table t;

	if (!links_are_good(bytes, len))
		return false;
	table_begin(&t, heads, 6);
	while (links_next(&at, end, &link) > 0) {
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
