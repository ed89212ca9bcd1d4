/* The log: one line an event, in logfmt ("ts=... level=warn logger=... msg=\"...\" key=value"), to a file descriptor.
 *
 * Values are quoted and escaped whatever they contain, and cut when long: a line is always one line, and nothing in it
 * can be taken for another field. Whoever logs gives no secrets: tokens, keys and payloads have no business here.
 *
 * gw_log may be called from any thread and never blocks: lines go into a bounded ring, a thread of the log's own writes
 * them. Beyond the ring's bound lines are dropped and counted; a line about it follows. Lines that strangers cause
 * (GW_LOG_STRANGER) are limited to a number a second besides, so that a flood does not fill the disk.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_LOG_H
#define GATEWAY_LOG_H

#include <copse/types.h>

enum gw_log_level { GW_LOG_ERROR, GW_LOG_WARN, GW_LOG_INFO, GW_LOG_DEBUG };

#define GW_LOG_LINE     512  /* longest line, its newline included; what does not fit is cut */
#define GW_LOG_RING     1024 /* lines that wait for the writer; a power of two */
#define GW_LOG_STRANGER 50   /* lines a second that strangers may cause */

struct gw_log;

/* Start a log that writes to `fd`, which stays the caller's.
 * Returns it, or NULL without memory or threads. */
struct gw_log *gw_log_new(int fd, enum gw_log_level level);

/* Write what waits, and end. NULL is taken. No other thread may still be logging. */
void gw_log_free(struct gw_log *log);

void gw_log_set_level(struct gw_log *log, enum gw_log_level level);

/* One field of a line. A NULL value leaves the field out. */
struct gw_field {
	const char *key; /* letters, digits, "_" */
	const char *value;
};

/* Log a line if `level` is wanted. `log` may be NULL: nothing happens. `logger` is who speaks. `stranger`: caused by
 * somebody who has no session, and limited. */
void gw_log_fields(struct gw_log *log, enum gw_log_level level, bool stranger, const char *logger,
		   const char *msg, const struct gw_field *fields, size_t n);

/* gw_log(log, GW_LOG_INFO, "sessions", "opened", {"account", a}, {"peer", p}) */
#define gw_log(log, level, logger, msg, ...)                                                                 \
	gw_log_fields(log, level, false, logger, msg, (const struct gw_field[]){{NULL, NULL}, __VA_ARGS__},  \
		      sizeof((const struct gw_field[]){{NULL, NULL}, __VA_ARGS__}) /                         \
			  sizeof(struct gw_field))
#define gw_log_stranger(log, level, logger, msg, ...)                                                        \
	gw_log_fields(log, level, true, logger, msg, (const struct gw_field[]){{NULL, NULL}, __VA_ARGS__},   \
		      sizeof((const struct gw_field[]){{NULL, NULL}, __VA_ARGS__}) /                         \
			  sizeof(struct gw_field))

/* A number as text, for a field: in `buf`, which is returned. */
#define GW_LOG_NUMBER 24
const char *gw_log_number(char buf[GW_LOG_NUMBER], long long value);

/* The level called `text` ("warn"); -1 if none is. */
int gw_log_level_from_text(const char *text);

/* Format a line without writing it: `cap` of GW_LOG_LINE suffices. Returns its length, newline included.
 * `at_ms`: milliseconds since 1970, UTC. */
size_t gw_log_format(char *buf, size_t cap, int64_t at_ms, enum gw_log_level level, const char *logger,
		     const char *msg, const struct gw_field *fields, size_t n);

#endif
