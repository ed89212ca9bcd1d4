/* The registry: numbers, names and rules agree with each other and with the RFCs.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/code.h>
#include <copse/error.h>
#include <copse/format.h>
#include <copse/option.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void bits_of_a_number(void **state)
{
	(void)state;
	/* RFC 7252 §5.10, table 4 */
	assert_true(copse_option_is_critical(COPSE_OPTION_URI_HOST) &&
		    copse_option_is_unsafe(COPSE_OPTION_URI_HOST));
	assert_false(copse_option_is_critical(COPSE_OPTION_ETAG) ||
		     copse_option_is_unsafe(COPSE_OPTION_ETAG));
	assert_true(copse_option_is_critical(COPSE_OPTION_IF_MATCH) &&
		    !copse_option_is_unsafe(COPSE_OPTION_IF_MATCH));
	assert_true(!copse_option_is_critical(COPSE_OPTION_MAX_AGE) &&
		    copse_option_is_unsafe(COPSE_OPTION_MAX_AGE));
	assert_true(copse_option_is_no_cache_key(COPSE_OPTION_SIZE1));
	assert_true(copse_option_is_no_cache_key(COPSE_OPTION_SIZE2));
	assert_true(copse_option_is_no_cache_key(COPSE_OPTION_ECHO));
	assert_false(copse_option_is_no_cache_key(COPSE_OPTION_ACCEPT));
	assert_false(copse_option_is_no_cache_key(COPSE_OPTION_REQUEST_TAG));
	assert_true(copse_option_is_reserved_location(128) && copse_option_is_reserved_location(140));
	assert_false(copse_option_is_reserved_location(144) || copse_option_is_reserved_location(129));
}

static void rows_and_rules_agree(void **state)
{
	(void)state;
	uint16_t last = 0;
	bool slots[COPSE_OPTION_SLOTS] = {false};
	for (size_t i = 0; i < copse_option_row_n; i++) {
		const struct copse_option_row *row = &copse_option_rows[i];
		assert_true(row->number > last);
		last = row->number;
		assert_ptr_equal(copse_option_row(row->number), row);
		unsigned slot = copse_option_slot(row->number);
		assert_true(slot < COPSE_OPTION_SLOTS && !slots[slot]);
		slots[slot] = true;
		assert_true(copse_option_is_known(row->number));
		assert_true(copse_option_len_ok(row->number, row->min) &&
			    copse_option_len_ok(row->number, row->max));
		assert_false(copse_option_len_ok(row->number, row->max + 1u));
		assert_int_equal(copse_option_len_ok(row->number, 0), row->min == 0);
		unsigned rule = copse_option_rule(row->number);
		assert_int_equal((rule & COPSE_RULE_MANY) != 0, row->repeat != COPSE_REPEAT_ONCE);
		assert_int_equal((rule & COPSE_RULE_MANY_RESP) != 0, row->repeat == COPSE_REPEAT_MANY);
		assert_int_equal(copse_option_from_text(row->name, strlen(row->name)), row->number);
		assert_true(row->format != COPSE_FORM_EMPTY || row->max == 0);
		assert_true(row->format != COPSE_FORM_UINT || row->max <= 4);
	}
	assert_true(copse_option_row_n >= 33);
}

static void unknown_options(void **state)
{
	(void)state;
	static const uint16_t numbers[] = {0, 2, 10, 13, 63, 64, 128, 2048, 2054, 65000, 65535};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_false(copse_option_is_known(numbers[i]));
		assert_true(copse_option_len_ok(numbers[i], 0) && copse_option_len_ok(numbers[i], 1034));
		assert_null(copse_option_row(numbers[i]));
		assert_null(copse_option_name(numbers[i]));
	}
}

#define FROM(function, text) function(text, strlen(text))

