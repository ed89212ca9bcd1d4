/* The pool of a client's calls: beginning and ending them, and who an event of the endpoint belongs to.
 *
 * A handle is the slot's number plus one in its lower half and the slot's generation in its upper half.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_call.h"

#include <string.h>

static size_t align8(size_t n)
{
	return (n + 7u) & ~(size_t)7;
}

size_t copse_client_bytes(const struct copse_client_config *config)
{
	return align8(sizeof(struct copse_client)) + align8(config->call_cap * sizeof(struct call_slot)) +
	       align8(config->call_cap * sizeof(uint16_t)) * 2 + align8(config->message_len);
}

static void check(const struct copse_client_config *config)
{
	COPSE_ASSERT(config->call_cap >= 1);
	COPSE_ASSERT(config->message_len >= 64);
	COPSE_ASSERT(config->attempts >= 1);
	COPSE_ASSERT(config->stale_min_ms <= config->stale_max_ms);
	COPSE_ASSERT(config->stale_max_ms - config->stale_min_ms < UINT16_MAX);
	COPSE_ASSERT(config->max_payloads >= 1 && config->max_payloads <= CALL_QROW);
	COPSE_ASSERT(config->non_timeout_ms > 0 && config->non_receive_ms > 0);
	COPSE_ASSERT(config->non_timeout_ms < UINT16_MAX && config->non_receive_ms < UINT16_MAX);
}

static const uint16_t understood[] = {COPSE_OPTION_BLOCK1, COPSE_OPTION_BLOCK2, COPSE_OPTION_Q_BLOCK1,
				      COPSE_OPTION_Q_BLOCK2};

struct copse_client *copse_client_init(void *memory, size_t len, const struct copse_client_config *config,
				       struct copse_endpoint *ep)
{
	uint8_t *at = memory;
	struct copse_client *client = memory;

	check(config);
	COPSE_ASSERT(len >= copse_client_bytes(config));
	COPSE_ASSERT(((uintptr_t)memory & (_Alignof(uint64_t) - 1)) == 0);
	memset(memory, 0, copse_client_bytes(config));
	client->ep = ep;
	copse_endpoint_understands(ep, understood, sizeof(understood) / sizeof(*understood));
	client->config = *config;
	client->random = (uint32_t)config->seed | 1u;
	client->next_tag = (uint32_t)(config->seed >> 32);
	at += align8(sizeof(*client));
	client->slot = (struct call_slot *)(void *)at;
	at += align8(config->call_cap * sizeof(struct call_slot));
	client->heap = (uint16_t *)(void *)at;
	at += align8(config->call_cap * sizeof(uint16_t));
	client->free = (uint16_t *)(void *)at;
	at += align8(config->call_cap * sizeof(uint16_t));
	client->scratch = at;
	client->free_n = config->call_cap;
	for (uint16_t i = 0; i < config->call_cap; i++)
		client->free[i] = (uint16_t)(config->call_cap - 1u - i);
	return client;
}

/* xorshift: jitter needs no better one */
uint32_t call_random(struct copse_client *client, uint32_t span)
{
	uint32_t x = client->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	client->random = x;
	return ((x >> 16) * span) >> 16;
}

static struct call_slot *slot_of(const struct copse_client *client, copse_handle handle)
{
	uint32_t n = (uint32_t)handle;

	if (n == 0 || n > client->config.call_cap || client->slot[n - 1].handle != handle)
		return NULL;
	return &client->slot[n - 1];
}

void call_drop(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	qblock_drop(client, slot, now);
	if (slot->exchange != COPSE_NO_HANDLE && slot->exchange != slot->registration)
		copse_endpoint_cancel(client->ep, slot->exchange, now);
	slot->exchange = COPSE_NO_HANDLE;
	slot->postponed = false;
}

static void release(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	call_drop(client, slot, now);
	if (slot->registration != COPSE_NO_HANDLE)
		copse_endpoint_cancel(client->ep, slot->registration, now);
	slot->registration = COPSE_NO_HANDLE;
	call_timer_set(client, slot, COPSE_NEVER);
	slot->handle = COPSE_NO_HANDLE;
	client->free[client->free_n++] = (uint16_t)(slot - client->slot);
}

static struct call_slot *acquire(struct copse_client *client)
{
	if (client->free_n == 0)
		return NULL;
	uint16_t i = client->free[--client->free_n];
	struct call_slot *slot = &client->slot[i];
	uint32_t generation = slot->generation + 1u;

	memset(slot, 0, sizeof(*slot));
	slot->generation = generation;
	slot->handle = (copse_handle)generation << 32 | (i + 1u);
	slot->due = COPSE_NEVER;
	return slot;
}

static bool speaks_bert(const struct copse_call *call)
{
	return copse_peer_is_reliable(call->peer) && !(call->flags & COPSE_CALL_QBLOCK);
}

static void prepare(struct copse_client *client, struct call_slot *slot, const struct copse_call *call)
{
	slot->call = *call;
	slot->peer = *call->peer;
	slot->call.peer = &slot->peer;
	if (call->szx == COPSE_BLOCK_SZX_BERT && !speaks_bert(call))
		slot->call.szx = COPSE_BLOCK_SZX_MAX;
	slot->out_szx = slot->in_szx = slot->call.szx;
	slot->size = COPSE_BODY_UNKNOWN;
	slot->attempts = slot->restarts = client->config.attempts;
	slot->tag = client->next_tag++;
}

