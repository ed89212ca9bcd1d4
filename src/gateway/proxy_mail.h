/* The mailbox in the gateway: which requests go in, when they go out to their devices, and what their clients are told.
 * The first worker has it, as it has the requests for devices that sleep.
 *
 * A request goes on by the same steps as others, from LANE on, in a record without a client's exchange. What it may do is
 * asked again then: a session that has ended, or may no more, has no request delivered. A session with mail is not idle.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_PROXY_MAIL_H
#define GATEWAY_PROXY_MAIL_H

#include "proxy_pass.h"

/* Make the mailbox that the configuration names, with its resources. Returns false without memory. */
bool gw_mail_new(struct gw_worker *w);
void gw_mail_free(struct gw_worker *w);

/* Part of the step ASLEEP: whether the request `p->m`, for a device that sleeps, can wait in the mailbox; and whether
 * it has to, as it is no GET. */
bool gw_mail_may_wait(const struct gw_pass *p);
bool gw_mail_takes(const struct gw_pass *p);

/* proxy_asleep.c: the device of this name has carried out `m`; what it has published of what that changes is old. */
void gw_proxy_outdate(struct gw_worker *w, const struct copse_message *m, const char *name,
		      const char *alias);

/* Let it wait: the next step. */
enum gw_step gw_mail_keep(struct gw_pass *p);

/* `p->r`, which is a mail, is over: with the device's answer or without one. */
void gw_mail_told(struct gw_pass *p, const struct copse_out *out);

/* `peer` has sent something: if it is a device with mail, it is awake. `id`: the identity that it has published under
 * meanwhile; "": none. */
void gw_mail_heard(struct gw_worker *w, const struct copse_peer *peer, const char *id, copse_ms now);

/* A client has acknowledged its answer, or never will. Returns false when the event is not about one. */
bool gw_mail_event(struct gw_worker *w, const struct copse_event *event);

copse_ms gw_mail_deadline(const struct gw_worker *w);
void gw_mail_expire(struct gw_worker *w, copse_ms now);

/* The gateway ends: those who wait are told. */
void gw_mail_close(struct gw_worker *w, copse_ms now);

/* The client of `mail` is told `code` and `text`, and the mail is over. */
void gw_mail_refuse(struct gw_worker *w, struct gw_mail *mail, uint8_t code, const char *text, copse_ms now);

/* mailbox_serve.c: /mailbox. Returns as copse_server_add_all. */
int gw_mail_serve(struct gw_worker *w);

/* Whether session `s` might ask for it now: one account may have tokens with different rules. */
bool gw_mail_is_allowed(const struct gw_worker *w, const struct gw_session *s, const struct gw_mail *mail);

#endif
