/* What is observed: one view for each resource and each form in which somebody asked for it (path, query, Accept, block
 * size ...), kept as the request that a peer would send. However many observe it, a notification is made once.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"
#include "siphash.h"

#include <string.h>

void srv_view_init(struct copse_server *s, uint8_t *requests)
{
	core_node_init(&s->free_views);
	core_node_init(&s->queue);
	for (uint32_t i = 0; i < s->config.view_cap; i++) {
		struct server_view *v = &s->view[i];
		memset(v, 0, sizeof *v);
		v->request = requests + (size_t)i * s->config.view_len;
		core_node_insert(&s->free_views, &v->node);
	}
}

/* The request as it is kept, in s->request: without what differs between messages that ask for the same.
 * Returns its length, or < 0 when it is too long. */
static int reduce(struct copse_server *s, const struct server_work *w)
{
	const struct copse_message *m = w->rq.message;
	struct copse_builder b;
	copse_build_message(&b, s->request, s->config.view_len, COPSE_NON, m->code, 0, NULL, 0);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		const bool kept = srv_is_cache_key(o->number) || o->number == COPSE_OPTION_CONTENT_FORMAT;
		if (!(o->mark & COPSE_OPTION_IGNORED) && kept)
			copse_build_raw(&b, o->number, copse_option_value(m, o), o->len);
	}
	copse_build_payload(&b, w->rq.body, w->rq.body_len); /* of a FETCH: RFC 8132 §2 */
	return copse_build_finish(&b);
}

/* What tells views apart beside the request in s->request. */
struct view_names {
	uint32_t place;
	int len;
	uint8_t szx, units;
};

static uint32_t hash_of(const struct copse_server *s, const struct view_names *n)
{
	return (uint32_t)core_siphash(s->config.seed, s->request, (size_t)n->len, 1, 3) +
	       n->place * 0x9e3779b1u + n->szx + n->units * 0x85ebca6bu;
}

static struct server_view *find(struct copse_server *s, uint32_t hash, const struct view_names *n)
{
	uint32_t pos = hash & s->view_keys.mask;
	uint32_t number;
	while ((number = core_table_next(&s->view_keys, hash, &pos)) != 0) {
		struct server_view *v = srv_view_get(s, number);
		if (v->place == n->place && v->szx == n->szx && v->units == n->units && v->len == n->len &&
		    memcmp(v->request, s->request, (size_t)n->len) == 0)
			return v;
	}
	return NULL;
}

static struct server_view *make(struct copse_server *s, uint32_t hash, const struct view_names *n)
{
	struct core_node *node = core_list_pop(&s->free_views);
	if (!node)
		return NULL;
	struct server_view *v = CORE_OF(node, struct server_view, node);
	core_node_init(&v->queue);
	core_node_init(&v->pending);
	core_node_init(&v->idle);
	core_node_init(&v->behind);
	core_node_init(&v->flight);
	v->hash = hash;
	v->place = (uint16_t)n->place;
	v->szx = n->szx;
	v->units = n->units;
	v->len = (uint16_t)n->len;
	v->last = 0;
	v->notified = false;
	v->fresh = false;
	v->observer_n = 0;
	memcpy(v->request, s->request, (size_t)n->len);
	core_table_insert(&s->view_keys, hash, srv_view_number(s, v));
	core_node_insert(&s->node[n->place - 1].views, &v->node);
	return v;
}

struct server_view *srv_view_for(struct copse_server *s, const struct server_work *w)
{
	const unsigned units = copse_peer_units(&w->ask.peer);
	const struct view_names names = {.place = w->place,
					 .len = reduce(s, w),
					 .szx = w->ask.has_block2 ? w->ask.block2.szx : SRV_NO_SZX,
					 .units = (uint8_t)(units > 1 ? units : 0)};
	if (names.len < 0)
		return NULL;
	const uint32_t hash = hash_of(s, &names);
	struct server_view *v = find(s, hash, &names);
	return v ? v : make(s, hash, &names);
}

void srv_view_unused(struct copse_server *s, struct server_view *v)
{
	if (v->observer_n > 0)
		return;
	core_table_remove(&s->view_keys, v->hash, srv_view_number(s, v));
	core_node_remove(&v->node);
	core_node_remove(&v->queue);
	core_heap_clear(&s->timers, &v->timer);
	core_node_insert(&s->free_views, &v->node);
	if (s->note_view == v)
		s->note_view = NULL;
}

/* What a peer would get that asked now, into s->note. Calls the handler. */
void srv_view_encode(struct copse_server *s, struct server_view *v)
{
	struct server_work w;
	struct copse_response rs;
	memset(&w, 0, sizeof w);
	const int err = copse_message_parse(&s->message, v->request, v->len);
	COPSE_ASSERT(err == 0); /* we built it */
	w.rq.server = s;
	w.rq.resource = w.ask.resource = s->node[v->place - 1].resource;
	w.rq.message = &s->message;
	w.rq.now = s->now;
	w.rq.method = w.ask.method = s->message.code;
	w.rq.purpose = COPSE_PURPOSE_NOTIFY;
	w.rq.format = copse_message_uint(&s->message, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_NONE);
	w.rq.body = copse_message_payload(&s->message);
	w.rq.body_len = s->message.payload_len;
	w.rq.body_size = COPSE_BODY_UNKNOWN;
	w.rq.transfer = &w.kept;
	w.ask.notification = true;
	w.view = v;
	w.ask.has_block2 = v->szx != SRV_NO_SZX;
	w.ask.block2.szx = v->szx;
	w.ask.peer.flags = (uint8_t)(v->units << COPSE_PEER_UNITS_SHIFT);
	(void)srv_check_accept(&w);
	v->fresh = true; /* unless the handler says that it has changed again */
	srv_response_init(s, &rs);
	srv_method_of(w.rq.resource, w.rq.method)(&w.rq, &rs);
	if (w.refused && rs.code == 0 && !rs.bytes && !rs.read)
		copse_response_error(&rs, COPSE_CODE_SERVICE_UNAVAILABLE, NULL);
	srv_view_note(s, v, &w.ask, &rs);
}

void srv_view_note(struct copse_server *s, struct server_view *v, struct server_ask *ask,
		   struct copse_response *rs)
{
	const int len = srv_encode(s, ask, rs);
	srv_response_release(rs);
	memcpy(s->note, s->out, (size_t)len);
	s->note_len = (uint16_t)len;
	s->note_code = rs->code;
	s->note_view = v;
	s->counters.encoded++;
	v->last = s->now;
	v->notified = true;
}

bool srv_view_has_path(const struct server_view *v, const char *path)
{
	struct copse_message m;
	return !path || (copse_message_parse(&m, v->request, v->len) == 0 && srv_path_is(&m, path));
}
