/* See ws.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ws.h"

#include <copse/frame.h>
#include <copse/host.h>
#include <copse/mem.h>

#include <string.h>
#include <wslay/wslay.h>

struct ws {
	wslay_event_context_ptr wslay;
	struct tcp_buffer wire;
	struct tcp_buffer *in; /* while it is fed */
	const uint8_t *feed;
	size_t feed_len;
	uint64_t awaited;   /* bytes fed since the last frame was complete */
	uint64_t frame;     /* the length of the one that comes */
	uint32_t fragments; /* of the message that is under way; 0: none is */
	uint32_t max, pings;
	const char *fault;
	bool server;
	bool no_memory;
};

static void refuse(struct ws *ws, uint16_t code, const char *fault)
{
	if (!ws->fault)
		ws->fault = fault;
	wslay_event_queue_close(ws->wslay, code, (const uint8_t *)fault, strlen(fault));
	wslay_event_shutdown_read(ws->wslay);
}

/* ---- what Wslay asks for ---- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *self)
{
	struct ws *ws = self;
	const size_t n = len < ws->feed_len ? len : ws->feed_len;

	(void)flags;
	if (n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(buf, ws->feed, n);
	ws->feed += n;
	ws->feed_len -= n;
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *bytes, size_t len, int flags, void *self)
{
	struct ws *ws = self;

	(void)flags;
	if (len > INT32_MAX || !tcp_buffer_room(&ws->wire, len)) {
		ws->no_memory = true;
		wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	tcp_buffer_append(&ws->wire, bytes, len);
	return (ssize_t)len;
}

/* RFC 6455 §10.3: not to be guessed. */
static int on_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, void *self)
{
	(void)ctx;
	(void)self;
	copse_host_random(buf, len);
	return 0;
}

static void on_frame_start(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *f,
			   void *self)
{
	struct ws *ws = self;
	const uint64_t extended = f->payload_length < 126 ? 0 : f->payload_length <= UINT16_MAX ? 2 : 8;

	(void)ctx;
	ws->frame = 2 + extended + (ws->server ? 4 : 0) + f->payload_length;
	if (f->opcode == WSLAY_TEXT_FRAME) /* RFC 8323 §4.2: messages are binary */
		refuse(ws, WSLAY_CODE_UNSUPPORTED_DATA, "a text, where CoAP is binary");
	if (f->opcode >= WSLAY_CONNECTION_CLOSE)
		return;
	if (++ws->fragments > WS_FRAGMENTS)
		refuse(ws, WSLAY_CODE_POLICY_VIOLATION, "a message in too many fragments");
}

static void on_frame_end(wslay_event_context_ptr ctx, void *self)
{
	struct ws *ws = self;

	(void)ctx;
	ws->awaited -= ws->frame < ws->awaited ? ws->frame : ws->awaited;
}

/* A message becomes a frame with a length. */
static void take_message(struct ws *ws, const uint8_t *bytes, size_t len)
{
	const size_t token_len = len ? bytes[0] & 15u : 0;
	uint8_t head[COPSE_FRAME_HEAD_MAX];
	size_t n, rest;

	/* RFC 8323 §4.2: Len is 0, the WebSocket has the length */
	if (len < 2 + token_len || token_len > COPSE_TOKEN_MAX || bytes[0] >> 4 != 0) {
		refuse(ws, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA, "a message that is no CoAP");
		return;
	}
	rest = len - 2 - token_len;
	if (copse_frame_len(token_len, rest) > ws->max) {
		refuse(ws, WSLAY_CODE_MESSAGE_TOO_BIG, "message too large");
		return;
	}
	n = copse_frame_head(head, bytes[1], bytes + 2, token_len, rest);
	if (!tcp_buffer_room(ws->in, n + rest)) {
		ws->no_memory = true;
		wslay_event_shutdown_read(ws->wslay);
		return;
	}
	tcp_buffer_append(ws->in, head, n);
	tcp_buffer_append(ws->in, bytes + 2 + token_len, rest);
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m, void *self)
{
	struct ws *ws = self;

	(void)ctx;
	ws->pings += m->opcode == WSLAY_PING;
	if (m->opcode >= WSLAY_CONNECTION_CLOSE)
		return;
	ws->fragments = 0;
	if (m->opcode == WSLAY_BINARY_FRAME && !ws->fault)
		take_message(ws, m->msg, m->msg_length);
}

