/* The relay between a client and a sensor, in virtual time, over a line that drops, doubles and flips bytes.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "copse-nic/relay.h"

#include <copse/client.h>
#include <copse/hdlc.h>
#include <copse/server.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRAME 128u

enum who { CLIENT, CARD, SENSOR, PARTIES };

/* One direction of the line. */
struct wire {
	struct copse_hdlc hdlc;
	uint8_t buf[FRAME + COPSE_HDLC_FCS];
};

struct world {
	copse_ms now;
	uint64_t random;
	double damage; /* of each byte on the line */
	bool cut;      /* nothing gets through */
	struct copse_endpoint *ep[PARTIES];
	void *memory[PARTIES];
	struct wire wire[2]; /* to the card, to the sensor */
	struct relay *relay;
	struct copse_server *server;
	struct copse_client *client;
	void *server_memory, *client_memory;

	/* the sensor */
	uint32_t value;
	uint8_t stored[8192];
	uint32_t stored_len;
	unsigned uploads, largest_frame;

	/* the client */
	struct copse_client_event last;
	uint8_t code;
	unsigned responses, failures, notifications;
	uint8_t got[8192];
	uint32_t got_len;
	const uint8_t *body;
	uint32_t body_len;
};

static struct world w;

static double chance(void)
{
	w.random = w.random * 6364136223846793005u + 1442695040888963407u;
	return (double)(w.random >> 11) / 9007199254740992.0;
}

static struct copse_peer peer_of(enum who who)
{
	return (struct copse_peer){.len = 1, .key = {(uint8_t)(who + 1)}, .group = 0};
}

/* ---- the sensor ---- */

static void get_value(const struct copse_request *rq, struct copse_response *rs)
{
	char text[16];

	(void)rq;
	snprintf(text, sizeof(text), "%u", (unsigned)w.value);
	copse_response_text(rs, text);
}

/* What is asked for stands in the query and in the answer: an answer to another request would show. */
static void get_mirror(const struct copse_request *rq, struct copse_response *rs)
{
	size_t len;
	const char *q = copse_request_query(rq, "q", &len);

	copse_response_copy(rs, COPSE_FORMAT_TEXT, q, len);
}

static int read_large(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	size_t n = 0;

	(void)user;
	for (; n < cap && offset < 5000; n++, offset++)
		buf[n] = (uint8_t)(offset * 7 + offset / 256);
	return (int)n;
}

static void get_large(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, 5000, read_large, NULL, NULL);
	copse_response_etag(rs, "v1", 2);
}

static void put_large(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	if (rq->body_offset == 0)
		w.stored_len = 0;
	assert_int_equal(rq->body_offset, w.stored_len);
	assert_true(w.stored_len + rq->body_len <= sizeof(w.stored));
	memcpy(w.stored + w.stored_len, rq->body, rq->body_len);
	w.stored_len += (uint32_t)rq->body_len;
	w.uploads += !rq->body_more;
}

static const struct copse_resource resources[] = {
    {.path = "value", .get = get_value, .flags = COPSE_RESOURCE_OBSERVABLE, .worth = COPSE_COMMAND},
    {.path = "mirror", .get = get_mirror},
    {.path = "large", .get = get_large, .put = put_large},
};

/* ---- the line ---- */

static void drain(enum who who);

static void hand_over(enum who to, enum who from, const void *bytes, size_t len)
{
	const struct copse_peer peer = peer_of(from);

	copse_endpoint_receive(w.ep[to], &peer, bytes, len, w.now);
	drain(to);
}

static size_t damage(uint8_t *line, size_t n, uint8_t *out)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t byte = line[i];
		if (chance() >= w.damage) {
			out[m++] = byte;
			continue;
		}
		switch ((int)(chance() * 3)) {
		case 0: break;                                                   /* dropped */
		case 1: out[m++] = byte, out[m++] = byte; break;                 /* doubled */
		default: out[m++] = (uint8_t)(byte ^ 1u << (int)(chance() * 8)); /* flipped */
		}
	}
	return m;
}

