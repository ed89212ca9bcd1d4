/* A client that may do little, as an enemy: whose token allows GET of /x of the device d1 alone, or denies all of d2.
 * Whatever it tries, it neither learns of the device d2, nor changes it, nor does more to d1 than it may. In the whole
 * gateway.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/collector.h"
#include "gateway/directory_serve.h"
#include "gateway/worker_state.h"
#include "world.h"

/* What must never come to the client. */
#define HIDDEN "7359.25"

#define ALLOWS "{\"sub\":\"mallory\",\"copse_allow\":[\"get d1 /x\"]}"
#define DENIES                                                                                               \
	"{\"sub\":\"mallory\",\"copse_deny\":[\"* d2\",\"* ward:7\",\"* d1 "                                 \
	"/secret/deep\",\"post,put,delete,fetch,patch,"                                                      \
	"ipatch\"]}"
#define ALL "{\"sub\":\"mallory\"}"

#define G COPSE_CODE_GET
#define P COPSE_CODE_PUT

static const char configuration[] = "name = \"gw\"\n"
				    "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"
				    "mesh {\n prefix = \"fd00::/64\"\n security = none\n}\n"
				    "proxy {\n outside = {\"127.0.0.0/8\", \"fd00::/64\"}\n}\n"
				    "class \"default\" {\n concurrent = 16\n}\n"
				    "collector {\n store = \":memory:\"\n}\n"
				    "directory {\n registrations = 8\n}\n"
				    "device \"d1\" {\n address = \"127.0.0.3\"\n}\n"
				    "device \"d2\" {\n address = \"127.0.0.4\"\n secure_port = 4850\n}\n"
				    "device \"drowsy\" {\n address = \"127.0.0.77\"\n sleeping = true\n}\n";

static uint16_t next_id = 1;

static void open_with(unsigned number, const char *claims)
{
	post_session(number, claims, "security=none");
	assert_int_equal(last(number)->code, COPSE_CODE_CREATED);
	forget_seen();
}

/* BOB publishes as a device. */
static void publish(const char *senml)
{
	uint64_t before = gw_collector_counters(worker->collector)->readings;

	begin(COPSE_NON, COPSE_CODE_POST, next_id++, "p");
	add(COPSE_OPTION_URI_PATH, "publish");
	copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_SENML_JSON);
	copse_build_payload(&request, senml, strlen(senml));
	send_it(BOB);
	while (gw_collector_counters(worker->collector)->readings == before) {
		sched_yield();
		gw_worker_woken(worker, sim.now);
	}
}

static int set_up(void **state)
{
	(void)state;
	start_world(configuration, (struct sim_link){.delay_ms = 10});
	device[DEVICE2].text = HIDDEN;
	device[DEVICE1].max_age = device[DEVICE2].max_age = 600;
	open_with(BOB, "{\"sub\":\"bob\"}");
	publish("[{\"n\":\"device:d2:temp\",\"v\":" HIDDEN "}]");
	publish("[{\"n\":\"D2/temp\",\"v\":" HIDDEN "}]");
	publish("[{\"n\":\"Ward:7/temp\",\"v\":" HIDDEN "}]");
	return 0;
}

/* One thing that is tried: by URI or by options. */
struct attempt {
	uint8_t method;
	const char *uri;        /* Proxy-Uri; else Proxy-Scheme and what follows; "-": the gateway's own */
	const char *host;       /* Uri-Host */
	const char *segment[4]; /* Uri-Path */
	const char *query;
};

static uint8_t try(const struct attempt *a)
{
	client[ALICE].n = 0;
	begin(COPSE_CON, a->method, next_id++, "t");
	if (a->host)
		add(COPSE_OPTION_URI_HOST, a->host);
	for (unsigned i = 0; i < 4 && a->segment[i]; i++)
		add(COPSE_OPTION_URI_PATH, a->segment[i]);
	if (a->query)
		add(COPSE_OPTION_URI_QUERY, a->query);
	if (a->uri && a->uri[0] != '-')
		add(COPSE_OPTION_PROXY_URI, a->uri);
	else if (!a->uri)
		add(COPSE_OPTION_PROXY_SCHEME, "coap");
	if (a->method == P)
		copse_build_payload(&request, "{\"label\":\"mine\"}", 16);
	send_it(ALICE);
	run_for(200);
	for (unsigned i = 0; i < 20 && client[ALICE].n == 0; i++)
		let_store_pass();
	acknowledge(ALICE);
	return client[ALICE].n ? last(ALICE)->code : 0;
}

