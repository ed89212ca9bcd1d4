/* What the files of the TCP transport share.
 *
 * tcp.c      the path of messages: frames to datagrams and back, signaling
 * tcp_conn.c connections: how they begin and end, their buffers and times
 * tcp_tls.c  the bytes of a connection by TLS
 * tcp_away.c handshakes of TLS that other threads make
 * tcp_ws.c   the bytes of a connection that is a WebSocket (ws.h), and how it becomes one (ws_http.h)
 * tcp_release.c what servers have asked for with Release
 * tcp_open.c opening, and what is asked of an open one
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TCP_INTERNAL_H
#define COPSE_TCP_INTERNAL_H

#include "core/heap.h"
#include "core/table.h"
#include "tcp_buffer.h"

#include <copse/frame.h>
#include <copse/tcp.h>

#define TCP_EVENTS 64  /* descriptors looked at in one go */
#define TCP_HOLDS  8   /* servers whose wishes are remembered */
#define TCP_LOCAL  512 /* acknowledgements and Resets that wait to be handed back */

/* Drawn in doc/states/tcp.md. */
enum tcp_state {
	TCP_FREE,
	TCP_CONNECTING, /* client: the network has not answered */
	TCP_SHAKING,    /* TLS: the handshake is under way */
	TCP_UPGRADING,  /* it is to become a WebSocket: HTTP is under way */
	TCP_GREETING,   /* our CSM has left, the peer's has not come */
	TCP_OPEN,
	TCP_DRAINING /* the peer has released it. Client: answers come still, requests have another connection. Server: it
		      * ends when all has been answered */
};

#define TCP_HOME UINT32_MAX /* in the place of a connection's number: handshakes have come back */

struct tcp_tls;
struct tcp_ws;
struct tcp_errand;
struct handshake_home;

/* A connection, named by its number: place in the table + 1. */
struct tcp_conn {
	struct core_timer timer;
	struct copse_tcp *owner;
	struct tcp_tls *tls; /* NULL: in the clear */
	struct tcp_errand
	    *errand; /* of a handshake that other threads make; it has `tls` and `fd` while it is away */
	struct tcp_ws *ws; /* NULL: it is no WebSocket */
	struct copse_peer peer;
	struct tcp_buffer in, out;
	copse_ms used;          /* last of all by the peer */
	copse_ms began;         /* beginning, or draining: since when */
	copse_ms frame_since;   /* an incomplete frame lies in `in` */
	copse_ms stalled_since; /* `out` waits, and nothing of it was taken */
	copse_ms retry_at;      /* the threads had no room for the errand */
	uint32_t prev, next;    /* in the list of its state, the one used last first; free ones: only next */
	uint32_t ready_next;    /* in the list of those that have more to hand on */
	uint32_t peer_hash, address_hash;
	uint32_t peer_max; /* its Max-Message-Size */
	uint32_t asked;    /* server: requests of the peer that are to be answered, without the next ones */
	uint32_t observes; /* server: of these, registrations (RFC 7641) */
	int fd;
	uint32_t watched; /* events of epoll */
	uint16_t next_id; /* of the next message from it */
	uint16_t ping_id; /* of our last Ping */
	bool pinged;
	uint8_t state;
	bool by_peer, by_address, ready, paused, dirty, eof;
	bool away, unwatched; /* the errand is with the threads; nothing of `fd` is told */
	bool block_wise;      /* it takes block-wise transfer, as its CSM says */
};

struct tcp_list {
	uint32_t first, last, n;
};

/* An empty message that the peer of a datagram would have sent. */
struct tcp_local {
	struct copse_peer peer;
	uint16_t id;
	uint8_t type;
};

/* What a server has asked for when it released a connection. */
struct tcp_hold {
	struct copse_peer peer;                               /* len 0: there is none */
	copse_ms until;                                       /* no connection before */
	unsigned instead_n;                                   /* 0: where it was */
	struct copse_address instead[COPSE_SIGNAL_ADDRESSES]; /* the first is the next to be tried */
};

