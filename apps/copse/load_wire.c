/* See load_wire.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_wire.h"
#include "load_link.h"
#include "report.h"

#include <copse/mem.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH  64u
#define BASE   LOAD_LINK_BASE
#define BUFFER (16 << 20)
#define MERCY  1000 /* ms until a socket that takes nothing is given up */

union control {
	char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct cmsghdr align;
};

/* One direction of a batch: everything that recvmmsg and sendmmsg want. */
struct batch {
	uint8_t bytes[BATCH][LOAD_DATAGRAM];
	union control control[BATCH];
	struct sockaddr_in from[BATCH];
	struct iovec iov[BATCH];
	struct mmsghdr message[BATCH];
};

struct load_wire {
	struct load_wire_config config;
	struct load_wire_counters counters;
	struct load_link *link; /* connections; NULL: datagrams in the clear */
	bool shared;
	int epoll;
	int *fd;            /* one, or one a client */
	uint32_t *address;  /* shared: which of the addresses a client has now */
	uint32_t addresses; /* given out so far */
	uint32_t *owner;    /* shared: whose address it is */
	uint32_t owner_cap;
	uint32_t waiting; /* in `out` */
	uint32_t out_client[BATCH];
	struct load_packet packet[BATCH];
	struct batch in, out;
};

const struct load_wire_counters *load_wire_counters(const struct load_wire *w)
{
	return &w->counters;
}

/* --- opening --- */

static bool is_loopback(const struct copse_address *a)
{
	const struct sockaddr_in *in = &a->in;

	return a->sa.sa_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == 127;
}

static int fail(const char *what)
{
	return report_error(EXIT_OTHER, "%s: %s", what, strerror(errno));
}

