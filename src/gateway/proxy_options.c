/* One table says what happens to each option that is not simply passed on or refused by the bits of its number:
 * safe ones pass, known or not; unsafe ones are refused unless they stand here.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_options.h"

#include <copse/block.h>

#include <string.h>

enum action {
	PASS,
	CONSUME, /* processed here, or without meaning beyond */
	REFUSE
};

#define REFUSAL(code_, text_)                                                                                \
	(struct gw_refusal)                                                                                  \
	{                                                                                                    \
		.code = COPSE_CODE_##code_, .text = text_                                                    \
	}

static const struct gw_refusal no_refusal;

static enum action request_action(uint16_t number)
{
	switch (number) {
	case COPSE_OPTION_URI_HOST:
	case COPSE_OPTION_URI_PORT:
	case COPSE_OPTION_PROXY_URI:
	case COPSE_OPTION_PROXY_SCHEME:
	case COPSE_OPTION_HOP_LIMIT:         /* counted down, and appended anew */
	case COPSE_OPTION_OBSERVE:           /* the gateway observes by itself, for all: proxy_observe.c */
	case COPSE_OPTION_NO_RESPONSE:       /* obeyed here; the device's answer is what ends our exchange */
	case COPSE_OPTION_MULTICAST_TIMEOUT: /* obeyed here, and without meaning for a single device */
	case COPSE_OPTION_MAX_AGE:           /* without meaning in a request (RFC 7252 §5.4.1: ignored) */
		return CONSUME;
	case COPSE_OPTION_URI_PATH:
	case COPSE_OPTION_URI_QUERY:
	case COPSE_OPTION_BLOCK1:
	case COPSE_OPTION_BLOCK2: return PASS;
	default: return copse_option_is_unsafe(number) ? REFUSE : PASS;
	}
}

static enum action response_action(uint16_t number)
{
	switch (number) {
	case COPSE_OPTION_REPLY_TO: /* who has answered is what we know, not what it says */
	case COPSE_OPTION_MULTICAST_TIMEOUT:
	case COPSE_OPTION_OBSERVE: return CONSUME;
	case COPSE_OPTION_MAX_AGE:
	case COPSE_OPTION_BLOCK1:
	case COPSE_OPTION_BLOCK2: return PASS;
	default: return copse_option_is_unsafe(number) ? REFUSE : PASS;
	}
}

/* RFC 7252 §5.7.1: what is unsafe and not recognized is 4.02; so is an option that the proxy has to process when its
 * value is out of range. What is safe passes, whatever its value. */
static struct gw_refusal check_options(const struct copse_message *m)
{
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		bool ours = request_action(o->number) == CONSUME || copse_option_is_unsafe(o->number);
		if (request_action(o->number) == REFUSE || (ours && (o->mark & COPSE_OPTION_BAD)))
			return REFUSAL(BAD_OPTION, "an option that the proxy does not understand");
	}
	return no_refusal;
}

int gw_options_wanted(const struct copse_message *m, struct copse_block *b2)
{
	static const struct copse_peer any = {.flags = COPSE_PEER_RELIABLE}; /* check_blocks knows whose it is */
	const int got = copse_block_read_from(&any, m, COPSE_OPTION_BLOCK2, b2);

	b2->szx = got > 0 ? copse_block_unit(b2->szx) : b2->szx;
	return got;
}

/* What the blocks of a body mean is known where transfers are (proxy_block.c). */
static struct gw_refusal check_blocks(const struct copse_peer *from, const struct copse_message *m)
{
	struct copse_block b1 = {0}, b2 = {0};

	if (copse_block_read_from(from, m, COPSE_OPTION_BLOCK1, &b1) < 0 ||
	    copse_block_read_from(from, m, COPSE_OPTION_BLOCK2, &b2) < 0)
		return REFUSAL(BAD_REQUEST, "reserved block size");
	if ((b1.more || b1.num) && !copse_block_fits(&b1, m->payload_len))
		return REFUSAL(BAD_REQUEST, "the payload is not as long as its block");
	return no_refusal;
}

