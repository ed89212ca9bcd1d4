/* The characters of URIs (RFC 3986 §2). Private to uri*.c and link.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CORE_URI_CHARS_H
#define COPSE_CORE_URI_CHARS_H

#include <copse/types.h>

static inline char uri_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool uri_is_alpha(char c)
{
	return uri_lower(c) >= 'a' && uri_lower(c) <= 'z';
}

static inline bool uri_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool uri_is_one_of(char c, const char *set)
{
	for (; *set; set++)
		if (*set == c)
			return true;
	return false;
}

/* Unreserved characters and sub-delimiters: those that a host may have unencoded, and path and query too. */
bool uri_is_plain(char c);

/* The first `c` among the `len` characters at `text`, or NULL. */
const char *uri_find(const char *text, size_t len, char c);

/* Equal but for the case of ASCII letters. */
bool uri_equal_text(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
