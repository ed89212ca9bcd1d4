/* The client's Q-Block1 and Q-Block2 (RFC 9177) against a peer that keeps to §4 to §7 of it, over links that lose.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_world.h"

#include <copse/format.h>

#define SET 10u

/* The peer's side: what it has of an upload, what it is giving away. */
struct qpeer {
	bool have[256];
	uint32_t last;    /* last block of the upload, NEVER while unknown */
	copse_ms heard;   /* when the last payload came; 0: nothing to complain about */
	uint8_t token[8]; /* of the last payload: whatever there is to say goes there */
	size_t token_len;
	unsigned complaints, continues;
	uint32_t whole; /* blocks below have been acknowledged by 2.31 */
	bool done;
	bool ignorant;         /* does not know the options: 4.02 */
	bool plain;            /* knows them, but answers by Block2 */
	uint32_t drop_once[8]; /* blocks that it does not see the first time */
	unsigned drop_n;
};

static struct qpeer q;

static bool dropped(uint32_t num)
{
	for (unsigned i = 0; i < q.drop_n; i++) {
		if (q.drop_once[i] == num) {
			q.drop_once[i] = NEVER;
			return true;
		}
	}
	return false;
}

static void say(struct world *w, copse_handle exchange, uint8_t code, uint16_t format, const uint8_t *payload,
		size_t len)
{
	struct copse_peer client = sim_peer(w->node->number);

	uint8_t buf[200];
	struct copse_builder b;

	copse_build_rest(&b, buf, sizeof(buf));
	if (format)
		copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, format);
	copse_build_payload(&b, payload, len);
	struct copse_out out = {.code = code, .rest = buf, .rest_len = (size_t)copse_build_finish(&b)};
	if (exchange)
		copse_endpoint_respond(w->peer->ep, exchange, &out, w->sim.now);
	else
		copse_endpoint_notify(w->peer->ep, &client, q.token, q.token_len, &out, NULL, w->sim.now,
				      NULL, NULL);
}

static bool whole(void)
{
	if (q.last == NEVER)
		return false;
	for (uint32_t i = 0; i <= q.last; i++) {
		if (!q.have[i])
			return false;
	}
	return true;
}

/* The end of the last set up to which nothing is missing, if that is news. */
static bool more_sets_are_whole(void)
{
	uint32_t n = 0;

	while (n < 256 && q.have[n])
		n++;
	n = n / SET * SET;
	if (n <= q.whole)
		return false;
	q.whole = n;
	return true;
}

/* Name what is missing below the highest block seen: 4.08 with a CBOR sequence of integers. */
static void complain(struct world *w)
{
	uint8_t seq[64];
	uint32_t high = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < 256; i++)
		high = q.have[i] ? i : high;
	if (q.last == NEVER && (high + 1) % SET != 0)
		high = high / SET * SET + SET - 1; /* the rest of its set is missing, too */
	for (uint32_t i = 0; i <= high && n < 40 && i <= q.last; i++) {
		if (!q.have[i]) {
			if (i >= 24)
				seq[n++] = 24;
			seq[n++] = (uint8_t)i;
		}
	}
	q.complaints++;
	q.heard = w->sim.now;
	if (n)
		say(w, COPSE_NO_HANDLE, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE, COPSE_FORMAT_MISSING_BLOCKS,
		    seq, n);
}

static void take_q1(struct world *w, const struct copse_event *e, const struct copse_block *block)
{
	if (dropped(block->num))
		return;
	assert_true(copse_block_fits(block, e->message->payload_len));
	assert_non_null(copse_message_option(e->message, COPSE_OPTION_REQUEST_TAG));
	assert_int_equal(copse_message_uint(e->message, COPSE_OPTION_SIZE1, 0), w->body_len);
	memcpy(w->stored + copse_block_offset(block), copse_message_payload(e->message),
	       e->message->payload_len);
	q.have[block->num] = true;
	q.heard = w->sim.now;
	q.token_len = e->message->token_len;
	memcpy(q.token, copse_message_token(e->message), q.token_len);
	if (!block->more) {
		q.last = block->num;
		w->stored_len = copse_block_offset(block) + e->message->payload_len;
	}
	if (whole()) {
		q.heard = 0;
		w->uploads += q.done ? 0 : 1; /* a payload once more: the answer got lost */
		q.done = true;
		say(w, e->exchange, COPSE_CODE_CHANGED, 0, NULL, 0);
	} else if (more_sets_are_whole()) {
		q.continues++;
		say(w, e->exchange, COPSE_CODE_CONTINUE, 0, NULL, 0);
	}
}

