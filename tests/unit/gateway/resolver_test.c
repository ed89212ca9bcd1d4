/* From names to addresses.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/resolver.h"
#include "make_keys.h"

static struct gw_config *config;

static void configure(const char *text)
{
	char folder[256], path[512], why[GW_CONFIG_WHY];

	make_folder(folder);
	make_file(folder, "g.conf", text, path);
	gw_config_free(config);
	config = gw_config_read(path, why);
	if (!config)
		print_error("%s", why);
	assert_non_null(config);
	remove_folder(folder);
}

static int tear_down(void **state)
{
	(void)state;
	gw_config_free(config);
	config = NULL;
	return 0;
}

static void resolves(const char *host, uint16_t port, const char *expected)
{
	struct gw_target target;
	char text[COPSE_ADDRESS_TEXT];

	if (gw_resolve(config, host, strlen(host), port, 5683, &target) != GW_RESOLVED)
		fail_msg("%s", host);
	assert_string_equal(copse_address_text(&target.address, text, sizeof(text)), expected);
}

static void fails(const char *host, uint16_t port, enum gw_resolution expected)
{
	struct gw_target target;

	if (gw_resolve(config, host, strlen(host), port, 5683, &target) != expected)
		fail_msg("%s", host);
}

static void test_sections(void **state)
{
	struct gw_target target;

	(void)state;
	configure("device \"001350030a1b2c3d\" {\n address = \"127.1.0.1\"\n}\n"
		  "device \"lamp\" {\n address = \"fd00::7\"\n port = 7000\n uri_host = \"lamp.example\"\n}\n"
		  "device \"closed\" {\n address = \"127.1.0.3\"\n deny = true\n}\n");
	resolves("001350030a1b2c3d", 5683, "127.1.0.1:5683");
	resolves("001350030A1B2C3D", 5683, "127.1.0.1:5683");
	resolves("00-13-50-03-0a-1b-2c-3d", 5683, "127.1.0.1:5683");
	resolves("LAMP", 5683, "[fd00::7]:7000"); /* the default port stands for the device's own */
	resolves("lamp", 7000, "[fd00::7]:7000");
	fails("lamp", 7001, GW_RESOLVE_UNKNOWN);
	fails("closed", 5683, GW_RESOLVE_DENIED);
	fails("closed", 1, GW_RESOLVE_DENIED);
	fails("001350030a1b2c3e", 5683, GW_RESOLVE_UNKNOWN);
	fails("", 5683, GW_RESOLVE_UNKNOWN);
	fails("a/b", 5683, GW_RESOLVE_UNKNOWN);
	fails("[lamp]", 5683, GW_RESOLVE_UNKNOWN);
	assert_int_equal(gw_resolve(config, "lamp", 4, 5683, 5683, &target), GW_RESOLVED);
	assert_string_equal(target.uri_host, "lamp.example");
	assert_int_equal(gw_resolve(config, "001350030a1b2c3d", 16, 5683, 5683, &target), GW_RESOLVED);
	assert_string_equal(target.uri_host, "");
}

/* RFC 4291 Appendix A: the universal/local bit inverted; an EUI-48 with ff:fe in its middle. */
static void test_prefix(void **state)
{
	(void)state;
	configure("mesh {\n prefix = \"fd00:1:2:3::/64\"\n port = 61616\n}\n"
		  "device \"001350030a1b2c3d\" {\n deny = true\n}\n"
		  "device \"0013500000000001\" {\n port = 99\n}\n");
	resolves("0013500000000002", 5683, "[fd00:1:2:3:213:5000:0:2]:61616");
	resolves("3e0754123456", 5683, "[fd00:1:2:3:3c07:54ff:fe12:3456]:61616");
	resolves("0013500000000002", 61616, "[fd00:1:2:3:213:5000:0:2]:61616");
	resolves("0013500000000001", 5683, "[fd00:1:2:3:213:5000:0:1]:99"); /* the section goes first */
	fails("001350030a1b2c3d", 5683, GW_RESOLVE_DENIED);
	fails("001350030a1b2c3", 5683, GW_RESOLVE_UNKNOWN);
	fails("001350030a1b2c3dd", 5683, GW_RESOLVE_UNKNOWN);
	fails("001350030a1b2c3g", 5683, GW_RESOLVE_UNKNOWN);
}

