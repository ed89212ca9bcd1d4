/* The bad link: loses its share, delays in bounds and in the order of time, sleeps, and loses no memory.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sim_test.h"

#include "copse-sim/weather.h"

/* A transport that delivers numbers and remembers what was sent. */
struct fake {
	struct copse_transport base;
	uint32_t arriving; /* datagrams still to come */
	uint32_t next;     /* the number that the next one bears */
	uint32_t sent[4096];
	copse_ms sent_at[4096];
	uint32_t sent_n;
	uint32_t accept; /* how many more send takes before it blocks */
	bool closed;
};

static size_t fake_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct fake *fake = (struct fake *)t;
	size_t i = 0;
	(void)now;

	for (; i < n && fake->arriving > 0; i++, fake->arriving--) {
		memcpy(batch[i].data, &fake->next, sizeof(fake->next));
		batch[i].len = sizeof(fake->next);
		fake->next++;
	}
	return i;
}

static size_t fake_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
			copse_ms now)
{
	struct fake *fake = (struct fake *)t;
	size_t i = 0;

	for (; i < n && fake->accept > 0; i++, fake->accept--) {
		memcpy(&fake->sent[fake->sent_n], batch[i]->data, sizeof(uint32_t));
		fake->sent_at[fake->sent_n++] = now;
	}
	t->blocked = i < n;
	return i;
}

static copse_ms fake_tick(struct copse_transport *t, copse_ms now)
{
	(void)t;
	(void)now;
	return COPSE_NEVER;
}

static void fake_close(struct copse_transport *t)
{
	((struct fake *)t)->closed = true;
}

static const struct copse_transport_ops fake_ops = {
    .receive = fake_receive, .send = fake_send, .tick = fake_tick, .close = fake_close};

static struct fake fake;

static struct copse_transport *link_with(const struct weather_config *config)
{
	fake = (struct fake){.base = {.ops = &fake_ops, .fd = -1}, .accept = UINT32_MAX};
	struct copse_transport *t = weather_new(&fake.base, config);
	assert_non_null(t);
	return t;
}

/* Let `n` datagrams come. Returns how many arrive; checks that they arrive whole, once and in order. */
static uint32_t receive_some(struct copse_transport *t, uint32_t n, copse_ms now)
{
	uint32_t bytes[16], arrived = 0;
	int64_t last = -1;
	struct copse_datagram batch[16];

	fake.arriving = n;
	while (fake.arriving > 0) {
		memset(bytes, 0xff, sizeof(bytes));
		for (size_t i = 0; i < 16; i++)
			batch[i] = (struct copse_datagram){.data = (uint8_t *)&bytes[i], .cap = 4};
		size_t got = copse_transport_receive(t, batch, 16, now);
		for (size_t i = 0; i < got; i++) {
			uint32_t value;
			memcpy(&value, batch[i].data, sizeof(value));
			assert_true((int64_t)value > last);
			last = value;
		}
		arrived += (uint32_t)got;
	}
	return arrived;
}

static void send_some(struct copse_transport *t, uint32_t n, copse_ms now)
{
	for (uint32_t i = 0; i < n; i++) {
		struct copse_datagram d = {.data = (uint8_t *)&i, .len = sizeof(i)}, *one = &d;
		assert_int_equal(copse_transport_send(t, &one, 1, now), 1);
	}
}

static void loses_its_share(void **state)
{
	struct weather_config config = {.loss = 0.3, .seed = 1};
	struct copse_transport *t = link_with(&config);
	(void)state;

	uint32_t arrived = receive_some(t, 4000, 0);
	send_some(t, 4000, 0);
	/* six standard deviations of a binomial distribution on either side */
	assert_in_range(arrived, 2800 - 174, 2800 + 174);
	assert_in_range(fake.sent_n, 2800 - 174, 2800 + 174);
	assert_int_equal(weather_counters(t)->lost_in, 4000 - arrived);
	assert_int_equal(weather_counters(t)->lost_out, 4000 - fake.sent_n);
	copse_transport_close(t);
	assert_true(fake.closed);
}

static void no_loss_and_total_loss(void **state)
{
	struct weather_config config = {.loss = 0, .seed = 1};
	struct copse_transport *t = link_with(&config);
	(void)state;

	assert_int_equal(receive_some(t, 1000, 0), 1000);
	send_some(t, 1000, 0);
	assert_int_equal(fake.sent_n, 1000);
	copse_transport_close(t);
	config.loss = 1;
	t = link_with(&config);
	assert_int_equal(receive_some(t, 1000, 0), 0);
	send_some(t, 1000, 0);
	assert_int_equal(fake.sent_n, 0);
	copse_transport_close(t);
}

static void the_same_seed_loses_the_same(void **state)
{
	struct weather_config config = {.loss = 0.5, .seed = 42};
	uint32_t first[4096], n;
	(void)state;

	struct copse_transport *t = link_with(&config);
	send_some(t, 500, 0);
	n = fake.sent_n;
	memcpy(first, fake.sent, sizeof(first));
	copse_transport_close(t);
	t = link_with(&config);
	send_some(t, 500, 0);
	assert_int_equal(fake.sent_n, n);
	assert_memory_equal(first, fake.sent, n * sizeof(first[0]));
	copse_transport_close(t);
}

