/* Cache-keys (RFC 7252 §5.6): what makes two requests one, and what does not.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/cache_key.h"

static uint8_t scratch[2048 + GW_KEY_SCRATCH];
static const struct gw_key_maker maker = {{1, 2, 3, 4}, scratch, sizeof(scratch)};
static const struct copse_peer peer1 = {.len = 2, .key = {1, 1}}, peer2 = {.len = 2, .key = {1, 2}};
static uint8_t bytes[2048];
static struct copse_builder b;

static void begin(uint8_t code, const char *path)
{
	copse_build_message(&b, bytes, sizeof(bytes), COPSE_CON, code, 1, "tok", 3);
	if (path)
		copse_build_option(&b, COPSE_OPTION_URI_PATH, path, strlen(path));
}

static struct copse_message *parse(void)
{
	static struct copse_message m;
	int n = copse_build_finish(&b);

	assert_true(n > 0);
	assert_int_equal(copse_message_parse(&m, bytes, (size_t)n), 0);
	return &m;
}

static struct gw_cache_key made_for(const struct copse_peer *peer, const char *account, bool secure)
{
	const struct gw_key_scope scope = {peer, account, secure};
	struct gw_cache_key key;

	gw_cache_key_make(&maker, parse(), &scope, &key);
	return key;
}

static struct gw_cache_key made(void)
{
	return made_for(&peer1, NULL, false);
}

static struct gw_cache_key simple(void)
{
	begin(COPSE_CODE_GET, "a");
	return made();
}

#define SAME(key, other)      assert_true(gw_cache_key_equal(&(key), &(other)))
#define DIFFERENT(key, other) assert_false(gw_cache_key_equal(&(key), &(other)))

static void test_what_counts(void **state)
{
	static const uint16_t counting[] = {
	    COPSE_OPTION_URI_QUERY,   COPSE_OPTION_ACCEPT,
	    COPSE_OPTION_IF_MATCH,    COPSE_OPTION_URI_HOST,
	    COPSE_OPTION_REQUEST_TAG, 65000 /* nobody knows it, and its bits say so */};
	static const uint16_t idle[] = {COPSE_OPTION_ETAG,
					COPSE_OPTION_SIZE1,
					COPSE_OPTION_SIZE2,
					COPSE_OPTION_ECHO,
					COPSE_OPTION_BLOCK2,
					COPSE_OPTION_HOP_LIMIT,
					65020 /* & 0x1e == 0x1c */};
	struct gw_cache_key first = simple(), again = simple();

	(void)state;
	SAME(first, again);
	for (size_t i = 0; i < sizeof(counting) / sizeof(*counting); i++) {
		begin(COPSE_CODE_GET, "a");
		copse_build_raw(&b, counting[i], "\x01", 1);
		struct gw_cache_key key = made();
		DIFFERENT(first, key);
		assert_int_equal(first.uri, key.uri); /* one resource all the same */
	}
	for (size_t i = 0; i < sizeof(idle) / sizeof(*idle); i++) {
		begin(COPSE_CODE_GET, "a");
		copse_build_raw(&b, idle[i], "\x01", 1);
		struct gw_cache_key key = made();
		SAME(first, key);
	}
	begin(COPSE_CODE_GET, "b");
	struct gw_cache_key key = made();
	DIFFERENT(first, key);
	assert_true(first.uri != key.uri);
	begin(COPSE_CODE_GET, NULL);
	key = made();
	DIFFERENT(first, key);
	assert_true(first.uri != key.uri);
}

static void test_scope(void **state)
{
	struct gw_cache_key first = simple(), other;

	(void)state;
	other = made_for(&peer2, NULL, false);
	DIFFERENT(first, other);
	assert_true(first.uri != other.uri);
	/* each worker has a socket of its own towards the same device, and all have one name for what it has */
	const struct copse_peer by_one = {.len = 4, .key = {0, 1, 10, 1}},
				by_other = {.len = 4, .key = {0, 9, 10, 1}},
				another = {.len = 4, .key = {0, 1, 10, 2}};
	struct gw_cache_key one = made_for(&by_one, NULL, false);
	other = made_for(&by_other, NULL, false);
	SAME(one, other);
	assert_true(one.uri == other.uri);
	other = made_for(&another, NULL, false);
	DIFFERENT(one, other);
	assert_true(one.uri != other.uri);
	other = made_for(&peer1, NULL, true); /* secure and clear share nothing, but it is one resource */
	DIFFERENT(first, other);
	assert_true(first.uri == other.uri);
	other = made_for(&peer1, "me", false);
	DIFFERENT(first, other);
	assert_true(first.uri == other.uri);
	struct gw_cache_key you = made_for(&peer1, "you", false), nobody = made_for(&peer1, "", false);
	DIFFERENT(other, you);
	DIFFERENT(first, nobody);
}

