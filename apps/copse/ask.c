/* See ask.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ask.h"
#include "output.h"
#include "report.h"

#include <string.h>

void ask_add(struct ask_path *path, const char *text)
{
	size_t n = strlen(text);

	if (path->failed || n >= sizeof(path->text) - path->len) {
		path->failed = true;
		return;
	}
	memcpy(path->text + path->len, text, n + 1);
	path->len += n;
}

/* RFC 3986 §3.3: unreserved characters, and those that have no other meaning in a segment. */
static bool stands(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~:@!$'()*,;=", c));
}

void ask_add_segment(struct ask_path *path, const char *text, bool slashes)
{
	for (; *text; text++) {
		char piece[4];
		if (stands(*text) || (slashes && *text == '/'))
			snprintf(piece, sizeof(piece), "%c", *text);
		else
			snprintf(piece, sizeof(piece), "%%%02X", (unsigned char)*text);
		ask_add(path, piece);
	}
}

void ask_add_query(struct ask_path *path, const char *name, const char *value)
{
	ask_add(path, path->queries++ ? "&" : "?");
	ask_add(path, name);
	ask_add(path, "=");
	ask_add_segment(path, value, true);
}

void ask_add_time(struct ask_path *path, const char *name, int64_t us)
{
	char text[40];

	/* to the gateway a minus means "before now" */
	us = us < 0 ? 0 : us;
	snprintf(text, sizeof(text), "%lld.%06d", (long long)(us / 1000000), (int)(us % 1000000));
	ask_add_query(path, name, text);
}

int ask_path_of(struct ask_path *path, const struct args *args, const char **name)
{
	const char *type = args_value(args, ARG_TYPE), *group = args_value(args, ARG_OF_GROUP);
	unsigned devices = type || group ? 0 : 1;

	*path = (struct ask_path){.len = 0};
	*name = NULL;
	if (type && group)
		return report_error(EXIT_OTHER, "--type and --group exclude one another");
	if (args->operand_n < devices)
		return report_error(EXIT_OTHER, "DEVICE is missing, or --type, or --group");
	if (args->operand_n > devices + 1)
		return report_error(EXIT_OTHER, "with --%s there is no DEVICE: %s is one argument too many",
				    type ? "type" : "group", args->operand[1]);
	if (args->operand_n > devices)
		*name = args->operand[devices];
	ask_add(path, type ? "/types/" : group ? "/groups/" : "/devices/");
	ask_add_segment(path, type ? type : group ? group : args->operand[0], false);
	if (*name && devices) {
		ask_add(path, "/");
		ask_add_segment(path, *name, true);
	}
	return path->failed ? report_error(EXIT_OTHER, "the name is too long") : 0;
}

/* A GET to the gateway, and where it goes. The target is to be closed. */
struct question {
	char uri[STATE_URI_MAX + ASK_PATH_MAX]; /* the target's */
	struct target target;
	struct request request;
};

static int begin(struct question *q, const struct args *args, const struct ask_path *path, int accept)
{
	const struct request_special special = {.accept = accept, .format = -1};

	if (path->failed)
		return report_error(EXIT_OTHER, "the name is too long");
	int code = target_find_gateway(&q->target, args, path->text, q->uri, sizeof(q->uri));
	if (code)
		return code;
	code = request_special(&q->request, COPSE_CODE_GET, &q->target, &special);
	if (code)
		target_close(&q->target);
	return code;
}

int ask_gateway(const struct args *args, const struct ask_path *path, int accept, struct answer *answer)
{
	struct question q;
	int code = begin(&q, args, path, accept);

	if (code)
		return code;
	code = exchange_once(&q.target, &q.request, answer);
	target_close(&q.target);
	if (!code && !copse_code_is_success(answer->message.code)) {
		code = output_error(answer);
		answer_free(answer);
	}
	return code;
}

int ask_follow(const struct args *args, const struct ask_path *path, int accept, struct watch_task *task)
{
	struct question q;
	int code = begin(&q, args, path, accept);

	if (code)
		return code;
	task->target = &q.target;
	task->request = &q.request;
	code = watch_run(task);
	request_free(&q.request);
	target_close(&q.target);
	return code;
}
