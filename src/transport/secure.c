/* See secure.h. Secrets lie in memory that is wiped before it is freed, and in no message.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "secure_internal.h"

#include "core/siphash.h"

#include <copse/hex.h>
#include <copse/host.h>
#include <copse/mem.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <stdarg.h>
#include <stdio.h>

#define PSK_FIRST 16u

__attribute__((format(printf, 2, 3))) static int say(char why[COPSE_SECURE_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, COPSE_SECURE_WHY, format, args);
	va_end(args);
	return COPSE_ERR_ARGUMENT;
}

struct copse_secure *copse_secure_new(bool server)
{
	struct copse_secure *s = copse_mem_new(1, sizeof *s);

	if (!s)
		return NULL;
	s->held = 1;
	s->server = server;
	copse_host_random(s->hash_key, sizeof s->hash_key);
	secure_key_log();
	if (gnutls_certificate_allocate_credentials(&s->certificates) != 0)
		s->certificates = NULL;
	else if ((server ? gnutls_psk_allocate_server_credentials(&s->psk_server)
			 : gnutls_psk_allocate_client_credentials(&s->psk_client)) == 0 &&
		 (!server || gnutls_session_ticket_key_generate(&s->ticket_key) == 0))
		return s;
	copse_secure_unref(s);
	return NULL;
}

struct copse_secure *copse_secure_ref(struct copse_secure *s)
{
	atomic_fetch_add_explicit(&s->held, 1, memory_order_relaxed);
	return s;
}

static void free_psk(struct secure_psk *psk)
{
	gnutls_memset(psk, 0, sizeof *psk + psk->identity_len + psk->key_len);
	copse_mem_free(psk);
}

void copse_secure_unref(struct copse_secure *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->held, 1, memory_order_acq_rel) > 1)
		return;
	for (uint32_t i = 0; i < s->psk_n; i++)
		free_psk(s->psk[i]);
	copse_mem_free(s->psk);
	copse_mem_free(s->index.slot);
	copse_mem_free(s->pin);
	if (s->psk_server)
		gnutls_psk_free_server_credentials(s->psk_server);
	if (s->psk_client)
		gnutls_psk_free_client_credentials(s->psk_client);
	if (s->certificates)
		gnutls_certificate_free_credentials(s->certificates);
	secure_expected_free(s);
	for (unsigned kind = 0; kind < SECURE_KINDS; kind++)
		if (s->priority[kind])
			gnutls_priority_deinit(s->priority[kind]);
	if (s->stream_priority)
		gnutls_priority_deinit(s->stream_priority);
	if (s->ticket_key.data)
		gnutls_memset(s->ticket_key.data, 0, s->ticket_key.size);
	gnutls_free(s->ticket_key.data);
	copse_mem_free(s);
}

/* ---- pre-shared keys ---- */

static uint32_t hash(const struct copse_secure *s, const void *bytes, size_t len)
{
	return (uint32_t)core_siphash(s->hash_key, bytes, len, 1, 3);
}

static uint32_t hash_of(const struct copse_secure *s, const struct secure_psk *psk)
{
	return s->server ? hash(s, psk->bytes, psk->identity_len) : hash(s, psk->peer, sizeof psk->peer);
}

const struct secure_psk *secure_psk_of(const struct copse_secure *s, const void *identity, size_t len)
{
	uint32_t h, pos, found;

	if (s->psk_n == 0)
		return NULL;
	h = hash(s, identity, len);
	pos = h & s->index.mask;
	while ((found = core_table_next(&s->index, h, &pos)) != 0) {
		const struct secure_psk *psk = s->psk[found - 1];

		if (psk->identity_len == len && memcmp(psk->bytes, identity, len) == 0)
			return psk;
	}
	return NULL;
}

static const struct secure_psk *find_peer(const struct copse_secure *s, const uint8_t peer[18])
{
	uint32_t h = hash(s, peer, 18), pos = h & s->index.mask, found;

	while ((found = core_table_next(&s->index, h, &pos)) != 0)
		if (memcmp(s->psk[found - 1]->peer, peer, 18) == 0)
			return s->psk[found - 1];
	return NULL;
}

