/* Frames and signaling of RFC 8323 against annotated bytes: each form of Len, every prefix, every error. Inputs end at a
 * page that cannot be read.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/frame.h>

#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MAX 70000u

static struct guard guard;

static int parse(struct copse_frame *f, const void *bytes, size_t len, size_t max)
{
	memset(f, 0xa5, sizeof(*f));
	return copse_frame_parse(f, guard_put(&guard, bytes, len), len, max);
}

/* ---- frames ---- */

/* Len, then as many bytes of rest: what stands in front of them (RFC 8323 §3.2). */
static const struct form {
	uint32_t rest_len;
	uint8_t token_len;
	size_t head_len;
	uint8_t head[COPSE_FRAME_HEAD_MAX];
} forms[] = {
    {0, 0, 2, {0x00, 0x45}},                    /* Len 0, TKL 0; 2.05 */
    {0, 1, 3, {0x01, 0x45, 0xb0}},              /* figure 5: Len 0, TKL 1; token */
    {12, 0, 2, {0xc0, 0x45}},                   /* Len 12, the last that fits the nibble */
    {13, 2, 5, {0xd2, 0x00, 0x45, 0xb0, 0xb1}}, /* Len 13: one byte more, 13 - 13 */
    {268, 0, 3, {0xd0, 0xff, 0x45}},            /* 255 + 13 */
    {269, 0, 4, {0xe0, 0x00, 0x00, 0x45}},      /* Len 14: two bytes more, 269 - 269 */
    {65804, 0, 4, {0xe0, 0xff, 0xff, 0x45}},    /* 65535 + 269 */
    {65805,
     8,
     14,
     {0xf8, 0, 0, 0, 0, 0x45, 0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7}}, /* Len 15: four */
};

#define FORMS (sizeof(forms) / sizeof(forms[0]))

static void each_form_of_len(void **state)
{
	uint8_t *bytes = malloc(MAX), head[COPSE_FRAME_HEAD_MAX];
	struct copse_frame f;
	(void)state;
	for (const struct form *v = forms; v < forms + FORMS; v++) {
		const size_t len = v->head_len + v->rest_len;
		memset(bytes, 0x5e, MAX);
		memcpy(bytes, v->head, v->head_len);
		assert_int_equal(parse(&f, bytes, len, MAX), 1);
		assert_int_equal(f.len, len);
		assert_int_equal(f.code, COPSE_CODE_CONTENT);
		assert_int_equal(f.token_len, v->token_len);
		assert_int_equal(f.rest_len, v->rest_len);
		assert_ptr_equal(f.rest, f.token + f.token_len);
		assert_int_equal(copse_frame_len(v->token_len, v->rest_len), len);
		assert_int_equal(copse_frame_head(head, f.code, f.token, f.token_len, f.rest_len),
				 v->head_len);
		assert_memory_equal(head, v->head, v->head_len);
		/* what follows belongs to the next one; what is missing is awaited */
		assert_int_equal(parse(&f, bytes, len + 1, MAX), 1);
		assert_int_equal(f.len, len);
		for (size_t cut = 0; cut < len; cut += cut < 20 || cut + 20 > len ? 1 : 997) {
			assert_int_equal(parse(&f, bytes, cut, MAX), 0);
			assert_true(f.need > cut && f.need <= len);
		}
		assert_int_equal(parse(&f, bytes, len, len), 1);
		assert_int_equal(parse(&f, bytes, len, len - 1), COPSE_ERR_NOROOM);
	}
	free(bytes);
}

