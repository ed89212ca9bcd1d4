/* OSCORE: a resource that is there for protected requests alone, under the keys that the cases publish. Whoever publishes
 * keys has nothing to protect: numbers begin anew with each start, which a server with keys of its own must not do
 * (copse_oscore_sequence).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "plugtest.h"

#include <copse/mem.h>
#include <copse/oscore_endpoint.h>

static const uint8_t secret[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t salt[] = {0x9e, 0x7c, 0xa9, 0x22, 0x23, 0x78, 0x63, 0x40};
static const uint8_t id_context[] = {0x37, 0xcb, 0xf3, 0x21, 0x00, 0x17, 0xa2, 0xd3};
static const uint8_t client[] = {1}, server[] = {2};

static struct copse_oscore_context context;
static struct copse_oscore *oscore;
static void *memory;

static char kept[PLUGTEST_TEXT_MAX + 1] = "protected\n";

/* Whether the request came as it should; the response says so where it did not. */
static bool is_protected(const struct copse_request *rq, struct copse_response *rs)
{
	const bool good = copse_oscore_of(oscore, rq->exchange) == &context;
	if (!good)
		rs->code = COPSE_CODE_UNAUTHORIZED;
	return good;
}

static void oscore_get(const struct copse_request *rq, struct copse_response *rs)
{
	if (is_protected(rq, rs))
		copse_response_text(rs, kept);
}

static void oscore_put(const struct copse_request *rq, struct copse_response *rs)
{
	const size_t n = rq->body_len < PLUGTEST_TEXT_MAX ? rq->body_len : PLUGTEST_TEXT_MAX;
	if (!is_protected(rq, rs))
		return;
	memcpy(kept, rq->body, n);
	kept[n] = '\0';
}

/* It goes on existing, empty. */
static void oscore_delete(const struct copse_request *rq, struct copse_response *rs)
{
	if (is_protected(rq, rs))
		kept[0] = '\0';
}

static const struct copse_resource resources[] = {
    {.path = "oscore",
     .get = oscore_get,
     .put = oscore_put,
     .delete = oscore_delete,
     .title = "Protected from end to end"},
};

PLUGTEST_GROUP(oscore, resources);

bool plugtest_oscore_start(struct copse_endpoint *ep)
{
	const struct copse_oscore_params params = {.secret = secret,
						   .secret_len = sizeof secret,
						   .salt = salt,
						   .salt_len = sizeof salt,
						   .sender_id = server,
						   .sender_id_len = sizeof server,
						   .recipient_id = client,
						   .recipient_id_len = sizeof client,
						   .id_context = id_context,
						   .id_context_len = sizeof id_context};
	struct copse_oscore_config config = COPSE_OSCORE_DEFAULT;
	copse_host_random(config.seed, sizeof config.seed);
	memory = copse_mem_new(1, copse_oscore_bytes(&config));
	if (!memory || copse_oscore_init(&context, &params, &copse_oscore_gnutls) != 0)
		return false;
	oscore = copse_oscore_attach(memory, copse_oscore_bytes(&config), &config, ep);
	return copse_oscore_add(oscore, &context) == 0;
}

void plugtest_oscore_stop(void)
{
	copse_mem_free(memory);
	memory = NULL;
}
