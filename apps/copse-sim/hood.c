/* The neighbourhood: devices with their servers and sockets on one host.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "form.h"
#include "hood.h"
#include "../log/log.h"
#include "../oscore/file.h"
#include "random.h"
#include "secure.h"

#include <copse/host.h>
#include <copse/mem.h>
#include <copse/serial.h>
#include <copse/server.h>
#include <copse/tcp.h>
#include <copse/udp.h>

#include <inttypes.h>
#include <math.h>
#include <sys/resource.h>
#include <time.h>

/* How often values are compared with what observers were told. */
#define LOOK_MS 1000

/* Longest representation: a SenML pack of SIM_FIELDS_MAX records. */
#define BODY_MAX 512

struct place; /* a device where it stands */

struct spot { /* one of its resources */
	struct place *place;
	const struct sim_point *point;
	struct sim_reading told; /* what observers know; field_n 0: nothing yet */
};

struct place {
	struct hood *hood;
	struct sim_device device;
	struct copse_transport *transport;
	struct copse_transport *secure; /* the other socket; NULL: none */
	struct copse_server *server;
	struct copse_timer timer; /* the server's deadline */
	struct copse_timer publish;
	struct weather_config weather;
	struct copse_resource resource[SIM_POINTS_MAX];
	struct spot spot[SIM_POINTS_MAX];
	bool listed; /* observers are looked after in this round */
};

struct hood {
	const struct sim_options *options;
	struct copse_loop *loop;
	struct copse_host *host;
	struct place *place; /* [place_n] */
	uint32_t place_n;
	struct place **by_transport; /* [65536], by the id of the transport */
	uint8_t *memory;             /* of the servers */
	size_t server_bytes;
	struct copse_line line; /* in place of the only device's socket */
	struct oscore_file oscore[SIM_OSCORE_MAX];
	void *oscore_memory;
	struct copse_timer look;
	copse_ms began;
	int64_t start_ms;
};

static int64_t world_ms(const struct hood *hood, copse_ms now)
{
	return hood->start_ms + (int64_t)((double)(now - hood->began) * hood->options->speed);
}

/* ---- what a resource answers ---- */

static const uint16_t formats[] = {COPSE_FORMAT_TEXT, COPSE_FORMAT_JSON, COPSE_FORMAT_SENML_JSON,
				   COPSE_FORMATS_END};

static void read_now(struct spot *spot, copse_ms now, struct sim_reading *reading)
{
	sim_device_advance(&spot->place->device, world_ms(spot->place->hood, now));
	*reading = (struct sim_reading){0};
	spot->point->read(&spot->place->device, reading);
}

static void answer_get(const struct copse_request *rq, struct copse_response *rs)
{
	struct spot *spot = rq->resource->user;
	const struct sim_device *device = &spot->place->device;
	struct sim_reading reading;
	size_t cap;

	read_now(spot, rq->now, &reading);
	char *room = (char *)copse_response_room(rs, &cap);
	int len = sim_form_write(&reading, device->mac, device->at_ms, rq->accept, room, cap);
	if (len < 0) {
		copse_response_error(rs, COPSE_CODE_INTERNAL_SERVER_ERROR, NULL);
		return;
	}
	copse_response_commit(rs, rq->accept == COPSE_FORMAT_NONE ? COPSE_FORMAT_TEXT : rq->accept,
			      (size_t)len);
}

static void look_at(struct place *place, copse_ms now);

static void answer_write(const struct copse_request *rq, struct copse_response *rs)
{
	struct spot *spot = rq->resource->user;
	struct place *place = spot->place;
	struct sim_input input;
	const char *why = sim_form_read(spot->point->name, rq->format, rq->body, rq->body_len, &input);

	sim_device_advance(&place->device, world_ms(place->hood, rq->now));
	if (!why)
		why = spot->point->write(&place->device, &input, rq->method == COPSE_CODE_POST);
	if (why) {
		copse_response_error(rs, COPSE_CODE_BAD_REQUEST, why);
		return;
	}
	log_line(LOG_DEBUG, "msg=written device=%016" PRIx64 " resource=%s value=\"%s\"", place->device.mac,
		 spot->point->name, input.text);
	look_at(place, rq->now);
}

/* ---- observers ---- */

static void look_at(struct place *place, copse_ms now)
{
	for (unsigned i = 0; i < place->device.kind->point_n; i++) {
		struct spot *spot = &place->spot[i];
		struct sim_reading reading;
		read_now(spot, now, &reading);
		if (!sim_point_changed(spot->point, &spot->told, &reading))
			continue;
		spot->told = reading;
		copse_server_changed(place->server, &place->resource[i], NULL, now);
	}
}