static void options_by_name(void **state)
{
	(void)state;
	assert_int_equal(FROM(copse_option_from_text, "uri-path"), COPSE_OPTION_URI_PATH);
	assert_int_equal(FROM(copse_option_from_text, "URI_PATH"), COPSE_OPTION_URI_PATH);
	assert_int_equal(FROM(copse_option_from_text, "65000"), 65000);
	assert_int_equal(FROM(copse_option_from_text, "0"), 0);
	assert_int_equal(FROM(copse_option_from_text, "65536"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_option_from_text, "99999999999999999999"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_option_from_text, "uri-pat"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_option_from_text, "uri-paths"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_option_from_text, ""), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_option_from_text, "-1"), COPSE_ERR_ARGUMENT);
	assert_string_equal(copse_option_name(9), "OSCORE");
}

static void codes(void **state)
{
	(void)state;
	char buf[COPSE_CODE_TEXT_LEN];
	assert_int_equal(COPSE_CODE_GET, 1);
	assert_int_equal(COPSE_CODE_CONTENT, 0x45);
	assert_int_equal(COPSE_CODE_GATEWAY_TIMEOUT, 0xa4);
	assert_int_equal(COPSE_CODE_HOP_LIMIT_REACHED, 0xa8);
	assert_string_equal(copse_code_print(COPSE_CODE_CONTENT, buf, sizeof(buf)), "2.05");
	assert_string_equal(copse_code_print(0xff, buf, sizeof(buf)), "7.31");
	assert_string_equal(copse_code_describe(COPSE_CODE_CONTENT, buf, sizeof(buf)), "2.05 Content");
	assert_string_equal(copse_code_describe(COPSE_CODE_GET, buf, sizeof(buf)), "0.01 GET");
	assert_string_equal(copse_code_describe(0x61, buf, sizeof(buf)), "3.01");
	assert_string_equal(copse_code_describe(COPSE_CODE_CONTENT, buf, 7), "2.05 C");
	assert_string_equal(copse_code_describe(COPSE_CODE_CONTENT, buf, 1), "");
	assert_null(copse_code_name(0x40));
	for (unsigned code = 0; code < 256; code++) { /* every printed code can be read back */
		copse_code_describe((uint8_t)code, buf, sizeof(buf));
		assert_true(strlen(buf) + 1 < sizeof(buf));
		assert_int_equal(copse_code_from_text(buf, 4), code);
		const char *name = copse_code_name((uint8_t)code);
		if (name)
			assert_int_equal(FROM(copse_code_from_text, name), code);
	}
	assert_int_equal(FROM(copse_code_from_text, "get"), COPSE_CODE_GET);
	assert_int_equal(FROM(copse_code_from_text, "not_found"), COPSE_CODE_NOT_FOUND);
	assert_int_equal(FROM(copse_code_from_text, "4.4"), COPSE_CODE_NOT_FOUND);
	assert_int_equal(FROM(copse_code_from_text, "4.32"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_code_from_text, "8.00"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_code_from_text, "4."), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_code_from_text, ""), COPSE_ERR_ARGUMENT);
}

static void classes_of_codes(void **state)
{
	(void)state;
	assert_true(copse_code_is_request(COPSE_CODE_IPATCH) && !copse_code_is_request(COPSE_CODE_EMPTY));
	assert_true(copse_code_is_response(COPSE_CODE_VALID) && copse_code_is_response(0xbf));
	assert_false(copse_code_is_response(0xc0) || copse_code_is_response(0x3f));
	assert_true(copse_code_is_error(COPSE_CODE_CONFLICT) && copse_code_is_error(COPSE_CODE_BAD_GATEWAY));
	assert_false(copse_code_is_error(COPSE_CODE_CONTINUE));
	assert_true(copse_code_is_success(COPSE_CODE_CONTINUE));
	assert_true(copse_code_is_reserved(0x20) && copse_code_is_reserved(0xc0) &&
		    !copse_code_is_reserved(0xe1));
	assert_true(copse_code_is_signal(COPSE_CODE_CSM));
	assert_true(copse_code_is_safe(COPSE_CODE_FETCH) && !copse_code_is_safe(COPSE_CODE_PUT));
}

