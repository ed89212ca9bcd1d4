/* See net.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"
#include "report.h"

#include <copse/mem.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

/* By a connection bodies go in messages as long as both sides take. */
#define STREAM_MESSAGE COPSE_TCP_MESSAGE_MAX

static void on_event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	struct net *net = self;
	struct copse_client_event told;

	(void)ep;
	int got = copse_client_take(net->client, event, now, &told);
	if (got > 0 && net->listener.told)
		net->listener.told(net->listener.self, &told, now);
	else if (got < 0 && net->listener.raw)
		net->listener.raw(net->listener.self, event, now);
}

static copse_ms deadline(void *self)
{
	struct net *net = self;

	return copse_client_deadline(net->client);
}

static void expire(void *self, copse_ms now)
{
	struct net *net = self;
	struct copse_client_event told;

	while (copse_client_expire(net->client, now, &told)) {
		if (net->listener.told)
			net->listener.told(net->listener.self, &told, now);
	}
}

static void on_limit(void *self, copse_ms now)
{
	struct net *net = self;

	(void)now;
	net->timed_out = true;
	net_stop(net);
}

static void on_signal(void *self, int signal)
{
	struct net *net = self;

	if (net->listener.interrupted && net->signal == 0) {
		net->signal = signal;
		net->listener.interrupted(net->listener.self, copse_loop_now(net->loop));
		return;
	}
	net->signal = signal;
	net_stop(net);
}

static int open_client(struct net *net, bool stream)
{
	struct copse_client_config config = COPSE_CLIENT_DEFAULT;

	if (stream)
		config.message_len = STREAM_MESSAGE;
	config.call_cap = 256; /* discover asks every device that answered */
	copse_host_random(&config.seed, sizeof(config.seed));
	net->client_memory = copse_mem_new(1, copse_client_bytes(&config));
	if (!net->client_memory)
		return report_error(EXIT_OTHER, "out of memory");
	net->client = copse_client_init(net->client_memory, copse_client_bytes(&config), &config, net->ep);
	return 0;
}

/* Put OSCORE before the endpoint. Returns 0, or an exit code after an error that has been reported. */
static int open_oscore(struct net *net, const char *spec)
{
	struct copse_oscore_config config = COPSE_OSCORE_DEFAULT;
	char why[OSCORE_FILE_WHY];

	if (oscore_file_open(&net->oscore, spec, why))
		return report_error(EXIT_SECURITY, "--oscore: %s", why);
	config.message_len = 2048; /* as long as the host sends */
	copse_host_random(config.seed, sizeof(config.seed));
	net->oscore_memory = copse_mem_new(1, copse_oscore_bytes(&config));
	if (!net->oscore_memory)
		return report_error(EXIT_OTHER, "out of memory");
	copse_oscore_ask(
	    copse_oscore_attach(net->oscore_memory, copse_oscore_bytes(&config), &config, net->ep),
	    &net->oscore.context);
	return 0;
}

static int open_host(struct net *net, const struct net_config *config)
{
	struct copse_host_config host = COPSE_HOST_DEFAULT;
	const struct copse_handler handler = {
	    .event = on_event, .self = net, .deadline = deadline, .expire = expire};
	struct copse_params *params = &host.endpoint.group[0];

	host.endpoint.peer_cap = 256;
	host.endpoint.exchange_cap = 512;
	host.endpoint.incoming_cap = 4096;
	host.endpoint.first_id = config->first_id;
	host.transports = 1;
	if (config->stream)
		host.send_size = STREAM_MESSAGE;
	params->probing_rate = 0; /* a person, or a script with a time limit, is behind every request */
	params->nstart = 4;       /* of them only what belongs to one call is under way at a time */
	if (config->response_ms)
		params->response_timeout_ms =
		    config->response_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)config->response_ms;
	net->host = copse_host_new(&host, &handler, net->loop, copse_loop_now(net->loop));
	if (!net->host)
		return report_error(EXIT_OTHER, "out of memory");
	net->ep = copse_host_endpoint(net->host);
	int code = config->oscore ? open_oscore(net, config->oscore) : 0;
	return code ? code : open_client(net, config->stream);
}

/* Returns 0, or an error with `why`. */
static int open_secure(struct net *net, struct secure *secure, const struct copse_udp_config *udp, char *why,
		       size_t why_cap)
{
	const struct copse_dtls_config config = {
	    .udp = *udp, .secure = secure->keys, .handshake_ms = secure->handshake_ms};
	int err = copse_dtls_open(&config, &net->transport, why, why_cap);

	if (err)
		return err;
	net->secure = secure;
	secure->transport = net->transport;
	return copse_host_attach(net->host, net->transport);
}

