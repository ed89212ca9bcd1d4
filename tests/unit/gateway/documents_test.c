/* Documents below /store: who may read and store which, by themselves and in the whole gateway.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/collector.h"
#include "gateway/documents.h"
#include "gateway/worker_state.h"
#include "world.h"

/* --- by themselves --- */

static struct gw_grant grant;

static void take_rule(const char *text, bool deny)
{
	assert_null(gw_rule_parse(text, strlen(text), &grant.rule[grant.allow_n + grant.deny_n]));
	if (deny)
		grant.deny_n++;
	else
		grant.allow_n++;
}

static bool may(const struct gw_config *c, const char *account, const struct gw_grant *g, uint8_t method,
		const char *path)
{
	const struct gw_document_question q = {c, account, g, method};
	size_t bytes = gw_documents_bytes(&q);

	if (bytes == 0)
		return true;
	struct gw_documents *d = malloc(bytes);
	assert_non_null(d);
	memset(d, 0xa5, bytes);
	gw_documents_take(d, &q);
	bool allowed = gw_documents_allow(d, path);
	free(d);
	return allowed;
}

#define KEY "key \"k\" {\n algorithm = HS256\n secret = \"" SECRET "\"\n}\n"

static void test_sections(void **state)
{
	(void)state;
	struct gw_config *c = read_config(
	    KEY "access \"1\" {\n action = allow\n account = {\"admin\"}\n request = {\"* @store\"}\n}\n"
		"access \"2\" {\n action = deny\n request = {\"put,post @store /plans\"}\n}\n"
		"access \"3\" {\n action = deny\n account = {\"\"}\n request = {\"put,post @store\"}\n}\n"
		"access \"4\" {\n action = deny\n account = {\"guest*\"}\n}\n"
		"access \"5\" {\n action = deny\n account = {\"late\"}\n request = {\"* * /\"}\n}\n");
	assert_true(may(c, "admin", NULL, COPSE_CODE_PUT, "/plans/a"));
	assert_false(may(c, "one", NULL, COPSE_CODE_PUT, "/plans/a"));
	assert_false(may(c, "one", NULL, COPSE_CODE_POST, "/plans"));
	assert_false(may(c, "one", NULL, COPSE_CODE_PUT, "//plans//a")); /* empty segments hide nothing */
	assert_true(may(c, "one", NULL, COPSE_CODE_PUT, "/plansb"));     /* whole segments */
	assert_true(may(c, "one", NULL, COPSE_CODE_GET, "/plans/a"));
	assert_false(may(c, "", NULL, COPSE_CODE_PUT, "/x"));
	assert_true(may(c, "one", NULL, COPSE_CODE_PUT, "/x"));
	assert_true(may(c, "", NULL, COPSE_CODE_GET, "/x"));
	assert_false(may(c, "guest7", NULL, COPSE_CODE_GET, "/x")); /* a section about everything */
	assert_true(may(c, "late", NULL, COPSE_CODE_GET, "/x"));    /* devices, and no documents */
	gw_config_free(c);
}

static void test_tokens(void **state)
{
	(void)state;
	struct gw_config *c =
	    read_config(KEY "access \"1\" {\n action = deny\n request = {\"get @store /secret\"}\n}\n");
	memset(&grant, 0, sizeof(grant));
	take_rule("get @store /plans", false);
	take_rule("* @store /secret", false);
	take_rule("* * /", false);
	grant.limited = true;
	take_rule("get @store /plans/old", true);
	assert_true(may(c, "a", &grant, COPSE_CODE_GET, "/plans/new"));
	assert_false(may(c, "a", &grant, COPSE_CODE_GET, "/plans/old/1")); /* what denies goes first */
	assert_false(may(c, "a", &grant, COPSE_CODE_PUT, "/plans/new"));
	assert_false(may(c, "a", &grant, COPSE_CODE_GET, "/other")); /* all devices, but no document */
	assert_true(may(c, "a", &grant, COPSE_CODE_PUT, "/secret"));
	assert_false(may(c, "a", &grant, COPSE_CODE_GET, "/secret")); /* both must allow */
	memset(&grant, 0, sizeof(grant));
	grant.limited = true; /* an empty list allows nothing */
	assert_false(may(c, "a", &grant, COPSE_CODE_GET, "/other"));
	assert_true(may(c, "a", NULL, COPSE_CODE_GET, "/other"));
	gw_config_free(c);
}