/* Lengths stand before what they count: moving a byte from one place to its neighbour is another request. */
static void test_no_ambiguity(void **state)
{
	struct gw_cache_key one, two;

	(void)state;
	begin(COPSE_CODE_GET, "ab");
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "c", 1);
	one = made();
	begin(COPSE_CODE_GET, "a");
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "bc", 2);
	two = made();
	DIFFERENT(one, two);
	assert_true(one.uri != two.uri);
	begin(COPSE_CODE_GET, "a/b");
	one = made();
	begin(COPSE_CODE_GET, "a");
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "b", 1);
	two = made();
	DIFFERENT(one, two);
	assert_true(one.uri != two.uri);
	begin(COPSE_CODE_GET, "a");
	copse_build_option(&b, COPSE_OPTION_URI_QUERY, "x", 1);
	copse_build_option(&b, COPSE_OPTION_URI_QUERY, "y", 1);
	one = made();
	begin(COPSE_CODE_GET, "a"); /* the order of arguments is part of the URI */
	copse_build_option(&b, COPSE_OPTION_URI_QUERY, "y", 1);
	copse_build_option(&b, COPSE_OPTION_URI_QUERY, "x", 1);
	two = made();
	DIFFERENT(one, two);
}

static void test_fetch(void **state)
{
	struct gw_cache_key get = simple(), one, two, none;

	(void)state;
	begin(COPSE_CODE_FETCH, "a");
	none = made();
	DIFFERENT(get, none);
	begin(COPSE_CODE_FETCH, "a");
	copse_build_payload(&b, "one", 3);
	one = made();
	begin(COPSE_CODE_FETCH, "a");
	copse_build_payload(&b, "two", 3);
	two = made();
	DIFFERENT(one, two);
	DIFFERENT(one, none);
	begin(COPSE_CODE_FETCH, "a");
	copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, 60);
	copse_build_payload(&b, "one", 3);
	two = made();
	DIFFERENT(one, two);
	begin(COPSE_CODE_GET, "a"); /* of GET a payload says nothing (RFC 7252 §5.8.1) */
	copse_build_payload(&b, "one", 3);
	two = made();
	SAME(get, two);
}

static void test_join(void **state)
{
	struct gw_cache_key plain = simple(), joined, with;

	(void)state;
	gw_join_key_make(&maker, parse(), &plain, &joined);
	SAME(plain, joined);
	begin(COPSE_CODE_GET, "a");
	copse_build_option(&b, COPSE_OPTION_ETAG, "e", 1);
	gw_join_key_make(&maker, parse(), &plain, &with);
	DIFFERENT(plain, with);
	assert_true(plain.uri == with.uri);
	copse_build_option(&b, COPSE_OPTION_ETAG, "f", 1);
	gw_join_key_make(&maker, parse(), &plain, &joined);
	DIFFERENT(joined, with);
}

static void test_location(void **state)
{
	uint64_t uri = 0;

	(void)state;
	begin(COPSE_CODE_CREATED, NULL);
	assert_false(gw_location_uri(&maker, parse(), &peer1, &uri));
	begin(COPSE_CODE_CREATED, NULL);
	copse_build_option(&b, COPSE_OPTION_LOCATION_PATH, "a", 1);
	copse_build_option(&b, COPSE_OPTION_LOCATION_QUERY, "x", 1);
	assert_true(gw_location_uri(&maker, parse(), &peer1, &uri));
	assert_true(uri == simple().uri);
}

/* As many options as a message may have, in the scratch that is promised to be enough. */
static void test_largest(void **state)
{
	static uint8_t exact[700 + GW_KEY_SCRATCH];
	char account[96];
	struct gw_key_maker tight = maker;
	struct copse_peer peer = {.len = COPSE_PEER_KEY_MAX};

	(void)state;
	memset(account, 'a', 95);
	account[95] = 0;
	begin(COPSE_CODE_FETCH, NULL);
	for (int i = 0; i < COPSE_MESSAGE_OPTIONS; i++)
		copse_build_option(&b, COPSE_OPTION_URI_PATH, "seg", i & 3);
	copse_build_payload(&b, scratch, 400);
	const struct gw_key_scope scope = {&peer, account, true};
	struct gw_cache_key key;
	const struct copse_message *m = parse();
	tight.scratch = exact;
	tight.scratch_cap = (size_t)m->len + GW_KEY_SCRATCH;
	assert_true(tight.scratch_cap <= sizeof(exact));
	gw_cache_key_make(&tight, m, &scope, &key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_counts),  cmocka_unit_test(test_scope),
	    cmocka_unit_test(test_no_ambiguity), cmocka_unit_test(test_fetch),
	    cmocka_unit_test(test_join),         cmocka_unit_test(test_location),
	    cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
