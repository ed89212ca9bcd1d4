/* plugtest-server [ADDRESS]: the conformance server. Says where it listens on standard output.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "plugtest.h"

#include <signal.h>
#include <stdio.h>

struct program {
	struct copse_loop *loop;
	struct copse_service *service;
	struct copse_timer tick;
	struct copse_timer separate;
	struct copse_prepare prepare;
};

static void stop(void *self, int signal)
{
	(void)signal;
	copse_loop_stop(self);
}

static void tick_due(void *self, copse_ms now)
{
	struct program *p = self;
	plugtest_tick(copse_service_server(p->service), now);
	copse_loop_set(p->loop, &p->tick, now + COPSE_SECONDS(PLUGTEST_OBS_EVERY));
}

static void separate_due(void *self, copse_ms now)
{
	struct program *p = self;
	copse_loop_set(p->loop, &p->separate, plugtest_separate(copse_service_server(p->service), now));
}

static bool start(struct program *p, const char *address, char *why, size_t cap)
{
	static const struct plugtest_group *const groups[] = {&plugtest_core, &plugtest_block,
							      &plugtest_observe, &plugtest_link,
							      &plugtest_oscore};
	static const int signals[] = {SIGINT, SIGTERM, 0};
	struct copse_service_config config = COPSE_SERVICE_DEFAULT;
	struct copse_udp_config udp = {0};
	config.server.scratch_len = PLUGTEST_BODY_MAX;
	config.server.collect_len = PLUGTEST_BODY_MAX;
	config.server.traffic.con_every = 0; /* CON within 24 hours only: /obs-non is for NON */
	p->loop = copse_loop_new();
	if (p->loop)
		p->service = copse_service_new(&config, p->loop, copse_clock_ms());
	if (!p->service || copse_loop_signals(p->loop, signals, stop, p->loop) != 0)
		return false;
	if (!plugtest_oscore_start(copse_host_endpoint(copse_service_host(p->service))))
		return false;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		if (copse_server_add_all(copse_service_server(p->service), groups[i]->resource,
					 groups[i]->n) != 0)
			return false;
	}
	if (copse_address_parse(address, COPSE_PORT, &udp.bind) != 0) {
		snprintf(why, cap, "\"%s\" is no address", address);
		return false;
	}
	return copse_host_listen(copse_service_host(p->service), &udp, why, cap) != NULL;
}

static void run(struct program *p)
{
	char text[COPSE_ADDRESS_TEXT];
	struct copse_address local;
	copse_transport_local(copse_host_transport_at(copse_service_host(p->service), 0), NULL, &local);
	printf("plugtest-server: listening at %s\n", copse_address_text(&local, text, sizeof text));
	fflush(stdout);
	p->tick = (struct copse_timer){.due = tick_due, .self = p};
	p->separate = (struct copse_timer){.due = separate_due, .self = p};
	p->prepare = (struct copse_prepare){.before = separate_due, .self = p};
	copse_loop_set(p->loop, &p->tick, copse_clock_ms() + COPSE_SECONDS(PLUGTEST_OBS_EVERY));
	copse_loop_prepare(p->loop, &p->prepare);
	copse_loop_run(p->loop);
}

int main(int argc, char **argv)
{
	struct program p = {0};
	char why[200] = "no memory";
	const bool started = start(&p, argc > 1 ? argv[1] : "*:5683", why, sizeof why);
	if (started)
		run(&p);
	else
		fprintf(stderr, "plugtest-server: %s\n", why);
	copse_service_free(p.service);
	plugtest_oscore_stop();
	copse_loop_free(p.loop);
	return started ? 0 : 1;
}