static void enlarge(int fd)
{
	const int size = BUFFER;

	/* The first needs a privilege, the second is cut to what the system allows. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int bind_to(int fd, const struct load_wire *w, uint32_t client)
{
	const char *text = w->config.local_address;
	uint16_t port = w->config.local_port;
	struct copse_address a;

	if (!text && !port)
		return 0;
	if (!text)
		text = w->config.to.sa.sa_family == AF_INET ? "0.0.0.0" : "[::]";
	if (copse_address_parse(text, port, &a))
		return report_error(EXIT_OTHER, "--local-address: %s is no address", text);
	if (port + client > 65535)
		return report_error(EXIT_OTHER, "there are not %u ports from %u on", w->config.clients, port);
	copse_address_set_port(&a, (uint16_t)(port ? port + client : 0));
	return bind(fd, &a.sa, a.len) ? fail("cannot bind") : 0;
}

static int open_shared(struct load_wire *w)
{
	const int one = 1;
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(w->config.local_port)};

	w->fd[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w->fd[0] < 0 || setsockopt(w->fd[0], IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) ||
	    setsockopt(w->fd[0], IPPROTO_IP, IP_RECVERR, &one, sizeof(one)))
		return fail("cannot open a socket");
	if (bind(w->fd[0], (struct sockaddr *)&any, sizeof(any)))
		return fail("cannot bind");
	enlarge(w->fd[0]);
	for (uint32_t i = 0; i < w->config.clients; i++)
		w->address[i] = w->owner[i] = i;
	w->addresses = w->config.clients;
	return 0;
}

static int open_each(struct load_wire *w)
{
	const struct rlimit many = {w->config.clients + 64, w->config.clients + 64};
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur < many.rlim_cur)
		setrlimit(RLIMIT_NOFILE, &many);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return fail("epoll");
	for (uint32_t i = 0; i < w->config.clients; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
		w->fd[i] = socket(w->config.to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (w->fd[i] < 0)
			return fail("cannot open as many sockets as clients");
		int code = bind_to(w->fd[i], w, i);
		if (code)
			return code;
		if (connect(w->fd[i], &w->config.to.sa, w->config.to.len))
			return report_error(EXIT_UNREACHABLE, "cannot connect: %s", strerror(errno));
		if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->fd[i], &event))
			return fail("epoll");
	}
	return 0;
}

static void fill_batch(struct load_wire *w, struct batch *b, bool out)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		struct msghdr *m = &b->message[i].msg_hdr;
		b->iov[i] = (struct iovec){b->bytes[i], LOAD_DATAGRAM};
		*m = (struct msghdr){.msg_iov = &b->iov[i], .msg_iovlen = 1};
		if (!w->shared)
			continue;
		m->msg_name = out ? (void *)&w->config.to.sa : &b->from[i];
		m->msg_namelen = out ? w->config.to.len : sizeof(b->from[i]);
		m->msg_control = &b->control[i];
		m->msg_controllen = sizeof(b->control[i]);
		if (!out)
			continue;
		struct cmsghdr *c = CMSG_FIRSTHDR(m);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
	}
}

struct load_wire *load_wire_open(const struct load_wire_config *config, int *code)
{
	struct load_wire *w = copse_mem_new(1, sizeof(*w));

	*code = EXIT_OTHER;
	if (!w) {
		report_error(EXIT_OTHER, "out of memory");
		return NULL;
	}
	w->config = *config;
	w->epoll = -1;
	if (config->stream || config->secure) {
		w->link = load_link_open(config, &w->counters, code);
		if (*code == 0)
			return w;
		load_wire_close(w);
		return NULL;
	}
	w->shared = is_loopback(&config->to) && !config->local_address;
	w->owner_cap = config->clients > LOAD_ADDRESSES ? config->clients : LOAD_ADDRESSES;
	w->fd = copse_mem_new(w->shared ? 1 : config->clients, sizeof(*w->fd));
	w->address = copse_mem_new(config->clients, sizeof(*w->address));
	w->owner = copse_mem_new(w->shared ? w->owner_cap : 1, sizeof(*w->owner));
	if (w->fd && w->address && w->owner) {
		memset(w->fd, 0xff, (w->shared ? 1 : config->clients) * sizeof(*w->fd));
		fill_batch(w, &w->in, false);
		fill_batch(w, &w->out, true);
		*code = w->shared ? open_shared(w) : open_each(w);
	} else {
		report_error(EXIT_OTHER, "out of memory");
	}
	if (*code == 0)
		return w;
	load_wire_close(w);
	return NULL;
}

void load_wire_close(struct load_wire *w)
{
	if (!w)
		return;
	load_link_close(w->link);
	for (uint32_t i = 0; w->fd && i < (w->shared ? 1 : w->config.clients); i++)
		if (w->fd[i] >= 0)
			close(w->fd[i]);
	if (w->epoll >= 0)
		close(w->epoll);
	copse_mem_free(w->fd);
	copse_mem_free(w->address);
	copse_mem_free(w->owner);
	copse_mem_free(w);
}

bool load_wire_is_stream(const struct load_wire *w)
{
	return w->config.stream;
}

bool load_wire_renew(struct load_wire *w, uint32_t client)
{
	if (!w->shared || w->addresses == w->owner_cap)
		return false;
	w->owner[w->addresses] = client;
	w->address[client] = w->addresses++;
	return true;
}

/* --- sending --- */

uint8_t *load_wire_room(struct load_wire *w)
{
	if (w->waiting == BATCH)
		load_wire_flush(w);
	return w->out.bytes[w->waiting];
}

void load_wire_commit(struct load_wire *w, uint32_t client, size_t len)
{
	if (w->link) {
		load_link_send(w->link, client, w->out.bytes[0], len);
		return;
	}
	uint32_t i = w->waiting++;

	w->out_client[i] = client;
	w->out.iov[i].iov_len = len;
	if (w->shared) {
		struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(BASE + w->address[client])};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&w->out.message[i].msg_hdr)), &info, sizeof(info));
	}
}

/* Empty the error queue: what the shared socket learned from ICMP. */
static void take_errors(struct load_wire *w, int fd)
{
	char control[512];
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};

	while (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
		w->counters.unreachable++;
		m.msg_controllen = sizeof(control);
	}
}

