/* Messages in words: options with their names and values, one line for the wire, lines for --include, JSON.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_DESCRIBE_H
#define COPSE_TOOL_DESCRIBE_H

#include <copse/message.h>

#include <jansson.h>
#include <stdio.h>

/* The value of an option as its format wants it shown. */
void describe_option_value(FILE *out, const struct copse_message *m, const struct copse_option *o);

/* "CON 0.01 GET id 4711 token 1f2e  Uri-Path a  Accept 50 (application/json)  5 bytes", without a newline. */
void describe_message(FILE *out, const struct copse_message *m);

/* "2.05 Content", then "Name: value" lines. */
void describe_head(FILE *out, const struct copse_message *m);

/* {"code": "2.05", "options": {"ETag": "0a0b", "Uri-Path": ["a", "b"] ...}}: repeatable options as arrays,
 * formats uint as numbers, opaque in hexadecimal. NULL without memory. */
json_t *describe_json(const struct copse_message *m);

/* Bytes as a JSON string, if they are UTF-8, else NULL. */
json_t *describe_text(const uint8_t *bytes, size_t len);

#endif
