/* The payload of a request: from an argument, a file or standard input; held whole, since blocks may have
 * to be sent again.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_PAYLOAD_H
#define COPSE_TOOL_PAYLOAD_H

#include "args.h"

/* Grows as needed. */
struct buffer {
	uint8_t *bytes; /* copse_mem_new's */
	size_t len, cap;
};

/* Make room for `cap` bytes. Returns false without memory. */
bool buffer_reserve(struct buffer *b, size_t cap);
bool buffer_append(struct buffer *b, const void *bytes, size_t len);
void buffer_free(struct buffer *b);

/* The contents of the file at `path`, "-" for standard input. Returns 0 or an exit code. */
int payload_read_file(struct buffer *b, const char *path);

/* What the command line says: --payload, --file, or `operand` (text, @FILE, @-), which may be NULL.
 * `*given` tells whether there was any. Returns 0 or an exit code. */
int payload_from_args(struct buffer *b, const struct args *args, const char *operand, bool *given);

/* A value that may be @FILE: a secret or a token, a terminated text without the line end. Returns 0 or an
 * exit code. */
int payload_secret(struct buffer *b, const char *value);

#endif
