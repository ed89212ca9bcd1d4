/* lossy-relay: stands between two UDP peers and loses, doubles, swaps and delays what passes.
 *
 *	lossy-relay --listen 127.0.0.1:0 --to 127.0.0.1:5683 --loss 0.1 --seed 7
 *
 * Each client gets a socket of its own towards the server, so that the server tells clients apart as it would without
 * the relay. What happens to a datagram depends on the seed, the client (by order of appearance), the direction and
 * its number in that direction, and on nothing else: neither on the time nor on what other clients do.
 * On SIGTERM and SIGINT everything that has come is passed on, at once what is held back, and counters are printed.
 * Bounds: CLIENTS_MAX clients, whose peers beyond are dropped and counted; PENDING_MAX datagrams held back at a time,
 * beyond which they are dropped and counted.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/loop.h>
#include <copse/mem.h>
#include <copse/udp.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS_MAX 1024
#define PENDING_MAX 65536
#define BATCH       16
#define SIZE        65536
#define HOLD_MS     200 /* one that is to be swapped waits so long for a successor */

struct relay;

/* One direction of one client's traffic. */
struct flow {
	struct relay *relay;
	struct copse_transport *out;
	struct copse_peer to;
	uint64_t key;      /* of its random numbers */
	uint64_t n;        /* datagrams so far */
	struct held *swap; /* goes behind the next one */
};

/* A datagram on its way. */
struct held {
	struct copse_timer timer;
	struct held *next, *prev; /* all that are, oldest first */
	struct flow *flow;
	size_t len;
	uint8_t data[];
};

struct client {
	struct relay *relay;
	struct copse_peer peer;
	struct copse_transport *upstream;
	struct copse_watch watch;
	struct flow there, back;
};

struct options {
	struct copse_address listen, to;
	double loss, duplicate, reorder;
	copse_ms delay;
	uint64_t seed;
};

struct counts {
	unsigned long passed, lost, duplicated, reordered, refused, unreachable;
};

struct relay {
	struct options options;
	struct copse_loop *loop;
	struct copse_transport *listen;
	struct copse_watch watch;
	struct client *clients[CLIENTS_MAX];
	size_t client_n, pending;
	struct held *oldest, *newest;
	struct counts counts;
	struct copse_datagram batch[BATCH];
	uint8_t *bytes; /* of the batch */
};

/* ---- chance ---- */

/* splitmix64: a good hash of consecutive numbers. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Whether what has probability `p` happens to datagram `n` of the flow with `key`; `what` tells the questions apart. */
static bool happens(const struct flow *f, uint64_t what, double p)
{
	return (double)(mix(mix(f->key ^ what) ^ f->n) >> 11) * 0x1p-53 < p;
}

/* ---- passing on ---- */

static void send_now(struct flow *f, uint8_t *data, size_t len)
{
	struct copse_datagram d = {.peer = f->to, .data = data, .len = (uint32_t)len};
	struct copse_datagram *list = &d;

	if (copse_transport_send(f->out, &list, 1, 0) == 1 && !(d.flags & COPSE_DATAGRAM_DROPPED))
		f->relay->counts.passed++;
	else
		f->relay->counts.refused++;
}

static void release(struct held *h)
{
	struct relay *r = h->flow->relay;

	copse_loop_clear(r->loop, &h->timer);
	*(h->prev ? &h->prev->next : &r->oldest) = h->next;
	*(h->next ? &h->next->prev : &r->newest) = h->prev;
	r->pending--;
	send_now(h->flow, h->data, h->len);
	copse_mem_free(h);
}

static void due(void *self, copse_ms now)
{
	struct held *h = self;

	(void)now;
	if (h->flow->swap == h)
		h->flow->swap = NULL;
	release(h);
}

static struct held *hold(struct flow *f, const uint8_t *data, size_t len, copse_ms ms)
{
	struct relay *r = f->relay;
	struct held *h = r->pending < PENDING_MAX ? copse_mem_new(1, sizeof *h + len) : NULL;

	if (!h) {
		r->counts.refused++;
		return NULL;
	}
	r->pending++;
	h->prev = r->newest;
	*(h->prev ? &h->prev->next : &r->oldest) = h;
	r->newest = h;
	h->flow = f;
	h->len = len;
	memcpy(h->data, data, len);
	h->timer = (struct copse_timer){.due = due, .self = h};
	copse_loop_set(r->loop, &h->timer, copse_loop_now(r->loop) + ms);
	return h;
}

static void pass(struct flow *f, uint8_t *data, size_t len)
{
	if (f->relay->options.delay)
		hold(f, data, len, f->relay->options.delay);
	else
		send_now(f, data, len);
}

