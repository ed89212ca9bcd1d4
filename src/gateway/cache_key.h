/* Cache-keys (RFC 7252 §5.6): which requests are the same request, and which resource they are about.
 *
 * A key is made of the request as it goes to the device, so that every way to write a URI gives the same one. It is the
 * output of a keyed hash of 128 bits: nobody who does not know the secret can make two keys meet.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_CACHE_KEY_H
#define GATEWAY_CACHE_KEY_H

#include <copse/message.h>
#include <copse/peer.h>

struct gw_cache_key {
	uint64_t id
	    [2]; /* the request: method, device, options but the NoCacheKey ones, ETag and Block2, payload of FETCH */
	uint64_t uri; /* the resource alone: device and path */
};

/* An option takes up to 4 bytes more here than in a message; and there are the peer and the account. */
#define GW_KEY_SCRATCH (4 * COPSE_MESSAGE_OPTIONS + 256)

/* Where a table has one of these hashes. They are the output of a keyed hash already, nobody chooses them: to spread what
 * tests feed in is enough, by a secret all the same. */
static inline uint32_t gw_cache_key_slot(uint64_t hash, uint64_t secret)
{
	return (uint32_t)(((hash ^ secret) * 0x9e3779b97f4a7c15u) >> 32);
}

/* What a key is made with. */
struct gw_key_maker {
	uint64_t secret[4];
	uint8_t *scratch; /* GW_KEY_SCRATCH more bytes than the longest message */
	size_t scratch_cap;
};

/* Whom a request is for, and to which device it goes. */
struct gw_key_scope {
	const struct copse_peer *device;
	const char *account; /* NULL: shared by all accounts */
	bool secure;         /* of a secure session: shares nothing with clear ones */
};

static inline bool gw_cache_key_equal(const struct gw_cache_key *a, const struct gw_cache_key *b)
{
	return a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

/* The key of `m`, a request as it goes to the device. Every request has one, whether or not its answer may be stored. */
void gw_cache_key_make(const struct gw_key_maker *maker, const struct copse_message *m,
		       const struct gw_key_scope *scope, struct gw_cache_key *key);

/* The same with Block2 in it: what is observed in blocks of one size is told in those. */
void gw_observe_key_make(const struct gw_key_maker *maker, const struct copse_message *m,
			 const struct gw_cache_key *key, struct gw_cache_key *observed);

/* Piece `num`, in pieces of this size, of the representation of `body` that has this ETag: those of another one have other
 * keys. */
struct gw_piece {
	const void *etag;
	size_t etag_len;
	uint8_t szx;
	uint32_t num;
};

void gw_piece_key_make(const struct gw_key_maker *maker, const struct gw_cache_key *body,
		       const struct gw_piece *piece, struct gw_cache_key *key);

/* The same with Block2 and the ETags of `m` in it: two requests with equal ones can be answered by one exchange. */
void gw_join_key_make(const struct gw_key_maker *maker, const struct copse_message *m,
		      const struct gw_cache_key *key, struct gw_cache_key *joined);

/* Which operation a block belongs to (RFC 7959 §2.5, RFC 9175 §3.3): device, method, path and query; and in `*id` the
 * Request-Tags as well. */
void gw_operation_key(const struct gw_key_maker *maker, const struct copse_message *m,
		      const struct copse_peer *device, uint64_t *base, uint64_t *id);

/* The resource that a 2.01 says it has created at `device` (Location-Path, RFC 7252 §5.9.1.1).
 * Returns false when it names none. */
bool gw_location_uri(const struct gw_key_maker *maker, const struct copse_message *m,
		     const struct copse_peer *device, uint64_t *uri);

#endif
