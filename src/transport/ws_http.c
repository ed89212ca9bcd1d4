/* See ws_http.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ws_http.h"

#include <copse/host.h>
#include <copse/uri.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TARGET "/.well-known/coap"                    /* RFC 8323 §4.1 */
#define GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 §1.3 */

/* Fields that count. Of those before F_LISTS there may be one. */
enum field {
	F_HOST,
	F_KEY,
	F_VERSION,
	F_ORIGIN,
	F_ACCEPT,
	F_LENGTH,
	F_LISTS,
	F_UPGRADE = F_LISTS,
	F_CONNECTION,
	F_PROTOCOL,
	F_EXTENSIONS,
	F_ENCODING,
	F_COUNT
};

static const char *const names[F_COUNT] = {
    [F_HOST] = "Host",
    [F_KEY] = "Sec-WebSocket-Key",
    [F_VERSION] = "Sec-WebSocket-Version",
    [F_ORIGIN] = "Origin",
    [F_ACCEPT] = "Sec-WebSocket-Accept",
    [F_LENGTH] = "Content-Length",
    [F_UPGRADE] = "Upgrade",
    [F_CONNECTION] = "Connection",
    [F_PROTOCOL] = "Sec-WebSocket-Protocol",
    [F_EXTENSIONS] = "Sec-WebSocket-Extensions",
    [F_ENCODING] = "Transfer-Encoding",
};

struct head {
	struct copse_text start;          /* the first line */
	struct copse_text value[F_COUNT]; /* `at` NULL: it is not there */
	bool upgrade, connection, coap;   /* the list has the word that it must have */
};

static bool is(const struct copse_text *text, const char *word)
{
	return text->len == strlen(word) && strncasecmp(text->at, word, text->len) == 0;
}

static bool is_exactly(const struct copse_text *text, const char *word)
{
	return text->len == strlen(word) && memcmp(text->at, word, text->len) == 0;
}

static bool begins(const struct copse_text *text, const char *word)
{
	return text->len >= strlen(word) && memcmp(text->at, word, strlen(word)) == 0;
}

static struct copse_text trimmed(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (at < end && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct copse_text){at, (size_t)(end - at)};
}

/* Whether a list, separated by commas, has `word`. */
static bool has_word(const struct copse_text *list, const char *word)
{
	const char *at = list->at, *end = list->at + list->len;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const struct copse_text one = trimmed(at, comma ? comma : end);

		if (is(&one, word))
			return true;
		at = comma ? comma + 1 : end;
	}
	return false;
}

/* RFC 9110 §5.6.2 */
static bool is_token(const char *at, const char *end)
{
	static const char others[] = "!#$%&'*+-.^_`|~0123456789";

	for (const char *c = at; c < end; c++)
		if (!((*c | 32) >= 'a' && (*c | 32) <= 'z') && !memchr(others, *c, sizeof(others) - 1))
			return false;
	return at < end;
}

/* The line at `*at`, without its end. False for one that holds control characters: a lone CR or LF among them. */
static bool next_line(const char **at, const char *end, struct copse_text *line)
{
	const char *stop = memmem(*at, (size_t)(end - *at), "\r\n", 2);

	if (!stop)
		return false;
	for (const char *c = *at; c < stop; c++)
		if (((unsigned char)*c < 32 && *c != '\t') || *c == 127)
			return false;
	*line = (struct copse_text){*at, (size_t)(stop - *at)};
	*at = stop + 2;
	return true;
}

static bool take_field(struct head *h, const struct copse_text *line)
{
	const char *end = line->at + line->len, *colon = memchr(line->at, ':', line->len);
	struct copse_text name, value;
	unsigned i = 0;

	if (!colon || !is_token(line->at, colon)) /* folded lines too, RFC 9112 §5.2 */
		return false;
	name = (struct copse_text){line->at, (size_t)(colon - line->at)};
	value = trimmed(colon + 1, end);
	while (i < F_COUNT && !is(&name, names[i]))
		i++;
	if (i == F_COUNT)
		return true;
	if (h->value[i].at && i < F_LISTS)
		return false;
	h->value[i] = value;
	h->upgrade |= i == F_UPGRADE && has_word(&value, "websocket");
	h->connection |= i == F_CONNECTION && has_word(&value, "upgrade");
	h->coap |= i == F_PROTOCOL && has_word(&value, "coap");
	return true;
}

