/* See load_report.h. Times are counted in nanoseconds and shown in milliseconds, in JSON in microseconds.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_report.h"
#include "report.h"

#include <copse/code.h>

#include <jansson.h>
#include <stdio.h>

static const struct {
	const char *name, *key;
	uint64_t parts, of;
} points[] = {{"p50", "p50", 50, 100},
	      {"p90", "p90", 90, 100},
	      {"p99", "p99", 99, 100},
	      {"p99.9", "p99_9", 999, 1000},
	      {"p99.99", "p99_99", 9999, 10000}};

#define POINTS (sizeof(points) / sizeof(*points))

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double rate_of(uint64_t n, uint64_t ns)
{
	return ns ? (double)n * 1e9 / (double)ns : 0;
}

static uint64_t errors_of(const struct load_result *r)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < 256; i++)
		n += copse_code_is_success((uint8_t)i) ? 0 : r->code[i];
	return n;
}

void load_report_progress(void *user, const struct load_result *r)
{
	struct load_about *about = user;
	uint64_t answers = about->observes ? r->notifications : r->in_time;

	if (report_is_quiet())
		return;
	fprintf(stderr, "%4.0f s  %9.0f %s/s  p50 %.3f ms  p99 %.3f ms  errors %llu  timed out %llu\n",
		(double)r->elapsed / 1e9,
		rate_of(answers - about->last_answers, r->elapsed - about->last_elapsed),
		about->observes ? "notifications" : "answers", ms(load_count_at(&r->latency, 50, 100)),
		ms(load_count_at(&r->latency, 99, 100)), (unsigned long long)errors_of(r),
		(unsigned long long)r->timed_out);
	about->last_answers = answers;
	about->last_elapsed = r->elapsed;
}

static void row(const char *name, uint64_t value)
{
	printf("%-18s %llu\n", name, (unsigned long long)value);
}

static void row_unless_zero(const char *name, uint64_t value)
{
	if (value)
		row(name, value);
}

static void print_codes(const struct load_result *r)
{
	char text[COPSE_CODE_TEXT_LEN];

	for (unsigned i = 0; i < 256; i++)
		if (r->code[i])
			printf("  %-16s %llu\n", copse_code_print((uint8_t)i, text, sizeof(text)),
			       (unsigned long long)r->code[i]);
}

static void print_latency(const struct load_count *c)
{
	if (c->n == 0)
		return;
	printf("time to the answer, ms: least %.3f  mean %.3f", ms(c->least), ms(load_count_mean(c)));
	for (size_t i = 0; i < POINTS; i++)
		printf("  %s %.3f", points[i].name, ms(load_count_at(c, points[i].parts, points[i].of)));
	printf("  greatest %.3f\n", ms(c->most));
}

static void print_connections(const struct load_result *r)
{
	row("connections", r->wire.connections);
	row("ended", r->wire.ended);
	row("made again", r->wire.reconnections);
	row("lost requests", r->lost);
}

void load_report_text(const struct load_about *about, const struct load_result *r)
{
	printf("%s %s: %u clients, window %u, %s, %.3f s\n", about->verb, about->uri, about->clients,
	       about->window,
	       about->stream        ? about->scheme
	       : about->confirmable ? "confirmable"
				    : "non-confirmable",
	       (double)r->elapsed / 1e9);
	row("requests", r->begun);
	printf("%-18s %llu  %.0f/s\n", "answers", (unsigned long long)r->answered,
	       rate_of(r->in_time, r->elapsed));
	print_codes(r);
	if (about->observes) {
		row("observing", r->observing);
		printf("%-18s %llu  %.0f/s\n", "notifications", (unsigned long long)r->notifications,
		       rate_of(r->notifications, r->elapsed));
	}
	if (about->connected)
		print_connections(r);
	row("retransmissions", r->retransmitted);
	row("timed out", r->timed_out);
	row_unless_zero("reset", r->reset);
	row_unless_zero("unreachable", r->wire.unreachable);
	row_unless_zero("behind the rate", r->behind);
	row_unless_zero("Echo asked for", r->challenged);
	row_unless_zero("strays", r->strays);
	row_unless_zero("malformed", r->malformed);
	row_unless_zero("not sent", r->wire.unsent);
	print_latency(&r->latency);
	if (r->resting)
		report_note(
		    "clients had used up their message IDs (265 a second are enough for ever): more clients, "
		    "by -c, get further");
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *json_codes(const struct load_result *r)
{
	char text[COPSE_CODE_TEXT_LEN];
	json_t *o = json_object();

	for (unsigned i = 0; i < 256; i++) {
		if (!r->code[i])
			continue;
		snprintf(text, sizeof(text), "%u.%02u", i >> 5, i & 31);
		json_object_set_new(o, text, number(r->code[i]));
	}
	return o;
}

static json_t *json_latency(const struct load_count *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "min", json_real((double)c->least / 1e3));
	json_object_set_new(o, "mean", json_real((double)load_count_mean(c) / 1e3));
	for (size_t i = 0; i < POINTS; i++)
		json_object_set_new(o, points[i].key,
				    json_real((double)load_count_at(c, points[i].parts, points[i].of) / 1e3));
	json_object_set_new(o, "max", json_real((double)c->most / 1e3));
	return o;
}

static void add_counts(json_t *o, const struct load_result *r)
{
	const struct {
		const char *key;
		uint64_t n;
	} rows[] = {{"requests", r->begun},
		    {"answers", r->answered},
		    {"retransmissions", r->retransmitted},
		    {"timed_out", r->timed_out},
		    {"reset", r->reset},
		    {"lost", r->lost},
		    {"connections", r->wire.connections},
		    {"connections_ended", r->wire.ended},
		    {"reconnections", r->wire.reconnections},
		    {"unreachable", r->wire.unreachable},
		    {"behind", r->behind},
		    {"echo_asked", r->challenged},
		    {"strays", r->strays},
		    {"malformed", r->malformed},
		    {"notifications", r->notifications},
		    {"observing", r->observing},
		    {"datagrams_sent", r->wire.sent},
		    {"datagrams_received", r->wire.received},
		    {"datagrams_unsent", r->wire.unsent}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		json_object_set_new(o, rows[i].key, number(rows[i].n));
}

void load_report_json(const struct load_about *about, const struct load_result *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "verb", json_string(about->verb));
	json_object_set_new(o, "uri", json_string(about->uri));
	json_object_set_new(o, "scheme", json_string(about->scheme));
	json_object_set_new(o, "clients", number(about->clients));
	json_object_set_new(o, "window", number(about->window));
	json_object_set_new(o, "confirmable", json_boolean(about->confirmable));
	json_object_set_new(o, "rate_asked", json_real(about->rate));
	json_object_set_new(o, "seconds", json_real((double)r->elapsed / 1e9));
	json_object_set_new(o, "answers_per_second", json_real(rate_of(r->in_time, r->elapsed)));
	json_object_set_new(o, "notifications_per_second", json_real(rate_of(r->notifications, r->elapsed)));
	add_counts(o, r);
	json_object_set_new(o, "codes", json_codes(r));
	json_object_set_new(o, "latency_us", json_latency(&r->latency));
	json_object_set_new(o, "message_ids_used_up", json_boolean(r->resting));
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}

int load_report_code(const struct load_result *r)
{
	uint64_t failures[8] = {0};

	for (unsigned i = 0; i < 256; i++)
		failures[i >> 5] += r->code[i];
	if (failures[2] || r->begun == 0)
		return EXIT_OK;
	if (r->answered)
		return failures[4] >= failures[5] ? EXIT_4XX : EXIT_5XX;
	return r->wire.unreachable || r->reset || r->lost ? EXIT_UNREACHABLE : EXIT_TIMEOUT;
}