/* RFC 8768 §3. A value that is no single byte is ignored by the codec, as an elective option; here it must not be. */
static struct gw_refusal check_hops(const struct copse_message *m, uint8_t add, struct gw_asked *asked)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_HOP_LIMIT);

	asked->hop_limit = add;
	if (o) {
		uint32_t value = copse_option_uint(m, o);
		if (value == 0)
			return REFUSAL(BAD_REQUEST, "Hop-Limit is 0");
		asked->hop_limit = (uint8_t)(value - 1);
		return value == 1 ? REFUSAL(HOP_LIMIT_REACHED, NULL) : no_refusal;
	}
	for (unsigned i = 0; i < m->option_n; i++)
		if (m->option[i].number == COPSE_OPTION_HOP_LIMIT)
			return REFUSAL(BAD_REQUEST, "Hop-Limit must be 1 to 255");
	return no_refusal;
}

static struct gw_refusal by_proxy_uri(const struct copse_message *m, const struct copse_option *o,
				      struct gw_asked *asked)
{
	int err = copse_uri_parse(&asked->uri, (const char *)copse_option_value(m, o), o->len);

	if (err == COPSE_ERR_SCHEME)
		return REFUSAL(PROXYING_NOT_SUPPORTED, "only coap and coaps can be proxied");
	int n = err ? err : copse_uri_host(&asked->uri, asked->host, sizeof(asked->host));
	if (n < 0)
		return REFUSAL(BAD_REQUEST, "Proxy-Uri is not a valid URI");
	asked->by_uri = true;
	asked->host_len = (size_t)n;
	asked->scheme = asked->uri.scheme;
	asked->port = asked->uri.port;
	if (asked->uri.zone.len)
		return REFUSAL(BAD_REQUEST, "an address with a zone means nothing here");
	return no_refusal;
}

static struct gw_refusal by_proxy_scheme(const struct copse_message *m, const struct copse_option *o,
					 struct gw_asked *asked)
{
	const struct copse_option *host = copse_message_option(m, COPSE_OPTION_URI_HOST);

	asked->scheme = copse_scheme_from_text((const char *)copse_option_value(m, o), o->len);
	asked->port =
	    (uint16_t)copse_message_uint(m, COPSE_OPTION_URI_PORT, copse_scheme_port(asked->scheme));
	asked->here = !host;
	if (host) {
		asked->host_len = host->len;
		memcpy(asked->host, copse_option_value(m, host), host->len);
	}
	return no_refusal;
}

/* No device is asked for BERT. */
static void reblock(const struct copse_message *m, struct gw_asked *asked)
{
	struct copse_block b2;

	if (copse_block_read(m, COPSE_OPTION_BLOCK2, &b2) >= 0 || gw_options_wanted(m, &b2) <= 0)
		return;
	asked->reblock = true;
	asked->block2 = copse_block_value(&b2);
}

struct gw_refusal gw_options_asked(const struct copse_peer *from, const struct copse_message *m,
				   uint8_t add_hop_limit, struct gw_asked *asked)
{
	const struct copse_option *uri = copse_message_option(m, COPSE_OPTION_PROXY_URI);
	const struct copse_option *scheme = copse_message_option(m, COPSE_OPTION_PROXY_SCHEME);
	struct gw_refusal refusal = check_options(m);

	memset(asked, 0, offsetof(struct gw_asked, host));
	asked->host_len = 0;
	asked->no_response = (uint8_t)copse_message_uint(m, COPSE_OPTION_NO_RESPONSE, 0);
	if (!refusal.code && !uri && !scheme)
		refusal = REFUSAL(BAD_OPTION, "an option that the proxy does not understand");
	if (!refusal.code) /* RFC 7252 §5.10.2: Proxy-Uri takes precedence */
		refusal = uri ? by_proxy_uri(m, uri, asked) : by_proxy_scheme(m, scheme, asked);
	if (!refusal.code && asked->scheme > COPSE_SCHEME_COAPS_TCP)
		refusal = REFUSAL(PROXYING_NOT_SUPPORTED, "only coap and coap+tcp can be proxied");
	if (!refusal.code)
		refusal = check_hops(m, add_hop_limit, asked);
	if (!refusal.code)
		refusal = check_blocks(from, m);
	if (!refusal.code)
		reblock(m, asked);
	return refusal;
}

