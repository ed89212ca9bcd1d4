/* Keys and certificates, made as they are needed, for tests of the secure transports.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_KEYS_H
#define TEST_KEYS_H

#include <stdbool.h>

enum keys_who { KEYS_SERVER, KEYS_CLIENT };

/* All in PEM, on P-256. The server is "gateway.example", the client "client.example". */
struct keys {
	char *key, *public_key, *cert, *ca;
};

/* Static storage. `foreign`: of another authority, with the same names. */
const struct keys *keys_of(enum keys_who who, bool foreign);

#endif
