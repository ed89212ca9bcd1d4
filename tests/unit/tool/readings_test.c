/* Tests of readings as the tool takes them from SenML, of joining packs, and of plots.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "readings.h"
#include "sink.h"
#include "plot.h"

#include "capture.h"

#include <stdint.h>
#include <unistd.h>

#define NOW INT64_C(1700000000000000)

static struct readings parse(const char *text)
{
	struct readings r;

	assert_int_equal(readings_parse(&r, (const uint8_t *)text, strlen(text), NOW), 0);
	return r;
}

static void test_base_fields(void **state)
{
	char value[64];
	struct readings r =
	    parse("[{\"bn\":\"urn:dev:mac:0024befffe804ff1:\",\"bt\":1600000000,\"bu\":\"Cel\",\"bv\":20,"
		  "\"n\":\"a\",\"v\":1.5},{\"n\":\"b\",\"t\":0.25,\"vs\":\"x\",\"u\":\"m\"},{\"n\":\"c\"},"
		  "{\"bn\":\"kitchen/\",\"bt\":0,\"bv\":0,\"n\":\"d\",\"t\":-2,\"vb\":true,\"s\":3}]");

	(void)state;
	assert_int_equal(r.n, 4);
	assert_string_equal(r.row[0].device, "0024befffe804ff1");
	assert_string_equal(r.row[0].unit, "Cel");
	assert_string_equal(reading_value(&r.row[0], value, sizeof(value)), "21.5");
	assert_true(r.row[0].time == INT64_C(1600000000000000));
	assert_string_equal(reading_value(&r.row[1], value, sizeof(value)), "x");
	assert_true(r.row[1].time == INT64_C(1600000000250000));
	assert_string_equal(r.row[1].unit, "m");
	assert_false(r.row[1].is_number);
	assert_string_equal(reading_value(&r.row[2], value, sizeof(value)), "20"); /* the base value alone */
	assert_string_equal(r.row[3].device, "kitchen");
	assert_true(r.row[3].time == NOW - 2000000);
	assert_string_equal(reading_value(&r.row[3], value, sizeof(value)), "true");
	readings_free(&r);
}

/* Twelve digits in a table; CSV and JSON have all of them. */
static void test_for_people(void **state)
{
	static const struct {
		const char *json, *people, *exact;
	} row[] = {
	    {"24.597499999999997", "24.5975", "24.597499999999997"},
	    {"21.882352941176467", "21.8823529412", "21.882352941176467"},
	    {"-4.5", "-4.5", "-4.5"},
	    {"123456789.25", "123456789.25", "123456789.25"},
	    {"12345678901.5", "12345678901.5", "12345678901.5"},
	    {"12345678901234567", "12345678901234567", "12345678901234567"},
	    {"1.5e-300", "1.5e-300", "1.5e-300"},
	    {"0.0", "0", "0"},
	};
	char text[100], value[64];

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		snprintf(text, sizeof(text), "[{\"bn\":\"d/\",\"n\":\"a\",\"v\":%s}]", row[i].json);
		struct readings r = parse(text);
		assert_string_equal(reading_for_people(&r.row[0], value, sizeof(value)), row[i].people);
		assert_string_equal(reading_value(&r.row[0], value, sizeof(value)), row[i].exact);
		readings_free(&r);
	}
	struct readings r = parse("[{\"bn\":\"d/\",\"n\":\"a\",\"vs\":\"x\"}]");
	assert_string_equal(reading_for_people(&r.row[0], value, sizeof(value)), "x");
	readings_free(&r);
}

static void test_what_is_no_pack(void **state)
{
	static const char *const wrong[] = {
	    "", "{}", "[1]", "[{\"n\":1,\"v\":1}]", "[{\"n\":\"a\",\"v\":1", "[{\"bn\":3}]"};
	struct readings r;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(readings_parse(&r, (const uint8_t *)wrong[i], strlen(wrong[i]), NOW), -1);
	r = parse("[]");
	assert_int_equal(r.n, 0);
	readings_free(&r);
}

static void test_csv(void **state)
{
	struct readings r =
	    parse("[{\"bn\":\"d/\",\"n\":\"a\",\"t\":1600000000,\"v\":0.1},"
		  "{\"n\":\"a\",\"t\":1600000001,\"vs\":\"say \\\"x\\\"\",\"u\":\"m\",\"s\":2}]");
	FILE *out = capture_begin();

	(void)state;
	reading_print_csv_head(out);
	reading_print_csv(out, &r.row[0]);
	reading_print_csv(out, &r.row[1]);
	assert_string_equal(capture_end(out), "time,device,name,value,unit,sum\r\n"
					      "2020-09-13T12:26:40Z,d,a,0.1,\"\",\r\n"
					      "2020-09-13T12:26:41Z,d,a,\"say \"\"x\"\"\",\"m\",2\r\n");
	readings_free(&r);
}

