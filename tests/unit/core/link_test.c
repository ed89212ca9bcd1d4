/* Link format: the examples of RFC 6690 §5, whole and in pieces; faults and their places; filters; windows.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/link.h>

#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct guard guard, source; /* for what is written, and for what is read */

/* RFC 6690 §5 */
#define EXAMPLE_RT                                                                                                   \
	"</sensors>;ct=40;title=\"Sensor Index\",</sensors/temp>;rt=\"temperature-c\";if=\"sensor\","                 \
	"</sensors/light>;rt=\"light-lux\";if=\"sensor\",<http://www.example.com/sensors/t123>"                       \
	";anchor=\"/sensors/temp\";rel=\"describedby\",</t>;anchor=\"/sensors/temp\";rel=\"alternate\""

static const char *const examples[] = {
    "</sensors>;ct=40",
    "</sensors/temp>;if=\"sensor\",</sensors/light>;if=\"sensor\"",
    EXAMPLE_RT,
    "</firmware/v2.1>;rt=\"firmware\";sz=262144",
    "</sensors/temp>;rt=\"temperature-c\";if=\"sensor\";obs;x=\"a,b;<c>\",</>;title*=UTF-8''%e2%82%ac",
    "",
};

static struct copse_link_reader reader_of(const char *text)
{
	size_t len = strlen(text);
	return (struct copse_link_reader){(const char *)guard_put(&source, text, len), len, 0, false, false};
}

/* A document as "target|name=value|name ..." a line, by whatever the reader finds. */
static int dump(struct copse_link_reader *reader, char *to, size_t cap)
{
	struct copse_link link;
	int more, n = 0;
	while ((more = copse_link_next(reader, &link)) > 0) {
		struct copse_link_attribute a;
		n += snprintf(to + n, cap - (size_t)n, "%.*s", (int)link.target.len, link.target.at);
		for (size_t pos = 0; copse_link_attribute_next(&link, &pos, &a);) {
			char value[128];
			const int value_len = copse_link_value(&a, value, sizeof(value));
			assert_int_equal(value_len, strlen(value));
			n += snprintf(to + n, cap - (size_t)n, "|%.*s%s%s", (int)a.name.len, a.name.at,
				      a.has_value ? "=" : "", value);
		}
		n += snprintf(to + n, cap - (size_t)n, "\n");
	}
	to[n] = 0;
	return more;
}

static void links_and_attributes(void **state)
{
	(void)state;
	char got[1024];
	struct copse_link_reader r = reader_of(EXAMPLE_RT);
	assert_int_equal(dump(&r, got, sizeof(got)), 0);
	assert_string_equal(got, "/sensors|ct=40|title=Sensor Index\n"
				 "/sensors/temp|rt=temperature-c|if=sensor\n"
				 "/sensors/light|rt=light-lux|if=sensor\n"
				 "http://www.example.com/sensors/t123|anchor=/sensors/temp|rel=describedby\n"
				 "/t|anchor=/sensors/temp|rel=alternate\n");
	r = reader_of(examples[4]);
	assert_int_equal(dump(&r, got, sizeof(got)), 0);
	assert_string_equal(got, "/sensors/temp|rt=temperature-c|if=sensor|obs|x=a,b;<c>\n"
				 "/|title*=UTF-8''%e2%82%ac\n");
	r = reader_of(" </a> ; rt = \"x\" ;\r\n obs ,\n <b>\n");
	assert_int_equal(dump(&r, got, sizeof(got)), 0);
	assert_string_equal(got, "/a|rt=x|obs\nb\n");
	r = reader_of("<>");
	assert_int_equal(dump(&r, got, sizeof(got)), 0);
	assert_string_equal(got, "\n");
}

/* However the document is cut into pieces, the same links come out. */
static void documents_in_pieces(void **state)
{
	(void)state;
	for (size_t e = 0; e < sizeof(examples) / sizeof(examples[0]); e++) {
		char want[1024], got[1024];
		size_t len = strlen(examples[e]);
		struct copse_link_reader r = reader_of(examples[e]);
		assert_int_equal(dump(&r, want, sizeof(want)), 0);
		for (size_t step = 1; step <= len; step++) {
			size_t kept = 0, fed = 0;
			char held[1024];
			got[0] = 0;
			r = reader_of("");
			while (fed < len) {
				size_t n = step < len - fed ? step : len - fed;
				memcpy(held + kept, examples[e] + fed, n);
				kept += n;
				fed += n;
				r.text = (char *)guard_put(&source, held, kept);
				r.len = kept;
				r.at = 0;
				r.partial = fed < len;
				assert_int_equal(dump(&r, got + strlen(got), sizeof(got) - strlen(got)), 0);
				kept -= r.at;
				memmove(held, held + r.at, kept);
			}
			assert_string_equal(got, want);
		}
	}
}

