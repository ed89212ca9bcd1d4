/* The gateway's side of TCP, TLS and WebSockets towards clients: opening, and the sums of what they count.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_GATEWAY_STREAM_H
#define COPSE_GATEWAY_STREAM_H

#include "gateway/config.h"
#include "gateway/log.h"

#include <copse/host.h>
#include <copse/tcp.h>

/* Called when the connection of a peer has ended. */
struct gw_stream_ended {
	void (*ended)(void *self, const struct copse_peer *peer);
	void *self;
};

/* What is listened for, and which of several listeners at one port this is. `follows`: another worker has
 * the port already; `tells`: all have it then. */
struct gw_stream_place {
	enum gw_stream kind;
	unsigned workers;
	bool follows, tells;
	struct copse_handshake_pool *pool; /* of handshakes; NULL: none */
};

/* Listen at `bind`, by TLS with `keys` unless that is NULL, and attach it to the host. Returns NULL when that did not go
 * well; an error has been logged. */
struct copse_transport *gw_stream_open(struct copse_host *host, const struct gw_config *config,
				       struct gw_log *log, const struct copse_address *bind,
				       struct copse_secure *keys, const struct gw_stream_place *place,
				       const struct gw_stream_ended *ended);

/* Connections to devices, by TLS with `keys` unless that is NULL: made when a device is asked. Returns NULL when that did
 * not go well; an error has been logged. */
struct copse_transport *gw_stream_to_mesh(struct copse_host *host, const struct gw_config *config,
					  struct gw_log *log, struct copse_secure *keys,
					  struct copse_handshake_pool *pool);

/* Add up over all of the host's connections of clients. */
void gw_stream_counters(struct copse_host *host, struct copse_tcp_counters *sum,
			struct copse_tcp_usage *usage);

/* Keys of a new configuration, for handshakes from now on. NULL: none. */
void gw_stream_adopt(struct copse_host *host, struct copse_secure *keys);

#endif
