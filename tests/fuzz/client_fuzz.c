/* The client under arbitrary answers, calls and clock: block assembly, observations, Q-Block. The input is a program of
 * steps; whatever it does, pieces of a body come in order and without gaps, every call ends, and in the end everything
 * has been given back.
 *
 * Steps: one byte of operation, one of argument, more as the operation needs.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS    6
#define SENT_N   16
#define BODY_LEN 3000u

struct body {
	struct copse_call call;
	copse_handle handle;
	uint32_t next; /* where the next piece belongs */
};

struct run {
	struct copse_endpoint *ep;
	struct copse_client *client;
	copse_ms now;
	const uint8_t *data;
	size_t left;
	struct body body[CALLS];
	unsigned call_n;
	uint8_t sent[SENT_N][1200]; /* datagrams last transmitted, for answers that match */
	int sent_len[SENT_N];
	unsigned sent_n;
};

static uint8_t take(struct run *r)
{
	if (r->left == 0)
		return 0;
	r->left--;
	return *r->data++;
}

static void require(bool true_always, const char *what)
{
	if (!true_always) {
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

static int read_body(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	size_t n = offset < BODY_LEN ? BODY_LEN - offset : 0;

	(void)user;
	n = n < cap ? n : cap;
	memset(buf, 'b', n);
	return (int)n;
}

static int write_body(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	struct body *b = user;
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < len; i++) /* all of it is readable */
		sum = (uint8_t)(sum + bytes[i]);
	if (b->call.flags & COPSE_CALL_QBLOCK)
		return 0;
	require(offset == 0 || offset == b->next, "pieces come in order and without gaps");
	b->next = offset + (uint32_t)len;
	return 0;
}

static void told(const struct copse_client_event *e)
{
	const struct body *b = e->user;

	require(e->kind >= COPSE_CLIENT_RESPONSE && e->kind <= COPSE_CLIENT_FAILED, "kind of event");
	require((e->kind == COPSE_CLIENT_FAILED) == (e->error != 0), "what failed says why");
	require((e->kind != COPSE_CLIENT_RESPONSE && e->kind != COPSE_CLIENT_NOTIFICATION) || e->message,
		"what came has a message");
	require(e->sent <= BODY_LEN || b->call.body_len == COPSE_BODY_UNKNOWN,
		"no more is sent than there is");
}

static void drain(struct run *r)
{
	struct copse_event in;
	struct copse_client_event out;

	while (copse_endpoint_next_event(r->ep, &in)) {
		if (copse_client_take(r->client, &in, r->now, &out) > 0)
			told(&out);
	}
	while (copse_client_expire(r->client, r->now, &out))
		told(&out);
}

static void transmit(struct run *r)
{
	struct copse_peer to;

	for (;;) {
		unsigned at = r->sent_n % SENT_N;
		int n = copse_endpoint_transmit(r->ep, r->sent[at], sizeof(r->sent[at]), &to, r->now);
		if (n == 0)
			return;
		r->sent_len[at] = n;
		if ((r->sent[at][0] >> 4 & 3) <= COPSE_NON && r->sent[at][1])
			r->sent_n++;
	}
}

static void start(struct run *r, uint8_t arg)
{
	static const uint8_t options[] = {0xb1, 'a'};
	static struct copse_peer peer = {.len = 1, .key = {1}},
				 group = {.len = 1, .key = {2}, .flags = COPSE_PEER_MULTICAST};
	struct body *b = &r->body[r->call_n % CALLS];
	uint8_t more = take(r);

	copse_client_abort(r->client, b->handle, r->now);
	*b = (struct body){
	    .call = {.peer = &peer,
		     .code = (uint8_t)(1 + arg % 7),
		     .flags = more & (COPSE_CALL_CON | COPSE_CALL_OBSERVE | COPSE_CALL_MANY |
				      COPSE_CALL_QBLOCK | COPSE_CALL_ONE_BLOCK | COPSE_CALL_SILENT),
		     .szx = (uint8_t)((arg >> 3) % 7),
		     .early = more & 64,
		     .options = options,
		     .options_len = sizeof(options),
		     .read = read_body,
		     .write = write_body,
		     .user = b}};
	if (b->call.flags & COPSE_CALL_MANY) {
		b->call.peer = &group;
		b->call.flags &= (uint8_t)~COPSE_CALL_CON;
	}
	if (more & 128)
		b->call.body_len = arg & 64 ? COPSE_BODY_UNKNOWN : BODY_LEN;
	if (copse_client_start(r->client, &b->call, r->now, &b->handle) == 0)
		r->call_n++;
}

static void add_options(struct run *r, struct copse_builder *b, uint8_t what)
{
	static const uint16_t blocks[] = {COPSE_OPTION_BLOCK2, COPSE_OPTION_BLOCK1, COPSE_OPTION_Q_BLOCK2,
					  COPSE_OPTION_Q_BLOCK1};

	if (what & 1)
		copse_build_option(b, COPSE_OPTION_ETAG, "e", 1);
	if (what & 2)
		copse_build_uint(b, COPSE_OPTION_OBSERVE, take(r));
	for (unsigned i = 0; i < 4; i++) {
		if (what >> (2 + i) & 1)
			copse_build_uint(b, blocks[i], (uint32_t)take(r) << 3 | (take(r) & 15));
	}
	if (what & 64)
		copse_build_uint(b, COPSE_OPTION_CONTENT_FORMAT, 272);
	if (what & 128)
		copse_build_option(b, COPSE_OPTION_ECHO, "echo", 4);
}

/* An answer to one of the messages last sent: by its ID in an acknowledgement, or by its token alone. */
static void answer(struct run *r, uint8_t arg)
{
	static const uint8_t codes[] = {COPSE_CODE_CONTENT,
					COPSE_CODE_CONTINUE,
					COPSE_CODE_CHANGED,
					COPSE_CODE_VALID,
					COPSE_CODE_REQUEST_ENTITY_INCOMPLETE,
					COPSE_CODE_REQUEST_ENTITY_TOO_LARGE,
					COPSE_CODE_UNAUTHORIZED,
					COPSE_CODE_BAD_OPTION};
	static const uint16_t lengths[] = {0, 5, 16, 32, 64, 256, 1024, 1000};
	static uint8_t payload[1024];
	const struct copse_peer from = {.len = 1, .key = {1}};
	uint8_t head = take(r), which = take(r), buf[1200];
	struct copse_message m;
	struct copse_builder b;

	if (r->sent_n == 0)
		return;
	unsigned at = (r->sent_n - 1 - which % (r->sent_n < SENT_N ? r->sent_n : SENT_N)) % SENT_N;
	require(copse_message_parse(&m, r->sent[at], (size_t)r->sent_len[at]) == 0,
		"what we send is well formed");
	uint16_t id = m.id;
	if (!(head & 1))
		id = (uint16_t)(take(r) << 8 | which);
	copse_build_message(&b, buf, sizeof(buf), head & 1 ? COPSE_ACK : (enum copse_type)(head >> 1 & 1),
			    codes[arg & 7], id, copse_message_token(&m), m.token_len);
	add_options(r, &b, take(r));
	if (arg & 64) /* what the server misses */
		copse_build_payload(&b, "\x00\x05\x18\x1d", 4);
	else
		copse_build_payload(&b, payload, lengths[arg >> 3 & 7]);
	int n = copse_build_finish(&b);
	if (n < 0)
		return;
	uint8_t *copy = malloc((size_t)n);
	memcpy(copy, buf, (size_t)n);
	copse_endpoint_receive(r->ep, &from, copy, (size_t)n, r->now);
	drain(r);
	free(copy);
}

static void pass(struct run *r, copse_ms ms)
{
	r->now += ms;
	copse_endpoint_expire(r->ep, r->now);
	drain(r);
}

static void step(struct run *r, uint8_t op, uint8_t arg)
{
	copse_handle h = r->body[arg % CALLS].handle;

	switch (op & 7) {
	case 0: start(r, arg); break;
	case 1: pass(r, (copse_ms)arg * arg * 4); break;
	case 2: copse_client_stop(r->client, h, r->now); break;
	case 3: copse_client_abort(r->client, h, r->now); break;
	default: answer(r, arg); break;
	}
	transmit(r);
}

/* Cancel what would go on for ever, and let everything else come to its end. */
static void finish(struct run *r)
{
	struct copse_endpoint_usage usage;

	for (unsigned i = 0; i < CALLS; i++) {
		if (r->body[i].call.flags & COPSE_CALL_OBSERVE)
			copse_client_abort(r->client, r->body[i].handle, r->now);
	}
	for (int i = 0; i < 4000 && copse_client_calls(r->client); i++) {
		transmit(r);
		pass(r, 10000);
	}
	require(copse_client_calls(r->client) == 0, "every call ends");
	transmit(r);
	pass(r, 1000000);
	copse_endpoint_usage(r->ep, &usage);
	require(usage.exchanges == 0, "every exchange is given back");
	require(copse_client_deadline(r->client) == COPSE_NEVER, "no timer is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t memory[131072], client_memory[4096];
	static struct run r;
	struct copse_config config = {.group = {COPSE_PARAMS_DEFAULT},
				      .group_n = 1,
				      .exchange_cap = 40,
				      .incoming_cap = 32,
				      .peer_cap = 4,
				      .chunk_cap = 400,
				      .reply_cap = 16,
				      .seed = {1, 2}};
	struct copse_client_config client = COPSE_CLIENT_DEFAULT;

	config.group[0].probing_rate = 0; /* else a long transfer without answers takes hours */
	client.call_cap = 4;
	client.seed = 3;
	memset(&r, 0, sizeof(r));
	r.now = 1000;
	r.data = data;
	r.left = size;
	require(copse_endpoint_bytes(&config) <= sizeof(memory) &&
		    copse_client_bytes(&client) <= sizeof(client_memory),
		"memory suffices");
	r.ep = copse_endpoint_init(memory, sizeof(memory), &config, r.now);
	r.client = copse_client_init(client_memory, sizeof(client_memory), &client, r.ep);
	while (r.left >= 2) {
		uint8_t op = take(&r), arg = take(&r);
		step(&r, op, arg);
	}
	finish(&r);
	return 0;
}
