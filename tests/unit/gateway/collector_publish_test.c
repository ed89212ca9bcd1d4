/* What comes in, in the whole gateway: formats, identities, copies, clocks that jump, and every way to be refused with its
 * counter. Each test has its own configuration of the collector.
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

#include <copse/address.h>

#include "gateway/collector_state.h"
#include "gateway/worker_state.h"
#include "world.h"

#define DEVICE  "0024befffe804ff1"
#define TEMP    "[{\"n\":\"device:d1:temp\",\"v\":20.5}]"
#define NOTHING UINT32_MAX /* no format */

static uint16_t next_id = 1;

static void start(const char *more)
{
	start_collector(more);
	open_session(BOB, "bob");
}

/* Wait for an answer that is not an empty acknowledgement. */
static const struct seen *answer(unsigned number)
{
	while (client[number].n == 0 || last(number)->code == 0)
		let_store_pass();
	acknowledge(number);
	return last(number);
}

static void start_request(uint8_t code, uint16_t id, const char *path)
{
	begin(COPSE_CON, code, id, "t");
	while (*path) {
		size_t len = strcspn(path, "/");
		copse_build_raw(&request, COPSE_OPTION_URI_PATH, path, len);
		path += len + (path[len] == '/');
	}
}

static const struct seen *post(unsigned number, uint16_t id, uint32_t format, const void *body, size_t len)
{
	client[number].n = 0;
	start_request(COPSE_CODE_POST, id, "publish");
	if (format != NOTHING)
		copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, format);
	copse_build_payload(&request, body, len);
	send_it(number);
	return answer(number);
}

static const struct seen *publish(const char *senml)
{
	return post(BOB, next_id++, COPSE_FORMAT_SENML_JSON, senml, strlen(senml));
}

static const struct seen *get_path(const char *path)
{
	client[BOB].n = 0;
	start_request(COPSE_CODE_GET, next_id++, path);
	copse_build_uint(&request, COPSE_OPTION_ACCEPT, COPSE_FORMAT_TEXT);
	send_it(BOB);
	return answer(BOB);
}

/* --- formats --- */

static void what_is_no_senml_is_named_by_the_query(void **state)
{
	(void)state;
	start("open = true");
	const struct seen *s = post(BOB, next_id++, COPSE_FORMAT_TEXT, "21.5", 4);
	assert_int_equal(s->code, COPSE_CODE_BAD_REQUEST); /* of an IPv4 address: nobody knows whose it is */
	assert_non_null(strstr(s->payload, "names a device"));
	assert_int_equal(collector_counters()->refused_identity, 1);
	static const struct {
		const char *name, *body, *served;
	} row[] = {
	    {"n=device:d1:a", "21.5", "21.5"}, {"n=device:d1:b", " 7\n", "7"}, {"n=device:d1:c", "x", "eA"}};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		client[BOB].n = 0;
		start_request(COPSE_CODE_POST, next_id++, "publish");
		add(COPSE_OPTION_URI_QUERY, row[i].name);
		copse_build_payload(&request, row[i].body, strlen(row[i].body));
		send_it(BOB);
		assert_int_equal(answer(BOB)->code, COPSE_CODE_CHANGED);
		char path[40];
		snprintf(path, sizeof(path), "devices/device:d1/%c", row[i].name[strlen(row[i].name) - 1]);
		s = get_path(path);
		assert_int_equal(s->code, COPSE_CODE_CONTENT);
		assert_string_equal(s->payload, row[i].served);
	}
	end_world();
}

static void wrong_content_is_named_and_counted(void **state)
{
	static const struct {
		uint32_t format;
		const char *body, *says;
	} row[] = {
	    {COPSE_FORMAT_SENML_JSON, "[", "Malformed SenML"},
	    {COPSE_FORMAT_SENML_JSON, "[{\"n\":\"device:d1:a\",\"v\":1},{\"n\":\"device:d1:b\"}]",
	     "record 1"},
	    {COPSE_FORMAT_SENML_CBOR, "\x81\xa1", "Malformed SenML"},
	    {COPSE_FORMAT_SENML_XML, "<sensml", "Malformed SenML"},
	};

	(void)state;
	start("open = true");
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct seen *s = post(BOB, next_id++, row[i].format, row[i].body, strlen(row[i].body));
		assert_int_equal(s->code, COPSE_CODE_BAD_REQUEST);
		assert_non_null(strstr(s->payload, row[i].says));
		assert_int_equal(collector_counters()->refused_format, i + 1);
	}
	assert_int_equal(collector_counters()->readings, 0); /* the good record before the bad one neither */
	assert_int_equal(get_path("devices/device:d1/a")->code, COPSE_CODE_NOT_FOUND);
	end_world();
}

