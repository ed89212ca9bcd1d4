/* latest: the newest readings of a device, or of all of a type or group, as the gateway has them stored; once, or followed.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ask.h"
#include "follow.h"
#include "output.h"
#include "readings.h"
#include "report.h"
#include "table.h"
#include "when.h"

#include <copse/format.h>

#include <string.h>

static bool asked(const struct reading *r, const char *name)
{
	return !name || strcmp(r->name, name) == 0;
}

static void print_table(const struct readings *r, const char *name, bool devices)
{
	static const char *const heads[] = {"DEVICE", "NAME", "VALUE", "UNIT", "TIME", "AGE"};
	int64_t now = when_now();
	struct table t;
	unsigned skip = devices ? 0 : 1;

	table_begin(&t, heads + skip, 6 - skip);
	for (size_t i = 0; i < r->n; i++) {
		char value[256], time[WHEN_TEXT], age[WHEN_TEXT];
		const struct reading *row = &r->row[i];
		if (asked(row, name))
			table_add(&t, (const char *const[]){row->device, row->name,
							    reading_for_people(row, value, sizeof(value)),
							    row->unit, when_local(row->time, time),
							    when_age(now - row->time, age)} +
					  skip);
	}
	table_print(&t, stdout);
	table_free(&t);
}

static void print_csv(const struct readings *r, const char *name)
{
	reading_print_csv_head(stdout);
	for (size_t i = 0; i < r->n; i++)
		if (asked(&r->row[i], name))
			reading_print_csv(stdout, &r->row[i]);
}

static void print_json(const struct args *args, const struct readings *r, const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n; i++)
		if (asked(&r->row[i], name))
			json_array_append_new(list, reading_json(&r->row[i]));
	output_json(args, list);
}

/* Whether they are of more than one. */
static bool is_of_many(const struct args *args)
{
	return args_count(args, ARG_TYPE) || args_count(args, ARG_OF_GROUP);
}

static int print(const struct args *args, const struct readings *r, const char *name)
{
	bool many = is_of_many(args);
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += asked(&r->row[i], name);
	if (args_count(args, ARG_JSON))
		print_json(args, r, name);
	else if (args_count(args, ARG_CSV))
		print_csv(r, name);
	else if (n)
		print_table(r, name, many);
	if (!n) {
		report_note("no reading that is current");
		report_hint("try: copse history%s%s --last 10", many ? "" : " ",
			    many ? "" : args->operand[0]);
	}
	return output_finish(EXIT_OK);
}

int command_latest(const struct args *args)
{
	struct ask_path path;
	struct answer answer;
	struct readings readings;
	const char *name;

	int code = ask_path_of(&path, args, &name);
	if (code)
		return code;
	if (args_count(args, ARG_FOLLOW))
		return follow_latest(args, &path, name, is_of_many(args));
	if (args_count(args, ARG_COUNT) || args_count(args, ARG_FOR))
		code = report_error(EXIT_OTHER, "--count and --for are for --follow");
	if (!code)
		code = ask_gateway(args, &path, COPSE_FORMAT_SENML_JSON, &answer);
	if (code)
		return code;
	if (readings_parse(&readings, answer.body.bytes, answer.body.len, when_now()) == 0) {
		code = print(args, &readings, name);
		readings_free(&readings);
	} else {
		code = report_error(EXIT_OTHER, "what the gateway sent is no SenML");
	}
	answer_free(&answer);
	return code;
}
