/* What a handler says: options go straight into the buffer of the message, the body stays where it is until it is known
 * which part of it leaves.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

/* Kept free for what the server itself may add behind a handler's options: ETag 9, Observe 4, Content-Format 3,
 * Max-Age 5, and blocks. */
#define OWN_OPTIONS (21 + SRV_BLOCK_OPTIONS)

static void begin_options(struct copse_response *rs)
{
	struct copse_server *s = rs->server;
	copse_build_rest(&rs->options, s->out, SRV_REST_LEN(s) - OWN_OPTIONS);
}

void srv_response_init(struct copse_server *s, struct copse_response *rs)
{
	memset(rs, 0, sizeof *rs);
	rs->server = s;
	rs->format = COPSE_FORMAT_NONE;
	rs->max_age = COPSE_MAX_AGE_DEFAULT;
	begin_options(rs);
}

void srv_response_release(struct copse_response *rs)
{
	if (rs->release)
		rs->release(rs->user);
	rs->release = NULL;
}

void srv_response_drop_body(struct copse_response *rs)
{
	srv_response_release(rs);
	rs->bytes = NULL;
	rs->read = NULL;
	rs->kept = false;
	rs->body_len = 0;
	rs->format = COPSE_FORMAT_NONE;
}

void srv_response_clear(struct copse_response *rs)
{
	srv_response_drop_body(rs);
	rs->code = 0;
	rs->con = false;
	rs->max_age = COPSE_MAX_AGE_DEFAULT;
	rs->etag_len = 0;
	begin_options(rs);
}

uint8_t srv_usual_code(uint8_t method)
{
	if (copse_code_is_safe(method))
		return COPSE_CODE_CONTENT;
	return method == COPSE_CODE_DELETE ? COPSE_CODE_DELETED : COPSE_CODE_CHANGED;
}

static void fail(struct copse_response *rs)
{
	if (rs->options.err == 0)
		rs->options.err = COPSE_ERR_NOROOM;
}

uint8_t *copse_response_room(struct copse_response *rs, size_t *cap)
{
	srv_response_drop_body(rs);
	*cap = rs->server->config.scratch_len;
	return rs->server->scratch;
}

void copse_response_commit(struct copse_response *rs, uint32_t format, size_t len)
{
	if (len > rs->server->config.scratch_len) {
		fail(rs);
		return;
	}
	rs->bytes = rs->server->scratch;
	rs->body_len = (uint32_t)len;
	rs->format = format;
}

void copse_response_copy(struct copse_response *rs, uint32_t format, const void *bytes, size_t len)
{
	size_t cap;
	uint8_t *room = copse_response_room(rs, &cap);
	if (len > 0 && len <= cap)
		memmove(room, bytes, len); /* it may be what stands there already */
	copse_response_commit(rs, format, len);
}

void copse_response_text(struct copse_response *rs, const char *text)
{
	copse_response_copy(rs, COPSE_FORMAT_TEXT, text, srv_text_len(text));
}

void copse_response_view(struct copse_response *rs, uint32_t format, const void *bytes, size_t len)
{
	srv_response_drop_body(rs);
	if (len > COPSE_BLOCK_BODY_MAX) {
		fail(rs);
		return;
	}
	rs->bytes = bytes;
	rs->body_len = (uint32_t)len;
	rs->format = format;
	rs->kept = true;
}

void copse_response_reader(struct copse_response *rs, uint32_t format, uint32_t len, copse_body_read *read,
			   void (*release)(void *user), void *user)
{
	srv_response_drop_body(rs);
	rs->read = read;
	rs->release = release;
	rs->user = user;
	rs->body_len = len;
	rs->format = format;
}

void copse_response_etag(struct copse_response *rs, const void *etag, size_t len)
{
	COPSE_ASSERT(len >= 1 && len <= COPSE_ETAG_MAX);
	memcpy(rs->etag, etag, len);
	rs->etag_len = (uint8_t)len;
}

void copse_response_option(struct copse_response *rs, uint16_t number, const void *value, size_t len)
{
	copse_build_option(&rs->options, number, value, len);
}

void copse_response_option_text(struct copse_response *rs, uint16_t number, const char *value)
{
	copse_build_option(&rs->options, number, value, srv_text_len(value));
}

void copse_response_option_uint(struct copse_response *rs, uint16_t number, uint32_t value)
{
	copse_build_uint(&rs->options, number, value);
}

void copse_response_error(struct copse_response *rs, uint8_t code, const char *diagnostic)
{
	srv_response_clear(rs);
	rs->code = code;
	if (!diagnostic)
		return;
	copse_response_copy(rs, COPSE_FORMAT_NONE, diagnostic, srv_text_len(diagnostic));
}

void copse_response_too_many(struct copse_response *rs, uint32_t seconds)
{
	srv_response_clear(rs);
	rs->code = COPSE_CODE_TOO_MANY_REQUESTS;
	rs->max_age = seconds; /* RFC 8516 §3 */
}