/* --- bounds --- */

static void devices_and_names_are_bounded(void **state)
{
	char text[80];

	(void)state;
	start("open = true\n devices = 2");
	for (unsigned i = 0; i < GW_COLLECTOR_SERIES; i++) {
		snprintf(text, sizeof(text), "[{\"n\":\"device:d1:n%u\",\"v\":1}]", i);
		assert_int_equal(publish(text)->code, COPSE_CODE_CHANGED);
	}
	const struct seen *s = publish("[{\"n\":\"device:d1:more\",\"v\":1}]");
	assert_int_equal(s->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_string_equal(s->payload, "this device has enough names");
	assert_int_equal(publish("[{\"n\":\"device:d2:n\",\"v\":1}]")->code, COPSE_CODE_CHANGED);
	s = publish("[{\"n\":\"device:d3:n\",\"v\":1}]");
	assert_int_equal(s->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_string_equal(s->payload, "there are enough devices");
	assert_int_equal(collector_counters()->refused_devices, 2);
	assert_int_equal(publish("[{\"n\":\"device:d1:n0\",\"v\":2}]")->code, COPSE_CODE_CHANGED);
	end_world();
}

static void a_sender_is_slowed_down(void **state)
{
	(void)state;
	start("rate = 1\n burst = 2");
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	unsigned refused = 0;
	for (unsigned i = 0; i < 3000 && !refused; i++)
		refused = publish(TEMP)->code == COPSE_CODE_TOO_MANY_REQUESTS;
	assert_int_equal(refused, 1);
	assert_int_equal(collector_counters()->refused_rate, 1);
	end_world();
}

static void strangers_may_publish_and_not_read(void **state)
{
	(void)state;
	start("");
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	client[BOB].n = 0;
	start_request(COPSE_CODE_DELETE, next_id++, "sessions");
	send_it(BOB);
	assert_int_equal(answer(BOB)->code, COPSE_CODE_DELETED);
	assert_int_equal(get_path("devices/device:d1/temp")->code, COPSE_CODE_UNAUTHORIZED);
	assert_int_equal(collector_counters()->refused_anonymous, 1);
	end_world();
}

static void a_queue_that_is_full_is_told_and_counted(void **state)
{
	(void)state;
	start("open = true");
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	close_gate(STORE_QUEUE);
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_busy, 1);
	client[BOB].n = 0;
	start_request(COPSE_CODE_PUT, next_id++, "devices/device:d1/meta");
	copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_JSON);
	copse_build_payload(&request, "{}", 2);
	send_it(BOB);
	assert_int_equal(answer(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_busy, 2);
	client[BOB].n = 0;
	start_request(COPSE_CODE_GET, next_id++, "store/x");
	send_it(BOB);
	assert_int_equal(answer(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_busy, 3);
	client[BOB].n = 0;
	start_request(COPSE_CODE_GET, next_id++, "devices/device:d1");
	add(COPSE_OPTION_URI_QUERY, "last=1");
	send_it(BOB);
	assert_int_equal(answer(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_busy, 4);
	/* what is in memory is served, and the rest as soon as there is room */
	assert_string_equal(get_path("devices/device:d1/temp")->payload, "20.5");
	open_gate();
	while (publish(TEMP)->code != COPSE_CODE_CHANGED)
		let_store_pass();
	assert_int_equal(collector_counters()->readings, 2);
	struct store_service_counters c;
	assert_true(gw_collector_store_counters(worker->collector, &c));
	assert_true(c.refused >= 4);
	end_world();
}

/* --- descriptions --- */

static uint8_t describe(uint8_t code, uint32_t format, const char *json)
{
	client[BOB].n = 0;
	start_request(code, next_id++, "devices/device:d1/meta");
	copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, format);
	copse_build_payload(&request, json, strlen(json));
	send_it(BOB);
	return answer(BOB)->code;
}

static void descriptions_are_merged_or_refused(void **state)
{
	(void)state;
	start("open = true\n devices = 1");
	assert_int_equal(describe(COPSE_CODE_PUT, COPSE_FORMAT_JSON, "{\"group\":\"attic\",\"a\":1}"),
			 COPSE_CODE_CHANGED);
	assert_int_equal(describe(COPSE_CODE_PATCH, COPSE_FORMAT_MERGE_PATCH, "{\"a\":null,\"label\":\"x\"}"),
			 COPSE_CODE_CHANGED);
	const struct gw_heard *d = gw_heard_find(worker->collector, "device:d1");
	assert_string_equal(d->meta, "{\"group\":\"attic\",\"label\":\"x\"}");
	static const char *const wrong[] = {"[]", "{", "{\"type\":\"a b\"}", "{\"sleeping\":1}",
					    "{\"label\":2}"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(describe(COPSE_CODE_PUT, COPSE_FORMAT_JSON, wrong[i]),
				 COPSE_CODE_BAD_REQUEST);
	assert_string_equal(d->group, "attic");
	assert_int_equal(publish("[{\"n\":\"device:d1:wet\",\"v\":3}]")->code, COPSE_CODE_CHANGED);
	assert_non_null(strstr(get_path("groups/attic")->payload, "3"));
	/* who is described takes a place, too */
	client[BOB].n = 0;
	start_request(COPSE_CODE_PUT, next_id++, "devices/device:d2/meta");
	copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_JSON);
	copse_build_payload(&request, "{}", 2);
	send_it(BOB);
	assert_int_equal(answer(BOB)->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_devices, 1);
	end_world();
}

/* --- the store --- */

static void a_full_store_is_told_and_counted(void **state)
{
	(void)state;
	start("open = true\n max_size = 0.0003");
	for (unsigned i = 0; i < 100; i++) /* the oldest make room */
		assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	char text[700];
	int n = snprintf(text, sizeof(text), "[{\"n\":\"device:d1:a\",\"vs\":\"%0400d\"}]", 7);
	const struct seen *s = post(BOB, next_id++, COPSE_FORMAT_SENML_JSON, text, (size_t)n);
	assert_int_equal(s->code, COPSE_CODE_SERVICE_UNAVAILABLE); /* more than there may be in all */
	assert_string_equal(s->payload, "the store is full");
	assert_int_equal(collector_counters()->failed, 1);
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	end_world();
}

/* A message is repeated after the endpoint has forgotten it; its message ID and token come round later. */
static void a_copy_is_stored_once(void **state)
{
	(void)state;
	start("open = true");
	assert_int_equal(post(BOB, 77, COPSE_FORMAT_SENML_JSON, TEMP, strlen(TEMP))->code,
			 COPSE_CODE_CHANGED);
	run_for(300000); /* EXCHANGE_LIFETIME is over */
	assert_int_equal(post(BOB, 77, COPSE_FORMAT_SENML_JSON, TEMP, strlen(TEMP))->code,
			 COPSE_CODE_CHANGED);
	assert_int_equal(collector_counters()->duplicates, 1);
	assert_int_equal(collector_counters()->readings, 1);
	run_for(400000);
	assert_int_equal(post(BOB, 77, COPSE_FORMAT_SENML_JSON, TEMP, strlen(TEMP))->code,
			 COPSE_CODE_CHANGED);
	assert_int_equal(collector_counters()->duplicates, 1);
	assert_int_equal(collector_counters()->readings, 2);
	/* and when the clock is set back a year */
	wall_ahead = -365 * 86400;
	run_for(300000);
	assert_int_equal(post(BOB, 77, COPSE_FORMAT_SENML_JSON, TEMP, strlen(TEMP))->code,
			 COPSE_CODE_CHANGED);
	assert_int_equal(collector_counters()->readings, 3);
	end_world();
}

/* From a sender that does not wait: a copy that comes late is a reading more, but none is turned away. */
static void more_readings_than_are_remembered(void **state)
{
	(void)state;
	start("open = true");
	for (unsigned i = 0; i < 600; i++) { /* the memory of messages has 512 places */
		start_request(COPSE_CODE_POST, next_id++, "publish");
		request.buf[0] |= COPSE_NON << 4;
		client[BOB].n = 0;
		copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_SENML_JSON);
		copse_build_payload(&request, TEMP, strlen(TEMP));
		send_it(BOB);
		let_store_pass();
	}
	assert_int_equal(collector_counters()->messages, 600);
	while (collector_counters()->readings < 600)
		let_store_pass();
	end_world();
}

/* --- clocks that jump --- */

static void max_age_is_measured_by_a_clock_that_does_not_jump(void **state)
{
	static const int64_t ahead[] = {365 * 86400, 0, -365 * 86400, 3600};

	(void)state;
	start("open = true");
	for (size_t i = 0; i < sizeof(ahead) / sizeof(*ahead); i++) {
		client[BOB].n = 0;
		start_request(COPSE_CODE_POST, next_id++, "publish");
		copse_build_uint(&request, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_SENML_JSON);
		copse_build_uint(&request, COPSE_OPTION_MAX_AGE, 100);
		copse_build_payload(&request, TEMP, strlen(TEMP));
		send_it(BOB);
		assert_int_equal(answer(BOB)->code, COPSE_CODE_CHANGED);
		wall_ahead = ahead[i];
		run_for(50000);
		assert_int_equal(get_path("devices/device:d1/temp")->code, COPSE_CODE_CONTENT);
		assert_int_equal(collector_counters()->jumps, i + 1);
		run_for(51000);
		assert_int_equal(get_path("devices/device:d1/temp")->code, COPSE_CODE_NOT_FOUND);
	}
	end_world();
}

static void a_clock_set_back_does_not_hide_what_comes(void **state)
{
	(void)state;
	start("open = true");
	wall_ahead = 365 * 86400;
	assert_int_equal(publish("[{\"n\":\"device:d1:temp\",\"v\":1}]")->code, COPSE_CODE_CHANGED);
	wall_ahead = 0;
	run_for(10000);
	assert_string_equal(get_path("devices/device:d1/temp")->payload, "1");
	assert_int_equal(publish("[{\"n\":\"device:d1:temp\",\"v\":2}]")->code, COPSE_CODE_CHANGED);
	assert_string_equal(get_path("devices/device:d1/temp")->payload, "2");
	/* a reading with an earlier time of its own does not become the newest now */
	assert_int_equal(publish("[{\"n\":\"device:d1:temp\",\"v\":3,\"t\":-60}]")->code, COPSE_CODE_CHANGED);
	assert_string_equal(get_path("devices/device:d1/temp")->payload, "2");
	end_world();
}

static void the_rhythm_survives_a_jump(void **state)
{
	(void)state;
	start("open = true");
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
		run_for(60000);
	}
	const struct gw_heard *d = gw_heard_find(worker->collector, "device:d1");
	const int64_t rhythm = d->rhythm;
	assert_in_range(rhythm, 60000000, 62000000);
	wall_ahead = 40 * 86400;
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	wall_ahead = -40 * 86400;
	run_for(60000);
	assert_int_equal(publish(TEMP)->code, COPSE_CODE_CHANGED);
	assert_in_range(d->rhythm, rhythm - 2000000, rhythm + 2000000);
	const int64_t now = gw_collector_now(worker->collector);
	assert_string_equal(gw_heard_state(d, now + 60000000), "live");
	assert_string_equal(gw_heard_state(d, now + 120000000), "late");
	end_world();
}

