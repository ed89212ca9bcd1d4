/* What a message is worth decides how it travels: the application says telemetry, command or alarm, the library picks
 * confirmable or not, and what goes first behind NSTART. Telemetry is not confirmable, but now and then one is: so a
 * sender learns whether anybody still listens, and PROBING_RATE (RFC 7252 §4.7) is not used up against a peer that
 * never answers.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_PRIORITY_H
#define COPSE_PRIORITY_H

#include <copse/types.h>

enum copse_worth {
	COPSE_TELEMETRY, /* the next value supersedes it: NON, now and then CON */
	COPSE_COMMAND,   /* must arrive, or be known not to have: CON */
	COPSE_ALARM      /* as a command, and before everything else that waits */
};

/* Kept by the caller for each peer that it sends to; all zero to begin with. */
struct copse_traffic {
	uint16_t non_run; /* NONs since the last CON. Private */
	copse_ms con_at;  /* when that was. Private */
	bool begun;       /* private */
};

/* When telemetry is confirmable: every `con_every`th message and, if messages are rare, the first one when
 * `con_after_ms` have passed since the last. */
struct copse_traffic_policy {
	uint16_t con_every;    /* 0: never for their number; 1: each */
	uint32_t con_after_ms; /* 0: never for their age */
};

#define COPSE_TRAFFIC_DEFAULT                                                                                \
	{                                                                                                    \
		.con_every = 16,                                                                             \
		.con_after_ms = 86400000u, /* a day, as RFC 7641 §4.5 has it for notifications */           \
	}

/* How the next message of this worth is to be sent at `now`. `*con` and `*priority` are what struct copse_out and
 * struct copse_call take. Counts it as sent: call once a message. */
void copse_traffic_pick(struct copse_traffic *traffic, const struct copse_traffic_policy *policy,
			enum copse_worth worth, copse_ms now, bool *con, uint8_t *priority);

#endif
