/* The table of sessions: who has one, until when, and what happens at its bounds.
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

#include "gateway/session.h"

static const uint64_t key[2] = {1, 2};
static struct gw_sessions *t;

static struct copse_peer peer(uint32_t n)
{
	struct copse_peer p = {.len = 4};

	memcpy(p.key, &n, 4);
	return p;
}

static void make(uint32_t max)
{
	t = gw_sessions_new(max, 1000, key);
	assert_non_null(t);
}

static int tear_down(void **state)
{
	(void)state;
	gw_sessions_free(t);
	t = NULL;
	return 0;
}

static enum gw_session_result open_at(uint32_t n, const char *account, bool sticky, copse_ms ends,
				      copse_ms now)
{
	struct copse_peer p = peer(n);
	struct gw_session_wish wish = {
	    .peer = &p, .account = account, .ends = ends, .per_account = 3, .sticky = sticky};

	return gw_sessions_open(t, &wish, now, NULL);
}

static struct gw_session *find(uint32_t n, copse_ms now)
{
	struct copse_peer p = peer(n);

	return gw_sessions_find(t, &p, now);
}

static void test_open_find_close(void **state)
{
	(void)state;
	make(4);
	assert_null(find(1, 0));
	assert_int_equal(open_at(1, "a", false, COPSE_NEVER, 0), GW_SESSION_OPENED);
	struct gw_session *s = find(1, 0);
	assert_string_equal(s->account, "a");
	assert_null(find(2, 0));
	assert_int_equal(gw_sessions_count(t), 1);
	uint32_t number = gw_sessions_number(t, s), generation = s->generation;
	assert_ptr_equal(gw_sessions_at(t, number, generation), s);
	gw_sessions_close(t, s);
	assert_null(find(1, 0));
	assert_null(gw_sessions_at(t, number, generation));
	assert_int_equal(open_at(2, "b", false, COPSE_NEVER, 0),
			 GW_SESSION_OPENED); /* takes the same record */
	assert_null(gw_sessions_at(t, number, generation));
	assert_true(gw_sessions_bytes_each() <= 256);
}

static void test_renew(void **state)
{
	(void)state;
	make(4);
	open_at(1, "a", false, 500, 0);
	find(1, 0)->pending = 2;
	assert_int_equal(open_at(1, "a", false, 900, 10), GW_SESSION_RENEWED);
	assert_int_equal(gw_sessions_count(t), 1);
	assert_int_equal(find(1, 10)->pending, 2); /* the same session */
	assert_non_null(find(1, 899));
	assert_null(find(1, 900));
	/* another account's token from the same address: the session changes hands */
	open_at(2, "a", false, COPSE_NEVER, 0);
	assert_int_equal(open_at(2, "b", false, COPSE_NEVER, 0), GW_SESSION_RENEWED);
	assert_string_equal(find(2, 0)->account, "b");
	assert_int_equal(find(2, 0)->pending, 0);
}

static void test_per_account(void **state)
{
	(void)state;
	make(10);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(open_at(i, "a", false, COPSE_NEVER, 0), GW_SESSION_OPENED);
	assert_int_equal(open_at(3, "a", false, COPSE_NEVER, 0), GW_SESSION_LIMIT);
	assert_null(find(3, 0));
	assert_int_equal(open_at(3, "b", false, COPSE_NEVER, 0), GW_SESSION_OPENED);
	assert_int_equal(open_at(3, "a", false, COPSE_NEVER, 0),
			 GW_SESSION_LIMIT); /* neither by changing sides */
	assert_string_equal(find(3, 0)->account, "b");
	assert_int_equal(open_at(1, "a", false, COPSE_NEVER, 0), GW_SESSION_RENEWED);
	gw_sessions_close(t, find(1, 0)); /* out of the middle of the account's list */
	assert_int_equal(open_at(4, "a", false, COPSE_NEVER, 0), GW_SESSION_OPENED);
	assert_int_equal(open_at(5, "a", false, COPSE_NEVER, 0), GW_SESSION_LIMIT);
}

static void test_full(void **state)
{
	(void)state;
	make(2);
	open_at(1, "a", false, COPSE_NEVER, 0);
	open_at(2, "b", false, COPSE_NEVER, 0);
	assert_int_equal(open_at(3, "c", false, COPSE_NEVER, 0), GW_SESSION_FULL);
	assert_int_equal(open_at(3, "a", true, COPSE_NEVER, 0), GW_SESSION_MOVED); /* needs no record */
	assert_int_equal(open_at(2, "b", false, COPSE_NEVER, 0), GW_SESSION_RENEWED);
	gw_sessions_close(t, find(2, 0));
	assert_int_equal(open_at(4, "c", false, COPSE_NEVER, 0), GW_SESSION_OPENED);
}

