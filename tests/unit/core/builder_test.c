/* The builder: what it makes is what was asked for in canonical form, at every capacity, in every order.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/message.h>

#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct guard guard;
static uint8_t filler[70000];

static void assert_bytes(struct copse_builder *b, const uint8_t *buf, const char *bytes, size_t len)
{
	assert_int_equal(copse_build_finish(b), len);
	assert_memory_equal(buf, bytes, len);
}

static void a_request(void **state)
{
	(void)state;
	uint8_t buf[64];
	struct copse_builder b;
	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_GET, 0x1234, "abcd", 4);
	copse_build_option(&b, COPSE_OPTION_URI_HOST, "device.local", 12);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "sensors", 7);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "hum", 3);
	copse_build_uint(&b, COPSE_OPTION_ACCEPT, 50);
	assert_bytes(&b, buf,
		     "\x44\x01\x12\x34"
		     "abcd\x3c"
		     "device.local\x87sensors\x03hum\x61\x32",
		     35);
}

static void headers(void **state)
{
	(void)state;
	uint8_t buf[16];
	struct copse_builder b;
	copse_build_message(&b, buf, sizeof(buf), COPSE_ACK, COPSE_CODE_CONTENT, 0xfffe, NULL, 0);
	assert_bytes(&b, buf, "\x60\x45\xff\xfe", 4);
	copse_build_message(&b, buf, sizeof(buf), COPSE_RST, COPSE_CODE_EMPTY, 1, NULL, 0);
	assert_bytes(&b, buf, "\x70\x00\x00\x01", 4);
	copse_build_message(&b, buf, sizeof(buf), COPSE_NON, COPSE_CODE_POST, 1, "12345678", 8);
	assert_bytes(&b, buf,
		     "\x58\x02\x00\x01"
		     "12345678",
		     12);
}

/* Every length of token up to beyond each change of form, at a capacity that is just enough and one that is not. */
static void tokens_of_all_lengths(void **state)
{
	(void)state;
	static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 268, 269, 270, 1000};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t n = lengths[i], len = 4 + n + (n >= 13) + (n >= 269);
		struct copse_message m;
		struct copse_builder b;
		copse_build_message(&b, guard_room(&guard, len), len, COPSE_CON, COPSE_CODE_GET, 1, filler,
				    n);
		assert_int_equal(copse_build_finish(&b), len);
		assert_int_equal(copse_message_parse_extended(&m, guard_room(&guard, len), len, 65804), 0);
		assert_int_equal(m.token_len, n);
		assert_memory_equal(copse_message_token(&m), filler, n);
		for (size_t cap = 0; cap < len; cap++) {
			copse_build_message(&b, guard_room(&guard, cap), cap, COPSE_CON, COPSE_CODE_GET, 1,
					    filler, n);
			copse_build_option(&b, COPSE_OPTION_URI_PATH, "a", 1);
			assert_int_equal(copse_build_finish(&b), COPSE_ERR_NOROOM);
		}
	}
}

/* Values and deltas around each change of form, at every capacity from 0 to enough. */
static void options_of_all_sizes(void **state)
{
	(void)state;
	static const uint16_t numbers[] = {35, 12, 13, 14, 60, 235, 268, 269, 270, 281, 282, 2055, 65535};
	static const size_t lengths[] = {0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 14, 255, 268, 269, 270, 1034};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			size_t n = lengths[k], delta = numbers[i];
			size_t len = 1 + (delta >= 13) + (delta >= 269) + (n >= 13) + (n >= 269) + n;
			struct copse_builder b;
			for (size_t cap = 0; cap <= len; cap++) {
				uint8_t *buf = guard_room(&guard, cap);
				copse_build_rest(&b, buf, cap);
				copse_build_raw(&b, numbers[i], filler, n);
				int got = copse_build_finish(&b);
				assert_int_equal(got, cap < len ? COPSE_ERR_NOROOM : (int)len);
			}
			uint8_t whole[1100] = {0x40, 0x01, 0, 0};
			struct copse_message m;
			memcpy(whole + 4, guard_room(&guard, len), len);
			assert_int_equal(copse_message_parse(&m, whole, 4 + len), 0);
			assert_int_equal(m.option_n, 1);
			assert_int_equal(m.option[0].number, numbers[i]);
			assert_true(copse_option_is(&m, &m.option[0], filler, n));
		}
	}
}

struct given {
	uint16_t number;
	uint8_t len;
};

/* Options with deltas of each form between them: put in in every order, the bytes are the same. */
static const struct given given[] = {{4, 3}, {11, 14}, {11, 1}, {35, 12}, {60, 2}, {292, 8}, {700, 5}};
#define GIVEN_N (sizeof(given) / sizeof(given[0]))

