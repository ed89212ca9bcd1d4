/* Names as people type them. Private to *_text.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CORE_NAMES_H
#define COPSE_CORE_NAMES_H

#include <copse/types.h>

/* Whether the `len` bytes at `text` are `name`, without regard to case, and with "_" or " " as good as "-". */
bool names_equal(const char *name, const char *text, size_t len);

/* The number that `text` spells in decimal, or -1 when it spells none or one above `max`. */
int names_number(const char *text, size_t len, int max);

/* Write `text` at offset `at` of `buf`, terminated, and cut where `cap` ends. */
void names_append(char *buf, size_t cap, size_t at, const char *text);

#endif
