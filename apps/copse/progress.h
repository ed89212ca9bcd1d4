/* A bar on a terminal for a transfer by blocks that takes longer than a second.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_PROGRESS_H
#define COPSE_TOOL_PROGRESS_H

#include <copse/types.h>

struct progress {
	copse_ms begun;
	copse_ms shown; /* when it was drawn last; 0: never */
};

void progress_begin(struct progress *p, copse_ms now);

/* `done` of `size` bytes have been moved; `size` UINT32_MAX: nobody knows how many there are. */
void progress_show(struct progress *p, copse_ms now, const char *what, uint32_t done, uint32_t size);

/* Wipe it off. */
void progress_end(struct progress *p);

#endif
