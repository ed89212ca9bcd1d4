/* scenario-token SECRET CLAIMS [KID]: print a token, signed by HS256.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "unit/gateway/make_keys.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	char token[TOKEN_MAX];

	if (argc < 3 || argc > 4)
		return 1;
	puts(make_token("HS256", argv[1], argv[3], NULL, argv[2], token));
	return 0;
}