static void set_timer(struct place *place)
{
	copse_loop_set(place->hood->loop, &place->timer, copse_server_deadline(place->server));
}

static void look_around(void *self, copse_ms now)
{
	struct hood *hood = self;

	for (uint32_t i = 0; i < hood->place_n; i++) {
		struct place *place = &hood->place[i];
		sim_device_advance(&place->device, world_ms(hood, now));
		if (copse_server_observers(place->server, NULL) == 0)
			continue;
		look_at(place, now);
		set_timer(place);
	}
	copse_loop_set(hood->loop, &hood->look, now + LOOK_MS);
}

static void server_due(void *self, copse_ms now)
{
	struct place *place = self;

	copse_server_expire(place->server, now);
	set_timer(place);
}

static void take_event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	struct hood *hood = self;
	struct place *place = hood->by_transport[copse_peer_transport(event->peer)];

	if (!place)
		return;
	if (copse_server_take(place->server, event, now) == COPSE_ERR_UNMATCHED &&
	    event->kind == COPSE_EVENT_REQUEST)
		copse_endpoint_ignore(ep, event->exchange, now);
	set_timer(place);
}

/* ---- publishing ---- */

/* Confirmable: the answer ends the exchange, and a link that loses it repeats it. */
static void send_reading(struct place *place, const struct copse_peer *gateway, struct spot *spot,
			 copse_ms now)
{
	uint8_t body[BODY_MAX], rest[BODY_MAX + 32];
	struct sim_reading reading;
	struct copse_builder b;
	copse_handle exchange;

	read_now(spot, now, &reading);
	int len = sim_form_write(&reading, place->device.mac, place->device.at_ms, COPSE_FORMAT_SENML_JSON,
				 (char *)body, sizeof(body));
	if (len < 0)
		return;
	copse_build_rest(&b, rest, sizeof(rest));
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "publish", strlen("publish"));
	copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_SENML_JSON);
	copse_build_payload(&b, body, (size_t)len);
	len = copse_build_finish(&b);
	const struct copse_out out = {
	    .code = COPSE_CODE_POST, .con = true, .rest = rest, .rest_len = len > 0 ? (size_t)len : 0};
	if (len < 0 || copse_endpoint_request(copse_host_endpoint(place->hood->host), gateway, &out, 0, NULL,
					      now, &exchange) != 0)
		log_line(LOG_ERROR, "msg=\"not published\" device=%016" PRIx64 " resource=%s",
			 place->device.mac, spot->point->name);
}

static void publish_due(void *self, copse_ms now)
{
	struct place *place = self;
	const struct sim_options *options = place->hood->options;
	struct copse_peer gateway;

	copse_loop_set(place->hood->loop, &place->publish,
		       options->publish_ms ? now + options->publish_ms : weather_wakes(&place->weather, now));
	if (copse_transport_peer(place->transport, &options->publish, &gateway) != 0)
		return;
	for (unsigned i = 0; i < place->device.kind->point_n; i++)
		send_reading(place, &gateway, &place->spot[i], now);
}

/* ---- building ---- */

static uint32_t at_most(uint64_t value, uint32_t bound)
{
	return value < bound ? (uint32_t)value : bound;
}

static void size_host(const struct sim_options *options, struct copse_host_config *config)
{
	uint64_t n = options->count;

	config->endpoint.exchange_cap = (uint16_t)at_most(256 + 4 * n, 60000);
	config->endpoint.incoming_cap = at_most(1024 + 32 * n, 262144);
	config->endpoint.peer_cap = at_most(256 + 4 * n, 65535);
	config->endpoint.chunk_cap = at_most(4096 + 64 * n, 524288);
	config->transports = (uint16_t)((1u + options->secure + options->tcp) * n);
}

static void size_server(const struct sim_options *options, struct copse_server_config *config)
{
	config->message_len = 640;
	if (options->line && options->frame < config->message_len)
		config->message_len = (uint16_t)options->frame;
	config->scratch_len = BODY_MAX;
	config->node_cap = 8;
	config->deferred_cap = 1;
	config->transfer_cap = 4;
	config->collect_len = BODY_MAX;
	config->observer_cap = 32;
	config->view_cap = 12;
	config->verified_cap = 4;
}

