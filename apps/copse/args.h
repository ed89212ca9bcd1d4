/* The command line: what was asked for. Parsing, help and completion are driven by options.def and
 * commands.def.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_ARGS_H
#define COPSE_TOOL_ARGS_H

#include <copse/message.h>

#include <stdio.h>

enum arg_group {
	REQUEST = 1,
	BODY = 2,
	WAY = 4,
	OUTPUT = 8,
	WATCH = 16,
	FIND = 32,
	SESSION = 64,
	OPEN = 128,
	CLOSE = 256,
	KEYS = 512,
	ALIAS = 1024,
	ENERGY = 2048,
	PUBLISH = 4096,
	READ = 8192,  /* stored readings: latest, history, export */
	SPAN = 16384, /* of time */
	HISTORY = 32768,
	EXPORT = 65536,
	LOAD = 131072,
	FOLLOW = 262144, /* latest */
	ALL = 524287
};

enum arg_name {
#define ARG(name, letter, text, need, value, groups, help) ARG_##name,
#include "options.def"
#undef ARG
	ARG_N
};

enum arg_need { FLAG, VALUE, MAYBE };

struct arg_row {
	char letter;
	const char *text;
	enum arg_need need;
	const char *value;
	unsigned groups;
	const char *help;
};

extern const struct arg_row arg_rows[ARG_N];

struct args;

struct command {
	const char *name;
	int (*run)(const struct args *args); /* returns the exit code */
	uint8_t code;
	unsigned groups;
	unsigned least, most;
	const char *operands;
	const char *summary;
};

extern const struct command commands[];
extern const size_t command_n;

#define ARGS_GIVEN_MAX    64 /* options given; more are refused */
#define ARGS_OPERANDS_MAX 4

struct args_given {
	enum arg_name name;
	const char *value; /* NULL for a flag */
};

struct args {
	const struct command *command;
	bool alias;   /* no command was named: as coap-client */
	uint8_t code; /* the method */
	unsigned given_n;
	struct args_given given[ARGS_GIVEN_MAX];
	unsigned operand_n;
	const char *operand[ARGS_OPERANDS_MAX];
};

/* Take the command line apart. Returns 0, or the exit code after an error that has been reported, or -1
 * when there is nothing left to do (help, version). What `args` points to is the caller's argv. */
int args_parse(struct args *args, int argc, char **argv);

/* How often `name` was given; the value given last, or NULL. */
unsigned args_count(const struct args *args, enum arg_name name);
const char *args_value(const struct args *args, enum arg_name name);

/* The value as a number of `least` to `most`, or `absent`.
 * Returns 0, or the exit code after an error that has been reported. */
int args_number(const struct args *args, enum arg_name name, uint32_t least, uint32_t most, uint32_t absent,
		uint32_t *out);

/* The value as a span: "90", "90s", "1.5s", "15m", "2h", "1d"; in milliseconds. As above. */
int args_span(const struct args *args, enum arg_name name, copse_ms absent, copse_ms *out);

/* The option of `command` that `letter` means: two rows may have it, the first that the command takes
 * counts; ARG_N for none. */
int args_of_letter(const struct command *command, char letter);

/* args_help.c */
void args_print_help(FILE *out, const struct command *command);
void args_print_completion(FILE *out);

/* The commands. */
int command_request(const struct args *args);
int command_ping(const struct args *args);
int command_load(const struct args *args);
int command_observe(const struct args *args);
int command_discover(const struct args *args);
int command_session(const struct args *args);
int command_devices(const struct args *args);
int command_mailbox(const struct args *args);
int command_token(const struct args *args);
int command_energy(const struct args *args);
int command_publish(const struct args *args);
int command_latest(const struct args *args);
int command_history(const struct args *args);
int command_export(const struct args *args);
int command_completion(const struct args *args);

#endif