static bool take_head(struct head *h, const uint8_t *bytes, size_t len)
{
	const char *at = (const char *)bytes, *end = at + len;
	struct copse_text line;

	*h = (struct head){0};
	if (!next_line(&at, end, &h->start))
		return false;
	while (next_line(&at, end, &line)) {
		if (line.len == 0)
			return true;
		if (!take_field(h, &line))
			return false;
	}
	return false;
}

size_t ws_http_head(const uint8_t *bytes, size_t len, size_t before)
{
	const size_t from = before > 3 ? before - 3 : 0;
	const uint8_t *end = len > from ? memmem(bytes + from, len - from, "\r\n\r\n", 4) : NULL;

	return end ? (size_t)(end - bytes) + 4 : 0;
}

static void base64(const void *bytes, size_t len, char *text, size_t cap)
{
	const gnutls_datum_t in = {(unsigned char *)(uintptr_t)bytes, (unsigned)len};
	gnutls_datum_t out = {NULL, 0};

	text[0] = '\0';
	if (gnutls_base64_encode2(&in, &out) == 0 && out.size < cap) {
		memcpy(text, out.data, out.size);
		text[out.size] = '\0';
	}
	gnutls_free(out.data);
}

/* RFC 6455 §4.2.2: what shows that the key was read by somebody who knows of WebSockets. */
static void accept_of(const char *key, size_t len, char told[WS_HTTP_TOLD])
{
	char text[WS_HTTP_KEY + sizeof(GUID)];
	uint8_t digest[20] = {0};
	const int n = snprintf(text, sizeof(text), "%.*s%s", (int)len, key, GUID);

	if (n > 0 && (size_t)n < sizeof(text))
		gnutls_hash_fast(GNUTLS_DIG_SHA1, text, (size_t)n, digest);
	base64(digest, sizeof(digest), told, WS_HTTP_TOLD);
}

void ws_http_key(char key[WS_HTTP_KEY])
{
	uint8_t bytes[16];

	copse_host_random(bytes, sizeof(bytes));
	base64(bytes, sizeof(bytes), key, WS_HTTP_KEY);
}

static int fits(int n, size_t cap)
{
	return n > 0 && (size_t)n < cap ? n : WS_HTTP_BAD;
}

int ws_http_ask(char *buf, size_t cap, const char *host, const char *key)
{
	const int n = snprintf(buf, cap,
			       "GET " TARGET " HTTP/1.1\r\n"
			       "Host: %s\r\n"
			       "Upgrade: websocket\r\n"
			       "Connection: Upgrade\r\n"
			       "Sec-WebSocket-Key: %s\r\n"
			       "Sec-WebSocket-Protocol: coap\r\n"
			       "Sec-WebSocket-Version: 13\r\n\r\n",
			       host, key);

	return fits(n, cap);
}

static int refuse(char *why, size_t cap, const char *text)
{
	snprintf(why, cap, "%s", text);
	return WS_HTTP_BAD;
}

int ws_http_told(const uint8_t *bytes, size_t len, const char *key, char *why, size_t why_cap)
{
	char expected[WS_HTTP_TOLD];
	struct head h;

	accept_of(key, strlen(key), expected);
	if (!take_head(&h, bytes, len) || !begins(&h.start, "HTTP/1.") || h.start.len < 12)
		return refuse(why, why_cap, "the server does not answer as HTTP does");
	if (memcmp(h.start.at + 8, " 101", 4) != 0) {
		snprintf(why, why_cap, "the server answered HTTP %.3s where it was to become a WebSocket",
			 h.start.at + 9);
		return WS_HTTP_BAD;
	}
	/* RFC 6455 §4.1, all of them */
	if (!h.upgrade || !h.connection || !h.value[F_ACCEPT].at || !is_exactly(&h.value[F_ACCEPT], expected))
		return refuse(why, why_cap, "the server does not become a WebSocket as RFC 6455 says");
	if (!h.value[F_PROTOCOL].at || !is_exactly(&h.value[F_PROTOCOL], "coap"))
		return refuse(why, why_cap, "the server's WebSockets do not carry CoAP");
	if (h.value[F_EXTENSIONS].at)
		return refuse(why, why_cap, "the server uses an extension that nobody asked for");
	return 0;
}

