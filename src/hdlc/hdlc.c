/* HDLC framing; see copse/hdlc.h. The receiver is drawn in doc/states/hdlc.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/hdlc.h>

#include <string.h>

#define FCS_BEGIN 0xffffu
#define FCS_GOOD  0xf0b8u /* what the FCS over a message and its own FCS comes to (RFC 1662 §C.2) */

/* One byte more: the polynomial x^16 + x^12 + x^5 + 1, bits reversed (RFC 1662 §C.1), without its table. */
static uint16_t fcs_add(uint16_t fcs, uint8_t byte)
{
	uint8_t d = (uint8_t)(byte ^ fcs);

	d = (uint8_t)(d ^ d << 4);
	return (uint16_t)(fcs >> 8 ^ d << 8 ^ d << 3 ^ d >> 4);
}

static uint16_t fcs_of(const uint8_t *bytes, size_t len)
{
	uint16_t fcs = FCS_BEGIN;

	for (size_t i = 0; i < len; i++)
		fcs = fcs_add(fcs, bytes[i]);
	return fcs;
}

void copse_hdlc_init(struct copse_hdlc *h, void *buf, size_t cap)
{
	COPSE_ASSERT(cap > COPSE_HDLC_FCS && cap <= UINT32_MAX);
	memset(h, 0, sizeof(*h));
	h->buf = buf;
	h->cap = (uint32_t)cap;
	h->skipping = true;
}

/* A 7E: what stands in the buffer is a frame, or nothing. Returns the length of its message, or 0. RFC 1662 §4.3 */
static size_t end_frame(struct copse_hdlc *h)
{
	const size_t len = h->len;
	const bool aborted = h->escaped, skipped = h->skipping;

	h->len = 0;
	h->escaped = false;
	h->skipping = false;
	if (skipped)
		return 0;
	if (aborted) {
		h->counters.aborted++;
	} else if (len > COPSE_HDLC_FCS) {
		if (fcs_of(h->buf, len) == FCS_GOOD) {
			h->counters.frames++;
			return len - COPSE_HDLC_FCS;
		}
		h->counters.damaged++;
	} else if (len) { /* flags in a row are no frames */
		h->counters.runts++;
	}
	return 0;
}

static void take_byte(struct copse_hdlc *h, uint8_t byte)
{
	if (h->skipping)
		return;
	if (byte == COPSE_HDLC_ESCAPE && !h->escaped) {
		h->escaped = true;
		return;
	}
	if (h->len == h->cap) {
		h->counters.too_long++;
		h->skipping = true;
		return;
	}
	h->buf[h->len++] = h->escaped ? byte ^ 0x20u : byte;
	h->escaped = false;
}

size_t copse_hdlc_take(struct copse_hdlc *h, const void *bytes, size_t n, size_t *len)
{
	const uint8_t *at = bytes;

	*len = 0;
	for (size_t i = 0; i < n; i++) {
		if (at[i] != COPSE_HDLC_FLAG) {
			take_byte(h, at[i]);
			continue;
		}
		*len = end_frame(h);
		if (*len)
			return i + 1;
	}
	return n;
}

static uint8_t *put_byte(uint8_t *out, uint8_t byte)
{
	if (byte == COPSE_HDLC_FLAG || byte == COPSE_HDLC_ESCAPE) {
		*out++ = COPSE_HDLC_ESCAPE;
		byte ^= 0x20u;
	}
	*out++ = byte;
	return out;
}

/* Whether `len` bytes, the FCS behind them and two flags fit, when some of them are escaped. */
static bool fits(const uint8_t *message, size_t len, size_t cap)
{
	size_t need = len + 2 * COPSE_HDLC_FCS + 2;

	for (size_t i = 0; need <= cap && i < len; i++)
		need += message[i] == COPSE_HDLC_FLAG || message[i] == COPSE_HDLC_ESCAPE;
	return need <= cap;
}

size_t copse_hdlc_put(void *out, size_t cap, const void *message, size_t len)
{
	const uint16_t fcs = (uint16_t)~fcs_of(message, len);
	const uint8_t *from = message;
	uint8_t *to = out;

	if (!fits(message, len, cap))
		return 0;
	*to++ = COPSE_HDLC_FLAG;
	for (size_t i = 0; i < len; i++)
		to = put_byte(to, from[i]);
	to = put_byte(to, (uint8_t)fcs); /* the least significant byte goes first (RFC 1662 §C.1) */
	to = put_byte(to, (uint8_t)(fcs >> 8));
	*to++ = COPSE_HDLC_FLAG;
	return (size_t)(to - (uint8_t *)out);
}
