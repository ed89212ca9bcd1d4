/* What the files of the DTLS transport share.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_DTLS_INTERNAL_H
#define COPSE_DTLS_INTERNAL_H

#include "dtls_errand.h"
#include "dtls_record.h"

#include "core/heap.h"
#include "core/table.h"

#include <copse/dtls.h>

#define DTLS_IN         32 /* datagrams taken from below at a time */
#define DTLS_OUT        64 /* datagrams that wait for the socket */
#define DTLS_FAILURES   64 /* peers that wait for failure() */
#define DTLS_RESUME_MAX 2048

enum dtls_state {
	DTLS_FREE,
	DTLS_HANDSHAKE, /* in the list of handshakes, with a timer */
	DTLS_OPEN       /* in the list of open ones; found by peer, and a server's by lineage */
};

/* An association, named by its number: place in the table + 1. In the table by address are those that
 * datagrams go to first: the open one of an address, else its handshake. A handshake beside an open one is
 * that one's `successor`. */
struct dtls_assoc {
	struct core_timer timer; /* of a handshake */
	struct dtls_link link;   /* of `record` */
	struct dtls_record *record;
	struct copse_dtls *owner;
	struct dtls_errand
	    *errand; /* of a handshake that other threads make; it has `record` while that is away */
	struct dtls_queue waiting; /* messages that wait for the handshake */
	struct copse_peer peer;    /* as the layers above know it */
	struct copse_peer below;   /* as the UDP transport knows it */
	copse_ms began;
	copse_ms used, asked; /* asked: when something was sent, since when nothing has come; COPSE_NEVER */
	uint64_t lineage;
	uint64_t hello; /* hash over the random bytes of the client's hello */
	uint32_t address_hash, peer_hash;
	uint32_t prev, next; /* in the list of its state, the one used last first; free ones: only next */
	uint32_t successor, predecessor;
	uint8_t state;
	bool by_address, by_peer; /* in these tables */
};

/* What resumes the session with a peer later: of a client. */
struct dtls_resume {
	uint8_t address[18];
	uint16_t len;
	uint32_t hash;
	uint8_t bytes[DTLS_RESUME_MAX];
};

struct dtls_list {
	uint32_t first, last, n;
};

struct copse_dtls {
	struct copse_transport base;
	struct copse_transport *below;
	struct copse_secure *secure;
	struct copse_dtls_config config; /* with every default filled in */
	bool server, leave_open;
	struct dtls_assoc *assoc; /* [associations + handshakes] */
	uint32_t fresh, free;     /* never used from here on; number of the first given back */
	struct dtls_list open, shaking;
	struct core_table by_address, by_peer, by_lineage;
	struct core_heap heap;
	uint64_t key[2];
	uint32_t serial; /* of the next server's association */
	uint8_t cookie[2][DTLS_COOKIE_KEY];
	copse_ms cookie_at; /* when the key is to change */
	copse_ms rate_at;   /* what `rate_left`, in thousandths, is reckoned from */
	uint32_t rate_left;
	struct dtls_resume
	    *resume; /* [resume_n], a client's; found by the hash of the address, one place each */
	uint32_t resume_mask;
	struct copse_datagram in[DTLS_IN], out[DTLS_OUT];
	uint8_t *in_bytes, *out_bytes, *plain;
	uint16_t out_n;
	uint32_t backlog; /* has more messages in what it was fed; 0: none */
	uint16_t failure_n;
	struct dtls_failure {
		struct copse_peer peer;
		const char *why; /* it broke a handshake itself, for this reason; NULL: something else */
	} failures[DTLS_FAILURES], told; /* told: the one that failure() gave last */
	const char *why;                 /* of the last handshake that failed */
	bool why_silent;
	struct handshake_home *home; /* of errands; NULL: all is done here */
	struct handshake_errand
	    *back; /* those that have come home, and for whose messages there was no room */
	struct copse_dtls_counters count;
};

static inline struct copse_dtls *dtls_of(struct copse_transport *t)
{
	return (struct copse_dtls *)t;
}

static inline struct dtls_assoc *dtls_at(struct copse_dtls *d, uint32_t number)
{
	return number ? &d->assoc[number - 1] : NULL;
}

static inline uint32_t dtls_number(const struct copse_dtls *d, const struct dtls_assoc *a)
{
	return a ? (uint32_t)(a - d->assoc) + 1 : 0;
}

/* --- dtls_table.c: records, lists and tables, without any protocol --- */

