/* Sockets and waiting, for the tests of the transport.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_NET_H
#define TEST_NET_H

/* clang-format off: cmocka needs these first, in this order */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <copse/udp.h>

/* A batch with buffers of `size` bytes, for receiving; freed by batch_free. */
struct batch {
	struct copse_datagram *d;
	uint8_t *bytes;
	size_t n;
	uint32_t size;
};

struct batch batch_new(size_t n, uint32_t size);
void batch_free(struct batch *b);

/* Wait until `fd` shows one of the poll(2) `events`; fails the test when nothing comes in two minutes. */
void wait_for(int fd, short events);

/* Receive until `n` datagrams have come, at most; fails when they do not. One by one into the front of `b` on. */
void receive_n(struct copse_transport *t, struct batch *b, size_t n);

/* Send one datagram. */
void send_one(struct copse_transport *t, const struct copse_peer *to, const void *data, size_t len);

/* A UDP transport at the numeric address `text`, with `id`. */
struct copse_transport *open_at(const char *text, uint16_t id);
struct copse_transport *open_with(const struct copse_udp_config *config, uint16_t id);

struct copse_address address(const char *text, uint16_t port);
struct copse_address local_address(const struct copse_transport *t);
uint16_t local_port(const struct copse_transport *t);

/* The peer at which `to` is reached from `from`, at the host part of `text`. */
struct copse_peer peer_at(struct copse_transport *from, const char *text, const struct copse_transport *to);

/* A plain UDP socket of the system bound to `text`. */
int raw_socket(const char *text);
struct copse_address raw_address(int fd);
void raw_send(int fd, const struct copse_address *to, const void *data, size_t len);
size_t raw_receive(int fd, struct copse_address *from, void *buf, size_t cap);

void assert_address(const struct copse_address *a, const char *text);

#endif