/* The one that waited to be swapped goes behind the one that has just passed; a delay that the latter met, it meets
 * too. */
static void pass_swapped(struct flow *f)
{
	struct held *h = f->swap;

	if (!h)
		return;
	f->swap = NULL;
	f->relay->counts.reordered++;
	if (f->relay->options.delay)
		copse_loop_set(f->relay->loop, &h->timer,
			       copse_loop_now(f->relay->loop) + f->relay->options.delay + 1);
	else
		release(h);
}

static void relay_datagram(struct flow *f, uint8_t *data, size_t len)
{
	const struct options *o = &f->relay->options;

	f->n++;
	if (happens(f, 1, o->loss)) {
		f->relay->counts.lost++;
		return;
	}
	if (!f->swap && happens(f, 2, o->reorder)) {
		f->swap = hold(f, data, len, o->delay + HOLD_MS);
		return;
	}
	pass(f, data, len);
	if (happens(f, 3, o->duplicate)) {
		f->relay->counts.duplicated++;
		pass(f, data, len);
	}
	pass_swapped(f);
}

/* ---- clients ---- */

static void upstream_ready(void *self, unsigned events, copse_ms now)
{
	struct client *c = self;
	struct relay *r = c->relay;
	struct copse_peer peer;
	size_t n = copse_transport_receive(c->upstream, r->batch, BATCH, now);

	(void)events;
	for (size_t i = 0; i < n; i++)
		relay_datagram(&c->back, r->batch[i].data, r->batch[i].len);
	while (copse_transport_failure(c->upstream, &peer))
		r->counts.unreachable++;
}

static bool connect_client(struct relay *r, struct client *c)
{
	struct copse_udp_config config = {.receive_buffer = 1u << 20, .paths = 4};
	char why[160];
	bool v4 = r->options.to.sa.sa_family == AF_INET;

	copse_address_parse(v4 ? "0.0.0.0:0" : "[::]:0", 0, &config.bind);
	if (copse_udp_open(&config, &c->upstream, why, sizeof why) != COPSE_OK) {
		fprintf(stderr, "lossy-relay: %s\n", why);
		return false;
	}
	c->upstream->id = (uint16_t)(r->client_n + 2);
	c->watch = (struct copse_watch){
	    .fd = c->upstream->fd, .events = COPSE_LOOP_IN, .ready = upstream_ready, .self = c};
	return copse_transport_peer(c->upstream, &r->options.to, &c->there.to) == COPSE_OK &&
	       copse_loop_add(r->loop, &c->watch) == COPSE_OK;
}

static struct client *new_client(struct relay *r, const struct copse_peer *peer)
{
	struct client *c = r->client_n < CLIENTS_MAX ? copse_mem_new(1, sizeof *c) : NULL;

	if (!c)
		return NULL;
	c->relay = c->there.relay = c->back.relay = r;
	c->peer = c->back.to = *peer;
	c->there.key = mix(r->options.seed * 2 + 1) ^ (r->client_n * 2);
	c->back.key = mix(r->options.seed * 2 + 1) ^ (r->client_n * 2 + 1);
	if (!connect_client(r, c)) {
		copse_transport_close(c->upstream);
		copse_mem_free(c);
		return NULL;
	}
	c->there.out = c->upstream;
	c->back.out = r->listen;
	return r->clients[r->client_n++] = c;
}

static struct client *client_of(struct relay *r, const struct copse_peer *peer)
{
	for (size_t i = 0; i < r->client_n; i++) {
		if (copse_peer_equal(&r->clients[i]->peer, peer))
			return r->clients[i];
	}
	return new_client(r, peer);
}

static void listen_ready(void *self, unsigned events, copse_ms now)
{
	struct relay *r = self;
	struct copse_peer peer;
	size_t n = copse_transport_receive(r->listen, r->batch, BATCH, now);

	(void)events;
	for (size_t i = 0; i < n; i++) {
		struct client *c = client_of(r, &r->batch[i].peer);

		if (c)
			relay_datagram(&c->there, r->batch[i].data, r->batch[i].len);
		else
			r->counts.refused++;
	}
	while (copse_transport_failure(r->listen, &peer))
		r->counts.unreachable++;
}

/* ---- the program ---- */

static void usage(void)
{
	fputs(
	    "usage: lossy-relay --listen ADDR:PORT --to ADDR:PORT [--loss P] [--duplicate P] [--reorder P]\n"
	    "                   [--delay MS] [--seed N]\n"
	    "P: probability, as 0.1 or 10%\n",
	    stderr);
	exit(1);
}

