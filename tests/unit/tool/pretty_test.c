/* Payloads laid out: CBOR by the examples of RFC 8949 Appendix A, SenML by those of RFC 8428 §5, links by RFC 6690 §5.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "capture.h"

#include "pretty.h"
#include "report.h"

#include <copse/format.h>
#include <copse/hex.h>

static const char *laid_out(uint32_t format, const void *bytes, size_t len)
{
	FILE *file = capture_begin();
	bool ok = pretty_print(file, format, bytes, len);
	capture_end(file);
	if (!ok)
		assert_int_equal(captured_len, 0); /* nothing is printed by halves */
	return ok ? captured : NULL;
}

static const char *of_hex(uint32_t format, const char *hex)
{
	uint8_t bytes[512];
	int len = copse_hex_decode(hex, strlen(hex), bytes, sizeof(bytes));

	assert_true(len >= 0);
	return laid_out(format, bytes, (size_t)len);
}

static void cbor(void **state)
{
	static const char *const vectors[][2] = {{"00", "0"},
						 {"17", "23"},
						 {"1818", "24"},
						 {"1903e8", "1000"},
						 {"1bffffffffffffffff", "18446744073709551615"},
						 {"3bffffffffffffffff", "-18446744073709551616"},
						 {"20", "-1"},
						 {"3903e7", "-1000"},
						 {"f90000", "0.0"},
						 {"f98000", "-0.0"},
						 {"fb3ff199999999999a", "1.1"},
						 {"f93e00", "1.5"},
						 {"f97c00", "Infinity"},
						 {"f9fc00", "-Infinity"},
						 {"f97e00", "NaN"},
						 {"fb7e37e43c8800759c", "1e+300"},
						 {"f4", "false"},
						 {"f5", "true"},
						 {"f6", "null"},
						 {"f7", "undefined"},
						 {"c11a514b67b0", "1(1363896240)"},
						 {"40", "h''"},
						 {"4401020304", "h'01020304'"},
						 {"60", "\"\""},
						 {"6449455446", "\"IETF\""},
						 {"62225c", "\"\\\"\\\\\""},
						 {"62c3bc", "\"\xc3\xbc\""},
						 {"80", "[]"},
						 {"8301820203820405", "[1, [2, 3], [4, 5]]"},
						 {"a0", "{}"},
						 {"a201020304", "{1: 2, 3: 4}"},
						 {"a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}"},
						 {"5f42010243030405ff", "(_ h'0102', h'030405')"},
						 {"7f657374726561646d696e67ff", "(_ \"strea\", \"ming\")"},
						 {"9fff", "[_ ]"},
						 {"9f018202039f0405ffff", "[_ 1, [2, 3], [_ 4, 5]]"},
						 {"bf61610161629f0203ffff", "{_ \"a\": 1, \"b\": [_ 2, 3]}"},
						 {"611b", "\"\\x1b\""}};
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		const char *got = of_hex(COPSE_FORMAT_CBOR, vectors[i][0]);
		char wanted[128];
		snprintf(wanted, sizeof(wanted), "%s\n", vectors[i][1]);
		assert_non_null(got);
		assert_string_equal(got, wanted);
	}
	assert_string_equal(of_hex(COPSE_FORMAT_CBOR_SEQ, "0102f5"), "1\n2\ntrue\n");
}

static void what_is_no_cbor(void **state)
{
	static const char *const bad[] = {"", "18", "62c3", "83", "5f4201", "ff", "1c", "a201", "0118"};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_null(of_hex(COPSE_FORMAT_CBOR, bad[i]));
}

/* Cheap to send, and no reason to run out of stack. */
static void cbor_nested_deeply(void **state)
{
	static uint8_t bytes[1500];
	(void)state;
	memset(bytes, 0x81, sizeof(bytes));
	bytes[sizeof(bytes) - 1] = 0x00;
	const char *got = laid_out(COPSE_FORMAT_CBOR, bytes, sizeof(bytes));
	if (got)
		assert_non_null(strstr(got, "..."));
}

static void json(void **state)
{
	(void)state;
	assert_string_equal(laid_out(COPSE_FORMAT_JSON, "{\"a\":[1,true]}", 14),
			    "{\n  \"a\": [\n    1,\n    true\n  ]\n}\n");
	assert_string_equal(laid_out(COPSE_FORMAT_JSON, "5", 1), "5\n");
	assert_null(laid_out(COPSE_FORMAT_JSON, "{\"a\":", 5));
	assert_null(laid_out(COPSE_FORMAT_TEXT, "{}", 2));
	assert_null(laid_out(COPSE_FORMAT_NONE, "{}", 2));
}

/* RFC 8428 §5.1.2, shortened */
static void senml(void **state)
{
	static const char pack[] =
	    "[{\"bn\":\"urn:dev:ow:10e2073a01080063:\",\"bt\":1.320067464e+09,\"bu\":\"%RH\",\"v\":20},"
	    "{\"u\":\"lon\",\"v\":24.30621},{\"n\":\"on\",\"vb\":true,\"t\":60},{\"n\":\"s\",\"vs\":"
	    "\"x\\u001b\"}]";
	(void)state;
	report_setup(COLOR_NEVER, true, false);
	assert_string_equal(laid_out(COPSE_FORMAT_SENML_JSON, pack, sizeof(pack) - 1),
			    "NAME                            VALUE     UNIT  TIME\n"
			    "urn:dev:ow:10e2073a01080063:    20        %RH   2011-10-31T13:24:24Z\n"
			    "urn:dev:ow:10e2073a01080063:    24.30621  lon   2011-10-31T13:24:24Z\n"
			    "urn:dev:ow:10e2073a01080063:on  true      %RH   2011-10-31T13:25:24Z\n"
			    "urn:dev:ow:10e2073a01080063:s   x\\x1b     %RH   2011-10-31T13:24:24Z\n");
	assert_null(laid_out(COPSE_FORMAT_SENML_JSON, "x", 1));
}

/* [{-2: "a", 0: "t", 1: "Cel", 2: 21.5}, {0: "b", 4: true}] */
static void senml_in_cbor(void **state)
{
	(void)state;
	report_setup(COLOR_NEVER, true, false);
	assert_string_equal(of_hex(COPSE_FORMAT_SENML_CBOR, "82a421616100617401634365"
							    "6c02f94d60a200616204f5"),
			    "NAME  VALUE  UNIT  TIME\n"
			    "at    21.5   Cel   now\n"
			    "ab    true         now\n");
}

static void links(void **state)
{
	static const char list[] =
	    "</sensors>;ct=40;title=\"Sensor Index\",</sensors/temp>;rt=\"temperature-c\";if=\"sensor\","
	    "<http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=\"describedby\"";
	(void)state;
	report_setup(COLOR_NEVER, true, false);
	assert_string_equal(
	    laid_out(COPSE_FORMAT_LINK, list, sizeof(list) - 1),
	    "RESOURCE                             RT             IF      CT  SZ  TITLE\n"
	    "/sensors                                                    40      Sensor Index\n"
	    "/sensors/temp                        temperature-c  sensor          \n"
	    "http://www.example.com/sensors/t123                                 \n");
	static const char *const bad[] = {"x", "<", "</a>;", "</a>x", "</a>;t=\"", "</a>,;"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_null(laid_out(COPSE_FORMAT_LINK, bad[i], strlen(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cbor),  cmocka_unit_test(what_is_no_cbor), cmocka_unit_test(cbor_nested_deeply),
	    cmocka_unit_test(json),  cmocka_unit_test(senml),           cmocka_unit_test(senml_in_cbor),
	    cmocka_unit_test(links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
