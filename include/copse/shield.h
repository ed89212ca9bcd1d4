/* Who stands between an endpoint and the application on it, and changes what passes: object security.
 *
 * With a shield, the calls named below come to it in place of the endpoint. To send what it has made of them it takes
 * itself away (copse_endpoint_shield with NULL), makes the call, and puts itself back. An endpoint without one pays a test
 * of a pointer for it; a microcontroller's build has none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SHIELD_H
#define COPSE_SHIELD_H

#include <copse/endpoint.h>

struct copse_shield {
	/* An event before the application has it: may be changed; its message replaced by one that lives until the next.
	 * Returns false when the application is not to have it. */
	bool (*event)(void *self, struct copse_endpoint *ep, struct copse_event *event, copse_ms now);
	/* As the functions of the endpoint. */
	int (*request)(void *self, struct copse_endpoint *ep, const struct copse_peer *peer,
		       const struct copse_out *out, unsigned flags, void *user, copse_ms now,
		       copse_handle *exchange);
	int (*request_again)(void *self, struct copse_endpoint *ep, copse_handle exchange,
			     const struct copse_out *out, copse_ms now);
	int (*respond)(void *self, struct copse_endpoint *ep, copse_handle exchange,
		       const struct copse_out *out, copse_ms now);
	int (*notify)(void *self, struct copse_endpoint *ep, const struct copse_peer *peer, const void *token,
		      size_t token_len, const struct copse_out *out, void *user, copse_ms now,
		      copse_handle *exchange, uint16_t *id);
	int (*replace)(void *self, struct copse_endpoint *ep, copse_handle exchange,
		       const struct copse_out *out, copse_ms now);
	void (*cancel)(void *self, struct copse_endpoint *ep, copse_handle exchange, copse_ms now);
};

/* Put `shield` before the endpoint, which gives `self` to its functions; both live as long as it is there. NULL: none. */
void copse_endpoint_shield(struct copse_endpoint *ep, const struct copse_shield *shield, void *self);

/* The first critical option of `m` that the application does not understand (copse_endpoint_understands); 0 for none. */
uint16_t copse_endpoint_lacks(const struct copse_endpoint *ep, const struct copse_message *m);

#endif
