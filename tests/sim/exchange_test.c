/* Whole conversations over links that lose, double and reorder: every exchange ends as RFC 7252 §4.2 says it must, no
 * request runs twice, and the share that fails is what the arithmetic of five tries gives.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXCHANGES 4000

struct call {
	copse_ms begun, ended;
	int outcome;  /* 0 open, 1 answered, else the error */
	unsigned run; /* how often the server ran it */
};

struct world {
	struct sim sim;
	struct sim_node *client, *server;
	struct call call[EXCHANGES];
	bool con;
	bool separate;
	copse_handle deferred[EXCHANGES];
	unsigned deferred_n;
	unsigned in_flight, in_flight_max;
	uint16_t nstart;
};

static uint32_t payload_number(const struct copse_message *m)
{
	uint32_t n = 0;
	assert_int_equal(m->payload_len, 4);
	memcpy(&n, copse_message_payload(m), 4);
	assert_true(n < EXCHANGES);
	return n;
}

static size_t body(uint8_t *buf, size_t cap, uint32_t number, bool path)
{
	struct copse_builder b;
	copse_build_rest(&b, buf, cap);
	if (path)
		copse_build_option(&b, COPSE_OPTION_URI_PATH, "count", 5);
	copse_build_payload(&b, &number, sizeof number);
	const int n = copse_build_finish(&b);
	assert_true(n > 0);
	return (size_t)n;
}

static void answer(struct sim_node *node, copse_handle exchange, uint32_t number)
{
	uint8_t buf[64];
	const struct copse_out out = {
	    .code = COPSE_CODE_CONTENT, .rest = buf, .rest_len = body(buf, 64, number, false)};
	assert_int_equal(copse_endpoint_respond(node->ep, exchange, &out, node->sim->now), 0);
}

static void on_server(struct sim_node *node, const struct copse_event *e)
{
	struct world *w = node->user;
	if (e->kind == COPSE_EVENT_RESET)
		return;
	assert_int_equal(e->kind, COPSE_EVENT_REQUEST);
	const uint32_t number = payload_number(e->message);
	w->call[number].run++;
	if (w->separate)
		assert_int_equal(copse_endpoint_acknowledge(node->ep, e->exchange, node->sim->now), 0);
	answer(node, e->exchange, number);
}

static void on_client(struct sim_node *node, const struct copse_event *e)
{
	struct world *w = node->user;
	struct call *c = e->user;
	if (e->kind == COPSE_EVENT_RESET)
		return;
	assert_non_null(c);
	assert_int_equal(c->outcome, 0); /* one event, one end */
	c->ended = node->sim->now;
	if (e->kind == COPSE_EVENT_RESPONSE) {
		assert_ptr_equal(&w->call[payload_number(e->message)],
				 c); /* one's answer never reaches another */
		c->outcome = 1;
	} else {
		assert_int_equal(e->kind, COPSE_EVENT_FAILED);
		assert_int_equal(e->error, COPSE_ERR_TIMEOUT);
		c->outcome = e->error;
	}
}

static struct world *world(uint64_t seed, struct sim_link link, uint16_t nstart)
{
	struct world *w = calloc(1, sizeof *w);
	assert_non_null(w);
	struct copse_config c = sim_config(seed);
	c.group[0].nstart = nstart;
	c.incoming_cap = 4 * EXCHANGES;
	c.exchange_cap = EXCHANGES;
	c.chunk_cap = 8 * EXCHANGES;
	sim_init(&w->sim, seed, link);
	c.seed[0] = seed * 2 + 1;
	w->client = sim_add(&w->sim, &c, on_client, w);
	c.seed[0] = seed * 2 + 2;
	w->server = sim_add(&w->sim, &c, on_server, w);
	w->nstart = nstart;
	w->con = true;
	return w;
}

static void start(struct world *w, uint32_t number)
{
	uint8_t buf[64];
	copse_handle h;
	const struct copse_peer to = sim_peer(w->server->number);
	const struct copse_out out = {
	    .code = COPSE_CODE_POST, .con = w->con, .rest = buf, .rest_len = body(buf, 64, number, true)};
	w->call[number].begun = w->sim.now;
	assert_int_equal(
	    copse_endpoint_request(w->client->ep, &to, &out, 0, &w->call[number], w->sim.now, &h), 0);
}

