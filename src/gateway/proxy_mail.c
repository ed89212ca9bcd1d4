/* See proxy_mail.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_mail.h"

#include "access.h"
#include "worker_cross.h"

#include "store/identity.h"

#include <copse/address.h>
#include <copse/block.h>
#include <copse/host.h>

#include <stddef.h>
#include <string.h>

#define SOON_MAX                                                                                             \
	60 /* seconds: not later than this a client may try again, a device may be heard at any time */

bool gw_mail_new(struct gw_worker *w)
{
	const struct gw_mail_config *config = &w->config->mailbox;
	const struct gw_mail_bounds bounds = {.mails = config->requests,
					      .of_device = config->of_device,
					      .of_account = config->of_account,
					      .message_len = w->out_cap};
	uint64_t key[2];

	w->mail_touch = COPSE_NEVER;
	if (config->requests == 0)
		return true;
	copse_host_random(key, sizeof(key));
	w->mailbox = gw_mailbox_new(&bounds, key);
	return w->mailbox && gw_mail_serve(w) == 0;
}

void gw_mail_free(struct gw_worker *w)
{
	gw_mailbox_free(w->mailbox);
	w->mailbox = NULL;
}

/* --- in --- */

/* A part of a body stands for what came before it, or goes on with what the device has just answered: those go to the
 * device at once, as do observations. */
static bool is_whole(const struct copse_message *m)
{
	struct copse_block b1 = {0}, b2 = {0};

	return copse_block_read(m, COPSE_OPTION_BLOCK1, &b1) >= 0 && !b1.num && !b1.more &&
	       copse_block_read(m, COPSE_OPTION_BLOCK2, &b2) >= 0 && !b2.num;
}

bool gw_mail_may_wait(const struct gw_pass *p)
{
	return p->w->mailbox && is_whole(p->m) && !copse_message_option(p->m, COPSE_OPTION_OBSERVE) &&
	       p->m->token_len <= COPSE_TOKEN_MAX;
}

bool gw_mail_takes(const struct gw_pass *p)
{
	return p->m->code != COPSE_CODE_GET && gw_mail_may_wait(p);
}

static void wish_of(struct gw_pass *p, struct gw_mail_wish *wish)
{
	struct gw_worker *w = p->w;
	const copse_ms end = p->now + w->config->mailbox.limit_ms;
	size_t token_len = sizeof(wish->token);

	*wish = (struct gw_mail_wish){.since = p->now,
				      .ends = end < p->session->ends ? end : p->session->ends,
				      .session = gw_sessions_number(w->sessions, p->session),
				      .generation = p->session->generation,
				      .method = p->m->code,
				      .no_response = p->no_response,
				      .con = p->m->type == COPSE_CON,
				      .to = p->to,
				      .len = p->message_len};
	copse_endpoint_exchange_info(w->ep, p->client, &wish->client, wish->token, &token_len, NULL);
	wish->token_len = (uint8_t)token_len;
	memcpy(wish->account, p->session->account, sizeof(wish->account));
}

static void device_of(const struct gw_pass *p, struct gw_mail_device *d)
{
	*d = (struct gw_mail_device){.peer = p->device,
				     .secure_port = copse_address_port(&p->target.secure),
				     .lane = p->target.class->lane,
				     .rate = p->target.class->rate};
	memcpy(d->name, p->target.name, sizeof(d->name));
	memcpy(d->alias, p->target.alias, sizeof(d->alias));
}

static enum gw_step refuse_full(struct gw_pass *p, enum gw_mail_result why, copse_ms until)
{
	static const char *const text[] = {
	    [GW_MAIL_FULL] = "the device sleeps, and the mailbox is full",
	    [GW_MAIL_DEVICE_FULL] = "the device sleeps, and its mailbox is full",
	    [GW_MAIL_ACCOUNT_FULL] =
		"the device sleeps, and the account has as many requests in the mailbox as it may",
	};
	const copse_ms left = until > p->now ? (until - p->now + 999) / 1000 : 1;

