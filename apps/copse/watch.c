/* See watch.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "watch.h"
#include "output.h"
#include "report.h"

#define RETRY_MS     1000u /* after an observation that once stood was lost; each time twice as long */
#define RETRY_MAX_MS 30000u
#define CANCEL_MS    5000u /* how long the answer to the cancellation is waited for */

struct watch {
	const struct watch_task *task;
	struct net net;
	struct exchange_bodies bodies;
	struct buffer body;
	copse_handle handle;
	size_t address; /* which of the target's is tried */
	bool taken;     /* a state has been shown */
	bool stopping;
	bool running; /* a call is under way */
	int code;     /* how it ends */
	uint32_t retry_ms;
	struct copse_timer retry, end, first, cancel;
};

static void begin(struct watch *w, copse_ms now);

/* ---- ending ---- */

static void finish(struct watch *w, int code)
{
	if (w->code == EXIT_OK)
		w->code = code;
	net_stop(&w->net);
}

/* Cancel, and end when that is answered. */
static void stop(struct watch *w, int code, copse_ms now)
{
	if (w->code == EXIT_OK)
		w->code = code;
	if (w->stopping)
		return;
	w->stopping = true;
	copse_loop_clear(w->net.loop, &w->retry);
	copse_loop_clear(w->net.loop, &w->end);
	if (!w->running || copse_client_stop(w->net.client, w->handle, now)) {
		net_stop(&w->net);
		return;
	}
	/* A registration that nobody has answered yet is forgotten, not cancelled. */
	if (!w->taken)
		net_stop(&w->net);
	copse_loop_set(w->net.loop, &w->cancel, now + CANCEL_MS);
}

static void on_interrupted(void *self, copse_ms now)
{
	stop(self, EXIT_OK, now);
}

static void on_end(void *self, copse_ms now)
{
	stop(self, EXIT_OK, now);
}

static void on_cancel(void *self, copse_ms now)
{
	struct watch *w = self;

	(void)now;
	net_stop(&w->net);
}

static void on_first(void *self, copse_ms now)
{
	struct watch *w = self;

	if (!w->taken && !w->stopping)
		stop(w, exchange_report(w->task->target, COPSE_ERR_TIMEOUT), now);
}

/* ---- what the client tells ---- */

static void on_notification(struct watch *w, const struct copse_client_event *e, copse_ms now)
{
	if (w->stopping)
		return;
	w->body.len = e->received;
	w->taken = true;
	w->retry_ms = RETRY_MS;
	int code = w->task->show(w->task->self, e, &w->body);
	if (code)
		stop(w, code == WATCH_ENOUGH ? EXIT_OK : code, now);
}

/* Once more, after a while. It is said once, however often that has to be. */
static void again(struct watch *w, const char *why, copse_ms now)
{
	if (w->retry_ms == RETRY_MS)
		report_note("%s: %s; trying again until it is there", w->task->target->text, why);
	copse_loop_set(w->net.loop, &w->retry, now + w->retry_ms);
	w->retry_ms = w->retry_ms * 2 < RETRY_MAX_MS ? w->retry_ms * 2 : RETRY_MAX_MS;
}

static bool may_pass(const struct watch *w, uint8_t code)
{
	return w->task->patient && w->taken && (code == COPSE_CODE_NOT_FOUND || copse_code_class(code) == 5);
}

/* The observation is over by the server's word. */
static void on_response(struct watch *w, const struct copse_client_event *e, copse_ms now)
{
	struct answer answer = {.datagram = NULL};
	char code[COPSE_CODE_TEXT_LEN];

	if (w->stopping) {
		net_stop(&w->net);
	} else if (may_pass(w, e->message->code)) {
		again(w, copse_code_print(e->message->code, code, sizeof(code)), now);
	} else if (copse_code_is_success(e->message->code)) {
		w->body.len = e->received;
		int err = w->task->show(w->task->self, e, &w->body);
		finish(w, err > 0 ? err
				  : report_error(EXIT_OTHER, "%s cannot be observed", w->task->target->text));
	} else {
		finish(w, answer_keep(&answer, e->message, e->peer)
			      ? output_error(&answer)
			      : report_error(EXIT_OTHER, "out of memory"));
		answer_free(&answer);
	}
}

static void on_failed(struct watch *w, const struct copse_client_event *e, copse_ms now)
{
	const struct target *target = w->task->target;

	if (w->stopping) {
		net_stop(&w->net);
	} else if (w->taken) {
		again(w, copse_err_text(e->error), now);
	} else if (e->error == COPSE_ERR_TRANSPORT && w->address + 1 < target->address_n) {
		w->address++;
		begin(w, now);
	} else {
		finish(w, exchange_report(target, e->error));
	}
}

static void on_told(void *self, const struct copse_client_event *e, copse_ms now)
{
	struct watch *w = self;

	switch (e->kind) {
	case COPSE_CLIENT_PROGRESS: return;
	case COPSE_CLIENT_NOTIFICATION: on_notification(w, e, now); return;
	case COPSE_CLIENT_RESPONSE:
		w->running = false;
		on_response(w, e, now);
		return;
	case COPSE_CLIENT_FAILED:
		w->running = false;
		on_failed(w, e, now);
		return;
	}
}

/* ---- beginning ---- */

static void begin(struct watch *w, copse_ms now)
{
	struct copse_peer peer;
	struct copse_call call;
	int err = COPSE_ERR_TRANSPORT;

	for (; err == COPSE_ERR_TRANSPORT && w->address < w->task->target->address_n; w->address++) {
		err = net_peer(&w->net, &w->task->target->address[w->address], &peer);
		if (!err)
			break;
		err = COPSE_ERR_TRANSPORT;
	}
	if (!err) {
		w->bodies.in = &w->body;
		exchange_call(&call, w->task->request, &peer, &w->bodies);
		call.flags |= COPSE_CALL_OBSERVE;
		err = copse_client_start(w->net.client, &call, now, &w->handle);
	}
	w->running = err == 0;
	if (err)
		finish(w, exchange_report(w->task->target, err));
}

static void on_retry(void *self, copse_ms now)
{
	begin(self, now);
}

static void set_timers(struct watch *w, copse_ms now)
{
	w->retry = (struct copse_timer){.due = on_retry, .self = w};
	w->end = (struct copse_timer){.due = on_end, .self = w};
	w->first = (struct copse_timer){.due = on_first, .self = w};
	w->cancel = (struct copse_timer){.due = on_cancel, .self = w};
	if (w->task->until != COPSE_NEVER)
		copse_loop_set(w->net.loop, &w->end, now + w->task->until);
	if (w->task->target->limit_ms != COPSE_NEVER)
		copse_loop_set(w->net.loop, &w->first, now + w->task->target->limit_ms);
}

int watch_run(const struct watch_task *task)
{
	struct watch w = {.task = task, .retry_ms = RETRY_MS};
	const struct net_listener listener = {.told = on_told, .interrupted = on_interrupted, .self = &w};
	int code = net_open(&w.net, &task->target->net);

	if (code)
		return code;
	set_timers(&w, copse_clock_ms());
	begin(&w, copse_loop_now(w.net.loop));
	if (w.running)
		net_run(&w.net, &listener, COPSE_NEVER);
	code = net_close(&w.net, w.code);
	buffer_free(&w.body);
	return code;
}