/* Packs in pieces of every size become one. */
static void join(enum sink_form form, const char *const *pack, size_t n, const char *expected)
{
	for (size_t piece = 1; piece < 60; piece++) {
		struct sink sink = {.form = form};
		sink.file = capture_begin();
		for (size_t i = 0; i < n; i++) {
			sink_begin(&sink);
			for (size_t at = 0, len = strlen(pack[i]); at < len; at += piece)
				sink_put(&sink, (const uint8_t *)pack[i] + at,
					 len - at < piece ? len - at : piece);
			sink_end(&sink);
		}
		assert_int_equal(sink_close(&sink, 0), 0);
		assert_string_equal(capture_end(sink.file), expected);
	}
}

static void test_joining(void **state)
{
	(void)state;
	join(SINK_JSON, (const char *const[]){"[]", "[{\"a\":[1]}]", "[]", "[2,3]"}, 4, "[{\"a\":[1]},2,3]");
	join(SINK_JSON, (const char *const[]){"[]"}, 1, "[]");
	join(SINK_JSON, NULL, 0, "[]");
	join(SINK_CSV, (const char *const[]){"h\r\n1\r\n2\r\n", "", "h\r\n3\r\n"}, 3,
	     "time,device,name,value,unit,sum\r\n1\r\n2\r\n3\r\n");
	join(SINK_CBOR, (const char *const[]){"\x9f\xff", "\x9f\x01\x02\xff", "\x9f\x9f\xff\xff"}, 3,
	     "\x9f\x01\x02\x9f\xff\xff");
	join(
	    SINK_XML,
	    (const char *const[]){"<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\"/></sensml>",
				  "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"></sensml>",
				  "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"b\"/></sensml>"},
	    3, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"><senml n=\"a\"/><senml n=\"b\"/></sensml>");
}

static void test_a_file_appears_when_it_is_whole(void **state)
{
	char path[] = "/tmp/copse-sink-XXXXXX";
	int fd = mkstemp(path);
	struct sink sink;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_int_equal(sink_open(&sink, path, SINK_JSON), 0);
	assert_int_equal(sink_close(&sink, 4), 4);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_not_equal(access(sink.beside, F_OK), 0);
	assert_int_equal(sink_open(&sink, path, SINK_JSON), 0);
	assert_int_equal(sink_close(&sink, 0), 0);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static const struct plot_point points[] = {
    {0, 0}, {10000000, 10}, {20000000, 5}, {30000000, 5}, {40000000, 0},
};

static void test_plot(void **state)
{
	setenv("TZ", "UTC0", 1);
	struct plot p = {
	    .title = "t\033[1m", .point = points, .n = 5, .columns = 40, .rows = 8, .ascii = true};
	FILE *out = capture_begin();

	(void)state;
	plot_print(out, &p);
	assert_string_equal(capture_end(out), "t\\x1b[1m\n"
					      "10 +         *\n"
					      "   |\n"
					      "   |\n"
					      " 5 +                 *        *\n"
					      "   |\n"
					      " 0 +*                                 *\n"
					      "   +-----------------------------------\n"
					      "    00:00:00     00:00:20      00:00:40\n");
}

static void test_plots_of_little(void **state)
{
	(void)state;
	for (size_t n = 0; n < 3; n++)
		for (unsigned columns = 0; columns < 90; columns += 11)
			for (unsigned rows = 0; rows < 20; rows++) {
				struct plot p = {
				    .title = "t", .point = points, .n = n, .columns = columns, .rows = rows};
				FILE *out = capture_begin();
				plot_print(out, &p);
				assert_true(strlen(capture_end(out)) >= 2);
			}
	/* one value over and over, and a large one */
	static const struct plot_point flat[] = {{0, 1e300}, {1, 1e300}, {5, -1e300}};
	struct plot p = {.title = "t", .point = flat, .n = 2, .columns = 60, .rows = 10};
	FILE *out = capture_begin();
	plot_print(out, &p);
	p.n = 3;
	plot_print(out, &p);
	capture_end(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_base_fields),
	    cmocka_unit_test(test_for_people),
	    cmocka_unit_test(test_what_is_no_pack),
	    cmocka_unit_test(test_csv),
	    cmocka_unit_test(test_joining),
	    cmocka_unit_test(test_a_file_appears_when_it_is_whole),
	    cmocka_unit_test(test_plot),
	    cmocka_unit_test(test_plots_of_little),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(captured);
	return failed;
}