struct copse_tcp {
	struct copse_transport base;
	struct copse_tcp_config config; /* with every default filled in */
	struct copse_secure *secure;
	struct handshake_home *home; /* of errands; NULL: handshakes are made here */
	char *host, *origins;        /* copies of the configuration's; NULL: none */
	struct copse_address bound;
	int listener;
	bool listening; /* the listener is watched */
	copse_ms listen_at;
	struct tcp_conn *conn; /* [connections] */
	uint32_t fresh, free;
	struct tcp_list open, beginning;
	uint32_t ready_first, ready_last;
	struct core_table by_peer, by_address;
	struct core_heap heap;
	uint64_t key[2];
	uint32_t serial;
	copse_ms rate_at;
	uint32_t rate_left;
	struct copse_peer *failures; /* [connections] */
	uint32_t failure_n;
	struct tcp_local local[TCP_LOCAL];
	uint16_t local_first, local_n;
	struct tcp_hold hold[TCP_HOLDS]; /* client */
	unsigned hold_next;
	uint64_t waiting; /* bytes in all `out` */
	const char *why;
	bool why_network;
	char why_text[128];
	struct copse_tcp_counters count;
};

static inline struct copse_tcp *tcp_of(struct copse_transport *t)
{
	return (struct copse_tcp *)t;
}

static inline struct tcp_conn *tcp_at(struct copse_tcp *t, uint32_t number)
{
	return number ? &t->conn[number - 1] : NULL;
}

static inline uint32_t tcp_number(const struct copse_tcp *t, const struct tcp_conn *c)
{
	return (uint32_t)(c - t->conn) + 1;
}

/* --- tcp_conn.c --- */

bool tcp_table_new(struct copse_tcp *t);
void tcp_table_free(struct copse_tcp *t);

/* The connection that messages to `peer` go by, or NULL. */
struct tcp_conn *tcp_find(struct copse_tcp *t, const struct copse_peer *peer);
/* Client: connect. NULL when that fails at once, which has been told then. */
struct tcp_conn *tcp_connect(struct copse_tcp *t, const struct copse_peer *peer, copse_ms now);
/* Take what waits at the listener. */
void tcp_accept(struct copse_tcp *t, copse_ms now);
/* Move a connection on that is not open yet, or was found writable. False when it is gone. */
bool tcp_progress(struct tcp_conn *c, copse_ms now);
/* It has been greeted. */
void tcp_opened(struct tcp_conn *c, copse_ms now);
/* The server will take no more requests by it. */
void tcp_drain(struct tcp_conn *c, copse_ms now);
/* End one. `counter` and `why` (may be NULL) say what for. */
void tcp_end(struct tcp_conn *c, uint64_t *counter, const char *why, bool network);
/* Tell the peer why, as far as it listens, and end it. `bad_option`: of its CSM, or 0. */
void tcp_abort(struct tcp_conn *c, const char *why, uint32_t bad_option);

/* Append to what waits. False without room: nothing has changed. */
bool tcp_queue(struct tcp_conn *c, const void *head, size_t head_len, const void *rest, size_t rest_len);
/* Send what waits, as far as the system takes it. False when the connection is gone. */
bool tcp_flush(struct tcp_conn *c, copse_ms now);
/* Read what has come, once. Returns false when there is nothing more for now. The connection may be gone afterwards. */
bool tcp_fill(struct tcp_conn *c, copse_ms now);
/* Whether anything waits to be sent. */
bool tcp_unsent(const struct tcp_conn *c);
/* `n` bytes of `in` have been used up. */
void tcp_consume(struct tcp_conn *c, size_t n);
/* There is something to hand on without waiting for the descriptor. */
void tcp_make_ready(struct tcp_conn *c);
/* Ask for the right events, and be woken in time. */
void tcp_settle(struct tcp_conn *c);
void tcp_touch(struct tcp_conn *c, copse_ms now);
void tcp_tick(struct copse_tcp *t, copse_ms now);
/* Begin or cease to watch the listener. */
void tcp_listen(struct copse_tcp *t, bool on);

enum { TCP_AGAIN = 0, TCP_CLOSED = -1, TCP_BROKEN = -2 };

/* Bytes of the connection as the system, or TLS, has them: how many, or one of the above. */
int tcp_put(struct tcp_conn *c, const void *bytes, size_t n);
int tcp_get(struct tcp_conn *c, void *buf, size_t cap);

