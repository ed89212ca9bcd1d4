/* What is known about requests: found by the same bytes and rights alone, gone with the configuration, and bounded.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/siphash.h"
#include "gateway/memo.h"

static const uint64_t key[2] = {1, 2};

static struct gw_memo_question about(const char *text)
{
	return (struct gw_memo_question){
	    .bytes = (const uint8_t *)text, .len = strlen(text), .grant = 7, .directory = 3, .code = 1};
}

static void put(struct gw_memo *t, const struct gw_memo_question *q, uint16_t class)
{
	struct gw_memo_entry *e = gw_memo_put(t, q);

	if (!e) /* the first of its kind */
		e = gw_memo_put(t, q);
	assert_non_null(e);
	e->class = class;
	e->by_directory = false;
}

static int found(struct gw_memo *t, const struct gw_memo_question *q)
{
	const struct gw_memo_entry *e = gw_memo_find(t, q);

	return e ? e->class : -1;
}

static void test_same_alone(void **state)
{
	struct gw_memo *t = gw_memo_new(64, key);
	struct gw_memo_question q = about("coap://d/a");

	(void)state;
	assert_int_equal(found(t, &q), -1);
	put(t, &q, 5);
	assert_int_equal(found(t, &q), 5);
	q = about("coap://d/b");
	assert_int_equal(found(t, &q), -1);
	q = about("coap://d/");
	assert_int_equal(found(t, &q), -1);
	q = about("coap://d/a");
	q.code = 2;
	assert_int_equal(found(t, &q), -1);
	q = about("coap://d/a");
	q.grant = 8;
	assert_int_equal(found(t, &q), -1);
	q = about("coap://d/a");
	q.by_account = true;
	assert_int_equal(found(t, &q), -1);
	q = about("");
	assert_int_equal(found(t, &q), -1); /* places that were never used are no answers */
	gw_memo_free(t);
	gw_memo_free(NULL);
}

/* Two questions of one hash of 64 bits, of the same place therefore: told apart by their bytes. */
static void test_collision(void **state)
{
	struct gw_memo *t = gw_memo_new(2, key);
	struct gw_memo_question one = about("one"), two = about("two");
	const uint64_t step = 0x9e3779b97f4a7c15u;
	uint64_t inverse = step, wanted;

	(void)state;
	for (int i = 0; i < 6; i++)
		inverse *= 2 - step * inverse;
	assert_true(inverse * step == 1);
	wanted = core_siphash(key, "one", 3, 1, 3) ^ one.grant * step ^ core_siphash(key, "two", 3, 1, 3);
	two.grant = wanted * inverse;
	put(t, &one, 1);
	const struct gw_memo_entry *first = gw_memo_find(t, &one);
	const uint64_t hash = first->hash;
	assert_int_equal(gw_memo_find(t, &one)->class, 1);
	put(t, &two, 2); /* as if it were the same */
	assert_int_equal(gw_memo_find(t, &two)->hash, hash);
	assert_int_equal(found(t, &one), -1);
	put(t, &one, 1);
	assert_int_equal(found(t, &one), 1);
	assert_int_equal(found(t, &two), -1);
	put(t, &two, 2);
	one.grant = two.grant; /* the same place, the same rights, other bytes */
	assert_int_equal(found(t, &one), -1);
	gw_memo_free(t);
}

static void test_forget(void **state)
{
	struct gw_memo *t = gw_memo_new(64, key);
	struct gw_memo_question q = about("coap://d/a"), other = about("coap://registered/a");

	(void)state;
	put(t, &q, 1);
	assert_null(gw_memo_put(t, &other));
	struct gw_memo_entry *e = gw_memo_put(t, &other);
	e->by_directory = true;
	e->class = 0;
	assert_int_equal(found(t, &other), 0);
	other.directory++;
	q.directory++;
	assert_int_equal(found(t, &other), -1); /* what the directory had no part in stays */
	assert_int_equal(found(t, &q), 1);
	gw_memo_forget(t);
	assert_int_equal(found(t, &q), -1);
	put(t, &q, 2);
	assert_int_equal(found(t, &q), 2);
	gw_memo_free(t);
}

/* What came once is not kept, and drives nothing out. */
static void test_first(void **state)
{
	struct gw_memo *t = gw_memo_new(2, key);
	struct gw_memo_question a = about("a"), b = about("b"), c = about("c");

	(void)state;
	put(t, &a, 1);
	put(t, &b, 2);
	for (int i = 0; i < 3; i++) {
		assert_null(gw_memo_put(t, &c));
		c.grant++;
	}
	assert_int_equal(found(t, &a), 1);
	assert_int_equal(found(t, &b), 2);
	gw_memo_free(t);
}

/* Of two in a place the one that was used last stays. */
static void test_bound(void **state)
{
	struct gw_memo *t = gw_memo_new(2, key);
	struct gw_memo_question a = about("a"), b = about("b"), c = about("c"), d = about("d");

	(void)state;
	put(t, &a, 1);
	put(t, &b, 2);
	assert_int_equal(found(t, &a), 1);
	put(t, &c, 3);
	assert_int_equal(found(t, &b), -1);
	assert_int_equal(found(t, &c), 3);
	assert_int_equal(found(t, &a), 1);
	put(t, &d, 4);
	assert_int_equal(found(t, &c), -1);
	assert_int_equal(found(t, &a), 1);
	assert_int_equal(found(t, &d), 4);
	gw_memo_free(t);
}

static void test_longest(void **state)
{
	struct gw_memo *t = gw_memo_new(2, key);
	char text[GW_MEMO_KEY + 1];
	struct gw_memo_question q;

	(void)state;
	memset(text, 'x', GW_MEMO_KEY);
	text[GW_MEMO_KEY] = 0;
	q = about(text);
	put(t, &q, 9);
	assert_int_equal(found(t, &q), 9);
	text[GW_MEMO_KEY - 1] = 'y';
	assert_int_equal(found(t, &q), -1);
	gw_memo_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_alone), cmocka_unit_test(test_collision),
	    cmocka_unit_test(test_forget),     cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_longest),    cmocka_unit_test(test_first)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
