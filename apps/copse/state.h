/* The session that is kept from one command to the next: which gateway, by which local port. One file a
 * session, readable by its owner alone; the token is not in it.
 *
 * A session's port belongs to one process at a time: whoever uses it holds the lock of its file.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_STATE_H
#define COPSE_TOOL_STATE_H

#include "args.h"

#define STATE_URI_MAX        512
#define STATE_ADDRESS_MAX    96
#define STATE_ACCOUNT_MAX    256
#define STATE_PATH_MAX       4096
#define STATE_RESUMPTION_MAX 2048

struct state {
	char name[64];
	char path[STATE_PATH_MAX];
	int lock; /* descriptor of the lock, -1: not held */
	bool open;
	char gateway[STATE_URI_MAX]; /* URI of the gateway */
	char address
	    [STATE_ADDRESS_MAX]; /* its address, so that the session stays with it whatever its name says */
	char account[STATE_ACCOUNT_MAX]; /* "" if not known */
	char opened[32];                 /* when, ISO 8601 */
	char resumption[2 * STATE_RESUMPTION_MAX +
			1]; /* what resumes a secure association, in hex; "": none. Secret */
	uint16_t port;      /* the local port */
	uint16_t last_id; /* message ID last used by that port: the next command goes on behind it, since the
					    gateway would take one used again for a duplicate (RFC 7252 §4.4) */
};

/* The session that the command line names: finds its file, takes its lock, reads it. `open` tells whether
 * there is one. Returns 0, or the exit code after an error that has been reported. */
int state_load(struct state *state, const struct args *args);

/* Make the folder that the file will be in, and hold its lock. Returns as state_load. */
int state_prepare(struct state *state);

/* Write it, or remove it. Returns as state_load. */
int state_save(const struct state *state);
int state_remove(struct state *state);

/* The message ID to go on with behind the last one. */
uint16_t state_next_id(const struct state *state);

/* Give back the lock. */
void state_release(struct state *state);

/* A port of this machine that is free now and that the system does not hand out by itself; 0 when none was
 * found. */
uint16_t state_choose_port(void);

#endif
