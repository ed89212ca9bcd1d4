/* Block options (RFC 7959 §2.1, RFC 9177 §4.1): one value of Block1, Block2, Q-Block1 or Q-Block2.
 *
 * Over reliable transports Block1 and Block2 may have SZX 7 (BERT, RFC 8323 §6): blocks are counted in units of 1024
 * bytes as with SZX 6, and a message has any number of them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_BLOCK_H
#define COPSE_BLOCK_H

#include <copse/message.h>
#include <copse/peer.h>

#define COPSE_BLOCK_SZX_MAX  6u          /* blocks of 1024 bytes */
#define COPSE_BLOCK_SZX_BERT 7u          /* RFC 8323 §6 */
#define COPSE_BLOCK_NUM_MAX  0xfffffu    /* 20 bits */
#define COPSE_BLOCK_BODY_MAX 0x40000000u /* bytes that 2^20 blocks of 1024 hold */

struct copse_block {
	uint32_t num; /* number of the block, 0 to COPSE_BLOCK_NUM_MAX */
	bool more;    /* further blocks follow */
	uint8_t szx;  /* exponent of the size, 0 to COPSE_BLOCK_SZX_MAX, or COPSE_BLOCK_SZX_BERT */
};

/* The exponent of what blocks are counted in: of BERT that of 1024. */
static inline uint8_t copse_block_unit(uint8_t szx)
{
	return szx < COPSE_BLOCK_SZX_MAX ? szx : COPSE_BLOCK_SZX_MAX;
}

/* Bytes in a block, or with BERT in a unit: 16 to 1024. */
static inline uint32_t copse_block_size(uint8_t szx)
{
	return 16u << copse_block_unit(szx);
}

/* Where the block begins in the body: at most 2^30 - 16. */
static inline uint32_t copse_block_offset(const struct copse_block *b)
{
	return b->num * copse_block_size(b->szx);
}

/* The largest exponent whose blocks have at most `size` bytes; 0 (16 bytes) for less than 32. */
static inline uint8_t copse_block_szx(size_t size)
{
	uint8_t szx = 0;
	while (szx < COPSE_BLOCK_SZX_MAX && copse_block_size((uint8_t)(szx + 1)) <= size)
		szx++;
	return szx;
}

/* The number of the block that begins at `offset`. */
static inline uint32_t copse_block_number(uint32_t offset, uint8_t szx)
{
	return offset >> (copse_block_unit(szx) + 4u);
}

/* Turn `b` into the same place of the body in blocks of `szx`, not larger than b->szx: what a peer that wants
 * smaller blocks means (RFC 7959 §2.4, RFC 8323 §6). `more` stays. Asserts on a larger size, whose blocks need not begin
 * here. Returns 0, or COPSE_ERR_ARGUMENT with `b` unchanged when the number does not fit into 20 bits then.
 */
static inline int copse_block_resize(struct copse_block *b, uint8_t szx)
{
	COPSE_ASSERT(szx <= b->szx && b->szx <= COPSE_BLOCK_SZX_BERT);
	const unsigned shift = copse_block_unit(b->szx) - copse_block_unit(szx);
	if (b->num > COPSE_BLOCK_NUM_MAX >> shift)
		return COPSE_ERR_ARGUMENT;
	b->num <<= shift;
	b->szx = szx;
	return 0;
}

/* The value of the option: num, more and szx in one integer. Asserts that they are in range. */
static inline uint32_t copse_block_value(const struct copse_block *b)
{
	COPSE_ASSERT(b->num <= COPSE_BLOCK_NUM_MAX && b->szx <= COPSE_BLOCK_SZX_BERT);
	return b->num << 4 | (b->more ? 8u : 0u) | b->szx;
}

/* Take a value apart. Returns 0, or COPSE_ERR_MALFORMED for SZX 7, which is reserved: the receiver of a
 * request answers 4.00 (RFC 7959 §2.2). A value of more than 24 bits, which no valid option holds, is
 * malformed too. */
static inline int copse_block_decode(uint32_t value, struct copse_block *b)
{
	b->num = value >> 4;
	b->more = (value & 8) != 0;
	b->szx = value & 7;
	return b->szx > COPSE_BLOCK_SZX_MAX || b->num > COPSE_BLOCK_NUM_MAX ? COPSE_ERR_MALFORMED : 0;
}

/* Read the block option `number` of a message that came by an unreliable transport, or is to leave by one.
 * Returns  1  `*b` is filled
 *          0  the message has none: `*b` is untouched
 *  COPSE_ERR_MALFORMED  reserved SZX: answer a request 4.00, give up the exchange of a response */
static inline int copse_block_read(const struct copse_message *m, uint16_t number, struct copse_block *b)
{
	const struct copse_option *o = copse_message_option(m, number);
	if (!o)
		return 0;
	int err = copse_block_decode(copse_option_uint(m, o), b);
	return err ? err : 1;
}

/* The same of a message from `peer`: SZX 7 is taken from one that is reached by a reliable transport. */
static inline int copse_block_read_from(const struct copse_peer *peer, const struct copse_message *m,
					uint16_t number, struct copse_block *b)
{
	const struct copse_option *o = copse_peer_is_reliable(peer) ? copse_message_option(m, number) : NULL;
	if (o && (copse_option_uint(m, o) & 7) == COPSE_BLOCK_SZX_BERT) {
		const int err = copse_block_decode(copse_option_uint(m, o) & ~1u, b);
		b->szx = COPSE_BLOCK_SZX_BERT;
		return err ? err : 1;
	}
	return copse_block_read(m, number, b);
}

/* Whether a payload of `len` bytes may stand beside the descriptive use of `b` (RFC 7959 §2.2, RFC 8323 §6): exactly one
 * block while more follow, at most one in the last; of BERT whole units while more follow, any number in the last. Not
 * for the control use (Block2 in a request, Block1 in a response). */
static inline bool copse_block_fits(const struct copse_block *b, size_t len)
{
	const uint32_t size = copse_block_size(b->szx);
	if (b->szx == COPSE_BLOCK_SZX_BERT)
		return !b->more || (len > 0 && len % size == 0);
	return b->more ? len == size : len <= size;
}

/* Append the block option `number` to a message. */
static inline void copse_build_block(struct copse_builder *out, uint16_t number, const struct copse_block *b)
{
	copse_build_uint(out, number, copse_block_value(b));
}

#endif
