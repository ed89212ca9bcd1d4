/* Hexadecimal digits.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_HEX_H
#define COPSE_HEX_H

#include <copse/types.h>

/* The value of a hexadecimal digit of either case, or -1. */
static inline int copse_hex_digit(char c)
{
	const char lower = (char)(c | 0x20);

	if (c >= '0' && c <= '9')
		return c - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* `len` hexadecimal digits, two a byte and nothing between them, as bytes in `out`. Returns how many bytes, or
 * COPSE_ERR_ARGUMENT: another character, an odd number of digits, more than `cap` bytes; `out` is then undefined. */
int copse_hex_decode(const char *text, size_t len, uint8_t *out, size_t cap);

#endif
