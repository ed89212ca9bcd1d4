/* Block2 (RFC 7959): which part of an answer is asked for, and what is said of it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

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
		copse_small_set(out, COPSE_SMALL_BLOCK2,
				out->offset >> szx | (out->total > end ? 8u : 0) | szx);
	}
	return code;
}
