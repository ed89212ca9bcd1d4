/* What of a request needs no second look (memo.h): GET as most clients repeat it again and again, of sessions in the
 * clear, for one device known by its name. What depends on more than the bytes, the rights and the configuration is
 * looked at each time: the session and what it may have under way, rates, the cache, requests under way, the lane.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "proxy_pass.h"
#include "worker_cross.h"

#include <string.h>

void gw_memory_begin(struct gw_worker *w)
{
	const struct gw_config *config = w->config;

	gw_memo_forget(w->memo);
	w->memo_by_account = config->access_n > 0;
	for (size_t i = 0; i < config->class_n; i++)
		w->memo_by_account |= config->classes[i].cache != GW_SHARE_ALL;
}

/* What session `s` asks by a GET of these options. False: it is not of the kind that is kept. */
static bool question(const struct gw_worker *w, const struct gw_session *s, const uint8_t *options,
		     size_t len, uint8_t room[GW_MEMO_KEY], struct gw_memo_question *q)
{
	size_t account_len = 0;

	if (s->secure || len > GW_MEMO_KEY)
		return false;
	q->bytes = options;
	if (w->memo_by_account) {
		account_len = strlen(s->account) + 1;
		if (len + account_len > GW_MEMO_KEY)
			return false;
		memcpy(room, s->account, account_len);
		memcpy(room + account_len, options, len);
		q->bytes = room;
	}
	q->len = account_len + len;
	q->by_account = w->memo_by_account;
	q->grant = gw_grants_serial(w->grants, s->grant);
	q->directory = w->rd ? gw_directory_generation(gw_rd_directory(w->rd)) : 0;
	q->code = COPSE_CODE_GET;
	q->hash = 0;
	return true;
}

static bool question_of(const struct gw_pass *p, uint8_t room[GW_MEMO_KEY], struct gw_memo_question *q)
{
	const struct copse_message *m = p->m;
	const size_t off = (size_t)m->token_off + m->token_len;

	if (m->code != COPSE_CODE_GET || m->payload_len)
		return false;
	if (p->glance && p->glance->asked) {
		*q = p->glance->question;
		return true;
	}
	return question(p->w, p->session, m->bytes + off, m->len - off, room, q);
}

const struct gw_glance *gw_memory_glance(const struct gw_pass *p)
{
	const struct gw_glance *g = &p->w->glance;

	return g->bytes && g->bytes == p->m->bytes && g->len == p->m->len &&
		       copse_peer_equal(&g->peer, p->event->peer)
		   ? g
		   : NULL;
}

bool gw_memory_has(struct gw_pass *p)
{
	uint8_t room[GW_MEMO_KEY];
	struct gw_memo_question q;

	if (p->glance && p->glance->asked && !p->w->given) {
		p->known = p->glance->known;
		return p->known != NULL;
	}
	p->known = !p->w->given && question_of(p, room, &q) ? gw_memo_find(p->w->memo, &q) : NULL;
	if (p->known && p->known->owner)
		p->known = NULL;
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
	p->asked.reblock =
	    false; /* what it asks is in `rest`; the others of its fields are not looked at any more */
	copse_build_message(&b, w->out, w->out_cap, COPSE_CON, p->m->code, 0, "", 0);
	copse_build_options(&b, e->rest, e->rest_len);
	int n = copse_build_finish(&b);
	COPSE_ASSERT(n == COPSE_HEADER_LEN + e->rest_len); /* it was built like that before, and fitted */
	p->message_len = (size_t)n;
	COPSE_ASSERT(copse_message_parse(&w->upstream, w->out, p->message_len) == 0);
}

/* What a host of this name is may depend on the socket that the request came by (is_here in proxy.c); and an option that
 * is obeyed here, or makes the key of those who join another one, is looked at each time. */
static bool is_steady(const struct gw_worker *w, const struct gw_asked *asked)
{
	struct copse_ip ip;

	return !asked->no_response && !copse_ip_parse(&ip, asked->host, asked->host_len, NULL) &&
	       !copse_host_equal(asked->host, asked->host_len, w->name, strlen(w->name));
}

