/* The shared part of transports, and the suite over the fake one: so that tests above may trust it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"
#include "suite.h"

#include <stdio.h>

static struct fake fakes[4];

static struct copse_transport *open_fake(uint16_t id)
{
	for (size_t i = 0; i < 4; i++) {
		char text[COPSE_ADDRESS_TEXT];

		if (fakes[i].base.ops && !fakes[i].closed)
			continue;
		snprintf(text, sizeof text, "[2001:db8::%u]:5683", (unsigned)i + 1);
		fake_open(&fakes[i], text, id);
		return &fakes[i].base;
	}
	return NULL;
}

static void reach_fake(const struct copse_transport *t, struct copse_address *out)
{
	*out = ((const struct fake *)t)->at;
}

static void test_counters(void **state)
{
	struct copse_transport t = {.counters = {.received = 7, .paths_full = 9}};
	size_t n = copse_transport_counter_n();

	(void)state;
	assert_true(n > 10);
	assert_string_equal(copse_transport_counter_name(0), "received");
	assert_int_equal(copse_transport_counter(&t, 0), 7);
	assert_string_equal(copse_transport_counter_name(n - 1), "paths_full");
	assert_int_equal(copse_transport_counter(&t, n - 1), 9);
	assert_true(strlen(copse_transport_counter_text(n - 1)) > 10);
}

/* What was consumed without being sent is not in a capture. */
static size_t drops_every_second(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
				 copse_ms now)
{
	(void)t;
	(void)now;
	for (size_t i = 0; i < n; i++)
		batch[i]->flags = i % 2 ? COPSE_DATAGRAM_DROPPED : 0;
	return n - 1;
}

struct lens {
	struct copse_tap tap;
	size_t n;
	uint32_t len[8];
};

static void see(struct copse_tap *self, const struct copse_transport *t, const struct copse_datagram *d,
		bool sent)
{
	struct lens *l = (struct lens *)self;

	(void)t;
	assert_true(sent);
	l->len[l->n++] = d->len;
}

static void test_tap_of_dropped(void **state)
{
	const struct copse_transport_ops ops = {.send = drops_every_second};
	struct lens l = {.tap = {see}};
	struct copse_transport t = {.ops = &ops, .tap = &l.tap};
	struct copse_datagram d[4] = {{.len = 0}, {.len = 1}, {.len = 2}, {.len = 3}};
	struct copse_datagram *list[4] = {&d[0], &d[1], &d[2], &d[3]};

	(void)state;
	assert_int_equal(copse_transport_send(&t, list, 4, 0), 3);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.len[0], 0);
	assert_int_equal(l.len[1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_counters),
					   cmocka_unit_test(test_tap_of_dropped)};
	const struct suite fake = {
	    .name = "fake", .open = open_fake, .reach = reach_fake, .foreign = NULL, .max = 65535};

	return cmocka_run_group_tests(tests, NULL, NULL) + suite_run(&fake);
}
