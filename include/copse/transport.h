/* What carries datagrams (or messages) between peers: UDP now; DTLS, TCP, TLS and WebSockets by the same table.
 *
 * A transport is an object with a table of functions; the layers above hold a `struct copse_transport *` and call the
 * copse_transport_* functions below. It owns its file descriptor and nothing of the caller's: datagrams are received
 * into the caller's buffers and sent from them. Nothing blocks. One thread owns a transport.
 *
 * Life: opened by its own function (copse_udp_open), attached to a host or driven by hand:
 *
 *	poll `fd` for input; for output too while `blocked`
 *	input:   n = copse_transport_receive(t, batch, cap, now)                  again while `more`
 *	output:  n = copse_transport_send(t, datagrams, count, now)               the first n need no more care
 *	error, or `failed` set:  while (copse_transport_failure(t, &peer))        tell the endpoint
 *	timers:  t->ops->tick(t, now) returns when to call it next
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TRANSPORT_H
#define COPSE_TRANSPORT_H

#include <copse/address.h>
#include <copse/error.h>
#include <copse/peer.h>
#include <copse/types.h>

struct copse_transport;

enum copse_datagram_flag {
	COPSE_DATAGRAM_DROPPED = 1, /* set by send: consumed, but not sent; counted by its reason */
	COPSE_DATAGRAM_LOCAL = 2    /* set by receive: the transport speaks for the peer; nothing has come */
};

/* One datagram and its peer. The caller owns `data`. */
struct copse_datagram {
	struct copse_peer peer;
	uint8_t *data;
	uint32_t cap;   /* receive: room at `data` */
	uint32_t len;   /* bytes received or to be sent */
	uint32_t flags; /* enum copse_datagram_flag */
};

/* One kind of transport. All functions are called by the owner's thread; none blocks, allocates or logs. */
struct copse_transport_ops {
	/* Receive up to `n` datagrams. Fills peer and len of the first ones.
	 * Returns how many, or 0 when nothing (more) has come. Errors are counted, never returned. */
	size_t (*receive)(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now);

	/* Send `n` datagrams to their peers, in order; those for peers of another transport are a caller's bug.
	 * Returns how many of the first ones are dealt with: sent, or dropped, which sets COPSE_DATAGRAM_DROPPED and a
	 * counter. Less than `n` only when `blocked` has been set: offer the rest again when the fd is writable. */
	size_t (*send)(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
		       copse_ms now);

	/* The next peer that is known not to be reachable. Returns true with `*peer`, false when there is no more. */
	bool (*failure)(struct copse_transport *t, struct copse_peer *peer);

	/* The peer at `a`.  Returns 0, or COPSE_ERR_ARGUMENT when this transport cannot reach such an address. */
	int (*peer)(struct copse_transport *t, const struct copse_address *a, struct copse_peer *peer);

	/* The local address that `peer` asked or is sent from: of its path where that is known, else the one that the
	 * transport is bound to, which may be unspecified. With `peer` NULL always the latter. A datagram sent to a
	 * group has the group here. */
	void (*local)(const struct copse_transport *t, const struct copse_peer *peer,
		      struct copse_address *out);

	/* Do what is due at `now` (handshakes, keep-alives). Returns when to call again, or COPSE_NEVER. */
	copse_ms (*tick)(struct copse_transport *t, copse_ms now);

	/* Close and free. Datagrams not yet taken by send are the caller's. */
	void (*close)(struct copse_transport *t);
};

/* Counters, one for each row of registry/transport_counters.def. Never reset, never decreasing. */
struct copse_transport_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/transport_counters.def>
#undef COUNTER
};

/* Watches what passes, as a capture file does. `datagram` is called after a receive and after a send, for each
 * datagram that really passed; it must not change anything. */
struct copse_tap {
	void (*datagram)(struct copse_tap *self, const struct copse_transport *t,
			 const struct copse_datagram *d, bool sent);
};

/* The visible part of every transport: its first member. Written by the transport, except where said. */
struct copse_transport {
	const struct copse_transport_ops *ops;
	const char *scheme; /* of the URIs that it serves: "coap", "coaps", "coap+tcp" ... */
	int fd; /* to poll for input, and for output while `blocked`; stays the same; -1: nothing to poll */
	int wake_fd; /* another one to poll for input, if `has_wake` */
	bool has_wake;
	uint16_t
	    id; /* in the key of every peer, unique in an endpoint; set by the host before any peer is made */
	bool blocked; /* send took less than it was given; cleared by a send that succeeds */
	bool failed;  /* failure() has something to tell */
	bool
	    more; /* receive has more to hand out, though `fd` may not show input any more; send sets it too */
	bool behind; /* more than half of the room for what comes in was in use when receive returned last */
	struct copse_tap *tap; /* set by the user; NULL: none */
	struct copse_transport_counters counters;
};

/* As ops->receive, and shows what came to the tap. */
size_t copse_transport_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n,
			       copse_ms now);

/* As ops->send, and shows what went to the tap. */
size_t copse_transport_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
			    copse_ms now);

static inline bool copse_transport_failure(struct copse_transport *t, struct copse_peer *peer)
{
	return t->ops->failure(t, peer);
}

static inline int copse_transport_peer(struct copse_transport *t, const struct copse_address *a,
				       struct copse_peer *peer)
{
	return t->ops->peer(t, a, peer);
}

/* The peer at the numeric address `text` ("[2001:db8::1]:5683"), with `port` where it has none.
 * Returns 0 or COPSE_ERR_ARGUMENT. */
int copse_transport_peer_text(struct copse_transport *t, const char *text, uint16_t port,
			      struct copse_peer *peer);

static inline void copse_transport_local(const struct copse_transport *t, const struct copse_peer *peer,
					 struct copse_address *out)
{
	t->ops->local(t, peer, out);
}

/* NULL is taken. */
static inline void copse_transport_close(struct copse_transport *t)
{
	if (t)
		t->ops->close(t);
}

/* The number of counters; the name and the sentence of counter `i`; its value. Static storage. */
size_t copse_transport_counter_n(void);
const char *copse_transport_counter_name(size_t i);
const char *copse_transport_counter_text(size_t i);
uint64_t copse_transport_counter(const struct copse_transport *t, size_t i);

#endif
