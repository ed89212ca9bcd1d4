/* The cryptography of OSCORE by GnuTLS.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/oscore.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

static const struct {
	int aead;
	gnutls_cipher_algorithm_t cipher;
	struct copse_oscore_sizes sizes;
} algorithms[] = {
    {COPSE_OSCORE_AES_CCM_16_64_128, GNUTLS_CIPHER_AES_128_CCM_8, {16, 13, 8}},
    {COPSE_OSCORE_AES_CCM_16_64_256, GNUTLS_CIPHER_AES_256_CCM_8, {32, 13, 8}},
    {COPSE_OSCORE_AES_CCM_16_128_128, GNUTLS_CIPHER_AES_128_CCM, {16, 13, 16}},
    {COPSE_OSCORE_AES_CCM_16_128_256, GNUTLS_CIPHER_AES_256_CCM, {32, 13, 16}},
    {COPSE_OSCORE_AES_GCM_128, GNUTLS_CIPHER_AES_128_GCM, {16, 12, 16}},
    {COPSE_OSCORE_AES_GCM_256, GNUTLS_CIPHER_AES_256_GCM, {32, 12, 16}},
    {COPSE_OSCORE_CHACHA20_POLY1305, GNUTLS_CIPHER_CHACHA20_POLY1305, {32, 12, 16}},
};

#define ALGORITHMS (sizeof algorithms / sizeof algorithms[0])

static size_t find(int aead)
{
	size_t i = 0;
	while (i < ALGORITHMS && algorithms[i].aead != aead)
		i++;
	return i;
}

static bool sizes_of(int aead, struct copse_oscore_sizes *sizes)
{
	const size_t i = find(aead);
	if (i < ALGORITHMS)
		*sizes = algorithms[i].sizes;
	return i < ALGORITHMS;
}

static gnutls_datum_t datum(const uint8_t *bytes, size_t len)
{
	/* GnuTLS takes what it only reads by a pointer that could write. */
	return (gnutls_datum_t){(unsigned char *)(uintptr_t)bytes, (unsigned)len};
}

static bool derive(int hkdf, const uint8_t *salt, size_t salt_len, const uint8_t *secret, size_t secret_len,
		   const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len)
{
	static const uint8_t none[1];
	uint8_t prk[64];
	const gnutls_mac_algorithm_t mac = hkdf == COPSE_OSCORE_HKDF_SHA_256   ? GNUTLS_MAC_SHA256
					   : hkdf == COPSE_OSCORE_HKDF_SHA_512 ? GNUTLS_MAC_SHA512
									       : GNUTLS_MAC_UNKNOWN;
	if (mac == GNUTLS_MAC_UNKNOWN)
		return false;
	const gnutls_datum_t key = datum(secret, secret_len), data = datum(info, info_len),
			     grain = datum(salt_len ? salt : none, salt_len),
			     extracted = datum(prk, gnutls_hmac_get_len(mac));
	const bool done = gnutls_hkdf_extract(mac, &key, &grain, prk) == 0 &&
			  gnutls_hkdf_expand(mac, &extracted, &data, out, out_len) == 0;
	gnutls_memset(prk, 0, sizeof prk);
	return done;
}

static bool start(gnutls_aead_cipher_hd_t *handle, size_t i, const uint8_t *key)
{
	const gnutls_datum_t k = datum(key, algorithms[i].sizes.key);
	return gnutls_aead_cipher_init(handle, algorithms[i].cipher, &k) == 0;
}

static bool seal(int aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		 uint8_t *text, size_t len)
{
	const size_t i = find(aead);
	gnutls_aead_cipher_hd_t handle;
	if (i == ALGORITHMS || !start(&handle, i, key))
		return false;
	const struct copse_oscore_sizes *s = &algorithms[i].sizes;
	size_t out = len + s->tag;
	const int err = gnutls_aead_cipher_encrypt(handle, nonce, s->nonce, aad, aad_len, s->tag, text, len,
						   text, &out);
	gnutls_aead_cipher_deinit(handle);
	return err == 0 && out == len + s->tag;
}

static bool open_sealed(int aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad,
			size_t aad_len, uint8_t *text, size_t len)
{
	const size_t i = find(aead);
	gnutls_aead_cipher_hd_t handle;
	if (i == ALGORITHMS || len < algorithms[i].sizes.tag || !start(&handle, i, key))
		return false;
	const struct copse_oscore_sizes *s = &algorithms[i].sizes;
	size_t out = len;
	const int err = gnutls_aead_cipher_decrypt(handle, nonce, s->nonce, aad, aad_len, s->tag, text, len,
						   text, &out);
	gnutls_aead_cipher_deinit(handle);
	return err == 0;
}

static bool draw(uint8_t *out, size_t len)
{
	return gnutls_rnd(GNUTLS_RND_RANDOM, out, len) == 0;
}

const struct copse_oscore_crypto copse_oscore_gnutls = {sizes_of, derive, seal, open_sealed, draw};
