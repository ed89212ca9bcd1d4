/* URIs: every row of the vectors both ways, every capacity, every prefix; address literals; what a proxy needs. Texts end
 * at a page that cannot be read.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/uri.h>

#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct guard guard;

static const char *const fault_names[] = {
    "OK",          "NO_SCHEME", "BAD_SCHEME", "NO_AUTHORITY", "USERINFO",    "NO_HOST",  "BAD_HOST",
    "BAD_ADDRESS", "BAD_PORT",  "BAD_PATH",   "BAD_QUERY",    "BAD_PERCENT", "FRAGMENT", "SEGMENT_LONG"};

static void print_bytes(char *to, size_t cap, char kind, const uint8_t *value, size_t len)
{
	size_t n = strlen(to);
	n += (size_t)snprintf(to + n, cap - n, "%s%c(", n > 0 ? " " : "", kind);
	for (size_t i = 0; i < len; i++) {
		bool plain = value[i] > 0x20 && value[i] < 0x7f && !strchr("()\\", value[i]);
		n += (size_t)snprintf(to + n, cap - n, plain ? "%c" : "\\x%02x", value[i]);
	}
	snprintf(to + n, cap - n, ")");
}

/* The options of a message in the notation of the vectors. */
static void print_options(char *to, size_t cap, const struct copse_message *m)
{
	to[0] = 0;
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		char port[8];
		snprintf(port, sizeof(port), "%u", (unsigned)copse_option_uint(m, o));
		if (o->number == COPSE_OPTION_URI_PORT)
			print_bytes(to, cap, 'P', (const uint8_t *)port, strlen(port));
		else
			print_bytes(to, cap,
				    o->number == COPSE_OPTION_URI_HOST   ? 'H'
				    : o->number == COPSE_OPTION_URI_PATH ? '/'
									 : '?',
				    copse_option_value(m, o), o->len);
	}
}

/* The address that a URI's host leads to, as its text: the part of the composition that no option holds. */
static void base_of(const struct copse_uri *uri, struct copse_uri_base *base, char *host, size_t cap)
{
	int n = snprintf(host, cap, "%.*s", (int)uri->host.len, uri->host.at);
	if (uri->zone.len > 0)
		n += snprintf(host + n, cap - (size_t)n, "%%%.*s", (int)uri->zone.len, uri->zone.at);
	*base = (struct copse_uri_base){(enum copse_scheme)uri->scheme, host, (size_t)n,
					copse_scheme_port((enum copse_scheme)uri->scheme)};
}

