/* CORE: methods, separate responses, paths, queries, locations, formats, validation, preconditions.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "plugtest.h"

#include <stdio.h>

/* ---- /test: keeps what it is given; DELETE empties it, but it goes on existing ---- */

static char test_text[PLUGTEST_TEXT_MAX + 1] = "a small resource\n";

static void test_get(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_text(rs, test_text[0] ? test_text : "empty\n");
}

static void keep(char text[PLUGTEST_TEXT_MAX + 1], const struct copse_request *rq)
{
	const size_t n = rq->body_len < PLUGTEST_TEXT_MAX ? rq->body_len : PLUGTEST_TEXT_MAX;
	memcpy(text, rq->body, n);
	text[n] = '\0';
}

static void test_put(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	keep(test_text, rq);
}

static void test_post(const struct copse_request *rq, struct copse_response *rs)
{
	keep(test_text, rq);
	rs->code = COPSE_CODE_CREATED;
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "location1");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "location2");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "location3");
}

static void test_delete(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	(void)rs;
	test_text[0] = '\0';
}

/* ---- /separate: answers later ---- */

#define WAITING_MAX 32

static struct {
	copse_handle request;
	copse_ms due;
} waiting[WAITING_MAX];
static size_t waiting_n;

static void separate_get(const struct copse_request *rq, struct copse_response *rs)
{
	if (waiting_n == WAITING_MAX) {
		copse_response_too_many(rs, 1);
		return;
	}
	waiting[waiting_n].request = copse_request_defer(rq);
	waiting[waiting_n].due = rq->now + PLUGTEST_SEPARATE;
	waiting_n += waiting[waiting_n].request != COPSE_NO_HANDLE;
}

copse_ms plugtest_separate(struct copse_server *server, copse_ms now)
{
	while (waiting_n > 0 && waiting[0].due <= now) {
		struct copse_response rs;
		if (copse_server_reply(server, waiting[0].request, &rs) == 0) {
			copse_response_text(&rs, "it took a second\n");
			if (copse_server_reply_send(server, waiting[0].request, &rs, now) == COPSE_ERR_NOROOM)
				return now + 100;
		}
		memmove(waiting, waiting + 1, --waiting_n * sizeof *waiting);
	}
	return waiting_n > 0 ? waiting[0].due : COPSE_NEVER;
}

/* ---- paths, queries, locations, formats ---- */

static void segments_get(const struct copse_request *rq, struct copse_response *rs)
{
	char text[PLUGTEST_TEXT_MAX];
	copse_request_path(rq, text, sizeof text);
	copse_response_text(rs, text);
}

static void query_get(const struct copse_request *rq, struct copse_response *rs)
{
	static const char *const names[] = {"first", "second", "third"};
	char text[PLUGTEST_TEXT_MAX];
	size_t used = 0, len = 0;
	text[0] = '\0';
	for (size_t i = 0; i < 3; i++) {
		const char *value = copse_request_query(rq, names[i], &len);
		if (value && len < 10)
			used += (size_t)snprintf(text + used, sizeof text - used, "%s=%.*s\n", names[i],
						 (int)len, value);
	}
	copse_response_text(rs, used ? text : "no query\n");
}

static void location_query_post(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	rs->code = COPSE_CODE_CREATED;
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_QUERY, "first=1");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_QUERY, "second=2");
}

static void formats_get(const struct copse_request *rq, struct copse_response *rs)
{
	static const uint8_t cbor[] = {0xa1, 0x66, 'f', 'o', 'r', 'm', 'a', 't', 0x64, 'C', 'B', 'O', 'R'};
	static const char xml[] = "<?xml version=\"1.0\"?><format>XML</format>\n";
	static const char json[] = "{\"format\":\"JSON\"}\n";
	if (rq->accept == COPSE_FORMAT_XML)
		copse_response_view(rs, COPSE_FORMAT_XML, xml, sizeof xml - 1);
	else if (rq->accept == COPSE_FORMAT_JSON)
		copse_response_view(rs, COPSE_FORMAT_JSON, json, sizeof json - 1);
	else if (rq->accept == COPSE_FORMAT_CBOR)
		copse_response_view(rs, COPSE_FORMAT_CBOR, cbor, sizeof cbor);
	else
		copse_response_text(rs, "format: text\n");
}

/* ---- /validate: versions are counted, for the same text may be put again ---- */

static char validate_text[PLUGTEST_TEXT_MAX + 1] = "validate me\n";
static uint32_t validate_version = 1;

static int validate_state(const struct copse_request *rq, uint8_t *etag)
{
	(void)rq;
	for (unsigned i = 0; i < 4; i++)
		etag[i] = (uint8_t)(validate_version >> (24 - 8 * i));
	return 4;
}

static void validate_get(const struct copse_request *rq, struct copse_response *rs)
{
	uint8_t etag[COPSE_ETAG_MAX];
	copse_response_etag(rs, etag, (size_t)validate_state(rq, etag));
	copse_response_text(rs, validate_text);
}

static void validate_put(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	keep(validate_text, rq);
	validate_version++;
}

/* ---- /create1 ---- */

static bool created;

/* A client that finds it existing tries once more: to be refused removes it. */
static int create_state(const struct copse_request *rq, uint8_t *etag)
{
	const bool was = created;
	(void)etag;
	if (copse_message_option(rq->message, COPSE_OPTION_IF_NONE_MATCH))
		created = false;
	return was ? 0 : -1;
}

static void create_put(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	rs->code = created ? COPSE_CODE_CHANGED : COPSE_CODE_CREATED;
	created = true;
}

static void create_get(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	if (created)
		copse_response_text(rs, "created\n");
	else
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, NULL);
}

static void create_delete(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	(void)rs;
	created = false;
}

static const struct copse_resource resources[] = {
    {.path = "test", .get = test_get, .put = test_put, .post = test_post, .delete = test_delete},
    {.path = "separate", .get = separate_get},
    {.path = "seg1/seg2/seg3", .get = segments_get},
    {.path = "query", .get = query_get},
    {.path = "location-query", .post = location_query_post},
    {.path = "multi-format",
     .get = formats_get,
     .formats = COPSE_FORMATS(COPSE_FORMAT_TEXT, COPSE_FORMAT_XML, COPSE_FORMAT_JSON, COPSE_FORMAT_CBOR)},
    {.path = "validate", .get = validate_get, .put = validate_put, .state = validate_state},
    {.path = "create1", .get = create_get, .put = create_put, .delete = create_delete, .state = create_state},
};

PLUGTEST_GROUP(core, resources);
