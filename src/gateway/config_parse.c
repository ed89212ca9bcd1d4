/* libConfuse's tables, and the files one after another.
 *
 * libConfuse keeps its scanner and calls its error function without context: hence the one static pointer, and the
 * rule that one thread at a time reads a configuration.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config_parse.h"

#include "collector.h"
#include "config_text.h"
#include "key.h"

#include "store/sensor_type.h"

#include <copse/mem.h>

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 64 /* files of one configuration: a bound for includes that go round in a circle */

/* What is being read. */
static struct reading {
	char *why;
	size_t why_len;
	struct {
		char *path;
		unsigned by; /* which file includes it, */
		int line;    /* and where */
	} file[FILES_MAX];   /* the main file, and the included ones in the order in which they were met */
	unsigned file_n;
	unsigned current; /* the one that is being parsed: sections that exist once do not know theirs */
} * reading;

#define OPTION_MAX 20 /* bytes of the longest name of an option, and some */

/* Whether a message would name as an option what is none, but may be a secret: one that has lost its quotes, or stands in a
 * file that is no configuration. In a section of a key that is any text, elsewhere what no option is called like. */
__attribute__((format(printf, 2, 0))) static bool shows_text(const cfg_t *cfg, const char *fmt, va_list args)
{
	static const char *const of_options[] = {
	    "no such option '%s'", "missing equal sign after option '%s'", "unexpected token '%s'"};
	bool is_one = false;
	va_list copy;

	for (size_t i = 0; i < sizeof(of_options) / sizeof(*of_options); i++)
		is_one |= strcmp(fmt, of_options[i]) == 0;
	if (!is_one)
		return false;
	va_copy(copy, args);
	const char *text = va_arg(copy, const char *);
	va_end(copy);
	return (cfg->name && strcmp(cfg->name, "key") == 0) || strlen(text) > OPTION_MAX ||
	       strspn(text, "abcdefghijklmnopqrstuvwxyz_") < strlen(text);
}

__attribute__((format(printf, 2, 0))) static void complain(cfg_t *cfg, const char *fmt, va_list args)
{
	char *why = reading->why;
	size_t *len = &reading->why_len;
	const bool silent = shows_text(cfg, fmt, args);

	if (*len + 1 >= GW_CONFIG_WHY)
		return;
	*len += (size_t)snprintf(
	    why + *len, GW_CONFIG_WHY - *len,
	    "%s:%d: ", cfg->filename ? cfg->filename : reading->file[reading->current].path, cfg->line);
	if (*len < GW_CONFIG_WHY && silent)
		*len += (size_t)snprintf(why + *len, GW_CONFIG_WHY - *len, "no such option");
	else if (*len < GW_CONFIG_WHY)
		*len += (size_t)vsnprintf(why + *len, GW_CONFIG_WHY - *len, fmt, args);
	if (*len >= GW_CONFIG_WHY - 1)
		*len = GW_CONFIG_WHY - 2;
	why[(*len)++] = '\n';
	why[*len] = 0;
}

/* --- what values may be --- */

