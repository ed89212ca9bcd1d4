/* JWK sets (RFC 7517): keys that tokens are verified with, as an authorization server publishes them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_JWKS_H
#define GATEWAY_JWKS_H

#include "config.h"

#define GW_JWKS_KEYS 64 /* most keys of a set; one that has more is refused */

/* Read the `len` bytes at `text`. Keys for something else (other kinds, curves, algorithms, or encryption)
 * are skipped, as RFC 7517 §5 asks for; one that is too weak, damaged, or private is an error. `*keys` has
 * `*key_n` keys then, wiped and freed by the caller (gw_key_wipe, copse_mem_free); `*secret`: there are
 * secrets among them, so that nobody else should be able to read the file. Returns NULL, or a sentence
 * that says what is wrong; static storage. */
const char *gw_jwks_read(const char *text, size_t len, struct gw_key **keys, size_t *key_n, bool *secret);

#endif
