/* See when.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "when.h"
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND ((int64_t)1000000)
#define FAR    ((int64_t)253402300800) /* the year 10000, in seconds: further away is a slip of the hand */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int fail(size_t *fault, size_t at)
{
	*fault = at;
	return -1;
}

/* --- spans --- */

static double unit_of(char c)
{
	switch (c) {
	case 's': return 1;
	case 'm': return 60;
	case 'h': return 3600;
	case 'd': return 86400;
	case 'w': return 7 * 86400;
	default: return 0;
	}
}

int when_parse_span(const char *text, int64_t *out, size_t *fault)
{
	const char *at = text;
	double seconds = 0;

	while (at == text || *at) {
		char *end;
		if (!is_digit(*at))
			return fail(fault, (size_t)(at - text));
		if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) /* strtod would take it */
			return fail(fault, (size_t)(at + 1 - text));
		double n = strtod(at, &end);
		double unit = *end ? unit_of(*end) : at == text ? 1 : 0; /* 1h30: of what? */
		if (unit == 0)
			return fail(fault, (size_t)(end - text));
		seconds += n * unit;
		at = *end ? end + 1 : end;
		if (!(seconds < (double)FAR))
			return fail(fault, 0);
		if (!*end)
			break;
	}
	*out = (int64_t)llround(seconds * 1e6);
	return 0;
}

/* --- times --- */

/* Exactly `n` digits. */
static bool digits(const char **at, int n, int *out)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		if (!is_digit((*at)[i]))
			return false;
		value = value * 10 + (*at)[i] - '0';
	}
	*at += n;
	*out = value;
	return true;
}

static bool sign(const char **at, char c)
{
	bool is = **at == c;

	*at += is;
	return is;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* What stands there; `at` stays at the first character that does not belong. */
static bool take_date(const char **at, struct tm *tm)
{
	const char *begin = *at;
	int year, month, day;

	if (!digits(at, 4, &year) || !sign(at, '-') || !digits(at, 2, &month) || !sign(at, '-') ||
	    !digits(at, 2, &day))
		return false;
	if (month < 1 || month > 12) {
		*at = begin + 5;
		return false;
	}
	if (day < 1 || day > days_in(year, month)) {
		*at = begin + 8;
		return false;
	}
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return true;
}

static int64_t take_fraction(const char **at)
{
	int64_t us = 0, weight = SECOND / 10;

	for (; is_digit(**at); (*at)++, weight /= 10)
		us += (**at - '0') * weight;
	return us;
}

static bool take_clock(const char **at, struct tm *tm, int64_t *us)
{
	const char *begin = *at;

	if (!digits(at, 2, &tm->tm_hour) || !sign(at, ':') || !digits(at, 2, &tm->tm_min))
		return false;
	if (sign(at, ':')) {
		if (!digits(at, 2, &tm->tm_sec))
			return false;
		if (**at == '.' && is_digit((*at)[1])) {
			++*at;
			*us = take_fraction(at);
		}
	}
	if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60) { /* 60: a leap second (RFC 3339 §5.7) */
		*at = begin + (tm->tm_hour > 23 ? 0 : tm->tm_min > 59 ? 3 : 6);
		return false;
	}
	return true;
}

/* Z, +02:00, -0530 or nothing: local time. */
static bool take_zone(const char **at, bool *local, int *offset_s)
{
	const char *begin = *at;
	int hours, minutes, direction = **at == '-' ? -1 : 1;

	*local = !**at;
	*offset_s = 0;
	if (!**at || sign(at, 'Z') || sign(at, 'z'))
		return !**at;
	if (**at != '+' && **at != '-')
		return false;
	++*at;
	if (!digits(at, 2, &hours))
		return false;
	sign(at, ':');
	if (!digits(at, 2, &minutes))
		return false;
	if (hours > 23 || minutes > 59) {
		*at = begin + 1;
		return false;
	}
	*offset_s = direction * (hours * 3600 + minutes * 60);
	return !**at;
}

static int parse_stamp(const char *text, int64_t *out, size_t *fault)
{
	struct tm tm = {.tm_isdst = -1};
	const char *at = text;
	int64_t us = 0;
	bool local = true;
	int offset_s = 0;

	if (!take_date(&at, &tm))
		return fail(fault, (size_t)(at - text));
	if (*at && !sign(&at, 'T') && !sign(&at, 't') && !sign(&at, ' '))
		return fail(fault, (size_t)(at - text));
	if (at[-1] == 'T' || at[-1] == 't' || at[-1] == ' ') {
		if (!take_clock(&at, &tm, &us) || !take_zone(&at, &local, &offset_s))
			return fail(fault, (size_t)(at - text));
	}
	int64_t seconds = local ? (int64_t)mktime(&tm) : (int64_t)timegm(&tm) - offset_s;
	*out = seconds * SECOND + us;
	return 0;
}

