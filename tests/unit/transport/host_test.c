/* The host: over fake transports in virtual time, and over UDP with the loop.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"
#include "net.h"

#include <copse/host.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Calls of the allocator by our libraries: the linker sends them here. */
static unsigned allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static size_t allocations_left = SIZE_MAX; /* that succeed */

static bool may_allocate(void)
{
	allocations++;
	if (allocations_left == 0)
		return false;
	allocations_left -= allocations_left != SIZE_MAX;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
	return may_allocate() ? __real_realloc(p, size) : NULL;
}

/* ---- a program that answers every request with its payload, and counts what comes back ---- */

struct program {
	struct copse_host *host;
	struct copse_loop *loop;
	unsigned requests, responses, failures;
	int last_error;
	uint8_t last[64];
	size_t last_len;
	struct copse_peer last_peer;
	/* Keep so many requests to `to` under way until `left` have been sent. */
	struct copse_peer to;
	unsigned left;
	/* Detach this one when the next event comes. */
	struct copse_transport *drop;
	copse_ms wake_at, woken_at;
	bool short_way; /* answer without the endpoint */
	bool behind;    /* what it was told last */
	unsigned told;
	unsigned shown; /* datagrams, to its short way */
};

static int ask(struct program *p, const struct copse_peer *to, bool con, copse_ms now)
{
	uint8_t rest[32];
	struct copse_builder b;
	struct copse_out out = {.code = COPSE_CODE_GET, .con = con, .rest = rest};
	copse_handle exchange;

	copse_build_rest(&b, rest, sizeof rest);
	copse_build_payload(&b, "ping", 4);
	out.rest_len = (size_t)copse_build_finish(&b);
	return copse_endpoint_request(copse_host_endpoint(p->host), to, &out, 0, NULL, now, &exchange);
}

static void answer(struct copse_endpoint *ep, const struct copse_event *e, copse_ms now)
{
	uint8_t rest[64];
	struct copse_builder b;
	struct copse_out out = {.code = COPSE_CODE_CONTENT, .rest = rest};

	copse_build_rest(&b, rest, sizeof rest);
	copse_build_payload(&b, copse_message_payload(e->message), e->message->payload_len);
	out.rest_len = (size_t)copse_build_finish(&b);
	assert_int_equal(copse_endpoint_respond(ep, e->exchange, &out, now), COPSE_OK);
}

static void event(void *self, struct copse_endpoint *ep, const struct copse_event *e, copse_ms now)
{
	struct program *p = self;

	p->last_peer = *e->peer;
	switch (e->kind) {
	case COPSE_EVENT_REQUEST:
		p->requests++;
		answer(ep, e, now);
		break;
	case COPSE_EVENT_RESPONSE:
		p->responses++;
		p->last_len = e->message->payload_len;
		memcpy(p->last, copse_message_payload(e->message), p->last_len);
		if (p->left > 0) {
			p->left--;
			assert_int_equal(ask(p, &p->to, true, now), COPSE_OK);
		} else if (p->loop) {
			copse_loop_stop(p->loop);
		}
		break;
	case COPSE_EVENT_FAILED:
		p->failures++;
		p->last_error = e->error;
		if (p->loop)
			copse_loop_stop(p->loop);
		break;
	default: break;
	}
	if (p->drop) {
		copse_host_detach(p->host, p->drop);
		p->drop = NULL;
	}
}

/* Acknowledge with the same payload, by the application itself. */
static size_t at_once(void *self, const struct copse_peer *peer, const uint8_t *bytes, size_t len,
		      uint8_t *reply, size_t cap, copse_ms now)
{
	struct program *p = self;

	(void)now;
	p->shown += p->short_way;
	if (!p->short_way || len < COPSE_HEADER_LEN || !cap)
		return 0;
	p->last_peer = *peer;
	assert_true(cap >= len);
	memcpy(reply, bytes, len);
	reply[0] |= COPSE_ACK << 4;
	reply[1] = COPSE_CODE_CONTENT;
	return len;
}

static void behind(void *self, bool is)
{
	struct program *p = self;

	assert_true(is != p->behind);
	p->behind = is;
	p->told++;
}

static struct copse_host_config small(void)
{
	struct copse_host_config c = COPSE_HOST_DEFAULT;

