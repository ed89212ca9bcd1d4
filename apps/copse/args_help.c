/* Help and completion, from the same tables as the parser.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "args.h"
#include "report.h"

#include <string.h>

static void print_option(FILE *out, const struct command *command, int name)
{
	const struct arg_row *row = &arg_rows[name];
	char left[64];
	char letter[] = {'-', row->letter, ',', ' ', '\0'};
	bool is_ours = row->letter && args_of_letter(command, row->letter) == name;

	snprintf(left, sizeof(left), "%s--%s%s%s%s", is_ours ? letter : "    ", row->text,
		 row->need == MAYBE   ? "[="
		 : row->need == VALUE ? " "
				      : "",
		 row->value, row->need == MAYBE ? "]" : "");
	fprintf(out, "  %-34s %s\n", left, row->help);
}

static void print_overview(FILE *out)
{
	fputs("usage: copse COMMAND [OPTION]... [URI] [PAYLOAD]\n"
	      "       copse [-m METHOD] [OPTION]... URI            as coap-client\n\n"
	      "Speak CoAP: directly, or through a gateway.\n\n",
	      out);
	for (size_t i = 0; i < command_n; i++)
		fprintf(out, "  %-11s %-32s %s\n", commands[i].name, commands[i].operands,
			commands[i].summary);
	fputs(
	    "\nA PAYLOAD is taken as it stands, from FILE with @FILE, from standard input with @-.\n"
	    "Exit codes: 0 for 2.xx, 4 for 4.xx, 5 for 5.xx, 6 name not found, 7 unreachable, 28 timed out,\n"
	    "35 security, 1 else.  More: copse COMMAND --help, man copse\n",
	    out);
}

void args_print_help(FILE *out, const struct command *command)
{
	if (!command) {
		print_overview(out);
		return;
	}
	fprintf(out, "usage: copse %s [OPTION]... %s\n\n%s\n\n", command->name, command->operands,
		command->summary);
	for (int i = 0; i < ARG_N; i++) {
		if (arg_rows[i].groups == ALL || arg_rows[i].groups & command->groups)
			print_option(out, command, i);
	}
}

static void print_words_of(FILE *out, unsigned groups)
{
	for (int i = 0; i < ARG_N; i++) {
		if (arg_rows[i].groups == ALL || arg_rows[i].groups & groups)
			fprintf(out, " --%s%s", arg_rows[i].text, arg_rows[i].need == VALUE ? "=" : "");
	}
}

void args_print_completion(FILE *out)
{
	fputs("# bash completion for copse; made by `copse completion`\n"
	      "_copse()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} words=\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords='help",
	      out);
	for (size_t i = 0; i < command_n; i++)
		fprintf(out, " %s", commands[i].name);
	fputs("'\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n", out);
	for (size_t i = 0; i < command_n; i++) {
		fprintf(out, "\t\t%s) words='%s", commands[i].name,
			strcmp(commands[i].name, "session") == 0 ? "open status close" : "");
		print_words_of(out, commands[i].groups);
		fputs("' ;;\n", out);
	}
	fputs("\t\tesac\n\tfi\n"
	      "\tif [ \"${word:0:1}\" = @ ]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -P @ -- \"${word:1}\")\n"
	      "\telse\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	      "\tfi\n"
	      "\tcase ${COMPREPLY[0]-} in *=) compopt -o nospace ;; esac\n"
	      "}\ncomplete -o default -F _copse copse\n",
	      out);
}

int command_completion(const struct args *args)
{
	(void)args;
	args_print_completion(stdout);
	return EXIT_OK;
}
