/* copse, the command line client: what is asked for is found out in args.c and done by the command's own file.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "args.h"
#include "report.h"

int main(int argc, char **argv)
{
	struct args args;
	int code = args_parse(&args, argc, argv);

	if (code)
		return code < 0 ? EXIT_OK : code;
	return args.command->run(&args);
}
