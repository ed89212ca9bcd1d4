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

/* Digits from behind; returns where they begin. */
static char *digits(char *end, uint64_t value, unsigned least)
{
	while (value || least) {
		*--end = (char)('0' + value % 10);
		value /= 10;
		least -= least > 0;
	}
	return end;
}

void store_buffer_decimal(struct store_buffer *b, bool negative, uint64_t value, unsigned decimals)
{
	char text[48], *at = text + sizeof(text);
	uint64_t power = 1;

	for (unsigned i = 0; i < decimals; i++)
		power *= 10;
	uint64_t fraction = value % power;
	for (; decimals && fraction % 10 == 0; decimals--)
		fraction /= 10;
	if (decimals) {
		at = digits(at, fraction, decimals);
		*--at = '.';
	}
	at = digits(at, value / power, 1);
	if (negative)
		*--at = '-';
	store_buffer_put(b, at, (size_t)(text + sizeof(text) - at));
}

/* What most sensors measure: up to nine digits and six decimals. Returns the decimals, or -1 for another number. */
static int plain_decimals(double number, uint64_t *scaled)
{
	static const double power[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
	double a = fabs(number);

	if (!(a < 1e9) || (a < 1e-4 && a != 0) || (a == 0 && signbit(number)))
		return -1;
	for (int i = 0; i < 7; i++) {
		*scaled = (uint64_t)(a * power[i]);
		/* both are whole numbers that a double has: one division, rounded as reading rounds */
		if ((double)*scaled / power[i] == a)
			return i;
		++*scaled;
		if ((double)*scaled / power[i] == a)
			return i;
	}
	return -1;
}

void store_buffer_number(struct store_buffer *b, double number)
{
	char text[40];
	uint64_t scaled;
	int decimals = plain_decimals(number, &scaled);

	if (decimals >= 0) {
		store_buffer_decimal(b, number < 0, scaled, (unsigned)decimals);
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, number);
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
