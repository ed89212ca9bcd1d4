/* The tool's end of the network: a socket with an endpoint and a client on it, run by a loop until what
 * was begun is over, the time is up, or a signal came.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_NET_H
#define COPSE_TOOL_NET_H

#include "../oscore/file.h"
#include "security.h"
#include "wire.h"

#include <copse/client.h>
#include <copse/host.h>

/* Zero means the default everywhere. */
struct net_config {
	const char *local_address;
	uint16_t local_port;
	copse_ms response_ms; /* how long an answer may take once the request is acknowledged or was NON */
	uint16_t first_id;    /* message IDs begin here */
	uint16_t *last_id;    /* gets the one of the last message sent, if any was; may be NULL */
	unsigned verbose;
	const char *pcap;
	struct secure *secure; /* NULL, or without keys: in the clear. Of connections there is one. */
	bool stream;           /* connections, not datagrams */
	bool websocket;        /* over WebSockets */
	const char *authority; /* websocket: host and port of the URI */
	const char *oscore;    /* the file of the security context; NULL: requests are not protected */
};

/* What the net tells to whom. Functions may be NULL. */
struct net_listener {
	void (*told)(void *self, const struct copse_client_event *event, copse_ms now);
	void (*raw)(void *self, const struct copse_event *event, copse_ms now); /* of no call: a ping's */
	void (*interrupted)(void *self, copse_ms now); /* Ctrl-C; NULL: the run ends */
	void *self;
};

struct net {
	struct copse_loop *loop;
	struct copse_host *host;
	struct copse_endpoint *ep;
	struct copse_client *client;
	void *client_memory;
	struct copse_transport *transport;
	struct secure *secure;
	struct wire wire;
	struct oscore_file oscore;
	void *oscore_memory;
	struct copse_pcap *pcap;
	const char *pcap_path;
	uint16_t *last_id;
	struct copse_timer limit;
	struct net_listener listener;
	int signal;     /* the one that ended the run, 0 for none */
	bool timed_out; /* the run ended by its limit */
	bool done;
};

/* Open. Returns 0, or the exit code after an error that has been reported; then there is nothing to close. */
int net_open(struct net *net, const struct net_config *config);

/* Close, and let the capture be complete. Returns `code`, or another exit code when the capture could not
 * be written and `code` was 0; after a signal that nobody took, EXIT_SIGNAL and its number. */
int net_close(struct net *net, int code);

/* Run until net_stop, for at most `limit_ms` (COPSE_NEVER: no limit). */
void net_run(struct net *net, const struct net_listener *listener, copse_ms limit_ms);

void net_stop(struct net *net);

/* Run until what was sent without an answer to wait for has left: a connection must be made for it first. */
void net_deliver(struct net *net, copse_ms limit_ms);

/* The peer at `address`. Returns 0 or a copse_err. */
int net_peer(struct net *net, const struct copse_address *address, struct copse_peer *peer);

#endif