static int build_in_order(const unsigned *order, uint8_t *buf, size_t cap)
{
	struct copse_builder b;
	copse_build_message(&b, buf, cap, COPSE_CON, COPSE_CODE_GET, 1, "t", 1);
	for (unsigned i = 0; i < GIVEN_N; i++)
		copse_build_raw(&b, given[order[i]].number, filler + order[i], given[order[i]].len);
	copse_build_payload(&b, "payload", 7);
	return copse_build_finish(&b);
}

static bool next_permutation(unsigned *order, unsigned n)
{
	unsigned i = n - 1, k = n - 1;
	while (i > 0 && order[i - 1] >= order[i])
		i--;
	if (i == 0)
		return false;
	while (order[k] <= order[i - 1])
		k--;
	unsigned swap = order[i - 1];
	order[i - 1] = order[k];
	order[k] = swap;
	for (k = n - 1; i < k; i++, k--) {
		swap = order[i];
		order[i] = order[k];
		order[k] = swap;
	}
	return true;
}

static void any_order_gives_the_same(void **state)
{
	(void)state;
	unsigned order[GIVEN_N] = {0, 1, 2, 3, 4, 5, 6}, tried = 0;
	uint8_t want[128];
	int len = build_in_order(order, want, sizeof(want));
	assert_true(len > 0);
	do {
		bool swapped = false; /* equal numbers keep the order in which they came */
		for (unsigned i = 0, seen = 0; i < GIVEN_N; i++) {
			swapped |= order[i] == 1 && seen;
			seen |= order[i] == 2;
		}
		if (swapped)
			continue;
		assert_int_equal(build_in_order(order, guard_room(&guard, (size_t)len), (size_t)len), len);
		assert_memory_equal(guard_room(&guard, (size_t)len), want, len);
		for (int cap = 0; cap < len; cap++)
			assert_int_equal(build_in_order(order, guard_room(&guard, (size_t)cap), (size_t)cap),
					 COPSE_ERR_NOROOM);
		tried++;
	} while (next_permutation(order, GIVEN_N));
	assert_int_equal(tried, 5040 / 2);
}

/* An inserted option may cost no byte: the head of the next one shrinks. */
static void insertion_at_the_brim(void **state)
{
	(void)state;
	for (unsigned number = 1; number < 300; number++) {
		uint8_t buf[16], sorted[16];
		struct copse_builder b;
		copse_build_rest(&b, sorted, sizeof(sorted));
		copse_build_raw(&b, (uint16_t)number, NULL, 0);
		copse_build_raw(&b, 300, "x", 1);
		int len = copse_build_finish(&b);
		assert_true(len > 0);
		copse_build_rest(&b, guard_room(&guard, (size_t)len), (size_t)len);
		copse_build_raw(&b, 300, "x", 1);
		int alone = copse_build_finish(&b);
		assert_true(alone <= len);
		copse_build_raw(&b, (uint16_t)number, NULL, 0);
		assert_int_equal(copse_build_finish(&b), len);
		memcpy(buf, guard_room(&guard, (size_t)len), (size_t)len);
		assert_memory_equal(buf, sorted, len);
	}
}

static int after_option(uint16_t number, const void *value, size_t len, unsigned times)
{
	static uint8_t buf[2048];
	struct copse_builder b;
	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
	copse_build_uint(&b, COPSE_OPTION_SIZE1, 1); /* behind most others: they are inserted */
	for (unsigned i = 0; i < times; i++)
		copse_build_option(&b, number, value, len);
	int inserted = copse_build_finish(&b);
	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
	for (unsigned i = 0; i < times; i++)
		copse_build_option(&b, number, value, len);
	int appended = copse_build_finish(&b);
	assert_int_equal(inserted < 0, appended < 0);
	return appended < 0 ? appended : 0;
}

static void the_registry_is_obeyed(void **state)
{
	(void)state;
	assert_int_equal(after_option(COPSE_OPTION_URI_HOST, "", 0, 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_URI_HOST, filler, 255, 1), 0);
	assert_int_equal(after_option(COPSE_OPTION_URI_HOST, filler, 256, 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_URI_HOST, filler, 257, 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_URI_HOST, "a", 1, 2), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_URI_PATH, "a", 1, 2), 0);
	assert_int_equal(after_option(COPSE_OPTION_ETAG, "a", 1, 2), 0);
	assert_int_equal(after_option(COPSE_OPTION_ETAG, filler, 9, 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_IF_NONE_MATCH, "", 0, 1), 0);
	assert_int_equal(after_option(COPSE_OPTION_IF_NONE_MATCH, "", 0, 2), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_IF_NONE_MATCH, "a", 1, 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_PROXY_URI, filler, 1034, 1), 0);
	assert_int_equal(after_option(COPSE_OPTION_PROXY_URI, filler, 1035, 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(COPSE_OPTION_ECHO, filler, 41, 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(after_option(65000, filler, 300, 2), 0); /* whoever uses it knows its rules */
	assert_int_equal(after_option(0, "a", 1, 2), 0);
}

static void uints_are_shortest(void **state)
{
	(void)state;
	static const struct {
		uint32_t value;
		uint8_t len;
	} cases[] = {{0, 0},     {1, 1},        {255, 1},       {256, 2},       {65535, 2},
		     {65536, 3}, {0xffffff, 3}, {0x1000000, 4}, {UINT32_MAX, 4}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[8];
		struct copse_builder b;
		copse_build_rest(&b, buf, sizeof(buf));
		copse_build_uint(&b, 12 + 2, cases[i].value); /* Max-Age */
		assert_int_equal(copse_build_finish(&b), 2 + cases[i].len);
		assert_int_equal(buf[0], 0xd0 | cases[i].len);
		assert_int_equal(copse_option_uint_long(buf + 2, cases[i].len), cases[i].value);
	}
	uint8_t buf[8];
	struct copse_builder b;
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, 65536); /* longer than the option may be */
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_ARGUMENT);
}