bool dtls_table_new(struct copse_dtls *d);
void dtls_table_free(struct copse_dtls *d);

/* A record in the list of handshakes, in no table; NULL when none is free. */
struct dtls_assoc *dtls_take(struct copse_dtls *d, const struct copse_peer *below,
			     const struct copse_peer *peer);
/* Take it out of everything and give it back. The record layer and what waits are freed. */
void dtls_give_back(struct copse_dtls *d, struct dtls_assoc *a);

struct dtls_assoc *dtls_find_address(struct copse_dtls *d, const struct copse_peer *below);
struct dtls_assoc *dtls_find_peer(struct copse_dtls *d, const struct copse_peer *peer);
struct dtls_assoc *dtls_find_lineage(struct copse_dtls *d, uint64_t lineage);
void dtls_set_address(struct copse_dtls *d, struct dtls_assoc *a, bool in);
void dtls_set_peer(struct copse_dtls *d, struct dtls_assoc *a, bool in);
/* From the handshakes to the open ones, whose table by lineage it enters on a server. */
void dtls_set_open(struct copse_dtls *d, struct dtls_assoc *a);
/* It has just been used. */
void dtls_touch(struct copse_dtls *d, struct dtls_assoc *a, copse_ms now);

/* What resumes the session with `below`, or NULL; keep such; forget all. */
const struct dtls_resume *dtls_resume_find(const struct copse_dtls *d, const struct copse_peer *below);
void dtls_resume_keep(struct copse_dtls *d, const struct copse_peer *below, const struct dtls_record *r);
void dtls_resume_put(struct copse_dtls *d, const struct copse_peer *below, const void *bytes, size_t len);
void dtls_resume_forget(struct copse_dtls *d);

/* --- dtls_shake.c: how associations begin and end --- */

/* A datagram from an address that has no association, or one that begins another. Returns false when it
 * was none. */
bool dtls_hello(struct copse_dtls *d, const struct copse_datagram *in, struct dtls_assoc *old, copse_ms now);
/* Client: begin one with `below`, beside `old` if that is not NULL. Returns NULL when there is no room. */
struct dtls_assoc *dtls_begin(struct copse_dtls *d, const struct copse_peer *below, struct dtls_assoc *old,
			      copse_ms now);
/* Go on with a handshake, with a datagram or because the time has come. `a` may be gone afterwards: returns
 * the association if it is open now. */
struct dtls_assoc *dtls_step(struct copse_dtls *d, struct dtls_assoc *a, const void *bytes, size_t len,
			     copse_ms now);
/* The record layer has gone on by itself: what follows. Returns as dtls_step. */
struct dtls_assoc *dtls_shaken(struct copse_dtls *d, struct dtls_assoc *a, enum dtls_progress progress,
			       copse_ms now);
/* It has not come to an end in time. */
void dtls_expire(struct copse_dtls *d, struct dtls_assoc *a);
/* End one; `tell`: those above learn that its peer is gone. */
void dtls_end(struct copse_dtls *d, struct dtls_assoc *a, bool tell);
/* Encrypt and queue. Returns as dtls_record_write. */
int dtls_write(struct copse_dtls *d, struct dtls_assoc *a, const void *bytes, uint32_t len, copse_ms now);
void dtls_push_failure(struct copse_dtls *d, const struct copse_peer *peer, const char *why);
uint64_t dtls_hello_random(const struct copse_dtls *d, const struct copse_datagram *in);

/* --- dtls_away.c: handshakes that other threads make --- */

/* As dtls_step, for an association with an errand; the end comes later. */
void dtls_away_step(struct copse_dtls *d, struct dtls_assoc *a, const void *bytes, size_t len, copse_ms now);
/* Take what has come home. Returns how many messages that brought. */
size_t dtls_away_back(struct copse_dtls *d, struct copse_datagram *batch, size_t n, copse_ms now);
/* The transport does. */
void dtls_away_close(struct copse_dtls *d);
/* The association ends. */
void dtls_away_drop(struct dtls_assoc *a);

/* --- dtls.c --- */

/* Messages of what `a` was fed, up to `n`. Returns how many; with less than `n` there is no more, and `a`
 * may be gone. */
size_t dtls_read_messages(struct copse_dtls *d, struct dtls_assoc *a, struct copse_datagram *batch, size_t n,
			  copse_ms now);

/* Hand what is in `out` to the socket. Returns false when it is blocked. */
bool dtls_flush(struct copse_dtls *d, copse_ms now);
extern const struct copse_transport_ops dtls_ops;

#endif
