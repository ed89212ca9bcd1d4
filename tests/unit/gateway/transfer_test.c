/* The table of transfers: who is found by what, who waits for whom, who is overdue, what the bounds are.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/transfer.h"

#define CAP  4
#define LEN  100
#define IDLE 1000

static struct gw_transfers *ts;

static int set_up(void **state)
{
	const uint64_t key[2] = {1, 2};

	(void)state;
	ts = gw_transfers_new(CAP, LEN, key);
	return ts ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	gw_transfers_free(ts);
	return 0;
}

static struct copse_peer peer_of(uint8_t number)
{
	return (struct copse_peer){.len = 2, .key = {127, number}};
}

/* Of this client, operation and resource; operations of one resource and one Request-Tag have the same base. */
static struct gw_transfer names_of(uint8_t client, uint64_t id, uint64_t uri)
{
	return (struct gw_transfer){
	    .client = peer_of(client), .id = id, .base = id / 100, .uri = uri, .exclusive = true};
}

static struct gw_transfer *begin(uint8_t client, uint64_t id, uint64_t uri, enum gw_transfer_state state,
				 copse_ms now)
{
	const struct gw_transfer names = names_of(client, id, uri);

	return gw_transfer_begin(ts, &names, state, now);
}

static struct gw_transfer *find(uint8_t client, uint64_t id)
{
	const struct copse_peer peer = peer_of(client);

	return gw_transfer_find(ts, &peer, id);
}

/* By client and operation, both. */
static void test_find(void **state)
{
	(void)state;
	struct gw_transfer *a = begin(1, 500, 7, GW_TRANSFER_SEND, 0);
	struct gw_transfer *b = begin(2, 500, 7, GW_TRANSFER_SEND, 0);
	assert_ptr_equal(find(1, 500), a);
	assert_ptr_equal(find(2, 500), b);
	assert_null(find(3, 500));
	assert_null(find(1, 501));
	assert_ptr_equal(gw_transfer_at(ts, gw_transfer_number(ts, a)), a);
	b->over = true; /* nobody goes on with it */
	assert_null(find(2, 500));
	gw_transfer_end(ts, a);
	assert_null(find(1, 500));
	assert_int_equal(gw_transfers_count(ts), 1);
}

/* An answer is found without the Request-Tag, once it is fetched. */
static void test_find_answer(void **state)
{
	const struct copse_peer mine = peer_of(1), other = peer_of(2);

	(void)state;
	struct gw_transfer *t = begin(1, 501, 7, GW_TRANSFER_SEND, 0);
	assert_null(gw_transfer_find_answer(ts, &mine, 5));
	gw_transfer_enter(ts, t, GW_TRANSFER_RECEIVE);
	assert_ptr_equal(gw_transfer_find_answer(ts, &mine, 5), t);
	assert_null(gw_transfer_find_answer(ts, &mine, 6));
	assert_null(gw_transfer_find_answer(ts, &other, 5));
	t->over = true;
	assert_null(gw_transfer_find_answer(ts, &mine, 5));
}

/* As many as there may be; each keeps a message of its own, and one that ends makes room. */
static void test_full(void **state)
{
	struct gw_transfer *t[CAP];

	(void)state;
	for (uint8_t round = 0; round < 3; round++) {
		for (uint8_t i = 0; i < CAP; i++) {
			t[i] = begin(i, 500, i, GW_TRANSFER_SEND, 0);
			assert_non_null(t[i]);
			memset(t[i]->bytes, i, LEN);
		}
		assert_null(begin(9, 500, 9, GW_TRANSFER_SEND, 0));
		assert_int_equal(gw_transfers_count(ts), CAP);
		for (uint8_t i = 0; i < CAP; i++) {
			assert_int_equal(t[i]->bytes[0], i);
			assert_int_equal(t[i]->bytes[LEN - 1], i);
		}
		gw_transfer_end(ts, t[round]);
		assert_ptr_equal(begin(9, 500, 9, GW_TRANSFER_SEND, 0), t[round]);
		assert_null(begin(8, 500, 8, GW_TRANSFER_SEND, 0));
		for (uint8_t i = 0; i < CAP; i++)
			gw_transfer_end(ts, t[i]);
		assert_int_equal(gw_transfers_count(ts), 0);
	}
}

