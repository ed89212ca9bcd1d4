/* The resource directory's registrations and lookups, without messages: the examples of RFC 9176, bounds, time, whose
 * a registration is, and which endpoints the gateway would go to.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gateway/directory.h"
#include "gateway/resolver.h"

#include "world.h"

#include <copse/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gw_directory *dir;
static char answer[GW_DIRECTORY_ANSWER];
static const char *why;

/* RFC 6690 §5, the 6th response: what both sensors of RFC 9176 §6.3 have posted. */
static const char sensors[] =
    "</sensors>;ct=40;title=\"Sensor Index\","
    "</sensors/temp>;rt=\"temperature-c\";if=\"sensor\","
    "</sensors/light>;rt=\"light-lux\";if=\"sensor\","
    "<http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=\"describedby\","
    "</t>;anchor=\"/sensors/temp\";rel=\"alternate\"";

static void start(uint32_t cap)
{
	static const uint64_t key[2] = {1, 2};

	dir = gw_directory_new(cap, key);
	assert_non_null(dir);
}

static size_t split(const char *text, struct copse_text *out)
{
	size_t n = 0;

	while (*text) {
		size_t len = strcspn(text, "&");
		out[n++] = (struct copse_text){text, len};
		text += len + (text[len] == '&');
	}
	return n;
}

static struct copse_address address(const char *text)
{
	struct copse_address a;

	assert_int_equal(copse_address_parse(text, COPSE_PORT_COAP, &a), 0);
	return a;
}

static enum gw_directory_result enrol(const char *from, const char *parameters, const char *links,
				      copse_ms now, uint64_t *id)
{
	struct copse_text parameter[40];
	struct copse_address a = address(from);
	const struct gw_enrolment e = {.parameter = parameter,
				       .parameter_n = split(parameters, parameter),
				       .links = links,
				       .links_len = strlen(links),
				       .from = &a};

	return gw_directory_register(dir, &e, now, id, &why);
}

static uint64_t taken(const char *from, const char *parameters, const char *links)
{
	uint64_t id = 0;

	if (enrol(from, parameters, links, 0, &id) != GW_DIRECTORY_OK)
		fail_msg("%s refused: %s", parameters, why ? why : "");
	return id;
}

static enum gw_directory_result update(uint64_t id, const char *from, const char *parameters, copse_ms now)
{
	struct copse_text parameter[40];
	struct copse_address a = address(from);
	const struct gw_enrolment e = {
	    .parameter = parameter, .parameter_n = split(parameters, parameter), .from = &a};

	return gw_directory_update(dir, id, &e, now, &why);
}

/* The answer to a lookup, as text. */
static const char *lookup_from(bool endpoints, const char *criteria, uint32_t scope)
{
	struct copse_text criterion[40];
	const struct gw_lookup lookup = {.endpoints = endpoints,
					 .criteria = criterion,
					 .criteria_n = split(criteria, criterion),
					 .scope = scope};
	size_t len;

	if (gw_directory_lookup(dir, &lookup, answer, &len, &why) != GW_DIRECTORY_OK)
		return NULL;
	assert_true(len < sizeof(answer));
	answer[len] = 0;
	return answer;
}

static const char *resources(const char *criteria)
{
	return lookup_from(false, criteria, 0);
}

static const char *endpoints(const char *criteria)
{
	return lookup_from(true, criteria, 0);
}

static unsigned links_of(const char *text)
{
	unsigned n = 0;

	assert_non_null(text);
	for (; *text; text++)
		n += *text == '<';
	return n;
}

