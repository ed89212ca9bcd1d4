/* See world.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/collector_state.h"
#include "gateway/worker_state.h"
#include "world.h"

struct sim sim;
struct gw_worker *worker;
struct gw_config *config;
struct device device[NODES];
struct client client[NODES];
unsigned to_devices;
static char token[TOKEN_MAX];

const char world_default[] = "name = \"gw\"\n"
			     "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
			     "sessions {\n max = 4\n per_account = 2\n requests = 3\n idle = 2000\n}\n"
			     "mesh {\n response_timeout = 60\n}\n"
			     "proxy {\n requests = 8\n max_message = 1400\n outside = {\"127.9.0.0/16\"}\n}\n"
			     "class \"default\" {\n concurrent = 16\n cache = off\n}\n"
			     "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
			     "device \"d2\" {\n address = \"127.0.0.4\"\n uri_host = \"second\"\n}\n"
			     "device \"gone\" {\n address = \"127.0.0.99\"\n}\n"
			     "device \"denied\" {\n address = \"127.0.0.3\"\n deny = true\n}\n";

/* --- surroundings: 127.0.0.N is node N --- */

static int mesh_peer(void *self, const struct copse_address *address, bool secure, bool stream,
		     struct copse_peer *peer)
{
	(void)self;
	(void)secure;
	(void)stream;
	if (address->sa.sa_family != AF_INET)
		return COPSE_ERR_ARGUMENT;
	*peer = copse_address_is_group(address)
		    ? sim_group()
		    : sim_peer((uint8_t)(ntohl(address->in.sin_addr.s_addr) & 0xff));
	return 0;
}

static void local(void *self, const struct copse_peer *peer, struct copse_address *address)
{
	(void)self;
	(void)peer;
	assert_int_equal(copse_address_parse("127.0.0.200:5683", 0, address), 0);
}

_Atomic int64_t wall_ahead;

/* The store's thread asks for the time as well: it gets what the world's own thread, whose the clock is, has told last. */
static _Atomic copse_ms told;
static _Thread_local bool is_worlds;

static void tell_time(void)
{
	told = sim.now;
}

int64_t wall(void *self)
{
	(void)self;
	if (is_worlds)
		tell_time();
	return WALL + wall_ahead + (int64_t)(told / 1000);
}

/* Tests with a collector call gw_worker_woken themselves. */
static void wake(void *self)
{
	(void)self;
}

static void gateway_event(struct sim_node *node, const struct copse_event *event)
{
	gw_worker_event(worker, event, node->sim->now);
}

/* --- devices --- */

static bool names_etag(const struct copse_message *m, const char *etag)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ETAG);

	for (; o; o = copse_message_option_next(m, o))
		if (copse_option_is(m, o, etag, strlen(etag)))
			return true;
	return false;
}

static void device_payload(const struct sim_node *node, const struct copse_message *m,
			   struct copse_builder *b)
{
	static const char large[1500];
	const struct device *d = node->user;
	const struct copse_option *path = copse_message_option(m, COPSE_OPTION_URI_PATH);
	char text[100];
	int n = snprintf(text, sizeof(text), "node %u %.*s", node->number, path ? path->len : 0,
			 path ? (const char *)copse_option_value(m, path) : "");

	if (d->text)
		copse_build_payload(b, d->text, strlen(d->text));
	else
		copse_build_payload(b, text, (size_t)n);
	if (d->behaviour == LARGE)
		copse_build_payload(b, large, sizeof(large));
}

