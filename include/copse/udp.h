/* UDP as a transport: one socket, IPv4, IPv6 or both, unicast and multicast.
 *
 * Answers leave from the address that was asked: each local address that a datagram came to is kept in a table of the
 * socket, and named by `path` of the peer (0: unknown, the system chooses). Groups are kept there too, so that
 * copse_transport_local tells which group was asked; an answer to such a datagram leaves from an address of the
 * interface that it came by.
 *
 * ICMP errors are read from the socket's error queue and reported by copse_transport_failure.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_UDP_H
#define COPSE_UDP_H

#include <copse/transport.h>

#define COPSE_PORT        5683          /* RFC 7252 §6.1 */
#define COPSE_PORT_SECURE 5684          /* RFC 7252 §6.2 */
#define COPSE_GROUP_V4    "224.0.1.187" /* All CoAP Nodes, RFC 7252 §12.8 */
#define COPSE_GROUP_LINK  "ff02::fd"
#define COPSE_GROUP_SITE  "ff05::fd"

/* Zero means the default everywhere; begin with = {0}. */
struct copse_udp_config {
	/* Where to be reached; len 0: "[::]:0" with both families. Port 0: the system chooses one. */
	struct copse_address bind;

	bool only_v6;    /* a socket on every IPv6 address does not take IPv4 too */
	bool reuse_port; /* SO_REUSEPORT: several sockets of several workers share the port */
	/* Take the port alone, and only then let others share it by `reuse_port`: the first of several sockets. Without
	 * it the system could give a port that it chooses to two programs of one user. */
	bool share_port;
	/* With reuse_port: so many sockets share it when all are open, and everything from one address goes to the same
	 * one of them; 0: the system spreads by address and port. */
	uint8_t spread;
	bool no_loop; /* what this host sends to a group does not come back to it */

	/* Each local address is an endpoint of its own: a peer that asks two addresses of this socket is two peers. For
	 * programs that play many devices. A request of their own must be sent to a peer made by copse_udp_peer_from;
	 * that one cannot be reached is not told, since ICMP does not say who asked. */
	bool split_local;

	/* Four or more datagrams in a row to one peer, of one length but the last, which may be shorter, go to the system
	 * as one message for it to cut into them (UDP_SEGMENT, Linux 4.18): a third of the time a datagram, the same on
	 * the network. What watches this host's own interfaces (tcpdump) may show them before they are cut. Given up
	 * where it does not work. */
	bool segment;

	uint8_t group;     /* parameter group (copse_config.group) of the peers of this socket */
	uint8_t hop_limit; /* of multicast datagrams; default 1 */

	/* Local addresses and groups kept, to 65534; default 64. Beyond: path 0, counted, and no more groups. */
	uint16_t paths;

	uint32_t receive_buffer; /* bytes asked of the system; default 4 MiB */
	uint32_t send_buffer;    /* bytes asked of the system; default 1 MiB */
};

/* Open a socket. `why` gets a sentence when it fails ("cannot bind 127.0.0.1:5683: Address already in use"); it may be
 * NULL when why_cap is 0.
 * Returns 0 with `*out`, to be given to copse_transport_close, or to a host, which closes it
 *  COPSE_ERR_ARGUMENT   the address is not usable, or in use
 *  COPSE_ERR_NOROOM     no memory or no file descriptor is left */
int copse_udp_open(const struct copse_udp_config *config, struct copse_transport **out, char *why,
		   size_t why_cap);

/* What did not go as asked but does not stop the socket from working: receive or send buffer smaller than asked. One
 * or more sentences for the log, or NULL. Valid as long as the transport. */
const char *copse_udp_warning(const struct copse_transport *t);

/* The size that the system gave the receive buffer, in bytes as in the configuration. */
uint32_t copse_udp_receive_buffer(const struct copse_transport *t);

/* Join `group` (port ignored) on the interface with number `interface`; 0: the one that the group's scope names, and
 * without one every interface that is up and can do multicast, loopback included when it can. Joining twice is no
 * error, so that this may be called again when interfaces have changed.
 * Returns on how many interfaces the group is joined by this call, already joined ones included
 *  COPSE_ERR_ARGUMENT   not a group, or of a family that the socket does not have; no interface takes it
 *  COPSE_ERR_NOROOM     the system's bound on memberships is reached (net.ipv4.igmp_max_memberships), or the table
 *                       of paths is full */
int copse_udp_join(struct copse_transport *t, const struct copse_address *group, unsigned interface);

/* The interface that multicast leaves by when the peer's address names none; 0: the system chooses.
 * Returns 0 or COPSE_ERR_ARGUMENT. */
int copse_udp_multicast_interface(struct copse_transport *t, unsigned interface);

/* The peer at `a`, to be sent to from the local address `local` (port ignored): makes or finds the path.
 * Returns 0, COPSE_ERR_ARGUMENT, or COPSE_ERR_NOROOM when the table of paths is full. */
int copse_udp_peer_from(struct copse_transport *t, const struct copse_address *a,
			const struct copse_address *local, struct copse_peer *peer);

#endif