static bool was_told(const char *text)
{
	for (unsigned i = 0; i < client[ALICE].n; i++)
		if (strstr(client[ALICE].seen[i].payload, text))
			return true;
	return false;
}

/* What neither of the two tokens allows. */
static const struct attempt forbidden[] = {
    {G, "coap://d2/x", 0, {0}, 0},
    {G, "coap://D2/x", 0, {0}, 0},
    {G, "coap://%642/x", 0, {0}, 0},
    {G, "coap://%44%32:5683/x", 0, {0}, 0},
    {G, "COAP://d2/x", 0, {0}, 0},
    {G, "coap://d2", 0, {0}, 0},
    {G, "coap://d2:5683", 0, {0}, 0},
    {G, "coap://d2:4850/x", 0, {0}, 0},
    {G, "coap://d2/x?a=b", 0, {0}, 0},
    {G, "coap://d2//x", 0, {0}, 0},
    {G, "coap://d2/%78", 0, {0}, 0},
    {COPSE_CODE_FETCH, "coap://d2/x", 0, {0}, 0},
    {COPSE_CODE_POST, "coap://d2/x", 0, {0}, 0},
    {P, "coap://d2/x", 0, {0}, 0},
    {COPSE_CODE_DELETE, "coap://d2/x", 0, {0}, 0},
    {COPSE_CODE_PATCH, "coap://d2/x", 0, {0}, 0},
    {COPSE_CODE_IPATCH, "coap://d2/x", 0, {0}, 0},
    {G, 0, "d2", {"x"}, 0},
    {G, 0, "D2", {"x"}, 0},
    {G, 0, "d2", {0}, 0},
    /* Proxy-Uri takes precedence over what stands beside it */
    {G, "coap://d2/x", "d1", {"x"}, 0},
    {G, "coap://d2", "d1", {"x"}, 0},
    /* the device by its address, which URIs may name here */
    {G, "coap://127.0.0.4/x", 0, {0}, 0},
    {G, "coap://127.0.0.4:5683/x", 0, {0}, 0},
    {G, "coap://127.0.0.4:4850/x", 0, {0}, 0},
    {G, "coap://[::ffff:127.0.0.4]/x", 0, {0}, 0},
    {G, "coap://[::ffff:7f00:4]/x", 0, {0}, 0},
    {G, 0, "127.0.0.4", {"x"}, 0},
    {P, "coap://127.0.0.4/x", 0, {0}, 0},
    /* d1, but what is not allowed of it */
    {P, "coap://d1/x", 0, {0}, 0},
    {COPSE_CODE_FETCH, "coap://d1/x", 0, {0}, 0},
    {COPSE_CODE_POST, "coap://d1/x", 0, {0}, 0},
    {COPSE_CODE_DELETE, "coap://d1/x/", 0, {0}, 0},
    {G, "coap://d1/secret/deep", 0, {0}, 0},
    {G, "coap://d1/secret//deep/er", 0, {0}, 0},
    {G, "coap://d1//secret/deep", 0, {0}, 0},
    {G, "coap://d1/%73ecret/deep", 0, {0}, 0},
    {G, "coap://d1/secret%2fdeep", 0, {0}, 0},
    {G, "coap://d1/secret%2Fdeep/er", 0, {0}, 0},
    {G, "coap://d1/%2fsecret/deep", 0, {0}, 0},
    {G, 0, "d1", {"secret/deep"}, 0},
    {G, 0, "d1", {"/secret", "deep"}, 0},
    {G, 0, "d1", {"secret/", "deep"}, 0},
    {G, 0, "d1", {"", "secret", "", "deep"}, 0},
    {G, "coap://d1/x/../secret/deep", 0, {0}, 0},
    {G, "coap://d1/x/%2e%2e/secret/deep", 0, {0}, 0},
    {G, "coap://d1/x/..%2fsecret%2fdeep", 0, {0}, 0},
    {G, "coap://d1/x/.%2F..%2Fsecret", 0, {0}, 0},
    {G, 0, "d1", {"x", "../secret"}, 0},
    {G, 0, "d1", {"x", "a/../../secret"}, 0},
    {G, 0, "d1", {"x", "a/.."}, 0},
    {G, "coap://127.0.0.3/secret/deep", 0, {0}, 0},
    {G, "coap://[::ffff:127.0.0.3]/secret/deep", 0, {0}, 0},
    /* the gateway's own: readings, histories and descriptions of d2, however it is written */
    {G, "-", 0, {"devices", "d2"}, 0},
    {G, "-", 0, {"devices", "D2"}, 0},
    {G, "-", 0, {"devices", "D2", "temp"}, 0},
    {G, "-", 0, {"devices", "device:d2"}, 0},
    {G, "-", 0, {"devices", "device:d2", "temp"}, 0},
    {G, "-", 0, {"devices", "device:D2", "temp"}, 0},
    {G, "-", 0, {"devices", "device:d2", "temp"}, "last=5"},
    {G, "-", 0, {"devices", "D2", "temp"}, "last=5"},
    {G, "-", 0, {"devices", "Ward:7", "temp"}, 0},
    {G, "-", 0, {"devices", "device:d2", "meta"}, 0},
    {G, "-", 0, {"devices", "D2", "meta"}, 0},
    {P, "-", 0, {"devices", "device:d2", "meta"}, 0},
    {P, "-", 0, {"devices", "D2", "meta"}, 0},
    {P, "-", 0, {"devices", "d1", "meta"}, 0},
    {G, "coap://gw/devices/D2/temp", 0, {0}, 0},
    {G, 0, 0, {"devices", "D2", "temp"}, 0},
};