static void build(const struct copse_uri *uri, const struct copse_uri_dest *dest, uint8_t *buf, size_t cap,
		  struct copse_message *m)
{
	struct copse_builder b;
	copse_build_message(&b, buf, cap, COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
	copse_uri_build(uri, dest, &b);
	int len = copse_build_finish(&b);
	assert_true(len >= 4);
	assert_int_equal(copse_message_parse(m, buf, (size_t)len), 0);
	assert_int_equal(m->bad_option, 0);
}

static void check_composed(const struct copse_message *m, const struct copse_uri_base *base, const char *want)
{
	size_t len = strlen(want);
	for (size_t cap = 0; cap <= len; cap++) {
		char *buf = (char *)guard_room(&guard, cap);
		assert_int_equal(copse_uri_compose(m, base, buf, cap), COPSE_ERR_NOROOM);
		if (cap > 0)
			assert_string_equal(buf, "");
	}
	char *buf = (char *)guard_room(&guard, len + 1);
	int got = copse_uri_compose(m, base, buf, len + 1);
	if (got < 0) {
		static char wide[4096];
		copse_uri_compose(m, base, wide, sizeof(wide));
		assert_string_equal(wide, want);
	}
	assert_string_equal(buf, want);
	assert_int_equal(got, len);
}

/* No prefix is read past its end; each fault lies within it. */
static void check_prefixes(const char *text, size_t whole)
{
	for (size_t len = 0; len < whole; len++) {
		struct copse_uri uri;
		int err = copse_uri_parse(&uri, (char *)guard_put(&guard, text, len), len);
		assert_true(err == 0 || err == COPSE_ERR_URI || err == COPSE_ERR_SCHEME);
		assert_int_equal(err == 0, uri.fault == COPSE_URI_OK);
		assert_true(uri.fault_off <= len);
	}
}

static void check_good(const char *text, const char *options, const char *composed)
{
	size_t len = strlen(text);
	struct copse_uri uri;
	struct copse_message m;
	struct copse_uri_dest dest;
	struct copse_uri_base base;
	uint8_t buf[2048];
	char got[2048], host[512];
	int err = copse_uri_parse(&uri, (char *)guard_put(&guard, text, len), len);
	if (err != 0)
		fail_msg("%s: %s at %zu", text, fault_names[uri.fault], uri.fault_off);
	assert_int_equal(copse_uri_parse(&uri, text, len), 0);
	dest = (struct copse_uri_dest){uri.ip, copse_scheme_port((enum copse_scheme)uri.scheme)};
	build(&uri, &dest, buf, sizeof(buf), &m);
	print_options(got, sizeof(got), &m);
	assert_string_equal(got, options);
	base_of(&uri, &base, host, sizeof(host));
	check_composed(&m, &base, composed);
	assert_int_equal(copse_uri_parse(&uri, composed, strlen(composed)), 0); /* and once more around */
	build(&uri, &dest, buf, sizeof(buf), &m);
	print_options(got, sizeof(got), &m);
	assert_string_equal(got, options);
	check_composed(&m, &base, composed);
}

static void check_fault(const char *text, const char *want)
{
	char got[64];
	struct copse_uri uri;
	size_t len = strlen(text);
	int err = copse_uri_parse(&uri, (char *)guard_put(&guard, text, len), len);
	snprintf(got, sizeof(got), "%s %zu", fault_names[uri.fault], uri.fault_off);
	if (strcmp(got, want) != 0)
		fail_msg("%s: %s, not %s", text, got, want);
	assert_int_equal(err, uri.fault == COPSE_URI_BAD_SCHEME ? COPSE_ERR_SCHEME : COPSE_ERR_URI);
	assert_true(strlen(copse_uri_fault_text((enum copse_uri_fault)uri.fault)) > 10);
}

static void every_vector_both_ways(void **state)
{
	(void)state;
	char line[1024];
	unsigned rows = 0;
	FILE *file = fopen(COPSE_VECTORS "/7252-6.4-uris.txt", "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		char *options = strchr(line, '\t');
		if (line[0] == '#')
			continue;
		assert_non_null(options);
		*options++ = 0;
		char *composed = strchr(options, '\t');
		if (composed)
			*composed++ = 0;
		if (options[0] == '!')
			check_fault(line, options + 1);
		else
			check_good(line, options, composed ? composed : line);
		check_prefixes(line, strlen(line));
		rows++;
	}
	fclose(file);
	assert_true(rows > 130);
}

static void the_destination_needs_no_option(void **state)
{
	(void)state;
	struct copse_uri uri;
	struct copse_message m;
	struct copse_uri_dest dest = {{0}, 5684};
	uint8_t buf[256];
	char got[256];
	const char *text = "coap://[2001:DB8:0::1]:5684/a";
	assert_int_equal(copse_uri_parse(&uri, text, strlen(text)), 0);
	build(&uri, NULL, buf, sizeof(buf), &m); /* wherever the URI points */
	print_options(got, sizeof(got), &m);
	assert_string_equal(got, "/(a)");
	assert_true(copse_ip_parse(&dest.ip, "2001:db8::1", 11, NULL)); /* the same, written otherwise */
	build(&uri, &dest, buf, sizeof(buf), &m);
	print_options(got, sizeof(got), &m);
	assert_string_equal(got, "/(a)");
	assert_true(copse_ip_parse(&dest.ip, "2001:db8::2", 11, NULL)); /* a proxy */
	dest.port = 5683;
	build(&uri, &dest, buf, sizeof(buf), &m);
	print_options(got, sizeof(got), &m);
	assert_string_equal(got, "H([2001:db8:0::1]) P(5684) /(a)");
	text = "coap://[fe80::1%25eth0]/a";
	assert_int_equal(copse_uri_parse(&uri, text, strlen(text)), 0);
	build(&uri, &dest, buf, sizeof(buf), &m); /* the proxy has no use for our zone */
	print_options(got, sizeof(got), &m);
	assert_string_equal(got, "H([fe80::1]) /(a)");
}

static void hosts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host, *zone;
		uint8_t kind;
	} cases[] = {{"coap://ExAmple.COM", "example.com", "", COPSE_HOST_NAME},
		     {"coap://a%2FB%42", "a/bB", "", COPSE_HOST_NAME}, /* what was encoded keeps its case */
		     {"coap://192.0.2.1:7", "192.0.2.1", "", COPSE_HOST_IPV4},
		     {"coap://[FE80::1%25Eth0]:7", "fe80::1", "Eth0", COPSE_HOST_IPV6}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct copse_uri uri;
		size_t len = strlen(cases[i].host);
		assert_int_equal(copse_uri_parse(&uri, cases[i].text, strlen(cases[i].text)), 0);
		assert_int_equal(uri.host_kind, cases[i].kind);
		assert_int_equal(uri.zone.len, strlen(cases[i].zone));
		assert_memory_equal(uri.zone.at, cases[i].zone, uri.zone.len);
		char *buf = (char *)guard_room(&guard, len);
		assert_int_equal(copse_uri_host(&uri, buf, len), len);
		assert_memory_equal(buf, cases[i].host, len);
		for (size_t cap = 0; cap < len; cap++)
			assert_int_equal(copse_uri_host(&uri, guard_room(&guard, cap), cap),
					 COPSE_ERR_NOROOM);
	}
}

