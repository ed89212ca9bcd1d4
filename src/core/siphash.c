/* SipHash; see siphash.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "siphash.h"

#include <stdbool.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, unsigned n)
{
	return (x << n) | (x >> (64 - n));
}

uint64_t core_siphash(const uint64_t key[2], const void *bytes, size_t len, unsigned c, unsigned d)
{
	const uint8_t *p = bytes;
	uint64_t v0 = key[0] ^ 0x736f6d6570736575u, v1 = key[1] ^ 0x646f72616e646f6du;
	uint64_t v2 = key[0] ^ 0x6c7967656e657261u, v3 = key[1] ^ 0x7465646279746573u;
	size_t left = len;
	unsigned n = c;
	for (bool last = false;; last = left < 8, p += 8, left -= 8) {
		/* Words are read as the machine has them: values differ between byte orders, and nothing depends on
		 * it. Behind the last one, which bears the length, a word of zeros carries the final rounds. */
		uint64_t word = 0;
		if (last) {
			v2 ^= 0xff;
			n = d;
		} else if (left >= 8) {
			memcpy(&word, p, 8);
		} else {
			memcpy(&word, p, left);
			((uint8_t *)&word)[7] = (uint8_t)len;
		}
		v3 ^= word;
		for (unsigned i = n; i > 0; i--) {
			v0 += v1;
			v2 += v3;
			v1 = rotate(v1, 13) ^ v0;
			v3 = rotate(v3, 16) ^ v2;
			v0 = rotate(v0, 32);
			v2 += v1;
			v0 += v3;
			v1 = rotate(v1, 17) ^ v2;
			v3 = rotate(v3, 21) ^ v0;
			v2 = rotate(v2, 32);
		}
		v0 ^= word;
		if (last)
			return v0 ^ v1 ^ v2 ^ v3;
	}
}
