/* A network in virtual time: nodes with an endpoint each, joined by a link that loses, doubles, delays and reorders
 * datagrams as a seed says. Nothing waits: time jumps to whatever is due next.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef SIM_H
#define SIM_H

#include <copse/endpoint.h>

#include <stdio.h>

struct sim_link {
	double loss;      /* each datagram is lost with this probability */
	double duplicate; /* and arrives twice with this one */
	double reorder;   /* and is held back for up to four times the delay with this one */
	copse_ms delay_ms;
};

struct sim;
struct sim_node;

/* Called for each event of a node's endpoint. */
typedef void sim_handler(struct sim_node *node, const struct copse_event *event);

/* Sees each datagram as it is sent; returns false to have it lost. */
typedef bool sim_tap(struct sim *sim, const struct sim_node *from, const struct copse_peer *to,
		     const uint8_t *bytes, size_t len);

struct sim_node {
	struct sim *sim;
	struct copse_endpoint *ep;
	void *memory;
	sim_handler *handler;
	void *user;
	uint8_t number; /* its address: sim_peer(number) */
	bool dead;      /* receives nothing */
};

#define SIM_NODES 64

struct sim {
	copse_ms now;
	struct sim_link link;
	sim_tap *tap;
	void *user;
	uint64_t random;
	struct sim_node node[SIM_NODES];
	unsigned node_n;
	struct sim_flight *flights; /* by arrival */
	uint64_t sent, lost, delivered;
	uint64_t order;
};

/* Node `number` as a peer; group 0. */
struct copse_peer sim_peer(uint8_t number);

/* The group of all nodes. */
struct copse_peer sim_group(void);

/* Bounds that suffice for most tests, with the default parameters. */
struct copse_config sim_config(uint64_t seed);

void sim_init(struct sim *sim, uint64_t seed, struct sim_link link);
struct sim_node *sim_add(struct sim *sim, const struct copse_config *config, sim_handler *handler,
			 void *user);

/* Hand a datagram to a node as if `from` had sent it, now, past the link. */
int sim_inject(struct sim_node *node, const struct copse_peer *from, const void *bytes, size_t len);

/* Run until nothing is due any more, or until `end`. */
void sim_run(struct sim *sim, copse_ms end);

/* Uniform in [0, 1). */
double sim_random(struct sim *sim);

void sim_free(struct sim *sim);

#endif
