/* The relay: requests from the network go on to the sensor at the other end of the line, answers come back (a
 * reverse proxy in the sense of RFC 7252 §5.7.3: the client sees one server, the card with its sensor).
 *
 * It sits on an endpoint as copse_server and copse_client do: it takes events, and everything else is the
 * endpoint's. A request is acknowledged by the endpoint after its usual delay, and answered when the sensor has
 * answered.
 *
 * A frame is short, a datagram may be long: a request whose body does not fit is cut into blocks that do (RFC
 * 7959), one piece after the other; an answer is asked for in blocks that fit from the beginning. The client sees
 * smaller blocks than it proposed, as
 * RFC 7959 §2.3 and §2.4 allow every server, and goes on with these.
 *
 * An observation is passed through, one upstream for each downstream: whoever has many observers puts a gateway in
 * front.
 * The states are drawn in doc/states/nic.md.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_NIC_RELAY_H
#define COPSE_NIC_RELAY_H

#include <copse/endpoint.h>

struct relay;

/* Begin with RELAY_DEFAULT. */
struct relay_config {
	uint16_t passes_max; /* requests under way and observations; beyond: 5.03 with Max-Age 2 */
	uint16_t
	    observers_max;  /* observations among them; beyond: answered as if Observe had not been there */
	uint32_t frame_max; /* longest message on the line */
	uint64_t seed[2];   /* secret: Request-Tags are made with it */
};

#define RELAY_DEFAULT                                                                                        \
	{                                                                                                    \
		.passes_max = 32, .observers_max = 16, .frame_max = 256                                      \
	}

#define RELAY_MESSAGE_MAX 1280 /* longest options and payload of a request that is relayed; beyond: 4.13 */

struct relay_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/nic_counters.def>
#undef COUNTER
};

/* Returns a relay on `ep`, or NULL without memory. It lets the endpoint hand over what a proxy decides. The line
 * is down. */
struct relay *relay_new(const struct relay_config *config, struct copse_endpoint *ep);

/* NULL is taken. */
void relay_free(struct relay *r);

/* The line is up, the sensor is `sensor`; or it is down (NULL): requests under way end with 5.04, observations
 * with 5.03. */
void relay_line(struct relay *r, const struct copse_peer *sensor, copse_ms now);

/* A request that is the sensor's to answer. */
void relay_request(struct relay *r, const struct copse_event *event, copse_ms now);

/* Any other event. Returns whether it was about a request of the relay. */
bool relay_take(struct relay *r, const struct copse_event *event, copse_ms now);

const struct relay_counters *relay_counters(const struct relay *r);

/* Requests under way, observations aside; observations. */
unsigned relay_pending(const struct relay *r);
unsigned relay_observers(const struct relay *r);

#endif
