/* Keys and tokens for tests.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAKE_KEYS_H
#define MAKE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#define PEM_MAX   4096
#define TOKEN_MAX 8192

/* A key pair in PEM: RSA with `bits`, or on the curve of that many bits (256, 384). */
void make_pair(bool rsa, unsigned bits, char private_pem[PEM_MAX], char public_pem[PEM_MAX]);

/* A token with `claims` (a JSON object), signed with `key` by `algorithm` ("HS256", "none" ...); `kid` and `header` (further
 * header fields as a JSON object) may be NULL. Returns `out`. */
char *make_token(const char *algorithm, const char *key, const char *kid, const char *header,
		 const char *claims, char out[TOKEN_MAX]);

/* A new folder under $TMPDIR; a file in it with `text`. */
void make_folder(char out[256]);
void make_file(const char *folder, const char *name, const char *text, char out[512]);
void remove_folder(const char *folder);

#endif