/* What comes before the greeting has come this far: `done` as tcp_tls_shake says it. False when the connection is gone. */
bool tcp_shaken(struct tcp_conn *c, int done, const char *why, copse_ms now);

/* --- tcp_away.c --- */

/* Of a transport: whether there is what it needs for that; what comes home later is released. */
bool tcp_away_open(struct copse_tcp *t);
void tcp_away_close(struct copse_tcp *t);
/* The connection's TLS is new. False without memory. */
bool tcp_away_begin(struct tcp_conn *c);
/* There may be something to do for its handshake, of which it has an errand. */
void tcp_away_step(struct tcp_conn *c, copse_ms now);
/* The connection ends, or needs no errand any more. True when session and descriptor are the errand's from here on. */
bool tcp_away_drop(struct tcp_conn *c);
/* Take those that have come home. */
void tcp_away_back(struct copse_tcp *t, copse_ms now);

/* --- tcp_release.c --- */

/* Client: remember what `s` (Release) asks for. */
void tcp_release_take(struct copse_tcp *t, const struct copse_peer *peer, const struct copse_signal *s,
		      copse_ms now);
/* Whether a connection may be made; `*to` becomes where, if that is elsewhere. */
bool tcp_release_allows(struct copse_tcp *t, const struct copse_peer *peer, copse_ms now,
			struct copse_address *to);
/* There is nobody where tcp_release_allows led to: on to the next place, at last to where it was. */
void tcp_release_next(struct copse_tcp *t, const struct copse_peer *peer);

/* Server: `f` is a request that has come, or a response that leaves, or is dropped. */
void tcp_release_note(struct tcp_conn *c, const struct copse_frame *f);
/* Server: a request that will have no answer, as a Reset says. */
void tcp_release_skip(struct tcp_conn *c);
/* Server: end a connection that its client has released, if all that was asked has been answered. */
void tcp_release_settle(struct tcp_conn *c);

/* --- tcp_ws.c --- */

/* NULL without memory. */
struct tcp_ws *tcp_ws_new(struct tcp_conn *c);
void tcp_ws_free(struct tcp_ws *ws);
/* 1: it is one; AGAIN; BROKEN: `*why` says it. */
int tcp_ws_upgrade(struct tcp_conn *c, const char **why);
/* Read once, and append the frames that it has brought to `in`. More than 0, or one of the above. */
int tcp_ws_read(struct tcp_conn *c);
/* Send whole frames. How many bytes of them have left wholly; what AGAIN was returned for must be offered again. */
int tcp_ws_write(struct tcp_conn *c, const void *frames, size_t len);
/* Bytes that wait to be sent, beside those of `out`. */
uint32_t tcp_ws_unsent(const struct tcp_ws *ws);
/* See ws_is_over and ws_is_partial. */
bool tcp_ws_is_over(const struct tcp_ws *ws, const char **fault);
bool tcp_ws_is_partial(const struct tcp_ws *ws);
/* Tell the peer, as far as it listens, that it ends. */
void tcp_ws_bye(struct tcp_conn *c, uint16_t code);

/* --- tcp_tls.c --- */

/* NULL without memory. The descriptor stays the connection's. `ws`: for a WebSocket. */
struct tcp_tls *tcp_tls_new(struct copse_secure *secure, int fd, const uint8_t *address, bool ws);
void tcp_tls_free(struct tcp_tls *tls);
/* 1: complete; AGAIN; BROKEN: `*why` says it. */
int tcp_tls_shake(struct tcp_tls *tls, const char **why);
/* It waits to write, not to read. */
bool tcp_tls_wants_out(const struct tcp_tls *tls);
/* It has bytes that no descriptor shows. */
bool tcp_tls_pending(const struct tcp_tls *tls);
/* How many bytes, or one of the above. What AGAIN was returned for by write must be offered again. */
int tcp_tls_read(struct tcp_tls *tls, void *buf, size_t cap);
int tcp_tls_write(struct tcp_tls *tls, const void *bytes, size_t len);
void tcp_tls_bye(struct tcp_tls *tls);
void tcp_tls_identity(const struct tcp_tls *tls, char *buf, size_t cap);

/* --- tcp.c --- */

extern const struct copse_transport_ops tcp_ops;

#endif
