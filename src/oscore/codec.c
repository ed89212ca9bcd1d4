/* The encodings of OSCORE; see codec.h. CBOR is written by hand: there are six shapes of it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "codec.h"

#include <string.h>

/* The first byte of the option (RFC 8613 §6.1). */
#define FLAG_RESERVED    0xe0u
#define FLAG_KID_CONTEXT 0x10u
#define FLAG_KID         0x08u
#define FLAG_PIV         0x07u

/* Major types of CBOR (RFC 8949 §3.1). */
#define CBOR_UINT  0x00u
#define CBOR_BYTES 0x40u
#define CBOR_TEXT  0x60u
#define CBOR_ARRAY 0x80u
#define CBOR_NULL  0xf6u

static size_t put_head(uint8_t *out, unsigned major, size_t n)
{
	if (n < 24) {
		out[0] = (uint8_t)(major | n);
		return 1;
	}
	out[0] = (uint8_t)(major | 24);
	out[1] = (uint8_t)n;
	return 2;
}

static size_t put_string(uint8_t *out, unsigned major, const void *bytes, size_t len)
{
	const size_t n = put_head(out, major, len);
	if (len > 0)
		memcpy(out + n, bytes, len);
	return n + len;
}

static const uint8_t *take(const uint8_t **at, const uint8_t *end, size_t n)
{
	const uint8_t *from = *at;
	if ((size_t)(end - from) < n)
		return NULL;
	*at += n;
	return from;
}

int copse_oscore_option_parse(struct copse_oscore_option *o, const uint8_t *value, size_t len)
{
	const uint8_t *at = value, *end = value + len;
	memset(o, 0, sizeof *o);
	if (len == 0) /* RFC 8613 §6.1: all flags are zero */
		return 0;
	const unsigned flags = *at++;
	if (flags == 0 || len > 255 || (flags & FLAG_RESERVED) || (flags & FLAG_PIV) > COPSE_OSCORE_PIV_MAX)
		return COPSE_ERR_MALFORMED;
	o->piv_len = (uint8_t)(flags & FLAG_PIV);
	o->piv = take(&at, end, o->piv_len);
	if (!o->piv)
		return COPSE_ERR_MALFORMED;
	if (flags & FLAG_KID_CONTEXT) {
		const uint8_t *n = take(&at, end, 1);
		o->has_kid_context = true;
		o->kid_context_len = n ? *n : 0;
		o->kid_context = n ? take(&at, end, *n) : NULL;
		if (!o->kid_context)
			return COPSE_ERR_MALFORMED;
	}
	if (flags & FLAG_KID) { /* all that remains */
		o->has_kid = true;
		o->kid = at;
		o->kid_len = (uint8_t)(end - at);
		return 0;
	}
	return at == end ? 0 : COPSE_ERR_MALFORMED;
}

size_t osc_option_put(uint8_t out[OSC_OPTION_MAX], const struct copse_oscore_option *o)
{
	size_t n = 1;
	out[0] = (uint8_t)(o->piv_len | (o->has_kid ? FLAG_KID : 0) |
			   (o->has_kid_context ? FLAG_KID_CONTEXT : 0));
	if (out[0] == 0)
		return 0;
	if (o->piv_len > 0)
		memcpy(out + n, o->piv, o->piv_len);
	n += o->piv_len;
	if (o->has_kid_context) {
		out[n++] = o->kid_context_len;
		if (o->kid_context_len > 0)
			memcpy(out + n, o->kid_context, o->kid_context_len);
		n += o->kid_context_len;
	}
	if (o->has_kid && o->kid_len > 0)
		memcpy(out + n, o->kid, o->kid_len);
	return n + (o->has_kid ? o->kid_len : 0);
}

/* RFC 8613 §3.2.1: [id, id_context, alg_aead, type, L] */
size_t osc_info(uint8_t out[OSC_INFO_MAX], const uint8_t *id, size_t id_len, const uint8_t *id_context,
		size_t id_context_len, int aead, const char *type, size_t len)
{
	size_t n = put_head(out, CBOR_ARRAY, 5);
	n += put_string(out + n, CBOR_BYTES, id, id_len);
	if (id_context)
		n += put_string(out + n, CBOR_BYTES, id_context, id_context_len);
	else
		out[n++] = CBOR_NULL;
	n += put_head(out + n, CBOR_UINT, (size_t)aead);
	n += put_string(out + n, CBOR_TEXT, type, strlen(type));
	return n + put_head(out + n, CBOR_UINT, len);
}

/* RFC 8613 §5.4: [1, [alg_aead], request_kid, request_piv, options], no option being of class I; within the
 * Enc_structure of RFC 9052 §5.3. */
size_t osc_aad(uint8_t out[OSC_AAD_MAX], int aead, const struct copse_oscore_binding *b)
{
	static const char encrypt0[] = "Encrypt0";
	uint8_t array[OSC_AAD_MAX / 2];
	size_t n = put_head(array, CBOR_ARRAY, 5);
	n += put_head(array + n, CBOR_UINT, 1); /* oscore_version */
	n += put_head(array + n, CBOR_ARRAY, 1);
	n += put_head(array + n, CBOR_UINT, (size_t)aead);
	n += put_string(array + n, CBOR_BYTES, b->kid, b->kid_len);
	n += put_string(array + n, CBOR_BYTES, b->piv, b->piv_len);
	n += put_string(array + n, CBOR_BYTES, NULL, 0);
	size_t m = put_head(out, CBOR_ARRAY, 3);
	m += put_string(out + m, CBOR_TEXT, encrypt0, sizeof encrypt0 - 1);
	m += put_string(out + m, CBOR_BYTES, NULL, 0);
	return m + put_string(out + m, CBOR_BYTES, array, n);
}

/* RFC 8613 §5.2: length of the ID, the ID and the Partial IV from the left padded by zeros; XOR the Common IV. */
void osc_nonce(uint8_t *out, size_t len, const uint8_t *common_iv, const uint8_t *id, size_t id_len,
	       const uint8_t *piv, size_t piv_len)
{
	memset(out, 0, len);
	out[0] = (uint8_t)id_len;
	if (id_len > 0)
		memcpy(out + len - COPSE_OSCORE_PIV_MAX - id_len, id, id_len);
	if (piv_len > 0)
		memcpy(out + len - piv_len, piv, piv_len);
	for (size_t i = 0; i < len; i++)
		out[i] ^= common_iv[i];
}

size_t osc_piv_put(uint8_t out[COPSE_OSCORE_PIV_MAX], uint64_t number)
{
	size_t n = 1;
	while (n < COPSE_OSCORE_PIV_MAX && number >> (8 * n) != 0)
		n++;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(number >> (8 * (n - 1 - i)));
	return n;
}

uint64_t osc_piv_number(const uint8_t *piv, size_t len)
{
	uint64_t number = 0;
	for (size_t i = 0; i < len; i++)
		number = number << 8 | piv[i];
	return number;
}

bool osc_is_outer(uint16_t number)
{
	switch (number) { /* RFC 8613 §4.1, Figure 5; RFC 8768 §4; RFC 9668 §3.1 */
	case COPSE_OPTION_URI_HOST:
	case COPSE_OPTION_URI_PORT:
	case COPSE_OPTION_OSCORE:
	case COPSE_OPTION_HOP_LIMIT:
	case COPSE_OPTION_EDHOC:
	case COPSE_OPTION_PROXY_URI:
	case COPSE_OPTION_PROXY_SCHEME:
	case COPSE_OPTION_PROXY_CRI:
	case COPSE_OPTION_PROXY_SCHEME_NUMBER: return true;
	default: return false;
	}
}
