/* Any bytes as a protected message, and as what a protected message holds: nothing leaves its bounds, and what the plain
 * message says comes out again. The cryptography is a stand-in, so that the fuzzer gets past it: the key stream is
 * zero, the tag a sum.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/oscore.h>

#include "message_check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool sizes(int aead, struct copse_oscore_sizes *s)
{
	*s = (struct copse_oscore_sizes){16, 13, 8};
	return aead == COPSE_OSCORE_AES_CCM_16_64_128;
}

static bool derive(int hkdf, const uint8_t *salt, size_t salt_len, const uint8_t *secret, size_t secret_len,
		   const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len)
{
	(void)salt, (void)salt_len, (void)secret, (void)secret_len, (void)info, (void)info_len;
	memset(out, 1, out_len);
	return hkdf == COPSE_OSCORE_HKDF_SHA_256;
}

static bool seal(int aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		 uint8_t *text, size_t len)
{
	(void)aead, (void)key, (void)nonce, (void)aad, (void)aad_len;
	memset(text + len, 0, 8);
	return true;
}

static bool open_sealed(int aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad,
			size_t aad_len, uint8_t *text, size_t len)
{
	(void)aead, (void)key, (void)nonce, (void)aad, (void)aad_len, (void)text;
	return len >= 8;
}

static bool draw(uint8_t *out, size_t len)
{
	memset(out, 7, len);
	return true;
}

static const struct copse_oscore_crypto crypto = {sizes, derive, seal, open_sealed, draw};

static struct copse_oscore_context context(const char *us, const char *them)
{
	struct copse_oscore_context c;
	const struct copse_oscore_params p = {.secret = (const uint8_t *)"s",
					      .secret_len = 1,
					      .sender_id = (const uint8_t *)us,
					      .sender_id_len = strlen(us),
					      .recipient_id = (const uint8_t *)them,
					      .recipient_id_len = strlen(them)};
	MESSAGE_CHECK(copse_oscore_init(&c, &p, &crypto) == 0);
	return c;
}

static void taken(const struct copse_message *m, uint8_t *out, size_t cap)
{
	struct copse_oscore_context c = context("b", "");
	struct copse_oscore_binding binding = {.piv_len = 1, .observe = true};
	struct copse_message plain;
	const int n = copse_code_is_request(m->code)
			  ? copse_oscore_unprotect_request(&c, m, &binding, out, cap)
			  : copse_oscore_unprotect_response(&c, m, &binding, out, cap);
	if (n > 0) {
		MESSAGE_CHECK(copse_message_parse(&plain, out, (size_t)n) == 0);
		MESSAGE_CHECK(!copse_message_option(&plain, COPSE_OPTION_OSCORE));
	}
}

/* What is protected comes out again: code and payload, and that it can be taken apart at all. */
static void there_and_back(const struct copse_message *m, uint8_t *out, uint8_t *back, size_t cap)
{
	struct copse_oscore_context a = context("", "b"), b = context("b", "");
	struct copse_oscore_binding binding;
	struct copse_message sealed, plain;
	const size_t head = (size_t)m->token_off + m->token_len;
	uint8_t code;
	if (!copse_code_is_request(m->code))
		return;
	const int n =
	    copse_oscore_protect(&a, m, COPSE_OSCORE_REQUEST, &binding, out + head, cap - head, &code);
	if (n < 0)
		return;
	memcpy(out, m->bytes, head);
	out[1] = code;
	if (copse_message_parse(&sealed, out, head + (size_t)n) != 0)
		return; /* one option more than can be indexed */
	const int len = copse_oscore_unprotect_request(&b, &sealed, &binding, back, cap);
	if (len < 0)
		return;
	MESSAGE_CHECK(copse_message_parse(&plain, back, (size_t)len) == 0);
	MESSAGE_CHECK(plain.code == m->code && plain.payload_len == m->payload_len);
	MESSAGE_CHECK(m->payload_len == 0 || memcmp(copse_message_payload(&plain), copse_message_payload(m),
						    m->payload_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t out[2 * COPSE_DATAGRAM_MAX + 64], back[2 * COPSE_DATAGRAM_MAX + 64];
	struct copse_message m;
	if (len > 4096 || copse_message_parse(&m, data, len) != 0 || m.code == COPSE_CODE_EMPTY)
		return 0;
	taken(&m, out, sizeof out);
	taken(&m, out, COPSE_OSCORE_ROOM(len));
	there_and_back(&m, out, back, sizeof out);
	return 0;
}