	p->max_age = left < SOON_MAX ? (uint32_t)left : SOON_MAX;
	return gw_proxy_refuse(p, &p->w->counters.refused_mail, COPSE_CODE_SERVICE_UNAVAILABLE, text[why]);
}

enum gw_step gw_mail_keep(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	struct gw_mail_device device;
	struct gw_mail_wish wish;
	struct gw_mail *mail;
	copse_ms until;

	device_of(p, &device);
	wish_of(p, &wish);
	enum gw_mail_result result = gw_mailbox_put(w->mailbox, &device, &wish, w->out, &mail, &until);
	if (result != GW_MAIL_KEPT)
		return refuse_full(p, result, until);
	w->counters.mail_kept++;
	if (w->mail_touch == COPSE_NEVER)
		w->mail_touch = p->now + w->config->session_idle_ms / 2;
	copse_endpoint_ignore(w->ep, p->client,
			      p->now); /* acknowledged: the answer is a message of its own */
	return GW_STEP_FREE;
}

/* --- what the client is told --- */

static void say(struct gw_worker *w, const struct gw_mail *mail, const struct copse_out *out, copse_ms now)
{
	const struct gw_mail_wish *to = &mail->wish;
	const struct copse_out answer = {
	    .code = out->code, .con = to->con, .rest = out->rest, .rest_len = out->rest_len};
	copse_handle exchange;

	if (to->no_response & 1u << (copse_code_class(out->code) - 1)) /* RFC 7967 §2.1 */
		w->counters.answers_unwanted++;
	else if (copse_endpoint_notify(w->ep, &to->client, to->token, to->token_len, &answer, w->mailbox, now,
				       &exchange, NULL) != 0)
		w->counters.answers_lost++;
}

static void end(struct gw_worker *w, struct gw_mail *mail)
{
	gw_mail_end(w->mailbox, mail);
	if (gw_mailbox_count(w->mailbox) == 0)
		w->mail_touch = COPSE_NEVER;
}

void gw_mail_refuse(struct gw_worker *w, struct gw_mail *mail, uint8_t code, const char *text, copse_ms now)
{
	struct copse_builder b;

	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_payload(&b, text, strlen(text));
	int n = copse_build_finish(&b);
	const struct copse_out out = {.code = code, .rest = w->out, .rest_len = n > 0 ? (size_t)n : 0};
	say(w, mail, &out, now);
	end(w, mail);
}

bool gw_mail_event(struct gw_worker *w, const struct copse_event *event)
{
	if (!w->mailbox || event->user != w->mailbox)
		return false;
	if (event->kind == COPSE_EVENT_ACKED)
		w->counters.answers_delivered++;
	else
		w->counters.answers_undelivered++;
	return true;
}

/* Methods that may be run twice (RFC 7252 §5.1, RFC 8132 §2.1, §3.1). */
static bool may_repeat(uint8_t method)
{
	return method != COPSE_CODE_POST && method != COPSE_CODE_PATCH;
}

/* Whether the device has not taken it, or does no harm by taking it again: then it waits for another time. */
static bool goes_back(const struct gw_pass *p)
{
	if (!p->event) /* it has not been sent: the lane was busy, or the rate was reached */
		return true;
	if (p->event->kind != COPSE_EVENT_FAILED)
		return false;
	switch (p->event->error) {
	case COPSE_ERR_TIMEOUT: return may_repeat(p->r->method);
	case COPSE_ERR_TRANSPORT: return may_repeat(p->r->method) || p->event->sent <= 1;
	default: return false;
	}
}

/* What the device was told is done: what it has said before is how things were. */
static void outdate(struct gw_worker *w, const struct gw_mail *mail, uint8_t code)
{
	const struct gw_mail_device *d = gw_mail_device_of(w->mailbox, mail);
	struct copse_message m;

	if (copse_code_is_success(code) && copse_message_parse(&m, mail->message, mail->wish.len) == 0)
		gw_proxy_outdate(w, &m, d->name, d->alias);
}

