/* Reading a store's file, without a gateway or beside a running one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_EXPORT_STORE_H
#define COPSE_TOOL_EXPORT_STORE_H

#include "sink.h"

/* Which readings: of one device, or NULL; of one of its series, or NULL; from <= time < to. */
struct export_query {
	const char *device, *name;
	int64_t from, to;
};

/* Write all of them to `sink` as one pack. Returns 0, or an exit code after an error that has been
 * reported. */
int export_store(const char *path, const struct export_query *query, struct sink *sink);

#endif
