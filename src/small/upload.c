/* Conditional requests (RFC 7252 §5.10.8) and bodies that come in blocks (RFC 7959 §2.5, §2.9).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

#define PATIENCE 32 /* of SECONDS: so long nobody else may begin when a body's next piece does not come */

/* Whether an instance of `number` is the resource's ETag, as put_uint writes it; an empty one is any
 * (§5.10.8.1). */
static bool names_version(const struct copse_small_turn *turn, unsigned number)
{
	const uint32_t *version = turn->resource->version;
	struct copse_small_value value = {NULL, 0};
	while (copse_small_walk(turn->in, number, &value)) {
		if (value.len == 0 ? !version || *version
				   : version && value.len <= 4 && value.at[0] &&
					 small_uint(value.at, value.len) == *version)
			return true;
	}
	return false;
}

unsigned small_conditions(struct copse_small_turn *turn)
{
	const struct copse_small_message *m = turn->in;
	const struct copse_small_resource *r = turn->resource;
	if (r->flags & COPSE_SMALL_CONDITIONS)
		return 0;
	if (copse_small_has(m, COPSE_OPTION_IF_MATCH) && !names_version(turn, COPSE_OPTION_IF_MATCH))
		return COPSE_CODE_PRECONDITION_FAILED;
	if (copse_small_has(m, COPSE_OPTION_IF_NONE_MATCH) && (!r->version || *r->version))
		return COPSE_CODE_PRECONDITION_FAILED; /* §5.10.8.2 */
	if (m->code == COPSE_CODE_GET && names_version(turn, COPSE_OPTION_ETAG)) {
		copse_small_set(&turn->out, COPSE_SMALL_ETAG, *r->version);
		return COPSE_CODE_VALID; /* §5.9.1.3 */
	}
	return 0;
}

/* Check the piece against what has come before. Returns 0, or the code of the refusal. */
static unsigned admit(struct copse_small_turn *turn, unsigned szx)
{
	struct copse_small *s = turn->small;
	const struct copse_small_message *m = turn->in;
	bool mine = s->upload.resource == turn->resource && small_same(&s->upload.peer, turn->peer);
	if (turn->more && m->payload_len != 16u << szx)
		return COPSE_CODE_BAD_REQUEST;
	if (turn->upload == 0 || (turn->resource->flags & COPSE_SMALL_RESUME)) {
		if (s->upload.resource && !mine && (int16_t)(SECONDS(turn->now) - s->upload.busy) < 0) {
			s->refused++;
			return COPSE_CODE_SERVICE_UNAVAILABLE;
		}
		s->upload.resource = turn->resource;
		s->upload.peer = *turn->peer;
	} else if (!mine || s->upload.offset != turn->upload) {
		return COPSE_CODE_REQUEST_ENTITY_INCOMPLETE; /* RFC 7959 §2.9.2 */
	}
	s->upload.busy = (uint16_t)(SECONDS(turn->now) + PATIENCE);
	return 0;
}

unsigned small_upload(struct copse_small_turn *turn)
{
	struct copse_small *s = turn->small;
	const struct copse_small_message *m = turn->in;
	uint32_t block = copse_small_uint(m, COPSE_OPTION_BLOCK1, 0);
	unsigned szx = block & 7, code;
	turn->more = block & 8;
	turn->upload = (block >> 4) << (szx + 4);
	if (szx == 7)
		return COPSE_CODE_BAD_REQUEST;
	if (szx > COPSE_SMALL_SZX || m->cut) { /* §2.9.3: too large, and what would do */
		copse_small_set(&turn->out, COPSE_SMALL_BLOCK1, (block & 8) | COPSE_SMALL_SZX);
		if (turn->more || m->cut)
			return COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
	}
	if (!copse_small_has(m, COPSE_OPTION_BLOCK1))
		return turn->resource->handle(turn);
	copse_small_set(&turn->out, COPSE_SMALL_BLOCK1, block);
	if (turn->more && !(turn->resource->flags & COPSE_SMALL_UPLOAD))
		return COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
	code = admit(turn, szx);
	if (code)
		return code;
	code = turn->resource->handle(turn);
	if (code >> 5 == 2 && turn->more) {
		s->upload.offset = turn->upload + m->payload_len;
		turn->out.total = 0;
		return COPSE_CODE_CONTINUE;
	}
	s->upload.resource = NULL;
	return code;
}