static void give_q2(struct world *w, const struct copse_message *m, const struct copse_peer *to, uint32_t num,
		    uint8_t szx)
{
	struct copse_block block = {.num = num, .szx = szx < w->knobs.szx ? szx : w->knobs.szx};
	uint32_t offset = copse_block_offset(&block), size = copse_block_size(block.szx);
	uint8_t buf[1200];
	struct copse_builder b;

	if (offset >= w->stored_len || dropped(num))
		return;
	if (use_knob(w, w->knobs.change_at, num))
		change(w);
	uint32_t left = w->stored_len - offset;
	block.more = left > size;
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_option(&b, COPSE_OPTION_ETAG, &w->version, 1);
	copse_build_uint(&b, COPSE_OPTION_SIZE2, w->stored_len);
	copse_build_block(&b, COPSE_OPTION_Q_BLOCK2, &block);
	copse_build_payload(&b, w->stored + offset, left < size ? left : size);
	struct copse_out out = {
	    .code = COPSE_CODE_CONTENT, .rest = buf, .rest_len = (size_t)copse_build_finish(&b)};
	copse_endpoint_notify(w->peer->ep, to, copse_message_token(m), m->token_len, &out, NULL, w->sim.now,
			      NULL, NULL);
}

static void take_q2(struct world *w, const struct copse_event *e)
{
	const struct copse_message *m = e->message;
	struct copse_peer to = *e->peer;

	copse_endpoint_ignore(w->peer->ep, e->exchange, w->sim.now);
	for (const struct copse_option *opt = copse_message_option(m, COPSE_OPTION_Q_BLOCK2); opt;
	     opt = copse_message_option_next(m, opt)) {
		struct copse_block block;
		assert_int_equal(copse_block_decode(copse_option_uint(m, opt), &block), 0);
		uint32_t end = block.more ? block.num / SET * SET + SET : block.num + 1;
		for (uint32_t i = block.num; i < end; i++)
			give_q2(w, m, &to, i, block.szx);
	}
}

static void on_qpeer(struct sim_node *node, const struct copse_event *e)
{
	struct world *w = node->user;
	struct copse_block block = {.num = 0};

	if (e->kind != COPSE_EVENT_REQUEST)
		return;
	bool q1 = copse_block_read(e->message, COPSE_OPTION_Q_BLOCK1, &block) > 0;
	bool q2 = copse_message_option(e->message, COPSE_OPTION_Q_BLOCK2) != NULL;
	if (w->knobs.silent)
		return;
	if (q.ignorant && (q1 || q2))
		say(w, e->exchange, COPSE_CODE_BAD_OPTION, 0, NULL, 0);
	else if (challenge(w, e))
		return;
	else if (q1)
		take_q1(w, e, &block);
	else if (q2 && !q.plain)
		take_q2(w, e);
	else
		on_peer(node, e);
}

static struct world *qworld(uint64_t seed, struct sim_link link, uint8_t code, uint32_t len)
{
	struct copse_client_config config = COPSE_CLIENT_DEFAULT;
	config.attempts = 8;
	struct world *w = world_new(seed, link, &config);

	q = (struct qpeer){.last = NEVER};
	w->peer->handler = on_qpeer;
	w->stored_len = code == COPSE_CODE_GET ? len : 0;
	world_call(w, code, code == COPSE_CODE_GET ? 0 : len)->flags = COPSE_CALL_QBLOCK;
	return w;
}

/* Run to the end, with the peer's own timer: NON_RECEIVE_TIMEOUT of 4 s. */
static void qworld_do(struct world *w)
{
	copse_ms end = w->sim.now + COPSE_SECONDS(2000);

	world_start(w);
	while (w->responses + w->failures == 0 && w->sim.now < end) {
		world_run(w, w->sim.now + 500);
		if (q.heard && w->sim.now - q.heard >= 4000)
			complain(w);
	}
	assert_int_equal(w->responses + w->failures, 1);
	assert_int_equal(copse_client_calls(w->client), 0);
}

static void arrived(struct world *w)
{
	assert_int_equal(w->responses, 1);
	assert_int_equal(w->failures, 0);
	if (w->call.code == COPSE_CODE_GET) {
		assert_int_equal(w->got_len, w->stored_len);
		assert_memory_equal(w->got, w->stored, w->stored_len);
	} else {
		assert_int_equal(w->stored_len, w->body_len);
		assert_memory_equal(w->stored, w->body, w->body_len);
		assert_int_equal(w->uploads, 1);
	}
}

static void every_length_goes_both_ways(void **state)
{
	static const uint32_t lengths[] = {1025, 2048, 10239, 10240, 10241, 20480, 20481, 100000};
	static const uint8_t codes[] = {COPSE_CODE_PUT, COPSE_CODE_GET};
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (size_t c = 0; c < 2; c++) {
			struct world *w = qworld(i, PERFECT, codes[c], lengths[i]);
			qworld_do(w);
			arrived(w);
			/* no waiting for each block: ten of them take one round trip */
			assert_true(w->sim.now < 1000 + 20 * (lengths[i] / 10240 + 2) + 1500);
			assert_int_equal(copse_client_counters(w->client)->repeated, 0);
			world_free(w);
		}
	}
}