static void furnish(struct place *place)
{
	const struct sim_kind *kind = place->device.kind;

	for (unsigned i = 0; i < kind->point_n; i++) {
		const struct sim_point *point = &kind->point[i];
		place->spot[i] = (struct spot){.place = place, .point = point};
		place->resource[i] = (struct copse_resource){
		    .path = point->name,
		    .get = answer_get,
		    .put = point->write ? answer_write : NULL,
		    .post = point->write && point->posts ? answer_write : NULL,
		    .user = &place->spot[i],
		    .formats = formats,
		    .takes = formats,
		    .rt = point->rt,
		    .interface = point->interface,
		    .title = point->title,
		    .body_max = BODY_MAX,
		    .flags = COPSE_RESOURCE_OBSERVABLE | COPSE_RESOURCE_WHOLE,
		};
		if (place->hood->options->group.len)
			place->resource[i].flags |= COPSE_RESOURCE_MULTICAST;
	}
}

static int start_server(struct place *place, uint8_t *memory, copse_ms now)
{
	struct copse_server_config config = COPSE_SERVER_DEFAULT;

	size_server(place->hood->options, &config);
	copse_host_random(config.seed, sizeof(config.seed));
	place->server = copse_server_init(memory, place->hood->server_bytes, &config,
					  copse_host_endpoint(place->hood->host), now);
	furnish(place);
	return copse_server_add_all(place->server, place->resource, place->device.kind->point_n);
}

static bool has_weather(const struct weather_config *w)
{
	return w->loss > 0 || w->delay_max_ms > 0 || w->sleep_period_ms > 0;
}

/* Put the weather in front of `socket` and hand both to the host; the socket is closed when that fails. */
static struct copse_transport *attach(struct place *place, struct copse_transport *socket, uint64_t seed,
				      char *why, size_t why_cap)
{
	struct weather_config weather = place->hood->options->weather;
	struct copse_transport *outer = socket;

	weather.seed = sim_mix(seed);
	if (has_weather(&weather))
		outer = weather_new(socket, &weather);
	if (!outer) {
		copse_transport_close(socket);
		snprintf(why, why_cap, "out of memory");
		return NULL;
	}
	if (copse_host_attach(place->hood->host, outer) < 0) {
		copse_transport_close(outer);
		snprintf(why, why_cap, "no room for another socket");
		return NULL;
	}
	place->hood->by_transport[outer->id] = place;
	return outer;
}

/* At the port that UDP has, too. Without weather: a connection loses nothing. */
static int listen_tcp(struct place *place, char *why, size_t why_cap)
{
	struct copse_tcp_config config = {
	    .server = true, .connections = 64, .websocket = place->hood->options->websocket};
	struct copse_transport *t;

	copse_transport_local(place->transport, NULL, &config.bind);
	if (copse_tcp_open(&config, &t, why, why_cap) < 0)
		return -1;
	if (copse_host_attach(place->hood->host, t) < 0) {
		copse_transport_close(t);
		snprintf(why, why_cap, "no room for another socket");
		return -1;
	}
	place->hood->by_transport[t->id] = place;
	return 0;
}

static int listen_at(struct place *place, uint32_t index, char *why, size_t why_cap)
{
	const struct sim_options *options = place->hood->options;
	struct copse_udp_config udp = {
	    .paths = options->group.len ? 0 : 1, .receive_buffer = 65536, .send_buffer = 65536};
	uint64_t seed = options->seed ^ (uint64_t)index << 32;
	struct copse_transport *socket;

	sim_options_address(options, index, place->device.mac, &udp.bind);
	if (copse_udp_open(&udp, &socket, why, why_cap) < 0)
		return -1;
	if (options->group.len && copse_udp_join(socket, &options->group, 0) < 0) {
		copse_transport_close(socket);
		snprintf(why, why_cap, "the group cannot be joined");
		return -1;
	}
	place->transport = attach(place, socket, seed, why, why_cap);
	place->weather = options->weather;
	place->weather.seed = sim_mix(seed); /* as `attach` has it: it publishes when it listens */
	if (!place->transport || (options->tcp && listen_tcp(place, why, why_cap) < 0))
		return -1;
	if (!options->secure)
		return 0;
	socket = sim_secure_open(options, &udp, place->device.mac, why, why_cap);
	place->secure = socket ? attach(place, socket, seed + 1, why, why_cap) : NULL;
	return place->secure ? 0 : -1;
}

static void line_changed(void *self, bool up, const char *why, copse_ms now)
{
	struct place *place = self;

	(void)now;
	place->transport = place->hood->line.transport;
	if (!up) {
		log_line(LOG_ERROR, "msg=\"line is down\" error=\"%s\"", why);
		return;
	}
	place->hood->by_transport[place->transport->id] = place;
	log_line(LOG_INFO, "msg=\"line is up\" line=%s", place->hood->options->line);
}