static void payloads(void **state)
{
	(void)state;
	uint8_t buf[16];
	struct copse_builder b;
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_payload(&b, NULL, 0);
	assert_int_equal(copse_build_finish(&b), 0);
	copse_build_payload(&b, "ab", 2);
	copse_build_payload(&b, "", 0);
	copse_build_payload(&b, "c", 1);
	assert_bytes(&b, buf,
		     "\xff"
		     "abc",
		     4);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "a", 1);
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_ARGUMENT);
	copse_build_payload(&b, "d", 1); /* it sticks */
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_ARGUMENT);
	assert_int_equal(buf[4] == 'd', 0);
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_payload(&b, "a", 1);
	copse_build_raw(&b, 65535, "a", 1);
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_ARGUMENT);
}

static void payload_in_place(void **state)
{
	(void)state;
	struct copse_builder b;
	size_t room;
	for (size_t cap = 0; cap < 6; cap++) {
		uint8_t *buf = guard_room(&guard, cap);
		copse_build_rest(&b, buf, cap);
		uint8_t *at = copse_build_payload_room(&b, &room);
		assert_int_equal(room, cap < 2 ? 0 : cap - 1);
		assert_int_equal(at == NULL, cap < 2);
		if (!at)
			continue;
		copse_build_payload_commit(&b, 0); /* nothing written: no marker */
		assert_int_equal(copse_build_finish(&b), 0);
		memset(at, 'x', room);
		copse_build_payload_commit(&b, 1);
		assert_int_equal(copse_build_finish(&b), 2);
		at = copse_build_payload_room(&b, &room);
		assert_int_equal(room, cap - 2);
		if (at)
			copse_build_payload_commit(&b, room);
		assert_int_equal(copse_build_finish(&b), cap);
		assert_int_equal(buf[0], COPSE_PAYLOAD_MARK);
		copse_build_payload(&b, "y", 1);
		assert_int_equal(copse_build_finish(&b), COPSE_ERR_NOROOM);
		assert_null(copse_build_payload_room(&b, &room));
		assert_int_equal(room, 0);
	}
}

/* RFC 7252 §4.1 */
static void empty_messages_stay_empty(void **state)
{
	(void)state;
	uint8_t buf[16];
	struct copse_builder b;
	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_EMPTY, 1, "t", 1);
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_ARGUMENT);
	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_EMPTY, 1, NULL, 0);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "a", 1);
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_ARGUMENT);
	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_EMPTY, 1, NULL, 0);
	copse_build_payload(&b, "a", 1);
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_ARGUMENT);
}

static void no_message_exceeds_a_datagram(void **state)
{
	(void)state;
	static uint8_t buf[70000];
	struct copse_builder b;
	size_t room;
	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_PUT, 1, "t", 1);
	assert_non_null(copse_build_payload_room(&b, &room));
	assert_int_equal(room, COPSE_DATAGRAM_MAX - 6);
	copse_build_payload(&b, filler, room);
	assert_int_equal(copse_build_finish(&b), COPSE_DATAGRAM_MAX);
	copse_build_payload(&b, "x", 1);
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_NOROOM);
	copse_build_rest(&b, buf, sizeof(buf));
	copse_build_raw(&b, 65000, filler, 65535 + 270); /* no length field could say it */
	assert_int_equal(copse_build_finish(&b), COPSE_ERR_NOROOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request),
	    cmocka_unit_test(headers),
	    cmocka_unit_test(tokens_of_all_lengths),
	    cmocka_unit_test(options_of_all_sizes),
	    cmocka_unit_test(any_order_gives_the_same),
	    cmocka_unit_test(insertion_at_the_brim),
	    cmocka_unit_test(the_registry_is_obeyed),
	    cmocka_unit_test(uints_are_shortest),
	    cmocka_unit_test(payloads),
	    cmocka_unit_test(payload_in_place),
	    cmocka_unit_test(empty_messages_stay_empty),
	    cmocka_unit_test(no_message_exceeds_a_datagram),
	};
	guard = guard_make();
	for (size_t i = 0; i < sizeof(filler); i++)
		filler[i] = (uint8_t)(i * 7 + 1);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_free(&guard);
	return failed;
}
