/* Connections of a TCP transport: how they begin and end, their buffers, what is awaited and until when. Drawn in
 * doc/states/tcp.md.
 *
 * Invariants: a connection is in the list of those that begin, or of the open ones, or free; in the table by peer is at
 * most one for each peer. Buffers exist only while there are bytes in them. Each has one timer, for the first of what may
 * not take longer.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "tcp_internal.h"

#include "core/siphash.h"

#include <copse/host.h>
#include <copse/mem.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_ROOM   4096u
#define ACCEPT_WAIT 200u              /* ms until accepting is tried again without descriptors */
#define DRAIN_MS    COPSE_SECONDS(60) /* a released connection is closed by then */
#define ACCEPTS     32u               /* connections accepted before others have their turn */

/* ---- lists and tables ---- */

static void list_remove(struct copse_tcp *t, struct tcp_list *l, struct tcp_conn *c)
{
	*(c->prev ? &tcp_at(t, c->prev)->next : &l->first) = c->next;
	*(c->next ? &tcp_at(t, c->next)->prev : &l->last) = c->prev;
	l->n--;
}

static void list_push(struct copse_tcp *t, struct tcp_list *l, struct tcp_conn *c)
{
	const uint32_t number = tcp_number(t, c);

	c->prev = 0;
	c->next = l->first;
	*(l->first ? &tcp_at(t, l->first)->prev : &l->last) = number;
	l->first = number;
	l->n++;
}

static struct tcp_list *list_of(struct copse_tcp *t, const struct tcp_conn *c)
{
	return c->state >= TCP_OPEN ? &t->open : &t->beginning;
}

bool tcp_table_new(struct copse_tcp *t)
{
	const uint32_t n = t->config.connections, slots = core_table_slots(n);
	struct core_slot *peers = copse_mem_new(slots, sizeof(*peers));
	struct core_slot *addresses = copse_mem_new(slots, sizeof(*addresses));

	core_table_init(&t->by_peer, peers, slots);
	core_table_init(&t->by_address, addresses, slots);
	t->conn = copse_mem_new(n, sizeof(*t->conn));
	t->failures = copse_mem_new(n, sizeof(*t->failures));
	t->heap = (struct core_heap){.timer = copse_mem_new(n + 1, sizeof(struct core_timer *)), .cap = n};
	t->fresh = 1;
	copse_host_random(t->key, sizeof(t->key));
	copse_host_random(&t->serial, sizeof(t->serial));
	return peers && addresses && t->conn && t->failures && t->heap.timer;
}

void tcp_table_free(struct copse_tcp *t)
{
	copse_mem_free(t->by_peer.slot);
	copse_mem_free(t->by_address.slot);
	copse_mem_free(t->conn);
	copse_mem_free(t->failures);
	copse_mem_free(t->heap.timer);
}

/* Without the id of the transport, which may change. */
static uint32_t hash_of(const struct copse_tcp *t, const struct copse_peer *peer)
{
	return (uint32_t)core_siphash(t->key, peer->key + 2, (size_t)peer->len - 2, 1, 3);
}

/* Of IPv6 the prefix: whoever has one has all of its addresses. */
static uint32_t address_hash(const struct copse_tcp *t, const struct copse_peer *peer)
{
	const uint8_t *ip = address_key_ip(peer);

	return (uint32_t)core_siphash(t->key, ip, address_is_mapped(ip) ? 16 : 8, 1, 3);
}

static uint32_t count_address(const struct copse_tcp *t, uint32_t hash)
{
	uint32_t pos = hash & t->by_address.mask, n = 0;

	while (n < t->config.per_address && core_table_next(&t->by_address, hash, &pos))
		n++;
	return n;
}

struct tcp_conn *tcp_find(struct copse_tcp *t, const struct copse_peer *peer)
{
	const uint32_t hash = hash_of(t, peer);
	uint32_t pos = hash & t->by_peer.mask, number;

	while ((number = core_table_next(&t->by_peer, hash, &pos)) != 0) {
		struct tcp_conn *c = tcp_at(t, number);

		if (c->peer.len == peer->len && memcmp(c->peer.key + 2, peer->key + 2, peer->len - 2u) == 0)
			return c;
	}
	return NULL;
}

