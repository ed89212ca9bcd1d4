/* Conveniences for handlers; linked only by who calls them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

void copse_small_text(struct copse_small_out *out, const char *text)
{
	copse_small_put(out, text, strlen(text));
}

void copse_small_number(struct copse_small_out *out, uint32_t n)
{
	static const uint32_t powers[] = {1000000000, 100000000, 10000000, 1000000, 100000,
					  10000,      1000,      100,      10,      1};
	bool any = false;
	for (unsigned i = 0; i < sizeof(powers) / sizeof(*powers); i++) {
		char digit = '0';
		for (; n >= powers[i]; n -= powers[i]) /* no division: Cortex-M0 has none */
			digit++;
		any |= digit > '0' || powers[i] == 1;
		if (any)
			copse_small_put(out, &digit, 1);
	}
}
