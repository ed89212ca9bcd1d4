/* The host: an endpoint, its transports, the time.
 *
 * A datagram to be sent has a place in `out` from the moment the endpoint hands it over until its transport has taken
 * it. While a transport is blocked its datagrams keep their places; when none is free the endpoint keeps what it has,
 * which costs nothing (it hands out on demand). So nothing is lost between the endpoint and the system.
 *
 * Ids of transports name their slot: (id - 1) % slot_n. A slot that is used again gets another id, so that peers of a
 * transport that is gone are recognized.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/host.h>
#include <copse/mem.h>

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

struct slot {
	struct copse_host *host;
	struct copse_transport *transport; /* NULL: free */
	struct copse_watch watch, wake;
	copse_ms tick_at;
	uint16_t next_id;
	bool waiting; /* blocked, and not seen writable since */
};

struct copse_host {
	struct copse_endpoint *endpoint;
	void *endpoint_memory;
	struct copse_handler handler;
	struct copse_loop *loop; /* may be NULL */
	struct copse_timer timer;
	struct copse_prepare prepare;
	struct slot *slot; /* [slot_n] */
	uint16_t slot_n;
	copse_ms tick_at; /* not later than the earliest of the slots */

	struct copse_datagram *in; /* [in_n] */
	uint8_t *in_bytes;
	uint16_t in_n;

	struct copse_datagram *out; /* [out_n]; each is in `free` or in `queue` */
	struct copse_datagram **free;
	struct copse_datagram **queue; /* in the order of the endpoint */
	struct copse_datagram **run;   /* those of `queue` for one transport, while they are sent */
	struct copse_datagram **kept;  /* those of `queue` that were not taken */
	uint8_t *out_bytes;
	uint32_t out_size;
	uint16_t out_n, free_n, queue_n;
	bool failed; /* a transport has failed peers to report */
	bool more;   /* a transport that was sent by has something to hand out */
	bool behind; /* what the application was told last */

	struct copse_host_counters counters;
};

void copse_host_random(void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t got = getrandom(p, len, 0);

		COPSE_ASSERT(got > 0 || errno == EINTR);
		if (got > 0) {
			p += got;
			len -= (size_t)got;
		}
	}
}

struct copse_endpoint *copse_host_endpoint(struct copse_host *host)
{
	return host->endpoint;
}

const struct copse_host_counters *copse_host_counters(const struct copse_host *host)
{
	return &host->counters;
}

/* ---- in ---- */

static void hand_out_events(struct copse_host *host, copse_ms now)
{
	struct copse_event event;

	while (copse_endpoint_next_event(host->endpoint, &event)) {
		host->counters.events++;
		host->handler.event(host->handler.self, host->endpoint, &event, now);
	}
}

void copse_host_take(struct copse_host *host, const struct copse_peer *peer, const void *bytes, size_t len,
		     copse_ms now)
{
	copse_endpoint_receive(host->endpoint, peer, bytes, len, now);
	hand_out_events(host, now);
}

/* What a transport does may move its next deadline: asked after every use. */
static void tick(struct slot *s, copse_ms now)
{
	s->tick_at = s->transport->ops->tick(s->transport, now);
	s->host->failed |= s->transport->failed;
	if (s->tick_at < s->host->tick_at)
		s->host->tick_at = s->tick_at;
}

/* Whether the application has answered it by itself: then the answer is in the queue. */
static bool answer_at_once(struct copse_host *host, const struct copse_datagram *d, copse_ms now)
{
	if (!host->handler.at_once)
		return false;
	struct copse_datagram *out = host->free_n ? host->free[host->free_n - 1] : NULL;
	size_t len = host->handler.at_once(host->handler.self, &d->peer, d->data, d->len,
					   out ? out->data : NULL, out ? host->out_size : 0, now);

	if (len == 0)
		return false;
	COPSE_ASSERT(out);
	out->peer = d->peer;
	out->len = (uint32_t)len;
	host->free_n--;
	host->queue[host->queue_n++] = out;
	host->counters.at_once++;
	return true;
}