const struct secure_psk *secure_psk_for(const struct copse_secure *s, const uint8_t peer[18])
{
	static const uint8_t everybody[18];
	const struct secure_psk *psk;

	if (s->psk_n == 0)
		return NULL;
	psk = find_peer(s, peer);
	return psk ? psk : find_peer(s, everybody);
}

/* Twice the room. Returns false without memory; nothing has changed then. */
static bool grow(struct copse_secure *s)
{
	uint32_t cap = s->psk_cap ? 2 * s->psk_cap : PSK_FIRST, slots = core_table_slots(cap);
	struct secure_psk **psk = copse_mem_new(cap, sizeof *psk);
	struct core_slot *slot = copse_mem_new(slots, sizeof *slot);

	if (!psk || !slot) {
		copse_mem_free(psk);
		copse_mem_free(slot);
		return false;
	}
	if (s->psk_n)
		memcpy(psk, s->psk, s->psk_n * sizeof *psk);
	copse_mem_free(s->psk);
	copse_mem_free(s->index.slot);
	s->psk = psk;
	s->psk_cap = cap;
	core_table_init(&s->index, slot, slots);
	for (uint32_t i = 0; i < s->psk_n; i++)
		core_table_insert(&s->index, hash_of(s, psk[i]), i + 1);
	return true;
}

static bool is_there(const struct copse_secure *s, const struct secure_psk *psk)
{
	if (s->psk_n == 0)
		return false;
	return s->server ? secure_psk_of(s, psk->bytes, psk->identity_len) != NULL
			 : find_peer(s, psk->peer) != NULL;
}

int copse_secure_psk(struct copse_secure *s, const struct copse_address *peer, const void *identity,
		     size_t identity_len, const void *key, size_t key_len)
{
	struct secure_psk *psk;
	struct copse_peer at;

	COPSE_ASSERT(!s->finished);
	if (identity_len == 0 || identity_len > COPSE_PSK_IDENTITY_MAX || key_len < COPSE_PSK_KEY_MIN ||
	    key_len > COPSE_PSK_KEY_MAX || (peer && (s->server || copse_peer_from_address(0, peer, &at))))
		return COPSE_ERR_ARGUMENT;
	if (s->psk_n == s->psk_cap && !grow(s))
		return COPSE_ERR_NOROOM;
	psk = copse_mem_new(1, sizeof *psk + identity_len + key_len);
	if (!psk)
		return COPSE_ERR_NOROOM;
	if (peer)
		memcpy(psk->peer, at.key + 2, sizeof psk->peer);
	psk->identity_len = (uint16_t)identity_len;
	psk->key_len = (uint16_t)key_len;
	memcpy(psk->bytes, identity, identity_len);
	memcpy(psk->bytes + identity_len, key, key_len);
	if (is_there(s, psk)) {
		free_psk(psk);
		return COPSE_ERR_ARGUMENT;
	}
	s->psk[s->psk_n++] = psk;
	core_table_insert(&s->index, hash_of(s, psk), s->psk_n);
	return COPSE_OK;
}

size_t copse_secure_psk_n(const struct copse_secure *s)
{
	return s->psk_n;
}

static int take_line(struct copse_secure *s, const char *line, size_t len)
{
	uint8_t key[COPSE_PSK_KEY_MAX];
	size_t colon = len;
	int n, err;

	/* the last one: an identity may have colons, a key has none */
	while (colon > 0 && line[colon - 1] != ':')
		colon--;
	if (colon < 2)
		return COPSE_ERR_ARGUMENT;
	n = copse_hex_decode(line + colon, len - colon, key, sizeof key);
	err = n < 0 ? n : copse_secure_psk(s, NULL, line, colon - 1, key, (size_t)n);
	gnutls_memset(key, 0, sizeof key);
	return err;
}

