/* Messages of OSCORE: a plain one made into a protected one (RFC 8613 §8.1, §8.3) and back (§8.2, §8.4).
 *
 * The plaintext is a code, options and payload; put behind three bytes of a header it is a message that the parser reads.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "codec.h"

#include <string.h>

#define HEAD 3u /* of a header, the code and the ID: bytes in front of the plaintext while it is parsed */

/* ---- protecting ---- */

static void put_outer(struct copse_builder *b, const struct copse_message *m,
		      const struct copse_oscore_option *option)
{
	uint8_t value[OSC_OPTION_MAX];
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		/* §4.1.3.5: Observe stands outside as well, for the proxies between. */
		const bool observe = o->number == COPSE_OPTION_OBSERVE;
		if (o->number != COPSE_OPTION_OSCORE && (osc_is_outer(o->number) || observe))
			copse_build_raw(b, o->number, copse_option_value(m, o), o->len);
	}
	copse_build_raw(b, COPSE_OPTION_OSCORE, value, osc_option_put(value, option));
}

/* The plaintext (§5.3), into `out`; returns its length or an error. */
static int put_plain(const struct copse_message *m, uint8_t *out, size_t cap)
{
	struct copse_builder b;
	if (cap < 1)
		return COPSE_ERR_NOROOM;
	out[0] = m->code;
	copse_build_rest(&b, out + 1, cap - 1);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		const bool response = !copse_code_is_request(m->code);
		if (osc_is_outer(o->number))
			continue;
		/* §4.1.3.5.2: in a response the inner Observe is empty; the Partial IV tells the order. */
		const size_t len = o->number == COPSE_OPTION_OBSERVE && response ? 0 : o->len;
		copse_build_raw(&b, o->number, copse_option_value(m, o), len);
	}
	copse_build_payload(&b, copse_message_payload(m), m->payload_len);
	const int n = copse_build_finish(&b);
	return n < 0 ? n : n + 1;
}

/* §4.2 */
static uint8_t outer_code(const struct copse_message *m)
{
	const bool observe = copse_message_option(m, COPSE_OPTION_OBSERVE) != NULL;
	if (copse_code_is_request(m->code))
		return observe ? COPSE_CODE_FETCH : COPSE_CODE_POST;
	return observe ? COPSE_CODE_CONTENT : COPSE_CODE_CHANGED;
}

/* Take a number of ours, where one is needed, and make the nonce of it, or of the request's (§5.2, §8.3). */
static int number_it(struct copse_oscore_context *c, const struct copse_message *m, unsigned how,
		     struct copse_oscore_binding *b, struct copse_oscore_option *option,
		     uint8_t piv[COPSE_OSCORE_PIV_MAX], uint8_t nonce[COPSE_OSCORE_NONCE_MAX])
{
	const bool request = !(how & COPSE_OSCORE_RESPONSE);
	const bool fresh = request || (how & COPSE_OSCORE_FRESH) || b->answered ||
			   copse_message_option(m, COPSE_OPTION_OBSERVE);
	uint64_t number;
	if (!fresh) { /* the request's nonce serves for one response */
		osc_nonce(nonce, c->sizes.nonce, c->common_iv, b->kid, b->kid_len, b->piv, b->piv_len);
		return 0;
	}
	if (!osc_next(c, &number))
		return COPSE_ERR_EXHAUSTED;
	option->piv = piv;
	option->piv_len = (uint8_t)osc_piv_put(piv, number);
	osc_nonce(nonce, c->sizes.nonce, c->common_iv, c->sender_id, c->sender_id_len, piv, option->piv_len);
	return 0;
}

static void bind_request(const struct copse_oscore_context *c, const struct copse_message *m,
			 struct copse_oscore_option *option, struct copse_oscore_binding *b)
{
	memset(b, 0, sizeof *b);
	b->kid_len = c->sender_id_len;
	memcpy(b->kid, c->sender_id, c->sender_id_len);
	b->piv_len = option->piv_len;
	memcpy(b->piv, option->piv, option->piv_len);
	b->observe = copse_message_uint(m, COPSE_OPTION_OBSERVE, 1) == 0;
	option->has_kid = true; /* §5: a request names its sender */
	option->kid = c->sender_id;
	option->kid_len = c->sender_id_len;
	option->has_kid_context = c->has_id_context;
	option->kid_context = c->id_context;
	option->kid_context_len = c->id_context_len;
}

