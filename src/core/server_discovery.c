/* /.well-known/core (RFC 6690): the resources as links, filtered by the query, written piece by piece: the list is made
 * anew for each block and only what falls into the block is kept, so that it may be of any length.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

/* What falls into [offset, offset + cap) of a text of which more is produced. */
struct window {
	uint8_t *buf;
	uint32_t offset;
	uint32_t cap;
	uint32_t pos;
};

static void put_byte(struct window *w, char c)
{
	if (w->pos >= w->offset && w->pos - w->offset < w->cap)
		w->buf[w->pos - w->offset] = (uint8_t)c;
	w->pos++;
}

static void put_text(struct window *w, const char *text)
{
	for (; *text != '\0'; text++)
		put_byte(w, *text);
}

static bool is_path_char(unsigned char c)
{
	static const char others[] = "-._~!$&'()*+,;=:@/";
	/* RFC 3986 §3.3: pchar without "%"; "/" stands between our segments */
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       srv_text_find(others, sizeof others - 1, (char)c) != NULL;
}

static void put_path(struct window *w, const char *path, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	put_byte(w, '/');
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)path[i];
		if (is_path_char(c)) {
			put_byte(w, (char)c);
		} else {
			put_byte(w, '%');
			put_byte(w, hex[c >> 4]);
			put_byte(w, hex[c & 15]);
		}
	}
}

/* A quoted-string (RFC 6690 §2, after RFC 2616): quotes and backslashes escaped. */
static void put_quoted(struct window *w, const char *name, const char *value)
{
	if (!value)
		return;
	put_byte(w, ';');
	put_text(w, name);
	put_text(w, "=\"");
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			put_byte(w, '\\');
		put_byte(w, *value);
	}
	put_byte(w, '"');
}

#define DECIMAL_LEN 11

/* `value` in decimal at the end of `buf`; by subtraction, since a Cortex-M0 does not divide. */
static const char *decimal(uint32_t value, char buf[DECIMAL_LEN])
{
	static const uint32_t powers[] = {1000000000, 100000000, 10000000, 1000000, 100000,
					  10000,      1000,      100,      10,      1};
	char *p = buf;
	for (unsigned i = 0; i < sizeof powers / sizeof *powers; i++) {
		char digit = '0';
		for (; value >= powers[i]; value -= powers[i])
			digit++;
		if (digit != '0' || p != buf || powers[i] == 1)
			*p++ = digit;
	}
	*p = '\0';
	return buf;
}

static void put_formats(struct window *w, const uint16_t *formats)
{
	char buf[DECIMAL_LEN];
	if (!formats)
		return;
	/* RFC 7252 §7.2.1: one as a number, several as a list in quotes */
	const bool list = formats[0] != COPSE_FORMATS_END && formats[1] != COPSE_FORMATS_END;
	put_text(w, list ? ";ct=\"" : ";ct=");
	for (const uint16_t *f = formats; *f != COPSE_FORMATS_END; f++) {
		if (f != formats)
			put_byte(w, ' ');
		put_text(w, decimal(*f, buf));
	}
	if (list)
		put_byte(w, '"');
}

/* The part of the path that names a place: without a last "**". */
static size_t named_len(const char *path)
{
	const size_t len = srv_text_len(path);
	if (len >= 2 && path[len - 1] == '*' && path[len - 2] == '*')
		return len > 2 ? len - 3 : 0;
	return len;
}

static void put_link(struct window *w, const struct copse_resource *r)
{
	char buf[DECIMAL_LEN];
	put_byte(w, '<');
	put_path(w, r->path, named_len(r->path));
	put_byte(w, '>');
	put_quoted(w, "rt", r->rt);
	put_quoted(w, "if", r->interface);
	put_formats(w, r->formats);
	if (r->sz > 0) {
		put_text(w, ";sz=");
		put_text(w, decimal(r->sz, buf));
	}
	put_quoted(w, "title", r->title);
	if (r->flags & COPSE_RESOURCE_OBSERVABLE) /* RFC 7641 §6 */
		put_text(w, ";obs");
}

/* ---- filters, RFC 6690 §4.1 ---- */

/* A search value: equal, or a prefix when it ended with "*". */
struct pattern {
	const char *text;
	size_t len;
	bool prefix;
};

static bool fits(const struct pattern *p, const char *text, size_t len)
{
	return (p->prefix ? len >= p->len : len == p->len) && memcmp(p->text, text, p->len) == 0;
}

