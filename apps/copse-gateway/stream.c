/* See stream.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "stream.h"

#include "gateway/crossing.h"

#include <copse/frame.h>

struct copse_transport *gw_stream_open(struct copse_host *host, const struct gw_config *config,
				       struct gw_log *log, const struct copse_address *bind,
				       struct copse_secure *keys, const struct gw_stream_place *place,
				       const struct gw_stream_ended *ended)
{
	/* What is longer than the proxy takes comes in blocks. Beyond RFC 8323's base these may be larger than
	 * devices take: BERT. */
	const bool larger = config->max_message > COPSE_FRAME_BASE;
	const struct copse_tcp_config tcp = {.bind = *bind,
					     .server = true,
					     .secure = keys,
					     .pool = place->pool,
					     .websocket = place->kind == GW_STREAM_WEBSOCKET,
					     .origins = config->origins,
					     .group = GW_GROUP_CLIENTS,
					     .reuse_port = place->follows,
					     .share_port = place->workers > 1 && !place->follows,
					     .spread = gw_cross_spread(config, place->workers),
					     .connections =
						 gw_cross_share(place->workers, config->associations),
					     .rate = gw_cross_share(place->workers, config->handshake_rate),
					     .max_message = larger ? config->max_message : 0,
					     .idle_ms = config->association_idle_ms,
					     .ended = ended->ended,
					     .self = ended->self};
	static const char *const told[2][2] = {
	    {"taking connections, TCP", "taking connections, TLS"},
	    {"taking connections, WebSocket", "taking connections, WebSocket by TLS"}};
	char why[256], text[COPSE_ADDRESS_TEXT];
	struct copse_transport *t;
	struct copse_address local;

	if (copse_tcp_open(&tcp, &t, why, sizeof(why)) != COPSE_OK) {
		gw_log(log, GW_LOG_ERROR, "gateway", why, {"for", keys ? "secure.listen" : "listen"});
		return NULL;
	}
	if (copse_host_attach(host, t) != COPSE_OK) {
		copse_transport_close(t);
		return NULL;
	}
	if (!place->tells)
		return t;
	copse_transport_local(t, NULL, &local);
	copse_address_text(&local, text, sizeof(text));
	gw_log(log, GW_LOG_INFO, "gateway", told[place->kind == GW_STREAM_WEBSOCKET][keys != NULL],
	       {"address", text});
	return t;
}

struct copse_transport *gw_stream_to_mesh(struct copse_host *host, const struct gw_config *config,
					  struct gw_log *log, struct copse_secure *keys,
					  struct copse_handshake_pool *pool)
{
	struct copse_tcp_config tcp = {.secure = keys,
				       .pool = pool,
				       .group = GW_GROUP_MESH,
				       .handshake_ms = 6 * (copse_ms)config->mesh.ack_timeout_ms + 2000,
				       .idle_ms = config->association_idle_ms};
	char why[256];
	struct copse_transport *t;

	if (!copse_address_is_any(&config->mesh_bind)) {
		tcp.bind = config->mesh_bind;
		copse_address_set_port(&tcp.bind, 0);
	}
	if (copse_tcp_open(&tcp, &t, why, sizeof(why)) != COPSE_OK) {
		gw_log(log, GW_LOG_ERROR, "gateway", why, {"for", "mesh.bind"});
		return NULL;
	}
	if (copse_host_attach(host, t) == COPSE_OK)
		return t;
	copse_transport_close(t);
	return NULL;
}

void gw_stream_counters(struct copse_host *host, struct copse_tcp_counters *sum,
			struct copse_tcp_usage *usage)
{
	const struct copse_transport *t;

	for (size_t i = 0; (t = copse_host_transport_at(host, i)) != NULL; i++) {
		struct copse_tcp_usage u;

		if (!copse_tcp_is_server(t))
			continue;
		const struct copse_tcp_counters *c = copse_tcp_counters(t);
#define COUNTER(name, text) sum->name += c->name;
#include <copse/registry/tcp_counters.def>
#undef COUNTER
		copse_tcp_usage(t, &u);
		usage->connections += u.connections;
		usage->beginning += u.beginning;
		usage->waiting += u.waiting;
	}
}

void gw_stream_adopt(struct copse_host *host, struct copse_secure *keys)
{
	struct copse_transport *t;

	for (size_t i = 0; keys && (t = copse_host_transport_at(host, i)) != NULL; i++)
		if (copse_transport_is_tls(t) && copse_tcp_is_server(t))
			copse_tcp_adopt(t, keys);
}