static void leave_peer(struct tcp_conn *c)
{
	if (c->by_peer)
		core_table_remove(&c->owner->by_peer, c->peer_hash, tcp_number(c->owner, c));
	c->by_peer = false;
}

static void enter_state(struct tcp_conn *c, enum tcp_state state)
{
	struct tcp_list *from = list_of(c->owner, c);

	c->state = (uint8_t)state;
	if (from == list_of(c->owner, c))
		return;
	list_remove(c->owner, from, c);
	list_push(c->owner, list_of(c->owner, c), c);
}

void tcp_touch(struct tcp_conn *c, copse_ms now)
{
	c->used = now;
	list_remove(c->owner, list_of(c->owner, c), c);
	list_push(c->owner, list_of(c->owner, c), c);
}

/* ---- buffers ---- */

bool tcp_queue(struct tcp_conn *c, const void *head, size_t head_len, const void *rest, size_t rest_len)
{
	const size_t n = head_len + rest_len;

	if (tcp_waiting(&c->out) + n > c->owner->config.out_max || !tcp_buffer_room(&c->out, n))
		return false;
	tcp_buffer_append(&c->out, head, head_len);
	tcp_buffer_append(&c->out, rest, rest_len);
	c->owner->waiting += n;
	return true;
}

void tcp_consume(struct tcp_conn *c, size_t n)
{
	c->in.at += (uint32_t)n;
	if (c->in.at == c->in.len)
		tcp_buffer_clear(&c->in);
}

/* ---- the end ---- */

static void say_why(struct copse_tcp *t, const char *why, bool network)
{
	if (!why)
		return;
	snprintf(t->why_text, sizeof(t->why_text), "%s", why);
	t->why = t->why_text;
	t->why_network = network;
}

static void leave_ready(struct copse_tcp *t, struct tcp_conn *c)
{
	const uint32_t number = tcp_number(t, c);
	uint32_t before = 0;

	if (!c->ready)
		return;
	for (uint32_t n = t->ready_first; n != number; n = tcp_at(t, n)->ready_next)
		before = n;
	*(before ? &tcp_at(t, before)->ready_next : &t->ready_first) = c->ready_next;
	if (t->ready_last == number)
		t->ready_last = before;
	c->ready = false;
}

void tcp_end(struct tcp_conn *c, uint64_t *counter, const char *why, bool network)
{
	struct copse_tcp *t = c->owner;

	if (c->ws && c->state >= TCP_GREETING) /* RFC 6455 §7.4.1: normal, and going away */
		tcp_ws_bye(c, t->config.server ? 1001 : 1000);
	const uint32_t number = tcp_number(t, c);
	/* of a client's: unless another connection has taken its place */
	const bool tell = c->by_peer && (c->state >= TCP_OPEN || !t->config.server);
	struct copse_peer peer = c->peer;

	++*counter;
	say_why(t, why, network);
	if (c->state < TCP_OPEN && !t->config.server)
		tcp_release_next(t, &peer);
	leave_peer(c);
	if (c->by_address)
		core_table_remove(&t->by_address, c->address_hash, number);
	leave_ready(t, c);
	core_heap_clear(&t->heap, &c->timer);
	list_remove(t, list_of(t, c), c);
	t->waiting -= tcp_waiting(&c->out);
	tcp_buffer_clear(&c->in);
	tcp_buffer_clear(&c->out);
	tcp_ws_free(c->ws);
	if (!tcp_away_drop(c)) {
		tcp_tls_free(c->tls);
		close(c->fd);
	}
	*c = (struct tcp_conn){.next = t->free};
	t->free = number;
	if (!tell)
		return;
	t->base.failed = true;
	if (t->failure_n < t->config.connections)
		t->failures[t->failure_n++] = peer;
	else
		t->base.counters.failures_lost++;
	if (t->config.ended && t->config.server)
		t->config.ended(t->config.self, &peer);
}

