/* Which worker a device belongs to: the one that first needed it. Where everything that comes from one address comes to the
 * same worker, what is asked of devices that one client uses never has to cross to another; only where clients of several
 * workers share a device do the requests of some.
 *
 * A table of atomic words that all workers read and write. A device is entered once and stays with its owner for as long as
 * the process runs: whoever looks, at any time, finds the same one, and what has to happen in one place for each device
 * (NSTART, pacing, one observation, one cache) does; a datagram that is repeated goes the same way. Bounds: GW_OWNERS_MAX
 * devices; a device whose places are all taken belongs to the worker that its address hashes to. A worker that has a
 * quarter more than its share, and a few, gets no more: the next device is given to the one with the fewest. So one client
 * that asks every device does not make all others cross.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_OWNERS_H
#define GATEWAY_OWNERS_H

#include <copse/address.h>

#include <stdint.h>

#define GW_OWNERS_MAX 65536u /* devices; a power of two */

struct gw_owners;

/* For `workers` workers, 2 to GW_WORKERS_MAX. Without `claims` all devices belong to whom their addresses hash to: for
 * clients that come to any worker. Returns NULL without memory. */
struct gw_owners *gw_owners_new(unsigned workers, bool claims);
void gw_owners_free(struct gw_owners *o); /* NULL is taken */

/* The worker of the device at this address and port. One that has none gets `wanting`, or whose turn it is. */
unsigned gw_owners_of(struct gw_owners *o, const struct copse_address *device, unsigned wanting);

/* How many devices have been given to `worker`. */
uint32_t gw_owners_count(const struct gw_owners *o, unsigned worker);

#endif
