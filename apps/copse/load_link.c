/* See load_link.h. One epoll watches the transports' descriptors; those that have something are in a ring, each once. Timers
 * of transports (handshakes, keep-alives) are looked at all together now and then: they are seconds long.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_link.h"
#include "load.h"
#include "report.h"

#include <copse/dtls.h>
#include <copse/loop.h>
#include <copse/mem.h>
#include <copse/tcp.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define AT_ONCE   64u /* connections that are being made */
#define EVENTS    64u
#define SCAN_MS   50u /* between two looks at all timers */
#define PING_ID   0xfeedu
#define PER_PEER  4u /* connections of one client: the one in use, and those that the server has released */
#define OUT_LEAST 262144u

struct link {
	struct copse_transport *t;
	struct copse_peer peer;
	copse_ms due;
	bool ready;   /* in the ring */
	bool pinged;  /* the answer to the ping that made the connection is still to come */
	bool live;    /* something has come by the present connection */
	bool had_one; /* there was one before */
};

struct load_link {
	struct load_wire_config config;
	struct load_wire_counters *count;
	int epoll;
	struct link *link; /* [clients] */
	uint32_t *ring;    /* [clients] */
	uint32_t ring_at, ring_n;
	copse_ms scanned;
};

/* --- opening --- */

static int bind_address(const struct load_link *l, uint32_t client, struct copse_address *a)
{
	const struct load_wire_config *c = &l->config;
	const bool v4 = c->to.sa.sa_family == AF_INET;
	const char *text = c->local_address;

	if (c->local_port + client * (c->local_port > 0) > 65535)
		return report_error(EXIT_OTHER, "there are not %u ports from %u on", c->clients,
				    c->local_port);
	const uint16_t port = c->local_port ? (uint16_t)(c->local_port + client) : 0;

	*a = (struct copse_address){.len = 0};
	if (!text && v4 && ntohl(c->to.in.sin_addr.s_addr) >> 24 == 127) {
		const struct sockaddr_in in = {.sin_family = AF_INET,
					       .sin_addr.s_addr = htonl(LOAD_LINK_BASE + client)};
		copse_address_from((const struct sockaddr *)&in, sizeof(in), a);
	} else if (!text && !port) {
		return 0;
	} else if (copse_address_parse(text ? text : v4 ? "0.0.0.0" : "[::]", port, a)) {
		return report_error(EXIT_OTHER, "--local-address: %s is no address", text);
	}
	copse_address_set_port(a, port);
	return 0;
}

static int open_stream(const struct load_link *l, const struct copse_address *bind, struct link *one,
		       char *why, size_t why_cap)
{
	const uint32_t most = l->config.window * (LOAD_DATAGRAM + 16u);
	const struct copse_tcp_config config = {.bind = *bind,
						.secure = l->config.secure,
						.websocket = l->config.websocket,
						.host = l->config.authority,
						.connections = PER_PEER,
						.out_max = most > OUT_LEAST ? most : OUT_LEAST,
						.handshake_ms = l->config.handshake_ms};

	return copse_tcp_open(&config, &one->t, why, why_cap);
}

static int open_association(const struct load_link *l, const struct copse_address *bind, struct link *one,
			    char *why, size_t why_cap)
{
	const struct copse_dtls_config config = {.udp = {.bind = *bind},
						 .secure = l->config.secure,
						 .associations = PER_PEER,
						 .handshakes = PER_PEER,
						 .waiting = (uint16_t)l->config.window,
						 .handshake_ms = l->config.handshake_ms};

	return copse_dtls_open(&config, &one->t, why, why_cap);
}

static int open_one(struct load_link *l, uint32_t client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = client};
	struct link *one = &l->link[client];
	struct copse_address bind;
	char why[256];
	int code = bind_address(l, client, &bind);

	if (code)
		return code;
	if (l->config.stream ? open_stream(l, &bind, one, why, sizeof(why))
			     : open_association(l, &bind, one, why, sizeof(why)))
		return report_error(EXIT_OTHER, "%s", why);
	one->t->id = 1; /* no endpoint has them together */
	one->due = COPSE_NEVER;
	if (copse_transport_peer(one->t, &l->config.to, &one->peer))
		return report_error(EXIT_UNREACHABLE, "the address cannot be reached");
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, one->t->fd, &event))
		return report_error(EXIT_OTHER, "epoll: %s", strerror(errno));
	return 0;
}

static void allow_descriptors(uint32_t clients)
{
	const rlim_t wanted = 2ul * clients + 64;
	const struct rlimit many = {wanted, wanted};
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur < wanted)
		setrlimit(RLIMIT_NOFILE, &many);
}

/* --- what they do --- */