void device_answer(struct sim_node *node, copse_handle exchange, const struct copse_message *m)
{
	uint8_t buf[2000];
	struct copse_builder b;
	const struct device *d = node->user;
	bool valid = d->code == COPSE_CODE_CONTENT && d->etag[0] && names_etag(m, d->etag);

	copse_build_rest(&b, buf, sizeof(buf));
	if (d->max_age >= 0)
		copse_build_uint(&b, COPSE_OPTION_MAX_AGE, (uint32_t)d->max_age);
	if (d->etag[0])
		copse_build_option(&b, COPSE_OPTION_ETAG, d->etag, strlen(d->etag));
	if (d->extra)
		copse_build_raw(&b, d->extra_number, d->extra, strlen(d->extra));
	if (d->location)
		copse_build_option(&b, COPSE_OPTION_LOCATION_PATH, d->location, strlen(d->location));
	if (d->observe >= 0 && copse_message_uint(m, COPSE_OPTION_OBSERVE, 1) == 0)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, (uint32_t)d->observe);
	if (d->behaviour == UNFIT)
		copse_build_raw(&b, 65003, "x", 1);
	if (!valid)
		device_payload(node, m, &b);
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	const struct copse_out out = {
	    .code = valid ? COPSE_CODE_VALID : d->code, .rest = buf, .rest_len = (size_t)n};
	assert_int_equal(copse_endpoint_respond(node->ep, exchange, &out, node->sim->now), 0);
}

void device_notify(unsigned number, enum copse_type type, uint8_t code, int observe, const char *text)
{
	const struct device *d = &device[number];
	const struct copse_peer gateway = sim_peer(GATEWAY);
	uint8_t buf[2000];
	struct copse_builder b;

	copse_build_rest(&b, buf, sizeof(buf));
	if (observe >= 0)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, (uint32_t)observe);
	if (d->max_age >= 0)
		copse_build_uint(&b, COPSE_OPTION_MAX_AGE, (uint32_t)d->max_age);
	if (d->extra)
		copse_build_raw(&b, d->extra_number, d->extra, strlen(d->extra));
	copse_build_payload(&b, text, strlen(text));
	const struct copse_out out = {
	    .code = code, .con = type == COPSE_CON, .rest = buf, .rest_len = (size_t)copse_build_finish(&b)};
	assert_int_equal(copse_endpoint_notify(sim.node[number].ep, &gateway, d->token, d->token_len, &out,
					       NULL, sim.now, NULL, NULL),
			 0);
}

static void device_event(struct sim_node *node, const struct copse_event *event)
{
	struct device *d = node->user;

	if (event->kind != COPSE_EVENT_REQUEST)
		return;
	d->runs++;
	memcpy(d->last_bytes, event->message->bytes, event->message->len);
	assert_int_equal(copse_message_parse(&d->last, d->last_bytes, event->message->len), 0);
	if (copse_message_uint(&d->last, COPSE_OPTION_OBSERVE, 1) == 0) {
		d->token_len = d->last.token_len;
		memcpy(d->token, copse_message_token(&d->last), d->token_len);
	}
	if (d->behaviour == LATER) {
		d->waiting = event->exchange;
		copse_endpoint_acknowledge(node->ep, event->exchange, node->sim->now);
	} else if (d->behaviour == SILENT) {
		copse_endpoint_ignore(node->ep, event->exchange, node->sim->now);
	} else {
		device_answer(node, event->exchange, event->message);
	}
}

/* --- clients: without an endpoint, so that tokens and IDs are the test's --- */

static void client_sees(unsigned number, const uint8_t *bytes, size_t len)
{
	struct client *c = &client[number];
	struct copse_message m;

	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	assert_true(c->n < SEEN);
	struct seen *s = &c->seen[c->n++];
	*s = (struct seen){
	    .type = m.type, .code = m.code, .id = m.id, .token_len = m.token_len, .at = sim.now};
	memcpy(s->token, copse_message_token(&m), m.token_len);
	snprintf(s->payload, sizeof(s->payload), "%.*s", (int)m.payload_len,
		 (const char *)copse_message_payload(&m));
	s->max_age = copse_message_uint(&m, COPSE_OPTION_MAX_AGE, 60);
	const struct copse_option *observe = copse_message_option(&m, COPSE_OPTION_OBSERVE);
	s->observe = observe ? (int)copse_option_uint(&m, observe) : -1;
	const struct copse_option *block2 = copse_message_option(&m, COPSE_OPTION_BLOCK2);
	s->block2 = block2 ? (int)copse_option_uint(&m, block2) : -1;
	const struct copse_option *etag = copse_message_option(&m, COPSE_OPTION_ETAG);
	const struct copse_option *extra = copse_message_option(&m, EXTRA);
	if (extra) {
		assert_null(copse_message_option_next(&m, extra));
		memcpy(s->extra, copse_option_value(&m, extra), extra->len);
	}
	if (etag)
		memcpy(s->etag, copse_option_value(&m, etag), etag->len);
}

