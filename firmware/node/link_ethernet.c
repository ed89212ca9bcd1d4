/* UDP over IPv6 over Ethernet, as much of it as a node needs: neighbours are asked and answered, echo
 * requests answered, no fragments, no extension headers, no multicast but neighbour discovery's.
 *
 * The node has every unicast address that ends with its interface identifier (EUI-64 of the MAC address):
 * fe80:: and whatever prefix is on the link. It learns from whom it is asked where answers go, so it needs
 * no router's advertisements. Peers it has not heard of are asked for by a solicitation; the message that
 * waited for that is lost, and CoAP sends it again.
 *
 * Frames are read from and written to the MAC's FIFO word by word: only the message itself is held in memory.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "board.h"
#include "link.h"

#include <string.h>

#define PORT       5683u
#define UDP        17
#define ICMP6      58
#define NEIGHBOURS 4 /* remembered; one more takes the place of the oldest */

/* 16 bits of length, then the headers of Ethernet and IPv6, and the first 8 bytes of UDP or ICMPv6. */
struct head {
	uint16_t
	    len; /* little-endian; of the whole received, of what follows the Ethernet header to be sent */
	uint8_t to[6], from[6], type[2];
	uint8_t version[4], payload[2], next, hops;
	uint8_t src[16], dst[16];
	union {
		struct {
			uint8_t src_port[2], dst_port[2], len[2], sum[2];
		} udp;
		struct {
			uint8_t type, code, sum[2], flags[4];
		} icmp;
	};
};

#define WORDS (sizeof(struct head) / 4)

union frame {
	struct head head;
	uint32_t word[WORDS];
};

_Static_assert(sizeof(union frame) == 64, "no padding");

struct neighbour {
	uint8_t ip[16], mac[6];
};

static struct neighbour neighbours[NEIGHBOURS];
static uint8_t oldest;
static uint8_t mac[6];
static uint8_t prefix[8]; /* of the last global address at which we were asked */
static uint32_t buffer[(COPSE_SMALL_RECEIVE + 3) / 4];

static uint32_t add(uint32_t sum, uint32_t word)
{
	return sum + (word & 0xffff) + (word >> 16);
}