/* Base64 of 16 bytes: 22 characters, of which the last has two bits only, and "==". */
static bool is_key(const struct copse_text *key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (!key->at || key->len != WS_HTTP_KEY - 1 || memcmp(key->at + 22, "==", 2) != 0)
		return false;
	for (size_t i = 0; i < 22; i++)
		if (!memchr(digits, key->at[i], sizeof(digits) - 1))
			return false;
	return memchr("AQgw", key->at[21], 4) != NULL;
}

/* RFC 6455 §10.2: a browser says from whose page the request comes. That page must be of the same host, or
 * one of those that the
 * configuration names. */
static bool may_come_from(const struct copse_text *origin, const struct copse_text *host, const char *origins)
{
	const char *scheme_end = memmem(origin->at, origin->len, "://", 3);
	const char *end = origin->at + origin->len;

	if (scheme_end && (size_t)(end - scheme_end) - 3 == host->len &&
	    strncasecmp(scheme_end + 3, host->at, host->len) == 0)
		return true;
	for (const char *at = origins ? origins : ""; *at;) {
		const struct copse_text one = {at, strcspn(at, " ")};

		if (is(&one, "*") || (one.len == origin->len && strncasecmp(at, origin->at, one.len) == 0))
			return true;
		at += one.len + (at[one.len] == ' ');
	}
	return false;
}

int ws_http_asked(const uint8_t *bytes, size_t len, const char *origins, char told[WS_HTTP_TOLD])
{
	struct head h;

	told[0] = '\0';
	if (!take_head(&h, bytes, len) || !h.value[F_HOST].at || h.value[F_ENCODING].at ||
	    (h.value[F_LENGTH].at && !is_exactly(&h.value[F_LENGTH], "0")))
		return 400;
	if (!begins(&h.start, "GET "))
		return 405;
	if (!begins(&h.start, "GET " TARGET " "))
		return 404;
	if (!is_exactly(&h.start, "GET " TARGET " HTTP/1.1"))
		return 505;
	if (!h.upgrade || !h.connection || !h.value[F_VERSION].at || !is_exactly(&h.value[F_VERSION], "13"))
		return 426; /* RFC 6455 §4.4: the answer says which version */
	if (!is_key(&h.value[F_KEY]) || !h.coap)
		return 400;
	if (h.value[F_ORIGIN].at && !may_come_from(&h.value[F_ORIGIN], &h.value[F_HOST], origins))
		return 403;
	accept_of(h.value[F_KEY].at, h.value[F_KEY].len, told);
	return 101;
}

int ws_http_answer(char *buf, size_t cap, int status, const char *told)
{
	static const struct {
		int status;
		const char *line;
	} lines[] = {{400, "400 Bad Request"},
		     {403, "403 Forbidden"},
		     {404, "404 Not Found"},
		     {405, "405 Method Not Allowed\r\nAllow: GET"},
		     {426, "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"},
		     {431, "431 Request Header Fields Too Large"},
		     {505, "505 HTTP Version Not Supported"}};
	const char *line = lines[0].line;

	if (status == 101)
		return fits(snprintf(buf, cap,
				     "HTTP/1.1 101 Switching Protocols\r\n"
				     "Upgrade: websocket\r\n"
				     "Connection: Upgrade\r\n"
				     "Sec-WebSocket-Accept: %s\r\n"
				     "Sec-WebSocket-Protocol: coap\r\n\r\n",
				     told),
			    cap);
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (lines[i].status == status)
			line = lines[i].line;
	return fits(snprintf(buf, cap, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", line),
		    cap);
}
