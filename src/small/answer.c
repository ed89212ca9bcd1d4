/* From a request to its answer, without any state: resources, methods, the message that goes back.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

/* Options that a server without state must not pass over. */
#define WITH_STATE                                                                                           \
	(1u << COPSE_OPTION_IF_MATCH | 1u << COPSE_OPTION_IF_NONE_MATCH | 1u << COPSE_OPTION_BLOCK1 |        \
	 1u << COPSE_OPTION_BLOCK2)

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

/* Append an option of format uint with a delta below 13, in its shortest form (RFC 7252 §3.2). */
static uint8_t *put_short(uint8_t *p, unsigned delta, uint32_t n)
{
	uint8_t *head = p++;
	for (unsigned shift = 32; shift > 0;) {
		shift -= 8;
		if (n >> shift)
			*p++ = (uint8_t)(n >> shift);
	}
	*head = (uint8_t)(delta << 4 | (unsigned)(p - head - 1));
	return p;
}

size_t copse_small_answer(const struct copse_small_resource *resources, const uint8_t *datagram, size_t len,
			  uint8_t *out)
{
	struct copse_small_message m;
	struct copse_small_turn turn;
	int err = copse_small_parse(&m, datagram, len);
	/* A CON that is no request is a ping, a response to nobody or malformed: rejected (RFC 7252 §4.2,
	 * §4.3). */
	if (err < 0 || m.code == 0 || m.code >= 32)
		return err != COPSE_ERR_VERSION && m.type == CON ? small_empty(out, RST, m.id) : 0;
	m.bad |= m.cut || (m.has & WITH_STATE);
	if (m.bad && m.type == NON)
		return 0;
	memset(&turn, 0, sizeof(turn));
	turn.in = &m;
	turn.resources = resources;
	turn.out.bytes = out;
	turn.out.room = COPSE_SMALL_BLOCK;
	unsigned code = small_find(&turn);
	if (code == 0)
		code = turn.resource->handle(&turn);
	if (turn.out.total > COPSE_SMALL_BLOCK || code == COPSE_SMALL_LATER) {
		code = COPSE_CODE_INTERNAL_SERVER_ERROR;
		turn.out.total = turn.out.set = 0;
	}
	/* The ID of a NON is the request's: unique among what goes to this peer, as it was on its way here.
	 * */
	small_empty(out, m.type == CON ? ACK : NON, m.id);
	out[0] = (uint8_t)(out[0] | m.token_len);
	out[1] = (uint8_t)code;
	memcpy(out + 4, datagram + 4, m.token_len);
	uint8_t *p = out + 4 + m.token_len;
	unsigned last = 0;
	if (turn.out.set & 1u << COPSE_SMALL_FORMAT)
		p = put_short(p, last = COPSE_OPTION_CONTENT_FORMAT, turn.out.value[COPSE_SMALL_FORMAT]);
	if (last && (turn.out.set & 1u << COPSE_SMALL_MAX_AGE))
		p = put_short(p, COPSE_OPTION_MAX_AGE - last, turn.out.value[COPSE_SMALL_MAX_AGE]);
	if (turn.out.total > 0) {
		*p++ = 0xff;
		memmove(p, out + COPSE_SMALL_HEAD, turn.out.total);
		p += turn.out.total;
	}
	return (size_t)(p - out);
}
