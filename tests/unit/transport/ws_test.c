/* WebSockets without a connection: what Wslay makes of bytes, and what HTTP's one exchange may look like.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include "transport/ws.h"
#include "transport/ws_http.h"

#include <stdio.h>
#include <string.h>

#define MAX 1152u

/* ---- messages ---- */

/* RFC 6455 §5.2: a frame that a client sends, masked with zeros so that it can be read here. At most 125 bytes. */
static size_t masked(uint8_t *out, uint8_t first, const void *payload, uint8_t len)
{
	out[0] = first;
	out[1] = 0x80 | len;
	memset(out + 2, 0, 4);
	memcpy(out + 6, payload, len);
	return 6u + len;
}

static bool is_over(struct ws *ws)
{
	const char *fault;

	return ws_is_over(ws, &fault);
}

static const char *fault_of(struct ws *ws)
{
	const char *fault;

	ws_is_over(ws, &fault);
	return fault;
}

/* The close code that lies in the wire, of a server: unmasked. */
static unsigned close_code(struct ws *ws)
{
	const struct tcp_buffer *w = ws_wire(ws);

	assert_true(tcp_waiting(w) >= 4);
	assert_int_equal(w->bytes[w->at], 0x88);
	return (unsigned)w->bytes[w->at + 2] << 8 | w->bytes[w->at + 3];
}

static void a_message_there_and_back(void **state)
{
	/* Len 3, TKL 1; GET; token 7; Uri-Path "ab" */
	static const uint8_t frame[] = {0x31, 0x01, 0x07, 0xb2, 'a', 'b'};
	struct ws *client = ws_new(false, MAX), *server = ws_new(true, MAX);
	struct tcp_buffer in = {0}, *wire = ws_wire(client);

	(void)state;
	assert_int_equal(ws_wrap(client, frame, sizeof frame), sizeof frame);
	/* FIN, binary; mask, 6 bytes; the mask; what has no Len */
	assert_int_equal(tcp_waiting(wire), 2 + 4 + 6);
	assert_int_equal(wire->bytes[0], 0x82);
	assert_int_equal(wire->bytes[1], 0x86);
	for (uint32_t i = 0; i < wire->len; i++) { /* cut anywhere */
		assert_true(ws_feed(server, wire->bytes + i, 1, &in));
		assert_int_equal(ws_is_partial(server), i + 1 < wire->len);
	}
	assert_int_equal(tcp_waiting(&in), sizeof frame);
	assert_memory_equal(in.bytes, frame, sizeof frame);
	/* the server's is not masked */
	assert_int_equal(ws_wrap(server, frame, sizeof frame), sizeof frame);
	assert_int_equal(tcp_waiting(ws_wire(server)), 2 + 6);
	assert_memory_equal(ws_wire(server)->bytes, ((const uint8_t[]){0x82, 6, 1, 1, 7, 0xb2, 'a', 'b'}), 8);
	tcp_buffer_clear(&in);
	assert_true(ws_feed(client, ws_wire(server)->bytes, 8, &in));
	assert_memory_equal(in.bytes, frame, sizeof frame);
	tcp_buffer_clear(&in);
	ws_free(client);
	ws_free(server);
}

static void lengths(void **state)
{
	static const size_t lens[] = {2, 13, 14, 16, 125, 126, 127, 128, 269, 271, 273, 1000, 1151, 1152};
	uint8_t frame[MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		struct ws *client = ws_new(false, MAX), *server = ws_new(true, MAX);
		struct tcp_buffer in = {0};
		const size_t len = lens[i], rest = len < 15 ? len - 2 : len < 272 ? len - 3 : len - 4;

		memset(frame, 'x', sizeof frame);
		if (len < 15) {
			frame[0] = (uint8_t)(rest << 4);
		} else if (len < 272) {
			frame[0] = 0xd0;
			frame[1] = (uint8_t)(rest - 13);
		} else {
			frame[0] = 0xe0;
			frame[1] = (uint8_t)((rest - 269) >> 8);
			frame[2] = (uint8_t)(rest - 269);
		}
		assert_int_equal(ws_wrap(client, frame, len), len);
		assert_true(ws_feed(server, ws_wire(client)->bytes, tcp_waiting(ws_wire(client)), &in));
		assert_int_equal(tcp_waiting(&in), len);
		assert_memory_equal(in.bytes, frame, len);
		assert_false(is_over(server));
		tcp_buffer_clear(&in);
		ws_free(client);
		ws_free(server);
	}
}

