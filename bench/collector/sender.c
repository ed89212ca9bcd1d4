/* Ten thousand devices in one socket: each datagram has a source address of its own in 127.1.0.0/16, and a message ID of
 * its device. Flow is controlled by what waits in the receiver's socket, so that nothing is lost on the way.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH   64
#define MESSAGE 160
#define WAITING (512 << 10) /* bytes that may wait in the receiver's socket, as the kernel counts them */

void sender_device(uint32_t i, char out[17])
{
	snprintf(out, 17, "0024befffe%06x", i);
}

void sender_open(struct sender *s, uint16_t port, uint32_t devices)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int room = 4 << 20;

	*s = (struct sender){.fd = socket(AF_INET, SOCK_DGRAM, 0), .port = port, .devices = devices};
	s->queue = open("/proc/net/udp", O_RDONLY);
	setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (s->fd < 0 || s->queue < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("sender");
}

void sender_close(struct sender *s)
{
	close(s->fd);
	close(s->queue);
}

/* --- what waits --- */

/* The receiver's line: bytes that wait, and drops. */
static bool look(const struct sender *s, unsigned long *waiting, unsigned long long *dropped)
{
	static char text[262144];
	char key[16];
	size_t len = 0;
	ssize_t n;

	if (lseek(s->queue, 0, SEEK_SET) < 0)
		die("/proc/net/udp");
	while ((n = read(s->queue, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	snprintf(key, sizeof(key), "100007F:%04X ", s->port);
	const char *at = strstr(text, key), *end = at ? strchr(at, '\n') : NULL;
	if (!end || sscanf(at + strlen(key), "%*s %*s %*x:%lx", waiting) != 1)
		return false;
	while (end[-1] == ' ')
		end--;
	while (end[-1] != ' ')
		end--;
	*dropped = strtoull(end, NULL, 10);
	return true;
}

uint64_t sender_dropped(const struct sender *s)
{
	unsigned long waiting;
	unsigned long long dropped = 0;

	if (!look(s, &waiting, &dropped))
		die("the receiver's socket");
	return dropped;
}

bool sender_drained(const struct sender *s)
{
	unsigned long waiting = 1;
	unsigned long long dropped;

	return look(s, &waiting, &dropped) && waiting == 0;
}

static void wait_for_room(const struct sender *s)
{
	unsigned long waiting = 0;
	unsigned long long dropped;
	const struct timespec pause = {0, 200000};

	while (look(s, &waiting, &dropped) && waiting > WAITING)
		nanosleep(&pause, NULL);
}

/* --- sending --- */

static size_t make_message(const struct sender *s, uint32_t device, uint64_t n, uint8_t out[MESSAGE])
{
	/* NON POST, Uri-Path publish, Content-Format 110 */
	static const uint8_t head[] = {0x50, 0x02, 0, 0, 0xb7, 'p', 'u', 'b', 'l', 'i', 's', 'h', 0x11, 110};
	static const uint8_t no_response[] = {0xd1, 233, 26}; /* 258 (RFC 7967): none wanted */
	size_t len = sizeof(head);
	uint32_t id = (uint32_t)(n / s->devices);

	memcpy(out, head, len);
	out[2] = (uint8_t)(id >> 8);
	out[3] = (uint8_t)id;
	if (s->silent) {
		memcpy(out + len, no_response, sizeof(no_response));
		len += sizeof(no_response);
	}
	out[len++] = 0xff;
	len += (size_t)snprintf(
	    (char *)out + len, MESSAGE - len,
	    "[{\"bn\":\"urn:dev:mac:0024befffe%06x:\",\"n\":\"temp\",\"u\":\"Cel\",\"v\":%u.%u}]", device,
	    (unsigned)(n / 7 % 40), (unsigned)(n % 10));
	return len;
}

static void aim(struct msghdr *m, uint32_t device)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x7f010000u + device)};

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
}

static void send_batch(struct sender *s, unsigned n)
{
	static uint8_t bytes[BATCH][MESSAGE];
	static union {
		char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control[BATCH];
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(s->port)};
	struct iovec part[BATCH];
	struct mmsghdr message[BATCH];
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t device = (uint32_t)((s->sent + i) % s->devices);
		part[i] = (struct iovec){bytes[i], make_message(s, device, s->sent + i, bytes[i])};
		message[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &to,
							  .msg_namelen = sizeof(to),
							  .msg_iov = &part[i],
							  .msg_iovlen = 1,
							  .msg_control = control[i].room,
							  .msg_controllen = sizeof(control[i].room)}};
		aim(&message[i].msg_hdr, device);
	}
	while (done < n) {
		int sent = sendmmsg(s->fd, message + done, n - done, 0);
		if (sent < 0)
			die("sendmmsg");
		done += (unsigned)sent;
	}
	s->sent += n;
}