/* Bytes that need not arrive. */
static void say(struct tcp_conn *c, const struct copse_signal *s)
{
	uint8_t buf[COPSE_SIGNAL_MAX];
	const int n = copse_signal_write(s, buf, sizeof(buf));

	if (n > 0 && tcp_queue(c, buf, (size_t)n, NULL, 0))
		tcp_flush(c, c->used);
}

void tcp_abort(struct tcp_conn *c, const char *why, uint32_t bad_option)
{
	const struct copse_signal s = {.code = COPSE_CODE_ABORT,
				       .bad_csm_option = bad_option,
				       .text = (const uint8_t *)why,
				       .text_len = strlen(why)};
	struct copse_tcp *t = c->owner;
	const uint32_t number = tcp_number(t, c);

	if (c->state >= TCP_GREETING && tcp_waiting(&c->out) < t->config.out_max / 2)
		say(c, &s);
	if (c->ws && c->state >= TCP_GREETING)
		tcp_ws_bye(c, 1002); /* RFC 6455 §7.4.1: a protocol error */
	if (tcp_at(t, number)->state != TCP_FREE)
		tcp_end(c, &t->count.aborted_out, why, false);
}

/* ---- what is awaited ---- */

void tcp_make_ready(struct tcp_conn *c)
{
	struct copse_tcp *t = c->owner;
	const uint32_t number = tcp_number(t, c);

	t->base.more = true;
	if (c->ready)
		return;
	c->ready = true;
	c->ready_next = 0;
	*(t->ready_last ? &tcp_at(t, t->ready_last)->ready_next : &t->ready_first) = number;
	t->ready_last = number;
}

static copse_ms earlier(copse_ms a, copse_ms since, copse_ms span)
{
	const copse_ms b = since == COPSE_NEVER ? COPSE_NEVER : since + span;

	return a < b ? a : b;
}

static copse_ms due_at(const struct tcp_conn *c)
{
	const struct copse_tcp_config *config = &c->owner->config;
	copse_ms at = earlier(COPSE_NEVER, c->frame_since, config->frame_ms);

	if (c->state != TCP_OPEN)
		at = earlier(at, c->began, c->state == TCP_DRAINING ? DRAIN_MS : config->handshake_ms);
	at = earlier(at, c->retry_at, 0);
	return earlier(at, c->stalled_since, config->stall_ms);
}

/* There are bytes to be sent. */
bool tcp_unsent(const struct tcp_conn *c)
{
	return tcp_waiting(&c->out) > 0 || (c->ws && tcp_ws_unsent(c->ws) > 0);
}

static void watch(struct tcp_conn *c)
{
	struct copse_tcp *t = c->owner;
	struct epoll_event e = {.data.u32 = tcp_number(t, c)};

	if (c->unwatched)
		return;
	if (c->state == TCP_CONNECTING || (c->state >= TCP_OPEN && tcp_unsent(c)) ||
	    (c->tls && tcp_tls_wants_out(c->tls)))
		e.events |= EPOLLOUT;
	if (c->state != TCP_CONNECTING && !c->paused && !c->eof)
		e.events |= EPOLLIN;
	if (e.events != c->watched)
		epoll_ctl(t->base.fd, EPOLL_CTL_MOD, c->fd, &e);
	c->watched = e.events;
}

void tcp_settle(struct tcp_conn *c)
{
	struct copse_tcp *t = c->owner;
	const copse_ms at = due_at(c);

	watch(c);
	if (at == COPSE_NEVER)
		core_heap_clear(&t->heap, &c->timer);
	else if (c->timer.pos == 0 || c->timer.at != at)
		core_heap_set(&t->heap, &c->timer, at);
}

/* ---- bytes ---- */

int tcp_put(struct tcp_conn *c, const void *bytes, size_t n)
{
	ssize_t done;

	if (c->tls)
		return tcp_tls_write(c->tls, bytes, n);
	done = send(c->fd, bytes, n, MSG_NOSIGNAL);
	if (done >= 0)
		return (int)done;
	return errno == EAGAIN || errno == EINTR ? TCP_AGAIN : TCP_BROKEN;
}

