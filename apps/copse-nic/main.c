/* copse-nic: a network interface card in front of a sensor on a serial line. Arguments and wiring.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "nic.h"

#include "../log/log.h"

#include <signal.h>
#include <stdio.h>

static void stop(void *self, int signal)
{
	(void)signal;
	copse_loop_stop(self);
}

static int run(const struct nic_options *options)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	struct copse_loop *loop = copse_loop_new();
	char why[256] = "out of memory or file descriptors";
	struct nic *nic = NULL;

	if (loop && copse_loop_signals(loop, signals, stop, loop) == COPSE_OK)
		nic = nic_new(options, loop, why, sizeof(why));
	if (nic) {
		copse_loop_run(loop);
		log_line(LOG_INFO, "msg=stopped");
	} else {
		log_line(LOG_ERROR, "msg=\"cannot start\" error=\"%s\"", why);
	}
	nic_free(nic);
	copse_loop_free(loop);
	return nic ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct nic_options options;
	char why[256];

	if (nic_options_parse(&options, argc, argv, why, sizeof(why)) < 0) {
		fprintf(stderr, "copse-nic: %s\n", why);
		return 1;
	}
	log_set_level((enum log_level)options.verbose);
	switch (options.action) {
	case NIC_HELP: fputs(nic_options_help, stdout); return 0;
	case NIC_VERSION: puts("copse-nic " COPSE_RELEASE); return 0;
	case NIC_RUN: break;
	}
	return run(&options);
}
