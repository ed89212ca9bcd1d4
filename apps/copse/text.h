/* Bytes that came from somewhere, for people to look at: nothing of them reaches a terminal as a control
 * sequence.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_TEXT_H
#define COPSE_TOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The length of the UTF-8 character at the beginning of `len` bytes, 0 when there is none (RFC 3629). */
size_t text_character(const uint8_t *bytes, size_t len);

/* Whether all of it is UTF-8 without control characters other than tab, line feed and carriage return. */
bool text_is_text(const uint8_t *bytes, size_t len);

/* Print text with everything else as \xNN escapes; with `line` also tab, line feed and carriage return, as
 * \t \n \r. */
void text_print(FILE *out, const uint8_t *bytes, size_t len, bool line);

/* Print as hexadecimal digits; as lines of sixteen bytes with their offset and characters. */
void text_print_hex(FILE *out, const uint8_t *bytes, size_t len);
void text_print_dump(FILE *out, const uint8_t *bytes, size_t len, const char *indent);

/* Base64 (RFC 4648 §4) of `len` bytes, terminated. `out` has TEXT_BASE64(len) bytes. */
#define TEXT_BASE64(len) (((len) + 2) / 3 * 4 + 1)
void text_base64(const uint8_t *bytes, size_t len, char *out);

#endif
