/* TCP, the path of each message: frames of connections become datagrams and datagrams frames; signaling is dealt with
 * here. See copse/tcp.h for what is translated to what.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "tcp_internal.h"

#include <copse/mem.h>

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READS 4u /* of one connection, before others have their turn */

/* ---- what the peer of a datagram would have said ---- */

static void answer_for(struct copse_tcp *t, const struct copse_peer *peer, enum copse_type type, uint16_t id)
{
	const uint16_t at = (uint16_t)((t->local_first + t->local_n) % TCP_LOCAL);

	COPSE_ASSERT(t->local_n < TCP_LOCAL); /* send takes nothing without room */
	t->local[at] = (struct tcp_local){*peer, id, (uint8_t)type};
	t->local_n++;
	t->base.more = true;
}

static void stamp(const struct copse_tcp *t, struct copse_peer *peer)
{
	peer->key[0] = (uint8_t)(t->base.id >> 8);
	peer->key[1] = (uint8_t)t->base.id;
	peer->group = t->config.group;
	peer->flags |= COPSE_PEER_RELIABLE;
}

static size_t hand_back(struct copse_tcp *t, struct copse_datagram *batch, size_t n)
{
	size_t kept = 0;

	while (kept < n && t->local_n > 0) {
		const struct tcp_local *l = &t->local[t->local_first];
		struct copse_datagram *d = &batch[kept];

		t->local_first = (uint16_t)((t->local_first + 1) % TCP_LOCAL);
		t->local_n--;
		if (d->cap < COPSE_HEADER_LEN)
			continue;
		d->peer = l->peer;
		stamp(t, &d->peer);
		d->data[0] = (uint8_t)(COPSE_VERSION << 6 | l->type << 4);
		d->data[1] = COPSE_CODE_EMPTY;
		d->data[2] = (uint8_t)(l->id >> 8);
		d->data[3] = (uint8_t)l->id;
		d->len = COPSE_HEADER_LEN;
		d->flags = COPSE_DATAGRAM_LOCAL;
		kept++;
	}
	return kept;
}

/* ---- signaling (RFC 8323 §5) ---- */

static void reply(struct tcp_conn *c, const struct copse_signal *s, copse_ms now)
{
	uint8_t buf[COPSE_SIGNAL_MAX];
	const int n = copse_signal_write(s, buf, sizeof(buf));

	if (n > 0 && tcp_queue(c, buf, (size_t)n, NULL, 0))
		tcp_flush(c, now);
}

/* What waits was written before it was known how much the peer takes. */
static bool all_fit(const struct tcp_conn *c)
{
	const uint8_t *at = c->out.bytes + c->out.at;
	size_t left = c->out.bytes ? tcp_waiting(&c->out) : 0;
	struct copse_frame f;

	while (left > 0 && copse_frame_parse(&f, at, left, SIZE_MAX / 2) > 0) {
		if (f.len > c->peer_max)
			return false;
		at += f.len;
		left -= f.len;
	}
	return true;
}

/* RFC 8323 §5.3.2: who takes more than the base size and block-wise transfer takes BERT. */
static unsigned units_of(const struct tcp_conn *c)
{
	const uint32_t n = c->block_wise && c->peer_max > COPSE_FRAME_BASE
			       ? (c->peer_max - COPSE_PEER_UNITS_BESIDE) / 1024
			       : 1;

	return n < COPSE_PEER_UNITS_MAX ? n : COPSE_PEER_UNITS_MAX;
}

static void take_csm(struct tcp_conn *c, const struct copse_signal *s, copse_ms now)
{
	if (s->has_max_message)
		c->peer_max = s->max_message;
	c->block_wise |= s->block_wise;
	c->peer.flags = (uint8_t)(COPSE_PEER_RELIABLE | units_of(c) << COPSE_PEER_UNITS_SHIFT);
	if (c->state != TCP_GREETING)
		return;
	if (!all_fit(c)) {
		c->owner->count.oversize++;
		tcp_abort(c, "the message is larger than the peer takes", 0);
		return;
	}
	tcp_opened(c, now);
	tcp_flush(c, now);
}

/* The Pong of a ping that the endpoint sent as an empty message: its token is the ID. Some peers do not repeat it: theirs
 * is for the last one. */