static void over_the_line(enum who to, enum who from, const uint8_t *bytes, size_t len)
{
	static uint8_t line[COPSE_HDLC_BYTES(2048)], out[2 * COPSE_HDLC_BYTES(2048)];
	struct wire *wire = &w.wire[to == SENSOR];
	size_t n = copse_hdlc_put(line, sizeof(line), bytes, len), at = 0, got;

	assert_true(len <= FRAME); /* the relay's and the sensor's promise */
	if (len > w.largest_frame)
		w.largest_frame = (unsigned)len;
	if (w.cut)
		return;
	n = damage(line, n, out);
	while (at < n) {
		at += copse_hdlc_take(&wire->hdlc, out + at, n - at, &got);
		if (got) {
			uint8_t copy[FRAME];
			memcpy(copy, wire->buf, got);
			hand_over(to, from, copy, got);
		}
	}
}

/* ---- moving the world ---- */

static void client_event(const struct copse_client_event *ce)
{
	w.last = *ce;
	switch (ce->kind) {
	case COPSE_CLIENT_RESPONSE: w.responses++; break;
	case COPSE_CLIENT_NOTIFICATION: w.notifications++; break;
	case COPSE_CLIENT_FAILED: w.failures++; return;
	case COPSE_CLIENT_PROGRESS: return;
	}
	w.code = ce->message ? ce->message->code : 0;
}

static void drain(enum who who)
{
	struct copse_client_event ce;
	struct copse_event event;

	while (copse_endpoint_next_event(w.ep[who], &event)) {
		if (who == SENSOR)
			copse_server_take(w.server, &event, w.now);
		else if (who == CARD && event.kind == COPSE_EVENT_REQUEST)
			relay_request(w.relay, &event, w.now);
		else if (who == CARD)
			assert_true(relay_take(w.relay, &event, w.now) || event.kind != COPSE_EVENT_RESPONSE);
		else if (copse_client_take(w.client, &event, w.now, &ce) > 0)
			client_event(&ce);
	}
}

/* Send whatever anybody has to send. Returns whether there was anything. */
static bool send_all(void)
{
	bool any = false;

	for (unsigned who = 0; who < PARTIES; who++) {
		uint8_t buf[2048];
		struct copse_peer to;
		int n;
		while ((n = copse_endpoint_transmit(w.ep[who], buf, sizeof(buf), &to, w.now)) > 0) {
			const enum who whom = (enum who)(to.key[0] - 1);
			any = true;
			if (who == SENSOR || whom == SENSOR)
				over_the_line(whom, (enum who)who, buf, (size_t)n);
			else
				hand_over(whom, (enum who)who, buf, (size_t)n);
		}
	}
	return any;
}

static copse_ms next(void)
{
	copse_ms at = copse_server_deadline(w.server);

	for (unsigned who = 0; who < PARTIES; who++) {
		const copse_ms mine = copse_endpoint_deadline(w.ep[who]);
		at = mine < at ? mine : at;
	}
	return copse_client_deadline(w.client) < at ? copse_client_deadline(w.client) : at;
}

static void expire(void)
{
	struct copse_client_event ce;

	for (unsigned who = 0; who < PARTIES; who++) {
		copse_endpoint_expire(w.ep[who], w.now);
		drain((enum who)who);
	}
	copse_server_expire(w.server, w.now);
	while (copse_client_expire(w.client, w.now, &ce))
		client_event(&ce);
}

/* Let time pass until `*count` has changed, or until `end`. */
static void run(const unsigned *count, copse_ms end)
{
	const unsigned before = count ? *count : 0;

	while (!count || *count == before) {
		copse_ms at;
		if (send_all())
			continue;
		at = next();
		if (at > end) {
			w.now = end > w.now ? end : w.now;
			return;
		}
		w.now = at > w.now ? at : w.now;
		expire();
	}
}

/* ---- making it ---- */

