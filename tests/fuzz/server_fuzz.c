/* A server under arbitrary datagrams, replies, changes and clock. The input is a program of steps; whatever it does, no
 * memory is touched that should not be, what is sent is well formed and no longer than allowed, every body that a
 * handler lent is given back once, and in the end nothing is left over.
 *
 * The first byte chooses the bounds. Then steps: one byte of operation, one of argument. Requests are assembled from
 * the steps too (method, path, blocks, Observe ...), since random bytes alone seldom get past the parser.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "core/server_state.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS 8

struct run {
	struct copse_endpoint *ep;
	struct copse_server *server;
	copse_ms now;
	const uint8_t *data;
	size_t left;
	copse_handle deferred[CALLS];
	unsigned deferred_n;
	uint16_t id;
	uint8_t out[2048];
	int out_len;
	struct copse_peer out_to;
	unsigned lent, given_back; /* readers */
	unsigned kept, abandoned;  /* uploads that a handler holds something for */
	unsigned depth;
};

static struct run *run; /* for the handlers */

static uint8_t take(void)
{
	if (run->left == 0)
		return 0;
	run->left--;
	return *run->data++;
}

static void require(bool true_always, const char *what)
{
	if (!true_always) {
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

static int read_some(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const uint32_t total = (uint32_t)(uintptr_t)user;
	const uint32_t left = offset < total ? total - offset : 0;
	const uint32_t n = left < cap ? left : (uint32_t)cap;
	require(run->lent > run->given_back, "reads only what is lent");
	memset(buf, 'r', n);
	return (int)n;
}

static void give_back(void *user)
{
	(void)user;
	run->given_back++;
	require(run->given_back <= run->lent, "gives back once");
}

static void fill(const struct copse_request *rq, struct copse_response *rs, uint8_t how)
{
	static const uint8_t constant[1500];
	const uint32_t len = (uint32_t)(how >> 3) * 70;
	char text[40];
	switch (how & 7) {
	case 0: copse_response_text(rs, "text"); break;
	case 1: copse_response_view(rs, COPSE_FORMAT_OCTETS, constant, len < 1500 ? len : 1500); break;
	case 2:
	case 3:
		run->lent++;
		copse_response_reader(rs, COPSE_FORMAT_OCTETS, how & 1 ? COPSE_BODY_UNKNOWN : len, read_some,
				      give_back, (void *)(uintptr_t)len);
		if (how & 0x80)
			copse_response_etag(rs, &how, 1);
		break;
	case 4: copse_response_error(rs, (uint8_t)(0x80 + (how >> 3)), "diagnostic"); break;
	case 5: copse_response_problem(rs, COPSE_CODE_CONFLICT, "title", how & 0x80 ? "detail" : NULL); break;
	case 6: copse_response_copy(rs, COPSE_FORMAT_OCTETS, constant, len); break;
	default:
		if (rq)
			copse_request_path(rq, text, sizeof text);
		else
			text[0] = '\0';
		copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, text);
		copse_response_copy(rs, COPSE_FORMAT_TEXT, text, strlen(text));
		break;
	}
}

static void handler(const struct copse_request *rq, struct copse_response *rs)
{
	const uint8_t how = take();
	require(rq->body_offset == 0 || *rq->transfer == run, "a transfer keeps what is the handler's");
	if (rq->body_more && rq->body_offset == 0) {
		*rq->transfer = run;
		run->kept++;
	}
	if (how % 5 == 4 && run->deferred_n < CALLS) {
		const copse_handle h = copse_request_defer(rq);
		if (h)
			run->deferred[run->deferred_n++] = h;
		return;
	}
	if (how % 7 == 6)
		copse_server_changed(run->server, rq->resource, NULL, rq->now);
	fill(rq, rs, how);
}

static void abandon(const struct copse_request *rq)
{
	require(*rq->transfer == run, "abandons what the handler keeps");
	run->abandoned++;
	require(run->abandoned <= run->kept, "abandons once");
}

static int state(const struct copse_request *rq, uint8_t *etag)
{
	(void)rq;
	etag[0] = take();
	return etag[0] % 3 - 1;
}

#define ALL                                                                                                  \
	.get = handler, .post = handler, .put = handler, .delete = handler, .fetch = handler,                \
	.patch = handler, .ipatch = handler, .abandon = abandon

static const uint16_t formats[] = {0, 42, COPSE_FORMATS_END};

static const struct copse_resource resources[] = {
    {.path = "a", ALL, .flags = COPSE_RESOURCE_OBSERVABLE | COPSE_RESOURCE_MULTICAST, .state = state},
    {.path = "b", ALL, .flags = COPSE_RESOURCE_OBSERVABLE | COPSE_RESOURCE_WHOLE, .worth = COPSE_COMMAND},
    {.path = "c/*",
     ALL,
     .flags = COPSE_RESOURCE_FRESH,
     .formats = formats,
     .takes = formats,
     .body_max = 3000},
    {.path = "**", ALL, .flags = COPSE_RESOURCE_OBSERVABLE, .worth = COPSE_ALARM, .title = "everything else"},
};

static struct copse_peer peer_of(uint8_t arg)
{
	struct copse_peer p = {.len = 2, .key = {'p', arg & 3}};
	if ((arg & 0x1c) == 0x1c)
		p.flags = COPSE_PEER_MULTICAST;
	return p;
}

static void drain(void)
{
	struct copse_event e;
	while (copse_endpoint_next_event(run->ep, &e))
		(void)copse_server_take(run->server, &e, run->now);
}

static void receive(uint8_t arg, const uint8_t *bytes, size_t len)
{
	const struct copse_peer p = peer_of(arg);
	uint8_t *exact = malloc(len + 1); /* so that one byte beyond is noticed */
	memcpy(exact, bytes, len);
	(void)copse_endpoint_receive(run->ep, &p, exact, len, run->now);
	drain();
	free(exact);
}

static void raw(uint8_t arg)
{
	uint8_t bytes[256];
	const size_t len = take();
	for (size_t i = 0; i < len; i++)
		bytes[i] = take();
	receive(arg, bytes, len);
}

static void block_option(struct copse_builder *rq, uint16_t number, uint8_t how)
{
	copse_build_uint(rq, number, (uint32_t)(how >> 4) << 4 | (how & 15));
}

static void put_options(struct copse_builder *rq, uint8_t which)
{
	static const char *const paths[] = {"a", "b", "c", "d"};
	copse_build_raw(rq, COPSE_OPTION_URI_PATH, paths[which & 3], 1);
	if ((which & 3) >= 2)
		copse_build_raw(rq, COPSE_OPTION_URI_PATH, "x", 1);
	if (which & 4)
		copse_build_uint(rq, COPSE_OPTION_OBSERVE, take() & 3);
	if (which & 8)
		block_option(rq, COPSE_OPTION_BLOCK1, take());
	if (which & 16)
		block_option(rq, COPSE_OPTION_BLOCK2, take());
	if (which & 32) {
		const uint8_t v = take();
		copse_build_raw(rq, v & 1 ? COPSE_OPTION_IF_MATCH : COPSE_OPTION_ETAG, &v, v & 2 ? 1 : 0);
		copse_build_uint(rq, COPSE_OPTION_ACCEPT, v & 4 ? 0 : 42);
		copse_build_uint(rq, COPSE_OPTION_NO_RESPONSE, v >> 3);
	}
	if (which & 64)
		copse_build_raw(rq, COPSE_OPTION_REQUEST_TAG, &which, 1);
	if (which & 128) {
		block_option(rq, COPSE_OPTION_Q_BLOCK1, take());
		block_option(rq, COPSE_OPTION_Q_BLOCK2, take());
	}
}

static void request(uint8_t arg)
{
	static const uint8_t body[1024];
	uint8_t bytes[1200];
	struct copse_builder rq;
	const uint8_t what = take(), which = take(), len = take();
	copse_build_message(&rq, bytes, sizeof bytes, what & 8 ? COPSE_NON : COPSE_CON, (uint8_t)(what % 8),
			    run->id++, &what, what & 16 ? 1 : 0);
	put_options(&rq, which);
	copse_build_payload(&rq, body, len < 7 ? 16u << len : len);
	const int n = copse_build_finish(&rq);
	if (n > 0)
		receive(arg, bytes, (size_t)n);
}

/* An acknowledgement or a Reset of what was sent last. */
static void answer(uint8_t arg)
{
	if (run->out_len < 4)
		return;
	const uint8_t bytes[] = {(uint8_t)(arg & 4 ? 0x70 : 0x60), 0, run->out[2], run->out[3]};
	(void)copse_endpoint_receive(run->ep, &run->out_to, bytes, sizeof bytes, run->now);
	drain();
}

static void transmit(unsigned count)
{
	int n;
	while (count-- > 0 && (n = copse_endpoint_transmit(run->ep, run->out, sizeof run->out, &run->out_to,
							   run->now)) > 0) {
		struct copse_message m;
		run->out_len = n;
		require(copse_message_parse(&m, run->out, (size_t)n) == 0 && m.bad_option == 0,
			"sends what is well formed");
		require(n <= run->server->config.message_len || n <= 64, "sends no more than allowed");
	}
}

static void reply(uint8_t arg)
{
	struct copse_response rs;
	if (run->deferred_n == 0)
		return;
	const unsigned i = arg % run->deferred_n;
	const copse_handle h = run->deferred[i];
	if (arg & 0x80) {
		copse_server_reply_drop(run->server, h, run->now);
	} else {
		if (copse_server_reply(run->server, h, &rs) != 0)
			abort();
		fill(NULL, &rs, take());
		if (copse_server_reply_send(run->server, h, &rs, run->now) == COPSE_ERR_NOROOM)
			return;
	}
	run->deferred[i] = run->deferred[--run->deferred_n];
}

static void pass(copse_ms ms)
{
	run->now += ms;
	copse_endpoint_expire(run->ep, run->now);
	drain();
	if (copse_server_deadline(run->server) <= run->now)
		copse_server_expire(run->server, run->now);
}

static void change_tree(uint8_t arg)
{
	const struct copse_resource *r = &resources[arg & 3];
	if (arg & 4)
		copse_server_remove(run->server, r, run->now);
	else if (arg & 8)
		copse_server_drop_observers(run->server, r, run->now);
	else
		(void)copse_server_add(run->server, r);
}

/* Every observer is counted by its view and in one of its lists, and every view that has some has a resource. */
static void check_observers(void)
{
	const struct copse_server *s = run->server;
	uint32_t of_view[8] = {0}, all = 0;
	for (uint32_t i = 0; i < s->config.observer_cap; i++) {
		const struct server_observer *o = &s->observer[i];
		if (o->state == OBS_FREE)
			continue;
		all++;
		of_view[o->view - 1]++;
		require(!core_node_alone(&o->node), "an observer is in a list");
	}
	require(all == s->observer_n, "observers are counted");
	for (uint32_t i = 0; i < s->config.view_cap; i++) {
		require(of_view[i] == 0 || s->view[i].observer_n == of_view[i],
			"observers of a view are counted");
		require(of_view[i] == 0 || s->node[s->view[i].place - 1].resource, "a view has a resource");
	}
}

static void step(void)
{
	const uint8_t op = take(), arg = take();
	switch (op % 12) {
	case 0: raw(arg); break;
	case 1:
	case 2:
	case 3:
	case 4: request(arg); break;
	case 5: answer(arg); break;
	case 6: transmit(arg); break;
	case 7: reply(arg); break;
	case 8: pass((copse_ms)arg * arg * 8); break;
	case 9:
		(void)copse_server_changed(run->server, &resources[arg & 3], arg & 8 ? "c/x" : NULL,
					   run->now);
		break;
	case 10: change_tree(arg); break;
	default:
		copse_server_verified(run->server, &(struct copse_peer){.len = 2, .key = {'p', arg & 3}},
				      run->now);
		break;
	}
	require(run->server->observer_n <= run->server->config.observer_cap, "bound of observers");
	require(run->server->in_flight <= run->server->observer_n, "flights are observers'");
	check_observers();
}

static void finish(void)
{
	while (run->deferred_n > 0)
		reply(0x80);
	for (unsigned i = 0; i < 4; i++)
		copse_server_remove(run->server, &resources[i], run->now);
	for (int i = 0; i < 50; i++) {
		transmit(1000);
		pass(COPSE_SECONDS(300));
	}
	require(run->lent == run->given_back, "everything lent is given back");
	require(run->server->transfer_n == 0, "no transfer is left");
	require(run->server->observer_n == 0 && run->server->in_flight == 0, "no observer is left");
	require(core_node_alone(&run->server->queue), "no view waits");
	require(copse_server_deadline(run->server) == COPSE_NEVER, "nothing is due");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = {.now = 1000, .data = data, .left = size, .id = 1};
	run = &r;
	const uint8_t bounds = take();
	struct copse_config below = {.group = {COPSE_PARAMS_DEFAULT},
				     .group_n = 1,
				     .exchange_cap = bounds & 1 ? 2 : 32,
				     .incoming_cap = bounds & 2 ? 4 : 64,
				     .peer_cap = 3,
				     .chunk_cap = bounds & 4 ? 12 : 500,
				     .reply_cap = 4,
				     .seed = {5, 6}};
	struct copse_server_config c = COPSE_SERVER_DEFAULT;
	c.seed[0] = 7;
	c.message_len = bounds & 8 ? 64 : 1152;
	c.scratch_len = 1200;
	c.transfer_cap = bounds & 16 ? 1 : 4;
	c.collect_len = 1100;
	c.observer_cap = bounds & 32 ? 2 : 16;
	c.view_cap = bounds & 32 ? 1 : 4;
	c.view_len = 60;
	c.deferred_cap = 4;
	c.notify_cap = bounds & 1 ? 1 : 8;
	c.amplification = bounds & 64 ? 3 : 0;
	c.verified_cap = 2;
	void *ep_memory = malloc(copse_endpoint_bytes(&below)), *memory = malloc(copse_server_bytes(&c));
	r.ep = copse_endpoint_init(ep_memory, copse_endpoint_bytes(&below), &below, r.now);
	r.server = copse_server_init(memory, copse_server_bytes(&c), &c, r.ep, r.now);
	for (unsigned i = 0; i < 4; i++)
		(void)copse_server_add(r.server, &resources[i]);
	while (r.left > 0)
		step();
	finish();
	free(ep_memory);
	free(memory);
	return 0;
}
