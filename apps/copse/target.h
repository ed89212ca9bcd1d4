/* Where a request goes: the URI, the proxy in between if there is one, the addresses to try, the local port.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_TARGET_H
#define COPSE_TOOL_TARGET_H

#include "net.h"
#include "security.h"
#include "state.h"

#include <copse/resolve.h>
#include <copse/uri.h>

#define TARGET_ADDRESSES 8

struct target {
	const char *text;     /* the URI as given */
	struct copse_uri uri; /* of what is asked for */
	bool proxied;
	const char *via_text; /* the proxy as given */
	struct copse_uri via;
	struct state state; /* the session in use; its lock is held until target_close */
	bool in_session;
	size_t address_n;
	struct copse_address address[TARGET_ADDRESSES];
	struct secure secure;
	char authority[280];   /* WebSockets: of the URI that is connected to */
	struct net_config net; /* how to open the socket */
	copse_ms limit_ms;     /* --timeout, or COPSE_NEVER */
};

/* Find out where `uri` is to be reached from what the command line, and an open session, say.
 * `never_proxied`: for what cannot be proxied, a ping. Reports errors, in the URI with a caret. Returns 0
 * (give it to target_close), or an exit code. `uri` and `args` must live as long as the target. */
int target_find(struct target *target, const struct args *args, const char *uri, bool never_proxied);

/* The same for a resource of the gateway itself: of the open session, else of --proxy. `path` as
 * "/devices". */
int target_find_gateway(struct target *target, const struct args *args, const char *path, char *buf,
			size_t cap);

/* Let a target that target_find_gateway found be about another resource of the same gateway: `buf` gets
 * its URI. Returns 0 or an exit code. */
int target_turn(struct target *target, const char *path, char *buf, size_t cap);

/* A session's association: what resumes it, from the state and to it. Only that is written that a net has
 * left. */
void target_resume(struct secure *secure, const struct state *state);
void target_remember(const struct secure *secure, struct state *state);

/* Give back the session's lock. */
void target_close(struct target *target);

/* Parse a URI and report what is wrong with it. Returns 0 or an exit code. */
int target_parse(struct copse_uri *uri, const char *text);

/* The addresses of the host of `uri`. Returns 0 or an exit code. */
int target_resolve(struct target *target, const struct copse_uri *uri, const char *text,
		   const struct args *args);

/* Whether it is asked over TCP or TLS. */
bool target_is_stream(const struct copse_uri *uri);

/* How to open the socket, and how long to wait, by the command line. Returns 0 or an exit code. */
int target_configure(struct target *target, const struct args *args);

#endif
