/* Session tokens: JSON Web Tokens (RFC 7519), verified with the keys of the configuration.
 *
 * A token is verified only with keys that are declared for the algorithm it names, and "none" is none of them: so no
 * public key can be abused as a secret, and no signature left out. The signature comes first; claims of an unsigned
 * text are never looked at. A key that speaks for issuers verifies only tokens of theirs: that, too, is looked at when the
 * signature is known to be the key's, so that keys of one name and several issuers are tried one after the other.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_TOKEN_H
#define GATEWAY_TOKEN_H

#include "config.h"
#include "grant.h"

#define GW_TOKEN_MAX 8192 /* longest token, in bytes */

/* Why a token is refused: for the log, never for the answer. From GW_TOKEN_ALGORITHM to GW_TOKEN_FOREIGN in the order of how
 * far it came. */
enum gw_token_fault {
	GW_TOKEN_OK,
	GW_TOKEN_MALFORMED, /* not three parts of base64url with JSON objects in two of them, or too long */
	GW_TOKEN_ALGORITHM, /* "none", or an algorithm that no key is declared for, or a critical header extension */
	GW_TOKEN_KEY,       /* "kid" names no key of that algorithm */
	GW_TOKEN_SIGNATURE, /* signed by none of our keys */
	GW_TOKEN_FOREIGN,   /* signed by a key that does not speak for "iss" */
	GW_TOKEN_CLAIM,     /* "exp" or "nbf" is no number, or a required "exp" is absent */
	GW_TOKEN_EXPIRED,
	GW_TOKEN_EARLY, /* not valid yet */
	GW_TOKEN_ISSUER,
	GW_TOKEN_AUDIENCE,
	GW_TOKEN_ACCOUNT, /* no account, or too long a one */
	GW_TOKEN_RULES    /* rules that are no rules, or more than GW_GRANT_RULES */
};

#define GW_NO_EXPIRY INT64_MAX

struct gw_claims {
	char account[GW_ACCOUNT_MAX + 1];
	int64_t expires; /* seconds since 1970, the skew added; GW_NO_EXPIRY without "exp" */
	struct gw_grant grant;
};

/* Verify `len` bytes at `token` (white space around it is let pass). `wall`: seconds since 1970. Any bytes are taken.
 * Costs up to one signature verification for each key of the token's algorithm, with a kid that is not empty for at
 * most GW_TOKEN_NAMES of them; allocates and frees.
 * Returns GW_TOKEN_OK with `*claims`, or why not. */
enum gw_token_fault gw_token_check(const struct gw_config *config, const void *token, size_t len,
				   int64_t wall, struct gw_claims *claims);

/* A few words for the log; static storage. */
const char *gw_token_fault_text(enum gw_token_fault fault);

#endif
