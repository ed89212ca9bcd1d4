/* observe: follow a resource (RFC 7641), one line a notification, until told to end; then the observation is cancelled.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "describe.h"
#include "output.h"
#include "pretty.h"
#include "report.h"
#include "run_command.h"
#include "text.h"

#include <copse/format.h>

#include <errno.h>
#include <string.h>

#define RETRY_MS  30000u /* after an observation that once stood was lost */
#define CANCEL_MS 5000u  /* how long the answer to the cancellation is waited for */

struct watch {
	const struct args *args;
	const struct target *target;
	const struct request *request;
	struct net net;
	FILE *out;
	struct exchange_bodies bodies;
	struct buffer body;
	copse_handle handle;
	size_t address; /* which of the target's is tried */
	uint32_t count; /* notifications to take, 0: endless */
	uint32_t taken;
	bool stopping;
	bool running; /* a call is under way */
	int code;     /* how it ends */
	struct copse_timer retry, end, first, cancel;
};

static void begin(struct watch *w, copse_ms now);

/* ---- showing ---- */

static void print_json(struct watch *w, const struct copse_client_event *e)
{
	json_t *o = describe_json(e->message);
	char peer[COPSE_ADDRESS_TEXT];

	output_add_payload(o, w->body.bytes, w->body.len);
	json_object_set_new(o, "peer", json_string(copse_peer_text(e->peer, peer, sizeof(peer))));
	json_dumpf(o, w->out, JSON_COMPACT);
	fputc('\n', w->out);
	json_decref(o);
}

static void print_line(struct watch *w, const struct copse_message *m)
{
	uint32_t format = copse_message_uint(m, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_NONE);
	size_t len = w->body.len;

	if (args_count(w->args, ARG_INCLUDE))
		describe_head(w->out, m);
	if (args_count(w->args, ARG_PRETTY) && pretty_print(w->out, format, w->body.bytes, len))
		return;
	while (len && w->body.bytes[len - 1] == '\n')
		len--;
	if (text_is_text(w->body.bytes, len))
		text_print(w->out, w->body.bytes, len, true);
	else
		text_print_hex(w->out, w->body.bytes, len);
	fputc('\n', w->out);
}

static int run_exec(struct watch *w, const struct copse_client_event *e)
{
	char code[COPSE_CODE_TEXT_LEN], sequence[16];
	const char *const environment[][2] = {
	    {"COPSE_URI", w->target->text},
	    {"COPSE_CODE", copse_code_print(e->message->code, code, sizeof(code))},
	    {"COPSE_SEQUENCE", sequence},
	    {NULL, NULL}};

	snprintf(sequence, sizeof(sequence), "%u", copse_message_uint(e->message, COPSE_OPTION_OBSERVE, 0));
	return run_command(args_value(w->args, ARG_EXEC), w->body.bytes, w->body.len, environment);
}

static int show(struct watch *w, const struct copse_client_event *e)
{
	if (args_count(w->args, ARG_EXEC))
		return run_exec(w, e);
	if (args_count(w->args, ARG_JSON))
		print_json(w, e);
	else
		print_line(w, e->message);
	if (fflush(w->out) || ferror(w->out))
		return report_error(EXIT_OTHER, "cannot write: %s", strerror(errno));
	return 0;
}

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
		stop(w, exchange_report(w->target, COPSE_ERR_TIMEOUT), now);
}

/* ---- what the client tells ---- */

static void on_notification(struct watch *w, const struct copse_client_event *e, copse_ms now)
{
	if (w->stopping)
		return;
	w->body.len = e->received;
	w->taken++;
	int code = show(w, e);
	if (code || w->taken == w->count)
		stop(w, code, now);
}

/* The observation is over by the server's word. */
static void on_response(struct watch *w, const struct copse_client_event *e)
{
	struct answer answer = {.datagram = NULL};

	if (w->stopping) {
		net_stop(&w->net);
		return;
	}
	if (copse_code_is_success(e->message->code)) {
		w->body.len = e->received;
		int code = show(w, e);
		finish(w, code ? code : report_error(EXIT_OTHER, "%s cannot be observed", w->target->text));
		return;
	}
	if (answer_keep(&answer, e->message, e->peer))
		finish(w, output_error(&answer));
	else
		finish(w, report_error(EXIT_OTHER, "out of memory"));
	answer_free(&answer);
}

