/* What the gateway is compared with, and what stands behind it: datagrams in batches, one socket, no CoAP to speak of.
 *
 *	bench-peer echo PORT [LENGTH]         answers each datagram by one: 2.05, with its message ID and token, and LENGTH
 *	                                      bytes of payload: a device, and the kernel's limit for an answer from a cache
 *	bench-peer devices PORT [LENGTH]      the same on each address of 127.0.0.0/8: as many devices as one likes
 *	bench-peer relay PORT TO [CON]        sends what comes on PORT on to port TO, and what comes from there back: the
 *	                                      kernel's limit for a proxied request. With CON six datagrams as a proxy has
 *	                                      them, an acknowledgement at once and an answer that is acknowledged itself
 *	bench-peer send PORT N LENGTH         sends N datagrams of LENGTH bytes to port PORT of as many addresses: the
 *	                                      kernel's limit for notifications
 *	bench-peer silence PORT               takes what comes and says nothing: a dead device
 *	bench-peer sink PORT                  the same on each address of 127.0.0.0/8: whom `send` sends to
 *	bench-peer beat PORT MS [LENGTH]      a device whose one observer gets a non-confirmable notification every MS ms
 *
 * Everything else is on 127.0.0.1. Prints "ready" when it is. The token of bench requests is 8 bytes long, and begins with a
 * number that tells requests under way apart (copse load): by it the relay finds the client again.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define BYTES 1500
#define HEAD  12u /* header and token */
#define NAMES (1u << 22)

struct batch {
	uint8_t bytes[BATCH][BYTES];
	struct sockaddr_in name[BATCH];
	struct iovec iov[BATCH];
	struct mmsghdr message[BATCH];
	uint8_t control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))]; /* which address was asked */
	unsigned n;
};

static struct batch in, out;
static int everywhere; /* on all addresses: each answers as itself */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void prepare(struct batch *b)
{
	for (int i = 0; i < BATCH; i++) {
		b->iov[i] = (struct iovec){b->bytes[i], BYTES};
		b->message[i].msg_hdr = (struct msghdr){.msg_name = &b->name[i],
							.msg_namelen = sizeof b->name[i],
							.msg_iov = &b->iov[i],
							.msg_iovlen = 1};
	}
}

static struct sockaddr_in local(uint16_t port)
{
	return (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int open_socket(uint16_t port)
{
	struct sockaddr_in a = local(port);
	const int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 16 << 20;
	if (everywhere) {
		a.sin_addr.s_addr = htonl(INADDR_ANY);
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &everywhere, sizeof everywhere);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a))
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return fd;
}

static int receive(int fd, int flags)
{
	for (int i = 0; i < BATCH; i++) {
		in.message[i].msg_hdr.msg_namelen = sizeof in.name[i];
		in.iov[i].iov_len = BYTES;
		in.message[i].msg_hdr.msg_control = everywhere ? in.control[i] : NULL;
		in.message[i].msg_hdr.msg_controllen = everywhere ? sizeof in.control[i] : 0;
	}
	return recvmmsg(fd, in.message, BATCH, flags, NULL);
}

static void flush(int fd)
{
	for (unsigned done = 0; done < out.n;) {
		const int n = sendmmsg(fd, out.message + done, out.n - done, 0);
		done += n > 0 ? (unsigned)n : 1;
	}
	out.n = 0;
}

static uint8_t *put(int fd, const struct sockaddr_in *to, unsigned len)
{
	if (out.n == BATCH)
		flush(fd);
	out.name[out.n] = *to;
	out.iov[out.n].iov_len = len;
	return out.bytes[out.n++];
}

/* The answer leaves by the address that was asked: what was received says which. */
static void put_source(const struct msghdr *asked)
{
	struct msghdr *m = &out.message[out.n - 1].msg_hdr;
	memcpy(out.control[out.n - 1], asked->msg_control, asked->msg_controllen);
	m->msg_control = out.control[out.n - 1];
	m->msg_controllen = asked->msg_controllen;
}

