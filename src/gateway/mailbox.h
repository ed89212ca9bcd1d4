/* The mailbox: requests that wait until a device that sleeps is heard.
 *
 * A request (a mail) is kept with the message for its device and with what its client is to be answered by: peer and
 * token, since no exchange lives as long as a device may sleep. Mails of one device are delivered in the order in which
 * they came, one at a time. A mail ends when it is answered, withdrawn or too old; its owner ends it by gw_mail_end.
 *
 *	FREE -> WAITING      gw_mailbox_put
 *	WAITING -> SENDING   gw_mail_send: it is on its way to the device
 *	SENDING -> WAITING   gw_mail_back: the device did not take it; it is the device's first one again
 *	any -> FREE          gw_mail_end
 *
 * Bounds: so many mails in all, of one device, of one account; each as long as one message. Beyond, gw_mailbox_put says
 * which one it was and nothing changes. All memory is taken once; the messages' costs no pages before it is written. No
 * cost grows with the number of mails but that of listing an account's own. One worker owns the table.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_MAILBOX_H
#define GATEWAY_MAILBOX_H

#include "config.h"
#include "resolver.h"

#include <copse/message.h>
#include <copse/peer.h>

#include "core/heap.h"

struct gw_mailbox;

struct gw_mail_bounds {
	uint32_t mails, of_device, of_account;
	uint32_t message_len; /* longest message, its header included */
};

enum gw_mail_state { GW_MAIL_FREE, GW_MAIL_WAITING, GW_MAIL_SENDING, GW_MAIL_STATES };

/* A device that mail waits for. */
struct gw_mail_device {
	char name[GW_NAME_MAX + 1], alias[GW_NAME_MAX + 1];
	struct copse_peer peer; /* in the clear: what lanes and caches know it by */
	uint16_t secure_port;
	struct gw_lane_rule lane;
	struct gw_rate rate;
	uint32_t n;       /* mails */
	uint32_t sending; /* number of the one on its way; 0: none */

	/* the table's own */
	uint32_t first, last, next_free, host_hash, name_hash;
};

/* Fields are the table's to write but `request`; gw_mailbox_put copies `wish`. */
struct gw_mail {
	struct core_timer timer; /* of its end, while it waits */
	enum gw_mail_state state;
	uint32_t id;         /* what clients know it by; never that of another one before 2^32 mails */
	uint32_t device;     /* number of its device's record */
	uint32_t next, prev; /* of the same device */
	uint32_t next_all, prev_all; /* of all, in the order in which they came */
	uint32_t account_hash;
	uint8_t *message; /* bounds.message_len bytes */

	struct gw_mail_wish {
		copse_ms since, ends;
		uint32_t session, generation; /* whose it is */
		char account[GW_ACCOUNT_MAX + 1];
		struct copse_peer client;
		uint8_t token[COPSE_TOKEN_MAX];
		uint8_t token_len, method, no_response;
		bool con;             /* the client's request was confirmable */
		struct copse_peer to; /* the device, in the clear or secure */
		size_t len;           /* of the message, with a header */
	} wish;
	uint32_t attempts; /* to deliver it */
	uint32_t request;  /* its owner's: what it is on its way by */
};

enum gw_mail_result {
	GW_MAIL_KEPT,
	GW_MAIL_FULL,        /* there are as many as there may be */
	GW_MAIL_DEVICE_FULL, /* of this device */
	GW_MAIL_ACCOUNT_FULL /* of this account */
};

/* `key` is random and secret. Returns NULL without memory. */
struct gw_mailbox *gw_mailbox_new(const struct gw_mail_bounds *bounds, const uint64_t key[2]);

/* NULL is taken. */
void gw_mailbox_free(struct gw_mailbox *box);

/* Keep a request for `device`, of which `name`, `alias`, `peer`, `secure_port`, `lane` and `rate` are read; `message` has
 * `wish->len` bytes, at most bounds.message_len (asserted). `*mail` is set when it is kept. When it is not, `*until` is when
 * the next one in its way ends at the latest, or COPSE_NEVER. */
enum gw_mail_result gw_mailbox_put(struct gw_mailbox *box, const struct gw_mail_device *device,
				   const struct gw_mail_wish *wish, const void *message,
				   struct gw_mail **mail, copse_ms *until);

/* The device that a message from `peer` is from, or NULL: the one at its address and port, clear or secure; else, with
 * `any_port`, the only one at its address. */
struct gw_mail_device *gw_mailbox_at(struct gw_mailbox *box, const struct copse_peer *peer, bool any_port);

/* The device of this name or other name, normalized, or NULL. */
struct gw_mail_device *gw_mailbox_named(struct gw_mailbox *box, const char *name);

/* Whether the two speak from one address, whatever the ports. */
bool gw_mail_same_host(const struct copse_peer *a, const struct copse_peer *b);

/* The mail to be delivered next, or NULL: none waits, or one is on its way. */
struct gw_mail *gw_mail_next(struct gw_mailbox *box, const struct gw_mail_device *device);

/* Transitions, asserted to be allowed. gw_mail_end: the device's record goes with its last mail. */
void gw_mail_send(struct gw_mailbox *box, struct gw_mail *mail);
void gw_mail_back(struct gw_mailbox *box, struct gw_mail *mail);
void gw_mail_end(struct gw_mailbox *box, struct gw_mail *mail);

/* A mail's number, from 1; and back. */
uint32_t gw_mail_number(const struct gw_mailbox *box, const struct gw_mail *mail);
struct gw_mail *gw_mail_of(struct gw_mailbox *box, uint32_t number);
struct gw_mail_device *gw_mail_device_of(struct gw_mailbox *box, const struct gw_mail *mail);

/* The mail of this id, or NULL. */
struct gw_mail *gw_mailbox_find(struct gw_mailbox *box, uint32_t id);

/* The oldest mail, and the one that came after `mail`; or NULL. */
struct gw_mail *gw_mailbox_first(struct gw_mailbox *box);
struct gw_mail *gw_mailbox_after(struct gw_mailbox *box, const struct gw_mail *mail);

/* When the next one that waits is too old, or COPSE_NEVER; and one that is at `now`, or NULL. */
copse_ms gw_mailbox_deadline(const struct gw_mailbox *box);
struct gw_mail *gw_mailbox_overdue(struct gw_mailbox *box, copse_ms now);

/* Mails there are, and devices that they are for. */
uint32_t gw_mailbox_count(const struct gw_mailbox *box);
uint32_t gw_mailbox_devices(const struct gw_mailbox *box);

#endif