void gw_mail_told(struct gw_pass *p, const struct copse_out *out)
{
	struct gw_worker *w = p->w;
	struct gw_mail *mail = gw_mail_of(w->mailbox, p->r->mail);

	p->r->mail = 0;
	if (goes_back(p)) {
		w->counters.mail_back++;
		gw_mail_back(w->mailbox, mail);
		return;
	}
	if (p->event->kind == COPSE_EVENT_RESPONSE)
		w->counters.mail_answered++;
	else
		w->counters.mail_failed++;
	if (p->event->kind == COPSE_EVENT_RESPONSE)
		outdate(w, mail, out->code);
	say(w, mail, out, p->now);
	end(w, mail);
}

/* --- out --- */

bool gw_mail_is_allowed(const struct gw_worker *w, const struct gw_session *s, const struct gw_mail *mail)
{
	const struct gw_mail_device *d = gw_mail_device_of(w->mailbox, mail);
	struct copse_message m;
	struct gw_target target;

	gw_resolve_peer(w->config, &d->peer, &target);
	return !target.denied && copse_message_parse(&m, mail->message, mail->wish.len) == 0 &&
	       !gw_access_denies(w->config, s->account, &m, d->name, d->alias) &&
	       gw_grant_allows(gw_grants_at(w->grants, s->grant), &m, d->name, d->alias);
}

/* What the session may now, not what it might when it asked. Its message is in w->out then. */
static bool may_still(struct gw_worker *w, struct gw_mail *mail, copse_ms now)
{
	const struct gw_session *s = gw_sessions_at(w->sessions, mail->wish.session, mail->wish.generation);

	if (!s || strcmp(s->account, mail->wish.account) != 0) {
		w->counters.mail_homeless++;
		gw_mail_refuse(w, mail, COPSE_CODE_UNAUTHORIZED,
			       "the session ended before the device was heard", now);
		return false;
	}
	memcpy(w->out, mail->message, mail->wish.len);
	COPSE_ASSERT(copse_message_parse(&w->upstream, w->out, mail->wish.len) == 0); /* it was built here */
	if (gw_mail_is_allowed(w, s, mail))
		return true;
	w->counters.mail_denied++;
	gw_mail_refuse(w, mail, COPSE_CODE_FORBIDDEN, "this request is no longer allowed", now);
	return false;
}

/* From here on it is a request as others are; its message is in w->out. */
static void start(struct gw_worker *w, struct gw_mail *mail, copse_ms now)
{
	const struct gw_mail_device *d = gw_mail_device_of(w->mailbox, mail);
	const struct gw_session *s = gw_sessions_at(w->sessions, mail->wish.session, mail->wish.generation);
	const struct gw_key_scope scope = {.device = &d->peer, .account = NULL, .secure = s->secure};
	struct gw_pass p;

	memset(&p, 0, offsetof(struct gw_pass, asked));
	p.w = w;
	p.now = now;
	p.device = d->peer;
	p.rule = d->lane;
	p.message_len = mail->wish.len;
	p.r = gw_proxy_take_own(w, mail->wish.method, &d->rate);
	if (!p.r) /* as many are under way as there may be: another time */
		return;
	p.r->con =
	    true; /* whoever did not wait for an answer: the device's time awake is too short to lose it */
	p.r->acknowledged = true;
	p.r->to = mail->wish.to;
	p.r->mail = gw_mail_number(w->mailbox, mail);
	mail->request = (uint32_t)(p.r - w->requests) + 1;
	gw_cache_key_make(&w->keys, &w->upstream, &scope, &p.r->key);
	gw_operation_key(&w->keys, &w->upstream, &d->peer, &p.r->operation_base, &p.r->operation);
	gw_mail_send(w->mailbox, mail);
	w->counters.mail_attempts++;
	gw_proxy_run(&p, GW_STEP_MAIL, GW_STEP_LANE);
}

/* It is awake, and has not acknowledged what was sent to it: then it was asleep when that came. */
static void hasten(struct gw_worker *w, const struct gw_mail_device *d, copse_ms now)
{
	const struct gw_mail *mail = gw_mail_of(w->mailbox, d->sending);
	const struct gw_request *r = &w->requests[mail->request - 1];

	if (r->step == GW_STEP_WAIT && copse_endpoint_hasten(w->ep, r->device, now))
		w->counters.mail_hastened++;
}

