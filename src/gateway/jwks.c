/* See jwks.h. Each key is turned into what gw_key_take takes, which knows how strong it has to be.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "jwks.h"
#include "key.h"

#include "store/senml.h"

#include <copse/mem.h>

#include <gnutls/abstract.h>
#include <jansson.h>
#include <string.h>

#define NUMBER_MAX 1024 /* bytes of a number: RSA of 8192 bits */

/* base64url without padding, and nothing of the other alphabet (RFC 7515 §2). Returns the length, or -1. */
static int decode(const json_t *text, uint8_t *out, size_t cap)
{
	const char *s = json_string_value(text);
	const size_t len = json_string_length(text);

	if (!s || strpbrk(s, "+/=") || len / 4 * 3 + 3 > cap)
		return -1;
	const int n = senml_base64_decode(s, len, out);
	return n > 0 ? n : -1;
}

static bool is(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* Which algorithm a key is for, or -1: one that is none of ours, to be skipped. */
static int algorithm_of(const json_t *jwk)
{
	const json_t *kty = json_object_get(jwk, "kty"), *alg = json_object_get(jwk, "alg"),
		     *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *op;
	int kind = is(kty, "oct")                                              ? GW_HS256
		   : is(kty, "RSA")                                            ? GW_RS256
		   : is(kty, "EC") && is(json_object_get(jwk, "crv"), "P-256") ? GW_ES256
									       : -1;
	bool verifies = !ops;
	size_t i;

	json_array_foreach(ops, i, op) verifies |= is(op, "verify");
	if (kind < 0 || !verifies || (use && !is(use, "sig")) ||
	    (alg && !is(alg, gw_algorithm_name((enum gw_algorithm)kind))))
		return -1;
	return kind;
}

/* Two numbers make a public key; one makes a secret. */
static const char *take_public(struct gw_key *key, const json_t *jwk)
{
	bool rsa = key->algorithm == GW_RS256;
	uint8_t a[NUMBER_MAX], b[NUMBER_MAX];
	int a_len = decode(json_object_get(jwk, rsa ? "n" : "x"), a, sizeof(a)),
	    b_len = decode(json_object_get(jwk, rsa ? "e" : "y"), b, sizeof(b));
	gnutls_datum_t first = {a, (unsigned)a_len}, second = {b, (unsigned)b_len}, pem = {NULL, 0};
	gnutls_pubkey_t public = NULL;
	const char *why = "the numbers of a key are no key";
	int err;

	if (json_object_get(jwk, "d"))
		return "a private key has no place in a set of keys to verify with";
	if (a_len < 0 || b_len < 0 || gnutls_pubkey_init(&public) != 0)
		return why;
	err = rsa ? gnutls_pubkey_import_rsa_raw(public, &first, &second)
		  : gnutls_pubkey_import_ecc_raw(public, GNUTLS_ECC_CURVE_SECP256R1, &first, &second);
	if (!err)
		err = gnutls_pubkey_verify_params(public); /* a point that is on the curve */
	if (!err && gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, &pem) == 0)
		why = gw_key_take(key, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_pubkey_deinit(public);
	return why;
}

static const char *take_secret(struct gw_key *key, const json_t *jwk)
{
	uint8_t bytes[NUMBER_MAX];
	int len = decode(json_object_get(jwk, "k"), bytes, sizeof(bytes));
	const char *why = len < 0 ? "a secret is not in base64url" : gw_key_take(key, bytes, (size_t)len);

	gnutls_memset(bytes, 0, sizeof(bytes));
	return why;
}

static const char *take_key(struct gw_key *key, const json_t *jwk, int algorithm, bool *secret)
{
	const json_t *kid = json_object_get(jwk, "kid");

	if (kid && (!json_is_string(kid) || json_string_length(kid) > GW_NAME_MAX ||
		    strlen(json_string_value(kid)) != json_string_length(kid)))
		return "a kid has more than 63 bytes, or is no text";
	if (kid)
		memcpy(key->id, json_string_value(kid), json_string_length(kid) + 1);
	key->algorithm = (enum gw_algorithm)algorithm;
	*secret |= algorithm == GW_HS256;
	return algorithm == GW_HS256 ? take_secret(key, jwk) : take_public(key, jwk);
}

static const char *take_set(const json_t *list, struct gw_key *keys, size_t *key_n, bool *secret)
{
	size_t i;
	json_t *jwk;

	json_array_foreach(list, i, jwk)
	{
		int algorithm = algorithm_of(jwk);
		const char *why = algorithm < 0 ? NULL : take_key(&keys[*key_n], jwk, algorithm, secret);

		if (why)
			return why;
		*key_n += algorithm >= 0;
	}
	return NULL;
}

const char *gw_jwks_read(const char *text, size_t len, struct gw_key **keys, size_t *key_n, bool *secret)
{
	json_t *set = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL),
	       *list = json_object_get(set, "keys");
	const char *why = NULL;

	*keys = NULL;
	*key_n = 0;
	*secret = false;
	if (!json_is_array(list))
		why = "no JWK set";
	else if (json_array_size(list) > GW_JWKS_KEYS)
		why = "more than 64 keys";
	else if ((*keys = copse_mem_new(json_array_size(list), sizeof(**keys))) == NULL)
		why = "out of memory";
	if (!why)
		why = take_set(list, *keys, key_n, secret);
	json_decref(set);
	return why;
}
