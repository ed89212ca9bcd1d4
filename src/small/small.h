/* What the files of src/small share and nobody else sees.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SMALL_INTERNAL_H
#define COPSE_SMALL_INTERNAL_H

#include <copse/small.h>

#include <string.h>

enum { CON, NON, ACK, RST };

uint32_t small_uint(const uint8_t *p, unsigned len);

/* Find the resource for turn->in and check the method. Returns 0, or the code of the refusal. */
unsigned small_find(struct copse_small_turn *turn);

/* Let the window begin where the request's Block2 says. Returns 0, or the code of the refusal. */
unsigned small_window(struct copse_small_turn *turn);

/* Enter Block2 into the answer where it belongs. Returns `code`, unless the block is beyond the end. */
unsigned small_block2(struct copse_small_turn *turn, unsigned code);

/* Write header, token and options in front of the body. Returns the length. */
size_t small_encode(struct copse_small_out *out, unsigned type, unsigned code, uint16_t id,
		    const uint8_t *token, unsigned token_len);

/* An empty message. Returns its length. */
size_t small_empty(uint8_t *out, unsigned type, uint16_t id);

enum { FREE, OBSERVER, LATE, CALL };      /* kind of a slot */
enum { IDLE, READY, SENT, ACKNOWLEDGED }; /* its state, see doc/states/small.md */

#define OBSERVER_CHECK 86400000u /* ms */

#define SLOTS (COPSE_SMALL_OBSERVERS + COPSE_SMALL_OTHERS)

static inline bool small_same(const struct copse_small_peer *a, const struct copse_small_peer *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Whether `then` has come. */
static inline bool small_due(copse_small_ms then, copse_small_ms now)
{
	return (int32_t)(now - then) >= 0;
}

/* 64 random bits, which nobody foretells without the key. */
void small_draw(struct copse_small *s, uint32_t out[2]);

/* A free slot of the observers' or of the others, for `peer` and `token`; counted and NULL when there is
 * none. */
struct copse_small_slot *small_take(struct copse_small *s, unsigned kind, const struct copse_small_peer *peer,
				    const uint8_t *token, unsigned token_len);

/* The slot of this kind with that token, or NULL. */
struct copse_small_slot *small_slot(struct copse_small *s, unsigned kind, const struct copse_small_peer *peer,
				    const uint8_t *token, unsigned token_len);

/* If-Match, If-None-Match and ETag. Returns 0, or the code that ends the request. */
unsigned small_conditions(struct copse_small_turn *turn);

/* Take a piece of a body, or all of it, and ask the handler. Returns the code. */
unsigned small_upload(struct copse_small_turn *turn);

/* Register or forget an observer, after the handler has answered `code`. */
void small_observe(struct copse_small_turn *turn, unsigned code);

/* A response has come. Returns what goes back: ACK, RST, or NON for nothing. */
unsigned small_response(struct copse_small *s, const struct copse_small_peer *peer,
			const struct copse_small_message *m, copse_small_ms now);

/* Make the message of a call's slot. */
size_t small_request(struct copse_small_slot *slot, uint8_t *out);

/* The call is over without an answer. */
void small_fail(struct copse_small_slot *slot, int err);

#define SECONDS(ms) ((uint16_t)((ms) >> 10)) /* about */

#endif
