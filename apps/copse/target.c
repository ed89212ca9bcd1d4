/* See target.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "target.h"
#include "report.h"

#include <copse/hex.h>

#include <stdlib.h>
#include <string.h>

/* A gateway finds out that a device does not answer after MAX_TRANSMIT_WAIT of its slow schedule: 20 s * 31 * 1.5. */
#define PROXY_RESPONSE_MS 1000000u

int target_parse(struct copse_uri *uri, const char *text)
{
	if (copse_uri_parse(uri, text, strlen(text)) == 0)
		return 0;
	int code = report_fault(copse_uri_fault_text((enum copse_uri_fault)uri->fault), text, uri->fault_off);
	if (uri->fault == COPSE_URI_NO_SCHEME)
		report_hint("did you mean coap://%s ?", text);
	return code;
}

static int host_text(const struct copse_uri *uri, char *buf, size_t cap)
{
	int n = copse_uri_host(uri, buf, cap - 1);

	if (n < 0 || memchr(buf, '\0', (size_t)n))
		return COPSE_ERR_NOROOM;
	buf[n] = '\0';
	if (!uri->zone.len)
		return 0;
	int more = snprintf(buf + n, cap - (size_t)n, "%%%.*s", (int)uri->zone.len, uri->zone.at);
	return more > 0 && (size_t)more < cap - (size_t)n ? 0 : COPSE_ERR_NOROOM;
}

int target_resolve(struct target *target, const struct copse_uri *uri, const char *text,
		   const struct args *args)
{
	int family = args_count(args, ARG_V4) ? AF_INET : args_count(args, ARG_V6) ? AF_INET6 : AF_UNSPEC;
	char host[400];
	const char *why = NULL;

	if (host_text(uri, host, sizeof(host)))
		return report_error(EXIT_OTHER, "%s: the host is not usable", text);
	int n = copse_resolve(host, uri->port, family, target->address, TARGET_ADDRESSES, &why);
	if (n < 0)
		return report_error(EXIT_NAME, "cannot find %s: %s", host, why);
	target->address_n = (size_t)n;
	return 0;
}

void target_resume(struct secure *secure, const struct state *state)
{
	int n = copse_hex_decode(state->resumption, strlen(state->resumption), secure->resumption,
				 sizeof(secure->resumption));

	secure->keep = true;
	secure->resumption_len = n > 0 ? (size_t)n : 0;
}

void target_remember(const struct secure *secure, struct state *state)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < secure->resumption_len; i++) {
		state->resumption[2 * i] = digits[secure->resumption[i] >> 4];
		state->resumption[2 * i + 1] = digits[secure->resumption[i] & 15];
	}
	state->resumption[2 * secure->resumption_len] = '\0';
}

bool target_is_stream(const struct copse_uri *uri)
{
	return uri->scheme >= COPSE_SCHEME_COAP_TCP && uri->scheme <= COPSE_SCHEME_COAPS_WS;
}

/* Host and port as they stand in the URI: what a WebSocket's request says (RFC 8323 §8.3). False: they are too long. */
static bool authority_of(struct target *target, const struct copse_uri *uri)
{
	char host[256];
	const int n = copse_uri_host(uri, host, sizeof(host));
	const bool literal = uri->host_kind == COPSE_HOST_IPV6;
	const char *open = literal ? "[" : "", *close = literal ? "]" : "";
	int len = 0;

	if (n >= 0 && uri->port == copse_scheme_port((enum copse_scheme)uri->scheme))
		len =
		    snprintf(target->authority, sizeof(target->authority), "%s%.*s%s", open, n, host, close);
	else if (n >= 0)
		len = snprintf(target->authority, sizeof(target->authority), "%s%.*s%s:%u", open, n, host,
			       close, uri->port);
	for (int i = 0; i < n; i++) /* a line of HTTP stays one */
		if (host[i] <= ' ' || host[i] == 127)
			return false;
	return len > 0 && (size_t)len < sizeof(target->authority);
}

int target_configure(struct target *target, const struct args *args)
{
	const struct copse_uri *uri;
	uint32_t port;
	int code = args_number(args, ARG_LOCAL_PORT, 1, 65535, 0, &port);

	if (!code)
		code = args_span(args, ARG_TIMEOUT, COPSE_NEVER, &target->limit_ms);
	if (code)
		return code;
	target->net = (struct net_config){
	    .local_address = args_value(args, ARG_LOCAL_ADDRESS),
	    .local_port = (uint16_t)port,
	    .verbose = args_count(args, ARG_VERBOSE),
	    .pcap = args_value(args, ARG_PCAP),
	    .oscore = args_value(args, ARG_OSCORE),
	    .response_ms = target->proxied ? PROXY_RESPONSE_MS : 0,
	};
	uri = target->proxied ? &target->via : &target->uri;
	code = secure_configure(&target->secure, args, uri, target->limit_ms);
	if (code)
		return code;
	target->net.stream = target_is_stream(uri);
	target->net.secure = target->secure.keys || target->net.stream ? &target->secure : NULL;
	if (uri->scheme == COPSE_SCHEME_COAP_WS || uri->scheme == COPSE_SCHEME_COAPS_WS) {
		if (!authority_of(target, uri))
			return report_error(EXIT_OTHER, "the host cannot be asked for by HTTP");
		target->net.websocket = true;
		target->net.authority = target->authority;
	}
	if (target->in_session && !port) {
		target_resume(&target->secure, &target->state);
		target->net.local_port = target->state.port;
		target->net.first_id = state_next_id(&target->state);
		target->net.last_id = &target->state.last_id;
	}
	/* An answer may take as long as the command may. */
	if (target->limit_ms != COPSE_NEVER)
		target->net.response_ms = target->limit_ms + 1000;
	return 0;
}

