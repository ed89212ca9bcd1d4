/* Observers (RFC 7641).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

void small_observe(struct copse_small_turn *turn, unsigned code)
{
	struct copse_small *s = turn->small;
	const struct copse_small_message *m = turn->in;
	const struct copse_small_resource *r = turn->resource;
	uint32_t asked = copse_small_uint(m, COPSE_OPTION_OBSERVE, 2);
	if (asked > 1 || m->code != COPSE_CODE_GET || !r || !(r->flags & COPSE_SMALL_OBSERVABLE))
		return;
	struct copse_small_slot *slot = small_slot(s, OBSERVER, turn->peer, m->bytes + 4, m->token_len);
	if (asked == 1) {
		if (slot)
			slot->kind = FREE;
		return;
	}
	/* §4.1: whoever cannot be registered gets an answer without Observe. Notifications would not know
	 * the query. */
	if (code != COPSE_CODE_CONTENT || copse_small_has(m, COPSE_OPTION_URI_QUERY) || turn->out.offset > 0)
		return;
	if (!slot)
		slot = small_take(s, OBSERVER, turn->peer, m->bytes + 4, m->token_len);
	if (!slot)
		return;
	slot->what = r;
	slot->accept = (uint16_t)copse_small_uint(m, COPSE_OPTION_ACCEPT, UINT16_MAX);
	slot->state = IDLE;
	slot->due = turn->now + OBSERVER_CHECK;
	slot->timeout = (uint16_t)(turn->now >> 16);
	slot->confirm = true; /* no Reset can be about it yet */
	copse_small_set(&turn->out, COPSE_SMALL_OBSERVE, s->number);
}

void copse_small_notify(struct copse_small *s, const struct copse_small_resource *resource,
			copse_small_ms now)
{
	s->number = (s->number + 1) & 0xffffff; /* §3.4 */
	for (struct copse_small_slot *slot = s->slot; slot < s->slot + COPSE_SMALL_OBSERVERS; slot++) {
		if (slot->kind != OBSERVER || slot->what != resource)
			continue;
		slot->fresh = true;
		if (slot->state != SENT) {
			slot->state = READY;
			slot->due = now;
		}
	}
}

void copse_small_end(struct copse_small *s, const struct copse_small_resource *resource, unsigned code,
		     copse_small_ms now)
{
	for (struct copse_small_slot *slot = s->slot; slot < s->slot + COPSE_SMALL_OBSERVERS; slot++) {
		if (slot->kind != OBSERVER || slot->what != resource)
			continue;
		slot->kind = code ? LATE : FREE;
		slot->code = (uint8_t)code;
		slot->confirm = true;
		slot->state = READY;
		slot->due = now;
	}
}
