/* What a load is told of: a line a second while it runs, and the result as text or JSON.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LOAD_REPORT_H
#define COPSE_TOOL_LOAD_REPORT_H

#include "load.h"

struct load_about {
	const char *verb, *uri;
	uint32_t clients, window;
	double rate;
	bool confirmable, observes;
	const char *scheme;                  /* of the wire */
	bool stream;                         /* its messages are neither confirmable nor not */
	bool connected;                      /* it has connections */
	uint64_t last_answers, last_elapsed; /* of the line before */
};

/* For load_work.progress; `user` is a struct load_about. */
void load_report_progress(void *user, const struct load_result *r);

void load_report_text(const struct load_about *about, const struct load_result *r);
void load_report_json(const struct load_about *about, const struct load_result *r);

/* 0 when there was a success; else by what there was most of. */
int load_report_code(const struct load_result *r);

#endif