static void test_literals(void **state)
{
	(void)state;
	configure("proxy {\n outside = {\"192.0.2.0/24\", \"2001:db8::/32\"}\n}\n");
	resolves("192.0.2.9", 5683, "192.0.2.9:5683");
	resolves("192.0.2.9", 9, "192.0.2.9:9");
	resolves("[2001:db8::9]", 5683, "[2001:db8::9]:5683");
	resolves("2001:db8::9", 5683, "[2001:db8::9]:5683"); /* without brackets too */
	resolves("[::ffff:192.0.2.9]", 5683, "192.0.2.9:5683");
	fails("192.0.3.1", 5683, GW_RESOLVE_OUTSIDE);
	fails("127.0.0.1", 5683, GW_RESOLVE_OUTSIDE);
	fails("[::1]", 5683, GW_RESOLVE_OUTSIDE);
	fails("::1", 5683, GW_RESOLVE_OUTSIDE);
	fails("[fe80::1%25eth0]", 5683, GW_RESOLVE_OUTSIDE);
	fails("example.com", 5683, GW_RESOLVE_UNKNOWN); /* no name server is asked */
	configure("proxy {\n outside = {\"0.0.0.0/0\", \"::/0\"}\n}\n");
	fails("224.0.1.187", 5683, GW_RESOLVE_OUTSIDE); /* groups never */
	fails("[ff02::fd]", 5683, GW_RESOLVE_OUTSIDE);
	fails("0.0.0.0", 5683, GW_RESOLVE_OUTSIDE);
	fails("::", 5683, GW_RESOLVE_OUTSIDE);
	fails("255.255.255.255", 5683, GW_RESOLVE_OUTSIDE);
	resolves("127.0.0.1", 5683, "127.0.0.1:5683");
}

/* Whatever leads to a device of the configuration, rules know it by its name: an address literal, the MAC ID that the
 * mesh's prefix makes its address of, either of its ports. */
static void test_names(void **state)
{
	static const struct {
		const char *host;
		uint16_t port;
		const char *name;
	} rows[] = {
	    {"192.0.2.9", 5683, "near"},
	    {"192.0.2.9", 4849, "near"},
	    {"::ffff:192.0.2.9", 5683, "near"},
	    {"[::ffff:c000:209]", 4849, "near"},
	    {"192.0.2.9", 99, "192.0.2.9"},
	    {"192.0.2.10", 5683, "192.0.2.10"},
	    {"192.0.2.10", 6000, "far"},
	    {"192.0.2.10", 6001, "far"},
	    {"213:50ff:fe03:a1b", 5683, NULL},
	    {"fd00::213:50ff:fe03:a1b", 5683, "meter"},
	    {"001350030a1b", 5683, "meter"},
	    {"00-13-50-ff-fe-03-0a-1b", 5683, "meter"},
	    {"fd00::213:50ff:fe03:a1c", 5683, "001350fffe030a1c"},
	    {"fd00::213:50ff:fe03:a1d", 5683, "001350030a1d"},
	    {"fd00::213:50ff:fe03:a1c", 77, "fd00::213:50ff:fe03:a1c"},
	};
	struct gw_target target;

	(void)state;
	configure("mesh {\n prefix = \"fd00::/64\"\n}\n"
		  "proxy {\n outside = {\"192.0.2.0/24\", \"fd00::/64\"}\n}\n"
		  "device \"near\" {\n address = \"192.0.2.9\"\n}\n"
		  "device \"far\" {\n address = \"192.0.2.10\"\n port = 6000\n secure_port = 6001\n}\n"
		  "device \"meter\" {\n address = \"fd00::213:50ff:fe03:a1b\"\n}\n"
		  "device \"001350030a1d\" {\n}\n"
		  "device \"never\" {\n address = \"192.0.2.99\"\n deny = true\n}\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum gw_resolution got =
		    gw_resolve(config, rows[i].host, strlen(rows[i].host), rows[i].port, 5683, &target);
		if ((got == GW_RESOLVED) != (rows[i].name != NULL) ||
		    (rows[i].name && strcmp(target.name, rows[i].name) != 0 &&
		     strcmp(target.alias, rows[i].name) != 0))
			fail_msg("row %zu: %d %s", i, got, target.name);
	}
	fails("192.0.2.99", 5683, GW_RESOLVE_DENIED);
	fails("192.0.2.99", 4849, GW_RESOLVE_DENIED);
	/* nor is a device met on its port for DTLS by a URI that names another one's */
	assert_int_equal(gw_resolve(config, "192.0.2.10", 10, 5683, 5683, &target), GW_RESOLVED);
	assert_int_not_equal(copse_address_port(&target.secure), 6001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_sections, tear_down),
	    cmocka_unit_test_teardown(test_names, tear_down),
	    cmocka_unit_test_teardown(test_prefix, tear_down),
	    cmocka_unit_test_teardown(test_literals, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
