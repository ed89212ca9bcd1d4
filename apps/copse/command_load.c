/* load: many clients at once ask a server, directly or through a gateway, and what comes back is measured. With a token each
 * client opens a session with the gateway first, and closes it at the end.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_link.h"
#include "load_plan.h"
#include "load_report.h"
#include "output.h"
#include "report.h"
#include "token.h"

#include <copse/format.h>
#include <copse/host.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 1000000u
#define WINDOW_MAX  4096u
#define PLACES_MAX  4000000u
#define TIMEOUT_MS  10000u
#define FOR_MS      10000u
#define AT_ONCE     64u /* sessions and observations that are being opened */

#define READING "[{\"n\":\"load\",\"u\":\"Cel\",\"v\":21.5}]"

static const struct verb {
	const char *word;
	uint8_t code;
	enum load_kind kind;
} verbs[] = {{"get", COPSE_CODE_GET, LOAD_RUN},         {"put", COPSE_CODE_PUT, LOAD_RUN},
	     {"post", COPSE_CODE_POST, LOAD_RUN},       {"delete", COPSE_CODE_DELETE, LOAD_RUN},
	     {"observe", COPSE_CODE_GET, LOAD_OBSERVE}, {"publish", COPSE_CODE_POST, LOAD_RUN}};

struct load_run {
	const struct args *args;
	const struct verb *verb;
	char uri[1200];
	uint32_t clients, window;
	struct buffer payload, token;
	struct load_plan plan;
	struct load_wire *wire;
	struct load *load;
	struct load_work work;
	struct load_about about;
	struct load_result result, aside;
};

static void on_signal(int signal)
{
	(void)signal;
	load_interrupt();
}

/* --- what is asked for --- */

static bool is_publish(const struct load_run *r)
{
	return strcmp(r->verb->word, "publish") == 0;
}

static int find_verb(struct load_run *r)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(verbs[i].word, r->args->operand[0]) == 0)
			r->verb = &verbs[i];
	if (r->verb)
		return 0;
	report_error(EXIT_OTHER, "load %s: it is get, put, post, delete, observe or publish",
		     r->args->operand[0]);
	report_hint("try: copse load --help");
	return EXIT_OTHER;
}

/* A gateway's URI without a path is where readings go. */
static int take_uri(struct load_run *r)
{
	const char *text = r->args->operand[1], *host = strstr(text, "://");
	bool bare = host && !strchr(host + 3, '/') && !strchr(host + 3, '?');
	int n = snprintf(r->uri, sizeof(r->uri), "%s%s", text, is_publish(r) && bare ? "/publish" : "");

	return n < 0 || (size_t)n >= sizeof(r->uri) ? report_error(EXIT_OTHER, "the URI is too long") : 0;
}

static int take_rate(struct load_run *r)
{
	const char *text = args_value(r->args, ARG_RATE);
	char *end;

	if (!text)
		return 0;
	r->work.rate = strtod(text, &end);
	if (end != text && !*end && r->work.rate > 0 && r->work.rate <= 1e8)
		return r->verb->kind == LOAD_RUN
			   ? 0
			   : report_error(EXIT_OTHER, "--rate: notifications come when they come");
	return report_error(EXIT_OTHER, "--rate: %s is no number of requests a second", text);
}

static int take_limits(struct load_run *r)
{
	copse_ms timeout, duration;
	uint32_t count;
	int code = args_number(r->args, ARG_COUNT, 1, UINT32_MAX, 0, &count);

	if (!code)
		code = args_span(r->args, ARG_TIMEOUT, TIMEOUT_MS, &timeout);
	if (!code)
		code = args_span(r->args, ARG_FOR, count ? 0 : FOR_MS, &duration);
	if (code)
		return code;
	r->work.requests = count;
	r->work.timeout = timeout * 1000000;
	r->work.duration = duration * 1000000;
	return 0;
}

static int take_numbers(struct load_run *r)
{
	int code = args_number(r->args, ARG_CLIENTS, 1, CLIENTS_MAX, 100, &r->clients);

	if (!code)
		code = args_number(r->args, ARG_WINDOW, 1, WINDOW_MAX, 1, &r->window);
	if (!code && (uint64_t)r->clients * r->window > PLACES_MAX)
		code = report_error(EXIT_OTHER, "clients times window are at most %u", PLACES_MAX);
	if (!code)
		code = take_rate(r);
	return code ? code : take_limits(r);
}

static int take_payload(struct load_run *r)
{
	bool given;
	int code = payload_from_args(&r->payload, r->args,
				     r->args->operand_n > 2 ? r->args->operand[2] : NULL, &given);

	if (!code && !given && is_publish(r) && !buffer_append(&r->payload, READING, strlen(READING)))
		code = report_error(EXIT_OTHER, "out of memory");
	return code;
}

/* The templates: what the command line says, and for readings their format. */
static int make_plan(struct load_run *r)
{
	struct args args = *r->args;

	args.code = r->verb->code;
	if (is_publish(r) && !args_value(&args, ARG_CONTENT_FORMAT) && args.given_n < ARGS_GIVEN_MAX)
		args.given[args.given_n++] = (struct args_given){ARG_CONTENT_FORMAT, "110"};
	return load_plan_make(&r->plan, &args, r->uri, r->payload.len);
}

/* --- sessions --- */

static int take_token(struct load_run *r)
{
	const char *value = args_value(r->args, ARG_TOKEN);

	if (value)
		return payload_secret(&r->token, value);
	if (args_count(r->args, ARG_SECRET) || (args_count(r->args, ARG_KEY) && !secure_owns_key(r->args)))
		return token_make(&r->token, r->args);
	return 0;
}

