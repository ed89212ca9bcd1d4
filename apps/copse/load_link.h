/* The connections of a load: coap+tcp, coaps+tcp, coap+ws, coaps+ws, and associations of coaps. Each client has a
 * transport of its own with one connection, on the library's transports (copse/tcp.h, copse/dtls.h). Over streams
 * requests are sent non-confirmably: nothing is acknowledged or repeated there (RFC 8323 §3). A connection that ends is told
 * as a packet without bytes; the next request makes another one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LOAD_LINK_H
#define COPSE_TOOL_LOAD_LINK_H

#include "load_wire.h"

#define LOAD_LINKS_MAX 20000u /* each takes a descriptor or two, and some kilobytes */
#define LOAD_LINK_BASE                                                                                       \
	((127u << 24) + (64u << 16) + 1) /* towards 127.0.0.0/8, the first client's: 127.64.0.1 */

struct load_link;

/* Make all connections. Returns NULL after an error that has been reported, with the exit code in `*code`: also when not
 * a single one could be made. `config->secure` is held. */
struct load_link *load_link_open(const struct load_wire_config *config, struct load_wire_counters *counters,
				 int *code);
void load_link_close(struct load_link *l); /* NULL is taken */

/* Send `len` bytes for `client`. What cannot be sent is counted. */
void load_link_send(struct load_link *l, uint32_t client, uint8_t *bytes, size_t len);

/* Take what has come, `n` packets at most, each into its own of `rooms`. Returns how many. */
size_t load_link_receive(struct load_link *l, struct load_packet *packets, uint8_t (*rooms)[LOAD_DATAGRAM],
			 size_t n);

/* The descriptor to be polled; and whether there is something without waiting for it. */
int load_link_fd(const struct load_link *l);
bool load_link_pending(const struct load_link *l);

#endif
