/* The client's observations (RFC 7641): which notification is the newest, registering anew, cancelling, bodies of many
 * blocks, and how an observation ends.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_world.h"

/* A peer that notifies as the test says. */
struct observed {
	struct world *w;
	uint8_t token[8];
	size_t token_len;
	unsigned registrations, cancellations, plain;
	uint32_t sequence;
	uint32_t max_age;  /* NEVER: no option */
	bool refuse;       /* answers without Observe */
	bool mute;         /* does not answer */
	bool stale_answer; /* answers a registration with an old sequence */
};

static struct observed o;

static size_t state_of(struct copse_builder *b, uint8_t *buf, size_t cap, uint32_t sequence, bool observe)
{
	struct world *w = o.w;
	struct copse_block block = {.szx = 6, .more = w->stored_len > 1024};

	copse_build_rest(b, buf, cap);
	copse_build_option(b, COPSE_OPTION_ETAG, &w->version, 1);
	if (observe)
		copse_build_uint(b, COPSE_OPTION_OBSERVE, sequence);
	if (o.max_age != NEVER)
		copse_build_uint(b, COPSE_OPTION_MAX_AGE, o.max_age);
	if (block.more)
		copse_build_block(b, COPSE_OPTION_BLOCK2, &block);
	copse_build_payload(b, w->stored, w->stored_len < 1024 ? w->stored_len : 1024);
	return (size_t)copse_build_finish(b);
}

static void on_observed(struct sim_node *node, const struct copse_event *e)
{
	struct world *w = node->user;
	uint8_t buf[1200];
	struct copse_builder b;

	if (e->kind != COPSE_EVENT_REQUEST)
		return;
	uint32_t value = copse_message_uint(e->message, COPSE_OPTION_OBSERVE, NEVER);
	if (value == NEVER) {
		o.plain++;
		if (!o.mute)
			give(w, e, COPSE_CODE_CONTENT);
		return;
	}
	if (value == 1) {
		o.cancellations++;
		assert_int_equal(e->message->token_len, o.token_len);
		assert_memory_equal(copse_message_token(e->message), o.token, o.token_len);
	} else {
		o.registrations++;
		if (o.registrations > 1) /* RFC 7641 §3.3.1: the same token */
			assert_memory_equal(copse_message_token(e->message), o.token, o.token_len);
		o.token_len = e->message->token_len;
		memcpy(o.token, copse_message_token(e->message), o.token_len);
	}
	if (o.mute)
		return;
	if (!o.stale_answer)
		o.sequence++;
	struct copse_out out = {.code = COPSE_CODE_CONTENT, .rest = buf};
	out.rest_len = state_of(&b, buf, sizeof(buf), o.sequence, value == 0 && !o.refuse);
	assert_int_equal(copse_endpoint_respond(node->ep, e->exchange, &out, w->sim.now), 0);
}

static void notify_code(uint32_t sequence, uint8_t code, bool observe)
{
	struct copse_peer client = sim_peer(o.w->node->number);
	uint8_t buf[1200];
	struct copse_builder b;
	struct copse_out out = {.code = code, .con = true, .rest = buf};

	out.rest_len = state_of(&b, buf, sizeof(buf), sequence, observe);
	assert_int_equal(copse_endpoint_notify(o.w->peer->ep, &client, o.token, o.token_len, &out, NULL,
					       o.w->sim.now, NULL, NULL),
			 0);
	world_run(o.w, o.w->sim.now + 500);
}

static void notify(uint32_t sequence)
{
	o.w->version++;
	o.w->stored[0] = (uint8_t)sequence;
	o.w->stored[2000] = (uint8_t)sequence;
	notify_code(sequence, COPSE_CODE_CONTENT, true);
}

/* A world in which the registration has just been answered. */
static struct world *observing(uint64_t seed, uint32_t stored_len)
{
	struct world *w = world_new(seed, PERFECT, NULL);

	o = (struct observed){.w = w, .max_age = NEVER, .sequence = 10};
	w->peer->handler = on_observed;
	w->stored_len = stored_len;
	world_call(w, COPSE_CODE_GET, 0)->flags |= COPSE_CALL_OBSERVE;
	world_start(w);
	world_run(w, w->sim.now + 500);
	return w;
}

static void end(struct world *w)
{
	copse_client_abort(w->client, w->handle, w->sim.now);
	assert_int_equal(copse_client_calls(w->client), 0);
	world_free(w);
}

static void each_state_is_told_once(void **state)
{
	struct world *w = observing(1, 4);
	(void)state;
	assert_int_equal(w->notifications, 1);
	for (uint32_t i = 20; i < 30; i++) {
		notify(i);
		assert_int_equal(w->got[0], i);
	}
	assert_int_equal(w->notifications, 11);
	assert_int_equal(w->responses + w->failures, 0);
	end(w);
}