static void take_line(struct place *place)
{
	const struct sim_options *options = place->hood->options;
	const struct copse_serial_config config = {.path = options->line, .frame_max = options->frame};

	copse_line_start(&place->hood->line, place->hood->host, place->hood->loop, &config, line_changed,
			 place);
}

static int settle(struct hood *hood, uint32_t index, copse_ms now, char *why, size_t why_cap)
{
	const struct sim_options *options = hood->options;
	struct place *place = &hood->place[index];

	place->hood = hood;
	place->timer = (struct copse_timer){.due = server_due, .self = place};
	place->publish = (struct copse_timer){.due = publish_due, .self = place};
	sim_device_init(&place->device, sim_options_kind(options, index), options->seed, index,
			hood->start_ms);
	if (options->line)
		take_line(place);
	else if (listen_at(place, index, why, why_cap) < 0)
		return -1;
	if (start_server(place, hood->memory + hood->server_bytes * index, now) < 0) {
		snprintf(why, why_cap, "the resources do not fit into the server");
		return -1;
	}
	hood->place_n = index + 1;
	if (options->publish.len) /* not all at once */
		copse_loop_set(hood->loop, &place->publish,
			       options->publish_ms ? now + sim_mix(index) % options->publish_ms
						   : weather_wakes(&place->weather, now));
	return 0;
}

/* A socket a device: as many descriptors as the system lets us have; root may raise the limit itself. */
static int allow_sockets(uint32_t n, char *why, size_t why_cap)
{
	struct rlimit limit;
	rlim_t need = n + 32;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < need) {
		limit.rlim_max = limit.rlim_max < need ? need : limit.rlim_max;
		limit.rlim_cur = need;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= need)
		return 0;
	snprintf(why, why_cap, "%u devices need %lu file descriptors, the limit is %lu (ulimit -n)", n,
		 (unsigned long)need, (unsigned long)limit.rlim_max);
	return -1;
}

static int make_host(struct hood *hood, copse_ms now)
{
	struct copse_host_config config = COPSE_HOST_DEFAULT;
	struct copse_handler handler = {.event = take_event, .self = hood};
	struct copse_server_config server = COPSE_SERVER_DEFAULT;

	size_host(hood->options, &config);
	size_server(hood->options, &server);
	hood->server_bytes = (copse_server_bytes(&server) + 63) & ~(size_t)63;
	hood->host = copse_host_new(&config, &handler, hood->loop, now);
	hood->place = copse_mem_new(hood->options->count, sizeof(*hood->place));
	hood->by_transport = copse_mem_new(65536, sizeof(struct place *));
	hood->memory = copse_mem_new(hood->options->count, hood->server_bytes);
	return hood->host && hood->place && hood->by_transport && hood->memory ? 0 : -1;
}

static int64_t present_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* All devices are one endpoint to OSCORE, and have its contexts in common. */
static int start_oscore(struct hood *hood, char *why, size_t why_cap)
{
	struct copse_oscore_config config = COPSE_OSCORE_DEFAULT;
	char reason[OSCORE_FILE_WHY];
	struct copse_oscore *oscore;

	config.context_cap = SIM_OSCORE_MAX;
	config.binding_cap = at_most(256 + 32ull * hood->options->count, 65536); /* every observer */
	config.required = true;
	copse_host_random(config.seed, sizeof(config.seed));
	hood->oscore_memory = copse_mem_new(1, copse_oscore_bytes(&config));
	if (!hood->oscore_memory) {
		snprintf(why, why_cap, "out of memory");
		return -1;
	}
	oscore = copse_oscore_attach(hood->oscore_memory, copse_oscore_bytes(&config), &config,
				     copse_host_endpoint(hood->host));
	for (unsigned i = 0; i < hood->options->oscore_n; i++) {
		if (oscore_file_open(&hood->oscore[i], hood->options->oscore[i], reason) != 0) {
			snprintf(why, why_cap, "--oscore: %.*s", (int)(why_cap > 16 ? why_cap - 16 : 0),
				 reason);
			return -1;
		}
		copse_oscore_add(oscore, &hood->oscore[i].context);
	}
	return 0;
}

struct hood *hood_new(const struct sim_options *options, struct copse_loop *loop, char *why, size_t why_cap)
{
	copse_ms now = copse_loop_now(loop);
	struct hood *hood = copse_mem_new(1, sizeof(*hood));

