/* Any text as a URI: what is taken makes options that are within their limits and compose to a URI that makes the same
 * options.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/uri.h>

#include "message_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define WIDE 65535

static bool build(const struct copse_uri *uri, const struct copse_uri_dest *dest, uint8_t *buf,
		  struct copse_message *m)
{
	struct copse_builder b;
	copse_build_message(&b, buf, WIDE, COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
	copse_uri_build(uri, dest, &b);
	int n = copse_build_finish(&b);
	MESSAGE_CHECK(n > 0);
	if (copse_message_parse(m, buf, (size_t)n) != 0)
		return false; /* more options than a message may have */
	message_check(m, (size_t)n);
	MESSAGE_CHECK(m->bad_option == 0);
	return true;
}

/* The host as the destination of the request: what no option says. */
static size_t host_of(const struct copse_uri *uri, char *to, size_t cap)
{
	MESSAGE_CHECK(uri->host.len + uri->zone.len + 1 < cap);
	memcpy(to, uri->host.at, uri->host.len);
	if (uri->zone.len == 0)
		return uri->host.len;
	to[uri->host.len] = '%';
	memcpy(to + uri->host.len + 1, uri->zone.at, uri->zone.len);
	return uri->host.len + 1 + uri->zone.len;
}

static void check_both_ways(const struct copse_uri *uri)
{
	static uint8_t first[WIDE], second[WIDE];
	static char text[4 * WIDE], host[WIDE];
	static struct copse_message m, again;
	const struct copse_uri_dest dest = {uri->ip, copse_scheme_port((enum copse_scheme)uri->scheme)};
	if (!build(uri, &dest, first, &m))
		return;
	const struct copse_uri_base base = {(enum copse_scheme)uri->scheme, host,
					    host_of(uri, host, sizeof(host)), dest.port};
	int n = copse_uri_compose(&m, &base, text, sizeof(text));
	struct copse_uri back;
	MESSAGE_CHECK(n > 0 && text[n] == 0);
	MESSAGE_CHECK(copse_uri_parse(&back, text, (size_t)n) == 0);
	MESSAGE_CHECK(build(&back, &dest, second, &again));
	MESSAGE_CHECK(again.option_n == m.option_n && back.port == uri->port && back.scheme == uri->scheme);
	for (unsigned i = 0; i < m.option_n; i++) {
		MESSAGE_CHECK(m.option[i].number == again.option[i].number &&
			      m.option[i].len == again.option[i].len);
		if (m.option[i].number != COPSE_OPTION_URI_HOST) /* an encoded capital is no longer encoded */
			MESSAGE_CHECK(memcmp(first + m.option[i].off, second + again.option[i].off,
					     m.option[i].len) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	struct copse_uri uri;
	struct copse_ip ip;
	struct copse_text zone;
	if (len > WIDE / 4)
		return 0;
	int err = copse_uri_parse(&uri, text, len);
	MESSAGE_CHECK((err == 0) == (uri.fault == COPSE_URI_OK) && uri.fault_off <= len);
	if (err == 0)
		check_both_ways(&uri);
	if (copse_uri_parse_path(&uri, text, len) == 0) {
		static uint8_t buf[WIDE];
		static struct copse_message m;
		build(&uri, NULL, buf, &m);
	}
	if (copse_ip_parse(&ip, text, len, &zone)) {
		MESSAGE_CHECK(copse_ip_equal(&ip, &ip));
		MESSAGE_CHECK(zone.len == 0 || (zone.at > text && zone.at + zone.len <= text + len));
	}
	MESSAGE_CHECK(copse_host_equal(text, len, text, len));
	return 0;
}
