/* What the tests of OSCORE share: bytes from hexadecimal text, and the contexts of RFC 8613 Appendix C.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef OSCORE_BENCH_H
#define OSCORE_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <copse/oscore.h>

struct bytes {
	size_t len;
	uint8_t at[256];
};

static inline struct bytes hex(const char *text)
{
	struct bytes b = {0, {0}};
	for (; text[0] && text[1]; text += 2) {
		const char digits[3] = {text[0], text[1], 0};
		b.at[b.len++] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return b;
}

static inline void same(const char *expected, const void *got, size_t len)
{
	const struct bytes e = hex(expected);
	assert_int_equal(len, e.len);
	assert_memory_equal(got, e.at, len);
}

#define SECRET "0102030405060708090a0b0c0d0e0f10"
#define SALT   "9e7ca92223786340"

/* `id_context` NULL: none */
static inline int make(struct copse_oscore_context *c, const char *salt, const char *id_context,
		       const char *sender, const char *recipient, int aead)
{
	const struct bytes secret = hex(SECRET), s = hex(salt), x = hex(id_context ? id_context : ""),
			   us = hex(sender), them = hex(recipient);
	const struct copse_oscore_params p = {.secret = secret.at,
					      .secret_len = secret.len,
					      .salt = s.at,
					      .salt_len = s.len,
					      .sender_id = us.at,
					      .sender_id_len = us.len,
					      .recipient_id = them.at,
					      .recipient_id_len = them.len,
					      .id_context = id_context ? x.at : NULL,
					      .id_context_len = x.len,
					      .aead = aead};
	return copse_oscore_init(c, &p, &copse_oscore_gnutls);
}

static inline struct copse_message parse(const uint8_t *bytes, size_t len)
{
	struct copse_message m;
	assert_int_equal(copse_message_parse(&m, bytes, len), 0);
	return m;
}

/* The whole protected message: the head and token of `m`, the outer code, the rest. Returns its length or an error. */
static inline int protect(struct copse_oscore_context *c, const struct copse_message *m, unsigned how,
			  struct copse_oscore_binding *b, uint8_t *out, size_t cap)
{
	const size_t head = (size_t)m->token_off + m->token_len;
	uint8_t code = 0;
	memcpy(out, m->bytes, head);
	const int n = copse_oscore_protect(c, m, how, b, out + head, cap - head, &code);
	out[1] = code;
	return n < 0 ? n : n + (int)head;
}

#endif
