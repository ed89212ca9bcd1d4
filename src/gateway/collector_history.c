/* Histories: as long as they are, sent while they are read. The store's thread reads a page, the worker answers requests
 * for blocks out of it, and has the next page read when a block is asked for that lies behind. Where a block is there
 * the answer is made at once, else it is deferred.
 *
 * A history belongs to the peer and the request that began it (RFC 7959 §2.4: what it is found by), and is of one state of
 * the store, which its ETag stands for. The page before the newest one is kept: a block that got lost can be had
 * again. For one that lies farther back the reading begins anew, of the same state.
 *
 * Invariants:
 *   - `job` is NULL while the store has it; then only `before` may be looked at.
 *   - Each waiter has a deferred request, which is answered or dropped exactly once.
 *   - A history out of the table that the store still has is freed when it comes back.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_body.h"
#include "collector_state.h"

#include "core/siphash.h"

#include <copse/block.h>
#include <copse/mem.h>

#include <string.h>

#define PAGE_READINGS 16384 /* looked at for one page: an aggregate may be of very many */
#define WAITERS       4     /* requests for blocks of one history that wait; beyond: 5.03 */
#define AT_ONCE       512   /* bytes that surely leave in one block */

struct waiter {
	copse_handle deferred;
	uint32_t offset, size;
};

struct gw_history {
	struct copse_peer peer;
	uint64_t key;    /* of the request */
	uint64_t rights; /* of whom it is for */
	uint8_t etag[COPSE_ETAG_MAX];
	copse_ms used_at;
	struct store_job *job;       /* with the newest page */
	struct store_buffer before;  /* the page before */
	uint64_t before_at, page_at; /* where they begin in the body */
	struct waiter waiter[WAITERS];
	uint32_t waiter_n;
	bool whole;   /* the last page has been read */
	bool at_once; /* and one block was enough for all of it */
	bool removed; /* out of the table */
};

/* In the memory of a job. */
struct reading {
	struct gw_history *history; /* NULL: the answer is collected whole, for Q-Block2 */
	struct gw_body body;
	struct store_cursor cursor;
	uint32_t format;
	bool csv;
	char name[STORE_NAME_MAX + 1];
	const char *device[];
};

static struct reading *reading_of(struct store_job *job)
{
	return (struct reading *)job->room;
}

/* In the store's thread. */
static int render_page(void *user, struct store_buffer *out, const struct store_row *row)
{
	struct reading *r = user;

	gw_body_turn(&r->body, out);
	if (row)
		gw_body_put(&r->body, row->reading, false);
	else if (r->cursor.done)
		gw_body_end(&r->body);
	return r->history && out->len >= GW_HISTORY_PAGE;
}

/* --- jobs --- */

static struct store_job *make_job(const struct copse_request *rq, struct gw_heard *const *device, uint32_t n,
				  const struct gw_readings_query *q)
{
	struct store_job *job =
	    store_job_new(sizeof(struct reading) + n * (sizeof(char *) + STORE_DEVICE_MAX + 1));

	if (!job)
		return NULL;
	struct reading *r = reading_of(job);
	char *at = (char *)&r->device[n];
	r->csv = q->csv;
	r->format = rq->accept;
	gw_body_begin(&r->body, r->format, r->csv, NULL);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(device[i]->id) + 1;
		memcpy(at, device[i]->id, len);
		r->device[i] = at;
		at += len;
	}
	bool one = gw_series_name(rq, r->name);
	job->user = r;
	job->render = render_page;
	job->query = (struct store_query){.subject = STORE_READINGS,
					  .device = r->device,
					  .device_n = n,
					  .name = one ? r->name : NULL,
					  .from = q->from,
					  .to = q->to,
					  .last = q->last,
					  .every = q->every,
					  .agg = q->agg,
					  .cursor = &r->cursor,
					  .page = PAGE_READINGS};
	return job;
}

/* Read from the beginning, of the state that was read before. */
static void rewind_job(struct store_job *job)
{
	struct reading *r = reading_of(job);
	const int64_t ceiling = r->cursor.ceiling;

	gw_body_begin(&r->body, r->format, r->csv, NULL);
	r->cursor = (struct store_cursor){.begun = true, .ceiling = ceiling};
	store_buffer_free(&job->out);
	job->out = (struct store_buffer){0};
}

/* --- the table --- */

static void remove_history(struct gw_collector *c, struct gw_history *h, copse_ms now)
{
	for (unsigned i = 0; i < GW_COLLECTOR_HISTORIES; i++)
		if (c->history[i] == h)
			c->history[i] = NULL;
	for (uint32_t i = 0; i < h->waiter_n; i++)
		copse_server_reply_drop(c->around.server, h->waiter[i].deferred, now);
	h->waiter_n = 0;
	h->removed = true;
	if (!h->job) /* it comes back */
		return;
	store_job_free(h->job);
	store_buffer_free(&h->before);
	copse_mem_free(h);
}