/* ---- one's own ---- */

struct ws *ws_new(bool server, uint32_t max)
{
	static const struct wslay_event_callbacks callbacks = {
	    .recv_callback = on_recv,
	    .send_callback = on_send,
	    .genmask_callback = on_mask,
	    .on_frame_recv_start_callback = on_frame_start,
	    .on_frame_recv_end_callback = on_frame_end,
	    .on_msg_recv_callback = on_message,
	};
	struct ws *ws = copse_mem_new(1, sizeof(*ws));

	if (!ws)
		return NULL;
	ws->server = server;
	ws->max = max;
	if ((server ? wslay_event_context_server_init(&ws->wslay, &callbacks, ws)
		    : wslay_event_context_client_init(&ws->wslay, &callbacks, ws)) != 0) {
		copse_mem_free(ws);
		return NULL;
	}
	wslay_event_config_set_max_recv_msg_length(ws->wslay, max);
	return ws;
}

void ws_free(struct ws *ws)
{
	if (!ws)
		return;
	wslay_event_context_free(ws->wslay);
	tcp_buffer_clear(&ws->wire);
	copse_mem_free(ws);
}

/* What Wslay has found itself. */
static void find_fault(struct ws *ws)
{
	if (ws->fault || wslay_event_get_read_enabled(ws->wslay) || wslay_event_get_close_received(ws->wslay))
		return;
	ws->fault = wslay_event_get_status_code_sent(ws->wslay) == WSLAY_CODE_MESSAGE_TOO_BIG
			? "message too large"
			: "that is not how WebSockets are used";
}

bool ws_feed(struct ws *ws, const uint8_t *bytes, size_t len, struct tcp_buffer *in)
{
	ws->in = in;
	ws->feed = bytes;
	ws->feed_len = len;
	ws->awaited += len;
	/* Errors of the peer's are in the state; WSLAY_ERR_NOMEM is the one that has no other trace. */
	if (wslay_event_recv(ws->wslay) == WSLAY_ERR_NOMEM || wslay_event_send(ws->wslay) == WSLAY_ERR_NOMEM)
		ws->no_memory = true;
	find_fault(ws);
	ws->in = NULL;
	ws->feed_len = 0;
	return !ws->no_memory;
}

bool ws_is_over(const struct ws *ws, const char **fault)
{
	*fault = ws->fault;
	return !wslay_event_get_read_enabled(ws->wslay);
}

bool ws_is_partial(const struct ws *ws)
{
	return ws->awaited > 0 || ws->fragments > 0;
}

/* The byte in front of the code has no length in it; from the code on both forms are the same. */
static bool queue(struct ws *ws, const uint8_t *frame, const struct copse_frame *f)
{
	const size_t len = 2 + f->token_len + f->rest_len;
	uint8_t *bytes = copse_mem_new(1, len);
	struct wslay_event_msg m = {.opcode = WSLAY_BINARY_FRAME, .msg = bytes, .msg_length = len};
	int err = WSLAY_ERR_NOMEM;

	if (bytes) {
		bytes[0] = f->token_len;
		memcpy(bytes + 1, frame + f->len - (len - 1), len - 1);
		err = wslay_event_queue_msg(ws->wslay, &m);
	}
	copse_mem_free(bytes);
	return err == 0 || err == WSLAY_ERR_NO_MORE_MSG;
}

int ws_wrap(struct ws *ws, const uint8_t *frames, size_t len)
{
	struct copse_frame f;
	size_t at = 0;

	while (at < len && at < WS_WIRE && copse_frame_parse(&f, frames + at, len - at, SIZE_MAX / 2) > 0) {
		if (!queue(ws, frames + at, &f))
			return -1;
		at += f.len;
	}
	if (wslay_event_send(ws->wslay) != 0 || ws->no_memory)
		return -1;
	return (int)at;
}

void ws_bye(struct ws *ws, uint16_t code)
{
	wslay_event_queue_close(ws->wslay, code, (const uint8_t *)"", 0);
	wslay_event_send(ws->wslay); /* it need not arrive */
}

struct tcp_buffer *ws_wire(struct ws *ws)
{
	return &ws->wire;
}

uint32_t ws_pings(struct ws *ws)
{
	const uint32_t n = ws->pings;

	ws->pings = 0;
	return n;
}