/* §5: the example of a registration; the same again replaces it, at the same location. */
static void a_registration_is_idempotent(void **state)
{
	static const char links[] =
	    "</sensors/temp>;rt=\"temperature-c\";if=\"sensor\","
	    "<http://www.example.com/sensors/temp>;anchor=\"/sensors/temp\";rel=\"describedby\"";

	(void)state;
	start(4);
	uint64_t id = taken("[2001:db8:1::1]:61616", "ep=node1", links);
	assert_string_equal(resources(""),
			    "<coap://[2001:db8:1::1]:61616/sensors/temp>;rt=\"temperature-c\";if=\"sensor\";"
			    "anchor=\"coap://[2001:db8:1::1]:61616\","
			    "<http://www.example.com/sensors/temp>;rel=\"describedby\";"
			    "anchor=\"coap://[2001:db8:1::1]:61616/sensors/temp\"");
	assert_true(taken("[2001:db8:1::1]:61617", "ep=node1", "</a>") == id);
	assert_int_equal(gw_directory_count(dir), 1);
	assert_string_equal(resources(""),
			    "<coap://[2001:db8:1::1]:61617/a>;anchor=\"coap://[2001:db8:1::1]:61617\"");
	assert_true(taken("[2001:db8:1::1]:61617", "ep=node1&d=floor-3", "") != id);
	assert_int_equal(gw_directory_count(dir), 2);
	gw_directory_free(dir);
}

/* §6.3, the lookup of all resources of all endpoints of a type. */
static void resources_of_several_endpoints(void **state)
{
	(void)state;
	start(4);
	taken("192.0.2.1:5683", "ep=sensor1&et=tag:example.com,2020:platform&base=coap://sensor1.example.com",
	      sensors);
	taken("192.0.2.2:5683", "ep=sensor2&et=tag:example.com,2020:platform&base=coap://sensor2.example.com",
	      sensors);
	taken("192.0.2.3:5683", "ep=other", "</x>");
	const char *got = resources("et=tag:example.com,2020:platform");
	assert_int_equal(links_of(got), 10);
	assert_non_null(strstr(got, "<coap://sensor1.example.com/sensors>;ct=40;title=\"Sensor Index\";"
				    "anchor=\"coap://sensor1.example.com\","));
	assert_non_null(strstr(got, ",<http://www.example.com/sensors/t123>;rel=\"describedby\";"
				    "anchor=\"coap://sensor2.example.com/sensors/temp\","));
	assert_int_equal(links_of(resources("rt=light-lux")), 2);
	assert_int_equal(links_of(resources("rt=light-lux&ep=sensor2")), 1);
	assert_int_equal(links_of(resources("href=coap://sensor1.example.com/sensors/*")), 2);
	assert_int_equal(links_of(resources("anchor=coap://sensor2.example.com/sensors/temp")), 2);
	assert_string_equal(resources("rt=nothing"), "");
	assert_int_equal(links_of(endpoints("rt=light-lux")), 2); /* §6.2: by their links */
	assert_int_equal(links_of(endpoints("et=tag:*&rt=core.rd-ep")), 2);
	gw_directory_free(dir);
}

/* §6.4 */
static void endpoints_are_described(void **state)
{
	char expected[200], href[64];

	(void)state;
	start(4);
	uint64_t id = taken("[2001:db8:3::129]:61616",
			    "ep=node7&et=tag:example.com,2020:platform&d=floor-3&lt=6000", "");
	snprintf(expected, sizeof(expected),
		 "</rd/%llu>;ep=\"node7\";d=\"floor-3\";base=\"coap://[2001:db8:3::129]:61616\";"
		 "et=\"tag:example.com,2020:platform\";rt=\"core.rd-ep\"",
		 (unsigned long long)id);
	assert_string_equal(endpoints("d=floor-3"), expected);
	snprintf(href, sizeof(href), "href=/rd/%llu", (unsigned long long)id);
	assert_string_equal(endpoints(href), expected);
	assert_string_equal(endpoints("d=floor-4"), "");
	gw_directory_free(dir);
}