	c.endpoint.group[0].nstart = 100;
	c.endpoint.seed[0] = 1;
	c.transports = 3;
	c.receive_batch = 4;
	c.send_batch = 4;
	c.receive_size = 2048;
	return c;
}

static void start_with(struct program *p, struct copse_host_config c, struct copse_loop *loop)
{
	struct copse_handler handler = {.event = event, .self = p, .at_once = at_once, .behind = behind};

	*p = (struct program){.loop = loop, .wake_at = COPSE_NEVER};
	p->host = copse_host_new(&c, &handler, loop, loop ? copse_clock_ms() : 0);
	assert_non_null(p->host);
}

static void start(struct program *p)
{
	start_with(p, small(), NULL);
}

static struct copse_peer to_fake(const struct fake *from, const struct fake *to)
{
	struct copse_peer peer;

	assert_int_equal(copse_peer_from_address(from->base.id, &to->at, &peer), COPSE_OK);
	return peer;
}

/* Two programs and a link between them. */
struct two {
	struct program client, server;
	struct fake here, there;
	struct copse_peer to;
};

static void two_start(struct two *t)
{
	start(&t->client);
	start(&t->server);
	fake_open(&t->here, "2001:db8::1", 0);
	fake_open(&t->there, "2001:db8::2", 0);
	assert_int_equal(copse_host_attach(t->client.host, &t->here.base), COPSE_OK);
	assert_int_equal(copse_host_attach(t->server.host, &t->there.base), COPSE_OK);
	t->to = to_fake(&t->here, &t->there);
}

static void two_end(struct two *t)
{
	copse_host_free(t->client.host);
	copse_host_free(t->server.host);
	assert_true(t->here.closed);
	assert_true(t->there.closed);
}

static int two_step(struct two *t, copse_ms now)
{
	int n = copse_host_step(t->client.host, now);

	return n + copse_host_step(t->server.host, now);
}

/* ---- step by step ---- */

static void test_conversation(void **state)
{
	struct two t;

	(void)state;
	two_start(&t);
	assert_int_equal(ask(&t.client, &t.to, true, 5), COPSE_OK);
	while (two_step(&t, 5))
		;
	assert_int_equal(t.server.requests, 1);
	assert_int_equal(t.client.responses, 1);
	assert_memory_equal(t.client.last, "ping", 4);
	assert_int_equal(t.client.last_len, 4);
	assert_true(copse_peer_equal(&t.client.last_peer, &t.to));
	assert_int_equal(two_step(&t, 5), 0);
	two_end(&t);
}

/* What is answered at once never meets the endpoint; with every place taken by datagrams that cannot leave, the
 * endpoint gets it, as if there were no such way. */
static void test_at_once(void **state)
{
	enum { N = 10 };
	struct two t;
	const struct copse_host_counters *c;

	(void)state;
	two_start(&t);
	c = copse_host_counters(t.server.host);
	t.server.short_way = true;
	t.there.room = 0; /* its answers wait */
	for (int i = 0; i < N; i++)
		assert_int_equal(ask(&t.client, &t.to, true, 5), COPSE_OK);
	for (int i = 0; i < 5; i++)
		two_step(&t, 5);
	assert_int_equal(c->at_once, 4); /* as many as send_batch */
	assert_int_equal(t.server.shown, N);
	assert_int_equal(t.server.requests, N - 4);
	t.there.room = 1000;
	while (two_step(&t, 5))
		;
	assert_int_equal(t.client.responses, N);
	assert_memory_equal(t.client.last, "ping", 4);
	t.server.requests = 0;
	assert_int_equal(ask(&t.client, &t.to, true, 5), COPSE_OK);
	while (two_step(&t, 5))
		;
	assert_int_equal(t.client.responses, N + 1);
	assert_int_equal(t.server.requests, 0);
	assert_int_equal(c->at_once, 5);
	two_end(&t);
}

/* Nobody answers: the deadline leads through the retransmissions to the failure, and nothing happens before it. */
static void test_deadlines(void **state)
{
	struct two t;
	copse_ms now = 0;
	unsigned rounds = 0;

	(void)state;
	two_start(&t);
	copse_host_detach(t.server.host, &t.there.base);
	assert_int_equal(ask(&t.client, &t.to, true, now), COPSE_OK);
	copse_host_step(t.client.host, now);
	while (!t.client.failures) {
		copse_ms next = copse_host_deadline(t.client.host);

		assert_true(next > now && next != COPSE_NEVER);
		assert_int_equal(copse_host_step(t.client.host, next - 1), 0);
		now = next;
		copse_host_step(t.client.host, now);
		assert_true(++rounds < 100);
	}
	assert_int_equal(t.client.last_error, COPSE_ERR_TIMEOUT);
	assert_int_equal(t.here.base.counters.sent, 5);
	assert_true(now >= 62000 && now <= 93000); /* 31 times ACK_TIMEOUT, up to half as much more */
	two_end(&t);
}

