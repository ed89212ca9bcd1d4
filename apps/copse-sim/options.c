/* The command line of copse-sim.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <copse/serial.h>
#include <copse/udp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char sim_options_help[] =
    "Usage: copse-sim [OPTION]...\n"
    "Play a neighbourhood of CoAP devices, each on an address of its own.\n"
    "\n"
    "  -n, --count N             how many devices (20)\n"
    "  -k, --kinds KIND[:N],...  which, in turn: meter thermostat light climate tracker\n"
    "  -b, --bind PREFIX         where addresses come from (127.1.0.0/16)\n"
    "  -p, --port PORT           0: the system chooses (5683)\n"
    "      --dtls PORT           take DTLS too, there; 0: the system chooses\n"
    "      --psk FILE            and write each device's key to FILE, for the gateway (4849)\n"
    "      --oscore FILE[,SEQ]   take only requests protected by this security context, or another given so\n"
    "      --tcp                 take CoAP over TCP too, at the same address and port\n"
    "      --ws                  take CoAP over WebSockets there, instead of over TCP\n"
    "      --join GROUP          take requests to a group too: for one device, --bind [::]\n"
    "      --seed N              what MAC IDs, values and losses come from (1)\n"
    "      --speed FACTOR        how much faster than the clock the devices' time runs (1)\n"
    "      --start SECONDS       the devices' time at start, since 1970 (now)\n"
    "      --loss PERCENT        lose datagrams, each way (0)\n"
    "      --delay MS[-MS]       let what goes leave later\n"
    "      --sleep PERIOD[/AWAKE]  listen only AWAKE seconds (1) in every PERIOD\n"
    "      --publish ADDRESS[/PERIOD]  publish readings there when awake, or every PERIOD seconds\n"
    "      --line DEVICE         one device on a serial line, as behind copse-nic\n"
    "      --frame BYTES         longest message on the line (256)\n"
    "      --ledger              simulate what ways of communicating cost a device, and end\n"
    "      --radio NAME          for --ledger: ethernet (default), 802.15.4 or ble\n"
    "      --hours N             for --ledger: how long each device lives (24)\n"
    "      --list                print a section for gateway.conf for each device, and end\n"
    "      --conf FILE           write the same to FILE once all devices listen\n"
    "  -v, --verbose             log writes and losses\n"
    "  -q, --quiet               log errors only\n"
    "  -h, --help                show this\n"
    "  -V, --version             show the version\n"
    "\n"
    "See copse-sim(1).\n";

struct parser {
	struct sim_options *options;
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

/* A decimal number in [low, high], followed by `end` (one of its characters, or the end of the text). */
static int number(const struct parser *p, const char *name, const char *text, double low, double high,
		  double *value, const char **rest)
{
	char *end;

	*value = strtod(text, &end);
	if (end == text || strspn(text, "0123456789.") < (size_t)(end - text) ||
	    !(*value >= low && *value <= high) || (*end && !rest))
		return complain(p, "--%s takes a number from %.15g to %.15g, not \"%s\"", name, low, high,
				text);
	if (rest)
		*rest = end;
	return 0;
}

static int whole(const struct parser *p, const char *name, const char *text, double low, double high,
		 double *value)
{
	if (number(p, name, text, low, high, value, NULL) < 0)
		return -1;
	return *value == floor(*value) ? 0 : complain(p, "--%s takes a whole number, not \"%s\"", name, text);
}

/* ---- one function an option ---- */

static int take_count(const struct parser *p, const char *text)
{
	double value = 0;
	int err = whole(p, "count", text, 1, SIM_COUNT_MAX, &value);

	p->options->count = (uint32_t)value;
	return err;
}

static int take_kinds(const struct parser *p, const char *text)
{
	struct sim_options *o = p->options;

	o->kind_n = 0;
	for (;;) {
		size_t len = strcspn(text, ":,");
		const struct sim_kind *kind = sim_kind_find(text, len);
		double times = 1;
		if (!kind)
			return complain(p, "--kinds: there is no kind \"%.*s\"", (int)len, text);
		text += len;
		if (*text == ':' && number(p, "kinds", text + 1, 1, SIM_KINDS_MAX, &times, &text) < 0)
			return -1;
		if (o->kind_n + times > SIM_KINDS_MAX)
			return complain(p, "--kinds: more than %d in turn", SIM_KINDS_MAX);
		for (int i = 0; i < (int)times; i++)
			o->kind[o->kind_n++] = kind;
		if (!*text)
			return 0;
		if (*text++ != ',')
			return complain(p, "--kinds takes KIND or KIND:N, separated by commas");
	}
}

