/* CoAP URIs (RFC 7252 §6, RFC 8323 §8): text to options (§6.4), options to text (§6.5), and host literals.
 *
 * Nothing is copied or decoded before it has to be: copse_uri_parse checks the whole text once and leaves
 * views into it, still percent-encoded; decoding happens once, when a view goes into an option or a buffer of
 * the caller's.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_URI_H
#define COPSE_URI_H

#include <copse/error.h>
#include <copse/message.h>
#include <copse/types.h>

enum copse_scheme {
	COPSE_SCHEME_COAP,
	COPSE_SCHEME_COAPS,
	COPSE_SCHEME_COAP_TCP,
	COPSE_SCHEME_COAPS_TCP,
	COPSE_SCHEME_COAP_WS,
	COPSE_SCHEME_COAPS_WS,
	COPSE_SCHEME_OTHER /* none of ours: see copse_uri.scheme_text */
};

#define COPSE_PORT_COAP  5683
#define COPSE_PORT_COAPS 5684

/* "coap", "coaps+tcp" ...; "" for COPSE_SCHEME_OTHER. Static storage. */
const char *copse_scheme_name(enum copse_scheme scheme);

/* The scheme called `text`, without regard to case; COPSE_SCHEME_OTHER for one that is none of ours. */
enum copse_scheme copse_scheme_from_text(const char *text, size_t len);

/* 5683, 5684, and 80 and 443 over WebSockets (RFC 8323 §8); 0 for COPSE_SCHEME_OTHER. */
uint16_t copse_scheme_port(enum copse_scheme scheme);

/* Over TLS or DTLS. */
static inline bool copse_scheme_is_secure(enum copse_scheme scheme)
{
	return scheme == COPSE_SCHEME_COAPS || scheme == COPSE_SCHEME_COAPS_TCP ||
	       scheme == COPSE_SCHEME_COAPS_WS;
}

/* A part of a text that somebody else owns; not terminated. */
struct copse_text {
	const char *at;
	size_t len;
};

/* An IP address that was written as a literal. */
struct copse_ip {
	uint8_t family;    /* 4 or 6; 0: none */
	uint8_t bytes[16]; /* network order; four of them for IPv4 */
};

enum copse_host_kind {
	COPSE_HOST_NAME,
	COPSE_HOST_IPV4,
	COPSE_HOST_IPV6 /* with or without a zone */
};

/* Why a text is no URI of ours, to be shown with the place. */
enum copse_uri_fault {
	COPSE_URI_OK,
	COPSE_URI_NO_SCHEME,    /* not an absolute URI: no "scheme:" in front */
	COPSE_URI_BAD_SCHEME,   /* a scheme that is none of ours */
	COPSE_URI_NO_AUTHORITY, /* no "//" behind the scheme */
	COPSE_URI_USERINFO,     /* user information is not allowed (RFC 7252 §6.1) */
	COPSE_URI_NO_HOST,      /* the host is empty (§6.1) */
	COPSE_URI_BAD_HOST,     /* a character that no host may have, or an unclosed bracket */
	COPSE_URI_BAD_ADDRESS,  /* no IPv6 address between the brackets, or a bad zone */
	COPSE_URI_BAD_PORT,     /* not a number of 1 to 65535 */
	COPSE_URI_BAD_PATH,     /* a character that no path may have */
	COPSE_URI_BAD_QUERY,    /* a character that no query may have */
	COPSE_URI_BAD_PERCENT,  /* "%" without two hexadecimal digits */
	COPSE_URI_FRAGMENT,     /* a fragment is not allowed (§6.4 step 4) */
	COPSE_URI_SEGMENT_LONG  /* a host, segment or argument has more than 255 bytes (§6.4) */
};

struct copse_uri {
	uint8_t scheme;     /* enum copse_scheme */
	uint8_t host_kind;  /* enum copse_host_kind */
	uint8_t fault;      /* enum copse_uri_fault */
	bool has_port;      /* the text names a port, be it the default */
	bool has_query;     /* there is a "?", be it with nothing behind */
	bool has_dots;      /* the path has "." or ".." segments, which §6.4 step 2 removes */
	uint16_t port;      /* the one named, else the scheme's */
	size_t fault_off;   /* the byte of the text at which the fault shows */
	struct copse_ip ip; /* the address of a literal */
	struct copse_text scheme_text;
	struct copse_text host;  /* percent-encoded; a literal without its brackets and zone */
	struct copse_text zone;  /* behind "%25" or "%"; empty without one */
	struct copse_text path;  /* from the first "/" on; may be empty */
	struct copse_text query; /* behind "?" */
};

