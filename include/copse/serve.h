/* A server with an operating system: host, server and loop put together.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SERVE_H
#define COPSE_SERVE_H

#include <copse/host.h>
#include <copse/server.h>

struct copse_service;

/* Begin with COPSE_SERVICE_DEFAULT. */
struct copse_service_config {
	struct copse_host_config host;
	struct copse_server_config server; /* seed {0, 0}: taken from the system */
	struct copse_handler other; /* gets the events that are not the server's; `event` may be NULL */
};

#define COPSE_SERVICE_DEFAULT                                                                                \
	{                                                                                                    \
		.host = COPSE_HOST_DEFAULT, .server = COPSE_SERVER_DEFAULT                                   \
	}

/* Make a service. `loop` may be NULL: then drive it with copse_service_step.
 * Returns it, or NULL without memory; asserts that the configuration is in range. */
struct copse_service *copse_service_new(const struct copse_service_config *config, struct copse_loop *loop,
					copse_ms now);

/* Close its transports and free. NULL is taken. */
void copse_service_free(struct copse_service *service);

struct copse_server *copse_service_server(struct copse_service *service);
struct copse_host *copse_service_host(struct copse_service *service);

/* Without a loop: as copse_host_step and copse_host_deadline, for host and server together. */
int copse_service_step(struct copse_service *service, copse_ms now);
copse_ms copse_service_deadline(const struct copse_service *service);

/* The whole of a small server: offer `n` resources at `address` ("*:5683", "[::1]:5683", "127.0.0.1"; over TCP
 * "tcp://[::]:5683", over WebSockets "ws://[::]:80") with the defaults, by connections in messages of up to 16 kB, until
 * SIGINT or SIGTERM. Complaints go to standard error.
 * Returns the status for exit(): 0, or 1 when it could not start. */
int copse_serve(const char *address, const struct copse_resource *resource, size_t n);

#endif
