/* Which devices a client sees in lists and among readings: those of which the configuration's access
 * sections and its session's token allow it any request at all.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_VISIBLE_H
#define GATEWAY_VISIBLE_H

#include "worker_state.h"

/* `s`: the client's session; NULL: it has none, and no account. `id`: the device's name, or what it has published as. */
bool gw_visible(const struct gw_worker *w, const struct gw_session *s, const char *id);

/* Whether every client with such a session sees everything: then there is nothing to look at one by one. */
bool gw_visible_all(const struct gw_worker *w, const struct gw_session *s);

/* Whether it may say what the gateway knows about that device, by PUT, PATCH or iPATCH: what allows `method` for the
 * device as a whole allows this. */
bool gw_may_describe(const struct gw_worker *w, const struct gw_session *s, const char *id, uint8_t method);

/* A number that is another one when the client may do something else than before: it has another session, account or token,
 * or the configuration is another one. 0 without a session. */
uint64_t gw_rights(const struct gw_worker *w, const struct gw_session *s);

/* The devices that are visible, configured and registered, in link format, terminated by a NUL: for
 * copse_mem_free. `*len` without the NUL.
 * Returns NULL without memory. */
char *gw_visible_list(const struct gw_worker *w, const struct gw_session *s, size_t *len);

#endif
