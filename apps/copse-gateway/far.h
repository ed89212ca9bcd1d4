/* A socket that another worker has: what is sent to its peers goes to that worker, which sends it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_GATEWAY_FAR_H
#define COPSE_GATEWAY_FAR_H

#include <copse/transport.h>

/* `reply` hands a datagram to worker `of`; it returns false when that has no room: the datagram is lost. `secure`: the
 * addresses of its peers cannot be forged. Nothing is ever received by it. Returns NULL without memory. */
struct copse_transport *
far_open(unsigned of, bool secure,
	 bool (*reply)(void *self, unsigned to, const struct copse_datagram *datagram), void *self);

/* What is taken next of one of its peers was sent to `asked`; len 0: not for the gateway itself, unspecified with port 0. */
void far_set_asked(struct copse_transport *t, const struct copse_address *asked);

bool far_is(const struct copse_transport *t);
bool far_is_secure(const struct copse_transport *t);

#endif