	if (!hood ||
	    allow_sockets((1 + options->secure + 2 * options->tcp) * options->count, why, why_cap) < 0) {
		copse_mem_free(hood);
		return NULL;
	}
	hood->options = options;
	hood->loop = loop;
	for (unsigned i = 0; i < SIM_OSCORE_MAX; i++)
		hood->oscore[i].lock = -1;
	hood->began = now;
	hood->start_ms = options->started ? options->start_ms : present_ms();
	hood->look = (struct copse_timer){.due = look_around, .self = hood};
	if (make_host(hood, now) < 0) {
		snprintf(why, why_cap, "out of memory");
		hood_free(hood);
		return NULL;
	}
	if (options->oscore_n && start_oscore(hood, why, why_cap) < 0) {
		hood_free(hood);
		return NULL;
	}
	for (uint32_t i = 0; i < options->count; i++) {
		if (settle(hood, i, now, why, why_cap) < 0) {
			hood_free(hood);
			return NULL;
		}
	}
	copse_loop_set(loop, &hood->look, now + LOOK_MS);
	return hood;
}

void hood_free(struct hood *hood)
{
	if (!hood)
		return;
	copse_loop_clear(hood->loop, &hood->look);
	for (uint32_t i = 0; i < hood->place_n; i++) {
		copse_loop_clear(hood->loop, &hood->place[i].timer);
		copse_loop_clear(hood->loop, &hood->place[i].publish);
	}
	copse_line_stop(&hood->line);
	copse_host_free(hood->host);
	copse_mem_free(hood->memory);
	copse_mem_free(hood->by_transport);
	copse_mem_free(hood->place);
	copse_mem_free(hood->oscore_memory);
	for (unsigned i = 0; i < SIM_OSCORE_MAX; i++)
		oscore_file_close(&hood->oscore[i]);
	copse_mem_free(hood);
}

/* ---- lists ---- */

static void list_one(FILE *out, const struct sim_options *options, const struct sim_device *device,
		     const struct copse_address *address, const struct copse_transport *secure)
{
	struct copse_address other;

	char text[COPSE_ADDRESS_TEXT], host[COPSE_ADDRESS_TEXT];

	copse_address_text(address, text, sizeof(text));
	const char *begin = text + (text[0] == '[');
	size_t len = strcspn(begin, text[0] == '[' ? "]" : ":");
	memcpy(host, begin, len);
	host[len] = 0;
	fprintf(out, "device \"%016" PRIx64 "\" {\n\taddress = \"%s\"\n\tport = %u\n\tclass = \"%s\"\n",
		device->mac, host, copse_address_port(address), device->kind->name);
	if (secure) {
		copse_transport_local(secure, NULL, &other);
		fprintf(out, "\tsecure_port = %u\n", copse_address_port(&other));
	}
	if (options->publish.len &&
	    options->weather.sleep_period_ms) /* it is heard, and so can be waited for */
		fputs("\tsleeping = true\n", out);
	fputs("}\n", out);
}

void hood_list(const struct hood *hood, FILE *out)
{
	for (uint32_t i = 0; i < hood->place_n; i++) {
		struct copse_address address;
		copse_transport_local(hood->place[i].transport, NULL, &address);
		list_one(out, hood->options, &hood->place[i].device, &address, hood->place[i].secure);
	}
}

int hood_write_keys(const struct hood *hood)
{
	uint64_t *mac = copse_mem_new(hood->place_n, sizeof(*mac));
	int err = -1;

	for (uint32_t i = 0; mac && i < hood->place_n; i++)
		mac[i] = hood->place[i].device.mac;
	if (mac)
		err = sim_secure_write(hood->options, mac, hood->place_n, hood->options->psk);
	copse_mem_free(mac);
	return err;
}

void sim_options_list(const struct sim_options *options, FILE *out)
{
	for (uint32_t i = 0; i < options->count; i++) {
		struct copse_address address;
		struct sim_device device;
		sim_device_init(&device, sim_options_kind(options, i), options->seed, i, 0);
		sim_options_address(options, i, device.mac, &address);
		list_one(out, options, &device, &address, NULL);
	}
}

void hood_weather(const struct hood *hood, struct weather_counters *total)
{
	*total = (struct weather_counters){0};
	if (!has_weather(&hood->options->weather))
		return;
	for (uint32_t i = 0; i < hood->place_n; i++) {
		const struct weather_counters *c = weather_counters(hood->place[i].transport);
		total->lost_in += c->lost_in;
		total->lost_out += c->lost_out;
		total->delayed += c->delayed;
		total->slept += c->slept;
		total->overflow += c->overflow;
	}
}