/* RFC 7967: a request that is never answered needs no exchange; as a message without one it is gone when it is sent. */
static int tell(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	struct copse_out out = {
	    .code = slot->call.code, .priority = slot->call.priority, .rest = client->scratch};
	int len = block_plain(client, slot);

	if (len >= 0) {
		out.rest_len = (size_t)len;
		len = copse_endpoint_notify(client->ep, &slot->peer, client->scratch, 0, &out, NULL, now,
					    NULL, NULL);
	}
	release(client, slot, now);
	if (len == 0)
		client->counters.calls++;
	else
		client->counters.refused++;
	return len;
}

int copse_client_start(struct copse_client *client, const struct copse_call *call, copse_ms now,
		       copse_handle *handle)
{
	COPSE_ASSERT(copse_code_is_request(call->code) && call->szx <= COPSE_BLOCK_SZX_BERT);
	COPSE_ASSERT(call->body_len == 0 || call->read);

	struct call_slot *slot = acquire(client);
	if (!slot) {
		client->counters.refused++;
		return COPSE_ERR_NOROOM;
	}
	prepare(client, slot, call);
	if (call->flags & COPSE_CALL_SILENT)
		return tell(client, slot, now);
	int err = call->flags & COPSE_CALL_OBSERVE ? observe_begin(client, slot, now)
						   : block_begin(client, slot, now);
	if (err < 0) {
		release(client, slot, now);
		client->counters.refused++;
		return err;
	}
	client->counters.calls++;
	if (handle)
		*handle = slot->handle;
	return 0;
}

void call_postpone(struct copse_client *client, struct call_slot *slot, copse_ms now)
{
	slot->postponed = true;
	client->counters.postponed++;
	call_timer_set(client, slot, now + CALL_POSTPONE_MS);
}

int call_event(struct call_turn *turn, enum copse_client_event_kind kind, int error)
{
	const struct call_slot *slot = turn->slot;

	*turn->out = (struct copse_client_event){
	    .kind = kind,
	    .call = slot->handle,
	    .user = slot->call.user,
	    .error = error,
	    .sent = slot->sent,
	    .received = slot->received,
	    .size = slot->size,
	    .peer = turn->in ? turn->in->peer : &slot->peer,
	    .message = turn->message,
	};
	return 1;
}

int call_over(struct call_turn *turn, enum copse_client_event_kind kind, int error)
{
	call_event(turn, kind, error);
	release(turn->client, turn->slot, turn->now);
	return 1;
}

/* The slot is found by where `user` points: the endpoint gives back what it was given, and other users' pointers lie
 * elsewhere. */
static struct call_slot *slot_of_user(const struct copse_client *client, const void *user)
{
	uintptr_t base = (uintptr_t)client->slot, at = (uintptr_t)user;

	if (at < base || at >= base + client->config.call_cap * sizeof(struct call_slot))
		return NULL;
	return (struct call_slot *)(uintptr_t)at;
}

int copse_client_take(struct copse_client *client, const struct copse_event *in, copse_ms now,
		      struct copse_client_event *out)
{
	struct call_slot *slot = slot_of_user(client, in->user);
	struct call_turn turn = {.client = client, .slot = slot, .in = in, .now = now, .out = out};

	if (!slot || (in->kind != COPSE_EVENT_RESPONSE && in->kind != COPSE_EVENT_FAILED &&
		      in->kind != COPSE_EVENT_PONG))
		return COPSE_ERR_UNMATCHED;
	if (slot->handle == COPSE_NO_HANDLE)
		return 0;
	if (copse_peer_units(in->peer) > 0) /* it has greeted */
		slot->peer.flags = in->peer->flags;
	if (in->kind == COPSE_EVENT_RESPONSE)
		turn.message = in->message;
	if (in->exchange == slot->registration)
		return observe_take(&turn);
	if (in->exchange == slot->exchange)
		return block_take(&turn);
	return qblock_take(&turn);
}

copse_ms copse_client_deadline(const struct copse_client *client)
{
	const struct call_slot *slot = call_timer_first(client);

	return slot ? slot->due : COPSE_NEVER;
}

/* Returns 1 with an event, else 0. */
static int due(struct call_turn *turn)
{
	struct call_slot *slot = turn->slot;

	if (slot->block == BLOCK_QSEND || slot->block == BLOCK_QFETCH)
		return qblock_due(turn);
	if (slot->postponed && slot->block != BLOCK_IDLE) {
		int err = block_send(turn->client, slot, turn->now);
		return err < 0 ? block_failed(turn, err) : 0;
	}
	return observe_due(turn);
}

bool copse_client_expire(struct copse_client *client, copse_ms now, struct copse_client_event *out)
{
	struct call_slot *slot;

	while ((slot = call_timer_first(client)) && slot->due <= now) {
		struct call_turn turn = {.client = client, .slot = slot, .now = now, .out = out};
		call_timer_set(client, slot, COPSE_NEVER);
		if (due(&turn) > 0)
			return true;
	}
	return false;
}

int copse_client_stop(struct copse_client *client, copse_handle call, copse_ms now)
{
	struct call_slot *slot = slot_of(client, call);

	if (!slot)
		return COPSE_ERR_GONE;
	int err = observe_stop(client, slot, now);
	if (err < 0)
		release(client, slot, now);
	return err == COPSE_ERR_GONE ? 0 : err;
}

void copse_client_abort(struct copse_client *client, copse_handle call, copse_ms now)
{
	struct call_slot *slot = slot_of(client, call);

	if (slot)
		release(client, slot, now);
}

const struct copse_client_counters *copse_client_counters(const struct copse_client *client)
{
	return &client->counters;
}

unsigned copse_client_calls(const struct copse_client *client)
{
	return (unsigned)(client->config.call_cap - client->free_n);
}
