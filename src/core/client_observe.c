/* Observations, the client's side (RFC 7641): registration, which notification is the newest, registering anew when the
 * state has become stale, cancellation. Drawn in doc/states/client-observe.md.
 *
 * The registration is an exchange of its own that stays open. The first piece of a notification's body comes by it;
 * further pieces are fetched by the transfer (client_block.c), which a newer notification overtakes.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_call.h"

#define OBSERVE_REGISTER   0u
#define OBSERVE_DEREGISTER 1u
#define SEQUENCE_HALF      (1u << 23) /* RFC 7641 §3.4 */
#define SEQUENCE_AGE_MS    128000u
#define MAX_AGE_CAP        4000000u /* seconds, 46 days: keeps milliseconds within 32 bits */

/* What an event of the registration means. */
enum observe_symbol {
	SYM_NOTIFICATION, /* 2.xx with Observe */
	SYM_PLAIN,        /* 2.xx without: the server does not (or no longer) notify */
	SYM_ERROR,        /* 4.xx, 5.xx */
	SYM_FAILED,       /* no answer, or a Reset */
	SYMBOLS
};

typedef int observe_action(struct call_turn *turn);

static int again(struct copse_client *client, struct call_slot *slot, uint32_t observe, copse_ms now);

bool observe_is_newer(uint32_t before, copse_ms before_at, uint32_t sequence, copse_ms now)
{
	if (now - before_at > SEQUENCE_AGE_MS)
		return true;
	return (before < sequence && sequence - before < SEQUENCE_HALF) ||
	       (before > sequence && before - sequence > SEQUENCE_HALF);
}

/* RFC 7641 §3.3.1: register anew once Max-Age has passed and a random time with it, lest all clients come at once. */
static void set_stale_timer(struct copse_client *client, struct call_slot *slot, uint32_t max_age,
			    copse_ms now)
{
	const struct copse_client_config *c = &client->config;
	uint32_t ms = (max_age > MAX_AGE_CAP ? MAX_AGE_CAP : max_age) * 1000u;
	uint32_t slack = c->stale_min_ms + call_random(client, c->stale_max_ms - c->stale_min_ms + 1);

	slot->stale_at = now + ms + slack;
	call_timer_set(client, slot, slot->stale_at);
}

void observe_settle(struct copse_client *client, struct call_slot *slot, copse_ms now, bool whole)
{
	call_drop(client, slot, now);
	slot->block = BLOCK_IDLE;
	slot->attempts = slot->restarts = client->config.attempts;
	/* A state that could not be had is as good as stale. */
	if (!whole && slot->stale_at > now + client->config.stale_max_ms)
		slot->stale_at = now + client->config.stale_max_ms;
	call_timer_set(client, slot, slot->stale_at);
}

/* RFC 8323 §7.1: over a reliable transport the order is that of arrival, and the sequence number says nothing. */
static bool in_order(const struct call_turn *turn)
{
	return copse_peer_is_reliable(turn->in->peer);
}

static int act_notified(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	const struct copse_message *m = turn->message;
	uint32_t sequence = copse_message_uint(m, COPSE_OPTION_OBSERVE, 0);

	if (slot->notified && !in_order(turn) &&
	    !observe_is_newer(slot->sequence, slot->notified_at, sequence, turn->now)) {
		turn->client->counters.outdated++;
		if (slot->observe == OBSERVE_RENEWING)
			set_stale_timer(turn->client, slot, copse_message_uint(m, COPSE_OPTION_MAX_AGE, 60),
					turn->now);
		slot->observe = OBSERVE_ACTIVE;
		return 0;
	}
	slot->observe = OBSERVE_ACTIVE;
	slot->notified = true;
	slot->sequence = sequence;
	slot->notified_at = turn->now;
	turn->client->counters.notifications++;
	call_drop(turn->client, slot, turn->now);
	set_stale_timer(turn->client, slot,
			copse_message_uint(m, COPSE_OPTION_MAX_AGE, COPSE_MAX_AGE_DEFAULT), turn->now);
	slot->block = BLOCK_ASK;
	slot->received = 0;
	slot->in_szx = slot->call.szx;
	return block_body(turn);
}

/* RFC 7641 §3.2: an answer without Observe is the answer to a plain request. Its body may have more blocks. */
static int act_plain(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	call_drop(turn->client, slot, turn->now);
	copse_endpoint_cancel(turn->client->ep, slot->registration, turn->now);
	slot->registration = COPSE_NO_HANDLE;
	slot->observe = OBSERVE_NONE;
	call_timer_set(turn->client, slot, COPSE_NEVER);
	slot->block = BLOCK_ASK;
	slot->received = 0;
	slot->in_szx = slot->call.szx;
	return block_body(turn);
}

/* A notification that crossed our cancellation is of no interest any more; but to the endpoint it was the answer, so that
 * it would not send the cancellation again. */
