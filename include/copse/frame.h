/* CoAP over reliable transports (RFC 8323): frames, in which messages stand in a stream of bytes, and signaling.
 *
 * A frame is a message without version, type and message ID, with its length in front. Parsing copies nothing and
 * accepts any bytes; writing is bounded. Nothing of this is in a microcontroller's build.
 *
 * Towards the message layer a frame is turned into the datagram that RFC 7252 §3 would have of it, and back: see
 * copse_frame_datagram and copse_frame_of_datagram.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_FRAME_H
#define COPSE_FRAME_H

#include <copse/error.h>
#include <copse/message.h>

#define COPSE_FRAME_HEAD_MAX (1 + 4 + 1 + COPSE_TOKEN_MAX) /* length and token length, code, token */
#define COPSE_FRAME_BASE     1152u /* RFC 8323 §5.3.1: Max-Message-Size of who has said nothing */

/* One frame: a view over the bytes that it was parsed from. */
struct copse_frame {
	size_t len;  /* of the whole frame; what copse_frame_parse knows of it while it is not complete */
	size_t need; /* bytes that must be there before it is worthwhile to parse again */
	uint8_t code;
	uint8_t token_len;
	const uint8_t *token;
	const uint8_t *rest; /* options, marker and payload */
	size_t rest_len;
};

/* Parse the frame that begins at `bytes`, of which `len` are there. `max`: the longest that is taken (our own
 * Max-Message-Size).
 * Returns  1  `*f` is the frame; the next one begins f->len bytes further on
 *          0  it is not complete: come again with f->need bytes
 *  COPSE_ERR_MALFORMED  a token longer than 8 bytes (§3.2): the stream is lost, abort the connection
 *  COPSE_ERR_NOROOM     longer than `max`: as much; known from the first bytes on */
int copse_frame_parse(struct copse_frame *f, const void *bytes, size_t len, size_t max);

/* Write what stands in front of options and payload of `rest_len` bytes. `token_len` at most 8 (asserted).
 * Returns how many bytes of `head` are used. */
size_t copse_frame_head(uint8_t head[COPSE_FRAME_HEAD_MAX], uint8_t code, const void *token, size_t token_len,
			size_t rest_len);

/* How long a frame with such a token and rest is. */
size_t copse_frame_len(size_t token_len, size_t rest_len);

/* Write the datagram that `f` is, as a message of `type` with `id`.
 * Returns its length, or COPSE_ERR_NOROOM when it has more than `cap` bytes. */
int copse_frame_datagram(const struct copse_frame *f, enum copse_type type, uint16_t id, void *buf,
			 size_t cap);

/* Make `*f` a view over the datagram: its code, token and rest, and the frame's length; `*type` and `*id` what a frame
 * has not. Returns 0, or COPSE_ERR_MALFORMED for what is no message with a token of at most 8 bytes. */
int copse_frame_of_datagram(struct copse_frame *f, const void *datagram, size_t len, uint8_t *type,
			    uint16_t *id);

/* ---- signaling (RFC 8323 §5) ---- */

#define COPSE_SIGNAL_MAX       300u /* room for any that copse_signal_write makes */
#define COPSE_SIGNAL_TEXT      200u /* longest text that it writes */
#define COPSE_SIGNAL_ADDRESSES 4u   /* of a Release: further ones are passed over */

/* Where else a server is, as "host:port": a view, not terminated. */
struct copse_signal_address {
	const uint8_t *text;
	size_t len; /* 1 to 255 */
};

/* A signaling message. What the message does not have is as in = {0}. */
struct copse_signal {
	uint8_t code; /* COPSE_CODE_CSM, _PING, _PONG, _RELEASE or _ABORT */
	uint8_t token_len;
	const uint8_t *token; /* of Ping and Pong */
	bool has_max_message; /* CSM */
	uint32_t max_message; /* CSM: Max-Message-Size */
	bool block_wise;      /* CSM: Block-Wise-Transfer */
	bool custody;         /* Ping and Pong */
	uint32_t hold_off;    /* Release: seconds until a connection may be made again */
	unsigned address_n;   /* Release: Alternative-Address, in the peer's order */
	struct copse_signal_address address[COPSE_SIGNAL_ADDRESSES];
	uint32_t bad_csm_option; /* Abort: the option of our CSM that was not understood; 0: none */
	const uint8_t *text;     /* Release and Abort: what the payload says */
	size_t text_len;
	uint32_t bad_option; /* parsed: the first critical option that is unknown, or repeated, or too long */
};

/* Parse the options of a frame of class 7; `*s` is a view over it. A code of that class that is not known is taken with
 * its options, all of which are unknown then.
 * Returns 0
 *  COPSE_ERR_BADOPTION  a critical option is not understood (§5.2): s->bad_option; abort the connection
 *  COPSE_ERR_MALFORMED  the options are not well formed: abort */
int copse_signal_parse(struct copse_signal *s, const struct copse_frame *f);

/* Write `s` as a frame. A text longer than COPSE_SIGNAL_TEXT is cut; Alternative-Address is not written.
 * Returns its length, or COPSE_ERR_NOROOM. */
int copse_signal_write(const struct copse_signal *s, void *buf, size_t cap);

#endif
