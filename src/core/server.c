/* The server: memory, events, time. See server.h for the contract, server_state.h for the parts.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "carve.h"
#include "server_state.h"

#include <string.h>

/* Where everything begins. */
struct areas {
	uint8_t *out, *scratch, *buffers, *requests, *request, *note;
	struct server_node *node;
	struct server_deferred *deferred;
	struct transfer *transfer;
	struct core_timer **timer;
	struct server_view *view;
	struct server_observer *observer;
	struct visitor *visitor;
	struct core_slot *segments, *transfer_keys, *view_keys, *visitor_keys;
	uint32_t *tokens, *ids;
};

static struct core_slot *carve_table(struct core_carver *c, uint32_t cap)
{
	return core_carve(c, core_table_slots(cap), sizeof(struct core_slot));
}

/* One bucket for each observer, or up to two. */
static uint32_t buckets_for(uint32_t cap)
{
	uint32_t buckets = 1;
	while (buckets < cap)
		buckets += buckets;
	return buckets;
}

static void lay_out(struct areas *a, const struct copse_server_config *c, struct core_carver *cut)
{
	a->node = core_carve(cut, SRV_NODES_OF(c), sizeof *a->node);
	a->segments = carve_table(cut, SRV_NODES_OF(c));
	a->out = core_carve(cut, c->message_len, 1);
	a->scratch = core_carve(cut, c->scratch_len, 1);
	a->deferred = core_carve(cut, c->deferred_cap, sizeof *a->deferred);
	a->transfer = core_carve(cut, c->transfer_cap, sizeof *a->transfer);
	a->transfer_keys = carve_table(cut, c->transfer_cap);
	a->buffers = core_carve(cut, (size_t)c->transfer_cap * c->collect_len, 1);
	a->timer = core_carve(cut, (size_t)c->view_cap + c->transfer_cap + 1, sizeof *a->timer);
	a->view = core_carve(cut, c->view_cap, sizeof *a->view);
	a->view_keys = carve_table(cut, c->view_cap);
	a->requests = core_carve(cut, (size_t)c->view_cap * c->view_len, 1);
	a->request = core_carve(cut, c->view_len, 1);
	a->note = core_carve(cut, c->view_cap ? c->message_len : 0, 1);
	a->observer = core_carve(cut, c->observer_cap, sizeof *a->observer);
	a->tokens = core_carve(cut, buckets_for(c->observer_cap), sizeof *a->tokens);
	a->ids = core_carve(cut, buckets_for(c->observer_cap), sizeof *a->ids);
	a->visitor = core_carve(cut, c->verified_cap, sizeof *a->visitor);
	a->visitor_keys = carve_table(cut, c->verified_cap);
}

size_t copse_server_bytes(const struct copse_server_config *config)
{
	struct areas unused;
	struct core_carver cut = {NULL, 0};
	core_carve(&cut, 1, sizeof(struct copse_server));
	lay_out(&unused, config, &cut);
	return cut.used;
}

static void take_areas(struct copse_server *s, const struct areas *a)
{
	const struct copse_server_config *c = &s->config;
	s->node = a->node;
	s->out = a->out;
	s->scratch = a->scratch;
	s->deferred = a->deferred;
	s->transfer = a->transfer;
	s->timers.timer = a->timer;
	s->timers.cap = (uint32_t)c->view_cap + c->transfer_cap;
	s->view = a->view;
	s->request = a->request;
	s->note = a->note;
	s->observer = a->observer;
	s->tokens = (struct server_chains){a->tokens, buckets_for(c->observer_cap) - 1};
	s->ids = (struct server_chains){a->ids, buckets_for(c->observer_cap) - 1};
	s->visitor = a->visitor;
	core_table_init(&s->segments, a->segments, core_table_slots(SRV_NODES_OF(c)));
	core_table_init(&s->transfer_keys, a->transfer_keys, core_table_slots(c->transfer_cap));
	core_table_init(&s->view_keys, a->view_keys, core_table_slots(c->view_cap));
	core_table_init(&s->visitor_keys, a->visitor_keys, core_table_slots(c->verified_cap));
}

