/* The secure side of simulated devices: DTLS with a pre-shared key each.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_SECURE_H
#define COPSE_SIM_SECURE_H

#include "options.h"

#include <copse/dtls.h>

/* A socket for the device with this MAC ID, at the address of its other one. Returns it, or NULL with `why`. */
struct copse_transport *sim_secure_open(const struct sim_options *options, const struct copse_udp_config *udp,
					uint64_t mac, char *why, size_t why_cap);

/* Write the keys of the devices, as the gateway's mesh.psk_file takes them. Returns 0, or -1 with errno. */
int sim_secure_write(const struct sim_options *options, const uint64_t *mac, uint32_t n, const char *path);

#endif
