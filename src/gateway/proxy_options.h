/* What a proxy does with each option (RFC 7252 §5.7): which pass, which it consumes, which it must refuse.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_PROXY_OPTIONS_H
#define GATEWAY_PROXY_OPTIONS_H

#include <copse/block.h>
#include <copse/uri.h>

/* What to say when a message cannot be forwarded. */
struct gw_refusal {
	uint8_t code;     /* 0: none */
	const char *text; /* static storage */
};

/* What a request asks of the proxy. Views over the message. */
struct gw_asked {
	struct copse_uri uri; /* of Proxy-Uri; used when by_uri */
	bool by_uri;          /* Proxy-Uri rather than Proxy-Scheme and Uri-* */
	bool here;            /* no host is named: it is for the gateway itself */
	enum copse_scheme scheme;
	uint16_t port;  /* the URI's, or its scheme's */
	bool reblock;   /* the device is asked for another block than the client asks for: */
	uint32_t block2; /* with this value of Block2 */
	char host[256]; /* as in Uri-Host */
	size_t host_len;
	uint8_t hop_limit; /* to be sent on; 0: none */
	uint8_t no_response;
};

/* Find out what `m` from the client `from` asks; `add_hop_limit` is the one for requests that have none, 0 to add none.
 * Returns the refusal: 4.00 for a URI or option that is not well formed, 4.02 for an option that we must understand
 * and do not, 5.05 for a scheme other than coap and coap+tcp, with or without s, 5.08 when the Hop-Limit is used up. */
struct gw_refusal gw_options_asked(const struct copse_peer *from, const struct copse_message *m,
				   uint8_t add_hop_limit, struct gw_asked *asked);

/* As copse_block_read: the block of the answer that the request `m` of a client asks for. BERT (RFC 8323 §6) is answered in
 * blocks of 1024, which are counted alike. */
int gw_options_wanted(const struct copse_message *m, struct copse_block *b2);

/* Append what goes to the device: options and payload. `uri_host` is sent as Uri-Host unless it is "".
 * Errors stick in `b`. */
void gw_options_request(const struct copse_message *m, const struct gw_asked *asked, const char *uri_host,
			struct copse_builder *b);

/* Append what goes to the client of a response: options and payload; `hop_name`: who we are, for a 5.08 (RFC 8768 §4).
 * Returns the refusal: 5.02 for an option that we must understand and do not. Errors stick in `b`. */
struct gw_refusal gw_options_response(const struct copse_message *m, const char *hop_name,
				      struct copse_builder *b);

/* The same without the option `less`. */
struct gw_refusal gw_options_response_less(const struct copse_message *m, const char *hop_name, uint16_t less,
					   struct copse_builder *b);

#endif
