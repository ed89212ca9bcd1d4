/* See exchange.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "exchange.h"
#include "report.h"

#include <copse/mem.h>

#include <string.h>

#define NO_MEMORY (-1000) /* what exchange_write returns; none of the library's errors */

/* How long silence must last with --no-response to be taken for consent. */
#define SILENCE_MS 2000u

struct running {
	struct net *net;
	const struct request *request;
	struct answer *answer;
	struct progress progress;
	copse_handle handle;
	copse_ms begun;
	int error; /* a copse_err, 0 while there is none */
};

int exchange_write(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	struct exchange_bodies *bodies = user;
	struct buffer *b = bodies->in;

	if (!buffer_reserve(b, offset + len))
		return NO_MEMORY;
	if (len)
		memcpy(b->bytes + offset, bytes, len);
	/* In any order with Q-Block: how long the body is, the last event says. */
	if (offset + len > b->len)
		b->len = offset + len;
	return 0;
}

int exchange_read(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const struct exchange_bodies *bodies = user;
	size_t n = offset < bodies->out->len ? bodies->out->len - offset : 0;

	n = n < cap ? n : cap;
	if (n)
		memcpy(buf, bodies->out->bytes + offset, n);
	return (int)n;
}

void exchange_call(struct copse_call *call, const struct request *request, const struct copse_peer *peer,
		   struct exchange_bodies *bodies)
{
	bodies->out = &request->payload;
	*call = (struct copse_call){.peer = peer,
				    .code = request->code,
				    .priority = request->priority,
				    .flags = (uint8_t)request->flags,
				    .szx = request->szx,
				    .early = request->early,
				    .options = request->options,
				    .options_len = request->options_len,
				    .body_len = (uint32_t)request->payload.len,
				    .read = exchange_read,
				    .write = exchange_write,
				    .user = bodies};
}

bool answer_keep(struct answer *answer, const struct copse_message *m, const struct copse_peer *peer)
{
	uint8_t *copy = copse_mem_new(1, m->len);

	if (!copy)
		return false;
	memcpy(copy, m->bytes, m->len);
	copse_mem_free(answer->datagram);
	answer->datagram = copy;
	answer->message = *m;
	answer->message.bytes = copy;
	copse_peer_text(peer, answer->peer, sizeof(answer->peer));
	return true;
}

static void on_progress(struct running *r, const struct copse_client_event *e, copse_ms now)
{
	if (e->received)
		progress_show(&r->progress, now, "received", e->received, e->size);
	else
		progress_show(&r->progress, now, "sent", e->sent, (uint32_t)r->request->payload.len);
}

static void on_told(void *self, const struct copse_client_event *e, copse_ms now)
{
	struct running *r = self;

	if (e->kind == COPSE_CLIENT_PROGRESS) {
		on_progress(r, e, now);
		return;
	}
	if (e->kind == COPSE_CLIENT_FAILED)
		r->error = e->error;
	else if (!answer_keep(r->answer, e->message, e->peer))
		r->error = NO_MEMORY;
	r->answer->took_ms = now - r->begun;
	r->answer->partial = e->partial;
	if (!r->error && !r->request->write && copse_code_is_success(e->message->code))
		r->answer->body.len = e->received;
	else
		r->answer->body.len = 0;
	net_stop(r->net);
}

/* Run one call to `address`. Returns 0, or a copse_err. */
static int run(struct running *r, const struct copse_address *address, copse_ms limit_ms)
{
	const struct net_listener listener = {.told = on_told, .self = r};
	struct exchange_bodies bodies = {.in = &r->answer->body};
	struct copse_peer peer;
	struct copse_call call;

	if (net_peer(r->net, address, &peer))
		return COPSE_ERR_TRANSPORT;
	exchange_call(&call, r->request, &peer, &bodies);
	if (r->request->write) {
		call.write = r->request->write;
		call.user = r->request->write_user;
	}
	r->error = 0;
	r->begun = copse_clock_ms();
	progress_begin(&r->progress, r->begun);
	int err = copse_client_start(r->net->client, &call, copse_loop_now(r->net->loop), &r->handle);
	if (err || r->request->flags & COPSE_CALL_SILENT) {
		net_deliver(r->net, limit_ms);
		return err;
	}
	net_run(r->net, &listener, limit_ms);
	progress_end(&r->progress);
	copse_client_abort(r->net->client, r->handle, copse_loop_now(r->net->loop));
	if (r->net->timed_out && !r->request->no_response)
		return COPSE_ERR_TIMEOUT;
	return r->error;
}

static const char *host_of(const struct target *target, int *len)
{
	const struct copse_uri *uri = target->proxied ? &target->via : &target->uri;

	*len = (int)uri->host.len;
	return uri->host.at;
}

int exchange_report(const struct target *target, int err)
{
	int len;
	const char *host = host_of(target, &len);
	enum exit_code code = report_code_of_error(err);

	if (err == COPSE_ERR_TRANSPORT && secure_failure(&target->secure) && !target->secure.keys)
		return report_error(code, "%.*s: no connection: %s", len, host,
				    secure_failure(&target->secure));
	if (err == COPSE_ERR_TRANSPORT && secure_failure(&target->secure))
		return report_error(EXIT_SECURITY, "%.*s: no secure connection: %s", len, host,
				    secure_failure(&target->secure));
	switch (err) {
	case NO_MEMORY: return report_error(EXIT_OTHER, "out of memory");
	case COPSE_ERR_ARGUMENT:
		return report_error(EXIT_OTHER,
				    "the options leave no room for a payload in one message of %u bytes",
				    COPSE_MESSAGE_LEN);
	case COPSE_ERR_TIMEOUT: return report_error(code, "%.*s: no answer came in time", len, host);
	case COPSE_ERR_TRANSPORT: return report_error(code, "%.*s cannot be reached", len, host);
	case COPSE_ERR_RESET: return report_error(code, "%.*s rejected the message with a Reset", len, host);
	default: return report_error(code, "%.*s: %s", len, host, copse_err_text(err));
	}
}

int exchange_do(struct net *net, const struct target *target, const struct request *request,
		struct answer *answer)
{
	struct running r = {.net = net, .request = request, .answer = answer};
	copse_ms limit = target->limit_ms;
	int err = COPSE_ERR_TRANSPORT;

	*answer = (struct answer){.datagram = NULL};
	if (request->no_response && limit == COPSE_NEVER)
		limit = SILENCE_MS;
	for (size_t i = 0; i < target->address_n && err == COPSE_ERR_TRANSPORT && !net->signal; i++)
		err = run(&r, &target->address[i], limit);
	if (net->signal)
		err = 0;
	if (!err)
		return 0;
	answer_free(answer);
	return exchange_report(target, err);
}

int exchange_once(const struct target *target, const struct request *request, struct answer *answer)
{
	struct net net;
	int code = net_open(&net, &target->net);

	if (code)
		return code;
	int done = exchange_do(&net, target, request, answer);
	code = net_close(&net, done);
	if (code && !done)
		answer_free(answer);
	return code;
}

void answer_free(struct answer *answer)
{
	copse_mem_free(answer->datagram);
	buffer_free(&answer->body);
	answer->datagram = NULL;
}
