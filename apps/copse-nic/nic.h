/* The card: host, server, client, relay and line put together on a loop.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_NIC_H
#define COPSE_NIC_H

#include "options.h"

struct nic;

/* Start. `options` must live until nic_free. Returns NULL with `why`. */
struct nic *nic_new(const struct nic_options *options, struct copse_loop *loop, char *why, size_t why_cap);
void nic_free(struct nic *nic);

#endif
