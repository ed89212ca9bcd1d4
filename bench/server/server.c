/* What a request costs a server that knows many peers: bench-server PEERS REQUESTS makes a server, has each of PEERS ask
 * once (they are remembered, and idle from then on), then answers REQUESTS requests of one of them. A profiler counts; the
 * difference between two counts of REQUESTS is the cost of a request, and the beginning falls out.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/server.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void temperature(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_text(rs, "22.5 C");
}

static const struct copse_resource resources[] = {
    {.path = "sensors/temperature", .get = temperature, .title = "Temperature"},
};

struct bench {
	struct copse_endpoint *ep;
	struct copse_server *server;
	copse_ms now;
	uint64_t answers;
};

static struct copse_peer peer_of(uint32_t n)
{
	struct copse_peer p = {.len = 22};
	memcpy(p.key + 12, &n, sizeof n);
	return p;
}

static void ask(struct bench *b, uint32_t from, uint16_t id)
{
	uint8_t request[64], out[256];
	struct copse_builder m;
	struct copse_event event;
	struct copse_peer peer = peer_of(from), to;
	copse_build_message(&m, request, sizeof request, COPSE_CON, COPSE_CODE_GET, id, "tokn", 4);
	copse_build_option(&m, COPSE_OPTION_URI_PATH, "sensors", 7);
	copse_build_option(&m, COPSE_OPTION_URI_PATH, "temperature", 11);
	const int n = copse_build_finish(&m);
	copse_endpoint_receive(b->ep, &peer, request, (size_t)n, b->now);
	while (copse_endpoint_next_event(b->ep, &event))
		copse_server_take(b->server, &event, b->now);
	while (copse_endpoint_transmit(b->ep, out, sizeof out, &to, b->now) > 0)
		b->answers++;
	(void)copse_endpoint_deadline(b->ep);
	(void)copse_server_deadline(b->server);
}

int main(int argc, char **argv)
{
	const uint32_t peers = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	const uint32_t requests = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	if (peers == 0 || argc != 3) {
		fprintf(stderr, "usage: bench-server PEERS REQUESTS\n");
		return 1;
	}
	const struct copse_config below = {.group = {COPSE_PARAMS_DEFAULT},
					   .group_n = 1,
					   .exchange_cap = 64,
					   .incoming_cap = 2 * peers + 4096,
					   .peer_cap = 64,
					   .chunk_cap = 2 * peers + 8192,
					   .reply_cap = 64,
					   .seed = {1, 2}};
	struct copse_server_config config = COPSE_SERVER_DEFAULT;
	config.seed[0] = 3;
	struct bench b = {.now = 1000};
	const size_t ep_len = copse_endpoint_bytes(&below), len = copse_server_bytes(&config);
	void *ep_memory = malloc(ep_len), *memory = malloc(len);
	if (!ep_memory || !memory)
		return 1;
	b.ep = copse_endpoint_init(ep_memory, ep_len, &below, b.now);
	b.server = copse_server_init(memory, len, &config, b.ep, b.now);
	copse_server_add_all(b.server, resources, 1);
	for (uint32_t i = 0; i < peers; i++)
		ask(&b, i, 1);
	for (uint32_t i = 0; i < requests; i++)
		ask(&b, peers / 2, (uint16_t)(2 + i));
	if (b.answers != (uint64_t)peers + requests)
		fprintf(stderr, "bench-server: %llu answers\n", (unsigned long long)b.answers);
	free(memory);
	free(ep_memory);
	return b.answers != (uint64_t)peers + requests;
}
