/* Readings as text, JSON and SenML, and what clients write in these formats.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

#include "copse-sim/form.h"

#include <copse/format.h>

#define MAC 0x001350030a1b2c3dull

static struct sim_reading sample(void)
{
	struct sim_reading reading = {0};

	sim_number(&reading, "consumption", 1234.5678, 3, "J", 3.6e6);
	sim_number(&reading, "power", 230, 0, "W", 1);
	return reading;
}

static void assert_form(const struct sim_reading *reading, uint32_t format, const char *expected)
{
	char buf[512];
	int len = sim_form_write(reading, MAC, 1780272000500, format, buf, sizeof(buf));

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(buf, expected, (size_t)len);
	/* Exactly as much room as it takes is enough; text, being made with a NUL behind it, wants one more. */
	char exact[512];
	size_t need = (size_t)len + (format == COPSE_FORMAT_TEXT || format == COPSE_FORMAT_NONE);
	assert_int_equal(sim_form_write(reading, MAC, 1780272000500, format, exact, need), len);
	for (size_t cap = 0; cap < (size_t)len; cap++)
		assert_int_equal(sim_form_write(reading, MAC, 1780272000500, format, exact, cap), -1);
}

static void numbers_in_three_formats(void **state)
{
	struct sim_reading reading = sample();
	(void)state;

	assert_form(&reading, COPSE_FORMAT_TEXT, "1234.568");
	assert_form(&reading, COPSE_FORMAT_NONE, "1234.568");
	assert_form(&reading, COPSE_FORMAT_JSON, "{\"consumption\":1234.568,\"power\":230}");
	assert_form(&reading, COPSE_FORMAT_SENML_JSON,
		    "[{\"bn\":\"urn:dev:mac:001350030a1b2c3d_\",\"bt\":1780272000.5,\"n\":\"consumption\",\"u\":\"J\","
		    "\"v\":4444444800},{\"n\":\"power\",\"u\":\"W\",\"v\":230}]");
	char buf[64];
	assert_int_equal(sim_form_write(&reading, MAC, 0, COPSE_FORMAT_CBOR, buf, sizeof(buf)), -1);
}

static void texts_in_three_formats(void **state)
{
	struct sim_reading reading = {0};
	(void)state;

	sim_text(&reading, "status", "par\"ked");
	assert_form(&reading, COPSE_FORMAT_TEXT, "par\"ked");
	assert_form(&reading, COPSE_FORMAT_JSON, "{\"status\":\"par\\\"ked\"}");
	assert_form(&reading, COPSE_FORMAT_SENML_JSON,
		    "[{\"bn\":\"urn:dev:mac:001350030a1b2c3d_\",\"bt\":1780272000.5,\"n\":\"status\",\"vs\":"
		    "\"par\\\"ked\"}]");
}

static void several_values_as_text_are_separated(void **state)
{
	struct sim_reading reading = {0};
	(void)state;

	sim_number(&reading, "lat", 47.25, 6, "lat", 1);
	sim_number(&reading, "lon", -8.5, 6, "lon", 1);
	reading.text_n = 2;
	assert_form(&reading, COPSE_FORMAT_TEXT, "47.250000,-8.500000");
}

static struct sim_input taken(uint32_t format, const char *body)
{
	struct sim_input input;
	const char *why = sim_form_read("tariff", format, body, strlen(body), &input);

	if (why)
		fail_msg("\"%s\": %s", body, why);
	return input;
}

static void numbers_are_taken(void **state)
{
	(void)state;
	static const struct {
		uint32_t format;
		const char *body;
	} good[] = {
	    {COPSE_FORMAT_NONE, "2"},
	    {COPSE_FORMAT_TEXT, "2"},
	    {COPSE_FORMAT_TEXT, "2.0\r\n"},
	    {COPSE_FORMAT_TEXT, "2e0 \n"},
	    {COPSE_FORMAT_JSON, "2"},
	    {COPSE_FORMAT_JSON, " {\"tariff\": 2.0} "},
	    {COPSE_FORMAT_JSON, "{\"value\": 2}"},
	    {COPSE_FORMAT_JSON, "{\"value\": 3, \"tariff\": 2}"},
	    {COPSE_FORMAT_JSON, "\"2\""},
	    {COPSE_FORMAT_SENML_JSON, "[{\"n\":\"tariff\",\"v\":2}]"},
	    {COPSE_FORMAT_SENML_JSON, "[{\"v\":2}]"},
	    {COPSE_FORMAT_SENML_JSON, "[{\"bn\":\"x_\",\"n\":\"tariff\",\"vs\":\"2\"}]"},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct sim_input input = taken(good[i].format, good[i].body);
		assert_true(input.is_number);
		assert_true(input.number == 2);
	}
}

