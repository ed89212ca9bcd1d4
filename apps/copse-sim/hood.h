/* The neighbourhood: devices with their servers and sockets on one host.
 *
 * Every device has a socket and a server of its own; one endpoint carries them all, and the transport that a message came by
 * tells whose it is. One thread.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_HOOD_H
#define COPSE_SIM_HOOD_H

#include "options.h"

#include <copse/loop.h>

#include <stdio.h>

struct hood;

/* Make the devices and let them listen. `options` must live as long as the neighbourhood.
 * Returns it, or NULL with a sentence in `why`. */
struct hood *hood_new(const struct sim_options *options, struct copse_loop *loop, char *why, size_t why_cap);

/* Close everything. NULL is taken. */
void hood_free(struct hood *hood);

/* Write a section for gateway.conf for each device, with the address that it listens on. */
void hood_list(const struct hood *hood, FILE *out);

/* What the links did to datagrams so far. */
void hood_weather(const struct hood *hood, struct weather_counters *total);

/* The same sections without any socket. */
void sim_options_list(const struct sim_options *options, FILE *out);

/* Write the devices' keys to the file that the options name. Returns 0, or -1 with errno. */
int hood_write_keys(const struct hood *hood);

#endif
