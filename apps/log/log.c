/* One line an event on standard error, in logfmt.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static enum log_level wanted = LOG_INFO;

void log_set_level(enum log_level level)
{
	wanted = level;
}

bool log_wants(enum log_level level)
{
	return level <= wanted;
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = {"error", "info", "debug"};
	char line[512], stamp[32];
	struct timespec now;
	struct tm utc;
	va_list args;

	if (!log_wants(level))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "time=%s.%03ldZ level=%s %s\n", stamp, now.tv_nsec / 1000000, names[level + 1], line);
}