static void tell_behind(struct copse_host *host, bool behind)
{
	if (behind == host->behind)
		return;
	host->behind = behind;
	if (host->handler.behind)
		host->handler.behind(host->handler.self, behind);
}

static int receive_once(struct slot *s, copse_ms now)
{
	struct copse_host *host = s->host;
	size_t n = copse_transport_receive(s->transport, host->in, host->in_n, now);

	host->counters.batches_in += n > 0;
	tell_behind(host, s->transport->behind);
	for (size_t i = 0; i < n; i++) {
		const struct copse_datagram *d = &host->in[i];

		if (answer_at_once(host, d, now))
			continue;
		if (!host->handler.divert || !host->handler.divert(host->handler.self, d, now))
			copse_host_take(host, &d->peer, d->data, d->len, now);
	}
	if (s->transport)
		tick(s, now);
	return (int)n;
}

/* Messages that a transport has read already show on no descriptor. */
static int receive_batch(struct slot *s, copse_ms now)
{
	int n = receive_once(s, now);

	while (s->transport && s->transport->more)
		n += receive_once(s, now);
	return n;
}

void copse_host_unreachable(struct copse_host *host, const struct copse_peer *peer, copse_ms now)
{
	copse_endpoint_unreachable(host->endpoint, peer, now);
	hand_out_events(host, now);
}

static int report_failures(struct slot *s, copse_ms now)
{
	struct copse_peer peer;
	int n = 0;

	while (s->transport && copse_transport_failure(s->transport, &peer)) {
		copse_host_unreachable(s->host, &peer, now);
		if (s->host->handler.unreachable)
			s->host->handler.unreachable(s->host->handler.self, &peer, now);
		n++;
	}
	return n;
}

static copse_ms handler_deadline(const struct copse_host *host)
{
	return host->handler.deadline ? host->handler.deadline(host->handler.self) : COPSE_NEVER;
}

static int report_all_failures(struct copse_host *host, copse_ms now)
{
	int n = 0;

	host->failed = false;
	for (size_t i = 0; i < host->slot_n; i++) {
		struct slot *s = &host->slot[i];

		if (s->transport && s->transport->failed)
			n += report_failures(s, now);
	}
	return n;
}

static void expire(struct copse_host *host, copse_ms now)
{
	if (copse_endpoint_deadline(host->endpoint) <= now) {
		copse_endpoint_expire(host->endpoint, now);
		hand_out_events(host, now);
	}
	if (handler_deadline(host) <= now)
		host->handler.expire(host->handler.self, now);
	if (host->tick_at > now)
		return;
	host->tick_at = COPSE_NEVER;
	for (size_t i = 0; i < host->slot_n; i++) {
		if (host->slot[i].transport)
			tick(&host->slot[i], now);
	}
	if (host->failed)
		report_all_failures(host, now);
}

/* ---- out ---- */

static struct slot *slot_of(struct copse_host *host, const struct copse_peer *peer)
{
	uint16_t id = copse_peer_transport(peer);
	struct slot *s = &host->slot[(uint16_t)(id - 1) % host->slot_n];

	return id && s->transport && s->transport->id == id ? s : NULL;
}

static void fill_queue(struct copse_host *host, copse_ms now)
{
	while (host->free_n > 0) {
		struct copse_datagram *d = host->free[host->free_n - 1];
		int len = copse_endpoint_transmit(host->endpoint, d->data, host->out_size, &d->peer, now);

		if (len <= 0)
			return;
		d->len = (uint32_t)len;
		host->free_n--;
		host->queue[host->queue_n++] = d;
	}
}

/* Ask for writability while something waits for it, and only then: a socket is nearly always writable. */
static void watch_output(struct slot *s)
{
	struct copse_host *host = s->host;

	if (host->loop && s->watch.active)
		copse_loop_change(host->loop, &s->watch, COPSE_LOOP_IN | (s->waiting ? COPSE_LOOP_OUT : 0u));
}

/* Send the `n` datagrams in `run`. Returns how many are dealt with. */
static size_t send_run(struct slot *s, size_t n, copse_ms now)
{
	struct copse_host *host = s->host;
	size_t done;

	if (s->waiting)
		return 0;
	done = copse_transport_send(s->transport, host->run, n, now);
	host->counters.batches_out++;
	s->waiting = done < n;
	host->failed |= s->transport->failed;
	host->more |= s->transport->more;
	watch_output(s);
	tick(s, now);
	return done;
}

