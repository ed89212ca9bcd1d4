/* See mailbox.h; drawn in doc/states/mailbox.md. Numbers are places in the tables + 1, 0 for none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "mailbox.h"

#include <copse/address.h>
#include <copse/mem.h>

#include "core/siphash.h"
#include "core/table.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define HOST_MAX 17 /* bytes that tell hosts apart: the family and the address */

struct gw_mailbox {
	struct gw_mail_bounds bounds;
	struct gw_mail *mail;
	struct gw_mail_device *device;
	uint8_t *bytes;
	uint32_t count, devices, free, device_free, oldest, newest, last_id;
	uint64_t key[2];
	struct core_table hosts, names, accounts, ids;
	struct core_heap ends;
};

/* --- hashes --- */

static uint32_t hash_of(const struct gw_mailbox *b, const void *bytes, size_t len)
{
	return (uint32_t)core_siphash(b->key, bytes, len, 1, 3);
}

/* What peers of one host have in common; of one that is not on IP all of it. */
static size_t host_of(const struct copse_peer *peer, uint8_t out[COPSE_PEER_KEY_MAX])
{
	struct copse_address a;

	static_assert(HOST_MAX <= COPSE_PEER_KEY_MAX, "either fits");
	if (copse_peer_address(peer, &a) != 0) {
		memcpy(out, peer->key, peer->len);
		return peer->len;
	}
	bool four = a.sa.sa_family == AF_INET;
	out[0] = four ? 4 : 6;
	memcpy(out + 1, four ? (const void *)&a.in.sin_addr : (const void *)&a.in6.sin6_addr, four ? 4 : 16);
	return four ? 5 : HOST_MAX;
}

bool gw_mail_same_host(const struct copse_peer *a, const struct copse_peer *b)
{
	uint8_t one[COPSE_PEER_KEY_MAX], other[COPSE_PEER_KEY_MAX];
	size_t len = host_of(a, one);

	return len == host_of(b, other) && memcmp(one, other, len) == 0;
}

static uint32_t host_hash(const struct gw_mailbox *b, const struct copse_peer *peer)
{
	uint8_t host[COPSE_PEER_KEY_MAX];

	return hash_of(b, host, host_of(peer, host));
}

static uint32_t text_hash(const struct gw_mailbox *b, const char *text)
{
	return hash_of(b, text, strlen(text));
}

static uint32_t id_hash(uint32_t id)
{
	return id * 0x9e3779b1u; /* nobody chooses them */
}

/* --- its life --- */

static bool make_table(struct core_table *t, uint32_t cap)
{
	uint32_t slots = core_table_slots(cap);
	struct core_slot *slot = copse_mem_new(slots, sizeof(*slot));

	if (slot)
		core_table_init(t, slot, slots);
	return slot != NULL;
}

static void chain_free(struct gw_mailbox *b)
{
	for (uint32_t i = b->bounds.mails; i > 0; i--) {
		b->mail[i - 1].next = b->free;
		b->mail[i - 1].message = b->bytes + (size_t)(i - 1) * b->bounds.message_len;
		b->free = i;
		b->device[i - 1].next_free = b->device_free;
		b->device_free = i;
	}
}

struct gw_mailbox *gw_mailbox_new(const struct gw_mail_bounds *bounds, const uint64_t key[2])
{
	struct gw_mailbox *b = copse_mem_new(1, sizeof(*b));
	const uint32_t n = bounds->mails;

	COPSE_ASSERT(n > 0 && bounds->of_device > 0 && bounds->of_account > 0);
	if (!b)
		return NULL;
	b->bounds = *bounds;
	memcpy(b->key, key, sizeof(b->key));
	b->mail = copse_mem_new(n, sizeof(*b->mail));
	b->device = copse_mem_new(n, sizeof(*b->device));
	b->bytes = copse_mem_new(n, bounds->message_len);
	b->ends.timer = copse_mem_new(n + 1, sizeof(*b->ends.timer));
	b->ends.cap = n;
	if (b->mail && b->device && b->bytes && b->ends.timer && make_table(&b->hosts, n) &&
	    make_table(&b->names, n) && make_table(&b->accounts, n) && make_table(&b->ids, n)) {
		chain_free(b);
		return b;
	}
	gw_mailbox_free(b);
	return NULL;
}