static void texts_are_taken(void **state)
{
	(void)state;
	assert_string_equal(taken(COPSE_FORMAT_TEXT, "on\n").text, "on");
	assert_string_equal(taken(COPSE_FORMAT_JSON, "\"on\"").text, "on");
	assert_string_equal(taken(COPSE_FORMAT_JSON, "{\"tariff\":true}").text, "on");
	assert_string_equal(taken(COPSE_FORMAT_JSON, "false").text, "off");
	assert_string_equal(taken(COPSE_FORMAT_SENML_JSON, "[{\"vb\":false}]").text, "off");
	assert_false(taken(COPSE_FORMAT_TEXT, "0x10").is_number);
	assert_false(taken(COPSE_FORMAT_TEXT, "inf").is_number);
	assert_false(taken(COPSE_FORMAT_TEXT, "nan").is_number);
	assert_false(taken(COPSE_FORMAT_TEXT, "1e999").is_number);
	assert_false(taken(COPSE_FORMAT_TEXT, "1.2.3").is_number);
	assert_false(taken(COPSE_FORMAT_TEXT, " 2").is_number);
}

static void bad_bodies_are_refused(void **state)
{
	(void)state;
	static const struct {
		uint32_t format;
		const char *body;
	} bad[] = {
	    {COPSE_FORMAT_TEXT, ""},
	    {COPSE_FORMAT_TEXT, "\n"},
	    {COPSE_FORMAT_TEXT, "a\tb"},
	    {COPSE_FORMAT_TEXT, "\xc3\xa4"},
	    {COPSE_FORMAT_TEXT, "x234567890123456789012345678901234567890123456789"
				"01234567890123456789012345678901234567890123456789"},
	    {COPSE_FORMAT_JSON, ""},
	    {COPSE_FORMAT_JSON, "{"},
	    {COPSE_FORMAT_JSON, "{}"},
	    {COPSE_FORMAT_JSON, "[2]"},
	    {COPSE_FORMAT_JSON, "null"},
	    {COPSE_FORMAT_JSON, "{\"tariff\":[2]}"},
	    {COPSE_FORMAT_JSON, "{\"tariff\":2,\"tariff\":3}"},
	    {COPSE_FORMAT_JSON, "2 3"},
	    {COPSE_FORMAT_SENML_JSON, "[]"},
	    {COPSE_FORMAT_SENML_JSON, "{\"v\":2}"},
	    {COPSE_FORMAT_SENML_JSON, "[2]"},
	    {COPSE_FORMAT_SENML_JSON, "[{\"n\":\"switch\",\"v\":2}]"},
	    {COPSE_FORMAT_SENML_JSON, "[{\"v\":2},{\"v\":3}]"},
	    {COPSE_FORMAT_SENML_JSON, "[{\"n\":\"tariff\"}]"},
	    {COPSE_FORMAT_SENML_JSON, "[{\"bv\":1,\"v\":1}]"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sim_input input;
		const char *why = sim_form_read("tariff", bad[i].format, bad[i].body, strlen(bad[i].body), &input);
		if (!why)
			fail_msg("\"%s\" is taken", bad[i].body);
	}
}

/* Every prefix of a good body, in a block of exactly its size: no read past its end. */
static void truncated_bodies_do_no_harm(void **state)
{
	static const char body[] = "[{\"n\":\"tariff\",\"v\":2}]";
	(void)state;

	for (size_t len = 0; len < sizeof(body); len++) {
		struct sim_input input;
		char *exact = malloc(len + !len);
		assert_non_null(exact);
		memcpy(exact, body, len);
		sim_form_read("tariff", COPSE_FORMAT_TEXT, exact, len, &input);
		const char *why = sim_form_read("tariff", COPSE_FORMAT_SENML_JSON, exact, len, &input);
		assert_true((why == NULL) == (len == sizeof(body) - 1));
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_in_three_formats),
	    cmocka_unit_test(texts_in_three_formats),
	    cmocka_unit_test(several_values_as_text_are_separated),
	    cmocka_unit_test(numbers_are_taken),
	    cmocka_unit_test(texts_are_taken),
	    cmocka_unit_test(bad_bodies_are_refused),
	    cmocka_unit_test(truncated_bodies_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
