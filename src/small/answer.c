/* From a request to its answer, without any state: resources, methods, Block2, the message that goes back.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

/* Whether the Uri-Path options spell `path`. A slash within a segment is no separator (RFC 7252 §6.5). */
static bool path_is(const struct copse_small_message *m, const char *path)
{
	struct copse_small_value segment = {NULL, 0};
	for (bool first = true; copse_small_walk(m, COPSE_OPTION_URI_PATH, &segment); first = false) {
		if (!first && *path++ != '/')
			return false;
		for (unsigned i = 0; i < segment.len; i++, path++)
			if (*path == 0 || *path == '/' || (uint8_t)*path != segment.at[i])
				return false;
	}
	return *path == 0;
}

unsigned small_find(struct copse_small_turn *turn)
{
	const struct copse_small_message *m = turn->in;
	const struct copse_small_resource *r = turn->resources;
	if (m->bad)
		return COPSE_CODE_BAD_OPTION; /* RFC 7252 §5.4.1 */
	if (m->proxy)
		return COPSE_CODE_PROXYING_NOT_SUPPORTED; /* §5.10.2 */
	while (!path_is(m, r->path))
		if (!(++r)->handle)
			return COPSE_CODE_NOT_FOUND;
	turn->resource = r;
	if (m->code > COPSE_CODE_IPATCH || !(r->methods >> m->code & 1))
		return COPSE_CODE_METHOD_NOT_ALLOWED; /* §5.8 */
	return 0;
}

unsigned small_window(struct copse_small_turn *turn)
{
	/* RFC 7959 §2.4: the answer's blocks may be smaller than asked for, and begin at the same place. */
	uint32_t block = copse_small_uint(turn->in, COPSE_OPTION_BLOCK2, 0);
	unsigned szx = block & 7;
	turn->out.offset = (block >> 4) << (szx + 4);
	turn->out.room = COPSE_SMALL_BLOCK;
	if (szx < COPSE_SMALL_SZX && copse_small_has(turn->in, COPSE_OPTION_BLOCK2))
		turn->out.room = (uint16_t)(16u << szx);
	return szx == 7 ? COPSE_CODE_BAD_REQUEST : 0; /* §2.2: reserved */
}

unsigned small_block2(struct copse_small_turn *turn, unsigned code)
{
	struct copse_small_out *out = &turn->out;
	uint32_t end = out->offset + out->room;
	if (code >> 5 != 2 || code == COPSE_CODE_CONTINUE)
		return code;
	if (out->offset > 0 && out->offset >= out->total)
		return COPSE_CODE_BAD_REQUEST;
	if (out->total > end || copse_small_has(turn->in, COPSE_OPTION_BLOCK2)) {
		unsigned szx = 0;
		while (16u << szx < out->room)
			szx++;
		copse_small_set(out, COPSE_SMALL_BLOCK2, out->offset >> szx | (out->total > end ? 8u : 0) | szx);
	}
	return code;
}

size_t copse_small_answer(const struct copse_small_resource *resources, const uint8_t *datagram, size_t len,
			  uint8_t *out)
{
	struct copse_small_message m;
	struct copse_small_turn turn;
	int err = copse_small_parse(&m, datagram, len);
	/* A CON that is no request is a ping, a response to nobody or malformed: rejected (RFC 7252 §4.2, §4.3). */
	if (err < 0 || m.code == 0 || m.code >= 32)
		return err != COPSE_ERR_VERSION && m.type == CON ? small_empty(out, RST, m.id) : 0;
	if (m.bad && m.type == NON)
		return 0;
	memset(&turn, 0, sizeof(turn));
	turn.in = &m;
	turn.resources = resources;
	turn.out.bytes = out;
	/* These must not be run without what they ask for. */
	m.bad |= m.cut || (m.has & (1u << COPSE_OPTION_IF_MATCH | 1u << COPSE_OPTION_IF_NONE_MATCH | 1u << COPSE_OPTION_BLOCK1));
	unsigned code = small_find(&turn);
	if (code == 0)
		code = small_window(&turn);
	if (code == 0)
		code = small_block2(&turn, turn.resource->handle(&turn));
	/* The ID of a NON is the request's: unique among what goes to this peer, as it was on its way here. */
	return small_encode(&turn.out, m.type == CON ? ACK : NON, code, m.id, datagram + 4, m.token_len);
}