static void on_failed(struct watch *w, const struct copse_client_event *e, copse_ms now)
{
	if (w->stopping) {
		net_stop(&w->net);
	} else if (w->taken) {
		report_note("%s: %s; trying again in %u s", w->target->text, copse_err_text(e->error),
			    RETRY_MS / 1000);
		copse_loop_set(w->net.loop, &w->retry, now + RETRY_MS);
	} else if (e->error == COPSE_ERR_TRANSPORT && w->address + 1 < w->target->address_n) {
		w->address++;
		begin(w, now);
	} else {
		finish(w, exchange_report(w->target, e->error));
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
		on_response(w, e);
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

	for (; err == COPSE_ERR_TRANSPORT && w->address < w->target->address_n; w->address++) {
		err = net_peer(&w->net, &w->target->address[w->address], &peer);
		if (!err)
			break;
		err = COPSE_ERR_TRANSPORT;
	}
	if (!err) {
		w->bodies.in = &w->body;
		exchange_call(&call, w->request, &peer, &w->bodies);
		call.flags |= COPSE_CALL_OBSERVE;
		err = copse_client_start(w->net.client, &call, now, &w->handle);
	}
	w->running = err == 0;
	if (err)
		finish(w, exchange_report(w->target, err));
}

static void on_retry(void *self, copse_ms now)
{
	begin(self, now);
}

static void set_timers(struct watch *w, copse_ms until, copse_ms now)
{
	w->retry = (struct copse_timer){.due = on_retry, .self = w};
	w->end = (struct copse_timer){.due = on_end, .self = w};
	w->first = (struct copse_timer){.due = on_first, .self = w};
	w->cancel = (struct copse_timer){.due = on_cancel, .self = w};
	if (until != COPSE_NEVER)
		copse_loop_set(w->net.loop, &w->end, now + until);
	if (w->target->limit_ms != COPSE_NEVER)
		copse_loop_set(w->net.loop, &w->first, now + w->target->limit_ms);
}

static int watch(struct watch *w, copse_ms until)
{
	const struct net_listener listener = {.told = on_told, .interrupted = on_interrupted, .self = w};
	int code = net_open(&w->net, &w->target->net);

	if (code)
		return code;
	copse_ms now = copse_clock_ms();
	set_timers(w, until, now);
	begin(w, copse_loop_now(w->net.loop));
	if (w->running)
		net_run(&w->net, &listener, COPSE_NEVER);
	code = net_close(&w->net, w->code);
	run_command_wait();
	return code;
}

static int open_output(struct watch *w)
{
	const char *path = args_value(w->args, ARG_OUTPUT);

	w->out = !path || strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	return w->out ? 0 : report_error(EXIT_OTHER, "cannot write %s: %s", path, strerror(errno));
}

static int run(struct watch *w)
{
	copse_ms until;
	int code = args_number(w->args, ARG_COUNT, 1, UINT32_MAX, 0, &w->count);

	if (!code)
		code = args_span(w->args, ARG_FOR, COPSE_NEVER, &until);
	if (!code && w->request->flags & (COPSE_CALL_SILENT | COPSE_CALL_ONE_BLOCK))
		code = report_error(EXIT_OTHER,
				    "observe needs whole answers: neither --no-response nor one block alone");
	if (!code)
		code = open_output(w);
	if (code)
		return code;
	code = watch(w, until);
	if (w->out != stdout && fclose(w->out) && !code)
		code = report_error(EXIT_OTHER, "cannot write %s: %s", args_value(w->args, ARG_OUTPUT),
				    strerror(errno));
	buffer_free(&w->body);
	return code;
}

int command_observe(const struct args *args)
{
	struct target target;
	struct request request;

	int code = target_find(&target, args, args->operand[0], false);
	if (code)
		return code;
	/* --timeout is for the first answer; notifications come when they come. */
	code = request_make(&request, args, &target);
	if (!code) {
		struct watch w = {.args = args, .target = &target, .request = &request};
		code = run(&w);
		request_free(&request);
	}
	target_close(&target);
	return code;
}
