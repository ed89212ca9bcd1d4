/* A server on an endpoint in virtual time, asked datagram by datagram: what server*_test.c share.
 *
 *	struct srv b = srv_new(&config);  srv_offer(&b, &resource)
 *	ask(&b, COPSE_CODE_GET, "a/b?x=1");  more options by copse_build_...(&b.rq, ...)
 *	go(&b)          sends it; true when an answer came at once, which is in b.rs then
 *	next(&b)        the next datagram that the server sends, or false
 *	at(&b, t)       lets the time come and does what is due
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef SERVER_BENCH_H
#define SERVER_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <copse/block.h>
#include <copse/server.h>

struct srv {
	struct copse_endpoint *ep;
	struct copse_server *server;
	void *ep_memory, *memory;
	copse_ms now;
	uint16_t id;            /* of the next request */
	uint8_t type;           /* COPSE_CON, or set it */
	struct copse_peer from; /* who asks */
	char token[9];          /* of the next request, as text */
	uint8_t in[COPSE_DATAGRAM_MAX];
	struct copse_builder rq;
	uint8_t out[COPSE_DATAGRAM_MAX];
	size_t out_len;
	struct copse_peer to;
	struct copse_message rs; /* the last datagram that was sent */
};

static inline struct copse_peer srv_peer(uint8_t n)
{
	return (struct copse_peer){.len = 3, .key = {'p', 0, n}};
}

static inline struct copse_config srv_endpoint_config(void)
{
	return (struct copse_config){.group = {COPSE_PARAMS_DEFAULT},
				     .group_n = 1,
				     .exchange_cap = 64,
				     .incoming_cap = 256,
				     .peer_cap = 64,
				     .chunk_cap = 2048,
				     .reply_cap = 16,
				     .seed = {1, 2}};
}

static inline struct srv *srv_new_on(const struct copse_server_config *config,
				     const struct copse_config *below)
{
	struct srv *b = calloc(1, sizeof *b);
	const size_t ep_len = copse_endpoint_bytes(below), len = copse_server_bytes(config);
	b->ep_memory = malloc(ep_len);
	b->memory = malloc(len);
	assert_non_null(b->memory);
	b->now = 1000;
	b->ep = copse_endpoint_init(b->ep_memory, ep_len, below, b->now);
	b->server = copse_server_init(b->memory, len, config, b->ep, b->now);
	b->from = srv_peer(1);
	b->id = 100;
	b->token[0] = 't';
	return b;
}

static inline struct srv *srv_new(const struct copse_server_config *config)
{
	const struct copse_config below = srv_endpoint_config();
	return srv_new_on(config, &below);
}

static inline struct copse_server_config srv_config(void)
{
	struct copse_server_config c = COPSE_SERVER_DEFAULT;
	c.seed[0] = 3;
	c.seed[1] = 4;
	return c;
}

static inline struct srv *srv_default(void)
{
	const struct copse_server_config c = srv_config();
	return srv_new(&c);
}

static inline void srv_done(struct srv *b)
{
	free(b->ep_memory);
	free(b->memory);
	free(b);
}

static inline void offer(struct srv *b, const struct copse_resource *r)
{
	assert_int_equal(copse_server_add(b->server, r), 0);
}

static inline void events(struct srv *b)
{
	struct copse_event e;
	while (copse_endpoint_next_event(b->ep, &e))
		(void)copse_server_take(b->server, &e, b->now);
}

/* What the server's side sends next; it stays in b->rs. */
static inline bool next(struct srv *b)
{
	const int n = copse_endpoint_transmit(b->ep, b->out, sizeof b->out, &b->to, b->now);
	if (n == 0)
		return false;
	b->out_len = (size_t)n;
	assert_int_equal(copse_message_parse(&b->rs, b->out, (size_t)n), 0);
	return true;
}

