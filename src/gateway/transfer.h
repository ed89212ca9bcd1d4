/* Transfers: what the gateway knows of a body that goes to a device block by block, or comes from one in answer to a
 * request that must not be made twice (RFC 7959, RFC 9175 §3).
 *
 * To a device all clients are one endpoint. So a transfer is found by the client's endpoint, the method, the URI and the
 * client's Request-Tag, never by token; and towards the device it bears a Request-Tag of the gateway's own. For devices
 * that do not know that option transfers to one resource follow one another: the later one is held.
 *
 * A transfer keeps one message of its client's, never a body. Their number is fixed, memory is taken once. One that its
 * client has left alone for too long is overdue, and so is one that was held for too long; while a request of it is under
 * way it is not. Nothing here knows messages or a clock. The states are drawn in doc/states/proxy-block.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_TRANSFER_H
#define GATEWAY_TRANSFER_H

#include "lane.h"

#include "core/list.h"

#include <copse/types.h>

struct gw_transfers;

enum gw_transfer_state {
	GW_TRANSFER_FREE,
	GW_TRANSFER_HELD,   /* another one is about the same resource: it waits with its first request */
	GW_TRANSFER_SEND,   /* the client's body is on its way */
	GW_TRANSFER_RECEIVE /* the device's answer is fetched piece by piece */
};

/* Written by the caller, but for the last group. */
struct gw_transfer {
	struct copse_peer client;
	uint64_t id;    /* device, method, URI and Request-Tag of the client's requests */
	uint64_t base;  /* the same without the Request-Tag */
	uint64_t uri;   /* the resource: device and path */
	uint32_t tag;   /* our Request-Tag; 0: none is sent */
	bool exclusive; /* its device does not know Request-Tags */
	bool plain;     /* one request without blocks */
	bool over;      /* it ends when its request is over */
	uint8_t szx;    /* of blocks to the device, at most */

	/* the client's block that is being sent, of `len` bytes with header at `bytes` */
	struct copse_peer device;
	struct gw_lane_rule rule;
	uint8_t *bytes;
	size_t len;
	uint32_t begin, end; /* in the body */
	uint32_t taken;      /* how far the device has the body */
	uint32_t piece;      /* bytes of it that are under way */
	bool more;           /* the client has more */
	bool last;           /* the piece under way is the last one of the body */
	bool bare;           /* the client named no block: it is not told of one */
	uint8_t client_szx;
	uint32_t request; /* that is under way, or held: its number; 0: none */

	/* private to transfer.c */
	uint8_t state; /* enum gw_transfer_state */
	bool ready;
	uint64_t serial;
	copse_ms used;
	struct core_node node;
};

/* `cap` of them, 1 or more, for messages of up to `message_len` bytes. `key` is random and secret. Returns NULL without
 * memory. */
struct gw_transfers *gw_transfers_new(uint32_t cap, size_t message_len, const uint64_t key[2]);

/* NULL is taken. */
void gw_transfers_free(struct gw_transfers *ts);

/* A new transfer with these names, in `state`. Returns NULL when there are as many as there may be. */
struct gw_transfer *gw_transfer_begin(struct gw_transfers *ts, const struct gw_transfer *names,
				      enum gw_transfer_state state, copse_ms now);

/* It is over. The oldest one that was held because of it is ready then. */
void gw_transfer_end(struct gw_transfers *ts, struct gw_transfer *t);

/* HELD or SEND becomes SEND or RECEIVE. */
void gw_transfer_enter(struct gw_transfers *ts, struct gw_transfer *t, enum gw_transfer_state state);

/* A request of it has set out, `request` is its number; or, with 0, is over, and the client's time begins anew. */
void gw_transfer_set_request(struct gw_transfers *ts, struct gw_transfer *t, uint32_t request, copse_ms now);

/* The transfer of `client` that goes on with `id`; or, failing that, the one with `base` that is in RECEIVE and had no
 * other Request-Tag than `id` has. NULL: none. */
struct gw_transfer *gw_transfer_find(struct gw_transfers *ts, const struct copse_peer *client, uint64_t id);
struct gw_transfer *gw_transfer_find_answer(struct gw_transfers *ts, const struct copse_peer *client,
					    uint64_t base);

/* Whether a transfer with these names has to wait for another one about its resource that is under way; with `behind` also
 * for those that are held already. A plain request of a client does not wait for the transfers of that same client. */
bool gw_transfers_conflict(const struct gw_transfers *ts, const struct gw_transfer *names, bool behind);

/* Whether there is any about the resource, for a quick look. */
bool gw_transfers_about(const struct gw_transfers *ts, uint64_t uri);

/* Take the next one that was held and is ready, or NULL. It stays HELD until it is entered elsewhere. */
struct gw_transfer *gw_transfers_ready(struct gw_transfers *ts);

/* When the first one is overdue if `idle_ms` is the limit, or COPSE_NEVER; and that one, or NULL. */
copse_ms gw_transfers_deadline(const struct gw_transfers *ts, copse_ms idle_ms);
struct gw_transfer *gw_transfers_overdue(struct gw_transfers *ts, copse_ms idle_ms, copse_ms now);

/* Names for the records of requests: 1 to cap. */
uint32_t gw_transfer_number(const struct gw_transfers *ts, const struct gw_transfer *t);
struct gw_transfer *gw_transfer_at(struct gw_transfers *ts, uint32_t number);

uint32_t gw_transfers_count(const struct gw_transfers *ts);

#endif
