/* The tables of shared observations: who is found by what, who is behind, what the bounds are.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/table.h"
#include "gateway/observation.h"

#define OBSERVERS 64

static struct gw_observations *all;

static int set_up(void **state)
{
	const struct gw_observe_bounds bounds = {
	    .observations = 2, .observers = OBSERVERS, .message_len = 100};
	const uint64_t key[2] = {1, 2};

	(void)state;
	all = gw_observations_new(&bounds, key);
	return all ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	gw_observations_free(all);
	return 0;
}

static struct copse_peer peer_of(uint8_t number)
{
	return (struct copse_peer){.len = 2, .key = {127, number}};
}

static struct gw_observation *make(uint64_t key)
{
	return gw_observation_new(all, &(struct gw_cache_key){.id = {key, 7}});
}

static struct gw_observer *add(struct gw_observation *ob, uint8_t client, const char *token)
{
	const struct copse_peer peer = peer_of(client);

	return gw_observer_new(all, ob, &peer, token, strlen(token));
}

static struct gw_observer *find(uint8_t client, const char *token)
{
	const struct copse_peer peer = peer_of(client);

	return gw_observer_find(all, &peer, token, strlen(token));
}

static struct gw_observer *told(uint8_t client, uint16_t id)
{
	const struct copse_peer peer = peer_of(client);

	return gw_observer_told(all, &peer, id);
}

static struct gw_observe_usage usage(void)
{
	struct gw_observe_usage u;

	gw_observations_usage(all, &u);
	return u;
}

/* By its key, until it is hidden; a hidden one and its successor are two. */
static void test_keys(void **state)
{
	struct gw_observation *one = make(1), *again;
	const struct gw_cache_key key = {.id = {1, 7}}, other = {.id = {2, 7}};

	(void)state;
	assert_ptr_equal(gw_observation_find(all, &key), one);
	assert_null(gw_observation_find(all, &other));
	gw_observation_hide(all, one);
	assert_null(gw_observation_find(all, &key));
	again = make(1);
	assert_ptr_equal(gw_observation_find(all, &key), again);
	gw_observation_free(all, one);
	assert_ptr_equal(gw_observation_find(all, &key), again);
	gw_observation_free(all, again);
	assert_int_equal(usage().observations, 0);
}

static void test_bounds(void **state)
{
	struct gw_observation *one = make(1), *two = make(2);
	const struct copse_peer peer = peer_of(1);

	(void)state;
	assert_false(gw_observations_room(all));
	assert_null(make(3));
	for (uint8_t i = 0; i < OBSERVERS; i++) {
		assert_true(gw_observers_room(all, 0));
		assert_false(gw_observers_room(all, OBSERVERS - i));
		assert_non_null(add(i % 2 ? one : two, i, "t"));
	}
	assert_false(gw_observers_room(all, 0));
	assert_null(add(one, OBSERVERS, "t"));
	assert_null(gw_observer_new(all, one, &peer, "nine bytes", 9)); /* longer than a token here may be */
	for (uint8_t i = 0; i < OBSERVERS; i++)
		gw_observer_free(all, find(i, "t"));
	gw_observation_free(all, one);
	gw_observation_free(all, two);
	assert_int_equal(usage().observations + usage().observers, 0);
	assert_non_null(make(3));
}

/* The same token at two addresses, two tokens at one, the empty one too: different observers. */
static void test_observers(void **state)
{
	struct gw_observation *ob = make(1);
	struct gw_observer *a = add(ob, 1, "t"), *b = add(ob, 2, "t"), *c = add(ob, 1, "u"),
			   *d = add(ob, 1, "");
	const struct copse_peer first = peer_of(1);

	(void)state;
	assert_ptr_equal(find(1, "t"), a);
	assert_ptr_equal(find(2, "t"), b);
	assert_ptr_equal(find(1, "u"), c);
	assert_ptr_equal(find(1, ""), d);
	assert_null(find(2, "u"));
	assert_null(find(1, "tu"));
	assert_int_equal(gw_observers_of(all, &first, 10), 3);
	assert_int_equal(gw_observers_of(all, &first, 2), 2);
	gw_observer_free(all, a);
	assert_null(find(1, "t"));
	assert_ptr_equal(find(2, "t"), b);
	assert_int_equal(gw_observation_observers(ob), 3);
}

/* A change moves all who knew behind those who were behind already, in their order. */
static void test_order(void **state)
{
	struct gw_observation *ob = make(1);
	struct gw_observer *o[4] = {add(ob, 0, "t"), add(ob, 1, "t"), add(ob, 2, "t"), add(ob, 3, "t")};
	const unsigned order[4] = {2, 0, 1, 3};

	(void)state;
	assert_null(gw_observation_behind(ob));
	gw_observation_changed(make(2)); /* without observers */
	gw_observer_behind(all, o[2]);
	gw_observation_changed(ob);
	gw_observation_changed(ob);
	for (unsigned i = 0; i < 4; i++) {
		assert_ptr_equal(gw_observation_behind(ob), o[order[i]]);
		gw_observer_idle(all, o[order[i]]);
	}
	assert_null(gw_observation_behind(ob));
	assert_non_null(gw_observation_any(ob));
}

/* A Reset finds an observer by the newest two messages, at its own address alone. */
static void test_told(void **state)
{
	struct gw_observation *ob = make(1);
	struct gw_observer *o = add(ob, 1, "t");

	(void)state;
	add(ob, 2, "t");
	assert_null(told(1, 0)); /* it was told nothing yet */
	gw_observer_tell(o, 10);
	assert_null(told(1, 0));
	gw_observer_tell(o, 11);
	assert_ptr_equal(told(1, 10), o);
	assert_ptr_equal(told(1, 11), o);
	assert_null(told(2, 11));
	gw_observer_tell(o, 12);
	assert_null(told(1, 10));
	assert_ptr_equal(told(1, 12), o);
}

static void test_timers(void **state)
{
	struct gw_observation *one = make(1), *two = make(2);

	(void)state;
	assert_true(gw_observations_deadline(all) == COPSE_NEVER);
	gw_observation_set(all, one, 20);
	gw_observation_set(all, two, 10);
	assert_true(gw_observations_deadline(all) == 10);
	assert_null(gw_observation_due(all, 9));
	assert_ptr_equal(gw_observation_due(all, 10), two);
	gw_observation_set(all, two, COPSE_NEVER);
	gw_observation_free(all, one);
	assert_true(gw_observations_deadline(all) == COPSE_NEVER);
}

/* What an event carries is told apart from what lies elsewhere. */
static void test_pointers(void **state)
{
	struct gw_observation *ob = make(1);
	struct gw_observer *o = add(ob, 1, "t");

	(void)state;
	assert_ptr_equal(gw_observation_of(all, ob), ob);
	assert_null(gw_observation_of(all, o));
	assert_null(gw_observation_of(all, NULL));
	assert_ptr_equal(gw_observer_of(all, o), o);
	assert_null(gw_observer_of(all, ob));
	assert_ptr_equal(gw_observer_at(all, gw_observer_number(all, o)), o);
	assert_ptr_equal(gw_observer_observation(all, o), ob);
}

/* The record and its share of two tables, where the number of observers is a power of two. */
static void test_memory(void **state)
{
	const size_t slots = 2 * (size_t)core_table_slots(16384) * sizeof(struct core_slot) / 16384;

	(void)state;
	assert_true(sizeof(void *) > 8 || sizeof(struct gw_observer) + slots <= 128);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_keys), TEST(test_bounds), TEST(test_observers), TEST(test_order),
	    TEST(test_told), TEST(test_timers), TEST(test_pointers),  TEST(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
