/* mailbox: the requests of one's account that wait at the gateway for devices that sleep: listed, or one withdrawn.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ask.h"
#include "output.h"
#include "report.h"
#include "table.h"
#include "when.h"

#include <jansson.h>

#include <string.h>

static const char *span(const json_t *mail, const char *key, char text[WHEN_TEXT])
{
	return when_age((int64_t)json_integer_value(json_object_get(mail, key)) * 1000000, text);
}

/* "" where it has no such text. */
static const char *text_of(const json_t *mail, const char *key)
{
	const char *text = json_string_value(json_object_get(mail, key));

	return text ? text : "";
}

static void print_table(const json_t *list)
{
	static const char *const heads[] = {"ID", "METHOD", "URI", "STATE", "AGE", "LEFT", "TRIED"};
	struct table t;
	size_t i;
	const json_t *mail;

	table_begin(&t, heads, 7);
	json_array_foreach((json_t *)(uintptr_t)list, i, mail)
	{
		char id[24], tried[24], age[WHEN_TEXT], left[WHEN_TEXT];
		snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(json_object_get(mail, "id")));
		snprintf(tried, sizeof(tried), "%lld",
			 (long long)json_integer_value(json_object_get(mail, "attempts")));
		table_add(&t, (const char *const[]){id, text_of(mail, "method"), text_of(mail, "uri"),
						    text_of(mail, "state"), span(mail, "age", age),
						    span(mail, "left", left), tried});
	}
	table_print(&t, stdout);
	table_free(&t);
}

static int print(const struct args *args, const struct answer *answer)
{
	json_t *list;

	if (args_count(args, ARG_OUTPUT) || args_count(args, ARG_INCLUDE) ||
	    !copse_code_is_success(answer->message.code))
		return output_answer(args, answer);
	list = json_loadb((const char *)answer->body.bytes, answer->body.len, 0, NULL);
	if (!json_is_array(list)) {
		json_decref(list);
		return report_error(EXIT_OTHER, "what the gateway sent is no list of requests");
	}
	if (args_count(args, ARG_JSON)) {
		output_json(args, list);
		return output_finish(EXIT_OK);
	}
	if (json_array_size(list))
		print_table(list);
	else
		report_note("nothing waits");
	json_decref(list);
	return output_finish(EXIT_OK);
}

static int ask(const struct args *args, uint8_t method, const struct ask_path *path)
{
	char uri[STATE_URI_MAX + ASK_PATH_MAX];
	struct target target;
	struct request request;
	struct answer answer;

	if (path->failed)
		return report_error(EXIT_OTHER, "the name is too long");
	int code = target_find_gateway(&target, args, path->text, uri, sizeof(uri));
	if (code)
		return code;
	code = request_plain(&request, method, &target);
	if (!code)
		code = exchange_once(&target, &request, &answer);
	if (!code) {
		code = method == COPSE_CODE_GET ? print(args, &answer) : output_answer(args, &answer);
		answer_free(&answer);
	}
	target_close(&target);
	return code;
}

int command_mailbox(const struct args *args)
{
	const char *verb = args->operand_n ? args->operand[0] : "list";
	struct ask_path path = {.len = 0};

	ask_add(&path, "/mailbox");
	if (strcmp(verb, "list") == 0) {
		if (args->operand_n > 1)
			ask_add_query(&path, "device", args->operand[1]);
		return ask(args, COPSE_CODE_GET, &path);
	}
	if (strcmp(verb, "withdraw") == 0 && args->operand_n == 2) {
		ask_add(&path, "/");
		ask_add_segment(&path, args->operand[1], false);
		return ask(args, COPSE_CODE_DELETE, &path);
	}
	report_error(EXIT_OTHER, "mailbox %s: it is list [DEVICE], or withdraw ID", verb);
	report_hint("try: copse mailbox --help");
	return EXIT_OTHER;
}