/* Move those of the first `n` in `queue` that go through `s` to `run`; close the ranks of the others.
 * Returns how many are in `run`. */
static uint16_t pick_run(struct copse_host *host, const struct slot *s, uint16_t n)
{
	uint16_t picked = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct copse_datagram *d = host->queue[i];

		if (slot_of(host, &d->peer) == s)
			host->run[picked++] = d;
		else
			host->queue[i - picked] = d;
	}
	return picked;
}

/* Offer everything in `queue` to its transports, each once and in order. Returns how many datagrams are dealt with. */
static size_t send_queue(struct copse_host *host, copse_ms now)
{
	uint16_t left = host->queue_n, kept_n = 0;

	while (left > 0) {
		struct slot *s = slot_of(host, &host->queue[0]->peer);
		uint16_t n = pick_run(host, s, left);
		size_t done = s ? send_run(s, n, now) : n;

		host->counters.unroutable += s ? 0 : n;
		for (uint16_t i = 0; i < n; i++) {
			if (i < done)
				host->free[host->free_n++] = host->run[i];
			else
				host->kept[kept_n++] = host->run[i];
		}
		left = (uint16_t)(left - n);
	}
	left = host->queue_n;
	host->queue_n = kept_n;
	memcpy(host->queue, host->kept, kept_n * sizeof host->queue[0]);
	return (size_t)(left - kept_n);
}

/* What sending has brought, which no descriptor shows: a reliable transport acknowledges by itself. */
static void receive_more(struct copse_host *host, copse_ms now)
{
	host->more = false;
	for (size_t i = 0; i < host->slot_n; i++) {
		struct slot *s = &host->slot[i];

		if (s->transport && s->transport->more)
			receive_batch(s, now);
	}
}

/* Returns how many datagrams were sent or dropped. */
static int flush(struct copse_host *host, copse_ms now)
{
	int total = 0;

	for (;;) {
		size_t dealt;

		fill_queue(host, now);
		dealt = send_queue(host, now);
		total += (int)dealt;
		if (!host->failed && !host->more && !dealt)
			break;
		if (host->more)
			receive_more(host, now);
		if (host->failed)
			report_all_failures(host, now);
	}
	host->counters.stalled += host->free_n == 0;
	return total;
}

void copse_host_flush(struct copse_host *host, copse_ms now)
{
	/* copse_loop_now must not lag behind what the endpoint has seen. */
	flush(host, host->loop ? copse_loop_refresh(host->loop) : now);
}

bool copse_host_pass(struct copse_host *host, struct copse_datagram *datagram, copse_ms now)
{
	struct slot *s = slot_of(host, &datagram->peer);
	size_t done;

	if (!s || s->waiting)
		return false;
	datagram->flags = 0;
	done = copse_transport_send(s->transport, &datagram, 1, now);
	s->waiting = done == 0;
	host->failed |= s->transport->failed;
	host->more |= s->transport->more;
	watch_output(s);
	tick(s, now);
	return done > 0 && !(datagram->flags & COPSE_DATAGRAM_DROPPED);
}

/* ---- driven by a loop, or step by step ---- */

copse_ms copse_host_deadline(const struct copse_host *host)
{
	copse_ms at = copse_endpoint_deadline(host->endpoint);
	copse_ms above = handler_deadline(host);

	at = above < at ? above : at;
	return at < host->tick_at ? at : host->tick_at;
}

int copse_host_step(struct copse_host *host, copse_ms now)
{
	int n = 0;

	for (size_t i = 0; i < host->slot_n; i++) {
		struct slot *s = &host->slot[i];

		if (!s->transport)
			continue;
		s->waiting = false;
		n += receive_batch(s, now);
	}
	n += report_all_failures(host, now);
	expire(host, now);
	return n + flush(host, now);
}

