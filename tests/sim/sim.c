/* Simulated network; see sim.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct sim_flight {
	struct sim_flight *next;
	copse_ms at;
	uint64_t order;
	uint8_t from, to;
	bool multicast;
	size_t len;
	uint8_t bytes[];
};

#define GROUP_NUMBER 0xff

struct copse_peer sim_peer(uint8_t number)
{
	return (struct copse_peer){.len = 2, .key = {'n', number}};
}

struct copse_peer sim_group(void)
{
	struct copse_peer p = sim_peer(GROUP_NUMBER);
	p.flags = COPSE_PEER_MULTICAST;
	return p;
}

struct copse_config sim_config(uint64_t seed)
{
	return (struct copse_config){
	    .group = {COPSE_PARAMS_DEFAULT},
	    .group_n = 1,
	    .exchange_cap = 256,
	    .incoming_cap = 1024,
	    .peer_cap = 128,
	    .chunk_cap = 4096,
	    .reply_cap = 64,
	    .seed = {seed, seed ^ 0x5bd1e9955bd1e995u},
	};
}

double sim_random(struct sim *sim)
{
	/* splitmix64 */
	uint64_t z = (sim->random += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

void sim_init(struct sim *sim, uint64_t seed, struct sim_link link)
{
	*sim = (struct sim){.now = 1000, .link = link, .random = seed};
}

struct sim_node *sim_add(struct sim *sim, const struct copse_config *config, sim_handler *handler, void *user)
{
	COPSE_ASSERT(sim->node_n < SIM_NODES);
	struct sim_node *node = &sim->node[sim->node_n];
	const size_t len = copse_endpoint_bytes(config);
	*node =
	    (struct sim_node){.sim = sim, .handler = handler, .user = user, .number = (uint8_t)sim->node_n++};
	node->memory = malloc(len);
	COPSE_ASSERT(node->memory);
	memset(node->memory, 0xa5, len);
	node->ep = copse_endpoint_init(node->memory, len, config, sim->now);
	return node;
}

static void insert(struct sim *sim, struct sim_flight *f)
{
	struct sim_flight **at = &sim->flights;
	while (*at && ((*at)->at < f->at || ((*at)->at == f->at && (*at)->order < f->order)))
		at = &(*at)->next;
	f->next = *at;
	*at = f;
}

static void fly(struct sim *sim, const struct sim_node *from, uint8_t to, bool multicast, const void *bytes,
		size_t len)
{
	if (sim_random(sim) < sim->link.loss) {
		sim->lost++;
		return;
	}
	const int copies = sim_random(sim) < sim->link.duplicate ? 2 : 1;
	for (int i = 0; i < copies; i++) {
		struct sim_flight *f = malloc(sizeof *f + len);
		COPSE_ASSERT(f);
		copse_ms delay = sim->link.delay_ms;
		if (sim_random(sim) < sim->link.reorder)
			delay += (copse_ms)(sim_random(sim) * 4 * (double)sim->link.delay_ms);
		f->at = sim->now + delay;
		f->order = sim->order++;
		f->from = from->number;
		f->to = to;
		f->multicast = multicast;
		f->len = len;
		memcpy(f->bytes, bytes, len);
		insert(sim, f);
	}
}

static void drain(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct copse_event event;
	struct copse_peer peer;
	uint8_t buf[COPSE_DATAGRAM_MAX];
	int n;
	while (copse_endpoint_next_event(node->ep, &event))
		node->handler(node, &event);
	while ((n = copse_endpoint_transmit(node->ep, buf, sizeof buf, &peer, sim->now)) > 0) {
		sim->sent++;
		if (sim->tap && !sim->tap(sim, node, &peer, buf, (size_t)n)) {
			sim->lost++;
			continue;
		}
		if (peer.flags & COPSE_PEER_MULTICAST) {
			for (unsigned i = 0; i < sim->node_n; i++) {
				if (i != node->number)
					fly(sim, node, (uint8_t)i, true, buf, (size_t)n);
			}
		} else {
			fly(sim, node, peer.key[1], false, buf, (size_t)n);
		}
	}
}

int sim_inject(struct sim_node *node, const struct copse_peer *from, const void *bytes, size_t len)
{
	const int n = copse_endpoint_receive(node->ep, from, bytes, len, node->sim->now);
	drain(node);
	return n;
}

static void arrive(struct sim *sim)
{
	struct sim_flight *f = sim->flights;
	sim->flights = f->next;
	sim->now = f->at > sim->now ? f->at : sim->now;
	if (f->to < sim->node_n && !sim->node[f->to].dead) {
		struct copse_peer from = sim_peer(f->from);
		if (f->multicast)
			from.flags = COPSE_PEER_MULTICAST;
		sim->delivered++;
		/* A copy of exactly its size, so that a sanitizer sees every read beyond it. */
		uint8_t *copy = malloc(f->len ? f->len : 1);
		COPSE_ASSERT(copy);
		memcpy(copy, f->bytes, f->len);
		sim_inject(&sim->node[f->to], &from, copy, f->len);
		free(copy);
	}
	free(f);
}

void sim_run(struct sim *sim, copse_ms end)
{
	for (unsigned i = 0; i < sim->node_n; i++)
		drain(&sim->node[i]);
	for (;;) {
		struct sim_node *first = NULL;
		copse_ms due = COPSE_NEVER;
		for (unsigned i = 0; i < sim->node_n; i++) {
			const copse_ms d = copse_endpoint_deadline(sim->node[i].ep);
			if (d < due) {
				due = d;
				first = &sim->node[i];
			}
		}
		if (sim->flights && sim->flights->at <= due) {
			if (sim->flights->at > end)
				break;
			arrive(sim);
			continue;
		}
		if (due == COPSE_NEVER || due > end)
			break;
		sim->now = due > sim->now ? due : sim->now;
		copse_endpoint_expire(first->ep, sim->now);
		drain(first);
	}
	if (end != COPSE_NEVER && end > sim->now)
		sim->now = end;
}

void sim_free(struct sim *sim)
{
	for (unsigned i = 0; i < sim->node_n; i++)
		free(sim->node[i].memory);
	while (sim->flights) {
		struct sim_flight *f = sim->flights;
		sim->flights = f->next;
		free(f);
	}
}
