/* TCP: opening, and what is asked of an open one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "secure_internal.h"
#include "spread.h"
#include "tcp_internal.h"

#include <copse/mem.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BACKLOG 512

__attribute__((format(printf, 3, 4))) static void say(char *why, size_t cap, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (cap > 0)
		vsnprintf(why, cap, format, args);
	va_end(args);
}

/* What is not set, by default. */
static void fill_in(struct copse_tcp_config *c)
{
	c->connections = c->connections ? c->connections : 1024;
	c->per_address = c->per_address ? c->per_address : 64;
	c->rate = c->rate ? c->rate : 1000;
	c->max_message = c->max_message ? c->max_message : COPSE_FRAME_BASE;
	c->out_max = c->out_max ? c->out_max : 262144;
	c->handshake_ms = c->handshake_ms ? c->handshake_ms : COPSE_SECONDS(30);
	c->frame_ms = c->frame_ms ? c->frame_ms : COPSE_SECONDS(60);
	c->stall_ms = c->stall_ms ? c->stall_ms : COPSE_SECONDS(60);
	c->idle_ms = c->idle_ms ? c->idle_ms : COPSE_SECONDS(86400);
}

/* NULL stays NULL. */
static bool copy(const char *text, char **out)
{
	const size_t n = text ? strlen(text) + 1 : 0;

	*out = text ? copse_mem_new(1, n) : NULL;
	if (*out)
		memcpy(*out, text, n);
	return *out || !text;
}

static bool make(struct copse_tcp *t, const struct copse_tcp_config *config)
{
	t->base.ops = &tcp_ops;
	if (config->websocket)
		t->base.scheme = config->secure ? "coaps+ws" : "coap+ws";
	else
		t->base.scheme = config->secure ? "coaps+tcp" : "coap+tcp";
	t->base.fd = -1;
	t->listener = -1;
	t->config = *config;
	fill_in(&t->config);
	t->rate_left = t->config.rate * 1000;
	if (config->secure)
		t->secure = copse_secure_ref(config->secure);
	return copy(config->host, &t->host) && copy(config->origins, &t->origins) && tcp_table_new(t);
}

/* Every address of both families where the system has IPv6, else of IPv4. */
static struct copse_address any_address(void)
{
	struct copse_address a;
	const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	copse_address_parse(fd >= 0 ? "[::]:0" : "0.0.0.0:0", 0, &a);
	if (fd >= 0)
		close(fd);
	return a;
}

