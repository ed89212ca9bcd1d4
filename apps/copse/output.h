/* What is printed of an answer: the payload to standard output or a file, code and options when asked for,
 * JSON.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_OUTPUT_H
#define COPSE_TOOL_OUTPUT_H

#include "exchange.h"

#include <jansson.h>

/* Print `answer` as the command line wants it; an error of the server's goes to standard error.
 * Returns the exit code: that of the response, or EXIT_OTHER when it could not be written. */
int output_answer(const struct args *args, const struct answer *answer);

/* The payload as a JSON object has it: "payload" or "payload_base64" is added to `o`. */
void output_add_payload(json_t *o, const uint8_t *bytes, size_t len);

/* Print one JSON value on a line of its own, or indented with --pretty. Takes it. */
void output_json(const struct args *args, json_t *o);

/* Say that the server answered with an error. Returns the exit code. */
int output_error(const struct answer *answer);

/* Write `len` bytes to the file at `path`, which appears under its name only when it is complete; "-" is
 * standard output. Returns 0 or an exit code. */
int output_file(const char *path, const uint8_t *bytes, size_t len);

/* Complete standard output. Returns `code`, or EXIT_OTHER when something could not be written. */
int output_finish(int code);

#endif
