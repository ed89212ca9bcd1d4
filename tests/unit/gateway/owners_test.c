/* Which worker a device belongs to: whoever asks first, in shares, for good; also when many ask at once and when there are
 * too many devices.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gateway/owners.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY 90000u /* more than GW_OWNERS_MAX */

static struct copse_address device(unsigned i)
{
	struct copse_address a;
	char text[40];

	if (i & 1)
		snprintf(text, sizeof(text), "[fd00::%x:%x]:5683", i >> 16, i & 0xffff);
	else
		snprintf(text, sizeof(text), "10.0.%u.1:%u", i >> 16, 1 + (i & 0xffff));
	assert_int_equal(copse_address_parse(text, 0, &a), 0);
	return a;
}

static void first_needs(void **state)
{
	struct gw_owners *o = gw_owners_new(3, true);
	(void)state;

	for (unsigned i = 0; i < 300; i++) {
		struct copse_address a = device(i), again = device(i);
		assert_int_equal(gw_owners_of(o, &a, i % 3), i % 3);
		for (unsigned who = 0; who < 3; who++)
			assert_int_equal(gw_owners_of(o, &again, who), i % 3);
	}
	for (unsigned who = 0; who < 3; who++)
		assert_int_equal(gw_owners_count(o, who), 100);
	gw_owners_free(o);
}

/* Without claims it is the address alone: who asks does not matter, and nothing is entered. */
static void by_address(void **state)
{
	struct gw_owners *o = gw_owners_new(3, false);
	unsigned n[3] = {0};
	(void)state;

	for (unsigned i = 0; i < 3000; i++) {
		struct copse_address a = device(i);
		unsigned owner = gw_owners_of(o, &a, 0);
		assert_true(owner < 3);
		assert_int_equal(gw_owners_of(o, &a, 1), owner);
		n[owner]++;
	}
	/* ten standard deviations */
	for (unsigned who = 0; who < 3; who++) {
		assert_in_range(n[who], 740, 1260);
		assert_int_equal(gw_owners_count(o, who), 0);
	}
	gw_owners_free(o);
}

/* The same address at another port is another device. */
static void ports(void **state)
{
	struct gw_owners *o = gw_owners_new(2, true);
	struct copse_address a, b;
	(void)state;

	assert_int_equal(copse_address_parse("10.0.0.1:5683", 0, &a), 0);
	assert_int_equal(copse_address_parse("10.0.0.1:5684", 0, &b), 0);
	assert_int_equal(gw_owners_of(o, &a, 0), 0);
	assert_int_equal(gw_owners_of(o, &b, 1), 1);
	assert_int_equal(gw_owners_of(o, &a, 1), 0);
	gw_owners_free(o);
}

/* One worker alone asks for all: it gets a quarter more than its share and a few, the others the rest. */
static void shares(void **state)
{
	struct gw_owners *o = gw_owners_new(4, true);
	unsigned n[4] = {0};
	(void)state;

	for (unsigned i = 0; i < 4000; i++) {
		struct copse_address a = device(i);
		unsigned owner = gw_owners_of(o, &a, 2);
		assert_true(owner < 4);
		n[owner]++;
		if (i < 8)
			assert_int_equal(owner, 2);
	}
	assert_in_range(n[2], 1250, 1250 + 16);
	for (unsigned who = 0; who < 4; who++) {
		assert_int_equal(gw_owners_count(o, who), n[who]);
		if (who != 2)
			assert_in_range(n[who], 900, 925);
	}
	gw_owners_free(o);
}

/* More than there are places for: each still has one owner, and shares stay as the hash deals them. */
static void too_many(void **state)
{
	static uint8_t owner[MANY];
	struct gw_owners *o = gw_owners_new(2, true);
	unsigned n[2] = {0};
	(void)state;

	for (unsigned i = 0; i < MANY; i++) {
		struct copse_address a = device(i);
		owner[i] = (uint8_t)gw_owners_of(o, &a, i & 1);
		n[owner[i]]++;
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct copse_address a = device(i);
		assert_int_equal(gw_owners_of(o, &a, 0), owner[i]);
		assert_int_equal(gw_owners_of(o, &a, 1), owner[i]);
	}
	assert_true(gw_owners_count(o, 0) + gw_owners_count(o, 1) <= GW_OWNERS_MAX);
	assert_true(gw_owners_count(o, 0) + gw_owners_count(o, 1) > GW_OWNERS_MAX / 2);
	assert_in_range(n[0], MANY * 2 / 5, MANY * 3 / 5);
	gw_owners_free(o);
}

struct asker {
	struct gw_owners *owners;
	unsigned who;
	uint8_t found[MANY];
};

static void *ask_all(void *self)
{
	struct asker *a = self;

	for (unsigned i = 0; i < MANY; i++) {
		struct copse_address of = device(i);
		a->found[i] = (uint8_t)gw_owners_of(a->owners, &of, a->who);
	}
	return NULL;
}

/* Four at the same time, each for itself, come to the same end. */
static void at_once(void **state)
{
	static struct asker asker[4];
	struct gw_owners *o = gw_owners_new(4, true);
	pthread_t thread[4];
	(void)state;

	for (unsigned k = 0; k < 4; k++) {
		asker[k].owners = o;
		asker[k].who = k;
		assert_int_equal(pthread_create(&thread[k], NULL, ask_all, &asker[k]), 0);
	}
	for (unsigned k = 0; k < 4; k++)
		assert_int_equal(pthread_join(thread[k], NULL), 0);
	for (unsigned k = 1; k < 4; k++)
		assert_memory_equal(asker[k].found, asker[0].found, MANY);
	gw_owners_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_needs), cmocka_unit_test(by_address), cmocka_unit_test(ports),
	    cmocka_unit_test(shares),      cmocka_unit_test(too_many),   cmocka_unit_test(at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
