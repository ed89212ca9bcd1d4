/* energy: what each way of communicating costs, as tables, JSON or a plot. The arithmetic is in energy.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "energy.h"
#include "output.h"
#include "report.h"
#include "table.h"

#include <math.h>
#include <string.h>

#define CELL 64
#define BAR  48 /* characters of the longest bar */

static const double losses[] = {0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5};

#define LOSS_N (sizeof(losses) / sizeof(*losses))

/* A number as people write it: three digits that count, no exponent below a million. */
static const char *number(char *cell, double value)
{
	double size = fabs(value);
	int digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;

	if (size != 0 && (size >= 1e7 || size < 1e-3))
		snprintf(cell, CELL, "%.3g", value);
	else
		snprintf(cell, CELL, "%.*f", digits, value);
	return cell;
}

static const char *percent(char *cell, double share)
{
	snprintf(cell, CELL, "%+.1f %%", share * 100);
	return cell;
}

static const char *share(char *cell, double value)
{
	snprintf(cell, CELL, "%.2f %%", value * 100);
	return cell;
}

static void print_awake(const struct energy *e)
{
	static const char *const heads[] = {"MODEL", "LISTENING AS COSTLY AS SENDING", "LISTENING CHEAPER"};
	struct energy_awake a = energy_awake(e);
	struct energy_model models[ENERGY_MODEL_N];
	struct table t;

	printf("Awake for a message: %.0f us on the link, %.0f us to make it: 1 of %.0f parts of the time.\n",
	       a.transmit * 1e6, a.compute * 1e6, a.bare_ratio);
	printf("With %.0f us to power up: 1 of %.0f. Energy, in multiples of a device that only sends:\n\n",
	       e->in[ENERGY_WAKE] * 1e6, a.ratio);
	energy_models(e, models);
	table_begin(&t, heads, 3);
	for (int i = 0; i < ENERGY_MODEL_N; i++) {
		char alike[CELL], cheap[CELL];
		snprintf(alike, CELL, "%.7g", models[i].alike);
		snprintf(cheap, CELL, "%.7g", models[i].cheap);
		table_add(&t, (const char *const[]){models[i].name, alike, cheap});
	}
	table_print(&t, stdout);
	table_free(&t);
	printf("\nA registration must be sent %.3g times on average to hit the listening window.\n",
	       energy_registrations(e));
}

static void print_protocols(const struct energy *e)
{
	static const char *const heads[] = {"PROTOCOL", "OCTETS", "OVERHEAD", "J/DAY",
					    "mWh/DAY",  "DAYS",   "ENERGY",   "LIFE"};
	struct energy_protocol p[ENERGY_PROTOCOL_N];
	struct table t;

	energy_protocols(e, p);
	printf("%.0f readings a day:\n\n", p[0].a_day);
	table_begin(&t, heads, 8);
	for (int i = 0; i < ENERGY_PROTOCOL_N; i++) {
		char c[7][CELL];
		snprintf(c[1], CELL, "%.1f %%", p[i].overhead * 100);
		table_add(&t, (const char *const[]){p[i].name, number(c[0], p[i].octets), c[1],
						    number(c[2], p[i].joule), number(c[3], p[i].mwh),
						    number(c[4], p[i].days), percent(c[5], p[i].more),
						    percent(c[6], p[i].life)});
	}
	table_print(&t, stdout);
	table_free(&t);
}

static void print_loss(const struct energy *e)
{
	static const char *const heads[] = {"LOSS",          "NON DELIVERED", "CON DELIVERED",
					    "CON CONFIRMED", "TRANSMISSIONS", "CON ENERGY"};
	struct table t;

	printf("Confirmable messages in comparison to one non-confirmable; last retransmission within %.3g "
	       "s:\n\n",
	       energy_transmit_span(e));
	table_begin(&t, heads, 6);
	for (size_t i = 0; i < LOSS_N; i++) {
		struct energy_loss r = energy_loss(e, losses[i]);
		char c[6][CELL];
		table_add(&t,
			  (const char *const[]){share(c[0], r.loss), share(c[1], r.non_delivered),
						share(c[2], r.con_delivered), share(c[3], r.con_confirmed),
						number(c[4], r.con_sent), number(c[5], r.con_energy)});
	}
	table_print(&t, stdout);
	table_free(&t);
}

/* A bar for `value` of at most `most`; with `least` above 0 on a logarithmic scale that begins there. */
static void bar(const char *name, double value, double least, double most)
{
	double part = least > 0 ? log(value / least) / log(most / least) : value / most;
	int len = part > 0 ? (int)lround(part * BAR) : 0;
	char cell[CELL];

	printf("%-18s %s", name, report_style(stdout, STYLE_KEY));
	for (int i = 0; i < len; i++)
		fputs("#", stdout);
	printf("%s %s\n", report_end(stdout), number(cell, value));
}

static void plot_awake(const struct energy *e)
{
	struct energy_model models[ENERGY_MODEL_N];
	double most = 10;

	energy_models(e, models);
	for (int i = 0; i < ENERGY_MODEL_N; i++)
		most = fmax(most, models[i].alike);
	puts("Energy in multiples of send-only, logarithmic; listening as costly as sending");
	for (int i = 0; i < ENERGY_MODEL_N; i++)
		bar(models[i].name, models[i].alike, 0.5, most);
	puts("\nthe same, listening cheaper");
	for (int i = 0; i < ENERGY_MODEL_N; i++)
		bar(models[i].name, models[i].cheap, 0.5, most);
}

