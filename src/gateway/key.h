/* Keys that tokens are verified with.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_KEY_H
#define GATEWAY_KEY_H

#include "config.h"

/* The algorithm called `text`, or -1. */
int gw_algorithm_from_text(const char *text);
const char *gw_algorithm_name(enum gw_algorithm algorithm);

/* Take the `len` bytes at `bytes` as the key's: a secret, or PEM with a public key or a certificate, which is turned
 * into a public key. It must be fit for the key's algorithm: HS256 at least 32 bytes, RS256 RSA of at least 2048 bits, ES256
 * on P-256. `key->algorithm` is set.
 * Returns NULL, or a sentence that says what is wrong; static storage. */
const char *gw_key_take(struct gw_key *key, const void *bytes, size_t len);

/* Wipe and free what gw_key_take made. */
void gw_key_wipe(struct gw_key *key);

#endif
