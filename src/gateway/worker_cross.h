/* A worker among several: what comes in is sent to whom it belongs to, and what was sent here is taken. With one worker
 * none of this is called, but for functions that say so.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_WORKER_CROSS_H
#define GATEWAY_WORKER_CROSS_H

#include "crossing.h"
#include "worker_state.h"

/* Whether this worker is the one that has what there is once: always, where it is the only one. */
static inline bool gw_cross_is_first(const struct gw_worker *w)
{
	return !w->cross || w->number == GW_FIRST;
}

/* ---- sessions: by the first worker, to the others; nothing with one worker ---- */

/* Whether others can be told of one more change. */
bool gw_cross_has_room(const struct gw_worker *w);

/* The session was opened by `wish`, with the rules `grant` (NULL: none). There was room. */
void gw_cross_opened(struct gw_worker *w, const struct gw_session_wish *wish, const struct gw_grant *grant);
void gw_cross_closed(struct gw_worker *w, const struct copse_peer *peer);

/* To the first, by another one: this peer's association or connection has ended, and its session with it. */
void gw_cross_gone(struct gw_worker *w, const struct copse_peer *peer);

/* What a session has under way changes by `by`; how much that is at all workers. Also with one worker. */
void gw_cross_pending(struct gw_worker *w, struct gw_session *s, int by);
uint32_t gw_cross_pending_of(const struct gw_worker *w, const struct gw_session *s);

/* The observers of a session have become more or less; how many it has, counted up to `most`. Also with one worker. */
void gw_cross_observers(struct gw_worker *w, const struct gw_session *s);
uint32_t gw_cross_observers_of(const struct gw_worker *w, const struct gw_session *s, uint32_t most);

/* As gw_rates_take for the rate of accounts. Also with one worker. */
copse_ms gw_cross_rate(const struct gw_worker *w, const char *account, copse_ms now);

/* ---- news for the others; nothing with one worker ---- */

void gw_cross_invalidate(struct gw_worker *w, uint64_t uri);
void gw_cross_observes(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *token,
		       size_t token_len);

/* Ask the others for what they count: then gw_local_metrics answers `asker`. Returns NULL when there is no room. */
struct gw_round *gw_round_begin(struct gw_worker *w);
void gw_round_set_asker(struct gw_round *round, copse_handle asker);
void gw_rounds_free(struct gw_worker *w);

#endif
