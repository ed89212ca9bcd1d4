/* SHA-256 (FIPS 180-4), small rather than fast.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef NODE_SHA256_H
#define NODE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
	uint32_t state[8];
	uint32_t block[16];
	uint32_t len; /* bytes so far, less than 512 MiB */
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
void sha256_end(struct sha256 *s, uint8_t digest[32]);

#endif