int tcp_get(struct tcp_conn *c, void *buf, size_t cap)
{
	ssize_t n;

	if (c->tls)
		return tcp_tls_read(c->tls, buf, cap);
	n = recv(c->fd, buf, cap, 0);
	if (n > 0)
		return (int)n;
	if (n == 0)
		return TCP_CLOSED;
	return errno == EAGAIN || errno == EINTR ? TCP_AGAIN : TCP_BROKEN;
}

/* Frames. */
static int put(struct tcp_conn *c, const void *frames, size_t n)
{
	return c->ws ? tcp_ws_write(c, frames, n) : tcp_put(c, frames, n);
}

/* Nothing is read from who does not take what waits for it. */
static void set_paused(struct tcp_conn *c)
{
	struct copse_tcp *t = c->owner;
	const uint32_t wrapped = c->ws ? tcp_ws_unsent(c->ws) : 0;
	const bool paused = tcp_waiting(&c->out) + wrapped > t->config.out_max / 4;

	t->count.paused += paused && !c->paused;
	if (c->paused && !paused && tcp_waiting(&c->in))
		tcp_make_ready(c);
	c->paused = paused;
}

bool tcp_flush(struct tcp_conn *c, copse_ms now)
{
	struct copse_tcp *t = c->owner;

	c->dirty = false;
	while (tcp_unsent(c)) {
		const void *bytes = c->out.bytes ? c->out.bytes + c->out.at : NULL;
		const int n = put(c, bytes, tcp_waiting(&c->out));

		t->base.counters.send_calls++;
		if (n < 0) {
			tcp_end(c, c->state >= TCP_OPEN ? &t->count.broken : &t->count.failed,
				"the connection was reset", true);
			return false;
		}
		if (n == TCP_AGAIN)
			break;
		c->out.at += (uint32_t)n;
		t->waiting -= (uint32_t)n;
		c->stalled_since = COPSE_NEVER;
	}
	if (tcp_waiting(&c->out) == 0)
		tcp_buffer_clear(&c->out);
	if (!tcp_unsent(c)) {
		c->stalled_since = COPSE_NEVER;
	} else if (c->stalled_since == COPSE_NEVER) {
		c->stalled_since = now;
	}
	set_paused(c);
	tcp_settle(c);
	return true;
}

static void lost(struct tcp_conn *c, int n)
{
	struct copse_tcp *t = c->owner;
	const bool closed = n == TCP_CLOSED;
	const char *fault = NULL;

	if (c->ws && tcp_ws_is_over(c->ws, &fault) && fault)
		tcp_end(c, &t->count.aborted_out, fault, false);
	else if (c->state < TCP_OPEN)
		tcp_end(c, &t->count.failed,
			closed ? "the peer closed the connection before its greeting"
			       : "the connection was reset before the greeting",
			!closed && !c->tls);
	else
		tcp_end(c, closed ? &t->count.closed : &t->count.broken,
			closed ? "the peer closed the connection" : "the connection was reset", true);
}

/* As TCP_..., or how many bytes have come. */
static int read_once(struct tcp_conn *c)
{
	int n;

	if (c->ws)
		return tcp_ws_read(c);
	if (!tcp_buffer_room(&c->in, READ_ROOM))
		return TCP_BROKEN;
	n = tcp_get(c, c->in.bytes + c->in.len, c->in.cap - c->in.len);
	c->in.len += n > 0 ? (uint32_t)n : 0;
	return n;
}

bool tcp_fill(struct tcp_conn *c, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	int n;

	if (c->paused || c->eof)
		return false;
	n = read_once(c);
	t->base.counters.receive_calls++;
	if (n > 0) {
		if (c->state >= TCP_GREETING)
			tcp_touch(c, now);
		/* answers to control frames leave now, so that they cannot pile up */
		return !c->ws || tcp_ws_unsent(c->ws) == 0 || c->state < TCP_OPEN || tcp_flush(c, now);
	}
	if (tcp_waiting(&c->in) == 0)
		tcp_buffer_clear(&c->in);
	if (n < 0)
		lost(c, n);
	return false;
}

/* ---- the beginning ---- */

