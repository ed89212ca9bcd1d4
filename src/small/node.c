/* Server and client with state: what comes is matched with slots and remembered messages, what is due is
 * made.
 *
 * A message that may be sent again is not kept. Its slot says what it is about, and it is made again under
 * the same ID: by the handler of the resource, or by the call. A notification whose resource has changed in
 * the meantime gets a new ID, as RFC 7641 §4.5.2 has it; its back-off goes on.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

/* RFC 7641 §4.5: a confirmable notification every 24 hours. An idle observer keeps in `timeout` when the
 * last one was acknowledged, in units of 65,536 ms. */
#define UNITS(ms)   ((uint16_t)((ms) >> 16))
#define CHECK_UNITS (OBSERVER_CHECK >> 16)

/* XTEA in counter mode: small, and without the key it cannot be foretold (RFC 7252 §5.3.1). */
void small_draw(struct copse_small *s, uint32_t out[2])
{
	uint32_t a = ++s->drawn, b = 0, sum = 0;
	for (int i = 0; i < 32; i++) {
		a += ((b << 4 ^ b >> 5) + b) ^ (sum + s->key[sum & 3]);
		sum += 0x9e3779b9;
		b += ((a << 4 ^ a >> 5) + a) ^ (sum + s->key[sum >> 11 & 3]);
	}
	out[0] = a;
	out[1] = b;
}

void copse_small_init(struct copse_small *s, const struct copse_small_resource *resources,
		      const uint32_t key[4])
{
	uint32_t random[2];
	memset(s, 0, sizeof(*s));
	s->resources = resources;
	memcpy(s->key, key, sizeof(s->key));
	small_draw(s, random);
	s->mid = (uint16_t)random[0]; /* RFC 7252 §4.4 */
}

struct copse_small_slot *small_slot(struct copse_small *s, unsigned kind, const struct copse_small_peer *peer,
				    const uint8_t *token, unsigned token_len)
{
	for (struct copse_small_slot *slot = s->slot; slot < s->slot + SLOTS; slot++)
		if (slot->kind == kind && slot->token_len == token_len &&
		    memcmp(slot->token, token, token_len) == 0 && small_same(&slot->peer, peer))
			return slot;
	return NULL;
}

struct copse_small_slot *small_take(struct copse_small *s, unsigned kind, const struct copse_small_peer *peer,
				    const uint8_t *token, unsigned token_len)
{
	struct copse_small_slot *slot = s->slot, *end = s->slot + COPSE_SMALL_OBSERVERS;
	if (kind != OBSERVER) {
		slot = end;
		end += COPSE_SMALL_OTHERS;
	}
	for (; slot < end; slot++) {
		if (slot->kind != FREE)
			continue;
		memset(slot, 0, sizeof(*slot));
		slot->kind = (uint8_t)kind;
		slot->peer = *peer;
		slot->token_len = (uint8_t)token_len;
		memcpy(slot->token, token, token_len);
		return slot;
	}
	s->refused++;
	return NULL;
}

/* ---- duplicates, RFC 7252 §4.5 ---- */

static struct copse_small_seen *seen_before(struct copse_small *s, const struct copse_small_peer *peer,
					    uint16_t id, copse_small_ms now)
{
	for (struct copse_small_seen *seen = s->seen; seen < s->seen + COPSE_SMALL_SEEN; seen++)
		if (seen->len && seen->mid == id && !small_due(seen->until, now) &&
		    small_same(&seen->peer, peer))
			return seen;
	return NULL;
}

/* Remember the message `id` and the `len` bytes that it was answered with. */
static void remember(struct copse_small *s, const struct copse_small_peer *peer, uint16_t id,
		     const uint8_t *reply, size_t len, copse_small_ms now)
{
	struct copse_small_seen *seen = &s->seen[s->oldest];
	if (++s->oldest == COPSE_SMALL_SEEN)
		s->oldest = 0;
	if (seen->len && !small_due(seen->until, now))
		s->forgotten++;
	seen->peer = *peer;
	seen->mid = id;
	seen->until = now + COPSE_SMALL_EXCHANGE_LIFETIME;
	seen->len = UINT8_MAX; /* too long to be kept, or nothing to be sent */
	if (len > 0 && len <= COPSE_SMALL_REPLY) {
		seen->len = (uint8_t)len;
		memcpy(seen->reply, reply, len);
	}
}

/* ---- server ---- */

/* Run a request whose turn is prepared. */
static unsigned run(struct copse_small_turn *turn)
{
	unsigned code = small_find(turn);
	if (code == 0)
		code = small_window(turn);
	if (code == 0)
		code = small_conditions(turn);
	if (code == 0)
		code = small_upload(turn);
	if (code != COPSE_SMALL_LATER)
		code = small_block2(turn, code);
	if (code == COPSE_CODE_CONTENT && turn->resource->version && *turn->resource->version)
		copse_small_set(&turn->out, COPSE_SMALL_ETAG, *turn->resource->version);
	return code;
}

