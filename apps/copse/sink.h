/* Where an export goes: standard output, or a file that appears under its name only when it is whole.
 * Packs that come one after another, in pieces, are joined into one on the way.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_SINK_H
#define COPSE_TOOL_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum sink_form { SINK_CSV, SINK_JSON, SINK_CBOR, SINK_XML };

struct sink {
	FILE *file;
	const char *path; /* NULL: standard output */
	char beside[4096];
	/* joining */
	enum sink_form form;
	unsigned rows_of; /* packs so far that were not empty */
	size_t at;        /* bytes of this pack so far */
	bool in_head;
	uint8_t held[16]; /* what may be the end of this pack */
	size_t held_n;
};

/* Begin to write. Returns 0 or an exit code. */
int sink_open(struct sink *sink, const char *path, enum sink_form form);

/* A pack begins; `len` bytes of it; it ends. What cannot be written is noted, and told by sink_close. */
void sink_begin(struct sink *sink);
void sink_put(struct sink *sink, const uint8_t *bytes, size_t len);
void sink_end(struct sink *sink);

/* Complete what was written if `code` is 0, else take it back. Returns `code`, or another exit code. */
int sink_close(struct sink *sink, int code);

#endif
