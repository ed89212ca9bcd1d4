/* A security context of OSCORE in a file, and the file beside it that keeps its numbers over restarts (numbers.h).
 * The former is written as libcoap's are: lines of "keyword,type,value".
 *
 * The file of the context is locked as long as it is open: two programs under one context would use numbers twice.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef APPS_OSCORE_FILE_H
#define APPS_OSCORE_FILE_H

#include <copse/oscore_endpoint.h>

#include <limits.h>

#define OSCORE_FILE_STEP 64u
#define OSCORE_FILE_WHY  256

struct oscore_numbers {
	uint32_t step;
	uint8_t mark[8]; /* of the context: tells whether a window is this one's */
	char path[PATH_MAX];
};

/* Does not move while it is open: the context calls back into it. */
struct oscore_file {
	struct copse_oscore_context context;
	struct oscore_numbers numbers;
	int lock; /* on the context's file; -1: closed */
};

/* Open what `spec` names: FILE, or FILE,NUMBERS; without, the numbers are in FILE.seq. Both must belong to us or root and
 * be nobody else's to read or write; where NUMBERS is, we must be able to make files. A context whose last user did not
 * end in order needs its window restored (RFC 8613 Appendix B.1.2).
 * Returns 0 (give it to oscore_file_close), or -1 with a sentence in `why` that has no secret. */
int oscore_file_open(struct oscore_file *file, const char *spec, char why[OSCORE_FILE_WHY]);

/* Write the next number and the window, close, wipe. No effect on one that is closed. */
void oscore_file_close(struct oscore_file *file);

#endif