static void fragments_and_pings(void **state)
{
	struct ws *ws = ws_new(true, MAX);
	struct tcp_buffer in = {0};
	uint8_t bytes[64];

	(void)state;
	/* a binary message that goes on, a ping in between, an empty continuation, the last one */
	assert_true(ws_feed(ws, bytes, masked(bytes, 0x02, "\x01", 1), &in));
	assert_true(ws_feed(ws, bytes, masked(bytes, 0x89, "hi", 2), &in));
	assert_int_equal(ws_pings(ws), 1);
	assert_int_equal(ws_pings(ws), 0);
	assert_int_equal(tcp_waiting(ws_wire(ws)), 4);
	assert_memory_equal(ws_wire(ws)->bytes, "\x8a\x02hi", 4);
	assert_true(ws_feed(ws, bytes, masked(bytes, 0x00, "", 0), &in));
	assert_true(ws_is_partial(ws));
	assert_int_equal(tcp_waiting(&in), 0);
	assert_true(ws_feed(ws, bytes, masked(bytes, 0x80, "\x45\x07", 2), &in));
	assert_false(ws_is_partial(ws));
	assert_int_equal(tcp_waiting(&in), 3);
	assert_memory_equal(in.bytes, "\x01\x45\x07", 3);
	tcp_buffer_clear(&in);
	/* as many fragments as may be, and one more */
	assert_true(ws_feed(ws, bytes, masked(bytes, 0x02, "", 0), &in));
	for (unsigned i = 1; i < WS_FRAGMENTS; i++)
		assert_true(ws_feed(ws, bytes, masked(bytes, 0x00, "", 0), &in));
	assert_false(is_over(ws));
	tcp_buffer_clear(ws_wire(ws));
	assert_true(ws_feed(ws, bytes, masked(bytes, 0x80, "\x00\x45", 2), &in));
	assert_true(is_over(ws));
	assert_int_equal(close_code(ws), 1008);
	assert_int_equal(tcp_waiting(&in), 0);
	ws_free(ws);
}

static void what_closes_it(void **state)
{
	static const struct {
		const char *what;
		uint8_t first;
		const char *payload;
		uint8_t len;
		unsigned code;
	} rows[] = {
	    {"a text", 0x81, "\x00\x45", 2, 1003},
	    {"no code", 0x82, "\x00", 1, 1007},
	    {"nothing", 0x82, "", 0, 1007},
	    {"a token of nine", 0x82, "\x09\x01zzzzzzzzz", 11, 1007},
	    {"a token that is cut", 0x82, "\x03\x01zz", 4, 1007},
	    {"a Len", 0x82, "\x10\x01z", 3, 1007},
	    {"a reserved bit", 0xc2, "\x00\x45", 2, 1002},
	    {"a continuation of nothing", 0x80, "\x00\x45", 2, 1002},
	    {"a close", 0x88,
	     "\x03\xe8"
	     "bye",
	     5, 1000},
	    {"a close with a code that nobody may send", 0x88, "\x03\xed", 2, 1002},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ws *ws = ws_new(true, MAX);
		struct tcp_buffer in = {0};
		uint8_t bytes[64];

		assert_true(
		    ws_feed(ws, bytes, masked(bytes, rows[i].first, rows[i].payload, rows[i].len), &in));
		assert_true(is_over(ws));
		if (close_code(ws) != rows[i].code)
			fail_msg("%s: closed with %u", rows[i].what, close_code(ws));
		assert_int_equal(fault_of(ws) == NULL, rows[i].code == 1000);
		/* nothing is taken, and nothing said, any more */
		assert_true(ws_feed(ws, bytes, masked(bytes, 0x82, "\x00\x45", 2), &in));
		assert_int_equal(tcp_waiting(&in), 0);
		tcp_buffer_clear(ws_wire(ws));
		assert_int_equal(ws_wrap(ws, (const uint8_t *)"\x00\x45", 2), 2);
		ws_bye(ws, 1001);
		assert_int_equal(tcp_waiting(ws_wire(ws)), 0);
		ws_free(ws);
	}
}

