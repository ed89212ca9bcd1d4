/* What a handler can ask about a request, and what tells one transfer from another.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"
#include "siphash.h"

#include <string.h>

const char *copse_request_segment(const struct copse_request *rq, unsigned i, size_t *len)
{
	const struct copse_option *o = copse_message_option(rq->message, COPSE_OPTION_URI_PATH);
	while (o && i-- > 0)
		o = copse_message_option_next(rq->message, o);
	if (!o)
		return NULL;
	*len = o->len;
	return (const char *)copse_option_value(rq->message, o);
}

size_t copse_request_path(const struct copse_request *rq, char *buf, size_t cap)
{
	const struct copse_message *m = rq->message;
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_URI_PATH);
	size_t len = 0;
	for (; o; o = copse_message_option_next(m, o)) {
		for (size_t i = 0; i <= o->len; i++, len++) {
			if (len + 1 < cap)
				buf[len] = i == 0 ? '/' : (char)copse_option_value(m, o)[i - 1];
		}
	}
	if (cap > 0)
		buf[len < cap ? len : cap - 1] = '\0';
	return len;
}

const char *copse_request_query(const struct copse_request *rq, const char *name, size_t *len)
{
	const struct copse_message *m = rq->message;
	const size_t name_len = srv_text_len(name);
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_URI_QUERY);
	for (; o; o = copse_message_option_next(m, o)) {
		const char *text = (const char *)copse_option_value(m, o);
		if (o->len < name_len || memcmp(text, name, name_len) != 0)
			continue;
		if (o->len == name_len || text[name_len] == '=') {
			const size_t skip = name_len + (o->len > name_len);
			*len = o->len - skip;
			return text + skip;
		}
	}
	return NULL;
}

bool srv_path_is(const struct copse_message *m, const char *path)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_URI_PATH);
	for (; o; o = copse_message_option_next(m, o)) {
		const char *end = path;
		while (*end != '\0' && *end != '/')
			end++;
		if ((size_t)(end - path) != o->len || memcmp(path, copse_option_value(m, o), o->len) != 0)
			return false;
		path = *end == '/' ? end + 1 : end;
	}
	return *path == '\0';
}

copse_method *srv_method_of(const struct copse_resource *resource, uint8_t method)
{
	if (method == COPSE_CODE_GET)
		return resource->get;
	if (method == COPSE_CODE_POST)
		return resource->post;
	if (method == COPSE_CODE_PUT)
		return resource->put;
	if (method == COPSE_CODE_DELETE)
		return resource->delete;
	if (method == COPSE_CODE_FETCH)
		return resource->fetch;
	if (method == COPSE_CODE_PATCH)
		return resource->patch;
	return method == COPSE_CODE_IPATCH ? resource->ipatch : NULL;
}

bool srv_is_cache_key(uint16_t number)
{
	/* RFC 7252 §5.6, without what tells a message of a transfer from the next: the blocks, Observe, and the body's
	 * format, which is compared by itself. */
	switch (number) {
	case COPSE_OPTION_OBSERVE:
	case COPSE_OPTION_BLOCK1:
	case COPSE_OPTION_BLOCK2:
	case COPSE_OPTION_Q_BLOCK1:
	case COPSE_OPTION_Q_BLOCK2:
	case COPSE_OPTION_CONTENT_FORMAT:
	case COPSE_OPTION_ETAG:
	case COPSE_OPTION_NO_RESPONSE: return false;
	default: return !copse_option_is_no_cache_key(number);
	}
}

uint64_t srv_request_key(const struct copse_server *s, const struct copse_peer *peer,
			 const struct copse_message *m)
{
	/* RFC 7959 §2.5, RFC 9175 §3.3: a transfer is known by endpoint, method and cache-key, Request-Tag among it; never
	 * by the token. Each option's digest is the key of the next one's. */
	uint64_t key[2] = {s->config.seed[0], s->config.seed[1] ^ m->code};
	key[0] = core_siphash(key, peer->key, peer->len, 1, 3);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if ((o->mark & COPSE_OPTION_IGNORED) || !srv_is_cache_key(o->number))
			continue;
		key[1] = s->config.seed[1] ^ o->number;
		key[0] = core_siphash(key, copse_option_value(m, o), o->len, 1, 3);
	}
	return key[0];
}