static void delays_within_bounds(void **state)
{
	struct weather_config config = {.delay_min_ms = 100, .delay_max_ms = 400, .seed = 3};
	struct copse_transport *t = link_with(&config);
	copse_ms now = 1000;
	bool overtaken = false;
	(void)state;

	send_some(t, 50, now);
	assert_int_equal(fake.sent_n, 0);
	for (copse_ms due; (due = t->ops->tick(t, now)) != COPSE_NEVER;) {
		assert_true(due > now);
		now = due;
	}
	assert_int_equal(fake.sent_n, 50);
	for (uint32_t i = 0; i < 50; i++) {
		assert_in_range(fake.sent_at[i], 1100, 1400);
		assert_true(i == 0 || fake.sent_at[i] >= fake.sent_at[i - 1]);
		overtaken |= i > 0 && fake.sent[i] < fake.sent[i - 1];
	}
	assert_true(overtaken);
	copse_transport_close(t);
}

static void what_waits_is_bounded(void **state)
{
	struct weather_config config = {.delay_min_ms = 10, .delay_max_ms = 10, .seed = 3};
	struct copse_transport *t = link_with(&config);
	(void)state;

	send_some(t, WEATHER_HELD_MAX + 7, 0);
	assert_int_equal(weather_counters(t)->overflow, 7);
	assert_int_equal(weather_counters(t)->delayed, WEATHER_HELD_MAX);
	t->ops->tick(t, 10);
	assert_int_equal(fake.sent_n, WEATHER_HELD_MAX);
	/* a fixed delay keeps the order */
	for (uint32_t i = 0; i < fake.sent_n; i++)
		assert_int_equal(fake.sent[i], i);
	/* what still waits at the end is freed: the sanitizers see to that */
	send_some(t, 5, 20);
	copse_transport_close(t);
}

static void a_blocked_socket_is_tried_again(void **state)
{
	struct weather_config config = {.delay_min_ms = 10, .delay_max_ms = 10, .seed = 3};
	struct copse_transport *t = link_with(&config);
	(void)state;

	send_some(t, 3, 0);
	fake.accept = 1;
	assert_int_equal(t->ops->tick(t, 10), 11);
	assert_int_equal(fake.sent_n, 1);
	assert_true(t->blocked);
	fake.accept = UINT32_MAX;
	assert_true(t->ops->tick(t, 11) == COPSE_NEVER);
	assert_int_equal(fake.sent_n, 3);
	copse_transport_close(t);
}

static void sleeps_and_wakes(void **state)
{
	struct weather_config config = {.sleep_period_ms = 10000, .sleep_awake_ms = 1000, .seed = 0};
	struct copse_transport *t = link_with(&config);
	(void)state;

	assert_int_equal(receive_some(t, 1, 0), 1);    /* the period begins awake */
	assert_int_equal(receive_some(t, 1, 999), 1);  /* what was heard at 0 kept it awake */
	assert_int_equal(receive_some(t, 1, 1998), 1); /* and so on */
	assert_int_equal(receive_some(t, 5, 2998), 0); /* a second of silence: asleep */
	assert_int_equal(receive_some(t, 5, 9999), 0);
	assert_int_equal(weather_counters(t)->slept, 10);
	send_some(t, 1, 5000); /* to send it wakes up */
	assert_int_equal(fake.sent_n, 1);
	assert_int_equal(receive_some(t, 1, 5999), 1);  /* and listens for the answer */
	assert_int_equal(receive_some(t, 1, 10500), 1); /* the next period */
	copse_transport_close(t);
}

static void devices_sleep_at_different_times(void **state)
{
	unsigned awake = 0;
	(void)state;

	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct weather_config config = {
		    .sleep_period_ms = 10000, .sleep_awake_ms = 1000, .seed = seed * 0x9e3779b97f4a7c15ull};
		struct copse_transport *t = link_with(&config);
		awake += receive_some(t, 1, 50000);
		copse_transport_close(t);
	}
	assert_in_range(awake, 40, 160);
}

/* Whoever sends when it wakes up is awake then, and was not just before. */
static void knows_when_it_wakes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		const struct weather_config config = {
		    .sleep_period_ms = 10000, .sleep_awake_ms = 1000, .seed = seed * 0x9e3779b97f4a7c15ull};
		const copse_ms at = weather_wakes(&config, 50000);
		struct copse_transport *t = link_with(&config);
		assert_in_range(at, 50001, 60000);
		assert_int_equal(weather_wakes(&config, at - 1), at);
		assert_int_equal(weather_wakes(&config, at), at + 10000);
		assert_int_equal(receive_some(t, 1, at - 1), 0);
		assert_int_equal(receive_some(t, 1, at), 1);
		copse_transport_close(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(loses_its_share),
	    cmocka_unit_test(no_loss_and_total_loss),
	    cmocka_unit_test(the_same_seed_loses_the_same),
	    cmocka_unit_test(delays_within_bounds),
	    cmocka_unit_test(what_waits_is_bounded),
	    cmocka_unit_test(a_blocked_socket_is_tried_again),
	    cmocka_unit_test(sleeps_and_wakes),
	    cmocka_unit_test(devices_sleep_at_different_times),
	    cmocka_unit_test(knows_when_it_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