static int take_bind(const struct parser *p, const char *text)
{
	struct sim_options *o = p->options;
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	double bits = 0;

	if (len >= sizeof(address))
		return complain(p, "--bind: \"%s\" is no address or prefix", text);
	memcpy(address, text, len);
	address[len] = 0;
	o->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(o->family, address, o->prefix) != 1)
		return complain(p, "--bind: \"%s\" is no address or prefix", text);
	o->prefix_len = o->family == AF_INET ? 32 : 128;
	if (!text[len])
		return 0;
	if (whole(p, "bind", text + len + 1, 8, o->prefix_len, &bits) < 0)
		return -1;
	o->prefix_len = (unsigned)bits;
	if (o->family == AF_INET6 && o->prefix_len > 64 && o->prefix_len < 128)
		return complain(p,
				"--bind: an IPv6 prefix has at most 64 bits, to be completed by the MAC ID");
	return 0;
}

static int take_port(const struct parser *p, const char *text)
{
	double value = 0;
	int err = whole(p, "port", text, 0, 65535, &value);

	p->options->port = (uint16_t)value;
	return err;
}

static int take_join(const struct parser *p, const char *text)
{
	struct copse_address *group = &p->options->group;

	if (copse_address_parse(text, COPSE_PORT, group) == 0 && copse_address_is_group(group))
		return 0;
	return complain(p, "--join: \"%s\" is no address of a group", text);
}

static int take_seed(const struct parser *p, const char *text)
{
	char *end;

	errno = 0;
	p->options->seed = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		return complain(p, "--seed takes a whole number, not \"%s\"", text);
	return 0;
}

static int take_speed(const struct parser *p, const char *text)
{
	return number(p, "speed", text, 0.001, 100000, &p->options->speed, NULL);
}

static int take_start(const struct parser *p, const char *text)
{
	double value = 0;
	int err = number(p, "start", text, 0, 1e11, &value, NULL);

	p->options->started = true;
	p->options->start_ms = (int64_t)(value * 1000);
	return err;
}

static int take_loss(const struct parser *p, const char *text)
{
	double value = 0;
	int err = number(p, "loss", text, 0, 100, &value, NULL);

	p->options->weather.loss = value / 100;
	return err;
}

static int take_delay(const struct parser *p, const char *text)
{
	double min = 0, max = 0;

	if (number(p, "delay", text, 0, 3600000, &min, &text) < 0)
		return -1;
	max = min;
	if (*text == '-' && number(p, "delay", text + 1, min, 3600000, &max, &text) < 0)
		return -1;
	if (*text)
		return complain(p, "--delay takes MS or MS-MS");
	p->options->weather.delay_min_ms = (uint32_t)min;
	p->options->weather.delay_max_ms = (uint32_t)max;
	return 0;
}

static int take_sleep(const struct parser *p, const char *text)
{
	double period = 0, awake = 1;

	if (number(p, "sleep", text, 0.01, 86400, &period, &text) < 0)
		return -1;
	if (*text == '/' && number(p, "sleep", text + 1, 0.001, period, &awake, &text) < 0)
		return -1;
	if (*text)
		return complain(p, "--sleep takes PERIOD or PERIOD/AWAKE");
	p->options->weather.sleep_period_ms = (uint32_t)(period * 1000);
	p->options->weather.sleep_awake_ms = (uint32_t)(awake * 1000);
	return 0;
}

#define PUBLISH_S 60 /* of devices that are always on */

static int take_publish(const struct parser *p, const char *text)
{
	const char *slash = strchr(text, '/');
	const size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[COPSE_ADDRESS_TEXT];
	double period = 0;

	if (slash && number(p, "publish", slash + 1, 0.01, 86400, &period, NULL) < 0)
		return -1;
	snprintf(address, sizeof(address), "%.*s", (int)(len < sizeof(address) ? len : 0), text);
	if (copse_address_parse(address, COPSE_PORT, &p->options->publish) != 0)
		return complain(p, "--publish takes ADDRESS or ADDRESS:PORT, and /PERIOD, not \"%s\"", text);
	p->options->publish_ms = (uint32_t)(period * 1000);
	return 0;
}

