/* Messages in words and as JSON.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "capture.h"

#include "describe.h"
#include "report.h"

static struct copse_message m;
static uint8_t datagram[256];

static void make(enum copse_type type, uint8_t code)
{
	struct copse_builder b;

	copse_build_message(&b, datagram, sizeof(datagram), type, code, 0x1234, "\x01\x02", 2);
	copse_build_option(&b, COPSE_OPTION_ETAG, "\xab\xcd", 2);
	copse_build_option(&b, COPSE_OPTION_LOCATION_PATH, "a", 1);
	copse_build_option(&b, COPSE_OPTION_LOCATION_PATH, "b\x1b", 2);
	copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, 50);
	copse_build_uint(&b, COPSE_OPTION_BLOCK2, 3 << 4 | 8 | 2);
	copse_build_raw(&b, 65000, "\xff\x01", 2);
	copse_build_payload(&b, "{}", 2);
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	assert_int_equal(copse_message_parse(&m, datagram, (size_t)n), 0);
}

static void one_line(void **state)
{
	FILE *file = capture_begin();
	(void)state;
	make(COPSE_ACK, COPSE_CODE_CONTENT);
	describe_message(file, &m);
	assert_string_equal(
	    capture_end(file),
	    "ACK 2.05 Content id 4660 token 0102  ETag abcd  Location-Path a  Location-Path b\\x1b"
	    "  Content-Format 50 (application/json)  Block2 3/1/64  65000 ff01  2 bytes");
}

static void the_head(void **state)
{
	FILE *file = capture_begin();
	(void)state;
	report_setup(COLOR_NEVER, true, false);
	make(COPSE_ACK, COPSE_CODE_NOT_FOUND);
	describe_head(file, &m);
	assert_string_equal(capture_end(file),
			    "4.04 Not Found\nETag: abcd\nLocation-Path: a\nLocation-Path: b\\x1b\n"
			    "Content-Format: 50 (application/json)\nBlock2: 3/1/64\n65000: ff01\n");
}

static void as_json(void **state)
{
	(void)state;
	make(COPSE_ACK, COPSE_CODE_CONTENT);
	json_t *o = describe_json(&m);
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(
	    text,
	    "{\"code\":\"2.05\",\"name\":\"Content\",\"options\":{\"65000\":[\"ff01\"],"
	    "\"Block2\":{\"more\":true,\"num\":3,\"size\":64},\"Content-Format\":50,\"ETag\":[\"abcd\"],"
	    "\"Location-Path\":[\"a\",\"b\\u001B\"]}}");
	free(text);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_line),
	    cmocka_unit_test(the_head),
	    cmocka_unit_test(as_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
