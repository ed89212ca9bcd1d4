/* See nic.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "nic.h"
#include "links.h"
#include "relay.h"

#include "../log/log.h"

#include <copse/host.h>
#include <copse/mem.h>

#include <stdio.h>
#include <string.h>

#define GROUP_NETWORK 0
#define GROUP_LINE    1

#define LINE_NSTART                                                                                          \
	4 /* requests at a time on the line: the next leaves while the sensor thinks about the last */

struct nic {
	const struct nic_options *options;
	struct copse_loop *loop;
	struct copse_host *host;
	struct copse_server *server;
	struct copse_client *client;
	struct relay *relay;
	struct card *card;
	struct links *links;
	struct copse_line line;
	struct copse_timer look;
	void *server_memory, *client_memory;
};

/* ---- events ---- */

/* The server refuses what it does not understand only by way of the endpoint, which hands it all over for the
 * relay's sake. */
static void own_request(struct nic *nic, struct copse_endpoint *ep, const struct copse_event *event,
			copse_ms now)
{
	const struct copse_message *m = event->message;
	struct copse_out out = {.code = COPSE_CODE_BAD_OPTION};

	if (copse_message_option(m, COPSE_OPTION_PROXY_URI) ||
	    copse_message_option(m, COPSE_OPTION_PROXY_SCHEME))
		out.code = COPSE_CODE_PROXYING_NOT_SUPPORTED;
	else if (!m->bad_option) {
		copse_server_take(nic->server, event, now);
		return;
	}
	copse_endpoint_respond(ep, event->exchange, &out, now);
}

static void take_event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	struct nic *nic = self;
	struct copse_client_event ce;
	int got;

	if (event->kind == COPSE_EVENT_REQUEST) {
		if (card_owns(event->message))
			own_request(nic, ep, event, now);
		else
			relay_request(nic->relay, event, now);
		return;
	}
	if (relay_take(nic->relay, event, now))
		return;
	got = copse_client_take(nic->client, event, now, &ce);
	if (got > 0)
		links_take(nic->links, &ce, now);
	else if (got == COPSE_ERR_UNMATCHED)
		copse_server_take(nic->server, event, now);
}

static copse_ms earlier(copse_ms a, copse_ms b)
{
	return a < b ? a : b;
}

static copse_ms deadline(void *self)
{
	const struct nic *nic = self;

	return earlier(links_deadline(nic->links),
		       earlier(copse_server_deadline(nic->server), copse_client_deadline(nic->client)));
}

static void expire(void *self, copse_ms now)
{
	struct nic *nic = self;
	struct copse_client_event ce;

	copse_server_expire(nic->server, now);
	while (copse_client_expire(nic->client, now, &ce))
		links_take(nic->links, &ce, now);
	links_expire(nic->links, now);
}

static void line_changed(void *self, bool up, const char *why, copse_ms now)
{
	struct nic *nic = self;
	struct copse_peer sensor;

	if (up && copse_line_peer(&nic->line, &sensor)) {
		log_line(LOG_INFO, "msg=\"line is up\" line=%s", nic->options->line.path);
		relay_line(nic->relay, &sensor, now);
		links_line(nic->links, &sensor, now);
		return;
	}
	log_line(LOG_ERROR, "msg=\"line is down\" error=\"%s\"", why);
	relay_line(nic->relay, NULL, now);
	links_line(nic->links, NULL, now);
}

static void look_due(void *self, copse_ms now)
{
	struct nic *nic = self;

	card_look(nic->card, now);
	copse_loop_set(nic->loop, &nic->look, now + CARD_LOOK_MS);
}

/* ---- making ---- */

static struct copse_host *make_host(struct nic *nic, copse_ms now)
{
	const struct copse_handler handler = {
	    .event = take_event, .self = nic, .deadline = deadline, .expire = expire};
	const struct copse_params defaults = COPSE_PARAMS_DEFAULT;
	struct copse_host_config config = COPSE_HOST_DEFAULT;

	config.endpoint.group_n = 2;
	config.endpoint.group[GROUP_LINE] = defaults;
	config.endpoint.group[GROUP_LINE].ack_timeout_ms = nic->options->timeout_ms;
	config.endpoint.group[GROUP_LINE].nstart = LINE_NSTART;
	config.endpoint.group[GROUP_LINE].probing_rate = 0; /* nobody else is on the line to be spared */
	return copse_host_new(&config, &handler, nic->loop, now);
}