static void take_pong(struct tcp_conn *c, const struct copse_signal *s)
{
	struct copse_tcp *t = c->owner;

	if (!c->pinged || t->local_n == TCP_LOCAL)
		return;
	if (s->token_len == 2)
		answer_for(t, &c->peer, COPSE_RST, (uint16_t)(s->token[0] << 8 | s->token[1]));
	else if (s->token_len == 0)
		answer_for(t, &c->peer, COPSE_RST, c->ping_id);
}

/* RFC 8323 §5.6: with its reasons, as far as they are readable on one line. */
static void take_abort(struct tcp_conn *c, const struct copse_signal *s, int err)
{
	char why[120] = "the peer aborted the connection";
	size_t n = strlen(why);

	if (s->bad_csm_option)
		n += (size_t)snprintf(why + n, sizeof(why) - n, ", for option %u of our greeting",
				      (unsigned)s->bad_csm_option);
	if (!err && s->text_len)
		n += (size_t)snprintf(why + n, sizeof(why) - n, ": ");
	for (size_t i = 0; !err && i < s->text_len && n < sizeof(why) - 1; i++)
		why[n++] = s->text[i] >= ' ' && s->text[i] < 127 ? (char)s->text[i] : '?';
	why[n] = '\0';
	tcp_end(c, &c->owner->count.aborted_in, why, false);
}

static void take_signal(struct tcp_conn *c, const struct copse_frame *f, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	struct copse_signal s;
	const int err = copse_signal_parse(&s, f);

	if (f->code == COPSE_CODE_ABORT) {
		take_abort(c, &s, err);
		return;
	}
	if (err) { /* §5.2, and what cannot be parsed likewise */
		tcp_abort(c,
			  err == COPSE_ERR_BADOPTION ? "critical option not understood" : "malformed signal",
			  f->code == COPSE_CODE_CSM ? s.bad_option : 0);
		return;
	}
	switch (f->code) {
	case COPSE_CODE_CSM: take_csm(c, &s, now); break;
	case COPSE_CODE_PING:
		t->count.pings++;
		reply(c,
		      &(const struct copse_signal){
			  .code = COPSE_CODE_PONG, .token = s.token, .token_len = s.token_len},
		      now);
		break;
	case COPSE_CODE_PONG: take_pong(c, &s); break;
	case COPSE_CODE_RELEASE:
		if (!t->config.server)
			tcp_release_take(t, &c->peer, &s, now);
		if (c->state == TCP_OPEN)
			tcp_drain(c, now);
		tcp_release_settle(c);
		break;
	default: break; /* §5.1: unknown, and ignored */
	}
}

/* ---- receiving ---- */

/* Returns whether `d` was filled. */
static bool hand_on(struct tcp_conn *c, const struct copse_frame *f, struct copse_datagram *d)
{
	struct copse_tcp *t = c->owner;
	const enum copse_type type = copse_code_is_request(f->code) ? COPSE_CON : COPSE_NON;
	const int n = copse_frame_datagram(f, type, c->next_id++, d->data, d->cap);

	if (n < 0) {
		t->base.counters.truncated++;
		return false;
	}
	d->peer = c->peer;
	stamp(t, &d->peer);
	d->len = (uint32_t)n;
	d->flags = 0;
	t->base.counters.received++;
	t->base.counters.received_bytes += d->len;
	tcp_release_note(c, f);
	return true;
}

/* One frame. Returns how many messages it was: 0 or 1. The connection may be gone. */
static size_t take_frame(struct tcp_conn *c, const struct copse_frame *f, struct copse_datagram *d,
			 copse_ms now)
{
	struct copse_tcp *t = c->owner;
	const uint32_t number = tcp_number(t, c);
	size_t kept = 0;

	if (c->state == TCP_GREETING && f->code != COPSE_CODE_CSM && f->code != COPSE_CODE_ABORT) {
		tcp_abort(c, "the first message is no CSM", 0); /* §5.3 */
		return 0;
	}
	if (copse_code_is_signal(f->code))
		take_signal(c, f, now);
	else if (f->code == COPSE_CODE_EMPTY)
		t->count.empty++; /* §3.4 */
	else
		kept = hand_on(c, f, d);
	if (tcp_at(t, number)->state != TCP_FREE)
		tcp_consume(c, f->len);
	return kept;
}

