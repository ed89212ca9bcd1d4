/* See progress.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "progress.h"
#include "report.h"

#include <stdio.h>
#include <unistd.h>

#define AFTER_MS 1000u
#define EVERY_MS 100u
#define WIDTH    30u

void progress_begin(struct progress *p, copse_ms now)
{
	*p = (struct progress){.begun = now};
}

static void draw_bar(uint32_t done, uint32_t size)
{
	unsigned filled = size ? (unsigned)((uint64_t)done * WIDTH / size) : WIDTH;

	fputc('[', stderr);
	for (unsigned i = 0; i < WIDTH; i++)
		fputc(i < filled ? '#' : ' ', stderr);
	fprintf(stderr, "] %3u %%  ", size ? (unsigned)((uint64_t)done * 100 / size) : 100u);
}

void progress_show(struct progress *p, copse_ms now, const char *what, uint32_t done, uint32_t size)
{
	if (now - p->begun < AFTER_MS || (p->shown && now - p->shown < EVERY_MS))
		return;
	if (report_is_quiet() || !isatty(STDERR_FILENO))
		return;
	p->shown = now;
	fprintf(stderr, "\r\033[K%s ", what);
	if (size != UINT32_MAX && done <= size)
		draw_bar(done, size);
	fprintf(stderr, "%u bytes, %u/s", done, (unsigned)((uint64_t)done * 1000 / (now - p->begun)));
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = 0;
}
