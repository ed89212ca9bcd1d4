/* Lines of the log as logfmt text.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* A line that is being written; one byte is kept for the newline. */
struct line {
	char *buf;
	size_t cap, len;
};

static void put_bytes(struct line *line, const char *bytes, size_t n)
{
	size_t room = line->cap - 1 - line->len;

	if (n > room)
		n = room;
	memcpy(line->buf + line->len, bytes, n);
	line->len += n;
}

static void put_text(struct line *line, const char *text)
{
	put_bytes(line, text, strlen(text));
}

static bool plain(const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '=' || *c == '\\')
			return false;
	return *text != 0;
}

static void put_escaped(struct line *line, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\')
		put_bytes(line, (const char[2]){'\\', (char)c}, 2);
	else if (c < ' ' || c > '~')
		put_bytes(line, (const char[4]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
	else
		put_bytes(line, (const char[1]){(char)c}, 1);
}

/* Values without anything special stand bare, others in quotes. A cut never falls into an escape, and the closing
 * quote always has its place. */
static void put_value(struct line *line, const char *value)
{
	if (plain(value)) {
		put_text(line, value);
		return;
	}
	put_text(line, "\"");
	for (; *value && line->len + 8 < line->cap; value++)
		put_escaped(line, (unsigned char)*value);
	put_text(line, "\"");
}

static void put_field(struct line *line, const char *key, const char *value)
{
	if (!value || line->len + strlen(key) + 12 > line->cap)
		return;
	if (line->len)
		put_text(line, " ");
	put_text(line, key);
	put_text(line, "=");
	put_value(line, value);
}

static void put_time(struct line *line, int64_t at_ms)
{
	time_t second = (time_t)(at_ms / 1000);
	struct tm tm;
	char date[32], text[48];

	gmtime_r(&second, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03dZ", date, (int)(at_ms % 1000));
	put_field(line, "ts", text);
}

size_t gw_log_format(char *buf, size_t cap, int64_t at_ms, enum gw_log_level level, const char *logger,
		     const char *msg, const struct gw_field *fields, size_t n)
{
	struct line line = {buf, cap, 0};

	put_time(&line, at_ms);
	put_field(&line, "level", level_names[level]);
	put_field(&line, "logger", logger);
	put_field(&line, "msg", msg);
	for (size_t i = 0; i < n; i++)
		if (fields[i].key)
			put_field(&line, fields[i].key, fields[i].value);
	buf[line.len++] = '\n';
	return line.len;
}

const char *gw_log_number(char buf[GW_LOG_NUMBER], long long value)
{
	snprintf(buf, GW_LOG_NUMBER, "%lld", value);
	return buf;
}

int gw_log_level_from_text(const char *text)
{
	for (int i = 0; i < (int)(sizeof(level_names) / sizeof(*level_names)); i++)
		if (strcmp(text, level_names[i]) == 0)
			return i;
	return -1;
}