static int set_up_listener(struct copse_tcp *t, const struct copse_address *at)
{
	const int on = 1, only = at->sa.sa_family == AF_INET6 && !copse_address_is_any(at);

	if (setsockopt(t->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return -1;
	if (t->config.reuse_port && setsockopt(t->listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		return -1;
	if (at->sa.sa_family == AF_INET6 &&
	    setsockopt(t->listener, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) != 0)
		return -1;
	if (bind(t->listener, &at->sa, at->len) != 0)
		return -1;
	if (t->config.share_port && setsockopt(t->listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		return -1;
	if (listen(t->listener, BACKLOG) != 0)
		return -1;
	if (t->config.reuse_port && t->config.spread > 1 && !spread_by_address(t->listener, t->config.spread))
		return -1;
	t->bound.len = sizeof(t->bound.in6);
	return getsockname(t->listener, &t->bound.sa, &t->bound.len);
}

static int open_listener(struct copse_tcp *t, char *why, size_t why_cap)
{
	const struct copse_address at = t->config.bind.len ? t->config.bind : any_address();
	char text[COPSE_ADDRESS_TEXT];

	copse_address_text(&at, text, sizeof(text));
	t->listener = socket(at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->listener < 0) {
		say(why, why_cap, "cannot open a socket for %s: %s", text, strerror(errno));
		return errno == EAFNOSUPPORT ? COPSE_ERR_ARGUMENT : COPSE_ERR_NOROOM;
	}
	if (set_up_listener(t, &at) != 0) {
		say(why, why_cap, "cannot listen at %s: %s", text, strerror(errno));
		return COPSE_ERR_ARGUMENT;
	}
	tcp_listen(t, true);
	return t->listening ? COPSE_OK : COPSE_ERR_NOROOM;
}

int copse_tcp_open(const struct copse_tcp_config *config, struct copse_transport **out, char *why,
		   size_t why_cap)
{
	struct copse_tcp *t = copse_mem_new(1, sizeof(*t));
	int err = COPSE_OK;

	COPSE_ASSERT(!config->secure ||
		     (config->secure->finished && config->secure->server == config->server));
	COPSE_ASSERT(!config->max_message || (config->max_message >= COPSE_FRAME_BASE &&
					      config->max_message <= COPSE_TCP_MESSAGE_MAX));
	say(why, why_cap, "no memory for connections");
	if (!t)
		return COPSE_ERR_NOROOM;
	if (!make(t, config) || (t->base.fd = epoll_create1(EPOLL_CLOEXEC)) < 0 || !tcp_away_open(t))
		err = COPSE_ERR_NOROOM;
	else if (config->server)
		err = open_listener(t, why, why_cap);
	else
		t->bound = config->bind.len ? config->bind : any_address();
	if (err) {
		copse_transport_close(&t->base);
		return err;
	}
	*out = &t->base;
	return COPSE_OK;
}

bool copse_transport_is_tcp(const struct copse_transport *t)
{
	return t->ops == &tcp_ops;
}

static const struct copse_tcp *tcp_in(const struct copse_transport *t)
{
	COPSE_ASSERT(t->ops == &tcp_ops);
	return (const struct copse_tcp *)t;
}

bool copse_transport_is_tls(const struct copse_transport *t)
{
	return copse_transport_is_tcp(t) && tcp_in(t)->secure;
}

bool copse_tcp_is_server(const struct copse_transport *t)
{
	return copse_transport_is_tcp(t) && tcp_in(t)->config.server;
}

void copse_tcp_adopt(struct copse_transport *base, struct copse_secure *secure)
{
	struct copse_tcp *t = tcp_of(base);
	struct copse_secure *old = t->secure;

	COPSE_ASSERT(copse_transport_is_tls(base) && secure->finished && secure->server == t->config.server);
	t->secure = copse_secure_ref(secure);
	copse_secure_unref(old);
}

static const struct tcp_conn *open_one(const struct copse_transport *t, const struct copse_peer *peer)
{
	union {
		const struct copse_transport *in;
		struct copse_tcp *out;
	} u = {t}; /* a look-up changes nothing */
	const struct tcp_conn *c;

	COPSE_ASSERT(t->ops == &tcp_ops);
	c = tcp_find(u.out, peer);
	return c && c->state >= TCP_OPEN ? c : NULL; /* a client's that is released is not found */
}

bool copse_tcp_is_open(const struct copse_transport *t, const struct copse_peer *peer)
{
	return open_one(t, peer) != NULL;
}

const char *copse_tcp_identity(const struct copse_transport *t, const struct copse_peer *peer, char *buf,
			       size_t cap)
{
	const struct tcp_conn *c = open_one(t, peer);

	buf[0] = '\0';
	if (c && c->tls)
		tcp_tls_identity(c->tls, buf, cap);
	return buf;
}

const char *copse_tcp_failure(const struct copse_transport *t, bool *network)
{
	*network = tcp_in(t)->why_network;
	return tcp_in(t)->why;
}

void copse_tcp_usage(const struct copse_transport *t, struct copse_tcp_usage *usage)
{
	*usage = (struct copse_tcp_usage){tcp_in(t)->open.n, tcp_in(t)->beginning.n, tcp_in(t)->waiting};
}

const struct copse_tcp_counters *copse_tcp_counters(const struct copse_transport *t)
{
	return &tcp_in(t)->count;
}
