/* The client of this library against its server, over bad links: bodies both ways, observations of large states, a
 * challenge, a group of servers.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim.h"

#include <copse/client.h>
#include <copse/server.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HUNDRED_K 100000u
#define CAP       120000u
#define SERVERS   5

struct serving {
	struct copse_server *server;
	void *memory;
	struct sim_node *node;
	uint8_t stored[CAP];
	uint32_t stored_len;
	uint8_t incoming[CAP];
	uint8_t version;
	unsigned uploads;
};

struct world {
	struct sim sim;
	struct sim_node *node;
	struct copse_client *client;
	void *memory;
	copse_handle handle;
	struct copse_call call;
	struct copse_peer peer;
	uint8_t options[64];
	struct serving serving[SERVERS];
	unsigned server_n;

	uint8_t body[CAP];
	uint32_t body_len;
	uint8_t got[CAP];
	uint32_t got_len;
	unsigned responses, failures, notifications;
	unsigned answered[SERVERS + 1];
	int error;
	uint8_t code;
};

static struct world *w;

/* ---- the servers ---- */

static struct serving *serving_of(const struct copse_request *rq)
{
	for (unsigned i = 0; i < w->server_n; i++) {
		if (w->serving[i].server == rq->server)
			return &w->serving[i];
	}
	fail();
	return NULL;
}

static int read_stored(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	struct serving *s = user;
	size_t n = offset < s->stored_len ? s->stored_len - offset : 0;

	n = n < cap ? n : cap;
	memcpy(buf, s->stored + offset, n);
	return (int)n;
}

static void get_store(const struct copse_request *rq, struct copse_response *rs)
{
	struct serving *s = serving_of(rq);

	copse_response_etag(rs, &s->version, 1);
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, s->stored_len, read_stored, NULL, s);
}

static void put_store(const struct copse_request *rq, struct copse_response *rs)
{
	struct serving *s = serving_of(rq);

	(void)rs;
	assert_true(rq->body_offset + rq->body_len <= CAP);
	memcpy(s->incoming + rq->body_offset, rq->body, rq->body_len);
	if (rq->body_more)
		return;
	s->stored_len = rq->body_offset + (uint32_t)rq->body_len;
	memcpy(s->stored, s->incoming, s->stored_len);
	s->version++;
	s->uploads++;
}

static const struct copse_resource resources[] = {
    {.path = "store", .get = get_store, .put = put_store, .flags = COPSE_RESOURCE_OBSERVABLE, .rt = "store"},
    {.path = "all", .get = get_store, .flags = COPSE_RESOURCE_MULTICAST, .rt = "store"}};

static void on_server(struct sim_node *node, const struct copse_event *e)
{
	struct serving *s = node->user;

	copse_server_take(s->server, e, node->sim->now);
}

static void add_server(const struct copse_server_config *config)
{
	struct serving *s = &w->serving[w->server_n];
	struct copse_config ec = sim_config(w->server_n + 77);
	struct copse_server_config sc = *config;

	ec.group[0].probing_rate = 0;
	sc.seed[0] = 11 + w->server_n++;
	s->node = sim_add(&w->sim, &ec, on_server, s);
	s->memory = malloc(copse_server_bytes(&sc));
	assert_non_null(s->memory);
	s->server = copse_server_init(s->memory, copse_server_bytes(&sc), &sc, s->node->ep, w->sim.now);
	assert_int_equal(copse_server_add_all(s->server, resources, 2), 0);
	for (uint32_t i = 0; i < CAP; i++)
		s->stored[i] = (uint8_t)(i * 11 + i / 31);
}

/* ---- the client ---- */

static int read_body(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	size_t n = offset < w->body_len ? w->body_len - offset : 0;

	(void)user;
	n = n < cap ? n : cap;
	memcpy(buf, w->body + offset, n);
	return (int)n;
}

static int write_body(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	(void)user;
	assert_true(offset + len <= CAP);
	memcpy(w->got + offset, bytes, len);
	return 0;
}

static void told(const struct copse_client_event *e)
{
	if (e->kind == COPSE_CLIENT_PROGRESS)
		return;
	w->responses += e->kind == COPSE_CLIENT_RESPONSE;
	w->failures += e->kind == COPSE_CLIENT_FAILED;
	w->notifications += e->kind == COPSE_CLIENT_NOTIFICATION;
	w->error = e->error;
	w->got_len = e->received;
	if (!e->message)
		return;
	w->code = e->message->code;
	if (w->call.flags & COPSE_CALL_MANY)
		w->answered[e->peer->key[1]]++;
}