/* §6.3, the paginated lookup. */
static void lookups_come_in_pages(void **state)
{
	(void)state;
	start(4);
	taken("[2001:db8:3::123]:61616", "ep=a",
	      "</res/0>;ct=60,</res/1>;ct=60,</res/2>;ct=60,</res/3>;ct=60,</res/4>;ct=60,</res/5>;ct=60,"
	      "</res/6>;ct=60");
	assert_int_equal(links_of(resources("page=0&count=5")), 5);
	assert_string_equal(
	    resources("page=1&count=6"),
	    "<coap://[2001:db8:3::123]:61616/res/6>;ct=60;anchor=\"coap://[2001:db8:3::123]:61616\"");
	assert_int_equal(links_of(resources("count=3")), 3);
	assert_string_equal(resources("page=4294967295&count=4294967295"), "");
	for (const char *const *wrong =
		 (const char *const[]){"page=1", "count=0", "count=", "count=x", "page=-1&count=1",
				       "page=4294967296&count=1", NULL};
	     *wrong; wrong++)
		assert_null(resources(*wrong));
	gw_directory_free(dir);
}

static void what_is_malformed_changes_nothing(void **state)
{
	static const struct {
		const char *parameters, *links;
	} rows[] = {
	    {"", ""},
	    {"d=x", ""},
	    {"ep=", ""},
	    {"ep=a&ep=b", ""},
	    {"ep=a\x1f", ""},
	    {"ep=a\x7f", ""},
	    {"ep=a\xc2\x85", ""},
	    {"ep=\xff", ""},
	    {"ep=1234567890123456789012345678901234567890123456789012345678901234", ""},
	    {"ep=a&lt=0", ""},
	    {"ep=a&lt=4294967296", ""},
	    {"ep=a&lt=1x", ""},
	    {"ep=a&lt=", ""},
	    {"ep=a&base=/x", ""},
	    {"ep=a&base=coap://", ""},
	    {"ep=a&base=coap://h/path", ""},
	    {"ep=a&base=coap://[fe80::1%25eth0]", ""},
	    {"ep=a&base=coap://h>", ""},
	    {"ep=a&href=x", ""},
	    {"ep=a&rt=x", ""},
	    {"ep=a&Rt=x", ""}, /* the name of an attribute is the same in capitals */
	    {"ep=a&EP=b", ""},
	    {"ep=a&Count=1", ""},
	    {"ep=a&b\"=x", ""},
	    {"ep=a", "sensors"},
	    {"ep=a", "<sensors>"},
	    {"ep=a", "<//host/path>"},
	    {"ep=a", "</a>;anchor=\"b\""},
	    {"ep=a", "</a>,"},
	};
	uint64_t id;

	(void)state;
	start(4);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (enrol("192.0.2.1", rows[i].parameters, rows[i].links, 0, &id) != GW_DIRECTORY_MALFORMED)
			fail_msg("taken: %s %s", rows[i].parameters, rows[i].links);
		assert_non_null(why);
	}
	assert_int_equal(gw_directory_counters(dir)->refused_malformed, sizeof(rows) / sizeof(*rows));
	assert_int_equal(gw_directory_count(dir), 0);
	taken("192.0.2.1", "ep=\xc3\xa4&lt=4294967295&con=coap://h:1/", "");
	assert_non_null(strstr(endpoints(""), "base=\"coap://h:1\""));
	gw_directory_free(dir);
}

static void lifetimes_end(void **state)
{
	uint64_t id, later;

	(void)state;
	start(4);
	assert_true(gw_directory_deadline(dir) == COPSE_NEVER);
	assert_int_equal(enrol("192.0.2.1", "ep=a&lt=10", "</x>", 1000, &id), GW_DIRECTORY_OK);
	assert_int_equal(enrol("192.0.2.1", "ep=b", "</x>", 1000, &later), GW_DIRECTORY_OK);
	assert_true(gw_directory_deadline(dir) == 11000);
	assert_int_equal(gw_directory_expire(dir, 10999), 0);
	assert_int_equal(update(id, "192.0.2.1", "", 10999),
			 GW_DIRECTORY_OK); /* its own lifetime once more */
	assert_int_equal(gw_directory_expire(dir, 20998), 0);
	assert_int_equal(gw_directory_expire(dir, 20999), 1);
	assert_int_equal(update(id, "192.0.2.1", "", 21000), GW_DIRECTORY_GONE);
	assert_true(gw_directory_deadline(dir) == 1000 + 90000 * 1000ull);
	assert_true(taken("192.0.2.1", "ep=a", "") != id); /* a place is used again, a location is not */
	assert_int_equal(gw_directory_counters(dir)->expirations, 1);
	gw_directory_free(dir);
}