static void a_frame_that_is_too_long_shows_early(void **state)
{
	static const uint8_t huge[] = {0xf0, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t above[] = {0xe0, 0x04, 0x00}; /* 1024 + 269 */
	struct copse_frame f;
	(void)state;
	assert_int_equal(parse(&f, huge, sizeof(huge), MAX), COPSE_ERR_NOROOM);
	assert_int_equal(parse(&f, huge, sizeof(huge), SIZE_MAX / 2), 0);
	assert_int_equal(parse(&f, huge, sizeof(huge) - 1, MAX), 0);
	assert_int_equal(parse(&f, above, sizeof(above), COPSE_FRAME_BASE), COPSE_ERR_NOROOM);
	assert_int_equal(parse(&f, above, sizeof(above), 4 + 1024 + 269), 0);
}

static void reserved_token_lengths_end_the_stream(void **state)
{
	struct copse_frame f;
	(void)state;
	for (unsigned tkl = 0; tkl < 16; tkl++) {
		const uint8_t byte = (uint8_t)(0x10 | tkl);
		assert_int_equal(parse(&f, &byte, 1, MAX), tkl > 8 ? COPSE_ERR_MALFORMED : 0);
	}
}

/* A frame as a datagram and back. */
static void datagrams(void **state)
{
	/* Len 5, TKL 2; 0.01 GET; token; Uri-Path (11), 4 bytes */
	static const uint8_t frame[] = {0x52, 0x01, 0xca, 0xfe, 0xb4, 't', 'e', 's', 't'};
	/* version 1, CON, TKL 2; 0.01; 0x1234; token; the same */
	static const uint8_t datagram[] = {0x42, 0x01, 0x12, 0x34, 0xca, 0xfe, 0xb4, 't', 'e', 's', 't'};
	uint8_t buf[sizeof(datagram)], type;
	uint16_t id;
	struct copse_frame f;
	(void)state;
	assert_int_equal(parse(&f, frame, sizeof(frame), MAX), 1);
	assert_int_equal(copse_frame_datagram(&f, COPSE_CON, 0x1234, buf, sizeof(buf)), sizeof(datagram));
	assert_memory_equal(buf, datagram, sizeof(datagram));
	assert_int_equal(copse_frame_datagram(&f, COPSE_CON, 0x1234, buf, sizeof(buf) - 1), COPSE_ERR_NOROOM);
	assert_int_equal(copse_frame_of_datagram(&f, datagram, sizeof(datagram), &type, &id), 0);
	assert_int_equal(type, COPSE_CON);
	assert_int_equal(id, 0x1234);
	assert_int_equal(f.len, sizeof(frame));
	assert_memory_equal(f.token, frame + 2, 2);
	assert_memory_equal(f.rest, frame + 4, 5);
	assert_int_equal(f.rest_len, 5);
	for (size_t cut = 0; cut < 6; cut++)
		assert_int_equal(
		    copse_frame_of_datagram(&f, guard_put(&guard, datagram, cut), cut, &type, &id),
		    COPSE_ERR_MALFORMED);
	for (unsigned first = 0; first < 256; first++) {
		uint8_t other[20] = {(uint8_t)first};
		const bool good = first >> 6 == 1 && (first & 15) <= 8;
		assert_int_equal(copse_frame_of_datagram(&f, other, sizeof(other), &type, &id),
				 good ? 0 : COPSE_ERR_MALFORMED);
	}
}

/* ---- signaling ---- */

static int signal_of(struct copse_signal *s, const uint8_t *bytes, size_t len)
{
	static struct copse_frame f;
	assert_int_equal(parse(&f, bytes, len, MAX), 1);
	assert_int_equal(f.len, len);
	return copse_signal_parse(s, &f);
}

#define SIGNAL(s, ...) signal_of(s, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void csm(void **state)
{
	struct copse_signal s;
	(void)state;
	/* Len 0; 7.01 */
	assert_int_equal(SIGNAL(&s, 0x00, 0xe1), 0);
	assert_false(s.has_max_message || s.block_wise);
	/* Len 4; 7.01; delta 2: Max-Message-Size, 2 bytes: 1152; delta 2: Block-Wise-Transfer, empty */
	assert_int_equal(SIGNAL(&s, 0x40, 0xe1, 0x22, 0x04, 0x80, 0x20), 0);
	assert_true(s.has_max_message && s.block_wise);
	assert_int_equal(s.max_message, 1152);
	/* the last of several counts (§5.3.1) */
	assert_int_equal(SIGNAL(&s, 0x40, 0xe1, 0x21, 0x07, 0x01, 0x09), 0);
	assert_int_equal(s.max_message, 9);
	/* elective, and too long or unknown: ignored. 5 bytes of Max-Message-Size; Block-Wise-Transfer with a byte;
	 * option 34, which is 2 for who looks at five bits */
	assert_int_equal(SIGNAL(&s, 0x80, 0xe1, 0x25, 1, 2, 3, 4, 5, 0x21, 0x01), 0);
	assert_false(s.has_max_message || s.block_wise);
	assert_int_equal(SIGNAL(&s, 0x30, 0xe1, 0xd1, 34 - 13, 0x08), 0);
	assert_false(s.has_max_message);
	/* critical, and unknown: the first one is named (§5.2). Option 2, then 5, then 7 */
	assert_int_equal(SIGNAL(&s, 0x40, 0xe1, 0x21, 0x50, 0x30, 0x20), COPSE_ERR_BADOPTION);
	assert_int_equal(s.bad_option, 5);
	/* delta 14: two bytes, 0x0102 + 269 = 527 */
	assert_int_equal(SIGNAL(&s, 0x30, 0xe1, 0xe0, 0x01, 0x02), COPSE_ERR_BADOPTION);
	assert_int_equal(s.bad_option, 527);
}

static void ping_and_pong(void **state)
{
	struct copse_signal s;
	(void)state;
	/* Len 1, TKL 1; 7.02; token; delta 2: Custody, empty */
	assert_int_equal(SIGNAL(&s, 0x11, 0xe2, 0x42, 0x20), 0);
	assert_true(s.custody);
	assert_int_equal(s.token_len, 1);
	assert_int_equal(s.token[0], 0x42);
	assert_int_equal(SIGNAL(&s, 0x10, 0xe3, 0x20), 0);
	assert_true(s.custody);
	assert_int_equal(SIGNAL(&s, 0x01, 0xe3, 0x42), 0);
	assert_false(s.custody);
	/* Max-Message-Size is none of Ping's options: Custody with content */
	assert_int_equal(SIGNAL(&s, 0x20, 0xe2, 0x21, 0x07), 0);
	assert_false(s.custody || s.has_max_message);
}

static void release_and_abort(void **state)
{
	struct copse_signal s;
	(void)state;
	/* Len 9; 7.04; two Alternative-Address (2), "ab" and "c"; Hold-Off (4): 300; payload "x" */
	assert_int_equal(SIGNAL(&s, 0xa0, 0xe4, 0x22, 'a', 'b', 0x01, 'c', 0x22, 0x01, 0x2c, 0xff, 'x'), 0);
	assert_int_equal(s.address_n, 2);
	assert_int_equal(s.address[0].len, 2);
	assert_memory_equal(s.address[0].text, "ab", 2);
	assert_int_equal(s.address[1].len, 1);
	assert_memory_equal(s.address[1].text, "c", 1);
	assert_int_equal(s.hold_off, 300);
	assert_int_equal(s.text_len, 1);
	/* five of them, of which the last is passed over */
	assert_int_equal(SIGNAL(&s, 0xa0, 0xe4, 0x21, 'a', 0x01, 'b', 0x01, 'c', 0x01, 'd', 0x01, 'e'), 0);
	assert_int_equal(s.address_n, COPSE_SIGNAL_ADDRESSES);
	assert_memory_equal(s.address[3].text, "d", 1);
	/* 7.05; Bad-CSM-Option (2): 527; payload "no" */
	assert_int_equal(SIGNAL(&s, 0x60, 0xe5, 0x22, 0x02, 0x0f, 0xff, 'n', 'o'), 0);
	assert_int_equal(s.bad_csm_option, 527);
	assert_memory_equal(s.text, "no", 2);
	/* a code that nobody knows (7.06): its options are unknown */
	assert_int_equal(SIGNAL(&s, 0x10, 0xe6, 0x20), 0);
	assert_int_equal(SIGNAL(&s, 0x10, 0xe6, 0x30), COPSE_ERR_BADOPTION);
}

static void signals_that_are_malformed(void **state)
{
	struct copse_signal s;
	(void)state;
	assert_int_equal(SIGNAL(&s, 0x10, 0xe1, 0x21), COPSE_ERR_MALFORMED);       /* the value is missing */
	assert_int_equal(SIGNAL(&s, 0x10, 0xe1, 0xd0), COPSE_ERR_MALFORMED);       /* and the delta's byte */
	assert_int_equal(SIGNAL(&s, 0x20, 0xe1, 0xe0, 0x01), COPSE_ERR_MALFORMED); /* one of two */
	assert_int_equal(SIGNAL(&s, 0x10, 0xe1, 0xf0), COPSE_ERR_MALFORMED);       /* delta 15 */
	assert_int_equal(SIGNAL(&s, 0x10, 0xe1, 0x2f), COPSE_ERR_MALFORMED);       /* length 15 */
	assert_int_equal(SIGNAL(&s, 0x10, 0xe4, 0xff), COPSE_ERR_MALFORMED);       /* a marker alone */
	/* a number above 65535: 0xffff + 269 */
	assert_int_equal(SIGNAL(&s, 0x30, 0xe1, 0xe0, 0xff, 0xff), COPSE_ERR_MALFORMED);
}

static void signals_written_are_what_is_parsed(void **state)
{
	static const uint8_t token[] = {1, 2, 3, 4, 5, 6, 7, 8};
	const struct copse_signal written[] = {
	    {.code = COPSE_CODE_CSM, .has_max_message = true, .max_message = 0x12345678, .block_wise = true},
	    {.code = COPSE_CODE_CSM, .has_max_message = true},
	    {.code = COPSE_CODE_PING, .token = token, .token_len = 8},
	    {.code = COPSE_CODE_PONG, .token = token, .token_len = 3, .custody = true},
	    {.code = COPSE_CODE_RELEASE, .hold_off = 65536, .text = token, .text_len = 8},
	    {.code = COPSE_CODE_ABORT, .bad_csm_option = 527, .text = token, .text_len = 1},
	};
	uint8_t buf[COPSE_SIGNAL_MAX];
	(void)state;
	for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		const struct copse_signal *w = &written[i];
		struct copse_signal s;
		const int n = copse_signal_write(w, buf, sizeof(buf));
		assert_true(n > 0);
		assert_int_equal(copse_signal_write(w, buf, (size_t)n - 1), COPSE_ERR_NOROOM);
		assert_int_equal(copse_signal_write(w, buf, (size_t)n), n);
		assert_int_equal(signal_of(&s, buf, (size_t)n), 0);
		assert_int_equal(s.code, w->code);
		assert_int_equal(s.token_len, w->token_len);
		assert_int_equal(s.has_max_message, w->has_max_message);
		assert_int_equal(s.max_message, w->max_message);
		assert_int_equal(s.block_wise, w->block_wise);
		assert_int_equal(s.custody, w->custody);
		assert_int_equal(s.hold_off, w->hold_off);
		assert_int_equal(s.bad_csm_option, w->bad_csm_option);
		assert_int_equal(s.text_len, w->text_len);
	}
}

static void a_long_text_is_cut(void **state)
{
	static const uint8_t text[1000];
	const struct copse_signal w = {.code = COPSE_CODE_ABORT, .text = text, .text_len = sizeof(text)};
	uint8_t buf[COPSE_SIGNAL_MAX];
	struct copse_signal s;
	(void)state;
	const int n = copse_signal_write(&w, buf, sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(signal_of(&s, buf, (size_t)n), 0);
	assert_int_equal(s.text_len, COPSE_SIGNAL_TEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_form_of_len),
					   cmocka_unit_test(a_frame_that_is_too_long_shows_early),
					   cmocka_unit_test(reserved_token_lengths_end_the_stream),
					   cmocka_unit_test(datagrams),
					   cmocka_unit_test(csm),
					   cmocka_unit_test(ping_and_pong),
					   cmocka_unit_test(release_and_abort),
					   cmocka_unit_test(signals_that_are_malformed),
					   cmocka_unit_test(signals_written_are_what_is_parsed),
					   cmocka_unit_test(a_long_text_is_cut)};
	guard = guard_make();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
