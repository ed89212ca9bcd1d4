/* The builder's start with options that were encoded before; apart from builder.c for those who do without.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/message.h>

#include <string.h>

/* An option's delta or length whose nibble is 13 or 14 (RFC 7252 §3.1) goes on in bytes that follow. */
static size_t extended(size_t n, const uint8_t **p)
{
	if (n == 13)
		return 13u + *(*p)++;
	if (n == 14) {
		*p += 2;
		return 269u + (size_t)((*p)[-2] << 8 | (*p)[-1]);
	}
	return n;
}

void copse_build_options(struct copse_builder *b, const void *options, size_t len)
{
	COPSE_ASSERT(b->err != 0 || (b->at == b->options && b->last == 0));
	if (b->err == 0 && len > (size_t)(b->end - b->at)) {
		b->err = COPSE_ERR_NOROOM;
		b->last = UINT16_MAX + 1u; /* closed */
	}
	if (b->err != 0 || len == 0)
		return;
	size_t last = 0;
	const uint8_t *p = options, *end = p + len;
	while (p < end) {
		unsigned head = *p++;
		last += extended(head >> 4, &p);
		const size_t value = extended(head & 15, &p);
		p += value;
	}
	COPSE_ASSERT(p == end && last <= UINT16_MAX);
	memcpy(b->at, options, len);
	b->at += len;
	b->last = (uint32_t)last;
}