static int take_radio(const struct parser *p, const char *text)
{
	p->options->radio = ledger_radio_find(text);
	return p->options->radio ? 0
				 : complain(p, "--radio takes ethernet, 802.15.4 or ble, not \"%s\"", text);
}

static int take_hours(const struct parser *p, const char *text)
{
	double value = 0;
	int err = whole(p, "hours", text, 1, LEDGER_HOURS_MAX, &value);

	p->options->hours = (uint32_t)value;
	return err;
}

static int take_line(const struct parser *p, const char *text)
{
	p->options->line = text;
	return 0;
}

static int take_frame(const struct parser *p, const char *text)
{
	double value = 0;
	int err = whole(p, "frame", text, COPSE_SERIAL_FRAME_MIN, COPSE_SERIAL_FRAME_MAX, &value);

	p->options->frame = (uint32_t)value;
	return err;
}

static int take_conf(const struct parser *p, const char *text)
{
	p->options->conf = text;
	return 0;
}

static int take_dtls(const struct parser *p, const char *text)
{
	double value = 0;
	int err = whole(p, "dtls", text, 0, 65535, &value);

	p->options->secure = true;
	p->options->secure_port = (uint16_t)value;
	return err;
}

static int take_oscore(const struct parser *p, const char *text)
{
	if (p->options->oscore_n == SIM_OSCORE_MAX)
		return complain(p, "more than 8 security contexts");
	p->options->oscore[p->options->oscore_n++] = text;
	return 0;
}

static int take_psk(const struct parser *p, const char *text)
{
	p->options->secure = true;
	p->options->psk = text;
	return 0;
}

static int take_flag(const struct parser *p, int letter)
{
	switch (letter) {
	case 'v': p->options->verbose = 1; return 0;
	case 'q': p->options->verbose = -1; return 0;
	case 'C': p->options->tcp = true; return 0;
	case 'W': p->options->tcp = p->options->websocket = true; return 0;
	case 'l': p->options->action = SIM_LIST; return 0;
	case 'g': p->options->action = SIM_LEDGER; return 0;
	case 'h': p->options->action = SIM_HELP; return 0;
	case 'V': p->options->action = SIM_VERSION; return 0;
	default: return -1;
	}
}

/* The long options, their letters, and who takes their values; NULL: take_flag. */
static const struct {
	const char *name;
	char letter;
	int (*take)(const struct parser *p, const char *text);
} rows[] = {
    /* clang-format off */
	{"count", 'n', take_count},
	{"kinds", 'k', take_kinds},
	{"bind", 'b', take_bind},
	{"port", 'p', take_port},
	{"dtls", 't', take_dtls},
	{"psk", 'P', take_psk},
	{"oscore", 'E', take_oscore},
	{"tcp", 'C', NULL},
	{"ws", 'W', NULL},
	{"join", 'j', take_join},
	{"seed", 's', take_seed},
	{"speed", 'S', take_speed},
	{"start", 'T', take_start},
	{"loss", 'L', take_loss},
	{"delay", 'D', take_delay},
	{"sleep", 'Z', take_sleep},
	{"publish", 'B', take_publish},
	{"conf", 'c', take_conf},
	{"line", 'i', take_line},
	{"frame", 'f', take_frame},
	{"radio", 'R', take_radio},
	{"hours", 'H', take_hours},
	{"ledger", 'g', NULL},
	{"list", 'l', NULL},
	{"verbose", 'v', NULL},
	{"quiet", 'q', NULL},
	{"help", 'h', NULL},
	{"version", 'V', NULL},
    /* clang-format on */
};

#define ROW_N (sizeof(rows) / sizeof(rows[0]))

