/* A serial line that is opened again whenever it was lost; see copse/serial.h.
 *
 * Loss is noticed before the loop sleeps: a transport is never detached while its host is using it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/serial.h>

#include <stdio.h>
#include <string.h>

static void add(struct copse_hdlc_counters *sum, const struct copse_hdlc_counters *more)
{
	sum->frames += more->frames;
	sum->damaged += more->damaged;
	sum->too_long += more->too_long;
	sum->runts += more->runts;
	sum->aborted += more->aborted;
}

static void open_it(struct copse_line *line, copse_ms now)
{
	struct copse_transport *t;
	char why[256];

	if (copse_serial_open(&line->config, &t, why, sizeof(why)) == COPSE_OK) {
		if (copse_host_attach(line->host, t) == COPSE_OK) {
			line->transport = t;
			line->told = false;
			line->changed(line->self, true, NULL, now);
			return;
		}
		copse_transport_close(t);
		memcpy(why, "no room for another transport", 30);
	}
	copse_loop_set(line->loop, &line->retry, now + COPSE_LINE_RETRY_MS);
	if (!line->told)
		line->changed(line->self, false, why, now);
	line->told = true;
}

static void retry(void *self, copse_ms now)
{
	open_it(self, now);
}

static void before_sleep(void *self, copse_ms now)
{
	struct copse_line *line = self;
	char why[256];

	if (!line->transport || !copse_serial_lost(line->transport))
		return;
	add(&line->past, copse_serial_frames(line->transport));
	copse_host_detach(line->host, line->transport);
	line->transport = NULL;
	copse_loop_set(line->loop, &line->retry, now + COPSE_LINE_RETRY_MS);
	line->told = true;
	snprintf(why, sizeof(why), "%s is gone", line->config.path);
	line->changed(line->self, false, why, now);
}

void copse_line_start(struct copse_line *line, struct copse_host *host, struct copse_loop *loop,
		      const struct copse_serial_config *config,
		      void (*changed)(void *self, bool up, const char *why, copse_ms now), void *self)
{
	memset(line, 0, sizeof(*line));
	line->host = host;
	line->loop = loop;
	line->config = *config;
	line->changed = changed;
	line->self = self;
	line->retry = (struct copse_timer){.due = retry, .self = line};
	line->prepare = (struct copse_prepare){.before = before_sleep, .self = line};
	copse_loop_prepare(loop, &line->prepare);
	open_it(line, copse_loop_refresh(loop));
}

void copse_line_stop(struct copse_line *line)
{
	if (!line->loop)
		return;
	copse_loop_unprepare(line->loop, &line->prepare);
	copse_loop_clear(line->loop, &line->retry);
	if (line->transport)
		copse_host_detach(line->host, line->transport);
	line->transport = NULL;
	line->loop = NULL;
}

bool copse_line_peer(const struct copse_line *line, struct copse_peer *peer)
{
	if (!line->transport)
		return false;
	copse_serial_peer(line->transport, peer);
	return true;
}

void copse_line_frames(const struct copse_line *line, struct copse_hdlc_counters *frames)
{
	*frames = line->past;
	if (line->transport)
		add(frames, copse_serial_frames(line->transport));
}