static void transport_ready(void *self, unsigned events, copse_ms now)
{
	struct slot *s = self;

	if (events & COPSE_LOOP_OUT)
		s->waiting = false;
	if (events & COPSE_LOOP_IN)
		receive_batch(s, now);
	/* The application may have detached the transport meanwhile. */
	if (s->transport && (events & COPSE_LOOP_ERROR || s->transport->failed))
		report_failures(s, now);
}

static void timer_due(void *self, copse_ms now)
{
	expire(self, now);
}

static void before_sleep(void *self, copse_ms now)
{
	struct copse_host *host = self;

	flush(host, now);
	copse_loop_set(host->loop, &host->timer, copse_host_deadline(host));
}

/* ---- transports ---- */

static struct slot *free_slot(struct copse_host *host)
{
	for (size_t i = 0; i < host->slot_n; i++) {
		if (!host->slot[i].transport)
			return &host->slot[i];
	}
	return NULL;
}

/* The next id of a slot: the same slot again, another id, never 0 and never above 65535. */
static uint16_t take_id(struct copse_host *host, struct slot *s)
{
	uint16_t id = s->next_id;
	uint32_t next = (uint32_t)id + host->slot_n;

	s->next_id = next <= UINT16_MAX ? (uint16_t)next : (uint16_t)(s - host->slot + 1);
	return id;
}

int copse_host_attach(struct copse_host *host, struct copse_transport *transport)
{
	struct slot *s = free_slot(host);
	int err;

	if (!s)
		return COPSE_ERR_NOROOM;
	s->watch = (struct copse_watch){
	    .fd = transport->fd, .events = COPSE_LOOP_IN, .ready = transport_ready, .self = s, .hot = true};
	if (host->loop && transport->fd >= 0) {
		err = copse_loop_add(host->loop, &s->watch);
		if (err != COPSE_OK)
			return COPSE_ERR_NOROOM;
	}
	s->wake = (struct copse_watch){
	    .fd = transport->wake_fd, .events = COPSE_LOOP_IN, .ready = transport_ready, .self = s};
	if (host->loop && transport->has_wake && copse_loop_add(host->loop, &s->wake) != COPSE_OK) {
		copse_loop_remove(host->loop, &s->watch);
		return COPSE_ERR_NOROOM;
	}
	transport->id = take_id(host, s);
	s->transport = transport;
	s->waiting = false;
	/* Before the first use there is no time to give; 0 is before every other. */
	s->tick_at = 0;
	host->tick_at = 0;
	return COPSE_OK;
}

void copse_host_detach(struct copse_host *host, struct copse_transport *transport)
{
	for (size_t i = 0; i < host->slot_n; i++) {
		struct slot *s = &host->slot[i];

		if (s->transport != transport)
			continue;
		if (host->loop) {
			copse_loop_remove(host->loop, &s->watch);
			copse_loop_remove(host->loop, &s->wake);
		}
		s->transport = NULL;
		copse_transport_close(transport);
		return;
	}
}

struct copse_transport *copse_host_listen(struct copse_host *host, const struct copse_udp_config *config,
					  char *why, size_t why_cap)
{
	struct copse_transport *t;

	if (copse_udp_open(config, &t, why, why_cap) != COPSE_OK)
		return NULL;
	if (copse_host_attach(host, t) == COPSE_OK)
		return t;
	copse_transport_close(t);
	if (why_cap > 0)
		snprintf(why, why_cap, "no room for another socket");
	return NULL;
}

struct copse_transport *copse_host_transport(struct copse_host *host, const struct copse_peer *peer)
{
	struct slot *s = slot_of(host, peer);

	return s ? s->transport : NULL;
}

struct copse_transport *copse_host_transport_at(struct copse_host *host, size_t i)
{
	for (size_t slot = 0; slot < host->slot_n; slot++) {
		if (host->slot[slot].transport && i-- == 0)
			return host->slot[slot].transport;
	}
	return NULL;
}

/* ---- making and freeing ---- */

/* Rows of `size` bytes, apart by an odd number of cache lines: rows of a power of two would all compete for the same
 * lines of the cache. */
