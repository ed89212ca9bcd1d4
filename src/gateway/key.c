/* Checked with GnuTLS once, when the configuration is read, so that nothing is left to chance when a token comes: the
 * library that verifies tokens looks at neither the kind of a key nor its strength.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "key.h"

#include <copse/mem.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

static const char *const names[] = {[GW_HS256] = "HS256", [GW_RS256] = "RS256", [GW_ES256] = "ES256"};

int gw_algorithm_from_text(const char *text)
{
	for (int i = 0; i < (int)(sizeof(names) / sizeof(*names)); i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

const char *gw_algorithm_name(enum gw_algorithm algorithm)
{
	return names[algorithm];
}

static const char *keep(struct gw_key *key, const void *bytes, size_t len)
{
	key->bytes = copse_mem_new(len + 1, 1);
	if (!key->bytes)
		return "out of memory";
	memcpy(key->bytes, bytes, len);
	key->len = len;
	return NULL;
}

static const char *check_strength(gnutls_pubkey_t pubkey, enum gw_algorithm algorithm)
{
	unsigned bits = 0;
	int kind = gnutls_pubkey_get_pk_algorithm(pubkey, &bits);
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;

	if (algorithm == GW_RS256) {
		if (kind != GNUTLS_PK_RSA)
			return "RS256 needs an RSA key";
		return bits < 2048 ? "RS256 needs a key of at least 2048 bits" : NULL;
	}
	if (kind != GNUTLS_PK_ECDSA || gnutls_pubkey_export_ecc_raw(pubkey, &curve, NULL, NULL) != 0 ||
	    curve != GNUTLS_ECC_CURVE_SECP256R1)
		return "ES256 needs an elliptic curve key on P-256";
	return NULL;
}

static int import(gnutls_pubkey_t pubkey, const gnutls_datum_t *pem)
{
	gnutls_x509_crt_t crt;

	if (gnutls_pubkey_import(pubkey, pem, GNUTLS_X509_FMT_PEM) == 0)
		return 0;
	if (gnutls_x509_crt_init(&crt) != 0)
		return -1;
	int err = gnutls_x509_crt_import(crt, pem, GNUTLS_X509_FMT_PEM);
	if (!err)
		err = gnutls_pubkey_import_x509(pubkey, crt, 0);
	gnutls_x509_crt_deinit(crt);
	return err;
}

static const char *take_public(struct gw_key *key, const gnutls_datum_t *pem)
{
	gnutls_pubkey_t pubkey;
	gnutls_datum_t clean = {NULL, 0};

	if (gnutls_pubkey_init(&pubkey) != 0)
		return "out of memory";
	const char *why = import(pubkey, pem) ? "no public key or certificate in PEM" : NULL;
	if (!why)
		why = check_strength(pubkey, key->algorithm);
	if (!why && gnutls_pubkey_export2(pubkey, GNUTLS_X509_FMT_PEM, &clean) != 0)
		why = "the key cannot be used";
	if (!why)
		why = keep(key, clean.data, clean.size);
	gnutls_free(clean.data);
	gnutls_pubkey_deinit(pubkey);
	return why;
}

const char *gw_key_take(struct gw_key *key, const void *bytes, size_t len)
{
	gnutls_datum_t pem;

	if (key->algorithm == GW_HS256)
		return len < GW_SECRET_MIN ? "a secret for HS256 needs at least 32 bytes"
					   : keep(key, bytes, len);
	pem.data = copse_mem_new(len + 1, 1);
	pem.size = (unsigned)len;
	if (!pem.data)
		return "out of memory";
	memcpy(pem.data, bytes, len);
	const char *why = take_public(key, &pem);
	copse_mem_free(pem.data);
	return why;
}

void gw_key_wipe(struct gw_key *key)
{
	if (key->bytes)
		gnutls_memset(key->bytes, 0, key->len);
	copse_mem_free(key->bytes);
	key->bytes = NULL;
	key->len = 0;
}