static void greet(struct tcp_conn *c, copse_ms now)
{
	const struct copse_signal s = {.code = COPSE_CODE_CSM,
				       .has_max_message = true,
				       .max_message = c->owner->config.max_message,
				       .block_wise = true};
	uint8_t buf[COPSE_SIGNAL_MAX];
	const int n = copse_signal_write(&s, buf, sizeof(buf));

	/* RFC 8323 §5.3: the first message, before all that waits. A connection that is new takes a few bytes. */
	enter_state(c, TCP_GREETING);
	if (put(c, buf, (size_t)n) != n) {
		tcp_end(c, &c->owner->count.failed, "the connection was reset before the greeting", true);
		return;
	}
	c->used = now;
	tcp_settle(c);
}

/* Behind TLS, HTTP. Returns as the handshake of TLS does. */
static int upgrade(struct tcp_conn *c, const char **why)
{
	if (!c->ws && !(c->ws = tcp_ws_new(c))) {
		*why = "out of memory";
		return TCP_BROKEN;
	}
	enter_state(c, TCP_UPGRADING);
	return tcp_ws_upgrade(c, why);
}

bool tcp_shaken(struct tcp_conn *c, int done, const char *why, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	const uint32_t number = tcp_number(t, c);

	if (done > 0 && t->config.websocket)
		done = upgrade(c, &why);
	if (done < 0) {
		tcp_end(c, &t->count.failed, why, false);
		return false;
	}
	if (done > 0)
		greet(c, now);
	else
		tcp_settle(c);
	if (tcp_at(t, number)->state == TCP_FREE)
		return false;
	if (done > 0 && c->ws) /* what came behind the head has been read already */
		tcp_make_ready(c);
	return true;
}

/* Move on what comes before the greeting. */
static bool shake(struct tcp_conn *c, copse_ms now)
{
	const char *why = NULL;
	int done = 1;

	if (c->state == TCP_SHAKING && c->errand) {
		tcp_away_step(c, now);
		return true;
	}
	if (c->state == TCP_SHAKING && c->tls)
		done = tcp_tls_shake(c->tls, &why);
	return tcp_shaken(c, done, why, now);
}

static bool begin_tls(struct tcp_conn *c)
{
	struct copse_tcp *t = c->owner;

	c->tls = tcp_tls_new(t->secure, c->fd, address_key_ip(&c->peer), t->config.websocket);
	if (c->tls && tcp_away_begin(c))
		return true;
	tcp_end(c, &t->count.failed, "out of memory", false);
	return false;
}

/* The network has answered. */
static bool connected(struct tcp_conn *c, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	socklen_t len = sizeof(int);
	char text[80];
	int err = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		err = errno;
	if (err) {
		tcp_end(c, &t->count.failed, strerror_r(err, text, sizeof(text)), true);
		return false;
	}
	t->count.connected++;
	enter_state(c, TCP_SHAKING);
	if (t->secure && !begin_tls(c))
		return false;
	return shake(c, now);
}

bool tcp_progress(struct tcp_conn *c, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	const uint32_t number = tcp_number(t, c);

	if (c->state == TCP_CONNECTING)
		return connected(c, now);
	if (c->state < TCP_GREETING)
		return shake(c, now);
	if (c->state >= TCP_OPEN && tcp_flush(c, now))
		tcp_release_settle(c);
	return tcp_at(t, number)->state != TCP_FREE;
}

void tcp_opened(struct tcp_conn *c, copse_ms now)
{
	struct copse_tcp *t = c->owner;

	t->count.opened++;
	enter_state(c, TCP_OPEN);
	if (t->config.server) {
		c->peer_hash = hash_of(t, &c->peer);
		core_table_insert(&t->by_peer, c->peer_hash, tcp_number(t, c));
		c->by_peer = true;
	}
	c->used = now;
}

void tcp_drain(struct tcp_conn *c, copse_ms now)
{
	if (!c->owner->config.server) /* a server's answers have no other way */
		leave_peer(c);
	c->began = now;
	enter_state(c, TCP_DRAINING);
	tcp_settle(c);
}

/* A record that is in no list. Room is made at the cost of one that has not greeted, else of the least recently used. */
static struct tcp_conn *take(struct copse_tcp *t)
{
	uint32_t number = t->free;

