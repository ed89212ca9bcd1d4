/* history: readings of a device over time, or one for each span of it; as a table, CSV, JSON or a plot.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ask.h"
#include "output.h"
#include "plot.h"
#include "readings.h"
#include "report.h"
#include "table.h"
#include "when.h"

#include <copse/format.h>

#include <stdlib.h>
#include <string.h>

#define DAY       ((int64_t)86400 * 1000000)
#define PLOT_ROWS 16

/* --- asking --- */

static int add_aggregate(struct ask_path *path, const struct args *args)
{
	static const char *const names[] = {"mean", "min", "max", "sum", "count"};
	const char *agg = args_value(args, ARG_AGG);
	bool known = !agg;
	int64_t every;

	int code = when_option_span(args, ARG_EVERY, 0, &every);
	for (int i = 0; agg && i < 5; i++)
		known = known || strcmp(names[i], agg) == 0;
	if (code)
		return code;
	if (!known)
		return report_error(EXIT_OTHER, "--agg: %s is none of mean, min, max, sum and count", agg);
	if (agg && !every)
		return report_error(EXIT_OTHER, "--agg needs --every: one for each span of how long?");
	if (every)
		ask_add_time(path, "every", every);
	if (agg)
		ask_add_query(path, "agg", agg);
	return 0;
}

static int make_path(struct ask_path *path, const struct args *args, const char **name)
{
	int64_t now = when_now(), from, to;
	uint32_t last;
	char text[16];

	int code = ask_path_of(path, args, name);
	if (!code)
		code = when_option(args, ARG_FROM, now, INT64_MIN, &from);
	if (!code)
		code = when_option(args, ARG_TO, now, INT64_MAX, &to);
	if (!code)
		code = args_number(args, ARG_LAST, 1, 999999999, 0, &last);
	if (code)
		return code;
	if (from != INT64_MIN && to != INT64_MAX && from >= to)
		return report_error(EXIT_OTHER, "--from is not before --to");
	if (from == INT64_MIN && to == INT64_MAX && !last)
		from = now - DAY;
	if (from != INT64_MIN)
		ask_add_time(path, "from", from);
	if (to != INT64_MAX)
		ask_add_time(path, "to", to);
	snprintf(text, sizeof(text), "%u", last);
	if (last)
		ask_add_query(path, "last", text);
	return add_aggregate(path, args);
}

/* --- showing --- */

static bool same_series(const struct reading *a, const struct reading *b)
{
	return strcmp(a->device, b->device) == 0 && strcmp(a->name, b->name) == 0;
}

/* Columns that say the same in each row are left out: the device of one, the name of one series. */
static void print_table(const struct readings *r, bool devices, bool names)
{
	static const char *const all[] = {"DEVICE", "NAME", "TIME", "VALUE", "UNIT"};
	const char *heads[5];
	struct table t;
	size_t n = 0;

	for (size_t i = devices ? 0 : names ? 1 : 2; i < 5; i++)
		heads[n++] = all[i];
	table_begin(&t, heads, n);
	for (size_t i = 0; i < r->n; i++) {
		char value[256], time[WHEN_TEXT];
		const struct reading *row = &r->row[i];
		const char *const cells[] = {row->device, row->name, when_local(row->time, time),
					     reading_for_people(row, value, sizeof(value)), row->unit};
		table_add(&t, cells + (5 - n));
	}
	if (r->n)
		table_print(&t, stdout);
	table_free(&t);
}

/* The usual distance of two points; three times that is a gap. */
static int64_t gap_of(const struct plot_point *point, size_t n)
{
	int64_t span = n > 1 ? point[n - 1].time - point[0].time : 0;

	return n > 8 ? span / (int64_t)(n - 1) * 8 + 1 : 0;
}

static void plot_series(const struct reading *row, size_t n)
{
	char title[512], last[64];
	struct plot_point *point = malloc(n * sizeof(*point));
	struct plot p = {
	    .title = title, .columns = plot_columns(stdout), .rows = PLOT_ROWS, .ascii = !plot_has_utf8()};

	if (!point)
		return;
	for (size_t i = 0; i < n; i++)
		if (row[i].is_number || json_is_boolean(row[i].value))
			point[p.n++] = (struct plot_point){
			    row[i].time,
			    row[i].is_number ? row[i].number : (double)json_is_true(row[i].value)};
	p.point = point;
	p.gap = gap_of(point, p.n);
	snprintf(title, sizeof(title), "%s %s%s%s, %zu reading%s, last %s", row->device, row->name,
		 *row->unit ? " in " : "", row->unit, n, n == 1 ? "" : "s",
		 reading_for_people(&row[n - 1], last, sizeof(last)));
	plot_print(stdout, &p);
	if (!p.n)
		puts("no numbers to draw");
	free(point);
}

static void plot_all(const struct readings *r)
{
	size_t begin = 0;

	for (size_t i = 1; i <= r->n; i++) {
		if (i < r->n && same_series(&r->row[i], &r->row[begin]))
			continue;
		if (begin)
			putchar('\n');
		plot_series(&r->row[begin], i - begin);
		begin = i;
	}
}

static void print_csv(const struct readings *r)
{
	reading_print_csv_head(stdout);
	for (size_t i = 0; i < r->n; i++)
		reading_print_csv(stdout, &r->row[i]);
}

static void print_json(const struct args *args, const struct readings *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(list, reading_json(&r->row[i]));
	output_json(args, list);
}

/* Of many devices only the series with that name. */
static void keep(struct readings *r, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (!name || strcmp(r->row[i].name, name) == 0)
			r->row[n++] = r->row[i];
	r->n = n;
}

static int show(const struct args *args, const struct readings *r)
{
	bool devices = args_count(args, ARG_TYPE) || args_count(args, ARG_OF_GROUP), names = false;

	for (size_t i = 1; i < r->n; i++)
		names = names || !same_series(&r->row[i], &r->row[0]);
	if (args_count(args, ARG_JSON))
		print_json(args, r);
	else if (args_count(args, ARG_CSV))
		print_csv(r);
	else if (args_count(args, ARG_PLOT))
		plot_all(r);
	else
		print_table(r, devices, names);
	if (!r->n) {
		report_note("no readings in that time");
		if (!args_count(args, ARG_LAST))
			report_hint("try: --last 10, or an earlier --from; default is the last day");
	}
	return output_finish(EXIT_OK);
}

int command_history(const struct args *args)
{
	struct ask_path path;
	struct answer answer;
	struct readings readings;
	const char *name;

	int code = make_path(&path, args, &name);
	if (!code)
		code = ask_gateway(args, &path, COPSE_FORMAT_SENML_JSON, &answer);
	if (code)
		return code;
	if (readings_parse(&readings, answer.body.bytes, answer.body.len, when_now()) == 0) {
		keep(&readings, name);
		code = show(args, &readings);
		readings_free(&readings);
	} else {
		code = report_error(EXIT_OTHER, "what the gateway sent is no SenML");
	}
	answer_free(&answer);
	return code;
}
