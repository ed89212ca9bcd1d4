/* Names of hosts to addresses, with getaddrinfo. It blocks, for many seconds when a name server is silent: for tools
 * only, never in a worker.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_RESOLVE_H
#define COPSE_RESOLVE_H

#include <copse/address.h>

/* Look up `host` (a name, or an address as copse_address_parse takes it, without port) for `port`.
 * `family`: AF_UNSPEC, AF_INET or AF_INET6. At most `cap` addresses are written, in the order to try them in.
 * Returns how many (1 or more)
 *  COPSE_ERR_ARGUMENT   there is no such name, or not in this family
 *  COPSE_ERR_TRANSPORT  the look-up itself failed; it may work later
 * `*why` (may be NULL) then is a sentence; static storage. */
int copse_resolve(const char *host, uint16_t port, int family, struct copse_address *out, size_t cap,
		  const char **why);

#endif