static void deliver(struct gw_worker *w, struct gw_mail_device *d, copse_ms now)
{
	struct gw_mail *mail;
	bool others = true;

	if (d->sending)
		hasten(w, d, now);

	while (others && (mail = gw_mail_next(w->mailbox, d)) != NULL) {
		others = d->n > 1; /* else its record goes with this one */
		if (may_still(w, mail, now)) {
			start(w, mail, now);
			return;
		}
	}
}

/* A link-local address says which device it is; an identity that is only said counts where the address fits. */
static struct gw_mail_device *find(struct gw_worker *w, const struct copse_peer *peer, const char *id)
{
	struct gw_mail_device *d = NULL;
	char own[STORE_DEVICE_MAX + 1];
	struct copse_address a;
	bool stranger = false;

	if (strncmp(id, "device:", 7) == 0)
		id += 7;
	if (id[0] && strlen(id) <= GW_NAME_MAX) {
		d = gw_mailbox_named(w->mailbox, id);
		stranger = !d && !gw_resolve_has(w->config, id);
	}
	if (d && gw_mail_same_host(&d->peer, peer))
		return d;
	if (copse_peer_address(peer, &a) == 0 && a.sa.sa_family == AF_INET6 &&
	    store_identity_of_address(a.in6.sin6_addr.s6_addr, own))
		return gw_mailbox_named(w->mailbox, own);
	/* who publishes, and is no other device, may do so from any port; who asks may be a client on the same host */
	return gw_mailbox_at(w->mailbox, peer, stranger);
}

void gw_mail_heard(struct gw_worker *w, const struct copse_peer *peer, const char *id, copse_ms now)
{
	struct gw_mail_device *d = gw_mailbox_count(w->mailbox) > 0 ? find(w, peer, id) : NULL;

	if (d)
		deliver(w, d, now);
}

/* --- time --- */

copse_ms gw_mail_deadline(const struct gw_worker *w)
{
	if (!w->mailbox)
		return COPSE_NEVER;
	const copse_ms at = gw_mailbox_deadline(w->mailbox);
	return at < w->mail_touch ? at : w->mail_touch;
}

/* Whoever waits for an answer is not idle. */
static void touch(struct gw_worker *w, copse_ms now)
{
	struct gw_mail *mail = gw_mailbox_first(w->mailbox);

	w->mail_touch = now + w->config->session_idle_ms / 2;
	for (; mail; mail = gw_mailbox_after(w->mailbox, mail)) {
		const struct gw_session *s =
		    gw_sessions_at(w->sessions, mail->wish.session, mail->wish.generation);
		if (s)
			gw_sessions_find(w->sessions, &s->peer, now);
	}
}

void gw_mail_expire(struct gw_worker *w, copse_ms now)
{
	struct gw_mail *mail;

	if (!w->mailbox)
		return;
	if (w->mail_touch <= now)
		touch(w, now);
	while ((mail = gw_mailbox_overdue(w->mailbox, now)) != NULL) {
		w->counters.mail_expired++;
		gw_mail_refuse(w, mail, COPSE_CODE_GATEWAY_TIMEOUT,
			       "the device sleeps, and was not heard in time", now);
	}
}

/* Nobody tells the mailbox any more how its requests have ended. */
static void let_go(struct gw_worker *w)
{
	for (uint32_t i = 0; i < w->requests_max; i++)
		w->requests[i].mail = 0;
}

void gw_mail_close(struct gw_worker *w, copse_ms now)
{
	struct gw_mail *mail;

	if (!w->mailbox || gw_mailbox_count(w->mailbox) == 0)
		return;
	let_go(w);
	while ((mail = gw_mailbox_first(w->mailbox)) != NULL) {
		mail->wish.con =
		    false; /* nobody will be there to repeat it, and none waits behind another (NSTART) */
		gw_mail_refuse(w, mail, COPSE_CODE_SERVICE_UNAVAILABLE,
			       "the gateway ends, and the device was not heard before", now);
	}
}
