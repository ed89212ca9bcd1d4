/* HDLC framing of an asynchronous line (RFC 1662): bytes in, frames out, and back.
 *
 * On the line a frame is   7E  message  FCS-16  7E   with 7E and 7D inside escaped as 7D and the byte xor 20
 * (§4.2). One 7E may end a frame and begin the next. There is no address, control or protocol field: two stations
 * share the line, and all they say is CoAP, a message a frame. Control characters are not escaped: the line
 * carries all 256 values.
 *
 * The receiver finds back into step at the next 7E, whatever came before. The FCS catches every damage that lies
 * within two neighbouring bytes, and all but one in 65536 of the others; what a frame says still has to match a
 * request by its token.
 *
 * No I/O, no allocation: made for both ends of the line, a microcontroller's too.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_HDLC_H
#define COPSE_HDLC_H

#include <copse/types.h>

#define COPSE_HDLC_FLAG   0x7eu
#define COPSE_HDLC_ESCAPE 0x7du
#define COPSE_HDLC_FCS    2u /* bytes of FCS behind a message */

/* Bytes on the line for a message of `n` bytes, at most: each one escaped, and two flags. */
#define COPSE_HDLC_BYTES(n) (2 * ((n) + COPSE_HDLC_FCS) + 2)

/* What became of what came; never reset. */
struct copse_hdlc_counters {
	copse_count frames;   /* whole and good */
	copse_count damaged;  /* with a wrong FCS */
	copse_count too_long; /* longer than the buffer */
	copse_count runts;    /* too short to hold a message, empty ones aside */
	copse_count aborted;  /* ended by 7D 7E */
};

/* The receiving side. `counters` may be read; the rest is private. */
struct copse_hdlc {
	uint8_t *buf;
	uint32_t cap;
	uint32_t len;
	bool escaped;  /* the last byte was 7D */
	bool skipping; /* nothing counts before the next 7E */
	struct copse_hdlc_counters counters;
};

/* Begin to receive messages of up to `cap` - COPSE_HDLC_FCS bytes into `buf`, which stays the caller's and must
 * live as long as
 * `h` is used. Whatever comes before the first 7E is skipped. Asserts that `cap` holds at least one byte of
 * message. */
void copse_hdlc_init(struct copse_hdlc *h, void *buf, size_t cap);

/* Take bytes from the line, up to the end of the next good frame.
 * Returns how many of the `n` at `bytes` were taken: all, with `*len` 0; or those up to the end of a frame, with
 * `*len` its message's length. The message stands in the buffer then, until the next call. Bad frames are counted
 * and passed over. */
size_t copse_hdlc_take(struct copse_hdlc *h, const void *bytes, size_t n, size_t *len);

/* Write the frame of `message` to `out`.
 * Returns its length, or 0 when `cap` is too small: COPSE_HDLC_BYTES(len) always suffice. */
size_t copse_hdlc_put(void *out, size_t cap, const void *message, size_t len);

#endif