/* More to send than there are places, and a transport that takes it bit by bit: everything goes, once, in order. */
static void test_blocked(void **state)
{
	enum { N = 50 };
	struct two t;
	const struct copse_host_counters *c;

	(void)state;
	two_start(&t);
	c = copse_host_counters(t.client.host);
	t.here.room = 0;
	for (int i = 0; i < N; i++)
		assert_int_equal(ask(&t.client, &t.to, true, 1), COPSE_OK);
	assert_int_equal(copse_host_step(t.client.host, 1), 0);
	assert_true(t.here.base.blocked);
	assert_int_equal(c->stalled, 1);
	assert_int_equal(t.here.base.counters.sent, 0);
	for (int i = 0; i < N; i++) {
		t.here.room = 1;
		assert_int_equal(copse_host_step(t.client.host, 1), 1);
		assert_int_equal(t.here.base.counters.sent, i + 1);
	}
	t.here.room = SIZE_MAX;
	while (two_step(&t, 1))
		;
	assert_int_equal(t.here.base.counters.sent, N);
	assert_int_equal(t.server.requests, N);
	assert_int_equal(t.client.responses, N);
	assert_int_equal(copse_endpoint_counters(copse_host_endpoint(t.server.host))->duplicates, 0);
	two_end(&t);
}

/* A blocked transport is not tried again until it may have become writable; another one flows past it. */
static void test_blocked_beside_another(void **state)
{
	struct two t;
	struct fake second, other;
	struct copse_peer to;
	size_t offered;

	(void)state;
	two_start(&t);
	fake_open(&second, "2001:db8::3", 0);
	fake_open(&other, "2001:db8::4", 0);
	assert_int_equal(copse_host_attach(t.client.host, &second.base), COPSE_OK);
	to = to_fake(&second, &other);
	t.here.room = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(&t.client, &t.to, true, 1), COPSE_OK);
		assert_int_equal(ask(&t.client, &to, true, 1), COPSE_OK);
	}
	assert_int_equal(copse_host_step(t.client.host, 1), 3);
	assert_int_equal(second.base.counters.sent, 3);
	assert_int_equal(t.here.base.counters.sent, 0);
	offered = t.here.offered;
	copse_host_flush(t.client.host, 1);
	assert_int_equal(t.here.offered, offered);
	t.here.room = SIZE_MAX;
	assert_int_equal(copse_host_step(t.client.host, 1), 3);
	assert_int_equal(t.here.base.counters.sent, 3);
	other.base.ops->close(&other.base);
	two_end(&t);
}

static void test_failures(void **state)
{
	struct two t;
	struct copse_peer nobody;

	(void)state;
	two_start(&t);
	nobody = t.to;
	nobody.key[2]++;
	assert_int_equal(ask(&t.client, &t.to, true, 1), COPSE_OK);
	assert_int_equal(ask(&t.client, &t.to, true, 1), COPSE_OK);
	copse_host_step(t.client.host, 1);
	t.here.dead[0] = t.to;
	t.here.dead[1] = nobody;
	t.here.dead_n = 2;
	t.here.base.failed = true;
	copse_host_step(t.client.host, 1);
	assert_int_equal(t.client.failures, 2);
	assert_int_equal(t.client.last_error, COPSE_ERR_TRANSPORT);
	assert_false(t.here.base.failed);
	two_end(&t);
}

/* Datagrams for a transport that is gone are dropped and counted, not sent through the one that took its place. */
static void test_detached(void **state)
{
	struct two t;
	struct fake successor;

	(void)state;
	two_start(&t);
	assert_int_equal(ask(&t.client, &t.to, true, 1), COPSE_OK);
	copse_host_detach(t.client.host, &t.here.base);
	assert_true(t.here.closed);
	assert_null(copse_host_transport(t.client.host, &t.to));
	fake_open(&successor, "2001:db8::1", 0);
	assert_int_equal(copse_host_attach(t.client.host, &successor.base), COPSE_OK);
	assert_int_not_equal(successor.base.id, copse_peer_transport(&t.to));
	assert_int_equal(copse_host_step(t.client.host, 1), 1);
	assert_int_equal(copse_host_counters(t.client.host)->unroutable, 1);
	assert_int_equal(successor.base.counters.sent, 0);
	two_end(&t);
}