static void parts_of_255_bytes_and_no_more(void **state)
{
	(void)state;
	static const char *const before[] = {"coap://", "coap://h/", "coap://h/a/", "coap://h/?",
					     "coap://h/?a&"};
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		char text[1024];
		struct copse_uri uri;
		struct copse_message m;
		uint8_t buf[1024];
		size_t n = (size_t)snprintf(text, sizeof(text), "%s", before[i]);
		for (unsigned k = 0; k < 255; k++) /* encoded bytes count as one */
			n += (size_t)snprintf(text + n, sizeof(text) - n, k % 5 ? "x" : "%%41");
		assert_int_equal(copse_uri_parse(&uri, text, n), 0);
		build(&uri, NULL, buf, sizeof(buf), &m);
		assert_int_equal(m.option[m.option_n - 1].len, 255);
		text[n] = 'x';
		assert_int_equal(copse_uri_parse(&uri, text, n + 1), COPSE_ERR_URI);
		assert_int_equal(uri.fault, COPSE_URI_SEGMENT_LONG);
		assert_int_equal(uri.fault_off, strlen(before[i]));
	}
}

static void a_builder_without_room(void **state)
{
	(void)state;
	struct copse_uri uri;
	const char *text = "coap://host.example:1/a/b?c=d";
	assert_int_equal(copse_uri_parse(&uri, text, strlen(text)), 0);
	struct copse_uri_dest dest = {{0}, 5683};
	for (size_t cap = 0; cap < 32; cap++) {
		struct copse_builder b;
		copse_build_rest(&b, guard_room(&guard, cap), cap);
		copse_uri_build(&uri, &dest, &b);
		assert_int_equal(copse_build_finish(&b), cap < 23 ? COPSE_ERR_NOROOM : 23);
	}
}

