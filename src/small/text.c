/* Conveniences for handlers; linked only by who calls them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "small.h"

void copse_small_text(struct copse_small_out *out, const char *text)
{
	copse_small_put(out, text, strlen(text));
}