/* The same, when the server itself has work left. */
static inline bool next_due(struct srv *b)
{
	if (next(b))
		return true;
	if (copse_server_deadline(b->server) > b->now)
		return false;
	copse_server_expire(b->server, b->now);
	return next(b);
}

static inline void deliver(struct srv *b, const struct copse_peer *from, const void *bytes, size_t len)
{
	(void)copse_endpoint_receive(b->ep, from, bytes, len, b->now);
	events(b);
}

static inline void at(struct srv *b, copse_ms now)
{
	b->now = now;
	copse_endpoint_expire(b->ep, now);
	events(b);
	if (copse_server_deadline(b->server) <= now)
		copse_server_expire(b->server, now);
}

/* Options of a path "a/b?x=1&y" in the request. */
static inline void put_path(struct copse_builder *rq, const char *path)
{
	const char *query = strchr(path, '?');
	const char *end = query ? query : path + strlen(path);
	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *stop = slash ? slash : end;
		copse_build_raw(rq, COPSE_OPTION_URI_PATH, path, (size_t)(stop - path));
		path = slash ? slash + 1 : end;
	}
	while (query) {
		const char *amp = strchr(++query, '&');
		const size_t len = amp ? (size_t)(amp - query) : strlen(query);
		copse_build_raw(rq, COPSE_OPTION_URI_QUERY, query, len);
		query = amp;
	}
}

static inline void ask(struct srv *b, uint8_t code, const char *path)
{
	copse_build_message(&b->rq, b->in, sizeof b->in, b->type, code, b->id++, b->token, strlen(b->token));
	put_path(&b->rq, path);
}

static inline bool go(struct srv *b)
{
	const int n = copse_build_finish(&b->rq);
	assert_true(n > 0);
	deliver(b, &b->from, b->in, (size_t)n);
	return next(b);
}

static inline bool go_with(struct srv *b, const char *payload)
{
	copse_build_payload(&b->rq, payload, strlen(payload));
	return go(b);
}

static inline bool get(struct srv *b, const char *path)
{
	ask(b, COPSE_CODE_GET, path);
	return go(b);
}

/* An empty ACK or RST for what was sent last. */
static inline void reply_empty(struct srv *b, uint8_t type)
{
	const uint8_t bytes[] = {(uint8_t)(0x40 | type << 4), 0, (uint8_t)(b->rs.id >> 8), (uint8_t)b->rs.id};
	const struct copse_peer to = b->to;
	deliver(b, &to, bytes, sizeof bytes);
}

static inline bool body_is(const struct srv *b, const char *text)
{
	return b->rs.payload_len == strlen(text) &&
	       memcmp(copse_message_payload(&b->rs), text, strlen(text)) == 0;
}

#define expect_code(b, c) assert_int_equal((b)->rs.code, COPSE_CODE_##c)
#define expect_body(b, t)                                                                                    \
	do {                                                                                                 \
		if (!body_is(b, t))                                                                          \
			fail_msg("body is \"%.*s\", not \"%s\"", (int)(b)->rs.payload_len,                   \
				 (const char *)copse_message_payload(&(b)->rs), t);                          \
	} while (0)
#define expect_uint(b, o, v)                                                                                 \
	assert_int_equal(copse_message_uint(&(b)->rs, COPSE_OPTION_##o, UINT32_MAX), (uint32_t)(v))
#define expect_no(b, o) assert_null(copse_message_option(&(b)->rs, COPSE_OPTION_##o))

static inline void expect_block(const struct srv *b, uint16_t number, uint32_t num, bool more, uint32_t size)
{
	struct copse_block block = {0, false, 0};
	assert_int_equal(copse_block_read(&b->rs, number, &block), 1);
	assert_int_equal(block.num, num);
	assert_int_equal(block.more, more);
	assert_int_equal(copse_block_size(block.szx), size);
}

static inline struct copse_block block(uint32_t num, bool more, uint32_t size)
{
	return (struct copse_block){num, more, copse_block_szx(size)};
}

#endif
