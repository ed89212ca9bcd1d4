/* Taking URIs apart and turning them into options (RFC 3986, RFC 7252 §6.4).
 *
 * copse_uri_parse checks every byte once; whatever comes later may rely on its views: percent-encodings are whole,
 * segments and arguments have at most 255 bytes when decoded.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/hex.h>
#include <copse/uri.h>

#include "uri_chars.h"
#include "wire.h"

#include <string.h>

#define OPTION_MAX 255 /* of Uri-Host, Uri-Path and Uri-Query, RFC 7252 §5.10 */

static int fault(struct copse_uri *uri, enum copse_uri_fault what, size_t off)
{
	uri->fault = (uint8_t)what;
	uri->fault_off = off;
	return what == COPSE_URI_BAD_SCHEME ? COPSE_ERR_SCHEME : COPSE_ERR_URI;
}

static bool is_escape(const char *at, const char *end)
{
	return end - at >= 3 && at[0] == '%' && copse_hex_digit(at[1]) >= 0 && copse_hex_digit(at[2]) >= 0;
}

/* Step over characters that may stand in a host, those in `more` and percent-encodings. Returns where it stopped. */
static const char *scan(const char *at, const char *end, const char *more)
{
	while (at < end) {
		if (uri_is_plain(*at) || uri_is_one_of(*at, more))
			at++;
		else if (is_escape(at, end))
			at += 3;
		else
			break;
	}
	return at;
}

static size_t decoded_len(const struct copse_text *part)
{
	size_t n = 0;
	for (size_t i = 0; i < part->len; i += part->at[i] == '%' ? 3 : 1)
		n++;
	return n;
}

/* 1 for ".", 2 for "..", be they percent-encoded; 0 for any other segment. */
static unsigned dots(const struct copse_text *part)
{
	uint8_t text[2];
	int n = decoded_len(part) <= 2 ? copse_uri_decode(part, text, sizeof(text)) : 0;
	return n > 0 && text[0] == '.' && text[n - 1] == '.' ? (unsigned)n : 0;
}

/* The part of `text` from `from` to the next `separator` or the end. */
static struct copse_text cut(const struct copse_text *text, size_t from, char separator)
{
	const char *at = text->at + from;
	const char *stop = uri_find(at, text->len - from, separator);
	return (struct copse_text){at, stop ? (size_t)(stop - at) : text->len - from};
}

/* No part between separators is longer than an option may be. Returns the place of one that is, or NULL. */
static const char *check_parts(struct copse_uri *uri, const struct copse_text *text, char separator)
{
	for (size_t i = 0; i <= text->len;) {
		struct copse_text part = cut(text, i, separator);
		if (decoded_len(&part) > OPTION_MAX)
			return part.at;
		if (separator == '/' && dots(&part))
			uri->has_dots = true;
		i += part.len + 1;
	}
	return NULL;
}

/* The path, the query and what must not follow them. `text` is the whole, for the place of a fault. */
static int parse_rest(struct copse_uri *uri, const char *text, const char *at, const char *end)
{
	const char *stop = scan(at, end, ":@/");
	uri->path = (struct copse_text){at, (size_t)(stop - at)};
	enum copse_uri_fault bad = COPSE_URI_BAD_PATH;
	if (stop < end && *stop == '?') {
		at = stop + 1;
		stop = scan(at, end, ":@/?");
		uri->has_query = true;
		uri->query = (struct copse_text){at, (size_t)(stop - at)};
		bad = COPSE_URI_BAD_QUERY;
	}
	if (stop < end) /* §6.4 step 4: a fragment is an error */
		return fault(uri,
			     *stop == '#'   ? COPSE_URI_FRAGMENT
			     : *stop == '%' ? COPSE_URI_BAD_PERCENT
					    : bad,
			     (size_t)(stop - text));
	const char *longer = check_parts(uri, &uri->path, '/');
	if (!longer)
		longer = check_parts(uri, &uri->query, '&');
	return longer ? fault(uri, COPSE_URI_SEGMENT_LONG, (size_t)(longer - text)) : 0;
}

/* ":port" at the end of an authority; the number may be missing (RFC 3986 §3.2.3). */
static bool parse_port(struct copse_uri *uri, const char *at, const char *end)
{
	uint32_t port = 0;
	if (at == end || ++at == end)
		return true;
	for (; at < end; at++) {
		if (*at < '0' || *at > '9' || port > UINT16_MAX)
			return false;
		port = port * 10 + (uint32_t)(*at - '0');
	}
	uri->port = (uint16_t)port;
	uri->has_port = true;
	return port > 0 && port <= UINT16_MAX;
}

