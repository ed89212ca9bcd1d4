/* See copse/hex.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/error.h>
#include <copse/hex.h>

int copse_hex_decode(const char *text, size_t len, uint8_t *out, size_t cap)
{
	if (len % 2 || len / 2 > cap)
		return COPSE_ERR_ARGUMENT;
	for (size_t i = 0; i < len; i += 2) {
		const int high = copse_hex_digit(text[i]), low = copse_hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return COPSE_ERR_ARGUMENT;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return (int)(len / 2);
}