int copse_oscore_protect(struct copse_oscore_context *context, const struct copse_message *m, unsigned how,
			 struct copse_oscore_binding *binding, uint8_t *out, size_t cap, uint8_t *code)
{
	struct copse_oscore_option option = {0};
	uint8_t piv[COPSE_OSCORE_PIV_MAX], nonce[COPSE_OSCORE_NONCE_MAX], aad[OSC_AAD_MAX];
	const size_t tag = context->sizes.tag;
	struct copse_builder b;
	size_t room;
	if (copse_message_option(m, COPSE_OPTION_PROXY_URI))
		return COPSE_ERR_ARGUMENT;
	if (cap < (size_t)m->len + COPSE_OSCORE_OVERHEAD) /* before a number is lost to it */
		return COPSE_ERR_NOROOM;
	const int err = number_it(context, m, how, binding, &option, piv, nonce);
	if (err)
		return err;
	if (!(how & COPSE_OSCORE_RESPONSE))
		bind_request(context, m, &option, binding);
	copse_build_rest(&b, out, cap);
	put_outer(&b, m, &option);
	uint8_t *text = copse_build_payload_room(&b, &room);
	const int n = text && room > tag ? put_plain(m, text, room - tag) : COPSE_ERR_NOROOM;
	if (n < 0)
		return n;
	if (!context->crypto->seal(context->aead, context->sender_key, nonce, aad,
				   osc_aad(aad, context->aead, binding), text, (size_t)n))
		return COPSE_ERR_EXHAUSTED;
	if (how & COPSE_OSCORE_RESPONSE)
		binding->answered = true;
	copse_build_payload_commit(&b, (size_t)n + tag);
	*code = outer_code(m);
	return copse_build_finish(&b);
}

/* ---- taking apart ---- */

/* Decrypt the payload of `m` at the end of `out` and parse it as a message of its own. `out` is long enough that the plain
 * message, which is built at its beginning, does not reach there. */
static int open_inner(const struct copse_oscore_context *c, const struct copse_message *m,
		      const struct copse_oscore_binding *b, const uint8_t *nonce, uint8_t *out, size_t cap,
		      struct copse_message *inner)
{
	uint8_t aad[OSC_AAD_MAX];
	const size_t len = m->payload_len, tag = c->sizes.tag;
	if (len <= tag)
		return COPSE_ERR_SEALED;
	uint8_t *text = out + cap - len, *head = text - HEAD;
	memcpy(text, copse_message_payload(m), len);
	if (!c->crypto->open(c->aead, c->recipient_key, nonce, aad, osc_aad(aad, c->aead, b), text, len))
		return COPSE_ERR_SEALED;
	/* A header in front: the code is the plaintext's first byte, which makes room for the second of the ID. */
	const uint8_t code = text[0];
	head[0] = COPSE_VERSION << 6;
	head[1] = code;
	head[2] = head[3] = 0;
	if (copse_message_parse(inner, head, HEAD + len - tag) != 0)
		return COPSE_ERR_SEALED;
	const bool request = copse_code_is_request(m->code);
	if (code == COPSE_CODE_EMPTY || copse_code_is_request(code) != request)
		return COPSE_ERR_SEALED;
	return 0;
}

/* The plain message: outer options of class U, the inner ones of class E, code and payload from inside (§8.2, §8.4). */
static int put_message(const struct copse_message *m, const struct copse_message *inner, bool observe,
		       uint32_t sequence, uint8_t *out)
{
	struct copse_builder b;
	const size_t cap = (size_t)(inner->bytes - out);
	if (m->option_n + inner->option_n > COPSE_MESSAGE_OPTIONS) /* the plain one is to be read as well */
		return COPSE_ERR_OPTIONS;
	copse_build_message(&b, out, cap, (enum copse_type)m->type, inner->code, m->id,
			    copse_message_token(m), m->token_len);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (o->number != COPSE_OPTION_OSCORE && osc_is_outer(o->number))
			copse_build_raw(&b, o->number, copse_option_value(m, o), o->len);
	}
	for (unsigned i = 0; i < inner->option_n; i++) {
		const struct copse_option *o = &inner->option[i];
		if (osc_is_outer(o->number) || o->number == COPSE_OPTION_OBSERVE)
			continue;
		copse_build_raw(&b, o->number, copse_option_value(inner, o), o->len);
	}
	if (observe)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, sequence);
	copse_build_payload(&b, copse_message_payload(inner), inner->payload_len);
	return copse_build_finish(&b);
}

static int read_option(const struct copse_message *m, struct copse_oscore_option *option, size_t cap)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_OSCORE);
	if (!o)
		return COPSE_ERR_CONTEXT;
	if (cap < COPSE_OSCORE_ROOM((size_t)m->len))
		return COPSE_ERR_NOROOM;
	if (m->payload_len == 0) /* §2: without a payload it is malformed */
		return COPSE_ERR_BADOPTION;
	return copse_oscore_option_parse(option, copse_option_value(m, o), o->len) ? COPSE_ERR_BADOPTION : 0;
}

static bool is_for(const struct copse_oscore_context *c, const struct copse_oscore_option *o)
{
	if (o->kid_len != c->recipient_id_len ||
	    (o->kid_len > 0 && memcmp(o->kid, c->recipient_id, o->kid_len) != 0))
		return false;
	if (!o->has_kid_context) /* §5.1: it may be left out where it is known */
		return true;
	return c->has_id_context && o->kid_context_len == c->id_context_len &&
	       (o->kid_context_len == 0 || memcmp(o->kid_context, c->id_context, o->kid_context_len) == 0);
}

