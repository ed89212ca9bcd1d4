/* BLOCK: large resources, read and written block by block.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "plugtest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- /large: text in lines of 64 bytes, made as it is read ---- */

static char large_at(uint32_t offset)
{
	static const char line[] = "|large resource, a line of 64 bytes|................|0123456789|";
	return offset % 64 == 63 ? '\n' : line[offset % 64];
}

static int large_read(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	size_t n = 0;
	(void)user;
	for (; n < cap && offset < PLUGTEST_LARGE; n++, offset++)
		buf[n] = (uint8_t)large_at(offset);
	return (int)n;
}

static void large_get(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_reader(rs, COPSE_FORMAT_TEXT, PLUGTEST_LARGE, large_read, NULL, NULL);
}

/* ---- what is uploaded ---- */

struct body {
	uint32_t format;
	size_t len;
	uint32_t version;
	uint8_t bytes[PLUGTEST_BODY_MAX];
};

#define CREATED_MAX 8

static struct body update = {COPSE_FORMAT_TEXT, 6, 0, "empty\n"};
static struct body created[CREATED_MAX];
static unsigned created_n; /* how many there have been; the last CREATED_MAX are kept */

static void keep(struct body *b, const struct copse_request *rq)
{
	b->format = rq->format == COPSE_FORMAT_NONE ? COPSE_FORMAT_TEXT : rq->format;
	b->len = rq->body_len;
	b->version++;
	memcpy(b->bytes, rq->body, rq->body_len); /* within body_max */
}

static void show(struct copse_response *rs, const struct body *b)
{
	copse_response_copy(rs, b->format, b->bytes, b->len);
	copse_response_etag(rs, &b->version, sizeof b->version);
}

static void update_get(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	show(rs, &update);
}

static void update_put(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rs;
	keep(&update, rq);
}

static void create_post(const struct copse_request *rq, struct copse_response *rs)
{
	char name[12];
	keep(&created[created_n % CREATED_MAX], rq);
	created_n++;
	snprintf(name, sizeof name, "%u", created_n);
	rs->code = COPSE_CODE_CREATED;
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, "large-create");
	copse_response_option_text(rs, COPSE_OPTION_LOCATION_PATH, name);
}

static void create_get(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_text(rs, "POST creates resources below this one\n");
}

static void created_get(const struct copse_request *rq, struct copse_response *rs)
{
	char name[12];
	size_t len = 0;
	const char *segment = copse_request_segment(rq, 1, &len);
	snprintf(name, sizeof name, "%.*s", (int)len, segment ? segment : "");
	const unsigned long n = strtoul(name, NULL, 10);
	if (n < 1 || n > created_n || n + CREATED_MAX <= created_n)
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, NULL);
	else
		show(rs, &created[(n - 1) % CREATED_MAX]);
}

/* The text in upper case. */
static void post_post(const struct copse_request *rq, struct copse_response *rs)
{
	size_t cap;
	uint8_t *out = copse_response_room(rs, &cap);
	const size_t n = rq->body_len < cap ? rq->body_len : cap;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)toupper(rq->body[i]);
	copse_response_commit(rs, COPSE_FORMAT_TEXT, n);
}

#define LARGE                                                                                                \
	.rt = "block", .sz = PLUGTEST_LARGE, .flags = COPSE_RESOURCE_WHOLE, .body_max = PLUGTEST_BODY_MAX

static const struct copse_resource resources[] = {
    {.path = "large", .get = large_get, LARGE},
    {.path = "large-update", .get = update_get, .put = update_put, LARGE},
    {.path = "large-create", .get = create_get, .post = create_post, LARGE},
    {.path = "large-create/*", .get = created_get},
    {.path = "large-post", .post = post_post, LARGE},
};

PLUGTEST_GROUP(block, resources);