static void test_sticky(void **state)
{
	(void)state;
	make(4);
	assert_int_equal(open_at(1, "a", true, COPSE_NEVER, 0), GW_SESSION_OPENED);
	uint32_t generation = find(1, 0)->generation;
	find(1, 0)->pending = 1;
	assert_int_equal(open_at(2, "a", true, COPSE_NEVER, 5), GW_SESSION_MOVED);
	assert_null(find(1, 5));
	assert_int_equal(find(2, 5)->pending, 0); /* what is under way belongs to the old address */
	assert_int_not_equal(find(2, 5)->generation, generation);
	assert_int_equal(gw_sessions_count(t), 1);
	/* at an address that has another account's session: that one ends */
	open_at(3, "b", false, COPSE_NEVER, 5);
	assert_int_equal(open_at(3, "a", true, COPSE_NEVER, 5), GW_SESSION_MOVED);
	assert_string_equal(find(3, 5)->account, "a");
	assert_null(find(2, 5));
	assert_int_equal(gw_sessions_count(t), 1);
	assert_int_equal(open_at(3, "a", true, COPSE_NEVER, 5), GW_SESSION_RENEWED);
}

static void test_expiry(void **state)
{
	struct gw_session ended;

	(void)state;
	make(4);
	assert_true(gw_sessions_deadline(t) == COPSE_NEVER);
	open_at(1, "token", false, 600, 0);
	open_at(2, "idle", false, COPSE_NEVER, 0);
	open_at(3, "busy", false, COPSE_NEVER, 0);
	assert_int_equal(gw_sessions_deadline(t), 600);
	assert_false(gw_sessions_expire(t, 599, &ended));
	assert_true(gw_sessions_expire(t, 600, &ended));
	assert_string_equal(ended.account, "token");
	assert_non_null(find(3, 999));
	assert_null(find(2, 1000)); /* due, though not swept yet */
	assert_true(gw_sessions_expire(t, 1000, &ended));
	assert_string_equal(ended.account, "idle");
	assert_false(gw_sessions_expire(t, 1000, &ended));
	assert_int_equal(gw_sessions_deadline(t), 1999); /* the busy one was set anew */
	gw_sessions_set_idle(t, 100);
	assert_null(find(3, 1099));
	assert_true(gw_sessions_expire(t, 1999, &ended));
	assert_int_equal(gw_sessions_count(t), 0);
}

/* Against a plain model: many random operations, and after each the table answers as the model does. */
struct model {
	bool open;
	unsigned account;
};

static void test_random(void **state)
{
	enum { PEERS = 60, MAX = 20 };
	struct model model[PEERS] = {{0}};
	unsigned accounts[8] = {0}, count = 0;
	char name[8];

	(void)state;
	srand(7);
	make(MAX);
	for (int i = 0; i < 20000; i++) {
		uint32_t p = (uint32_t)rand() % PEERS;
		unsigned a = (unsigned)rand() % 8;
		snprintf(name, sizeof(name), "acc%u", a);
		if (rand() % 3 == 0) {
			struct gw_session *s = find(p, 0);
			assert_int_equal(s != NULL, model[p].open);
			if (s) {
				gw_sessions_close(t, s);
				accounts[model[p].account]--;
				count--;
			}
			model[p].open = false;
			continue;
		}
		enum gw_session_result r = open_at(p, name, false, COPSE_NEVER, 0);
		if (model[p].open && (model[p].account == a || accounts[a] < 3)) {
			assert_int_equal(r, GW_SESSION_RENEWED);
			accounts[model[p].account]--;
		} else if (accounts[a] >= 3) {
			assert_int_equal(r, GW_SESSION_LIMIT);
			continue;
		} else if (count == MAX) {
			assert_int_equal(r, GW_SESSION_FULL);
			continue;
		} else {
			assert_int_equal(r, GW_SESSION_OPENED);
			count++;
		}
		accounts[a]++;
		model[p] = (struct model){true, a};
		assert_string_equal(find(p, 0)->account, name);
		assert_int_equal(gw_sessions_count(t), count);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_open_find_close), TEST(test_renew),  TEST(test_per_account), TEST(test_full),
	    TEST(test_sticky),          TEST(test_expiry), TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