	if (!number && t->fresh > t->config.connections) {
		/* Strangers displace strangers first, so that a flood of them ends no conversation. */
		const bool strangers = t->beginning.n > 0;
		struct tcp_conn *oldest = tcp_at(t, strangers ? t->beginning.last : t->open.last);

		tcp_end(oldest, strangers ? &t->count.displaced : &t->count.evicted, "too many connections",
			false);
		number = t->free;
	}
	if (number)
		t->free = tcp_at(t, number)->next;
	else
		number = t->fresh++;
	return tcp_at(t, number);
}

static void set_options(int fd, copse_ms stall_ms)
{
	const int on = 1, idle = 120, stall = stall_ms > INT32_MAX ? INT32_MAX : (int)stall_ms;

	/* without these it works, only worse */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall, sizeof(stall));
}

static struct tcp_conn *begin(struct copse_tcp *t, int fd, const struct copse_peer *peer,
			      enum tcp_state state, copse_ms now)
{
	struct tcp_conn *c = take(t);
	struct epoll_event e = {.events = state == TCP_CONNECTING ? EPOLLOUT : EPOLLIN,
				.data.u32 = tcp_number(t, c)};

	*c = (struct tcp_conn){.owner = t,
			       .peer = *peer,
			       .fd = fd,
			       .state = (uint8_t)state,
			       .began = now,
			       .used = now,
			       .frame_since = COPSE_NEVER,
			       .stalled_since = COPSE_NEVER,
			       .retry_at = COPSE_NEVER,
			       .peer_max = COPSE_FRAME_BASE,
			       .watched = e.events};
	list_push(t, &t->beginning, c);
	set_options(fd, t->config.stall_ms);
	if (epoll_ctl(t->base.fd, EPOLL_CTL_ADD, fd, &e) == 0)
		return c;
	tcp_end(c, &t->count.failed, "out of memory", false);
	return NULL;
}

static void refuse_connection(struct copse_tcp *t, const struct copse_peer *peer, const char *why)
{
	say_why(t, why, true);
	t->base.failed = true;
	if (t->failure_n < t->config.connections)
		t->failures[t->failure_n++] = *peer;
}

struct tcp_conn *tcp_connect(struct copse_tcp *t, const struct copse_peer *peer, copse_ms now)
{
	struct copse_address to;
	struct tcp_conn *c;
	int fd = -1, err;
	const bool known = copse_peer_address(peer, &to) == COPSE_OK;

	if (known && !tcp_release_allows(t, peer, now, &to)) {
		t->count.held++;
		refuse_connection(t, peer, "the server has asked not to be connected to for a while");
		return NULL;
	}
	if (known)
		fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && t->config.bind.len && bind(fd, &t->config.bind.sa, t->config.bind.len) != 0) {
		close(fd);
		fd = -1;
	}
	err = fd < 0 || (connect(fd, &to.sa, to.len) != 0 && errno != EINPROGRESS) ? errno : 0;
	c = err == 0 ? begin(t, fd, peer, TCP_CONNECTING, now) : NULL;
	if (!c) {
		char text[80];

		if (err && fd >= 0)
			close(fd);
		t->count.failed += err != 0;
		tcp_release_next(t, peer);
		refuse_connection(t, peer, err ? strerror_r(err, text, sizeof(text)) : NULL);
		return NULL;
	}
	c->peer.flags |= COPSE_PEER_RELIABLE;
	c->peer_hash = hash_of(t, peer);
	core_table_insert(&t->by_peer, c->peer_hash, tcp_number(t, c));
	c->by_peer = true;
	tcp_settle(c);
	return c;
}

/* ---- listening ---- */

void tcp_listen(struct copse_tcp *t, bool on)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = 0};

	if (on == t->listening || t->listener < 0)
		return;
	if (epoll_ctl(t->base.fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, t->listener, &e) == 0)
		t->listening = on;
}

/* One of `rate` a second, a second's worth at once. */
static bool may_accept(struct copse_tcp *t, copse_ms now)
{
	const uint64_t full = (uint64_t)t->config.rate * 1000,
		       passed = now > t->rate_at ? now - t->rate_at : 0;
	uint64_t left = t->rate_left + (passed < 1000 ? passed : 1000) * t->config.rate;

	t->rate_at = now;
	left = left > full ? full : left;
	t->rate_left = (uint32_t)(left < 1000 ? left : left - 1000);
	return left >= 1000;
}

