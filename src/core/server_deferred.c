/* Requests that are answered later: what must be known of them waits in a record until the application replies.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

void srv_deferred_init(struct copse_server *s)
{
	core_node_init(&s->free_deferred);
	for (uint32_t i = 0; i < s->config.deferred_cap; i++) {
		memset(&s->deferred[i], 0, sizeof s->deferred[i]);
		core_node_insert(&s->free_deferred, &s->deferred[i].node);
	}
}

static copse_handle handle_of(const struct copse_server *s, const struct server_deferred *d)
{
	return (copse_handle)d->generation << 32 | ((uint32_t)(d - s->deferred) + 1);
}

static struct server_deferred *get(const struct copse_server *s, copse_handle handle)
{
	const uint32_t number = (uint32_t)handle;
	if (number == 0 || number > s->config.deferred_cap)
		return NULL;
	struct server_deferred *d = &s->deferred[number - 1];
	return d->used && d->generation == (uint32_t)(handle >> 32) ? d : NULL;
}

static void release(struct copse_server *s, struct server_deferred *d)
{
	d->used = false;
	d->generation++;
	core_node_insert(&s->free_deferred, &d->node);
}

copse_handle copse_request_defer(const struct copse_request *rq)
{
	/* Every request is the beginning of a server_work. */
	struct server_work *w = (struct server_work *)(uintptr_t)rq;
	struct copse_server *s = rq->server;
	if (w->deferred)
		return w->deferred;
	const bool may = rq->purpose == COPSE_PURPOSE_REQUEST && !w->piece;
	struct core_node *n = may ? core_list_pop(&s->free_deferred) : NULL;
	if (!n) {
		s->counters.refused_deferred++;
		w->refused = true;
		return COPSE_NO_HANDLE;
	}
	struct server_deferred *d = CORE_OF(n, struct server_deferred, node);
	d->used = true;
	s->counters.deferred++;
	(void)srv_block_key(s, &w->ask); /* the message will be gone */
	d->ask = w->ask;
	d->ask.apart = true;
	w->deferred = handle_of(s, d);
	return w->deferred;
}

uint32_t copse_server_deferred(const struct copse_server *server)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < server->config.deferred_cap; i++)
		n += server->deferred[i].used;
	return n;
}

int copse_server_reply(struct copse_server *server, copse_handle deferred, struct copse_response *rs)
{
	COPSE_ASSERT(!server->answering);
	if (!get(server, deferred))
		return COPSE_ERR_GONE;
	server->answering = true;
	srv_response_init(server, rs);
	return 0;
}

int copse_server_reply_send(struct copse_server *server, copse_handle deferred, struct copse_response *rs,
			    copse_ms now)
{
	struct server_deferred *d = get(server, deferred);
	COPSE_ASSERT(server->answering && d);
	server->answering = false;
	srv_advance(server, now);
	struct server_ask ask = d->ask;
	const int err = srv_handled(server, &ask, rs);
	if (err == COPSE_ERR_NOROOM) {
		d->ask.transfer = ask.transfer; /* one may have been reserved for the further blocks */
		server->counters.unsent++;
		return err;
	}
	release(server, d);
	return err;
}

void copse_server_reply_drop(struct copse_server *server, copse_handle deferred, copse_ms now)
{
	struct server_deferred *d = get(server, deferred);
	if (!d)
		return;
	struct copse_response rs;
	srv_advance(server, now);
	srv_response_init(server, &rs);
	rs.code = COPSE_CODE_SERVICE_UNAVAILABLE; /* no observation comes of it */
	rs.silent = true;
	struct server_ask ask = d->ask;
	release(server, d);
	srv_handled(server, &ask, &rs);
}
