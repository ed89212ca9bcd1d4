/* SipHash; see siphash.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "siphash.h"

#include <string.h>

static inline uint64_t rotate(uint64_t x, unsigned n)
{
	return (x << n) | (x >> (64 - n));
}

static void rounds(uint64_t v[4], unsigned n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

uint64_t core_siphash(const uint64_t key[2], const void *bytes, size_t len, unsigned c, unsigned d)
{
	const uint8_t *p = bytes;
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
			 key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
	size_t left = len;
	for (;;) {
		/* Words are read as the machine has them: values differ between byte orders, and nothing depends on it. */
		uint64_t word = 0;
		if (left >= 8)
			memcpy(&word, p, 8);
		else {
			memcpy(&word, p, left);
			((uint8_t *)&word)[7] = (uint8_t)len;
		}
		v[3] ^= word;
		rounds(v, c);
		v[0] ^= word;
		if (left < 8)
			break;
		p += 8;
		left -= 8;
	}
	v[2] ^= 0xff;
	rounds(v, d);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
