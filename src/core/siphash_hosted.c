/* SipHash (siphash.h) for machines with registers and memory to spare: the rounds of each variant stand one behind the
 * other, and the last word is read at once. The same values as siphash.c, which a microcontroller has for its size.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "siphash.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

struct sip {
	uint64_t v0, v1, v2, v3;
};

INLINE uint64_t rotate(uint64_t x, unsigned n)
{
	return (x << n) | (x >> (64 - n));
}

INLINE void rounds(struct sip *s, unsigned n)
{
#pragma GCC unroll 4
	for (unsigned i = 0; i < n; i++) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

INLINE void absorb(struct sip *s, uint64_t word, unsigned c)
{
	s->v3 ^= word;
	rounds(s, c);
	s->v0 ^= word;
}

/* Up to seven bytes as if copied into a word of zeros: low bytes first, whatever order the machine has, since values
 * may differ between byte orders. */
INLINE uint64_t tail(const uint8_t *p, size_t left)
{
	uint64_t word = 0;
	uint32_t four;
	size_t at = 0;

	if (left & 4) {
		memcpy(&four, p, 4);
		word = four;
		at = 4;
	}
	for (; at < left; at++)
		word |= (uint64_t)p[at] << 8 * at;
	return word;
}

INLINE struct sip begin(const uint64_t key[2])
{
	return (struct sip){key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
			    key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
}

INLINE void absorb_all(struct sip *s, const uint8_t *p, size_t len, unsigned c)
{
	size_t left = len;
	uint64_t word;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		absorb(s, word, c);
	}
	absorb(s, tail(p, left) | (uint64_t)(len & 0xff) << 56, c);
}

INLINE uint64_t hash(const uint64_t key[2], const uint8_t *p, size_t len, unsigned c, unsigned d)
{
	struct sip s = begin(key);

	absorb_all(&s, p, len, c);
	s.v2 ^= 0xff;
	rounds(&s, d);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t core_siphash(const uint64_t key[2], const void *bytes, size_t len, unsigned c, unsigned d)
{
	if (c == 1 && d == 3)
		return hash(key, bytes, len, 1, 3);
	if (c == 2 && d == 4)
		return hash(key, bytes, len, 2, 4);
	return hash(key, bytes, len, c, d);
}

void core_siphash128(const uint64_t key[2], const void *bytes, size_t len, uint64_t out[2])
{
	struct sip s = begin(key);

	s.v1 ^= 0xee;
	absorb_all(&s, bytes, len, 2);
	s.v2 ^= 0xee;
	rounds(&s, 4);
	out[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	s.v1 ^= 0xdd;
	rounds(&s, 4);
	out[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
