/* DTLS 1.2 (RFC 6347) as a transport: many associations over one UDP socket.
 *
 * It puts the same table over a UDP transport of its own. A server's transport takes associations that
 * clients begin, a client's begins one with each peer that is sent to; what is sent meanwhile waits for
 * the handshake, in a few places.
 *
 * Peers. On a client's transport a peer is an address, whatever associations come and go. On a server's it
 * is an association: the next client with the same address and port is another peer, and a client that
 * resumes its session from another address is the same one. When an association ends, exchanges with its
 * peer end as with one that cannot be reached (RFC 7252 §9.1.1: answers match within one association
 * only).
 *
 * Bounds: `associations` open ones: the least recently used gives way. `handshakes` at a time, beyond
 * those: the oldest gives way. Only who has returned a cookie gets one, at most `rate` a second: beyond, a
 * client's hello is dropped, and comes again. `waiting` datagrams for each handshake: later ones are
 * dropped, and repeated by the layer above. All are counted.
 *
 * A client that has lost its association without saying so (it started anew) begins another from the same
 * port: the old one stays in use until the new one is complete, so that nobody without the keys can end
 * it. A server that has lost its own cannot say so either: what a client's transport sends goes
 * unanswered, and when nothing has come for `stale_ms` it begins another association beside the old one.
 *
 * Beside the counters of every transport there are those of registry/dtls_counters.def. SSLKEYLOGFILE is
 * honoured by GnuTLS, to a file that copse_secure_new makes for its owner alone.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_DTLS_H
#define COPSE_DTLS_H

#include <copse/secure.h>
#include <copse/udp.h>

/* The largest message, whatever the cipher suite adds; larger ones are dropped and counted as send_toobig. */
#define COPSE_DTLS_MESSAGE_MAX 16300u

/* Zero means the default everywhere; begin with = {0}. */
struct copse_dtls_config {
	struct copse_udp_config udp; /* the socket below; split_local is not possible */
	struct copse_secure
	    *secure; /* a server's or a client's: that decides what this transport is. Held by it. */
	uint32_t associations; /* default 1024 */
	uint32_t handshakes;   /* default 256 */
	uint32_t rate;         /* server: new handshakes a second; default 200 */
	uint16_t waiting;      /* client: datagrams for each handshake; default 8 */
	uint16_t mtu;          /* of handshake datagrams; default 1232 */
	/* Makes handshakes that cost much; then there is a second descriptor (copse_transport.wake_fd). NULL: the
	 * transport's thread makes them. */
	struct copse_handshake_pool *pool;
	copse_ms handshake_ms;  /* longest handshake; default 30 s */
	copse_ms retransmit_ms; /* first wait for the other's flight; default 1 s; doubles each time */
	copse_ms idle_ms;       /* an association unused for so long ends; default 24 h */
	copse_ms stale_ms;      /* client: default 30 s */

	/* Server: called when the association of a peer has ended; `self` is its argument. May be NULL. */
	void (*ended)(void *self, const struct copse_peer *peer);
	/* Client: called when a peer that had answered has not proved itself, or does not believe us. May be
	 * NULL. */
	void (*refused)(void *self, const struct copse_peer *peer, const char *why);
	void *self;
};

/* Open a socket. Returns 0 with `*out`, or as copse_udp_open. */
int copse_dtls_open(const struct copse_dtls_config *config, struct copse_transport **out, char *why,
		    size_t why_cap);

/* Use other credentials for handshakes from now on. Open associations stay; sessions of before cannot be
 * resumed any more. The set is held, and must be for the same side. */
void copse_dtls_adopt(struct copse_transport *t, struct copse_secure *secure);

/* Client: begin an association with `peer` unless there is one, so that it is ready when something is to
 * be sent. */
void copse_dtls_connect(struct copse_transport *t, const struct copse_peer *peer, copse_ms now);

/* Whether there is an open association with `peer`. */
bool copse_dtls_is_open(const struct copse_transport *t, const struct copse_peer *peer);

/* Who the peer has proved to be: "psk:identity", "x509:subject", "rpk:hash"; "" without an association.
 * Bytes that are no graphic ASCII are written as %XX. Returns `buf`. */
const char *copse_dtls_identity(const struct copse_transport *t, const struct copse_peer *peer, char *buf,
				size_t cap);

/* Why handshakes failed last, as one sentence; NULL while none has. `*silent`: there was no sign that the
 * peer knows DTLS at all. Valid until the next call of the transport. */
const char *copse_dtls_failure(const struct copse_transport *t, bool *silent);

/* Why `peer`, which copse_transport_failure has just given, failed: a sentence if it broke off a handshake or has not
 * proved itself in one, else NULL. Static storage. */
const char *copse_dtls_why(const struct copse_transport *t, const struct copse_peer *peer);

/* Client, for processes that follow one another: what resumes the association with `peer` in another
 * transport from the same credentials. It holds secrets. take returns its length, 0 without one or without
 * room; give is to be called before the first use of that peer. */
size_t copse_dtls_resumption_take(struct copse_transport *t, const struct copse_peer *peer, void *buf,
				  size_t cap);
void copse_dtls_resumption_give(struct copse_transport *t, const struct copse_peer *peer, const void *bytes,
				size_t len);

/* Do not say goodbye to peers when this transport is closed: their associations are to be resumed. */
void copse_dtls_leave_open(struct copse_transport *t);

/* The UDP transport below, for its counters and warnings. */
struct copse_transport *copse_dtls_below(const struct copse_transport *t);

/* What is in use now. */
struct copse_dtls_usage {
	uint32_t associations, handshakes;
};

void copse_dtls_usage(const struct copse_transport *t, struct copse_dtls_usage *usage);

/* One for each row of registry/dtls_counters.def. */
struct copse_dtls_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/dtls_counters.def>
#undef COUNTER
};

const struct copse_dtls_counters *copse_dtls_counters(const struct copse_transport *t);

/* Whether `t` is one of these. */
bool copse_transport_is_dtls(const struct copse_transport *t);

#endif
