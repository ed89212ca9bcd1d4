/* What a security context must not forget: the next number to send under, and which numbers have come (RFC 8613 §7.5,
 * Appendix B.1). Kept in a small text file:
 *
 *	context 6f1c55aa0f3be2d4     of which context the window is
 *	next 192                     never used: begin there
 *	window 17 1ffff              only while nobody uses the context: one more than the highest that came, and which did
 *
 * Numbers are reserved some at a time, and written before the first is used: after a crash some are skipped, none is used
 * twice. The window is taken out before the context is used, and put back in the end: after a crash it is not known, and
 * requests are taken again from one that proves to be fresh. A file is replaced as a whole: written beside, synced, renamed,
 * and the folder synced, so that whatever is cut off, the old or the new one is there.
 *
 * The caller holds the context's lock.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef APPS_OSCORE_NUMBERS_H
#define APPS_OSCORE_NUMBERS_H

#include "file.h"

/* Let `context` go on where the file at `numbers->path` says, or begin where there is none; from now on `numbers` is
 * asked for more, `step` at a time. `restore`: a window that is not known is restored by Echo, else taken as empty.
 * The number is kept even if the context has become another one: what goes up only cannot be used twice. Not so the
 * window. Returns 0, or -1 with a sentence in `why`. */
int numbers_begin(struct oscore_numbers *numbers, struct copse_oscore_context *context, uint32_t step,
		  bool restore, char why[OSCORE_FILE_WHY]);

/* Keep what has not been used, and the window. Should that fail, the next user skips some and restores the window. */
void numbers_end(struct oscore_numbers *numbers, const struct copse_oscore_context *context);

#endif
