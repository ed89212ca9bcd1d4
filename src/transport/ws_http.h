/* The HTTP request that turns a connection into a WebSocket (RFC 6455 §4, RFC 8323 §4.1), and its answer:
 * bytes in, bytes out.
 * Nothing is kept, and nothing of HTTP is understood beyond that one exchange: every head is taken whole, in at most
 * WS_HTTP_MAX bytes.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_WS_HTTP_H
#define COPSE_WS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_HTTP_MAX  8192u /* longest head that is read */
#define WS_HTTP_KEY  25u   /* 16 random bytes in base64, and a NUL */
#define WS_HTTP_TOLD 29u   /* Sec-WebSocket-Accept, and a NUL */

enum { WS_HTTP_BAD = -1 };

/* The length of the head that begins at `bytes`, with the empty line that ends it; 0 while that has not
 * come. `before`: how many
 * of the bytes had come at the last call. */
size_t ws_http_head(const uint8_t *bytes, size_t len, size_t before);

/* Client: a fresh Sec-WebSocket-Key. */
void ws_http_key(char key[WS_HTTP_KEY]);

/* Client: write the request. `host`: of the URI, with its port unless that is the scheme's. Returns its
 * length, or WS_HTTP_BAD
 * without room. */
int ws_http_ask(char *buf, size_t cap, const char *host, const char *key);

/* Client: read the head of the answer to that. Returns 0, or WS_HTTP_BAD with `why` as a sentence. */
int ws_http_told(const uint8_t *head, size_t len, const char *key, char *why, size_t why_cap);

/* Server: read the head of a request. `origins`: what pages a browser may have it from, beside those of
 * the host that is asked:
 * separated by spaces, "*" for all; NULL: none. Returns the status of the answer: 101, or why not. `told`
 * is filled with 101. */
int ws_http_asked(const uint8_t *head, size_t len, const char *origins, char told[WS_HTTP_TOLD]);

/* Server: write the answer. Returns its length, or WS_HTTP_BAD without room. */
int ws_http_answer(char *buf, size_t cap, int status, const char *told);

#endif