/* RFC 7641 §3.4, and around the end of the 24 bits */
static void older_ones_are_dropped(void **state)
{
	struct world *w = observing(2, 4);
	(void)state;
	notify(20);
	notify(19);
	notify(20);
	assert_int_equal(w->notifications, 2);
	assert_int_equal(w->got[0], 20);
	assert_int_equal(copse_client_counters(w->client)->outdated, 2);
	notify(20 + (1u << 23) - 1);
	assert_int_equal(w->notifications, 3);
	notify(0xffffff);
	notify(3); /* has wrapped */
	assert_int_equal(w->notifications, 5);
	notify(0xfffffe);
	assert_int_equal(w->notifications, 5);
	end(w);
}

static void after_128_seconds_every_number_is_newer(void **state)
{
	struct world *w = observing(3, 4);
	(void)state;
	o.max_age = 1000;
	notify(1000);
	world_run(w, w->sim.now + 128001);
	notify(5);
	assert_int_equal(w->notifications, 3);
	assert_int_equal(w->got[0], 5);
	end(w);
}

/* RFC 7641 §3.3.1: 5 to 15 s after Max-Age, under the same token */
static void stale_states_are_asked_for(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct world *w = observing(seed, 4);
		copse_ms begun;
		o.max_age = 30;
		notify(50);
		begun = w->sim.now;
		world_run(w, begun + 34000);
		assert_int_equal(o.registrations, 1);
		o.sequence = 60;
		world_run(w, begun + 46000);
		assert_int_equal(o.registrations, 2);
		assert_int_equal(w->notifications, 3);
		assert_int_equal(copse_client_counters(w->client)->reregistered, 1);
		world_run(w, begun + 200000);
		assert_true(o.registrations >= 5 && o.registrations <= 7);
		end(w);
	}
}

/* The answer to a registration may be no news; the observation goes on all the same. */
static void an_old_answer_to_a_registration(void **state)
{
	struct world *w = observing(4, 4);
	(void)state;
	notify(50);
	o.stale_answer = true;
	o.sequence = 40;
	world_run(w, w->sim.now + 80000);
	assert_int_equal(o.registrations, 2);
	assert_int_equal(w->notifications, 2);
	notify(51);
	assert_int_equal(w->notifications, 3);
	end(w);
}

static void a_server_that_went_away(void **state)
{
	struct world *w = observing(5, 4);
	(void)state;
	w->peer->dead = true;
	world_run(w, w->sim.now + COPSE_SECONDS(1000));
	assert_int_equal(w->failures, 1);
	assert_int_equal(w->error, COPSE_ERR_TIMEOUT);
	assert_int_equal(copse_client_calls(w->client), 0);
	world_free(w);
}

static void cancelling(void **state)
{
	struct world *w = observing(6, 4);
	(void)state;
	assert_int_equal(copse_client_stop(w->client, w->handle, w->sim.now), 0);
	assert_int_equal(copse_client_stop(w->client, w->handle, w->sim.now), 0); /* twice does no harm */
	world_run(w, w->sim.now + 1000);
	assert_int_equal(o.cancellations, 1);
	assert_int_equal(w->responses, 1);
	assert_int_equal(copse_client_calls(w->client), 0);
	assert_int_equal(copse_client_stop(w->client, w->handle, w->sim.now), COPSE_ERR_GONE);
	world_free(w);
}

/* RFC 7641 §3.6: forgotten, the next notification is rejected with a Reset. */
static void forgetting(void **state)
{
	struct world *w = observing(7, 4);
	(void)state;
	copse_client_abort(w->client, w->handle, w->sim.now);
	notify(60);
	assert_int_equal(w->notifications, 1);
	assert_int_equal(copse_endpoint_counters(w->node->ep)->resets_out, 1);
	world_free(w);
}

static void a_notification_that_crosses_the_cancellation(void **state)
{
	struct world *w = observing(8, 4);
	(void)state;
	assert_int_equal(copse_client_stop(w->client, w->handle, w->sim.now), 0);
	o.mute = true;
	notify(70);
	assert_int_equal(w->notifications, 1);
	assert_int_equal(w->responses, 0);
	world_run(w, w->sim.now + COPSE_SECONDS(1000));
	assert_int_equal(w->failures, 1); /* nobody answered the cancellation */
	assert_int_equal(copse_client_calls(w->client), 0);
	world_free(w);
}

static void errors_end_it(void **state)
{
	struct world *w = observing(9, 4);
	(void)state;
	notify_code(0, COPSE_CODE_NOT_FOUND, false);
	assert_int_equal(w->responses, 1);
	assert_int_equal(w->code, COPSE_CODE_NOT_FOUND);
	assert_int_equal(copse_client_calls(w->client), 0);
	world_free(w);
}

