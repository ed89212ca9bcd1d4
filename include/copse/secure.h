/* What one side of a secure transport proves itself with, and what it believes: pre-shared keys (RFC
 * 4279), X.509 certificates and raw public keys (RFC 7250).
 *
 * A set of credentials is made and filled by one thread, and does not change once a transport uses it:
 * other keys are another set, which the transport is handed instead (copse_dtls_adopt). Associations keep
 * the set that they began with; the last to let go frees it and wipes its secrets. Nothing here blocks but
 * copse_secure_read, and nothing logs.
 *
 * Cipher suites, for DTLS 1.2 and TLS 1.2: with AES-128-GCM, ChaCha20-Poly1305, AES-256-GCM, AES-128-CCM
 * or AES-128-CCM-8; for pre-shared keys with and without ephemeral Diffie-Hellman, for certificates and
 * raw keys with it. So TLS_PSK_WITH_AES_128_CCM_8 and TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, which RFC 7252
 * §9.1.3 asks for, are among them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SECURE_H
#define COPSE_SECURE_H

#include <copse/address.h>
#include <copse/error.h>

#define COPSE_PSK_IDENTITY_MAX 128 /* bytes, as RFC 4279 §5.3 asks for */
#define COPSE_PSK_KEY_MAX      64
#define COPSE_PSK_KEY_MIN      8
#define COPSE_SECURE_WHY       256 /* room for a sentence about what is wrong */

struct copse_secure;
struct copse_handshake_pool;

/* An empty set, held once. Returns NULL without memory. */
struct copse_secure *copse_secure_new(bool server);

/* Hold it once more, or let it go; the last wipes and frees it. From any thread. unref takes NULL. */
struct copse_secure *copse_secure_ref(struct copse_secure *secure);
void copse_secure_unref(struct copse_secure *secure);

/* A pre-shared key. On a server any number of them, found by their identity; on a client the one that is
 * used towards `peer` (address and port), or with NULL towards everybody who has none of its own. Returns
 * 0, COPSE_ERR_ARGUMENT for a length that is out of range or an identity (or peer) that is there already,
 * or COPSE_ERR_NOROOM. */
int copse_secure_psk(struct copse_secure *secure, const struct copse_address *peer, const void *identity,
		     size_t identity_len, const void *key, size_t key_len);

/* How many pre-shared keys there are. */
size_t copse_secure_psk_n(const struct copse_secure *secure);

/* Read pre-shared keys of a server: lines of `identity:key`, the key in hexadecimal digits, as psktool(1)
 * writes them; empty lines and those that begin with # are skipped. Returns how many were read, or an
 * error with `why`, which names the line but no key. */
int copse_secure_psk_lines(struct copse_secure *secure, const char *text, size_t len,
			   char why[COPSE_SECURE_WHY]);

/* Our certificate (with its chain) and private key, in PEM. The functions with `why` return 0, or
 * COPSE_ERR_ARGUMENT with a sentence. */
int copse_secure_certificate(struct copse_secure *secure, const void *cert, size_t cert_len, const void *key,
			     size_t key_len, char why[COPSE_SECURE_WHY]);

/* Our raw public key, by its private key in PEM. */
int copse_secure_raw_key(struct copse_secure *secure, const void *key, size_t key_len,
			 char why[COPSE_SECURE_WHY]);

/* Believe certificates that these authorities (PEM) have signed. Beyond that a server's certificate must
 * bear the name that copse_secure_server_name has set. */
int copse_secure_trust(struct copse_secure *secure, const void *ca, size_t len, char why[COPSE_SECURE_WHY]);

/* Believe certificates of the authorities that this system believes. */
int copse_secure_trust_system(struct copse_secure *secure, char why[COPSE_SECURE_WHY]);

/* Believe peers with these raw public keys: PEM, one or more "PUBLIC KEY". */
int copse_secure_trust_raw(struct copse_secure *secure, const void *keys, size_t len,
			   char why[COPSE_SECURE_WHY]);

/* Client: the name or the numeric address that a server's certificate must be for. */
int copse_secure_server_name(struct copse_secure *secure, const char *name, size_t len);

/* Client: what the peer at `peer` (address and port) must prove itself by, instead of what holds for all: a
 * certificate for `name`, or the raw public key `key` (PEM) and nothing else. A peer with such a key, or with
 * a pre-shared key of its own, is offered no other way. Return 0, COPSE_ERR_ARGUMENT, also when there is
 * something for `peer` already, or COPSE_ERR_NOROOM. */
int copse_secure_expect_name(struct copse_secure *secure, const struct copse_address *peer, const char *name,
			     size_t len);
int copse_secure_expect_raw(struct copse_secure *secure, const struct copse_address *peer, const void *key,
			    size_t len, char why[COPSE_SECURE_WHY]);

/* Client: the certificate of a peer without a name of its own must be for its address. */
void copse_secure_expect_address(struct copse_secure *secure);

/* Client: prefer ephemeral Diffie-Hellman with pre-shared keys too: what was recorded stays secret when the key gets known
 * later, and a handshake costs both sides several times as much. A server does what the client prefers. */
void copse_secure_prefer_secrecy(struct copse_secure *secure);

/* Server: who comes without a pre-shared key must show a certificate or raw key that is believed. */
void copse_secure_require_peer(struct copse_secure *secure);

/* Nothing is to be added any more: call before the first use.
 * Returns 0, or COPSE_ERR_ARGUMENT with `why` when it is not enough for any handshake. */
int copse_secure_finish(struct copse_secure *secure, char why[COPSE_SECURE_WHY]);

/* Read a file of at most 1 MiB. A `secret` one must be a regular file that nobody but its owner may read
 * or write, and its owner us or root. Blocks. Returns 0 with `*out` for copse_secure_wipe, or
 * COPSE_ERR_ARGUMENT with `why`, which never holds what the file does. */
int copse_secure_read(const char *path, bool secret, char **out, size_t *len, char why[COPSE_SECURE_WHY]);

/* Wipe and free what copse_secure_read has made. NULL is taken. */
void copse_secure_wipe(char *text, size_t len);

/* Threads that make handshakes which cost much, for any number of transports: of DTLS those with certificates, raw keys or
 * ephemeral Diffie-Hellman, of TLS all. So nobody who is served already waits for those who want to be. `threads`: 1 to
 * 16. `queue`: how many handshakes may wait for them; beyond, they are tried again a little later, counted as
 * handshakes_crowded. Returns NULL without memory or threads. Free it when all its transports are closed; NULL is taken. */
struct copse_handshake_pool *copse_handshake_pool_new(unsigned threads, unsigned queue);
void copse_handshake_pool_free(struct copse_handshake_pool *pool);

/* For tests: while held, the threads take nothing. */
void copse_handshake_pool_hold(struct copse_handshake_pool *pool, bool hold);

#endif