/* Whether both name the same endpoint by the same words. */
static bool same_authority(const struct copse_uri *a, const struct copse_uri *b)
{
	return a->port == b->port && copse_host_equal(a->host.at, a->host.len, b->host.at, b->host.len);
}

static int use_session(struct target *target, const struct args *args)
{
	/* No gateway asks on over a connection: such a server is asked itself, and a session's port is UDP's. */
	if (args_count(args, ARG_DIRECT) || target_is_stream(&target->uri))
		return 0;
	int code = state_load(&target->state, args);
	if (code)
		return code;
	target->in_session = target->state.open;
	if (!target->in_session) {
		state_release(&target->state);
		if (args_count(args, ARG_SESSION))
			return report_error(EXIT_OTHER, "session %s is not open", target->state.name);
	}
	return 0;
}

/* Choose the proxy: the one named, else the session's gateway. */
static int choose_via(struct target *target, const struct args *args, bool never_proxied)
{
	target->via_text = args_value(args, ARG_PROXY);
	if (!target->via_text && target->in_session)
		target->via_text = target->state.gateway;
	if (!target->via_text)
		return 0;
	int code = target_parse(&target->via, target->via_text);
	if (code)
		return code;
	/* The gateway's own resources are asked for directly, from the session's port. */
	target->proxied = !never_proxied && !same_authority(&target->uri, &target->via);
	return 0;
}

static int find_addresses(struct target *target, const struct args *args)
{
	const struct copse_uri *uri = target->proxied ? &target->via : &target->uri;
	const char *text = target->proxied ? target->via_text : target->text;
	bool of_session = target->in_session && !args_value(args, ARG_PROXY) &&
			  (target->proxied || same_authority(&target->uri, &target->via));

	if (of_session && copse_address_parse(target->state.address, COPSE_PORT, &target->address[0]) == 0) {
		target->address_n = 1;
		return 0;
	}
	return target_resolve(target, uri, text, args);
}

int target_find(struct target *target, const struct args *args, const char *uri, bool never_proxied)
{
	*target = (struct target){.text = uri, .state = {.lock = -1}};
	int code = target_parse(&target->uri, uri);
	if (!code)
		code = use_session(target, args);
	if (!code)
		code = choose_via(target, args, never_proxied);
	if (!code)
		code = find_addresses(target, args);
	if (!code)
		code = target_configure(target, args);
	if (code)
		target_close(target);
	return code;
}

/* The gateway's URI with another path. Returns 0 or an exit code. */
static int with_path(const struct copse_uri *uri, const char *gateway, const char *path, char *buf,
		     size_t cap)
{
	size_t authority = strlen(gateway);

	if (uri->path.len)
		authority = (size_t)(uri->path.at - gateway);
	else if (uri->has_query)
		authority = (size_t)(uri->query.at - 1 - gateway);
	int n = snprintf(buf, cap, "%.*s%s", (int)authority, gateway, path);
	return n < 0 || (size_t)n >= cap ? report_error(EXIT_OTHER, "the gateway's URI is too long") : 0;
}

int target_turn(struct target *target, const char *path, char *buf, size_t cap)
{
	char old[STATE_URI_MAX + 1];
	struct copse_uri uri;
	int n = snprintf(old, sizeof(old), "%.*s", (int)(target->uri.path.at - target->text), target->text);

	if (n < 0 || (size_t)n >= sizeof(old))
		return report_error(EXIT_OTHER, "the gateway's URI is too long");
	int code = target_parse(&uri, old);
	if (!code)
		code = with_path(&uri, old, path, buf, cap); /* `buf` may hold the old one */
	target->text = buf;
	return code ? code : target_parse(&target->uri, buf);
}

int target_find_gateway(struct target *target, const struct args *args, const char *path, char *buf,
			size_t cap)
{
	const char *gateway = args_value(args, ARG_PROXY);
	struct target found = {.state = {.lock = -1}};
	struct copse_uri uri;

	if (!gateway) {
		int code = use_session(&found, args);
		if (code)
			return code;
		state_release(&found.state);
		gateway = found.state.gateway;
	}
	if (!*gateway) {
		report_error(EXIT_OTHER, "no session is open");
		report_hint("try: copse session open coap://GATEWAY --token JWT, or --proxy coap://GATEWAY");
		return EXIT_OTHER;
	}
	int code = target_parse(&uri, gateway);
	if (code)
		return code;
	code = with_path(&uri, gateway, path, buf, cap);
	if (code)
		return code;
	return target_find(target, args, buf, false);
}

void target_close(struct target *target)
{
	if (target->in_session && target->net.last_id) {
		target_remember(&target->secure, &target->state);
		state_save(&target->state);
	}
	secure_release(&target->secure);
	state_release(&target->state);
}
