/* What ways of communicating cost in energy: the arithmetic alone. Pure functions of their inputs; nothing
 * is kept.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_ENERGY_H
#define COPSE_TOOL_ENERGY_H

#include <stdbool.h>
#include <stddef.h>

enum energy_input {
	ENERGY_PERIOD,
	ENERGY_OCTETS,
	ENERGY_RATE,
	ENERGY_INSTRUCTIONS,
	ENERGY_CYCLES,
	ENERGY_CLOCK,
	ENERGY_WAKE,
	ENERGY_LISTEN,
	ENERGY_WINDOW,
	ENERGY_RTT,
	ENERGY_DISCOVERY,
	ENERGY_INTERVAL,
	ENERGY_PAYLOAD,
	ENERGY_COAP_HEADER,
	ENERGY_HTTP_HEADER,
	ENERGY_MQTT_HEADER,
	ENERGY_COAP_MJ,
	ENERGY_HTTP_MJ,
	ENERGY_MQTT_MJ,
	ENERGY_BATTERY,
	ENERGY_SEND,
	ENERGY_ACK_RTT,
	ENERGY_ACK_LISTEN,
	ENERGY_ACK_TIMEOUT,
	ENERGY_ACK_FACTOR,
	ENERGY_RETRANSMIT,
	ENERGY_INPUT_N
};

struct energy_row {
	const char *name;
	double standard, least, most;
	const char *unit, *help;
};

extern const struct energy_row energy_rows[ENERGY_INPUT_N];

struct energy {
	double in[ENERGY_INPUT_N];
};

void energy_standard(struct energy *e);

/* Take "name=value". Returns NULL, or what is wrong with it, a static string. */
const char *energy_set(struct energy *e, const char *text);

/* How long a send-only device is awake for a message, and how often it could be asleep that long. Seconds
 * and ratios. */
struct energy_awake {
	double transmit, compute, bare, bare_ratio, awake, ratio;
};

struct energy_awake energy_awake(const struct energy *e);

/* Energy of a way of communicating, in multiples of the send-only device's. `alike`: listening takes as
 * much power as sending; `cheap`: it takes `listen` times less. */
struct energy_model {
	const char *name;
	double alike, cheap;
};

#define ENERGY_MODEL_N 7

/* Send-only, daily discovery, send and confirm, the same over HTTP, listening window, server, observed. */
void energy_models(const struct energy *e, struct energy_model models[ENERGY_MODEL_N]);

/* How many registrations it takes on average to hit a device that listens for `window` each `period`. */
double energy_registrations(const struct energy *e);

struct energy_protocol {
	const char *name;
	double octets, overhead;  /* of a reading with its header; the header's share of it, 0 to 1 */
	double a_day, joule, mwh; /* readings a day; energy a day */
	double days;              /* a battery lasts */
	double more, life;        /* energy and life in comparison to CoAP: 0.24 is 24 % more */
};

#define ENERGY_PROTOCOL_N 3

void energy_protocols(const struct energy *e, struct energy_protocol protocols[ENERGY_PROTOCOL_N]);

/* Confirmable against non-confirmable messages over a link that loses the share `loss` each way. Energy in
 * multiples of a single transmission. */
struct energy_loss {
	double loss, non_delivered;
	double con_sent, con_delivered, con_confirmed, con_energy;
};

struct energy_loss energy_loss(const struct energy *e, double loss);

/* MAX_TRANSMIT_SPAN of RFC 7252 §4.8.2. */
double energy_transmit_span(const struct energy *e);

#endif
