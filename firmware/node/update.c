/* The journal is the last page but one of the memory: word 0 is 0 when page 0 of the image is whole, and so
 * on; the last words say that all has been verified and how long it is. A word is written once, from ones
 * to zeros or a length: no write is repeated in place. The very last page belongs to whoever makes the
 * device (board_key).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "update.h"

#include "board.h"
#include "sha256.h"

#include <string.h>

#define DIGEST   32u
#define JOURNAL  (board_store_bytes - 2 * BOARD_PAGE)
#define PAGES    (JOURNAL / BOARD_PAGE)
#define VERIFIED (JOURNAL + BOARD_PAGE - 8)

static uint32_t have;     /* bytes that are written, the digest included */
static uint32_t verified; /* the length of what is verified, or 0 */

void update_init(void)
{
	uint32_t word;
	have = 0;
	board_store_read(VERIFIED, &verified, 4);
	if (verified != UINT32_MAX) {
		have = verified;
		return;
	}
	verified = 0;
	for (uint32_t at = JOURNAL; have < PAGES * BOARD_PAGE; at += 4, have += BOARD_PAGE) {
		board_store_read(at, &word, 4);
		if (word != 0)
			return;
	}
}

static void forget(void)
{
	board_store_erase(JOURNAL / BOARD_PAGE);
	have = verified = 0;
}

/* Whether the image in the memory has the digest in front of it. */
static bool is_good(void)
{
	struct sha256 s;
	uint8_t digest[32], piece[32];
	if (have <= DIGEST)
		return false;
	sha256_begin(&s);
	for (uint32_t at = DIGEST; at < have; at += sizeof(piece)) {
		size_t n = have - at < sizeof(piece) ? have - at : sizeof(piece);
		board_store_read(at, piece, n);
		sha256_add(&s, piece, n);
	}
	sha256_end(&s, digest);
	board_store_read(0, piece, DIGEST);
	return memcmp(digest, piece, DIGEST) == 0;
}

static unsigned finish(void)
{
	if (!is_good()) {
		forget();
		return COPSE_CODE_UNPROCESSABLE_ENTITY;
	}
	verified = have;
	board_store_write(VERIFIED, &verified, 4);
	return COPSE_CODE_CHANGED;
}

static unsigned put(const struct copse_small_turn *turn)
{
	static const uint32_t whole = 0;
	const struct copse_small_message *m = turn->in;
	uint32_t words[COPSE_SMALL_BLOCK / 4], at = turn->upload;
	if (at == 0)
		forget();
	if (at + m->payload_len <= have && at < have) /* it is there already: the answer was lost */
		return COPSE_CODE_CHANGED;
	if (at != have || verified || (m->payload_len & 15 && turn->more))
		return COPSE_CODE_REQUEST_ENTITY_INCOMPLETE; /* RFC 7959 §2.9.2: GET tells where to go on */
	if (at + m->payload_len > JOURNAL)
		return COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
	if (at % BOARD_PAGE == 0)
		board_store_erase(at / BOARD_PAGE);
	memset(words, 0xff, sizeof(words));
	memcpy(words, m->payload, m->payload_len);
	board_store_write(at, words, (m->payload_len + 3u) & ~3u);
	have += m->payload_len;
	if (have % BOARD_PAGE == 0)
		board_store_write(JOURNAL + (have / BOARD_PAGE - 1) * 4, &whole, 4);
	return turn->more ? COPSE_CODE_CHANGED : finish();
}

unsigned update_resource(struct copse_small_turn *turn)
{
	if (turn->in->code == COPSE_CODE_PUT)
		return put(turn);
	if (turn->in->code == COPSE_CODE_DELETE) {
		forget();
		return COPSE_CODE_DELETED;
	}
	copse_small_set(&turn->out, COPSE_SMALL_FORMAT, 0);
	copse_small_text(&turn->out, verified ? "verified " : "receiving ");
	copse_small_number(&turn->out, have);
	return COPSE_CODE_CONTENT;
}
