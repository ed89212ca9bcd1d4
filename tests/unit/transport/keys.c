/* SPDX-License-Identifier: BSD-2-Clause */
#include "keys.h"

#include <assert.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

static char *text(gnutls_datum_t *d)
{
	return (char *)d->data; /* GnuTLS puts a NUL behind */
}

static gnutls_x509_privkey_t new_key(void)
{
	gnutls_x509_privkey_t key;
	unsigned bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);

	assert(gnutls_x509_privkey_init(&key) == 0);
	assert(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, bits, 0) == 0);
	return key;
}

static gnutls_x509_crt_t new_cert(const char *name, gnutls_x509_privkey_t key, bool ca)
{
	gnutls_x509_crt_t crt;
	time_t now = time(NULL);
	static unsigned char serial;

	serial++;
	assert(gnutls_x509_crt_init(&crt) == 0);
	assert(gnutls_x509_crt_set_version(crt, 3) == 0);
	assert(gnutls_x509_crt_set_serial(crt, &serial, 1) == 0);
	assert(gnutls_x509_crt_set_activation_time(crt, now - 3600) == 0);
	assert(gnutls_x509_crt_set_expiration_time(crt, now + 86400) == 0);
	assert(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
					     (unsigned)strlen(name)) == 0);
	assert(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
						    GNUTLS_FSAN_SET) == 0);
	assert(gnutls_x509_crt_set_basic_constraints(crt, ca, -1) == 0);
	assert(gnutls_x509_crt_set_key(crt, key) == 0);
	return crt;
}

static char *public_of(gnutls_x509_privkey_t key)
{
	gnutls_privkey_t private;
	gnutls_pubkey_t public;
	gnutls_datum_t out;

	assert(gnutls_privkey_init(&private) == 0 && gnutls_pubkey_init(&public) == 0);
	assert(gnutls_privkey_import_x509(private, key, 0) == 0);
	assert(gnutls_pubkey_import_privkey(public, private, 0, 0) == 0);
	assert(gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, &out) == 0);
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(private);
	return text(&out);
}

static void make(struct keys *k, const char *name, gnutls_x509_crt_t ca, gnutls_x509_privkey_t ca_key)
{
	gnutls_x509_privkey_t key = new_key();
	gnutls_x509_crt_t crt = new_cert(name, key, false);
	gnutls_datum_t out;

	assert(gnutls_x509_crt_sign2(crt, ca, ca_key, GNUTLS_DIG_SHA256, 0) == 0);
	assert(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out) == 0);
	k->cert = text(&out);
	assert(gnutls_x509_crt_export2(ca, GNUTLS_X509_FMT_PEM, &out) == 0);
	k->ca = text(&out);
	assert(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &out) ==
	       0);
	k->key = text(&out);
	k->public_key = public_of(key);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

const struct keys *keys_of(enum keys_who who, bool foreign)
{
	static struct keys keys[2][2];

	if (!keys[foreign][0].key) {
		gnutls_x509_privkey_t ca_key = new_key();
		gnutls_x509_crt_t ca = new_cert("authority.example", ca_key, true);

		assert(gnutls_x509_crt_sign2(ca, ca, ca_key, GNUTLS_DIG_SHA256, 0) == 0);
		make(&keys[foreign][KEYS_SERVER], "gateway.example", ca, ca_key);
		make(&keys[foreign][KEYS_CLIENT], "client.example", ca, ca_key);
		gnutls_x509_crt_deinit(ca);
		gnutls_x509_privkey_deinit(ca_key);
	}
	return &keys[foreign][who];
}