static uint8_t *make_rows(struct copse_datagram *d, size_t n, uint32_t size)
{
	size_t stride = (((size_t)size + 63) / 64 | 1) * 64;
	uint8_t *bytes = copse_mem_new(n, stride);

	for (size_t i = 0; bytes && d && i < n; i++) {
		d[i].data = bytes + i * stride;
		d[i].cap = size;
	}
	return bytes;
}

static bool make_buffers(struct copse_host *host, const struct copse_host_config *c)
{
	host->in_n = c->receive_batch;
	host->out_n = c->send_batch;
	host->out_size = c->send_size;
	host->in = copse_mem_new(host->in_n, sizeof *host->in);
	host->out = copse_mem_new(host->out_n, sizeof *host->out);
	host->free = copse_mem_new(host->out_n, sizeof *host->free);
	host->queue = copse_mem_new(host->out_n, sizeof *host->queue);
	host->run = copse_mem_new(host->out_n, sizeof *host->run);
	host->kept = copse_mem_new(host->out_n, sizeof *host->kept);
	host->in_bytes = make_rows(host->in, host->in_n, c->receive_size);
	host->out_bytes = make_rows(host->out, host->out_n, c->send_size);
	if (!host->in || !host->out || !host->free || !host->queue || !host->run || !host->kept ||
	    !host->in_bytes || !host->out_bytes)
		return false;
	while (host->free_n < host->out_n) {
		host->free[host->free_n] = &host->out[host->free_n];
		host->free_n++;
	}
	return true;
}

static bool make_slots(struct copse_host *host, uint16_t n)
{
	host->slot = copse_mem_new(n, sizeof *host->slot);
	host->slot_n = n;
	host->tick_at = COPSE_NEVER;
	for (uint16_t i = 0; host->slot && i < n; i++) {
		host->slot[i].host = host;
		host->slot[i].next_id = (uint16_t)(i + 1);
	}
	return host->slot != NULL;
}

static bool make_endpoint(struct copse_host *host, const struct copse_config *config, copse_ms now)
{
	struct copse_config c = *config;
	size_t bytes;

	if (c.seed[0] == 0 && c.seed[1] == 0)
		copse_host_random(c.seed, sizeof c.seed);
	bytes = copse_endpoint_bytes(&c);
	host->endpoint_memory = copse_mem_new(1, bytes);
	if (host->endpoint_memory)
		host->endpoint = copse_endpoint_init(host->endpoint_memory, bytes, &c, now);
	return host->endpoint != NULL;
}

struct copse_host *copse_host_new(const struct copse_host_config *config, const struct copse_handler *handler,
				  struct copse_loop *loop, copse_ms now)
{
	struct copse_host *host = copse_mem_new(1, sizeof *host);

	COPSE_ASSERT(config->transports > 0 && config->receive_batch > 0 && config->send_batch > 0);
	COPSE_ASSERT(config->receive_size > 0 && config->send_size > 0);
	COPSE_ASSERT(handler->event && !handler->deadline == !handler->expire);
	if (!host || !make_slots(host, config->transports) || !make_buffers(host, config) ||
	    !make_endpoint(host, &config->endpoint, now)) {
		copse_host_free(host);
		return NULL;
	}
	host->handler = *handler;
	host->loop = loop;
	host->timer = (struct copse_timer){.due = timer_due, .self = host};
	host->prepare = (struct copse_prepare){.before = before_sleep, .self = host};
	if (loop)
		copse_loop_prepare(loop, &host->prepare);
	return host;
}

void copse_host_free(struct copse_host *host)
{
	if (!host)
		return;
	if (host->loop) {
		copse_loop_unprepare(host->loop, &host->prepare);
		copse_loop_clear(host->loop, &host->timer);
	}
	for (size_t i = 0; host->slot && i < host->slot_n; i++) {
		if (host->slot[i].transport)
			copse_host_detach(host, host->slot[i].transport);
	}
	copse_mem_free(host->slot);
	copse_mem_free(host->endpoint_memory);
	copse_mem_free(host->in);
	copse_mem_free(host->in_bytes);
	copse_mem_free(host->out);
	copse_mem_free(host->out_bytes);
	copse_mem_free(host->free);
	copse_mem_free(host->queue);
	copse_mem_free(host->run);
	copse_mem_free(host->kept);
	copse_mem_free(host);
}