static void formats(void **state)
{
	(void)state;
	assert_int_equal(COPSE_FORMAT_LINK, 40);
	assert_int_equal(COPSE_FORMAT_SENML_JSON, 110);
	assert_int_equal(FROM(copse_format_from_text, "application/json"), 50);
	assert_int_equal(FROM(copse_format_from_text, "Application/JSON"), 50);
	assert_int_equal(FROM(copse_format_from_text, "text/plain"), 0);
	assert_int_equal(FROM(copse_format_from_text, "text/plain; charset=utf-8"), 0);
	assert_int_equal(FROM(copse_format_from_text, "text/plain;charset=latin1"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_format_from_text, "application/cose; cose-type=\"cose-sign1\""), 18);
	assert_int_equal(FROM(copse_format_from_text, "senml-cbor"), 112);
	assert_int_equal(FROM(copse_format_from_text, "text"), 0);
	assert_int_equal(FROM(copse_format_from_text, "json-deflate"), 11050);
	assert_int_equal(FROM(copse_format_from_text, "65535"), 65535);
	assert_int_equal(FROM(copse_format_from_text, "65536"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_format_from_text, "application/jso"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_format_from_text, "application/jsons"), COPSE_ERR_ARGUMENT);
	assert_int_equal(FROM(copse_format_from_text, ""), COPSE_ERR_ARGUMENT);
	assert_string_equal(copse_format_media(40), "application/link-format");
	assert_null(copse_format_media(COPSE_FORMAT_NONE));
	assert_true(copse_format_is_json(432) && copse_format_is_json(50) && !copse_format_is_json(60));
	assert_true(copse_format_is_cbor(112) && copse_format_is_cbor(340) && !copse_format_is_cbor(63));
	assert_true(copse_format_is_text(0) && copse_format_is_text(40) && copse_format_is_text(310));
	assert_false(copse_format_is_text(42) || copse_format_is_text(11050) ||
		     copse_format_is_text(COPSE_FORMAT_NONE));
	uint32_t last = 0;
	for (size_t i = 0; i < copse_format_row_n; i++) {
		const struct copse_format_row *row = &copse_format_rows[i];
		assert_true(i == 0 || row->number > last);
		last = row->number;
		assert_int_equal(FROM(copse_format_from_text, row->name), row->number);
		if (!row->coding[0])
			assert_int_equal(FROM(copse_format_from_text, row->media), row->number);
	}
}

static void errors(void **state)
{
	(void)state;
	assert_string_equal(copse_err_name(COPSE_ERR_NOROOM), "NOROOM");
	assert_string_equal(copse_err_text(COPSE_OK), "no error");
	assert_string_equal(copse_err_text(-9999), "unknown error");
	assert_int_equal(copse_err_code(COPSE_ERR_BADOPTION), COPSE_CODE_BAD_OPTION);
	assert_int_equal(copse_err_code(COPSE_ERR_SCHEME), COPSE_CODE_PROXYING_NOT_SUPPORTED);
	assert_int_equal(copse_err_code(COPSE_ERR_TIMEOUT), COPSE_CODE_GATEWAY_TIMEOUT);
	assert_true(copse_err_is_transient(COPSE_ERR_NOROOM) && !copse_err_is_transient(COPSE_ERR_GONE));
	assert_false(copse_err_is_transient(COPSE_ERR_BADOPTION) || copse_err_is_transient(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bits_of_a_number),
	    cmocka_unit_test(rows_and_rules_agree),
	    cmocka_unit_test(unknown_options),
	    cmocka_unit_test(options_by_name),
	    cmocka_unit_test(codes),
	    cmocka_unit_test(classes_of_codes),
	    cmocka_unit_test(formats),
	    cmocka_unit_test(errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
