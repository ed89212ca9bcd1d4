/* The body of an answer in each of its forms: of nothing, of one reading alone, of several, of every kind of value, and
 * written into a buffer after the other.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gateway/collector_body.h"

#include <copse/format.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct store_reading reading(const char *device, const char *name, uint8_t kind)
{
	return (struct store_reading){.device = device,
				      .name = name,
				      .unit = kind == STORE_NUMBER ? "Cel" : "",
				      .time = INT64_C(1700000000250000),
				      .received = INT64_C(1700000001000000),
				      .expires = STORE_NEVER,
				      .kind = kind,
				      .number = kind == STORE_BOOL ? 1 : -4.5,
				      .bytes = (const uint8_t *)"a\"b",
				      .len = 3,
				      .sum = 7,
				      .has_sum = kind == STORE_NONE};
}

/* Ends with a NUL that does not count. */
static void finish(struct gw_body *b)
{
	gw_body_end(b);
	store_buffer_put(b->out, "", 1);
	assert_false(b->out->failed);
}

static void is_text(uint32_t format, bool csv, const struct store_reading *r, size_t n, const char *expected)
{
	struct store_buffer out = {.max = 4096};
	struct gw_body b;

	gw_body_begin(&b, format, csv, &out);
	for (size_t i = 0; i < n; i++)
		gw_body_put(&b, &r[i], n == 1);
	assert_int_equal(b.rows, n);
	assert_int_equal(b.format, csv ? COPSE_FORMAT_TEXT : format);
	finish(&b);
	assert_string_equal((const char *)out.at, expected);
	store_buffer_free(&out);
}

static void nothing_is_an_empty_body(void **state)
{
	struct store_buffer out = {.max = 100};
	struct gw_body b;

	(void)state;
	is_text(COPSE_FORMAT_SENML_JSON, false, NULL, 0, "[]");
	is_text(COPSE_FORMAT_TEXT, false, NULL, 0, "");
	is_text(COPSE_FORMAT_SENML_JSON, true, NULL, 0, "");
	is_text(COPSE_FORMAT_SENML_XML, false, NULL, 0,
		"<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"></sensml>");
	gw_body_begin(&b, COPSE_FORMAT_SENML_CBOR, false, &out);
	gw_body_end(&b);
	assert_int_equal(out.len, 2);
	assert_memory_equal(out.at, "\x9f\xff", 2); /* an array of an indefinite length, and its end */
	store_buffer_free(&out);
}

static void one_alone_is_its_value_as_text(void **state)
{
	static const struct {
		uint8_t kind;
		const char *text;
	} row[] = {{STORE_NUMBER, "-4.5"},
		   {STORE_BOOL, "true"},
		   {STORE_TEXT, "a\"b"},
		   {STORE_DATA, "YSJi"},
		   {STORE_NONE, ""}};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct store_reading r = reading("d1", "n", row[i].kind);
		is_text(COPSE_FORMAT_TEXT, false, &r, 1, row[i].text);
	}
}

static void several_are_a_line_each(void **state)
{
	const struct store_reading r[] = {reading("d1", "n", STORE_NUMBER), reading("d1", "t", STORE_TEXT),
					  reading("d2", "s", STORE_NONE)};

	(void)state;
	is_text(COPSE_FORMAT_TEXT, false, r, 3,
		"2023-11-14T22:13:20.250000Z d1 n -4.5 Cel\n2023-11-14T22:13:20.250000Z d1 t a\"b\n"
		"2023-11-14T22:13:20.250000Z d2 s \n");
	is_text(COPSE_FORMAT_SENML_CBOR, true, r, 3, /* CSV, whatever else is accepted */
		"time,device,name,value,unit,sum\r\n2023-11-14T22:13:20.250000Z,d1,n,-4.5,\"Cel\",\r\n"
		"2023-11-14T22:13:20.250000Z,d1,t,\"a\"\"b\",\"\",\r\n2023-11-14T22:13:20.250000Z,d2,s,,\"\","
		"7\r\n");
	is_text(COPSE_FORMAT_SENML_JSON, false, r, 3,
		"[{\"bn\":\"d1/\",\"n\":\"n\",\"t\":1700000000.25,\"u\":\"Cel\",\"v\":-4.5},"
		"{\"n\":\"t\",\"t\":1700000000.25,\"vs\":\"a\\\"b\"},"
		"{\"bn\":\"d2/\",\"n\":\"s\",\"t\":1700000000.25,\"s\":7}]");
}

/* Pages: the same bytes, wherever one ends and the next begins. */
static void pages_make_up_the_body(void **state)
{
	static const struct {
		uint32_t format;
		bool csv;
	} form[] = {{COPSE_FORMAT_SENML_JSON, false},
		    {COPSE_FORMAT_SENML_CBOR, false},
		    {COPSE_FORMAT_SENML_XML, false},
		    {COPSE_FORMAT_TEXT, false},
		    {COPSE_FORMAT_TEXT, true}};
	const struct store_reading r[] = {reading("d1", "a", STORE_NUMBER), reading("d1", "b", STORE_BOOL),
					  reading("d2", "a", STORE_DATA), reading("d2", "b", STORE_TEXT)};

	(void)state;
	for (size_t i = 0; i < sizeof(form) / sizeof(*form); i++) {
		struct store_buffer whole = {.max = 4096}, joined = {.max = 4096};
		struct gw_body b;
		gw_body_begin(&b, form[i].format, form[i].csv, &whole);
		for (size_t j = 0; j < 4; j++)
			gw_body_put(&b, &r[j], false);
		gw_body_end(&b);
		gw_body_begin(&b, form[i].format, form[i].csv, NULL);
		for (size_t j = 0; j <= 4; j++) {
			struct store_buffer page = {.max = 4096};
			gw_body_turn(&b, &page);
			if (j < 4)
				gw_body_put(&b, &r[j], false);
			else
				gw_body_end(&b);
			if (page.len)
				store_buffer_put(&joined, page.at, page.len);
			store_buffer_free(&page);
		}
		assert_true(whole.len > 50);
		assert_int_equal(joined.len, whole.len);
		assert_memory_equal(joined.at, whole.at, whole.len);
		store_buffer_free(&whole);
		store_buffer_free(&joined);
	}
}

/* A body that is too long says so, and writes nothing beyond. */
static void a_bound_is_kept(void **state)
{
	const struct store_reading r = reading("d1", "n", STORE_NUMBER);

	(void)state;
	for (size_t max = 0; max < 60; max++) {
		struct store_buffer out = {.max = max};
		struct gw_body b;
		gw_body_begin(&b, COPSE_FORMAT_SENML_JSON, false, &out);
		gw_body_put(&b, &r, true);
		gw_body_put(&b, &r, false);
		gw_body_end(&b);
		assert_true(out.failed);
		assert_true(out.len <= max);
		store_buffer_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_an_empty_body), cmocka_unit_test(one_alone_is_its_value_as_text),
	    cmocka_unit_test(several_are_a_line_each),  cmocka_unit_test(pages_make_up_the_body),
	    cmocka_unit_test(a_bound_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
