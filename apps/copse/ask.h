/* Asking the gateway's collector: /devices and what stands below.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_ASK_H
#define COPSE_TOOL_ASK_H

#include "exchange.h"
#include "watch.h"

#define ASK_PATH_MAX 1024 /* of a path with its query */

/* A path and query being written; what does not fit sets `failed`. */
struct ask_path {
	char text[ASK_PATH_MAX];
	size_t len;
	unsigned queries;
	bool failed;
};

/* Append text as it stands; text in which what may not stand in a segment is percent-encoded (with
 * `slashes` a slash may); an argument of the query. */
void ask_add(struct ask_path *path, const char *text);
void ask_add_segment(struct ask_path *path, const char *text, bool slashes);
void ask_add_query(struct ask_path *path, const char *name, const char *value);

/* The same for a time, in microseconds since 1970, and a span, in microseconds. */
void ask_add_time(struct ask_path *path, const char *name, int64_t us);

/* The path of what the operands name, DEVICE [NAME], or with --type or --group of many devices, [NAME];
 * `*name` is which of their series, NULL for all. Returns 0 or an exit code. */
int ask_path_of(struct ask_path *path, const struct args *args, const char **name);

/* GET `path` of the gateway, with an Accept of `accept` (-1: none). An answer that is no 2.xx has been
 * reported. Returns 0 with `answer` (give it to answer_free), or an exit code. */
int ask_gateway(const struct args *args, const struct ask_path *path, int accept, struct answer *answer);

/* Follow `path` of the gateway as `task` says, whose target and request are filled in here. Returns the exit code. */
int ask_follow(const struct args *args, const struct ask_path *path, int accept, struct watch_task *task);

#endif