static void try_all(const char *claims)
{
	unsigned failures = 0;

	for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++) {
		const struct attempt *a = &forbidden[i];
		unsigned runs[] = {device[DEVICE1].runs, device[DEVICE2].runs};
		open_with(ALICE, claims);
		const uint8_t code = try(a);
		bool bad = copse_code_is_success(code) || code == 0 || was_told(HIDDEN) ||
			   runs[0] != device[DEVICE1].runs || runs[1] != device[DEVICE2].runs;
		if (bad)
			print_error("attempt %zu: %s %s/%s/%s: %u.%02u \"%s\"\n", i, a->uri ? a->uri : "",
				    a->host ? a->host : "", a->segment[0] ? a->segment[0] : "",
				    a->segment[1] ? a->segment[1] : "", code >> 5, code & 31,
				    client[ALICE].n ? last(ALICE)->payload : "");
		failures += bad;
	}
	assert_int_equal(failures, 0);
}

static void adopt(const char *more)
{
	char text[2000];

	snprintf(text, sizeof(text), "%s%s", configuration, more);
	struct gw_config *next = read_config(text);
	gw_worker_adopt(worker, next, sim.now);
	gw_config_free(config);
	config = next;
}

static void test_forbidden(void **state)
{
	(void)state;
	try_all(ALLOWS);
	try_all(DENIES);
	adopt("access \"these\" {\n action = deny\n account = {\"mal*\"}\n request = {\"* d2\", \"* "
	      "ward:7\", \"* d1 "
	      "/secret/deep\", \"post,put,delete,fetch,patch,ipatch\"}\n}\n");
	try_all(ALL);
}

/* With what others have been told in the cache, and with one's own questions of before, when more was allowed. */
static void test_cached(void **state)
{
	(void)state;
	open_with(ALICE, ALL);
	for (unsigned turn = 0; turn < 3; turn++)
		for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++)
			if (forbidden[i].method == G)
				try(&forbidden[i]);
	try_all(ALLOWS);
	try_all(DENIES);
}

