/* See run_command.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "run_command.h"
#include "report.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t running; /* 0: none */

void run_command_wait(void)
{
	while (running > 0 && waitpid(running, NULL, 0) < 0 && errno == EINTR)
		;
	running = 0;
}

static _Noreturn void become(const char *command, int input, const char *const environment[][2])
{
	sigset_t none;

	/* The event loop takes signals by a descriptor and keeps them blocked. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; environment[i][0]; i++)
		setenv(environment[i][0], environment[i][1], 1);
	if (dup2(input, STDIN_FILENO) == STDIN_FILENO)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* The input is a file without a name: a command that does not read cannot keep us waiting. */
static FILE *make_input(const uint8_t *bytes, size_t len)
{
	FILE *file = tmpfile();

	if (!file)
		return NULL;
	if ((len && fwrite(bytes, 1, len, file) != len) || fflush(file)) {
		fclose(file);
		return NULL;
	}
	rewind(file);
	return file;
}

int run_command(const char *command, const uint8_t *bytes, size_t len, const char *const environment[][2])
{
	run_command_wait();
	FILE *input = make_input(bytes, len);
	if (!input)
		return report_error(EXIT_OTHER, "cannot keep the payload for the command: %s",
				    strerror(errno));
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become(command, fileno(input), environment);
	fclose(input);
	if (pid < 0)
		return report_error(EXIT_OTHER, "cannot start the command: %s", strerror(errno));
	running = pid;
	return 0;
}