/* --- notifications that nobody has asked for; identities of addresses --- */

static void unasked(const char *address, const char *token, const char *senml)
{
	uint8_t bytes[300];
	struct copse_builder b;
	struct copse_message m;
	struct copse_address a;
	struct copse_peer peer;

	copse_build_message(&b, bytes, sizeof(bytes), COPSE_NON, COPSE_CODE_CONTENT, next_id++, token,
			    strlen(token));
	copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_SENML_JSON);
	copse_build_payload(&b, senml, strlen(senml));
	int n = copse_build_finish(&b);
	assert_true(n > 0);
	assert_int_equal(copse_message_parse(&m, bytes, (size_t)n), 0);
	assert_int_equal(copse_address_parse(address, 5683, &a), 0);
	assert_int_equal(copse_peer_from_address(3, &a, &peer), 0);
	const struct copse_event event = {.kind = COPSE_EVENT_UNASKED, .message = &m, .peer = &peer};
	gw_worker_event(worker, &event, sim.now);
}

static void wait_readings(uint64_t n)
{
	while (collector_counters()->readings < n)
		let_store_pass();
}

#define OWN   "fe80::224:beff:fe80:4ff1"
#define OTHER "fe80::224:beff:fe80:4ff2"

static void implicit_subscriptions_are_agreed(void **state)
{
	(void)state;
	start("open = true\n types = {\"humidity\"}\n implicit = {\"humidity:68756d69\"}");
	unasked(OWN, "humi", "[{\"v\":55,\"n\":\"h\"}]");
	wait_readings(1);
	assert_int_equal(collector_counters()->implicit, 1);
	assert_string_equal(get_path("devices/" DEVICE "/h")->payload, "55");
	unasked(OWN, "else", "[{\"v\":66,\"n\":\"h\"}]");
	assert_int_equal(collector_counters()->implicit_strange, 1);
	assert_int_equal(collector_counters()->implicit, 1);
	/* RFC 7252 §5.10.5: without Max-Age it is current for a minute */
	run_for(61000);
	assert_int_equal(get_path("devices/" DEVICE "/h")->code, COPSE_CODE_NOT_FOUND);
	end_world();
}

