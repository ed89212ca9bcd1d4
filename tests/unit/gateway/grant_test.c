/* Grants: shared by equals, gone with the last holder, and what they allow.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/grant.h"

static const uint64_t key[2] = {1, 2};

static struct gw_grant grant_of(const char *allow, const char *deny)
{
	struct gw_grant g;

	memset(&g, 0, sizeof(g));
	g.limited = allow != NULL;
	if (allow && allow[0])
		assert_null(gw_rule_parse(allow, strlen(allow), &g.rule[g.allow_n++]));
	if (deny) {
		g.deny_n = 1;
		assert_null(gw_rule_parse(deny, strlen(deny), &g.rule[g.allow_n]));
	}
	return g;
}

static void test_sharing(void **state)
{
	struct gw_grants *t = gw_grants_new(2, key);
	struct gw_grant a = grant_of("get a", NULL), b = grant_of("get b", NULL), c = grant_of(NULL, "get a");

	(void)state;
	uint32_t one = gw_grants_take(t, &a);
	assert_int_not_equal(one, 0);
	assert_int_equal(gw_grants_take(t, &a), one);
	uint32_t two = gw_grants_take(t, &b);
	assert_int_not_equal(two, one);
	assert_int_equal(gw_grants_take(t, &c), 0); /* full */
	gw_grants_release(t, one);
	assert_int_equal(gw_grants_take(t, &c), 0); /* somebody still has it */
	assert_memory_equal(gw_grants_at(t, one), &a, sizeof(a));
	gw_grants_release(t, one);
	assert_int_equal(gw_grants_count(t), 1);
	uint32_t three = gw_grants_take(t, &c);
	assert_int_not_equal(three, 0);
	assert_memory_equal(gw_grants_at(t, three), &c, sizeof(c));
	assert_memory_equal(gw_grants_at(t, two), &b, sizeof(b));
	gw_grants_release(t, 0);
	assert_null(gw_grants_at(t, 0));
	gw_grants_free(t);
	gw_grants_free(NULL);
}

static bool allows(const struct gw_grant *g, uint8_t method, const char *device)
{
	uint8_t bytes[8] = {0x40, method, 0, 1};
	struct copse_message m;

	assert_int_equal(copse_message_parse(&m, bytes, 4), 0);
	return gw_grant_allows(g, &m, device, "");
}

static void test_what_is_allowed(void **state)
{
	struct gw_grant get_a = grant_of("get a*", NULL), not_a = grant_of(NULL, "* a"),
			both = grant_of("* *", "put a"), nothing = grant_of("", NULL),
			none = grant_of(NULL, NULL);

	(void)state;
	assert_true(allows(NULL, COPSE_CODE_PUT, "a"));
	assert_true(allows(&get_a, COPSE_CODE_GET, "ab"));
	assert_false(allows(&get_a, COPSE_CODE_PUT, "ab"));
	assert_false(allows(&get_a, COPSE_CODE_GET, "b"));
	assert_false(allows(&not_a, COPSE_CODE_GET, "a"));
	assert_true(allows(&not_a, COPSE_CODE_GET, "b"));
	assert_false(allows(&both, COPSE_CODE_PUT, "a")); /* what denies goes first */
	assert_true(allows(&both, COPSE_CODE_GET, "a"));
	assert_false(allows(&nothing, COPSE_CODE_GET, "a"));
	assert_false(gw_grant_is_empty(&nothing));
	assert_true(gw_grant_is_empty(&none));
	assert_true(allows(&none, COPSE_CODE_GET, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sharing),
					   cmocka_unit_test(test_what_is_allowed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