int copse_secure_psk_lines(struct copse_secure *s, const char *text, size_t len, char why[COPSE_SECURE_WHY])
{
	int number = 1, n = 0;

	for (size_t at = 0; at < len; number++) {
		const char *line = text + at, *end = memchr(line, '\n', len - at);
		size_t line_len = end ? (size_t)(end - line) : len - at;

		at += line_len + 1;
		while (line_len > 0 && (line[line_len - 1] == '\r' || line[line_len - 1] == ' '))
			line_len--;
		if (line_len == 0 || line[0] == '#')
			continue;
		int err = take_line(s, line, line_len);
		if (err == COPSE_ERR_NOROOM)
			return say(why, "out of memory"), err;
		if (err)
			return say(why,
				   "line %d: not identity:key with 16 to 128 hexadecimal digits, or the "
				   "identity is there "
				   "twice",
				   number);
		n++;
	}
	return n;
}

/* ---- certificates and raw keys ---- */

static gnutls_datum_t datum(const void *bytes, size_t len)
{
	union {
		const void *in;
		void *out;
	} p = {bytes}; /* GnuTLS reads only */

	return (gnutls_datum_t){p.out, (unsigned)len};
}

int copse_secure_certificate(struct copse_secure *s, const void *cert, size_t cert_len, const void *key,
			     size_t key_len, char why[COPSE_SECURE_WHY])
{
	gnutls_datum_t c = datum(cert, cert_len), k = datum(key, key_len);
	int err = gnutls_certificate_set_x509_key_mem2(s->certificates, &c, &k, GNUTLS_X509_FMT_PEM, NULL, 0);

	COPSE_ASSERT(!s->finished);
	if (err < 0)
		return say(why, "certificate and key cannot be used: %s", gnutls_strerror(err));
	s->certificate = true;
	return COPSE_OK;
}

/* The public half of a private key, as SubjectPublicKeyInfo in PEM; to be freed with gnutls_free. */
static int public_of(const gnutls_datum_t *key, gnutls_datum_t *spki)
{
	gnutls_privkey_t private = NULL;
	gnutls_pubkey_t public = NULL;
	int err = gnutls_privkey_init(&private);

	if (!err)
		err = gnutls_privkey_import_x509_raw(private, key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (!err)
		err = gnutls_pubkey_init(&public);
	if (!err)
		err = gnutls_pubkey_import_privkey(public, private, 0, 0);
	if (!err)
		err = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, spki);
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(private);
	return err;
}

int copse_secure_raw_key(struct copse_secure *s, const void *key, size_t key_len, char why[COPSE_SECURE_WHY])
{
	gnutls_datum_t k = datum(key, key_len), spki = {NULL, 0};
	int err = public_of(&k, &spki);

	COPSE_ASSERT(!s->finished);
	if (!err)
		err = gnutls_certificate_set_rawpk_key_mem(s->certificates, &spki, &k, GNUTLS_X509_FMT_PEM,
							   NULL, 0, NULL, 0, 0);
	gnutls_free(spki.data);
	if (err < 0)
		return say(why, "the raw key cannot be used: %s", gnutls_strerror(err));
	s->raw_key = true;
	return COPSE_OK;
}

int copse_secure_trust(struct copse_secure *s, const void *ca, size_t len, char why[COPSE_SECURE_WHY])
{
	gnutls_datum_t d = datum(ca, len);
	int n = gnutls_certificate_set_x509_trust_mem(s->certificates, &d, GNUTLS_X509_FMT_PEM);

	COPSE_ASSERT(!s->finished);
	if (n <= 0)
		return say(why, "no certificate of an authority: %s",
			   n ? gnutls_strerror(n) : "there is none");
	s->trust = true;
	return COPSE_OK;
}

int copse_secure_trust_system(struct copse_secure *s, char why[COPSE_SECURE_WHY])
{
	int n = gnutls_certificate_set_x509_system_trust(s->certificates);

	COPSE_ASSERT(!s->finished);
	if (n <= 0)
		return say(why, "this system has no certificates of authorities");
	s->trust = true;
	return COPSE_OK;
}

