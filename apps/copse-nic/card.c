/* See card.h. Values are read when they are asked for: files of /sys and /proc, which do not block.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "card.h"

#include <copse/mem.h>

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum value { BATTERY, SIGNAL, VALUES };

enum place { TIME, DATE, BATTERY_PLACE, SIGNAL_PLACE, INFO, PLACES };

struct card {
	struct card_config config;
	struct copse_server *server;
	const struct relay *relay;
	const struct copse_line *line;
	copse_ms began;
	bool known[VALUES];
	double told[VALUES];
	struct copse_resource resource[PLACES];
};

/* ---- reading ---- */

static bool read_number(const char *path, double *value)
{
	FILE *file = fopen(path, "re");
	const bool ok = file && fscanf(file, "%lf", value) == 1;

	if (file)
		fclose(file);
	return ok;
}

static bool find_battery(const struct card *card, double *percent)
{
	char pattern[256];
	glob_t found = {0};
	bool ok = false;

	if (card->config.battery)
		return read_number(card->config.battery, percent);
	snprintf(pattern, sizeof(pattern), "%s/class/power_supply/*/capacity", card->config.sys);
	if (glob(pattern, 0, NULL, &found) == 0)
		ok = read_number(found.gl_pathv[0], percent);
	globfree(&found);
	return ok;
}

/* The level of the first interface in /proc/net/wireless, behind two lines of headings. */
static bool find_signal(const struct card *card, double *dbm)
{
	char path[256], line[256];
	bool ok = false;
	FILE *file;

	if (card->config.signal)
		return read_number(card->config.signal, dbm);
	snprintf(path, sizeof(path), "%s/net/wireless", card->config.proc);
	file = fopen(path, "re");
	for (int i = 0; file && i < 3 && fgets(line, sizeof(line), file); i++)
		ok = i == 2 && sscanf(line, " %*[^:]: %*s %*s %lf", dbm) == 1;
	if (file)
		fclose(file);
	return ok;
}

static bool read_value(const struct card *card, enum value value, double *out)
{
	return value == BATTERY ? find_battery(card, out) : find_signal(card, out);
}

/* ---- answering ---- */

static const uint16_t formats[] = {COPSE_FORMAT_TEXT, COPSE_FORMAT_SENML_JSON, COPSE_FORMATS_END};

static void say_value(const struct copse_request *rq, struct copse_response *rs, enum value value)
{
	static const char *const names[] = {"battery", "signal"}, *const units[] = {"%EL", "dBm"};
	double number;
	char text[128];

	if (!read_value(rq->resource->user, value, &number)) {
		copse_response_error(rs, COPSE_CODE_NOT_FOUND, "this card has no such meter");
		return;
	}
	if (rq->accept == COPSE_FORMAT_SENML_JSON)
		snprintf(text, sizeof(text), "[{\"n\":\"%s\",\"u\":\"%s\",\"v\":%.10g}]", names[value],
			 units[value], number);
	else
		snprintf(text, sizeof(text), "%.10g", number);
	copse_response_copy(rs, rq->accept, text, strlen(text));
	rs->max_age = 2 * CARD_LOOK_MS / 1000;
}

static void get_battery(const struct copse_request *rq, struct copse_response *rs)
{
	say_value(rq, rs, BATTERY);
}

static void get_signal(const struct copse_request *rq, struct copse_response *rs)
{
	say_value(rq, rs, SIGNAL);
}

static struct tm utc_now(void)
{
	const time_t now = time(NULL);
	struct tm utc;

	gmtime_r(&now, &utc);
	return utc;
}

static void get_time(const struct copse_request *rq, struct copse_response *rs)
{
	const struct tm utc = utc_now();
	char text[32];

	(void)rq;
	strftime(text, sizeof(text), "%H:%M:%SZ", &utc);
	copse_response_text(rs, text);
	rs->max_age = 1;
}

static void get_date(const struct copse_request *rq, struct copse_response *rs)
{
	const struct tm utc = utc_now();
	char text[32];

	(void)rq;
	strftime(text, sizeof(text), "%Y-%m-%d", &utc);
	copse_response_text(rs, text);
	rs->max_age = 1;
}

