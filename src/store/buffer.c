/* See buffer.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "buffer.h"

#include <copse/mem.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t *store_buffer_room(struct store_buffer *b, size_t len)
{
	if (b->failed || len > b->max || b->len > b->max - len) {
		b->failed = true;
		return NULL;
	}
	if (b->len + len > b->cap) {
		size_t cap = b->cap ? b->cap : 256;
		while (cap < b->len + len)
			cap *= 2;
		uint8_t *at = copse_mem_new(cap, 1);
		if (!at) {
			b->failed = true;
			return NULL;
		}
		if (b->len)
			memcpy(at, b->at, b->len);
		copse_mem_free(b->at);
		b->at = at;
		b->cap = cap;
	}
	return b->at + b->len;
}

void store_buffer_commit(struct store_buffer *b, size_t len)
{
	COPSE_ASSERT(len <= b->cap - b->len);
	b->len += len;
}

void store_buffer_put(struct store_buffer *b, const void *bytes, size_t len)
{
	uint8_t *room = len ? store_buffer_room(b, len) : NULL;

	if (room) {
		memcpy(room, bytes, len);
		b->len += len;
	}
}

void store_buffer_text(struct store_buffer *b, const char *text)
{
	store_buffer_put(b, text, strlen(text));
}

void store_buffer_format(struct store_buffer *b, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	COPSE_ASSERT(len >= 0 && (size_t)len < sizeof(text));
	store_buffer_put(b, text, (size_t)len);
}

void store_buffer_number(struct store_buffer *b, double number)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	store_buffer_text(b, text);
}

void store_buffer_free(struct store_buffer *b)
{
	copse_mem_free(b->at);
	*b = (struct store_buffer){.max = b->max};
}
