/* What becomes of a broken contract where there is an operating system: say so and abort.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/types.h>

#include <stdio.h>
#include <stdlib.h>

_Noreturn void copse_assert_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: contract broken: %s\n", file, line, what);
	abort();
}
