/* The whole endpoint under arbitrary datagrams, calls and clock. The input is a program of steps; whatever it does, no
 * memory is touched that should not be, every exchange ends, and in the end everything has been given back.
 *
 * Steps: one byte of operation, one of argument; a datagram takes a length and that many bytes more. Two bits of the
 * argument choose the peer; tokens and IDs that the endpoint has sent are known to the steps that answer.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/endpoint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS 16

struct run {
	struct copse_endpoint *ep;
	copse_ms now;
	const uint8_t *data;
	size_t left;
	copse_handle incoming[CALLS], outgoing[CALLS];
	unsigned incoming_n, outgoing_n;
	uint8_t sent[2048]; /* the datagram last transmitted, for answers that match */
	int sent_len;
	struct copse_peer sent_to;
	uint8_t *datagram; /* what the event under way is a view of */
};

static uint8_t take(struct run *r)
{
	if (r->left == 0)
		return 0;
	r->left--;
	return *r->data++;
}

static struct copse_peer peer_of(uint8_t arg)
{
	struct copse_peer p = {.len = 2, .group = arg >> 1 & 1, .key = {'p', arg & 3}};
	if ((arg & 0x0c) == 0x0c)
		p.flags = COPSE_PEER_MULTICAST;
	return p;
}

static void require(bool true_always, const char *what)
{
	if (!true_always) {
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

static void drain(struct run *r)
{
	struct copse_event e;
	while (copse_endpoint_next_event(r->ep, &e)) {
		require(e.kind >= COPSE_EVENT_REQUEST && e.kind <= COPSE_EVENT_RESET, "kind of event");
		if (e.kind == COPSE_EVENT_REQUEST)
			r->incoming[r->incoming_n++ % CALLS] = e.exchange;
		if (e.message) {
			volatile uint8_t sum = 0;
			for (size_t i = 0; i < e.message->len; i++) /* all of it is readable */
				sum = (uint8_t)(sum + e.message->bytes[i]);
		}
	}
}

static void receive(struct run *r, const struct copse_peer *from, const uint8_t *bytes, size_t len)
{
	free(r->datagram);
	r->datagram = malloc(len ? len : 1);
	memcpy(r->datagram, bytes, len);
	copse_endpoint_receive(r->ep, from, r->datagram, len, r->now);
	drain(r);
}

static void transmit(struct run *r, uint8_t arg)
{
	const size_t cap = arg & 1 ? sizeof r->sent : 4u + (arg >> 1);
	const int n = copse_endpoint_transmit(r->ep, r->sent, cap, &r->sent_to, r->now);
	require(n >= 0 && (size_t)n <= cap, "length of what is transmitted");
	r->sent_len = n;
	struct copse_message m;
	require(n == 0 || copse_message_parse_extended(&m, r->sent, (size_t)n, 32) == 0,
		"what we send is well formed");
	drain(r);
}

/* An answer to what was last sent, by its ID and token, from the peer it went to or another. */
static void answer(struct run *r, uint8_t arg)
{
	uint8_t buf[64];
	struct copse_message m;
	struct copse_builder b;
	if (r->sent_len < 4 || copse_message_parse_extended(&m, r->sent, (size_t)r->sent_len, 32) != 0)
		return;
	const uint8_t code = take(r);
	copse_build_message(&b, buf, sizeof buf, (enum copse_type)(arg & 3), code, m.id,
			    copse_message_token(&m),
			    code && m.token_len <= COPSE_TOKEN_MAX ? m.token_len : 0);
	if (arg & 4)
		copse_build_raw(&b, take(r), "value", 5);
	const int n = copse_build_finish(&b);
	if (n < 0)
		return;
	struct copse_peer from = arg & 8 ? peer_of(arg) : r->sent_to;
	from.flags &= (uint8_t)~COPSE_PEER_MULTICAST;
	receive(r, &from, buf, (size_t)n);
}

static void call(struct run *r, uint8_t arg)
{
	static const uint8_t rest[600] = {0xb1, 'a', 0xff, 1};
	static const uint16_t lens[] = {2, 60, 130, 600};
	const struct copse_out out = {.code = 1u + (arg & 1),
				      .con = arg & 2,
				      .priority = arg >> 6,
				      .rest = rest,
				      .rest_len = lens[arg >> 4 & 3]};
	struct copse_peer to = peer_of(take(r));
	copse_handle h;
	if (out.con)
		to.flags = 0;
	if (copse_endpoint_request(r->ep, &to, &out, arg & 4 ? COPSE_REQUEST_MANY : 0, r, r->now, &h) == 0)
		r->outgoing[r->outgoing_n++ % CALLS] = h;
}

static void of_incoming(struct run *r, uint8_t arg)
{
	const copse_handle h = r->incoming[arg % CALLS];
	const struct copse_out out = {
	    .code = COPSE_CODE_CONTENT, .con = arg & 0x80, .rest = (const uint8_t *)"\xffok", .rest_len = 3};
	switch (arg >> 4 & 3) {
	case 0: copse_endpoint_respond(r->ep, h, &out, r->now); break;
	case 1: copse_endpoint_acknowledge(r->ep, h, r->now); break;
	case 2: copse_endpoint_ignore(r->ep, h, r->now); break;
	default: copse_endpoint_tag(r->ep, h, r); break;
	}
}

static void of_outgoing(struct run *r, uint8_t arg)
{
	const copse_handle h = r->outgoing[arg % CALLS];
	struct copse_out out = {
	    .code = COPSE_CODE_GET, .con = arg & 0x80, .rest = (const uint8_t *)"\xb1z", .rest_len = 2};
	const struct copse_peer p = {.len = 2, .key = {'p', arg & 3}};
	copse_handle made;
	switch (arg >> 4 & 7) {
	case 0: copse_endpoint_cancel(r->ep, h, r->now); break;
	case 1: copse_endpoint_request_again(r->ep, h, &out, r->now); break;
	case 2: copse_endpoint_unreachable(r->ep, &p, r->now); break;
	case 3: copse_endpoint_ping(r->ep, &p, r, r->now, &r->outgoing[r->outgoing_n++ % CALLS]); break;
	case 4: copse_endpoint_replace(r->ep, h, &out, r->now); break;
	default:
		out.code = COPSE_CODE_CONTENT;
		if (copse_endpoint_notify(r->ep, &p, "tok", 3, &out, r, r->now, &made, NULL) == 0 && made)
			r->outgoing[r->outgoing_n++ % CALLS] = made;
	}
}

static void step(struct run *r)
{
	const uint8_t op = take(r), arg = take(r);
	const struct copse_peer p = peer_of(arg);
	size_t len;
	switch (op % 8) {
	case 0:
	case 1:
		len = take(r);
		len = len < r->left ? len : r->left;
		receive(r, &p, r->data, len);
		r->data += len;
		r->left -= len;
		break;
	case 2: transmit(r, arg); break;
	case 3: answer(r, arg); break;
	case 4: call(r, arg); break;
	case 5: of_incoming(r, arg); break;
	case 6: of_outgoing(r, arg); break;
	default:
		r->now += (copse_ms)arg * arg * (op >> 3);
		copse_endpoint_expire(r->ep, r->now);
		drain(r);
	}
}

/* Answer what is owed, let all time pass, and see that nothing is left. */
static void settle(struct run *r)
{
	for (unsigned i = 0; i < CALLS; i++) {
		copse_endpoint_ignore(r->ep, r->incoming[i], r->now);
		copse_endpoint_cancel(r->ep, r->outgoing[i], r->now);
	}
	for (int i = 0; i < 100000; i++) {
		transmit(r, 1);
		if (r->sent_len > 0)
			continue;
		const copse_ms deadline = copse_endpoint_deadline(r->ep);
		if (deadline == COPSE_NEVER)
			break;
		r->now = deadline > r->now ? deadline : r->now;
		if (r->now > 1000000000000u) /* requests whose handle was overwritten are owed for ever */
			break;
		copse_endpoint_expire(r->ep, r->now);
		drain(r);
	}
	if (r->incoming_n > CALLS || r->outgoing_n > CALLS)
		return;
	struct copse_endpoint_usage u;
	copse_endpoint_usage(r->ep, &u);
	require(u.exchanges == 0 && u.incoming == 0 && u.chunks == 0 && u.replies == 0, "all was given back");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct copse_config c = {.group = {COPSE_PARAMS_DEFAULT, COPSE_PARAMS_DEFAULT},
				 .group_n = 2,
				 .exchange_cap = 6,
				 .incoming_cap = 6,
				 .peer_cap = 3,
				 .chunk_cap = 24,
				 .reply_cap = 2,
				 .seed = {7, 9}};
	c.group[1].nstart = 2;
	c.group[1].token_len = 1;
	c.group[1].probing_burst = 64;
	c.token_max = data && size && data[0] & 2 ? 32 : 0;
	struct run r = {.now = 1, .data = data, .left = size};
	const size_t len = copse_endpoint_bytes(&c);
	void *memory = malloc(len);
	r.ep = copse_endpoint_init(memory, len, &c, r.now);
	const uint8_t flags = take(&r);
	copse_endpoint_forwards(r.ep, flags & 1);
	while (r.left > 0)
		step(&r);
	settle(&r);
	free(r.datagram);
	free(memory);
	return 0;
}
