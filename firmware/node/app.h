/* What an image does: app_monitor.c or app_plugtest.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef NODE_APP_H
#define NODE_APP_H

#include <copse/small.h>

extern const struct copse_small_resource app_resources[];

void app_init(struct copse_small *node);

/* Do what is due. Returns the milliseconds until there is more to do. */
copse_small_ms app_run(struct copse_small *node, copse_small_ms now);

#endif
