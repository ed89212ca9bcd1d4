/* Energy of ways of communicating. See energy.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "energy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400.0

const struct energy_row energy_rows[ENERGY_INPUT_N] = {
#define INPUT(name, standard, least, most, unit, help) {#name, standard, least, most, unit, help},
#include "energy.def"
#undef INPUT
};

void energy_standard(struct energy *e)
{
	for (int i = 0; i < ENERGY_INPUT_N; i++)
		e->in[i] = energy_rows[i].standard;
}

const char *energy_set(struct energy *e, const char *text)
{
	const char *equals = strchr(text, '=');
	char *end;

	if (!equals)
		return "has no =";
	for (int i = 0; i < ENERGY_INPUT_N; i++) {
		const struct energy_row *row = &energy_rows[i];
		if (strlen(row->name) != (size_t)(equals - text) ||
		    strncmp(row->name, text, strlen(row->name)) != 0)
			continue;
		double value = strtod(equals + 1, &end);
		if (end == equals + 1 || *end)
			return "has no number behind =";
		if (!(value >= row->least && value <= row->most))
			return "is out of range";
		e->in[i] = value;
		return NULL;
	}
	return "names no input";
}

struct energy_awake energy_awake(const struct energy *e)
{
	struct energy_awake a;

	a.transmit = e->in[ENERGY_OCTETS] * 8 / e->in[ENERGY_RATE];
	a.compute = e->in[ENERGY_INSTRUCTIONS] * e->in[ENERGY_CYCLES] / e->in[ENERGY_CLOCK];
	a.bare = a.transmit + a.compute;
	a.bare_ratio = e->in[ENERGY_PERIOD] / a.bare;
	a.awake = a.bare + e->in[ENERGY_WAKE];
	a.ratio = e->in[ENERGY_PERIOD] / a.awake;
	return a;
}

/* A period in which a device is up for `up` seconds as a sender, and listens for `listening` seconds. */
static struct energy_model model(const char *name, const struct energy *e, double up, double listening)
{
	double once = energy_awake(e).awake;

	return (struct energy_model){name, (up + listening) / once,
				     (up + listening / e->in[ENERGY_LISTEN]) / once};
}

void energy_models(const struct energy *e, struct energy_model models[ENERGY_MODEL_N])
{
	struct energy_awake a = energy_awake(e);
	double period = e->in[ENERGY_PERIOD], rtt = e->in[ENERGY_RTT];

	models[0] = model("send-only", e, a.awake, 0);
	models[1] = model("daily discovery", e, a.awake + a.awake * period / e->in[ENERGY_DISCOVERY], 0);
	models[2] = model("send and confirm", e, a.awake, rtt);
	/* A connection first: one round trip and one message more. */
	models[3] = model("the same by HTTP", e, a.awake + a.transmit, 2 * rtt);
	models[4] = model("listening window", e, a.awake, e->in[ENERGY_WINDOW]);
	/* Up all the time: what it sends is a part of that time, not more. */
	models[5] = model("server", e, 0, period);
	models[6] = model("observed", e, 0, period);
}

double energy_registrations(const struct energy *e)
{
	return e->in[ENERGY_PERIOD] / e->in[ENERGY_WINDOW] / 2;
}

void energy_protocols(const struct energy *e, struct energy_protocol protocols[ENERGY_PROTOCOL_N])
{
	static const char *const names[] = {"CoAP", "HTTP", "MQTT"};

	for (int i = 0; i < ENERGY_PROTOCOL_N; i++) {
		struct energy_protocol *p = &protocols[i];
		double header = e->in[ENERGY_COAP_HEADER + i];

		p->name = names[i];
		p->octets = header + e->in[ENERGY_PAYLOAD];
		p->overhead = p->octets > 0 ? header / p->octets : 0;
		p->a_day = DAY_S / e->in[ENERGY_INTERVAL];
		p->joule = p->a_day * e->in[ENERGY_COAP_MJ + i] / 1e3;
		p->mwh = p->joule / 3.6;
		p->days = e->in[ENERGY_BATTERY] / p->mwh;
		p->more = p->joule / protocols[0].joule - 1;
		p->life = p->days / protocols[0].days - 1;
	}
}

struct energy_loss energy_loss(const struct energy *e, double loss)
{
	double pass = (1 - loss) * (1 - loss); /* there and back */
	double timeout =
	    e->in[ENERGY_ACK_TIMEOUT] * (1 + e->in[ENERGY_ACK_FACTOR]) / 2; /* on average */
	double waiting = 0, unconfirmed = 1;
	int tries = 1 + (int)e->in[ENERGY_RETRANSMIT];
	struct energy_loss r = {.loss = loss, .non_delivered = 1 - loss};

	for (int i = 0; i < tries; i++) {
		r.con_sent += unconfirmed;
		waiting += unconfirmed * (pass * e->in[ENERGY_ACK_RTT] + (1 - pass) * timeout);
		unconfirmed *= 1 - pass;
		timeout *= 2;
	}
	r.con_confirmed = 1 - unconfirmed;
	r.con_delivered = 1 - pow(loss, tries);
	r.con_energy = r.con_sent + waiting / e->in[ENERGY_ACK_LISTEN] / e->in[ENERGY_SEND];
	return r;
}

double energy_transmit_span(const struct energy *e)
{
	return e->in[ENERGY_ACK_TIMEOUT] * (exp2(floor(e->in[ENERGY_RETRANSMIT])) - 1) *
	       e->in[ENERGY_ACK_FACTOR];
}