void gw_history_free_all(struct gw_collector *c)
{
	for (unsigned i = 0; i < GW_COLLECTOR_HISTORIES; i++) {
		struct gw_history *h = c->history[i];
		if (!h)
			continue;
		store_job_free(h->job); /* else it was the service's */
		store_buffer_free(&h->before);
		copse_mem_free(h);
		c->history[i] = NULL;
	}
}

static void forget_unused(struct gw_collector *c, copse_ms now)
{
	for (unsigned i = 0; i < GW_COLLECTOR_HISTORIES; i++)
		if (c->history[i] && c->history[i]->used_at + GW_HISTORY_MS <= now)
			remove_history(c, c->history[i], now);
}

/* What makes a request another one: path, query and Accept (RFC 7252 §5.6); blocks do not. */
static uint64_t key_of(const struct gw_collector *c, const struct copse_message *m)
{
	uint64_t key[2] = {c->key[0], c->key[1]};

	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		if (o->number != COPSE_OPTION_URI_PATH && o->number != COPSE_OPTION_URI_QUERY &&
		    o->number != COPSE_OPTION_ACCEPT)
			continue;
		key[0] = core_siphash(key, copse_option_value(m, o), o->len, 2, 4) + o->number;
		key[1] += o->len;
	}
	return key[0] ^ key[1];
}

static struct gw_history *find(const struct gw_collector *c, const struct copse_peer *peer, uint64_t key)
{
	for (unsigned i = 0; i < GW_COLLECTOR_HISTORIES; i++) {
		struct gw_history *h = c->history[i];
		if (h && h->key == key && copse_peer_equal(&h->peer, peer))
			return h;
	}
	return NULL;
}

static bool is_older(const struct gw_history *h, const struct gw_history *than)
{
	return !than || h->used_at < than->used_at;
}

/* A place in the table; one may have to make way. NULL: there is none. */
static struct gw_history **find_place(struct gw_collector *c, const struct copse_peer *peer, copse_ms now)
{
	struct gw_history **place = NULL, *own = NULL, *idle = NULL, *displaced;
	unsigned own_n = 0;

	for (unsigned i = 0; i < GW_COLLECTOR_HISTORIES; i++) {
		struct gw_history *h = c->history[i];
		if (!h) {
			place = &c->history[i];
			continue;
		}
		if (copse_peer_equal(&h->peer, peer)) {
			own_n++;
			own = is_older(h, own) ? h : own;
		}
		if (h->used_at + GW_HISTORY_IDLE_MS <= now && h->waiter_n == 0)
			idle = is_older(h, idle) ? h : idle;
	}
	if (place && own_n < GW_HISTORY_PEER)
		return place;
	displaced = own_n >= GW_HISTORY_PEER || !idle ? own : idle;
	if (!displaced)
		return NULL;
	for (unsigned i = 0; i < GW_COLLECTOR_HISTORIES; i++)
		if (c->history[i] == displaced)
			place = &c->history[i];
	c->counters.displaced++;
	remove_history(c, displaced, now);
	return place;
}

static uint64_t rights_of(const struct copse_request *rq)
{
	struct gw_collector *c = gw_collector_of(rq);

	return c->around.rights(c->around.self, rq->peer, rq->now);
}

static struct gw_history *make_history(struct gw_collector *c, const struct copse_request *rq)
{
	struct gw_history **place = find_place(c, rq->peer, rq->now);
	struct gw_history *h = place ? copse_mem_new(1, sizeof(*h)) : NULL;

	if (!h)
		return NULL;
	h->peer = *rq->peer;
	h->key = key_of(c, rq->message);
	h->rights = rights_of(rq);
	c->histories++;
	const uint64_t tag = core_siphash(c->key, &c->histories, sizeof(c->histories), 2, 4);
	memcpy(h->etag, &tag, sizeof(h->etag));
	*place = h;
	return h;
}

/* --- blocks --- */

/* Which bytes `rq` asks for. Returns false for a block that is none. */
static bool wanted(const struct copse_request *rq, uint32_t *offset, uint32_t *size)
{
	struct copse_block block = {.szx = COPSE_BLOCK_SZX_MAX};

	if (copse_block_read_from(rq->peer, rq->message, COPSE_OPTION_BLOCK2, &block) < 0)
		return false;
	*offset = copse_block_offset(&block);
	*size = copse_request_piece(rq);
	return true;
}

static uint64_t end_of(const struct gw_history *h)
{
	return h->page_at + h->job->out.len;
}

/* Whether the bytes are there, and, behind them, whether there are more. */
static bool is_there(const struct gw_history *h, uint32_t offset, uint32_t size)
{
	return h->job && offset >= h->before_at && (h->whole || (uint64_t)offset + size < end_of(h));
}

