/* JWK sets: what is taken, skipped and refused, and tokens by what was taken.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gnutls/abstract.h>
#include <stdio.h>
#include <string.h>

#include <copse/mem.h>

#include "gateway/jwks.h"
#include "gateway/key.h"
#include "gateway/token.h"
#include "make_keys.h"

#define SECRET "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY" /* 0123456789abcdef0123456789abcdef */

static char rsa_private[PEM_MAX], rsa_public[PEM_MAX], ec_private[PEM_MAX], ec_public[PEM_MAX];
static struct gw_key *keys;
static size_t key_n;
static bool secret;

static const char *read_set(const char *text)
{
	for (size_t i = 0; i < key_n; i++)
		gw_key_wipe(&keys[i]);
	copse_mem_free(keys);
	return gw_jwks_read(text, strlen(text), &keys, &key_n, &secret);
}

static int tear_down(void **state)
{
	(void)state;
	read_set("{\"keys\":[]}");
	copse_mem_free(keys);
	keys = NULL;
	return 0;
}

static void encode(const gnutls_datum_t *d, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t n = 0;

	for (unsigned i = 0; i < d->size; i += 3) {
		uint32_t v = (uint32_t)d->data[i] << 16;
		unsigned have = d->size - i < 3 ? d->size - i : 3;

		v |= have > 1 ? (uint32_t)d->data[i + 1] << 8 : 0;
		v |= have > 2 ? d->data[i + 2] : 0;
		for (unsigned j = 0; j <= have; j++)
			out[n++] = digits[v >> (18 - 6 * j) & 63];
	}
	out[n] = '\0';
}

/* The two numbers of a public key. */
static void numbers(const char *pem, bool rsa, char first[1000], char second[1000])
{
	gnutls_datum_t text = {(unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem)}, a, b;
	gnutls_ecc_curve_t curve;
	gnutls_pubkey_t public;

	assert_int_equal(gnutls_pubkey_init(&public), 0);
	assert_int_equal(gnutls_pubkey_import(public, &text, GNUTLS_X509_FMT_PEM), 0);
	assert_int_equal(rsa ? gnutls_pubkey_export_rsa_raw(public, &a, &b)
			     : gnutls_pubkey_export_ecc_raw(public, &curve, &a, &b),
			 0);
	encode(&a, first);
	encode(&b, second);
	gnutls_free(a.data);
	gnutls_free(b.data);
	gnutls_pubkey_deinit(public);
}

static const char *jwk(char *out, size_t cap, bool rsa, const char *kid, const char *more)
{
	char a[1000], b[1000];

	numbers(rsa ? rsa_public : ec_public, rsa, a, b);
	snprintf(out, cap, "{\"kty\":\"%s\",\"kid\":\"%s\",%s\"%s\":\"%s\",\"%s\":\"%s\"%s}",
		 rsa ? "RSA" : "EC", kid, rsa ? "" : "\"crv\":\"P-256\",", rsa ? "n" : "x", a,
		 rsa ? "e" : "y", b, more);
	return out;
}

static enum gw_token_fault check(const char *algorithm, const char *key, const char *kid)
{
	static struct gw_config config = {.token = {.account_claim = "sub"}};
	static struct gw_claims claims;
	char token[TOKEN_MAX];

	config.keys = keys;
	config.key_n = key_n;
	make_token(algorithm, key, kid, NULL, "{\"sub\":\"me\"}", token);
	return gw_token_check(&config, token, strlen(token), 1700000000, &claims);
}

static void test_each_kind(void **state)
{
	char set[12000], r[4096], e[4096];

	(void)state;
	snprintf(set, sizeof(set), "{\"keys\":[%s,%s,{\"kty\":\"oct\",\"kid\":\"h\",\"k\":\"" SECRET "\"}]}",
		 jwk(r, sizeof(r), true, "r", ",\"use\":\"sig\",\"alg\":\"RS256\""),
		 jwk(e, sizeof(e), false, "e", ",\"key_ops\":[\"verify\"]"));
	assert_null(read_set(set));
	assert_int_equal(key_n, 3);
	assert_true(secret);
	assert_int_equal(check("RS256", rsa_private, "r"), GW_TOKEN_OK);
	assert_int_equal(check("ES256", ec_private, "e"), GW_TOKEN_OK);
	assert_int_equal(check("HS256", "0123456789abcdef0123456789abcdef", "h"), GW_TOKEN_OK);
	assert_int_equal(check("HS256", "0123456789abcdef0123456789abcdef", "r"), GW_TOKEN_KEY);
	assert_int_equal(check("HS256", rsa_public, "r"), GW_TOKEN_KEY);
	assert_int_equal(check("ES256", ec_private, "unknown"), GW_TOKEN_KEY);
}