/* An endpoint registers in the directory from this address. */
static void enroll(const char *name, const char *from)
{
	struct copse_text parameter[2];
	struct copse_address address;
	struct gw_enrolment e = {.parameter = parameter,
				 .parameter_n = 1,
				 .links = "</x>;rt=d2",
				 .links_len = 10,
				 .from = &address};
	const char *why;
	char text[64];
	uint64_t id;

	snprintf(text, sizeof(text), "ep=%s", name);
	parameter[0] = (struct copse_text){text, strcspn(text, "&")};
	if (text[parameter[0].len]) {
		parameter[1] = (struct copse_text){strchr(text, '&') + 1, strlen(strchr(text, '&')) - 1};
		e.parameter_n = 2;
	}
	assert_int_equal(copse_address_parse(from, 5683, &address), 0);
	assert_int_equal(gw_directory_register(gw_rd_directory(worker->rd), &e, sim.now, &id, &why),
			 GW_DIRECTORY_OK);
}

/* Neither list has a name that the token has nothing to do with, whatever is asked. */
static void test_lists(void **state)
{
	static const struct attempt lists[] = {
	    {G, "-", 0, {"devices"}, 0},
	    {G, "-", 0, {"devices"}, "state=live"},
	    {G, "-", 0, {"devices"}, "type="},
	    {G, "-", 0, {"rd-lookup", "ep"}, 0},
	    {G, "-", 0, {"rd-lookup", "res"}, 0},
	    {G, "-", 0, {"rd-lookup", "ep"}, "ep=hid*"},
	    {G, "-", 0, {"rd-lookup", "res"}, "ep=hidden"},
	    {G, "-", 0, {"rd-lookup", "res"}, "href=coap://127.0.0.4*"},
	    {G, "-", 0, {"rd-lookup", "ep"}, "ep=d1x"},
	    {G, "-", 0, {"rd-lookup", "res"}, "rt=d2"},
	    {G, "-", 0, {"mailbox"}, 0},
	    {G, "-", 0, {"metrics"}, 0},
	    {G, "-", 0, {"sessions"}, 0},
	    {G, "-", 0, {".well-known", "core"}, 0},
	};
	static const char *const names[] = {"d2", "D2", "hidden", "127.0.0.4", "192.0.2.9", "drowsy"};

	(void)state;
	enroll("hidden", "192.0.2.9");
	enroll("d1x", "127.0.0.4"); /* d2 by another name, which tells nothing */
	open_with(BOB, ALL); /* another session of the account has a request in the mailbox */
	ask(BOB, COPSE_CON, P, next_id++, "m", "coap://drowsy/x");
	run_for(100);
	open_with(ALICE, ALLOWS);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		try(&lists[i]);
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
			if (was_told(names[k]))
				print_error("list %zu: %s\n", i, last(ALICE)->payload);
			assert_false(was_told(names[k]));
		}
	}
	/* nor is it there to be looked at or withdrawn */
	assert_int_equal(try(&(struct attempt){G, "-", 0, {"mailbox", "1"}, 0}), COPSE_CODE_NOT_FOUND);
	assert_int_equal(try(&(struct attempt){COPSE_CODE_DELETE, "-", 0, {"mailbox", "1"}, 0}),
			 COPSE_CODE_NOT_FOUND);
	/* who may ask sees all of it */
	open_with(ALICE, ALL);
	assert_int_equal(try(&lists[3]), COPSE_CODE_CONTENT);
	assert_true(was_told("hidden"));
	try(&lists[10]);
	assert_true(was_told("drowsy"));
}

/* Of the directory's names: one that leads to a device of the configuration is that device. */
static void test_registered(void **state)
{
	static const struct attempt attempts[] = {
	    {G, "coap://other/x", 0, {0}, 0},
	    {G, "coap://OTHER:5683/x", 0, {0}, 0},
	    {G, "coap://secure/x", 0, {0}, 0},
	};

	(void)state;
	enroll("other", "127.0.0.4");
	enroll("secure", "127.0.0.4:4850");
	open_with(ALICE, DENIES);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++)
		assert_int_equal(try(&attempts[i]), COPSE_CODE_FORBIDDEN);
	try(&(struct attempt){G, "-", 0, {"devices"}, 0});
	assert_false(was_told("other"));
	assert_int_equal(device[DEVICE2].runs, 0);
	open_with(ALICE, ALL);
	assert_int_equal(try(&attempts[0]), COPSE_CODE_CONTENT);
	assert_int_equal(device[DEVICE2].runs, 1);
}

