/* See cache_key.h. What is hashed is written into the scratch with every length before its bytes, so that no two
 * different requests are written alike.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "cache_key.h"

#include "core/siphash.h"

#include <string.h>

struct writer {
	uint8_t *at, *end;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};

	COPSE_ASSERT(len <= 0xffff && (size_t)(w->end - w->at) >= sizeof(head) + len);
	memcpy(w->at, head, sizeof(head));
	w->at += sizeof(head);
	if (len)
		memcpy(w->at, bytes, len);
	w->at += len;
}

static void put_option(struct writer *w, uint16_t number, const struct copse_message *m,
		       const struct copse_option *o)
{
	uint8_t head[2] = {(uint8_t)(number >> 8), (uint8_t)number};

	COPSE_ASSERT((size_t)(w->end - w->at) >= sizeof(head));
	memcpy(w->at, head, sizeof(head));
	w->at += sizeof(head);
	put(w, copse_option_value(m, o), o->len);
}

#define SOCKET 2u /* bytes of a peer's key, at its front: copse_peer_transport */

static struct writer begin(const struct gw_key_maker *maker, const struct copse_peer *device)
{
	struct writer w = {maker->scratch, maker->scratch + maker->scratch_cap};

	/* but for the socket, of which each worker has its own: a resource has one name at all of them */
	const uint8_t from = device->len > SOCKET ? SOCKET : 0;

	put(&w, device->key + from, device->len - from);
	return w;
}

static void hash(const struct gw_key_maker *maker, const struct writer *w, uint64_t id[2])
{
	core_siphash128(maker->secret, maker->scratch, (size_t)(w->at - maker->scratch), id);
}

static uint64_t hash_one(const struct gw_key_maker *maker, const struct writer *w, unsigned which)
{
	return core_siphash(maker->secret + 2 * which, maker->scratch, (size_t)(w->at - maker->scratch), 2,
			    4);
}

/* RFC 7252 §5.6: NoCacheKey options make no difference; nor do those that this cache interprets: ETag (§5.10.6), and
 * Hop-Limit, which matters on the way alone (RFC 8768 §3); nor Block2, which names a part of what is stored (RFC 7959 §2.1).
 * Observe, Proxy-* and No-Response do not get here. */
static bool counts(uint16_t number)
{
	if (number == COPSE_OPTION_ETAG || number == COPSE_OPTION_HOP_LIMIT || number == COPSE_OPTION_BLOCK2)
		return false;
	return !copse_option_is_no_cache_key(number);
}

/* `option`: which one names a segment. Empty segments count as well: they are another resource. */
static uint64_t uri_of(const struct gw_key_maker *maker, const struct copse_message *m,
		       const struct copse_peer *device, uint16_t option)
{
	struct writer w = begin(maker, device);
	const struct copse_option *o = copse_message_option(m, option);

	for (; o; o = copse_message_option_next(m, o))
		put(&w, copse_option_value(m, o), o->len);
	return core_siphash(maker->secret + 2, maker->scratch, (size_t)(w.at - maker->scratch), 1, 3);
}

void gw_cache_key_make(const struct gw_key_maker *maker, const struct copse_message *m,
		       const struct gw_key_scope *scope, struct gw_cache_key *key)
{
	struct writer w = begin(maker, scope->device);
	const uint8_t kind[3] = {m->code, scope->secure, scope->account != NULL};

	put(&w, kind, sizeof(kind));
	put(&w, scope->account, scope->account ? strlen(scope->account) : 0);
	for (unsigned i = 0; i < m->option_n; i++)
		if (counts(m->option[i].number))
			put_option(&w, m->option[i].number, m, &m->option[i]);
	if (m->code ==
	    COPSE_CODE_FETCH) { /* RFC 8132 §2.2; a mark that no option can be taken for goes before */
		put_option(&w, 0, m, &(const struct copse_option){0});
		put(&w, copse_message_payload(m), m->payload_len);
	}
	hash(maker, &w, key->id);
	key->uri = uri_of(maker, m, scope->device, COPSE_OPTION_URI_PATH);
}

static void narrow(const struct gw_key_maker *maker, const struct copse_message *m, bool etags,
		   const struct gw_cache_key *key, struct gw_cache_key *narrowed)
{
	struct writer w = {maker->scratch, maker->scratch + maker->scratch_cap};
	const struct copse_option *block = copse_message_option(m, COPSE_OPTION_BLOCK2);
	const struct copse_option *o = etags ? copse_message_option(m, COPSE_OPTION_ETAG) : NULL;

	*narrowed = *key;
	if (!o && !block)
		return;
	put(&w, key->id, sizeof(key->id));
	for (; o; o = copse_message_option_next(m, o))
		put_option(&w, o->number, m, o);
	if (block)
		put_option(&w, block->number, m, block);
	hash(maker, &w, narrowed->id);
}

void gw_join_key_make(const struct gw_key_maker *maker, const struct copse_message *m,
		      const struct gw_cache_key *key, struct gw_cache_key *joined)
{
	narrow(maker, m, true, key, joined);
}

void gw_observe_key_make(const struct gw_key_maker *maker, const struct copse_message *m,
			 const struct gw_cache_key *key, struct gw_cache_key *observed)
{
	narrow(maker, m, false, key, observed);
}

void gw_piece_key_make(const struct gw_key_maker *maker, const struct gw_cache_key *body,
		       const struct gw_piece *piece, struct gw_cache_key *key)
{
	struct writer w = {maker->scratch, maker->scratch + maker->scratch_cap};
	const uint8_t at[5] = {piece->szx, (uint8_t)(piece->num >> 24), (uint8_t)(piece->num >> 16),
			       (uint8_t)(piece->num >> 8), (uint8_t)piece->num};

	put(&w, body->id, sizeof(body->id));
	put(&w, piece->etag, piece->etag_len);
	put(&w, at, sizeof(at));
	hash(maker, &w, key->id);
	key->uri = body->uri;
}

void gw_operation_key(const struct gw_key_maker *maker, const struct copse_message *m,
		      const struct copse_peer *device, uint64_t *base, uint64_t *id)
{
	static const uint16_t parts[] = {COPSE_OPTION_URI_PATH, COPSE_OPTION_URI_QUERY,
					 COPSE_OPTION_REQUEST_TAG};
	struct writer w = begin(maker, device);
	const struct copse_option *o;

	put(&w, &m->code, 1);
	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (parts[i] == COPSE_OPTION_REQUEST_TAG)
			*base = hash_one(maker, &w, 0);
		for (o = copse_message_option(m, parts[i]); o; o = copse_message_option_next(m, o))
			put_option(&w, parts[i], m, o);
	}
	*id = hash_one(maker, &w, 1);
}

bool gw_location_uri(const struct gw_key_maker *maker, const struct copse_message *m,
		     const struct copse_peer *device, uint64_t *uri)
{
	if (!copse_message_option(m, COPSE_OPTION_LOCATION_PATH))
		return false;
	*uri = uri_of(maker, m, device, COPSE_OPTION_LOCATION_PATH);
	return true;
}