/* Appendix B.1.2: a request with the Echo value that was given is newer than all that came before the restart. */
static bool is_synced(struct copse_oscore_context *c, const struct copse_message *inner, uint64_t number)
{
	const struct copse_option *o = copse_message_option(inner, COPSE_OPTION_ECHO);
	if (c->synced)
		return true;
	uint8_t different = !c->has_echo || !o || o->len != COPSE_OSCORE_ECHO_LEN;
	for (unsigned i = 0; !different && i < COPSE_OSCORE_ECHO_LEN; i++)
		different |= (uint8_t)(c->echo[i] ^ copse_option_value(inner, o)[i]);
	if (different)
		return false;
	c->synced = true;
	c->has_echo = false;
	c->top = number;
	c->seen = UINT64_MAX; /* what is older counts as received */
	return true;
}

int copse_oscore_unprotect_request(struct copse_oscore_context *context, const struct copse_message *m,
				   struct copse_oscore_binding *binding, uint8_t *out, size_t cap)
{
	struct copse_oscore_option o;
	struct copse_message inner;
	uint8_t nonce[COPSE_OSCORE_NONCE_MAX];
	int err = read_option(m, &o, cap);
	if (err)
		return err;
	if (!o.has_kid || o.piv_len == 0) /* §5: both are in every request */
		return COPSE_ERR_BADOPTION;
	if (!is_for(context, &o))
		return COPSE_ERR_CONTEXT;
	const uint64_t number = osc_piv_number(o.piv, o.piv_len);
	if (context->synced && !osc_window_has_room(context, number))
		return COPSE_ERR_REPLAY;
	memset(binding, 0, sizeof *binding);
	binding->kid_len = o.kid_len;
	memcpy(binding->kid, context->recipient_id, o.kid_len);
	binding->piv_len = o.piv_len;
	memcpy(binding->piv, o.piv, o.piv_len);
	osc_nonce(nonce, context->sizes.nonce, context->common_iv, binding->kid, binding->kid_len, o.piv,
		  o.piv_len);
	err = open_inner(context, m, binding, nonce, out, cap, &inner);
	if (err)
		return err;
	if (!is_synced(context, &inner, number)) {
		binding->answered = true; /* the challenge, too, has a number of its own */
		return COPSE_ERR_STALE;
	}
	osc_window_take(context, number);
	/* §4.1.3.5.1: a proxy that does not observe has taken the outer one away, and would not pass on notifications. */
	const uint32_t observe = copse_message_uint(&inner, COPSE_OPTION_OBSERVE, UINT32_MAX);
	const bool both =
	    observe != UINT32_MAX && observe == copse_message_uint(m, COPSE_OPTION_OBSERVE, UINT32_MAX);
	binding->observe = both && observe == 0;
	return put_message(m, &inner, both, observe, out);
}

/* §8.4, and §4.1.3.5.2: of what is observed only what is newer counts. */
static bool is_newer(const struct copse_oscore_binding *b, const struct copse_oscore_option *o)
{
	if (!b->observe)
		return true;
	if (o->piv_len == 0) /* the first may go without */
		return !b->has_number && !b->answered;
	return !b->has_number || osc_piv_number(o->piv, o->piv_len) > b->number;
}

int copse_oscore_unprotect_response(struct copse_oscore_context *context, const struct copse_message *m,
				    struct copse_oscore_binding *binding, uint8_t *out, size_t cap)
{
	struct copse_oscore_option o;
	struct copse_message inner;
	uint8_t nonce[COPSE_OSCORE_NONCE_MAX];
	int err = read_option(m, &o, cap);
	if (err)
		return err;
	if (o.has_kid && !is_for(context, &o))
		return COPSE_ERR_CONTEXT;
	if (!is_newer(binding, &o))
		return COPSE_ERR_REPLAY;
	if (o.piv_len > 0)
		osc_nonce(nonce, context->sizes.nonce, context->common_iv, context->recipient_id,
			  context->recipient_id_len, o.piv, o.piv_len);
	else
		osc_nonce(nonce, context->sizes.nonce, context->common_iv, binding->kid, binding->kid_len,
			  binding->piv, binding->piv_len);
	err = open_inner(context, m, binding, nonce, out, cap, &inner);
	if (err)
		return err;
	const bool observe = copse_message_option(&inner, COPSE_OPTION_OBSERVE) != NULL;
	binding->answered = true;
	if (o.piv_len > 0) {
		binding->has_number = true;
		binding->number = osc_piv_number(o.piv, o.piv_len);
	}
	return put_message(m, &inner, observe, (uint32_t)binding->number & 0xffffffu, out);
}