static void observe(const char *uri, const char *const segment[4])
{
	begin(COPSE_CON, G, next_id++, "o");
	for (unsigned i = 0; i < 4 && segment[i]; i++)
		add(COPSE_OPTION_URI_PATH, segment[i]);
	copse_build_uint(&request, COPSE_OPTION_OBSERVE, 0);
	if (uri)
		add(COPSE_OPTION_PROXY_URI, uri);
	send_it(ALICE);
	run_for(200);
	acknowledge(ALICE);
	assert_true(last(ALICE)->observe >= 0);
	client[ALICE].n = 0;
}

/* Something happens at the device, and nobody may tell ALICE but that it is over. */
static void is_over(uint8_t code)
{
	device_notify(DEVICE2, COPSE_CON, COPSE_CODE_CONTENT, device[DEVICE2].observe + 8, HIDDEN);
	run_for(500);
	acknowledge(ALICE);
	assert_false(was_told(HIDDEN));
	assert_int_equal(client[ALICE].n > 0 ? last(ALICE)->code : 0, code);
	client[ALICE].n = 0;
	device_notify(DEVICE2, COPSE_CON, COPSE_CODE_CONTENT, device[DEVICE2].observe + 9, HIDDEN);
	run_for(500);
	assert_int_equal(client[ALICE].n, 0);
}

/* An observation that began when it was allowed ends when it is not any more: by another token, a configuration that is read
 * again, or the end of the token. */
static void test_observed(void **state)
{
	(void)state;
	device[DEVICE2].observe = 5;
	open_with(ALICE, ALL);
	observe("coap://d2/x", (const char *const[4]){0});
	device_notify(DEVICE2, COPSE_CON, COPSE_CODE_CONTENT, 6, HIDDEN);
	run_for(500);
	acknowledge(ALICE);
	assert_true(was_told(HIDDEN));
	open_with(ALICE, "{\"sub\":\"mallory\",\"copse_allow\":[\"get d2\"]}"); /* still allowed, by a rule */
	device_notify(DEVICE2, COPSE_CON, COPSE_CODE_CONTENT, 7, HIDDEN);
	run_for(500);
	acknowledge(ALICE);
	assert_true(was_told(HIDDEN));
	open_with(ALICE, ALLOWS);
	is_over(COPSE_CODE_FORBIDDEN);
	open_with(ALICE, ALL);
	device[DEVICE2].observe = 20;
	observe("coap://d2/x", (const char *const[4]){0});
	adopt("access \"now\" {\n action = deny\n account = {\"mallory\"}\n request = {\"get d2 /x\"}\n}\n");
	is_over(COPSE_CODE_FORBIDDEN);
	adopt("");
	device[DEVICE2].observe = 40;
	open_with(ALICE, "{\"sub\":\"mallory\",\"exp\":1700000040}");
	observe("coap://d2/x", (const char *const[4]){0});
	run_for(90000); /* the skew of 30 seconds is over, too */
	client[ALICE].n = 0;
	is_over(COPSE_CODE_UNAUTHORIZED);
}

/* The same of what the gateway itself can be observed for. */
static void test_observed_here(void **state)
{
	static const char *const path[][4] = {
	    {"devices", "device:d2", "temp"}, {"devices"}, {"rd-lookup", "ep"}, {"rd-lookup", "res"}};

	(void)state;
	for (size_t i = 0; i < sizeof(path) / sizeof(*path); i++) {
		enroll("newer", "192.0.2.10");
		enroll("brief&lt=60", "192.0.2.11"); /* lookups change when it ends */
		open_with(ALICE, ALL);
		observe(NULL, path[i]);
		open_with(ALICE, ALLOWS);
		publish("[{\"n\":\"device:d2:temp\",\"v\":" HIDDEN
			"},{\"n\":\"device:newer:temp\",\"v\":1}]");
		run_for(100000);
		acknowledge(ALICE);
		assert_false(was_told(HIDDEN));
		assert_false(was_told("new"));
		if (client[ALICE].n)
			assert_int_equal(last(ALICE)->code, COPSE_CODE_UNAUTHORIZED);
		client[ALICE].n = 0;
	}
}