void gw_mailbox_free(struct gw_mailbox *b)
{
	if (!b)
		return;
	copse_mem_free(b->mail);
	copse_mem_free(b->device);
	copse_mem_free(b->bytes);
	copse_mem_free(b->ends.timer);
	copse_mem_free(b->hosts.slot);
	copse_mem_free(b->names.slot);
	copse_mem_free(b->accounts.slot);
	copse_mem_free(b->ids.slot);
	copse_mem_free(b);
}

/* --- devices --- */

static uint32_t device_number(const struct gw_mailbox *b, const struct gw_mail_device *d)
{
	return (uint32_t)(d - b->device) + 1;
}

static struct gw_mail_device *find_peer(struct gw_mailbox *b, const struct copse_peer *peer)
{
	uint32_t hash = host_hash(b, peer), pos = hash & b->hosts.mask, found;

	while ((found = core_table_next(&b->hosts, hash, &pos)) != 0)
		if (copse_peer_equal(&b->device[found - 1].peer, peer))
			return &b->device[found - 1];
	return NULL;
}

static bool is_port_of(const struct gw_mail_device *d, uint16_t port)
{
	struct copse_address own;

	return copse_peer_address(&d->peer, &own) == 0 &&
	       (port == copse_address_port(&own) || port == d->secure_port);
}

struct gw_mail_device *gw_mailbox_at(struct gw_mailbox *b, const struct copse_peer *peer, bool any_port)
{
	uint32_t hash, pos, found, n = 0;
	struct gw_mail_device *only = NULL;
	struct copse_address a;

	if (b->count == 0)
		return NULL;
	hash = host_hash(b, peer);
	pos = hash & b->hosts.mask;
	bool on_ip = copse_peer_address(peer, &a) == 0;
	while ((found = core_table_next(&b->hosts, hash, &pos)) != 0) {
		struct gw_mail_device *d = &b->device[found - 1];
		if (!gw_mail_same_host(&d->peer, peer))
			continue;
		if (copse_peer_equal(&d->peer, peer) || (on_ip && is_port_of(d, copse_address_port(&a))))
			return d;
		only = d;
		n++;
	}
	return any_port && n == 1 ? only : NULL;
}

static struct gw_mail_device *find_name(struct gw_mailbox *b, const char *name)
{
	uint32_t hash = text_hash(b, name), pos = hash & b->names.mask, found;

	while ((found = core_table_next(&b->names, hash, &pos)) != 0)
		if (strcmp(b->device[found - 1].name, name) == 0)
			return &b->device[found - 1];
	return NULL;
}

struct gw_mail_device *gw_mailbox_named(struct gw_mailbox *b, const char *name)
{
	char alias[GW_NAME_MAX + 1];
	struct gw_mail_device *d = find_name(b, name);

	gw_resolve_alias(name, strlen(name), alias);
	return d || !alias[0] ? d : find_name(b, alias);
}

static struct gw_mail_device *add_device(struct gw_mailbox *b, const struct gw_mail_device *like)
{
	struct gw_mail_device *d = &b->device[b->device_free - 1]; /* there is one for each mail */

	b->device_free = d->next_free;
	*d = *like;
	d->n = d->sending = d->first = d->last = 0;
	d->host_hash = host_hash(b, &d->peer);
	d->name_hash = text_hash(b, d->name);
	core_table_insert(&b->hosts, d->host_hash, device_number(b, d));
	core_table_insert(&b->names, d->name_hash, device_number(b, d));
	b->devices++;
	return d;
}

static void remove_device(struct gw_mailbox *b, struct gw_mail_device *d)
{
	core_table_remove(&b->hosts, d->host_hash, device_number(b, d));
	core_table_remove(&b->names, d->name_hash, device_number(b, d));
	d->next_free = b->device_free;
	b->device_free = device_number(b, d);
	b->devices--;
}

