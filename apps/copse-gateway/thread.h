/* A worker with its thread: loop, host, sockets.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_GATEWAY_THREAD_H
#define COPSE_GATEWAY_THREAD_H

#include "gateway/config.h"
#include "gateway/crossing.h"
#include "gateway/log.h"

#include <stdatomic.h>

struct gw_thread;
struct copse_handshake_pool;

/* A configuration that several threads use; the last one to let it go frees it. */
struct gw_snapshot {
	struct gw_config *config;
	_Atomic unsigned holders;
};

/* Held `holders` times; `config` becomes the snapshot's. Returns NULL without memory. */
struct gw_snapshot *gw_snapshot_new(struct gw_config *config, unsigned holders);
void gw_snapshot_let_go(struct gw_snapshot *snapshot); /* NULL is taken */

/* Open the sockets and make the worker: number `number` of those that share `cross` (NULL: the only one). `first` is the
 * first worker's thread, whose addresses it takes; NULL: it is the first. `pool` makes handshakes and is freed after the
 * thread; NULL: there is none. One hold of `snapshot` becomes the thread's. What goes wrong is logged. Returns NULL
 * then; the hold stays the caller's. */
struct gw_thread *gw_thread_new(struct gw_snapshot *snapshot, struct gw_log *log, struct gw_crossing *cross,
				struct copse_handshake_pool *pool, unsigned number,
				const struct gw_thread *first);

/* Let it run. Returns 0, or an errno. */
int gw_thread_start(struct gw_thread *thread);

/* From the thread that started it: use `snapshot` from now on; a hold of it is the thread's. */
void gw_thread_adopt(struct gw_thread *thread, struct gw_snapshot *snapshot);

/* From the thread that started it, once: let what is under way come to its end (worker.h). Then `told` is called in the
 * thread, which goes on all the same: answers of others may have to leave by its sockets. */
void gw_thread_end(struct gw_thread *thread, void (*told)(void *self), void *self);

/* From any thread: it tells those who wait that no answer comes, and ends. */
void gw_thread_halt(struct gw_thread *thread);

/* Wait until it has ended, if it was started. */
void gw_thread_wait(struct gw_thread *thread);

/* When all have ended: what came by the rings last is taken, and what is to be sent leaves; nothing else is taken. */
void gw_thread_pass_on(struct gw_thread *thread);

/* Stop it, close everything, free it and let its snapshot go. NULL is taken. */
void gw_thread_free(struct gw_thread *thread);

#endif
