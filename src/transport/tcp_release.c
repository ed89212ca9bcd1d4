/* What servers have asked for when they released a connection (RFC 8323 §5.5): no other one for a while, or one
 * elsewhere, of several places the first that can be reached. And when a connection ends that a client has released.
 *
 * Bounded: TCP_HOLDS servers are remembered; beyond, the one that was told first is forgotten, which is
 * met as if it had said
 * nothing. In the clear an address is believed only if it is another port of the same host: whoever can
 * answer there could say
 * anything. By TLS the other one has to prove the same name.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "tcp_internal.h"

#include <copse/resolve.h>
#include <copse/uri.h>

#include <string.h>

static struct tcp_hold *find(struct copse_tcp *t, const struct copse_peer *peer)
{
	for (unsigned i = 0; i < TCP_HOLDS; i++) {
		struct tcp_hold *h = &t->hold[i];

		if (h->peer.len == peer->len && peer->len > 2 &&
		    memcmp(h->peer.key + 2, peer->key + 2, peer->len - 2u) == 0)
			return h;
	}
	return NULL;
}

static bool same_host(const struct copse_address *a, const struct copse_address *b)
{
	struct copse_address c = *a;

	copse_address_set_port(&c, copse_address_port(b));
	return copse_address_equal(&c, b);
}

/* An address as the server wrote it, or the first one of a name where names may be looked up. */
static int parse(const struct copse_tcp *t, char *text, uint16_t port, int family, struct copse_address *to)
{
	static const char bytes_of_names[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	char *colon = strchr(text, ':');

	if (copse_address_parse(text, port, to) == COPSE_OK)
		return COPSE_OK;
	if (!t->config.look_up)
		return COPSE_ERR_ARGUMENT;
	if (colon) {
		const char *digits = colon + 1;
		unsigned number = 0;

		for (; *digits >= '0' && *digits <= '9' && number <= UINT16_MAX; digits++)
			number = number * 10 + (unsigned)(*digits - '0');
		if (*digits || number == 0 || number > UINT16_MAX)
			return COPSE_ERR_ARGUMENT;
		port = (uint16_t)number;
		*colon = '\0';
	}
	if (strspn(text, bytes_of_names) != strlen(text))
		return COPSE_ERR_ARGUMENT;
	return copse_resolve(text, port, family, to, 1, NULL) == 1 ? COPSE_OK : COPSE_ERR_ARGUMENT;
}

/* Whether `a` is one to go to instead of `from`. */
static bool is_alternative(const struct copse_tcp *t, const struct copse_address *from,
			   const struct copse_signal_address *a, struct copse_address *to)
{
	const uint16_t port =
	    copse_scheme_port(copse_scheme_from_text(t->base.scheme, strlen(t->base.scheme)));
	char text[256];

	if (a->len >= sizeof(text) || memchr(a->text, '\0', a->len))
		return false;
	memcpy(text, a->text, a->len);
	text[a->len] = '\0';
	return parse(t, text, port, from->sa.sa_family, to) == COPSE_OK && !copse_address_is_group(to) &&
	       !copse_address_is_any(to) && (t->secure || same_host(to, from));
}

void tcp_release_take(struct copse_tcp *t, const struct copse_peer *peer, const struct copse_signal *s,
		      copse_ms now)
{
	struct tcp_hold *h = find(t, peer);
	struct copse_address from;

	if (!h && s->hold_off == 0 && s->address_n == 0)
		return;
	if (!h) {
		h = &t->hold[t->hold_next];
		t->hold_next = (t->hold_next + 1) % TCP_HOLDS;
	}
	*h = (struct tcp_hold){.peer = *peer, .until = now + COPSE_SECONDS(s->hold_off)};
	if (copse_peer_address(peer, &from) != COPSE_OK)
		return;
	for (unsigned i = 0; i < s->address_n; i++)
		h->instead_n += is_alternative(t, &from, &s->address[i], &h->instead[h->instead_n]);
}

bool tcp_release_allows(struct copse_tcp *t, const struct copse_peer *peer, copse_ms now,
			struct copse_address *to)
{
	const struct tcp_hold *h = find(t, peer);

	if (h && now < h->until)
		return false;
	if (h && h->instead_n)
		*to = h->instead[0];
	return true;
}

void tcp_release_next(struct copse_tcp *t, const struct copse_peer *peer)
{
	struct tcp_hold *h = find(t, peer);

	if (!h || h->instead_n == 0)
		return;
	h->instead_n--;
	memmove(h->instead, h->instead + 1, h->instead_n * sizeof(h->instead[0]));
}

/* ---- what clients release ---- */

/* Whether `f` has Observe, with `*value`. The options before it (1 to 5) have small numbers and lengths of one byte. */
static bool find_observe(const struct copse_frame *f, unsigned *value)
{
	size_t at = 0;
	unsigned number = 0;

	while (at < f->rest_len && f->rest[at] != COPSE_PAYLOAD_MARK && f->rest[at] >> 4 < 13) {
		size_t len = f->rest[at] & 15;

		number += f->rest[at++] >> 4;
		if (number > COPSE_OPTION_OBSERVE || len > 13 || (len == 13 && at == f->rest_len))
			return false;
		if (len == 13)
			len += f->rest[at++];
		if (number == COPSE_OPTION_OBSERVE && at + len <= f->rest_len) {
			*value = len ? f->rest[at] : 0; /* 0 and 1 are all that a request can have */
			return true;
		}
		at += len;
	}
	return false;
}

/* A notification is told from the answer to a registration by whether one is to be answered: when a registration and
 * notifications of another one cross, the connection may end before the former is answered, whose observation would have
 * ended with it. */
void tcp_release_note(struct tcp_conn *c, const struct copse_frame *f)
{
	unsigned value = 0;
	const bool observe = find_observe(f, &value);

	if (!c->owner->config.server || copse_code_is_signal(f->code))
		return;
	if (copse_code_is_request(f->code)) {
		c->asked++;
		c->observes += observe && value == 0;
	} else if (!observe || c->observes > 0) {
		c->observes -= observe;
		tcp_release_skip(c);
	}
}

void tcp_release_skip(struct tcp_conn *c)
{
	c->asked -= c->asked > 0;
	if (c->observes > c->asked)
		c->observes = c->asked;
}

/* RFC 8323 §5.5: who has got a Release closes the connection when it has answered what came before. */
void tcp_release_settle(struct tcp_conn *c)
{
	if (!c->owner->config.server || c->state != TCP_DRAINING || c->asked > 0 || tcp_unsent(c))
		return;
	if (c->tls && !c->ws) /* a WebSocket says it by itself */
		tcp_tls_bye(c->tls);
	tcp_end(c, &c->owner->count.closed, NULL, true);
}
