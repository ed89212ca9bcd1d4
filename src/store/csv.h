/* Readings as CSV (RFC 4180): time (RFC 3339, UTC), device, name, value, unit, sum. Numbers stand as they are, texts in
 * quotation marks, data in base64url.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_CSV_H
#define STORE_CSV_H

#include "buffer.h"
#include "store.h"

void store_csv_head(struct store_buffer *out);
void store_csv_reading(struct store_buffer *out, const struct store_reading *r);

/* The parts, for what is no CSV: a time with six decimals; a value, a text of which is quoted if `quoted`. */
void store_csv_time(struct store_buffer *out, int64_t time);
void store_csv_value(struct store_buffer *out, const struct store_reading *r, bool quoted);

#endif
