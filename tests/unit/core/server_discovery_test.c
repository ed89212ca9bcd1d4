/* /.well-known/core (RFC 6690): what is listed, filters, blocks.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/core/server_bench.h"

static void nothing(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	(void)rs;
}

static const uint16_t several[] = {0, 41, 50, 60, COPSE_FORMATS_END};
static const uint16_t one[] = {40, COPSE_FORMATS_END};

static const struct copse_resource resources[] = {
    {.path = "link1", .get = nothing, .rt = "Type1 Type2", .interface = "If1"},
    {.path = "link2", .get = nothing, .rt = "Type2 Type3", .interface = "If2"},
    {.path = "link3", .get = nothing, .rt = "Type1 Type3", .interface = "foo"},
    {.path = "large", .get = nothing, .rt = "block", .sz = 1280},
    {.path = "obs", .get = nothing, .rt = "observe", .flags = COPSE_RESOURCE_OBSERVABLE},
    {.path = "path", .get = nothing, .formats = one},
    {.path = "multi", .get = nothing, .formats = several},
    {.path = "hidden", .get = nothing, .flags = COPSE_RESOURCE_HIDDEN},
    {.path = "store/**", .get = nothing},
    {.path = "dev/*/x", .get = nothing},
    {.path = "caf\xc3\xa9 %", .get = nothing, .title = "say \"hi\" \\ there"},
    {.path = "", .get = nothing, .title = "root"},
};

static struct srv *listed(const struct copse_server_config *c)
{
	struct srv *b = srv_new(c);
	assert_int_equal(copse_server_add_all(b->server, resources, sizeof resources / sizeof *resources), 0);
	return b;
}

static const char everything[] = "</>;title=\"root\","
				 "</link1>;rt=\"Type1 Type2\";if=\"If1\","
				 "</link2>;rt=\"Type2 Type3\";if=\"If2\","
				 "</link3>;rt=\"Type1 Type3\";if=\"foo\","
				 "</large>;rt=\"block\";sz=1280,"
				 "</obs>;rt=\"observe\";obs,"
				 "</path>;ct=40,"
				 "</multi>;ct=\"0 41 50 60\","
				 "</store>,"
				 "</caf%C3%A9%20%25>;title=\"say \\\"hi\\\" \\\\ there\"";

static void all(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	struct srv *b = listed(&c);
	assert_true(get(b, ".well-known/core"));
	expect_code(b, CONTENT);
	expect_uint(b, CONTENT_FORMAT, COPSE_FORMAT_LINK);
	expect_body(b, everything);
	ask(b, COPSE_CODE_GET, ".well-known/core");
	copse_build_uint(&b->rq, COPSE_OPTION_ACCEPT, COPSE_FORMAT_JSON);
	assert_true(go(b));
	expect_code(b, NOT_ACCEPTABLE);
	ask(b, COPSE_CODE_PUT, ".well-known/core");
	assert_true(go(b));
	expect_code(b, METHOD_NOT_ALLOWED);
	srv_done(b);
}

static void in_blocks(void **state)
{
	(void)state;
	const struct copse_server_config c = srv_config();
	for (uint32_t size = 16; size <= 64; size *= 2) {
		struct srv *b = listed(&c);
		char text[1000];
		size_t len = 0;
		for (uint32_t num = 0;; num++) {
			const struct copse_block two = block(num, false, size);
			ask(b, COPSE_CODE_GET, ".well-known/core");
			copse_build_block(&b->rq, COPSE_OPTION_BLOCK2, &two);
			assert_true(go(b));
			expect_code(b, CONTENT);
			if (num == 0)
				expect_uint(b, SIZE2, sizeof everything - 1);
			memcpy(text + len, copse_message_payload(&b->rs), b->rs.payload_len);
			len += b->rs.payload_len;
			struct copse_block got = {0, false, 0};
			assert_int_equal(copse_block_read(&b->rs, COPSE_OPTION_BLOCK2, &got), 1);
			if (!got.more)
				break;
		}
		assert_int_equal(len, sizeof everything - 1);
		assert_memory_equal(text, everything, len);
		srv_done(b);
	}
}

static void filters(void **state)
{
	(void)state;
	static const struct {
		const char *query;
		const char *paths; /* each with a blank behind it */
	} cases[] = {
	    {"rt=Type1", "/link1 /link3 "},
	    {"rt=Type2", "/link1 /link2 "},
	    {"rt=Type", ""},
	    {"rt=Type*", "/link1 /link2 /link3 "},
	    {"rt=*", "/link1 /link2 /link3 /large /obs "},
	    {"if=If*", "/link1 /link2 "},
	    {"sz=*", "/large "},
	    {"sz=1280", "/large "},
	    {"sz=12*", "/large "},
	    {"sz=128", ""},
	    {"href=/link1", "/link1 "},
	    {"href=/link*", "/link1 /link2 /link3 "},
	    {"href=link1", ""},
	    {"href=/", "/ "},
	    {"href=/store", "/store "},
	    {"href=*", "/ /link1 /link2 /link3 /large /obs /path /multi /store /caf%C3%A9%20%25 "},
	    {"ct=40", "/path "},
	    {"ct=50", "/multi "},
	    {"ct=4*", "/path /multi "},
	    {"title=root", "/ "},
	    {"title=ro*", "/ "},
	    {"title=say", ""}, /* a title is no list */
	    {"obs", "/obs "},
	    {"nonsense=1", ""},
	    {"rt=Type1&if=foo", "/link3 "},
	    {"rt", "/link1 /link2 /link3 /large /obs "},
	    {"", ""},
	};
	const struct copse_server_config c = srv_config();
	struct srv *b = listed(&c);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char path[60], found[200] = "";
		size_t len = 0;
		snprintf(path, sizeof path, ".well-known/core?%s", cases[i].query);
		assert_true(get(b, path));
		expect_code(b, CONTENT);
		expect_uint(b, CONTENT_FORMAT, COPSE_FORMAT_LINK); /* also when nothing is found */
		const char *p = (const char *)copse_message_payload(&b->rs), *end = p + b->rs.payload_len;
		for (bool inside = false; p < end; p++) {
			if (*p == '<' || *p == '>') {
				inside = *p == '<';
				if (!inside)
					found[len++] = ' ';
			} else if (inside) {
				found[len++] = *p;
			}
		}
		found[len] = '\0';
		if (strcmp(found, cases[i].paths) != 0)
			fail_msg("?%s finds \"%s\", not \"%s\"", cases[i].query, found, cases[i].paths);
	}
	srv_done(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all),
	    cmocka_unit_test(in_blocks),
	    cmocka_unit_test(filters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
