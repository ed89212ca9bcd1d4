/* A server with an operating system: host, server and loop put together; see serve.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/serve.h>

#include <copse/mem.h>
#include <copse/tcp.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct copse_service {
	struct copse_host *host;
	struct copse_server *server;
	void *memory;
	struct copse_handler other;
};

static void on_event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	struct copse_service *service = self;
	if (copse_server_take(service->server, event, now) == COPSE_ERR_UNMATCHED && service->other.event)
		service->other.event(service->other.self, ep, event, now);
}

static copse_ms on_deadline(void *self)
{
	const struct copse_service *service = self;
	const copse_ms mine = copse_server_deadline(service->server);
	const copse_ms other =
	    service->other.deadline ? service->other.deadline(service->other.self) : COPSE_NEVER;
	return mine < other ? mine : other;
}

static void on_expire(void *self, copse_ms now)
{
	struct copse_service *service = self;
	copse_server_expire(service->server, now);
	if (service->other.expire)
		service->other.expire(service->other.self, now);
}

struct copse_service *copse_service_new(const struct copse_service_config *config, struct copse_loop *loop,
					copse_ms now)
{
	struct copse_service *service = copse_mem_new(1, sizeof *service);
	struct copse_server_config server = config->server;
	const size_t len = copse_server_bytes(&server);
	if (!service)
		return NULL;
	service->other = config->other;
	const struct copse_handler handler = {
	    .event = on_event, .self = service, .deadline = on_deadline, .expire = on_expire};
	service->host = copse_host_new(&config->host, &handler, loop, now);
	service->memory = copse_mem_new(1, len);
	if (!service->host || !service->memory) {
		copse_service_free(service);
		return NULL;
	}
	if (server.seed[0] == 0 && server.seed[1] == 0)
		copse_host_random(server.seed, sizeof server.seed);
	service->server =
	    copse_server_init(service->memory, len, &server, copse_host_endpoint(service->host), now);
	return service;
}

void copse_service_free(struct copse_service *service)
{
	if (!service)
		return;
	if (service->server)
		copse_server_end(service->server);
	copse_host_free(service->host);
	copse_mem_free(service->memory);
	copse_mem_free(service);
}

struct copse_server *copse_service_server(struct copse_service *service)
{
	return service->server;
}

struct copse_host *copse_service_host(struct copse_service *service)
{
	return service->host;
}

int copse_service_step(struct copse_service *service, copse_ms now)
{
	return copse_host_step(service->host, now);
}

copse_ms copse_service_deadline(const struct copse_service *service)
{
	return copse_host_deadline(service->host);
}

/* ---- the whole of a small server ---- */

#define STREAM_MESSAGE (16u * 1024 + COPSE_PEER_UNITS_BESIDE) /* longest by a connection: 16 units of BERT */

static void on_signal(void *self, int signal)
{
	(void)signal;
	copse_loop_stop(self);
}

/* Path segments of all resources, an upper bound of what the tree needs. */
static size_t segments_of(const struct copse_resource *resource, size_t n)
{
	size_t segments = 0;
	for (size_t i = 0; i < n; i++) {
		segments++;
		for (const char *p = resource[i].path; p && *p; p++)
			segments += *p == '/';
	}
	return segments;
}

static bool offer(struct copse_service *service, const struct copse_resource *resource, size_t n, char *why,
		  size_t cap)
{
	for (size_t i = 0; i < n; i++) {
		const int err = copse_server_add(copse_service_server(service), &resource[i]);
		if (err) {
			snprintf(why, cap, "resource \"%s\": %s", resource[i].path, copse_err_text(err));
			return false;
		}
	}
	return true;
}

static bool listen_stream(struct copse_service *service, const struct copse_address *bind, bool websocket,
			  char *why, size_t cap)
{
	const struct copse_tcp_config config = {
	    .bind = *bind, .server = true, .websocket = websocket, .max_message = STREAM_MESSAGE};
	struct copse_transport *t;
	if (copse_tcp_open(&config, &t, why, cap) != COPSE_OK)
		return false;
	if (copse_host_attach(service->host, t) == COPSE_OK)
		return true;
	copse_transport_close(t);
	snprintf(why, cap, "no room for another socket");
	return false;
}

static bool is_websocket(const char *address)
{
	return strncmp(address, "ws://", 5) == 0;
}

static bool is_stream(const char *address)
{
	return is_websocket(address) || strncmp(address, "tcp://", 6) == 0;
}

static bool listen_at(struct copse_service *service, const char *address, char *why, size_t cap)
{
	const bool ws = is_websocket(address), stream = is_stream(address);
	const char *at = address + (ws ? 5 : stream ? 6 : 0);
	struct copse_udp_config udp = {0};
	if (copse_address_parse(at, ws ? 80 : COPSE_PORT, &udp.bind) != 0) {
		snprintf(why, cap, "\"%s\" is no address", address);
		return false;
	}
	return stream ? listen_stream(service, &udp.bind, ws, why, cap)
		      : copse_host_listen(service->host, &udp, why, cap) != NULL;
}

int copse_serve(const char *address, const struct copse_resource *resource, size_t n)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	struct copse_service_config config = COPSE_SERVICE_DEFAULT;
	char why[200] = "no memory";
	bool ready = false;
	const size_t segments = segments_of(resource, n);
	if (segments > config.server.node_cap)
		config.server.node_cap = segments < 65000 ? (uint16_t)segments : 65000;
	if (is_stream(address))
		config.host.send_size = config.server.message_len = STREAM_MESSAGE;
	struct copse_loop *loop = copse_loop_new();
	struct copse_service *service = loop ? copse_service_new(&config, loop, copse_clock_ms()) : NULL;
	if (service)
		ready = copse_loop_signals(loop, signals, on_signal, loop) == 0 &&
			offer(service, resource, n, why, sizeof why) &&
			listen_at(service, address, why, sizeof why);
	if (ready)
		copse_loop_run(loop);
	else
		fprintf(stderr, "cannot serve: %s\n", why);
	copse_service_free(service);
	copse_loop_free(loop);
	return ready ? 0 : 1;
}
