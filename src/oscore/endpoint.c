/* OSCORE on an endpoint; see copse/oscore_endpoint.h.
 *
 * For each request there is a binding from when it came or left until its answer has left or come; an observation's stays.
 * It is found by the exchange's handle, that of an observer by (peer, token), which notifications are sent under, and while
 * a confirmable one is under way by that one's handle as well. The states are drawn in doc/states/oscore.md.
 *
 * An observer without a binding is never told anything but an empty error: nothing leaves in the clear by mistake.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/oscore_endpoint.h>

#include <copse/block.h>

#include "core/carve.h"
#include "core/list.h"
#include "core/siphash.h"
#include "core/table.h"

#include <string.h>

enum bound_state {
	BOUND_FREE,
	BOUND_ASKED,   /* a request of ours */
	BOUND_REQUEST, /* one that came, not answered */
	BOUND_OBSERVER
};

struct bound {
	uint8_t state;
	uint8_t token_len;
	bool has_handle, has_token;           /* in the table */
	bool deregisters;                     /* REQUEST: with Observe 1 */
	bool many;                            /* ASKED: more than one response may come */
	struct core_node node;                /* in `free`, `asked` or, longest not told first, `observers` */
	struct copse_oscore_context *context; /* NULL: plain */
	copse_handle exchange;
	struct copse_oscore_binding binding;
	struct copse_peer peer;
	uint8_t token[COPSE_TOKEN_MAX];
};

struct copse_oscore {
	struct copse_endpoint *ep;
	struct copse_oscore_config config;
	struct copse_oscore_context **context, *ask;
	uint16_t context_n;
	struct bound *bound;
	struct core_node free, busy, observers;
	struct core_table table;
	uint8_t *plain, *sealed; /* of what leaves; message_len each */
	uint8_t *opened;         /* what has come: the application's until the next event */
	size_t opened_cap;
	struct copse_message message;
	struct copse_peer peer; /* of what was opened last */
	struct copse_oscore_counters counters;
};

/* ---- bindings ---- */

static uint32_t handle_hash(copse_handle handle)
{
	return (uint32_t)(handle ^ handle >> 32) * 0x9e3779b1u;
}

static uint32_t token_hash(const struct copse_oscore *o, const struct copse_peer *peer, const void *token,
			   size_t len)
{
	const uint64_t a = core_siphash(o->config.seed, peer->key, peer->len, 1, 3);
	return (uint32_t)(a + core_siphash(o->config.seed, token, len, 1, 3));
}

/* What the table has of a binding: two different values, for they may be neighbours there. */
enum key { BY_HANDLE, BY_TOKEN };

static uint32_t value_of(const struct copse_oscore *o, const struct bound *b, enum key key)
{
	return (uint32_t)(b - o->bound + 1) << 1 | key;
}

static struct bound *bound_of(const struct copse_oscore *o, uint32_t value)
{
	return &o->bound[(value >> 1) - 1];
}

static struct bound *of_handle(const struct copse_oscore *o, copse_handle handle)
{
	const uint32_t hash = handle_hash(handle);
	uint32_t pos = hash & o->table.mask, n;
	while ((n = core_table_next(&o->table, hash, &pos)) != 0) {
		struct bound *b = bound_of(o, n);
		if ((n & 1) == BY_HANDLE && b->exchange == handle)
			return b;
	}
	return NULL;
}

static struct bound *of_token(const struct copse_oscore *o, const struct copse_peer *peer, const void *token,
			      size_t len)
{
	const uint32_t hash = token_hash(o, peer, token, len);
	uint32_t pos = hash & o->table.mask, n;
	while ((n = core_table_next(&o->table, hash, &pos)) != 0) {
		struct bound *b = bound_of(o, n);
		if ((n & 1) == BY_TOKEN && b->token_len == len && memcmp(b->token, token, len) == 0 &&
		    copse_peer_equal(&b->peer, peer))
			return b;
	}
	return NULL;
}

static void drop_handle(struct copse_oscore *o, struct bound *b)
{
	if (b->has_handle)
		core_table_remove(&o->table, handle_hash(b->exchange), value_of(o, b, BY_HANDLE));
	b->has_handle = false;
}

