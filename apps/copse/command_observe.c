/* observe: follow a resource (RFC 7641), one line a notification, until told to end; then the observation is cancelled.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "describe.h"
#include "output.h"
#include "pretty.h"
#include "report.h"
#include "run_command.h"
#include "text.h"
#include "watch.h"

#include <copse/format.h>

#include <errno.h>
#include <string.h>

struct showing {
	const struct args *args;
	const struct target *target;
	FILE *out;
	uint32_t count; /* notifications to take, 0: endless */
	uint32_t taken;
};

static void print_json(struct showing *s, const struct copse_client_event *e, const struct buffer *body)
{
	json_t *o = describe_json(e->message);
	char peer[COPSE_ADDRESS_TEXT];

	output_add_payload(o, body->bytes, body->len);
	json_object_set_new(o, "peer", json_string(copse_peer_text(e->peer, peer, sizeof(peer))));
	json_dumpf(o, s->out, JSON_COMPACT);
	fputc('\n', s->out);
	json_decref(o);
}

static void print_line(struct showing *s, const struct copse_message *m, const struct buffer *body)
{
	uint32_t format = copse_message_uint(m, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_NONE);
	size_t len = body->len;

	if (args_count(s->args, ARG_INCLUDE))
		describe_head(s->out, m);
	if (args_count(s->args, ARG_PRETTY) && pretty_print(s->out, format, body->bytes, len))
		return;
	while (len && body->bytes[len - 1] == '\n')
		len--;
	if (text_is_text(body->bytes, len))
		text_print(s->out, body->bytes, len, true);
	else
		text_print_hex(s->out, body->bytes, len);
	fputc('\n', s->out);
}

static int run_exec(struct showing *s, const struct copse_client_event *e, const struct buffer *body)
{
	char code[COPSE_CODE_TEXT_LEN], sequence[16];
	const char *const environment[][2] = {
	    {"COPSE_URI", s->target->text},
	    {"COPSE_CODE", copse_code_print(e->message->code, code, sizeof(code))},
	    {"COPSE_SEQUENCE", sequence},
	    {NULL, NULL}};

	snprintf(sequence, sizeof(sequence), "%u", copse_message_uint(e->message, COPSE_OPTION_OBSERVE, 0));
	return run_command(args_value(s->args, ARG_EXEC), body->bytes, body->len, environment);
}

static int show(void *self, const struct copse_client_event *e, const struct buffer *body)
{
	struct showing *s = self;
	int code = 0;

	s->taken++;
	if (args_count(s->args, ARG_EXEC))
		code = run_exec(s, e, body);
	else if (args_count(s->args, ARG_JSON))
		print_json(s, e, body);
	else
		print_line(s, e->message, body);
	if (fflush(s->out) || ferror(s->out))
		return report_error(EXIT_OTHER, "cannot write: %s", strerror(errno));
	return code ? code : s->taken == s->count ? WATCH_ENOUGH : 0;
}

static int open_output(struct showing *s)
{
	const char *path = args_value(s->args, ARG_OUTPUT);

	s->out = !path || strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	return s->out ? 0 : report_error(EXIT_OTHER, "cannot write %s: %s", path, strerror(errno));
}

static int run(struct showing *s, const struct request *request)
{
	struct watch_task task = {.target = s->target, .request = request, .show = show, .self = s};
	int code = args_number(s->args, ARG_COUNT, 1, UINT32_MAX, 0, &s->count);

	if (!code)
		code = args_span(s->args, ARG_FOR, COPSE_NEVER, &task.until);
	if (!code && request->flags & (COPSE_CALL_SILENT | COPSE_CALL_ONE_BLOCK))
		code = report_error(EXIT_OTHER,
				    "observe needs whole answers: neither --no-response nor one block alone");
	if (!code)
		code = open_output(s);
	if (code)
		return code;
	code = watch_run(&task);
	run_command_wait();
	if (s->out != stdout && fclose(s->out) && !code)
		code = report_error(EXIT_OTHER, "cannot write %s: %s", args_value(s->args, ARG_OUTPUT),
				    strerror(errno));
	return code;
}

int command_observe(const struct args *args)
{
	struct target target;
	struct request request;

	int code = target_find(&target, args, args->operand[0], false);
	if (code)
		return code;
	code = request_make(&request, args, &target);
	if (!code) {
		struct showing s = {.args = args, .target = &target};
		code = run(&s, &request);
		request_free(&request);
	}
	target_close(&target);
	return code;
}