static void paths_alone(void **state)
{
	(void)state;
	static const struct {
		const char *text, *options;
	} cases[] = {{"", ""},
		     {"/", ""},
		     {"a", "/(a)"},
		     {"/a/b", "/(a) /(b)"},
		     {"a/b?c", "/(a) /(b) ?(c)"},
		     {"?c", "?(c)"},
		     {"../a", "/(a)"},
		     {"/.well-known/core?rt=a*", "/(.well-known) /(core) ?(rt=a*)"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct copse_uri uri;
		struct copse_message m;
		struct copse_uri_dest dest = {{0}, COPSE_PORT_COAP};
		uint8_t buf[256];
		char got[256];
		size_t len = strlen(cases[i].text);
		assert_int_equal(
		    copse_uri_parse_path(&uri, (char *)guard_put(&guard, cases[i].text, len), len), 0);
		build(&uri, &dest, buf, sizeof(buf), &m);
		print_options(got, sizeof(got), &m);
		assert_string_equal(got, cases[i].options);
	}
	struct copse_uri uri;
	assert_int_equal(copse_uri_parse_path(&uri, "a b", 3), COPSE_ERR_URI);
	assert_int_equal(uri.fault_off, 1);
}

static void parse_request(struct copse_message *m, uint8_t *buf, size_t cap, uint16_t path,
			  const char *const *segments)
{
	struct copse_builder b;
	copse_build_message(&b, buf, cap, COPSE_CON,
			    path == COPSE_OPTION_URI_PATH ? COPSE_CODE_GET : COPSE_CODE_CREATED, 1, NULL, 0);
	for (; *segments; segments++)
		copse_build_option(&b, path, *segments, strlen(*segments));
	copse_build_option(
	    &b, path == COPSE_OPTION_URI_PATH ? COPSE_OPTION_URI_QUERY : COPSE_OPTION_LOCATION_QUERY, "q=1",
	    3);
	assert_int_equal(copse_message_parse(m, buf, (size_t)copse_build_finish(&b)), 0);
}

static void paths_are_composed(void **state)
{
	(void)state;
	uint8_t buf[256];
	char text[64];
	struct copse_message m;
	const char *segments[] = {"a", "b/c", NULL}, *dot[] = {"a", ".", NULL}, *dots[] = {"..", NULL},
		   *none[] = {NULL};
	parse_request(&m, buf, sizeof(buf), COPSE_OPTION_URI_PATH, segments);
	assert_int_equal(copse_uri_compose_path(&m, false, text, sizeof(text)), 12);
	assert_string_equal(text, "/a/b%2Fc?q=1");
	parse_request(&m, buf, sizeof(buf), COPSE_OPTION_LOCATION_PATH, segments);
	assert_int_equal(copse_uri_compose_path(&m, true, text, sizeof(text)), 12);
	assert_string_equal(text, "/a/b%2Fc?q=1");
	parse_request(&m, buf, sizeof(buf), COPSE_OPTION_URI_PATH, none);
	assert_int_equal(copse_uri_compose_path(&m, false, text, sizeof(text)), 5);
	assert_string_equal(text, "/?q=1");
	parse_request(&m, buf, sizeof(buf), COPSE_OPTION_URI_PATH, dot); /* §5.10.1 */
	assert_int_equal(copse_uri_compose_path(&m, false, text, sizeof(text)), COPSE_ERR_URI);
	assert_string_equal(text, "");
	parse_request(&m, buf, sizeof(buf), COPSE_OPTION_URI_PATH, dots);
	assert_int_equal(copse_uri_compose_path(&m, false, text, sizeof(text)), COPSE_ERR_URI);
	assert_int_equal(copse_uri_compose_path(&m, false, NULL, 0), COPSE_ERR_NOROOM);
}

/* Uri-Host is composed as it is; a literal in it gets its brackets. */
static void composed_hosts(void **state)
{
	(void)state;
	static const struct {
		const char *host, *want;
	} cases[] = {{"h", "coap://h/"},
		     {"2001:db8::1", "coap://[2001:db8::1]/"},
		     {"[2001:db8::1]", "coap://[2001:db8::1]/"},
		     {"192.0.2.1", "coap://192.0.2.1/"},
		     {"fe80::1%eth0", "coap://[fe80::1%25eth0]/"},
		     {"[fe80::1%25eth0]", "coap://[fe80::1%25eth0]/"},
		     {"a b:c", "coap://a%20b%3Ac/"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[128];
		struct copse_message m;
		struct copse_builder b;
		struct copse_uri_base base = {COPSE_SCHEME_COAP, "other", 5, 5683};
		copse_build_message(&b, buf, sizeof(buf), COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
		copse_build_option(&b, COPSE_OPTION_URI_HOST, cases[i].host, strlen(cases[i].host));
		assert_int_equal(copse_message_parse(&m, buf, (size_t)copse_build_finish(&b)), 0);
		check_composed(&m, &base, cases[i].want);
		base.scheme = COPSE_SCHEME_OTHER;
		char text[64];
		assert_int_equal(copse_uri_compose(&m, &base, text, sizeof(text)), COPSE_ERR_URI);
	}
}

static bool ip(const char *text, struct copse_ip *out, const char *want_zone)
{
	struct copse_text zone = {NULL, 77};
	size_t len = strlen(text);
	bool ok = copse_ip_parse(out, (char *)guard_put(&guard, text, len), len, &zone);
	if (ok) {
		assert_int_equal(zone.len, strlen(want_zone));
		assert_memory_equal(zone.at, want_zone, zone.len);
	}
	for (size_t n = 0; n < len; n++) {
		struct copse_ip other;
		copse_ip_parse(&other, (char *)guard_put(&guard, text, n), n, NULL);
	}
	return ok;
}

static void address_literals(void **state)
{
	(void)state;
	struct copse_ip a, b;
	assert_true(ip("2001:0db8:0000:0000:0001:0000:0000:0001", &a, "") &&
		    ip("[2001:DB8::1:0:0:1]", &b, ""));
	assert_true(copse_ip_equal(&a, &b));
	assert_memory_equal(a.bytes, "\x20\x01\x0d\xb8\0\0\0\0\0\1\0\0\0\0\0\1", 16);
	assert_true(ip("::ffff:192.0.2.1", &a, "") && ip("192.0.2.1", &b, ""));
	assert_true(copse_ip_equal(&a, &b) && copse_ip_equal(&b, &a));
	assert_true(ip("::192.0.2.1", &a, ""));
	assert_false(copse_ip_equal(&a, &b));
	assert_true(ip("fe80::1%eth0", &a, "eth0") && ip("[fe80::1%25eth0]", &b, "eth0"));
	assert_true(copse_ip_equal(&a, &b));
	memset(&a, 0, sizeof(a));
	assert_false(copse_ip_equal(&a, &a)); /* no address is no address */
	static const char *const bad[] = {"",
					  "[",
					  "]",
					  "[]",
					  "[::1",
					  "::1]",
					  "[::1]]",
					  "1.2.3",
					  "1.2.3.4.",
					  "1.2.3.4%a",
					  "1..2.3",
					  "[1.2.3.4]",
					  ":",
					  ":::",
					  "1:2",
					  "::%",
					  "::1%",
					  "::g",
					  "1:2:3:4:5:6:7::8:9",
					  "::1.2.3.4:5"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ip(bad[i], &a, ""))
			fail_msg("%s", bad[i]);
}

static bool same(const char *a, const char *b)
{
	bool one = copse_host_equal(a, strlen(a), b, strlen(b));
	assert_int_equal(one, copse_host_equal(b, strlen(b), a, strlen(a)));
	return one;
}

static void hosts_are_compared(void **state)
{
	(void)state;
	assert_true(same("Example.com", "example.COM"));
	assert_false(same("example.com", "example.co"));
	assert_true(same("[2001:db8::1]", "2001:DB8:0:0::1"));
	assert_true(same("::ffff:10.0.0.1", "10.0.0.1"));
	assert_true(same("fe80::1%eth0", "[fe80::1%25eth0]"));
	assert_false(same("fe80::1%eth0", "fe80::1%eth1"));
	assert_false(same("fe80::1%eth0", "fe80::1"));
	assert_false(same("10.0.0.1", "10.0.0.1.example"));
	assert_true(same("", ""));
}

static void schemes(void **state)
{
	(void)state;
	for (unsigned s = COPSE_SCHEME_COAP; s < COPSE_SCHEME_OTHER; s++) {
		const char *name = copse_scheme_name((enum copse_scheme)s);
		assert_int_equal(copse_scheme_from_text(name, strlen(name)), s);
		assert_int_equal(copse_scheme_is_secure((enum copse_scheme)s), name[4] == 's');
		assert_true(copse_scheme_port((enum copse_scheme)s) > 0);
	}
	assert_int_equal(copse_scheme_from_text("CoAPs", 5), COPSE_SCHEME_COAPS);
	assert_int_equal(copse_scheme_from_text("coa", 3), COPSE_SCHEME_OTHER);
	assert_int_equal(copse_scheme_from_text("", 0), COPSE_SCHEME_OTHER);
}

/* A path of as many dot segments as fit a Proxy-Uri is no burden: the work is bounded by its square. */
static void many_dots(void **state)
{
	(void)state;
	char text[1035];
	struct copse_uri uri;
	struct copse_text part;
	size_t n = (size_t)snprintf(text, sizeof(text), "coap://h");
	while (n + 3 < 600)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "/a");
	while (n + 3 < sizeof(text))
		n += (size_t)snprintf(text + n, sizeof(text) - n, "/..");
	assert_int_equal(copse_uri_parse(&uri, text, n), 0);
	unsigned left = 0;
	for (size_t pos = 0; copse_uri_segment(&uri, &pos, &part);)
		left++;
	assert_true(left > 100 && left < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_vector_both_ways),
	    cmocka_unit_test(the_destination_needs_no_option),
	    cmocka_unit_test(hosts),
	    cmocka_unit_test(parts_of_255_bytes_and_no_more),
	    cmocka_unit_test(a_builder_without_room),
	    cmocka_unit_test(paths_alone),
	    cmocka_unit_test(paths_are_composed),
	    cmocka_unit_test(composed_hosts),
	    cmocka_unit_test(address_literals),
	    cmocka_unit_test(hosts_are_compared),
	    cmocka_unit_test(schemes),
	    cmocka_unit_test(many_dots),
	};
	guard = guard_make();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_free(&guard);
	return failed;
}