static void set_handle(struct copse_oscore *o, struct bound *b, copse_handle handle)
{
	drop_handle(o, b);
	b->exchange = handle;
	b->has_handle = true;
	core_table_insert(&o->table, handle_hash(handle), value_of(o, b, BY_HANDLE));
}

static void let_go(struct copse_oscore *o, struct bound *b)
{
	drop_handle(o, b);
	if (b->has_token)
		core_table_remove(&o->table, token_hash(o, &b->peer, b->token, b->token_len),
				  value_of(o, b, BY_TOKEN));
	b->has_token = false;
	b->state = BOUND_FREE;
	core_node_remove(&b->node);
	core_node_insert(&o->free, &b->node);
}

/* Requests that the application has left unanswered, which the endpoint does not remember any more. */
static void sweep(struct copse_oscore *o)
{
	for (struct core_node *n = o->busy.next, *next; n != &o->busy; n = next) {
		struct bound *b = CORE_OF(n, struct bound, node);
		next = n->next;
		if (b->state == BOUND_REQUEST &&
		    copse_endpoint_exchange_info(o->ep, b->exchange, NULL, NULL, NULL, NULL) != 0)
			let_go(o, b);
	}
}

static struct bound *acquire(struct copse_oscore *o, enum bound_state state,
			     struct copse_oscore_context *context)
{
	if (core_node_alone(&o->free))
		sweep(o);
	if (core_node_alone(&o->free) && !core_node_alone(&o->observers)) {
		o->counters.forgotten++;
		let_go(o, CORE_OF(o->observers.next, struct bound, node));
	}
	if (core_node_alone(&o->free)) {
		o->counters.full++;
		return NULL;
	}
	struct bound *b = CORE_OF(o->free.next, struct bound, node);
	core_node_remove(&b->node);
	core_node_insert(&o->busy, &b->node);
	b->state = (uint8_t)state;
	b->context = context;
	b->many = b->deregisters = false;
	memset(&b->binding, 0, sizeof b->binding);
	return b;
}

/* ---- sending ---- */

/* The message of `out` as a whole one, under no token: what can be protected. */
static int whole(const struct copse_oscore *o, const struct copse_out *out, struct copse_message *m)
{
	if (out->rest_len + COPSE_HEADER_LEN + COPSE_OSCORE_OVERHEAD > o->config.message_len)
		return COPSE_ERR_NOROOM;
	o->plain[0] = COPSE_VERSION << 6;
	o->plain[1] = out->code;
	o->plain[2] = o->plain[3] = 0;
	if (out->rest_len > 0)
		memcpy(o->plain + COPSE_HEADER_LEN, out->rest, out->rest_len);
	return copse_message_parse(m, o->plain, COPSE_HEADER_LEN + out->rest_len);
}

/* `*sealed` is `out`, protected. */
static int seal(struct copse_oscore *o, struct copse_oscore_context *context, const struct copse_out *out,
		unsigned how, struct copse_oscore_binding *binding, struct copse_out *sealed)
{
	struct copse_message m;
	*sealed = *out;
	int n = whole(o, out, &m);
	if (n == 0)
		n = copse_oscore_protect(context, &m, how, binding, o->sealed, o->config.message_len,
					 &sealed->code);
	if (n < 0) /* too long, or used up: waiting would not help */
		return n == COPSE_ERR_NOROOM ? COPSE_ERR_ARGUMENT : n;
	sealed->rest = o->sealed;
	sealed->rest_len = (size_t)n;
	o->counters.sealed++;
	return 0;
}

static const struct copse_shield shield;

static struct copse_endpoint *bare(struct copse_oscore *o)
{
	copse_endpoint_shield(o->ep, NULL, NULL);
	return o->ep;
}

static int dressed(struct copse_oscore *o, int result)
{
	copse_endpoint_shield(o->ep, &shield, o);
	return result;
}