/* The next set has the old key and the new one, the one after it the new one alone. */
static void test_rotation(void **state)
{
	char set[12000], one[4096], two[4096];
	const char *old = "{\"kty\":\"oct\",\"kid\":\"2024\",\"k\":\"" SECRET "\"}";

	(void)state;
	snprintf(set, sizeof(set), "{\"keys\":[%s,%s]}", old, jwk(one, sizeof(one), false, "2025", ""));
	assert_null(read_set(set));
	assert_int_equal(check("HS256", "0123456789abcdef0123456789abcdef", "2024"), GW_TOKEN_OK);
	assert_int_equal(check("ES256", ec_private, "2025"), GW_TOKEN_OK);
	snprintf(set, sizeof(set), "{\"keys\":[%s]}", jwk(two, sizeof(two), false, "2025", ""));
	assert_null(read_set(set));
	assert_false(secret);
	assert_int_equal(check("HS256", "0123456789abcdef0123456789abcdef", "2024"), GW_TOKEN_ALGORITHM);
	assert_int_equal(check("ES256", ec_private, "2025"), GW_TOKEN_OK);
}

static void test_skipped(void **state)
{
	char set[12000], e[4096];

	(void)state;
	snprintf(set, sizeof(set),
		 "{\"keys\":[{\"kty\":\"OKP\"},{\"kty\":\"EC\",\"crv\":\"P-521\"},7,{},%s]}",
		 jwk(e, sizeof(e), false, "e", ",\"use\":\"enc\""));
	assert_null(read_set(set));
	assert_int_equal(key_n, 0);
	snprintf(set, sizeof(set), "{\"keys\":[%s]}", jwk(e, sizeof(e), true, "r", ",\"alg\":\"RS512\""));
	assert_null(read_set(set));
	assert_int_equal(key_n, 0);
	snprintf(set, sizeof(set), "{\"keys\":[%s]}",
		 jwk(e, sizeof(e), true, "r", ",\"key_ops\":[\"encrypt\"]"));
	assert_null(read_set(set));
	assert_int_equal(key_n, 0);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "[]",
	    "{}",
	    "{\"keys\":{}}",
	    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}",
	    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"not base64url, and far too long for that\"}]}",
	    "{\"keys\":[{\"kty\":\"oct\"}]}",
	    /* padding, and the other alphabet, which RFC 7515 §2 does not have */
	    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"" SECRET "=\"}]}",
	    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"+/" SECRET "\"}]}",
	    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
	    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}]}",
	    "{\"keys\":[{\"kty\":\"oct\",\"kid\":7,\"k\":\"" SECRET "\"}]}",
	};
	char set[12000], e[4096];
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_non_null(read_set(bad[i]));
	snprintf(set, sizeof(set), "{\"keys\":[%s]}", jwk(e, sizeof(e), false, "e", ",\"d\":\"AQAB\""));
	assert_non_null(read_set(set));
	len = (size_t)snprintf(set, sizeof(set), "{\"keys\":[{}");
	for (int i = 0; i < GW_JWKS_KEYS; i++)
		len += (size_t)snprintf(set + len, sizeof(set) - len, ",{}");
	snprintf(set + len, sizeof(set) - len, "]}");
	assert_non_null(read_set(set));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_each_kind, tear_down),
	    cmocka_unit_test_teardown(test_rotation, tear_down),
	    cmocka_unit_test_teardown(test_skipped, tear_down),
	    cmocka_unit_test_teardown(test_refused, tear_down),
	};

	make_pair(true, 2048, rsa_private, rsa_public);
	make_pair(false, 256, ec_private, ec_public);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