/* POST the token, or DELETE the session, once for each client; where the requests go. */
static int each_session(struct load_run *r, uint8_t method)
{
	const char *host = args_value(r->args, ARG_PROXY) ? args_value(r->args, ARG_PROXY) : r->uri;
	const char *scheme_end = strstr(host, "://");
	size_t len = scheme_end ? (size_t)(scheme_end - host) + 3 : 0;
	char uri[1300];
	struct load_plan plan;

	len += strcspn(host + len, "/?");
	snprintf(uri, sizeof(uri), "%.*s/sessions%s", (int)len, host,
		 method == COPSE_CODE_POST ? "?security=none" : "");
	int code = load_plan_make_one(&plan, uri, r->token.len);
	if (code)
		return code;
	const struct load_work work = {.kind = LOAD_EACH,
				       .code = method,
				       .confirmable = true,
				       .templates = plan.templates,
				       .template_n = plan.n,
				       .payload = r->token.bytes,
				       .payload_len = method == COPSE_CODE_POST ? r->token.len : 0,
				       .window = 1,
				       .at_once = AT_ONCE,
				       .timeout = r->work.timeout > 60ull * LOAD_SECOND ? r->work.timeout
											: 60ull * LOAD_SECOND,
				       .keep_addresses = true};
	load_run(r->load, &work, &r->aside);
	load_plan_free(&plan);
	return 0;
}

static int open_sessions(struct load_run *r)
{
	int code = each_session(r, COPSE_CODE_POST);

	if (code)
		return code;
	if (load_successes(r->load) == r->clients || load_interrupted())
		return 0;
	code = load_report_code(&r->aside);
	report_error(EXIT_OTHER, "%u of %u clients could not open a session",
		     r->clients - load_successes(r->load), r->clients);
	if (r->aside.code[COPSE_CODE_FORBIDDEN])
		report_hint("does the gateway let the account have so many? sessions { per_account = %u }",
			    r->clients);
	return code ? code : EXIT_4XX;
}

/* --- the run --- */

static void describe(struct load_run *r)
{
	r->work.kind = r->verb->kind;
	r->work.code = r->verb->code;
	r->work.confirmable = args_count(r->args, ARG_NON) == 0;
	r->work.templates = r->plan.templates;
	r->work.template_n = r->plan.n;
	r->work.own = args_count(r->args, ARG_OWN) > 0;
	r->work.payload = r->payload.bytes;
	r->work.payload_len = r->payload.len;
	r->work.window = r->window;
	r->work.at_once = AT_ONCE;
	r->work.keep_addresses = r->token.len > 0;
	r->work.progress = load_report_progress;
	r->work.user = &r->about;
	r->about = (struct load_about){.verb = r->verb->word,
				       .uri = r->uri,
				       .clients = r->clients,
				       .window = r->window,
				       .rate = r->work.rate,
				       .confirmable = r->work.confirmable && !load_wire_is_stream(r->wire),
				       .scheme = copse_scheme_name(r->plan.scheme),
				       .stream = load_wire_is_stream(r->wire),
				       .connected = r->plan.scheme != COPSE_SCHEME_COAP,
				       .observes = r->work.kind == LOAD_OBSERVE};
}

static int open_all(struct load_run *r)
{
	struct load_wire_config config = {.to = r->plan.to,
					  .local_address = args_value(r->args, ARG_LOCAL_ADDRESS),
					  .clients = r->clients,
					  .window = r->window,
					  .stream = r->plan.scheme >= COPSE_SCHEME_COAP_TCP,
					  .websocket = r->plan.authority[0] != '\0',
					  .authority = r->plan.authority,
					  .secure = r->plan.secure.keys,
					  .handshake_ms = r->plan.secure.handshake_ms};
	uint32_t port;
	uint64_t seed;
	int code = args_number(r->args, ARG_LOCAL_PORT, 1, 65535, 0, &port);

	if (!code && r->plan.scheme != COPSE_SCHEME_COAP && r->clients > LOAD_LINKS_MAX)
		code = report_error(EXIT_OTHER, "clients with connections are at most %u", LOAD_LINKS_MAX);
	if (code)
		return code;
	config.local_port = (uint16_t)port;
	r->wire = load_wire_open(&config, &code);
	if (!r->wire)
		return code;
	copse_host_random(&seed, sizeof(seed));
	r->load = load_new(r->wire, r->clients, r->window, seed);
	return r->load ? 0 : report_error(EXIT_OTHER, "out of memory");
}

static int run(struct load_run *r)
{
	int code = r->token.len ? open_sessions(r) : 0;

	if (!code) {
		load_run(r->load, &r->work, &r->result);
		code = load_report_code(&r->result);
		if (args_count(r->args, ARG_JSON))
			load_report_json(&r->about, &r->result);
		else
			load_report_text(&r->about, &r->result);
		code = output_finish(code);
	}
	if (r->token.len)
		each_session(r, COPSE_CODE_DELETE);
	return code;
}

static int prepare(struct load_run *r)
{
	int code = find_verb(r);

	if (!code)
		code = take_uri(r);
	if (!code)
		code = take_numbers(r);
	if (!code)
		code = take_payload(r);
	if (!code)
		code = take_token(r);
	if (!code)
		code = make_plan(r);
	if (!code)
		code = open_all(r);
	return code;
}

int command_load(const struct args *args)
{
	static struct load_run r; /* too large for a stack */
	struct sigaction action = {.sa_handler = on_signal};

	r = (struct load_run){.args = args};
	int code = prepare(&r);
	if (!code) {
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		describe(&r);
		code = run(&r);
	}
	load_free(r.load);
	load_wire_close(r.wire);
	load_plan_free(&r.plan);
	if (r.token.bytes)
		explicit_bzero(r.token.bytes, r.token.cap);
	buffer_free(&r.token);
	buffer_free(&r.payload);
	return code;
}
