/* What is sent: a body through its window, and header and options in front of it.
 *
 * Invariant: nothing is written beyond COPSE_SMALL_MESSAGE bytes, and nothing of the head into the body.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

void copse_small_put(struct copse_small_out *out, const void *data, size_t len)
{
	const uint8_t *from = data;
	for (; len > 0; len--, from++) {
		uint32_t at = out->total++ - out->offset; /* before the window: larger than any room */
		if (at < out->room)
			out->bytes[COPSE_SMALL_HEAD + at] = *from;
	}
}

static const uint8_t numbers[COPSE_SMALL_FIELDS] = {
    [COPSE_SMALL_ETAG] = COPSE_OPTION_ETAG,
    [COPSE_SMALL_OBSERVE] = COPSE_OPTION_OBSERVE,
    [COPSE_SMALL_LOCATION_PATH] = COPSE_OPTION_LOCATION_PATH,
    [COPSE_SMALL_URI_PATH] = COPSE_OPTION_URI_PATH,
    [COPSE_SMALL_FORMAT] = COPSE_OPTION_CONTENT_FORMAT,
    [COPSE_SMALL_MAX_AGE] = COPSE_OPTION_MAX_AGE,
    [COPSE_SMALL_URI_QUERY] = COPSE_OPTION_URI_QUERY,
    [COPSE_SMALL_ACCEPT] = COPSE_OPTION_ACCEPT,
    [COPSE_SMALL_LOCATION_QUERY] = COPSE_OPTION_LOCATION_QUERY,
    [COPSE_SMALL_BLOCK2] = COPSE_OPTION_BLOCK2,
    [COPSE_SMALL_BLOCK1] = COPSE_OPTION_BLOCK1,
};

#define PATHS   (1u << COPSE_SMALL_LOCATION_PATH | 1u << COPSE_SMALL_URI_PATH)
#define QUERIES (1u << COPSE_SMALL_LOCATION_QUERY | 1u << COPSE_SMALL_URI_QUERY)

struct writer {
	uint8_t *at, *end;
	unsigned last; /* number of the option before */
};

static void put_option(struct writer *w, unsigned number, const void *value, size_t len)
{
	uint8_t *p = w->at;
	unsigned delta = number - w->last; /* below 28, and `len` at most what stands in a path of ours */
	COPSE_ASSERT(len < (size_t)(w->end - p) - 3);
	*p++ = (uint8_t)((delta < 13 ? delta : 13) << 4 | (len < 13 ? len : 13));
	if (delta >= 13)
		*p++ = (uint8_t)(delta - 13);
	if (len >= 13)
		*p++ = (uint8_t)(len - 13);
	memcpy(p, value, len);
	w->at = p + len;
	w->last = number;
}

/* One option for each piece of `text` up to `stop`; returns what follows. */
static const char *put_pieces(struct writer *w, unsigned number, const char *text, char separator)
{
	while (*text && *text != '?') {
		const char *from = text;
		while (*text && *text != '?' && *text != separator)
			text++;
		put_option(w, number, from, (size_t)(text - from));
		if (*text == separator)
			text++;
	}
	return *text ? text + 1 : text;
}

static void put_uint(struct writer *w, unsigned number, uint32_t n)
{
	uint8_t value[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	unsigned skip = 0;
	while (skip < 4 && value[skip] == 0)
		skip++;
	put_option(w, number, value + skip, 4 - skip);
}

size_t small_empty(uint8_t *out, unsigned type, uint16_t id)
{
	out[0] = (uint8_t)(0x40 | type << 4);
	out[1] = COPSE_CODE_EMPTY;
	out[2] = (uint8_t)(id >> 8);
	out[3] = (uint8_t)id;
	return 4;
}

size_t small_encode(struct copse_small_out *out, unsigned type, unsigned code, uint16_t id,
		    const uint8_t *token, unsigned token_len)
{
	uint8_t *p = out->bytes;
	size_t body = out->total > out->offset ? out->total - out->offset : 0;
	if (body > out->room)
		body = out->room;
	small_empty(p, type, id);
	p[0] = (uint8_t)(p[0] | token_len);
	p[1] = (uint8_t)code;
	memcpy(p + 4, token, token_len);
	struct writer w = {p + 4 + token_len, p + (body ? COPSE_SMALL_HEAD : COPSE_SMALL_MESSAGE), 0};
	const char *text = out->path;
	for (unsigned i = 0; i < COPSE_SMALL_FIELDS; i++) {
		unsigned bit = out->set & 1u << i;
		if (bit & PATHS)
			text = put_pieces(&w, numbers[i], text, '/');
		else if (bit & QUERIES)
			text = put_pieces(&w, numbers[i], text, '&');
		else if (bit)
			put_uint(&w, numbers[i], out->value[i]);
	}
	if (body > 0) {
		*w.at++ = 0xff;
		memmove(w.at, p + COPSE_SMALL_HEAD, body);
	}
	return (size_t)(w.at - p) + body;
}
