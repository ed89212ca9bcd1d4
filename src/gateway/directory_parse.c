/* Registrations as they are said: parameters (RFC 9176 §5) and links (appendix C).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "directory_state.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool gw_address_same_ip(const struct copse_address *a, const struct copse_address *b)
{
	struct copse_address x = *a, y = *b;

	copse_address_set_port(&x, 0);
	copse_address_set_port(&y, 0);
	return copse_address_equal(&x, &y);
}

uint32_t gw_address_scope(const struct copse_address *a)
{
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr) ? a->in6.sin6_scope_id
										       : 0;
}

/* --- texts --- */

static bool is(struct copse_text t, const char *text)
{
	return t.len == strlen(text) && memcmp(t.at, text, t.len) == 0;
}

/* How many bytes the UTF-8 character at `p` has, which is no control character; 0: it is none of these. */
static size_t character(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : 4;

	if (n == 1)
		return p[0] >= 0x20 && p[0] < 0x7f;
	if (n > left || (n == 4 && (p[0] < 0xf0 || p[0] > 0xf4)))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool wrong = (p[0] == 0xc2 && p[1] < 0xa0) ||                                   /* 128 to 159 */
		     (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || /* surrogates */
		     (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90);
	return wrong ? 0 : n;
}

/* RFC 9176 §5: no character in the ranges 0-31 and 127-159. */
static bool is_printable(struct copse_text t)
{
	for (size_t i = 0, n; i < t.len; i += n) {
		n = character((const uint8_t *)t.at + i, t.len - i);
		if (n == 0)
			return false;
	}
	return true;
}

static bool take_text(struct copse_text value, char *out, size_t cap)
{
	if (value.len == 0 || value.len >= cap || !is_printable(value))
		return false;
	memcpy(out, value.at, value.len);
	out[value.len] = 0;
	return true;
}

static bool take_lifetime(struct copse_text value, uint32_t *out)
{
	uint64_t n = 0;

	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9' || n > UINT32_MAX)
			return false;
		n = 10 * n + (uint64_t)(value.at[i] - '0');
	}
	*out = (uint32_t)n;
	return n >= 1 && n <= UINT32_MAX;
}

/* --- base --- */

static size_t scheme_len(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') ||
			   (n && ((text[n] >= '0' && text[n] <= '9') || strchr("+-.", text[n])))))
		n++;
	return n < len && text[n] == ':' ? n : 0;
}

bool gw_reference_is_uri(const char *text, size_t len)
{
	return scheme_len(text, len) > 0;
}

/* The address that a request for the base would go to, if there is one in it. */
static void find_target(struct gw_registration *r)
{
	struct copse_uri uri;
	struct copse_address *a = &r->target;

	memset(a, 0, sizeof(*a));
	if (copse_uri_parse(&uri, r->base, strlen(r->base)) != 0 || uri.host_kind == COPSE_HOST_NAME ||
	    (uri.scheme != COPSE_SCHEME_COAP && uri.scheme != COPSE_SCHEME_COAPS))
		return;
	r->secure = uri.scheme == COPSE_SCHEME_COAPS;
	if (uri.ip.family == 4) {
		a->in.sin_family = AF_INET;
		memcpy(&a->in.sin_addr, uri.ip.bytes, 4);
		a->len = sizeof(a->in);
	} else {
		a->in6.sin6_family = AF_INET6;
		memcpy(&a->in6.sin6_addr, uri.ip.bytes, 16);
		a->len = sizeof(a->in6);
		if (IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr)) /* §5: it is local to the link of the request */
			a->in6.sin6_scope_id = gw_address_scope(&r->from);
	}
	copse_address_set_port(a, uri.port);
}

static const char *take_base(struct gw_registration *r, struct copse_text value)
{
	static const char why[] = "base must be scheme://authority without a zone";
	size_t scheme = scheme_len(value.at, value.len);

	if (scheme == 0 || value.len > GW_DIRECTORY_BASE || value.len < scheme + 4 ||
	    memcmp(value.at + scheme, "://", 3) != 0)
		return why;
	if (value.at[value.len - 1] == '/')
		value.len--;
	for (size_t i = scheme + 3; i < value.len; i++)
		if (value.at[i] <= ' ' || value.at[i] >= 0x7f || strchr("\"<>\\^`{|}#?/@%", value.at[i]))
			return why;
	if (value.len == scheme + 3)
		return why;
	memcpy(r->base, value.at, value.len);
	r->base[value.len] = 0;
	r->own_base = true;
	return NULL;
}

/* §5: scheme, source address and source port of the request, the port only when it is not the default. */
static void base_from_address(struct gw_registration *r, bool secure)
{
	char text[INET6_ADDRSTRLEN] = "";
	bool six = r->from.sa.sa_family == AF_INET6;
	uint16_t port = copse_address_port(&r->from);

	inet_ntop(r->from.sa.sa_family,
		  six ? (const void *)&r->from.in6.sin6_addr : (const void *)&r->from.in.sin_addr, text,
		  sizeof(text));
	int n = snprintf(r->base, sizeof(r->base), six ? "%s://[%s]" : "%s://%s", secure ? "coaps" : "coap",
			 text);
	if (port != (secure ? COPSE_PORT_COAPS : COPSE_PORT_COAP))
		snprintf(r->base + n, sizeof(r->base) - (size_t)n, ":%u", port);
}

/* --- further attributes --- */

/* Names of attributes are the same in small and in capital letters (RFC 8288 §3). */
static bool is_same_attribute(struct copse_text name, const char *other, size_t len)
{
	return name.len == len && strncasecmp(name.at, other, len) == 0;
}

