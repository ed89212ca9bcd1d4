/* JSON Web Tokens (RFC 7519) for opening sessions.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_TOKEN_H
#define COPSE_TOOL_TOKEN_H

#include "payload.h"

/* Make the token that --account, --expires, --not-before, --claim, --alg, --secret and --key ask for, as
 * text without a line end. Returns 0, or the exit code after an error that has been reported. */
int token_make(struct buffer *token, const struct args *args);

/* The account that a token names, as its text says: nothing is verified. "" if it has none. */
void token_account(const struct buffer *token, char *account, size_t cap);

#endif