/* Ranges of numbers: options of these names, in these sections, from and to. */
static const struct range {
	const char *section, *option;
	double min, max;
} ranges[] = {
    {"token", "skew", 0, 86400},
    {"token", "rate", 1, 1000000},
    {"sessions", "max", 1, 4000000},
    {"sessions", "per_account", 1, 4000000},
    {"sessions", "idle", 1, 31536000},
    {"sessions", "requests", 1, 60000},
    {"sessions", "grants", 1, 1000000},
    {"sessions", "rate", 0, 1000000},
    {"sessions", "burst", 0, 1000000},
    {"clients", "ack_timeout", 0.001, 600},
    {"clients", "ack_random_factor", 1, 4},
    {"clients", "max_retransmit", 0, 20},
    {"clients", "nstart", 1, 65535},
    {"clients", "amplification", 0, 255},
    {"mesh", "port", 1, 65535},
    {"mesh", "secure_port", 1, 65535},
    {"secure", "associations", 1, 1000000},
    {"secure", "handshakes", 1, 100000},
    {"secure", "rate", 1, 1000000},
    {"secure", "helpers", 0, 16},
    {"secure", "idle", 1, 31536000},
    {"mesh", "ack_timeout", 0.001, 600},
    {"mesh", "ack_random_factor", 1, 4},
    {"mesh", "max_retransmit", 0, 20},
    {"mesh", "nstart", 1, 65535},
    {"mesh", "hops", 1, 255},
    {"group", "answers", 1, 1024},
    {"group", "timeout", 1, 120},
    {"group", "rate", 0, 1000000},
    {"group", "burst", 0, 1000000},
    {"mesh", "response_timeout", 0.001, 86400},
    {"proxy", "requests", 1, 60000},
    {"proxy", "max_message", 256, 60000},
    {"proxy", "hop_limit", 0, 255},
    {"proxy", "waiting", 0, 60000},
    {"proxy", "transfers", 1, 60000},
    {"proxy", "transfer_idle", 1, 86400},
    {"proxy", "drain", 0, 600},
    {"proxy", "remembered", 0, 100e9},
    {"cache", "entries", 1, 10000000},
    {"cache", "bytes", 0, 100e9},
    {"cache", "waiters", 0, 60000},
    {"observe", "observations", 1, 1000000},
    {"observe", "observers", 1, 4000000},
    {"observe", "per_session", 0, 4000000},
    {"class", "concurrent", 1, 60000},
    {"class", "queue", 0, GW_QUEUE_MAX},
    {"class", "block_size", 16, 1024},
    {"class", "rate", 0, 1000000},
    {"class", "burst", 0, 1000000},
    {"class", "ack_timeout", 0.001, 600},
    {"class", "ack_random_factor", 1, 4},
    {"class", "max_retransmit", 0, 20},
    {"class", "response_timeout", 0.001, 86400},
    {"collector", "devices", 1, 1000000},
    {"collector", "rate", 0, 1000000},
    {"collector", "burst", 0, 1000000},
    {"collector", "keep", 0, 1000000},
    {"collector", "max_size", 0, 1000000},
    {"directory", "registrations", 0, 1000000},
    {"mailbox", "requests", 0, 60000},
    {"mailbox", "per_device", 1, 60000},
    {"mailbox", "per_account", 1, 60000},
    {"mailbox", "limit", 1, 31536000},
    {"device", "port", 1, 65535},
    {"device", "secure_port", 1, 65535},
};

static int check_range(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct range *r = ranges;

	while (strcmp(r->section, cfg->name) != 0 || strcmp(r->option, opt->name) != 0)
		r++;
	double value = opt->type == CFGT_FLOAT ? cfg_opt_getnfloat(opt, 0) : (double)cfg_opt_getnint(opt, 0);
	if (value >= r->min && value <= r->max)
		return 0;
	cfg_error(cfg, "'%s' must be %g to %.0f", opt->name, r->min, r->max);
	return -1;
}

static const char *last(cfg_opt_t *opt)
{
	return cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
}

static int check_address(cfg_t *cfg, cfg_opt_t *opt)
{
	struct copse_address address;

	if (copse_address_parse(last(opt), 5683, &address) == 0 && !copse_address_is_group(&address))
		return 0;
	cfg_error(cfg, "'%s' must be an address, not '%s'", opt->name, last(opt));
	return -1;
}

int gw_config_listen_parse(const char *text, bool secure, struct copse_address *address, uint8_t *stream)
{
	static const struct {
		const char *begin;
		bool secure;
		uint8_t stream;
		uint16_t port; /* by default, RFC 8323 §8 */
	} rows[] = {
	    {"tcp://", false, GW_STREAM_PLAIN, 5683}, {"ws://", false, GW_STREAM_WEBSOCKET, 80},
	    {"tls://", true, GW_STREAM_PLAIN, 5684},  {"wss://", true, GW_STREAM_WEBSOCKET, 443},
	    {"", false, GW_STREAM_NONE, 5683},        {"", true, GW_STREAM_NONE, 5684},
	};
	size_t i = 0;

	while (rows[i].secure != secure || strncmp(text, rows[i].begin, strlen(rows[i].begin)) != 0)
		i++;
	*stream = rows[i].stream;
	return copse_address_parse(text + strlen(rows[i].begin), rows[i].port, address);
}