/* Who has to wait for whom. */
static void test_conflict(void **state)
{
	struct gw_transfer names = names_of(2, 500, 7), own = names_of(1, 700, 7);

	(void)state;
	assert_false(gw_transfers_conflict(ts, &names, true));
	assert_false(gw_transfers_about(ts, 7));
	struct gw_transfer *t = begin(1, 600, 7, GW_TRANSFER_SEND, 0);
	assert_true(gw_transfers_about(ts, 7));
	assert_false(gw_transfers_about(ts, 8));
	assert_true(gw_transfers_conflict(ts, &names, true));
	names.plain = true; /* nor does another's change without blocks go between */
	assert_true(gw_transfers_conflict(ts, &names, true));
	assert_true(gw_transfers_conflict(ts, &own, true)); /* two bodies of one client */
	own.plain = true; /* its own change is its own matter */
	assert_false(gw_transfers_conflict(ts, &own, true));
	assert_false(gw_transfers_conflict(ts, t, true)); /* nobody waits for itself */
	own = names_of(1, 600, 7);
	assert_false(gw_transfers_conflict(ts, &own, true)); /* the same body anew */
	t->over = true;
	assert_true(gw_transfers_conflict(ts, &own, true)); /* when what was given up is over at the device */
	names = names_of(2, 500, 8);
	assert_false(gw_transfers_conflict(ts, &names, true));
}

/* Those that wait go on in the order in which they came, one at a time. */
static void test_held(void **state)
{
	(void)state;
	struct gw_transfer *a = begin(1, 500, 7, GW_TRANSFER_SEND, 0);
	struct gw_transfer *b = begin(2, 500, 7, GW_TRANSFER_HELD, 1);
	struct gw_transfer *c = begin(3, 500, 7, GW_TRANSFER_HELD, 2);
	struct gw_transfer *elsewhere = begin(4, 500, 8, GW_TRANSFER_HELD, 0);
	struct gw_transfer names = names_of(5, 500, 8);

	assert_null(gw_transfers_ready(ts));
	assert_false(gw_transfers_conflict(ts, &names,
					   false)); /* what is held is in the way of those behind it alone */
	assert_true(gw_transfers_conflict(ts, &names, true));
	gw_transfer_end(ts, a);
	assert_ptr_equal(gw_transfers_ready(ts), b);
	assert_null(gw_transfers_ready(ts));
	gw_transfer_enter(ts, b, GW_TRANSFER_SEND);
	gw_transfer_set_request(ts, b, 1, 3);
	assert_true(gw_transfers_conflict(ts, c, false));
	gw_transfer_end(ts, b);
	assert_ptr_equal(gw_transfers_ready(ts), c);
	gw_transfer_end(ts, c); /* though it never went on */
	assert_null(gw_transfers_ready(ts));
	gw_transfer_end(ts, elsewhere);
	assert_int_equal(gw_transfers_count(ts), 0);
}

/* One that its client left alone, and one that was held too long; not one whose request is under way. */
static void test_overdue(void **state)
{
	(void)state;
	assert_int_equal(gw_transfers_deadline(ts, IDLE), COPSE_NEVER);
	struct gw_transfer *a = begin(1, 500, 7, GW_TRANSFER_SEND, 10);
	struct gw_transfer *b = begin(2, 500, 7, GW_TRANSFER_HELD, 20);

	gw_transfer_set_request(ts, b, 2, 20);
	assert_int_equal(gw_transfers_deadline(ts, IDLE), 10 + IDLE);
	gw_transfer_set_request(ts, a, 1, 30);
	assert_int_equal(gw_transfers_deadline(ts, IDLE), 20 + IDLE);
	assert_null(gw_transfers_overdue(ts, IDLE, 19 + IDLE));
	assert_ptr_equal(gw_transfers_overdue(ts, IDLE, 20 + IDLE), b);
	gw_transfer_end(ts, b);
	assert_int_equal(gw_transfers_deadline(ts, IDLE), COPSE_NEVER); /* however long the device takes */
	gw_transfer_set_request(ts, a, 0, 5000);
	assert_int_equal(gw_transfers_deadline(ts, IDLE), 5000 + IDLE);
	assert_ptr_equal(gw_transfers_overdue(ts, IDLE, 5000 + IDLE), a);
	gw_transfer_end(ts, a);
	assert_int_equal(gw_transfers_deadline(ts, IDLE), COPSE_NEVER);
}

/* The one that was used least recently comes first, whatever the order in which they began. */
static void test_order(void **state)
{
	struct gw_transfer *t[CAP];

	(void)state;
	for (uint8_t i = 0; i < CAP; i++)
		t[i] = begin(i, 500, i, GW_TRANSFER_SEND, i);
	gw_transfer_set_request(ts, t[0], 1, 50);
	gw_transfer_set_request(ts, t[0], 0, 60);
	gw_transfer_set_request(ts, t[2], 0, 70);
	const uint8_t order[CAP] = {1, 3, 0, 2};
	for (uint8_t i = 0; i < CAP; i++) {
		struct gw_transfer *first = gw_transfers_overdue(ts, IDLE, 10 * IDLE);
		assert_ptr_equal(first, t[order[i]]);
		gw_transfer_end(ts, first);
	}
	assert_null(gw_transfers_overdue(ts, IDLE, 10 * IDLE));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_find), TEST(test_find_answer), TEST(test_full),  TEST(test_conflict),
	    TEST(test_held), TEST(test_overdue),     TEST(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