static void run_all(struct world *w)
{
	for (uint32_t i = 0; i < EXCHANGES; i++) {
		start(w, i);
		sim_run(&w->sim, w->sim.now + 500);
	}
	sim_run(&w->sim, COPSE_NEVER);
}

static void finish(struct world *w)
{
	struct copse_endpoint_usage u;
	for (unsigned i = 0; i < w->sim.node_n; i++) {
		copse_endpoint_usage(w->sim.node[i].ep, &u);
		assert_int_equal(u.exchanges, 0); /* whatever happened, everything was given back */
		assert_int_equal(u.incoming, 0);
		assert_int_equal(u.chunks, 0);
		assert_int_equal(u.replies, 0);
	}
	sim_free(&w->sim);
	free(w);
}

static int by_size(const void *a, const void *b)
{
	const copse_ms x = *(const copse_ms *)a, y = *(const copse_ms *)b;
	return (x > y) - (x < y);
}

/* The times of those that completed, sorted; returns how many. */
static unsigned times(const struct world *w, copse_ms *out)
{
	unsigned n = 0;
	for (unsigned i = 0; i < EXCHANGES; i++) {
		if (w->call[i].outcome == 1)
			out[n++] = w->call[i].ended - w->call[i].begun;
	}
	qsort(out, n, sizeof *out, by_size);
	return n;
}

/* The number of failures is binomial; four standard deviations either way. */
static void assert_share(unsigned failed, double p)
{
	const double mean = p * EXCHANGES, sigma = sqrt(EXCHANGES * p * (1 - p));
	if (fabs(failed - mean) > 4 * sigma)
		fail_msg("%u of %u failed, expected %.1f +- %.1f", failed, EXCHANGES, mean, 4 * sigma);
}

static void clean_link_answers_at_once(void **state)
{
	(void)state;
	struct world *w = world(1, (struct sim_link){.delay_ms = 10}, 1);
	run_all(w);
	for (unsigned i = 0; i < EXCHANGES; i++) {
		assert_int_equal(w->call[i].outcome, 1);
		assert_int_equal(w->call[i].run, 1);
		assert_int_equal(w->call[i].ended - w->call[i].begun, 20);
	}
	assert_int_equal(w->sim.sent, 2 * EXCHANGES); /* a request and its acknowledgement, no more */
	finish(w);
}

static void thirty_percent_loss_piggybacked(void **state)
{
	(void)state;
	/* NSTART is raised, so that each exchange is independent of the others. */
	struct world *w = world(2, (struct sim_link){.loss = 0.3, .delay_ms = 10}, 1000);
	run_all(w);
	unsigned failed = 0;
	const struct copse_params p = COPSE_PARAMS_DEFAULT;
	for (unsigned i = 0; i < EXCHANGES; i++) {
		const struct call *c = &w->call[i];
		assert_true(c->outcome != 0);
		assert_true(c->run <= 1);
		failed += c->outcome != 1;
		if (c->outcome != 1) {
			/* §4.2: given up when the time-out of the last transmission has passed */
			assert_true(c->ended - c->begun >= 62000);
			assert_true(c->ended - c->begun <= copse_params_max_transmit_wait(&p));
		} else {
			assert_int_equal(c->run, 1);
		}
	}
	/* A try succeeds when request and acknowledgement arrive: 0.7 * 0.7. Five tries fail with 0.51^5 = 3.45 %. */
	assert_share(failed, pow(1 - 0.49, 5));
	static copse_ms t[EXCHANGES];
	const unsigned n = times(w, t);
	/* 49 % take one try, 74 % two, 87 % three; of those completed, p50 is in the second, p90 in the fourth. */
	assert_true(t[n * 45 / 100] == 20);
	assert_true(t[n / 2 + n / 20] >= 2000 && t[n / 2 + n / 20] <= 3020);
	assert_true(t[n * 90 / 100] >= 2000 + 4000 && t[n * 90 / 100] <= 3000 * 7 + 20);
	assert_true(t[n - 1] <= copse_params_max_transmit_span(&p) + 20);
	finish(w);
}

