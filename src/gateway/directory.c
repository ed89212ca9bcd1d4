/* See directory.h: the life of registrations. directory_parse.c reads them, directory_lookup.c finds them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "directory_state.h"

#include "core/siphash.h"

#include <copse/mem.h>

#include <string.h>

static uint32_t hash_names(const struct gw_directory *dir, const struct gw_registration *r)
{
	uint64_t second[2] = {core_siphash(dir->key, r->ep, strlen(r->ep), 1, 3), dir->key[1]};

	return (uint32_t)core_siphash(second, r->d, strlen(r->d), 1, 3);
}

static uint32_t hash_host(const struct gw_directory *dir, const char *host)
{
	return (uint32_t)core_siphash(dir->key, host, strlen(host), 1, 3);
}

/* --- making and ending it --- */

static bool make_tables(struct gw_directory *dir)
{
	uint32_t slots = core_table_slots(dir->cap);
	struct core_slot *names = copse_mem_new(slots, sizeof(*names)),
			 *hosts = copse_mem_new(slots, sizeof(*hosts));

	dir->names.slot = names; /* to be freed, whatever follows */
	dir->hosts.slot = hosts;
	if (!names || !hosts)
		return false;
	core_table_init(&dir->names, names, slots);
	core_table_init(&dir->hosts, hosts, slots);
	dir->at = copse_mem_new(dir->cap, sizeof(struct gw_registration *));
	dir->free = copse_mem_new(dir->cap, sizeof(*dir->free));
	dir->timers.timer = copse_mem_new(dir->cap + 1, sizeof(struct core_timer *));
	dir->timers.cap = dir->cap;
	return dir->at && dir->free && dir->timers.timer;
}

struct gw_directory *gw_directory_new(uint32_t cap, const uint64_t key[2])
{
	struct gw_directory *dir = copse_mem_new(1, sizeof(*dir));

	if (!dir)
		return NULL;
	dir->magic = GW_DIRECTORY_MAGIC;
	dir->cap = cap;
	memcpy(dir->key, key, sizeof(dir->key));
	if (!make_tables(dir)) {
		gw_directory_free(dir);
		return NULL;
	}
	for (uint32_t i = 0; i < cap; i++) /* the lowest place is taken first */
		dir->free[i] = cap - 1 - i;
	return dir;
}

static void free_registration(struct gw_registration *r)
{
	if (r)
		copse_mem_free(r->links);
	copse_mem_free(r);
}

void gw_directory_free(struct gw_directory *dir)
{
	if (!dir)
		return;
	COPSE_ASSERT(dir->magic == GW_DIRECTORY_MAGIC);
	for (uint32_t i = 0; dir->at && i < dir->top; i++)
		free_registration(dir->at[i]);
	copse_mem_free(dir->at);
	copse_mem_free(dir->free);
	copse_mem_free(dir->timers.timer);
	copse_mem_free(dir->names.slot);
	copse_mem_free(dir->hosts.slot);
	dir->magic = 0;
	copse_mem_free(dir);
}

uint32_t gw_directory_count(const struct gw_directory *dir)
{
	return dir->n;
}

struct gw_directory_counters *gw_directory_counters(struct gw_directory *dir)
{
	return &dir->counters;
}

/* --- finding --- */

static struct gw_registration *find(const struct gw_directory *dir, const struct gw_registration *like)
{
	uint32_t hash = hash_names(dir, like), pos = hash & dir->names.mask, found;

	while ((found = core_table_next(&dir->names, hash, &pos)) != 0) {
		struct gw_registration *r = dir->at[found - 1];
		if (strcmp(r->ep, like->ep) == 0 && strcmp(r->d, like->d) == 0)
			return r;
	}
	return NULL;
}

static struct gw_registration *by_id(const struct gw_directory *dir, uint64_t id)
{
	struct gw_registration *r = dir->at[id % dir->cap];

	return r && r->id == id ? r : NULL;
}

