/* What copse-sim was told to do.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_OPTIONS_H
#define COPSE_SIM_OPTIONS_H

#include "device.h"
#include "ledger.h"
#include "weather.h"

#include <copse/address.h>

#define SIM_COUNT_MAX  60000u
#define SIM_KINDS_MAX  64 /* of the pattern that --kinds makes */
#define SIM_OSCORE_MAX 8

enum sim_action { SIM_RUN, SIM_LIST, SIM_LEDGER, SIM_HELP, SIM_VERSION };

struct sim_options {
	enum sim_action action;
	uint32_t count;
	const struct sim_kind *kind[SIM_KINDS_MAX]; /* dealt out in turn */
	unsigned kind_n;
	int family;          /* of the prefix: AF_INET or AF_INET6 */
	uint8_t prefix[16];  /* of the addresses; IPv4 in the first four bytes */
	unsigned prefix_len; /* in bits */
	uint16_t port;
	bool tcp;             /* take TCP too, at the port in the clear */
	bool websocket;       /* and that by WebSockets */
	bool secure;          /* take DTLS too */
	uint16_t secure_port; /* there; 0: the system chooses */
	const char *oscore
	    [SIM_OSCORE_MAX]; /* files of security contexts; requests must be protected by one of them */
	unsigned oscore_n;    /* 0: requests need not be protected */
	const char *psk;      /* write the devices' keys to this file; NULL: nowhere */
	struct copse_address group; /* whose requests are taken, too; len 0: none */
	uint64_t seed;
	double speed;
	bool started; /* start_ms was given */
	int64_t start_ms;
	struct weather_config weather;
	struct copse_address publish;     /* the gateway that readings are published to; len 0: none */
	uint32_t publish_ms;              /* how often; 0: whenever the device wakes up */
	const struct ledger_radio *radio; /* for the ledger, as are the hours */
	uint32_t hours;
	const char *line; /* a serial line in place of a socket, for the only device; NULL: none */
	uint32_t frame;   /* longest message on it */
	const char *conf;
	int verbose; /* -1 quiet, 0, 1 */
};

/* Read the command line. Returns 0, or -1 with a sentence in `why`. */
int sim_options_parse(struct sim_options *options, int argc, char **argv, char *why, size_t why_cap);

/* The kind and the address of device `index`, whose MAC ID is `mac`. With a single address for all, ports differ. */
const struct sim_kind *sim_options_kind(const struct sim_options *options, uint32_t index);
void sim_options_address(const struct sim_options *options, uint32_t index, uint64_t mac,
			 struct copse_address *out);

extern const char sim_options_help[];

#endif