/* What only all options together can show. */
static int check(const struct parser *p)
{
	const struct sim_options *o = p->options;
	unsigned host_bits = (o->family == AF_INET ? 32 : 128) - o->prefix_len;

	if (host_bits == 0 && o->port && o->port + o->count > 65536)
		return complain(p, "%u devices do not fit between port %u and 65535", o->count, o->port);
	if (o->family == AF_INET && host_bits > 0 && o->count + 2 > 1u << host_bits)
		return complain(p, "%u devices do not fit into a prefix of %u bits", o->count, o->prefix_len);
	if (o->secure && (o->line || o->count > SIM_COUNT_MAX / 2))
		return complain(p, "DTLS is for at most %u devices, none of them on a line",
				SIM_COUNT_MAX / 2);
	if (o->tcp && (o->line || o->count > SIM_COUNT_MAX / 2))
		return complain(p, "TCP is for at most %u devices, none of them on a line",
				SIM_COUNT_MAX / 2);
	if (o->line && o->count != 1)
		return complain(p, "--line has room for one device: add --count 1");
	if (o->line && o->publish.len)
		return complain(p, "a device on a line publishes nothing");
	if (o->line && (o->conf || o->action == SIM_LIST))
		return complain(p, "a device on a line has no address: no --conf and no --list");
	if (o->action == SIM_LIST && o->port == 0)
		return complain(p, "--list cannot know the ports that the system will choose: use --conf");
	return 0;
}

static int take_option(const struct parser *p, int letter)
{
	for (size_t i = 0; i < ROW_N; i++) {
		if (rows[i].letter == letter)
			return rows[i].take ? rows[i].take(p, optarg) : take_flag(p, letter);
	}
	return complain(p, "unknown option, or one without its value; see copse-sim --help");
}

int sim_options_parse(struct sim_options *options, int argc, char **argv, char *why, size_t why_cap)
{
	struct parser p = {options, why, why_cap};
	struct option longs[ROW_N + 1] = {0};
	int letter, err = 0;

	*options = (struct sim_options){.count = 20,
					.port = COPSE_PORT,
					.secure_port = 4849,
					.seed = 1,
					.speed = 1,
					.hours = 24,
					.frame = 256};
	options->radio = ledger_radio_find("ethernet");
	take_kinds(&p, "meter,thermostat,light,climate,tracker");
	take_bind(&p, "127.1.0.0/16");
	for (size_t i = 0; i < ROW_N; i++)
		longs[i] = (struct option){rows[i].name, rows[i].take ? required_argument : no_argument, NULL,
					   rows[i].letter};
	optind = 0;
	opterr = 0;
	while (!err && (letter = getopt_long(argc, argv, "n:k:b:p:vqhV", longs, NULL)) != -1)
		err = take_option(&p, letter);
	if (!err && optind < argc)
		err = complain(&p, "unexpected argument \"%s\"", argv[optind]);
	if (options->publish.len && !options->publish_ms && !options->weather.sleep_period_ms)
		options->publish_ms = PUBLISH_S * 1000;
	return err ? err : check(&p);
}

const struct sim_kind *sim_options_kind(const struct sim_options *options, uint32_t index)
{
	return options->kind[index % options->kind_n];
}

/* RFC 4291 Appendix A: the EUI-64 with its universal/local bit inverted. */
static void complete_v6(uint8_t address[16], uint64_t mac)
{
	for (int i = 0; i < 8; i++)
		address[8 + i] = (uint8_t)(mac >> (56 - 8 * i));
	address[8] ^= 2;
}

void sim_options_address(const struct sim_options *options, uint32_t index, uint64_t mac,
			 struct copse_address *out)
{
	bool single = options->prefix_len == (options->family == AF_INET ? 32u : 128u);
	uint16_t port = (uint16_t)(single && options->port ? options->port + index : options->port);

	memset(out, 0, sizeof(*out));
	out->sa.sa_family = (sa_family_t)options->family;
	if (options->family == AF_INET) {
		uint32_t mask = options->prefix_len == 32 ? UINT32_MAX : ~(UINT32_MAX >> options->prefix_len);
		uint32_t prefix;
		memcpy(&prefix, options->prefix, sizeof(prefix));
		out->in.sin_addr.s_addr = single ? prefix : htonl((ntohl(prefix) & mask) + index + 1);
		out->in.sin_port = htons(port);
		out->len = sizeof(out->in);
		return;
	}
	memcpy(&out->in6.sin6_addr, options->prefix, 16);
	if (!single)
		complete_v6(out->in6.sin6_addr.s6_addr, mac);
	out->in6.sin6_port = htons(port);
	out->len = sizeof(out->in6);
}