static struct copse_endpoint *make_endpoint(enum who who)
{
	struct copse_config c = {.group_n = 1,
				 .exchange_cap = 64,
				 .incoming_cap = 4096,
				 .peer_cap = 16,
				 .chunk_cap = 4096,
				 .reply_cap = 64,
				 .seed = {11, who}};
	const struct copse_params defaults = COPSE_PARAMS_DEFAULT;
	size_t len;

	c.group[0] = defaults;
	c.group[0].nstart = 8;
	c.group[0].probing_rate = 0;
	len = copse_endpoint_bytes(&c);
	w.memory[who] = calloc(1, len);
	return copse_endpoint_init(w.memory[who], len, &c, w.now);
}

static void make_world(double damage_rate, uint64_t seed)
{
	struct copse_server_config server = COPSE_SERVER_DEFAULT;
	struct copse_client_config client = COPSE_CLIENT_DEFAULT;
	struct relay_config relay = RELAY_DEFAULT;
	const struct copse_peer sensor = peer_of(SENSOR);
	size_t len;

	memset(&w, 0, sizeof(w));
	w.now = 1000;
	w.random = seed;
	w.damage = damage_rate;
	for (unsigned who = 0; who < PARTIES; who++)
		w.ep[who] = make_endpoint((enum who)who);
	for (unsigned i = 0; i < 2; i++)
		copse_hdlc_init(&w.wire[i].hdlc, w.wire[i].buf, sizeof(w.wire[i].buf));
	relay.frame_max = FRAME;
	relay.observers_max = 2;
	relay.passes_max = 8;
	w.relay = relay_new(&relay, w.ep[CARD]);
	server.message_len = FRAME;
	server.szx = 1;
	len = copse_server_bytes(&server);
	w.server_memory = calloc(1, len);
	w.server = copse_server_init(w.server_memory, len, &server, w.ep[SENSOR], w.now);
	assert_int_equal(copse_server_add_all(w.server, resources, 3), 0);
	len = copse_client_bytes(&client);
	w.client_memory = calloc(1, len);
	w.client = copse_client_init(w.client_memory, len, &client, w.ep[CLIENT]);
	relay_line(w.relay, &sensor, w.now);
}

static void end_world(void)
{
	relay_free(w.relay);
	free(w.server_memory);
	free(w.client_memory);
	for (unsigned who = 0; who < PARTIES; who++)
		free(w.memory[who]);
}

/* ---- the client ---- */

static int write_body(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	(void)user;
	assert_true(offset + len <= sizeof(w.got));
	memcpy(w.got + offset, bytes, len);
	w.got_len = offset + (uint32_t)len;
	return 0;
}

static int read_body(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	size_t n = 0;

	(void)user;
	for (; n < cap && offset < w.body_len; n++, offset++)
		buf[n] = w.body[offset];
	return (int)n;
}

static copse_handle start(uint8_t code, unsigned flags, const char *path, const char *query)
{
	static const struct copse_peer card = {.len = 1, .key = {CARD + 1}};
	static uint8_t room[16][64]; /* each until its call is over */
	static unsigned calls;
	uint8_t *options = room[calls++ % 16];
	struct copse_call call = {.peer = &card,
				  .code = code,
				  .flags = (uint8_t)flags,
				  .szx = 6,
				  .options = options,
				  .body_len = w.body_len,
				  .read = read_body,
				  .write = write_body};
	struct copse_builder b;
	copse_handle handle;

	copse_build_rest(&b, options, sizeof(room[0]));
	copse_build_option(&b, COPSE_OPTION_URI_PATH, path, strlen(path));
	if (query)
		copse_build_option(&b, COPSE_OPTION_URI_QUERY, query, strlen(query));
	call.options_len = (size_t)copse_build_finish(&b);
	w.got_len = 0;
	assert_int_equal(copse_client_start(w.client, &call, w.now, &handle), 0);
	return handle;
}

static void ask(uint8_t code, const char *path, const char *query)
{
	const unsigned before = w.responses + w.failures;

	start(code, COPSE_CALL_CON, path, query);
	for (unsigned i = 0; w.responses + w.failures == before; i++) {
		assert_true(i < 1000);
		run(&w.responses, w.now + 1000);
	}
}

