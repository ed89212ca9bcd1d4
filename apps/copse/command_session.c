/* session open, status, close: the gateway knows a client by address and port, so the port is kept (state.h).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "output.h"
#include "report.h"
#include "token.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_GATEWAY "coap://localhost"

/* ---- open ---- */

static int find_token(struct buffer *token, const struct args *args)
{
	const char *value = args_value(args, ARG_TOKEN), *from_environment = getenv("COPSE_TOKEN");

	if (!value && (args_count(args, ARG_SECRET) || (args_count(args, ARG_KEY) && !secure_owns_key(args))))
		return token_make(token, args);
	if (!value)
		value = from_environment;
	if (!value || !*value) {
		report_error(EXIT_OTHER, "a token is missing");
		report_hint(
		    "try: copse session open GATEWAY --token @FILE, or --account NAME --secret @FILE");
		return EXIT_OTHER;
	}
	return payload_secret(token, value);
}

/* coap://host[:port]/sessions?sticky=true&security=none */
static int sessions_uri(char *buf, size_t cap, const char *gateway, const struct args *args)
{
	const char *security = args_value(args, ARG_SECURITY);
	bool sticky = args_count(args, ARG_STICKY) > 0;
	struct copse_uri uri;

	int code = target_parse(&uri, gateway);
	if (code)
		return code;
	if (uri.path.len > 1 || uri.has_query)
		return report_fault("a gateway's URI has no path", gateway,
				    uri.path.len ? (size_t)(uri.path.at - gateway)
						 : (size_t)(uri.query.at - 1 - gateway));
	if (target_is_stream(&uri))
		return report_error(EXIT_OTHER,
				    "a session over TCP would end with the connection of this command: "
				    "open it over coap or coaps");
	if (security && strcmp(security, "none") != 0)
		return report_error(EXIT_OTHER, "--security: %s is not none", security);
	int n = snprintf(buf, cap, "%.*s/sessions%s%s%s%s", (int)(strlen(gateway) - uri.path.len), gateway,
			 sticky || security ? "?" : "", sticky ? "sticky=true" : "",
			 sticky && security ? "&" : "", security ? "security=none" : "");
	return n < 0 || (size_t)n >= cap ? report_error(EXIT_OTHER, "the gateway's URI is too long") : 0;
}

static int find_open(struct target *target, const struct args *args, const char *uri)
{
	*target = (struct target){.text = uri, .state = {.lock = -1}};
	int code = target_parse(&target->uri, uri);
	if (!code)
		code = target_resolve(target, &target->uri, uri, args);
	if (!code)
		code = target_configure(target, args);
	target->secure.keep = true;
	if (!code && !target->net.local_port)
		target->net.local_port = state_choose_port();
	target->net.last_id = &target->state.last_id;
	if (!code && !target->net.local_port)
		code = report_error(EXIT_OTHER, "there is no free port");
	return code;
}

