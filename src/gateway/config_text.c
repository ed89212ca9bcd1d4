/* See config_text.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config_text.h"

#include <copse/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_fd(int fd, size_t max, char **text, size_t *len)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EISDIR;
	if ((size_t)st.st_size > max)
		return EFBIG;
	char *bytes = copse_mem_new((size_t)st.st_size + 1, 1);
	if (!bytes)
		return ENOMEM;
	size_t have = 0;
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, bytes + have, (size_t)st.st_size - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = errno;
			copse_mem_free(bytes);
			return err;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*text = bytes;
	*len = have;
	return 0;
}

int gw_file_read(const char *path, size_t max, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno;
	int err = read_fd(fd, max, text, len);
	close(fd);
	return err;
}

/* What the scan is in the middle of. */
struct scan {
	char *text;
	size_t len, at;
	unsigned line;
};

static char peek(const struct scan *s, size_t ahead)
{
	return s->at + ahead < s->len ? s->text[s->at + ahead] : 0;
}

static void blank_one(struct scan *s)
{
	if (s->text[s->at] == '\n')
		s->line++;
	else
		s->text[s->at] = ' ';
	s->at++;
}

static void blank_line(struct scan *s)
{
	while (s->at < s->len && s->text[s->at] != '\n')
		blank_one(s);
}

static bool blank_block(struct scan *s)
{
	while (s->at < s->len) {
		bool end = peek(s, 0) == '*' && peek(s, 1) == '/';
		blank_one(s);
		if (end) {
			blank_one(s);
			return true;
		}
	}
	return false;
}

/* Over a quoted text; a backslash takes away the meaning of what follows. */
static bool skip_quoted(struct scan *s)
{
	char quote = s->text[s->at++];

	for (; s->at < s->len; s->at++) {
		char c = s->text[s->at];
		if (c == '\\' && s->at + 1 < s->len)
			c = s->text[++s->at]; /* may be a newline, to be counted */
		else if (c == quote) {
			s->at++;
			return true;
		}
		if (c == '\n')
			s->line++;
	}
	return false;
}

/* One step over whatever begins here. `open` holds the lines of the braces that are open. */
static bool step(struct scan *s, unsigned open[8], unsigned *depth, const char **what)
{
	unsigned line = s->line;
	char c = peek(s, 0);

	*what = NULL;
	if (c == '#' || (c == '/' && peek(s, 1) == '/')) {
		blank_line(s);
	} else if (c == '/' && peek(s, 1) == '*') {
		if (!blank_block(s))
			*what = "this comment is never closed";
	} else if (c == '"' || c == '\'') {
		if (!skip_quoted(s))
			*what = "this quote is never closed";
	} else if (c == '{') {
		if (*depth == 8)
			*what = "braces are nested too deeply";
		else
			open[(*depth)++] = line;
		s->at++;
	} else if (c == '}') {
		if (*depth == 0)
			*what = "this brace closes nothing";
		else
			(*depth)--;
		s->at++;
	} else {
		s->line += c == '\n';
		s->at++;
	}
	if (*what)
		s->line = line;
	return !*what;
}

unsigned gw_config_blank(char *text, size_t len, const char **what)
{
	struct scan s = {text, len, 0, 1};
	unsigned open[8], depth = 0;

	while (s.at < s.len)
		if (!step(&s, open, &depth, what))
			return s.line;
	if (depth == 0)
		return 0;
	*what = "this brace is never closed";
	return open[depth - 1];
}