static void get_info(const struct copse_request *rq, struct copse_response *rs)
{
	const struct card *card = rq->resource->user;
	const struct relay_counters *c = relay_counters(card->relay);
	struct copse_hdlc_counters frames;
	struct copse_peer sensor;
	char text[768];
	size_t n;

	copse_line_frames(card->line, &frames);
	n = (size_t)snprintf(text, sizeof(text),
			     "name: %s\nversion: copse-nic " COPSE_RELEASE "\nuptime: %" PRIu64 "\nline: %s\n"
			     "pending: %u\nobservers: %u\nframes: %" PRIu64 "\ndamaged: %" PRIu64 "\n",
			     card->config.name, (rq->now - card->began) / 1000,
			     copse_line_peer(card->line, &sensor) ? "up" : "down", relay_pending(card->relay),
			     relay_observers(card->relay), frames.frames,
			     frames.damaged + frames.too_long + frames.runts + frames.aborted);
#define COUNTER(name, meaning)                                                                               \
	if (n < sizeof(text))                                                                                \
		n += (size_t)snprintf(text + n, sizeof(text) - n, #name ": %" PRIu64 "\n", c->name);
#include <copse/registry/nic_counters.def>
#undef COUNTER
	copse_response_text(rs, text);
	rs->max_age = 1;
}

/* ---- the table ---- */

#define OPEN_TO_ALL COPSE_RESOURCE_MULTICAST

static const struct copse_resource table[PLACES] = {
    [TIME] =
	{.path = "time", .get = get_time, .rt = "time", .title = "Time of day, UTC", .flags = OPEN_TO_ALL},
    [DATE] = {.path = "date", .get = get_date, .rt = "date", .title = "Date, UTC", .flags = OPEN_TO_ALL},
    [BATTERY_PLACE] = {.path = "battery",
		       .get = get_battery,
		       .rt = "battery",
		       .interface = "core.s",
		       .title = "Battery, percent",
		       .formats = formats,
		       .flags = COPSE_RESOURCE_OBSERVABLE | OPEN_TO_ALL},
    [SIGNAL_PLACE] = {.path = "signal",
		      .get = get_signal,
		      .rt = "signal",
		      .interface = "core.s",
		      .title = "Signal strength, dBm",
		      .formats = formats,
		      .flags = COPSE_RESOURCE_OBSERVABLE | OPEN_TO_ALL},
    [INFO] = {.path = "info",
	      .get = get_info,
	      .rt = "nic",
	      .title = "This card and its line",
	      .flags = OPEN_TO_ALL},
};

bool card_owns(const struct copse_message *m)
{
	const struct copse_option *first = copse_message_option(m, COPSE_OPTION_URI_PATH);

	if (!first)
		return false;
	for (unsigned i = 0; i < PLACES; i++) {
		if (copse_option_is(m, first, table[i].path, strlen(table[i].path)))
			return true;
	}
	return copse_option_is(m, first, ".well-known", 11);
}

void card_look(struct card *card, copse_ms now)
{
	for (unsigned i = 0; i < VALUES; i++) {
		double value = 0;
		const bool known = read_value(card, (enum value)i, &value);
		if (known == card->known[i] && value >= card->told[i] && value <= card->told[i])
			continue;
		card->known[i] = known;
		card->told[i] = value;
		copse_server_changed(card->server,
				     &card->resource[i == BATTERY ? BATTERY_PLACE : SIGNAL_PLACE], NULL, now);
	}
}

struct card *card_new(const struct card_config *config, struct copse_server *server,
		      const struct relay *relay, const struct copse_line *line, copse_ms now)
{
	struct card *card = copse_mem_new(1, sizeof(*card));

	if (!card)
		return NULL;
	card->config = *config;
	card->server = server;
	card->relay = relay;
	card->line = line;
	card->began = now;
	for (unsigned i = 0; i < PLACES; i++) {
		card->resource[i] = table[i];
		card->resource[i].user = card;
	}
	for (unsigned i = 0; i < VALUES; i++)
		card->known[i] = read_value(card, (enum value)i, &card->told[i]);
	if (copse_server_add_all(server, card->resource, PLACES) != COPSE_OK) {
		card_free(card);
		return NULL;
	}
	return card;
}

void card_free(struct card *card)
{
	copse_mem_free(card);
}
