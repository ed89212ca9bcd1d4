/* scenario-token SECRET CLAIMS: print a token, signed by HS256.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/gateway/make_keys.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	char token[TOKEN_MAX];

	if (argc != 3)
		return 1;
	puts(make_token("HS256", argv[1], NULL, NULL, argv[2], token));
	return 0;
}