/* The socket did not take a datagram. Returns whether it is worth trying again. */
static bool recover(struct load_wire *w, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (errno == EINTR)
		return true;
	if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH) { /* of an earlier one */
		if (w->shared)
			take_errors(w, fd);
		else
			w->counters.unreachable++;
		return true;
	}
	return (errno == EAGAIN || errno == ENOBUFS) && poll(&p, 1, MERCY) > 0;
}

static void send_some(struct load_wire *w, int fd, struct mmsghdr *messages, uint32_t n)
{
	unsigned attempts = 0;

	for (uint32_t done = 0; done < n;) {
		int sent = sendmmsg(fd, messages + done, n - done, 0);
		if (sent > 0) {
			done += (uint32_t)sent;
			w->counters.sent += (uint32_t)sent;
			attempts = 0;
		} else if (attempts++ > 8 || !recover(w, fd)) {
			w->counters.unsent++;
			done++;
		}
	}
}

void load_wire_flush(struct load_wire *w)
{
	uint32_t n = w->waiting;

	w->waiting = 0;
	if (w->shared && n)
		send_some(w, w->fd[0], w->out.message, n);
	for (uint32_t i = 0; !w->shared && i < n; i++)
		send_some(w, w->fd[w->out_client[i]], &w->out.message[i], 1);
}

/* --- receiving --- */

/* Whose address the datagram came to; false when it is nobody's. */
static bool find_client(const struct load_wire *w, struct msghdr *m, uint32_t *client)
{
	struct in_pktinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		uint32_t number = ntohl(info.ipi_addr.s_addr) - BASE;
		if (number >= w->addresses)
			return false;
		*client = w->owner[number];
		return true;
	}
	return false;
}

static size_t receive_shared(struct load_wire *w)
{
	size_t kept = 0;
	int n = recvmmsg(w->fd[0], w->in.message, BATCH, MSG_DONTWAIT, NULL);

	if (n < 0)
		take_errors(w, w->fd[0]);
	for (int i = 0; i < n; i++) {
		struct msghdr *m = &w->in.message[i].msg_hdr;
		struct load_packet *p = &w->packet[kept];
		kept += find_client(w, m, &p->client);
		p->bytes = w->in.bytes[i];
		p->len = w->in.message[i].msg_len;
		m->msg_controllen = sizeof(w->in.control[i]);
		m->msg_namelen = sizeof(w->in.from[i]);
	}
	return kept;
}

static size_t receive_each(struct load_wire *w)
{
	struct epoll_event events[BATCH];
	size_t kept = 0;
	int ready = epoll_wait(w->epoll, events, BATCH, 0);

	for (int i = 0; i < ready; i++) {
		uint32_t client = events[i].data.u32;
		ssize_t n = recv(w->fd[client], w->in.bytes[kept], LOAD_DATAGRAM, MSG_DONTWAIT);
		if (n < 0) {
			w->counters.unreachable += errno == ECONNREFUSED || errno == EHOSTUNREACH;
			continue;
		}
		w->packet[kept] = (struct load_packet){client, (uint32_t)n, w->in.bytes[kept]};
		kept++;
	}
	return kept;
}

size_t load_wire_receive(struct load_wire *w, const struct load_packet **packets)
{
	*packets = w->packet;
	if (w->link)
		return load_link_receive(w->link, w->packet, w->in.bytes, BATCH);
	size_t n = w->shared ? receive_shared(w) : receive_each(w);
	w->counters.received += n;
	return n;
}

void load_wire_wait(struct load_wire *w, uint64_t ns)
{
	struct pollfd p = {.fd = w->shared ? w->fd[0] : w->epoll, .events = POLLIN};
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	if (w->link && load_link_pending(w->link))
		return;
	if (w->link)
		p.fd = load_link_fd(w->link);
	ppoll(&p, 1, &t, NULL);
}