static int act_crossed(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	if (slot->attempts-- == 0)
		return call_over(turn, COPSE_CLIENT_FAILED, COPSE_ERR_TIMEOUT);
	int err = again(turn->client, slot, OBSERVE_DEREGISTER, turn->now);
	return err < 0 ? call_over(turn, COPSE_CLIENT_FAILED, err) : 0;
}

static int act_cancelled(struct call_turn *turn)
{
	return call_over(turn, COPSE_CLIENT_RESPONSE, 0);
}

/* RFC 7641 §4.2: an error ends the observation. */
static int act_error(struct call_turn *turn)
{
	return call_over(turn, COPSE_CLIENT_RESPONSE, 0);
}

static int act_failed(struct call_turn *turn)
{
	turn->slot->registration = COPSE_NO_HANDLE;
	return call_over(turn, COPSE_CLIENT_FAILED, turn->in->error);
}

static observe_action *const actions[OBSERVE_STATES][SYMBOLS] = {
    [OBSERVE_REGISTERING] = {act_notified, act_plain, act_error, act_failed},
    [OBSERVE_ACTIVE] = {act_notified, act_plain, act_error, act_failed},
    [OBSERVE_RENEWING] = {act_notified, act_plain, act_error, act_failed},
    [OBSERVE_STOPPING] = {act_crossed, act_cancelled, act_error, act_failed},
};

static enum observe_symbol classify(const struct copse_message *m)
{
	if (!m)
		return SYM_FAILED;
	if (!copse_code_is_success(m->code))
		return SYM_ERROR;
	return copse_message_option(m, COPSE_OPTION_OBSERVE) ? SYM_NOTIFICATION : SYM_PLAIN;
}

/* RFC 9175 §2.3: the registration once more with what the server wants to see again. Returns whether it is under way. */
static bool echo_again(struct call_turn *turn);

int observe_take(struct call_turn *turn)
{
	observe_action *act = actions[turn->slot->observe][classify(turn->message)];

	COPSE_ASSERT(act);
	if (turn->message && echo_again(turn))
		return 0;
	return act(turn);
}

int observe_begin(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	if (slot->call.flags & COPSE_CALL_MANY ||
	    (slot->call.body_len && call_body_beyond(slot, copse_block_size(slot->out_szx))))
		return COPSE_ERR_ARGUMENT;
	slot->block = BLOCK_ASK;
	slot->observe = OBSERVE_REGISTERING;
	slot->stale_at = COPSE_NEVER;
	int len = call_build(client, slot, OBSERVE_REGISTER, 0);
	if (len < 0)
		return len;
	return call_request(client, slot, len, COPSE_REQUEST_MANY, now, &slot->registration);
}

/* The registration's request again, under its token. */
static int again(struct copse_client *client, struct call_slot *slot, uint32_t observe, copse_ms now)
{
	uint8_t block = slot->block;
	struct copse_out out = {.code = slot->call.code,
				.con = slot->call.flags & COPSE_CALL_CON,
				.priority = slot->call.priority,
				.rest = client->scratch};

	slot->block = BLOCK_ASK;
	int len = call_build(client, slot, observe, 0);
	slot->block = block;
	if (len < 0)
		return len;
	out.rest_len = (size_t)len;
	return copse_endpoint_request_again(client->ep, slot->registration, &out, now);
}

static bool echo_again(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;
	const struct copse_option *o = copse_message_option(turn->message, COPSE_OPTION_ECHO);

	if (turn->message->code != COPSE_CODE_UNAUTHORIZED || !o || slot->attempts == 0)
		return false;
	slot->attempts--;
	slot->echo_len = (uint8_t)o->len;
	for (unsigned i = 0; i < o->len; i++)
		slot->echo[i] = copse_option_value(turn->message, o)[i];
	turn->client->counters.echoed++;
	uint32_t observe = slot->observe == OBSERVE_STOPPING ? OBSERVE_DEREGISTER : OBSERVE_REGISTER;
	return again(turn->client, slot, observe, turn->now) == 0;
}

int observe_due(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	if (slot->observe != OBSERVE_ACTIVE)
		return 0;
	int err = again(turn->client, slot, OBSERVE_REGISTER, turn->now);
	if (copse_err_is_transient(err)) {
		turn->client->counters.postponed++;
		call_timer_set(turn->client, slot, turn->now + CALL_POSTPONE_MS);
		return 0;
	}
	if (err < 0)
		return call_over(turn, COPSE_CLIENT_FAILED, err);
	turn->client->counters.reregistered++;
	slot->observe = OBSERVE_RENEWING;
	return 0;
}

int observe_stop(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	if (slot->observe == OBSERVE_STOPPING)
		return 0;
	if (slot->observe != OBSERVE_ACTIVE && slot->observe != OBSERVE_RENEWING)
		return COPSE_ERR_GONE;
	call_drop(client, slot, now);
	call_timer_set(client, slot, COPSE_NEVER);
	slot->block = BLOCK_IDLE;
	slot->observe = OBSERVE_STOPPING;
	return again(client, slot, OBSERVE_DEREGISTER, now);
}