static size_t copy_part(uint64_t at, const struct store_buffer *page, uint64_t offset, uint8_t *buf,
			size_t cap)
{
	if (offset < at || offset >= at + page->len)
		return 0;
	size_t n = page->len - (size_t)(offset - at);
	n = n < cap ? n : cap;
	memcpy(buf, page->at + (size_t)(offset - at), n);
	return n;
}

static int read_history(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const struct gw_history *h = user;
	size_t n = copy_part(h->before_at, &h->before, offset, buf, cap);

	n += copy_part(h->page_at, &h->job->out, (uint64_t)offset + n, buf + n, cap - n);
	return (int)n;
}

static void fill(struct copse_response *rs, struct gw_history *h)
{
	const struct reading *r = reading_of(h->job);
	const bool known = h->whole && end_of(h) <= COPSE_BLOCK_BODY_MAX;

	rs->code = COPSE_CODE_CONTENT;
	rs->max_age = 0;
	copse_response_reader(rs, r->body.format, known ? (uint32_t)end_of(h) : COPSE_BODY_UNKNOWN,
			      read_history, NULL, h);
	copse_response_etag(rs, h->etag, sizeof(h->etag));
}

/* --- pages --- */

/* Have the next page read, or go on with the one that is not full. Returns false when the store has no room. */
static bool advance(struct gw_collector *c, struct gw_history *h)
{
	struct store_job *job = h->job;

	if (!store_service_has_room(c->service, job->bytes))
		return false;
	if (job->out.len >= GW_HISTORY_PAGE) {
		store_buffer_free(&h->before);
		h->before = job->out;
		h->before_at = h->page_at;
		h->page_at += h->before.len;
		job->out = (struct store_buffer){0};
	}
	h->job = NULL;
	return store_service_put(c->service, job);
}

static bool rewind_history(struct gw_collector *c, struct gw_history *h)
{
	c->counters.rewound++;
	rewind_job(h->job);
	store_buffer_free(&h->before);
	h->before = (struct store_buffer){0};
	h->before_at = h->page_at = 0;
	h->whole = false;
	return advance(c, h);
}

/* Let a request wait for its block. Returns false when it is answered 5.03. */
static bool await(const struct copse_request *rq, struct copse_response *rs, struct gw_history *h,
		  uint32_t offset, uint32_t size)
{
	struct gw_collector *c = gw_collector_of(rq);
	copse_handle deferred = h->waiter_n < WAITERS ? copse_request_defer(rq) : COPSE_NO_HANDLE;

	if (deferred == COPSE_NO_HANDLE) {
		c->counters.refused_busy++;
		gw_collector_unavailable(rs, STORE_FULL);
		return false;
	}
	h->waiter[h->waiter_n++] = (struct waiter){deferred, offset, size};
	return true;
}

/* Answer those whose block is there. `result` < 0: all of them, by an error. */
static void answer_waiters(struct gw_collector *c, struct gw_history *h, int result, copse_ms now)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < h->waiter_n; i++) {
		const struct waiter w = h->waiter[i];
		struct copse_response rs;
		if (result >= 0 && !is_there(h, w.offset, w.size)) {
			h->waiter[left++] = w;
			continue;
		}
		if (copse_server_reply(c->around.server, w.deferred, &rs) != 0)
			continue;
		if (result < 0)
			gw_collector_unavailable(&rs, result);
		else
			fill(&rs, h);
		h->at_once = h->whole && w.offset == 0 && end_of(h) <= w.size && end_of(h) <= AT_ONCE;
		/* without room in the endpoint the peer has to ask again */
		if (copse_server_reply_send(c->around.server, w.deferred, &rs, now) == COPSE_ERR_NOROOM)
			copse_server_reply_drop(c->around.server, w.deferred, now);
	}
	h->waiter_n = left;
}

/* Read towards the block that the first one waits for. Returns false when the store has no room. */
static bool go_on(struct gw_collector *c, struct gw_history *h)
{
	return h->waiter[0].offset < h->before_at ? rewind_history(c, h) : advance(c, h);
}

static void give_whole(struct gw_collector *c, struct store_job *job, copse_ms now);

bool gw_history_read(struct gw_collector *c, struct store_job *job, copse_ms now)
{
	if (job->render != render_page)
		return false;
	struct reading *r = reading_of(job);
	struct gw_history *h = r->history;
	c->counters.pages++;
	if (!h) {
		give_whole(c, job, now);
		return true;
	}
	h->job = job;
	h->whole = r->cursor.done;
	if (job->result < 0 && !h->removed)
		answer_waiters(c, h, job->out.failed ? STORE_NOMEM : job->result, now);
	if (job->result < 0 || h->removed) {
		remove_history(c, h, now);
		return true;
	}
	if (h->whole || job->out.len >= GW_HISTORY_PAGE)
		answer_waiters(c, h, STORE_OK, now);
	if (h->waiter_n && !go_on(c, h)) {
		answer_waiters(c, h, STORE_FULL, now);
		remove_history(c, h, now);
	} else if (h->at_once) { /* nothing is left to be fetched */
		remove_history(c, h, now);
	}
	forget_unused(c, now);
	return true;
}

