/* What the record layer uses of a set of credentials.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SECURE_INTERNAL_H
#define COPSE_SECURE_INTERNAL_H

#include "core/table.h"

#include <copse/secure.h>

#include <gnutls/gnutls.h>
#include <stdatomic.h>

#define SECURE_HASH 32 /* SHA-256 */
#define SECURE_NAME 255

/* A pre-shared key; identity and key follow the record. */
struct secure_psk {
	uint8_t peer[18]; /* address and port of whom it is for; all zero: of everybody */
	uint16_t identity_len, key_len;
	uint8_t bytes[];
};

/* What the peer at one address must prove itself by: a certificate with this name, or this raw key and no other. */
struct secure_expected {
	uint8_t peer[18]; /* as of a secure_psk */
	bool raw;
	uint8_t pin[SECURE_HASH]; /* if `raw` */
	char name[SECURE_NAME + 1];
};

/* What is offered to a peer: of a client, where one key is all that a peer may come with. */
enum secure_kind { SECURE_ANY, SECURE_PSK, SECURE_RAW, SECURE_KINDS };

struct copse_secure {
	_Atomic uint32_t held;
	bool server, require_peer, secrecy, finished;
	bool certificate, raw_key, trust; /* what has been added */
	struct secure_psk **psk;          /* [psk_cap] */
	uint32_t psk_n, psk_cap;
	struct core_table index; /* number + 1: of a server by identity, of a client by peer */
	uint64_t hash_key[2];
	uint8_t (*pin)[SECURE_HASH]; /* of raw public keys that are believed */
	size_t pin_n;
	char server_name[SECURE_NAME + 1];
	bool name_by_address;              /* of peers without a name of their own */
	struct secure_expected **expected; /* [expected_cap] */
	uint32_t expected_n, expected_cap;
	struct core_table expected_index; /* number + 1, by peer */
	gnutls_psk_server_credentials_t psk_server;
	gnutls_psk_client_credentials_t psk_client;
	gnutls_certificate_credentials_t certificates;
	gnutls_priority_t priority[SECURE_KINDS]; /* for DTLS */
	gnutls_priority_t stream_priority;        /* for TLS */
	gnutls_datum_t ticket_key;
};

/* The key of `identity` on a server; NULL: there is none. */
const struct secure_psk *secure_psk_of(const struct copse_secure *s, const void *identity, size_t len);

/* The key towards the peer with this address and port, 18 bytes as in the key of a copse_peer. */
const struct secure_psk *secure_psk_for(const struct copse_secure *s, const uint8_t peer[18]);

/* Whether the raw public key `spki` (DER) is believed; its hash. */
bool secure_believes(const struct copse_secure *s, const gnutls_datum_t *spki);
bool secure_hash(const gnutls_datum_t *spki, uint8_t hash[SECURE_HASH]);

/* What the pointer of each session leads to: whose credentials, and the peer's address (18 bytes, as in the key of a
 * copse_peer). */
struct secure_who {
	struct copse_secure *secure;
	const uint8_t *address;
	const char
	    *refused; /* why the peer's certificate was; NULL: it was not, or nothing more is to be said */
};

/* --- secure_expect.c --- */

/* What is expected of the peer at `address`, or NULL. */
const struct secure_expected *secure_expected_of(const struct copse_secure *s, const uint8_t address[18]);

/* The name that the certificate of the peer at `address` must bear, at `buf` or elsewhere; "": any. */
const char *secure_name_for(const struct copse_secure *s, const uint8_t address[18],
			    char buf[COPSE_ADDRESS_TEXT]);

/* What the peer at `address` is offered. */
enum secure_kind secure_kind_for(const struct copse_secure *s, const uint8_t address[18]);
bool secure_has_raw(const struct copse_secure *s); /* peers of which a raw key is expected */
void secure_expected_free(struct copse_secure *s);

/* The hash of a raw public key in PEM. Returns 0 or an error of GnuTLS. */
int secure_pin(const gnutls_datum_t *pem, uint8_t pin[SECURE_HASH]);

/* --- secure_file.c --- */

/* GnuTLS appends to the file that SSLKEYLOGFILE names, and would make it readable for everybody: make it for its owner
 * alone where it is not there yet. A failure is GnuTLS's to meet again: it writes nothing then. */
void secure_key_log(void);

/* --- secure_gnutls.c --- */

/* The functions that GnuTLS calls back for these credentials. */
void secure_set_callbacks(struct copse_secure *s);

/* Give a session the credentials, the server's name or the key of tickets, and what is asked of the peer. Not its
 * priority. Returns 0 or an error of GnuTLS. */
int secure_set_session(gnutls_session_t session, const struct secure_who *who);

/* Why a handshake broke; static storage. */
const char *secure_why(gnutls_session_t session, int err);

/* Who the peer has proved to be. */
void secure_identity(gnutls_session_t session, const struct secure_who *who, char *buf, size_t cap);

#endif