static void thirty_percent_loss_separate(void **state)
{
	(void)state;
	struct world *w = world(3, (struct sim_link){.loss = 0.3, .delay_ms = 10}, 1000);
	w->separate = true;
	run_all(w);
	unsigned unreached = 0, failed = 0, answered = 0;
	for (unsigned i = 0; i < EXCHANGES; i++) {
		assert_true(w->call[i].outcome != 0);
		assert_true(w->call[i].run <= 1);
		unreached += w->call[i].run == 0;
		failed += w->call[i].outcome != 1;
		answered += w->call[i].outcome == 1;
	}
	assert_int_equal(failed + answered, EXCHANGES);
	/* A lost acknowledgement makes the client repeat, but the answer itself ends that too. */
	assert_true(unreached <= failed);
	assert_true(failed < EXCHANGES * 2 / 100);
	finish(w);
}

static void non_confirmable_is_lost_as_the_link_says(void **state)
{
	(void)state;
	struct world *w = world(4, (struct sim_link){.loss = 0.3, .delay_ms = 10}, 1);
	w->con = false;
	run_all(w);
	unsigned failed = 0;
	for (unsigned i = 0; i < EXCHANGES; i++) {
		assert_true(w->call[i].outcome != 0);
		failed += w->call[i].outcome != 1;
	}
	assert_share(failed, 1 - 0.49);
	finish(w);
}

static void doubled_and_reordered_runs_once(void **state)
{
	(void)state;
	struct world *w = world(5, (struct sim_link){.duplicate = 0.5, .reorder = 0.5, .delay_ms = 100}, 4);
	run_all(w);
	for (unsigned i = 0; i < EXCHANGES; i++) {
		assert_int_equal(w->call[i].outcome, 1);
		assert_int_equal(w->call[i].run, 1);
	}
	assert_true(copse_endpoint_counters(w->server->ep)->duplicates > EXCHANGES / 3);
	finish(w);
}

static void everything_at_once(void **state)
{
	(void)state;
	for (uint64_t seed = 10; seed < 14; seed++) {
		const struct sim_link link = {.loss = 0.2, .duplicate = 0.2, .reorder = 0.3, .delay_ms = 700};
		struct world *w = world(seed, link, 8);
		w->separate = seed & 1;
		run_all(w);
		for (unsigned i = 0; i < EXCHANGES; i++) {
			assert_true(w->call[i].outcome != 0);
			assert_true(w->call[i].run <= 1);
			assert_true(w->call[i].outcome != 1 || w->call[i].run == 1);
		}
		finish(w);
	}
}

/* Confirmable requests on the wire that are neither acknowledged nor answered, as an observer between counts them. */
static bool count_in_flight(struct sim *sim, const struct sim_node *from, const struct copse_peer *to,
			    const uint8_t *bytes, size_t len)
{
	(void)to;
	struct world *w = sim->user;
	struct copse_message m;
	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	if (from == w->client) {
		struct copse_endpoint_usage u;
		copse_endpoint_usage(w->client->ep, &u);
		w->in_flight++;
	} else {
		w->in_flight--;
	}
	w->in_flight_max = w->in_flight > w->in_flight_max ? w->in_flight : w->in_flight_max;
	return true;
}

static void nstart_holds(void **state)
{
	(void)state;
	for (uint16_t nstart = 1; nstart <= 3; nstart++) {
		struct world *w = world(20, (struct sim_link){.delay_ms = 10}, nstart);
		w->sim.tap = count_in_flight;
		w->sim.user = w;
		for (uint32_t i = 0; i < EXCHANGES; i++)
			start(w, i);
		sim_run(&w->sim, COPSE_NEVER);
		assert_int_equal(w->in_flight_max, nstart);
		for (unsigned i = 1; i < EXCHANGES; i++) { /* and first come, first served */
			assert_int_equal(w->call[i].outcome, 1);
			assert_true(w->call[i].ended >= w->call[i - 1].ended);
		}
		finish(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clean_link_answers_at_once),
	    cmocka_unit_test(thirty_percent_loss_piggybacked),
	    cmocka_unit_test(thirty_percent_loss_separate),
	    cmocka_unit_test(non_confirmable_is_lost_as_the_link_says),
	    cmocka_unit_test(doubled_and_reordered_runs_once),
	    cmocka_unit_test(everything_at_once),
	    cmocka_unit_test(nstart_holds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