/* --- requests --- */

static void refuse(struct gw_collector *c, struct copse_response *rs, int result)
{
	c->counters.refused_busy++;
	gw_collector_unavailable(rs, result);
}

bool gw_history_continue(const struct copse_request *rq, struct copse_response *rs)
{
	struct gw_collector *c = gw_collector_of(rq);
	uint32_t offset, size;
	struct gw_history *h = rq->peer ? find(c, rq->peer, key_of(c, rq->message)) : NULL;

	if (!h || !wanted(rq, &offset, &size))
		return false;
	/* begun anew: of the newest state, or by somebody who may ask for something else than who began it */
	if ((offset == 0 && !(h->page_at == 0 && !h->job)) || h->rights != rights_of(rq)) {
		remove_history(c, h, rq->now);
		return false;
	}
	h->used_at = rq->now;
	if (is_there(h, offset, size))
		fill(rs, h);
	else if (h->job && !store_service_has_room(c->service, h->job->bytes))
		refuse(c, rs, STORE_FULL);
	else if (await(rq, rs, h, offset, size) && h->job)
		go_on(c, h); /* there is room */
	return true;
}

/* With Q-Block2 the server sends blocks by itself: the body must be there as a whole, and there is a bound. */
static void begin_whole(const struct copse_request *rq, struct copse_response *rs, struct store_job *job)
{
	struct gw_collector *c = gw_collector_of(rq);

	reading_of(job)->cursor = (struct store_cursor){0};
	job->query.page = 0;
	job->tag = store_service_has_room(c->service, job->bytes) ? copse_request_defer(rq) : COPSE_NO_HANDLE;
	if (job->tag == COPSE_NO_HANDLE) {
		refuse(c, rs, STORE_FULL);
		store_job_free(job);
		return;
	}
	c->counters.queries++;
	store_service_put(c->service, job);
}

static int read_job(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const struct store_job *job = user;

	return (int)copy_part(0, &job->out, offset, buf, cap);
}

static void release_job(void *user)
{
	store_job_free(user);
}

static void give_whole(struct gw_collector *c, struct store_job *job, copse_ms now)
{
	struct copse_response rs;
	const copse_handle tag = job->tag;

	if (copse_server_reply(c->around.server, tag, &rs) != 0) {
		store_job_free(job);
		return;
	}
	if (job->result < 0) {
		if (job->out.failed)
			copse_response_problem(&rs, COPSE_CODE_BAD_REQUEST, "Answer too long for Q-Block2",
					       "ask without Q-Block2, or for less");
		else
			gw_collector_unavailable(&rs, job->result);
		store_job_free(job);
	} else {
		rs.code = COPSE_CODE_CONTENT;
		rs.max_age = 0;
		copse_response_reader(&rs, reading_of(job)->body.format, (uint32_t)job->out.len, read_job,
				      release_job, job);
	}
	if (copse_server_reply_send(c->around.server, tag, &rs, now) == COPSE_ERR_NOROOM)
		copse_server_reply_drop(c->around.server, tag, now);
}

void gw_history_begin(const struct copse_request *rq, struct copse_response *rs,
		      struct gw_heard *const *device, uint32_t n, const struct gw_readings_query *q)
{
	struct gw_collector *c = gw_collector_of(rq);
	struct store_job *job = c->service ? make_job(rq, device, n, q) : NULL;
	struct gw_history *h;
	uint32_t offset, size;

	if (!job) {
		refuse(c, rs, c->service ? STORE_NOMEM : STORE_STOPPED);
		return;
	}
	if (copse_message_option(rq->message, COPSE_OPTION_Q_BLOCK2)) {
		begin_whole(rq, rs, job);
		return;
	}
	forget_unused(c, rq->now);
	bool room = store_service_has_room(c->service, job->bytes);
	h = room && wanted(rq, &offset, &size) ? make_history(c, rq) : NULL;
	if (!h) {
		refuse(c, rs, STORE_FULL);
		store_job_free(job);
		return;
	}
	h->job = job;
	h->used_at = rq->now;
	reading_of(job)->history = h;
	if (!await(rq, rs, h, offset, size)) {
		remove_history(c, h, rq->now);
		return;
	}
	c->counters.queries++;
	c->counters.histories++;
	advance(c, h); /* there is room */
}