/* Without rules nothing is copied; rules of another method count for nothing. */
static void test_bytes(void **state)
{
	(void)state;
	struct gw_config
	    *c = read_config(KEY),
	    *ruled = read_config(
		KEY "access \"1\" {\n action = deny\n request = {\"get d1 /\", \"put @store\"}\n}\n");
	struct gw_document_question q = {c, "a", NULL, COPSE_CODE_GET};
	assert_int_equal(gw_documents_bytes(&q), 0);
	assert_false(c->access_to_devices);
	q.config = ruled;
	assert_true(ruled->access_to_devices);
	assert_int_equal(gw_documents_bytes(&q), 0);
	q.method = COPSE_CODE_PUT;
	assert_int_equal(gw_documents_bytes(&q),
			 sizeof(struct gw_documents) + sizeof(struct gw_document_rule));
	gw_config_free(c);
	gw_config_free(ruled);
}

/* --- in the whole gateway --- */

static uint16_t next_id = 1;

static void start(const char *more)
{
	char text[2000];

	snprintf(
	    text, sizeof(text),
	    "name = \"gw\"\n" KEY "mesh {\n security = none\n}\n"
	    "device \"d1\" {\n address = \"127.0.0.3\"\n}\ndevice \"d2\" {\n address = \"127.0.0.4\"\n}\n%s",
	    more);
	start_world(text, (struct sim_link){.delay_ms = 10});
}

/* The answer to a request for a path of the gateway's own. The store has a thread of its own, which real time must pass
 * for. */
static const struct seen *local(unsigned number, uint8_t method, const char *path, const char *payload)
{
	client[number].n = 0;
	begin(COPSE_CON, method, next_id++, "t");
	for (const char *at = path + 1; at;) {
		size_t len = strcspn(at, "/");
		copse_build_option(&request, COPSE_OPTION_URI_PATH, at, len);
		at = at[len] ? at + len + 1 : NULL;
	}
	if (payload)
		copse_build_payload(&request, payload, strlen(payload));
	send_it(number);
	run_for(20);
	while (client[number].n == 0 || last(number)->code == 0)
		let_store_pass();
	acknowledge(number);
	return last(number);
}

static uint8_t put(unsigned number, const char *path)
{
	return local(number, COPSE_CODE_PUT, path, "text")->code;
}

static uint8_t get_it(unsigned number, const char *path)
{
	return local(number, COPSE_CODE_GET, path, NULL)->code;
}

static void token_session(unsigned number, const char *json)
{
	post_session(number, json, NULL);
	run_for(100);
	assert_int_equal(last(number)->code, COPSE_CODE_CREATED);
	forget_seen();
}

/* Nobody is kept out, but strangers from reading, where nothing says so. */
static void test_without_rules(void **state)
{
	(void)state;
	start("collector {\n store = \":memory:\"\n}\n");
	assert_int_equal(put(BOB, "/store/a"), COPSE_CODE_CHANGED);
	assert_int_equal(get_it(BOB, "/store/a"), COPSE_CODE_UNAUTHORIZED);
	open_session(ALICE, "alice");
	assert_int_equal(get_it(ALICE, "/store/a"), COPSE_CODE_CONTENT);
	assert_string_equal(last(ALICE)->payload, "text");
	assert_int_equal(get_it(ALICE, "/store"), COPSE_CODE_CONTENT);
	assert_string_equal(last(ALICE)->payload, "</store/a>;sz=4");
	assert_int_equal(gw_collector_counters(worker->collector)->refused_document, 0);
	end_test(NULL);
}