static void masks_and_sizes(void **state)
{
	/* FIN, binary, mask, 1153 bytes by two bytes of length: one more than may be */
	static const uint8_t large[] = {0x82, 0xfe, 0x04, 0x81, 0, 0, 0, 0, 0};
	static const uint8_t bare[] = {0x82, 2, 0x00, 0x45};
	static const uint8_t worn[] = {0x82, 0x82, 0, 0, 0, 0, 0x00, 0x45};
	struct tcp_buffer in = {0};
	struct ws *ws = ws_new(true, MAX);

	(void)state;
	assert_true(ws_feed(ws, large, sizeof large, &in));
	assert_int_equal(close_code(ws), 1009);
	assert_string_equal(fault_of(ws), "message too large");
	ws_free(ws);
	ws = ws_new(true, MAX); /* RFC 6455 §5.1: a client masks */
	assert_true(ws_feed(ws, bare, sizeof bare, &in));
	assert_int_equal(close_code(ws), 1002);
	ws_free(ws);
	ws = ws_new(false, MAX); /* a server does not */
	assert_true(ws_feed(ws, worn, sizeof worn, &in));
	assert_true(is_over(ws));
	assert_non_null(fault_of(ws));
	assert_int_equal(tcp_waiting(&in), 0);
	ws_free(ws);
}

/* ---- HTTP ---- */

#define KEY   "dGhlIHNhbXBsZSBub25jZQ==" /* and what belongs to it: RFC 6455 §1.3 */
#define TOLD  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define GET   "GET /.well-known/coap HTTP/1.1\r\n"
#define HOST  "Host: gateway.example:8080\r\n"
#define UP    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define NONCE "Sec-WebSocket-Key: " KEY "\r\n"
#define REST  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt,coap\r\n"
#define ALL   GET HOST UP NONCE REST

static int asked(const char *head, const char *origins)
{
	char told[WS_HTTP_TOLD];
	const int status = ws_http_asked((const uint8_t *)head, strlen(head), origins, told);

	assert_string_equal(told, status == 101 ? TOLD : "");
	return status;
}