/* Datagrams to clients end here; so do acknowledgements of theirs begin. */
static bool tap(struct sim *s, const struct sim_node *from, const struct copse_peer *to, const uint8_t *bytes,
		size_t len)
{
	unsigned number = to->key[1];

	(void)s;
	if (from->number == GATEWAY && (number == DEVICE1 || number == DEVICE2))
		to_devices++;
	if (number != ALICE && number != BOB)
		return true;
	client_sees(number, bytes, len);
	return false;
}

void send_raw(unsigned number, const void *bytes, size_t len)
{
	struct copse_peer from = sim_peer((uint8_t)number);

	sim_inject(&sim.node[GATEWAY], &from, bytes, len);
}

/* Acknowledge every confirmable message that the client got and has not acknowledged. */
void acknowledge(unsigned number)
{
	unsigned n = client[number].n;

	for (unsigned i = 0; i < n; i++) {
		const struct seen *s = &client[number].seen[i];
		const uint8_t ack[4] = {0x60, 0, (uint8_t)(s->id >> 8), (uint8_t)s->id};
		if (s->type == COPSE_CON)
			send_raw(number, ack, sizeof(ack));
	}
}

struct copse_builder request;
static uint8_t request_bytes[70000];

void begin(enum copse_type type, uint8_t code, uint16_t id, const char *token_text)
{
	copse_build_message(&request, request_bytes, sizeof(request_bytes), type, code, id, token_text,
			    strlen(token_text));
}

void add(uint16_t number, const char *value)
{
	copse_build_raw(&request, number, value, strlen(value));
}

void send_it(unsigned number)
{
	int n = copse_build_finish(&request);

	assert_true(n > 0);
	send_raw(number, request_bytes, (size_t)n);
}

void ask(unsigned number, enum copse_type type, uint8_t code, uint16_t id, const char *token_text,
	 const char *uri)
{
	begin(type, code, id, token_text);
	add(COPSE_OPTION_PROXY_URI, uri);
	send_it(number);
}

void get(unsigned number, enum copse_type type, uint16_t id, const char *token_text, const char *uri)
{
	ask(number, type, COPSE_CODE_GET, id, token_text, uri);
}

const struct seen *last(unsigned number)
{
	assert_true(client[number].n > 0);
	return &client[number].seen[client[number].n - 1];
}

void forget_seen(void)
{
	client[ALICE].n = client[BOB].n = 0;
}

void post_session(unsigned number, const char *json, const char *query)
{
	static uint16_t id = 40000;

	begin(COPSE_CON, COPSE_CODE_POST, id++, "s");
	add(COPSE_OPTION_URI_PATH, "sessions");
	if (query)
		add(COPSE_OPTION_URI_QUERY, query);
	make_token("HS256", SECRET, NULL, NULL, json, token);
	copse_build_payload(&request, token, strlen(token));
	send_it(number);
}

void open_session(unsigned number, const char *account)
{
	char json[100];

	snprintf(json, sizeof(json), "{\"sub\":\"%s\"}", account);
	post_session(number, json, "security=none");
	assert_int_equal(last(number)->code, COPSE_CODE_CREATED);
	forget_seen();
}

/* --- set-up --- */