static void identities_that_differ_are_flagged(void **state)
{
	(void)state;
	start("open = true\n types = {\"humidity\"}\n implicit = {\"humidity:68756d69\"}");
	unasked(OTHER, "humi", "[{\"n\":\"urn:dev:mac:" DEVICE ":h\",\"v\":1}]");
	wait_readings(1);
	assert_int_equal(collector_counters()->mismatched, 1);
	assert_int_equal(collector_counters()->refused_identity, 0);
	assert_true(gw_heard_find(worker->collector, DEVICE)->mismatched);
	unasked(OWN, "humi", "[{\"n\":\"urn:dev:mac:" DEVICE ":h\",\"v\":2}]");
	wait_readings(2);
	assert_false(gw_heard_find(worker->collector, DEVICE)->mismatched);
	end_world();
}

static void identities_that_differ_are_refused_where_told(void **state)
{
	(void)state;
	start(
	    "open = true\n mismatch = refuse\n types = {\"humidity\"}\n implicit = {\"humidity:68756d69\"}");
	unasked(OTHER, "humi", "[{\"n\":\"urn:dev:mac:" DEVICE ":h\",\"v\":1}]");
	assert_int_equal(collector_counters()->mismatched, 1);
	assert_int_equal(collector_counters()->refused_identity, 1);
	unasked(OWN, "humi", "[{\"n\":\"urn:dev:mac:" DEVICE ":h\",\"v\":2}]");
	wait_readings(1);
	assert_string_equal(get_path("devices/" DEVICE "/h")->payload, "2");
	end_world();
}