/* ---- what is asked ---- */

static void test_plain(void **state)
{
	(void)state;
	make_world(0, 1);
	w.value = 42;
	ask(COPSE_CODE_GET, "value", NULL);
	assert_int_equal(w.code, COPSE_CODE_CONTENT);
	assert_int_equal(w.got_len, 2);
	assert_memory_equal(w.got, "42", 2);
	ask(COPSE_CODE_GET, "nothing", NULL);
	assert_int_equal(w.code, COPSE_CODE_NOT_FOUND);
	ask(COPSE_CODE_DELETE, "value", NULL);
	assert_int_equal(w.code, COPSE_CODE_METHOD_NOT_ALLOWED);
	assert_int_equal(relay_pending(w.relay), 0);
	end_world();
}

/* Ten thousand requests over a line that damages one byte of two hundred: every answer is the right one, or an error that
 * says that there is none. */
static void test_bad_line(void **state)
{
	unsigned right = 0, none = 0;

	(void)state;
	make_world(0.005, 2);
	for (unsigned i = 0; i < 10000; i++) {
		char query[32];
		const int n = snprintf(query, sizeof(query), "q=%u.%u", i, i * 2654435761u);

		ask(COPSE_CODE_GET, "mirror", query);
		if (w.last.kind == COPSE_CLIENT_RESPONSE && w.code == COPSE_CODE_CONTENT) {
			assert_int_equal(w.got_len, n - 2);
			assert_memory_equal(w.got, query + 2, n - 2);
			right++;
		} else {
			assert_int_equal(w.code, COPSE_CODE_GATEWAY_TIMEOUT);
			none++;
		}
	}
	assert_int_equal(right + none, 10000);
	assert_true(right > 9900);
	assert_true(w.wire[0].hdlc.counters.damaged > 100 && w.wire[1].hdlc.counters.damaged > 100);
	assert_int_equal(relay_pending(w.relay), 0);
	end_world();
}

/* Bodies both ways, in blocks of 1024 towards the client and of what a frame holds on the line. */
static void test_blocks(void **state)
{
	static uint8_t body[3000];

	(void)state;
	make_world(0.002, 3);
	for (unsigned i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 13 + i / 256);
	w.body = body;
	w.body_len = sizeof(body);
	ask(COPSE_CODE_PUT, "large", NULL);
	assert_int_equal(w.code, COPSE_CODE_CHANGED);
	assert_int_equal(w.uploads, 1);
	assert_int_equal(w.stored_len, sizeof(body));
	assert_memory_equal(w.stored, body, sizeof(body));
	assert_true(relay_counters(w.relay)->pieces > 10); /* the first block was cut */

	w.body_len = 700; /* one datagram, many frames */
	ask(COPSE_CODE_PUT, "large", NULL);
	assert_int_equal(w.code, COPSE_CODE_CHANGED);
	assert_int_equal(w.uploads, 2);
	assert_int_equal(w.stored_len, 700);
	assert_memory_equal(w.stored, body, 700);

	w.body_len = 0;
	ask(COPSE_CODE_GET, "large", NULL);
	assert_int_equal(w.code, COPSE_CODE_CONTENT);
	assert_int_equal(w.got_len, 5000);
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(w.got[i], (uint8_t)(i * 7 + i / 256));
	end_world();
}

static void test_observe(void **state)
{
	copse_handle call;

	(void)state;
	make_world(0, 4);
	w.value = 1;
	call = start(COPSE_CODE_GET, COPSE_CALL_CON | COPSE_CALL_OBSERVE, "value", NULL);
	run(NULL, w.now + 100);
	assert_int_equal(w.notifications, 1);
	assert_int_equal(relay_observers(w.relay), 1);
	for (unsigned i = 2; i < 6; i++) {
		w.value = i;
		copse_server_changed(w.server, &resources[0], NULL, w.now);
		run(NULL, w.now + 100);
		assert_int_equal(w.notifications, i);
		assert_int_equal(w.got[0], '0' + i);
	}
	copse_client_stop(w.client, call, w.now);
	run(NULL, w.now + 100);
	assert_int_equal(w.responses, 1);
	assert_int_equal(relay_observers(w.relay) + relay_pending(w.relay), 0);
	assert_int_equal(copse_server_observers(w.server, NULL), 0);
	end_world();
}

