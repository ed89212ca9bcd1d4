/* Points in time as people give them, and as they read them. Microseconds since 1970, UTC.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_WHEN_H
#define COPSE_TOOL_WHEN_H

#include "args.h"

#include <stdint.h>

#define WHEN_TEXT 40

/* Read a time: RFC 3339 (2026-07-01T12:00:00Z, +02:00), the same without zone or without seconds, or a
 * date alone, in local time; now, today, yesterday (their beginning, local time); -90s, -15m, -2h, -1d,
 * -1w before now, also as -1h30m; @SECONDS since 1970. `now`: what relative ones count from. Returns 0, or
 * -1 with the offset in `text` at which it is no time any more. */
int when_parse(const char *text, int64_t now, int64_t *out, size_t *fault);

/* A span: 90, 90s, 15m, 2h, 1d, 1w, 1h30m. As above. */
int when_parse_span(const char *text, int64_t *out, size_t *fault);

/* The value of an option as a time, or `absent`. Returns 0, or an exit code after an error that has been
 * reported. */
int when_option(const struct args *args, enum arg_name name, int64_t now, int64_t absent, int64_t *out);
int when_option_span(const struct args *args, enum arg_name name, int64_t absent, int64_t *out);

/* As RFC 3339 in UTC, with as many decimals as it has; `out` has WHEN_TEXT bytes. Returns `out`. */
const char *when_rfc3339(int64_t time, char *out);

/* In local time without zone, to the second: for people; `out` has WHEN_TEXT bytes. Returns `out`. */
const char *when_local(int64_t time, char *out);

/* How long ago: "12 s", "5 min", "3 h", "2 d"; `out` has WHEN_TEXT bytes. Returns `out`. */
const char *when_age(int64_t span, char *out);

/* The present. */
int64_t when_now(void);

#endif
