/* See spread.h. A program of the classic packet filter, which the system runs for each datagram that nobody is
 * connected to, and each new connection: it needs no privileges.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "spread.h"

#include <copse/host.h>

#include <linux/filter.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET(offset) ((uint32_t)SKF_NET_OFF + (offset))

/* Multiply-shift hashing: the upper half of the product with a secret odd number; twice, since addresses in a row are as
 * far apart as before behind one product, and one secret in a hundred would leave a whole network to one socket. An IPv6
 * address is folded first, with secrets between its words, so that only the words' own differences count. */
bool spread_by_address(int fd, unsigned n)
{
	uint32_t secret[6];

	copse_host_random(secret, sizeof(secret));
	struct sock_filter program[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NET(0)),
	    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 2),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NET(12)), /* IPv4, source */
	    BPF_STMT(BPF_JMP | BPF_JA, 13),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NET(8)), /* IPv6, source */
	    BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret[1] | 1),
	    BPF_STMT(BPF_MISC | BPF_TAX, 0),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NET(12)),
	    BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
	    BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret[2] | 1),
	    BPF_STMT(BPF_MISC | BPF_TAX, 0),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NET(16)),
	    BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
	    BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret[3] | 1),
	    BPF_STMT(BPF_MISC | BPF_TAX, 0),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NET(20)),
	    BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
	    BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, secret[4]),
	    BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret[0] | 1),
	    BPF_STMT(BPF_MISC | BPF_TAX, 0),
	    BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
	    BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
	    BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, secret[5] | 1),
	    BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
	    BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
	    BPF_STMT(BPF_RET | BPF_A, 0),
	};
	const struct sock_fprog filter = {.len = sizeof(program) / sizeof(*program), .filter = program};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter)) == 0;
}
