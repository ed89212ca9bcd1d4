/* What a secure connection needs, from the command line, the environment and files; and what it leaves
 * behind for the next command of the same session.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_SECURITY_H
#define COPSE_TOOL_SECURITY_H

#include "args.h"

#include <copse/dtls.h>
#include <copse/tcp.h>
#include <copse/uri.h>

#define SECURE_RESUMPTION_MAX 2048

struct secure {
	struct copse_secure *keys;         /* NULL: the connection is in the clear */
	copse_ms handshake_ms;             /* how long a handshake may take */
	struct copse_transport *transport; /* while the net is open */
	bool keep; /* of a session: the association is to be resumed by the next command */
	bool has_peer;
	struct copse_peer peer; /* the one that was asked last */
	uint8_t resumption[SECURE_RESUMPTION_MAX];
	size_t resumption_len; /* 0: there is none */
};

/* Read the keys for a connection to the server of `uri`. Nothing is done for a scheme that is not secure.
 * Returns 0, or the exit code after an error that has been reported. */
int secure_configure(struct secure *secure, const struct args *args, const struct copse_uri *uri,
		     copse_ms limit_ms);

/* Whether --key is the connection's, and not a token's. */
bool secure_owns_key(const struct args *args);

/* The peer at `address`. Returns 0 or a copse_err. */
int secure_peer(struct secure *secure, struct copse_transport *t, const struct copse_address *address,
		struct copse_peer *peer);

/* The transport is about to be closed. */
void secure_leave(struct secure *secure);

/* Why the connection is not a matter of reachability but of keys: a sentence, or NULL. */
const char *secure_failure(const struct secure *secure);

/* Let the keys go and wipe what resumes. */
void secure_release(struct secure *secure);

#endif