static bool is_plain(const struct gw_pass *p)
{
	/* nor is what another worker's directory said, which may change without a word */
	return !p->target.group && !p->w->given &&
	       !copse_message_option(&p->w->upstream, COPSE_OPTION_ETAG) &&
	       !copse_message_option(&p->w->upstream, COPSE_OPTION_BLOCK2) && is_steady(p->w, &p->asked);
}

void gw_memory_keep(struct gw_pass *p)
{
	struct gw_worker *w = p->w;
	const size_t rest_len = p->message_len - COPSE_HEADER_LEN;
	uint8_t room[GW_MEMO_KEY];
	struct gw_memo_question q;

	if (rest_len > GW_MEMO_REST || !is_plain(p) || !question_of(p, room, &q))
		return;
	struct gw_memo_entry *e = gw_memo_put(w->memo, &q);
	if (!e)
		return;
	e->owner = 0;
	e->by_directory = p->by_directory;
	e->class = (uint16_t)(p->target.class - w->config->classes);
	e->device = p->device;
	e->key = p->key;
	e->rest_len = (uint8_t)rest_len;
	memcpy(e->rest, w->out + COPSE_HEADER_LEN, rest_len);
}

/* --- for routing --- */

/* A device stays with its worker; so does what is asked of it, as long as the configuration and the rights are the same.
 * What the directory says may change without a word. */
bool gw_memory_routes(const struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes,
		      size_t len, unsigned *to)
{
	const struct gw_glance *g = &w->glance;

	if (!g->bytes || g->bytes != bytes || g->len != len || !copse_peer_equal(&g->peer, peer))
		return false;
	if (g->owner)
		*to = g->owner - 1u;
	else if (g->known && !g->known->by_directory)
		*to = w->number;
	else
		return false;
	return true;
}

void gw_memory_keep_route(struct gw_worker *w, const uint8_t *bytes, const struct gw_asked *asked,
			  unsigned to)
{
	const struct gw_glance *g = &w->glance;

	if (g->bytes != bytes || !g->asked || !is_steady(w, asked))
		return;
	struct gw_memo_entry *e = gw_memo_put(w->memo, &g->question);
	if (!e)
		return;
	e->owner = (uint8_t)(to + 1);
	e->by_directory = false;
}

/* --- without the endpoint --- */

/* The message up to its options, as far as it is one that can be answered at once: a GET, or, to be refused, a FETCH.
 * Returns its length, or 0. Whether the options are well formed is known when they are. */
static size_t head_of(const struct copse_peer *peer, const uint8_t *bytes, size_t len)
{
	const size_t token_len = len > 0 ? bytes[0] & 15u : 0;

	if (len <= COPSE_HEADER_LEN + token_len || token_len > COPSE_TOKEN_MAX ||
	    peer->flags & COPSE_PEER_MULTICAST)
		return 0;
	return bytes[0] >> 5 == COPSE_VERSION << 1 &&
		       (bytes[1] == COPSE_CODE_GET || bytes[1] == COPSE_CODE_FETCH)
		   ? COPSE_HEADER_LEN + token_len
		   : 0;
}

/* The answer that the cache has, if the session may have it now. What may not is told so the long way. */
static const struct gw_cache_entry *answer_for(struct gw_worker *w, const struct gw_session *s,
					       const struct gw_memo_entry *known, copse_ms now)
{
	if (w->config->classes[known->class].cache == GW_SHARE_NOTHING ||
	    gw_cross_pending_of(w, s) >= w->config->session_requests)
		return NULL;
	const struct gw_cache_entry *e = gw_cache_find(w->cache, &known->key, now);
	if (!e || e->more || !gw_cache_is_fresh(e, now))
		return NULL;
	return gw_cross_rate(w, s->account, now) ? NULL : e;
}