/* Whether one of the space-separated values fits. */
static bool one_fits(const struct pattern *p, const char *values)
{
	if (!values)
		return false;
	for (const char *end = values;; values = end + 1) {
		for (end = values; *end != '\0' && *end != ' ';)
			end++;
		if (fits(p, values, (size_t)(end - values)))
			return true;
		if (*end == '\0')
			return false;
	}
}

static bool format_fits(const struct pattern *p, const uint16_t *formats)
{
	char buf[DECIMAL_LEN];
	for (; formats && *formats != COPSE_FORMATS_END; formats++) {
		const char *text = decimal(*formats, buf);
		if (fits(p, text, srv_text_len(text)))
			return true;
	}
	return false;
}

static bool href_fits(const struct pattern *p, const char *path)
{
	struct pattern rest = {p->text + 1, p->len - 1, p->prefix};
	if (p->len == 0)
		return p->prefix;
	return p->text[0] == '/' && fits(&rest, path, named_len(path));
}

static bool name_is(const char *text, size_t len, const char *name)
{
	return srv_text_len(name) == len && memcmp(text, name, len) == 0;
}

static bool attribute_fits(const struct copse_resource *r, const char *name, size_t len,
			   const struct pattern *p)
{
	char buf[DECIMAL_LEN];
	if (name_is(name, len, "href"))
		return href_fits(p, r->path);
	if (name_is(name, len, "rt"))
		return one_fits(p, r->rt);
	if (name_is(name, len, "if"))
		return one_fits(p, r->interface);
	if (name_is(name, len, "ct"))
		return format_fits(p, r->formats);
	if (name_is(name, len, "title"))
		return r->title && fits(p, r->title, srv_text_len(r->title));
	if (name_is(name, len, "sz"))
		return r->sz > 0 && fits(p, decimal(r->sz, buf), srv_text_len(decimal(r->sz, buf)));
	if (name_is(name, len, "obs"))
		return (r->flags & COPSE_RESOURCE_OBSERVABLE) && p->len == 0;
	return false;
}

static bool is_listed(const struct copse_resource *r, const struct copse_message *m)
{
	if (!r || (r->flags & COPSE_RESOURCE_HIDDEN) || srv_text_find(r->path, named_len(r->path), '*'))
		return false;
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_URI_QUERY);
	for (; o; o = copse_message_option_next(m, o)) {
		const char *text = (const char *)copse_option_value(m, o);
		const char *equals = srv_text_find(text, o->len, '=');
		const size_t name_len = equals ? (size_t)(equals - text) : o->len;
		struct pattern p = {"", 0, false};
		if (equals)
			p = (struct pattern){equals + 1, o->len - name_len - 1, false};
		if (p.len > 0 && p.text[p.len - 1] == '*') {
			p.prefix = true;
			p.len--;
		}
		if (!attribute_fits(r, text, name_len, &p))
			return false;
	}
	return true;
}

/* ---- the resource ---- */

static void put_links(struct window *w, const struct copse_request *rq)
{
	const struct copse_server *s = rq->server;
	bool first = true;
	for (uint32_t i = 0; i < SRV_NODES(s); i++) {
		const struct copse_resource *r = s->node[i].resource;
		if (!is_listed(r, rq->message))
			continue;
		if (!first)
			put_byte(w, ',');
		first = false;
		put_link(w, r);
	}
}

static int read_links(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	struct window w = {.buf = buf, .offset = offset, .cap = (uint32_t)cap};
	put_links(&w, user);
	const uint32_t left = w.pos > offset ? w.pos - offset : 0;
	return (int)(left < cap ? left : cap);
}

static void discover(const struct copse_request *rq, struct copse_response *rs)
{
	struct window all = {.cap = 0};
	put_links(&all, rq);
	rs->silent = rq->multicast && all.pos == 0; /* RFC 6690 §4.1 */
	/* The request outlives the reader: it is used up before the dispatch is over. */
	copse_response_reader(rs, COPSE_FORMAT_LINK, all.pos, read_links, NULL, (void *)(uintptr_t)rq);
}

static const uint16_t link_format[] = {COPSE_FORMAT_LINK, COPSE_FORMATS_END};

const struct copse_resource srv_discovery = {
    .path = ".well-known/core",
    .get = discover,
    .formats = link_format,
    .flags = COPSE_RESOURCE_MULTICAST | COPSE_RESOURCE_HIDDEN,
};
