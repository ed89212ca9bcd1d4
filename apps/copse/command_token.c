/* token: a JSON Web Token (RFC 7519) by libjwt.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "token.h"
#include "report.h"

int command_token(const struct args *args)
{
	struct buffer token = {.bytes = NULL};
	int code = token_make(&token, args);

	if (!code)
		printf("%.*s\n", (int)token.len, (const char *)token.bytes);
	buffer_free(&token);
	return code;
}