static bool make_server(struct nic *nic, copse_ms now)
{
	struct copse_server_config config = COPSE_SERVER_DEFAULT;
	const size_t len = copse_server_bytes(&config);

	copse_host_random(config.seed, sizeof(config.seed));
	config.amplification = 0;
	nic->server_memory = copse_mem_new(1, len);
	if (nic->server_memory)
		nic->server =
		    copse_server_init(nic->server_memory, len, &config, copse_host_endpoint(nic->host), now);
	return nic->server != NULL;
}

static bool make_client(struct nic *nic)
{
	struct copse_client_config config = COPSE_CLIENT_DEFAULT;
	const size_t len = copse_client_bytes(&config);

	copse_host_random(&config.seed, sizeof(config.seed));
	nic->client_memory = copse_mem_new(1, len);
	if (nic->client_memory)
		nic->client =
		    copse_client_init(nic->client_memory, len, &config, copse_host_endpoint(nic->host));
	return nic->client != NULL;
}

static bool make_relay(struct nic *nic)
{
	struct relay_config config = RELAY_DEFAULT;

	config.frame_max = nic->options->line.frame_max;
	config.passes_max = nic->options->requests;
	config.observers_max = nic->options->observers;
	copse_host_random(config.seed, sizeof(config.seed));
	nic->relay = relay_new(&config, copse_host_endpoint(nic->host));
	return nic->relay != NULL;
}

static bool make(struct nic *nic, copse_ms now)
{
	nic->host = make_host(nic, now);
	if (!nic->host || !make_server(nic, now) || !make_client(nic) || !make_relay(nic))
		return false;
	nic->links = links_new(nic->client, nic->server);
	nic->card = card_new(&nic->options->card, nic->server, nic->relay, &nic->line, now);
	return nic->links && nic->card;
}

static bool join(struct copse_transport *t, const char *text, char *why, size_t cap)
{
	struct copse_address group;

	if (copse_address_parse(text, COPSE_PORT, &group) == COPSE_OK && copse_udp_join(t, &group, 0) > 0)
		return true;
	snprintf(why, cap, "cannot join %s", text);
	return false;
}

static bool listen_everywhere(struct nic *nic, char *why, size_t cap)
{
	const struct nic_options *o = nic->options;

	for (unsigned i = 0; i < o->listen_n; i++) {
		const struct copse_udp_config udp = {.bind = o->listen[i], .group = GROUP_NETWORK};
		char text[COPSE_ADDRESS_TEXT];
		struct copse_address local;
		struct copse_transport *t = copse_host_listen(nic->host, &udp, why, cap);

		if (!t || (o->group && !join(t, o->group, why, cap)))
			return false;
		copse_transport_local(t, NULL, &local);
		log_line(LOG_INFO, "msg=listening address=%s",
			 copse_address_text(&local, text, sizeof(text)));
	}
	return true;
}

struct nic *nic_new(const struct nic_options *options, struct copse_loop *loop, char *why, size_t why_cap)
{
	struct nic *nic = copse_mem_new(1, sizeof(*nic));
	struct copse_serial_config line = options->line;
	const copse_ms now = copse_loop_refresh(loop);

	snprintf(why, why_cap, "out of memory");
	if (!nic)
		return NULL;
	nic->options = options;
	nic->loop = loop;
	if (!make(nic, now) || !listen_everywhere(nic, why, why_cap)) {
		nic_free(nic);
		return NULL;
	}
	nic->look = (struct copse_timer){.due = look_due, .self = nic};
	copse_loop_set(loop, &nic->look, now + CARD_LOOK_MS);
	line.group = GROUP_LINE;
	copse_line_start(&nic->line, nic->host, loop, &line, line_changed, nic);
	return nic;
}

void nic_free(struct nic *nic)
{
	if (!nic)
		return;
	copse_loop_clear(nic->loop, &nic->look);
	copse_line_stop(&nic->line);
	copse_host_free(nic->host);
	links_free(nic->links);
	card_free(nic->card);
	relay_free(nic->relay);
	copse_mem_free(nic->client_memory);
	copse_mem_free(nic->server_memory);
	copse_mem_free(nic);
}
