/* Any bytes as a line: what comes out whole was sent whole by somebody, and it makes no difference how the line
 * cuts it. What comes out, put into a frame again, comes out again.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/hdlc.h>

#include "message_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CAP 100

static void again(const uint8_t *message, size_t len)
{
	static uint8_t line[COPSE_HDLC_BYTES(CAP)], buf[CAP];
	struct copse_hdlc h;
	size_t got;
	const size_t n = copse_hdlc_put(line, sizeof(line), message, len);

	MESSAGE_CHECK(n >= len + 4 && n <= COPSE_HDLC_BYTES(len));
	copse_hdlc_init(&h, buf, sizeof(buf));
	MESSAGE_CHECK(copse_hdlc_take(&h, line, n, &got) == n);
	MESSAGE_CHECK(got == len && memcmp(buf, message, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t whole_buf[CAP], cut_buf[CAP];
	struct copse_hdlc whole, cut;
	size_t at = 0, got, other;

	copse_hdlc_init(&whole, whole_buf, CAP);
	copse_hdlc_init(&cut, cut_buf, CAP);
	while (at < len) {
		const size_t n = copse_hdlc_take(&whole, data + at, len - at, &got);
		MESSAGE_CHECK(n > 0 && n <= len - at && got <= CAP - COPSE_HDLC_FCS);
		for (size_t i = 0; i < n; i++) {
			MESSAGE_CHECK(copse_hdlc_take(&cut, data + at + i, 1, &other) == 1);
			MESSAGE_CHECK(other == (i + 1 == n ? got : 0));
		}
		if (got) {
			MESSAGE_CHECK(memcmp(whole_buf, cut_buf, got) == 0);
			again(whole_buf, got);
		}
		at += n;
	}
	MESSAGE_CHECK(memcmp(&whole.counters, &cut.counters, sizeof(whole.counters)) == 0);
	return 0;
}