/* The client forgets: its Reset reaches the sensor as a cancellation. */
static void test_observer_rejects(void **state)
{
	copse_handle call;

	(void)state;
	make_world(0, 5);
	call = start(COPSE_CODE_GET, COPSE_CALL_CON | COPSE_CALL_OBSERVE, "value", NULL);
	run(NULL, w.now + 100);
	assert_int_equal(relay_observers(w.relay), 1);
	copse_client_abort(w.client, call, w.now);
	w.value = 9;
	copse_server_changed(w.server, &resources[0], NULL, w.now);
	run(NULL, w.now + 1000);
	assert_int_equal(relay_observers(w.relay) + relay_pending(w.relay), 0);
	assert_int_equal(copse_server_observers(w.server, NULL), 0);
	assert_int_equal(relay_counters(w.relay)->left, 1);
	end_world();
}

/* A dead sensor is 5.04, a line that is down 5.03, at once; observers are told. */
static void test_dead(void **state)
{
	const struct copse_peer sensor = peer_of(SENSOR);

	(void)state;
	make_world(0, 6);
	w.cut = true;
	ask(COPSE_CODE_GET, "value", NULL);
	assert_int_equal(w.code, COPSE_CODE_GATEWAY_TIMEOUT);
	assert_int_equal(relay_counters(w.relay)->timeouts, 1);
	w.cut = false;
	start(COPSE_CODE_GET, COPSE_CALL_CON | COPSE_CALL_OBSERVE, "value", NULL);
	run(NULL, w.now + 100);
	assert_int_equal(relay_observers(w.relay), 1);
	relay_line(w.relay, NULL, w.now);
	run(NULL, w.now + 100);
	assert_int_equal(relay_observers(w.relay) + relay_pending(w.relay), 0);
	assert_int_equal(w.code, COPSE_CODE_SERVICE_UNAVAILABLE);
	w.code = 0;
	ask(COPSE_CODE_GET, "value", NULL);
	assert_int_equal(w.code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(relay_counters(w.relay)->down, 1);
	relay_line(w.relay, &sensor, w.now);
	ask(COPSE_CODE_GET, "value", NULL);
	assert_int_equal(w.code, COPSE_CODE_CONTENT);
	end_world();
}

/* More requests than there is room for: 5.03; more observers than there may be: a plain answer. */
static void test_bounds(void **state)
{
	(void)state;
	make_world(0, 7);
	for (unsigned i = 0; i < 3; i++) {
		start(COPSE_CODE_GET, COPSE_CALL_CON | COPSE_CALL_OBSERVE, "value", i ? "q=1" : NULL);
		run(NULL, w.now + 100);
	}
	assert_int_equal(relay_observers(w.relay), 2);
	assert_int_equal(relay_counters(w.relay)->observations_full, 1);
	w.cut = true;
	for (unsigned i = 0; i < 7; i++)
		start(COPSE_CODE_GET, COPSE_CALL_CON, "mirror", "q=1");
	run(NULL, w.now + 100);
	assert_int_equal(relay_pending(w.relay), 6);
	assert_int_equal(relay_counters(w.relay)->busy, 1);
	assert_int_equal(w.code, COPSE_CODE_SERVICE_UNAVAILABLE);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain),
					   cmocka_unit_test(test_bad_line),
					   cmocka_unit_test(test_blocks),
					   cmocka_unit_test(test_observe),
					   cmocka_unit_test(test_observer_rejects),
					   cmocka_unit_test(test_dead),
					   cmocka_unit_test(test_bounds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
