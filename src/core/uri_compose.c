/* Composing URIs from options (RFC 7252 §6.5).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/uri.h>

#include "uri_chars.h"

#include <string.h>

/* Text that grows within bounds; what does not fit sticks as an error. */
struct pen {
	char *buf;
	size_t cap;
	size_t len;
	int err;
};

static void put(struct pen *w, char c)
{
	if (w->len + 1 < w->cap) /* a byte is kept for the terminator */
		w->buf[w->len++] = c;
	else if (w->err == 0)
		w->err = COPSE_ERR_NOROOM;
}

static void put_text(struct pen *w, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		put(w, text[i]);
}

/* Percent-encode all but what may stand in a host and those in `more`; never `never`. */
static void put_encoded(struct pen *w, const uint8_t *value, size_t len, const char *more, char never)
{
	static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
					'8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
	for (size_t i = 0; i < len; i++) {
		char c = (char)value[i];
		if (c != 0 && c != never && (uri_is_plain(c) || uri_is_one_of(c, more))) {
			put(w, c);
			continue;
		}
		put(w, '%');
		put(w, digits[value[i] >> 4]);
		put(w, digits[value[i] & 15]);
	}
}

/* By subtraction: the smallest processors have no division. */
static void put_number(struct pen *w, uint16_t n)
{
	static const uint16_t powers[] = {10000, 1000, 100, 10, 1};
	bool begun = false;
	for (unsigned i = 0; i < sizeof(powers) / sizeof(powers[0]); i++) {
		char digit = '0';
		for (; n >= powers[i]; digit++)
			n = (uint16_t)(n - powers[i]);
		begun = begun || digit > '0';
		if (begun)
			put(w, digit);
	}
}

static int finish(struct pen *w)
{
	if (w->cap > 0)
		w->buf[w->err < 0 ? 0 : w->len] = 0;
	else
		w->err = COPSE_ERR_NOROOM;
	return w->err < 0 ? w->err : (int)w->len;
}

/* Uri-Path and Uri-Query, or their Location-* twins (steps 6 to 8, §5.10.7). */
static void put_path(struct pen *w, const struct copse_message *m, uint16_t path, uint16_t query)
{
	const struct copse_option *o = copse_message_option(m, path);
	if (!o)
		put(w, '/');
	for (; o; o = copse_message_option_next(m, o)) {
		const uint8_t *value = copse_option_value(m, o);
		if (o->len >= 1 && o->len <= 2 && value[0] == '.' && value[o->len - 1] == '.')
			w->err = COPSE_ERR_URI; /* §5.10.1: it would mean another resource */
		put(w, '/');
		put_encoded(w, value, o->len, ":@", 0);
	}
	char before = '?';
	for (o = copse_message_option(m, query); o; o = copse_message_option_next(m, o)) {
		put(w, before);
		put_encoded(w, copse_option_value(m, o), o->len, ":@/?", '&');
		before = '&';
	}
}

/* A literal keeps its form, in brackets where it has colons; a zone is written "%25" (RFC 6874 §2). */
static void put_host(struct pen *w, const uint8_t *host, size_t len)
{
	struct copse_ip ip;
	struct copse_text zone;
	const char *text = (const char *)host;
	if (!copse_ip_parse(&ip, text, len, &zone) || ip.family != 6) {
		put_encoded(w, host, len, "", 0);
		return;
	}
	size_t skip = text[0] == '[';
	const char *stop = uri_find(text, len, '%');
	put(w, '[');
	put_text(w, text + skip, stop ? (size_t)(stop - text) - skip : len - 2 * skip);
	if (zone.len > 0) {
		put_text(w, "%25", 3);
		put_encoded(w, (const uint8_t *)zone.at, zone.len, "%", 0);
	}
	put(w, ']');
}

int copse_uri_compose_path(const struct copse_message *m, bool location, char *buf, size_t cap)
{
	struct pen w = {buf, cap, 0, 0};
	if (location)
		put_path(&w, m, COPSE_OPTION_LOCATION_PATH, COPSE_OPTION_LOCATION_QUERY);
	else
		put_path(&w, m, COPSE_OPTION_URI_PATH, COPSE_OPTION_URI_QUERY);
	return finish(&w);
}

int copse_uri_compose(const struct copse_message *m, const struct copse_uri_base *base, char *buf, size_t cap)
{
	struct pen w = {buf, cap, 0, 0};
	const char *name = copse_scheme_name(base->scheme);
	if (base->scheme == COPSE_SCHEME_OTHER)
		w.err = COPSE_ERR_URI;
	while (*name)
		put(&w, *name++);
	put_text(&w, "://", 3);
	const struct copse_option *host = copse_message_option(m, COPSE_OPTION_URI_HOST);
	if (host)
		put_host(&w, copse_option_value(m, host), host->len);
	else
		put_host(&w, (const uint8_t *)base->host, base->host_len);
	uint16_t port = (uint16_t)copse_message_uint(m, COPSE_OPTION_URI_PORT, base->port);
	if (port != copse_scheme_port(base->scheme)) { /* step 5 */
		put(&w, ':');
		put_number(&w, port);
	}
	put_path(&w, m, COPSE_OPTION_URI_PATH, COPSE_OPTION_URI_QUERY);
	return finish(&w);
}
