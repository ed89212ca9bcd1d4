/* The sensor's resources in the card's own /.well-known/core (RFC 6690): whoever discovers the card finds the
 * sensor. The list is asked for when the line comes up, and again until the sensor gives it; it goes with the line.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_NIC_LINKS_H
#define COPSE_NIC_LINKS_H

#include <copse/client.h>
#include <copse/server.h>

#define LINKS_MAX                                                                                            \
	24 /* beyond, and beyond the text below: left out of the list, but relayed like the others */
#define LINKS_TEXT_MAX 2048 /* bytes of the sensor's document */
#define LINKS_RETRY_MS 10000

struct links;

/* Returns NULL without memory. `server` must have room for LINKS_MAX paths. */
struct links *links_new(struct copse_client *client, struct copse_server *server);
void links_free(struct links *links);

/* The line is up, ask; or it is down (NULL), forget. */
void links_line(struct links *links, const struct copse_peer *sensor, copse_ms now);

/* An event of the client that bears the links as its user. */
void links_take(struct links *links, const struct copse_client_event *event, copse_ms now);

/* When links_expire is to be called, or COPSE_NEVER. */
copse_ms links_deadline(const struct links *links);
void links_expire(struct links *links, copse_ms now);

/* How many of the sensor's resources are listed. */
unsigned links_count(const struct links *links);

#endif
