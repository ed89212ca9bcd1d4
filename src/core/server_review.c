/* What a handler decides about observations: that none comes of a request, and who may go on with his.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

void copse_request_once(const struct copse_request *rq)
{
	/* Every request is the beginning of a server_work. */
	struct server_work *w = (struct server_work *)(uintptr_t)rq;
	struct copse_server *s = rq->server;

	if (w->ask.observer == 0)
		return;
	s->counters.refused_observer++;
	srv_observe_answered(s, &w->ask, false);
	w->ask.observer = 0;
}

/* RFC 7641 §4.2: a notification with an error ends the observation. It is not repeated. */
static void tell(struct copse_server *s, struct server_observer *o, uint8_t code)
{
	const struct copse_out out = {.code = code, .rest = s->out, .rest_len = 0};
	copse_handle exchange;
	uint16_t id;

	(void)copse_endpoint_notify(s->ep, &o->peer, o->token, o->token_len, &out, o, s->now, &exchange, &id);
	srv_observe_drop(s, o);
}

unsigned copse_request_review(const struct copse_request *rq, uint8_t code,
			      bool (*may)(void *user, const struct copse_peer *peer), void *user)
{
	const struct server_work *w = (const struct server_work *)(uintptr_t)rq;
	struct server_view *v = w->view;
	struct core_node *lists[] = {v ? &v->idle : NULL, v ? &v->behind : NULL, v ? &v->flight : NULL};
	unsigned ended = 0;

	for (unsigned i = 0; v && i < 3; i++) {
		for (struct core_node *n = lists[i]->next, *next; n != lists[i]; n = next) {
			struct server_observer *o = CORE_OF(n, struct server_observer, node);
			next = n->next;
			if (may(user, &o->peer))
				continue;
			rq->server->counters.ended++;
			tell(rq->server, o, code);
			ended++;
		}
	}
	return ended;
}