static int on_request(void *self, struct copse_endpoint *ep, const struct copse_peer *peer,
		      const struct copse_out *out, unsigned flags, void *user, copse_ms now,
		      copse_handle *exchange)
{
	struct copse_oscore *o = self;
	struct copse_out sealed;
	(void)ep;
	if (!o->ask)
		return dressed(o, copse_endpoint_request(bare(o), peer, out, flags, user, now, exchange));
	struct bound *b = acquire(o, BOUND_ASKED, o->ask);
	if (!b)
		return COPSE_ERR_NOROOM;
	int err = seal(o, o->ask, out, COPSE_OSCORE_REQUEST, &b->binding, &sealed);
	if (!err)
		err = dressed(o, copse_endpoint_request(bare(o), peer, &sealed, flags, user, now, exchange));
	b->many = flags & COPSE_REQUEST_MANY;
	if (err)
		let_go(o, b);
	else
		set_handle(o, b, *exchange);
	return err;
}

static int on_request_again(void *self, struct copse_endpoint *ep, copse_handle exchange,
			    const struct copse_out *out, copse_ms now)
{
	struct copse_oscore *o = self;
	struct bound *b = of_handle(o, exchange);
	struct copse_oscore_binding binding;
	struct copse_out sealed = *out;
	(void)ep;
	int err = b ? seal(o, b->context, out, COPSE_OSCORE_REQUEST, &binding, &sealed) : 0;
	if (!err)
		err = dressed(o, copse_endpoint_request_again(bare(o), exchange, &sealed, now));
	if (!err && b) { /* what comes from now on is bound to it, and is newer than all before */
		binding.has_number = b->binding.has_number && binding.observe;
		binding.number = b->binding.number;
		b->binding = binding;
	}
	return err;
}

/* Whether messages under the request's token follow `m`, its answer: notifications, or further blocks of a body that is
 * not asked for block by block (RFC 9177 §4.4). */
static bool goes_on(const struct bound *b, const struct copse_message *m)
{
	struct copse_block block;
	return (b->binding.observe && copse_message_option(m, COPSE_OPTION_OBSERVE)) ||
	       (copse_block_read(m, COPSE_OPTION_Q_BLOCK2, &block) > 0 && block.more);
}

/* The request is answered by `out`: it is over, or is kept for what follows, as an observation is: until there is another
 * one under its token, or no room. */
static void answered(struct copse_oscore *o, struct bound *b, const struct copse_out *out)
{
	struct copse_message m;
	struct bound *old = of_token(o, &b->peer, b->token, b->token_len);
	bool more = copse_code_is_success(out->code) && whole(o, out, &m) == 0 && goes_on(b, &m);
	if (old && old->binding.observe && !b->binding.observe && !b->deregisters)
		more = false; /* an observation has the token */
	if (old && (more || b->deregisters || b->binding.observe))
		let_go(o, old);
	if (!more) {
		let_go(o, b);
		return;
	}
	drop_handle(o, b);
	b->state = BOUND_OBSERVER;
	b->has_token = true;
	core_table_insert(&o->table, token_hash(o, &b->peer, b->token, b->token_len),
			  value_of(o, b, BY_TOKEN));
	core_node_remove(&b->node);
	core_node_insert(&o->observers, &b->node);
}

static int on_respond(void *self, struct copse_endpoint *ep, copse_handle exchange,
		      const struct copse_out *out, copse_ms now)
{
	struct copse_oscore *o = self;
	struct bound *b = of_handle(o, exchange);
	struct copse_out sealed = *out;
	int err = 0;
	(void)ep;
	if (b && b->context)
		err = seal(o, b->context, out, COPSE_OSCORE_RESPONSE, &b->binding, &sealed);
	if (err) { /* an answer that cannot be protected says so, and no more */
		sealed = (struct copse_out){.code = COPSE_CODE_INTERNAL_SERVER_ERROR, .con = out->con};
		err = 0;
	}
	err = dressed(o, copse_endpoint_respond(bare(o), exchange, &sealed, now));
	if (b && err == 0)
		answered(o, b, out);
	else if (b && err == COPSE_ERR_GONE)
		let_go(o, b);
	return err;
}

