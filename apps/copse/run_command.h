/* Running a command for a notification: by /bin/sh, one at a time.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_RUN_COMMAND_H
#define COPSE_TOOL_RUN_COMMAND_H

#include <stddef.h>
#include <stdint.h>

/* Start `command` with `len` bytes on its standard input and `environment` (pairs of name and value, ended
 * by NULL) added. The one before is waited for first, so that they run in order. Returns 0 or an exit
 * code. */
int run_command(const char *command, const uint8_t *bytes, size_t len, const char *const environment[][2]);

/* Wait for the one that still runs, if any. */
void run_command_wait(void);

#endif
