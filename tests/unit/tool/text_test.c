/* Bytes for people to look at: nothing of them reaches a terminal as a control sequence.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "capture.h"

#include "text.h"

#define B(s) (const uint8_t *)(s), sizeof(s) - 1

static const char *shown(const uint8_t *bytes, size_t len, bool line)
{
	FILE *file = capture_begin();
	text_print(file, bytes, len, line);
	return capture_end(file);
}

static void characters(void **state)
{
	(void)state;
	assert_int_equal(text_character(B("a")), 1);
	assert_int_equal(text_character(B("\xc3\xa4")), 2);
	assert_int_equal(text_character(B("\xe2\x82\xac")), 3);
	assert_int_equal(text_character(B("\xf0\x9f\x8c\xb3")), 4);
	assert_int_equal(text_character(B("")), 0);
	static const char *const bad[] = {"\x80",
					  "\xc0\xaf",
					  "\xc1\xbf",
					  "\xc3",
					  "\xe0\x80\xaf",
					  "\xed\xa0\x80",
					  "\xf0\x80\x80\xaf",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xff",
					  "\xe2\x82"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(text_character((const uint8_t *)bad[i], strlen(bad[i])), 0);
}

static void text_or_not(void **state)
{
	(void)state;
	assert_true(text_is_text(B("22.5 \xc2\xb0"
				   "C\r\n\ttwo")));
	assert_true(text_is_text(B("")));
	assert_false(text_is_text(B("\x1b[31m")));
	assert_false(text_is_text(B("a\0b")));
	assert_false(text_is_text(B("\xff\xfe")));
	assert_false(text_is_text(B("\xc2\x9b"
				    "31m")));          /* CSI as one character */
	assert_false(text_is_text(B("\xe2\x80\xae"))); /* turns the direction of writing */
}

static void escapes(void **state)
{
	(void)state;
	assert_string_equal(shown(B("a\x1b[31mb"), false), "a\\x1b[31mb");
	assert_string_equal(shown(B("a\tb\nc"), false), "a\tb\nc");
	assert_string_equal(shown(B("a\tb\r\nc"), true), "a\\tb\\r\\nc");
	assert_string_equal(shown(B("\xc3\xa4\xff\xc3"), true), "\xc3\xa4\\xff\\xc3");
	assert_string_equal(shown(B("\xc2\x9b"), true), "\\xc2\\x9b");
	assert_string_equal(shown(B("\x7f\0"), true), "\\x7f\\x00");
}

static void dumps(void **state)
{
	FILE *file = capture_begin();
	(void)state;
	text_print_dump(file, B("0123456789abcdef\x01z"), "> ");
	assert_string_equal(
	    capture_end(file),
	    "> 000000   30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
	    "> 000010   01 7a                                             |.z|\n");
}

/* RFC 4648 §10 */
static void base64(void **state)
{
	static const char *const pairs[][2] = {{"", ""},
					       {"f", "Zg=="},
					       {"fo", "Zm8="},
					       {"foo", "Zm9v"},
					       {"foob", "Zm9vYg=="},
					       {"fooba", "Zm9vYmE="},
					       {"foobar", "Zm9vYmFy"}};
	char out[16];
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		size_t len = strlen(pairs[i][0]);
		text_base64((const uint8_t *)pairs[i][0], len, out);
		assert_string_equal(out, pairs[i][1]);
		assert_int_equal(strlen(out) + 1, TEXT_BASE64(len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(characters), cmocka_unit_test(text_or_not), cmocka_unit_test(escapes),
	    cmocka_unit_test(dumps),      cmocka_unit_test(base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