/* --- mails --- */

uint32_t gw_mail_number(const struct gw_mailbox *b, const struct gw_mail *m)
{
	return (uint32_t)(m - b->mail) + 1;
}

struct gw_mail *gw_mail_of(struct gw_mailbox *b, uint32_t number)
{
	COPSE_ASSERT(number > 0 && number <= b->bounds.mails);
	return &b->mail[number - 1];
}

struct gw_mail_device *gw_mail_device_of(struct gw_mailbox *b, const struct gw_mail *m)
{
	COPSE_ASSERT(m->state != GW_MAIL_FREE);
	return &b->device[m->device - 1];
}

static void enter(struct gw_mail *m, enum gw_mail_state to)
{
#define MAY(state) (1u << GW_MAIL_##state)
	static const unsigned allowed[GW_MAIL_STATES] = {
	    [GW_MAIL_FREE] = MAY(WAITING),
	    [GW_MAIL_WAITING] = MAY(SENDING) | MAY(FREE),
	    [GW_MAIL_SENDING] = MAY(WAITING) | MAY(FREE),
	};
#undef MAY
	COPSE_ASSERT(allowed[m->state] & 1u << to);
	m->state = to;
}

/* How many the account has, and when the first of them ends. */
static uint32_t count_account(struct gw_mailbox *b, uint32_t hash, const char *account, copse_ms *until)
{
	uint32_t pos = hash & b->accounts.mask, found, n = 0;

	while ((found = core_table_next(&b->accounts, hash, &pos)) != 0) {
		const struct gw_mail *m = &b->mail[found - 1];
		if (strcmp(m->wish.account, account) != 0)
			continue;
		*until = m->wish.ends < *until ? m->wish.ends : *until;
		n++;
	}
	return n;
}

/* The first one's end, or earlier; those behind it may end before. */
static copse_ms first_end(const struct gw_mailbox *b, const struct gw_mail_device *d)
{
	copse_ms at = COPSE_NEVER;

	for (uint32_t i = d->first; i; i = b->mail[i - 1].next)
		at = b->mail[i - 1].wish.ends < at ? b->mail[i - 1].wish.ends : at;
	return at;
}

static void append(struct gw_mailbox *b, struct gw_mail_device *d, struct gw_mail *m)
{
	const uint32_t number = gw_mail_number(b, m);

	m->device = device_number(b, d);
	m->prev = d->last;
	*(d->last ? &b->mail[d->last - 1].next : &d->first) = number;
	d->last = number;
	d->n++;
	m->prev_all = b->newest;
	*(b->newest ? &b->mail[b->newest - 1].next_all : &b->oldest) = number;
	b->newest = number;
	b->count++;
}

static void take_out(struct gw_mailbox *b, struct gw_mail_device *d, struct gw_mail *m)
{
	*(m->prev ? &b->mail[m->prev - 1].next : &d->first) = m->next;
	*(m->next ? &b->mail[m->next - 1].prev : &d->last) = m->prev;
	d->n--;
	*(m->prev_all ? &b->mail[m->prev_all - 1].next_all : &b->oldest) = m->next_all;
	*(m->next_all ? &b->mail[m->next_all - 1].prev_all : &b->newest) = m->prev_all;
	b->count--;
}

static uint32_t new_id(struct gw_mailbox *b)
{
	do
		b->last_id++;
	while (b->last_id == 0 || gw_mailbox_find(b, b->last_id));
	return b->last_id;
}

enum gw_mail_result gw_mailbox_put(struct gw_mailbox *b, const struct gw_mail_device *like,
				   const struct gw_mail_wish *wish, const void *message,
				   struct gw_mail **mail, copse_ms *until)
{
	struct gw_mail_device *d = find_peer(b, &like->peer);
	const uint32_t account = text_hash(b, wish->account);