static void requests(void **state)
{
	static const struct {
		int status;
		const char *head;
	} rows[] = {
	    {101, ALL "\r\n"},
	    {101, GET "hOST:x\r\nUPGRADE:\tWebSocket \r\nconnection: upgrade\r\n" NONCE REST "\r\n"},
	    {101, GET HOST
	     "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: a\r\nConnection: b,upgrade\r\n" NONCE REST
	     "X: \x80\xff\r\n\r\n"},
	    {101, ALL "Origin: https://Gateway.Example:8080\r\n\r\n"},
	    {101, ALL "Content-Length: 0\r\n\r\n"},
	    {403, ALL "Origin: https://gateway.example\r\n\r\n"},
	    {403, ALL "Origin: null\r\n\r\n"},
	    {403, ALL "Origin: \r\n\r\n"},
	    {404, "GET / HTTP/1.1\r\n" HOST UP NONCE REST "\r\n"},
	    {404, "GET /.well-known/coap?x HTTP/1.1\r\n" HOST UP NONCE REST "\r\n"},
	    {405, "POST /.well-known/coap HTTP/1.1\r\n" HOST UP NONCE REST "\r\n"},
	    {505, "GET /.well-known/coap HTTP/1.0\r\n" HOST UP NONCE REST "\r\n"},
	    {426, GET HOST "Connection: upgrade\r\n" NONCE REST "\r\n"},
	    {426, GET HOST "Upgrade: websocket\r\n" NONCE REST "\r\n"},
	    {426, GET HOST UP NONCE "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Protocol: coap\r\n\r\n"},
	    {426, GET HOST UP NONCE "Sec-WebSocket-Protocol: coap\r\n\r\n"},
	    {400, GET UP NONCE REST "\r\n"},
	    {400, GET HOST UP REST "\r\n"},
	    {400, GET HOST UP NONCE NONCE REST "\r\n"},
	    {400, GET HOST HOST UP NONCE REST "\r\n"},
	    {400, GET HOST UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" REST "\r\n"},
	    {400, GET HOST UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n" REST "\r\n"},
	    {400, GET HOST UP "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub2-jZQ==\r\n" REST "\r\n"},
	    {400, GET HOST UP NONCE "Sec-WebSocket-Version: 13\r\n\r\n"},
	    {400, GET HOST UP NONCE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: coaps\r\n\r\n"},
	    {400, ALL "Content-Length: 5\r\n\r\n"},
	    {400, ALL "Transfer-Encoding: chunked\r\n\r\n"},
	    {400, ALL "a line without colon\r\n\r\n"},
	    {400, ALL " folded: line\r\n\r\n"},
	    {400, ALL "space before : x\r\n\r\n"},
	    {400, ALL ": x\r\n\r\n"},
	    {400, ALL "X: a\rb\r\n\r\n"},
	    {400, ALL "X: a\nY: b\r\n\r\n"},
	    {400, ALL "X: \x7f\r\n\r\n"},
	    {400, "\r\n\r\n"},
	    {400, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (asked(rows[i].head, NULL) != rows[i].status)
			fail_msg("%d where %d was to be: %s", asked(rows[i].head, NULL), rows[i].status,
				 rows[i].head);
	for (size_t n = 0; n < strlen(ALL "\r\n"); n++) { /* every prefix */
		char told[WS_HTTP_TOLD];

		assert_int_not_equal(ws_http_asked((const uint8_t *)ALL "\r\n", n, NULL, told), 101);
	}
}

static void origins(void **state)
{
	static const char page[] = ALL "Origin: https://a.example:8443\r\n\r\n";

	(void)state;
	assert_int_equal(asked(page, ""), 403);
	assert_int_equal(asked(page, "https://a.example https://b.example:8443"), 403);
	assert_int_equal(asked(page, "https://b.example https://a.example:8443"), 101);
	assert_int_equal(asked(page, "https://a.example:8443x"), 403);
	assert_int_equal(asked(page, "*"), 101);
}

static void heads(void **state)
{
	static const char head[] = "A\r\n\r\nrest";

	(void)state;
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(ws_http_head((const uint8_t *)head, n, n ? n - 1 : 0), 0);
	for (size_t before = 0; before < 5; before++)
		assert_int_equal(ws_http_head((const uint8_t *)head, sizeof head, before), 5);
}

#define BECOMES "HTTP/1.1 101 Switching Protocols\r\n" UP
#define AGREED  "Sec-WebSocket-Accept: " TOLD "\r\nSec-WebSocket-Protocol: coap\r\n"

static void answers(void **state)
{
	static const char *const refused[] = {
	    "HTTP/1.1 404 Not Found\r\n\r\n",
	    "HTTP/1.1 200 OK\r\n" UP AGREED "\r\n",
	    "SSH-2.0-OpenSSH_9.2\r\n\r\n",
	    "HTTP/1.1 1\r\n\r\n",
	    BECOMES "\r\n",
	    BECOMES "Sec-WebSocket-Accept: " TOLD "\r\n\r\n",
	    BECOMES "Sec-WebSocket-Accept: " TOLD "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
	    BECOMES
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\nSec-WebSocket-Protocol: coap\r\n\r\n",
	    BECOMES AGREED "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
	    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n" AGREED "\r\n",
	};
	static const char good[] = BECOMES AGREED "\r\n";
	char why[96], key[WS_HTTP_KEY], other[WS_HTTP_KEY], buf[1024];

	(void)state;
	assert_int_equal(ws_http_told((const uint8_t *)good, strlen(good), KEY, why, sizeof why), 0);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		why[0] = '\0';
		assert_int_equal(
		    ws_http_told((const uint8_t *)refused[i], strlen(refused[i]), KEY, why, sizeof why),
		    WS_HTTP_BAD);
		assert_true(why[0]);
	}
	/* what we ask is what we take, and each time with another key */
	ws_http_key(key);
	ws_http_key(other);
	assert_string_not_equal(key, other);
	assert_true(ws_http_ask(buf, sizeof buf, "[::1]:8080", key) > 0);
	char told[WS_HTTP_TOLD], answer[512];

	assert_int_equal(ws_http_asked((const uint8_t *)buf, strlen(buf), NULL, told), 101);
	assert_true(ws_http_answer(answer, sizeof answer, 101, told) > 0);
	assert_int_equal(ws_http_told((const uint8_t *)answer, strlen(answer), key, why, sizeof why), 0);
	assert_int_equal(ws_http_told((const uint8_t *)answer, strlen(answer), other, why, sizeof why),
			 WS_HTTP_BAD);
	assert_int_equal(ws_http_ask(buf, 20, "x", key), WS_HTTP_BAD);
	assert_int_equal(ws_http_answer(answer, 20, 404, ""), WS_HTTP_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_there_and_back),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(fragments_and_pings),
	    cmocka_unit_test(what_closes_it),
	    cmocka_unit_test(masks_and_sizes),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(origins),
	    cmocka_unit_test(heads),
	    cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