/* A request that nobody waits for an answer of. */
static int tell(struct copse_oscore *o, const struct copse_peer *peer, const void *token, size_t token_len,
		const struct copse_out *out, copse_ms now, copse_handle *exchange, uint16_t *id)
{
	struct copse_oscore_binding binding;
	struct copse_out sealed = *out;
	const int err = o->ask ? seal(o, o->ask, out, COPSE_OSCORE_REQUEST, &binding, &sealed) : 0;
	return err ? err
		   : dressed(o, copse_endpoint_notify(bare(o), peer, token, token_len, &sealed, NULL, now,
						      exchange, id));
}

static int on_notify(void *self, struct copse_endpoint *ep, const struct copse_peer *peer, const void *token,
		     size_t token_len, const struct copse_out *out, void *user, copse_ms now,
		     copse_handle *exchange, uint16_t *id)
{
	struct copse_oscore *o = self;
	struct copse_out sealed = *out;
	struct bound *b = of_token(o, peer, token, token_len);
	int err = 0;
	(void)ep;
	if (copse_code_is_request(out->code))
		return tell(o, peer, token, token_len, out, now, exchange, id);
	if (b && b->context)
		err = seal(o, b->context, out, COPSE_OSCORE_RESPONSE | COPSE_OSCORE_FRESH, &b->binding,
			   &sealed);
	if (!b || err)
		sealed = (struct copse_out){
		    .code = COPSE_CODE_UNAUTHORIZED, .con = out->con, .priority = out->priority};
	copse_handle handle = COPSE_NO_HANDLE;
	err = dressed(
	    o, copse_endpoint_notify(bare(o), peer, token, token_len, &sealed, user, now, &handle, id));
	if (exchange)
		*exchange = handle;
	if (err || !b)
		return err;
	struct copse_message m;
	const bool last_block = !b->binding.observe && (whole(o, out, &m) != 0 || !goes_on(b, &m));
	if (!copse_code_is_success(out->code) || last_block) { /* RFC 7641 §4.2: the last one */
		let_go(o, b);
		return 0;
	}
	core_node_remove(&b->node);
	core_node_insert(&o->observers, &b->node);
	if (handle != COPSE_NO_HANDLE)
		set_handle(o, b, handle);
	return 0;
}

static int on_replace(void *self, struct copse_endpoint *ep, copse_handle exchange,
		      const struct copse_out *out, copse_ms now)
{
	struct copse_oscore *o = self;
	struct bound *b = of_handle(o, exchange);
	struct copse_out sealed = *out;
	(void)ep;
	int err = b && b->context ? seal(o, b->context, out, COPSE_OSCORE_RESPONSE | COPSE_OSCORE_FRESH,
					 &b->binding, &sealed)
				  : 0;
	if (!b || err)
		sealed = (struct copse_out){.code = COPSE_CODE_UNAUTHORIZED, .con = true};
	err = dressed(o, copse_endpoint_replace(bare(o), exchange, &sealed, now));
	if (b && err == 0 && !copse_code_is_success(out->code))
		let_go(o, b);
	return err;
}

static void on_cancel(void *self, struct copse_endpoint *ep, copse_handle exchange, copse_ms now)
{
	struct copse_oscore *o = self;
	struct bound *b = of_handle(o, exchange);
	(void)ep;
	if (b && b->state == BOUND_ASKED)
		let_go(o, b);
	else if (b)
		drop_handle(o, b);
	copse_endpoint_cancel(bare(o), exchange, now);
	dressed(o, 0);
}

/* ---- requests that come ---- */

static bool context_is(const struct copse_oscore_context *c, const struct copse_oscore_option *option)
{
	if (option->kid_len != c->recipient_id_len ||
	    (option->kid_len > 0 && memcmp(option->kid, c->recipient_id, option->kid_len) != 0))
		return false;
	if (!option->has_kid_context)
		return true;
	return c->has_id_context && option->kid_context_len == c->id_context_len &&
	       (option->kid_context_len == 0 ||
		memcmp(option->kid_context, c->id_context, option->kid_context_len) == 0);
}

