/* See rule.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "rule.h"

#include "config.h"

#include <copse/uri.h>

#include <arpa/inet.h>

#include <string.h>

struct part {
	const char *at;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next part of `rest`, which goes behind it; empty at the end. */
static struct part next_part(struct part *rest)
{
	struct part part;

	while (rest->len && is_blank(*rest->at))
		rest->at++, rest->len--;
	part.at = rest->at;
	while (rest->len && !is_blank(*rest->at))
		rest->at++, rest->len--;
	part.len = (size_t)(rest->at - part.at);
	return part;
}

static uint8_t method_of(const char *text, size_t len)
{
	static const struct {
		const char *name;
		uint8_t code;
	} methods[] = {
	    {"get", COPSE_CODE_GET},       {"post", COPSE_CODE_POST},   {"put", COPSE_CODE_PUT},
	    {"delete", COPSE_CODE_DELETE}, {"fetch", COPSE_CODE_FETCH}, {"patch", COPSE_CODE_PATCH},
	    {"ipatch", COPSE_CODE_IPATCH},
	};

	if (len == 1 && *text == '*')
		return 0x7f;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (len == strlen(methods[i].name) && strncasecmp(text, methods[i].name, len) == 0)
			return (uint8_t)(1u << (methods[i].code - 1));
	return 0;
}

static bool take_methods(struct part part, struct gw_rule *rule)
{
	size_t from = 0;

	for (size_t i = 0; i <= part.len; i++) {
		if (i < part.len && part.at[i] != ',')
			continue;
		uint8_t bit = method_of(part.at + from, i - from);
		if (!bit)
			return false;
		rule->methods |= bit;
		from = i + 1;
	}
	return true;
}

/* An IP address as the resolver writes it, however it is written in the rule. */
static bool take_literal(struct part part, struct gw_rule *rule)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct copse_ip ip;

	if (!copse_ip_parse(&ip, part.at, part.len, NULL))
		return false;
	const bool is_mapped = ip.family == 6 && memcmp(ip.bytes, mapped, sizeof(mapped)) == 0;
	inet_ntop(ip.family == 4 || is_mapped ? AF_INET : AF_INET6, ip.bytes + (is_mapped ? 12 : 0),
		  rule->device, sizeof(rule->device));
	rule->device_len = (uint8_t)strlen(rule->device);
	return true;
}