bool secure_hash(const gnutls_datum_t *spki, uint8_t out[SECURE_HASH])
{
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, spki->data, spki->size, out) == 0;
}

bool secure_believes(const struct copse_secure *s, const gnutls_datum_t *spki)
{
	uint8_t h[SECURE_HASH];

	if (!secure_hash(spki, h))
		return false;
	for (size_t i = 0; i < s->pin_n; i++)
		if (memcmp(s->pin[i], h, sizeof h) == 0)
			return true;
	return false;
}

int secure_pin(const gnutls_datum_t *pem, uint8_t pin[SECURE_HASH])
{
	gnutls_datum_t der = {NULL, 0};
	gnutls_pubkey_t public = NULL;
	int err = gnutls_pubkey_init(&public);

	if (!err)
		err = gnutls_pubkey_import(public, pem, GNUTLS_X509_FMT_PEM);
	if (!err)
		err = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &der);
	if (!err && !secure_hash(&der, pin))
		err = GNUTLS_E_HASH_FAILED;
	gnutls_free(der.data);
	gnutls_pubkey_deinit(public);
	return err;
}

static int add_pin(struct copse_secure *s, const gnutls_datum_t *pem)
{
	uint8_t(*more)[SECURE_HASH] = copse_mem_new(s->pin_n + 1, sizeof *more);
	int err = more ? secure_pin(pem, more[s->pin_n]) : GNUTLS_E_MEMORY_ERROR;

	if (err) {
		copse_mem_free(more);
		return err;
	}
	if (s->pin_n)
		memcpy(more, s->pin, s->pin_n * sizeof *more);
	copse_mem_free(s->pin);
	s->pin = more;
	s->pin_n++;
	return 0;
}

int copse_secure_trust_raw(struct copse_secure *s, const void *keys, size_t len, char why[COPSE_SECURE_WHY])
{
	static const char begin[] = "-----BEGIN PUBLIC KEY-----", end[] = "-----END PUBLIC KEY-----";
	const char *at = keys, *stop = at + len;
	int n = 0;

	COPSE_ASSERT(!s->finished);
	while ((at = memmem(at, (size_t)(stop - at), begin, sizeof begin - 1)) != NULL) {
		const char *last = memmem(at, (size_t)(stop - at), end, sizeof end - 1);
		gnutls_datum_t pem;

		if (!last)
			break;
		last += sizeof end - 1;
		pem = datum(at, (size_t)(last - at));
		int err = add_pin(s, &pem);
		if (err)
			return say(why, "public key %d cannot be used: %s", n + 1, gnutls_strerror(err));
		n++;
		at = last;
	}
	return n ? COPSE_OK : say(why, "no public key in PEM");
}

int copse_secure_server_name(struct copse_secure *s, const char *name, size_t len)
{
	if (len > SECURE_NAME || memchr(name, 0, len))
		return COPSE_ERR_ARGUMENT;
	memcpy(s->server_name, name, len);
	s->server_name[len] = '\0';
	return COPSE_OK;
}

void copse_secure_prefer_secrecy(struct copse_secure *s)
{
	s->secrecy = true;
}

void copse_secure_require_peer(struct copse_secure *s)
{
	s->require_peer = true;
}

/* ---- what is offered ---- */

/* Each kind of certificate that one side may show: what the one has, and what the other believes. */
static void add_types(char *text, size_t cap, const char *side, bool x509, bool raw)
{
	size_t n = strlen(text);

	snprintf(text + n, cap - n, "%s%s%s%s", raw ? ":+CTYPE-" : "", raw ? side : "", raw ? "-RAWPK" : "",
		 "");
	n = strlen(text);
	if (x509 || !raw)
		snprintf(text + n, cap - n, ":+CTYPE-%s-X509", side);
}