/* "[address%zone]". Returns where it ends, or NULL. */
static const char *parse_literal(struct copse_uri *uri, const char *at, const char *end)
{
	const char *close = uri_find(at, (size_t)(end - at), ']');
	if (!close || !copse_ip_parse(&uri->ip, at, (size_t)(close + 1 - at), &uri->zone) ||
	    uri->ip.family != 6)
		return NULL;
	if (uri->zone.len > 0 && scan(uri->zone.at, close, "") != close)
		return NULL;
	uri->host_kind = COPSE_HOST_IPV6;
	const char *stop = uri_find(at, (size_t)(close - at), '%');
	uri->host = (struct copse_text){at + 1, (size_t)((stop ? stop : close) - at - 1)};
	return close + 1;
}

/* The authority, from behind "//" to `end`. */
static int parse_authority(struct copse_uri *uri, const char *text, const char *at, const char *end)
{
	const char *user = uri_find(at, (size_t)(end - at), '@');
	if (user)
		return fault(uri, COPSE_URI_USERINFO, (size_t)(user - text));
	const char *stop;
	if (at < end && *at == '[') {
		stop = parse_literal(uri, at, end);
		if (!stop)
			return fault(uri, COPSE_URI_BAD_ADDRESS, (size_t)(at - text));
	} else {
		stop = scan(at, end, "");
		uri->host = (struct copse_text){at, (size_t)(stop - at)};
		if (uri->host.len == 0 && (stop == end || *stop == ':')) /* §6.1 */
			return fault(uri, COPSE_URI_NO_HOST, (size_t)(at - text));
		if (decoded_len(&uri->host) > OPTION_MAX)
			return fault(uri, COPSE_URI_SEGMENT_LONG, (size_t)(at - text));
		if (copse_ip_parse(&uri->ip, at, uri->host.len, NULL))
			uri->host_kind = COPSE_HOST_IPV4;
	}
	if (stop < end && *stop != ':')
		return fault(uri, *stop == '%' ? COPSE_URI_BAD_PERCENT : COPSE_URI_BAD_HOST,
			     (size_t)(stop - text));
	if (!parse_port(uri, stop, end))
		return fault(uri, COPSE_URI_BAD_PORT, (size_t)(stop + 1 - text));
	return 0;
}

int copse_uri_parse(struct copse_uri *uri, const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	memset(uri, 0, sizeof(*uri));
	uri->scheme = COPSE_SCHEME_OTHER;
	uri->path.at = uri->query.at = end; /* empty, and yet somewhere */
	if (len == 0 || !uri_is_alpha(*at))
		return fault(uri, COPSE_URI_NO_SCHEME, 0);
	while (at < end && (uri_is_alpha(*at) || uri_is_digit(*at) || uri_is_one_of(*at, "+-.")))
		at++;
	if (at == end || *at != ':')
		return fault(uri, COPSE_URI_NO_SCHEME, (size_t)(at - text));
	uri->scheme_text = (struct copse_text){text, (size_t)(at - text)};
	uri->scheme = (uint8_t)copse_scheme_from_text(text, uri->scheme_text.len);
	if (uri->scheme == COPSE_SCHEME_OTHER)
		return fault(uri, COPSE_URI_BAD_SCHEME, 0);
	uri->port = copse_scheme_port((enum copse_scheme)uri->scheme);
	at++;
	if (end - at < 2 || at[0] != '/' || at[1] != '/')
		return fault(uri, COPSE_URI_NO_AUTHORITY, (size_t)(at - text));
	at += 2;
	const char *stop = at;
	while (stop < end && !uri_is_one_of(*stop, "/?#"))
		stop++;
	int err = parse_authority(uri, text, at, stop);
	return err < 0 ? err : parse_rest(uri, text, stop, end);
}

int copse_uri_parse_path(struct copse_uri *uri, const char *text, size_t len)
{
	memset(uri, 0, sizeof(*uri));
	uri->port = COPSE_PORT_COAP;
	uri->query.at = text + len;
	return parse_rest(uri, text, text, text + len);
}

