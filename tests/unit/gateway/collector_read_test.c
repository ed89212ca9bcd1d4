/* What is asked of the newest readings, of lists and of documents, in the whole gateway: in every form, of what there is, of
 * what there is not, and of what has expired.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/collector_state.h"
#include "gateway/worker_state.h"
#include "world.h"

#define ANY UINT32_MAX /* no Accept, no format */

static uint16_t next_id = 1;

static int start(void **state)
{
	(void)state;
	next_id = 1;
	start_collector("open = true");
	open_session(BOB, "bob");
	return 0;
}

static const struct seen *answer(void)
{
	send_it(BOB);
	while (client[BOB].n == 0 || last(BOB)->code == 0)
		let_store_pass();
	acknowledge(BOB);
	return last(BOB);
}

/* A request for "PATH?QUERY&QUERY". */
static void start_request(uint8_t code, const char *uri)
{
	const size_t path_len = strcspn(uri, "?");

	client[BOB].n = 0;
	begin(COPSE_CON, code, next_id++, "t");
	for (const char *at = uri; at < uri + path_len; at++) {
		size_t len = strcspn(at, "/?");
		copse_build_raw(&request, COPSE_OPTION_URI_PATH, at, len);
		at += len;
	}
	for (const char *at = uri + path_len; *at;) {
		size_t len = strcspn(++at, "&");
		copse_build_raw(&request, COPSE_OPTION_URI_QUERY, at, len);
		at += len;
	}
}

static const struct seen *put(uint8_t code, const char *uri, uint32_t format, int64_t max_age,
			      const char *body)
{
	start_request(code, uri);
	if (format != ANY)
		copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, format);
	if (max_age >= 0)
		copse_build_uint(&request, COPSE_OPTION_MAX_AGE, (uint32_t)max_age);
	copse_build_payload(&request, body, strlen(body));
	return answer();
}

static void publish(int64_t max_age, const char *senml)
{
	assert_int_equal(put(COPSE_CODE_POST, "publish", COPSE_FORMAT_SENML_JSON, max_age, senml)->code,
			 COPSE_CODE_CHANGED);
}

static const struct seen *get_as(const char *uri, uint32_t accept)
{
	start_request(COPSE_CODE_GET, uri);
	if (accept != ANY)
		copse_build_uint(&request, COPSE_OPTION_ACCEPT, accept);
	return answer();
}

static void gives(const char *uri, uint32_t accept, const char *payload)
{
	const struct seen *s = get_as(uri, accept);

	assert_int_equal(s->code, COPSE_CODE_CONTENT);
	assert_string_equal(s->payload, payload);
}

static void refuses(const char *uri, uint8_t code)
{
	assert_int_equal(get_as(uri, ANY)->code, code);
}

/* --- newest readings --- */

static void every_form_of_the_newest(void **state)
{
	(void)state;
	publish(-1, "[{\"n\":\"device:d1:a\",\"u\":\"Cel\",\"v\":20.5,\"t\":1700000000}]");
	gives("devices/device:d1/a", ANY,
	      "[{\"bn\":\"device:d1:\",\"n\":\"a\",\"t\":1700000000,\"u\":\"Cel\",\"v\":20.5}]");
	gives("devices/device:d1/a", COPSE_FORMAT_TEXT, "20.5");
	gives("devices/device:d1", COPSE_FORMAT_TEXT, "2023-11-14T22:13:20.000000Z device:d1 a 20.5 Cel\n");
	gives("devices/device:d1/a?as=csv", ANY,
	      "time,device,name,value,unit,sum\r\n2023-11-14T22:13:20.000000Z,device:d1,a,20.5,\"Cel\",\r\n");
	assert_memory_equal(get_as("devices/device:d1/a", COPSE_FORMAT_SENML_CBOR)->payload, "\x9f\xa5", 2);
	assert_non_null(strstr(get_as("devices/device:d1/a", COPSE_FORMAT_SENML_XML)->payload, "v=\"20.5\""));
	assert_int_equal(get_as("devices/device:d1/a", COPSE_FORMAT_JSON)->code, COPSE_CODE_NOT_ACCEPTABLE);
	assert_int_equal(get_as("devices/device:d1/a", 65000)->code, COPSE_CODE_NOT_ACCEPTABLE);
}

static void what_there_is_not(void **state)
{
	(void)state;
	refuses("devices/device:d1", COPSE_CODE_NOT_FOUND);
	refuses("devices/device:d1/a?last=1", COPSE_CODE_NOT_FOUND);
	refuses("types/damp", COPSE_CODE_NOT_FOUND);
	refuses("groups/cellar", COPSE_CODE_NOT_FOUND);
	publish(-1, "[{\"n\":\"device:d1:a\",\"v\":1}]");
	refuses("devices/device:d1/b", COPSE_CODE_NOT_FOUND);
	refuses("devices/device:d1/a/b", COPSE_CODE_NOT_FOUND);
	refuses("devices/device:d2/a", COPSE_CODE_NOT_FOUND);
	refuses("types/none", COPSE_CODE_NOT_FOUND);
	refuses("devices/device:d1/a?as=pdf", COPSE_CODE_BAD_REQUEST);
	gives("devices/device:d1/b?last=1", ANY, "[]"); /* a history of nothing is one */
}

/* Names with slashes are one name. */
static void names_with_slashes(void **state)
{
	(void)state;
	publish(-1, "[{\"n\":\"device:d1:a/b/c\",\"v\":7}]");
	gives("devices/device:d1/a/b/c", COPSE_FORMAT_TEXT, "7");
	refuses("devices/device:d1/a/b", COPSE_CODE_NOT_FOUND);
}