static int check_listen_at(cfg_t *cfg, cfg_opt_t *opt, bool secure)
{
	struct copse_address address;
	uint8_t stream;

	if (gw_config_listen_parse(last(opt), secure, &address, &stream) == 0 &&
	    !copse_address_is_group(&address))
		return 0;
	cfg_error(cfg, "'%s' must be an address, or one behind %s, not '%s'", opt->name,
		  secure ? "tls:// or wss://" : "tcp:// or ws://", last(opt));
	return -1;
}

static int check_listen(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_listen_at(cfg, opt, false);
}

static int check_secure_listen(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_listen_at(cfg, opt, true);
}

/* Of a device: an address without port; the port has an option of its own. */
static int check_host(cfg_t *cfg, cfg_opt_t *opt)
{
	struct copse_address address;

	if (copse_address_parse(last(opt), 0, &address) == 0 && copse_address_port(&address) == 0 &&
	    !copse_address_is_group(&address) && !copse_address_is_any(&address))
		return 0;
	cfg_error(cfg, "'%s' must be an IP address without port, not '%s'", opt->name, last(opt));
	return -1;
}

static int check_prefix(cfg_t *cfg, cfg_opt_t *opt)
{
	struct gw_prefix prefix;

	if (gw_prefix_parse(last(opt), &prefix) == 0)
		return 0;
	cfg_error(cfg, "'%s' must be like 192.0.2.0/24 or fd00::/64, with zeros behind the length, not '%s'",
		  opt->name, last(opt));
	return -1;
}

static int check_mesh_prefix(cfg_t *cfg, cfg_opt_t *opt)
{
	struct gw_prefix prefix;

	if (gw_prefix_parse(last(opt), &prefix) == 0 && prefix.bits <= 64)
		return 0;
	cfg_error(cfg, "'%s' must be an IPv6 prefix of at most 64 bits, with zeros behind, not '%s'",
		  opt->name, last(opt));
	return -1;
}

static int check_level(cfg_t *cfg, cfg_opt_t *opt)
{
	if (gw_log_level_from_text(last(opt)) >= 0)
		return 0;
	cfg_error(cfg, "'%s' must be error, warn, info or debug", opt->name);
	return -1;
}

static int check_security(cfg_t *cfg, cfg_opt_t *opt)
{
	if (strcmp(last(opt), "none") == 0 || strcmp(last(opt), "secure") == 0)
		return 0;
	cfg_error(cfg, "'%s' must be secure or none", opt->name);
	return -1;
}

static int check_transport(cfg_t *cfg, cfg_opt_t *opt)
{
	if (strcmp(last(opt), "udp") == 0 || strcmp(last(opt), "tcp") == 0)
		return 0;
	cfg_error(cfg, "'%s' must be udp or tcp", opt->name);
	return -1;
}

