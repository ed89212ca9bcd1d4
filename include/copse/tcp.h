/* CoAP over TCP, TLS and WebSockets (RFC 8323) as a transport: many connections behind one descriptor.
 *
 * It translates between the frames of a connection and the datagrams that an endpoint knows, so that endpoint, server
 * and client work over it as they are. A request that came in a frame is handed on as a confirmable message, a response as
 * a non-confirmable one, under an ID that the transport gives it. A confirmable message that is sent leaves as a frame,
 * and the transport itself hands back the acknowledgement; a ping becomes Ping, its Pong the Reset that answers a ping.
 * Acknowledgements without content, and Resets, are not sent. So nothing is repeated on the wire. Pings, greetings (CSM),
 * Release and Abort of the peer are this transport's own affair. Only CoAP messages can be sent.
 *
 * Peers have COPSE_PEER_RELIABLE. On a client's transport a peer is an address, to which a connection is made when
 * something is sent. On a server's it is a connection: the next one from the same address and port is another peer. When a
 * connection ends its peer is reported as one that cannot be reached, and a message that is sent to it afterwards comes
 * back as rejected.
 *
 * Bounds. `connections` in whole: the least recently used one gives way, of those that have not greeted yet the oldest.
 * `per_address` from one IPv4 address or IPv6 /64 prefix: more are closed at once. `rate` accepted in a second: more wait
 * with the system. `max_message`: a longer frame aborts its connection. `out_max` bytes wait on a connection: when a
 * quarter of that waits nothing more is read from it; a confirmable message beyond it is refused, and offered again by
 * the endpoint; anything else ends the connection. A connection that takes nothing for `stall_ms`, whose frame is not
 * complete `frame_ms` after it began, or whose beginning takes longer than `handshake_ms`, is ended. An idle one has no
 * buffers. A server that releases a connection may ask for none for a while (Hold-Off): what is sent to it
 * meanwhile fails, as to
 * one that cannot be reached; or for one elsewhere (Alternative-Address): to an IP address, or with `look_up` to a host by
 * its name, which in the clear must be its own. Of several the first four are tried in turn, one for each connection that
 * is to be made, until one can be reached.
 * A client that releases a connection gets the answers to what it has asked, for a minute at most; then it is
 * closed.
 * All are counted (registry/tcp_counters.def).
 *
 * A `max_message` above 1152 says that blocks of SZX 7 (BERT, §6) are taken, for Block-Wise-Transfer is always said:
 * copse_server and copse_client take them. How much a peer takes is known when it has greeted, and stands in the peers of
 * what comes from it: copse_peer_units.
 * Handshakes of TLS are made by the threads of a `pool`, if there is one, else by the transport's.
 *
 * With `websocket` a connection first becomes a WebSocket, by a request to /.well-known/coap (§4.1), whose
 * head and whose answer's
 * have at most 8 kB and come within `handshake_ms`; each message is a binary one of the WebSocket, of at
 * most 64 fragments. Pings
 * of the WebSocket are answered. Texts, larger messages and what RFC 6455 forbids end it with a close code. An idle one has
 * 9 kB.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TCP_H
#define COPSE_TCP_H

#include <copse/secure.h>
#include <copse/transport.h>

/* The longest frame that can be taken: what becomes a datagram that an endpoint can read. */
#define COPSE_TCP_MESSAGE_MAX 65535u

/* Zero means the default everywhere; begin with = {0}. */
struct copse_tcp_config {
	struct copse_address
	    bind; /* server: where to be reached; client: where to connect from; len 0: any */
	bool server;
	struct copse_secure *secure;       /* finished, for the same side: TLS. NULL: in the clear. Held. */
	struct copse_handshake_pool *pool; /* makes handshakes of TLS; NULL: the transport's thread does */
	bool websocket;                    /* over WebSockets: coap+ws, coaps+ws */
	const char
	    *host;    /* client, websocket: what the request says of the host (with the port unless it is the
				* scheme's); NULL: the address. Copied. */
	bool look_up; /* client: an Alternative-Address may be a name, which copse_resolve is asked for: this
		       * blocks, so it is for tools */
	const char *
	    origins; /* server, websocket: from which pages a browser may connect, beside those of the same host: as
				* "https://a.example https://b.example:8443"; "*": all. NULL: none. Copied. */
	bool reuse_port; /* server: SO_REUSEPORT: several listeners of several workers share the port */
	bool share_port; /* server: take the port alone, and only then let others share it by `reuse_port` */
	uint8_t spread;  /* with reuse_port: as that of struct copse_udp_config */
	uint8_t group;   /* parameter group (copse_config.group) of the peers */
	uint32_t connections;  /* default 1024 */
	uint32_t per_address;  /* server: default 64 */
	uint32_t rate;         /* server: connections accepted in a second; default 1000 */
	uint32_t max_message;  /* our Max-Message-Size, 1152 to COPSE_TCP_MESSAGE_MAX; default 1152 */
	uint32_t out_max;      /* default 262144 */
	copse_ms handshake_ms; /* default 30 s */
	copse_ms frame_ms;     /* default 60 s */
	copse_ms stall_ms;     /* default 60 s */
	copse_ms idle_ms;      /* default 24 h */

	/* Server: called when the connection of a peer has ended; `self` is its argument. May be NULL. */
	void (*ended)(void *self, const struct copse_peer *peer);
	void *self;
};

/* Open it. Returns 0 with `*out`, or as copse_udp_open with `why`. */
int copse_tcp_open(const struct copse_tcp_config *config, struct copse_transport **out, char *why,
		   size_t why_cap);

/* TLS: use other credentials from now on. Connections that are open stay. Held, and for the same side. */
void copse_tcp_adopt(struct copse_transport *t, struct copse_secure *secure);

/* Whether there is an open connection with `peer`. */
bool copse_tcp_is_open(const struct copse_transport *t, const struct copse_peer *peer);

/* TLS: who the peer has proved to be, as copse_dtls_identity. */
const char *copse_tcp_identity(const struct copse_transport *t, const struct copse_peer *peer, char *buf,
			       size_t cap);

/* Why the last connection could not be made, or ended by an error: a sentence; NULL while none has. `*network`: it was
 * the network, and nothing that the peer has done. Valid until the next call of the transport. */
const char *copse_tcp_failure(const struct copse_transport *t, bool *network);

/* What is in use now. */
struct copse_tcp_usage {
	uint32_t connections; /* open ones */
	uint32_t beginning;   /* without a greeting yet */
	uint64_t waiting;     /* bytes that wait for peers */
};

void copse_tcp_usage(const struct copse_transport *t, struct copse_tcp_usage *usage);

/* One for each row of registry/tcp_counters.def. */
struct copse_tcp_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/tcp_counters.def>
#undef COUNTER
};

const struct copse_tcp_counters *copse_tcp_counters(const struct copse_transport *t);

/* Whether `t` is one of these; and whether by TLS. */
bool copse_transport_is_tcp(const struct copse_transport *t);
bool copse_transport_is_tls(const struct copse_transport *t);

/* Whether `t` is one of these, and a server's. */
bool copse_tcp_is_server(const struct copse_transport *t);

#endif