static void small_bodies_need_none(void **state)
{
	struct world *w = qworld(1, PERFECT, COPSE_CODE_PUT, 1024);
	(void)state;
	qworld_do(w);
	assert_int_equal(w->responses, 1);
	assert_int_equal(w->requests, 1);
	assert_int_equal(w->stored_len, 1024);
	world_free(w);
}

static void missing_blocks_are_sent_again(void **state)
{
	struct world *w = qworld(2, PERFECT, COPSE_CODE_PUT, 35000);
	(void)state;
	q.drop_n = 6;
	memcpy(q.drop_once, (uint32_t[]){0, 5, 9, 15, 29, 30}, 24);
	qworld_do(w);
	arrived(w);
	assert_true(q.complaints >= 1);
	world_free(w);
}

static void missing_answers_are_asked_for(void **state)
{
	struct world *w = qworld(3, PERFECT, COPSE_CODE_GET, 35000);
	(void)state;
	q.drop_n = 6;
	memcpy(q.drop_once, (uint32_t[]){0, 5, 9, 15, 29, 34}, 24);
	qworld_do(w);
	arrived(w);
	assert_true(copse_client_counters(w->client)->repeated >= 3);
	world_free(w);
}

/* A whole set, or the very last payload, got lost: there is nobody to complain but the client itself. */
static void the_end_is_lost(void **state)
{
	struct world *w = qworld(4, PERFECT, COPSE_CODE_PUT, 10241);
	(void)state;
	q.drop_n = 1;
	q.drop_once[0] = 10;
	qworld_do(w);
	arrived(w);
	world_free(w);
	w = qworld(4, PERFECT, COPSE_CODE_GET, 10241);
	q.drop_n = 1;
	q.drop_once[0] = 10;
	qworld_do(w);
	arrived(w);
	world_free(w);
}

/* RFC 9177 §4.1: a peer that does not know the options is served by Block1 and Block2. */
static void falling_back(void **state)
{
	static const uint8_t codes[] = {COPSE_CODE_PUT, COPSE_CODE_GET};
	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct world *w = qworld(5, PERFECT, codes[c], 30000);
		q.ignorant = true;
		qworld_do(w);
		arrived(w);
		world_free(w);
	}
	struct world *w = qworld(5, PERFECT, COPSE_CODE_GET, 30000);
	q.plain = true;
	qworld_do(w);
	arrived(w);
	world_free(w);
}

static void changes_while_it_is_fetched(void **state)
{
	struct world *w = qworld(6, PERFECT, COPSE_CODE_GET, 30000);
	(void)state;
	w->knobs.change_at = 13;
	w->knobs.times = 1;
	qworld_do(w);
	assert_int_equal(w->responses, 1);
	assert_memory_equal(w->got, w->stored, w->stored_len);
	assert_int_equal(w->begun, 2);
	world_free(w);
	w = qworld(6, PERFECT, COPSE_CODE_GET, 30000);
	w->knobs.change_at = 13;
	w->knobs.times = 1000;
	qworld_do(w);
	assert_int_equal(w->error, COPSE_ERR_CHANGED);
	world_free(w);
}

static void echo(void **state)
{
	static const uint8_t codes[] = {COPSE_CODE_PUT, COPSE_CODE_GET};
	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct world *w = qworld(7, PERFECT, codes[c], 30000);
		w->knobs.challenge = true;
		qworld_do(w);
		arrived(w);
		world_free(w);
	}
}

static void nobody_answers(void **state)
{
	static const uint8_t codes[] = {COPSE_CODE_PUT, COPSE_CODE_GET};
	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct world *w = qworld(8, PERFECT, codes[c], 30000);
		struct copse_endpoint_usage usage;
		w->peer->dead = true;
		qworld_do(w);
		assert_int_equal(w->error, COPSE_ERR_TIMEOUT);
		copse_endpoint_usage(w->node->ep, &usage);
		assert_int_equal(usage.exchanges, 0);
		world_free(w);
	}
}

static void lossy_links(void **state)
{
	struct sim_link link = {.loss = 0.1, .duplicate = 0.02, .reorder = 0.05, .delay_ms = 20};
	static const uint8_t codes[] = {COPSE_CODE_PUT, COPSE_CODE_GET};
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		for (size_t c = 0; c < 2; c++) {
			struct world *w = qworld(seed, link, codes[c], 100000);
			qworld_do(w);
			arrived(w);
			world_free(w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_length_goes_both_ways),
	    cmocka_unit_test(small_bodies_need_none),
	    cmocka_unit_test(missing_blocks_are_sent_again),
	    cmocka_unit_test(missing_answers_are_asked_for),
	    cmocka_unit_test(the_end_is_lost),
	    cmocka_unit_test(falling_back),
	    cmocka_unit_test(changes_while_it_is_fetched),
	    cmocka_unit_test(echo),
	    cmocka_unit_test(nobody_answers),
	    cmocka_unit_test(lossy_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
