/* Parsing of the command line. See args.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "args.h"
#include "report.h"

#include <copse/code.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct arg_row arg_rows[ARG_N] = {
#define ARG(name, letter, text, need, value, groups, help) {letter, text, need, value, groups, help},
#include "options.def"
#undef ARG
};

const struct command commands[] = {
#define COMMAND(name, run, code, groups, least, most, operands, summary)                                     \
	{name, run, code, groups, least, most, operands, summary},
#include "commands.def"
#undef COMMAND
};

const size_t command_n = sizeof(commands) / sizeof(*commands);

/* Without a command: coap-client's way. It may be a request of any method, or an observation. */
static const struct command as_coap_client = {
    .name = "",
    .run = command_request,
    .code = COPSE_CODE_GET,
    .groups = REQUEST | BODY | WAY | OUTPUT | WATCH | ALIAS,
    .least = 1,
    .most = 2,
    .operands = "URI",
    .summary = "as coap-client: a request by -m METHOD",
};

/* The words that are left, and what has been made of those before. */
struct parser {
	struct args *args;
	int at, n;
	char **word;
};

static int __attribute__((format(printf, 2, 3))) usage(const struct args *args, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	int code = report_error(EXIT_OTHER, "%s", text);
	const char *name = args->command ? args->command->name : "";

	report_hint("try: copse %s%s--help", name, *name ? " " : "");
	return code;
}

static bool takes(const struct args *args, enum arg_name name)
{
	return arg_rows[name].groups == ALL || arg_rows[name].groups & args->command->groups;
}

static int give(struct parser *p, enum arg_name name, const char *value)
{
	struct args *args = p->args;

	if (args->given_n == ARGS_GIVEN_MAX)
		return usage(args, "too many options, from %s on", arg_rows[name].text);
	args->given[args->given_n++] = (struct args_given){name, value};
	return 0;
}

/* Options that the command takes and that `text` of `len` bytes is the beginning of: the exact one, else if it is the
 * only one that. Returns ARG_N for none, -1 for several. */
static int find_long(const struct args *args, const char *text, size_t len)
{
	int found = ARG_N;

	for (int i = 0; i < ARG_N; i++) {
		if (!takes(args, (enum arg_name)i) || strncmp(arg_rows[i].text, text, len) != 0)
			continue;
		if (arg_rows[i].text[len] == '\0')
			return i;
		found = found == ARG_N ? i : -1;
	}
	return found;
}

static bool is_another_commands(const char *text, size_t len)
{
	for (int i = 0; i < ARG_N; i++) {
		if (strlen(arg_rows[i].text) == len && strncmp(arg_rows[i].text, text, len) == 0)
			return true;
	}
	return false;
}

static int parse_long(struct parser *p, const char *word)
{
	const char *text = word + 2, *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	int name = find_long(p->args, text, len);

	if (name < 0)
		return usage(p->args, "%s may mean several options", word);
	if (name == ARG_N)
		return is_another_commands(text, len)
			   ? usage(p->args, "%s does not belong to this command", word)
			   : usage(p->args, "there is no option %s", word);
	if (arg_rows[name].need == FLAG && equals)
		return usage(p->args, "--%s takes no value", arg_rows[name].text);
	if (arg_rows[name].need != VALUE || equals)
		return give(p, (enum arg_name)name, equals ? equals + 1 : NULL);
	if (p->at == p->n)
		return usage(p->args, "--%s needs a value", arg_rows[name].text);
	return give(p, (enum arg_name)name, p->word[p->at++]);
}

int args_of_letter(const struct command *command, char letter)
{
	for (int i = 0; i < ARG_N; i++) {
		if (arg_rows[i].letter == letter &&
		    (arg_rows[i].groups == ALL || arg_rows[i].groups & command->groups))
			return i;
	}
	return ARG_N;
}

/* coap-client's -v takes a level: 6 shows messages, 8 their bytes as well. */
static int give_level(struct parser *p, const char *level)
{
	int err = 0;

	if (*level >= '6')
		err = give(p, ARG_VERBOSE, NULL);
	if (!err && *level >= '8')
		err = give(p, ARG_VERBOSE, NULL);
	return err;
}

static bool is_level(const char *word)
{
	return word && *word >= '0' && *word <= '9' && word[1] == '\0';
}

static int parse_letters(struct parser *p, const char *letters)
{
	for (; *letters; letters++) {
		char text[] = {'-', *letters, '\0'};
		int name = args_of_letter(p->args->command, *letters), err;
		const char *rest = letters + 1;

		if (name == ARG_N)
			return usage(p->args, "there is no option %s", text);
		if (name == ARG_VERBOSE && p->args->alias &&
		    (is_level(rest) || (!*rest && p->at < p->n && is_level(p->word[p->at]))))
			return give_level(p, *rest ? rest : p->word[p->at++]);
		if (arg_rows[name].need != VALUE) {
			err = give(p, (enum arg_name)name, NULL);
			if (err)
				return err;
			continue;
		}
		if (!*rest && p->at == p->n)
			return usage(p->args, "%s needs a value", text);
		return give(p, (enum arg_name)name, *rest ? rest : p->word[p->at++]);
	}
	return 0;
}

