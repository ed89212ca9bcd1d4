/* ping: an empty confirmable message, which a live server rejects with a Reset (RFC 7252 §4.3).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "exchange.h"
#include "report.h"

struct ping {
	struct net *net;
	copse_handle exchange;
	copse_ms begun, took;
	int error;
};

static void on_raw(void *self, const struct copse_event *e, copse_ms now)
{
	struct ping *ping = self;

	if (e->exchange != ping->exchange)
		return;
	ping->took = now - ping->begun;
	ping->error = e->kind == COPSE_EVENT_PONG ? 0 : e->error;
	net_stop(ping->net);
}

/* Returns 0, or a copse_err. */
static int ping_one(struct ping *ping, const struct target *target, const struct copse_address *address)
{
	const struct net_listener listener = {.raw = on_raw, .self = ping};
	struct copse_peer peer;

	if (net_peer(ping->net, address, &peer))
		return COPSE_ERR_TRANSPORT;
	ping->begun = copse_clock_ms();
	int err =
	    copse_endpoint_ping(ping->net->ep, &peer, NULL, copse_loop_now(ping->net->loop), &ping->exchange);
	if (err)
		return err;
	net_run(ping->net, &listener, target->limit_ms);
	return ping->net->timed_out ? COPSE_ERR_TIMEOUT : ping->error;
}

int command_ping(const struct args *args)
{
	struct target target;
	struct net net;
	struct ping ping = {.net = &net};
	char text[COPSE_ADDRESS_TEXT] = "";
	int err = COPSE_ERR_TRANSPORT;

	int code = target_find(&target, args, args->operand[0], true);
	if (code)
		return code;
	code = net_open(&net, &target.net);
	for (size_t i = 0; !code && i < target.address_n && err == COPSE_ERR_TRANSPORT && !net.signal; i++) {
		err = ping_one(&ping, &target, &target.address[i]);
		copse_address_text(&target.address[i], text, sizeof(text));
	}
	if (!code) {
		if (err && !net.signal)
			code = exchange_report(&target, err);
		else
			report_note("%s is alive: %u ms", text, (unsigned)ping.took);
		code = net_close(&net, code);
	}
	target_close(&target);
	return code;
}
