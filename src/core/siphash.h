/* SipHash (Aumasson and Bernstein, 2012): the keyed function behind hash tables, tokens, message IDs and jitter.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_SIPHASH_H
#define CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-c-d of `len` bytes, at most 255 of them counted in the length byte as the algorithm has it.
 * c = 1, d = 3 suffices to keep an attacker from aiming at one slot of a table; what leaves the device
 * as a secret is made with c = 2, d = 4. */
uint64_t core_siphash(const uint64_t key[2], const void *bytes, size_t len, unsigned c, unsigned d);

/* SipHash-2-4 with 128 bits, where two keys must never meet. Not in a microcontroller's build. */
void core_siphash128(const uint64_t key[2], const void *bytes, size_t len, uint64_t out[2]);

#endif