/* Midnight at the beginning of a day in local time, `days` after that of `now`. */
static int64_t midnight(int64_t now, int days)
{
	time_t second = (time_t)(now / SECOND);
	struct tm tm;

	if (!localtime_r(&second, &tm))
		return now;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday += days;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * SECOND;
}

static int parse_epoch(const char *text, int64_t *out, size_t *fault)
{
	char *end;

	if (!is_digit(text[1]))
		return fail(fault, 1);
	long long seconds = strtoll(text + 1, &end, 10);
	if (seconds >= FAR)
		return fail(fault, 1);
	*out = seconds * SECOND;
	if (*end == '.') {
		const char *at = end + 1;
		*out += take_fraction(&at);
		end += at - end;
	}
	return *end ? fail(fault, (size_t)(end - text)) : 0;
}

int when_parse(const char *text, int64_t now, int64_t *out, size_t *fault)
{
	int64_t span;

	if (strcmp(text, "now") == 0)
		*out = now;
	else if (strcmp(text, "today") == 0)
		*out = midnight(now, 0);
	else if (strcmp(text, "yesterday") == 0)
		*out = midnight(now, -1);
	else if (*text == '@')
		return parse_epoch(text, out, fault);
	else if (*text != '-')
		return parse_stamp(text, out, fault);
	else if (when_parse_span(text + 1, &span, fault))
		return fail(fault, *fault + 1);
	else
		*out = now - span;
	return 0;
}

int when_option(const struct args *args, enum arg_name name, int64_t now, int64_t absent, int64_t *out)
{
	const char *value = args_value(args, name);
	char what[80];
	size_t fault;

	*out = absent;
	if (!value || when_parse(value, now, out, &fault) == 0)
		return 0;
	snprintf(what, sizeof(what), "--%s: this is no time", arg_rows[name].text);
	int code = report_fault(what, value, fault);
	report_hint("times: 2026-07-01T12:00:00Z, 2026-07-01 12:00, 2026-07-01, -90s, -2h, -1d, today, "
		    "yesterday, now");
	return code;
}

int when_option_span(const struct args *args, enum arg_name name, int64_t absent, int64_t *out)
{
	const char *value = args_value(args, name);
	char what[80];
	size_t fault;

	*out = absent;
	if (!value || (when_parse_span(value, out, &fault) == 0 && *out > 0))
		return 0;
	if (*out == 0)
		fault = 0;
	snprintf(what, sizeof(what), "--%s: this is no span of time", arg_rows[name].text);
	int code = report_fault(what, value, fault);
	report_hint("spans: 90, 90s, 15m, 2h, 1d, 1w, 1h30m");
	return code;
}

/* --- printing --- */

const char *when_rfc3339(int64_t time, char *out)
{
	int64_t us = time % SECOND < 0 ? time % SECOND + SECOND : time % SECOND;
	time_t second = (time_t)((time - us) / SECOND);
	struct tm tm;
	size_t n = gmtime_r(&second, &tm) ? strftime(out, WHEN_TEXT, "%Y-%m-%dT%H:%M:%S", &tm) : 0;

	if (us) {
		n += (size_t)snprintf(out + n, WHEN_TEXT - n, ".%06d", (int)us);
		while (out[n - 1] == '0')
			n--;
	}
	snprintf(out + n, WHEN_TEXT - n, "Z");
	return out;
}

const char *when_local(int64_t time, char *out)
{
	time_t second = (time_t)(time / SECOND - (time % SECOND < 0));
	struct tm tm;

	if (!localtime_r(&second, &tm) || !strftime(out, WHEN_TEXT, "%Y-%m-%d %H:%M:%S", &tm))
		*out = '\0';
	return out;
}

const char *when_age(int64_t span, char *out)
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} rows[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	int64_t seconds = span > 0 ? span / SECOND : 0;
	size_t i = 0;

	/* two of a unit, before it is used: 90 min says more than 1 h */
	while (i < 3 && seconds < 2 * rows[i].seconds)
		i++;
	snprintf(out, WHEN_TEXT, "%lld %s", (long long)(seconds / rows[i].seconds), rows[i].unit);
	return out;
}

int64_t when_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000;
}