static void put16(uint8_t *p, unsigned n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

/* The checksum's share of pseudo header and the first 8 bytes (RFC 8200 §8.1), in the order in which bytes
 * lie in memory. */
static uint32_t add_head(const union frame *f)
{
	uint32_t sum = (uint32_t)f->head.next << 8;
	sum = add(sum, (uint32_t)f->head.payload[0] | (uint32_t)f->head.payload[1] << 8);
	for (unsigned i = 6; i < WORDS; i++)
		sum = add(sum, f->word[i]);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Send head and `len` bytes; fills in what all have in common, and the checksum. */
static void send(union frame *f, const uint32_t *message, size_t len, unsigned next, unsigned hops)
{
	struct head *h = &f->head;
	unsigned payload = (unsigned)len + 8;
	h->len = (uint16_t)(payload + 40);
	memcpy(h->from, mac, 6);
	put16(h->type, 0x86dd);
	put16(h->version, 0x6000);
	put16(h->version + 2, 0);
	put16(h->payload, payload);
	h->next = (uint8_t)next;
	h->hops = (uint8_t)hops;
	uint8_t *place = next == UDP ? h->udp.sum : h->icmp.sum;
	put16(place, 0);
	uint32_t sum = add_head(f);
	for (size_t i = 0; i < len; i += 4) {
		uint32_t word = message[i / 4];
		if (len - i < 4)
			word &= (1u << (len - i) * 8) - 1;
		sum = add(sum, word);
	}
	uint16_t folded = (uint16_t)~fold(sum);
	if (folded == 0) /* RFC 8200 §8.1: UDP writes it as all ones */
		folded = 0xffff;
	memcpy(place, &folded, 2);
	for (size_t i = 0; i < WORDS; i++)
		board_frame_put(f->word[i]);
	for (size_t i = 0; i < len; i += 4)
		board_frame_put(message[i / 4]);
	board_frame_send();
}

/* Fill in an address of ours that fits to `peer`. */
static void own_address(uint8_t ip[16], const uint8_t *peer)
{
	memset(ip, 0, 8);
	put16(ip, 0xfe80);
	if (peer[0] != 0xfe)
		memcpy(ip, prefix, 8);
	ip[8] = mac[0] ^ 2; /* RFC 4291, appendix A */
	ip[9] = mac[1];
	ip[10] = mac[2];
	put16(ip + 11, 0xfffe);
	memcpy(ip + 13, mac + 3, 3);
}

static const struct neighbour *known(const uint8_t *ip)
{
	for (const struct neighbour *n = neighbours; n < neighbours + NEIGHBOURS; n++)
		if (memcmp(n->ip, ip, 16) == 0)
			return n;
	return NULL;
}

static void learn(const struct head *h)
{
	struct neighbour *n = (struct neighbour *)known(h->src);
	if (!n) {
		n = &neighbours[oldest];
		oldest = (uint8_t)((oldest + 1) % NEIGHBOURS);
	}
	memcpy(n->ip, h->src, 16);
	memcpy(n->mac, h->from, 6);
}

/* Who has `ip`? (RFC 4861 §4.3) */
static void solicit(const uint8_t *ip)
{
	union frame f;
	uint32_t body[6];
	uint8_t *option = (uint8_t *)body + 16;
	memset(&f, 0, sizeof(f));
	memcpy(body, ip, 16);
	put16(option, 0x0101); /* source link-layer address */
	memcpy(option + 2, mac, 6);
	own_address(f.head.src, ip);
	put16(f.head.dst, 0xff02); /* ff02::1:ffXX:XXXX */
	f.head.dst[11] = 1;
	f.head.dst[12] = 0xff;
	memcpy(f.head.dst + 13, ip + 13, 3);
	put16(f.head.to, 0x3333);
	memcpy(f.head.to + 2, f.head.dst + 12, 4);
	f.head.icmp.type = 135;
	send(&f, body, sizeof(body), ICMP6, 255);
}

/* Answer to where it came from, from where it was sent to. */
static void turn_round(struct head *h, const uint8_t *own)
{
	uint8_t ip[16];
	memcpy(ip, own, 16);
	memcpy(h->to, h->from, 6);
	memcpy(h->dst, h->src, 16);
	memcpy(h->src, ip, 16);
}

/* The address is one of ours: unicast, with our interface identifier. */
static bool is_ours(const uint8_t *ip)
{
	uint8_t own[16];
	own_address(own, ip);
	return ip[0] != 0xff && memcmp(ip + 8, own + 8, 8) == 0;
}

/* ICMPv6: neighbour discovery and echo (RFC 4861 §7, RFC 4443 §4). `len` bytes are in the buffer. */
static void icmp(union frame *f, size_t len, bool to_us)
{
	struct head *h = &f->head;
	const uint8_t *target = (const uint8_t *)buffer;
	uint8_t *option = (uint8_t *)buffer + 16;
	if (h->icmp.type == 128 && to_us) {
		h->icmp.type = 129;
		turn_round(h, h->dst);
		send(f, buffer, len, ICMP6, 64);
	} else if (h->hops != 255 || h->icmp.code != 0 || len < 16) {
		return; /* RFC 4861 §7.1: it came from beyond the link */
	} else if (h->icmp.type == 136 && to_us) {
		learn(h);
	} else if (h->icmp.type == 135 && is_ours(target) && h->src[0] != 0) {
		learn(h);
		turn_round(h, target);
		h->icmp.type = 136;
		h->icmp.flags[0] = 0x60; /* solicited, override */
		put16(option, 0x0201);
		memcpy(option + 2, mac, 6);
		send(f, buffer, 24, ICMP6, 255);
	}
}

/* Read a frame. Returns the bytes behind the head as IPv6 says, of which the buffer holds what fits; 0 for
 * a frame that is not whole, not IPv6 or has a wrong checksum. */
static size_t read_frame(union frame *f)
{
	size_t words, n = 0, i;
	uint32_t sum = 0;
	f->word[0] = board_frame_word();
	words = (f->head.len + 3u) / 4;
	for (i = 1; i < WORDS && i < words; i++)
		f->word[i] = board_frame_word();
	/* 2 bytes of length, 14 of Ethernet, 40 of IPv6, 4 of CRC; what is shorter than the head is none of
	 * ours */
	size_t payload = get16(f->head.payload);
	bool good =
	    i == WORDS && get16(f->head.type) == 0x86dd && payload >= 8 && payload + 60 <= f->head.len;
	if (good) {
		n = payload - 8;
		sum = add_head(f);
	}
	for (size_t at = 0; i < words; i++, at += 4) {
		uint32_t word = board_frame_word();
		if (at >= n)
			continue; /* padding, CRC */
		if (n - at < 4)
			word &= (1u << (n - at) * 8) - 1;
		sum = add(sum, word);
		if (at < sizeof(buffer))
			buffer[at / 4] = word;
	}
	return good && fold(sum) == 0xffff ? n : 0;
}

void link_init(void)
{
	board_mac(mac);
}

const uint8_t *link_receive(struct copse_small_peer *from, size_t *len)
{
	union frame f;
	struct head *h = &f.head;
	if (!board_frame_waits())
		return NULL;
	size_t n = read_frame(&f);
	bool to_us = is_ours(h->dst);
	if (n == 0 || h->src[0] == 0xff)
		return NULL;
	if (h->next == ICMP6 && n <= sizeof(buffer))
		icmp(&f, n, to_us);
	if (h->next != UDP || !to_us || get16(h->udp.dst_port) != PORT || get16(h->udp.len) != n + 8 ||
	    get16(h->udp.sum) == 0)
		return NULL;
	if (h->dst[0] != 0xfe)
		memcpy(prefix, h->dst, 8);
	learn(h);
	memcpy(from->bytes, h->src, 16);
	memcpy(from->bytes + 16, h->udp.src_port, 2);
	*len = n;
	return (const uint8_t *)buffer;
}

void link_send(const struct copse_small_peer *to, const uint8_t *message, size_t len)
{
	const struct neighbour *n = known(to->bytes);
	union frame f;
	if (!n) {
		solicit(to->bytes);
		return;
	}
	memcpy(f.head.to, n->mac, 6);
	memcpy(f.head.dst, to->bytes, 16);
	own_address(f.head.src, to->bytes);
	put16(f.head.udp.src_port, PORT);
	memcpy(f.head.udp.dst_port, to->bytes + 16, 2);
	put16(f.head.udp.len, (unsigned)len + 8);
	send(&f, (const uint32_t *)(const void *)message, len, UDP, 64);
}
