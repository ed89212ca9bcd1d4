/* Rules: what is one, and what it is about.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/rule.h"

static void must_fail(const char *text)
{
	struct gw_rule rule;

	if (!gw_rule_parse(text, strlen(text), &rule))
		print_error("accepted: %s\n", text);
	assert_non_null(gw_rule_parse(text, strlen(text), &rule));
}

static void test_syntax(void **state)
{
	struct gw_rule rule;
	char text[200];

	(void)state;
	assert_null(gw_rule_parse("get,PUT 00-13-50-03-0A-1B-2C-3D /a/b", 36, &rule));
	assert_int_equal(rule.methods, 0x5);
	assert_string_equal(rule.device, "001350030a1b2c3d");
	assert_false(rule.beginning);
	assert_null(gw_rule_parse("  *\t", 4, &rule));
	assert_int_equal(rule.methods, 0x7f);
	assert_true(rule.beginning);
	assert_int_equal(rule.device_len, 0);
	static const char *const wrong[] = {
	    "",         " ",         "gett",        "get,",          ",get",       "get put d",
	    "get,,put", "get a*b",   "get ** /",    "get a path",    "get a /p x", "get a / /",
	    "get @",    "get @stor", "get @store*", "get @stores /", "get @Store"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		must_fail(wrong[i]);
	assert_non_null(gw_rule_parse("get a\0b /", 9, &rule));
	memset(text, 'x', sizeof(text));
	memcpy(text, "get ", 4);
	assert_null(gw_rule_parse(text, 4 + 63, &rule));
	assert_non_null(gw_rule_parse(text, 4 + 64, &rule));
	memcpy(text, "get * /", 7);
	assert_null(gw_rule_parse(text, 6 + 127, &rule));
	assert_non_null(gw_rule_parse(text, 6 + 128, &rule));
	for (size_t len = 0; len < 36; len++) /* each beginning is taken or not, and read no further */
		gw_rule_parse("get,PUT 00-13-50-03-0A-1B-2C-3D /a/b", len, &rule);
}

static uint8_t bytes[256];
static struct copse_message message;

/* A request for `path`, of which "|" parts the segments. */
static const struct copse_message *request(uint8_t code, const char *path)
{
	struct copse_builder b;

	copse_build_message(&b, bytes, sizeof(bytes), COPSE_CON, code, 1, "", 0);
	while (path) {
		size_t len = strcspn(path, "|");
		copse_build_option(&b, COPSE_OPTION_URI_PATH, path, len);
		path = path[len] ? path + len + 1 : NULL;
	}
	int n = copse_build_finish(&b);
	assert_int_equal(copse_message_parse(&message, bytes, (size_t)n), 0);
	return &message;
}

static const struct {
	const char *rule;
	uint8_t code;
	const char *device, *alias, *path;
	bool matches;
} rows[] = {
    {"get d /", COPSE_CODE_GET, "d", "", NULL, true},
    {"get d", COPSE_CODE_GET, "d", "", "a", true},
    {"get d /", COPSE_CODE_FETCH, "d", "", "a", false},
    {"* d /", COPSE_CODE_IPATCH, "d", "", "a", true},
    {"* d /", 8, "d", "", "a", false}, /* no method that anybody knows */
    {"get d /", COPSE_CODE_GET, "dd", "", "a", false},
    {"get d* /", COPSE_CODE_GET, "dd", "", "a", true},
    {"get D* /", COPSE_CODE_GET, "dd", "", "a", true},
    {"get dd* /", COPSE_CODE_GET, "d", "", "a", false},
    {"get x /", COPSE_CODE_GET, "d", "x", "a", true},
    {"get d /a", COPSE_CODE_GET, "d", "", "a", true},
    {"get d /a", COPSE_CODE_GET, "d", "", "a|b", true},
    {"get d /a", COPSE_CODE_GET, "d", "", "ab", false}, /* whole segments */
    {"get d /a", COPSE_CODE_GET, "d", "", "b|a", false},
    {"get d /a", COPSE_CODE_GET, "d", "", "A", false},
    {"get d /a/b", COPSE_CODE_GET, "d", "", "a", false},
    {"get d /a/b", COPSE_CODE_GET, "d", "", "a/b", false}, /* one segment with a slash in it */
    {"get d /a/b/", COPSE_CODE_GET, "d", "", "a|b", true},
    {"get d /a/b", COPSE_CODE_GET, "d", "", "|a||b", true}, /* which a device may take for the same */
    {"get 00-13-50-* /", COPSE_CODE_GET, "001350030a1b", "", "a", true}, /* names of MAC IDs have no dashes */
    {"get 00-13-50-* /", COPSE_CODE_GET, "x", "001350fffe030a1b", "a", true},
    {"get 00-13-50-* /", COPSE_CODE_GET, "001351030a1b", "", "a", false},
    {"get 00-13-50-* /", COPSE_CODE_GET, "001350-lamp", "", "a", false},
    {"get lamp-1* /", COPSE_CODE_GET, "lamp-12", "", "a", true},
    {"get 2001:DB8:0::1 /", COPSE_CODE_GET, "2001:db8::1", "", "a", true},
    {"get [2001:db8::0:1] /", COPSE_CODE_GET, "2001:db8::1", "", "a", true},
    {"get ::ffff:192.0.2.1 /", COPSE_CODE_GET, "192.0.2.1", "", "a", true},
    {"get 192.0.2.1 /", COPSE_CODE_GET, "192.0.2.11", "", "a", false},
    {"get d //a", COPSE_CODE_GET, "d", "", "a", true},
    {"get d /a", COPSE_CODE_GET, "d", "", NULL, false},
    {"get d /a", COPSE_CODE_GET, "d", "", "|", false},
    {"get @store /a", COPSE_CODE_GET, "@store", "", "a", false}, /* about no device, whatever its name */
    {"* @store", COPSE_CODE_GET, "", "", NULL, false},
};