/* 2.05 to the i-th that came, with its message ID and token. */
static void put_answer(int fd, int i, unsigned payload)
{
	const uint8_t *q = in.bytes[i];
	const unsigned head = 4u + (q[0] & 15u), confirmable = (q[0] & 0x30) == 0;
	uint8_t *a = put(fd, &in.name[i], head + 1 + payload);
	if (everywhere)
		put_source(&in.message[i].msg_hdr);
	memcpy(a, q, head);
	a[0] = (uint8_t)((q[0] & 0xcf) | (confirmable ? 0x20 : 0x10));
	a[1] = 0x45;
	a[head] = 0xff;
	memset(a + head + 1, 'x', payload);
}

static void serve_echo(int fd, unsigned payload)
{
	for (;;) {
		const int n = receive(fd, MSG_WAITFORONE);
		for (int i = 0; i < n; i++) {
			const uint8_t *q = in.bytes[i];
			const unsigned head = 4u + (q[0] & 15u);
			if (in.message[i].msg_len < head || head > HEAD || q[1] == 0 || q[1] >= 0x20)
				continue;
			put_answer(fd, i, payload);
		}
		flush(fd);
	}
}

/* From a client: remember whose it is, and pass it on. */
static void relay_request(int here, int there, int i, int confirmable, const struct sockaddr_in *to,
			  struct sockaddr_in *names)
{
	const uint8_t *q = in.bytes[i];
	const unsigned len = in.message[i].msg_len;
	uint32_t number;
	(void)here;
	if (len < HEAD) /* an acknowledgement */
		return;
	memcpy(&number, q + 4, 4);
	names[number % NAMES] = in.name[i];
	memcpy(put(there, to, len), q, len);
	(void)confirmable;
}

static void relay_answer(int here, int i, int confirmable, const struct sockaddr_in *names)
{
	const uint8_t *a = in.bytes[i];
	const unsigned len = in.message[i].msg_len;
	uint32_t number;
	if (len < HEAD)
		return;
	memcpy(&number, a + 4, 4);
	uint8_t *o = put(here, &names[number % NAMES], len);
	memcpy(o, a, len);
	if (confirmable)
		o[0] &= 0xcf;
}

static void acknowledge(int here, int n)
{
	for (int i = 0; i < n; i++) {
		if (in.message[i].msg_len < HEAD)
			continue;
		uint8_t *o = put(here, &in.name[i], 4);
		memcpy(o, in.bytes[i], 4);
		o[0] = 0x60;
		o[1] = 0;
	}
	flush(here);
}

static void serve_relay(int here, uint16_t port, int confirmable)
{
	struct sockaddr_in *names = calloc(NAMES, sizeof *names);
	const struct sockaddr_in to = local(port);
	const int there = open_socket(0);
	struct pollfd p[2] = {{here, POLLIN, 0}, {there, POLLIN, 0}};
	if (!names)
		die("memory");
	for (;;) {
		int n = receive(here, MSG_DONTWAIT);
		const int got = n > 0;
		for (int i = 0; i < n; i++)
			relay_request(here, there, i, confirmable, &to, names);
		flush(there);
		if (confirmable && n > 0)
			acknowledge(here, n);
		n = receive(there, MSG_DONTWAIT);
		for (int i = 0; i < n; i++)
			relay_answer(here, i, confirmable, names);
		flush(here);
		if (!got && n <= 0)
			poll(p, 2, -1);
	}
}

static void send_all(int fd, uint16_t port, unsigned n, unsigned len)
{
	struct sockaddr_in to = local(port);
	for (unsigned i = 0; i < n; i++) {
		to.sin_addr.s_addr = htonl((127u << 24) + (64u << 16) + 1 + i % 100000);
		memset(put(fd, &to, len), 'x', len);
	}
	flush(fd);
}

/* Who observes: the last that asked, until it says that it does not know the token any more. */
static struct {
	struct sockaddr_in name;
	uint8_t token[8], token_len;
	uint32_t sequence; /* 24 bits */
	uint16_t mid;
} observer;