/* Up to `n` messages of what has been read. With `n` there may be more, and the connection is ready. */
static size_t take_frames(struct tcp_conn *c, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	const uint32_t number = tcp_number(t, c);
	struct copse_frame f;
	size_t kept = 0;
	int got = 0;

	while (!c->paused && tcp_waiting(&c->in) > 0) {
		got =
		    copse_frame_parse(&f, c->in.bytes + c->in.at, tcp_waiting(&c->in), t->config.max_message);
		if (got <= 0)
			break;
		if (kept == n) {
			tcp_make_ready(c);
			break;
		}
		c->frame_since = COPSE_NEVER;
		kept += take_frame(c, &f, &batch[kept], now);
		if (tcp_at(t, number)->state == TCP_FREE)
			return kept;
	}
	if (got < 0) {
		tcp_abort(c, got == COPSE_ERR_NOROOM ? "message too large" : "token too long", 0);
		return kept;
	}
	if (c->ws ? !tcp_ws_is_partial(c->ws) : tcp_waiting(&c->in) == 0 || got > 0)
		c->frame_since = COPSE_NEVER;
	else if (c->frame_since == COPSE_NEVER && !c->paused)
		c->frame_since = now;
	tcp_settle(c);
	return kept;
}

/* Read a connection and hand on what comes. */
static size_t read_conn(struct tcp_conn *c, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	const uint32_t number = tcp_number(t, c);
	size_t kept = take_frames(c, batch, n, now);

	for (unsigned i = 0; i < READS && kept < n; i++) {
		if (tcp_at(t, number)->state < TCP_GREETING || !tcp_fill(c, now))
			return kept;
		kept += take_frames(c, batch + kept, n - kept, now);
	}
	if (tcp_at(t, number)->state >= TCP_GREETING && c->tls && tcp_tls_pending(c->tls))
		tcp_make_ready(c);
	return kept;
}

static size_t read_ready(struct copse_tcp *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	const uint32_t last = t->ready_last;
	size_t kept = 0;

	while (t->ready_first && kept < n) {
		struct tcp_conn *c = tcp_at(t, t->ready_first);
		const bool end = t->ready_first == last;

		t->ready_first = c->ready_next;
		if (!t->ready_first)
			t->ready_last = 0;
		c->ready = false;
		kept += read_conn(c, batch + kept, n - kept, now);
		if (end)
			break;
	}
	return kept;
}