static void test_matching(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gw_rule rule;
		assert_null(gw_rule_parse(rows[i].rule, strlen(rows[i].rule), &rule));
		bool matches = gw_rule_matches(&rule, request(rows[i].code, rows[i].path), rows[i].device,
					       rows[i].alias);
		if (matches != rows[i].matches)
			print_error("row %zu: %s\n", i, rows[i].rule);
		assert_int_equal(matches, rows[i].matches);
	}
}

/* A device may take a slash within a segment for one between two: a rule that denies holds then, too. */
static void test_touching(void **state)
{
	static const struct {
		const char *rule, *path;
		bool matches, touches, dots;
	} paths[] = {
	    {"get d /a/b", "a/b", false, true, false},
	    {"get d /a/b", "/a|b", false, true, false},
	    {"get d /a/b", "a/|/b/c", false, true, false},
	    {"get d /a/b", "a|b", true, true, false},
	    {"get d /a/b", "a|bc", false, false, false},
	    {"get d /a/b", "a/bc", false, false, false},
	    {"get d /a", "a/b", false, true, false},
	    {"get d /a", "b/a", false, false, false},
	    {"get d /a", "a|..", true, true, true},
	    {"get d /a", "a|../b", true, true, true},
	    {"get d /a", "a|b/.", true, true, true},
	    {"get d /a", "a|...", true, true, false},
	    {"get d /a", "a|.b", true, true, false},
	    {"get d /a", "a|b..", true, true, false},
	    {"get d", NULL, true, true, false},
	    {"get d", "/", true, true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct gw_rule rule;
		const struct copse_message *m = request(COPSE_CODE_GET, paths[i].path);
		assert_null(gw_rule_parse(paths[i].rule, strlen(paths[i].rule), &rule));
		if (gw_rule_matches(&rule, m, "d", "") != paths[i].matches ||
		    gw_rule_touches(&rule, m, "d", "") != paths[i].touches ||
		    gw_rule_has_dots(m) != paths[i].dots)
			fail_msg("row %zu", i);
	}
}

static const struct {
	const char *rule, *path;
	bool matches;
} documents[] = {
    {"* @store", "/a", true},
    {"* @store /", "", true},
    {"get @store /a", "/a", true},
    {"get @store /a", "/a/b", true},
    {"get @store /a", "/ab", false},
    {"get @store /ab", "/a", false},
    {"get @store /a", "/b/a", false},
    {"get @store /a/b", "/a", false},
    {"get @store /a/b", "//a///b/c", true},
    {"get @store /a", "", false},
    {"* * /", "/a", false}, /* about devices, and no document */
    {"* store /", "/a", false},
};

static void test_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); i++) {
		struct gw_rule rule;
		assert_null(gw_rule_parse(documents[i].rule, strlen(documents[i].rule), &rule));
		bool matches = gw_rule_matches_document(&rule, documents[i].path);
		if (matches != documents[i].matches)
			print_error("row %zu: %s\n", i, documents[i].rule);
		assert_int_equal(matches, documents[i].matches);
	}
	struct gw_rule rule;
	assert_null(gw_rule_parse("* @store", 8, &rule));
	assert_int_equal(gw_rule_reach(&rule, "d", ""), GW_RULE_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_syntax), cmocka_unit_test(test_matching),
					   cmocka_unit_test(test_touching), cmocka_unit_test(test_documents)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
