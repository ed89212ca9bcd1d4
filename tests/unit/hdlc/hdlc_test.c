/* HDLC framing: vectors, every cut, every damage.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "guard.h"

#include <copse/hdlc.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* RFC 1662 §C: the FCS-16 of "123456789" is 906e (X-25's check value), sent low byte first. */
static const uint8_t digits[] = {
    0x7e,                                          /* flag */
    '1',  '2',  '3', '4', '5', '6', '7', '8', '9', /* message */
    0x6e, 0x90,                                    /* FCS */
    0x7e                                           /* flag */
};

/* An empty CON with ID 7d7e: both bytes are escaped. */
static const uint8_t ping[] = {0x40, 0x00, 0x7d, 0x7e};
static const uint8_t ping_begin[] = {0x7e, 0x40, 0x00, 0x7d, 0x5d, 0x7d, 0x5e};

struct got {
	unsigned n;
	size_t len[8];
	uint8_t bytes[8][256];
};

static void feed(struct copse_hdlc *h, struct got *g, const uint8_t *bytes, size_t n)
{
	size_t at = 0, len;

	while (at < n) {
		at += copse_hdlc_take(h, bytes + at, n - at, &len);
		if (!len)
			continue;
		assert_true(g->n < 8 && len <= sizeof(g->bytes[0]));
		memcpy(g->bytes[g->n], h->buf, len);
		g->len[g->n++] = len;
	}
	assert_int_equal(at, n);
}

static void test_vector(void **state)
{
	uint8_t buf[16], out[64];
	struct copse_hdlc h;
	struct got g = {0};

	(void)state;
	copse_hdlc_init(&h, buf, sizeof(buf));
	feed(&h, &g, digits, sizeof(digits));
	assert_int_equal(g.n, 1);
	assert_int_equal(g.len[0], 9);
	assert_memory_equal(g.bytes[0], "123456789", 9);
	assert_int_equal(copse_hdlc_put(out, sizeof(out), "123456789", 9), sizeof(digits));
	assert_memory_equal(out, digits, sizeof(digits));
	assert_int_equal(copse_hdlc_put(out, sizeof(out), ping, sizeof(ping)), sizeof(ping_begin) + 3);
	assert_memory_equal(out, ping_begin, sizeof(ping_begin));
}

/* Every message comes back, whatever bytes it has, however the line cuts it; the decoder's buffer ends at a page
 * that cannot be touched, and so does the encoder's. */
static void test_round(void **state)
{
	struct guard in = guard_make(), out = guard_make();
	uint8_t message[200];

	(void)state;
	for (size_t len = 1; len <= sizeof(message); len++) {
		uint8_t *line = guard_room(&out, COPSE_HDLC_BYTES(len));
		struct copse_hdlc h;
		struct got g = {0};
		size_t n;

		for (size_t i = 0; i < len; i++)
			message[i] = (uint8_t)(len % 3 ? i * 7 + len : 0x7d + i % 2);
		copse_hdlc_init(&h, guard_room(&in, len + COPSE_HDLC_FCS), len + COPSE_HDLC_FCS);
		n = copse_hdlc_put(line, COPSE_HDLC_BYTES(len), message, len);
		assert_true(n >= len + 4);
		for (size_t i = 0; i < n; i += len % 5 + 1)
			feed(&h, &g, line + i, n - i < len % 5 + 1 ? n - i : len % 5 + 1);
		assert_int_equal(g.n, 1);
		assert_int_equal(g.len[0], len);
		assert_memory_equal(g.bytes[0], message, len);
	}
}

/* One flag may be the end of a frame and the beginning of the next; many flags in a row are nothing. */
static void test_shared_flag(void **state)
{
	static const uint8_t twice[] = {0x7e, 0x7e, 0x7e, '1',  '2',  '3',  '4',  '5',  '6',
					'7',  '8',  '9',  0x6e, 0x90, 0x7e, '1',  '2',  '3',
					'4',  '5',  '6',  '7',  '8',  '9',  0x6e, 0x90, 0x7e};
	uint8_t buf[16];
	struct copse_hdlc h;
	struct got g = {0};

	(void)state;
	copse_hdlc_init(&h, buf, sizeof(buf));
	feed(&h, &g, twice, sizeof(twice));
	assert_int_equal(g.n, 2);
	assert_int_equal(h.counters.frames, 2);
	assert_int_equal(h.counters.runts + h.counters.damaged, 0);
}

/* Each way to be bad has its counter, and the next good frame is taken. */
static void test_bad(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t len;
	} bad[] = {
	    {{'n', 'o', 'i', 's', 'e'}, 5},               /* before the first flag */
	    {{0x7e, 'x', 'y', 0x7e}, 4},                  /* a runt */
	    {{0x7e, '1', '2', '3', 0x7d, 0x7e}, 6},       /* aborted */
	    {{0x7e, '1', '2', '3', 0x00, 0x00, 0x7e}, 7}, /* wrong FCS */
	    {{0x7e, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0x7e}, 18}, /* too long */
	};
	uint8_t buf[16 - 1];
	struct copse_hdlc h;
	struct got g = {0};

	(void)state;
	copse_hdlc_init(&h, buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		feed(&h, &g, bad[i].bytes, bad[i].len);
		assert_int_equal(g.n, i);
		feed(&h, &g, digits, sizeof(digits));
		assert_int_equal(g.n, i + 1);
	}
	assert_int_equal(h.counters.runts, 1);
	assert_int_equal(h.counters.aborted, 1);
	assert_int_equal(h.counters.damaged, 1);
	assert_int_equal(h.counters.too_long, 1);
	assert_int_equal(h.counters.frames, 5);
}

/* No single damaged bit, and no burst within 16 bits, is taken for a good frame. A flag or an escape that arises
 * may cut the frame in two, of which neither is good. */
static void test_every_burst(void **state)
{
	uint8_t line[64];
	const size_t n = copse_hdlc_put(line, sizeof(line), "\x44\x01\x12\x34\x01\x02\x03\x04\xb4temp", 13);

	(void)state;
	for (size_t at = 8; at < (n - 1) * 8 - 16; at++) {
		for (uint32_t burst = 1; burst < 0x10000; burst += 2) {
			uint8_t copy[64], buf[32];
			struct copse_hdlc h;
			struct got g = {0};

			memcpy(copy, line, n);
			for (unsigned b = 0; b < 16; b++)
				copy[(at + b) / 8] ^= (uint8_t)((burst >> b & 1) << (at + b) % 8);
			if (memchr(copy + 1, 0x7e, n - 2) || memchr(copy, 0x7d, n))
				continue; /* other lengths: the FCS promises less */
			copse_hdlc_init(&h, buf, sizeof(buf));
			feed(&h, &g, copy, n);
			assert_int_equal(g.n, 0);
		}
	}
}

static void test_no_room(void **state)
{
	uint8_t out[32];

	(void)state;
	for (size_t cap = 0; cap < sizeof(digits); cap++)
		assert_int_equal(copse_hdlc_put(out, cap, "123456789", 9) == 0, cap < sizeof(digits) + 2);
	assert_int_equal(copse_hdlc_put(out, sizeof(digits) + 2, "123456789", 9), sizeof(digits));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vector),      cmocka_unit_test(test_round),
	    cmocka_unit_test(test_shared_flag), cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_every_burst), cmocka_unit_test(test_no_room)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