int copse_uri_decode(const struct copse_text *part, void *buf, size_t cap)
{
	uint8_t *to = buf;
	size_t n = 0;
	for (size_t i = 0; i < part->len; n++) {
		if (n == cap)
			return COPSE_ERR_NOROOM;
		if (part->at[i] != '%') {
			to[n] = (uint8_t)part->at[i++];
			continue;
		}
		COPSE_ASSERT(is_escape(part->at + i, part->at + part->len));
		to[n] = (uint8_t)(copse_hex_digit(part->at[i + 1]) << 4 | copse_hex_digit(part->at[i + 2]));
		i += 3;
	}
	return (int)n;
}

/* Whether a ".." behind offset `from` of the path takes away the segment in front (RFC 3986 §5.2.4). */
static bool is_taken_away(const struct copse_text *path, size_t from)
{
	unsigned depth = 1;
	while (depth > 0 && from <= path->len) {
		struct copse_text part = cut(path, from, '/');
		unsigned n = dots(&part);
		depth = n == 0 ? depth + 1 : n == 2 ? depth - 1 : depth;
		from += part.len + 1;
	}
	return depth == 0;
}

/* `*pos` is twice the offset of the next segment plus whether there was one before; 0 at the beginning. */
bool copse_uri_segment(const struct copse_uri *uri, size_t *pos, struct copse_text *part)
{
	const struct copse_text *path = &uri->path;
	size_t off = *pos >> 1, any = *pos & 1;
	if (off == 0 && path->len > 0 && path->at[0] == '/')
		off = 1;
	if (path->len <= off && !any) /* §6.4 step 8: "" and "/" are no segment */
		return false;
	while (off <= path->len) {
		*part = cut(path, off, '/');
		off += part->len + 1;
		bool last = off > path->len;
		unsigned n = uri->has_dots ? dots(part) : 0;
		*pos = off << 1 | 1;
		if (n == 0 && !(uri->has_dots && is_taken_away(path, off)))
			return any || !last || part->len > 0; /* what is left may be "/" alone */
		if (n > 0 && last && any) { /* "/a/." is "/a/" */
			part->at += part->len;
			part->len = 0;
			return true;
		}
	}
	return false;
}

bool copse_uri_argument(const struct copse_uri *uri, size_t *pos, struct copse_text *part)
{
	if (!uri->has_query || *pos > uri->query.len)
		return false;
	*part = cut(&uri->query, *pos, '&');
	*pos += part->len + 1;
	return true;
}

int copse_uri_host(const struct copse_uri *uri, void *buf, size_t cap)
{
	uint8_t *to = buf;
	int n = copse_uri_decode(&uri->host, buf, cap);
	/* §6.4 step 5: lower case first, then decode: what was percent-encoded keeps its case */
	for (size_t i = 0, at = 0; n > 0 && i < uri->host.len; at++) {
		if (uri->host.at[i] == '%') {
			i += 3;
			continue;
		}
		to[at] = (uint8_t)uri_lower(uri->host.at[i++]);
	}
	return n;
}

static void build_host(const struct copse_uri *uri, struct copse_builder *b)
{
	uint8_t host[1 + OPTION_MAX + 1];
	bool literal = uri->host_kind == COPSE_HOST_IPV6;
	/* the value of the host component has the brackets, but a zone means nothing to others (RFC 6874 §4) */
	host[0] = '[';
	int n = copse_uri_host(uri, host + literal, OPTION_MAX);
	if (n < 0)
		return;
	if (literal)
		host[++n] = ']';
	copse_build_option(b, COPSE_OPTION_URI_HOST, host, (size_t)n + literal);
}

static void build_part(struct copse_builder *b, uint16_t number, const struct copse_text *part)
{
	uint8_t value[OPTION_MAX];
	int n = copse_uri_decode(part, value, sizeof(value));
	if (n >= 0)
		copse_build_option(b, number, value, (size_t)n);
}

void copse_uri_build(const struct copse_uri *uri, const struct copse_uri_dest *dest, struct copse_builder *b)
{
	struct copse_text part;
	bool implied = uri->host_kind != COPSE_HOST_NAME && (!dest || copse_ip_equal(&uri->ip, &dest->ip));
	if (!implied && uri->host.len > 0) /* §6.4 step 5 */
		build_host(uri, b);
	if (dest && uri->host.len > 0 && uri->port != dest->port) /* step 7 */
		copse_build_uint(b, COPSE_OPTION_URI_PORT, uri->port);
	for (size_t pos = 0; copse_uri_segment(uri, &pos, &part);) /* step 8 */
		build_part(b, COPSE_OPTION_URI_PATH, &part);
	for (size_t pos = 0; copse_uri_argument(uri, &pos, &part);) /* step 9 */
		build_part(b, COPSE_OPTION_URI_QUERY, &part);
}
