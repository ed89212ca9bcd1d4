/* Sessions: which client, by address and port, acts for which account, and until when.
 *
 * A fixed table of records, found by peer and by account through keyed hashes, and by the time at which they end
 * through a heap: no cost grows with the number of idle sessions. Memory is taken once. One worker owns a table.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_SESSION_H
#define GATEWAY_SESSION_H

#include "token.h"

#include <copse/endpoint.h>

#include "core/heap.h"

struct gw_sessions;

/* Fields are the table's to write, unless said otherwise. */
struct gw_session {
	struct core_timer timer; /* when to look at it next: not later than its end */
	copse_ms ends;           /* with the token; COPSE_NEVER without an end */
	copse_ms used;           /* when it was last used */
	uint32_t next, prev;     /* of the same account: number + 1; the first has their count in `prev` */
	uint32_t account_hash, peer_hash;
	uint32_t generation; /* changes when the record is given to another session */
	uint16_t pending;    /* requests under way; written by the proxy */
	bool open, secure;
	struct copse_peer peer;
	uint32_t grant; /* number in the table of grants; 0: none */
	char account[GW_ACCOUNT_MAX + 1];
};

enum gw_session_result {
	GW_SESSION_OPENED,
	GW_SESSION_RENEWED, /* this peer had a session, which has now the new token's account and end */
	GW_SESSION_MOVED,   /* the account had a session, which is now this peer's */
	GW_SESSION_LIMIT,   /* the account has as many as it may: nothing has changed */
	GW_SESSION_FULL     /* the table is full: nothing has changed */
};

/* What a session is opened with. */
struct gw_session_wish {
	const struct copse_peer *peer;
	const char *account;
	copse_ms ends;
	uint32_t per_account; /* as many may the account have */
	bool sticky, secure;
	uint32_t grant; /* held for the session, unless the result is LIMIT or FULL */
};

/* A table for up to `max` sessions; `key` is random and secret. Sessions end when unused for `idle_ms`.
 * Returns NULL without memory. */
struct gw_sessions *gw_sessions_new(uint32_t max, copse_ms idle_ms, const uint64_t key[2]);

/* Find peers by the hashes of this endpoint instead of hashes of its own. Before the first session. */
void gw_sessions_hash_by(struct gw_sessions *sessions, struct copse_endpoint *ep);

/* The table that grants of sessions are let go to when these end. Without one sessions have none. */
void gw_sessions_set_grants(struct gw_sessions *sessions, struct gw_grants *grants);

/* `used` has a place for each session, where all tables that are kept equal to this one say when it was last used. NULL:
 * there are no others. */
void gw_sessions_share(struct gw_sessions *sessions, _Atomic uint64_t *used);

/* `session` ends at `now`: the next gw_sessions_expire tells. */
void gw_sessions_end(struct gw_sessions *sessions, struct gw_session *session, copse_ms now);

/* Change the idle time, also of sessions that are open. */
void gw_sessions_set_idle(struct gw_sessions *sessions, copse_ms idle_ms);

/* NULL is taken. */
void gw_sessions_free(struct gw_sessions *sessions);

/* Bytes that one session costs at most, its share of all tables included: 256. */
size_t gw_sessions_bytes_each(void);

/* The session of `peer`, or NULL; its idle time begins anew. */
struct gw_session *gw_sessions_find(struct gw_sessions *sessions, const struct copse_peer *peer,
				    copse_ms now);

/* The same also when its time is over, and without using it. */
struct gw_session *gw_sessions_any(struct gw_sessions *sessions, const struct copse_peer *peer);

/* Open, renew or move a session. `*session` (may be NULL) is set unless the result is LIMIT or FULL. */
enum gw_session_result gw_sessions_open(struct gw_sessions *sessions, const struct gw_session_wish *wish,
					copse_ms now, struct gw_session **session);

/* End it: the record may be another's from now on. */
void gw_sessions_close(struct gw_sessions *sessions, struct gw_session *session);

/* A record's number, to be kept with its `generation`; and back: NULL when it has been another's since. */
uint32_t gw_sessions_number(const struct gw_sessions *sessions, const struct gw_session *session);
struct gw_session *gw_sessions_at(struct gw_sessions *sessions, uint32_t number, uint32_t generation);

/* When gw_sessions_expire must next be called, or COPSE_NEVER. */
copse_ms gw_sessions_deadline(const struct gw_sessions *sessions);

/* End one session that is due at `now`: `*ended` is a copy of it. Returns false when none is: call until then. */
bool gw_sessions_expire(struct gw_sessions *sessions, copse_ms now, struct gw_session *ended);

/* How many there are. */
uint32_t gw_sessions_count(const struct gw_sessions *sessions);

#endif