static void updates_change_what_they_name(void **state)
{
	(void)state;
	start(4);
	uint64_t id = taken("192.0.2.1:1000", "ep=a&x=1&y=2&flag", "</x>");
	assert_int_equal(update(id, "192.0.2.1:2000", "x=3", 0), GW_DIRECTORY_OK);
	const char *got = endpoints("");
	assert_non_null(strstr(got, ";base=\"coap://192.0.2.1:2000\";y=\"2\";flag;x=\"3\";"));
	assert_int_equal(update(id, "192.0.2.1:2000", "base=coap://h", 0), GW_DIRECTORY_OK);
	assert_int_equal(update(id, "192.0.2.1:3000", "lt=5", 0), GW_DIRECTORY_OK);
	assert_non_null(strstr(endpoints(""), ";base=\"coap://h\";")); /* one that was given stays */
	assert_int_equal(update(id, "192.0.2.1", "ep=b", 0), GW_DIRECTORY_MALFORMED);
	assert_int_equal(update(id, "192.0.2.1", "lt=0", 0), GW_DIRECTORY_MALFORMED);
	assert_int_equal(update(id + 1, "192.0.2.1", "", 0), GW_DIRECTORY_GONE);
	gw_directory_free(dir);
}

/* Of those who ask, only the registrant's address has power over a registration. */
static void strangers_change_nothing(void **state)
{
	struct copse_address stranger, owner;
	uint64_t id, other;

	(void)state;
	start(4);
	stranger = address("192.0.2.2");
	owner = address("192.0.2.1:9");
	id = taken("192.0.2.1", "ep=a", "</x>");
	assert_int_equal(enrol("192.0.2.2", "ep=a", "</y>", 0, &other), GW_DIRECTORY_FOREIGN);
	assert_int_equal(update(id, "192.0.2.2", "lt=1", 0), GW_DIRECTORY_FOREIGN);
	assert_int_equal(gw_directory_remove(dir, id, &stranger), GW_DIRECTORY_FOREIGN);
	assert_int_equal(gw_directory_counters(dir)->refused_registrant, 3);
	assert_int_equal(gw_directory_remove(dir, id, &owner), GW_DIRECTORY_OK);
	assert_int_equal(gw_directory_remove(dir, id, &owner), GW_DIRECTORY_GONE);
	assert_int_equal(gw_directory_count(dir), 0);
	gw_directory_free(dir);
}

/* One sender makes up names: the bound holds, is counted, and those who are there can still renew. */
static void a_hostile_registrant_is_bounded(void **state)
{
	char name[32];
	unsigned refused = 0;
	uint64_t id;

	(void)state;
	start(1000);
	taken("192.0.2.1", "ep=mine", "</x>");
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "ep=n%u", i);
		refused += enrol("192.0.2.66", name, "", 0, &id) == GW_DIRECTORY_FULL;
	}
	assert_int_equal(refused, 100000 - 999);
	assert_int_equal(gw_directory_counters(dir)->refused_full, refused);
	assert_int_equal(gw_directory_count(dir), 1000);
	taken("192.0.2.1", "ep=mine", "</x>");
	gw_directory_free(dir);

	start(2); /* and so does the one of bytes: 8192 of them */
	char *links = copse_mem_new(6001, 1);
	memset(links, 'a', 6000);
	for (size_t i = 0; i < 6000; i += 500)
		memcpy(links + i, i ? ">,</" : "</", i ? 4 : 2);
	links[5999] = '>';
	taken("192.0.2.1", "ep=a", links);
	assert_int_equal(enrol("192.0.2.1", "ep=b", links, 0, &id), GW_DIRECTORY_FULL);
	taken("192.0.2.1", "ep=a", links); /* in place of its own */
	copse_mem_free(links);
	gw_directory_free(dir);
}

