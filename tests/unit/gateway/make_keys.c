/* See make_keys.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "make_keys.h"

#include <dirent.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "test support: %s failed\n", what);
		abort();
	}
}

static void keep_pem(gnutls_datum_t *pem, char out[PEM_MAX])
{
	must(pem->size < PEM_MAX, "room for PEM");
	memcpy(out, pem->data, pem->size);
	out[pem->size] = 0;
	gnutls_free(pem->data);
}

void make_pair(bool rsa, unsigned bits, char private_pem[PEM_MAX], char public_pem[PEM_MAX])
{
	gnutls_x509_privkey_t x509;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	gnutls_datum_t pem;
	unsigned size =
	    rsa ? bits
		: GNUTLS_CURVE_TO_BITS(bits == 256 ? GNUTLS_ECC_CURVE_SECP256R1 : GNUTLS_ECC_CURVE_SECP384R1);

	must(gnutls_x509_privkey_init(&x509) == 0, "init");
	must(gnutls_x509_privkey_generate(x509, rsa ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA, size, 0) == 0,
	     "generate");
	must(gnutls_x509_privkey_export2(x509, GNUTLS_X509_FMT_PEM, &pem) == 0, "export");
	keep_pem(&pem, private_pem);
	must(gnutls_privkey_init(&key) == 0 && gnutls_pubkey_init(&pub) == 0, "init");
	must(gnutls_privkey_import_x509(key, x509, GNUTLS_PRIVKEY_IMPORT_COPY) == 0, "import");
	must(gnutls_pubkey_import_privkey(pub, key, 0, 0) == 0, "public key");
	must(gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_PEM, &pem) == 0, "export");
	keep_pem(&pem, public_pem);
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	gnutls_x509_privkey_deinit(x509);
}

char *make_token(const char *algorithm, const char *key, const char *kid, const char *header,
		 const char *claims, char out[TOKEN_MAX])
{
	jwt_t *jwt;
	bool none = strcmp(algorithm, "none") == 0;

	must(jwt_new(&jwt) == 0, "jwt_new");
	must(jwt_add_grants_json(jwt, claims) == 0, "claims");
	if (header)
		must(jwt_add_headers_json(jwt, header) == 0, "header");
	if (kid)
		must(jwt_add_header(jwt, "kid", kid) == 0, "kid");
	must(jwt_set_alg(jwt, none ? JWT_ALG_NONE : jwt_str_alg(algorithm),
			 none ? NULL : (const unsigned char *)key, none ? 0 : (int)strlen(key)) == 0,
	     "jwt_set_alg");
	char *text = jwt_encode_str(jwt);
	must(text && strlen(text) < TOKEN_MAX, "jwt_encode_str");
	snprintf(out, TOKEN_MAX, "%s", text);
	free(text);
	jwt_free(jwt);
	return out;
}

void make_folder(char out[256])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(out, 256, "%s/copse-XXXXXX", tmp ? tmp : "/tmp");
	must(mkdtemp(out) != NULL, "mkdtemp");
}

void make_file(const char *folder, const char *name, const char *text, char out[512])
{
	snprintf(out, 512, "%s/%s", folder, name);
	FILE *file = fopen(out, "w");
	must(file && fputs(text, file) >= 0 && fclose(file) == 0, "write");
}

void remove_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[768];

	must(dir != NULL, "opendir");
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
			must(unlink(path) == 0, "unlink");
		}
	closedir(dir);
	must(rmdir(folder) == 0, "rmdir");
}
