/* Gathers: blocks that clients want in one piece, while their devices send them in smaller ones (RFC 7959 §2.4, each hop
 * with its own size). A gather keeps the request, to ask for the next piece by, the options of the first piece and what
 * there is of the block: one block of a client's, never a body.
 *
 * A fixed number, memory taken once. No message and no clock in here; proxy_gather.c moves them. One worker owns them.
 * Numbers are + 1, 0 stands for none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_GATHER_H
#define GATEWAY_GATHER_H

#include "lane.h"

#include <copse/types.h>

#define GW_GATHER_BYTES 1024 /* the largest block */
#define GW_GATHER_ETAG  8    /* RFC 7252 §5.10.6 */

struct gw_gathers;

struct gw_gather {
	struct copse_peer device;
	struct gw_lane_rule rule;
	uint8_t *request; /* the message for the device that asked for the first piece */
	size_t request_len;
	uint32_t begin; /* of the client's block, in the body */
	uint32_t len;   /* what there is of it */
	uint8_t szx;    /* as the client wants it */
	uint8_t piece;  /* as the device is asked for pieces */
	uint8_t begun;  /* how often it was begun anew */
	uint8_t etag_len;
	uint8_t etag[GW_GATHER_ETAG];
	copse_ms expires; /* when the first of the pieces is stale */
	uint8_t *options; /* of the first piece, for the client; as long as a message may be */
	size_t options_len;
	uint8_t *bytes; /* GW_GATHER_BYTES */

	/* private */
	uint32_t next_free;
	bool used;
};

/* `cap` of them, 1 or more, for messages of up to `message_len` bytes. Returns NULL without memory. */
struct gw_gathers *gw_gathers_new(uint32_t cap, size_t message_len);

/* NULL is taken. */
void gw_gathers_free(struct gw_gathers *gs);

/* A new one, empty but for its memory; 0 when there are as many as there may be. Its number. */
uint32_t gw_gather_take(struct gw_gathers *gs);
struct gw_gather *gw_gather_at(struct gw_gathers *gs, uint32_t number);
void gw_gather_free(struct gw_gathers *gs, uint32_t number);

uint32_t gw_gathers_count(const struct gw_gathers *gs);

#endif
