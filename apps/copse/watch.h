/* Following a resource (RFC 7641): registered, shown state by state, registered anew when the server has gone and come back,
 * and cancelled at the end.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_WATCH_H
#define COPSE_TOOL_WATCH_H

#include "exchange.h"

#define WATCH_ENOUGH (-1) /* of `show`: the end, and a good one */

struct watch_task {
	const struct target
	    *target; /* --timeout is for the first answer; notifications come when they come */
	const struct request *request;
	copse_ms until; /* how long, or COPSE_NEVER */

	/* Show a state, whose body has come as a whole. Returns 0, WATCH_ENOUGH, or an exit code to end with. */
	int (*show)(void *self, const struct copse_client_event *e, const struct buffer *body);
	void *self;

	/* Once the resource has been there, "not found" and 5.xx do not end it: it is asked for again. */
	bool patient;
};

/* Follow until it is enough, `until`, Ctrl-C, or the server ends it. Reports errors. Returns the exit code. */
int watch_run(const struct watch_task *task);

#endif