/* The memory of a short message is used for the next one, that of a long one is not kept: none has anything of another. */
static void the_memory_of_a_message_is_used_again(void **state)
{
	static const char *const pack[] = {
	    "[{\"n\":\"device:d1:a\",\"vs\":\"a text of some length, which none of the others has\"}]",
	    "[{\"n\":\"device:d1:b\",\"v\":1.5}]", "[{\"n\":\"device:d1:c\",\"vs\":\"\"}]",
	    "[{\"bn\":\"device:d1:\",\"n\":\"e\",\"v\":1},{\"n\":\"f\",\"v\":2},{\"n\":\"g\",\"v\":3},{\"n\":"
	    "\"h\",\"v\":4},"
	    "{\"n\":\"i\",\"v\":5}]",
	    "[{\"n\":\"device:d1:d\",\"vb\":true}]"};
	static const struct {
		const char *path, *value;
	} row[] = {{"devices/device:d1/a", "a text of some length, which none of the others has"},
		   {"devices/device:d1/b", "1.5"},
		   {"devices/device:d1/c", ""},
		   {"devices/device:d1/d", "true"},
		   {"devices/device:d1/i", "5"}};
	(void)state;
	start("open = true");
	struct gw_collector *c = worker->collector;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(publish(pack[i])->code, COPSE_CODE_CHANGED);
		assert_int_equal(c->spare_n, 1); /* one at a time: always the same */
	}
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++)
		assert_string_equal(get_path(row[i].path)->payload, row[i].value);
	for (unsigned i = 0; i < GW_COLLECTOR_SPARE + 2; i++) /* beyond its bound it is freed */
		gw_collector_spare(c, store_job_new(GW_COLLECTOR_SPARE_ROOM));
	assert_int_equal(c->spare_n, GW_COLLECTOR_SPARE);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_no_senml_is_named_by_the_query),
	    cmocka_unit_test(wrong_content_is_named_and_counted),
	    cmocka_unit_test(devices_and_names_are_bounded),
	    cmocka_unit_test(a_sender_is_slowed_down),
	    cmocka_unit_test(strangers_may_publish_and_not_read),
	    cmocka_unit_test(a_queue_that_is_full_is_told_and_counted),
	    cmocka_unit_test(descriptions_are_merged_or_refused),
	    cmocka_unit_test(a_full_store_is_told_and_counted),
	    cmocka_unit_test(a_copy_is_stored_once),
	    cmocka_unit_test(the_memory_of_a_message_is_used_again),
	    cmocka_unit_test(more_readings_than_are_remembered),
	    cmocka_unit_test(max_age_is_measured_by_a_clock_that_does_not_jump),
	    cmocka_unit_test(a_clock_set_back_does_not_hide_what_comes),
	    cmocka_unit_test(the_rhythm_survives_a_jump),
	    cmocka_unit_test(implicit_subscriptions_are_agreed),
	    cmocka_unit_test(identities_that_differ_are_flagged),
	    cmocka_unit_test(identities_that_differ_are_refused_where_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