static bool take_device(struct part part, struct gw_rule *rule)
{
	static const char documents[] = "@store";

	rule->documents = part.len == strlen(documents) && memcmp(part.at, documents, part.len) == 0;
	if (rule->documents)
		return true;
	if (part.len && *part.at == '@') /* a name that is meant, and not one */
		return false;
	rule->beginning = part.len == 0 || part.at[part.len - 1] == '*';
	if (part.len && rule->beginning)
		part.len--;
	if (part.len > GW_RULE_DEVICE_MAX || memchr(part.at, '*', part.len) || memchr(part.at, 0, part.len))
		return false;
	if (!rule->beginning && take_literal(part, rule))
		return true;
	int n = rule->beginning ? -1 : gw_name_normalize(part.at, part.len, rule->device);
	if (n < 0) { /* the beginning of a name, or what is none */
		n = (int)part.len;
		for (size_t i = 0; i < part.len; i++) {
			char c = part.at[i];
			rule->device[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
		}
	}
	rule->device_len = (uint8_t)n;
	rule->device[n] = 0;
	return true;
}

static bool take_path(struct part part, struct gw_rule *rule)
{
	if (part.len > GW_RULE_PATH_MAX || (part.len && part.at[0] != '/'))
		return false;
	memcpy(rule->path, part.at, part.len);
	rule->path_len = (uint8_t)part.len;
	return true;
}

const char *gw_rule_parse(const char *text, size_t len, struct gw_rule *rule)
{
	struct part rest = {text, len}, methods, device, path;

	memset(rule, 0, sizeof(*rule));
	methods = next_part(&rest);
	device = next_part(&rest);
	path = next_part(&rest);
	if (!methods.len)
		return "a rule needs methods";
	if (next_part(&rest).len)
		return "a rule is METHODS DEVICE PATH, and no more";
	if (!take_methods(methods, rule))
		return "methods are *, or get, put and so on with commas between";
	if (!take_device(device, rule))
		return "a device is its name, or the beginning of it and *, or @store";
	if (!take_path(path, rule))
		return "a path begins with / and has at most 127 bytes";
	return NULL;
}

/* The beginning of a MAC ID may have its dashes, which names have lost. */
static bool begins_mac(const char *beginning, const char *name)
{
	const size_t len = strlen(name);

	if ((len != 12 && len != 16) || strspn(name, "0123456789abcdef") != len)
		return false;
	for (; *beginning; beginning++)
		if (*beginning != '-' && *beginning != *name++)
			return false;
	return true;
}

static bool is_device(const struct gw_rule *rule, const char *name)
{
	if (rule->documents)
		return false;
	if (rule->beginning && begins_mac(rule->device, name))
		return true;
	return strncmp(rule->device, name, rule->device_len) == 0 &&
	       (rule->beginning || name[rule->device_len] == 0);
}

/* The next segment of a path that is not empty. */
static bool next_in(const char *path, size_t len, size_t *pos, struct part *segment)
{
	while (*pos < len && path[*pos] == '/')
		++*pos;
	segment->at = path + *pos;
	while (*pos < len && path[*pos] != '/')
		++*pos;
	segment->len = (size_t)(path + *pos - segment->at);
	return segment->len > 0;
}

static bool next_segment(const struct gw_rule *rule, size_t *pos, struct part *segment)
{
	return next_in(rule->path, rule->path_len, pos, segment);
}

/* A walk over the segments of a request's path that are not empty. `split`: a slash within one divides it, too. */
struct walk {
	const struct copse_message *m;
	const struct copse_option *o;
	size_t pos;
	bool split;
};

static bool walk_next(struct walk *w, struct part *segment)
{
	for (; w->o; w->o = copse_message_option_next(w->m, w->o), w->pos = 0) {
		const char *value = (const char *)copse_option_value(w->m, w->o);
		if (w->split && next_in(value, w->o->len, &w->pos, segment))
			return true;
		if (!w->split && w->pos == 0 && w->o->len) {
			w->pos = w->o->len;
			*segment = (struct part){value, w->o->len};
			return true;
		}
	}
	return false;
}

static bool is_path(const struct gw_rule *rule, const struct copse_message *m, bool split)
{
	struct walk walk = {m, copse_message_option(m, COPSE_OPTION_URI_PATH), 0, split};
	struct part wanted, segment;

	for (size_t pos = 0; next_segment(rule, &pos, &wanted);)
		if (!walk_next(&walk, &segment) || segment.len != wanted.len ||
		    memcmp(segment.at, wanted.at, wanted.len) != 0)
			return false;
	return true;
}

bool gw_rule_has_dots(const struct copse_message *m)
{
	struct walk walk = {m, copse_message_option(m, COPSE_OPTION_URI_PATH), 0, true};
	struct part segment;

	while (walk_next(&walk, &segment))
		if (segment.len <= 2 && segment.at[0] == '.' && segment.at[segment.len - 1] == '.')
			return true;
	return false;
}

bool gw_rule_matches_document(const struct gw_rule *rule, const char *path)
{
	struct part wanted, segment;
	size_t pos = 0, at = 0, len = strlen(path);

	if (!rule->documents)
		return false;
	while (next_segment(rule, &pos, &wanted))
		if (!next_in(path, len, &at, &segment) || segment.len != wanted.len ||
		    memcmp(segment.at, wanted.at, wanted.len) != 0)
			return false;
	return true;
}

static bool is_about(const struct gw_rule *rule, const struct copse_message *m, const char *name,
		     const char *alias, bool split)
{
	return m->code >= COPSE_CODE_GET && m->code <= COPSE_CODE_IPATCH &&
	       (rule->methods & 1u << (m->code - 1)) &&
	       (is_device(rule, name) || (alias[0] && is_device(rule, alias))) && is_path(rule, m, split);
}

bool gw_rule_matches(const struct gw_rule *rule, const struct copse_message *m, const char *name,
		     const char *alias)
{
	return is_about(rule, m, name, alias, false);
}

bool gw_rule_touches(const struct gw_rule *rule, const struct copse_message *m, const char *name,
		     const char *alias)
{
	return is_about(rule, m, name, alias, true);
}

#define ALL_METHODS ((1u << COPSE_CODE_IPATCH) - 1)

enum gw_rule_reach gw_rule_reach(const struct gw_rule *rule, const char *name, const char *alias)
{
	struct part segment;
	size_t pos = 0;

	if (!is_device(rule, name) && !(alias[0] && is_device(rule, alias)))
		return GW_RULE_NOTHING;
	return (rule->methods & ALL_METHODS) == ALL_METHODS && !next_segment(rule, &pos, &segment)
		   ? GW_RULE_ALL
		   : GW_RULE_PART;
}
