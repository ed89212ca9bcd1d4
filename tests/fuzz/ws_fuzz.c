/* Any bytes as the two halves of a WebSocket: the heads of HTTP, and frames of RFC 6455, in pieces of any
 * length. The first byte
 * says which, the next ones how long the pieces are.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "transport/ws.h"
#include "transport/ws_http.h"

#include <copse/frame.h>

#include "message_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MAX 2000u

static void check_heads(const uint8_t *data, size_t len)
{
	char told[WS_HTTP_TOLD], why[96] = "";
	const size_t head = ws_http_head(data, len, len / 2), whole = ws_http_head(data, len, 0);
	const int status = ws_http_asked(data, len, "https://a.example *", told);

	MESSAGE_CHECK(whole <= len && (head == 0 || head >= whole));
	MESSAGE_CHECK(status == 101 || (status >= 400 && told[0] == '\0'));
	if (ws_http_told(data, len, "dGhlIHNhbXBsZSBub25jZQ==", why, sizeof(why)) != 0)
		MESSAGE_CHECK(why[0]);
}

/* What was taken is whole frames, which wrap again. */
static void check_frames(const struct tcp_buffer *in, bool server)
{
	struct ws *again = ws_new(server, MAX);
	struct copse_frame f;
	size_t at = 0;

	while (at < in->len) {
		MESSAGE_CHECK(copse_frame_parse(&f, in->bytes + at, in->len - at, MAX) == 1);
		MESSAGE_CHECK(ws_wrap(again, in->bytes + at, f.len) == (int)f.len);
		at += f.len;
	}
	ws_free(again);
}

static void check_stream(const uint8_t *data, size_t len, bool server)
{
	struct ws *ws = ws_new(server, MAX);
	struct tcp_buffer in = {0};
	const char *fault;

	while (len > 1) {
		const size_t piece = data[0] % 64u + 1, n = piece < len - 1 ? piece : len - 1;

		MESSAGE_CHECK(ws_feed(ws, data + 1, n, &in));
		data += 1 + n;
		len -= 1 + n;
		MESSAGE_CHECK(ws_is_over(ws, &fault) || !fault);
	}
	MESSAGE_CHECK(tcp_waiting(ws_wire(ws)) <= 1u << 20);
	check_frames(&in, server);
	tcp_buffer_clear(&in);
	ws_bye(ws, 1000);
	ws_free(ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] % 3 == 2)
		check_heads(data + 1, len - 1);
	else
		check_stream(data + 1, len - 1, data[0] % 3);
	return 0;
}