/* Names of GnuTLS for what is agreed on, by whichever keys. */
#define COMMON                                                                                               \
	"+COMP-NULL:+AEAD:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM:"                                     \
	"+AES-128-CCM:+AES-128-CCM-8:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"                       \
	"+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-EDDSA-ED25519:"                               \
	"+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256:+SIGN-ECDSA-SHA384:+SIGN-RSA-SHA384"

/* What a session may be agreed on by. */
struct offer {
	bool psk;
	bool server_x509, server_raw, client_x509, client_raw;
};

static void write_offer(const struct copse_secure *s, const struct offer *o, char *text, size_t cap)
{
	strncat(text, COMMON, cap - strlen(text) - 1);
	if (o->server_x509 || o->server_raw)
		strncat(text, ":+ECDHE-ECDSA:+ECDHE-RSA", cap - strlen(text) - 1);
	if (o->psk)
		strncat(text, s->secrecy ? ":+ECDHE-PSK:+PSK" : ":+PSK:+ECDHE-PSK", cap - strlen(text) - 1);
	add_types(text, cap, "SRV", o->server_x509, o->server_raw);
	add_types(text, cap, "CLI", o->client_x509, o->client_raw);
}

static bool set_priority(gnutls_priority_t *priority, const char *versions, const struct copse_secure *s,
			 const struct offer *offer, char why[COPSE_SECURE_WHY])
{
	char text[704];
	const char *position = NULL;

	snprintf(text, sizeof(text), "%s", versions);
	write_offer(s, offer, text, sizeof(text));
	int err = gnutls_priority_init(priority, text, &position);
	if (err)
		say(why, "GnuTLS does not take \"%s\": %s", position ? position : text, gnutls_strerror(err));
	return err == 0;
}

#define VERSIONS "NONE:+VERS-DTLS1.2:"

static bool offer_as_server(struct copse_secure *s, char why[COPSE_SECURE_WHY])
{
	const struct offer offer = {s->psk_n > 0, s->certificate, s->raw_key, s->trust, s->pin_n > 0};

	return set_priority(&s->priority[SECURE_ANY], VERSIONS, s, &offer, why) &&
	       set_priority(&s->stream_priority, "NONE:+VERS-TLS1.3:+VERS-TLS1.2:", s, &offer, why);
}

/* To peers that something of their own is expected of, nothing else is offered. */
static bool offer_as_client(struct copse_secure *s, char why[COPSE_SECURE_WHY])
{
	static const uint8_t everybody[18];
	bool certificates = s->trust || s->pin_n;
	bool psk = s->psk_n && (!certificates || find_peer(s, everybody));
	const struct offer own_psk = {.psk = true};
	const struct offer own_raw = {
	    .server_raw = true, .client_x509 = s->certificate, .client_raw = s->raw_key};
	const struct offer any = {psk, s->trust, s->pin_n > 0, s->certificate, s->raw_key};
	/* where only some are known, by raw keys, others are asked for one and refused */
	const struct offer *others = psk || certificates ? &any : &own_raw;

	return set_priority(&s->priority[SECURE_ANY], VERSIONS, s, others, why) &&
	       set_priority(&s->stream_priority, "NONE:+VERS-TLS1.3:+VERS-TLS1.2:", s, others, why) &&
	       (!s->psk_n || set_priority(&s->priority[SECURE_PSK], VERSIONS, s, &own_psk, why)) &&
	       (!secure_has_raw(s) || set_priority(&s->priority[SECURE_RAW], VERSIONS, s, &own_raw, why));
}

int copse_secure_finish(struct copse_secure *s, char why[COPSE_SECURE_WHY])
{
	bool certificates =
	    s->server ? s->certificate || s->raw_key : s->trust || s->pin_n || secure_has_raw(s);

	if (!certificates && !s->psk_n)
		return say(why, s->server ? "there is no pre-shared key, certificate or raw key"
					  : "there is no pre-shared key, and nothing to know a server by");
	if (!(s->server ? offer_as_server(s, why) : offer_as_client(s, why)))
		return COPSE_ERR_ARGUMENT;
	secure_set_callbacks(s);
	s->finished = true;
	return COPSE_OK;
}
