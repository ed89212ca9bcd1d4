/* The sockets of a load: many clients, few system calls. Towards 127.0.0.0/8 all clients share one socket, each with an
 * address of its own in the same network, chosen for each datagram (IP_PKTINFO), and datagrams travel in batches. Towards
 * anything else each client has a socket and a port. Connections (load_link.h) are hidden behind the same functions.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LOAD_WIRE_H
#define COPSE_TOOL_LOAD_WIRE_H

#include <copse/address.h>
#include <copse/secure.h>
#include <copse/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_DATAGRAM  1500u    /* most bytes of a datagram sent; longer ones that come are cut off */
#define LOAD_ADDRESSES 4000000u /* clients, with those that follow them, that share a socket */

struct load_wire;

struct load_wire_config {
	struct copse_address to;
	const char *local_address; /* NULL: any */
	uint16_t local_port;       /* with sockets of their own: of the first client; 0: any */
	uint32_t clients;
	uint32_t window; /* of connections: requests under way of each client */
	bool stream;     /* over TCP, TLS or WebSockets; else, with `secure`, DTLS */
	bool websocket;
	const char *authority;       /* websocket: host and port of the URI */
	struct copse_secure *secure; /* NULL: in the clear. Finished, a client's; held. */
	copse_ms handshake_ms;       /* how long making a connection may take; 0: the transports' default */
};

/* One datagram that has come. `bytes` is valid until the next call; NULL: the client's connection has ended, or could
 * not be made. */
struct load_packet {
	uint32_t client;
	uint32_t len;
	const uint8_t *bytes;
};

struct load_wire_counters {
	uint64_t sent, received;
	uint64_t
	    unreachable; /* the system's word that nobody is there, and connections that could not be made */
	uint64_t unsent; /* the system did not take it */
	/* of connections, since load_wire_open */
	uint64_t connections;   /* made */
	uint64_t reconnections; /* of these, after one that had ended */
	uint64_t ended;         /* not by us */
};

/* Open the sockets. Returns NULL after an error that has been reported, with the exit code in `*code`. */
struct load_wire *load_wire_open(const struct load_wire_config *config, int *code);
void load_wire_close(struct load_wire *w); /* NULL is taken */

const struct load_wire_counters *load_wire_counters(const struct load_wire *w);

/* Whether requests travel in a stream, so that nothing is repeated or acknowledged, and message IDs mean nothing. */
bool load_wire_is_stream(const struct load_wire *w);

/* Give `client` an address that it did not have before. Returns false where clients have sockets of their own, or when
 * the addresses are used up. */
bool load_wire_renew(struct load_wire *w, uint32_t client);

/* Where the next datagram is written, LOAD_DATAGRAM bytes; then it is committed, and leaves with its batch. */
uint8_t *load_wire_room(struct load_wire *w);
void load_wire_commit(struct load_wire *w, uint32_t client, size_t len);
void load_wire_flush(struct load_wire *w);

/* Take a batch of what has come. Returns how many, and where they are in `*packets`. */
size_t load_wire_receive(struct load_wire *w, const struct load_packet **packets);

/* Wait until something has come, for at most `ns`. */
void load_wire_wait(struct load_wire *w, uint64_t ns);

#endif
