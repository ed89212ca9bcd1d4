/* Capture files: the classic pcap format, version 2.4, little or big as the machine is (its readers tell by the magic
 * number), link type RAW.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"

#include <copse/error.h>
#include <copse/mem.h>
#include <copse/pcap.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PCAP_MAGIC    0xa1b2c3d4u /* times in microseconds */
#define PCAP_SNAP_LEN 262144u
#define PCAP_RAW      101u

#define IPV4_LEN   20
#define IPV6_LEN   40
#define UDP_LEN    8
#define PACKET_MAX 65535 /* of an IPv4 packet, and of the payload of an IPv6 one */
#define PROTO_UDP  17
#define HOPS       64

struct copse_pcap {
	struct copse_tap tap; /* first: the tap is the object */
	FILE *file;
	int error; /* errno of the first failure */
};

struct pcap_file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snap_len, link;
};

struct pcap_record {
	uint32_t seconds, micros, kept, len;
};

static void put(struct copse_pcap *p, const void *bytes, size_t len)
{
	if (p->error || len == 0)
		return;
	errno = 0;
	if (fwrite(bytes, 1, len, p->file) != len)
		p->error = errno ? errno : EIO;
}

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The sum of RFC 1071 over `len` bytes, the last of an odd number padded; not yet folded. Of 64 KiB it stays below
 * 2^32. */
static uint32_t sum(uint32_t start, const uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		start += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (i < len)
		start += (uint32_t)bytes[i] << 8;
	return start;
}

static uint16_t fold(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* Header of the UDP datagram behind an IP header whose addresses are `addresses` (source, then destination). */
static void udp_header(uint8_t *h, const uint8_t *addresses, size_t addresses_len, uint16_t from, uint16_t to,
		       const uint8_t *data, size_t len)
{
	uint32_t s = sum(0, addresses, addresses_len) + PROTO_UDP + (uint32_t)(UDP_LEN + len);
	uint16_t check;

	put16(h, from);
	put16(h + 2, to);
	put16(h + 4, UDP_LEN + len);
	put16(h + 6, 0);
	check = fold(sum(sum(s, h, UDP_LEN), data, len));
	put16(h + 6, check ? check : 0xffff); /* 0 would say that there is none (RFC 768) */
}

static size_t ipv4_header(uint8_t *h, const uint8_t *from, const uint8_t *to, size_t len)
{
	memset(h, 0, IPV4_LEN);
	h[0] = 0x45;
	put16(h + 2, IPV4_LEN + UDP_LEN + len);
	h[6] = 0x40; /* do not fragment: identifier 0 then means nothing (RFC 6864) */
	h[8] = HOPS;
	h[9] = PROTO_UDP;
	memcpy(h + 12, from + 12, 4);
	memcpy(h + 16, to + 12, 4);
	put16(h + 10, fold(sum(0, h, IPV4_LEN)));
	return IPV4_LEN;
}

static size_t ipv6_header(uint8_t *h, const uint8_t *from, const uint8_t *to, size_t len)
{
	memset(h, 0, IPV6_LEN);
	h[0] = 0x60;
	put16(h + 4, UDP_LEN + len);
	h[6] = PROTO_UDP;
	h[7] = HOPS;
	memcpy(h + 8, from, 16);
	memcpy(h + 24, to, 16);
	return IPV6_LEN;
}

void copse_pcap_write(struct copse_pcap *pcap, const struct copse_address *from,
		      const struct copse_address *to, const void *data, size_t len, uint64_t us)
{
	uint8_t header[IPV6_LEN + UDP_LEN], from_ip[16], to_ip[16];
	struct pcap_record record = {.seconds = (uint32_t)(us / 1000000), .micros = (uint32_t)(us % 1000000)};
	size_t ip_len;
	bool v4;

	address_to_ip(from, from_ip);
	address_to_ip(to, to_ip);
	v4 = address_is_mapped(from_ip);
	if (v4 != address_is_mapped(to_ip) || len > PACKET_MAX - UDP_LEN - (v4 ? IPV4_LEN : 0))
		return;
	if (v4)
		ip_len = ipv4_header(header, from_ip, to_ip, len);
	else
		ip_len = ipv6_header(header, from_ip, to_ip, len);
	udp_header(header + ip_len, header + (v4 ? 12 : 8), v4 ? 8 : 32, copse_address_port(from),
		   copse_address_port(to), data, len);
	record.kept = record.len = (uint32_t)(ip_len + UDP_LEN + len);
	put(pcap, &record, sizeof record);
	put(pcap, header, ip_len + UDP_LEN);
	put(pcap, data, len);
}

/* The address that the system sends to `remote` from, for a socket bound to none: asked by connecting another one,
 * which sends nothing. */
static void guess_local(const struct copse_address *remote, struct copse_address *local)
{
	uint16_t port = copse_address_port(local);
	bool v4 = remote->sa.sa_family == AF_INET;
	int fd = socket(remote->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof local->in6;

	if (fd < 0 || connect(fd, &remote->sa, remote->len) != 0 || getsockname(fd, &local->sa, &len) != 0)
		copse_address_parse(v4 ? "0.0.0.0" : "::", port, local);
	else
		local->len = len;
	copse_address_set_port(local, port);
	if (fd >= 0)
		close(fd);
}

static void tap_datagram(struct copse_tap *self, const struct copse_transport *t,
			 const struct copse_datagram *d, bool sent)
{
	struct copse_pcap *p = (struct copse_pcap *)self;
	struct copse_address remote, local;
	struct timespec now;
	uint64_t us;

	if (copse_peer_address(&d->peer, &remote) != COPSE_OK)
		return;
	/* Without its scope an IPv4 group is AF_INET: the interface does not show in a packet. */
	if (address_is_mapped(address_key_ip(&d->peer)))
		address_from_ip(address_key_ip(&d->peer), copse_address_port(&remote), 0, &remote);
	copse_transport_local(t, &d->peer, &local);
	if (copse_address_is_any(&local) || (sent && copse_address_is_group(&local)))
		guess_local(&remote, &local);
	clock_gettime(CLOCK_REALTIME, &now);
	us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	copse_pcap_write(p, sent ? &local : &remote, sent ? &remote : &local, d->data, d->len, us);
}

struct copse_pcap *copse_pcap_open(const char *path)
{
	const struct pcap_file_header header = {PCAP_MAGIC, 2, 4, 0, 0, PCAP_SNAP_LEN, PCAP_RAW};
	struct copse_pcap *p = copse_mem_new(1, sizeof *p);

	if (!p)
		return NULL;
	p->tap.datagram = tap_datagram;
	p->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wbe");
	if (!p->file) {
		copse_mem_free(p);
		return NULL;
	}
	put(p, &header, sizeof header);
	return p;
}

struct copse_tap *copse_pcap_tap(struct copse_pcap *pcap)
{
	return &pcap->tap;
}

void copse_pcap_flush(struct copse_pcap *pcap)
{
	errno = 0;
	if (fflush(pcap->file) != 0 && !pcap->error)
		pcap->error = errno ? errno : EIO;
}

int copse_pcap_close(struct copse_pcap *pcap)
{
	int error;

	if (!pcap)
		return COPSE_OK;
	copse_pcap_flush(pcap);
	error = pcap->error;
	if (pcap->file != stdout && fclose(pcap->file) != 0 && !error)
		error = errno;
	copse_mem_free(pcap);
	errno = error;
	return error ? COPSE_ERR_TRANSPORT : COPSE_OK;
}