static double probability(const char *text)
{
	char *end;
	double p = strtod(text, &end);

	if (strcmp(end, "%") == 0) {
		p /= 100;
		end++;
	}
	if (end == text || *end || !(p >= 0 && p <= 1)) {
		fprintf(stderr, "lossy-relay: \"%s\" is not a probability\n", text);
		usage();
	}
	return p;
}

static uint64_t whole(const char *text, uint64_t max)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (end == text || *end || *text == '-' || n > max) {
		fprintf(stderr, "lossy-relay: \"%s\" is not a number up to %llu\n", text,
			(unsigned long long)max);
		usage();
	}
	return n;
}

static struct copse_address peer_address(const char *text)
{
	struct copse_address a;

	if (copse_address_parse(text, COPSE_PORT, &a) != COPSE_OK) {
		fprintf(stderr, "lossy-relay: \"%s\" is not an address\n", text);
		usage();
	}
	return a;
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
	    {"listen", 1, NULL, 'l'},    {"to", 1, NULL, 't'},      {"loss", 1, NULL, 'L'},
	    {"duplicate", 1, NULL, 'd'}, {"reorder", 1, NULL, 'r'}, {"delay", 1, NULL, 'D'},
	    {"seed", 1, NULL, 's'},      {NULL, 0, NULL, 0},
	};
	struct options o = {.seed = 1};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'l': o.listen = peer_address(optarg); break;
		case 't': o.to = peer_address(optarg); break;
		case 'L': o.loss = probability(optarg); break;
		case 'd': o.duplicate = probability(optarg); break;
		case 'r': o.reorder = probability(optarg); break;
		case 'D': o.delay = whole(optarg, 600000); break;
		case 's': o.seed = whole(optarg, UINT64_MAX); break;
		default: usage();
		}
	}
	if (optind != argc || !o.listen.len || !o.to.len)
		usage();
	return o;
}

static void caught(void *self, int signal)
{
	(void)signal;
	copse_loop_stop(self);
}

static bool open_relay(struct relay *r)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	struct copse_udp_config config = {.bind = r->options.listen};
	char why[160] = "no memory";

	r->bytes = copse_mem_new(BATCH, SIZE);
	r->loop = copse_loop_new();
	if (!r->bytes || !r->loop || copse_udp_open(&config, &r->listen, why, sizeof why) != COPSE_OK) {
		fprintf(stderr, "lossy-relay: %s\n", why);
		return false;
	}
	for (size_t i = 0; i < BATCH; i++)
		r->batch[i] = (struct copse_datagram){.data = r->bytes + i * SIZE, .cap = SIZE};
	r->listen->id = 1;
	r->watch = (struct copse_watch){
	    .fd = r->listen->fd, .events = COPSE_LOOP_IN, .ready = listen_ready, .self = r};
	return copse_loop_signals(r->loop, signals, caught, r->loop) == COPSE_OK &&
	       copse_loop_add(r->loop, &r->watch) == COPSE_OK;
}

/* Everything that has come goes out, without waiting. */
static void finish(struct relay *r)
{
	size_t before;

	do {
		before = r->listen->counters.received;
		listen_ready(r, 0, copse_loop_now(r->loop));
	} while (r->listen->counters.received > before);
	for (size_t i = 0; i < r->client_n; i++) {
		struct copse_transport *t = r->clients[i]->upstream;

		do {
			before = t->counters.received;
			upstream_ready(r->clients[i], 0, copse_loop_now(r->loop));
		} while (t->counters.received > before);
	}
	while (r->oldest)
		release(r->oldest);
}

static void close_relay(struct relay *r)
{
	for (size_t i = 0; i < r->client_n; i++) {
		copse_transport_close(r->clients[i]->upstream);
		copse_mem_free(r->clients[i]);
	}
	copse_transport_close(r->listen);
	copse_loop_free(r->loop);
	copse_mem_free(r->bytes);
}

int main(int argc, char **argv)
{
	static struct relay r;
	char text[COPSE_ADDRESS_TEXT];
	struct copse_address here;
	bool ok;

	r.options = parse(argc, argv);
	ok = open_relay(&r);
	if (ok) {
		copse_transport_local(r.listen, NULL, &here);
		printf("listening %s\n", copse_address_text(&here, text, sizeof text));
		fflush(stdout);
		copse_loop_run(r.loop);
		finish(&r);
		printf("passed %lu\nlost %lu\nduplicated %lu\nreordered %lu\nrefused %lu\nunreachable "
		       "%lu\nclients %zu\n",
		       r.counts.passed, r.counts.lost, r.counts.duplicated, r.counts.reordered,
		       r.counts.refused, r.counts.unreachable, r.client_n);
	}
	close_relay(&r);
	return ok ? 0 : 1;
}
