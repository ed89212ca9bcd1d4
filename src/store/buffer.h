/* A growing text or body with a bound. An error sticks: after it nothing is appended any more.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_BUFFER_H
#define STORE_BUFFER_H

#include <copse/types.h>

struct store_buffer {
	uint8_t *at;
	size_t len, cap, max;
	bool failed; /* longer than `max`, or no memory */
};

void store_buffer_put(struct store_buffer *b, const void *bytes, size_t len);
void store_buffer_text(struct store_buffer *b, const char *text);
void store_buffer_format(struct store_buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A number in as few digits as give the same number again when read: as JSON, XML and CSV write it. */
void store_buffer_number(struct store_buffer *b, double number);

/* `value` with its last `decimals` digits behind a point, without zeros at the end. */
void store_buffer_decimal(struct store_buffer *b, bool negative, uint64_t value, unsigned decimals);

/* Room for `len` more bytes, or NULL; then say how many have been written. */
uint8_t *store_buffer_room(struct store_buffer *b, size_t len);
void store_buffer_commit(struct store_buffer *b, size_t len);

void store_buffer_free(struct store_buffer *b);

#endif