/* RFC 7252 §5.2.1 and §5.2.3: in the acknowledgement, or as a NON under an ID of its own. */
static void put_head(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes, size_t head,
		     uint8_t code, uint8_t *answer)
{
	memcpy(answer, bytes, head);
	answer[1] = code;
	if ((bytes[0] >> 4 & 3) == COPSE_CON) {
		answer[0] = (uint8_t)(bytes[0] | COPSE_ACK << 4);
		return;
	}
	const uint16_t id = copse_endpoint_new_id(w->ep, peer);
	answer[2] = (uint8_t)(id >> 8);
	answer[3] = (uint8_t)id;
}

/* Who asks, and what is known about that: in w->glance. Returns the length of the message up to its options, or 0. */
static size_t look(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes, size_t len,
		   copse_ms now)
{
	struct gw_glance *g = &w->glance;
	const size_t head = head_of(peer, bytes, len);

	g->bytes = NULL;
	g->known = NULL;
	g->owner = 0;
	if (!head || bytes[1] != COPSE_CODE_GET)
		return head;
	g->bytes = bytes;
	g->len = len;
	g->peer = *peer;
	g->session = gw_sessions_find(w->sessions, peer, now);
	g->asked = g->session && question(w, g->session, bytes + head, len - head, g->room, &g->question);
	if (g->asked) {
		g->question.hash = gw_memo_hash(w->memo, &g->question);
		g->known = gw_memo_find(w->memo, &g->question);
		g->owner = g->known ? g->known->owner : 0;
		if (g->owner)
			g->known = NULL;
	}
	return head;
}

/* --- too much --- */

void gw_worker_behind(struct gw_worker *w, bool behind)
{
	w->behind = behind;
	w->shed_turn = 0;
}

/* Whether a GET or FETCH may be refused unseen, since to ask again does no harm. To observe, and to stop it, is never
 * lost by it, and a body that is on its way comes to its end; what is malformed is rejected elsewhere. */
static bool may_shed(const uint8_t *bytes, size_t len)
{
	static const uint16_t blocks[] = {COPSE_OPTION_BLOCK1, COPSE_OPTION_BLOCK2};
	struct copse_message m;
	struct copse_block block;

	if (copse_message_parse(&m, bytes, len) || copse_message_option(&m, COPSE_OPTION_OBSERVE))
		return false;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
		const int got = copse_block_read(&m, blocks[i], &block);
		if (got < 0 || (got > 0 && block.num > 0))
			return false;
	}
	return true;
}

/* To refuse costs about a fifth of what it costs to ask a device: if one in three is refused, nine tenths of the time are
 * left for the others. Who refused all that is too much would in the end do nothing else. */
static size_t shed(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes, size_t head,
		   size_t len, uint8_t *answer, size_t cap)
{
	static const uint8_t max_age_1[] = {0xd1, COPSE_OPTION_MAX_AGE - 13, 1};

	if (++w->shed_turn < GW_SHED_EACH || !may_shed(bytes, len))
		return 0;
	w->shed_turn = 0;
	COPSE_ASSERT(cap >= head + sizeof(max_age_1));
	put_head(w, peer, bytes, head, COPSE_CODE_SERVICE_UNAVAILABLE, answer);
	memcpy(answer + head, max_age_1, sizeof(max_age_1)); /* RFC 7252 §5.9.3.4 */
	w->counters.shed++;
	return head + sizeof(max_age_1);
}

size_t gw_worker_at_once(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *bytes, size_t len,
			 uint8_t *answer, size_t cap, copse_ms now)
{
	const size_t head = look(w, peer, bytes, len, now);
	const struct gw_glance *g = &w->glance;
	const struct gw_cache_entry *e =
	    head && g->known && cap ? answer_for(w, g->session, g->known, now) : NULL;

	if (!e)
		return w->behind && head && cap ? shed(w, peer, bytes, head, len, answer, cap) : 0;
	COPSE_ASSERT(cap >= head + w->rest_cap);
	put_head(w, peer, bytes, head, COPSE_CODE_CONTENT, answer);
	w->counters.proxied++;
	w->counters.recalled++;
	w->counters.answered_at_once++;
	w->counters.cache_hits++;
	return head + gw_proxy_build_whole(w, e, now, answer + head);
}
