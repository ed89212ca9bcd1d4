/* latest --follow: each new reading as the gateway tells of it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_FOLLOW_H
#define COPSE_TOOL_FOLLOW_H

#include "ask.h"

/* Follow the newest readings at `path`; `name`: only the series with that name, NULL: all. `devices`: of more than one,
 * so that a table says of which. Prints those that there are, then each newer one, until --count, --for or Ctrl-C.
 * Returns the exit code. */
int follow_latest(const struct args *args, const struct ask_path *path, const char *name, bool devices);

#endif
