/* What copse-nic was told to do.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_NIC_OPTIONS_H
#define COPSE_NIC_OPTIONS_H

#include "card.h"

#include <copse/address.h>
#include <copse/serial.h>

#define NIC_LISTEN_MAX 8

enum nic_action { NIC_RUN, NIC_HELP, NIC_VERSION };

struct nic_options {
	enum nic_action action;
	struct copse_address listen[NIC_LISTEN_MAX];
	unsigned listen_n;
	const char *group; /* to join on every interface; NULL: none */
	struct copse_serial_config line;
	uint32_t timeout_ms; /* ACK_TIMEOUT on the line */
	uint16_t requests, observers;
	struct card_config card;
	int verbose; /* -1 quiet, 0, 1 */
};

/* Read the command line. Returns 0, or -1 with a sentence in `why`. */
int nic_options_parse(struct nic_options *options, int argc, char **argv, char *why, size_t why_cap);

extern const char nic_options_help[];

#endif