static void fill(struct state *state, const struct target *target, const struct answer *answer,
		 const char *gateway, const struct buffer *token)
{
	time_t now = time(NULL);
	struct tm tm;

	snprintf(state->gateway, sizeof(state->gateway), "%s", gateway);
	snprintf(state->address, sizeof(state->address), "%s", answer->peer);
	token_account(token, state->account, sizeof(state->account));
	state->port = target->net.local_port;
	gmtime_r(&now, &tm);
	strftime(state->opened, sizeof(state->opened), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int post_token(const struct args *args, struct state *state, const char *gateway, struct buffer *token)
{
	struct target target;
	struct request request;
	struct answer answer;
	char uri[STATE_URI_MAX + 64];

	target.secure = (struct secure){.keys = NULL};
	int code = sessions_uri(uri, sizeof(uri), gateway, args);
	if (!code)
		code = find_open(&target, args, uri);
	if (!code)
		code = request_plain(&request, COPSE_CODE_POST, &target);
	if (!code) {
		request.payload = *token;
		code = exchange_once(&target, &request, &answer);
	}
	if (code) {
		secure_release(&target.secure);
		return code;
	}
	code = output_answer(args, &answer);
	if (code == EXIT_OK) {
		target_remember(&target.secure, state);
		fill(state, &target, &answer, gateway, token);
		state->last_id = target.state.last_id;
		code = state_save(state);
	}
	secure_release(&target.secure);
	answer_free(&answer);
	return code;
}

static int session_open(const struct args *args, struct state *state)
{
	const char *gateway = args->operand_n > 1 ? args->operand[1] : DEFAULT_GATEWAY;
	struct buffer token = {.bytes = NULL};

	if (state->open && !args_count(args, ARG_FORCE)) {
		report_error(EXIT_OTHER, "session %s is open with %s", state->name, state->gateway);
		report_hint("close it, replace it with --force, or open another one with --session NAME");
		return EXIT_OTHER;
	}
	if (strlen(gateway) >= STATE_URI_MAX)
		return report_error(EXIT_OTHER, "the gateway's URI is too long");
	int code = state_prepare(state);
	if (!code)
		code = find_token(&token, args);
	if (!code)
		code = post_token(args, state, gateway, &token);
	if (token.bytes)
		explicit_bzero(token.bytes, token.cap);
	buffer_free(&token);
	return code;
}

/* ---- status and close ---- */

/* A request to the gateway's /sessions from the session's port. Returns 0 with `answer`, or an exit code. */
static int ask_sessions(const struct args *args, struct state *state, uint8_t method, struct answer *answer)
{
	struct target target = {.text = NULL, .state = {.lock = -1}};
	char uri[STATE_URI_MAX + 64];
	struct request request;

	int code = sessions_uri(uri, sizeof(uri), state->gateway, args);
	if (!code)
		code = target_parse(&target.uri, uri);
	if (code)
		return code;
	target.text = uri;
	if (copse_address_parse(state->address, COPSE_PORT, &target.address[0]))
		return report_error(EXIT_OTHER, "%s: %s is no address", state->path, state->address);
	target.address_n = 1;
	code = target_configure(&target, args);
	target_resume(&target.secure, state);
	target.secure.keep = method != COPSE_CODE_DELETE;
	if (!code)
		code = request_plain(&request, method, &target);
	if (!code) {
		if (!args_count(args, ARG_LOCAL_PORT))
			target.net.local_port = state->port;
		target.net.first_id = state_next_id(state);
		target.net.last_id = &state->last_id;
		code = exchange_once(&target, &request, answer);
		target_remember(&target.secure, state);
	}
	secure_release(&target.secure);
	return code;
}

static int session_status(const struct args *args, struct state *state)
{
	struct answer answer;

	if (!state->open)
		return report_error(EXIT_OTHER, "session %s is not open", state->name);
	report_note("session %s: gateway %s, local port %u, account %s, opened %s", state->name,
		    state->gateway, state->port, *state->account ? state->account : "unknown", state->opened);
	int code = ask_sessions(args, state, COPSE_CODE_GET, &answer);
	if (code)
		return code;
	code = output_answer(args, &answer);
	answer_free(&answer);
	int saved = state_save(state);
	return code ? code : saved;
}

static int session_close(const struct args *args, struct state *state)
{
	bool force = args_count(args, ARG_FORCE) > 0;
	struct answer answer;

	if (!state->open)
		return force ? state_remove(state)
			     : report_error(EXIT_OTHER, "session %s is not open", state->name);
	int code = ask_sessions(args, state, COPSE_CODE_DELETE, &answer);
	if (code && !force) {
		report_hint("forget it all the same: copse session close --force");
		return code;
	}
	if (code)
		return state_remove(state);
	/* 4.01: the gateway has forgotten the session; that is what was wanted. */
	if (answer.message.code == COPSE_CODE_UNAUTHORIZED)
		report_note("the gateway did not know the session any more");
	else
		code = output_answer(args, &answer);
	answer_free(&answer);
	int removed = state_remove(state);
	return code ? code : removed;
}

int command_session(const struct args *args)
{
	static const struct {
		const char *word;
		int (*run)(const struct args *args, struct state *state);
	} verbs[] = {{"open", session_open}, {"status", session_status}, {"close", session_close}};
	bool close_by_force = strcmp(args->operand[0], "close") == 0 && args_count(args, ARG_FORCE);
	struct state state;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(verbs[i].word, args->operand[0]) != 0)
			continue;
		if (args->operand_n > 1 && i != 0)
			return report_error(EXIT_OTHER, "session %s takes no gateway", verbs[i].word);
		int code = state_load(&state, args);
		/* A damaged file must not keep anybody from forgetting it. */
		if (code && !(close_by_force && state.path[0] && state.lock >= 0))
			return code;
		code = verbs[i].run(args, &state);
		state_release(&state);
		return code;
	}
	report_error(EXIT_OTHER, "session %s: it is open, status or close", args->operand[0]);
	report_hint("try: copse session --help");
	return EXIT_OTHER;
}
