/* Any bytes as a stream of RFC 8323: frames stay within what is there, what is awaited suffices, and a frame made anew, as
 * a frame, as a datagram and as a signaling message, is the same.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/frame.h>

#include "message_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MAX 5000u

static void check_signal(const struct copse_frame *f)
{
	struct copse_signal s, again;
	struct copse_frame g;
	uint8_t buf[COPSE_SIGNAL_MAX];

	if (copse_signal_parse(&s, f))
		return;
	MESSAGE_CHECK(s.text_len <= f->rest_len && s.address_n <= COPSE_SIGNAL_ADDRESSES);
	for (unsigned i = 0; i < s.address_n; i++)
		MESSAGE_CHECK(s.address[i].text >= f->rest && s.address[i].len > 0 &&
			      s.address[i].len <= (size_t)(f->rest + f->rest_len - s.address[i].text));
	const int n = copse_signal_write(&s, buf, sizeof(buf));
	MESSAGE_CHECK(n > 0 && copse_frame_parse(&g, buf, (size_t)n, MAX) == 1 && g.len == (size_t)n);
	MESSAGE_CHECK(copse_signal_parse(&again, &g) == 0);
	MESSAGE_CHECK(again.max_message == s.max_message && again.hold_off == s.hold_off &&
		      again.block_wise == s.block_wise && again.custody == s.custody &&
		      again.bad_csm_option == s.bad_csm_option);
}

static void check_frame(const struct copse_frame *f)
{
	uint8_t datagram[MAX + 8], head[COPSE_FRAME_HEAD_MAX], type;
	struct copse_frame g;
	uint16_t id;
	const int n = copse_frame_datagram(f, COPSE_NON, 0xfedc, datagram, sizeof(datagram));

	MESSAGE_CHECK(n > 0 && copse_frame_of_datagram(&g, datagram, (size_t)n, &type, &id) == 0);
	MESSAGE_CHECK(type == COPSE_NON && id == 0xfedc && g.code == f->code && g.token_len == f->token_len);
	MESSAGE_CHECK(g.rest_len == f->rest_len && (!g.rest_len || memcmp(g.rest, f->rest, g.rest_len) == 0));
	MESSAGE_CHECK(copse_frame_head(head, g.code, g.token, g.token_len, g.rest_len) + g.rest_len <=
		      f->len);
	if (copse_code_is_signal(f->code))
		check_signal(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct copse_frame f, g;
	size_t at = 0;
	int got;

	while ((got = copse_frame_parse(&f, data + at, len - at, MAX)) > 0) {
		MESSAGE_CHECK(f.len >= 2 && f.len <= len - at && f.len <= MAX);
		MESSAGE_CHECK(f.rest + f.rest_len == data + at + f.len);
		MESSAGE_CHECK(copse_frame_parse(&g, data + at, f.len - 1, MAX) == 0 && g.need <= f.len);
		check_frame(&f);
		at += f.len;
	}
	MESSAGE_CHECK(got != 0 || f.need > len - at);
	return 0;
}