static void link_local_stays_on_its_link(void **state)
{
	struct copse_address a = address("[fe80::1]:5683");
	const struct copse_text parameter[] = {{"ep=near", 7}};
	const struct gw_enrolment e = {
	    .parameter = parameter, .parameter_n = 1, .links = "</x>", .links_len = 4, .from = &a};
	uint64_t id;

	(void)state;
	start(4);
	a.in6.sin6_scope_id = 7;
	assert_int_equal(gw_directory_register(dir, &e, 0, &id, &why), GW_DIRECTORY_OK);
	assert_string_equal(resources(""), "");
	assert_string_equal(lookup_from(true, "", 8), "");
	assert_string_equal(lookup_from(false, "", 7), "<coap://[fe80::1]/x>;anchor=\"coap://[fe80::1]\"");
	gw_directory_free(dir);
}

static bool resolves(const struct gw_config *c, const char *name, uint16_t port, const char *expected)
{
	struct gw_target target;
	char text[COPSE_ADDRESS_TEXT];

	if (gw_resolve_registered(c, dir, name, strlen(name), port, 5683, false, &target) != GW_RESOLVED)
		return false;
	assert_string_equal(copse_address_text(&target.address, text, sizeof(text)), expected);
	return true;
}

/* An endpoint is found by its name; nobody takes a configured name, or leads the gateway to somebody else's address. */
static void endpoints_become_devices(void **state)
{
	(void)state;
	start(16);
	struct gw_config *c = read_config("mesh {\n prefix = \"fd00::/64\"\n}\n"
					  "proxy {\n outside = {\"198.51.100.0/24\"}\n}\n"
					  "device \"lamp\" {\n address = \"127.0.0.9\"\n}\n");
	assert_non_null(c);
	taken("192.0.2.1:7000", "ep=Heater", "");
	assert_true(resolves(c, "heater", 5683, "192.0.2.1:7000"));
	assert_true(resolves(c, "HEATER", 7000, "192.0.2.1:7000"));
	assert_false(resolves(c, "heater", 7001, ""));
	taken("192.0.2.1", "ep=fan&d=cellar", "");
	assert_false(resolves(c, "fan", 5683, ""));
	assert_true(resolves(c, "fan.cellar", 5683, "192.0.2.1:5683"));
	taken("192.0.2.1", "ep=lamp", "");
	assert_false(resolves(c, "lamp", 5683, ""));
	taken("192.0.2.1", "ep=001350030a1b2c3d", ""); /* a MAC ID: its address follows from the prefix */
	assert_false(resolves(c, "001350030a1b2c3d", 5683, ""));
	taken("192.0.2.1", "ep=stray&base=coap://127.0.0.1", "");
	assert_false(resolves(c, "stray", 5683, ""));
	taken("192.0.2.1", "ep=group&base=coap://[ff02::fd]", "");
	assert_false(resolves(c, "group", 5683, ""));
	taken("192.0.2.1", "ep=named&base=coap://host.example", "");
	assert_false(resolves(c, "named", 5683, ""));
	taken("192.0.2.1", "ep=web&base=http://192.0.2.1", "");
	assert_false(resolves(c, "web", 5683, ""));
	taken("192.0.2.1", "ep=third&base=coap://198.51.100.7:99", ""); /* by a commissioning tool */
	assert_true(resolves(c, "third", 5683, "198.51.100.7:99"));
	taken("192.0.2.9", "ep=HEATER", ""); /* the same name: the earlier has it */
	assert_true(resolves(c, "heater", 5683, "192.0.2.1:7000"));
	gw_config_free(c);
	gw_directory_free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_registration_is_idempotent),
	    cmocka_unit_test(resources_of_several_endpoints),
	    cmocka_unit_test(endpoints_are_described),
	    cmocka_unit_test(lookups_come_in_pages),
	    cmocka_unit_test(what_is_malformed_changes_nothing),
	    cmocka_unit_test(lifetimes_end),
	    cmocka_unit_test(updates_change_what_they_name),
	    cmocka_unit_test(strangers_change_nothing),
	    cmocka_unit_test(a_hostile_registrant_is_bounded),
	    cmocka_unit_test(link_local_stays_on_its_link),
	    cmocka_unit_test(endpoints_become_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
