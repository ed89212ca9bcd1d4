/* copse, the command line client: what is asked for is found out in args.c and done by the command's own file.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "args.h"
#include "report.h"

#include <signal.h>

/* End as a program does that takes no signal: the shell is to know, and to stop its script. */
static void end_by(int number)
{
	sigset_t set;

	fflush(NULL);
	sigemptyset(&set);
	sigaddset(&set, number);
	signal(number, SIG_DFL);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	struct args args;
	int code = args_parse(&args, argc, argv);

	if (code)
		return code < 0 ? EXIT_OK : code;
	code = args.command->run(&args);
	if (code > EXIT_SIGNAL)
		end_by(code - EXIT_SIGNAL);
	return code;
}