static void faults_and_their_places(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t at;
	} cases[] = {
	    {"a", 0},         {"</a", 3},         {"</a>x", 4},          {"</a>,", 5},      {"</a>, ", 6},
	    {",</a>", 0},     {"</a>;", 5},       {"</a>;=b", 5},        {"</a>;b=", 7},    {"</a>;b=;c", 7},
	    {"</a>;b=\"", 8}, {"</a>;b=\"\\", 9}, {"</a>;b=\"\\\"", 10}, {"</a>;b=c\"", 8}, {"</a b>", 3},
	    {"</a<b>", 3},    {"</a>;b=c d", 9},  {"</a></b>", 4},       {"</a>;b c", 7},   {"</a>,,</b>", 5},
	    {"</a>;;b", 5}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[256];
		struct copse_link link;
		struct copse_link_reader r = reader_of(cases[i].text);
		int err = dump(&r, got, sizeof(got));
		if (err != COPSE_ERR_MALFORMED || r.at != cases[i].at)
			fail_msg("%s: %d at %zu", cases[i].text, err, r.at);
		assert_int_equal(copse_link_next(&r, &link), 0); /* it is over */
	}
}

static void attributes_by_name(void **state)
{
	(void)state;
	struct copse_link link;
	struct copse_link_attribute a;
	char value[32];
	struct copse_link_reader r = reader_of("</a>;RT=\"x y\";rt=z;obs;q=\"say \\\"hi\\\\\"");
	assert_int_equal(copse_link_next(&r, &link), 1);
	assert_true(copse_link_attribute(&link, "rt", &a)); /* the first counts */
	assert_true(a.quoted && a.has_value);
	assert_int_equal(copse_link_value(&a, value, sizeof(value)), 3);
	assert_string_equal(value, "x y");
	assert_true(copse_link_attribute(&link, "obs", &a));
	assert_false(a.has_value);
	assert_int_equal(copse_link_value(&a, value, 1), 0);
	assert_int_equal(copse_link_value(&a, value, 0), COPSE_ERR_NOROOM);
	assert_false(copse_link_attribute(&link, "ob", &a));
	assert_false(copse_link_attribute(&link, "obse", &a));
	assert_true(copse_link_attribute(&link, "q", &a));
	for (size_t cap = 0; cap < 9; cap++)
		assert_int_equal(copse_link_value(&a, (char *)guard_room(&guard, cap), cap),
				 COPSE_ERR_NOROOM);
	assert_int_equal(copse_link_value(&a, (char *)guard_room(&guard, 9), 9), 8);
	assert_string_equal((char *)guard_room(&guard, 9), "say \"hi\\");
}

/* Which of the links of a document are found, as a string of their numbers. */
static const char *found(const char *document, const char *query, char *to)
{
	struct copse_link_reader r = {document, strlen(document), 0, false, false};
	struct copse_link_filter filter;
	struct copse_link link;
	size_t n = 0, len = strlen(query);
	copse_link_filter_parse(&filter, (const char *)guard_put(&guard, query, len), len);
	for (char i = '0'; copse_link_next(&r, &link) > 0; i++)
		if (copse_link_matches(&link, &filter))
			to[n++] = i;
	to[n] = 0;
	return to;
}

static void filters(void **state)
{
	(void)state;
	static const struct {
		const char *query, *want;
	} cases[] = {{"rt=light-lux", "2"},
		     {"rt=temperature*", "1"},
		     {"rt=*", "12"},
		     {"rt=light", ""},
		     {"rt=light-luxx", ""},
		     {"if=sensor", "12"},
		     {"ct=40", "0"},
		     {"ct=4", ""},
		     {"title=Sensor Index", "0"},
		     {"title=Sensor", ""},
		     {"title=Sensor*", "0"},
		     {"title=Index", ""},
		     {"href=/sensors", "0"},
		     {"href=/sensors*", "012"},
		     {"href=/sensors/", ""},
		     {"href=*", "01234"},
		     {"href=http*", "3"},
		     {"rel=alternate", "4"},
		     {"anchor=/sensors/temp", "34"},
		     {"anchor", "34"},
		     {"obs", ""},
		     {"", ""},
		     {"=", ""},
		     {"=*", ""},
		     {"href", "01234"},
		     {"RT=light-lux", "2"},
		     {"rt=Light-lux", ""}};
	char got[16];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(found(EXAMPLE_RT, cases[i].query, got), cases[i].want) != 0)
			fail_msg("%s: %s, not %s", cases[i].query, got, cases[i].want);
	const char *lists =
	    "</a>;rt=\"one two three\";ct=\"0 41\";obs,</b>;rt=two-b;title=\"a \\\"b\\\"\",</c%20d>;sz=7";
	assert_string_equal(found(lists, "rt=two", got), "0");
	assert_string_equal(found(lists, "rt=tw*", got), "01");
	assert_string_equal(found(lists, "rt=three", got), "0");
	assert_string_equal(found(lists, "rt=one two", got), "");
	assert_string_equal(found(lists, "rt=thre", got), "");
	assert_string_equal(found(lists, "ct=41", got), "0");
	assert_string_equal(found(lists, "obs", got), "0");
	assert_string_equal(found(lists, "obs=", got), "0");
	assert_string_equal(found(lists, "obs=*", got), "0");
	assert_string_equal(found(lists, "obs=1", got), "");
	assert_string_equal(found(lists, "title=a \"b\"", got), "1");
	assert_string_equal(found(lists, "href=/c d", got), "2");
	assert_string_equal(found(lists, "sz=7", got), "2");
}

