/* One WebSocket that carries CoAP (RFC 6455, RFC 8323 §4): bytes of the connection in, frames of RFC 8323
 * §3.2 out, and back. No
 * I/O and no time: what it is fed comes from a connection that somebody else has, and what it has to say lies in `wire`.
 *
 * Wslay does the framing: masks, fragments, control frames, close codes. A CoAP message is a binary
 * message whose first byte has
 * no length; inside of us it has the length that it would have over TCP, so that everything above is the same.
 *
 * Bounds: a message of `max` bytes, of at most WS_FRAGMENTS frames; a longer one, a text, a message that
 * is no CoAP and whatever
 * RFC 6455 forbids close it. Pings are answered into `wire`, from which the owner must make room before it
 * feeds more. An idle one
 * has 9 kB, Wslay's.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_WS_H
#define COPSE_WS_H

#include "tcp_buffer.h"

#define WS_FRAGMENTS 64u
#define WS_WIRE      16384u /* so much of messages is prepared in one go */

struct ws;

/* NULL without memory. `max`: the longest frame, as it would be over TCP. */
struct ws *ws_new(bool server, uint32_t max);
void ws_free(struct ws *ws);

/* Take bytes of the peer. Whole messages are appended to `in` as frames, answers to control frames to what ws_wire has.
 * False without memory: the connection must be ended. */
bool ws_feed(struct ws *ws, const uint8_t *bytes, size_t len, struct tcp_buffer *in);

/* Nothing more comes: the peer has closed it, or done what it must not. `*fault`: the latter, as a sentence, else NULL. */
bool ws_is_over(const struct ws *ws, const char **fault);

/* Something has begun that is not complete: a frame, or a message of several. */
bool ws_is_partial(const struct ws *ws);

/* Prepare the frames that stand in `frames`, as many as are whole and as are good for one go. Returns how
 * many bytes of `frames`
 * that was, or -1 without memory. After the closing frame they are dropped. */
int ws_wrap(struct ws *ws, const uint8_t *frames, size_t len);

/* Say that it ends. */
void ws_bye(struct ws *ws, uint16_t code);

/* What is to be sent. The owner moves `at`, and clears it when all has been sent. */
struct tcp_buffer *ws_wire(struct ws *ws);

/* Pings that were answered since the last call. */
uint32_t ws_pings(struct ws *ws);

#endif
