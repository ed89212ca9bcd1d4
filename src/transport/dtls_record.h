/* The record layer of one DTLS association: what makes handshakes, encrypts and decrypts. All that
 * transport and table of associations know of it stands here, so that another one can take its place (with
 * connection IDs, RFC 9146, say, or with less memory); dtls_gnutls.c is the one there is.
 *
 * It is fed a datagram at a time, sends through its link, and never waits.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_DTLS_RECORD_H
#define COPSE_DTLS_RECORD_H

#include <copse/secure.h>

#define DTLS_PLAIN_MAX  16384u                 /* RFC 6347 §4.1: of one record */
#define DTLS_BYTES_MAX  (DTLS_PLAIN_MAX + 64u) /* and with everything around it */
#define DTLS_COOKIE_KEY 16

struct dtls_record;

/* What a record layer has from above. Lives as long as it. */
struct dtls_link {
	void (*out)(struct dtls_link *self, const void *bytes, size_t len); /* a datagram to be sent */
	const uint8_t *address; /* 18 bytes: address and port of the peer, as in the key of a copse_peer */
};

struct dtls_record_config {
	struct copse_secure *secure; /* finished; held */
	uint32_t mtu, retransmit_ms, handshake_ms;
	const void *resumption; /* client: what dtls_record_resumption gave; NULL: none */
	size_t resumption_len;
};

/* What a datagram that belongs to no association is. */
enum dtls_hello { DTLS_HELLO_NONE, DTLS_HELLO_ASKED, DTLS_HELLO_GOOD };

/* Where the numbering of messages goes on behind a verified hello. */
struct dtls_verified {
	unsigned record_seq, read_seq, write_seq;
};

/* A server's answer to strangers, without any state: is it the hello of a client that has returned its
 * cookie (GOOD, with `*verified` for dtls_record_new)? A hello without one gets a request to verify, which
 * leaves through `link` (ASKED). `key` holds two: the present one and the former one. */
enum dtls_hello dtls_record_verify(struct dtls_link *link, const uint8_t (*key)[DTLS_COOKIE_KEY],
				   const void *bytes, size_t len, struct dtls_verified *verified);

/* `verified`: of a server. Returns NULL without memory. */
struct dtls_record *dtls_record_new(const struct dtls_record_config *config, struct dtls_link *link,
				    const struct dtls_verified *verified);
void dtls_record_free(struct dtls_record *r);

/* Whether the handshake with the peer at `address` costs much: signatures, key agreement. Of a server with
 * the client's hello. */
bool dtls_record_is_dear(const struct copse_secure *secure, const uint8_t *address, const void *hello,
			 size_t len);

/* Send by another link from now on, which also has the peer's address. */
void dtls_record_set_link(struct dtls_record *r, struct dtls_link *link);

/* The datagram that the next calls read from; borrowed until the next feed, or until they have found
 * nothing more. */
void dtls_record_feed(struct dtls_record *r, const void *bytes, size_t len);

enum dtls_progress { DTLS_WAITS, DTLS_DONE, DTLS_BROKEN };

/* Go on with the handshake: with what was fed, or because the time has come. */
enum dtls_progress dtls_record_handshake(struct dtls_record *r);

/* It has taken too long. */
void dtls_record_give_up(struct dtls_record *r);

/* How long to wait with the next dtls_record_handshake, when nothing comes. */
uint32_t dtls_record_timeout(const struct dtls_record *r);

/* Why a handshake broke, static storage; whether anything had come from the peer before. */
const char *dtls_record_why(const struct dtls_record *r, bool *silent);

enum { DTLS_READ_NOTHING = 0, DTLS_READ_CLOSED = -1, DTLS_READ_BROKEN = -2, DTLS_READ_REFUSED = -3 };

/* The next message of what was fed, at `buf` of DTLS_PLAIN_MAX bytes. Returns its length, NOTHING (more),
 * or that the association is over; REFUSED: the peer wants to negotiate anew, which it may not: read on. */
int dtls_record_read(struct dtls_record *r, void *buf);

/* Send a message. Returns 0, COPSE_ERR_ARGUMENT for one that is too large, or COPSE_ERR_TRANSPORT when the
 * association is over. */
int dtls_record_write(struct dtls_record *r, const void *bytes, size_t len);

/* Tell the peer that this was all. */
void dtls_record_close(struct dtls_record *r);

/* After the handshake. Whether it resumed an earlier session; a number that is the same in all
 * associations of one session, and which nobody else can know; what resumes it (returns its length, 0 for
 * none or without room); who the peer has proved to be. */
bool dtls_record_resumed(const struct dtls_record *r);
uint64_t dtls_record_lineage(const struct dtls_record *r, const uint64_t key[2]);
size_t dtls_record_resumption(const struct dtls_record *r, void *buf, size_t cap);
void dtls_record_identity(const struct dtls_record *r, char *buf, size_t cap);

#endif