static void on_client(struct sim_node *node, const struct copse_event *in)
{
	struct copse_client_event out;

	if (copse_client_take(w->client, in, node->sim->now, &out) > 0)
		told(&out);
}

static copse_ms sooner(copse_ms a, copse_ms b)
{
	return a < b ? a : b;
}

static copse_ms next_due(void)
{
	copse_ms due = sooner(copse_endpoint_deadline(w->node->ep), copse_client_deadline(w->client));

	for (unsigned i = 0; i < w->server_n; i++) {
		due = sooner(due, copse_endpoint_deadline(w->serving[i].node->ep));
		due = sooner(due, copse_server_deadline(w->serving[i].server));
	}
	if (w->sim.flights)
		due = sooner(due, w->sim.now + 5);
	return due;
}

static void run(copse_ms end)
{
	struct copse_client_event out;
	copse_ms due;

	do {
		sim_run(&w->sim, w->sim.now);
		while (copse_client_expire(w->client, w->sim.now, &out))
			told(&out);
		for (unsigned i = 0; i < w->server_n; i++)
			copse_server_expire(w->serving[i].server, w->sim.now);
		sim_run(&w->sim, w->sim.now);
		due = next_due();
		due = due <= w->sim.now ? w->sim.now + 1 : due;
		sim_run(&w->sim, sooner(due, end));
	} while (due < end);
}

static void begin(uint64_t seed, struct sim_link link, const struct copse_server_config *server,
		  unsigned servers)
{
	struct copse_client_config cc = COPSE_CLIENT_DEFAULT;
	struct copse_config ec = sim_config(seed);

	w = calloc(1, sizeof(*w));
	assert_non_null(w);
	cc.seed = seed * 0x9e3779b97f4a7c15u;
	sim_init(&w->sim, seed, link);
	ec.group[0].probing_rate = 0;
	w->node = sim_add(&w->sim, &ec, on_client, w);
	w->memory = malloc(copse_client_bytes(&cc));
	assert_non_null(w->memory);
	w->client = copse_client_init(w->memory, copse_client_bytes(&cc), &cc, w->node->ep);
	for (unsigned i = 0; i < servers; i++)
		add_server(server);
	for (uint32_t i = 0; i < CAP; i++)
		w->body[i] = (uint8_t)(i * 7 + i / 26);
}

static void end(void)
{
	sim_free(&w->sim);
	for (unsigned i = 0; i < w->server_n; i++)
		free(w->serving[i].memory);
	free(w->memory);
	free(w);
}

static struct copse_call *prepare(uint8_t code, const char *path, uint32_t len)
{
	struct copse_builder b;

	w->peer = sim_peer(w->serving[0].node->number);
	copse_build_rest(&b, w->options, sizeof(w->options));
	copse_build_option(&b, COPSE_OPTION_URI_PATH, path, strlen(path));
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	w->body_len = len;
	w->call = (struct copse_call){.peer = &w->peer,
				      .code = code,
				      .flags = COPSE_CALL_CON,
				      .szx = 6,
				      .options = w->options,
				      .options_len = (size_t)n,
				      .body_len = len,
				      .read = read_body,
				      .write = write_body};
	w->responses = w->failures = w->notifications = 0;
	return &w->call;
}

static void carry_out(void)
{
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, &w->handle), 0);
	for (int i = 0; i < 10000 && w->responses + w->failures == 0; i++)
		run(w->sim.now + 1000);
	assert_int_equal(w->failures, 0);
	assert_int_equal(w->responses, 1);
}

static const struct copse_server_config standard = COPSE_SERVER_DEFAULT;

/* 100 kB each way by blocks of 1024 over a link that loses one datagram in ten: two hundred times intact. */
static void bodies_over_a_lossy_link(void **state)
{
	struct sim_link link = {.loss = 0.1, .duplicate = 0.02, .reorder = 0.05, .delay_ms = 20};
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		begin(seed, link, &standard, 1);
		prepare(COPSE_CODE_PUT, "store", HUNDRED_K);
		carry_out();
		assert_int_equal(w->code, COPSE_CODE_CHANGED);
		assert_int_equal(w->serving[0].stored_len, HUNDRED_K);
		assert_memory_equal(w->serving[0].stored, w->body, HUNDRED_K);
		prepare(COPSE_CODE_GET, "store", 0);
		carry_out();
		assert_int_equal(w->code, COPSE_CODE_CONTENT);
		assert_int_equal(w->got_len, HUNDRED_K);
		assert_memory_equal(w->got, w->body, HUNDRED_K);
		end();
	}
}