/* Returns 0, or an error with `why`. */
static int open_stream(struct net *net, const struct net_config *wanted, const struct copse_address *bind,
		       char *why, size_t why_cap)
{
	struct secure *secure = wanted->secure;
	const struct copse_tcp_config config = {.bind = *bind,
						.secure = secure->keys,
						.websocket = wanted->websocket,
						.host = wanted->authority,
						.look_up = true,
						.connections = 8,
						.max_message = STREAM_MESSAGE,
						.handshake_ms = secure->handshake_ms};
	int err = copse_tcp_open(&config, &net->transport, why, why_cap);

	if (err)
		return err;
	net->secure = secure;
	secure->transport = net->transport;
	return copse_host_attach(net->host, net->transport);
}

static int open_transport(struct net *net, const struct net_config *config,
			  const struct copse_udp_config *udp, char *why, size_t why_cap)
{
	if (config->stream)
		return open_stream(net, config, &udp->bind, why, why_cap);
	if (config->secure)
		return open_secure(net, config->secure, udp, why, why_cap);
	net->transport = copse_host_listen(net->host, udp, why, why_cap);
	return net->transport ? 0 : COPSE_ERR_ARGUMENT;
}

int net_peer(struct net *net, const struct copse_address *address, struct copse_peer *peer)
{
	return secure_peer(net->secure, net->transport, address, peer);
}

static int open_socket(struct net *net, const struct net_config *config)
{
	struct copse_udp_config udp = {.receive_buffer = 1 << 20, .send_buffer = 1 << 18, .hop_limit = 16};
	char why[256];

	if (config->local_address &&
	    copse_address_parse(config->local_address, config->local_port, &udp.bind))
		return report_error(EXIT_OTHER, "--local-address: %s is no address", config->local_address);
	if (config->local_address)
		copse_address_set_port(&udp.bind, config->local_port);
	else if (config->local_port)
		copse_address_parse("*", config->local_port, &udp.bind);
	if (open_transport(net, config, &udp, why, sizeof(why)))
		return report_error(EXIT_OTHER, "%s", why);
	if (config->pcap) {
		net->pcap = copse_pcap_open(config->pcap);
		if (!net->pcap)
			return report_error(EXIT_OTHER, "cannot write %s: %s", config->pcap, strerror(errno));
		net->pcap_path = config->pcap;
	}
	wire_tap(&net->wire, net->transport, config->verbose, net->pcap);
	return 0;
}

static int release(struct net *net)
{
	int err = 0;

	secure_leave(net->secure);
	copse_host_free(net->host);
	if (net->pcap)
		err = copse_pcap_close(net->pcap);
	copse_loop_free(net->loop);
	copse_mem_free(net->client_memory);
	copse_mem_free(net->oscore_memory);
	oscore_file_close(&net->oscore);
	return err;
}

int net_open(struct net *net, const struct net_config *config)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};

	*net = (struct net){.limit = {.due = on_limit}, .oscore = {.lock = -1}};
	net->limit.self = net;
	net->last_id = config->last_id;
	net->loop = copse_loop_new();
	if (!net->loop || copse_loop_signals(net->loop, signals, on_signal, net))
		return report_error(EXIT_OTHER, "cannot make an event loop: %s", strerror(errno));
	int code = open_host(net, config);
	if (!code)
		code = open_socket(net, config);
	if (code)
		release(net);
	return code;
}

int net_close(struct net *net, int code)
{
	if (net->last_id && net->wire.last_id)
		*net->last_id = net->wire.last_id;
	if (release(net) && code == 0)
		code = report_error(EXIT_OTHER, "cannot write %s: %s", net->pcap_path, strerror(errno));
	return net->signal && !net->listener.interrupted ? EXIT_SIGNAL + net->signal : code;
}

void net_run(struct net *net, const struct net_listener *listener, copse_ms limit_ms)
{
	net->listener = *listener;
	net->timed_out = false;
	net->done = false;
	if (limit_ms != COPSE_NEVER)
		copse_loop_set(net->loop, &net->limit, copse_clock_ms() + limit_ms);
	while (!net->done && !net->timed_out)
		copse_loop_step(net->loop, COPSE_NEVER);
	copse_loop_clear(net->loop, &net->limit);
	/* The acknowledgement of the answer that ended the run, or a request that waits for none, is still to leave. */
	copse_host_flush(net->host, copse_clock_ms());
}

static bool is_beginning(const struct net *net)
{
	struct copse_tcp_usage usage;

	if (!copse_transport_is_tcp(net->transport))
		return false;
	copse_tcp_usage(net->transport, &usage);
	return usage.beginning || usage.waiting;
}

void net_deliver(struct net *net, copse_ms limit_ms)
{
	net->listener = (struct net_listener){0};
	net->timed_out = false;
	net->done = false;
	copse_host_flush(net->host, copse_clock_ms());
	if (limit_ms != COPSE_NEVER)
		copse_loop_set(net->loop, &net->limit, copse_clock_ms() + limit_ms);
	while (is_beginning(net) && !net->done && !net->timed_out)
		copse_loop_step(net->loop, COPSE_NEVER);
	copse_loop_clear(net->loop, &net->limit);
}

void net_stop(struct net *net)
{
	net->done = true;
	/* it may be about to sleep */
	copse_loop_wake(net->loop);
}
