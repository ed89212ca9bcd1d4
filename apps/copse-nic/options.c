/* The command line of copse-nic.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <copse/udp.h>

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char nic_options_help[] =
    "Usage: copse-nic --line DEVICE [OPTION]...\n"
    "A CoAP server for the card's own data, and a proxy to the sensor on a serial line.\n"
    "\n"
    "  -l, --line DEVICE       the sensor's line: a terminal device, or a Unix socket\n"
    "  -B, --baud RATE         of a terminal device (115200)\n"
    "  -f, --frame BYTES       longest message on the line (256)\n"
    "  -b, --bind ADDRESS      where to listen, may be given again (*:5683)\n"
    "  -g, --group GROUP       join this multicast group on every interface\n"
    "      --timeout SECONDS   until a request is repeated on the line (2)\n"
    "      --requests N        requests and observations at a time (32)\n"
    "      --observers N       observations among them (16)\n"
    "      --name TEXT         shown by /info (copse-nic)\n"
    "      --battery FILE      holds the charge in percent (found in /sys)\n"
    "      --signal FILE       holds the signal strength in dBm (found in /proc)\n"
    "  -v, --verbose           log each change of the line, and what is refused\n"
    "  -q, --quiet             log errors only\n"
    "  -h, --help              show this\n"
    "  -V, --version           show the version\n"
    "\n"
    "See copse-nic(1).\n";

struct parser {
	struct nic_options *options;
	char *why;
	size_t why_cap;
};

__attribute__((format(printf, 2, 3))) static int complain(const struct parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->why, p->why_cap, format, args);
	va_end(args);
	return -1;
}

static int number(const struct parser *p, const char *name, const char *text, double low, double high,
		  double *value)
{
	char *end;

	*value = strtod(text, &end);
	if (end == text || *end || strspn(text, "0123456789.") != strlen(text) ||
	    !(*value >= low && *value <= high))
		return complain(p, "--%s takes a number from %.15g to %.15g, not \"%s\"", name, low, high,
				text);
	return 0;
}

static int whole(const struct parser *p, const char *name, const char *text, uint32_t low, uint32_t high,
		 uint32_t *value)
{
	double d = 0;

	if (number(p, name, text, low, high, &d) < 0)
		return -1;
	*value = (uint32_t)d;
	return d > *value ? complain(p, "--%s takes a whole number, not \"%s\"", name, text) : 0;
}

static int take_bind(const struct parser *p, const char *text)
{
	struct nic_options *o = p->options;

	if (o->listen_n == NIC_LISTEN_MAX)
		return complain(p, "--bind: at most %d addresses", NIC_LISTEN_MAX);
	if (copse_address_parse(text, COPSE_PORT, &o->listen[o->listen_n]) != COPSE_OK)
		return complain(p, "--bind: \"%s\" is no address", text);
	o->listen_n++;
	return 0;
}

static int take_number(const struct parser *p, int letter, const char *text)
{
	struct nic_options *o = p->options;
	uint32_t n = 0;
	double seconds = 0;
	int err;

	switch (letter) {
	case 'B': return whole(p, "baud", text, 1200, 1000000, &o->line.baud);
	case 'f':
		return whole(p, "frame", text, COPSE_SERIAL_FRAME_MIN, COPSE_SERIAL_FRAME_MAX,
			     &o->line.frame_max);
	case 'r':
		err = whole(p, "requests", text, 1, 1024, &n);
		o->requests = (uint16_t)n;
		return err;
	case 'o':
		err = whole(p, "observers", text, 0, 1024, &n);
		o->observers = (uint16_t)n;
		return err;
	default:
		err = number(p, "timeout", text, 0.01, 60, &seconds);
		o->timeout_ms = (uint32_t)(seconds * 1000);
		return err;
	}
}

static int take(const struct parser *p, int letter, const char *text)
{
	struct nic_options *o = p->options;

	switch (letter) {
	case 'l': o->line.path = text; return 0;
	case 'b': return take_bind(p, text);
	case 'g': o->group = text; return 0;
	case 'n': o->card.name = text; return 0;
	case 'y': o->card.battery = text; return 0;
	case 's': o->card.signal = text; return 0;
	case 'v': o->verbose = 1; return 0;
	case 'q': o->verbose = -1; return 0;
	case 'h': o->action = NIC_HELP; return 0;
	case 'V': o->action = NIC_VERSION; return 0;
	case '?': return complain(p, "unknown option, or one without its value; see copse-nic --help");
	default: return take_number(p, letter, text);
	}
}

/* What only all options together can show. */
static int check(const struct parser *p)
{
	struct nic_options *o = p->options;

	if (o->action != NIC_RUN)
		return 0;
	if (!o->line.path)
		return complain(p, "--line DEVICE is missing: where is the sensor?");
	if (o->observers > o->requests)
		return complain(p, "--observers %u are more than --requests %u", o->observers, o->requests);
	return o->listen_n ? 0 : take_bind(p, "*:5683");
}

int nic_options_parse(struct nic_options *options, int argc, char **argv, char *why, size_t why_cap)
{
	static const struct option longs[] = {
	    {"line", required_argument, NULL, 'l'},     {"baud", required_argument, NULL, 'B'},
	    {"frame", required_argument, NULL, 'f'},    {"bind", required_argument, NULL, 'b'},
	    {"group", required_argument, NULL, 'g'},    {"timeout", required_argument, NULL, 't'},
	    {"requests", required_argument, NULL, 'r'}, {"observers", required_argument, NULL, 'o'},
	    {"name", required_argument, NULL, 'n'},     {"battery", required_argument, NULL, 'y'},
	    {"signal", required_argument, NULL, 's'},   {"verbose", no_argument, NULL, 'v'},
	    {"quiet", no_argument, NULL, 'q'},          {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},        {NULL, 0, NULL, 0}};
	struct parser p = {options, why, why_cap};
	int letter, err = 0;

	*options = (struct nic_options){.requests = 32, .observers = 16, .timeout_ms = 2000};
	options->line.frame_max = 256;
	options->card = (struct card_config){.name = "copse-nic", .sys = "/sys", .proc = "/proc"};
	optind = 0;
	opterr = 0;
	while (!err && (letter = getopt_long(argc, argv, "l:B:f:b:g:vqhV", longs, NULL)) != -1)
		err = take(&p, letter, optarg);
	if (!err && optind < argc)
		err = complain(&p, "unexpected argument \"%s\"", argv[optind]);
	return err ? err : check(&p);
}