/* The critical options that requests may have beyond Uri-* and Accept. */
static const uint16_t understood[] = {COPSE_OPTION_IF_MATCH, COPSE_OPTION_IF_NONE_MATCH,
				      COPSE_OPTION_BLOCK1,   COPSE_OPTION_BLOCK2,
				      COPSE_OPTION_Q_BLOCK1, COPSE_OPTION_Q_BLOCK2};

struct copse_server *copse_server_init(void *memory, size_t len, const struct copse_server_config *config,
				       struct copse_endpoint *ep, copse_ms now)
{
	COPSE_ASSERT(len >= copse_server_bytes(config) && ((uintptr_t)memory & 7) == 0);
	COPSE_ASSERT(config->message_len >= 64 && config->szx <= COPSE_BLOCK_SZX_MAX);
	COPSE_ASSERT(config->max_payloads >= 1 && config->max_payloads <= 32);
	struct copse_server *s = memory;
	memset(s, 0, sizeof *s);
	struct core_carver cut = {memory, 0};
	struct areas areas;
	core_carve(&cut, 1, sizeof *s);
	lay_out(&areas, config, &cut);
	s->config = *config;
	take_areas(s, &areas);
	s->ep = ep;
	s->now = s->began = now;
	srv_tree_init(s);
	srv_deferred_init(s);
	srv_transfer_init(s, areas.buffers);
	srv_view_init(s, areas.requests);
	srv_observe_init(s);
	srv_echo_init(s);
	copse_endpoint_understands(ep, understood, sizeof understood / sizeof *understood);
	const int err = copse_server_add(s, &srv_discovery);
	COPSE_ASSERT(err == 0);
	return s;
}

void copse_server_remove(struct copse_server *server, const struct copse_resource *resource, copse_ms now)
{
	struct server_node *n = srv_tree_of(server, resource);
	if (!n)
		return;
	srv_advance(server, now);
	srv_observe_remove(server, n);
	srv_transfer_remove_resource(server, resource);
	srv_tree_remove(server, n);
}

void copse_server_end(struct copse_server *server)
{
	srv_transfer_remove_resource(server, NULL);
}

void srv_advance(struct copse_server *s, copse_ms now)
{
	COPSE_ASSERT(now >= s->now);
	s->now = now;
}

int copse_server_take(struct copse_server *server, const struct copse_event *event, copse_ms now)
{
	bool mine = false;
	COPSE_ASSERT(!server->answering);
	srv_advance(server, now);
	switch (event->kind) {
	case COPSE_EVENT_REQUEST:
		srv_dispatch(server, event);
		mine = true;
		break;
	case COPSE_EVENT_ACKED:
	case COPSE_EVENT_FAILED: mine = srv_observe_ended(server, event); break;
	case COPSE_EVENT_RESET: mine = srv_observe_reset(server, event); break;
	default: break;
	}
	if (mine)
		srv_observe_pump(server);
	return mine ? 0 : COPSE_ERR_UNMATCHED;
}

static copse_ms earlier(copse_ms a, copse_ms b)
{
	return a < b ? a : b;
}

copse_ms copse_server_deadline(const struct copse_server *server)
{
	const struct core_timer *t = core_heap_first(&server->timers);
	const copse_ms at = earlier(srv_observe_deadline(server), srv_transfer_deadline(server));
	return t ? earlier(at, t->at) : at;
}

static void timer_due(struct copse_server *s, struct core_timer *t)
{
	const uintptr_t first = (uintptr_t)s->view, at = (uintptr_t)t;
	if (at >= first && at < first + s->config.view_cap * sizeof *s->view)
		srv_observe_timer(s, t);
	else
		srv_qblock_due(s, CORE_OF(t, struct transfer, timer));
}

void copse_server_expire(struct copse_server *server, copse_ms now)
{
	struct core_timer *t;
	COPSE_ASSERT(!server->answering);
	srv_advance(server, now);
	while ((t = core_heap_first(&server->timers)) != NULL && t->at <= now)
		timer_due(server, t);
	srv_transfer_expire(server);
	srv_observe_pump(server);
}

struct copse_endpoint *copse_server_endpoint(const struct copse_server *server)
{
	return server->ep;
}

const struct copse_server_counters *copse_server_counters(const struct copse_server *server)
{
	return &server->counters;
}
