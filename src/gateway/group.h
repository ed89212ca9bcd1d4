/* Requests to groups (draft-ietf-core-groupcomm-proxy): one request of a client goes out to a multicast address, as a NON,
 * and each answer comes back to the client as a message of its own with Reply-To, the URI of the device that it is from.
 *
 * Bounded in every way: groups are those of the configuration; a request takes as many answers, and for as long, as
 * its group allows; GW_GROUPS_MAX requests may be under way, beyond: 5.03. An answer is passed on only if the client may
 * ask that device the same by itself. What comes by multicast is never proxied, so that no proxy echoes another.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_GROUP_H
#define GATEWAY_GROUP_H

#include "proxy_pass.h"

#define GW_GROUPS_MAX 32 /* requests to groups under way, of one worker */

struct gw_groups;

/* Records with room for messages of `message_len` bytes. Returns NULL without memory. */
struct gw_groups *gw_groups_new(uint32_t message_len);

/* NULL is taken. */
void gw_groups_free(struct gw_groups *groups);

/* The step: send it to the group. */
enum gw_step gw_group_forward(struct gw_pass *p);

/* Take an event. Returns false when it is not about a request to a group. */
bool gw_group_event(struct gw_worker *w, const struct copse_event *event, copse_ms now);

copse_ms gw_groups_deadline(const struct gw_groups *groups);
void gw_groups_expire(struct gw_worker *w, copse_ms now);

/* The gateway ends: those who have waited in vain are told. */
void gw_groups_close(struct gw_worker *w, copse_ms now);

/* Records in use. */
uint32_t gw_groups_count(const struct gw_groups *groups);

/* Longest value of Reply-To that is made. */
#define GW_REPLY_TO_MAX 96

/* The CRI of the device that answers: by its name, if it has one, else by its address. Returns its length. */
size_t gw_reply_to(const struct gw_target *device, uint8_t out[GW_REPLY_TO_MAX]);

#endif