static void request_with(struct copse_message *m, uint8_t *buf, size_t cap, const char *const *queries)
{
	struct copse_builder b;
	copse_build_message(&b, buf, cap, COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
	for (; *queries; queries++)
		copse_build_option(&b, COPSE_OPTION_URI_QUERY, *queries, strlen(*queries));
	assert_int_equal(copse_message_parse(m, buf, (size_t)copse_build_finish(&b)), 0);
}

/* Every window of every size is what stands there in the whole. */
static void windows_of_a_filtered_document(void **state)
{
	(void)state;
	static const char whole[] = "</sensors/temp>;rt=\"temperature-c\";if=\"sensor\","
				    "</sensors/light>;rt=\"light-lux\";if=\"sensor\"";
	const char *queries[] = {"if=sensor", "href=/sensors/*", NULL};
	const size_t len = sizeof(whole) - 1;
	uint8_t buf[64];
	struct copse_message m;
	uint32_t total;
	request_with(&m, buf, sizeof(buf), queries);
	for (uint32_t offset = 0; offset <= len + 2; offset++) {
		for (size_t cap = 0; cap <= len + 2; cap++) {
			char *at = (char *)guard_room(&guard, cap);
			size_t want = offset >= len ? 0 : len - offset < cap ? len - offset : cap;
			assert_int_equal(
			    copse_link_select(EXAMPLE_RT, strlen(EXAMPLE_RT), &m, offset, at, cap, &total),
			    want);
			assert_int_equal(total, len);
			if (want > 0)
				assert_memory_equal(at, whole + offset, want);
		}
	}
	const char *none[] = {"rt=light-lux", "rt=temperature-c", NULL};
	request_with(&m, buf, sizeof(buf), none);
	assert_int_equal(copse_link_select(EXAMPLE_RT, strlen(EXAMPLE_RT), &m, 0, NULL, 0, &total), 0);
	assert_int_equal(total, 0);
	assert_int_equal(copse_link_select(EXAMPLE_RT, strlen(EXAMPLE_RT), NULL, 0, NULL, 0, &total), 0);
	assert_int_equal(total, strlen(EXAMPLE_RT));
	assert_int_equal(copse_link_select("</a>,", 5, NULL, 0, NULL, 0, &total), COPSE_ERR_MALFORMED);
}

static void write_all(struct copse_link_writer *w)
{
	copse_link_write(w, "/a b/\xc3\xa9%20<>?x=1", 16);
	copse_link_write_text(w, "title", "say \"hi\" \\", 10);
	copse_link_write_number(w, "sz", 4294967295u);
	copse_link_write_flag(w, "obs");
	copse_link_write(w, "", 0);
	copse_link_write_number(w, "ct", 0);
	copse_link_write_number(w, "sz", 10);
}

static void links_are_written(void **state)
{
	(void)state;
	static const char want[] =
	    "</a%20b/%C3%A9%20%3C%3E?x=1>;title=\"say \\\"hi\\\" \\\\\";sz=4294967295;obs,<>;ct=0;sz=10";
	const size_t len = sizeof(want) - 1;
	for (uint32_t offset = 0; offset <= len; offset++) {
		for (size_t cap = 0; cap <= len; cap++) {
			struct copse_link_writer w;
			char *at = (char *)guard_room(&guard, cap);
			copse_link_write_begin(&w, at, cap, offset);
			write_all(&w);
			size_t n = copse_link_write_end(&w);
			assert_int_equal(n, len - offset < cap ? len - offset : cap);
			assert_int_equal(w.total, len);
			if (n > 0)
				assert_memory_equal(at, want + offset, n);
		}
	}
	char got[256];
	struct copse_link_reader r = reader_of(want);
	assert_int_equal(dump(&r, got, sizeof(got)), 0);
	assert_string_equal(
	    got, "/a%20b/%C3%A9%20%3C%3E?x=1|title=say \"hi\" \\|sz=4294967295|obs\n|ct=0|sz=10\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(links_and_attributes),
	    cmocka_unit_test(documents_in_pieces),
	    cmocka_unit_test(faults_and_their_places),
	    cmocka_unit_test(attributes_by_name),
	    cmocka_unit_test(filters),
	    cmocka_unit_test(windows_of_a_filtered_document),
	    cmocka_unit_test(links_are_written),
	};
	guard = guard_make();
	source = guard_make();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_free(&guard);
	guard_free(&source);
	return failed;
}