static int operand(struct parser *p, const char *word)
{
	struct args *args = p->args;

	if (args->operand_n == args->command->most)
		return usage(args, "too many arguments: %s", word);
	args->operand[args->operand_n++] = word;
	return 0;
}

static int parse_words(struct parser *p)
{
	bool ended = false;
	int err = 0;

	while (!err && p->at < p->n) {
		const char *word = p->word[p->at++];
		if (ended || word[0] != '-' || word[1] == '\0')
			err = operand(p, word);
		else if (strcmp(word, "--") == 0)
			ended = true;
		else if (word[1] == '-')
			err = parse_long(p, word);
		else
			err = parse_letters(p, word + 1);
	}
	return err;
}

static const struct command *find_command(const char *word)
{
	for (size_t i = 0; i < command_n; i++) {
		if (strcmp(commands[i].name, word) == 0)
			return &commands[i];
	}
	return NULL;
}

static int set_color(const struct args *args)
{
	static const char *const words[] = {
	    [COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"};
	const char *value = args_value(args, ARG_COLOR);
	bool quiet = args_count(args, ARG_QUIET) > 0, json = args_count(args, ARG_JSON) > 0;

	report_setup(COLOR_AUTO, quiet, json);
	for (int i = 0; value && i < 3; i++) {
		if (strcmp(words[i], value) == 0) {
			report_setup((enum report_color)i, quiet, json);
			return 0;
		}
	}
	return value ? usage(args, "--color: %s is none of auto, always and never", value) : 0;
}

static int set_method(struct args *args)
{
	const char *value = args_value(args, ARG_METHOD);

	if (!value)
		return 0;
	int code = copse_code_from_text(value, strlen(value));
	if (code < 0 || !copse_code_is_request((uint8_t)code))
		return usage(args, "%s is no method", value);
	args->code = (uint8_t)code;
	return 0;
}

/* What stands first tells whether there is a command. Returns 0, -1 or an exit code. */
static int choose_command(struct args *args, int argc, char **argv, int *at)
{
	const char *word = argc > 1 ? argv[1] : "--help";

	*at = 1;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		const struct command *about = argc > 2 ? find_command(argv[2]) : NULL;
		if (argc > 2 && !about)
			return usage(args, "there is no command %s", argv[2]);
		args_print_help(argc > 1 ? stdout : stderr, about);
		return argc > 1 ? -1 : EXIT_OTHER;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		printf("copse %s\n", COPSE_RELEASE);
		return -1;
	}
	args->command = find_command(word);
	if (args->command) {
		*at = 2;
		return 0;
	}
	if (word[0] != '-' && !strstr(word, "://"))
		return usage(args, "there is no command %s", word);
	args->command = &as_coap_client;
	args->alias = true;
	return 0;
}

int args_parse(struct args *args, int argc, char **argv)
{
	struct parser p = {.args = args, .n = argc, .word = argv};

	*args = (struct args){.command = NULL};
	int err = choose_command(args, argc, argv, &p.at);
	if (err)
		return err;
	args->code = args->command->code;
	err = parse_words(&p);
	if (err)
		return err;
	if (args_count(args, ARG_HELP)) {
		args_print_help(stdout, args->alias ? NULL : args->command);
		return -1;
	}
	err = set_color(args);
	if (!err)
		err = set_method(args);
	if (!err && args->operand_n < args->command->least)
		err = usage(args, "%s is missing", args->command->operands);
	return err;
}

unsigned args_count(const struct args *args, enum arg_name name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < args->given_n; i++)
		n += args->given[i].name == name;
	return n;
}

const char *args_value(const struct args *args, enum arg_name name)
{
	for (unsigned i = args->given_n; i > 0; i--) {
		if (args->given[i - 1].name == name)
			return args->given[i - 1].value;
	}
	return NULL;
}

int args_number(const struct args *args, enum arg_name name, uint32_t least, uint32_t most, uint32_t absent,
		uint32_t *out)
{
	const char *value = args_value(args, name);
	char *end;

	*out = absent;
	if (!value)
		return 0;
	errno = 0;
	unsigned long long n = strtoull(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || n < least || n > most)
		return report_error(EXIT_OTHER, "--%s: %s is no number of %u to %u", arg_rows[name].text,
				    value, least, most);
	*out = (uint32_t)n;
	return 0;
}

static double unit_of(const char *text)
{
	static const struct {
		const char *text;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}, {"d", 86400}};

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(units[i].text, text) == 0)
			return units[i].seconds;
	}
	return NAN;
}

int args_span(const struct args *args, enum arg_name name, copse_ms absent, copse_ms *out)
{
	const char *value = args_value(args, name);
	char *end;

	*out = absent;
	if (!value)
		return 0;
	double n = strtod(value, &end);
	double seconds = n * unit_of(end);
	if (end == value || !(seconds >= 0) || seconds > 1e9)
		return report_error(EXIT_OTHER, "--%s: %s is no time such as 90, 1.5s, 15m, 2h or 1d",
				    arg_rows[name].text, value);
	*out = (copse_ms)(seconds * 1000 + 0.5);
	return 0;
}