/* A state, as an answer to what is at `head` (header and token), or by itself. */
static void put_state(int fd, const uint8_t *head, unsigned payload)
{
	const unsigned n = 4u + observer.token_len;
	uint8_t *a = put(fd, &observer.name, n + 4 + 1 + payload);
	observer.sequence = (observer.sequence + 1) & 0xffffff;
	if (head) {
		memcpy(a, head, n);
		a[0] = (uint8_t)((head[0] & 0xcf) | ((head[0] & 0x30) == 0 ? 0x20 : 0x10));
	} else {
		observer.mid++;
		a[0] = (uint8_t)(0x50 | observer.token_len);
		a[2] = (uint8_t)(observer.mid >> 8);
		a[3] = (uint8_t)observer.mid;
		memcpy(a + 4, observer.token, observer.token_len);
	}
	a[1] = 0x45;
	a[n] = 0x63; /* Observe, three bytes */
	a[n + 1] = (uint8_t)(observer.sequence >> 16);
	a[n + 2] = (uint8_t)(observer.sequence >> 8);
	a[n + 3] = (uint8_t)observer.sequence;
	a[n + 4] = 0xff;
	memset(a + n + 5, 'x', payload);
}

/* Whether a request registers: it has an Observe option of value 0, which is empty (RFC 7641 §2). */
static int registers(const uint8_t *q, unsigned len)
{
	unsigned number = 0;
	for (unsigned at = 4u + (q[0] & 15u); at < len && q[at] != 0xff;) {
		const unsigned delta = q[at] >> 4, size = q[at] & 15u;
		if (delta > 12 || size > 12)
			return 0;
		number += delta;
		if (number >= 6)
			return number == 6 && size == 0;
		at += 1 + size;
	}
	return 0;
}

static void serve_beat(int fd, int ms, unsigned payload)
{
	struct pollfd p = {fd, POLLIN, 0};
	int observed = 0;
	for (;;) {
		if (poll(&p, 1, ms) == 0 && observed)
			put_state(fd, NULL, payload);
		const int n = receive(fd, MSG_DONTWAIT);
		for (int i = 0; i < n; i++) {
			const uint8_t *q = in.bytes[i];
			const unsigned token_len = q[0] & 15u;
			if ((q[0] & 0x30) == 0x30)
				observed = 0;
			if (q[1] == 0 || q[1] >= 0x20 || token_len > 8 ||
			    in.message[i].msg_len < 4 + token_len)
				continue;
			if (!registers(q, in.message[i].msg_len)) {
				put_answer(fd, i, payload);
				continue;
			}
			observer.name = in.name[i];
			observer.token_len = (uint8_t)token_len;
			memcpy(observer.token, q + 4, token_len);
			observed = 1;
			put_state(fd, q, payload);
		}
		flush(fd);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const uint16_t port = argc > 2 ? (uint16_t)atoi(argv[2]) : 0;
	const unsigned third = argc > 3 ? (unsigned)atoi(argv[3]) : 0,
		       fourth = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
	const int sends = strcmp(what, "send") == 0;
	if (argc < 3) {
		fprintf(
		    stderr,
		    "usage: bench-peer echo|devices|relay|beat|silence|sink PORT ... | send PORT N LENGTH\n");
		return 1;
	}
	prepare(&in);
	prepare(&out);
	const int devices = strcmp(what, "devices") == 0;
	everywhere = devices || strcmp(what, "sink") == 0;
	const int fd = open_socket(sends ? 0 : port);
	puts("ready");
	fflush(stdout);
	if (sends)
		send_all(fd, port, third, fourth < BYTES ? fourth : BYTES);
	else if (devices || strcmp(what, "echo") == 0)
		serve_echo(fd, third < 1000 ? third : 1000);
	else if (strcmp(what, "beat") == 0)
		serve_beat(fd, (int)third, fourth < 1000 ? fourth : 1000);
	else if (strcmp(what, "relay") == 0)
		serve_relay(fd, (uint16_t)third, argc > 4);
	else
		while (receive(fd, MSG_WAITFORONE) != 0) {
		}
	return 0;
}
