/* All workers of the gateway, each with its thread.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_GATEWAY_CREW_H
#define COPSE_GATEWAY_CREW_H

#include "gateway/config.h"
#include "gateway/log.h"

struct gw_crew;

/* As many as the configuration says, with their sockets open. `config` becomes the crew's. What goes wrong is
 * logged; returns NULL then, and `config` is gone. */
struct gw_crew *gw_crew_new(struct gw_config *config, struct gw_log *log);

/* Let them run. Returns 0, or an errno. */
int gw_crew_start(struct gw_crew *crew);

/* Use `config` from now on; it is the crew's. */
void gw_crew_adopt(struct gw_crew *crew, struct gw_config *config);

/* Once, of a crew that was started: let what is under way come to its end, for as long as the configuration says, answer the
 * rest, and stop all. */
void gw_crew_end(struct gw_crew *crew);

/* Stop all, close and free everything. NULL is taken. */
void gw_crew_free(struct gw_crew *crew);

#endif