void sender_send(struct sender *s, uint64_t n)
{
	while (n) {
		unsigned part = n < BATCH ? (unsigned)n : BATCH;
		if (s->sent / BATCH % 4 == 0)
			wait_for_room(s);
		send_batch(s, part);
		n -= part;
	}
}

/* --- asking --- */

static size_t put_option(uint8_t *at, unsigned delta, const char *value, size_t len)
{
	size_t n = 1;

	if (len > 12) {
		at[n++] = (uint8_t)(len - 13);
		at[0] = (uint8_t)(delta << 4 | 13);
	} else {
		at[0] = (uint8_t)(delta << 4 | len);
	}
	memcpy(at + n, value, len);
	return n + len;
}

/* What the gateway wants to see before it sends more than it got to an address that may be forged (RFC 9175). */
static uint8_t echo[64];
static size_t echo_len;

static size_t make_get(const char *const *segments, const char *query, uint32_t block, uint16_t id,
		       uint8_t *out)
{
	size_t len = 4;
	unsigned number = 0;

	memcpy(out, (const uint8_t[]){0x40, 0x01, (uint8_t)(id >> 8), (uint8_t)id}, 4);
	for (; *segments; segments++, number = 11)
		len += put_option(out + len, 11 - number, *segments, strlen(*segments));
	for (const char *at = query; at && *at; number = 15) {
		size_t n = strcspn(at, "&");
		len += put_option(out + len, 15 - number, at, n);
		at += n + (at[n] == '&');
	}
	const uint8_t value[3] = {(uint8_t)(block >> 12), (uint8_t)(block >> 4), (uint8_t)(block << 4 | 6)};
	len += put_option(out + len, 23 - number, (const char *)value, 3);
	if (echo_len) { /* 252, 229 on: of two bytes */
		out[len++] = (uint8_t)(13 << 4 | (echo_len > 12 ? 13 : echo_len));
		out[len++] = 229 - 13;
		if (echo_len > 12)
			out[len++] = (uint8_t)(echo_len - 13);
		memcpy(out + len, echo, echo_len);
		len += echo_len;
	}
	return len;
}

/* The block option and the payload of an answer; an Echo is kept. */
static const uint8_t *read_answer(const uint8_t *at, const uint8_t *end, uint32_t *block)
{
	unsigned number = 0;

	for (at += 4 + (at[0] & 15); at < end && *at != 0xff;) {
		unsigned delta = *at >> 4, len = *at & 15;
		at++;
		if (delta == 13)
			delta = 13u + *at++;
		if (len == 13)
			len = 13u + *at++;
		number += delta;
		if (number == 252 && len <= sizeof(echo)) {
			memcpy(echo, at, len);
			echo_len = len;
		}
		if (number == 23)
			for (*block = 0; len; len--)
				*block = *block << 8 | *at++;
		at += len;
	}
	return at < end ? at + 1 : end;
}

static ssize_t exchange(struct sender *s, const uint8_t *message, size_t len, uint8_t *answer, size_t cap)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(s->port)};
	struct pollfd fd = {s->fd, POLLIN, 0};
	ssize_t n;

	for (int i = 0; i < 60; i++) {
		if (sendto(s->fd, message, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			die("sendto");
		while (poll(&fd, 1, 1000) > 0) {
			n = recv(s->fd, answer, cap, 0);
			if (n >= 4 && answer[2] == message[2] && answer[3] == message[3] && answer[1])
				return n;
			if (n >= 4 && answer[1] &&
			    (answer[0] & 0x30) == 0) { /* a separate answer: acknowledge it */
				const uint8_t ack[4] = {0x60, 0, answer[2], answer[3]};
				sendto(s->fd, ack, 4, 0, (struct sockaddr *)&to, sizeof(to));
				return n;
			}
		}
	}
	die("no answer");
}

uint32_t sender_get(struct sender *s, const char *const *segments, const char *query, char *body,
		    uint32_t cap)
{
	static uint16_t id = 1;
	uint32_t len = 0, block = 8;

	for (uint32_t number = 0; block & 8; number++) {
		uint8_t message[512], answer[2048];
		ssize_t n = exchange(s, message, make_get(segments, query, number, id++, message), answer,
				     sizeof(answer));
		block = 0;
		const uint8_t *payload = read_answer(answer, answer + n, &block);
		if (answer[1] == 0x81 && echo_len) { /* 4.01: the same once more */
			n = exchange(s, message, make_get(segments, query, number, id++, message), answer,
				     sizeof(answer));
			payload = read_answer(answer, answer + n, &block);
		}
		if (answer[1] != 0x45) {
			fprintf(stderr, "%s: answer %u.%02u: %.*s\n", segments[1], answer[1] >> 5,
				answer[1] & 31, (int)n - 4, (const char *)answer + 4);
			exit(1);
		}
		uint32_t part = (uint32_t)(answer + n - payload);
		if (len + part >= cap)
			die("an answer longer than expected");
		memcpy(body + len, payload, part);
		len += part;
	}
	body[len] = '\0';
	return len;
}
