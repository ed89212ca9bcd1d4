/* SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

struct batch batch_new(size_t n, uint32_t size)
{
	struct batch b = {calloc(n, sizeof *b.d), calloc(n, size), n, size};

	assert_non_null(b.d);
	assert_non_null(b.bytes);
	for (size_t i = 0; i < n; i++)
		b.d[i] = (struct copse_datagram){.data = b.bytes + i * size, .cap = size};
	return b;
}

void batch_free(struct batch *b)
{
	free(b->d);
	free(b->bytes);
}

void wait_for(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	if (fd >= 0)
		assert_int_equal(poll(&p, 1, 120000), 1);
}

void receive_n(struct copse_transport *t, struct batch *b, size_t n)
{
	size_t got = 0;

	while (got < n) {
		size_t more;

		if (!t->more)
			wait_for(t->fd, POLLIN);
		more = copse_transport_receive(t, b->d + got, b->n - got, 0);
		assert_true(more > 0 || t->fd >= 0);
		got += more;
	}
	assert_int_equal(got, n);
}

void send_one(struct copse_transport *t, const struct copse_peer *to, const void *data, size_t len)
{
	uint8_t copy[65536];
	struct copse_datagram d = {.peer = *to, .data = copy, .len = (uint32_t)len};
	struct copse_datagram *list = &d;

	memcpy(copy, data, len);
	assert_int_equal(copse_transport_send(t, &list, 1, 0), 1);
	assert_int_equal(d.flags, 0);
}

struct copse_address address(const char *text, uint16_t port)
{
	struct copse_address a;

	assert_int_equal(copse_address_parse(text, port, &a), COPSE_OK);
	return a;
}

struct copse_transport *open_with(const struct copse_udp_config *config, uint16_t id)
{
	struct copse_transport *t = NULL;
	char why[160] = "";
	int err = copse_udp_open(config, &t, why, sizeof why);

	if (err != COPSE_OK)
		fail_msg("%s", why);
	t->id = id;
	return t;
}

struct copse_transport *open_at(const char *text, uint16_t id)
{
	return open_with(&(struct copse_udp_config){.bind = address(text, 0)}, id);
}

struct copse_address local_address(const struct copse_transport *t)
{
	struct copse_address a;

	copse_transport_local(t, NULL, &a);
	return a;
}

uint16_t local_port(const struct copse_transport *t)
{
	struct copse_address a = local_address(t);

	return copse_address_port(&a);
}

struct copse_peer peer_at(struct copse_transport *from, const char *text, const struct copse_transport *to)
{
	struct copse_peer peer;

	assert_int_equal(copse_transport_peer_text(from, text, local_port(to), &peer), COPSE_OK);
	return peer;
}

int raw_socket(const char *text)
{
	struct copse_address a = address(text, 0);
	int fd = socket(a.sa.sa_family, SOCK_DGRAM, 0), room = 1 << 20;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	return fd;
}

struct copse_address raw_address(int fd)
{
	struct copse_address a = {.len = sizeof a.in6};

	assert_int_equal(getsockname(fd, &a.sa, &a.len), 0);
	return a;
}

void raw_send(int fd, const struct copse_address *to, const void *data, size_t len)
{
	assert_int_equal(sendto(fd, data, len, 0, &to->sa, to->len), len);
}

size_t raw_receive(int fd, struct copse_address *from, void *buf, size_t cap)
{
	ssize_t n;

	from->len = sizeof from->in6;
	wait_for(fd, POLLIN);
	n = recvfrom(fd, buf, cap, 0, &from->sa, &from->len);
	assert_true(n >= 0);
	return (size_t)n;
}

void assert_address(const struct copse_address *a, const char *text)
{
	char buf[COPSE_ADDRESS_TEXT];

	assert_string_equal(copse_address_text(a, buf, sizeof buf), text);
}