static bool is_attribute(struct copse_text name)
{
	static const char *const ours[] = {"href",  "anchor", "rel", "rev",  "rt", "page",
					   "count", "ep",     "d",   "base", "lt"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (is_same_attribute(name, ours[i], strlen(ours[i])))
			return false;
	for (size_t i = 0; i < name.len; i++) /* parmname of RFC 6690 §2 */
		if (!((name.at[i] >= 'a' && name.at[i] <= 'z') || (name.at[i] >= 'A' && name.at[i] <= 'Z') ||
		      (name.at[i] >= '0' && name.at[i] <= '9') ||
		      (name.at[i] && strchr("!#$&+-.^_`|~", name.at[i]))))
			return false;
	return name.len > 0;
}

static size_t name_len(const char *parameter, size_t len)
{
	const char *equals = memchr(parameter, '=', len);

	return equals ? (size_t)(equals - parameter) : len;
}

static void drop_extra(struct gw_registration *r, struct copse_text name)
{
	for (size_t at = 0; at < r->extra_len;) {
		size_t len = strlen(r->extra + at);
		if (!is_same_attribute(name, r->extra + at, name_len(r->extra + at, len))) {
			at += len + 1;
			continue;
		}
		r->extra_len = (uint16_t)(r->extra_len - len - 1);
		memmove(r->extra + at, r->extra + at + len + 1, r->extra_len - at);
	}
}

static const char *add_extra(struct gw_registration *r, struct copse_text parameter, struct copse_text name)
{
	if (!is_attribute(name) || !is_printable(parameter))
		return "a parameter has a name or a value that no attribute can have";
	if (parameter.len + 1 > sizeof(r->extra) - r->extra_len)
		return "there are too many parameters";
	memcpy(r->extra + r->extra_len, parameter.at, parameter.len);
	r->extra[r->extra_len + parameter.len] = 0;
	r->extra_len = (uint16_t)(r->extra_len + parameter.len + 1);
	return NULL;
}

/* --- all of them --- */

enum { EP, D, LT, BASE, EXTRA };

static unsigned kind_of(struct copse_text name)
{
	/* "con" was the name of base in drafts, and is still in use */
	return is(name, "ep")                        ? EP
	       : is(name, "d")                       ? D
	       : is(name, "lt")                      ? LT
	       : is(name, "base") || is(name, "con") ? BASE
						     : EXTRA;
}

static const char *take(struct gw_registration *r, const struct gw_enrolment *e, bool update,
			struct copse_text parameter, unsigned *seen)
{
	size_t len = name_len(parameter.at, parameter.len);
	struct copse_text name = {parameter.at, len}, value = {parameter.at + parameter.len, 0};
	unsigned kind = kind_of(name);

	if (len < parameter.len)
		value = (struct copse_text){parameter.at + len + 1, parameter.len - len - 1};
	if (kind == EXTRA)
		return add_extra(r, parameter, name);
	if (*seen & 1u << kind)
		return "a parameter stands there twice";
	*seen |= 1u << kind;
	if (update && (kind == EP || kind == D))
		return "an update cannot change ep and d";
	if (e->simple && kind == BASE)
		return "a simple registration has no base";
	switch (kind) {
	case EP: return take_text(value, r->ep, sizeof(r->ep)) ? NULL : "ep has no 1 to 63 printable bytes";
	case D: return take_text(value, r->d, sizeof(r->d)) ? NULL : "d has no 1 to 63 printable bytes";
	case LT: return take_lifetime(value, &r->lifetime) ? NULL : "lt is no number of 1 to 4294967295";
	default: return take_base(r, value);
	}
}

static void name_host(struct gw_registration *r)
{
	char name[2 * GW_DIRECTORY_NAME + 2];
	int n = snprintf(name, sizeof(name), "%s%s%s", r->ep, r->d[0] ? "." : "", r->d);

	if (n > GW_NAME_MAX || gw_name_normalize(name, (size_t)n, r->host) < 0)
		r->host[0] = 0;
}

const char *gw_directory_parse(struct gw_registration *r, const struct gw_enrolment *e, bool update)
{
	unsigned seen = 0;

	r->from = *e->from;
	for (size_t i = 0; update && i < e->parameter_n;
	     i++) { /* what it names anew replaces what there was */
		struct copse_text p = e->parameter[i];
		drop_extra(r, (struct copse_text){p.at, name_len(p.at, p.len)});
	}
	for (size_t i = 0; i < e->parameter_n; i++) {
		const char *why = take(r, e, update, e->parameter[i], &seen);
		if (why)
			return why;
	}
	if (!r->ep[0])
		return "ep is missing";
	if (!r->own_base)
		base_from_address(r, e->secure);
	find_target(r);
	name_host(r);
	return NULL;
}

/* --- links --- */

static bool is_limited(const char *text, size_t len)
{
	if (len > 0 && text[0] == '/')
		return len < 2 || text[1] != '/'; /* "//" would be another host */
	return gw_reference_is_uri(text, len);
}

const char *gw_directory_check_links(const char *links, size_t len)
{
	struct copse_link_reader reader = {.text = links, .len = len};
	struct copse_link link;
	struct copse_link_attribute a;
	int more;

	while ((more = copse_link_next(&reader, &link)) > 0) {
		if (link.text.len > GW_DIRECTORY_LINK)
			return "a link is too long";
		if (!is_limited(link.target.at, link.target.len))
			return "a target is neither a path from the root nor a URI";
		if (copse_link_attribute(&link, "anchor", &a) && a.value.len &&
		    !is_limited(a.value.at, a.value.len))
			return "an anchor is neither a path from the root nor a URI";
	}
	return more < 0 ? "the links are not in link format" : NULL;
}