static struct copse_oscore_context *context_for(const struct copse_oscore *o, const struct copse_message *m)
{
	const struct copse_option *value = copse_message_option(m, COPSE_OPTION_OSCORE);
	struct copse_oscore_option option;
	if (copse_oscore_option_parse(&option, copse_option_value(m, value), value->len) != 0)
		return NULL;
	for (unsigned i = 0; i < o->context_n; i++) {
		if (context_is(o->context[i], &option))
			return o->context[i];
	}
	return NULL;
}

/* §8.2: errors are told in the clear, and are not to be kept by anybody. */
static void refuse(struct copse_oscore *o, const struct copse_event *e, uint8_t code, const char *text,
		   copse_ms now)
{
	uint8_t rest[64];
	struct copse_builder b;
	o->counters.refused++;
	copse_build_rest(&b, rest, sizeof rest);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, 0);
	copse_build_payload(&b, text, strlen(text));
	const struct copse_out out = {.code = code, .rest = rest, .rest_len = (size_t)copse_build_finish(&b)};
	(void)dressed(o, copse_endpoint_respond(bare(o), e->exchange, &out, now));
}

static const char *sentence(int err)
{
	switch (err) { /* the diagnostics that §8.2 gives */
	case COPSE_ERR_BADOPTION: return "Failed to decode COSE";
	case COPSE_ERR_CONTEXT: return "Security context not found";
	case COPSE_ERR_REPLAY: return "Replay detected";
	default: return "Decryption failed";
	}
}

/* Appendix B.1.2: genuine, but it may be an old one. */
static void challenge(struct copse_oscore *o, struct bound *b, copse_ms now)
{
	uint8_t rest[16];
	struct copse_builder builder;
	const uint8_t *echo = copse_oscore_echo(b->context);
	copse_build_rest(&builder, rest, sizeof rest);
	if (echo)
		copse_build_option(&builder, COPSE_OPTION_ECHO, echo, COPSE_OSCORE_ECHO_LEN);
	const struct copse_out out = {
	    .code = COPSE_CODE_UNAUTHORIZED, .rest = rest, .rest_len = (size_t)copse_build_finish(&builder)};
	o->counters.challenged++;
	(void)on_respond(o, o->ep, b->exchange, &out, now);
}

static void remember(struct copse_oscore *o, struct bound *b, const struct copse_event *e)
{
	b->peer = *e->peer;
	b->token_len = e->message->token_len <= COPSE_TOKEN_MAX ? (uint8_t)e->message->token_len : 0;
	memcpy(b->token, copse_message_token(e->message), b->token_len);
	set_handle(o, b, e->exchange);
}

/* BERT (RFC 8323 §6) leaves no room for what protects a message: inside, blocks are of 1024 bytes at most. */
static void narrow(struct copse_oscore *o, struct copse_event *e)
{
	if (!e->peer || copse_peer_units(e->peer) < 2)
		return;
	o->peer = *e->peer;
	o->peer.flags =
	    (uint8_t)((o->peer.flags & ((1u << COPSE_PEER_UNITS_SHIFT) - 1)) | 1u << COPSE_PEER_UNITS_SHIFT);
	e->peer = &o->peer;
}

/* What `e` tells is what was sealed in its message. */
static void show_opened(struct copse_oscore *o, struct copse_event *e)
{
	o->counters.opened++;
	e->message = &o->message;
	narrow(o, e);
}

/* A request in the clear. */
static bool plain_request(struct copse_oscore *o, struct copse_event *e, copse_ms now)
{
	if (o->config.required) {
		refuse(o, e, COPSE_CODE_UNAUTHORIZED, "OSCORE is required", now);
		return false;
	}
	const uint32_t observe = copse_message_uint(e->message, COPSE_OPTION_OBSERVE, UINT32_MAX);
	const bool more = observe <= 1 || copse_message_option(e->message, COPSE_OPTION_Q_BLOCK2);
	struct bound *b = more ? acquire(o, BOUND_REQUEST, NULL) : NULL;
	if (b) {
		b->binding.observe = observe == 0;
		b->deregisters = observe == 1;
		remember(o, b, e);
	}
	return true;
}

