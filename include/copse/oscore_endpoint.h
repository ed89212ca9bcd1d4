/* OSCORE on an endpoint: requests, responses and notifications of server and client are protected on their way, which
 * neither of them notices. Blocks, observations, Echo and repetitions are as without it: what is repeated are the protected
 * messages, what is split into blocks the plain ones (inner block-wise, RFC 8613 §4.1.3.4.1).
 *
 *	copse_oscore_attach(memory, len, &config, ep)    before the first message
 *	copse_oscore_add(oscore, &context)               whose requests are taken, and whom to ask by it
 *
 * Requests to any peer are protected by the context that copse_oscore_ask names; none: they are plain. A response without
 * protection to a protected request is only believed where it is an error, which a proxy may have to tell.
 * The states of a binding are drawn in doc/states/oscore.md.
 *
 * Not thread-safe: the thread that owns the endpoint owns this.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_OSCORE_ENDPOINT_H
#define COPSE_OSCORE_ENDPOINT_H

#include <copse/oscore.h>
#include <copse/shield.h>

struct copse_oscore;

struct copse_oscore_config {
	uint16_t
	    context_cap; /* contexts; each is looked at for a request that comes; beyond: COPSE_ERR_NOROOM */
	/* Requests under way both ways, and observers; beyond: the observer that was longest not told anything is
	 * forgotten; where there is none a request of ours is COPSE_ERR_NOROOM, one of others is answered 5.03. */
	uint32_t binding_cap;
	uint32_t message_len; /* longest message, protected */
	uint64_t seed[2];     /* secret and random: key of a hash table */
	bool required;        /* requests that are not protected are answered 4.01 */
};

#define COPSE_OSCORE_DEFAULT                                                                                 \
	{                                                                                                    \
		.context_cap = 8, .binding_cap = 256, .message_len = 1472,                                   \
	}

size_t copse_oscore_bytes(const struct copse_oscore_config *config);

/* Put it before `ep`. `memory` has copse_oscore_bytes(config) bytes, aligned for uint64_t, and stays its own as long as the
 * endpoint is used; `config` is copied. The endpoint understands the option from now on. */
struct copse_oscore *copse_oscore_attach(void *memory, size_t len, const struct copse_oscore_config *config,
					 struct copse_endpoint *ep);

/* Take requests by `context`, which stays the caller's and lives as long. Returns 0 or COPSE_ERR_NOROOM. */
int copse_oscore_add(struct copse_oscore *oscore, struct copse_oscore_context *context);

/* Protect requests of ours by `context` from now on; NULL: none. */
void copse_oscore_ask(struct copse_oscore *oscore, struct copse_oscore_context *context);

/* The context by which the request `exchange` came, as long as it is not answered; NULL: it was not protected. */
const struct copse_oscore_context *copse_oscore_of(const struct copse_oscore *oscore, copse_handle exchange);

struct copse_oscore_counters {
	uint32_t sealed; /* messages protected */
	uint32_t opened; /* messages taken apart */
	uint32_t
	    refused; /* requests answered with an error of §8.2, and such that were not protected but must */
	uint32_t replayed;   /* of these, those that had come before; and old notifications */
	uint32_t dropped;    /* responses that were not what they should be */
	uint32_t challenged; /* requests answered with Echo after a restart */
	uint32_t forgotten;  /* observers forgotten for want of room */
	uint32_t full;       /* requests refused because there was no binding left */
};

const struct copse_oscore_counters *copse_oscore_counters(const struct copse_oscore *oscore);

#endif
