/* A connection that is a WebSocket: it moves the bytes between the connection and ws.h, before that
 * between it and ws_http.h.
 *
 * Invariants: `taken` bytes in front of the connection's `out` lie wrapped in the wire; they are reported
 * as sent when the whole wire
 * has left, and not wrapped again until then. The head of HTTP exists while the connection is TCP_UPGRADING.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "tcp_internal.h"
#include "ws.h"
#include "ws_http.h"

#include <copse/mem.h>

#include <stdio.h>
#include <string.h>

#define READ_ROOM 4096u
#define HOST_MAX  320u

struct tcp_ws {
	struct ws *ws;
	struct tcp_buffer head;
	uint32_t taken;
	bool asked; /* client: the request has left */
	char key[WS_HTTP_KEY];
	char why[96];
};

struct tcp_ws *tcp_ws_new(struct tcp_conn *c)
{
	const struct copse_tcp_config *config = &c->owner->config;
	struct tcp_ws *w = copse_mem_new(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ws = ws_new(config->server, config->max_message);
	if (w->ws)
		return w;
	copse_mem_free(w);
	return NULL;
}

void tcp_ws_free(struct tcp_ws *w)
{
	if (!w)
		return;
	ws_free(w->ws);
	tcp_buffer_clear(&w->head);
	copse_mem_free(w);
}

/* ---- HTTP ---- */

static const char *host_of(const struct tcp_conn *c, char buf[HOST_MAX])
{
	struct copse_address at;

	if (c->owner->host)
		return c->owner->host;
	buf[0] = '\0';
	if (copse_peer_address(&c->peer, &at) == COPSE_OK)
		copse_address_text(&at, buf, HOST_MAX);
	return buf;
}

/* A connection that is new takes a few hundred bytes. */
static bool say(struct tcp_conn *c, const char *text, int len)
{
	return len > 0 && tcp_put(c, text, (size_t)len) == len;
}

static bool ask(struct tcp_conn *c)
{
	char buf[HOST_MAX + 512], host[HOST_MAX];

	ws_http_key(c->ws->key);
	c->ws->asked = say(c, buf, ws_http_ask(buf, sizeof(buf), host_of(c, host), c->ws->key));
	return c->ws->asked;
}

/* Read until the head is there. Returns its length, or as TCP_... */
static int read_head(struct tcp_conn *c, const char **why)
{
	struct tcp_buffer *head = &c->ws->head;

	for (;;) {
		size_t len;
		int n;

		if (head->len >= WS_HTTP_MAX || !tcp_buffer_room(head, WS_HTTP_MAX)) {
			*why = "the head of the HTTP message is too long";
			return TCP_BROKEN;
		}
		n = tcp_get(c, head->bytes + head->len, WS_HTTP_MAX - head->len);
		if (n == TCP_AGAIN)
			return n;
		if (n < 0) {
			*why = "the peer closed the connection instead of making it a WebSocket";
			return TCP_CLOSED;
		}
		head->len += (uint32_t)n;
		len = ws_http_head(head->bytes, head->len, head->len - (uint32_t)n);
		if (len)
			return (int)len;
	}
}

/* Server: read the request's head and answer it. Returns whether it is a WebSocket now. */
static bool answer(struct tcp_conn *c, int len)
{
	char told[WS_HTTP_TOLD] = "", buf[512];
	const int status =
	    len > 0 ? ws_http_asked(c->ws->head.bytes, (size_t)len, c->owner->origins, told) : 431;

	return say(c, buf, ws_http_answer(buf, sizeof(buf), status, told)) && status == 101;
}

static bool take_answer(struct tcp_conn *c, int len, const char **why)
{
	if (len < 0)
		return false;
	*why = c->ws->why;
	return ws_http_told(c->ws->head.bytes, (size_t)len, c->ws->key, c->ws->why, sizeof(c->ws->why)) == 0;
}

int tcp_ws_upgrade(struct tcp_conn *c, const char **why)
{
	const bool server = c->owner->config.server;
	struct tcp_ws *w = c->ws;
	bool done;
	int len;

	*why = "the connection was reset before it was a WebSocket";
	if (!server && !w->asked && !ask(c))
		return TCP_BROKEN;
	len = read_head(c, why);
	if (len == TCP_AGAIN || len == TCP_CLOSED)
		return len;
	done = server ? answer(c, len) : take_answer(c, len, why);
	if (server && !done) {
		c->owner->count.refused_upgrade++;
		*why = "the peer asked for something else than a WebSocket with CoAP";
	}
	if (!done || !ws_feed(w->ws, w->head.bytes + len, w->head.len - (uint32_t)len, &c->in))
		return TCP_BROKEN;
	tcp_buffer_clear(&w->head);
	return 1;
}

/* ---- messages ---- */

int tcp_ws_read(struct tcp_conn *c)
{
	uint8_t bytes[READ_ROOM];
	const char *fault;
	int n;

	if (ws_is_over(c->ws->ws, &fault))
		return TCP_CLOSED;
	n = tcp_get(c, bytes, sizeof(bytes));
	if (n <= 0)
		return n;
	if (!ws_feed(c->ws->ws, bytes, (size_t)n, &c->in))
		return TCP_BROKEN;
	c->owner->count.pings += ws_pings(c->ws->ws);
	if (c->state < TCP_OPEN) { /* nobody else looks after answers to control frames yet */
		if (tcp_ws_write(c, NULL, 0) < 0 || tcp_ws_unsent(c->ws) > READ_ROOM)
			return TCP_BROKEN;
	}
	if (ws_is_over(c->ws->ws, &fault)) /* what came before is handed on first */
		tcp_make_ready(c);
	return n;
}

int tcp_ws_write(struct tcp_conn *c, const void *frames, size_t len)
{
	struct tcp_ws *w = c->ws;
	struct tcp_buffer *wire = ws_wire(w->ws);
	int taken;

	if (w->taken == 0 && len > 0) {
		taken = ws_wrap(w->ws, frames, len);
		if (taken < 0)
			return TCP_BROKEN;
		w->taken = (uint32_t)taken;
	}
	while (tcp_waiting(wire) > 0) {
		const int n = tcp_put(c, wire->bytes + wire->at, tcp_waiting(wire));

		if (n <= 0)
			return n;
		wire->at += (uint32_t)n;
		c->stalled_since = COPSE_NEVER;
	}
	tcp_buffer_clear(wire);
	taken = (int)w->taken;
	w->taken = 0;
	return taken;
}

uint32_t tcp_ws_unsent(const struct tcp_ws *w)
{
	return tcp_waiting(ws_wire(w->ws));
}

bool tcp_ws_is_over(const struct tcp_ws *w, const char **fault)
{
	return ws_is_over(w->ws, fault);
}

bool tcp_ws_is_partial(const struct tcp_ws *w)
{
	return ws_is_partial(w->ws);
}

void tcp_ws_bye(struct tcp_conn *c, uint16_t code)
{
	struct tcp_buffer *wire = ws_wire(c->ws->ws);

	ws_bye(c->ws->ws, code);
	if (tcp_waiting(wire) > 0)
		(void)tcp_put(c, wire->bytes + wire->at, tcp_waiting(wire));
	tcp_buffer_clear(wire);
}