static size_t take_event(struct copse_tcp *t, const struct epoll_event *e, struct copse_datagram *batch,
			 size_t n, copse_ms now)
{
	struct tcp_conn *c;

	if (e->data.u32 == TCP_HOME) {
		tcp_away_back(t, now);
		return 0;
	}
	c = tcp_at(t, e->data.u32);
	if (!c) {
		tcp_accept(t, now);
		return 0;
	}
	/* it may have been ended, and its place taken, by the events before: then this one is spurious, and harmless */
	if (c->state == TCP_FREE)
		return 0;
	if ((c->state < TCP_GREETING || (e->events & EPOLLOUT)) && !tcp_progress(c, now))
		return 0;
	if (c->state < TCP_GREETING || !(e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	if (c->paused && (e->events & (EPOLLHUP | EPOLLERR))) { /* nothing will be taken any more */
		tcp_end(c, &t->count.broken, "the connection was reset", true);
		return 0;
	}
	return read_conn(c, batch, n, now);
}

static size_t tcp_receive(struct copse_transport *base, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct copse_tcp *t = tcp_of(base);
	struct epoll_event events[TCP_EVENTS];
	size_t kept = hand_back(t, batch, n);

	kept += read_ready(t, batch + kept, n - kept, now);
	if (kept < n) {
		const size_t most = n - kept < TCP_EVENTS ? n - kept : TCP_EVENTS;
		const int got = epoll_wait(base->fd, events, (int)most, 0);

		/* each may bring more than one message: those without room stay readable */
		for (int i = 0; i < got && kept < n; i++)
			kept += take_event(t, &events[i], batch + kept, n - kept, now);
	}
	base->more = t->local_n > 0 || t->ready_first != 0;
	return kept;
}

/* ---- sending ---- */

static void drop(struct copse_datagram *d, uint64_t *counter)
{
	d->flags |= COPSE_DATAGRAM_DROPPED;
	++*counter;
}

/* A message without way to its peer: what the network would not say, we do, so that nobody waits. */
static void reject(struct copse_tcp *t, struct copse_datagram *d, uint8_t type, uint16_t id,
		   uint64_t *counter)
{
	drop(d, counter);
	if (type == COPSE_CON || type == COPSE_NON)
		answer_for(t, &d->peer, COPSE_RST, id);
}

/* Larger than the peer takes. An answer that goes nowhere else is replaced by one that says so. */
static bool shrink(struct copse_frame *f, uint8_t type)
{
	if (type != COPSE_ACK)
		return false;
	f->code = COPSE_CODE_INTERNAL_SERVER_ERROR;
	f->rest = NULL;
	f->rest_len = 0;
	f->len = copse_frame_len(f->token_len, 0);
	return true;
}

static void overrun(struct tcp_conn *c, struct copse_datagram *d, uint8_t type)
{
	struct copse_tcp *t = c->owner;

	if (type == COPSE_CON) {
		drop(d, &t->count.postponed); /* the endpoint repeats it */
		return;
	}
	drop(d, &t->base.counters.send_noroom);
	tcp_end(c, &t->count.overrun, "too much waits for the peer", true);
}

static void send_frame(struct tcp_conn *c, struct copse_frame *f, struct copse_datagram *d, uint8_t type,
		       uint16_t id)
{
	struct copse_tcp *t = c->owner;
	uint8_t head[COPSE_FRAME_HEAD_MAX];
	size_t n;

	tcp_release_note(c, f);
	if (c->state >= TCP_OPEN && f->len > c->peer_max && !shrink(f, type)) {
		reject(t, d, type, id, &t->count.oversize);
		return;
	}
	n = copse_frame_head(head, f->code, f->token, f->token_len, f->rest_len);
	if (!tcp_queue(c, head, n, f->rest, f->rest_len)) {
		overrun(c, d, type);
		return;
	}
	c->dirty = true;
	t->base.counters.sent++;
	t->base.counters.sent_bytes += d->len;
	if (f->code == COPSE_CODE_PING) {
		c->ping_id = id;
		c->pinged = true;
	} else if (type == COPSE_CON)
		answer_for(t, &d->peer, COPSE_ACK, id);
}

static void send_one(struct copse_tcp *t, struct copse_datagram *d, copse_ms now)
{
	struct copse_frame f;
	struct tcp_conn *c;
	uint8_t type, token[2];
	uint16_t id;

	COPSE_ASSERT(copse_peer_transport(&d->peer) == t->base.id);
	d->flags = 0;
	if (copse_frame_of_datagram(&f, d->data, d->len, &type, &id) != COPSE_OK) {
		drop(d, &t->base.counters.send_refused);
		return;
	}
	c = tcp_find(t, &d->peer);
	if (f.code == COPSE_CODE_EMPTY && type != COPSE_CON) { /* RFC 8323 has neither */
		d->flags |= COPSE_DATAGRAM_DROPPED;
		if (c && type == COPSE_RST)
			tcp_release_skip(c);
		return;
	}
	if (f.code == COPSE_CODE_EMPTY) {
		token[0] = (uint8_t)(id >> 8);
		token[1] = (uint8_t)id;
		f = (struct copse_frame){.code = COPSE_CODE_PING, .token = token, .token_len = 2, .len = 4};
	}
	if (!c && !t->config.server)
		c = tcp_connect(t, &d->peer, now);
	if (c)
		send_frame(c, &f, d, type, id);
	else if (t->config.server)
		reject(t, d, type, id, &t->count.no_connection);
	else
		drop(d, &t->count.no_connection); /* that the peer cannot be reached is told */
}

static size_t tcp_send(struct copse_transport *base, struct copse_datagram *const *batch, size_t n,
		       copse_ms now)
{
	struct copse_tcp *t = tcp_of(base);
	size_t done = 0;

	while (done < n && t->local_n < TCP_LOCAL)
		send_one(t, batch[done++], now);
	/* those that follow one another leave together */
	for (size_t i = 0; i < done; i++) {
		struct tcp_conn *c = tcp_find(t, &batch[i]->peer);

		if (c && c->state >= TCP_OPEN && (!c->dirty || tcp_flush(c, now)))
			tcp_release_settle(c);
	}
	base->blocked = done < n;
	base->counters.send_blocked += base->blocked;
	return done;
}

/* ---- the rest of the table ---- */

static bool tcp_failure(struct copse_transport *base, struct copse_peer *peer)
{
	struct copse_tcp *t = tcp_of(base);

	base->failed = t->failure_n > 1;
	if (t->failure_n == 0)
		return false;
	*peer = t->failures[--t->failure_n];
	stamp(t, peer);
	return true;
}

static int tcp_peer(struct copse_transport *base, const struct copse_address *a, struct copse_peer *peer)
{
	const int err = copse_peer_from_address(base->id, a, peer);

	if (err || (peer->flags & COPSE_PEER_MULTICAST))
		return COPSE_ERR_ARGUMENT;
	peer->group = tcp_of(base)->config.group;
	const struct tcp_conn *c = tcp_find(tcp_of(base), peer);
	peer->flags = c ? c->peer.flags : COPSE_PEER_RELIABLE;
	return COPSE_OK;
}

static void tcp_local(const struct copse_transport *base, const struct copse_peer *peer,
		      struct copse_address *out)
{
	union {
		const struct copse_transport *in;
		struct copse_tcp *out;
	} t = {base}; /* a look-up changes nothing */
	const struct tcp_conn *c = peer ? tcp_find(t.out, peer) : NULL;
	struct copse_address a = {.len = sizeof(a.in6)};

	*out = t.out->bound;
	if (c && getsockname(c->fd, &a.sa, &a.len) == 0)
		copse_address_from(&a.sa, a.len, out);
}

static copse_ms tcp_next(const struct copse_tcp *t)
{
	const struct core_timer *first = core_heap_first(&t->heap);
	copse_ms next = first ? first->at : COPSE_NEVER;

	if (t->open.last) {
		const copse_ms used = t->conn[t->open.last - 1].used;

		next = used + t->config.idle_ms < next ? used + t->config.idle_ms : next;
	}
	if (t->listener >= 0 && !t->listening)
		next = t->listen_at < next ? t->listen_at : next;
	return next;
}

static copse_ms tcp_tick_op(struct copse_transport *base, copse_ms now)
{
	struct copse_tcp *t = tcp_of(base);

	tcp_tick(t, now);
	return tcp_next(t);
}

/* RFC 8323 §5.5: a server that goes says so, as far as its peers listen. */
static void say_goodbye(struct copse_tcp *t)
{
	const struct copse_signal s = {.code = COPSE_CODE_RELEASE};

	for (uint32_t n = t->open.first, next; n; n = next) {
		struct tcp_conn *c = tcp_at(t, n);

		next = c->next;
		if (t->config.server && tcp_waiting(&c->out) == 0)
			reply(c, &s, c->used);
		if (tcp_at(t, n)->state != TCP_FREE && c->ws)
			tcp_ws_bye(c, t->config.server ? 1001 : 1000);
		if (tcp_at(t, n)->state != TCP_FREE && c->tls)
			tcp_tls_bye(c->tls);
	}
}

static void tcp_close(struct copse_transport *base)
{
	struct copse_tcp *t = tcp_of(base);

	t->config.ended = NULL;
	say_goodbye(t);
	while (t->open.first)
		tcp_end(tcp_at(t, t->open.first), &t->count.closed, NULL, true);
	while (t->beginning.first)
		tcp_end(tcp_at(t, t->beginning.first), &t->count.closed, NULL, true);
	if (t->listener >= 0)
		close(t->listener);
	if (base->fd >= 0)
		close(base->fd);
	tcp_away_close(t);
	tcp_table_free(t);
	copse_secure_unref(t->secure);
	copse_mem_free(t->host);
	copse_mem_free(t->origins);
	copse_mem_free(t);
}

const struct copse_transport_ops tcp_ops = {
    .receive = tcp_receive,
    .send = tcp_send,
    .failure = tcp_failure,
    .peer = tcp_peer,
    .local = tcp_local,
    .tick = tcp_tick_op,
    .close = tcp_close,
};
