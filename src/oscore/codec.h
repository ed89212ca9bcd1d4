/* The encodings of OSCORE: the compressed COSE object (RFC 8613 §6), what is authenticated (§5.4), nonces (§5.2), and what
 * keys are derived for (§3.2.1). All of them write bounded pieces into buffers of the sizes below.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef OSCORE_CODEC_H
#define OSCORE_CODEC_H

#include <copse/oscore.h>

#define OSC_OPTION_MAX (1 + COPSE_OSCORE_PIV_MAX + 1 + COPSE_OSCORE_CONTEXT_MAX + COPSE_OSCORE_ID_MAX)
#define OSC_INFO_MAX   (1 + (1 + COPSE_OSCORE_ID_MAX) + (2 + COPSE_OSCORE_CONTEXT_MAX) + 2 + 4 + 2)
#define OSC_AAD_MAX    64

/* Each returns the length written. */
size_t osc_option_put(uint8_t out[OSC_OPTION_MAX], const struct copse_oscore_option *o);
size_t osc_info(uint8_t out[OSC_INFO_MAX], const uint8_t *id, size_t id_len, const uint8_t *id_context,
		size_t id_context_len, int aead, const char *type, size_t len);
size_t osc_aad(uint8_t out[OSC_AAD_MAX], int aead, const struct copse_oscore_binding *b);

void osc_nonce(uint8_t *out, size_t len, const uint8_t *common_iv, const uint8_t *id, size_t id_len,
	       const uint8_t *piv, size_t piv_len);

/* A Partial IV and its number; at least one byte (§5). */
size_t osc_piv_put(uint8_t out[COPSE_OSCORE_PIV_MAX], uint64_t number);
uint64_t osc_piv_number(const uint8_t *piv, size_t len);

/* Whether an option of the plain message travels outside (class U, §4.1). */
bool osc_is_outer(uint16_t number);

/* context.c: whether `number` may be taken, and that it was taken (§7.4). */
bool osc_window_has_room(const struct copse_oscore_context *c, uint64_t number);
void osc_window_take(struct copse_oscore_context *c, uint64_t number);
/* The next number to send under; returns false when there is none. */
bool osc_next(struct copse_oscore_context *c, uint64_t *number);

#endif