static void make_ready(struct load_link *l, uint32_t client)
{
	struct link *one = &l->link[client];

	if (one->ready)
		return;
	one->ready = true;
	l->ring[(l->ring_at + l->ring_n++) % l->config.clients] = client;
}

/* After anything was done with a transport. */
static void look_after(struct load_link *l, uint32_t client, copse_ms now)
{
	struct link *one = &l->link[client];

	one->due = one->t->ops->tick(one->t, now);
	if (one->t->failed || one->t->more)
		make_ready(l, client);
}

void load_link_send(struct load_link *l, uint32_t client, uint8_t *bytes, size_t len)
{
	struct link *one = &l->link[client];
	struct copse_datagram d = {.peer = one->peer, .data = bytes, .len = (uint32_t)len};
	struct copse_datagram *const batch[] = {&d};
	const copse_ms now = copse_clock_ms();

	if (copse_transport_send(one->t, batch, 1, now) == 1 && !(d.flags & COPSE_DATAGRAM_DROPPED))
		l->count->sent++;
	else
		l->count->unsent++;
	look_after(l, client, now);
}

/* The peer has spoken, or its greeting has come. */
static void note_live(struct load_link *l, struct link *one)
{
	if (one->live)
		return;
	one->live = true;
	l->count->connections++;
	l->count->reconnections += one->had_one;
	one->had_one = true;
}

/* Whether the datagram is anything to the engine: not if it answers the ping that made the connection. */
static bool is_news(struct link *one, const struct copse_datagram *d)
{
	const bool ours = one->pinged && d->len == COPSE_HEADER_LEN && d->data[0] >> 4 == 7 &&
			  (d->data[2] << 8 | d->data[3]) == PING_ID;

	one->pinged &= !ours;
	return !ours;
}

/* Returns whether its connection has ended, or could not be made. */
static bool take_failures(struct load_link *l, struct link *one)
{
	struct copse_peer peer;
	bool any = false;

	while (one->t->failed && copse_transport_failure(one->t, &peer))
		any = true;
	if (!any)
		return false;
	if (one->live)
		l->count->ended++;
	else
		l->count->unreachable++;
	one->live = one->pinged = false;
	return true;
}

static size_t take_from(struct load_link *l, uint32_t client, struct load_packet *packets,
			uint8_t (*rooms)[LOAD_DATAGRAM], size_t n)
{
	struct copse_datagram batch[EVENTS];
	struct link *one = &l->link[client];
	const copse_ms now = copse_clock_ms();
	size_t got, kept = 0;

	n = n > EVENTS ? EVENTS : n;
	for (size_t i = 0; i + 1 < n; i++) /* one is left for the news that the connection has ended */
		batch[i] = (struct copse_datagram){.data = rooms[i], .cap = LOAD_DATAGRAM};
	got = copse_transport_receive(one->t, batch, n - 1, now);
	for (size_t i = 0; i < got; i++) {
		note_live(l, one);
		l->count->received += !(batch[i].flags & COPSE_DATAGRAM_LOCAL);
		if (!is_news(one, &batch[i]))
			continue;
		if (kept < i) /* the rooms in use stay the first ones: the others are the next one's */
			memcpy(rooms[kept], batch[i].data, batch[i].len);
		packets[kept] = (struct load_packet){client, batch[i].len, rooms[kept]};
		kept++;
	}
	if (take_failures(l, one))
		packets[kept++] = (struct load_packet){client, 0, NULL};
	look_after(l, client, now);
	return kept;
}

static void scan(struct load_link *l)
{
	const copse_ms now = copse_clock_ms();

	if (now - l->scanned < SCAN_MS)
		return;
	l->scanned = now;
	for (uint32_t i = 0; i < l->config.clients; i++)
		if (l->link[i].due <= now)
			look_after(l, i, now);
}

size_t load_link_receive(struct load_link *l, struct load_packet *packets, uint8_t (*rooms)[LOAD_DATAGRAM],
			 size_t n)
{
	struct epoll_event events[EVENTS];
	size_t kept = 0;

	scan(l);
	const int got = l->ring_n < EVENTS ? epoll_wait(l->epoll, events, EVENTS, 0) : 0;
	for (int i = 0; i < got; i++)
		make_ready(l, events[i].data.u32);
	/* each once, so that nobody waits for a busy one */
	for (uint32_t left = l->ring_n; left > 0 && kept + 2 <= n; left--) {
		const uint32_t client = l->ring[l->ring_at];

		l->ring_at = (l->ring_at + 1) % l->config.clients;
		l->ring_n--;
		l->link[client].ready = false;
		kept += take_from(l, client, packets + kept, rooms + kept, n - kept);
	}
	return kept;
}

int load_link_fd(const struct load_link *l)
{
	return l->epoll;
}