/* RFC 7641 §3.2: not observed, but answered; be it by several blocks. */
static void a_resource_that_cannot_be_observed(void **state)
{
	(void)state;
	for (uint32_t len = 4; len <= 5000; len += 4996) {
		struct world *w = world_new(10, PERFECT, NULL);
		o = (struct observed){.w = w, .max_age = NEVER, .refuse = true};
		w->peer->handler = on_observed;
		w->stored_len = len;
		world_call(w, COPSE_CODE_GET, 0)->flags |= COPSE_CALL_OBSERVE;
		world_start(w);
		world_run(w, w->sim.now + COPSE_SECONDS(1000));
		assert_int_equal(w->responses, 1);
		assert_int_equal(w->notifications, 0);
		assert_int_equal(w->got_len, len);
		assert_memory_equal(w->got, w->stored, len);
		assert_int_equal(o.registrations, 1);
		world_free(w);
	}
}

/* RFC 7959 §2.6: the notification brings the first block, the others are fetched without Observe. */
static void large_states(void **state)
{
	struct world *w = observing(11, 5000);
	(void)state;
	assert_int_equal(w->notifications, 1);
	assert_int_equal(o.plain, 4);
	assert_int_equal(w->got_len, 5000);
	assert_memory_equal(w->got, w->stored, 5000);
	notify(80);
	assert_int_equal(w->notifications, 2);
	assert_int_equal(w->got[2000], 80);
	end(w);
}

/* A newer state overtakes the one that is being fetched. */
static void a_newer_state_while_fetching(void **state)
{
	struct world *w = observing(12, 5000);
	struct copse_peer client = sim_peer(w->node->number);
	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		uint8_t buf[1200];
		struct copse_builder b;
		struct copse_out out = {.code = COPSE_CODE_CONTENT, .con = true, .rest = buf};
		w->version++;
		w->stored[2000] = (uint8_t)i;
		out.rest_len = state_of(&b, buf, sizeof(buf), 90 + i, true);
		copse_endpoint_notify(w->peer->ep, &client, o.token, o.token_len, &out, NULL, w->sim.now,
				      NULL, NULL);
		world_run(w, w->sim.now + 30); /* one block and a half */
	}
	world_run(w, w->sim.now + 1000);
	assert_int_equal(w->notifications, 2);
	assert_int_equal(w->got[2000], 4);
	assert_memory_equal(w->got, w->stored, 5000);
	end(w);
}

/* A state that cannot be fetched does not end the observation: the next one is taken. */
static void a_state_that_keeps_changing(void **state)
{
	struct world *w = observing(13, 5000);
	(void)state;
	w->knobs.change_at = 2;
	w->knobs.times = 1000;
	notify(100);
	assert_int_equal(w->notifications, 1);
	assert_int_equal(w->responses + w->failures, 0);
	w->knobs.times = 0;
	notify(101);
	assert_int_equal(w->notifications, 2);
	assert_int_equal(w->got[2000], 101);
	end(w);
}

static void observe_is_for_one_block(void **state)
{
	struct world *w = world_new(14, PERFECT, NULL);
	(void)state;
	world_call(w, COPSE_CODE_FETCH, 5000)->flags |= COPSE_CALL_OBSERVE;
	assert_int_equal(copse_client_start(w->client, &w->call, w->sim.now, NULL), COPSE_ERR_ARGUMENT);
	world_free(w);
}

/* Over a bad link the client ends up with the newest state, whatever was lost on the way. */
static void eventually_the_newest(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct world *w = observing(seed, 4);
		w->sim.link =
		    (struct sim_link){.loss = 0.3, .duplicate = 0.1, .reorder = 0.5, .delay_ms = 50};
		o.max_age = 20;
		for (uint32_t i = 0; i < 40; i++) {
			o.sequence = 200 + i;
			notify(200 + i);
		}
		o.sequence = 300;
		world_run(w, w->sim.now + COPSE_SECONDS(120));
		if (w->failures + w->responses == 0) {
			assert_int_equal(w->got[0], 239);
			end(w);
		} else {
			assert_int_equal(w->error, COPSE_ERR_TIMEOUT);
			world_free(w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_state_is_told_once),
	    cmocka_unit_test(older_ones_are_dropped),
	    cmocka_unit_test(after_128_seconds_every_number_is_newer),
	    cmocka_unit_test(stale_states_are_asked_for),
	    cmocka_unit_test(an_old_answer_to_a_registration),
	    cmocka_unit_test(a_server_that_went_away),
	    cmocka_unit_test(cancelling),
	    cmocka_unit_test(forgetting),
	    cmocka_unit_test(a_notification_that_crosses_the_cancellation),
	    cmocka_unit_test(errors_end_it),
	    cmocka_unit_test(a_resource_that_cannot_be_observed),
	    cmocka_unit_test(large_states),
	    cmocka_unit_test(a_newer_state_while_fetching),
	    cmocka_unit_test(a_state_that_keeps_changing),
	    cmocka_unit_test(observe_is_for_one_block),
	    cmocka_unit_test(eventually_the_newest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