/* Keep the request for later. Returns whether there is room; a copy of one that is kept already is. */
static bool postpone(struct copse_small_turn *turn)
{
	const struct copse_small_message *m = turn->in;
	if (small_slot(turn->small, LATE, turn->peer, m->bytes + 4, m->token_len))
		return true;
	struct copse_small_slot *slot = small_take(turn->small, LATE, turn->peer, m->bytes + 4, m->token_len);
	if (!slot)
		return false;
	slot->what = turn->resource;
	slot->accept = (uint16_t)copse_small_uint(m, COPSE_OPTION_ACCEPT, UINT16_MAX);
	slot->confirm = m->type == CON;
	slot->state = READY;
	slot->due = turn->now + turn->delay;
	return true;
}

static size_t serve(struct copse_small *s, const struct copse_small_peer *peer,
		    const struct copse_small_message *m, uint8_t *out, copse_small_ms now)
{
	struct copse_small_turn turn;
	size_t len;
	if (m->bad && m->type == NON) /* RFC 7252 §5.4.1: rejected, by silence */
		return 0;
	memset(&turn, 0, sizeof(turn));
	turn.out.bytes = out;
	turn.in = m;
	turn.resources = s->resources;
	turn.small = s;
	turn.peer = peer;
	turn.now = now;
	unsigned code = run(&turn);
	if (code == COPSE_SMALL_LATER && postpone(&turn)) {
		len = m->type == CON ? small_empty(out, ACK, m->id) : 0; /* §5.2.2 */
	} else {
		if (code == COPSE_SMALL_LATER)
			code = COPSE_CODE_SERVICE_UNAVAILABLE;
		else
			small_observe(&turn, code);
		uint16_t id = m->id;
		if (m->type == NON)
			id = s->mid++;
		len =
		    small_encode(&turn.out, m->type == CON ? ACK : NON, code, id, m->bytes + 4, m->token_len);
	}
	if (!copse_code_is_safe(m->code) ||
	    code == COPSE_SMALL_LATER) /* what is safe is simply asked again */
		remember(s, peer, m->id, out, len, now);
	return len;
}

/* ---- receiving ---- */

/* An ACK or RST: to the message of ours with that ID (RFC 7252 §4.2). */
static void acknowledged(struct copse_small *s, const struct copse_small_peer *peer,
			 const struct copse_small_message *m, copse_small_ms now)
{
	for (struct copse_small_slot *slot = s->slot; slot < s->slot + SLOTS; slot++) {
		bool waits = slot->state == SENT || (slot->state == IDLE && m->type == RST && !slot->confirm);
		if (slot->kind == FREE || slot->mid != m->id || !waits || !small_same(&slot->peer, peer))
			continue;
		if (slot->kind == CALL && m->type == RST) {
			small_fail(slot, COPSE_ERR_RESET);
		} else if (slot->kind == CALL) {
			slot->state = ACKNOWLEDGED;
			slot->due = now + COPSE_SMALL_RESPONSE_TIMEOUT;
		} else if (slot->kind == LATE ||
			   m->type == RST) { /* RFC 7641 §3.6: a Reset ends the observation */
			slot->kind = FREE;
		} else {
			slot->state = slot->fresh ? READY : IDLE;
			slot->due = slot->fresh ? now : now + OBSERVER_CHECK;
			slot->timeout = UNITS(now);
		}
		return;
	}
}

size_t copse_small_receive(struct copse_small *s, const struct copse_small_peer *peer,
			   const uint8_t *datagram, size_t len, uint8_t *out, copse_small_ms now)
{
	struct copse_small_message m;
	int err = copse_small_parse(&m, datagram, len);
	if (err == COPSE_ERR_VERSION)
		return 0;
	unsigned reply = m.type == CON ? RST : NON; /* NON: nothing goes back */
	if (err == 0 && m.type >= ACK && m.code == COPSE_CODE_EMPTY) {
		acknowledged(s, peer, &m, now);
	} else if (err == 0 && m.code != COPSE_CODE_EMPTY) {
		const struct copse_small_seen *seen = seen_before(s, peer, m.id, now);
		if (seen && m.type <= NON) {
			memcpy(out, seen->reply, COPSE_SMALL_REPLY);
			return m.type == CON && seen->len != UINT8_MAX ? seen->len : 0;
		}
		if (m.code < 32)
			return serve(s, peer, &m, out, now);
		reply = m.bad ? reply : small_response(s, peer, &m, now);
		if (reply == ACK) {
			small_empty(out, ACK, m.id);
			remember(s, peer, m.id, out, 4, now);
		}
	}
	return reply == NON ? 0 : small_empty(out, reply, m.id);
}

/* ---- sending ---- */