static bool protected_request(struct copse_oscore *o, struct copse_event *e, struct bound *b, copse_ms now)
{
	remember(o, b, e);
	int n = copse_oscore_unprotect_request(b->context, e->message, &b->binding, o->opened, o->opened_cap);
	if (n == COPSE_ERR_STALE) {
		challenge(o, b, now);
		return false;
	}
	if (n > 0 && copse_message_parse_extended(&o->message, o->opened, (size_t)n, COPSE_TOKEN_LONG) != 0)
		n = COPSE_ERR_SEALED;
	if (n < 0) {
		o->counters.replayed += n == COPSE_ERR_REPLAY;
		let_go(o, b);
		const uint8_t code = copse_err_code(n);
		refuse(o, e, code ? code : COPSE_CODE_BAD_REQUEST, sentence(n), now);
		return false;
	}
	show_opened(o, e);
	b->deregisters = copse_message_uint(&o->message, COPSE_OPTION_OBSERVE, 0) == 1;
	if (copse_endpoint_lacks(o->ep, &o->message)) { /* RFC 7252 §5.4.1, inside */
		const struct copse_out out = {.code = COPSE_CODE_BAD_OPTION};
		(void)on_respond(o, o->ep, e->exchange, &out, now);
		return false;
	}
	return true;
}

static bool request_came(struct copse_oscore *o, struct copse_event *e, copse_ms now)
{
	if (!copse_message_option(e->message, COPSE_OPTION_OSCORE))
		return plain_request(o, e, now);
	if (e->peer->flags & COPSE_PEER_MULTICAST) { /* that would be Group OSCORE */
		copse_endpoint_ignore(o->ep, e->exchange, now);
		return false;
	}
	struct copse_oscore_context *context = context_for(o, e->message);
	if (!context) {
		const struct copse_option *v = copse_message_option(e->message, COPSE_OPTION_OSCORE);
		struct copse_oscore_option option;
		const bool known =
		    copse_oscore_option_parse(&option, copse_option_value(e->message, v), v->len) == 0 &&
		    option.has_kid && option.piv_len > 0 && e->message->payload_len > 0;
		const int err = known ? COPSE_ERR_CONTEXT : COPSE_ERR_BADOPTION;
		refuse(o, e, copse_err_code(err), sentence(err), now);
		return false;
	}
	struct bound *b = acquire(o, BOUND_REQUEST, context);
	if (!b) {
		refuse(o, e, COPSE_CODE_SERVICE_UNAVAILABLE, "no room", now);
		return false;
	}
	return protected_request(o, e, b, now);
}

/* ---- responses ---- */

/* What came is no answer. An observation goes on; a request is over, and has failed. */
static bool dropped(struct copse_oscore *o, struct copse_event *e, struct bound *b, int err)
{
	o->counters.dropped++;
	o->counters.replayed += err == COPSE_ERR_REPLAY;
	if (b->many)
		return false;
	let_go(o, b);
	e->kind = COPSE_EVENT_FAILED;
	e->error = err;
	e->message = NULL;
	return true;
}

static bool response_came(struct copse_oscore *o, struct copse_event *e)
{
	struct bound *b = of_handle(o, e->exchange);
	if (!b || b->state != BOUND_ASKED)
		return true;
	if (!copse_message_option(e->message, COPSE_OPTION_OSCORE)) {
		/* §8.4: an error of a proxy, or of a server that could not read the request */
		if (copse_code_is_success(e->message->code))
			return dropped(o, e, b, COPSE_ERR_SEALED);
		if (!b->many)
			let_go(o, b);
		return true;
	}
	int n =
	    copse_oscore_unprotect_response(b->context, e->message, &b->binding, o->opened, o->opened_cap);
	if (n > 0 && copse_message_parse(&o->message, o->opened, (size_t)n) != 0)
		n = COPSE_ERR_SEALED;
	if (n > 0 && copse_endpoint_lacks(o->ep, &o->message))
		n = COPSE_ERR_BADOPTION;
	if (n < 0)
		return dropped(o, e, b, n);
	show_opened(o, e);
	if (!b->many)
		let_go(o, b);
	return true;
}

