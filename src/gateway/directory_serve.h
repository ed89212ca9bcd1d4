/* The resource directory of a gateway (RFC 9176): /rd, /.well-known/rd, /rd-lookup/ep and /rd-lookup/res on a worker's
 * server, and the client that fetches the links of a simple registration.
 *
 * Who registers has a session, or an address below the mesh's prefix, or the directory is open; who looks up has a
 * session, or the directory is open, and is shown the devices that it may see. Simple registrations under way: at most
 * GW_DIRECTORY_FETCHES, beyond: 5.03.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_DIRECTORY_SERVE_H
#define GATEWAY_DIRECTORY_SERVE_H

#include "directory.h"

#include <copse/server.h>

#define GW_DIRECTORY_FETCHES 32

struct gw_rd;

/* What it has from its worker. All of it must live as long as the directory. */
struct gw_rd_surroundings {
	struct copse_server *server;
	bool (*has_session)(void *self, const struct copse_peer *peer, copse_ms now);
	bool (*sees)(void *self, const struct copse_peer *peer, copse_ms now,
		     const char *device);                                             /* this device? */
	bool (*sees_all)(void *self, const struct copse_peer *peer, copse_ms now); /* and all of them? */
	bool (*is_secure)(void *self, const struct copse_peer *peer); /* by DTLS */
	void *self;
};

/* A directory as `config` says, which is replaced by gw_rd_adopt. NULL without memory, or when the server has no room for
 * the resources. */
struct gw_rd *gw_rd_new(const struct gw_config *config, const struct gw_rd_surroundings *around);
void gw_rd_adopt(struct gw_rd *rd, const struct gw_config *config);
/* NULL is taken. */
void gw_rd_free(struct gw_rd *rd);

/* Take an event of the endpoint. False: it is not about the directory. */
bool gw_rd_event(struct gw_rd *rd, const struct copse_event *event, copse_ms now);
copse_ms gw_rd_deadline(const struct gw_rd *rd);
void gw_rd_expire(struct gw_rd *rd, copse_ms now);

/* Its registrations. */
struct gw_directory *gw_rd_directory(struct gw_rd *rd);

#endif