/* Make the notification or the late answer of a slot. Returns its length, or 0: not yet. */
static size_t render(struct copse_small *s, struct copse_small_slot *slot, uint8_t *out, copse_small_ms now)
{
	const uint8_t accept[2] = {(uint8_t)(slot->accept >> 8), (uint8_t)slot->accept};
	struct copse_small_turn turn;
	struct copse_small_message m;
	unsigned code = slot->code;
	memset(&turn, 0, sizeof(turn));
	m.has = slot->accept == UINT16_MAX ? 0 : 1u << COPSE_OPTION_ACCEPT;
	m.bytes = accept;
	m.off[COPSE_OPTION_ACCEPT] = 0;
	m.value_len[COPSE_OPTION_ACCEPT] = 2;
	m.code = COPSE_CODE_GET;
	m.payload_len = 0;
	turn.in = &m;
	turn.small = s;
	turn.peer = &slot->peer;
	turn.now = now;
	turn.out.bytes = out;
	turn.out.room = COPSE_SMALL_BLOCK;
	turn.resources = s->resources;
	turn.resource = slot->what;
	turn.later = true;
	if (code == 0) {
		code = turn.resource->handle(&turn);
		if (code == COPSE_SMALL_LATER) {
			slot->due = now + turn.delay + 1; /* later than now, whatever the handler says */
			return 0;
		}
		code = small_block2(&turn, code);
		if (turn.resource->version && *turn.resource->version)
			copse_small_set(&turn.out, COPSE_SMALL_ETAG, *turn.resource->version);
	}
	if (slot->kind == OBSERVER && code >> 5 == 2) {
		copse_small_set(&turn.out, COPSE_SMALL_OBSERVE, slot->place);
	} else if (slot->kind == OBSERVER) { /* RFC 7641 §4.2: an error is the last notification */
		slot->kind = LATE;
		slot->code = (uint8_t)code;
		slot->confirm = true;
	}
	return small_encode(&turn.out, slot->confirm ? CON : NON, code, slot->mid, slot->token,
			    slot->token_len);
}

/* NSTART is 1 (RFC 7252 §4.7): a call waits while another one to its peer is not acknowledged. */
static bool held_back(const struct copse_small *s, const struct copse_small_slot *slot)
{
	if (slot->kind != CALL || slot->state != READY)
		return false;
	for (const struct copse_small_slot *other = s->slot; other < s->slot + SLOTS; other++)
		if (other->kind == CALL && other->state == SENT && small_same(&other->peer, &slot->peer))
			return true;
	return false;
}

/* The next try, or the first: its ID and when it is over (§4.2). */
static void schedule(struct copse_small *s, struct copse_small_slot *slot, copse_small_ms now)
{
	const struct copse_small_resource *r = slot->what;
	bool first = slot->state != SENT;
	slot->tries++;
	if (first) {
		slot->tries = 0;
		if (slot->kind == OBSERVER)
			slot->confirm = (r->flags & COPSE_SMALL_CONFIRM) || !slot->fresh ||
					(uint16_t)(UNITS(now) - slot->timeout) >= CHECK_UNITS;
	}
	if (first && slot->confirm) {
		uint32_t random[2];
		small_draw(s, random);
		slot->timeout = (uint16_t)(COPSE_SMALL_ACK_TIMEOUT + (random[0] & 1023) -
					   (random[0] & 23)); /* to 3,000 */
	}
	if (first || slot->fresh) {
		slot->mid = s->mid++;
		if (slot->kind == OBSERVER)
			slot->place = s->number;
		slot->fresh = false;
	}
	slot->due = now + ((uint32_t)slot->timeout << slot->tries);
	slot->state = SENT;
}

/* What a slot is after its message has left that needs no acknowledgement. */
static void rest(struct copse_small_slot *slot, copse_small_ms now)
{
	const struct copse_small_call *call = slot->what;
	if (slot->confirm)
		return;
	if (slot->kind == LATE || (slot->kind == CALL && !call->answer))
		slot->kind = FREE;
	slot->state = slot->kind == OBSERVER ? IDLE : ACKNOWLEDGED;
	slot->due = now + (slot->kind == OBSERVER ? OBSERVER_CHECK : COPSE_SMALL_RESPONSE_TIMEOUT);
}

size_t copse_small_next(struct copse_small *s, uint8_t *out, struct copse_small_peer *to, copse_small_ms now)
{
	struct copse_small_slot *slot = s->slot;
	while (slot < s->slot + SLOTS) {
		if (slot->kind == FREE || !small_due(slot->due, now) || held_back(s, slot)) {
			slot++;
			continue;
		}
		if (slot->state == ACKNOWLEDGED ||
		    (slot->state == SENT && slot->tries == COPSE_SMALL_MAX_RETRANSMIT)) {
			small_fail(slot, COPSE_ERR_TIMEOUT);
			slot = s->slot; /* a call before it may have waited for this, or be new */
			continue;
		}
		schedule(s, slot, now);
		size_t len = slot->kind == CALL ? small_request(slot, out) : render(s, slot, out, now);
		if (len > 0) {
			*to = slot->peer;
			rest(slot, now);
			return len;
		}
		slot->state = READY; /* not yet: `due` says when */
	}
	return 0;
}

copse_small_ms copse_small_deadline(const struct copse_small *s, copse_small_ms now, copse_small_ms most)
{
	for (const struct copse_small_slot *slot = s->slot; slot < s->slot + SLOTS; slot++) {
		if (slot->kind == FREE || held_back(s, slot))
			continue;
		copse_small_ms left = small_due(slot->due, now) ? 0 : slot->due - now;
		if (left < most)
			most = left;
	}
	return most;
}