static void test_with_rules(void **state)
{
	(void)state;
	start("collector {\n store = \":memory:\"\n}\n"
	      "access \"1\" {\n action = allow\n account = {\"alice\"}\n request = {\"* @store\"}\n}\n"
	      "access \"2\" {\n action = deny\n request = {\"put,post @store /plans\", \"get @store "
	      "/secret\"}\n}\n"
	      "access \"3\" {\n action = deny\n account = {\"\"}\n request = {\"put,post @store\"}\n}\n");
	open_session(ALICE, "alice");
	assert_int_equal(put(ALICE, "/store/plans/a"), COPSE_CODE_CHANGED);
	assert_int_equal(put(ALICE, "/store/secret"), COPSE_CODE_CHANGED);
	assert_int_equal(put(BOB, "/store/x"), COPSE_CODE_UNAUTHORIZED); /* with a session he might */
	open_session(BOB, "bob");
	assert_int_equal(put(BOB, "/store/x"), COPSE_CODE_CHANGED);
	assert_int_equal(put(BOB, "/store/plans/a"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(local(BOB, COPSE_CODE_POST, "/store/plans/b", "text")->code, COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(BOB, "/store/plans/a"), COPSE_CODE_CONTENT);
	assert_int_equal(get_it(BOB, "/store/secret"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(BOB, "/store/secret/of/nobody"),
			 COPSE_CODE_FORBIDDEN); /* says not what there is */
	assert_int_equal(get_it(BOB, "/store"), COPSE_CODE_CONTENT);
	assert_string_equal(last(BOB)->payload, "</store/plans/a>;sz=4,</store/x>;sz=4");
	assert_int_equal(get_it(ALICE, "/store"), COPSE_CODE_CONTENT);
	assert_string_equal(last(ALICE)->payload,
			    "</store/plans/a>;sz=4,</store/secret>;sz=4,</store/x>;sz=4");
	assert_int_equal(gw_collector_counters(worker->collector)->refused_document, 5);
	end_test(NULL);
}

/* A token's own rules, for reading, storing and the list. */
static void test_with_grants(void **state)
{
	(void)state;
	start("collector {\n store = \":memory:\"\n}\n");
	assert_int_equal(put(ALICE, "/store/a/1"), COPSE_CODE_CHANGED);
	assert_int_equal(put(ALICE, "/store/b/1"), COPSE_CODE_CHANGED);
	token_session(ALICE, "{\"sub\":\"alice\",\"copse_allow\":[\"get,put @store /a\"]}");
	token_session(BOB, "{\"sub\":\"bob\",\"copse_deny\":[\"* @store /a\"]}");
	assert_int_equal(get_it(ALICE, "/store/a/1"), COPSE_CODE_CONTENT);
	assert_int_equal(put(ALICE, "/store/a/1"), COPSE_CODE_CHANGED);
	assert_int_equal(get_it(ALICE, "/store/b/1"), COPSE_CODE_FORBIDDEN);
	assert_string_equal(local(ALICE, COPSE_CODE_GET, "/store", NULL)->payload, "</store/a/1>;sz=4");
	assert_int_equal(get_it(BOB, "/store/a/1"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(put(BOB, "/store/a/2"), COPSE_CODE_FORBIDDEN);
	assert_int_equal(get_it(BOB, "/store/b/1"), COPSE_CODE_CONTENT);
	assert_string_equal(local(BOB, COPSE_CODE_GET, "/store", NULL)->payload, "</store/b/1>;sz=4");
	token_session(BOB, "{\"sub\":\"bob\",\"copse_allow\":[]}");
	assert_int_equal(get_it(BOB, "/store"), COPSE_CODE_CONTENT);
	assert_string_equal(last(BOB)->payload, "");
	end_test(NULL);
}

/* Sections about documents alone leave the devices as they are. */
static void test_devices_are_others(void **state)
{
	(void)state;
	start("access \"1\" {\n action = deny\n request = {\"* @store\"}\n}\n");
	open_session(ALICE, "alice");
	assert_int_equal(get_it(ALICE, "/devices"), COPSE_CODE_CONTENT);
	assert_non_null(strstr(last(ALICE)->payload, "coap://d1"));
	get(ALICE, COPSE_CON, next_id++, "p", "coap://d1/a");
	run_for(100);
	assert_int_equal(last(ALICE)->code, COPSE_CODE_CONTENT);
	end_test(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_tokens),
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_without_rules),
	    cmocka_unit_test(test_with_rules),
	    cmocka_unit_test(test_with_grants),
	    cmocka_unit_test(test_devices_are_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
