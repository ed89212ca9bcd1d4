/* What the card says of itself: /time, /date, /battery, /signal and /info.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_NIC_CARD_H
#define COPSE_NIC_CARD_H

#include "relay.h"

#include <copse/serial.h>
#include <copse/server.h>

struct card;

/* Where values come from. A file holds a number and may change at any time; NULL: look for one in /sys and /proc. */
struct card_config {
	const char *name;       /* shown by /info */
	const char *battery;    /* percent */
	const char *signal;     /* dBm */
	const char *sys, *proc; /* "/sys" and "/proc", or elsewhere in tests */
};

/* Offer the card's resources on `server`; everything given must live until card_free.
 * Returns NULL without memory, or when the server has no room. */
struct card *card_new(const struct card_config *config, struct copse_server *server,
		      const struct relay *relay, const struct copse_line *line, copse_ms now);
void card_free(struct card *card);

/* Whether the first path segment of a request is the card's own: its resources, and /.well-known. */
bool card_owns(const struct copse_message *m);

/* Look at the values and tell the observers of what has changed. To be called every CARD_LOOK_MS. */
#define CARD_LOOK_MS 5000
void card_look(struct card *card, copse_ms now);

#endif