static bool may_reach(const struct gw_registration *r, const struct gw_config *config)
{
	if (r->target.len == 0 || copse_address_is_group(&r->target) || copse_address_is_any(&r->target) ||
	    copse_address_port(&r->target) == 0)
		return false;
	if (gw_address_same_ip(&r->target, &r->from) ||
	    (config->has_mesh_prefix && gw_prefix_has(&config->mesh_prefix, &r->target)))
		return true;
	for (size_t i = 0; i < config->outside_n; i++)
		if (gw_prefix_has(&config->outside[i], &r->target))
			return true;
	return false;
}

/* `secure`: 0 in the clear, 1 by DTLS, -1 either. */
static const struct gw_registration *by_host(const struct gw_directory *dir, const struct gw_config *config,
					     const char *name, int secure)
{
	const struct gw_registration *first = NULL;
	uint32_t hash = hash_host(dir, name), pos = hash & dir->hosts.mask, found;

	while ((found = core_table_next(&dir->hosts, hash, &pos)) != 0) {
		const struct gw_registration *r = dir->at[found - 1];
		if (strcmp(r->host, name) == 0 && may_reach(r, config) &&
		    (secure < 0 || r->secure == (secure > 0)) && (!first || r->id < first->id))
			first = r;
	}
	return first;
}

bool gw_directory_resolve(const struct gw_directory *dir, const struct gw_config *config, const char *name,
			  bool secure, struct copse_address *address)
{
	const struct gw_registration *r = name[0] ? by_host(dir, config, name, secure) : NULL;

	if (r)
		*address = r->target;
	return r != NULL;
}

const char *gw_directory_next_host(const struct gw_directory *dir, const struct gw_config *config,
				   uint32_t *pos)
{
	while (*pos < dir->top) {
		const struct gw_registration *r = dir->at[(*pos)++];
		if (r && r->host[0] && by_host(dir, config, r->host, -1) == r)
			return r->host;
	}
	return NULL;
}

/* --- life --- */

static void unlink_registration(struct gw_directory *dir, struct gw_registration *r)
{
	uint32_t place = (uint32_t)(r->id % dir->cap);

	dir->generation++;
	core_table_remove(&dir->names, r->hash, place + 1);
	if (r->host[0])
		core_table_remove(&dir->hosts, r->host_hash, place + 1);
	core_heap_clear(&dir->timers, &r->timer);
	dir->bytes -= r->links_len;
	dir->at[place] = NULL;
	dir->n--;
	dir->free[dir->cap - dir->n - 1] = place;
	while (dir->top > 0 && !dir->at[dir->top - 1])
		dir->top--;
	free_registration(r);
}

/* Put `r` where its id says. */
static void link_registration(struct gw_directory *dir, struct gw_registration *r, copse_ms now)
{
	uint32_t place = (uint32_t)(r->id % dir->cap);

	dir->generation++;
	r->hash = hash_names(dir, r);
	r->host_hash = hash_host(dir, r->host);
	core_table_insert(&dir->names, r->hash, place + 1);
	if (r->host[0])
		core_table_insert(&dir->hosts, r->host_hash, place + 1);
	r->timer = (struct core_timer){0};
	core_heap_set(&dir->timers, &r->timer, now + (copse_ms)r->lifetime * 1000);
	dir->bytes += r->links_len;
	dir->at[place] = r;
	dir->top = place >= dir->top ? place + 1 : dir->top;
	dir->n++;
}

static enum gw_directory_result count(struct gw_directory *dir, enum gw_directory_result result)
{
	dir->counters.refused_malformed += result == GW_DIRECTORY_MALFORMED;
	dir->counters.refused_registrant += result == GW_DIRECTORY_FOREIGN;
	dir->counters.refused_full += result == GW_DIRECTORY_FULL;
	return result;
}

/* Whether `fresh` may come, in place of `*old` if there is one. */
static enum gw_directory_result admit(struct gw_directory *dir, struct gw_registration *fresh,
				      const struct gw_enrolment *e, struct gw_registration **old,
				      const char **why)
{
	*fresh = (struct gw_registration){.lifetime = GW_DIRECTORY_LIFETIME, .simple = e->simple};
	*why = gw_directory_parse(fresh, e, false);
	if (!*why)
		*why = gw_directory_check_links(e->links, e->links_len);
	if (*why)
		return GW_DIRECTORY_MALFORMED;
	*old = find(dir, fresh);
	if (*old && !gw_address_same_ip(&(*old)->from, e->from))
		return GW_DIRECTORY_FOREIGN;
	size_t bytes = dir->bytes - (*old ? (*old)->links_len : 0) + e->links_len;
	if ((!*old && dir->n == dir->cap) || bytes > (size_t)dir->cap * GW_DIRECTORY_MEAN)
		return GW_DIRECTORY_FULL;
	return GW_DIRECTORY_OK;
}

