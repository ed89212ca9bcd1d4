/* The requests of a call: the application's options, and those that the client adds for the state that it is in.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_call.h"

/* What a message has beside the application's options and the payload, at most: header and token, Observe, two block
 * options, Size1, Request-Tag, each with its option header, and the payload marker. */
#define OVERHEAD (COPSE_HEADER_LEN + COPSE_TOKEN_MAX + 5u + 2u * 5u + 7u + 8u + 1u)

int call_body_beyond(const struct call_slot *slot, uint32_t offset)
{
	uint8_t byte;

	if (slot->call.body_len != COPSE_BODY_UNKNOWN)
		return offset < slot->call.body_len;
	return slot->call.read(slot->call.user, offset, &byte, 1);
}

/* Bytes that the options of the present state take together with header and token. */
static size_t overhead(const struct call_slot *slot)
{
	return OVERHEAD + slot->call.options_len + (slot->echo_len ? slot->echo_len + 3u : 0u);
}

/* RFC 8323 §6: 0 when there is not room for two units. */
static uint32_t bert_len(const struct copse_client *client, const struct call_slot *slot)
{
	const uint32_t unit = copse_block_size(COPSE_BLOCK_SZX_BERT);
	const uint32_t beside = (uint32_t)overhead(slot), cap = client->config.message_len;
	uint32_t most = copse_peer_units(&slot->peer) * unit + COPSE_PEER_UNITS_BESIDE;

	if (!copse_peer_is_reliable(&slot->peer))
		return 0;
	most = most < cap ? most : cap;
	most = most > beside ? (most - beside) / unit * unit : 0;
	return most > unit ? most : 0;
}

uint32_t call_out_len(const struct copse_client *client, const struct call_slot *slot)
{
	return slot->out_szx == COPSE_BLOCK_SZX_BERT ? bert_len(client, slot)
						     : copse_block_size(slot->out_szx);
}

/* Make request blocks so small that they fit into a message. A block under way begins at `sent`, a multiple of every
 * smaller size. Returns 0 or COPSE_ERR_ARGUMENT. */
static int fit(struct copse_client *client, struct call_slot *slot)
{
	if (slot->call.body_len == 0)
		return 0;
	if (slot->out_szx == COPSE_BLOCK_SZX_BERT && bert_len(client, slot) == 0)
		slot->out_szx = COPSE_BLOCK_SZX_MAX;
	if (slot->out_szx == COPSE_BLOCK_SZX_BERT)
		return 0;
	while (overhead(slot) + copse_block_size(slot->out_szx) > client->config.message_len) {
		if (slot->out_szx == 0)
			return COPSE_ERR_ARGUMENT;
		slot->out_szx--;
		client->counters.shrunk++;
	}
	return 0;
}

/* Begin the message with the options of the application. They are well-formed and in order; the builder only has to
 * learn the number of the last. */
static void begin(struct copse_client *client, const struct call_slot *slot, struct copse_builder *b)
{
	copse_build_rest(b, client->scratch, client->config.message_len - COPSE_HEADER_LEN - COPSE_TOKEN_MAX);
	copse_build_options(b, slot->call.options, slot->call.options_len);
}

/* RFC 9175 §3.3: all requests of one operation bear the same tag, and concurrent ones different tags. */
static void add_tag(struct copse_builder *b, const struct call_slot *slot)
{
	uint8_t tag[4] = {(uint8_t)(slot->tag >> 24), (uint8_t)(slot->tag >> 16), (uint8_t)(slot->tag >> 8),
			  (uint8_t)slot->tag};

	if (slot->tagged)
		copse_build_option(b, COPSE_OPTION_REQUEST_TAG, tag, sizeof(tag));
}

static void add_echo(struct copse_builder *b, const struct call_slot *slot)
{
	if (slot->echo_len)
		copse_build_option(b, COPSE_OPTION_ECHO, slot->echo, slot->echo_len);
}

static void add_block2(struct copse_builder *b, const struct call_slot *slot, uint32_t offset)
{
	/* RFC 8323 §6: BERT is for a peer that has said that it takes it, as one does that has sent it */
	const bool plain = slot->in_szx == COPSE_BLOCK_SZX_BERT && copse_peer_units(&slot->peer) < 2;
	const uint8_t szx = plain ? COPSE_BLOCK_SZX_MAX : slot->in_szx;
	struct copse_block block = {.num = copse_block_number(offset, szx), .szx = szx};

	copse_build_block(b, COPSE_OPTION_BLOCK2, &block);
}

/* Append the part of the body from `offset` on, at most `want` bytes. Returns 0 or what `read` returned. */
static int add_body(struct copse_builder *b, const struct call_slot *slot, uint32_t offset, size_t want)
{
	size_t room;
	uint8_t *payload;

	if (!slot->call.read || slot->call.body_len == 0)
		return 0;
	payload = copse_build_payload_room(b, &room);
	if (!payload)
		return 0; /* the builder's error tells */
	if (want > room)
		return COPSE_ERR_ARGUMENT;
	int n = slot->call.read(slot->call.user, offset, payload, want);
	if (n < 0)
		return n;
	copse_build_payload_commit(b, (size_t)n);
	return 0;
}