/* Of Max-Age, from nothing to the longest: served until then, and no longer; in the history for ever. */
static void what_has_expired(void **state)
{
	(void)state;
	publish(0, "[{\"n\":\"device:d1:never\",\"v\":1}]");
	refuses("devices/device:d1/never", COPSE_CODE_NOT_FOUND);
	publish(10, "[{\"n\":\"device:d1:brief\",\"v\":2}]");
	publish(UINT32_MAX, "[{\"n\":\"device:d1:long\",\"v\":3}]");
	const struct seen *s = get_as("devices/device:d1/brief", COPSE_FORMAT_TEXT);
	assert_string_equal(s->payload, "2");
	assert_true(s->max_age <= 10);
	run_for(11000);
	refuses("devices/device:d1/brief", COPSE_CODE_NOT_FOUND);
	run_for(100000000); /* a day and more */
	gives("devices/device:d1/long", COPSE_FORMAT_TEXT, "3");
	assert_null(strstr(get_as("devices/device:d1", ANY)->payload, "brief"));
	gives("devices/device:d1/brief?last=9&as=csv&to=1", ANY, "");
	assert_non_null(strstr(get_as("devices/device:d1/brief?last=9", ANY)->payload, "\"v\":2"));
}

/* Times of readings themselves: the greatest is the newest, however far away. */
static void readings_of_other_times(void **state)
{
	(void)state;
	publish(-1, "[{\"n\":\"device:d1:a\",\"v\":1,\"t\":1700000000}]");
	publish(-1, "[{\"n\":\"device:d1:a\",\"v\":2,\"t\":300000000}]");
	gives("devices/device:d1/a", COPSE_FORMAT_TEXT, "1");
	publish(-1, "[{\"n\":\"device:d1:a\",\"v\":3,\"t\":99999999999}]"); /* the year 5138 */
	gives("devices/device:d1/a", COPSE_FORMAT_TEXT, "3");
	publish(-1, "[{\"n\":\"device:d1:a\",\"v\":4,\"t\":1700000001}]");
	gives("devices/device:d1/a", COPSE_FORMAT_TEXT, "3");
	gives("devices/device:d1/a?to=1700000002&as=csv&from=1600000000", ANY,
	      "time,device,name,value,unit,sum\r\n2023-11-14T22:13:20.000000Z,device:d1,a,1,\"\",\r\n"
	      "2023-11-14T22:13:21.000000Z,device:d1,a,4,\"\",\r\n");
}

/* --- many --- */

static void describe(const char *path, const char *json)
{
	assert_int_equal(put(COPSE_CODE_PUT, path, COPSE_FORMAT_JSON, -1, json)->code, COPSE_CODE_CHANGED);
}

static void types_and_groups(void **state)
{
	(void)state;
	publish(-1, "[{\"n\":\"device:d2:a\",\"v\":2},{\"n\":\"device:d1:a\",\"v\":1},{\"n\":\"device:d3:a\","
		    "\"v\":3}]");
	describe("devices/device:d1/meta", "{\"type\":\"damp\",\"group\":\"cellar\"}");
	describe("devices/device:d2/meta", "{\"type\":\"damp\"}");
	assert_non_null(
	    strstr(get_as("types/damp?as=csv", ANY)->payload, ",device:d1,a,1,")); /* ascending in identity */
	assert_non_null(strstr(get_as("types/damp?as=csv", ANY)->payload, ",device:d2,a,2,"));
	assert_null(strstr(get_as("groups/cellar?as=csv", ANY)->payload, "device:d2"));
	assert_null(strstr(get_as("groups/cellar?as=csv&last=5", ANY)->payload, "device:d2"));
	gives("devices?type=damp&group=cellar", ANY,
	      "</devices/device:d1>;ep=\"device:d1\";et=\"damp\";state=live");
	gives("devices?type=dam", ANY, "");
	gives("devices?state=silent", COPSE_FORMAT_JSON, "[]");
	assert_int_equal(get_as("devices", COPSE_FORMAT_TEXT)->code, COPSE_CODE_NOT_ACCEPTABLE);
}

/* --- documents --- */

static void documents(void **state)
{
	(void)state;
	refuses("store/x", COPSE_CODE_NOT_FOUND);
	gives("store", ANY, "");
	assert_int_equal(put(COPSE_CODE_POST, "store/x", COPSE_FORMAT_TEXT, -1, "one")->code,
			 COPSE_CODE_CHANGED);
	assert_int_equal(put(COPSE_CODE_PUT, "store/x", ANY, -1, "two")->code, COPSE_CODE_CHANGED);
	assert_int_equal(put(COPSE_CODE_PUT, "store/y/z", COPSE_FORMAT_JSON, 5, "{}")->code,
			 COPSE_CODE_CHANGED);
	gives("store/x", ANY, "two");
	gives("store/y/z", ANY, "{}");
	refuses("store/y", COPSE_CODE_NOT_FOUND);
	gives("store", ANY, "</store/x>;sz=3,</store/y/z>;ct=50;sz=2");
	run_for(6000);
	refuses("store/y/z", COPSE_CODE_NOT_FOUND);
	assert_int_equal(collector_counters()->documents, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end_test)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(every_form_of_the_newest),
	    TEST(what_there_is_not),
	    TEST(names_with_slashes),
	    TEST(what_has_expired),
	    TEST(readings_of_other_times),
	    TEST(types_and_groups),
	    TEST(documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
