/* The small profile with a fuzzed peer and a fuzzed clock: datagrams, time, changes of resources, calls.
 * Whatever comes out is a message that the general parser takes, and the deadline is kept.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/message.h>
#include <copse/small.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t version = 1;

static unsigned handler(struct copse_small_turn *turn)
{
	char big[200];
	if (turn->in->code != COPSE_CODE_GET) {
		version += turn->in->payload_len > 0 ? turn->in->payload[turn->in->payload_len - 1] : 1;
		copse_small_location(&turn->out, "a/b?c");
		return turn->in->code == COPSE_CODE_POST ? COPSE_CODE_CREATED : COPSE_CODE_CHANGED;
	}
	memset(big, 'x', sizeof(big));
	copse_small_set(&turn->out, COPSE_SMALL_FORMAT, 60);
	copse_small_set(&turn->out, COPSE_SMALL_MAX_AGE, version);
	copse_small_put(&turn->out, big, turn->resource->path[0] == 'l' ? sizeof(big) : 3);
	turn->delay = 700;
	return turn->resource->path[0] == 's' && !turn->later ? COPSE_SMALL_LATER : COPSE_CODE_CONTENT;
}

static const struct copse_small_resource resources[] = {
    {"o", ";rt=\"x y\";obs", handler, &version, 0xff, COPSE_SMALL_OBSERVABLE | COPSE_SMALL_CONFIRM},
    {"n", ";ct=0", handler, NULL, 0xff, COPSE_SMALL_OBSERVABLE},
    {"l/m", "", handler, &version, 0xff, COPSE_SMALL_UPLOAD | COPSE_SMALL_OBSERVABLE},
    {"s", NULL, handler, NULL, 0xff, COPSE_SMALL_CONDITIONS},
    {"r", NULL, handler, NULL, 0xff, COPSE_SMALL_UPLOAD | COPSE_SMALL_RESUME},
    {".well-known/core", NULL, copse_small_links, NULL, 2, 0},
    {0},
};

static void body(const struct copse_small_call *call, struct copse_small_out *out)
{
	for (unsigned i = 0; i < 300; i++)
		copse_small_put(out, call->path, 1);
}

static void answer(const struct copse_small_call *call, int code, const struct copse_small_message *m,
		   uint32_t offset, bool more)
{
	(void)call;
	if ((m == NULL) != (code < 0) || (m && m->payload_len > COPSE_SMALL_RECEIVE) || (more && !m) ||
	    offset > 1u << 30)
		abort();
}

static const struct copse_small_call calls[] = {
    {"a/b?c=d&e", body, answer, 42, COPSE_CODE_PUT, COPSE_SMALL_CON},
    {"", NULL, answer, 0, COPSE_CODE_GET, COPSE_SMALL_CON},
    {"x", body, NULL, 0, COPSE_CODE_POST, 0},
};

static void check(const uint8_t *bytes, size_t len)
{
	struct copse_message m;
	if (len > 0 && (len > COPSE_SMALL_MESSAGE || copse_message_parse(&m, bytes, len) != 0))
		abort();
}

struct input {
	const uint8_t *at, *end;
};

static unsigned byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Datagrams lie in memory of their own, so that a byte read beyond one is seen. */
static void receive(struct copse_small *s, struct input *in, unsigned how, uint32_t now, uint16_t last_id)
{
	const struct copse_small_peer peer = {{(uint8_t)(how & 1)}};
	uint8_t out[COPSE_SMALL_MESSAGE];
	size_t len = byte(in);
	if (len > (size_t)(in->end - in->at))
		len = (size_t)(in->end - in->at);
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		abort();
	memcpy(copy, in->at, len);
	in->at += len;
	if ((how & 2) && len >= 4) { /* about what it sent last */
		copy[2] = (uint8_t)(last_id >> 8);
		copy[3] = (uint8_t)last_id;
	}
	check(out, copse_small_receive(s, &peer, copy, len, out, now));
	check(out, copse_small_answer(resources, copy, len, out));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t key[4] = {1, 2, 3, 4};
	struct input in = {data, data + size};
	struct copse_small s;
	struct copse_small_peer to = {{0}};
	uint8_t out[COPSE_SMALL_MESSAGE];
	uint32_t now = UINT32_MAX - 5000;
	uint16_t last_id = 0;
	size_t n;
	copse_small_init(&s, resources, key);
	while (in.at < in.end) {
		unsigned what = byte(&in);
		switch (what & 7) {
		case 0: now += byte(&in) << (what >> 4); break;
		case 1: copse_small_notify(&s, &resources[what >> 3 & 3], now); break;
		case 2:
			copse_small_end(&s, &resources[what >> 3 & 3], what & 32 ? COPSE_CODE_NOT_FOUND : 0,
					now);
			break;
		case 3: copse_small_ask(&s, &to, &calls[(what >> 3) % 3], now); break;
		default: receive(&s, &in, what >> 3, now, last_id); break;
		}
		for (unsigned i = 0; (n = copse_small_next(&s, out, &to, now)) > 0; i++) {
			if (i > 1000) /* it ends */
				abort();
			check(out, n);
			last_id = (uint16_t)(out[2] << 8 | out[3]);
		}
		if (copse_small_deadline(&s, now, 1000) == 0)
			abort();
	}
	return 0;
}