/* The application is told when that changes, before the datagrams. */
static void test_behind(void **state)
{
	struct two t;

	(void)state;
	two_start(&t);
	for (int i = 0; i < 6; i++) {
		t.there.base.behind = i / 2 % 2;
		assert_int_equal(ask(&t.client, &t.to, false, 5), COPSE_OK);
		two_step(&t, 5);
		assert_int_equal(t.server.behind, i / 2 % 2);
	}
	assert_int_equal(t.server.told, 2);
	assert_int_equal(t.server.requests, 6);
	two_end(&t);
}

static void test_detached_by_handler(void **state)
{
	struct two t;

	(void)state;
	two_start(&t);
	t.server.drop = &t.there.base;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&t.client, &t.to, true, 1), COPSE_OK);
	copse_host_step(t.client.host, 1);
	copse_host_step(t.server.host, 1);
	assert_true(t.there.closed);
	assert_int_equal(t.server.requests, 3); /* they had been received */
	assert_int_equal(copse_host_counters(t.server.host)->unroutable, 3);
	two_end(&t);
}

static void test_slots(void **state)
{
	struct program p;
	struct fake f[4], g;
	uint16_t last[3] = {0};

	(void)state;
	start(&p);
	for (int i = 0; i < 4; i++) {
		char text[32];

		snprintf(text, sizeof text, "2001:db8::%d", i + 1);
		fake_open(&f[i], text, 0);
		assert_int_equal(copse_host_attach(p.host, &f[i].base), i < 3 ? COPSE_OK : COPSE_ERR_NOROOM);
		assert_ptr_equal(copse_host_transport_at(p.host, (size_t)i), i < 3 ? &f[i].base : NULL);
	}
	f[3].base.ops->close(&f[3].base);
	for (int i = 0; i < 3; i++)
		last[i] = f[i].base.id;
	/* The ids of a slot differ from those of the other slots for as long as there are any, and are never 0. */
	copse_host_detach(p.host, &f[1].base);
	for (unsigned i = 0; i < 70000; i++) {
		fake_open(&g, "2001:db8::99", 0);
		assert_int_equal(copse_host_attach(p.host, &g.base), COPSE_OK);
		assert_true(g.base.id != 0 && g.base.id != last[0] && g.base.id != last[1] &&
			    g.base.id != last[2]);
		last[1] = g.base.id;
		copse_host_detach(p.host, &g.base);
	}
	copse_host_free(p.host);
	copse_host_free(NULL);
}

/* Transports with timers of their own. */
static void test_tick(void **state)
{
	struct two t;

	(void)state;
	two_start(&t);
	assert_int_equal(copse_host_deadline(t.client.host), 0); /* asks each transport once */
	t.here.tick_at = 500;
	copse_host_step(t.client.host, 1);
	assert_int_equal(copse_host_deadline(t.client.host), 500);
	copse_host_step(t.client.host, 499);
	assert_int_equal(t.here.ticks, 0);
	copse_host_step(t.client.host, 500);
	assert_int_equal(t.here.ticks, 1);
	assert_int_equal(copse_host_deadline(t.client.host), COPSE_NEVER);
	/* One that is moved by traffic is noticed. */
	t.here.tick_at = 700;
	assert_int_equal(ask(&t.client, &t.to, true, 600), COPSE_OK);
	copse_host_step(t.client.host, 600);
	assert_int_equal(copse_host_deadline(t.client.host), 700);
	two_end(&t);
}

static copse_ms wake_at(void *self)
{
	return ((struct program *)self)->wake_at;
}

static void wake(void *self, copse_ms now)
{
	struct program *p = self;

	p->woken_at = now;
	p->wake_at = COPSE_NEVER;
	if (p->loop)
		copse_loop_stop(p->loop);
}

