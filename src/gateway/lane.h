/* Lanes: how many requests may be on their way to one device. A device of a serialized class takes one at a time; what
 * comes meanwhile is refused, or waits in the lane's queue where the class allows one.
 *
 * A lane exists while a request is under way to its device: so there are never more than requests. Requests are named
 * by numbers of the caller's, 1 to `max`. The messages of those that wait lie here, in a fixed number of places. Memory is
 * taken once. One worker owns all lanes of its devices.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_LANE_H
#define GATEWAY_LANE_H

#include <copse/endpoint.h>

struct gw_lanes;

struct gw_lane_bounds {
	uint32_t requests;    /* names of requests: 1 to this */
	uint32_t waiting;     /* places for messages, of all lanes */
	uint32_t steps;       /* and for steps of transfers */
	uint32_t message_len; /* bytes of each */
};

/* What the class of a device allows. */
struct gw_lane_rule {
	uint16_t concurrent; /* requests under way at a time, 1 or more */
	uint16_t queue;      /* and waiting */
	bool step;           /* of a request: it goes on with a transfer that has begun, see gw_lanes_enter */
};

#define GW_LANE_STEPS 1024 /* steps of transfers that wait in one lane */

enum gw_lane_result {
	GW_LANE_GO,   /* it may go: gw_lanes_leave ends that */
	GW_LANE_WAIT, /* its message is kept, and gw_lanes_leave will name it when it may go */
	GW_LANE_BUSY  /* neither: nothing has changed */
};

/* `key` is random and secret. Returns NULL without memory. */
struct gw_lanes *gw_lanes_new(const struct gw_lane_bounds *bounds, const uint64_t key[2]);

/* Find devices by the hashes of this endpoint instead of hashes of its own. Before the first request. */
void gw_lanes_hash_by(struct gw_lanes *lanes, struct copse_endpoint *ep);

/* NULL is taken. */
void gw_lanes_free(struct gw_lanes *lanes);

/* Request `number`, which is in no lane, wants to go to `device`; its message is `len` bytes at `bytes`. With GO and WAIT
 * `*lane` is what the other functions take.
 *
 * A transfer of many blocks is many requests, each with a place of its own in the order. So that it is not broken off
 * by somebody else's request, a step of one waits whatever `queue` says, up to GW_LANE_STEPS of them; and so that it does
 * not keep others out for as long as it lasts, one request may wait for a step even where the class has no queue. */
enum gw_lane_result gw_lanes_enter(struct gw_lanes *lanes, const struct copse_peer *device,
				   const struct gw_lane_rule *rule, uint32_t number, const void *bytes,
				   size_t len, uint32_t *lane);

/* A request that had GO is over. Returns the number of the one that may go now in its place, in the order in which they
 * came, with its message at `buf` (bounds.message_len bytes) and `*len`; or 0. */
uint32_t gw_lanes_leave(struct gw_lanes *lanes, uint32_t lane, uint8_t *buf, size_t *len);

/* The device, as the first request of the lane named it. */
const struct copse_peer *gw_lanes_device(const struct gw_lanes *lanes, uint32_t lane);

/* Lanes in use, and requests that wait in them. */
struct gw_lanes_usage {
	uint32_t lanes, waiting;
};

void gw_lanes_usage(const struct gw_lanes *lanes, struct gw_lanes_usage *usage);

#endif
