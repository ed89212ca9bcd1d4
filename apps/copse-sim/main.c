/* copse-sim: a neighbourhood of simulated devices. Arguments and wiring.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "hood.h"
#include "../log/log.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <errno.h>

static void stop(void *self, int signal)
{
	(void)signal;
	copse_loop_stop(self);
}

/* Under another name first: whoever waits for the file finds it whole. */
static int write_conf(const struct hood *hood, const char *path)
{
	char draft[PATH_MAX];
	FILE *file;
	int err;

	if (snprintf(draft, sizeof(draft), "%s.new", path) >= (int)sizeof(draft))
		return ENAMETOOLONG;
	file = fopen(draft, "w");
	if (!file)
		return errno;
	hood_list(hood, file);
	err = ferror(file) ? EIO : 0;
	if (fclose(file) || err || rename(draft, path))
		return err ? err : errno;
	return 0;
}

static void log_weather(const struct hood *hood)
{
	struct weather_counters c;

	hood_weather(hood, &c);
	log_line(LOG_INFO,
		 "msg=stopped lost_in=%" PRIu64 " lost_out=%" PRIu64 " delayed=%" PRIu64 " slept=%" PRIu64
		 " overflow=%" PRIu64,
		 c.lost_in, c.lost_out, c.delayed, c.slept, c.overflow);
}

static int run(const struct sim_options *options, struct copse_loop *loop)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	char why[160], reason[128];
	struct hood *hood;
	int err;

	copse_loop_signals(loop, signals, stop, loop);
	hood = hood_new(options, loop, why, sizeof(why));
	if (!hood) {
		log_line(LOG_ERROR, "msg=\"cannot start\" error=\"%s\"", why);
		return 1;
	}
	if (options->psk && hood_write_keys(hood) != 0) {
		log_line(LOG_ERROR, "msg=\"cannot write\" file=\"%s\" error=\"%s\"", options->psk,
			 strerror_r(errno, reason, sizeof(reason)));
		hood_free(hood);
		return 1;
	}
	err = options->conf ? write_conf(hood, options->conf) : 0;
	if (err) {
		log_line(LOG_ERROR, "msg=\"cannot write\" file=\"%s\" error=\"%s\"", options->conf,
			 strerror_r(err, reason, sizeof(reason)));
	} else {
		log_line(LOG_INFO, "msg=listening devices=%" PRIu32 " seed=%" PRIu64, options->count,
			 options->seed);
		copse_loop_run(loop);
		log_weather(hood);
	}
	hood_free(hood);
	return err ? 1 : 0;
}

/* A reading a minute; a device that listens now and then does so for a second. */
static int keep_ledger(const struct sim_options *options)
{
	struct ledger_config config = {.radio = options->radio,
				       .loss = options->weather.loss,
				       .seed = options->seed,
				       .hours = options->hours,
				       .period_s = 60,
				       .window_ms = 1000};

	if (ledger_print(&config, options->count, stdout) < 0 || fflush(stdout) != 0) {
		log_line(LOG_ERROR, "msg=\"no memory, or nowhere to print\"");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sim_options options;
	struct copse_loop *loop;
	char why[160];
	int status;

	if (sim_options_parse(&options, argc, argv, why, sizeof(why)) < 0) {
		fprintf(stderr, "copse-sim: %s\n", why);
		return 1;
	}
	log_set_level((enum log_level)options.verbose);
	switch (options.action) {
	case SIM_HELP: fputs(sim_options_help, stdout); return 0;
	case SIM_VERSION: puts("copse-sim " COPSE_RELEASE); return 0;
	case SIM_LIST: sim_options_list(&options, stdout); return 0;
	case SIM_LEDGER: return keep_ledger(&options);
	case SIM_RUN: break;
	}
	loop = copse_loop_new();
	if (!loop) {
		log_line(LOG_ERROR, "msg=\"cannot start\" error=\"out of memory or file descriptors\"");
		return 1;
	}
	status = run(&options, loop);
	copse_loop_free(loop);
	return status;
}
