/* A step of a proxy request: a device that sleeps does not answer, so what the collector has from it does. The newest
 * reading whose name is the path answers a plain GET; any other GET goes on to the device. All other requests wait in the
 * mailbox, and so does a GET when such a request has been carried out since the newest reading came: that is how things
 * were before.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_mail.h"

#include <copse/block.h>

#include "store/buffer.h"

#include <string.h>

#define BODY_MAX 1024 /* bytes of an answer: readings that are longer are asked of the device */

static bool is_asleep(const struct gw_pass *p)
{
	const struct gw_target *t = &p->target;

	return t->sleeping || (p->w->collector && gw_collector_is_asleep(p->w->collector, t->name, t->alias));
}

/* Nothing but which resource is meant, and in what form. What the gateway answers for itself on the way (Observe, blocks)
 * stands in the client's request alone. */
static bool is_plain(const struct gw_pass *p)
{
	const struct copse_message *m = &p->w->upstream;

	if (copse_message_option(p->m, COPSE_OPTION_OBSERVE) ||
	    copse_message_option(p->m, COPSE_OPTION_BLOCK1))
		return false;
	for (unsigned i = 0; i < m->option_n; i++)
		switch (m->option[i].number) {
		case COPSE_OPTION_URI_HOST:
		case COPSE_OPTION_URI_PORT:
		case COPSE_OPTION_URI_PATH:
		case COPSE_OPTION_ACCEPT:
		case COPSE_OPTION_BLOCK2: break;
		default:
			if (copse_option_is_critical(m->option[i].number))
				return false;
		}
	return true;
}

/* The name of a reading: the segments of the path with slashes between them. */
static bool take_path(const struct copse_message *m, char out[STORE_NAME_MAX + 1])
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_URI_PATH);
	size_t len = 0;

	for (; o; o = copse_message_option_next(m, o)) {
		const uint8_t *segment = copse_option_value(m, o);
		if (len + (len > 0) + o->len > STORE_NAME_MAX || (o->len && memchr(segment, 0, o->len)))
			return false;
		if (len)
			out[len++] = '/';
		if (o->len)
			memcpy(out + len, segment, o->len);
		len += o->len;
	}
	out[len] = 0;
	return len > 0;
}

/* In what form, if it is one that readings have; a value alone without Accept. */
static bool take_format(const struct copse_message *m, uint32_t *format)
{
	*format = copse_message_uint(m, COPSE_OPTION_ACCEPT, COPSE_FORMAT_TEXT);
	switch (*format) {
	case COPSE_FORMAT_TEXT:
	case COPSE_FORMAT_SENML_JSON:
	case COPSE_FORMAT_SENML_CBOR:
	case COPSE_FORMAT_SENML_XML: return true;
	default: return false;
	}
}

/* Whether a body of `len` bytes is all that was asked for. */
static bool fits(const struct copse_message *m, size_t len)
{
	struct copse_block b2 = {.szx = 6};

	return gw_options_wanted(m, &b2) >= 0 && b2.num == 0 && b2.szx <= 6 &&
	       len <= (size_t)16 << b2.szx;
}

static enum gw_step give(struct gw_pass *p, uint32_t format, const struct store_buffer *body,
			 uint32_t max_age)
{
	struct gw_worker *w = p->w;
	struct copse_builder b;

	copse_build_rest(&b, w->out, w->rest_cap);
	copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, format);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, max_age);
	copse_build_payload(&b, body->at, body->len);
	int n = copse_build_finish(&b);
	if (n < 0) /* `proxy.max_message` is smaller than this */
		return gw_proxy_refuse(p, &w->counters.asleep_stale, COPSE_CODE_GATEWAY_TIMEOUT,
				       "the device sleeps, and its reading is too large to be passed on");
	w->counters.asleep_answers++;
	return gw_proxy_respond(p, COPSE_CODE_CONTENT, (size_t)n);
}

void gw_proxy_outdate(struct gw_worker *w, const struct copse_message *m, const char *name, const char *alias)
{
	char path[STORE_NAME_MAX + 1];
	const struct gw_asleep_question q = {.name = name, .alias = alias, .series = path};

	if (!copse_code_is_safe(m->code) && w->collector && take_path(m, path))
		gw_collector_outdate(w->collector, &q);
}

enum gw_step gw_proxy_asleep(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	char path[STORE_NAME_MAX + 1];
	struct gw_asleep_question q = {.name = p->target.name, .alias = p->target.alias, .series = path};
	struct store_buffer body = {.max = BODY_MAX};
	enum gw_step next = GW_STEP_CACHE;
	uint32_t max_age = 0;

	if (!is_asleep(p))
		return next;
	if (gw_mail_takes(p))
		return gw_mail_keep(p);
	if (!w->collector || p->m->code != COPSE_CODE_GET || !is_plain(p) || !take_path(&w->upstream, path) ||
	    !take_format(&w->upstream, &q.format))
		return next;
	gw_collector_look(w->collector, p->now);
	switch (gw_collector_newest(w->collector, &q, &body, &max_age)) {
	case GW_ASLEEP_UNKNOWN: break;
	case GW_ASLEEP_STALE:
		next = gw_proxy_refuse(p, &w->counters.asleep_stale, COPSE_CODE_GATEWAY_TIMEOUT,
				       "the device sleeps, and its newest reading has expired");
		break;
	case GW_ASLEEP_OLD:
		w->counters.asleep_outdated++;
		next = gw_mail_may_wait(p) ? gw_mail_keep(p) : GW_STEP_CACHE;
		break;
	case GW_ASLEEP_FRESH:
		if (fits(p->m, body.len))
			next = give(p, q.format, &body, max_age);
		break;
	}
	store_buffer_free(&body);
	return next;
}