enum gw_directory_result gw_directory_check(struct gw_directory *dir, const struct gw_enrolment *e,
					    const char **why)
{
	struct gw_registration fresh, *old;

	return count(dir, admit(dir, &fresh, e, &old, why));
}

enum gw_directory_result gw_directory_register(struct gw_directory *dir, const struct gw_enrolment *e,
					       copse_ms now, uint64_t *id, const char **why)
{
	struct gw_registration fresh, *old;
	enum gw_directory_result result = count(dir, admit(dir, &fresh, e, &old, why));

	if (result != GW_DIRECTORY_OK)
		return result;
	struct gw_registration *r = copse_mem_new(1, sizeof(*r));
	fresh.links = copse_mem_new(e->links_len + 1, 1);
	if (!r || !fresh.links) {
		copse_mem_free(r);
		copse_mem_free(fresh.links);
		return count(dir, GW_DIRECTORY_FULL);
	}
	if (e->links_len)
		memcpy(fresh.links, e->links, e->links_len);
	fresh.links_len = e->links_len;
	if (old) { /* §5: the location stays */
		fresh.id = old->id;
		unlink_registration(dir, old);
	} else {
		fresh.id = ++dir->serial * dir->cap + dir->free[dir->cap - dir->n - 1];
	}
	*r = fresh;
	link_registration(dir, r, now);
	dir->counters.registrations++;
	dir->counters.simple += e->simple;
	*id = r->id;
	return GW_DIRECTORY_OK;
}

enum gw_directory_result gw_directory_update(struct gw_directory *dir, uint64_t id,
					     const struct gw_enrolment *e, copse_ms now, const char **why)
{
	struct gw_registration *r = by_id(dir, id);

	*why = NULL;
	if (!r || r->simple)
		return GW_DIRECTORY_GONE;
	if (!gw_address_same_ip(&r->from, e->from))
		return count(dir, GW_DIRECTORY_FOREIGN);
	struct gw_registration fresh = *r;
	*why = e->links_len ? "an update has no payload: register anew" : gw_directory_parse(&fresh, e, true);
	if (*why)
		return count(dir, GW_DIRECTORY_MALFORMED);
	fresh.timer = r->timer;
	*r = fresh; /* ep and d, and so the host, are as they were */
	dir->generation++;
	core_heap_set(&dir->timers, &r->timer, now + (copse_ms)r->lifetime * 1000);
	dir->counters.updates++;
	return GW_DIRECTORY_OK;
}

enum gw_directory_result gw_directory_remove(struct gw_directory *dir, uint64_t id,
					     const struct copse_address *from)
{
	struct gw_registration *r = by_id(dir, id);

	if (!r || r->simple)
		return GW_DIRECTORY_GONE;
	if (!gw_address_same_ip(&r->from, from))
		return count(dir, GW_DIRECTORY_FOREIGN);
	unlink_registration(dir, r);
	dir->counters.removals++;
	return GW_DIRECTORY_OK;
}

uint64_t gw_directory_generation(const struct gw_directory *dir)
{
	return dir->generation;
}

copse_ms gw_directory_deadline(const struct gw_directory *dir)
{
	const struct core_timer *first = core_heap_first(&dir->timers);

	return first ? first->at : COPSE_NEVER;
}

unsigned gw_directory_expire(struct gw_directory *dir, copse_ms now)
{
	struct core_timer *first;
	unsigned n = 0;

	while ((first = core_heap_first(&dir->timers)) && first->at <= now) {
		unlink_registration(dir, (struct gw_registration *)first);
		n++;
	}
	dir->counters.expirations += n;
	return n;
}
