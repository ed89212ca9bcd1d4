/* A worker with its thread: loop, host, sockets.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_GATEWAY_THREAD_H
#define COPSE_GATEWAY_THREAD_H

#include "gateway/config.h"
#include "gateway/log.h"

struct gw_thread;

/* Open the sockets and make the worker. `config` becomes the thread's. What goes wrong is logged.
 * Returns NULL then; `config` stays the caller's. */
struct gw_thread *gw_thread_new(struct gw_config *config, struct gw_log *log);

/* Let it run. Returns 0, or an errno. */
int gw_thread_start(struct gw_thread *thread);

/* From the thread that started it: use `config` from now on; it is the thread's. */
void gw_thread_adopt(struct gw_thread *thread, struct gw_config *config);

/* Stop it if it was started, close everything, free it and its configuration. NULL is taken. */
void gw_thread_free(struct gw_thread *thread);

#endif
