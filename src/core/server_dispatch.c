/* A request on its way to a handler: a list of steps, each of which lets it pass or ends it with a code.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

/* A step's verdict beside 0, go on, and the code of an error. */
#define DONE 0xffu /* answered, or to be left unanswered */

typedef uint8_t step(struct copse_server *s, struct server_work *w);

static uint8_t find_resource(struct copse_server *s, struct server_work *w)
{
	const struct server_node *n = srv_tree_find(s, w->rq.message);
	if (!n) {
		s->counters.not_found++;
		return COPSE_CODE_NOT_FOUND;
	}
	w->rq.resource = w->ask.resource = n->resource;
	w->place = (uint32_t)(n - s->node) + 1;
	if (n->resource->flags & COPSE_RESOURCE_REPEATABLE)
		srv_repeatable(s, w);
	return 0;
}

static uint8_t admit_multicast(struct copse_server *s, struct server_work *w)
{
	if (!w->rq.multicast || (w->rq.resource->flags & COPSE_RESOURCE_MULTICAST))
		return 0;
	s->counters.suppressed++;
	copse_endpoint_ignore(s->ep, w->ask.exchange, s->now);
	return DONE;
}

static uint8_t find_method(struct copse_server *s, struct server_work *w)
{
	w->method = srv_method_of(w->rq.resource, w->rq.method);
	if (w->method)
		return 0;
	s->counters.not_allowed++;
	return COPSE_CODE_METHOD_NOT_ALLOWED;
}

static uint8_t read_blocks(struct copse_server *s, struct server_work *w)
{
	const struct copse_peer *from = &w->ask.peer;
	const int one = copse_block_read_from(from, w->rq.message, COPSE_OPTION_BLOCK1, &w->ask.block1);
	const int two = copse_block_read_from(from, w->rq.message, COPSE_OPTION_BLOCK2, &w->ask.block2);
	if (one < 0 || two < 0) /* RFC 7959 §2.2 */
		return COPSE_CODE_BAD_REQUEST;
	w->ask.has_block1 = one > 0;
	w->ask.has_block2 = two > 0;
	return srv_qblock_read(s, w);
}

static uint8_t check_accept(struct copse_server *s, struct server_work *w)
{
	const uint8_t code = srv_check_accept(w);
	s->counters.not_acceptable += code != 0;
	return code;
}

static uint8_t admit_sender(struct copse_server *s, struct server_work *w)
{
	return srv_echo_admit(s, w) ? 0 : DONE;
}

static uint8_t move_blocks(struct copse_server *s, struct server_work *w)
{
	return srv_block_request(s, w) ? DONE : 0;
}

uint8_t srv_check_first(struct copse_server *s, struct server_work *w)
{
	if (w->rq.body_len > srv_body_max(s, w->rq.resource, false)) {
		w->ask.body_max = srv_body_max(s, w->rq.resource, false);
		s->counters.too_large++;
		return COPSE_CODE_REQUEST_ENTITY_TOO_LARGE;
	}
	uint8_t code = srv_check_format(w);
	s->counters.unsupported_format += code != 0;
	if (code == 0) {
		code = srv_check_conditions(w);
		s->counters.precondition_failed += code != 0;
	}
	return code;
}

static uint8_t check_once(struct copse_server *s, struct server_work *w)
{
	return w->checked ? 0 : srv_check_first(s, w);
}

static uint8_t register_observer(struct copse_server *s, struct server_work *w)
{
	srv_observe_request(s, w);
	return 0;
}

static step *const steps[] = {find_resource, admit_multicast, find_method, read_blocks,      check_accept,
			      admit_sender,  move_blocks,     check_once,  register_observer};

static void read_request(struct copse_server *s, struct server_work *w, const struct copse_event *event)
{
	const struct copse_message *m = event->message;
	memset(w, 0, sizeof *w);
	w->rq.server = s;
	w->rq.message = m;
	w->rq.peer = event->peer;
	w->rq.exchange = w->ask.exchange = event->exchange;
	w->rq.now = s->now;
	w->rq.method = w->ask.method = m->code;
	w->rq.multicast = w->ask.multicast = (event->peer->flags & COPSE_PEER_MULTICAST) != 0;
	w->rq.format = copse_message_uint(m, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_NONE);
	w->rq.body = copse_message_payload(m);
	w->rq.body_len = m->payload_len;
	w->rq.body_size = copse_message_uint(m, COPSE_OPTION_SIZE1, COPSE_BODY_UNKNOWN);
	w->rq.transfer = &w->kept;
	w->ask.peer = *event->peer;
	w->ask.message = m;
	w->ask.con = m->type == COPSE_CON;
	w->ask.token_len = (uint8_t)m->token_len;
	w->ask.request_len = m->len;
	srv_read_no_response(&w->ask, m);
	srv_read_etags(&w->ask, m);
}

static void handle(struct copse_server *s, struct server_work *w)
{
	struct copse_response rs;
	srv_response_init(s, &rs);
	w->method(&w->rq, &rs);
	if (w->deferred) {
		srv_response_release(&rs);
		return;
	}
	if (w->refused && rs.code == 0 && !rs.bytes && !rs.read)
		copse_response_error(&rs, COPSE_CODE_SERVICE_UNAVAILABLE,
				     "too many requests wait for an answer");
	if (srv_handled(s, &w->ask, &rs) == COPSE_ERR_NOROOM)
		srv_answer_last(s, &w->ask, &rs);
}

void srv_dispatch(struct copse_server *s, const struct copse_event *event)
{
	struct server_work w;
	s->counters.requests++;
	read_request(s, &w, event);
	for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
		const uint8_t code = steps[i](s, &w);
		if (code == DONE)
			return;
		if (code != 0) {
			w.ask.has_block2 = false;
			srv_answer_code(s, &w.ask, code);
			return;
		}
	}
	handle(s, &w);
}

int srv_handled(struct copse_server *s, struct server_ask *ask, struct copse_response *rs)
{
	srv_block_handled(ask, rs);
	return srv_answer(s, ask, rs);
}
