/* What of a request needs no second look (memo.h): GET as most clients repeat it again and again, of sessions in the
 * clear, for one device known by its name. What depends on more than the bytes, the rights and the configuration is
 * looked at each time: the session and what it may have under way, rates, the cache, requests under way, the lane.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_pass.h"

#include <string.h>

void gw_memory_begin(struct gw_worker *w)
{
	const struct gw_config *config = w->config;

	gw_memo_forget(w->memo);
	w->memo_by_account = config->access_n > 0;
	for (size_t i = 0; i < config->class_n; i++)
		w->memo_by_account |= config->classes[i].cache != GW_SHARE_ALL;
}

/* False: it is not of the kind that is kept. */
static bool question(const struct gw_pass *p, uint8_t room[GW_MEMO_KEY], struct gw_memo_question *q)
{
	const struct gw_worker *w = p->w;
	const struct copse_message *m = p->m;
	size_t off = (size_t)m->token_off + m->token_len, len = m->len - off, account_len = 0;

	if (m->code != COPSE_CODE_GET || p->session->secure || m->payload_len || len > GW_MEMO_KEY)
		return false;
	q->bytes = m->bytes + off;
	if (w->memo_by_account) {
		account_len = strlen(p->session->account) + 1;
		if (len + account_len > GW_MEMO_KEY)
			return false;
		memcpy(room, p->session->account, account_len);
		memcpy(room + account_len, q->bytes, len);
		q->bytes = room;
	}
	q->len = account_len + len;
	q->by_account = w->memo_by_account;
	q->grant = gw_grants_serial(w->grants, p->session->grant);
	q->directory = w->rd ? gw_directory_generation(gw_rd_directory(w->rd)) : 0;
	q->code = m->code;
	return true;
}

bool gw_memory_has(struct gw_pass *p)
{
	uint8_t room[GW_MEMO_KEY];
	struct gw_memo_question q;

	p->known = question(p, room, &q) ? gw_memo_find(p->w->memo, &q) : NULL;
	return p->known != NULL;
}

void gw_memory_recall(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	const struct gw_memo_entry *e = p->known;
	struct copse_builder b;

	p->device = p->to = e->device;
	p->target.class = &w->config->classes[e->class];
	p->to.group = p->target.class->group < w->group_n ? p->target.class->group : GW_GROUP_MESH;
	p->rule = p->target.class->lane;
	p->key = p->join = e->key;
	copse_build_message(&b, w->out, w->out_cap, COPSE_CON, p->m->code, 0, "", 0);
	copse_build_options(&b, e->rest, e->rest_len);
	int n = copse_build_finish(&b);
	COPSE_ASSERT(n == COPSE_HEADER_LEN + e->rest_len); /* it was built like that before, and fitted */
	p->message_len = (size_t)n;
	COPSE_ASSERT(copse_message_parse(&w->upstream, w->out, p->message_len) == 0);
}

/* What a host of this name is may depend on the socket that the request came by (is_here in proxy.c); and an option that
 * is obeyed here, or makes the key of those who join another one, is looked at each time. */
static bool is_plain(const struct gw_pass *p)
{
	struct copse_ip ip;

	/* nor is what another worker's directory said, which may change without a word */
	return !p->no_response && !p->target.group && !p->w->given &&
	       !copse_message_option(&p->w->upstream, COPSE_OPTION_ETAG) &&
	       !copse_message_option(&p->w->upstream, COPSE_OPTION_BLOCK2) &&
	       !copse_ip_parse(&ip, p->asked.host, p->asked.host_len, NULL) &&
	       !copse_host_equal(p->asked.host, p->asked.host_len, p->w->name, strlen(p->w->name));
}

void gw_memory_keep(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	const size_t rest_len = p->message_len - COPSE_HEADER_LEN;
	uint8_t room[GW_MEMO_KEY];
	struct gw_memo_question q;

	if (rest_len > GW_MEMO_REST || !is_plain(p) || !question(p, room, &q))
		return;
	struct gw_memo_entry *e = gw_memo_put(w->memo, &q);
	if (!e)
		return;
	e->by_directory = p->by_directory;
	e->class = (uint16_t)(p->target.class - w->config->classes);
	e->device = p->device;
	e->key = p->key;
	e->rest_len = (uint8_t)rest_len;
	memcpy(e->rest, w->out + COPSE_HEADER_LEN, rest_len);
}