/* What sits on the endpoint has deadlines too. */
static void test_deadline_above(void **state)
{
	struct copse_host_config c = small();
	struct program p = {.wake_at = 300};
	struct copse_handler handler = {.event = event, .self = &p, .deadline = wake_at, .expire = wake};
	struct copse_loop *loop = copse_loop_new();

	(void)state;
	p.host = copse_host_new(&c, &handler, NULL, 0);
	assert_int_equal(copse_host_deadline(p.host), 300);
	copse_host_step(p.host, 299);
	assert_int_equal(p.woken_at, 0);
	copse_host_step(p.host, 301);
	assert_int_equal(p.woken_at, 301);
	assert_int_equal(copse_host_deadline(p.host), COPSE_NEVER);
	copse_host_free(p.host);

	p = (struct program){.wake_at = copse_clock_ms() + 5, .loop = loop};
	p.host = copse_host_new(&c, &handler, loop, copse_clock_ms());
	copse_loop_run(loop);
	assert_true(p.woken_at > 0);
	copse_host_free(p.host);
	copse_loop_free(loop);
}

/* Whichever allocation fails: no host, and nothing lost (the sanitizer watches). */
static void test_no_memory(void **state)
{
	struct copse_host_config c = small();
	struct copse_handler handler = {.event = event};
	struct copse_host *host = NULL;
	size_t n = 0;

	(void)state;
	while (!host) {
		allocations_left = n++;
		host = copse_host_new(&c, &handler, NULL, 0);
		allocations_left = SIZE_MAX;
		assert_true(n < 100);
	}
	assert_true(n > 5);
	copse_host_free(host);
}

