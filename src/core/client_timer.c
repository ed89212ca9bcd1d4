/* The timers of a client's calls: a binary heap of slots, the earliest first. Setting and clearing cost the logarithm of
 * the number of timers that are set; calls without a timer cost nothing.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client_call.h"

static void place(struct copse_client *client, unsigned at, uint16_t slot)
{
	client->heap[at] = slot;
	client->slot[slot].heap = (uint16_t)(at + 1);
}

static copse_ms due_at(const struct copse_client *client, unsigned at)
{
	return client->slot[client->heap[at]].due;
}

static void rise(struct copse_client *client, unsigned at)
{
	uint16_t slot = client->heap[at];
	copse_ms due = client->slot[slot].due;

	while (at > 0 && due_at(client, (at - 1) / 2) > due) {
		place(client, at, client->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(client, at, slot);
}

static void sink(struct copse_client *client, unsigned at)
{
	uint16_t slot = client->heap[at];
	copse_ms due = client->slot[slot].due;

	for (;;) {
		unsigned child = 2 * at + 1;
		if (child + 1 < client->heap_n && due_at(client, child + 1) < due_at(client, child))
			child++;
		if (child >= client->heap_n || due_at(client, child) >= due)
			break;
		place(client, at, client->heap[child]);
		at = child;
	}
	place(client, at, slot);
}

static void take_out(struct copse_client *client, struct call_slot *slot)
{
	unsigned at = slot->heap - 1u;

	slot->heap = 0;
	client->heap_n--;
	if (at == client->heap_n)
		return;
	uint16_t moved = client->heap[client->heap_n];
	place(client, at, moved);
	rise(client, at);
	sink(client, client->slot[moved].heap - 1u);
}

void call_timer_set(struct copse_client *client, struct call_slot *slot, copse_ms due)
{
	if (slot->heap)
		take_out(client, slot);
	slot->due = due;
	if (due == COPSE_NEVER)
		return;
	place(client, client->heap_n, (uint16_t)(slot - client->slot));
	client->heap_n++;
	rise(client, client->heap_n - 1u);
}

struct call_slot *call_timer_first(const struct copse_client *client)
{
	return client->heap_n ? &client->slot[client->heap[0]] : NULL;
}
