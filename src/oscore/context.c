/* Security contexts: derivation (RFC 8613 §3.2), sequence numbers (§7.2.1, Appendix B.1.1) and the window of those that have
 * come (§7.4).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "codec.h"

#include <string.h>

#define WINDOW_DEFAULT 32u
#define WINDOW_MAX     64u

static bool derive(const struct copse_oscore_context *c, const struct copse_oscore_params *p,
		   const uint8_t *id, size_t id_len, const char *type, uint8_t *out, size_t len)
{
	uint8_t info[OSC_INFO_MAX];
	const size_t n =
	    osc_info(info, id, id_len, p->id_context, p->id_context_len, c->aead, type, len);
	return c->crypto->derive(p->hkdf ? p->hkdf : COPSE_OSCORE_HKDF_SHA_256, p->salt, p->salt_len,
				 p->secret, p->secret_len, info, n, out, len);
}

static bool is_in_range(const struct copse_oscore_context *c, const struct copse_oscore_params *p)
{
	const size_t id_max = c->sizes.nonce - 6u; /* §3.3 */
	if (p->secret_len == 0 || p->sender_id_len > id_max || p->recipient_id_len > id_max ||
	    p->window > WINDOW_MAX)
		return false;
	if (p->id_context && p->id_context_len > COPSE_OSCORE_CONTEXT_MAX)
		return false;
	/* §3.3: the nonces of the two must differ. */
	return p->sender_id_len != p->recipient_id_len ||
	       (p->sender_id_len > 0 && memcmp(p->sender_id, p->recipient_id, p->sender_id_len) != 0);
}

static void keep(uint8_t *to, uint8_t *to_len, const uint8_t *from, size_t len)
{
	if (len > 0)
		memcpy(to, from, len);
	*to_len = (uint8_t)len;
}

int copse_oscore_init(struct copse_oscore_context *context, const struct copse_oscore_params *params,
		      const struct copse_oscore_crypto *crypto)
{
	struct copse_oscore_context *c = context;
	memset(c, 0, sizeof *c);
	c->crypto = crypto;
	c->aead = params->aead ? params->aead : COPSE_OSCORE_AES_CCM_16_64_128;
	if (!crypto->sizes(c->aead, &c->sizes) || c->sizes.key > COPSE_OSCORE_KEY_MAX ||
	    c->sizes.nonce > COPSE_OSCORE_NONCE_MAX || c->sizes.nonce < 7 ||
	    c->sizes.tag > COPSE_OSCORE_TAG_MAX || !is_in_range(c, params))
		return COPSE_ERR_ARGUMENT;
	keep(c->sender_id, &c->sender_id_len, params->sender_id, params->sender_id_len);
	keep(c->recipient_id, &c->recipient_id_len, params->recipient_id, params->recipient_id_len);
	c->has_id_context = params->id_context != NULL;
	if (c->has_id_context)
		keep(c->id_context, &c->id_context_len, params->id_context, params->id_context_len);
	if (!derive(c, params, c->sender_id, c->sender_id_len, "Key", c->sender_key, c->sizes.key) ||
	    !derive(c, params, c->recipient_id, c->recipient_id_len, "Key", c->recipient_key, c->sizes.key) ||
	    !derive(c, params, NULL, 0, "IV", c->common_iv, c->sizes.nonce)) {
		copse_oscore_wipe(c);
		return COPSE_ERR_ARGUMENT;
	}
	c->window = params->window ? params->window : WINDOW_DEFAULT;
	c->reserved = COPSE_OSCORE_SEQUENCE_MAX + 1;
	c->synced = true;
	return 0;
}

void copse_oscore_wipe(struct copse_oscore_context *context)
{
	volatile uint8_t *at = (volatile uint8_t *)context;
	for (size_t i = 0; i < sizeof *context; i++)
		at[i] = 0;
}

/* ---- numbers that we send under ---- */

void copse_oscore_sequence(struct copse_oscore_context *context, uint64_t sequence,
			   bool (*reserve)(void *self, uint64_t from, uint64_t *upto), void *self)
{
	context->sequence = sequence;
	context->reserve = reserve;
	context->reserve_self = self;
	context->reserved = reserve ? sequence : COPSE_OSCORE_SEQUENCE_MAX + 1;
}

bool osc_next(struct copse_oscore_context *c, uint64_t *number)
{
	/* §7.2.1: a number is never used twice; who has none left sends nothing. */
	if (c->sequence > COPSE_OSCORE_SEQUENCE_MAX)
		return false;
	if (c->sequence >= c->reserved) { /* Appendix B.1.1: kept safe before it is used */
		uint64_t upto = c->sequence;
		if (!c->reserve || !c->reserve(c->reserve_self, c->sequence, &upto) || upto <= c->sequence)
			return false;
		c->reserved = upto;
	}
	*number = c->sequence++;
	return true;
}

/* ---- numbers that have come ---- */

void copse_oscore_lost_window(struct copse_oscore_context *context)
{
	context->synced = false;
	context->has_echo = false;
	context->top = context->seen = 0;
}

bool copse_oscore_window(const struct copse_oscore_context *context, uint64_t *top, uint64_t *seen)
{
	*top = context->top;
	*seen = context->seen;
	return context->synced;
}

void copse_oscore_restore_window(struct copse_oscore_context *context, uint64_t top, uint64_t seen)
{
	context->synced = true;
	context->has_echo = false;
	context->top = top;
	context->seen = seen;
}

bool osc_window_has_room(const struct copse_oscore_context *c, uint64_t number)
{
	if (number >= c->top)
		return true;
	const uint64_t back = c->top - 1 - number;
	return back < c->window && !(c->seen >> back & 1);
}

void osc_window_take(struct copse_oscore_context *c, uint64_t number)
{
	if (number >= c->top) {
		const uint64_t step = number - c->top + 1;
		c->seen = step < 64 ? c->seen << step : 0;
		c->top = number + 1;
	}
	c->seen |= UINT64_C(1) << (c->top - 1 - number);
}

const uint8_t *copse_oscore_echo(struct copse_oscore_context *context)
{
	if (!context->has_echo)
		context->has_echo = context->crypto->random(context->echo, sizeof context->echo);
	return context->has_echo ? context->echo : NULL;
}