	COPSE_ASSERT(wish->len <= b->bounds.message_len);
	*until = COPSE_NEVER;
	if (count_account(b, account, wish->account, until) >= b->bounds.of_account)
		return GW_MAIL_ACCOUNT_FULL;
	*until = d ? first_end(b, d) : COPSE_NEVER;
	if (d && d->n >= b->bounds.of_device)
		return GW_MAIL_DEVICE_FULL;
	*until = gw_mailbox_deadline(b);
	if (!b->free)
		return GW_MAIL_FULL;
	struct gw_mail *m = &b->mail[b->free - 1];
	uint8_t *bytes = m->message;
	b->free = m->next;
	*m = (struct gw_mail){.message = bytes, .wish = *wish, .id = new_id(b), .account_hash = account};
	memcpy(m->message, message, wish->len);
	append(b, d ? d : add_device(b, like), m);
	core_table_insert(&b->accounts, account, gw_mail_number(b, m));
	core_table_insert(&b->ids, id_hash(m->id), gw_mail_number(b, m));
	enter(m, GW_MAIL_WAITING);
	core_heap_set(&b->ends, &m->timer, wish->ends);
	*mail = m;
	return GW_MAIL_KEPT;
}

struct gw_mail *gw_mail_next(struct gw_mailbox *b, const struct gw_mail_device *d)
{
	return d->sending ? NULL : &b->mail[d->first - 1];
}

void gw_mail_send(struct gw_mailbox *b, struct gw_mail *m)
{
	struct gw_mail_device *d = gw_mail_device_of(b, m);

	COPSE_ASSERT(d->sending == 0);
	enter(m, GW_MAIL_SENDING);
	d->sending = gw_mail_number(b, m);
	core_heap_clear(&b->ends, &m->timer);
	m->attempts++;
}

void gw_mail_back(struct gw_mailbox *b, struct gw_mail *m)
{
	enter(m, GW_MAIL_WAITING);
	gw_mail_device_of(b, m)->sending = 0;
	core_heap_set(&b->ends, &m->timer, m->wish.ends);
}

void gw_mail_end(struct gw_mailbox *b, struct gw_mail *m)
{
	struct gw_mail_device *d = gw_mail_device_of(b, m);
	const uint32_t number = gw_mail_number(b, m);

	if (d->sending == number)
		d->sending = 0;
	core_heap_clear(&b->ends, &m->timer);
	core_table_remove(&b->accounts, m->account_hash, number);
	core_table_remove(&b->ids, id_hash(m->id), number);
	take_out(b, d, m);
	if (d->n == 0)
		remove_device(b, d);
	enter(m, GW_MAIL_FREE);
	m->next = b->free;
	b->free = number;
}

struct gw_mail *gw_mailbox_find(struct gw_mailbox *b, uint32_t id)
{
	uint32_t hash = id_hash(id), pos = hash & b->ids.mask, found;

	while ((found = core_table_next(&b->ids, hash, &pos)) != 0)
		if (b->mail[found - 1].id == id)
			return &b->mail[found - 1];
	return NULL;
}

struct gw_mail *gw_mailbox_first(struct gw_mailbox *b)
{
	return b->oldest ? &b->mail[b->oldest - 1] : NULL;
}

struct gw_mail *gw_mailbox_after(struct gw_mailbox *b, const struct gw_mail *m)
{
	return m->next_all ? &b->mail[m->next_all - 1] : NULL;
}

copse_ms gw_mailbox_deadline(const struct gw_mailbox *b)
{
	const struct core_timer *first = core_heap_first(&b->ends);

	return first ? first->at : COPSE_NEVER;
}

struct gw_mail *gw_mailbox_overdue(struct gw_mailbox *b, copse_ms now)
{
	struct core_timer *first = core_heap_first(&b->ends);

	static_assert(offsetof(struct gw_mail, timer) == 0, "a mail's timer is where the mail is");
	return first && first->at <= now ? (struct gw_mail *)first : NULL;
}

uint32_t gw_mailbox_count(const struct gw_mailbox *b)
{
	return b->count;
}

uint32_t gw_mailbox_devices(const struct gw_mailbox *b)
{
	return b->devices;
}
