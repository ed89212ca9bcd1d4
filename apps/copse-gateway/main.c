/* copse-gateway: arguments, configuration, signals. The main thread reads signals and configurations; each worker
 * runs in a thread of its own.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "crew.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: copse-gateway [-c FILE] [-l ADDRESS]... [--workers N] [--spread WAY]\n"
    "                     [--log-level LEVEL] [--check]\n"
    "\n"
    "A CoAP forward proxy between clients and a mesh of constrained devices.\n"
    "\n"
    "  -c, --config FILE      the configuration (default /etc/copse/gateway.conf)\n"
    "  -l, --listen ADDRESS   listen here instead, as 127.0.0.1:5683; may be repeated\n"
    "      --workers N        threads that share the work, 1 to 8; 0: one for each core\n"
    "      --spread WAY       clients over workers: by address, or by port\n"
    "      --check            check the configuration, say what is wrong, and end\n"
    "      --log-level LEVEL  error, warn, info or debug\n"
    "  -h, --help             this text\n"
    "  -V, --version          the version\n";

struct arguments {
	const char *config;
	struct copse_address listen[GW_LISTEN_MAX];
	size_t listen_n;
	int log_level; /* -1: the configuration's */
	int workers;   /* the same */
	int spread;    /* the same */
	bool check;
};

enum { OPTION_CHECK = 256, OPTION_LOG_LEVEL, OPTION_WORKERS, OPTION_SPREAD };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"listen", required_argument, NULL, 'l'},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"workers", required_argument, NULL, OPTION_WORKERS},
    {"spread", required_argument, NULL, OPTION_SPREAD},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* Returns -1 to go on, or the exit status. */
static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "copse-gateway: %s '%s'\n%s", what, value, usage);
	return 1;
}

static int take_option(struct arguments *a, int option)
{
	switch (option) {
	case 'c': a->config = optarg; return -1;
	case 'l':
		if (a->listen_n == GW_LISTEN_MAX)
			return wrong("too many addresses at", optarg);
		if (copse_address_parse(optarg, 5683, &a->listen[a->listen_n++]) != 0)
			return wrong("not an address:", optarg);
		return -1;
	case OPTION_CHECK: a->check = true; return -1;
	case OPTION_LOG_LEVEL:
		a->log_level = gw_log_level_from_text(optarg);
		return a->log_level < 0 ? wrong("not a level:", optarg) : -1;
	case OPTION_WORKERS:
		if (strlen(optarg) != 1 || optarg[0] < '0' || optarg[0] > '0' + GW_WORKERS_MAX)
			return wrong("not a number of workers:", optarg);
		a->workers = optarg[0] - '0';
		return -1;
	case OPTION_SPREAD:
		a->spread = gw_spread_from_text(optarg);
		return a->spread < 0 ? wrong("not a way to spread clients:", optarg) : -1;
	case 'h': fputs(usage, stdout); return 0;
	case 'V': printf("copse-gateway %s\n", COPSE_RELEASE); return 0;
	default: fputs(usage, stderr); return 1;
	}
}

static int take_arguments(struct arguments *a, int argc, char **argv)
{
	int option, status;

	while ((option = getopt_long(argc, argv, "c:l:hV", options, NULL)) != -1)
		if ((status = take_option(a, option)) >= 0)
			return status;
	return optind < argc ? wrong("what is", argv[optind]) : -1;
}

/* Read the configuration, and put the arguments over it. */
static struct gw_config *read_config(const struct arguments *a, char why[GW_CONFIG_WHY])
{
	struct gw_config *config = gw_config_read(a->config, why);

	if (config && a->listen_n) {
		memcpy(config->listen, a->listen, sizeof(a->listen));
		config->listen_n = a->listen_n;
	}
	if (config && a->workers >= 0)
		config->workers = (uint32_t)a->workers;
	if (config && a->spread >= 0)
		config->spread = (enum gw_spread)a->spread;
	if (config && a->log_level >= 0)
		config->log_level = (enum gw_log_level)a->log_level;
	return config;
}

/* Each line of `why` is one line of the log. */
static void log_why(struct gw_log *log, char *why)
{
	char *rest = why, *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line)
			gw_log(log, GW_LOG_ERROR, "config", line);
}

static void log_read(struct gw_log *log, const struct gw_config *config, const char *what)
{
	char keys[GW_LOG_NUMBER], devices[GW_LOG_NUMBER];

	gw_log(log, GW_LOG_INFO, "config", what, {"keys", gw_log_number(keys, (long long)config->key_n)},
	       {"devices", gw_log_number(devices, config->device_n)});
	if (config->key_n == 0)
		gw_log(log, GW_LOG_WARN, "config", "there is no key: nobody can open a session");
}

/* What needs a restart is compared with what the gateway was started with: `first`. */
static void reload(const struct arguments *a, struct gw_crew *crew, struct gw_log *log,
		   const struct gw_config *first)
{
	char why[GW_CONFIG_WHY], names[256];
	struct gw_config *config = read_config(a, why);

	if (!config) {
		log_why(log, why);
		gw_log(log, GW_LOG_ERROR, "config", "not reloaded: everything stays as it was");
		return;
	}
	gw_log_set_level(log, config->log_level);
	if (gw_config_restart_needed(first, config, names, sizeof(names))[0])
		gw_log(log, GW_LOG_WARN, "config", "changed, but needs a restart", {"options", names});
	log_read(log, config, "reloaded");
	gw_crew_adopt(crew, config);
}

static void serve_signals(const struct arguments *a, struct gw_crew *crew, struct gw_log *log,
			  const struct gw_config *first, const sigset_t *signals)
{
	int caught;

	for (;;) {
		if (sigwait(signals, &caught) != 0)
			continue;
		if (caught != SIGHUP)
			break;
		reload(a, crew, log, first);
	}
	/* what is under way is waited for; who asks again does not want to wait */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
	gw_log(log, GW_LOG_INFO, "gateway", "stopping", {"signal", caught == SIGTERM ? "TERM" : "INT"});
}

static int run(const struct arguments *a, struct gw_config *config, struct gw_log *log)
{
	struct gw_config first = *config; /* for comparison: its pointers are not followed */
	struct gw_crew *crew;
	sigset_t signals;

	signal(SIGXFSZ, SIG_IGN); /* a file may not be longer: whoever writes it is told */
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	log_read(log, config, "read");
	crew = gw_crew_new(config, log);
	if (!crew)
		return 1;
	if (gw_crew_start(crew) != 0) {
		gw_log(log, GW_LOG_ERROR, "gateway", "cannot start a thread");
		gw_crew_free(crew);
		return 1;
	}
	serve_signals(a, crew, log, &first, &signals);
	gw_crew_end(crew);
	gw_crew_free(crew);
	gw_log(log, GW_LOG_INFO, "gateway", "stopped");
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments a = {
	    .config = "/etc/copse/gateway.conf", .log_level = -1, .workers = -1, .spread = -1};
	char why[GW_CONFIG_WHY];
	int status = take_arguments(&a, argc, argv);

	if (status >= 0)
		return status;
	struct gw_config *config = read_config(&a, why);
	if (!config) {
		fputs(why, stderr);
		return 1;
	}
	if (a.check) {
		gw_config_free(config);
		return 0;
	}
	struct gw_log *log = gw_log_new(STDERR_FILENO, config->log_level);
	if (!log) {
		fputs("copse-gateway: out of memory\n", stderr);
		gw_config_free(config);
		return 1;
	}
	status = run(&a, config, log);
	gw_log_free(log);
	return status;
}
