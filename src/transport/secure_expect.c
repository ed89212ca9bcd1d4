/* What a client expects of the peer at an address: a name in its certificate, or a raw key of its own. See secure.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "secure_internal.h"

#include "core/siphash.h"

#include <copse/mem.h>

#include <stdio.h>
#include <string.h>

#define FIRST 16u

static uint32_t hash(const struct copse_secure *s, const uint8_t peer[18])
{
	return (uint32_t)core_siphash(s->hash_key, peer, 18, 1, 3);
}

const struct secure_expected *secure_expected_of(const struct copse_secure *s, const uint8_t address[18])
{
	uint32_t h, pos, found;

	if (s->expected_n == 0)
		return NULL;
	h = hash(s, address);
	pos = h & s->expected_index.mask;
	while ((found = core_table_next(&s->expected_index, h, &pos)) != 0)
		if (memcmp(s->expected[found - 1]->peer, address, 18) == 0)
			return s->expected[found - 1];
	return NULL;
}

/* Twice the room. Returns false without memory; nothing has changed then. */
static bool grow(struct copse_secure *s)
{
	uint32_t cap = s->expected_cap ? 2 * s->expected_cap : FIRST, slots = core_table_slots(cap);
	struct secure_expected **more = copse_mem_new(cap, sizeof *more);
	struct core_slot *slot = copse_mem_new(slots, sizeof *slot);

	if (!more || !slot) {
		copse_mem_free(more);
		copse_mem_free(slot);
		return false;
	}
	if (s->expected_n)
		memcpy(more, s->expected, s->expected_n * sizeof *more);
	copse_mem_free(s->expected);
	copse_mem_free(s->expected_index.slot);
	s->expected = more;
	s->expected_cap = cap;
	core_table_init(&s->expected_index, slot, slots);
	for (uint32_t i = 0; i < s->expected_n; i++)
		core_table_insert(&s->expected_index, hash(s, more[i]->peer), i + 1);
	return true;
}

/* A record for `peer`. Returns 0 with `*out`, or an error; a peer has one. */
static int add(struct copse_secure *s, const struct copse_address *peer, struct secure_expected **out)
{
	struct secure_expected *e;
	struct copse_peer at;

	COPSE_ASSERT(!s->finished && !s->server);
	if (copse_peer_from_address(0, peer, &at) || secure_expected_of(s, at.key + 2))
		return COPSE_ERR_ARGUMENT;
	if (s->expected_n == s->expected_cap && !grow(s))
		return COPSE_ERR_NOROOM;
	e = copse_mem_new(1, sizeof *e);
	if (!e)
		return COPSE_ERR_NOROOM;
	memcpy(e->peer, at.key + 2, sizeof e->peer);
	s->expected[s->expected_n++] = e;
	core_table_insert(&s->expected_index, hash(s, e->peer), s->expected_n);
	*out = e;
	return COPSE_OK;
}

int copse_secure_expect_name(struct copse_secure *s, const struct copse_address *peer, const char *name,
			     size_t len)
{
	struct secure_expected *e;
	int err;

	if (len == 0 || len > SECURE_NAME || memchr(name, 0, len))
		return COPSE_ERR_ARGUMENT;
	err = add(s, peer, &e);
	if (!err)
		memcpy(e->name, name, len); /* the record came zeroed */
	return err;
}

static bool has_psk(const struct copse_secure *s, const struct copse_address *peer)
{
	const struct secure_psk *psk;
	struct copse_peer at;

	if (copse_peer_from_address(0, peer, &at))
		return false;
	psk = secure_psk_for(s, at.key + 2);
	return psk && memcmp(psk->peer, at.key + 2, sizeof psk->peer) == 0;
}

int copse_secure_expect_raw(struct copse_secure *s, const struct copse_address *peer, const void *key,
			    size_t len, char why[COPSE_SECURE_WHY])
{
	union {
		const void *in;
		void *out;
	} bytes = {key}; /* GnuTLS reads only */
	const gnutls_datum_t pem = {bytes.out, (unsigned)len};
	struct secure_expected *e;
	uint8_t pin[SECURE_HASH];
	int err = secure_pin(&pem, pin);

	if (err) {
		snprintf(why, COPSE_SECURE_WHY, "no public key in PEM: %s", gnutls_strerror(err));
		return COPSE_ERR_ARGUMENT;
	}
	err = has_psk(s, peer) ? COPSE_ERR_ARGUMENT : add(s, peer, &e);
	if (err) {
		snprintf(why, COPSE_SECURE_WHY, "%s",
			 err == COPSE_ERR_NOROOM ? "out of memory"
						 : "something else is expected of this peer already");
		return err;
	}
	e->raw = true;
	memcpy(e->pin, pin, sizeof e->pin);
	return COPSE_OK;
}

void copse_secure_expect_address(struct copse_secure *s)
{
	s->name_by_address = true;
}

bool secure_has_raw(const struct copse_secure *s)
{
	for (uint32_t i = 0; i < s->expected_n; i++)
		if (s->expected[i]->raw)
			return true;
	return false;
}

const char *secure_name_for(const struct copse_secure *s, const uint8_t address[18],
			    char buf[COPSE_ADDRESS_TEXT])
{
	const struct secure_expected *e = secure_expected_of(s, address);

	if (e)
		return e->name;
	if (!s->name_by_address)
		return s->server_name;
	address_ip_text(address, buf);
	return buf;
}

enum secure_kind secure_kind_for(const struct copse_secure *s, const uint8_t address[18])
{
	static const uint8_t everybody[18];
	const struct secure_expected *e = secure_expected_of(s, address);
	const struct secure_psk *psk = s->server ? NULL : secure_psk_for(s, address);

	if (psk && memcmp(psk->peer, everybody, sizeof psk->peer) != 0)
		return SECURE_PSK;
	return e && e->raw ? SECURE_RAW : SECURE_ANY;
}

void secure_expected_free(struct copse_secure *s)
{
	for (uint32_t i = 0; i < s->expected_n; i++)
		copse_mem_free(s->expected[i]);
	copse_mem_free(s->expected);
	copse_mem_free(s->expected_index.slot);
}
