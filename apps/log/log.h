/* One line an event on standard error, in logfmt.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_LOG_H
#define COPSE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR = -1, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are left out. LOG_INFO at first. */
void log_set_level(enum log_level level);

/* Whether lines of `level` are written: to save the work of making one. */
bool log_wants(enum log_level level);

/* Write time, level and `format`, which is key=value pairs. */
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