int gw_sharing_from_text(const char *text)
{
	static const char *const names[] = {
	    [GW_SHARE_ALL] = "shared", [GW_SHARE_ACCOUNT] = "account", [GW_SHARE_NOTHING] = "off"};

	for (int i = 0; i < (int)(sizeof(names) / sizeof(*names)); i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

static int check_sharing(cfg_t *cfg, cfg_opt_t *opt)
{
	if (gw_sharing_from_text(last(opt)) >= 0)
		return 0;
	cfg_error(cfg, "'%s' must be shared, account or off", opt->name);
	return -1;
}

static int check_action(cfg_t *cfg, cfg_opt_t *opt)
{
	if (strcmp(last(opt), "allow") == 0 || strcmp(last(opt), "deny") == 0)
		return 0;
	cfg_error(cfg, "'%s' must be allow or deny", opt->name);
	return -1;
}

static int check_rule(cfg_t *cfg, cfg_opt_t *opt)
{
	struct gw_rule rule;
	const char *why = gw_rule_parse(last(opt), strlen(last(opt)), &rule);

	if (!why)
		return 0;
	cfg_error(cfg, "'%s': %s", last(opt), why);
	return -1;
}

static int check_algorithm(cfg_t *cfg, cfg_opt_t *opt)
{
	if (gw_algorithm_from_text(last(opt)) >= 0)
		return 0;
	cfg_error(cfg, "'%s' must be HS256, RS256 or ES256", opt->name);
	return -1;
}

static int check_claim(cfg_t *cfg, cfg_opt_t *opt)
{
	size_t len = strlen(last(opt));

	if (len >= 1 && len <= GW_CLAIM_MAX)
		return 0;
	cfg_error(cfg, "'%s' must have 1 to %d bytes", opt->name, GW_CLAIM_MAX);
	return -1;
}

static int check_kid(cfg_t *cfg, cfg_opt_t *opt)
{
	size_t len = strlen(last(opt));

	if (len >= 1 && len <= GW_NAME_MAX)
		return 0;
	cfg_error(cfg, "'%s' must have 1 to %d bytes", opt->name, GW_NAME_MAX);
	return -1;
}

static int check_text(cfg_t *cfg, cfg_opt_t *opt)
{
	if (strlen(last(opt)) < 256)
		return 0;
	cfg_error(cfg, "'%s' must have at most 255 bytes", opt->name);
	return -1;
}

/* RFC 6454 §6.2: what a browser says of a page, or all of them. */
static int check_origin(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = last(opt), *host = strstr(text, "://");

	if (strcmp(text, "*") == 0 || (host && host > text && host[3] && !strpbrk(host + 3, "/ \t")))
		return 0;
	cfg_error(cfg, "'%s' must be like https://host or https://host:port, or *, not '%s'", opt->name,
		  text);
	return -1;
}

static int check_name(cfg_t *cfg, cfg_opt_t *opt)
{
	char name[GW_NAME_MAX + 1];

	if (gw_name_normalize(last(opt), strlen(last(opt)), name) > 0)
		return 0;
	cfg_error(cfg, "'%s' must be a name of at most %d letters, digits, dots and dashes", opt->name,
		  GW_NAME_MAX);
	return -1;
}

static int check_title(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *title = cfg_title(cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1));
	char name[GW_NAME_MAX + 1];

	if (gw_name_normalize(title, strlen(title), name) > 0)
		return 0;
	cfg_error(cfg, "a %s must have a name of at most %d letters, digits, dots and dashes", opt->name,
		  GW_NAME_MAX);
	return -1;
}

static int check_type(cfg_t *cfg, cfg_opt_t *opt)
{
	if (store_sensor_type(last(opt)))
		return 0;
	cfg_error(cfg, "'%s': there is no sensor type '%s'", opt->name, last(opt));
	return -1;
}

static int check_implicit(cfg_t *cfg, cfg_opt_t *opt)
{
	struct gw_implicit implicit;

	if (gw_implicit_parse(last(opt), &implicit))
		return 0;
	cfg_error(cfg,
		  "'%s' must be a sensor type, a colon and a token of 1 to 8 bytes in hexadecimal, not '%s'",
		  opt->name, last(opt));
	return -1;
}

static int check_interface(cfg_t *cfg, cfg_opt_t *opt)
{
	size_t len = strlen(last(opt));

	if (len >= 1 && len < 16)
		return 0;
	cfg_error(cfg, "'%s' must be names of interfaces", opt->name);
	return -1;
}

static int check_mismatch(cfg_t *cfg, cfg_opt_t *opt)
{
	if (strcmp(last(opt), "flag") == 0 || strcmp(last(opt), "refuse") == 0)
		return 0;
	cfg_error(cfg, "'%s' must be flag or refuse", opt->name);
	return -1;
}

static int check_spread(cfg_t *cfg, cfg_opt_t *opt)
{
	if (gw_spread_from_text(last(opt)) >= 0)
		return 0;
	cfg_error(cfg, "'%s' must be address or port", opt->name);
	return -1;
}

static int check_workers(cfg_t *cfg, cfg_opt_t *opt)
{
	if (cfg_opt_getnint(opt, 0) >= 0 && cfg_opt_getnint(opt, 0) <= GW_WORKERS_MAX)
		return 0;
	cfg_error(cfg, "'%s' must be 0 to %d", opt->name, GW_WORKERS_MAX);
	return -1;
}

static const struct {
	const char *option;
	cfg_validate_callback_t check;
} checks[] = {
    {"name", check_name},
    {"listen", check_listen},
    {"workers", check_workers},
    {"spread", check_spread},
    {"log|level", check_level},
    {"key", check_title},
    {"key|algorithm", check_algorithm},
    {"key|kid", check_kid},
    {"key|issuer", check_text},
    {"token|issuer", check_text},
    {"token|audience", check_text},
    {"token|account_claim", check_claim},
    {"token|allow_claim", check_claim},
    {"token|deny_claim", check_claim},
    {"access|action", check_action},
    {"access|request", check_rule},
    {"clients|origins", check_origin},
    {"secure|listen", check_secure_listen},
    {"mesh|bind", check_address},
    {"mesh|prefix", check_mesh_prefix},
    {"mesh|security", check_security},
    {"proxy|outside", check_prefix},
    {"class", check_title},
    {"class|cache", check_sharing},
    {"collector|store", check_text},
    {"collector|types", check_type},
    {"collector|interfaces", check_interface},
    {"collector|implicit", check_implicit},
    {"collector|mismatch", check_mismatch},
    {"device", check_title},
    {"group", check_title},
    {"device|address", check_host},
    {"device|class", check_name},
    {"device|uri_host", check_name},
    {"device|transport", check_transport},
};

static void set_checks(cfg_t *cfg)
{
	char path[64];

	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++)
		cfg_set_validate_func(cfg, checks[i].option, checks[i].check);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		snprintf(path, sizeof(path), "%s|%s", ranges[i].section, ranges[i].option);
		cfg_set_validate_func(cfg, path, check_range);
	}
}