/* Take a URI apart. `text` is borrowed for as long as `uri` is in use. A zone is taken after "%25" (RFC 6874)
 * and after a lone "%" as people write it. Returns 0, or with `fault` and `fault_off` set: COPSE_ERR_SCHEME
 * the scheme is not one of ours; `scheme_text` is filled, nothing else: a proxy answers 5.05 COPSE_ERR_URI
 * not a valid URI */
int copse_uri_parse(struct copse_uri *uri, const char *text, size_t len);

/* Take apart "/path?query", or "path?query", or "": a reference without scheme and authority. The rest of
 * `uri` is as if the scheme were coap and the host empty.  Returns 0 or COPSE_ERR_URI. */
int copse_uri_parse_path(struct copse_uri *uri, const char *text, size_t len);

/* A sentence for a fault (uri_text.c); static storage, without a full stop. */
const char *copse_uri_fault_text(enum copse_uri_fault fault);

/* The next segment of the path (without "/"), or argument of the query (without "&"), still percent-encoded;
 * "." and
 * ".." are gone (RFC 3986 §5.2.4). Begin with *pos = 0; the number in *pos is the functions' own.
 * Returns true with `*part`, or false at the end. A path of "" or "/" has no segment; "/a/" has "a" and "".
 */
bool copse_uri_segment(const struct copse_uri *uri, size_t *pos, struct copse_text *part);
bool copse_uri_argument(const struct copse_uri *uri, size_t *pos, struct copse_text *part);

/* Percent-decode `part` into `buf`, without a terminator. The text must come from a parsed URI (asserted).
 * Returns the length, or COPSE_ERR_NOROOM. */
int copse_uri_decode(const struct copse_text *part, void *buf, size_t cap);

/* The host as a resolver wants it: lower case, decoded; a literal as written, without brackets and zone.
 * Returns the length, or COPSE_ERR_NOROOM. 255 bytes are always enough. */
int copse_uri_host(const struct copse_uri *uri, void *buf, size_t cap);

/* Where a request is going, as far as RFC 7252 §6.4 wants to know: the destination is left out of the
 * options. */
struct copse_uri_dest {
	struct copse_ip ip;
	uint16_t port;
};

/* Append Uri-Host, Uri-Port, Uri-Path and Uri-Query to a message (§6.4 steps 5 to 9).
 * `dest` is the address that the request is sent to: a host literal equal to it, and its port, need no
 * option. NULL says that the request goes to where the URI points: an address literal then makes no Uri-Host,
 * a port no Uri-Port. For a request to a proxy `dest` is the proxy, and the caller adds Proxy-Scheme. Errors
 * stick in `b`. */
void copse_uri_build(const struct copse_uri *uri, const struct copse_uri_dest *dest, struct copse_builder *b);

/* What a request does not say itself: the address that it was sent to (§6.5). */
struct copse_uri_base {
	enum copse_scheme scheme; /* of the transport, or of Proxy-Scheme */
	const char *host;         /* address literal (IPv6 without brackets, with zone if any) or name */
	size_t host_len;
	uint16_t port;
};

/* Compose the URI of a request from its Uri-* options and `base` (§6.5), terminated by a NUL. An IPv6 literal
 * in Uri-Host, with brackets or without, comes out in brackets. Returns the length without the NUL, or
 *  COPSE_ERR_NOROOM  `cap` is too small; `buf` is an empty string when cap > 0
 *  COPSE_ERR_URI     a Uri-Path is "." or ".." (§5.10.1): answer 4.00, or the scheme is COPSE_SCHEME_OTHER */
int copse_uri_compose(const struct copse_message *m, const struct copse_uri_base *base, char *buf,
		      size_t cap);

/* The path and query alone, as "/a/b?c=d" ("/" without any), or "/" Location-Path "?" Location-Query of a
 * response (§5.10.7) when `location` is true.  Returns and errors as above. */
int copse_uri_compose_path(const struct copse_message *m, bool location, char *buf, size_t cap);

/* Read an address literal: dotted IPv4, or IPv6 with brackets or without, with a zone ("%eth0", "%25eth0") or
 * without. `zone` (may be NULL) gets the zone, empty if none.  Returns true, or false when `text` is no
 * literal. */
bool copse_ip_parse(struct copse_ip *ip, const char *text, size_t len, struct copse_text *zone);

/* Two addresses are equal: an IPv4 address and its IPv4-mapped IPv6 form are. */
bool copse_ip_equal(const struct copse_ip *a, const struct copse_ip *b);

/* Whether two host texts name the same host: as addresses where both are literals (in any spelling, with
 * brackets or without; zones must be the same), else as names without regard to ASCII case. */
bool copse_host_equal(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
