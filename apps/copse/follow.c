/* See follow.h. The gateway tells the newest readings of all series whenever one of them has changed: what is shown is what
 * differs from what was shown before.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "follow.h"
#include "output.h"
#include "readings.h"
#include "report.h"
#include "table.h"
#include "when.h"

#include <copse/format.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct following {
	const struct args *args;
	const char *name;
	bool devices;
	bool told;      /* something has been said about what there is */
	uint32_t count; /* readings to show, 0: endless */
	uint32_t shown;
	json_t *seen; /* what was shown last of each series, by device and name */
	struct table table;
};

/* Whether it differs from what was shown last of its series; from now on it does not. */
static bool is_new(struct following *f, const struct reading *r)
{
	char key[512];
	json_t *before, *now = reading_json(r);

	if (f->name && strcmp(f->name, r->name) != 0) {
		json_decref(now);
		return false;
	}
	/* no identity has a line break in it */
	snprintf(key, sizeof(key), "%s\n%s", r->device, r->name);
	before = json_object_get(f->seen, key);
	bool differs = !json_equal(before, now);
	json_object_set_new(f->seen, key, now);
	return differs;
}

static int by_time(const void *a, const void *b)
{
	const struct reading *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

static void add_row(struct following *f, const struct reading *r)
{
	char value[256], time[WHEN_TEXT];
	const char *const cells[] = {r->device, r->name, reading_for_people(r, value, sizeof(value)), r->unit,
				     when_local(r->time, time)};

	table_add(&f->table, cells + (f->devices ? 0 : 1));
}

static void print_one(struct following *f, const struct reading *r)
{
	if (args_count(f->args, ARG_JSON)) {
		json_t *o = reading_json(r);
		json_dumpf(o, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(o);
	} else if (args_count(f->args, ARG_CSV)) {
		reading_print_csv(stdout, r);
	} else {
		add_row(f, r);
	}
}

/* Those that are new, in the order of their times. */
static void print_new(struct following *f, struct readings *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (is_new(f, &r->row[i]))
			r->row[n++] = r->row[i];
	qsort(r->row, n, sizeof(*r->row), by_time);
	for (size_t i = 0; i < n && (!f->count || f->shown < f->count); i++, f->shown++)
		print_one(f, &r->row[i]);
	table_flow(&f->table, stdout);
	if (!f->shown && !f->told)
		report_note("no reading that is current; waiting for one");
	f->told = true;
}

static int show(void *self, const struct copse_client_event *e, const struct buffer *body)
{
	struct following *f = self;
	struct readings readings;

	(void)e;
	if (readings_parse(&readings, body->bytes, body->len, when_now()))
		return report_error(EXIT_OTHER, "what the gateway sent is no SenML");
	print_new(f, &readings);
	readings_free(&readings);
	if (fflush(stdout) || ferror(stdout))
		return report_error(EXIT_OTHER, "cannot write: %s", strerror(errno));
	return f->count && f->shown >= f->count ? WATCH_ENOUGH : 0;
}

int follow_latest(const struct args *args, const struct ask_path *path, const char *name, bool devices)
{
	static const char *const heads[] = {"DEVICE", "NAME", "VALUE", "UNIT", "TIME"};
	struct following f = {.args = args, .name = name, .devices = devices};
	struct watch_task task = {.show = show, .self = &f, .patient = true};
	int code = args_number(args, ARG_COUNT, 1, UINT32_MAX, 0, &f.count);

	if (!code)
		code = args_span(args, ARG_FOR, COPSE_NEVER, &task.until);
	if (code)
		return code;
	f.seen = json_object();
	table_begin(&f.table, heads + (devices ? 0 : 1), devices ? 5 : 4);
	if (args_count(args, ARG_CSV))
		reading_print_csv_head(stdout);
	code = ask_follow(args, path, COPSE_FORMAT_SENML_JSON, &task);
	table_free(&f.table);
	json_decref(f.seen);
	return output_finish(code);
}
