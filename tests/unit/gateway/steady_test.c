/* In the steady state a forwarded request allocates nothing: the linker puts the counters below between the code and the
 * C library (-Wl,--wrap).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <copse/mem.h>
#include <copse/message.h>

#include "gateway/worker.h"
#include "make_keys.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static unsigned allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	allocations++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	allocations++;
	return __real_realloc(p, n);
}

/* The peers: a client on transport 0, a device on transport 1. */
static const struct copse_peer client = {.len = 1, .group = GW_GROUP_CLIENTS, .key = {'c'}};
static const struct copse_peer device = {.len = 1, .group = GW_GROUP_MESH, .key = {'d'}};

static struct gw_worker *worker;
static struct copse_endpoint *ep;
static copse_ms now = 1000;

static int mesh_peer(void *self, const struct copse_address *address, bool secure, bool stream,
		     struct copse_peer *peer)
{
	(void)self;
	(void)secure;
	(void)stream;
	(void)address;
	*peer = device;
	return 0;
}

static void local(void *self, const struct copse_peer *peer, struct copse_address *address)
{
	(void)self;
	(void)peer;
	assert_int_equal(copse_address_parse("127.0.0.1:5683", 0, address), 0);
}

static int64_t wall(void *self)
{
	(void)self;
	return 1700000000;
}

static struct copse_builder b;
static uint8_t in[2048], out[2048];

/* Hand in what has been built, from `from`. */
static void receive(const struct copse_peer *from)
{
	struct copse_event event;
	int n = copse_build_finish(&b);

	assert_true(n > 0);
	copse_endpoint_receive(ep, from, in, (size_t)n, now);
	while (copse_endpoint_next_event(ep, &event))
		gw_worker_event(worker, &event, now);
}

/* Take the next datagram, which goes to `to`, apart. */
static void transmit(const struct copse_peer *to, struct copse_message *m)
{
	struct copse_peer peer;
	int n = copse_endpoint_transmit(ep, out, sizeof(out), &peer, now);

	assert_true(n > 0);
	assert_true(copse_peer_equal(&peer, to));
	assert_int_equal(copse_message_parse(m, out, (size_t)n), 0);
}

static void open_session(void)
{
	static char token[TOKEN_MAX];
	struct copse_message m;

	copse_build_message(&b, in, sizeof(in), COPSE_CON, COPSE_CODE_POST, 65000, "s", 1);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "sessions", 8);
	copse_build_option(&b, COPSE_OPTION_URI_QUERY, "security=none", 13);
	make_token("HS256", SECRET, NULL, NULL, "{\"sub\":\"a\"}", token);
	copse_build_payload(&b, token, strlen(token));
	receive(&client);
	transmit(&client, &m);
	assert_int_equal(m.code, COPSE_CODE_CREATED);
}

/* Request, acknowledgement, request to the device, its answer, answer to the client, acknowledgement. */
static void forward_one(uint16_t id)
{
	struct copse_message m;
	char uri[64];
	int uri_len = snprintf(uri, sizeof(uri), "coap://d/temperature?n=%u", id);

	copse_build_message(&b, in, sizeof(in), COPSE_CON, COPSE_CODE_GET, id, "tok", 3);
	copse_build_option(&b, COPSE_OPTION_PROXY_URI, uri, (size_t)uri_len);
	receive(&client);
	transmit(&client, &m);
	assert_int_equal(m.type, COPSE_ACK);
	transmit(&device, &m);
	copse_build_message(&b, in, sizeof(in), COPSE_ACK, COPSE_CODE_CONTENT, m.id, copse_message_token(&m),
			    m.token_len);
	copse_build_payload(&b, "21.5", 4);
	receive(&device);
	transmit(&client, &m);
	assert_int_equal(m.code, COPSE_CODE_CONTENT);
	assert_int_equal(m.payload_len, 4);
	copse_build_message(&b, in, sizeof(in), COPSE_ACK, COPSE_CODE_EMPTY, m.id, "", 0);
	receive(&client);
	now += 10;
}

/* Answered from the cache. */
static void ask_again(uint16_t id)
{
	struct copse_message m;

	copse_build_message(&b, in, sizeof(in), COPSE_CON, COPSE_CODE_GET, id, "tok", 3);
	copse_build_option(&b, COPSE_OPTION_PROXY_URI, "coap://d/temperature?n=999", 26);
	receive(&client);
	transmit(&client, &m);
	assert_int_equal(m.type, COPSE_ACK);
	assert_int_equal(m.code, COPSE_CODE_CONTENT);
	now += 10;
}

static struct gw_config *read_config(void)
{
	char folder[256], path[512], why[GW_CONFIG_WHY];

	make_folder(folder);
	make_file(folder, "g.conf",
		  "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
		  "cache {\n entries = 100\n}\n" /* of which 900 are evicted */
		  "device \"d\" {\n address = \"127.0.0.1\"\n}\n",
		  path);
	struct gw_config *config = gw_config_read(path, why);
	remove_folder(folder);
	assert_non_null(config);
	return config;
}

static void test_steady_state(void **state)
{
	static const struct gw_surroundings around = {.mesh_peer = mesh_peer, .local = local, .wall = wall};
	struct gw_config *config = read_config();
	struct copse_config ep_config = {.seed = {1, 2}};
	const struct gw_counters *counters;
	struct gw_usage usage;

	(void)state;
	gw_worker_endpoint_config(config, 1, 0, &ep_config);
	size_t len = copse_endpoint_bytes(&ep_config);
	void *memory = copse_mem_new(len, 1);
	ep = copse_endpoint_init(memory, len, &ep_config, now);
	worker = gw_worker_new(config, &around, ep, now);
	assert_non_null(worker);
	assert_true(allocations > 0); /* the counters count */
	open_session();
	allocations = 0;
	for (uint16_t i = 0; i < 1000; i++)
		forward_one(i);
	assert_int_equal(allocations, 0);
	for (uint16_t i = 0; i < 1000; i++)
		ask_again((uint16_t)(2000 + i));
	assert_int_equal(allocations, 0);
	counters = gw_worker_counters(worker);
	assert_int_equal(counters->forwarded, 1000);
	assert_int_equal(counters->cache_hits, 1000);
	assert_int_equal(counters->answers_delivered, 1000);
	gw_worker_usage(worker, &usage);
	assert_int_equal(usage.requests, 0);
	gw_worker_free(worker);
	copse_mem_free(memory);
	gw_config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_steady_state)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