static void every_block_size(void **state)
{
	(void)state;
	for (uint8_t szx = 0; szx <= 6; szx++) {
		struct copse_server_config config = standard;
		config.szx = 4;
		begin(szx + 1u, (struct sim_link){.delay_ms = 5}, &config, 1);
		prepare(COPSE_CODE_PUT, "store", 10000)->szx = szx;
		carry_out();
		assert_memory_equal(w->serving[0].stored, w->body, 10000);
		prepare(COPSE_CODE_GET, "store", 0)->szx = szx;
		w->call.early = true;
		carry_out();
		assert_int_equal(w->got_len, 10000);
		assert_memory_equal(w->got, w->body, 10000);
		end();
	}
}

static void a_large_state_that_changes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		begin(seed, (struct sim_link){.loss = 0.1, .reorder = 0.1, .delay_ms = 20}, &standard, 1);
		struct serving *s = &w->serving[0];
		s->stored_len = 5000;
		prepare(COPSE_CODE_GET, "store", 0)->flags |= COPSE_CALL_OBSERVE;
		assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, &w->handle), 0);
		run(w->sim.now + 100000);
		assert_true(w->notifications >= 1);
		for (uint8_t i = 0; i < 10; i++) {
			memset(s->stored, i, 5000);
			s->version++;
			copse_server_changed(s->server, &resources[0], NULL, w->sim.now);
			run(w->sim.now + 700); /* not always enough for the whole of it */
		}
		run(w->sim.now + 300000);
		assert_int_equal(w->failures + w->responses, 0);
		assert_int_equal(w->got_len, 5000);
		assert_memory_equal(w->got, s->stored, 5000);
		assert_int_equal(copse_client_stop(w->client, w->handle, w->sim.now), 0);
		run(w->sim.now + 200000);
		assert_int_equal(w->responses, 1);
		assert_int_equal(copse_server_observers(s->server, NULL), 0);
		end();
	}
}

/* RFC 9175 §2.4: the server does not answer more than three times what it got before it knows that we are there. */
static void a_server_that_wants_proof(void **state)
{
	struct copse_server_config config = standard;
	(void)state;
	config.amplification = 3;
	begin(1, (struct sim_link){.delay_ms = 5}, &config, 1);
	w->serving[0].stored_len = 20000;
	prepare(COPSE_CODE_GET, "store", 0);
	carry_out();
	assert_int_equal(w->code, COPSE_CODE_CONTENT);
	assert_int_equal(w->got_len, 20000);
	assert_memory_equal(w->got, w->serving[0].stored, 20000);
	assert_int_equal(copse_client_counters(w->client)->echoed, 1);
	end();
}

/* RFC 7252 §8: one request to a group, an answer from each member, and the end by time. */
static void a_group(void **state)
{
	(void)state;
	begin(1, (struct sim_link){.delay_ms = 5}, &standard, SERVERS);
	for (unsigned i = 0; i < SERVERS; i++)
		w->serving[i].stored_len = 10 + 500 * i; /* the last ones need more than one block */
	prepare(COPSE_CODE_GET, "all", 0)->flags = COPSE_CALL_MANY;
	w->peer = sim_group();
	w->call.write = NULL;
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, &w->handle), 0);
	run(w->sim.now + 20000);
	assert_int_equal(w->responses, SERVERS);
	for (unsigned i = 0; i < SERVERS; i++)
		assert_int_equal(w->answered[w->serving[i].node->number], 1);
	run(w->sim.now + COPSE_SECONDS(200));
	assert_int_equal(w->failures, 1);
	assert_int_equal(w->error, COPSE_ERR_TIMEOUT);
	assert_int_equal(copse_client_calls(w->client), 0);
	/* by blocks, and confirmable, nothing goes to a group */
	prepare(COPSE_CODE_PUT, "all", 5000)->flags = COPSE_CALL_MANY;
	w->peer = sim_group();
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, NULL), COPSE_ERR_ARGUMENT);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bodies_over_a_lossy_link),
	    cmocka_unit_test(every_block_size),
	    cmocka_unit_test(a_large_state_that_changes),
	    cmocka_unit_test(a_server_that_wants_proof),
	    cmocka_unit_test(a_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