static void append_uri_parts(const struct copse_uri *uri, struct copse_builder *b)
{
	struct copse_text part;
	uint8_t value[256];
	int n;

	for (size_t pos = 0; copse_uri_segment(uri, &pos, &part);)
		if ((n = copse_uri_decode(&part, value, sizeof(value))) >= 0)
			copse_build_option(b, COPSE_OPTION_URI_PATH, value, (size_t)n);
	for (size_t pos = 0; copse_uri_argument(uri, &pos, &part);)
		if ((n = copse_uri_decode(&part, value, sizeof(value))) >= 0)
			copse_build_option(b, COPSE_OPTION_URI_QUERY, value, (size_t)n);
}

static void append_payload(const struct copse_message *m, struct copse_builder *b)
{
	copse_build_payload(b, copse_message_payload(m), m->payload_len);
}

/* Of Proxy-Uri: the Uri-* options beside it say nothing (RFC 7252 §5.10.2). */
static bool is_uri_part(uint16_t number)
{
	return number == COPSE_OPTION_URI_PATH || number == COPSE_OPTION_URI_QUERY;
}

void gw_options_request(const struct copse_message *m, const struct gw_asked *asked, const char *uri_host,
			struct copse_builder *b)
{
	if (uri_host[0])
		copse_build_option(b, COPSE_OPTION_URI_HOST, uri_host, strlen(uri_host));
	if (asked->by_uri)
		append_uri_parts(&asked->uri, b);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (asked->reblock && o->number == COPSE_OPTION_BLOCK2)
			copse_build_uint(b, COPSE_OPTION_BLOCK2, asked->block2);
		else if (request_action(o->number) == PASS && !(asked->by_uri && is_uri_part(o->number)))
			copse_build_raw(b, o->number, copse_option_value(m, o), o->len);
	}
	if (asked->hop_limit)
		copse_build_uint(b, COPSE_OPTION_HOP_LIMIT, asked->hop_limit);
	append_payload(m, b);
}

/* RFC 8768 §4: each proxy that passes a 5.08 on puts its name before the text. */
static void append_hop_name(const struct copse_message *m, const char *name, struct copse_builder *b)
{
	copse_build_payload(b, name, strlen(name));
	if (m->payload_len)
		copse_build_payload(b, " ", 1);
}

struct gw_refusal gw_options_response(const struct copse_message *m, const char *hop_name,
				      struct copse_builder *b)
{
	return gw_options_response_less(m, hop_name, 0, b);
}

struct gw_refusal gw_options_response_less(const struct copse_message *m, const char *hop_name, uint16_t less,
					   struct copse_builder *b)
{
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		enum action action = response_action(o->number);
		if (action == REFUSE ||
		    (action == PASS && copse_option_is_unsafe(o->number) && (o->mark & COPSE_OPTION_BAD)))
			return REFUSAL(
			    BAD_GATEWAY,
			    "the device's answer has an option that the proxy does not understand");
		if (action == PASS && o->number != less &&
		    !(copse_option_is_unsafe(o->number) && (o->mark & COPSE_OPTION_IGNORED)))
			copse_build_raw(b, o->number, copse_option_value(m, o), o->len);
	}
	if (m->code == COPSE_CODE_HOP_LIMIT_REACHED)
		append_hop_name(m, hop_name, b);
	append_payload(m, b);
	return no_refusal;
}
