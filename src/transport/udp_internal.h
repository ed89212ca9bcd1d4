/* What the files of the UDP transport share.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_UDP_INTERNAL_H
#define COPSE_UDP_INTERNAL_H

#include <copse/udp.h>

/* Datagrams a system call takes; their headers live on the stack meanwhile. */
#define UDP_BATCH 64

/* Failed peers of refused sends that wait for failure(); more are counted as lost. */
#define UDP_FAILURES 32

#define UDP_PATHS_DEFAULT 64
#define UDP_PATHS_MAX     65534

/* A local address that datagrams came to. */
struct udp_path {
	uint8_t ip[16];     /* that was asked: may be a group */
	uint8_t source[16]; /* to answer from; all zero: the system chooses */
	uint32_t interface; /* that it was asked on; 0 where the address alone says enough */
};

/* Paths by number, from 1, and by address: open addressing over `slot`, which holds numbers, 0 for free. Paths are
 * never forgotten, since peers bear their numbers. */
struct udp_paths {
	struct udp_path *path; /* [cap]; number n is path[n - 1] */
	uint16_t *slot;        /* [mask + 1] */
	uint32_t mask;
	uint16_t cap, n;
	uint16_t last; /* found last: most datagrams come to one address */
};

struct copse_udp {
	struct copse_transport base;
	struct udp_paths paths;
	struct copse_address bound;
	sa_family_t family; /* of the socket */
	bool only_v6;
	bool split_local;
	bool one_address; /* bound to one of this host: no datagram needs to say where it was sent to */
	bool segment;     /* copse_udp_config.segment, until the system turns it down */
	uint8_t group;
	uint32_t drops_seen;     /* the system's count, which wraps */
	copse_ms looked_at;      /* when that was asked last */
	uint32_t receive_buffer; /* as the system granted it */
	uint16_t failure_n;
	struct copse_peer failures[UDP_FAILURES];
	char warning[256];
};

static inline struct copse_udp *udp_of(struct copse_transport *t)
{
	return (struct copse_udp *)t;
}

/* Returns false without memory. */
bool udp_paths_init(struct udp_paths *paths, uint16_t cap);
void udp_paths_free(struct udp_paths *paths);

/* The number of `path`, or 0 when it is not in the table. Equal are `ip` and `interface`. */
uint16_t udp_paths_find(struct udp_paths *paths, const struct udp_path *path);

/* The number of `path`, entered when it is new; 0 when the table is full. */
uint16_t udp_paths_number(struct udp_paths *paths, const struct udp_path *path);

/* The path with `number`, or NULL for 0 and unknown ones. */
const struct udp_path *udp_paths_get(const struct udp_paths *paths, uint16_t number);

/* The table of functions, for udp_open.c. */
extern const struct copse_transport_ops udp_ops;

#endif