static bool on_event(void *self, struct copse_endpoint *ep, struct copse_event *e, copse_ms now)
{
	struct copse_oscore *o = self;
	(void)ep;
	if (e->kind == COPSE_EVENT_REQUEST)
		return request_came(o, e, now);
	if (o->ask) /* what is asked is protected */
		narrow(o, e);
	if (e->kind == COPSE_EVENT_RESPONSE)
		return response_came(o, e);
	struct bound *b = e->exchange != COPSE_NO_HANDLE ? of_handle(o, e->exchange) : NULL;
	if (b && (b->state == BOUND_ASKED || e->kind == COPSE_EVENT_FAILED))
		let_go(o, b);
	else if (b)
		drop_handle(o, b);
	return true;
}

static const struct copse_shield shield = {on_event,  on_request, on_request_again, on_respond,
					   on_notify, on_replace, on_cancel};

/* ---- making ---- */

static void lay_out(struct copse_oscore *o, const struct copse_oscore_config *c, struct core_carver *cut)
{
	struct copse_oscore parts;
	struct copse_oscore *to = o ? o : &parts;
	(void)core_carve(cut, 1, sizeof *o);
	to->context = core_carve(cut, c->context_cap, sizeof *to->context);
	to->bound = core_carve(cut, c->binding_cap, sizeof *to->bound);
	to->table.slot = core_carve(cut, core_table_slots(2 * c->binding_cap), sizeof *to->table.slot);
	to->opened_cap = COPSE_OSCORE_ROOM((size_t)c->message_len);
	to->opened = core_carve(cut, to->opened_cap, 1);
	to->plain = core_carve(cut, c->message_len, 1);
	to->sealed = core_carve(cut, c->message_len, 1);
}

size_t copse_oscore_bytes(const struct copse_oscore_config *config)
{
	struct core_carver cut = {NULL, 0};
	lay_out(NULL, config, &cut);
	return cut.used;
}

struct copse_oscore *copse_oscore_attach(void *memory, size_t len, const struct copse_oscore_config *config,
					 struct copse_endpoint *ep)
{
	static const uint16_t understood[] = {COPSE_OPTION_OSCORE};
	struct copse_oscore *o = memory;
	struct core_carver cut = {memory, 0};
	COPSE_ASSERT(config->context_cap > 0 && config->binding_cap > 0 && config->message_len >= 256);
	COPSE_ASSERT(len >= copse_oscore_bytes(config) && ((uintptr_t)memory & 7) == 0);
	memset(memory, 0, copse_oscore_bytes(config));
	o->config = *config;
	o->ep = ep;
	lay_out(o, config, &cut);
	core_table_init(&o->table, o->table.slot, core_table_slots(2 * config->binding_cap));
	core_node_init(&o->free);
	core_node_init(&o->busy);
	core_node_init(&o->observers);
	for (uint32_t i = 0; i < config->binding_cap; i++)
		core_node_insert(&o->free, &o->bound[i].node);
	copse_endpoint_understands(ep, understood, 1);
	copse_endpoint_shield(ep, &shield, o);
	return o;
}

int copse_oscore_add(struct copse_oscore *oscore, struct copse_oscore_context *context)
{
	if (oscore->context_n == oscore->config.context_cap)
		return COPSE_ERR_NOROOM;
	oscore->context[oscore->context_n++] = context;
	return 0;
}

void copse_oscore_ask(struct copse_oscore *oscore, struct copse_oscore_context *context)
{
	oscore->ask = context;
}

const struct copse_oscore_context *copse_oscore_of(const struct copse_oscore *oscore, copse_handle exchange)
{
	const struct bound *b = of_handle(oscore, exchange);
	return b && b->state == BOUND_REQUEST ? b->context : NULL;
}

const struct copse_oscore_counters *copse_oscore_counters(const struct copse_oscore *oscore)
{
	return &oscore->counters;
}