/* A history that began when it was allowed does not go on when it is not any more, though its next block has been read. */
static void test_history(void **state)
{
	static char senml[4000];
	int n = snprintf(senml, sizeof(senml), "[");

	(void)state;
	for (int i = 0; i < 3; i++)
		n += snprintf(senml + n, sizeof(senml) - (size_t)n,
			      "%s{\"n\":\"device:d2:log\",\"t\":%d,\"vs\":\"%0600d" HIDDEN "\"}",
			      i ? "," : "", WALL + i, i);
	snprintf(senml + n, sizeof(senml) - (size_t)n, "]");
	publish(senml);
	for (int allowed = 1; allowed >= 0; allowed--) {
		for (unsigned block = 0; block < 2; block++) {
			if (block == 0 || !allowed)
				open_with(ALICE, block == 0 ? ALL : ALLOWS);
			client[ALICE].n = 0;
			begin(COPSE_CON, G, next_id++, "h");
			add(COPSE_OPTION_URI_PATH, "devices");
			add(COPSE_OPTION_URI_PATH, "device:d2");
			add(COPSE_OPTION_URI_PATH, "log");
			add(COPSE_OPTION_URI_QUERY, "last=9");
			copse_build_uint(&request, COPSE_OPTION_BLOCK2, block << 4 | 6);
			send_it(ALICE);
			for (unsigned i = 0; i < 20 && client[ALICE].n == 0; i++)
				let_store_pass();
			run_for(100);
			acknowledge(ALICE);
			assert_int_equal(last(ALICE)->code,
					 allowed || block == 0 ? COPSE_CODE_CONTENT : COPSE_CODE_NOT_FOUND);
		}
	}
}

/* Who may not ask a device does not learn whether there is one: what is refused sounds the same. */
static void test_existence(void **state)
{
	static const struct attempt rows[] = {
	    {G, "coap://d2/x", 0, {0}, 0},
	    {G, "coap://d2:99/x", 0, {0}, 0},
	    {G, "coap://nobody/x", 0, {0}, 0},
	    {G, "coap://nobody:4850/x", 0, {0}, 0},
	    {G, "coap://barred/x", 0, {0}, 0},
	    {G, "coap://lights/x", 0, {0}, 0},
	    {G, "coap://afar/x", 0, {0}, 0},
	    {G, "coap://192.0.2.1/x", 0, {0}, 0},
	    {G, "coap://127.0.0.4/x", 0, {0}, 0},
	    {G, 0, "no name", {"x"}, 0},
	    {G, "coap://0013500000000001/x", 0, {0}, 0},
	};

	(void)state;
	adopt("device \"barred\" {\n address = \"127.0.0.5\"\n deny = true\n}\n"
	      "device \"afar\" {\n address = \"fd11::1\"\n}\n"
	      "group \"lights\" {\n address = \"224.0.1.200\"\n}\n");
	open_with(ALICE, ALLOWS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(try(&rows[i]), COPSE_CODE_FORBIDDEN);
		assert_string_equal(last(ALICE)->payload, "the session's token does not allow this request");
	}
	open_with(ALICE, ALL);
	assert_int_equal(try(&rows[2]), COPSE_CODE_NOT_FOUND);
	for (unsigned i = 0; i < 2; i++) { /* of d1, as little */
		open_with(ALICE, ALLOWS);
		assert_int_equal(try(&(struct attempt){G, i ? "coap://d1/y" : "coap://d1:99/y", 0, {0}, 0}),
				 COPSE_CODE_FORBIDDEN);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, end_test)
	const struct CMUnitTest tests[] = {
	    TEST(test_forbidden),
	    TEST(test_cached),
	    TEST(test_lists),
	    TEST(test_registered),
	    TEST(test_observed),
	    TEST(test_observed_here),
	    TEST(test_history),
	    TEST(test_existence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
