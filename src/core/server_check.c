/* What a request asks for beside the resource: preconditions (RFC 7252 §5.10.8), formats (§5.10.3, §5.10.4), no answer
 * (RFC 7967, RFC 7252 §8.2). Each check is 0 or the code of the error to answer.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

#define NO_2XX 0x02u /* bits of No-Response, RFC 7967 §2 */
#define NO_4XX 0x08u
#define NO_5XX 0x10u

static bool has_format(const uint16_t *formats, uint32_t format)
{
	for (; *formats != COPSE_FORMATS_END; formats++) {
		if (*formats == format)
			return true;
	}
	return false;
}

uint8_t srv_check_accept(struct server_work *w)
{
	const uint16_t *formats = w->rq.resource->formats;
	const uint32_t accept = copse_message_uint(w->rq.message, COPSE_OPTION_ACCEPT, COPSE_FORMAT_NONE);
	w->rq.accept = accept;
	if (!formats)
		return 0;
	if (accept == COPSE_FORMAT_NONE)
		w->rq.accept = formats[0];
	else if (!has_format(formats, accept))
		return COPSE_CODE_NOT_ACCEPTABLE;
	return 0;
}

uint8_t srv_check_format(const struct server_work *w)
{
	const uint16_t *takes = w->rq.resource->takes;
	if (!takes || w->rq.format == COPSE_FORMAT_NONE || has_format(takes, w->rq.format))
		return 0;
	return COPSE_CODE_UNSUPPORTED_CONTENT_FORMAT;
}

/* RFC 7252 §5.10.8.1: any of them must match; an empty one matches whatever exists. */
static bool if_match_holds(const struct copse_message *m, const struct copse_option *o, const uint8_t *etag,
			   int len)
{
	for (; o; o = copse_message_option_next(m, o)) {
		if (len >= 0 && o->len == 0)
			return true;
		if (len > 0 && copse_option_is(m, o, etag, (size_t)len))
			return true;
	}
	return false;
}

uint8_t srv_check_conditions(const struct server_work *w)
{
	const struct copse_message *m = w->rq.message;
	const struct copse_option *if_match = copse_message_option(m, COPSE_OPTION_IF_MATCH);
	const struct copse_option *if_none = copse_message_option(m, COPSE_OPTION_IF_NONE_MATCH);
	if ((!if_match && !if_none) || copse_code_is_safe(w->rq.method))
		return 0;
	uint8_t etag[COPSE_ETAG_MAX];
	int len = 0;
	if (w->rq.resource->state) {
		len = w->rq.resource->state(&w->rq, etag);
		COPSE_ASSERT(len <= COPSE_ETAG_MAX);
	}
	const bool failed = (if_match && !if_match_holds(m, if_match, etag, len)) || (if_none && len >= 0);
	return failed ? COPSE_CODE_PRECONDITION_FAILED : 0;
}

void srv_read_etags(struct server_ask *ask, const struct copse_message *m)
{
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_ETAG);
	ask->etag_n = 0;
	if (!copse_code_is_safe(m->code))
		return;
	for (; o && ask->etag_n < SRV_ETAGS; o = copse_message_option_next(m, o)) {
		struct server_etag *e = &ask->etag[ask->etag_n++];
		e->len = (uint8_t)o->len;
		memcpy(e->bytes, copse_option_value(m, o), o->len);
	}
}

bool srv_etag_matches(const struct server_ask *ask, const struct copse_response *rs)
{
	if (rs->etag_len == 0)
		return false;
	for (unsigned i = 0; i < ask->etag_n; i++) {
		if (ask->etag[i].len == rs->etag_len &&
		    memcmp(ask->etag[i].bytes, rs->etag, rs->etag_len) == 0)
			return true;
	}
	return false;
}

void srv_read_no_response(struct server_ask *ask, const struct copse_message *m)
{
	/* RFC 7252 §8.2: errors are not worth everybody's answer. RFC 7967 §2: whoever says what it wants gets that, 0
	 * being everything. */
	const uint8_t absent = ask->multicast ? NO_4XX | NO_5XX : 0;
	ask->no_response = (uint8_t)copse_message_uint(m, COPSE_OPTION_NO_RESPONSE, absent);
}

bool srv_is_suppressed(const struct server_ask *ask, uint8_t code)
{
	if (code == COPSE_CODE_CONTINUE) /* the transfer needs it */
		return false;
	const unsigned class = copse_code_class(code);
	return ask->no_response >> (class - 1) & 1;
}