static int finish(struct copse_builder *b, int err)
{
	int len = copse_build_finish(b);

	if (err)
		return err;
	return len == COPSE_ERR_NOROOM ? COPSE_ERR_ARGUMENT
				       : len; /* it will never fit: nothing to wait for */
}

/* One block of the request's body; `option` is Block1 or Q-Block1. */
static int build_block1(struct copse_client *client, struct call_slot *slot, uint16_t option, uint32_t num)
{
	struct copse_block block = {.num = num, .szx = slot->out_szx};
	struct copse_builder b;

	if (num > COPSE_BLOCK_NUM_MAX)
		return COPSE_ERR_ARGUMENT;
	uint32_t offset = copse_block_offset(&block);
	slot->out_len = call_out_len(client, slot);
	int more = call_body_beyond(slot, offset + slot->out_len);
	if (more < 0)
		return more;
	block.more = more > 0;
	begin(client, slot, &b);
	copse_build_block(&b, option, &block);
	/* RFC 7959 §2.4, §3.3: what size the answer is to have is said with the last block at the latest. */
	if (slot->call.early && !block.more && option == COPSE_OPTION_BLOCK1)
		add_block2(&b, slot, 0);
	if (slot->call.body_len != COPSE_BODY_UNKNOWN && (num == 0 || option == COPSE_OPTION_Q_BLOCK1))
		copse_build_uint(&b, COPSE_OPTION_SIZE1, slot->call.body_len);
	add_tag(&b, slot);
	add_echo(&b, slot);
	client->counters.blocks_out++;
	return finish(&b, add_body(&b, slot, offset, slot->out_len));
}

static int build_fetch(struct copse_client *client, const struct call_slot *slot)
{
	struct copse_builder b;
	int err = 0;

	if (copse_block_number(slot->received, slot->in_szx) > COPSE_BLOCK_NUM_MAX)
		return COPSE_ERR_BLOCK;
	begin(client, slot, &b);
	add_block2(&b, slot, slot->received);
	add_tag(&b, slot);
	add_echo(&b, slot);
	/* A FETCH is its payload: a server that keeps nothing needs it for every block (RFC 8132 §2.1). */
	if (slot->call.code == COPSE_CODE_FETCH && !slot->tagged)
		err = add_body(&b, slot, 0, slot->call.body_len);
	return finish(&b, err);
}

static int build_ask(struct copse_client *client, const struct call_slot *slot, uint32_t observe)
{
	size_t want =
	    slot->call.body_len == COPSE_BODY_UNKNOWN ? call_out_len(client, slot) : slot->call.body_len;
	struct copse_builder b;

	begin(client, slot, &b);
	if (observe != CALL_NO_OBSERVE)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, observe);
	if (slot->call.early)
		add_block2(&b, slot, 0);
	add_echo(&b, slot);
	return finish(&b, add_body(&b, slot, 0, want));
}

int call_build(struct copse_client *client, struct call_slot *slot, uint32_t observe, uint32_t number)
{
	int err = fit(client, slot);

	if (err)
		return err;
	switch (slot->block) {
	case BLOCK_SEND:
	case BLOCK_LAST:
		return build_block1(client, slot, COPSE_OPTION_BLOCK1,
				    copse_block_number(slot->sent, slot->out_szx));
	case BLOCK_QSEND: return build_block1(client, slot, COPSE_OPTION_Q_BLOCK1, number);
	case BLOCK_FETCH: return build_fetch(client, slot);
	default: return build_ask(client, slot, observe);
	}
}

int call_build_missing(struct copse_client *client, struct call_slot *slot, const uint32_t *number, size_t n,
		       bool more)
{
	struct copse_builder b;

	begin(client, slot, &b);
	for (size_t i = 0; i < n; i++) {
		struct copse_block block = {.num = number[i], .more = more, .szx = slot->in_szx};
		copse_build_block(&b, COPSE_OPTION_Q_BLOCK2, &block);
	}
	add_tag(&b, slot);
	add_echo(&b, slot);
	int err = 0;
	if (!slot->tagged && slot->call.code == COPSE_CODE_FETCH)
		err = add_body(&b, slot, 0, slot->call.body_len);
	return finish(&b, err);
}

int call_request(struct copse_client *client, struct call_slot *slot, int len, unsigned flags, copse_ms now,
		 copse_handle *exchange)
{
	struct copse_out out = {
	    .code = slot->call.code,
	    .con = slot->call.flags & COPSE_CALL_CON,
	    .priority = slot->call.priority,
	    .rest = client->scratch,
	    .rest_len = (size_t)len,
	};

	return copse_endpoint_request(client->ep, &slot->peer, &out, flags, slot, now, exchange);
}
