/* Which of several sockets of one port a datagram or connection is given to.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TRANSPORT_SPREAD_H
#define TRANSPORT_SPREAD_H

#include <stdbool.h>

/* Everything from one address goes to the same of the `n` sockets that share the port of `fd`, whatever port it is sent
 * from: by a hash with a secret of this call. `fd` is bound, and is not the first of them; what the last call said holds.
 * While there are fewer than `n` the system spreads some by address and port. Returns false when it cannot be done. */
bool spread_by_address(int fd, unsigned n);

#endif