struct gw_config *read_config(const char *text)
{
	char folder[256], path[512], why[GW_CONFIG_WHY];

	make_folder(folder);
	make_file(folder, "g.conf", text, path);
	struct gw_config *c = gw_config_read(path, why);
	if (!c)
		print_error("%s", why);
	assert_non_null(c);
	remove_folder(folder);
	return c;
}

static void reset_devices(void)
{
	memset(device, 0, sizeof(device));
	for (unsigned i = 0; i < NODES; i++) {
		device[i].code = COPSE_CODE_CONTENT;
		device[i].max_age = 7;
		device[i].etag = "et";
		device[i].extra_number = EXTRA;
		device[i].observe = -1;
	}
}

void start_world(const char *configuration, struct sim_link link)
{
	static const struct gw_surroundings around = {
	    .mesh_peer = mesh_peer, .local = local, .wall = wall, .wake = wake};
	struct copse_config ep = {.seed = {11, 12}}, plain = sim_config(5);

	reset_devices();
	memset(client, 0, sizeof(client));
	to_devices = 0;
	config = read_config(configuration);
	gw_worker_endpoint_config(config, 1, 0, &ep);
	ep.incoming_cap = 512; /* smaller than the daemon's, so that a test takes no time */
	ep.chunk_cap = 2048;
	sim_init(&sim, 3, link);
	is_worlds = true;
	tell_time();
	sim.tap = tap;
	sim_add(&sim, &ep, gateway_event, NULL);
	for (unsigned i = ALICE; i < NODES; i++)
		sim_add(&sim, &plain, device_event, &device[i]);
	worker = gw_worker_new(config, &around, sim.node[GATEWAY].ep, sim.now);
	assert_non_null(worker);
}

void end_world(void)
{
	gw_worker_free(worker);
	sim_free(&sim);
	gw_config_free(config);
}

int end_test(void **state)
{
	(void)state;
	end_world();
	return 0;
}

const struct gw_counters *world_counters(void)
{
	return gw_worker_counters(worker);
}

/* The worker has deadlines of its own, which may become earlier while the network runs: hence the small steps. */
void start_collector(const char *more)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "name = \"gw\"\nkey \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
		 "collector {\n store = \":memory:\"\n %s\n}\n",
		 more);
	wall_ahead = 0;
	start_world(text, (struct sim_link){.delay_ms = 1});
}

const struct gw_collector_counters *collector_counters(void)
{
	return gw_collector_counters(worker->collector);
}

void let_store_pass(void)
{
	const struct timespec ms = {0, 1000000};

	nanosleep(&ms, NULL);
	gw_worker_woken(worker, sim.now);
	run_for(1);
}

static sem_t gate;

static int wait_at_gate(void *user, struct store_buffer *out, const struct store_row *row)
{
	(void)user;
	(void)out;
	if (!row)
		sem_wait(&gate);
	return 0;
}

void close_gate(uint32_t bytes)
{
	struct store_job *job = store_job_new(0);

	assert_non_null(job);
	assert_int_equal(sem_init(&gate, 0, 0), 0);
	job->query.subject = STORE_DEVICES;
	job->render = wait_at_gate;
	job->quiet = true;
	job->bytes = bytes ? bytes : job->bytes;
	assert_true(store_service_put(worker->collector->service, job));
}

void open_gate(void)
{
	sem_post(&gate);
}

void run_for(copse_ms span)
{
	const copse_ms end = sim.now + span;

	while (sim.now < end) {
		const copse_ms step = sim.now + 10 < end ? sim.now + 10 : end;
		sim_run(&sim, step);
		if (gw_worker_deadline(worker) <= sim.now)
			gw_worker_expire(worker, sim.now);
	}
	sim_run(&sim, end);
	tell_time();
}

unsigned requests_used(void)
{
	struct gw_usage usage;

	gw_worker_usage(worker, &usage);
	return usage.requests;
}