/* --- which options there are --- */

/* include("file"): parsed after the file that includes it. */
static int include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	char folder[PATH_MAX], *path = NULL;

	(void)opt;
	if (argc != 1) {
		cfg_error(cfg, "include needs one file name");
		return -1;
	}
	if (reading->file_n == FILES_MAX) {
		cfg_error(cfg, "more than %d files are included; perhaps in a circle", FILES_MAX);
		return -1;
	}
	snprintf(folder, sizeof(folder), "%s", cfg->filename);
	if (argv[0][0] == '/' ? (path = strdup(argv[0])) == NULL
			      : asprintf(&path, "%s/%s", dirname(folder), argv[0]) < 0) {
		cfg_error(cfg, "out of memory");
		return -1;
	}
	reading->file[reading->file_n].path = path;
	reading->file[reading->file_n].by = reading->current;
	reading->file[reading->file_n++].line = cfg->line;
	return 0;
}

/* libConfuse wants defaults of lists writable, and leaves them alone */
static char no_list[] = "{}", listen_list[] = "{\"*:5683\"}", secure_listen_list[] = "{\"*:5684\"}";

static cfg_opt_t log_options[] = {CFG_STR("level", "info", CFGF_NONE), CFG_END()};

static cfg_opt_t key_options[] = {
    CFG_STR("algorithm", NULL, CFGF_NODEFAULT),
    CFG_STR("secret", NULL, CFGF_NODEFAULT),
    CFG_STR("file", NULL, CFGF_NODEFAULT),
    CFG_STR("jwks", NULL, CFGF_NODEFAULT),
    CFG_STR("kid", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("issuer", no_list, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t token_options[] = {
    CFG_STR_LIST("issuer", no_list, CFGF_NONE),
    CFG_STR_LIST("audience", no_list, CFGF_NONE),
    CFG_STR("jwks", NULL, CFGF_NODEFAULT),
    CFG_STR("account_claim", "sub", CFGF_NONE),
    CFG_STR("allow_claim", "copse_allow", CFGF_NONE),
    CFG_STR("deny_claim", "copse_deny", CFGF_NONE),
    CFG_INT("skew", 30, CFGF_NONE),
    CFG_BOOL("require_exp", cfg_false, CFGF_NONE),
    CFG_INT("rate", 500, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t sessions_options[] = {
    CFG_INT("max", 100000, CFGF_NONE),  CFG_INT("per_account", 16, CFGF_NONE),
    CFG_FLOAT("idle", 3600, CFGF_NONE), CFG_INT("requests", 64, CFGF_NONE),
    CFG_INT("grants", 1024, CFGF_NONE), CFG_FLOAT("rate", 0, CFGF_NONE),
    CFG_INT("burst", 0, CFGF_NONE),     CFG_END(),
};

static cfg_opt_t clients_options[] = {
    CFG_FLOAT("ack_timeout", 2, CFGF_NONE),
    CFG_FLOAT("ack_random_factor", 1.5, CFGF_NONE),
    CFG_INT("max_retransmit", 4, CFGF_NONE),
    CFG_INT("nstart", 1, CFGF_NONE),
    CFG_INT("amplification", 3, CFGF_NONE),
    CFG_STR_LIST("origins", no_list, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t secure_options[] = {
    CFG_STR_LIST("listen", secure_listen_list, CFGF_NONE),
    CFG_STR("psk_file", NULL, CFGF_NODEFAULT),
    CFG_STR("certificate", NULL, CFGF_NODEFAULT),
    CFG_STR("private_key", NULL, CFGF_NODEFAULT),
    CFG_STR("raw_key", NULL, CFGF_NODEFAULT),
    CFG_STR("ca", NULL, CFGF_NODEFAULT),
    CFG_STR("raw_keys", NULL, CFGF_NODEFAULT),
    CFG_BOOL("require_certificate", cfg_false, CFGF_NONE),
    CFG_INT("associations", 10000, CFGF_NONE),
    CFG_INT("handshakes", 256, CFGF_NONE),
    CFG_INT("rate", 200, CFGF_NONE),
    CFG_INT("helpers", 2, CFGF_NONE),
    CFG_FLOAT("idle", 86400, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t mesh_options[] = {
    CFG_STR("bind", "[::]:0", CFGF_NONE),
    CFG_INT("port", 5683, CFGF_NONE),
    CFG_STR("psk_file", NULL, CFGF_NODEFAULT),
    CFG_STR("certificate", NULL, CFGF_NODEFAULT),
    CFG_STR("private_key", NULL, CFGF_NODEFAULT),
    CFG_STR("raw_key", NULL, CFGF_NODEFAULT),
    CFG_STR("ca", NULL, CFGF_NODEFAULT),
    CFG_INT("secure_port", 4849, CFGF_NONE),
    CFG_STR("prefix", NULL, CFGF_NODEFAULT),
    CFG_STR("security", "secure", CFGF_NONE),
    CFG_FLOAT("ack_timeout", 20, CFGF_NONE),
    CFG_FLOAT("ack_random_factor", 1.5, CFGF_NONE),
    CFG_INT("max_retransmit", 4, CFGF_NONE),
    CFG_INT("nstart", 1, CFGF_NONE),
    CFG_FLOAT("response_timeout", 180, CFGF_NONE),
    CFG_INT("hops", 1, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t proxy_options[] = {
    CFG_INT("requests", 4096, CFGF_NONE),        CFG_INT("max_message", 2048, CFGF_NONE),
    CFG_INT("hop_limit", 16, CFGF_NONE),         CFG_INT("waiting", 64, CFGF_NONE),
    CFG_INT("transfers", 256, CFGF_NONE),        CFG_FLOAT("transfer_idle", 60, CFGF_NONE),
    CFG_STR_LIST("outside", no_list, CFGF_NONE), CFG_FLOAT("drain", 5, CFGF_NONE),
    CFG_INT("remembered", 0, CFGF_NONE),         CFG_END(),
};

static cfg_opt_t cache_options[] = {
    CFG_INT("entries", 16384, CFGF_NONE),
    CFG_INT("bytes", 8388608, CFGF_NONE),
    CFG_INT("waiters", 256, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t observe_options[] = {
    CFG_INT("observations", 1024, CFGF_NONE),
    CFG_INT("observers", 16384, CFGF_NONE),
    CFG_INT("per_session", 256, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t access_options[] = {
    CFG_STR("action", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("account", no_list, CFGF_NONE),
    CFG_STR_LIST("request", no_list, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t class_options[] = {
    CFG_INT("concurrent", 1, CFGF_NONE),
    CFG_INT("queue", 0, CFGF_NONE),
    CFG_INT("block_size", 1024, CFGF_NONE),
    CFG_BOOL("sleeping", cfg_false, CFGF_NONE),
    CFG_BOOL("request_tag", cfg_false, CFGF_NONE),
    CFG_STR("cache", "shared", CFGF_NONE),
    CFG_FLOAT("rate", 0, CFGF_NONE),
    CFG_INT("burst", 0, CFGF_NONE),
    CFG_FLOAT("ack_timeout", 0, CFGF_NODEFAULT),
    CFG_FLOAT("ack_random_factor", 0, CFGF_NODEFAULT),
    CFG_INT("max_retransmit", 0, CFGF_NODEFAULT),
    CFG_FLOAT("response_timeout", 0, CFGF_NODEFAULT),
    CFG_END(),
};

static cfg_opt_t collector_options[] = {
    CFG_STR("store", NULL, CFGF_NODEFAULT),
    CFG_BOOL("sync", cfg_true, CFGF_NONE),
    CFG_BOOL("open", cfg_false, CFGF_NONE),
    CFG_STR("mismatch", "flag", CFGF_NONE),
    CFG_INT("devices", 20000, CFGF_NONE),
    CFG_FLOAT("rate", 0, CFGF_NONE),
    CFG_INT("burst", 0, CFGF_NONE),
    CFG_FLOAT("keep", 0, CFGF_NONE),
    CFG_FLOAT("max_size", 0, CFGF_NONE),
    CFG_STR_LIST("types", no_list, CFGF_NONE),
    CFG_STR_LIST("interfaces", no_list, CFGF_NONE),
    CFG_STR_LIST("implicit", no_list, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t directory_options[] = {
    CFG_INT("registrations", 0, CFGF_NONE),
    CFG_BOOL("open", cfg_false, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t mailbox_options[] = {
    CFG_INT("requests", 1024, CFGF_NONE),
    CFG_INT("per_device", 16, CFGF_NONE),
    CFG_INT("per_account", 64, CFGF_NONE),
    CFG_INT("limit", 3600, CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t device_options[] = {
    CFG_STR("address", NULL, CFGF_NODEFAULT),
    CFG_INT("port", 0, CFGF_NODEFAULT),
    CFG_INT("secure_port", 0, CFGF_NODEFAULT),
    CFG_STR("class", NULL, CFGF_NODEFAULT),
    CFG_STR("uri_host", NULL, CFGF_NODEFAULT),
    CFG_BOOL("deny", cfg_false, CFGF_NONE),
    CFG_STR("raw_key", NULL, CFGF_NODEFAULT),
    CFG_STR("certificate_name", NULL, CFGF_NODEFAULT),
    CFG_BOOL("sleeping", cfg_false, CFGF_NONE),
    CFG_STR("transport", "udp", CFGF_NONE),
    CFG_END(),
};

static cfg_opt_t group_options[] = {
    CFG_STR("address", NULL, CFGF_NODEFAULT), CFG_INT("answers", 64, CFGF_NONE),
    CFG_INT("timeout", 30, CFGF_NONE),        CFG_FLOAT("rate", 1, CFGF_NONE),
    CFG_INT("burst", 0, CFGF_NONE),           CFG_END(),
};

static cfg_opt_t root_options[] = {
    CFG_STR("name", NULL, CFGF_NODEFAULT),
    CFG_STR_LIST("listen", listen_list, CFGF_NONE),
    CFG_INT("workers", -1, CFGF_NONE),
    CFG_STR("spread", "address", CFGF_NONE),
    CFG_BOOL("segmentation", cfg_true, CFGF_NONE),
    CFG_SEC("log", log_options, CFGF_NONE),
    CFG_SEC("key", key_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_SEC("token", token_options, CFGF_NONE),
    CFG_SEC("sessions", sessions_options, CFGF_NONE),
    CFG_SEC("clients", clients_options, CFGF_NONE),
    CFG_SEC("secure", secure_options, CFGF_NONE),
    CFG_SEC("mesh", mesh_options, CFGF_NONE),
    CFG_SEC("proxy", proxy_options, CFGF_NONE),
    CFG_SEC("cache", cache_options, CFGF_NONE),
    CFG_SEC("observe", observe_options, CFGF_NONE),
    CFG_SEC("access", access_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_SEC("class", class_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_SEC("collector", collector_options, CFGF_NONE),
    CFG_SEC("directory", directory_options, CFGF_NONE),
    CFG_SEC("mailbox", mailbox_options, CFGF_NONE),
    CFG_SEC("device", device_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_SEC("group", group_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
    CFG_FUNC("include", include),
    CFG_END(),
};

/* --- the files --- */

static int parse_text(cfg_t *cfg, char *text, size_t len)
{
	const char *what;
	unsigned line = gw_config_blank(text, len, &what);

	if (line) {
		cfg->line = (int)line;
		cfg_error(cfg, "%s", what);
		return -1;
	}
	if (memchr(text, 0, len)) {
		cfg->line = 1;
		cfg_error(cfg, "this is no text file");
		return -1;
	}
	if (len == 0 || text[len - 1] != '\n')
		text[len++] = '\n'; /* in place of the NUL that gw_file_read leaves there */
	FILE *file = fmemopen(text, len, "r");
	if (!file)
		return -1;
	cfg->line = 1;
	int err = cfg_parse_fp(cfg, file);
	fclose(file);
	return err == CFG_SUCCESS ? 0 : -1;
}

static int parse_file(cfg_t *cfg, unsigned i)
{
	const char *path = reading->file[i].path;
	char *text;
	size_t len;
	int err = gw_file_read(path, GW_FILE_MAX, &text, &len);

	free(cfg->filename);
	if (err) {
		cfg->filename = strdup(reading->file[reading->file[i].by].path);
		cfg->line = reading->file[i].line;
		cfg_error(cfg, "%s: %s", path, err == EISDIR ? "not a file" : strerrordesc_np(err));
		return -1;
	}
	cfg->filename = strdup(path);
	err = cfg->filename ? parse_text(cfg, text, len) : -1;
	explicit_bzero(text, len); /* there may be secrets in it */
	copse_mem_free(text);
	return err;
}

static int parse_files(cfg_t *cfg)
{
	unsigned i;

	for (i = 0; i < reading->file_n; i++) {
		reading->current = i;
		if (parse_file(cfg, i) != 0)
			return -1;
	}
	reading->current = 0;
	/* sections that may stand in several files have none: what they name is beside the first, whichever was read last */
	free(cfg->filename);
	cfg->filename = strdup(reading->file[0].path);
	return cfg->filename ? 0 : -1;
}

cfg_t *gw_config_parse(const char *path, char why[GW_CONFIG_WHY])
{
	static struct reading the_reading;
	cfg_t *cfg = cfg_init(root_options, CFGF_NONE);

	why[0] = 0;
	reading = &the_reading;
	*reading = (struct reading){.why = why, .file[0] = {.path = strdup(path), .line = 1}, .file_n = 1};
	if (!cfg || !reading->file[0].path) {
		gw_config_parsed_free(cfg);
		return NULL;
	}
	cfg_set_error_function(cfg, complain);
	set_checks(cfg);
	if (parse_files(cfg) == 0)
		return cfg;
	gw_config_parsed_free(cfg);
	if (!why[0])
		snprintf(why, GW_CONFIG_WHY, "%s:1: cannot be read\n", path);
	return NULL;
}

void gw_config_parsed_free(cfg_t *cfg)
{
	for (unsigned i = 0; i < reading->file_n; i++)
		free(reading->file[i].path);
	reading->file_n = 0;
	if (cfg)
		cfg_free(cfg);
}