static void plot_protocols(const struct energy *e)
{
	struct energy_protocol p[ENERGY_PROTOCOL_N];

	energy_protocols(e, p);
	puts("Joule a day");
	for (int i = 0; i < ENERGY_PROTOCOL_N; i++)
		bar(p[i].name, p[i].joule, 0, fmax(p[0].joule, fmax(p[1].joule, p[2].joule)));
}

static void plot_loss(const struct energy *e)
{
	double most = 0;

	puts("Energy of a confirmable message in multiples of a non-confirmable one, by loss");
	for (size_t i = 0; i < LOSS_N; i++)
		most = fmax(most, energy_loss(e, losses[i]).con_energy);
	for (size_t i = 0; i < LOSS_N; i++) {
		char cell[CELL];
		bar(share(cell, losses[i]), energy_loss(e, losses[i]).con_energy, 0, most);
	}
}

static json_t *awake_json(const struct energy *e)
{
	struct energy_awake a = energy_awake(e);
	struct energy_model models[ENERGY_MODEL_N];
	json_t *list = json_array();

	energy_models(e, models);
	for (int i = 0; i < ENERGY_MODEL_N; i++)
		json_array_append_new(list, json_pack("{s:s, s:f, s:f}", "model", models[i].name, "alike",
						      models[i].alike, "cheaper", models[i].cheap));
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "transmit_s", a.transmit, "compute_s",
			 a.compute, "bare_ratio", a.bare_ratio, "awake_s", a.awake, "ratio", a.ratio,
			 "registrations", energy_registrations(e), "models", list);
}

static json_t *protocols_json(const struct energy *e)
{
	struct energy_protocol p[ENERGY_PROTOCOL_N];
	json_t *list = json_array();

	energy_protocols(e, p);
	for (int i = 0; i < ENERGY_PROTOCOL_N; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "protocol",
						p[i].name, "octets", p[i].octets, "overhead", p[i].overhead,
						"readings_a_day", p[i].a_day, "joule_a_day", p[i].joule,
						"mwh_a_day", p[i].mwh, "battery_days", p[i].days,
						"energy_more", p[i].more, "life_more", p[i].life));
	return list;
}

static json_t *loss_json(const struct energy *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < LOSS_N; i++) {
		struct energy_loss r = energy_loss(e, losses[i]);
		json_array_append_new(list,
				      json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "loss", r.loss,
						"non_delivered", r.non_delivered, "con_delivered",
						r.con_delivered, "con_confirmed", r.con_confirmed,
						"con_transmissions", r.con_sent, "con_energy", r.con_energy));
	}
	return list;
}

static const struct view {
	const char *name;
	void (*print)(const struct energy *e);
	void (*plot)(const struct energy *e);
	json_t *(*json)(const struct energy *e);
} views[] = {
    {"awake", print_awake, plot_awake, awake_json},
    {"protocols", print_protocols, plot_protocols, protocols_json},
    {"loss", print_loss, plot_loss, loss_json},
};

#define VIEW_N ((int)(sizeof(views) / sizeof(*views)))

static void print_inputs(const struct energy *e)
{
	static const char *const heads[] = {"INPUT", "VALUE", "UNIT", "WHAT"};
	struct table t;

	table_begin(&t, heads, 4);
	for (int i = 0; i < ENERGY_INPUT_N; i++) {
		char cell[CELL];
		snprintf(cell, CELL, "%.10g", e->in[i]);
		table_add(&t, (const char *const[]){energy_rows[i].name, cell, energy_rows[i].unit,
						    energy_rows[i].help});
	}
	table_print(&t, stdout);
	table_free(&t);
}

/* All that was given by --set. Returns 0 or an exit code. */
static int take_inputs(const struct args *args, struct energy *e)
{
	energy_standard(e);
	for (unsigned i = 0; i < args->given_n; i++) {
		const char *wrong = NULL;
		if (args->given[i].name == ARG_SET)
			wrong = energy_set(e, args->given[i].value);
		if (wrong) {
			int code = report_error(EXIT_OTHER, "--set: %s %s", args->given[i].value, wrong);
			report_hint("try: copse energy --inputs");
			return code;
		}
	}
	return 0;
}

static void show_views(const struct args *args, const struct energy *e, int from, int to)
{
	for (int i = from; i < to; i++) {
		if (i > from)
			putchar('\n');
		if (args_count(args, ARG_PLOT))
			views[i].plot(e);
		else
			views[i].print(e);
	}
}

static void show_json(const struct args *args, const struct energy *e, int from, int to)
{
	json_t *o = json_object();

	for (int i = from; i < to; i++)
		json_object_set_new(o, views[i].name, views[i].json(e));
	output_json(args, o);
}

int command_energy(const struct args *args)
{
	struct energy e;
	int code = take_inputs(args, &e), from = 0, to = VIEW_N;

	if (code)
		return code;
	if (args->operand_n) {
		while (from < VIEW_N && strcmp(views[from].name, args->operand[0]) != 0)
			from++;
		if (from == VIEW_N)
			return report_error(EXIT_OTHER, "%s is none of awake, protocols and loss",
					    args->operand[0]);
		to = from + 1;
	}
	if (args_count(args, ARG_INPUTS))
		print_inputs(&e);
	else if (args_count(args, ARG_JSON))
		show_json(args, &e, from, to);
	else
		show_views(args, &e, from, to);
	return output_finish(EXIT_OK);
}
