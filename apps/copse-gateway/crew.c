/* See crew.h. Every socket is bound before the first thread runs: the system spreads clients by how many there are.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "crew.h"

#include "thread.h"

#include <copse/dtls.h>
#include <copse/mem.h>

#include <sched.h>
#include <stdatomic.h>

struct gw_crew {
	struct gw_crossing *cross;    /* NULL: there is one worker */
	struct copse_handshake_pool *pool; /* NULL: workers make all handshakes themselves */
	struct gw_log *log;
	unsigned n;
	struct gw_thread *thread[GW_WORKERS_MAX];
	_Atomic unsigned at_work; /* threads that have something under way */
};

/* Cores that this process may use. */
static unsigned cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n < GW_WORKERS_MAX ? (unsigned)n : GW_WORKERS_MAX;
}

/* Returns false when something went wrong; holds that no thread has are let go. */
static bool make_threads(struct gw_crew *crew, struct gw_snapshot *snapshot)
{
	for (unsigned i = 0; i < crew->n; i++) {
		crew->thread[i] = gw_thread_new(snapshot, crew->log, crew->cross, crew->pool, i,
						i ? crew->thread[0] : NULL);
		if (crew->thread[i])
			continue;
		for (unsigned k = i; k < crew->n; k++)
			gw_snapshot_let_go(snapshot);
		return false;
	}
	return true;
}

/* Handshakes that cost much are made beside the workers, where there is a secure side at all. */
static bool make_pool(struct gw_crew *crew, const struct gw_config *c)
{
	if (!c->handshake_helpers || (!c->client_keys && !c->mesh_keys))
		return true;
	crew->pool = copse_handshake_pool_new(c->handshake_helpers, c->handshakes);
	return crew->pool != NULL;
}

struct gw_crew *gw_crew_new(struct gw_config *config, struct gw_log *log)
{
	struct gw_crew *crew = copse_mem_new(1, sizeof(*crew));
	unsigned n = config->workers ? config->workers : cores();
	struct gw_snapshot *snapshot = gw_snapshot_new(config, n);
	char workers[GW_LOG_NUMBER];

	if (crew && n > 1)
		crew->cross = gw_crossing_new(n, config->sessions_max, config->spread == GW_SPREAD_ADDRESS);
	if (!crew || !snapshot || (n > 1 && !crew->cross) || !make_pool(crew, config)) {
		gw_log(log, GW_LOG_ERROR, "gateway", "out of memory, or no threads are to be had");
		if (snapshot)
			copse_mem_free(snapshot);
		gw_config_free(config);
		copse_mem_free(crew);
		return NULL;
	}
	crew->log = log;
	crew->n = n;
	if (n > 1)
		gw_log(log, GW_LOG_INFO, "gateway", "workers", {"n", gw_log_number(workers, n)});
	if (make_threads(crew, snapshot))
		return crew;
	gw_crew_free(crew);
	return NULL;
}

int gw_crew_start(struct gw_crew *crew)
{
	for (unsigned i = 0; i < crew->n; i++) {
		int err = gw_thread_start(crew->thread[i]);
		if (err)
			return err;
	}
	return 0;
}

void gw_crew_adopt(struct gw_crew *crew, struct gw_config *config)
{
	struct gw_snapshot *snapshot = gw_snapshot_new(config, crew->n);

	if (!snapshot) {
		gw_log(crew->log, GW_LOG_ERROR, "config", "out of memory: everything stays as it was");
		gw_config_free(config);
		return;
	}
	for (unsigned i = 0; i < crew->n; i++)
		gw_thread_adopt(crew->thread[i], snapshot);
}

static void halt_all(struct gw_crew *crew)
{
	for (unsigned i = 0; i < crew->n && crew->thread[i]; i++)
		gw_thread_halt(crew->thread[i]);
}

/* In a worker's thread. */
static void ended(void *self)
{
	struct gw_crew *crew = self;

	if (atomic_fetch_sub(&crew->at_work, 1) == 1)
		halt_all(crew);
}

/* From a socket to the first worker, from there to the owner of a device that only the directory knows, and the answer
 * back to the socket: what was in the rings is out of them then. */
#define HOPS 3

void gw_crew_end(struct gw_crew *crew)
{
	atomic_store(&crew->at_work, crew->n);
	for (unsigned i = 0; i < crew->n; i++)
		gw_thread_end(crew->thread[i], ended, crew);
	for (unsigned i = 0; i < crew->n; i++)
		gw_thread_wait(crew->thread[i]);
	for (unsigned hop = 0; hop < HOPS; hop++)
		for (unsigned i = 0; i < crew->n; i++)
			gw_thread_pass_on(crew->thread[i]);
}

/* Nothing is freed before all have stopped: they reach into one another's rings. */
void gw_crew_free(struct gw_crew *crew)
{
	if (!crew)
		return;
	halt_all(crew);
	for (unsigned i = 0; i < crew->n && crew->thread[i]; i++)
		gw_thread_wait(crew->thread[i]);
	for (unsigned i = 0; i < crew->n; i++)
		gw_thread_free(crew->thread[i]);
	gw_crossing_free(crew->cross);
	copse_handshake_pool_free(crew->pool);
	copse_mem_free(crew);
}
