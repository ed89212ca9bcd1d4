/* Numbers as decimal digits, without a division: a Cortex-M0 has none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_DECIMAL_H
#define CORE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#define CORE_DECIMAL_LEN 10 /* of the largest */

/* Write `value`, not terminated. Returns how many digits it has. */
static inline size_t core_decimal(uint32_t value, char buf[CORE_DECIMAL_LEN])
{
	static const uint32_t powers[CORE_DECIMAL_LEN] = {1000000000, 100000000, 10000000, 1000000, 100000,
							  10000,      1000,      100,      10,      1};
	size_t n = 0;
	for (unsigned i = 0; i < CORE_DECIMAL_LEN; i++) {
		char digit = '0';
		for (; value >= powers[i]; value -= powers[i])
			digit++;
		if (digit != '0' || n > 0 || powers[i] == 1)
			buf[n++] = digit;
	}
	return n;
}

#endif
