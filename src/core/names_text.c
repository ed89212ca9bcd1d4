/* Names as people type them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "names.h"

static char plain(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	return c == '_' || c == ' ' ? '-' : c;
}

bool names_equal(const char *name, const char *text, size_t len)
{
	size_t i = 0;
	while (i < len && name[i] && plain(name[i]) == plain(text[i]))
		i++;
	return i == len && !name[i];
}

int names_number(const char *text, size_t len, int max)
{
	int n = 0;
	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || n > max)
			return -1;
		n = n * 10 + (text[i] - '0');
	}
	return n <= max ? n : -1;
}

void names_append(char *buf, size_t cap, size_t at, const char *text)
{
	if (at >= cap)
		return;
	while (*text && at + 1 < cap)
		buf[at++] = *text++;
	buf[at] = 0;
}