static void defer(struct copse_tcp *t, copse_ms now)
{
	t->count.deferred++;
	t->listen_at = now + ACCEPT_WAIT;
	tcp_listen(t, false);
}

/* A peer that is a connection: its serial number is in the key, where others have the interface. */
static int peer_of(struct copse_tcp *t, const struct copse_address *from, struct copse_peer *peer)
{
	const int err = copse_peer_from_address(t->base.id, from, peer);

	if (err)
		return err;
	address_key_set_scope(peer, ADDRESS_SCOPE_SPLIT | (t->serial++ & ADDRESS_SCOPE_MAX));
	peer->flags = COPSE_PEER_RELIABLE;
	peer->group = t->config.group;
	return COPSE_OK;
}

static void take_in(struct copse_tcp *t, int fd, const struct copse_address *from, copse_ms now)
{
	struct copse_peer peer;
	struct tcp_conn *c;
	uint32_t hash;

	if (peer_of(t, from, &peer) != COPSE_OK) {
		t->base.counters.strange++;
		close(fd);
		return;
	}
	hash = address_hash(t, &peer);
	if (count_address(t, hash) >= t->config.per_address) {
		t->count.refused_address++;
		close(fd);
		return;
	}
	t->count.accepted++;
	c = begin(t, fd, &peer, TCP_SHAKING, now);
	if (!c)
		return;
	c->address_hash = hash;
	core_table_insert(&t->by_address, hash, tcp_number(t, c));
	c->by_address = true;
	if (t->secure && !begin_tls(c))
		return;
	if (c->errand) /* there is nothing to be done for it before the client has spoken */
		tcp_settle(c);
	else
		shake(c, now);
}

void tcp_accept(struct copse_tcp *t, copse_ms now)
{
	for (unsigned i = 0; i < ACCEPTS; i++) {
		struct copse_address from = {.len = sizeof(from.in6)};
		int fd;

		if (!may_accept(t, now)) {
			defer(t, now);
			return;
		}
		fd = accept4(t->listener, &from.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			take_in(t, fd, &from, now);
			continue;
		}
		t->rate_left += 1000; /* nobody came */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			defer(t, now);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* ---- time ---- */

static void overdue(struct tcp_conn *c, copse_ms now)
{
	struct copse_tcp *t = c->owner;
	const struct copse_tcp_config *config = &t->config;

	if (c->retry_at <= now && now - c->began < config->handshake_ms)
		tcp_away_step(c, now);
	else if (earlier(COPSE_NEVER, c->stalled_since, config->stall_ms) <= now)
		tcp_end(c, &t->count.stalled, "the peer takes nothing of what is sent", true);
	else if (c->state == TCP_DRAINING)
		tcp_end(c, &t->count.closed, NULL, true);
	else if (c->state < TCP_OPEN)
		tcp_end(c, &t->count.late,
			c->state == TCP_CONNECTING  ? "nobody answered"
			: c->state == TCP_SHAKING   ? "the handshake was begun but not completed"
			: c->state == TCP_UPGRADING ? "the upgrade to a WebSocket was not completed"
						    : "the peer sent no greeting",
			c->state == TCP_CONNECTING);
	else {
		t->count.slow++;
		tcp_abort(c, "a frame was not completed", 0);
	}
}

void tcp_tick(struct copse_tcp *t, copse_ms now)
{
	struct core_timer *first;

	while ((first = core_heap_first(&t->heap)) != NULL && first->at <= now)
		overdue((struct tcp_conn *)((char *)first - offsetof(struct tcp_conn, timer)), now);
	while (t->open.last && now - tcp_at(t, t->open.last)->used >= t->config.idle_ms)
		tcp_end(tcp_at(t, t->open.last), &t->count.idle, "the connection was not used for long",
			true);
	if (t->listener >= 0 && !t->listening && now >= t->listen_at)
		tcp_listen(t, true);
}