bool load_link_pending(const struct load_link *l)
{
	return l->ring_n > 0;
}

/* --- making them --- */

static bool is_open(const struct load_link *l, const struct link *one)
{
	return l->config.stream ? copse_tcp_is_open(one->t, &one->peer)
				: copse_dtls_is_open(one->t, &one->peer);
}

/* Only a message makes a connection: an empty one, which is a ping. */
static void begin(struct load_link *l, uint32_t client)
{
	uint8_t ping[] = {COPSE_VERSION << 6, COPSE_CODE_EMPTY, PING_ID >> 8, PING_ID & 255};

	if (l->config.stream) {
		l->link[client].pinged = true;
		load_link_send(l, client, ping, sizeof(ping));
		l->count->sent--;
	} else {
		copse_dtls_connect(l->link[client].t, &l->link[client].peer, copse_clock_ms());
		look_after(l, client, copse_clock_ms());
	}
}

/* Why there is none: of the last one that was tried. */
static int explain(const struct load_link *l)
{
	const struct link *one = &l->link[l->config.clients - 1];
	bool network = true;
	const char *why =
	    l->config.stream ? copse_tcp_failure(one->t, &network) : copse_dtls_failure(one->t, &network);

	return report_error(network ? EXIT_UNREACHABLE : EXIT_SECURITY, "no connection could be made: %s",
			    why ? why : "there is no answer");
}

struct making {
	uint32_t begun, done, open;
	uint32_t first; /* all before are settled */
	bool *settled;  /* [clients] */
};

/* Nothing but the news that connections are open, or will not be. */
static void settle(struct load_link *l, struct making *m)
{
	static uint8_t rooms[EVENTS][LOAD_DATAGRAM];
	struct load_packet packets[EVENTS];
	const size_t n = load_link_receive(l, packets, rooms, EVENTS);

	for (size_t i = 0; i < n; i++) {
		const uint32_t client = packets[i].client;
		if (!packets[i].bytes && !m->settled[client]) {
			m->settled[client] = true;
			m->done++;
		}
	}
	while (m->first < m->begun && m->settled[m->first])
		m->first++;
	for (uint32_t i = m->first; i < m->begun; i++) {
		if (m->settled[i] || !is_open(l, &l->link[i]))
			continue;
		note_live(l, &l->link[i]);
		m->settled[i] = true;
		m->done++;
		m->open++;
	}
}

/* Make all of them, some at a time. */
static int make_all(struct load_link *l)
{
	struct making m = {.settled = copse_mem_new(l->config.clients, sizeof(bool))};
	struct epoll_event event;

	if (!m.settled)
		return report_error(EXIT_OTHER, "out of memory");
	while (m.done < l->config.clients && !load_interrupted()) {
		const uint32_t before = m.done;

		while (m.begun < l->config.clients && m.begun - m.done < AT_ONCE)
			begin(l, m.begun++);
		settle(l, &m);
		if (m.done == before && !load_link_pending(l))
			epoll_wait(l->epoll, &event, 1, SCAN_MS);
	}
	copse_mem_free(m.settled);
	if (m.open == 0 && !load_interrupted())
		return explain(l);
	if (m.open < l->config.clients && !load_interrupted())
		report_note("%u of %u clients have no connection yet", l->config.clients - m.open,
			    l->config.clients);
	return 0;
}

static int open_all(struct load_link *l)
{
	int code = 0;

	allow_descriptors(l->config.clients);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return report_error(EXIT_OTHER, "epoll: %s", strerror(errno));
	for (uint32_t i = 0; i < l->config.clients && !code; i++)
		code = open_one(l, i);
	return code ? code : make_all(l);
}

struct load_link *load_link_open(const struct load_wire_config *config, struct load_wire_counters *counters,
				 int *code)
{
	struct load_link *l = copse_mem_new(1, sizeof(*l));

	*code = EXIT_OTHER;
	if (l) {
		*l = (struct load_link){.config = *config, .count = counters, .epoll = -1};
		l->link = copse_mem_new(config->clients, sizeof(*l->link));
		l->ring = copse_mem_new(config->clients, sizeof(*l->ring));
	}
	if (l && l->link && l->ring)
		*code = open_all(l);
	else
		report_error(EXIT_OTHER, "out of memory");
	if (*code == 0)
		return l;
	load_link_close(l);
	return NULL;
}

void load_link_close(struct load_link *l)
{
	if (!l)
		return;
	for (uint32_t i = 0; l->link && i < l->config.clients; i++)
		copse_transport_close(l->link[i].t);
	if (l->epoll >= 0)
		close(l->epoll);
	copse_mem_free(l->link);
	copse_mem_free(l->ring);
	copse_mem_free(l);
}