static void test_random(void **state)
{
	uint8_t a[300] = {0}, b[300] = {0};

	(void)state;
	copse_host_random(a, sizeof a);
	copse_host_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_memory_not_equal(a + 200, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

/* Without a seed in the configuration two hosts make different tokens. */
static void test_seeded_by_system(void **state)
{
	struct two t[2];
	uint8_t first[2][16];
	uint8_t bytes[64];
	struct copse_datagram d = {.data = bytes, .cap = sizeof bytes};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct copse_host_config c = small();

		c.endpoint.seed[0] = 0;
		start_with(&t[i].client, c, NULL);
		fake_open(&t[i].here, "2001:db8::1", 0);
		fake_open(&t[i].there, "2001:db8::2", 0);
		assert_int_equal(copse_host_attach(t[i].client.host, &t[i].here.base), COPSE_OK);
		t[i].to = to_fake(&t[i].here, &t[i].there);
		assert_int_equal(ask(&t[i].client, &t[i].to, true, 1), COPSE_OK);
		copse_host_step(t[i].client.host, 1);
		assert_int_equal(copse_transport_receive(&t[i].there.base, &d, 1, 1), 1);
		memcpy(first[i], bytes, 12);
		copse_host_free(t[i].client.host);
		copse_transport_close(&t[i].there.base);
	}
	assert_memory_not_equal(first[0] + 4, first[1] + 4, 8);
}

/* ---- over UDP, with the loop ---- */

static struct copse_transport *listen_on(struct program *p, const char *text)
{
	char why[160] = "";
	struct copse_transport *t =
	    copse_host_listen(p->host, &(struct copse_udp_config){.bind = address(text, 0)}, why, sizeof why);

	if (!t)
		fail_msg("%s", why);
	return t;
}

/* A thousand requests, twenty at a time, between two programs in one loop: answered all, without an allocation, and
 * with fewer system calls than datagrams. */
static void test_loop(void **state)
{
	enum { ALL = 1000, AT_ONCE = 20 };
	struct copse_loop *loop = copse_loop_new();
	struct copse_host_config c = small();
	struct program client, server;
	struct copse_transport *from, *to;
	unsigned before;

	(void)state;
	c.receive_batch = c.send_batch = 32;
	start_with(&client, c, loop);
	start_with(&server, c, loop);
	server.loop = NULL;
	from = listen_on(&client, "127.0.0.1:0");
	to = listen_on(&server, "0.0.0.0:0");
	client.to = peer_at(from, "127.0.0.1", to);
	client.left = ALL - AT_ONCE;
	for (int i = 0; i < AT_ONCE; i++)
		assert_int_equal(ask(&client, &client.to, true, copse_clock_ms()), COPSE_OK);
	before = allocations;
	while (client.responses + client.failures < ALL)
		copse_loop_run(loop);
	assert_int_equal(allocations, before);
	assert_int_equal(client.responses, ALL);
	assert_int_equal(client.failures, 0);
	assert_int_equal(server.requests, ALL);
	assert_int_equal(from->counters.sent, ALL);
	assert_int_equal(to->counters.received, ALL);
	assert_true(from->counters.send_calls <= ALL / 2);
	assert_true(to->counters.receive_calls <= ALL / 2);
	assert_true(copse_host_counters(server.host)->batches_out <= ALL / 2);
	copse_host_free(client.host);
	copse_host_free(server.host);
	copse_loop_free(loop);
}

static void make_room(void *self, copse_ms now)
{
	struct fake *f = self;

	(void)now;
	f->room = SIZE_MAX;
}

/* Blocked under the loop: taken up again when the descriptor is writable, without anything else happening. */
static void test_loop_blocked(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct copse_timer timer = {.due = make_room};
	struct program p;
	struct fake here, there;
	struct copse_peer to;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	start_with(&p, small(), loop);
	fake_open(&here, "2001:db8::1", 0);
	fake_open(&there, "2001:db8::2", 0);
	here.base.fd = ends[1];
	here.room = 0;
	timer.self = &here;
	assert_int_equal(copse_host_attach(p.host, &here.base), COPSE_OK);
	to = to_fake(&here, &there);
	assert_int_equal(ask(&p, &to, true, copse_clock_ms()), COPSE_OK);
	copse_loop_set(loop, &timer, copse_clock_ms() + 5);
	while (!here.base.counters.sent)
		copse_loop_step(
		    loop,
		    1); /* sending is done before the sleep, which would else last till the next deadline */
	assert_int_equal(here.base.counters.sent, 1);
	assert_true(here.base.counters.send_blocked > 0);
	/* The descriptor is writable all the time, but nobody asks any more. */
	assert_int_equal(copse_loop_step(loop, 0), 0);
	there.base.ops->close(&there.base);
	copse_host_free(p.host);
	copse_loop_free(loop);
	close(ends[0]);
	close(ends[1]);
}

/* The network says that nobody is there: the exchange fails at once, not after 93 seconds. */
static void test_loop_unreachable(void **state)
{
	struct copse_loop *loop = copse_loop_new();
	struct program p;
	struct copse_transport *t;
	struct copse_peer nobody;
	int fd = raw_socket("127.0.0.1:0");
	struct copse_address dead = raw_address(fd);

	(void)state;
	close(fd);
	start_with(&p, small(), loop);
	t = listen_on(&p, "127.0.0.1:0");
	assert_int_equal(copse_transport_peer(t, &dead, &nobody), COPSE_OK);
	assert_int_equal(ask(&p, &nobody, true, copse_clock_ms()), COPSE_OK);
	copse_loop_run(loop);
	assert_int_equal(p.failures, 1);
	assert_int_equal(p.last_error, COPSE_ERR_TRANSPORT);
	copse_host_free(p.host);
	copse_loop_free(loop);
}

static void test_listen_refused(void **state)
{
	struct program p;
	char why[160] = "";
	struct copse_udp_config c = {.bind = address("192.0.2.77:0", 0)};
	struct copse_udp_config good = {.bind = address("127.0.0.1", 0)};

	(void)state;
	start(&p);
	assert_null(copse_host_listen(p.host, &c, why, sizeof why));
	assert_memory_equal(why, "cannot bind 192.0.2.77:0: ", 26);
	for (int i = 0; i < 3; i++)
		assert_non_null(copse_host_listen(p.host, &good, why, sizeof why));
	assert_null(copse_host_listen(p.host, &good, why, sizeof why));
	assert_string_equal(why, "no room for another socket");
	copse_host_free(p.host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_conversation),
	    cmocka_unit_test(test_at_once),
	    cmocka_unit_test(test_deadlines),
	    cmocka_unit_test(test_blocked),
	    cmocka_unit_test(test_blocked_beside_another),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_detached),
	    cmocka_unit_test(test_detached_by_handler),
	    cmocka_unit_test(test_behind),
	    cmocka_unit_test(test_slots),
	    cmocka_unit_test(test_tick),
	    cmocka_unit_test(test_deadline_above),
	    cmocka_unit_test(test_no_memory),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_seeded_by_system),
	    cmocka_unit_test(test_loop),
	    cmocka_unit_test(test_loop_blocked),
	    cmocka_unit_test(test_loop_unreachable),
	    cmocka_unit_test(test_listen_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
